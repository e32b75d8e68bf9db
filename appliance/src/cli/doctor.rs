//! `rakkr doctor`: looks at what a node needs and says what to do about what is amiss. It changes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::{LookArguments, plain, print, print_json};
use crate::access::identity;
use crate::app::Config;
use crate::capture::socket::Request;
use crate::capture::socket::client::Client;
use crate::capture::take::{DataDir, verify};
use crate::domain::ClockQuality;
use crate::sys::{clock, disk};

/// Below this a recording of a day does not fit for two channels.
const ROOM_BYTES_MIN: u64 = 30 << 30;
/// Closed takes that are proven; the newest: all of them may take hours.
const TAKES_PROVEN: usize = 3;

/// What was found of one thing.
#[derive(serde::Serialize)]
struct Finding {
    what: &'static str,
    is_ok: bool,
    told: String,
}

/// Exit code 0 if all is well, 1 if something is amiss.
pub fn run(arguments: &LookArguments) -> anyhow::Result<ExitCode> {
    let data = arguments.data.open();
    let findings = vec![
        folder(&data),
        settings(data.path()),
        key(data.path()),
        room(data.path()),
        the_clock(),
        recorder(&data),
        takes(&data),
    ];
    if arguments.json {
        print_json(&findings)?;
    } else {
        for finding in &findings {
            let word = if finding.is_ok { "ok  " } else { "LOOK" };
            print(&format!("{word}  {:<10}  {}", finding.what, plain(&finding.told)))?;
        }
    }
    Ok(ExitCode::from(u8::from(findings.iter().any(|finding| !finding.is_ok))))
}

fn found(what: &'static str, is_ok: bool, told: impl Into<String>) -> Finding {
    Finding { what, is_ok, told: told.into() }
}

fn folder(data: &DataDir) -> Finding {
    let path = data.path();
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() && !meta.permissions().readonly() => {
            found("folder", true, path.display().to_string())
        }
        Ok(_) => found("folder", false, format!("{} is no folder that can be written: give another", path.display())),
        Err(error) => found("folder", false, format!("{}: {error}. `rakkr node` makes it", path.display())),
    }
}

fn settings(path: &Path) -> Finding {
    match Config::load(&path.join("rakkr.toml")) {
        Ok(_) => found("settings", true, "rakkr.toml can be read, or there is none"),
        Err(error) => found("settings", false, format!("{error}. The node does not start with it: correct the line")),
    }
}

fn key(path: &Path) -> Finding {
    match identity::look(path) {
        None => found("key", true, "none yet: the node makes one at its first start"),
        Some(Ok(key)) => found("key", true, format!("its four words are {}", key.words())),
        Some(Err(why)) => {
            found("key", false, format!("{why}. The node makes another at its next start and shows other words"))
        }
    }
}

fn room(path: &Path) -> Finding {
    match disk::space(path) {
        Ok(space) => {
            let gb = space.free_bytes >> 30;
            let told = format!("{gb} GB free");
            match space.free_bytes >= ROOM_BYTES_MIN {
                true => found("disk", true, told),
                false => found(
                    "disk",
                    false,
                    format!("{told}: a day of two channels takes 25 GB. Free some, or attach a disk"),
                ),
            }
        }
        Err(error) => found("disk", false, format!("its room cannot be asked: {error}")),
    }
}

fn the_clock() -> Finding {
    let quality = clock::quality(clock::wall());
    let told = match quality {
        ClockQuality::Ntp => "kept in step by a time service".to_owned(),
        ClockQuality::Guessed | ClockQuality::Unset => {
            format!("{}. Set up a time service (systemd-timesyncd, chrony)", quality.describe())
        }
    };
    found("clock", quality == ClockQuality::Ntp, told)
}

fn recorder(data: &DataDir) -> Finding {
    let asked = Client::connect(data).and_then(|mut client| client.ask(&Request::Status));
    match asked {
        Err(error) => found("recorder", false, error.to_string()),
        Ok(answer) => {
            let trouble: Vec<&str> =
                answer["status"]["trouble"].as_array().into_iter().flatten().filter_map(|told| told.as_str()).collect();
            let is_connected = answer["status"]["jack"]["is_connected"] == true;
            match (is_connected, &trouble[..]) {
                (true, []) => found("recorder", true, "answers, and audio arrives"),
                (false, []) => found("recorder", false, "answers, but no audio arrives: check the sound server"),
                (_, trouble) => found("recorder", false, trouble.join(" ")),
            }
        }
    }
}

fn takes(data: &DataDir) -> Finding {
    let ids = match data.take_ids() {
        Ok(ids) => ids,
        Err(error) => return found("takes", false, format!("they cannot be listed: {error}")),
    };
    let closed = ids.iter().rev().filter(|id| data.take(**id).load().is_ok_and(|loaded| loaded.is_closed()));
    let newest: Vec<_> = closed.take(TAKES_PROVEN).collect();
    let bad = newest.iter().find(|id| verify::verify_take(&data.take(***id)).exit_code() != 0);
    match bad {
        None => found("takes", true, format!("{} on disk; the newest {} proven", ids.len(), newest.len())),
        Some(id) => found("takes", false, format!("{id} is not what was recorded: run `rakkr verify`")),
    }
}
