//! Runs workers, a thread each, and tells what each is doing.
//!
//! A worker that panics is told as an error and made anew by its factory. Errors are tried again after a while that
//! doubles, from 0.25 s to 30 s. The clock is asked here, once a round, and handed on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use super::{Bell, Live, Next, Worker, WorkerState, WorkerStatus};
use crate::sys::clock;

/// The wait after the first error, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// How long [`Supervisor::stop`] waits for rounds that are under way.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Runs workers until it is told to stop; dropping it tells them as well, without waiting.
#[derive(Default)]
pub struct Supervisor {
    shared: Arc<Shared>,
    live: Option<Live>,
}

/// What every worker is doing, for pages. Cheap to clone.
#[derive(Clone)]
pub struct Statuses(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_stopping: bool,
    running: usize,
    workers: Vec<WorkerStatus>,
    bells: Vec<Bell>,
}

impl Supervisor {
    /// Without workers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pages are told when a worker begins or ceases to fail.
    #[must_use]
    pub fn telling(mut self, live: Live) -> Self {
        self.live = Some(live);
        self
    }

    /// Runs the workers that `factory` makes, one at a time: another after each panic.
    pub fn spawn(&mut self, mut factory: impl FnMut() -> Box<dyn Worker> + Send + 'static) {
        let worker = factory();
        let name = worker.name();
        let mut state = self.shared.lock();
        let place = state.workers.len();
        state.workers.push(WorkerStatus {
            name,
            state: WorkerState::Waiting,
            detail: String::new(),
            last_error: None,
            last_ok: None,
            rounds: 0,
            failures: 0,
        });
        state.bells.push(worker.bell().unwrap_or_default());
        state.running += 1;
        drop(state);
        let post = Post { shared: self.shared.clone(), live: self.live.clone(), place };
        let failed = post.shared.clone();
        let run = move || post.run(worker, &mut factory);
        if let Err(error) = Builder::new().name(name.into()).spawn(run) {
            let mut state = failed.lock();
            state.running -= 1;
            state.workers[place].state = WorkerState::Stopped;
            state.workers[place].last_error = Some((clock::wall(), format!("it cannot be started: {error}")));
        }
    }

    /// What every worker is doing, in the order they were spawned.
    pub fn statuses(&self) -> Vec<WorkerStatus> {
        self.handle().all()
    }

    /// The same, for whoever asks again.
    pub fn handle(&self) -> Statuses {
        Statuses(self.shared.clone())
    }

    /// Ends all workers after the round they are in; waits for that at most two seconds.
    pub fn stop(self) {
        self.tell_to_stop();
        let state = self.shared.lock();
        let waited = self.shared.ended.wait_timeout_while(state, STOP_WAIT, |state| state.running > 0);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        for worker in state.workers.iter().filter(|worker| worker.state != WorkerState::Stopped) {
            tracing::warn!("{} is still busy and is left to itself", worker.name);
        }
    }

    fn tell_to_stop(&self) {
        let mut state = self.shared.lock();
        state.is_stopping = true;
        state.bells.iter().for_each(Bell::ring);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

impl Statuses {
    /// All workers, in the order they were spawned.
    pub fn all(&self) -> Vec<WorkerStatus> {
        self.0.lock().workers.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's place among the statuses.
struct Post {
    shared: Arc<Shared>,
    live: Option<Live>,
    place: usize,
}

impl Post {
    fn run(self, first: Box<dyn Worker>, factory: &mut dyn FnMut() -> Box<dyn Worker>) {
        let mut worker = Some(first);
        let mut backoff = BACKOFF.0;
        let mut bell = self.shared.lock().bells[self.place].clone();
        while self.begin() {
            let round = catch_unwind(AssertUnwindSafe(|| {
                let worker = worker.get_or_insert_with(&mut *factory);
                let result = worker.step(clock::now());
                (result, worker.bell())
            }));
            let wait = match round {
                Ok((Ok(next), own_bell)) => {
                    bell = self.ring_with(own_bell, bell);
                    backoff = BACKOFF.0;
                    let wait = next.wait;
                    self.went_well(next);
                    wait
                }
                Ok((Err(error), _)) => self.failed(error, &mut backoff),
                Err(panic) => {
                    // What it left half done is dropped with it; a panic in that is one too many and stays here.
                    let gone = worker.take();
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(gone)));
                    self.failed(format!("it broke off ({}) and was begun anew", text_of(&*panic)), &mut backoff)
                }
            };
            bell.wait(wait);
        }
        self.end();
    }

    /// Whether there is another round.
    fn begin(&self) -> bool {
        let mut state = self.shared.lock();
        if state.is_stopping {
            return false;
        }
        let worker = &mut state.workers[self.place];
        worker.rounds += 1;
        if worker.state == WorkerState::Waiting {
            worker.state = WorkerState::Running;
        }
        true
    }

    /// A worker made anew may have another bell.
    fn ring_with(&self, own: Option<Bell>, bell: Bell) -> Bell {
        let Some(own) = own else { return bell };
        self.shared.lock().bells[self.place] = own.clone();
        own
    }

    fn went_well(&self, next: Next) {
        let mut state = self.shared.lock();
        let worker = &mut state.workers[self.place];
        let was_failing = worker.state == WorkerState::Failing;
        worker.state = WorkerState::Waiting;
        worker.detail = next.detail;
        worker.last_ok = Some(clock::wall());
        drop(state);
        if was_failing {
            self.tell();
        }
    }

    /// Notes the error; returns how long to wait.
    fn failed(&self, error: String, backoff: &mut Duration) -> Duration {
        let wait = *backoff;
        *backoff = (wait * 2).min(BACKOFF.1);
        let mut state = self.shared.lock();
        let worker = &mut state.workers[self.place];
        let is_new = worker.state != WorkerState::Failing
            || worker.last_error.as_ref().is_none_or(|(_, before)| *before != error);
        worker.failures += 1;
        worker.state = WorkerState::Failing;
        if is_new {
            tracing::warn!("{}: {error}", worker.name);
        }
        worker.last_error = Some((clock::wall(), error));
        drop(state);
        if is_new {
            self.tell();
        }
        wait
    }

    fn end(&self) {
        let mut state = self.shared.lock();
        state.workers[self.place].state = WorkerState::Stopped;
        state.running -= 1;
        self.shared.ended.notify_all();
    }

    fn tell(&self) {
        if let Some(live) = &self.live {
            live.bump();
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
