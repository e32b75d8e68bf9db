//! Which node coordinates: an election by token, probe and claim, without a quorum.
//!
//! Coordinating is a convenience, never ownership of data: two coordinators at once are legal and harmless for whatever
//! merges, and the short list that is not harmless ([`Gated`]) waits for a majority. What holds always: one token
//! names one reign, and who has seen a token obeys none that is lower.
//!
//! No I/O here: the caller brings links, messages, the time of a monotonic clock and the end of each store, and carries
//! out what [`Election::poll_output`] says. `seek` finds a coordinator or becomes it, `follow` keeps a lease, `reign` is
//! the coordinator's side.

mod follow;
mod message;
mod mutant;
mod reign;
mod roster;
mod seek;
mod settings;
mod told;

pub use message::{AWAY_MAX, Away, EPOCH_MAX, Held, MESH_MAX, Message, Token};
pub use mutant::Mutant;
pub use roster::{Member, Mode, Roster};
pub use settings::Settings;
pub use told::{Because, By, Gated, NoHandOver, Role, Standing, Told, Why};

use crate::core::id::NodeId;
use follow::Lease;
use reign::{PastReign, Reign};
use seek::Probing;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages that wait for one store. More are dropped, as a network would.
pub const HELD_BACK_MAX: usize = 1_024;

/// What happens to an election.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// The members of the fleet, all of them. Nothing is done before it was told once.
    Roster(Vec<Member>),
    /// A link to a node is up. The transport has proven who it is.
    Up(NodeId),
    /// A link is gone.
    Down {
        /// To whom.
        node: NodeId,
        /// Whether the other end was heard closing it: its process is gone, there is no lease to wait for.
        was_reset: bool,
    },
    /// A message of an election.
    Heard {
        /// From whom: the link's proven node.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// A frame of another kind that carries a coordinator's token. Given before [`Election::allows`] is asked.
    Carried {
        /// From whom.
        from: NodeId,
        /// In whose reign.
        token: Token,
    },
    /// An [`Output::Store`] is durable.
    Stored(Token),
    /// Whether this node has every entry the coordinator it follows has; told when it changes.
    CaughtUp(bool),
    /// The time [`Election::poll_timeout`] gave has come.
    Tick,
    /// A person hands the role to another node.
    HandOver {
        /// To whom.
        to: NodeId,
    },
    /// An owner takes the role for this node, whoever holds it, and may act without a majority for a time.
    Force,
}

/// What the caller shall do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// Send a message over the link to a node. May be lost.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Make this durable in place of the one before, then give [`Input::Stored`]. Until then the node is silent.
    Store(Token),
    /// What this node is has changed.
    Changed(Role),
    /// Something for the journal and the operator.
    Told(Told),
}

/// One node's part in the election.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Election {
    me: NodeId,
    inc: u32,
    settings: Settings,
    roster: Roster,
    links: BTreeSet<NodeId>,
    /// The greatest token this node knows of: high-water mark for claims *and* fence for commands. They must be one: a
    /// node that kept them apart would claim below a fence it enforces.
    seen: Token,
    stored: Token,
    held_back: VecDeque<(NodeId, Message)>,
    phase: Phase,
    round: u64,
    /// Since when nobody is known to coordinate.
    vacant_since_ms: Option<u64>,
    /// Whose lease ended last: it is not waited for.
    lost: Option<NodeId>,
    is_forcing: bool,
    forced_until_ms: u64,
    is_caught_up: bool,
    /// A yield to us that waits until we have caught up: its end of time, whether a person chose.
    offered: Option<(Token, u64, bool)>,
    past: Option<PastReign>,
    /// Who asks for a coordinator that this node hears seldom, in which of their rounds: answered when it has answered.
    asking: BTreeMap<NodeId, u64>,
    /// Whom the coordinator that is followed does not hear, by its last word.
    away: Option<Away>,
    role: Role,
    now_ms: u64,
    due_ms: Option<u64>,
    outputs: VecDeque<Output>,
    #[cfg(feature = "mutants")]
    second_mark: Token,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    /// Gives links time to come up, so that a restart does not depose who coordinates. Without a roster: no time yet.
    Starting { until_ms: Option<u64> },
    /// Hears nobody; waits before asking.
    Waiting { until_ms: u64 },
    /// Asks everybody in reach.
    Probing(Probing),
    /// Its claim is being made durable.
    Claiming { token: Token, by: By },
    /// Coordinates.
    Reigning(Reign),
    /// Holds a lease.
    Following(Lease),
}

impl Election {
    /// Returns a node's part. `inc` is the incarnation of its memory, `seen` the last token that was durable in it.
    pub fn new(me: NodeId, inc: u32, settings: Settings, seen: Token) -> Self {
        Self {
            me,
            inc,
            settings,
            roster: Roster::default(),
            links: BTreeSet::new(),
            seen,
            stored: seen,
            held_back: VecDeque::new(),
            phase: Phase::Starting { until_ms: None },
            round: 0,
            vacant_since_ms: None,
            lost: None,
            is_forcing: false,
            forced_until_ms: 0,
            is_caught_up: false,
            offered: None,
            past: None,
            asking: BTreeMap::new(),
            away: None,
            role: Role::Bystander,
            now_ms: 0,
            due_ms: None,
            outputs: VecDeque::new(),
            #[cfg(feature = "mutants")]
            second_mark: seen,
        }
    }

    /// Takes in what happened. `now_ms` is of a clock that counts on while the machine sleeps and never goes back.
    pub fn input(&mut self, now_ms: u64, input: Input) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.due_ms.is_some_and(|due| self.now_ms > due + self.settings.late_ms) {
            self.was_held_up();
        }
        match input {
            Input::Roster(members) => self.new_roster(members),
            Input::Up(node) => self.up(node),
            Input::Down { node, was_reset } => self.down(node, was_reset),
            Input::Heard { from, message } => self.hear(from, message),
            Input::Carried { from, token } => self.carried(from, token),
            Input::Stored(token) => self.stored(token),
            Input::CaughtUp(is_caught_up) => self.caught_up(is_caught_up),
            Input::Tick => (),
            Input::HandOver { to } => self.hand_over(to, true),
            Input::Force => self.force(),
        }
        self.advance();
        let role = self.role_now();
        if role != self.role {
            self.role = role;
            self.outputs.push_back(Output::Changed(role));
        }
        self.due_ms = self.deadline().map(|(at_ms, _)| at_ms);
    }

    /// Returns the next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when to give [`Input::Tick`], and what for.
    pub fn poll_timeout(&self) -> Option<(u64, &'static str)> {
        self.deadline()
    }

    /// The fence. Every act that comes with a coordinator's token is checked here, after [`Input::Carried`].
    ///
    /// # Errors
    /// The greatest token seen: greater than the act's (refuse it), or equal but not durable here yet (ask again after
    /// [`Input::Stored`], or let the sender repeat).
    pub fn allows(&self, token: Token) -> Result<(), Token> {
        #[cfg(feature = "mutants")]
        match self.settings.mutant {
            Some(Mutant::NoFence) => return Ok(()),
            Some(Mutant::TwoMarks) if token >= self.second_mark => return Ok(()),
            Some(Mutant::TwoMarks) => return Err(self.second_mark),
            _ => (),
        }
        if token == self.seen && self.seen == self.stored { Ok(()) } else { Err(self.seen) }
    }

    /// Returns whether this node may do, now, what cannot be taken back. Asked again before each such act.
    ///
    /// # Errors
    /// [`Why`] not.
    pub fn may(&self, now_ms: u64, act: Gated) -> Result<(), Why> {
        let Phase::Reigning(reign) = &self.phase else { return Err(Why::NotCoordinator { seen: self.seen }) };
        if let Some(to) = reign.yields_to() {
            return Err(Why::HandingOver { to });
        }
        let now_ms = now_ms.max(self.now_ms);
        let side = self.side(reign, now_ms);
        if self.roster.mode(side.iter().copied()) == Mode::Minority && now_ms >= self.forced_until_ms {
            return Err(Why::Minority { act, followed: side.len(), of: self.roster.len() });
        }
        Ok(())
    }

    /// Returns whether this node coordinates, and it and these are a majority of which every one has followed for so long
    /// that no coordinator before this one still counts it.
    pub fn is_settled_on(&self, now_ms: u64, nodes: &BTreeSet<NodeId>) -> bool {
        let Phase::Reigning(reign) = &self.phase else { return false };
        let longest_ms = self.roster.members().map(|member| self.window_for(member.is_candidate)).max().unwrap_or(0);
        let follows = |node: &NodeId| self.has_followed_for(reign, *node, longest_ms, now_ms.max(self.now_ms));
        nodes.iter().all(follows) && self.roster.mode(nodes.iter().copied().chain([self.me])) != Mode::Minority
    }

    /// Returns what this node is, as of the last input.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns what an operator wants to see.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let followed = match &self.phase {
            Phase::Reigning(reign) => Some(self.side(reign, now_ms.max(self.now_ms)).len()),
            _ => None,
        };
        let is_forced = followed.is_some() && now_ms < self.forced_until_ms;
        Standing {
            role: self.role,
            seen: self.seen,
            followed,
            of: self.roster.len(),
            vacant_since_ms: self.vacant_since_ms,
            forced_until_ms: is_forced.then_some(self.forced_until_ms),
            away: self.away.clone().filter(|_| matches!(self.phase, Phase::Following(_))),
        }
    }

    fn role_now(&self) -> Role {
        match &self.phase {
            Phase::Reigning(reign) => Role::Coordinator {
                token: reign.token,
                since_ms: reign.since_ms,
                mode: self.mode(reign),
                is_handing_over: reign.yields_to().is_some(),
            },
            Phase::Following(lease) => Role::Follower { token: lease.token, via: lease.via },
            _ if self.roster.is_candidate(self.me) => Role::Candidate,
            _ => Role::Bystander,
        }
    }

    /// Does what has come due.
    fn advance(&mut self) {
        match &self.phase {
            Phase::Starting { until_ms } if until_ms.is_some_and(|at| at <= self.now_ms) => self.vacant(),
            Phase::Following(_) => self.keep_lease(),
            Phase::Reigning(_) => self.keep_reign(),
            _ => (),
        }
        // Each of these may lead to the next at once: nobody in reach, no rank to wait for.
        // A probe that is held back would get no answer, and silence is taken for nobody there.
        if self.stored >= self.seen && matches!(self.phase, Phase::Waiting { until_ms } if until_ms <= self.now_ms) {
            self.probe();
        }
        if matches!(&self.phase, Phase::Probing(probing) if self.is_answered(probing)) {
            self.decide();
        }
    }

    fn deadline(&self) -> Option<(u64, &'static str)> {
        match &self.phase {
            Phase::Starting { until_ms } => until_ms.map(|at| (at, "links have had their time")),
            // Due, but for a store: that is what wakes it.
            Phase::Waiting { until_ms } if *until_ms <= self.now_ms => None,
            Phase::Waiting { until_ms } => Some((*until_ms, "better-ranked candidates have had their time")),
            Phase::Probing(probing) => Some((probing.until_ms, "answers to a probe have had their time")),
            Phase::Claiming { .. } => None,
            Phase::Reigning(reign) => Some(reign.deadline()),
            Phase::Following(lease) => Some(self.lease_deadline(lease)),
        }
    }

    fn hear(&mut self, from: NodeId, message: Message) {
        let token = message.token();
        let is_lawful = from != self.me && self.roster.get(from).is_some();
        if !is_lawful || token.is_some_and(|token| token.epoch > EPOCH_MAX) {
            return;
        }
        if let Some(token) = token {
            self.note(from, token);
        }
        match message {
            Message::Heartbeat { token, sent_ms, reigned_ms, away } => {
                self.heartbeat(from, token, sent_ms, reigned_ms, away);
            }
            Message::Followed { token, sent_ms, is_caught_up } => self.followed(from, token, sent_ms, is_caught_up),
            Message::Probe { round, .. } => self.answer(from, round),
            Message::ProbeOk { round, held, .. } => self.answered(from, round, held),
            Message::Yield { token, to, is_chosen } => self.offered(from, token, to, is_chosen),
            Message::Nak { .. } | Message::Unknown => (),
        }
    }

    /// Takes note of a token: if it is the greatest, whoever stood below it falls, here and, told of it, in reach. Two
    /// who follow different reigns have nothing else to say to each other, and both reigns would go on for good.
    fn note(&mut self, from: NodeId, token: Token) {
        if token <= self.seen {
            return;
        }
        self.seen = token;
        self.outputs.push_back(Output::Store(token));
        for node in self.linked_members().into_iter().filter(|node| *node != from && *node != token.node) {
            self.nak(node);
        }
        match &self.phase {
            Phase::Reigning(_) => self.stop_reign(Some(token)),
            Phase::Following(_) | Phase::Claiming { .. } => self.vacant(),
            Phase::Starting { .. } | Phase::Waiting { .. } | Phase::Probing(_) => (),
        }
    }

    fn carried(&mut self, from: NodeId, token: Token) {
        if token.epoch > EPOCH_MAX {
            return;
        }
        #[cfg(feature = "mutants")]
        if self.settings.mutant == Some(Mutant::TwoMarks) {
            self.second_mark = self.second_mark.max(token);
            return;
        }
        self.note(from, token);
        self.nak_if_low(from, token);
    }

    /// Returns whether the token was too low; then its bearer is told.
    fn nak_if_low(&mut self, from: NodeId, token: Token) -> bool {
        let is_low = token < self.seen;
        if is_low {
            self.nak(from);
        }
        is_low
    }

    fn nak(&mut self, to: NodeId) {
        if !self.is_mutant(Mutant::NoNak) {
            self.send(to, Message::Nak { seen: self.seen });
        }
    }

    fn stored(&mut self, token: Token) {
        self.stored = self.stored.max(token);
        if self.stored != self.seen {
            return;
        }
        if let Phase::Claiming { token, by } = self.phase
            && token == self.stored
        {
            self.reign(token, by);
        }
        for (to, message) in std::mem::take(&mut self.held_back) {
            self.send_late(to, message);
        }
    }

    /// Sends what was held back, as it is by now: who asked while our claim was stored shall hear that we reign.
    fn send_late(&mut self, to: NodeId, message: Message) {
        let seen = self.seen;
        let message = match message {
            Message::ProbeOk { round, .. } => Message::ProbeOk { round, seen, held: self.held() },
            Message::Nak { .. } => Message::Nak { seen },
            Message::Followed { token, .. } if token != seen => return,
            other => other,
        };
        self.send(to, message);
    }

    /// Sends, or holds back until what the message may reveal is durable.
    fn send(&mut self, to: NodeId, message: Message) {
        if !self.links.contains(&to) {
            return;
        }
        if self.stored >= self.seen {
            self.outputs.push_back(Output::Send { to, message });
        } else if self.held_back.len() < HELD_BACK_MAX {
            self.held_back.push_back((to, message));
        }
    }

    fn new_roster(&mut self, members: Vec<Member>) {
        self.roster = Roster::new(members);
        let is_known = |node| self.roster.get(node).is_some();
        match &self.phase {
            Phase::Starting { until_ms: None } => {
                let until_ms = Some(self.now_ms + self.settings.lease_ms);
                self.phase = Phase::Starting { until_ms };
                self.start_if_all_are_up();
            }
            Phase::Reigning(_) if !is_known(self.me) => self.stop_reign(None),
            Phase::Claiming { .. } if !is_known(self.me) => self.vacant(),
            Phase::Following(lease) if !is_known(lease.token.node) => self.vacant(),
            _ => (),
        }
    }

    fn up(&mut self, node: NodeId) {
        self.links.insert(node);
        let sooner_ms = self.now_ms + self.rank_wait_ms();
        match &mut self.phase {
            Phase::Starting { .. } => self.start_if_all_are_up(),
            Phase::Waiting { until_ms } => *until_ms = sooner_ms.min(*until_ms),
            Phase::Probing(probing) => {
                let round = probing.round;
                self.ask(node, round);
            }
            Phase::Reigning(_) => self.beat(node),
            Phase::Claiming { .. } | Phase::Following(_) => (),
        }
    }

    fn down(&mut self, node: NodeId, was_reset: bool) {
        self.links.remove(&node);
        self.held_back.retain(|(to, _)| *to != node);
        match &mut self.phase {
            Phase::Following(lease) if lease.is_over_without(node, was_reset) => {
                self.vacant();
                self.wait(self.settings.reset_ms + self.rank_wait_ms());
            }
            Phase::Reigning(reign) => reign.forget(node),
            _ => (),
        }
    }

    fn is_mutant(&self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.settings.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}
