//! The arithmetic that touches every sample of a hop: levels, K-weighted energy, true peak, hum decimation.
//!
//! Two ways to be eight wide: what has no memory (levels, FIR filters) runs eight *samples* of one channel per vector,
//! so two channels cost two and not eight; what has memory (the K-weighting recursion) runs eight *channels* per vector.
//! Everything is plain loops over arrays that the compiler vectorises; the same source is compiled twice, for the
//! baseline and for AVX2 with FMA, and [`Path`] is chosen at run time. Not here: what the numbers mean (the parent).

mod decimate;
mod k_weight;
mod levels;
mod true_peak;
pub(super) mod vector;
mod window;

use super::{ChannelState, Options, clip, hop::ChannelHop, hum};
use decimate::Decimator;
use k_weight::{KCoefficients, KState};
use true_peak::Oversampler;

/// Channels per vector of the recursive filters: 8 x f64 is two AVX2 registers, two chains that hide each other's latency.
pub(super) const LANES: usize = 8;

/// Which compiled copy of the arithmetic runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Path {
    /// The fastest copy this machine can run.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Path::Avx2;
        }
        Path::Plain
    }
}

/// What is the same for all channels: coefficients, tables, sizes.
pub(super) struct Plan {
    path: Path,
    /// Frames per hop.
    pub(super) frames: usize,
    /// Samples kept in front of each hop for the FIR filters.
    history: usize,
    k: KCoefficients,
    true_peak: Option<Oversampler>,
    hum: Option<(Decimator, hum::Plan)>,
}

impl Plan {
    pub(super) fn new(rate: u32, frames: usize, options: &Options, path: Path) -> Self {
        let true_peak = options.true_peak.then(|| Oversampler::for_rate(rate));
        let hum = options.hum.then(|| hum::Plan::for_rate(rate)).flatten();
        let hum = hum.map(|plan| (Decimator::new(rate, plan.decimation, hum::HIGHEST_HZ), plan));
        let history = hum.as_ref().map_or(0, |(fir, _)| fir.taps()).max(true_peak::HISTORY);
        Self { path, frames, history, k: KCoefficients::for_rate(rate), true_peak, hum }
    }

    /// A fresh hum detector per channel, if hum is measured at this rate.
    pub(super) fn new_hum(&self) -> Option<hum::Hum> {
        self.hum.as_ref().map(|(_, plan)| hum::Hum::new(plan))
    }
}

/// The samples and filter memories of up to eight channels.
pub(super) struct Group {
    /// `LANES` rows of `stride` samples: the history, then the hop being filled. Unused rows stay zero.
    samples: Box<[f32]>,
    stride: usize,
    k: KState,
    /// Frame of the coming hop at which the hum decimator gives its next output.
    next_decimated: usize,
}

impl Group {
    pub(super) fn new(plan: &Plan) -> Self {
        let stride = plan.history + plan.frames;
        let mut group =
            Self { samples: vec![0.0; LANES * stride].into(), stride, k: KState::default(), next_decimated: 0 };
        group.reset(plan);
        group
    }

    /// Forgets all samples and filter memories.
    pub(super) fn reset(&mut self, plan: &Plan) {
        self.samples.fill(0.0);
        self.k = KState::default();
        self.next_decimated = plan.hum.as_ref().map_or(0, |(_, hum)| hum.decimation - 1);
    }

    /// Where `block` samples of channel `lane` go when `filled` frames of the hop are there already.
    pub(super) fn room(&mut self, plan: &Plan, lane: usize, filled: usize, block: usize) -> &mut [f32] {
        let start = lane * self.stride + plan.history + filled;
        &mut self.samples[start..start + block]
    }

    /// Measures the full hop of all channels of this group, then keeps its tail as history.
    pub(super) fn measure(&mut self, plan: &Plan, channels: &mut [ChannelState], out: &mut [ChannelHop]) {
        match plan.path {
            Path::Plain => measure::<false>(plan, self, channels, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Path::best` is the only maker of `Avx2` and found both features on this machine.
            Path::Avx2 => unsafe { measure_avx2(plan, self, channels, out) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn measure_avx2(plan: &Plan, group: &mut Group, channels: &mut [ChannelState], out: &mut [ChannelHop]) {
    measure::<true>(plan, group, channels, out);
}

#[inline(always)]
fn measure<const FMA: bool>(plan: &Plan, group: &mut Group, channels: &mut [ChannelState], out: &mut [ChannelHop]) {
    let rows = group.samples.chunks_exact_mut(group.stride);
    for ((row, channel), hop) in rows.zip(channels.iter_mut()).zip(out.iter_mut()) {
        *hop = measure_row::<FMA>(plan, row, group.next_decimated, channel);
    }
    if let Some((_, hum)) = &plan.hum {
        group.next_decimated +=
            plan.frames.saturating_sub(group.next_decimated).div_ceil(hum.decimation) * hum.decimation;
        group.next_decimated -= plan.frames;
    }
    let energies = k_weight::energies::<FMA>(&plan.k, &mut group.k, &group.samples, group.stride, plan.history);
    for (lane, hop) in out.iter_mut().enumerate() {
        hop.k_parts = energies.map(|part| part[lane] as f32);
        hop.k_sum_squares = hop.k_parts.iter().sum();
    }
    for row in group.samples.chunks_exact_mut(group.stride) {
        row.copy_within(plan.frames.., 0);
    }
}

/// One channel: everything that needs only its own samples.
#[inline(always)]
fn measure_row<const FMA: bool>(
    plan: &Plan,
    row: &mut [f32],
    next_decimated: usize,
    channel: &mut ChannelState,
) -> ChannelHop {
    let (_, hop_samples) = row.split_at_mut(plan.history);
    let mut levels = levels::levels::<FMA>(hop_samples);
    let mut non_finite = 0;
    if levels.have_damage() {
        non_finite = levels::silence_damage(hop_samples);
        levels = levels::levels::<FMA>(hop_samples);
    }
    let peak = levels.max.max(-levels.min);
    let clipped = channel.rail.count(hop_samples, peak) + non_finite;
    let flat_runs = if peak >= clip::FLAT_TOP_MIN && levels::touches_extreme_often(hop_samples, &levels) {
        clip::flat_runs(hop_samples, levels.max) + clip::flat_runs(hop_samples, levels.min)
    } else {
        0
    };
    channel.flat_top.add(peak, flat_runs, hop_samples.len() as u32);
    // No closures around FMA code: they are compiled without the features of the function they stand in.
    let true_peak = match &plan.true_peak {
        Some(oversampler) => oversampler.peak::<FMA>(&row[plan.history - true_peak::HISTORY..], peak),
        None => f32::NAN,
    };
    if let (Some((decimator, hum_plan)), Some(hum)) = (&plan.hum, &mut channel.hum) {
        let start = plan.history + 1 + next_decimated - decimator.taps();
        let mut decimated = [0.0f32; hum::PER_HOP_MAX];
        let count = decimator.run::<FMA>(row, start, &mut decimated);
        hum.push::<FMA>(hum_plan, &decimated[..count]);
    }
    ChannelHop {
        peak,
        true_peak,
        sum_squares: levels.sum_squares,
        sum: levels.sum,
        clipped,
        min: levels.min,
        max: levels.max,
        non_finite,
        ..ChannelHop::default()
    }
}
