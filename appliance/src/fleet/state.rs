//! How the fleet stands, as this node sees it: one document for the API, the pages and the command line.

use jiff::{SignedDuration, Timestamp};
use replicate::core::election::{self, Mode, Role};
use replicate::core::floor::Stage;
use replicate::core::id::{NodeId, Stream};
use replicate::net::{BEHIND_AFTER_MS, FloorLook, FloorWait, Peer, Standing};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Way;
use super::seen;
use super::topology;
use super::{Fleet, Reached, Story, held, id_of, node_id};
use crate::store::fleet::{Inventory, Member, called};
use crate::store::{Id, StoreError};
use crate::sys::clock;

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
    /// Another box has this one's place: what that means is the first of the troubles.
    pub is_replaced: bool,
    /// This node keeps everybody's recordings, incidents and journal, not only its own.
    pub keeps_all: bool,
    /// How often what no node needs any more has left this node's logs: the number of the floor it is at, 0 before the first.
    pub floor: u64,
    /// What the next time waits for, in a sentence, if this node coordinates and it was not due when it last looked.
    pub floor_waits: Option<String>,
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
    /// `current` (it has what we have; of a node that this one needs no link to: the coordinator hears it), `behind`, `lost`
    /// (not reached), `lapsed` (not for 30 days), `retired`.
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
    /// It stands for election: in a fleet of more than eight the first five by rank.
    pub is_candidate: bool,
    /// It is this node.
    pub is_here: bool,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// Why it is not reached; of a node that this one has no link to, who says how it is.
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
    /// It is retired, and so is every node that said so: two retired each other, neither knowing. A third says which one
    /// goes, by retiring it again; the other then counts again.
    pub is_disputed: bool,
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
    /// Of what nodes saw; nothing from a node that keeps only its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
    /// Of the journal; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jrn: Option<String>,
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
        let members = store.kept_members()?;
        let inventories = store.inventories()?;
        let (reached, dials) = (held(&self.0.reached).clone(), held(&self.0.dials).clone());
        let believed = topology::believed(&members);
        let candidates = topology::candidates(&believed);
        // Those that do not stand for election are spoken with the more seldom the more there are: of hundreds one is called
        // lost after seven seconds, if the machine answers and only the program does not (see `fleet::lines`).
        let seldom_ms = election::Settings::LOCAL.others_ms(believed.len());
        let patience_of = |node: Id| SILENT_MS + if candidates.contains(&node) { 0 } else { seldom_ms };
        let coordinator = self.coordinator(standing.as_deref(), &members, us, now);
        let void = store.void_changes()?;
        let mut nodes = Vec::new();
        let standing_now = standing.as_deref();
        for member in members.iter() {
            let said = inventories.get(&member.id);
            let how = reached.get(&member.id).cloned().unwrap_or_default();
            let void_changes = void.get(&member.id).copied().unwrap_or_default();
            let is_disputed = member.is_retired && store.is_disputed(member.id)?;
            let is_candidate = candidates.contains(&member.id);
            let mut peer = standing_now.and_then(|standing| peer(standing, node_id(member.id), us, patience_of));
            if let Some(reaching) = &mut peer {
                reaching.silent_ms = reaching.silent_ms.or_else(|| self.unanswered_ms(member.id));
            }
            let is_linked = peer.is_some() || dials.contains(&member.id) || believed.len() <= topology::MESH_MAX;
            let word = (!is_linked).then(|| Word {
                is_heard: standing_now.and_then(|standing| hears(standing, member.id)),
                by: coordinator.as_ref().map(|coordinator| coordinator.name.clone()).unwrap_or_default(),
            });
            let node = node(member, us, now, peer, said, how, word);
            let view = NodeView { void_changes, is_disputed, is_candidate, ..node };
            nodes.push(self.called(view, member));
        }
        nodes.sort_by_key(|node| node.state == "retired");
        let of = nodes.iter().filter(|node| node.state != "retired").count();
        let replaced = self.replaced_words();
        Ok(FleetView {
            fleet_id: fleet.as_ref().map(|fleet| fleet.id.to_string()).unwrap_or_default(),
            name: fleet.map(|fleet| fleet.name).unwrap_or_default(),
            node_id: us.to_string(),
            coordinator,
            current: nodes.iter().filter(|node| node.state == "current").count(),
            of,
            nodes,
            is_replaced: replaced.is_some(),
            trouble: replaced.into_iter().chain(store.troubles()).chain(standing.as_deref().and_then(floor)).collect(),
            keeps_all: standing.as_ref().is_none_or(|standing| standing.keeps_all),
            floor: standing.as_ref().map_or(0, |standing| standing.floor.number),
            floor_waits: standing.as_ref().and_then(|look| look.floor.waits).map(|wait| self.floor_waits(wait)),
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

    fn floor_waits(&self, wait: FloorWait) -> String {
        match wait {
            FloorWait::Majority => "It waits for a majority that follows this node.".to_owned(),
            FloorWait::Member(node) => format!(
                "It waits for {}, which is not reached. Who was not heard for {} days, or is retired, is not waited for.",
                self.name_of(id_of(node)),
                seen::LAPSED_AFTER_DAYS
            ),
            FloorWait::Members => {
                "It waits for nodes that are not done with the last time or have just come back.".to_owned()
            }
            FloorWait::Barrier => "It waits until all nodes have what one of them has.".to_owned(),
            FloorWait::Entries { gained, of } => format!("{gained} entries would leave; {of} are worth it."),
            FloorWait::Records => "It waits for this node's records.".to_owned(),
        }
    }

    /// Whether this node keeps everybody's records by now.
    pub fn keeps_all(&self) -> bool {
        self.hub().is_none_or(|hub| hub.look().keeps_all)
    }

    /// Digests of all records, by stream. Reads every record.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn state_hashes(&self) -> Result<StateHashes, StoreError> {
        let logs = self.0.store.logs();
        let hash = |stream| -> Result<String, StoreError> { Ok(logs.stream_hash(stream)?.to_string()) };
        let is_keeper = self.keeps_all();
        let kept = |stream| is_keeper.then(|| hash(stream)).transpose();
        Ok(StateHashes {
            sec: hash(Stream::Sec)?,
            cfg: hash(Stream::Cfg)?,
            own: kept(Stream::Own)?,
            jrn: kept(Stream::Jrn)?,
        })
    }
}

/// What people should know of a node that does not have all records yet.
fn floor(standing: &Standing) -> Option<String> {
    let text = match standing.floor {
        FloorLook { is_below: true, .. } => {
            "This node was away for so long that the fleet has forgotten what it still has. It hands on what nobody else has \
             and then takes the fleet's records anew. Recording goes on."
        }
        FloorLook { stage: Some(Stage::Filling), .. } => {
            "The fleet's records are still coming: not all of them are here yet. Recording goes on."
        }
        FloorLook { .. } => return None,
    };
    Some(text.to_owned())
}

/// How much of the fleet this node reaches, counted as an election counts.
fn reachable(standing: &Standing, members: &[Member], us: Id) -> Mode {
    let believed = || members.iter().filter(|member| !member.is_retired);
    let weight = |member: &Member| u64::from(member.profile.weight);
    let all: u64 = believed().map(weight).sum();
    let is_reached = |member: &&Member| member.id == us || standing.peers.contains_key(&node_id(member.id));
    let here: u64 = match &standing.election.away {
        // No link to everybody: the coordinator's word. Whom it does not name counts as one.
        Some(away) => {
            let is_named = |member: &&Member| away.nodes.contains(&node_id(member.id));
            let named: u64 = believed().filter(is_named).map(weight).sum();
            all.saturating_sub(named + (away.count - away.nodes.len().min(away.count)) as u64)
        }
        None => believed().filter(is_reached).map(weight).sum(),
    };
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

fn peer(standing: &Standing, node: NodeId, us: Id, patience_of: impl Fn(Id) -> u64) -> Option<Reaching<'_>> {
    let peer = standing.peers.get(&node)?;
    // A coordinator speaks as often as the other stands for election.
    let patience_ms = match standing.election.role {
        Role::Coordinator { .. } => Some(patience_of(id_of(node))),
        Role::Follower { token, via: None } if token.node == node => Some(patience_of(us)),
        Role::Follower { .. } | Role::Candidate | Role::Bystander => None,
    };
    let silent_ms = (clock::mono_us() / 1_000).saturating_sub(peer.heard_ms);
    Some(Reaching { peer, silent_ms: patience_ms.is_some_and(|patience| silent_ms > patience).then_some(silent_ms) })
}

/// How a node is that this one needs no link to.
struct Word {
    /// Whether the coordinator hears it; nothing if it did not say.
    is_heard: Option<bool>,
    /// What that is called.
    by: String,
}

/// Whether the coordinator that this node follows hears a member, by its last heartbeat.
pub(super) fn hears(standing: &Standing, member: Id) -> Option<bool> {
    standing.election.away.as_ref()?.hears(node_id(member))
}

fn node(
    member: &Member,
    us: Id,
    now: Timestamp,
    reaching: Option<Reaching<'_>>,
    said: Option<&Inventory>,
    how: Reached,
    word: Option<Word>,
) -> NodeView {
    let is_here = member.id == us;
    let silent_ms = reaching.and_then(|reaching| reaching.silent_ms);
    let peer = reaching.filter(|reaching| reaching.silent_ms.is_none()).map(|reaching| reaching.peer);
    let is_heard = word.as_ref().is_some_and(|word| word.is_heard == Some(true));
    let lag_entries = peer.map_or(0, |peer| peer.lag.iter().map(|lag| lag.to_send + lag.to_receive).sum());
    let last_seen = match silent_ms {
        Some(silent_ms) => Some(now - before(silent_ms)),
        None if is_here || peer.is_some() || is_heard => Some(now),
        None => how.seen,
    };
    let ago = |since: u64| (clock::mono_us() / 1_000).saturating_sub(since);
    let behind_since = peer.and_then(|peer| peer.behind_since_ms).map(|since| now - before(ago(since)));
    let is_lapsed = !is_heard && seen::has_lapsed(&how, now, clock::quality(now));
    let state = match peer {
        _ if member.is_retired => "retired",
        _ if is_here => "current",
        Some(peer) if peer.is_in_step() => "current",
        Some(_) => "behind",
        None if is_heard => "current",
        None if is_lapsed => "lapsed",
        None => "lost",
    };
    let why = why(state, silent_ms, how.failed.map(|(_, why)| why), word);
    NodeView {
        id: member.id.to_string(),
        name: member.profile.name.clone(),
        state,
        last_seen,
        version: said.map(|said| said.version.clone()).unwrap_or_default(),
        lag_entries,
        behind_since,
        is_keeper: member.profile.is_keeper,
        is_candidate: false,
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
        is_disputed: false,
        void_changes: 0,
        clock_offset_ms: peer.and_then(|peer| peer.offset).map(|offset| offset.ms),
    }
}

fn why(state: &str, silent_ms: Option<u64>, failed: Option<String>, word: Option<Word>) -> Option<String> {
    let is_missed = state == "lost" || state == "lapsed";
    match (silent_ms, word, failed) {
        (None, Some(Word { is_heard: Some(true), by }), _) if state == "current" => {
            Some(format!("this node needs no link to it; {by}, which coordinates, hears it"))
        }
        _ if !is_missed => None,
        (Some(silent_ms), _, _) => Some(format!("nothing was heard of it for {} s", silent_ms / 1_000)),
        (None, Some(Word { is_heard: Some(false), by }), _) => {
            Some(format!("{by}, which coordinates, does not hear it"))
        }
        (None, None, Some(failed)) => Some(failed),
        (None, None, None) => Some("it has not been reached since this node started".to_owned()),
        (None, Some(_), _) => {
            Some("this node has no link to it, and the coordinator does not say how it is".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use replicate::core::election::{Away, Token};
    use replicate::core::entry::{Moment, Quality};
    use replicate::core::id::BootId;
    use replicate::net::Traffic;

    use super::*;
    use crate::store::fleet::Profile;

    fn member(name: &str) -> Member {
        let (name, id) = (name.to_owned(), Id::of_name(name));
        let (addresses, priority, is_keeper, is_candidate, weight) = (Vec::new(), 0, true, true, 1);
        let profile = Profile { name, addresses, priority, is_keeper, is_candidate, weight };
        Member { id, key: None, profile, joined: None, is_retired: false, version: String::new() }
    }

    /// A follower's, who has no link to anybody and was told of so many that are away.
    fn told(away: Option<Away>) -> Standing {
        let token = Token { epoch: 3, node: node_id(Id::of_name("boss")), inc: 1 };
        let role = Role::Follower { token, via: None };
        let (followed, vacant_since_ms, forced_until_ms) = (None, None, None);
        let election =
            election::Standing { role, seen: token, followed, of: 5, vacant_since_ms, forced_until_ms, away };
        let at = Moment { wall: 0, q: Quality::Ntp, boot: BootId([0; 16]), mono: 0 };
        let me = node_id(Id::of_name("us"));
        Standing {
            me,
            at,
            election,
            peers: BTreeMap::new(),
            links: 0,
            traffic: Traffic::default(),
            floor: FloorLook::default(),
            keeps_all: true,
        }
    }

    #[test]
    fn a_follower_without_links_knows_its_side_by_the_coordinators_word() {
        let members = ["us", "boss", "a", "b", "c"].map(member);
        let mode = |away| reachable(&told(away), &members, Id::of_name("us"));
        let named = |names: &[&str]| names.iter().map(|name| node_id(Id::of_name(name))).collect();

        assert_eq!(mode(None), Mode::Minority, "nobody said anything, and there is no link");
        assert_eq!(mode(Some(Away { count: 2, nodes: named(&["a", "b"]) })), Mode::Majority);
        assert_eq!(mode(Some(Away { count: 3, nodes: named(&["a", "b"]) })), Mode::Minority, "whoever the third is");
    }

    #[test]
    fn of_a_node_that_needs_no_link_it_is_said_who_hears_it() {
        let (us, now) = (Id::of_name("us"), Timestamp::UNIX_EPOCH);
        let seen = |is_heard| {
            let word = Some(Word { is_heard, by: "Hall".into() });
            let seen = node(&member("a"), us, now, None, None, Reached::default(), word);
            (seen.state, seen.last_seen.is_some(), seen.why.unwrap_or_default())
        };

        let (state, is_seen, why) = seen(Some(true));
        assert_eq!((state, is_seen), ("current", true));
        assert!(why.contains("Hall"), "{why}");
        let (state, is_seen, why) = seen(Some(false));
        assert_eq!((state, is_seen), ("lost", false));
        assert!(why.contains("Hall"), "{why}");
        assert_eq!(seen(None).0, "lost", "nothing is invented");
    }
}
