//! What is measured over one segment: facts per channel, and the loudness of all its channels together.

use crate::audio::Loudness;
use crate::audio::facts::loudness::Programme;
use crate::audio::facts::{ChannelHop, Hop, Summary};
use crate::domain::take::{Measured, Opened};

/// Adds up the measured stretches of a segment. They lie on capture's own grid of 50 ms, so that up to one of them at either
/// end belongs to the neighbouring segment.
pub struct SegmentMeter {
    indices: Vec<usize>,
    numbers: Vec<u16>,
    rate: u32,
    summaries: Vec<Summary>,
    programme: Programme,
}

impl SegmentMeter {
    /// For the channels of a take. Every channel counts alike: they are microphones, not the places of a surround mix.
    pub fn new(opened: &Opened) -> Self {
        let numbers: Vec<u16> = opened.channels.iter().map(|channel| channel.number).collect();
        Self {
            indices: numbers.iter().map(|&number| usize::from(number).saturating_sub(1)).collect(),
            rate: opened.sample_rate,
            summaries: numbers.iter().map(|_| Summary::default()).collect(),
            programme: Programme::new(vec![1.0; numbers.len()]),
            numbers,
        }
    }

    /// Adds fifty milliseconds of all of capture's channels.
    pub fn add(&mut self, hop: &Hop) {
        let channels: Vec<&ChannelHop> = self.indices.iter().filter_map(|&index| hop.channels.get(index)).collect();
        for (summary, channel) in self.summaries.iter_mut().zip(&channels) {
            summary.add(channel, hop.frames);
        }
        self.programme.add_hop(channels, hop.frames);
    }

    /// Frames were lost: windows of loudness do not reach over them.
    pub fn gap(&mut self) {
        self.programme.reset_after_gap();
    }

    /// Loudness of the segment; nothing is set when nothing was measured.
    pub fn loudness(&self) -> Loudness {
        self.programme.loudness()
    }

    /// Facts per channel; none when nothing was measured.
    pub fn measured(&self) -> Option<Vec<Measured>> {
        if self.summaries.iter().all(|summary| summary.frames() == 0) {
            return None;
        }
        let all = self.numbers.iter().zip(&self.summaries);
        Some(all.map(|(&number, summary)| measured(number, summary, self.rate)).collect())
    }
}

fn measured(number: u16, summary: &Summary, rate: u32) -> Measured {
    Measured {
        number,
        peak_dbfs: summary.peak_dbfs(),
        true_peak_dbfs: summary.true_peak_dbfs().unwrap_or(summary.peak_dbfs()),
        rms_dbfs: summary.rms_dbfs(),
        clipped: summary.clipped(),
        dc: summary.dc(),
        digital_zero_seconds: (summary.flat_frames() as f64 / f64::from(rate.max(1))) as f32,
    }
}
