//! The fleet in virtual time: what happens next, switching machines on and off, links, disks at work.
//!
//! Everything follows from one seed. Laws are looked at in `check` after each thing that can break them.

use super::clock::{Chance, Clock, TEMPERS};
use super::disk::Keeper;
use super::machine::{End, FloorJob, Health, Job, Machine};
use super::model::Model;
use super::network::{Network, Packet};
use replicate::core::election::{Election, Input, Member, Settings, Token};
use replicate::core::exchange::Records;
use replicate::core::floor::advance::Barrier;
use replicate::core::floor::{FloorName, Stage};
use replicate::core::id::{Hash, NodeId, Stream};
use replicate::core::message::FleetId;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::session::{self, Limits, Me, Session};
use replicate::core::write::Draft;
use std::collections::{BTreeMap, BTreeSet};

pub enum Event {
    Deliver { link: u64, end: usize },
    Reset { link: u64, end: usize },
    Tick { at: usize, boot: u32 },
    Kept { at: usize, boot: u32 },
    Token { at: usize, boot: u32, token: Token },
    Dial,
    Orders,
    Act,
    Fault,
    Mend,
    Boot { at: usize },
    Renew { at: usize },
    Retire { at: usize },
    Floors,
    Narrow { at: usize },
    Widen { at: usize },
    Well { at: usize },
}

pub struct World {
    pub now_ms: u64,
    pub chance: Chance,
    pub queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    pub machines: Vec<Machine>,
    /// Boxes that belong to the fleet; copies of disks come after them.
    pub fleet: usize,
    pub network: Network,
    pub model: Model,
    pub schemas: [Schema; 2],
    pub election: Settings,
    pub roster: Vec<Member>,
    /// What people meant, by the name they did it under.
    pub intents: BTreeMap<String, Draft>,
    pub reigns: BTreeSet<Token>,
    /// The records of a vector: equal vectors, equal records.
    pub states: BTreeMap<(usize, Hash), Hash>,
    /// What is kept below a floor: one floor, one content.
    pub kept: BTreeMap<FloorName, Hash>,
    /// Boxes that the floor does not wait for.
    pub lapsed: BTreeSet<usize>,
    /// The greatest number of a floor that anybody said.
    pub floor_said: u64,
    pub has_floors: bool,
    /// What the world has seen, for the table of coverage.
    pub hits: BTreeMap<&'static str, u64>,
    pub is_wired: bool,
    pub has_bulk: bool,
    /// How often somebody will still retire a node, or take that back.
    pub retirements: u64,
    pub retirements_were: u64,
    pub is_healing: bool,
    /// No more faults: what is cut stays cut.
    pub is_calm: bool,
    /// It has been calm for so long that nobody has a reason to take the role.
    pub is_settled: bool,
    pub acts: u64,
    /// A log of a version to come.
    pub ghost: Vec<std::sync::Arc<[u8]>>,
    pub steps: u64,
}

/// How often it is dialled where a link is missing.
const DIAL_MS: u64 = 700;
const ORDERS_MS: u64 = 900;

fn schemas() -> [Schema; 2] {
    let old = || {
        vec![
            Kind::new("user", Stream::Sec)
                .group("profile", Form::Register)
                .group("access", Form::Flag)
                .group("cred_gen", Form::Max)
                .deletes(replicate::core::schema::DeletePolicy::DeleteWins),
            Kind::new("plan", Stream::Cfg)
                .group("timing", Form::Register)
                .group("label", Form::Register)
                .deletes(replicate::core::schema::DeletePolicy::EditWins),
            Kind::new("fact", Stream::Own).group("facts", Form::Register),
            Kind::new("audit", Stream::Jrn).group("what", Form::Register),
            Kind::new("member", Stream::Sec).group("access", Form::Flag).fences("access", 1, crate::house::fence_of),
        ]
    };
    let mut new = old();
    new.push(Kind::new("novel", Stream::Cfg).group("text", Form::Register));
    [Schema::new(old()).unwrap(), Schema::new(new).unwrap()]
}

impl World {
    pub fn new(seed: u64, is_redb: bool, election: Settings) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        let fleet = if is_redb { chance.pick(&[2, 2, 3]) } else { chance.pick(&[2, 2, 2, 3, 3, 3, 4, 4, 5, 7]) };
        let mut hits = BTreeMap::new();
        let is_mixed = chance.is(30);
        let mut machines = Vec::new();
        for name in 1..=fleet as u128 {
            let temper = if chance.is(50) { TEMPERS[0] } else { chance.pick(&TEMPERS) };
            *hits.entry(temper).or_default() += 1;
            let disk_ms = chance.pick(&[2, 5, 20, 60]);
            let mut machine = Machine::new(NodeId::from_u128(name), Clock::new(temper, &mut chance), is_redb, disk_ms);
            machine.schema = usize::from(is_mixed && chance.is(50));
            machines.push(machine);
        }
        let mut member = |machine: &Machine| {
            let is_candidate = machine.name == NodeId::from_u128(1) || chance.is(85);
            Member { is_candidate, is_primary: chance.is(20), ..Member::new(machine.name) }
        };
        let roster = machines.iter().map(&mut member).collect();
        let network = Network { delay_ms: chance.pick(&[5, 5, 30, 200]), ..Network::default() };
        let (is_wired, has_bulk) = (chance.is(12), !is_redb && chance.is(3));
        let mut world = Self {
            now_ms: 0,
            chance,
            queue: BTreeMap::new(),
            count: 0,
            machines,
            fleet,
            network,
            model: Model::default(),
            schemas: schemas(),
            election,
            roster,
            intents: BTreeMap::new(),
            reigns: BTreeSet::new(),
            states: BTreeMap::new(),
            kept: BTreeMap::new(),
            lapsed: BTreeSet::new(),
            floor_said: 0,
            has_floors: seed % 4 == 1,
            hits,
            is_wired,
            has_bulk,
            // By the seed's number, so that the other seeds' days stay what they were.
            retirements: if seed.is_multiple_of(7) { 5 } else { 0 },
            retirements_were: 0,
            is_healing: false,
            is_calm: false,
            is_settled: false,
            acts: 0,
            ghost: Vec::new(),
            steps: 0,
        };
        world.choose_keepers(seed);
        world.hit(if is_mixed { "versions mixed" } else { "versions same" });
        (0..fleet).for_each(|at| world.boot(at, 1));
        for event in [Event::Dial, Event::Orders, Event::Act, Event::Fault] {
            world.later(50, event);
        }
        world.retirements_were = world.retirements;
        if world.has_floors {
            world.later(400, Event::Floors);
        }
        world
    }

    pub fn hit(&mut self, what: &'static str) {
        *self.hits.entry(what).or_default() += 1;
    }

    pub fn later(&mut self, after_ms: u64, event: Event) {
        self.count += 1;
        self.queue.insert((self.now_ms + after_ms, self.count), event);
    }

    /// Does what comes next, if it comes before this time.
    pub fn step_before(&mut self, end_ms: u64) -> bool {
        let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end_ms) else { return false };
        let (key, event) = entry.remove_entry();
        self.now_ms = key.0;
        self.steps += 1;
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        let of = match &event {
            Event::Deliver { link, end } => self.network.links.get(link).map(|link| link.ends[*end]),
            Event::Tick { at, .. } | Event::Kept { at, .. } => Some(*at),
            _ => None,
        };
        // A machine that is held up does everything later, in the same order.
        if let Some(until_ms) = of.map(|at| self.machines[at].paused_until_ms).filter(|ms| *ms > self.now_ms) {
            return self.later(until_ms - self.now_ms, event);
        }
        let is_boot = |world: &Self, at: usize, boot| world.machines[at].is_up && world.machines[at].boot == boot;
        match event {
            Event::Deliver { link, end } => self.deliver(link, end),
            Event::Reset { link, end } => self.drop_end(link, end),
            Event::Tick { at, boot } if is_boot(self, at, boot) => self.tick(at),
            Event::Kept { at, boot } if is_boot(self, at, boot) => self.kept(at),
            Event::Token { at, boot, token } if is_boot(self, at, boot) => {
                let machine = &mut self.machines[at];
                machine.token = machine.token.max(token);
                self.election_input(at, Input::Stored(token));
            }
            Event::Dial => self.dial(),
            Event::Orders => self.orders(),
            Event::Act => self.act_again(),
            Event::Fault => self.fault_again(),
            Event::Mend => self.mend(),
            Event::Boot { at } if !self.machines[at].is_up && !self.machines[at].is_gone => self.boot(at, 1),
            Event::Renew { at } if self.machines[at].is_up && self.machines[at].is_quarantined => {
                self.ask(at, Job::Renew);
            }
            Event::Well { at } => self.make_well(at),
            Event::Retire { at } => self.retire(at),
            Event::Floors => self.floors(),
            Event::Narrow { at } => self.make_narrow(at),
            Event::Widen { at } => self.make_keeper(at),
            Event::Tick { .. } | Event::Kept { .. } | Event::Token { .. } => (),
            Event::Boot { .. } | Event::Renew { .. } => (),
        }
    }

    pub fn boot(&mut self, at: usize, inc_min: u32) {
        let (now_ms, chance) = (self.now_ms, &mut self.chance);
        let machine = &mut self.machines[at];
        machine.boot += 1;
        (machine.clock.boot, machine.clock.booted_ms) = (machine.boot, now_ms);
        let moment = machine.clock.moment(now_ms);
        let schema = &self.schemas[machine.schema];
        let (us, is_wrong) = machine.keeper.boot(machine.name, inc_min, schema, chance, moment);
        machine.lives += u32::from(machine.us.is_some_and(|before| before != us));
        (machine.us, machine.is_up, machine.tick_at_ms) = (Some(us), true, None);
        if is_wrong {
            self.hit("file found damaged");
        }
        self.begin_to_keep(at);
        self.sync(at);
        self.machines[at].safe = self.machines[at].keeper.moment();
        self.elect(at);
    }

    /// A new part in the election, under the present name.
    fn elect(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let (true, Some(us)) = (!machine.is_copy, machine.us) else { return };
        machine.election = Some(Election::new(us.node, us.inc, self.election.clone(), machine.token));
        let roster = self.roster.clone();
        self.election_input(at, Input::Roster(roster));
    }

    /// The machine stops; `is_heard`: the one below it says so to who is connected.
    pub fn stop(&mut self, at: usize, is_heard: bool, is_cut: bool) {
        if is_cut {
            self.cut_power(at);
        }
        let machine = &mut self.machines[at];
        machine.keeper.close();
        (machine.is_up, machine.election, machine.paused_until_ms) = (false, None, 0);
        machine.jobs.clear();
        machine.barrier = Barrier::default();
        let links: Vec<(u64, usize)> = machine.ends.iter().map(|(link, end)| (*link, 1 - end.end)).collect();
        machine.ends.clear();
        for (link, end) in links {
            if is_heard {
                let after_ms = self.chance.between(1, 5);
                self.later(after_ms, Event::Reset { link, end });
            }
        }
    }

    /// The disk may be at work: its job is done, in part, or not at all, and nobody is told.
    fn cut_power(&mut self, at: usize) {
        let is_busy = !self.machines[at].jobs.is_empty() && self.machines[at].health == Health::Well;
        let is_memory = matches!(self.machines[at].keeper, Keeper::Memory(_));
        if is_busy && (!is_memory || self.chance.is(50)) {
            let Some((_, job)) = self.machines[at].jobs.pop_front() else { return };
            self.hit("crash while the disk writes");
            let _ = self.perform(at, &job);
        }
        let (machine, chance) = (&mut self.machines[at], &mut self.chance);
        let safe = machine.safe.min(machine.keeper.moment());
        machine.keeper.cut(safe, chance);
    }

    // Disks.

    pub fn ask(&mut self, at: usize, job: Job) {
        let machine = &mut self.machines[at];
        machine.jobs.push_back((self.now_ms, job));
        if machine.jobs.len() == 1 {
            let (disk_ms, boot) = (machine.disk_ms, machine.boot);
            let after_ms = self.chance.between(1, disk_ms);
            self.later(after_ms, Event::Kept { at, boot });
        }
    }

    pub fn perform(&mut self, at: usize, job: &Job) -> Result<Option<replicate::core::exchange::Applied>, String> {
        let nonce = self.chance.next() as u32;
        let machine = &mut self.machines[at];
        let (schema, moment) = (&self.schemas[machine.schema], machine.clock.moment(self.now_ms));
        let standing = machine.keeper.standing();
        machine.was_filling = standing.is_ok_and(|own| own.is_some_and(|own| own.stage == Stage::Filling));
        match job {
            Job::Write { .. } if machine.is_quarantined => Err("quarantined".to_string()),
            Job::Write { drafts } => machine.keeper.write(schema, drafts, moment).map(|_| None),
            Job::Apply { entries, .. } => machine.keeper.apply(schema, entries, nonce, moment).map(Some),
            Job::Kept { entries, kept, .. } => machine.keeper.take_kept(schema, entries, kept, moment).map(Some),
            Job::Renew => machine.keeper.renew(schema, nonce, moment).map(|()| None),
            Job::Floor(job) => {
                let result = machine.keeper.floor(schema, job, moment);
                if matches!((job, &result), (FloorJob::SetAside(_), Ok(true))) {
                    machine.forget();
                    machine.has_lost = true;
                }
                result.map(|_| None)
            }
        }
    }

    fn kept(&mut self, at: usize) {
        let Some((asked_ms, job)) = self.machines[at].jobs.pop_front() else { return };
        let is_memory = matches!(self.machines[at].keeper, Keeper::Memory(_));
        let fails = self.machines[at].health != Health::Well && is_memory;
        let result = if fails { Err("the disk fails".to_string()) } else { self.perform(at, &job) };
        // I9: our own acts wait for our own disk only.
        let waits_ms = self.now_ms - asked_ms;
        let is_held_up = self.machines[at].paused_until_ms + 30_000 > self.now_ms;
        assert!(waits_ms < 20_000 || is_held_up, "I9: an act waited {waits_ms} ms");
        let before = self.machines[at].us;
        let grown = self.sync(at);
        let machine = &mut self.machines[at];
        machine.safe = machine.keeper.moment();
        machine.us = machine.keeper.us().or(before);
        let is_renamed = machine.us != before;
        if let (Job::Apply { entries, .. }, Ok(Some(applied))) = (&job, &result) {
            self.look_at_applied(at, entries, applied, &grown, is_renamed);
        }
        let machine = &mut self.machines[at];
        if let (Job::Renew, Ok(_)) = (&job, &result) {
            machine.is_quarantined = false;
        }
        if !machine.jobs.is_empty() {
            let (disk_ms, boot) = (machine.disk_ms, machine.boot);
            let after_ms = self.chance.between(1, disk_ms);
            self.later(after_ms, Event::Kept { at, boot });
        }
        if is_renamed {
            return self.renamed(at);
        }
        let changed = session::Input::Changed { logs: grown.clone() };
        let link = match &job {
            Job::Apply { link, .. } => *link,
            Job::Kept { link, .. } => Some(*link),
            _ => None,
        };
        match (&job, &result) {
            (Job::Floor(job), Ok(_)) => self.floor_job_done(at, job),
            (Job::Floor(FloorJob::Fill { link, floor }), Err(_)) => {
                // Tried again.
                self.machines[at].filled_by = None;
                self.machines[at].offers.insert(*link, floor.clone());
            }
            (_, _) => (),
        }
        if let Some((link, batch)) = link {
            let applied = result.and_then(|applied| applied.ok_or_else(|| "nothing".to_string()));
            self.session_input(at, link, session::Input::Applied { batch, applied });
        }
        let links: Vec<u64> = self.machines[at].ends.keys().copied().collect();
        for link in links.into_iter().filter(|_| !grown.is_empty()) {
            self.told_sec(at, link);
            self.session_input(at, link, changed.clone());
        }
        if matches!(job, Job::Floor(_) | Job::Kept { .. }) {
            // Its standing may be another: whoever speaks with it hears of that.
            let links: Vec<u64> = self.machines[at].ends.keys().copied().collect();
            links.into_iter().for_each(|link| self.session_input(at, link, session::Input::Tick));
        }
        self.take_floor(at);
    }

    /// A machine writes under another name from now on: every link says hello anew.
    fn renamed(&mut self, at: usize) {
        self.hit("incarnation taken while running");
        let machine = &mut self.machines[at];
        machine.lives += 1;
        machine.is_quarantined = false;
        assert!(machine.lives < 60, "I12: {} lives", machine.lives);
        let ends: Vec<(u64, usize)> = machine.ends.iter().map(|(link, end)| (*link, end.end)).collect();
        for (link, end) in ends {
            self.drop_end(link, end);
            self.later(2, Event::Reset { link, end: 1 - end });
        }
        self.machines[at].election = None;
        self.elect(at);
    }

    // Links.

    fn dial(&mut self) {
        self.later(DIAL_MS, Event::Dial);
        for a in 0..self.machines.len() {
            for b in 0..a {
                let is_ready = self.machines[a].is_up && self.machines[b].is_up && self.network.is_open(a, b);
                if !is_ready {
                    continue;
                }
                let old = self.network.between(a, b);
                let is_whole = |link: &u64| [a, b].iter().all(|at| self.machines[*at].ends.contains_key(link));
                let is_stuck = |link: &u64| {
                    let wants = |at: &usize| {
                        self.machines[*at]
                            .ends
                            .get(link)
                            .is_some_and(|end| end.wants_new_link && end.opened_ms + 5_000 < self.now_ms)
                    };
                    [a, b].iter().any(wants)
                };
                if old.iter().any(|link| is_whole(link) && !is_stuck(link)) {
                    continue;
                }
                for link in old {
                    self.drop_end(link, 0);
                    self.drop_end(link, 1);
                }
                self.connect(a, b);
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let link = self.network.link([a, b], [self.machines[a].boot, self.machines[b].boot]);
        for (end, (at, peer)) in [(a, b), (b, a)].into_iter().enumerate() {
            let machine = &self.machines[at];
            let Some(origin) = machine.us else { return };
            let me = Me {
                fleet: FleetId::from_u128(7),
                origin,
                boot: machine.clock.boot_id(),
                build: String::new(),
                kinds: BTreeMap::new(),
                features: Vec::new(),
                wants: self.wants(at),
                seen: machine.token,
                clock: machine.clock.for_sessions(self.now_ms),
            };
            let session = Session::new(me, Limits::default());
            let (claimed, sent, told_sec) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            let (is_talking, has_trouble, wants_new_link) = (false, false, false);
            let opened_ms = self.now_ms;
            let end =
                End { session, end, peer, opened_ms, is_talking, claimed, sent, told_sec, has_trouble, wants_new_link };
            self.machines[at].ends.insert(link, end);
        }
        for (at, peer) in [(a, b), (b, a)] {
            let peer = self.machines[peer].name;
            self.session_input(at, link, session::Input::Opened { peer });
        }
    }

    /// One end of a link is over.
    pub fn drop_end(&mut self, link: u64, end: usize) {
        let Some(ends) = self.network.links.get(&link).map(|link| link.ends) else { return };
        let Some(gone) = self.machines[ends[end]].ends.remove(&link) else { return };
        if !self.machines[ends[1 - end]].ends.contains_key(&link) {
            self.network.links.remove(&link);
        }
        if gone.is_talking {
            let (at, node) = (ends[end], self.machines[gone.peer].name);
            self.election_input(at, Input::Down { node, was_reset: false });
        }
    }

    fn tick(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        machine.tick_at_ms = None;
        let now_ms = machine.clock.mono(self.now_ms);
        let is_due = |due: Option<(u64, &str)>| due.is_some_and(|(at_ms, _)| at_ms <= now_ms);
        let links: Vec<u64> =
            machine.ends.iter().filter(|(_, end)| is_due(end.session.poll_timeout())).map(|(link, _)| *link).collect();
        if is_due(machine.election.as_ref().and_then(Election::poll_timeout)) {
            self.election_input(at, Input::Tick);
        }
        for link in links {
            self.session_input(at, link, session::Input::Tick);
        }
        self.set_timer(at);
    }

    /// One timer for all that is due on a machine.
    pub fn set_timer(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let Some(due_ms) = machine.due() else { return };
        let wait_ms = due_ms.saturating_sub(machine.clock.mono(self.now_ms));
        let at_ms = self.now_ms + wait_ms + wait_ms / 400 + 1;
        if machine.tick_at_ms.is_none_or(|set_ms| at_ms < set_ms) {
            machine.tick_at_ms = Some(at_ms);
            let boot = machine.boot;
            self.later(at_ms - self.now_ms, Event::Tick { at, boot });
        }
    }

    fn orders(&mut self) {
        self.later(ORDERS_MS, Event::Orders);
        for at in 0..self.fleet {
            let Some(token) = self.reign_of(at) else { continue };
            let links: Vec<(u64, usize)> = self.machines[at]
                .ends
                .iter()
                .filter(|(_, end)| end.is_talking)
                .map(|(link, end)| (*link, end.end))
                .collect();
            for (link, end) in links {
                self.put_on_wire(link, 1 - end, Packet::Order(token));
            }
        }
    }

    pub fn put_on_wire(&mut self, link: u64, to_end: usize, packet: Packet) {
        let at_ms = self.network.send(link, to_end, packet, self.now_ms, &mut self.chance);
        if let Some(at_ms) = at_ms {
            self.later(at_ms - self.now_ms, Event::Deliver { link, end: to_end });
        }
    }

    fn mend(&mut self) {
        let (late, lost) = self.network.mend(self.now_ms, &mut self.chance);
        for (at_ms, link, end) in late {
            self.later(at_ms - self.now_ms, Event::Deliver { link, end });
        }
        for link in lost {
            self.drop_end(link, 0);
            self.drop_end(link, 1);
        }
    }

    pub fn make_well(&mut self, at: usize) {
        self.machines[at].health = Health::Well;
        self.machines[at].keeper.mend();
        if self.machines[at].is_up && matches!(self.machines[at].keeper, Keeper::Redb(_)) {
            // A store that failed opens its file again at the next job.
            self.ask(at, Job::Apply { link: None, entries: Vec::new() });
        }
    }
}
