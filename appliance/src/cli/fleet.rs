//! `rakkr invite`, `join`, `leave`, `renew`, `fleet`, `peers`: the fleet from the machine's console, by the node that runs there.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use axum::http::Method;
use clap::Args;
use serde_json::{Value, json};

use super::console::ask;
use super::{DataArgument, LookArguments, plain, print, print_json};

/// Makes an invitation, shown once: whoever has it may bring a node into this fleet.
#[derive(Args)]
pub struct Invite {
    #[command(flatten)]
    data: DataArgument,
    /// How long it holds, seconds
    #[arg(long, default_value_t = 3_600)]
    expires: u32,
    /// How many nodes may come by it
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// A node that is lost, by name or id: the box that comes by it goes on as that node
    #[arg(long, value_name = "NODE")]
    replaces: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Brings the node, which nobody may have claimed, into a fleet.
#[derive(Args)]
pub struct Join {
    #[command(flatten)]
    data: DataArgument,
    /// The invitation
    token: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Takes the node out of its fleet, for good: its key is believed no more. It goes on recording and keeps what it has.
#[derive(Args)]
pub struct Leave {
    #[command(flatten)]
    data: DataArgument,
    /// Say that it is meant
    #[arg(long)]
    yes: bool,
}

/// Of two machines that use this node's name (a copied card), lets this one go on.
#[derive(Args)]
pub struct Renew {
    #[command(flatten)]
    data: DataArgument,
    /// Say that it is meant: the other one is off the network
    #[arg(long)]
    yes: bool,
}

/// Prints an invitation.
pub fn invite(arguments: &Invite) -> anyhow::Result<ExitCode> {
    let mut wanted = json!({"expires_seconds": arguments.expires, "uses": arguments.uses});
    if let Some(node) = &arguments.replaces {
        wanted["replaces"] = named(&arguments.data.data_dir, node)?;
    }
    let made = ask(&arguments.data.data_dir, Method::POST, "/api/v1/fleet/invitations", Some(&wanted))?;
    if arguments.json {
        print_json(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&text(&made["token"]))?;
    print(&format!("both ends show: {}", text(&made["phrase"])))?;
    if !made["replaces"].is_null() {
        print(&format!("who comes by it {}", place(&made["replaces"])))?;
    }
    print(&format!("holds until {}", text(&made["expires_at"])))?;
    print("on the new node: rakkr join --data-dir DIR TOKEN")?;
    Ok(ExitCode::SUCCESS)
}

/// Brings the node in and says where it is now.
pub fn join(arguments: &Join) -> anyhow::Result<ExitCode> {
    let wanted = json!({"token": arguments.token});
    let joined = ask(&arguments.data.data_dir, Method::POST, "/api/v1/fleet/join", Some(&wanted))?;
    if arguments.json {
        print_json(&joined)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("this node is in the fleet \"{}\"", text(&joined["fleet_name"])))?;
    print(&format!("both ends show: {}", text(&joined["phrase"])))?;
    if !joined["replaces"].is_null() {
        print(&format!("it {}, and begins anew as that in some seconds", place(&joined["replaces"])))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The id of a node by its id or name.
fn named(data: &Path, wanted: &str) -> anyhow::Result<Value> {
    let nodes = ask(data, Method::GET, "/api/v1/nodes", None)?;
    let is_it =
        |node: &&Value| text(&node["id"]) == wanted.trim() || text(&node["name"]).eq_ignore_ascii_case(wanted.trim());
    let found: Vec<&Value> = nodes["items"].as_array().into_iter().flatten().filter(is_it).collect();
    match found.as_slice() {
        [node] => Ok(node["id"].clone()),
        [] => bail!("no node of this fleet has the name or id \"{}\": `rakkr fleet` lists them", plain(wanted)),
        _ => bail!("{} nodes have the name \"{}\": give the id, `rakkr fleet` lists them", found.len(), plain(wanted)),
    }
}

/// `takes the place of Hall B, last heard 2026-11-21T20:01:02Z`.
fn place(place: &Value) -> String {
    let heard = match &place["last_seen"] {
        Value::Null => "which was never heard here".to_owned(),
        at => format!("last heard {}", text(at)),
    };
    format!("takes the place of {}, {heard}", text(&place["name"]))
}

/// Retires the node itself.
pub fn leave(arguments: &Leave) -> anyhow::Result<ExitCode> {
    if !arguments.yes {
        bail!(
            "this cannot be taken back: the node must be set up anew to come into a fleet again. Say --yes if it is meant"
        );
    }
    let data = &arguments.data.data_dir;
    let fleet = ask(data, Method::GET, "/api/v1/fleet", None)?;
    ask(data, Method::DELETE, &format!("/api/v1/nodes/{}", text(&fleet["node_id"])), None)?;
    print("this node has left its fleet; it goes on recording and keeps what it has")?;
    Ok(ExitCode::SUCCESS)
}

/// Lets the node write again.
pub fn renew(arguments: &Renew) -> anyhow::Result<ExitCode> {
    if !arguments.yes {
        bail!("take the copy off the network first, or its records are lost to the fleet. Say --yes if it is meant");
    }
    ask(&arguments.data.data_dir, Method::POST, "/api/v1/fleet/renew", None)?;
    print("this node goes on; its copy stands still until it is set up anew")?;
    Ok(ExitCode::SUCCESS)
}

/// The document of the API, or the same as a table.
pub fn fleet(arguments: &LookArguments) -> anyhow::Result<ExitCode> {
    let fleet = ask(&arguments.data.data_dir, Method::GET, "/api/v1/fleet", None)?;
    if arguments.json {
        print_json(&fleet)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("{} ({})", text(&fleet["name"]), text(&fleet["fleet_id"])))?;
    print(&match &fleet["coordinator"] {
        Value::Null => "nobody coordinates at this moment".to_owned(),
        one => format!(
            "{} coordinates since {}, term {} ({})",
            text(&one["name"]),
            text(&one["since"]),
            one["epoch"],
            text(&one["mode"])
        ),
    })?;
    nodes(&fleet)?;
    Ok(ExitCode::SUCCESS)
}

/// The other nodes only.
pub fn peers(arguments: &LookArguments) -> anyhow::Result<ExitCode> {
    let mut fleet = ask(&arguments.data.data_dir, Method::GET, "/api/v1/fleet", None)?;
    if let Some(all) = fleet["nodes"].as_array_mut() {
        all.retain(|node| node["is_here"] != true);
    }
    if arguments.json {
        print_json(&fleet["nodes"])?;
    } else {
        nodes(&fleet)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn nodes(fleet: &Value) -> anyhow::Result<()> {
    for node in fleet["nodes"].as_array().into_iter().flatten() {
        let behind = node["lag_entries"].as_u64().unwrap_or(0);
        let behind = if behind > 0 { format!("  {behind} entries behind") } else { String::new() };
        let why = node["why"].as_str().map(|why| format!("  {why}")).unwrap_or_default();
        let here = if node["is_here"] == true { "  (this node)" } else { "" };
        let called = called(node);
        let line = format!(
            "{:<8}  {}  {}{behind}{called}{here}{why}",
            text(&node["state"]),
            text(&node["id"]),
            text(&node["name"])
        );
        print(&plain(&line))?;
    }
    Ok(())
}

/// How a call goes to a node that is reached.
fn called(node: &Value) -> String {
    let is_reached = ["current", "behind"].contains(&text(&node["state"]).as_str());
    match node["called"].as_str() {
        Some("link") if is_reached => "  called through the link".to_owned(),
        Some("direct") if is_reached => "  called directly".to_owned(),
        Some("not") if is_reached => format!("  not called now: {}", text(&node["not_called"])),
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or_default())
}
