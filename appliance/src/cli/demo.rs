//! demo placeholder
use clap::Args;
use std::process::ExitCode;
#[derive(Args)]
pub struct Arguments {}
pub fn run(_: &Arguments) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::from(2))
}
