//! Health: the last day at a glance, what is wrong now, what is kept quiet, what is over.

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::parts::chrome::{self, About, Chrome, denied};
use super::parts::field::Sent;
use super::parts::flash::{self, Flash, of_problem};
use super::parts::incident::{self, Incident, Past};
use super::parts::visit::{Guest, Two, Visit, encoded, query_value};
use super::parts::words::{self, Clock};
use super::{Answer, Pieces, again, show_with};
use crate::domain::access::Permission;
use crate::domain::watch::Severity;
use crate::sys::clock as machine;
use crate::web::api::incidents::{self, Filter};
use crate::web::api::{may, the_node};
use crate::web::caller::Caller;
use crate::web::view::IncidentView;
use crate::web::{App, Problem, blocking};

/// Incidents that are over, on one page.
const PAGE: usize = 30;
/// Incidents and recordings that the ribbon is made of.
const LOOKED_AT: usize = 200;
/// Quarters of an hour in a day.
const CELLS: i64 = 96;
const CELL_S: i64 = 900;

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// All in a sentence.
    pub summary_text: String,
    /// The last day.
    pub ribbon: Ribbon,
    /// What is wrong.
    pub incidents: Vec<Incident>,
    /// What is kept quiet.
    pub suppressed: Vec<Quiet>,
    /// What is over.
    pub closed: Vec<Past>,
    /// The first page.
    pub newest_url: Option<String>,
    /// The next page.
    pub older_url: Option<String>,
}

/// A day in quarters of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ribbon {
    /// The same in a sentence.
    pub text: String,
    /// Oldest first.
    pub cells: Vec<Cell>,
    /// What stands below.
    pub hours: Vec<String>,
}

/// A quarter of an hour. Taller is graver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// none, idle, good, info, warning or critical.
    pub state: String,
    /// Its top.
    pub y: u32,
    /// Its height.
    pub height: u32,
    /// Time and state.
    pub title: String,
}

/// Something that is kept quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    #[allow(missing_docs)]
    pub title: String,
    #[allow(missing_docs)]
    pub target: String,
    /// Until when.
    pub until_text: String,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, None)).await??)
}

fn page(app: &App, caller: &Caller, visit: &Visit, problem: Option<&Problem>) -> Result<Response, Problem> {
    may(app, caller, Permission::HealthRead, &the_node(app)?)?;
    let clock = chrome::room_clock(app);
    let cursor = query_value(&visit.path, "cursor").filter(|cursor| !cursor.is_empty());
    let found = incidents::list(
        app,
        caller,
        &Filter { node_id: Some(app.store.node().to_string()), open: None, cursor: cursor.clone(), limit: Some(PAGE) },
    )?;
    let over: Vec<&IncidentView> = found.items.iter().filter(|view| view.closed_at.is_some()).collect();
    let recordings = incident::lately(app, over.iter().map(|view| view.began_at).min());
    let about = About { title: "Health", nav: "health", live: "health" };
    let mut frame = chrome::chrome(app, Some(caller), visit, about);
    frame.flash.extend(problem.map(of_problem));
    let cannot = denied(app, caller, Permission::HealthAcknowledge);
    let view = View {
        summary_text: summary(frame.counts),
        ribbon: ribbon(app, &clock),
        incidents: incident::open(app, &clock, incidents::open(app, caller)?, cannot.as_ref()),
        suppressed: quiet(&incidents::open(app, caller)?, &clock),
        closed: over.into_iter().map(|view| Past::of(view, &clock, &recordings)).collect(),
        newest_url: cursor.is_some().then(|| "/health".to_owned()),
        older_url: found.next.map(|cursor| format!("/health?cursor={}", encoded(&cursor))),
        chrome: frame,
    };
    Ok(show_with(visit, again(problem), "pages/health.html", &view))
}

fn summary(counts: chrome::Counts) -> String {
    match (counts.incidents, counts.critical) {
        (0, _) => "All is well".to_owned(),
        (open, 0) => format!("{open} open"),
        (open, 1) => format!("{open} open, 1 of them critical"),
        (open, critical) => format!("{open} open, {critical} of them critical"),
    }
}

fn quiet(views: &[IncidentView], clock: &Clock) -> Vec<Quiet> {
    let line = |view: &IncidentView| {
        let until = view.suppressed_until?;
        let until_text = format!("until {}", clock.time(until));
        Some(Quiet { title: view.title.clone(), target: view.target.clone(), until_text })
    };
    views.iter().filter_map(line).collect()
}

/// A stretch of time in which something was.
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    state: Tone,
}

/// What can be said of a quarter of an hour, the graver the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tone {
    None,
    Idle,
    Good,
    Info,
    Warning,
    Critical,
}

fn ribbon(app: &App, clock: &Clock) -> Ribbon {
    let up_s = machine::mono_us().saturating_sub(app.started_us) / 1_000_000;
    let began = clock.now.checked_sub(SignedDuration::from_secs(i64::try_from(up_s).unwrap_or(0))).unwrap_or(clock.now);
    let mut all = vec![Stretch { from: began, to: clock.now, state: Tone::Idle }];
    let recordings = incident::lately(app, Some(clock.now));
    all.extend(recordings.iter().map(|recording| {
        let facts = &recording.facts;
        let length = SignedDuration::try_from_secs_f64(facts.duration_seconds).unwrap_or(SignedDuration::ZERO);
        let end = facts.started_at.checked_add(length).unwrap_or(clock.now);
        Stretch { from: facts.started_at, to: end, state: Tone::Good }
    }));
    let known = app.store.incidents(Some(app.store.node()), None, LOOKED_AT).map(|page| page.items).unwrap_or_default();
    all.extend(known.iter().chain(app.live.incidents().iter()).map(|known| {
        let incident = &known.incident;
        let state = match incident.severity {
            Severity::Info => Tone::Info,
            Severity::Warning => Tone::Warning,
            Severity::Critical => Tone::Critical,
        };
        Stretch { from: incident.began_at, to: incident.closed.map_or(clock.now, |closed| closed.at), state }
    }));
    drawn(&all, clock)
}

/// Cells begin at whole quarters of an hour, so that the picture changes four times an hour and not each second.
fn drawn(all: &[Stretch], clock: &Clock) -> Ribbon {
    let last = clock.now.as_second().div_euclid(CELL_S) * CELL_S;
    let at = |second| Timestamp::from_second(second).unwrap_or(clock.now);
    let state_of = |from: Timestamp| {
        let to = at(from.as_second() + CELL_S);
        all.iter().filter(|s| s.from < to && s.to >= from).map(|s| s.state).max().unwrap_or(Tone::None)
    };
    let starts: Vec<Timestamp> = (0..CELLS).map(|cell| at(last - (CELLS - 1 - cell) * CELL_S)).collect();
    let states: Vec<Tone> = starts.iter().map(|from| state_of(*from)).collect();
    let count = |state: Tone| states.iter().filter(|s| **s == state).count() as u64;
    let quarters = |n| words::count(n, "quarter of an hour", "quarters of an hour");
    let text = match (count(Tone::Critical), count(Tone::Warning)) {
        (0, 0) => "Health of the last 24 hours: nothing grave".to_owned(),
        (0, warning) => format!("Health of the last 24 hours: {} with warnings", quarters(warning)),
        (critical, warning) => {
            format!(
                "Health of the last 24 hours: {} with something critical, {} with warnings",
                quarters(critical),
                quarters(warning)
            )
        }
    };
    let marks = (0..=6).map(|mark| clock.time(at(last + CELL_S - (6 - mark) * 4 * 3_600)));
    Ribbon {
        text: format!("{text}."),
        cells: starts.iter().zip(&states).map(|(from, state)| cell(*state, &clock.time(*from))).collect(),
        hours: marks.collect(),
    }
}

fn cell(state: Tone, time: &str) -> Cell {
    let (key, word, y, height) = match state {
        Tone::None => ("none", "not known", 29, 2),
        Tone::Idle => ("idle", "idle", 25, 6),
        Tone::Good => ("good", "recorded well", 20, 11),
        Tone::Info => ("info", "worth knowing", 15, 16),
        Tone::Warning => ("warning", "warning", 10, 21),
        Tone::Critical => ("critical", "critical", 2, 29),
    };
    Cell { state: key.to_owned(), y, height, title: format!("{time}: {word}") }
}

/// Takes notice of an incident, keeps it quiet, says that it is over.
pub async fn act(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Two(id, act): Two<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || {
        let note = sent.text("note").trim();
        let done = match act.as_str() {
            "acknowledge" => incidents::acknowledge(&app, &caller, &id, note).map(|_| "acknowledged"),
            "suppress" => minutes(&sent)
                .and_then(|minutes| incidents::suppress(&app, &caller, &id, minutes, note))
                .map(|_| "suppressed"),
            "resolve" => incidents::resolve(&app, &caller, &id, note).map(|_| "resolved"),
            _ => Err(Problem::not_found("act")),
        };
        match done {
            Ok(code) => Ok(flash::redirect(&visit.back_or("/health"), Flash::new(code), visit.is_tls)),
            Err(problem) if problem.status == 404 => Err(problem),
            Err(problem) if visit.came_from.as_deref() == Some("/") => {
                super::now::page(&app, &caller, &visit, Some(&problem))
            }
            Err(problem) => page(&app, &caller, &visit, Some(&problem)),
        }
    })
    .await??)
}

fn minutes(sent: &Sent) -> Result<u32, Problem> {
    sent.text("minutes").trim().parse().map_err(|_| Problem::unprocessable("minutes", "a number of minutes"))
}

/// What of the page is sent when it changes.
pub(super) fn pieces(app: &App, caller: &Caller, pieces: &mut Pieces) -> Result<(), Problem> {
    #[derive(Serialize)]
    struct Live {
        ribbon: Ribbon,
        incidents: Vec<Incident>,
    }
    let clock = chrome::room_clock(app);
    let cannot = denied(app, caller, Permission::HealthAcknowledge);
    let incidents = incident::open(app, &clock, incident::may_see(app, caller)?, cannot.as_ref());
    let live = Live { ribbon: ribbon(app, &clock), incidents };
    pieces.add("incidents", "incidents", &live)?;
    pieces.add("ribbon", "ribbon", &live)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn the_ribbon_shows_the_gravest_and_says_what_is_not_known() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let clock = Clock { now: at("2026-11-21T10:34:00Z"), zone: TimeZone::UTC };
        let stretch = |from: &str, to: &str, state| Stretch { from: at(from), to: at(to), state };
        let ribbon = drawn(
            &[
                stretch("2026-11-21T08:00:00Z", "2026-11-21T10:34:00Z", Tone::Idle),
                stretch("2026-11-21T09:02:00Z", "2026-11-21T10:34:00Z", Tone::Good),
                stretch("2026-11-21T10:31:00Z", "2026-11-21T10:32:00Z", Tone::Critical),
            ],
            &clock,
        );
        let state = |title: &str| {
            ribbon.cells.iter().find(|cell| cell.title.starts_with(title)).map(|cell| cell.state.as_str())
        };
        assert_eq!(ribbon.cells.len(), 96);
        assert_eq!(ribbon.cells.last().map(|cell| cell.title.as_str()), Some("10:30: critical"));
        assert_eq!([state("10:15"), state("08:30"), state("07:30")], [Some("good"), Some("idle"), Some("none")]);
        assert_eq!((ribbon.hours.first().map(String::as_str), ribbon.hours.len()), (Some("10:45"), 7));
    }
}
