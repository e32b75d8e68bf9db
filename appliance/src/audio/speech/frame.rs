//! One short frame of one channel: its spectrum, what of it is new, and how harmonic the new part is.
//!
//! 48 ms Hann window every 20 ms at ~8 kHz. Nothing here remembers but the channel's spectral floor and its recent
//! loudest level. What the frames of a second add up to is `model`.

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex32};
use std::sync::Arc;

/// Samples in a frame: 48 ms at 8 kHz, two periods and a half of the deepest voices, so harmonics 85 Hz apart resolve.
pub(super) const FRAME: usize = 384;
/// Samples from frame to frame, 20 ms at 8 kHz.
pub(super) const HOP: usize = 160;
/// Bands of the coarse spectrum.
pub(super) const BANDS: usize = 16;
/// Bins looked at: 104 Hz to 2.73 kHz at 8 kHz.
const FIRST_BIN: usize = 5;
const BINS: usize = 128;
/// First bin of each band (after `FIRST_BIN`) and the end: about a third of a Bark at the bottom, one at the top.
const EDGES: [usize; BANDS + 1] = [0, 4, 8, 12, 16, 21, 26, 32, 38, 45, 53, 62, 72, 84, 97, 112, 128];
/// Pitch range of voices.
const PITCH_HZ: (f32, f32) = (70.0, 400.0);
/// What is this far below the loudest recent frame is treated as floor: 45 dB, as far as a talker's soft sounds go.
const RELATIVE_FLOOR: f32 = 3.2e-5;
/// Nothing below about -100 dBFS counts: it is the converter, not the room.
const ABSOLUTE_FLOOR: f32 = 1e-10;
/// The memory of the loudest frame falls 3 dB a second.
const LOUDEST_DECAY: f32 = 0.986;
/// The spectral floor rises at most this much per frame (4 dB a second) and falls by a tenth of the distance.
const FLOOR_RISE: f32 = 1.005;
const FLOOR_FALL: f32 = 0.1;
/// Only what exceeds the floor by this factor in compressed magnitude (4.6 dB) is new.
const NEW_ABOVE: f32 = 1.3;
/// No bin counts for more than this many times the mean, so a single tone never fills the spectrum.
const BIN_LIMIT: f32 = 4.0;

/// What one channel carries from frame to frame.
#[derive(Clone)]
pub(super) struct Floor {
    bins: [f32; BINS],
    loudest: f32,
    is_set: bool,
}

impl Default for Floor {
    fn default() -> Self {
        Self { bins: [0.0; BINS], loudest: 0.0, is_set: false }
    }
}

/// What a frame shows.
#[derive(Clone, Copy, Default)]
pub(super) struct Frame {
    /// Mean square between 104 Hz and 2.73 kHz; full scale square wave = 1.
    pub power: f32,
    /// log2 of the power per band, with a floor 45 dB below the recent loudest.
    pub bands: [f32; BANDS],
    /// Share of the compressed spectrum that exceeds the tracked floor, 0..1.
    pub novelty: f32,
    /// Share of the bins that the new part fills (participation ratio), 0..1. A tone fills few.
    pub spread: f32,
    /// Harmonic share of the spectrum: autocorrelation peak of the new part over the whole, 0..1.
    pub voicing: f32,
    /// Lag of that peak in decimated samples.
    pub lag: f32,
    /// log2 of geometric over arithmetic mean of the bands, <= 0. Noise is near its own constant, speech moves.
    pub flatness: f32,
}

/// Plans and scratch, shared by all channels.
pub(super) struct Analyser {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    time: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    lags: std::ops::RangeInclusive<usize>,
}

impl Analyser {
    /// For decimated samples at `rate` frames per second.
    pub fn new(rate: f32) -> Self {
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, inverse) = (planner.plan_fft_forward(FRAME), planner.plan_fft_inverse(FRAME));
        let mut window: Vec<f32> =
            (0..FRAME).map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * (n as f32 + 0.5) / FRAME as f32).cos()).collect();
        // Scaled so that the bins' squared magnitudes add up to the mean square (Parseval, one side of the spectrum).
        let energy: f32 = window.iter().map(|w| w * w).sum();
        let scale = (2.0 / (energy * FRAME as f32)).sqrt();
        window.iter_mut().for_each(|w| *w *= scale);
        Self {
            time: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            scratch: vec![Complex32::default(); forward.get_scratch_len().max(inverse.get_scratch_len())],
            lags: (rate / PITCH_HZ.1) as usize..=(rate / PITCH_HZ.0) as usize,
            forward,
            inverse,
            window,
        }
    }

    /// Measures [`FRAME`] samples and moves the channel's floor along.
    pub fn measure(&mut self, samples: &[f32], floor: &mut Floor) -> Frame {
        for ((out, sample), weight) in self.time.iter_mut().zip(samples).zip(&self.window) {
            *out = sample * weight;
        }
        // The lengths are ours, so the transform cannot refuse; were it to, the frame reads as the one before.
        let _ = self.forward.process_with_scratch(&mut self.time, &mut self.spectrum, &mut self.scratch);
        let mut power = [0.0f32; BINS];
        for (out, bin) in power.iter_mut().zip(&self.spectrum[FIRST_BIN..FIRST_BIN + BINS]) {
            *out = bin.re * bin.re + bin.im * bin.im;
        }
        let mut frame = Frame { power: sum(&power), ..Frame::default() };
        floor.loudest = frame.power.max(floor.loudest * LOUDEST_DECAY);
        let per_bin = (floor.loudest * RELATIVE_FLOOR + ABSOLUTE_FLOOR) / BINS as f32;
        (frame.bands, frame.flatness) = bands(&power, per_bin);
        self.novelty(&power, per_bin, floor, &mut frame);
        frame
    }

    /// Compares the compressed spectrum with the floor and looks for harmonics in what is new.
    fn novelty(&mut self, power: &[f32; BINS], per_bin: f32, floor: &mut Floor, frame: &mut Frame) {
        let mut compressed = [0.0f32; BINS];
        for (out, p) in compressed.iter_mut().zip(power) {
            *out = (p + per_bin).sqrt().sqrt();
        }
        if !floor.is_set {
            (floor.bins, floor.is_set) = (compressed, true);
        }
        let mut new = [0.0f32; BINS];
        for n in 0..BINS {
            let (now, low) = (compressed[n], floor.bins[n]);
            new[n] = (now - NEW_ABOVE * low).max(0.0);
            let risen = (low * FLOOR_RISE).min(now);
            let fallen = low + FLOOR_FALL * (now - low);
            floor.bins[n] = if now > low { risen } else { fallen };
        }
        let (whole, total, squares) = (sum(&compressed), sum(&new), sum(&new.map(|x| x * x)));
        if total <= 0.0 {
            return;
        }
        frame.novelty = total / whole;
        frame.spread = total * total / (squares * BINS as f32);
        let limit = BIN_LIMIT * total / BINS as f32;
        self.spectrum.fill(Complex32::default());
        for (bin, value) in self.spectrum[FIRST_BIN..].iter_mut().zip(new) {
            bin.re = value.min(limit);
        }
        // As above: the lengths are ours.
        let _ = self.inverse.process_with_scratch(&mut self.spectrum, &mut self.time, &mut self.scratch);
        let (mut peak, mut lag) = (0.0f32, 0);
        for candidate in self.lags.clone() {
            if self.time[candidate] > peak {
                (peak, lag) = (self.time[candidate], candidate);
            }
        }
        // The inverse transform counts both sides of the spectrum.
        frame.voicing = peak / (2.0 * whole);
        frame.lag = lag as f32;
    }
}

/// log2 power per band above the floor, and the flatness over bands.
fn bands(power: &[f32; BINS], per_bin: f32) -> ([f32; BANDS], f32) {
    let (mut logs, mut total) = ([0.0f32; BANDS], 0.0);
    for (n, log) in logs.iter_mut().enumerate() {
        let (from, to) = (EDGES[n], EDGES[n + 1]);
        let mean = power[from..to].iter().sum::<f32>() / (to - from) as f32 + per_bin;
        total += mean;
        *log = log2(mean);
    }
    let flatness = logs.iter().sum::<f32>() / BANDS as f32 - log2(total / BANDS as f32);
    (logs, flatness)
}

/// Sum in eight lanes, which the compiler keeps in vector registers.
fn sum(values: &[f32; BINS]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for chunk in values.chunks_exact(8) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum()
}

/// log2 of a positive normal number within 0.005: exponent from the bits, mantissa by a parabola.
fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    exponent as f32 + (-0.344_848_43 * mantissa + 2.024_665_8) * mantissa - 1.674_877_6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_logarithm_is_close() {
        for n in 1..2000 {
            let x = (n as f32 * 0.01).exp2() * 1e-12;
            if x.is_finite() && x < 1e6 {
                assert!((log2(x) - x.log2()).abs() < 0.012, "{x}: {}", log2(x) - x.log2());
            }
        }
    }

    #[test]
    fn a_sine_shows_its_mean_square() {
        let samples: Vec<f32> = (0..FRAME).map(|n| 0.1 * (n as f32 * 0.785).sin()).collect();
        let frame = Analyser::new(8000.0).measure(&samples, &mut Floor::default());
        assert!((frame.power / 0.005 - 1.0).abs() < 0.02, "{}", frame.power);
    }
}
