//! Starting, stopping, marking, sharing: what a take is when nothing goes wrong. Exact to the frame, always.

use crate::harness::*;
use sha2::{Digest, Sha256};

#[test]
fn stop_leaves_a_playable_take_exact_to_the_frame() {
    let room = Room::usual();
    let id = room.record(&["--title", "Hearing 7"], ms(2000));
    let pressed = room.feed.position();
    let take = room.appliance.stop(&id);
    let ready = room.feed.position();
    assert_eq!((take.state.as_str(), take.title.as_str()), ("ready", "Hearing 7"));
    assert!(distance(pressed, ready) <= ms(2000) as i64, "stop to ready took {} frames", distance(pressed, ready));
    let begins = room.appliance.check(&take).assert_exact(take.frames);
    let ends = begins + take.frames;
    assert!(
        (-unknown()..=distance(pressed, ready)).contains(&distance(pressed, ends)),
        "the end is where stop was pressed"
    );
    assert_eq!(room.exported(&take).assert_exact(take.frames), begins);
    assert_eq!(take.duration_seconds, take.frames as f64 / f64::from(take.sample_rate));
    assert_eq!(room.appliance.verify(&id).code, Some(0));
}

#[test]
fn a_take_for_three_seconds_has_three_seconds_of_frames() {
    let room = Room::usual();
    let id = room.record(&["--for", "3"], ms(3000));
    let take = room.appliance.wait_until(&id, "the take to end by itself", |take| take.state == "ready");
    assert_eq!(take.frames, ms(3000));
    room.appliance.check(&take).assert_exact(take.frames);
}

#[test]
fn a_scheduled_start_hits_its_time_within_50_ms() {
    let room = Room::usual();
    let (now, heard, lag) = (jiff::Timestamp::now(), room.feed.position(), room.feed.lag());
    let due = now + jiff::SignedDuration::from_millis(2500);
    let id = room.record(&["--at", &due.to_string(), "--for", "1"], ms(3600));
    let take = room.appliance.wait_until(&id, "the take to end by itself", |take| take.state == "ready");
    let begins = room.appliance.check(&take).assert_exact(ms(1000));
    let late = distance(heard + ms(2500), begins);
    let slack = ms(50) + unknown() as u64 + room.feed.stood_still(lag);
    assert!(late.unsigned_abs() <= slack, "{late} frames late, of which {slack} are forgiven");
}

#[test]
fn pre_roll_holds_what_was_heard_before_the_button() {
    let room = Room::usual();
    room.feed.play(ms(2500));
    let before = room.feed.position();
    let id = room.appliance.take_start(&["--pre-roll", "2"]);
    let after = room.feed.position();
    room.feed.play(ms(500));
    let take = room.appliance.stop(&id);
    let begins = room.appliance.check(&take).assert_exact(take.frames);
    assert_between(&room, before, begins + ms(2000), after);
}

#[test]
fn a_mark_lands_where_it_was_pressed() {
    let room = Room::usual();
    let id = room.record(&[], ms(500));
    let before = room.feed.position();
    room.appliance.run(&["take", "mark", &id, "--label", "Zeuge tritt ein – 証人"]).ok();
    let after = room.feed.position();
    room.feed.play(ms(300));
    let take = room.appliance.stop(&id);
    let begins = room.appliance.check(&take).assert_exact(take.frames);
    assert_eq!(take.marks.len(), 1);
    assert_eq!(take.marks[0].label, "Zeuge tritt ein – 証人");
    assert_between(&room, before, begins + take.marks[0].frame, after);
}

#[test]
fn segments_join_without_losing_a_frame() {
    let room = Room::new(Plan { capture: &["--segment-seconds", "1"], ..Plan::default() });
    let id = room.record(&[], ms(3500));
    let take = room.appliance.stop(&id);
    assert!(take.segments.len() >= 3, "{:?}", take.segments);
    for (one, next) in take.segments.iter().zip(&take.segments[1..]) {
        assert_eq!(one.first_frame + one.frames, next.first_frame);
    }
    for segment in &take.segments {
        let bytes = std::fs::read(room.appliance.folder_of(&id).join(&segment.file)).unwrap();
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(segment.sha256.as_deref(), Some(hex.as_str()), "{}", segment.file);
    }
    let begins = room.appliance.check(&take).assert_exact(take.frames);
    assert_eq!(room.exported(&take).assert_exact(take.frames), begins);
}

#[test]
fn two_takes_share_channels_and_end_on_their_own() {
    let room = Room::new(Plan { channels: 3, ..Plan::default() });
    let all = room.record(&["--channels", "all"], ms(400));
    let pair = room.record(&["--channels", "1,3"], ms(400));
    let first = room.appliance.stop(&all);
    room.feed.play(ms(300));
    let second = room.appliance.stop(&pair);
    assert_eq!((first.numbers(), second.numbers()), (vec![1, 2, 3], vec![1, 3]));
    room.appliance.check(&first).assert_exact(first.frames);
    room.appliance.check(&second).assert_exact(second.frames);
}

#[test]
fn sixteen_overlapping_takes_are_each_exact() {
    let room = Room::new(Plan { channels: 32, ..Plan::default() });
    // Two channels of its own, and the first, which all share.
    let channels = |n: u32| if n == 0 { "1,2".to_string() } else { format!("1,{},{}", 2 * n + 1, 2 * n + 2) };
    let ids: Vec<_> = (0..16).map(|n| room.record(&["--channels", &channels(n)], ms(60))).collect();
    for id in ids {
        let take = room.appliance.stop(&id);
        assert_eq!(take.state, "ready");
        room.appliance.check(&take).assert_exact(take.frames);
        room.feed.play(ms(30));
    }
}

#[test]
fn the_list_has_every_take_once() {
    let room = Room::usual();
    let mut ids: Vec<_> = (0..3).map(|_| room.record(&[], ms(100))).collect();
    ids.iter().for_each(|id| drop(room.appliance.stop(id)));
    let mut listed = room.appliance.list();
    ids.sort();
    listed.sort();
    assert_eq!(listed, ids);
}

/// What a command cannot know: the period in which it was heard, one to hear it and one for JACK's own count.
fn unknown() -> i64 {
    2 * i64::from(Options::default().period)
}

/// A feed frame lies between two positions of the feed. A press is placed by the clock, and a server that stood still is
/// behind it.
#[track_caller]
fn assert_between(room: &Room, before: u64, frame: u64, after: u64) {
    let (lead, span) = (distance(before, frame), distance(before, after));
    let slack = unknown() + room.feed.stood_still(0) as i64;
    assert!((-slack..=span + slack).contains(&lead), "{lead} frames behind the press, which took {span}");
}
