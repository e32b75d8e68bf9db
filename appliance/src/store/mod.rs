//! What a node remembers: people, rooms, recordings as facts, what people say about them, incidents, the journal, settings.
//!
//! The records are the whole fleet's, as far as this node has heard: facts say which node wrote them, and whoever acts on
//! them asks for those of [`Store::node`]. Lives here: repositories over [`replicate`], typed values in and out; [`schema`]
//! says what kinds there are, who may write them and what is indexed; `tables` has what never leaves the machine (sessions). Does not live here: audio, rights (a
//! caller brings what `access` allowed), the clock. One process has the file; one thread writes it; a write is durable
//! when it returns. Reading never waits for writing.

pub mod audit;
pub mod backup;
pub mod fleet;
mod followed;
pub mod held;
pub mod incidents;
pub mod invitations;
mod kept;
mod keys;
pub mod people;
pub mod recordings;
pub mod replacements;
pub mod rooms;
pub mod schema;
pub mod search;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod words;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use replicate::core::id::{BootId, NodeId, RecordId, Stream};
use replicate::core::record::Record;
use replicate::core::schema::Kind;
use replicate::core::view::Unreadable;
use replicate::core::write::BadAct;
use replicate::disk::join::{Join, Joined};
use replicate::disk::opening::{Alarm, OpenError, Settings as Opening};
use replicate::disk::store::{Hit, Scan, Store as Records, WriteError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use write::Edits;

use crate::domain::ClockQuality;

/// Memory for the file's pages: what a page of 50 from 100 000 recordings touches fits several times.
const CACHE_BYTES: usize = 16 << 20;

/// When something is written, as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Wall time.
    pub wall: Timestamp,
    /// How far it can be believed.
    pub quality: ClockQuality,
    /// Microseconds since boot.
    pub mono_us: u64,
}

/// Why something was not read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be used; recording does not need it.
    #[error("the records cannot be used: {0}. Recording goes on without them")]
    Unusable(String),
    /// There is no room on the disk for records; what there is goes to the recording.
    #[error("the disk has no room for records: {0}. Recording has priority; free some space and try again")]
    Full(String),
    /// Too much waits to be written.
    #[error("the node is too busy to write this down: try again in a moment")]
    Busy,
    /// What was to be written cannot be; a bug of ours.
    #[error("this cannot be written: {0}")]
    Refused(String),
    /// A field has a value that cannot be kept.
    #[error("{field}: {why}")]
    Invalid {
        /// The field, as programs call it.
        field: &'static str,
        /// A sentence about it.
        why: String,
    },
    /// The record was changed by someone else meanwhile.
    #[error("this was changed meanwhile")]
    Stale,
}

impl From<Unreadable> for StoreError {
    fn from(error: Unreadable) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::BadAct(BadAct::Stale(_)) => Self::Stale,
            WriteError::BadAct(bad) => Self::Refused(bad.to_string()),
            WriteError::Busy => Self::Busy,
            WriteError::Failed(why) if is_full(&why) => Self::Full(why),
            WriteError::Quarantined(_) | WriteError::Failed(_) | WriteError::Unreadable(_) | WriteError::Closed => {
                Self::Unusable(error.to_string())
            }
        }
    }
}

/// What the system says of a disk, or of someone's part of it, that takes no more.
fn is_full(why: &str) -> bool {
    ["No space left", "StorageFull", "uota exceeded"].iter().any(|said| why.contains(said))
}

/// Names any record: a UUID, version 7 where it was made at a time, else derived from a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub Uuid);

impl Id {
    /// Makes a version 7 id from an instant and ten random bytes.
    pub fn new(at: Timestamp, chance: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid())
    }

    /// The id that a name always has (UUID version 8: the first bytes of its SHA-256).
    pub fn of_name(name: &str) -> Self {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(name.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    pub(crate) fn record(self) -> RecordId {
        RecordId(*self.0.as_bytes())
    }

    pub(crate) fn from_record(id: RecordId) -> Self {
        Self(Uuid::from_bytes(id.0))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl std::str::FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(format!("{text:?} is not an id (36 characters)")),
        }
    }
}

impl From<crate::domain::TakeId> for Id {
    fn from(id: crate::domain::TakeId) -> Self {
        // A take's id is a UUID by construction.
        Self(Uuid::try_parse(&id.to_string()).unwrap_or(Uuid::nil()))
    }
}

/// A part of a list: what was found, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Opaque; none at the end.
    pub next: Option<String>,
}

/// How a store opened.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// What a person should know: sentences, none when all is well.
    pub alarms: Vec<String>,
    /// Nothing was there before.
    pub is_new: bool,
}

/// The records of a node. Cheap to clone; any thread may hold it.
#[derive(Clone)]
pub struct Store {
    records: Arc<Records>,
    node: Id,
    boot: BootId,
    local: Arc<sessions::Local>,
    facets: Arc<Mutex<search::Counted>>,
    lists: Arc<kept::Lists>,
    followed: Arc<followed::Sorts>,
}

impl Store {
    /// Opens what lies in a folder, making it if there is nothing. A file that is damaged or of a later version is moved
    /// aside and named in the alarms.
    ///
    /// # Errors
    /// Another process has it, or the machine does not give or take the bytes.
    pub fn open(
        folder: &Path,
        node: Id,
        boot_id: &str,
        now: Moment,
        nonces: fn() -> u32,
    ) -> Result<(Self, Opened), StoreError> {
        Self::open_above(folder, (node, 1), boot_id, now, nonces)
    }

    /// As [`Store::open`], of a node whose earlier incarnations were another box's: what it writes is in none below this.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_above(
        folder: &Path,
        (node, inc_min): (Id, u32),
        boot_id: &str,
        now: Moment,
        nonces: fn() -> u32,
    ) -> Result<(Self, Opened), StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Unusable(error.to_string()))?;
        let boot = BootId(Id::of_name(boot_id).0.into_bytes());
        let settings = Opening {
            node: NodeId(*node.0.as_bytes()),
            inc_min,
            nonces: Box::new(nonces),
            moment: write::moment(now, boot),
            cache_bytes: CACHE_BYTES,
            is_verified: false,
        };
        let (records, opened) = Records::open(&folder.join(backup::RECORDS_FILE), schema::schema(), settings)?;
        let mut told =
            Opened { alarms: opened.alarms.iter().map(alarm).collect(), is_new: opened.us.inc == 1 && opened.is_new };
        let local = sessions::Local::open(&folder.join("local.redb"), &mut told)?;
        let (records, local) = (Arc::new(records), Arc::new(local));
        Ok((
            Self {
                records,
                node,
                boot,
                local,
                facets: Arc::default(),
                lists: Arc::default(),
                followed: Arc::default(),
            },
            told,
        ))
    }

    /// The node that writes here. What others wrote is here as well.
    pub fn node(&self) -> Id {
        self.node
    }

    /// The logs themselves: for the links to other nodes, by which theirs join and ours go out. For nothing else.
    pub fn logs(&self) -> Arc<Records> {
        Arc::clone(&self.records)
    }

    /// A moment as the logs keep it.
    pub fn stamp(&self, now: Moment) -> replicate::core::entry::Moment {
        write::moment(now, self.boot)
    }

    /// Waits until records change and returns the number to ask with next, and the kinds that changed.
    pub fn changes(&self, since: u64, timeout: Duration) -> (u64, Vec<String>) {
        let news = self.records.changes(since, 1_024, timeout);
        let mut kinds: Vec<String> =
            news.changes.iter().filter_map(|change| change.record.as_ref().map(|record| record.kind.clone())).collect();
        kinds.sort();
        kinds.dedup();
        if news.has_missed {
            kinds = schema::KINDS.iter().map(ToString::to_string).collect();
        }
        (news.next, kinds)
    }

    /// What is wrong with the records since they were opened: sentences for people, none when all is well.
    pub fn troubles(&self) -> Vec<String> {
        let status = self.records.status();
        let failed = status.failed.map(|why| format!("Nothing can be written to the records: {why}"));
        let quarantined = status.quarantined.map(|why| format!("{STANDS_STILL}: {why}."));
        failed.into_iter().chain(quarantined).chain(status.alarms.iter().map(alarm)).collect()
    }

    fn record(&self, kind: &str, id: Id) -> Result<Option<Record>, StoreError> {
        Ok(self.records.read(kind, id.record())?)
    }

    fn all(&self, kind: &str, ids: &[RecordId]) -> Result<Vec<Option<Record>>, StoreError> {
        Ok(self.records.read_all(kind, ids)?)
    }

    fn join(&self, join: &Join) -> Result<Joined, StoreError> {
        Ok(self.records.join(join)?)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        Ok(self.records.scan(scan)?)
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// The value of a record's group, if it has one and it is what this version reads.
fn value<T: serde::de::DeserializeOwned>(record: &Record, group: &str) -> Option<T> {
    serde_json::from_str(record.value(group)?).ok()
}

/// The node that wrote what a group of a record shows; none if nobody wrote it.
fn writer(record: &Record, group: &str) -> Option<Id> {
    record.versions(group).first().map(|entry| Id(Uuid::from_bytes(entry.at.dot.node.0)))
}

/// Which node a data folder belongs to, as its `node.json` says.
pub fn node_of(data: &Path) -> Option<Id> {
    #[derive(Deserialize)]
    struct Node {
        id: Id,
    }
    let text = std::fs::read(data.join("node.json")).ok()?;
    serde_json::from_slice::<Node>(&text).ok().map(|node| node.id)
}

/// Names what groups of a record say now; of no groups, all of it.
fn version(record: &Record, groups: &[&str]) -> String {
    format!("{:032x}", u128::from_be_bytes(record.version(groups).0))
}

/// The version of a record that is not there.
fn version_of_nothing() -> String {
    let nothing = Record::empty(Kind::new("nothing", Stream::Cfg).into(), RecordId([0; 16]));
    version(&nothing, &[])
}

/// What an operator reads of a node whose name is used twice.
pub const STANDS_STILL: &str = "This node's card was copied: another machine uses its name, so nothing new is written to the records of this one. Recording goes on. Take the copy off the network and set it up anew, then let this one go on with `rakkr renew --yes`. Why";

/// What an operator reads of how the records were found.
pub fn alarm(alarm: &Alarm) -> String {
    match alarm {
        Alarm::Damaged { why, moved_to } => format!(
            "The records were damaged ({why}) and lie in {moved_to}. Takes on disk are untouched and are found again; people and settings must be set up anew or restored from a backup."
        ),
        Alarm::Missing => {
            "The records are gone: a disk was changed or a file removed. Takes on disk are found again.".into()
        }
        Alarm::Repaired => "The records were mended after a fault: the last changes may be lost.".into(),
        Alarm::NotTheMarked => "The records are not the ones this node wrote last: a backup was put back.".into(),
        Alarm::BelowFloor { moved_to } => format!(
            "This node was away for so long that the fleet has forgotten what it still had. What nobody else had it has handed on; its old records lie in {moved_to}, and it takes the fleet's anew. Takes on disk are untouched."
        ),
        Alarm::OfAnotherNode(node) => format!("The records were written by another node ({node})."),
        Alarm::Quarantined(why) => format!("{STANDS_STILL}: {why}."),
    }
}
