//! The nodes whose records are here: what they are called, and in which rooms what they made stands.
//!
//! Read once for a request. Rights go by room: a recording stands in the room it was made in, an incident in the room of
//! its node, whichever node shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::access::{Permission, Resource, ResourceKind, Room as Place, RoomId, Target, Thing};
use crate::store::Id;
use crate::store::fleet::{Member, called};
use crate::store::incidents::Known;
use crate::store::recordings::Recording;
use crate::store::rooms::Room;
use crate::web::caller::Caller;
use crate::web::{App, Problem};

/// See the module.
pub struct Nodes {
    us: Id,
    our_name: String,
    our_room: Option<Id>,
    members: Arc<Vec<Member>>,
    rooms: Arc<Vec<Room>>,
    /// The room of each node that stands in one.
    placed: BTreeMap<Id, Id>,
}

impl Nodes {
    /// As the records say now.
    pub fn of(app: &App) -> Result<Self, Problem> {
        let (members, rooms) = (app.store.kept_members()?, app.store.kept_rooms()?);
        let (us, our_room) = (app.store.node(), app.store.room()?.map(|room| room.id));
        // Two rooms may name one node: the first counts.
        let mut placed: BTreeMap<Id, Id> = rooms.iter().rev().filter_map(|room| Some((room.node?, room.id))).collect();
        match our_room {
            Some(room) => placed.insert(us, room),
            None => placed.remove(&us),
        };
        Ok(Self { us, our_name: app.name(), our_room, members, rooms, placed })
    }

    /// What a node is called; this one knows its own name before the roster does.
    pub fn name(&self, node: Id) -> String {
        let member = self.members.iter().find(|member| member.id == node);
        match member {
            Some(member) if !member.profile.name.is_empty() => member.profile.name.clone(),
            _ if node == self.us => self.our_name.clone(),
            _ => called(node, None),
        }
    }

    /// What a node is called, where that is worth saying: there is more than one.
    pub fn told(&self, node: Id) -> Option<String> {
        let is_only = node == self.us && self.members.iter().all(|member| member.id == self.us);
        (!is_only).then(|| self.name(node))
    }

    /// Where a recording stands.
    pub fn of_recording(&self, recording: &Recording) -> Target {
        let room = recording.plan.room.or_else(|| self.room_of(recording.node));
        in_room(ResourceKind::Recording, recording.id.to_string(), room, recording.node)
    }

    /// Where a node stands.
    pub fn of_node(&self, node: Id) -> Target {
        Target::node(node.to_string(), self.room_of(node).map(place).into_iter().collect())
    }

    /// In which rooms nodes stand, by node: the rooms' names.
    pub fn room_names(&self) -> BTreeMap<String, String> {
        let named = |room: &Room| Some((room.node?.to_string(), room.name.clone()));
        let mut names: BTreeMap<String, String> = self.rooms.iter().filter_map(named).collect();
        let ours = self.rooms.iter().find(|room| Some(room.id) == self.our_room);
        names.extend(ours.map(|room| (self.us.to_string(), room.name.clone())));
        names
    }

    /// Where an incident stands.
    pub fn of_incident(&self, known: &Known) -> Target {
        in_room(ResourceKind::Incident, known.id.to_string(), self.room_of(known.node), known.node)
    }

    /// This node and every room: what is listed is filtered by what each of it is.
    pub fn everywhere(&self) -> Target {
        let rooms = self.rooms.iter().map(|room| place(room.id)).collect();
        Target::Thing(Thing { chain: vec![Resource::new(ResourceKind::Node, self.us.to_string())], rooms })
    }

    fn room_of(&self, node: Id) -> Option<Id> {
        self.placed.get(&node).copied()
    }
}

fn place(room: Id) -> Place {
    Place { id: RoomId::new(room.to_string()), site: None }
}

fn in_room(kind: ResourceKind, id: String, room: Option<Id>, node: Id) -> Target {
    match room {
        Some(room) => Target::in_room(kind, id, place(room)),
        None => Target::node(node.to_string(), Vec::new()),
    }
}

/// Whether the caller may look at something, as a plain answer.
pub fn sees(app: &App, caller: &Caller, permission: Permission, target: &Target) -> bool {
    app.access.may(&caller.actor, permission, target).is_ok()
}

/// `node_id` of a filter.
pub fn wanted(text: Option<&str>) -> Result<Option<Id>, Problem> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let read = text.map(|text| text.parse().map_err(|why: String| Problem::unprocessable("node_id", why)));
    read.transpose()
}
