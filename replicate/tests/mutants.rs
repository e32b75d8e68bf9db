//! Proof that the simulator finds what it is for: every known bug, switched on, breaks a law within 10,000 seeds.
//!
//! Run with `cargo nextest run -p replicate --test mutants --no-capture` to see how many seeds each took. (The feature is
//! on in every test: the dev-dependency on ourselves.) `RAKKR_SIM_MUTANT=SupIgnored` tries one.

#[path = "house/disk.rs"]
mod cutdisk;
#[path = "house/mod.rs"]
mod house;
#[path = "sim/mod.rs"]
mod sim;

use replicate::core::election::{self, Settings};
use replicate::core::mutant::{self, Mutant};
use sim::run::run;
use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS_MAX: u64 = 10_000;

const OF_RECORDS: [Mutant; 31] = [
    Mutant::AckBeforeCommit,
    Mutant::VectorBeforeData,
    Mutant::EchoStorm,
    Mutant::CreditIgnored,
    Mutant::SecBehindBulk,
    Mutant::FailureForgotten,
    Mutant::NoPreviousHash,
    Mutant::GapAccepted,
    Mutant::ForkIsDuplicate,
    Mutant::OwnFutureTaken,
    Mutant::DoomsForgotten,
    Mutant::SupIgnored,
    Mutant::EnableCancelsAll,
    Mutant::LastWriterWins,
    Mutant::GroupIgnored,
    Mutant::DeletePolicySwapped,
    Mutant::LamportNotAdvanced,
    Mutant::ReplacesUnseen,
    Mutant::Rewritten,
    Mutant::LoserShown,
    Mutant::LateFenceIgnored,
    Mutant::LiftedFromBeyond,
    Mutant::FloorUnacknowledged,
    Mutant::CollectedTooEarly,
    Mutant::FilledOverAPart,
    Mutant::FilledByAnybody,
    Mutant::BelowTheFloorIgnored,
    Mutant::PastForgotten,
    Mutant::UnkeptSent,
    Mutant::EndsUntold,
    Mutant::TornCommit,
];

const OF_ELECTIONS: [election::Mutant; 6] = [
    election::Mutant::ClaimBeforeStore,
    election::Mutant::IncarnationReused,
    election::Mutant::NoProbe,
    election::Mutant::NoNak,
    election::Mutant::NoFence,
    election::Mutant::TwoMarks,
];

/// Returns how many seeds it took, and which law broke.
fn hunt(is_redb: bool, settings: &Settings) -> Option<(u64, String)> {
    (0..SEEDS_MAX).find_map(|seed| {
        let broken = catch_unwind(AssertUnwindSafe(|| run(seed, is_redb, settings.clone()))).err()?;
        let text = broken.downcast_ref::<String>().cloned();
        let text = text.or_else(|| broken.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        Some((seed + 1, text.lines().next().unwrap_or_default().chars().take(110).collect()))
    })
}

fn is_asked(name: &str) -> bool {
    std::env::var("RAKKR_SIM_MUTANT").map_or(true, |asked| asked == name)
}

/// Hunts one and says what came of it; its name if it was not found.
fn find(name: &str, is_redb: bool, settings: &Settings) -> Option<String> {
    if !is_asked(name) {
        return None;
    }
    let Some((seeds, law)) = hunt(is_redb, settings) else { return Some(name.to_string()) };
    println!("{name:<20} found after {seeds:>5} seeds: {law}");
    None
}

/// Panics are what is looked for: they are not to fill the screen.
fn be_quiet() {
    std::panic::set_hook(Box::new(|_| ()));
}

fn hunt_all(mutants: &[Mutant]) {
    be_quiet();
    let missing = mutants.iter().filter_map(|mutant| {
        mutant::switch(Some(*mutant));
        find(&format!("{mutant:?}"), *mutant == Mutant::TornCommit, &Settings::LOCAL)
    });
    let missing: Vec<String> = missing.collect();
    mutant::switch(None);
    let _ = std::panic::take_hook();
    assert!(missing.is_empty(), "not found in {SEEDS_MAX} seeds: {missing:?}");
}

#[test]
fn every_mutant_of_records_is_found() {
    hunt_all(&OF_RECORDS);
}

/// It takes the most seeds: a card flashed without a word, and a link cut between its logs.
#[test]
fn a_nonce_that_nobody_looks_at_is_found() {
    hunt_all(&[Mutant::NonceIgnored]);
}

#[test]
fn every_mutant_of_the_election_is_found() {
    be_quiet();
    let missing = OF_ELECTIONS.iter().filter_map(|mutant| {
        find(&format!("{mutant:?}"), false, &Settings { mutant: Some(*mutant), ..Settings::LOCAL })
    });
    let missing: Vec<String> = missing.collect();
    let _ = std::panic::take_hook();

    assert!(missing.is_empty(), "not found in {SEEDS_MAX} seeds: {missing:?}");
}
