//! What an act is about, and how rules name it.
//!
//! The caller resolves: a recording and a booking stand in their own room only, never in their node; a node stands in
//! every room of which it serves a channel; an incident stands where its recording or its node stands.

use serde::{Deserialize, Serialize};

use super::{RoomId, SiteId};

/// Kinds of things that rules can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A site: many rooms.
    Site,
    /// A room.
    Room,
    /// A recorder.
    Node,
    /// A sound card of a node.
    Interface,
    /// A channel of an interface.
    Channel,
    /// A booking.
    Schedule,
    /// A recording.
    Recording,
    /// An incident.
    Incident,
}

/// One thing by kind and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Which one.
    pub id: String,
}

impl Resource {
    /// Names a thing.
    pub fn new(kind: ResourceKind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
pub enum Pattern {
    /// Everything, the settings of the fleet included. To deny this to everyone locks out everyone.
    Everything,
    /// All things of a kind.
    All {
        /// The kind.
        kind: ResourceKind,
    },
    /// One thing, and what stands in it.
    One(Resource),
}

impl Pattern {
    /// Whether the pattern names this thing.
    pub fn names(&self, thing: &Resource) -> bool {
        match self {
            Self::Everything => true,
            Self::All { kind } => *kind == thing.kind,
            Self::One(one) => one == thing,
        }
    }
}

/// A room and the site it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its site, if it has one.
    pub site: Option<SiteId>,
}

impl Room {
    /// Whether a pattern names the room or its site.
    pub(super) fn is_named_by(&self, pattern: &Pattern) -> bool {
        let site = self.site.as_ref().map(|site| Resource::new(ResourceKind::Site, site.as_str()));
        pattern.names(&Resource::new(ResourceKind::Room, self.id.as_str())) || site.is_some_and(|s| pattern.names(&s))
    }
}

/// A thing that has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// The thing, then what it stands in, rooms and sites left out: a channel, its interface, its node. Empty for a room.
    pub chain: Vec<Resource>,
    /// The rooms it stands in. A recording has one; a node may have several, or none while it is new.
    pub rooms: Vec<Room>,
}

impl Thing {
    /// Whether a pattern names the thing or what it stands in, short of rooms.
    pub(super) fn is_named_by(&self, pattern: &Pattern) -> bool {
        self.chain.iter().any(|resource| pattern.names(resource))
    }
}

/// What an act is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// No place: settings, people, the journal, switchers.
    Fleet,
    /// Something that was looked up and is not there.
    Missing,
    /// Something that has a place.
    Thing(Thing),
}

impl Target {
    /// A room itself.
    pub fn room(room: Room) -> Self {
        Self::Thing(Thing { chain: Vec::new(), rooms: vec![room] })
    }

    /// A recording, booking or incident of one room.
    pub fn in_room(kind: ResourceKind, id: impl Into<String>, room: Room) -> Self {
        Self::Thing(Thing { chain: vec![Resource::new(kind, id)], rooms: vec![room] })
    }

    /// A node with the rooms it serves.
    pub fn node(id: impl Into<String>, rooms: Vec<Room>) -> Self {
        Self::Thing(Thing { chain: vec![Resource::new(ResourceKind::Node, id)], rooms })
    }
}
