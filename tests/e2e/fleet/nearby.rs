//! Recorders that are seen on the network; here that is this machine's loopback.

use crate::harness::*;
use serde_json::{Value, json};

/// What `at` says of the recorder whose pages are at an address.
fn seen(at: &Member, address: &str) -> Option<Value> {
    let nearby = at.get("/api/v1/fleet/nearby").is(200);
    let items = nearby["items"].as_array()?;
    let is_there = |item: &&Value| item["addresses"].as_array().is_some_and(|all| all.contains(&json!(address)));
    items.iter().find(is_there).cloned()
}

#[test]
fn a_box_that_nobody_claimed_is_seen_invited_and_then_a_member() {
    let first = Member::announced().claimed();
    let (second, silent) = (Member::announced(), Member::new());
    let address = |member: &Member| member.tls_url.trim_start_matches("https://").to_owned();
    let there = address(&second);

    let found = wait("the new box to be seen", || seen(&first, &there));
    assert_eq!((&found["kind"], &found["node_id"]), (&json!("unclaimed"), &Value::Null));
    let words = found["words"].as_str().expect("words");
    assert!(second.log().contains(&format!("its key: {words} ")), "{words} is not what its own screen says");
    assert_eq!(seen(&first, &address(&silent)), None, "who was told to be silent is");
    assert_eq!(silent.get("/api/v1/fleet/nearby").status, 401, "who is nobody hears nothing");
    assert_eq!(seen(&first, &address(&first)), None, "nobody sees itself");

    let form = format!("expires_seconds=3600&uses=1&at={there}");
    let request = first.http.post(first.at("/fleet/invite")).bearer_auth(&first.token).body(form);
    let page = request.header("content-type", "application/x-www-form-urlencoded").send().expect("an answer");
    let page = page.text().expect("a page").replace("&#x2f;", "/");
    let (_, link) = page.split_once(&format!("https://{there}/join#")).expect("a link to its page");
    let token: String = link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    second.post("/api/v1/fleet/join", &json!({"token": token})).is(200);
    wait("it to be seen as a member", || seen(&first, &there).filter(|found| found["kind"] == "member"));
}
