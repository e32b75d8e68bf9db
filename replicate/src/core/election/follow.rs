//! A follower's side: the lease of a coordinator, by its own heartbeats or through a peer that has them.
//!
//! A lease counts from when its heartbeat was heard, on the hearer's clock. Through a peer it counts from when the peer
//! was *asked*, less the age the peer gives: never later than the peer heard it. So two nodes that ask each other
//! cannot keep a dead coordinator's lease alive.

use super::{AWAY_MAX, Away, Election, Held, Message, Phase, Token, Told};
use crate::core::id::NodeId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub token: Token,
    /// Through whom; nobody if its own heartbeats come.
    pub via: Option<NodeId>,
    pub heard_ms: u64,
    /// When the reign began.
    pub began_ms: u64,
    /// Whether we were held up since: then it counts double.
    pub is_doubled: bool,
    /// Through a peer: when it was asked last, and in which round.
    pub asked_ms: u64,
    pub round: u64,
}

impl Lease {
    /// Returns whether the end of a link is the end of the lease.
    pub fn is_over_without(&self, node: NodeId, was_reset: bool) -> bool {
        match self.via {
            Some(via) => via == node,
            None => was_reset && self.token.node == node,
        }
    }
}

impl Election {
    pub(super) fn heartbeat(&mut self, from: NodeId, token: Token, sent_ms: u64, reigned_ms: u64, away: Option<Away>) {
        if token.node != from {
            return;
        }
        if self.nak_if_low(from, token) {
            self.overlapped(token, reigned_ms);
            return;
        }
        if self.is_forcing {
            return;
        }
        self.away = away.filter(|away| away.nodes.len() <= AWAY_MAX);
        self.follow(Lease {
            token,
            via: None,
            heard_ms: self.now_ms,
            began_ms: self.now_ms.saturating_sub(reigned_ms),
            is_doubled: false,
            asked_ms: 0,
            round: 0,
        });
        self.send(from, Message::Followed { token, sent_ms, is_caught_up: self.is_caught_up });
    }

    pub(super) fn follow(&mut self, lease: Lease) {
        let is_new = !matches!(&self.phase, Phase::Following(old) if old.token == lease.token);
        self.phase = Phase::Following(lease);
        self.vacant_since_ms = None;
        self.lost = None;
        if !is_new {
            return;
        }
        self.offered = None;
        let Some(past) = self.past.take() else { return };
        let from_ms = past.since_ms.max(lease.began_ms);
        // Less is the race of one election, which its tokens have settled.
        if past.until_ms >= from_ms + self.settings.probe_ms {
            let (ours, theirs, to_ms) = (past.token, lease.token, past.until_ms);
            self.tell(Told::Healed { ours, theirs, from_ms, to_ms });
        }
    }

    /// Follows through a peer that answered a probe.
    pub(super) fn follow_through(&mut self, peer: NodeId, held: Held, asked_ms: u64, round: u64) {
        let heard_ms = asked_ms.saturating_sub(held.age_ms);
        self.away = None;
        self.follow(Lease {
            token: held.token,
            via: (held.token.node != peer).then_some(peer),
            heard_ms,
            began_ms: asked_ms.saturating_sub(held.reigned_ms),
            is_doubled: false,
            asked_ms,
            round,
        });
    }

    /// A peer asks who coordinates.
    pub(super) fn answer(&mut self, from: NodeId, round: u64) {
        match &self.phase {
            // Who relayed to us would not ask if it still had what it relayed.
            Phase::Following(lease) if lease.via == Some(from) => {
                self.lost = Some(lease.token.node);
                self.vacant();
            }
            // Others look for a coordinator already: waiting for links would only hold them up.
            Phase::Starting { until_ms: Some(_) } => self.vacant(),
            Phase::Following(lease) if self.is_rarely_heard(lease) => {
                let is_live = self.now_ms < self.live_until(lease);
                self.ask_for(from, round);
                if !is_live {
                    return;
                }
            }
            _ => (),
        }
        self.tell_held(from, round);
    }

    fn tell_held(&mut self, to: NodeId, round: u64) {
        let (seen, held) = (self.seen, self.held());
        self.send(to, Message::ProbeOk { round, seen, held });
    }

    /// Whether a coordinator speaks to this node so seldom that others, who meet it only here, would take it for lost.
    fn is_rarely_heard(&self, lease: &Lease) -> bool {
        let is_old = self.now_ms >= lease.heard_ms + self.settings.lease_ms / 2;
        let is_direct = lease.via.is_none() && self.links.contains(&lease.token.node);
        is_old && is_direct && !self.roster.is_candidate(self.me)
    }

    /// Asks the coordinator whether it still reigns, for a node that asked us.
    fn ask_for(&mut self, node: NodeId, round: u64) {
        self.asking.insert(node, round);
        self.round += 1;
        let (asked_ms, round) = (self.now_ms, self.round);
        let Phase::Following(lease) = &mut self.phase else { return };
        (lease.asked_ms, lease.round) = (asked_ms, round);
        let coordinator = lease.token.node;
        self.ask(coordinator, round);
    }

    /// Tells those who asked what is known by now.
    pub(super) fn tell_asking(&mut self) {
        for (node, round) in std::mem::take(&mut self.asking) {
            self.tell_held(node, round);
        }
    }

    /// A peer has answered who coordinates.
    pub(super) fn answered(&mut self, from: NodeId, round: u64, held: Option<Held>) {
        // A lease of ours is of a reign we do not remember: nobody reigns by it. A lower one fell when we told `seen`.
        let held = held.filter(|held| held.token == self.seen && held.token.node != self.me);
        match &mut self.phase {
            Phase::Probing(probing) if probing.round == round => {
                probing.answers.insert(from, held);
            }
            Phase::Following(lease)
                if lease.via.unwrap_or(lease.token.node) == from && lease.round == round && round > 0 =>
            {
                match held {
                    Some(held) if held.token == lease.token => {
                        let heard_ms = lease.asked_ms.saturating_sub(held.age_ms);
                        lease.is_doubled &= heard_ms <= lease.heard_ms;
                        lease.heard_ms = lease.heard_ms.max(heard_ms);
                        self.tell_asking();
                    }
                    _ => self.vacant(),
                }
            }
            _ => (),
        }
    }

    /// Returns the live lease of this node, its own reign included.
    pub(super) fn held(&self) -> Option<Held> {
        match &self.phase {
            Phase::Reigning(reign) => {
                let reigned_ms = self.now_ms.saturating_sub(reign.since_ms);
                Some(Held { token: reign.token, age_ms: 0, reigned_ms })
            }
            Phase::Following(lease) if self.now_ms < self.live_until(lease) => {
                let age_ms = self.now_ms.saturating_sub(lease.heard_ms);
                let reigned_ms = self.now_ms.saturating_sub(lease.began_ms);
                Some(Held { token: lease.token, age_ms, reigned_ms })
            }
            _ => None,
        }
    }

    /// Lets the lease end, or asks the peer it comes through.
    pub(super) fn keep_lease(&mut self) {
        let Phase::Following(lease) = &self.phase else { return };
        let lease = *lease;
        if self.lapses_at(&lease) <= self.now_ms {
            self.lost = Some(lease.token.node);
            self.vacant();
        } else if let Some(via) = lease.via
            && lease.asked_ms + self.beat_of(self.me) <= self.now_ms
        {
            self.round += 1;
            let (asked_ms, round) = (self.now_ms, self.round);
            self.phase = Phase::Following(Lease { asked_ms, round, ..lease });
            self.ask(via, round);
        }
    }

    pub(super) fn lease_deadline(&self, lease: &Lease) -> (u64, &'static str) {
        let lapse = (self.lapses_at(lease), "the lease of the coordinator ends");
        let next_ms = self.now_ms + self.settings.heartbeat_ms;
        // A follower that sleeps until its lease ends could not tell that it was held up on the way.
        let watch = (next_ms, "a look at whether we are held up");
        let relay = lease.via.map(|_| (lease.asked_ms + self.beat_of(self.me), "the relay is asked again"));
        let watch = self.roster.is_candidate(self.me).then_some(watch);
        [Some(lapse), relay, watch].into_iter().flatten().min().unwrap_or(lapse)
    }

    /// This node itself was held up: what it did not hear meanwhile says nothing about others.
    pub(super) fn was_held_up(&mut self) {
        if let Phase::Following(lease) = &mut self.phase {
            lease.is_doubled = true;
        }
    }

    fn live_until(&self, lease: &Lease) -> u64 {
        let times = if lease.is_doubled { 2 } else { 1 };
        lease.heard_ms + self.settings.lease_ms * times
    }

    /// Who hears heartbeats seldom, in a large fleet every 5 s, keeps its coordinator in mind over one that is lost. It does
    /// not call that a live lease when others ask.
    fn lapses_at(&self, lease: &Lease) -> u64 {
        let live_until = self.live_until(lease);
        let is_candidate = self.roster.is_candidate(self.me);
        if is_candidate { live_until } else { live_until + 2 * self.settings.heartbeat_others_ms }
    }
}
