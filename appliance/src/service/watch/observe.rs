//! From what capture and the records say to what the watch judges. Pure: everything comes in, nothing is asked.
//!
//! What a channel should carry: nothing while it is not being recorded, for a room that is not in use may have its
//! microphones off; while it is, a live path, and somebody speaking only where people said so. A channel of which nobody
//! said anything is a microphone. A recording that is paused is off the record: nothing is expected of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame, MeterStatus};
use crate::capture::status::Status;
use crate::domain::watch::{
    CaptureFacts, ChannelFacts, ClockFacts, DiskFacts, DiskState, Expects, Frames, Observation, PairFacts, Role, Signal,
};
use crate::domain::{GapCause, TakeId};
use crate::store::rooms::ChannelLabel;

/// A state older than this is none: an answer is due every second and may take one and a half.
const STATUS_S: f64 = 2.75;
/// Meters older than this say nothing of the present: they come twenty times a second, also without frames.
const METERS_S: f64 = 1.0;
/// As far as the disk may be behind before capture gives audio up (`capture::tape`), seconds.
const BEHIND_S: f64 = crate::capture::tape::BACKLOG_SECONDS_MAX as f64;

/// Channels that are being kept now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// All of them, as far as anybody knows.
    pub is_all: bool,
    /// These.
    pub channels: BTreeSet<u16>,
}

/// Everything that is looked at; ages in seconds.
pub(super) struct Inputs<'a> {
    pub status: Option<(&'a Status, f64)>,
    pub frame: Option<(&'a MeterFrame, f64)>,
    pub labels: &'a [ChannelLabel],
    pub recorded: &'a Recorded,
    pub clock: ClockFacts,
    pub failed_renders: BTreeSet<TakeId>,
}

/// One look at everything.
pub(super) fn observation(inputs: Inputs<'_>) -> Observation {
    let status = inputs.status.filter(|(_, age)| *age <= STATUS_S).map(|(status, _)| status);
    let frame = inputs.frame.filter(|(_, age)| *age <= METERS_S).map(|(frame, _)| frame);
    Observation {
        capture: status.map(|status| capture(status, frame, &inputs)),
        disk: status.map(disk),
        clock: inputs.clock,
        failed_renders: inputs.failed_renders,
    }
}

fn capture(status: &Status, frame: Option<&MeterFrame>, inputs: &Inputs<'_>) -> CaptureFacts {
    let cause = |text: &str| GapCause::ALL.into_iter().find(|cause| cause.describe() == text);
    let lost: BTreeMap<GapCause, u64> =
        status.lost_frames.iter().filter_map(|(text, &frames)| Some((cause(text)?, frames))).collect();
    let channels = match frame {
        Some(frame) => frame.channels.iter().map(|meter| channel(meter, inputs)).collect(),
        None => status.channels.iter().map(|c| unheard(c.channel.number, c.is_connected, inputs)).collect(),
    };
    let pair = |pair: &crate::capture::engine::meters::PairMeter| PairFacts {
        channels: pair.channels,
        inverted_s: pair.inverted_seconds,
        duplicate_s: pair.duplicate_seconds,
    };
    CaptureFacts {
        is_jack_connected: status.jack.is_connected,
        frames: frames(frame),
        lost_frames: lost,
        xruns: status.load.xruns,
        channels,
        pairs: frame.map(|frame| frame.pairs.iter().map(pair).collect()).unwrap_or_default(),
    }
}

/// A server without a source delivers zeros, and capture calls that no data: that channels have no source is told of them.
fn frames(frame: Option<&MeterFrame>) -> Frames {
    match frame.map(|frame| (frame.status, frame.channels.iter().any(|channel| channel.is_connected))) {
        Some((MeterStatus::Live, _)) => Frames::Arriving,
        Some((MeterStatus::NoData, true)) => Frames::Stopped,
        // Nobody hears the meters: of frames nothing is known.
        Some((MeterStatus::NoData, false) | (MeterStatus::NotMeasured, _)) | None => Frames::NotMeasured,
    }
}

fn channel(meter: &ChannelMeter, inputs: &Inputs<'_>) -> ChannelFacts {
    let signal = meter.rms_dbfs.filter(|_| meter.status != ChannelState::NoData).map(|rms_dbfs| Signal {
        rms_dbfs,
        noise_floor_dbfs: meter.noise_floor_dbfs,
        is_speech: meter.is_speech,
        digital_zero_s: meter.digital_zero_seconds,
        clipped_total: meter.clipped_total,
        is_clipped_upstream: meter.is_clipped_upstream,
        dc_offset: meter.dc_offset,
        hum_hz: meter.hum_hz,
    });
    ChannelFacts { signal, ..unheard(meter.number, meter.is_connected, inputs) }
}

fn unheard(number: u16, is_connected: bool, inputs: &Inputs<'_>) -> ChannelFacts {
    let label = inputs.labels.iter().find(|label| label.number == number);
    let is_recorded = inputs.recorded.is_all || inputs.recorded.channels.contains(&number);
    ChannelFacts {
        number,
        role: label.map_or(Role::Mic, |label| label.role),
        expects: match (is_recorded, label) {
            (false, _) => Expects::Nothing,
            (true, Some(label)) => label.expects,
            (true, None) => Expects::Signal,
        },
        is_connected,
        signal: None,
    }
}

/// From what running takes say of the disk now; what failed last in `Status` stays after a recovery and says nothing.
fn disk(status: &Status) -> DiskFacts {
    let is_starved = |cause: GapCause| {
        status.recording.iter().filter_map(|take| take.starved.as_deref()).any(|text| text == cause.describe())
    };
    let state = if is_starved(GapCause::DiskError) {
        DiskState::Failing
    } else if is_starved(GapCause::DiskFull) {
        DiskState::Full
    } else if is_starved(GapCause::DiskStalled) || status.disk.behind_seconds >= BEHIND_S {
        DiskState::Stalled
    } else {
        DiskState::Writing
    };
    DiskFacts { state, hours_left: status.disk.hours_left }
}
