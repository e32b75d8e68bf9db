//! Writing a WAV file that is whole at every moment.
//!
//! Lives here: taking audio, counting what the sink really took, growing past 32 bits. Does not live here: buffering and
//! syncing; every call writes straight to the sink, which the caller may sync or wrap. It may assume that the sink is
//! empty and begins at offset 0, and that nobody else writes to it.

use super::super::pcm::encode_into;
use super::super::{AudioError, Encoder, FileInfo, Loudness, Marker};
use super::header::{self, Layout, Opening};
use super::seal::{Ending, become_rf64, seal, write_ds64};
use super::{CLAIM_STEP, RIFF_LIMIT, WavSpec};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};

/// Bytes encoded at once: a longer block goes in several writes, so that memory stays constant.
const BLOCK: usize = 256 << 10;

/// A WAV file being written.
///
/// After an error of the sink the writer stays usable: [`frames`](Self::frames) says how many whole frames the file has
/// taken, the next write goes on behind them, and [`finish`](Encoder::finish) can be tried again when there is room.
#[derive(Debug)]
pub struct WavWriter<W> {
    inner: W,
    layout: Layout,
    ixml: Option<String>,
    riff_limit: u64,
    claim_step: u64,
    /// Bytes of audio that an RF64 header claims.
    claim: u64,
    /// Bytes of audio the sink has taken; after an error perhaps not whole frames.
    written: u64,
    /// The sink stands behind the last whole frame.
    is_placed: bool,
    /// Finishing was tried: no more audio.
    is_ending: bool,
    scratch: Vec<u8>,
}

impl<W: Write + Seek> WavWriter<W> {
    /// Begins a Broadcast WAV: writes the whole header, with sizes that claim too much.
    ///
    /// # Errors
    /// `Unsupported` if no WAV file holds `spec`, or `info` describes other channels or another rate.
    pub fn open(inner: W, spec: WavSpec, info: &FileInfo) -> Result<Self, AudioError> {
        Self::begin(inner, header::broadcast(spec, info)?, RIFF_LIMIT, CLAIM_STEP)
    }

    /// Begins a file with the classic header of 44 bytes and nothing behind the audio, for simple readers.
    ///
    /// It holds one or two channels of integers and [`RIFF_LIMIT`] bytes; markers and loudness are left out.
    ///
    /// # Errors
    /// `Unsupported` if such a file cannot hold `spec`.
    pub fn open_plain(inner: W, spec: WavSpec) -> Result<Self, AudioError> {
        Self::begin(inner, header::plain(spec)?, RIFF_LIMIT, CLAIM_STEP)
    }

    /// As [`open`](Self::open) with other limits, so that tests cross them with small files.
    pub(super) fn begin(mut inner: W, opening: Opening, riff_limit: u64, claim_step: u64) -> Result<Self, AudioError> {
        inner.seek(SeekFrom::Start(0))?;
        inner.write_all(&opening.bytes)?;
        Ok(Self {
            inner,
            layout: opening.layout,
            ixml: opening.ixml,
            riff_limit,
            claim_step,
            claim: 0,
            written: 0,
            is_placed: true,
            is_ending: false,
            scratch: Vec::new(),
        })
    }

    /// Writes frames that are interleaved and in the file's format already.
    ///
    /// # Errors
    /// `Format` if they are not whole frames; `Io` if the sink refuses, see [`WavWriter`].
    pub fn write_bytes(&mut self, frames: &[u8]) -> Result<(), AudioError> {
        if self.is_ending {
            return Err(AudioError::Format("audio after the end of a finished WAV file".into()));
        }
        if !(frames.len() as u64).is_multiple_of(self.layout.spec.align()) {
            return Err(AudioError::Format(format!(
                "{} bytes of audio are not whole frames of {} bytes",
                frames.len(),
                self.layout.spec.align()
            )));
        }
        // What an error left of a torn frame is written over.
        let begin = self.frames() * self.layout.spec.align();
        self.make_room(begin + frames.len() as u64)?;
        if !self.is_placed {
            self.inner.seek(SeekFrom::Start(self.layout.data_at + begin))?;
        }
        self.written = begin;
        self.is_placed = false;
        self.append(frames)?;
        self.is_placed = true;
        Ok(())
    }

    /// Counts frames as taken that the sink gets in another way, or never: the file is then as if they had been written.
    ///
    /// # Errors
    /// `Io` if the sink refuses a change of the header.
    pub fn pass(&mut self, frames: u64) -> Result<(), AudioError> {
        let end = (self.frames() + frames) * self.layout.spec.align();
        self.make_room(end)?;
        self.written = end;
        self.is_placed = false;
        Ok(())
    }

    /// As `write_all`, counting what was taken before an error.
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.inner.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the header ready to claim `data_len` bytes of audio, before they are written.
    fn make_room(&mut self, data_len: u64) -> Result<(), AudioError> {
        let is_past_riff = self.layout.data_at + data_len > self.riff_limit;
        let is_claimed = if self.layout.is_rf64 { data_len < self.claim } else { !is_past_riff };
        if is_claimed {
            return Ok(());
        }
        self.is_placed = false;
        let claim = (data_len + self.claim_step) / self.layout.spec.align() * self.layout.spec.align();
        let frames = claim / self.layout.spec.align();
        if self.layout.is_rf64 {
            write_ds64(&mut self.inner, &self.layout, self.layout.data_at + claim, claim, frames)?;
        } else {
            become_rf64(&mut self.inner, &mut self.layout, claim, frames)?;
        }
        self.claim = claim;
        Ok(())
    }

    /// Whole frames the sink has taken.
    pub fn frames(&self) -> u64 {
        self.written / self.layout.spec.align()
    }

    /// How the samples stand in the file.
    pub fn spec(&self) -> WavSpec {
        self.layout.spec
    }

    /// Offset of the first frame in the file.
    pub fn data_offset(&self) -> u64 {
        self.layout.data_at
    }

    /// Forgets the frames from `frames` on, for a file that shall end earlier than what was written (or at the last
    /// whole frame after an error). Returns the length the caller now gives the file (`set_len`), before anything else.
    pub fn truncate_to(&mut self, frames: u64) -> u64 {
        self.written = frames.min(self.frames()) * self.layout.spec.align();
        self.is_placed = false;
        self.layout.data_at + self.written
    }

    /// The sink, for a sync.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The sink. It may be sought; it may be written to only as [`truncate_to`](Self::truncate_to) says.
    pub fn get_mut(&mut self) -> &mut W {
        self.is_placed = false;
        &mut self.inner
    }

    /// The sink. The file stays as it is: open, unless it was finished.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write + Seek> Encoder for WavWriter<W> {
    fn write(&mut self, planar: &[&[f32]]) -> Result<(), AudioError> {
        let frames = planar.first().map_or(0, |channel| channel.len());
        if planar.len() != usize::from(self.layout.spec.channels) || planar.iter().any(|c| c.len() != frames) {
            return Err(AudioError::Format(format!(
                "a block of {} channels, not all of {frames} frames, for a file of {} channels",
                planar.len(),
                self.layout.spec.channels
            )));
        }
        let step = (BLOCK / self.layout.spec.align() as usize).max(1);
        let mut block = Vec::with_capacity(planar.len());
        for begin in (0..frames).step_by(step) {
            let end = frames.min(begin + step);
            block.clear();
            block.extend(planar.iter().map(|channel| &channel[begin..end]));
            let mut scratch = std::mem::take(&mut self.scratch);
            // Not cleared first: what is there is written over, and need not be zero before.
            scratch.resize((end - begin) * self.layout.spec.align() as usize, 0);
            encode_into(&block, self.layout.spec.format, &mut scratch);
            let outcome = self.write_bytes(&scratch);
            self.scratch = scratch;
            outcome?;
        }
        Ok(())
    }

    /// After an error it may be called again; called again after success, the last call stands. The sink is left at the
    /// end of the file. Of the markers, those behind the last frame and those beyond [`super::MARKERS_LIMIT`] are left
    /// out, and those beyond 2^32 frames beyond what iXML has room for.
    fn finish(&mut self, markers: &[Marker], loudness: &Loudness) -> Result<(), AudioError> {
        // Even if this fails: the header may tell a truth already that more audio would make a lie.
        self.is_ending = true;
        // What a torn frame or an earlier attempt left behind the audio counts too.
        let reach = self.inner.seek(SeekFrom::End(0))?;
        let ending = Ending { frames: self.frames(), markers, loudness, ixml: self.ixml.as_deref(), reach };
        seal(&mut self.inner, &mut self.layout, &ending)?;
        Ok(())
    }
}
