//! The fleet falls in two, both sides go on working, and what they did meets again.

use crate::harness::*;
use rakkr::domain::ClockQuality;
use rakkr::store::{Id, Moment, Store, node_of};
use replicate::core::id::RecordId;
use reqwest::Method;
use serde_json::{Value, json};

#[test]
fn a_fleet_split_in_two_keeps_both_edits() {
    let Some(cables) = Cables::lay(3) else { return };
    let mut members = Member::fleet_on(&cables, 3);
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
    for member in &mut members {
        member.node.stop();
        let names = held_names(member, &mo);
        assert_eq!(names, ["Mo of the north", "Mo of the south"], "neither is lost");
    }
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

/// The names that a stopped node keeps for a person, from its file.
fn held_names(member: &Member, id: &str) -> Vec<String> {
    let (folder, node) = (member.data.join("records"), node_of(&member.data).expect("a node"));
    let now = Moment { wall: jiff::Timestamp::UNIX_EPOCH, quality: ClockQuality::Unset, mono_us: 0 };
    let (store, _) = Store::open(&folder, node, "test", now, || 7).expect("its records");
    let id = RecordId(id.parse::<Id>().expect("an id").0.into_bytes());
    let record = store.logs().read("user", id).expect("it can be read").expect("it is there");
    let name = |entry: &replicate::core::entry::Entry| {
        let fields = entry.fields.as_ref().expect("fields");
        let profile: Value = serde_json::from_str(fields.val.get()).expect("JSON");
        profile["name"].as_str().expect("a name").to_owned()
    };
    let mut names: Vec<String> = record.versions("profile").into_iter().map(name).collect();
    names.sort();
    names
}
