//! A box that is gone, and another one in its place: what the fleet sees, and what becomes of the old one if it comes back.

use crate::harness::*;
use reqwest::Method;
use serde_json::{Value, json};

/// Invites another box for a member's place.
fn place_of(member: &str, at: &Member) -> Answer {
    at.post("/api/v1/fleet/invitations", &json!({"replaces": member}))
}

/// Who coordinates among those that are left, once they see that `gone` is lost.
fn boss_without<'m>(gone: &str, rest: [&'m Member; 2]) -> &'m Member {
    in_step("the others to go on without it", || {
        let leads = rest[0].coordinator().filter(|leads| rest[1].coordinator().as_ref() == Some(leads))?;
        let is_lost = rest.iter().all(|member| member.sees(gone) == "lost");
        rest.into_iter().find(|member| is_lost && member.id() == leads)
    })
}

/// Waits until a box that joined goes on as a member, and logs in there.
fn went_on_as(member: &str, mut new: Member) -> Member {
    in_step("the new box to go on as the member", || new.node.try_log_in().then_some(()));
    assert_eq!(new.id(), member);
    new
}

fn recording(at: &Member, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    at.wait_recording(id, what, is_so)
}

#[test]
fn another_box_goes_on_as_a_lost_node_and_the_old_one_is_refused() {
    let room = Room::usual();
    let first = Member::first();
    let second = first.another();
    let mut old = first.lets_in(Member::beside(&room.server.name, &room.appliance.data, None));
    let hall = old.id();
    old.ask(Method::PUT, "/api/v1/node", &json!({"name": "Hall B"})).is(200);
    old.ask(Method::PUT, "/api/v1/room", &json!({"name": "Great hall", "time_zone": "Europe/Berlin"})).is(200);
    wait_settled(&[&first, &second, &old]);
    place_of(&hall, &first).is(409);
    let kept = room.record(&[], ms(400));
    room.appliance.stop(&kept);
    recording(&first, &kept, "the first recording to be known", |said| said["state"] == "ready");
    let running = room.record(&[], ms(400));
    recording(&first, &running, "the second one to be known", |said| said["state"] == "recording");

    old.node.kill9();
    let boss = boss_without(&hall, [&first, &second]);
    place_of(&boss.id(), boss).is(409);
    place_of("0199aaaa-0000-7000-8000-000000000001", boss).is(404);
    let invited = place_of(&hall, boss).is(201);
    assert_eq!((&invited["replaces"]["node_id"], &invited["replaces"]["name"]), (&json!(hall), &json!("Hall B")));
    assert!(invited["replaces"]["last_seen"].is_string(), "{invited}");
    let new = Member::new();
    let joined = new.post("/api/v1/fleet/join", &json!({"token": invited["token"]})).is(200);
    assert_eq!((&joined["phrase"], &joined["replaces"]), (&invited["phrase"], &invited["replaces"]));

    let new = went_on_as(&hall, new);
    wait_settled(&[&first, &second, &new]);
    assert_eq!(first.says_of(&hall).expect("the member")["name"], "Hall B");
    assert_eq!(new.get("/api/v1/status").is(200)["room"]["name"], "Great hall");
    for (id, state) in [(&kept, "ready"), (&running, "incomplete")] {
        for member in [&new, &first] {
            let said = recording(member, id, "it to be said whose audio is gone", |said| said["was_replaced"] == true);
            assert_eq!(
                (&said["node_id"], &said["state"], &said["is_gone"]),
                (&json!(hall), &json!(state), &json!(true))
            );
            let file = member.get(&format!("/api/v1/recordings/{id}/file?format=flac")).is(410);
            assert!(file["detail"].as_str().expect("a sentence").contains("box that was replaced"), "{file}");
        }
    }
    let late = place_of(&hall, boss).is(409);
    assert!(late["detail"].as_str().expect("a sentence").contains("runs"), "{late}");

    old.node.restart();
    let told = wait("the old box to be told", || Some(old.fleet()).filter(|fleet| fleet["is_replaced"] == true));
    let why = told["trouble"][0].as_str().expect("a sentence");
    assert!(why.starts_with("Another box has taken this one's place since "), "{why}");
    old.post("/api/v1/users", &json!({"name": "Late", "email": "late@example.org", "roles": ["owner"]})).is(201);
    assert_eq!(old.bytes(&format!("/api/v1/recordings/{kept}/file?format=flac"), None).0, 200, "what it has is there");
    wait_settled(&[&first, &second, &new]);
    for member in [&first, &second, &new] {
        assert!(!member.get("/api/v1/users").is(200).to_string().contains("late@example.org"));
    }
    room.appliance.stop(&running);
}

#[test]
fn a_box_that_is_cut_off_while_it_takes_a_place_has_taken_it() {
    let first = Member::first();
    let second = first.another();
    let mut old = first.another();
    wait_settled(&[&first, &second, &old]);
    let hall = old.id();
    old.node.kill9();
    let boss = boss_without(&hall, [&first, &second]);
    let token = json!({"token": place_of(&hall, boss).is(201)["token"]});
    second.post("/api/v1/fleet/join", &token).is(409);

    let (mut new, late) = (Member::new(), Member::new());
    let before = new.data.join("node.json");
    let unclaimed = std::fs::read_to_string(&before).expect("a node");
    new.post("/api/v1/fleet/join", &token).is(200);
    new.node.kill9();
    assert_eq!(std::fs::read_to_string(&before).expect("a node"), unclaimed, "it was cut off before it began anew");
    new.node.restart();
    let new = went_on_as(&hall, new);
    wait_settled(&[&first, &second, &new]);

    late.post("/api/v1/fleet/join", &token).is(502);
    assert!(late.data.join("claim-code").exists(), "used up: who comes late stays who it is");
}
