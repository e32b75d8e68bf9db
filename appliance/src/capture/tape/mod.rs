//! The tape: one thread that writes, syncs and closes, so that nobody who counts frames ever waits for a disk.
//!
//! The engine sends [`Op`]s in timeline order; each take has a [`reel::Reel`] that turns them into segments and log lines.
//! Once a second every open file is synced. A second thread hashes finished segments. Blocks in the queue are shared with
//! the pre-roll, and the engine stops sending audio when the queue is [`BACKLOG_SECONDS_MAX`] long.

pub mod hasher;
mod measure;
pub mod reel;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::hasher::Hasher;
use self::reel::{Position, Reel};
use super::block::Block;
use super::take::folder::DataDir;
use super::take::log::{Log, LogWriter};
use crate::audio::facts::Hop;
use crate::domain::take::{CloseReason, Opened};
use crate::domain::{Fact, Gap, GapCause, TakeId};
use crate::sys::{clock, disk};

/// How far the disk may fall behind before frames are given up: the memory of the machine is finite.
pub const BACKLOG_SECONDS_MAX: u64 = 30;
/// How often everything is made durable: what a power cut may cost.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long the end of capture waits for hashes of the last segments; what is not known by then recovery computes.
const LAST_HASHES: Duration = Duration::from_secs(2);
/// A part of the disk that is never used for audio, so that logs, headers and the rest of the machine keep working.
const RESERVE_PART: u64 = 256;
/// The least of it: what logs and headers need.
const RESERVE_BYTES_MIN: u64 = 128 << 10;
/// The most of it: a terabyte needs no more than a small disk.
const RESERVE_BYTES_MAX: u64 = 64 << 20;

/// Room on a disk that is never used for audio.
pub fn reserve_bytes(space: &disk::Space) -> u64 {
    (space.total_bytes / RESERVE_PART).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX)
}

/// One step of a take's story, in timeline order.
pub enum Op {
    /// A new take begins.
    Open { opened: Box<Opened> },
    /// A take that a crash left open goes on; its log has been made whole.
    Adopt { id: TakeId },
    /// Frames `from..from + frames` of a block belong to the take.
    Audio { id: TakeId, position: Position, block: Arc<Block>, from: usize, frames: usize },
    /// Fifty measured milliseconds of the take.
    Measured { id: TakeId, hop: Arc<Hop> },
    /// All channels miss frames.
    Gap { id: TakeId, gap: Gap },
    /// Anything else that is true from here on.
    Note { id: TakeId, fact: Fact },
    /// The take ends at this frame.
    Close { id: TakeId, frames: u64, reason: CloseReason },
    /// A finished segment's hash is known.
    Hashed { id: TakeId, file: String, sha256: Result<String, String> },
    /// Ends the thread: segments of open takes are completed, and the takes left to the next start.
    Quit,
}

/// What the tape tells the keeper of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapeEvent {
    /// The take is closed, all its segments are hashed, and all that is durable.
    Finished(TakeId),
}

/// State of the tape for operators.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TapeStatus {
    /// Room on the disk of the takes.
    pub free_bytes: u64,
    /// Takes that cannot be written, and why.
    pub starved: BTreeMap<TakeId, GapCause>,
    /// The last thing that failed; empty if nothing did.
    pub last_error: String,
    /// How long the last round of syncing took.
    pub sync_ms: u64,
}

/// What engine and tape know of each other without waiting.
#[derive(Debug, Default)]
pub struct Shared {
    /// Stream frame up to which audio was handed to the disk.
    written_through: AtomicU64,
    /// Audio ops sent and not yet done.
    audio_queued: AtomicU64,
    /// Audio bytes per second of all open takes.
    pub bytes_per_second: AtomicU64,
    status: Mutex<TapeStatus>,
}

impl Shared {
    /// A copy of the tape's state.
    pub fn status(&self) -> TapeStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The engine's handle.
pub struct Tape {
    ops: Sender<Op>,
    /// What both know.
    pub shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Tape {
    /// Starts the threads. Finished takes are told to `events`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(data: DataDir, events: Sender<TapeEvent>) -> std::io::Result<Self> {
        let (ops, queue) = channel();
        let shared = Arc::new(Shared::default());
        let hasher = Hasher::start(ops.clone())?;
        let writer =
            Writer { data, shared: shared.clone(), events, hasher, reels: BTreeMap::new(), tails: BTreeMap::new() };
        let thread = std::thread::Builder::new().name("tape".into()).spawn(move || writer.run(&queue))?;
        Ok(Self { ops, shared, thread: Some(thread) })
    }

    /// A handle whose ops go nowhere but to the receiver, for tests of the engine.
    #[cfg(test)]
    pub fn detached() -> (Self, Receiver<Op>) {
        let (ops, queue) = channel();
        (Self { ops, shared: Arc::default(), thread: None }, queue)
    }

    /// What a tape does that has written everything up to stream frame `frame`, but for one block.
    #[cfg(test)]
    pub fn pretend_written_through(&self, frame: u64) {
        self.shared.audio_queued.store(1, Ordering::Release);
        self.shared.written_through.store(frame, Ordering::Release);
    }

    /// Sends frames of a block. Never waits: see [`Tape::frames_behind`].
    pub fn send_audio(&self, id: TakeId, position: Position, block: Arc<Block>, from: usize, frames: usize) {
        if self.shared.audio_queued.fetch_add(1, Ordering::AcqRel) == 0 {
            self.shared.written_through.store(block.first, Ordering::Release);
        }
        self.send(Op::Audio { id, position, block, from, frames });
    }

    /// How many frames before stream frame `at` the disk is with what it was given; 0 when it has done everything.
    pub fn frames_behind(&self, at: u64) -> u64 {
        match self.shared.audio_queued.load(Ordering::Acquire) {
            0 => 0,
            _ => at.saturating_sub(self.shared.written_through.load(Ordering::Acquire)),
        }
    }

    /// Sends an op. Never waits.
    pub fn send(&self, op: Op) {
        if self.ops.send(op).is_err() {
            // Only when the thread has ended, which it does on `Quit` alone: nothing is recorded then.
            tracing::error!("the tape has ended: nothing is written any more; restart capture");
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.send(Op::Quit);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A closed take whose last hashes are still being computed.
struct Tail {
    log: LogWriter,
    hashes_due: usize,
}

struct Writer {
    data: DataDir,
    shared: Arc<Shared>,
    events: Sender<TapeEvent>,
    hasher: Hasher,
    reels: BTreeMap<TakeId, Reel>,
    tails: BTreeMap<TakeId, Tail>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Op>) {
        let mut next_sync_us = clock::mono_us();
        loop {
            let now_us = clock::mono_us();
            if now_us >= next_sync_us {
                self.sync(now_us);
                next_sync_us = clock::mono_us().max(next_sync_us + SYNC_EVERY.as_micros() as u64);
                continue;
            }
            match queue.recv_timeout(Duration::from_micros(next_sync_us - now_us)) {
                Ok(Op::Quit) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(op) => self.apply(op),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.rest(queue);
    }

    /// The end of capture, on purpose: what is on disk says the truth of itself, and open takes go on with the next start.
    fn rest(&mut self, queue: &Receiver<Op>) {
        let ids: Vec<TakeId> = self.reels.keys().copied().collect();
        for id in ids {
            self.with(id, Reel::rest);
        }
        let give_up_us = clock::mono_us() + LAST_HASHES.as_micros() as u64;
        while self.reels.values().any(|reel| reel.hashes_due() > 0) || !self.tails.is_empty() {
            let wait_us = give_up_us.saturating_sub(clock::mono_us());
            match queue.recv_timeout(Duration::from_micros(wait_us)) {
                Ok(Op::Hashed { id, file, sha256 }) => self.hashed(id, file, sha256),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        for reel in self.reels.values_mut() {
            reel.rest();
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Open { opened } => {
                let folder = self.data.take(opened.id);
                self.reels.insert(opened.id, Reel::begin(folder, *opened));
            }
            Op::Adopt { id } => match Reel::adopt(self.data.take(id)) {
                Ok(reel) => drop(self.reels.insert(id, reel)),
                Err(error) => self.fail(format!("recording {id} cannot go on: {error}")),
            },
            Op::Audio { id, position, block, from, frames } => {
                let end = block.first + (from + frames) as u64;
                self.with(id, |reel| reel.audio(position, &block, from, frames));
                self.shared.written_through.store(end, Ordering::Release);
                self.shared.audio_queued.fetch_sub(1, Ordering::AcqRel);
            }
            Op::Measured { id, hop } => self.with(id, |reel| reel.measured(&hop)),
            Op::Gap { id, gap } => self.with(id, |reel| reel.gap(gap)),
            Op::Note { id, fact } => self.with(id, |reel| reel.note(fact)),
            Op::Close { id, frames, reason } => self.close(id, frames, reason),
            Op::Hashed { id, file, sha256 } => self.hashed(id, file, sha256),
            Op::Quit => {}
        }
    }

    /// Lets a take's reel do something, then sends what it finished to be hashed.
    fn with(&mut self, id: TakeId, act: impl FnOnce(&mut Reel)) {
        let Some(reel) = self.reels.get_mut(&id) else { return };
        act(reel);
        for file in reel.take_finished() {
            self.hasher.hash(id, self.data.take(id).segment(&file), file);
        }
        if let Some(error) = reel.take_error() {
            self.fail(error);
        }
    }

    fn close(&mut self, id: TakeId, frames: u64, reason: CloseReason) {
        self.with(id, |reel| reel.close(frames, reason, clock::wall()));
        if self.reels.get(&id).is_some_and(Reel::is_settled) {
            self.settle(id);
        }
    }

    /// A closed take with all its facts on disk leaves the reels; its log waits for the hashes.
    fn settle(&mut self, id: TakeId) {
        let Some((log, hashes_due)) = self.reels.remove(&id).and_then(Reel::into_log) else { return };
        self.tails.insert(id, Tail { log, hashes_due });
        self.finish_tail(id);
    }

    fn finish_tail(&mut self, id: TakeId) {
        if self.tails.get(&id).is_some_and(|tail| tail.hashes_due == 0) {
            if let Some(tail) = self.tails.remove(&id)
                && let Err(error) = tail.log.sync()
            {
                self.fail(format!("the log of recording {id} cannot be synced: {error}"));
            }
            let _ = self.events.send(TapeEvent::Finished(id));
        }
    }

    fn hashed(&mut self, id: TakeId, file: String, sha256: Result<String, String>) {
        let fact = match sha256 {
            Ok(sha256) => Some(Fact::SegmentHashed { file, sha256 }),
            Err(error) => {
                self.fail(format!("{file} of recording {id} cannot be read back: {error}"));
                None
            }
        };
        if let Some(reel) = self.reels.get_mut(&id) {
            reel.hashed(fact);
            if reel.is_settled() {
                self.settle(id);
            }
        } else if let Some(tail) = self.tails.get_mut(&id) {
            tail.hashes_due = tail.hashes_due.saturating_sub(1);
            let written = fact.map_or(Ok(()), |fact| tail.log.append(&fact));
            self.finish_tail(id);
            if let Err(error) = written {
                self.fail(format!("the log of recording {id} cannot be written: {error}"));
            }
        }
    }

    /// Once a second: everything written becomes durable, takes without room look for some.
    fn sync(&mut self, began_us: u64) {
        let space = disk::space(self.data.path());
        // A disk that does not say how much room it has may still take data; writing tells.
        let (known, reserve) = match &space {
            Ok(space) => (space.free_bytes, reserve_bytes(space)),
            Err(_) => (u64::MAX, RESERVE_BYTES_MIN),
        };
        if let Err(error) = &space {
            self.fail(format!("{} does not say how much room it has: {error}", self.data.path().display()));
        }
        let rate = self.reels.values().map(Reel::bytes_per_second).sum::<u64>();
        // What comes until the next look must fit, too.
        let low = reserve + rate;
        let ids: Vec<TakeId> = self.reels.keys().copied().collect();
        for id in ids {
            self.with(id, |reel| {
                if known < low {
                    reel.starve(GapCause::DiskFull);
                }
                // Room for some seconds more than where it stops, or it would stop and go each second.
                reel.tick(known >= low + 4 * rate);
            });
            if self.reels.get(&id).is_some_and(Reel::is_settled) {
                self.settle(id);
            }
        }
        self.shared.bytes_per_second.store(rate, Ordering::Relaxed);
        let starved = self.reels.iter().filter_map(|(id, reel)| Some((*id, reel.starved_by()?))).collect();
        let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.free_bytes = space.map_or(0, |space| space.free_bytes);
        status.starved = starved;
        status.sync_ms = (clock::mono_us() - began_us) / 1_000;
    }

    fn fail(&self, error: String) {
        tracing::error!("{error}");
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).last_error = error;
    }
}

/// Reads a log and opens it for writing at its end.
///
/// # Errors
/// A sentence: the log is damaged or the disk refused.
fn resume_log(path: &std::path::Path) -> Result<(Log, LogWriter), String> {
    let log = Log::read(path).map_err(|error| error.to_string())?;
    let writer = LogWriter::resume(path, &log).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((log, writer))
}
