//! Arguments and commands, a file each. The only place that prints.
//!
//! A command returns its exit code or an error; errors are one sentence on standard error and exit code 2. Tables are for
//! people, `--json` is for programs and is the same data.

mod backup;
mod capture;
mod console;
mod demo;
mod doctor;
mod export;
mod fleet;
mod meters;
mod node;
mod recover;
mod restore;
mod secret;
mod status;
mod take;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::capture::take::DataDir;

/// Rakkr records rooms. A recording failure becomes visible while the session can still be saved.
#[derive(Parser)]
#[command(name = "rakkr", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the appliance: records, services, its web page; starts the tape machine when no unit does
    Node(node::Arguments),
    /// Run the tape machine: record what is ordered from a JACK server
    Capture(capture::Arguments),
    /// Start, stop, mark, pause and look at recordings
    #[command(subcommand)]
    Take(take::Command),
    /// Write one file out of a recording
    Export(export::Arguments),
    /// Prove that recordings are what was recorded
    Verify(verify::Arguments),
    /// Make whole what a crash left open
    Recover(LookArguments),
    /// Write everything the node remembers into one file
    Backup(backup::Arguments),
    /// Put a backup back
    Restore(restore::Arguments),
    /// Look at what a node needs, and say what to do about what is amiss
    Doctor(LookArguments),
    /// What the recorder is doing, and what troubles it
    Status(LookArguments),
    /// Watch the levels
    Meters(meters::Arguments),
    /// Make an invitation into this node's fleet
    Invite(fleet::Invite),
    /// Bring a node that nobody has claimed into a fleet
    Join(fleet::Join),
    /// Take this node out of its fleet, for good
    Leave(fleet::Leave),
    /// Of two machines that use this node's name (a copied card), let this one go on
    Renew(fleet::Renew),
    /// How the fleet stands: who coordinates, which nodes are reached
    Fleet(LookArguments),
    /// The other nodes of the fleet, as this one reaches them
    Peers(LookArguments),
    /// The fleet's secrets: who set them, who can open them; set and delete them
    #[command(subcommand)]
    Secret(secret::Command),
    /// Show it working, with voices and no sound card
    Demo(demo::Arguments),
}

/// Where everything is kept.
#[derive(Args, Debug, Clone)]
struct DataArgument {
    /// The recorder's data folder
    #[arg(long, value_name = "DIR", env = "RAKKR_DATA_DIR")]
    data_dir: PathBuf,
}

impl DataArgument {
    fn open(&self) -> DataDir {
        DataDir::new(&self.data_dir)
    }
}

/// A data folder that is looked at.
#[derive(Args)]
struct LookArguments {
    #[command(flatten)]
    data: DataArgument,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command named by the process arguments and returns its exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let is_service = matches!(cli.command, Command::Capture(_) | Command::Node(_));
    log_to_stderr(if is_service { "info" } else { "warn" });
    let result = match cli.command {
        Command::Node(arguments) => node::run(arguments),
        Command::Capture(arguments) => capture::run(arguments),
        Command::Take(command) => take::run(command),
        Command::Export(arguments) => export::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Recover(arguments) => recover::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Meters(arguments) => meters::run(&arguments),
        Command::Invite(arguments) => fleet::invite(&arguments),
        Command::Join(arguments) => fleet::join(&arguments),
        Command::Leave(arguments) => fleet::leave(&arguments),
        Command::Renew(arguments) => fleet::renew(&arguments),
        Command::Fleet(arguments) => fleet::fleet(&arguments),
        Command::Peers(arguments) => fleet::peers(&arguments),
        Command::Secret(command) => secret::run(&command),
        Command::Demo(arguments) => demo::run(&arguments),
    };
    match result {
        Ok(code) => code,
        // Whoever read our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rakkr: {}", without_numbers(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}

/// What the system said, without its numbers: "Read-only file system (os error 30)" tells a person nothing more.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| said + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// Help is help; a wrong word is one sentence.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    // Some messages list what is missing on the lines that follow.
    let rest: Vec<&str> = text.lines().skip(1).take_while(|line| line.starts_with("  ")).map(str::trim).collect();
    eprintln!("rakkr: {first}{}{} (see --help)", if rest.is_empty() { "" } else { " " }, rest.join(", "));
    ExitCode::from(2)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Says something on standard error as a line of its own.
fn note(text: &str) {
    eprintln!("rakkr: {text}");
}

/// Prints a line; a reader that has gone is an error and not a panic.
fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

fn print_json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)?;
    Ok(())
}

fn log_to_stderr(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RAKKR_LOG")
        .unwrap_or_else(|_| format!("{default},jack=warn").into());
    // Under a service manager the journal has its own times.
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        logger.without_time().with_ansi(false).init();
    } else {
        logger.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init();
    }
}

/// Text that people gave, fit for a line of a table: what would break the line or command the terminal is a space.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `1:02:03.450`.
fn clock_time(seconds: f64) -> String {
    let millis = (seconds * 1_000.0).round().max(0.0) as u64;
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1_000 % 60);
    format!("{hours}:{minutes:02}:{seconds:02}.{:03}", millis % 1_000)
}

/// A number of seconds that a person typed: finite, not negative.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds),
        _ => Err("write a number of seconds, 0 or more".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_title_neither_breaks_its_line_nor_commands_the_terminal() {
        assert_eq!(plain("Prüfung\n7\x1b[2J\u{9b}x"), "Prüfung 7 [2J x");
    }

    #[test]
    fn what_the_system_says_is_told_without_its_numbers() {
        let told = without_numbers("a: Read-only file system (os error 30). Give another (b) (os error 2)");
        assert_eq!(told, "a: Read-only file system. Give another (b)");
    }

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock_time(3723.4504), "1:02:03.450");
        assert_eq!(clock_time(59.9996), "0:01:00.000");
    }
}
