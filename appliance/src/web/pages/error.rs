//! A page that cannot be shown says why: what happened, what it means for the recording, where to go.

use axum::http::header;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::parts::chrome::{self, Chrome};
use super::parts::words;
use crate::web::{Problem, render};

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// What happened.
    pub error: Told,
}

/// A problem in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// What happened.
    pub title: String,
    /// What it means.
    pub means: String,
    /// What to do.
    pub todo: Option<String>,
    /// Where to go.
    pub links: Vec<Link>,
    /// Its stable name.
    pub code: String,
    /// What to name when asking for help.
    pub reference: Option<String>,
}

/// Somewhere to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where.
    pub url: String,
    /// What it says.
    pub label: String,
}

/// A problem as a page. It asks neither records nor recorder: it must be shown when both fail.
pub fn error(problem: Problem) -> Response {
    let view = View { chrome: chrome::bare(problem.title), error: told(&problem) };
    let mut response = render::page_with(problem.status(), "pages/error.html", &view);
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn told(problem: &Problem) -> Told {
    let link = |url: &str, label: &str| Link { url: url.to_owned(), label: label.to_owned() };
    let links = match problem.status {
        401 => vec![link("/login", "Log in"), link("/help", "Help")],
        404 => vec![link("/", "Back to Now"), link("/recordings", "All recordings")],
        _ => vec![link("/", "Back to Now"), link("/health", "Health")],
    };
    let todo = problem.retry_after_seconds.map(|seconds| format!("Wait {seconds} s and try again."));
    Told {
        status: problem.status,
        title: problem.title.to_owned(),
        means: words::capital(&problem.detail),
        todo,
        links,
        code: problem.code.to_owned(),
        reference: None,
    }
}
