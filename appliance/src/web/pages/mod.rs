//! Pages: a file, a template, a view of exactly the shape of its fixtures. The template decides nothing.
//!
//! A handler parses, gets who visits, calls the same function as the API, renders. A form answers with 303 to where the
//! person was, or with the same page, a 4xx and what was typed. Pieces of pages for live streams are [`partials`].

pub mod api;
pub mod audit;
pub mod claim_channels;
pub mod claim_owner;
pub mod claim_room;
pub mod claim_test;
pub mod error;
pub mod fleet;
pub mod health;
pub mod help;
pub mod join;
pub mod login;
pub mod node;
pub mod now;
pub mod parts;
pub mod people;
pub mod recording;
pub mod recordings;
pub mod settings;
pub mod wall;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use self::parts::chrome;
use self::parts::flash;
use self::parts::visit::Visit;
use super::api::can_do;
use super::caller::Caller;
use super::pieces::Pieces;
use super::{App, NoPage, Problem, render};
use crate::domain::access::Permission;

pub use error::error;

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        error(self.0)
    }
}

/// What a page's handler answers.
pub type Answer = Result<Response, NoPage>;

/// Renders any template: for tests of templates with their fixtures.
///
/// # Errors
/// A sentence: template and view do not fit.
pub fn render(template: &str, view: &impl Serialize) -> Result<String, String> {
    render::render(template, view)
}

/// A page, to whoever visits; what was to be said once is said.
fn show(visit: &Visit, template: &str, view: &impl Serialize) -> Response {
    show_with(visit, StatusCode::OK, template, view)
}

/// The same with a status.
fn show_with(visit: &Visit, status: StatusCode, template: &str, view: &impl Serialize) -> Response {
    flash::said(render::page_with(status, template, view), visit.flash.as_ref(), visit.is_tls)
}

/// The status of a page that is shown again because of a problem.
fn again(problem: Option<&Problem>) -> StatusCode {
    problem.map_or(StatusCode::OK, Problem::status)
}

/// Adds the pieces of a page that change while it is looked at, by the id of what they take the place of. Topics are parted
/// by commas: now, recordings, recordings:<newest id shown>, recording:<id>, health, node, claim, fleet, wall,
/// wall:<filter>.
///
/// # Errors
/// Nobody may see it, or there is no such topic.
pub fn partials(app: &App, caller: &Caller, topics: &str, pieces: &mut Pieces) -> Result<(), Problem> {
    let counts = chrome::counts(app);
    pieces.add("health-badge", "health_badge", &BTreeMap::from([("counts", counts)]))?;
    for topic in topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()) {
        match topic.split_once(':') {
            None if topic == "now" => now::pieces(app, caller, pieces)?,
            None if topic == "claim" => claim_test::pieces(app, caller, pieces)?,
            None if topic == "recordings" => recordings::pieces(app, caller, None, pieces)?,
            None if topic == "health" => health::pieces(app, caller, pieces)?,
            None if topic == "node" => node::pieces(app, caller, pieces)?,
            Some(("recordings", shown)) => recordings::pieces(app, caller, Some(shown), pieces)?,
            None if topic == "fleet" => fleet::pieces(app, caller, pieces)?,
            None if topic == "wall" => wall::pieces(app, caller, "", pieces)?,
            Some(("wall", filter)) => wall::pieces(app, caller, filter, pieces)?,
            Some(("recording", id)) => recording::pieces(app, caller, id, pieces)?,
            _ => return Err(Problem::not_found("topic")),
        }
    }
    if !topics.split(',').any(|topic| topic == "now") && can_do(app, caller, Permission::RecordingRead) {
        let banner = chrome::banner(app, caller);
        pieces.add("banner-strip", "banner_strip", &BTreeMap::from([("banner", banner)]))?;
    }
    if !["fleet", "wall"].iter().any(|page| topics.starts_with(page)) {
        let fleet = chrome::fleet(app, caller);
        pieces.add("fleet-strip", "fleet_strip", &BTreeMap::from([("fleet", fleet)]))?;
    }
    Ok(())
}
