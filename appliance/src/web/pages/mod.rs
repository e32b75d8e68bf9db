//! interim
use super::caller::Caller;
use super::{App, Problem};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
pub fn partials(_: &App, _: &Caller, _: &str) -> Result<BTreeMap<String, String>, Problem> {
    Ok(BTreeMap::new())
}
pub fn error(problem: Problem) -> Response {
    problem.into_response()
}
