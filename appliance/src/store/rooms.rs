//! Rooms, the node that stands in each, and what is known of the nodes' channels.

use std::sync::Arc;

use replicate::core::index::Keys;
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Store, StoreError, value};
use crate::domain::watch::{Expects, Role};

/// The most bytes of a room's or a channel's name.
pub const NAME_BYTES_MAX: usize = 256;
/// The most bytes of a room's notes.
pub const NOTES_BYTES_MAX: usize = 16 * 1_024;

/// Where recordings are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Its id.
    pub id: Id,
    /// Name for people.
    pub name: String,
    /// IANA name of its time zone.
    pub time_zone: String,
    /// Whatever people want to say.
    #[serde(default)]
    pub notes: String,
    /// The node that stands in it; none if nobody said so.
    #[serde(default, rename = "node_id")]
    pub node: Option<Id>,
    /// Names what was read, for an edit to say what it was made from; empty in one that is made anew.
    #[serde(default)]
    pub version: String,
}

/// What people said of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelLabel {
    /// Channel number, from 1.
    pub number: u16,
    /// Name for people; empty is "as the sound server calls it".
    pub label: String,
    /// What it carries.
    pub role: Role,
    /// What must be heard on it.
    pub expects: Expects,
}

#[derive(Serialize, Deserialize)]
struct Label {
    name: String,
    time_zone: String,
    #[serde(default)]
    notes: String,
}

impl Edits {
    /// The edits were made from this [`Room::version`]; if it is another by now, nothing is kept and the commit says
    /// [`StoreError::Stale`].
    pub fn expect_room(&mut self, id: Id, version: &str) {
        self.expect_version("room", id, &[], version);
    }

    /// The edits were made from this version of [`Store::channels_with_version`]; likewise.
    pub fn expect_channels(&mut self, node: Id, version: &str) {
        self.expect_version("channels", node, &[], version);
    }

    /// Adds or changes a room; its place only if it has one.
    pub fn put_room(&mut self, room: &Room) {
        self.bound("name", &room.name, NAME_BYTES_MAX, false);
        self.bound("time_zone", &room.time_zone, NAME_BYTES_MAX, false);
        self.bound("notes", &room.notes, NOTES_BYTES_MAX, true);
        let label = Label { name: room.name.clone(), time_zone: room.time_zone.clone(), notes: room.notes.clone() };
        self.put("room", room.id, "label", &label);
        if let Some(node) = room.node {
            self.put("room", room.id, "place", &node);
        }
    }

    /// Says which node stands in a room.
    pub fn put_place(&mut self, room: Id, node: Id) {
        self.put("room", room, "place", &node);
    }

    /// Replaces what is said of a node's channels.
    pub fn put_channels(&mut self, node: Id, channels: &[ChannelLabel]) {
        channels.iter().for_each(|channel| self.bound("label", &channel.label, NAME_BYTES_MAX, false));
        self.put("channels", node, "map", &channels);
    }
}

impl Store {
    /// All rooms of the fleet, by id.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn rooms(&self) -> Result<Vec<Room>, StoreError> {
        let scan = Scan { index: "room_all".into(), keys: Keys::All, is_backward: false, after: None, limit: 1_000 };
        let hits = self.scan(&scan)?;
        let room = |hit: &replicate::disk::store::Hit| {
            let label: Label = value(&hit.record, "label")?;
            let id = Id::from_record(hit.record.id());
            let (version, node) = (super::version(&hit.record, &[]), value(&hit.record, "place"));
            Some(Room { id, name: label.name, time_zone: label.time_zone, notes: label.notes, node, version })
        };
        Ok(hits.iter().filter_map(room).collect())
    }

    /// The same, read anew only after something was said of them.
    #[allow(clippy::missing_errors_doc)]
    pub fn kept_rooms(&self) -> Result<Arc<Vec<Room>>, StoreError> {
        self.kept(&self.lists.rooms, &["room", "member", "replacement"], || self.rooms())
    }

    /// The room that this node stands in: the one that says so, else the first that says nothing, for before there were
    /// fleets nobody had to.
    #[allow(clippy::missing_errors_doc)]
    pub fn room(&self) -> Result<Option<Room>, StoreError> {
        let rooms = self.kept_rooms()?;
        let ours = rooms.iter().find(|room| room.node == Some(self.node));
        Ok(ours.or_else(|| rooms.iter().find(|room| room.node.is_none())).cloned())
    }

    /// What is said of this node's channels.
    #[allow(clippy::missing_errors_doc)]
    pub fn channels(&self) -> Result<Vec<ChannelLabel>, StoreError> {
        Ok(self.channels_with_version()?.0)
    }

    /// What is said of any node's channels.
    #[allow(clippy::missing_errors_doc)]
    pub fn channels_of(&self, node: Id) -> Result<Vec<ChannelLabel>, StoreError> {
        let record = self.record("channels", node)?;
        Ok(record.and_then(|record| value(&record, "map")).unwrap_or_default())
    }

    /// As [`Store::channels`], with what names this state of it.
    #[allow(clippy::missing_errors_doc)]
    pub fn channels_with_version(&self) -> Result<(Vec<ChannelLabel>, String), StoreError> {
        Ok(match self.record("channels", self.node)? {
            Some(record) => (value(&record, "map").unwrap_or_default(), super::version(&record, &[])),
            None => (Vec::new(), super::version_of_nothing()),
        })
    }
}
