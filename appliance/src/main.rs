//! The `rakkr` command. It only hands its arguments to [`rakkr::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    rakkr::cli::run()
}
