//! Commands against a capture that answers, refuses, or is not there.

use serde_json::json;

use super::Node;
use super::fake::Fake;
use crate::access::acts::{ExtendRecording, MarkRecording, StartRecording, StopRecording};
use crate::capture::orders;
use crate::capture::socket::Request;
use crate::domain::{Channels, TakeId, TakeState};
use crate::service::control::{self, ControlError, NewRecording};
use crate::service::tests::takes::{RATE, TestTake};
use crate::store::audit::Outcome;

fn new() -> NewRecording {
    NewRecording {
        title: "Hearing".into(),
        channels: Channels::All,
        profile: "voice".into(),
        pre_roll_seconds: 0.0,
        duration_seconds: None,
        room: None,
    }
}

fn id() -> TakeId {
    "0192f7c0-0000-7000-8000-000000000000".parse().unwrap()
}

#[test]
fn what_was_started_is_a_record_with_its_plan_and_a_line_in_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let _fake = Fake::start(&node.data, |request| {
        matches!(request, Request::Start(_)).then(|| json!({"ok": true, "id": id()}))
    });

    assert_eq!(control::start(&node.data, node.allow(), new()), Ok(id()));

    let recording = node.store().recording(id()).unwrap().unwrap();
    assert_eq!((recording.title(), recording.facts.state), ("Hearing", TakeState::Scheduled));
    assert_eq!(recording.plan.started_by.as_deref(), Some("test"));
    assert_eq!(node.acts(), [("recording.start".to_owned(), Outcome::Succeeded)]);
}

#[test]
fn while_capture_is_down_the_order_waits_for_it() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());

    let id = control::start(&node.data, node.allow(), new()).unwrap();

    let orders = orders::load(&node.data.orders()).unwrap();
    assert_eq!(orders.get(id).unwrap().title, "Hearing");
    let stopped = control::stop(&node.data, node.allow(), id).unwrap();
    assert_eq!((stopped.id, stopped.state), (id, TakeState::Scheduled));
    assert_eq!(orders::load(&node.data.orders()).unwrap().iter().count(), 0);
}

#[test]
fn a_wrong_field_is_named_and_nothing_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let cases = [
        (NewRecording { title: "x".repeat(2_000), ..new() }, "title"),
        (NewRecording { channels: Channels::Numbers(Vec::new()), ..new() }, "channels"),
        (NewRecording { pre_roll_seconds: f64::NAN, ..new() }, "pre_roll_seconds"),
        (NewRecording { duration_seconds: Some(0.0), ..new() }, "duration_seconds"),
    ];
    for (wrong, name) in cases {
        let error = control::start(&node.data, node.allow(), wrong).unwrap_err();
        assert!(matches!(error, ControlError::Invalid { field, .. } if field == name), "{name}: {error}");
    }
    assert!(!node.data.orders().exists());
    assert!(node.acts().iter().all(|(_, outcome)| *outcome == Outcome::Failed));
}

#[test]
fn a_channel_that_capture_does_not_have_is_a_wrong_field() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let _fake = Fake::start(&node.data, |request| {
        matches!(request, Request::Start(_)).then(|| json!({"ok": false, "error": "channel 9 does not exist"}))
    });
    let wrong = NewRecording { channels: Channels::Numbers(vec![9]), ..new() };
    let error = control::start(&node.data, node.allow(), wrong).unwrap_err();
    assert!(matches!(&error, ControlError::Invalid { field: "channels", text } if text.contains("1 to 2")), "{error}");
}

#[test]
fn what_is_not_there_is_not_found_and_what_is_refused_is_impossible() {
    let take = TestTake::begin(1);
    let node = Node::over(take.home.path());
    let known: TakeId = node.data.take_ids().unwrap()[0];
    let _fake = Fake::start(&node.data, |request| match request {
        Request::Status | Request::Meters => None,
        _ => Some(json!({"ok": false, "error": "it has no end"})),
    });
    let extend = |id| control::extend(&node.data, node.allow::<ExtendRecording>(), id, 60.0).unwrap_err();
    assert_eq!(extend(id()), ControlError::NotFound);
    assert_eq!(extend(known), ControlError::Impossible("it has no end".into()));
}

#[test]
fn without_capture_nothing_is_marked_and_the_text_says_what_that_means() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let error = control::mark(&node.data, node.allow::<MarkRecording>(), id(), "here").unwrap_err();
    assert!(matches!(&error, ControlError::NotRunning(text) if text.contains("try again")), "{error}");
    assert_eq!(node.acts(), [("recording.mark".to_owned(), Outcome::Failed)]);
}

#[test]
fn a_stopped_recording_is_a_whole_record_at_once() {
    let mut take = TestTake::begin(2);
    take.record(RATE as usize);
    take.close();
    let node = Node::over(take.home.path());
    let id = node.data.take_ids().unwrap()[0];
    let _fake = Fake::start(&node.data, |_| None);

    let info = control::stop(&node.data, node.allow::<StopRecording>(), id).unwrap();

    assert_eq!(info.state, TakeState::Ready);
    let facts = node.store().recording(id).unwrap().unwrap().facts;
    assert_eq!((facts.state, facts.duration_seconds, facts.channels.len()), (TakeState::Ready, 1.0, 2));
    assert!(facts.bytes > 2 * 3 * u64::from(RATE));
}

#[test]
fn an_extension_while_capture_is_down_is_in_the_order() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let bounded = NewRecording { duration_seconds: Some(600.0), ..new() };
    let id = control::start(&node.data, node.allow::<StartRecording>(), bounded).unwrap();
    assert_eq!(control::extend(&node.data, node.allow(), id, 60.0), Ok(660.0));
    assert_eq!(orders::load(&node.data.orders()).unwrap().get(id).unwrap().length_seconds, Some(660.0));
}
