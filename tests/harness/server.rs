//! A private jackd with the dummy driver, under a name of its own, ended by its process id.

use super::wait::{LIMIT, until, within};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// libjack serves one server per process: whoever has a server has the turn.
static TURN: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// It waits this many times as long for a client as it is told to (JackConstants.h, DRIVER_TIMEOUT_FACTOR).
const TIMEOUT_FACTOR: u32 = 10;

/// What the server offers.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ports of the dummy card, each way. Feeds bring their own.
    pub channels: u32,
    pub rate: u32,
    /// Frames per period.
    pub period: u32,
    /// So many milliseconds, at least twenty periods, the server waits for a client that is late (`-S`): it delays all, but
    /// nobody gets a stale buffer. `None` waits for nobody.
    pub patience_ms: Option<u32>,
    /// `None` makes one from the process id and a counter.
    pub name: Option<String>,
}

impl Options {
    /// A server that goes on without a client that is late or dead, as most in rooms do, so its frame time keeps up with
    /// the clock. Overloaded it hands out stale buffers; the long period makes that rare.
    pub fn unwaiting() -> Options {
        Options { period: 1024, patience_ms: None, ..Options::default() }
    }
}

impl Default for Options {
    fn default() -> Options {
        // A host with too many guests takes a core away for a third of a second, one after the other.
        Options { channels: 2, rate: super::RATE, period: 512, patience_ms: Some(2_000), name: None }
    }
}

/// A running server; dropping it ends it, also on a panic.
pub struct JackServer {
    pub name: String,
    pub options: Options,
    child: Child,
    leaves_a_slot: bool,
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl JackServer {
    pub fn start(options: Options) -> JackServer {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = options.name.clone().unwrap_or_else(|| format!("rk{}n{count}", std::process::id()));
        let folder = tempfile::tempdir().expect("a temp folder");
        let child = spawn(&name, &options, &folder);
        let mut server = JackServer { name, options, child, leaves_a_slot: false, folder, _turn: turn };
        server.wait_ready();
        server
    }

    /// Ends the server as a person would (SIGTERM).
    pub fn kill(&mut self) {
        self.end(Signal::TERM);
    }

    /// Ends the server as a crash would (SIGKILL).
    pub fn kill_hard(&mut self) {
        self.end(Signal::KILL);
    }

    /// Brings the server back under the same name.
    pub fn restart(&mut self) {
        self.end(Signal::TERM);
        self.leaves_a_slot = false;
        self.child = spawn(&self.name, &self.options, &self.folder);
        self.wait_ready();
    }

    fn wait_ready(&mut self) {
        until("jackd to answer", LIMIT, || {
            assert!(self.is_alive(), "jackd {} ended at once:\n{}", self.name, self.log());
            self.answers().then_some(())
        });
    }

    /// Asked often: `jack_wait -w` looks once a second only. `-c` answers in words, its exit code is always 0.
    fn answers(&self) -> bool {
        let asked = command("jack_wait", &self.name).args(["-c", "-s", &self.name]).output();
        asked.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).lines().any(|line| line.trim() == "running"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("jackd.log")).unwrap_or_default()
    }

    /// Does not panic: it is also the way out of a panic.
    fn end(&mut self, how: Signal) {
        let Some(pid) = Pid::from_raw(self.child.id() as i32).filter(|_| self.is_alive()) else { return };
        kill_process(pid, how).ok();
        self.leaves_a_slot = how == Signal::KILL;
        if within(LIMIT, || self.child.try_wait().ok().flatten()).is_none() {
            self.child.kill().and_then(|()| self.child.wait()).ok();
            self.leaves_a_slot = true;
        }
    }

    /// Removes the semaphores that clients which died with this server left behind.
    fn sweep(&self) {
        let ours = format!("_{}_", self.name);
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("jack_sem.") && name.contains(&ours) {
                fs::remove_file(entry.path()).ok();
            }
        }
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for JackServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of jackd {}:\n{}", self.name, self.log());
        }
        // Only a server that ends itself gives back its slot, and the machine has eight. One that was killed is started
        // once more for that: the slot belongs to the name.
        if self.leaves_a_slot {
            self.child = spawn(&self.name, &self.options, &self.folder);
            within(LIMIT, || (!self.is_alive() || self.answers()).then_some(()));
        }
        self.end(Signal::TERM);
        self.sweep();
    }
}

/// A command that knows its server and starts none itself.
pub fn command(program: &str, server: &str) -> Command {
    let mut command = Command::new(program);
    command.env("JACK_NO_START_SERVER", "1").env("JACK_NO_AUDIO_RESERVATION", "1").env("JACK_DEFAULT_SERVER", server);
    command
}

/// `setpriv` lets the kernel end the server when a test dies without unwinding. `-R -P70` and `-S` are what kept the feed
/// bit-exact on a loaded machine (FACTS section 2).
fn spawn(name: &str, options: &Options, folder: &tempfile::TempDir) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("jackd.log")).expect("a log");
    let mut jackd = command("setpriv", name);
    jackd.args(["--pdeathsig", "TERM", "jackd", "-n", name, "-R", "-P70", "-p", "512"]);
    if let Some(patience) = options.patience_ms {
        jackd.args(["-S", "-t", &(patience / TIMEOUT_FACTOR).to_string()]);
    }
    jackd.args(["-d", "dummy"]);
    jackd.args(["-r", &options.rate.to_string(), "-p", &options.period.to_string()]);
    jackd.args(["-C", &options.channels.to_string(), "-P", &options.channels.to_string()]);
    jackd.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
    jackd.spawn().expect("jackd and setpriv are installed")
}
