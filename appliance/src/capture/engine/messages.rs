//! What the other threads tell the engine and ask of it.

use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};

use super::Unfinished;
use super::listeners::Listening;
use super::taking::Edge;
use crate::capture::ring::Drain;
use crate::capture::status::Status;
use crate::domain::take::TakeChannel;
use crate::domain::{Channels, OrderSet, TakeId};

/// An answer: a sentence when it cannot be.
pub type Answer<T> = Sender<Result<T, String>>;

/// A message to the engine's thread.
pub enum Message {
    /// A server delivers through this ring.
    Connected { rate: u32, channels: Vec<TakeChannel>, drain: Drain, jack_minus_mono_us: i64 },
    /// The server is gone.
    Disconnected,
    /// Sources or names of channels changed.
    Ports(Vec<TakeChannel>),
    /// The complete set of orders.
    Orders(OrderSet),
    /// Takes a crash left open.
    Adopt(Vec<Unfinished>),
    /// Ends a running take at a monotonic time; answers whether it was running.
    Stop { id: TakeId, mono_us: u64, answer: Sender<bool> },
    /// Something happens to a running take at a monotonic time; answers with the take's frame.
    Edge { id: TakeId, mono_us: u64, edge: EdgeKind, answer: Answer<u64> },
    /// Asks for the state of everything.
    Status(Sender<Status>),
    /// Wants meter frames, as JSON lines. A subscriber that does not keep up misses frames.
    Meters(SyncSender<Arc<str>>),
    /// Wants the audio of these channels. A listener that does not keep up misses blocks.
    Listen { channels: Channels, answer: Answer<Listening> },
    /// Ends the thread.
    Quit,
}

/// What may happen to a running take.
pub type EdgeKind = Edge;
