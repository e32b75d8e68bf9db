//! Recordings: list, look, start, stop, extend, pause, mark, edit, bin; their files and streams are in `media`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::fleet;
use super::nodes::{self, Nodes, sees};
use super::{LIMIT, allow, in_room, may, room_of};
use crate::access::About;
use crate::access::acts::{
    DeleteRecording, EditRecording, ExtendRecording, MarkRecording, PauseRecording, RenderRecording, RestoreRecording,
    ResumeRecording, StartRecording, StopRecording,
};
use crate::domain::access::{Permission, ResourceKind, Target};
use crate::domain::{Channels, TakeId, TakeInfo, TakeState};
use crate::service::control::{self, NewRecording};
use crate::store::Id;
use crate::store::recordings::{Annotation, Facts, PAGE_MAX, Plan, Query as Wanted, Recording};
use crate::web::caller::{Body, Caller, Path, Query};
use crate::web::view::{List, RecordingDetail, RecordingView};
use crate::web::whose::Whose;
use crate::web::{App, Problem, blocking};

/// A recording to start.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// On which node; absent is the one that is asked, or the one in `room_id`.
    #[serde(default)]
    pub node_id: Option<String>,
    /// In which room: on the node that stands there.
    #[serde(default)]
    pub room_id: Option<String>,
    /// For people; may be empty.
    #[serde(default)]
    pub title: String,
    /// `all`, or numbers such as `[1,2]` or `"1-4"`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub channels: Channels,
    /// How it is rendered; `voice`.
    #[serde(default)]
    pub profile: Option<String>,
    /// Seconds from before now to keep as well.
    #[serde(default)]
    pub pre_roll_seconds: f64,
    /// How long; none is until stopped.
    #[serde(default)]
    pub duration_seconds: Option<f64>,
}

/// What to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only what this node recorded.
    pub node_id: Option<String>,
    /// Words that all must be found in titles, notes, marks and tags; the last may be a beginning.
    pub q: Option<String>,
    /// One state.
    pub state: Option<String>,
    /// Started at or after (RFC 3339).
    #[param(value_type = Option<String>)]
    pub from: Option<Timestamp>,
    /// Started before (RFC 3339).
    #[param(value_type = Option<String>)]
    pub to: Option<Timestamp>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only in this folder.
    pub folder: Option<String>,
    /// What is in the bin.
    pub bin: Option<bool>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
}

/// What to change; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Another title.
    pub title: Option<String>,
    /// Another folder.
    pub folder: Option<String>,
    /// Other tags.
    pub tags: Option<BTreeSet<String>>,
    /// Other notes.
    pub notes: Option<String>,
    /// The version the edit was made from; a stale one is refused. Or send it as `If-Match`.
    pub version: Option<String>,
}

/// How much longer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// Seconds, above 0.
    pub seconds: f64,
}

/// A mark.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMark {
    /// Text for people.
    #[serde(default)]
    pub label: String,
}

/// Where something happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Place {
    /// The recording.
    pub id: String,
    /// The take's frame.
    pub frame: u64,
}

/// Finds a recording that the caller may see.
pub fn find(app: &App, caller: &Caller, id: TakeId) -> Result<Recording, Problem> {
    let nodes = Nodes::of(app)?;
    may(app, caller, Permission::RecordingRead, &nodes.everywhere())?;
    let recording = app.store.recording(id)?.ok_or_else(|| unknown(app))?;
    may(app, caller, Permission::RecordingRead, &nodes.of_recording(&recording))?;
    Ok(recording)
}

/// No such recording is known. A node that does not keep everybody's records says that there may be one elsewhere.
fn unknown(app: &App) -> Problem {
    let problem = Problem::not_found("recording");
    if app.fleet.keeps_all() {
        return problem;
    }
    let more = "This node keeps its own recordings only: if another node made it, ask that one, or one that keeps everybody's.";
    Problem { detail: format!("{} {more}", problem.detail), ..problem }
}

/// Where a recording stands, for rights.
pub fn place_of(app: &App, recording: &Recording) -> Result<Target, Problem> {
    Ok(Nodes::of(app)?.of_recording(recording))
}

/// The take on disk, if it can be read.
pub fn take(app: &App, recording: &Recording) -> Option<TakeInfo> {
    let is_live = matches!(recording.facts.state, TakeState::Recording | TakeState::Paused | TakeState::Finishing);
    app.data.take(recording.id).load().ok().map(|loaded| loaded.info(is_live))
}

/// Lists what the caller may see. A page may have fewer than were asked for and still say where to go on.
pub fn list(app: &App, caller: &Caller, filter: &Filter) -> Result<List<RecordingView>, Problem> {
    let nodes = Nodes::of(app)?;
    may(app, caller, Permission::RecordingRead, &nodes.everywhere())?;
    let page = app.store.recordings(&wanted(filter)?)?;
    let is_seen = |found: &&Recording| sees(app, caller, Permission::RecordingRead, &nodes.of_recording(found));
    let items = page.items.iter().filter(is_seen).map(|found| RecordingView::of(found, &nodes)).collect();
    Ok(List { items, next: page.next })
}

fn wanted(filter: &Filter) -> Result<Wanted, Problem> {
    let states = match filter.state.as_deref().filter(|state| !state.is_empty()) {
        None => BTreeSet::new(),
        Some(state) => {
            let state: TakeState = serde_json::from_value(json!(state)).map_err(|_| {
                let why = "one of scheduled, recording, paused, finishing, ready, incomplete, failed";
                Problem::unprocessable("state", why)
            })?;
            BTreeSet::from([state])
        }
    };
    let limit = filter.limit.unwrap_or(LIMIT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::unprocessable("limit", format!("1 to {PAGE_MAX}")));
    }
    let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    Ok(Wanted {
        node: nodes::wanted(filter.node_id.as_deref())?,
        text: said(&filter.q),
        states,
        from: filter.from,
        to: filter.to,
        tag: said(&filter.tag),
        folder: said(&filter.folder),
        is_bin: filter.bin.unwrap_or(false),
        cursor: said(&filter.cursor),
        limit,
    })
}

/// The other node on which one shall start; none if it is this one.
///
/// # Errors
/// There is no such node or room, no node stands in the room, or the two do not go together.
fn starts_on(app: &App, start: &Start) -> Result<Option<Id>, Problem> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let node = nodes::wanted(start.node_id.as_deref())?;
    let room = match said(&start.room_id) {
        Some(room) => {
            let id: Id = room.parse().map_err(|why: String| Problem::unprocessable("room_id", why))?;
            let rooms = app.store.rooms()?;
            let room = rooms.into_iter().find(|room| room.id == id).ok_or_else(|| Problem::not_found("room"))?;
            let is_ours = || app.store.room().is_ok_and(|ours| ours.is_some_and(|ours| ours.id == id));
            let stands = room.node.or_else(|| is_ours().then(|| app.store.node()));
            Some(stands.ok_or_else(|| Problem::unprocessable("room_id", "no recorder stands in this room"))?)
        }
        None => None,
    };
    if node.zip(room).is_some_and(|(node, room)| node != room) {
        return Err(Problem::unprocessable("room_id", "another recorder stands in this room than `node_id` says"));
    }
    let wanted = node.or(room).filter(|node| *node != app.store.node());
    let Some(node) = wanted else { return Ok(None) };
    let member = app.store.member(node)?.filter(|member| !member.is_retired);
    member.map(|_| Some(node)).ok_or_else(|| Problem::not_found("node"))
}

/// Starts, on this node.
pub fn start(app: &App, caller: &Caller, start: Start) -> Result<RecordingDetail, Problem> {
    let target = in_room(app, ResourceKind::Recording, "new")?;
    let about = About::thing("recording", "", &start.title);
    let allowed = allow::<StartRecording>(app, caller, &target, about)?;
    let profile = start.profile.unwrap_or_else(|| "voice".into());
    if profile != "voice" {
        let why = "there is one profile so far, voice (24-bit masters, Opus listening copy, FLAC archive)";
        allowed.fail(why);
        return Err(Problem::unprocessable("profile", why));
    }
    let room = room_of(app)?.and_then(|room| room.id.as_str().parse().ok());
    let title = start.title.clone();
    let new = NewRecording {
        title: start.title,
        channels: start.channels,
        profile,
        pre_roll_seconds: start.pre_roll_seconds,
        duration_seconds: start.duration_seconds,
        room,
    };
    let id = control::start(&app.data, allowed, new)?;
    app.live.bump();
    match detail(app, caller, id) {
        // It records; the records do not take it yet (a full disk), and get it as soon as they do.
        Err(problem) if problem.status == 404 => {
            Ok(RecordingDetail::of(&unwritten(app, id, title, caller), None, &Nodes::of(app)?))
        }
        answer => answer,
    }
}

/// A recording that has begun and is in no record.
fn unwritten(app: &App, id: TakeId, title: String, caller: &Caller) -> Recording {
    let facts = Facts {
        state: TakeState::Scheduled,
        title,
        started_at: caller.ctx.now.wall,
        clock_quality: caller.ctx.now.quality,
        sample_rate: 0,
        duration_seconds: 0.0,
        channels: Vec::new(),
        ports: Vec::new(),
        gaps: (0, 0.0),
        marks: Vec::new(),
        peak_dbfs: None,
        bytes: 0,
        is_gone: false,
        was_replaced: false,
    };
    let plan = Plan { room: None, started_by: Some(caller.actor.named.name.clone()), profile: "voice".into() };
    Recording { id, node: app.store.node(), facts, plan, annotation: Annotation::default() }
}

/// One with all that is known.
pub fn detail(app: &App, caller: &Caller, id: TakeId) -> Result<RecordingDetail, Problem> {
    let recording = find(app, caller, id)?;
    Ok(RecordingDetail::of(&recording, take(app, &recording).as_ref(), &Nodes::of(app)?))
}

/// Stops; whole and playable when it returns.
pub fn stop(app: &App, caller: &Caller, id: TakeId) -> Result<RecordingDetail, Problem> {
    let recording = find(app, caller, id)?;
    Whose::of(&recording).here_or(app)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title());
    control::stop(&app.data, allow::<StopRecording>(app, caller, &target, about)?, id)?;
    app.live.bump();
    detail(app, caller, id)
}

/// Moves the planned end.
pub fn extend(app: &App, caller: &Caller, id: TakeId, seconds: f64) -> Result<RecordingDetail, Problem> {
    let recording = find(app, caller, id)?;
    Whose::of(&recording).here_or(app)?;
    if !(seconds > 0.0 && seconds <= 86_400.0) {
        return Err(Problem::unprocessable("seconds", "above 0 and at most 86400, a day"));
    }
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title()).after(json!({ "seconds": seconds }));
    control::extend(&app.data, allow::<ExtendRecording>(app, caller, &target, about)?, id, seconds)?;
    app.live.bump();
    detail(app, caller, id)
}

/// Keeps nothing from now on.
pub fn pause(app: &App, caller: &Caller, id: TakeId) -> Result<Place, Problem> {
    let recording = find(app, caller, id)?;
    Whose::of(&recording).here_or(app)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title());
    let frame = control::pause(&app.data, allow::<PauseRecording>(app, caller, &target, about)?, id)?;
    app.live.bump();
    Ok(Place { id: id.to_string(), frame })
}

/// Keeps again.
pub fn resume(app: &App, caller: &Caller, id: TakeId) -> Result<Place, Problem> {
    let recording = find(app, caller, id)?;
    Whose::of(&recording).here_or(app)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title());
    let frame = control::resume(&app.data, allow::<ResumeRecording>(app, caller, &target, about)?, id)?;
    app.live.bump();
    Ok(Place { id: id.to_string(), frame })
}

/// Marks the present.
pub fn mark(app: &App, caller: &Caller, id: TakeId, label: &str) -> Result<Place, Problem> {
    let recording = find(app, caller, id)?;
    Whose::of(&recording).here_or(app)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title()).after(json!({ "label": label }));
    let frame = control::mark(&app.data, allow::<MarkRecording>(app, caller, &target, about)?, id, label)?;
    app.live.heed_recordings();
    app.live.bump();
    Ok(Place { id: id.to_string(), frame })
}

/// Changes what is said about it.
pub fn edit(app: &App, caller: &Caller, id: TakeId, edit: &Edit) -> Result<RecordingDetail, Problem> {
    let recording = find(app, caller, id)?;
    let said = &recording.annotation;
    if edit.version.as_ref().is_some_and(|version| *version != said.version) {
        return Err(Problem::stale(json!(RecordingView::of(&recording, &Nodes::of(app)?)), json!(edit)));
    }
    let target = place_of(app, &recording)?;
    let before = json!({"title": recording.title(), "folder": said.folder, "tags": said.tags, "notes": said.notes});
    let about = About::thing("recording", id, recording.title()).before(before).after(json!(edit));
    let allowed = allow::<EditRecording>(app, caller, &target, about)?;
    let mut edits = allowed.edits();
    if let Some(title) = &edit.title {
        edits.put_title(id, title);
    }
    if edit.folder.is_some() || edit.tags.is_some() {
        let folder = edit.folder.as_ref().unwrap_or(&said.folder);
        edits.put_filing(id, folder, edit.tags.as_ref().unwrap_or(&said.tags));
    }
    if let Some(notes) = &edit.notes {
        edits.put_notes(id, notes);
    }
    allowed.commit(edits)?;
    app.live.bump();
    detail(app, caller, id)
}

/// Puts it into the bin. One that is running, or held, stays.
pub fn delete(app: &App, caller: &Caller, id: TakeId) -> Result<(), Problem> {
    let recording = find(app, caller, id)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title());
    let allowed = allow::<DeleteRecording>(app, caller, &target, about)?;
    let refused = match recording.facts.state {
        TakeState::Recording | TakeState::Paused | TakeState::Finishing => Some("It is being recorded: stop it first."),
        _ if recording.annotation.is_held => Some("It is held: the hold must be lifted first."),
        _ => None,
    };
    if let Some(why) = refused {
        allowed.fail(why);
        return Err(Problem::conflict(why));
    }
    let mut edits = allowed.edits();
    edits.put_bin(id, Some(caller.ctx.now.wall));
    allowed.commit(edits)?;
    app.live.bump();
    Ok(())
}

/// Takes it out of the bin.
pub fn restore(app: &App, caller: &Caller, id: TakeId) -> Result<RecordingDetail, Problem> {
    let recording = find(app, caller, id)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title());
    let allowed = allow::<RestoreRecording>(app, caller, &target, about)?;
    let mut edits = allowed.edits();
    edits.put_bin(id, None);
    allowed.commit(edits)?;
    app.live.bump();
    detail(app, caller, id)
}

/// Makes its copies anew.
pub fn render(app: &App, caller: &Caller, id: TakeId) -> Result<(), Problem> {
    let recording = find(app, caller, id)?;
    Whose::of(&recording).here_or(app)?;
    let target = place_of(app, &recording)?;
    let about = About::thing("recording", id, recording.title());
    let allowed = allow::<RenderRecording>(app, caller, &target, about)?;
    match crate::service::render::forget(&app.data, id) {
        Ok(()) => allowed.settle(crate::store::Edits::default()),
        Err(error) => {
            let told = error.to_string();
            allowed.fail(&told);
            return Err(Problem::internal(&told));
        }
    }
    app.live.bump();
    Ok(())
}

/// Lists recordings, newest first.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(Filter),
    responses((status = 200, body = List<RecordingView>), (status = "4XX", body = Problem)))]
pub async fn get_list(
    State(app): State<App>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<List<RecordingView>>, Problem> {
    blocking(move || list(&app, &caller, &filter)).await?.map(Json)
}

/// Starts a recording.
#[utoipa::path(post, path = "/api/v1/recordings", tag = "recordings", request_body = Start,
    responses((status = 201, body = RecordingDetail), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn post_start(State(app): State<App>, caller: Caller, Body(body): Body<Start>) -> Result<Response, Problem> {
    let (at, wanted) = (app.clone(), body.clone());
    if let Some(node) = blocking(move || starts_on(&at, &wanted)).await?? {
        let order = Start { node_id: None, room_id: None, ..body };
        return fleet::ask_there(&app, &caller, node, "/api/v1/recordings", &order).await;
    }
    let detail = blocking(move || start(&app, &caller, body)).await??;
    let at = format!("/api/v1/recordings/{}", detail.recording.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, at)], Json(detail)).into_response())
}

/// One recording with gaps, marks, pauses, files and levels.
#[utoipa::path(get, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = RecordingDetail), (status = "4XX", body = Problem)))]
pub async fn get_one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = blocking(move || detail(&app, &caller, id)).await??;
    let tag = etag(&found);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(found)).into_response())
}

/// Names an answer by its content.
fn etag(detail: &RecordingDetail) -> String {
    let text = serde_json::to_string(detail).unwrap_or_default();
    format!("\"{}\"", crate::store::Id::of_name(&text).0.simple())
}

/// Changes title, folder, tags, notes.
#[utoipa::path(patch, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)), request_body = Edit,
    responses((status = 200, body = RecordingDetail), (status = "4XX", body = Problem)))]
pub async fn patch_one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    Body(body): Body<Edit>,
) -> Result<Json<RecordingDetail>, Problem> {
    blocking(move || edit(&app, &caller, id, &body)).await?.map(Json)
}

/// Puts a recording into the bin, where it stays for 30 days.
#[utoipa::path(delete, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_one(State(app): State<App>, caller: Caller, Path(id): Path<TakeId>) -> Result<StatusCode, Problem> {
    blocking(move || delete(&app, &caller, id)).await?.map(|()| StatusCode::NO_CONTENT)
}

/// Takes a recording out of the bin.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/restore", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = RecordingDetail), (status = "4XX", body = Problem)))]
pub async fn post_restore(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
) -> Result<Json<RecordingDetail>, Problem> {
    blocking(move || restore(&app, &caller, id)).await?.map(Json)
}

/// Stops a recording; it is whole when this answers.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/stop", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = RecordingDetail), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn post_stop(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
) -> Result<Json<RecordingDetail>, Problem> {
    blocking(move || stop(&app, &caller, id)).await?.map(Json)
}

/// Moves the planned end of a recording.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/extend", tag = "recordings", params(("id" = String, Path)), request_body = Extend,
    responses((status = 200, body = RecordingDetail), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn post_extend(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    Body(body): Body<Extend>,
) -> Result<Json<RecordingDetail>, Problem> {
    blocking(move || extend(&app, &caller, id, body.seconds)).await?.map(Json)
}

/// Keeps nothing from now on, for privacy.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/pause", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = Place), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn post_pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
) -> Result<Json<Place>, Problem> {
    blocking(move || pause(&app, &caller, id)).await?.map(Json)
}

/// Keeps again from now on.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/resume", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = Place), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn post_resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
) -> Result<Json<Place>, Problem> {
    blocking(move || resume(&app, &caller, id)).await?.map(Json)
}

/// Marks the present place.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/marks", tag = "recordings", params(("id" = String, Path)), request_body = NewMark,
    responses((status = 201, body = Place), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn post_mark(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
    Body(body): Body<NewMark>,
) -> Result<(StatusCode, Json<Place>), Problem> {
    let place = blocking(move || mark(&app, &caller, id, &body.label)).await??;
    Ok((StatusCode::CREATED, Json(place)))
}

/// Makes listening copy, waveform and archive anew.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/render", tag = "recordings", params(("id" = String, Path)),
    responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn post_render(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TakeId>,
) -> Result<StatusCode, Problem> {
    blocking(move || render(&app, &caller, id)).await?.map(|()| StatusCode::ACCEPTED)
}
