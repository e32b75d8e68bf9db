//! The node: a check-up, its channels, its workers, disk, sound server, clock, key, PIN, versions.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::parts::channels::Naming;
use super::parts::chrome::{self, About, Chrome, denied};
use super::parts::disk::{self, Disk};
use super::parts::field::{Field, Sent};
use super::parts::flash::{self, Flash, of_problem};
use super::parts::visit::{Guest, Visit};
use super::parts::words::{self, Clock};
use super::{Answer, Pieces, again, claim_channels, show_with};
use crate::capture::status::Status;
use crate::domain::ClockQuality;
use crate::domain::access::Permission;
use crate::service::{WorkerState, WorkerStatus};
use crate::sys::clock as machine;
use crate::web::api::node::{NameEdit, put_name};
use crate::web::api::{may, settings, the_node};
use crate::web::caller::{Caller, Path};
use crate::web::{App, Problem, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// How long it runs.
    pub uptime_text: String,
    /// Room left.
    pub disk: Disk,
    /// A check-up.
    pub checks: Vec<Check>,
    /// Channels to name.
    pub channels: Vec<Naming>,
    /// Why nothing can be changed.
    pub manage_denied: Option<String>,
    /// Every loop of the node.
    pub workers: Vec<Worker>,
    /// The sound server.
    pub sound: Vec<Fact>,
    /// The clock.
    pub clock: Vec<Fact>,
    /// Its key.
    pub key: Vec<Fact>,
    /// What was typed.
    pub form: Form,
    /// The room's PIN.
    pub pin: Pin,
    /// Versions.
    pub versions: Vec<Fact>,
    /// What to do at the machine itself.
    pub hints: Vec<Hint>,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// good, warning, bad or unknown.
    pub state: String,
    /// The same as a word.
    pub word: String,
    #[allow(missing_docs)]
    pub title: String,
    /// What was seen.
    pub text: String,
    /// What to do.
    pub todo: Option<String>,
}

/// A loop of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    #[allow(missing_docs)]
    pub name: String,
    /// good, warning, bad or unknown.
    pub state: String,
    /// The same as a word.
    pub word: String,
    /// When it last did well, to the minute.
    pub last_run_text: String,
    /// What failed last, and when.
    pub last_error: String,
}

/// A fact with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub value: String,
}

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[allow(missing_docs)]
    pub name: Field,
    /// Never shown again.
    pub pin: Field,
}

/// The room's PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Says whether one is set.
    pub label: String,
}

/// Something to do at the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    #[allow(missing_docs)]
    pub text: String,
    #[allow(missing_docs)]
    pub command: String,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, None, None)).await??)
}

fn page(
    app: &App,
    caller: &Caller,
    visit: &Visit,
    sent: Option<&Sent>,
    problem: Option<&Problem>,
) -> Result<Response, Problem> {
    may(app, caller, Permission::NodeRead, &the_node(app)?)?;
    let clock = chrome::room_clock(app);
    let status = app.live.status();
    let about = About { title: "Node", nav: "node", live: "node" };
    let mut frame = chrome::chrome(app, Some(caller), visit, about);
    let has_place = problem
        .and_then(|problem| problem.field.as_deref())
        .is_some_and(|field| ["name", "pin", "label"].contains(&field));
    frame.flash.extend(problem.filter(|_| !has_place).map(of_problem));
    let error = |field: &str| super::claim_room::wrong(problem, field);
    let has_pin = app.access.has_pin().unwrap_or(false);
    let typed = sent.filter(|sent| sent.has("name")).map(|sent| sent.text("name").to_owned());
    let up_s = machine::mono_us().saturating_sub(app.started_us) as f64 / 1e6;
    let view = View {
        uptime_text: format!("up for {}", words::length(up_s)),
        disk: disk::look(app),
        checks: checks(app, status.as_deref()),
        channels: claim_channels::shown(app, sent, problem),
        manage_denied: denied(app, caller, Permission::NodeManage),
        workers: workers(app, &clock),
        sound: status.as_deref().map(sound).unwrap_or_default(),
        clock: time(status.as_deref(), &clock),
        key: vec![fact("SHA-256", app.identity.fingerprint())],
        form: Form {
            name: Field { error: error("name"), value: typed.unwrap_or_else(|| app.name()) },
            pin: Field { error: error("pin"), value: String::new() },
        },
        pin: Pin { label: if has_pin { "Room PIN (set)" } else { "Room PIN (none)" }.to_owned() },
        versions: versions(status.as_deref()),
        hints: hints(app),
        chrome: frame,
    };
    Ok(show_with(visit, again(problem), "pages/node.html", &view))
}

fn fact(name: &str, value: impl Into<String>) -> Fact {
    Fact { name: name.to_owned(), value: value.into() }
}

fn check(state: &str, title: &str, text: impl Into<String>, todo: Option<&str>) -> Check {
    let word = match state {
        "good" => "Good",
        "warning" => "Attention",
        "bad" => "Bad",
        _ => "Not known",
    };
    Check {
        state: state.to_owned(),
        word: word.to_owned(),
        title: title.to_owned(),
        text: text.into(),
        todo: todo.map(ToOwned::to_owned),
    }
}

fn checks(app: &App, status: Option<&Status>) -> Vec<Check> {
    let mut checks = vec![capture_check(status), server_check(status), clock_check(status)];
    checks.push(match app.store.rooms() {
        Ok(_) if app.alarms.is_empty() => {
            check("good", "Records", "can be read and were whole when the node started.", None)
        }
        Ok(_) => check("warning", "Records", app.alarms.join(" "), Some("Takes on disk are not touched by this.")),
        Err(error) => check(
            "bad",
            "Records",
            words::capital(&error.to_string()),
            Some("Recording goes on; look at the node's log."),
        ),
    });
    let (waiting, lost) = app.access.backlog().len();
    if waiting > 0 || lost > 0 {
        let text = format!("{waiting} entries wait to be written, {lost} were given up.");
        checks.push(check(
            if lost > 0 { "bad" } else { "warning" },
            "Journal",
            text,
            Some("It is written by itself when the disk takes it."),
        ));
    }
    checks
}

fn capture_check(status: Option<&Status>) -> Check {
    let Some(status) = status else {
        let todo = "It is started again by itself. If this stays, restart the node.";
        return check("bad", "Capture", "does not answer.", Some(todo));
    };
    let lost: u64 = status.lost_frames.values().sum();
    match (status.trouble.is_empty(), lost) {
        (true, 0) => check("good", "Capture", "answers, no frame lost since it was started.", None),
        (true, lost) => {
            let text = format!(
                "answers; {} lost since it was started. Each place is marked.",
                words::count(lost, "frame", "frames")
            );
            check("warning", "Capture", text, None)
        }
        (false, _) => check("bad", "Capture", status.trouble.join(" "), Some("See Health for what to do.")),
    }
}

fn server_check(status: Option<&Status>) -> Check {
    let Some(status) = status else {
        return check("unknown", "Sound server", "is not known while capture is silent.", None);
    };
    if !status.jack.is_connected {
        let todo = "Check that the audio interface has power and its cable is plugged in.";
        return check("bad", "Sound server", "delivers nothing.", Some(todo));
    }
    let (all, connected) =
        (status.channels.len(), status.channels.iter().filter(|channel| channel.is_connected).count());
    let text =
        format!("{} Hz, {connected} of {all} channels connected.", words::number(u64::from(status.jack.sample_rate)));
    match all == connected {
        true => check("good", "Sound server", text, None),
        false => {
            check("warning", "Sound server", text, Some("A channel without a source records silence, marked as a gap."))
        }
    }
}

fn clock_check(status: Option<&Status>) -> Check {
    let quality = status.map_or_else(|| machine::quality(machine::wall()), |status| status.clock.quality);
    match quality {
        ClockQuality::Ntp => check("good", "Clock", "is kept in step by a time server.", None),
        ClockQuality::Guessed => {
            let todo = "Give the node a time server it can reach.";
            check("warning", "Clock", "is plausible, but no time server keeps it in step.", Some(todo))
        }
        ClockQuality::Unset => {
            let todo = "Set the time, or give the node a time server it can reach.";
            check("bad", "Clock", "was never set: recordings carry a wrong time.", Some(todo))
        }
    }
}

fn workers(app: &App, clock: &Clock) -> Vec<Worker> {
    let worker = |worker: &WorkerStatus| {
        let (state, word) = match worker.state {
            WorkerState::Running | WorkerState::Waiting => ("good", "Working"),
            WorkerState::Failing => ("bad", "Failing"),
            WorkerState::Stopped => ("warning", "Stopped"),
        };
        let error = worker.last_error.as_ref().map(|(at, why)| format!("{}: {why}", clock.day_and_time(*at)));
        Worker {
            name: worker.name.to_owned(),
            state: state.to_owned(),
            word: word.to_owned(),
            last_run_text: worker.last_ok.map_or_else(|| "not yet".to_owned(), |at| clock.time(at)),
            last_error: error.unwrap_or_default(),
        }
    };
    app.workers.all().iter().map(worker).collect()
}

fn sound(status: &Status) -> Vec<Fact> {
    let connected = if status.jack.is_connected { "JACK, connected" } else { "JACK, not connected" };
    let lost = status.lost_frames.iter().map(|(cause, frames)| format!("{} ({cause})", words::number(*frames)));
    let lost: Vec<String> = lost.collect();
    let us = |value: Option<f64>| value.map_or_else(|| "not known".to_owned(), |us| format!("{us:.0} µs"));
    vec![
        fact("Server", connected),
        fact("Rate", format!("{} Hz", words::number(u64::from(status.jack.sample_rate)))),
        fact("Lost frames", if lost.is_empty() { "0 since capture was started".to_owned() } else { lost.join(", ") }),
        fact("Dropped by the server", words::count(status.load.xruns, "time", "times")),
        fact(
            "Callback",
            format!(
                "{} in half of all, {} in 999 of 1000",
                us(status.load.callback_p50_us),
                us(status.load.callback_p999_us)
            ),
        ),
    ]
}

fn time(status: Option<&Status>, clock: &Clock) -> Vec<Fact> {
    let zone = clock.zone.iana_name().unwrap_or("the machine's zone");
    let quality = match machine::quality(clock.now) {
        ClockQuality::Ntp => "kept in step by a time server",
        ClockQuality::Guessed => "plausible, not synchronised",
        ClockQuality::Unset => "never set",
    };
    let card = status
        .and_then(|status| status.clock.card_ppm)
        .map(|ppm| format!("{:.1} ppm {}", ppm.abs(), if ppm < 0.0 { "slow" } else { "fast" }));
    vec![
        fact("Now", format!("{}, {zone}", clock.second(clock.now))),
        fact("Quality", quality),
        fact("Sound card", card.unwrap_or_else(|| "not known yet".to_owned())),
    ]
}

fn versions(status: Option<&Status>) -> Vec<Fact> {
    let capture = status.map_or_else(|| "not known".to_owned(), |status| status.version.clone());
    let system = format!("{}, {}", words::capital(std::env::consts::OS), std::env::consts::ARCH);
    vec![fact("Rakkr", env!("CARGO_PKG_VERSION")), fact("Capture", capture), fact("System", system)]
}

fn hints(app: &App) -> Vec<Hint> {
    let data = app.data.path().display();
    let hint = |text: &str, command: String| Hint { text: text.to_owned(), command };
    vec![
        hint(
            "Back up settings, people, records and the audit journal (not the audio):",
            format!("rakkr backup --data-dir {data} rakkr-backup.tar"),
        ),
        hint("Look for trouble on the machine itself:", format!("rakkr doctor --data-dir {data}")),
    ]
}

/// `channels`, `name`, `pin`.
pub async fn act(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Path(act): Path<String>,
    sent: Sent,
) -> Answer {
    Ok(blocking(move || {
        let done = match act.as_str() {
            "channels" => claim_channels::keep(&app, &caller, &sent),
            "pin" => settings::set_pin(&app, &caller, Some(sent.text("pin").trim()).filter(|pin| !pin.is_empty())),
            "name" if sent.text("name").trim() == app.name() => Ok(()),
            "name" => put_name(&app, &caller, &NameEdit { name: sent.text("name").to_owned() }).map(|_| ()),
            _ => Err(Problem::not_found("page")),
        };
        match done {
            Ok(()) => Ok(flash::redirect("/node", Flash::new("saved"), visit.is_tls)),
            Err(problem) if problem.status == 404 => Err(problem),
            Err(problem) => page(
                &app,
                &caller,
                &visit,
                ["channels", "name"].contains(&act.as_str()).then_some(&sent),
                Some(&problem),
            ),
        }
    })
    .await??)
}

/// What of the page is sent when it changes.
pub(super) fn pieces(app: &App, caller: &Caller, pieces: &mut Pieces) -> Result<(), Problem> {
    #[derive(Serialize)]
    struct Live {
        disk: Disk,
        workers: Vec<Worker>,
    }
    may(app, caller, Permission::NodeRead, &the_node(app)?)?;
    let live = Live { disk: disk::look(app), workers: workers(app, &chrome::room_clock(app)) };
    pieces.add("disk", "disk", &live)?;
    pieces.add("workers", "workers", &live)
}
