//! One recording: played, marked, named, taken away, stopped, deleted and brought back.
//!
//! Every button of every page that concerns a recording posts here.

pub mod view;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use self::view::{Conflict, Difference, Head, Mark, Rendition, Value, View};
use super::parts::chrome::{self, About, denied};
use super::parts::field::Sent;
use super::parts::flash::{self, Flash, of_problem};
use super::parts::row::{State as RowState, is_live, title};
use super::parts::visit::{Guest, Two, Visit, query_value};
use super::parts::words::{self, Clock};
use super::{Answer, Pieces, again, show_with};
use crate::domain::access::Permission;
use crate::domain::{Channels, TakeId};
use crate::service::render::{COPY, COPY_PART};
use crate::store::Id;
use crate::web::api::fleet;
use crate::web::api::recordings::{self, Edit, Start};
use crate::web::caller::{Caller, Path};
use crate::web::view::RecordingDetail;
use crate::web::whose::Whose;
use crate::web::{App, Problem, blocking};

/// How much longer a press on "+15 min" makes it, if the form does not say.
const EXTEND_SECONDS: f64 = 900.0;
/// How far a mark's place may lie from the present, seconds: the time it takes to type.
const MARK_NEAR_SECONDS: f64 = 60.0;

/// Shows the page; `?t=` is where to begin.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest, Path(id): Path<TakeId>) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, id, None)).await??)
}

fn page(app: &App, caller: &Caller, visit: &Visit, id: TakeId, problem: Option<&Problem>) -> Result<Response, Problem> {
    let detail = recordings::detail(app, caller, id)?;
    let clock = chrome::room_clock(app);
    let heading = title(&detail.recording, &clock);
    let live = format!("recording:{id}");
    let about = About { title: &heading, nav: "recordings", live: &live };
    let mut frame = chrome::chrome(app, Some(caller), visit, about);
    let conflict = problem.and_then(|problem| conflict(problem, &detail, &clock));
    frame.flash.extend(problem.filter(|_| conflict.is_none()).map(of_problem));
    let (segments_text, segments) = view::segments(app, id, &detail);
    let view = View {
        recording: Head::of(app, caller, &detail, &clock),
        conflict,
        player: view::player(app, caller, &detail, place_of(&visit.path)),
        marks: view::marks(&detail),
        mark_denied: mark_denied(app, caller, &detail),
        mark_at_placeholder: "now".to_owned(),
        channels: view::channels(&detail),
        segments_text,
        segments,
        custody: view::custody(app, caller, &detail, &clock),
        edit: view::edit(app, caller, &detail),
        download: view::download(app, caller, &detail),
        renditions: renditions(app, id, &detail),
        delete_denied: denied(app, caller, Permission::RecordingDelete)
            .or_else(|| detail.recording.is_held.then(|| "It is held: the hold must be lifted first.".to_owned())),
        control_denied: denied(app, caller, Permission::RecordingControl)
            .or_else(|| view::out_of_reach(app, caller, &detail)),
        elsewhere: view::other_node(app, &detail),
        chrome: frame,
    };
    Ok(show_with(visit, again(problem), "pages/recording.html", &view))
}

/// `?t=` of a path.
fn place_of(path: &str) -> f64 {
    query_value(path, "t")
        .and_then(|value| value.parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite())
        .unwrap_or(0.0)
}

fn mark_denied(app: &App, caller: &Caller, detail: &RecordingDetail) -> Option<String> {
    let over = (!is_live(detail.recording.state)).then(|| "Marks are set while it is recorded.".to_owned());
    denied(app, caller, Permission::RecordingControl).or_else(|| view::out_of_reach(app, caller, detail)).or(over)
}

fn renditions(app: &App, id: TakeId, detail: &RecordingDetail) -> Vec<Rendition> {
    if view::elsewhere(app, detail).is_some() {
        return Vec::new();
    }
    let size = |name: &str| std::fs::metadata(app.data.render(id).join(name)).ok().map(|file| file.len());
    let listen = match (size(COPY), size(COPY_PART)) {
        (Some(bytes), _) => format!("Opus, {}, ready", words::bytes(bytes)),
        (None, Some(_)) if is_live(detail.recording.state) => "Opus, grows with the recording".to_owned(),
        (None, Some(_)) => "Opus, being made".to_owned(),
        (None, None) => "Opus, not made yet".to_owned(),
    };
    vec![Rendition { name: "Listening copy".to_owned(), detail: listen }]
}

/// Of a stale edit: both versions.
fn conflict(problem: &Problem, detail: &RecordingDetail, clock: &Clock) -> Option<Conflict> {
    let yours = problem.yours.as_deref()?;
    problem.current.as_ref()?;
    let text = |field: &str| match yours.get(field) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(tags)) => {
            tags.iter().filter_map(|tag| tag.as_str()).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    };
    let theirs = &detail.recording;
    let fields = [
        ("title", "Title", title(theirs, clock)),
        ("folder", "Folder", theirs.folder.clone()),
        ("tags", "Tags", theirs.tags.join(", ")),
        ("notes", "Notes", theirs.notes.clone()),
    ];
    let differs = fields.iter().filter(|(name, _, theirs)| text(name) != *theirs);
    let row = |(name, label, theirs): &(&str, &str, String)| Difference {
        label: (*label).to_owned(),
        mine: text(name),
        theirs: theirs.clone(),
    };
    Some(Conflict {
        text: "Changed by somebody else while you were writing".to_owned(),
        version: theirs.version.clone(),
        rows: differs.map(row).collect(),
        mine: fields.iter().map(|(name, _, _)| Value { name: (*name).to_owned(), value: text(name) }).collect(),
    })
}

/// Starts one; what went wrong is told where the button is.
pub async fn start(State(app): State<App>, Guest { caller, visit }: Guest, sent: Sent) -> Answer {
    Ok(blocking(move || match order(&sent).and_then(|order| recordings::start(&app, &caller, order)) {
        Ok(started) => {
            Ok(flash::redirect(&visit.back_or("/"), Flash::about("started", started.recording.id), visit.is_tls))
        }
        Err(problem) => super::now::page(&app, &caller, &visit, Some(&problem)),
    })
    .await??)
}

fn order(sent: &Sent) -> Result<Start, Problem> {
    let number = |field: &'static str| match sent.text(field).trim() {
        "" => Ok(None),
        text => {
            let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            seconds.map(Some).ok_or_else(|| Problem::unprocessable(field, "a number of seconds"))
        }
    };
    let chosen: Vec<&str> = sent.all("channels").collect();
    let channels = match chosen.is_empty() {
        true => Channels::All,
        false => chosen.join(",").parse().map_err(|why: String| Problem::unprocessable("channels", why))?,
    };
    Ok(Start {
        title: sent.text("title").trim().to_owned(),
        channels,
        profile: Some(sent.text("profile").to_owned()).filter(|profile| !profile.is_empty()),
        pre_roll_seconds: number("pre_roll_seconds")?.unwrap_or(0.0),
        duration_seconds: number("duration_seconds")?,
        ..Start::default()
    })
}

/// All else that a button does to one.
pub async fn act(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Two(id, act): Two<TakeId>,
    sent: Sent,
) -> Answer {
    let carried = match order_there(&act, &sent) {
        None => None,
        Some((what, body, code)) => {
            let (at, who, said) = (app.clone(), caller.clone(), sent.clone());
            let there = blocking(move || there(&at, &who, id, code, &said)).await?;
            let path = format!("/api/v1/recordings/{id}/{what}");
            match there {
                Ok(None) => None,
                Ok(Some(node)) => Some(fleet::tell_there(&app, &caller, node, &path, &body).await.map(|()| code)),
                Err(problem) => Some(Err(problem)),
            }
        }
    };
    Ok(blocking(move || {
        let done = carried.unwrap_or_else(|| run(&app, &caller, id, &act, &sent));
        let home = format!("/recordings/{id}");
        match done {
            Ok(code) if code == "saved" => Ok(flash::redirect(&home, Flash::about(code, id), visit.is_tls)),
            Ok(code) => Ok(flash::redirect(&visit.back_or(&home), Flash::about(code, id), visit.is_tls)),
            Err(problem) if problem.status == 404 => Err(problem),
            Err(problem) if visit.came_from.as_deref() == Some("/") => {
                super::now::page(&app, &caller, &visit, Some(&problem))
            }
            Err(problem) => page(&app, &caller, &visit, id, Some(&problem)),
        }
    })
    .await??)
}

/// The other node that has the recording and can be asked.
fn there(app: &App, caller: &Caller, id: TakeId, code: &str, sent: &Sent) -> Result<Option<Id>, Problem> {
    let node = Whose::of(&recordings::find(app, caller, id)?).in_reach(app, caller);
    if node.is_some() && code == "marked" {
        check_place(app, caller, id, sent.text("at_seconds"))?;
    }
    Ok(node)
}

/// What only the node can do that has it: how its API calls it, with which body, and what is said when it is done.
fn order_there(act: &str, sent: &Sent) -> Option<(&'static str, serde_json::Value, &'static str)> {
    Some(match act {
        "stop" => ("stop", json!({}), "stopped"),
        "extend" => ("extend", json!({ "seconds": longer(sent) }), "extended"),
        "pause" => ("pause", json!({}), "paused"),
        "resume" => ("resume", json!({}), "resumed"),
        "mark" => ("marks", json!({ "label": sent.text("label").trim() }), "marked"),
        "render" => ("render", json!({}), "rendering"),
        _ => return None,
    })
}

fn longer(sent: &Sent) -> f64 {
    sent.text("seconds").trim().parse().unwrap_or(EXTEND_SECONDS)
}

/// Does it; returns the code of what to say.
fn run(app: &App, caller: &Caller, id: TakeId, act: &str, sent: &Sent) -> Result<&'static str, Problem> {
    Ok(match act {
        "stop" => recordings::stop(app, caller, id).map(|_| "stopped")?,
        "extend" => recordings::extend(app, caller, id, longer(sent)).map(|_| "extended")?,
        "pause" => recordings::pause(app, caller, id).map(|_| "paused")?,
        "resume" => recordings::resume(app, caller, id).map(|_| "resumed")?,
        "mark" => {
            check_place(app, caller, id, sent.text("at_seconds"))?;
            recordings::mark(app, caller, id, sent.text("label").trim()).map(|_| "marked")?
        }
        "edit" => recordings::edit(app, caller, id, &edit(sent)).map(|_| "saved")?,
        "delete" => recordings::delete(app, caller, id).map(|()| "deleted")?,
        "restore" => recordings::restore(app, caller, id).map(|_| "restored")?,
        "render" => recordings::render(app, caller, id).map(|()| "rendering")?,
        _ => return Err(Problem::not_found("act")),
    })
}

/// A mark is set at the present: one meant for another place is refused and not moved in silence.
fn check_place(app: &App, caller: &Caller, id: TakeId, place: &str) -> Result<(), Problem> {
    let Ok(place) = place.trim().parse::<f64>() else { return Ok(()) };
    let length = recordings::detail(app, caller, id)?.recording.duration_seconds;
    match (length - place).abs() <= MARK_NEAR_SECONDS {
        true => Ok(()),
        false => Err(Problem::unprocessable("at_seconds", "a mark is set at the present: leave the place empty")),
    }
}

fn edit(sent: &Sent) -> Edit {
    let said = |field: &str| sent.has(field).then(|| sent.text(field).trim().to_owned());
    let tags = |text: String| text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect();
    Edit {
        title: said("title"),
        folder: said("folder"),
        tags: said("tags").map(tags),
        // Browsers send line ends as CR LF (HTML, 4.10.22.4); notes are kept as they were typed.
        notes: sent.has("notes").then(|| sent.text("notes").replace("\r\n", "\n")),
        version: said("version").filter(|version| !version.is_empty()),
    }
}

/// An id and an act in the path.
pub struct Path2(pub TakeId, pub String);

impl axum::extract::FromRequestParts<App> for Path2 {
    type Rejection = crate::web::NoPage;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &App) -> Result<Self, Self::Rejection> {
        let both = axum::extract::Path::<(String, String)>::from_request_parts(parts, app).await;
        let read = both.ok().and_then(|axum::extract::Path((id, act))| Some(Self(id.parse().ok()?, act)));
        read.ok_or_else(|| crate::web::NoPage(Problem::not_found("recording")))
    }
}

#[derive(Serialize)]
struct Live {
    recording: LiveHead,
    marks: Vec<Mark>,
    mark_denied: Option<String>,
    mark_at_placeholder: String,
}

#[derive(Serialize)]
struct LiveHead {
    id: String,
    state: RowState,
}

/// What of the page is sent when it changes.
pub(super) fn pieces(app: &App, caller: &Caller, id: &str, pieces: &mut Pieces) -> Result<(), Problem> {
    let id: TakeId = id.parse().map_err(|_| Problem::not_found("recording"))?;
    let detail = recordings::detail(app, caller, id)?;
    let head = Head::of(app, caller, &detail, &chrome::room_clock(app));
    let live = Live {
        recording: LiveHead { id: id.to_string(), state: head.row.state },
        marks: view::marks(&detail),
        mark_denied: mark_denied(app, caller, &detail),
        mark_at_placeholder: "now".to_owned(),
    };
    // To the second: what grows is told once a second, and once more when it has ended.
    let (seconds, is_live) = (detail.recording.duration_seconds, is_live(detail.recording.state));
    let seconds = if is_live { seconds.floor() } else { seconds };
    pieces.tell("grew", &serde_json::json!({"id": id.to_string(), "seconds": seconds, "is_live": is_live}));
    pieces.add(&format!("state-{id}"), "recording_state", &live)?;
    pieces.add("marks", "marks", &live)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        Sent(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_not_sent_is_not_changed() {
        let edit =
            edit(&sent(&[("title", " Hearing "), ("tags", "a, ,b,a"), ("notes", "one\r\ntwo"), ("version", "7")]));
        assert_eq!((edit.title.as_deref(), edit.folder), (Some("Hearing"), None));
        assert_eq!(edit.tags.unwrap().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((edit.notes.as_deref(), edit.version.as_deref()), (Some("one\ntwo"), Some("7")));
    }

    #[test]
    fn an_order_takes_ticked_channels_and_refuses_nonsense() {
        let order_of = |pairs: &[(&str, &str)]| order(&sent(pairs));
        let start = order_of(&[("channels", "1"), ("channels", "3"), ("duration_seconds", "1800")]).unwrap();
        assert_eq!((start.channels, start.duration_seconds), (Channels::Numbers(vec![1, 3]), Some(1_800.0)));
        assert_eq!(order_of(&[]).unwrap().channels, Channels::All);
        assert_eq!(order_of(&[("channels", "x")]).unwrap_err().field.as_deref(), Some("channels"));
        assert_eq!(order_of(&[("duration_seconds", "-1")]).unwrap_err().field.as_deref(), Some("duration_seconds"));
    }

    #[test]
    fn a_place_in_a_link_is_a_number_or_the_beginning() {
        assert_eq!(place_of("/recordings/x?t=42.5"), 42.5);
        assert_eq!(place_of("/recordings/x?t=NaN"), 0.0);
    }
}
