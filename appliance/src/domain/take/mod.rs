//! Takes: what was recorded, told as facts.
//!
//! A take's log is a list of [`Fact`]s, each true from the moment it was written. [`TakeInfo`] is what they add up to;
//! nobody stores it. Frames are counted from the take's frame 0 and include gaps and pauses: the timeline is always true.
//! How facts become lines in a file is `capture::take::log`'s business.

mod check;
mod info;

pub use check::{FRAMES_MAX, RATE_MAX};
pub use info::{Fold, TakeInfo, TakeState};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClockQuality, TakeId, order::StoredAs};

/// One line of a take's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The first fact of every take.
    Opened(Opened),
    /// A segment file was begun.
    SegmentOpened(SegmentOpened),
    /// A segment file is complete and says the truth of itself.
    SegmentClosed(SegmentClosed),
    /// The SHA-256 of a complete segment file, all its bytes.
    SegmentHashed { file: String, sha256: String },
    /// What was measured over a complete segment, one entry per channel of the take.
    SegmentMeasured { file: String, channels: Vec<Measured> },
    /// From this frame on frames are missing; a [`Fact::Gap`] that begins there says how many, once it is over.
    Missing { first_frame: u64, cause: GapCause },
    /// Frames are missing.
    Gap(Gap),
    /// Someone marked a place.
    Mark(Mark),
    /// From this frame on nothing is kept until [`Fact::Resumed`].
    Paused { frame: u64, at: Timestamp },
    /// Keeping goes on from this frame.
    Resumed { frame: u64, at: Timestamp },
    /// The planned end changed; `None` is "until stopped".
    Planned { frames: Option<u64> },
    /// The machine's clock was stepped; lengths and order do not depend on it.
    ClockStepped { frame: u64, seconds: f64, quality: ClockQuality },
    /// A take left open by a crash was made whole.
    Recovered { at: Timestamp, frames: u64, note: String },
    /// The last fact of a finished take.
    Closed { frames: u64, at: Timestamp, reason: CloseReason },
}

/// How a take began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The order's id.
    pub id: TakeId,
    /// The order's title.
    pub title: String,
    /// Frames per second, for the whole take.
    pub sample_rate: u32,
    /// Sample format of the segments.
    pub stored_as: StoredAs,
    /// Channels in file order.
    pub channels: Vec<TakeChannel>,
    /// Wall time of frame 0, by regression of the system clock against JACK frame time.
    pub started_at: Timestamp,
    /// IANA name of the room's time zone, for file headers.
    pub time_zone: String,
    /// How far `started_at` can be believed.
    pub clock_quality: ClockQuality,
    /// Frames kept from before the ordered start.
    pub pre_roll_frames: u64,
    /// The ordered start.
    pub ordered_start: Timestamp,
    /// How much later than ordered frame 0 lies, in seconds, when the audio was not there any more.
    pub late_seconds: f64,
    /// Planned length, pre-roll included; `None` is "until stopped".
    pub planned_frames: Option<u64>,
    /// Frames at which a segment ends and the next begins.
    pub segment_frames: u64,
    /// The machine.
    pub host: String,
    /// The program's version.
    pub version: String,
}

/// A channel of a take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeChannel {
    /// Capture's channel number, from 1.
    pub number: u16,
    /// Source port it was connected to when the take opened; empty if none.
    pub port: String,
    /// Name for people.
    pub label: String,
}

/// Where a segment begins, on every clock there is, so that a later process can count the frames between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentOpened {
    /// File name inside the take's folder.
    pub file: String,
    /// The take's frame at which the file begins.
    pub first_frame: u64,
    /// Wall time of that frame.
    pub at: Timestamp,
    /// Monotonic clock at that frame, microseconds since boot.
    pub mono_us: u64,
    /// JACK's own frame counter at that frame (it wraps at 2^32).
    pub jack_frame: u32,
    /// The boot in which `mono_us` counts.
    pub boot_id: String,
}

/// A complete segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentClosed {
    /// File name inside the take's folder.
    pub file: String,
    /// Frames in the file, filled gaps included.
    pub frames: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A segment as the world sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// File name inside the take's folder.
    pub file: String,
    /// The take's frame at which it begins.
    pub first_frame: u64,
    /// Frames in it; of an open one, those known to be there.
    pub frames: u64,
    /// SHA-256 of the file in hexadecimal; none while it is open or not yet hashed.
    pub sha256: Option<String>,
    /// Still being written, or left so by a crash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_open: bool,
}

/// Frames that are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First missing frame.
    pub first_frame: u64,
    /// How many are missing.
    pub frames: u64,
    /// Why.
    pub cause: GapCause,
    /// Channel numbers concerned; none means all of the take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<u16>>,
}

/// Why frames are missing. Each has one sentence for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The audio server lost frames.
    Xrun,
    /// Capture's own ring was full: the machine was too busy to take the audio away.
    Overload,
    /// The disk did not answer for longer than the buffer lasts.
    DiskStalled,
    /// The disk had no room.
    DiskFull,
    /// The disk refused to write.
    DiskError,
    /// The audio server was gone.
    JackGone,
    /// The audio server ran at another sample rate.
    RateChanged,
    /// The recorder itself was not running.
    CaptureDown,
    /// The source port of a channel was gone.
    PortDisconnected,
}

impl GapCause {
    /// Every cause, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Xrun,
        Self::Overload,
        Self::DiskStalled,
        Self::DiskFull,
        Self::DiskError,
        Self::JackGone,
        Self::RateChanged,
        Self::CaptureDown,
        Self::PortDisconnected,
    ];

    /// What happened, for an operator.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Xrun => "the audio server lost frames (xrun)",
            Self::Overload => "the machine was too busy to take the audio away",
            Self::DiskStalled => "the disk did not answer in time",
            Self::DiskFull => "the disk was full",
            Self::DiskError => "the disk refused to write",
            Self::JackGone => "the audio server was gone",
            Self::RateChanged => "the audio server ran at another sample rate",
            Self::CaptureDown => "the recorder was not running",
            Self::PortDisconnected => "the source port was gone",
        }
    }
}

/// A labelled point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The take's frame.
    pub frame: u64,
    /// Text for people.
    pub label: String,
}

/// A span that was not kept, for privacy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// First frame not kept.
    pub first_frame: u64,
    /// How many; of a pause that lasts, up to the last frame known.
    pub frames: u64,
}

/// Signal facts of one channel over a segment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Capture's channel number.
    pub number: u16,
    /// Highest sample, dBFS.
    pub peak_dbfs: f32,
    /// Highest true peak, dBTP.
    pub true_peak_dbfs: f32,
    /// RMS over all frames, dBFS (a full-scale sine reads -3.01).
    pub rms_dbfs: f32,
    /// Samples in runs at full scale.
    pub clipped: u64,
    /// Mean, as a part of full scale.
    pub dc: f32,
    /// Seconds of digital zero (all samples equal).
    pub digital_zero_seconds: f32,
}

/// Why a take ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Someone stopped it.
    Stopped,
    /// It reached its planned end.
    PlannedEnd,
    /// Its order had ended while the recorder was down; it was closed as found.
    EndedWhileDown,
}
