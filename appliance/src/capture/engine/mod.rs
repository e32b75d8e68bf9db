//! The engine: keeps the pre-roll, measures every sample, decides what each take gets.
//!
//! It is told of time, blocks and orders and answers with [`Op`]s for the tape; it opens no file and reads no clock, so it
//! is tested with synthetic blocks. All positions are stream frames: JACK's counter unwrapped, continued over restarts of
//! the server, counted from [`STREAM_BEGINS`].

pub mod listeners;
pub mod messages;
pub mod meters;
mod starting;
mod taking;
#[cfg(test)]
mod tests;
pub mod thread;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use jiff::Timestamp;

use self::meters::Meters;
use self::taking::RunningTake;
use super::block::Block;
use super::history::History;
use super::placement::Placement;
use super::ring::{Batch, Period};
use super::tape::{BACKLOG_SECONDS_MAX, Op, Tape};
use crate::domain::take::TakeChannel;
use crate::domain::{ChannelSet, ClockQuality, Fact, GapCause, OrderSet, TakeId};
use crate::sys::clock::Now;

/// Where the stream begins to count: a year before it at 96 kHz has a number too.
pub const STREAM_BEGINS: u64 = 1 << 42;
/// The most things kept for "what happened lately".
const EVENTS_MAX: usize = 100;
/// A server that gives no frames for so many microseconds is not delivering: takes that end meanwhile end by the clock.
const STUCK_US: u64 = 1_000_000;

/// JACK's counter is believed if it is within this much of what the clock says. A synchronous server that was held up by a
/// client has lost seconds against the clock; a counter that misread itself is off by hours.
const COUNTER_SLACK_SECONDS: u64 = 60;

/// What does not change while capture runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seconds of the past that are kept for takes that begin late.
    pub pre_roll_seconds: f64,
    /// Length of a segment.
    pub segment_seconds: f64,
    /// Whether signal facts are measured.
    pub measures: bool,
    /// Pairs of channel numbers to compare.
    pub pairs: Vec<(u16, u16)>,
    /// Zone of the room.
    pub time_zone: String,
    /// Name of the machine.
    pub host: String,
    /// This boot of it.
    pub boot_id: String,
}

/// Something an operator may want to know of the recent past.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// A sentence.
    pub text: String,
}

/// What the engine tells the keeper of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The order's time is over and it was never begun.
    Missed(TakeId),
}

/// A source of frames that is or was connected.
struct Stream {
    rate: u32,
    channels: Vec<TakeChannel>,
    placement: Placement,
    /// Stream frame of the first one: [`STREAM_BEGINS`], or where a stream of another rate ended.
    begins: u64,
    /// Stream frame after the last one received.
    next: u64,
    /// The first stream frame of the connection.
    flows_from: u64,
    /// JACK's counter that belongs to `next`; none until the first block after a (re)connection.
    next_jack: Option<u32>,
    lost_frames: u64,
    /// How far the disk may fall behind: [`BACKLOG_SECONDS_MAX`] and the pre-roll, which is in memory anyway.
    backlog_frames_max: u64,
    is_connected: bool,
    is_freewheel: bool,
    /// Why frames will be missing when the next block comes.
    why_missing: GapCause,
    /// Monotonic time of the last block.
    heard_us: u64,
}

/// See the module.
pub struct Engine {
    settings: Settings,
    tape: Tape,
    outcomes: Sender<Outcome>,
    stream: Option<Stream>,
    /// A server at another rate than that of the open takes: it is heard when they have ended.
    waiting: Option<(u32, Vec<TakeChannel>)>,
    history: History,
    meters: Meters,
    orders: OrderSet,
    takes: BTreeMap<TakeId, RunningTake>,
    /// Orders that are over for this process: closed, missed or refused.
    done: BTreeSet<TakeId>,
    /// Orders whose time has come, but not yet their frames.
    due: BTreeMap<TakeId, starting::Due>,
    /// Per channel: no pre-roll reaches before this stream frame, because it was off the record.
    private_until: Vec<u64>,
    /// Takes a crash left open whose orders still stand; they go on with the first block.
    unfinished: Vec<starting::Unfinished>,
    events: VecDeque<Event>,
    /// How many of the warnings about the disk were given.
    disk_warnings: usize,
    /// Frames lost since the process began, by cause.
    lost: BTreeMap<GapCause, u64>,
}

pub use starting::Unfinished;

impl Engine {
    /// An engine without a stream.
    pub fn new(settings: Settings, tape: Tape, outcomes: Sender<Outcome>) -> Self {
        let mut meters = Meters::default();
        meters.compare(settings.pairs.clone());
        Self {
            settings,
            tape,
            outcomes,
            stream: None,
            waiting: None,
            history: History::default(),
            meters,
            orders: OrderSet::default(),
            takes: BTreeMap::new(),
            done: BTreeSet::new(),
            due: BTreeMap::new(),
            private_until: Vec::new(),
            unfinished: Vec::new(),
            events: VecDeque::new(),
            disk_warnings: 0,
            lost: BTreeMap::new(),
        }
    }

    /// A server delivers from now on.
    pub fn connected(&mut self, rate: u32, channels: Vec<TakeChannel>, now: Now, quality: ClockQuality) {
        let count = channels.len();
        let pre_roll_frames = (self.settings.pre_roll_seconds * f64::from(rate)) as u64;
        self.waiting = None;
        match &mut self.stream {
            Some(stream) if stream.rate == rate => {
                if stream.channels.len() != count {
                    // Blocks of the past have other channels: no pre-roll may reach into them.
                    self.history.clear();
                    self.private_until.resize(count.max(self.private_until.len()), 0);
                }
                stream.is_connected = true;
                stream.next_jack = None;
                stream.lost_frames = 0;
                stream.channels = channels;
            }
            Some(_) if !self.takes.is_empty() => {
                // A take has one rate. Until it is back nothing can be kept, and the meters say so.
                self.tell(
                    now.wall,
                    format!("the audio server came back at {rate} Hz: open recordings wait for their rate"),
                );
                if let Some(stream) = &mut self.stream {
                    stream.is_connected = false;
                    stream.why_missing = GapCause::RateChanged;
                }
                for take in self.takes.values_mut() {
                    take.interrupted(GapCause::RateChanged, &self.tape);
                }
                self.waiting = Some((rate, channels));
                return;
            }
            _ => {
                let begins = self.stream.as_ref().map_or(STREAM_BEGINS, |stream| stream.next);
                self.stream = Some(Stream {
                    rate,
                    channels,
                    placement: Placement::new(rate, begins, now, quality),
                    begins,
                    next: begins,
                    flows_from: begins,
                    next_jack: None,
                    lost_frames: 0,
                    backlog_frames_max: BACKLOG_SECONDS_MAX * u64::from(rate) + pre_roll_frames,
                    is_connected: true,
                    is_freewheel: false,
                    why_missing: GapCause::CaptureDown,
                    heard_us: now.mono_us,
                });
                self.history = History::new(pre_roll_frames);
                self.private_until = vec![0; count];
            }
        }
        self.meters.begin(rate, count, &self.settings);
        self.tell(now.wall, format!("the audio server delivers {count} channels at {rate} Hz"));
    }

    /// The server is gone.
    pub fn disconnected(&mut self, now: Now) {
        self.waiting = None;
        let Some(stream) = &mut self.stream else { return };
        // A server that dies while it runs free leaves real time behind: takes end by the clock again.
        stream.is_freewheel = false;
        if stream.is_connected {
            stream.is_connected = false;
            stream.why_missing = GapCause::JackGone;
            for take in self.takes.values_mut() {
                take.interrupted(GapCause::JackGone, &self.tape);
            }
            self.tell(now.wall, "the audio server is gone: recordings wait for it and go on by themselves".into());
        }
    }

    /// Sources or names of channels changed.
    pub fn ports(&mut self, channels: Vec<TakeChannel>) {
        if let Some(stream) = &mut self.stream
            && stream.channels.len() == channels.len()
        {
            stream.channels = channels;
        }
    }

    /// A run of periods came out of the ring. `jack_minus_mono_us` makes JACK's microseconds monotonic ones. Returns the
    /// block as it stands in the stream, if it does.
    pub fn batch(&mut self, batch: Batch, jack_minus_mono_us: i64, now: Now) -> Option<Arc<Block>> {
        // Frames of a server at another rate belong to no take.
        let stream = self.stream.as_mut().filter(|stream| stream.is_connected)?;
        let Batch { head, mut block } = batch;
        let us = head.usecs.saturating_add_signed(-jack_minus_mono_us);
        let first = stream.place(&head, us);
        if first > stream.next {
            let was_full = head.lost_frames > stream.lost_frames;
            let cause = match stream.next_jack {
                None => stream.why_missing,
                Some(_) if was_full => GapCause::Overload,
                Some(_) => GapCause::Xrun,
            };
            let is_first = stream.next == stream.begins;
            if !is_first {
                block.gap_before = Some(cause);
                *self.lost.entry(cause).or_default() += first - stream.next;
            }
            self.meters.gap();
        }
        stream.lost_frames = head.lost_frames;
        stream.is_freewheel = head.is_freewheel;
        block.first = first;
        block.connected = head.connected;
        block.jack_frame = head.frame_time;
        stream.next = block.end();
        stream.next_jack = Some(head.frame_time.wrapping_add(block.frames() as u32));
        stream.heard_us = now.mono_us;
        if head.is_freewheel {
            stream.placement.observe_freewheel(block.end(), now.mono_us);
        } else {
            stream.placement.observe(first, us);
        }
        let block = Arc::new(block);
        self.take_in(block.clone());
        Some(block)
    }

    /// Gives a block, placed in the stream, to everyone.
    fn take_in(&mut self, block: Arc<Block>) {
        let hops = self.meters.measure(&block);
        self.history.push(block.clone());
        self.adopt_unfinished(&block);
        let Some(stream) = &self.stream else { return };
        for take in self.takes.values_mut() {
            take.deliver(&block, stream, &self.tape);
        }
        for hop in hops {
            for take in self.takes.values().filter(|take| take.wants(&hop)) {
                self.tape.send(Op::Measured { id: take.id(), hop: hop.hop.clone() });
            }
        }
        self.remove_ended();
    }

    /// Time went on: orders fall due, clocks step, a silent server lets takes end by the clock.
    pub fn tick(&mut self, now: Now, quality: ClockQuality) {
        let Some(stream) = &mut self.stream else { return };
        if let Some(step) = stream.placement.look(now, quality) {
            for take in self.takes.values_mut() {
                let frame = take.frame_of(stream.next);
                take.stepped(step.seconds);
                let fact = Fact::ClockStepped { frame, seconds: step.seconds, quality };
                self.tape.send(Op::Note { id: take.id(), fact });
            }
            self.tell(
                now.wall,
                format!("the clock was stepped by {:+.3} s: recordings keep their length", step.seconds),
            );
        }
        self.end_by_clock(now);
        if self.takes.is_empty()
            && let Some((rate, channels)) = self.waiting.take()
        {
            self.connected(rate, channels, now, quality);
        }
        self.start_due(now);
    }

    /// Whether a block beyond the present one is held back by the disk; in freewheel the engine waits then.
    pub fn is_behind(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| self.tape.frames_behind(stream.next) > 2 * u64::from(stream.rate))
    }

    /// Channels that some recording keeps off the record at a stream frame. One that another recording has as well is
    /// among them: who pauses means the room, not a file.
    pub fn off_record(&self, frame: u64) -> ChannelSet {
        let past = self.private_until.iter().copied().enumerate();
        let mut private = ChannelSet::default();
        for (index, until) in self.takes.values().flat_map(RunningTake::private_until).chain(past) {
            if frame < until {
                private.insert(index);
            }
        }
        private
    }

    /// Rate and channels of what is connected, or was last.
    pub fn source(&self) -> Option<(u32, &[TakeChannel])> {
        self.stream.as_ref().map(|stream| (stream.rate, &stream.channels[..]))
    }

    /// Whether the server runs as fast as it can.
    pub fn is_freewheel(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.is_freewheel)
    }

    fn end_by_clock(&mut self, now: Now) {
        let Some(stream) = &self.stream else { return };
        if stream.is_freewheel || !stream.is_silent(now.mono_us) {
            return;
        }
        let frame = stream.placement.frame_at_us(now.mono_us.saturating_sub(STUCK_US));
        for take in self.takes.values_mut() {
            take.end_without_frames(frame, stream, &self.tape);
        }
        self.remove_ended();
    }

    fn remove_ended(&mut self) {
        let ended: Vec<TakeId> = self.takes.values().filter(|take| take.has_ended()).map(RunningTake::id).collect();
        for id in ended {
            if let Some(take) = self.takes.remove(&id) {
                self.keep_private(&take);
            }
            self.done.insert(id);
        }
    }

    /// Remembers what was off the record, so that no later pre-roll reaches into it.
    fn keep_private(&mut self, take: &RunningTake) {
        for (index, frame) in take.private_until() {
            if let Some(until) = self.private_until.get_mut(index) {
                *until = (*until).max(frame);
            }
        }
    }

    fn tell(&mut self, at: Timestamp, text: String) {
        tracing::info!("{text}");
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(Event { at, text });
    }
}

impl Stream {
    /// Whether no frame has come for so long that none is on its way.
    fn is_silent(&self, mono_us: u64) -> bool {
        mono_us >= self.heard_us + STUCK_US
    }

    /// The stream frame at which a run of periods begins.
    fn place(&mut self, head: &Period, us: u64) -> u64 {
        let Some(expected) = self.next_jack else { return self.first_after_connection(us) };
        // The counter wraps at 2^32.
        let step = i64::from(head.frame_time.wrapping_sub(expected) as i32);
        let by_counter = self.next.saturating_add_signed(step.max(0));
        // After an xrun JACK may name a period's time twice: nothing is missing by that.
        let is_named_twice = step < 0 && -step <= i64::from(head.frames);
        if step == 0 || is_named_twice || head.is_freewheel {
            return by_counter;
        }
        let by_clock = self.placement.frame_at_us(us);
        if step > 0 && by_counter.abs_diff(by_clock) <= COUNTER_SLACK_SECONDS * u64::from(self.rate) {
            return by_counter;
        }
        // A counter that went back, or far ahead, counts nothing: the clock says how many frames are missing, to a period.
        if by_clock <= self.next + u64::from(head.frames) {
            return self.next;
        }
        self.first_after_connection(us)
    }

    /// The stream frame of the first block after a connection: by the clock, never before what was already received.
    fn first_after_connection(&mut self, us: u64) -> u64 {
        let is_first = self.next == self.begins;
        let first = if is_first { self.begins } else { self.placement.frame_at_us(us).max(self.next) };
        self.placement.restart(first, us);
        self.flows_from = first;
        first
    }
}
