//! One seed: a bad day, then everything is mended and has to come together.

use super::world::World;
use replicate::core::election::Settings;
use std::collections::BTreeMap;

/// How long it may take, in virtual time, until everybody has everything and one coordinates.
const HEALS_WITHIN_MS: u64 = 150_000;

/// Links that are cut one way are given up by then, and their nodes have asked others.
const SETTLES_WITHIN_MS: u64 = 32_000;

/// What a seed saw.
pub struct Seen {
    pub hits: BTreeMap<&'static str, u64>,
    pub steps: u64,
    pub acts: u64,
    pub healed_ms: u64,
}

/// Cables stay cut and nothing else happens: who coordinates whom must settle. Returns when that ends.
fn standing(world: &mut World) -> u64 {
    world.calm_down();
    let settled_ms = world.now_ms + SETTLES_WITHIN_MS;
    while world.step_before(settled_ms) {}
    world.is_settled = true;
    let end_ms = settled_ms + 8_000;
    while world.step_before(end_ms) {}
    world.look_at_reigns();
    world.is_settled = false;
    world.now_ms = end_ms;
    end_ms
}

/// Runs a seed; panics with the law that is broken.
pub fn run(seed: u64, is_redb: bool, election: Settings) -> Seen {
    // On every other day those that are no candidates are spoken with as seldom as hundreds are.
    let others_step_ms = if seed.is_multiple_of(2) { election.heartbeat_others_ms } else { election.others_step_ms };
    let mut world = World::new(seed, is_redb, Settings { others_step_ms, ..election });
    let bad_ms = world.chance.between(5_000, if is_redb { 15_000 } else { 25_000 });
    while world.step_before(bad_ms) {}
    world.now_ms = bad_ms;
    let bad_ms = if world.chance.is(15) { standing(&mut world) } else { bad_ms };
    world.heal();
    let end_ms = bad_ms + HEALS_WITHIN_MS;
    let mut until_ms = bad_ms;
    loop {
        until_ms += 1_000;
        while world.step_before(until_ms) {}
        match world.converged() {
            Ok(()) => break,
            Err(why) => {
                let floors = if world.has_floors { world.floors_map() } else { String::new() };
                assert!(until_ms < end_ms, "I10: after {HEALS_WITHIN_MS} ms {why}{floors}");
            }
        }
    }
    (0..world.fleet).for_each(|at| world.look_at_all(at));
    Seen { hits: world.hits, steps: world.steps, acts: world.acts, healed_ms: until_ms - bad_ms }
}
