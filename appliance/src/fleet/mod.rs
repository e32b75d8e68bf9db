//! The fleet: who belongs to it, links to the other nodes, who coordinates.
//!
//! Lives here: `tls` (how two nodes know each other), `join` (coming in, both ends), `replace` (in a member's place), `links`
//! (what the hub of `replicate` is told), `topology` (who dials whom), `dialling`, `seen` (when each was last heard), `lines`
//! (whether machines answer), `call` (asking another node's own pages, as the person who asked), `tunnel` (calls beside a
//! link, where nobody can dial), `state` (how it all stands, for people), `levels` (of the other nodes, for who looks at all
//! rooms), `sealing` (the fleet's key and its secrets), `nearby` and `mdns` (recorders on the network). Does not live here:
//! how records merge and who is elected (`replicate`), what records mean (`store`), pages. Nothing here is on the recording
//! path: a node whose links are all down records as ever.

pub mod call;
mod dialling;
mod forgetting;
pub mod join;
pub mod levels;
mod lines;
mod links;
pub mod mdns;
pub mod nearby;
pub mod replace;
pub mod sealing;
mod seen;
pub mod state;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod topology;
pub mod tunnel;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use replicate::core::election::{Gated, Token, Why};
use replicate::core::id::NodeId;
use replicate::net::Hub;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::access::Access;
use crate::access::identity::Identity;
use crate::access::sealing::BoxKey;
use crate::service::live::Live;
use crate::service::{Supervisor, moment};
use crate::store::fleet::Member;
use crate::store::{Id, Store, StoreError};
use crate::sys::clock;
pub use dialling::{PEER_PATH, REPLACED};
pub use forgetting::Forgetting;
use tls::PeerKey;

/// Things that happened to the fleet that are kept for people, newest last.
pub const STORIES_MAX: usize = 200;
/// Nodes of which it is remembered how reaching them went.
const REACHED_MAX: usize = 1_000;

/// What a fleet is made of.
pub struct Parts {
    /// Where the node keeps everything.
    pub data: PathBuf,
    /// Records and rights.
    pub access: Access,
    /// Wakes pages when something changed.
    pub live: Live,
    /// This node's key.
    pub identity: Arc<Identity>,
    /// What envelopes for this box are opened with.
    pub sealing: Arc<BoxKey>,
    /// Links are kept up and heard here.
    pub runtime: Handle,
    /// Where links are written, apart from all else: a change goes to hundreds of nodes at once.
    pub links: Handle,
    /// When entries leave the logs.
    pub forgetting: Forgetting,
}

/// The node's part in its fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    data: PathBuf,
    access: Access,
    store: Store,
    live: Live,
    identity: Arc<Identity>,
    sealing: Arc<BoxKey>,
    runtime: Handle,
    links: Handle,
    forgetting: Forgetting,
    hub: Mutex<Option<Hub>>,
    reached: Mutex<BTreeMap<Id, Reached>>,
    /// Whom this node dials: to the others it need not have a link.
    dials: Mutex<BTreeSet<Id>>,
    stories: Mutex<VecDeque<Story>>,
    followed: Mutex<Option<(Token, Timestamp)>>,
    /// Of other nodes, while somebody watches.
    levels: levels::Gathered,
    /// Whether machines answer.
    lines: lines::Lines,
    /// Ways to call without dialling.
    tunnels: tunnel::Tunnels,
    /// Someone joined or left: look anew at once.
    look: Notify,
    /// This process has said what it is.
    has_told: AtomicBool,
    /// The key of each member, as the roster has it: a link under another one ends.
    keys: watch::Sender<BTreeMap<Id, PeerKey>>,
    /// What another node said: that another box has this one's place.
    replaced: Mutex<Option<String>>,
    /// Recorders that are seen on the network.
    nearby: Mutex<nearby::Nearby>,
    /// This box goes on as another node.
    is_to_begin_anew: AtomicBool,
}

/// How reaching a node went.
#[derive(Debug, Clone, Default)]
struct Reached {
    /// When it was last heard, also by this node before it was started anew.
    seen: Option<Timestamp>,
    /// Since when this node knows it.
    known: Option<Timestamp>,
    /// Why it is not reached, and since when it was tried.
    failed: Option<(Timestamp, String)>,
}

/// Something that happened to the fleet.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Story {
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// One word: `elected`, `lost`, `healed`, `handed_over`, `forced`, `linked`, `unlinked`, `fork`, `clone`, `own_future`,
    /// `renewed`, `doubled`, `healed_records`, `replaced`, `trouble`.
    pub kind: &'static str,
    /// A sentence.
    pub text: String,
}

/// The loops that keep a fleet.
pub fn spawn_all(supervisor: &mut Supervisor, fleet: &Fleet) {
    let (keeps, attends) = (fleet.clone(), fleet.clone());
    supervisor.spawn(move || Box::new(keeps.sealing()));
    supervisor.spawn(move || Box::new(attends.lines()));
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node as `replicate` names it.
fn node_id(id: Id) -> NodeId {
    NodeId(id.0.into_bytes())
}

fn id_of(node: NodeId) -> Id {
    Id(uuid::Uuid::from_bytes(node.0))
}

impl Fleet {
    /// Begins: links come up as soon as there is a fleet.
    pub fn start(parts: Parts) -> Self {
        let fleet = Self::idle(parts);
        fleet.begin();
        fleet
    }

    /// Links come up from now on; once.
    pub(crate) fn begin(&self) {
        self.0.runtime.spawn(links::keep(self.clone()));
    }

    /// One that links to nobody.
    pub fn idle(parts: Parts) -> Self {
        let Parts { data, access, live, identity, sealing, runtime, links, forgetting } = parts;
        let store = access.store().clone();
        let reached = seen::load(&data);
        Self(Arc::new(Inner {
            data,
            access,
            store,
            live,
            identity,
            sealing,
            runtime,
            links,
            forgetting,
            hub: Mutex::default(),
            reached: Mutex::new(reached),
            dials: Mutex::default(),
            stories: Mutex::default(),
            followed: Mutex::default(),
            levels: levels::Gathered::default(),
            lines: lines::Lines::default(),
            tunnels: tunnel::Tunnels::default(),
            look: Notify::new(),
            has_told: AtomicBool::new(false),
            keys: watch::Sender::default(),
            replaced: Mutex::default(),
            nearby: Mutex::default(),
            is_to_begin_anew: AtomicBool::new(false),
        }))
    }

    /// Ends all links.
    pub fn stop(&self) {
        self.keep_seen();
        if let Some(hub) = held(&self.0.hub).take() {
            hub.stop();
        }
        self.0.tunnels.stop();
    }

    fn hub(&self) -> Option<Hub> {
        held(&self.0.hub).clone()
    }

    /// The member that holds a key; none if nobody does, or a node that was retired.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn member_of(&self, key: PeerKey) -> Result<Option<Member>, StoreError> {
        let hex = crate::access::fleet::hex(&key.0);
        Ok(self.0.store.members_with_key(&hex)?.into_iter().find(|member| !member.is_retired))
    }

    /// Whether this node may do, now, what cannot be taken back.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, act: Gated) -> Result<(), Why> {
        self.hub().map_or(Ok(()), |hub| hub.may(act))
    }

    /// Of two machines that use this node's name this one goes on. Blocks until that is kept. False if it did not stand
    /// still.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn renew(&self) -> Result<bool, StoreError> {
        let (store, records) = (&self.0.store, self.0.store.logs());
        if !records.brief().is_quarantined {
            return Ok(false);
        }
        records.renew(store.stamp(moment(clock::now()))).wait()?;
        Ok(true)
    }

    /// Takes the role of coordinator for this node, whoever holds it.
    pub fn force(&self) {
        if let Some(hub) = self.hub() {
            hub.force();
        }
    }

    /// Hands the role of coordinator to another node.
    pub fn hand_over(&self, to: Id) {
        if let Some(hub) = self.hub() {
            hub.hand_over(node_id(to));
        }
    }

    /// The roster changed: it is told to the links at once.
    pub fn look_anew(&self) {
        self.0.look.notify_one();
    }

    fn tell(&self, at: Timestamp, kind: &'static str, text: String) {
        tracing::info!(kind, text, "fleet");
        let mut stories = held(&self.0.stories);
        stories.push_back(Story { at, kind, text });
        while stories.len() > STORIES_MAX {
            stories.pop_front();
        }
        drop(stories);
        self.0.live.bump();
    }

    fn was_seen(&self, node: Id, at: Timestamp) {
        let mut reached = held(&self.0.reached);
        if reached.len() < REACHED_MAX || reached.contains_key(&node) {
            let how = reached.entry(node).or_default();
            (how.seen, how.failed) = (Some(at), None);
        }
    }

    /// Keeps when each node was last heard. A file that cannot be written is told, and nothing else: it is made anew.
    fn keep_seen(&self) {
        let now = clock::wall();
        let linked = self.hub().map(|hub| hub.look());
        let mut reached = held(&self.0.reached).clone();
        for node in linked.iter().flat_map(|look| look.peers.keys()) {
            reached.entry(id_of(*node)).or_default().seen = Some(now);
        }
        if let Err(error) = seen::keep(&self.0.data, &reached) {
            tracing::warn!(%error, "when the other nodes were last heard is not kept");
        }
    }

    /// Who was not heard for so long that nobody waits for them.
    fn lapsed(&self, now: Timestamp) -> Vec<Id> {
        let reached = held(&self.0.reached);
        let lapsed = reached.iter().filter(|(_, how)| seen::has_lapsed(how, now, clock::quality(now)));
        lapsed.map(|(id, _)| *id).collect()
    }

    /// Notes nodes that were not known before: from now on it counts how long they are not heard.
    fn knows(&self, nodes: impl Iterator<Item = Id>, now: Timestamp) {
        let mut reached = held(&self.0.reached);
        for node in nodes {
            if reached.len() < REACHED_MAX || reached.contains_key(&node) {
                reached.entry(node).or_default().known.get_or_insert(now);
            }
        }
    }

    fn was_not_reached(&self, node: Id, at: Timestamp, why: String) {
        let mut reached = held(&self.0.reached);
        if reached.len() < REACHED_MAX || reached.contains_key(&node) {
            reached.entry(node).or_default().failed = Some((at, why));
        }
    }
}
