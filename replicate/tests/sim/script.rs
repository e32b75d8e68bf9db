//! What people do and what befalls machines, cables and clocks; and the end of it: everything is mended.

use super::check::known_of;
use super::disk::{Keeper, record_id};
use super::machine::{Health, Job, Machine};
use super::world::{Event, World};
use replicate::core::election::{Input, Mutant, Token};
use replicate::core::entry::Entry;
use replicate::core::id::{Dot, Hash, NodeId, Stream};
use replicate::core::record::RecordKey;
use replicate::core::write::{Act, Draft, Replaces};
use std::sync::Arc;

const GHOST: NodeId = NodeId::from_u128(0xf00d);
const DAYS_MS: i64 = 3 * 86_400_000;

/// The share of each fault, and how it is called.
const FAULTS: [(u64, &str); 23] = [
    (8, "cut one way"),
    (6, "cut both ways"),
    (8, "split"),
    (4, "bridge"),
    (5, "flap"),
    (16, "mend"),
    (5, "loss 30 %"),
    (4, "slow network"),
    (12, "crash"),
    (8, "kill"),
    (4, "off for days"),
    (4, "pause"),
    (3, "flashed, told"),
    (1, "flashed, untold"),
    (2, "cloned"),
    (14, "backup taken"),
    (4, "backup restored"),
    (3, "disk lied"),
    (4, "disk fails"),
    (3, "disk full"),
    (4, "clock jumps"),
    (2, "upgrade"),
    (3, "hand-over or force"),
];

impl World {
    pub fn act_again(&mut self) {
        if self.is_healing {
            return;
        }
        let after_ms = self.chance.between(50, if self.is_calm { 4_000 } else { 700 });
        self.later(after_ms, Event::Act);
        let at = self.chance.below(self.machines.len());
        if !self.machines[at].is_up {
            return;
        }
        if self.has_bulk && self.acts > 15 {
            self.has_bulk = false;
            self.bulk(at);
        } else if self.chance.is(6) {
            self.ghost_writes(at);
        } else {
            let drafts = (0..self.chance.pick(&[1, 1, 1, 2, 3])).map(|_| self.draft(at)).collect();
            self.ask(at, Job::Write { drafts });
        }
    }

    fn meant(&mut self, kind: &str, number: u128, act: Act) -> Draft {
        self.acts += 1;
        let (by, why) = (format!("p{}", self.acts), self.acts.is_multiple_of(7).then(|| "because".to_string()));
        let (kind, id, reports) = (kind.to_string(), record_id(number), kind == "audit");
        let draft = Draft { kind, id, act, by: by.clone(), why, reports };
        self.intents.insert(by, draft.clone());
        draft
    }

    /// What a person has before them: on this machine, or on another, a while ago or now.
    fn seen(&mut self, at: usize, kind: &str, number: u128, group: &str) -> Replaces {
        if self.chance.is(55) {
            return Replaces::All;
        }
        let elsewhere = if self.chance.is(50) { at } else { self.chance.below(self.machines.len()) };
        let record = RecordKey { kind: kind.to_string(), id: record_id(number) };
        let live = self.model.live(&self.machines[elsewhere].have, &record, Some(group));
        let mut dots: Vec<Dot> = live.into_iter().map(|known| known.at.dot).collect();
        if self.chance.is(30) {
            dots.pop();
        }
        Replaces::These(dots)
    }

    fn draft(&mut self, at: usize) -> Draft {
        let number = 1 + self.chance.below(3) as u128;
        let (value, count) = (format!("\"{}\"", self.acts), self.acts.to_string());
        if self.retirements > 0 && self.chance.is(10) {
            return self.retirement(at);
        }
        let user = |world: &mut Self, act| world.meant("user", number, act);
        match self.chance.below(100) {
            0..18 => {
                let group = self.chance.pick(&["label", "timing"]);
                let replaces = self.seen(at, "plan", number, group);
                self.meant("plan", number, Act::Put { group: group.to_string(), value, replaces })
            }
            18..28 => {
                let replaces = self.seen(at, "user", number, "profile");
                user(self, Act::Put { group: "profile".to_string(), value, replaces })
            }
            28..42 => user(self, Act::Disable { group: "access".to_string(), value }),
            42..56 => {
                let replaces = self.seen(at, "user", number, "access");
                user(self, Act::Enable { group: "access".to_string(), value, replaces })
            }
            56..61 => {
                let replaces = self.seen(at, "user", number, "cred_gen");
                user(self, Act::Put { group: "cred_gen".to_string(), value: count, replaces })
            }
            61..70 => {
                let kind = self.chance.pick(&["plan", "plan", "user"]);
                self.meant(kind, number, Act::Delete)
            }
            70..79 => {
                let kind = self.chance.pick(&["plan", "user"]);
                self.meant(kind, number, Act::Restore)
            }
            79..83 if self.machines[at].schema == 1 => {
                let put = Act::Put { group: "text".to_string(), value, replaces: Replaces::All };
                self.meant("novel", number, put)
            }
            79..90 => {
                let put = Act::Put { group: "facts".to_string(), value, replaces: Replaces::All };
                self.meant("fact", 100 * (at as u128 + 1) + number, put)
            }
            _ => {
                let put = Act::Put { group: "what".to_string(), value, replaces: Replaces::All };
                let number = 1_000 + u128::from(self.acts);
                self.meant("audit", number, put)
            }
        }
    }

    /// Somebody retires a node where its logs end on this machine, or further back, or takes back what says so here.
    fn retirement(&mut self, at: usize) -> Draft {
        self.hit("retirement");
        self.retirements -= 1;
        let whom = self.machines[self.chance.below(self.fleet)].name;
        let (number, group) = (u128::from_be_bytes(whom.0), "access".to_string());
        if self.chance.is(25) {
            let (value, replaces) = ("null".to_string(), Replaces::All);
            return self.meant("member", number, Act::Enable { group, value, replaces });
        }
        let is_cut_short = self.chance.is(25);
        let mut last = |stream| {
            let have = &self.machines[at].have;
            let mut logs = have.iter().filter(|(log, _)| (log.node, log.stream) == (whom, stream));
            let (inc, seq) = logs.next_back().map_or((0, 0), |(log, hashes)| (log.inc, hashes.len() as u64));
            format!("[{inc},{}]", if is_cut_short { self.chance.between(0, seq) } else { seq })
        };
        let value = format!(r#"{{"sec":{},"cfg":{}}}"#, last(Stream::Sec), last(Stream::Cfg));
        self.meant("member", number, Act::Disable { group, value })
    }

    /// More than a window.
    fn bulk(&mut self, at: usize) {
        self.hit("bulk");
        for _ in 0..32 {
            let value = format!("\"{}\"", "x".repeat(40_000));
            let put = Act::Put { group: "what".to_string(), value, replaces: Replaces::All };
            let number = 1_000 + u128::from(self.acts);
            let drafts = vec![self.meant("audit", number, put)];
            self.ask(at, Job::Write { drafts });
        }
        let drafts = vec![self.meant("user", 1, Act::Disable { group: "access".to_string(), value: "1".to_string() })];
        self.ask(at, Job::Write { drafts });
    }

    /// A node of a later version, of which nobody here knows more than its entries.
    fn ghost_writes(&mut self, at: usize) {
        let have = self.ghost_end(at).unwrap_or(0);
        if have == self.ghost.len() {
            let previous = self.ghost.last().map(|raw| Entry::parse(raw).unwrap());
            let ph = previous.map_or(Hash::NOTHING, |entry| entry.hash);
            let (seq, lam) = (self.ghost.len() + 1, self.acts + 1);
            let (extra, record) =
                (format!(r#""zz":{{"n":[1.50,{seq}]}}"#), record_id(1 + self.chance.next() as u128 % 3));
            let head = format!(r#""d":["{GHOST}",1,{seq}],"s":"cfg""#);
            let time = format!(r#""t":{{"lam":{lam},"wall":5,"q":"rtc","leap":true,"boot":"{GHOST}","mono":1}}"#);
            let body = |kind: &str, op: &str, val: &str| {
                format!(r#""k":"{kind}","id":"{record}","g":"label","op":"{op}","val":{val},"by":"g","ph":"{ph}""#)
            };
            let raw = match (seq, self.chance.below(4)) {
                (1, _) => {
                    let open = body("log", "open", r#"{"nonce":77}"#);
                    format!(r#"{{"v":1,{head},{time},{open}}}"#)
                }
                (_, 0) => format!(r#"{{ "v":1,{extra}, {head},{time},{}}}"#, body("plan", "put", r#"1.250"#)),
                (_, 1) => format!(r#"{{"v":1,{head},{time},{extra},{}}}"#, body("hologram", "put", "[ 1 ]")),
                (_, 2) => format!(r#"{{"v":2,{head},{time},{},{extra}}}"#, body("plan", "levitate", "1")),
                _ => format!(r#"{{"v":9,{head},"t":{{"lam":{lam}}},"k":7,{extra},"ph":"{ph}"}}"#),
            };
            let entry = Entry::parse(raw.as_bytes()).unwrap();
            self.model.add(known_of(&entry));
            self.ghost.push(Arc::from(raw.as_bytes()));
        }
        self.hit("entry of a later version");
        let entries = self.ghost[have..].iter().take(2).cloned().collect();
        self.ask(at, Job::Apply { link: None, entries });
    }

    // Faults.

    pub fn fault_again(&mut self) {
        if self.is_healing || self.is_calm {
            return;
        }
        let after_ms = self.chance.between(200, 3_000);
        self.later(after_ms, Event::Fault);
        let all: u64 = FAULTS.iter().map(|(share, _)| share).sum();
        let mut number = self.chance.between(1, all);
        let mut faults = FAULTS.iter();
        let name = loop {
            match faults.next() {
                Some((share, name)) if number <= *share => break *name,
                Some((share, _)) => number -= share,
                None => return,
            }
        };
        let mut at = self.chance.below(self.fleet);
        if matches!(name, "backup restored" | "disk lied") {
            at = (0..self.fleet).find(|at| self.machines[*at].image.is_some()).unwrap_or(at);
        }
        let is_done = self.cable_fault(name) || (self.machines[at].is_up && self.machine_fault(at, name));
        if is_done {
            self.hit(name);
        }
    }

    fn cable_fault(&mut self, name: &str) -> bool {
        let count = self.machines.len();
        let (a, b) = (self.chance.below(count), self.chance.below(count));
        match name {
            "cut one way" => drop(self.network.cuts.insert((a, b))),
            "cut both ways" => self.network.cuts.extend([(a, b), (b, a)]),
            "split" | "bridge" => {
                let sides: Vec<bool> = (0..count).map(|_| self.chance.is(50)).collect();
                let bridge = if name == "bridge" { a } else { count };
                for a in 0..count {
                    for b in 0..count {
                        if sides[a] != sides[b] && a != bridge && b != bridge {
                            self.network.cuts.insert((a, b));
                        }
                    }
                }
            }
            "flap" => {
                self.network.cuts.extend([(a, b), (b, a)]);
                for round in 1..4 {
                    self.later(round * 300, Event::Mend);
                }
            }
            "mend" => {
                (self.network.loss_percent, self.network.delay_ms) = (0, 5);
                self.later(0, Event::Mend);
            }
            "loss 30 %" => self.network.loss_percent = self.chance.pick(&[1, 10, 30]),
            "slow network" => self.network.delay_ms = self.chance.between(100, 900),
            _ => return false,
        }
        true
    }

    fn machine_fault(&mut self, at: usize, name: &str) -> bool {
        let off_ms = self.chance.between(50, 6_000);
        let health = |machine: &mut Machine, health| machine.health = health;
        match name {
            "crash" => self.stop(at, false, true),
            "kill" => self.stop(at, true, true),
            "off for days" => {
                self.stop(at, true, true);
                self.machines[at].clock.jump(DAYS_MS);
                return self.boot_later(at, off_ms + 8_000);
            }
            "pause" => {
                self.machines[at].paused_until_ms = self.now_ms + off_ms;
                return true;
            }
            "flashed, told" => return self.flash(at, true),
            "flashed, untold" => return self.flash(at, false),
            "cloned" => return self.clone_disk(at),
            "backup taken" => {
                self.machines[at].image = Some(self.machines[at].keeper.image());
                return true;
            }
            "backup restored" | "disk lied" => return self.go_back(at, name == "disk lied"),
            "disk fails" => {
                health(&mut self.machines[at], Health::Fails);
                self.machines[at].keeper.fail();
                self.later(off_ms, Event::Well { at });
                return true;
            }
            "disk full" => {
                health(&mut self.machines[at], Health::Full);
                self.machines[at].keeper.fill();
                self.later(off_ms, Event::Well { at });
                return true;
            }
            "clock jumps" => {
                let by_ms = self.chance.pick(&[-3_600_000, 3_600_000, -DAYS_MS, 400 * DAYS_MS]);
                self.machines[at].clock.jump(by_ms);
                return true;
            }
            "upgrade" => {
                self.stop(at, true, false);
                self.machines[at].schema = 1;
            }
            "hand-over or force" => {
                let to = self.machines[self.chance.below(self.fleet)].name;
                let input = if self.chance.is(70) { Input::HandOver { to } } else { Input::Force };
                self.election_input(at, input);
                return true;
            }
            _ => return false,
        }
        self.boot_later(at, off_ms)
    }

    fn boot_later(&mut self, at: usize, after_ms: u64) -> bool {
        self.make_well(at);
        self.later(after_ms, Event::Boot { at });
        true
    }

    /// Whether a machine that lost its memory goes on under its old name: a bug of the program around the library.
    pub fn reuses_names(&self) -> bool {
        self.election.mutant == Some(Mutant::IncarnationReused)
    }

    /// A new card under the old name.
    pub fn flash(&mut self, at: usize, is_told: bool) -> bool {
        self.stop(at, true, false);
        self.make_well(at);
        let reuses_names = self.reuses_names();
        let machine = &mut self.machines[at];
        let last = machine.us.map_or(0, |us| us.inc);
        let is_redb = matches!(machine.keeper, Keeper::Redb(_));
        machine.keeper = Keeper::new(is_redb);
        (machine.token, machine.obeyed, machine.image) = (Token::NONE, Token::NONE, None);
        machine.is_quarantined = false;
        machine.forget();
        machine.has_lost = true;
        let inc_min = match is_told {
            _ if reuses_names => last,
            true => last + 1,
            false => 1,
        };
        if !is_told {
            // Whatever it takes, it may have been taken before, until somebody tells it.
            let name = machine.name;
            self.model.doubles.extend((1..=last + 3).map(|inc| (name, inc)));
        }
        self.boot(at, inc_min);
        true
    }

    /// A copy of the disk runs in another box for a while.
    fn clone_disk(&mut self, at: usize) -> bool {
        if self.machines.len() > self.fleet || self.machines[at].health != Health::Well {
            return false;
        }
        let origin = &self.machines[at];
        let Some(us) = origin.us else { return false };
        let mut copy = Machine::new(origin.name, origin.clock, false, origin.disk_ms);
        copy.keeper = origin.keeper.copy();
        (copy.have, copy.lamport) = (origin.have.clone(), origin.lamport);
        (copy.is_copy, copy.schema, copy.boot, copy.is_keeper) = (true, origin.schema, 1_000, origin.is_keeper);
        self.model.doubles.insert((us.node, us.inc));
        self.machines.push(copy);
        let copy = self.machines.len() - 1;
        self.boot(copy, 1);
        let after_ms = self.chance.between(2_000, 9_000);
        self.later(after_ms, Event::Retire { at: copy });
        true
    }

    pub fn retire(&mut self, at: usize) {
        if self.machines[at].is_up {
            self.stop(at, true, false);
        }
        self.machines[at].is_gone = true;
    }

    /// The disk is as it was, and nothing on it says so.
    fn go_back(&mut self, at: usize, has_lied: bool) -> bool {
        let Some(image) = self.machines[at].image.take() else { return false };
        self.stop(at, !has_lied, false);
        self.make_well(at);
        let machine = &mut self.machines[at];
        let before = machine.us;
        machine.keeper.restore(&image);
        machine.forget();
        machine.has_lost = true;
        if let Some(us) = before {
            self.model.doubles.insert((us.node, us.inc));
        }
        self.boot(at, 1);
        if self.machines[at].us == before {
            self.hit("goes on under the name of a backup");
        }
        true
    }

    // The end.

    /// Every machine is well and stays so; cables stay as they are.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
        self.hit("calm with standing cuts");
        self.queue.retain(|_, event| !matches!(event, Event::Mend));
        self.repair();
    }

    pub fn heal(&mut self) {
        self.is_healing = true;
        self.later(0, Event::Mend);
        self.repair();
    }

    fn repair(&mut self) {
        (self.network.loss_percent, self.network.delay_ms) = (0, 20);
        for at in 0..self.machines.len() {
            self.make_well(at);
            self.machines[at].paused_until_ms = 0;
            if at >= self.fleet {
                self.retire(at);
            } else if !self.machines[at].is_up {
                self.boot(at, 1);
            }
            if self.machines[at].is_quarantined {
                self.later(1_000, Event::Renew { at });
            }
        }
    }
}
