//! A node as a member of a fleet: how it comes in, and what it says of the others.

use super::cables::{Cables, Place};
use super::node::Node;
use super::wait::until;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Two nodes that lost each other dial again after 15 s, and half of that by chance, at the latest; a dialling that nobody
/// answers takes 8 s.
const IN_STEP: Duration = Duration::from_secs(50);

/// A node and, unless it is a room's, its data folder.
pub struct Member {
    pub node: Node,
    _data: Option<tempfile::TempDir>,
}

impl std::ops::Deref for Member {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Member {
    /// On this machine, unclaimed.
    pub fn new() -> Member {
        Member::with(None, &[])
    }

    /// The same, and seen by who looks at this machine's loopback.
    pub fn announced() -> Member {
        Member::with(None, &["--mdns-interface", "lo"])
    }

    /// On this machine or at the end of a cable, unclaimed, with options of `rakkr node`.
    pub fn with(place: Option<Place>, options: &[&str]) -> Member {
        let data = tempfile::tempdir().expect("a folder");
        let node = Node::start_at(place, "none", data.path(), options);
        Member { node, _data: Some(data) }
    }

    /// At the end of a cable, unclaimed.
    pub fn at(cables: &Cables, node: usize) -> Member {
        Member::with(Some(cables.place(node)), &[])
    }

    /// Beside a recorder that runs already.
    pub fn beside(server: &str, data: &Path, place: Option<Place>) -> Member {
        Member { node: Node::start_at(place, server, data, &[]), _data: None }
    }

    /// On this machine, the first of its fleet.
    pub fn first() -> Member {
        Member::new().claimed()
    }

    /// The first of its fleet.
    pub fn claimed(mut self) -> Member {
        self.node.claim();
        self
    }

    /// Each at its cable, all in step.
    pub fn fleet_on(cables: &Cables, nodes: usize) -> Vec<Member> {
        let mut members = vec![Member::at(cables, 0).claimed()];
        for node in 1..nodes {
            let newcomer = members[0].lets_in(Member::at(cables, node));
            members.push(newcomer);
        }
        wait_settled(&members.iter().collect::<Vec<_>>());
        members
    }

    pub fn invites(&self) -> String {
        let made = self.post("/api/v1/fleet/invitations", &json!({})).is(201);
        made["token"].as_str().expect("a token").to_owned()
    }

    /// A newcomer on this machine, let in and logged in.
    pub fn another(&self) -> Member {
        self.lets_in(Member::new())
    }

    /// A newcomer, let in and logged in.
    pub fn lets_in(&self, mut other: Member) -> Member {
        other.post("/api/v1/fleet/join", &json!({"token": self.invites()})).is(200);
        other.node.log_in();
        other
    }

    pub fn fleet(&self) -> Value {
        self.get("/api/v1/fleet").is(200)
    }

    pub fn id(&self) -> String {
        self.fleet()["node_id"].as_str().expect("an id").to_owned()
    }

    /// What it says of another.
    pub fn says_of(&self, other: &str) -> Option<Value> {
        let mut fleet = self.fleet();
        fleet["nodes"].as_array_mut()?.iter_mut().find(|node| node["id"] == other).map(Value::take)
    }

    /// How it sees another.
    pub fn sees(&self, other: &str) -> String {
        let node = self.says_of(other);
        node.and_then(|node| node["state"].as_str().map(ToOwned::to_owned)).unwrap_or("unknown".to_owned())
    }

    /// Who coordinates, as it sees it.
    pub fn coordinator(&self) -> Option<String> {
        self.fleet()["coordinator"]["node_id"].as_str().map(ToOwned::to_owned)
    }

    pub fn hashes(&self) -> Value {
        self.get("/api/v1/fleet/state-hash").is(200)
    }
}

/// All see all current, follow one coordinator, and have the same records: who coordinates, if it is so.
pub fn settled(members: &[&Member]) -> Option<String> {
    let coordinator = members[0].coordinator()?;
    let is_settled = |member: &&Member| {
        let fleet = member.fleet();
        let nodes = fleet["nodes"].as_array();
        let current = nodes.map_or(0, |nodes| nodes.iter().filter(|node| node["state"] == "current").count());
        current == members.len() && fleet["coordinator"]["node_id"] == coordinator.as_str()
    };
    if !members.iter().all(is_settled) {
        return None;
    }
    are_like(members).then_some(coordinator)
}

/// Whether nodes have the same records, in all that each of them keeps.
pub fn are_like(members: &[&Member]) -> bool {
    let hashes: Vec<Value> = members.iter().map(|member| member.hashes()).collect();
    ["sec", "cfg", "own", "jrn"].iter().all(|stream| {
        let kept: Vec<&Value> = hashes.iter().map(|hashes| &hashes[*stream]).filter(|hash| !hash.is_null()).collect();
        !kept.is_empty() && kept.windows(2).all(|pair| pair[0] == pair[1])
    })
}

/// Waits until they are [`settled`].
pub fn wait_settled(members: &[&Member]) -> String {
    in_step("the nodes to be in step", || settled(members))
}

/// Waits for as long as nodes may take to find each other.
pub fn in_step<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until(what, IN_STEP, probe)
}
