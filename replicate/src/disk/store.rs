//! What the user of the library holds: writing, reading, following, and the two halves of a session with a peer.
//!
//! Any thread may hold it. Writing hands a job to the writer's thread and gets a ticket; reading takes a snapshot and
//! never waits for the writer. It gives out plain data, never a handle of the database.

use super::at_once::AtOnce;
use super::feed::News;
use super::flooring::{self, Step};
use super::join::{Join, Joined};
use super::opening::{Alarm, OpenError, Opened, Settings, open};
use super::place::{FilePlace, Place};
pub use super::writer::{Done, GATHER_MS, QUEUE_ENTRIES_MAX};
use super::writer::{Job, Shared, Writer};
use crate::core::entry::{Entry, Moment};
use crate::core::exchange::{self, Export, Records, Vector};
pub use crate::core::exchange::{Applied, REFUSALS_MAX};
use crate::core::fence::{self, Fenced};
use crate::core::floor::advance::{self, Next};
use crate::core::floor::fill::{self, Kept};
use crate::core::floor::{self, Due, Floor, HandedOn, Stage, Standing};
use crate::core::id::{Hash, LogId, Origin, Position, RecordId, Stream};
use crate::core::index::{self, Keys, Span};
use crate::core::rebuild;
use crate::core::record::{Record, RecordKey};
use crate::core::schema::Schema;
use crate::core::view::{Head, Unreadable, View, load};
use crate::core::wish::Wish;
use crate::core::write::{BadAct, Draft, Expected};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Hits in one answer to a scan; ask again after the last.
pub const SCAN_MAX: usize = 1000;

/// Why something was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The act cannot be done; nothing of its batch was.
    #[error(transparent)]
    BadAct(BadAct),
    /// More than [`QUEUE_ENTRIES_MAX`] entries wait already: come again.
    #[error("more than {QUEUE_ENTRIES_MAX} entries wait to be written")]
    Busy,
    /// Another node writes under our name. Nothing is written until [`Store::renew`] says that this one goes on.
    #[error("{0}")]
    Quarantined(String),
    /// The disk failed. What was asked may or may not be kept. The next write opens the file again.
    #[error("not known to be kept: {0}")]
    Failed(String),
    /// The state could not be read; as [`WriteError::Failed`].
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl From<BadAct> for WriteError {
    fn from(bad: BadAct) -> Self {
        match bad {
            BadAct::Unreadable(unreadable) => WriteError::Unreadable(unreadable),
            bad => WriteError::BadAct(bad),
        }
    }
}

/// What someone wants done, whole or not at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What it was made from: [`BadAct::Stale`] if that is gone.
    pub expected: Vec<Expected>,
    /// The acts, in order: a later one sees what an earlier one did.
    pub drafts: Vec<Draft>,
    /// When it is.
    pub moment: Moment,
    /// Whether it is kept at once, because a person waits or access changes, or may wait a moment for company.
    pub is_urgent: bool,
}

/// How the store is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Under which name it writes.
    pub us: Origin,
    /// Why nothing is written, until the file can be opened again.
    pub failed: Option<String>,
    /// How often the file was opened again after a failure.
    pub healed: u64,
    /// What a person should know of how it was found then.
    pub alarms: Vec<Alarm>,
    /// Why nothing of our own is written until [`Store::renew`].
    pub quarantined: Option<String>,
    /// The greatest incarnation of ours that a peer knows, as far as this one did not go on above it.
    pub inc_heard: u32,
    /// Refused forks: those kept as evidence when it was opened ([`super::FORKS_MAX`] at most), and each one since.
    pub forks: u64,
    /// Durable steps since opening.
    pub commits: u64,
    /// Entries that joined since opening.
    pub entries: u64,
}

/// How the store is doing, in short: see [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// Under which name it writes.
    pub us: Origin,
    /// Nothing is written until the file can be opened again.
    pub is_failed: bool,
    /// Nothing of our own is written until [`Store::renew`].
    pub is_quarantined: bool,
    /// How many alarms there are.
    pub alarms: usize,
}

/// A promise of the writer. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Ticket<T>(mpsc::Receiver<Result<T, WriteError>>);

impl<T> Ticket<T> {
    /// Waits until it is durable, or known not to be.
    ///
    /// # Errors
    /// [`WriteError`] says why it is not.
    pub fn wait(self) -> Result<T, WriteError> {
        self.0.recv().unwrap_or(Err(WriteError::Closed))
    }

    /// Returns the outcome if there is one yet.
    pub fn look(&self) -> Option<Result<T, WriteError>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Err(WriteError::Closed)),
        }
    }
}

fn ticket<T: Send + 'static>() -> (Done<T>, Ticket<T>) {
    let (tx, rx) = mpsc::sync_channel(1);
    // Nobody waits any more: that is their business.
    (Box::new(move |result| drop(tx.send(result))), Ticket(rx))
}

/// Which hits of an index are wanted.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The index's name.
    pub index: String,
    /// Which keys.
    pub keys: Keys,
    /// Whether from the last to the first.
    pub is_backward: bool,
    /// Only what comes after this hit of an earlier answer.
    pub after: Option<(Vec<u8>, RecordId)>,
    /// How many, at most [`SCAN_MAX`].
    pub limit: usize,
}

/// One hit of a scan.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The key it was found under.
    pub key: Vec<u8>,
    /// The record.
    pub record: Record,
}

/// An open store. Closed when dropped: what was handed in before is still kept.
pub struct Store {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store in a file, or makes one.
    ///
    /// # Errors
    /// [`OpenError`] if another process has it or the machine does not give the bytes. Damage is no error: see
    /// [`Opened::alarms`].
    pub fn open(path: &Path, schema: Schema, settings: Settings) -> Result<(Self, Opened), OpenError> {
        Self::open_at(FilePlace::new(path), schema, settings)
    }

    /// Opens the store at any place.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_at<P: Place>(mut place: P, schema: Schema, settings: Settings) -> Result<(Self, Opened), OpenError> {
        let mut settings = settings;
        let (tables, opened) = open(&mut place, &schema, &mut settings)?;
        let quarantined = opened.quarantine().map(str::to_string);
        let forks = tables.snapshot().and_then(|snapshot| snapshot.forks_len()).map_err(super::Fault::from)?;
        let status = Status {
            us: opened.us,
            failed: None,
            healed: 0,
            alarms: Vec::new(),
            quarantined,
            inc_heard: 0,
            forks,
            commits: 0,
            entries: 0,
        };
        let shared = Arc::new(Shared::new(tables, schema, status));
        let writer = Writer { shared: shared.clone(), place, settings, us: opened.us };
        #[cfg(feature = "mutants")]
        let mutant = crate::core::mutant::switched();
        let thread = std::thread::Builder::new().name("replicate-writer".to_string()).spawn(move || {
            #[cfg(feature = "mutants")]
            crate::core::mutant::switch(mutant);
            writer.run();
        });
        let writer = Some(thread.map_err(|error| OpenError::Io(error.to_string()))?);
        Ok((Self { shared, writer }, opened))
    }

    /// Holds back what is to be written, so that nothing that is read meanwhile depends on how fast the writer is.
    #[cfg(all(feature = "stepped", feature = "net"))]
    pub(crate) fn hold(&self, is_held: bool) {
        self.shared.hold(is_held);
    }

    /// Writes a batch of our own.
    pub fn write(&self, batch: Batch) -> Ticket<Vec<Position>> {
        let (done, ticket) = ticket();
        self.write_then(batch, done);
        ticket
    }

    /// Writes a batch of our own and calls `done` on the writer's thread, which must not be held up.
    pub fn write_then(&self, batch: Batch, done: Done<Vec<Position>>) {
        let Batch { expected, drafts, moment, is_urgent } = batch;
        self.shared.push(Job::Write { expected, drafts, moment, done }, is_urgent);
    }

    /// Lets others' entries join their logs, in the order given. `moment` dates what this node writes if it finds that
    /// its memory is older than it was.
    pub fn apply(&self, entries: Vec<Arc<[u8]>>, moment: Moment, is_urgent: bool) -> Ticket<Applied> {
        let (done, ticket) = ticket();
        self.apply_then(entries, moment, is_urgent, done);
        ticket
    }

    /// As [`Store::apply`], and calls `done` on the writer's thread, which must not be held up.
    pub fn apply_then(&self, entries: Vec<Arc<[u8]>>, moment: Moment, is_urgent: bool, done: Done<Applied>) {
        self.shared.push(Job::Apply { entries, kept: None, moment, done }, is_urgent);
    }

    /// As [`Store::apply_then`], of what a node at our floor kept below it.
    pub fn apply_kept_then(&self, entries: Vec<Arc<[u8]>>, kept: Kept, moment: Moment, done: Done<Applied>) {
        self.shared.push(Job::Apply { entries, kept: Some(kept), moment, done }, false);
    }

    /// Returns where the floor could go, if every member that is asked has of each log what `acknowledged` says
    /// and is at most at a floor of the number `others`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn next_floor(&self, others: u64, acknowledged: impl Fn(LogId) -> u64) -> Result<Option<Next>, Unreadable> {
        self.shared.read(|snapshot| advance::next(snapshot, others, acknowledged))
    }

    /// Writes where the floor is from now on, under a coordinator's epoch, and calls `done` on the writer's thread.
    pub fn advance_floor_then(&self, epoch: u64, next: Next, moment: Moment, done: Done<bool>) {
        self.shared.push(Job::Floor { step: Step::Advance { epoch, next }, moment, done }, false);
    }

    /// Whether others have all that is here.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn is_handed_on(&self, handed_on: &HandedOn) -> Result<bool, Unreadable> {
        self.shared.read(|snapshot| handed_on.is_all(snapshot))
    }

    /// Returns what there is to do about the floor; nothing inside if one is to be gone on with: see
    /// [`Store::collect_then`].
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn floor_due(&self) -> Result<Option<Due>, Unreadable> {
        match self.shared.stage()? {
            (Some(Stage::Collecting), _) => Ok(None),
            (Some(Stage::Filling), _) | (_, false) => Ok(Some(Due::Nothing)),
            (Some(Stage::At) | None, true) => self.shared.read(|snapshot| Ok(Some(floor::due(snapshot)?))),
        }
    }

    /// Takes the floor that is due, or goes on with one that was begun: what nothing below it needs leaves the logs, and no
    /// record changes. Calls `done` on a thread of its own, with whether there was one.
    pub fn collect_then(&self, moment: Moment, done: Done<bool>) {
        flooring::collect(self.shared.clone(), moment, done);
    }

    /// As [`Store::collect_then`].
    pub fn collect(&self, moment: Moment) -> Ticket<bool> {
        let (done, ticket) = ticket();
        self.collect_then(moment, done);
        ticket
    }

    /// Begins with what others kept below a floor. Calls `done` on the writer's thread with whether this node can: it has
    /// nothing of what the floor is about, or has begun with the same one.
    pub fn fill_then(&self, floor: Arc<Floor>, moment: Moment, done: Done<bool>) {
        self.shared.push(Job::Floor { step: Step::Fill(floor), moment, done }, true);
    }

    /// Begins to take what others kept below this node's own floor, of logs that were not kept here so far, if something of
    /// that is missing and no rows are leaving. Calls `done` on the writer's thread, with `true`.
    pub fn widen_then(&self, moment: Moment, done: Done<bool>) {
        self.shared.push(Job::Floor { step: Step::Widen, moment, done }, true);
    }

    /// Whether a floor was said that this node has not taken.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn is_floor_awaited(&self) -> Result<bool, Unreadable> {
        self.shared.read(floor::is_awaited)
    }

    /// Whether something is missing here of what is below the floor, though nothing of it is awaited.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn lacks_below_floor(&self) -> Result<bool, Unreadable> {
        let own = self.shared.standing()?.filter(|own| own.stage != Stage::Filling);
        let Some(own) = own else { return Ok(false) };
        self.shared.read(|snapshot| fill::lacks(snapshot, &own.floor, Wish::ALL))
    }

    /// Says which logs are kept here. Until then it is every one.
    pub fn keep(&self, wish: Wish) {
        self.shared.keep(wish);
    }

    /// Sets the file aside, if others have all that is in it, and goes on with an empty one under the next incarnation.
    /// Calls `done` on the writer's thread, with whether it was done.
    pub fn set_aside_then(&self, handed_on: HandedOn, moment: Moment, done: Done<bool>) {
        self.shared.push(Job::Floor { step: Step::SetAside(handed_on), moment, done }, true);
    }

    /// Goes on under the next incarnation, and ends a quarantine: of two nodes of one name, an operator chose this one.
    pub fn renew(&self, moment: Moment) -> Ticket<Origin> {
        let (done, ticket) = ticket();
        self.shared.push(Job::Renew { of: None, moment, done }, true);
        ticket
    }

    /// Takes note that a peer knows this incarnation of us: the next one is taken above it.
    pub fn heard_of_us(&self, inc: u32) {
        let mut status = self.shared.status();
        status.inc_heard = status.inc_heard.max(inc);
    }

    /// As [`Store::renew`], but only if this node still writes under the incarnation `of` or an earlier one: what was
    /// heard of that one is then not answered twice. Calls `done` on the writer's thread, which must not be held up.
    pub fn renew_then(&self, of: u32, moment: Moment, done: Done<Origin>) {
        self.shared.push(Job::Renew { of: Some(of), moment, done }, true);
    }

    /// Stops writing of our own, across restarts, until [`Store::renew`]: somebody else uses our name. Not if this node
    /// writes under a later incarnation than `of` by then. `why` is for people. Calls `done` on the writer's thread, which
    /// must not be held up.
    pub fn quarantine_then(&self, of: u32, why: String, moment: Moment, done: Done<()>) {
        self.shared.push(Job::Quarantine { of, why, moment, done }, true);
    }

    /// Returns a record with all its live versions, also a deleted one ([`Record::exists`] tells); nothing if there is
    /// none or its kind is not declared.
    ///
    /// # Errors
    /// [`Unreadable`], as for all reading.
    pub fn read(&self, kind: &str, id: RecordId) -> Result<Option<Record>, Unreadable> {
        let Some(kind) = self.shared.schema.kind(kind) else { return Ok(None) };
        let key = RecordKey { kind: kind.name.clone(), id };
        let record = self.shared.read(|snapshot| load(snapshot, kind, &key))?;
        Ok((!record.live().is_empty()).then_some(record))
    }

    /// Returns the entry at a place, live or long replaced; nothing if it is not here. Its bytes are the evidence of who
    /// did what.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn entry(&self, at: Position) -> Result<Option<Entry>, Unreadable> {
        self.shared.read(|snapshot| snapshot.entry(at))?.map(|raw| parsed(&raw)).transpose()
    }

    /// Returns at most `limit` (and [`SCAN_MAX`]) entries of a log from a sequence number on, in order: how a journal is
    /// read.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn entries(&self, log: LogId, from_seq: u64, limit: usize) -> Result<Vec<Entry>, Unreadable> {
        let raws = self.shared.read(|snapshot| snapshot.entries(log, from_seq, limit.min(SCAN_MAX)))?;
        raws.iter().map(|raw| parsed(raw)).collect()
    }

    /// Returns the records found in an index, in the order of its keys; none if there is no such index.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, Unreadable> {
        let Some((kind, _)) = self.shared.schema.index(&scan.index) else { return Ok(Vec::new()) };
        let after = scan.after.as_ref().map(|(key, id)| (key.as_slice(), *id));
        let span = Span::of(&scan.index, &scan.keys).after(&scan.index, after, scan.is_backward);
        if span.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.read(|snapshot| {
            let keys = snapshot.index_keys(&span, scan.is_backward, scan.limit.min(SCAN_MAX))?;
            let hit = |stored: Vec<u8>| {
                let (key, id) = index::decode(&stored).ok_or_else(|| super::wrong("index-1"))?;
                let record = load(snapshot, kind, &RecordKey { kind: kind.name.clone(), id })?;
                Ok(Hit { key, record })
            };
            keys.into_iter().map(hit).collect()
        })
    }

    /// Returns the records of these ids, in their order, as of one moment; nothing for those that are not there.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read_all(&self, kind: &str, ids: &[RecordId]) -> Result<Vec<Option<Record>>, Unreadable> {
        let Some(kind) = self.shared.schema.kind(kind) else { return Ok(vec![None; ids.len()]) };
        self.shared.read(|snapshot| {
            let read = |id: &RecordId| {
                let record = load(snapshot, kind, &RecordKey { kind: kind.name.clone(), id: *id })?;
                Ok((!record.live().is_empty()).then_some(record))
            };
            ids.iter().map(read).collect()
        })
    }

    /// Returns which records are found under all that is asked for, the last first.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn join(&self, join: &Join) -> Result<Joined, Unreadable> {
        self.shared.read(|snapshot| super::join::run(snapshot, join))
    }

    /// Returns what stands before the tails in an index of words, and how many keys each has; at most `limit`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn words(&self, index: &str, limit: usize) -> Result<Vec<(Vec<u8>, u64)>, Unreadable> {
        self.shared.read(|snapshot| super::join::words(snapshot, index, limit))
    }

    /// Returns where every log ends, as of one moment: what a backup takes along.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn heads(&self) -> Result<Vec<(LogId, Head)>, Unreadable> {
        self.shared.read(|snapshot| snapshot.heads())
    }

    /// Returns what a backup has to begin with, before the entries of all logs; nothing if there is no floor. To be asked
    /// again at the end: if it is another by then, entries left the logs meanwhile, and the backup is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn backup_begins_with(&self) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.shared.standing()?.map(|own| super::putting_back::floor_line(&own)))
    }

    /// Returns every fenced node, and how much of it does not count.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn fenced(&self) -> Result<Vec<Fenced>, Unreadable> {
        self.shared.read(fence::fenced)
    }

    /// Returns at most `limit` changes since number `since` (0: since opening), waiting for the first until `timeout`.
    pub fn changes(&self, since: u64, limit: usize, timeout: Duration) -> News {
        self.shared.feed.since(since, limit, timeout)
    }

    /// The records as they are now, for several readings in a row.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn at_once(&self) -> Result<AtOnce<'_>, Unreadable> {
        self.shared.at_once()
    }

    /// Returns how far this node has come in a stream: what is durable here, and nothing else.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn vector(&self, stream: Stream) -> Result<Vector, Unreadable> {
        self.shared.read(|snapshot| exchange::vector(snapshot, stream))
    }

    /// Returns what a peer with this vector lacks of a stream.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn export(&self, stream: Stream, theirs: &Vector) -> Result<Export, Unreadable> {
        self.shared.read(|snapshot| exchange::export(snapshot, stream, theirs))
    }

    /// Returns a digest of all records: equal on nodes with equal vectors and schemas. Reads every record.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn state_hash(&self) -> Result<Hash, Unreadable> {
        self.shared.read(|snapshot| rebuild::state_hash(snapshot, &self.shared.schema))
    }

    /// Returns a digest of the records of one stream. Reads every record.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn stream_hash(&self, stream: Stream) -> Result<Hash, Unreadable> {
        self.shared.read(|snapshot| rebuild::stream_hash(snapshot, &self.shared.schema, stream))
    }

    /// Checks every log from its first entry to its end; returns how many entries. Reads everything.
    ///
    /// # Errors
    /// [`Unreadable::Damaged`] names the first place that is wrong.
    pub fn verify(&self) -> Result<u64, Unreadable> {
        self.shared.read(rebuild::verify)
    }

    /// Returns the part of [`Store::status`] that is cheap to ask for often.
    pub fn brief(&self) -> Brief {
        let status = self.shared.status();
        Brief {
            us: status.us,
            is_failed: status.failed.is_some(),
            is_quarantined: status.quarantined.is_some(),
            alarms: status.alarms.len(),
        }
    }

    /// Returns how the store is doing.
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }
}

impl Records for Store {
    fn vector(&self, stream: Stream) -> Result<Vector, Unreadable> {
        self.vector(stream)
    }

    fn end(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        self.at_once()?.end(log)
    }

    fn hash(&self, at: Position) -> Result<Option<Hash>, Unreadable> {
        self.at_once()?.hash(at)
    }

    fn standing(&self) -> Result<Option<Standing>, Unreadable> {
        self.shared.standing()
    }

    fn tail(
        &self,
        log: LogId,
        from_seq: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        self.at_once()?.tail(log, from_seq, entries_max, bytes_max)
    }
}

fn parsed(raw: &[u8]) -> Result<Entry, Unreadable> {
    Entry::parse(raw).map_err(|error| Unreadable::Damaged(format!("in the log: {error}")))
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.close();
        self.shared.feed.close();
        if let Some(writer) = self.writer.take() {
            // Its panics are caught where they happen; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}
