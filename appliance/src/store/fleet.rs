//! The fleet: its name, its members with their keys, and what each node says of itself.
//!
//! The roster is in the stream that everybody gets first. A member that was retired stays retired: there is no edit here
//! that takes it back, and what is put of it afterwards changes its name, not that. What it decided itself after the last
//! words that its retirement names does not count, whoever brings it; what it recorded does.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use replicate::core::entry::{Entry, Op};
use replicate::core::fence::{Fence, Fenced, Last};
use replicate::core::id::{NodeId, Position, RecordId, Stream};
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::core::write::Act;
use replicate::disk::store::{Hit, Scan};
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Store, StoreError, value};

/// The most members that are listed, retired ones included.
pub const MEMBERS_MAX: usize = 1_000;
/// The most bytes of a fleet's or a node's name.
pub const NAME_BYTES_MAX: usize = 256;
/// The most addresses of one node.
pub const ADDRESSES_MAX: usize = 16;
/// The most bytes of an address: a host name (RFC 1035, 255) and a port.
pub const ADDRESS_BYTES_MAX: usize = 262;
/// The most bytes of a certificate in base64.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1_024;
/// Characters of a SHA-256, hexadecimal.
const HASH_CHARS: usize = 64;

/// Nodes that trust each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Its id.
    pub id: Id,
    /// Name for people.
    pub name: String,
}

/// What a node proves itself by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// SHA-256 of the certificate's public key (SubjectPublicKeyInfo, DER), hexadecimal: what is pinned.
    pub spki: String,
    /// The certificate: DER, base64.
    pub certificate: String,
}

/// What people and the node itself say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Name for people.
    pub name: String,
    /// Where it is reached: `host:port`, the best first.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Who coordinates before whom: the greater first.
    #[serde(default)]
    pub priority: i32,
    /// It keeps everybody's records.
    #[serde(default)]
    pub is_keeper: bool,
    /// It may coordinate.
    #[serde(default)]
    pub is_candidate: bool,
    /// What it counts towards a majority.
    #[serde(default)]
    pub weight: u32,
}

/// How it came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// When.
    pub at: Timestamp,
    /// Who let it in, by name.
    pub by: String,
    /// Through which node; the first member's is itself.
    pub through: Id,
}

/// A member of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node's id.
    pub id: Id,
    /// Its key; none if only an edit of its profile has arrived so far.
    pub key: Option<Key>,
    /// Its name, addresses, part in the fleet.
    pub profile: Profile,
    /// How it came in.
    pub joined: Option<Joined>,
    /// Its key is believed no more, for good.
    pub is_retired: bool,
    /// Names what was read, for an edit to say what it was made from; empty in one that is made anew.
    #[serde(default)]
    pub version: String,
}

/// What a node is called; one that nobody introduced by the beginning of its id.
pub fn called(node: Id, member: Option<&Member>) -> String {
    let name = member.map(|member| member.profile.name.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| node.to_string().chars().take(8).collect())
}

/// What a node says of itself; written by it alone, when something of it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The program's version.
    pub version: String,
    /// Which build of it; empty if unknown.
    #[serde(default)]
    pub build: String,
    /// When the node's process began.
    pub started: Timestamp,
    /// Room on the disk of the takes, bytes: left, and in all.
    #[serde(default)]
    pub disk: (u64, u64),
    /// The sound server: frames a second, and channels; none while it delivers nothing.
    #[serde(default)]
    pub jack: Option<(u32, u16)>,
    /// The room it stands in.
    #[serde(default)]
    pub room: Option<Id>,
    /// What it did last, in one word: `idle`, `recording`, `paused`, `trouble`, `offline`.
    #[serde(default)]
    pub state: String,
}

/// A retired node's last entries that count about people and settings, as the node that retired it had them: incarnation
/// and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    sec: (u32, u64),
    cfg: (u32, u64),
}

impl LastWords {
    /// What a node decides after them does not count, for good or until an incarnation.
    pub(super) fn fence(&self, id: RecordId, until: Option<u32>) -> Fence {
        let last = |(inc, seq)| Last { inc, seq };
        Fence { node: NodeId(id.0), sec: last(self.sec), cfg: last(self.cfg), until }
    }
}

/// What a retirement says; nothing in one from before there were fences.
pub(super) fn fence(id: RecordId, value: &str) -> Option<Fence> {
    let words: LastWords = serde_json::from_str(value).ok()?;
    Some(words.fence(id, None))
}

pub(super) fn member_key(record: &Record) -> Vec<Vec<u8>> {
    let profile: Option<Profile> = value(record, "profile");
    profile.map(|profile| profile.name.to_lowercase().into_bytes()).into_iter().collect()
}

/// By the key that is pinned: each connection of a node asks whose it is.
pub(super) fn member_spki(record: &Record) -> Vec<Vec<u8>> {
    let key: Option<Key> = value(record, "key");
    key.map(|key| key.spki.into_bytes()).into_iter().collect()
}

fn member(record: &Record) -> Option<Member> {
    Some(Member {
        id: Id::from_record(record.id()),
        key: value(record, "key"),
        profile: value(record, "profile")?,
        joined: value(record, "joined"),
        is_retired: record.is_disabled("access"),
        version: super::version(record, &["profile", "access"]),
    })
}

impl Edits {
    /// Adds a member, or changes all that is said of one but whether it is retired.
    pub fn put_member(&mut self, member: &Member) {
        if let Some(key) = &member.key {
            self.put_member_key(member.id, key);
        }
        self.put_member_profile(member.id, &member.profile);
        if let Some(joined) = &member.joined {
            self.bound("joined", &joined.by, NAME_BYTES_MAX, false);
            self.put("member", member.id, "joined", joined);
        }
    }

    /// Gives a member another key.
    pub fn put_member_key(&mut self, id: Id, key: &Key) {
        if key.spki.len() != HASH_CHARS || !key.spki.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            self.refuse(StoreError::Invalid { field: "spki", why: "it is not a SHA-256 in hexadecimal".into() });
        }
        self.bound("certificate", &key.certificate, CERTIFICATE_BYTES_MAX, false);
        self.put("member", id, "key", key);
    }

    /// Changes a member's name, addresses, part in the fleet.
    pub fn put_member_profile(&mut self, id: Id, profile: &Profile) {
        self.bound("name", &profile.name, NAME_BYTES_MAX, false);
        if profile.addresses.len() > ADDRESSES_MAX {
            let why = format!("there are {} of them, and {ADDRESSES_MAX} are the most", profile.addresses.len());
            self.refuse(StoreError::Invalid { field: "addresses", why });
        }
        profile.addresses.iter().for_each(|address| self.bound("addresses", address, ADDRESS_BYTES_MAX, false));
        self.put("member", id, "profile", profile);
    }

    /// The edits were made from this [`Member::version`]; if it is another by now, nothing is kept and the commit says
    /// [`StoreError::Stale`].
    pub fn expect_member(&mut self, id: Id, version: &str) {
        self.expect_version("member", id, &["profile", "access"], version);
    }

    /// Retires a member, for good: what it decided after these words ([`Store::last_words`]) does not count.
    pub fn retire(&mut self, id: Id, words: &LastWords) {
        match serde_json::to_string(words) {
            Ok(value) => self.act("member", id, Act::Disable { group: "access".into(), value }),
            Err(error) => self.refuse(StoreError::Refused(error.to_string())),
        }
    }

    /// Begins a fleet, or gives it another name.
    pub fn put_fleet(&mut self, fleet: &Fleet) {
        self.bound("name", &fleet.name, NAME_BYTES_MAX, false);
        self.put("fleet", fleet.id, "name", &fleet.name);
    }

    /// Writes down what this node says of itself.
    pub fn put_inventory(&mut self, node: Id, inventory: &Inventory) {
        self.put("node", node, "inventory", inventory);
    }
}

impl Store {
    /// The fleet that this node is in; none before it is claimed. Of two, which only a fault brings about, the first id.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn fleet(&self) -> Result<Option<Fleet>, StoreError> {
        let hits = self.every("fleet_all")?;
        let fleet = |hit: &Hit| Some(Fleet { id: Id::from_record(hit.record.id()), name: value(&hit.record, "name")? });
        Ok(hits.iter().find_map(fleet))
    }

    /// All members, also retired ones, by name; at most [`MEMBERS_MAX`].
    #[allow(clippy::missing_errors_doc)]
    pub fn members(&self) -> Result<Vec<Member>, StoreError> {
        Ok(self.every("member_all")?.iter().filter_map(|hit| member(&hit.record)).collect())
    }

    /// The same for pages, read anew only after something was said of them.
    #[allow(clippy::missing_errors_doc)]
    pub fn kept_members(&self) -> Result<Arc<Vec<Member>>, StoreError> {
        self.kept(&self.lists.members, &["member", "replacement"], || self.members())
    }

    /// A member by the node's id.
    #[allow(clippy::missing_errors_doc)]
    pub fn member(&self, id: Id) -> Result<Option<Member>, StoreError> {
        Ok(self.record("member", id)?.as_ref().and_then(member))
    }

    /// The members that hold a key (SHA-256 of its SubjectPublicKeyInfo, hexadecimal), retired ones included: two of them
    /// only if a disk was copied and the copy taken for another node.
    #[allow(clippy::missing_errors_doc)]
    pub fn members_with_key(&self, spki: &str) -> Result<Vec<Member>, StoreError> {
        let keys = Keys::Beginning(spki.as_bytes().to_vec());
        let scan = Scan { index: "member_key".into(), keys, is_backward: false, after: None, limit: MEMBERS_MAX };
        let is_theirs = |member: &Member| member.key.as_ref().is_some_and(|key| key.spki == spki);
        Ok(self.scan(&scan)?.iter().filter_map(|hit| member(&hit.record)).filter(is_theirs).collect())
    }

    /// Where a node's decisions end as this node has them now; of one that is retired already, not beyond that.
    #[allow(clippy::missing_errors_doc)]
    pub fn last_words(&self, node: Id) -> Result<LastWords, StoreError> {
        let (heads, fenced) = (self.records.heads()?, self.records.fenced()?);
        let node = NodeId(node.record().0);
        let last = |stream| {
            let logs = heads.iter().filter(|(log, _)| (log.node, log.stream) == (node, stream));
            let end = logs.map(|(log, head)| (log.inc, head.seq)).max().unwrap_or((0, 0));
            let is_its = |fenced: &&Fenced| (fenced.node, fenced.stream) == (node, stream) && fenced.until.is_none();
            let fenced = fenced.iter().filter(is_its);
            fenced.map(|fenced| (fenced.last.inc, fenced.last.seq)).fold(end, Ord::min)
        };
        Ok(LastWords { sec: last(Stream::Sec), cfg: last(Stream::Cfg) })
    }

    /// How many changes are here that do not count: of retired nodes, and of boxes whose place another took, made afterwards.
    #[allow(clippy::missing_errors_doc)]
    pub fn void_changes(&self) -> Result<BTreeMap<Id, u64>, StoreError> {
        let mut void = BTreeMap::new();
        for fenced in self.records.fenced()? {
            *void.entry(Id::from_record(RecordId(fenced.node.0))).or_default() += fenced.beyond;
        }
        Ok(void)
    }

    /// Whether a node was retired by nobody but nodes that were retired themselves when they said so: two that retired each
    /// other, neither knowing of it. Both count as retired until a third node says which of them is.
    #[allow(clippy::missing_errors_doc)]
    pub fn is_disputed(&self, id: Id) -> Result<bool, StoreError> {
        let Some(record) = self.record("member", id)? else { return Ok(false) };
        let fenced = self.records.fenced()?;
        let is_retired = |at: &Position| {
            let is_its = |fenced: &&Fenced| (fenced.node, fenced.stream) == (at.dot.node, at.stream);
            let of = fenced.iter().find(|fenced| is_its(fenced) && fenced.until.is_none());
            of.is_some_and(|fenced| Last { inc: at.dot.inc, seq: at.dot.seq } > fenced.last)
        };
        let versions = record.versions("access");
        let by = |entry: &&Entry| entry.fields.as_ref().is_some_and(|fields| fields.op == Op::Disable);
        let by: Vec<Position> = versions.into_iter().filter(by).map(|entry| entry.at).collect();
        Ok(!by.is_empty() && by.iter().all(is_retired))
    }

    /// What a node said of itself last.
    #[allow(clippy::missing_errors_doc)]
    pub fn inventory(&self, node: Id) -> Result<Option<Inventory>, StoreError> {
        Ok(self.record("node", node)?.and_then(|record| value(&record, "inventory")))
    }

    pub(super) fn every(&self, index: &str) -> Result<Vec<Hit>, StoreError> {
        let limit = MEMBERS_MAX;
        self.scan(&Scan { index: index.into(), keys: Keys::All, is_backward: false, after: None, limit })
    }
}
