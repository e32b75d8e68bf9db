//! What the renders were made of, so that a take that changed is rendered again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RenderError;
use crate::domain::TakeInfo;
use crate::domain::take::Segment;
use crate::sys::files;

/// The file's name.
pub const STATE: &str = "render.json";

/// The take as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    frames: u64,
    sample_rate: u32,
    channels: usize,
    segments: Vec<Segment>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) source: Source,
    /// All of it; otherwise it was under way.
    pub(super) is_done: bool,
}

impl Source {
    pub(super) fn of(info: &TakeInfo) -> Self {
        let (frames, sample_rate, channels) = (info.frames, info.sample_rate, info.channels.len());
        Self { frames, sample_rate, channels, segments: info.segments.clone() }
    }

    /// Whether nothing changed. A hash that was not known when a segment was read says nothing about it.
    pub(super) fn is_same(&self, now: &Self) -> bool {
        self.frames == now.frames && self.segments.len() == now.segments.len() && self.goes_on_as(now)
    }

    /// Whether `now` has all that this had, and perhaps more behind it.
    pub(super) fn goes_on_as(&self, now: &Self) -> bool {
        let is_kept = |(old, new): (&Segment, &Segment)| {
            let is_hash_same = old.sha256.is_none() || new.sha256.is_none() || old.sha256 == new.sha256;
            let is_length_kept = if old.is_open { old.frames <= new.frames } else { old.frames == new.frames };
            old.file == new.file && old.first_frame == new.first_frame && is_length_kept && is_hash_same
        };
        (self.sample_rate, self.channels) == (now.sample_rate, now.channels)
            && self.frames <= now.frames
            && self.segments.len() <= now.segments.len()
            && self.segments.iter().zip(&now.segments).all(is_kept)
    }
}

impl Made {
    /// None if there is nothing that can be believed.
    pub(super) fn load(out: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(out.join(STATE)).ok()?).ok()
    }

    pub(super) fn store(&self, out: &Path) -> Result<(), RenderError> {
        let path = out.join(STATE);
        let stored = serde_json::to_vec(self).map_err(Into::into).and_then(|bytes| files::replace(&path, &bytes));
        stored.map_err(|error| RenderError::Io { path, error })
    }
}
