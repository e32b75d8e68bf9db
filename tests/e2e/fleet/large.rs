//! More nodes than all have links with each other: five stand for election, and the others dial those.

use crate::harness::*;
use serde_json::json;

/// Two more than a mesh has (`MESH_MAX` of `replicate`).
const NODES: usize = 10;

#[test]
fn ten_nodes_have_one_coordinator_before_and_after_it_is_killed() {
    let mut members = vec![Member::first()];
    for _ in 1..NODES {
        let newcomer = members[0].another();
        members.push(newcomer);
    }
    let coordinator = wait_settled(&members.iter().collect::<Vec<_>>());
    let at = members.iter().position(|member| member.id() == coordinator).expect("one of them");
    members[at].node.kill9();
    let rest: Vec<&Member> =
        members.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, member)| member).collect();
    let next = in_step("another one to coordinate all that are left", || {
        let next = rest[0].coordinator().filter(|next| *next != coordinator)?;
        rest.iter().all(|member| member.coordinator().as_ref() == Some(&next)).then_some(next)
    });
    in_step("all to see that it is lost", || {
        rest.iter().all(|member| member.sees(&coordinator) == "lost").then_some(())
    });
    let far = rest.iter().find(|member| member.id() != next).expect("a follower");
    let mo = json!({"name": "Mo", "email": "mo@example.org", "roles": ["viewer"]});
    far.post("/api/v1/users", &mo).is(201);
    in_step("what was done at a follower to be everywhere", || {
        let hashes: Vec<_> = rest.iter().map(|member| member.hashes()).collect();
        let have_it =
            rest.iter().all(|member| member.get("/api/v1/users").is(200).to_string().contains("mo@example.org"));
        (have_it && hashes.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
    });
    members[at].node.restart();
    wait_settled(&members.iter().collect::<Vec<_>>());
}
