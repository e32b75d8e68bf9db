//! interim
use std::collections::BTreeMap;
use super::{App, Problem};
use super::caller::Caller;
use axum::response::{IntoResponse, Response};
pub fn partials(_: &App, _: &Caller, _: &str) -> Result<BTreeMap<String, String>, Problem> { Ok(BTreeMap::new()) }
pub fn error(problem: Problem) -> Response { problem.into_response() }
