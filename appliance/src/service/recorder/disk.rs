//! What lies on disk: which takes there are, and what each says of itself. Nothing is read twice that did not change.

use std::collections::BTreeSet;
use std::io;
use std::time::SystemTime;

use crate::capture::take::log::LogError;
use crate::capture::take::{DataDir, Loaded, TakeFolder};
use crate::domain::TakeId;
use crate::service::{bytes_of, facts_of_damaged, facts_of_take};
use crate::store::recordings::Facts;

/// Looks at a folder without a log before it is called damaged: capture makes the folder first, then the log.
const LOOKS_WITHOUT_LOG: u32 = 5;
/// Looks at an ended take whose last hashes do not come before it is settled without: two minutes.
const LOOKS_WITHOUT_HASH: u32 = 120;

/// Which takes lie in the folder, asked again only when the folder changed.
#[derive(Default)]
pub struct Listing {
    ids: BTreeSet<TakeId>,
    changed: Option<SystemTime>,
    /// The folder did not change since it was read. Its time is coarse: what came within the same tick of the clock is
    /// found by reading it once more.
    is_confirmed: bool,
    has_read: bool,
}

/// What changed since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Oldest first.
    pub fresh: Vec<TakeId>,
    /// Not there any more.
    pub gone: Vec<TakeId>,
}

impl Listing {
    /// Whether the takes were never listed.
    pub fn is_new(&self) -> bool {
        !self.has_read
    }

    /// Whether this take is there.
    pub fn has(&self, id: TakeId) -> bool {
        self.ids.contains(&id)
    }

    /// Looks; nothing if the folder is as it was.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn read(&mut self, data: &DataDir) -> io::Result<Option<News>> {
        let changed = std::fs::metadata(data.takes()).and_then(|meta| meta.modified()).ok();
        let is_same = self.has_read && changed == self.changed;
        if is_same && self.is_confirmed {
            return Ok(None);
        }
        let ids: BTreeSet<TakeId> = data.take_ids()?.into_iter().collect();
        let news = News {
            fresh: ids.difference(&self.ids).copied().collect(),
            gone: self.ids.difference(&ids).copied().collect(),
        };
        (self.ids, self.changed, self.is_confirmed, self.has_read) = (ids, changed, is_same, true);
        Ok(Some(news))
    }
}

/// What was read of one take.
#[derive(Default)]
pub struct Seen {
    loaded: Option<(Loaded, (Option<SystemTime>, u64))>,
    without_log: u32,
    without_hash: u32,
}

/// What a take says of itself.
pub struct Said {
    /// For its record.
    pub facts: Facts,
    /// It ended, or will never say more.
    pub has_ended: bool,
    /// Every file is hashed as well, or that was waited for long enough.
    pub is_whole: bool,
}

impl Seen {
    /// Reads a take; `is_live` says whether capture records it now. None while it is only being made.
    pub fn read(&mut self, folder: &TakeFolder, id: TakeId, is_live: bool, known: Option<&Facts>) -> Option<Said> {
        match self.load(folder) {
            Ok(()) => {}
            Err(LogError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                self.without_log += 1;
                if is_live || self.without_log < LOOKS_WITHOUT_LOG {
                    return None;
                }
                return Some(damaged(id, known, true));
            }
            // A disk that does not answer now may answer later.
            Err(LogError::Io { .. }) => return Some(damaged(id, known, false)),
            Err(LogError::Damaged { .. }) => return Some(damaged(id, known, true)),
        }
        let (loaded, _) = self.loaded.as_ref()?;
        let info = loaded.info(is_live);
        let has_ended = loaded.is_closed() && info.segments.iter().all(|segment| !segment.is_open);
        let is_hashed = info.segments.iter().all(|segment| segment.sha256.is_some());
        if has_ended && !is_hashed {
            self.without_hash += 1;
        }
        let is_whole = has_ended && (is_hashed || self.without_hash > LOOKS_WITHOUT_HASH);
        Some(Said { facts: facts_of_take(&info, bytes_of(folder, &info)), has_ended, is_whole })
    }

    /// Reads the log if it is not the one that was read last.
    fn load(&mut self, folder: &TakeFolder) -> Result<(), LogError> {
        let stamp = std::fs::metadata(folder.log()).map(|meta| (meta.modified().ok(), meta.len()));
        let stamp = stamp.map_err(|error| LogError::Io { path: folder.log(), error })?;
        if self.loaded.as_ref().is_none_or(|(_, read)| *read != stamp) {
            // What is written between is read again with the next look: the stamp is older than the reading.
            self.loaded = Some((folder.load()?, stamp));
        }
        Ok(())
    }
}

fn damaged(id: TakeId, known: Option<&Facts>, has_ended: bool) -> Said {
    Said { facts: facts_of_damaged(id, known.cloned()), has_ended, is_whole: has_ended }
}
