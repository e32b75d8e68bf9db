//! `rakkr capture`: runs the tape machine in the foreground, as a service manager wants it.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{DataArgument, note, seconds};
use crate::capture::engine::Settings;
use crate::capture::jack::patchbay;
use crate::capture::jack::ports::Wanted;
use crate::capture::run::{self, Config};
use crate::domain::order::MAX_PRE_ROLL_SECONDS;
use crate::domain::{Channels, MAX_CHANNELS};
use crate::sys::{clock, env};

/// Ten minutes: a crash costs nothing, and nobody has to open a file of a day.
const SEGMENT_SECONDS: &str = "600";

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// Name of the JACK server
    #[arg(long, value_name = "NAME", default_value = "default", env = "RAKKR_JACK_SERVER")]
    jack_server: String,
    /// Number of channels (default: as many as there are ports to connect, or 2)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CHANNELS)))]
    channels: Option<u16>,
    /// Source port of each channel, in order
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', conflicts_with = "connect_all")]
    connect: Vec<String>,
    /// Give every source port a channel and keep it there: the machine's own, or all if it has none
    #[arg(long)]
    connect_all: bool,
    /// Seconds of the past to keep for recordings that begin late
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = pre_roll)]
    pre_roll: f64,
    /// Length of the files a recording is made of (never above 1 GiB each)
    #[arg(long, value_name = "SECONDS", default_value = SEGMENT_SECONDS, value_parser = segment)]
    segment_seconds: f64,
    /// Compare two channels (polarity, delay, duplicates); may be given several times
    #[arg(long = "pair", value_name = "A,B", value_parser = pair)]
    pairs: Vec<(u16, u16)>,
    /// Do not measure: no meters, no levels, no loudness
    #[arg(long)]
    no_facts: bool,
    /// Wait for the JACK server if it is not there yet
    #[arg(long)]
    wait_for_jack: bool,
    /// If orders.json is damaged, keep it aside and go on without it
    #[arg(long)]
    set_aside_damaged_orders: bool,
}

fn pre_roll(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        value if value <= MAX_PRE_ROLL_SECONDS => Ok(value),
        _ => Err(format!("at most {MAX_PRE_ROLL_SECONDS} seconds are kept")),
    }
}

fn pair(text: &str) -> Result<(u16, u16), String> {
    match text.parse::<Channels>()? {
        Channels::Numbers(numbers) if numbers.len() == 2 => Ok((numbers[0], numbers[1])),
        _ => Err("a pair is two channel numbers, such as 1,2".into()),
    }
}

fn segment(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        value if (1.0..=3_600.0).contains(&value) => Ok(value),
        _ => Err("a segment lasts between 1 and 3600 seconds".into()),
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Before any thread: libjack reads it.
    env::set_jack_server(&arguments.jack_server);
    let data = arguments.data.open();
    let wanted = match (arguments.connect_all, arguments.connect.is_empty()) {
        (true, _) => Wanted::All,
        (false, false) => Wanted::Ports(arguments.connect),
        (false, true) => Wanted::Nothing,
    };
    let channels = match wanted {
        Wanted::Nothing => Some(arguments.channels.unwrap_or(2)),
        Wanted::All | Wanted::Ports(_) => arguments.channels,
    };
    let named = if let Wanted::Ports(ports) = &wanted { ports.len() } else { 0 };
    anyhow::ensure!(
        channels.is_none_or(|channels| named <= usize::from(channels)),
        "--connect names {named} ports for {} channels: raise --channels or leave it away",
        channels.unwrap_or(0),
    );
    let config = Config {
        ports: patchbay::Settings { channels, wanted, memory: data.ports() },
        data,
        jack_server: arguments.jack_server,
        engine: Settings {
            pre_roll_seconds: arguments.pre_roll,
            segment_seconds: arguments.segment_seconds,
            measures: !arguments.no_facts,
            pairs: arguments.pairs,
            time_zone: clock::zone().iana_name().unwrap_or("UTC").to_owned(),
            host: env::host(),
            boot_id: clock::boot_id(),
        },
        waits_for_jack: arguments.wait_for_jack,
        sets_aside_damaged_orders: arguments.set_aside_damaged_orders,
    };
    let (stop, stopped) = run::stopper();
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be watched")?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = stop.send(());
        }
    });
    run::run(config, &stopped, |what| note(&format!("capture is ready: {what}")))?;
    Ok(ExitCode::SUCCESS)
}
