//! How the fleet stands, as this node sees it: one document for the API, the pages and the command line.

use jiff::{SignedDuration, Timestamp};
use replicate::core::election::{self, Mode, Role};
use replicate::core::id::{NodeId, Stream};
use replicate::net::{BEHIND_AFTER_MS, Peer, Standing};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Way;
use super::{Fleet, Reached, Story, held, id_of, node_id};
use crate::store::fleet::{Inventory, Member, called};
use crate::store::{Id, StoreError};
use crate::sys::clock;

/// A node that was not heard for so long does not hold the others up any more.
pub const LAPSED_AFTER_DAYS: i64 = 30;
/// A coordinator and who follows it speak twice a second. One that is silent for longer than the election's lease is gone
/// for people as well, though its link still hopes: an operator learns of a pulled plug within three seconds.
const SILENT_MS: u64 = election::Settings::LOCAL.lease_ms;

/// The fleet.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FleetView {
    /// Its id; empty before this node is claimed or has joined.
    pub fleet_id: String,
    /// Its name.
    pub name: String,
    /// The node that says all this.
    pub node_id: String,
    /// Who coordinates; none while nobody is known to.
    pub coordinator: Option<CoordinatorView>,
    /// All nodes, by name; retired ones last.
    pub nodes: Vec<NodeView>,
    /// How many of them are current, of how many that are not retired.
    pub current: usize,
    #[allow(missing_docs)]
    pub of: usize,
    /// What is wrong with this node's own records, in sentences; empty when all is well.
    pub trouble: Vec<String>,
    /// What happened since this node started, newest first.
    pub stories: Vec<Story>,
}

/// Who coordinates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CoordinatorView {
    /// The node.
    pub node_id: String,
    /// What it is called.
    pub name: String,
    /// The term: grows with each reign.
    pub epoch: u64,
    /// Since when, as this node has seen it.
    #[schema(value_type = String, format = "date-time")]
    pub since: Timestamp,
    /// `majority`, `minority` (what cannot be taken back waits) or `alone` (a fleet of one).
    pub mode: &'static str,
    /// It is this node.
    pub is_here: bool,
    /// A place for its pages, if it has told one.
    pub address: Option<String>,
}

/// A node of the fleet.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// `current` (it has what we have), `behind`, `lost` (not reached), `lapsed` (not for 30 days), `retired`.
    pub state: &'static str,
    /// When it was last heard, as far as this node knows.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_seen: Option<Timestamp>,
    /// Its program.
    pub version: String,
    /// Entries that it has and we lack, or the other way.
    pub lag_entries: u64,
    /// Since when it is not current, though it is reached.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub behind_since: Option<Timestamp>,
    /// It keeps everybody's records.
    pub is_keeper: bool,
    /// It may coordinate.
    pub is_candidate: bool,
    /// It is this node.
    pub is_here: bool,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// Why it is not reached.
    pub why: Option<String>,
    /// How a call to it goes: `link` (through a tunnel beside the link), `direct` (it is dialled), `not` (and why), `here`.
    pub called: &'static str,
    #[allow(missing_docs)]
    pub not_called: Option<String>,
    /// Who let it in, and when.
    pub joined_by: Option<String>,
    #[allow(missing_docs)]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub joined_at: Option<Timestamp>,
    /// The room it stands in, by its id.
    pub room_id: Option<String>,
    /// What it did last by its own word: `idle`, `recording`, `paused`, `trouble`, `offline`; empty if it never said.
    pub activity: String,
    /// Room on its disk, bytes: left, and in all; zeros if it never said.
    pub disk_bytes: (u64, u64),
    /// Changes that it made after it was retired and that are here: they do not count.
    pub void_changes: u64,
    /// How far its clock is from ours, milliseconds.
    pub clock_offset_ms: Option<i64>,
}

impl NodeView {
    /// Whether it is spoken with: current or behind.
    pub fn is_reached(&self) -> bool {
        ["current", "behind"].contains(&self.state)
    }
}

/// What is the same on all nodes that are current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StateHashes {
    /// Of people, rights, the roster.
    pub sec: String,
    /// Of what people decide.
    pub cfg: String,
    /// Of what nodes saw.
    pub own: String,
    /// Of the journal.
    pub jrn: String,
}

impl FleetView {
    /// The same for people: a node that has not been behind for [`BEHIND_AFTER_MS`] is current. After every act all the
    /// others are behind for some milliseconds, and a bar that says so would flicker all day.
    #[must_use]
    pub fn settled(mut self, now: Timestamp) -> Self {
        let late = SignedDuration::from_millis(BEHIND_AFTER_MS as i64);
        let is_new = |node: &NodeView| node.behind_since.is_none_or(|since| now.duration_since(since) < late);
        for node in self.nodes.iter_mut().filter(|node| node.state == "behind") {
            if is_new(node) {
                node.state = "current";
            }
        }
        self.current = self.nodes.iter().filter(|node| node.state == "current").count();
        self
    }
}

impl Fleet {
    /// How it stands. Blocks for the records.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn view(&self) -> Result<FleetView, StoreError> {
        let store = &self.0.store;
        let (us, now) = (store.node(), clock::wall());
        let standing = self.hub().map(|hub| hub.look());
        let fleet = store.fleet()?;
        let members = store.members()?;
        let inventories = store.inventories()?;
        let reached = held(&self.0.reached).clone();
        let void = store.void_changes()?;
        let mut nodes: Vec<NodeView> = members
            .iter()
            .map(|member| {
                let said = inventories.iter().find(|(id, _)| *id == member.id).map(|(_, said)| said);
                let how = reached.get(&member.id).cloned().unwrap_or_default();
                let void_changes = void.get(&member.id).copied().unwrap_or_default();
                let peer = standing.as_deref().and_then(|standing| peer(standing, node_id(member.id), member));
                let view = NodeView { void_changes, ..node(member, us, now, peer, said, how) };
                self.called(view, member)
            })
            .collect();
        nodes.sort_by_key(|node| node.state == "retired");
        let of = nodes.iter().filter(|node| node.state != "retired").count();
        Ok(FleetView {
            fleet_id: fleet.as_ref().map(|fleet| fleet.id.to_string()).unwrap_or_default(),
            name: fleet.map(|fleet| fleet.name).unwrap_or_default(),
            node_id: us.to_string(),
            coordinator: self.coordinator(standing.as_deref(), &members, us, now),
            current: nodes.iter().filter(|node| node.state == "current").count(),
            of,
            nodes,
            trouble: store.troubles(),
            stories: held(&self.0.stories).iter().rev().cloned().collect(),
        })
    }

    /// With how it is called.
    fn called(&self, mut view: NodeView, member: &Member) -> NodeView {
        let lost = view.why.as_deref().filter(|_| !view.is_reached());
        (view.called, view.not_called) = match self.way_to(member.id, lost) {
            _ if member.is_retired => ("not", Some("it was retired".to_owned())),
            Way::Here => ("here", None),
            Way::Link => ("link", None),
            Way::Direct => ("direct", None),
            Way::Not(why) => ("not", Some(why)),
        };
        view
    }

    fn coordinator(
        &self,
        standing: Option<&Standing>,
        members: &[Member],
        us: Id,
        now: Timestamp,
    ) -> Option<CoordinatorView> {
        let standing = standing?;
        let (token, mode) = match standing.election.role {
            Role::Coordinator { token, mode, .. } => (token, mode),
            Role::Follower { token, .. } => (token, reachable(standing, members, us)),
            Role::Candidate | Role::Bystander => return None,
        };
        let id = id_of(token.node);
        let since = held(&self.0.followed).filter(|(known, _)| *known == token).map_or(now, |(_, since)| since);
        let member = members.iter().find(|member| member.id == id);
        Some(CoordinatorView {
            node_id: id.to_string(),
            name: called(id, member),
            epoch: token.epoch,
            since,
            mode: match mode {
                Mode::Majority => "majority",
                Mode::Minority => "minority",
                Mode::Alone => "alone",
            },
            is_here: id == us,
            address: member.and_then(|member| member.profile.addresses.first().cloned()),
        })
    }

    /// Digests of all records, by stream. Reads every record.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn state_hashes(&self) -> Result<StateHashes, StoreError> {
        let logs = self.0.store.logs();
        let hash = |stream| -> Result<String, StoreError> { Ok(logs.stream_hash(stream)?.to_string()) };
        Ok(StateHashes {
            sec: hash(Stream::Sec)?,
            cfg: hash(Stream::Cfg)?,
            own: hash(Stream::Own)?,
            jrn: hash(Stream::Jrn)?,
        })
    }
}

/// How much of the fleet this node reaches, counted as an election counts.
fn reachable(standing: &Standing, members: &[Member], us: Id) -> Mode {
    let believed = || members.iter().filter(|member| !member.is_retired);
    let weight = |member: &Member| u64::from(member.profile.weight);
    let all: u64 = believed().map(weight).sum();
    let is_reached = |member: &&Member| member.id == us || standing.peers.contains_key(&node_id(member.id));
    let here: u64 = believed().filter(is_reached).map(weight).sum();
    match believed().count() {
        0 | 1 => Mode::Alone,
        _ if here * 2 > all => Mode::Majority,
        _ => Mode::Minority,
    }
}

/// A time so long ago; of years at most.
fn before(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(ms.min(1 << 36) as i64)
}

/// A link, and for how long nothing was heard on it, if that is too long.
#[derive(Clone, Copy)]
struct Reaching<'a> {
    peer: &'a Peer,
    silent_ms: Option<u64>,
}

fn peer<'a>(standing: &'a Standing, node: NodeId, member: &Member) -> Option<Reaching<'a>> {
    let peer = standing.peers.get(&node)?;
    let speaks_often = match standing.election.role {
        Role::Coordinator { .. } => member.profile.is_candidate,
        Role::Follower { token, via } => token.node == node && via.is_none(),
        Role::Candidate | Role::Bystander => false,
    };
    let silent_ms = (clock::mono_us() / 1_000).saturating_sub(peer.heard_ms);
    Some(Reaching { peer, silent_ms: (speaks_often && silent_ms > SILENT_MS).then_some(silent_ms) })
}

fn node(
    member: &Member,
    us: Id,
    now: Timestamp,
    reaching: Option<Reaching<'_>>,
    said: Option<&Inventory>,
    how: Reached,
) -> NodeView {
    let is_here = member.id == us;
    let silent_ms = reaching.and_then(|reaching| reaching.silent_ms);
    let peer = reaching.filter(|reaching| reaching.silent_ms.is_none()).map(|reaching| reaching.peer);
    let lag_entries = peer.map_or(0, |peer| peer.lag.iter().map(|lag| lag.to_send + lag.to_receive).sum());
    let last_seen = match silent_ms {
        Some(silent_ms) => Some(now - before(silent_ms)),
        None if is_here || peer.is_some() => Some(now),
        None => how.seen,
    };
    let ago = |since: u64| (clock::mono_us() / 1_000).saturating_sub(since);
    let behind_since = peer.and_then(|peer| peer.behind_since_ms).map(|since| now - before(ago(since)));
    let is_lapsed = last_seen
        .or(member.joined.as_ref().map(|joined| joined.at))
        .is_some_and(|seen| now.duration_since(seen) > SignedDuration::from_hours(24 * LAPSED_AFTER_DAYS));
    let state = match peer {
        _ if member.is_retired => "retired",
        _ if is_here => "current",
        Some(peer) if peer.is_in_step() => "current",
        Some(_) => "behind",
        None if is_lapsed => "lapsed",
        None => "lost",
    };
    let why = (state == "lost" || state == "lapsed").then(|| match (silent_ms, how.failed) {
        (Some(silent_ms), _) => format!("nothing was heard of it for {} s", silent_ms / 1_000),
        (None, Some((_, why))) => why,
        (None, None) => "it has not been reached since this node started".to_owned(),
    });
    NodeView {
        id: member.id.to_string(),
        name: member.profile.name.clone(),
        state,
        last_seen,
        version: said.map(|said| said.version.clone()).unwrap_or_default(),
        lag_entries,
        behind_since,
        is_keeper: member.profile.is_keeper,
        is_candidate: member.profile.is_candidate,
        is_here,
        addresses: member.profile.addresses.clone(),
        why,
        called: "",
        not_called: None,
        joined_by: member.joined.as_ref().map(|joined| joined.by.clone()),
        joined_at: member.joined.as_ref().map(|joined| joined.at),
        room_id: said.and_then(|said| said.room).map(|room| room.to_string()),
        activity: said.map(|said| said.state.clone()).unwrap_or_default(),
        disk_bytes: said.map(|said| said.disk).unwrap_or_default(),
        void_changes: 0,
        clock_offset_ms: peer.and_then(|peer| peer.offset).map(|offset| offset.ms),
    }
}
