//! The other nodes of a demo's fleet: processes with their own recorder, ports and data, invited and named.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use axum::http::Method;
use serde_json::json;

use super::{Ended, wait_for};
use crate::cli::console::ask;
use crate::cli::print;
use crate::sys::clock;

/// What the first node is called among the others.
const FIRST: &str = "Court room 4";
/// Names for the others' rooms.
const ROOMS: [&str; 7] = ["Hall A", "Hall B", "Council chamber", "Studio", "Chapel", "Lecture room 2", "Annexe"];

/// What runs beside the first node; ends with it.
pub(super) struct Others {
    processes: Vec<(PathBuf, Ended)>,
}

/// Starts `count` nodes under `folder`, each recording from its own ports of the player.
pub(super) fn start(folder: &Path, server: &str, ports: &[Vec<String>]) -> anyhow::Result<Others> {
    let mut processes = Vec::new();
    for (number, ports) in ports.iter().enumerate() {
        let data = folder.join(format!("node-{}", number + 2));
        std::fs::create_dir_all(&data)?;
        let program = std::env::current_exe()?;
        let run = |words: &[&str], log: &str| -> anyhow::Result<Ended> {
            let log = File::create(data.join(log))?;
            let mut command = Command::new(&program);
            command.args(words).arg("--data-dir").arg(&data).args(["--jack-server", server]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            Ok(Ended(command.spawn().with_context(|| format!("rakkr {} cannot be started", words[0]))?))
        };
        let capture = run(&["capture", "--wait-for-jack", "--connect", &ports.join(",")], "capture.log")?;
        let node = run(&["node", "--no-capture", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"], "node.log")?;
        processes.push((data.clone(), node));
        processes.push((data, capture));
    }
    Ok(Others { processes })
}

impl Others {
    /// Invites each by the first node's own socket, names its room and lets it record.
    pub(super) fn join(&self, first: &Path, interrupted: &AtomicBool) -> anyhow::Result<()> {
        ask(first, Method::PUT, "/api/v1/node", Some(&json!({"name": FIRST})))?;
        let zone = clock::zone().iana_name().unwrap_or("UTC").to_owned();
        for (number, (data, _)) in self.processes.iter().step_by(2).enumerate() {
            let room = ROOMS[number % ROOMS.len()];
            let invited = wait_for("the first node's socket", interrupted, || {
                ask(first, Method::POST, "/api/v1/fleet/invitations", Some(&json!({}))).ok()
            })?;
            let token = json!({"token": invited["token"]});
            wait_for("a node to join", interrupted, || {
                ask(data, Method::POST, "/api/v1/fleet/join", Some(&token)).ok()
            })
            .with_context(|| format!("see {}", data.join("node.log").display()))?;
            let named = json!({"name": room, "time_zone": zone});
            ask(data, Method::PUT, "/api/v1/room", Some(&named))?;
            ask(data, Method::PUT, "/api/v1/node", Some(&json!({"name": room})))?;
            let fleet = ask(data, Method::GET, "/api/v1/fleet", None)?;
            let own = fleet["nodes"].as_array().into_iter().flatten().find(|node| node["is_here"] == true);
            let at = own.and_then(|node| node["addresses"][0].as_str()).unwrap_or("no address yet").to_owned();
            // Every other room records; the rest are quiet, as in a real house.
            let state = if number.is_multiple_of(2) {
                wait_for("its sources", interrupted, || {
                    ask(data, Method::POST, "/api/v1/recordings", Some(&json!({"title": format!("{room}, morning")})))
                        .ok()
                })?;
                "recording"
            } else {
                "idle"
            };
            print(&format!("   joined    {room}, {state}: https://{at}/"))?;
        }
        Ok(())
    }
}
