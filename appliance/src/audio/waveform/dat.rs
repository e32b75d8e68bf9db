//! One level as bytes: audiowaveform's data format, version 2.
//!
//! Six little-endian words: version (i32, 2), flags (u32, bit 0: values are 8-bit), frames per second (i32), frames per
//! point (i32), points (u32), channels (i32). Then for each point, for each channel, lowest and highest (i8 or i16).
//! Source: bbc/audiowaveform `doc/DataFormat.md`; an 8-bit value is the 16-bit one divided by 256, towards zero, as in its
//! `src/WaveformBuffer.cpp`.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use super::Pair;
use crate::audio::AudioError;

/// Bytes before the first point.
pub const HEADER_BYTES: u64 = 24;
/// The most points one reading returns: a wide screen needs a few thousand.
pub const POINTS_MAX: usize = 1 << 16;
/// The most channels of a file, as of a WAV file.
const CHANNELS_MAX: i32 = 1024;

const VERSION: i32 = 2;
const FLAG_8_BIT: u32 = 1;

/// How finely a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// -128 to 127: half the size; speech at -45 dBFS is flat.
    Eight,
    /// -32768 to 32767.
    Sixteen,
}

/// What all levels of a waveform have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveSpec {
    /// Frames per second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// Size of a value.
    pub bits: Bits,
}

impl WaveSpec {
    /// Bytes of one point.
    pub fn point_bytes(&self) -> u64 {
        u64::from(self.channels)
            * match self.bits {
                Bits::Eight => 2,
                Bits::Sixteen => 4,
            }
    }

    /// The header of a file of `points` points, each of `frames_per_point` frames.
    pub(super) fn header(&self, frames_per_point: u64, points: u64) -> Vec<u8> {
        let flags = if self.bits == Bits::Eight { FLAG_8_BIT } else { 0 };
        let points = u32::try_from(points).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.rate.to_le_bytes());
        bytes.extend_from_slice(&(frames_per_point as u32).to_le_bytes());
        bytes.extend_from_slice(&points.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.channels).to_le_bytes());
        bytes
    }

    /// A pair as [`encode`](Self::encode) wrote it, at 16 bits again.
    pub(super) fn pair(&self, min: i16, max: i16) -> Pair {
        match self.bits {
            Bits::Eight => Pair { min: min.saturating_mul(256), max: max.saturating_mul(256) },
            Bits::Sixteen => Pair { min, max },
        }
    }

    /// Appends one point.
    pub(super) fn encode(&self, point: &[Pair], out: &mut Vec<u8>) {
        for pair in point {
            match self.bits {
                Bits::Eight => out.extend([pair.min, pair.max].map(|value| (value / 256) as i8 as u8)),
                Bits::Sixteen => {
                    out.extend_from_slice(&pair.min.to_le_bytes());
                    out.extend_from_slice(&pair.max.to_le_bytes());
                }
            }
        }
    }
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Rate, channels, size of a value.
    pub spec: WaveSpec,
    /// Frames of a point.
    pub frames_per_point: u64,
    /// Points in the file: what the header says, or fewer if the file ends before.
    pub points: u64,
}

/// Reads a level, also while it grows: open it anew to see what came since.
pub struct DatReader<R> {
    inner: R,
    about: About,
}

impl<R: Read + Seek> DatReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `Format` if this is no version 2 waveform.
    pub fn open(mut inner: R) -> Result<Self, AudioError> {
        let length = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        let mut header = [0; HEADER_BYTES as usize];
        inner.read_exact(&mut header).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => AudioError::Format("a waveform file without its header".to_owned()),
            _ => error.into(),
        })?;
        let (words, _) = header.as_chunks::<4>();
        let word = |index: usize| words.get(index).map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let (version, rate, frames, channels) = (word(0), word(2), word(3), word(5));
        if version != VERSION || rate < 1 || frames < 2 || !(1..=CHANNELS_MAX).contains(&channels) {
            return Err(AudioError::Format(format!(
                "no waveform: version {version}, {rate} Hz, {frames} frames a point, {channels} channels"
            )));
        }
        let bits = if word(1) as u32 & FLAG_8_BIT != 0 { Bits::Eight } else { Bits::Sixteen };
        let spec = WaveSpec { rate: rate as u32, channels: channels as u16, bits };
        let there = (length - HEADER_BYTES) / spec.point_bytes();
        let points = u64::from(word(4) as u32).min(there);
        Ok(Self { inner, about: About { spec, frames_per_point: frames as u64, points } })
    }

    /// What the file says of itself.
    pub fn about(&self) -> About {
        self.about
    }

    /// The values of up to `points` points from `from` on (at most [`POINTS_MAX`]): for each point, for each channel,
    /// lowest and highest, in the file's own scale. Shorter where the file ends.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, from: u64, points: usize) -> Result<Vec<i16>, AudioError> {
        let bytes = self.bytes(from, points)?;
        Ok(match self.about.spec.bits {
            Bits::Eight => bytes.iter().map(|byte| i16::from(*byte as i8)).collect(),
            Bits::Sixteen => bytes.as_chunks::<2>().0.iter().map(|value| i16::from_le_bytes(*value)).collect(),
        })
    }

    /// The same stretch as a file of its own, ready to be sent.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn extract(&mut self, from: u64, points: usize) -> Result<Vec<u8>, AudioError> {
        let bytes = self.bytes(from, points)?;
        let spec = self.about.spec;
        let mut file = spec.header(self.about.frames_per_point, bytes.len() as u64 / spec.point_bytes());
        file.extend(bytes);
        Ok(file)
    }

    fn bytes(&mut self, from: u64, points: usize) -> Result<Vec<u8>, AudioError> {
        let size = self.about.spec.point_bytes();
        let count = self.about.points.saturating_sub(from).min(points.min(POINTS_MAX) as u64);
        let mut bytes = Vec::new();
        if count > 0 {
            self.inner.seek(SeekFrom::Start(HEADER_BYTES + from * size))?;
            (&mut self.inner).take(count * size).read_to_end(&mut bytes)?;
            // The file has become shorter since it was opened.
            bytes.truncate(bytes.len() / size as usize * size as usize);
        }
        Ok(bytes)
    }
}
