//! Any rate to 48 kHz, progressively and without moving the audio in time.
//!
//! Lives here: `rubato`'s synchronous FFT resampler fed in whole chunks, its delay dropped at the front, its tail drawn
//! out at the end. Does not live here: what length the result shall have; the caller says it. Audio is interleaved.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::AudioError;

/// Frames per second of what comes out: the rate of the Opus coder, and of most rooms.
pub(crate) const RATE: u32 = 48_000;

/// 25 ms: long enough for a filter that is flat to 20 kHz at 44.1 kHz.
const CHUNKS_PER_SECOND: u32 = 40;

/// Converts to 48 kHz with constant memory.
pub(crate) struct Resampler {
    fft: Fft<f32>,
    channels: usize,
    /// One chunk of input; the first `filled` values are audio.
    input: Vec<f32>,
    filled: usize,
    output: Vec<f32>,
    /// Frames of the filter's delay still to drop.
    to_drop: usize,
    /// Frames handed out.
    given: u64,
}

impl Resampler {
    /// Errors: `Unsupported` if the library refuses the rate.
    pub(crate) fn new(rate: u32, channels: usize) -> Result<Self, AudioError> {
        let chunk = (rate / CHUNKS_PER_SECOND) as usize;
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(rate as usize, RATE as usize, chunk, 1, channels, window, FixedSync::Both)
            .map_err(|error| AudioError::Unsupported(format!("cannot convert {rate} Hz to 48 kHz: {error}")))?;
        let input = vec![0.0; fft.input_frames_next() * channels];
        let output = vec![0.0; fft.output_frames_next() * channels];
        let to_drop = fft.output_delay();
        Ok(Self { fft, channels, input, filled: 0, output, to_drop, given: 0 })
    }

    /// Takes interleaved audio, any number of frames, and hands out what is ready.
    pub(crate) fn push(
        &mut self,
        audio: &[f32],
        mut to: impl FnMut(&[f32]) -> Result<(), AudioError>,
    ) -> Result<(), AudioError> {
        let mut rest = audio;
        while !rest.is_empty() {
            let count = rest.len().min(self.input.len() - self.filled);
            let (now, later) = rest.split_at(count);
            self.input[self.filled..self.filled + count].copy_from_slice(now);
            self.filled += count;
            rest = later;
            if self.filled == self.input.len() {
                self.convert(u64::MAX, &mut to)?;
            }
        }
        Ok(())
    }

    /// Hands out the rest, so that `length` frames have been given in all.
    pub(crate) fn finish(
        &mut self,
        length: u64,
        mut to: impl FnMut(&[f32]) -> Result<(), AudioError>,
    ) -> Result<(), AudioError> {
        while self.given < length {
            self.convert(length, &mut to)?;
        }
        Ok(())
    }

    /// Converts one chunk, silent where it is not filled, and hands out no more than `length` frames in all.
    fn convert(
        &mut self,
        length: u64,
        to: &mut impl FnMut(&[f32]) -> Result<(), AudioError>,
    ) -> Result<(), AudioError> {
        self.input[self.filled..].fill(0.0);
        self.filled = 0;
        let frames_in = self.input.len() / self.channels;
        let frames_out = self.output.len() / self.channels;
        let from = InterleavedSlice::new(&self.input, self.channels, frames_in).map_err(from_library)?;
        let mut into = InterleavedSlice::new_mut(&mut self.output, self.channels, frames_out).map_err(from_library)?;
        self.fft.process_into_buffer(&from, &mut into, None).map_err(from_library)?;

        let dropped = self.to_drop.min(frames_out);
        self.to_drop -= dropped;
        let wanted = usize::try_from(length - self.given).unwrap_or(usize::MAX);
        let count = wanted.min(frames_out - dropped);
        self.given += count as u64;
        to(&self.output[dropped * self.channels..(dropped + count) * self.channels])
    }
}

fn from_library(error: impl std::fmt::Display) -> AudioError {
    AudioError::Format(format!("resampler: {error}"))
}

/// All of one channel at 48 kHz: for sounds that are short and whole in memory.
///
/// # Errors
/// The rate cannot be converted.
pub fn whole_at_48k(samples: &[f32], rate: u32) -> Result<Vec<f32>, AudioError> {
    if rate == RATE {
        return Ok(samples.to_vec());
    }
    let length = samples.len() as u64 * u64::from(RATE) / u64::from(rate.max(1));
    let mut out = Vec::new();
    let mut resampler = Resampler::new(rate, 1)?;
    let mut take = |audio: &[f32]| {
        out.extend_from_slice(audio);
        Ok(())
    };
    resampler.push(samples, &mut take)?;
    resampler.finish(length, &mut take)?;
    Ok(out)
}
