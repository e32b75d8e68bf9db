//! What capture says reaches [`Live`], and so does its silence.

use std::time::Duration;

use serde_json::json;

use super::fake::Fake;
use super::{Node, frame, status};
use crate::capture::socket::Request;
use crate::domain::TakeId;
use crate::service::ear::{MeterEar, StatusEar, StoreEar};
use crate::service::{Live, Worker};
use crate::store::Edits;

fn id() -> TakeId {
    "0192f7c0-0000-7000-8000-000000000000".parse().unwrap()
}

#[test]
fn capture_that_goes_and_comes_is_heard_to() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let mut ear = StatusEar::new(node.data.clone(), node.live.clone());
    assert!(!node.live.has_asked());
    let fake = Fake::start(&node.data, |_| None);

    node.step(&mut ear);
    assert!(node.live.status().is_some());
    drop(fake);
    let waits = ear.step(node.now).unwrap().wait;
    assert!(node.live.status().is_none() && node.live.has_asked());
    assert_eq!(waits, Duration::from_millis(250));
    let _fake = Fake::start(&node.data, |_| None);
    node.step(&mut ear);
    assert!(node.live.status().is_some());
    assert_eq!(node.live.status_age(node.now.mono_us + 500_000), Some(0.5));
}

#[test]
fn meters_reach_everybody_and_end_with_capture() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let mut ear = MeterEar::new(node.data.clone(), node.live.clone());
    let mut receiver = node.live.watch_meters();
    let fake = Fake::start(&node.data, |request| matches!(request, Request::Meters).then(|| json!(frame(1))));

    node.step(&mut ear);
    assert_eq!(*receiver.try_recv().unwrap(), frame(1));
    assert_eq!(node.live.meters().as_deref(), Some(&frame(1)));
    drop(fake);
    node.step(&mut ear);
    assert!(node.live.meters().is_none());
}

#[test]
fn a_capture_that_speaks_nonsense_is_an_error_and_no_state() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let _fake = Fake::start(&node.data, |_| Some(json!({"ok": true, "status": {"at": 5}})));
    let error = StatusEar::new(node.data.clone(), node.live.clone()).step(node.now).unwrap_err();
    assert!(error.contains("another language") && node.live.status().is_none(), "{error}");
    assert!(MeterEar::new(node.data.clone(), node.live.clone()).step(node.now).is_err());
}

#[test]
fn pages_are_told_of_changes_and_not_of_every_meter_frame() {
    let live = Live::new();
    let changed = live.changed();
    let told = |work: &dyn Fn()| {
        let before = *changed.borrow();
        work();
        *changed.borrow() - before
    };
    live.set_meters(Some(frame(0)), 1);
    live.set_status(Some(status(&[])), 1);

    assert_eq!(told(&|| live.set_meters(Some(frame(0)), 2)), 0);
    assert_eq!(told(&|| live.set_status(Some(status(&[])), 2)), 0);
    assert_eq!(told(&|| live.set_meters(Some(frame(1)), 3)), 1);
    assert_eq!(told(&|| live.set_status(Some(status(&[id()])), 3)), 1);
    assert_eq!(told(&|| live.set_status(Some(status(&[id()])), 4)), 1, "once a second while recording");
    assert_eq!(told(&|| live.set_status(None, 5)), 1);
}

#[test]
fn a_command_has_capture_asked_at_once() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::over(home.path());
    let mut ear = StoreEar::new(node.store(), node.live.clone());
    let bell = StatusEar::new(node.data.clone(), node.live.clone()).bell().unwrap();
    let mut edits = Edits::by("test");
    edits.put_setting("theme", &"dark");
    node.store().commit(edits, node.moment()).unwrap();
    node.step(&mut ear);
    assert!(!bell.wait(Duration::ZERO), "a setting is no command");
    node.allow::<crate::access::acts::StopRecording>().fail("no");
    node.step(&mut ear);
    assert!(bell.wait(Duration::ZERO));
}
