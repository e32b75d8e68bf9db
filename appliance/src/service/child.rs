//! `rakkr capture` as a child of the node, where no service manager runs it.
//!
//! The tape machine is started in a process group of its own: the node's end, or Ctrl-C on its terminal, does not end a
//! recording. It is started only when nobody answers on the socket and nobody holds capture's lock, so a node that is
//! started again finds the one that runs, and a dead one is started again.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Next, Worker};
use crate::capture::socket::client::Client;
use crate::capture::take::DataDir;
use crate::sys::clock::{self, Now};
use crate::sys::files::Lock;

/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(500);
/// A log longer than this is put aside at the next start; the one before that is removed.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// How long [`Child::stop`] waits: a gigabyte is hashed at the end of a recording.
const STOP_WAIT_US: u64 = 20_000_000;
/// Bytes of the log's end that are looked through for what it said last.
const TAIL_BYTES: u64 = 2_048;

/// How capture is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program, ours.
    pub program: PathBuf,
    /// Its data folder.
    pub data: DataDir,
    /// The JACK server's name.
    pub jack_server: String,
    /// More arguments: `--connect-all`, or `--connect` and `--channels`.
    pub arguments: Vec<String>,
}

/// The process, if it is ours. Cheap to clone: one for the worker, one for whoever ends it.
#[derive(Clone, Default)]
pub struct Child(Arc<Mutex<Option<process::Child>>>);

impl Child {
    /// None is started yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process id of the capture that was started here and runs; none if there is none, or another started it.
    pub fn pid(&self) -> Option<u32> {
        let mut child = self.lock();
        let child = child.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    /// Ends the capture that was started here, and waits until its takes are closed. One that was found is left alone.
    ///
    /// # Errors
    /// It did not end in 20 s and was left to itself, or the system refused.
    #[allow(clippy::disallowed_methods)] // It waits for a process, which cannot ring.
    pub fn stop(&self) -> io::Result<()> {
        let Some(mut child) = self.lock().take() else { return Ok(()) };
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.ok_or(io::ErrorKind::NotFound)?, rustix::process::Signal::TERM)?;
        let until_us = clock::mono_us() + STOP_WAIT_US;
        while child.try_wait()?.is_none() {
            if clock::mono_us() > until_us {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "capture did not end in 20 s"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<process::Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts capture when none runs.
pub struct Keeper {
    plan: Plan,
    child: Child,
}

impl Keeper {
    /// By this plan; `child` is whatever runs.
    pub fn new(plan: Plan, child: Child) -> Self {
        Self { plan, child }
    }

    fn start(&self) -> io::Result<process::Child> {
        std::fs::create_dir_all(self.plan.data.path())?;
        let log = self.open_log()?;
        Command::new(&self.plan.program)
            .arg("capture")
            .arg("--data-dir")
            .arg(self.plan.data.path())
            .args(["--jack-server", &self.plan.jack_server, "--wait-for-jack", "--set-aside-damaged-orders"])
            .args(&self.plan.arguments)
            // A service manager's socket is the node's: capture must not speak for it.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
    }

    fn log(&self) -> PathBuf {
        self.plan.data.path().join("capture.log")
    }

    fn open_log(&self) -> io::Result<File> {
        let path = self.log();
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX) {
            std::fs::rename(&path, path.with_extension("log.1"))?;
        }
        File::options().create(true).append(true).open(path)
    }

    /// The last line of the log: why it ended.
    fn last_words(&self) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let read = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).lines().next_back().unwrap_or_default().to_owned())
        };
        read().unwrap_or_default()
    }
}

impl Worker for Keeper {
    fn name(&self) -> &'static str {
        "capture process"
    }

    fn step(&mut self, _now: Now) -> Result<Next, String> {
        let mut child = self.child.lock();
        if let Some(running) = child.as_mut() {
            match running.try_wait() {
                Ok(None) => return Ok(Next::after(LOOK, format!("capture runs as process {}", running.id()))),
                Ok(Some(status)) => {
                    *child = None;
                    return Err(format!("capture ended ({status}) and is started again: {}", self.last_words()));
                }
                Err(error) => return Err(format!("capture cannot be looked after: {error}")),
            }
        }
        if Client::connect(&self.plan.data).is_ok() {
            return Ok(Next::after(LOOK, "capture runs; another process started it"));
        }
        std::fs::create_dir_all(self.plan.data.path()).map_err(|error| error.to_string())?;
        match Lock::try_take(&self.plan.data.lock()) {
            Ok(None) => return Ok(Next::after(LOOK, "capture runs and does not listen yet")),
            Ok(Some(free)) => drop(free),
            Err(error) => return Err(format!("{}: {error}", self.plan.data.lock().display())),
        }
        let started = self.start().map_err(|error| format!("capture cannot be started: {error}"))?;
        let detail = format!("capture was started as process {}", started.id());
        *child = Some(started);
        Ok(Next::after(LOOK, detail))
    }
}
