//! The metadata blocks in front of the FLAC frames, as written at open and rewritten in place at close.
//!
//! Lives here: STREAMINFO and the order and sizes of blocks (RFC 9639 section 8): STREAMINFO, SEEKTABLE, VORBIS_COMMENT,
//! PADDING. Does not live here: frames. No block ever changes its place; comments grow into the padding behind them.

use super::comments;
use super::seek::SeekTable;

/// Samples per channel in every block but the last; the streamable subset allows up to 4608 at 48 kHz.
pub(super) const BLOCK_SAMPLES: u16 = 4096;
/// Room for chapters: about 800 with labels of 40 bytes.
pub(super) const PADDING_BYTES: usize = 64 * 1024;

const MARK: &[u8; 4] = b"fLaC";
const BLOCK_HEADER_BYTES: usize = 4;
const STREAM_INFO_BYTES: usize = 34;
const STREAM_INFO: u8 = 0;
const PADDING: u8 = 1;
const SEEK_TABLE: u8 = 3;
const VORBIS_COMMENT: u8 = 4;
const LAST: u8 = 0x80;

/// What STREAMINFO says. While the file is open, `samples` and `md5` are 0: unknown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StreamInfo {
    pub(super) rate: u32,
    pub(super) channels: u8,
    pub(super) bits: u8,
    /// Smallest and largest frame in bytes.
    pub(super) frame_bytes_min: u32,
    pub(super) frame_bytes_max: u32,
    /// Samples per channel.
    pub(super) samples: u64,
    pub(super) md5: [u8; 16],
}

impl StreamInfo {
    /// Returns the content of the block. A number too large for its field is written as 0, unknown.
    fn to_bytes(self) -> [u8; STREAM_INFO_BYTES] {
        let mut bytes = [0; STREAM_INFO_BYTES];
        bytes[0..2].copy_from_slice(&BLOCK_SAMPLES.to_be_bytes());
        bytes[2..4].copy_from_slice(&BLOCK_SAMPLES.to_be_bytes());
        bytes[4..7].copy_from_slice(&up_to(self.frame_bytes_min, (1 << 24) - 1).to_be_bytes()[1..]);
        bytes[7..10].copy_from_slice(&up_to(self.frame_bytes_max, (1 << 24) - 1).to_be_bytes()[1..]);
        let samples = if self.samples < 1 << 36 { self.samples } else { 0 };
        let packed = u64::from(self.rate) << 44
            | u64::from(self.channels.saturating_sub(1)) << 41
            | u64::from(self.bits.saturating_sub(1)) << 36
            | samples;
        bytes[10..18].copy_from_slice(&packed.to_be_bytes());
        bytes[18..34].copy_from_slice(&self.md5);
        bytes
    }
}

fn up_to(value: u32, max: u32) -> u32 {
    if value <= max { value } else { 0 }
}

/// Returns everything in front of the first frame. Always the same length for the same seek table capacity and
/// `comment_room`.
///
/// `comment_room` is the length in bytes of the comment and padding blocks together, with their headers.
pub(super) fn metadata(info: StreamInfo, seek: &SeekTable, tags: &[String], comment_room: usize) -> Vec<u8> {
    let comments = comments::block(tags);
    let padding = comment_room.saturating_sub(2 * BLOCK_HEADER_BYTES + comments.len());
    let mut bytes = MARK.to_vec();
    push_block(&mut bytes, STREAM_INFO, &info.to_bytes());
    push_block(&mut bytes, SEEK_TABLE, &seek.to_bytes());
    push_block(&mut bytes, VORBIS_COMMENT, &comments);
    push_block(&mut bytes, PADDING | LAST, &vec![0; padding]);
    bytes
}

/// Returns the `comment_room` that holds these tags and leaves `PADDING_BYTES` free.
pub(super) fn comment_room(tags: &[String]) -> usize {
    2 * BLOCK_HEADER_BYTES + comments::block_len(tags) + PADDING_BYTES
}

/// Returns how many bytes the comment block's content may have.
pub(super) fn comment_bytes_max(comment_room: usize) -> usize {
    comment_room.saturating_sub(2 * BLOCK_HEADER_BYTES)
}

fn push_block(bytes: &mut Vec<u8>, kind: u8, content: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(content.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(content);
}
