//! Making a file true that a crash left open, and the facts by which recovery decides where to cut it.
//!
//! Lives here: both, on the bytes of one file. Does not live here: the decision (the store knows what was synced), and
//! the cutting itself, which only a file can do.

use super::super::{AudioError, Loudness, Marker};
use super::chunks::{Scan, read_chunk, scan};
use super::seal::{Ending, seal};
use super::{WavSpec, cue};
use std::io::{Read, Seek, SeekFrom, Write};

/// Most bytes looked at for a tail of zeros: five seconds of 64 channels in float. A crash leaves less than one second.
pub const ZERO_TAIL_LIMIT: u64 = 64 << 20;
const BLOCK: u64 = 64 << 10;

/// What audio a file has, whatever its header claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How the samples stand in the file.
    pub spec: WavSpec,
    /// Offset of the first frame.
    pub data_offset: u64,
    /// Whole frames in the file.
    pub frames: u64,
    /// How many of them, at the end, are zero in every bit: true silence, or blocks a crash left unwritten. At most
    /// [`ZERO_TAIL_LIMIT`] bytes of them are counted.
    pub zero_tail_frames: u64,
    /// Sizes claim more than there is.
    pub is_open: bool,
}

/// Measures the audio of a file.
///
/// # Errors
/// `Format` if the crash came before the header was whole, or the file is no WAV file.
pub fn data_extent<R: Read + Seek>(file: &mut R) -> Result<Extent, AudioError> {
    let Scan { layout, frames, is_open, .. } = scan(file)?;
    let (begin, end) = (layout.data_at, layout.data_end(frames));
    let zeros = zero_tail(file, begin, end)?;
    Ok(Extent { spec: layout.spec, data_offset: begin, frames, zero_tail_frames: zeros / layout.spec.align(), is_open })
}

/// Zero bytes before `end`, not further back than `begin`.
fn zero_tail<R: Read + Seek>(file: &mut R, begin: u64, end: u64) -> Result<u64, AudioError> {
    let begin = begin.max(end.saturating_sub(ZERO_TAIL_LIMIT));
    let mut block = Vec::new();
    let mut at = end;
    while at > begin {
        let len = BLOCK.min(at - begin);
        block.resize(len as usize, 0);
        file.seek(SeekFrom::Start(at - len))?;
        file.read_exact(&mut block)?;
        if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
            return Ok(end - (at - len) - last as u64 - 1);
        }
        at -= len;
    }
    Ok(end - begin)
}

/// Makes the header tell the truth for `frames` frames and adds markers and loudness, as finishing would have done.
/// Returns the file's length.
///
/// The caller has cut the file to `data_offset + frames * align` first; bytes behind that which are still there become a
/// `JUNK` chunk.
///
/// # Errors
/// `Format` if there are fewer frames, or it is no WAV file; `Unsupported` if the sizes need 64 bits for which the header
/// has no room.
pub fn repair<F: Read + Write + Seek>(
    file: &mut F,
    frames: u64,
    markers: &[Marker],
    loudness: &Loudness,
) -> Result<u64, AudioError> {
    let found = scan(file)?;
    if frames > found.frames {
        return Err(AudioError::Format(format!("{frames} frames asked for, the file holds {}", found.frames)));
    }
    // The document of a foreign file is left alone unless it has to carry something.
    let has_late = markers.iter().any(|marker| !cue::fits(marker));
    let document = match found.chunks.iter().find(|chunk| &chunk.id == b"iXML") {
        Some(chunk) if has_late => String::from_utf8(read_chunk(file, chunk)?).ok(),
        _ => None,
    };
    let document = document.as_deref().map(str::trim_end);
    let mut layout = found.layout;
    let ending = Ending { frames, markers, loudness, ixml: document, reach: found.file_len };
    seal(file, &mut layout, &ending)
}
