//! One link between two nodes, from hello to close: what is said when, without a wire.
//!
//! Each side says hello, tells how far it has come in each stream it wants, and from then on sends what the other lacks:
//! `sec` before `cfg` before `own` before `jrn`, within the other's credit. A batch is acknowledged after it is durable.
//! Lives here: the life of a link. The parts: `greeting` (who is there), `known` (what the peer has), `sending`,
//! `receiving`, `time` (are you there, what time is it). Does not: who else there is, when to dial, what entries mean.
//! `floor` (who is below it, who is filled).
//! It may assume that messages arrive in order or the link is closed, and that the transport has proven who the peer is.
//! Entries wait in the logs, never here: a slow peer costs a vector, not a queue.

pub mod asked;
mod floor;
mod greeting;
mod known;
mod receiving;
mod sending;
mod time;

pub use self::greeting::Reason;
pub use self::known::LOGS_MAX;
pub use self::sending::BATCHES_MAX;
pub use self::time::Offset;

use self::floor::Below;
use self::known::Known;
use self::receiving::Receiving;
use self::sending::Sending;
use self::time::Times;
use crate::core::election::{self, Token};
use crate::core::entry::Quality;
use crate::core::exchange::{Applied, Records};
use crate::core::floor::fill::Kept;
use crate::core::floor::{Floor, FloorName};
use crate::core::id::{BootId, LogId, NodeId, Origin, Position, Stream};
use crate::core::message::{Cause, FLOOR, FleetId, FloorWord, Hello, Message, Time};
use crate::core::view::Unreadable;
use crate::core::wish::Wish;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Outputs that wait to be taken; a transport that lets more gather has lost its peer, and the link is closed.
pub const OUTPUTS_MAX: usize = 4096;

/// What this node says of itself.
#[derive(Debug, Clone)]
pub struct Me {
    /// Its fleet.
    pub fleet: FleetId,
    /// Under what name it writes.
    pub origin: Origin,
    /// Its run since power on.
    pub boot: BootId,
    /// Which program it is, for people.
    pub build: String,
    /// Kinds of records its schema declares, with their versions.
    pub kinds: BTreeMap<String, u32>,
    /// What it can do beyond the protocol.
    pub features: Vec<String>,
    /// Streams of which it wants every log; of the others it wants its own node's. It sends what the peer wants, whatever it
    /// wants itself.
    pub wants: Vec<Stream>,
    /// The greatest token it has seen.
    pub seen: Token,
    /// Its wall clock.
    pub clock: Clock,
}

/// A node's wall clock as seen from its monotonic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Unix time in milliseconds when `now_ms` was 0.
    pub wall_at_zero_ms: i64,
    /// How good that is.
    pub q: Quality,
}

impl Clock {
    /// Returns the wall time at a moment.
    pub const fn at(&self, now_ms: u64) -> Time {
        Time { wall: self.wall_at_zero_ms.saturating_add_unsigned(now_ms), q: self.q }
    }
}

/// How long a session waits, in milliseconds. What bounds its memory are constants: both sides must know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From opening to the peer's hello.
    pub hello_ms: u64,
    /// Without a word of the peer's after which we ask for one.
    pub ping_ms: u64,
    /// Without a word of the peer's after which the link is closed.
    pub silence_ms: u64,
    /// How long one batch may hold the line.
    pub chunk_ms: u64,
    /// After a batch that the peer could not keep, the first wait; it doubles.
    pub retry_ms: u64,
    /// The longest such wait.
    pub retry_max_ms: u64,
    /// How often in a row a log may be refused before it is left alone until the next hello.
    pub refusals_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello_ms: 5_000,
            ping_ms: 5_000,
            silence_ms: 15_000,
            chunk_ms: 50,
            retry_ms: 100,
            retry_max_ms: 10_000,
            refusals_max: 3,
        }
    }
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The transport is up, and has proven who the peer is.
    Opened {
        /// Who.
        peer: NodeId,
    },
    /// The peer said something.
    Heard(Message),
    /// What became of a batch: durable, or not and why.
    Applied {
        /// Its number in [`Output::Apply`].
        batch: u64,
        /// The outcome. An error means that nothing of it is known to be kept; it will be sent again.
        applied: Result<Applied, String>,
    },
    /// Our logs have grown, durably.
    Changed {
        /// Which; empty if that is not known.
        logs: Vec<LogId>,
    },
    /// We have begun to be filled at the floor that the peer offered: it may send.
    Fill(FloorName),
    /// Our wall clock was set.
    Clock(Clock),
    /// To be said to the peer, once hellos are exchanged; dropped before.
    Say(election::Message),
    /// Two nodes use the peer's name: it is to be told, so that it stops writing.
    Doubled,
    /// Time has passed.
    Tick,
    /// The transport is down.
    Closed,
}

/// What a session wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send(Message),
    /// Let these join their logs, durably, in this order, then give [`Input::Applied`].
    Apply {
        /// The peer's number.
        batch: u64,
        /// The stream of all of them.
        stream: Stream,
        /// The entries.
        entries: Vec<Arc<[u8]>>,
        /// If they are what the peer kept below the floor, at which we are being filled.
        kept: Option<Kept>,
        /// Whether somebody's access may change: not to be kept waiting for company.
        is_urgent: bool,
    },
    /// Something that others should know.
    Told(Told),
    /// Close the transport. Nothing comes after this.
    Close(Reason),
}

/// What a session tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The peer is who it should be, and speaks with us.
    Hello(Box<Hello>),
    /// What the peer says of the coordinator.
    Election(election::Message),
    /// Here and there a place has different content: two writers use one name. The log is left alone.
    Fork {
        /// The place, or the last place that both know.
        at: Position,
    },
    /// Two nodes speak under one name and incarnation. Their logs are left alone. If it is our own name, nothing more
    /// should be written under it.
    Clone {
        /// The node.
        node: NodeId,
        /// The incarnation.
        inc: u32,
    },
    /// The peer remembers more of us than we do: we must go on under the next incarnation.
    OurOwnFuture {
        /// The last place the peer has.
        at: Position,
    },
    /// We are below the peer's floor. It takes what it lacks and sends nothing: once it has all, we have to begin anew.
    BelowFloor {
        /// The peer's floor.
        floor: FloorName,
    },
    /// The peer is below our floor.
    PeerBelowFloor,
    /// We have nothing of what the peer's floor is about and can begin with what it has kept: answer with
    /// [`Input::Fill`] when that is kept.
    Offered(Arc<Floor>),
    /// A log cannot be brought further on this link; it is tried again after the next hello.
    LeftAlone {
        /// The log.
        log: LogId,
        /// Why.
        why: Cause,
    },
    /// A batch was not kept, here or at the peer. It is sent again.
    NotKept {
        /// Its stream.
        stream: Stream,
        /// Whether it was the peer that could not keep it.
        is_at_peer: bool,
        /// Why.
        why: String,
    },
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    /// Since when the transport is up.
    Greeting(u64),
    Talking,
    Closed,
}

/// How far two nodes are apart in one stream, in entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Whether the peer has told how far it has come.
    pub is_known: bool,
    /// What the peer is not known to have durably, of what it keeps.
    pub to_send: u64,
    /// What we know the peer has and we have not, of what we keep.
    pub to_receive: u64,
}

/// What a session knows, for people and for those who choose among links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The peer's hello, once accepted.
    pub hello: Option<Arc<Hello>>,
    /// The protocol spoken; 0 before.
    pub proto: u32,
    /// When the peer was last heard.
    pub heard_ms: u64,
    /// By stream, in the order of [`Stream::ALL`].
    pub lag: [Lag; 4],
    /// Logs left alone.
    pub left_alone: usize,
    /// Bytes of entries sent and not acknowledged.
    pub under_way: u64,
    /// What may be, as the peer says and as we wish.
    pub window: (u64, u64),
    /// Bytes of entries received and not durable.
    pub applying: u64,
    /// How far the peer's clock is from ours.
    pub offset: Option<Offset>,
    /// Entries sent since opening.
    pub sent: u64,
    /// Entries received since opening.
    pub received: u64,
}

/// One link, from hello to close.
#[derive(Debug)]
pub struct Session {
    me: Me,
    limits: Limits,
    phase: Phase,
    peer: Option<NodeId>,
    hello: Option<Arc<Hello>>,
    proto: u32,
    known: Known,
    sending: Sending,
    receiving: Receiving,
    below: Below,
    times: Times,
    outputs: VecDeque<Output>,
}

impl Session {
    /// Begins.
    pub fn new(me: Me, limits: Limits) -> Self {
        let sending = Sending::new(&limits);
        let known = Known::new(Wish::of(me.origin.node, &me.wants));
        Self {
            me,
            limits,
            phase: Phase::New,
            peer: None,
            hello: None,
            proto: 0,
            known,
            sending,
            receiving: Receiving::default(),
            below: Below::default(),
            times: Times::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happened. `now_ms` is monotonic.
    ///
    /// # Errors
    /// [`Unreadable`] from the records: the session cannot go on and is to be dropped with its link.
    pub fn input(&mut self, now_ms: u64, input: Input, records: &impl Records) -> Result<(), Unreadable> {
        match (self.phase, input) {
            (Phase::Closed, _) => return Ok(()),
            (_, Input::Closed) => self.phase = Phase::Closed,
            (Phase::New, Input::Opened { peer }) => self.opened(now_ms, peer, records)?,
            (_, Input::Clock(clock)) => self.me.clock = clock,
            (Phase::Greeting(_), Input::Heard(Message::Hello(hello))) => self.greeted(now_ms, hello, records)?,
            (Phase::Greeting(_), Input::Heard(_)) => self.close(Reason::NoHello),
            (Phase::Talking, Input::Heard(message)) => {
                self.times.heard_ms = now_ms;
                self.heard(now_ms, message, records)?;
            }
            (Phase::Talking, Input::Applied { batch, applied }) => self.applied(now_ms, batch, applied, records)?,
            (Phase::Talking, Input::Changed { logs }) => self.changed(&logs, records)?,
            (Phase::Talking, Input::Say(message)) => self.say(Message::Election(message)),
            (Phase::Talking, Input::Doubled) => self.warn(),
            (Phase::Talking, Input::Fill(floor)) => self.say(Message::Floor(FloorWord::Fill(floor))),
            (_, Input::Opened { .. } | Input::Heard(_) | Input::Applied { .. })
            | (_, Input::Changed { .. } | Input::Say(_) | Input::Doubled | Input::Fill(_) | Input::Tick) => {}
        }
        self.watch(now_ms);
        if self.phase == Phase::Talking {
            self.look_at_floor(records)?;
            self.send_what_is_lacking(now_ms, records)?;
        }
        Ok(())
    }

    /// Returns the next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns why the session has closed, if it has: known before all that comes before [`Output::Close`] is taken.
    pub fn closed_for(&self) -> Option<&Reason> {
        match self.outputs.back() {
            Some(Output::Close(reason)) => Some(reason),
            Some(Output::Send(_) | Output::Apply { .. } | Output::Told(_)) | None => None,
        }
    }

    /// Returns when [`Input::Tick`] is due, and for what.
    pub fn poll_timeout(&self) -> Option<(u64, &'static str)> {
        match self.phase {
            Phase::New | Phase::Closed => None,
            Phase::Greeting(since_ms) => Some((since_ms + self.limits.hello_ms, "the peer's hello")),
            Phase::Talking => {
                let silence = (self.times.heard_ms + self.limits.silence_ms, "a word of the peer");
                let ping = (self.ping_at_ms(), "asking whether the peer is there");
                let retry = self.sending.retry_at_ms().map(|at_ms| (at_ms, "sending again what was not kept"));
                [Some(silence), Some(ping), retry].into_iter().flatten().min()
            }
        }
    }

    /// Returns what is known of the link.
    pub fn state(&self) -> State {
        let lag = Stream::ALL.map(|stream| self.known.lag(stream));
        State {
            hello: self.hello.clone(),
            proto: self.proto,
            heard_ms: self.times.heard_ms,
            lag,
            left_alone: self.known.left_alone(),
            under_way: self.sending.flow.under_way(),
            window: self.sending.flow.limits(),
            applying: self.receiving.flow.waiting(),
            offset: self.times.offset,
            sent: self.sending.entries,
            received: self.receiving.entries,
        }
    }

    /// Returns up to where the peer is known to have a log durably: whether an act is saved on two boxes.
    pub fn peer_has(&self, log: LogId) -> u64 {
        self.known.theirs(log)
    }

    fn heard(&mut self, now_ms: u64, message: Message, records: &impl Records) -> Result<(), Unreadable> {
        match message {
            Message::Hello(_) => self.close(Reason::Breach("a second hello")),
            Message::Vector(part) => self.heard_vector(&part, records)?,
            Message::Batch(batch) => self.heard_batch(now_ms, batch, records)?,
            Message::Ack(ack) => self.heard_ack(now_ms, &ack),
            Message::Nak(nak) => self.heard_nak(now_ms, nak, records)?,
            Message::Floor(word) => self.heard_floor(word, records)?,
            Message::Election(message) => self.tell(Told::Election(message)),
            Message::Ping(ping) => self.heard_ping(now_ms, ping),
            Message::Pong(pong) => self.heard_pong(now_ms, pong),
            Message::Unknown { .. } => {}
        }
        Ok(())
    }

    /// Looks at what time brings: a peer that does not say hello, or nothing at all.
    fn watch(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Greeting(since_ms) if now_ms >= since_ms + self.limits.hello_ms => self.close(Reason::NoHello),
            Phase::Talking if now_ms >= self.times.heard_ms + self.limits.silence_ms => {
                self.close(Reason::Silent { for_ms: now_ms - self.times.heard_ms });
            }
            Phase::Talking if now_ms >= self.ping_at_ms() => self.ping(now_ms),
            Phase::New | Phase::Greeting(_) | Phase::Talking | Phase::Closed => {}
        }
    }

    fn ping_at_ms(&self) -> u64 {
        self.times.heard_ms.max(self.times.pinged_ms) + self.limits.ping_ms
    }

    fn say(&mut self, message: Message) {
        // An older build would only skip it.
        if matches!(message, Message::Floor(_)) && !self.peer_says(FLOOR) {
            return;
        }
        self.emit(Output::Send(message));
    }

    /// Whether the peer said a feature.
    fn peer_says(&self, feature: &str) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.has(feature))
    }

    fn tell(&mut self, told: Told) {
        self.emit(Output::Told(told));
    }

    fn emit(&mut self, output: Output) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.outputs.len() >= OUTPUTS_MAX {
            return self.close(Reason::NotTaken);
        }
        self.outputs.push_back(output);
    }

    fn close(&mut self, reason: Reason) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.outputs.push_back(Output::Close(reason));
        }
    }
}
