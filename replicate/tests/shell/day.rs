//! From a seed to what happens on a day.

use crate::clock::Chance;
use crate::house::{delete, disable, enable, put};
use crate::laws::{self, Seen};
use crate::machine::Dials;
use crate::world::{Shape, Trouble, World, is_like, shape};
use replicate::core::write::Draft;
use std::sync::atomic::Ordering;

/// Until everybody has everything and follows one, after all was mended: a stream that stands still is closed after three
/// seconds of silence, and who it kept apart finds its coordinator then. 3,950 ms was the longest of 1,000 days.
const HEAL_MS: u64 = 8_000;
/// How long what is written then may take to be everywhere: nobody knows yet of a stream that stands still with nothing
/// to send.
const SPREAD_MS: u64 = 6_000;
/// What some day of twenty has to meet, or the days are too quiet to prove anything.
pub const WANTED: [&str; 12] = [
    "a line cut",
    "a line cut one way",
    "a line held",
    "a program killed",
    "power cut",
    "a slow reader",
    "a disk that stalls",
    "a link lost",
    "a link closed for silence",
    "a second link",
    "much written",
    "a person's word",
];

pub struct Day {
    seed: u64,
    chance: Chance,
    shape: Shape,
    bad_ms: u64,
}

impl Day {
    pub fn drawn(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5e11);
        let shape = shape(&mut chance);
        let bad_ms = chance.between(2_000, 9_000);
        Self { seed, chance, shape, bad_ms }
    }
}

/// What was written, and is to be everywhere.
#[derive(Default)]
struct Written {
    next: u128,
    facts: Vec<u128>,
}

/// One day, and what it met.
pub fn day(mut day: Day) -> Seen {
    let mut world = World::new(day.seed, day.shape);
    let mut written = Written::default();
    world.run_ms(day.chance.between(0, 1_500));
    let end_ms = world.now_ms() + day.bad_ms;
    while world.now_ms() < end_ms {
        happen(&mut world, &mut day.chance, &mut written);
        world.run_ms(day.chance.pick(&[0, 1, 20, 100, 400]));
    }
    world.heal();
    world.seen.healed_ms = world.until("all have the same and follow one", HEAL_MS, laws::is_whole);
    // Links that only look as if they were up would carry nothing now.
    for number in 1..=day.shape.machines {
        write(&mut world, &mut day.chance, &mut written, number, 1);
    }
    world.until("what is written now is everywhere", SPREAD_MS, laws::is_whole);
    for machine in &world.machines {
        let lost = written.facts.iter().find(|fact| machine.value("audit", **fact, "what").is_none());
        assert_eq!(lost, None, "node {} does not have what was written", machine.number);
        assert_eq!(machine.disk.borrow().aside(), 0);
    }
    world.end();
    laws::left_nothing(&world.machines);
    world.seen.clone()
}

/// One of three reads slowly while much is written: the others feel nothing of it, no more waits for it than may, and it
/// has everything soon after it is quick again.
pub fn slow_reader(seed: u64) -> Seen {
    let (mut chance, mut written) = (Chance(seed), Written::default());
    let mut world = World::new(seed, Shape { machines: 3, dials: Dials::Lesser, latency_ms: 1, window: 32 });
    world.until("all have met", HEAL_MS, laws::is_whole);
    // Credit grows with what waits for a disk that is prompt enough, until more may be under way than a link's row holds.
    bulk(&mut world, &mut chance, &mut written, 1, 150);
    for _ in 0..30 {
        for is_stalled in [true, false] {
            world.machines[2].stall(is_stalled);
            world.run_ms(if is_stalled { 100 } else { 5 });
        }
    }
    world.until("all have what is much", HEAL_MS, laws::is_whole);
    world.machines[2].rate.store(500, Ordering::Relaxed);
    bulk(&mut world, &mut chance, &mut written, 1, 150);
    world.until("the quick ones have it", 2_000, |machines| is_like(&machines[0], &machines[1]));
    write(&mut world, &mut chance, &mut written, 1, 1);
    world.until("the quick ones have that too", 300, |machines| is_like(&machines[0], &machines[1]));
    world.machines[2].rate.store(0, Ordering::Relaxed);
    world.until("the slow one has it", SPREAD_MS, laws::is_whole);
    let slow_ms = world.seen.hits.get(laws::SLOW).copied().unwrap_or(0);
    assert!(slow_ms > 0, "nothing waited in a session: {:?}", world.seen);
    assert!(!world.seen.hits.contains_key("a link closed for silence"), "{:?}", world.seen);
    world.end();
    laws::left_nothing(&world.machines);
    world.seen.clone()
}

fn happen(world: &mut World, chance: &mut Chance, written: &mut Written) {
    let count = world.machines.len();
    let one = 1 + chance.below(count);
    let two = 1 + (one + chance.below(count - 1)) % count;
    let what = chance.below(100);
    match what {
        0..40 => write(world, chance, written, one, 12),
        40..45 => {
            world.seen.hit("much written");
            let count = chance.pick(&[3, 10, 40]);
            bulk(world, chance, written, one, count);
        }
        45..50 => trouble(world, one, two, Trouble::Cut, "a line cut"),
        50..54 => trouble(world, one, two, Trouble::OneWay(one, two), "a line cut one way"),
        54..62 => trouble(world, one, two, Trouble::Held, "a line held"),
        62..74 => world.trouble(one, two, None),
        74..77 => world.latency(one, two, chance.pick(&[1, 10, 100, 400])),
        77..80 => {
            world.seen.hit("a program killed");
            world.stop(one, false);
        }
        80..83 => {
            world.seen.hit("power cut");
            world.stop(one, true);
        }
        83..91 => world.start(one),
        91..93 => {
            world.seen.hit("a disk that stalls");
            world.machines[one - 1].stall(true);
        }
        93..95 => world.machines[one - 1].stall(false),
        95..97 => {
            world.seen.hit("a slow reader");
            world.machines[one - 1].rate.store(chance.pick(&[20, 500, 5_000]), Ordering::Relaxed);
        }
        97..98 => world.machines[one - 1].rate.store(0, Ordering::Relaxed),
        _ => command(world, chance, one, two),
    }
}

fn trouble(world: &mut World, one: usize, two: usize, trouble: Trouble, what: &'static str) {
    world.seen.hit(what);
    world.trouble(one, two, Some(trouble));
}

fn command(world: &mut World, chance: &mut Chance, one: usize, two: usize) {
    let machine = world.machines[one - 1].clone();
    if !machine.is_on() {
        return;
    }
    world.seen.hit("a person's word");
    let (hub, peer) = (machine.hub(), crate::machine::name(two));
    match chance.below(3) {
        0 => hub.disconnect(peer),
        1 => hub.hand_over(peer),
        _ => hub.force(),
    }
}

/// A few acts, some of which cannot be done, and an entry of the journal.
fn write(world: &mut World, chance: &mut Chance, written: &mut Written, number: usize, most: usize) {
    let machine = world.machines[number - 1].clone();
    if !machine.takes() {
        return;
    }
    let drafts = (0..1 + chance.below(most)).map(|_| act(chance)).collect();
    machine.write(drafts);
    assert_eq!(machine.write(vec![fact(written)]), 1);
}

fn act(chance: &mut Chance) -> Draft {
    let (record, value) = (1 + chance.below(6) as u128, chance.next() % 1_000);
    match chance.below(7) {
        0 => put("user", record, "profile", &format!("\"name {value}\"")),
        1 => disable(record),
        2 => enable(record),
        3 => put("user", record, "cred_gen", &value.to_string()),
        4 => put("fact", record, "facts", &value.to_string()),
        5 if chance.is(30) => delete("plan", record),
        _ => put("plan", record, "label", &format!("\"label {value}\"")),
    }
}

fn fact(written: &mut Written) -> Draft {
    written.next += 1;
    written.facts.push(1_000 + written.next);
    put("audit", 1_000 + written.next, "what", "1")
}

/// Noise, so that it is not squeezed: 48 KB each.
fn bulk(world: &mut World, chance: &mut Chance, written: &mut Written, number: usize, count: usize) {
    let machine = world.machines[number - 1].clone();
    if !machine.takes() {
        return;
    }
    for _ in 0..count {
        let words: Vec<String> = (0..3_000).map(|_| format!("{:016x}", chance.next())).collect();
        let text = put("fact", 100 + chance.below(300) as u128, "facts", &format!("\"{}\"", words.concat()));
        machine.write(vec![text]);
    }
    assert_eq!(machine.write(vec![fact(written)]), 1);
}
