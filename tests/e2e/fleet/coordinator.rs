//! The coordinator is gone in each way that there is, and comes back: the others have one meanwhile, and all have one after.

use crate::harness::*;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

#[test]
fn the_coordinator_is_killed_paused_and_unplugged() {
    let Some(cables) = Cables::lay(3) else { return };
    let mut members = Member::fleet_on(&cables, 3);

    let boss = boss_of(&members);
    members[boss].node.kill9();
    wait_for_another(&members, boss);
    members[boss].node.restart();
    wait_healed(&members);

    let boss = boss_of(&members);
    members[boss].node.signal(Signal::STOP);
    wait_for_another(&members, boss);
    members[boss].node.signal(Signal::CONT);
    wait_healed(&members);

    let boss = boss_of(&members);
    cables.cut(boss);
    wait_for_another(&members, boss);
    wait("the one that is cut off to say that it has no majority", || {
        (members[boss].fleet()["coordinator"]["mode"] == "minority").then_some(())
    });
    let other = members[(boss + 1) % 3].id();
    let refused = members[boss].ask(Method::DELETE, &format!("/api/v1/nodes/{other}"), &json!({})).is(409);
    assert_eq!(refused["code"], "needs_majority", "what cannot be taken back waits: {refused}");
    cables.mend();
    wait_healed(&members);
    let told = members.iter().map(|member| member.fleet()["stories"].to_string());
    assert!(told.into_iter().any(|stories| stories.contains("both coordinated")), "somebody tells of the two reigns");
}

/// The number of the one that coordinates.
fn boss_of(members: &[Member]) -> usize {
    let id = wait_settled(&members.iter().collect::<Vec<_>>());
    members.iter().position(|member| member.id() == id).expect("a member")
}

/// The two that are left have one of them, and act for the majority.
fn wait_for_another(members: &[Member], gone: usize) {
    let rest: Vec<&Member> = members.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, one)| one).collect();
    let ids: Vec<String> = rest.iter().map(|member| member.id()).collect();
    wait("one of those left to coordinate", || {
        let [one, other] = [rest[0].fleet(), rest[1].fleet()].map(|mut fleet| fleet["coordinator"].take());
        let is_left = ids.iter().any(|id| one["node_id"] == id.as_str());
        let is_agreed = one["node_id"] == other["node_id"] && one["mode"] == "majority";
        (is_left && is_agreed).then_some(())
    });
}

/// One coordinator, for the majority, as all of them see it.
fn wait_healed(members: &[Member]) {
    wait_settled(&members.iter().collect::<Vec<_>>());
    wait("all to see one coordinator of the majority", || {
        members.iter().all(|member| member.fleet()["coordinator"]["mode"] == "majority").then_some(())
    });
}
