//! The shell over simulated TCP: hubs, sessions, tungstenite and zstd on tokio, in turmoil's virtual time.
//!
//! One seed is one day of 2 to 4 machines whose lines are cut, held and slow, whose power goes and whose programs are
//! killed, whose disks stall, and which read slowly; then all is mended, and everybody has everything, one coordinates, and
//! nothing is left over. `RAKKR_SHELL_SEEDS=n` tries so many seeds in all, `RAKKR_SHELL_SEED=n` one. A failure prints the
//! line that replays it.
//!
//! A seed is one run (`a_seed_is_the_same_day_twice`): the hub goes on step by step (`net::Stepper`) instead of on threads of
//! its own, and each step waits for the store's. What is not as in a real fleet: a step takes a millisecond, and a disk that
//! does not stall no longer; turmoil loses what is sent over a cut line for good, where TCP would send it again (such a
//! stream stands still until the session closes it), so loss is a line that is held; sockets are handed in without TLS and
//! upgraded already.

#[path = "../sim/clock.rs"]
#[allow(dead_code)] // The simulator's other needs.
mod clock;
mod day;
mod disk;
#[path = "../house/mod.rs"]
mod house;
mod laws;
mod machine;
mod slow;
mod world;

use day::{Day, day, slow_reader};
use laws::Seen;
use replicate::core::mutant::{self, Mutant};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// As many as two cores do in a minute.
const SEEDS: u64 = 200;
const PARTS: u64 = 4;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn one(seed: u64) -> Seen {
    let run = catch_unwind(AssertUnwindSafe(|| day(Day::drawn(seed))));
    run.unwrap_or_else(|_| {
        panic!(
            "replay with: RAKKR_SHELL_SEED={seed} cargo nextest run -p replicate --features net --test shell one_seed"
        )
    })
}

fn part(number: u64) {
    let count = asked("RAKKR_SHELL_SEEDS").unwrap_or(SEEDS) / PARTS;
    let (mut hits, mut healed_ms, mut waiting) = (BTreeMap::<&str, u64>::new(), 0, 0);
    for seed in number * count..(number + 1) * count {
        let seen = one(seed);
        seen.hits.iter().for_each(|(what, times)| *hits.entry(what).or_default() += times);
        (healed_ms, waiting) = (seen.healed_ms.max(healed_ms), seen.most_waiting.max(waiting));
    }
    println!("{count} seeds, healed within {healed_ms} ms, at most {waiting} bytes waited for a link");
    hits.iter().for_each(|(what, times)| println!("{times:>8}  {what}"));
    for wanted in day::WANTED {
        assert!(count < 20 || hits.contains_key(wanted), "no day had this: {wanted}");
    }
}

#[test]
fn days_over_a_network_keep_the_laws_0() {
    part(0);
}

#[test]
fn days_over_a_network_keep_the_laws_1() {
    part(1);
}

#[test]
fn days_over_a_network_keep_the_laws_2() {
    part(2);
}

#[test]
fn days_over_a_network_keep_the_laws_3() {
    part(3);
}

/// With this bug a law must break, with the slow reader or on one of the days. A test each: none waits for another.
fn is_found(bug: Mutant) {
    std::panic::set_hook(Box::new(|_| {}));
    mutant::switch(Some(bug));
    let is_broken = |run: &dyn Fn()| catch_unwind(AssertUnwindSafe(run)).is_err();
    let found = match is_broken(&|| drop(slow_reader(1))) {
        true => Some("with the slow reader".to_string()),
        false => (0..SEEDS).find(|seed| is_broken(&|| drop(day(Day::drawn(*seed))))).map(|seed| format!("day {seed}")),
    };
    mutant::switch(None);
    let _ = std::panic::take_hook();
    println!("{bug:?}: {found:?}");
    assert!(found.is_some(), "{SEEDS} days do not find {bug:?}");
}

#[test]
fn a_half_open_link_that_is_kept_is_found() {
    is_found(Mutant::HalfOpenKept);
}

#[test]
fn bytes_that_a_broken_link_keeps_is_found() {
    is_found(Mutant::BytesKept);
}

#[test]
fn a_link_whose_end_is_not_told_is_found() {
    is_found(Mutant::GoneUntold);
}

#[test]
fn a_word_that_is_lost_is_found() {
    is_found(Mutant::WordLost);
}

#[test]
fn a_link_that_is_not_told_to_go_on_is_found() {
    is_found(Mutant::DrainedUntold);
}

#[test]
fn what_a_slow_link_missed_and_nobody_remembers_is_found() {
    is_found(Mutant::MissedForgotten);
}

#[test]
fn a_farewell_without_a_bound_is_found() {
    is_found(Mutant::FarewellUnbounded);
}

#[test]
fn who_reads_slowly_holds_up_nobody_else() {
    println!("{:#?}", slow_reader(1));
}

#[test]
fn one_seed() {
    if let Some(seed) = asked("RAKKR_SHELL_SEED") {
        println!("{:#?}", one(seed));
    }
}

#[test]
fn a_seed_is_the_same_day_twice() {
    for seed in 0..6 {
        assert_eq!(one(seed), one(seed), "seed {seed}");
    }
}
