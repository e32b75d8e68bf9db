//! The API as programs use it.

use super::room_with_node;
use crate::harness::*;
use serde_json::{Value, json};

#[test]
fn a_technician_claims_records_marks_stops_and_takes_the_file() {
    let (room, node) = room_with_node();
    assert!(!node.data.join("claim-code").exists(), "the code is gone with the claim");
    let me = node.get("/api/v1/auth/me").is(200);
    assert_eq!(me["roles"], json!(["owner"]));

    let body = json!({"title": "Hearing 24/113", "pre_roll_seconds": 0.0});
    let id = node.post("/api/v1/recordings", &body).is(201)["id"].as_str().unwrap().to_owned();
    room.feed.play(ms(1500));
    node.wait_recording(&id, "the recording to run", |r| r["state"] == "recording");
    node.post(&format!("/api/v1/recordings/{id}/marks"), &json!({"label": "Item 4"})).is(201);
    node.post(&format!("/api/v1/recordings/{id}/pause"), &json!({})).is(200);
    room.feed.play(ms(300));
    node.post(&format!("/api/v1/recordings/{id}/resume"), &json!({})).is(200);
    room.feed.play(ms(700));
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let whole = node.wait_recording(&id, "the recording to be ready", |r| r["state"] == "ready");
    assert_eq!(whole["title"], "Hearing 24/113");
    assert_eq!(whole["marks"][0]["label"], "Item 4");
    assert_eq!(whole["pauses"].as_array().unwrap().len(), 1);
    assert!(whole["segments"][0]["sha256"].is_string(), "{whole}");

    let (status, wav) = node.bytes(&format!("/api/v1/recordings/{id}/file?format=wav"), None);
    assert_eq!((status, &wav[..4]), (200, &b"RIFF"[..]));
    let (status, part) = node.bytes(&format!("/api/v1/recordings/{id}/file?format=wav"), Some("bytes=4-11"));
    assert_eq!((status, &part[..]), (206, &wav[4..12]));
    let (status, opus) = node.bytes(&format!("/api/v1/recordings/{id}/file?format=opus"), None);
    assert_eq!((status, &opus[..4]), (200, &b"OggS"[..]));

    let acts = actions(&node);
    for act in ["node.claim", "recording.start", "recording.mark", "recording.pause", "recording.resume", "recording.stop", "recording.download"] {
        assert!(acts.contains(&act.to_owned()), "{act} is not in the journal: {acts:?}");
    }
}

fn actions(node: &Node) -> Vec<String> {
    let journal = node.get("/api/v1/audit-events?limit=500").is(200);
    let items = journal["items"].as_array().unwrap();
    items.iter().filter_map(|entry| entry["action"].as_str().map(String::from)).collect()
}

#[test]
fn every_refusal_says_why_as_a_problem_document() {
    let (_room, node) = room_with_node();
    let unknown = "0192f7c0-0000-7000-8000-000000000000";
    let problem = |answer: Value, code: &str| assert_eq!(answer["code"], code, "{answer}");

    problem(node.get_anonymously("/api/v1/status").is(401), "unauthenticated");
    problem(node.get_as("rk_nonsense", "/api/v1/status").is(401), "unauthenticated");
    problem(node.get(&format!("/api/v1/recordings/{unknown}")).is(404), "not_found");
    problem(node.get("/api/v1/recordings/nonsense").is(404), "not_found");
    problem(node.get("/api/v1/nothing").is(404), "not_found");

    let wrong = node.post("/api/v1/recordings", &json!({"title": 7})).is(422);
    assert_eq!(wrong["field"], "title");
    let wrong = node.post("/api/v1/recordings", &json!({"titel": "x"})).is(422);
    assert_eq!(wrong["field"], "titel");
    let wrong = node.post("/api/v1/recordings", &json!({"channels": [99]})).is(422);
    assert_eq!(wrong["field"], "channels");
    let wrong = node.post("/api/v1/recordings", &json!({"title": "x".repeat(100_000)})).is(413);
    problem(wrong, "too_large");
    let wrong = node.get("/api/v1/recordings?limit=0").is(422);
    assert_eq!(wrong["field"], "limit");

    let viewer = node.person("viewer");
    let refused = node.post_as(&viewer, "/api/v1/recordings", &json!({})).is(403);
    assert_eq!(refused["missing_permission"], "recording:create");
    node.get_as(&viewer, "/api/v1/recordings").is(200);
    node.get_as(&viewer, "/api/v1/audit-events").is(403);
}

#[test]
fn an_edit_of_what_someone_else_changed_is_refused_with_both_versions() {
    let (room, node) = room_with_node();
    let id = node.post("/api/v1/recordings", &json!({"title": "first"})).is(201)["id"].as_str().unwrap().to_owned();
    room.feed.play(ms(600));
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let at = format!("/api/v1/recordings/{id}");
    let seen = node.get(&at).is(200)["version"].clone();
    node.ask(reqwest::Method::PATCH, &at, &json!({"title": "second", "version": seen})).is(200);
    let stale = node.ask(reqwest::Method::PATCH, &at, &json!({"title": "third", "version": seen})).is(409);
    assert_eq!((&stale["current"]["title"], &stale["yours"]["title"]), (&json!("second"), &json!("third")));
    assert_eq!(node.get(&at).is(200)["title"], "second");

    node.ask(reqwest::Method::DELETE, &at, &json!({})).is(204);
    let ids = |path: &str| node.get(path).is(200)["items"].as_array().unwrap().len();
    assert_eq!((ids("/api/v1/recordings"), ids("/api/v1/recordings?bin=true")), (0, 1));
    node.post(&format!("{at}/restore"), &json!({})).is(200);
    assert_eq!((ids("/api/v1/recordings"), ids("/api/v1/recordings?q=secon")), (1, 1));
}

#[test]
fn a_lost_source_is_an_incident_at_once_and_ends_by_itself() {
    let (room, node) = room_with_node();
    let id = node.post("/api/v1/recordings", &json!({})).is(201)["id"].as_str().unwrap().to_owned();
    room.feed.play(ms(1000));
    let is_open = || {
        let incidents = node.get("/api/v1/incidents?open=true").is(200);
        incidents["items"].as_array().unwrap().iter().any(|incident| incident["kind"] == "port_gone")
    };
    assert!(!is_open(), "nothing is wrong yet");
    room.feed.remove_port(1);
    wait("the lost source to be told", || is_open().then_some(()));
    room.feed.restore_port(1);
    wait("the incident to end by itself", || (!is_open()).then_some(()));
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let all = node.get("/api/v1/incidents").is(200);
    let is_told = |incident: &Value| incident["kind"] == "port_gone" && incident["closed_at"].is_string();
    assert!(all["items"].as_array().unwrap().iter().any(is_told), "{all}");
}
