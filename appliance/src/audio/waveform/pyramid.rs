//! Six files that grow with a recording.
//!
//! Lives here: the order of writing, and going on after a crash. A level's points are appended first and its header's
//! count is patched after, so at every moment the header counts what is there. Does not live here: syncing, because a
//! waveform can be made again from the take at any time.

use std::io::{Read, Seek, SeekFrom, Write};

use super::dat::{DatReader, HEADER_BYTES, WaveSpec};
use super::peaks::{Pair, Peaks};
use super::{BASE_FRAMES, LEVELS, RATIO, frames_per_point};
use crate::audio::AudioError;

/// Bytes of a level that are kept back before they are written.
const PENDING_BYTES: usize = 64 << 10;

/// Writes a waveform progressively.
pub struct Pyramid<F> {
    spec: WaveSpec,
    files: [Level<F>; LEVELS],
    peaks: Peaks,
    /// Frames taken.
    frames: u64,
}

struct Level<F> {
    file: F,
    /// Points in the file.
    points: u64,
    /// Points that are not in the file yet.
    pending: Vec<u8>,
}

impl<F: Read + Write + Seek> Pyramid<F> {
    /// Begins in six empty files, finest first, and writes their headers.
    ///
    /// # Errors
    /// A file refuses.
    pub fn create(files: [F; LEVELS], spec: WaveSpec) -> Result<Self, AudioError> {
        let files = files.map(|file| Level { file, points: 0, pending: Vec::new() });
        let mut pyramid = Self { spec, files, peaks: Peaks::new(usize::from(spec.channels)), frames: 0 };
        for (level, file) in pyramid.files.iter_mut().enumerate() {
            file.patch(&spec, level)?;
        }
        Ok(pyramid)
    }

    /// Goes on in files that were left unfinished, from [`frames`](Self::frames) on: the last frame up to which all levels
    /// agree. Points beyond it are written anew.
    ///
    /// # Errors
    /// `Format` if the files are not the levels of one unfinished waveform of this `spec`.
    pub fn resume(files: [F; LEVELS], spec: WaveSpec) -> Result<Self, AudioError> {
        let mut levels = Vec::with_capacity(LEVELS);
        for (level, mut file) in files.into_iter().enumerate() {
            let about = DatReader::open(&mut file)?.about();
            if about.spec != spec || about.frames_per_point != frames_per_point(level) {
                return Err(AudioError::Format(format!("level {level} is of another waveform: {about:?}")));
            }
            levels.push(Level { file, points: about.points, pending: Vec::new() });
        }
        // Level k has a point for every 8^k of the base: the base is believed as far as the levels above have kept up.
        let mut points = levels[0].points;
        for (level, file) in levels.iter().enumerate() {
            points = points.min((file.points + 1) * RATIO.pow(level as u32) - 1);
        }
        let mut peaks = Peaks::new(usize::from(spec.channels));
        for (level, file) in levels.iter_mut().enumerate() {
            file.points = points / RATIO.pow(level as u32);
            file.patch(&spec, level)?;
            let counted = file.points % RATIO;
            let values = DatReader::open(&mut file.file)?.read(file.points - counted, counted as usize)?;
            let pairs: Vec<Pair> = values.as_chunks::<2>().0.iter().map(|&[min, max]| spec.pair(min, max)).collect();
            pairs.chunks_exact(usize::from(spec.channels)).for_each(|point| peaks.count_again(level, point));
        }
        let Ok(files) = levels.try_into() else { return Err(AudioError::Format("levels are missing".to_owned())) };
        Ok(Self { spec, files, peaks, frames: points * BASE_FRAMES })
    }

    /// Frames taken so far; the next block begins there.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Takes one block, one slice per channel.
    ///
    /// # Errors
    /// A file refuses, or the block has another number of channels.
    pub fn push(&mut self, planar: &[&[f32]]) -> Result<(), AudioError> {
        let (files, spec) = (&mut self.files, &self.spec);
        self.peaks.push(planar, &mut |level, point| files[level].append(spec, level, point))?;
        self.frames += planar.first().map_or(0, |channel| channel.len()) as u64;
        Ok(())
    }

    /// Writes what is complete, so that readers see it.
    ///
    /// # Errors
    /// A file refuses.
    pub fn flush(&mut self) -> Result<(), AudioError> {
        let spec = self.spec;
        self.files.iter_mut().enumerate().try_for_each(|(level, file)| file.write_out(&spec, level))
    }

    /// Writes the last, shorter points. Nothing may be pushed after.
    ///
    /// # Errors
    /// A file refuses.
    pub fn finish(&mut self) -> Result<(), AudioError> {
        let (files, spec) = (&mut self.files, &self.spec);
        self.peaks.finish(&mut |level, point| files[level].append(spec, level, point))?;
        self.flush()
    }

    /// The files.
    pub fn into_files(self) -> [F; LEVELS] {
        self.files.map(|level| level.file)
    }
}

impl<F: Write + Seek> Level<F> {
    fn append(&mut self, spec: &WaveSpec, level: usize, point: &[Pair]) -> Result<(), AudioError> {
        spec.encode(point, &mut self.pending);
        if self.pending.len() >= PENDING_BYTES { self.write_out(spec, level) } else { Ok(()) }
    }

    fn write_out(&mut self, spec: &WaveSpec, level: usize) -> Result<(), AudioError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(HEADER_BYTES + self.points * spec.point_bytes()))?;
        self.file.write_all(&self.pending)?;
        self.points += self.pending.len() as u64 / spec.point_bytes();
        self.pending.clear();
        self.patch(spec, level)
    }

    fn patch(&mut self, spec: &WaveSpec, level: usize) -> Result<(), AudioError> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&spec.header(frames_per_point(level), self.points))?;
        self.file.flush()?;
        Ok(())
    }
}
