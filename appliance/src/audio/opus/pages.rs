//! Opus packets in Ogg pages: headers, granule positions, end of stream.
//!
//! Lives here: everything RFC 7845 asks of a file. Does not live here: what is in a packet. The last packet carries the
//! end-of-stream mark, so one is held back until it is known whether another follows.

use std::io::Write;

use ogg::{PacketWriteEndInfo, PacketWriter};

use super::packets::{Mapping, PACKET_SAMPLES, PacketEncoder};
use crate::audio::flac::comments;
use crate::audio::{AudioError, FileInfo};

/// Writes pages.
pub(super) struct Pages<W: Write> {
    ogg: PacketWriter<'static, W>,
    serial: u32,
    packets_per_page: u64,
    held: Option<Vec<u8>>,
    /// Packets taken, the held one included.
    packets: u64,
}

impl<W: Write> Pages<W> {
    /// Writes the header pages.
    pub(super) fn open(
        file: W,
        encoder: &PacketEncoder,
        info: &FileInfo,
        packets_per_page: u64,
    ) -> Result<Self, AudioError> {
        let mut ogg = PacketWriter::new(file);
        let serial = serial(info);
        let head = head(encoder.mapping(), encoder.pre_skip(), encoder.rate());
        ogg.write_packet(head, serial, PacketWriteEndInfo::EndPage, 0)?;
        ogg.write_packet(tags(info), serial, PacketWriteEndInfo::EndPage, 0)?;
        ogg.inner_mut().flush()?;
        Ok(Self { ogg, serial, packets_per_page, held: None, packets: 0 })
    }

    pub(super) fn file_mut(&mut self) -> &mut W {
        self.ogg.inner_mut()
    }

    pub(super) fn into_inner(self) -> W {
        self.ogg.into_inner()
    }

    /// Takes one packet and writes the one before.
    pub(super) fn push(&mut self, packet: &[u8]) -> Result<(), AudioError> {
        if let Some(packet) = self.held.replace(packet.to_vec()) {
            let ends_page = self.packets.is_multiple_of(self.packets_per_page);
            let end = if ends_page { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            self.ogg.write_packet(packet, self.serial, end, self.packets * PACKET_SAMPLES)?;
            if ends_page {
                self.ogg.inner_mut().flush()?;
            }
        }
        self.packets += 1;
        Ok(())
    }

    /// Ends the stream at `end`, in samples at 48 kHz from the first packet's beginning.
    pub(super) fn finish(&mut self, end: u64) -> Result<(), AudioError> {
        if let Some(packet) = self.held.take() {
            // A last granule position short of the packets' sum cuts the padding off (RFC 7845 section 4.4).
            self.ogg.write_packet(packet, self.serial, PacketWriteEndInfo::EndStream, end)?;
        }
        self.ogg.inner_mut().flush()?;
        Ok(())
    }
}

/// Returns the OpusHead packet (RFC 7845 section 5.1); `rate` is the input's, for information.
fn head(mapping: &Mapping, pre_skip: u16, rate: u32) -> Vec<u8> {
    let mut bytes = b"OpusHead\x01".to_vec();
    bytes.push(mapping.channels.len() as u8);
    bytes.extend_from_slice(&pre_skip.to_le_bytes());
    bytes.extend_from_slice(&rate.to_le_bytes());
    bytes.extend_from_slice(&0i16.to_le_bytes());
    bytes.push(mapping.family);
    if mapping.family != 0 {
        bytes.extend_from_slice(&[mapping.streams, mapping.coupled]);
        bytes.extend_from_slice(&mapping.channels);
    }
    bytes
}

/// Returns the OpusTags packet (RFC 7845 section 5.2).
fn tags(info: &FileInfo) -> Vec<u8> {
    let mut bytes = b"OpusTags".to_vec();
    bytes.extend(comments::block(&comments::describe(info)));
    bytes
}

/// Two streams that are joined one day must differ in their serial number, and the same audio must give the same bytes:
/// so it is a hash (FNV-1a) of the take and the part, not a random number.
fn serial(info: &FileInfo) -> u32 {
    let part = info.part.map_or(0, |part| part.number).to_le_bytes();
    let bytes = info.take_id.bytes().chain(part);
    bytes.fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
