//! People, and what is one's own: password, sessions, API tokens.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::parts::chrome::{self, About, Chrome, denied};
use super::parts::field::{Choice, Field, Sent, choices};
use super::parts::flash::{self, Flash, Note, of_problem};
use super::parts::row::within;
use super::parts::visit::{Guest, Two, Visit};
use super::parts::words::{self, Clock};
use super::{Answer, again, show_with};
use crate::domain::access::{Permission, Role};
use crate::store::Id;
use crate::web::api::people::{self, Add, Change, NewToken, OwnPassword, SessionView, TokenView, UserView};
use crate::web::api::{auth, can_do};
use crate::web::caller::{Caller, Path};
use crate::web::{App, Problem, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// `settings` or `people`.
    pub tab: String,
    /// Why people cannot be seen.
    pub manage_denied: Option<String>,
    /// A token that was just made.
    pub new_token: Option<Secret>,
    /// Who may use this recorder.
    pub people: Vec<Person>,
    /// Roles to choose for somebody new.
    pub roles: Vec<Choice>,
    /// What roles may do.
    pub role_texts: Vec<RoleText>,
    /// What was typed.
    pub form: Form,
    /// Where one is logged in.
    pub sessions: Vec<Session>,
    /// One's tokens.
    pub tokens: Vec<Token>,
    /// How long a token lasts.
    pub token_ends: Vec<Choice>,
    /// What a token may.
    pub scopes: Vec<Choice>,
}

/// Shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    #[allow(missing_docs)]
    pub value: String,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub email: String,
    /// Whoever looks.
    pub is_me: bool,
    /// They may do nothing.
    pub is_disabled: bool,
    /// When they were here.
    pub last_seen_text: String,
    /// Why nothing can be changed about them.
    pub denied: Option<String>,
    /// Roles to choose.
    pub roles: Vec<Choice>,
}

/// What a role may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleText {
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub text: String,
}

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[allow(missing_docs)]
    pub name: Field,
    #[allow(missing_docs)]
    pub email: Field,
    /// Never shown again; likewise below.
    pub password: Field,
    #[allow(missing_docs)]
    pub old_password: Field,
    #[allow(missing_docs)]
    pub new_password: Field,
    /// Name of a token.
    pub token_name: Field,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    #[allow(missing_docs)]
    pub id: String,
    /// With what.
    pub device_text: String,
    #[allow(missing_docs)]
    pub who: String,
    /// From where, since when.
    pub detail: String,
    /// This one.
    pub is_current: bool,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub name: String,
    /// Since and until when.
    pub detail: String,
    /// What it may.
    pub scopes_text: String,
}

/// What is said beside the page as it always is.
#[derive(Default)]
struct Beside<'a> {
    sent: Option<&'a Sent>,
    problem: Option<&'a Problem>,
    new_token: Option<Secret>,
    note: Option<Note>,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, Beside::default())).await??)
}

fn page(app: &App, caller: &Caller, visit: &Visit, beside: Beside<'_>) -> Result<Response, Problem> {
    let clock = chrome::room_clock(app);
    let mut frame = chrome::chrome(app, Some(caller), visit, About { title: "People", nav: "settings", live: "" });
    let form = form(beside.sent, beside.problem);
    let has_place = form_has_error(&form);
    frame.flash.extend(beside.note.into_iter().chain(beside.problem.filter(|_| !has_place).map(of_problem)));
    let manage_denied = denied(app, caller, Permission::AuthManage);
    let people = if manage_denied.is_none() { persons(app, caller, &clock)? } else { Vec::new() };
    let view = View {
        tab: "people".to_owned(),
        manage_denied,
        new_token: beside.new_token,
        people,
        roles: role_choices(Role::Operator),
        role_texts: role_texts(),
        form,
        sessions: own(people::sessions(app, caller))?
            .iter()
            .map(|session| shown_session(session, caller, &clock))
            .collect(),
        tokens: own(people::tokens(app, caller))?.iter().map(|token| shown_token(token, &clock)).collect(),
        token_ends: choices(&[("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year")], "90"),
        scopes: scopes(app, caller),
        chrome: frame,
    };
    Ok(show_with(visit, again(beside.problem), "pages/people.html", &view))
}

/// Whoever came by the room's PIN has neither sessions to end nor tokens.
fn own<T>(found: Result<Vec<T>, Problem>) -> Result<Vec<T>, Problem> {
    match found {
        Err(problem) if problem.status == 409 => Ok(Vec::new()),
        found => found,
    }
}

fn form(sent: Option<&Sent>, problem: Option<&Problem>) -> Form {
    let Some(sent) = sent else { return Form::default() };
    let mut form = Form {
        name: sent.field("name", problem),
        email: sent.field("email", problem),
        password: sent.secret("password", problem),
        old_password: sent.secret("old_password", problem),
        new_password: sent.secret("new_password", problem),
        token_name: sent.field("token_name", problem),
    };
    // A token's name has the API's plain name there and its own here; so has a password.
    let error = |field: &str| super::claim_room::wrong(problem, field);
    if sent.has("token_name") {
        form.name.error = None;
        form.token_name.error = error("name").or(error("scopes")).or(error("expires_at"));
    }
    if sent.has("new_password") {
        form.new_password.error = form.new_password.error.or(error("password"));
        form.password.error = None;
    }
    form
}

fn form_has_error(form: &Form) -> bool {
    [&form.name, &form.email, &form.password, &form.old_password, &form.new_password, &form.token_name]
        .iter()
        .any(|field| field.error.is_some())
}

fn persons(app: &App, caller: &Caller, clock: &Clock) -> Result<Vec<Person>, Problem> {
    let seen = last_seen(app);
    let is_owner = caller.actor.roles().contains(&Role::Owner);
    let person = |user: UserView| {
        let is_me = caller.actor.named.id == user.id;
        let role = user.roles.first().copied().unwrap_or(Role::Viewer);
        let denied = match role {
            _ if is_me => Some("You cannot change your own role."),
            Role::Owner if !is_owner => Some("Only an owner may change an owner."),
            Role::Owner | Role::Admin | Role::Operator | Role::Viewer | Role::Auditor => None,
        };
        let at = user.id.parse().ok().and_then(|id: Id| seen.get(&id));
        Person {
            last_seen_text: match at {
                _ if is_me => "here now".to_owned(),
                Some(at) => format!("seen {}", within(&clock.day_and_time(*at))),
                None => "not logged in".to_owned(),
            },
            id: user.id,
            name: user.name,
            email: user.email,
            is_me,
            is_disabled: user.is_disabled,
            denied: denied.map(ToOwned::to_owned),
            roles: role_choices(role),
        }
    };
    Ok(people::users(app, caller)?.into_iter().map(person).collect())
}

fn last_seen(app: &App) -> BTreeMap<Id, Timestamp> {
    let mut seen = BTreeMap::new();
    for session in app.store.sessions().unwrap_or_default() {
        let Some(user) = session.user else { continue };
        let at = seen.entry(user).or_insert(session.seen_at);
        *at = session.seen_at.max(*at);
    }
    seen
}

fn role_choices(chosen: Role) -> Vec<Choice> {
    let choice =
        |role: Role| Choice { value: word(role), label: words::capital(&word(role)), is_chosen: role == chosen };
    Role::ALL.into_iter().map(choice).collect()
}

fn word(role: Role) -> String {
    format!("{role:?}").to_lowercase()
}

fn role_texts() -> Vec<RoleText> {
    let told = |role: Role| {
        let text = match role {
            Role::Owner => "Everything, also what cannot be undone.",
            Role::Admin => "People, settings, deleting.",
            Role::Operator => "Starts, stops, listens, edits, acknowledges.",
            Role::Viewer => "Looks, plays, downloads.",
            Role::Auditor => "Reads the journal and facts; hears nothing.",
        };
        RoleText { name: words::capital(&word(role)), text: text.to_owned() }
    };
    Role::ALL.into_iter().map(told).collect()
}

fn shown_session(session: &SessionView, caller: &Caller, clock: &Clock) -> Session {
    let since = within(&clock.day_and_time(session.created_at));
    let from = if session.address.is_empty() { "this machine" } else { &session.address };
    let seen = if session.is_mine { "now".to_owned() } else { within(&clock.day_and_time(session.seen_at)) };
    Session {
        id: session.id.clone(),
        device_text: words::device(&session.agent),
        who: caller.actor.named.name.clone(),
        detail: format!("{from}, since {since}, seen {seen}"),
        is_current: session.is_mine,
    }
}

fn shown_token(token: &TokenView, clock: &Clock) -> Token {
    let ends =
        token.expires_at.map_or_else(|| "does not end".to_owned(), |end| format!("ends {}", clock.short_date(end)));
    Token {
        id: token.id.clone(),
        name: token.name.clone(),
        detail: format!("made {}, {ends}", clock.short_date(token.created_at)),
        scopes_text: token.scopes.as_ref().map_or_else(|| "all that you may".to_owned(), |scopes| scopes.join(", ")),
    }
}

/// What whoever looks may, a token of theirs may at most.
fn scopes(app: &App, caller: &Caller) -> Vec<Choice> {
    let mine = Permission::ALL.into_iter().filter(|permission| can_do(app, caller, *permission));
    let choice = |permission: Permission| Choice {
        value: permission.name().to_owned(),
        label: permission.name().to_owned(),
        is_chosen: false,
    };
    mine.map(choice).collect()
}

/// `add`.
pub async fn act_one(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Path(act): Path<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || match act.as_str() {
        "add" => match add(&app, &caller, &sent) {
            Ok(user) => match user.given_password {
                None => Ok(flash::redirect("/people", Flash::new("saved"), visit.is_tls)),
                Some(password) => {
                    let text = format!("Hand {} this password; it is not shown again: {password}", user.name);
                    let note = Some(Note { kind: "success".to_owned(), text, undo: None });
                    page(&app, &caller, &visit, Beside { note, ..Beside::default() })
                }
            },
            Err(problem) => refused(&app, &caller, &visit, &sent, &problem),
        },
        _ => Err(Problem::not_found("page")),
    })
    .await??)
}

fn refused(app: &App, caller: &Caller, visit: &Visit, sent: &Sent, problem: &Problem) -> Result<Response, Problem> {
    page(app, caller, visit, Beside { sent: Some(sent), problem: Some(problem), ..Beside::default() })
}

fn add(app: &App, caller: &Caller, sent: &Sent) -> Result<UserView, Problem> {
    let add = Add {
        name: sent.text("name").to_owned(),
        email: sent.text("email").to_owned(),
        password: Some(sent.text("password").to_owned()).filter(|password| !password.is_empty()),
        roles: role_of(sent)?,
    };
    people::add(app, caller, add)
}

fn role_of(sent: &Sent) -> Result<BTreeSet<Role>, Problem> {
    let found = Role::ALL.into_iter().find(|role| word(*role) == sent.text("role"));
    let role = found.ok_or_else(|| Problem::unprocessable("role", "one of owner, admin, operator, viewer, auditor"))?;
    Ok(BTreeSet::from([role]))
}

/// `<id>/role`, `<id>/enable`, `<id>/disable`, and `me/password`.
pub async fn act_two(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Two(who, act): Two<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || {
        let change = match (who.as_str(), act.as_str()) {
            ("me", "password") => return own_password(&app, &caller, &visit, &sent),
            (_, "role") => role_of(&sent).map(|roles| Change { roles: Some(roles), ..Change::default() }),
            (_, "enable") => Ok(Change { is_disabled: Some(false), ..Change::default() }),
            (_, "disable") => Ok(Change { is_disabled: Some(true), ..Change::default() }),
            _ => return Err(Problem::not_found("page")),
        };
        match change.and_then(|change| people::change(&app, &caller, &who, change)) {
            Ok(_) => Ok(flash::redirect("/people", Flash::new("saved"), visit.is_tls)),
            Err(problem) => refused(&app, &caller, &visit, &sent, &problem),
        }
    })
    .await??)
}

fn own_password(app: &App, caller: &Caller, visit: &Visit, sent: &Sent) -> Result<Response, Problem> {
    let change = OwnPassword {
        old_password: sent.text("old_password").to_owned(),
        new_password: sent.text("new_password").to_owned(),
    };
    match people::own_password(app, caller, &change) {
        Ok(cookie) => {
            let mut response = flash::redirect("/people", Flash::new("password"), visit.is_tls);
            response.headers_mut().append(header::SET_COOKIE, auth::set_cookie(&cookie, visit.is_tls));
            Ok(response)
        }
        Err(mut problem) => {
            if problem.code == "wrong_password" {
                problem.status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
                problem.field = Some("old_password".to_owned());
                problem.detail = "This is not your present password.".to_owned();
            }
            refused(app, caller, visit, sent, &problem)
        }
    }
}

/// `create`. The token stands on the page that answers, and nowhere else.
pub async fn token_one(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Path(act): Path<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || {
        if act != "create" {
            return Err(Problem::not_found("page"));
        }
        match new_token(&app, &caller, &sent) {
            Ok(made) => {
                let new_token = made.token.map(|value| Secret { value });
                page(&app, &caller, &visit, Beside { new_token, ..Beside::default() })
            }
            Err(problem) => refused(&app, &caller, &visit, &sent, &problem),
        }
    })
    .await??)
}

fn new_token(app: &App, caller: &Caller, sent: &Sent) -> Result<TokenView, Problem> {
    let days = sent.text("expires_days").parse::<i64>().ok().filter(|days| (1..=730).contains(days));
    let days = days.ok_or_else(|| Problem::unprocessable("expires_at", "choose when it ends"))?;
    let ends = caller.ctx.now.wall.checked_add(SignedDuration::from_hours(days * 24)).ok();
    let named =
        |name: &str| name.parse::<Permission>().map_err(|_| Problem::unprocessable("scopes", "there is no such right"));
    let scopes = sent.all("scopes").map(named).collect::<Result<BTreeSet<_>, _>>()?;
    people::new_token(
        app,
        caller,
        NewToken { name: sent.text("token_name").to_owned(), scopes: Some(scopes), expires_at: ends },
    )
}

/// `<id>/revoke`.
pub async fn token_two(State(app): State<App>, Guest { caller, visit }: Guest, Two(id, act): Two<String>) -> Answer {
    revoke(app, caller, visit, act, move |app, caller| people::end_token(app, caller, &id)).await
}

/// `<id>/revoke`.
pub async fn session(State(app): State<App>, Guest { caller, visit }: Guest, Two(id, act): Two<String>) -> Answer {
    revoke(app, caller, visit, act, move |app, caller| people::end_session(app, caller, &id)).await
}

async fn revoke(
    app: App,
    caller: Caller,
    visit: Visit,
    act: String,
    end: impl FnOnce(&App, &Caller) -> Result<(), Problem> + Send + 'static,
) -> Answer {
    Ok(blocking(move || {
        if act != "revoke" {
            return Err(Problem::not_found("page"));
        }
        match end(&app, &caller) {
            Ok(()) => Ok(flash::redirect("/people", Flash::new("revoked"), visit.is_tls)),
            Err(problem) => refused(&app, &caller, &visit, &Sent::default(), &problem),
        }
    })
    .await??)
}
