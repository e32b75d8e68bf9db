//! The keeper of orders: one file, written whole and durable before anyone is told yes.
//!
//! While capture runs it owns the file; while it does not, a client writes it under the same locks ([`offline`]).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::engine::messages::{EdgeKind, Message};
use super::take::folder::DataDir;
use crate::domain::{Order, OrderSet, TakeId};
use crate::sys::clock::{self, Now};
use crate::sys::files::{self, Lock};

/// The largest file of orders that is read: the most orders with the longest titles.
const ORDERS_BYTES_MAX: u64 = 16 << 20;
/// How long a stop waits for the take to be closed and hashed: a gigabyte on a slow disk.
const FINISH_WAIT: Duration = Duration::from_secs(60);
/// How long the engine may take to answer: it wakes twenty times a second.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Why orders cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// The file is not what a keeper writes.
    #[error(
        "{path} is damaged: {reason}. No recording was touched. Put a good copy in its place, or move it away and order again"
    )]
    Damaged { path: PathBuf, reason: String },
    /// The disk refused.
    #[error("{path}: {error}. The orders are as they were")]
    Io { path: PathBuf, error: io::Error },
}

/// Reads the set of orders; a missing file is the empty set.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn load(path: &Path) -> Result<OrderSet, OrdersError> {
    let damaged = |reason: String| OrdersError::Damaged { path: path.to_owned(), reason };
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > ORDERS_BYTES_MAX => {
            return Err(damaged(format!("it is longer than {ORDERS_BYTES_MAX} bytes")));
        }
        _ => {}
    }
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(OrderSet::default()),
        Err(error) => Err(OrdersError::Io { path: path.to_owned(), error }),
    }
}

fn store(path: &Path, set: &OrderSet) -> Result<(), OrdersError> {
    let written = serde_json::to_vec_pretty(set).map_err(io::Error::other);
    let stored = written.and_then(|bytes| files::replace(path, &bytes));
    stored.map_err(|error| OrdersError::Io { path: path.to_owned(), error })
}

/// The newest id among takes on disk and orders.
///
/// # Errors
/// The folder of takes cannot be read.
pub fn last_id(data: &DataDir, set: &OrderSet) -> io::Result<Option<TakeId>> {
    Ok(data.take_ids()?.last().copied().max(set.iter().last().map(|order| order.id)))
}

/// What a client may do while capture is down.
pub enum Offline<T> {
    /// Done, and durable.
    Done(T),
    /// Capture is running after all: ask it.
    Running,
}

/// Changes the set while capture is down.
///
/// # Errors
/// The file cannot be read or written, or `change` says no.
pub fn offline<T>(
    data: &DataDir,
    change: impl FnOnce(&mut OrderSet) -> Result<T, String>,
) -> Result<Offline<T>, anyhow::Error> {
    std::fs::create_dir_all(data.path())?;
    let _orders = Lock::take(&data.orders_lock())?;
    let Some(_capture) = Lock::try_take(&data.lock())? else { return Ok(Offline::Running) };
    let mut set = load(&data.orders())?;
    let done = change(&mut set).map_err(anyhow::Error::msg)?;
    store(&data.orders(), &set)?;
    Ok(Offline::Done(done))
}

/// The running keeper.
pub struct Keeper {
    path: PathBuf,
    engine: Sender<Message>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    set: OrderSet,
    /// The newest id there is; the next one sorts after it.
    last_id: Option<TakeId>,
    /// Takes that finished since capture was started, for those who wait. Bounded by what is waited for.
    waited: BTreeSet<TakeId>,
    finished: BTreeSet<TakeId>,
}

impl Keeper {
    /// A keeper of the set that was read.
    pub fn new(path: PathBuf, set: OrderSet, last_id: Option<TakeId>, engine: Sender<Message>) -> Self {
        let state = State { set, last_id, waited: BTreeSet::new(), finished: BTreeSet::new() };
        Self { path, engine, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The set as it is.
    pub fn set(&self) -> OrderSet {
        self.lock().set.clone()
    }

    /// An id for a new recording, sorting after all others.
    pub fn new_id(&self, at: Timestamp, chance: [u8; 10]) -> TakeId {
        let mut state = self.lock();
        let id = TakeId::after(state.last_id, at, chance);
        state.last_id = Some(id);
        id
    }

    /// Adds an order.
    ///
    /// # Errors
    /// A sentence: it cannot be, or the disk refused.
    pub fn add(&self, order: Order) -> Result<(), String> {
        self.change(|set| set.insert(order))
    }

    /// Replaces the whole set.
    ///
    /// # Errors
    /// A sentence: the disk refused.
    pub fn replace(&self, new: OrderSet) -> Result<(), String> {
        self.change(|set| {
            *set = new;
            Ok(())
        })
    }

    /// Moves a recording's planned end away by so many seconds; returns its planned length from its start. Two who extend
    /// at once both count.
    ///
    /// # Errors
    /// A sentence: there is no such order, it has no end, or it is over.
    pub fn extend(&self, id: TakeId, seconds: f64) -> Result<Option<f64>, String> {
        let now = clock::wall();
        self.change(|set| {
            let order = set.get_mut(id).ok_or_else(|| format!("recording {id} is neither running nor ordered"))?;
            order.extend(seconds, now)?;
            Ok(order.planned_seconds())
        })
    }

    /// Ends a recording now and waits until it is closed. An order that has not begun is taken out.
    ///
    /// # Errors
    /// A sentence: there is none, or it does not end.
    pub fn stop(&self, id: TakeId) -> Result<(), String> {
        let now = clock::now();
        self.lock().waited.insert(id);
        let stopped = self.stop_at(id, now);
        let result = match stopped {
            Ok(true) => self.wait_for(id),
            Ok(false) => self.change(|set| {
                set.remove(id);
                Ok(())
            }),
            Err(error) => Err(error),
        };
        let mut state = self.lock();
        state.waited.remove(&id);
        state.finished.remove(&id);
        result
    }

    /// Whether it was running. A running recording can be stopped although its order is gone from the set.
    fn stop_at(&self, id: TakeId, now: Now) -> Result<bool, String> {
        let is_ordered = self.change(|set| {
            let Some(order) = set.get_mut(id) else { return Ok(false) };
            // A clock that was set back during the take must not make the order impossible.
            order.stop = Some(now.wall.max(order.start));
            Ok(true)
        })?;
        let (answer, answered) = channel();
        self.send(Message::Stop { id, mono_us: now.mono_us, answer })?;
        let was_running = answered.recv_timeout(ANSWER_WAIT).map_err(|_| busy())?;
        match is_ordered || was_running {
            true => Ok(was_running),
            false => Err(format!("recording {id} is neither running nor ordered")),
        }
    }

    /// Something happens to a running take now; returns the take's frame.
    ///
    /// # Errors
    /// A sentence: it is not running, or this cannot happen to it.
    pub fn edge(&self, id: TakeId, edge: EdgeKind) -> Result<u64, String> {
        let mono_us = clock::mono_us();
        let (answer, answered) = channel();
        self.send(Message::Edge { id, mono_us, edge, answer })?;
        answered.recv_timeout(ANSWER_WAIT).map_err(|_| busy())?
    }

    /// A recording is over: closed, or never begun. Its order is taken out.
    pub fn over(&self, id: TakeId) {
        let removed = self.change(|set| {
            set.remove(id);
            Ok(())
        });
        if let Err(error) = removed {
            // The take is closed on disk; a stale order only says so again after a restart.
            tracing::warn!("{error}");
        }
        let mut state = self.lock();
        if state.waited.contains(&id) {
            state.finished.insert(id);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn wait_for(&self, id: TakeId) -> Result<(), String> {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, FINISH_WAIT, |state| !state.finished.contains(&id));
        let timeout = waited.unwrap_or_else(PoisonError::into_inner).1;
        match timeout.timed_out() {
            false => Ok(()),
            true => Err(format!(
                "recording {id} was told to stop, and its end is not on disk yet: the disk is slow or full. \
                 What was recorded is safe; look at `rakkr take info {id}` again"
            )),
        }
    }

    /// Changes the set: durable first, then the engine is told.
    fn change<T>(&self, change: impl FnOnce(&mut OrderSet) -> Result<T, String>) -> Result<T, String> {
        let mut state = self.lock();
        let mut set = state.set.clone();
        let done = change(&mut set)?;
        if set != state.set {
            store(&self.path, &set).map_err(|error| error.to_string())?;
            state.set = set.clone();
            self.send(Message::Orders(set))?;
        }
        Ok(done)
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.engine.send(message).map_err(|_| "the engine has ended: restart capture".to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> String {
    "the recorder did not answer in 5 s: the machine is overloaded; what is being recorded goes on".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_file_of_orders_is_a_set_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("orders.json");
            std::fs::write(&path, bytes).unwrap();
            let _ = load(&path);
        }
    }

    #[test]
    fn a_missing_file_is_no_orders_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.json");
        assert_eq!(load(&path).unwrap(), OrderSet::default());
        std::fs::write(&path, "{\"version\":1,").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("orders.json is damaged") && error.contains("No recording was touched"), "{error}");
    }

    /// Stops a recording that has no order; the engine says whether it runs.
    fn stop_without_order(runs: bool) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let (engine, inbox) = channel();
        let keeper = Keeper::new(folder.path().join("orders.json"), OrderSet::default(), None, engine);
        let id: TakeId = "0192f7c0-0000-7000-8000-000000000000".parse().unwrap();
        std::thread::scope(|scope| {
            let stop = scope.spawn(|| keeper.stop(id));
            let Ok(Message::Stop { answer, .. }) = inbox.recv() else { panic!("the engine is asked") };
            answer.send(runs).unwrap();
            if runs {
                keeper.over(id);
            }
            stop.join().unwrap()
        })
    }

    /// An order that vanished from the set does not end its recording; then nothing could, because `stop` looked for the
    /// order first.
    #[test]
    fn a_running_recording_whose_order_is_gone_can_be_stopped() {
        assert_eq!(stop_without_order(true), Ok(()));
    }

    #[test]
    fn what_neither_runs_nor_is_ordered_cannot_be_stopped() {
        assert!(stop_without_order(false).unwrap_err().contains("neither running nor ordered"));
    }

    #[test]
    fn an_extension_is_durable_before_the_engine_hears_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.json");
        let (engine, inbox) = channel();
        let order = Order {
            id: "0192f7c0-0000-7000-8000-000000000000".parse().unwrap(),
            title: String::new(),
            channels: crate::domain::Channels::All,
            start: clock::wall(),
            stop: None,
            length_seconds: Some(600.0),
            pre_roll_seconds: 0.0,
            stored_as: crate::domain::order::StoredAs::Pcm24,
        };
        let id = order.id;
        let keeper = Keeper::new(path.clone(), OrderSet::new([order]).unwrap(), None, engine);

        assert_eq!(keeper.extend(id, 60.0), Ok(Some(660.0)));
        assert_eq!(keeper.extend(id, 60.0), Ok(Some(720.0)));

        assert_eq!(load(&path).unwrap().get(id).unwrap().length_seconds, Some(720.0));
        let Ok(Message::Orders(told)) = inbox.recv() else { panic!("the engine is told") };
        assert_eq!(told.get(id).unwrap().length_seconds, Some(660.0));
    }

    #[test]
    fn while_capture_runs_its_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let held = Lock::try_take(&data.lock()).unwrap();
        assert!(matches!(offline(&data, |_| Ok(())).unwrap(), Offline::Running));
        drop(held);
        assert!(matches!(offline(&data, |_| Ok(())).unwrap(), Offline::Done(())));
    }
}
