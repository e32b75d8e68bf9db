//! How loud speech and the room are: percentiles over a sliding window, in bounded memory.
//!
//! Two generations of five minutes each; readers see both, so the window is 5 to 10 minutes of frames.

/// 1 dB bins from `BOTTOM_DBFS` up; the last holds everything above 0 dBFS.
const BINS: usize = 121;
const BOTTOM_DBFS: f32 = -120.0;
/// Percentiles of fewer frames than this (0.5 s) are chance.
const ENOUGH: u32 = 25;

/// Counts of frame levels.
#[derive(Clone)]
pub(super) struct Levels {
    generations: [[u32; BINS]; 2],
}

impl Levels {
    /// Nothing counted.
    pub fn new() -> Self {
        Self { generations: [[0; BINS]; 2] }
    }

    /// Counts one frame of `power` (mean square).
    pub fn add(&mut self, power: f32) {
        let bin = (10.0 * power.max(1e-12).log10() - BOTTOM_DBFS).round().clamp(0.0, (BINS - 1) as f32);
        self.generations[0][bin as usize] += 1;
    }

    /// Starts a new generation and drops the older one.
    pub fn turn(&mut self) {
        self.generations = [[0; BINS], self.generations[0]];
    }

    /// The level below which `share` (0..1) of the counted frames lie, dBFS, interpolated inside its 1 dB bin; `None`
    /// below half a second of frames.
    pub fn percentile(&self, share: f32) -> Option<f32> {
        let count = |bin: usize| self.generations[0][bin] + self.generations[1][bin];
        let total: u32 = (0..BINS).map(count).sum();
        if total < ENOUGH {
            return None;
        }
        let target = share * total as f32;
        let mut below = 0.0;
        for bin in 0..BINS {
            let here = count(bin) as f32;
            if here > 0.0 && below + here >= target {
                return Some(BOTTOM_DBFS + bin as f32 - 0.5 + (target - below) / here);
            }
            below += here;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(dbfs: f32) -> f32 {
        10f32.powf(dbfs / 10.0)
    }

    #[test]
    fn percentiles_fall_where_the_frames_are() {
        let mut levels = Levels::new();
        (0..90).for_each(|_| levels.add(power(-60.0)));
        (0..10).for_each(|_| levels.add(power(-20.0)));
        assert!((levels.percentile(0.5).unwrap() + 60.0).abs() <= 0.5);
        assert!((levels.percentile(0.95).unwrap() + 20.0).abs() <= 0.5);
    }

    #[test]
    fn a_few_frames_are_no_percentile() {
        let mut levels = Levels::new();
        (0..ENOUGH - 1).for_each(|_| levels.add(0.1));
        assert_eq!(levels.percentile(0.5), None);
    }

    #[test]
    fn old_frames_leave_after_two_turns() {
        let mut levels = Levels::new();
        (0..100).for_each(|_| levels.add(power(-60.0)));
        levels.turn();
        assert!(levels.percentile(0.1).is_some());
        levels.turn();
        assert_eq!(levels.percentile(0.1), None);
    }

    #[test]
    fn nonsense_levels_are_counted_at_the_ends() {
        let mut levels = Levels::new();
        [0.0, -1.0, 1e30, f32::INFINITY, f32::NAN].iter().for_each(|p| levels.add(*p));
        assert_eq!(levels.generations[0].iter().sum::<u32>(), 5);
    }
}
