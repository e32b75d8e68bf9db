//! Cards of the wall: what each node last told, in one word, and the order of the words. Pure.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::access::Permission;
use crate::domain::watch::Severity;
use crate::fleet::state::NodeView;
use crate::web::pages::parts::row::within;
use crate::web::pages::parts::words::{self, Clock};
use crate::web::view::IncidentView;

/// Incidents on one card, the gravest.
const INCIDENTS_MAX: usize = 3;
/// Under this part of the disk it is worth a word, percent.
const DISK_LOW_PERCENT: u64 = 10;

/// A node on the wall.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Card {
    /// The node's id.
    pub id: String,
    /// Its room, or its own name where it has none.
    pub name: String,
    /// Its own name, if the room's stands above.
    pub node: Option<String>,
    /// lost, trouble, offline, recording, paused, unknown or idle.
    pub state: String,
    /// The shape.
    pub picture: String,
    /// The word.
    pub word: String,
    /// Its place: 0 is first.
    pub rank: u8,
    /// What is recorded.
    pub title: String,
    /// Since when; none if nothing is.
    pub since: Option<String>,
    /// How long, where that is still known.
    pub elapsed: Option<Elapsed>,
    /// A sentence more.
    pub said: Option<String>,
    /// What is amiss, the gravest first.
    pub incidents: Vec<Trouble>,
    /// That there is more.
    pub more: Option<String>,
    /// Room left.
    pub disk: Option<String>,
    /// Its own pages; the fleet's if it told no address.
    pub url: String,
    /// Where the room is heard; none of one that cannot be, or not by them.
    pub listen: Option<String>,
    /// What can be done from here; nothing with a node that is not reached, whose recorder does not answer, or of
    /// which nothing is known.
    pub act: Option<Act>,
}

/// A length that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elapsed {
    #[allow(missing_docs)]
    pub seconds: u64,
    #[allow(missing_docs)]
    pub text: String,
}

/// The browser counts on by itself: two cards that differ in nothing else are drawn alike.
impl Hash for Elapsed {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Something amiss.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trouble {
    /// info, warning or critical.
    pub severity: String,
    /// The same as a word.
    pub severity_word: String,
    /// What happened, and to which channel.
    pub title: String,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Act {
    /// Where to.
    pub url: String,
    /// What is stopped.
    pub recording: Option<String>,
    #[allow(missing_docs)]
    pub label: String,
    #[allow(missing_docs)]
    pub picture: String,
    /// Why not.
    pub denied: Option<String>,
}

/// A recording that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub title: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Nothing is kept at present.
    pub is_paused: bool,
}

/// What is known of all nodes, each read once.
pub struct Seen<'a> {
    /// Names of rooms, by node.
    pub rooms: &'a BTreeMap<String, String>,
    /// What runs, by node.
    pub running: &'a BTreeMap<String, Vec<Running>>,
    /// What is open, by node.
    pub incidents: &'a BTreeMap<String, Vec<IncidentView>>,
    /// The present.
    pub clock: &'a Clock,
}

/// What whoever looks may do with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    #[allow(missing_docs)]
    pub can_start: bool,
    #[allow(missing_docs)]
    pub can_stop: bool,
    /// Hear it, too.
    pub can_listen: bool,
}

/// Which cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Every room.
    All,
    /// What somebody should look at.
    Problems,
    /// What records, or did when it was last heard.
    Recording,
    /// What is not reached.
    Lost,
}

impl Show {
    /// Each.
    pub const ALL: [Self; 4] = [Self::All, Self::Problems, Self::Recording, Self::Lost];

    /// As the URL says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Problems => "problems",
            Self::Recording => "recording",
            Self::Lost => "lost",
        }
    }

    /// By its name; all for what is none.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|show| show.name() == name).unwrap_or(Self::All)
    }

    /// As a chip says it.
    pub fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Problems => "Problems",
            Self::Recording => "Recording",
            Self::Lost => "Not reached",
        }
    }

    /// What to say if there is none.
    pub fn nothing(self) -> &'static str {
        match self {
            Self::All => "No room here is yours to see.",
            Self::Problems => "No problem is known in any room.",
            Self::Recording => "No room is recording.",
            Self::Lost => "Every node is reached.",
        }
    }

    /// Whether a card is one of them.
    pub fn has(self, card: &Card) -> bool {
        match self {
            Self::All => true,
            Self::Problems => card.rank < RECORDING,
            Self::Recording => card.since.is_some(),
            Self::Lost => card.state == "lost",
        }
    }
}

/// Ranks: the least is first.
const LOST_RECORDING: u8 = 0;
const LOST: u8 = 1;
const TROUBLE: u8 = 2;
const OFFLINE: u8 = 3;
const WARNED: u8 = 4;
const RECORDING: u8 = 5;
const PAUSED: u8 = 6;
const UNKNOWN: u8 = 7;
const IDLE: u8 = 8;

/// All cards, problems first, then what records, then the rest; equal ones by name.
pub fn all<'a>(nodes: impl Iterator<Item = (&'a NodeView, Rights)>, seen: &Seen<'_>) -> Vec<Card> {
    let mut cards: Vec<Card> = nodes.map(|(node, rights)| Card::of(node, rights, seen)).collect();
    cards.sort_by_cached_key(|card| (card.rank, card.name.to_lowercase(), card.id.clone()));
    cards
}

impl Card {
    fn of(node: &NodeView, rights: Rights, seen: &Seen<'_>) -> Self {
        let none = Vec::new();
        let running = seen.running.get(&node.id).and_then(|running| running.first());
        let incidents = seen.incidents.get(&node.id).unwrap_or(&none);
        let gravest = incidents.iter().map(|incident| incident.severity).max();
        let is_lost = node.state == "lost" || node.state == "lapsed";
        let (rank, state, picture, word) = state(node, running, gravest, is_lost);
        let room = seen.rooms.get(&node.id).cloned();
        let address = node.addresses.first().map(|at| format!("https://{at}/"));
        Self {
            id: node.id.clone(),
            node: room.is_some().then(|| node.name.clone()).filter(|name| Some(name) != room.as_ref()),
            name: room.unwrap_or_else(|| node.name.clone()),
            state: state.to_owned(),
            picture: picture.to_owned(),
            word: word.to_owned(),
            rank,
            title: running.map(|running| running.title.clone()).unwrap_or_default(),
            since: running.map(|running| format!("since {}", within(&seen.clock.day_and_time(running.started_at)))),
            elapsed: running.filter(|running| !is_lost && !running.is_paused).map(|running| {
                let seconds = seen.clock.seconds_since(running.started_at);
                Elapsed { seconds: seconds as u64, text: words::clock(seconds) }
            }),
            said: said(node, running, is_lost, seen.clock),
            incidents: gravest_of(incidents),
            more: incidents
                .len()
                .checked_sub(INCIDENTS_MAX)
                .filter(|more| *more > 0)
                .map(|more| format!("and {more} more")),
            disk: disk(node.disk_bytes),
            url: if node.is_here { "/".to_owned() } else { address.unwrap_or_else(|| "/fleet".to_owned()) },
            listen: (!is_lost && state != "offline" && rights.can_listen).then(|| match node.is_here {
                true => "/api/v1/listen".to_owned(),
                false => format!("/api/v1/nodes/{}/calls/listen", node.id),
            }),
            act: (!is_lost && !["offline", "unknown"].contains(&state)).then(|| act(node, running, rights)),
        }
    }
}

fn state(
    node: &NodeView,
    running: Option<&Running>,
    gravest: Option<Severity>,
    is_lost: bool,
) -> (u8, &'static str, &'static str, &'static str) {
    let runs = running.is_some();
    match (node.activity.as_str(), gravest) {
        _ if is_lost && runs => (LOST_RECORDING, "lost", "gap", "Not reached, was recording"),
        _ if is_lost => (LOST, "lost", "gap", "Not reached"),
        (_, Some(Severity::Critical)) if runs => (TROUBLE, "trouble", "lamp-trouble", "Recording, in trouble"),
        ("trouble", _) | (_, Some(Severity::Critical)) => (TROUBLE, "trouble", "lamp-trouble", "Trouble"),
        ("offline", _) => (OFFLINE, "offline", "lamp-offline", "Recorder does not answer"),
        (_, Some(Severity::Warning)) if runs => (WARNED, "trouble", "lamp-trouble", "Recording, look here"),
        (_, Some(Severity::Warning)) => (WARNED, "trouble", "lamp-trouble", "Look here"),
        _ if running.is_some_and(|running| running.is_paused) => (PAUSED, "paused", "lamp-paused", "Paused"),
        _ if runs => (RECORDING, "recording", "lamp-recording", "Recording"),
        // It never said, or this node does not keep what it says.
        ("", None) => (UNKNOWN, "unknown", "check-unknown", "Not known here"),
        _ => (IDLE, "idle", "lamp-idle", "Not recording"),
    }
}

fn said(node: &NodeView, running: Option<&Running>, is_lost: bool, clock: &Clock) -> Option<String> {
    let heard = |at: Timestamp| format!("Last heard {}.", within(&clock.day_and_time(at)));
    let heard = node.last_seen.map_or_else(|| "Not heard since this node started.".to_owned(), heard);
    let is_paused = running.is_some_and(|running| running.is_paused);
    match () {
        () if is_lost && running.is_some() => Some(format!("{heard} It goes on recording by itself.")),
        () if is_lost => Some(heard),
        () if is_paused => Some("Nothing is kept until somebody resumes.".to_owned()),
        () if node.state == "behind" && node.lag_entries > 0 => {
            Some(format!("Records are coming: {} to go.", words::count(node.lag_entries, "entry", "entries")))
        }
        () => None,
    }
}

fn gravest_of(incidents: &[IncidentView]) -> Vec<Trouble> {
    let mut sorted: Vec<&IncidentView> = incidents.iter().collect();
    sorted.sort_by_key(|incident| (std::cmp::Reverse(incident.severity), std::cmp::Reverse(incident.opened_at)));
    let trouble = |incident: &&IncidentView| {
        let (severity, word) = match incident.severity {
            Severity::Info => ("info", "Worth knowing"),
            Severity::Warning => ("warning", "Warning"),
            Severity::Critical => ("critical", "Critical"),
        };
        let target = Some(&incident.target).filter(|target| *target != "This recorder" && !target.is_empty());
        let title = target.map_or_else(|| incident.title.clone(), |target| format!("{target}: {}", incident.title));
        Trouble { severity: severity.to_owned(), severity_word: word.to_owned(), title }
    };
    sorted.iter().take(INCIDENTS_MAX).map(trouble).collect()
}

fn disk((free, all): (u64, u64)) -> Option<String> {
    let low = if free.saturating_mul(100) < all.saturating_mul(DISK_LOW_PERCENT) { ", low" } else { "" };
    (all > 0).then(|| format!("{} free{low}", words::bytes(free)))
}

fn act(node: &NodeView, running: Option<&Running>, rights: Rights) -> Act {
    let (name, label, picture, may, permission) = match running {
        Some(_) => ("stop", "Stop", "stop", rights.can_stop, Permission::RecordingControl),
        None => ("start", "Start", "record", rights.can_start, Permission::RecordingCreate),
    };
    Act {
        url: format!("/wall/{}/{name}", node.id),
        recording: running.map(|running| running.id.clone()),
        label: label.to_owned(),
        picture: picture.to_owned(),
        denied: (!may).then(|| words::denied(permission)),
    }
}

#[cfg(test)]
mod tests;
