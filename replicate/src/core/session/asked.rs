//! Members that are asked before the floor moves, by what the sessions with them know.
//!
//! Lives here: what all of them have, and the most that one has. Does not: who is asked, and who may ask (`net`); where the
//! floor goes (`core::floor::advance`).

use super::Session;
use crate::core::election::Token;
use crate::core::exchange::Records;
use crate::core::floor::advance::{self, Barrier};
use crate::core::floor::{STREAMS, Standing};
use crate::core::id::{LogId, NodeId};
use crate::core::message::{ENDS, FLOOR};
use crate::core::view::Unreadable;
use std::collections::{BTreeMap, BTreeSet};

/// Members and the sessions with them.
#[derive(Debug)]
pub struct Asked<'a>(BTreeMap<NodeId, &'a Session>);

impl<'a> FromIterator<(NodeId, &'a Session)> for Asked<'a> {
    fn from_iter<I: IntoIterator<Item = (NodeId, &'a Session)>>(sessions: I) -> Self {
        Self(sessions.into_iter().collect())
    }
}

impl Asked<'_> {
    /// Returns who they are.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.0.keys().copied().collect()
    }

    /// Whether each knows what a floor is, and is far enough with its own for the next to be said: see
    /// [`advance::is_ready`].
    pub fn are_ready(&self, own: Option<&Standing>, is_first: bool) -> bool {
        let is_ready = |session: &&Session| advance::is_ready(own, session.peer_stands(), is_first);
        self.0.values().all(|session| session.peer_says(FLOOR) && is_ready(session))
    }

    /// Whether by now all have what one of them, or this node, had at the last look: see [`Barrier::passed`].
    ///
    /// # Errors
    /// [`Unreadable`] from the records.
    pub fn pass(&self, barrier: &mut Barrier, reign: Token, records: &impl Records) -> Result<bool, Unreadable> {
        let mut ours = BTreeMap::new();
        for stream in STREAMS {
            let marks = records.vector(stream)?.into_iter();
            ours.extend(marks.map(|((node, inc), mark)| (LogId { stream, node, inc }, mark.seq)));
        }
        let mut most = ours.clone();
        for (log, seq) in
            self.0.values().flat_map(|session| STREAMS.map(|stream| session.known.ahead(stream))).flatten()
        {
            let end = most.entry(log).or_default();
            *end = seq.max(*end);
        }
        let has = |log| self.least(|_, session| session.passes(log)).min(ours.get(&log).copied().unwrap_or(0));
        Ok(barrier.passed(reign, self.nodes(), most, has))
    }

    /// Returns up to where all who keep a log are known to have it durably. One that cannot be brought together is known to
    /// nobody. Who does not keep a log takes its end as it is told; but for who is `to_keep` it and does not yet, and for an
    /// older build, it stays where it is.
    pub fn know(&self, log: LogId, to_keep: impl Fn(NodeId) -> bool) -> u64 {
        self.least(|node, session| match session.known.is_kept(log) {
            true if !session.known.is_left_alone(log) => session.known.theirs(log),
            false if session.peer_says(ENDS) && !to_keep(node) => u64::MAX,
            _ => 0,
        })
    }

    /// Returns the greatest number of a floor that one of them is at.
    pub fn floor_number(&self) -> u64 {
        let stands = self.0.values().filter_map(|session| session.peer_stands());
        stands.map(|theirs| theirs.floor.number).max().unwrap_or(0)
    }

    fn least(&self, of: impl Fn(NodeId, &Session) -> u64) -> u64 {
        self.0.iter().map(|(node, session)| of(*node, session)).min().unwrap_or(u64::MAX)
    }
}

impl Session {
    /// Up to where the peer has a log, for the barrier: what it does not keep, and what is forked, holds nothing up.
    fn passes(&self, log: LogId) -> u64 {
        let is_asked = self.known.is_followed(log) && !self.known.is_left_alone(log);
        if is_asked { self.known.theirs(log) } else { u64::MAX }
    }
}
