//! The node killed, its records damaged: recording goes on, and nothing that was confirmed is lost.

use super::room_with_node;
use crate::harness::*;
use serde_json::{Value, json};
use std::fs;

/// What is done to a file.
type Damage = fn(&std::path::Path);

/// Kills during one recording.
const KILLS: usize = 50;

#[test]
fn fifty_kills_of_the_node_cost_no_sample_and_no_journal_entry() {
    let (room, mut node) = room_with_node();
    let id = node.post("/api/v1/recordings", &json!({"title": "lives on"})).is(201)["id"].as_str().unwrap().to_owned();
    node.wait_recording(&id, "the recording to run", |r| r["state"] == "recording");
    for round in 0..KILLS {
        room.feed.play(ms(20));
        let label = format!("mark {round}");
        node.post(&format!("/api/v1/recordings/{id}/marks"), &json!({ "label": label })).is(201);
        node.kill9();
        node.restart();
        let found = node.get(&format!("/api/v1/recordings/{id}")).is(200);
        assert_eq!(found["title"], "lives on", "round {round}");
    }
    room.feed.play(ms(200));
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let whole = node.wait_recording(&id, "the recording to be ready", |r| r["state"] == "ready");
    assert_eq!(whole["marks"].as_array().unwrap().len(), KILLS);
    let take = room.appliance.info(&id);
    room.appliance.check(&take).assert_exact(take.frames);
    let journal = node.get("/api/v1/audit-events?action=recording.mark&limit=500").is(200);
    assert_eq!(journal["items"].as_array().unwrap().len(), KILLS, "every confirmed mark is in the journal");
}

#[test]
fn a_node_that_was_down_finds_what_was_recorded_meanwhile() {
    let (room, mut node) = room_with_node();
    node.stop();
    let id = room.record(&["--title", "without a node"], ms(1200));
    room.appliance.stop(&id);
    node.restart();
    let found = node.wait_recording(&id, "the take to be adopted", |r| r["state"] == "ready");
    assert_eq!(found["title"], "without a node");
}

#[test]
fn damaged_records_are_set_aside_while_recording_goes_on() {
    let damages: [(&str, Damage); 4] = [
        ("truncated", |file| fs::File::options().write(true).open(file).unwrap().set_len(5_000).unwrap()),
        ("removed", |file| fs::remove_file(file).unwrap()),
        ("zeroed", |file| fs::write(file, vec![0; 100_000]).unwrap()),
        ("garbage", |file| fs::write(file, b"this is no database").unwrap()),
    ];
    let (room, mut node) = room_with_node();
    for (what, damage) in damages {
        let id = node.post("/api/v1/recordings", &json!({"title": what})).is(201)["id"].as_str().unwrap().to_owned();
        room.feed.play(ms(300));
        node.kill9();
        damage(&node.data.join("records/records.redb"));
        node.restart();
        room.feed.play(ms(300));
        // People are gone with the records: the owner claims anew.
        node.claim();
        let status: Value = node.get("/api/v1/status").is(200);
        assert!(!status["alarms"].as_array().unwrap().is_empty(), "{what}: nothing was said: {status}");
        node.wait_recording(&id, "the running take to be found", |r| r["state"] == "recording");
        node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
        let take = room.appliance.info(&id);
        room.appliance.check(&take).assert_exact(take.frames);
    }
}
