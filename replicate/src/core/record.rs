//! One record: the versions of it that nothing has replaced, and the answers they give.
//!
//! Lives here: the merge rule and the reading of its result. Does not: where versions come from (`log`) and are kept.
//! The rule is a set's: an entry takes out the versions it names and puts itself in. Which versions are live is thus
//! decided by the set of entries alone, never by the order they came in and never by a clock.

use crate::core::entry::{Entry, Fields, LIFE, Op, Quality};
use crate::core::id::{Dot, Hash, RecordId};
use crate::core::mutant::{Mutant, is_on};
use crate::core::schema::{DeletePolicy, Form, Kind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// The kind's name.
    pub kind: String,
    /// The record's id.
    pub id: RecordId,
}

impl RecordKey {
    /// Returns the stored key: the kind's name, `00`, the id's 16 bytes.
    pub fn bytes(&self) -> Vec<u8> {
        [self.kind.as_bytes(), &[0], &self.id.0].concat()
    }

    /// Reads a stored key; nothing if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (front, id) = bytes.split_last_chunk::<16>()?;
        let kind = std::str::from_utf8(front.strip_suffix(&[0])?).ok()?.to_string();
        Some(Self { kind, id: RecordId(*id) })
    }
}

/// Names a state of a record, for an edit to say what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub [u8; 16]);

/// A record as one node has it.
#[derive(Debug, Clone)]
pub struct Record {
    kind: Arc<Kind>,
    id: RecordId,
    versions: BTreeMap<Dot, Entry>,
}

/// Versions of one group that were written without knowledge of each other and wait for someone to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The group, or [`LIFE`] where a deletion met an edit.
    pub group: String,
    /// All of them; the first is what is shown until someone chooses.
    pub versions: Vec<Dot>,
}

impl Record {
    /// Returns a record without versions.
    pub fn empty(kind: Arc<Kind>, id: RecordId) -> Self {
        Self { kind, id, versions: BTreeMap::new() }
    }

    /// Puts back a version that is known to be live.
    pub fn put_back(&mut self, version: Entry) {
        self.versions.insert(version.at.dot, version);
    }

    /// Joins an entry of this record: takes out the versions of its group that it names, puts the entry in unless an
    /// entry that came earlier already replaced it. Returns the named dots that are not here.
    pub fn join(&mut self, entry: &Entry, is_replaced: bool) -> Vec<Dot> {
        let Some(fields) = entry.fields.clone() else { return Vec::new() };
        let mut absent = Vec::new();
        if is_on(Mutant::LastWriterWins) && fields.op == Op::Put {
            let is_later = |version: &Fields| version.g != fields.g || version.t.wall > fields.t.wall;
            self.versions.retain(|_, version| version.fields.as_deref().is_none_or(is_later));
        }
        if is_on(Mutant::EnableCancelsAll) && fields.op == Op::Enable {
            self.versions.retain(|_, version| version.fields.as_deref().is_none_or(|version| version.g != fields.g));
        }
        for named in &fields.sup {
            if is_on(Mutant::SupIgnored) {
                continue;
            }
            match self.versions.get(named).and_then(|version| version.fields.as_ref()) {
                Some(version) if version.g == fields.g || is_on(Mutant::GroupIgnored) => {
                    self.versions.remove(named);
                }
                // A deletion names the edits it deletes; they stay, covered by it.
                Some(_) => {}
                None => absent.push(*named),
            }
        }
        if !is_replaced {
            self.versions.insert(entry.at.dot, entry.clone());
        }
        absent
    }

    /// Returns its kind.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns its id.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// Returns its kind's name and its id.
    pub fn key(&self) -> RecordKey {
        RecordKey { kind: self.kind.name.clone(), id: self.id }
    }

    /// Returns the dots of all live versions, in order.
    pub fn live(&self) -> Vec<Dot> {
        self.versions.keys().copied().collect()
    }

    /// Names what these groups say now: another number once one of them was written to. No groups means all.
    pub fn version(&self, groups: &[&str]) -> Version {
        let is_of = |fields: &Fields| groups.is_empty() || groups.contains(&fields.g.as_str());
        let dots: Vec<u8> =
            self.all().filter(|(fields, _)| is_of(fields)).flat_map(|(_, entry)| entry.at.dot.bytes()).collect();
        let hash = Hash::of_entry(Hash::NOTHING, &dots);
        let mut version = [0; 16];
        version.copy_from_slice(&hash.0[..16]);
        Version(version)
    }

    /// Whether there is anything to show: some version, and no deletion that holds.
    pub fn exists(&self) -> bool {
        self.edits().next().is_some() && !self.is_deleted()
    }

    /// Whether a deletion holds, by the kind's policy.
    pub fn is_deleted(&self) -> bool {
        match self.policy() {
            DeletePolicy::EditWins => self.deletions().next().is_some() && self.uncovered_edits().is_empty(),
            DeletePolicy::DeleteWins => self.deletions().next().is_some(),
            DeletePolicy::Never => false,
        }
    }

    fn policy(&self) -> DeletePolicy {
        match self.kind.deletes {
            DeletePolicy::EditWins if is_on(Mutant::DeletePolicySwapped) => DeletePolicy::DeleteWins,
            DeletePolicy::DeleteWins if is_on(Mutant::DeletePolicySwapped) => DeletePolicy::EditWins,
            policy => policy,
        }
    }

    /// Returns the live versions of a group, the shown one first, then the losers, kept until someone chooses.
    pub fn versions(&self, group: &str) -> Vec<&Entry> {
        let is_max = self.kind.groups.get(group) == Some(&Form::Max);
        let mut versions: Vec<(Option<u64>, Rank, &Entry)> = self
            .all()
            .filter(|(fields, _)| fields.g == group)
            .map(|(fields, entry)| (number(fields).filter(|_| is_max), rank(fields), entry))
            .collect();
        versions.sort_by(|left, right| (right.0, &right.1).cmp(&(left.0, &left.1)));
        if is_on(Mutant::LoserShown) {
            versions.reverse();
        }
        versions.into_iter().map(|(_, _, entry)| entry).collect()
    }

    /// Returns the group's value as it is shown: JSON, byte for byte as written.
    pub fn value(&self, group: &str) -> Option<&str> {
        self.versions(group).first().and_then(|entry| entry.fields.as_ref()).map(|fields| fields.val.get())
    }

    /// Whether a flag is raised: some disabling that no enabling has named.
    pub fn is_disabled(&self, group: &str) -> bool {
        self.all().any(|(fields, _)| fields.g == group && fields.op == Op::Disable)
    }

    /// Returns where someone has to choose.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (group, form) in &self.kind.groups {
            let versions = self.versions(group);
            let ops = |op: Op| versions.iter().any(|version| version.fields.as_ref().is_some_and(|f| f.op == op));
            let is_open = match form {
                Form::Register => versions.len() > 1,
                Form::Flag => ops(Op::Disable) && ops(Op::Enable),
                Form::Max => false,
            };
            if is_open {
                let versions = versions.iter().map(|version| version.at.dot).collect();
                conflicts.push(Conflict { group: group.clone(), versions });
            }
        }
        let uncovered = self.uncovered_edits();
        if self.deletions().next().is_some() && !uncovered.is_empty() {
            let deletions = self.deletions().map(|(_, entry)| entry.at.dot);
            let versions = match self.is_deleted() {
                true => deletions.chain(uncovered).collect(),
                false => uncovered.iter().copied().chain(deletions).collect(),
            };
            conflicts.push(Conflict { group: LIFE.to_string(), versions });
        }
        conflicts
    }

    fn all(&self) -> impl Iterator<Item = (&Fields, &Entry)> {
        self.versions.values().filter_map(|entry| Some((entry.fields.as_deref()?, entry)))
    }

    fn edits(&self) -> impl Iterator<Item = (&Fields, &Entry)> {
        self.all().filter(|(fields, _)| fields.g != LIFE)
    }

    fn deletions(&self) -> impl Iterator<Item = (&Fields, &Entry)> {
        self.all().filter(|(fields, _)| fields.op == Op::Delete)
    }

    /// The edits that no live deletion had seen.
    fn uncovered_edits(&self) -> Vec<Dot> {
        let is_covered = |dot: &Dot| self.deletions().any(|(fields, _)| fields.sup.contains(dot));
        self.edits().map(|(_, entry)| entry.at.dot).filter(|dot| !is_covered(dot)).collect()
    }
}

/// What is shown first among versions nobody has compared: a wall time that a peer, a battery or a time server vouched
/// for beats one that nobody did, the later beats the earlier, then the Lamport clock, then the dot. Only fields that
/// never change take part, so every node shows the same. A wrong order costs a click, not data: the others are kept.
type Rank = (bool, i64, u64, Dot);

fn rank(fields: &Fields) -> Rank {
    let is_trusted = fields.t.q >= Quality::Peer;
    (is_trusted, if is_trusted { fields.t.wall } else { 0 }, fields.t.lam, fields.d)
}

fn number(fields: &Fields) -> Option<u64> {
    fields.val.get().parse().ok()
}
