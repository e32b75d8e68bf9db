//! `rakkr secret list|set|delete`: the fleet's secrets from the machine's console, by the node that runs there.
//!
//! A secret is read from standard input, never from the arguments: those are seen by everybody on the machine, and kept by
//! the shell.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, bail};
use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::console::ask;
use super::{DataArgument, LookArguments, note, plain, print, print_json};
use crate::store::secrets::{SECRET_BYTES_MAX, Secret};

/// Look at the fleet's secrets, set and delete them; nothing shows what they are
#[derive(Subcommand)]
pub enum Command {
    /// Who set them when, and which nodes can open them
    List(LookArguments),
    /// Set one to what comes on standard input (a line break at its end is left out)
    Set(Name),
    /// Forget one
    Delete(Name),
}

/// Which secret.
#[derive(Args)]
pub struct Name {
    #[command(flatten)]
    data: DataArgument,
    /// Its name: 1 to 64 of a-z 0-9 . _ -
    name: String,
}

/// Does it.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list(arguments)?,
        Command::Set(arguments) => set(arguments)?,
        Command::Delete(arguments) => {
            ask(&arguments.data.data_dir, Method::DELETE, &path(&arguments.name)?, None)?;
            print("the secret is forgotten; what lies of it in backups stays there, sealed")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(name: &str) -> anyhow::Result<String> {
    match Secret::check_name(name) {
        Ok(()) => Ok(format!("/api/v1/fleet/secrets/{name}")),
        Err(why) => bail!("{why}"),
    }
}

fn set(arguments: &Name) -> anyhow::Result<()> {
    let path = path(&arguments.name)?;
    if io::stdin().is_terminal() {
        note("type or paste the secret, then a line break and Ctrl-D; the terminal shows it");
    }
    let mut text = Zeroizing::new(String::new());
    // A line break of either kind may follow the longest.
    let most = SECRET_BYTES_MAX as u64 + 3;
    io::stdin().take(most).read_to_string(&mut text).context("the secret is no text")?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    ask(&arguments.data.data_dir, Method::PUT, &path, Some(&json!({ "value": value })))?;
    print("sealed; nothing shows it again")?;
    Ok(())
}

fn list(arguments: &LookArguments) -> anyhow::Result<()> {
    let told = ask(&arguments.data.data_dir, Method::GET, "/api/v1/fleet/secrets", None)?;
    if arguments.json {
        return print_json(&told);
    }
    match &told["key"] {
        Value::Null => print("the fleet has no key yet")?,
        key => print(&plain(&format!("key {}, made {}: {}", key["number"], text(&key["made_at"]), text(&key["why"]))))?,
    }
    if let Some(waits) = told["waits"].as_str() {
        print(&plain(waits))?;
    }
    for secret in told["items"].as_array().into_iter().flatten() {
        let here = if secret["opens_here"] == true { "opens here" } else { "does not open here" };
        let set = format!("set {} by {}", text(&secret["set_at"]), text(&secret["set_by"]));
        let opened = format!("opened by {}", names(&secret["opened_by"]));
        let known = match secret["known_to"].as_array().is_some_and(|gone| !gone.is_empty()) {
            true => format!("  CHANGE IT: {} could open it", names(&secret["known_to"])),
            false => String::new(),
        };
        print(&plain(&format!("{:<24}  {here}  {set}  {opened}{known}", text(&secret["name"]))))?;
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names(list: &Value) -> String {
    let names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { "no node".to_owned() } else { names.join(", ") }
}
