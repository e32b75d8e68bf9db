//! `rakkr backup`: everything a node remembers, in one file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::{DataArgument, print};
use crate::store::backup::{RECORDS, write_file};
use crate::store::{Moment, Store, node_of};
use crate::sys::{clock, rng};

/// Writes what the node remembers into one file: people, recordings' titles and notes, the journal, settings, its key.
/// Audio is not in it. Whoever has the file can be the node: it is readable by its owner alone, keep it so.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// The file to make; it must not be there yet
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let data = arguments.data.open();
    let records = data.path().join(RECORDS);
    if !records.is_dir() {
        bail!("{}: no node has kept records there", data.path().display());
    }
    let node = node_of(data.path()).context("node.json does not say which node this is")?;
    let now = clock::wall();
    let moment = Moment { wall: now, quality: clock::quality(now), mono_us: clock::mono_us() };
    let nonce = || rng::ten_bytes().map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let store = match Store::open(&records, node, &clock::boot_id(), moment, nonce) {
        Ok((store, _)) => store,
        Err(error) if error.to_string().contains("another process") => bail!(
            "the node is running and has its records open: make the backup on its Node page, or by POST /api/v1/backup"
        ),
        Err(error) => return Err(error.into()),
    };
    let told = write_file(&store, data.path(), now, &arguments.output)
        .with_context(|| format!("while writing {}", arguments.output.display()))?;
    let (entries, files) = (told.entries, told.files.len());
    print(&format!("{}: {entries} entries and {files} files of node {node}", arguments.output.display()))?;
    Ok(ExitCode::SUCCESS)
}
