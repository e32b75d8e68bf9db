//! What is said once after an act: a short code in a cookie, and here the words and the way to undo it.
//!
//! The cookie is not signed and needs not be: it chooses one of our sentences, and an id in it is only ever shown through
//! the records of somebody who may see them.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use crate::web::api::recordings;
use crate::web::caller::Caller;
use crate::web::{App, Problem};

/// The cookie's name.
pub const COOKIE: &str = "rakkr-flash";
/// How long it waits for the next page.
const SECONDS: u32 = 60;

/// What was done, by code, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    code: String,
    about: String,
}

/// A sentence on a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// success, info or error.
    pub kind: String,
    /// The sentence.
    pub text: String,
    /// How to take it back.
    pub undo: Option<Undo>,
}

/// A way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// What to post to.
    pub action: String,
    /// What the button says.
    pub label: String,
}

impl Flash {
    /// Of something that has no name.
    pub fn new(code: &str) -> Self {
        Self { code: code.to_owned(), about: String::new() }
    }

    /// Of something with an id.
    pub fn about(code: &str, id: impl ToString) -> Self {
        Self { code: code.to_owned(), about: id.to_string() }
    }

    /// Reads what a browser sends; nothing if it is not ours.
    pub fn read(text: &str) -> Option<Self> {
        let (code, about) = text.split_once('.').unwrap_or((text, ""));
        let is_plain = |text: &str, length| {
            text.len() <= length && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        (is_plain(code, 32) && is_plain(about, 36)).then(|| Self::about(code, about))
    }

    fn cookie(&self, is_tls: bool) -> HeaderValue {
        let secure = if is_tls { " Secure;" } else { "" };
        let value =
            format!("{COOKIE}={}.{}; Path=/;{secure} HttpOnly; SameSite=Lax; Max-Age={SECONDS}", self.code, self.about);
        HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The words; none for a code that is not ours.
    pub fn note(&self, app: &App, caller: Option<&Caller>) -> Option<Note> {
        let title = || {
            let found = recordings::find(app, caller?, self.about.parse().ok()?).ok()?;
            Some(found.title().to_owned())
        };
        let (kind, words) = words(&self.code)?;
        let title =
            if words.contains("{}") { title().unwrap_or_else(|| "The recording".to_owned()) } else { String::new() };
        let undo = match self.code.as_str() {
            "deleted" => Some(Undo { action: format!("/recordings/{}/restore", self.about), label: "Undo".to_owned() }),
            "paused" => Some(Undo { action: format!("/recordings/{}/resume", self.about), label: "Resume".to_owned() }),
            _ => None,
        };
        Some(Note { kind: kind.to_owned(), text: words.replace("{}", &title), undo })
    }
}

/// Kind and sentence of a code; `{}` is a recording's title.
fn words(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "started" => ("success", "The recording is ordered. The banner says when its audio is on the disk."),
        "stopped" => ("success", "“{}” is stopped and kept."),
        "extended" => ("success", "“{}” goes on for 15 minutes longer."),
        "open_ended" => ("info", "“{}” has no planned end: it runs until it is stopped."),
        "paused" => ("info", "“{}” is paused: nothing is kept until you resume."),
        "resumed" => ("success", "“{}” goes on."),
        "marked" => ("success", "Marked."),
        "saved" => ("success", "Saved."),
        "deleted" => ("success", "“{}” is in the bin for 30 days."),
        "restored" => ("success", "“{}” is back."),
        "rendering" => ("info", "The formats are made again. That may take some minutes."),
        "acknowledged" => ("success", "Acknowledged."),
        "suppressed" => ("info", "Kept quiet for now. The recording and the journal still have it."),
        "resolved" => ("success", "Closed."),
        "added" => ("success", "Added. They choose a password of their own when they log in."),
        "revoked" => ("success", "Ended."),
        "password" => ("success", "Your password is changed. Other sessions have ended."),
        "choose_password" => ("info", "Your password was given to you. Choose one of your own to go on."),
        "started_there" => ("success", "The recording is ordered. Its card says when it runs."),
        "chosen" => ("success", "Chosen: it counts now on all nodes."),
        "secret_set" => ("success", "Sealed. No page shows it again."),
        "secret_deleted" => ("success", "The secret is forgotten."),
        "retired" => ("success", "The node is retired: nobody believes its key any more."),
        "coordinates" => ("info", "This node takes the role of coordinator. That may take some seconds."),
        "joined" => ("success", "This recorder is in the fleet. Log in as on any other node of it."),
        "defaults" => ("success", "Back to the defaults."),
        "claimed" => {
            ("success", "The recorder is yours and ready. Log in with your e-mail from anywhere on this network.")
        }
        "logged_out" => ("info", "You are logged out. A recording goes on."),
        _ => return None,
    })
}

/// What went wrong, as a sentence on the page.
pub fn of_problem(problem: &Problem) -> Note {
    Note { kind: "error".to_owned(), text: super::words::capital(&problem.detail), undo: None }
}

/// Sends someone elsewhere, to be told there what was done.
pub fn redirect(to: &str, flash: Flash, is_tls: bool) -> Response {
    ([(header::SET_COOKIE, flash.cookie(is_tls))], Redirect::to(to)).into_response()
}

/// The page that said it takes the cookie away.
pub fn said(mut response: Response, flash: Option<&Flash>, is_tls: bool) -> Response {
    if flash.is_some() {
        let secure = if is_tls { " Secure;" } else { "" };
        let value = format!("{COOKIE}=; Path=/;{secure} HttpOnly; SameSite=Lax; Max-Age=0");
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_says_only_what_is_ours() {
        assert_eq!(Flash::read("saved"), Some(Flash::new("saved")));
        assert_eq!(Flash::read("deleted.01993f4e-7c1a"), Some(Flash::about("deleted", "01993f4e-7c1a")));
        assert_eq!(Flash::read("<script>"), None);
        assert_eq!(Flash::read(&"a".repeat(100)), None);
        assert_eq!(words("you_won"), None);
    }
}
