//! What others see of an election: the role, the standing, what is allowed, and the history for the journal.
//!
//! Times are of the clock the caller gives; the caller maps them to wall time.

use super::{Away, Mode, Token};
use crate::core::id::NodeId;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It coordinates.
    Coordinator {
        /// Its reign; goes with every act.
        token: Token,
        /// When it began.
        since_ms: u64,
        /// How much of the fleet follows.
        mode: Mode,
        /// It waits for its successor and gives no more orders.
        is_handing_over: bool,
    },
    /// It follows one.
    Follower {
        /// Whom.
        token: Token,
        /// Through whom, if there is no link that carries its heartbeats.
        via: Option<NodeId>,
    },
    /// It knows of none and may become it.
    Candidate,
    /// It knows of none and may not.
    Bystander,
}

/// What an operator wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing {
    /// What this node is.
    pub role: Role,
    /// The greatest token it knows of.
    pub seen: Token,
    /// If it coordinates: how many nodes follow, itself included.
    pub followed: Option<usize>,
    /// How many nodes the fleet has.
    pub of: usize,
    /// Since when nobody is known to coordinate.
    pub vacant_since_ms: Option<u64>,
    /// If it coordinates: until when it may act without a majority.
    pub forced_until_ms: Option<u64>,
    /// Whom the coordinator does not hear, by its own word; nothing if this node coordinates, or was not told.
    pub away: Option<Away>,
}

/// Acts that cannot be taken back, so that two halves of a fleet must not both do them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gated {
    /// Forget what everybody is believed to know.
    AdvanceFloor,
    /// Take a node out of the fleet for good.
    RetireNode,
    /// Give the fleet another key.
    RotateFleetKey,
    /// Decide who holds a name only one can hold.
    RatifyUnique,
    /// Delete recordings for good.
    PurgeRecordings,
    /// Let the fleet use what only its newer versions understand.
    RaiseLevel,
}

/// Why a gated act has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Why {
    /// Another node coordinates, or none.
    #[error("this node does not coordinate the fleet")]
    NotCoordinator {
        /// The greatest token known.
        seen: Token,
    },
    /// The role is being handed over.
    #[error("the role of coordinator is being handed over")]
    HandingOver {
        /// To whom.
        to: NodeId,
    },
    /// Too few nodes follow.
    #[error("only {followed} of {of} nodes are in reach: less than the majority")]
    Minority {
        /// What has to wait.
        act: Gated,
        /// How many nodes follow, this one included.
        followed: usize,
        /// How many there are.
        of: usize,
    },
}

/// How a reign came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// Nobody coordinated.
    Vacancy,
    /// A person handed it over.
    HandOver,
    /// It was given back to a preferred node.
    Preference,
    /// Its hand-over was not taken up.
    Reclaim,
    /// An owner took it.
    Force,
}

/// Why a reign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// Another reign was heard of.
    Greater(Token),
    /// The successor has taken over.
    HandedOver(Token),
    /// The roster does not have this node any more.
    NotAMember,
    /// It goes on under a greater token, since its hand-over was not taken up.
    Reclaimed,
}

/// Why a hand-over did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoHandOver {
    /// This node does not coordinate.
    NotCoordinator,
    /// One is under way.
    UnderWay,
    /// The other may not coordinate.
    NotACandidate,
    /// The other does not follow us.
    NotInReach,
    /// The other did not claim in time: it is gone, or has not caught up.
    NoClaim,
}

/// History.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// This node coordinates from now on.
    Elected {
        /// The reign.
        token: Token,
        /// When it began.
        at_ms: u64,
        /// How it came about.
        by: By,
    },
    /// It does no more.
    Lost {
        /// The reign.
        token: Token,
        /// When it began.
        since_ms: u64,
        /// When it ended.
        at_ms: u64,
        /// Why.
        because: Because,
    },
    /// Two coordinated at the same time and now one does. Both may tell it: the pair of tokens makes it one event.
    Healed {
        /// This node's reign.
        ours: Token,
        /// The other.
        theirs: Token,
        /// Since when both reigned.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// A hand-over did not happen.
    NotHandedOver {
        /// To whom.
        to: NodeId,
        /// When it was given up.
        at_ms: u64,
        /// Why.
        why: NoHandOver,
    },
    /// An owner allowed this coordinator to act without a majority.
    Forced {
        /// The reign.
        token: Token,
        /// Since when.
        at_ms: u64,
        /// Until when.
        until_ms: u64,
    },
}
