//! Links to the other nodes: who is dialled and when, and what the hub is told of the roster.
//!
//! Lives here: one loop that follows the roster, and one task for each other member that dials it while there is no link.
//! Either side may dial; the hub keeps one of two. Does not live here: what goes over a link (`replicate`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use replicate::core::election::{self, Role, Token, Told as Elections};
use replicate::core::id::Stream;
use replicate::core::message::FleetId;
use replicate::core::session::{self, Told};
use replicate::net::{Ended, Event, Hub, Patience, SUBPROTOCOL, Settings, websocket_config};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::join::Bootstrap;
use super::tls::{DialError, PeerKey, dial};
use super::{Fleet, held, id_of, node_id, tunnel};
use crate::access::acts::EditFleet;
use crate::access::{About, Actor, Ctx};
use crate::domain::access::Target;
use crate::service::live::Live;
use crate::service::moment;
use crate::store::fleet::{Inventory, Member, called};
use crate::store::{Edits, Id};
use crate::sys::{clock, disk, files, rng};

/// Where nodes speak.
pub const PEER_PATH: &str = "/peer/v1";
/// The roster is looked at so often when nothing says that it changed.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The first wait after a node was not reached; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Of two nodes the one with the greater id dials this much later, so that they do not both do it.
const COURTESY: Duration = Duration::from_millis(700);
/// Links at once. Every node has a link to every other: more nodes than this need another shape.
pub const LINKS_MAX: usize = 64;
/// The last token that was seen: the fence of the election.
const TOKEN_FILE: &str = "token.json";

/// Follows the roster until the node ends.
pub(super) async fn keep(fleet: Fleet) {
    let mut dialling: BTreeMap<Id, JoinHandle<()>> = BTreeMap::new();
    let mut changed = fleet.0.live.changed();
    loop {
        changed.mark_unchanged();
        let at = fleet.clone();
        if let Ok(known) = tokio::task::spawn_blocking(move || at.known()).await {
            fleet.follow(known, &mut dialling);
        }
        tokio::select! {
            news = changed.changed() => if news.is_err() { return },
            () = fleet.0.look.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What the roster says, or, of a newcomer, the invitation.
struct Known {
    fleet: Option<Id>,
    members: Vec<Member>,
    bootstrap: Option<Bootstrap>,
}

impl Fleet {
    /// Blocks.
    fn known(&self) -> Known {
        let fleet = self.0.store.fleet().ok().flatten().map(|fleet| fleet.id);
        let members = self.0.store.members().unwrap_or_default();
        let us = self.0.store.node();
        let is_in = members.iter().any(|member| member.id == us);
        let bootstrap = if is_in && fleet.is_some() { None } else { self.bootstrap() };
        if let Some(own) = members.iter().find(|member| member.id == us && !member.is_retired) {
            self.tell_own_address(own);
            self.tell_inventory();
        }
        Known { fleet: fleet.or(bootstrap.as_ref().map(|kept| kept.admission.fleet_id)), members, bootstrap }
    }

    /// Addresses change; the others learn of it from the roster.
    fn tell_own_address(&self, own: &Member) {
        let Some(us) = self.0.access.us() else { return };
        if own.profile.addresses == us.addresses {
            return;
        }
        let Ok(seed) = rng::bytes::<32>() else { return };
        let ctx = Ctx::new(moment(clock::now()), seed, "", "rakkr node");
        let about = About::thing("node", own.id, &own.profile.name);
        let told = self.0.access.allow::<EditFleet>(&ctx, &Actor::service("fleet"), &Target::Fleet, about);
        let kept = told.map_err(|error| error.to_string()).and_then(|allowed| {
            let mut edits = allowed.edits();
            let mut profile = own.profile.clone();
            profile.addresses = us.addresses;
            edits.put_member_profile(own.id, &profile);
            allowed.commit(edits).map_err(|error| error.to_string())
        });
        if let Err(error) = kept {
            tracing::warn!(error, "the new address of this node is not in the roster yet");
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

    fn follow(&self, known: Known, dialling: &mut BTreeMap<Id, JoinHandle<()>>) {
        let Some(id) = known.fleet else { return };
        let us = self.0.store.node();
        let Some(hub) = self.hub_of(id) else { return };
        let believed: Vec<&Member> = known.members.iter().filter(|member| !member.is_retired).collect();
        let is_in = believed.iter().any(|member| member.id == us);
        if is_in {
            let first =
                believed.iter().min_by_key(|member| (member.joined.as_ref().map(|joined| joined.at), member.id));
            let first = first.map(|member| member.id);
            hub.roster(believed.iter().map(|member| candidate(member, first)).collect());
        } else if known.members.iter().any(|member| member.id == us) {
            // This node was retired: it belongs to nobody's roster, also not to its own.
            hub.roster(Vec::new());
            dialling.values().for_each(JoinHandle::abort);
            dialling.clear();
            return;
        }
        let mut wanted: BTreeMap<Id, Peer> = BTreeMap::new();
        for member in believed.iter().filter(|member| member.id != us && is_in) {
            let key = member.key.as_ref().and_then(|key| PeerKey::from_hex(&key.spki));
            if let Some(key) = key {
                wanted.insert(member.id, Peer { id: member.id, key });
            }
        }
        if let Some(kept) = &known.bootstrap
            && let Some(key) = PeerKey::from_hex(&kept.spki)
        {
            wanted.insert(kept.admission.node_id, Peer { id: kept.admission.node_id, key });
        }
        dialling.retain(|id, task| {
            let stays = wanted.contains_key(id) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for (id, peer) in wanted {
            dialling.entry(id).or_insert_with(|| self.0.runtime.spawn(keep_link(self.clone(), hub.clone(), peer)));
        }
    }

    /// The hub, started with the first fleet that is known.
    fn hub_of(&self, fleet: Id) -> Option<Hub> {
        let mut slot = held(&self.0.hub);
        if slot.is_none() {
            match self.start_hub(fleet) {
                Ok(hub) => *slot = Some(hub),
                Err(error) => tracing::error!(%error, "links to other nodes cannot be started"),
            }
        }
        slot.clone()
    }

    fn start_hub(&self, fleet: Id) -> io::Result<Hub> {
        let token_file = self.0.data.join("records").join(TOKEN_FILE);
        let settings = Settings {
            fleet: FleetId(node_id(fleet)),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: crate::store::schema::KINDS.iter().map(|kind| ((*kind).to_owned(), 1)).collect(),
            features: Vec::new(),
            wants: Stream::ALL.to_vec(),
            session: session::Limits::default(),
            election: election::Settings::default(),
            seen: last_token(&token_file),
            links_max: LINKS_MAX,
            patience: Patience::default(),
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
        let hub = Hub::start(self.0.store.logs(), settings, self.0.runtime.clone(), moments, keep, tell)?;
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
                self.tell(at, "linked", format!("{} is reached.", name(node)));
            }
            Event::Unlinked { node, why } => {
                self.was_seen(id_of(node), at);
                self.was_not_reached(id_of(node), at, why.to_string());
                self.tell(at, "unlinked", format!("{} is not reached any more: {why}.", name(node)));
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
    fn name_of(&self, node: Id) -> String {
        called(node, self.0.store.member(node).ok().flatten().as_ref())
    }

    /// Carries a link that another node dialled. Whoever calls has looked the key up in the roster.
    pub async fn accept<S>(&self, socket: S, peer: Id)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Some(hub) = self.hub() else { return };
        let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
        let socket = WebSocketStream::from_raw_socket(socket, role, Some(websocket_config())).await;
        let ended = hub.run_link(socket, node_id(peer), false).await;
        tracing::debug!(%peer, %ended, "a link that was dialled to us ended");
    }
}

fn two_machines(name: &str) -> String {
    format!(
        "Two machines call themselves {name}: a copied disk. Both were told, and neither's new records are taken until one is chosen (`rakkr renew` on it)."
    )
}

fn candidate(member: &Member, first: Option<Id>) -> election::Member {
    election::Member {
        node: node_id(member.id),
        is_candidate: member.profile.is_candidate,
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

/// Whom to dial.
struct Peer {
    id: Id,
    key: PeerKey,
}

/// Dials a node whenever there is no link to it.
async fn keep_link(fleet: Fleet, hub: Hub, peer: Peer) {
    let node = node_id(peer.id);
    let mut wait = WAIT_MIN;
    let mut is_anew = false;
    let mut changed = hub.changed();
    loop {
        changed.mark_unchanged();
        if hub.look().peers.contains_key(&node) {
            fleet.was_seen(peer.id, clock::wall());
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        }
        if fleet.0.store.node() > peer.id {
            tokio::time::sleep(COURTESY).await;
            if hub.look().peers.contains_key(&node) {
                continue;
            }
        }
        match fleet.dial_link(&peer).await {
            Ok(socket) => {
                wait = WAIT_MIN;
                let ended = hub.run_link(socket, node, true).await;
                tracing::debug!(peer = %peer.id, %ended, "a link that we dialled ended");
                // Both ends wait for the next hello; but never twice in a row without a pause.
                is_anew = ended == Ended::Anew && !is_anew;
                if is_anew {
                    continue;
                }
            }
            Err(why) => fleet.was_not_reached(peer.id, clock::wall(), why),
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Half to one and a half times as long: nodes that lost each other together do not come back together.
pub(super) fn jittered(wait: Duration) -> Duration {
    let chance = rng::bytes::<1>().map_or(128, |[byte]| byte);
    wait.mul_f64(0.5 + f64::from(chance) / 255.0)
}

type Dialled = WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

impl Fleet {
    async fn dial_link(&self, peer: &Peer) -> Result<Dialled, String> {
        let (store, id) = (self.0.store.clone(), peer.id);
        let member = tokio::task::spawn_blocking(move || store.member(id).ok().flatten()).await.ok().flatten();
        let addresses = match member {
            Some(member) if !member.profile.addresses.is_empty() => member.profile.addresses,
            _ => self.bootstrap().map(|kept| kept.addresses).unwrap_or_default(),
        };
        let mut last = DialError::NoAddress.to_string();
        for address in addresses {
            match self.dial_at(&address, peer.key).await {
                Ok(socket) => return Ok(socket),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    async fn dial_at(&self, address: &str, key: PeerKey) -> Result<Dialled, String> {
        let stream = dial(address, &self.0.identity, key).await?;
        let uri = format!("wss://{address}{PEER_PATH}");
        let mut request = uri.into_client_request().map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let shaken = tokio_tungstenite::client_async_with_config(request, stream, Some(websocket_config())).await;
        shaken.map(|(socket, _)| socket).map_err(|error| format!("{address} does not speak with us: {error}"))
    }
}
