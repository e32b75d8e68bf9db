//! The bin: recordings of this node that were put there 30 days ago lose their audio for good, unless they are held.
//!
//! The record stays, marked as gone, and the journal says who (the node) and when. A folder is renamed first and removed
//! then, so that a crash in between leaves no half of a take. While nobody has set the clock nothing is removed: nobody
//! knows how long 30 days are then.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Next, Worker, moment};
use crate::access::acts::PurgeRecording;
use crate::access::{About, Access, Actor, Ctx};
use crate::capture::take::DataDir;
use crate::domain::access::{ResourceKind, Room, RoomId, Target};
use crate::domain::{ClockQuality, TakeState};
use crate::store::recordings::{Facts, PAGE_MAX, Query, Recording};
use crate::sys::clock::Now;
use crate::sys::rng;

/// How long a recording lies in the bin.
pub const KEPT_DAYS: i64 = 30;
/// How often the bin is gone through.
const LOOK: Duration = Duration::from_secs(600);
/// Between two pages of it.
const PAGE_WAIT: Duration = Duration::from_millis(200);
/// What is being removed has this before its name, which makes it no take.
const LEAVING: &str = ".leaving-";

/// See the module.
pub struct Bin {
    data: DataDir,
    renders: PathBuf,
    access: Access,
    cursor: Option<String>,
    has_swept: bool,
}

impl Bin {
    /// Over a data folder and what may be done on this node.
    pub fn new(data: DataDir, access: Access) -> Self {
        let renders = data.path().join("renders");
        Self { data, renders, access, cursor: None, has_swept: false }
    }

    /// Removes what a crash left half removed.
    fn sweep(&mut self) -> io::Result<()> {
        for folder in [self.data.takes(), self.renders.clone()] {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().to_string_lossy().starts_with(LEAVING) {
                    std::fs::remove_dir_all(entry.path())?;
                }
            }
        }
        self.has_swept = true;
        Ok(())
    }

    fn purge(&self, recording: &Recording, now: Now) -> Result<(), String> {
        let seed = rng::bytes::<32>().map_err(|error| format!("no random numbers: {error}"))?;
        let ctx = Ctx::new(moment(now), seed, "", "");
        let about = About::thing("recording", recording.id, recording.title());
        let room = recording.plan.room.map(|room| Room { id: RoomId::new(room.to_string()), site: None });
        let target = match room {
            Some(room) => Target::in_room(ResourceKind::Recording, recording.id.to_string(), room),
            None => Target::node(recording.node.to_string(), Vec::new()),
        };
        let allowed = self.access.allow::<PurgeRecording>(&ctx, &Actor::service("bin"), &target, about);
        let allowed = allowed.map_err(|error| error.to_string())?;
        let name = recording.id.to_string();
        let removed = remove(&self.data.takes(), &name).and_then(|()| remove(&self.renders, &name));
        if let Err(error) = removed {
            allowed.fail(&error.to_string());
            return Err(format!("recording {name} cannot be removed: {error}"));
        }
        let mut edits = allowed.edits();
        edits.put_facts(recording.id, &Facts { is_gone: true, ..recording.facts.clone() });
        allowed.settle(edits);
        Ok(())
    }
}

/// Renames the folder out of sight, then removes it. One that is not there is removed already.
fn remove(parent: &Path, name: &str) -> io::Result<()> {
    let leaving = parent.join(format!("{LEAVING}{name}"));
    match std::fs::rename(parent.join(name), &leaving) {
        Ok(()) => std::fs::remove_dir_all(leaving),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a recording has lain in the bin for long enough to lose its audio.
fn is_due(recording: &Recording, now: Timestamp) -> bool {
    let is_over = match recording.facts.state {
        TakeState::Ready | TakeState::Incomplete | TakeState::Failed => true,
        TakeState::Scheduled | TakeState::Recording | TakeState::Paused | TakeState::Finishing => false,
    };
    let kept = SignedDuration::from_hours(24 * KEPT_DAYS);
    is_over
        && !recording.facts.is_gone
        && !recording.annotation.is_held
        && recording.annotation.deleted_at.is_some_and(|since| now.duration_since(since) >= kept)
}

impl Worker for Bin {
    fn name(&self) -> &'static str {
        "bin"
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        if moment(now).quality == ClockQuality::Unset {
            return Ok(Next::after(LOOK, "the clock is not set: nothing is removed"));
        }
        if !self.has_swept {
            self.sweep().map_err(|error| format!("what was being removed cannot be: {error}"))?;
        }
        let store = self.access.store();
        let node = Some(store.node());
        let query = Query { node, is_bin: true, cursor: self.cursor.take(), limit: PAGE_MAX, ..Query::default() };
        let page = store.recordings(&query).map_err(|error| error.to_string())?;
        let mut removed = 0;
        for recording in page.items.iter().filter(|recording| is_due(recording, now.wall)) {
            // Somebody may have taken it out, or laid a hold on it, since the page was read.
            let again = store.recording(recording.id).map_err(|error| error.to_string())?;
            if let Some(recording) = again.filter(|again| Some(again.node) == node && is_due(again, now.wall)) {
                self.purge(&recording, now)?;
                removed += 1;
            }
        }
        self.cursor = page.next;
        let wait = if self.cursor.is_some() { PAGE_WAIT } else { LOOK };
        Ok(Next::after(wait, format!("{removed} removed")))
    }
}
