//! The room, and what is known of the node's channels.

use replicate::core::index::Keys;
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Store, StoreError, value};
use crate::domain::watch::{Expects, Role};

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
    /// Adds or changes a room.
    pub fn put_room(&mut self, room: &Room) {
        let label = Label { name: room.name.clone(), time_zone: room.time_zone.clone(), notes: room.notes.clone() };
        self.put("room", room.id, "label", &label);
    }

    /// Replaces what is said of a node's channels.
    pub fn put_channels(&mut self, node: Id, channels: &[ChannelLabel]) {
        self.put("channels", node, "map", &channels);
    }
}

impl Store {
    /// All rooms.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn rooms(&self) -> Result<Vec<Room>, StoreError> {
        let scan = Scan { index: "room_all".into(), keys: Keys::All, is_backward: false, after: None, limit: 1_000 };
        let hits = self.scan(&scan)?;
        let room = |hit: &replicate::disk::store::Hit| {
            let label: Label = value(&hit.record, "label")?;
            let id = Id::from_record(hit.record.id());
            Some(Room { id, name: label.name, time_zone: label.time_zone, notes: label.notes })
        };
        Ok(hits.iter().filter_map(room).collect())
    }

    /// What is said of this node's channels.
    #[allow(clippy::missing_errors_doc)]
    pub fn channels(&self) -> Result<Vec<ChannelLabel>, StoreError> {
        Ok(self.record("channels", self.node)?.and_then(|record| value(&record, "map")).unwrap_or_default())
    }
}
