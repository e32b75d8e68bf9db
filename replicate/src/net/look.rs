//! What is shown of a hub: a snapshot that its thread puts here and everybody may read.

use super::Traffic;
use crate::core::election::{self, Role, Token};
use crate::core::entry::Moment;
use crate::core::floor::Stage;
use crate::core::id::{NodeId, Origin};
use crate::core::session::{Lag, Offset};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Who is out of step for less is not called behind: every act is, for some milliseconds.
pub const BEHIND_AFTER_MS: u64 = 3_000;

/// How a hub stands. Times in milliseconds are those of [`Moment::mono`]; `at` maps them to wall time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which node this is.
    pub me: NodeId,
    /// When this was so.
    pub at: Moment,
    /// The election, as of then: role, since when, mode, the greatest token seen.
    pub election: election::Standing,
    /// Nodes there is a link to, as far as they have said hello or are about to.
    pub peers: BTreeMap<NodeId, Peer>,
    /// Links, of which there may be two to a node for a moment.
    pub links: usize,
    /// All that went over links, closed ones included.
    pub traffic: Traffic,
    /// The floor.
    pub floor: FloorLook,
    /// Whether it keeps every log by now: see [`Hub::keep`](super::Hub::keep).
    pub keeps_all: bool,
}

/// How a node stands to the floor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FloorLook {
    /// Which it is at; 0 if there is none.
    pub number: u64,
    /// How far it is with it. While it is being filled it does not have all records yet.
    pub stage: Option<Stage>,
    /// It was away for so long that it is below the floor: it hands on what nobody else has, and then begins anew.
    pub is_below: bool,
    /// Why this node did not move it when it last looked; nothing if that is another's to do, or it did.
    pub waits: Option<FloorWait>,
}

/// What the next move of the floor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorWait {
    /// A majority that follows this node, and this node's own last move.
    Majority,
    /// A member that is not lapsed, or, after memory was lost, any: there is no link to it.
    Member(NodeId),
    /// All who are asked: one is not done with the last one, or follows since too short a time.
    Members,
    /// All who are asked are to have what one of them had at the last look.
    Barrier,
    /// More entries.
    Entries {
        /// So many would leave.
        gained: u64,
        /// Of so many that are worth it.
        of: u64,
    },
    /// The records: they cannot be read now, or a move is under way.
    Records,
}

/// How the link to a node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Since when the link is up.
    pub since_ms: u64,
    /// Whether it was we who dialled.
    pub is_dialled_by_us: bool,
    /// What it is doing.
    pub state: PeerState,
    /// Which program the peer is, by its own word.
    pub build: String,
    /// Under what name the peer writes.
    pub origin: Option<Origin>,
    /// What there is to send and to receive, by stream in the order of [`crate::core::id::Stream::ALL`].
    pub lag: [Lag; 4],
    /// Since when there has been something on its way at every look: only that is behind, less is a fleet at work.
    pub behind_since_ms: Option<u64>,
    /// Logs that cannot be brought further on this link.
    pub left_alone: usize,
    /// When the peer was last heard.
    pub heard_ms: u64,
    /// How far its clock is from ours.
    pub offset: Option<Offset>,
    /// What went over this link.
    pub traffic: Traffic,
}

impl Peer {
    /// Whether, as far as this link knows, nothing is on its way in either direction.
    pub fn is_in_step(&self) -> bool {
        self.state != PeerState::Greeting && self.lag.iter().all(|lag| lag.to_send == 0 && lag.to_receive == 0)
    }
}

/// What a link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It is up, and hellos are under way.
    Greeting,
    /// The two speak.
    Talking,
    /// The peer takes less than there is: it is told of nothing new until it has caught up with what waits.
    Slow,
}

impl Standing {
    /// Whether a person would see no difference, but for counts and times.
    fn looks_like(&self, other: &Standing) -> bool {
        let is_late = |standing: &Standing, peer: &Peer| {
            peer.behind_since_ms.is_some_and(|since| standing.at.mono.saturating_sub(since) > BEHIND_AFTER_MS)
        };
        let is_like = |((node, peer), (other_node, theirs)): ((&NodeId, &Peer), (&NodeId, &Peer))| {
            let entries = |peer: &Peer| (peer.traffic.entries_out, peer.traffic.entries_in);
            let seen = |peer: &Peer| (peer.since_ms, peer.state, peer.origin, peer.lag, peer.left_alone, entries(peer));
            node == other_node && seen(peer) == seen(theirs) && is_late(self, peer) == is_late(other, theirs)
        };
        self.election == other.election
            && self.peers.len() == other.peers.len()
            && self.links == other.links
            && self.floor == other.floor
            && self.keeps_all == other.keeps_all
            && self.peers.iter().zip(&other.peers).all(is_like)
    }
}

pub struct Looks {
    standing: Mutex<Arc<Standing>>,
    changed: watch::Sender<u64>,
}

impl Looks {
    pub fn new(me: NodeId, seen: Token, at: Moment) -> Self {
        let role = Role::Bystander;
        let election = election::Standing {
            role,
            seen,
            followed: None,
            of: 0,
            vacant_since_ms: None,
            forced_until_ms: None,
            away: None,
        };
        let (traffic, floor) = (Traffic::default(), FloorLook::default());
        let standing =
            Standing { me, at, election, peers: BTreeMap::new(), links: 0, traffic, floor, keeps_all: false };
        Self { standing: Mutex::new(Arc::new(standing)), changed: watch::Sender::new(0) }
    }

    pub fn get(&self) -> Arc<Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub fn set(&self, mut standing: Standing) {
        let mut slot = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        for (node, peer) in standing.peers.iter_mut().filter(|(_, peer)| !peer.is_in_step()) {
            let before = slot.peers.get(node).and_then(|peer| peer.behind_since_ms);
            peer.behind_since_ms = before.or(Some(standing.at.mono));
        }
        let is_other = !standing.looks_like(&slot);
        *slot = Arc::new(standing);
        drop(slot);
        if is_other {
            self.changed.send_modify(|count| *count += 1);
        }
    }
}
