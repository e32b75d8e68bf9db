//! What is observed of a node at one moment: plain values that whoever watches fills in.
//!
//! Totals count up from some start; the watch takes differences, so a missed observation loses nothing. `None` is
//! always "not known", never "all is well".

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::policy::Role;
use crate::domain::{ClockQuality, GapCause, TakeId};

/// An instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds on the monotonic clock: for lengths.
    pub mono_us: u64,
    /// Wall time: for people.
    pub wall: Timestamp,
}

/// Everything that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// What capture says; none if it does not answer.
    pub capture: Option<CaptureFacts>,
    /// The disk of the takes; none if nobody could look.
    pub disk: Option<DiskFacts>,
    /// The wall clock.
    pub clock: ClockFacts,
    /// Recordings of which a rendition could not be made and was not given up.
    pub failed_renders: BTreeSet<TakeId>,
}

/// Whether frames come from the audio server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// They arrive and are measured.
    Arriving,
    /// They arrive, but measuring is switched off.
    NotMeasured,
    /// None arrive.
    Stopped,
}

/// What capture says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureFacts {
    /// The audio server is there.
    pub is_jack_connected: bool,
    /// Frames.
    pub frames: Frames,
    /// Frames lost since capture was started, by cause.
    pub lost_frames: BTreeMap<GapCause, u64>,
    /// Times the audio server reported lost frames, since capture was started.
    pub xruns: u64,
    /// Every channel that is watched.
    pub channels: Vec<ChannelFacts>,
    /// Channels that were named as pairs.
    pub pairs: Vec<PairFacts>,
}

/// What a channel should carry now, as schedules and recordings have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expects {
    /// Nothing: the room is not in use, its microphones may be off.
    Nothing,
    /// A live path, with or without anybody speaking.
    Signal,
    /// Somebody speaking, with pauses.
    Speech,
}

/// One channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelFacts {
    /// Channel number, from 1.
    pub number: u16,
    /// What it is for.
    pub role: Role,
    /// What it should carry now.
    pub expects: Expects,
    /// A source is connected.
    pub is_connected: bool,
    /// What was measured; none without frames.
    pub signal: Option<Signal>,
}

/// What was measured on a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// RMS of the last stretch, dBFS.
    pub rms_dbfs: f32,
    /// The channel's own noise floor, dBFS, once it is known.
    pub noise_floor_dbfs: Option<f32>,
    /// Somebody speaks.
    pub is_speech: bool,
    /// Seconds for which all samples have been equal, up to now.
    pub digital_zero_s: f64,
    /// Samples in runs of three or more at the same rail, since capture was started.
    pub clipped_total: u64,
    /// Tops are cut off below full scale.
    pub is_clipped_upstream: bool,
    /// Mean of the last ten seconds, as a part of full scale.
    pub dc_offset: Option<f32>,
    /// Mains hum that has been held for ten seconds: 50 or 60.
    pub hum_hz: Option<u16>,
}

/// Two channels that were named as a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PairFacts {
    /// The two channel numbers.
    pub channels: (u16, u16),
    /// Seconds for which one has been the other turned upside down.
    pub inverted_s: f64,
    /// Seconds for which one has been a copy of the other.
    pub duplicate_s: f64,
}

/// What the disk does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// It takes it.
    Writing,
    /// It has not answered for longer than buffers last.
    Stalled,
    /// It has no room.
    Full,
    /// It refuses.
    Failing,
}

/// The disk of the takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskFacts {
    /// What it does.
    pub state: DiskState,
    /// How long the room on it lasts; none while that is not known.
    pub hours_left: Option<f64>,
}

/// The wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockFacts {
    /// How far it can be believed.
    pub quality: ClockQuality,
    /// How often it was stepped since somebody counts.
    pub steps: u64,
    /// By how much it was stepped last, seconds.
    pub last_step_s: f64,
}
