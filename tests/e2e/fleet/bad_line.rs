//! Lines as they are between two buildings: slow, late, and losing.

use crate::harness::*;
use serde_json::json;
use std::time::Duration;

/// Records to send over it.
const ACTS: usize = 60;

#[test]
fn a_bad_line_is_only_slow() {
    let Some(cables) = Cables::lay(3) else { return };
    let members = Member::fleet_on(&cables, 3);
    let all: Vec<&Member> = members.iter().collect();
    let reign = |member: &Member| member.fleet()["coordinator"]["epoch"].as_u64();
    let before = reign(&members[0]).expect("somebody coordinates");

    let delay = Duration::from_millis(50);
    cables.shape(Line { delay, loss_percent: 5, bits_per_second: Some(1_000_000) });
    for number in 0..ACTS {
        let body = json!({"name": format!("Person {number}"), "email": format!("p{number}@example.org"),
            "password": "copper kettle under seven clouds", "roles": ["viewer"]});
        members[number % 3].post("/api/v1/users", &body).is(201);
    }
    wait_settled(&all);

    let users = members[2].get("/api/v1/users").is(200);
    assert_eq!(users["items"].as_array().map(Vec::len), Some(ACTS + 1));
    for member in &members {
        assert_eq!(reign(member), Some(before), "the same reign as before: {}", member.fleet());
    }
}
