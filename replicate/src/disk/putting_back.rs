//! Making a store's file out of entries that were kept elsewhere: how a backup is put back.
//!
//! Lives here: the way from raw entries to a file that belongs to nobody yet. Does not: how they were kept. Every entry
//! passes the same door as a peer's. The file gets the mark of its last writer and no origin, so whoever opens it goes on
//! under the next incarnation, whose first entries seal the old logs, and hears that a backup was put back.

use super::opening::{OpenError, write_mark};
use super::place::{FilePlace, Place};
use super::{Facts, Fault, Tables};
use crate::core::id::{NodeId, Origin};
use crate::core::log::{Refusal, accept};
use crate::core::schema::Schema;
use crate::core::view::{Changes, Staged, View};
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
    while entries.peek().is_some() {
        let snapshot = tables.snapshot().map_err(Fault::from)?;
        let mut staged = Staged::new(&snapshot).map_err(Fault::from)?;
        for raw in entries.by_ref().take(STEP) {
            number += 1;
            let raw = raw.map_err(NotPutBack::Source)?;
            accept(&mut staged, schema, None, &raw).map_err(|refusal| NotPutBack::Refused { number, refusal })?;
        }
        let mut changes = staged.changes;
        changes.feed.clear();
        drop(snapshot);
        tables.commit(&changes, &Facts::new())?;
    }
    let heads = tables.snapshot().and_then(|snapshot| snapshot.heads()).map_err(Fault::from)?;
    let last = heads.iter().filter(|(log, _)| log.node == node).max_by_key(|(log, _)| log.inc);
    let (inc, nonce) = last.map_or((0, 0), |(log, head)| (log.inc, head.nonce));
    place.set_mark(write_mark(&Origin { node, inc, nonce }).as_bytes())?;
    Ok(number)
}
