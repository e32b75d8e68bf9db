//! Where takes lie, and what is in one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::log::{Log, LogError};
use crate::audio::wav::WavReader;
use crate::domain::{Fact, TakeId, TakeInfo, take::Fold};

/// A recorder's data folder and the names in it.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The folder at `path`; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The socket a running capture listens on.
    pub fn socket(&self) -> PathBuf {
        self.0.join("capture.sock")
    }

    /// The set of orders.
    pub fn orders(&self) -> PathBuf {
        self.0.join("orders.json")
    }

    /// Locked by whoever writes the set of orders.
    pub fn orders_lock(&self) -> PathBuf {
        self.0.join("orders.lock")
    }

    /// Locked by a running capture.
    pub fn lock(&self) -> PathBuf {
        self.0.join("capture.lock")
    }

    /// Which port each channel belongs to.
    pub fn ports(&self) -> PathBuf {
        self.0.join("ports.json")
    }

    /// The folder of all takes.
    pub fn takes(&self) -> PathBuf {
        self.0.join("takes")
    }

    /// The folder of what is made of one take.
    pub fn render(&self, id: TakeId) -> PathBuf {
        self.0.join("renders").join(id.to_string())
    }

    /// The folder of one take.
    pub fn take(&self, id: TakeId) -> TakeFolder {
        TakeFolder(self.takes().join(id.to_string()))
    }

    /// Ids of all takes on disk, oldest first. Folders with other names are not takes.
    ///
    /// # Errors
    /// The folder of takes exists and cannot be read.
    pub fn take_ids(&self) -> io::Result<Vec<TakeId>> {
        match take_ids_in(&self.takes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            ids => ids,
        }
    }
}

/// Ids of the takes in a folder of takes, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn take_ids_in(folder: &Path) -> io::Result<Vec<TakeId>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder)? {
        ids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<TakeId>().ok()));
    }
    ids.sort();
    Ok(ids)
}

/// One take's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeFolder(PathBuf);

impl TakeFolder {
    /// The folder at `path`, whatever its name.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.0.join("take.jsonl")
    }

    /// A segment file by the name its log gives.
    pub fn segment(&self, file: &str) -> PathBuf {
        // A log is only text: a name that leads out of the folder leads nowhere.
        let name = Path::new(file).file_name().unwrap_or_default();
        self.0.join(name)
    }

    /// The name of the `number`th segment.
    pub fn segment_name(number: u32) -> String {
        format!("{number:04}.wav")
    }

    /// Reads the log and adds it up.
    ///
    /// # Errors
    /// The log cannot be read or is damaged.
    pub fn load(&self) -> Result<Loaded, LogError> {
        let path = self.log();
        let log = Log::read(&path)?;
        let fold = log.fold(&path)?;
        Ok(Loaded { folder: self.clone(), log, fold })
    }
}

/// A take read from its folder.
#[derive(Debug)]
pub struct Loaded {
    /// Where it is.
    pub folder: TakeFolder,
    /// Its log.
    pub log: Log,
    /// What the log adds up to.
    pub fold: Fold,
}

impl Loaded {
    /// Whether the last fact says that it ended.
    pub fn is_closed(&self) -> bool {
        self.log.facts.iter().any(|fact| matches!(fact, Fact::Closed { .. }))
    }

    /// The take as the world sees it: of a segment still open, the frames that are in the file count.
    pub fn info(&self, is_live: bool) -> TakeInfo {
        let mut fold = self.fold.clone();
        let mut open = None;
        for segment in fold.info(is_live).segments.iter().filter(|segment| segment.is_open) {
            let frames = frames_in(&self.folder.segment(&segment.file)).unwrap_or(0);
            fold.reach(segment.first_frame + frames);
            open = Some((segment.file.clone(), frames));
        }
        let mut info = fold.info(is_live);
        if let Some((file, frames)) = open
            && let Some(segment) = info.segments.iter_mut().find(|segment| segment.file == file)
        {
            segment.frames = frames;
        }
        info
    }
}

/// Whole frames in a segment file that may still be growing.
fn frames_in(path: &Path) -> Option<u64> {
    let file = fs::File::open(path).ok()?;
    Some(WavReader::open(file).ok()?.about().frames)
}
