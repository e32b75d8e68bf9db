//! Waveforms for drawing: the lowest and highest sample of each channel in every stretch, at six sizes of stretch.
//!
//! Lives here: the peaks themselves (`peaks`), the bytes of a level (`dat`), and the pyramid of six files that grows with
//! a recording (`pyramid`). Does not live here: names of files, what a zoom is. It may assume planar samples; the bytes it
//! reads are hostile. Memory is constant, and a stretch without audio is zeros, as it is in the timeline of a take.

mod dat;
mod peaks;
mod pyramid;
#[cfg(test)]
mod tests;

pub use dat::{About, Bits, DatReader, HEADER_BYTES, POINTS_MAX, WaveSpec};
pub use peaks::{Pair, Peaks};
pub use pyramid::Pyramid;

/// How many levels every waveform has. The sixth holds 97 hours at 48 kHz in 2 000 points; a level that a short take does
/// not need costs one point.
pub const LEVELS: usize = 6;
/// Frames of a point at the finest level.
pub const BASE_FRAMES: u64 = 256;
/// Points of one level that make a point of the next.
pub const RATIO: u64 = 8;

/// Frames that a point of `level` covers: 256, 2 048, 16 384, … The last level stands for any beyond it.
pub fn frames_per_point(level: usize) -> u64 {
    BASE_FRAMES * RATIO.pow(level.min(LEVELS - 1) as u32)
}

/// The finest level that shows `frames` frames in at most `points` points.
pub fn level_for(frames: u64, points: u64) -> usize {
    (0..LEVELS - 1).find(|&level| frames.div_ceil(frames_per_point(level)) <= points).unwrap_or(LEVELS - 1)
}
