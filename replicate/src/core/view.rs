//! The state the rules read, and the changes they make: both as plain data, so that the rules never see a database.
//!
//! [`View`] is what is kept, [`Changes`] is what shall be kept, [`Staged`] is the one as if the other were done. One
//! staged view inside another is a batch that can still be dropped whole.

use crate::core::entry::Entry;
use crate::core::fence::{Fencings, Limits};
use crate::core::floor::{self, Proposed, Standing};
use crate::core::id::{Dot, Hash, LogId, Position, RecordId};
use crate::core::record::{Record, RecordKey};
use crate::core::schema::Kind;
use crate::core::wish::Wish;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The state could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are there and cannot be right.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The machine did not give the bytes.
    #[error("not read: {0}")]
    Io(String),
}

impl Unreadable {
    /// A log does not have what there has to be.
    pub fn not_in_log(at: Position) -> Self {
        Unreadable::Damaged(format!("{at} is not in the log"))
    }
}

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of its last entry.
    pub seq: u64,
    /// That entry's hash.
    pub hash: Hash,
    /// The nonce its first entry gave.
    pub nonce: u32,
}

/// An entry that came earlier has replaced a version that is still to come. Holds only places beyond their log's head,
/// so it drains to nothing as logs arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doom {
    /// The place of the version to come.
    pub at: Position,
    /// The record of the entry that replaced it: it has no say over others.
    pub record: RecordKey,
    /// That entry's group: likewise.
    pub group: String,
}

/// One entry that joined the log, for those who follow along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which entry.
    pub at: Position,
    /// The record it changed; nothing if the entry was only kept.
    pub record: Option<RecordKey>,
    /// The group it is of.
    pub group: String,
}

/// State, read only.
pub trait View {
    /// Returns the end of a log; nothing if the log is not known.
    ///
    /// # Errors
    /// [`Unreadable`], as for all the others.
    fn head(&self, log: LogId) -> Result<Option<Head>, Unreadable>;
    /// Returns the ends of all logs, in order.
    fn heads(&self) -> Result<Vec<(LogId, Head)>, Unreadable>;
    /// Returns an entry's bytes.
    fn entry(&self, at: Position) -> Result<Option<Arc<[u8]>>, Unreadable>;
    /// Returns at most `limit` entries of a log from a sequence number on, in order. Below the floor some have left.
    fn entries(&self, log: LogId, from_seq: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Unreadable>;
    /// Returns the dots of a record's live versions; none if there is no such record.
    fn live(&self, record: &RecordKey) -> Result<Vec<Dot>, Unreadable>;
    /// Returns at most `limit` records after this one, in order of kind and id.
    fn records(&self, after: Option<&RecordKey>, limit: usize) -> Result<Vec<RecordKey>, Unreadable>;
    /// Returns what dooms the version at this place.
    fn dooms(&self, at: Position) -> Result<Vec<Doom>, Unreadable>;
    /// Returns what dooms versions at places of a log, from one sequence number to another, both included.
    fn dooms_between(&self, log: LogId, from_seq: u64, to_seq: u64) -> Result<Vec<Doom>, Unreadable>;
    /// Returns how many dooms there are in all.
    fn dooms_len(&self) -> Result<u64, Unreadable>;
    /// Returns every entry that carries a fence or may take one back, and which fences hold.
    fn fencings(&self) -> Result<Fencings, Unreadable>;
    /// Returns the greatest Lamport clock seen.
    fn lamport(&self) -> Result<u64, Unreadable>;
    /// Returns this node's floor, if it has one.
    fn floor(&self) -> Result<Option<Standing>, Unreadable>;
    /// Returns what was last said of where the floor goes.
    fn proposed(&self) -> Result<Option<Arc<Proposed>>, Unreadable>;
    /// Returns which logs this node keeps.
    fn wish(&self) -> Wish {
        Wish::ALL
    }
    /// Whether a place is empty because what was there has left the log.
    fn has_left(&self, at: Position) -> Result<bool, Unreadable>
    where
        Self: Sized,
    {
        floor::has_left(self, at)
    }
}

/// Reads a record with all its live versions.
///
/// # Errors
/// [`Unreadable::Damaged`] if a live version is not in the log or cannot be parsed.
pub fn load(view: &impl View, kind: &Arc<Kind>, key: &RecordKey) -> Result<Record, Unreadable> {
    let mut record = Record::empty(kind.clone(), key.id);
    for dot in view.live(key)? {
        let at = Position { stream: kind.stream, dot };
        let missing = || Unreadable::Damaged(format!("{at} is live and not in the log"));
        let raw = view.entry(at)?.ok_or_else(missing)?;
        record.put_back(Entry::parse(&raw).map_err(|error| Unreadable::Damaged(format!("{at}: {error}")))?);
    }
    Ok(record)
}

/// What shall become of the state. `None` and `false` take away.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Entries that join their logs.
    pub entries: BTreeMap<Position, Arc<[u8]>>,
    /// Entries that leave their logs: below the floor, and nothing needs them.
    pub gone: BTreeSet<Position>,
    /// New ends of logs.
    pub heads: BTreeMap<LogId, Head>,
    /// Live versions of records; a record without any goes.
    pub live: BTreeMap<RecordKey, Vec<Dot>>,
    /// Dooms that come or go.
    pub dooms: BTreeMap<Doom, bool>,
    /// Stored index keys that come or go.
    pub index: BTreeMap<Vec<u8>, bool>,
    /// Entries that fence, or whose fences hold or not from now on.
    pub fencings: Fencings,
    /// The limits of all fences, if they were weighed anew. Not kept: they follow from the fences.
    pub limits: Option<Limits>,
    /// The Lamport clock, if it moved.
    pub lamport: Option<u64>,
    /// This node's floor, if it moved or came further.
    pub floor: Option<Standing>,
    /// What was said of where the floor goes.
    pub proposed: Option<Arc<Proposed>>,
    /// What happened, in order.
    pub feed: Vec<Change>,
}

impl Changes {
    /// Whether there is nothing to keep.
    pub fn is_nothing(&self) -> bool {
        let is_still = self.feed.is_empty() && self.entries.is_empty() && self.heads.is_empty();
        is_still && self.gone.is_empty() && self.floor.is_none() && self.proposed.is_none()
    }

    /// Adds later changes to these.
    pub fn absorb(&mut self, later: Changes) {
        self.entries.extend(later.entries);
        self.heads.extend(later.heads);
        self.live.extend(later.live);
        self.dooms.extend(later.dooms);
        self.index.extend(later.index);
        self.fencings.extend(later.fencings);
        self.limits = later.limits.or(self.limits.take());
        self.lamport = later.lamport.or(self.lamport);
        self.gone.extend(later.gone);
        self.floor = later.floor.or(self.floor.take());
        self.proposed = later.proposed.or(self.proposed.take());
        self.feed.extend(later.feed);
    }
}

/// A view as if changes were done.
#[derive(Debug)]
pub struct Staged<'v, V> {
    base: &'v V,
    base_dooms: u64,
    base_fencings: Fencings,
    base_limits: Limits,
    /// The changes so far.
    pub changes: Changes,
}

impl<'v, V: View> Staged<'v, V> {
    /// Returns a view without changes.
    ///
    /// # Errors
    /// [`Unreadable`] from the view below.
    pub fn new(base: &'v V) -> Result<Self, Unreadable> {
        let base_fencings = base.fencings()?;
        let base_limits = Limits::of(&base_fencings, base.floor()?.map(|own| own.floor));
        Ok(Self { base, base_dooms: base.dooms_len()?, base_fencings, base_limits, changes: Changes::default() })
    }

    /// Returns where fenced nodes' policy ends.
    pub fn limits(&self) -> &Limits {
        self.changes.limits.as_ref().unwrap_or(&self.base_limits)
    }

    /// Whether the entry at a place stands: it is not beyond its author's fence, or is itself a fence that holds, as where
    /// two nodes fenced each other.
    pub fn stands(&self, at: Position) -> bool {
        let fencing = || self.changes.fencings.get(&at).or_else(|| self.base_fencings.get(&at));
        !self.limits().is_beyond(at) || fencing().is_some_and(|fencing| fencing.holds)
    }

    /// Notes that other fences hold than before, or that they stand elsewhere.
    ///
    /// # Errors
    /// [`Unreadable`] from the view below.
    pub fn fences_changed(&mut self) -> Result<(), Unreadable> {
        self.changes.limits = Some(Limits::of(&self.fencings()?, self.floor()?.map(|own| own.floor)));
        Ok(())
    }

    /// Notes that an entry with this Lamport clock exists.
    ///
    /// # Errors
    /// [`Unreadable`] from the view below.
    pub fn saw_lamport(&mut self, lam: u64) -> Result<(), Unreadable> {
        if lam > self.lamport()? {
            self.changes.lamport = Some(lam);
        }
        Ok(())
    }
}

impl<V: View> View for Staged<'_, V> {
    fn head(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        match self.changes.heads.get(&log) {
            Some(head) => Ok(Some(*head)),
            None => self.base.head(log),
        }
    }

    fn heads(&self) -> Result<Vec<(LogId, Head)>, Unreadable> {
        let mut heads: BTreeMap<LogId, Head> = self.base.heads()?.into_iter().collect();
        heads.extend(self.changes.heads.iter().map(|(log, head)| (*log, *head)));
        Ok(heads.into_iter().collect())
    }

    fn entry(&self, at: Position) -> Result<Option<Arc<[u8]>>, Unreadable> {
        match self.changes.entries.get(&at) {
            Some(raw) => Ok(Some(raw.clone())),
            None => self.base.entry(at),
        }
    }

    fn entries(&self, log: LogId, from_seq: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        let mut entries = self.base.entries(log, from_seq, limit)?;
        // A log only grows at its end: what is staged follows what is kept.
        let staged = self.changes.entries.range(log.at(from_seq)..=log.at(u64::MAX)).map(|(_, raw)| raw.clone());
        entries.extend(staged.take(limit - entries.len()));
        Ok(entries)
    }

    fn live(&self, record: &RecordKey) -> Result<Vec<Dot>, Unreadable> {
        match self.changes.live.get(record) {
            Some(live) => Ok(live.clone()),
            None => self.base.live(record),
        }
    }

    fn records(&self, after: Option<&RecordKey>, limit: usize) -> Result<Vec<RecordKey>, Unreadable> {
        // Each staged removal can hide one record of the page below.
        let below = self.base.records(after, limit + self.changes.live.len())?;
        let is_after = |key: &&RecordKey| after.is_none_or(|after| *key > after);
        let staged = self.changes.live.keys().filter(is_after).cloned();
        let mut keys: Vec<RecordKey> = below.into_iter().chain(staged).collect();
        keys.sort();
        keys.dedup();
        keys.retain(|key| self.changes.live.get(key).is_none_or(|live| !live.is_empty()));
        keys.truncate(limit);
        Ok(keys)
    }

    fn dooms(&self, at: Position) -> Result<Vec<Doom>, Unreadable> {
        let mut dooms = if self.base_dooms == 0 { Vec::new() } else { self.base.dooms(at)? };
        dooms.retain(|doom| self.changes.dooms.get(doom) != Some(&false));
        let nothing = RecordKey { kind: String::new(), id: RecordId([0; 16]) };
        let first = Doom { at, record: nothing, group: String::new() };
        let staged = self.changes.dooms.range(first..).take_while(|(doom, _)| doom.at == at);
        dooms.extend(staged.filter(|(_, comes)| **comes).map(|(doom, _)| doom.clone()));
        dooms.sort();
        dooms.dedup();
        Ok(dooms)
    }

    fn dooms_between(&self, log: LogId, from_seq: u64, to_seq: u64) -> Result<Vec<Doom>, Unreadable> {
        let mut dooms =
            if self.base_dooms == 0 { Vec::new() } else { self.base.dooms_between(log, from_seq, to_seq)? };
        dooms.retain(|doom| self.changes.dooms.get(doom) != Some(&false));
        let is_there = |doom: &&Doom| doom.at.log() == log && (from_seq..=to_seq).contains(&doom.at.dot.seq);
        let staged = self.changes.dooms.iter().filter(|(_, comes)| **comes).map(|(doom, _)| doom);
        dooms.extend(staged.filter(is_there).cloned());
        dooms.sort();
        dooms.dedup();
        Ok(dooms)
    }

    /// Counts a staged doom also where the view below has it: never too few.
    fn dooms_len(&self) -> Result<u64, Unreadable> {
        Ok(self.base_dooms + self.changes.dooms.values().filter(|comes| **comes).count() as u64)
    }

    fn fencings(&self) -> Result<Fencings, Unreadable> {
        let mut fencings = self.base_fencings.clone();
        fencings.extend(&self.changes.fencings);
        Ok(fencings)
    }

    fn lamport(&self) -> Result<u64, Unreadable> {
        self.changes.lamport.map_or_else(|| self.base.lamport(), Ok)
    }

    fn floor(&self) -> Result<Option<Standing>, Unreadable> {
        self.changes.floor.clone().map_or_else(|| self.base.floor(), |own| Ok(Some(own)))
    }

    fn proposed(&self) -> Result<Option<Arc<Proposed>>, Unreadable> {
        self.changes.proposed.clone().map_or_else(|| self.base.proposed(), |next| Ok(Some(next)))
    }

    fn wish(&self) -> Wish {
        self.base.wish()
    }

    fn has_left(&self, at: Position) -> Result<bool, Unreadable> {
        // What is staged may be a replay, whose logs end where it is: what is below knows.
        Ok(!self.changes.entries.contains_key(&at) && self.base.has_left(at)?)
    }
}
