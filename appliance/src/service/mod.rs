//! The loops of a node: what runs all the time beside the recording, and what a page or a call may set off.
//!
//! Lives here: the [`Worker`] trait, the supervisor that runs workers, and one file or folder a service. Does not live
//! here: who may do what (a command takes what `access` allowed), pages, the tape machine. Services do not know each
//! other: they meet in [`Live`] (what is now) and in the store's change feed. Nothing here is needed for recording.

mod bell;
pub mod bin;
pub mod child;
pub mod control;
pub mod ear;
mod facts;
mod failures;
pub mod journal;
pub mod levels;
pub mod listen;
pub mod live;
pub mod recorder;
pub mod render;
pub mod supervisor;
#[cfg(test)]
pub(crate) mod tests;
pub mod watch;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

pub use bell::Bell;
pub use control::{ControlError, NewRecording};
pub(crate) use facts::{
    bytes_of, differ_only_in_length, facts_of_damaged, facts_of_missed, facts_of_order, facts_of_replaced,
    facts_of_take, made_at, name_channels,
};
pub use failures::Failures;
pub use live::Live;
pub use supervisor::{Statuses, Supervisor};

use self::bin::Bin;
use self::ear::{MeterEar, StatusEar, StoreEar};
use self::journal::Journal;
use self::recorder::Recorder;
use self::watch::{Desk, IncidentKeeper, Watcher};
use crate::access::Access;
use crate::capture::take::DataDir;
use crate::store::Moment;
use crate::sys::clock::{self, Now};

/// What the loops of a node need.
#[derive(Clone)]
pub struct Parts {
    /// The data folder, capture's and ours.
    pub data: DataDir,
    /// The records and what may be done with them.
    pub access: Access,
    /// What is now.
    pub live: Live,
    /// Renditions that could not be made.
    pub failures: Failures,
}

/// Runs the loops of this folder that every node has; rendering and capture's own process are the caller's to add.
pub fn spawn_all(supervisor: &mut Supervisor, parts: &Parts) {
    let Parts { data, access, live, failures } = parts.clone();
    let store = access.store().clone();
    let desk = Desk::open(&store, clock::wall());
    let of = (data.clone(), live.clone());
    supervisor.spawn(move || Box::new(StatusEar::new(of.0.clone(), of.1.clone())));
    let of = (data.clone(), live.clone());
    supervisor.spawn(move || Box::new(MeterEar::new(of.0.clone(), of.1.clone())));
    let of = (desk.clone(), live.clone(), data.clone());
    supervisor.spawn(move || Box::new(Watcher::new(of.0.clone(), of.1.clone(), failures.clone(), of.2.clone())));
    let of = (desk, store.clone());
    supervisor.spawn(move || Box::new(IncidentKeeper::new(of.0.clone(), of.1.clone())));
    let of = (data.clone(), store.clone(), live.clone());
    supervisor.spawn(move || Box::new(Recorder::new(of.0.clone(), of.1.clone(), of.2.clone())));
    supervisor.spawn(move || Box::new(StoreEar::new(store.clone(), live.clone())));
    let of = access.clone();
    supervisor.spawn(move || Box::new(Journal::new(of.clone())));
    supervisor.spawn(move || Box::new(Bin::new(data.clone(), access.clone())));
}

/// A loop, a round at a time.
pub trait Worker: Send {
    /// Its name for the operator.
    fn name(&self) -> &'static str;

    /// What ends its waiting early; none if it only comes by time.
    fn bell(&self) -> Option<Bell> {
        None
    }

    /// One round, well below a second: the supervisor ends within two.
    ///
    /// # Errors
    /// A sentence, shown to the operator as the last error; the next round comes after a while that grows.
    fn step(&mut self, now: Now) -> Result<Next, String>;
}

/// When to come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// How long to wait.
    pub wait: Duration,
    /// One line on what it did.
    pub detail: String,
}

impl Next {
    /// After a while, with a line on what was done.
    pub fn after(wait: Duration, detail: impl Into<String>) -> Self {
        Self { wait, detail: detail.into() }
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// In a round.
    Running,
    /// Between rounds.
    Waiting,
    /// Its last round failed; it tries again.
    Failing,
    /// Told to end.
    Stopped,
}

/// A worker as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub state: WorkerState,
    /// What it did last.
    pub detail: String,
    /// The last thing that failed, and when; it stays after a recovery.
    pub last_error: Option<(Timestamp, String)>,
    /// The end of the last round that did not fail.
    pub last_ok: Option<Timestamp>,
    /// Rounds so far.
    pub rounds: u64,
    /// Rounds that failed.
    pub failures: u64,
}

/// The present as records want it.
pub fn moment(now: Now) -> Moment {
    Moment { wall: now.wall, quality: clock::quality(now.wall), mono_us: now.mono_us }
}
