//! A WAV file of a take that lies nowhere: its beginning and end in memory, the audio between read when it is asked for.
//!
//! It has the bytes that an export with the same wishes would write, at the same places, so a download of any length begins
//! at once, takes no room on the recording disk, and goes on after an interruption. What is written down of a file beside
//! its audio comes from the one writer (`audio/wav`), which here writes into a sink with a hole.

use std::io::{self, Seek, SeekFrom, Write};

use super::export::{ExportError, Job, Request, planned};
use super::folder::TakeFolder;
use super::timeline::Timeline;
use crate::audio::pcm::encode_into;
use crate::audio::wav::{SampleFormat, WavSpec, WavWriter};
use crate::audio::{AudioError, Encoder, Loudness};
use crate::domain::TakeInfo;

/// Most frames in one piece.
const PIECE_FRAMES: u64 = 4_096;

/// A WAV file as an export would write it.
#[derive(Debug)]
pub struct WavView {
    folder: TakeFolder,
    info: TakeInfo,
    picked: Vec<usize>,
    from: u64,
    spec: WavSpec,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes of audio.
    data: u64,
}

impl WavView {
    /// The file that `request` asks for; its format and output are not looked at.
    ///
    /// # Errors
    /// As for an export.
    pub fn open(folder: &TakeFolder, request: &Request) -> Result<Self, ExportError> {
        let plan = planned(folder, request)?;
        let job = Job { folder, plan: &plan, picked: &plan.picked, request };
        let failed = |error| ExportError::Audio { output: "the download".into(), error };
        let format = if request.is_float { SampleFormat::Float32 } else { SampleFormat::Pcm24 };
        let spec = WavSpec { rate: plan.info.sample_rate, channels: plan.picked.len() as u16, format };
        let (head, tail) = around(&job, spec, plan.to - plan.from).map_err(failed)?;
        let data = (plan.to - plan.from) * spec.align();
        let (info, picked, from) = (plan.info, plan.picked, plan.from);
        Ok(Self { folder: folder.clone(), info, picked, from, spec, head, tail, data })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.head.len() as u64 + self.data + self.tail.len() as u64
    }

    /// The file from byte `at` to before byte `end`.
    pub fn read(self, at: u64, end: u64) -> WavPieces {
        let end = end.min(self.bytes());
        WavPieces { view: self, at: at.min(end), end, timeline: None, planar: Vec::new() }
    }
}

/// What stands before and behind so many frames.
fn around(job: &Job<'_>, spec: WavSpec, frames: u64) -> Result<(Vec<u8>, Vec<u8>), AudioError> {
    let mut writer = WavWriter::open(Hollow::default(), spec, &job.about())?;
    let hole = writer.data_offset();
    writer.get_mut().hole = hole..hole + frames * spec.align();
    writer.pass(frames)?;
    writer.finish(&job.markers(), &Loudness::default())?;
    let hollow = writer.into_inner();
    Ok((hollow.head, hollow.tail))
}

/// A sink that keeps what is written before and behind a hole.
#[derive(Debug, Default)]
struct Hollow {
    head: Vec<u8>,
    hole: std::ops::Range<u64>,
    tail: Vec<u8>,
    at: u64,
}

impl Write for Hollow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The hole opens behind the header: until then all is header.
        let (part, begin) = match self.hole.is_empty() || self.at < self.hole.start {
            true => (&mut self.head, 0),
            false if self.at >= self.hole.end => (&mut self.tail, self.hole.end),
            false => return Err(io::Error::other("audio is written where none is kept")),
        };
        let at = (self.at - begin) as usize;
        part.resize(part.len().max(at + bytes.len()), 0);
        part[at..at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Hollow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = if self.hole.is_empty() { self.head.len() as u64 } else { self.hole.end + self.tail.len() as u64 };
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::other("a place before the file"))?;
        Ok(self.at)
    }
}

/// Bytes of a [`WavView`], piece by piece.
pub struct WavPieces {
    view: WavView,
    at: u64,
    end: u64,
    timeline: Option<Timeline>,
    planar: Vec<Vec<f32>>,
}

impl WavPieces {
    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// A segment cannot be read or is not what the log says.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, AudioError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let head = self.view.head.len() as u64;
        let audio_end = head + self.view.data;
        let (mut bytes, begin) = if self.at < head {
            (self.view.head.clone(), 0)
        } else if self.at < audio_end {
            let align = self.view.spec.align();
            let frame = (self.at - head) / align;
            (self.audio(frame)?, head + frame * align)
        } else {
            (self.view.tail.clone(), audio_end)
        };
        bytes.truncate((self.end - begin).min(bytes.len() as u64) as usize);
        bytes.drain(..(self.at - begin) as usize);
        self.at += bytes.len() as u64;
        Ok(Some(bytes))
    }

    fn audio(&mut self, frame: u64) -> Result<Vec<u8>, AudioError> {
        let view = &self.view;
        let (folder, info) = (&view.folder, &view.info);
        // Pieces follow each other: only the first one is looked for.
        let timeline = self.timeline.get_or_insert_with(|| Timeline::new(folder, info, view.from + frame));
        let frames = PIECE_FRAMES.min(view.data / view.spec.align() - frame) as usize;
        self.planar.resize(info.channels.len(), Vec::new());
        timeline.read(frames, &mut self.planar)?;
        let picked: Vec<&[f32]> = view.picked.iter().map(|&index| &self.planar[index][..]).collect();
        let mut bytes = vec![0; frames * view.spec.align() as usize];
        encode_into(&picked, view.spec.format, &mut bytes);
        Ok(bytes)
    }
}
