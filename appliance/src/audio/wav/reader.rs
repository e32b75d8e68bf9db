//! Reading WAV files: our own at any moment of their life, and everyone else's.
//!
//! Lives here: what a file says of itself, and its audio from any frame on. Does not live here: finding chunks, and
//! decoding samples. Memory is bounded whatever the bytes say: chunks by `CHUNK_LIMIT`, audio by one block.

use super::super::pcm::decode_interleaved;
use super::super::{AudioError, Marker};
use super::bext::{self, Bext};
use super::chunks::{Scan, read_chunk, scan};
use super::{MARKERS_LIMIT, WavSpec, cue, ixml};
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// Bytes of audio read at once.
const BLOCK: u64 = 64 << 10;
/// Most `LIST` chunks looked at for the names of markers.
const LISTS_LIMIT: usize = 4;

/// What a WAV file is and says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct WavFile {
    /// How the samples stand in the file.
    pub spec: WavSpec,
    /// Offset of the first frame.
    pub data_offset: u64,
    /// Whole frames in the file, whatever its sizes claim.
    pub frames: u64,
    /// Sizes claim more than there is: the file is being written, or a crash left it so.
    pub is_open: bool,
    /// Sizes are 64-bit (RF64 or BW64).
    pub is_rf64: bool,
    /// Broadcast extension, if whole.
    pub bext: Option<Bext>,
    /// The iXML document, without the spaces behind it.
    pub ixml: Option<String>,
    /// One name per channel from iXML; empty where it names none.
    pub track_names: Vec<String>,
    /// Cue points, then iXML's sync points.
    pub markers: Vec<Marker>,
}

/// An open WAV file, with a place at which it is read.
#[derive(Debug)]
pub struct WavReader<R> {
    inner: R,
    about: WavFile,
    /// The next frame to be read.
    frame: u64,
    /// The source stands at `frame`.
    is_placed: bool,
    scratch: Vec<u8>,
}

impl<R: Read + Seek> WavReader<R> {
    /// Reads everything but the audio.
    ///
    /// # Errors
    /// `Format` if it is no WAV file, `Unsupported` if its samples are none of ours.
    pub fn open(mut inner: R) -> Result<Self, AudioError> {
        let about = describe(&mut inner)?;
        Ok(Self { inner, about, frame: 0, is_placed: false, scratch: Vec::new() })
    }

    /// What the file says of itself.
    pub fn about(&self) -> &WavFile {
        &self.about
    }

    /// Looks at the file again, which may have grown or been finished since. The place in it stays.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn refresh(&mut self) -> Result<(), AudioError> {
        self.is_placed = false;
        self.about = describe(&mut self.inner)?;
        Ok(())
    }

    /// The next frame to be read.
    pub fn position(&self) -> u64 {
        self.frame
    }

    /// Reads on from `frame`; beyond the end there is nothing to read.
    pub fn seek(&mut self, frame: u64) {
        self.frame = frame;
        self.is_placed = false;
    }

    /// Replaces `planar` (one vector per channel) by the next `frames` frames, or by fewer where the file ends. Returns
    /// how many.
    ///
    /// # Errors
    /// `Format` if `planar` has another number of channels.
    pub fn read(&mut self, frames: usize, planar: &mut [Vec<f32>]) -> Result<usize, AudioError> {
        let spec = self.about.spec;
        if planar.len() != usize::from(spec.channels) {
            return Err(AudioError::Format(format!(
                "{} vectors for a file of {} channels",
                planar.len(),
                spec.channels
            )));
        }
        planar.iter_mut().for_each(Vec::clear);
        let mut left = (frames as u64).min(self.about.frames.saturating_sub(self.frame));
        if left > 0 && !self.is_placed {
            self.inner.seek(SeekFrom::Start(self.about.data_offset + self.frame * spec.align()))?;
        }
        let mut done = 0;
        while left > 0 {
            let count = left.min((BLOCK / spec.align()).max(1));
            self.scratch.resize((count * spec.align()) as usize, 0);
            self.is_placed = false;
            let present = read_full(&mut self.inner, &mut self.scratch)?;
            decode_interleaved(&self.scratch[..present], planar.len(), spec.format, planar);
            let got = present as u64 / spec.align();
            self.frame += got;
            done += got;
            if got < count {
                // The file has become shorter since it was looked at.
                break;
            }
            self.is_placed = true;
            left -= count;
        }
        Ok(done as usize)
    }

    /// The source.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

/// As `read_exact`, but says how much there was.
fn read_full<R: Read>(r: &mut R, bytes: &mut [u8]) -> Result<usize, AudioError> {
    let mut have = 0;
    while have < bytes.len() {
        match r.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(have)
}

fn describe<R: Read + Seek>(r: &mut R) -> Result<WavFile, AudioError> {
    let Scan { layout, frames, is_open, chunks, .. } = scan(r)?;
    let mut bext = None;
    let mut ixml = None;
    let mut points = Vec::new();
    let mut lists = Vec::new();
    for chunk in &chunks {
        match &chunk.id {
            b"bext" if bext.is_none() => bext = bext::parse(&read_chunk(r, chunk)?),
            b"iXML" if ixml.is_none() => ixml = Some(String::from_utf8_lossy(&read_chunk(r, chunk)?).into_owned()),
            b"cue " if points.is_empty() => points = read_chunk(r, chunk)?,
            b"LIST" if lists.len() < LISTS_LIMIT => lists.push(read_chunk(r, chunk)?),
            _ => {}
        }
    }
    let document = ixml.map(|text| text.trim_end_matches(['\0', ' ', '\r', '\n']).to_owned());
    let channels = usize::from(layout.spec.channels);
    let mut markers = cue::parse(&points, &lists);
    markers.extend(document.iter().flat_map(|text| ixml::sync_points(text)));
    markers.truncate(MARKERS_LIMIT);
    Ok(WavFile {
        spec: layout.spec,
        data_offset: layout.data_at,
        frames,
        is_open,
        is_rf64: layout.is_rf64,
        bext,
        track_names: ixml::track_names(document.as_deref().unwrap_or_default(), channels),
        ixml: document,
        markers,
    })
}
