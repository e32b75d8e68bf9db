//! The loops of a node beside a real capture: they come and go, and what was recorded meanwhile is known all the same.

use crate::harness::*;
use rakkr::access::Access;
use rakkr::capture::take::DataDir;
use rakkr::domain::watch::IncidentKind;
use rakkr::domain::{TakeId, TakeState};
use rakkr::service::{Failures, Live, Parts, Supervisor, moment, spawn_all};
use rakkr::store::recordings::Facts;
use rakkr::store::{Id, Store};
use rakkr::sys::clock;

/// The loops over a room's data folder, until dropped.
struct Loops {
    store: Store,
    live: Live,
    supervisor: Option<Supervisor>,
}

impl Loops {
    fn beside(room: &Room) -> Loops {
        let data = DataDir::new(&room.appliance.data);
        let now = moment(clock::now());
        let records = data.path().join("records");
        // The store before lets go of its file as its last loop ends.
        let open = || Store::open(&records, Id::of_name("room"), &clock::boot_id(), now, || 7).ok();
        let (store, _) = wait("the records to open", open);
        let (live, mut supervisor) = (Live::new(), Supervisor::new());
        let access = Access::new(store.clone());
        spawn_all(&mut supervisor, &Parts { data, access, live: live.clone(), failures: Failures::default() });
        Loops { store, live, supervisor: Some(supervisor) }
    }

    /// Waits until the record of a take is as wished.
    fn record(&self, id: &str, what: &str, is_so: impl Fn(&Facts) -> bool) -> Facts {
        let id: TakeId = id.parse().expect("a take's id");
        wait(what, || self.store.recording(id).ok()?.map(|found| found.facts).filter(&is_so))
    }

    fn wait_incident(&self, kind: IncidentKind, is_open: bool) {
        let open = || self.live.incidents().iter().any(|known| known.incident.kind == kind);
        wait(&format!("{kind} to be open: {is_open}"), || (open() == is_open).then_some(()));
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.supervisor.take().into_iter().for_each(Supervisor::stop);
    }
}

#[test]
fn what_was_recorded_while_the_services_were_down_is_known_when_they_are_back() {
    let room = Room::usual();
    let first = room.record(&["--title", "First"], ms(500));
    let loops = Loops::beside(&room);
    loops.record(&first, "the first take to be recording", |facts| facts.state == TakeState::Recording);
    wait("meters", || loops.live.meters());
    drop(loops);

    let take = room.appliance.stop(&first);
    let second = room.record(&["--title", "Second"], ms(300));

    let loops = Loops::beside(&room);
    let facts = loops.record(&first, "the first take to be ready", |facts| facts.state == TakeState::Ready);
    assert_eq!((facts.title.as_str(), facts.duration_seconds), ("First", take.duration_seconds));
    loops.record(&second, "the second take to be recording", |facts| facts.state == TakeState::Recording);
    room.appliance.stop(&second);
    loops.record(&second, "the second take to be ready", |facts| facts.state == TakeState::Ready);
}

#[test]
fn a_recorder_that_is_gone_is_an_incident_until_it_is_back() {
    let mut room = Room::usual();
    let id = room.record(&[], ms(300));
    let loops = Loops::beside(&room);
    loops.record(&id, "the take to be recording", |facts| facts.state == TakeState::Recording);

    room.appliance.kill9();
    loops.wait_incident(IncidentKind::CaptureDown, true);
    room.appliance.restart();

    loops.wait_incident(IncidentKind::CaptureDown, false);
    let facts = loops.record(&id, "the gap to be known", |facts| facts.gaps.0 > 0);
    assert_eq!(facts.state, TakeState::Recording);
    let stored = loops.store.incidents(None, None, 50).expect("the records can be read").items;
    assert!(stored.iter().any(|known| known.incident.kind == IncidentKind::CaptureDown));
}
