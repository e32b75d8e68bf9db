//! The product as its users meet it: the `rakkr` program, its exit codes, its files.

use super::checker::Report;
use super::clock::FakeClock;
use super::server::{JackServer, command};
use super::take::Take;
use super::wait::{LIMIT, until, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A capture process and its data folder; dropping it ends the process.
pub struct Appliance {
    pub data: PathBuf,
    folder: tempfile::TempDir,
    server: String,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Appliance {
    /// Starts `rakkr capture` and waits until its socket answers. `data` is `None` for a temp folder.
    pub fn start(
        server: &JackServer,
        data: Option<PathBuf>,
        args: Vec<String>,
        environment: Vec<(String, String)>,
    ) -> Appliance {
        let folder = tempfile::tempdir().expect("a temp folder");
        let data = data.unwrap_or_else(|| folder.path().join("data"));
        fs::create_dir_all(&data).expect("a data folder");
        let mut appliance = Appliance { data, folder, server: server.name.clone(), args, environment, child: None };
        appliance.restart();
        appliance
    }

    /// Starts capture again over the data that is there. Takes with it whatever still ran.
    pub fn restart(&mut self) {
        self.kill9();
        let log = File::options().create(true).append(true).open(self.folder.path().join("stderr")).expect("a log");
        let mut capture = command("setpriv", &self.server);
        capture.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_rakkr"), "capture", "--jack-server", &self.server]);
        capture.arg("--data-dir").arg(&self.data).args(&self.args).envs(self.environment.iter().cloned());
        capture.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = self.child.insert(capture.spawn().expect("rakkr is built"));
        let socket = self.data.join("capture.sock");
        let died = until("capture to answer on its socket", LIMIT, || {
            let died = child.try_wait().ok().flatten();
            (died.is_some() || UnixStream::connect(&socket).is_ok()).then_some(died)
        });
        assert!(died.is_none(), "capture ended at once ({died:?}):\n{}", self.stderr());
    }

    /// Ends capture between two instructions, as a power cut does.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
            FakeClock::sweep(child.id());
        }
    }

    /// Stops the process from running while `meanwhile` does.
    pub fn frozen<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32)).expect("capture runs");
        kill_process(pid, Signal::STOP).expect("SIGSTOP");
        let _go = Go(pid);
        meanwhile()
    }

    /// Everything capture has said.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Runs `rakkr WORDS… --data-dir D`.
    pub fn run(&self, words: &[&str]) -> Outcome {
        let mut command = command("timeout", &self.server);
        // Enough for the export of some GiB on a busy machine.
        command.args(["180", env!("CARGO_BIN_EXE_rakkr")]).args(words).arg("--data-dir").arg(&self.data);
        run(command.envs(self.environment.iter().cloned()))
    }

    /// Starts a take; returns its id.
    pub fn take_start(&self, words: &[&str]) -> String {
        let outcome = self.run(&[&["take", "start"], words].concat()).ok();
        outcome.stdout.trim().to_string()
    }

    /// Stops a take and returns what became of it.
    pub fn stop(&self, id: &str) -> Take {
        self.run(&["take", "stop", id]).ok();
        self.info(id)
    }

    pub fn info(&self, id: &str) -> Take {
        let outcome = self.run(&["take", "info", id, "--json"]).ok();
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("take info: {e} in\n{}", outcome.stdout))
    }

    /// Asks for a take until it is as wished.
    pub fn wait_until(&self, id: &str, what: &str, is_so: impl Fn(&Take) -> bool) -> Take {
        until(what, LIMIT, || Some(self.info(id)).filter(|take| is_so(take)))
    }

    /// Waits until capture knows of every channel's source: what is recorded before that says that it was missing.
    pub fn wait_connected(&self) {
        wait("capture to be connected", || {
            let outcome = self.run(&["status", "--json"]).ok();
            let status: Value = serde_json::from_str(&outcome.stdout).expect("status --json");
            let channels = status["channels"].as_array().expect("channels");
            channels.iter().all(|channel| channel["is_connected"] == true).then_some(())
        });
    }

    /// Exports a take to `name` in a temp folder.
    pub fn export(&self, id: &str, words: &[&str], name: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        let target = file.to_str().expect("temp folders are plain text");
        self.run(&[&["export", id, "-o", target], words].concat()).ok();
        file
    }

    /// Asks `rakkr verify` about a take.
    pub fn verify(&self, id: &str) -> Outcome {
        self.verify_path(&self.folder_of(id))
    }

    /// Asks `rakkr verify` about a file or folder.
    pub fn verify_path(&self, path: &Path) -> Outcome {
        let words = ["60", env!("CARGO_BIN_EXE_rakkr"), "verify"];
        run(command("timeout", &self.server).args(words).arg(path))
    }

    /// The ids of all takes, in the order in which they are listed.
    pub fn list(&self) -> Vec<String> {
        let outcome = self.run(&["take", "list", "--json"]).ok();
        let list: Value = serde_json::from_str(&outcome.stdout).expect("take list --json");
        let items = list["items"].as_array().expect("items");
        items.iter().filter_map(|item| item["id"].as_str().map(String::from)).collect()
    }

    /// The folder of a take's files.
    pub fn folder_of(&self, id: &str) -> PathBuf {
        self.data.join("takes").join(id)
    }

    /// Judges a take by its own files.
    pub fn check(&self, take: &Take) -> Report {
        Report::of_take(&self.folder_of(&take.id), take)
    }

    /// Opens the meter stream.
    pub fn meters(&self) -> Meters {
        let mut command = command(env!("CARGO_BIN_EXE_rakkr"), &self.server);
        command.args(["meters", "--json", "--for", "10", "--data-dir"]).arg(&self.data);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("rakkr is built");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Meters { child, lines }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("what capture said:\n{}", self.stderr());
        }
    }
}

struct Go(Pid);

impl Drop for Go {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).ok();
    }
}

/// Meter frames as they come, 20 a second.
pub struct Meters {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Iterator for Meters {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.lines.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("meters: {e} in {line}")))
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// It must have worked.
    pub fn ok(self) -> Outcome {
        assert_eq!(self.code, Some(0), "the command failed: {self:?}");
        self
    }

    /// It must have said no as the contract wants it: exit code 2 and one sentence for a person.
    pub fn assert_refused(&self, what: &str) {
        assert_eq!(self.code, Some(2), "{what}: {self:?}");
        let said = self.stderr.trim();
        assert_eq!(said.lines().count(), 1, "{what}: one sentence, not\n{said}");
        let is_raw = ["panicked", "os error", "RUST_BACKTRACE"].iter().any(|word| said.contains(word));
        assert!(!is_raw && said.split_whitespace().count() >= 4, "{what}: not a sentence for a person: {said}");
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("the command can be run");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs one of the independent judges (ffprobe, sox, flac …) on a file; returns what it printed.
pub fn judge(program: &str, words: &[&str], file: &Path) -> String {
    run(Command::new(program).args(words).arg(file)).ok().stdout
}
