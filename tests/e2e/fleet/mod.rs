//! Several nodes: coming in, having the same records, one of them gone, one of them thrown out.
//!
//! The nodes here are real processes that speak over loopback; none has a recorder, for what is tried is what they tell
//! each other. In the files beside this they are at cables that are cut. What a test waits for is said by the nodes
//! themselves, within the harness's limit.

mod bad_line;
mod calls;
mod console;
mod coordinator;
mod cut;
mod floor;
mod keepers;
mod large;
mod nearby;
mod new_box;
mod secrets;
mod split;
mod strangers;

use crate::harness::*;
use serde_json::{Value, json};

#[test]
fn who_was_invited_has_the_fleets_people_and_records() {
    let first = Member::first();
    let second = first.another();
    wait_settled(&[&first, &second]);
    let viewer = second.person("viewer");
    second.get_as(&viewer, "/api/v1/auth/me").is(200);
    // Known where it was added, and a moment later everywhere.
    let login = json!({"email": "viewer@example.org", "password": "quiet lantern beside nine rivers"});
    wait("the person to be known on the other node", || {
        (first.post_as("", "/api/v1/auth/login", &login).status == 200).then_some(())
    });
    wait_settled(&[&first, &second]);
    let journal = first.get("/api/v1/audit-events").is(200);
    let nodes: std::collections::BTreeSet<&str> =
        journal["items"].as_array().expect("a list").iter().filter_map(|item| item["node_id"].as_str()).collect();
    assert!(nodes.contains(second.id().as_str()), "the journal of the other node is here: {nodes:?}");
}

#[test]
fn one_coordinates_after_a_kill_and_after_the_return() {
    let mut first = Member::first();
    let second = first.another();
    let third = first.another();
    let before = wait_settled(&[&first, &second, &third]);
    first.node.kill9();
    let rest = [&second, &third];
    wait("one of those left to coordinate", || {
        let (one, other) = (second.coordinator()?, third.coordinator()?);
        let is_left = one == second.id() || one == third.id();
        (one == other && is_left).then_some(())
    });
    for member in rest {
        assert_ne!(member.sees(&before), "retired");
    }
    second.post("/api/v1/users", &json!({"name": "Mo", "email": "mo@example.org", "roles": ["viewer"]})).is(201);
    first.node.restart();
    wait_settled(&[&first, &second, &third]);
    let users = first.get("/api/v1/users").is(200);
    assert!(users.to_string().contains("mo@example.org"), "what was done meanwhile has arrived: {users}");
}

#[test]
fn who_is_retired_is_spoken_to_no_more() {
    let first = Member::first();
    let second = first.another();
    let coordinator = wait_settled(&[&first, &second]);
    let (boss, other) = if coordinator == first.id() { (&first, &second) } else { (&second, &first) };
    let gone = other.id();
    boss.ask(reqwest::Method::DELETE, &format!("/api/v1/nodes/{gone}"), &json!({})).is(204);
    wait("the link to be closed", || (boss.sees(&gone) == "retired").then_some(()));
    other.post("/api/v1/users", &json!({"name": "Late", "email": "late@example.org", "roles": ["owner"]}));
    wait("the retired node to see nobody", || (other.sees(&boss.id()) != "current").then_some(()));
    assert!(!boss.get("/api/v1/users").is(200).to_string().contains("late@example.org"));
    boss.ask(reqwest::Method::GET, &format!("/api/v1/nodes/{gone}/calls/status"), &json!({})).is(404);
}

#[test]
fn an_invitation_lets_in_once_and_only_a_node_without_people() {
    let first = Member::first();
    let token = first.invites();
    let (second, third) = (Member::new(), Member::new());
    second.post("/api/v1/fleet/join", &json!({"token": token})).is(200);
    third.post("/api/v1/fleet/join", &json!({"token": token})).is(502);
    third.post("/api/v1/fleet/join", &json!({"token": "nonsense"})).is(422);
    first.post("/api/v1/fleet/join", &json!({"token": first.invites()})).is(409);
    let code = std::fs::read_to_string(third.data.join("claim-code"));
    assert!(code.is_ok(), "who was refused can still be claimed");
}

#[test]
fn a_call_is_answered_by_the_other_node_as_the_person_who_asks() {
    let first = Member::first();
    let second = first.another();
    wait_settled(&[&first, &second]);
    let there = second.id();
    let status = first.get(&format!("/api/v1/nodes/{there}/calls/fleet")).is(200);
    assert_eq!(status["node_id"], there.as_str(), "the other node speaks");
    let viewer = first.person("viewer");
    wait_settled(&[&first, &second]);
    let start = format!("/api/v1/nodes/{there}/calls/recordings");
    let refused = first.post_as(&viewer, &start, &json!({})).is(403);
    assert_eq!(refused["missing_permission"], "recording:create");
    let named = first.post(
        &format!("/api/v1/nodes/{there}/calls/users"),
        &json!({"name": "X", "email": "x@example.org", "roles": ["viewer"]}),
    );
    named.is(201);
    let journal = second.get("/api/v1/audit-events").is(200).to_string();
    assert!(journal.contains("Ana Owner (through "), "the other node's journal says who asked and from where");
    // A stranger's word for somebody is nobody's.
    let forged =
        second.http.get(second.at("/api/v1/auth/me")).header("rakkr-as", "00000000-0000-0000-0000-000000000000");
    assert_eq!(forged.send().expect("an answer").status(), 403);
}

#[test]
fn the_console_of_the_machine_invites_and_joins() {
    let first = Member::first();
    let second = Member::new();
    let rakkr = |words: &[&str], member: &Member| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rakkr"));
        let output = command.args(words).arg("--data-dir").arg(&member.data).output().expect("rakkr runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let invited = rakkr(&["invite", "--json"], &first);
    let joined = rakkr(&["join", "--json", invited["token"].as_str().expect("a token")], &second);
    assert_eq!(joined["phrase"], invited["phrase"], "both ends show the same words");
    wait("both to be current", || {
        let fleet = rakkr(&["fleet", "--json"], &second);
        let nodes = fleet["nodes"].as_array()?.clone();
        (nodes.len() == 2 && nodes.iter().all(|node| node["state"] == "current")).then_some(())
    });
    let peers = rakkr(&["peers", "--json"], &second);
    assert_eq!(peers.as_array().map(Vec::len), Some(1));
    assert!(["link", "direct"].map(Value::from).contains(&peers[0]["called"]), "{peers}");
}
