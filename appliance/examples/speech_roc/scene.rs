//! A voice in a room that already makes its noise: what the detector is trained and judged on.
//!
//! SNR is active speech level over noise level, both below 4 kHz, whatever the rate: hiss above the voice band would
//! flatter the detector.

use crate::signals::{self, Chance, Kind, linear, rms};
use rakkr::audio::speech::SpeechDetector;

/// Frames of the detector's block in the examples: 20 ms.
pub const STEP_SECONDS: f32 = 0.02;

/// One stream with what is true of it.
pub struct Scene {
    pub rate: u32,
    pub mix: Vec<f32>,
    /// Per 20 ms: does the clean voice sound here?
    pub truth: Vec<bool>,
}

/// What surrounds a voice.
#[derive(Clone, Copy)]
pub struct Room {
    pub kind: Kind,
    pub snr_db: f32,
    /// RMS of the voice, dBFS; without a voice, what it would be.
    pub level_dbfs: f32,
    pub lead_seconds: f32,
    pub tail_seconds: f32,
    pub seed: u64,
}

impl Scene {
    /// `voice` (may be all zeros) in `room` at `rate`.
    pub fn new(voice: &[f32], rate: u32, room: Room) -> Self {
        let (lead, tail) = ((room.lead_seconds * rate as f32) as usize, (room.tail_seconds * rate as f32) as usize);
        let frames = lead + voice.len() + tail;
        let mut mix = signals::make(room.kind, rate, frames, room.seed);
        // Tones and hum lie in the band as they are; noise is measured where the voice is.
        let in_band = rms(&below_4k(&mix[..mix.len().min(4 * rate as usize)], rate));
        let target = linear(room.level_dbfs);
        mix.iter_mut().for_each(|x| *x *= target * linear(-room.snr_db) / in_band.max(1e-9));
        let (active, mut truth) = activity(voice, rate);
        let gain = if active > 0.0 { target / active } else { 0.0 };
        mix[lead..lead + voice.len()].iter_mut().zip(voice).for_each(|(x, v)| *x += gain * v);
        let steps = |seconds: f32| (seconds / STEP_SECONDS) as usize;
        truth.splice(0..0, std::iter::repeat_n(false, steps(room.lead_seconds)));
        truth.extend(std::iter::repeat_n(false, steps(room.tail_seconds)));
        Self { rate, mix, truth }
    }

    /// Runs a detector over the stream and shows it to `look` after every 20 ms, with the step's number.
    pub fn run(&self, mut look: impl FnMut(&SpeechDetector, usize)) {
        let mut detector = SpeechDetector::new(self.rate, 1);
        for (n, block) in self.mix.chunks((self.rate as f32 * STEP_SECONDS) as usize).enumerate() {
            detector.push(&[block]);
            look(&detector, n);
        }
    }
}

/// A dry voice in a room: three echoes and a diffuse tail of 0.2 to 0.6 s, `wet` (0..1) of it.
pub fn reverberant(voice: &[f32], rate: u32, chance: &mut Chance) -> Vec<f32> {
    let mut wet = vec![0.0f32; voice.len()];
    let seconds = chance.between(0.2, 0.6);
    for comb in [0.0297, 0.0371, 0.0411, 0.0437] {
        let delay = ((comb * chance.between(0.9, 1.1)) * rate as f32) as usize;
        let feedback = 10f32.powf(-3.0 * comb / seconds);
        let mut line = vec![0.0f32; voice.len()];
        for n in 0..voice.len() {
            line[n] = voice[n] + if n >= delay { feedback * line[n - delay] } else { 0.0 };
            wet[n] += 0.25 * line[n];
        }
    }
    let share = chance.between(0.1, 0.7);
    voice.iter().zip(&wet).map(|(dry, wet)| (1.0 - share) * dry + share * wet).collect()
}

/// RMS of the frames within 30 dB of the loudest, and which 20 ms they are.
pub fn activity(voice: &[f32], rate: u32) -> (f32, Vec<bool>) {
    let step = (rate as f32 * STEP_SECONDS) as usize;
    let levels: Vec<f32> = voice.chunks(step).map(rms).collect();
    let loudest = levels.iter().copied().fold(0.0, f32::max);
    let truth: Vec<bool> = levels.iter().map(|level| *level > loudest * linear(-30.0) && loudest > 0.0).collect();
    let active: Vec<f32> = levels.iter().zip(&truth).filter(|(_, is_active)| **is_active).map(|(l, _)| l * l).collect();
    ((active.iter().sum::<f32>() / active.len().max(1) as f32).sqrt(), truth)
}

/// A windowed-sinc low-pass at 3.8 kHz.
fn below_4k(samples: &[f32], rate: u32) -> Vec<f32> {
    use std::f32::consts::PI;
    let half = (rate / 800) as isize;
    let turn = 2.0 * PI * 3800.0 / rate as f32;
    let taps: Vec<f32> = (-half..=half)
        .map(|n| {
            let x = n as f32;
            let sinc = if n == 0 { turn / PI } else { (turn * x).sin() / (PI * x) };
            sinc * (0.5 + 0.5 * (PI * x / (half as f32 + 1.0)).cos())
        })
        .collect();
    samples.windows(taps.len()).map(|w| w.iter().zip(&taps).map(|(a, b)| a * b).sum()).collect()
}
