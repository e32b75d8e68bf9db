//! Whether the process lives, is ready, and what each part says. Open to everyone: it tells no names.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::{App, blocking};

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// It is as it should be.
    pub is_ok: bool,
    /// For people.
    pub detail: String,
}

/// What was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// `ok` or `failing`.
    pub status: &'static str,
    /// Each check.
    pub checks: Vec<Check>,
}

/// Looks at everything. Readiness never depends on another machine.
pub fn look(app: &App) -> Report {
    let status = app.live.status();
    let records = app.store.rooms();
    let check = |name, is_ok, detail: String| Check { name, is_ok, detail };
    let checks = vec![
        match &status {
            Some(_) => check("recorder", true, "answers".into()),
            None => check("recorder", false, "does not answer: it records by its last orders if it runs".into()),
        },
        match &status {
            Some(status) if status.jack.is_connected => check("sound_server", true, "delivers".into()),
            _ => check("sound_server", false, "delivers nothing".into()),
        },
        match records {
            Ok(_) => check("records", true, "can be read".into()),
            Err(error) => check("records", false, error.to_string()),
        },
    ];
    let status = if checks.iter().all(|check| check.is_ok) { "ok" } else { "failing" };
    Report { status, checks }
}

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub async fn livez() -> &'static str {
    "ok\n"
}

/// The node can take requests: its records can be read.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Report), (status = 503, body = Report)))]
pub async fn readyz(State(app): State<App>) -> (StatusCode, Json<Report>) {
    answer(app, |check| check.name != "records" || check.is_ok).await
}

/// Everything is as it should be.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Report), (status = 503, body = Report)))]
pub async fn healthz(State(app): State<App>) -> (StatusCode, Json<Report>) {
    answer(app, |check| check.is_ok).await
}

async fn answer(app: App, is_needed: fn(&Check) -> bool) -> (StatusCode, Json<Report>) {
    let report = blocking(move || look(&app)).await.unwrap_or(Report { status: "failing", checks: Vec::new() });
    let is_ok = !report.checks.is_empty() && report.checks.iter().all(is_needed);
    (if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(report))
}
