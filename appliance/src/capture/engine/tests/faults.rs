//! What goes wrong in rooms: lost frames, servers that go and come back otherwise, sources and disks that stop.

use super::desk::{Desk, RATE};
use super::ms;
use crate::capture::engine::taking::Edge;
use crate::capture::tape::BACKLOG_SECONDS_MAX;
use crate::domain::take::CloseReason;
use crate::domain::{ChannelSet, Fact, GapCause, Order};

#[test]
fn frames_the_server_lost_are_a_gap_of_their_length() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    desk.play(200);
    desk.lose(33);
    desk.play(200);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 200), (233, 433)]);
    assert_eq!(told.gap_spans(), [(200, 233, GapCause::Xrun)]);
}

#[test]
fn frames_the_full_ring_lost_are_told_as_overload() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    desk.lose(64);
    desk.lost_frames += 64;
    desk.play(100);
    assert_eq!(desk.told(id).gap_spans(), [(0, 64, GapCause::Overload)]);
}

#[test]
fn a_server_that_went_and_came_back_leaves_a_gap_as_long_as_the_clock_says() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    desk.play(500);
    desk.engine.disconnected(desk.now());
    desk.silence(777);
    desk.jack_frame = 5; // The new server counts from its own start.
    desk.connect(RATE, 1);
    desk.play(300);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 500), (1_277, 1_577)]);
    assert_eq!(told.gap_spans(), [(500, 1_277, GapCause::JackGone)]);
}

/// A new server connects a period before samples flow: silence that nobody had told of.
#[test]
fn the_silent_first_period_of_a_server_that_is_back_is_told() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    desk.play(500);
    desk.engine.disconnected(desk.now());
    desk.silence(777);
    desk.connect(RATE, 1);
    desk.silent_until = desk.source + 30;
    desk.play(300);
    let told = desk.told(id);
    assert_eq!(told.gap_spans(), [(500, 1_277, GapCause::JackGone)]);
    assert_eq!(told.channel_gaps(), [(1_277, 1_307, GapCause::PortDisconnected)]);
}

#[test]
fn so_is_that_of_a_recording_that_begins_with_the_connection() {
    for silent in [0, 30] {
        let mut desk = Desk::new(1);
        desk.silent_until = silent;
        let id = desk.start();
        desk.play(300);
        let told = desk.told(id);
        let expected = [(0, silent, GapCause::PortDisconnected)];
        assert_eq!(told.channel_gaps(), if silent > 0 { &expected[..] } else { &[] });
    }
}

/// A counter that stepped back by a period was read as a step ahead of 2^32 frames: a gap of a day.
#[test]
fn a_counter_that_goes_back_is_placed_by_the_clock() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    desk.play(500);
    desk.silence(300);
    desk.jack_frame = desk.jack_frame.wrapping_sub(64);
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 500), (800, 900)]);
}

/// After an xrun JACK may name one period's time twice. No frame is missing, and none may be thrown away.
#[test]
fn a_period_named_twice_is_two_periods() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    for held_up_ms in [0, 230] {
        desk.play(500);
        desk.mono_us += held_up_ms * 1_000;
        desk.jack_frame = desk.jack_frame.wrapping_sub(50);
        desk.play(100);
    }
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 1_200)]);
    assert!(told.gap_spans().is_empty());
}

#[test]
fn a_gap_inside_the_pre_roll_is_told() {
    let mut desk = Desk::new(1);
    desk.play(500);
    desk.lose(100);
    desk.play(300);
    let order = Order { pre_roll_seconds: 0.35, ..desk.order() };
    let id = desk.say(order);
    desk.play(50);
    let told = desk.told(id);
    assert_eq!(told.gap_spans(), [(0, 50, GapCause::Xrun)], "it begins inside the gap");
    assert_eq!(told.runs(&[0]).0, [(50, 400)]);
}

#[test]
fn a_pause_and_its_end_inside_a_gap_are_no_missing_frames() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    desk.play(500);
    desk.engine.edge(id, desk.mono_us + 20_000, Edge::Pause).unwrap();
    desk.engine.edge(id, desk.mono_us + 70_000, Edge::Resume).unwrap();
    desk.lose(100);
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.gap_spans(), [(500, 520, GapCause::Xrun), (570, 600, GapCause::Xrun)]);
    assert_eq!(told.runs(&[0]).0, [(0, 500), (600, 700)]);
}

#[test]
fn what_is_missing_from_a_pause_is_not_missed() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let (resumed, stopped) = (desk.start(), desk.start());
    desk.play(500);
    for id in [resumed, stopped] {
        desk.engine.edge(id, desk.mono_us, Edge::Pause).unwrap();
    }
    desk.play(100);
    desk.engine.edge(resumed, desk.mono_us + 60_000, Edge::Resume).unwrap();
    desk.engine.stop(stopped, desk.mono_us + 80_000);
    desk.lose(100);
    desk.play(100);
    assert_eq!(desk.told(resumed).gap_spans(), [(660, 700, GapCause::Xrun)]);
    assert_eq!(desk.told(stopped).gap_spans(), []);
    assert_eq!(desk.told(stopped).closed.unwrap().0, 680);
}

#[test]
fn a_source_that_is_gone_is_a_gap_on_its_channel_alone() {
    let mut desk = Desk::new(2);
    desk.play(100);
    let id = desk.start();
    desk.play(100);
    desk.connected.remove(1);
    desk.play(250);
    desk.connected = ChannelSet::first(2);
    desk.play(100);
    desk.connected.remove(0);
    desk.play(50);
    desk.stop(id);
    desk.play(50);
    let gaps: Vec<_> = desk
        .told(id)
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Gap(gap) => Some((gap.first_frame, gap.frames, gap.cause, gap.channels.clone().unwrap())),
            _ => None,
        })
        .collect();
    let gone = GapCause::PortDisconnected;
    assert_eq!(gaps, [(100, 250, gone, vec![2]), (450, 50, gone, vec![1])]);
    assert_eq!(desk.told(id).gap_spans(), []);
}

/// After a restart samples flowed some periods before JACK had said that the port is connected: a gap was told over audio.
#[test]
fn a_source_that_sounds_is_there_whatever_is_said_of_it() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    desk.connected.remove(0);
    desk.play(100);
    desk.sounds_unsaid = true;
    desk.play(150);
    desk.stop(id);
    desk.play(50);
    let gaps: Vec<_> = desk
        .told(id)
        .facts
        .iter()
        .map(|fact| match fact {
            Fact::Gap(gap) => (gap.first_frame, gap.frames),
            _ => (0, 0),
        })
        .collect();
    assert_eq!(gaps, [(0, 100)]);
}

#[test]
fn a_take_ends_by_the_clock_when_no_frames_come() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let order = Order { length_seconds: Some(1.0), ..desk.order() };
    let (planned, stopped) = (desk.say(order), desk.start());
    desk.play(300);
    desk.engine.disconnected(desk.now());
    desk.silence(500);
    assert!(desk.stop(stopped));
    desk.silence(900);
    assert!(desk.told(planned).closed.is_none(), "not before the server is a second late");
    assert_eq!(desk.told(stopped).closed, None);
    desk.silence(400);
    assert_eq!(desk.told(planned).closed, Some((1_000, CloseReason::PlannedEnd)));
    assert_eq!(desk.told(planned).gap_spans(), [(300, 1_000, GapCause::JackGone)]);
    assert_eq!(desk.told(stopped).closed, Some((800, CloseReason::Stopped)));
}

/// A server that died while it ran free left the engine believing that time means nothing: no take ended any more.
#[test]
fn a_server_that_dies_in_freewheel_lets_takes_end_by_the_clock() {
    let mut desk = Desk::new(1);
    desk.is_freewheel = true;
    desk.play(1_000);
    let id = desk.start();
    desk.play(500);
    desk.engine.disconnected(desk.now());
    desk.stop(id);
    desk.silence(3_000);
    assert!(desk.told(id).closed.is_some());
}

/// Frames of a server that came back at another rate were taken for frames of the old one, a day ahead of it.
#[test]
fn a_server_at_another_rate_gives_nothing_to_an_open_take_and_is_heard_after_it() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    desk.play(500);
    desk.engine.disconnected(desk.now());
    desk.jack_frame = 5;
    desk.connect(2 * RATE, 1);
    desk.play(2_000);
    assert_eq!(desk.told(id).runs(&[0]).0, [(0, 500)]);
    assert!(desk.events().contains("2000 Hz: open recordings wait for their rate"), "{}", desk.events());
    desk.stop(id);
    desk.silence(1_200);
    assert_eq!(desk.told(id).gap_spans(), [(500, 2_500, GapCause::RateChanged)]);
    let next = desk.start();
    desk.play(300);
    let told = desk.told(next);
    assert_eq!(told.opened.as_ref().unwrap().sample_rate, 2 * RATE);
    assert_eq!(told.runs(&[0]).0, [(0, 300)]);
}

#[test]
fn a_server_that_comes_back_at_the_old_rate_goes_on_with_the_take() {
    let mut desk = Desk::new(1);
    desk.play(2_000);
    let id = desk.start();
    desk.play(500);
    desk.engine.disconnected(desk.now());
    desk.connect(2 * RATE, 1);
    desk.play(200);
    desk.engine.disconnected(desk.now());
    desk.connect(RATE, 1);
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 500), (700, 800)]);
    assert_eq!(told.gap_spans(), [(500, 700, GapCause::RateChanged)]);
}

/// The meters' place in the old stream lay far ahead of the new one, so they said "no data" for as long as the old one
/// had lasted; and a take would have got the measurements of the old one.
#[test]
fn after_a_change_of_rate_measured_stretches_are_of_the_new_stream() {
    let mut desk = Desk::with(1, true);
    desk.connect(RATE, 1);
    desk.play(4_000);
    let shown = desk.engine.meters.newest().unwrap().first;
    desk.engine.disconnected(desk.now());
    desk.connect(16_000, 1);
    assert!(desk.engine.meters.newest().is_none());
    desk.play(1_000);
    let newest = desk.engine.meters.newest().unwrap();
    assert!(newest.first > shown);
    assert_eq!(newest.hop.frames, 16_000 / 20);
}

/// A server that came back with more channels: a take with pre-roll found blocks without its channel, and the tape took
/// that for a broken disk.
#[test]
fn pre_roll_does_not_reach_into_blocks_of_other_channels() {
    let mut desk = Desk::with(1, true);
    desk.connect(RATE, 1);
    desk.play(1_000);
    desk.engine.disconnected(desk.now());
    desk.connected = ChannelSet::first(2);
    desk.connect(RATE, 2);
    desk.play(400);
    let order = Order { pre_roll_seconds: 1.0, ..desk.order() };
    let id = desk.say(order);
    desk.play(100);
    assert_eq!(desk.told(id).runs(&[0, 1]), (vec![(0, 500)], 1_000));
    assert_eq!(desk.engine.meters.newest().unwrap().hop.channels.len(), 2);
    desk.engine.edge(id, desk.mono_us, Edge::Pause).unwrap();
    desk.play(100);
    desk.stop(id);
    desk.play(50);
    let order = Order { pre_roll_seconds: 1.0, ..desk.order() };
    let later = desk.say(order);
    desk.play(50);
    assert_eq!(desk.told(later).runs(&[0, 1]).1, 1_600, "what the new channel kept private stays so");
}

#[test]
fn a_disk_that_falls_behind_makes_one_gap_and_not_many() {
    let mut desk = Desk::with(1, true);
    desk.connect(RATE, 1);
    desk.play(100);
    let id = desk.start();
    let through = super::super::STREAM_BEGINS + 100;
    let most = BACKLOG_SECONDS_MAX * 1_000 + 2_000;
    desk.engine.tape.pretend_written_through(through);
    desk.play(most + 1_000);
    assert_eq!(desk.told(id).runs(&[0]).0, [(0, most + 50)]);
    let hops = desk.told(id).hops;
    // It catches up by less than half: still one gap.
    desk.engine.tape.pretend_written_through(through + most / 4);
    desk.play(1_000);
    assert_eq!((desk.told(id).runs(&[0]).0.len(), desk.told(id).hops), (1, hops), "nothing is queued meanwhile");
    desk.engine.tape.pretend_written_through(through + most);
    desk.play(1_000);
    let told = desk.told(id);
    assert_eq!(told.gap_spans(), [(most + 50, most + 2_000, GapCause::DiskStalled)]);
    assert_eq!(told.runs(&[0]).0[1], (most + 2_000, most + 3_000));
}

#[test]
fn in_freewheel_the_server_waits_for_the_disk_and_nothing_is_given_up() {
    let mut desk = Desk::new(1);
    desk.is_freewheel = true;
    desk.play(100);
    let id = desk.start();
    desk.engine.tape.pretend_written_through(super::super::STREAM_BEGINS);
    desk.play(40_000);
    assert!(desk.engine.is_behind());
    assert_eq!(desk.told(id).runs(&[0]).0, [(0, 40_000)]);
}

#[test]
fn an_order_due_while_the_server_is_gone_begins_late_and_says_so() {
    let mut desk = Desk::new(1);
    desk.play(1_000);
    desk.engine.disconnected(desk.now());
    let order = Order { start: desk.wall() + ms(1_000), ..desk.order() };
    let id = desk.say(order);
    desk.silence(5_000);
    desk.connect(RATE, 1);
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]), (vec![(0, 100)], 6_000));
    assert!((told.opened.as_ref().unwrap().late_seconds - 4.0).abs() < 0.002);
}

#[test]
fn marks_that_wait_for_frames_are_bounded() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    let refused = (0..5_000).filter(|_| desk.engine.edge(id, desk.mono_us, Edge::Mark("m".into())).is_err()).count();
    assert_eq!(refused, 5_000 - 4_096);
    desk.play(50);
    assert_eq!(desk.told(id).facts.len(), 4_096);
    assert!(desk.engine.edge(id, desk.mono_us, Edge::Mark("m".into())).is_ok());
}
