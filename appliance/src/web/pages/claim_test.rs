//! Claiming, fourth step: ten seconds recorded as in a session and heard back; then the recovery code, once.
//!
//! The code and which recording is the test live in memory only, for a few sessions. After a restart of the node the code
//! is gone and the wizard ends without it; the owner can have a new one made.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::claim_owner::{Step, steps};
use super::parts::channels;
use super::parts::chrome::{self, About, Chrome};
use super::parts::flash::{self, Flash};
use super::parts::meters::Meters;
use super::parts::row::Remark;
use super::parts::visit::{Guest, Visit};
use super::parts::words;
use super::{Answer, Pieces, again, show_with};
use crate::access::{Ctx, Shown};
use crate::domain::{TakeId, TakeState};
use crate::sys::clock;
use crate::web::api::recordings::{self, Start};
use crate::web::caller::{Caller, Path};
use crate::web::view::{MeasuredView, RecordingDetail};
use crate::web::{App, Problem, blocking};

/// How often a browser without script looks whether the test is over.
const AGAIN_SECONDS: u32 = 2;
/// Length of the test.
const SECONDS: u64 = 10;
/// Sessions for which something is kept.
const KEPT_MAX: usize = 4;
/// Under this peak nothing was there but the converter's own noise, dBFS.
const NOTHING_DBFS: f32 = -85.0;
/// Under this peak a voice would be lost in noise, dBFS.
const QUIET_DBFS: f32 = -45.0;

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// How far claiming is.
    pub steps: Vec<Step>,
    /// Levels.
    pub meters: Meters,
    /// The test.
    pub test: Test,
    /// All is done.
    pub done: Option<Done>,
}

/// The test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// ready, recording or heard.
    pub state: String,
    /// How long it still runs.
    pub seconds_left: u64,
    /// What came of it.
    pub verdict: String,
    /// Where to hear it.
    pub audio_url: String,
    /// Channel by channel.
    pub findings: Vec<Remark>,
}

/// What to keep in a safe place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Shown once.
    pub recovery_code: String,
    /// Whose it is.
    pub owner: String,
    /// When it was made.
    pub date_text: String,
}

struct Kept {
    session: String,
    recovery_code: Option<String>,
    test: Option<TakeId>,
}

static KEPT: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());

fn kept() -> MutexGuard<'static, VecDeque<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes what is kept for a session; the oldest gives way to a fifth.
fn keep<T>(session: &str, change: impl FnOnce(&mut Kept) -> T) -> T {
    let mut all = kept();
    let mine = all.iter().position(|kept| kept.session == session).and_then(|place| all.remove(place));
    let mut mine = mine.unwrap_or_else(|| Kept { session: session.to_owned(), recovery_code: None, test: None });
    let answer = change(&mut mine);
    all.push_back(mine);
    if all.len() > KEPT_MAX {
        all.pop_front();
    }
    answer
}

fn session_of(caller: &Caller) -> &str {
    caller.actor.session.as_deref().unwrap_or_default()
}

/// Keeps a recovery code for the session that has just begun, until it was shown.
pub(super) fn keep_recovery_code(app: &App, ctx: &Ctx, cookie: &str, code: String) {
    let actor = app.access.authenticate(ctx, Shown::Cookie(cookie));
    if let Some(session) = actor.ok().and_then(|actor| actor.session) {
        keep(&session, |kept| kept.recovery_code = Some(code));
    }
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, None)).await?)
}

fn page(app: &App, caller: &Caller, visit: &Visit, problem: Option<&Problem>) -> Response {
    let is_done = visit.path.ends_with("?done=1");
    let code = keep(session_of(caller), |kept| kept.recovery_code.clone());
    let done = code.filter(|_| is_done).map(|recovery_code| Done {
        recovery_code,
        owner: caller.actor.named.name.clone(),
        date_text: chrome::room_clock(app).date(caller.ctx.now.wall),
    });
    if is_done && done.is_none() {
        return flash::redirect("/", Flash::new("claimed"), visit.is_tls);
    }
    let known = channels::known(app);
    let mut frame = chrome::chrome(app, None, visit, About { title: "Test recording", nav: "claim", live: "claim" });
    frame.flash.extend(problem.map(flash::of_problem));
    let test = test(app, caller);
    // Without script the page asks again until the test is over.
    frame.page.refresh_seconds = (test.state == "recording").then_some(AGAIN_SECONDS);
    let view = View {
        chrome: frame,
        steps: steps(if done.is_some() { 4 } else { 3 }),
        meters: Meters::of(&known, chrome::fresh_meters(app).as_deref()),
        test,
        done,
    };
    show_with(visit, again(problem), "pages/claim_test.html", &view)
}

fn test(app: &App, caller: &Caller) -> Test {
    let id = keep(session_of(caller), |kept| kept.test);
    let found = id.and_then(|id| recordings::detail(app, caller, id).ok());
    let blank = |state: &str, seconds_left| Test {
        state: state.to_owned(),
        seconds_left,
        verdict: String::new(),
        audio_url: String::new(),
        findings: Vec::new(),
    };
    let Some(detail) = found else { return blank("ready", SECONDS) };
    match detail.recording.state {
        TakeState::Scheduled | TakeState::Recording | TakeState::Paused | TakeState::Finishing => {
            blank("recording", SECONDS.saturating_sub(passed(app, id)))
        }
        TakeState::Ready | TakeState::Incomplete | TakeState::Failed => heard(&detail),
    }
}

/// Seconds that the test has run.
fn passed(app: &App, id: Option<TakeId>) -> u64 {
    let Some(status) = app.live.status() else { return 0 };
    let age_s = app.live.status_age(clock::mono_us()).unwrap_or(0.0);
    let take = status.recording.iter().find(|take| Some(take.id) == id);
    take.map_or(0, |take| super::parts::banner::elapsed(&status, take, age_s))
}

fn heard(detail: &RecordingDetail) -> Test {
    let recording = &detail.recording;
    let label = |number: u16| {
        let channel = recording.channels.iter().find(|channel| channel.number == number);
        channel
            .map(|channel| channel.label.clone())
            .filter(|label| !label.is_empty())
            .unwrap_or_else(|| format!("Channel {number}"))
    };
    let finding = |measured: &MeasuredView| {
        let (label, peak) = (label(measured.number), measured.peak_dbfs);
        let (kind, text) = match peak {
            peak if peak <= NOTHING_DBFS => {
                ("trouble", format!("{label}: no signal at all. Check its switch and its cable."))
            }
            _ if measured.clipped > 0 => {
                ("trouble", format!("{label}: too loud, its peaks are cut off. Turn its gain down."))
            }
            peak if peak < QUIET_DBFS => ("trouble", format!("{label}: very quiet, peak {peak:.0} dBFS")),
            peak => ("ready", format!("{label}: peak {peak:.0} dBFS")),
        };
        Remark { kind: kind.to_owned(), text }
    };
    let alive = detail.measured.iter().filter(|measured| measured.peak_dbfs > NOTHING_DBFS).count();
    let verdict = match recording.state {
        TakeState::Failed => "Nothing was recorded: no audio arrived.".to_owned(),
        _ if detail.measured.is_empty() => format!("{} recorded.", words::length(recording.duration_seconds)),
        _ => {
            let all = words::count(detail.measured.len() as u64, "channel", "channels");
            format!("{} recorded, sound on {alive} of {all}.", words::length(recording.duration_seconds))
        }
    };
    Test {
        state: "heard".to_owned(),
        seconds_left: SECONDS,
        verdict,
        audio_url: format!("/api/v1/recordings/{}/file?format=opus", recording.id),
        findings: detail.measured.iter().map(finding).collect(),
    }
}

/// `start` records the test, `keep` goes on to the end.
pub async fn act(State(app): State<App>, Guest { caller, visit }: Guest, Path(act): Path<String>) -> Answer {
    Ok(blocking(move || match act.as_str() {
        "start" => Ok(match start(&app, &caller) {
            Ok(id) => {
                keep(session_of(&caller), |kept| kept.test = Some(id));
                Redirect::to("/claim/test").into_response()
            }
            Err(problem) => page(&app, &caller, &visit, Some(&problem)),
        }),
        "keep" => Ok(Redirect::to("/claim/test?done=1").into_response()),
        _ => Err(Problem::not_found("step")),
    })
    .await??)
}

fn start(app: &App, caller: &Caller) -> Result<TakeId, Problem> {
    let order =
        Start { title: "Test recording".to_owned(), duration_seconds: Some(SECONDS as f64), ..Start::default() };
    let detail = recordings::start(app, caller, order)?;
    detail.recording.id.parse().map_err(|why: String| Problem::internal(&why))
}

/// The code was kept in a safe place: it is forgotten here.
pub async fn finish(State(_): State<App>, Guest { caller, visit }: Guest) -> Answer {
    keep(session_of(&caller), |kept| kept.recovery_code = None);
    Ok(flash::redirect("/", Flash::new("claimed"), visit.is_tls))
}

/// What of the page is sent when it changes.
pub(super) fn pieces(app: &App, caller: &Caller, pieces: &mut Pieces) -> Result<(), Problem> {
    #[derive(Serialize)]
    struct Live {
        test: Test,
    }
    pieces.add("claim-test", "claim_test_state", &Live { test: test(app, caller) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_code_gives_way_to_a_fifth() {
        for session in ["a", "b", "c", "d", "e"] {
            keep(session, |kept| kept.recovery_code = Some(session.to_owned()));
        }
        assert_eq!(kept().len(), KEPT_MAX);
        assert_eq!(keep("e", |kept| kept.recovery_code.clone()), Some("e".to_owned()));
        assert_eq!(keep("a", |kept| kept.recovery_code.clone()), None);
    }
}
