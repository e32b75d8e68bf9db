//! Takes that a crash left open: where they go on, how long they last, and when they do not.

use jiff::SignedDuration;

use super::desk::{Desk, RATE, THIS_BOOT};
use super::ms;
use crate::capture::engine::Unfinished;
use crate::capture::engine::taking::Edge;
use crate::domain::order::StoredAs;
use crate::domain::take::{CloseReason, Opened, SegmentOpened, TakeChannel};
use crate::domain::{ClockQuality, Fact, GapCause, Order};

/// A take of one channel whose frame 0 lies at the desk's present; 400 frames of it reached the disk.
fn left_open(desk: &mut Desk, change: impl FnOnce(Order) -> Order) -> Unfinished {
    let (wall, mono_us, jack_frame) = (desk.wall(), desk.mono_us, desk.jack_frame);
    let order = change(desk.order());
    let frames = |seconds: f64| (seconds * f64::from(RATE)).round() as u64;
    let planned_frames = order.planned_seconds().map(frames);
    let channel = TakeChannel { number: 1, port: "mic:1".into(), label: "Mic 1".into() };
    let opened = Opened {
        id: order.id,
        title: String::new(),
        sample_rate: RATE,
        stored_as: StoredAs::Pcm24,
        channels: vec![channel],
        started_at: wall,
        time_zone: "UTC".into(),
        clock_quality: ClockQuality::Ntp,
        pre_roll_frames: 0,
        ordered_start: order.start,
        late_seconds: 0.0,
        planned_frames,
        segment_frames: 3_000,
        host: "desk".into(),
        version: "0".into(),
    };
    let anchor = SegmentOpened {
        file: "0001.wav".into(),
        first_frame: 0,
        at: wall,
        mono_us,
        jack_frame,
        boot_id: THIS_BOOT.into(),
    };
    let (frames, paused_from, stepped_seconds) = (400, None, 0.0);
    Unfinished { order, opened, frames, anchor: Some(anchor), paused_from, planned_frames, stepped_seconds }
}

/// Capture is back after `ms`: the same server still counts.
fn come_back(desk: &mut Desk, unfinished: &Unfinished, ms: u32) {
    desk.lose(ms);
    desk.connect(RATE, 1);
    desk.engine.adopt(vec![unfinished.clone()]);
    desk.say(unfinished.order.clone());
}

#[test]
fn under_the_same_server_a_take_goes_on_exactly() {
    let mut desk = Desk::silent(1);
    let unfinished = left_open(&mut desk, |order| order);
    // The clock would be wrong by a fifth of a second; the server's own count is not.
    desk.mono_us += 200_000;
    come_back(&mut desk, &unfinished, 1_500);
    desk.play(200);
    desk.stop(unfinished.order.id);
    desk.play(50);
    let told = desk.told(unfinished.order.id);
    assert!(told.is_adopted && told.opened.is_none());
    assert_eq!(told.gap_spans(), [(400, 1_500, GapCause::CaptureDown)]);
    assert_eq!(told.runs(&[0]), (vec![(1_500, 1_700)], 0));
}

/// The first period after a restart was silent although its port was said to be connected, and nobody was told.
#[test]
fn the_silence_before_the_first_sound_after_a_restart_is_told() {
    let mut desk = Desk::silent(1);
    let unfinished = left_open(&mut desk, |order| order);
    desk.silent_until = 1_530;
    come_back(&mut desk, &unfinished, 1_500);
    desk.play(200);
    let told = desk.told(unfinished.order.id);
    let [Fact::Gap(gap)] = &told.facts[..] else { panic!("{:?}", told.facts) };
    assert_eq!((gap.first_frame, gap.frames, gap.cause), (1_500, 30, GapCause::PortDisconnected));
}

#[test]
fn after_another_boot_the_wall_clock_says_where_a_take_goes_on() {
    let mut desk = Desk::silent(1);
    let mut unfinished = left_open(&mut desk, |order| order);
    unfinished.anchor.as_mut().unwrap().boot_id = "the boot before".into();
    unfinished.anchor.as_mut().unwrap().mono_us = 99;
    come_back(&mut desk, &unfinished, 90_000);
    desk.play(100);
    let told = desk.told(unfinished.order.id);
    assert_eq!(told.gap_spans(), [(400, 90_000, GapCause::CaptureDown)]);
    assert_eq!(told.runs(&[0]).0, [(90_000, 90_100)]);
}

#[test]
fn a_clock_that_went_back_still_tells_the_joint() {
    let mut desk = Desk::silent(1);
    let mut unfinished = left_open(&mut desk, |order| order);
    unfinished.anchor.as_mut().unwrap().boot_id = "the boot before".into();
    desk.stepped = SignedDuration::from_hours(-24 * 365);
    come_back(&mut desk, &unfinished, 5_000);
    desk.play(100);
    assert_eq!(desk.told(unfinished.order.id).gap_spans(), [(400, 401, GapCause::CaptureDown)]);
}

#[test]
fn a_take_that_was_paused_is_still_paused_and_its_absence_is_no_gap() {
    let mut desk = Desk::silent(1);
    let mut unfinished = left_open(&mut desk, |order| order);
    unfinished.paused_from = Some(400);
    let id = unfinished.order.id;
    come_back(&mut desk, &unfinished, 1_000);
    desk.play(100);
    assert_eq!(desk.engine.edge(id, desk.mono_us, Edge::Resume), Ok(1_100));
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.gap_spans(), []);
    assert_eq!(told.runs(&[0]).0, [(1_100, 1_200)]);
}

#[test]
fn a_planned_end_holds_to_the_frame() {
    let mut desk = Desk::silent(1);
    let unfinished = left_open(&mut desk, |order| Order { length_seconds: Some(1.234), ..order });
    come_back(&mut desk, &unfinished, 1_000);
    desk.play(500);
    let told = desk.told(unfinished.order.id);
    assert_eq!(told.closed, Some((1_234, CloseReason::PlannedEnd)));
    assert_eq!(told.facts, []);
}

/// A booking was extended while the recorder was down; the recording ended when its log said, an hour too early.
#[test]
fn an_end_that_was_moved_while_the_recorder_was_down_is_the_end() {
    let mut desk = Desk::silent(1);
    let mut unfinished = left_open(&mut desk, |order| Order { stop: Some(order.start + ms(1_200)), ..order });
    unfinished.order.stop = Some(unfinished.order.start + ms(2_000));
    come_back(&mut desk, &unfinished, 1_000);
    desk.play(1_500);
    let told = desk.told(unfinished.order.id);
    assert_eq!(told.closed, Some((2_000, CloseReason::PlannedEnd)));
    assert_eq!(told.facts, [Fact::Planned { frames: Some(2_000) }]);
}

#[test]
fn an_end_that_was_moved_behind_what_is_on_disk_cuts_nothing_off() {
    let mut desk = Desk::silent(1);
    let mut unfinished = left_open(&mut desk, |order| order);
    unfinished.order.length_seconds = Some(0.1);
    desk.lose(1_000);
    desk.connect(RATE, 1);
    desk.engine.adopt(vec![unfinished.clone()]);
    desk.play(100);
    assert_eq!(desk.told(unfinished.order.id).closed, Some((400, CloseReason::PlannedEnd)));
}

#[test]
fn clock_steps_before_the_crash_count_when_the_end_is_moved_after_it() {
    let mut desk = Desk::silent(1);
    let mut unfinished = left_open(&mut desk, |order| Order { stop: Some(order.start + ms(1_500)), ..order });
    // Since then the clock was stepped by an hour; the order still says what it said.
    unfinished.stepped_seconds = 3_600.0;
    desk.stepped = SignedDuration::from_hours(1);
    come_back(&mut desk, &unfinished, 1_000);
    desk.play(200);
    let order = unfinished.order.clone();
    let moved = order.start + SignedDuration::from_hours(1) + ms(1_800);
    desk.say(Order { stop: Some(moved), ..order });
    desk.play(1_000);
    assert_eq!(desk.told(unfinished.order.id).closed.unwrap().0, 1_800);
}

#[test]
fn a_take_whose_end_passed_without_a_server_is_closed_with_what_is_missing() {
    let mut desk = Desk::silent(1);
    let unfinished = left_open(&mut desk, |order| Order { length_seconds: Some(2.0), ..order });
    come_back(&mut desk, &unfinished, 10_000);
    desk.play(100);
    let told = desk.told(unfinished.order.id);
    assert_eq!(told.closed, Some((2_000, CloseReason::PlannedEnd)));
    assert_eq!(told.gap_spans(), [(400, 2_000, GapCause::CaptureDown)]);
    assert!(told.audio.is_empty());
}

#[test]
fn a_take_of_another_rate_or_of_channels_that_are_gone_is_closed_as_found_and_told() {
    for is_rate in [true, false] {
        let mut desk = Desk::silent(1);
        let mut unfinished = left_open(&mut desk, |order| order);
        match is_rate {
            true => unfinished.opened.sample_rate = 2 * RATE,
            false => unfinished.opened.channels[0].number = 2,
        }
        come_back(&mut desk, &unfinished, 1_000);
        desk.play(100);
        assert_eq!(desk.told(unfinished.order.id).closed, Some((400, CloseReason::EndedWhileDown)));
        assert!(desk.events().contains("cannot go on"), "{}", desk.events());
    }
}

/// A stop before the first frame found no running take, took the order away, and then the take went on for ever.
#[test]
fn a_stop_before_the_first_frame_ends_the_take() {
    let mut desk = Desk::silent(1);
    let unfinished = left_open(&mut desk, |order| order);
    let id = unfinished.order.id;
    come_back(&mut desk, &unfinished, 1_000);
    assert!(desk.stop(id));
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.closed, Some((400, CloseReason::Stopped)));
    assert!(told.is_adopted && told.audio.is_empty());
}
