//! Finding a coordinator, or becoming it: wait by rank, ask everybody, claim.
//!
//! A claim is made only if no better-ranked candidate answers and nobody in reach holds a live lease: a link cut one
//! way, or a node that two others cannot both reach, shall not depose who is well.

use super::{By, EPOCH_MAX, Election, Held, Message, Mutant, Output, Phase, Token};
use crate::core::id::NodeId;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Probing {
    pub round: u64,
    pub since_ms: u64,
    pub until_ms: u64,
    pub answers: BTreeMap<NodeId, Option<Held>>,
}

impl Election {
    /// Nobody is known to coordinate from here on.
    pub(super) fn vacant(&mut self) {
        self.vacant_since_ms.get_or_insert(self.now_ms);
        self.offered = None;
        self.wait(self.rank_wait_ms());
        self.tell_asking();
    }

    /// At a start: with a link to everybody there is nothing to wait for.
    pub(super) fn start_if_all_are_up(&mut self) {
        let is_starting = matches!(self.phase, Phase::Starting { until_ms: Some(_) });
        let is_up = |node: NodeId| node == self.me || self.links.contains(&node);
        if is_starting && self.roster.members().all(|member| is_up(member.node)) {
            self.vacant();
        }
    }

    /// Returns how long better-ranked candidates in reach are given.
    pub(super) fn rank_wait_ms(&self) -> u64 {
        if self.is_forcing || !self.roster.is_candidate(self.me) {
            return 0;
        }
        let others = self.links.iter().copied().filter(|node| Some(*node) != self.lost);
        self.roster.rank(self.me, others).min(self.settings.rank_max) * self.settings.rank_step_ms
    }

    /// Asks everybody in reach.
    pub(super) fn probe(&mut self) {
        self.round += 1;
        let (round, since_ms) = (self.round, self.now_ms);
        let until_ms = since_ms + self.settings.probe_ms;
        self.phase = Phase::Probing(Probing { round, since_ms, until_ms, answers: BTreeMap::new() });
        if self.is_mutant(Mutant::NoProbe) {
            return self.decide();
        }
        for node in self.linked_members() {
            self.ask(node, round);
        }
    }

    pub(super) fn ask(&mut self, node: NodeId, round: u64) {
        self.send(node, Message::Probe { round, seen: self.seen });
    }

    /// Returns whether there is nothing more to wait for.
    pub(super) fn is_answered(&self, probing: &Probing) -> bool {
        let have_all = || self.linked_members().iter().all(|node| probing.answers.contains_key(node));
        probing.until_ms <= self.now_ms || have_all()
    }

    pub(super) fn decide(&mut self) {
        let Phase::Probing(probing) = &self.phase else { return };
        let probing = probing.clone();
        if self.is_forcing {
            return self.claim(self.seen.epoch + 1, By::Force);
        }
        let held = probing.answers.iter().filter_map(|(peer, held)| Some((*peer, (*held)?)));
        // A later answer may have spoken of a greater token: then the lease of an earlier one has fallen.
        let held = held.filter(|(_, held)| held.token == self.seen);
        if let Some((peer, held)) = held.min_by_key(|(_, held)| held.age_ms) {
            // By our count it may be over while the peer's runs on, for instance doubled. It will not be long.
            let is_over = probing.since_ms + self.settings.lease_ms <= self.now_ms + held.age_ms;
            if is_over && self.roster.is_candidate(self.me) {
                return self.wait(self.settings.rank_step_ms);
            }
            return self.follow_through(peer, held, probing.since_ms, probing.round);
        }
        if !self.roster.is_candidate(self.me) {
            return self.wait(self.settings.heartbeat_others_ms);
        }
        let vacant_since_ms = self.vacant_since_ms.unwrap_or(self.now_ms);
        let has_better = probing.answers.keys().any(|node| self.roster.is_better(*node, self.me));
        if has_better && self.now_ms < vacant_since_ms + self.settings.patience_ms {
            return self.wait(self.settings.probe_ms + 2 * self.settings.rank_step_ms);
        }
        let kept_until_ms = vacant_since_ms + self.settings.pinned_ms;
        if self.roster.pinned_other_than(self.me).is_some() && self.now_ms < kept_until_ms {
            return self.wait(self.settings.lease_ms.min(kept_until_ms - self.now_ms));
        }
        self.claim(self.seen.epoch + 1, By::Vacancy);
    }

    /// Claims an epoch: durable first, announced when [`super::Input::Stored`] says so.
    pub(super) fn claim(&mut self, epoch: u64, by: By) {
        if epoch > EPOCH_MAX {
            return self.wait(self.settings.heartbeat_others_ms);
        }
        let token = Token { epoch, node: self.me, inc: self.inc };
        self.seen = token;
        self.offered = None;
        self.outputs.push_back(Output::Store(token));
        self.phase = Phase::Claiming { token, by };
        if self.is_mutant(Mutant::ClaimBeforeStore) {
            self.stored(token);
        }
    }

    /// The coordinator hands over to us.
    pub(super) fn offered(&mut self, from: NodeId, token: Token, to: NodeId, is_chosen: bool) {
        let is_ours = to == self.me && token.node == from && self.roster.is_candidate(self.me);
        if self.nak_if_low(from, token) || !is_ours || self.is_forcing {
            return;
        }
        self.offered = Some((token, self.now_ms + self.settings.hand_over_ms, is_chosen));
        self.take_offer();
    }

    pub(super) fn caught_up(&mut self, is_caught_up: bool) {
        self.is_caught_up = is_caught_up;
        self.take_offer();
    }

    /// Claims what was offered, without asking anybody: who reigns wants it so. Not before everything it did is here.
    fn take_offer(&mut self) {
        let Some((token, until_ms, is_chosen)) = self.offered else { return };
        if self.is_caught_up && token == self.seen && self.now_ms < until_ms {
            let by = if is_chosen { By::HandOver } else { By::Preference };
            self.claim(token.epoch + 1, by);
        }
    }

    pub(super) fn wait(&mut self, for_ms: u64) {
        self.phase = Phase::Waiting { until_ms: self.now_ms + for_ms };
    }

    pub(super) fn linked_members(&self) -> Vec<NodeId> {
        self.links.iter().copied().filter(|node| self.roster.get(*node).is_some()).collect()
    }
}
