//! What one hop (50 ms) of one channel measured, and the merge of many hops.
//!
//! All stored values are linear and add up or compare, so any span (a segment, a take, an hour) is a merge of its hops.
//! Decibels are made on demand. Level convention: 0 dBFS is full scale as plain arithmetic has it, so the RMS of a
//! full-scale sine is -3.01 dBFS (AES17 would call it 0).

/// The lowest level ever reported, dBFS: digital silence, where the logarithm has no answer.
pub const FLOOR_DBFS: f32 = -200.0;

/// Parts of a hop with their own K-weighted energy: 10 ms each, the step at which momentary loudness is followed.
/// EBU Tech 3341 vector 13 moves a 400 ms burst by 20 ms and wants 0.1 LU, which steps of 50 ms would miss.
pub const PARTS: usize = 5;

/// One channel over one hop. Linear, full scale = 1.0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChannelHop {
    /// Largest sample magnitude.
    pub peak: f32,
    /// Largest magnitude of the oversampled signal (at least `peak`); NaN when true peak is switched off.
    pub true_peak: f32,
    /// Sum of squared samples.
    pub sum_squares: f32,
    /// Sum of squared K-weighted samples (BS.1770).
    pub k_sum_squares: f32,
    /// `k_sum_squares` by fifths of the hop.
    pub k_parts: [f32; PARTS],
    /// Sum of the samples.
    pub sum: f32,
    /// Samples in runs of three or more at one rail, and samples that are not audio (see [`super::clip`]).
    pub clipped: u32,
    /// Smallest sample.
    pub min: f32,
    /// Largest sample.
    pub max: f32,
    /// Samples that were NaN, infinite or beyond +-1e6, measured as 0.
    pub non_finite: u32,
}

impl ChannelHop {
    /// Sample peak, dBFS.
    pub fn peak_dbfs(&self) -> f32 {
        amplitude_dbfs(self.peak)
    }

    /// True peak, dBTP; `None` when it is not measured.
    pub fn true_peak_dbfs(&self) -> Option<f32> {
        measured_dbfs(self.true_peak)
    }

    /// RMS over `frames` (those of the hop), DC included, dBFS: a full-scale sine is -3.01.
    pub fn rms_dbfs(&self, frames: u32) -> f32 {
        power_dbfs(mean(f64::from(self.sum_squares), u64::from(frames)))
    }

    /// Mean square over `frames` without the DC part, linear.
    pub fn ac_power(&self, frames: u32) -> f64 {
        let offset = mean(f64::from(self.sum), u64::from(frames));
        (mean(f64::from(self.sum_squares), u64::from(frames)) - offset * offset).max(0.0)
    }

    /// All samples equal, whatever their value: a dead path (digital zero, DC allowed).
    pub fn is_flat(&self) -> bool {
        self.min == self.max
    }
}

/// One channel over any number of hops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    frames: u64,
    peak: f32,
    true_peak: f32,
    sum_squares: f64,
    sum: f64,
    clipped: u64,
    non_finite: u64,
    zero_frames: u64,
    flat_frames: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            frames: 0,
            peak: 0.0,
            true_peak: f32::NAN,
            sum_squares: 0.0,
            sum: 0.0,
            clipped: 0,
            non_finite: 0,
            zero_frames: 0,
            flat_frames: 0,
        }
    }
}

impl Summary {
    /// Adds one hop of `frames`.
    pub fn add(&mut self, hop: &ChannelHop, frames: u32) {
        self.frames += u64::from(frames);
        self.peak = self.peak.max(hop.peak);
        self.true_peak = self.true_peak.max(hop.true_peak);
        self.sum_squares += f64::from(hop.sum_squares);
        self.sum += f64::from(hop.sum);
        self.clipped += u64::from(hop.clipped);
        self.non_finite += u64::from(hop.non_finite);
        if hop.is_flat() {
            self.flat_frames += u64::from(frames);
            self.zero_frames += if hop.peak == 0.0 { u64::from(frames) } else { 0 };
        }
    }

    /// Adds another span of the same channel.
    pub fn merge(&mut self, other: &Summary) {
        self.frames += other.frames;
        self.peak = self.peak.max(other.peak);
        self.true_peak = self.true_peak.max(other.true_peak);
        self.sum_squares += other.sum_squares;
        self.sum += other.sum;
        self.clipped += other.clipped;
        self.non_finite += other.non_finite;
        self.zero_frames += other.zero_frames;
        self.flat_frames += other.flat_frames;
    }

    /// Frames measured.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Sample peak, dBFS.
    pub fn peak_dbfs(&self) -> f32 {
        amplitude_dbfs(self.peak)
    }

    /// True peak, dBTP; `None` when it is not measured.
    pub fn true_peak_dbfs(&self) -> Option<f32> {
        measured_dbfs(self.true_peak)
    }

    /// RMS, DC included, dBFS: a full-scale sine is -3.01.
    pub fn rms_dbfs(&self) -> f32 {
        power_dbfs(mean(self.sum_squares, self.frames))
    }

    /// Mean of all samples, as a fraction of full scale.
    pub fn dc(&self) -> f32 {
        mean(self.sum, self.frames) as f32
    }

    /// Clipped samples, those that are not audio included.
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Samples that were NaN, infinite or beyond +-1e6.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Frames in hops of exact zeros.
    pub fn zero_frames(&self) -> u64 {
        self.zero_frames
    }

    /// Frames in hops whose samples are all equal, exact zeros included.
    pub fn flat_frames(&self) -> u64 {
        self.flat_frames
    }
}

fn mean(sum: f64, frames: u64) -> f64 {
    if frames == 0 { 0.0 } else { sum / frames as f64 }
}

/// Linear amplitude to dBFS, not below [`FLOOR_DBFS`].
pub(super) fn amplitude_dbfs(amplitude: f32) -> f32 {
    power_dbfs(f64::from(amplitude) * f64::from(amplitude))
}

/// Mean square to dBFS, not below [`FLOOR_DBFS`].
pub(super) fn power_dbfs(power: f64) -> f32 {
    if power > 0.0 { ((10.0 * power.log10()) as f32).max(FLOOR_DBFS) } else { FLOOR_DBFS }
}

fn measured_dbfs(true_peak: f32) -> Option<f32> {
    (!true_peak.is_nan()).then(|| amplitude_dbfs(true_peak))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(level: f32) -> ChannelHop {
        ChannelHop {
            peak: level,
            true_peak: level,
            sum_squares: 2400.0 * level * level,
            max: level,
            ..Default::default()
        }
    }

    #[test]
    fn merging_spans_equals_adding_all_their_hops() {
        let hops = [hop(0.1), hop(0.5), hop(0.0), hop(0.25)];
        let mut whole = Summary::default();
        let (mut left, mut right) = (Summary::default(), Summary::default());
        for (index, hop) in hops.iter().enumerate() {
            whole.add(hop, 2400);
            if index < 2 { left.add(hop, 2400) } else { right.add(hop, 2400) }
        }
        left.merge(&right);
        assert_eq!(left, whole);
        assert_eq!(whole.zero_frames(), 2400);
        assert!((whole.peak_dbfs() + 6.02).abs() < 0.01);
    }

    #[test]
    fn nothing_measured_reads_as_the_floor_and_no_true_peak() {
        let nothing = Summary::default();
        assert_eq!((nothing.rms_dbfs(), nothing.peak_dbfs(), nothing.true_peak_dbfs()), (FLOOR_DBFS, FLOOR_DBFS, None));
    }
}
