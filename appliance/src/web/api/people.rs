//! People, tokens, sessions.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{allow, may, read_id};
use crate::access::acts::{ChangeOwnPassword, ChangeOwnTokens, ChangePeople, EndOwnSession};
use crate::access::people::NewUser;
use crate::access::About;
use crate::domain::access::{Permission, Role, Target};
use crate::store::people::{ApiToken, User};
use crate::store::sessions::Session;
use crate::web::api::auth::set_cookie;
use crate::web::caller::{Body, Caller, IsTls, Path};
use crate::web::view::List;
use crate::web::{App, Problem, blocking};

/// A person.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserView {
    /// Their id.
    pub id: String,
    /// Their name.
    pub name: String,
    /// What they log in with.
    pub email: String,
    /// owner, admin, operator, viewer, auditor.
    #[schema(value_type = Vec<String>)]
    pub roles: BTreeSet<Role>,
    /// They may do nothing.
    pub is_disabled: bool,
    /// A password that was made for them; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_password: Option<String>,
}

impl UserView {
    /// Of a person.
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name.clone(),
            email: user.email.clone(),
            roles: user.roles.clone(),
            is_disabled: user.is_disabled,
            given_password: None,
        }
    }
}

/// A person to add.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Their name.
    pub name: String,
    /// What they log in with.
    pub email: String,
    /// Their password; absent makes one, shown once, that they must change.
    pub password: Option<String>,
    /// Their roles.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub roles: BTreeSet<Role>,
}

/// What to change; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Another name.
    pub name: Option<String>,
    /// Another e-mail.
    pub email: Option<String>,
    /// Other roles.
    #[schema(value_type = Option<Vec<String>>)]
    pub roles: Option<BTreeSet<Role>>,
    /// Whether they may do nothing.
    pub is_disabled: Option<bool>,
    /// Makes a new password for them, shown once, that they must change.
    #[serde(default)]
    pub gives_password: bool,
}

/// One's own password.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPassword {
    /// The present one.
    pub old_password: String,
    /// The new one, 15 characters or more.
    pub new_password: String,
}

fn allowed(app: &App, caller: &Caller, id: &str, name: &str, after: serde_json::Value) -> Result<crate::access::Allowed<ChangePeople>, Problem> {
    allow::<ChangePeople>(app, caller, &Target::Fleet, About::thing("user", id, name).after(after))
}

/// All people.
pub fn users(app: &App, caller: &Caller) -> Result<Vec<UserView>, Problem> {
    may(app, caller, Permission::AuthManage, &Target::Fleet)?;
    Ok(app.store.users()?.iter().map(UserView::of).collect())
}

/// Adds a person.
pub fn add(app: &App, caller: &Caller, add: Add) -> Result<UserView, Problem> {
    let after = json!({"email": add.email, "roles": add.roles});
    let allowed = allowed(app, caller, "", &add.name, after)?;
    let Add { name, email, password, roles } = add;
    let new = NewUser { name, email, password, roles, groups: BTreeSet::new() };
    let (user, given_password) = app.access.add_user(allowed, &caller.ctx, new)?;
    app.live.bump();
    Ok(UserView { given_password, ..UserView::of(&user) })
}

/// Changes a person.
pub fn change(app: &App, caller: &Caller, id: &str, change: Change) -> Result<UserView, Problem> {
    may(app, caller, Permission::AuthManage, &Target::Fleet)?;
    let id = read_id(id, "person")?;
    let user = app.store.user(id)?.ok_or_else(|| Problem::not_found("person"))?;
    let allow = |what: &str| allowed(app, caller, &id.to_string(), &user.name, json!(what));
    let mut view = UserView::of(&user);
    if change.name.is_some() || change.email.is_some() {
        let (name, email) = (change.name.unwrap_or(user.name.clone()), change.email.unwrap_or(user.email.clone()));
        view = UserView::of(&app.access.change_user(allow("name or e-mail")?, id, &name, &email)?);
    }
    if let Some(roles) = change.roles {
        view = UserView::of(&app.access.set_roles(allow("roles")?, id, roles, user.groups.clone())?);
    }
    match change.is_disabled {
        Some(true) => view = UserView::of(&app.access.disable_user(allow("disable")?, id)?),
        Some(false) => view = UserView::of(&app.access.enable_user(allow("enable")?, id)?),
        None => {}
    }
    if change.gives_password {
        view.given_password = Some(app.access.reset_password(allow("password")?, &caller.ctx, id)?);
    }
    app.live.bump();
    Ok(view)
}

/// Removes a person.
pub fn remove(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    may(app, caller, Permission::AuthManage, &Target::Fleet)?;
    let id = read_id(id, "person")?;
    let user = app.store.user(id)?.ok_or_else(|| Problem::not_found("person"))?;
    let allowed = allowed(app, caller, &id.to_string(), &user.name, serde_json::Value::Null)?;
    app.access.remove_user(allowed, id)?;
    app.live.bump();
    Ok(())
}

fn own(app: &App, caller: &Caller) -> Result<User, Problem> {
    let id = caller.actor.user.ok_or_else(|| Problem::conflict("The room PIN has no password and no tokens."))?;
    app.store.user(id)?.ok_or_else(Problem::unauthenticated)
}

/// Changes one's own password; one's sessions and tokens end, and a new session begins.
pub fn own_password(app: &App, caller: &Caller, change: &OwnPassword) -> Result<String, Problem> {
    let user = own(app, caller)?;
    let allowed = allow::<ChangeOwnPassword>(app, caller, &Target::Fleet, About::thing("user", user.id, &user.name))?;
    Ok(app.access.set_own_password(allowed, &caller.ctx, &change.old_password, &change.new_password)?.cookie)
}

/// A session that has just begun.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NewSession {
    /// The same as the cookie.
    pub token: String,
}

/// A token.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenView {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may at most; none is all that its person may.
    pub scopes: Option<Vec<&'static str>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// The token itself; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl TokenView {
    /// Of a token.
    pub fn of(token: &ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.as_ref().map(|scopes| scopes.iter().map(|scope| scope.name()).collect()),
            created_at: token.created_at,
            expires_at: token.expires_at,
            token: None,
        }
    }
}

/// A token to make.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may at most, such as `recording:read`; absent is all that I may.
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<BTreeSet<Permission>>,
    /// When it ends; absent is in two years.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// My tokens.
pub fn tokens(app: &App, caller: &Caller) -> Result<Vec<TokenView>, Problem> {
    Ok(app.store.tokens_of(own(app, caller)?.id)?.iter().map(TokenView::of).collect())
}

/// Makes a token.
pub fn new_token(app: &App, caller: &Caller, new: NewToken) -> Result<TokenView, Problem> {
    let user = own(app, caller)?;
    let allowed = allow::<ChangeOwnTokens>(app, caller, &Target::Fleet, About::thing("token", "", &new.name))?;
    let (token, text) = app.access.new_token(allowed, &caller.ctx, &user, &new.name, new.scopes, new.expires_at)?;
    Ok(TokenView { token: Some(text), ..TokenView::of(&token) })
}

/// Ends one of my tokens.
pub fn end_token(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let id = read_id(id, "token")?;
    let allowed = allow::<ChangeOwnTokens>(app, caller, &Target::Fleet, About::thing("token", id, ""))?;
    Ok(app.access.end_token(allowed, id)?)
}

/// A session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// It is the one that asks.
    pub is_mine: bool,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// From where.
    pub address: String,
    /// With what.
    pub agent: String,
}

/// My sessions.
pub fn sessions(app: &App, caller: &Caller) -> Result<Vec<SessionView>, Problem> {
    let user = own(app, caller)?;
    let view = |session: &Session| SessionView {
        id: session.id.to_string(),
        is_mine: caller.actor.session.as_ref() == Some(&session.hash),
        created_at: session.created_at,
        seen_at: session.seen_at,
        address: session.address.clone(),
        agent: session.agent.clone(),
    };
    Ok(app.access.sessions_of(user.id, caller.ctx.now)?.iter().map(view).collect())
}

/// Ends one of my sessions.
pub fn end_session(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let id = read_id(id, "session")?;
    let allowed = allow::<EndOwnSession>(app, caller, &Target::Fleet, About::thing("session", id, ""))?;
    Ok(app.access.end_session(allowed, id)?)
}

/// All people.
#[utoipa::path(get, path = "/api/v1/users", tag = "people", responses((status = 200, body = List<UserView>), (status = "4XX", body = Problem)))]
pub async fn get_users(State(app): State<App>, caller: Caller) -> Result<Json<List<UserView>>, Problem> {
    blocking(move || users(&app, &caller)).await?.map(|items| Json(List { items, next: None }))
}

/// Adds a person.
#[utoipa::path(post, path = "/api/v1/users", tag = "people", request_body = Add,
    responses((status = 201, body = UserView), (status = "4XX", body = Problem)))]
pub async fn post_user(State(app): State<App>, caller: Caller, Body(body): Body<Add>) -> Result<(StatusCode, Json<UserView>), Problem> {
    let user = blocking(move || add(&app, &caller, body)).await??;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Changes a person.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "people", params(("id" = String, Path)), request_body = Change,
    responses((status = 200, body = UserView), (status = "4XX", body = Problem)))]
pub async fn patch_user(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Change>,
) -> Result<Json<UserView>, Problem> {
    blocking(move || change(&app, &caller, &id, body)).await?.map(Json)
}

/// Removes a person.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_user(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || remove(&app, &caller, &id)).await?.map(|()| StatusCode::NO_CONTENT)
}

/// Changes one's own password. All sessions and tokens of the old one end; the answer is a new session.
#[utoipa::path(put, path = "/api/v1/auth/password", tag = "auth", request_body = OwnPassword,
    responses((status = 200, body = NewSession), (status = "4XX", body = Problem)))]
pub async fn put_own_password(
    State(app): State<App>,
    IsTls(is_tls): IsTls,
    caller: Caller,
    Body(body): Body<OwnPassword>,
) -> Result<Response, Problem> {
    let token = blocking(move || own_password(&app, &caller, &body)).await??;
    Ok(([(header::SET_COOKIE, set_cookie(&token, is_tls))], Json(NewSession { token })).into_response())
}

/// My API tokens.
#[utoipa::path(get, path = "/api/v1/auth/tokens", tag = "auth", responses((status = 200, body = List<TokenView>), (status = "4XX", body = Problem)))]
pub async fn get_tokens(State(app): State<App>, caller: Caller) -> Result<Json<List<TokenView>>, Problem> {
    blocking(move || tokens(&app, &caller)).await?.map(|items| Json(List { items, next: None }))
}

/// Makes an API token; it is shown once.
#[utoipa::path(post, path = "/api/v1/auth/tokens", tag = "auth", request_body = NewToken,
    responses((status = 201, body = TokenView), (status = "4XX", body = Problem)))]
pub async fn post_token(State(app): State<App>, caller: Caller, Body(body): Body<NewToken>) -> Result<(StatusCode, Json<TokenView>), Problem> {
    let token = blocking(move || new_token(&app, &caller, body)).await??;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Ends an API token.
#[utoipa::path(delete, path = "/api/v1/auth/tokens/{id}", tag = "auth", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_token(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || end_token(&app, &caller, &id)).await?.map(|()| StatusCode::NO_CONTENT)
}

/// My sessions.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "auth", responses((status = 200, body = List<SessionView>), (status = "4XX", body = Problem)))]
pub async fn get_sessions(State(app): State<App>, caller: Caller) -> Result<Json<List<SessionView>>, Problem> {
    blocking(move || sessions(&app, &caller)).await?.map(|items| Json(List { items, next: None }))
}

/// Ends one of my sessions.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "auth", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_session(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || end_session(&app, &caller, &id)).await?.map(|()| StatusCode::NO_CONTENT)
}
