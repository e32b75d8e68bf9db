//! Wiring: from a data folder and a server's name to a running tape machine, and back.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::engine::messages::Message;
use super::engine::thread::EngineThread;
use super::engine::{Engine, Outcome, Settings, Unfinished};
use super::jack::Shared;
use super::jack::patchbay::{self, JackError, Patchbay};
use super::orders::{self, Keeper, OrdersError};
use super::socket::server::{Service, listen};
use super::take::folder::DataDir;
use super::take::recover::{self, Recovered};
use super::tape::{Tape, TapeEvent, reserve_bytes};
use crate::domain::{OrderSet, TakeId};
use crate::sys::{clock, disk, files::Lock, notify};

/// How often the service manager hears of us; its watchdog waits ten seconds.
const BEAT: Duration = Duration::from_secs(1);
/// A server that has just started may refuse its first client: for this long it is asked again.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);
/// How often a server that is not there yet is looked for.
const RETRY: Duration = Duration::from_millis(250);

/// How capture is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data: DataDir,
    /// The JACK server's name.
    pub jack_server: String,
    /// Channels and their sources.
    pub ports: patchbay::Settings,
    /// Pre-roll, segments, measuring.
    pub engine: Settings,
    /// Wait for a server that is not there at the start.
    pub waits_for_jack: bool,
    /// Go on without orders if their file is damaged, keeping it aside.
    pub sets_aside_damaged_orders: bool,
}

/// Why capture cannot run.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Another process records here.
    #[error("another capture runs on {0}: it goes on untouched. Use another --data-dir, or stop it first")]
    Locked(PathBuf),
    /// Nothing can be written.
    #[error("{path}: {reason}. Nothing can be recorded there: give another --data-dir")]
    Disk { path: PathBuf, reason: String },
    /// The orders cannot be read.
    #[error(transparent)]
    Orders(#[from] OrdersError),
    /// No audio.
    #[error(transparent)]
    Jack(#[from] JackError),
    /// The system refused something else.
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> CaptureError {
    move |error| CaptureError::System { what, error }
}

/// Runs until `stop` says something. `ready` is called once when frames are taken and clients are served.
///
/// # Errors
/// It cannot begin; see [`CaptureError`]. Once it runs it does not end by itself.
pub fn run(config: Config, stop: &Receiver<()>, ready: impl FnOnce(&str)) -> Result<(), CaptureError> {
    let _lock = prepare_folder(&config.data)?;
    let set = load_orders(&config)?;
    let last_id = orders::last_id(&config.data, &set).map_err(system("the takes cannot be read"))?;
    let (set, unfinished) = take_stock(&config.data, set)?;

    let shared = Arc::new(Shared::default());
    let (tape_events, from_tape) = channel();
    let (outcomes, from_engine) = channel();
    let (messages, inbox) = channel();
    let tape = Tape::start(config.data.clone(), tape_events).map_err(system("the tape cannot be started"))?;
    let engine = Engine::new(config.engine.clone(), tape, outcomes);
    let thread = EngineThread::new(engine, shared.clone());
    let engine = spawn("engine", move || {
        raise_priority();
        thread.run(&inbox);
    })?;

    let _ = messages.send(Message::Adopt(unfinished));
    let _ = messages.send(Message::Orders(set.clone()));
    let keeper = Arc::new(Keeper::new(config.data.orders(), set, last_id, messages.clone()));
    let keep = [spawn_finished(from_tape, keeper.clone())?, spawn_missed(from_engine, keeper.clone())?];
    let channels = Arc::new(AtomicU16::new(0));
    let service = Service {
        keeper,
        engine: messages.clone(),
        channels: channels.clone(),
        pre_roll_seconds: config.engine.pre_roll_seconds,
    };
    let mut patchbay = Patchbay::new(config.ports.clone(), shared.clone(), messages.clone());
    let first = connect_within(&mut patchbay, &config.jack_server, Some(FIRST_PATIENCE), stop);
    let is_connected = first.is_ok();
    if !config.waits_for_jack {
        first?;
    }
    channels.store(patchbay.channels(), Ordering::Relaxed);
    // Who connects finds frames in the ring; only where the server is waited for, orders may come before it.
    listen(&config.data, Arc::new(service)).map_err(system("the socket cannot be made"))?;
    let _socket = RemovedSocket(config.data.socket());
    if !is_connected {
        // Without patience only a stop ends the waiting.
        let Ok(()) = connect_within(&mut patchbay, &config.jack_server, None, stop) else { return Ok(()) };
        channels.store(patchbay.channels(), Ordering::Relaxed);
    }
    let channels = patchbay.channels();
    let (quit_patchbay, patchbay_quits) = channel();
    let server = config.jack_server.clone();
    let patchbay = spawn("patchbay", move || patchbay.run(&server, &patchbay_quits))?;

    ready(&format!(
        "{channels} channels of JACK server {}, kept in {}",
        config.jack_server,
        config.data.path().display()
    ));
    notify::ready();
    beat(&shared, stop);
    notify::stopping();

    drop(quit_patchbay);
    let _ = patchbay.join();
    let _ = messages.send(Message::Quit);
    let _ = engine.join();
    drop(keep);
    Ok(())
}

/// The socket's name, removed when capture ends: a client then hears at once that nobody is there.
struct RemovedSocket(PathBuf);

impl Drop for RemovedSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn spawn<F: FnOnce() + Send + 'static>(name: &str, run: F) -> Result<JoinHandle<()>, CaptureError> {
    Builder::new().name(name.into()).spawn(run).map_err(system("a thread cannot be started"))
}

/// The folder exists, can be written, has room, and is ours alone.
fn prepare_folder(data: &DataDir) -> Result<Lock, CaptureError> {
    let path = data.path().to_owned();
    let refuse = |reason: String| CaptureError::Disk { path: path.clone(), reason };
    std::fs::create_dir_all(data.takes()).map_err(|error| refuse(error.to_string()))?;
    let space = disk::space(data.path()).map_err(|error| refuse(error.to_string()))?;
    if space.is_read_only {
        return Err(refuse("the disk is read-only".into()));
    }
    if space.free_bytes < reserve_bytes(&space) {
        return Err(refuse(format!("the disk is full ({} KiB free)", space.free_bytes >> 10)));
    }
    match Lock::try_take(&data.lock()) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(CaptureError::Locked(path)),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn load_orders(config: &Config) -> Result<OrderSet, CaptureError> {
    let path = config.data.orders();
    let _lock = Lock::take(&config.data.orders_lock()).map_err(system("the orders cannot be locked"))?;
    match orders::load(&path) {
        Err(OrdersError::Damaged { reason, .. }) if config.sets_aside_damaged_orders => {
            let aside = path.with_extension(format!("damaged-{}.json", clock::wall().as_second()));
            std::fs::rename(&path, &aside).map_err(system("the damaged orders cannot be set aside"))?;
            tracing::error!("{} is damaged ({reason}): set aside as {}", path.display(), aside.display());
            Ok(OrderSet::default())
        }
        loaded => Ok(loaded?),
    }
}

/// Makes every take whole and sorts what a crash left: what goes on, and what is over.
fn take_stock(data: &DataDir, mut set: OrderSet) -> Result<(OrderSet, Vec<Unfinished>), CaptureError> {
    let now = clock::wall();
    let all = recover::recover_all(data, &clock::boot_id(), now).map_err(system("the takes cannot be read"))?;
    let mut unfinished = Vec::new();
    for (id, recovered) in all {
        match recovered {
            Ok(recovered) if recovered.is_closed => drop(set.remove(id)),
            Ok(recovered) => match set.get(id).filter(|order| !order.is_over(now)) {
                Some(order) => unfinished.push(unfinished_of(order.clone(), recovered)),
                None => close_over(data, id, &mut set, now),
            },
            Err(error) => {
                // One damaged take must not keep the others from being recorded, nor the rest of its own session.
                tracing::error!(
                    "recording {id} cannot be made whole: {error}. It is left as it is; see `rakkr verify`"
                );
                let is_over = set.get(id).is_none_or(|order| order.is_over(now));
                if is_over || !set_aside(data, id, now) {
                    set.remove(id);
                }
            }
        }
    }
    Ok((set, unfinished))
}

/// Gives a damaged take's folder another name, so that what is left of its session is recorded under its own.
fn set_aside(data: &DataDir, id: TakeId, now: jiff::Timestamp) -> bool {
    let folder = data.take(id);
    let aside = folder.path().with_file_name(format!("{id}.damaged-{}", now.as_second()));
    match std::fs::rename(folder.path(), &aside) {
        Ok(()) => tracing::error!("its audio is kept in {}; the recording begins anew", aside.display()),
        Err(error) => tracing::error!("it cannot be set aside: {error}"),
    }
    aside.exists()
}

fn unfinished_of(order: crate::domain::Order, recovered: Recovered) -> Unfinished {
    let rate = f64::from(recovered.info.sample_rate);
    Unfinished {
        order,
        opened: recovered.loaded.fold.opened().clone(),
        frames: recovered.info.frames,
        paused_from: recovered.loaded.fold.paused_from(),
        planned_frames: recovered.info.planned_seconds.map(|seconds| (seconds * rate).round() as u64),
        anchor: recovered.anchor,
        stepped_seconds: recovered.info.clock_steps.iter().map(|(_, seconds)| seconds).sum(),
    }
}

fn close_over(data: &DataDir, id: TakeId, set: &mut OrderSet, now: jiff::Timestamp) {
    let until = set.get(id).and_then(|order| order.stop).map_or(now, |stop| stop.min(now));
    match recover::close(&data.take(id), until, now) {
        Ok(()) => tracing::info!("recording {id} ended while the recorder was down: closed as found"),
        Err(error) => tracing::error!("recording {id} cannot be closed: {error}"),
    }
    set.remove(id);
}

/// Connects to a server that may not be there yet; without `patience` for as long as nobody says stop.
fn connect_within(
    patchbay: &mut Patchbay,
    server: &str,
    patience: Option<Duration>,
    stop: &Receiver<()>,
) -> Result<(), JackError> {
    let give_up_us = patience.map(|patience| clock::mono_us() + patience.as_micros() as u64);
    loop {
        let Err(error) = patchbay.connect(server) else { return Ok(()) };
        if give_up_us.is_some_and(|give_up_us| clock::mono_us() > give_up_us) {
            return Err(error);
        }
        notify::alive(&format!("waiting: {error}"));
        if !matches!(stop.recv_timeout(RETRY), Err(RecvTimeoutError::Timeout)) {
            return Err(error);
        }
    }
}

fn spawn_finished(events: Receiver<TapeEvent>, keeper: Arc<Keeper>) -> Result<JoinHandle<()>, CaptureError> {
    spawn("finished", move || {
        while let Ok(TapeEvent::Finished(id)) = events.recv() {
            keeper.over(id);
        }
    })
}

fn spawn_missed(outcomes: Receiver<Outcome>, keeper: Arc<Keeper>) -> Result<JoinHandle<()>, CaptureError> {
    spawn("missed", move || {
        while let Ok(Outcome::Missed(id)) = outcomes.recv() {
            keeper.over(id);
        }
    })
}

/// Tells the service manager that the engine lives, for as long as it does.
fn beat(shared: &Shared, stop: &Receiver<()>) {
    let mut beats = 0;
    while matches!(stop.recv_timeout(BEAT), Err(RecvTimeoutError::Timeout)) {
        let now = shared.engine_beats.load(Ordering::Relaxed);
        if now != beats {
            beats = now;
            let is_down = shared.is_down.load(Ordering::Relaxed);
            notify::alive(if is_down { "the audio server is gone: waiting for it" } else { "recording path alive" });
        }
    }
}

/// The engine may be late by what the ring holds; a busy machine should not make it so. Without the right to it, it runs
/// like everybody else.
fn raise_priority() {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    // Below JACK's own threads (70 and less): the callback comes first.
    const PRIORITY: u8 = 5;
    let Ok(value) = PRIORITY.try_into() else { return };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy)
    {
        tracing::info!("the engine runs without realtime priority ({error:?}): give the user rtprio, see HARDWARE.md");
    }
}

/// A pair of ends for telling [`run`] to stop.
pub fn stopper() -> (Sender<()>, Receiver<()>) {
    channel()
}
