//! A node's logs and records in one redb file: the tables, and reading and committing them as the rules want it.
//!
//! The only file that knows redb. Lives here: tables and what of redb's errors is damage. Parts: `place` (where the file
//! and its mark are), `opening` (damage, incarnations, building anew), `writer` (the one thread that writes), `store`
//! (what the user holds), `feed`. Decides nothing about entries: that is [`crate::core`].

pub mod feed;
pub mod join;
pub mod opening;
pub mod place;
pub mod putting_back;
pub mod store;
mod writer;

use crate::core::fence::{Fence, Fencing, Fencings, Last};
use crate::core::id::{Dot, Hash, LogId, NodeId, Origin, Position};
use crate::core::index::Span;
use crate::core::mutant::{Mutant, is_on};
use crate::core::record::RecordKey;
use crate::core::view::{Changes, Doom, Head, Unreadable, View};
pub use redb::StorageBackend;
pub use redb::backends::FileBackend;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The version of all tables together, kept under `form`. A file of a later one is left alone.
const FORM: u32 = 1;

/// Table: facts about the file. Key: `form`, `origin`, `lamport`, `records`, `indexes`, `quarantine`. Value: as
/// `DESIGN.md` says, each of its own length. Written by: opening, the writer. Read by: opening, the writer.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta-1");
/// Table: all entries of all logs. Key: [`Position::key`]. Value: the entry as its author wrote it. Written by: the
/// writer. Read by: exports, loading records, building them anew. Never changed, never removed.
const LOG: TableDefinition<&[u8; 29], &[u8]> = TableDefinition::new("log-1");
/// Table: the end of each log. Key: [`LogId::key`]. Value: sequence (8, big-endian), hash (32), nonce (4, big-endian).
/// Written by: the writer. Read by: the writer, vectors.
const HEAD: TableDefinition<&[u8; 21], &[u8; 44]> = TableDefinition::new("head-1");
/// Table: the live versions of each record; derived. Key: [`RecordKey::bytes`]. Value: 28 bytes a dot, in order.
/// Written by: the writer, building anew. Read by: the writer, readers.
const LIVE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("live-1");
/// Table: versions to come that are already replaced; derived. Key: [`Position::key`], [`RecordKey::bytes`], the group,
/// the length of the group (1). Value: none. Written by: the writer, building anew. Read by: the writer.
const DOOM: TableDefinition<&[u8], ()> = TableDefinition::new("doom-1");
/// Table: declared indexes; derived. Key: [`crate::core::index::encode`]. Value: none. Written by: the writer, building
/// anew. Read by: scans.
const INDEX: TableDefinition<&[u8], ()> = TableDefinition::new("index-1");
/// Table: entries that fence; derived. Key: [`Position::key`]. Value: whether the fence holds (1), and if there is one
/// the node (16), then of `sec` and of `cfg` the last incarnation (4) and sequence (8) that count, and the incarnation (4)
/// from which on it counts again if it does, big-endian. Written by: the writer, building anew. Read by: the writer.
const FENCE: TableDefinition<&[u8; 29], &[u8]> = TableDefinition::new("fence-1");
/// Table: entries refused as forks: evidence. Key: [`Position::key`], the entry's hash (32). Value: the entry. At most
/// [`FORKS_MAX`]. Written by: the writer. Read by: whoever looks into it.
const FORK: TableDefinition<&[u8; 61], &[u8]> = TableDefinition::new("fork-1");

/// Refused forks kept as evidence; later ones are only counted.
pub const FORKS_MAX: u64 = 64;

/// Why a file did not open.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is to be moved aside.
    Damaged(String),
    /// Another process has it.
    Busy,
    /// The machine did not give the bytes.
    Io(String),
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Damaged(text) => Fault::Damaged(text),
            Unreadable::Io(text) => Fault::Io(text),
        }
    }
}

fn fault(error: impl Into<redb::Error>) -> Fault {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    let error = error.into();
    let text = error.to_string();
    match error {
        redb::Error::DatabaseAlreadyOpen => Fault::Busy,
        redb::Error::Io(error) if matches!(error.kind(), InvalidData | UnexpectedEof) => Fault::Damaged(text),
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
            Fault::Io(text)
        }
        // Corrupted, of another form, or tables that are not ours. The enum may grow: what is not known to be the
        // machine's doing is the file's.
        _ => Fault::Damaged(text),
    }
}

fn unreadable(error: impl Into<redb::Error>) -> Unreadable {
    match fault(error) {
        Fault::Damaged(text) => Unreadable::Damaged(text),
        Fault::Io(text) => Unreadable::Io(text),
        Fault::Busy => Unreadable::Io("another process has the file".to_string()),
    }
}

fn wrong(what: &str) -> Unreadable {
    Unreadable::Damaged(format!("a row of `{what}` is not what it should be"))
}

/// Takes a file for the database, with redb's lock on it.
pub(crate) fn file_backend(file: File) -> std::io::Result<FileBackend> {
    FileBackend::new(file).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => std::io::ErrorKind::ResourceBusy.into(),
        error => std::io::Error::other(error.to_string()),
    })
}

/// Facts to be kept under their names; `None` takes one away.
pub(crate) type Facts = Vec<(&'static str, Option<Vec<u8>>)>;

/// The open file. Readers take snapshots of it from any thread, one thread commits.
#[derive(Debug)]
pub(crate) struct Tables {
    db: Database,
}

/// What opening found.
pub(crate) struct Found {
    pub tables: Tables,
    /// redb had to walk the file, or found it wrong and mended it.
    pub is_repaired: bool,
}

impl Tables {
    /// Opens, or makes an empty file into, a database of this form. With `is_verified`, every page is read and checked.
    pub fn open(backend: impl StorageBackend, cache_bytes: usize, is_verified: bool) -> Result<Found, Fault> {
        let repaired = Arc::new(AtomicBool::new(false));
        let seen = repaired.clone();
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes).set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
        let mut db = builder.create_with_backend(backend).map_err(fault)?;
        let is_whole = !is_verified || db.check_integrity().map_err(fault)?;
        let tables = Self { db };
        // Writing needs room that a full disk does not have, reading needs none.
        if !tables.has_tables()? {
            tables.make_tables()?;
        }
        Ok(Found { tables, is_repaired: repaired.load(Ordering::Relaxed) || !is_whole })
    }

    /// Whether all tables are there, in this form.
    fn has_tables(&self) -> Result<bool, Fault> {
        let tx = self.db.begin_read().map_err(fault)?;
        let Ok(meta) = tx.open_table(META) else { return Ok(false) };
        let form = meta.get("form").map_err(fault)?.is_some_and(|row| row.value() == FORM.to_be_bytes());
        drop(meta);
        Ok(form && Snapshot::of(&tx).is_ok())
    }

    fn make_tables(&self) -> Result<(), Fault> {
        let tx = self.begin()?;
        {
            let mut meta = tx.open_table(META).map_err(fault)?;
            let form = meta.get("form").map_err(fault)?.map(|row| row.value().to_vec());
            match form.as_deref().map(<[u8; 4]>::try_from) {
                None => drop(meta.insert("form", FORM.to_be_bytes().as_slice()).map_err(fault)?),
                Some(Ok(bytes)) if u32::from_be_bytes(bytes) == FORM => {}
                Some(Ok(bytes)) => {
                    let form = u32::from_be_bytes(bytes);
                    return Err(Fault::Damaged(format!("written by a later version, in form {form}")));
                }
                Some(Err(_)) => return Err(wrong("meta-1").into()),
            }
            tx.open_table(LOG).map_err(fault)?;
            tx.open_table(HEAD).map_err(fault)?;
            tx.open_table(LIVE).map_err(fault)?;
            tx.open_table(DOOM).map_err(fault)?;
            tx.open_table(INDEX).map_err(fault)?;
            tx.open_table(FENCE).map_err(fault)?;
            tx.open_table(FORK).map_err(fault)?;
        }
        tx.commit().map_err(fault)
    }

    /// A transaction that is durable when committed, and after which a crashed file opens at once.
    fn begin(&self) -> Result<WriteTransaction, Fault> {
        let mut tx = self.db.begin_write().map_err(fault)?;
        tx.set_quick_repair(true);
        Ok(tx)
    }

    /// Returns the state as it is now, unmoved by later commits. To be dropped soon: it holds the file's old pages.
    pub fn snapshot(&self) -> Result<Snapshot, Unreadable> {
        let tx = self.db.begin_read().map_err(unreadable)?;
        Snapshot::of(&tx)
    }

    /// Keeps changes and facts, in one durable step. On an error they may or may not have been kept.
    pub fn commit(&self, changes: &Changes, facts: &Facts) -> Result<(), Fault> {
        if is_on(Mutant::TornCommit) {
            let heads = Changes { heads: changes.heads.clone(), ..Changes::default() };
            let tx = self.begin()?;
            write(&tx, &heads).map_err(fault)?;
            tx.commit().map_err(fault)?;
        }
        let tx = self.begin()?;
        write(&tx, changes).map_err(fault)?;
        write_facts(&tx, changes, facts).map_err(fault)?;
        tx.commit().map_err(fault)
    }

    /// Forgets what can be built anew: with `has_records` records too, else only index keys.
    pub fn forget(&self, has_records: bool) -> Result<(), Fault> {
        let tx = self.begin()?;
        {
            tx.delete_table(INDEX).map_err(fault)?;
            tx.open_table(INDEX).map_err(fault)?;
            if has_records {
                tx.delete_table(LIVE).map_err(fault)?;
                tx.open_table(LIVE).map_err(fault)?;
                tx.delete_table(DOOM).map_err(fault)?;
                tx.open_table(DOOM).map_err(fault)?;
                tx.delete_table(FENCE).map_err(fault)?;
                tx.open_table(FENCE).map_err(fault)?;
            }
            let mut meta = tx.open_table(META).map_err(fault)?;
            meta.remove("indexes").map_err(fault)?;
            if has_records {
                meta.remove("records").map_err(fault)?;
            }
        }
        tx.commit().map_err(fault)
    }

    /// Keeps refused forks as evidence, as far as there is room.
    pub fn keep_forks(&self, forks: &[(Position, Hash, Arc<[u8]>)]) -> Result<(), Fault> {
        let tx = self.begin()?;
        {
            let mut table = tx.open_table(FORK).map_err(fault)?;
            for (at, hash, raw) in forks {
                if table.len().map_err(fault)? >= FORKS_MAX {
                    break;
                }
                let mut key = [0; 61];
                key[..29].copy_from_slice(&at.key());
                key[29..].copy_from_slice(&hash.0);
                table.insert(&key, raw.as_ref()).map_err(fault)?;
            }
        }
        tx.commit().map_err(fault)
    }
}

fn write(tx: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut log = tx.open_table(LOG)?;
    for (at, raw) in &changes.entries {
        log.insert(&at.key(), raw.as_ref())?;
    }
    let mut heads = tx.open_table(HEAD)?;
    for (log, head) in &changes.heads {
        heads.insert(&log.key(), &head_row(head))?;
    }
    let mut live = tx.open_table(LIVE)?;
    for (record, dots) in &changes.live {
        let row: Vec<u8> = dots.iter().flat_map(Dot::bytes).collect();
        match row.is_empty() {
            true => drop(live.remove(record.bytes().as_slice())?),
            false => drop(live.insert(record.bytes().as_slice(), row.as_slice())?),
        }
    }
    let mut dooms = tx.open_table(DOOM)?;
    for (doom, comes) in &changes.dooms {
        match comes {
            true => drop(dooms.insert(doom_key(doom).as_slice(), ())?),
            false => drop(dooms.remove(doom_key(doom).as_slice())?),
        }
    }
    let mut index = tx.open_table(INDEX)?;
    for (key, comes) in &changes.index {
        match comes {
            true => drop(index.insert(key.as_slice(), ())?),
            false => drop(index.remove(key.as_slice())?),
        }
    }
    if !changes.fencings.is_empty() {
        let mut fences = tx.open_table(FENCE)?;
        for (at, fencing) in &changes.fencings {
            fences.insert(&at.key(), fence_row(fencing).as_slice())?;
        }
    }
    Ok(())
}

fn write_facts(tx: &WriteTransaction, changes: &Changes, facts: &Facts) -> Result<(), redb::Error> {
    let mut meta = tx.open_table(META)?;
    if let Some(lamport) = changes.lamport {
        meta.insert("lamport", lamport.to_be_bytes().as_slice())?;
    }
    for (name, value) in facts {
        match value {
            Some(value) => drop(meta.insert(*name, value.as_slice())?),
            None => drop(meta.remove(*name)?),
        }
    }
    Ok(())
}

fn head_row(head: &Head) -> [u8; 44] {
    let mut row = [0; 44];
    row[..8].copy_from_slice(&head.seq.to_be_bytes());
    row[8..40].copy_from_slice(&head.hash.0);
    row[40..].copy_from_slice(&head.nonce.to_be_bytes());
    row
}

fn read_head(row: &[u8; 44]) -> Head {
    let (mut seq, mut hash, mut nonce) = ([0; 8], [0; 32], [0; 4]);
    seq.copy_from_slice(&row[..8]);
    hash.copy_from_slice(&row[8..40]);
    nonce.copy_from_slice(&row[40..]);
    Head { seq: u64::from_be_bytes(seq), hash: Hash(hash), nonce: u32::from_be_bytes(nonce) }
}

fn doom_key(doom: &Doom) -> Vec<u8> {
    let group = doom.group.as_bytes();
    // A group's name has at most 32 bytes: its length fits the last one.
    [doom.at.key().as_slice(), &doom.record.bytes(), group, &[group.len() as u8]].concat()
}

fn read_doom(key: &[u8]) -> Option<Doom> {
    let (at, rest) = key.split_first_chunk::<29>()?;
    let (group_len, rest) = rest.split_last()?;
    let (record, group) = rest.split_at_checked(rest.len().checked_sub(usize::from(*group_len))?)?;
    let group = std::str::from_utf8(group).ok()?.to_string();
    Some(Doom { at: Position::from_key(at)?, record: RecordKey::from_bytes(record)?, group })
}

fn fence_row(fencing: &Fencing) -> Vec<u8> {
    let mut row = vec![u8::from(fencing.holds)];
    if let Some(fence) = &fencing.fence {
        row.extend(fence.node.0);
        for last in [fence.sec, fence.cfg] {
            row.extend(last.inc.to_be_bytes());
            row.extend(last.seq.to_be_bytes());
        }
        row.extend(fence.until.map(u32::to_be_bytes).into_iter().flatten());
    }
    row
}

fn read_fence(row: &[u8]) -> Option<Fencing> {
    let (holds, rest) = row.split_first()?;
    let holds = *holds == 1;
    if rest.is_empty() {
        return Some(Fencing { fence: None, holds });
    }
    let (node, rest) = rest.split_first_chunk::<16>()?;
    let (lasts, rest) = rest.as_chunks::<12>();
    let last = |row: &[u8; 12]| {
        let (inc, seq) = row.split_first_chunk::<4>()?;
        Some(Last { inc: u32::from_be_bytes(*inc), seq: u64::from_be_bytes(seq.try_into().ok()?) })
    };
    let [sec, cfg] = lasts else { return None };
    let until = match rest {
        [] => None,
        rest => Some(u32::from_be_bytes(rest.try_into().ok()?)),
    };
    Some(Fencing { fence: Some(Fence { node: NodeId(*node), sec: last(sec)?, cfg: last(cfg)?, until }), holds })
}

/// Returns the stored form of an origin: node (16), incarnation (4), nonce (4), big-endian.
pub(crate) fn origin_row(us: &Origin) -> Vec<u8> {
    [us.node.0.as_slice(), &us.inc.to_be_bytes(), &us.nonce.to_be_bytes()].concat()
}

/// Reads the stored form of an origin.
pub(crate) fn read_origin(row: &[u8]) -> Option<Origin> {
    let (node, rest) = row.split_first_chunk::<16>()?;
    let (inc, nonce) = rest.split_first_chunk::<4>()?;
    let nonce = u32::from_be_bytes(nonce.try_into().ok()?);
    Some(Origin { node: NodeId(*node), inc: u32::from_be_bytes(*inc), nonce })
}

/// Stored index keys in order, from either end.
pub(crate) struct IndexRange(redb::Range<'static, &'static [u8], ()>);

impl IndexRange {
    /// Returns the next key in order.
    pub fn first(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        self.0.next().transpose().map_err(unreadable).map(|row| row.map(|row| row.0.value().to_vec()))
    }

    /// Returns the next key from the end.
    pub fn last(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        self.0.next_back().transpose().map_err(unreadable).map(|row| row.map(|row| row.0.value().to_vec()))
    }
}

/// The state at one moment, for reading.
pub(crate) struct Snapshot {
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    log: ReadOnlyTable<&'static [u8; 29], &'static [u8]>,
    heads: ReadOnlyTable<&'static [u8; 21], &'static [u8; 44]>,
    live: ReadOnlyTable<&'static [u8], &'static [u8]>,
    dooms: ReadOnlyTable<&'static [u8], ()>,
    index: ReadOnlyTable<&'static [u8], ()>,
    fences: ReadOnlyTable<&'static [u8; 29], &'static [u8]>,
    forks: ReadOnlyTable<&'static [u8; 61], &'static [u8]>,
}

impl Snapshot {
    fn of(tx: &ReadTransaction) -> Result<Self, Unreadable> {
        Ok(Self {
            meta: tx.open_table(META).map_err(unreadable)?,
            log: tx.open_table(LOG).map_err(unreadable)?,
            heads: tx.open_table(HEAD).map_err(unreadable)?,
            live: tx.open_table(LIVE).map_err(unreadable)?,
            dooms: tx.open_table(DOOM).map_err(unreadable)?,
            index: tx.open_table(INDEX).map_err(unreadable)?,
            fences: tx.open_table(FENCE).map_err(unreadable)?,
            forks: tx.open_table(FORK).map_err(unreadable)?,
        })
    }

    /// Returns a fact about the file.
    pub fn fact(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.meta.get(name).map_err(unreadable)?.map(|row| row.value().to_vec()))
    }

    /// Returns at most `limit` stored index keys of a span.
    pub fn index_keys(&self, span: &Span, is_backward: bool, limit: usize) -> Result<Vec<Vec<u8>>, Unreadable> {
        let (low, high) = (span.low.as_ref().map(Vec::as_slice), span.high.as_ref().map(Vec::as_slice));
        let range = self.index.range::<&[u8]>((low, high)).map_err(unreadable)?;
        let rows: Vec<_> = if is_backward { range.rev().take(limit).collect() } else { range.take(limit).collect() };
        rows.into_iter().map(|row| Ok(row.map_err(unreadable)?.0.value().to_vec())).collect()
    }

    /// Returns the stored index keys of a span, one after the other.
    pub fn index_range(&self, span: &Span) -> Result<IndexRange, Unreadable> {
        let (low, high) = (span.low.as_ref().map(Vec::as_slice), span.high.as_ref().map(Vec::as_slice));
        Ok(IndexRange(self.index.range::<&[u8]>((low, high)).map_err(unreadable)?))
    }

    /// Whether this stored index key is there.
    pub fn has_index_key(&self, key: &[u8]) -> Result<bool, Unreadable> {
        Ok(self.index.get(key).map_err(unreadable)?.is_some())
    }

    /// Returns how many refused forks are kept.
    pub fn forks_len(&self) -> Result<u64, Unreadable> {
        self.forks.len().map_err(unreadable)
    }
}

impl View for Snapshot {
    fn head(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        Ok(self.heads.get(&log.key()).map_err(unreadable)?.map(|row| read_head(row.value())))
    }

    fn heads(&self) -> Result<Vec<(LogId, Head)>, Unreadable> {
        let mut heads = Vec::new();
        for row in self.heads.iter().map_err(unreadable)? {
            let (key, head) = row.map_err(unreadable)?;
            heads.push((LogId::from_key(key.value()).ok_or_else(|| wrong("head-1"))?, read_head(head.value())));
        }
        Ok(heads)
    }

    fn entry(&self, at: Position) -> Result<Option<Arc<[u8]>>, Unreadable> {
        Ok(self.log.get(&at.key()).map_err(unreadable)?.map(|row| row.value().into()))
    }

    fn entries(&self, log: LogId, from_seq: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        let (first, last) = (log.at(from_seq).key(), log.at(u64::MAX).key());
        let range = self.log.range::<&[u8; 29]>(&first..=&last).map_err(unreadable)?;
        range.take(limit).map(|row| Ok(row.map_err(unreadable)?.1.value().into())).collect()
    }

    fn live(&self, record: &RecordKey) -> Result<Vec<Dot>, Unreadable> {
        let Some(row) = self.live.get(record.bytes().as_slice()).map_err(unreadable)? else { return Ok(Vec::new()) };
        let (dots, rest) = row.value().as_chunks::<28>();
        if rest.is_empty() { Ok(dots.iter().map(Dot::from_bytes).collect()) } else { Err(wrong("live-1")) }
    }

    fn records(&self, after: Option<&RecordKey>, limit: usize) -> Result<Vec<RecordKey>, Unreadable> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = after.map(RecordKey::bytes);
        let low = after.as_deref().map_or(Unbounded, Excluded);
        let range = self.live.range::<&[u8]>((low, Unbounded)).map_err(unreadable)?;
        let read = |row: Result<(redb::AccessGuard<&[u8]>, _), redb::StorageError>| {
            RecordKey::from_bytes(row.map_err(unreadable)?.0.value()).ok_or_else(|| wrong("live-1"))
        };
        range.take(limit).map(read).collect()
    }

    fn dooms(&self, at: Position) -> Result<Vec<Doom>, Unreadable> {
        let first = at.key();
        let mut dooms = Vec::new();
        for row in self.dooms.range::<&[u8]>(first.as_slice()..).map_err(unreadable)? {
            let row = row.map_err(unreadable)?;
            if !row.0.value().starts_with(&first) {
                break;
            }
            dooms.push(read_doom(row.0.value()).ok_or_else(|| wrong("doom-1"))?);
        }
        Ok(dooms)
    }

    fn dooms_len(&self) -> Result<u64, Unreadable> {
        self.dooms.len().map_err(unreadable)
    }

    fn fencings(&self) -> Result<Fencings, Unreadable> {
        let mut fencings = Fencings::new();
        for row in self.fences.iter().map_err(unreadable)? {
            let (key, row) = row.map_err(unreadable)?;
            let (at, fencing) = (Position::from_key(key.value()), read_fence(row.value()));
            fencings.extend([at.zip(fencing).ok_or_else(|| wrong("fence-1"))?]);
        }
        Ok(fencings)
    }

    fn lamport(&self) -> Result<u64, Unreadable> {
        let Some(row) = self.fact("lamport")? else { return Ok(0) };
        Ok(u64::from_be_bytes(row.as_slice().try_into().map_err(|_| wrong("meta-1"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{RecordId, Stream};
    use proptest::prelude::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let us = Origin { node: NodeId::from_u128(7), inc: 3, nonce: 9 };
        let head = Head { seq: 300, hash: Hash([5; 32]), nonce: 9 };
        let record = RecordKey { kind: "plan".to_string(), id: RecordId::from_u128(1) };
        let doom = Doom { at: us.log(Stream::Cfg).at(300), record, group: "label".to_string() };

        assert_eq!(read_origin(&origin_row(&us)), Some(us));
        assert_eq!(read_head(&head_row(&head)), head);
        assert_eq!(read_doom(&doom_key(&doom)), Some(doom));
        let (sec, cfg) = (Last { inc: 1, seq: 2 }, Last { inc: 3, seq: 1 << 40 });
        let fence = Fence { node: us.node, sec, cfg, until: None };
        let again = Fence { until: Some(4), ..fence };
        for (fence, holds) in [(None, false), (Some(fence), false), (Some(fence), true), (Some(again), true)] {
            let fencing = Fencing { fence, holds };
            assert_eq!(read_fence(&fence_row(&fencing)), Some(fencing));
        }
    }

    #[test]
    fn rows_have_these_bytes() {
        let us = Origin { node: NodeId([0xaa; 16]), inc: 3, nonce: 9 };
        let record = RecordKey { kind: "plan".to_string(), id: RecordId([0xbb; 16]) };
        let doom = Doom { at: us.log(Stream::Own).at(258), record, group: "label".to_string() };
        let (node, id) = ([0xaa; 16], [0xbb; 16]);
        let position = [&[2], node.as_slice(), &[0, 0, 0, 3], &[0, 0, 0, 0, 0, 0, 1, 2]].concat();

        assert_eq!(origin_row(&us), [node.as_slice(), &[0, 0, 0, 3, 0, 0, 0, 9]].concat());
        assert_eq!(doom.at.key().as_slice(), position);
        assert_eq!(doom_key(&doom), [&position, b"plan\0".as_slice(), &id, b"label", &[5]].concat());
        let head = head_row(&Head { seq: 258, hash: Hash([0xcc; 32]), nonce: 9 });
        assert_eq!(head.as_slice(), [[0, 0, 0, 0, 0, 0, 1, 2].as_slice(), &[0xcc; 32], &[0, 0, 0, 9]].concat());
        let (sec, cfg) = (Last { inc: 1, seq: 2 }, Last { inc: 3, seq: 258 });
        let fence = Fence { node: us.node, sec, cfg, until: None };
        let lasts = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2];
        let row = fence_row(&Fencing { fence: Some(fence), holds: true });
        assert_eq!(row, [[1].as_slice(), &node, &lasts].concat());
        let row = fence_row(&Fencing { fence: Some(Fence { until: Some(4), ..fence }), holds: true });
        assert_eq!(row, [[1].as_slice(), &node, &lasts, &[0, 0, 0, 4]].concat());
        let key = crate::core::index::encode("by", &[1, 0, 2], RecordId(id));
        assert_eq!(key, [b"by\0".as_slice(), &[1, 0, 0xff, 2, 0, 1], &id].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn garbage_rows_are_no_rows_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            prop_assert_eq!(read_origin(&bytes).is_some(), bytes.len() == 24);
            prop_assert_eq!(read_fence(&bytes).is_some(), [1, 41, 45].contains(&bytes.len()));
            if let Some(doom) = read_doom(&bytes) {
                prop_assert_eq!(doom_key(&doom), bytes);
            }
        }
    }
}
