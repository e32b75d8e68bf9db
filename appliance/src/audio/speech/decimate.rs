//! Any rate from 16 kHz up, down to about 8 kHz, once, for everything that only cares about voices.
//!
//! One windowed-sinc filter, evaluated only where an output sample falls. It is short on purpose: what folds back lies
//! above 2.8 kHz, where the detector does not look. Also used by `pairs` for its coarse search.

use std::f32::consts::PI;

/// Frames per second the detector works at; the real rate is the nearest integer division of the input's.
const TARGET_RATE: f32 = 8000.0;
/// Half-power point of the filter, Hz at the target rate.
const CUTOFF_HZ: f32 = 3300.0;
/// Length of the filter in output samples: 4 keeps 48 kHz at 24 multiplications per output.
const SPAN: usize = 4;
/// Lanes the compiler can hold in vector registers.
const LANES: usize = 8;
/// Outputs are held to this, so that a broken driver's 1e30 cannot poison running averages.
const OUTPUT_LIMIT: f32 = 8.0;

/// The filter, shared by all channels of one rate.
pub(crate) struct Decimator {
    factor: usize,
    taps: Vec<f32>,
}

/// What one channel remembers between blocks: input that no output has fully consumed.
#[derive(Default, Clone)]
pub(crate) struct History {
    pending: Vec<f32>,
}

impl Decimator {
    /// For an input of `rate` frames per second.
    pub fn new(rate: u32) -> Self {
        let factor = ((rate as f32 / TARGET_RATE).round() as usize).max(1);
        let len = (SPAN * factor).next_multiple_of(LANES);
        let middle = (len - 1) as f32 / 2.0;
        let turn = 2.0 * PI * CUTOFF_HZ / TARGET_RATE / factor as f32;
        let mut taps: Vec<f32> = (0..len)
            .map(|n| {
                let x = n as f32 - middle;
                let sinc = if x.abs() < 1e-6 { turn / PI } else { (turn * x).sin() / (PI * x) };
                sinc * (0.54 + 0.46 * (PI * x / (middle + 0.5)).cos())
            })
            .collect();
        let sum: f32 = taps.iter().sum();
        taps.iter_mut().for_each(|tap| *tap /= sum);
        Self { factor, taps }
    }

    /// Input frames per output sample.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// Appends the outputs that `block` completes. Non-finite input becomes silence.
    pub fn push(&self, history: &mut History, block: &[f32], out: &mut Vec<f32>) {
        let pending = &mut history.pending;
        pending.extend_from_slice(block);
        let mut start = 0;
        while start + self.taps.len().max(self.factor) <= pending.len() {
            let sum = dot(&self.taps, &pending[start..start + self.taps.len()]);
            out.push(if sum.is_finite() { sum.clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT) } else { 0.0 });
            start += self.factor;
        }
        pending.drain(..start);
    }
}

impl History {
    /// Forgets the past, after lost frames.
    pub fn clear(&mut self) {
        self.pending.clear();
    }
}

/// Inner product of two slices of equal length, a multiple of [`LANES`].
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let half: [f32; 4] = std::array::from_fn(|n| lanes[n] + lanes[n + 4]);
    (half[0] + half[2]) + (half[1] + half[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine_gain_db(rate: u32, hz: f32) -> f32 {
        let decimator = Decimator::new(rate);
        let input: Vec<f32> = (0..rate).map(|n| (2.0 * PI * hz * n as f32 / rate as f32).sin()).collect();
        let mut out = Vec::new();
        decimator.push(&mut History::default(), &input, &mut out);
        let power = out.iter().map(|x| x * x).sum::<f32>() / out.len() as f32;
        10.0 * (power / 0.5).log10()
    }

    #[test]
    fn voices_pass_and_hiss_does_not_fold_back() {
        for rate in [16_000, 32_000, 44_100, 48_000, 96_000, 192_000] {
            assert!(sine_gain_db(rate, 300.0).abs() < 0.3, "{rate}");
            assert!(sine_gain_db(rate, 2000.0) > -3.0, "{rate}: {}", sine_gain_db(rate, 2000.0));
            assert!(sine_gain_db(rate, 7200.0) < -30.0, "{rate}: {}", sine_gain_db(rate, 7200.0));
        }
    }

    #[test]
    fn block_sizes_do_not_matter() {
        let decimator = Decimator::new(48_000);
        let input: Vec<f32> = (0..5000).map(|n| ((n * n) as f32 * 1e-3).sin()).collect();
        let mut whole = Vec::new();
        decimator.push(&mut History::default(), &input, &mut whole);
        for size in [1, 7, 64, 1024] {
            let (mut parts, mut history) = (Vec::new(), History::default());
            input.chunks(size).for_each(|block| decimator.push(&mut history, block, &mut parts));
            assert_eq!(parts, whole);
        }
    }

    #[test]
    fn broken_samples_become_silence() {
        let (mut out, mut history) = (Vec::new(), History::default());
        let input = [[f32::NAN; 100], [f32::INFINITY; 100], [1e30; 100], [0.0; 100]].concat();
        Decimator::new(48_000).push(&mut history, &input, &mut out);
        assert!(out.iter().all(|x| x.abs() <= OUTPUT_LIMIT));
        assert_eq!(out.last(), Some(&0.0));
    }
}
