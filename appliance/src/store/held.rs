//! What was said in two ways by people who did not know of each other, and waits for someone to choose.
//!
//! Lives here: finding it, by an index that each kind of policy declares, and writing what was chosen. Does not: who may
//! choose what (`access::choose`). Whoever says the thing anew also ends it: that replaces all that was said before.

use jiff::Timestamp;
use replicate::core::entry::{Entry, Op};
use replicate::core::id::Dot;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::core::write::{Act, Replaces};
use replicate::disk::store::Scan;
use serde_json::Value;
use uuid::Uuid;

use super::{Edits, Id, Store, StoreError, value};

/// The most records that are told, of each kind: beyond, some are told when others are settled.
pub const HELD_MAX: usize = 200;
/// Kinds that several people may write, and the index of what is held of each.
const INDEXES: [(&str, &str); 8] = [
    ("user", "user_held"),
    ("room", "room_held"),
    ("channels", "channels_held"),
    ("annotation", "annotation_held"),
    ("handling", "handling_held"),
    ("setting", "setting_held"),
    ("member", "member_held"),
    ("fleet", "fleet_held"),
];
/// Whose value is nobody's to see, and so nobody's to choose by: settings have the hash of the room's PIN among them.
const SECRETS: [(&str, &str); 3] = [("user", "cred"), ("member", "key"), ("setting", "value")];
/// Settings of the fleet that are no secret, and what people call them.
const OPEN_SETTINGS: [(&str, &str); 1] = [("access_rules", "who may do what")];

/// One thing that stands in two or more ways.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// What kind of record, and which.
    pub kind: String,
    #[allow(missing_docs)]
    pub id: Id,
    /// What it is called, if it has a name.
    pub name: String,
    /// Which part of it.
    pub group: String,
    /// All that was said, what counts until someone chooses first.
    pub versions: Vec<HeldVersion>,
}

/// What one of them said.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldVersion {
    /// Which: the entry that said it.
    pub(crate) dot: Dot,
    /// `set`, `disabled`, `enabled`, `deleted` or `restored`.
    pub act: &'static str,
    /// What it sets; none for what sets nothing, and for secrets.
    pub value: Option<Value>,
    /// Who, by the journal's name for them.
    pub by: String,
    /// When, by the clock of the node.
    pub at: Timestamp,
    /// On which node.
    pub node: Id,
}

impl HeldVersion {
    /// What names this version.
    pub fn version(&self) -> String {
        self.dot.to_string()
    }
}

impl Edits {
    /// What one of them said is said anew, in place of all versions of `seen` and of itself. What has arrived since stays
    /// beside it.
    pub fn choose(&mut self, held: &Held, chosen: &HeldVersion, seen: &[HeldVersion]) {
        let Some(value) = &chosen.value else {
            return self.refuse(StoreError::Refused("this version sets nothing that can be said anew".into()));
        };
        let replaces = seen.iter().chain([chosen]).map(|version| version.dot).collect();
        let (group, value) = (held.group.clone(), value.to_string());
        self.act(&held.kind, held.id, Act::Put { group, value, replaces: Replaces::These(replaces) });
    }
}

/// The index of what is held: one key for all.
pub(super) fn held(record: &Record) -> Vec<Vec<u8>> {
    if record.conflicts().is_empty() { Vec::new() } else { vec![Vec::new()] }
}

impl Store {
    /// All that is held.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn held(&self) -> Result<Vec<Held>, StoreError> {
        let mut found = Vec::new();
        for (kind, index) in INDEXES {
            let scan = Scan { index: index.into(), keys: Keys::All, is_backward: false, after: None, limit: HELD_MAX };
            for hit in self.scan(&scan)? {
                found.extend(of_record(kind, &hit.record));
            }
        }
        Ok(found)
    }

    /// What of one record is held; nothing if all was settled, or never said in two ways.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn held_of(&self, kind: &str, id: Id) -> Result<Vec<Held>, StoreError> {
        let Some((kind, _)) = INDEXES.iter().find(|(known, _)| *known == kind) else { return Ok(Vec::new()) };
        Ok(self.record(kind, id)?.map(|record| of_record(kind, &record)).unwrap_or_default())
    }
}

fn of_record(kind: &str, record: &Record) -> Vec<Held> {
    let held = |conflict: replicate::core::record::Conflict| Held {
        kind: kind.to_owned(),
        id: Id::from_record(record.id()),
        name: name(record),
        versions: record.versions(&conflict.group).into_iter().filter_map(|entry| version(record, entry)).collect(),
        group: conflict.group,
    };
    record.conflicts().into_iter().map(held).collect()
}

fn version(record: &Record, entry: &Entry) -> Option<HeldVersion> {
    let fields = entry.fields.as_ref()?;
    let is_secret =
        SECRETS.contains(&(record.kind().name.as_str(), fields.g.as_str())) && open_setting(record).is_none();
    let is_told = fields.op == Op::Put && !is_secret;
    Some(HeldVersion {
        dot: entry.at.dot,
        act: match fields.op {
            Op::Disable => "disabled",
            Op::Enable => "enabled",
            Op::Delete => "deleted",
            Op::Restore => "restored",
            Op::Put | Op::Open | Op::Unknown(_) => "set",
        },
        value: is_told.then(|| serde_json::from_str(fields.val.get()).ok()).flatten(),
        by: fields.by.clone(),
        at: Timestamp::from_millisecond(fields.t.wall).unwrap_or(Timestamp::UNIX_EPOCH),
        node: Id(Uuid::from_bytes(entry.at.dot.node.0)),
    })
}

/// What people call it: the first group that has a name or a title.
fn name(record: &Record) -> String {
    let named = |group: &str| {
        let value: Value = value(record, group)?;
        let name = value.as_str().or_else(|| value["name"].as_str()).or_else(|| value["title"].as_str())?;
        Some(name.to_owned())
    };
    let setting = || open_setting(record).map(str::to_owned);
    ["profile", "label", "name"].into_iter().find_map(named).or_else(setting).unwrap_or_default()
}

/// What people call a setting that is no secret; none for any other record.
fn open_setting(record: &Record) -> Option<&'static str> {
    let is_it = |name: &str| record.kind().name == "setting" && record.id() == Id::of_name(name).record();
    OPEN_SETTINGS.iter().find(|(name, _)| is_it(name)).map(|(_, called)| *called)
}
