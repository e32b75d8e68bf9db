//! Proof: what is on disk is what was recorded, frame for frame and bit for bit, or the place where it is not.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::folder::{self, Loaded, TakeFolder};
use super::log::LogError;
use crate::audio::wav::WavReader;
use crate::capture::tape::hasher::sha256_of;
use crate::domain::{Segment, TakeInfo};

/// What was found about one take.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Report {
    /// The folder.
    pub path: String,
    /// The take's id, if its log could be read so far.
    pub id: Option<String>,
    /// Segments whose bytes are proven.
    pub segments_proven: usize,
    /// Frames in them.
    pub frames_proven: u64,
    /// What is not as it should be, each with its place.
    pub findings: Vec<String>,
    /// What could not be read at all.
    pub unreadable: Option<String>,
    /// Known gaps: they are in the log, so they are facts and no findings.
    pub gaps: usize,
}

impl Report {
    /// 0 proven, 1 findings, 2 cannot read.
    pub fn exit_code(&self) -> u8 {
        match (&self.unreadable, self.findings.is_empty()) {
            (Some(_), _) => 2,
            (None, false) => 1,
            (None, true) => 0,
        }
    }
}

/// Verifies a take's folder, or every take of a data folder or of a folder of takes.
pub fn verify(path: &Path) -> Vec<Report> {
    if path.join("take.jsonl").exists() {
        return vec![verify_take(&TakeFolder::at(path))];
    }
    let is_data = path.join("takes").is_dir();
    let takes = if is_data { path.join("takes") } else { path.to_owned() };
    match folder::take_ids_in(&takes) {
        Ok(ids) if ids.is_empty() && !is_data => vec![verify_take(&TakeFolder::at(path))],
        Ok(ids) => ids.into_iter().map(|id| verify_take(&TakeFolder::at(takes.join(id.to_string())))).collect(),
        Err(error) => vec![unreadable(path, error.to_string())],
    }
}

fn unreadable(path: &Path, why: String) -> Report {
    Report { path: path.display().to_string(), unreadable: Some(why), ..Report::default() }
}

/// Verifies one take.
pub fn verify_take(folder: &TakeFolder) -> Report {
    let mut report = Report { path: folder.path().display().to_string(), ..Report::default() };
    let loaded = match folder.load() {
        Ok(loaded) => loaded,
        Err(LogError::Io { path, error }) => {
            return unreadable(folder.path(), format!("{} cannot be read: {error}", path.display()));
        }
        Err(damaged) => {
            report.findings.push(damaged.to_string());
            return report;
        }
    };
    check(&loaded, &mut report);
    report
}

fn check(loaded: &Loaded, report: &mut Report) {
    let info = loaded.info(false);
    report.id = Some(info.id.to_string());
    report.gaps = info.gaps.len();
    if loaded.log.torn_bytes > 0 {
        report.findings.push("take.jsonl ends in a torn line: run `rakkr recover`".into());
    }
    for segment in &info.segments {
        match check_segment(loaded, segment, &info) {
            Ok(frames) => {
                report.segments_proven += 1;
                report.frames_proven += frames;
            }
            Err(finding) => report.findings.push(format!("{}: {finding}", segment.file)),
        }
    }
    check_timeline(&info, report);
    check_strangers(loaded, &info, report);
}

fn check_segment(loaded: &Loaded, segment: &Segment, info: &TakeInfo) -> Result<u64, String> {
    if segment.is_open {
        return Err("is not closed yet: it is being recorded, or a crash left it open (`rakkr recover`)".into());
    }
    let path = loaded.folder.segment(&segment.file);
    if segment.frames == 0 && !path.exists() {
        return Ok(0); // A crash before its first frame.
    }
    let file = File::open(&path).map_err(|error| format!("cannot be read: {error}"))?;
    let Some(expected) = &segment.sha256 else {
        return Err("has no hash yet: run `rakkr recover`".into());
    };
    let actual = sha256_of(&path).map_err(|error| format!("cannot be read: {error}"))?;
    if actual != *expected {
        return Err(format!("was altered: SHA-256 is {actual}, recorded was {expected}"));
    }
    if segment.frames == 0 {
        return Ok(0); // Its bytes are as they were found; a crash may have come before the header was whole.
    }
    let reader = WavReader::open(file).map_err(|error| error.to_string())?;
    let about = reader.about();
    if about.frames != segment.frames {
        return Err(format!("holds {} frames, recorded were {}", about.frames, segment.frames));
    }
    if about.spec.rate != info.sample_rate || usize::from(about.spec.channels) != info.channels.len() {
        return Err("has another rate or channel count than the take".into());
    }
    Ok(segment.frames)
}

/// Every frame of the timeline is in a segment, in a gap of all channels, or in a pause.
fn check_timeline(info: &TakeInfo, report: &mut Report) {
    let segments = info.segments.iter().map(|s| (s.first_frame, s.first_frame + s.frames));
    let gaps = info.gaps.iter().filter(|gap| gap.channels.is_none());
    let gaps = gaps.map(|g| (g.first_frame, g.first_frame + g.frames));
    let pauses = info.pauses.iter().map(|p| (p.first_frame, p.first_frame + p.frames));
    let mut spans: Vec<(u64, u64)> = segments.chain(gaps).chain(pauses).collect();
    spans.sort_unstable();
    let mut reached = 0;
    for (from, to) in spans {
        if from > reached {
            report.findings.push(format!("frames {reached} to {} are missing and no gap says so", from - 1));
        }
        reached = reached.max(to);
    }
    if info.closed.is_some() && reached < info.frames {
        report.findings.push(format!("frames {reached} to {} are missing and no gap says so", info.frames - 1));
    }
}

fn check_strangers(loaded: &Loaded, info: &TakeInfo, report: &mut Report) {
    let Ok(entries) = std::fs::read_dir(loaded.folder.path()) else { return };
    for name in entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if name.ends_with(".wav") && !info.segments.iter().any(|segment| segment.file == name) {
            report.findings.push(format!("{name} is not in the log"));
        }
    }
}
