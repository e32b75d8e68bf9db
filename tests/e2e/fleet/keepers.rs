//! In a fleet of more than eight not everybody keeps everybody's records; who is needed for it becomes a keeper.

use crate::harness::*;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// As many as a mesh has (`MESH_MAX` of `replicate`): all of them keep everything.
const KEEPERS: usize = 8;
/// Rows leave the logs all the while, so that who becomes a keeper has to be given what is left of them.
const OFTEN: [&str; 2] = ["--forget", "1,10"];

fn newcomer() -> Member {
    Member::with(None, &OFTEN)
}

/// On which nodes the acts were done whose entries a node has in its journal.
fn journals(member: &Member) -> BTreeSet<String> {
    let entries = member.get("/api/v1/audit-events?limit=200").is(200);
    let of = |entry: &Value| entry["node_id"].as_str().map(ToOwned::to_owned);
    entries["items"].as_array().into_iter().flatten().filter_map(of).collect()
}

fn is_keeper(at: &Member, of: &str) -> bool {
    at.says_of(of).is_some_and(|said| said["is_keeper"] == true)
}

#[test]
fn who_comes_ninth_keeps_only_its_own_until_it_is_needed() {
    let mut members = vec![newcomer().claimed()];
    for _ in 1..KEEPERS + 1 {
        let newcomer = members[0].lets_in(newcomer());
        members.push(newcomer);
    }
    let coordinator = wait_settled(&members.iter().collect::<Vec<_>>());
    let ninth = &members[KEEPERS];
    let (first, its) = (members[0].id(), ninth.id());
    assert!(is_keeper(ninth, &first) && !is_keeper(ninth, &its) && !is_keeper(&members[0], &its));
    assert_eq!(ninth.fleet()["keeps_all"], false);

    // What it does is with the keepers; what others do is not with it, and it says so.
    ninth.post("/api/v1/users", &json!({"name": "Mo", "email": "mo@example.org", "roles": ["viewer"]})).is(201);
    in_step("a keeper to have its journal", || journals(&members[0]).contains(&its).then_some(()));
    wait_settled(&members.iter().collect::<Vec<_>>());
    let hashes = ninth.hashes();
    assert!(hashes["sec"].is_string() && hashes["own"].is_null() && hashes["jrn"].is_null(), "{hashes}");
    assert_eq!(journals(ninth), BTreeSet::from([its.clone()]));
    let gone = ninth.get(&format!("/api/v1/recordings/{first}")).is(404);
    assert!(gone["detail"].as_str().is_some_and(|detail| detail.contains("its own recordings only")), "{gone}");

    // One less, and all that are left stand for election.
    let boss = members.iter().position(|member| member.id() == coordinator).expect("one of them");
    let at = (1..KEEPERS).find(|at| *at != boss).expect("another");
    members[boss].ask(Method::DELETE, &format!("/api/v1/nodes/{}", members[at].id()), &json!({})).is(204);
    let ninth = &members[KEEPERS];
    in_step("it to become a keeper", || (ninth.fleet()["keeps_all"] == true && is_keeper(ninth, &its)).then_some(()));
    let rest: Vec<&Member> =
        members.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, member)| member).collect();
    in_step("it to have what all the others have", || {
        let hashes: Vec<Value> = rest.iter().map(|member| member.hashes()).collect();
        let is_whole = hashes[0]["own"].is_string() && hashes[0]["jrn"].is_string();
        (is_whole && hashes.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
    });
    assert!(journals(ninth).contains(&first));
}
