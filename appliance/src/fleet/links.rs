//! Links to the other nodes: what the hub is told of the roster, and what it tells.
//!
//! Lives here: one loop that follows the roster and has nodes dialled. Does not live here: whom (`topology`), how
//! (`dialling`), what goes over a link (`replicate`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use replicate::core::election::{self, Role, Token, Told as Elections};
use replicate::core::id::Stream;
use replicate::core::message::FleetId;
use replicate::core::session::{self, Told};
use replicate::core::wish::KEPT_BY_ALL;
use replicate::net::{Ended, Event, Hub, Settings, websocket_config};
use tokio_tungstenite::WebSocketStream;

use super::dialling::{Dialling, Following, Peer, keep_link};
use super::join::Bootstrap;
use super::seen;
use super::state;
use super::tls::PeerKey;
use super::topology::{self, Node};
use super::{Fleet, Reached, held, id_of, node_id, tunnel};
use crate::access::acts::EditFleet;
use crate::access::{About, Actor, Ctx};
use crate::domain::access::Target;
use crate::service::live::Live;
use crate::service::moment;
use crate::store::fleet::{Inventory, MEMBERS_MAX, Member, Profile, called};
use crate::store::{Edits, Id};
use crate::sys::line::Line;
use crate::sys::{clock, disk, files, rng};

/// The roster is looked at so often when nothing says that it changed.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same in a large fleet, where reading it is work.
const LOOK_EVERY_IN_MANY: Duration = Duration::from_secs(10);
/// After a look the next one waits so many times as long as that took: records that never stop changing do not take a core.
const LOOK_PAUSE: u32 = 5;
/// Links at once: everybody dials the coordinator and the standbys, and each node may become that.
pub const LINKS_MAX: usize = MEMBERS_MAX + 24;
/// Who was not reached so long ago may be back: it is not counted as away any more.
const AWAY_FOR: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// Without a word of a peer's for so long it is asked whether it is there. Longer than the coordinator's heartbeats to those
/// that do not stand for election (5 s among hundreds) and their answers take: these do the same work.
const PING_MS: u64 = 7_000;
/// From opening a link to the other node's hello: when the power of hundreds is back, each waits for its turn.
const HELLO_MS: u64 = 20_000;
/// Seconds of a day: so often the neighbours of a large fleet change.
const DAY_S: i64 = 86_400;
/// The last token that was seen: the fence of the election.
const TOKEN_FILE: &str = "token.json";

/// Follows the roster until the node ends.
pub(super) async fn keep(fleet: Fleet) {
    let mut following = Following::default();
    let mut changed = fleet.0.live.changed();
    let mut kept_us = clock::mono_us();
    loop {
        changed.mark_unchanged();
        let (at, began_us) = (fleet.clone(), clock::mono_us());
        if began_us.saturating_sub(kept_us) > seen::KEEP_EVERY_US {
            kept_us = began_us;
            let at = fleet.clone();
            fleet.0.runtime.spawn_blocking(move || at.keep_seen());
        }
        let mut every = LOOK_EVERY;
        if let Ok(known) = tokio::task::spawn_blocking(move || at.known()).await {
            if known.members.len() > topology::MESH_MAX {
                every = LOOK_EVERY_IN_MANY;
            }
            fleet.follow(known, &mut following);
        }
        let took = Duration::from_micros(clock::mono_us().saturating_sub(began_us));
        tokio::select! {
            is_gone = async {
                tokio::time::sleep(took * LOOK_PAUSE).await;
                changed.changed().await.is_err()
            } => if is_gone { return },
            () = fleet.0.look.notified() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// What the roster says, or, of a newcomer, the invitation.
struct Known {
    fleet: Option<Id>,
    members: Arc<Vec<Member>>,
    bootstrap: Option<Bootstrap>,
    /// Another box has this one's place.
    is_replaced: bool,
}

impl Fleet {
    /// Blocks.
    fn known(&self) -> Known {
        let fleet = self.0.store.fleet().ok().flatten().map(|fleet| fleet.id);
        let members = self.0.store.kept_members().unwrap_or_default();
        let us = self.0.store.node();
        let is_in = members.iter().any(|member| member.id == us);
        let bootstrap = if is_in && fleet.is_some() { None } else { self.bootstrap() };
        let is_replaced = self.replaced_since(PeerKey(self.0.identity.spki)).is_ok_and(|since| since.is_some());
        if let Some(own) = members.iter().find(|member| member.id == us && !member.is_retired && !is_replaced) {
            self.tell_own_address(own);
            self.tell_inventory();
            self.make_keepers(&members);
        }
        Known {
            fleet: fleet.or(bootstrap.as_ref().map(|kept| kept.admission.fleet_id)),
            members,
            bootstrap,
            is_replaced,
        }
    }

    /// Addresses change; the others learn of it from the roster.
    fn tell_own_address(&self, own: &Member) {
        let Some(us) = self.0.access.us() else { return };
        if own.profile.addresses == us.addresses {
            return;
        }
        let profile = Profile { addresses: us.addresses, ..own.profile.clone() };
        if let Err(error) = self.tell_profile(own, &profile) {
            tracing::warn!(error, "the new address of this node is not in the roster yet");
        }
    }

    fn tell_profile(&self, member: &Member, profile: &Profile) -> Result<(), String> {
        let seed = rng::bytes::<32>().map_err(|error| error.to_string())?;
        let ctx = Ctx::new(moment(clock::now()), seed, "", "rakkr node");
        let about = About::thing("node", member.id, &member.profile.name);
        let allowed = self.0.access.allow::<EditFleet>(&ctx, &Actor::service("fleet"), &Target::Fleet, about);
        let allowed = allowed.map_err(|error| error.to_string())?;
        let mut edits = allowed.edits();
        edits.expect_member(member.id, &member.version);
        edits.put_member_profile(member.id, profile);
        allowed.commit(edits).map(drop).map_err(|error| error.to_string())
    }

    /// Makes keepers of those that have to be and are not, if this node coordinates. On two sides of a split that is the same
    /// word twice.
    fn make_keepers(&self, members: &[Member]) {
        let us = self.0.store.node();
        let is_ours = self.hub().is_some_and(|hub| matches!(hub.look().election.role, Role::Coordinator { .. }));
        let due = if is_ours { topology::keepers_due(&topology::believed(members), us) } else { Vec::new() };
        for member in members.iter().filter(|member| due.contains(&member.id)) {
            let profile = Profile { is_keeper: true, ..member.profile.clone() };
            if let Err(error) = self.tell_profile(member, &profile) {
                tracing::warn!(error, "{} is not a keeper yet", member.profile.name);
            }
        }
    }

    /// Says what this node is and does, when that is not what it said last.
    fn tell_inventory(&self) {
        let store = &self.0.store;
        let status = self.0.live.status();
        let state = match &status {
            None => "offline",
            Some(status) if status.recording.iter().any(|take| !take.is_paused) => "recording",
            Some(status) if !status.recording.is_empty() => "paused",
            Some(status) if !status.trouble.is_empty() => "trouble",
            Some(_) => "idle",
        };
        let space = disk::space(&self.0.data).ok();
        // To the gigabyte: free room that shrinks by the second is no news to anybody.
        let rounded = |bytes: u64| bytes >> 30 << 30;
        let before = store.inventory(store.node()).ok().flatten();
        let now = Inventory {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: String::new(),
            started: before
                .as_ref()
                .filter(|_| self.0.has_told.load(Ordering::Relaxed))
                .map_or_else(clock::wall, |said| said.started),
            disk: space.map(|space| (rounded(space.free_bytes), space.total_bytes)).unwrap_or_default(),
            jack: status
                .as_ref()
                .filter(|status| status.jack.is_connected)
                .map(|status| (status.jack.sample_rate, status.channels.len() as u16)),
            room: store.room().ok().flatten().map(|room| room.id),
            state: state.to_owned(),
        };
        if before.as_ref() == Some(&now) {
            return;
        }
        let mut edits = Edits::by("service:fleet");
        edits.put_inventory(store.node(), &now);
        match store.commit(edits, moment(clock::now())) {
            Ok(_) => self.0.has_told.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "what this node does is not in the records yet"),
        }
    }

    fn follow(&self, known: Known, following: &mut Following) {
        let Some(id) = known.fleet else { return };
        let us = self.0.store.node();
        let kept = kept(&known, us);
        let Some(hub) = self.hub_of(id, kept) else { return };
        following.keep(&hub, kept);
        let believed: Vec<&Member> = known.members.iter().filter(|member| !member.is_retired).collect();
        let is_in = believed.iter().any(|member| member.id == us) && !known.is_replaced;
        let nodes: Vec<Node> = believed.iter().map(|member| Node::of(member)).collect();
        let key_of = |member: &Member| member.key.as_ref().and_then(|key| PeerKey::from_hex(&key.spki));
        let keys = believed.iter().filter_map(|member| Some((member.id, key_of(member)?))).collect();
        self.0.keys.send_if_modified(|known| {
            keys != *known && {
                *known = keys;
                true
            }
        });
        if is_in {
            following.tell(&hub, roster(&believed, &nodes));
        } else if known.members.iter().any(|member| member.id == us) {
            // This node was retired or replaced: it belongs to nobody's roster, also not to its own.
            following.tell(&hub, Vec::new());
            std::mem::take(&mut following.dialling).into_values().for_each(|dialling| dialling.task.abort());
            return;
        }
        let dials = if is_in { self.dials(&hub, &nodes) } else { BTreeSet::new() };
        let (look, now) = (hub.look(), clock::wall());
        self.knows(believed.iter().map(|member| member.id).filter(|id| *id != us), now);
        let unlinked = believed.iter().filter(|member| !dials.contains(&member.id));
        for member in unlinked.filter(|member| state::hears(&look, member.id) == Some(true)) {
            self.was_seen(member.id, now);
        }
        hub.lapsed(self.lapsed(now).into_iter().map(node_id).filter(|node| !look.peers.contains_key(node)));
        let mut wanted: BTreeMap<Id, Peer> = BTreeMap::new();
        for member in believed.iter().filter(|member| dials.contains(&member.id)) {
            if let Some(key) = key_of(member) {
                wanted.insert(member.id, Peer { id: member.id, key });
            }
        }
        if let Some(kept) = &known.bootstrap
            && let Some(key) = PeerKey::from_hex(&kept.spki)
        {
            wanted.insert(kept.admission.node_id, Peer { id: kept.admission.node_id, key });
        }
        *held(&self.0.dials) = dials;
        let is_believed = |id: &Id| believed.iter().any(|member| member.id == *id);
        following.let_go(&hub, |id| wanted.contains_key(id), is_believed);
        for (id, peer) in wanted {
            following.dialling.entry(id).or_insert_with(|| Dialling {
                task: self.0.runtime.spawn(keep_link(self.clone(), hub.clone(), peer)),
                unwanted_ms: None,
            });
        }
    }

    /// Whom this node dials.
    fn dials(&self, hub: &Hub, members: &[Node]) -> BTreeSet<Id> {
        let now = clock::wall();
        let coordinator = match hub.look().election.role {
            Role::Follower { token, .. } => Some(id_of(token.node)),
            Role::Coordinator { .. } | Role::Candidate | Role::Bystander => None,
        };
        let is_away = |(_, how): &(&Id, &Reached)| {
            how.failed.as_ref().is_some_and(|(at, _)| now.duration_since(*at).abs() < AWAY_FOR)
        };
        let away: BTreeSet<Id> = held(&self.0.reached).iter().filter(is_away).map(|(id, _)| *id).collect();
        let day = now.as_second().div_euclid(DAY_S).cast_unsigned();
        topology::dials(members, &topology::Known { us: self.0.store.node(), coordinator, away: &away, day })
    }

    /// The hub, started with the first fleet that is known, and of which streams it keeps everything.
    fn hub_of(&self, fleet: Id, kept: &[Stream]) -> Option<Hub> {
        let mut slot = held(&self.0.hub);
        if slot.is_none() {
            match self.start_hub(fleet, kept) {
                Ok(hub) => *slot = Some(hub),
                Err(error) => tracing::error!(%error, "links to other nodes cannot be started"),
            }
        }
        slot.clone()
    }

    fn start_hub(&self, fleet: Id, kept: &[Stream]) -> io::Result<Hub> {
        let token_file = self.0.data.join("records").join(TOKEN_FILE);
        let settings = Settings {
            fleet: FleetId(node_id(fleet)),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: crate::store::schema::KINDS.iter().map(|kind| ((*kind).to_owned(), 1)).collect(),
            features: Vec::new(),
            wants: kept.to_vec(),
            session: session::Limits { ping_ms: PING_MS, hello_ms: HELLO_MS, ..session::Limits::default() },
            election: election::Settings::default(),
            seen: last_token(&token_file),
            links_max: LINKS_MAX,
            patience: self.0.forgetting.patience(),
        };
        let store = self.0.store.clone();
        let moments = move || store.stamp(moment(clock::now()));
        let keep = move |token: Token| files::replace(&token_file, &serde_json::to_vec(&token)?);
        // The hub's thread must not be held up and must not keep the fleet alive.
        let inner = Arc::downgrade(&self.0);
        let tell = move |event| {
            if let Some(inner) = inner.upgrade() {
                Fleet(inner).heard(event);
            }
        };
        let hub = Hub::start(self.0.store.logs(), settings, self.0.links.clone(), moments, keep, tell)?;
        self.0.runtime.spawn(tell_of_silence(hub.clone(), self.0.live.clone()));
        self.0.runtime.spawn(tunnel::keep(self.clone(), hub.changed()));
        Ok(hub)
    }

    /// What the hub tells, as sentences.
    fn heard(&self, event: Event) {
        let at = clock::wall();
        let name = |node| self.name_of(id_of(node));
        match event {
            Event::Linked(node) => {
                self.was_seen(id_of(node), at);
                if self.is_watched(id_of(node)) {
                    self.tell(at, "linked", format!("{} is reached.", name(node)));
                }
            }
            Event::Unlinked { node, why } => {
                self.was_seen(id_of(node), at);
                if why != Ended::Disconnected {
                    self.was_not_reached(id_of(node), at, why.to_string());
                }
                if self.is_watched(id_of(node)) {
                    self.tell(at, "unlinked", format!("{} is not reached any more: {why}.", name(node)));
                }
            }
            Event::Role(role) => {
                if let Role::Coordinator { token, .. } | Role::Follower { token, .. } = role {
                    let mut followed = held(&self.0.followed);
                    if followed.is_none_or(|(known, _)| known != token) {
                        *followed = Some((token, at));
                    }
                }
                self.0.live.bump();
            }
            Event::Session(node, told) => self.heard_of_session(at, &name(node), &told),
            Event::Election(told) => self.heard_of_election(at, told),
            Event::TokenNotKept { why, .. } => {
                let text = format!("This node cannot keep who coordinates ({why}): it does not stand for election.");
                self.tell(at, "trouble", text);
            }
            Event::Renamed { .. }
            | Event::Quarantined(_)
            | Event::Doubled(_)
            | Event::StoreFailed(_)
            | Event::StoreHealed
            | Event::Alarm(_) => self.heard_of_records(at, event),
        }
    }

    /// Whether it is news here that a link came or went: whoever else dialled this node comes and goes as it likes, and
    /// only the coordinator of a large fleet should have a link to all.
    fn is_watched(&self, node: Id) -> bool {
        let coordinates = held(&self.0.followed).is_some_and(|(token, _)| id_of(token.node) == self.0.store.node());
        coordinates || held(&self.0.dials).contains(&node)
    }

    /// What became of this node's own records, and of its name.
    fn heard_of_records(&self, at: jiff::Timestamp, event: Event) {
        let (kind, text) = match event {
            Event::Renamed { .. } => (
                "renewed",
                "This node's records go on as a new part, after what the other nodes remember of it: nothing is written over. Nothing is to be done.".to_owned(),
            ),
            Event::Quarantined(why) => ("doubled", format!("{}: {why}.", crate::store::STANDS_STILL)),
            Event::Doubled(node) => {
                ("clone", two_machines(&self.name_of(id_of(node))))
            }
            Event::StoreFailed(why) => {
                let text = format!(
                    "The records cannot be read or written ({why}). Recording goes on; what people change is refused until it is well again. It is tried again and again."
                );
                ("trouble", text)
            }
            Event::StoreHealed => {
                ("healed_records", "The records can be read and written again.".to_owned())
            }
            Event::Alarm(alarm) => ("trouble", crate::store::alarm(&alarm)),
            Event::Linked(_)
            | Event::Unlinked { .. }
            | Event::Role(_)
            | Event::Session(..)
            | Event::Election(_)
            | Event::TokenNotKept { .. } => return,
        };
        self.tell(at, kind, text);
    }

    fn heard_of_session(&self, at: jiff::Timestamp, name: &str, told: &Told) {
        match told {
            Told::Fork { .. } => {
                let text = format!(
                    "Two nodes write under one name: {name} has other records at the same place. Both are kept as evidence; look for a copied disk."
                );
                self.tell(at, "fork", text);
            }
            Told::Clone { node, .. } => {
                self.tell(at, "clone", two_machines(&self.name_of(id_of(*node))));
            }
            Told::OurOwnFuture { .. } => {
                let text = format!(
                    "{name} remembers more of this node than this node does: a backup was put back, or a disk lost what it had. What is missing comes back from the other nodes."
                );
                self.tell(at, "own_future", text);
            }
            _ => {}
        }
    }

    fn heard_of_election(&self, at: jiff::Timestamp, told: Elections) {
        let (kind, text) = match told {
            Elections::Elected { token, .. } => {
                ("elected", format!("This node coordinates the fleet (term {}).", token.epoch))
            }
            Elections::Lost { token, .. } => {
                ("lost", format!("This node does not coordinate any more (term {} is over).", token.epoch))
            }
            Elections::Healed { ours, theirs, from_ms, to_ms } => {
                let other = self.name_of(id_of(theirs.node));
                let seconds = to_ms.saturating_sub(from_ms) / 1_000;
                let text = format!(
                    "The fleet was split for {seconds} s: this node (term {}) and {other} (term {}) both coordinated. Records of both sides are kept; what two people changed in two ways is told on the fleet's page.",
                    ours.epoch, theirs.epoch
                );
                ("healed", text)
            }
            Elections::NotHandedOver { to, .. } => {
                ("trouble", format!("{} did not take over: this node goes on coordinating.", self.name_of(id_of(to))))
            }
            Elections::Forced { token, .. } => {
                let text = format!("An owner let this node act without a majority for a time (term {}).", token.epoch);
                ("forced", text)
            }
        };
        self.tell(at, kind, text);
    }

    /// What a node is called, as the records say now.
    pub(super) fn name_of(&self, node: Id) -> String {
        called(node, self.0.store.member(node).ok().flatten().as_ref())
    }

    /// Until the roster gives a member another key.
    pub(super) async fn has_other_key(&self, member: Id, key: PeerKey) {
        let mut keys = self.0.keys.subscribe();
        // A sender that is gone ends all anyway.
        let _ = keys.wait_for(|keys| keys.get(&member).is_some_and(|known| *known != key)).await;
    }

    /// Carries a link that another node dialled over a line, for as long as its key is the member's. Whoever calls has looked
    /// it up in the roster.
    pub async fn accept<S>(&self, socket: S, line: Option<Line>, peer: Id, key: PeerKey)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Some(hub) = self.hub() else { return };
        let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
        let socket = WebSocketStream::from_raw_socket(socket, role, Some(websocket_config())).await;
        let _attended = line.map(|line| self.attend(peer, line));
        tokio::select! {
            ended = hub.run_link(socket, node_id(peer), false) => {
                tracing::debug!(%peer, %ended, "a link that was dialled to us ended");
            }
            () = self.has_other_key(peer, key) => tracing::info!(%peer, "a link ended: the key behind it is not the node's any more"),
        }
    }
}

fn two_machines(name: &str) -> String {
    format!(
        "Two machines call themselves {name}: a copied disk. Both were told, and neither's new records are taken until one is chosen (`rakkr renew` on it)."
    )
}

/// Of which streams a node keeps everything, by the roster; before that is here, by what it was told when it came in.
fn kept(known: &Known, us: Id) -> &'static [Stream] {
    let own = known.members.iter().find(|member| member.id == us).map(|member| member.profile.is_keeper);
    let told = known.bootstrap.as_ref().map(|kept| kept.admission.is_keeper);
    if own.or(told).unwrap_or(true) { &Stream::ALL } else { &KEPT_BY_ALL }
}

/// The members as the election knows them.
fn roster(members: &[&Member], nodes: &[Node]) -> Vec<election::Member> {
    let first = members.iter().min_by_key(|member| (member.joined.as_ref().map(|joined| joined.at), member.id));
    let first = first.map(|member| member.id);
    let standing: BTreeSet<Id> = topology::candidates(nodes).into_iter().collect();
    members.iter().map(|member| candidate(member, first, standing.contains(&member.id))).collect()
}

fn candidate(member: &Member, first: Option<Id>, is_candidate: bool) -> election::Member {
    election::Member {
        node: node_id(member.id),
        is_candidate,
        priority: member.profile.priority,
        is_keeper: member.profile.is_keeper,
        weight: member.profile.weight,
        // Of two halves the one with the fleet's first node goes on.
        is_primary: Some(member.id) == first,
        is_pinned: false,
    }
}

/// The last token that was kept. One that cannot be read is none: the next election finds the greatest by asking.
fn last_token(path: &Path) -> Token {
    let text = std::fs::read(path).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(Token::NONE)
}

/// Wakes pages when one more or one less follows this node: of silence no link tells for a while.
async fn tell_of_silence(hub: Hub, live: Live) {
    let mut changed = hub.changed();
    let mut followed = None;
    while changed.changed().await.is_ok() {
        let now = hub.look().election.followed;
        if std::mem::replace(&mut followed, now) != now {
            live.bump();
        }
    }
}
