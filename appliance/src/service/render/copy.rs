//! The listening copy of a take: one Ogg Opus file, mono or stereo.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::RenderError;
use crate::audio::mix::Mixer;
use crate::audio::opus::{OpusSpec, OpusWriter};
use crate::audio::{Encoder, FileInfo, Loudness};
use crate::domain::TakeInfo;
use crate::sys::files;

/// The finished copy.
pub const COPY: &str = "listen.opus";
/// The copy while it grows: whole pages, and every player plays them.
pub const COPY_PART: &str = "listen.opus.part";
/// Most of libopus' quality for half of its work; the master is beside it.
const SPEC: OpusSpec = OpusSpec { bitrate_bps: None, complexity: 5 };

/// The copy under way.
pub(super) struct Copy {
    writer: OpusWriter<BufWriter<File>>,
    mixer: Mixer,
    mixed: Vec<Vec<f32>>,
    out: PathBuf,
}

impl Copy {
    pub(super) fn create(out: &Path, info: &TakeInfo) -> Result<Self, RenderError> {
        let path = out.join(COPY_PART);
        let file = File::create(&path).map_err(|error| RenderError::Io { path, error })?;
        let mixer = Mixer::new(info.sample_rate, (0..info.channels.len()).collect());
        let channels = match &info.channels[..] {
            [one] => vec![one.label.clone()],
            [left, right] => vec![left.label.clone(), right.label.clone()],
            more => vec![format!("Mix of {} channels", more.len())],
        };
        let about = FileInfo {
            title: info.title.clone(),
            take_id: info.id.to_string(),
            originator: "rakkr".into(),
            started: info.started_at.to_zoned(TimeZone::UTC),
            rate: info.sample_rate,
            channels,
            part: None,
        };
        let writer = OpusWriter::open(BufWriter::new(file), SPEC, &about)?;
        Ok(Self { writer, mixer, mixed: Vec::new(), out: out.to_owned() })
    }

    pub(super) fn push(&mut self, block: &[&[f32]]) -> Result<(), RenderError> {
        self.mixer.mix(block, &mut self.mixed);
        let mixed: Vec<&[f32]> = self.mixed.iter().map(Vec::as_slice).collect();
        Ok(self.writer.write(&mixed)?)
    }

    /// Completes the file and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), RenderError> {
        self.writer.finish(&[], &Loudness::default())?;
        drop(self.writer);
        let (part, path) = (self.out.join(COPY_PART), self.out.join(COPY));
        let named = File::open(&part)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&part, &path))
            .and_then(|()| files::sync_folder(&self.out));
        named.map_err(|error| RenderError::Io { path, error })
    }
}
