//! What stands before the audio: the chunks of a file that begins, and where the ones patched later are.
//!
//! Lives here: `RIFF`, `JUNK`/`ds64`, `fmt `, `fact`, the order and padding of all. Does not live here: what is inside
//! `bext` and iXML, and when sizes are patched. Order: `JUNK` (room for ds64), `fmt `, `bext`, `iXML`, `fact` unless classic,
//! `PAD ` up to the audio, which begins at a multiple of 4096 so that a page of the disk holds whole samples of it.

use super::super::{AudioError, FileInfo};
use super::cue::push_chunk;
use super::{OPEN_SIZE, SampleFormat, WavSpec, bext, ixml};

/// Where the chunk stands that becomes ds64: always first, so that it shares the disk's sector with the file's id.
pub(super) const DS64_AT: u64 = 12;
/// Payload of a ds64 without table: RIFF size, data size, sample count (u64 each), table length (u32). No room for table
/// entries is kept: only the audio grows past 32 bits, and `flac --keep-foreign-metadata` refuses a ds64 with more.
pub(super) const DS64_LEN: u64 = 28;
/// The audio begins at a multiple of this.
pub(super) const DATA_ALIGN: usize = 4096;
/// Bytes kept free in iXML for sync points that come at the end.
const SYNC_ROOM: usize = 2048;
/// The tail both format GUIDs share: 0000-0010-8000-00AA00389B71; the format tag stands before it.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

pub(super) const TAG_PCM: u16 = 1;
pub(super) const TAG_FLOAT: u16 = 3;
pub(super) const TAG_EXTENSIBLE: u16 = 0xFFFE;

/// A stretch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub at: u64,
    pub len: u64,
}

/// Where in a file the things stand that are patched. All places are payloads, without the chunk's id and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub spec: WavSpec,
    /// The first chunk can be made a ds64, or is one.
    pub has_ds64_room: bool,
    pub bext: Option<Place>,
    pub ixml: Option<Place>,
    pub fact: Option<Place>,
    pub data_at: u64,
    /// The file's id is RF64 (or BW64).
    pub is_rf64: bool,
    /// Chunks may follow the audio.
    pub has_tail: bool,
}

impl Layout {
    /// Offset behind `frames` frames.
    pub(super) fn data_end(&self, frames: u64) -> u64 {
        self.data_at + frames * self.spec.align()
    }
}

/// A header before the first frame.
pub(super) struct Opening {
    pub bytes: Vec<u8>,
    pub layout: Layout,
    /// The iXML document without its padding.
    pub ixml: Option<String>,
}

/// The header of a Broadcast WAV. All sizes are open.
pub(super) fn broadcast(spec: WavSpec, info: &FileInfo) -> Result<Opening, AudioError> {
    spec.check()?;
    if info.rate != spec.rate || info.channels.len() != usize::from(spec.channels) {
        return Err(AudioError::Unsupported(format!(
            "a file of {} channels at {} Hz described as {} channels at {} Hz",
            spec.channels,
            spec.rate,
            info.channels.len(),
            info.rate
        )));
    }
    let mut bytes = riff();
    push_chunk(&mut bytes, b"JUNK", &[0; DS64_LEN as usize]);
    push_chunk(&mut bytes, b"fmt ", &fmt(&spec));
    let bext = push(&mut bytes, b"bext", &bext::build(info, &spec));
    let document = ixml::build(info, &spec);
    let mut padded = document.clone().into_bytes();
    let len = (padded.len() + SYNC_ROOM).next_multiple_of(2);
    padded.resize(len, b' ');
    let ixml = push(&mut bytes, b"iXML", &padded);
    // Zero is "not known": readers then count the audio, while ffprobe believes any other number when it shows a length.
    let fact = (!is_classic(&spec)).then(|| push(&mut bytes, b"fact", &[0; 4]));
    // The pad chunk's header and that of the audio take eight bytes each.
    let pad = (bytes.len() + 16).next_multiple_of(DATA_ALIGN) - (bytes.len() + 16);
    push_chunk(&mut bytes, b"PAD ", &vec![0; pad]);
    let data_at = push_data(&mut bytes);
    let layout = Layout {
        spec,
        has_ds64_room: true,
        bext: Some(bext),
        ixml: Some(ixml),
        fact,
        data_at,
        is_rf64: false,
        has_tail: true,
    };
    Ok(Opening { bytes, layout, ixml: Some(document) })
}

/// The classic 44 bytes, for readers that skip 44 bytes and know nothing else. They know one or two channels of integers.
pub(super) fn plain(spec: WavSpec) -> Result<Opening, AudioError> {
    spec.check()?;
    if spec.channels > 2 || spec.format == SampleFormat::Float32 {
        return Err(AudioError::Unsupported(format!(
            "a plain WAV file with {} channels of {:?}: it holds one or two channels of 16 or 24 bit",
            spec.channels, spec.format
        )));
    }
    let mut bytes = riff();
    push_chunk(&mut bytes, b"fmt ", &fmt_classic(&spec, TAG_PCM));
    let data_at = push_data(&mut bytes);
    let layout = Layout {
        spec,
        has_ds64_room: false,
        bext: None,
        ixml: None,
        fact: None,
        data_at,
        is_rf64: false,
        has_tail: false,
    };
    Ok(Opening { bytes, layout, ixml: None })
}

fn riff() -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&OPEN_SIZE.to_le_bytes());
    bytes.extend_from_slice(b"WAVE");
    bytes
}

/// Adds a chunk and says where its payload is.
fn push(bytes: &mut Vec<u8>, id: &[u8; 4], payload: &[u8]) -> Place {
    push_chunk(bytes, id, payload);
    Place { at: (bytes.len() - payload.len()) as u64, len: payload.len() as u64 }
}

/// Adds the header of the audio and says where the audio begins.
fn push_data(bytes: &mut Vec<u8>) -> u64 {
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&OPEN_SIZE.to_le_bytes());
    bytes.len() as u64
}

/// `fmt ` as the judges read it without a warning: 16-bit mono and stereo classic; other integers
/// WAVE_FORMAT_EXTENSIBLE (flac warns otherwise), with channel mask 0, since microphones are not loudspeakers; float as
/// its own format tag with an empty extension (sox warns about float in WAVE_FORMAT_EXTENSIBLE).
fn fmt(spec: &WavSpec) -> Vec<u8> {
    if spec.format == SampleFormat::Float32 {
        let mut out = fmt_classic(spec, TAG_FLOAT);
        out.extend_from_slice(&0u16.to_le_bytes());
        return out;
    }
    if is_classic(spec) {
        return fmt_classic(spec, TAG_PCM);
    }
    let mut out = fmt_classic(spec, TAG_EXTENSIBLE);
    out.extend_from_slice(&22u16.to_le_bytes());
    out.extend_from_slice(&spec.format.bits().to_le_bytes());
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&TAG_PCM.to_le_bytes());
    out.extend_from_slice(&GUID_TAIL);
    out
}

/// What a WAV file of 1991 could say.
fn is_classic(spec: &WavSpec) -> bool {
    spec.format == SampleFormat::Pcm16 && spec.channels <= 2
}

fn fmt_classic(spec: &WavSpec, tag: u16) -> Vec<u8> {
    let align = spec.align() as u16;
    let mut out = tag.to_le_bytes().to_vec();
    out.extend_from_slice(&spec.channels.to_le_bytes());
    out.extend_from_slice(&spec.rate.to_le_bytes());
    out.extend_from_slice(&spec.rate.saturating_mul(u32::from(align)).to_le_bytes());
    out.extend_from_slice(&align.to_le_bytes());
    out.extend_from_slice(&spec.format.bits().to_le_bytes());
    out
}

/// Reads a `fmt ` payload; refuses what this reader cannot decode.
pub(super) fn parse_fmt(bytes: &[u8]) -> Result<WavSpec, AudioError> {
    let half = |at: usize| bytes.get(at..at + 2).map_or(0, |pair| u16::from_le_bytes([pair[0], pair[1]]));
    if bytes.len() < 16 {
        return Err(AudioError::Format(format!("the fmt chunk has {} bytes, 16 are the least", bytes.len())));
    }
    let rate = u32::from(half(4)) | u32::from(half(6)) << 16;
    let (channels, align, bits) = (half(2), half(12), half(14));
    let is_extensible = half(0) == TAG_EXTENSIBLE;
    if is_extensible && bytes.get(26..40).is_none_or(|tail| tail != GUID_TAIL) {
        return Err(AudioError::Unsupported("a WAV file with a format GUID that is neither PCM nor float".into()));
    }
    let tag = if is_extensible { half(24) } else { half(0) };
    let format = match (tag, bits) {
        (TAG_PCM, 16) => SampleFormat::Pcm16,
        (TAG_PCM, 24) => SampleFormat::Pcm24,
        (TAG_FLOAT, 32) => SampleFormat::Float32,
        (tag, bits) => {
            return Err(AudioError::Unsupported(format!("a WAV file of format {tag} with {bits} bits")));
        }
    };
    let spec = WavSpec { rate, channels, format };
    spec.check()?;
    if u64::from(align) != spec.align() {
        return Err(AudioError::Format(format!(
            "frames of {align} bytes, {channels} channels of {bits} bits take {}",
            spec.align()
        )));
    }
    Ok(spec)
}
