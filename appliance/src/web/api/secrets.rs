//! Secrets of the fleet: what there is, who set it, who can open it; setting one, forgetting one. No answer has a value.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::conflicts::name_of;
use super::nodes::Nodes;
use super::{allow, may};
use crate::access::About;
use crate::access::acts::{DeleteSecret, SetSecret};
use crate::access::sealing::Clear;
use crate::domain::access::{Permission, Target};
use crate::fleet::sealing::{SecretError, SecretState};
use crate::store::Id;
use crate::store::secrets::{SECRETS_MAX, Secret};
use crate::web::caller::{Body, Caller, Path};
use crate::web::{App, Problem, blocking};

/// The fleet's secrets, as this node sees them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SecretsView {
    /// The key that they are sealed with; none before the first one was made.
    pub key: Option<KeyView>,
    /// All secrets, by name.
    pub items: Vec<SecretView>,
    /// The most there can be.
    pub max: usize,
    /// That the key is to change and for what that waits, in a sentence; none if nothing does.
    pub waits: Option<String>,
}

/// The present generation of the fleet's key. It changes when a node that had it is retired or replaced.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyView {
    /// Counts up.
    pub number: u64,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub made_at: Timestamp,
    /// Why.
    pub why: String,
    /// Nodes that have it, by name.
    pub had_by: Vec<String>,
    /// Nodes that do not have it yet.
    pub missed_by: Vec<String>,
}

/// A secret. What it is nobody is told.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SecretView {
    /// What programs ask for.
    pub name: String,
    /// Who set it last.
    pub set_by: String,
    /// When, by the clock of the node where.
    #[schema(value_type = String, format = "date-time")]
    pub set_at: Timestamp,
    /// On which node, by name.
    pub set_on: String,
    /// Others set it on nodes that did not meet; theirs is kept and not used until it is set again.
    pub also_set_by: Vec<String>,
    /// This node opened it just now.
    pub opens_here: bool,
    /// Nodes that can open it, by name.
    pub opened_by: Vec<String>,
    /// It is sealed with the present key.
    pub is_present: bool,
    /// Boxes that are out of the fleet and could open it while they were in: change it where it is from, then set it again.
    pub known_to: Vec<String>,
}

/// What a secret is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// 1 to 4096 bytes.
    #[schema(value_type = String)]
    pub value: Clear,
}

/// The fleet's secrets: who set them when and who can open them, never what they are.
#[utoipa::path(get, path = "/api/v1/fleet/secrets", tag = "fleet",
    responses((status = 200, body = SecretsView), (status = "4XX", body = Problem)))]
pub async fn get_secrets(State(app): State<App>, caller: Caller) -> Result<Json<SecretsView>, Problem> {
    blocking(move || list(&app, &caller)).await?.map(Json)
}

/// As [`get_secrets`].
///
/// # Errors
/// It is not allowed.
pub fn list(app: &App, caller: &Caller) -> Result<SecretsView, Problem> {
    may(app, caller, Permission::FleetEdit, &Target::Fleet)?;
    let (nodes, state) = (Nodes::of(app)?, app.fleet.secrets()?);
    let with_key = |wanted: bool| -> Vec<String> {
        let nodes_so = state.nodes.iter().filter(|(_, has_key)| *has_key == wanted);
        nodes_so.map(|(node, _)| nodes.name(*node)).collect()
    };
    let key = state.generation.as_ref().map(|generation| KeyView {
        number: generation.number,
        made_at: generation.at,
        why: generation.why.clone(),
        had_by: with_key(true),
        missed_by: with_key(false),
    });
    let items = state.secrets.iter().map(|secret| told(app, &nodes, secret)).collect();
    Ok(SecretsView { key, items, max: SECRETS_MAX, waits: state.waits })
}

/// A person, or what of the machine.
fn who(app: &App, by: &str) -> String {
    by.strip_prefix("service:").map_or_else(|| name_of(app, by), |service| format!("the {service}"))
}

fn told(app: &App, nodes: &Nodes, state: &SecretState) -> SecretView {
    let names = |ids: &[Id]| ids.iter().map(|node| nodes.name(*node)).collect();
    let set = state.secret.set.first();
    let others = state.secret.set.iter().skip(1);
    SecretView {
        name: state.secret.name.clone(),
        set_by: set.map(|set| who(app, &set.by)).unwrap_or_default(),
        set_at: set.map_or(Timestamp::UNIX_EPOCH, |set| set.at),
        set_on: set.map(|set| nodes.name(set.node)).unwrap_or_default(),
        also_set_by: others.map(|set| format!("{} on {}", who(app, &set.by), nodes.name(set.node))).collect(),
        opens_here: state.opens_here,
        opened_by: names(&state.opened_by),
        is_present: state.is_present,
        known_to: state
            .known_to
            .iter()
            .map(|gone| match gone.is_replaced {
                true => format!("the box that was {} before", nodes.name(gone.node)),
                false => nodes.name(gone.node),
            })
            .collect(),
    }
}

/// Sets a secret, in place of what was there.
#[utoipa::path(put, path = "/api/v1/fleet/secrets/{name}", tag = "fleet", params(("name" = String, Path)),
    request_body = NewSecret, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn put_secret(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(wanted): Body<NewSecret>,
) -> Result<StatusCode, Problem> {
    blocking(move || set(&app, &caller, &name, &wanted.value)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// As [`put_secret`].
///
/// # Errors
/// It is not allowed, the name or the value will not do, or this node does not have the key.
pub fn set(app: &App, caller: &Caller, name: &str, value: &Clear) -> Result<(), Problem> {
    // The journal takes no name that is none: it may be what should have been the value.
    Secret::check_name(name).map_err(|why| Problem::unprocessable("name", why))?;
    let is_set = app.store.secret_place(name)?.is_set;
    let about = About::thing("secret", name, name).before(json!({ "is_set": is_set }));
    let allowed = allow::<SetSecret>(app, caller, &Target::Fleet, about.after(json!({ "is_set": true })))?;
    app.fleet.set_secret(&caller.ctx, allowed, name, value)?;
    app.live.bump();
    Ok(())
}

/// Forgets a secret. What lies of it in logs and backups stays there, sealed.
#[utoipa::path(delete, path = "/api/v1/fleet/secrets/{name}", tag = "fleet", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_secret(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || delete(&app, &caller, &name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// As [`delete_secret`].
///
/// # Errors
/// It is not allowed, or there is none.
pub fn delete(app: &App, caller: &Caller, name: &str) -> Result<(), Problem> {
    Secret::check_name(name).map_err(|_| Problem::not_found("secret"))?;
    let about = About::thing("secret", name, name).before(json!({ "is_set": true }));
    let allowed = allow::<DeleteSecret>(app, caller, &Target::Fleet, about.after(json!({ "is_set": false })))?;
    app.fleet.delete_secret(allowed, name)?;
    app.live.bump();
    Ok(())
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        let told = error.to_string();
        match error {
            SecretError::Bad { field, why } => Self::unprocessable(field, why),
            SecretError::None => Self::not_found("secret"),
            SecretError::NoKey(_) => Self::new(StatusCode::CONFLICT, "no_fleet_key", "Waits for the fleet's key", told),
            SecretError::Shut => Self::conflict(told),
            SecretError::Refused(error) => error.into(),
            SecretError::Store(error) => error.into(),
        }
    }
}
