//! Measuring: every sample of every channel, and the frames that meters show twenty times a second.
//!
//! A meter shows what was measured or says that there is nothing: no data is never shown as a level.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::audio::facts::silence::Silence;
use crate::audio::facts::{Analyser, FLOOR_DBFS, Hop, Options, hum::Mains};
use crate::audio::pairs::Pairs;
use crate::audio::speech::SpeechDetector;
use crate::capture::block::Block;
use crate::domain::take::TakeChannel;

/// Hops a second, and those kept beyond the pre-roll for a reader that is late.
const HOPS_PER_SECOND: f64 = 20.0;
const HOPS_SPARE: usize = 20;

/// A measured stretch and its place in the stream.
#[derive(Debug, Clone)]
pub struct PlacedHop {
    /// Stream frame at which it begins.
    pub first: u64,
    /// What was measured.
    pub hop: Arc<Hop>,
}

/// What can be said of the signal as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterStatus {
    /// Frames arrive and are measured.
    Live,
    /// No frames arrive.
    NoData,
    /// Measuring was switched off when capture was started.
    NotMeasured,
}

/// What one channel is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// There is a signal.
    Signal,
    /// There is only a little noise: a quiet room.
    Quiet,
    /// All samples are equal: a dead path.
    DigitalZero,
    /// Frames do not arrive, or nothing is connected to the channel.
    NoData,
}

/// One channel of a meter frame. Levels are dBFS of the last 50 ms; `-200` is "below anything"; none is "no data".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelMeter {
    /// Channel number, from 1.
    pub number: u16,
    /// Name for people.
    pub label: String,
    /// What it is doing.
    pub status: ChannelState,
    /// Whether a source is connected.
    pub is_connected: bool,
    /// Highest sample.
    pub peak_dbfs: Option<f32>,
    /// Highest true peak, dBTP.
    pub true_peak_dbfs: Option<f32>,
    /// RMS; a full-scale sine reads -3.01.
    pub rms_dbfs: Option<f32>,
    /// Samples in runs at full scale in these 50 ms.
    pub clipped: u32,
    /// Clipped samples since capture was started.
    pub clipped_total: u64,
    /// Seconds of digital zero up to now; 0 when there is a signal.
    pub digital_zero_seconds: f64,
    /// Seconds of quiet up to now.
    pub quiet_seconds: f64,
    /// Noise floor: the level that a tenth of the last hour's seconds stay below.
    pub noise_floor_dbfs: Option<f32>,
    /// Mean of the last ten seconds, as a part of full scale.
    pub dc_offset: Option<f32>,
    /// Mains hum held for ten seconds: 50 or 60.
    pub hum_hz: Option<u16>,
    /// Extremes cut off at the same level below full scale, in the last second: clipped before it reached us.
    pub is_clipped_upstream: bool,
    /// Probability that someone spoke in the last second, 0 to 1; music counts as speech.
    pub speech_score: Option<f32>,
    /// The same as a statement, with hysteresis.
    pub is_speech: bool,
    /// Speech over the noise between, dB, over the last minutes, in the voice band.
    pub snr_db: Option<f32>,
}

/// Two channels that were named as a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairMeter {
    /// The two channel numbers.
    pub channels: (u16, u16),
    /// Correlation of the last 400 ms at no delay, -1 to 1; none in silence.
    pub correlation: Option<f32>,
    /// How much later the second hears the same, frames; none if they do not hear the same.
    pub delay_frames: Option<i64>,
    /// How much louder the second is, dB.
    pub gain_db: Option<f32>,
    /// Seconds for which one has been the other turned upside down.
    pub inverted_seconds: f64,
    /// Seconds for which one has been a copy of the other.
    pub duplicate_seconds: f64,
}

/// One line of the meter stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterFrame {
    /// Wall time of the end of the measured stretch.
    pub at: Timestamp,
    /// What can be said as a whole.
    pub status: MeterStatus,
    /// Recordings that are being written.
    pub recording: usize,
    /// One per channel.
    pub channels: Vec<ChannelMeter>,
    /// What an operator should know at once: sentences, none when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
    /// One per pair that capture was told to compare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairMeter>,
}

/// See the module.
#[derive(Default)]
pub struct Meters {
    analyser: Option<Analyser>,
    speech: Option<SpeechDetector>,
    pairs: Option<Pairs>,
    pair_numbers: Vec<(u16, u16)>,
    /// Stream frame at which the next hop begins; none before the first block after a gap.
    next_hop: Option<u64>,
    /// Hops of the past, for takes that begin late: as long as the pre-roll.
    hops: VecDeque<PlacedHop>,
    hops_kept: usize,
    /// Rate and channels that the analyser is for.
    source: (u32, usize),
    fresh: Vec<Hop>,
}

impl Meters {
    /// Compares these pairs of channel numbers, once measuring begins.
    pub fn compare(&mut self, pairs: Vec<(u16, u16)>) {
        self.pair_numbers = pairs;
    }

    /// Begins anew for a source; what was measured over another rate or other channels is forgotten.
    pub fn begin(&mut self, rate: u32, channels: usize, settings: &Settings) {
        if settings.measures && self.source != (rate, channels) {
            self.analyser = Some(Analyser::new(rate, channels, Options { true_peak: true, hum: true }));
            self.speech = Some(SpeechDetector::new(rate, channels));
            let indices = |&(a, b): &(u16, u16)| (usize::from(a).saturating_sub(1), usize::from(b).saturating_sub(1));
            self.pairs = Some(Pairs::new(rate, &self.pair_numbers.iter().map(indices).collect::<Vec<_>>()));
            self.hops.clear();
            self.hops_kept = (settings.pre_roll_seconds * HOPS_PER_SECOND) as usize + HOPS_SPARE;
            self.source = (rate, channels);
        }
        self.gap();
    }

    /// Frames were lost: nothing that spans the gap is measured.
    pub fn gap(&mut self) {
        if let Some(analyser) = &mut self.analyser {
            analyser.reset_after_gap();
        }
        if let Some(speech) = &mut self.speech {
            speech.reset_after_gap();
        }
        if let Some(pairs) = &mut self.pairs {
            pairs.reset_after_gap();
        }
        self.next_hop = None;
    }

    /// Measures a block; returns the stretches it completed.
    pub fn measure(&mut self, block: &Block) -> Vec<PlacedHop> {
        let Some(analyser) = &mut self.analyser else { return Vec::new() };
        let planar: Vec<&[f32]> = block.planar().collect();
        analyser.push(&planar, &mut self.fresh);
        if let Some(speech) = &mut self.speech {
            speech.push(&planar);
        }
        if let Some(pairs) = self.pairs.as_mut().filter(|_| !self.pair_numbers.is_empty()) {
            pairs.push(&planar);
        }
        let mut next = self.next_hop.unwrap_or(block.first);
        let mut placed = Vec::with_capacity(self.fresh.len());
        for hop in self.fresh.drain(..) {
            let first = next;
            next += u64::from(hop.frames);
            placed.push(PlacedHop { first, hop: Arc::new(hop) });
        }
        self.next_hop = Some(next);
        for hop in &placed {
            if self.hops.len() >= self.hops_kept {
                self.hops.pop_front();
            }
            self.hops.push_back(hop.clone());
        }
        placed
    }

    /// Measured stretches that begin at or after a stream frame.
    pub fn since(&self, frame: u64) -> impl Iterator<Item = &PlacedHop> {
        self.hops.iter().filter(move |hop| hop.first >= frame)
    }

    /// The newest measured stretch.
    pub fn newest(&self) -> Option<&PlacedHop> {
        self.hops.back()
    }

    /// Whether anything is measured at all.
    pub fn is_measuring(&self) -> bool {
        self.analyser.is_some()
    }

    /// The meters of all pairs; none without frames.
    pub fn pairs(&self, is_live: bool) -> Vec<PairMeter> {
        let Some(pairs) = self.pairs.as_ref().filter(|_| is_live) else { return Vec::new() };
        let numbered = self.pair_numbers.iter().enumerate();
        numbered
            .map(|(index, &channels)| {
                let facts = pairs.facts(index);
                PairMeter {
                    channels,
                    correlation: facts.correlation,
                    delay_frames: facts.delay_frames,
                    gain_db: facts.gain_db,
                    inverted_seconds: facts.inverted_seconds,
                    duplicate_seconds: facts.duplicate_seconds,
                }
            })
            .collect()
    }

    /// The meters of all channels for one stretch; without one there is no data.
    pub fn channels(
        &self,
        channels: &[TakeChannel],
        hop: Option<&Hop>,
        is_connected: impl Fn(usize) -> bool,
    ) -> Vec<ChannelMeter> {
        let all = channels.iter().enumerate();
        all.map(|(index, channel)| match hop {
            Some(hop) => self.channel(index, channel, hop, is_connected(index)),
            None => silent(channel, is_connected(index)),
        })
        .collect()
    }

    fn channel(&self, index: usize, channel: &TakeChannel, hop: &Hop, is_connected: bool) -> ChannelMeter {
        if !is_connected {
            return silent(channel, false);
        }
        let (Some(level), Some(slow)) =
            (hop.channels.get(index), self.analyser.as_ref().and_then(|a| a.channel(index)))
        else {
            return silent(channel, true);
        };
        let speech = self.speech.as_ref().map(|speech| speech.channel(index));
        ChannelMeter {
            status: match slow.silence.state() {
                Silence::Signal => ChannelState::Signal,
                Silence::Quiet => ChannelState::Quiet,
                Silence::DigitalZero => ChannelState::DigitalZero,
            },
            peak_dbfs: Some(level.peak_dbfs().max(FLOOR_DBFS)),
            true_peak_dbfs: level.true_peak_dbfs(),
            rms_dbfs: Some(level.rms_dbfs(hop.frames)),
            clipped: level.clipped,
            clipped_total: slow.since_start.clipped(),
            digital_zero_seconds: slow.silence.digital_zero_seconds(),
            quiet_seconds: slow.silence.quiet_seconds(),
            noise_floor_dbfs: slow.noise.floor_dbfs(),
            dc_offset: slow.noise.dc_offset(),
            hum_hz: slow.hum.as_ref().and_then(|hum| hum.is_hum()).map(|mains| match mains {
                Mains::Hz50 => 50,
                Mains::Hz60 => 60,
            }),
            is_clipped_upstream: slow.flat_top.flat_top().is_some(),
            speech_score: speech.map(|speech| speech.score),
            is_speech: speech.is_some_and(|speech| speech.is_speech),
            snr_db: speech.and_then(|speech| speech.snr_db),
            ..silent(channel, true)
        }
    }
}

/// A channel of whose signal nothing is known.
fn silent(channel: &TakeChannel, is_connected: bool) -> ChannelMeter {
    ChannelMeter {
        number: channel.number,
        label: channel.label.clone(),
        status: ChannelState::NoData,
        is_connected,
        peak_dbfs: None,
        true_peak_dbfs: None,
        rms_dbfs: None,
        clipped: 0,
        clipped_total: 0,
        digital_zero_seconds: 0.0,
        quiet_seconds: 0.0,
        noise_floor_dbfs: None,
        dc_offset: None,
        hum_hz: None,
        is_clipped_upstream: false,
        speech_score: None,
        is_speech: false,
        snr_db: None,
    }
}
