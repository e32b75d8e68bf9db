//! `rakkr take …`: recordings begun, ended, marked, paused and looked at.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{DataArgument, LookArguments, clock_time, note, plain, print, print_json, seconds};
use crate::capture::orders::{self, Offline};
use crate::capture::socket::client::{Client, ClientError};
use crate::capture::socket::{Request, Start};
use crate::capture::take::DataDir;
use crate::domain::order::StoredAs;
use crate::domain::{Channels, Order, OrderSet, TakeId, TakeInfo, TakeState};
use crate::sys::files::Lock;
use crate::sys::{clock, rng};

#[derive(Subcommand)]
pub enum Command {
    /// Begin a recording, now or later; prints its id
    Start(StartArguments),
    /// End a recording and wait until it is whole
    Stop(Chosen),
    /// Mark this moment
    Mark {
        #[command(flatten)]
        chosen: Chosen,
        /// What the mark says
        #[arg(long, value_name = "TEXT", default_value = "Mark")]
        label: String,
    },
    /// Keep nothing from now on (off the record)
    Pause(Chosen),
    /// Keep again from now on
    Resume(Chosen),
    /// Everything about a recording
    Info(Chosen),
    /// All recordings
    List(LookArguments),
}

#[derive(Args)]
pub struct StartArguments {
    #[command(flatten)]
    data: DataArgument,
    /// Channels to record: all, or numbers such as 1,2 or 1-4
    #[arg(long, value_name = "CHANNELS", default_value = "all")]
    channels: Channels,
    /// Keep this much of what was before, too
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pre_roll: f64,
    /// Begin at this time, e.g. 2026-11-21T10:00:00+01:00
    #[arg(long, value_name = "RFC3339")]
    at: Option<Timestamp>,
    /// Record for this long, to the frame
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    for_seconds: Option<f64>,
    /// A name for people
    #[arg(long, default_value = "")]
    title: String,
    /// Store 32-bit floats and not 24-bit integers
    #[arg(long)]
    float: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One recording, and how to speak of it.
#[derive(Args)]
pub struct Chosen {
    #[command(flatten)]
    data: DataArgument,
    /// The recording's id (may be left away when only one is running)
    id: Option<TakeId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Start(arguments) => start(arguments)?,
        Command::Stop(chosen) => stop(&chosen)?,
        Command::Mark { chosen, label } => edge(&chosen, "marked", |id| Request::Mark { id, label })?,
        Command::Pause(chosen) => edge(&chosen, "paused", |id| Request::Pause { id })?,
        Command::Resume(chosen) => edge(&chosen, "resumed", |id| Request::Resume { id })?,
        Command::Info(chosen) => {
            let data = chosen.data.open();
            show(&info(&data, chosen.id(&data)?)?, chosen.json)?;
        }
        Command::List(arguments) => list(&arguments.data.open(), arguments.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(arguments: StartArguments) -> anyhow::Result<()> {
    let data = arguments.data.open();
    let start = Start {
        title: arguments.title,
        channels: arguments.channels,
        at: arguments.at,
        for_seconds: arguments.for_seconds,
        pre_roll_seconds: arguments.pre_roll,
        stored_as: if arguments.float { StoredAs::Float32 } else { StoredAs::Pcm24 },
    };
    // Once more after "it is running after all": capture was just starting.
    let id = match Client::connect(&data) {
        Ok(mut client) => ask_start(&mut client, start)?,
        Err(ClientError::NotRunning(_)) => match start_offline(&data, &start)? {
            Offline::Done(id) => {
                note("capture is not running: the recording begins when it does");
                id
            }
            Offline::Running => ask_start(&mut Client::connect(&data)?, start)?,
        },
        Err(error) => return Err(error.into()),
    };
    if arguments.json { print_json(&json!({"id": id})) } else { Ok(print(&id.to_string())?) }
}

fn ask_start(client: &mut Client, start: Start) -> anyhow::Result<TakeId> {
    let answer = client.ask(&Request::Start(start))?;
    let id = answer["id"].as_str().context("the recorder gave no id")?;
    id.parse().map_err(anyhow::Error::msg)
}

fn start_offline(data: &DataDir, start: &Start) -> anyhow::Result<Offline<TakeId>> {
    let now = clock::wall();
    let at = start.at.unwrap_or(now);
    if at < now {
        bail!("{at} is in the past: leave --at away to begin now");
    }
    let order = Order {
        id: TakeId::after(orders::last_id(data, &orders(data)?)?, now, rng::ten_bytes()?),
        title: start.title.clone(),
        channels: start.channels.clone(),
        start: at,
        stop: None,
        length_seconds: start.for_seconds,
        pre_roll_seconds: start.pre_roll_seconds,
        stored_as: start.stored_as,
    };
    let id = order.id;
    orders::offline(data, |set| set.insert(order).map(|()| id))
}

fn stop(chosen: &Chosen) -> anyhow::Result<()> {
    let data = chosen.data.open();
    let id = chosen.id(&data)?;
    match Client::connect(&data) {
        Ok(mut client) => drop(client.ask(&Request::Stop { id })?),
        Err(ClientError::NotRunning(_)) => stop_offline(&data, id)?,
        Err(error) => return Err(error.into()),
    }
    match data.take(id).path().exists() {
        true => show(&info(&data, id)?, chosen.json),
        false if chosen.json => print_json(&json!({"id": id, "state": "cancelled"})),
        false => Ok(print(&format!("{id} was not begun yet and is cancelled"))?),
    }
}

fn stop_offline(data: &DataDir, id: TakeId) -> anyhow::Result<()> {
    let was_begun = data.take(id).path().exists();
    let stopped = orders::offline(data, |set| {
        let order = set.get_mut(id).ok_or(format!("recording {id} is neither running nor ordered"))?;
        order.stop = Some(clock::wall().max(order.start));
        if !was_begun {
            // Left in the set it would be told as missed when its time comes.
            set.remove(id);
        }
        Ok(())
    })?;
    match stopped {
        Offline::Done(()) if was_begun => note("capture is not running: the recording is closed when it starts"),
        Offline::Done(()) => {}
        Offline::Running => drop(Client::connect(data)?.ask(&Request::Stop { id })?),
    }
    Ok(())
}

fn edge(chosen: &Chosen, done: &str, request: impl FnOnce(TakeId) -> Request) -> anyhow::Result<()> {
    let data = chosen.data.open();
    let id = chosen.id(&data)?;
    let answer = Client::connect(&data)?.ask(&request(id))?;
    let frame = answer["frame"].as_u64().unwrap_or(0);
    if chosen.json {
        return print_json(&json!({"id": id, "frame": frame}));
    }
    Ok(print(&format!("{id} {done} at frame {frame}"))?)
}

fn list(data: &DataDir, is_json: bool) -> anyhow::Result<()> {
    let (takes, unreadable) = all(data)?;
    for error in &unreadable {
        note(error);
    }
    if is_json {
        return print_json(&json!({"items": takes, "next": Value::Null}));
    }
    if takes.is_empty() {
        return Ok(print("no recordings yet")?);
    }
    for take in takes {
        let started = take.started_at.to_zoned(clock::zone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let state = state_name(take.state);
        print(&format!(
            "{}  {started}  {:>12}  {state:<10}  {}",
            take.id,
            clock_time(take.duration_seconds),
            plain(&take.title)
        ))?;
    }
    Ok(())
}

impl Chosen {
    /// The id given, or the only recording that runs.
    fn id(&self, data: &DataDir) -> anyhow::Result<TakeId> {
        if let Some(id) = self.id {
            return Ok(id);
        }
        let (takes, _) = all(data)?;
        let is_running = |take: &&TakeInfo| matches!(take.state, TakeState::Recording | TakeState::Paused);
        let running: Vec<&TakeInfo> = takes.iter().filter(is_running).collect();
        match running[..] {
            [one] => Ok(one.id),
            [] => bail!("no recording is running: name one (`rakkr take list`)"),
            _ => bail!("{} recordings are running: name one (`rakkr take list`)", running.len()),
        }
    }
}

/// Every recording on disk and every order not begun, oldest first; and sentences about those that cannot be read.
fn all(data: &DataDir) -> anyhow::Result<(Vec<TakeInfo>, Vec<String>)> {
    if !data.path().is_dir() {
        bail!("{}: there is no such folder", data.path().display());
    }
    let is_live = is_running(data);
    let (mut takes, mut unreadable) = (Vec::new(), Vec::new());
    for id in data.take_ids()? {
        match data.take(id).load() {
            Ok(loaded) => takes.push(loaded.info(is_live)),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    let scheduled: Vec<Order> =
        orders(data)?.iter().filter(|order| !data.take(order.id).path().exists()).cloned().collect();
    takes.extend(scheduled.iter().map(TakeInfo::scheduled));
    takes.sort_by_key(|take| take.id);
    Ok((takes, unreadable))
}

/// One recording, on disk or only ordered.
///
/// # Errors
/// There is none with this id, or its log is damaged.
pub(super) fn info(data: &DataDir, id: TakeId) -> anyhow::Result<TakeInfo> {
    if data.take(id).log().exists() {
        let loaded = data.take(id).load().with_context(|| {
            format!(
                "recording {id} cannot be read; its audio is untouched. See `rakkr verify {}`",
                data.take(id).path().display()
            )
        })?;
        return Ok(loaded.info(is_running(data)));
    }
    match orders(data)?.get(id) {
        Some(order) => Ok(TakeInfo::scheduled(order)),
        None => bail!("there is no recording {id} in {} (`rakkr take list` shows them)", data.path().display()),
    }
}

fn orders(data: &DataDir) -> anyhow::Result<OrderSet> {
    Ok(orders::load(&data.orders())?)
}

/// Whether a capture runs on the folder.
fn is_running(data: &DataDir) -> bool {
    data.lock().exists() && matches!(Lock::try_take(&data.lock()), Ok(None))
}

fn state_name(state: TakeState) -> &'static str {
    match state {
        TakeState::Scheduled => "scheduled",
        TakeState::Recording => "recording",
        TakeState::Paused => "paused",
        TakeState::Finishing => "finishing",
        TakeState::Ready => "ready",
        TakeState::Incomplete => "incomplete",
        TakeState::Failed => "failed",
    }
}

/// Shows a recording to a person or a program.
pub(super) fn show(info: &TakeInfo, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print_json(info);
    }
    let rate = f64::from(info.sample_rate.max(1));
    let at = |frame: u64| clock_time(frame as f64 / rate);
    print(&format!("{}  {}", info.id, plain(&info.title)))?;
    print(&format!("  state      {}", state_name(info.state)))?;
    let started = info.started_at.to_zoned(clock::zone());
    print(&format!("  started    {started} ({})", info.clock_quality.describe()))?;
    print(&format!(
        "  length     {} = {} frames at {} Hz",
        clock_time(info.duration_seconds),
        info.frames,
        info.sample_rate
    ))?;
    for channel in &info.channels {
        let levels = info.measured.iter().find(|m| m.number == channel.number).map_or(String::new(), |m| {
            format!("   peak {:.1} dBFS, RMS {:.1} dBFS, clipped {}", m.peak_dbfs, m.rms_dbfs, m.clipped)
        });
        print(&format!("  channel {:<3}{}{levels}", channel.number, plain(&channel.label)))?;
    }
    for segment in &info.segments {
        let hash = segment.sha256.as_deref().map_or("not hashed yet".into(), |hash| format!("sha256 {hash}"));
        print(&format!("  {}  from {}  {} frames  {hash}", segment.file, at(segment.first_frame), segment.frames))?;
    }
    for gap in &info.gaps {
        let channels = gap.channels.as_ref().map_or(String::new(), |c| format!(" on channels {c:?}"));
        print(&format!(
            "  gap        {}  {} frames{channels}: {}",
            at(gap.first_frame),
            gap.frames,
            gap.cause.describe()
        ))?;
    }
    for mark in &info.marks {
        print(&format!("  mark       {}  {}", at(mark.frame), plain(&mark.label)))?;
    }
    for pause in &info.pauses {
        print(&format!("  paused     {}  {} frames", at(pause.first_frame), pause.frames))?;
    }
    Ok(())
}
