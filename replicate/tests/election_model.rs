//! The real `Election`, checked by stateright over orders of messages, losses, cuts, crashes, new cards and ends of
//! leases, breadth first up to a number of states, and proof that the check sees five known bugs. The sixth, `NoNak`,
//! needs two coordinators with one bridge between them: `tests/election.rs`.
//!
//! Time is abstract: a node's clock stands until it wakes, then jumps to its deadline and is set back, so a state has no
//! history of times. Assumed: a lease does not end while its coordinator reigns and is connected; a store takes less
//! time than answers are waited for; asking and answering who coordinates is one step. `tests/election.rs` takes these
//! apart. The network is a set and leaves out `Followed` but for hand-overs: no majorities and no duplicates here.

use replicate::core::election::{Election, Input, Member, Message, Mutant, Output, Role, Settings, Token, Told};
use replicate::core::id::NodeId;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::hash_map::{DefaultHasher, HashMap};
use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Mutex;

/// What every clock shows between two steps.
const NOW_MS: u64 = 1_000_000;
/// Times longer ago than this are all the same.
const LONG_AGO_MS: u64 = NOW_MS - 12_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Machine {
    election: Option<Election>,
    inc: u32,
    durable: Token,
    /// A claim on its way to the disk.
    storing: Option<Token>,
    obeyed: Token,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Packet {
    Say(Message),
    Order(Token),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fleet {
    machines: Vec<Machine>,
    net: BTreeSet<(usize, usize, Packet)>,
    /// Bit of each pair that is cut: see [`pair`].
    cut: u8,
    reigns: BTreeSet<Token>,
    has_two_reigns_of_one_token: bool,
    has_obeyed_lower: bool,
    has_duel: bool,
    crashes: u8,
    flashes: u8,
    cuts: u8,
    hand_overs: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Act {
    Deliver(usize, usize, Packet),
    Lose(usize, usize, Packet),
    Wake(usize),
    Stored(usize),
    Crash(usize),
    Restart(usize),
    Flash(usize),
    Cut(u8),
    HandOver(usize, usize),
}

struct Bounds {
    nodes: usize,
    epochs: u64,
    crashes: u8,
    flashes: u8,
    cuts: u8,
    hand_overs: u8,
    packets: usize,
    mutant: Option<Mutant>,
    healed: Mutex<HashMap<u64, bool>>,
}

fn name(at: usize) -> NodeId {
    NodeId::from_u128(at as u128 + 1)
}

fn place(node: NodeId) -> usize {
    u128::from_be_bytes(node.0) as usize - 1
}

/// The bit of a pair: 0-1, 0-2, 1-2.
fn pair(a: usize, b: usize) -> u8 {
    1 << (a + b - 1)
}

impl Fleet {
    fn is_up(&self, at: usize) -> bool {
        self.machines[at].election.is_some()
    }

    fn connects(&self, a: usize, b: usize) -> bool {
        a != b && self.cut & pair(a, b) == 0 && self.is_up(a) && self.is_up(b)
    }

    fn reign(&self, at: usize) -> Option<Token> {
        match self.machines[at].election.as_ref()?.role() {
            Role::Coordinator { token, .. } => Some(token),
            _ => None,
        }
    }

    fn follows(&self, at: usize) -> Option<(Token, Option<NodeId>)> {
        match self.machines[at].election.as_ref()?.role() {
            Role::Follower { token, via } => Some((token, via)),
            _ => None,
        }
    }

    /// Gives a node its input, and carries out all that follows at once.
    fn input(&mut self, at: usize, now_ms: u64, input: Input) {
        self.inputs(at, now_ms, VecDeque::from([(at, now_ms, input)]));
    }

    /// Gives several inputs at once: what the first makes a node send is heard after the last.
    fn inputs(&mut self, at: usize, now_ms: u64, mut inputs: VecDeque<(usize, u64, Input)>) {
        let was_reigning = self.reign(at).is_some();
        let is_yield = |input: &Input| matches!(input, Input::Heard { message: Message::Yield { .. }, .. });
        let is_yield = inputs.iter().any(|(_, _, input)| is_yield(input));
        // Who asks hears all its answers before anybody else begins to ask.
        let mut asking = VecDeque::new();
        while let Some((to, to_ms, input)) = inputs.pop_front().or_else(|| asking.pop_front()) {
            let Some(election) = &mut self.machines[to].election else { continue };
            election.input(to_ms, input);
            let outputs: Vec<Output> = std::iter::from_fn(|| election.poll_output()).collect();
            for output in outputs {
                match output {
                    Output::Send { to: other, message } => {
                        let other = place(other);
                        let is_question = matches!(message, Message::Probe { .. });
                        let is_asking = is_question || matches!(message, Message::ProbeOk { .. });
                        if !self.connects(to, other) {
                        } else if is_asking {
                            let other_ms = if other == at { now_ms } else { NOW_MS };
                            let queue = if is_question { &mut asking } else { &mut inputs };
                            queue.push_back((other, other_ms, Input::Heard { from: name(to), message }));
                        } else if !matches!(message, Message::Followed { .. }) {
                            self.net.insert((to, other, Packet::Say(timeless(message))));
                        }
                    }
                    // A token of its own that reigned before is one it hears of, not a claim.
                    Output::Store(token) if place(token.node) == to && !self.reigns.contains(&token) => {
                        self.machines[to].storing = Some(token);
                        let is_takeover = to == at && (was_reigning || is_yield);
                        self.has_duel |= !is_takeover && self.is_duel(to);
                    }
                    Output::Store(token) => {
                        self.machines[to].durable = token;
                        self.machines[to].storing = None;
                        inputs.push_front((to, to_ms, Input::Stored(token)));
                    }
                    Output::Told(Told::Elected { token, .. }) => {
                        self.has_two_reigns_of_one_token |= !self.reigns.insert(token);
                    }
                    Output::Told(_) | Output::Changed(_) => (),
                }
            }
        }
        for machine in &mut self.machines {
            if let Some(election) = &mut machine.election {
                election.rebase(0, LONG_AGO_MS);
            }
        }
        if let Some(election) = &mut self.machines[at].election {
            election.rebase(now_ms - NOW_MS, LONG_AGO_MS);
        }
    }

    /// Whether a claim of this node is against one who reigns and whom it, or a neighbour, is connected with.
    fn is_duel(&self, at: usize) -> bool {
        let others = || (0..self.machines.len()).filter(move |other| *other != at);
        let has_follower = |of: usize, token| {
            others()
                .any(|via| self.connects(at, via) && self.connects(via, of) && self.follows(via) == Some((token, None)))
        };
        others().any(|of| self.reign(of).is_some_and(|token| self.connects(at, of) || has_follower(of, token)))
    }

    fn start(&mut self, at: usize, bounds: &Bounds) {
        let durable = self.machines[at].durable;
        let mut election = Election::new(name(at), self.machines[at].inc, bounds.settings(), durable);
        let members = (0..self.machines.len()).map(|at| Member::new(name(at))).collect();
        election.input(NOW_MS, Input::Roster(members));
        election.input(NOW_MS, Input::CaughtUp(true));
        self.machines[at].election = Some(election);
        let others: Vec<usize> = (0..self.machines.len()).filter(|other| self.connects(at, *other)).collect();
        self.link(others.into_iter().map(|other| (at, other)).collect());
    }

    /// Brings links up, all at once.
    fn link(&mut self, pairs: Vec<(usize, usize)>) {
        let up = |at, other| (at, NOW_MS, Input::Up(name(other)));
        let ups: VecDeque<_> = pairs.iter().flat_map(|(a, b)| [up(*a, *b), up(*b, *a)]).collect();
        if let Some((first, ..)) = ups.front() {
            self.inputs(*first, NOW_MS, ups);
        }
    }

    fn stop(&mut self, at: usize) {
        let others: Vec<usize> = (0..self.machines.len()).filter(|other| self.connects(at, *other)).collect();
        (self.machines[at].election, self.machines[at].storing) = (None, None);
        for other in others {
            self.input(other, NOW_MS, Input::Down { node: name(at), was_reset: true });
        }
    }

    /// Mends first, then cuts, one link after the other.
    fn set_cut(&mut self, cut: u8) {
        let before = self.cut;
        let pairs = [(0, 1), (0, 2), (1, 2)].into_iter().filter(|(_, b)| *b < self.machines.len());
        let changed: Vec<(usize, usize)> = pairs.filter(|(a, b)| (before ^ cut) & pair(*a, *b) != 0).collect();
        self.cut &= cut;
        let mended = changed.iter().copied().filter(|(a, b)| before & pair(*a, *b) != 0 && self.connects(*a, *b));
        self.link(mended.collect());
        for (a, b) in changed.into_iter().filter(|(a, b)| before & pair(*a, *b) == 0) {
            self.cut |= pair(a, b);
            self.input(a, NOW_MS, Input::Down { node: name(b), was_reset: false });
            self.input(b, NOW_MS, Input::Down { node: name(a), was_reset: false });
        }
    }

    fn deliver(&mut self, from: usize, to: usize, packet: Packet) {
        if !self.connects(from, to) {
            return;
        }
        match packet {
            Packet::Say(message) => self.input(to, NOW_MS, Input::Heard { from: name(from), message }),
            Packet::Order(token) => {
                self.input(to, NOW_MS, Input::Carried { from: name(from), token });
                let machine = &mut self.machines[to];
                if machine.election.as_ref().is_some_and(|election| election.allows(token).is_ok()) {
                    self.has_obeyed_lower |= token < machine.obeyed;
                    machine.obeyed = token;
                }
            }
        }
    }

    /// Wakes a node at its deadline. Who reigns gives orders with its heartbeats.
    fn wake(&mut self, at: usize) {
        let deadline = self.machines[at].election.as_ref().and_then(Election::poll_timeout);
        let Some((at_ms, _)) = deadline else { return };
        self.input(at, at_ms.max(NOW_MS), Input::Tick);
        if let Some(token) = self.reign(at) {
            for to in 0..self.machines.len() {
                if self.connects(at, to) {
                    self.net.insert((at, to, Packet::Order(token)));
                }
            }
        }
    }

    fn finish_store(&mut self, at: usize) {
        if let Some(token) = self.machines[at].storing.take() {
            self.machines[at].durable = token;
            self.input(at, NOW_MS, Input::Stored(token));
        }
    }

    /// Everything is up and connected and time goes on for all: does one coordinate, obeyed by everybody?
    fn heals(&self, bounds: &Bounds) -> bool {
        let mut fleet = self.clone();
        fleet.net.clear();
        fleet.set_cut(0);
        for at in 0..fleet.machines.len() {
            fleet.finish_store(at);
            if !fleet.is_up(at) {
                fleet.start(at, bounds);
            }
        }
        // Who waits least wakes first; the rest have waited as long.
        for _ in 0..60 {
            while let Some((from, to, packet)) = fleet.net.pop_first() {
                fleet.deliver(from, to, packet);
            }
            (0..fleet.machines.len()).for_each(|at| fleet.finish_store(at));
            if fleet.net.is_empty() && fleet.is_agreed() {
                return true;
            }
            let wait = |machine: &Machine| machine.election.as_ref()?.poll_timeout().map(|(at_ms, _)| at_ms);
            let waits = fleet.machines.iter().enumerate().filter_map(|(at, machine)| Some((wait(machine)?, at)));
            let Some((next_ms, first)) = waits.min() else { return false };
            for (at, machine) in fleet.machines.iter_mut().enumerate() {
                if at != first
                    && let Some(election) = &mut machine.election
                {
                    election.rebase(next_ms.saturating_sub(NOW_MS), LONG_AGO_MS);
                }
            }
            fleet.wake(first);
        }
        false
    }

    fn is_agreed(&self) -> bool {
        let reigns: Vec<Token> = (0..self.machines.len()).filter_map(|at| self.reign(at)).collect();
        let [one] = reigns[..] else { return false };
        let allows = |machine: &Machine| machine.election.as_ref().is_some_and(|e| e.allows(one).is_ok());
        let follows = |at| self.reign(at).is_some() || self.follows(at).is_some_and(|(token, _)| token == one);
        self.machines.iter().all(allows) && (0..self.machines.len()).all(follows)
    }
}

/// Lengths in messages make no difference here, only more states.
fn timeless(message: Message) -> Message {
    match message {
        Message::Heartbeat { token, .. } => Message::Heartbeat { token, sent_ms: 0, reigned_ms: 0, away: None },
        other => other,
    }
}

impl Bounds {
    /// One heartbeat a lease: followers need not be woken to look at their clock. Whole seconds: fewer states.
    fn settings(&self) -> Settings {
        let (heartbeat_ms, rank_step_ms, probe_ms, reset_ms) = (2_000, 1_000, 1_000, 1_000);
        Settings { heartbeat_ms, rank_step_ms, probe_ms, reset_ms, mutant: self.mutant, ..Settings::LOCAL }
    }

    fn may_wake(&self, fleet: &Fleet, at: usize) -> bool {
        let Some(election) = &fleet.machines[at].election else { return false };
        let has_lease_of_one_who_lives = fleet.follows(at).is_some_and(|(token, _)| {
            let of = place(token.node);
            fleet.connects(at, of) && fleet.reign(of) == Some(token)
        });
        // A store takes less time than a probe waits for: an answer that waits for one still comes.
        let is_silent = |other| fleet.connects(at, other) && fleet.machines[other].storing.is_some();
        let is_asking = election.poll_timeout().is_some_and(|(_, why)| why.starts_with("answers"));
        let has_answers_to_come = is_asking && (0..self.nodes).any(is_silent);
        let is_full = fleet.reign(at).is_some() && fleet.net.len() >= self.packets;
        election.poll_timeout().is_some() && !has_lease_of_one_who_lives && !has_answers_to_come && !is_full
    }
}

impl Model for Bounds {
    type State = Fleet;
    type Action = Act;

    fn init_states(&self) -> Vec<Fleet> {
        let none = Token::NONE;
        let machine = Machine { election: None, inc: 1, durable: none, storing: None, obeyed: none };
        let mut fleet = Fleet {
            machines: vec![machine; self.nodes],
            net: BTreeSet::new(),
            cut: 0,
            reigns: BTreeSet::new(),
            has_two_reigns_of_one_token: false,
            has_obeyed_lower: false,
            has_duel: false,
            crashes: 0,
            flashes: 0,
            cuts: 0,
            hand_overs: 0,
        };
        (0..self.nodes).for_each(|at| fleet.start(at, self));
        vec![fleet]
    }

    fn actions(&self, fleet: &Fleet, acts: &mut Vec<Act>) {
        for (from, to, packet) in &fleet.net {
            acts.push(Act::Deliver(*from, *to, packet.clone()));
            acts.push(Act::Lose(*from, *to, packet.clone()));
        }
        for at in 0..self.nodes {
            if self.may_wake(fleet, at) {
                acts.push(Act::Wake(at));
            }
            if fleet.machines[at].storing.is_some() {
                acts.push(Act::Stored(at));
            }
            match fleet.is_up(at) {
                true if fleet.crashes < self.crashes => acts.push(Act::Crash(at)),
                true => (),
                false => {
                    acts.push(Act::Restart(at));
                    if fleet.flashes < self.flashes {
                        acts.push(Act::Flash(at));
                    }
                }
            }
            let can_hand_over = fleet.hand_overs < self.hand_overs && fleet.reign(at).is_some();
            for to in (0..self.nodes).filter(|to| can_hand_over && fleet.connects(at, *to)) {
                acts.push(Act::HandOver(at, to));
            }
        }
        if fleet.cuts < self.cuts {
            let pairs = if self.nodes == 2 { 2 } else { 8 };
            acts.extend((0..pairs).filter(|cut| *cut != fleet.cut).map(Act::Cut));
        }
    }

    fn next_state(&self, before: &Fleet, act: Act) -> Option<Fleet> {
        let mut fleet = before.clone();
        match act {
            Act::Deliver(from, to, packet) => {
                fleet.net.remove(&(from, to, packet.clone()));
                fleet.deliver(from, to, packet);
            }
            Act::Lose(from, to, packet) => {
                fleet.net.remove(&(from, to, packet));
            }
            Act::Wake(at) => fleet.wake(at),
            Act::Stored(at) => fleet.finish_store(at),
            Act::Crash(at) => {
                fleet.crashes += 1;
                fleet.stop(at);
            }
            Act::Restart(at) => fleet.start(at, self),
            Act::Flash(at) => {
                fleet.flashes += 1;
                let machine = &mut fleet.machines[at];
                (machine.durable, machine.obeyed) = (Token::NONE, Token::NONE);
                machine.inc += u32::from(self.mutant != Some(Mutant::IncarnationReused));
                fleet.start(at, self);
            }
            Act::Cut(cut) => {
                fleet.cuts += 1;
                fleet.set_cut(cut);
            }
            Act::HandOver(at, to) => {
                fleet.hand_overs += 1;
                let token = fleet.reign(at)?;
                let message = Message::Followed { token, sent_ms: NOW_MS, is_caught_up: true };
                fleet.input(at, NOW_MS, Input::Heard { from: name(to), message });
                fleet.input(at, NOW_MS, Input::HandOver { to: name(to) });
            }
        }
        (fleet != *before).then_some(fleet)
    }

    fn within_boundary(&self, fleet: &Fleet) -> bool {
        let highest = fleet.machines.iter().filter_map(|machine| machine.storing).chain(fleet.reigns.iter().copied());
        highest.map(|token| token.epoch).max().unwrap_or(0) <= self.epochs
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let heals = |bounds: &Self, fleet: &Fleet| {
            let mut hasher = DefaultHasher::new();
            (&fleet.machines, fleet.cut).hash(&mut hasher);
            let key = hasher.finish();
            if let Some(heals) = bounds.healed.lock().unwrap().get(&key) {
                return *heals;
            }
            let heals = fleet.heals(bounds);
            bounds.healed.lock().unwrap().insert(key, heals);
            heals
        };
        vec![
            Property::always("a token names one reign", |_, fleet: &Fleet| !fleet.has_two_reigns_of_one_token),
            Property::always("nobody obeys a lower token after a greater", |_, fleet: &Fleet| !fleet.has_obeyed_lower),
            Property::always("nobody claims against a coordinator a neighbour follows", |_, fleet: &Fleet| {
                !fleet.has_duel
            }),
            Property::always("a healed fleet has one coordinator, obeyed by all", heals),
            Property::sometimes("two may coordinate at once", |_, fleet: &Fleet| {
                (0..fleet.machines.len()).filter(|at| fleet.reign(*at).is_some()).count() == 2
            }),
        ]
    }
}

fn bounds(nodes: usize, mutant: Option<Mutant>) -> Bounds {
    let healed = Mutex::default();
    Bounds { nodes, epochs: 3, crashes: 1, flashes: 1, cuts: 2, hand_overs: 0, packets: 2, mutant, healed }
}

/// Looks at `states` at most; returns the broken properties with the way to each, and whether that were all states.
fn check(bounds: Bounds, states: usize) -> (Vec<(&'static str, String)>, bool) {
    let title = format!("{} nodes, {:?}", bounds.nodes, bounds.mutant);
    let checker = bounds.checker().threads(2).target_state_count(states).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let (unique, depth) = (checker.unique_state_count(), checker.max_depth());
    let is_all = checker.state_count() < states;
    println!("{title}: {unique} states, depth {depth}, all: {is_all}");
    let is_broken = |name: &&str| *name != "two may coordinate at once";
    let discoveries = checker.discoveries().into_iter().filter(|(name, _)| is_broken(name));
    let broken = discoveries.map(|(name, path)| (name, format!("{:#?}", path.into_actions()))).collect();
    (broken, is_all)
}

#[test]
fn two_nodes_keep_every_law() {
    let (broken, _) = check(Bounds { hand_overs: 1, cuts: 1, epochs: 2, ..bounds(2, None) }, 400_000);

    assert_eq!(broken, []);
}

#[test]
fn three_nodes_keep_every_law() {
    let (broken, _) = check(bounds(3, None), 400_000);

    assert_eq!(broken, []);
}

#[test]
fn five_known_bugs_are_found() {
    use Mutant::*;
    for (nodes, mutant, law) in [
        (3, ClaimBeforeStore, "a token names one reign"),
        (3, IncarnationReused, "a token names one reign"),
        (3, NoProbe, "nobody claims against a coordinator a neighbour follows"),
        (2, NoFence, "nobody obeys a lower token after a greater"),
        (2, TwoMarks, "a healed fleet has one coordinator, obeyed by all"),
    ] {
        let (broken, _) = check(bounds(nodes, Some(mutant)), 500_000);
        assert!(broken.iter().any(|(name, _)| *name == law), "{mutant:?} lives: {broken:?}");
    }
}
