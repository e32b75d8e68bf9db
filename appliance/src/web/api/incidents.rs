//! Incidents: list them, take notice, silence, say that one is over.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::nodes::{self, Nodes, sees};
use super::{LIMIT, allow, may, read_id};
use crate::access::About;
use crate::access::acts::{AcknowledgeIncident, Act, ResolveIncident, SuppressIncident};
use crate::domain::access::Permission;
use crate::store::incidents::{Handled, Known, PAGE_MAX};
use crate::store::{Edits, Id};
use crate::web::caller::{Body, Caller, Path, Query};
use crate::web::view::{IncidentView, List};
use crate::web::{App, Problem, blocking};

/// What to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only what happened on this node.
    pub node_id: Option<String>,
    /// Only those that are open.
    pub open: Option<bool>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
}

/// A word about it.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Why, or what was done.
    #[serde(default)]
    pub note: String,
}

/// For how long not to be told.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppress {
    /// Minutes, 1 to 10080 (a week).
    pub minutes: u32,
    /// Why.
    #[serde(default)]
    pub note: String,
}

/// The longest note, bytes.
const NOTE_BYTES_MAX: usize = 2_000;

/// The view of an incident, with the names people gave to channels.
pub fn views(app: &App, known: &[Known]) -> Result<Vec<IncidentView>, Problem> {
    views_in(&Nodes::of(app)?, app, known)
}

fn views_in(nodes: &Nodes, app: &App, known: &[Known]) -> Result<Vec<IncidentView>, Problem> {
    let us = app.store.node();
    let mut labels = BTreeMap::new();
    for known in known {
        if let Entry::Vacant(place) = labels.entry(known.node) {
            place.insert(app.store.channels_of(known.node)?);
        }
    }
    let live = app.live.status();
    let label = |node: Id, number: u16| {
        let said = labels.get(&node).and_then(|labels| labels.iter().find(|label| label.number == number));
        let port = || {
            let status = live.as_ref().filter(|_| node == us)?;
            status.channels.iter().find(|c| c.channel.number == number).map(|c| c.channel.label.clone())
        };
        said.map(|said| said.label.clone()).filter(|text| !text.is_empty()).or_else(port).unwrap_or_default()
    };
    Ok(known.iter().map(|known| IncidentView::of(known, nodes, |number| label(known.node, number))).collect())
}

/// Those that are open on this node: also when the records cannot be written.
pub fn open(app: &App, caller: &Caller) -> Result<Vec<IncidentView>, Problem> {
    may(app, caller, Permission::HealthRead, &super::the_node(app)?)?;
    views(app, &app.live.incidents())
}

/// Lists.
pub fn list(app: &App, caller: &Caller, filter: &Filter) -> Result<List<IncidentView>, Problem> {
    let (node, us) = (nodes::wanted(filter.node_id.as_deref())?, app.store.node());
    if filter.open == Some(true) && node == Some(us) {
        return Ok(List { items: open(app, caller)?, next: None });
    }
    let fleet = Nodes::of(app)?;
    may(app, caller, Permission::HealthRead, &fleet.everywhere())?;
    let is_seen = |known: &Known| sees(app, caller, Permission::HealthRead, &fleet.of_incident(known));
    if filter.open == Some(true) {
        let mut found = app.store.open_incidents(node)?;
        if node.is_none() {
            // Of this node as it is now; the records may be behind.
            found.retain(|known| known.node != us);
            found.extend(app.live.incidents().iter().cloned());
            found.sort_by_key(|known| std::cmp::Reverse(known.incident.opened_at));
        }
        found.retain(is_seen);
        return Ok(List { items: views_in(&fleet, app, &found)?, next: None });
    }
    let limit = filter.limit.unwrap_or(LIMIT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::unprocessable("limit", format!("1 to {PAGE_MAX}")));
    }
    let mut page = app.store.incidents(node, filter.cursor.as_deref(), limit)?;
    page.items.retain(is_seen);
    Ok(List { items: views_in(&fleet, app, &page.items)?, next: page.next })
}

fn handle<A: Act>(
    app: &App,
    caller: &Caller,
    id: &str,
    note: &str,
    until: Option<Timestamp>,
    put: fn(&mut Edits, Id, &Handled),
) -> Result<IncidentView, Problem> {
    let id = read_id(id, "incident")?;
    if note.len() > NOTE_BYTES_MAX {
        return Err(Problem::unprocessable("note", format!("at most {NOTE_BYTES_MAX} bytes")));
    }
    let nodes = Nodes::of(app)?;
    may(app, caller, Permission::HealthRead, &nodes.everywhere())?;
    let known = app.store.incident(id)?.ok_or_else(|| Problem::not_found("incident"))?;
    let target = nodes.of_incident(&known);
    may(app, caller, Permission::HealthRead, &target)?;
    let title = known.incident.kind.operator_text().title;
    let about = About::thing("incident", id, title).after(json!({ "note": note, "until": until }));
    let allowed = allow::<A>(app, caller, &target, about)?;
    let handled = Handled { by: allowed.actor().to_owned(), at: caller.ctx.now.wall, until, note: note.to_owned() };
    let mut edits = allowed.edits();
    put(&mut edits, id, &handled);
    allowed.commit(edits)?;
    app.live.bump();
    let known = app.store.incident(id)?.ok_or_else(|| Problem::not_found("incident"))?;
    views(app, &[known])?.pop().ok_or_else(|| Problem::not_found("incident"))
}

/// Takes notice.
pub fn acknowledge(app: &App, caller: &Caller, id: &str, note: &str) -> Result<IncidentView, Problem> {
    handle::<AcknowledgeIncident>(app, caller, id, note, None, Edits::put_acknowledged)
}

/// Says that it is over.
pub fn resolve(app: &App, caller: &Caller, id: &str, note: &str) -> Result<IncidentView, Problem> {
    handle::<ResolveIncident>(app, caller, id, note, None, Edits::put_resolved)
}

/// Does not want to be told for a while.
pub fn suppress(app: &App, caller: &Caller, id: &str, minutes: u32, note: &str) -> Result<IncidentView, Problem> {
    if !(1..=10_080).contains(&minutes) {
        return Err(Problem::unprocessable("minutes", "1 to 10080, a week"));
    }
    let length = SignedDuration::from_mins(i64::from(minutes));
    let until = caller.ctx.now.wall.saturating_add(length).ok();
    handle::<SuppressIncident>(app, caller, id, note, until, Edits::put_suppressed)
}

/// Lists incidents, newest first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(Filter),
    responses((status = 200, body = List<IncidentView>), (status = "4XX", body = Problem)))]
pub async fn get_list(
    State(app): State<App>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<List<IncidentView>>, Problem> {
    blocking(move || list(&app, &caller, &filter)).await?.map(Json)
}

/// Takes notice of an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/acknowledge", tag = "incidents", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = IncidentView), (status = "4XX", body = Problem)))]
pub async fn post_acknowledge(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Note>,
) -> Result<Json<IncidentView>, Problem> {
    blocking(move || acknowledge(&app, &caller, &id, &body.note)).await?.map(Json)
}

/// Silences an incident for a while.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/suppress", tag = "incidents", params(("id" = String, Path)), request_body = Suppress,
    responses((status = 200, body = IncidentView), (status = "4XX", body = Problem)))]
pub async fn post_suppress(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Suppress>,
) -> Result<Json<IncidentView>, Problem> {
    blocking(move || suppress(&app, &caller, &id, body.minutes, &body.note)).await?.map(Json)
}

/// Says that an incident is over.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/resolve", tag = "incidents", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = IncidentView), (status = "4XX", body = Problem)))]
pub async fn post_resolve(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Note>,
) -> Result<Json<IncidentView>, Problem> {
    blocking(move || resolve(&app, &caller, &id, &body.note)).await?.map(Json)
}
