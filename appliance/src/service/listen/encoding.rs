//! Opus in either container, its bytes taken away as they come.

use super::ListenError;
use crate::audio::fmp4::Fmp4Writer;
use crate::audio::opus::{OpusSpec, OpusWriter};
use crate::audio::{Encoder, FileInfo, Loudness};

/// How a stream is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Ogg Opus, `audio/ogg; codecs=opus`: for `<audio src>`.
    Ogg,
    /// Fragmented MP4 with Opus, `audio/mp4; codecs="opus"`: for Media Source.
    Mp4,
}

impl StreamFormat {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ogg => "audio/ogg; codecs=opus",
            Self::Mp4 => "audio/mp4; codecs=\"opus\"",
        }
    }
}

/// A coder whose bytes are pulled.
pub(super) enum Encoding {
    Ogg(Box<OpusWriter<Vec<u8>>>),
    Mp4(Box<Fmp4Writer<Vec<u8>>>),
}

impl Encoding {
    /// `packets` of 20 ms go into a page or fragment.
    pub(super) fn open(format: StreamFormat, info: &FileInfo, packets: usize) -> Result<Self, ListenError> {
        let spec = OpusSpec::LIVE;
        Ok(match format {
            StreamFormat::Ogg => Self::Ogg(Box::new(OpusWriter::open_paged(Vec::new(), spec, info, packets as u64)?)),
            StreamFormat::Mp4 => {
                let channels = info.channels.len();
                Self::Mp4(Box::new(Fmp4Writer::open(Vec::new(), info.rate, channels, spec, packets)?))
            }
        })
    }

    pub(super) fn write(&mut self, planar: &[Vec<f32>]) -> Result<(), ListenError> {
        let planar: Vec<&[f32]> = planar.iter().map(Vec::as_slice).collect();
        match self {
            Self::Ogg(writer) => writer.write(&planar)?,
            Self::Mp4(writer) => writer.write(&planar)?,
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), ListenError> {
        match self {
            Self::Ogg(writer) => writer.finish(&[], &Loudness::default())?,
            Self::Mp4(writer) => writer.finish(&[], &Loudness::default())?,
        }
        Ok(())
    }

    /// What has come since the last time. MP4 packets do not wait for their fragment to be full.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, ListenError> {
        Ok(match self {
            Self::Ogg(writer) => std::mem::take(writer.file_mut()),
            Self::Mp4(writer) => {
                writer.flush()?;
                std::mem::take(writer.file_mut())
            }
        })
    }
}
