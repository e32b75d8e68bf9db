//! What must hold in every millisecond, and what must have become of it in the end.

use crate::machine::{LINKS_MAX, Machine, Running, name};
use crate::world::{is_as_far, is_like};
use replicate::core::election::Role;
use replicate::core::session::Reason;
use replicate::net::{Ended, Event, HEARD_BYTES_MAX, LEAVING_MAX, LINK_HEARD_BYTES_MAX, MESSAGE_BYTES_MAX, PeerState};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// A session waits until its link's writer has caught up, for a millisecond.
pub const SLOW: &str = "a millisecond with a slow link";

/// What a day has met: so that it can be told whether the days meet enough.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub hits: BTreeMap<&'static str, u64>,
    pub most_waiting: usize,
    pub healed_ms: u64,
    /// All that could be seen from outside, in order: two runs of a seed have the same.
    pub trace: u64,
}

impl Seen {
    pub fn hit(&mut self, what: &'static str) {
        *self.hits.entry(what).or_default() += 1;
    }

    fn note(&mut self, what: impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.trace, what).hash(&mut hasher);
        self.trace = hasher.finish();
    }
}

/// What must hold in every millisecond.
pub fn always(machines: &[Rc<Machine>], seen: &mut Seen) {
    for machine in machines {
        judge_ends(machine, seen);
        judge_events(machine);
        let kept = machine.kept.lock().unwrap();
        assert!(kept.is_sorted_by(|one, two| one < two), "node {} kept a lower token: {kept:?}", machine.number);
        if let Some(running) = &*machine.running.borrow() {
            judge_memory(machine.number, running, seen);
        }
    }
}

/// Nothing that a network, a crash or a slow reader does may look like a broken peer.
fn judge_ends(machine: &Machine, seen: &mut Seen) {
    for ended in machine.ends.borrow_mut().drain(..) {
        let what = match &ended {
            Ended::Lost(_) => "a link lost",
            Ended::PeerStopped => "a link whose peer stopped",
            Ended::Second => "a second link",
            Ended::Stopped => "a link of a hub that stopped",
            Ended::Disconnected => "a link closed by a person",
            Ended::ByPeer(why) if why.contains("disconnected") => "a link closed by the peer's person",
            Ended::ByPeer(why) if why.contains("nothing was heard") => "a link that the peer closed for silence",
            Ended::ByPeer(why) if why.contains("did not say who") => "a link whose peer waited for our hello",
            Ended::Closed(Reason::Silent { .. }) => "a link closed for silence",
            Ended::Closed(Reason::NoHello) => "a link without a hello",
            other => panic!("a link of node {} ended as {other:?}", machine.number),
        };
        seen.hit(what);
        seen.note((machine.number, what));
    }
}

fn judge_events(machine: &Machine) {
    for event in machine.events.lock().unwrap().drain(..) {
        let is_bad = matches!(
            event,
            Event::Renamed { .. }
                | Event::Quarantined(_)
                | Event::Doubled(_)
                | Event::StoreFailed(_)
                | Event::Alarm(_)
                | Event::TokenNotKept { .. }
        );
        assert!(!is_bad, "node {} tells {event:?}", machine.number);
    }
}

fn judge_memory(number: usize, running: &Running, seen: &mut Seen) {
    let Some(stepper) = &running.stepper else { return };
    let (holds, (waiting, may_wait)) = (running.hub.holds(), stepper.out_bytes());
    assert!(holds.links <= LINKS_MAX + LEAVING_MAX, "node {number}: {holds:?}");
    let heard_max = HEARD_BYTES_MAX.min(holds.links * LINK_HEARD_BYTES_MAX);
    assert!(holds.heard_bytes <= heard_max, "node {number}: {holds:?}");
    assert!(waiting <= may_wait + 2 * MESSAGE_BYTES_MAX, "node {number}: {waiting} bytes wait for one link");
    let slow = stepper.slow();
    if slow > 0 {
        seen.hit(SLOW);
    }
    seen.most_waiting = seen.most_waiting.max(waiting);
    seen.note((number, holds.links, holds.queued, holds.heard_bytes, waiting, slow));
}

/// Whether all have met, have the same and follow one.
pub fn is_whole(machines: &[Rc<Machine>]) -> bool {
    if !machines.iter().all(|machine| machine.is_on()) {
        return false;
    }
    let looks: Vec<_> = machines.iter().map(|machine| (machine, machine.hub().look())).collect();
    let is_linked = looks.iter().all(|(machine, look)| {
        let talks = |peer: usize| look.peers.get(&name(peer)).is_some_and(|peer| peer.state == PeerState::Talking);
        (1..=machine.count).filter(|peer| *peer != machine.number).all(talks)
    });
    let reigns = looks.iter().filter_map(|(_, look)| match look.election.role {
        Role::Coordinator { token, .. } => Some(token),
        _ => None,
    });
    let reigns: Vec<_> = reigns.collect();
    let [reign] = reigns[..] else { return false };
    let obeys =
        |role: Role| matches!(role, Role::Coordinator { token, .. } | Role::Follower { token, .. } if token == reign);
    is_linked
        && looks.iter().all(|(_, look)| obeys(look.election.role))
        && [is_as_far, is_like].iter().all(|is_so| machines[1..].iter().all(|other| is_so(&machines[0], other)))
}

/// Nothing is left of the links of hubs that have stopped: no place, no permit, no task.
pub fn left_nothing(machines: &[Rc<Machine>]) {
    for machine in machines {
        if let Some(running) = &*machine.running.borrow() {
            let (holds, tasks) = (running.hub.holds(), running.runtime.metrics().num_alive_tasks());
            let is_left = (holds.links, holds.queued, holds.heard_bytes, tasks);
            assert_eq!(is_left, (0, 0, 0, 0), "node {}: links, orders, bytes, tasks", machine.number);
        }
    }
}

/// What can be told of machines for whom something did not come true.
pub fn told(machines: &[Rc<Machine>]) -> String {
    let mut told = String::new();
    for machine in machines {
        if !machine.is_on() {
            let _ = writeln!(told, "node {} is off", machine.number);
            continue;
        }
        let (hub, store) = (machine.hub(), machine.store());
        let look = hub.look();
        let peers: Vec<_> =
            look.peers.iter().map(|(node, peer)| (node, peer.state, peer.lag, peer.left_alone)).collect();
        let _ = writeln!(
            told,
            "node {}: {:?}, {:?}, {:?}, {:#?}",
            machine.number,
            look.election.role,
            hub.holds(),
            store.state_hash(),
            peers
        );
    }
    told
}
