//! The coordinator's side: heartbeats, who follows, handing over, giving back, and the story of two reigns at once.

use super::{
    AWAY_MAX, Away, Because, By, Election, MESH_MAX, Member, Message, Mode, NoHandOver, Output, Phase, Token, Told,
};
use crate::core::id::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Overlaps told in one reign. Later ones of the same reign stay untold here; the other side tells them.
const OVERLAPS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Reign {
    pub token: Token,
    pub since_ms: u64,
    by: By,
    next_ms: u64,
    next_others_ms: u64,
    acks: BTreeMap<NodeId, Ack>,
    yielding: Option<Yielding>,
    overlaps: BTreeSet<Token>,
}

/// A follower's last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ack {
    /// When the heartbeat it answers was *sent*: the follower's lease ends no sooner after this than ours of it.
    sent_ms: u64,
    /// Since when it answers without a break.
    since_ms: u64,
    is_caught_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Yielding {
    to: NodeId,
    until_ms: u64,
}

/// A reign of ours that ended, until it is known whether another ran beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PastReign {
    pub token: Token,
    pub since_ms: u64,
    pub until_ms: u64,
}

impl Reign {
    pub fn yields_to(&self) -> Option<NodeId> {
        self.yielding.map(|yielding| yielding.to)
    }

    pub fn deadline(&self) -> (u64, &'static str) {
        let beat = (self.next_ms.min(self.next_others_ms), "a heartbeat is due");
        let claim = self.yielding.map(|yielding| (yielding.until_ms, "the successor has had its time to claim"));
        claim.map_or(beat, |claim| claim.min(beat))
    }

    /// The link to a node is gone.
    pub fn forget(&mut self, node: NodeId) {
        self.acks.remove(&node);
        if let Some(yielding) = self.yielding.as_mut().filter(|yielding| yielding.to == node) {
            yielding.until_ms = 0;
        }
    }
}

#[cfg(feature = "mutants")]
impl Reign {
    /// See [`Election::rebase`].
    pub fn rebase(&mut self, earlier: impl Fn(&mut u64), floor_ms: u64) {
        self.since_ms = floor_ms;
        earlier(&mut self.next_ms);
        earlier(&mut self.next_others_ms);
        if let Some(yielding) = &mut self.yielding {
            earlier(&mut yielding.until_ms);
        }
        for ack in self.acks.values_mut() {
            earlier(&mut ack.sent_ms);
            earlier(&mut ack.since_ms);
        }
    }
}

impl Election {
    /// Begins the reign whose token is durable.
    pub(super) fn reign(&mut self, token: Token, by: By) {
        let at_ms = self.now_ms;
        // A large fleet is told soon who has not answered.
        let soon_ms = self.answers_ms().min(self.others_ms());
        self.phase = Phase::Reigning(Reign {
            token,
            since_ms: at_ms,
            by,
            next_ms: at_ms + self.settings.heartbeat_ms,
            next_others_ms: at_ms + soon_ms,
            acks: BTreeMap::new(),
            yielding: None,
            overlaps: BTreeSet::new(),
        });
        self.vacant_since_ms = None;
        self.lost = None;
        self.past = None;
        self.tell(Told::Elected { token, at_ms, by });
        if std::mem::take(&mut self.is_forcing) {
            self.tell(Told::Forced { token, at_ms, until_ms: self.forced_until_ms });
        }
        self.beat_all(&self.linked_members());
    }

    /// Stops at once. `greater`: for whom.
    pub(super) fn stop_reign(&mut self, greater: Option<Token>) {
        let Phase::Reigning(reign) = &self.phase else { return };
        let (token, since_ms, at_ms) = (reign.token, reign.since_ms, self.now_ms);
        let because = match greater {
            Some(greater) if reign.yields_to() == Some(greater.node) => Because::HandedOver(greater),
            Some(greater) => Because::Greater(greater),
            None => Because::NotAMember,
        };
        self.past = Some(PastReign { token, since_ms, until_ms: at_ms });
        self.forced_until_ms = 0;
        self.tell(Told::Lost { token, since_ms, at_ms, because });
        self.vacant();
    }

    pub(super) fn force(&mut self) {
        if self.roster.get(self.me).is_none() {
            return;
        }
        self.forced_until_ms = self.now_ms + self.settings.forced_ms;
        match &self.phase {
            Phase::Reigning(reign) => {
                let (token, at_ms, until_ms) = (reign.token, self.now_ms, self.forced_until_ms);
                self.tell(Told::Forced { token, at_ms, until_ms });
            }
            Phase::Claiming { .. } => self.is_forcing = true,
            _ => {
                self.is_forcing = true;
                self.wait(0);
            }
        }
    }

    /// Sends a heartbeat.
    pub(super) fn beat(&mut self, to: NodeId) {
        self.beat_all(&[to]);
    }

    /// Sends a heartbeat to each of these that is a member.
    fn beat_all(&mut self, nodes: &[NodeId]) {
        let Phase::Reigning(reign) = &self.phase else { return };
        let (token, sent_ms) = (reign.token, self.now_ms);
        let reigned_ms = self.now_ms.saturating_sub(reign.since_ms);
        let away = self.away_from(reign);
        for to in nodes.iter().filter(|to| self.roster.get(**to).is_some()).copied().collect::<Vec<_>>() {
            self.send(to, Message::Heartbeat { token, sent_ms, reigned_ms, away: away.clone() });
        }
    }

    /// Whom this coordinator does not hear, for those who have no link to everybody.
    fn away_from(&self, reign: &Reign) -> Option<Away> {
        if self.roster.len() <= MESH_MAX || self.now_ms < reign.since_ms + self.answers_ms() {
            return None;
        }
        let following: BTreeSet<NodeId> = self.following(reign).map(|member| member.node).collect();
        let members = self.roster.members().map(|member| member.node);
        let mut nodes: Vec<NodeId> = members.filter(|node| !following.contains(node)).collect();
        let count = nodes.len();
        nodes.truncate(AWAY_MAX);
        Some(Away { count, nodes })
    }

    /// How long after its first heartbeat a coordinator does not yet say who has not answered.
    fn answers_ms(&self) -> u64 {
        2 * self.settings.heartbeat_ms
    }

    /// The members that follow, this node included: as [`Election::side`] says, without a set and without looking
    /// anything up. It is asked at each answer to each heartbeat.
    fn following<'a>(&'a self, reign: &'a Reign) -> impl Iterator<Item = &'a Member> {
        let mut acks = reign.acks.iter().peekable();
        self.roster.members().filter(move |member| {
            while acks.next_if(|(node, _)| **node < member.node).is_some() {}
            let ack = acks.peek().filter(|(node, _)| **node == member.node);
            let is_fresh = ack.is_some_and(|(_, ack)| self.now_ms < ack.sent_ms + self.window_for(member.is_candidate));
            member.node == self.me || is_fresh
        })
    }

    /// What the side that follows is.
    pub(super) fn mode(&self, reign: &Reign) -> Mode {
        self.roster.mode_of(self.following(reign))
    }

    /// A follower has answered a heartbeat.
    pub(super) fn followed(&mut self, from: NodeId, token: Token, sent_ms: u64, is_caught_up: bool) {
        let (now_ms, window_ms) = (self.now_ms, self.window_of(from));
        let Phase::Reigning(reign) = &mut self.phase else { return };
        if token != reign.token || sent_ms < reign.since_ms || sent_ms > now_ms {
            return;
        }
        let before = reign.acks.get(&from).filter(|ack| now_ms < ack.sent_ms + window_ms);
        let since_ms = before.map_or(now_ms, |ack| ack.since_ms);
        let sent_ms = before.map_or(sent_ms, |ack| ack.sent_ms.max(sent_ms));
        reign.acks.insert(from, Ack { sent_ms, since_ms, is_caught_up });
    }

    /// Returns who follows, this node included.
    pub(super) fn side(&self, reign: &Reign, now_ms: u64) -> BTreeSet<NodeId> {
        let is_fresh = |(node, ack): &(&NodeId, &Ack)| now_ms < ack.sent_ms + self.window_of(**node);
        let followers = reign.acks.iter().filter(is_fresh).map(|(node, _)| *node);
        let members = followers.filter(|node| self.roster.get(*node).is_some());
        members.chain([self.me]).collect()
    }

    /// Returns whether a node follows, and has for so long.
    pub(super) fn has_followed_for(&self, reign: &Reign, node: NodeId, for_ms: u64, now_ms: u64) -> bool {
        let has = |ack: &Ack| now_ms < ack.sent_ms + self.window_of(node) && ack.since_ms + for_ms <= now_ms;
        reign.acks.get(&node).is_some_and(has)
    }

    pub(super) fn keep_reign(&mut self) {
        let others_ms = self.others_ms();
        let Phase::Reigning(reign) = &mut self.phase else { return };
        if let Some(yielding) = reign.yielding.filter(|yielding| yielding.until_ms <= self.now_ms) {
            return self.reclaim(yielding.to);
        }
        let (is_due, are_others_due) = (reign.next_ms <= self.now_ms, reign.next_others_ms <= self.now_ms);
        // It is asked at each answer to each heartbeat.
        if !is_due && !are_others_due {
            return;
        }
        if is_due {
            reign.next_ms = self.now_ms + self.settings.heartbeat_ms;
        }
        if are_others_due {
            reign.next_others_ms = self.now_ms + others_ms;
        }
        let mut due = self.linked_members();
        due.retain(|node| if self.roster.is_candidate(*node) { is_due } else { are_others_due });
        self.beat_all(&due);
        if is_due && let Some(to) = self.preferred() {
            self.hand_over(to, false);
        }
    }

    /// Begins to hand over. Heartbeats go on, so that nobody else takes what lies between the two.
    pub(super) fn hand_over(&mut self, to: NodeId, is_chosen: bool) {
        let until_ms = self.now_ms + self.settings.hand_over_ms;
        let is_candidate = to != self.me && self.roster.is_candidate(to);
        let is_in_reach = matches!(&self.phase, Phase::Reigning(reign) if self.side(reign, self.now_ms).contains(&to));
        let why = match &mut self.phase {
            Phase::Reigning(reign) if reign.yielding.is_some() => NoHandOver::UnderWay,
            Phase::Reigning(_) if !is_candidate => NoHandOver::NotACandidate,
            Phase::Reigning(_) if !is_in_reach => NoHandOver::NotInReach,
            Phase::Reigning(reign) => {
                reign.yielding = Some(Yielding { to, until_ms });
                let token = reign.token;
                return self.send(to, Message::Yield { token, to, is_chosen });
            }
            _ => NoHandOver::NotCoordinator,
        };
        self.tell(Told::NotHandedOver { to, at_ms: self.now_ms, why });
    }

    /// Nobody took what was handed over: goes on, above whatever the other may still claim.
    fn reclaim(&mut self, to: NodeId) {
        let Phase::Reigning(reign) = &self.phase else { return };
        let (token, since_ms, at_ms) = (reign.token, reign.since_ms, self.now_ms);
        self.tell(Told::NotHandedOver { to, at_ms, why: NoHandOver::NoClaim });
        self.tell(Told::Lost { token, since_ms, at_ms, because: Because::Reclaimed });
        self.claim(token.epoch + 2, By::Reclaim);
    }

    /// Returns the node that should have the role and is ready for it. What a person chose is not undone.
    fn preferred(&self) -> Option<NodeId> {
        let Phase::Reigning(reign) = &self.phase else { return None };
        if reign.yielding.is_some() || matches!(reign.by, By::HandOver | By::Force) {
            return None;
        }
        let is_ready = |node: &NodeId| {
            let ready_at = |ack: &Ack| ack.since_ms + self.settings.prefer_ms;
            reign.acks.get(node).is_some_and(|ack| ack.is_caught_up && ready_at(ack) <= self.now_ms)
        };
        let side = self.side(reign, self.now_ms);
        let better = side.into_iter().filter(|node| self.roster.is_better(*node, self.me)).filter(is_ready);
        better.min_by_key(|node| self.roster.rank(*node, self.roster.members().map(|member| member.node)))
    }

    /// Another coordinator was heard, with a lower token: two reigned at once.
    pub(super) fn overlapped(&mut self, theirs: Token, reigned_ms: u64) {
        let Phase::Reigning(reign) = &mut self.phase else { return };
        let from_ms = reign.since_ms.max(self.now_ms.saturating_sub(reigned_ms));
        let is_split = self.now_ms >= from_ms + self.settings.probe_ms;
        if is_split && reign.overlaps.len() < OVERLAPS_MAX && reign.overlaps.insert(theirs) {
            let (ours, to_ms) = (reign.token, self.now_ms);
            self.tell(Told::Healed { ours, theirs, from_ms, to_ms });
        }
    }

    pub(super) fn tell(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    /// Returns how often a node is sent heartbeats, and asks for them itself.
    pub(super) fn beat_of(&self, node: NodeId) -> u64 {
        let is_candidate = self.roster.is_candidate(node);
        if is_candidate { self.settings.heartbeat_ms } else { self.others_ms() }
    }

    /// Returns how often those are sent heartbeats that are no candidates.
    fn others_ms(&self) -> u64 {
        self.settings.others_ms(self.roster.len())
    }

    /// Returns how long a follower's answer counts: a candidate's as long as its lease. The others' longer by a
    /// heartbeat; for that time two halves of a fleet may both count one of them, and only the fence tells them apart.
    fn window_of(&self, node: NodeId) -> u64 {
        self.window_for(self.roster.is_candidate(node))
    }

    pub(super) fn window_for(&self, is_candidate: bool) -> u64 {
        let extra_ms = if is_candidate { 0 } else { self.others_ms() };
        self.settings.lease_ms + extra_ms
    }
}
