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
        let have_it =
            rest.iter().all(|member| member.get("/api/v1/users").is(200).to_string().contains("mo@example.org"));
        (have_it && are_like(&rest)).then_some(())
    });
    members[at].node.restart();
    wait_settled(&members.iter().collect::<Vec<_>>());
}

/// What the loop says that has the kernel ask the machines of those that do not stand for election.
fn asked(boss: &Member) -> Option<String> {
    let status = boss.get("/api/v1/status").is(200);
    let lines = status["workers"].as_array()?.iter().find(|worker| worker["name"] == "lines")?;
    lines["detail"].as_str().map(ToOwned::to_owned)
}

/// By heartbeats alone one of hundreds, which hear one every 5 s, would be missed after so long: of those the kernel tells.
const HEARTBEATS_TELL_S: u64 = 7;

#[test]
fn of_many_nodes_one_that_does_not_stand_is_missed_and_its_machine_does_not_answer_the_kernel() {
    let Some(cables) = Cables::lay(NODES) else { return };
    let members = Member::fleet_on(&cables, NODES);
    let coordinator = wait_settled(&members.iter().collect::<Vec<_>>());
    let boss = members.iter().find(|member| member.id() == coordinator).expect("one of them");
    let stands = |member: &Member| boss.says_of(&member.id()).is_none_or(|said| said["is_candidate"] == true);
    let at = members.iter().position(|member| !stands(member)).expect("one that does not stand");
    let far = members[at].id();
    cables.cut(at);
    let told = wait("the coordinator to miss it", || boss.says_of(&far).filter(|said| said["state"] == "lost"));
    let why = told["why"].as_str().unwrap_or_default();
    let seconds = why.strip_prefix("nothing was heard of it for ").and_then(|rest| rest.strip_suffix(" s"));
    let seconds: u64 = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!(seconds < HEARTBEATS_TELL_S, "{told}");
    wait("its machine to be silent", || asked(boss).filter(|said| said.ends_with(" nodes are asked, 1 silent")));
    cables.mend();
    in_step("it to be reached again", || (boss.sees(&far) == "current").then_some(()));
    wait("its machine to answer", || asked(boss).filter(|said| said.ends_with(" nodes are asked, 0 silent")));
}
