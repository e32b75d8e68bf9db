//! Whole fleets on bad days, in virtual time: real sessions, elections, records and disks; one seed is one run.
//!
//! `RAKKR_SIM_SEEDS=n` tries that many seeds in all, `RAKKR_SIM_SEED=n` one (in memory, or with `RAKKR_SIM_DISK=1` on
//! redb). A failure prints the line that replays it.

#[path = "../house/disk.rs"]
mod cutdisk;
#[path = "../house/mod.rs"]
mod house;
#[path = "mod.rs"]
mod sim;

use replicate::core::election::Settings;
use sim::run::{Seen, run};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds and says what they met.
fn days(from: u64, count: u64, is_redb: bool) {
    let (mut hits, mut steps, mut acts, mut slowest) = (BTreeMap::<&str, u64>::new(), 0, 0, 0);
    for seed in from..from + count {
        let Seen { hits: of_seed, steps: more, acts: done, healed_ms } = day(seed, is_redb);
        of_seed.into_iter().for_each(|(what, times)| *hits.entry(what).or_default() += times);
        (steps, acts, slowest) = (steps + more, acts + done, healed_ms.max(slowest));
    }
    println!("{count} seeds, {steps} steps, {acts} acts, healed within {slowest} ms");
    hits.iter().for_each(|(what, times)| println!("{times:>8}  {what}"));
}

fn day(seed: u64, is_redb: bool) -> Seen {
    let disk = if is_redb { "RAKKR_SIM_DISK=1 " } else { "" };
    let day = catch_unwind(AssertUnwindSafe(|| run(seed, is_redb, Settings::LOCAL)));
    day.unwrap_or_else(|_| {
        panic!("replay with: RAKKR_SIM_SEED={seed} {disk}cargo nextest run -p replicate --test sim one_seed")
    })
}

/// In memory, in eight tests, so that two cores have work.
const SEEDS: u64 = 10_000;
/// On redb, of each thousand in memory.
const ON_DISK: u64 = 30;

fn part(number: u64) {
    let seeds = asked("RAKKR_SIM_SEEDS").unwrap_or(SEEDS) / 8;
    days(number * seeds, seeds, false);
}

#[test]
fn fleets_in_memory_keep_the_laws_0() {
    part(0);
}

#[test]
fn fleets_in_memory_keep_the_laws_1() {
    part(1);
}

#[test]
fn fleets_in_memory_keep_the_laws_2() {
    part(2);
}

#[test]
fn fleets_in_memory_keep_the_laws_3() {
    part(3);
}

#[test]
fn fleets_in_memory_keep_the_laws_4() {
    part(4);
}

#[test]
fn fleets_in_memory_keep_the_laws_5() {
    part(5);
}

#[test]
fn fleets_in_memory_keep_the_laws_6() {
    part(6);
}

#[test]
fn fleets_in_memory_keep_the_laws_7() {
    part(7);
}

#[test]
fn fleets_on_losing_disks_keep_the_laws() {
    let seeds = asked("RAKKR_SIM_SEEDS").unwrap_or(SEEDS) * ON_DISK / 1_000;
    days(0, seeds, true);
}

#[test]
fn seeds_that_found_something_keep_the_laws() {
    for (seed, is_redb, story) in sim::seeds::FOUND {
        println!("{seed}: {story}");
        day(seed, is_redb);
    }
}

#[test]
fn one_seed_is_one_run() {
    let seed = asked("RAKKR_SIM_SEED").unwrap_or(42);
    let is_redb = asked("RAKKR_SIM_DISK").is_some();
    let (one, two) = (day(seed, is_redb), day(seed, is_redb));

    assert_eq!((one.steps, one.acts, one.hits), (two.steps, two.acts, two.hits));
}
