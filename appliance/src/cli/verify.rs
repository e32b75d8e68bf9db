//! `rakkr verify`: what is proven, what is not, and where.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{print, print_json};
use crate::capture::take::verify::{self, Report};

#[derive(Args)]
pub struct Arguments {
    /// Folders of recordings, or data folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let reports: Vec<Report> = arguments.paths.iter().flat_map(|path| verify::verify(path)).collect();
    if arguments.json {
        print_json(&reports)?;
    } else {
        for report in &reports {
            show(report)?;
        }
        if reports.is_empty() {
            print("no recordings there: nothing to prove")?;
        }
    }
    Ok(ExitCode::from(reports.iter().map(Report::exit_code).max().unwrap_or(0)))
}

fn show(report: &Report) -> anyhow::Result<()> {
    let name = report.id.as_deref().unwrap_or(&report.path);
    match (&report.unreadable, report.findings.is_empty()) {
        (Some(why), _) => print(&format!("cannot read  {name}: {why}"))?,
        (None, true) => print(&format!(
            "proven       {name}: {} frames in {} segments, {} known gaps",
            report.frames_proven, report.segments_proven, report.gaps
        ))?,
        (None, false) => {
            print(&format!("not proven   {name}:"))?;
            for finding in &report.findings {
                print(&format!("  {finding}"))?;
            }
        }
    }
    Ok(())
}
