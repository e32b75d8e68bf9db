//! Holding state against the logs it came from: its digest, the chain of its logs, building its records anew.
//!
//! Lives here: what may take a pass over everything. Does not: anything a running node does for one entry.

use crate::core::entry::Entry;
use crate::core::exchange::hash_at;
use crate::core::fence::{self, Fencings};
use crate::core::floor::{Proposed, Stage, Standing};
use crate::core::id::{Dot, Hash, LogId, Position, Stream};
use crate::core::log::materialise;
use crate::core::record::RecordKey;
use crate::core::schema::{Kind, Schema};
use crate::core::view::{Changes, Doom, Head, Staged, Unreadable, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Returns a digest of all records: SHA-256 over each live version's record and hash, in order. Two nodes with equal
/// vectors and equal schemas have equal digests.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn state_hash(view: &impl View, schema: &Schema) -> Result<Hash, Unreadable> {
    hash_of(view, schema, |_| true)
}

/// As [`state_hash`], of the records of one stream: equal on two nodes with equal vectors of that stream.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn stream_hash(view: &impl View, schema: &Schema, stream: Stream) -> Result<Hash, Unreadable> {
    hash_of(view, schema, |kind| kind.stream == stream)
}

fn hash_of(view: &impl View, schema: &Schema, is_meant: impl Fn(&Kind) -> bool) -> Result<Hash, Unreadable> {
    const PAGE: usize = 1000;
    let mut digest = Hash::NOTHING;
    let mut after = None;
    loop {
        let keys = view.records(after.as_ref(), PAGE)?;
        for key in &keys {
            let Some(kind) = schema.kind(&key.kind).filter(|kind| is_meant(kind)) else { continue };
            for dot in view.live(key)? {
                let at = Position { stream: kind.stream, dot };
                let hash = hash_at(view, at)?.ok_or_else(|| Unreadable::not_in_log(at))?;
                digest = Hash::of_entry(digest, &[key.bytes().as_slice(), &at.key(), &hash.0].concat());
            }
        }
        match keys.last() {
            Some(last) if keys.len() == PAGE => after = Some(last.clone()),
            Some(_) | None => return Ok(digest),
        }
    }
}

/// Checks every log from its first entry to its head: nothing missing, each entry naming the one before it. Below the
/// floor entries may have left; the chain begins there. Returns how many entries there are.
///
/// # Errors
/// [`Unreadable::Damaged`] names the first place that is wrong.
pub fn verify(view: &impl View) -> Result<u64, Unreadable> {
    let own = view.floor()?;
    let mut entries = 0;
    for (log, head) in view.heads()? {
        entries += verify_log(view, own.as_ref(), log, head)?;
    }
    Ok(entries)
}

fn verify_log(view: &impl View, own: Option<&Standing>, log: LogId, head: Head) -> Result<u64, Unreadable> {
    const PAGE: usize = 1000;
    let mark = own.and_then(|own| own.floor.marks.get(&log).copied());
    let is_filled = own.is_none_or(|own| own.stage != Stage::Filling) || mark.is_none_or(|mark| head.seq >= mark.seq);
    let (mut end, mut entries) = (Head { seq: 0, hash: Hash::NOTHING, nonce: head.nonce }, 0);
    loop {
        let page = view.entries(log, end.seq + 1, PAGE)?;
        for raw in &page {
            let after = end.seq + 1;
            let wrong = |what: &str| Unreadable::Damaged(format!("{} or after: {what}", log.at(after)));
            let entry = Entry::parse(raw).map_err(|error| wrong(&error.to_string()))?;
            // Over a gap below the floor the chain is taken up at the floor.
            if let Some(mark) = mark.filter(|mark| end.seq < mark.seq && entry.at.dot.seq > mark.seq) {
                end = Head { seq: mark.seq, hash: mark.hash, ..end };
            }
            let may_follow = mark.is_some_and(|mark| entry.at.dot.seq <= mark.seq && entry.at.dot.seq > end.seq + 1);
            if !may_follow && (entry.at != log.at(end.seq + 1) || entry.previous != end.hash) {
                return Err(wrong("the chain breaks here"));
            }
            if mark.is_some_and(|mark| mark.seq == entry.at.dot.seq && mark.hash != entry.hash) {
                return Err(wrong("it is not the entry that the floor was noted with"));
            }
            end = Head { seq: entry.at.dot.seq, hash: entry.hash, ..end };
            entries += 1;
        }
        if page.is_empty() {
            break;
        }
    }
    if let Some(mark) = mark.filter(|mark| end.seq < mark.seq && is_filled) {
        end = Head { seq: mark.seq, hash: mark.hash, ..end };
    }
    if end != head {
        return Err(Unreadable::Damaged(format!("{} is not the head that was noted", log.at(end.seq))));
    }
    Ok(entries)
}

/// Builds all records anew from the logs, a page at a time.
#[derive(Debug)]
pub struct Rebuild {
    logs: Vec<(LogId, Head)>,
    /// How far each log has been replayed: what lies beyond is still to come, although it is in the log.
    replayed: BTreeMap<LogId, u64>,
    current: usize,
    /// Fences come first, or a record would be built for one that comes later.
    has_fences: bool,
}

/// A view in which the logs end where the replay is.
struct Replayed<'v, V> {
    base: &'v V,
    replayed: &'v BTreeMap<LogId, u64>,
}

impl Rebuild {
    /// Begins. Records, dooms, index keys and fences must have been cleared.
    ///
    /// # Errors
    /// [`Unreadable`] from the view.
    pub fn begin(view: &impl View) -> Result<Self, Unreadable> {
        Ok(Self { logs: view.heads()?, replayed: BTreeMap::new(), current: 0, has_fences: false })
    }

    /// Does the next part of the work, of at most `limit` entries; nothing when all is done. Changes of one step must be in
    /// the view of the next.
    ///
    /// # Errors
    /// [`Unreadable`] from the view, or an entry that cannot be parsed.
    pub fn step(&mut self, view: &impl View, schema: &Schema, limit: usize) -> Result<Option<Changes>, Unreadable> {
        if !self.has_fences {
            self.has_fences = true;
            let fences = self.fences(view, schema, limit)?;
            if !fences.fencings.is_empty() {
                return Ok(Some(fences));
            }
        }
        self.replay(view, schema, limit)
    }

    /// Looks for entries that fence, `limit` at a time, and weighs them.
    fn fences(&self, view: &impl View, schema: &Schema, limit: usize) -> Result<Changes, Unreadable> {
        let mut staged = Staged::new(view)?;
        let streams = schema.fencing_streams();
        for (log, _) in self.logs.iter().filter(|(log, _)| streams.contains(&log.stream)) {
            let mut next = 1;
            let mut page = view.entries(*log, next, limit)?;
            while !page.is_empty() {
                for raw in &page {
                    let damaged = |error| Unreadable::Damaged(format!("{} or after: {error}", log.at(next)));
                    let entry = Entry::parse(raw).map_err(damaged)?;
                    staged.changes.fencings.extend(schema.fencing(&entry).map(|fencing| (entry.at, fencing)));
                    next = entry.at.dot.seq + 1;
                }
                page = view.entries(*log, next, limit)?;
            }
        }
        fence::weigh(&mut staged, schema)?;
        Ok(staged.changes)
    }

    fn replay(&mut self, view: &impl View, schema: &Schema, limit: usize) -> Result<Option<Changes>, Unreadable> {
        let Some((log, _)) = self.logs.get(self.current).copied() else { return Ok(None) };
        let from = self.replayed.get(&log).copied().unwrap_or(0) + 1;
        let page = view.entries(log, from, limit)?;
        if page.len() < limit {
            self.current += 1;
        }
        let below = Replayed { base: view, replayed: &self.replayed };
        let mut staged = Staged::new(&below)?;
        let mut last = from - 1;
        for raw in page {
            let damaged = |error| Unreadable::Damaged(format!("{}: {error}", log.at(last + 1)));
            let entry = Entry::parse(&raw).map_err(damaged)?;
            last = entry.at.dot.seq;
            staged.changes.heads.insert(log, Head { seq: last, hash: entry.hash, nonce: 0 });
            materialise(&mut staged, schema, &entry)?;
        }
        let mut changes = staged.changes;
        changes.heads.clear();
        self.replayed.insert(log, last);
        Ok(Some(changes))
    }
}

impl<V: View> View for Replayed<'_, V> {
    fn head(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        Ok(self.replayed.get(&log).map(|seq| Head { seq: *seq, hash: Hash::NOTHING, nonce: 0 }))
    }

    fn heads(&self) -> Result<Vec<(LogId, Head)>, Unreadable> {
        self.base.heads()
    }

    fn entry(&self, at: Position) -> Result<Option<Arc<[u8]>>, Unreadable> {
        self.base.entry(at)
    }

    fn entries(&self, log: LogId, from_seq: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        self.base.entries(log, from_seq, limit)
    }

    fn live(&self, record: &RecordKey) -> Result<Vec<Dot>, Unreadable> {
        self.base.live(record)
    }

    fn records(&self, after: Option<&RecordKey>, limit: usize) -> Result<Vec<RecordKey>, Unreadable> {
        self.base.records(after, limit)
    }

    fn dooms(&self, at: Position) -> Result<Vec<Doom>, Unreadable> {
        self.base.dooms(at)
    }

    fn dooms_between(&self, log: LogId, from_seq: u64, to_seq: u64) -> Result<Vec<Doom>, Unreadable> {
        self.base.dooms_between(log, from_seq, to_seq)
    }

    fn dooms_len(&self) -> Result<u64, Unreadable> {
        self.base.dooms_len()
    }

    fn fencings(&self) -> Result<Fencings, Unreadable> {
        self.base.fencings()
    }

    fn lamport(&self) -> Result<u64, Unreadable> {
        self.base.lamport()
    }

    fn floor(&self) -> Result<Option<Standing>, Unreadable> {
        self.base.floor()
    }

    fn proposed(&self) -> Result<Option<Arc<Proposed>>, Unreadable> {
        self.base.proposed()
    }

    fn has_left(&self, at: Position) -> Result<bool, Unreadable> {
        self.base.has_left(at)
    }
}
