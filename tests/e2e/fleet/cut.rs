//! A node whose cable is cut while it records: it needs nobody, and afterwards everybody knows.

use crate::harness::*;
use serde_json::json;

#[test]
fn a_cut_node_goes_on_alone_and_catches_up() {
    let Some(cables) = Cables::lay(3) else { return };
    let room = Room::usual();
    let first = Member::at(&cables, 0).claimed();
    let second = first.lets_in(Member::at(&cables, 1));
    let court = Member::beside(&room.server.name, &room.appliance.data, Some(cables.place(2)));
    let court = first.lets_in(court);
    let all = [&first, &second, &court];
    assert_eq!(wait_settled(&all), first.id(), "who founded the fleet coordinates it");

    let body = json!({"title": "Hearing", "pre_roll_seconds": 0.0});
    let id = court.post("/api/v1/recordings", &body).is(201)["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/recordings/{id}");
    wait("the others to know that it records", || (first.get(&path).body["state"] == "recording").then_some(()));
    cables.cut(2);
    // Whoever coordinates misses it after two seconds of silence; the other when its link is given up.
    let told = wait("the coordinator to miss it", || first.says_of(&court.id()).filter(|node| node["state"] == "lost"));
    assert!(told["why"].as_str().is_some_and(|why| why.starts_with("nothing was heard of it for ")), "{told}");
    wait("it to miss the coordinator", || (court.sees(&first.id()) == "lost").then_some(()));
    wait("the other to miss it", || (second.sees(&court.id()) == "lost").then_some(()));
    // Both sides work.
    court.post(&format!("{path}/marks"), &json!({"label": "alone"})).is(201);
    first.post("/api/v1/users", &json!({"name": "Mo", "email": "mo@example.org", "roles": ["viewer"]})).is(201);
    room.feed.play(ms(500));
    court.post(&format!("{path}/stop"), &json!({})).is(200);
    court.wait_recording(&id, "the recording to be ready", |recording| recording["state"] == "ready");
    let take = room.appliance.info(&id);
    room.appliance.check(&take).assert_exact(take.frames);
    assert_eq!(first.get(&path).is(200)["state"], "recording", "what it did alone is not known yet");

    cables.mend();
    wait_settled(&all);
    for other in [&first, &second] {
        let found = other.get(&path).is(200);
        assert_eq!((&found["state"], &found["node_id"]), (&json!("ready"), &json!(court.id())), "{found}");
        assert_eq!(found["mark_labels"], json!(["alone"]));
    }
    assert!(court.get("/api/v1/users").is(200).to_string().contains("mo@example.org"));
}
