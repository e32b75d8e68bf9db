//! The node: what it is, what it does now, what its channels carry.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{allow, may, the_node};
use crate::access::acts::ChangeNode;
use crate::access::{About, identity};
use crate::capture::status::Status as CaptureStatus;
use crate::domain::access::Permission;
use crate::domain::watch::{Expects, Role};
use crate::store::fleet::Profile;
use crate::store::rooms::{ChannelLabel, Room};
use crate::sys::clock;
use crate::web::caller::{Body, Caller};
use crate::web::view::IncidentView;
use crate::web::{App, Problem, blocking};

/// What the node is and does.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeStatus {
    /// Its id.
    pub node_id: String,
    /// Its name.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Its room; none before it was claimed.
    #[schema(value_type = Option<Object>)]
    pub room: Option<Room>,
    /// idle, recording, paused, trouble, offline.
    pub state: &'static str,
    /// What the recorder says of itself; none if it does not answer.
    #[schema(value_type = Option<Object>)]
    pub capture: Option<CaptureStatus>,
    /// How old that is, seconds.
    pub capture_age_seconds: Option<f64>,
    /// Open incidents.
    pub incidents: Vec<IncidentView>,
    /// The services.
    #[schema(value_type = Vec<Object>)]
    pub workers: Vec<crate::service::WorkerStatus>,
    /// What opening the records found.
    pub alarms: Vec<String>,
    /// Four words that stand for the certificate.
    pub fingerprint_words: String,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// Seconds since the node process was started.
    pub uptime_seconds: f64,
}

/// What the node does, in one word: `offline` is "the recorder does not answer", `trouble` "something critical is open".
pub fn state(app: &App) -> &'static str {
    let Some(status) = app.live.status() else { return "offline" };
    let is_critical = |known: &crate::store::incidents::Known| {
        known.incident.severity == crate::domain::watch::Severity::Critical && known.incident.suppressed_until.is_none()
    };
    if app.live.incidents().iter().any(is_critical) {
        return "trouble";
    }
    match &status.recording[..] {
        [] => "idle",
        running if running.iter().all(|take| take.is_paused) => "paused",
        _ => "recording",
    }
}

/// Looks.
pub fn status(app: &App, caller: &Caller) -> Result<NodeStatus, Problem> {
    may(app, caller, Permission::NodeRead, &the_node(app)?)?;
    let now_us = clock::mono_us();
    Ok(NodeStatus {
        node_id: app.store.node().to_string(),
        name: app.name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        room: app.store.room()?,
        state: state(app),
        capture: app.live.status().map(|status| (*status).clone()),
        capture_age_seconds: app.live.status_age(now_us),
        incidents: super::incidents::views(app, &app.live.incidents())?,
        workers: app.workers.all(),
        alarms: app.alarms.clone(),
        fingerprint_words: app.identity.words(),
        fingerprint: app.identity.fingerprint(),
        uptime_seconds: now_us.saturating_sub(app.started_us) as f64 / 1e6,
    })
}

/// What is said of a channel.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelEdit {
    /// Number, from 1.
    pub number: u16,
    /// Name for people; empty is "as the sound server calls it".
    #[serde(default)]
    pub label: String,
    /// mic, mix, feed, spare.
    #[serde(default = "mic")]
    #[schema(value_type = String)]
    pub role: Role,
    /// nothing, signal, speech: what must be heard on it while recording.
    #[serde(default = "signal")]
    #[schema(value_type = String)]
    pub expects: Expects,
}

fn mic() -> Role {
    Role::Mic
}

fn signal() -> Expects {
    Expects::Signal
}

/// The longest name of a node, characters: a label of DNS (RFC 1035, 2.3.4).
pub const NODE_NAME_CHARS_MAX: usize = 63;
/// The longest name of a channel or a room, bytes.
pub const NAME_BYTES_MAX: usize = 120;

/// Replaces what is said of the channels.
pub fn put_channels(app: &App, caller: &Caller, channels: Vec<ChannelEdit>) -> Result<Vec<ChannelLabel>, Problem> {
    if channels.len() > usize::from(crate::domain::MAX_CHANNELS) {
        return Err(Problem::unprocessable("channels", "more channels than a recorder has"));
    }
    for channel in &channels {
        if channel.label.len() > NAME_BYTES_MAX {
            let why = format!("the name of channel {} is longer than {NAME_BYTES_MAX} bytes", channel.number);
            return Err(Problem::unprocessable("label", why));
        }
        if !(1..=crate::domain::MAX_CHANNELS).contains(&channel.number) {
            return Err(Problem::unprocessable("number", format!("1 to {}", crate::domain::MAX_CHANNELS)));
        }
    }
    let about =
        About::thing("node", app.store.node(), "channels").before(json!(app.store.channels()?)).after(json!(channels));
    let allowed = allow::<ChangeNode>(app, caller, &the_node(app)?, about)?;
    let label = |c: ChannelEdit| ChannelLabel {
        number: c.number,
        label: c.label.trim().to_owned(),
        role: c.role,
        expects: c.expects,
    };
    let labels: Vec<ChannelLabel> = channels.into_iter().map(label).collect();
    let mut edits = allowed.edits();
    edits.put_channels(app.store.node(), &labels);
    allowed.commit(edits)?;
    app.live.bump();
    Ok(labels)
}

/// What a room is called and which time it keeps.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomEdit {
    /// Its name.
    pub name: String,
    /// IANA name of its time zone.
    pub time_zone: String,
    /// Whatever people want to say.
    #[serde(default)]
    pub notes: String,
}

/// Changes the room.
pub fn put_room(app: &App, caller: &Caller, edit: RoomEdit) -> Result<Room, Problem> {
    if edit.name.trim().is_empty() || edit.name.len() > NAME_BYTES_MAX {
        return Err(Problem::unprocessable("name", format!("a name of 1 to {NAME_BYTES_MAX} bytes")));
    }
    if jiff::tz::TimeZone::get(&edit.time_zone).is_err() {
        let why = format!("{:?} is not a time zone: choose one such as Europe/Berlin", edit.time_zone);
        return Err(Problem::unprocessable("time_zone", why));
    }
    let room = app.store.room()?;
    let about = About::thing("room", room.as_ref().map(|room| room.id.to_string()).unwrap_or_default(), &edit.name);
    let allowed = allow::<ChangeNode>(app, caller, &the_node(app)?, about.before(json!(room)).after(json!(edit)))?;
    let id = room.map_or_else(|| caller.ctx.new_id(), |room| room.id);
    let room = Room {
        id,
        name: edit.name.trim().to_owned(),
        time_zone: edit.time_zone,
        notes: edit.notes,
        node: Some(app.store.node()),
        version: String::new(),
    };
    let mut edits = allowed.edits();
    edits.put_room(&room);
    allowed.commit(edits)?;
    app.live.bump();
    Ok(room)
}

/// What the node is called.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameEdit {
    /// 1 to 63 characters.
    pub name: String,
}

/// Gives the node another name. Its key keeps the one it was made for.
pub fn put_name(app: &App, caller: &Caller, edit: &NameEdit) -> Result<NameEdit, Problem> {
    let name = edit.name.trim();
    let length = name.chars().count();
    if !(1..=NODE_NAME_CHARS_MAX).contains(&length) || name.chars().any(char::is_control) {
        return Err(Problem::unprocessable("name", format!("a name of 1 to {NODE_NAME_CHARS_MAX} characters")));
    }
    let before = app.name();
    let about = About::thing("node", app.store.node(), name);
    let about = about.before(json!({ "name": before })).after(json!({ "name": name }));
    let allowed = allow::<ChangeNode>(app, caller, &the_node(app)?, about)?;
    match identity::rename(app.data.path(), name) {
        Ok(()) => {
            let mut edits = allowed.edits();
            // The others call it so as well.
            if let Some(member) = app.store.member(app.store.node())? {
                edits.put_member_profile(member.id, &Profile { name: name.to_owned(), ..member.profile });
            }
            allowed.settle(edits);
        }
        Err(error) => {
            let why = format!("node.json cannot be written: {error}");
            allowed.fail(&why);
            return Err(Problem::internal(&why));
        }
    }
    app.set_name(name);
    app.live.bump();
    Ok(NameEdit { name: name.to_owned() })
}

/// What the node is and does now.
#[utoipa::path(get, path = "/api/v1/status", tag = "node", responses((status = 200, body = NodeStatus), (status = "4XX", body = Problem)))]
pub async fn get_status(State(app): State<App>, caller: Caller) -> Result<Json<NodeStatus>, Problem> {
    blocking(move || status(&app, &caller)).await?.map(Json)
}

/// What is said of the channels.
#[utoipa::path(get, path = "/api/v1/channels", tag = "node", responses((status = 200, body = Vec<ChannelEdit>), (status = "4XX", body = Problem)))]
pub async fn get_channels(State(app): State<App>, caller: Caller) -> Result<Json<Vec<ChannelLabel>>, Problem> {
    blocking(move || {
        may(&app, &caller, Permission::NodeRead, &the_node(&app)?)?;
        Ok(app.store.channels()?)
    })
    .await?
    .map(Json)
}

/// Replaces what is said of the channels.
#[utoipa::path(put, path = "/api/v1/channels", tag = "node", request_body = Vec<ChannelEdit>,
    responses((status = 200, body = Vec<ChannelEdit>), (status = "4XX", body = Problem)))]
pub async fn put_all_channels(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Vec<ChannelEdit>>,
) -> Result<Json<Vec<ChannelLabel>>, Problem> {
    blocking(move || put_channels(&app, &caller, body)).await?.map(Json)
}

/// Changes the room's name, time zone and notes.
#[utoipa::path(put, path = "/api/v1/room", tag = "node", request_body = RoomEdit,
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub async fn put_the_room(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<RoomEdit>,
) -> Result<Json<Room>, Problem> {
    blocking(move || put_room(&app, &caller, body)).await?.map(Json)
}

/// Gives the node another name.
#[utoipa::path(put, path = "/api/v1/node", tag = "node", request_body = NameEdit,
    responses((status = 200, body = NameEdit), (status = "4XX", body = Problem)))]
pub async fn put_node(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<NameEdit>,
) -> Result<Json<NameEdit>, Problem> {
    blocking(move || put_name(&app, &caller, &body)).await?.map(Json)
}
