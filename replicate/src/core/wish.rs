//! Which logs a node keeps a copy of, of all that there are.
//!
//! A keeper wants every log. Another node wants whole streams ([`KEPT_BY_ALL`]), and of the others its own node's logs only: what it writes it has anyway, and after its memory was lost it gets its past back. Lives here: the question
//! whether a log is wanted. Does not: who is a keeper, which is the user's to say.

use crate::core::id::{LogId, NodeId, Stream};

/// The streams of which every node keeps every log: who may do what, and what people decide.
pub const KEPT_BY_ALL: [Stream; 2] = [Stream::Sec, Stream::Cfg];

/// Which logs a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// By stream, whether every node's logs.
    all: [bool; 4],
    /// The node whose logs are wanted in the other streams.
    node: NodeId,
}

impl Default for Wish {
    fn default() -> Self {
        Self::ALL
    }
}

impl Wish {
    /// Everything.
    pub const ALL: Self = Self { all: [true; 4], node: NodeId([0; 16]) };

    /// Returns the wish of a node that wants every log of these streams, and its own of all.
    pub fn of(node: NodeId, streams: &[Stream]) -> Self {
        Self { all: Stream::ALL.map(|stream| streams.contains(&stream)), node }
    }

    /// Whether a log is wanted.
    pub fn covers(&self, log: LogId) -> bool {
        self.all[usize::from(log.stream.number())] || log.node == self.node
    }

    /// Whether every log is.
    pub fn is_all(&self) -> bool {
        self.all == [true; 4]
    }
}
