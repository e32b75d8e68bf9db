//! Broadcast WAV: files that are whole at every moment, also past 4 GiB, also after a power cut.
//!
//! Lives here: the bytes of RIFF/WAVE and RF64 (EBU Tech 3285 and 3306, ITU-R BS.2088), `bext`, iXML, cue points; a
//! writer, a reader, and the repair of a file that a crash left open. Does not live here: when to sync, where files are,
//! what a take is. It may assume that a file begins at offset 0 of its sink, and nothing else: bytes read are hostile.
//! A header over-claims while the file is open, because a size that lags makes every reader drop the tail.

mod bext;
mod chunks;
mod cue;
mod header;
mod ixml;
mod reader;
mod repair;
mod seal;
mod text;
mod writer;

pub use super::pcm::SampleFormat;
pub use bext::Bext;
pub use reader::{WavFile, WavReader};
pub use repair::{Extent, ZERO_TAIL_LIMIT, data_extent, repair};
pub use writer::WavWriter;

use super::AudioError;

/// Header and audio up to which a file stays `RIFF`; beyond it is `RF64`. The flip comes 64 MiB before the 32-bit sizes
/// end, so that markers still fit behind the audio and a power cut around the flip hides nothing from any reader.
pub const RIFF_LIMIT: u64 = (4 << 30) - (64 << 20);

/// How far the sizes of an open RF64 file run ahead of its audio. Readers believe these 64-bit sizes when they show a
/// length, and give up on absurd ones.
pub const CLAIM_STEP: u64 = 1 << 30;

/// Most bytes read from or written to one chunk that is not audio. The rest of a longer one is not looked at.
pub const CHUNK_LIMIT: u64 = 4 << 20;

/// Most markers of one file; later ones are left out. Ten minutes with six gaps a second stay below it.
pub const MARKERS_LIMIT: usize = 4096;

/// Most channels of one file. JACK machines have fewer; a header that says more is damaged.
pub const CHANNELS_LIMIT: u16 = 1024;

/// Most frames per second of one file.
const RATE_LIMIT: u32 = 1_536_000;

/// What a "not known yet" size is in 32 bits; in RF64 it means "see ds64".
const OPEN_SIZE: u32 = u32::MAX;

/// How the samples of a file are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WavSpec {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u16,
    /// How one sample stands in the file.
    pub format: SampleFormat,
}

impl WavSpec {
    /// Bytes of one frame.
    pub fn align(&self) -> u64 {
        u64::from(self.channels) * self.format.bytes() as u64
    }

    /// Refuses what no file of ours holds.
    fn check(&self) -> Result<(), AudioError> {
        if self.channels == 0 || self.channels > CHANNELS_LIMIT {
            return Err(AudioError::Unsupported(format!(
                "a WAV file with {} channels: 1 to {CHANNELS_LIMIT} are possible",
                self.channels
            )));
        }
        if self.rate == 0 || self.rate > RATE_LIMIT {
            return Err(AudioError::Unsupported(format!(
                "a WAV file with {} frames per second: 1 to {RATE_LIMIT} are possible",
                self.rate
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
