//! What lies in the bin, and for how long.

use super::Node;
use crate::domain::TakeState;
use crate::service::bin::Bin;
use crate::service::recorder::Recorder;
use crate::service::tests::takes::{RATE, TestTake};
use crate::store::Edits;
use crate::store::audit::Outcome;

const DAY_MS: i64 = 86_400_000;

#[test]
fn after_thirty_days_the_audio_is_gone_and_the_record_says_so() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    take.close();
    let mut node = Node::over(take.home.path());
    let id = node.data.take_ids().unwrap()[0];
    node.step(&mut Recorder::new(node.data.clone(), node.store(), node.live.clone()));
    let copies = node.data.path().join("renders").join(id.to_string());
    std::fs::create_dir_all(&copies).unwrap();
    let mut edits = Edits::by("test");
    edits.put_bin(id, Some(node.now.wall));
    node.store().commit(edits, node.moment()).unwrap();
    let mut bin = Bin::new(node.data.clone(), node.access.clone());

    node.pass(30 * DAY_MS - 60_000);
    node.step(&mut bin);
    assert!(take.folder.path().exists() && copies.exists());
    node.pass(60_000);
    node.step(&mut bin);

    assert!(!take.folder.path().exists() && !copies.exists());
    let facts = node.store().recording(id).unwrap().unwrap().facts;
    assert_eq!((facts.is_gone, facts.state), (true, TakeState::Ready));
    assert_eq!(node.acts(), [("recording.purge".to_owned(), Outcome::Succeeded)]);
    node.step(&mut bin);
    assert_eq!(node.acts().len(), 1, "once");
}

#[test]
fn what_was_taken_out_again_stays_and_what_a_crash_left_is_removed() {
    let mut take = TestTake::begin(1);
    take.record(RATE as usize);
    take.close();
    let mut node = Node::over(take.home.path());
    let id = node.data.take_ids().unwrap()[0];
    node.step(&mut Recorder::new(node.data.clone(), node.store(), node.live.clone()));
    for since in [Some(node.now.wall), None] {
        let mut edits = Edits::by("test");
        edits.put_bin(id, since);
        node.store().commit(edits, node.moment()).unwrap();
    }
    let left = node.data.takes().join(".leaving-0192f7c0-0000-7000-8000-000000000000");
    std::fs::create_dir_all(&left).unwrap();
    node.pass(31 * DAY_MS);
    node.step(&mut Bin::new(node.data.clone(), node.access.clone()));
    assert!(take.folder.path().exists() && !left.exists());
}
