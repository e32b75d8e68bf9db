//! A fleet that only elects, in virtual time: real `Election`s, a clock per node, disks that take their time, links that
//! lose, delay, go one way, break and come back. Everything follows from one seed.
//!
//! After every step the laws hold or the run panics: one token names one reign, no claim is announced before it is
//! durable, no disk obeys a lower token after a greater, two majorities do not last.

use replicate::core::election::{Election, Gated, Input, Member, Message, Output, Role, Settings, Token, Told};
use replicate::core::id::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// SplitMix64: small, and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    pub fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How the network is at the moment.
#[derive(Clone, Copy)]
pub struct Weather {
    pub loss_percent: u64,
    pub delay_ms_max: u64,
}

/// A local network on a good day.
pub const CALM: Weather = Weather { loss_percent: 0, delay_ms_max: 5 };

/// How long a silent link is believed in before it is given up.
const LINK_PATIENCE_MS: u64 = 10_000;

/// Between two orders of who believes to coordinate.
const ORDERS_MS: u64 = 300;

pub struct Node {
    pub name: NodeId,
    pub election: Option<Election>,
    pub inc: u32,
    pub durable: Token,
    pub settings: Settings,
    /// What was obeyed last, on this disk.
    obeyed: Token,
    /// Counts starts: what was meant for an earlier one is dropped.
    boot: u32,
    booted_ms: u64,
    /// Per mille that its clock is fast.
    drift: i64,
    paused: Option<Vec<Input>>,
    pub told: Vec<Told>,
}

enum Event {
    Input { to: usize, boot: u32, input: Input },
    Deliver { from: usize, to: usize, boots: (u32, u32), message: Message },
    Order { from: usize, to: usize, boots: (u32, u32), token: Token },
    Tick { to: usize, boot: u32 },
    Durable { to: usize, boot: u32, token: Token },
    GiveUp { link: (usize, usize), since_ms: u64 },
    Connect { a: usize, b: usize },
    Orders,
}

pub struct Fleet {
    pub now_ms: u64,
    pub nodes: Vec<Node>,
    pub chance: Chance,
    pub weather: Weather,
    pub roster: Vec<Member>,
    /// Directions in which nothing passes, and since when.
    cuts: BTreeMap<(usize, usize), u64>,
    /// Links, lower node first; both ends believe in them.
    links: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    reigns: BTreeSet<Token>,
    two_majorities_since_ms: Option<u64>,
}

impl Fleet {
    /// A fleet that was switched on at once.
    pub fn new(seed: u64, roster: Vec<Member>, settings: Settings) -> Self {
        let mut chance = Chance(seed);
        let nodes = roster.iter().map(|member| Node {
            name: member.node,
            election: None,
            inc: 1,
            durable: Token::NONE,
            settings: settings.clone(),
            obeyed: Token::NONE,
            boot: 0,
            booted_ms: 0,
            drift: chance.below(3) as i64 - 1,
            paused: None,
            told: Vec::new(),
        });
        let nodes = nodes.collect();
        let mut fleet = Self {
            now_ms: 0,
            nodes,
            chance,
            weather: CALM,
            roster,
            cuts: BTreeMap::new(),
            links: BTreeSet::new(),
            queue: BTreeMap::new(),
            count: 0,
            reigns: BTreeSet::new(),
            two_majorities_since_ms: None,
        };
        (0..fleet.nodes.len()).for_each(|at| fleet.start(at));
        fleet.later(ORDERS_MS, Event::Orders);
        fleet
    }

    /// `count` candidates like any others, named 1, 2, …: the first is the best.
    pub fn of(seed: u64, count: u128) -> Self {
        let roster = (1..=count).map(|name| Member::new(NodeId::from_u128(name))).collect();
        Self::new(seed, roster, Settings::LOCAL)
    }

    pub fn run(&mut self, for_ms: u64) {
        let end_ms = self.now_ms + for_ms;
        while self.step_before(end_ms) {}
        self.now_ms = end_ms;
    }

    /// Runs until something holds. Returns how long it took; nothing if it did not hold within the limit.
    pub fn run_until(&mut self, limit_ms: u64, holds: impl Fn(&Self) -> bool) -> Option<u64> {
        let (start_ms, end_ms) = (self.now_ms, self.now_ms + limit_ms);
        while !holds(self) {
            if !self.step_before(end_ms) {
                return None;
            }
        }
        Some(self.now_ms - start_ms)
    }

    // What happens to machines and cables.

    pub fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        assert!(node.election.is_none(), "it runs already");
        node.boot += 1;
        node.booted_ms = self.now_ms;
        node.election = Some(Election::new(node.name, node.inc, node.settings.clone(), node.durable));
        let roster = self.roster.clone();
        self.input(at, Input::Roster(roster));
        for other in 0..self.nodes.len() {
            self.connect_soon(at, other);
        }
    }

    /// The process is gone; its machine says so to who is connected.
    pub fn kill(&mut self, at: usize) {
        self.stop(at, true);
    }

    /// Power is gone: nobody is told anything.
    pub fn unplug(&mut self, at: usize) {
        self.stop(at, false);
    }

    /// A new card: everything forgotten, and a new incarnation.
    pub fn flash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        (node.durable, node.obeyed, node.inc) = (Token::NONE, Token::NONE, node.inc + 1);
    }

    pub fn pause(&mut self, at: usize) {
        self.nodes[at].paused.get_or_insert_default();
    }

    pub fn resume(&mut self, at: usize) {
        let Some(missed) = self.nodes[at].paused.take() else { return };
        // The timer that rang long ago is seen first, then what the sockets hold.
        self.input(at, Input::Tick);
        missed.into_iter().for_each(|input| self.input(at, input));
    }

    /// Nothing passes from one node to another any more.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.entry((from, to)).or_insert(self.now_ms);
        let link = (from.min(to), from.max(to));
        self.later(LINK_PATIENCE_MS, Event::GiveUp { link, since_ms: self.now_ms });
    }

    pub fn part(&mut self, a: usize, b: usize) {
        self.cut(a, b);
        self.cut(b, a);
    }

    pub fn join(&mut self, a: usize, b: usize) {
        self.cuts.retain(|(from, to), _| (*from.min(to), *from.max(to)) != (a.min(b), a.max(b)));
        self.connect_soon(a, b);
    }

    pub fn mend(&mut self) {
        self.cuts.clear();
        for a in 0..self.nodes.len() {
            (0..a).for_each(|b| self.connect_soon(a, b));
        }
    }

    pub fn is_up(&self, at: usize) -> bool {
        self.nodes[at].election.is_some()
    }

    // What is seen.

    pub fn role(&self, at: usize) -> Option<Role> {
        self.nodes[at].election.as_ref().map(Election::role)
    }

    pub fn coordinators(&self) -> Vec<(usize, Token)> {
        let reign = |at| match self.role(at) {
            Some(Role::Coordinator { token, .. }) => Some((at, token)),
            _ => None,
        };
        (0..self.nodes.len()).filter_map(reign).collect()
    }

    /// Whether one coordinates and every candidate that is up follows it (`true`: every node).
    pub fn is_agreed(&self, includes_others: bool) -> bool {
        let [(_, one)] = self.coordinators()[..] else { return false };
        (0..self.nodes.len()).all(|at| match self.role(at) {
            None | Some(Role::Coordinator { .. }) => true,
            Some(Role::Follower { token, .. }) => token == one,
            Some(Role::Candidate | Role::Bystander) => !self.roster[at].is_candidate && !includes_others,
        })
    }

    pub fn may(&self, at: usize) -> bool {
        let now_ms = self.clock(at);
        let election = self.nodes[at].election.as_ref().filter(|_| self.nodes[at].paused.is_none());
        election.is_some_and(|election| election.may(now_ms, Gated::AdvanceFloor).is_ok())
    }

    /// A person, or the program around it, says something to a node.
    pub fn say(&mut self, at: usize, input: Input) {
        self.input(at, input);
    }

    // How it works.

    fn step_before(&mut self, end_ms: u64) -> bool {
        let Some((&key, _)) = self.queue.first_key_value() else { return false };
        if key.0 > end_ms {
            return false;
        }
        let Some(event) = self.queue.remove(&key) else { return false };
        self.now_ms = key.0;
        self.happen(event);
        self.check_majorities();
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input { to, boot, input } if self.is_boot(to, boot) => self.input(to, input),
            Event::Tick { to, boot } if self.is_boot(to, boot) && self.nodes[to].paused.is_none() => self.tick(to),
            Event::Durable { to, boot, token } if self.is_boot(to, boot) => {
                // One writer: an older token never ends up over a newer one.
                self.nodes[to].durable = self.nodes[to].durable.max(token);
                self.input(to, Input::Stored(token));
            }
            Event::Deliver { from, to, boots, message } if self.passes(from, to, boots) => {
                let from = self.nodes[from].name;
                self.input(to, Input::Heard { from, message });
            }
            Event::Order { from, to, boots, token } if self.passes(from, to, boots) => self.order(from, to, token),
            Event::GiveUp { link, since_ms } => {
                let is_cut = |way| self.cuts.get(&way).is_some_and(|cut_ms| *cut_ms == since_ms);
                if is_cut(link) || is_cut((link.1, link.0)) {
                    self.disconnect(link, false);
                }
            }
            Event::Connect { a, b } => self.connect(a, b),
            Event::Orders => self.orders(),
            Event::Input { .. } | Event::Tick { .. } | Event::Durable { .. } => (),
            Event::Deliver { .. } | Event::Order { .. } => (),
        }
    }

    /// Who believes to coordinate gives orders to everybody it is connected with.
    fn orders(&mut self) {
        for (from, token) in self.coordinators() {
            for to in 0..self.nodes.len() {
                if self.nodes[from].paused.is_none() && self.links.contains(&(from.min(to), from.max(to))) {
                    let boots = (self.nodes[from].boot, self.nodes[to].boot);
                    self.through(Event::Order { from, to, boots, token });
                }
            }
        }
        self.later(ORDERS_MS, Event::Orders);
    }

    fn order(&mut self, from: usize, to: usize, token: Token) {
        let from = self.nodes[from].name;
        self.input(to, Input::Carried { from, token });
        let node = &mut self.nodes[to];
        let is_awake = node.paused.is_none();
        if is_awake && node.election.as_ref().is_some_and(|election| election.allows(token).is_ok()) {
            assert!(token >= node.obeyed, "{:?} obeyed {token:?} after {:?}", node.name, node.obeyed);
            assert!(token <= node.durable, "{:?} obeyed {token:?} before it was durable", node.name);
            node.obeyed = token;
        }
    }

    fn tick(&mut self, to: usize) {
        let (now_ms, boot) = (self.clock(to), self.nodes[to].boot);
        match self.nodes[to].election.as_ref().and_then(Election::poll_timeout) {
            Some((at_ms, _)) if at_ms <= now_ms => self.input(to, Input::Tick),
            // Its clock is slow: not yet. An earlier tick that something else made needless ends here too.
            Some((at_ms, _)) if at_ms <= now_ms + 2 => self.later(1, Event::Tick { to, boot }),
            _ => (),
        }
    }

    fn input(&mut self, at: usize, input: Input) {
        let now_ms = self.clock(at);
        let node = &mut self.nodes[at];
        if let Some(missed) = &mut node.paused {
            missed.push(input);
            return;
        }
        let Some(election) = &mut node.election else { return };
        election.input(now_ms, input);
        let mut outputs = VecDeque::new();
        while let Some(output) = election.poll_output() {
            outputs.push_back(output);
        }
        let due = election.poll_timeout();
        if let Role::Follower { token, .. } | Role::Coordinator { token, .. } = election.role() {
            assert_eq!(token, election.standing(now_ms).seen, "follows one and obeys another");
        }
        for output in outputs {
            self.carry_out(at, output);
        }
        if let Some((due_ms, why)) = due {
            let boot = self.nodes[at].boot;
            assert!(due_ms <= now_ms + 600_000, "sleeps too long: {why}");
            let wait_ms = due_ms.saturating_sub(now_ms).max(1);
            self.later(wait_ms + wait_ms / 1_000, Event::Tick { to: at, boot });
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        let boot = self.nodes[at].boot;
        match output {
            Output::Send { to, message } => {
                let Some(to) = self.nodes.iter().position(|node| node.name == to) else { return };
                let boots = (boot, self.nodes[to].boot);
                self.through(Event::Deliver { from: at, to, boots, message });
            }
            Output::Store(token) => {
                let takes_ms = self.chance.between(1, 20);
                self.later(takes_ms, Event::Durable { to: at, boot, token });
            }
            Output::Told(told) => {
                if let Told::Elected { token, .. } = told {
                    assert!(self.reigns.insert(token), "{token:?} names two reigns");
                    assert!(token <= self.nodes[at].durable, "{token:?} reigns and is not durable");
                }
                self.nodes[at].told.push(told);
            }
            Output::Changed(_) => (),
        }
    }

    fn through(&mut self, event: Event) {
        if !self.chance.is(self.weather.loss_percent) {
            let delay_ms = self.chance.between(1, self.weather.delay_ms_max);
            self.later(delay_ms, event);
        }
    }

    fn passes(&self, from: usize, to: usize, boots: (u32, u32)) -> bool {
        let is_link = self.links.contains(&(from.min(to), from.max(to)));
        is_link && !self.cuts.contains_key(&(from, to)) && (self.nodes[from].boot, self.nodes[to].boot) == boots
    }

    fn is_boot(&self, at: usize, boot: u32) -> bool {
        self.nodes[at].boot == boot && self.is_up(at)
    }

    fn stop(&mut self, at: usize, is_heard: bool) {
        let node = &mut self.nodes[at];
        (node.election, node.paused) = (None, None);
        for link in self.links.clone() {
            if link.0 != at && link.1 != at {
                continue;
            }
            let other = if link.0 == at { link.1 } else { link.0 };
            self.links.remove(&link);
            let is_heard = is_heard && !self.cuts.contains_key(&(at, other));
            let (boot, node) = (self.nodes[other].boot, self.nodes[at].name);
            let after_ms = if is_heard { self.chance.between(1, 5) } else { LINK_PATIENCE_MS };
            let input = Input::Down { node, was_reset: is_heard };
            // A node that is back sooner takes the place of its dead link: see `connect`.
            self.later(after_ms, Event::Input { to: other, boot, input });
        }
    }

    fn connect_soon(&mut self, a: usize, b: usize) {
        if a != b {
            let after_ms = self.chance.between(20, 100);
            self.later(after_ms, Event::Connect { a: a.min(b), b: a.max(b) });
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let is_open = !self.cuts.contains_key(&(a, b)) && !self.cuts.contains_key(&(b, a));
        if is_open && self.is_up(a) && self.is_up(b) && self.links.insert((a, b)) {
            for (at, other) in [(a, b), (b, a)] {
                let node = self.nodes[other].name;
                self.forget_downs(at, node);
                self.input(at, Input::Down { node, was_reset: false });
                self.input(at, Input::Up(node));
            }
        }
    }

    /// The end of an old link says nothing about the new one.
    fn forget_downs(&mut self, at: usize, of: NodeId) {
        self.queue.retain(|_, event| {
            !matches!(event, Event::Input { to, input: Input::Down { node, .. }, .. } if *to == at && *node == of)
        });
    }

    fn disconnect(&mut self, link: (usize, usize), was_reset: bool) {
        if self.links.remove(&link) {
            for (at, other) in [link, (link.1, link.0)] {
                let node = self.nodes[other].name;
                self.input(at, Input::Down { node, was_reset });
            }
        }
    }

    /// A node's own clock: begins anywhere, is a little fast or slow.
    pub fn clock(&self, at: usize) -> u64 {
        let node = &self.nodes[at];
        let up_ms = self.now_ms - node.booted_ms;
        let wrong_ms = up_ms as i64 * node.drift / 1000;
        (1_000_000 * (at as u64 + 1) + up_ms).saturating_add_signed(wrong_ms)
    }

    fn later(&mut self, after_ms: u64, event: Event) {
        self.count += 1;
        self.queue.insert((self.now_ms + after_ms, self.count), event);
    }

    /// Two that may do what cannot be taken back: not for longer than one lease.
    fn check_majorities(&mut self) {
        if self.roster.iter().any(|member| !member.is_candidate) || self.coordinators().len() < 2 {
            self.two_majorities_since_ms = None;
            return;
        }
        let is_forced = |at: &usize| {
            let election = self.nodes[*at].election.as_ref();
            election.is_some_and(|election| election.standing(self.clock(*at)).forced_until_ms.is_some())
        };
        let count = (0..self.nodes.len()).filter(|at| self.may(*at) && !is_forced(at)).count();
        match (count, self.two_majorities_since_ms) {
            (0 | 1, _) => self.two_majorities_since_ms = None,
            (_, None) => self.two_majorities_since_ms = Some(self.now_ms),
            (_, Some(since_ms)) => assert!(self.now_ms <= since_ms + 2_010, "two majorities since {since_ms}"),
        }
    }
}
