//! The worker that renders: what is recorded now first, then what was recorded and has no copies, newest first.
//!
//! It takes its time: recording has priority, and a copy that comes a minute later harms nobody. A take that cannot be
//! rendered is told once, and tried again when someone asks for it or the node is started again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Render, archive};
use crate::capture::take::DataDir;
use crate::domain::TakeId;
use crate::service::{Failures, Live, Next, Worker};
use crate::sys::clock::Now;

/// Frames a take is rendered by in a round: half a second of work for many channels, ten minutes of speech for two.
const BUDGET_FRAMES: u64 = 48_000 * 60;
/// How often running takes get their next piece.
const RUNNING_WAIT: Duration = Duration::from_secs(2);
/// Between two pieces of what is not urgent.
const CATCHING_UP_WAIT: Duration = Duration::from_millis(100);
/// How often the folder is looked through when there is nothing to do.
const IDLE_WAIT: Duration = Duration::from_secs(5);
/// The archive's name.
pub const ARCHIVE: &str = "archive.flac";
/// Renders open at a time; the others wait.
const OPEN_MAX: usize = 16;

/// See the module.
pub struct Renderer {
    data: DataDir,
    live: Live,
    failures: Failures,
    open: BTreeMap<TakeId, Render>,
    /// Takes that need nothing more until someone says so.
    done: BTreeMap<TakeId, ()>,
}

impl Renderer {
    /// Over the takes of a data folder.
    pub fn new(data: DataDir, live: Live, failures: Failures) -> Self {
        Self { data, live, failures, open: BTreeMap::new(), done: BTreeMap::new() }
    }

    fn running(&self) -> Vec<TakeId> {
        self.live.status().map(|status| status.recording.iter().map(|take| take.id).collect()).unwrap_or_default()
    }

    /// One piece of one take; says whether it is done.
    fn piece(&mut self, id: TakeId, is_recording: bool) -> bool {
        let (take, out) = (self.data.take(id), self.data.render(id));
        let render = self.open.entry(id).or_insert_with(|| Render::new(take.clone(), out.clone()));
        let stepped = render.step(is_recording, BUDGET_FRAMES).map_err(|error| error.to_string());
        let finished = stepped.and_then(|progress| {
            let archived = out.join(ARCHIVE);
            if progress.is_done && !is_archived(&out) {
                archive(&take, &archived).map_err(|error| error.to_string())?;
            }
            Ok(progress.is_done)
        });
        match finished {
            Ok(is_done) => {
                self.failures.mended(id);
                is_done
            }
            Err(reason) => {
                self.failures.failed(id, &reason);
                true
            }
        }
    }

    fn next_waiting(&self, running: &[TakeId]) -> Result<Option<TakeId>, String> {
        let ids = self.data.take_ids().map_err(|error| format!("the takes cannot be listed: {error}"))?;
        Ok(ids.into_iter().rev().find(|id| !self.done.contains_key(id) && !running.contains(id)))
    }
}

/// One file, or for many channels several: `archive.ch1-8.flac` …
fn is_archived(out: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(out) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("archive.") && name.ends_with(".flac")
    })
}

impl Worker for Renderer {
    fn name(&self) -> &'static str {
        "render"
    }

    fn step(&mut self, _now: Now) -> Result<Next, String> {
        // Someone asked for it anew: `forget` has taken the folder away.
        let data = self.data.clone();
        let is_kept = |id: &TakeId| data.render(*id).join(super::STATE).exists() || self.failures.reason(*id).is_some();
        let again: Vec<TakeId> = self.done.keys().filter(|id| !is_kept(id)).copied().collect();
        for id in again {
            self.done.remove(&id);
            self.open.remove(&id);
        }
        let running = self.running();
        for id in &running {
            self.done.remove(id);
            if self.open.len() < OPEN_MAX || self.open.contains_key(id) {
                self.piece(*id, true);
            }
        }
        let Some(id) = self.next_waiting(&running)? else {
            self.open.retain(|id, _| running.contains(id));
            let wait = if running.is_empty() { IDLE_WAIT } else { RUNNING_WAIT };
            return Ok(Next::after(wait, format!("{} takes are whole, {} grow", self.done.len(), running.len())));
        };
        if self.piece(id, false) {
            self.open.remove(&id);
            self.done.insert(id, ());
            self.live.bump();
        }
        Ok(Next::after(CATCHING_UP_WAIT, format!("works on {id}")))
    }
}
