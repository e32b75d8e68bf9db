//! Two channels that should not be alike, or not be opposite: inverted pairs, duplicates, delayed duplicates.
//!
//! Correlation at zero lag over every 400 ms from every sample. Once in 10 s one second of both channels is searched for
//! the best lag within 120 ms either way: coarsely by FFT cross-correlation at ~8 kHz, then exactly at full rate. Only the
//! pairs that someone configured are measured. Not here: what to do about it. Thresholds: AUDIO.md 2.2, polarity.

use super::speech::{Decimator, History};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Below this mean square (-50 dBFS) a window says nothing about its pair.
const AUDIBLE: f64 = 1e-5;
/// An inverted pair correlates below this.
const INVERTED_BELOW: f64 = -0.7;
/// A duplicate correlates above this, either sign...
const DUPLICATE_ABOVE: f64 = 0.999;
/// ... with gains this close, dB.
const SAME_GAIN_DB: f64 = 0.1;
/// How long an inversion must hold to be one.
const INVERTED_SECONDS: f64 = 10.0;
/// A search looks at one second ...
const SEARCH_SECONDS: f64 = 1.0;
/// ... once in this many ...
const SEARCH_EVERY_SECONDS: f64 = 10.0;
/// ... as far as this: sound needs 120 ms for 40 m, and a loop through a network console less.
const FURTHEST_SECONDS: f64 = 0.12;

/// Measures configured pairs of one stream.
pub struct Pairs {
    rate: u32,
    decimator: Decimator,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    pairs: Vec<Pair>,
}

/// What is known of one pair.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PairFacts {
    /// Pearson-like r (no mean removed) at zero lag over the last full 400 ms, -1..1; `None` below -50 dBFS on either side.
    pub correlation: Option<f32>,
    /// Frames by which the second channel is later than the first (negative: earlier), at the greatest |r| within
    /// 120 ms; from the last search, `None` when it was too quiet.
    pub delay_frames: Option<i64>,
    /// r at that delay.
    pub correlation_at_delay: Option<f32>,
    /// Level of the second over the first channel, dB, over the last full 400 ms; `None` below -50 dBFS.
    pub gain_db: Option<f32>,
    /// Seconds of sound for which r has stayed below -0.7. Quiet windows neither count nor end it.
    pub inverted_seconds: f64,
    /// Seconds of sound for which the pair has been one signal: in steps of 0.4 s without delay; with one,
    /// 1 s for the first search that shows it and 10 s for each that follows.
    pub duplicate_seconds: f64,
}

struct Pair {
    first: usize,
    second: usize,
    sums: Sums,
    window_frames: usize,
    search: Vec<[f32; 2]>,
    wait_frames: usize,
    aligned_seconds: f64,
    delayed_seconds: f64,
    facts: PairFacts,
}

#[derive(Default, Clone, Copy)]
struct Sums {
    xx: f64,
    yy: f64,
    xy: f64,
}

impl PairFacts {
    /// Has the inversion held for its 10 s?
    pub fn is_inverted(&self) -> bool {
        self.inverted_seconds >= INVERTED_SECONDS - 1e-6
    }
}

impl Pairs {
    /// For a stream at `rate` frames per second; `pairs` are channel numbers from 0.
    pub fn new(rate: u32, pairs: &[(usize, usize)]) -> Self {
        let decimator = Decimator::new(rate);
        let length = (SEARCH_SECONDS + 2.0 * FURTHEST_SECONDS) * f64::from(rate) / decimator.factor() as f64;
        let mut planner = RealFftPlanner::<f32>::new();
        let size = (length as usize).next_power_of_two();
        // Searches of different pairs fall on different blocks, so that no block pays for all.
        let wait = |n: usize| (n % 16) * rate as usize / 16;
        Self {
            rate,
            forward: planner.plan_fft_forward(size),
            inverse: planner.plan_fft_inverse(size),
            pairs: pairs.iter().enumerate().map(|(n, (a, b))| Pair::new(*a, *b, wait(n))).collect(),
            decimator,
        }
    }

    /// Takes one block: one slice per channel, all equally long. A pair whose channels are not there stays as it is.
    pub fn push(&mut self, planar: &[&[f32]]) {
        for index in 0..self.pairs.len() {
            let (first, second) = (self.pairs[index].first, self.pairs[index].second);
            let (Some(first), Some(second)) = (planar.get(first), planar.get(second)) else { continue };
            self.pairs[index].add(self.rate, first, second);
            let (mut at, frames) = (0, first.len().min(second.len()));
            while at < frames {
                at += self.pairs[index].take_in(self.rate, &first[at..frames], &second[at..frames]);
                if self.pairs[index].search.len() == search_frames(self.rate) {
                    self.finish_search(index);
                }
            }
        }
    }

    fn finish_search(&mut self, index: usize) {
        let mut samples = std::mem::take(&mut self.pairs[index].search);
        let found = self.search(&samples);
        // The memory is kept for the next search.
        samples.clear();
        let pair = &mut self.pairs[index];
        pair.found(found);
        pair.search = samples;
        pair.wait_frames = (SEARCH_EVERY_SECONDS * f64::from(self.rate)) as usize - search_frames(self.rate);
    }

    /// Frames were lost: half-filled windows are dropped, counted seconds go on.
    pub fn reset_after_gap(&mut self) {
        for pair in &mut self.pairs {
            (pair.sums, pair.window_frames) = (Sums::default(), 0);
            pair.search.clear();
        }
    }

    /// The facts of pair `n`, in the order given to `new`; empty facts if there is no such pair.
    pub fn facts(&self, n: usize) -> PairFacts {
        self.pairs.get(n).map(|pair| pair.facts).unwrap_or_default()
    }

    /// Best lag of the second channel against the first, with the sums there. `None` when either is too quiet.
    fn search(&self, samples: &[[f32; 2]]) -> Option<(i64, Sums)> {
        let furthest = (FURTHEST_SECONDS * f64::from(self.rate)) as i64;
        if !sums_at(samples, 0).is_audible(samples.len()) {
            return None;
        }
        let factor = self.decimator.factor() as i64;
        let coarse = self.coarse_lag(samples, furthest / factor)? * factor;
        (coarse - factor..=coarse + factor)
            .filter(|lag| lag.abs() <= furthest)
            .map(|lag| (lag, sums_at(samples, lag)))
            .max_by(|a, b| a.1.correlation().abs().total_cmp(&b.1.correlation().abs()))
    }

    /// Lag of the greatest |cross-correlation| at the decimated rate, within `furthest` either way.
    fn coarse_lag(&self, samples: &[[f32; 2]], furthest: i64) -> Option<i64> {
        let mut scratch = vec![Default::default(); self.forward.get_scratch_len().max(self.inverse.get_scratch_len())];
        let mut spectra = Vec::with_capacity(2);
        for side in 0..2 {
            let full: Vec<f32> = samples.iter().map(|frame| frame[side]).collect();
            let mut time = Vec::with_capacity(self.forward.len());
            self.decimator.push(&mut History::default(), &full, &mut time);
            if side == 0 {
                // Only the middle of the first channel, so that every lag within reach has as many products.
                let reach = (furthest as usize).min(time.len() / 2);
                let end = time.len() - reach;
                time[..reach].fill(0.0);
                time[end..].fill(0.0);
            }
            time.resize(self.forward.len(), 0.0);
            let mut spectrum = self.forward.make_output_vec();
            self.forward.process_with_scratch(&mut time, &mut spectrum, &mut scratch).ok()?;
            spectra.push(spectrum);
        }
        let mut product: Vec<_> = spectra[0].iter().zip(&spectra[1]).map(|(x, y)| x.conj() * y).collect();
        // The ends of a real signal's spectrum are real; rounding must not say otherwise.
        for end in [0, product.len() - 1] {
            product[end].im = 0.0;
        }
        let mut correlation = self.inverse.make_output_vec();
        self.inverse.process_with_scratch(&mut product, &mut correlation, &mut scratch).ok()?;
        let size = correlation.len() as i64;
        let at = |lag: i64| correlation[lag.rem_euclid(size) as usize].abs();
        (-furthest..=furthest).max_by(|a, b| at(*a).total_cmp(&at(*b)))
    }
}

impl Pair {
    fn new(first: usize, second: usize, wait_frames: usize) -> Self {
        Self {
            first,
            second,
            sums: Sums::default(),
            window_frames: 0,
            search: Vec::new(),
            wait_frames,
            aligned_seconds: 0.0,
            delayed_seconds: 0.0,
            facts: PairFacts::default(),
        }
    }

    /// Adds to the 400 ms window and closes it as often as it fills.
    fn add(&mut self, rate: u32, first: &[f32], second: &[f32]) {
        let window = rate as usize * 2 / 5;
        let mut frames = first.iter().zip(second);
        let mut left = first.len().min(second.len());
        while left > 0 {
            let now = left.min(window - self.window_frames);
            frames.by_ref().take(now).for_each(|(x, y)| self.sums.add(*x, *y));
            self.window_frames += now;
            left -= now;
            if self.window_frames == window {
                self.close_window(window, window as f64 / f64::from(rate));
                (self.sums, self.window_frames) = (Sums::default(), 0);
            }
        }
    }

    fn close_window(&mut self, frames: usize, seconds: f64) {
        if !self.sums.is_audible(frames) {
            (self.facts.correlation, self.facts.gain_db) = (None, None);
            return;
        }
        let r = self.sums.correlation();
        self.facts.correlation = Some(r as f32);
        self.facts.gain_db = Some(self.sums.gain_db() as f32);
        self.facts.inverted_seconds = if r < INVERTED_BELOW { self.facts.inverted_seconds + seconds } else { 0.0 };
        self.aligned_seconds = if self.sums.is_duplicate() { self.aligned_seconds + seconds } else { 0.0 };
        self.facts.duplicate_seconds = self.aligned_seconds.max(self.delayed_seconds);
    }

    /// Collects what a search needs, waits until it is due; returns the frames taken, at least one.
    fn take_in(&mut self, rate: u32, first: &[f32], second: &[f32]) -> usize {
        if self.wait_frames > 0 {
            let skipped = self.wait_frames.min(first.len());
            self.wait_frames -= skipped;
            return skipped;
        }
        let taken = (search_frames(rate) - self.search.len()).min(first.len());
        let frames = first[..taken].iter().zip(&second[..taken]);
        self.search.extend(frames.map(|(x, y)| [finite(*x), finite(*y)]));
        taken
    }

    fn found(&mut self, found: Option<(i64, Sums)>) {
        self.facts.delay_frames = found.map(|(lag, _)| lag);
        self.facts.correlation_at_delay = found.map(|(_, sums)| sums.correlation() as f32);
        if let Some((lag, sums)) = found {
            let is_delayed = lag != 0 && sums.is_duplicate();
            let since_last = if self.delayed_seconds > 0.0 { SEARCH_EVERY_SECONDS } else { SEARCH_SECONDS };
            self.delayed_seconds = if is_delayed { self.delayed_seconds + since_last } else { 0.0 };
        }
        self.facts.duplicate_seconds = self.aligned_seconds.max(self.delayed_seconds);
    }
}

impl Sums {
    fn add(&mut self, x: f32, y: f32) {
        let (x, y) = (f64::from(finite(x)), f64::from(finite(y)));
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    fn is_audible(&self, frames: usize) -> bool {
        self.xx.min(self.yy) > AUDIBLE * frames as f64
    }

    /// 0 for silence.
    fn correlation(&self) -> f64 {
        let energy = (self.xx * self.yy).sqrt();
        if energy > 0.0 { (self.xy / energy).clamp(-1.0, 1.0) } else { 0.0 }
    }

    fn gain_db(&self) -> f64 {
        10.0 * (self.yy / self.xx).log10()
    }

    fn is_duplicate(&self) -> bool {
        self.correlation().abs() > DUPLICATE_ABOVE && self.gain_db().abs() < SAME_GAIN_DB
    }
}

/// One second and the furthest lag on either side.
fn search_frames(rate: u32) -> usize {
    ((SEARCH_SECONDS + 2.0 * FURTHEST_SECONDS) * f64::from(rate)) as usize
}

/// Sums over the frames that both channels have when the second is `lag` frames later.
fn sums_at(samples: &[[f32; 2]], lag: i64) -> Sums {
    let shift = (lag.unsigned_abs() as usize).min(samples.len());
    let (early, late) = (&samples[..samples.len() - shift], &samples[shift..]);
    let (first, second) = if lag >= 0 { (early, late) } else { (late, early) };
    let mut sums = Sums::default();
    first.iter().zip(second).for_each(|(x, y)| sums.add(x[0], y[1]));
    sums
}

/// A broken sample counts as silence, so that it cannot poison a sum.
fn finite(x: f32) -> f32 {
    if x.is_finite() { x } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::speech::signals::{Chance, Kind, babbler, make};

    const RATE: u32 = 16_000;

    fn facts(first: &[f32], second: &[f32]) -> PairFacts {
        let mut pairs = Pairs::new(RATE, &[(0, 1)]);
        first.chunks(512).zip(second.chunks(512)).for_each(|(x, y)| pairs.push(&[x, y]));
        pairs.facts(0)
    }

    fn talker(seed: u64) -> Vec<f32> {
        babbler(RATE, 12 * RATE as usize, seed).iter().map(|x| 0.1 * x).collect()
    }

    fn later(samples: &[f32], frames: usize) -> Vec<f32> {
        [&vec![0.0; frames], &samples[..samples.len() - frames]].concat()
    }

    #[test]
    fn an_inverted_pair_is_found_after_ten_seconds() {
        let hiss: Vec<f32> = make(Kind::Pink, RATE, 11 * RATE as usize, 1).iter().map(|x| 0.1 * x).collect();
        let inverse: Vec<f32> = hiss.iter().map(|x| -0.8 * x).collect();
        let long = facts(&hiss, &inverse);
        assert!(long.is_inverted() && long.correlation.unwrap() < -0.99, "{long:?}");
        let cut = 9 * RATE as usize;
        assert!(!facts(&hiss[..cut], &inverse[..cut]).is_inverted());
    }

    #[test]
    fn pauses_do_not_end_an_inversion() {
        let mut voice = talker(3);
        (0..12).step_by(3).for_each(|s| voice[s * RATE as usize..(s + 1) * RATE as usize].fill(0.0));
        let inverse: Vec<f32> = voice.iter().map(|x| -x).collect();
        assert!(facts(&voice, &inverse).inverted_seconds > 5.0);
    }

    #[test]
    fn a_duplicate_is_found() {
        let voice = talker(1);
        let found = facts(&voice, &voice);
        assert!(found.duplicate_seconds > 5.0, "{found:?}");
        assert_eq!(found.delay_frames, Some(0));
        assert!(found.gain_db.unwrap_or(0.0).abs() < 1e-3);
    }

    #[test]
    fn a_delayed_duplicate_is_found_with_its_delay() {
        let voice = talker(2);
        for delay in [1, 7, 83 * RATE as usize / 1000, RATE as usize / 10] {
            let copy = later(&voice, delay);
            let found = facts(&voice, &copy);
            assert_eq!((found.delay_frames, found.duplicate_seconds), (Some(delay as i64), 11.0));
            assert_eq!(facts(&copy, &voice).delay_frames, Some(-(delay as i64)));
        }
    }

    #[test]
    fn an_inverted_delayed_copy_is_a_duplicate_too() {
        let voice = talker(4);
        let copy: Vec<f32> = later(&voice, 500).iter().map(|x| -x).collect();
        let found = facts(&voice, &copy);
        assert_eq!((found.delay_frames, found.duplicate_seconds), (Some(500), 11.0));
        assert!(found.correlation_at_delay.unwrap() < -0.999);
    }

    #[test]
    fn a_copy_at_another_gain_is_not_a_duplicate() {
        let voice = talker(1);
        let quieter: Vec<f32> = voice.iter().map(|x| 0.9 * x).collect();
        let found = facts(&voice, &quieter);
        assert_eq!(found.duplicate_seconds, 0.0);
        assert!(found.correlation_at_delay.unwrap() > 0.999);
    }

    #[test]
    fn independent_talkers_are_neither() {
        let found = facts(&talker(1), &talker(2));
        assert_eq!((found.duplicate_seconds, found.is_inverted()), (0.0, false), "{found:?}");
        assert!(found.correlation_at_delay.unwrap().abs() < 0.9, "{found:?}");
    }

    #[test]
    fn one_talker_on_two_microphones_is_not_a_duplicate() {
        let voice = talker(5);
        let mut chance = Chance::new(9);
        let heard = |delay: usize, echo: usize, chance: &mut Chance| -> Vec<f32> {
            let (direct, reflected) = (later(&voice, delay), later(&voice, echo));
            direct.iter().zip(&reflected).map(|(d, r)| d + 0.25 * r + 1e-3 * chance.gauss()).collect()
        };
        let (left, right) = (heard(20, 190, &mut chance), heard(26, 310, &mut chance));
        let found = facts(&left, &right);
        assert_eq!(found.duplicate_seconds, 0.0, "{found:?}");
        assert!((found.delay_frames.unwrap() - 6).abs() <= 1, "{found:?}");
    }

    #[test]
    fn silence_says_nothing() {
        let silence = vec![0.0; 3 * RATE as usize];
        assert_eq!(facts(&silence, &silence), PairFacts::default());
    }

    #[test]
    fn block_sizes_do_not_matter_and_broken_samples_do_not_poison() {
        let mut voice = talker(6);
        (voice[100], voice[200]) = (f32::NAN, f32::INFINITY);
        let copy = later(&voice, 40);
        let run = |size: usize| {
            let mut pairs = Pairs::new(RATE, &[(1, 0)]);
            copy.chunks(size).zip(voice.chunks(size)).for_each(|(x, y)| pairs.push(&[x, y]));
            pairs.facts(0)
        };
        let reference = run(RATE as usize * 12);
        assert!(run(1) == run(4096) && run(4096) == run(333), "{reference:?}");
        assert_eq!(run(64).delay_frames, Some(40));
        let end = RATE as usize * 13 / 10;
        let early = facts(&voice[..end], &copy[..end]);
        assert_eq!(early.delay_frames, Some(40), "the broken samples lie in this search");
        assert!(facts(&voice[..7000], &copy[..7000]).correlation.is_some_and(f32::is_finite));
    }
}
