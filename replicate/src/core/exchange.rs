//! What two nodes tell each other: how far each has come, and what the other lacks.
//!
//! Lives here: the vector and the export that a session is made of, as functions of state. Does not: the session, its
//! messages, its pace. What is exported is given to `log::accept` on the other side, entry by entry.

use crate::core::entry::Entry;
use crate::core::floor::{Stage, Standing, seq_of};
use crate::core::id::{Hash, LogId, NodeId, Position, Stream};
use crate::core::log::Refusal;
use crate::core::view::{Head, Unreadable, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries in one export.
pub const EXPORT_ENTRIES_MAX: usize = 512;
/// Bytes in one export, unless one entry alone is longer.
pub const EXPORT_BYTES_MAX: usize = 256 * 1024;
/// Refusals listed of one batch; more are counted.
pub const REFUSALS_MAX: usize = 64;

/// Where a log ends, as one node tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Sequence number of the last entry.
    pub seq: u64,
    /// Its hash: two nodes with one sequence number and two hashes know a fork.
    pub hash: Hash,
}

/// How far a node has come in one stream: every log it knows, and where it ends. Claims no entry that is missing.
pub type Vector = BTreeMap<(NodeId, u32), Mark>;

/// Returns how far this state has come in a stream.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn vector(view: &impl View, stream: Stream) -> Result<Vector, Unreadable> {
    let of_stream = |(log, _): &(LogId, Head)| log.stream == stream;
    let mark = |(log, head): (LogId, Head)| ((log.node, log.inc), Mark { seq: head.seq, hash: head.hash });
    Ok(view.heads()?.into_iter().filter(of_stream).map(mark).collect())
}

/// What became of others' entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many joined their logs.
    pub new: usize,
    /// How many were there already.
    pub duplicates: usize,
    /// How many were refused.
    pub refused: usize,
    /// The first [`REFUSALS_MAX`] refusals, with the entry's number in the batch.
    pub refusals: Vec<(usize, Refusal)>,
}

/// What a session reads of a node's logs. All of it is durable: what is told to a peer is never taken back.
pub trait Records {
    /// Returns how far the node has come in a stream.
    ///
    /// # Errors
    /// [`Unreadable`], as for all the others.
    fn vector(&self, stream: Stream) -> Result<Vector, Unreadable>;
    /// Returns the end of a log; nothing if the log is not known.
    fn end(&self, log: LogId) -> Result<Option<Head>, Unreadable>;
    /// Returns the hash of the entry at a place; nothing if it is not here.
    fn hash(&self, at: Position) -> Result<Option<Hash>, Unreadable>;
    /// Returns this node's floor, if it has one.
    fn standing(&self) -> Result<Option<Standing>, Unreadable>;
    /// Returns a log's entries from a sequence number on, in order: at most `entries_max`, and at most `bytes_max` bytes
    /// of them unless the first alone is longer. Below the floor some have left.
    fn tail(
        &self,
        log: LogId,
        from_seq: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<[u8]>>, Unreadable>;
}

impl<V: View> Records for V {
    fn vector(&self, stream: Stream) -> Result<Vector, Unreadable> {
        vector(self, stream)
    }

    fn end(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        self.head(log)
    }

    fn hash(&self, at: Position) -> Result<Option<Hash>, Unreadable> {
        hash_at(self, at)
    }

    fn standing(&self) -> Result<Option<Standing>, Unreadable> {
        self.floor()
    }

    fn tail(
        &self,
        log: LogId,
        from_seq: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        tail(self, log, from_seq, entries_max, bytes_max)
    }
}

/// As [`Records::tail`].
pub(crate) fn tail(
    view: &impl View,
    log: LogId,
    from_seq: u64,
    entries_max: usize,
    bytes_max: usize,
) -> Result<Vec<Arc<[u8]>>, Unreadable> {
    /// Bounds what is read in vain when entries are long.
    const PAGE: usize = 64;
    let (mut entries, mut bytes, mut from_seq) = (Vec::new(), 0, from_seq);
    loop {
        let wanted = PAGE.min(entries_max - entries.len());
        let page = view.entries(log, from_seq, wanted)?;
        let is_last = page.len() < wanted;
        from_seq = page.last().and_then(|raw| seq_of(raw)).map_or(from_seq, |seq| seq + 1);
        for raw in page {
            if !entries.is_empty() && bytes + raw.len() > bytes_max {
                return Ok(entries);
            }
            bytes += raw.len();
            entries.push(raw);
        }
        if is_last || entries.len() >= entries_max {
            return Ok(entries);
        }
    }
}

/// What a peer lacks.
#[derive(Debug, Clone, Default)]
pub struct Export {
    /// Entries, each log's in order: to be given to [`crate::core::log::accept`] one after the other.
    pub entries: Vec<Arc<[u8]>>,
    /// Whether there is more: ask again with the vector that has come of these.
    pub has_more: bool,
    /// Places where the peer's log is not ours: two writers used one name. Their logs are left out.
    pub forks: Vec<Position>,
    /// Logs of which the peer lacks what is below our floor: part of that has left, so nothing is exported.
    pub below: Vec<LogId>,
}

/// Returns what a peer with this vector lacks of a stream, at most [`EXPORT_ENTRIES_MAX`] entries and
/// [`EXPORT_BYTES_MAX`] bytes of it.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn export(view: &impl View, stream: Stream, theirs: &Vector) -> Result<Export, Unreadable> {
    let mut export = Export::default();
    let mut bytes = 0;
    let own = view.floor()?;
    let floor_end = |log: LogId| own.as_ref().map_or(0, |own| own.floor.end(log));
    for ((node, inc), ours) in vector(view, stream)? {
        let log = LogId { stream, node, inc };
        let from = match theirs.get(&(node, inc)) {
            Some(mark) if mark.seq > ours.seq => continue,
            Some(mark) if mark.seq < floor_end(log) => {
                export.below.push(log);
                continue;
            }
            Some(mark) if hash_at(view, log.at(mark.seq))? != Some(mark.hash) => {
                export.forks.push(log.at(mark.seq));
                continue;
            }
            None if floor_end(log) > 0 => {
                export.below.push(log);
                continue;
            }
            Some(mark) => mark.seq + 1,
            None => 1,
        };
        if !fill(&mut export, &mut bytes, view, log, from)? {
            export.has_more = true;
            break;
        }
    }
    Ok(export)
}

/// Adds a log's entries from a sequence number on. Returns whether all found room.
fn fill(
    export: &mut Export,
    bytes: &mut usize,
    view: &impl View,
    log: LogId,
    from_seq: u64,
) -> Result<bool, Unreadable> {
    /// Bounds what is read in vain when entries are long.
    const PAGE: usize = 64;
    let mut from_seq = from_seq;
    loop {
        let page = view.entries(log, from_seq, PAGE)?;
        from_seq += page.len() as u64;
        let is_last = page.len() < PAGE;
        for raw in page {
            let is_full = export.entries.len() == EXPORT_ENTRIES_MAX
                || (*bytes + raw.len() > EXPORT_BYTES_MAX && !export.entries.is_empty());
            if is_full {
                return Ok(false);
            }
            *bytes += raw.len();
            export.entries.push(raw);
        }
        if is_last {
            return Ok(true);
        }
    }
}

/// Returns the hash of the entry at a place; nothing if it is not here. At the floor it is known though the entry has left.
pub(crate) fn hash_at(view: &impl View, at: Position) -> Result<Option<Hash>, Unreadable> {
    let own = view.floor()?;
    let mark = own.as_ref().and_then(|own| own.floor.marks.get(&at.log())).filter(|mark| mark.seq == at.dot.seq);
    if let (Some(mark), true) = (mark, own.as_ref().is_some_and(|own| own.stage != Stage::Filling)) {
        return Ok(Some(mark.hash));
    }
    let Some(raw) = view.entry(at)? else { return Ok(None) };
    Ok(Entry::parse(&raw).ok().map(|entry| entry.hash))
}
