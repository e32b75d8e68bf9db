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

/// With each of these a law must break, with the slow reader or on one of the days.
const BUGS: [Mutant; 7] = [
    Mutant::HalfOpenKept,
    Mutant::BytesKept,
    Mutant::GoneUntold,
    Mutant::WordLost,
    Mutant::DrainedUntold,
    Mutant::MissedForgotten,
    Mutant::FarewellUnbounded,
];

#[test]
fn every_known_bug_of_the_shell_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    for bug in BUGS {
        mutant::switch(Some(bug));
        let is_broken = |run: &dyn Fn()| catch_unwind(AssertUnwindSafe(run)).is_err();
        let found = match is_broken(&|| drop(slow_reader(1))) {
            true => Some("with the slow reader".to_string()),
            false => {
                (0..SEEDS).find(|seed| is_broken(&|| drop(day(Day::drawn(*seed))))).map(|seed| format!("day {seed}"))
            }
        };
        mutant::switch(None);
        println!("{bug:?}: {found:?}");
        if found.is_none() {
            let _ = std::panic::take_hook();
            panic!("{SEEDS} days do not find {bug:?}");
        }
    }
    let _ = std::panic::take_hook();
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
