//! Wrong use is refused with exit code 2 and one sentence, and a take that is running never notices.

use crate::harness::*;
use std::fs;
use std::path::Path;

#[test]
fn wrong_words_are_refused_and_the_take_is_unharmed() {
    let room = Room::usual();
    let id = room.record(&[], ms(200));
    let target = room.appliance.data.join("x.wav");
    let target = target.to_str().unwrap();
    let wrong: [&[&str]; 13] = [
        &["take", "start", "--colour", "red"],
        &["take", "start", "--channels", "9"],
        &["take", "start", "--channels", "0"],
        &["take", "start", "--channels", "1,x"],
        &["take", "start", "--at", "2020-01-01T00:00:00Z"],
        &["take", "start", "--at", "tomorrow-ish"],
        &["take", "start", "--for", "-1"],
        &["take", "stop", "no-such-take"],
        &["take", "mark", "no-such-take", "--label", "x"],
        &["take", "info", "no-such-take"],
        &["export", &id, "--format", "mp5", "-o", target],
        &["export", &id, "--format", "wav", "--channels", "7", "-o", target],
        &["export", &id, "--format", "wav", "-o", "/no/such/folder/x.wav"],
    ];
    for words in wrong {
        room.appliance.run(words).assert_refused(&words.join(" "));
    }
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_exact(take.frames);
}

#[test]
fn a_second_capture_on_the_same_data_is_refused() {
    let room = Room::usual();
    let id = room.record(&[], ms(200));
    capture(&room.server, &room.appliance.data).assert_refused("two captures on one data dir");
    room.feed.play(ms(200));
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_exact(take.frames);
}

#[test]
fn no_jack_server_is_a_sentence_not_a_hang() {
    let data = tempfile::tempdir().unwrap();
    let words = ["10", env!("CARGO_BIN_EXE_rakkr"), "capture", "--jack-server", "no-such-server", "--data-dir"];
    run(command("timeout", "no-such-server").args(words).arg(data.path())).assert_refused("no JACK server");
}

#[test]
fn a_full_and_a_read_only_disk_are_refused() {
    let server = JackServer::start(Options::default());
    let full = SmallDisk::tmpfs(2);
    full.fill(0);
    capture(&server, full.path().as_path()).assert_refused("a full disk");
    let read_only = SmallDisk::ext4(16);
    read_only.make_read_only();
    capture(&server, read_only.path().as_path()).assert_refused("a read-only disk");
}

#[test]
fn damaged_orders_are_refused_and_kept() {
    let server = JackServer::start(Options::default());
    let data = tempfile::tempdir().unwrap();
    let orders = data.path().join("orders.json");
    fs::write(&orders, "{\"orders\": [ {\"id\": ").unwrap();
    capture(&server, data.path()).assert_refused("damaged orders.json");
    assert_eq!(fs::read_to_string(&orders).unwrap(), "{\"orders\": [ {\"id\": ", "evidence is not overwritten");
}

#[test]
fn a_damaged_take_log_is_refused_and_other_takes_are_unharmed() {
    let room = Room::usual();
    let (bad, good) = (room.record(&[], ms(200)), room.record(&[], ms(200)));
    room.appliance.stop(&bad);
    let log = room.appliance.folder_of(&bad).join("take.jsonl");
    let mut bytes = fs::read(&log).unwrap();
    bytes[..12].copy_from_slice(b"\xff\xfe garbage\n\n");
    fs::write(&log, bytes).unwrap();
    room.appliance.run(&["take", "info", &bad]).assert_refused("a damaged take.jsonl");
    let found = room.appliance.verify(&bad).code;
    assert!(matches!(found, Some(1 | 2)), "verify must not call it proven: {found:?}");
    let take = room.appliance.stop(&good);
    room.appliance.check(&take).assert_exact(take.frames);
}

/// A capture that should not come up; one that does is ended after ten seconds and is no refusal.
fn capture(server: &JackServer, data: &Path) -> Outcome {
    let words = ["10", env!("CARGO_BIN_EXE_rakkr"), "capture", "--jack-server", &server.name, "--data-dir"];
    run(command("timeout", &server.name).args(words).arg(data))
}
