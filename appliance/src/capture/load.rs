//! How long the callback takes, as a histogram that costs it two clock readings and one addition.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets per doubling: a bucket is at most 9 % wide.
const PER_OCTAVE: u64 = 8;
/// Up to 2^30 ns, a second: no callback that lasts longer is of interest beyond that it did.
const BUCKETS: usize = (30 * PER_OCTAVE) as usize;

/// A histogram of durations that one thread fills and others read.
#[derive(Debug)]
pub struct Load {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Load {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Load {
    /// Counts one duration. Real-time safe.
    pub fn count(&self, ns: u64) {
        let index = bucket(ns);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The duration in microseconds that a part `p` (0 to 1) of all callbacks did not exceed; none before the first.
    pub fn percentile_us(&self, p: f64) -> Option<f64> {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = ((total as f64 * p).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Some(upper_ns(index) / 1_000.0);
            }
        }
        None
    }
}

/// Octave by the highest bit, eight linear steps inside it. Real-time safe.
fn bucket(ns: u64) -> usize {
    let ns = ns.max(PER_OCTAVE);
    let octave = u64::from(ns.ilog2());
    let step = (ns >> (octave - 3)) & (PER_OCTAVE - 1);
    (((octave - 3) * PER_OCTAVE + step) as usize).min(BUCKETS - 1)
}

/// The upper edge of a bucket.
fn upper_ns(index: usize) -> f64 {
    let (octave, step) = (index as u64 / PER_OCTAVE, index as u64 % PER_OCTAVE);
    (2f64.powi(octave as i32 + 3)) * (1.0 + (step + 1) as f64 / PER_OCTAVE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_at_most_a_bucket_too_high() {
        let load = Load::default();
        (1..=1000).for_each(|us| load.count(us * 1_000));
        for (p, us) in [(0.5, 500.0), (0.999, 999.0), (1.0, 1000.0)] {
            let got = load.percentile_us(p).unwrap();
            assert!((us..us * 1.13).contains(&got), "{p}: {got}");
        }
    }

    #[test]
    fn nothing_counted_is_nothing_known() {
        assert_eq!(Load::default().percentile_us(0.5), None);
    }

    #[test]
    fn extremes_have_a_bucket() {
        let load = Load::default();
        load.count(0);
        load.count(u64::MAX);
        assert!(load.percentile_us(1.0).is_some());
    }
}
