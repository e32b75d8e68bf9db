//! Mains hum: do the harmonics of 50 or 60 Hz stand out of their surroundings, second after second?
//!
//! Works on the signal decimated to about 2 kHz, one Hann window a second, at 50 or 60 Hz and harmonics 2 to 10 and the
//! frequencies 4 to 7 Hz to either side. A harmonic stands out when it is 10 dB over the median of its eight neighbours.
//! All lines are multiples of 10 Hz, so the window is folded to a tenth of a second before the transform: what
//! Goertzel would give, for a tenth of the work. Rates without a divisor that leaves a multiple of 10 (11025) have none.

use super::{
    hop::power_dbfs,
    kernel::vector::{dot, mul_add},
};

/// The highest frequency looked at: the tenth harmonic of 60 Hz and its neighbours.
pub(super) const HIGHEST_HZ: f64 = 607.0;
/// Decimated rates that fit; below, the decimation filter would need too many taps.
const DECIMATED: std::ops::RangeInclusive<u32> = 2000..=4000;
/// Decimated samples of one hop at most: a twentieth of 4000, and one for a hop that is not a multiple.
pub(super) const PER_HOP_MAX: usize = 201;
/// Samples of a folded window at most: 4000 / 10.
const FOLDED_MAX: usize = 400;
/// Distance of the neighbours in Hz: outside the window's main lobe (+-2 Hz), inside +-7 Hz.
const NEIGHBOURS: [usize; 4] = [4, 5, 6, 7];
const HARMONICS: usize = 10;
/// A line stands out at ten times the power of the median neighbour; so does the whole.
const MARGIN: f32 = 10.0;
/// Alarm threshold for the sum of harmonics, dBFS.
const LEVEL_DBFS: f32 = -55.0;
/// A line under -85 dBFS is no harmonic, mean square: 30 dB under the threshold it adds nothing to hum, and next to a
/// loud pure tone in a quiet digital signal even the rounding of f32 stands out of its neighbours.
const LINE_MIN: f32 = 3.2e-9;
/// A bass line on 50 Hz is one or two lines; mains are more.
const LEAST_HARMONICS: u32 = 3;
/// Seconds it must last.
const HELD_SECONDS: u32 = 10;
/// Seconds for which loud programme over the lines keeps a verdict alive.
const MASKED_SECONDS: u32 = 60;

/// The two mains frequencies of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mains {
    Hz50,
    Hz60,
}

/// Hum at one mains frequency in the last full second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Power of those harmonics that stand out, together, dBFS RMS; the floor if none does.
    pub level_dbfs: f32,
    /// The same over the median neighbours of the same harmonics, dB; 0 if none stands out.
    pub margin_db: f32,
    /// How many of the ten stand out.
    pub harmonics: u32,
    /// Programme around the lines is so loud that hum at the threshold could not stand out.
    pub is_masked: bool,
}

/// Tables shared by all channels.
pub struct Plan {
    /// Input samples per decimated sample.
    pub(super) decimation: usize,
    /// Decimated samples per second, the length of a window.
    length: usize,
    /// Hann window times cosine and sine of 0, 4, 5, 6, 7 Hz.
    offsets: Vec<[Box<[f32]>; 2]>,
    /// Cosine and sine of each line over a folded window: ten of 50 Hz, then ten of 60 Hz.
    lines: Vec<[Box<[f32]>; 2]>,
}

impl Plan {
    /// `None` if no decimated rate fits.
    pub(super) fn for_rate(rate: u32) -> Option<Self> {
        let fits = |d: &u32| rate.is_multiple_of(d * 10) && DECIMATED.contains(&(rate / d));
        let decimation = (1..=rate / DECIMATED.start()).rev().find(fits)?;
        let length = (rate / decimation) as usize;
        let turn = |hz: usize, n: usize| std::f64::consts::TAU * ((hz * n) % length) as f64 / length as f64;
        let table = |count: usize, value: &dyn Fn(usize) -> f64| (0..count).map(|n| value(n) as f32).collect();
        let hann = |n: usize| 0.5 - 0.5 * turn(1, n).cos();
        let offsets = [0].iter().chain(&NEIGHBOURS).map(|&hz| {
            [table(length, &|n| hann(n) * turn(hz, n).cos()), table(length, &|n| hann(n) * turn(hz, n).sin())]
        });
        let offsets = offsets.collect();
        let lines = [50, 60].iter().flat_map(|base| (1..=HARMONICS).map(move |h| base * h));
        let lines =
            lines.map(|hz| [table(length / 10, &|n| turn(hz, n).cos()), table(length / 10, &|n| turn(hz, n).sin())]);
        let lines = lines.collect();
        Some(Self { decimation: decimation as usize, length, offsets, lines })
    }

    /// Power (mean square of a sine there) at each line, and the median power of its neighbours.
    #[inline(always)]
    fn spectrum<const FMA: bool>(&self, window: &[f32]) -> ([f32; 2 * HARMONICS], [f32; 2 * HARMONICS]) {
        let mut lines = [0.0f32; 2 * HARMONICS];
        let mut around = [[0.0f32; 2 * NEIGHBOURS.len()]; 2 * HARMONICS];
        let (mut re, mut im) = ([0.0f32; FOLDED_MAX], [0.0f32; FOLDED_MAX]);
        for (index, [cos, sin]) in self.offsets.iter().enumerate() {
            let re = fold::<FMA>(window, cos, &mut re);
            let im = fold::<FMA>(window, sin, &mut im);
            for (line, [cos, sin]) in self.lines.iter().enumerate().take(2 * HARMONICS) {
                // exp(-i(line + offset)) = exp(-i line) exp(-i offset); the lower neighbour has the offset conjugated.
                let (re_cos, re_sin) = (dot::<FMA>(re, cos), dot::<FMA>(re, sin));
                let (im_cos, im_sin) = (dot::<FMA>(im, cos), dot::<FMA>(im, sin));
                let upper = square(re_cos - im_sin) + square(re_sin + im_cos);
                let lower = square(re_cos + im_sin) + square(re_sin - im_cos);
                match index {
                    0 => lines[line] = upper,
                    _ => (around[line][2 * index - 2], around[line][2 * index - 1]) = (lower, upper),
                }
            }
        }
        // A sine of amplitude A gives |X| = A N / 4 under a Hann window; its mean square is A^2 / 2.
        let scale = 8.0 / square(self.length as f32);
        (lines.map(|power| power * scale), around.map(|powers| median(powers) * scale))
    }
}

/// Multiplies and lays ten tenths of a window over each other.
#[inline(always)]
fn fold<'a, const FMA: bool>(window: &[f32], table: &[f32], folded: &'a mut [f32; FOLDED_MAX]) -> &'a [f32] {
    let tenth = (window.len() / 10).min(FOLDED_MAX);
    let folded = &mut folded[..tenth];
    folded.fill(0.0);
    for (samples, factors) in window.chunks_exact(tenth.max(1)).zip(table.chunks_exact(tenth.max(1))) {
        for ((sum, x), factor) in folded.iter_mut().zip(samples).zip(factors) {
            *sum = mul_add::<FMA>(*x, *factor, *sum);
        }
    }
    folded
}

fn square(x: f32) -> f32 {
    x * x
}

fn median(mut powers: [f32; 2 * NEIGHBOURS.len()]) -> f32 {
    powers.sort_unstable_by(f32::total_cmp);
    (powers[NEIGHBOURS.len() - 1] + powers[NEIGHBOURS.len()]) / 2.0
}

/// The hum of one channel.
#[derive(Debug)]
pub struct Hum {
    window: Box<[f32]>,
    filled: usize,
    levels: Option<[Level; 2]>,
    held: [Held; 2],
}

#[derive(Debug, Default)]
struct Held {
    seconds: u32,
    masked: u32,
}

impl Hum {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { window: vec![0.0; plan.length].into(), filled: 0, levels: None, held: Default::default() }
    }

    /// Takes the decimated samples of a hop; evaluates when a second is full.
    #[inline(always)]
    pub(super) fn push<const FMA: bool>(&mut self, plan: &Plan, mut samples: &[f32]) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.window.len() - self.filled));
            self.window[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            samples = later;
            if self.filled == self.window.len() {
                self.filled = 0;
                let (lines, around) = plan.spectrum::<FMA>(&self.window);
                self.judge(&lines, &around);
            }
        }
    }

    fn judge(&mut self, lines: &[f32], around: &[f32]) {
        let (lines_50, lines_60) = lines.split_at(HARMONICS);
        let (around_50, around_60) = around.split_at(HARMONICS);
        let levels = [Level::of(lines_50, around_50), Level::of(lines_60, around_60)];
        for (held, level) in self.held.iter_mut().zip(&levels) {
            held.add(level);
        }
        self.levels = Some(levels);
    }

    /// Forgets the second being gathered.
    pub(super) fn discard_window(&mut self) {
        self.filled = 0;
    }

    /// Hum in the last full second; `None` before the first.
    pub fn level(&self, mains: Mains) -> Option<Level> {
        self.levels.map(|[hz50, hz60]| match mains {
            Mains::Hz50 => hz50,
            Mains::Hz60 => hz60,
        })
    }

    /// Which mains hums: at least three harmonics, together over -55 dBFS and 10 dB over their neighbours, for ten
    /// seconds. Speech loud enough to cover the lines neither adds to the ten seconds nor ends them.
    pub fn is_hum(&self) -> Option<Mains> {
        let [hz50, hz60] = &self.held;
        if hz50.seconds.max(hz60.seconds) < HELD_SECONDS {
            None
        } else if hz50.seconds >= hz60.seconds {
            Some(Mains::Hz50)
        } else {
            Some(Mains::Hz60)
        }
    }
}

impl Held {
    fn add(&mut self, level: &Level) {
        if level.is_hum() {
            self.seconds = self.seconds.saturating_add(1);
            self.masked = 0;
        } else if level.is_masked && self.masked < MASKED_SECONDS {
            self.masked += 1;
        } else {
            *self = Self::default();
        }
    }
}

impl Level {
    fn of(lines: &[f32], around: &[f32]) -> Self {
        let (mut power, mut neighbours, mut harmonics) = (0.0f32, 0.0f32, 0);
        for (line, around) in lines.iter().zip(around) {
            if *line > LINE_MIN && *line > MARGIN * around {
                power += line;
                neighbours += around;
                harmonics += 1;
            }
        }
        // Neighbours of a synthetic signal may be exactly nothing; 150 dB is as good as infinite.
        let margin_db = if harmonics > 0 { 10.0 * (power / neighbours.max(1e-15 * power)).log10() } else { 0.0 };
        let threshold = 10f32.powf(LEVEL_DBFS / 10.0);
        let is_masked = around.iter().sum::<f32>() * MARGIN > threshold;
        Self { level_dbfs: power_dbfs(f64::from(power)), margin_db, harmonics, is_masked }
    }

    /// This second counts as hum.
    pub fn is_hum(&self) -> bool {
        self.harmonics >= LEAST_HARMONICS && self.level_dbfs > LEVEL_DBFS
    }
}
