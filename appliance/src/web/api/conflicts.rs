//! What two people changed in two ways while their nodes did not see each other: kept, told, and ended by saying it anew.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::nodes::Nodes;
use super::{can_do, may};
use crate::domain::access::{Permission, Target};
use crate::store::Id;
use crate::store::held::{Held, HeldVersion};
use crate::web::caller::Caller;
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

/// What people call an author; one that is not among them any more as it was written down.
fn name_of(app: &App, by: &str) -> String {
    let user = by.strip_prefix("user:").and_then(|id| id.parse::<Id>().ok());
    let user = user.and_then(|id| app.store.user(id).ok().flatten());
    user.map_or_else(|| by.to_owned(), |user| user.name)
}
