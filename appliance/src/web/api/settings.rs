//! Settings: what counts as an incident, the room's PIN.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{allow, may, the_node};
use crate::access::About;
use crate::access::acts::{ChangeNode, ChangeSettings};
use crate::domain::access::{Permission, Target};
use crate::domain::watch::Policy;
use crate::web::caller::{Body, Caller};
use crate::web::{App, Problem, blocking};

/// The setting that holds the watch policy. The node's own: rooms differ.
pub const WATCH: &str = "watch_policy";

/// The policy that holds.
pub fn watch(app: &App, caller: &Caller) -> Result<Policy, Problem> {
    may(app, caller, Permission::SettingsRead, &Target::Fleet)?;
    Ok(app.store.node_setting(WATCH)?.unwrap_or_default())
}

/// Sets the policy.
pub fn set_watch(app: &App, caller: &Caller, policy: Policy) -> Result<Policy, Problem> {
    may(app, caller, Permission::SettingsManage, &Target::Fleet)?;
    policy.check().map_err(|why| Problem::unprocessable("policy", why))?;
    let before: Policy = app.store.node_setting(WATCH)?.unwrap_or_default();
    let about = About::thing("setting", WATCH, "What counts as an incident").before(json!(before)).after(json!(policy));
    let allowed = allow::<ChangeSettings>(app, caller, &Target::Fleet, about)?;
    let mut edits = allowed.edits();
    edits.put_node_setting(app.store.node(), WATCH, &policy);
    allowed.commit(edits)?;
    app.live.bump();
    Ok(policy)
}

/// A PIN for the room, or none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Six digits; absent takes the PIN away.
    pub pin: Option<String>,
}

/// Sets the room's PIN or takes it away.
pub fn set_pin(app: &App, caller: &Caller, pin: Option<&str>) -> Result<(), Problem> {
    let about = About::thing("node", app.store.node(), if pin.is_some() { "PIN set" } else { "PIN taken away" });
    let allowed = allow::<ChangeNode>(app, caller, &the_node(app)?, about)?;
    Ok(app.access.set_pin(allowed, &caller.ctx, pin)?)
}

/// What counts as an incident.
#[utoipa::path(get, path = "/api/v1/settings/watch", tag = "settings", responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub async fn get_watch(State(app): State<App>, caller: Caller) -> Result<Json<Policy>, Problem> {
    blocking(move || watch(&app, &caller)).await?.map(Json)
}

/// Sets what counts as an incident.
#[utoipa::path(put, path = "/api/v1/settings/watch", tag = "settings", request_body = Object,
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub async fn put_watch(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Policy>,
) -> Result<Json<Policy>, Problem> {
    blocking(move || set_watch(&app, &caller, body)).await?.map(Json)
}

/// Sets the room's PIN or takes it away.
#[utoipa::path(put, path = "/api/v1/settings/pin", tag = "settings", request_body = Pin,
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn put_pin(State(app): State<App>, caller: Caller, Body(body): Body<Pin>) -> Result<StatusCode, Problem> {
    blocking(move || set_pin(&app, &caller, body.pin.as_deref())).await?.map(|()| StatusCode::NO_CONTENT)
}
