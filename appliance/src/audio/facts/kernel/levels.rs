//! The plain levels of one channel's hop: extremes, sum, sum of squares, and what is not audio at all.

use super::vector::{add, fma, highest, load, lowest, max, min, mul_add, totals};

/// Largest magnitude that still passes for audio, linear: 120 dB over full scale. Beyond it, and for NaN and infinity,
/// a sample is damage: it would drown every sum it enters.
const LARGEST_AUDIO: f32 = 1e6;

/// Levels of one hop, linear.
#[derive(Debug, Clone, Copy)]
pub struct Levels {
    pub min: f32,
    pub max: f32,
    pub sum: f32,
    pub sum_squares: f32,
}

impl Levels {
    /// Whether some sample is damage: NaN and infinity survive in the sum, what is merely too large in the extremes.
    pub fn have_damage(&self) -> bool {
        !(self.sum_squares.is_finite() && self.max <= LARGEST_AUDIO && self.min >= -LARGEST_AUDIO)
    }
}

/// Measures the levels of `samples`; all zero for an empty slice.
#[inline(always)]
pub fn levels<const FMA: bool>(samples: &[f32]) -> Levels {
    let first = [samples.first().copied().unwrap_or(0.0); 8];
    let (mut low, mut high, mut sum, mut squares) = ([first; 2], [first; 2], [[0.0; 8]; 2], [[0.0; 8]; 2]);
    let (rows, rest) = samples.as_chunks::<16>();
    for row in rows {
        let x = [load(row, 0), load(row, 8)];
        low = [min(low[0], x[0]), min(low[1], x[1])];
        high = [max(high[0], x[0]), max(high[1], x[1])];
        sum = [add(sum[0], x[0]), add(sum[1], x[1])];
        squares = [fma::<FMA>(x[0], x[0], squares[0]), fma::<FMA>(x[1], x[1], squares[1])];
    }
    let [sum, sum_squares, ..] = totals(&[add(sum[0], sum[1]), add(squares[0], squares[1]), [0.0; 8], [0.0; 8]]);
    let mut levels =
        Levels { min: lowest(&min(low[0], low[1])), max: highest(&max(high[0], high[1])), sum, sum_squares };
    for x in rest {
        levels.min = if *x < levels.min { *x } else { levels.min };
        levels.max = if *x > levels.max { *x } else { levels.max };
        levels.sum += x;
        levels.sum_squares = mul_add::<FMA>(*x, *x, levels.sum_squares);
    }
    levels
}

/// Replaces every sample that is no audio by silence, so that it poisons no filter, and counts them.
#[cold]
pub fn silence_damage(samples: &mut [f32]) -> u32 {
    let mut count = 0;
    for x in samples {
        if x.is_nan() || x.abs() > LARGEST_AUDIO {
            *x = 0.0;
            count += 1;
        }
    }
    count
}

/// Whether the largest or the smallest sample occurs at least four times: without that there is no flat top to look for.
#[inline(always)]
pub fn touches_extreme_often(samples: &[f32], levels: &Levels) -> bool {
    let (mut at_max, mut at_min) = ([0u32; 8], [0u32; 8]);
    let (rows, rest) = samples.as_chunks::<8>();
    for row in rows {
        for lane in 0..8 {
            at_max[lane] += u32::from(row[lane] == levels.max);
        }
        for lane in 0..8 {
            at_min[lane] += u32::from(row[lane] == levels.min);
        }
    }
    let rest_max = rest.iter().filter(|x| **x == levels.max).count() as u32;
    let rest_min = rest.iter().filter(|x| **x == levels.min).count() as u32;
    at_max.iter().sum::<u32>() + rest_max >= 4 || at_min.iter().sum::<u32>() + rest_min >= 4
}
