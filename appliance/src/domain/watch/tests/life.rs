//! How an incident lives: hysteresis, one cause told once, coming back, suppression, acknowledgement, restarts.

use super::*;
use crate::domain::{GapCause, TakeId};

fn openings(changes: &[(f64, Change)]) -> usize {
    changes.iter().filter(|(_, change)| matches!(change, Change::Opened(_))).count()
}

#[test]
fn a_value_at_its_threshold_opens_once() {
    let mut room = Room::new();
    let mut changes = Vec::new();
    for round in 0..600 {
        let up = round % 2 == 0;
        room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(if up { 24.2 } else { 23.8 }) });
        room.signal(1).dc_offset = Some(if up { 0.0101 } else { 0.0095 });
        let quiet = Signal { rms_dbfs: if up { -52.0 } else { -58.0 }, is_speech: false, ..speech() };
        // It falls quiet below -56 (6 dB over the floor) and wakes at -50.
        *room.signal(2) = quiet.clone();
        *room.signal(1) = Signal {
            dc_offset: room.signal(1).dc_offset,
            ..if round < 70 { Signal { rms_dbfs: -58.0, ..quiet } } else { quiet }
        };
        changes.extend(room.run(1.5));
    }
    let mut said = said(&changes);
    said.sort();
    assert_eq!(
        said,
        ["+dc_offset Channel(1)", "+quiet_room Channel(1)"],
        "the disk wavered and stayed below no limit for 2 s"
    );
    room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(23.8) });
    assert_eq!(room.told(3.0), ["+disk_low Node"]);
    room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(29.0) });
    assert_eq!(room.told(60.0), [""; 0], "29 of 30 hours: not over");
    room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(31.0) });
    assert_eq!(room.told(60.0), ["-disk_low Node Recovered"]);
}

#[test]
fn a_disk_that_fills_grows_graver_in_one_incident() {
    let mut room = Room::new();
    let mut changes = Vec::new();
    for minute in 0..(25 * 60) {
        let hours_left = 25.0 - f64::from(minute) / 60.0;
        room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(hours_left) });
        room.step_us = 1_000_000;
        changes.extend(room.run(60.0));
    }
    assert_eq!(said(&changes), ["+disk_low Node"]);
    let mut severities: Vec<Severity> = changes.iter().map(|(_, change)| change.incident().severity).collect();
    assert!(severities.len() < 100, "{} records in a day", severities.len());
    severities.dedup();
    assert_eq!(severities, [Severity::Info, Severity::Warning, Severity::Critical]);
}

#[test]
fn a_loose_contact_is_one_incident_that_comes_and_goes() {
    let mut room = Room::new();
    let mut changes = Vec::new();
    for _ in 0..600 {
        room.kill(1);
        changes.extend(room.run(3.0));
        room.revive(1);
        changes.extend(room.run(3.0));
    }
    assert_eq!(openings(&changes), 3, "closed after 1 s and 2 s of signal, then not any more");
    let Some(incident) = room.watch.open().next() else { panic!("it is still open") };
    assert!(incident.times > 500, "{}", incident.times);
    assert!(changes.len() < 60, "{} records in an hour", changes.len());
    assert_eq!(room.told(60.0), ["-dead_path Channel(1) Recovered"]);
}

#[test]
fn what_has_long_been_well_is_forgotten() {
    let mut room = Room::new();
    room.kill(1);
    room.run(3.0);
    room.revive(1);
    room.run(299.0);
    assert_eq!(room.watch.cells(), 1, "remembered, should it come back");
    room.run(5.0);
    assert_eq!(room.watch.cells(), 0);
}

#[test]
fn an_hour_of_distortion_is_one_incident() {
    let mut room = Room::new();
    let mut changes = Vec::new();
    for _ in 0..720 {
        room.signal(1).clipped_total += 10;
        changes.extend(room.run(5.0));
    }
    assert_eq!(said(&changes), ["+clipping Channel(1)"]);
    let last = changes.last().map(|(_, change)| change.incident().measure);
    assert!(matches!(last, Some(Some(Measure::Samples(6500..=7200)))), "{last:?}");
    assert!(changes.len() < 60, "{} records in an hour", changes.len());
}

#[test]
fn what_follows_from_an_open_incident_is_none_of_its_own() {
    let mut room = Room::new();
    room.capture().frames = Frames::Stopped;
    assert_eq!(room.told(2.0), ["+no_frames Node"]);
    room.capture().is_jack_connected = false;
    room.capture().channels.iter_mut().for_each(|channel| channel.is_connected = false);
    assert_eq!(room.told(2.0), ["+jack_gone Node", "-no_frames Node FollowsFrom(JackGone)"]);
    room.seen.capture = None;
    assert_eq!(room.told(2.0), ["+capture_down Node", "-jack_gone Node FollowsFrom(CaptureDown)"]);
    room.seen.capture = well().capture;
    assert_eq!(room.told(5.0), ["-capture_down Node Recovered"]);
}

#[test]
fn a_dead_channel_is_not_quiet_too_nor_dead_when_its_port_is_gone() {
    let mut room = Room::new();
    *room.signal(1) = Signal { rms_dbfs: -60.0, is_speech: false, ..speech() };
    assert_eq!(room.told(61.0), ["+quiet_room Channel(1)"]);
    room.kill(1);
    assert_eq!(room.told(3.0), ["+dead_path Channel(1)", "-quiet_room Channel(1) FollowsFrom(DeadPath)"]);
    room.channel(1).is_connected = false;
    assert_eq!(room.told(3.0), ["+port_gone Channel(1)", "-dead_path Channel(1) FollowsFrom(PortGone)"]);
}

#[test]
fn a_full_disk_is_not_low_too() {
    let mut room = Room::new();
    room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(0.1) });
    assert_eq!(room.told(3.0), ["+disk_low Node"]);
    room.seen.disk = Some(DiskFacts { state: DiskState::Full, hours_left: Some(0.0) });
    *room.capture().lost_frames.entry(GapCause::DiskFull).or_default() += 48_000;
    assert_eq!(room.told(3.0), ["+disk_full Node", "-disk_low Node FollowsFrom(DiskFull)"]);
}

#[test]
fn nothing_recovers_while_nobody_can_tell() {
    let mut room = Room::new();
    room.kill(1);
    assert_eq!(room.told(3.0), ["+dead_path Channel(1)"]);
    room.capture().is_jack_connected = false;
    room.revive(1);
    assert_eq!(room.told(10.0), ["+jack_gone Node"]);
    room.seen.capture = None;
    assert_eq!(room.told(10.0), ["+capture_down Node", "-jack_gone Node FollowsFrom(CaptureDown)"]);
    room.seen.capture = well().capture;
    assert_eq!(room.told(5.0), ["-capture_down Node Recovered", "-dead_path Channel(1) Recovered"]);
}

#[test]
fn an_unplugged_server_takes_its_ports_along_in_one_incident() {
    let mut room = Room::new();
    room.capture().is_jack_connected = false;
    room.capture().channels.iter_mut().for_each(|channel| channel.is_connected = false);
    assert_eq!(room.told(10.0), ["+jack_gone Node"]);
    // The server is back, its ports are connected a quarter of a second later.
    room.capture().is_jack_connected = true;
    *room.capture().lost_frames.entry(GapCause::JackGone).or_default() += 480_000;
    assert_eq!(room.told(0.25), [""; 0]);
    room.capture().channels.iter_mut().for_each(|channel| channel.is_connected = true);
    assert_eq!(room.told(5.0), ["-jack_gone Node Recovered"]);
}

#[test]
fn what_is_suppressed_does_not_open_before_its_time() {
    let mut room = Room::new();
    let target = Target::Channel(1);
    let until = wall(room.now_us + 100_000_000);
    assert_eq!(room.watch.suppress(IncidentKind::DeadPath, target, until), Ok(None));
    assert_eq!(room.watch.suppress(IncidentKind::Clipping, target, until), Ok(None));
    room.kill(1);
    room.kill(2);
    assert_eq!(room.told(5.0), ["+dead_path Channel(2)"], "another channel is not meant");
    room.revive(1);
    room.signal(1).clipped_total += 500;
    assert_eq!(room.told(5.0), [""; 0]);
    room.kill(1);
    assert_eq!(room.told(89.0), [""; 0]);
    assert_eq!(room.told(2.0), ["+dead_path Channel(1)"], "it is still bad when the time is over");
}

#[test]
fn an_open_incident_carries_its_suppression_and_acknowledgement_to_its_end() {
    let mut room = Room::new();
    let target = Target::Channel(1);
    let until = wall(room.now_us + 3_600_000_000);
    room.kill(1);
    room.run(3.0);
    let Ok(Some(Change::Updated(incident))) = room.watch.suppress(IncidentKind::DeadPath, target, until) else {
        panic!("an open one is updated")
    };
    assert_eq!(incident.suppressed_until, Some(until));
    assert!(room.watch.acknowledge(IncidentKind::DeadPath, target).is_some());
    assert!(room.watch.acknowledge(IncidentKind::DeadPath, target).is_none(), "once is enough");
    assert!(room.watch.acknowledge(IncidentKind::Hum, target).is_none());
    room.revive(1);
    let changes = room.run(2.0);
    let incident = changes[0].1.incident();
    assert!(incident.closed.is_some() && incident.is_acknowledged && incident.suppressed_until == Some(until));
    room.kill(1);
    assert_eq!(room.told(60.0), [""; 0], "still suppressed");
}

#[test]
fn suppressions_have_a_limit() {
    let mut watch = Watch::default();
    let until = wall(1_000_000);
    for number in 0..MAX_SUPPRESSIONS as u16 {
        watch.suppress(IncidentKind::Hum, Target::Channel(number), until).unwrap();
    }
    assert!(watch.suppress(IncidentKind::Hum, Target::Node, until).is_err());
    assert!(watch.suppress(IncidentKind::Hum, Target::Channel(0), until).is_ok());
    watch.observe(Moment { mono_us: 2_000_000, wall: wall(2_000_000) }, &well());
    assert!(watch.suppress(IncidentKind::Hum, Target::Node, until).is_ok(), "those that are over make room");
}

#[test]
fn a_watch_that_starts_anew_goes_on_with_what_was_open() {
    let mut room = Room::new();
    room.kill(1);
    room.kill(2);
    room.run(3.0);
    let open: Vec<Incident> = room.watch.open().cloned().collect();
    let stored = serde_json::to_string(&open).unwrap();
    room.watch = Watch::new(Policy::default(), serde_json::from_str::<Vec<Incident>>(&stored).unwrap());
    room.revive(2);
    assert_eq!(room.told(3.0), ["-dead_path Channel(2) Recovered"]);
    assert_eq!(room.watch.open().count(), 1);
}

#[test]
fn totals_from_before_the_watch_are_no_news_and_those_of_a_new_start_are() {
    let mut seen = well();
    let capture = seen.capture.as_mut().unwrap();
    capture.lost_frames.insert(GapCause::Xrun, 5_000);
    capture.channels[0].signal.as_mut().unwrap().clipped_total = 900;
    seen.clock.steps = 3;
    let mut room = Room { watch: Watch::default(), seen, now_us: 0, step_us: STEP_US };
    assert_eq!(room.told(1.0), [""; 0]);
    room.capture().lost_frames = [(GapCause::Xrun, 100)].into();
    assert_eq!(room.told(1.0), ["+lost_frames Node"]);
}

#[test]
fn a_channel_that_leaves_the_configuration_takes_its_incident_along() {
    let mut room = Room::new();
    room.kill(1);
    room.run(3.0);
    room.capture().channels.remove(0);
    assert_eq!(room.told(3.0), ["-dead_path Channel(1) TargetGone"]);
}

#[test]
fn a_policy_that_drops_a_kind_closes_it() {
    let mut room = Room::new();
    room.kill(1);
    room.run(3.0);
    let mut policy = Policy::default();
    policy.channels.insert(1, [(IncidentKind::DeadPath, None)].into());
    room.watch.set_policy(policy);
    assert_eq!(room.told(1.0), ["-dead_path Channel(1) NotExpected"]);
}

#[test]
fn time_that_nobody_watched_counts_for_two_seconds() {
    let mut room = Room::new();
    *room.signal(1) = Signal { rms_dbfs: -60.0, is_speech: false, ..speech() };
    room.run(50.0);
    room.step_us = 3_600_000_000;
    assert_eq!(room.look(), [], "an hour asleep is not an hour of quiet");
    room.step_us = STEP_US;
    assert_eq!(room.told(7.0), [""; 0]);
    assert_eq!(room.told(2.0), ["+quiet_room Channel(1)"]);
}

#[test]
fn a_wall_clock_that_jumps_changes_no_length() {
    let mut room = Room::new();
    room.kill(1);
    let mut said = Vec::new();
    for step in 0..60_u64 {
        room.now_us += STEP_US;
        room.signal(1).digital_zero_s += 0.05;
        let wall = wall(if step % 2 == 0 { 0 } else { 9_000_000_000_000 });
        let changes = room.watch.observe(Moment { mono_us: room.now_us, wall }, &room.seen);
        said.extend(changes.into_iter().map(|change| (step, change.incident().kind)));
    }
    assert_eq!(said, [(39, IncidentKind::DeadPath)]);
}

#[test]
fn only_so_many_failed_renderings_are_incidents() {
    let mut room = Room::new();
    for n in 0..1000_u64 {
        room.seen.failed_renders.insert(TakeId::new(wall(n * 1_000_000), [1; 10]));
    }
    assert_eq!(room.told(1.0).len(), 64);
}

#[test]
fn what_somebody_resolved_is_over_and_opens_anew_if_it_is_not() {
    let mut room = Room::new();
    room.kill(1);
    assert_eq!(room.told(3.0), ["+dead_path Channel(1)"]);

    let now = room.moment();
    let change = room.watch.resolve(IncidentKind::DeadPath, Target::Channel(1), now).unwrap();

    assert_eq!(change.incident().closed.unwrap().reason, CloseReason::Resolved);
    assert_eq!(room.watch.resolve(IncidentKind::DeadPath, Target::Channel(1), now), None);
    assert_eq!(room.told(3.0), ["+dead_path Channel(1)"]);
    room.revive(1);
    assert_eq!(room.told(5.0), ["-dead_path Channel(1) Recovered"]);
}
