//! From what capture says to incidents on the page and in the records.

use std::collections::BTreeSet;

use super::{Node, frame, status};
use crate::capture::engine::meters::{ChannelState, MeterStatus};
use crate::domain::TakeId;
use crate::domain::watch::{Expects, IncidentKind, Policy, Role, Severity, Target};
use crate::service::watch::{Desk, IncidentKeeper, Watcher};
use crate::service::{Failures, Worker};
use crate::store::Edits;
use crate::store::incidents::Handled;
use crate::store::rooms::ChannelLabel;

/// A node that records one take on both channels, and its watch.
struct Watched {
    node: Node,
    id: TakeId,
    failures: Failures,
    watcher: Watcher,
    keeper: IncidentKeeper,
    status: Option<crate::capture::status::Status>,
    frame: Option<crate::capture::engine::meters::MeterFrame>,
    _home: tempfile::TempDir,
}

impl Watched {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let node = Node::over(home.path());
        let id = TakeId::new(node.now.wall, [1; 10]);
        let failures = Failures::default();
        let desk = Desk::open(&node.store(), node.now.wall);
        let watcher = Watcher::new(desk.clone(), node.live.clone(), failures.clone(), node.data.clone());
        let keeper = IncidentKeeper::new(desk, node.store());
        let (status, frame) = (Some(status(&[id])), Some(frame(1)));
        Self { node, id, failures, watcher, keeper, status, frame, _home: home }
    }

    /// The node is started again over the same records.
    fn restart(&mut self) {
        let desk = Desk::open(&self.node.store(), self.node.now.wall);
        self.watcher =
            Watcher::new(desk.clone(), self.node.live.clone(), self.failures.clone(), self.node.data.clone());
        self.keeper = IncidentKeeper::new(desk, self.node.store());
    }

    /// So long, twenty looks a second; capture says the same all the time.
    fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds * 20.0) as u32 {
            self.node.pass(50);
            for meter in self.frame.iter_mut().flat_map(|frame| &mut frame.channels) {
                if meter.status == ChannelState::DigitalZero {
                    meter.digital_zero_seconds += 0.05;
                }
            }
            self.node.live.set_status(self.status.clone(), self.node.now.mono_us);
            self.node.live.set_meters(self.frame.clone(), self.node.now.mono_us);
            self.watcher.step(self.node.now).unwrap();
        }
        self.keeper.step(self.node.now).unwrap();
        // What people did reaches the watcher with its next look.
        self.watcher.step(self.node.now).unwrap();
    }

    fn open(&self) -> BTreeSet<(IncidentKind, Target)> {
        self.node.live.incidents().iter().map(|known| (known.incident.kind, known.incident.target)).collect()
    }

    fn kill(&mut self, channel: usize) {
        self.frame.as_mut().unwrap().channels[channel - 1].status = ChannelState::DigitalZero;
    }

    fn change(&self, edit: impl FnOnce(&mut Edits)) {
        let mut edits = Edits::by("test");
        edit(&mut edits);
        self.node.store().commit(edits, self.node.moment()).unwrap();
    }
}

fn dead(channel: u16) -> BTreeSet<(IncidentKind, Target)> {
    [(IncidentKind::DeadPath, Target::Channel(channel))].into()
}

#[test]
fn a_dead_channel_is_an_incident_on_the_page_and_in_the_records_until_it_lives() {
    let mut room = Watched::new();
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new());

    room.kill(2);
    room.run(3.0);
    assert_eq!(room.open(), dead(2));
    let stored = room.node.store().open_incidents(None).unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].id, room.node.live.incidents()[0].id);

    room.frame = Some(frame(1));
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new());
    assert!(room.node.store().open_incidents(None).unwrap().is_empty());
    assert!(room.node.store().incident(stored[0].id).unwrap().unwrap().incident.closed.is_some());
}

#[test]
fn a_room_that_is_not_recorded_or_off_the_record_owes_nothing() {
    let mut room = Watched::new();
    room.kill(1);
    room.status = Some(status(&[]));
    room.run(10.0);
    assert_eq!(room.open(), BTreeSet::new());
    let mut paused = status(&[room.id]);
    paused.recording[0].is_paused = true;
    room.status = Some(paused);
    room.run(10.0);
    assert_eq!(room.open(), BTreeSet::new());
}

#[test]
fn an_incident_goes_on_across_a_restart_of_the_node() {
    let mut room = Watched::new();
    room.kill(1);
    room.run(3.0);
    let before = room.node.live.incidents()[0].clone();
    room.restart();
    room.run(1.0);
    assert_eq!(room.node.live.incidents()[0].id, before.id);
    room.frame = Some(frame(1));
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new());
    assert_eq!(room.node.store().incidents(None, None, 10).unwrap().items.len(), 1);
}

#[test]
fn what_people_did_about_it_is_heeded_also_after_a_restart() {
    let mut room = Watched::new();
    room.kill(1);
    room.run(3.0);
    let id = room.node.live.incidents()[0].id;
    let handled = |until| Handled { by: "Anna".into(), at: room.node.now.wall, until, note: String::new() };
    let (seen, later) = (handled(None), handled(Some(room.node.now.wall + jiff::SignedDuration::from_hours(1))));

    room.change(|edits| edits.put_acknowledged(id, &seen));
    room.run(0.5);
    let known = room.node.live.incidents()[0].clone();
    assert!(known.incident.is_acknowledged);
    assert_eq!(known.handling.acknowledged, Some(seen.clone()));

    room.change(|edits| edits.put_suppressed(id, &later));
    room.run(0.5);
    assert_eq!(room.node.live.incidents()[0].incident.suppressed_until, later.until);
    room.change(|edits| edits.put_resolved(id, &seen));
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new(), "it is suppressed and does not open again");
    room.restart();
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new());
}

#[test]
fn labels_and_policy_are_taken_up_while_it_runs() {
    let mut room = Watched::new();
    room.run(1.0);
    let spare = ChannelLabel { number: 1, label: "Spare".into(), role: Role::Spare, expects: Expects::Signal };
    let node = room.node.store().node();
    room.change(|edits| edits.put_channels(node, &[spare]));
    room.kill(1);
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new(), "a spare may be dead");
    let mut policy = Policy::default();
    policy.node.insert(IncidentKind::DeadPath, None);
    room.change(|edits| edits.put_setting("watch_policy", &policy));
    room.kill(2);
    room.run(5.0);
    assert_eq!(room.open(), BTreeSet::new(), "the policy switched it off");
}

#[test]
fn speech_is_expected_only_where_people_said_so() {
    let mut room = Watched::new();
    let lectern = ChannelLabel { number: 1, label: "Lectern".into(), role: Role::Mic, expects: Expects::Speech };
    let node = room.node.store().node();
    room.change(|edits| edits.put_channels(node, &[lectern]));
    room.run(1.0);
    for meter in &mut room.frame.as_mut().unwrap().channels {
        (meter.is_speech, meter.rms_dbfs) = (false, Some(-64.0));
    }
    room.run(70.0);
    assert_eq!(room.open(), [(IncidentKind::QuietRoom, Target::Channel(1))].into());
}

#[test]
fn a_capture_that_does_not_answer_is_told_and_its_channels_are_not() {
    let mut room = Watched::new();
    room.run(1.0);
    (room.status, room.frame) = (None, None);
    room.run(3.0);
    assert_eq!(room.open(), [(IncidentKind::CaptureDown, Target::Node)].into());
    assert_eq!(room.node.live.incidents()[0].incident.severity, Severity::Critical);
}

#[test]
fn a_disk_that_takes_nothing_is_told_while_it_lasts_and_an_old_error_is_not() {
    let mut room = Watched::new();
    room.run(1.0);
    assert_eq!(room.open(), BTreeSet::new(), "`last_error` never clears");
    room.status.as_mut().unwrap().recording[0].starved = Some(crate::domain::GapCause::DiskFull.describe().into());
    room.run(1.0);
    assert_eq!(room.open(), [(IncidentKind::DiskFull, Target::Node)].into());
    room.status = Some(status(&[room.id]));
    room.run(15.0);
    assert_eq!(room.open(), BTreeSet::new());
}

#[test]
fn lost_frames_a_failed_rendition_and_a_clock_that_was_set_are_told() {
    let mut room = Watched::new();
    room.run(1.0);
    let lost = crate::domain::GapCause::Xrun.describe().to_owned();
    room.status.as_mut().unwrap().lost_frames.insert(lost, 1_024);
    room.failures.failed(room.id, "no room");
    room.node.now.wall += jiff::SignedDuration::from_secs(60);
    room.run(0.5);
    assert_eq!(
        room.open(),
        [
            (IncidentKind::LostFrames, Target::Node),
            (IncidentKind::ClockStepped, Target::Node),
            (IncidentKind::RenderFailed, Target::Recording(room.id)),
        ]
        .into()
    );
    room.failures.mended(room.id);
    room.run(0.5);
    assert!(!room.open().iter().any(|(kind, _)| *kind == IncidentKind::RenderFailed));
}

#[test]
fn frames_that_cease_are_told_but_not_where_nothing_is_connected() {
    let mut room = Watched::new();
    room.run(1.0);
    let frame = room.frame.as_mut().unwrap();
    frame.status = MeterStatus::NoData;
    frame.channels.iter_mut().for_each(|meter| (meter.status, meter.rms_dbfs) = (ChannelState::NoData, None));
    room.run(2.0);
    assert_eq!(room.open(), [(IncidentKind::NoFrames, Target::Node)].into());
    let frame = room.frame.as_mut().unwrap();
    frame.channels.iter_mut().for_each(|meter| meter.is_connected = false);
    room.run(5.0);
    let gone = |number| (IncidentKind::PortGone, Target::Channel(number));
    assert_eq!(room.open(), [gone(1), gone(2)].into());
}
