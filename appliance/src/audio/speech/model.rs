//! From frames to "someone speaks": what the last second's frames have in common, and what that is worth.
//!
//! Running means (time constant 0.5 s) of frame facts, and a small network whose constants `weights.rs` holds. They come
//! out of `cargo run --release --example speech_roc -- --train`, which says on which voices.

use super::frame::{BANDS, Frame};
use super::weights::{FEATURES, HIDDEN, INPUT_MEAN, INPUT_SCALE, OUTPUT_BIAS, OUTPUT_WEIGHTS, WEIGHTS};

/// Running means of frame facts forget with 0.5 s: 25 frames.
const RECENT: f32 = 0.04;
/// Band levels smoothed over 50 ms, and their local mean over 0.33 s: the difference keeps modulation of about
/// 0.5 to 6 Hz, where syllables are (Houtgast and Steeneken 1985; 4 Hz peak: Scheirer and Slaney 1997).
const FAST: f32 = 0.4;
const SLOW: f32 = 0.06;
/// Two frames belong to one pitch track when their lags differ less than this.
const PITCH_STEP: f32 = 0.12;
/// Above this a frame counts as voiced; noise alone stays below.
const VOICED: f32 = 0.08;

/// What one channel remembers of its last second.
#[derive(Clone, Default)]
pub(super) struct Second {
    fast: [f32; BANDS],
    slow: [f32; BANDS],
    last: Frame,
    means: [f32; FEATURES],
    is_warm: bool,
}

impl Second {
    /// Takes a frame in.
    pub fn add(&mut self, frame: &Frame) {
        if !self.is_warm {
            *self = Self { fast: frame.bands, slow: frame.bands, last: *frame, is_warm: true, ..Self::default() };
            self.means[12] = frame.flatness;
        }
        let facts = self.facts(frame);
        for (mean, fact) in self.means.iter_mut().zip(facts) {
            *mean += RECENT * (fact - *mean);
        }
        self.last = *frame;
    }

    /// The facts of this frame against the ones before; each line is one input of the network.
    fn facts(&mut self, frame: &Frame) -> [f32; FEATURES] {
        let (mut level, mut ripple) = (0.0, 0.0);
        let mut syllabic = [0.0f32; BANDS];
        for (n, syllabic) in syllabic.iter_mut().enumerate() {
            self.fast[n] += FAST * (frame.bands[n] - self.fast[n]);
            self.slow[n] += SLOW * (frame.bands[n] - self.slow[n]);
            *syllabic = self.fast[n] - self.slow[n];
            level += *syllabic;
            ripple += (frame.bands[n] - self.fast[n]).abs();
        }
        level /= BANDS as f32;
        let shape = syllabic.iter().map(|x| (x - level).abs()).sum::<f32>() / BANDS as f32;
        let depth = syllabic.iter().map(|x| x * x).sum::<f32>() / BANDS as f32;
        let tilt = (syllabic[..BANDS / 2].iter().sum::<f32>() - syllabic[BANDS / 2..].iter().sum::<f32>()).abs();
        let step = (frame.lag - self.last.lag).abs() / self.last.lag.max(1.0);
        let is_track = step < PITCH_STEP && frame.lag > 0.0;
        let tracked = if is_track { frame.voicing.min(self.last.voicing) } else { 0.0 };
        let is_voiced = is_track && tracked > VOICED;
        [
            level.abs(),
            shape,
            ripple / BANDS as f32,
            depth.sqrt(),
            tilt / BANDS as f32,
            frame.voicing,
            tracked,
            (frame.voicing - self.means[5]).abs(),
            frame.novelty,
            (frame.novelty - self.means[8]).abs(),
            frame.spread,
            if is_voiced { step } else { 0.0 },
            frame.flatness,
            (frame.flatness - self.means[12]).abs(),
        ]
    }

    /// The network's inputs, as they are.
    pub fn features(&self) -> [f32; FEATURES] {
        self.means
    }

    /// Probability that someone spoke in the last second, 0..1.
    pub fn score(&self) -> f32 {
        let mut inputs = self.means;
        for n in 0..FEATURES {
            inputs[n] = ((inputs[n] - INPUT_MEAN[n]) * INPUT_SCALE[n]).clamp(-4.0, 4.0);
        }
        let mut sum = OUTPUT_BIAS;
        for unit in 0..HIDDEN {
            let (bias, weights) = (WEIGHTS[unit][FEATURES], &WEIGHTS[unit][..FEATURES]);
            let drive = bias + inputs.iter().zip(weights).map(|(x, w)| x * w).sum::<f32>();
            sum += OUTPUT_WEIGHTS[unit] * squash(drive);
        }
        1.0 / (1.0 + (-sum).exp())
    }
}

/// A sigmoid between -1 and 1 without a transcendental function.
fn squash(x: f32) -> f32 {
    x / (1.0 + x.abs())
}
