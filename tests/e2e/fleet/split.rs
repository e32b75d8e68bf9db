//! The fleet falls in two, both sides go on working, and what they did meets again.

use crate::harness::*;
use reqwest::Method;
use serde_json::{Value, json};

#[test]
fn a_fleet_split_in_two_keeps_both_edits() {
    let Some(cables) = Cables::lay(3) else { return };
    let members = Member::fleet_on(&cables, 3);
    let [mo, eve] = ["mo", "eve"].map(|name| add(&members[0], name));
    wait_settled(&members.iter().collect::<Vec<_>>());

    cables.split(&[0], &[1, 2]);
    change(&members[0], &mo, json!({"name": "Mo of the north"}));
    change(&members[2], &mo, json!({"name": "Mo of the south"}));
    change(&members[0], &eve, json!({"is_disabled": true}));
    // Whoever enables knows of one disabling only: the one of this side.
    change(&members[1], &eve, json!({"is_disabled": true}));
    change(&members[1], &eve, json!({"is_disabled": false}));
    assert_eq!(person(&members[1], &eve)["is_disabled"], false);
    assert_eq!(person(&members[0], &eve)["is_disabled"], true);
    cables.mend();
    wait_settled(&members.iter().collect::<Vec<_>>());

    let shown = person(&members[0], &mo)["name"].clone();
    for member in &members {
        assert_eq!(person(member, &eve)["is_disabled"], true, "who was disabled on one side stays so");
        assert_eq!(person(member, &mo)["name"], shown, "all show the same of the two");
        let login = json!({"email": "eve@example.org", "password": PASSWORD});
        assert_eq!(member.post_as("", "/api/v1/auth/login", &login).status, 401);
    }
    for member in &members {
        assert_eq!(held_names(member, &mo), ["Mo of the north", "Mo of the south"], "neither is lost");
    }

    // Somebody chooses, on the third node: the one that does not count as yet.
    let other = held(&members[1], &mo)["versions"][1].clone();
    let body = json!({"kind": "user", "id": mo, "part": "profile", "version": other["version"]});
    members[1].post("/api/v1/fleet/conflicts", &body).is(204);
    wait_settled(&members.iter().collect::<Vec<_>>());
    for member in &members {
        assert!(held_names(member, &mo).is_empty(), "one was chosen, so it is one again");
        assert_eq!(person(member, &mo)["name"], other["value"]["name"]);
    }
    members[0].post("/api/v1/fleet/conflicts", &body).is(409);
}

const PASSWORD: &str = "copper kettle under seven clouds";

fn add(member: &Member, name: &str) -> String {
    let email = format!("{name}@example.org");
    let body = json!({"name": name, "email": email, "password": PASSWORD, "roles": ["viewer"]});
    member.post("/api/v1/users", &body).is(201)["id"].as_str().expect("an id").to_owned()
}

fn change(member: &Member, id: &str, how: Value) {
    member.ask(Method::PATCH, &format!("/api/v1/users/{id}"), &how).is(200);
}

fn person(member: &Member, id: &str) -> Value {
    let users = member.get("/api/v1/users").is(200);
    let found = users["items"].as_array().into_iter().flatten().find(|user| user["id"] == id);
    found.cloned().unwrap_or_else(|| panic!("{id} is not among {users}"))
}

/// What a node tells of as held for a person's profile; null if nothing.
fn held(member: &Member, id: &str) -> Value {
    let conflicts = member.get("/api/v1/fleet/conflicts").is(200);
    let of_them = |conflict: &&Value| conflict["id"] == id && conflict["part"] == "profile";
    conflicts["items"].as_array().into_iter().flatten().find(of_them).cloned().unwrap_or_default()
}

/// The names among it.
fn held_names(member: &Member, id: &str) -> Vec<String> {
    let found = held(member, id);
    let versions = found["versions"].as_array().into_iter().flatten();
    let mut names: Vec<String> =
        versions.map(|version| version["value"]["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}
