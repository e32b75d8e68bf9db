//! What the user of the library declares: kinds of records, their field groups, what deleting means, what is indexed.
//!
//! Lives here: the declaration and its checks. Does not: any kind. A schema is part of the program, not of the data:
//! entries of kinds it does not know are kept and handed on, and take effect when a later schema declares them.

use crate::core::entry::{Entry, LIFE, NAME_BYTES_MAX, Op, is_name};
use crate::core::fence::{Fence, Fencing};
use crate::core::id::{Hash, RecordId, Stream};
use crate::core::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Kinds one schema can declare; more is an error of the program.
pub const KINDS_MAX: usize = 256;

/// How versions of one field group, written without knowledge of each other, become one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A value that merges whole. Versions nobody has compared yet stand side by side: one is shown, all are kept.
    Register,
    /// A flag where disabling wins: it is disabled until an enabling that had seen every disabling.
    Flag,
    /// A whole number that only grows: the greatest is shown. The value is a JSON number.
    Max,
}

/// What becomes of a record that one node deletes while another, not knowing it, edits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletePolicy {
    /// The record stays, and says that it was to be deleted.
    EditWins,
    /// The record goes; the edit is kept in the log.
    DeleteWins,
    /// Records of the kind are never deleted: an attempt is refused here and without effect when it comes from others.
    Never,
}

/// Returns the keys under which a record is found; called for records that exist. Keys are compared as bytes.
/// A key longer than [`crate::core::index::KEY_BYTES_MAX`] is cut there.
pub type KeysOf = fn(&Record) -> Vec<Vec<u8>>;

/// Returns the fence that a `put` or a `disable` of a record carries, if it does: called with the record's id and the
/// value, JSON.
pub type FenceOf = fn(RecordId, &str) -> Option<Fence>;

/// Says that a group carries fences.
#[derive(Debug, Clone, Copy)]
pub struct Fencer {
    /// Counted up when `of` changes: records are then built anew when the store is opened.
    pub version: u32,
    /// Its fences.
    pub of: FenceOf,
}

/// A declared index.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its name, unique in the schema.
    pub name: String,
    /// Counted up when `keys` changes: the index is then built anew when the store is opened.
    pub version: u32,
    /// Its keys.
    pub keys: KeysOf,
}

/// A declared kind of record.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its name in entries. Never reused for something else.
    pub name: String,
    /// The stream its entries are in; never changes.
    pub stream: Stream,
    /// Its field groups.
    pub groups: BTreeMap<String, Form>,
    /// What deleting means.
    pub deletes: DeletePolicy,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// Its groups that carry fences.
    pub fencers: BTreeMap<String, Fencer>,
}

impl Kind {
    /// Begins a kind that is never deleted and has no groups.
    pub fn new(name: &str, stream: Stream) -> Self {
        let (groups, indexes) = (BTreeMap::new(), Vec::new());
        let (name, fencers) = (name.to_string(), BTreeMap::new());
        Self { name, stream, groups, deletes: DeletePolicy::Never, indexes, fencers }
    }

    /// Adds a field group.
    pub fn group(mut self, name: &str, form: Form) -> Self {
        self.groups.insert(name.to_string(), form);
        self
    }

    /// Says what deleting means.
    pub fn deletes(mut self, policy: DeletePolicy) -> Self {
        self.deletes = policy;
        self
    }

    /// Adds an index.
    pub fn index(mut self, name: &str, version: u32, keys: KeysOf) -> Self {
        self.indexes.push(Index { name: name.to_string(), version, keys });
        self
    }

    /// Says that entries of a declared group may carry fences. A fence holds until an entry of the group names it; that the
    /// record is deleted does not end it.
    pub fn fences(mut self, group: &str, version: u32, of: FenceOf) -> Self {
        self.fencers.insert(group.to_string(), Fencer { version, of });
        self
    }

    /// Whether an act fits the group it is meant for.
    pub fn allows(&self, group: &str, op: &Op) -> bool {
        match op {
            Op::Put => matches!(self.groups.get(group), Some(Form::Register | Form::Max)),
            Op::Disable | Op::Enable => matches!(self.groups.get(group), Some(Form::Flag)),
            Op::Delete | Op::Restore => group == LIFE && self.deletes != DeletePolicy::Never,
            Op::Open | Op::Unknown(_) => false,
        }
    }
}

/// Why a schema is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// A name is empty, too long, has other letters than `a-z 0-9 _ .`, or is reserved.
    #[error("`{0}` cannot be a name (1 to {NAME_BYTES_MAX} of a-z 0-9 _ . and not `{LIFE}`)")]
    Name(String),
    /// A name is declared twice.
    #[error("`{0}` is declared twice")]
    Twice(String),
    /// More than [`KINDS_MAX`] kinds.
    #[error("more than {KINDS_MAX} kinds")]
    TooMany,
}

/// All kinds a program knows.
#[derive(Debug, Clone)]
pub struct Schema {
    kinds: BTreeMap<String, Arc<Kind>>,
}

impl Schema {
    /// Returns the schema of these kinds.
    ///
    /// # Errors
    /// [`BadSchema`] names what is wrong with the declaration.
    pub fn new(declared: Vec<Kind>) -> Result<Self, BadSchema> {
        if declared.len() > KINDS_MAX {
            return Err(BadSchema::TooMany);
        }
        let mut kinds = BTreeMap::new();
        let mut index_names = BTreeSet::new();
        for kind in declared {
            let indexes = kind.indexes.iter().map(|index| &index.name);
            let names = std::iter::once(&kind.name).chain(kind.groups.keys()).chain(indexes.clone());
            if let Some(bad) = names.into_iter().find(|name| !is_name(name) || *name == LIFE) {
                return Err(BadSchema::Name(bad.clone()));
            }
            if let Some(twice) = indexes.into_iter().find(|name| !index_names.insert((*name).clone())) {
                return Err(BadSchema::Twice(twice.clone()));
            }
            if let Some(twice) = kinds.insert(kind.name.clone(), Arc::new(kind)) {
                return Err(BadSchema::Twice(twice.name.clone()));
            }
        }
        Ok(Self { kinds })
    }

    /// Returns a kind by name.
    pub fn kind(&self, name: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(name)
    }

    /// Returns an index by name, with its kind.
    pub fn index(&self, name: &str) -> Option<(&Arc<Kind>, &Index)> {
        self.kinds.values().find_map(|kind| Some((kind, kind.indexes.iter().find(|index| index.name == name)?)))
    }

    /// Returns the kind whose record an entry changes; nothing if the entry is only kept and handed on.
    pub fn changed_by(&self, entry: &Entry) -> Option<&Arc<Kind>> {
        let fields = entry.fields.as_ref()?;
        let kind = self.kind(&fields.k).filter(|kind| kind.stream == fields.s)?;
        kind.allows(&fields.g, &fields.op).then_some(kind)
    }

    /// Returns what an entry is to the fences: one that carries a fence, or that may take one back; nothing if its group
    /// carries none. Whether the fence holds is not known from the entry alone.
    pub fn fencing(&self, entry: &Entry) -> Option<Fencing> {
        let (kind, fields) = (self.changed_by(entry)?, entry.fields.as_ref()?);
        let fencer = kind.fencers.get(&fields.g)?;
        let carries = matches!(fields.op, Op::Put | Op::Disable);
        let fence = if carries { (fencer.of)(fields.id, fields.val.get()) } else { None };
        Some(Fencing { fence, holds: false })
    }

    /// Returns the streams in which there may be fences.
    pub fn fencing_streams(&self) -> BTreeSet<Stream> {
        self.kinds.values().filter(|kind| !kind.fencers.is_empty()).map(|kind| kind.stream).collect()
    }

    /// Returns a digest of all that decides which records the logs become. Another digest: records are built anew.
    pub fn records_digest(&self) -> Hash {
        let kinds = self.kinds.values().map(|kind| (&kind.name, kind.stream, &kind.groups, kind.deletes));
        let mut text = format!("{:?}", kinds.collect::<Vec<_>>());
        for kind in self.kinds.values() {
            for (group, fencer) in &kind.fencers {
                text.push_str(&format!("{}.{group} fences {}\n", kind.name, fencer.version));
            }
        }
        Hash::of_entry(Hash::NOTHING, text.as_bytes())
    }

    /// Returns a digest of the declared indexes. Another digest: indexes are built anew.
    pub fn indexes_digest(&self) -> Hash {
        let of_kind = |kind: &Arc<Kind>| -> Vec<(String, String, u32)> {
            kind.indexes.iter().map(|index| (kind.name.clone(), index.name.clone(), index.version)).collect()
        };
        let indexes: Vec<_> = self.kinds.values().flat_map(of_kind).collect();
        Hash::of_entry(Hash::NOTHING, format!("{indexes:?}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_keys(_: &Record) -> Vec<Vec<u8>> {
        Vec::new()
    }

    #[test]
    fn a_name_is_plain_and_declared_once() {
        let kind = |name: &str| Kind::new(name, Stream::Cfg);
        let twice = |name: &str| Err(BadSchema::Twice(name.to_string()));
        let bad = |name: &str| Err(BadSchema::Name(name.to_string()));
        let checked = |kinds| Schema::new(kinds).map(|_| ());

        assert_eq!(checked(vec![kind("room"), kind("user")]), Ok(()));
        assert_eq!(checked(vec![kind("room"), kind("room")]), twice("room"));
        assert_eq!(checked(vec![kind("Room")]), bad("Room"));
        assert_eq!(checked(vec![kind("room").group(LIFE, Form::Flag)]), bad(LIFE));
        let by_name = |name: &str| kind(name).index("by_name", 1, no_keys);
        assert_eq!(checked(vec![by_name("room"), by_name("user")]), twice("by_name"));
    }

    #[test]
    fn a_digest_changes_with_what_it_is_of() {
        let schema = |kind: Kind| Schema::new(vec![kind]).unwrap();
        let room = || Kind::new("room", Stream::Cfg).group("label", Form::Register);
        let plain = schema(room());
        let indexed = schema(room().index("by_name", 1, no_keys));
        let indexed_again = schema(room().index("by_name", 2, no_keys));
        let flagged = schema(room().group("label", Form::Flag));
        let deleted = schema(room().deletes(DeletePolicy::DeleteWins));
        let [fenced, fenced_again] = [1, 2].map(|version| schema(room().fences("label", version, |_, _| None)));

        assert_eq!(plain.records_digest(), indexed.records_digest());
        assert_ne!(plain.records_digest(), flagged.records_digest());
        assert_ne!(plain.records_digest(), deleted.records_digest());
        assert_ne!(plain.records_digest(), fenced.records_digest());
        assert_ne!(fenced_again.records_digest(), fenced.records_digest());
        assert_ne!(plain.indexes_digest(), indexed.indexes_digest());
        assert_ne!(indexed_again.indexes_digest(), indexed.indexes_digest());
    }
}
