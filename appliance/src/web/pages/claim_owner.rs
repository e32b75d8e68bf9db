//! Claiming, first step: who owns this recorder. Shown to whoever comes while it belongs to nobody.
//!
//! The claim is kept with the room named after the recorder and the machine's time zone; the second step says better, so
//! claiming can be gone on with after an interruption.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::parts::chrome::{self, About, Chrome};
use super::parts::field::{Field, Sent};
use super::parts::visit::{Door, Visit};
use super::{Answer, again, claim_test, show_with};
use crate::access::claim::{ClaimState, WINDOW_MINUTES};
use crate::sys::clock;
use crate::web::api::auth::set_cookie;
use crate::web::api::claim::{self, Claim};
use crate::web::caller::moment;
use crate::web::{App, Problem, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// How far claiming is.
    pub steps: Vec<Step>,
    /// Whether it can be claimed.
    pub window: Window,
    /// How long to wait after wrong codes.
    pub wait_seconds: Option<u64>,
    /// What was typed.
    pub form: Form,
}

/// A step of claiming.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub word: String,
    /// done, current or todo.
    pub state: String,
}

/// For how long a recorder can be claimed after its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// It can.
    pub is_open: bool,
    /// How long after a start.
    pub minutes: u32,
    /// How long still.
    pub text: String,
}

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[allow(missing_docs)]
    pub code: Field,
    #[allow(missing_docs)]
    pub name: Field,
    #[allow(missing_docs)]
    pub email: Field,
    /// Never shown again.
    pub password: Field,
}

/// Steps, of which this one is the present (from 0).
pub(super) fn steps(current: usize) -> Vec<Step> {
    let step = |(index, word): (usize, &str)| Step {
        word: word.to_owned(),
        state: match index.cmp(&current) {
            std::cmp::Ordering::Less => "done",
            std::cmp::Ordering::Equal => "current",
            std::cmp::Ordering::Greater => "todo",
        }
        .to_owned(),
    };
    ["Owner", "Room", "Channels", "Test", "Done"].into_iter().enumerate().map(step).collect()
}

/// Begins, or goes on where it was left.
pub async fn begin(State(app): State<App>, door: Door) -> Answer {
    let is_claimed = blocking(move || app.access.is_claimed()).await?.map_err(Problem::from)?;
    Ok(Redirect::to(match (is_claimed, door.caller) {
        (false, _) => "/claim/owner",
        (true, Some(_)) => "/claim/room",
        (true, None) => "/login",
    })
    .into_response())
}

/// Shows the page.
pub async fn show(State(app): State<App>, door: Door) -> Answer {
    Ok(blocking(move || page(&app, &door.visit, &Sent::default(), None)).await??)
}

fn page(app: &App, visit: &Visit, sent: &Sent, problem: Option<&Problem>) -> Result<Response, Problem> {
    let (is_open, left, wait) = match app.access.claim_state(moment())? {
        ClaimState::Claimed => return Ok(Redirect::to("/claim").into_response()),
        ClaimState::Closed => (false, 0, 0),
        ClaimState::Open { seconds_left, wait_seconds, .. } => (true, seconds_left, wait_seconds),
    };
    let mut form = Form {
        code: sent.field("code", problem),
        name: sent.field("name", problem),
        email: sent.field("email", problem),
        password: sent.secret("password", problem),
    };
    if problem.is_some_and(|problem| problem.code == "wrong_claim_code") {
        form.code.error = Some("This is not the code on the recorder's screen.".to_owned());
    }
    let waits = problem.and_then(|problem| problem.retry_after_seconds).or(Some(wait).filter(|wait| *wait > 0));
    let minutes = left.div_ceil(60);
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    let about = About { title: "Claim this recorder", nav: "claim", live: "" };
    let mut frame = chrome::chrome(app, None, visit, about);
    // What has no field of its own is told above the form.
    let has_place =
        problem.is_none_or(|problem| problem.field.is_some() || waits.is_some() || form.code.error.is_some());
    frame.flash.extend(problem.filter(|_| !has_place).map(super::parts::flash::of_problem));
    let view = View {
        chrome: frame,
        steps: steps(0),
        window: Window {
            is_open,
            minutes: WINDOW_MINUTES,
            text: format!("Claiming is possible for {minutes} more {unit}."),
        },
        wait_seconds: waits,
        form,
    };
    Ok(show_with(visit, again(problem), "pages/claim_owner.html", &view))
}

/// Makes whoever has the code the owner.
pub async fn claim(State(app): State<App>, door: Door, sent: Sent) -> Answer {
    Ok(blocking(move || {
        let zone = clock::zone();
        let asked = Claim {
            code: sent.text("code").to_owned(),
            name: sent.text("name").to_owned(),
            email: sent.text("email").to_owned(),
            password: sent.text("password").to_owned(),
            room: app.name(),
            time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        };
        match claim::claim(&app, &door.ctx, asked) {
            Ok(done) => {
                claim_test::keep_recovery_code(&app, &door.ctx, &done.cookie, done.recovery_code);
                let cookie = set_cookie(&done.cookie, door.visit.is_tls);
                Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/claim/room")).into_response())
            }
            Err(problem) => page(&app, &door.visit, &sent, Some(&problem)),
        }
    })
    .await??)
}
