//! What a fleet of three costs and how promptly it acts: another coordinator after one was killed or cut off, an act seen on
//! the other nodes, a person disabled everywhere, a coordinator that has nothing to do, a recording beside busy nodes.
//!
//! The nodes are the real program, each in a network namespace; the switch between them is this process (`Cables`), which
//! adds tens of microseconds to a packet. What is timed is seen by asking a node again and again, so every time includes
//! one such question. Where namespaces cannot be made the nodes speak over loopback, and no cable is cut.

use crate::figure::{Figure, Sheet, median};
use crate::harness::{Cables, Member, Options, Plan, Room, wait_settled};
use crate::process::{catch, cpu_seconds};
use crate::store::percentile;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);
const PASSWORD: &str = "copper kettle under seven clouds";
/// People who change records at a time while another node records.
const BUSY: usize = 4;

/// How often a coordinator is killed and cut off; how long the other parts take, seconds.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub killed: usize,
    pub cut_off: usize,
    pub acts: u64,
    pub still: u64,
}

pub fn measure(sheet: &Sheet, effort: Effort) {
    let cables = Cables::lay(3);
    let mut members = three(cables.as_ref());
    acts(sheet, &members, effort.acts);
    disabling(sheet, &members, effort.acts);
    idle(sheet, &members, effort.still);
    let cut = |members: &mut [Member], boss| {
        let cables = cables.as_ref()?;
        cables.cut(boss);
        Some(elected(members, boss, || cables.mend()))
    };
    let killed = |members: &mut [Member], boss: usize| {
        members[boss].node.kill9();
        let took = elected(members, boss, || {});
        members[boss].node.restart();
        Some(took)
    };
    failovers(sheet, "killed", 1.0, &mut members, effort.killed, killed);
    failovers(sheet, "cut off", 3.8, &mut members, effort.cut_off, cut);
    drop(members);
    beside_a_recording(sheet, cables.as_ref(), effort.still);
}

fn three(cables: Option<&Cables>) -> Vec<Member> {
    let Some(cables) = cables else {
        let first = Member::first();
        let others = [first.another(), first.another()];
        wait_settled(&[&first, &others[0], &others[1]]);
        return [first].into_iter().chain(others).collect();
    };
    Member::fleet_on(cables, 3)
}

/// From the loss of the coordinator until both others follow one of them; then all are brought back into step.
fn failovers(
    sheet: &Sheet,
    how: &str,
    goal: f64,
    members: &mut [Member],
    count: usize,
    lose: impl Fn(&mut [Member], usize) -> Option<f64>,
) {
    let mut times = Vec::new();
    while times.len() < count {
        let id = wait_settled(&members.iter().collect::<Vec<_>>());
        let Some(boss) = members.iter().position(|member| member.id() == id) else { break };
        let Some(took) = lose(members, boss) else { return };
        times.push(took);
    }
    eprintln!("{} trials of a coordinator {how}: {times:.2?}", times.len());
    let half = median(&times).unwrap_or(f64::NAN);
    sheet.print(Figure::cost(format!("fleet.failover_p50, {how}, {} trials", times.len()), half, "s"));
    sheet.print(Figure::cost(format!("fleet.failover_p99, {how}"), percentile(&mut times, 99), "s").goal(goal));
}

/// Seconds until both others follow one of them.
fn elected(members: &[Member], boss: usize, then: impl Fn()) -> f64 {
    let began = Instant::now();
    let rest: Vec<&Member> = members.iter().enumerate().filter(|(at, _)| *at != boss).map(|(_, one)| one).collect();
    // Whatever they are called, the one that is lost is not among them.
    let ids: Vec<String> = rest.iter().map(|member| member.id()).collect();
    let found = catch(LIMIT, || {
        let one = rest[0].coordinator().filter(|one| ids.contains(one))?;
        (rest[1].coordinator()? == one).then_some(())
    });
    let took = found.map_or(f64::NAN, |((), at)| at.duration_since(began).as_secs_f64());
    then();
    took
}

fn add(member: &Member, name: &str) -> String {
    let email = format!("{name}@example.org");
    let body = json!({"name": name, "email": email, "password": PASSWORD, "roles": ["viewer"]});
    member.post("/api/v1/users", &body).is(201)["id"].as_str().unwrap_or_default().to_owned()
}

fn change(member: &Member, id: &str, how: &Value) {
    member.ask(Method::PATCH, &format!("/api/v1/users/{id}"), how).is(200);
}

/// A person gets another name on one node, and it shows on another.
fn acts(sheet: &Sheet, members: &[Member], seconds: u64) {
    let id = add(&members[0], "lag");
    wait_settled(&members.iter().collect::<Vec<_>>());
    let (began, mut acts, mut lags) = (Instant::now(), Vec::new(), Vec::new());
    while began.elapsed() < Duration::from_secs(seconds) {
        let (here, there) = (&members[acts.len() % 3], &members[(acts.len() + 1) % 3]);
        let name = format!("name {}", acts.len());
        let asked = Instant::now();
        change(here, &id, &json!({ "name": name }));
        let answered = Instant::now();
        let seen = catch(LIMIT, || there.get("/api/v1/users").text.contains(&format!("\"{name}\"")).then_some(()));
        acts.push((answered - asked).as_secs_f64() * 1e3);
        lags.push(seen.map_or(f64::NAN, |((), at)| at.duration_since(answered).as_secs_f64() * 1e3));
    }
    let count = lags.len();
    sheet.print(Figure::cost("fleet.act_p50", median(&acts).unwrap_or(f64::NAN), "ms"));
    let figure = Figure::cost(format!("fleet.act_to_other_node_p50, {count} acts"), percentile(&mut lags, 50), "ms");
    sheet.print(figure.goal(8.0));
    sheet.print(Figure::cost("fleet.act_to_other_node_p99", percentile(&mut lags, 99), "ms").goal(40.0));
}

/// A person who is logged in on two nodes is disabled on the third: until both say no.
fn disabling(sheet: &Sheet, members: &[Member], seconds: u64) {
    let id = add(&members[0], "gone");
    wait_settled(&members.iter().collect::<Vec<_>>());
    let login = json!({"email": "gone@example.org", "password": PASSWORD});
    let log_in = |member: &Member| {
        let in_time = catch(Duration::from_secs(2), || {
            let answer = member.post_as("", "/api/v1/auth/login", &login);
            answer.body["token"].as_str().map(ToOwned::to_owned)
        });
        in_time.map(|(token, _)| token)
    };
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(seconds) {
        // A node that has had enough log-ins for a while ends the trials.
        let (Some(one), Some(other)) = (log_in(&members[1]), log_in(&members[2])) else { break };
        let tokens = [one, other];
        let asked = Instant::now();
        change(&members[0], &id, &json!({"is_disabled": true}));
        let refused = |at: usize| {
            let ask = || (members[at].get_as(&tokens[at - 1], "/api/v1/auth/me").status == 401).then_some(());
            catch(LIMIT, ask).map_or(f64::NAN, |((), at)| at.duration_since(asked).as_secs_f64() * 1e3)
        };
        let refused = &refused;
        let both = std::thread::scope(|scope| {
            let [one, other] = [1, 2].map(|at| scope.spawn(move || refused(at)));
            [one.join().unwrap_or(f64::NAN), other.join().unwrap_or(f64::NAN)]
        });
        times.push(both[0].max(both[1]));
        change(&members[0], &id, &json!({"is_disabled": false}));
    }
    if times.is_empty() {
        times.push(f64::NAN);
    }
    let name = format!("fleet.disabled_to_refused_on_both_p50, {} trials", times.len());
    sheet.print(Figure::cost(name, percentile(&mut times, 50), "ms"));
    sheet.print(Figure::cost("fleet.disabled_to_refused_on_both_p99", percentile(&mut times, 99), "ms").goal(1_000.0));
}

/// The coordinator and a node without a fleet, both with nothing to do, at the same time.
fn idle(sheet: &Sheet, members: &[Member], seconds: u64) {
    let alone = Member::first();
    let id = wait_settled(&members.iter().collect::<Vec<_>>());
    let Some(boss) = members.iter().find(|member| member.id() == id) else { return };
    // What asking and starting have cost settles first.
    std::thread::park_timeout(Duration::from_secs(3));
    let cost = |member: &Member| cpu_seconds(member.pid()).unwrap_or(f64::NAN);
    let (began, before) = (Instant::now(), [cost(boss), cost(&alone)]);
    std::thread::park_timeout(Duration::from_secs(seconds));
    let share = |after: f64, before: f64| (after - before) / began.elapsed().as_secs_f64() * 100.0;
    let [of_boss, of_alone] = [share(cost(boss), before[0]), share(cost(&alone), before[1])];
    let figure = Figure::cost("fleet.cpu_idle_coordinator_of_3", of_boss, "% of a core").goal(3.0);
    sheet.print(figure.peer("a node without a fleet", Some(of_alone)));
    let [of_boss, of_alone] = [boss, &alone].map(|member| member.memory_kb() as f64 * 1.024e-3);
    let figure = Figure::cost("fleet.memory_idle_coordinator_of_3", of_boss, "MB").goal(of_alone + 64.0);
    sheet.print(figure.peer("a node without a fleet", Some(of_alone)));
}

/// A node records, first while the others are quiet, then while people change records on them without a pause.
fn beside_a_recording(sheet: &Sheet, cables: Option<&Cables>, seconds: u64) {
    let room = Room::new(Plan { channels: 2, server: Options::unwaiting(), ..Plan::default() });
    let place = |at| cables.map(|cables: &Cables| cables.place(at));
    let first = cables.map_or_else(Member::new, |cables| Member::at(cables, 0)).claimed();
    let second = first.lets_in(cables.map_or_else(Member::new, |cables| Member::at(cables, 1)));
    let court = first.lets_in(Member::beside(&room.server.name, &room.appliance.data, place(2)));
    wait_settled(&[&first, &second, &court]);
    let people: Vec<String> = (0..BUSY).map(|number| add(&first, &format!("busy{number}"))).collect();
    wait_settled(&[&first, &second, &court]);
    let id = court.post("/api/v1/recordings", &json!({"title": "beside"})).is(201)["id"].take();
    let id = id.as_str().unwrap_or_default();

    let xruns = |room: &Room| f64::from(room.feed.xruns());
    let at_first = xruns(&room);
    room.feed.play(seconds * 48_000);
    let quiet = xruns(&room) - at_first;
    let (ends, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for (number, person) in people.iter().enumerate() {
            let (member, ends, done) = ([&first, &second][number % 2], &ends, &done);
            scope.spawn(move || {
                while !ends.load(Ordering::Acquire) {
                    let count = done.fetch_add(1, Ordering::Relaxed);
                    change(member, person, &json!({"name": format!("busy {count}")}));
                }
            });
        }
        room.feed.play(seconds * 48_000);
        ends.store(true, Ordering::Release);
    });
    let busy = xruns(&room) - at_first - quiet;
    court.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let gaps = room.appliance.info(id).gaps.len() as f64;
    let speed = done.load(Ordering::Relaxed) as f64 / seconds as f64;
    sheet.print(Figure::speed("fleet.acts_of_4_people_beside_a_recording", speed, "acts/s"));
    sheet.print(Figure::cost("fleet.xruns_beside_quiet_nodes", quiet, "xruns"));
    sheet.print(Figure::cost("fleet.xruns_beside_busy_nodes", busy, "xruns").goal(0.0));
    sheet.print(Figure::cost("fleet.gaps_beside_busy_nodes", gaps, "gaps").goal(0.0));
    wait_settled(&[&first, &second, &court]);
}
