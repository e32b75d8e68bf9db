//! Sudden ends: of capture, at any instruction, and of the JACK server under it.

use crate::harness::*;

/// Kills per test; two tests make fifty.
const KILLS: u64 = 25;

#[test]
fn a_killed_capture_loses_at_most_a_second_first_half() {
    kill_at_random_moments(1);
}

#[test]
fn a_killed_capture_loses_at_most_a_second_second_half() {
    kill_at_random_moments(2);
}

fn kill_at_random_moments(seed: u64) {
    // The server waits for the dead as well: no longer than a host may take to wake somebody up.
    let server = Options { patience_ms: Some(500), ..Options::default() };
    let mut room = Room::new(Plan { capture: &["--segment-seconds", "1"], server, ..Plan::default() });
    let mut moments = Moments(seed);
    for round in 0..KILLS {
        let (wait, rest) = (moments.next_within(ms(1300)), moments.next_within(ms(150)));
        eprintln!("seed {seed} round {round}: kill after {wait} frames, stop {rest} frames after it is back");
        killed_once(&mut room, wait, rest);
    }
    let takes = room.appliance.data.join("takes");
    let verified = room.appliance.verify_path(&takes);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// Records, kills, brings back, and judges the one take that lived through it.
fn killed_once(room: &mut Room, wait: u64, rest: u64) {
    // As at first: a connection takes effect within two periods.
    room.appliance.wait_connected();
    let lag_before = room.feed.lag();
    room.feed.play(ms(50));
    let id = room.record(&[], wait);
    let killed_at = room.feed.position();
    room.appliance.kill9();
    room.appliance.restart();
    room.appliance.wait_until(&id, "the take to go on", |take| take.goes_on_for(1));
    room.feed.play(rest);
    let take = room.appliance.stop(&id);
    let report = room.appliance.check(&take);
    // Two processes count the frames: only the clock ties them, and that is good for 50 ms. The feed counts with the server,
    // which stood still for as long as it waited for the one that was killed.
    let stood_still = room.feed.stood_still(lag_before);
    eprintln!("the server stood still for {stood_still} frames");
    report.assert_declared(&take, ms(50) + stood_still);
    let (safe, back) = around(&report, killed_at);
    let resumed = back.map(|frame| distance(killed_at, report.source_at(frame)));
    assert!(resumed.is_some_and(|frames| frames <= ms(2000) as i64), "capturing again after {resumed:?}: {take:?}");
    let lost = safe.map_or(wait as i64, |frame| distance(report.source_at(frame), killed_at));
    assert!(lost <= ms(1000) as i64, "{lost} frames were lost before the kill: {take:?}");
}

/// The last frame heard before this moment of the feed, and the first behind it.
fn around(report: &Report, moment: u64) -> (Option<u64>, Option<u64>) {
    let heard_before = |frame: u64| distance(moment, report.source_at(frame)) < 0;
    let spans = report.audible();
    let (before, after): (Vec<_>, Vec<_>) = spans.into_iter().partition(|(from, _)| heard_before(*from));
    let Some(&(from, to)) = before.last() else { return (None, after.first().map(|span| span.0)) };
    let split = from + distance(report.source_at(from), moment) as u64;
    let next = if split < to { Some(split) } else { after.first().map(|span| span.0) };
    (Some(split.min(to) - 1), next)
}

#[test]
fn what_a_crash_left_is_made_whole_by_recover() {
    let mut room = Room::usual();
    let id = room.record(&[], ms(2500));
    room.appliance.kill9();
    room.appliance.run(&["recover"]).ok();
    let take = room.appliance.info(&id);
    assert!(take.frames >= ms(1500), "{take:?}");
    room.appliance.check(&take).assert_exact(take.frames);
    assert_eq!(room.appliance.verify(&id).code, Some(0));
}

#[test]
fn a_server_that_dies_under_a_take_leaves_a_gap_not_an_end() {
    let mut room = Room::usual();
    let id = room.record(&[], ms(1000));
    room.appliance.wait_until(&id, "the take to have a second", |take| take.frames >= ms(1000));
    room.server.kill_hard();
    room.appliance.wait_until(&id, "the loss to be told", |take| take.state != "ready");
    room.server.restart();
    room.feed.reopen(&room.server);
    room.appliance.wait_until(&id, "the take to go on", |take| take.goes_on_for(ms(500)));
    let take = room.appliance.stop(&id);
    let report = room.appliance.check(&take);
    // The new server counts from its own start, so only the clock ties the two parts.
    report.assert_declared(&take, u64::MAX);
    assert_eq!(report.audible().len(), 2, "{take:?}");
    assert!(report.audible()[0].1 >= ms(900), "what was heard before the end of the server is there");
    room.exported(&take).assert_declared(&take, u64::MAX);
}

/// A small seeded generator (Knuth's MMIX constants): the same moments each run, said with each round.
struct Moments(u64);

impl Moments {
    fn next_within(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
