//! What an administrator lays down: rosters of rooms, grants, policies, and what of it concerns one person.
//!
//! [`Rules`] is all that there is, [`Subject`] is one person with what concerns them: gathered once a request, so that a
//! list of a thousand rooms is decided without reading all rules a thousand times.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::target::Pattern;
use super::{GroupId, PolicyId, Role, Room, RoomId, UserId};

/// What a roster entry lets someone do in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// See the room, its node, recordings, bookings and incidents; play.
    View,
    /// Hear it live.
    Listen,
    /// Take recordings away as files.
    Download,
    /// Start, stop and mark recordings.
    Operate,
    /// Make and change bookings.
    Book,
    /// Change what is written about recordings.
    Edit,
    /// Delete recordings.
    Delete,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 7] =
        [Self::View, Self::Listen, Self::Download, Self::Operate, Self::Book, Self::Edit, Self::Delete];
}

/// A set of capabilities; any subset may stand in a roster.
pub type Capabilities = BTreeSet<Capability>;

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "who", content = "id", rename_all = "snake_case")]
pub enum Who {
    /// One person.
    User(UserId),
    /// Everyone in a group.
    Group(GroupId),
    /// Everyone who is logged in.
    Everyone,
}

/// Capabilities of someone in one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The room.
    pub room: RoomId,
    /// Who is on the roster.
    pub who: Who,
    /// What they may do there; a union over all entries that are about them.
    pub capabilities: Capabilities,
}

/// A place where the permissions of someone's roles hold. A grant gives no permission of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who gets it.
    pub who: Who,
    /// Where.
    pub target: Pattern,
}

/// What a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The permissions of someone's roles hold there, as with a grant.
    Allow,
    /// Nothing is allowed there, whatever else says so.
    Deny,
}

/// A rule above all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// Its id, for the journal.
    pub id: PolicyId,
    /// Allow or deny.
    pub effect: Effect,
    /// Whom it is about.
    pub who: Who,
    /// What it is about.
    pub target: Pattern,
}

/// Someone, as the record of people has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Groups they are in.
    #[serde(default)]
    pub groups: BTreeSet<GroupId>,
    /// Their roles; a union.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// They may do nothing, whatever the rest says.
    #[serde(default)]
    pub is_disabled: bool,
}

impl Person {
    fn is_meant(&self, who: &Who) -> bool {
        match who {
            Who::User(id) => *id == self.id,
            Who::Group(id) => self.groups.contains(id),
            Who::Everyone => true,
        }
    }
}

/// All rules there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Policies.
    #[serde(default)]
    pub policies: Vec<AccessPolicy>,
    /// Grants.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Rosters of all rooms.
    #[serde(default)]
    pub roster: Vec<RosterEntry>,
}

impl Rules {
    /// A person with the rules that concern them.
    pub fn subject(&self, person: Person) -> Subject {
        let meant = |who: &Who| person.is_meant(who);
        let policies = self.policies.iter().filter(|policy| meant(&policy.who)).cloned().collect();
        let grants = self.grants.iter().filter(|grant| meant(&grant.who)).cloned().collect();
        let mut roster: BTreeMap<RoomId, Vec<RosterEntry>> = BTreeMap::new();
        for entry in self.roster.iter().filter(|entry| meant(&entry.who) && !entry.capabilities.is_empty()) {
            roster.entry(entry.room.clone()).or_default().push(entry.clone());
        }
        Subject { person, policies, grants, roster }
    }
}

/// A person with the rules that concern them; made by [`Rules::subject`], true as long as those rules stand.
#[derive(Debug, Clone)]
pub struct Subject {
    pub(super) person: Person,
    pub(super) policies: Vec<AccessPolicy>,
    pub(super) grants: Vec<Grant>,
    roster: BTreeMap<RoomId, Vec<RosterEntry>>,
}

impl Subject {
    /// Who it is.
    pub fn person(&self) -> &Person {
        &self.person
    }

    /// The roster entries about this person in a room.
    pub(super) fn roster(&self, room: &Room) -> &[RosterEntry] {
        self.roster.get(&room.id).map_or(&[], Vec::as_slice)
    }
}
