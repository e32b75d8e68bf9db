//! `rakkr status`: what the recorder says of itself.

use std::process::ExitCode;

use super::{LookArguments, clock_time, print, print_json};
use crate::capture::socket::Request;
use crate::capture::socket::client::Client;
use crate::capture::status::Status;
use crate::sys::clock;

pub(super) fn run(arguments: &LookArguments) -> anyhow::Result<ExitCode> {
    let mut answer = Client::connect(&arguments.data.open())?.ask(&Request::Status)?;
    let status = answer["status"].take();
    if arguments.json {
        print_json(&status)?;
    } else {
        show(&serde_json::from_value(status)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(status: &Status) -> anyhow::Result<()> {
    let rate = f64::from(status.jack.sample_rate.max(1));
    let server = if status.jack.is_connected { "delivers" } else { "IS GONE" };
    print(&format!("audio server  {server}, {} Hz", status.jack.sample_rate))?;
    for channel in &status.channels {
        let source = if channel.is_connected { "" } else { "  NOT CONNECTED" };
        print(&format!("  channel {:<3} {}{source}", channel.channel.number, channel.channel.label))?;
    }
    for take in &status.recording {
        let paused = if take.is_paused { "  paused" } else { "" };
        print(&format!(
            "recording     {}  {}  {}{paused}",
            take.id,
            clock_time(take.frames as f64 / rate),
            take.title
        ))?;
    }
    let hours = status.disk.hours_left.map_or("unknown".into(), |hours| format!("{hours:.1} hours"));
    print(&format!("disk          room for {hours} ({} MiB)", status.disk.free_bytes >> 20))?;
    print(&format!("clock         {}", status.clock.quality.describe()))?;
    for (cause, frames) in &status.lost_frames {
        print(&format!("lost          {frames} frames: {cause}"))?;
    }
    for sentence in &status.trouble {
        print(&format!("TROUBLE       {sentence}"))?;
    }
    for event in status.events.iter().rev().take(10).rev() {
        let at = event.at.to_zoned(clock::zone()).strftime("%H:%M:%S").to_string();
        print(&format!("  {at}  {}", event.text))?;
    }
    Ok(())
}
