//! `rakkr export`: one file out of a recording.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{DataArgument, print, print_json, seconds};
use crate::capture::take::export::{self, Request};
use crate::domain::{Channels, TakeId};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// The recording's id
    id: TakeId,
    /// wav: Broadcast WAV, 24 bit, RF64 above 4 GiB. flac: 24 bit, 8 channels a file. opus: to listen to
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Channels: all, or numbers such as 1,2
    #[arg(long, value_name = "CHANNELS", default_value = "all")]
    channels: Channels,
    /// From this second
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    from: Option<f64>,
    /// To this second
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    to: Option<f64>,
    /// 32-bit float samples (wav)
    #[arg(long)]
    float: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Wav,
    Flac,
    Opus,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let data = arguments.data.open();
    super::take::info(&data, arguments.id)?;
    let request = Request {
        format: match arguments.format {
            Format::Wav => export::Format::Wav,
            Format::Flac => export::Format::Flac,
            Format::Opus => export::Format::Opus,
        },
        channels: arguments.channels.clone(),
        from_seconds: arguments.from,
        to_seconds: arguments.to,
        is_float: arguments.float,
        output: arguments.output.clone(),
    };
    let exported = export::export(&data.take(arguments.id), &request)?;
    if arguments.json {
        print_json(&exported)?;
    } else {
        for file in &exported.files {
            print(&file.display().to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
