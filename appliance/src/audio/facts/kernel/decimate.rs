//! The low-pass FIR in front of hum detection: one output per `decimation` samples.

use super::{
    vector::{dot, fma, totals},
    window,
};

/// Stop-band attenuation, dB. A full-scale tone folded onto a mains line stays 15 dB under the hum threshold of -55 dBFS.
const ATTENUATION_DB: f64 = 70.0;

/// A linear-phase low-pass with gain 1 at 0 Hz.
pub struct Decimator {
    decimation: usize,
    taps: Box<[f32]>,
}

impl Decimator {
    /// Passes up to `pass_hz` and stops whatever would fold below `pass_hz` at the rate `rate / decimation`.
    /// Length and shape by Kaiser's formulas (Oppenheim and Schafer, section 7.5.3), rounded up to whole vectors.
    pub fn new(rate: u32, decimation: usize, pass_hz: f64) -> Self {
        let rate = f64::from(rate);
        let cutoff = 0.5 / decimation as f64;
        let transition = 2.0 * std::f64::consts::PI * (rate / decimation as f64 - 2.0 * pass_hz) / rate;
        let length = ((ATTENUATION_DB - 7.95) / (2.285 * transition)).ceil() as usize + 1;
        let length = length.next_multiple_of(16);
        let beta = 0.1102 * (ATTENUATION_DB - 8.7);
        let centre = (length - 1) as f64 / 2.0;
        let ideal = (0..length).map(|n| {
            let t = n as f64 - centre;
            window::sinc(2.0 * cutoff * t) * window::kaiser(beta, t / centre)
        });
        let ideal: Vec<f64> = ideal.collect();
        let gain: f64 = ideal.iter().sum();
        Self { decimation, taps: ideal.iter().map(|tap| (tap / gain) as f32).collect() }
    }

    /// Samples one output needs.
    pub fn taps(&self) -> usize {
        self.taps.len()
    }

    /// Every output whose samples end in `samples`, the first one's beginning at `start`, into `outputs`; how many.
    #[inline(always)]
    pub fn run<const FMA: bool>(&self, samples: &[f32], mut start: usize, outputs: &mut [f32]) -> usize {
        let mut count = 0;
        // Four outputs share the loads of the taps, and their sums do not wait for each other.
        let reach = 3 * self.decimation + self.taps.len();
        let (fours, _) = outputs.as_chunks_mut::<4>();
        while let (Some(window), Some(four)) = (samples.get(start..start + reach), fours.get_mut(count / 4)) {
            *four = self.four::<FMA>(window);
            start += 4 * self.decimation;
            count += 4;
        }
        while let (Some(window), Some(one)) = (samples.get(start..start + self.taps.len()), outputs.get_mut(count)) {
            *one = dot::<FMA>(window, &self.taps);
            start += self.decimation;
            count += 1;
        }
        count
    }

    #[inline(always)]
    fn four<const FMA: bool>(&self, samples: &[f32]) -> [f32; 4] {
        let (mut s0, mut s1, mut s2, mut s3) = ([0.0; 8], [0.0; 8], [0.0; 8], [0.0; 8]);
        let [x0, x1, x2, x3] = [0, 1, 2, 3].map(|output| samples[output * self.decimation..].as_chunks::<8>().0);
        let inputs = x0.iter().zip(x1).zip(x2.iter().zip(x3));
        for (taps, ((x0, x1), (x2, x3))) in self.taps.as_chunks::<8>().0.iter().zip(inputs) {
            s0 = fma::<FMA>(*x0, *taps, s0);
            s1 = fma::<FMA>(*x1, *taps, s1);
            s2 = fma::<FMA>(*x2, *taps, s2);
            s3 = fma::<FMA>(*x3, *taps, s3);
        }
        totals(&[s0, s1, s2, s3])
    }
}
