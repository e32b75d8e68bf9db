//! The node's face: pages for people, an API for programs, both over the same functions.
//!
//! Lives here: every URL ([`router`]), requests parsed ([`caller`]), problems told ([`problem`]), pages and API side by
//! side, live streams, media, TLS. A handler parses, obtains what `access` allows, calls one function, answers. Does not
//! live here: the database, JACK, decisions. Work that waits for a disk runs on threads that may ([`blocking`]).

pub mod api;
mod assets;
pub mod caller;
mod levels;
mod live;
mod media;
mod meters;
mod metrics;
mod origin;
pub mod pages;
mod peer;
pub mod pieces;
pub mod problem;
mod render;
pub mod router;
pub mod serve;
#[cfg(test)]
mod tests;
mod view;
mod whose;

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::access::Access;
use crate::access::identity::Identity;
use crate::capture::take::DataDir;
use crate::fleet::Fleet;
use crate::service::listen::KeptFiles;
use crate::service::live::Live;
use crate::service::supervisor::Statuses;
use crate::store::Store;

pub use problem::Problem;

/// Files that may be made for download at a time: the recorder needs the cores.
const EXPORTS_MAX: usize = 2;
/// Meter and state streams at a time, of all viewers.
pub const STREAMS_MAX: usize = 256;
/// Walls that are looked at at a time: each is told the levels of all rooms four times a second.
pub const WALLS_MAX: usize = 64;
/// Bytes of files made for download that are kept.
pub const FILES_BYTES_MAX: u64 = 8 << 30;
/// Live listeners and players that are encoded for at a time.
const LISTENERS_MAX: usize = 8;

/// What every handler reaches. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of the node.
pub struct Parts {
    /// Where everything is kept.
    pub data: DataDir,
    /// The records.
    pub store: Store,
    /// Who may what.
    pub access: Access,
    /// What is now.
    pub live: Live,
    /// The services.
    pub workers: Statuses,
    /// The node's name.
    name: RwLock<String>,
    /// Its key and certificate.
    pub identity: Arc<Identity>,
    /// Its part in the fleet.
    pub fleet: Fleet,
    /// What opening the records found.
    pub alarms: Vec<String>,
    /// Whether metrics are given to loopback without a token.
    pub has_open_metrics: bool,
    /// Started, monotonic microseconds.
    pub started_us: u64,
    /// Files made for download.
    pub files: KeptFiles,
    limits: Limits,
}

struct Limits {
    exports: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    walls: Arc<Semaphore>,
}

/// What [`App::new`] is made of.
pub struct Wiring {
    /// See [`Parts`]; likewise below.
    pub data: DataDir,
    #[allow(missing_docs)]
    pub access: Access,
    #[allow(missing_docs)]
    pub live: Live,
    #[allow(missing_docs)]
    pub workers: Statuses,
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub identity: Arc<Identity>,
    #[allow(missing_docs)]
    pub fleet: Fleet,
    #[allow(missing_docs)]
    pub alarms: Vec<String>,
    #[allow(missing_docs)]
    pub has_open_metrics: bool,
    #[allow(missing_docs)]
    pub started_us: u64,
    #[allow(missing_docs)]
    pub files: KeptFiles,
}

impl App {
    /// Over the parts of a node.
    pub fn new(wiring: Wiring) -> Self {
        let semaphore = |n| Arc::new(Semaphore::new(n));
        let limits = Limits {
            exports: semaphore(EXPORTS_MAX),
            listeners: semaphore(LISTENERS_MAX),
            streams: semaphore(STREAMS_MAX),
            walls: semaphore(WALLS_MAX),
        };
        let Wiring { data, access, live, workers, name, identity, fleet, alarms, has_open_metrics, started_us, files } =
            wiring;
        let store = access.store().clone();
        Self(Arc::new(Parts {
            data,
            store,
            access,
            live,
            workers,
            name: RwLock::new(name),
            identity,
            fleet,
            alarms,
            has_open_metrics,
            started_us,
            files,
            limits,
        }))
    }
}

impl Parts {
    /// The node's name.
    pub fn name(&self) -> String {
        self.name.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls the node by another name from now on.
    fn set_name(&self, name: &str) {
        name.clone_into(&mut self.name.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Runs what may wait for a disk on a thread that may wait.
///
/// # Errors
/// It panicked, or the node ends.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error.to_string()))
}

/// A page that cannot be shown, told as a page.
pub struct NoPage(pub Problem);

impl From<Problem> for NoPage {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<crate::store::StoreError> for NoPage {
    fn from(error: crate::store::StoreError) -> Self {
        Self(error.into())
    }
}
