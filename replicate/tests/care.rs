//! Hubs that take care of their stores: lost memory, copied disks, disks that fail, logs that were left alone.

#[path = "house/disk.rs"]
mod disk;
mod fleet;
mod house;

use disk::Disk;
use fleet::*;
use futures_util::{SinkExt, StreamExt};
use house::put;
use replicate::core::election::{Role, Token};
use replicate::core::entry::Quality;
use replicate::core::id::{BootId, Stream};
use replicate::core::message::{Ack, FleetId, Hello, Message, Time, VectorPart};
use replicate::core::session::{Limits, Told};
use replicate::core::wire;
use replicate::disk::store::{Batch, Store, WriteError};
use replicate::net::{Ended, Event, Patience, Standing};
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message as Frame;

/// A machine in its `boot`th run, whose pauses are short.
fn wish(boot: u8) -> Wish {
    let (renew_ms, again_ms, again_max_ms, anew_ms, anew_max_ms) = (100, 50, 200, 50, 500);
    let patience = Patience { renew_ms, again_ms, again_max_ms, anew_ms, anew_max_ms, ..Patience::default() };
    Wish { patience, boot, ..Wish::default() }
}

fn copy_of(folder: &TempDir) -> Arc<TempDir> {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    Arc::new(copy)
}

fn write(node: &Running, text: &str) -> Result<(), WriteError> {
    let drafts = vec![put("plan", 1, "label", &format!("\"{text}\""))];
    let batch = Batch { expected: Vec::new(), drafts, moment: now(), is_urgent: true };
    node.store.write(batch).wait().map(drop)
}

/// A node that was written on, and whose file is closed.
fn a_folder(fleet: &Fleet) -> Arc<TempDir> {
    let one = fleet.node_with(1, wish(1));
    one.label(1, "at first");
    one.close(1, &wish(1))
}

fn is_still(node: &Running) -> bool {
    matches!(write(node, "not to be"), Err(WriteError::Quarantined(_)))
}

fn quarantined(event: Event) -> Option<String> {
    match event {
        Event::Quarantined(why) => Some(why),
        _ => None,
    }
}

#[test]
fn a_backup_that_was_put_back_goes_on_under_the_next_name_and_gets_everything_back() {
    let fleet = Fleet::new();
    let folder = a_folder(&fleet);
    let backup = copy_of(&folder);
    let (one, two) = (fleet.node_at(1, wish(1), folder), fleet.node_with(2, wish(1)));
    fleet.keep_linked(&one, &two);
    one.write(&[put("plan", 2, "label", "\"after the backup\"")]);
    two.until_like(&one);
    let folder = one.close(1, &wish(1));
    std::fs::copy(backup.path().join(FILE), folder.path().join(FILE)).unwrap();

    let one = fleet.node_at(1, wish(3), folder);
    assert_eq!(one.store.status().us.inc, 1, "it cannot know by itself");
    fleet.keep_linked(&one, &two);
    let is_future = |event| matches!(event, Event::Session(_, Told::OurOwnFuture { .. })).then_some(());
    one.told("a peer shows it its future", is_future);
    let renamed = |event| match event {
        Event::Renamed { from, to } => Some((from.inc, to.inc)),
        _ => None,
    };
    assert_eq!(one.told("the next name", renamed), (1, 2));
    one.label(3, "and on it goes");
    two.until_like(&one);
    one.until_like(&two);

    assert_eq!(one.value("plan", 2, "label").as_deref(), Some("\"after the backup\""));
    assert_eq!(two.value("plan", 3, "label").as_deref(), Some("\"and on it goes\""));
    assert_eq!((one.store.status().quarantined, two.store.status().quarantined), (None, None));
}

#[test]
fn of_a_disk_that_was_copied_neither_writes_on_and_the_others_do() {
    let fleet = Fleet::new();
    let folder = a_folder(&fleet);
    let twin_folder = copy_of(&folder);
    let (one, twin) = (fleet.node_at(1, wish(1), folder), fleet.node_at(1, wish(2), twin_folder));
    let (two, three) = (fleet.node_with(2, wish(1)), fleet.node_with(3, wish(1)));
    one.label(7, "by the one");
    twin.label(7, "by its twin");
    for node in [&one, &twin, &two, &three] {
        node.hub.roster(roster(1..=3));
    }
    for (from, to) in [(&one, &two), (&twin, &two), (&one, &three), (&twin, &three), (&two, &three)] {
        fleet.keep_linked(from, to);
    }

    for node in [&one, &twin] {
        node.told("it is told", quarantined);
        assert!(is_still(node));
    }
    two.label(8, "the others go on");
    three.until("what the others write", |_| three.value("plan", 8, "label").is_some());
    let coordinates = |standing: &Standing| matches!(standing.election.role, Role::Coordinator { .. });
    fleet.until(&two, "the first of those that write coordinates", coordinates);
    assert!(!one.is_coordinator() && !twin.is_coordinator(), "they could make the same token");

    // It is so after a start, until a person chooses. Then the other one changes nothing.
    let folder = one.close(1, &wish(1));
    let one = fleet.node_at(1, wish(3), folder);
    one.told("it still is", quarantined);
    assert!(is_still(&one));
    one.store.renew(now()).wait().unwrap();
    fleet.keep_linked(&one, &two);
    fleet.keep_linked(&one, &three);
    for number in 0..5 {
        one.label(9, &format!("chosen, {number}"));
        for node in [&two, &three] {
            let has_it = |_: &Store| node.value("plan", 9, "label") == Some(format!("\"chosen, {number}\""));
            node.until("what the chosen one writes", has_it);
        }
    }
    assert!(is_still(&twin));
}

#[test]
fn a_copy_that_is_behind_and_the_one_it_was_copied_from_do_not_outdo_each_other() {
    let fleet = Fleet::new();
    let folder = a_folder(&fleet);
    let twin_folder = copy_of(&folder);
    let (one, two) = (fleet.node_at(1, wish(1), folder), fleet.node_with(2, wish(1)));
    fleet.keep_linked(&one, &two);
    one.label(7, "since then");
    two.until_like(&one);

    let twin = fleet.node_at(1, wish(2), twin_folder);
    fleet.keep_linked(&twin, &two);
    for node in [&one, &twin] {
        node.told("it is told", quarantined);
        assert!(is_still(node));
    }
    let incs = [&one, &twin].map(|node| node.store.status().us.inc);
    assert!(incs.iter().all(|inc| *inc <= 4), "{incs:?}");
}

#[test]
fn two_that_never_meet_at_one_peer_stop_outdoing_each_other() {
    let fleet = Fleet::new();
    let folder = a_folder(&fleet);
    let twin_folder = copy_of(&folder);
    let (one, two) = (fleet.node_at(1, wish(1), folder), fleet.node_with(2, wish(1)));
    let (twin, three) = (fleet.node_at(1, wish(2), twin_folder), fleet.node_with(3, wish(1)));
    one.label(7, "since then");
    for (from, to) in [(&one, &two), (&twin, &three), (&two, &three)] {
        fleet.keep_linked(from, to);
    }

    let stands = |node: &Running| node.store.status().quarantined.is_some();
    one.until("one of them stands still", |_| stands(&one) || stands(&twin));
    let incs = [&one, &twin].map(|node| node.store.status().us.inc);
    assert!(incs.iter().all(|inc| *inc <= 12), "{incs:?}");
}

#[test]
fn a_disk_that_failed_for_a_while_is_opened_again_without_anybody_asking() {
    let fleet = Fleet::new();
    let disk = Disk::default();
    let (store, _) = Store::open_at(disk.clone(), house::schema(), opening(1, &wish(1))).unwrap();
    let one = fleet.run(1, wish(1), store, Arc::new(tempfile::tempdir().unwrap()));
    let two = fleet.node_with(2, wish(1));
    fleet.keep_linked(&one, &two);
    one.label(1, "all is well");
    two.until_like(&one);
    disk.fail();
    two.label(2, "what cannot be kept");
    one.told("the disk failed", |event| matches!(event, Event::StoreFailed(_)).then_some(()));
    assert!(matches!(write(&one, "neither"), Err(WriteError::Failed(_))));
    disk.mend();

    one.told("it is well again", |event| matches!(event, Event::StoreHealed).then_some(()));
    one.until_like(&two);
    assert_eq!(one.value("plan", 2, "label").as_deref(), Some("\"what cannot be kept\""));
    assert!(one.store.status().healed > 0);
}

fn frame(message: &Message) -> Frame {
    Frame::Binary(wire::encode(message).into())
}

/// A peer that keeps nothing of what it wants. Returns how the link ended, and how often it was sent something.
fn with_one_that_keeps_nothing(fleet: &Fleet, one: &Running) -> (Ended, u64) {
    let hello = Hello {
        proto: (1, 1),
        fleet: FleetId::from_u128(1),
        node: name(9),
        inc: 1,
        nonce: 9,
        boot: BootId([9; 16]),
        build: "keeps nothing".to_string(),
        kinds: BTreeMap::new(),
        features: Vec::new(),
        wants: vec![Stream::Sec],
        seen: Token::NONE,
        time: Time { wall: 0, q: Quality::Unset },
        floor: Vec::new(),
        stands: None,
    };
    let (mut speaker, link) = fleet.speaker(one, 9);
    let batches = fleet.runtime.block_on(async {
        let mut batches = 0;
        speaker.send(frame(&Message::Hello(Box::new(hello)))).await.unwrap();
        let vector = VectorPart { stream: Stream::Sec, is_last: true, marks: Vec::new() };
        speaker.send(frame(&Message::Vector(vector))).await.unwrap();
        while let Some(Ok(Frame::Binary(bytes))) = speaker.next().await {
            if let Ok(Message::Batch(batch)) = wire::decode(&bytes) {
                batches += 1;
                let (number, stream) = (batch.number, batch.stream);
                let ack = Ack { number, stream, marks: Vec::new(), window: 1 << 20 };
                speaker.send(frame(&Message::Ack(ack))).await.unwrap();
            }
        }
        batches
    });
    (fleet.end(link), batches)
}

#[test]
fn a_log_that_was_left_alone_is_tried_again_over_a_new_link() {
    let fleet = Fleet::new();
    let one = fleet.node_with(1, wish(1));
    // What tells of access is never compressed.
    one.write(&[put("user", 1, "profile", "1")]);
    let refusals = u64::from(Limits::default().refusals_max);

    for _ in 0..3 {
        assert_eq!(with_one_that_keeps_nothing(&fleet, &one), (Ended::Anew, refusals));
    }
    let left = |event| matches!(event, Event::Session(_, Told::LeftAlone { .. })).then_some(());
    one.told("that it was left alone", left);
}
