//! What a machine keeps: in memory (most seeds) or in redb over a disk that loses what was not synced.
//!
//! Both do one job at a time and at once; the world says when the job's end is known, and cuts the power before that.

use super::clock::Chance;
use super::machine::FloorJob;
use crate::cutdisk::{Disk, FATES};
use replicate::core::entry::Moment;
use replicate::core::exchange::{Applied, Records, Vector};
use replicate::core::floor::advance::{self, Next};
use replicate::core::floor::fill::{self, Kept};
use replicate::core::floor::{self, Due, Floor, HandedOn, Stage, Standing, collect};
use replicate::core::id::{Hash, LogId, NodeId, Origin, Position, RecordId, Stream};
use replicate::core::keeping;
use replicate::core::memory::Memory;
use replicate::core::rebuild::{self, Rebuild};
use replicate::core::record::{Record, RecordKey};
use replicate::core::schema::Schema;
use replicate::core::view::{Head, Staged, Unreadable, View, load};
use replicate::core::wish::Wish;
use replicate::core::write::{self, Draft};
use replicate::disk::opening::{Alarm, Settings};
use replicate::disk::store::{Batch, Store};
use std::sync::{Arc, mpsc};

/// A node's state in memory, with what opening a file would look at.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    pub state: Memory,
    /// Under what name the state was written.
    file: Option<Origin>,
    /// Under what name this box wrote last.
    mark: Option<Origin>,
    is_quarantined: bool,
    records_digest: Option<Hash>,
}

pub struct OnDisk {
    disk: Disk,
    store: Option<Store>,
}

pub enum Keeper {
    Memory(Box<InMemory>),
    Redb(OnDisk),
}

/// A copy of a disk at one moment.
pub enum Image {
    Memory(Box<InMemory>),
    Redb(Vec<u8>),
}

fn io(error: impl std::fmt::Display) -> Unreadable {
    Unreadable::Io(error.to_string())
}

impl InMemory {
    fn mint(&mut self, schema: &Schema, us: Origin, moment: Moment) {
        let mut staged = Staged::new(&self.state).unwrap();
        write::open(&mut staged, schema, us, moment).unwrap();
        let changes = staged.changes;
        self.state.keep(changes);
        (self.file, self.mark, self.is_quarantined) = (Some(us), Some(us), false);
    }

    /// As `disk::opening`: goes on under the same name only if the mark knows of no other.
    fn boot(&mut self, node: NodeId, inc_min: u32, schema: &Schema, nonce: u32, moment: Moment) -> Origin {
        let digest = Some(schema.records_digest());
        if self.records_digest.is_some() && self.records_digest != digest {
            self.state = rebuilt(&self.state, schema);
        }
        self.records_digest = digest;
        if let Some(us) = self.file.filter(|_| self.file == self.mark) {
            return us;
        }
        let heads = self.state.heads().unwrap();
        let in_logs = heads.iter().filter(|(log, _)| log.node == node).map(|(log, _)| log.inc);
        let named = [self.file, self.mark].into_iter().flatten().map(|us| us.inc);
        let inc = (in_logs.chain(named).max().unwrap_or(0) + 1).max(inc_min);
        let us = Origin { node, inc, nonce };
        self.mint(schema, us, moment);
        us
    }

    fn apply(&mut self, schema: &Schema, entries: &[Arc<[u8]>], nonce: u32, moment: Moment) -> Result<Applied, String> {
        let us = self.file.ok_or("no name")?;
        let mut staged = Staged::new(&self.state).map_err(|error| error.to_string())?;
        let is_quarantined = self.is_quarantined;
        let mint = |staged: &mut Staged<'_, Memory>, inc| {
            let us = Origin { inc, nonce, ..us };
            if is_quarantined {
                return Ok(None);
            }
            write::open(staged, schema, us, moment).map(|()| Some(us)).map_err(io)
        };
        let outcome = keeping::apply(&mut staged, schema, us, entries, mint).map_err(|error| error.to_string())?;
        let changes = staged.changes;
        self.state.keep(changes);
        if let Some(us) = outcome.us {
            (self.file, self.mark, self.is_quarantined) = (Some(us), Some(us), false);
        }
        self.is_quarantined |= outcome.quarantine.is_some();
        Ok(outcome.applied)
    }

    fn write(&mut self, schema: &Schema, drafts: &[Draft], moment: Moment) -> Result<Vec<Position>, String> {
        let us = self.file.filter(|_| !self.is_quarantined).ok_or("quarantined")?;
        let mut staged = Staged::new(&self.state).map_err(|error| error.to_string())?;
        let written = write::write(&mut staged, schema, us, moment, drafts).map_err(|error| error.to_string())?;
        let changes = staged.changes;
        self.state.keep(changes);
        Ok(written)
    }
}

impl InMemory {
    fn floor(&mut self, schema: &Schema, job: &FloorJob, moment: Moment) -> Result<bool, String> {
        let us = self.file.ok_or("no name")?;
        let said = |error: Unreadable| error.to_string();
        if let FloorJob::SetAside(handed_on) = job {
            if self.is_quarantined || !handed_on.is_all(&self.state).map_err(said)? {
                return Ok(false);
            }
            let wish = self.state.wish;
            self.state = Memory::default();
            self.state.wish = wish;
            self.file = None;
            self.boot(us.node, 1, schema, us.nonce.wrapping_mul(31) + 7, moment);
            return Ok(true);
        }
        let mut staged = Staged::new(&self.state).map_err(said)?;
        match job {
            FloorJob::Advance(..) if self.is_quarantined => return Ok(false),
            FloorJob::Advance(epoch, next) => {
                let written = advance::write(&mut staged, schema, us, moment, (*epoch, next));
                written.map_err(|error| error.to_string())?;
            }
            FloorJob::Begin => match floor::due(&staged).map_err(said)? {
                Due::Take(next) => collect::begin(&mut staged, schema, &next).map_err(said)?,
                Due::Nothing | Due::Astray => return Ok(false),
            },
            FloorJob::Leave => {
                let Some(own) = staged.floor().map_err(said)? else { return Ok(false) };
                let rows = collect::leaving(&own.floor, |log, from, limit| self.state.entries(log, from, limit));
                collect::leave(&mut staged, &rows.map_err(said)?);
                collect::done(&mut staged).map_err(said)?;
            }
            FloorJob::Fill { floor, .. } => return self.begin_fill(floor),
            FloorJob::Widen => fill::widen(&mut staged).map_err(said)?,
            FloorJob::SetAside(_) => return Ok(false),
        }
        let changes = staged.changes;
        self.state.keep(changes);
        Ok(true)
    }

    fn begin_fill(&mut self, floor: &Floor) -> Result<bool, String> {
        let mut staged = Staged::new(&self.state).map_err(|error| error.to_string())?;
        let can = fill::begin(&mut staged, floor).map_err(|error| error.to_string())?;
        let changes = staged.changes;
        self.state.keep(changes);
        Ok(can)
    }
}

/// The same logs with records built anew.
pub fn rebuilt(state: &Memory, schema: &Schema) -> Memory {
    let mut state = state.clone();
    state.forget_records();
    let mut rebuild = Rebuild::begin(&state).unwrap();
    while let Some(changes) = rebuild.step(&state, schema, 50).unwrap() {
        state.keep(changes);
    }
    state
}

impl Keeper {
    pub fn new(is_redb: bool) -> Self {
        match is_redb {
            false => Keeper::Memory(Box::default()),
            true => Keeper::Redb(OnDisk { disk: Disk::default(), store: None }),
        }
    }

    /// Opens what is there. Returns the name to write under, and whether a file was found wrong.
    pub fn boot(
        &mut self,
        node: NodeId,
        inc_min: u32,
        schema: &Schema,
        chance: &mut Chance,
        moment: Moment,
    ) -> (Origin, bool) {
        let nonce = chance.next() as u32;
        match self {
            Keeper::Memory(memory) => (memory.boot(node, inc_min, schema, nonce, moment), false),
            Keeper::Redb(kept) => {
                let mut more = Chance(u64::from(nonce));
                let nonces = Box::new(move || more.next() as u32);
                let settings = Settings { node, inc_min, nonces, moment, cache_bytes: 1 << 20, is_verified: false };
                let (store, opened) = Store::open_at(kept.disk.clone(), schema.clone(), settings).unwrap();
                kept.store = Some(store);
                let is_wrong = |alarm: &Alarm| matches!(alarm, Alarm::Damaged { .. } | Alarm::Repaired);
                (opened.us, opened.alarms.iter().any(is_wrong))
            }
        }
    }

    /// The power goes. What was promised before `safe` is on the disk, of the rest any part.
    pub fn cut(&mut self, safe: usize, chance: &mut Chance) {
        if let Keeper::Redb(kept) = self {
            let at = safe + chance.below(kept.disk.now() - safe + 1);
            let found = kept.disk.cut(at, chance.pick(&FATES));
            kept.store = None;
            kept.disk = found;
        }
    }

    /// How much has happened on the disk.
    pub fn moment(&self) -> usize {
        match self {
            Keeper::Memory(_) => 0,
            Keeper::Redb(kept) => kept.disk.now(),
        }
    }

    pub fn close(&mut self) {
        if let Keeper::Redb(kept) = self {
            kept.store = None;
        }
    }

    pub fn image(&self) -> Image {
        match self {
            Keeper::Memory(memory) => Image::Memory(memory.clone()),
            Keeper::Redb(kept) => Image::Redb(kept.disk.cut(kept.disk.now(), crate::cutdisk::Unsynced::Lost).file()),
        }
    }

    /// Puts an older image back; the mark beside it stays.
    pub fn restore(&mut self, image: &Image) {
        match (self, image) {
            (Keeper::Memory(memory), Image::Memory(old)) => {
                let mark = memory.mark;
                *memory = old.clone();
                memory.mark = mark;
            }
            (Keeper::Redb(kept), Image::Redb(file)) => {
                kept.store = None;
                kept.disk = kept.disk.with_file(file.clone());
            }
            _ => (),
        }
    }

    /// Another box with a copy of this disk.
    pub fn copy(&self) -> Self {
        match self {
            Keeper::Memory(memory) => Keeper::Memory(memory.clone()),
            Keeper::Redb(kept) => {
                let disk = kept.disk.cut(kept.disk.now(), crate::cutdisk::Unsynced::Lost);
                Keeper::Redb(OnDisk { disk, store: None })
            }
        }
    }

    pub fn fail(&self) {
        if let Keeper::Redb(kept) = self {
            kept.disk.fail();
        }
    }

    pub fn fill(&self) {
        if let Keeper::Redb(kept) = self {
            kept.disk.fill();
        }
    }

    pub fn mend(&self) {
        if let Keeper::Redb(kept) = self {
            kept.disk.mend();
        }
    }

    pub fn write(&mut self, schema: &Schema, drafts: &[Draft], moment: Moment) -> Result<Vec<Position>, String> {
        match self {
            Keeper::Memory(memory) => memory.write(schema, drafts, moment),
            Keeper::Redb(kept) => {
                let batch = Batch { expected: Vec::new(), drafts: drafts.to_vec(), moment, is_urgent: true };
                kept.store().write(batch).wait().map_err(|error| error.to_string())
            }
        }
    }

    pub fn apply(
        &mut self,
        schema: &Schema,
        entries: &[Arc<[u8]>],
        nonce: u32,
        moment: Moment,
    ) -> Result<Applied, String> {
        match self {
            Keeper::Memory(memory) => memory.apply(schema, entries, nonce, moment),
            Keeper::Redb(kept) => {
                kept.store().apply(entries.to_vec(), moment, true).wait().map_err(|error| error.to_string())
            }
        }
    }

    pub fn renew(&mut self, schema: &Schema, nonce: u32, moment: Moment) -> Result<(), String> {
        match self {
            Keeper::Memory(memory) => {
                let us = memory.file.ok_or("no name")?;
                memory.mint(schema, Origin { inc: us.inc + 1, nonce, ..us }, moment);
                Ok(())
            }
            Keeper::Redb(kept) => kept.store().renew(moment).wait().map(drop).map_err(|error| error.to_string()),
        }
    }

    /// Nothing if it cannot be read; nothing inside if one is to be gone on with.
    pub fn floor_due(&self) -> Option<Option<Due>> {
        match self {
            Keeper::Memory(memory) => {
                let is_begun = memory.state.floor().unwrap().is_some_and(|own| own.stage == Stage::Collecting);
                Some(if is_begun { None } else { Some(floor::due(&memory.state).unwrap()) })
            }
            Keeper::Redb(kept) => kept.store().floor_due().ok(),
        }
    }

    pub fn next_floor(&self, others: u64, known: impl Fn(LogId) -> u64) -> Option<Next> {
        match self {
            Keeper::Memory(memory) => advance::next(&memory.state, others, known).unwrap(),
            Keeper::Redb(kept) => kept.store().next_floor(others, known).ok().flatten(),
        }
    }

    /// Says which logs are kept here.
    pub fn keep(&mut self, wish: Wish) {
        match self {
            Keeper::Memory(memory) => memory.state.wish = wish,
            Keeper::Redb(kept) => kept.store().keep(wish),
        }
    }

    /// As `Store::is_floor_awaited`.
    pub fn is_floor_awaited(&self) -> bool {
        match self {
            Keeper::Memory(memory) => floor::is_awaited(&memory.state).unwrap(),
            Keeper::Redb(kept) => kept.store().is_floor_awaited().unwrap_or(true),
        }
    }

    /// As `Store::lacks_below_floor`.
    pub fn lacks_below_floor(&self) -> bool {
        match self {
            Keeper::Memory(memory) => {
                let own = memory.state.floor().unwrap().filter(|own| own.stage != Stage::Filling);
                own.is_some_and(|own| fill::lacks(&memory.state, &own.floor, Wish::ALL).unwrap())
            }
            Keeper::Redb(kept) => kept.store().lacks_below_floor().unwrap_or(true),
        }
    }

    pub fn is_handed_on(&self, handed_on: &HandedOn) -> bool {
        match self {
            Keeper::Memory(memory) => handed_on.is_all(&memory.state).unwrap(),
            Keeper::Redb(kept) => kept.store().is_handed_on(handed_on).unwrap_or(false),
        }
    }

    /// A digest of what is kept below the floor; nothing if it cannot be read.
    pub fn kept(&self) -> Option<Hash> {
        let own = self.standing().ok()??;
        let mut digest = Hash::NOTHING;
        for (log, mark) in &own.floor.marks {
            let raws = match self {
                Keeper::Memory(memory) => memory.state.tail(*log, 1, usize::MAX, usize::MAX).ok()?,
                Keeper::Redb(kept) => kept.store().tail(*log, 1, 100_000, usize::MAX).ok()?,
            };
            for raw in raws.iter().filter(|raw| super::traffic::place_of(raw).dot.seq <= mark.seq) {
                digest = Hash::of_entry(digest, raw);
            }
        }
        Some(digest)
    }

    /// Does something about the floor. Returns whether it was done.
    pub fn floor(&mut self, schema: &Schema, job: &FloorJob, moment: Moment) -> Result<bool, String> {
        match self {
            Keeper::Memory(memory) => memory.floor(schema, job, moment),
            Keeper::Redb(kept) => kept.floor(job, moment),
        }
    }

    pub fn take_kept(
        &mut self,
        schema: &Schema,
        entries: &[Arc<[u8]>],
        kept: &Kept,
        moment: Moment,
    ) -> Result<Applied, String> {
        match self {
            Keeper::Memory(memory) => {
                let us = memory.file.ok_or("no name")?;
                let mut staged = Staged::new(&memory.state).map_err(|error| error.to_string())?;
                let outcome = keeping::take_kept(&mut staged, schema, us, entries, kept);
                let outcome = outcome.map_err(|error| error.to_string())?;
                let changes = staged.changes;
                memory.state.keep(changes);
                Ok(outcome.applied)
            }
            Keeper::Redb(of) => {
                let (tx, rx) = mpsc::channel();
                let done = Box::new(move |result| drop(tx.send(result)));
                of.store().apply_kept_then(entries.to_vec(), kept.clone(), moment, done);
                rx.recv().unwrap().map_err(|error| error.to_string())
            }
        }
    }

    pub fn us(&self) -> Option<Origin> {
        match self {
            Keeper::Memory(memory) => memory.file,
            Keeper::Redb(kept) => kept.store.as_ref().map(|store| store.status().us),
        }
    }

    /// Nothing while the disk fails.
    pub fn heads(&self) -> Option<Vec<(LogId, Head)>> {
        match self {
            Keeper::Memory(memory) => memory.state.heads().ok(),
            Keeper::Redb(kept) => kept.store().heads().ok(),
        }
    }

    pub fn entries(&self, log: LogId, from_seq: u64) -> Vec<Arc<[u8]>> {
        match self {
            Keeper::Memory(memory) => memory.state.entries(log, from_seq, usize::MAX).unwrap(),
            Keeper::Redb(kept) => kept.store().tail(log, from_seq, 100_000, usize::MAX).unwrap(),
        }
    }

    /// Nothing inside if there is no such record.
    pub fn record(&self, schema: &Schema, key: &RecordKey) -> Result<Option<Record>, Unreadable> {
        match self {
            Keeper::Memory(memory) => schema.kind(&key.kind).map(|kind| load(&memory.state, kind, key)).transpose(),
            Keeper::Redb(kept) => kept.store().read(&key.kind, key.id),
        }
    }

    pub fn state_hash(&self, schema: &Schema) -> Hash {
        match self {
            Keeper::Memory(memory) => rebuild::state_hash(&memory.state, schema).unwrap(),
            Keeper::Redb(kept) => kept.store().state_hash().unwrap(),
        }
    }

    /// Every log is whole, and the records are what the logs say.
    pub fn verify(&self, schema: &Schema) {
        match self {
            Keeper::Memory(memory) => {
                rebuild::verify(&memory.state).unwrap_or_else(|error| panic!("I3: {error}"));
                assert!(rebuilt(&memory.state, schema) == memory.state, "I4: records are not what their logs say");
            }
            Keeper::Redb(kept) => {
                kept.store().verify().unwrap_or_else(|error| panic!("I3: {error}"));
            }
        }
    }

    pub fn dooms(&self) -> u64 {
        match self {
            Keeper::Memory(memory) => memory.state.dooms_len().unwrap(),
            Keeper::Redb(_) => 0,
        }
    }
}

impl OnDisk {
    fn floor(&mut self, job: &FloorJob, moment: Moment) -> Result<bool, String> {
        let store = self.store();
        let (tx, rx) = mpsc::channel();
        let done = Box::new(move |result| drop(tx.send(result)));
        match job {
            FloorJob::Advance(epoch, next) => store.advance_floor_then(*epoch, next.clone(), moment, done),
            FloorJob::Begin | FloorJob::Leave => store.collect_then(moment, done),
            FloorJob::Fill { floor, .. } => store.fill_then(floor.clone(), moment, done),
            FloorJob::SetAside(handed_on) => store.set_aside_then(handed_on.clone(), moment, done),
            FloorJob::Widen => store.widen_then(moment, done),
        }
        rx.recv().unwrap().map_err(|error| error.to_string())
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

impl Records for Keeper {
    fn vector(&self, stream: Stream) -> Result<Vector, Unreadable> {
        match self {
            Keeper::Memory(memory) => memory.state.vector(stream),
            Keeper::Redb(kept) => Records::vector(kept.store(), stream),
        }
    }

    fn end(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        match self {
            Keeper::Memory(memory) => memory.state.end(log),
            Keeper::Redb(kept) => kept.store().end(log),
        }
    }

    fn hash(&self, at: Position) -> Result<Option<Hash>, Unreadable> {
        match self {
            Keeper::Memory(memory) => memory.state.hash(at),
            Keeper::Redb(kept) => kept.store().hash(at),
        }
    }

    fn standing(&self) -> Result<Option<Standing>, Unreadable> {
        match self {
            Keeper::Memory(memory) => memory.state.standing(),
            Keeper::Redb(kept) => kept.store().standing(),
        }
    }

    fn tail(
        &self,
        log: LogId,
        from_seq: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        match self {
            Keeper::Memory(memory) => memory.state.tail(log, from_seq, entries_max, bytes_max),
            Keeper::Redb(kept) => kept.store().tail(log, from_seq, entries_max, bytes_max),
        }
    }
}

pub fn record_id(number: u128) -> RecordId {
    RecordId::from_u128(number)
}
