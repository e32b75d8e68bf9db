//! Takes on disk and their records, whatever happens to either.

use jiff::SignedDuration;

use super::{Node, status};
use crate::capture::orders;
use crate::domain::order::StoredAs;
use crate::domain::watch::{Expects, Role};
use crate::domain::{Channels, Order, TakeId, TakeState};
use crate::service::Worker;
use crate::service::recorder::Recorder;
use crate::service::tests::takes::{RATE, TestTake};
use crate::store::Edits;
use crate::store::recordings::{Facts, Query};
use crate::store::rooms::ChannelLabel;

fn recorder(node: &Node) -> Recorder {
    Recorder::new(node.data.clone(), node.store(), node.live.clone())
}

fn only(node: &Node) -> TakeId {
    let ids = node.data.take_ids().unwrap();
    assert_eq!(ids.len(), 1);
    ids[0]
}

fn facts(node: &Node, id: TakeId) -> Option<Facts> {
    node.store().recording(id).unwrap().map(|recording| recording.facts)
}

/// A take like another, under the `n`th id.
fn copy(node: &Node, of: TakeId, n: u8) -> TakeId {
    let id = TakeId::new(node.now.wall + SignedDuration::from_secs(i64::from(n)), [n; 10]);
    std::fs::create_dir_all(node.data.take(id).path()).unwrap();
    for entry in std::fs::read_dir(node.data.take(of).path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), node.data.take(id).path().join(entry.file_name())).unwrap();
    }
    id
}

fn order(node: &Node) -> Order {
    Order {
        id: TakeId::new(node.now.wall, [9; 10]),
        title: "Booked".into(),
        channels: Channels::All,
        start: node.now.wall + SignedDuration::from_hours(1),
        stop: None,
        length_seconds: Some(60.0),
        pre_roll_seconds: 0.0,
        stored_as: StoredAs::Pcm24,
    }
}

#[test]
fn a_recording_made_while_the_node_was_down_is_in_the_list() {
    let mut take = TestTake::begin(2);
    take.record(RATE as usize);
    take.close();
    let mut node = Node::over(take.home.path());
    let id = only(&node);

    node.step(&mut recorder(&node));

    let facts = facts(&node, id).unwrap();
    assert_eq!((facts.state, facts.duration_seconds, facts.title.as_str()), (TakeState::Ready, 1.0, "Hearing"));
    assert_eq!(facts.channels, [(1, "Mic 1".to_owned()), (2, "Mic 2".to_owned())]);
}

#[test]
fn a_channel_keeps_the_name_it_had_when_its_recording_began() {
    let mut take = TestTake::begin(2);
    take.record(RATE as usize);
    let mut node = Node::over(take.home.path());
    let (id, this) = (only(&node), node.store().node());
    let mut recorder = recorder(&node);
    let called = |label: &str| {
        let mut edits = Edits::by("test");
        let (role, expects) = (Role::Mic, Expects::Signal);
        edits.put_channels(this, &[ChannelLabel { number: 2, label: label.into(), role, expects }]);
        edits
    };
    node.store().commit(called("Witness"), node.moment()).unwrap();
    node.live.set_status(Some(status(&[id])), node.now.mono_us);
    node.step(&mut recorder);
    let names = [(1, "Mic 1".to_owned()), (2, "Witness".to_owned())];
    assert_eq!(facts(&node, id).unwrap().channels, names);

    node.store().commit(called("Gallery"), node.moment()).unwrap();
    take.lose(RATE as usize / 2);
    node.step(&mut recorder);
    let after = facts(&node, id).unwrap();
    assert_eq!((after.gaps.0, after.channels), (1, names.into()));
}

#[test]
fn a_running_recording_is_followed_to_its_end() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    let mut node = Node::over(take.home.path());
    let id = only(&node);
    let mut recorder = recorder(&node);
    node.live.set_status(Some(status(&[id])), node.now.mono_us);
    node.step(&mut recorder);
    assert_eq!(facts(&node, id).unwrap().state, TakeState::Recording);

    take.lose(RATE as usize / 2);
    node.step(&mut recorder);
    let with_gap = facts(&node, id).unwrap();
    assert_eq!(with_gap.gaps, (1, 0.5), "a gap is told at once");

    take.close();
    take.hash(1, "a");
    node.live.set_status(Some(status(&[])), node.now.mono_us);
    let detail = node.step(&mut recorder);
    assert_eq!(facts(&node, id).unwrap().state, TakeState::Incomplete);
    assert!(detail.starts_with("1 settled, 0 followed"), "{detail}");
}

#[test]
fn growth_is_written_down_every_ten_seconds_and_not_each() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    let mut node = Node::over(take.home.path());
    let id = only(&node);
    let mut recorder = recorder(&node);
    node.live.set_status(Some(status(&[id])), node.now.mono_us);
    node.step(&mut recorder);
    let mut written = 0;
    let mut last = facts(&node, id);
    for _ in 0..30 {
        take.record(RATE as usize);
        node.step(&mut recorder);
        let now = facts(&node, id);
        written += u32::from(now != last);
        last = now;
    }
    assert!((2..=4).contains(&written), "{written} times in thirty seconds");
}

#[test]
fn a_capture_that_starts_again_does_not_make_a_recording_incomplete() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    let mut node = Node::over(take.home.path());
    let id = only(&node);
    let mut recorder = recorder(&node);
    node.live.set_status(Some(status(&[id])), node.now.mono_us);
    node.step(&mut recorder);
    node.live.set_status(None, node.now.mono_us);
    for _ in 0..5 {
        node.step(&mut recorder);
        assert_eq!(facts(&node, id).unwrap().state, TakeState::Recording);
    }
    node.step(&mut recorder);
    assert_eq!(facts(&node, id).unwrap().state, TakeState::Incomplete, "it is down and records nothing");
}

#[test]
fn what_is_ordered_is_listed_and_what_was_cancelled_is_said_so() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let mut recorder = recorder(&node);
    let order = order(&node);
    assert!(orders::offline(&node.data, |set| set.insert(order.clone())).is_ok());
    node.step(&mut recorder);
    let scheduled = facts(&node, order.id).unwrap();
    assert_eq!((scheduled.state, scheduled.title.as_str()), (TakeState::Scheduled, "Booked"));

    assert!(orders::offline(&node.data, |set| Ok(set.remove(order.id))).is_ok());
    node.step(&mut recorder);
    node.step(&mut recorder);
    let cancelled = facts(&node, order.id).unwrap();
    assert_eq!((cancelled.state, cancelled.is_gone), (TakeState::Failed, true));
}

#[test]
fn a_folder_that_vanished_is_gone_and_one_that_comes_back_is_not() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    take.close();
    let mut node = Node::over(take.home.path());
    let id = only(&node);
    let aside = take.home.path().join("aside");
    node.step(&mut recorder(&node));
    std::fs::rename(take.folder.path(), &aside).unwrap();
    let mut found_by = recorder(&node);
    node.step(&mut found_by);
    node.step(&mut found_by);
    let gone = facts(&node, id).unwrap();
    assert_eq!((gone.state, gone.is_gone), (TakeState::Ready, true));
    std::fs::rename(&aside, take.folder.path()).unwrap();
    node.step(&mut found_by);
    node.step(&mut found_by);
    assert!(!facts(&node, id).unwrap().is_gone);
}

#[test]
fn a_damaged_log_is_a_failed_recording_and_stops_nobody() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    take.close();
    let mut node = Node::over(take.home.path());
    let good = only(&node);
    let damaged = copy(&node, good, 1);
    let log = node.data.take(damaged).log();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let empty = TakeId::new(node.now.wall, [2; 10]);
    std::fs::create_dir_all(node.data.take(empty).path()).unwrap();
    let mut recorder = recorder(&node);
    for _ in 0..7 {
        node.step(&mut recorder);
    }

    assert_eq!(facts(&node, good).unwrap().state, TakeState::Ready);
    for id in [damaged, empty] {
        let facts = facts(&node, id).unwrap();
        assert_eq!((facts.state, facts.title.as_str()), (TakeState::Failed, "Damaged recording"), "{id}");
    }
    assert_eq!(facts(&node, empty).unwrap().started_at.as_millisecond(), node.now.wall.as_millisecond() - 7_000);
}

#[test]
fn many_takes_are_taken_up_in_rounds_and_read_once() {
    let mut take = TestTake::begin(1);
    take.record(100);
    take.close();
    let mut node = Node::over(take.home.path());
    let first = only(&node);
    for n in 1..=250 {
        copy(&node, first, n);
    }
    let mut taking_up = recorder(&node);
    let mut rounds = 0;
    while !node.step(&mut taking_up).starts_with("251 settled, 0 followed") {
        rounds += 1;
        assert!(rounds < 10);
    }
    assert!(rounds >= 1, "not all in one round");
    assert_eq!(node.store().recordings(&Query { limit: 300, ..Query::default() }).unwrap().items.len(), 200);

    // Records are enough for the next start: a log that cannot be read any more is not missed.
    std::fs::write(node.data.take(first).log(), "rubbish").unwrap();
    let mut next = recorder(&node);
    (0..3).for_each(|_| drop(node.step(&mut next)));
    assert_eq!(facts(&node, first).unwrap().state, TakeState::Ready);
}

#[test]
fn a_mark_that_capture_writes_down_after_it_answered_is_looked_for_soon_and_not_for_long() {
    let mut take = TestTake::begin(2);
    take.record(RATE as usize);
    let mut node = Node::over(take.home.path());
    let (id, mut recorder) = (only(&node), recorder(&node));
    node.live.set_status(Some(status(&[id])), 0);
    node.step(&mut recorder);
    let mut look = |node: &mut Node| {
        node.pass(1_000);
        recorder.step(node.now).unwrap().wait.as_millis()
    };
    while look(&mut node) < 1_000 {}
    assert!(facts(&node, id).unwrap().marks.is_empty());

    node.live.heed_recordings();
    let first = look(&mut node);
    assert!(first <= 10, "{first} ms: not written down yet");
    take.mark("the verdict");
    let waits: Vec<u128> = std::iter::repeat_with(|| look(&mut node)).take_while(|wait| *wait < 1_000).collect();
    assert_eq!(facts(&node, id).unwrap().marks.len(), 1);
    assert!((500..2_000).contains(&waits.iter().sum::<u128>()) && waits.len() < 10, "{waits:?} ms");
    assert_eq!(look(&mut node), 1_000);
}
