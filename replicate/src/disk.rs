//! A node's logs and records in one redb file: the tables, and reading and committing them as the rules want it.
//!
//! The only file that knows redb. Lives here: tables and what of redb's errors is damage. Parts: `place` (where the file
//! and its mark are), `rows` (as bytes), `opening` (damage, incarnations, building anew), `writer` (the one thread that writes), `store`
//! (what the user holds), `feed`, `flooring` (what leaves the logs). Decides nothing about entries: that is [`crate::core`].

pub mod at_once;
pub mod feed;
pub mod flooring;
pub mod join;
pub mod opening;
pub mod place;
pub mod putting_back;
mod rows;
pub mod store;
mod writer;

use self::rows::{doom_key, fence_row, floor_row, head_row, read_doom, read_fence, read_floor, read_head};
pub(crate) use self::rows::{origin_row, read_origin};
use crate::core::entry::Entry;
use crate::core::exchange::Mark;
use crate::core::fence::Fencings;
use crate::core::floor::{Floor, Proposed, Stage, Standing};
use crate::core::id::{Dot, Hash, LogId, Position};
use crate::core::index::Span;
use crate::core::mutant::{Mutant, is_on};
use crate::core::record::RecordKey;
use crate::core::view::{Changes, Doom, Head, Unreadable, View};
use crate::core::wish::Wish;
pub use redb::StorageBackend;
pub use redb::backends::FileBackend;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The version of all tables together, kept under `form`. A file of a later one is left alone.
const FORM: u32 = 1;

/// Table: facts about the file. Key: `form`, `origin`, `lamport`, `records`, `indexes`, `quarantine`, `floor`, `proposed`. Value: as
/// `DESIGN.md` says, each of its own length. Written by: opening, the writer. Read by: opening, the writer.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta-1");
/// Table: all entries of all logs. Key: [`Position::key`]. Value: the entry as its author wrote it. Written by: the
/// writer. Read by: exports, loading records, building them anew. Never changed; removed below the floor only.
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
/// Table: this node's floor. Key: [`LogId::key`]. Value: the last place below it (8, big-endian), the hash of its entry
/// (32). Written by: the writer. Read by: opening, the writer.
const FLOOR: TableDefinition<&[u8; 21], &[u8; 40]> = TableDefinition::new("floor-1");
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
    /// The floor and what was said of the next one, as they are in the file. Rows leave only after it was set here: a
    /// snapshot that is taken before this is looked at never lacks rows that this does not explain.
    floor: RwLock<Below>,
}

/// What is kept about the floor.
#[derive(Debug, Clone, Default)]
struct Below {
    own: Option<Standing>,
    proposed: Option<Arc<Proposed>>,
    /// Which logs are kept here. Not in the file: whoever opens it says so.
    wish: Wish,
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
        let mut tables = Self { db, floor: RwLock::default() };
        // Writing needs room that a full disk does not have, reading needs none.
        if !tables.has_tables()? {
            tables.make_tables()?;
        }
        let below = tables.snapshot()?.below()?;
        tables.floor = RwLock::new(below);
        Ok(Found { tables, is_repaired: repaired.load(Ordering::Relaxed) || !is_whole })
    }

    /// Whether all tables are there, in this form.
    fn has_tables(&self) -> Result<bool, Fault> {
        let tx = self.db.begin_read().map_err(fault)?;
        let Ok(meta) = tx.open_table(META) else { return Ok(false) };
        let form = meta.get("form").map_err(fault)?.is_some_and(|row| row.value() == FORM.to_be_bytes());
        drop(meta);
        Ok(form && Snapshot::of(&tx, Below::default()).is_ok())
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
            tx.open_table(FLOOR).map_err(fault)?;
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
        let below = self.floor.read().unwrap_or_else(PoisonError::into_inner).clone();
        Snapshot::of(&tx, below)
    }

    /// Says which logs are kept here, for what is read from now on.
    pub fn keep(&self, wish: Wish) {
        self.floor.write().unwrap_or_else(PoisonError::into_inner).wish = wish;
    }

    /// Returns the floor as of the last commit.
    pub fn standing(&self) -> Option<Standing> {
        self.floor.read().unwrap_or_else(PoisonError::into_inner).own.clone()
    }

    /// Returns how far this file is with its floor, and whether a later one was said.
    pub fn stage(&self) -> (Option<Stage>, bool) {
        let below = self.floor.read().unwrap_or_else(PoisonError::into_inner);
        let is_later = below.proposed.as_ref().is_some_and(|next| next.is_after(below.own.as_ref()));
        (below.own.as_ref().map(|own| own.stage), is_later)
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
        tx.commit().map_err(fault)?;
        let mut below = self.floor.write().unwrap_or_else(PoisonError::into_inner);
        below.own = changes.floor.clone().or(below.own.take());
        below.proposed = changes.proposed.clone().or(below.proposed.take());
        Ok(())
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
    if !changes.gone.is_empty() {
        let mut fences = tx.open_table(FENCE)?;
        for at in &changes.gone {
            log.remove(&at.key())?;
            fences.remove(&at.key())?;
        }
    }
    if let Some(own) = &changes.floor {
        write_floor(tx, own)?;
    }
    Ok(())
}

/// A floor names every log of the one before it, so its rows take the place of those.
fn write_floor(tx: &WriteTransaction, own: &Standing) -> Result<(), redb::Error> {
    let mut table = tx.open_table(FLOOR)?;
    let fact = floor_row(own);
    let mut meta = tx.open_table(META)?;
    let before = meta.insert("floor", fact.as_slice())?.map(|row| row.value().to_vec());
    // The stage alone moves more often than the marks.
    if before.is_some_and(|before| before[..before.len() - 1] == fact[..fact.len() - 1]) {
        return Ok(());
    }
    for (log, mark) in &own.floor.marks {
        let mut row = [0; 40];
        row[..8].copy_from_slice(&mark.seq.to_be_bytes());
        row[8..].copy_from_slice(&mark.hash.0);
        table.insert(&log.key(), &row)?;
    }
    Ok(())
}

fn write_facts(tx: &WriteTransaction, changes: &Changes, facts: &Facts) -> Result<(), redb::Error> {
    let mut meta = tx.open_table(META)?;
    if let Some(lamport) = changes.lamport {
        meta.insert("lamport", lamport.to_be_bytes().as_slice())?;
    }
    if let Some(proposed) = &changes.proposed {
        meta.insert("proposed", proposed.at.key().as_slice())?;
    }
    for (name, value) in facts {
        match value {
            Some(value) => drop(meta.insert(*name, value.as_slice())?),
            None => drop(meta.remove(*name)?),
        }
    }
    Ok(())
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
    floor: ReadOnlyTable<&'static [u8; 21], &'static [u8; 40]>,
    below: Below,
}

impl Snapshot {
    fn of(tx: &ReadTransaction, below: Below) -> Result<Self, Unreadable> {
        Ok(Self {
            meta: tx.open_table(META).map_err(unreadable)?,
            log: tx.open_table(LOG).map_err(unreadable)?,
            heads: tx.open_table(HEAD).map_err(unreadable)?,
            live: tx.open_table(LIVE).map_err(unreadable)?,
            dooms: tx.open_table(DOOM).map_err(unreadable)?,
            index: tx.open_table(INDEX).map_err(unreadable)?,
            fences: tx.open_table(FENCE).map_err(unreadable)?,
            forks: tx.open_table(FORK).map_err(unreadable)?,
            floor: tx.open_table(FLOOR).map_err(unreadable)?,
            below,
        })
    }

    /// Reads what the file says of the floor.
    fn below(&self) -> Result<Below, Unreadable> {
        let mut below = Below::default();
        if let Some(row) = self.fact("floor")? {
            let (name, stage) = read_floor(&row).ok_or_else(|| wrong("meta-1"))?;
            let mut marks = BTreeMap::new();
            for row in self.floor.iter().map_err(unreadable)? {
                let (key, row) = row.map_err(unreadable)?;
                let log = LogId::from_key(key.value()).ok_or_else(|| wrong("floor-1"))?;
                let (seq, hash) = row.value().split_first_chunk::<8>().ok_or_else(|| wrong("floor-1"))?;
                let hash = Hash(hash.try_into().map_err(|_| wrong("floor-1"))?);
                marks.insert(log, Mark { seq: u64::from_be_bytes(*seq), hash });
            }
            let floor = Floor::new(name.number, name.epoch, marks);
            if floor.name != name {
                return Err(wrong("floor-1"));
            }
            below.own = Some(Standing { floor: Arc::new(floor), stage });
        }
        if let Some(key) = self.fact("proposed")? {
            let at = key.as_slice().try_into().ok().and_then(Position::from_key).ok_or_else(|| wrong("meta-1"))?;
            let entry = self.entry(at)?.and_then(|raw| Entry::parse(&raw).ok());
            below.proposed = entry.and_then(|entry| Proposed::of(&entry)).map(Arc::new);
        }
        Ok(below)
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

    fn dooms_between(&self, log: LogId, from_seq: u64, to_seq: u64) -> Result<Vec<Doom>, Unreadable> {
        let (first, last) = (log.at(from_seq).key(), log.at(to_seq.saturating_add(1)).key());
        let rows = self.dooms.range::<&[u8]>(first.as_slice()..last.as_slice()).map_err(unreadable)?;
        rows.map(|row| read_doom(row.map_err(unreadable)?.0.value()).ok_or_else(|| wrong("doom-1"))).collect()
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

    fn floor(&self) -> Result<Option<Standing>, Unreadable> {
        Ok(self.below.own.clone())
    }

    fn proposed(&self) -> Result<Option<Arc<Proposed>>, Unreadable> {
        Ok(self.below.proposed.clone())
    }

    fn wish(&self) -> Wish {
        self.below.wish
    }
}
