//! Does someone speak, how loud, and how far above the room: per channel, from every sample, cheaply.
//!
//! Every sample is filtered to ~8 kHz (`decimate`). Every 20 ms a 48 ms spectrum (`frame`) is compared with a tracked
//! floor (long-term spectral divergence: Ramirez et al., Speech Communication 42, 2004); what is new is tested for
//! harmonics by autocorrelation of its compressed spectrum (Tolonen and Karjalainen, IEEE TSAP 8, 2000), 70-400 Hz.
//! Syllabic modulation, its spectral shape, pitch tracks and flatness over a second (`model`) go through a small network
//! (`weights`), trained by `examples/speech_roc.rs`. Not here: what silence means for an incident, loudness, hum.
//!
//! Limits, measured there: music and held notes with vibrato count as speech, always (never trained on); dial tones in
//! a tenth of clips (though trained on), keyboards in a few. A score says "voice-like", it does not say "a person".

mod decimate;
mod frame;
mod levels;
mod model;
#[cfg(test)]
#[allow(dead_code)] // The rest is for examples/speech_roc.rs.
pub(crate) mod signals;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod voices;
mod weights;

pub(crate) use decimate::{Decimator, History};

use frame::{Analyser, FRAME, Floor, Frame, HOP};
use levels::Levels;
use model::Second;

/// Speech begins when the score reaches the first and ends when it falls below the second.
const SPEECH_BEGINS: f32 = 0.8;
const SPEECH_ENDS: f32 = 0.35;
/// The score counts from half a second after a start or a gap: what its means hold before is the first frame.
const WARM_UP_FRAMES: u32 = 25;
/// Level below which a frame is silence whatever its shape, -90 dBFS as mean square.
const SILENCE: f32 = 1e-9;
/// During speech a frame with less news than this is a pause and counts as room.
const PAUSE_NOVELTY: f32 = 0.1;
/// A generation of the level histograms: the window is one to two of these.
const GENERATION_SECONDS: f32 = 300.0;

/// Measures speech on every channel of one stream. Decides nothing about alarms.
pub struct SpeechDetector {
    decimator: Decimator,
    analyser: Analyser,
    channels: Vec<Channel>,
    frame_seconds: f64,
    frames_per_generation: u32,
}

/// What the detector knows of one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeechFacts {
    /// Probability of speech in the last second, 0..1.
    pub score: f32,
    /// The same as a statement, with hysteresis (on at 0.8, off below 0.35).
    pub is_speech: bool,
    /// Seconds for which `is_speech` held since the start.
    pub speech_seconds: f64,
    /// P50 of speech frames minus P10 of other frames, dB, over the last 5 to 10 minutes, in the voice band 0.1 to 2.7 kHz.
    /// `None` until half a second of each was heard.
    pub snr_db: Option<f32>,
    /// P10 of frames without speech, dBFS (full-scale sine -3.01) in the voice band; `None` until half a second was heard.
    pub noise_dbfs: Option<f32>,
    /// Input frames pushed since speech last held; 0 while it holds, `None` before the first.
    pub last_speech_frames_ago: Option<u64>,
}

#[derive(Clone)]
struct Channel {
    history: History,
    samples: Vec<f32>,
    floor: Floor,
    second: Second,
    warm_up: u32,
    score: f32,
    is_speech: bool,
    speech_frames: u64,
    speech_levels: Levels,
    room_levels: Levels,
    generation_frames: u32,
    last_speech_frames_ago: Option<u64>,
}

impl SpeechDetector {
    /// For `channels` channels at `rate` frames per second, 16 kHz or more (below, it works on what there is).
    pub fn new(rate: u32, channels: usize) -> Self {
        let decimator = Decimator::new(rate);
        let decimated_rate = rate as f32 / decimator.factor() as f32;
        Self {
            frame_seconds: HOP as f64 / f64::from(decimated_rate),
            frames_per_generation: (GENERATION_SECONDS * decimated_rate / HOP as f32) as u32,
            analyser: Analyser::new(decimated_rate),
            channels: vec![Channel::new(); channels],
            decimator,
        }
    }

    /// Takes one block: one slice per channel, any length. Surplus slices are ignored.
    pub fn push(&mut self, planar: &[&[f32]]) {
        for (channel, block) in self.channels.iter_mut().zip(planar) {
            if let Some(ago) = &mut channel.last_speech_frames_ago {
                *ago += block.len() as u64;
            }
            self.decimator.push(&mut channel.history, block, &mut channel.samples);
            let mut start = 0;
            while start + FRAME <= channel.samples.len() {
                let frame = self.analyser.measure(&channel.samples[start..start + FRAME], &mut channel.floor);
                channel.take(&frame, self.frames_per_generation);
                start += HOP;
            }
            channel.samples.drain(..start);
        }
    }

    /// Frames were lost: what spans the gap is forgotten; floors, levels and counters go on.
    pub fn reset_after_gap(&mut self) {
        for channel in &mut self.channels {
            channel.history.clear();
            channel.samples.clear();
            channel.second = Second::default();
            channel.warm_up = 0;
        }
    }

    /// The facts of channel `n`, counted from 0; those of silence if there is no such channel.
    pub fn channel(&self, n: usize) -> SpeechFacts {
        let Some(channel) = self.channels.get(n) else {
            return SpeechFacts {
                score: 0.0,
                is_speech: false,
                speech_seconds: 0.0,
                snr_db: None,
                noise_dbfs: None,
                last_speech_frames_ago: None,
            };
        };
        let noise_dbfs = channel.room_levels.percentile(0.1);
        SpeechFacts {
            score: channel.score,
            is_speech: channel.is_speech,
            speech_seconds: channel.speech_frames as f64 * self.frame_seconds,
            snr_db: channel.speech_levels.percentile(0.5).zip(noise_dbfs).map(|(speech, noise)| speech - noise),
            noise_dbfs,
            last_speech_frames_ago: channel.last_speech_frames_ago,
        }
    }

    /// The network's inputs for channel `n`, for training (`examples/speech_roc.rs`).
    #[doc(hidden)]
    pub fn features(&self, n: usize) -> Vec<f32> {
        self.channels.get(n).map(|channel| channel.second.features().to_vec()).unwrap_or_default()
    }
}

impl Channel {
    fn new() -> Self {
        Self {
            history: History::default(),
            samples: Vec::with_capacity(2 * FRAME),
            floor: Floor::default(),
            second: Second::default(),
            warm_up: 0,
            score: 0.0,
            is_speech: false,
            speech_frames: 0,
            speech_levels: Levels::new(),
            room_levels: Levels::new(),
            generation_frames: 0,
            last_speech_frames_ago: None,
        }
    }

    /// Moves every fact on by one frame.
    fn take(&mut self, frame: &Frame, frames_per_generation: u32) {
        self.second.add(frame);
        self.warm_up = self.warm_up.saturating_add(1);
        let is_silent = frame.power < SILENCE;
        // A silent frame pulls the score down as fast as the means forget, without the network's opinion of nothing.
        self.score = match (is_silent, self.warm_up < WARM_UP_FRAMES) {
            (true, _) => self.score * 0.9,
            (false, true) => 0.0,
            (false, false) => self.second.score(),
        };
        self.is_speech = self.score >= if self.is_speech { SPEECH_ENDS } else { SPEECH_BEGINS };
        if self.is_speech {
            self.speech_frames += 1;
            self.last_speech_frames_ago = Some(0);
        }
        let is_pause = frame.novelty < PAUSE_NOVELTY;
        match (self.is_speech, is_pause) {
            (true, false) => self.speech_levels.add(frame.power),
            (true, true) | (false, _) => self.room_levels.add(frame.power),
        }
        self.generation_frames += 1;
        if self.generation_frames >= frames_per_generation {
            self.generation_frames = 0;
            self.speech_levels.turn();
            self.room_levels.turn();
        }
    }
}
