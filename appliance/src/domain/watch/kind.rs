//! Every kind of incident in one table: how grave, how fast, and what to tell the operator.
//!
//! Goals for "seen on the page" are in the design, section 8: dead path 3 s; clipping, xrun, device gone 1 s; disk
//! low 5 s. Waiting times are chosen to leave room for the way there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::policy::Rule;

/// How grave an incident is; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The recording suffers, or soon will.
    Warning,
    /// Audio is being lost, or is nothing but silence.
    Critical,
}

/// What can go wrong on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Capture does not answer.
    CaptureDown,
    /// The audio server is gone.
    JackGone,
    /// The audio server runs at another sample rate than open recordings.
    RateChanged,
    /// The audio server is there and delivers nothing.
    NoFrames,
    /// A channel's source port is gone.
    PortGone,
    /// All samples of a channel are equal.
    DeadPath,
    /// A live channel on which nobody speaks though somebody should.
    QuietRoom,
    /// Samples at the rail.
    Clipping,
    /// Tops cut off before they reached us.
    ClippedUpstream,
    /// Mains hum.
    Hum,
    /// The signal does not lie around zero.
    DcOffset,
    /// One channel of a pair is the other upside down.
    InvertedPair,
    /// One channel of a pair is a copy of the other.
    DuplicatePair,
    /// The audio server lost frames.
    LostFrames,
    /// The machine was too busy to take frames away.
    Overload,
    /// The disk did not answer in time.
    DiskStalled,
    /// The disk will be full soon.
    DiskLow,
    /// The disk is full.
    DiskFull,
    /// The disk refuses to write.
    DiskError,
    /// Nobody has set the clock.
    ClockUnset,
    /// The clock was stepped.
    ClockStepped,
    /// A rendition could not be made.
    RenderFailed,
}

/// What an operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorText {
    /// What happened.
    pub title: &'static str,
    /// What it means for the recording.
    pub means: &'static str,
    /// What to do.
    pub todo: &'static str,
}

impl IncidentKind {
    /// Every kind, the causes before what follows from them.
    pub const ALL: [Self; 22] = [
        Self::CaptureDown,
        Self::JackGone,
        Self::RateChanged,
        Self::NoFrames,
        Self::PortGone,
        Self::DeadPath,
        Self::QuietRoom,
        Self::Clipping,
        Self::ClippedUpstream,
        Self::Hum,
        Self::DcOffset,
        Self::InvertedPair,
        Self::DuplicatePair,
        Self::LostFrames,
        Self::Overload,
        Self::DiskStalled,
        Self::DiskLow,
        Self::DiskFull,
        Self::DiskError,
        Self::ClockUnset,
        Self::ClockStepped,
        Self::RenderFailed,
    ];

    /// The rule when no policy says otherwise: severity, seconds until it opens, good seconds until it closes.
    ///
    /// 10 s to close what is an event: xruns and overs come in bursts, and a burst is one incident. Pairs, hum and DC
    /// come from capture after it has seen them for ten seconds, so nothing is added.
    pub fn rule(self) -> Rule {
        use Severity::{Critical, Info, Warning};
        let (severity, after_s, recover_s) = match self {
            Self::CaptureDown => (Critical, 0.75, 1.0),
            Self::JackGone => (Critical, 0.5, 1.0),
            Self::RateChanged => (Critical, 0.0, 1.0),
            Self::NoFrames => (Critical, 0.5, 1.0),
            Self::PortGone => (Critical, 0.5, 1.0),
            Self::DeadPath => (Critical, 2.0, 1.0),
            Self::QuietRoom => (Warning, 60.0, 1.0),
            Self::Clipping => (Warning, 0.0, 10.0),
            Self::ClippedUpstream => (Warning, 1.0, 10.0),
            Self::Hum => (Warning, 0.0, 10.0),
            Self::DcOffset => (Warning, 0.0, 10.0),
            Self::InvertedPair => (Warning, 0.0, 10.0),
            Self::DuplicatePair => (Warning, 0.0, 10.0),
            Self::LostFrames => (Warning, 0.0, 10.0),
            Self::Overload => (Warning, 0.0, 10.0),
            Self::DiskStalled => (Critical, 0.0, 10.0),
            // Two seconds: the estimate jumps when a recording begins and its rate is not known yet.
            Self::DiskLow => (Warning, 2.0, 10.0),
            Self::DiskFull => (Critical, 0.0, 10.0),
            Self::DiskError => (Critical, 0.0, 10.0),
            // A minute: a machine that boots without a battery clock gets its time from the network by then.
            Self::ClockUnset => (Warning, 60.0, 1.0),
            Self::ClockStepped => (Info, 0.0, 10.0),
            Self::RenderFailed => (Warning, 0.0, 0.0),
        };
        Rule { severity, after_s, recover_s }
    }

    /// What to tell the operator.
    pub fn operator_text(self) -> &'static OperatorText {
        match self {
            Self::CaptureDown => &CAPTURE_DOWN,
            Self::JackGone => &JACK_GONE,
            Self::RateChanged => &RATE_CHANGED,
            Self::NoFrames => &NO_FRAMES,
            Self::PortGone => &PORT_GONE,
            Self::DeadPath => &DEAD_PATH,
            Self::QuietRoom => &QUIET_ROOM,
            Self::Clipping => &CLIPPING,
            Self::ClippedUpstream => &CLIPPED_UPSTREAM,
            Self::Hum => &HUM,
            Self::DcOffset => &DC_OFFSET,
            Self::InvertedPair => &INVERTED_PAIR,
            Self::DuplicatePair => &DUPLICATE_PAIR,
            Self::LostFrames => &LOST_FRAMES,
            Self::Overload => &OVERLOAD,
            Self::DiskStalled => &DISK_STALLED,
            Self::DiskLow => &DISK_LOW,
            Self::DiskFull => &DISK_FULL,
            Self::DiskError => &DISK_ERROR,
            Self::ClockUnset => &CLOCK_UNSET,
            Self::ClockStepped => &CLOCK_STEPPED,
            Self::RenderFailed => &RENDER_FAILED,
        }
    }
}

/// As stored: `dead_path`.
impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

const CAPTURE_DOWN: OperatorText = OperatorText {
    title: "The recorder does not answer",
    means: "Nothing may be recorded in this room. What was recorded so far is safe on disk.",
    todo: "It is started again by itself. If this stays, restart the node; use a second recorder until then.",
};
const JACK_GONE: OperatorText = OperatorText {
    title: "The audio server is gone",
    means: "No channel is heard. Recordings stay open and go on by themselves; the missing time is marked as a gap.",
    todo: "Check that the audio interface has power and its cable is plugged in.",
};
const RATE_CHANGED: OperatorText = OperatorText {
    title: "The audio server runs at another sample rate",
    means: "Recordings that are open cannot go on: a file has one rate. What is missing is marked as a gap.",
    todo: "Set the audio server back to its rate, or stop the recordings and start new ones.",
};
const NO_FRAMES: OperatorText = OperatorText {
    title: "No audio arrives",
    means: "The audio server runs but delivers nothing. The missing time is marked as a gap in every recording.",
    todo: "Unplug the audio interface and plug it in again; if that does not help, restart the node.",
};
const PORT_GONE: OperatorText = OperatorText {
    title: "A channel has lost its source",
    means: "This channel records silence, marked as a gap. The other channels are not touched.",
    todo: "Check the interface this channel belongs to. It is connected again by itself when it is back.",
};
const DEAD_PATH: OperatorText = OperatorText {
    title: "A channel is dead",
    means: "All its samples are equal: no microphone sounds like that. The recording has nothing on this channel.",
    todo: "Check the mute switch, the cable and the power of the microphone, and the routing of the mixer.",
};
const QUIET_ROOM: OperatorText = OperatorText {
    title: "Nobody is heard",
    means: "The channel is live, but only noise is recorded on it although somebody should be speaking.",
    todo: "Listen in. Check that the microphone is on, near the speaker, and not muted at the mixer.",
};
const CLIPPING: OperatorText = OperatorText {
    title: "A channel is too loud",
    means: "Its peaks are cut off in the recording and cannot be restored.",
    todo: "Turn down the input gain of this channel.",
};
const CLIPPED_UPSTREAM: OperatorText = OperatorText {
    title: "A channel arrives already distorted",
    means: "Its peaks were cut off before they reached the recorder and cannot be restored.",
    todo: "Turn down the gain at the microphone, the receiver or the mixer; the level here is not the cause.",
};
const HUM: OperatorText = OperatorText {
    title: "A channel hums",
    means: "Mains hum is recorded along with the speech.",
    todo: "Look for a damaged cable, a missing ground, or a power supply beside the microphone line.",
};
const DC_OFFSET: OperatorText = OperatorText {
    title: "A channel has a DC offset",
    means: "The signal does not lie around zero: it clips early and clicks at cuts. The audio is usable.",
    todo: "Have the input of the interface or the equipment before it checked.",
};
const INVERTED_PAIR: OperatorText = OperatorText {
    title: "Two channels cancel each other",
    means: "One is the other upside down: in a mono mix of this recording the voice would vanish.",
    todo: "Swap the polarity of one of the two, at its cable or at the mixer.",
};
const DUPLICATE_PAIR: OperatorText = OperatorText {
    title: "Two channels are the same",
    means: "One is a copy of the other: a source that should be on one of them is not recorded.",
    todo: "Check the routing of the mixer and the channel map of the room.",
};
const LOST_FRAMES: OperatorText = OperatorText {
    title: "Audio was lost on its way in",
    means: "The audio server dropped frames. Each place is marked as a gap; the time line stays true.",
    todo: "If it repeats, choose a longer period for the audio server and plug the interface directly into the node.",
};
const OVERLOAD: OperatorText = OperatorText {
    title: "The node is too busy",
    means: "Audio was dropped because nobody took it away in time. Each place is marked as a gap.",
    todo: "End other programs on this node and check that it is not too hot.",
};
const DISK_STALLED: OperatorText = OperatorText {
    title: "The disk does not keep up",
    means: "The buffers ran full and audio was given up. What is missing is marked as a gap; the rest is safe.",
    todo: "Stop large copies on this node. If it repeats, the disk is failing or too slow: replace it.",
};
const DISK_LOW: OperatorText = OperatorText {
    title: "The disk will be full soon",
    means: "Recordings go on until the room is used up, then they stop.",
    todo: "Delete or move recordings, or attach a larger disk.",
};
const DISK_FULL: OperatorText = OperatorText {
    title: "The disk is full",
    means: "Nothing more is recorded. Everything up to this moment is safe.",
    todo: "Free space or attach a disk: recording goes on by itself as soon as there is room.",
};
const DISK_ERROR: OperatorText = OperatorText {
    title: "The disk refuses to write",
    means: "What is spoken is not being recorded. What was written before is kept.",
    todo: "Start a second recorder, then have the disk checked and replaced.",
};
const CLOCK_UNSET: OperatorText = OperatorText {
    title: "The clock is not set",
    means: "Recordings are complete but carry a wrong time, and bookings do not start when they should.",
    todo: "Set the time, or give the node a time server it can reach.",
};
const CLOCK_STEPPED: OperatorText = OperatorText {
    title: "The clock was set",
    means: "Recordings are not touched: their length does not depend on the clock. The step is noted in them.",
    todo: "Nothing, if it happens once. If it repeats, check the time server.",
};
const RENDER_FAILED: OperatorText = OperatorText {
    title: "A rendition could not be made",
    means: "The recording itself is complete and safe; only a format made from it is missing.",
    todo: "Try again from the recording's page. If it fails again, look at the reason given there.",
};
