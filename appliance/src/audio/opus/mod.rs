//! Ogg Opus files: small, for listening and for upload, and the hardest to break with a power cut.
//!
//! Lives here: the order of things in a file; `packets` codes, `pages` has granule positions and Ogg pages. The codec is
//! libopus by the `opus` crate. Does not live here: decoding, chapters (Ogg tags stand in front of the audio and cannot be
//! patched later). Memory is constant.

mod packets;
mod pages;
#[cfg(test)]
mod tests;

use std::io::Write;

pub use self::packets::{PACKET_SAMPLES, PacketEncoder};
use self::pages::Pages;
use super::{AudioError, Encoder, FileInfo, Loudness, Marker};
use crate::audio::resample::RATE as OPUS_RATE;

/// 0.96 s, and 20 ms more for the packet held back: a power cut costs less than a second.
const FILE_PACKETS_PER_PAGE: u64 = 48;

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

impl OpusSpec {
    /// For a listener who waits: half of libopus' effort, at rates where nobody hears the difference.
    pub const LIVE: Self = Self { bitrate_bps: None, complexity: 5 };

    /// Bits per second of all `channels`.
    pub fn bitrate(&self, channels: usize) -> u32 {
        let channels = channels as u32;
        let default = match channels {
            1 => 40_000,
            2 => 64_000,
            _ => 32_000 * channels,
        };
        self.bitrate_bps.unwrap_or(default).clamp(6_000 * channels, 256_000 * channels)
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
    encoder: PacketEncoder,
    pages: Pages<W>,
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
        Self::open_paged(file, spec, info, FILE_PACKETS_PER_PAGE)
    }

    /// The same with a page every `packets_per_page` packets, for listeners who wait for the next.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_paged(file: W, spec: OpusSpec, info: &FileInfo, packets_per_page: u64) -> Result<Self, AudioError> {
        let encoder = PacketEncoder::new(info.rate, info.channels.len(), spec)?;
        let pages = Pages::open(file, &encoder, info, packets_per_page.max(1))?;
        Ok(Self { encoder, pages, state: State::Open })
    }

    /// The underlying file: whole pages only.
    pub fn file_mut(&mut self) -> &mut W {
        self.pages.file_mut()
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
}

impl<W: Write> Encoder for OpusWriter<W> {
    fn write(&mut self, planar: &[&[f32]]) -> Result<(), AudioError> {
        self.check_open()?;
        self.encoder.check(planar)?;
        let pages = &mut self.pages;
        self.encoder.push(planar, &mut |packet| pages.push(packet)).inspect_err(|_| self.state = State::Broken)
    }

    fn finish(&mut self, _markers: &[Marker], _loudness: &Loudness) -> Result<(), AudioError> {
        self.check_open()?;
        self.state = State::Broken;
        let pages = &mut self.pages;
        let end = self.encoder.finish(&mut |packet| pages.push(packet))?;
        self.pages.finish(end)?;
        self.state = State::Finished;
        Ok(())
    }
}
