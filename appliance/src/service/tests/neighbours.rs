//! A node that has met another: nothing it does by itself touches what is the other's.

use super::{Node, frame, status};
use crate::capture::take::DataDir;
use crate::domain::watch::Policy;
use crate::domain::{TakeId, TakeState};
use crate::service::bin::Bin;
use crate::service::recorder::Recorder;
use crate::service::tests::takes::{RATE, TestTake};
use crate::service::watch::{Desk, IncidentKeeper, Watcher};
use crate::service::{Failures, Worker};
use crate::store::fleet::{Member, Profile};
use crate::store::recordings::Facts;
use crate::store::replacements::Replacement;
use crate::store::tests::{facts, incident, meet};
use crate::store::{Edits, Id, Store};

/// The other node, on a disk of its own.
struct Neighbour {
    store: Store,
    _home: tempfile::TempDir,
}

impl Neighbour {
    fn of(node: &Node) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(home.path(), Id::of_name("neighbour"), "boot 2", node.moment(), || 2).unwrap();
        Self { store, _home: home }
    }

    /// It writes something, and the two meet.
    fn tells(&self, node: &Node, edit: impl FnOnce(&mut Edits)) {
        let mut edits = Edits::by("neighbour");
        edit(&mut edits);
        self.store.commit(edits, node.moment()).unwrap();
        meet(&self.store, &node.store());
    }

    fn is_member(&self, node: &Node) {
        let profile = Profile {
            name: "B-Hall".into(),
            addresses: Vec::new(),
            priority: 0,
            is_keeper: true,
            is_candidate: true,
            weight: 1,
        };
        let id = self.store.node();
        let (key, joined, version) = (None, None, String::new());
        self.tells(node, |edits| edits.put_member(&Member { id, key, profile, joined, is_retired: false, version }));
    }
}

fn id(number: u8) -> TakeId {
    TakeId::new(jiff::Timestamp::from_second(1_800_000_000).unwrap(), [number; 10])
}

fn a_take() -> (TestTake, Node, TakeId) {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    take.close();
    let node = Node::over(take.home.path());
    let id = node.data.take_ids().unwrap()[0];
    (take, node, id)
}

fn recorder(node: &Node) -> Recorder {
    Recorder::new(node.data.clone(), node.store(), node.live.clone())
}

#[test]
fn a_neighbours_recording_is_never_gone_missed_or_ended_here() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let there = Neighbour::of(&node);
    let states = [TakeState::Ready, TakeState::Recording, TakeState::Scheduled];
    there.tells(&node, |edits| {
        for (number, state) in (1..).zip(states) {
            edits.put_facts(id(number), &Facts { state, ..facts("theirs", 1) });
        }
    });
    let mut recorder = recorder(&node);
    for _ in 0..5 {
        node.step(&mut recorder);
    }
    for (number, state) in (1..).zip(states) {
        let found = node.store().recording(id(number)).unwrap().unwrap();
        assert_eq!((found.node, found.facts.state, found.facts.is_gone), (there.store.node(), state, false));
    }
}

#[test]
fn a_copy_of_a_neighbours_take_stays_the_neighbours_and_ours_stays_ours() {
    let (_take, mut node, theirs) = a_take();
    let there = Neighbour::of(&node);
    there.is_member(&node);
    there.tells(&node, |edits| edits.put_facts(theirs, &facts("theirs", 1)));
    let mut recorder = recorder(&node);
    for _ in 0..5 {
        node.step(&mut recorder);
    }
    let found = node.store().recording(theirs).unwrap().unwrap();
    assert_eq!((found.node, found.facts), (there.store.node(), facts("theirs", 1)));
}

#[test]
fn what_lies_here_of_a_node_that_is_no_more_is_taken_over() {
    let (_take, mut node, found) = a_take();
    let there = Neighbour::of(&node);
    there.is_member(&node);
    let words = node.store().last_words(there.store.node()).unwrap();
    there.tells(&node, |edits| {
        edits.put_facts(found, &facts("theirs", 1));
        edits.retire(there.store.node(), &words);
    });
    node.step(&mut recorder(&node));
    let recording = node.store().recording(found).unwrap().unwrap();
    assert_eq!((recording.node, recording.facts.title.as_str()), (node.store().node(), "Hearing"));
}

#[test]
fn what_was_on_a_box_whose_place_this_one_took_is_said_to_be_gone_with_it() {
    let homes = [1, 2].map(|_| tempfile::tempdir().unwrap());
    let mut node = Node::over(homes[0].path());
    let us = node.store().node();
    // The records of the same node, by the box that was before, come from the neighbour after this one has started.
    let (old, _) = Store::open(homes[1].path(), us, "boot 0", node.moment(), || 2).unwrap();
    let there = Neighbour::of(&node);
    let mut edits = Edits::by("old");
    let states = [TakeState::Ready, TakeState::Recording, TakeState::Scheduled];
    for (number, state) in (1..).zip(states) {
        edits.put_facts(id(number), &Facts { state, ..facts("old", 1) });
    }
    old.commit(edits, node.moment()).unwrap();
    meet(&there.store, &old);
    let done = Replacement {
        node: us,
        at: node.now.wall,
        by: "Ada".into(),
        through: there.store.node(),
        spki: String::new(),
        until: there.store.incarnation_above(us).unwrap(),
        words: there.store.last_words(us).unwrap(),
    };
    let above = (us, done.until);
    let (store, _) = Store::open_above(&homes[0].path().join("new"), above, "boot", node.moment(), || 3).unwrap();
    node.access = crate::access::Access::new(store);
    let mut recorder = recorder(&node);
    node.step(&mut recorder);
    there.tells(&node, |edits| edits.put_replacement(Id::of_name("done"), &done));
    for _ in 0..5 {
        node.step(&mut recorder);
    }

    let told = [1, 2, 3].map(|number| node.store().recording(id(number)).unwrap().unwrap().facts);
    let told = told.map(|facts| (facts.state, facts.is_gone, facts.was_replaced));
    assert_eq!(told[0], (TakeState::Ready, true, true));
    assert_eq!(told[1], (TakeState::Incomplete, true, true), "what ran ended with the box");
    assert_eq!(told[2], (TakeState::Failed, true, false), "what had not begun was missed");
}

#[test]
fn the_bin_removes_only_what_this_node_recorded() {
    let (take, mut node, theirs) = a_take();
    let there = Neighbour::of(&node);
    there.is_member(&node);
    there.tells(&node, |edits| {
        edits.put_facts(theirs, &facts("theirs", 1));
        edits.put_bin(theirs, Some(node.now.wall));
    });
    node.pass(40 * 86_400_000);
    let mut bin = Bin::new(DataDir::new(take.home.path()), node.access.clone());
    for _ in 0..3 {
        node.step(&mut bin);
    }
    let found = node.store().recording(theirs).unwrap().unwrap();
    assert_eq!((found.facts.is_gone, found.node), (false, there.store.node()));
    assert!(take.folder.path().exists());
    assert!(node.acts().is_empty());
}

/// The watch of a node that is well, for so many looks.
fn watch(node: &mut Node, looks: u32) {
    let desk = Desk::open(&node.store(), node.now.wall);
    let mut watcher = Watcher::new(desk.clone(), node.live.clone(), Failures::default(), node.data.clone());
    let mut keeper = IncidentKeeper::new(desk, node.store());
    for _ in 0..looks {
        node.pass(50);
        node.live.set_status(Some(status(&[id(9)])), node.now.mono_us);
        node.live.set_meters(Some(frame(1)), node.now.mono_us);
        watcher.step(node.now).unwrap();
        keeper.step(node.now).unwrap();
    }
}

#[test]
fn a_neighbours_incident_is_neither_shown_as_ours_nor_closed() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let there = Neighbour::of(&node);
    let open = Id::of_name("incident");
    there.tells(&node, |edits| edits.put_incident(open, &incident(1)));

    watch(&mut node, 200);

    assert!(node.live.incidents().is_empty());
    let found = node.store().incident(open).unwrap().unwrap();
    assert_eq!((found.node, found.incident.closed), (there.store.node(), None));
}

#[test]
fn a_neighbours_watch_policy_does_not_hold_here() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let there = Neighbour::of(&node);
    let mut none = Policy::default();
    none.thresholds.disk_hours = [1_000.0, 900.0, 800.0];
    assert_eq!(none.check(), Ok(()));
    let other = there.store.node();
    there.tells(&node, |edits| {
        // As it was before there were fleets, and as it is now.
        edits.put_setting("watch_policy", &none);
        edits.put_node_setting(other, "watch_policy", &none);
    });

    watch(&mut node, 400);
    assert!(node.live.incidents().is_empty(), "the disk lasts 300 hours");

    let mut edits = Edits::by("test");
    edits.put_node_setting(node.store().node(), "watch_policy", &none);
    node.store().commit(edits, node.moment()).unwrap();
    watch(&mut node, 400);
    assert_eq!(node.live.incidents().len(), 1, "its own does");
}
