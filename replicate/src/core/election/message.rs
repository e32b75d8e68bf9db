//! What nodes say to each other about who coordinates, and the token all of it turns on.
//!
//! Lives here: the words and their form on the wire (JSON, under `wire`'s election type). Does not: what a node does
//! when it hears them. Times in messages are lengths, or a sender's own clock echoed back to it: no node ever compares
//! its clock with another's.

use crate::core::id::NodeId;
use serde::{Deserialize, Serialize};

/// The greatest epoch anybody may name: what JSON numbers carry exactly. At one election a second it lasts 285 million
/// years, so a greater one is a mistake and its message is dropped.
pub const EPOCH_MAX: u64 = 1 << 53;

/// One reign of one coordinator, and the fence: who has seen a token obeys none that is lower. Tokens are totally
/// ordered by epoch, node, incarnation, and belong to one fleet: a node that joins begins with [`Token::NONE`].
/// Text form: `[epoch,"<node>",inc]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u64, NodeId, u32)", from = "(u64, NodeId, u32)")]
pub struct Token {
    /// Counts from 1. Each claim takes one more than the greatest its node knows of.
    pub epoch: u64,
    /// Who reigns.
    pub node: NodeId,
    /// The incarnation of its memory: a node that forgot which epochs it used cannot use one twice.
    pub inc: u32,
}

impl Token {
    /// Below every claim: nothing was seen yet.
    pub const NONE: Self = Self { epoch: 0, node: NodeId([0; 16]), inc: 0 };
}

impl From<Token> for (u64, NodeId, u32) {
    fn from(token: Token) -> Self {
        (token.epoch, token.node, token.inc)
    }
}

impl From<(u64, NodeId, u32)> for Token {
    fn from((epoch, node, inc): (u64, NodeId, u32)) -> Self {
        Self { epoch, node, inc }
    }
}

/// A lease as a peer holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Held {
    /// From whom.
    pub token: Token,
    /// How long ago the coordinator was heard; 0 if the peer is the coordinator.
    pub age_ms: u64,
    /// How long the reign lasts already.
    pub reigned_ms: u64,
}

/// Members up to which everybody hears everybody. In a larger fleet not all have links, and the coordinator says whom it
/// does not hear.
pub const MESH_MAX: usize = 8;
/// Members that are named as not heard. Of more only the number is told: half of a fleet that is gone is no list.
pub const AWAY_MAX: usize = 32;

/// Members that the coordinator does not hear.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Away {
    /// How many.
    pub count: usize,
    /// Who; the first [`AWAY_MAX`] of them by name.
    pub nodes: Vec<NodeId>,
}

impl Away {
    /// Returns whether a member is heard; nothing if that cannot be told from this.
    pub fn hears(&self, node: NodeId) -> Option<bool> {
        match self.nodes.contains(&node) {
            true => Some(false),
            false => (self.count <= self.nodes.len()).then_some(true),
        }
    }
}

/// What one node tells another. Whatever token is in it, the receiver takes note of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Message {
    /// The coordinator lives. The first one after an election goes to everybody.
    Heartbeat {
        /// Its reign.
        token: Token,
        /// Its clock, to be echoed.
        sent_ms: u64,
        /// How long the reign lasts already.
        reigned_ms: u64,
        /// Whom it does not hear; nothing in a fleet of [`MESH_MAX`], and before all had time to answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        away: Option<Away>,
    },
    /// The answer to a heartbeat that was followed.
    Followed {
        /// Whom.
        token: Token,
        /// The coordinator's clock out of the heartbeat.
        sent_ms: u64,
        /// Whether the follower has every entry the coordinator has.
        is_caught_up: bool,
    },
    /// The answer to a token that is too low; and what who hears of a greater one tells everybody in reach.
    Nak {
        /// What the answering node has seen.
        seen: Token,
    },
    /// Who coordinates? Asked by a node that hears nobody.
    Probe {
        /// Which asking; echoed.
        round: u64,
        /// What the asking node has seen.
        seen: Token,
    },
    /// The answer to a probe.
    ProbeOk {
        /// Which asking it answers.
        round: u64,
        /// What the answering node has seen.
        seen: Token,
        /// The live lease it holds, if any.
        held: Option<Held>,
    },
    /// The coordinator hands over: whom it names may claim the next epoch without asking anybody.
    Yield {
        /// The reign that ends.
        token: Token,
        /// To whom: the receiver.
        to: NodeId,
        /// Whether a person chose it, so that preference does not undo it.
        is_chosen: bool,
    },
    /// A word of a later version. Means nothing here.
    #[serde(other)]
    Unknown,
}

impl Message {
    /// Returns the greatest token this message speaks of.
    pub fn token(&self) -> Option<Token> {
        match self {
            Message::Heartbeat { token, .. } | Message::Followed { token, .. } | Message::Yield { token, .. } => {
                Some(*token)
            }
            Message::Nak { seen } | Message::Probe { seen, .. } => Some(*seen),
            Message::ProbeOk { seen, held, .. } => Some(held.map_or(*seen, |held| held.token.max(*seen))),
            Message::Unknown => None,
        }
    }
}
