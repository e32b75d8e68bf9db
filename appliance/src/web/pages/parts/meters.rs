//! Levels as a table: what a page shows before, or without, its script.

use serde::{Deserialize, Serialize};

use super::channels::{Named, expects_word};
use super::words;
use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame};

/// A meter frame older than this says nothing of the present, seconds.
pub const FRESH_S: f64 = 1.0;

/// All channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meters {
    /// One each.
    pub channels: Vec<Level>,
}

/// A channel's level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub label: String,
    /// What must be heard on it.
    pub expects: String,
    /// Highest sample, dBFS.
    pub peak_text: String,
    /// RMS, dBFS.
    pub rms_text: String,
    /// What it is doing, in a word or two.
    pub state: String,
}

impl Meters {
    /// Of the channels, with a frame that is fresh; without one there is no data, which is never a low level.
    pub fn of(channels: &[Named], fresh: Option<&MeterFrame>) -> Self {
        let level = |c: &Named| {
            let meter = fresh.and_then(|frame| frame.channels.iter().find(|meter| meter.number == c.number));
            Level {
                number: c.number,
                label: c.label.clone(),
                expects: expects_word(c.expects).to_owned(),
                peak_text: words::level(meter.and_then(|meter| meter.peak_dbfs)),
                rms_text: words::level(meter.and_then(|meter| meter.rms_dbfs)),
                state: meter.map_or("no data", state).to_owned(),
            }
        };
        Self { channels: channels.iter().map(level).collect() }
    }
}

fn state(meter: &ChannelMeter) -> &'static str {
    match meter.status {
        _ if !meter.is_connected => "no source",
        ChannelState::NoData => "no data",
        ChannelState::DigitalZero => "zero",
        ChannelState::Signal if meter.is_speech => "speech",
        ChannelState::Signal => "signal",
        ChannelState::Quiet => "quiet",
    }
}
