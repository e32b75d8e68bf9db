//! `rakkr demo`: the product at work without a sound card: a node with its page until Ctrl-C, or with `--seconds` the tape
//! machine alone, with proof.
//!
//! With `--seconds` it starts a private JACK server with the dummy driver, plays voices into it, runs a real `rakkr capture` beside it,
//! records, shows the meters meanwhile, exports, verifies, and compares what was recorded with what was played, sample by
//! sample. Everything it starts it ends, also on Ctrl-C.

mod node;
mod others;
mod voices;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::meters::Screen;
use super::{print, seconds, take};
use crate::audio::wav::WavReader;
use crate::capture::engine::meters::MeterFrame;
use crate::capture::jack::player::Player;
use crate::capture::socket::client::Client;
use crate::capture::socket::{Request, Start};
use crate::capture::take::export::{self, Format};
use crate::capture::take::{DataDir, verify};
use crate::domain::order::StoredAs;
use crate::domain::{Channels, TakeId};
use crate::sys::{clock, env};

/// The demo's player.
const PLAYER: &str = "voices";
/// How much of what was before Start the demo keeps, to show that it can.
const PRE_ROLL_SECONDS: f64 = 1.0;
/// How long server and recorder may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Args)]
pub struct Arguments {
    /// Without the page: record this long, export, verify, compare with what was played, end
    #[arg(long, value_name = "N", value_parser = seconds)]
    seconds: Option<f64>,
    /// Where the page is, for this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where the page is, over HTTPS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// How many channels
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    channels: u16,
    /// How many nodes, joined in one fleet on this machine; each has its own recorder and channels
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    nodes: u16,
    /// Keep the recording in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(arguments.seconds.is_none_or(|seconds| seconds >= 1.0), "a demo lasts at least a second");
    ensure!(arguments.seconds.is_none() || arguments.nodes == 1, "--seconds shows one recorder: leave out --nodes");
    let server = format!("rakkr-demo-{}", std::process::id());
    // Before any thread: libjack reads it.
    env::set_jack_server(&server);
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).context("signals cannot be watched")?;
    }
    let room = Room::prepare(arguments, server)?;
    let result = match arguments.seconds {
        Some(seconds) => room.show(arguments, seconds, &interrupted),
        None => room.open(arguments, &interrupted),
    };
    if arguments.seconds.is_some() && interrupted.load(Ordering::SeqCst) {
        print("\ninterrupted: everything is put away")?;
        return Ok(ExitCode::from(130));
    }
    result
}

/// The demo's machinery; dropping it ends and removes everything.
struct Room {
    server: String,
    folder: PathBuf,
    is_kept: bool,
}

impl Room {
    fn prepare(arguments: &Arguments, server: String) -> anyhow::Result<Self> {
        let is_kept = arguments.keep.is_some();
        let folder = arguments.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(&server));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { server, folder, is_kept })
    }

    /// The page, until somebody interrupts.
    fn open(&self, arguments: &Arguments, interrupted: &AtomicBool) -> anyhow::Result<ExitCode> {
        print("1. a private JACK server (dummy driver, realtime)")?;
        let ports = arguments.channels * arguments.nodes;
        let _jackd = self.start_jackd(ports)?;
        let voices = voices::load(usize::from(ports))?;
        print(&format!("2. {}, played on {ports} ports", voices.what))?;
        let _player = self.start_player(&voices.channels, interrupted)?;
        print("3. rakkr node, which starts rakkr capture")?;
        let (stop, stopped) = std::sync::mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be watched")?;
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                let _ = stop.send(());
            }
        });
        let ports: Vec<String> = (1..=ports).map(|number| format!("{PLAYER}:out_{number}")).collect();
        let mut rooms: Vec<Vec<String>> =
            ports.chunks(usize::from(arguments.channels)).map(<[String]>::to_vec).collect();
        let first = rooms.remove(0);
        let others = others::start(&self.folder, &self.server, &rooms)?;
        let data = self.folder.join("data");
        print("4. claimed, with an owner made up for this demo:")?;
        node::run(&data, &self.server, &first, (arguments.listen, arguments.http), &others, &stopped, interrupted)?;
        drop(others);
        print("\neverything is put away")?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, arguments: &Arguments, seconds: f64, interrupted: &AtomicBool) -> anyhow::Result<ExitCode> {
        print("1. a private JACK server (dummy driver, realtime)")?;
        let _jackd = self.start_jackd(arguments.channels)?;
        let voices = voices::load(usize::from(arguments.channels))?;
        print(&format!("2. {}, played bit-exact on {} ports", voices.what, arguments.channels))?;
        let player = self.start_player(&voices.channels, interrupted)?;
        print("3. rakkr capture, recording what it is ordered to")?;
        let _capture = self.start_capture(arguments.channels)?;
        let data = DataDir::new(self.folder.join("data"));
        let mut client = wait_for("capture", interrupted, || Client::connect(&data).ok())?;
        wait_for("the sources", interrupted, || all_connected(&mut client).then_some(()))?;
        wait_a_little(interrupted, Duration::from_secs_f64(PRE_ROLL_SECONDS + 0.3));
        let id = start_take(&mut client, seconds)?;
        let length = seconds + PRE_ROLL_SECONDS;
        print(&format!("4. recording {id}: {length} s, the first of them from before Start\n"))?;
        watch(&data, seconds, interrupted)?;
        ensure!(!interrupted.load(Ordering::SeqCst), "interrupted");
        wait_for("the end of the recording", interrupted, || is_whole(&data, id).then_some(()))?;
        print("")?;
        take::show(&take::info(&data, id)?, false)?;
        let is_proven = self.prove(&data, id, &voices.channels)?;
        ensure!(player.played() > 0, "the player played nothing");
        let kept = if self.is_kept { format!("kept in {}", self.folder.display()) } else { "removed again".into() };
        print(&format!("7. everything is ended; the recording is {kept}"))?;
        Ok(ExitCode::from(u8::from(!is_proven)))
    }

    /// Exports, verifies, compares.
    fn prove(&self, data: &DataDir, id: TakeId, played: &[Vec<f32>]) -> anyhow::Result<bool> {
        print("")?;
        for (format, name) in [(Format::Wav, "demo.wav"), (Format::Flac, "demo.flac"), (Format::Opus, "demo.opus")] {
            let request = export::Request {
                format,
                channels: Channels::All,
                from_seconds: None,
                to_seconds: None,
                is_float: false,
                output: self.folder.join(name),
            };
            for file in export::export(&data.take(id), &request)?.files {
                let bytes = std::fs::metadata(&file)?.len();
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                print(&format!("5. exported {name}: {bytes} bytes"))?;
            }
        }
        let report = verify::verify_take(&data.take(id));
        for finding in &report.findings {
            print(&format!("   {finding}"))?;
        }
        let verdict = if report.exit_code() == 0 { "proven" } else { "NOT proven" };
        print(&format!("6. verified: {verdict}, {} frames", report.frames_proven))?;
        let difference = voices::compare(&self.folder.join("demo.wav"), played)?;
        match &difference {
            None => print("   every sample recorded is the sample that was played")?,
            Some(place) => print(&format!("   NOT what was played: {place}"))?,
        }
        Ok(report.exit_code() == 0 && difference.is_none())
    }

    fn start_jackd(&self, channels: u16) -> anyhow::Result<Ended> {
        let log = File::create(self.folder.join("jackd.log"))?;
        let ports = 128.max(4 * u32::from(channels)).to_string();
        let child = Command::new("jackd")
            .args([
                "-n",
                &self.server,
                "-R",
                "-P70",
                "-p",
                &ports,
                "-d",
                "dummy",
                "-r",
                "48000",
                "-p",
                "1024",
                "-C",
                "2",
                "-P",
                "2",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("jackd cannot be started: install it (apt-get install jackd2)")?;
        Ok(Ended(child))
    }

    fn start_player(&self, channels: &[Vec<f32>], interrupted: &AtomicBool) -> anyhow::Result<Player> {
        let player = wait_for("the JACK server", interrupted, || Player::start(PLAYER, channels.to_vec()).ok());
        player.with_context(|| format!("see {}", self.folder.join("jackd.log").display()))
    }

    fn start_capture(&self, channels: u16) -> anyhow::Result<Ended> {
        let log = File::create(self.folder.join("capture.log"))?;
        let ports: Vec<String> = (1..=channels).map(|number| format!("{PLAYER}:out_{number}")).collect();
        let child = Command::new(std::env::current_exe()?)
            .arg("capture")
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .args(["--jack-server", &self.server, "--wait-for-jack", "--connect", &ports.join(",")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("capture cannot be started")?;
        Ok(Ended(child))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A child that is told to end, and awaited, when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Tries until it succeeds, patience ends or somebody interrupts.
fn wait_for<T>(what: &str, interrupted: &AtomicBool, mut attempt: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let give_up_us = clock::mono_us() + PATIENCE.as_micros() as u64;
    loop {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        if interrupted.load(Ordering::SeqCst) {
            bail!("interrupted");
        }
        if clock::mono_us() > give_up_us {
            bail!("{what} did not come within {} s", PATIENCE.as_secs());
        }
        wait_a_little(interrupted, Duration::from_millis(50));
    }
}

#[allow(clippy::disallowed_methods)] // A person watches this; it ends early when they interrupt.
fn wait_a_little(interrupted: &AtomicBool, length: Duration) {
    let until_us = clock::mono_us() + length.as_micros() as u64;
    while clock::mono_us() < until_us && !interrupted.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn all_connected(client: &mut Client) -> bool {
    let Ok(answer) = client.ask(&Request::Status) else { return false };
    let channels = answer["status"]["channels"].as_array();
    channels
        .is_some_and(|channels| !channels.is_empty() && channels.iter().all(|channel| channel["is_connected"] == true))
}

fn start_take(client: &mut Client, length: f64) -> anyhow::Result<TakeId> {
    let answer = client.ask(&Request::Start(Start {
        title: "Demo".into(),
        channels: Channels::All,
        at: None,
        for_seconds: Some(length),
        pre_roll_seconds: PRE_ROLL_SECONDS,
        stored_as: StoredAs::Pcm24,
    }))?;
    answer["id"].as_str().context("capture gave no id")?.parse().map_err(anyhow::Error::msg)
}

/// Shows the meters while the recording lasts.
fn watch(data: &DataDir, length: f64, interrupted: &AtomicBool) -> anyhow::Result<()> {
    let mut meters = Client::connect(data)?;
    meters.send(&Request::Meters)?;
    let mut screen = Screen::default();
    let until_us = clock::mono_us() + (length * 1e6) as u64;
    while clock::mono_us() < until_us && !interrupted.load(Ordering::SeqCst) {
        let Some(line) = meters.line()? else {
            bail!("capture has ended: its log is in the demo's folder (--keep DIR)")
        };
        let frame: MeterFrame = serde_json::from_str(&line)?;
        screen.show(&frame)?;
    }
    Ok(())
}

/// Closed, and every segment hashed.
fn is_whole(data: &DataDir, id: TakeId) -> bool {
    let Ok(loaded) = data.take(id).load() else { return false };
    loaded.is_closed() && loaded.info(false).segments.iter().all(|segment| segment.sha256.is_some())
}

/// Opens a WAV file for comparison.
fn open_wav(path: &Path) -> anyhow::Result<WavReader<File>> {
    Ok(WavReader::open(File::open(path)?)?)
}
