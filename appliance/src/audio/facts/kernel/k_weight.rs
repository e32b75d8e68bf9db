//! K-weighting of ITU-R BS.1770-4 for eight channels at once, and the energy that is left.
//!
//! In f64: the 38 Hz high-pass has its poles 0.005 from the unit circle, where f32 states lose the quiet signal under
//! a loud one. Eight f64 lanes are two AVX2 registers, and the recursion waits on latency anyway, so it costs little.

use super::{
    LANES,
    vector::{D, add_d, fma_d, mul_d},
};
use crate::audio::facts::hop::PARTS;

/// Frames brought together per turn from eight rows to vectors of eight channels: 1.5 KB, well inside the first cache.
const TILE: usize = 48;

/// Below this a filter memory is taken as zero: it would otherwise decay into denormals, which some processors
/// compute a hundred times slower. Far under the -200 dBFS floor even when squared and summed.
const FORGET_BELOW: f64 = 1e-30;

/// Two biquads in cascade, each coefficient in every lane; `a0` is 1 and the high-pass numerator is 1, -2, 1.
pub struct KCoefficients {
    shelf_b: [D; 3],
    shelf_minus_a: [D; 2],
    high_pass_minus_a: [D; 2],
}

impl KCoefficients {
    /// The filters of BS.1770-4, given there only for 48 kHz, at any rate: its analogue prototypes recovered by
    /// B. De Man, "Evaluation of implementations of the EBU R128 loudness measurement" (AES 145), bilinear transform.
    pub fn for_rate(rate: u32) -> Self {
        let warp = |hz: f64| (std::f64::consts::PI * hz / f64::from(rate)).tan();
        let (k, q) = (warp(1_681.974_450_955_533), 0.707_175_236_955_419_6);
        let high = 10f64.powf(3.999_843_853_973_347 / 20.0);
        let band = high.powf(0.499_666_774_154_541_6);
        let a0 = 1.0 + k / q + k * k;
        let shelf_b =
            [(high + band * k / q + k * k) / a0, 2.0 * (k * k - high) / a0, (high - band * k / q + k * k) / a0];
        let shelf_a = [2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0];
        let (k, q) = (warp(38.135_470_876_024_44), 0.500_327_037_323_877_3);
        let a0 = 1.0 + k / q + k * k;
        let high_pass_a = [2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0];
        Self {
            shelf_b: shelf_b.map(|b| [b; LANES]),
            shelf_minus_a: shelf_a.map(|a| [-a; LANES]),
            high_pass_minus_a: high_pass_a.map(|a| [-a; LANES]),
        }
    }
}

/// The four memories of the cascade, by halves of the lanes.
#[derive(Default)]
pub struct KState([D; 4]);

/// Filters the hop of every row (`stride` samples each, the hop behind `history`) and returns its K-weighted energy
/// per part of the hop and lane.
#[inline(always)]
pub fn energies<const FMA: bool>(
    k: &KCoefficients,
    state: &mut KState,
    samples: &[f32],
    stride: usize,
    history: usize,
) -> [[f64; LANES]; PARTS] {
    let frames = stride - history;
    let mut tile = [[0.0f32; LANES]; TILE];
    let mut energies = [[0.0f64; LANES]; PARTS];
    for (part, energy) in energies.iter_mut().enumerate() {
        let (mut at, end) = (part * frames / PARTS, (part + 1) * frames / PARTS);
        while at < end {
            let count = TILE.min(end - at);
            let tile = &mut tile[..count];
            for (lane, row) in samples.chunks_exact(stride).enumerate().take(LANES) {
                for (vector, sample) in tile.iter_mut().zip(&row[history + at..]) {
                    vector[lane] = *sample;
                }
            }
            filter::<FMA>(k, state, tile, energy);
            at += count;
        }
    }
    for memory in state.0.as_flattened_mut() {
        if memory.abs() < FORGET_BELOW {
            *memory = 0.0;
        }
    }
    energies
}

#[inline(always)]
fn filter<const FMA: bool>(k: &KCoefficients, state: &mut KState, tile: &[[f32; LANES]], energy: &mut [f64; LANES]) {
    let mut z = state.0;
    let mut sum = *energy;
    for vector in tile {
        let w = step::<FMA>(k, &mut z, widen(vector));
        sum = fma_d::<FMA>(w, w, sum);
    }
    state.0 = z;
    *energy = sum;
}

#[inline(always)]
fn widen(vector: &[f32; LANES]) -> D {
    let mut wide = [0.0; LANES];
    for lane in 0..LANES {
        wide[lane] = f64::from(vector[lane]);
    }
    wide
}

/// One frame through both biquads (transposed direct form II).
#[inline(always)]
fn step<const FMA: bool>(k: &KCoefficients, z: &mut [D; 4], x: D) -> D {
    let y = fma_d::<FMA>(k.shelf_b[0], x, z[0]);
    z[0] = fma_d::<FMA>(k.shelf_minus_a[0], y, fma_d::<FMA>(k.shelf_b[1], x, z[1]));
    z[1] = fma_d::<FMA>(k.shelf_minus_a[1], y, mul_d(k.shelf_b[2], x));
    let w = add_d(y, z[2]);
    z[2] = fma_d::<FMA>(k.high_pass_minus_a[0], w, fma_d::<FMA>([-2.0; LANES], y, z[3]));
    z[3] = fma_d::<FMA>(k.high_pass_minus_a[1], w, y);
    w
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_silence_the_memories_come_to_rest_at_zero() {
        let k = KCoefficients::for_rate(48_000);
        let mut state = KState::default();
        let mut rows = vec![0.0f32; LANES * 2400];
        rows[2399] = 1.0;
        assert!(energies::<false>(&k, &mut state, &rows, 2400, 0)[PARTS - 1][0] > 1.0);
        rows[2399] = 0.0;
        // A second: long enough to fall under the limit, a third of what it takes to reach the denormals.
        for _ in 0..20 {
            energies::<false>(&k, &mut state, &rows, 2400, 0);
        }
        assert!(state.0.as_flattened().iter().all(|memory| *memory == 0.0));
    }
}
