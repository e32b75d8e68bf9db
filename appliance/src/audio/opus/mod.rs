//! Ogg Opus files: small, for listening and for upload, and the hardest to break with a power cut.
//!
//! Lives here: planar `f32` to a 48 kHz-family rate, and the order of things; `pages` has packets, granule positions and
//! Ogg pages. The codec is libopus by the `opus` crate. Does not live here: decoding, chapters (Ogg tags stand in front of the audio and cannot be patched later). Memory is constant.

mod pages;
#[cfg(test)]
mod tests;

use std::io::Write;

use self::pages::Pages;
use super::flac::frames_of;
use super::{AudioError, Encoder, FileInfo, Loudness, Marker};
use crate::audio::resample::{RATE as OPUS_RATE, Resampler};

/// Channel counts are one byte in OpusHead, and 255 means "no stream" in its mapping.
const CHANNELS_MAX: usize = 255;
/// Frames that pass through at a time, so that a huge block needs no huge copy.
const STEP_FRAMES: usize = 4096;

/// How an Opus file is to be coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusSpec {
    /// Bits per second of the whole file. `None`: 40 000 for one channel, 64 000 for two, 32 000 per channel beyond
    /// (speech). Brought into 6 000 to 256 000 per channel.
    pub bitrate_bps: Option<u32>,
    /// Effort, 0 to 10.
    pub complexity: u8,
}

impl Default for OpusSpec {
    fn default() -> Self {
        Self { bitrate_bps: None, complexity: 10 }
    }
}

/// Writes an Ogg Opus file (RFC 7845) progressively: 20 ms packets, constrained VBR, a page at least each second.
///
/// One and two channels are coupled as players expect (mapping family 0); three and more are discrete channels
/// (family 255), each coded alone. NaN becomes 0 and samples beyond full scale are clamped. The decoded length is
/// exactly the input's: `frames * 48000 / rate`, rounded. A file that is never finished only lacks its last second and
/// the end-of-stream mark.
///
/// Markers and loudness given to `finish` are not written: the tags precede the audio. Keep them in the take.
pub struct OpusWriter<W: Write> {
    pages: Pages<W>,
    resampler: Option<Resampler>,
    channels: usize,
    rate: u32,
    /// Frames taken, at `rate`.
    frames: u64,
    /// Interleaved.
    step: Vec<f32>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A write or the coder failed; what was written plays.
    Broken,
    Finished,
}

impl<W: Write> OpusWriter<W> {
    /// Writes the two header pages and returns the writer.
    ///
    /// Errors: `Unsupported` for no channels or more than 255 and for rates outside 8 to 384 kHz; `Io`.
    pub fn open(file: W, spec: OpusSpec, info: &FileInfo) -> Result<Self, AudioError> {
        let channels = info.channels.len();
        if channels == 0 || channels > CHANNELS_MAX {
            return Err(AudioError::Unsupported(format!(
                "Opus holds 1 to {CHANNELS_MAX} channels, not {channels}: split the channels over files"
            )));
        }
        let resampler = match info.rate {
            8_000 | 12_000 | 16_000 | 24_000 | OPUS_RATE => None,
            8_001..=384_000 => Some(Resampler::new(info.rate, channels)?),
            rate => {
                return Err(AudioError::Unsupported(format!("Opus from {rate} Hz: choose a rate of 8 to 384 kHz")));
            }
        };
        let coder_rate = if resampler.is_some() { OPUS_RATE } else { info.rate };
        let pages = Pages::open(file, spec, info, coder_rate)?;
        let step = Vec::with_capacity(STEP_FRAMES * channels);
        Ok(Self { pages, resampler, channels, rate: info.rate, frames: 0, step, state: State::Open })
    }

    /// Returns the underlying file, as it is: call `finish` before.
    pub fn into_inner(self) -> W {
        self.pages.into_inner()
    }

    fn check_open(&self) -> Result<(), AudioError> {
        match self.state {
            State::Open => Ok(()),
            State::Broken => Err(AudioError::Format("an earlier write to this Opus file failed".to_owned())),
            State::Finished => Err(AudioError::Format("this Opus file is finished".to_owned())),
        }
    }

    fn write_steps(&mut self, planar: &[&[f32]], frames: usize) -> Result<(), AudioError> {
        for from in (0..frames).step_by(STEP_FRAMES) {
            let count = STEP_FRAMES.min(frames - from);
            self.step.resize(count * self.channels, 0.0);
            for (index, channel) in planar.iter().enumerate() {
                let places = self.step[index..].iter_mut().step_by(self.channels);
                for (place, sample) in places.zip(&channel[from..from + count]) {
                    *place = sanitise(*sample);
                }
            }
            self.frames += count as u64;
            match &mut self.resampler {
                Some(resampler) => resampler.push(&self.step, |audio| self.pages.push(audio))?,
                None => self.pages.push(&self.step)?,
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), AudioError> {
        let length = length_at_48k(self.frames, self.rate);
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(length, |audio| self.pages.push(audio))?;
        }
        self.pages.finish(length)
    }
}

impl<W: Write> Encoder for OpusWriter<W> {
    fn write(&mut self, planar: &[&[f32]]) -> Result<(), AudioError> {
        self.check_open()?;
        let frames = frames_of(planar, self.channels)?;
        self.write_steps(planar, frames).inspect_err(|_| self.state = State::Broken)
    }

    fn finish(&mut self, _markers: &[Marker], _loudness: &Loudness) -> Result<(), AudioError> {
        self.check_open()?;
        self.state = State::Broken;
        self.close()?;
        self.state = State::Finished;
        Ok(())
    }
}

/// Returns the length of `frames` at `rate` in samples at 48 kHz, rounded to the nearest.
fn length_at_48k(frames: u64, rate: u32) -> u64 {
    let rate = u128::from(rate.max(1));
    let length = (u128::from(frames) * u128::from(OPUS_RATE) + rate / 2) / rate;
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// One infinite sample would poison the resampler's and the coder's memory for good.
fn sanitise(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}
