//! Making the sizes of a file true, or open: what the writer does at the end of a file and repair does after a crash.
//!
//! Lives here: the order in which a header is patched. Does not live here: the audio itself. Every step leaves a file
//! that readers read whole if it is the last one to reach the disk: sizes claim too much until the truth is written, and
//! the id becomes RF64 only when its ds64 stands.

use super::super::{AudioError, Loudness, Marker};
use super::header::{DS64_AT, DS64_LEN, Layout};
use super::{CLAIM_STEP, OPEN_SIZE, RIFF_LIMIT, bext, cue, ixml};
use std::io::{Seek, SeekFrom, Write};

/// What the end of a file knows.
pub(super) struct Ending<'a> {
    /// Frames of audio that stand in the file and stay.
    pub frames: u64,
    pub markers: &'a [Marker],
    pub loudness: &'a Loudness,
    /// The iXML document without its padding, to be written again with its sync points.
    pub ixml: Option<&'a str>,
    /// Offset behind the last byte in the file, also of what does not stay.
    pub reach: u64,
}

/// Makes the file exactly true. Returns its length. May be called again after an error, and with other facts.
///
/// Bytes behind the end that were there before become a `JUNK` chunk, since a sink cannot be cut from here.
pub(super) fn seal<W: Write + Seek>(w: &mut W, layout: &mut Layout, ending: &Ending) -> Result<u64, AudioError> {
    if layout.is_rf64 && !layout.has_ds64_room {
        return Err(AudioError::Format("an RF64 file whose first chunk is no ds64".into()));
    }
    let data_len = ending.frames * layout.spec.align();
    let data_end = layout.data_at + data_len;
    // A span is clipped and a point left out where the audio ends before it.
    let markers = inside(ending.markers, ending.frames);
    let mut tail = if data_len % 2 == 1 { vec![0] } else { Vec::new() };
    if layout.has_tail {
        tail.extend_from_slice(&cue::build(markers.iter()));
    }
    let mut end = data_end + tail.len() as u64;
    let cover = ending.reach.saturating_sub(end);
    let mut cover_end = end;
    if cover > 0 {
        let len = cover.saturating_sub(8).next_multiple_of(2);
        let Ok(size) = u32::try_from(len) else {
            return Err(AudioError::Unsupported(format!("{cover} bytes behind the audio; cut the file first")));
        };
        tail.extend_from_slice(b"JUNK");
        tail.extend_from_slice(&size.to_le_bytes());
        end += 8;
        cover_end = end + len;
    }
    if !layout.is_rf64 && cover_end.max(data_end) > u64::from(u32::MAX) {
        become_rf64(w, layout, data_len, ending.frames)?;
    }

    // The audio's length first: from here on readers stop where the audio stops, whatever comes behind it.
    if layout.is_rf64 {
        write_ds64(w, layout, data_len + CLAIM_STEP, data_len, ending.frames)?;
        put(w, layout.data_at - 4, &OPEN_SIZE.to_le_bytes())?;
        put(w, 4, &OPEN_SIZE.to_le_bytes())?;
    } else {
        put(w, 4, &OPEN_SIZE.to_le_bytes())?;
        put(w, layout.data_at - 4, &size32(data_len))?;
    }
    put(w, data_end, &tail)?;
    fill(w, ending.reach.max(end), cover_end)?;
    patch_header(w, layout, ending, &markers)?;
    if layout.is_rf64 {
        write_ds64(w, layout, cover_end - 8, data_len, ending.frames)?;
    } else {
        put(w, 4, &size32(cover_end - 8))?;
    }
    w.seek(SeekFrom::Start(cover_end))?;
    w.flush()?;
    Ok(cover_end)
}

/// The markers that begin in the audio, clipped to it.
fn inside(markers: &[Marker], frames: u64) -> Vec<Marker> {
    let clip = |marker: &Marker| Marker { frames: marker.frames.min(frames - marker.frame), ..marker.clone() };
    markers.iter().filter(|marker| marker.frame <= frames).map(clip).collect()
}

/// Zeros from `from` to `to`; a few bytes at most.
fn fill<W: Write + Seek>(w: &mut W, from: u64, to: u64) -> Result<(), AudioError> {
    if from < to {
        put(w, from, &vec![0; (to - from) as usize])?;
    }
    Ok(())
}

/// Loudness, sync points and the frame count of `fact`.
fn patch_header<W: Write + Seek>(
    w: &mut W,
    layout: &Layout,
    ending: &Ending,
    markers: &[Marker],
) -> Result<(), AudioError> {
    if let Some(place) = layout.bext {
        put(w, place.at + bext::LOUDNESS_AT, &bext::loudness_fields(ending.loudness))?;
    }
    if let (Some(place), Some(text)) = (layout.ixml, ending.ixml) {
        let late: Vec<&Marker> = markers.iter().filter(|marker| !cue::fits(marker)).collect();
        let mut document = ixml::with_sync_points(text, &late, place.len as usize).into_bytes();
        if document.len() as u64 <= place.len {
            document.resize(place.len as usize, b' ');
            put(w, place.at, &document)?;
        }
    }
    if let Some(place) = layout.fact {
        let count = if layout.is_rf64 { OPEN_SIZE.to_le_bytes() } else { size32(ending.frames) };
        put(w, place.at, &count)?;
    }
    Ok(())
}

/// Turns a RIFF file into RF64 in place, with a data size of `claim` bytes: ds64, then the open 32-bit sizes, then the
/// id. All but one of these stand in the first 48 bytes of the file, which reach a disk as one sector.
pub(super) fn become_rf64<W: Write + Seek>(
    w: &mut W,
    layout: &mut Layout,
    claim: u64,
    frames: u64,
) -> Result<(), AudioError> {
    if !layout.has_ds64_room {
        return Err(AudioError::Unsupported(format!(
            "more than {RIFF_LIMIT} bytes in a WAV file without room for 64-bit sizes"
        )));
    }
    write_ds64(w, layout, layout.data_at + claim, claim, frames)?;
    put(w, DS64_AT, b"ds64")?;
    put(w, layout.data_at - 4, &OPEN_SIZE.to_le_bytes())?;
    put(w, 4, &OPEN_SIZE.to_le_bytes())?;
    put(w, 0, b"RF64")?;
    layout.is_rf64 = true;
    Ok(())
}

/// Writes the sizes into the first chunk; its id and its length stay as they are.
pub(super) fn write_ds64<W: Write + Seek>(
    w: &mut W,
    layout: &Layout,
    riff_len: u64,
    data_len: u64,
    frames: u64,
) -> Result<(), AudioError> {
    debug_assert!(layout.has_ds64_room);
    let mut sizes = riff_len.to_le_bytes().to_vec();
    sizes.extend_from_slice(&data_len.to_le_bytes());
    sizes.extend_from_slice(&frames.to_le_bytes());
    sizes.extend_from_slice(&0u32.to_le_bytes());
    debug_assert_eq!(sizes.len() as u64, DS64_LEN);
    put(w, DS64_AT + 8, &sizes)
}

fn size32(size: u64) -> [u8; 4] {
    u32::try_from(size).unwrap_or(OPEN_SIZE).to_le_bytes()
}

fn put<W: Write + Seek>(w: &mut W, at: u64, bytes: &[u8]) -> Result<(), AudioError> {
    w.seek(SeekFrom::Start(at))?;
    w.write_all(bytes)?;
    Ok(())
}
