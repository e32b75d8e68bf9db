//! Log-in by e-mail and password, by the room's PIN, or by the printed recovery code; and log-out.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::parts::chrome::{self, About, Chrome};
use super::parts::field::{Field, Sent};
use super::parts::flash::{self, Flash};
use super::parts::visit::{Door, Guest, Visit, is_ours, query_value};
use super::{Answer, again, show_with};
use crate::access::Ctx;
use crate::web::api::auth::{self, clear_cookie, set_cookie};
use crate::web::{App, Problem, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// Where to go then.
    pub next: String,
    /// Whether it records, for whoever stands before it.
    pub recording_text: String,
    /// How long to wait after wrong tries.
    pub wait_seconds: Option<u64>,
    /// What was wrong.
    pub error: Option<String>,
    /// There is a room PIN.
    pub pin_is_set: bool,
    /// What was typed.
    pub form: Form,
}

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// E-mail.
    pub email: Field,
    /// Password; never shown again.
    pub password: Field,
    /// PIN; never shown again.
    pub pin: Field,
}

/// Shows the page; whoever is logged in goes on, and a node without an owner is claimed first.
pub async fn show(State(app): State<App>, door: Door) -> Answer {
    Ok(blocking(move || {
        if !app.access.is_claimed()? {
            return Ok(Redirect::to("/claim").into_response());
        }
        let next = next_of(&door.visit);
        if door.caller.is_some() {
            return Ok(Redirect::to(&next).into_response());
        }
        Ok::<_, Problem>(page(&app, &door.visit, &next, &Sent::default(), None))
    })
    .await??)
}

/// Where to go after log-in, from the query.
fn next_of(visit: &Visit) -> String {
    safe(query_value(&visit.path, "next").unwrap_or_default())
}

/// Only a page of ours, and not the log-in itself.
fn safe(next: String) -> String {
    if is_ours(&next) && !next.starts_with("/login") { next } else { "/".to_owned() }
}

fn page(app: &App, visit: &Visit, next: &str, sent: &Sent, problem: Option<&Problem>) -> Response {
    let about = About { title: "Log in", nav: "login", live: "" };
    let mut form = Form {
        email: sent.field("email", problem),
        password: sent.secret("password", problem),
        pin: sent.secret("pin", problem),
    };
    let wait_seconds = problem.and_then(|problem| problem.retry_after_seconds);
    let wrong = problem.filter(|_| wait_seconds.is_none()).map(|problem| match problem.code {
        "wrong_password" if sent.has("pin") => "This is not the room's PIN.".to_owned(),
        "wrong_password" => "E-mail or password is wrong.".to_owned(),
        _ => problem.detail.clone(),
    });
    if sent.has("pin") {
        form.pin.error = wrong.clone();
    }
    let view = View {
        chrome: chrome::chrome(app, None, visit, about),
        next: next.to_owned(),
        recording_text: recording_text(app).to_owned(),
        wait_seconds,
        error: wrong.filter(|_| !sent.has("pin")),
        pin_is_set: app.access.has_pin().unwrap_or(false),
        form,
    };
    show_with(visit, again(problem), "pages/login.html", &view)
}

/// Whoever stands in the room sees the lamp; so does whoever is at the door. No titles.
fn recording_text(app: &App) -> &'static str {
    match crate::web::api::node::state(app) {
        "offline" => "The recorder does not answer. If it runs, it goes on by its last orders.",
        "recording" => "A recording is running. You are about to reach its recorder.",
        "paused" => "A recording is paused.",
        "trouble" => "Something needs attention. Log in to see what.",
        _ => "Not recording.",
    }
}

/// Logs in by what was sent: a PIN, a recovery code in place of the password, or e-mail and password.
pub async fn log_in(State(app): State<App>, door: Door, sent: Sent) -> Answer {
    Ok(blocking(move || {
        let next = safe(sent.text("next").to_owned());
        let begun = match sent.has("pin") {
            true => by_pin(&app, &door.ctx, &sent),
            false => by_password(&app, &door.ctx, &sent),
        };
        match begun {
            Ok(begun) => welcome(&door.visit, &next, begun),
            Err(problem) => page(&app, &door.visit, &next, &sent, Some(&problem)),
        }
    })
    .await?)
}

/// The same; its own address for the PIN.
pub async fn log_in_pin(app: State<App>, door: Door, sent: Sent) -> Answer {
    log_in(app, door, sent).await
}

/// The same; its own address for the recovery code.
pub async fn log_in_recovery(app: State<App>, door: Door, sent: Sent) -> Answer {
    log_in(app, door, sent).await
}

/// A session that began, and a recovery code that was renewed with it.
struct Begun {
    cookie: String,
    is_recovered: bool,
}

fn by_pin(app: &App, ctx: &Ctx, sent: &Sent) -> Result<Begun, Problem> {
    let cookie = app.access.log_in_pin(ctx, sent.text("pin").trim())?;
    Ok(Begun { cookie, is_recovered: false })
}

fn by_password(app: &App, ctx: &Ctx, sent: &Sent) -> Result<Begun, Problem> {
    let password = sent.text("password");
    match auth::log_in(app, ctx, sent.text("email"), password) {
        Err(wrong) if wrong.code == "wrong_password" && looks_like_recovery(password) => {
            let recovered = app.access.log_in_recovery(ctx, password)?;
            super::claim_test::keep_recovery_code(app, ctx, &recovered.logged_in.cookie, recovered.recovery_code);
            Ok(Begun { cookie: recovered.logged_in.cookie, is_recovered: true })
        }
        begun => Ok(Begun { cookie: begun?, is_recovered: false }),
    }
}

/// Twenty letters and digits, with dashes or without: a password is tried as such first.
fn looks_like_recovery(text: &str) -> bool {
    let plain: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    plain.len() == 20 && plain.iter().all(char::is_ascii_alphanumeric)
}

fn welcome(visit: &Visit, next: &str, begun: Begun) -> Response {
    let to = if begun.is_recovered { "/claim/test?done=1" } else { next };
    let cookie = set_cookie(&begun.cookie, visit.is_tls);
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// Ends the session.
pub async fn log_out(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    blocking(move || app.access.log_out(&caller.ctx, &caller.actor)).await?.map_err(Problem::from)?;
    let mut response = flash::redirect("/login", Flash::new("logged_out"), visit.is_tls);
    response.headers_mut().append(header::SET_COOKIE, clear_cookie(visit.is_tls));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_in_leads_only_to_pages_of_ours() {
        for next in ["https://evil.example", "//evil.example", "/login?next=/login", "javascript:alert(1)", ""] {
            assert_eq!(safe(next.to_owned()), "/", "{next}");
        }
        assert_eq!(safe("/recordings?q=a".to_owned()), "/recordings?q=a");
    }

    #[test]
    fn a_recovery_code_is_told_from_a_password() {
        assert!(looks_like_recovery("7QKD9-3XZ42-W8FMA-NGQ01"));
        assert!(!looks_like_recovery("correct horse battery staple"));
    }
}
