//! One file out of a take: any format, any channels, any stretch, whole or while it is still being recorded.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::folder::TakeFolder;
use super::log::LogError;
use super::timeline::Timeline;
use crate::audio::flac::{FlacSpec, FlacWriter};
use crate::audio::opus::{OpusSpec, OpusWriter};
use crate::audio::pcm::SampleFormat;
use crate::audio::wav::{WavSpec, WavWriter};
use crate::audio::{AudioError, Encoder, FileInfo, Loudness, Marker, MarkerKind};
use crate::domain::{Channels, TakeInfo};

/// Frames read at a time: a few hundred kilobytes for any number of channels.
const BLOCK: usize = 4_096;
/// FLAC holds eight channels a file (RFC 9639).
const FLAC_CHANNELS_MAX: usize = 8;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Broadcast WAV, RF64 where it must be.
    Wav,
    /// FLAC, 24 bit.
    Flac,
    /// Ogg Opus.
    Opus,
}

/// What to export.
#[derive(Debug, Clone)]
pub struct Request {
    /// The format.
    pub format: Format,
    /// Which channels, by capture's numbers.
    pub channels: Channels,
    /// From this second; none is the beginning.
    pub from_seconds: Option<f64>,
    /// To this second; none is the last audio there is.
    pub to_seconds: Option<f64>,
    /// Float samples (WAV only).
    pub is_float: bool,
    /// The file. It must not lie in the take's folder.
    pub output: PathBuf,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The take's log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What was asked for cannot be; the sentence says why.
    #[error("{0}")]
    Impossible(String),
    /// Reading the take or writing the file failed.
    #[error("{output}: {error}. The take is untouched")]
    Audio { output: String, error: AudioError },
}

/// What was written.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Exported {
    /// The files: one, but for FLAC of more than eight channels.
    pub files: Vec<PathBuf>,
    /// Frames in each.
    pub frames: u64,
}

/// Exports. A file appears under its name only when it is whole.
///
/// # Errors
/// See [`ExportError`]; nothing is left behind then.
pub fn export(folder: &TakeFolder, request: &Request) -> Result<Exported, ExportError> {
    let plan = planned(folder, request)?;
    refuse_own_folder(folder, &request.output)?;
    if request.is_float && request.format != Format::Wav {
        return Err(ExportError::Impossible("--float goes with --format wav: the other formats hold no floats".into()));
    }
    let groups: Vec<&[usize]> = match request.format {
        Format::Flac => plan.picked.chunks(FLAC_CHANNELS_MAX).collect(),
        _ => vec![&plan.picked[..]],
    };
    let mut files = Vec::new();
    for group in &groups {
        let output = match groups.len() {
            1 => request.output.clone(),
            _ => numbered(&request.output, &plan.info, group),
        };
        let job = Job { folder, plan: &plan, picked: group, request };
        job.write(&output).map_err(|error| ExportError::Audio { output: output.display().to_string(), error })?;
        files.push(output);
    }
    Ok(Exported { files, frames: plan.to - plan.from })
}

/// What of the take a request means.
pub(super) struct Planned {
    pub(super) info: TakeInfo,
    zone: TimeZone,
    /// Places of the channels in the take.
    pub(super) picked: Vec<usize>,
    /// The first frame, and the one after the last.
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Reads the take's log and finds what a request means; no audio is looked at.
pub(super) fn planned(folder: &TakeFolder, request: &Request) -> Result<Planned, ExportError> {
    let loaded = folder.load()?;
    let info = loaded.info(true);
    let zone = TimeZone::get(&loaded.fold.opened().time_zone).unwrap_or(TimeZone::UTC);
    let picked = pick_channels(&info, &request.channels)?;
    let (from, to) = span(&Timeline::new(folder, &info, 0), &info, request)?;
    Ok(Planned { info, zone, picked, from, to })
}

/// An export under a segment's name would take its place.
fn refuse_own_folder(folder: &TakeFolder, output: &Path) -> Result<(), ExportError> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.path().canonicalize()) {
        (Ok(parent), Ok(own)) if parent.starts_with(&own) => {
            Err(ExportError::Impossible("--output lies in the recording's own folder: write it somewhere else".into()))
        }
        _ => Ok(()),
    }
}

fn pick_channels(info: &TakeInfo, wanted: &Channels) -> Result<Vec<usize>, ExportError> {
    let Channels::Numbers(numbers) = wanted else { return Ok((0..info.channels.len()).collect()) };
    let place = |number: &u16| {
        info.channels.iter().position(|channel| channel.number == *number).ok_or_else(|| {
            let there: Vec<String> = info.channels.iter().map(|c| c.number.to_string()).collect();
            ExportError::Impossible(format!("the recording has no channel {number}: it has {}", there.join(", ")))
        })
    };
    numbers.iter().map(place).collect()
}

fn span(timeline: &Timeline, info: &TakeInfo, request: &Request) -> Result<(u64, u64), ExportError> {
    let rate = f64::from(info.sample_rate);
    let end = timeline.end();
    let at = |seconds: Option<f64>, default: u64| seconds.map_or(default, |s| (s.max(0.0) * rate).round() as u64);
    let (from, to) = (at(request.from_seconds, 0), at(request.to_seconds, end).min(end));
    if end == 0 {
        return Err(ExportError::Impossible("the recording holds no audio yet".into()));
    }
    if from >= to {
        let length = end as f64 / rate;
        return Err(ExportError::Impossible(format!("nothing lies between --from and --to: it is {length:.3} s long")));
    }
    Ok((from, to))
}

/// `name.flac` becomes `name.ch1-8.flac`.
fn numbered(output: &Path, info: &TakeInfo, group: &[usize]) -> PathBuf {
    let number = |index: Option<&usize>| index.and_then(|&i| info.channels.get(i)).map_or(0, |c| c.number);
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let extension = output.extension().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!("{stem}.ch{}-{}.{extension}", number(group.first()), number(group.last())))
}

/// One file of an export.
pub(super) struct Job<'a> {
    pub(super) folder: &'a TakeFolder,
    pub(super) plan: &'a Planned,
    pub(super) picked: &'a [usize],
    pub(super) request: &'a Request,
}

impl Job<'_> {
    fn write(&self, output: &Path) -> Result<(), AudioError> {
        let mut part = output.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let written = self.encode(&part).and_then(|()| Ok(std::fs::rename(&part, output)?));
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    fn encode(&self, path: &Path) -> Result<(), AudioError> {
        let mut encoder = self.encoder(File::create(path)?)?;
        let mut timeline = Timeline::new(self.folder, &self.plan.info, self.plan.from);
        let mut planar = vec![Vec::new(); self.plan.info.channels.len()];
        let mut at = self.plan.from;
        while at < self.plan.to {
            let frames = (self.plan.to - at).min(BLOCK as u64);
            timeline.read(frames as usize, &mut planar)?;
            let picked: Vec<&[f32]> = self.picked.iter().map(|&index| &planar[index][..]).collect();
            encoder.write(&picked)?;
            at += frames;
        }
        encoder.finish(&self.markers(), &Loudness::default())?;
        drop(encoder);
        File::open(path)?.sync_all()?;
        Ok(())
    }

    fn encoder(&self, file: File) -> Result<Box<dyn Encoder>, AudioError> {
        let file = BufWriter::with_capacity(1 << 20, file);
        let about = self.about();
        let channels = self.picked.len() as u16;
        Ok(match self.request.format {
            Format::Wav => {
                let format = if self.request.is_float { SampleFormat::Float32 } else { SampleFormat::Pcm24 };
                Box::new(WavWriter::open(file, WavSpec { rate: about.rate, channels, format }, &about)?)
            }
            Format::Flac => {
                let spec = FlacSpec { expected_frames: Some(self.plan.to - self.plan.from), ..FlacSpec::default() };
                Box::new(FlacWriter::open(file, spec, &about)?)
            }
            Format::Opus => Box::new(OpusWriter::open(file, OpusSpec::default(), &about)?),
        })
    }

    pub(super) fn about(&self) -> FileInfo {
        let us = self.plan.from as f64 * 1e6 / f64::from(self.plan.info.sample_rate);
        let started = self.plan.info.started_at.saturating_add(SignedDuration::from_micros(us as i64));
        FileInfo {
            title: self.plan.info.title.clone(),
            take_id: self.plan.info.id.to_string(),
            originator: "rakkr".into(),
            started: started.unwrap_or(self.plan.info.started_at).to_zoned(self.plan.zone.clone()),
            rate: self.plan.info.sample_rate,
            channels: self.picked.iter().map(|&index| self.plan.info.channels[index].label.clone()).collect(),
            part: None,
        }
    }

    pub(super) fn markers(&self) -> Vec<Marker> {
        let mut markers = Vec::new();
        let mut add = |first: u64, frames: u64, label: String, kind: MarkerKind| {
            let (begin, end) = (first.max(self.plan.from), (first + frames).min(self.plan.to));
            if begin < self.plan.to && (begin < end || (frames == 0 && first >= self.plan.from)) {
                let frames = end.saturating_sub(begin);
                markers.push(Marker { frame: begin - self.plan.from, frames, label, kind });
            }
        };
        for mark in &self.plan.info.marks {
            add(mark.frame, 0, mark.label.clone(), MarkerKind::Mark);
        }
        for gap in &self.plan.info.gaps {
            add(gap.first_frame, gap.frames, format!("Gap: {}", gap.cause.describe()), MarkerKind::Gap);
        }
        for pause in &self.plan.info.pauses {
            add(pause.first_frame, pause.frames, "Paused".into(), MarkerKind::Pause);
        }
        markers.sort_by_key(|marker| marker.frame);
        markers
    }
}
