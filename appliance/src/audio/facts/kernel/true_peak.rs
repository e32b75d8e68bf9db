//! The highest point of the waveform *between* the samples: oversampling as in ITU-R BS.1770-4 annex 2.
//!
//! A polyphase windowed sinc of 12 taps a phase, 48 in all. Phase 0 is the sample itself, so three remain at 4x; their
//! gain is within 0.13 dB of 1 up to 0.4 of the sampling rate. Phases 1 and 3 are mirror images: with the even part E
//! and odd part O of one, they read E + O and E - O, and the larger magnitude of both is |E| + |O|.

use super::{
    vector::{V, abs, add, fma, highest, load, max, sub},
    window,
};

/// Taps of one phase.
const TAPS: usize = 12;
/// Samples needed in front of a hop.
pub const HISTORY: usize = TAPS - 1;
/// Outputs computed together, and the unit that is skipped when it cannot matter.
const BLOCK: usize = 32;
/// Kaiser shape: flattest of 1.5 ..= 4 over 0 ..= 0.4 of the rate for 12 taps (deviation +0.12, -0.03 dB).
const BETA: f64 = 3.5;

/// How much a rate is oversampled, and with what.
pub enum Oversampler {
    /// 160 kHz and more: the samples lie dense enough.
    Once,
    /// 80 kHz and more: only the point half way.
    Twice(Halfway),
    /// Below.
    FourTimes(Halfway, Quarter),
}

/// First half of the symmetric phase 2.
pub struct Halfway([f32; TAPS / 2]);

/// Even and odd part of phase 1, first halves.
pub struct Quarter {
    even: [f32; TAPS / 2],
    odd: [f32; TAPS / 2],
}

impl Oversampler {
    /// 4x below 80 kHz, 2x below 160 kHz: at least 176 kHz in the end for the rates in use.
    pub fn for_rate(rate: u32) -> Self {
        let half = phase(0.5);
        let halfway = Halfway(std::array::from_fn(|k| half[k] as f32));
        let quarter = phase(0.25);
        match rate {
            160_000.. => Oversampler::Once,
            80_000.. => Oversampler::Twice(halfway),
            _ => Oversampler::FourTimes(
                halfway,
                Quarter {
                    even: std::array::from_fn(|k| ((quarter[k] + quarter[TAPS - 1 - k]) / 2.0) as f32),
                    odd: std::array::from_fn(|k| ((quarter[k] - quarter[TAPS - 1 - k]) / 2.0) as f32),
                },
            ),
        }
    }

    /// Highest magnitude of the oversampled signal, linear. `samples` begins with [`HISTORY`] samples before the hop,
    /// `peak` is the hop's sample peak and the least that comes out.
    ///
    /// Only windows that could exceed what is known are computed. No output is larger than the sum of the taps'
    /// magnitudes (2.04) times the largest sample it sees, so most of speech is skipped and the result is still exact.
    #[inline(always)]
    pub fn peak<const FMA: bool>(&self, samples: &[f32], peak: f32) -> f32 {
        const LARGEST_GAIN: f32 = 2.05;
        let mut highest = peak;
        let last = samples.len().saturating_sub(BLOCK + HISTORY);
        let mut at = 0;
        loop {
            // The last window overlaps the one before: a maximum does not mind.
            let Some(window) = samples.get(at..).and_then(|rest| rest.first_chunk()) else { return highest };
            if largest(window) * LARGEST_GAIN > highest {
                highest = highest.max(self.window_peak::<FMA>(window));
            }
            if at == last {
                return highest;
            }
            at = (at + BLOCK).min(last);
        }
    }

    #[inline(always)]
    fn window_peak<const FMA: bool>(&self, window: &Window) -> f32 {
        match self {
            Oversampler::Once => 0.0,
            Oversampler::Twice(halfway) => halfway.peak::<FMA>(window),
            Oversampler::FourTimes(halfway, quarter) => quarter.peak::<FMA>(halfway, window),
        }
    }
}

/// A window of samples that yields one block of outputs.
type Window = [f32; BLOCK + HISTORY];

#[inline(always)]
fn largest(window: &Window) -> f32 {
    let mut most = abs(load(window, BLOCK + HISTORY - 8));
    for row in window.as_chunks::<8>().0 {
        most = max(most, abs(*row));
    }
    highest(&most)
}

/// Samples that yield one vector of outputs.
type Strip = [f32; 8 + HISTORY];

impl Halfway {
    #[inline(always)]
    fn peak<const FMA: bool>(&self, window: &Window) -> f32 {
        let mut most = [0.0; 8];
        for start in (0..BLOCK).step_by(8) {
            let Some(strip) = window[start..].first_chunk::<{ 8 + HISTORY }>() else { return highest(&most) };
            let mut half = [0.0; 8];
            for k in 0..TAPS / 2 {
                half = fma::<FMA>([self.0[k]; 8], add(load(strip, k), load(strip, TAPS - 1 - k)), half);
            }
            most = max(most, abs(half));
        }
        highest(&most)
    }
}

impl Quarter {
    /// Of all three phases, because they share their sums of samples.
    #[inline(always)]
    fn peak<const FMA: bool>(&self, halfway: &Halfway, window: &Window) -> f32 {
        let mut most = [0.0; 8];
        for start in (0..BLOCK).step_by(16) {
            let strips = (window[start..].first_chunk(), window[start + 8..].first_chunk());
            let (Some(first), Some(second)) = strips else { return highest(&most) };
            let (mut half, mut even, mut odd) = ([[0.0; 8]; 2], [[0.0; 8]; 2], [[0.0; 8]; 2]);
            for k in 0..TAPS / 2 {
                let (half_tap, even_tap, odd_tap) = ([halfway.0[k]; 8], [self.even[k]; 8], [self.odd[k]; 8]);
                let ((sum, difference), (sum_2, difference_2)) = (mirrored(first, k), mirrored(second, k));
                half = [fma::<FMA>(half_tap, sum, half[0]), fma::<FMA>(half_tap, sum_2, half[1])];
                even = [fma::<FMA>(even_tap, sum, even[0]), fma::<FMA>(even_tap, sum_2, even[1])];
                odd = [fma::<FMA>(odd_tap, difference, odd[0]), fma::<FMA>(odd_tap, difference_2, odd[1])];
            }
            most = max(max(most, abs(half[0])), abs(half[1]));
            most = max(most, add(abs(even[0]), abs(odd[0])));
            most = max(most, add(abs(even[1]), abs(odd[1])));
        }
        highest(&most)
    }
}

/// Sum and difference of the samples under tap `k` and under its mirror image.
#[inline(always)]
fn mirrored(strip: &Strip, k: usize) -> (V, V) {
    let (left, right) = (load(strip, k), load(strip, TAPS - 1 - k));
    (add(left, right), sub(left, right))
}

/// The taps that read the signal at `offset` (0..1) between samples 5 and 6 of 12, gain 1 at 0 Hz.
fn phase(offset: f64) -> [f64; TAPS] {
    let taps: [f64; TAPS] = std::array::from_fn(|k| {
        let t = k as f64 - 5.0 - offset;
        window::sinc(t) * window::kaiser(BETA, t / 6.0)
    });
    let gain: f64 = taps.iter().sum();
    taps.map(|tap| tap / gain)
}
