//! The demo with the page: a node in this process, claimed by an owner that is made up, a recording running.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;

use anyhow::{Context, anyhow};
use serde_json::json;

use super::others::Others;
use super::{all_connected, wait_for};
use crate::access::acts::{ChangeNode, StartRecording};
use crate::access::claim::NewOwner;
use crate::access::{About, Access, Actor, Ctx};
use crate::app::node::{self, Options, Ready};
use crate::capture::socket::client::Client;
use crate::capture::take::DataDir;
use crate::cli::print;
use crate::domain::access::{ResourceKind, Room, RoomId, Target};
use crate::domain::watch::{Expects, Role};
use crate::domain::words;
use crate::fleet::Forgetting;
use crate::service::control::{self, NewRecording};
use crate::service::moment;
use crate::store::rooms::ChannelLabel;
use crate::sys::{clock, rng};

/// Whom the demo belongs to.
const EMAIL: &str = "demo@rakkr.example";
/// The longest the owner of a demo has to look for the password: it is printed.
const CLAIM_WINDOW_MINUTES: u32 = 30;
/// Names for the first channels.
const LABELS: [&str; 4] = ["Lectern", "Chair", "Witness", "Gallery"];

/// Runs the node over `data` until told to stop.
pub(super) fn run(
    data: &Path,
    server: &str,
    ports: &[String],
    (listen, http): (SocketAddr, SocketAddr),
    others: &Others,
    stop: &Receiver<()>,
    interrupted: &AtomicBool,
) -> anyhow::Result<()> {
    let options = Options {
        data_dir: data.to_owned(),
        listen,
        http: Some(http),
        capture: Some(crate::cli::node::plan(data, server.to_owned(), ports)?),
        ends_capture: true,
        claim_window_minutes: CLAIM_WINDOW_MINUTES,
        has_open_metrics: true,
        forgetting: Forgetting::default(),
        // On the address it listens at, which is this machine's alone.
        mdns: Some(Vec::new()),
    };
    let mut told = Ok(());
    node::run(&options, stop, |ready, access| {
        told = begin(data, ready, access, ports.len(), interrupted).and_then(|()| others.join(data, interrupted));
    })?;
    told
}

fn begin(data: &Path, ready: &Ready, access: &Access, channels: usize, interrupted: &AtomicBool) -> anyhow::Result<()> {
    let data = DataDir::new(data);
    let ctx = Ctx::new(moment(clock::now()), rng::bytes::<32>()?, "", "rakkr demo");
    let password = words::phrase::<5>(&ctx.chance()).join(" ");
    if let Some(code) = ready.claim_code.clone() {
        let owner = NewOwner {
            code,
            name: "Demo Owner".into(),
            email: EMAIL.into(),
            password: password.clone(),
            room: "Court room 4".into(),
            time_zone: clock::zone().iana_name().unwrap_or("UTC").into(),
        };
        let claimed = access.claim(&ctx, owner).context("the demo's node cannot be claimed")?;
        print(&format!("   open      {}", ready.plain_url.as_deref().unwrap_or(&ready.url)))?;
        print(&format!("   or        {} (its key: {})", ready.url, ready.words))?;
        print(&format!("   log in    {EMAIL}"))?;
        print(&format!("   password  {password}"))?;
        print(&format!("   recovery  {}", claimed.recovery_code))?;
        let room = Room { id: RoomId::new(claimed.room.id.to_string()), site: None };
        label(access, &ctx, &room, channels)?;
        wait_for("the sources", interrupted, || {
            Client::connect(&data).ok().and_then(|mut client| all_connected(&mut client).then_some(()))
        })?;
        // What is kept from before Start must have been heard.
        super::wait_a_little(interrupted, std::time::Duration::from_millis(1_500));
        let ctx = Ctx::new(moment(clock::now()), rng::bytes::<32>()?, "", "rakkr demo");
        let actor = Actor::service("demo");
        let target = Target::in_room(ResourceKind::Recording, "new", room);
        let about = About::thing("recording", "", "Demo");
        let allowed =
            access.allow::<StartRecording>(&ctx, &actor, &target, about).map_err(|error| anyhow!("{error}"))?;
        let new = NewRecording {
            title: "Hearing 24/113, morning".into(),
            channels: crate::domain::Channels::All,
            profile: "voice".into(),
            pre_roll_seconds: 1.0,
            duration_seconds: None,
            room: Some(claimed.room.id),
        };
        let id = control::start(&data, allowed, new).map_err(|error| anyhow!("{error}"))?;
        print(&format!("5. recording {id}; Ctrl-C ends everything"))?;
    }
    Ok(())
}

/// Names the channels, as a technician would.
fn label(access: &Access, ctx: &Ctx, room: &Room, channels: usize) -> anyhow::Result<()> {
    let label = |index: usize| ChannelLabel {
        number: index as u16 + 1,
        label: LABELS.get(index).map_or_else(String::new, ToString::to_string),
        role: Role::Mic,
        expects: Expects::Signal,
    };
    let labels: Vec<ChannelLabel> = (0..channels).map(label).collect();
    let node = access.store().node();
    let about = About::thing("node", node, "channels").after(json!(labels));
    let target = Target::node(node.to_string(), vec![room.clone()]);
    let allowed =
        access.allow::<ChangeNode>(ctx, &Actor::service("demo"), &target, about).map_err(|error| anyhow!("{error}"))?;
    let mut edits = allowed.edits();
    edits.put_channels(node, &labels);
    Ok(allowed.commit(edits)?)
}
