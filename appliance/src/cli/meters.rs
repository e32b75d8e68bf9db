//! `rakkr meters`: levels as they are, twenty times a second, for people or programs.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;

use super::{DataArgument, plain, print, seconds};
use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame, MeterStatus};
use crate::capture::socket::Request;
use crate::capture::socket::client::Client;

/// The lowest level a bar shows.
const FLOOR_DBFS: f32 = -60.0;
/// Characters of a bar: 1.5 dB each.
const BAR: usize = 40;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// One JSON object a line, 20 a second
    #[arg(long)]
    json: bool,
    /// Stop after this long
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    for_seconds: Option<f64>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&arguments.data.open())?;
    client.send(&Request::Meters)?;
    let until_us = arguments.for_seconds.map(|s| crate::sys::clock::mono_us() + (s * 1e6) as u64);
    let mut screen = Screen::default();
    while until_us.is_none_or(|until| crate::sys::clock::mono_us() < until) {
        let Some(line) = client.line()? else { anyhow::bail!("the recorder has gone") };
        if arguments.json {
            print(line.trim_end())?;
        } else {
            let frame: MeterFrame = serde_json::from_str(&line).map_err(|_| anyhow::anyhow!("{}", line.trim_end()))?;
            screen.show(&frame)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Meters in a terminal, drawn over themselves; without a terminal one block every second.
#[derive(Default)]
pub struct Screen {
    lines: usize,
    frames: usize,
}

impl Screen {
    /// Draws a frame.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn show(&mut self, frame: &MeterFrame) -> io::Result<()> {
        let is_terminal = io::stdout().is_terminal();
        self.frames += 1;
        if !is_terminal && self.frames % 20 != 1 {
            return Ok(());
        }
        let mut lines = vec![headline(frame)];
        lines.extend(frame.channels.iter().map(bar));
        lines.extend(frame.trouble.iter().map(|sentence| format!("TROUBLE: {sentence}")));
        let up = if is_terminal && self.lines > 0 { format!("\x1b[{}A", self.lines) } else { String::new() };
        let end = if is_terminal { "\x1b[K" } else { "" };
        // Lines that are no longer there are wiped.
        lines.resize(lines.len().max(self.lines), String::new());
        self.lines = lines.len();
        print(&format!("{up}{}{end}", lines.join(&format!("{end}\n"))))
    }
}

fn headline(frame: &MeterFrame) -> String {
    let what = match frame.status {
        MeterStatus::Live => "live",
        MeterStatus::NoData => "NO DATA: no audio arrives",
        MeterStatus::NotMeasured => "not measured (capture runs with --no-facts)",
    };
    let recording = match frame.recording {
        0 => "not recording".to_owned(),
        1 => "recording".to_owned(),
        n => format!("{n} recordings"),
    };
    format!("{what}, {recording}")
}

fn bar(meter: &ChannelMeter) -> String {
    let label: String = plain(&meter.label).chars().take(20).collect();
    let name = format!("{:>3} {label:<20}", meter.number);
    let (Some(rms), Some(peak)) = (meter.rms_dbfs, meter.peak_dbfs) else {
        return format!("{name} {}", if meter.is_connected { "no data" } else { "NOT CONNECTED" });
    };
    let place = |dbfs: f32| (((dbfs - FLOOR_DBFS) / -FLOOR_DBFS).clamp(0.0, 1.0) * BAR as f32).round() as usize;
    let mut cells: Vec<char> = vec!['·'; BAR];
    cells[..place(rms)].fill('█');
    if let Some(cell) = place(peak).checked_sub(1).and_then(|at| cells.get_mut(at)) {
        *cell = '|';
    }
    let speech = if meter.is_speech { "speech " } else { "" };
    let hum = meter.hum_hz.map_or(String::new(), |hertz| format!("  HUM {hertz} Hz"));
    let clipped = if meter.clipped_total > 0 { format!("  CLIPPED {}", meter.clipped_total) } else { String::new() };
    let bar: String = cells.into_iter().collect();
    format!("{name} {bar} {peak:>6.1} dBFS  {speech}{}{hum}{clipped}", state(meter.status))
}

fn state(state: ChannelState) -> &'static str {
    match state {
        ChannelState::Signal => "",
        ChannelState::Quiet => "quiet",
        ChannelState::DigitalZero => "DIGITAL ZERO: dead path",
        ChannelState::NoData => "no data",
    }
}
