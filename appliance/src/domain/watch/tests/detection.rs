//! Every kind: how it happens, how fast it is told, that it is told once, and that it ends by its own recovery.

use super::*;
use crate::domain::{GapCause, TakeId};

struct Fault {
    kind: IncidentKind,
    target: Target,
    /// It is told within so many seconds.
    within_s: f64,
    /// And not before.
    not_before_s: f64,
    begin: fn(&mut Room),
    /// What ends it; none for an event, which is over when it has happened.
    end: Option<fn(&mut Room)>,
}

fn take() -> TakeId {
    TakeId::new(wall(0), [7; 10])
}

fn lose(room: &mut Room, cause: GapCause) {
    *room.capture().lost_frames.entry(cause).or_default() += 1024;
}

fn quiet(room: &mut Room) {
    let signal = room.signal(1);
    (signal.rms_dbfs, signal.is_speech) = (-60.0, false);
}

fn disk(room: &mut Room, state: DiskState) {
    room.seen.disk = Some(DiskFacts { state, hours_left: Some(300.0) });
}

fn fault(kind: IncidentKind, within_s: f64, begin: fn(&mut Room), end: fn(&mut Room)) -> Fault {
    Fault { kind, target: Target::Node, within_s, not_before_s: 0.0, begin, end: Some(end) }
}

/// Something that costs audio or truth in a moment.
fn event(kind: IncidentKind, begin: fn(&mut Room)) -> Fault {
    Fault { target: Target::Node, within_s: 1.0, not_before_s: 0.0, kind, begin, end: None }
}

/// Faults of channel 1.
fn on_channel(kind: IncidentKind, within_s: f64, begin: fn(&mut Room), end: fn(&mut Room)) -> Fault {
    Fault { target: Target::Channel(1), ..fault(kind, within_s, begin, end) }
}

/// Goals of the design, section 8: dead path 3 s; clipping, xrun, device gone 1 s; disk low 5 s.
fn channel_faults() -> Vec<Fault> {
    let pair = |kind, begin, end| Fault { target: Target::Pair(1, 2), ..fault(kind, 1.0, begin, end) };
    vec![
        Fault {
            not_before_s: 2.0,
            ..on_channel(IncidentKind::DeadPath, 3.0, |room| room.kill(1), |room| room.revive(1))
        },
        Fault {
            not_before_s: 60.0,
            ..on_channel(IncidentKind::QuietRoom, 61.0, quiet, |room| *room.signal(1) = speech())
        },
        Fault { target: Target::Channel(1), ..event(IncidentKind::Clipping, |room| room.signal(1).clipped_total += 3) },
        on_channel(
            IncidentKind::ClippedUpstream,
            2.0,
            |room| room.signal(1).is_clipped_upstream = true,
            |room| room.signal(1).is_clipped_upstream = false,
        ),
        on_channel(
            IncidentKind::Hum,
            1.0,
            |room| room.signal(1).hum_hz = Some(50),
            |room| room.signal(1).hum_hz = None,
        ),
        on_channel(
            IncidentKind::DcOffset,
            1.0,
            |room| room.signal(1).dc_offset = Some(-0.02),
            |room| room.signal(1).dc_offset = Some(0.0),
        ),
        on_channel(
            IncidentKind::PortGone,
            1.0,
            |room| {
                room.channel(1).is_connected = false;
                lose(room, GapCause::PortDisconnected);
            },
            |room| {
                room.channel(1).is_connected = true;
                lose(room, GapCause::PortDisconnected);
            },
        ),
        pair(
            IncidentKind::InvertedPair,
            |room| room.capture().pairs[0].inverted_s = 10.0,
            |room| room.capture().pairs[0].inverted_s = 0.0,
        ),
        pair(
            IncidentKind::DuplicatePair,
            |room| room.capture().pairs[0].duplicate_s = 10.0,
            |room| room.capture().pairs[0].duplicate_s = 0.0,
        ),
    ]
}

/// Of the server, and of frames on their way in.
fn input_faults() -> Vec<Fault> {
    vec![
        fault(
            IncidentKind::CaptureDown,
            1.0,
            |room| room.seen.capture = None,
            |room| room.seen.capture = well().capture,
        ),
        fault(
            IncidentKind::JackGone,
            1.0,
            |room| {
                room.capture().is_jack_connected = false;
                room.capture().frames = Frames::Stopped;
            },
            |room| {
                room.capture().is_jack_connected = true;
                room.capture().frames = Frames::Arriving;
                lose(room, GapCause::JackGone);
            },
        ),
        Fault {
            not_before_s: 0.5,
            ..fault(
                IncidentKind::NoFrames,
                1.0,
                |room| room.capture().frames = Frames::Stopped,
                |room| room.capture().frames = Frames::Arriving,
            )
        },
        event(IncidentKind::PortGone, |room| lose(room, GapCause::PortDisconnected)),
        event(IncidentKind::LostFrames, |room| lose(room, GapCause::Xrun)),
        event(IncidentKind::RateChanged, |room| lose(room, GapCause::RateChanged)),
        event(IncidentKind::LostFrames, |room| room.capture().xruns += 1),
        event(IncidentKind::Overload, |room| lose(room, GapCause::Overload)),
        event(IncidentKind::CaptureDown, |room| lose(room, GapCause::CaptureDown)),
        event(IncidentKind::JackGone, |room| lose(room, GapCause::JackGone)),
    ]
}

/// Of disk, clock and renderings.
fn machine_faults() -> Vec<Fault> {
    vec![
        event(IncidentKind::DiskStalled, |room| lose(room, GapCause::DiskStalled)),
        fault(
            IncidentKind::DiskStalled,
            1.0,
            |room| disk(room, DiskState::Stalled),
            |room| {
                disk(room, DiskState::Writing);
                lose(room, GapCause::DiskStalled);
            },
        ),
        fault(
            IncidentKind::DiskLow,
            5.0,
            |room| room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(3.0) }),
            |room| disk(room, DiskState::Writing),
        ),
        fault(
            IncidentKind::DiskFull,
            1.0,
            |room| room.seen.disk = Some(DiskFacts { state: DiskState::Full, hours_left: Some(0.0) }),
            |room| disk(room, DiskState::Writing),
        ),
        fault(
            IncidentKind::DiskError,
            1.0,
            |room| disk(room, DiskState::Failing),
            |room| disk(room, DiskState::Writing),
        ),
        Fault {
            not_before_s: 60.0,
            ..fault(
                IncidentKind::ClockUnset,
                61.0,
                |room| room.seen.clock.quality = ClockQuality::Unset,
                |room| room.seen.clock.quality = ClockQuality::Ntp,
            )
        },
        event(IncidentKind::ClockStepped, |room| {
            room.seen.clock = ClockFacts { steps: 1, last_step_s: -3.0, ..room.seen.clock }
        }),
        Fault {
            target: Target::Recording(take()),
            ..fault(
                IncidentKind::RenderFailed,
                1.0,
                |room| {
                    room.seen.failed_renders.insert(take());
                },
                |room| {
                    room.seen.failed_renders.clear();
                },
            )
        },
    ]
}

#[test]
fn every_kind_is_told_in_time_once_and_ends_by_itself() {
    let faults: Vec<Fault> = [channel_faults(), input_faults(), machine_faults()].into_iter().flatten().collect();
    for kind in IncidentKind::ALL {
        assert!(faults.iter().any(|fault| fault.kind == kind), "no fault makes {kind}");
    }
    for fault in faults {
        let (kind, target) = (fault.kind, fault.target);
        let mut room = Room::new();
        (fault.begin)(&mut room);
        let changes = room.run(fault.within_s);
        assert_eq!(said(&changes), [format!("+{kind} {target:?}")], "within {} s", fault.within_s);
        let Some((at_s, Change::Opened(incident))) = changes.first() else { panic!("{kind}: {changes:?}") };
        assert!(*at_s >= fault.not_before_s, "{kind} {target:?} after {at_s} s");
        assert_eq!(incident.severity, kind.rule().severity, "{kind}");
        assert!(incident.began_at <= incident.opened_at);
        let mut rest = room.told(5.0);
        if let Some(end) = fault.end {
            assert_eq!(rest, [""; 0], "{kind} lasts, and is one incident, not two");
            end(&mut room);
        }
        rest.extend(room.told(30.0));
        assert_eq!(rest, [format!("-{kind} {target:?} Recovered")]);
        assert_eq!(room.watch.open().count(), 0);
        assert_eq!(room.told(400.0), [""; 0], "{kind} is over");
    }
}

#[test]
fn every_kind_says_what_happened_what_it_means_and_what_to_do() {
    let mut titles = BTreeSet::new();
    for kind in IncidentKind::ALL {
        let text = kind.operator_text();
        assert!(titles.insert(text.title), "{}: two kinds of one title", text.title);
        assert!(!text.title.ends_with('.') && text.means.ends_with('.') && text.todo.ends_with('.'), "{kind}");
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
    }
}

#[test]
fn silence_just_short_of_its_limit_is_none() {
    let mut room = Room::new();
    for _ in 0..20 {
        room.kill(1);
        assert_eq!(room.told(1.9), [""; 0]);
        room.revive(1);
        assert_eq!(room.told(0.1), [""; 0]);
    }
    quiet(&mut room);
    assert_eq!(room.told(59.9), [""; 0]);
    *room.signal(1) = speech();
    assert_eq!(room.told(1.0), [""; 0]);
}

#[test]
fn silence_that_capture_knows_of_is_told_with_its_beginning() {
    let mut room = Room::new();
    room.signal(1).digital_zero_s = 30.0;
    let changes = room.look();
    let incident = changes[0].incident();
    let began_s = incident.opened_at.duration_since(incident.began_at).as_secs_f64();
    assert!((29.9..30.2).contains(&began_s), "{began_s}");
    assert_eq!(incident.measure.unwrap().to_string(), format!("for {began_s:.1} s"));
}

#[test]
fn a_spare_may_be_anything_a_feed_silent_and_a_lectern_not() {
    for (number, told) in
        [(1, vec!["+dead_path Channel(1)"]), (2, vec!["+dead_path Channel(2)"]), (3, vec![]), (4, vec![])]
    {
        let mut room = Room::new();
        room.kill(number);
        assert_eq!(room.told(100.0), told);
    }
    let mut room = Room::new();
    let spare = room.signal(4);
    (spare.rms_dbfs, spare.is_speech, spare.hum_hz, spare.dc_offset) = (-90.0, false, Some(60), Some(0.5));
    (spare.clipped_total, spare.is_clipped_upstream) = (1_000, true);
    assert_eq!(room.told(70.0), [""; 0]);
    room.channel(4).is_connected = false;
    lose(&mut room, GapCause::PortDisconnected);
    assert_eq!(room.told(70.0), [""; 0]);
    room.channel(4).is_connected = true;
    room.look();
    lose(&mut room, GapCause::PortDisconnected);
    assert_eq!(room.told(70.0), [""; 0]);
}

#[test]
fn a_quiet_mix_or_a_mic_that_need_not_speak_is_no_incident() {
    let mut room = Room::new();
    quiet(&mut room);
    room.channel(1).expects = Expects::Signal;
    *room.signal(2) = Signal { rms_dbfs: -60.0, is_speech: false, ..speech() };
    assert_eq!(room.told(300.0), [""; 0]);
}

#[test]
fn a_room_that_is_not_in_use_may_switch_its_microphones_off() {
    let mut room = Room::new();
    room.kill(1);
    assert_eq!(room.told(3.0), ["+dead_path Channel(1)"]);
    room.channel(1).expects = Expects::Nothing;
    assert_eq!(room.told(100.0), ["-dead_path Channel(1) NotExpected"]);
    room.channel(1).expects = Expects::Signal;
    assert_eq!(room.told(3.0), ["+dead_path Channel(1)"], "the booking begins, and it is still dead");
}

#[test]
fn a_channels_own_rule_counts_most() {
    let mut policy = Policy::default();
    let rule = Rule { severity: Severity::Info, after_s: 10.0, recover_s: 0.0 };
    policy.channels.insert(3, [(IncidentKind::DeadPath, Some(rule))].into());
    policy.channels.insert(1, [(IncidentKind::DeadPath, None)].into());
    policy.node.insert(IncidentKind::Hum, None);
    let stored = serde_json::to_string(&policy).unwrap();
    let mut room = Room::with(serde_json::from_str(&stored).unwrap());
    (1..=3).for_each(|number| room.kill(number));
    room.signal(2).hum_hz = Some(50);
    assert_eq!(room.told(9.0), ["+dead_path Channel(2)"]);
    assert_eq!(room.told(2.0), ["+dead_path Channel(3)"]);
}

#[test]
fn a_policy_that_cannot_be_is_refused_with_the_fields_name() {
    assert_eq!(Policy::default().check(), Ok(()));
    let with = |change: fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        policy.check().unwrap_err()
    };
    let wait = |policy: &mut Policy| {
        policy.node.insert(IncidentKind::Hum, Some(Rule { after_s: f64::NAN, ..IncidentKind::Hum.rule() }));
    };
    assert!(with(wait).starts_with("hum: after_s"));
    assert!(with(|p| p.thresholds.quiet_below_dbfs = f32::NAN).contains("quiet_below_dbfs"));
    assert!(with(|p| p.thresholds.quiet_hysteresis_db = -1.0).contains("quiet_hysteresis_db"));
    assert!(with(|p| p.thresholds.dc_part = 0.0).contains("dc_part"));
    assert!(with(|p| p.thresholds.pair_s = f64::INFINITY).contains("pair_s"));
    assert!(with(|p| p.thresholds.disk_hours = [1.0, 4.0, 24.0]).contains("disk_hours"));
}
