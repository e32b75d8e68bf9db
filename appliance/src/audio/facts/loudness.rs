//! Loudness of a programme (the channels of one take) after ITU-R BS.1770-4, EBU Tech 3341 and EBU Tech 3342.
//!
//! Works on the K-weighted energies of hops, so one analyser serves any number of programmes. Memory is bounded: blocks
//! are kept as a histogram of 0.1 LU with the energy of each bin, which loses nothing of the means; only the blocks in
//! the one bin cut by the relative gate are judged together, an error far under 0.01 LU.

use super::hop::{ChannelHop, PARTS};
use crate::audio::Loudness;

/// Parts of 10 ms in the momentary (400 ms) and short-term (3 s) window.
const MOMENTARY: usize = 8 * PARTS;
const SHORT_TERM: usize = 60 * PARTS;
/// Gating blocks and short-term values for the range are taken each 100 ms: blocks overlap by 75 %.
const STEP: u64 = 2 * PARTS as u64;
/// BS.1770: -0.691 dB make 997 Hz at full scale in one channel read -3.01 LKFS.
const OFFSET_DB: f64 = -0.691;
const ABSOLUTE_GATE_LUFS: f64 = -70.0;
/// Relative gates: of the programme (BS.1770) and of the range (Tech 3342).
const GATE_LU: f64 = -10.0;
const RANGE_GATE_LU: f64 = -20.0;
/// Histogram from the absolute gate to +10 LUFS; what is louder goes into the last bin.
const BINS: usize = 800;
const BINS_PER_LU: f64 = 10.0;

/// Measures one programme. A gap does not end it.
#[derive(Debug)]
pub struct Programme {
    weights: Vec<f32>,
    /// Weighted energy of the last 3 s by parts of 10 ms.
    parts: [f64; SHORT_TERM],
    /// Parts since the start or the last gap.
    count: u64,
    frames_per_part: f64,
    sum_momentary: f64,
    sum_short_term: f64,
    blocks: Histogram,
    short_terms: Histogram,
    max_momentary: f64,
    max_short_term: f64,
    true_peak: f32,
}

impl Programme {
    /// `weights`: one per channel in the order of `add_hop`. 1 for front channels, 1.41 for surrounds, 0 for LFE.
    pub fn new(weights: Vec<f32>) -> Self {
        Self {
            weights,
            parts: [0.0; SHORT_TERM],
            count: 0,
            frames_per_part: 0.0,
            sum_momentary: 0.0,
            sum_short_term: 0.0,
            blocks: Histogram::default(),
            short_terms: Histogram::default(),
            max_momentary: 0.0,
            max_short_term: 0.0,
            true_peak: f32::NAN,
        }
    }

    /// Adds one hop of `frames`; `channels` are those of the programme, in the order of the weights.
    pub fn add_hop<'a>(&mut self, channels: impl IntoIterator<Item = &'a ChannelHop>, frames: u32) {
        let mut energy = [0.0f64; PARTS];
        for (hop, weight) in channels.into_iter().zip(&self.weights) {
            for (sum, part) in energy.iter_mut().zip(hop.k_parts) {
                *sum += f64::from(*weight) * f64::from(part);
            }
            self.true_peak = self.true_peak.max(hop.true_peak);
        }
        self.frames_per_part = f64::from(frames.max(1)) / PARTS as f64;
        for energy in energy {
            self.add_part(energy);
        }
    }

    fn add_part(&mut self, energy: f64) {
        let at = (self.count % SHORT_TERM as u64) as usize;
        let leaving_momentary = self.parts[(at + SHORT_TERM - MOMENTARY) % SHORT_TERM];
        self.sum_momentary += energy - leaving_momentary;
        self.sum_short_term += energy - self.parts[at];
        self.parts[at] = energy;
        self.count += 1;
        if at == SHORT_TERM - 1 {
            // Adding and subtracting leaves rounding behind; once in 3 s it is swept out.
            self.sum_short_term = self.parts.iter().sum();
            self.sum_momentary = self.parts[SHORT_TERM - MOMENTARY..].iter().sum();
        }
        let is_step = self.count.is_multiple_of(STEP);
        if let Some(power) = self.momentary_power() {
            self.max_momentary = self.max_momentary.max(power);
            if is_step {
                self.blocks.add(power);
            }
        }
        if let Some(power) = self.short_term_power() {
            self.max_short_term = self.max_short_term.max(power);
            if is_step {
                self.short_terms.add(power);
            }
        }
    }

    /// Frames were lost: the sliding windows start anew, what was measured stays.
    pub fn reset_after_gap(&mut self) {
        self.parts = [0.0; SHORT_TERM];
        (self.count, self.sum_momentary, self.sum_short_term) = (0, 0.0, 0.0);
    }

    fn momentary_power(&self) -> Option<f64> {
        (self.count >= MOMENTARY as u64)
            .then(|| self.sum_momentary.max(0.0) / (MOMENTARY as f64 * self.frames_per_part))
    }

    fn short_term_power(&self) -> Option<f64> {
        (self.count >= SHORT_TERM as u64)
            .then(|| self.sum_short_term.max(0.0) / (SHORT_TERM as f64 * self.frames_per_part))
    }

    /// Loudness of the last 400 ms, LUFS; `None` before there are as many, and in digital silence.
    pub fn momentary(&self) -> Option<f64> {
        self.momentary_power().and_then(lufs)
    }

    /// Loudness of the last 3 s, LUFS; `None` before there are as many, and in digital silence.
    pub fn short_term(&self) -> Option<f64> {
        self.short_term_power().and_then(lufs)
    }

    /// Integrated loudness so far, LUFS, gated; `None` if nothing passed the gate.
    pub fn integrated(&self) -> Option<f64> {
        self.blocks.gated(GATE_LU).mean().and_then(lufs)
    }

    /// Loudness range so far, LU: P95 - P10 of the gated short-term loudness (Tech 3342).
    pub fn range(&self) -> Option<f64> {
        let gated = self.short_terms.gated(RANGE_GATE_LU);
        Some(lufs(gated.percentile(0.95)?)? - lufs(gated.percentile(0.10)?)?)
    }

    /// Everything so far, as files carry it.
    pub fn loudness(&self) -> Loudness {
        let peak = f64::from(self.true_peak);
        Loudness {
            integrated_lufs: self.integrated(),
            range_lu: self.range(),
            true_peak_dbtp: (peak > 0.0).then(|| 20.0 * peak.log10()),
            momentary_lufs: lufs(self.max_momentary),
            short_term_lufs: lufs(self.max_short_term),
        }
    }
}

/// Weighted mean square to LUFS.
fn lufs(power: f64) -> Option<f64> {
    (power > 0.0).then(|| OFFSET_DB + 10.0 * power.log10())
}

/// Blocks over the absolute gate by loudness.
#[derive(Debug)]
struct Histogram(Box<[Bin]>);

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    count: u64,
    power: f64,
}

impl Bin {
    fn mean(&self) -> f64 {
        self.power / self.count.max(1) as f64
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self(vec![Bin::default(); BINS].into())
    }
}

impl Histogram {
    fn add(&mut self, power: f64) {
        let Some(loudness) = lufs(power).filter(|loudness| *loudness > ABSOLUTE_GATE_LUFS) else { return };
        let bin = (((loudness - ABSOLUTE_GATE_LUFS) * BINS_PER_LU) as usize).min(BINS - 1);
        self.0[bin].count += 1;
        self.0[bin].power += power;
    }

    /// The blocks not more than `gate_lu` under the mean of all.
    fn gated(&self, gate_lu: f64) -> Gated<'_> {
        let all = Gated(&self.0);
        let Some(mean) = all.mean() else { return Gated(&[]) };
        let threshold = mean * 10f64.powf(gate_lu / 10.0);
        let first = self.0.iter().position(|bin| bin.count > 0 && bin.mean() >= threshold).unwrap_or(BINS);
        Gated(&self.0[first..])
    }
}

struct Gated<'a>(&'a [Bin]);

impl Gated<'_> {
    fn count(&self) -> u64 {
        self.0.iter().map(|bin| bin.count).sum()
    }

    /// Mean power; `None` without blocks.
    fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.0.iter().map(|bin| bin.power).sum::<f64>() / count as f64)
    }

    /// Power that the fraction `p` of blocks does not exceed; `None` without blocks.
    fn percentile(&self, p: f64) -> Option<f64> {
        let wanted = (self.count().checked_sub(1)? as f64 * p).round() as u64;
        let mut seen = 0;
        let bin = self.0.iter().find(|bin| {
            seen += bin.count;
            seen > wanted
        })?;
        Some(bin.mean())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(lufs: f64) -> ChannelHop {
        let part = (10f64.powf((lufs - OFFSET_DB) / 10.0) * 480.0) as f32;
        ChannelHop { k_parts: [part; PARTS], ..Default::default() }
    }

    fn feed(programme: &mut Programme, lufs: f64, seconds: usize) {
        for _ in 0..seconds * 20 {
            programme.add_hop([&hop(lufs)], 2400);
        }
    }

    #[test]
    fn nothing_is_said_before_the_windows_are_full() {
        let mut programme = Programme::new(vec![1.0]);
        for _ in 0..7 {
            programme.add_hop([&hop(-23.0)], 2400);
        }
        assert_eq!((programme.momentary(), programme.loudness()), (None, Loudness::default()));
        programme.add_hop([&hop(-23.0)], 2400);
        assert!((programme.momentary().unwrap() + 23.0).abs() < 1e-3);
        assert_eq!(programme.short_term(), None);
    }

    #[test]
    fn a_gap_restarts_the_windows_and_keeps_the_programme() {
        let mut programme = Programme::new(vec![1.0]);
        feed(&mut programme, -20.0, 10);
        programme.reset_after_gap();
        assert_eq!(programme.short_term(), None);
        assert!((programme.integrated().unwrap() + 20.0).abs() < 0.01);
    }

    #[test]
    fn a_loud_moment_leaves_no_rounding_in_the_silence_after_it() {
        let mut programme = Programme::new(vec![1.0]);
        feed(&mut programme, 3.0, 4);
        feed(&mut programme, -170.0, 7);
        assert!((programme.short_term().unwrap() + 170.0).abs() < 0.01, "{:?}", programme.short_term());
        assert!((programme.momentary().unwrap() + 170.0).abs() < 0.01, "{:?}", programme.momentary());
    }
}
