//! `rakkr restore`: puts a backup back.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::{DataArgument, print};
use crate::store::backup::restore;
use crate::sys::files::Lock;

/// Puts a backup back into a data folder. Takes on disk are not touched; the node finds them when it starts.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put it back although there are records: they are set aside
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let data = arguments.data.open();
    std::fs::create_dir_all(data.path())?;
    // Capture keeps its orders in this folder: they are not to change under it.
    let Some(_lock) = Lock::try_take(&data.lock())? else {
        bail!("the recorder is running on {}: stop it first", data.path().display());
    };
    let told = restore(data.path(), &arguments.file, arguments.force)?;
    print(&format!(
        "put back: node {}, as of {}, {} entries, {} files",
        told.node,
        told.at,
        told.entries,
        told.files.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}
