//! Now: what the recorder does, whether it hears anything, and the buttons to start, stop, extend, mark and pause.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::parts::banner::Banner;
use super::parts::channels::{self, Named, Pick};
use super::parts::chrome::{self, About, Chrome, denied};
use super::parts::disk::{self, Disk};
use super::parts::field::{Choice, choices};
use super::parts::flash;
use super::parts::incident::{self, Incident};
use super::parts::meters::Meters;
use super::parts::row::{self, Row};
use super::parts::visit::{Guest, Visit};
use super::parts::words::{self, Clock};
use super::{Answer, Pieces, again, show_with};
use crate::domain::access::Permission;
use crate::store::recordings::Recording;
use crate::sys::clock as machine;
use crate::web::api::recordings::{self, Filter};
use crate::web::caller::Caller;
use crate::web::{App, Problem, blocking};

/// Recordings shown.
const RECENT: usize = 5;
/// Why the end of a recording cannot be moved.
pub(super) const NO_END: &str = "It runs until it is stopped.";

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// The buttons.
    pub transport: Transport,
    /// What is wrong.
    pub incidents: Vec<Incident>,
    /// Levels.
    pub meters: Meters,
    /// Live listening.
    pub listen: Listen,
    /// Room left.
    pub disk: Disk,
    /// The newest recordings.
    pub recent: Vec<Row>,
}

/// The buttons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// What runs.
    pub recordings: Vec<Running>,
    /// Why it cannot be stopped by whoever looks.
    pub control_denied: Option<String>,
    /// What can be started.
    pub start: Start,
}

/// A recording that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its page.
    pub url: String,
    /// Nothing is kept at present.
    pub is_paused: bool,
    /// Its length so far.
    pub elapsed_text: String,
    /// When it ends.
    pub ends_text: String,
    /// Why its end cannot be moved: it has none.
    pub extend_denied: Option<String>,
}

/// What can be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Why not.
    pub denied: Option<String>,
    /// What it is called if nobody says.
    pub default_title: String,
    /// What happens if nobody chooses.
    pub summary: String,
    /// Channels to choose.
    pub channels: Vec<Pick>,
    /// How it is rendered.
    pub profiles: Vec<Choice>,
    /// When it ends.
    pub durations: Vec<Choice>,
    /// When it begins.
    pub pre_rolls: Vec<Choice>,
}

/// Live listening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Why not.
    pub denied: Option<String>,
    /// Channels to hear.
    pub channels: Vec<Pick>,
    /// For a browser without script.
    pub fallback_url: String,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, None)).await??)
}

/// The page, with what went wrong if something was tried.
pub(super) fn page(app: &App, caller: &Caller, visit: &Visit, problem: Option<&Problem>) -> Result<Response, Problem> {
    let clock = chrome::room_clock(app);
    let known = channels::known(app);
    let about = About { title: "Now", nav: "now", live: "now,health" };
    let mut frame = chrome::chrome(app, Some(caller), visit, about);
    frame.flash.extend(problem.map(flash::of_problem));
    let view = View {
        transport: transport(app, caller, &clock, &known),
        incidents: incidents(app, caller, &clock)?,
        meters: Meters::of(&known, chrome::fresh_meters(app).as_deref().filter(|_| may_hear(app, caller))),
        listen: listen(app, caller, &known),
        disk: disk::look(app),
        recent: recent(app, caller, &clock, known.len())?,
        chrome: frame,
    };
    Ok(show_with(visit, again(problem), "pages/now.html", &view))
}

fn may_hear(app: &App, caller: &Caller) -> bool {
    denied(app, caller, Permission::NodeRead).is_none()
}

fn incidents(app: &App, caller: &Caller, clock: &Clock) -> Result<Vec<Incident>, Problem> {
    let cannot = denied(app, caller, Permission::HealthAcknowledge);
    Ok(incident::open(app, clock, incident::may_see(app, caller)?, cannot.as_ref()))
}

fn recent(app: &App, caller: &Caller, clock: &Clock, all: usize) -> Result<Vec<Row>, Problem> {
    if denied(app, caller, Permission::RecordingRead).is_some() {
        return Ok(Vec::new());
    }
    let node_id = Some(app.store.node().to_string());
    let newest = recordings::list(app, caller, &Filter { node_id, limit: Some(RECENT), ..Filter::default() })?;
    Ok(newest.items.iter().map(|view| Row::of(view, clock, all, None)).collect())
}

fn transport(app: &App, caller: &Caller, clock: &Clock, known: &[Named]) -> Transport {
    let status = app.live.status();
    let age_s = app.live.status_age(machine::mono_us()).unwrap_or(0.0);
    let running = status.iter().flat_map(|status| &status.recording).map(|take| {
        let recording = app.store.recording(take.id).ok().flatten();
        let title = recording.as_ref().map_or(take.title.as_str(), Recording::title);
        let (ends_text, extend_denied) =
            recording.as_ref().map_or_else(Default::default, |recording| ends(app, recording, clock));
        let seconds = status.as_ref().map_or(0, |status| super::parts::banner::elapsed(status, take, age_s));
        Running {
            id: take.id.to_string(),
            title: if title.trim().is_empty() { "Without a title".to_owned() } else { title.to_owned() },
            url: format!("/recordings/{}", take.id),
            is_paused: take.is_paused,
            elapsed_text: words::minutes(seconds / 60),
            ends_text,
            extend_denied,
        }
    });
    Transport {
        recordings: running.collect(),
        control_denied: denied(app, caller, Permission::RecordingControl),
        start: start(app, caller, clock, known),
    }
}

/// When it ends, and why that cannot be moved.
fn ends(app: &App, recording: &Recording, clock: &Clock) -> (String, Option<String>) {
    let planned = recordings::take(app, recording).and_then(|take| take.planned_seconds);
    let end = planned.and_then(|seconds| {
        let length = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
        recording.facts.started_at.checked_add(length).ok()
    });
    match end {
        Some(end) => {
            let at = row::within(&clock.day_and_time(end)).replacen("today, ", "", 1);
            (format!("Ends by itself at {at}."), None)
        }
        None => ("Runs until it is stopped.".to_owned(), Some(NO_END.to_owned())),
    }
}

fn start(app: &App, caller: &Caller, clock: &Clock, known: &[Named]) -> Start {
    let room = chrome::node(app).room;
    let all = if known.len() == 1 { "1 channel".to_owned() } else { format!("All {} channels", known.len()) };
    Start {
        denied: denied(app, caller, Permission::RecordingCreate),
        default_title: format!("{room}, {}", clock.form(clock.now, "%-d %B")),
        summary: format!("{all}, voice, until stopped"),
        channels: channels::picks(known, |_| true),
        profiles: choices(&[("voice", "Voice: Opus to listen, FLAC to keep")], "voice"),
        durations: choices(
            &[
                ("", "When stopped"),
                ("1800", "After 30 minutes"),
                ("3600", "After 1 hour"),
                ("7200", "After 2 hours"),
                ("14400", "After 4 hours"),
            ],
            "",
        ),
        pre_rolls: choices(
            &[("0", "At the press"), ("5", "5 s before the press"), ("10", "10 s before the press")],
            "0",
        ),
    }
}

fn listen(app: &App, caller: &Caller, known: &[Named]) -> Listen {
    let first = known.first().map_or(1, |channel| channel.number);
    let denied = denied(app, caller, Permission::ListenMonitor);
    Listen {
        denied: denied.map(|_| "Live listening needs the right listen:monitor.".to_owned()),
        channels: channels::picks(known, |number| number == first),
        fallback_url: format!("/api/v1/listen?channels={first}&format=ogg"),
    }
}

#[derive(Serialize)]
struct Live {
    banner: Banner,
    transport: Transport,
    incidents: Vec<Incident>,
    disk: Disk,
    recent: Vec<Row>,
}

/// What of the page is sent when it changes. Levels come by themselves.
pub(super) fn pieces(app: &App, caller: &Caller, pieces: &mut Pieces) -> Result<(), Problem> {
    let clock = chrome::room_clock(app);
    let known = channels::known(app);
    let live = Live {
        banner: chrome::banner(app, caller),
        transport: transport(app, caller, &clock, &known),
        incidents: incidents(app, caller, &clock)?,
        disk: disk::look(app),
        recent: recent(app, caller, &clock, known.len())?,
    };
    for id in ["banner", "transport", "disk", "incidents", "recent"] {
        pieces.add(id, id, &live)?;
    }
    Ok(())
}
