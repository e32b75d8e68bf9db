//! What recording costs: CPU and memory of our capture and of other recorders, with the same feed on the same server.
//!
//! The programs take turns, one at a time, several rounds; the median of the rounds counts. So what else runs on the machine
//! meets all of them. Measured over the steady middle of a recording: after everything is connected, has run for
//! [`WARM_SECONDS`] and the pre-roll is full (filling it costs page faults, once), before anyone says stop.

use crate::figure::{Figure, Sheet, median};
use crate::harness::{Feed, JackServer, Options, RATE, command, ms};
use crate::peers::{Peer, Running};
use crate::process::{cpu_by_thread, cpu_seconds, interrupt, rss_anon_mb, wait_for};
use crate::signal;
use crate::talk::Talk;
use rakkr::capture::take::DataDir;
use rakkr::domain::{TakeId, TakeInfo, TakeState};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const WARM_SECONDS: u32 = 3;
const PRE_ROLL_SECONDS: u32 = 10;
const LIMIT: Duration = Duration::from_secs(20);
/// Frames of the server's period.
const PERIOD: u32 = 1024;

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub seconds: u32,
    pub rounds: usize,
}

/// A program under measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Program {
    Ours { facts: bool, pre_roll: u32 },
    Theirs(Peer),
}

const EVERYTHING: Program = Program::Ours { facts: true, pre_roll: PRE_ROLL_SECONDS };
const NO_FACTS: Program = Program::Ours { facts: false, pre_roll: PRE_ROLL_SECONDS };
const NO_PRE_ROLL: Program = Program::Ours { facts: true, pre_roll: 0 };
const REFERENCE: Program = Program::Theirs(Peer::JackCapture { bits: 24 });

/// What one round of one program showed.
#[derive(Debug, Default)]
struct Round {
    /// CPU seconds per channel and hour.
    cpu: f64,
    rss_mb: f64,
    ours: Option<Inside>,
}

/// What only ours can say of itself.
#[derive(Debug, Default)]
struct Inside {
    pre_roll_mb: f64,
    callback_p50_us: f64,
    callback_p999_us: f64,
    /// CPU seconds for ending the take, per channel and hour of audio.
    finish_cpu: f64,
}

pub fn measure(sheet: &Sheet, effort: Effort) {
    for channels in [2, 32] {
        let mut programs = vec![EVERYTHING, NO_FACTS, NO_PRE_ROLL, REFERENCE];
        programs.push(Program::Theirs(Peer::JackCapture { bits: 16 }));
        if channels == 2 {
            programs.push(Program::Theirs(Peer::Rotter));
        }
        programs.push(Program::Theirs(Peer::Ffmpeg));
        report(sheet, channels, &rounds(channels, &programs, effort));
    }
}

type Results = Vec<(Program, Vec<Round>)>;

fn rounds(channels: u32, programs: &[Program], effort: Effort) -> Results {
    let server = JackServer::start(Options { period: PERIOD, ..Options::unwaiting() });
    let planar = signal::speech(channels, WARM_SECONDS + PRE_ROLL_SECONDS + effort.seconds + 5);
    let mut results: Results = programs.iter().map(|program| (*program, Vec::new())).collect();
    for round in 1..=effort.rounds {
        for (program, done) in &mut results {
            let feed = Feed::samples(&server, planar.clone());
            let measured = match *program {
                Program::Ours { facts, pre_roll } => ours(&server, &feed, channels, effort.seconds, facts, pre_roll),
                Program::Theirs(peer) => theirs(&server, &feed, channels, effort.seconds, peer),
            };
            eprintln!("{channels} ch, round {round}, {program:?}: {measured:?}; {} xruns", feed.xruns());
            done.extend(measured);
        }
    }
    results
}

fn ours(server: &JackServer, feed: &Feed, channels: u32, seconds: u32, facts: bool, pre_roll: u32) -> Option<Round> {
    let mut args = vec!["--channels".to_string(), channels.to_string(), "--connect".into(), feed.port_names()];
    args.extend(["--pre-roll".into(), pre_roll.to_string()]);
    args.extend((!facts).then(|| "--no-facts".to_string()));
    let capture = Capture::start(server, &args)?;
    let pid = capture.child.id();
    let mut talk = Talk::to(capture.folder.path())?;
    feed.wait_connected();
    // A connection takes effect within two periods: a take that begins before it begins with a gap.
    feed.play(ms(100));
    let id = talk.start(None)?;
    feed.play(ms(u64::from(WARM_SECONDS + pre_roll) * 1000));
    let cpu = steady(feed, pid, channels, seconds)?;
    let rss_mb = rss_anon_mb(pid)?;
    let load = talk.status()?["status"]["load"].clone();
    let shown: Vec<_> = cpu_by_thread(pid).iter().map(|(name, cpu)| format!("{name} {cpu:.3}")).collect();
    eprintln!("CPU s by thread since the start: {}", shown.join(", "));

    let (before, began) = (cpu_seconds(pid)?, Instant::now());
    talk.stop(id)?;
    let take = capture.finished(id)?;
    let steady_meanwhile = cpu * f64::from(channels) / 3600.0 * began.elapsed().as_secs_f64();
    let finish = (cpu_seconds(pid)? - before - steady_meanwhile).max(0.0);
    if take.state != TakeState::Ready {
        eprintln!("the take is {:?}: {:?}", take.state, take.gaps);
    }
    let hours = take.duration_seconds / 3600.0;
    let number = |name: &str| load[name].as_f64();
    let inside = Inside {
        pre_roll_mb: number("pre_roll_bytes")? / 1e6,
        callback_p50_us: number("callback_p50_us")?,
        callback_p999_us: number("callback_p999_us")?,
        finish_cpu: finish / hours / f64::from(channels),
    };
    Some(Round { cpu, rss_mb, ours: Some(inside) })
}

/// Our capture as a plain process: the harness's keeps its process id to itself.
struct Capture {
    child: Child,
    folder: tempfile::TempDir,
}

impl Capture {
    fn start(server: &JackServer, args: &[String]) -> Option<Capture> {
        let folder = tempfile::tempdir().ok()?;
        let mut program = command("setpriv", &server.name);
        program.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_rakkr"), "capture", "--jack-server", &server.name]);
        program.arg("--data-dir").arg(folder.path()).args(args);
        let child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut capture = Capture { child, folder };
        let socket = capture.folder.path().join("capture.sock");
        wait_for(LIMIT, || std::os::unix::net::UnixStream::connect(&socket).ok())
            .or_else(|| {
                eprintln!("FAILED rakkr capture: its socket does not answer ({:?})", capture.child.try_wait());
                None
            })
            .map(|_| capture)
    }

    /// The take when it is closed and every segment has its hash.
    fn finished(&self, id: TakeId) -> Option<TakeInfo> {
        let folder = DataDir::new(self.folder.path()).take(id);
        let is_over = |info: &TakeInfo| info.closed.is_some() && info.segments.iter().all(|s| s.sha256.is_some());
        wait_for(LIMIT, || folder.load().ok().map(|loaded| loaded.info(true)).filter(is_over))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        interrupt(&mut self.child);
    }
}

fn theirs(server: &JackServer, feed: &Feed, channels: u32, seconds: u32, peer: Peer) -> Option<Round> {
    let running = Running::start(peer, server, channels)?;
    feed.wait_connected();
    feed.play(ms(u64::from(WARM_SECONDS) * 1000));
    let cpu = steady(feed, running.pid(), channels, seconds)?;
    let rss_mb = rss_anon_mb(running.pid())?;
    // Half a second for what stands in its buffers when it is told to end.
    let played = u64::from((WARM_SECONDS + seconds) * RATE) - ms(500);
    running.finish(channels, played).then_some(Round { cpu, rss_mb, ours: None })
}

/// CPU seconds per channel and hour while the feed plays.
fn steady(feed: &Feed, pid: u32, channels: u32, seconds: u32) -> Option<f64> {
    let (before, began) = (cpu_seconds(pid)?, Instant::now());
    feed.play(ms(u64::from(seconds) * 1000));
    let (cpu, wall) = (cpu_seconds(pid)? - before, began.elapsed().as_secs_f64());
    Some(cpu / wall * 3600.0 / f64::from(channels))
}

fn report(sheet: &Sheet, channels: u32, results: &Results) {
    let rounds = |program| results.iter().find(|(p, _)| *p == program).map_or(&[][..], |(_, rounds)| &rounds[..]);
    let middle = |program, of: &dyn Fn(&Round) -> f64| median(&rounds(program).iter().map(of).collect::<Vec<_>>());
    let cpu = |program| middle(program, &|round| round.cpu);
    let rss = |program| middle(program, &|round| round.rss_mb);
    let peers: Vec<Peer> = results
        .iter()
        .filter_map(|(program, _)| if let Program::Theirs(peer) = program { Some(*peer) } else { None })
        .collect();

    for (program, words, factor) in [(EVERYTHING, "everything on", 2.0), (NO_FACTS, "facts off", 1.0)] {
        for peer in &peers {
            let theirs = cpu(Program::Theirs(*peer));
            let name = format!("cpu_per_channel_hour, {channels} ch, {words}");
            let figure = Figure::cost(name, cpu(program).unwrap_or(f64::NAN), "CPU s per channel-hour");
            // The design names one peer for the goal: the one that writes the same 24 bits.
            let is_reference = Program::Theirs(*peer) == REFERENCE;
            let goal = theirs.filter(|_| is_reference).map(|theirs| factor * theirs);
            let figure = if let Some(goal) = goal { figure.goal(goal) } else { figure };
            sheet.print(figure.peer(peer.name(), theirs));
        }
    }
    let inside = |program, of: &dyn Fn(&Inside) -> f64| -> Vec<f64> {
        rounds(program).iter().filter_map(|round| round.ours.as_ref().map(of)).collect()
    };
    let finish = median(&inside(EVERYTHING, &|i| i.finish_cpu)).unwrap_or(f64::NAN);
    sheet.print(Figure::cost(format!("finish_cpu_per_channel_hour, {channels} ch"), finish, "CPU s per channel-hour"));

    let goal = if channels == 2 { 8.0 } else { 32.0 };
    let bare = rss(NO_PRE_ROLL).unwrap_or(f64::NAN);
    for peer in &peers {
        let figure = Figure::cost(format!("rss_anon_mb, {channels} ch, no pre-roll"), bare, "MB").goal(goal);
        sheet.print(figure.peer(peer.name(), rss(Program::Theirs(*peer))));
    }
    let ring = median(&inside(EVERYTHING, &|i| i.pre_roll_mb)).unwrap_or(f64::NAN);
    let rest = rss(EVERYTHING).unwrap_or(f64::NAN) - ring;
    let name = format!("rss_anon_mb, {channels} ch, 10 s pre-roll, less its {ring:.1} MB");
    sheet.print(Figure::cost(name, rest, "MB").goal(goal));

    let p50 = median(&inside(EVERYTHING, &|i| i.callback_p50_us)).unwrap_or(f64::NAN);
    // A round has some hundreds of callbacks, so this is nearly its longest; the group `exact` has enough for a tail.
    let p999 = median(&inside(EVERYTHING, &|i| i.callback_p999_us)).unwrap_or(f64::NAN);
    callback(sheet, &format!("{channels} ch"), p50, p999);
}

/// The callback's share of a period of 1024 frames.
pub fn callback(sheet: &Sheet, what: &str, p50: f64, p999: f64) {
    let period_us = f64::from(PERIOD) / f64::from(RATE) * 1e6;
    for (name, us, goal) in [("p50", p50, None), ("p99.9", p999, Some(5.0))] {
        sheet.print(Figure::cost(format!("callback_{name}, {what}"), us, "us"));
        let part = Figure::cost(format!("callback_{name}, {what}, of a period"), us / period_us * 100.0, "%");
        sheet.print(if let Some(goal) = goal { part.goal(goal) } else { part });
    }
}
