//! One page for all rooms: what is asked of any node is done by the one that has the recorder or the audio.

use crate::harness::*;
use serde_json::json;

#[test]
fn a_recording_is_started_run_and_taken_away_through_another_node() {
    let room = Room::usual();
    let desk = Member::first();
    let court = desk.lets_in(Member::beside(&room.server.name, &room.appliance.data, None));
    let stands = json!({"name": "Court 4", "time_zone": "Etc/UTC"});
    let stands = court.ask(reqwest::Method::PUT, "/api/v1/room", &stands).is(200)["id"].clone();
    wait_settled(&[&desk, &court]);
    let there = court.id();

    let started = desk.post("/api/v1/recordings", &json!({"node_id": there, "title": "Hearing"})).is(201);
    assert_eq!(started["node_id"], there.as_str());
    let id = started["id"].as_str().expect("an id").to_owned();
    let at = format!("/api/v1/recordings/{id}");
    desk.wait_recording(&id, "to run, as it is told here", |seen| seen["state"] == "recording");
    room.feed.play(ms(500));
    desk.post(&format!("{at}/marks"), &json!({"label": "Witness"})).is(201);
    desk.post(&format!("{at}/extend"), &json!({"seconds": 0})).is(422);
    let stopped = desk.post(&format!("{at}/stop"), &json!({})).is(200);
    assert_eq!(stopped["marks"][0]["label"], "Witness");

    for path in [format!("{at}/file?format=wav"), format!("{at}/file?format=wav&to=0.25")] {
        let (here, own) = (desk.bytes(&path, Some("bytes=0-")), court.bytes(&path, Some("bytes=0-")));
        assert!(own.1.len() > 10_000 && here == own, "{path}: {} bytes here, {} there", here.1.len(), own.1.len());
    }
    let journal = court.get("/api/v1/audit-events").is(200).to_string();
    assert!(journal.contains("recording.stop") && journal.contains("(through "), "{journal}");

    // The same by the room, and by nonsense.
    let by_room = desk.post("/api/v1/recordings", &json!({"room_id": stands, "duration_seconds": 1})).is(201);
    assert_eq!(by_room["node_id"], there.as_str());
    let here = desk.id();
    desk.post("/api/v1/recordings", &json!({"room_id": stands, "node_id": here})).is(422);
    desk.post("/api/v1/recordings", &json!({"room_id": here})).is(404);
    desk.post("/api/v1/recordings", &json!({"node_id": id})).is(404);
    desk.post("/api/v1/recordings", &json!({"node_id": "the hall"})).is(422);
}

#[test]
fn what_cannot_be_reached_is_told_with_the_place_where_it_is() {
    let room = Room::usual();
    let desk = Member::first();
    let mut court = desk.lets_in(Member::beside(&room.server.name, &room.appliance.data, None));
    wait_settled(&[&desk, &court]);
    let there = court.id();
    let started = desk.post("/api/v1/recordings", &json!({"node_id": there})).is(201);
    let id = started["id"].as_str().expect("an id").to_owned();
    desk.wait_recording(&id, "to be known here", |seen| seen["id"] == id);
    court.node.kill9();
    wait("the loss to be told", || (desk.sees(&there) == "lost").then_some(()));
    let refused = desk.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(409);
    assert_eq!((&refused["code"], &refused["on_node"]["id"]), (&json!("on_another_node"), &json!(there)));
    desk.post("/api/v1/recordings", &json!({"node_id": there})).is(502);
    room.appliance.stop(&id);
}
