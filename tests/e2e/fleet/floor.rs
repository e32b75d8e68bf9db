//! What no node needs any more leaves the logs, and nobody notices; who was away for that comes back and has everything.

use crate::harness::*;
use reqwest::Method;
use serde_json::{Value, json};

/// It is looked each second and moves for ten entries: in a test what takes an hour of a busy fleet.
const OFTEN: [&str; 2] = ["--forget", "1,10"];

fn three(cables: Option<&Cables>) -> [Member; 3] {
    let [one, two, three] = [0, 1, 2].map(|node| Member::with(cables.map(|cables| cables.place(node)), &OFTEN));
    let first = one.claimed();
    let (second, third) = (first.lets_in(two), first.lets_in(three));
    wait_settled(&[&first, &second, &third]);
    [first, second, third]
}

/// A person whose name is changed again and again.
fn somebody(member: &Member) -> String {
    let body = json!({"name": "Mo", "email": "mo@example.org", "roles": ["viewer"]});
    let made = member.post("/api/v1/users", &body).is(201);
    made["id"].as_str().expect("an id").to_owned()
}

fn rename(member: &Member, id: &str, name: &str) {
    member.ask(Method::PATCH, &format!("/api/v1/users/{id}"), &json!({"name": name})).is(200);
}

fn name_of(member: &Member, id: &str) -> Value {
    let users = member.get("/api/v1/users").is(200);
    let found = users["items"].as_array().into_iter().flatten().find(|user| user["id"] == id);
    found.map(|user| user["name"].clone()).unwrap_or_default()
}

fn floor(member: &Member) -> u64 {
    member.fleet()["floor"].as_u64().expect("a number")
}

/// Works until all of them are at a later floor.
fn work_until_it_moves(at_work: &Member, all: &[&Member], id: &str) -> u64 {
    let before = all.iter().map(|member| floor(member)).max().unwrap_or(0);
    let mut round = 0;
    in_step("the floor to move", || {
        round += 1;
        rename(at_work, id, &format!("Mo, {round}"));
        all.iter().all(|member| floor(member) > before).then_some(())
    });
    round
}

#[test]
fn a_floor_moves_under_a_fleet_at_work_and_all_have_the_same() {
    let [first, second, third] = three(None);
    let all = [&first, &second, &third];
    let id = somebody(&first);
    work_until_it_moves(&first, &all, &id);
    let rounds = work_until_it_moves(&second, &all, &id);
    wait_settled(&all);
    // Who comes in now takes what the others kept.
    let fourth = third.lets_in(Member::with(None, &OFTEN));
    wait_settled(&[&first, &second, &third, &fourth]);
    for member in [&first, &second, &third, &fourth] {
        assert_eq!(name_of(member, &id), format!("Mo, {rounds}"));
    }
    assert!(floor(&fourth) >= 2, "it is at their floor");
}

#[test]
fn who_was_away_for_a_month_hands_on_what_it_did_and_takes_the_records_anew() {
    let Some(cables) = Cables::lay(3) else { return };
    let [mut first, mut second, third] = three(Some(&cables));
    let id = somebody(&first);
    work_until_it_moves(&first, &[&first, &second, &third], &id);
    wait_settled(&[&first, &second, &third]);
    let gone = third.id();
    let name = |member: &Member| member.says_of(&member.id()).expect("itself")["name"].clone();
    let before = name(&third);

    // It works on alone, by the others' clocks for a month.
    cables.cut(2);
    let alone = json!({"name": "Eve", "email": "eve@example.org", "roles": ["viewer"]});
    third.post("/api/v1/users", &alone).is(201);
    for member in [&mut first, &mut second] {
        member.node.kill9();
        let seen = json!({gone.clone(): {"heard": "2025-01-01T00:00:00Z", "known": "2025-01-01T00:00:00Z"}});
        std::fs::write(member.node.data.join("seen.json"), seen.to_string()).expect("a file");
        member.node.restart();
    }
    let both = [&first, &second];
    in_step("both to call it lapsed and each other current", || {
        let (one, two) = (first.sees(&second.id()), second.sees(&first.id()));
        let is_lapsed = both.iter().all(|member| member.sees(&gone) == "lapsed");
        (is_lapsed && one == "current" && two == "current").then_some(())
    });
    let rounds = work_until_it_moves(&first, &both, &id);

    cables.mend();
    let everybody = [&first, &second, &third];
    wait_settled(&everybody);
    for member in everybody {
        assert_eq!(name_of(member, &id), format!("Mo, {rounds}"));
        let users = member.get("/api/v1/users").is(200).to_string();
        assert!(users.contains("eve@example.org"), "what was done alone is kept: {users}");
    }
    assert_eq!((third.id(), name(&third)), (gone, before), "it is the same node");
    let aside = third.node.data.join("records");
    let files = std::fs::read_dir(&aside).expect("a folder").flatten().map(|file| file.file_name());
    let names: Vec<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.contains("below-floor")), "its file was set aside: {names:?}");
}
