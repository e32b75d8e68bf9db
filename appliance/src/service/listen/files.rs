//! Exports that are kept for a while, so that a browser can ask for them in ranges.
//!
//! Lives here: making each file once however many ask for it at a time, and removing the oldest so that all together stay
//! below a limit. Does not live here: the making (`capture/take/export.rs`). It may assume that the folder is its own. A
//! file that is removed while it is sent is sent to its end: the caller has it open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::ListenError;
use super::stream::pick;
use crate::audio::opus::OpusSpec;
use crate::capture::take::TakeFolder;
use crate::capture::take::export::{Format, Request, export};
use crate::capture::take::growing::Growing;
use crate::capture::take::wav_view::WavView;
use crate::domain::{Channels, TakeId, TakeInfo};
use crate::sys::disk;

/// FLAC holds eight channels a file (RFC 9639), and a download is one file.
const FLAC_CHANNELS_MAX: usize = 8;
/// The largest share of the disk's free room that a download may take: recordings come first.
const FREE_SHARE: u64 = 4;
/// Takes whose listening copy was stood in for that are remembered.
const STANDS_IN_MAX: usize = 256;
/// Header, metadata and markers of any format.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// What to export.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRequest {
    /// The format.
    pub format: Format,
    /// Which channels, by capture's numbers.
    pub channels: Channels,
    /// From this second; none is the beginning.
    pub from_seconds: Option<f64>,
    /// To this second; none is the last audio there is.
    pub to_seconds: Option<f64>,
}

impl FileRequest {
    fn export(&self, output: PathBuf) -> Request {
        Request {
            format: self.format,
            channels: self.channels.clone(),
            from_seconds: self.from_seconds,
            to_seconds: self.to_seconds,
            is_float: false,
            output,
        }
    }
}

/// A name that is the same for the same bytes.
fn name(info: &TakeInfo, wanted: &FileRequest) -> io::Result<String> {
    let extension = match wanted.format {
        Format::Wav => "wav",
        Format::Flac => "flac",
        Format::Opus => "opus",
    };
    let state = (&info.segments, info.frames, &info.marks, &info.gaps, &info.title);
    let stretch = (wanted.from_seconds.map(f64::to_bits), wanted.to_seconds.map(f64::to_bits));
    let named = serde_json::to_vec(&(info.id, state, &wanted.channels, stretch, &info.channels))?;
    let name: String = Sha256::digest(named).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{name}.{extension}"))
}

/// An exported file.
#[derive(Debug)]
pub struct Kept {
    /// Where it lies, for as long as it is not the oldest.
    pub path: PathBuf,
    /// The file, open; its length is that of the download.
    pub file: File,
    /// The same for the same bytes: an entity tag.
    pub key: String,
}

/// The folder of exports.
pub struct KeptFiles {
    folder: PathBuf,
    limit_bytes: u64,
    /// Keys that someone is making.
    making: Mutex<BTreeSet<String>>,
    made: Condvar,
    /// Files that were given as the listening copy of a take before there was one, by name.
    stand_ins: Mutex<BTreeMap<TakeId, String>>,
}

impl KeptFiles {
    /// In a folder of its own, which need not exist. Files of an earlier process are used and count.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: PathBuf, limit_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for path in paths_in(&folder)? {
            // What another process did not finish.
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder, limit_bytes, making: Mutex::default(), made: Condvar::new(), stand_ins: Mutex::default() })
    }

    /// The file, made now if it is not kept. Whoever asks for one that is being made waits for it.
    ///
    /// # Errors
    /// It cannot be made, or it would be larger than all exports may be or than a quarter of the free room.
    pub fn exported_file(&self, take: &TakeFolder, wanted: &FileRequest) -> Result<Kept, ListenError> {
        let (name, bytes) = self.plan(take, wanted)?;
        let path = self.folder.join(&name);
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        while making.contains(&name) {
            making = self.made.wait(making).unwrap_or_else(PoisonError::into_inner);
        }
        if let Ok(file) = File::open(&path) {
            return Ok(Kept { path, file, key: name });
        }
        making.insert(name.clone());
        drop(making);
        let made = self.make(take, wanted, &path, bytes);
        self.making.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        self.made.notify_all();
        made.map(|file| Kept { path, file, key: name })
    }

    /// The same as WAV without a file: of any length, at once, and without room on the disk. With what names its bytes.
    ///
    /// # Errors
    /// The take cannot be read, or what was asked for cannot be.
    pub fn wav(&self, take: &TakeFolder, wanted: &FileRequest) -> Result<(WavView, String), ListenError> {
        let growing = Growing::open(take, true, 0)?;
        let view = WavView::open(take, &wanted.export(PathBuf::new()))?;
        Ok((view, name(growing.info(), wanted)?))
    }

    /// Remembers that this file was given as the take's listening copy. Whoever plays it asks for more of the same bytes
    /// when the copy is there, which has others.
    pub fn remember_stand_in(&self, id: TakeId, kept: &Kept) {
        let mut stand_ins = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner);
        stand_ins.insert(id, kept.key.clone());
        if stand_ins.len() > STANDS_IN_MAX {
            stand_ins.pop_first();
        }
    }

    /// What was given as the take's listening copy, if it is kept still.
    pub fn stand_in(&self, id: TakeId) -> Option<Kept> {
        let key = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner).get(&id)?.clone();
        let path = self.folder.join(&key);
        let file = File::open(&path).ok()?;
        Some(Kept { path, file, key })
    }

    /// The file's name, which says what is in it, and the most bytes it can have.
    fn plan(&self, take: &TakeFolder, wanted: &FileRequest) -> Result<(String, u64), ListenError> {
        let growing = Growing::open(take, true, 0)?;
        let info = growing.info();
        let channels = pick(info, &wanted.channels)?.len();
        if wanted.format == Format::Flac && channels > FLAC_CHANNELS_MAX {
            return Err(ListenError::Impossible(format!(
                "a FLAC file holds {FLAC_CHANNELS_MAX} channels, not {channels}: choose channels, or WAV"
            )));
        }
        let length = growing.end() as f64 / f64::from(info.sample_rate.max(1));
        let from = wanted.from_seconds.unwrap_or(0.0).max(0.0);
        let seconds = (wanted.to_seconds.unwrap_or(length).min(length) - from).max(0.0);
        let per_second = match wanted.format {
            // Noise does not shrink as FLAC.
            Format::Wav | Format::Flac => 3 * u64::from(info.sample_rate) * channels as u64,
            Format::Opus => u64::from(OpusSpec::default().bitrate(channels)) / 8 * 3 / 2,
        };
        let bytes = (seconds * per_second as f64) as u64 + OVERHEAD_BYTES;
        let free = disk::space(&self.folder)?.free_bytes;
        if bytes > self.limit_bytes.min(free / FREE_SHARE) {
            return Err(ListenError::Impossible(format!(
                "this download may have {} MB, more than there is room for: choose a shorter stretch, fewer channels, or \
                 another format",
                bytes >> 20
            )));
        }
        Ok((name(info, wanted)?, bytes))
    }

    fn make(&self, take: &TakeFolder, wanted: &FileRequest, path: &Path, bytes: u64) -> Result<File, ListenError> {
        self.make_room(bytes)?;
        export(take, &wanted.export(path.to_owned()))?;
        Ok(File::open(path)?)
    }

    /// Removes the oldest files until there is room for one more.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for path in paths_in(&self.folder)? {
            // One that is gone meanwhile takes no room.
            if let Ok(about) = fs::metadata(&path) {
                files.push((about.modified()?, path, about.len()));
            }
        }
        files.sort();
        let mut kept: u64 = files.iter().map(|(_, _, length)| length).sum();
        let removable = files.iter().filter(|(_, path, _)| path.extension().is_none_or(|ending| ending != "part"));
        for (_, path, length) in removable {
            if kept + bytes <= self.limit_bytes {
                break;
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => kept -= length,
            }
        }
        Ok(())
    }
}

fn paths_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}
