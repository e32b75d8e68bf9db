//! A take read from its beginning to its end while it is still being recorded.
//!
//! Lives here: looking again at what a take holds, and reading on where the last reading ended. Does not live here: when
//! to look; the caller waits. It is beside [`Timeline`](super::timeline) for all who follow takes: the node's listening
//! copies and its listeners.

use std::os::unix::fs::MetadataExt;

use super::folder::{Loaded, TakeFolder};
use super::log::LogError;
use super::timeline::Timeline;
use crate::audio::AudioError;
use crate::domain::TakeInfo;

/// A take and a place in it.
pub struct Growing {
    folder: TakeFolder,
    loaded: Loaded,
    /// Bytes and change time of the log as it was read.
    seen: (u64, i64, i64),
    info: TakeInfo,
    timeline: Timeline,
    at: u64,
    end: u64,
}

impl Growing {
    /// At frame `from` of a take. `is_recording` says whether a capture runs that may go on with it.
    ///
    /// # Errors
    /// The log cannot be read or is damaged.
    pub fn open(folder: &TakeFolder, is_recording: bool, from: u64) -> Result<Self, LogError> {
        let seen = stamp(folder);
        let loaded = folder.load()?;
        let info = loaded.info(is_recording);
        let timeline = Timeline::new(folder, &info, from);
        let mut growing = Self { folder: folder.clone(), loaded, seen, info, timeline, at: from, end: 0 };
        growing.end = growing.last_frame();
        Ok(growing)
    }

    /// Looks again at what there is.
    ///
    /// # Errors
    /// The log cannot be read or is damaged.
    pub fn look(&mut self, is_recording: bool) -> Result<(), LogError> {
        let stamp = stamp(&self.folder);
        if stamp != self.seen {
            self.loaded = self.folder.load()?;
            self.seen = stamp;
        } else if self.is_closed() {
            return Ok(());
        }
        self.info = self.loaded.info(is_recording);
        self.timeline = Timeline::new(&self.folder, &self.info, self.at);
        self.end = self.last_frame();
        Ok(())
    }

    /// The take as it was when it was last looked at.
    pub fn info(&self) -> &TakeInfo {
        &self.info
    }

    /// What its log said then.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Whether it has ended: nothing comes beyond [`end`](Self::end).
    pub fn is_closed(&self) -> bool {
        self.loaded.is_closed()
    }

    /// The next frame to be read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The frame up to which can be read: of a running take, the last audio in a file; of a closed one, the timeline's end.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Replaces `planar` by up to `frames` frames and returns how many: none when all that was there is read.
    ///
    /// # Errors
    /// A segment cannot be read or is not what the log says.
    pub fn read(&mut self, frames: u64, planar: &mut Vec<Vec<f32>>) -> Result<usize, AudioError> {
        planar.resize_with(self.info.channels.len(), Vec::new);
        let count = frames.min(self.end.saturating_sub(self.at)) as usize;
        self.timeline.read(count, planar)?;
        self.at += count as u64;
        Ok(count)
    }

    fn last_frame(&self) -> u64 {
        if self.is_closed() { self.info.frames } else { self.timeline.end() }
    }
}

/// A log only grows; one that was made anew has another time.
fn stamp(folder: &TakeFolder) -> (u64, i64, i64) {
    let about = std::fs::metadata(folder.log());
    about.map_or((0, 0, 0), |about| (about.len(), about.mtime(), about.mtime_nsec()))
}
