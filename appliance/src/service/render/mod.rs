//! What is made of a take beside it: the listening copy and the waveform while it is recorded, the FLAC archive after.
//!
//! Lives here: `renders/<id>/listen.opus` (appears when whole; `listen.opus.part` plays while it grows), `waveform-0.dat` to
//! `waveform-5.dat` (each grows, its header counts what is there) and `render.json` (what they were made of). Does not live
//! here: when a step is done and how much CPU it may take; the caller says. It may assume that nobody else writes there.
//! After a restart the waveform goes on where it was; the copy begins anew, because an Ogg stream cannot be continued by
//! another coder without a seam. Memory is constant.

mod copy;
mod state;
#[cfg(test)]
mod tests;
mod wave;
pub mod worker;

use std::io;
use std::path::{Path, PathBuf};

use self::copy::Copy;
use self::state::{Made, Source};
use self::wave::Wave;
use crate::audio::AudioError;
use crate::capture::take::{DataDir, TakeFolder};
use crate::capture::take::export::{ExportError, Exported, Format, Request, export};
use crate::capture::take::growing::Growing;
use crate::capture::take::log::LogError;
use crate::domain::{Channels, TakeId};

pub use self::state::STATE;
pub use self::copy::{COPY, COPY_PART};
pub use self::wave::waveform_name;

/// Frames read at a time.
const BLOCK: u64 = 4_096;

/// Why a take is not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The take's log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The take's audio cannot be read or coded.
    #[error("{0}. The recording is untouched")]
    Audio(#[from] AudioError),
    /// The renders cannot be written.
    #[error("{path}: {error}. The recording is untouched; its copies are made when there is room again")]
    Io { path: PathBuf, error: io::Error },
}

/// How far rendering is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Frames in the listening copy.
    pub copied: u64,
    /// Frames in the waveform.
    pub drawn: u64,
    /// Frames of the take that are on disk.
    pub of: u64,
    /// The take is closed, and both are whole.
    pub is_done: bool,
}

/// Renders one take, step by step.
pub struct Render {
    take: TakeFolder,
    out: PathBuf,
    jobs: Option<Jobs>,
}

/// What is under way.
struct Jobs {
    copy_from: Growing,
    wave_from: Growing,
    copy: Copy,
    wave: Wave,
    planar: Vec<Vec<f32>>,
}

/// What a first step finds.
enum Begun {
    /// All is made.
    Done(Progress),
    /// Something is to do.
    Jobs(Box<Jobs>),
}

impl Render {
    /// Of a take, into a folder of its own (`renders/<id>`), which need not exist.
    pub fn new(take: TakeFolder, out: PathBuf) -> Self {
        Self { take, out, jobs: None }
    }

    /// Does at most `budget_frames` of copy and as many of waveform. `is_recording` says whether a capture runs that may go
    /// on with the take.
    ///
    /// # Errors
    /// See [`RenderError`]. What was whole stays; the next step begins anew.
    pub fn step(&mut self, is_recording: bool, budget_frames: u64) -> Result<Progress, RenderError> {
        let mut jobs = match self.jobs.take() {
            Some(mut jobs) => {
                jobs.wave_from.look(is_recording)?;
                jobs.copy_from.look(is_recording)?;
                jobs
            }
            None => match self.begin(is_recording)? {
                Begun::Done(progress) => return Ok(progress),
                Begun::Jobs(jobs) => *jobs,
            },
        };
        let progress = jobs.advance(budget_frames)?;
        if progress.is_done {
            let source = Source::of(jobs.copy_from.info());
            jobs.wave.finish()?;
            jobs.copy.finish()?;
            Made { source, is_done: true }.store(&self.out)?;
        } else {
            self.jobs = Some(jobs);
        }
        Ok(progress)
    }

    /// Deletes what was made; the next step makes it again.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remake(&mut self) -> Result<(), RenderError> {
        self.jobs = None;
        // The state goes first: files without it are not believed.
        let names = [state::STATE, COPY, COPY_PART].map(str::to_owned);
        for name in names.into_iter().chain((0..crate::audio::waveform::LEVELS).map(waveform_name)) {
            let path = self.out.join(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(RenderError::Io { path, error }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds out what is there already.
    fn begin(&mut self, is_recording: bool) -> Result<Begun, RenderError> {
        let copy_from = Growing::open(&self.take, is_recording, 0)?;
        let source = Source::of(copy_from.info());
        let made = Made::load(&self.out);
        match &made {
            Some(made) if made.is_done && made.source.is_same(&source) && self.is_all_there() => {
                if made.source != source {
                    Made { source, is_done: true }.store(&self.out)?;
                }
                let end = copy_from.end();
                return Ok(Begun::Done(Progress { copied: end, drawn: end, of: end, is_done: true }));
            }
            // A take goes on; what changed in any other way is another take.
            Some(made) if made.is_done || !made.source.goes_on_as(&source) => self.remake()?,
            Some(_) => {}
            None => self.remake()?,
        }
        std::fs::create_dir_all(&self.out).map_err(|error| RenderError::Io { path: self.out.clone(), error })?;
        let wave = Wave::open(&self.out, copy_from.info(), copy_from.end())?;
        Made { source, is_done: false }.store(&self.out)?;
        let wave_from = Growing::open(&self.take, is_recording, wave.frames())?;
        let copy = Copy::create(&self.out, copy_from.info())?;
        Ok(Begun::Jobs(Box::new(Jobs { copy_from, wave_from, copy, wave, planar: Vec::new() })))
    }

    fn is_all_there(&self) -> bool {
        let waves = (0..crate::audio::waveform::LEVELS).map(waveform_name);
        waves.chain([COPY.to_owned()]).all(|name| self.out.join(name).is_file())
    }
}

impl Jobs {
    fn advance(&mut self, budget_frames: u64) -> Result<Progress, RenderError> {
        let Self { copy_from, wave_from, copy, wave, planar } = self;
        each_block(wave_from, budget_frames, planar, |block| wave.push(block))?;
        wave.flush()?;
        each_block(copy_from, budget_frames, planar, |block| copy.push(block))?;
        let is_read = |from: &Growing| from.is_closed() && from.at() >= from.end();
        let is_done = is_read(copy_from) && is_read(wave_from);
        let of = copy_from.end().max(wave_from.end());
        Ok(Progress { copied: copy_from.at(), drawn: wave_from.at(), of, is_done })
    }
}

fn each_block(
    from: &mut Growing,
    budget_frames: u64,
    planar: &mut Vec<Vec<f32>>,
    mut to: impl FnMut(&[&[f32]]) -> Result<(), RenderError>,
) -> Result<(), RenderError> {
    let until = from.at().saturating_add(budget_frames);
    while from.read(BLOCK.min(until - from.at()), planar)? > 0 {
        let block: Vec<&[f32]> = planar.iter().map(Vec::as_slice).collect();
        to(&block)?;
    }
    Ok(())
}

/// Makes the FLAC archive of a closed take: all channels, `out` (for more than eight channels several files beside it).
///
/// # Errors
/// The take cannot be read or the file not written; nothing is left behind then.
pub fn archive(take: &TakeFolder, out: &Path) -> Result<Exported, ExportError> {
    let request = Request {
        format: Format::Flac,
        channels: Channels::All,
        from_seconds: None,
        to_seconds: None,
        is_float: false,
        output: out.to_owned(),
    };
    export(take, &request)
}

/// Forgets what was made of a take; the worker makes it again.
///
/// # Errors
/// The folder cannot be removed.
pub fn forget(data: &DataDir, id: TakeId) -> io::Result<()> {
    match std::fs::remove_dir_all(data.render(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
