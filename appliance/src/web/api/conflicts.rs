//! What two people changed in two ways while their nodes did not see each other: kept, told, and ended by choosing one or
//! by saying it anew.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::nodes::Nodes;
use super::{allow, can_do, may, read_id};
use crate::access::About;
use crate::access::acts::{AcknowledgeIncident, Act, ChangeNode, ChangePeople, ChangeRules, EditFleet, EditRecording};
use crate::access::choose::Choice;
use crate::domain::access::{Permission, Target};
use crate::store::Id;
use crate::store::held::{Held, HeldVersion};
use crate::web::caller::{Body, Caller};
use crate::web::view::List;
use crate::web::{App, Problem, blocking};

/// One thing that stands in two or more ways.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConflictView {
    /// What it is: `user`, `room`, `channels`, `annotation` (of a recording), `handling` (of an incident), `setting`,
    /// `member` (a node) or `fleet`.
    pub kind: String,
    /// Which.
    pub id: String,
    /// What it is called; empty if it has no name.
    pub name: String,
    /// Which part of it.
    pub part: String,
    /// All that was said. What counts until someone says it anew comes first.
    pub versions: Vec<ConflictVersion>,
}

/// What one of them said.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConflictVersion {
    /// Names it, to choose it by.
    pub version: String,
    /// `set`, `disabled`, `enabled`, `deleted` or `restored`.
    pub act: &'static str,
    /// What it was set to; none for what sets nothing, for passwords and keys, and for who may not read the journal.
    #[schema(value_type = Option<Object>)]
    pub value: Option<serde_json::Value>,
    /// Who.
    pub by: String,
    /// When, by the clock of the node.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// On which node.
    pub node_id: String,
    /// What that is called.
    pub node_name: String,
}

/// What was changed in two ways on nodes that did not see each other. Both are kept; whoever changes the thing again ends it.
#[utoipa::path(get, path = "/api/v1/fleet/conflicts", tag = "fleet",
    responses((status = 200, body = List<ConflictView>), (status = "4XX", body = Problem)))]
pub async fn get_conflicts(State(app): State<App>, caller: Caller) -> Result<Json<List<ConflictView>>, Problem> {
    blocking(move || list(&app, &caller)).await?.map(Json)
}

/// As [`get_conflicts`].
///
/// # Errors
/// It is not allowed.
pub fn list(app: &App, caller: &Caller) -> Result<List<ConflictView>, Problem> {
    may(app, caller, Permission::FleetRead, &Target::Fleet)?;
    let nodes = Nodes::of(app)?;
    // The journal has all values: who may read that may read them here.
    let sees_values = can_do(app, caller, Permission::AuditRead);
    let items = app.store.held()?.into_iter().map(|held| told(app, &nodes, held, sees_values)).collect();
    Ok(List { items, next: None })
}

fn told(app: &App, nodes: &Nodes, held: Held, sees_values: bool) -> ConflictView {
    let version = |version: HeldVersion| ConflictVersion {
        version: version.version(),
        act: version.act,
        value: version.value.filter(|_| sees_values),
        by: name_of(app, &version.by),
        at: version.at,
        node_id: version.node.to_string(),
        node_name: nodes.name(version.node),
    };
    ConflictView {
        id: held.id.to_string(),
        name: held.name,
        part: held.group,
        versions: held.versions.into_iter().map(version).collect(),
        kind: held.kind,
    }
}

/// Which of them shall count.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// As in the list; likewise below.
    pub kind: String,
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub part: String,
    /// The version that shall count.
    pub version: String,
    /// All that were shown; what came since stays beside the chosen one. All there are, if absent.
    #[serde(default)]
    pub seen: Vec<String>,
}

/// Chooses one of the things that were said: it counts from now on, on all nodes, and is written as if it had been typed
/// again. 409 if somebody has settled or changed it meanwhile.
#[utoipa::path(post, path = "/api/v1/fleet/conflicts", tag = "fleet", request_body = Chosen,
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn post_conflict(
    State(app): State<App>,
    caller: Caller,
    Body(chosen): Body<Chosen>,
) -> Result<StatusCode, Problem> {
    blocking(move || choose(&app, &caller, &chosen)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// As [`post_conflict`].
///
/// # Errors
/// It is not allowed, or as [`crate::access::Access::choose`].
pub fn choose(app: &App, caller: &Caller, chosen: &Chosen) -> Result<(), Problem> {
    let choice = Choice {
        kind: chosen.kind.clone(),
        id: read_id(&chosen.id, "thing that was changed in two ways")?,
        group: chosen.part.clone(),
        version: chosen.version.clone(),
        seen: chosen.seen.clone(),
    };
    match settled_by(&choice.kind) {
        Some(Permission::AuthManage) if choice.kind == "user" => settle::<ChangePeople>(app, caller, &choice),
        Some(Permission::AuthManage) => settle::<ChangeRules>(app, caller, &choice),
        Some(Permission::NodeManage) => settle::<ChangeNode>(app, caller, &choice),
        Some(Permission::RecordingEdit) => settle::<EditRecording>(app, caller, &choice),
        Some(Permission::HealthAcknowledge) => settle::<AcknowledgeIncident>(app, caller, &choice),
        Some(Permission::FleetEdit) => settle::<EditFleet>(app, caller, &choice),
        _ => Err(Problem::not_found("kind of thing")),
    }
}

/// What it takes to choose between things of a kind: as to change one, and that everywhere.
pub fn settled_by(kind: &str) -> Option<Permission> {
    match kind {
        "user" | "setting" => Some(Permission::AuthManage),
        "room" | "channels" => Some(Permission::NodeManage),
        "annotation" => Some(Permission::RecordingEdit),
        "handling" => Some(Permission::HealthAcknowledge),
        "member" | "fleet" => Some(Permission::FleetEdit),
        _ => None,
    }
}

fn settle<A: Act>(app: &App, caller: &Caller, choice: &Choice) -> Result<(), Problem> {
    let held = app.store.held_of(&choice.kind, choice.id)?;
    let name = held.first().map(|held| held.name.clone()).unwrap_or_default();
    let allowed = allow::<A>(app, caller, &Target::Fleet, About::thing(&choice.kind, choice.id, &name))?;
    app.access.choose(allowed, choice)?;
    app.live.bump();
    Ok(())
}

/// What people call an author; one that is not among them any more as it was written down.
pub(super) fn name_of(app: &App, by: &str) -> String {
    let user = by.strip_prefix("user:").and_then(|id| id.parse::<Id>().ok());
    let user = user.and_then(|id| app.store.user(id).ok().flatten());
    user.map_or_else(|| by.to_owned(), |user| user.name)
}
