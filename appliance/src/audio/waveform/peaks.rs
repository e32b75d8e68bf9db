//! Lowest and highest samples, progressively: frames make points, eight points make a point of the next level.
//!
//! Lives here: the counting. Does not live here: where finished points go; they are handed out as they are complete.

use super::{BASE_FRAMES, LEVELS, RATIO};
use crate::audio::AudioError;

/// Lowest and highest sample of a stretch, full scale 2^15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pair {
    /// Lowest.
    pub min: i16,
    /// Highest.
    pub max: i16,
}

/// Who takes a finished point: its level, and one pair per channel.
type To<'a> = &'a mut dyn FnMut(usize, &[Pair]) -> Result<(), AudioError>;

/// The unfinished point of each level. Memory is constant: six points.
pub struct Peaks {
    /// Lowest and highest of each channel since the last point of level 0.
    frames: Vec<(f32, f32)>,
    /// Frames counted there.
    counted: u64,
    /// The levels above 0.
    above: Vec<Level>,
    /// One finished point, on its way out.
    point: Vec<Pair>,
}

#[derive(Clone)]
struct Level {
    pairs: Vec<Pair>,
    /// Points of the level below that are in `pairs`.
    counted: u64,
}

/// What no sample has touched yet.
const UNTOUCHED: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);
const EMPTY: Pair = Pair { min: i16::MAX, max: i16::MIN };

impl Peaks {
    /// Nothing counted yet.
    pub fn new(channels: usize) -> Self {
        let level = Level { pairs: vec![EMPTY; channels], counted: 0 };
        Self {
            frames: vec![UNTOUCHED; channels],
            counted: 0,
            above: vec![level; LEVELS - 1],
            point: Vec::with_capacity(channels),
        }
    }

    /// Takes one block, one slice per channel, and hands out the points it completes, finer levels first.
    ///
    /// # Errors
    /// The taker's, or `Format` if the block has another number of channels or unequal lengths.
    pub fn push(&mut self, planar: &[&[f32]], to: To) -> Result<(), AudioError> {
        let frames = crate::audio::flac::frames_of(planar, self.frames.len())?;
        let mut at = 0;
        while at < frames {
            let count = (BASE_FRAMES - self.counted).min((frames - at) as u64) as usize;
            for (extremes, channel) in self.frames.iter_mut().zip(planar) {
                *extremes = widen(*extremes, &channel[at..at + count]);
            }
            self.counted += count as u64;
            at += count;
            if self.counted == BASE_FRAMES {
                self.end_base(to)?;
            }
        }
        Ok(())
    }

    /// Counts a finished point of `level` that is already kept: for going on where another process stopped.
    pub(super) fn count_again(&mut self, level: usize, point: &[Pair]) {
        if let Some(above) = self.above.get_mut(level) {
            above.merge(point);
        }
    }

    /// Hands out what is counted so far as a last, shorter point of each level.
    ///
    /// # Errors
    /// The taker's.
    pub fn finish(&mut self, to: To) -> Result<(), AudioError> {
        if self.counted > 0 {
            self.end_base(to)?;
        }
        for level in 1..LEVELS {
            if self.above[level - 1].counted > 0 {
                self.end(level, to)?;
            }
        }
        Ok(())
    }

    fn end_base(&mut self, to: To) -> Result<(), AudioError> {
        self.counted = 0;
        self.point.clear();
        self.point.extend(self.frames.iter().map(|&(low, high)| Pair { min: quantise(low), max: quantise(high) }));
        self.frames.fill(UNTOUCHED);
        to(0, &self.point)?;
        self.rise(1, to)
    }

    /// Ends the unfinished point of a level above 0.
    fn end(&mut self, level: usize, to: To) -> Result<(), AudioError> {
        let above = &mut self.above[level - 1];
        above.counted = 0;
        self.point.clone_from(&above.pairs);
        above.pairs.fill(EMPTY);
        to(level, &self.point)?;
        self.rise(level + 1, to)
    }

    /// Counts `point` at `level`, and ends what that fills.
    fn rise(&mut self, level: usize, to: To) -> Result<(), AudioError> {
        let Some(above) = self.above.get_mut(level - 1) else { return Ok(()) };
        above.merge(&self.point);
        if above.counted == RATIO { self.end(level, to) } else { Ok(()) }
    }
}

impl Level {
    fn merge(&mut self, point: &[Pair]) {
        for (pair, new) in self.pairs.iter_mut().zip(point) {
            *pair = Pair { min: pair.min.min(new.min), max: pair.max.max(new.max) };
        }
        self.counted += 1;
    }
}

/// NaN is silence, as everywhere.
fn widen((low, high): (f32, f32), samples: &[f32]) -> (f32, f32) {
    samples.iter().fold((low, high), |(low, high), &sample| {
        let sample = if sample.is_nan() { 0.0 } else { sample };
        (if sample < low { sample } else { low }, if sample > high { sample } else { high })
    })
}

/// As 16-bit PCM is made of the same sample: rounding keeps order, so the extremes of the PCM are these.
fn quantise(sample: f32) -> i16 {
    (sample * 32_768.0).round_ties_even().clamp(-32_768.0, 32_767.0) as i16
}
