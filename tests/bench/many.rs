//! What it costs to coordinate 500 nodes: memory and processor of a coordinator with nothing to do beside a node without a
//! fleet, a person disabled everywhere, all links cut at once and back, bytes of a peer with nothing to do.
//!
//! One real node; the others are a `crowd` in a process of its own. They come into the roster through the node's own store
//! while it stands still, which takes a second; 499 joins would take minutes and are measured elsewhere.

use crate::crowd::{Ask, CROWD, Followed, Newcomer, WITH_VOICES, Word};
use crate::figure::{Figure, Sheet, median};
use crate::harness::Member;
use crate::process::{cpu_by_thread, cpu_seconds_of_all, wait_for};
use crate::store::percentile;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rakkr::domain::ClockQuality;
use rakkr::store::fleet::{Joined, Key, Member as Roster, Profile};
use rakkr::store::{Edits, Id, Moment, Store};
use reqwest::Method;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

/// Until all have linked, at most.
const LIMIT: Duration = Duration::from_secs(180);
/// Members written at once: with what stands beside them five entries each, of the 256 that a commit may have.
const MEMBERS_AT_ONCE: usize = 50;
const PASSWORD: &str = "copper kettle under seven clouds";
/// Added to a TLS record by WebSocket and TLS is counted; by TCP and IP is not: 52 bytes a segment.
const SEGMENT_BYTES: f64 = 52.0;

/// How many peers, how often, how long.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub peers: usize,
    pub trials: usize,
    pub still: u64,
    pub cuts: usize,
}

pub fn measure(sheet: &Sheet, effort: Effort) {
    let mut crowd = Crowd::start(effort.peers, false);
    let (mut boss, alone) = (Member::first(), Member::first());
    let name = |what: &str| format!("many.{what}, {} peers", effort.peers);
    let came = crowd.follow(&mut boss, |_, _| ());
    sheet.print(Figure::cost(name("first_links"), came, "s").goal(30.0));

    disabled(sheet, &boss, &mut crowd, effort, &name);
    let mut back: Vec<f64> = (0..effort.cuts).map(|number| cut(&boss, &mut crowd, number)).collect();
    sheet.print(Figure::cost(name("all_cut_to_all_in_step_worst"), percentile(&mut back, 100), "s").goal(30.0));
    idle(sheet, [&boss, &alone], &mut crowd, effort, &name);
}

/// Writes the newcomers into the roster of a node that stands still, and beside each whatever else is to be known of it.
fn enter(boss: &Member, newcomers: &[Newcomer], beside: impl Fn(&mut Edits, &Newcomer)) {
    let moment = Moment { wall: now(), quality: ClockQuality::Ntp, mono_us: 1 };
    let node = rakkr::store::node_of(&boss.node.data).expect("it has a name");
    let (store, _) = Store::open(&boss.node.data.join("records"), node, "bench", moment, || 1).expect("its records");
    for (number, some) in newcomers.chunks(MEMBERS_AT_ONCE).enumerate() {
        let mut edits = Edits::by("bench");
        for (at, newcomer) in some.iter().enumerate() {
            edits.put_member(&Roster {
                id: newcomer.id,
                key: Some(Key { spki: newcomer.spki.clone(), certificate: STANDARD.encode(&newcomer.certificate) }),
                profile: Profile {
                    name: format!("Room {}", number * MEMBERS_AT_ONCE + at),
                    addresses: newcomer.address.iter().cloned().collect(),
                    priority: 0,
                    is_keeper: false,
                    // They only follow.
                    is_candidate: false,
                    weight: 1,
                },
                joined: Some(Joined { at: now(), by: "bench".into(), through: node }),
                is_retired: false,
                version: String::new(),
            });
            beside(&mut edits, newcomer);
        }
        store.commit(edits, moment).expect("the roster is kept");
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(f64::NAN, |since| since.as_secs_f64())
}

/// Waits until a node's own pages call so many current.
fn wait_current(boss: &Member, count: usize) {
    let is_so = || (boss.fleet()["current"] == count).then_some(());
    wait_for(LIMIT, is_so).unwrap_or_else(|| panic!("never {count} nodes are current"));
}

/// A person is disabled at the coordinator: until the last of all peers has applied it.
fn disabled(sheet: &Sheet, boss: &Member, crowd: &mut Crowd, effort: Effort, name: &dyn Fn(&str) -> String) {
    let body = json!({"name": "Gone", "email": "gone@example.org", "password": PASSWORD, "roles": ["viewer"]});
    let id = boss.post("/api/v1/users", &body).is(201)["id"].as_str().unwrap_or_default().to_owned();
    crowd.quiet();
    let mut times: Vec<f64> = (0..effort.trials * 2)
        .filter_map(|number| {
            let is_disabled = number % 2 == 0;
            let asked = unix_seconds();
            boss.ask(Method::PATCH, &format!("/api/v1/users/{id}"), &json!({"is_disabled": is_disabled})).is(200);
            let last = crowd.until_applied();
            crowd.quiet();
            is_disabled.then_some((last - asked) * 1e3)
        })
        .collect();
    eprintln!("disabled to applied by all, ms: {times:.0?}");
    let half = median(&times).unwrap_or(f64::NAN);
    sheet.print(Figure::cost(name("disabled_to_applied_by_all_p50"), half, "ms"));
    sheet.print(Figure::cost(name("disabled_to_applied_by_all_p99"), percentile(&mut times, 99), "ms").goal(1_000.0));
}

/// All links are cut; meanwhile something happens; then all come back.
fn cut(boss: &Member, crowd: &mut Crowd, number: usize) -> f64 {
    crowd.ask(&Ask::Cut);
    wait_current(boss, 1);
    let email = format!("late{number}@example.org");
    let body = json!({"name": "Late", "email": email, "password": PASSWORD, "roles": ["viewer"]});
    boss.post("/api/v1/users", &body).is(201);
    crowd.ask(&Ask::Back);
    let took = crowd.until_in_step();
    eprintln!("cut and back: all in step after {took:.1} s");
    took
}

/// The coordinator and a node without a fleet, both with nothing to do, at the same time.
fn idle(sheet: &Sheet, members: [&Member; 2], crowd: &mut Crowd, effort: Effort, name: &dyn Fn(&str) -> String) {
    // What the storm has cost settles first.
    std::thread::park_timeout(Duration::from_secs(5));
    let cost = || members.map(|member| cpu_seconds_of_all(member.pid()).unwrap_or(f64::NAN));
    let ((came, went), before, began) = (crowd.count(), cost(), Instant::now());
    let threads = cpu_by_thread(members[0].pid());
    std::thread::park_timeout(Duration::from_secs(effort.still));
    let took = began.elapsed().as_secs_f64();
    let (after, (came_after, went_after)) = (cost(), crowd.count());
    tell_threads(&threads, &cpu_by_thread(members[0].pid()), took);
    let share = |at: usize| (after[at] - before[at]) / took * 100.0;
    let figure = Figure::cost(name("cpu_idle_coordinator"), share(0), "% of a core").goal(3.0);
    sheet.print(figure.peer("a node without a fleet", Some(share(1))));
    let [of_boss, of_alone] = members.map(|member| member.memory_kb() as f64 * 1.024e-3);
    sheet.print(Figure::cost(name("memory_coordinator_above_single"), of_boss - of_alone, "MB").goal(64.0));
    sheet.print(Figure::cost(name("memory_coordinator"), of_boss, "MB").peer("a node without a fleet", Some(of_alone)));
    let bits = (came_after - came + went_after - went) as f64 * 8.0 / took / effort.peers as f64;
    sheet.print(Figure::cost(name("idle_peer_both_ways_of_TLS"), bits, "bit/s"));
    // A heartbeat, its answer, and the kernel's word for each.
    let with_tcp = bits + 4.0 * SEGMENT_BYTES * 8.0 / 5.0;
    sheet.print(Figure::cost(name("idle_peer_both_ways_with_4_TCP_segments_in_5_s"), with_tcp, "bit/s").goal(1_000.0));
}

/// Where the coordinator's time goes, for who reads along.
fn tell_threads(before: &[(String, f64)], after: &[(String, f64)], seconds: f64) {
    let sum = |all: &[(String, f64)], name: &str| {
        all.iter().filter(|(other, _)| other == name).map(|(_, cpu)| cpu).sum::<f64>()
    };
    let mut names: Vec<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut shares: Vec<(f64, &str)> =
        names.into_iter().map(|name| ((sum(after, name) - sum(before, name)) / seconds * 100.0, name)).collect();
    shares.sort_by(|one, other| other.0.total_cmp(&one.0));
    let shares: Vec<String> = shares.iter().take(6).map(|(share, name)| format!("{name} {share:.2} %")).collect();
    eprintln!("idle coordinator by thread: {}", shares.join(", "));
}

/// The process of simulated peers.
pub struct Crowd {
    child: Child,
    asks: Option<ChildStdin>,
    words: Receiver<Word>,
    pub newcomers: Vec<Newcomer>,
}

impl Crowd {
    /// So many peers, with voices or without.
    pub fn start(count: usize, have_voices: bool) -> Crowd {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command
            .args([CROWD, &count.to_string()])
            .args(have_voices.then_some(WITH_VOICES))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program again");
        let (asks, told) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let (sender, words) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                let Ok(word) = serde_json::from_str(&line) else { continue };
                if sender.send(word).is_err() {
                    return;
                }
            }
        });
        let mut crowd = Crowd { child, asks, words, newcomers: Vec::new() };
        crowd.newcomers = crowd.wait("newcomers", |word| match word {
            Word::Newcomers(newcomers) => Some(newcomers),
            _ => None,
        });
        crowd
    }

    /// Takes them into a node's fleet and has them follow it: seconds until all have what it has, and it what they have.
    pub fn follow(&mut self, boss: &mut Member, beside: impl Fn(&mut Edits, &Newcomer)) -> f64 {
        boss.node.stop();
        enter(boss, &self.newcomers, beside);
        boss.node.restart();
        let fleet = boss.fleet();
        let id = |name: &str| fleet[name].as_str().and_then(|id| id.parse::<Id>().ok()).expect("an id");
        let address = boss.node.tls_url.trim_start_matches("https://").to_owned();
        self.ask(&Ask::Follow(Followed { address, fleet: id("fleet_id"), node: id("node_id") }));
        let came = self.until_in_step();
        wait_current(boss, self.newcomers.len() + 1);
        came
    }

    pub fn ask(&mut self, ask: &Ask) {
        let asks = self.asks.as_mut().expect("it runs");
        writeln!(asks, "{}", serde_json::to_string(ask).expect("plain data")).expect("it listens");
        asks.flush().expect("it listens");
    }

    fn wait<T>(&self, what: &str, is_it: impl Fn(Word) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let left = LIMIT.saturating_sub(began.elapsed());
            let word = self.words.recv_timeout(left).unwrap_or_else(|_| panic!("no word of {what}"));
            if let Some(it) = is_it(word) {
                return it;
            }
        }
    }

    fn until_in_step(&self) -> f64 {
        self.wait("being in step", |word| match word {
            Word::InStep(seconds) => Some(seconds),
            _ => None,
        })
    }

    /// When the last one had applied what came last.
    fn until_applied(&self) -> f64 {
        self.wait("an act applied by all", |word| match word {
            Word::Applied(_, at) => Some(at),
            _ => None,
        })
    }

    /// When things were handed over, by their numbers, as far as it was told by now.
    pub fn handed(&self) -> Vec<(u64, f64)> {
        let handed = |word| match word {
            Word::Handed(number, at) => Some((number, at)),
            _ => None,
        };
        self.words.try_iter().filter_map(handed).collect()
    }

    /// Lets what is under way arrive, and forgets it.
    fn quiet(&self) {
        while self.words.recv_timeout(Duration::from_millis(300)).is_ok() {}
    }

    fn count(&mut self) -> (u64, u64) {
        self.ask(&Ask::Count);
        self.wait("bytes", |word| match word {
            Word::Counted(came, went) => Some((came, went)),
            _ => None,
        })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.asks = None;
        if wait_for(Duration::from_secs(2), || self.child.try_wait().ok().flatten()).is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
