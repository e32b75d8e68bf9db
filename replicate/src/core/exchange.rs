//! What two nodes tell each other: how far each has come, and what the other lacks.
//!
//! Lives here: the vector and the export that a session is made of, as functions of state. Does not: the session, its
//! messages, its pace. What is exported is given to `log::accept` on the other side, entry by entry.

use crate::core::entry::Entry;
use crate::core::id::{Hash, LogId, NodeId, Position, Stream};
use crate::core::view::{Head, Unreadable, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries in one export.
pub const EXPORT_ENTRIES_MAX: usize = 512;
/// Bytes in one export, unless one entry alone is longer.
pub const EXPORT_BYTES_MAX: usize = 256 * 1024;

/// Where a log ends, as one node tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What a peer lacks.
#[derive(Debug, Clone, Default)]
pub struct Export {
    /// Entries, each log's in order: to be given to [`crate::core::log::accept`] one after the other.
    pub entries: Vec<Arc<[u8]>>,
    /// Whether there is more: ask again with the vector that has come of these.
    pub has_more: bool,
    /// Places where the peer's log is not ours: two writers used one name. Their logs are left out.
    pub forks: Vec<Position>,
}

/// Returns what a peer with this vector lacks of a stream, at most [`EXPORT_ENTRIES_MAX`] entries and
/// [`EXPORT_BYTES_MAX`] bytes of it.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn export(view: &impl View, stream: Stream, theirs: &Vector) -> Result<Export, Unreadable> {
    let mut export = Export::default();
    let mut bytes = 0;
    for ((node, inc), ours) in vector(view, stream)? {
        let log = LogId { stream, node, inc };
        let from = match theirs.get(&(node, inc)) {
            Some(mark) if mark.seq > ours.seq => continue,
            Some(mark) if hash_at(view, log.at(mark.seq))? != Some(mark.hash) => {
                export.forks.push(log.at(mark.seq));
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

/// Returns the hash of the entry at a place; nothing if it is not here.
pub(crate) fn hash_at(view: &impl View, at: Position) -> Result<Option<Hash>, Unreadable> {
    let Some(raw) = view.entry(at)? else { return Ok(None) };
    Ok(Entry::parse(&raw).ok().map(|entry| entry.hash))
}
