//! Opus packets in Ogg pages: headers, granule positions, end of stream.
//!
//! Lives here: everything RFC 7845 asks of a file. Does not live here: sanitising and rates; audio arrives interleaved,
//! finite, at a rate libopus takes. One packet is held back, because the last one carries the end-of-stream mark.

use std::io::Write;

use ogg::{PacketWriteEndInfo, PacketWriter};
use opus::{Application, Bitrate, MSEncoder};

use super::{OPUS_RATE, OpusSpec};
use crate::audio::flac::comments;
use crate::audio::{AudioError, FileInfo};

/// 20 ms at 48 kHz.
const PACKET_SAMPLES: u64 = 960;
/// 0.96 s, and 20 ms more for the packet held back: a power cut costs less than a second.
const PACKETS_PER_PAGE: u64 = 48;
/// Largest 20 ms packet of one stream (RFC 6716 section 3.4) and its length field.
const STREAM_BYTES_MAX: usize = 1275 + 2;

/// Codes audio and writes pages.
pub(super) struct Pages<W: Write> {
    ogg: PacketWriter<'static, W>,
    serial: u32,
    coder: MSEncoder,
    /// One packet's audio, interleaved; the first `filled` values are audio.
    audio: Vec<f32>,
    filled: usize,
    packet: Vec<u8>,
    held: Option<Vec<u8>>,
    /// Packets coded, the held one included.
    packets: u64,
    /// Samples at 48 kHz that a decoder drops at the start.
    pre_skip: u16,
}

impl<W: Write> Pages<W> {
    /// Writes the header pages. `coder_rate` is one of libopus' five.
    pub(super) fn open(file: W, spec: OpusSpec, info: &FileInfo, coder_rate: u32) -> Result<Self, AudioError> {
        let mapping = Mapping::of(info.channels.len() as u8);
        let mut coder =
            MSEncoder::new(coder_rate, mapping.streams, mapping.coupled, &mapping.channels, Application::Audio)
                .map_err(from_coder)?;
        coder.set_bitrate(Bitrate::Bits(bitrate(spec, info.channels.len()))).map_err(from_coder)?;
        coder.set_complexity(i32::from(spec.complexity.min(10))).map_err(from_coder)?;
        let lookahead = coder.get_lookahead().map_err(from_coder)?;
        let pre_skip = u32::try_from(lookahead).unwrap_or(0) * (OPUS_RATE / coder_rate);
        let pre_skip = u16::try_from(pre_skip).map_err(|_| AudioError::Format(format!("Opus delay of {pre_skip}")))?;

        let mut ogg = PacketWriter::new(file);
        let serial = serial(info);
        ogg.write_packet(mapping.head(pre_skip, info.rate), serial, PacketWriteEndInfo::EndPage, 0)?;
        ogg.write_packet(tags(info), serial, PacketWriteEndInfo::EndPage, 0)?;
        ogg.inner_mut().flush()?;

        let packet_frames = coder_rate as usize / 50;
        Ok(Self {
            ogg,
            serial,
            coder,
            audio: vec![0.0; packet_frames * info.channels.len()],
            filled: 0,
            packet: vec![0; usize::from(mapping.streams) * STREAM_BYTES_MAX],
            held: None,
            packets: 0,
            pre_skip,
        })
    }

    pub(super) fn into_inner(self) -> W {
        self.ogg.into_inner()
    }

    /// Takes interleaved audio, any number of frames.
    pub(super) fn push(&mut self, audio: &[f32]) -> Result<(), AudioError> {
        let mut rest = audio;
        while !rest.is_empty() {
            let count = rest.len().min(self.audio.len() - self.filled);
            let (now, later) = rest.split_at(count);
            self.audio[self.filled..self.filled + count].copy_from_slice(now);
            self.filled += count;
            rest = later;
            if self.filled == self.audio.len() {
                self.code()?;
            }
        }
        Ok(())
    }

    /// Draws the coder's tail out and ends the stream after `length` samples at 48 kHz.
    pub(super) fn finish(&mut self, length: u64) -> Result<(), AudioError> {
        let end = length + u64::from(self.pre_skip);
        while self.packets * PACKET_SAMPLES < end {
            self.code()?;
        }
        if let Some(packet) = self.held.take() {
            // A last granule position short of the packets' sum cuts the padding off (RFC 7845 section 4.4).
            self.ogg.write_packet(packet, self.serial, PacketWriteEndInfo::EndStream, end)?;
        }
        self.ogg.inner_mut().flush()?;
        Ok(())
    }

    /// Codes one packet, silent where it is not filled, and writes the one before.
    fn code(&mut self) -> Result<(), AudioError> {
        self.audio[self.filled..].fill(0.0);
        self.filled = 0;
        let len = self.coder.encode_float(&self.audio, &mut self.packet).map_err(from_coder)?;
        if let Some(packet) = self.held.replace(self.packet[..len].to_vec()) {
            let ends_page = self.packets.is_multiple_of(PACKETS_PER_PAGE);
            let end = if ends_page { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            self.ogg.write_packet(packet, self.serial, end, self.packets * PACKET_SAMPLES)?;
            if ends_page {
                self.ogg.inner_mut().flush()?;
            }
        }
        self.packets += 1;
        Ok(())
    }
}

/// Which stream carries which channel (RFC 7845 section 5.1.1).
struct Mapping {
    family: u8,
    streams: u8,
    coupled: u8,
    channels: Vec<u8>,
}

impl Mapping {
    fn of(channels: u8) -> Self {
        let (family, streams, coupled) = match channels {
            1 => (0, 1, 0),
            2 => (0, 1, 1),
            _ => (255, channels, 0),
        };
        Self { family, streams, coupled, channels: (0..channels).collect() }
    }

    /// Returns the OpusHead packet; `rate` is the input's, for information.
    fn head(&self, pre_skip: u16, rate: u32) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(self.channels.len() as u8);
        bytes.extend_from_slice(&pre_skip.to_le_bytes());
        bytes.extend_from_slice(&rate.to_le_bytes());
        bytes.extend_from_slice(&0i16.to_le_bytes());
        bytes.push(self.family);
        if self.family != 0 {
            bytes.extend_from_slice(&[self.streams, self.coupled]);
            bytes.extend_from_slice(&self.channels);
        }
        bytes
    }
}

/// Returns the OpusTags packet (RFC 7845 section 5.2).
fn tags(info: &FileInfo) -> Vec<u8> {
    let mut bytes = b"OpusTags".to_vec();
    bytes.extend(comments::block(&comments::describe(info)));
    bytes
}

fn bitrate(spec: OpusSpec, channels: usize) -> i32 {
    let channels = channels as u32;
    let default = match channels {
        1 => 40_000,
        2 => 64_000,
        _ => 32_000 * channels,
    };
    let bitrate = spec.bitrate_bps.unwrap_or(default).clamp(6_000 * channels, 256_000 * channels);
    bitrate as i32
}

/// Two streams that are joined one day must differ in their serial number, and the same audio must give the same bytes:
/// so it is a hash (FNV-1a) of the take and the part, not a random number.
fn serial(info: &FileInfo) -> u32 {
    let part = info.part.map_or(0, |part| part.number).to_le_bytes();
    let bytes = info.take_id.bytes().chain(part);
    bytes.fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn from_coder(error: opus::Error) -> AudioError {
    AudioError::Format(format!("Opus coder: {error}"))
}
