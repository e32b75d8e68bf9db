//! The waveform files of a take: six levels, 16 bit, all channels.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::RenderError;
use crate::audio::waveform::{Bits, LEVELS, Pyramid, WaveSpec};
use crate::domain::TakeInfo;

/// The name of a level's file.
pub fn waveform_name(level: usize) -> String {
    format!("waveform-{level}.dat")
}

/// The waveform under way.
pub(super) struct Wave {
    pyramid: Pyramid<File>,
    out: PathBuf,
}

impl Wave {
    /// Goes on with what is there, or begins. What was drawn beyond `end` was lost by the take in a power cut.
    pub(super) fn open(out: &Path, info: &TakeInfo, end: u64) -> Result<Self, RenderError> {
        // A quiet speaker at -45 dBFS is nothing in 8 bits; 16 cost half a percent of the recording's own size.
        let channels = info.channels.len() as u16;
        let spec = WaveSpec { rate: info.sample_rate, channels, bits: Bits::Sixteen };
        let resumed = files(out, false).and_then(|files| Ok(Pyramid::resume(files, spec)?));
        let pyramid = match resumed {
            Ok(pyramid) if pyramid.frames() <= end => pyramid,
            _ => Pyramid::create(files(out, true)?, spec)?,
        };
        Ok(Self { pyramid, out: out.to_owned() })
    }

    pub(super) fn frames(&self) -> u64 {
        self.pyramid.frames()
    }

    pub(super) fn push(&mut self, block: &[&[f32]]) -> Result<(), RenderError> {
        Ok(self.pyramid.push(block)?)
    }

    pub(super) fn flush(&mut self) -> Result<(), RenderError> {
        Ok(self.pyramid.flush()?)
    }

    pub(super) fn finish(mut self) -> Result<(), RenderError> {
        self.pyramid.finish()?;
        for file in self.pyramid.into_files() {
            file.sync_all().map_err(|error| RenderError::Io { path: self.out.clone(), error })?;
        }
        Ok(())
    }
}

fn files(out: &Path, is_new: bool) -> Result<[File; LEVELS], RenderError> {
    let mut files = Vec::with_capacity(LEVELS);
    for level in 0..LEVELS {
        let path = out.join(waveform_name(level));
        let opened = OpenOptions::new().read(true).write(true).create(is_new).truncate(is_new).open(&path);
        files.push(opened.map_err(|error| RenderError::Io { path, error })?);
    }
    let lost = |_| RenderError::Audio(crate::audio::AudioError::Format("levels are missing".to_owned()));
    files.try_into().map_err(lost)
}
