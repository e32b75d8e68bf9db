//! The engine against synthetic blocks: what each take gets, frame by frame, whatever happens to the source, the clocks
//! and the orders.

mod adopting;
mod desk;
mod faults;
mod pipeline;

use jiff::SignedDuration;

use self::desk::{Desk, PRE_ROLL, RATE};
use super::Outcome;
use super::taking::Edge;
use crate::domain::take::CloseReason;
use crate::domain::{Channels, ClockQuality, Fact, Mark, Order};

fn ms(ms: i64) -> SignedDuration {
    SignedDuration::from_millis(ms)
}

#[test]
fn a_start_between_two_blocks_begins_at_its_frame() {
    let mut desk = Desk::new(2);
    desk.play(1_000);
    let order = Order { start: desk.wall() + ms(123), length_seconds: Some(0.5), ..desk.order() };
    let id = desk.say(order);
    desk.play(1_000);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0, 1]), (vec![(0, 500)], 1_123));
    assert_eq!((told.closed, told.opened.as_ref().unwrap().late_seconds), (Some((500, CloseReason::PlannedEnd)), 0.0));
}

#[test]
fn an_order_heard_late_finds_its_beginning_in_the_past() {
    let mut desk = Desk::new(1);
    desk.play(1_000);
    let order = Order { start: desk.wall() - ms(777), ..desk.order() };
    let id = desk.say(order);
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]), (vec![(0, 877)], 223));
    assert_eq!(told.opened.as_ref().unwrap().late_seconds, 0.0);
}

#[test]
fn what_the_past_does_not_hold_any_more_is_told_as_late() {
    let mut desk = Desk::new(1);
    desk.play(5_000);
    let order = Order { start: desk.wall() - ms(4_000), length_seconds: Some(4.5), ..desk.order() };
    let id = desk.say(order);
    desk.play(1_000);
    let told = desk.told(id);
    let opened = told.opened.as_ref().unwrap();
    assert_eq!(told.runs(&[0]).1, 5_000 - PRE_ROLL as i64 * 1_000);
    assert_eq!((opened.late_seconds, opened.planned_frames), (2.0, Some(2_500)));
    assert_eq!(told.closed, Some((2_500, CloseReason::PlannedEnd)), "the end is when it was ordered");
}

/// A booking that began before the machine was started was planned from the machine's start on, and ended late.
#[test]
fn a_booking_older_than_the_machine_ends_when_it_was_to_end() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let start = desk.wall() - SignedDuration::from_hours(2);
    let order = Order { start, stop: Some(desk.wall() + ms(300)), ..desk.order() };
    let id = desk.say(order);
    desk.play(1_000);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]), (vec![(0, 400)], 0));
    assert!((told.opened.as_ref().unwrap().late_seconds - 7_199.9).abs() < 0.002);
}

#[test]
fn pre_roll_is_kept_to_the_frame() {
    let mut desk = Desk::new(1);
    desk.play(3_000);
    let order = Order { pre_roll_seconds: 1.5, length_seconds: Some(1.0), ..desk.order() };
    let id = desk.say(order);
    desk.play(2_000);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]), (vec![(0, 2_500)], 1_500));
    assert_eq!(told.opened.as_ref().unwrap().pre_roll_frames, 1_500);
}

#[test]
fn takes_that_overlap_share_channels_and_end_on_their_own() {
    let mut desk = Desk::new(3);
    desk.play(200);
    let order = Order { channels: Channels::Numbers(vec![3, 1]), length_seconds: Some(0.4), ..desk.order() };
    let short = desk.say(order);
    desk.block(33);
    let long = desk.start();
    desk.play(700);
    assert!(desk.stop(long));
    desk.play(100);
    assert_eq!(desk.told(short).runs(&[2, 0]), (vec![(0, 400)], 200));
    assert_eq!(desk.told(long).runs(&[0, 1, 2]), (vec![(0, 700)], 233));
    assert_eq!(desk.told(long).closed, Some((700, CloseReason::Stopped)));
}

#[test]
fn a_stop_in_the_past_ends_at_what_was_written_and_one_ahead_waits_for_its_frame() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let (past, ahead) = (desk.start(), desk.start());
    desk.play(300);
    assert!(desk.engine.stop(past, desk.mono_us - 200_000));
    assert!(desk.engine.stop(ahead, desk.mono_us + 33_000));
    desk.play(100);
    assert_eq!(desk.told(past).closed, Some((300, CloseReason::Stopped)));
    assert_eq!(desk.told(ahead).closed, Some((333, CloseReason::Stopped)));
    assert_eq!(desk.told(ahead).runs(&[0]).0, [(0, 333)]);
}

#[test]
fn a_stop_of_nothing_is_no_stop() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let order = Order { start: desk.wall() + ms(5_000), ..desk.order() };
    let id = desk.say(order);
    assert!(!desk.stop(id));
}

#[test]
fn an_end_can_be_moved_both_ways_and_taken_away() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let order = Order { length_seconds: Some(0.3), ..desk.order() };
    let id = desk.say(order.clone());
    desk.play(200);
    desk.say(Order { length_seconds: None, ..order.clone() });
    desk.play(400);
    desk.say(Order { length_seconds: None, stop: Some(order.start + ms(800)), ..order.clone() });
    desk.say(Order { length_seconds: Some(0.7), ..order });
    desk.play(400);
    let told = desk.told(id);
    assert_eq!(told.closed, Some((700, CloseReason::PlannedEnd)));
    let planned = |frames| Fact::Planned { frames };
    assert_eq!(told.facts, [planned(None), planned(Some(800)), planned(Some(700))]);
}

#[test]
fn an_end_moved_into_the_past_is_now() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let order = desk.order();
    let id = desk.say(order.clone());
    desk.play(500);
    desk.say(Order { length_seconds: Some(0.1), ..order });
    desk.play(50);
    assert_eq!(desk.told(id).closed.unwrap().0, 500);
}

#[test]
fn a_pause_and_its_end_inside_one_block_are_exact() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    desk.play(100);
    let now = desk.mono_us;
    assert_eq!(desk.engine.edge(id, now + 7_000, Edge::Pause), Ok(107));
    assert_eq!(desk.engine.edge(id, now + 31_000, Edge::Resume), Ok(131));
    assert_eq!(desk.engine.edge(id, now + 40_000, Edge::Mark("here".into())), Ok(140));
    desk.play(100);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 107), (131, 200)]);
    assert!(told.gaps.is_empty());
    let [Fact::Paused { frame: 107, .. }, Fact::Resumed { frame: 131, .. }, Fact::Mark(mark)] = &told.facts[..] else {
        panic!("{:?}", told.facts)
    };
    assert_eq!(mark, &Mark { frame: 140, label: "here".into() });
}

#[test]
fn edges_that_cannot_follow_are_refused() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    assert!(desk.engine.edge(id, desk.mono_us, Edge::Resume).is_err());
    assert!(desk.engine.edge(id, desk.mono_us, Edge::Pause).is_ok());
    assert!(desk.engine.edge(id, desk.mono_us, Edge::Pause).is_err());
    let other = desk.order().id;
    assert!(desk.engine.edge(other, desk.mono_us, Edge::Pause).unwrap_err().contains("not running"));
}

#[test]
fn no_pre_roll_reaches_into_what_was_off_the_record() {
    let mut desk = Desk::new(2);
    desk.play(1_000);
    let first = desk.start();
    desk.play(200);
    desk.engine.edge(first, desk.mono_us, Edge::Pause).unwrap();
    desk.play(300);
    let during = Order { pre_roll_seconds: 1.0, ..desk.order() };
    let during = desk.say(during);
    desk.engine.edge(first, desk.mono_us, Edge::Resume).unwrap();
    desk.play(300);
    let after = Order { pre_roll_seconds: 1.0, channels: Channels::Numbers(vec![2]), ..desk.order() };
    let after = desk.say(after);
    desk.play(100);
    assert_eq!(desk.told(during).runs(&[0, 1]), (vec![(0, 400)], 1_500), "in the pause it begins with what comes");
    assert_eq!(desk.told(after).runs(&[1]), (vec![(0, 400)], 1_500), "after it, with where the pause ended");
    // The take is over; what it kept off the record stays so.
    desk.stop(first);
    desk.play(100);
    let later = Order { pre_roll_seconds: 1.0, ..desk.order() };
    let later = desk.say(later);
    desk.play(50);
    assert_eq!(desk.told(later).runs(&[0, 1]).1, 1_500);
}

#[test]
fn a_pause_is_off_the_record_on_its_channels_until_it_ends() {
    let mut desk = Desk::new(3);
    desk.play(500);
    let order = Order { channels: Channels::Numbers(vec![1, 3]), ..desk.order() };
    let first = desk.say(order);
    let whole = desk.start();
    let private = |desk: &Desk| {
        let next = desk.engine.stream.as_ref().unwrap().next;
        (0..3).filter(|&index| desk.engine.off_record(next).contains(index)).collect::<Vec<usize>>()
    };
    desk.play(100);
    assert_eq!(private(&desk), [0usize; 0]);
    desk.engine.edge(first, desk.mono_us, Edge::Pause).unwrap();
    desk.play(100);
    assert_eq!(private(&desk), [0usize, 2], "although the other recording goes on");
    desk.engine.edge(first, desk.mono_us, Edge::Resume).unwrap();
    desk.play(100);
    assert_eq!(private(&desk), [0usize; 0]);
    desk.engine.edge(whole, desk.mono_us, Edge::Pause).unwrap();
    desk.stop(whole);
    desk.play(100);
    assert_eq!(private(&desk), [0usize; 0], "a recording that is over keeps nothing private that comes after it");
}

#[test]
fn a_take_that_ends_paused_keeps_all_of_the_pause_private() {
    let mut desk = Desk::new(1);
    desk.play(500);
    let first = desk.start();
    desk.play(100);
    desk.engine.edge(first, desk.mono_us, Edge::Pause).unwrap();
    desk.play(200);
    desk.stop(first);
    desk.play(50);
    assert_eq!(desk.told(first).closed.unwrap().0, 300);
    let order = Order { pre_roll_seconds: 1.0, ..desk.order() };
    let second = desk.say(order);
    desk.play(50);
    assert_eq!(desk.told(second).runs(&[0]), (vec![(0, 100)], 800));
}

#[test]
fn a_clock_step_changes_neither_length_nor_end() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let order = desk.order();
    let order = Order { stop: Some(order.start + ms(1_000)), ..order };
    let id = desk.say(order.clone());
    desk.play(200);
    desk.stepped = SignedDuration::from_hours(1);
    desk.play(200);
    // The new end is said on the new clock: 1.2 s after the start by the old one.
    desk.say(Order { stop: Some(order.start + ms(1_200) + SignedDuration::from_hours(1)), ..order });
    desk.play(1_000);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]).0, [(0, 1_200)]);
    let steps = told
        .facts
        .iter()
        .filter(|fact| matches!(fact, Fact::ClockStepped { seconds, .. } if (seconds - 3_600.0).abs() < 0.01));
    assert_eq!(steps.count(), 1);
}

#[test]
fn in_freewheel_now_is_the_newest_frame() {
    let mut desk = Desk::new(1);
    desk.is_freewheel = true;
    desk.play(10_000);
    let id = desk.start();
    desk.play(5_000);
    assert_eq!(desk.engine.edge(id, desk.mono_us, Edge::Mark("m".into())), Ok(5_000));
    desk.stop(id);
    desk.play(50);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]), (vec![(0, 5_000)], 10_000));
    assert_eq!(told.closed.unwrap().0, 5_000);
}

#[test]
fn an_order_whose_time_is_over_is_told_as_missed_once() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let start = desk.wall() - ms(3_000);
    let order = Order { start, stop: Some(start + ms(2_000)), ..desk.order() };
    let id = desk.say(order);
    desk.play(200);
    assert_eq!(desk.outcomes.try_iter().collect::<Vec<_>>(), [Outcome::Missed(id)]);
    assert!(desk.told(id).opened.is_none());
}

/// On a busy machine a recording was started, stopped a third of a second later, and gone without a trace: its frames were
/// still to come when its order was over by the clock.
#[test]
fn what_is_stopped_before_its_frames_have_come_is_recorded_when_they_come() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let heard = desk.mono_us;
    desk.mono_us += 20_000;
    let id = desk.start();
    desk.mono_us += 15_000;
    let order = desk.orders.get(id).unwrap().clone();
    desk.say(Order { stop: Some(desk.wall()), ..order });
    assert!(desk.stop(id), "it is about to run");
    desk.engine.tick(desk.now(), ClockQuality::Ntp);
    assert!(desk.told(id).opened.is_none());
    desk.mono_us = heard;
    desk.play(50);
    let told = desk.told(id);
    assert_eq!(told.runs(&[0]), (vec![(0, 15)], 120));
    assert_eq!(told.closed, Some((15, CloseReason::Stopped)));
    assert_eq!(desk.outcomes.try_iter().count(), 0);
}

#[test]
fn what_is_stopped_before_it_was_due_or_while_nothing_comes_is_not_waited_for() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let order = Order { start: desk.wall() + ms(10_000), ..desk.order() };
    let ahead = desk.say(order.clone());
    desk.say(Order { stop: Some(order.start), ..order });
    assert!(!desk.stop(ahead));

    let order = desk.order();
    desk.mono_us += 10_000;
    let order = Order { start: desk.wall(), ..order };
    let silent = desk.say(order.clone());
    desk.mono_us += 100_000;
    desk.say(Order { stop: Some(desk.wall()), ..order });
    assert!(desk.stop(silent));
    assert_eq!(desk.outcomes.try_iter().count(), 0, "a tenth of a second is not yet silence");
    desk.silence(1_000);
    assert_eq!(desk.outcomes.try_iter().collect::<Vec<_>>(), [Outcome::Missed(silent)]);
}

/// The clock of a node that starts in 1970 is set while its first recording begins.
#[test]
fn what_has_fallen_due_begins_although_the_clock_is_stepped_before_its_frames_come() {
    for hours in [-400_000, 400_000] {
        let mut desk = Desk::new(1);
        desk.play(100);
        let heard = desk.mono_us;
        desk.mono_us += 20_000;
        let id = desk.start();
        desk.mono_us = heard;
        desk.stepped = SignedDuration::from_hours(hours);
        // A step is one when two looks agree on it.
        (0..3).for_each(|_| desk.engine.tick(desk.now(), ClockQuality::Ntp));
        desk.play(100);
        assert_eq!(desk.told(id).runs(&[0]), (vec![(0, 80)], 120));
    }
}

#[test]
fn what_is_put_off_after_it_fell_due_waits_for_its_new_time() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let heard = desk.mono_us;
    desk.mono_us += 20_000;
    let order = desk.order();
    let id = desk.say(order.clone());
    desk.say(Order { start: order.start + ms(1_000), ..order });
    desk.mono_us = heard;
    desk.play(500);
    assert!(desk.told(id).opened.is_none());
    desk.play(700);
    assert_eq!(desk.told(id).runs(&[0]), (vec![(0, 180)], 1_120));
}

/// A clock that was a year ahead when the machine was started makes nothing begin that is not due when frames come.
#[test]
fn while_nothing_comes_the_clock_may_be_put_right() {
    let mut desk = Desk::new(1);
    desk.stepped = SignedDuration::from_hours(24 * 365);
    let order = Order { start: desk.wall() - ms(3_600_000), ..desk.order() };
    let id = desk.say(order);
    (0..3).for_each(|_| desk.silence(100));
    desk.stepped = SignedDuration::ZERO;
    (0..3).for_each(|_| desk.silence(100));
    desk.play(500);
    assert!(desk.told(id).opened.is_none());
}

/// Frames that a server did not deliver in time, and does not count as lost either, put all behind the clock.
#[test]
fn what_begins_now_does_not_wait_for_frames_to_catch_up_with_the_clock() {
    let mut desk = Desk::new(1);
    desk.play(100);
    desk.mono_us += 500_000;
    let id = desk.start();
    desk.play(50);
    assert!(desk.told(id).opened.is_none(), "one block is no proof");
    desk.play(150);
    assert_eq!(desk.told(id).runs(&[0]), (vec![(0, 200)], 100));
}

/// Else it would record what is played as fast as it goes now, for as long as it was ordered for then.
#[test]
fn an_order_whose_time_is_over_is_missed_in_freewheel() {
    let mut desk = Desk::new(1);
    desk.is_freewheel = true;
    desk.play(10_000);
    let start = desk.wall() - ms(3_000);
    let order = Order { start, stop: Some(start + ms(2_000)), ..desk.order() };
    let id = desk.say(order);
    desk.play(200);
    assert_eq!(desk.outcomes.try_iter().collect::<Vec<_>>(), [Outcome::Missed(id)]);
    assert!(desk.told(id).opened.is_none());
}

#[test]
fn a_channel_that_does_not_exist_is_told_and_nothing_is_opened() {
    let mut desk = Desk::new(2);
    desk.play(100);
    let order = Order { channels: Channels::Numbers(vec![1, 3]), ..desk.order() };
    let id = desk.say(order);
    desk.play(50);
    assert!(desk.events().contains("channel 3 does not exist"), "{}", desk.events());
    assert!(desk.told(id).opened.is_none());
}

#[test]
fn an_order_that_vanishes_does_not_end_its_recording() {
    let mut desk = Desk::new(1);
    desk.play(100);
    let id = desk.start();
    desk.play(200);
    desk.forget(id);
    desk.play(200);
    assert!(desk.told(id).closed.is_none());
    assert!(desk.stop(id), "it can still be stopped");
    desk.play(50);
    assert_eq!(desk.told(id).closed, Some((400, CloseReason::Stopped)));
}

#[test]
fn a_recording_is_measured_but_not_in_its_pauses() {
    let mut desk = Desk::with(1, true);
    desk.connect(RATE, 1);
    // At this rate a measured stretch is 400 frames.
    desk.play(2_000);
    let id = desk.start();
    desk.play(2_000);
    desk.engine.edge(id, desk.mono_us, Edge::Pause).unwrap();
    desk.play(2_000);
    assert_eq!(desk.told(id).hops, 5);
    desk.engine.edge(id, desk.mono_us, Edge::Resume).unwrap();
    desk.play(2_000);
    assert_eq!(desk.told(id).hops, 10);
}
