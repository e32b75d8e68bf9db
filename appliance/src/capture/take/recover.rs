//! Making whole what a crash left open: truth in the headers, a hash for every segment, a log that says so.
//!
//! Nothing is thrown away but a torn last line of the log, a torn last frame, and, after a power cut, a tail of zeros that
//! the file system never filled. Running it twice changes nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::folder::{DataDir, Loaded, TakeFolder};
use super::log::{Log, LogError, LogWriter};
use crate::audio::wav::{self, WavReader};
use crate::audio::{AudioError, Loudness, Marker, MarkerKind};
use crate::capture::tape::hasher::sha256_of;
use crate::domain::take::{CloseReason, FRAMES_MAX, SegmentClosed, SegmentOpened};
use crate::domain::{Fact, Gap, GapCause, Segment, TakeId, TakeInfo};

/// What a power cut may have left unwritten at the end of a file: the time between two syncs, and a little.
const UNSYNCED_SECONDS: f64 = 1.5;

/// A header is a few kilobytes. In a file longer than this audio stands, whatever became of its header.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// How the header of every segment ends while it is open.
const HEADER_END: &[u8; 8] = b"data\xff\xff\xff\xff";

/// Why a take cannot be made whole.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Its log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file of it cannot be read or written.
    #[error("{path}: {error}")]
    File { path: String, error: AudioError },
}

/// A take after recovery.
#[derive(Debug)]
pub struct Recovered {
    /// Its id, as its log says.
    pub id: TakeId,
    /// Whether anything had to be done.
    pub was_changed: bool,
    /// Whether its log says that it ended.
    pub is_closed: bool,
    /// The take as it is now.
    pub info: TakeInfo,
    /// Where its last segment began.
    pub anchor: Option<SegmentOpened>,
    /// How it began, and whether it is paused.
    pub loaded: Loaded,
}

/// Makes every take of a data folder whole. Takes that cannot be are told apart; none stops the others. A folder in which
/// a crash left nothing at all is removed: its order, if it still stands, begins anew.
///
/// # Errors
/// The folder of takes cannot be read.
pub fn recover_all(
    data: &DataDir,
    boot_id: &str,
    now: Timestamp,
) -> io::Result<Vec<(TakeId, Result<Recovered, RecoverError>)>> {
    let ids = data.take_ids()?;
    let kept = ids.into_iter().filter(|&id| !remove_hollow(&data.take(id)));
    Ok(kept.map(|id| (id, recover(&data.take(id), boot_id, now))).collect())
}

/// Removes a take's folder if the crash came before its first fact and its first frame; true if it did.
fn remove_hollow(folder: &TakeFolder) -> bool {
    let has_facts = match Log::read(&folder.log()) {
        Ok(log) => !log.facts.is_empty(),
        Err(LogError::Io { error, .. }) => error.kind() != io::ErrorKind::NotFound,
        Err(LogError::Damaged { .. }) => true,
    };
    let Ok(entries) = std::fs::read_dir(folder.path()) else { return false };
    let files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let is_nothing = |path: &Path| *path == folder.log() || is_ours(path) && holds_no_audio(path);
    if has_facts || !files.iter().all(|path| is_nothing(path)) {
        return false;
    }
    let removed = files.iter().try_for_each(std::fs::remove_file).and_then(|()| std::fs::remove_dir(folder.path()));
    if removed.is_ok() {
        tracing::warn!("{}: the recorder ended before its first frame; nothing was in it", folder.path().display());
    }
    removed.is_ok()
}

/// Makes one take whole. `boot_id` is this boot's: within it, everything written is there.
///
/// # Errors
/// The log is damaged, or a file cannot be read or written; nothing was harmed then.
pub fn recover(folder: &TakeFolder, boot_id: &str, now: Timestamp) -> Result<Recovered, RecoverError> {
    let loaded = folder.load()?;
    let info = loaded.info(false);
    let needs_work = |s: &&Segment| s.is_open || s.sha256.is_none() && folder.segment(&s.file).exists();
    let work: Vec<&Segment> = info.segments.iter().filter(needs_work).collect();
    let is_whole = work.is_empty() && loaded.log.torn_bytes == 0;
    if !is_whole {
        let path = folder.log();
        let file_error = |path: &Path, error| RecoverError::File { path: path.display().to_string(), error };
        let mut log = LogWriter::resume(&path, &loaded.log).map_err(|e| file_error(&path, e.into()))?;
        for segment in work {
            let at = folder.segment(&segment.file);
            let is_same_boot = anchor_of(&loaded, Some(&segment.file)).is_some_and(|a| a.boot_id == boot_id);
            for fact in complete(&at, segment, &info, is_same_boot).map_err(|e| file_error(&at, e))? {
                log.append(&fact).map_err(|e| file_error(&path, e.into()))?;
            }
        }
        log.sync().map_err(|e| file_error(&path, e.into()))?;
        remove_empty_strangers(folder, &info);
    }
    let loaded = folder.load()?;
    let mut info = loaded.info(false);
    if !is_whole && !loaded.is_closed() {
        let note = "left open by a crash, made whole".to_owned();
        note_recovery(folder, &loaded, Fact::Recovered { at: now, frames: info.frames, note })?;
        info = folder.load()?.info(false);
    }
    let anchor = anchor_of(&loaded, None).cloned();
    Ok(Recovered { id: info.id, was_changed: !is_whole, is_closed: loaded.is_closed(), info, anchor, loaded })
}

/// Closes a recovered take whose time is over. What is missing up to its planned end is a gap; up to `until` if that was
/// earlier, because then it was ended, or nobody knows yet what would have come.
///
/// # Errors
/// The log cannot be written.
pub fn close(folder: &TakeFolder, until: Timestamp, now: Timestamp) -> Result<(), RecoverError> {
    let loaded = folder.load()?;
    let info = loaded.info(false);
    let frames_in = |seconds: f64| (seconds * f64::from(info.sample_rate)).round() as u64;
    let ended = frames_in(until.duration_since(info.started_at).as_secs_f64());
    let planned = info.planned_seconds.map(frames_in);
    let end = planned.map_or(info.frames, |planned| planned.min(ended)).max(info.frames).min(FRAMES_MAX);
    if end > info.frames {
        let gap =
            Gap { first_frame: info.frames, frames: end - info.frames, cause: GapCause::CaptureDown, channels: None };
        note_recovery(folder, &loaded, Fact::Gap(gap))?;
    }
    let loaded = folder.load()?;
    note_recovery(folder, &loaded, Fact::Closed { frames: end, at: now, reason: CloseReason::EndedWhileDown })
}

fn note_recovery(folder: &TakeFolder, loaded: &Loaded, fact: Fact) -> Result<(), RecoverError> {
    let path = folder.log();
    let write = || {
        let mut log = LogWriter::resume(&path, &loaded.log)?;
        log.append(&fact)?;
        log.sync()
    };
    write().map_err(|error: io::Error| RecoverError::File { path: path.display().to_string(), error: error.into() })
}

fn anchor_of<'a>(loaded: &'a Loaded, file: Option<&str>) -> Option<&'a SegmentOpened> {
    loaded.log.facts.iter().rev().find_map(|fact| match fact {
        Fact::SegmentOpened(opened) if file.is_none_or(|file| file == opened.file) => Some(opened),
        _ => None,
    })
}

/// Completes one segment and returns the facts of it.
fn complete(path: &Path, segment: &Segment, info: &TakeInfo, is_same_boot: bool) -> Result<Vec<Fact>, AudioError> {
    let file = segment.file.clone();
    let mut facts = Vec::new();
    if segment.is_open {
        let (frames, bytes) = match OpenOptions::new().read(true).write(true).open(path) {
            // The crash came before the header was whole. The file stays as it is: it holds no frame.
            Ok(_) if holds_no_header(path) => (0, std::fs::metadata(path)?.len()),
            Ok(handle) => tell_truth(handle, segment, info, is_same_boot)?,
            // The crash came between the log line and the file: there was no audio yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, 0),
            Err(error) => return Err(error.into()),
        };
        facts.push(Fact::SegmentClosed(SegmentClosed { file: file.clone(), frames, bytes }));
    }
    if path.exists() {
        facts.push(Fact::SegmentHashed { file, sha256: sha256_of(path)? });
    }
    Ok(facts)
}

/// Cuts the file to whole frames that were written, and makes its header say so. Returns frames and bytes.
fn tell_truth(
    mut file: File,
    segment: &Segment,
    info: &TakeInfo,
    is_same_boot: bool,
) -> Result<(u64, u64), AudioError> {
    let extent = wav::data_extent(&mut file)?;
    let unsynced = (UNSYNCED_SECONDS * f64::from(extent.spec.rate)) as u64;
    let is_never_written = !is_same_boot && extent.zero_tail_frames > 0 && extent.zero_tail_frames <= unsynced;
    let frames = if is_never_written { extent.frames - extent.zero_tail_frames } else { extent.frames };
    if extent.is_open || is_never_written {
        file.set_len(extent.data_offset + frames * extent.spec.align())?;
    }
    let bytes = wav::repair(&mut file, frames, &markers(segment, frames, info), &Loudness::default())?;
    file.sync_all()?;
    Ok((frames, bytes))
}

/// The marks and gaps of the take that lie in this segment.
fn markers(segment: &Segment, frames: u64, info: &TakeInfo) -> Vec<Marker> {
    let span = segment.first_frame..segment.first_frame + frames;
    let place = |frame: u64| frame - segment.first_frame;
    let gaps = info.gaps.iter().filter(|gap| span.contains(&gap.first_frame)).map(|gap| Marker {
        frame: place(gap.first_frame),
        frames: gap.frames,
        label: format!("Gap: {}", gap.cause.describe()),
        kind: MarkerKind::Gap,
    });
    let marks = info.marks.iter().filter(|mark| span.contains(&mark.frame)).map(|mark| Marker {
        frame: place(mark.frame),
        frames: 0,
        label: mark.label.clone(),
        kind: MarkerKind::Mark,
    });
    gaps.chain(marks).collect()
}

/// A segment file that the log does not know was made in the instant of the crash and holds no audio.
fn remove_empty_strangers(folder: &TakeFolder, info: &TakeInfo) {
    let Ok(entries) = std::fs::read_dir(folder.path()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_known = info.segments.iter().any(|segment| segment.file == name);
        if !is_known && is_ours(&entry.path()) && holds_no_audio(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether a file is called as a segment is. What people put beside them is theirs.
fn is_ours(path: &Path) -> bool {
    let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".wav"));
    stem.is_some_and(|stem| stem.len() >= 4 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

fn holds_no_audio(path: &Path) -> bool {
    let reader = File::open(path).map_err(AudioError::from).and_then(WavReader::open);
    reader.map_or_else(|_| holds_no_header(path), |reader| reader.about().frames == 0)
}

/// Whether a file ends before the header of a segment does, or was never filled at all.
fn holds_no_header(path: &Path) -> bool {
    let is_short = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= HEADER_BYTES_MAX);
    let has_end = |bytes: Vec<u8>| bytes.windows(HEADER_END.len()).any(|window| window == HEADER_END);
    let is_readable = || File::open(path).map_err(AudioError::from).and_then(WavReader::open).is_ok();
    is_short && !is_readable() && std::fs::read(path).is_ok_and(|bytes| !has_end(bytes))
}
