//! Making a store's file out of entries that were kept elsewhere: how a backup is put back.
//!
//! Lives here: the way from raw entries to a file that belongs to nobody yet. Does not: how they were kept. Every entry
//! passes the same door as a peer's. The file gets the mark of its last writer and no origin, so whoever opens it goes on
//! under the next incarnation, whose first entries seal the old logs, and hears that a backup was put back.

use super::opening::{OpenError, write_mark};
use super::place::{FilePlace, Place};
use super::{Facts, Fault, Snapshot, Tables};
use crate::core::exchange::Mark;
use crate::core::floor::{Floor, FloorName, Stage, Standing, fill};
use crate::core::id::{Hash, LogId, NodeId, Origin, Stream};
use crate::core::log::Refusal;
use crate::core::schema::Schema;
use crate::core::view::{Changes, Staged, Unreadable, View};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Entries in one durable step: bounds memory.
const STEP: usize = 2_000;

/// Why a backup was not put back.
#[derive(Debug, thiserror::Error)]
pub enum NotPutBack {
    /// There is a file already.
    #[error("there are records already")]
    Exists,
    /// The source ended in the middle or is damaged.
    #[error("{0}")]
    Source(String),
    /// An entry is not what its log has.
    #[error("entry {number} does not belong there: {refusal}")]
    Refused {
        /// Its number, from 1.
        number: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The machine did not take the bytes.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<Fault> for NotPutBack {
    fn from(fault: Fault) -> Self {
        Self::Open(fault.into())
    }
}

impl From<std::io::Error> for NotPutBack {
    fn from(error: std::io::Error) -> Self {
        Self::Open(error.into())
    }
}

/// What a backup of a node with a floor begins with, before its entries: the floor, as a line of JSON.
#[derive(Serialize, Deserialize)]
struct Line {
    floor: FloorName,
    /// Whether the node had all below it; if not, logs may end before it.
    whole: bool,
    marks: Vec<(Stream, NodeId, u32, u64, Hash)>,
}

/// Returns what a backup has to begin with; nothing if there is no floor.
pub(crate) fn floor_line(own: &Standing) -> Vec<u8> {
    let row = |(log, mark): (&LogId, &Mark)| (log.stream, log.node, log.inc, mark.seq, mark.hash);
    let marks = own.floor.marks.iter().map(row).collect();
    let line = Line { floor: own.floor.name, whole: own.stage != Stage::Filling, marks };
    // A plain struct without maps: there is nothing in it that JSON cannot say.
    serde_json::to_vec(&line).unwrap_or_default()
}

/// Reads such a line: the floor, and whether all below it comes.
fn read_floor_line(raw: &[u8]) -> Option<(Floor, bool)> {
    let line: Line = serde_json::from_slice(raw).ok()?;
    let mark = |(stream, node, inc, seq, hash)| (LogId { stream, node, inc }, Mark { seq, hash });
    let floor = Floor::new(line.floor.number, line.floor.epoch, line.marks.into_iter().map(mark).collect());
    (floor.name == line.floor).then_some((floor, line.whole))
}

/// Makes the file of `node` at a path where there is none. Each log's entries must come in order. Returns how many came.
///
/// # Errors
/// [`NotPutBack`]; what is there then is to be removed.
pub fn put_back(
    path: &Path,
    schema: &Schema,
    node: NodeId,
    cache_bytes: usize,
    entries: impl Iterator<Item = Result<Arc<[u8]>, String>>,
) -> Result<u64, NotPutBack> {
    let mut place = FilePlace::new(path);
    if place.has_file()? {
        return Err(NotPutBack::Exists);
    }
    let tables = Tables::open(place.backend()?, cache_bytes, false)?.tables;
    let digests = [("records", schema.records_digest()), ("indexes", schema.indexes_digest())];
    let facts = digests.iter().map(|(name, digest)| (*name, Some(digest.0.to_vec()))).collect();
    tables.commit(&Changes::default(), &facts)?;
    let mut entries = entries.peekable();
    let mut number = 0;
    let below = entries.peek().and_then(|first| read_floor_line(first.as_ref().ok()?));
    if let Some((floor, _)) = &below {
        entries.next();
        commit(&tables, |staged| fill::begin(staged, floor).map(drop))?;
    }
    while entries.peek().is_some() {
        let snapshot = tables.snapshot().map_err(Fault::from)?;
        let mut staged = Staged::new(&snapshot).map_err(Fault::from)?;
        for raw in entries.by_ref().take(STEP) {
            number += 1;
            let raw = raw.map_err(NotPutBack::Source)?;
            fill::put_back(&mut staged, schema, &raw).map_err(|refusal| NotPutBack::Refused { number, refusal })?;
        }
        let mut changes = staged.changes;
        changes.feed.clear();
        drop(snapshot);
        tables.commit(&changes, &Facts::new())?;
    }
    if let Some((floor, true)) = &below {
        // What was kept of a log may end before the floor does.
        commit(&tables, |staged| {
            floor.marks.keys().try_for_each(|log| fill::end(staged, floor.name, *log))?;
            fill::close(staged)
        })?;
    }
    let heads = tables.snapshot().and_then(|snapshot| snapshot.heads()).map_err(Fault::from)?;
    let last = heads.iter().filter(|(log, _)| log.node == node).max_by_key(|(log, _)| log.inc);
    let (inc, nonce) = last.map_or((0, 0), |(log, head)| (log.inc, head.nonce));
    place.set_mark(write_mark(&Origin { node, inc, nonce }).as_bytes())?;
    Ok(number)
}

fn commit(
    tables: &Tables,
    stage: impl FnOnce(&mut Staged<'_, Snapshot>) -> Result<(), Unreadable>,
) -> Result<(), NotPutBack> {
    let snapshot = tables.snapshot().map_err(Fault::from)?;
    let mut staged = Staged::new(&snapshot).map_err(Fault::from)?;
    stage(&mut staged).map_err(Fault::from)?;
    let mut changes = staged.changes;
    changes.feed.clear();
    drop(snapshot);
    Ok(tables.commit(&changes, &Facts::new())?)
}
