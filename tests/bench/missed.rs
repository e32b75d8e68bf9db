//! How soon a node that is gone is missed: from a cut cable, a halted and a killed program until the coordinator's own document
//! calls it lost. Ten nodes, so that there are some that do not stand for election; one of those, and one that does.

use crate::figure::{Figure, Sheet, median};
use crate::harness::{Cables, Member, wait_settled};
use crate::process::catch;
use crate::store::percentile;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Two more than a mesh has (`MESH_MAX` of `replicate`).
const NODES: usize = 10;
const LIMIT: Duration = Duration::from_secs(30);

/// How a node goes, and how it comes back.
struct Loss {
    name: &'static str,
    begin: fn(&Cables, &mut Member, usize),
    end: fn(&Cables, &mut Member),
}

const LOSSES: [Loss; 3] = [
    Loss { name: "unplugged", begin: |cables, _, at| cables.cut(at), end: |cables, _| cables.mend() },
    Loss {
        name: "halted",
        begin: |_, member, _| member.node.signal(Signal::STOP),
        end: |_, member| member.node.signal(Signal::CONT),
    },
    Loss { name: "killed", begin: |_, member, _| member.node.kill9(), end: |_, member| member.node.restart() },
];

pub fn measure(sheet: &Sheet, trials: usize) {
    let Some(cables) = Cables::lay(NODES) else {
        eprintln!("No network namespaces here: nothing is known of lost nodes.");
        return;
    };
    let mut members = Member::fleet_on(&cables, NODES);
    for (stands, what) in [(false, "one that does not stand for election"), (true, "one that does")] {
        for loss in &LOSSES {
            let mut times: Vec<f64> = (0..trials).map(|_| trial(&cables, &mut members, stands, loss)).collect();
            eprintln!("{}, {what}, seconds until it is lost: {times:.2?}", loss.name);
            let half = median(&times).unwrap_or(f64::NAN);
            let name = format!("missed.{} to lost, {what}, worst of {trials}", loss.name);
            sheet.print(Figure::cost(name, percentile(&mut times, 100), "s").goal(3.0).peer("its p50", Some(half)));
        }
    }
}

/// Seconds until the coordinator calls it lost; then it comes back.
fn trial(cables: &Cables, members: &mut [Member], stands: bool, loss: &Loss) -> f64 {
    // Whoever was cut off may have claimed meanwhile: who coordinates is asked anew.
    let coordinator = wait_settled(&members.iter().collect::<Vec<_>>());
    let ids: Vec<String> = members.iter().map(|member| member.id()).collect();
    let boss = ids.iter().position(|id| *id == coordinator).expect("one of them");
    let does = |id: &String| members[boss].says_of(id).is_some_and(|said| said["is_candidate"] == stands);
    let at = ids.iter().position(|id| *id != coordinator && does(id)).expect("one of them");
    let began = Instant::now();
    (loss.begin)(cables, &mut members[at], at);
    let lost = catch(LIMIT, || (members[boss].sees(&ids[at]) == "lost").then_some(()));
    (loss.end)(cables, &mut members[at]);
    lost.map_or(f64::NAN, |((), at)| at.duration_since(began).as_secs_f64())
}
