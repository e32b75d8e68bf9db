//! The API, a file a noun. Each noun has plain functions that do the work (pages call the same) and thin handlers that
//! parse and answer; `utoipa` writes the document from the handlers.

pub mod audit;
pub mod auth;
pub mod backup;
pub mod claim;
pub mod conflicts;
pub mod docs;
pub mod fleet;
pub mod health;
pub mod incidents;
pub mod node;
pub mod nodes;
pub mod people;
pub mod recordings;
pub mod secrets;
pub mod settings;

use super::caller::Caller;
use super::{App, Problem};
use crate::access::acts::Act;
use crate::access::{About, Allowed};
use crate::domain::access::{Permission, ResourceKind, Room, RoomId, Target};
use crate::store::Id;

/// How many items of a list if nobody says.
pub const LIMIT: usize = 50;

/// The node's room as rules know it; none before one was named.
pub fn room_of(app: &App) -> Result<Option<Room>, Problem> {
    let room = app.store.room()?;
    Ok(room.map(|room| Room { id: RoomId::new(room.id.to_string()), site: None }))
}

/// Something of the node's room.
pub fn in_room(app: &App, kind: ResourceKind, id: &str) -> Result<Target, Problem> {
    Ok(match room_of(app)? {
        Some(room) => Target::in_room(kind, id, room),
        None => Target::node(app.store.node().to_string(), Vec::new()),
    })
}

/// The node itself.
pub fn the_node(app: &App) -> Result<Target, Problem> {
    Ok(Target::node(app.store.node().to_string(), room_of(app)?.into_iter().collect()))
}

/// Whether the caller may look.
pub fn may(app: &App, caller: &Caller, permission: Permission, target: &Target) -> Result<(), Problem> {
    Ok(app.access.may(&caller.actor, permission, target)?)
}

/// Whether the caller may do something on this node, as a plain answer for pages.
pub fn can_do(app: &App, caller: &Caller, permission: Permission) -> bool {
    let is_fleet = matches!(
        permission,
        Permission::AuditRead
            | Permission::AuthManage
            | Permission::FleetEdit
            | Permission::FleetInvite
            | Permission::FleetJoin
            | Permission::FleetRead
            | Permission::FleetRetire
            | Permission::MetricsRead
            | Permission::SettingsManage
            | Permission::SettingsRead
            | Permission::SystemAdmin
    );
    let target = if is_fleet { Ok(Target::Fleet) } else { the_node(app) };
    target.is_ok_and(|target| app.access.may(&caller.actor, permission, &target).is_ok())
}

/// Allows an act on something of the node's room.
pub fn allow<A: Act>(app: &App, caller: &Caller, target: &Target, about: About) -> Result<Allowed<A>, Problem> {
    Ok(app.access.allow(&caller.ctx, &caller.actor, target, about)?)
}

/// An id in a path or body.
pub fn read_id(text: &str, what: &'static str) -> Result<Id, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}
