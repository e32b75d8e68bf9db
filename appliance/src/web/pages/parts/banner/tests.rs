//! What the banner may say, and what it may not.

use super::*;
use crate::capture::status::{ClockStatus, DiskStatus, JackStatus, LoadStatus};
use crate::domain::ClockQuality;
use crate::domain::watch::Role;

fn id() -> TakeId {
    "01993f4e-7c1a-7b52-9a2e-5b1f0c6d8e31".parse().unwrap()
}

fn status(recording: Vec<Running>) -> Status {
    Status {
        at: Timestamp::UNIX_EPOCH,
        version: String::new(),
        jack: JackStatus { is_connected: true, is_freewheel: false, sample_rate: 48_000 },
        channels: Vec::new(),
        recording,
        disk: DiskStatus {
            free_bytes: 1,
            hours_left: None,
            behind_seconds: 0.0,
            sync_ms: 1,
            last_error: String::new(),
        },
        clock: ClockStatus { quality: ClockQuality::Ntp, card_ppm: None },
        load: LoadStatus {
            callback_p50_us: None,
            callback_p999_us: None,
            ring_fill_max: 0.0,
            pre_roll_bytes: 0,
            xruns: 0,
        },
        lost_frames: BTreeMap::new(),
        trouble: Vec::new(),
        events: Vec::new(),
    }
}

fn take() -> Running {
    Running { id: id(), title: "Hearing".into(), frames: 48_000 * 60, is_paused: false, starved: None }
}

fn meter(number: u16, status: ChannelState, is_speech: bool) -> ChannelMeter {
    ChannelMeter {
        number,
        label: String::new(),
        status,
        is_connected: true,
        peak_dbfs: Some(-20.0),
        true_peak_dbfs: None,
        rms_dbfs: Some(-30.0),
        clipped: 0,
        clipped_total: 0,
        digital_zero_seconds: 0.0,
        quiet_seconds: 0.0,
        noise_floor_dbfs: None,
        dc_offset: None,
        hum_hz: None,
        is_clipped_upstream: false,
        speech_score: None,
        is_speech,
        snr_db: None,
    }
}

/// What the banner says of a status of this age, with two channels of which the second is `second`.
fn banner(status: Option<&Status>, age_s: f64, is_critical: bool, second: ChannelState) -> Banner {
    let channel = |number, label: &str| Named {
        number,
        label: label.into(),
        source: String::new(),
        role: Role::Mic,
        expects: Expects::Speech,
    };
    let frame = MeterFrame {
        at: Timestamp::UNIX_EPOCH,
        status: MeterStatus::Live,
        recording: 0,
        channels: vec![meter(1, ChannelState::Signal, true), meter(2, second, false)],
        trouble: Vec::new(),
        pairs: Vec::new(),
    };
    let told = BTreeMap::from([(id(), Told { title: "Hearing 24/113".into(), started_at: Timestamp::UNIX_EPOCH })]);
    Banner::of(&Seen {
        status,
        age_s,
        has_asked: true,
        frame: Some(&frame),
        may_hear: true,
        is_critical,
        told: &told,
        channels: &[channel(1, "Judge"), channel(2, "Witness")],
        clock: &Clock { now: Timestamp::UNIX_EPOCH, zone: jiff::tz::TimeZone::UTC },
    })
}

#[test]
fn recording_is_said_when_frames_reach_the_disk() {
    let said = banner(Some(&status(vec![take()])), 0.5, false, ChannelState::Quiet);
    assert_eq!((said.state.as_str(), said.title.as_str()), ("recording", "Hearing 24/113"));
    assert_eq!((said.elapsed_text.as_deref(), said.is_running), (Some("0:01:00"), true));
    assert_eq!(said.sound.word, "Sound on all 2 channels.");
    assert_eq!(said.sound.text, "Somebody speaks on Judge.");
}

#[test]
fn an_old_answer_is_no_recording() {
    let said = banner(Some(&status(vec![take()])), 2.0, false, ChannelState::Quiet);
    assert_eq!(said.state, "offline");
    assert_eq!(said.title, "Last known: recording Hearing 24/113");
    assert!(!said.is_running);
}

#[test]
fn neither_a_starved_take_nor_one_without_audio_is_called_recording() {
    let starved = status(vec![Running { starved: Some("disk full".into()), ..take() }]);
    let mut deaf = status(vec![take()]);
    deaf.jack.is_connected = false;
    for status in [starved, deaf] {
        let said = banner(Some(&status), 0.1, false, ChannelState::Quiet);
        assert_eq!(said.state, "trouble");
        assert!(said.word.starts_with("Not recording"), "{}", said.word);
        assert!(!said.is_running);
    }
}

#[test]
fn something_critical_is_trouble_and_a_pause_is_a_pause() {
    assert_eq!(banner(Some(&status(vec![take()])), 0.1, true, ChannelState::Quiet).word, "Recording, with trouble");
    let paused = status(vec![Running { is_paused: true, ..take() }]);
    let said = banner(Some(&paused), 0.1, false, ChannelState::Quiet);
    assert_eq!((said.state.as_str(), said.is_running), ("paused", false));
    assert_eq!(banner(Some(&status(vec![])), 0.1, false, ChannelState::Quiet).state, "idle");
    assert_eq!(banner(None, 0.0, false, ChannelState::Quiet).state, "offline");
}

#[test]
fn a_silent_channel_is_named() {
    let said = banner(Some(&status(vec![take()])), 0.1, false, ChannelState::DigitalZero);
    assert_eq!((said.sound.state.as_str(), said.sound.word.as_str()), ("part", "Sound on 1 of 2 channels."));
    assert_eq!(said.sound.text, "No sound on Witness.");
}
