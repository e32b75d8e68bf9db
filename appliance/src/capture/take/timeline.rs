//! A take as one continuous stretch of audio, whatever its segments, gaps and pauses: holes read as silence.

use std::fs::File;

use super::folder::TakeFolder;
use crate::audio::AudioError;
use crate::audio::wav::WavReader;
use crate::domain::{Segment, TakeInfo};

/// Reads a take's frames in order.
pub struct Timeline {
    folder: TakeFolder,
    segments: Vec<Segment>,
    channels: usize,
    open: Option<(usize, WavReader<File>)>,
    at: u64,
    scratch: Vec<Vec<f32>>,
}

impl Timeline {
    /// Over the segments that `info` knows, from frame `from` on.
    pub fn new(folder: &TakeFolder, info: &TakeInfo, from: u64) -> Self {
        let channels = info.channels.len();
        let scratch = vec![Vec::new(); channels];
        let segments = info.segments.iter().filter(|segment| segment.frames > 0).cloned().collect();
        Self { folder: folder.clone(), segments, channels, open: None, at: from, scratch }
    }

    /// The frame after the last audio.
    pub fn end(&self) -> u64 {
        self.segments.iter().map(|segment| segment.first_frame + segment.frames).max().unwrap_or(0)
    }

    /// Puts the next `frames` frames into `planar` (one vector per channel, contents replaced).
    ///
    /// # Errors
    /// A segment cannot be read or is not what the log says.
    pub fn read(&mut self, frames: usize, planar: &mut [Vec<f32>]) -> Result<(), AudioError> {
        for channel in planar.iter_mut() {
            channel.clear();
            channel.resize(frames, 0.0);
        }
        let end = self.at + frames as u64;
        while self.at < end {
            let begun = self.at;
            let place = (begun + frames as u64 - end) as usize;
            match self.segment_at(begun) {
                Some(index) => {
                    let segment = &self.segments[index];
                    let offset = begun - segment.first_frame;
                    let n = (segment.frames - offset).min(end - begun) as usize;
                    self.read_segment(index, offset, n)?;
                    for (out, read) in planar.iter_mut().zip(&self.scratch) {
                        out[place..place + n].copy_from_slice(&read[..n]);
                    }
                    self.at += n as u64;
                }
                None => self.at = self.next_segment(begun).unwrap_or(end).min(end),
            }
        }
        Ok(())
    }

    fn segment_at(&self, frame: u64) -> Option<usize> {
        let holds = |s: &Segment| (s.first_frame..s.first_frame + s.frames).contains(&frame);
        self.segments.iter().position(holds)
    }

    fn next_segment(&self, frame: u64) -> Option<u64> {
        self.segments.iter().map(|segment| segment.first_frame).filter(|&first| first > frame).min()
    }

    fn read_segment(&mut self, index: usize, offset: u64, frames: usize) -> Result<(), AudioError> {
        let is_open = self.open.as_ref().is_some_and(|(open, _)| *open == index);
        if !is_open {
            let path = self.folder.segment(&self.segments[index].file);
            let reader = WavReader::open(File::open(path)?)?;
            let found = usize::from(reader.about().spec.channels);
            if found != self.channels {
                let file = &self.segments[index].file;
                return Err(AudioError::Format(format!("{file} has {found} channels, the take has {}", self.channels)));
            }
            self.open = Some((index, reader));
        }
        let Some((_, reader)) = &mut self.open else { return Ok(()) };
        reader.seek(offset);
        let read = reader.read(frames, &mut self.scratch)?;
        if read < frames {
            let file = &self.segments[index].file;
            return Err(AudioError::Format(format!("{file} is shorter than its log says: run `rakkr verify`")));
        }
        Ok(())
    }
}
