//! Clipping: at the rail, and flattened below it by something upstream.
//!
//! At the rail: three or more consecutive samples within one 16-bit step of the same full scale (the CD mastering
//! rule); every sample of such a run counts. Below it: four or more equal samples at the hop's extreme, entered and
//! left with a jump, more than five times a second at the same magnitude. That needs digital gain after the clipping;
//! an analogue path rounds the tops off and nobody can tell.

/// Within one step of 16 bits of full scale.
const RAIL: f32 = 32_767.0 / 32_768.0;
/// A run this long at the rail is clipping.
const RAIL_RUN: u32 = 3;
/// Flat tops under -40 dBFS are the steps of a coarse converter, not clipping.
pub(super) const FLAT_TOP_MIN: f32 = 0.01;
/// A run this long at the extreme is a flat top.
const FLAT_RUN: usize = 4;
/// Jump into and out of a flat top, two steps of 16 bits: the rounded crest of a low tone, quantised, steps by one.
const FLAT_JUMP: f32 = 2.0 / 32_768.0;
/// More flat tops than this in a second are a fault.
const FLAT_RUNS_PER_SECOND: u32 = 5;

/// Finds runs at the rails across hops.
#[derive(Debug, Default)]
pub(super) struct Rail {
    /// Length of the run that reaches the end of the last hop.
    run: u32,
    is_upper: bool,
}

impl Rail {
    /// Clipped samples of this hop. The first two samples of a run that began in the hop before count here, where the
    /// third shows what they were.
    #[inline]
    pub(super) fn count(&mut self, samples: &[f32], peak: f32) -> u32 {
        if peak < RAIL {
            self.run = 0;
            return 0;
        }
        let mut clipped = 0;
        for x in samples {
            if x.abs() < RAIL {
                self.run = 0;
                continue;
            }
            let is_upper = *x > 0.0;
            self.run = if self.run > 0 && is_upper == self.is_upper { self.run.saturating_add(1) } else { 1 };
            self.is_upper = is_upper;
            clipped += match self.run {
                0..RAIL_RUN => 0,
                RAIL_RUN => RAIL_RUN,
                _ => 1,
            };
        }
        clipped
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Runs of at least four samples equal to `extreme` with a jump on both sides. Runs at the ends of the hop show only
/// one side and are left out.
pub(super) fn flat_runs(samples: &[f32], extreme: f32) -> u32 {
    let mut runs = 0;
    let mut start = None;
    for (at, x) in samples.iter().enumerate() {
        if *x == extreme {
            start = start.or(Some(at));
            continue;
        }
        let Some(first) = start.take() else { continue };
        if first == 0 || at - first < FLAT_RUN {
            continue;
        }
        let is_entered = (samples[first - 1] - extreme).abs() > FLAT_JUMP;
        runs += u32::from(is_entered && (x - extreme).abs() > FLAT_JUMP);
    }
    runs
}

/// Clipping below the rail, judged once a second.
#[derive(Debug)]
pub struct FlatTop {
    rate: u32,
    frames: u32,
    magnitude: f32,
    runs: u32,
    last: Option<(f32, u32)>,
}

impl FlatTop {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, frames: 0, magnitude: 0.0, runs: 0, last: None }
    }

    #[inline]
    pub(super) fn add(&mut self, peak: f32, runs: u32, frames: u32) {
        if runs > 0 {
            // Only the highest magnitude of the second can be a ceiling; equal to 0.01 dB is the same one.
            if peak > self.magnitude * 1.001 {
                (self.magnitude, self.runs) = (peak, runs);
            } else if peak > self.magnitude * 0.999 {
                self.runs += runs;
            }
        }
        self.frames += frames;
        if self.frames >= self.rate {
            let is_fault = self.runs > FLAT_RUNS_PER_SECOND;
            self.last = is_fault.then_some((self.magnitude, self.runs));
            (self.frames, self.magnitude, self.runs) = (0, 0.0, 0);
        }
    }

    pub(super) fn reset(&mut self) {
        (self.frames, self.magnitude, self.runs) = (0, 0.0, 0);
    }

    /// The last full second was clipped below (or at) the rail: at this magnitude (linear), with this many flat tops.
    pub fn flat_top(&self) -> Option<(f32, u32)> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_at_the_rail_are_not_clipping_and_three_are() {
        assert_eq!(Rail::default().count(&[0.5, 1.0, 1.0, 0.5], 1.0), 0);
        assert_eq!(Rail::default().count(&[0.5, 1.0, RAIL, 1.0, 0.5], 1.0), 3);
        assert_eq!(Rail::default().count(&[-1.0, -1.0, -1.0, -1.2, 0.5], 1.2), 4);
    }

    #[test]
    fn alternating_rails_are_not_clipping() {
        assert_eq!(Rail::default().count(&[1.0, -1.0, 1.0, 1.0, -1.0, -1.0], 1.0), 0);
    }

    #[test]
    fn a_run_across_two_hops_counts_whole() {
        let mut rail = Rail::default();
        assert_eq!(rail.count(&[0.0, 1.0, 1.0], 1.0), 0);
        assert_eq!(rail.count(&[1.0, 0.0, 1.0], 1.0), 3);
        assert_eq!(rail.count(&[0.0, 0.2], 0.2), 0);
    }

    #[test]
    fn a_flat_top_needs_four_equal_samples_and_a_jump_on_both_sides() {
        assert_eq!(flat_runs(&[0.1, 0.5, 0.5, 0.5, 0.5, 0.2], 0.5), 1);
        assert_eq!(flat_runs(&[0.1, 0.5, 0.5, 0.5, 0.2], 0.5), 0);
        let step = 1.0 / 32_768.0;
        assert_eq!(flat_runs(&[0.5 - step, 0.5, 0.5, 0.5, 0.5, 0.5 - step], 0.5), 0);
    }
}
