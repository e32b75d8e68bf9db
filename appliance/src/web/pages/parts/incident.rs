//! An incident as people read it: what happened, what it means for the recording, what to do.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::row::within;
use super::words::{self, Clock};
use crate::domain::watch::Severity;
use crate::store::recordings::{Query, Recording};
use crate::web::view::IncidentView;
use crate::web::{App, Problem};

/// How long before an incident playing begins, seconds.
const BEFORE_S: f64 = 10.0;
/// Recordings looked through for one that was running: more are not made in the time that open incidents last.
const LOOKED_THROUGH: usize = 50;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// Its place on the Health page.
    pub url: String,
    /// info, warning or critical.
    pub severity: String,
    /// The same as a word.
    pub severity_word: String,
    /// What happened.
    pub title: String,
    /// Where; empty is the whole node.
    pub target: String,
    /// When.
    pub opened_iso: String,
    /// When, in the room's words.
    pub opened_text: String,
    /// What was measured.
    pub evidence: Option<String>,
    /// What it means.
    pub means: String,
    /// What to do.
    pub todo: String,
    /// Somebody has seen it.
    pub is_acknowledged: bool,
    /// Who, with which note.
    pub acknowledged_text: Option<String>,
    /// Why nothing can be done about it by whoever looks.
    pub denied: Option<String>,
    /// Somebody must say that it is over.
    pub can_resolve: bool,
    /// Where to hear it.
    pub play_url: Option<String>,
    /// For how long it can be kept quiet.
    pub suppress: Vec<Quiet>,
}

/// A length of quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Minutes.
    pub minutes: u32,
    /// What the button says.
    pub label: String,
}

/// An incident that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// As above.
    pub id: String,
    /// As above.
    pub title: String,
    /// As above.
    pub target: String,
    /// As above.
    pub severity: String,
    /// As above.
    pub severity_word: String,
    /// As above.
    pub opened_iso: String,
    /// As above.
    pub opened_text: String,
    /// How long it lasted.
    pub duration_text: String,
    /// Who saw it.
    pub acknowledged_text: Option<String>,
    /// Where to hear it.
    pub play_url: Option<String>,
}

/// Those that are open and not kept quiet, the gravest first, then the newest.
pub fn open(app: &App, clock: &Clock, views: Vec<IncidentView>, denied: Option<&String>) -> Vec<Incident> {
    let recordings = lately(app, views.iter().map(|view| view.began_at).min());
    let mut told: Vec<IncidentView> = views.into_iter().filter(|view| view.suppressed_until.is_none()).collect();
    told.sort_by_key(|view| (std::cmp::Reverse(view.severity), std::cmp::Reverse(view.opened_at)));
    told.iter().map(|view| Incident::of(view, clock, &recordings, denied)).collect()
}

/// The newest recordings of this node, if there is anything to look for.
pub fn lately(app: &App, since: Option<Timestamp>) -> Vec<Recording> {
    if since.is_none() {
        return Vec::new();
    }
    let node = Some(app.store.node());
    let page = app.store.recordings(&Query { node, limit: LOOKED_THROUGH, ..Query::default() });
    page.map(|page| page.items).unwrap_or_default()
}

impl Incident {
    /// Of an incident, with recordings that may have it.
    pub fn of(view: &IncidentView, clock: &Clock, recordings: &[Recording], denied: Option<&String>) -> Self {
        let (severity, severity_word) = severity(view.severity);
        let note = Some(format!(": {}", view.note)).filter(|_| !view.note.is_empty()).unwrap_or_default();
        let seen = view.acknowledged_by.as_ref().map(|by| format!("Acknowledged by {by}{note}"));
        Self {
            id: view.id.clone(),
            url: format!("/health#incident-{}", view.id),
            severity: severity.to_owned(),
            severity_word: severity_word.to_owned(),
            title: view.title.clone(),
            target: target(view),
            opened_iso: clock.iso(view.opened_at),
            opened_text: within(&format!("{}, {}", clock.second(view.opened_at), clock.ago(view.opened_at))),
            evidence: evidence(view),
            means: view.means.clone(),
            todo: view.todo.clone(),
            is_acknowledged: seen.is_some(),
            acknowledged_text: seen,
            denied: denied.cloned(),
            can_resolve: ["render_failed", "clock_stepped"].contains(&view.kind.as_str()),
            play_url: play_url(view, recordings),
            suppress: vec![Quiet { minutes: 60, label: "Expected: quiet for 1 h".to_owned() }],
        }
    }
}

impl Past {
    /// Of an incident that is over.
    pub fn of(view: &IncidentView, clock: &Clock, recordings: &[Recording]) -> Self {
        let (severity, severity_word) = severity(view.severity);
        let lasted =
            view.closed_at.map(|end| end.duration_since(view.began_at).max(SignedDuration::ZERO).as_secs_f64());
        Self {
            id: view.id.clone(),
            title: view.title.clone(),
            target: target(view),
            severity: severity.to_owned(),
            severity_word: severity_word.to_owned(),
            opened_iso: clock.iso(view.opened_at),
            opened_text: clock.day_and_second(view.opened_at),
            duration_text: lasted.map_or_else(|| "lasts".to_owned(), |s| format!("lasted {}", words::length(s))),
            acknowledged_text: view.acknowledged_by.as_ref().map(|by| format!("acknowledged by {by}")),
            play_url: play_url(view, recordings),
        }
    }
}

fn severity(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Info => ("info", "Worth knowing"),
        Severity::Warning => ("warning", "Warning"),
        Severity::Critical => ("critical", "Critical"),
    }
}

/// The whole node needs no name on its own page.
fn target(view: &IncidentView) -> String {
    if view.target == "This recorder" { String::new() } else { view.target.clone() }
}

/// Lengths that grow are told to the minute at the finest: they stand beside the time it began.
fn evidence(view: &IncidentView) -> Option<String> {
    let times = (view.times > 1).then(|| format!("{} times", words::number(view.times)));
    let measure = Some(view.measure.clone()).filter(|text| !text.is_empty() && !text.starts_with("for "));
    let told: Vec<String> = measure.into_iter().chain(times).collect();
    (!told.is_empty()).then(|| format!("{}.", words::capital(&told.join(", "))))
}

/// Where a recording that ran then can be heard from.
fn play_url(view: &IncidentView, recordings: &[Recording]) -> Option<String> {
    let at = |recording: &Recording| {
        let seconds = view.began_at.duration_since(recording.facts.started_at).as_secs_f64();
        let length =
            if super::row::is_live(recording.facts.state) { f64::INFINITY } else { recording.facts.duration_seconds };
        (seconds >= 0.0 && seconds <= length && !recording.facts.is_gone).then_some((recording.id, seconds))
    };
    let (id, seconds) = recordings.iter().find_map(at)?;
    Some(format!("/recordings/{id}?t={:.0}", (seconds - BEFORE_S).max(0.0)))
}

/// Incidents as whoever looks may see them; none if they may not.
pub fn may_see(app: &App, caller: &crate::web::caller::Caller) -> Result<Vec<IncidentView>, Problem> {
    match crate::web::api::incidents::open(app, caller) {
        Err(problem) if problem.status == 403 || problem.status == 404 => Ok(Vec::new()),
        seen => seen,
    }
}
