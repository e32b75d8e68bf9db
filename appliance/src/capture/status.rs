//! What capture says of itself when asked: the state of every loop, and its last error.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::engine::Event;
use crate::domain::take::TakeChannel;
use crate::domain::{ClockQuality, TakeId};

/// The whole state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// When this was said.
    pub at: Timestamp,
    /// The program's version.
    pub version: String,
    /// The audio server.
    pub jack: JackStatus,
    /// Channels and their sources.
    pub channels: Vec<ChannelStatus>,
    /// Takes being recorded.
    pub recording: Vec<Running>,
    /// The disk of the takes.
    pub disk: DiskStatus,
    /// The clock.
    pub clock: ClockStatus,
    /// What the recording path costs.
    pub load: LoadStatus,
    /// Frames lost since capture was started, by cause.
    pub lost_frames: std::collections::BTreeMap<String, u64>,
    /// What an operator should know at once: sentences, none when all is well.
    pub trouble: Vec<String>,
    /// What happened lately, oldest first.
    pub events: Vec<Event>,
}

/// The audio server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JackStatus {
    /// Frames arrive.
    pub is_connected: bool,
    /// It runs as fast as it can.
    pub is_freewheel: bool,
    /// Frames per second; 0 before the first connection.
    pub sample_rate: u32,
}

/// A channel and its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Number, source port and name.
    #[serde(flatten)]
    pub channel: TakeChannel,
    /// Whether a source is connected now.
    pub is_connected: bool,
}

/// A take being recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: TakeId,
    /// Its title.
    pub title: String,
    /// Frames of its timeline so far.
    pub frames: u64,
    /// Nothing is kept at present, on purpose.
    pub is_paused: bool,
    /// Why nothing is written, if the disk takes nothing.
    pub starved: Option<String>,
}

/// The disk of the takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Room, bytes.
    pub free_bytes: u64,
    /// How long that lasts for what is recorded now, or for all channels if nothing is; hours.
    pub hours_left: Option<f64>,
    /// How far the disk is behind, seconds of audio.
    pub behind_seconds: f64,
    /// How long the last round of syncing took, milliseconds.
    pub sync_ms: u64,
    /// The last thing that failed; empty if nothing did.
    pub last_error: String,
}

/// The clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClockStatus {
    /// How far wall times can be believed.
    pub quality: ClockQuality,
    /// How far the sound card is off the kernel's clock, parts per million.
    pub card_ppm: Option<f64>,
}

/// What the recording path costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadStatus {
    /// Callback duration that half of all stay below, microseconds.
    pub callback_p50_us: Option<f64>,
    /// Callback duration that 999 of 1000 stay below, microseconds.
    pub callback_p999_us: Option<f64>,
    /// Part of the ring in use, highest so far.
    pub ring_fill_max: f32,
    /// Bytes of samples kept as pre-roll.
    pub pre_roll_bytes: u64,
    /// Times the audio server reported lost frames.
    pub xruns: u64,
}
