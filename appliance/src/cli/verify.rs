//! `rakkr verify`: what is proven, what is not, and where.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{print, print_json};
use crate::capture::take::verify::{self, Report};
use crate::store::audit::export::{Head, Proof, is_export, prove};

#[derive(Args)]
pub struct Arguments {
    /// Folders of recordings, data folders, or journals that were written out (.jsonl)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The journal's last entry as the node shows it: proves that no line was cut off its end
    #[arg(long, value_name = "HEAD")]
    head: Option<Head>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (journals, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = arguments.paths.iter().partition(|path| is_journal(path));
    let mut code = 0;
    let mut proofs = Vec::new();
    for path in journals {
        let mut lines = BufReader::new(File::open(path)?);
        let proof = prove(&mut lines, arguments.head).with_context(|| format!("while reading {}", path.display()))?;
        code = code.max(u8::from(!proof.findings.is_empty()));
        if arguments.json {
            proofs.push(json!({"journal": path, "entries": proof.lines, "first": proof.first.map(|at| at.to_string()),
                "head": proof.last.map(|at| at.to_string()), "findings": proof.findings}));
        } else {
            show_proof(&path.display().to_string(), &proof, arguments.head.is_some())?;
        }
    }
    let reports: Vec<Report> = paths.iter().flat_map(|path| verify::verify(path)).collect();
    if arguments.json {
        let reports = reports.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
        print_json(&[proofs, reports].concat())?;
    } else {
        for report in &reports {
            show(report)?;
        }
        if reports.is_empty() && !paths.is_empty() {
            print("no recordings there: nothing to prove")?;
        }
    }
    Ok(ExitCode::from(reports.iter().map(Report::exit_code).max().unwrap_or(0).max(code)))
}

fn is_journal(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut line = String::new();
    // A journal's first line is far shorter.
    let read = BufReader::new(file.take(1 << 20)).read_line(&mut line);
    path.is_file() && read.is_ok() && is_export(line.trim_end())
}

fn show_proof(name: &str, proof: &Proof, has_head: bool) -> anyhow::Result<()> {
    let place = |at: Option<Head>| at.map(|at| at.to_string()).unwrap_or_default();
    if !proof.findings.is_empty() {
        print(&format!("not proven   {name}:"))?;
        for finding in &proof.findings {
            print(&format!("  {finding}"))?;
        }
        return Ok(());
    }
    print(&format!("proven       {name}: {} entries, none missing, altered or moved", proof.lines))?;
    print(&format!("  from       {}", place(proof.first)))?;
    print(&format!("  to         {}", place(proof.last)))?;
    if !has_head {
        print(
            "  Lines cut off the end cannot be seen here: compare the last place with the one that the node shows, or \
               say --head.",
        )?;
    }
    Ok(())
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
