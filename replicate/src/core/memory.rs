//! The whole state in memory: the reference the disk is held against, and a node for a simulator.
//!
//! It keeps what [`Changes`] say in ordered maps and decides nothing.

use crate::core::fence::Fencings;
use crate::core::floor::{Proposed, Standing};
use crate::core::id::{Dot, LogId, Position};
use crate::core::record::RecordKey;
use crate::core::view::{Changes, Doom, Head, Unreadable, View};
use crate::core::wish::Wish;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A state in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    entries: BTreeMap<Position, Arc<[u8]>>,
    heads: BTreeMap<LogId, Head>,
    live: BTreeMap<RecordKey, Vec<Dot>>,
    dooms: BTreeSet<Doom>,
    index: BTreeSet<Vec<u8>>,
    fencings: Fencings,
    lamport: u64,
    floor: Option<Standing>,
    proposed: Option<Arc<Proposed>>,
    /// Which logs this node keeps.
    pub wish: Wish,
}

impl Memory {
    /// Does what the changes say.
    pub fn keep(&mut self, changes: Changes) {
        self.entries.extend(changes.entries);
        self.heads.extend(changes.heads);
        for (record, live) in changes.live {
            match live.is_empty() {
                true => self.live.remove(&record),
                false => self.live.insert(record, live),
            };
        }
        for (doom, comes) in changes.dooms {
            let _ = if comes { self.dooms.insert(doom) } else { self.dooms.remove(&doom) };
        }
        for (key, comes) in changes.index {
            let _ = if comes { self.index.insert(key) } else { self.index.remove(&key) };
        }
        self.fencings.extend(changes.fencings);
        for at in changes.gone {
            self.entries.remove(&at);
            self.fencings.remove(&at);
        }
        self.lamport = changes.lamport.unwrap_or(self.lamport);
        self.floor = changes.floor.or(self.floor.take());
        self.proposed = changes.proposed.or(self.proposed.take());
    }

    /// Forgets all that can be built anew from the logs.
    pub fn forget_records(&mut self) {
        self.live.clear();
        self.dooms.clear();
        self.index.clear();
        self.fencings.clear();
    }

    /// Returns the stored index keys, in order.
    pub fn index(&self) -> &BTreeSet<Vec<u8>> {
        &self.index
    }
}

impl View for Memory {
    fn head(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        Ok(self.heads.get(&log).copied())
    }

    fn heads(&self) -> Result<Vec<(LogId, Head)>, Unreadable> {
        Ok(self.heads.iter().map(|(log, head)| (*log, *head)).collect())
    }

    fn entry(&self, at: Position) -> Result<Option<Arc<[u8]>>, Unreadable> {
        Ok(self.entries.get(&at).cloned())
    }

    fn entries(&self, log: LogId, from_seq: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        let range = self.entries.range(log.at(from_seq)..=log.at(u64::MAX));
        Ok(range.take(limit).map(|(_, raw)| raw.clone()).collect())
    }

    fn live(&self, record: &RecordKey) -> Result<Vec<Dot>, Unreadable> {
        Ok(self.live.get(record).cloned().unwrap_or_default())
    }

    fn records(&self, after: Option<&RecordKey>, limit: usize) -> Result<Vec<RecordKey>, Unreadable> {
        let is_after = |key: &&RecordKey| after.is_none_or(|after| *key > after);
        Ok(self.live.keys().filter(is_after).take(limit).cloned().collect())
    }

    fn dooms(&self, at: Position) -> Result<Vec<Doom>, Unreadable> {
        Ok(self.dooms.iter().filter(|doom| doom.at == at).cloned().collect())
    }

    fn dooms_between(&self, log: LogId, from_seq: u64, to_seq: u64) -> Result<Vec<Doom>, Unreadable> {
        let is_there = |doom: &&Doom| doom.at.log() == log && (from_seq..=to_seq).contains(&doom.at.dot.seq);
        Ok(self.dooms.iter().filter(is_there).cloned().collect())
    }

    fn dooms_len(&self) -> Result<u64, Unreadable> {
        Ok(self.dooms.len() as u64)
    }

    fn fencings(&self) -> Result<Fencings, Unreadable> {
        Ok(self.fencings.clone())
    }

    fn lamport(&self) -> Result<u64, Unreadable> {
        Ok(self.lamport)
    }

    fn floor(&self) -> Result<Option<Standing>, Unreadable> {
        Ok(self.floor.clone())
    }

    fn proposed(&self) -> Result<Option<Arc<Proposed>>, Unreadable> {
        Ok(self.proposed.clone())
    }

    fn wish(&self) -> Wish {
        self.wish
    }
}
