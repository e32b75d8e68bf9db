//! Links to other nodes: WebSockets below, sessions and the election above, the store beside them.
//!
//! Lives here: [`Hub`], which ties them together and decides nothing: `core` says what is to be done, and here it is done.
//! Parts: `hub` (the one thread that owns every session and the election), `link` (one socket), `queue` (what waits for
//! the thread), `squeeze` (bytes of a message), `look` (what is shown of it), `names` (whether two
//! machines use one). Does not: dialling, TLS, who may be a peer;
//! a socket is handed in upgraded, encrypted, and with its peer proven. No clock: the time is in the moments it is given.

mod hub;
mod link;
mod look;
mod names;
mod queue;
mod squeeze;

#[cfg(feature = "stepped")]
pub use self::hub::stepped::Stepper;
pub use self::link::{LINK_HEARD_BYTES_MAX, OUT_ALL_BYTES_MAX, OUT_BYTES_MAX, Traffic, frames};
pub use self::look::{BEHIND_AFTER_MS, FloorLook, FloorWait, Peer, PeerState, Standing};
pub use self::queue::COMMANDS_MAX;
pub use self::squeeze::{SQUEEZED_BYTES_MIN, Unwelcome, pack, unpack};

use self::link::Link;
use self::look::Looks;
use self::queue::{Command, Order, Place, Queue};
use crate::core::election::{self, Election, Gated, Token, Why};
use crate::core::entry::Moment;
use crate::core::id::{NodeId, Origin, Stream};
use crate::core::message::FleetId;
use crate::core::mutant::{Mutant, is_on};
use crate::core::session;
use crate::disk::opening::Alarm;
use crate::disk::store::Store;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio_tungstenite::WebSocketStream;
pub use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The subprotocol a socket is upgraded with.
pub const SUBPROTOCOL: &str = "repl.1";
/// A longer message is refused by the socket, and the link is closed.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// The longest frame. Longer messages go in several.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Bytes that all links together may have brought and the hub has not taken in.
pub const HEARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Links beyond [`Settings::links_max`] that may be on their way in or out. More are dropped without a word.
pub const LEAVING_MAX: usize = 64;

/// Links that may say hello and tell how far they have come at once. Others wait for their turn: when power is back, five
/// hundred vectors of as many nodes at once would be 64 MB, for a moment, and the memory would stay in pieces.
pub const GREETING_MAX: usize = 32;

/// Returns the limits every socket must be made with: tungstenite's own are for few sockets and large messages (128 KiB
/// of buffer each, 64 MiB a message, and unlimited writing).
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(512 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
}

/// What a hub is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our fleet.
    pub fleet: FleetId,
    /// Which program this is, for people.
    pub build: String,
    /// Kinds of records the schema declares, with their versions.
    pub kinds: BTreeMap<String, u32>,
    /// What this node can do beyond the protocol.
    pub features: Vec<String>,
    /// Streams of which it keeps every log, so that it wants them from its peers: see [`Hub::keep`].
    pub wants: Vec<Stream>,
    /// How long sessions wait.
    pub session: session::Limits,
    /// Every time in the election.
    pub election: election::Settings,
    /// The last token that `keep_token` has kept; [`Token::NONE`] at first.
    pub seen: Token,
    /// Links at once; more are refused.
    pub links_max: usize,
    /// How long it waits before it does something for its store.
    pub patience: Patience,
}

/// How long a hub waits before it does something for its store, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// After a peer showed that this node lost memory, before it goes on under the next name: long enough for a peer to
    /// say that it is no lost memory, but another machine under our name.
    pub renew_ms: u64,
    /// After the store could not do something, before it is asked again; doubles.
    pub again_ms: u64,
    /// The longest such pause.
    pub again_max_ms: u64,
    /// After a log was left alone that nobody wrote twice, before the link begins anew; doubles.
    pub anew_ms: u64,
    /// The longest such pause.
    pub anew_max_ms: u64,
    /// How often this node moves the floor at most, if it coordinates; nothing: never.
    pub floor_every_ms: Option<u64>,
    /// How many entries more have to be below it then.
    pub floor_entries_min: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            renew_ms: 300,
            again_ms: 250,
            again_max_ms: 30_000,
            anew_ms: 5_000,
            anew_max_ms: 600_000,
            floor_every_ms: None,
            floor_entries_min: 1_000,
        }
    }
}

/// Something that happened. Told on the hub's thread, which must not be held up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A node speaks with us.
    Linked(NodeId),
    /// It does no more.
    Unlinked {
        /// Which.
        node: NodeId,
        /// Why.
        why: Ended,
    },
    /// What this node is has changed.
    Role(election::Role),
    /// What a session tells.
    Session(NodeId, session::Told),
    /// Everything of our own goes on under another name: lost memory, or a person's choice. All links begin anew.
    Renamed {
        /// The name until then.
        from: Origin,
        /// The name from now on.
        to: Origin,
    },
    /// Another machine uses our name: nothing of our own is written until [`Store::renew`], and this node does not stand
    /// for election. Told also at the start, if it was so before.
    Quarantined(String),
    /// Two machines use the name of this node, by their hellos. Both are told.
    Doubled(NodeId),
    /// The store's file cannot be opened again after a failure, and why. It is tried again and again.
    StoreFailed(String),
    /// It was opened.
    StoreHealed,
    /// What was found then.
    Alarm(Alarm),
    /// What the election tells.
    Election(election::Told),
    /// A token could not be kept. It is tried again; until then this node neither coordinates nor follows anew.
    TokenNotKept {
        /// Which.
        token: Token,
        /// Why.
        why: String,
    },
}

/// Why a link has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Our session closed it.
    #[error(transparent)]
    Closed(session::Reason),
    /// The peer closed it and said why, or nothing.
    #[error("closed by the other node: {0}")]
    ByPeer(String),
    /// The peer's program ends.
    #[error("the other node's program has ended")]
    PeerStopped,
    /// The connection broke: the peer's process is gone, or its machine refuses.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// What came is not this protocol.
    #[error("not understood: {0}")]
    Broken(String),
    /// There is another link to the same node, and that one stays.
    #[error("another link to the same node stays")]
    Second,
    /// The node is not in the roster.
    #[error("the node is not a member of the fleet")]
    NoMember,
    /// There are as many links as there may be.
    #[error("too many links")]
    TooMany,
    /// One of the two goes on under another name, or tries again what did not go on this link. Both should dial at once.
    #[error("both nodes say hello anew")]
    Anew,
    /// Someone asked for it: [`Hub::disconnect`].
    #[error("disconnected")]
    Disconnected,
    /// Our own store could not be read.
    #[error("this node's store could not be read: {0}")]
    Unreadable(String),
    /// The hub has stopped.
    #[error("this node's program ends")]
    Stopped,
}

impl Ended {
    /// Whether the other end was heard closing it for good: there is no lease to wait for.
    fn was_reset(&self) -> bool {
        matches!(self, Ended::PeerStopped | Ended::Lost(_))
    }
}

/// What a hub holds for its links. All of it goes with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    /// Links that are carried, and those of which the hub does not know yet that they are gone: at most
    /// [`Settings::links_max`] and [`LEAVING_MAX`].
    pub links: usize,
    /// What waits for the hub's thread.
    pub queued: usize,
    /// Bytes that links have brought and the hub has not taken in, at most [`HEARD_BYTES_MAX`].
    pub heard_bytes: usize,
}

type Moments = Arc<dyn Fn() -> Moment + Send + Sync>;
type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// The handle to a node's links. Clones are the same hub; when the last one is dropped, and no link runs any more, or
/// with [`Hub::stop`], everything ends. Its threads let go of the store within a quarter of a second of that.
#[derive(Clone)]
pub struct Hub(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    election: Arc<Mutex<Election>>,
    looks: Arc<Looks>,
    moments: Moments,
    heard: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    links: AtomicU64,
    places: Arc<AtomicUsize>,
    places_max: usize,
    runtime: tokio::runtime::Handle,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Hub {
    /// Starts a hub. One thread (`replicate-hub`) owns every session and the election and does what they say; another
    /// (`replicate-feed`) waits for the store. `moments` gives the time; its `mono` must count on while the machine sleeps
    /// and never go back. `keep_token` returns when the token is durable in place of the one before. Links are written by
    /// tasks on `runtime`.
    ///
    /// # Errors
    /// If the machine gives no thread.
    pub fn start(
        store: Arc<Store>,
        settings: Settings,
        runtime: tokio::runtime::Handle,
        moments: impl Fn() -> Moment + Send + Sync + 'static,
        keep_token: impl FnMut(Token) -> io::Result<()> + Send + 'static,
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> io::Result<Hub> {
        let (hub, parts) =
            Self::prepare((store, settings), runtime, Arc::new(moments), Box::new(keep_token), Arc::new(tell));
        hub::start(parts)?;
        Ok(hub)
    }

    /// As [`Hub::start`], but without threads: the hub goes on with each [`Stepper::step`], on the thread that calls it.
    #[cfg(feature = "stepped")]
    pub fn start_stepped(
        store: Arc<Store>,
        settings: Settings,
        runtime: tokio::runtime::Handle,
        moments: impl Fn() -> Moment + Send + Sync + 'static,
        keep_token: impl FnMut(Token) -> io::Result<()> + Send + 'static,
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> (Hub, Stepper) {
        let (hub, parts) =
            Self::prepare((store, settings), runtime, Arc::new(moments), Box::new(keep_token), Arc::new(tell));
        (hub, Stepper::new(parts))
    }

    fn prepare(
        (store, settings): (Arc<Store>, Settings),
        runtime: tokio::runtime::Handle,
        moments: Moments,
        keep_token: Box<dyn FnMut(Token) -> io::Result<()> + Send>,
        tell: Tell,
    ) -> (Hub, hub::Parts) {
        let us = store.status().us;
        let election = Election::new(us.node, us.inc, settings.election.clone(), settings.seen);
        let (queue, election) = (Arc::new(Queue::default()), Arc::new(Mutex::new(election)));
        let looks = Arc::new(Looks::new(us.node, settings.seen, moments()));
        let handle = Handle {
            queue: queue.clone(),
            election: election.clone(),
            looks: looks.clone(),
            moments: moments.clone(),
            heard: Arc::new(Semaphore::new(HEARD_BYTES_MAX)),
            turns: Arc::new(Semaphore::new(GREETING_MAX)),
            links: AtomicU64::new(0),
            places: Arc::default(),
            places_max: settings.links_max + LEAVING_MAX,
            runtime,
        };
        let parts = hub::Parts { store, settings, queue, election, looks, moments, keep_token, tell };
        (Hub(Arc::new(handle)), parts)
    }

    /// Carries a link over a socket that was upgraded with [`SUBPROTOCOL`] and [`websocket_config`]. The transport has
    /// proven that the other end is `peer`. Returns when the link has ended, and why; dropped, it ends the link. With
    /// [`LEAVING_MAX`] more links than there may be the socket is dropped at once.
    pub async fn run_link<S>(&self, socket: WebSocketStream<S>, peer: NodeId, is_dialled_by_us: bool) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let hub = &self.0;
        let Some(place) = Place::take(&hub.places, hub.places_max) else {
            return Ended::TooMany;
        };
        let Ok(turn) = hub.turns.clone().acquire_owned().await else {
            return Ended::Stopped;
        };
        let link = Arc::new(Link::new(hub.links.fetch_add(1, Ordering::Relaxed)));
        let queue = hub.queue.clone();
        let mut gone = Gone { link: link.clone(), queue: queue.clone(), place: Some(place) };
        if !queue.push(Order::Opened { link: link.clone(), peer, is_dialled_by_us, turn }) {
            // The peer is told, so that it does not take this for a cut cable.
            link.end(Ended::Stopped);
        }
        let (sink, stream) = socket.split();
        let writer = hub.runtime.spawn(link::write(sink, link.clone(), queue.clone()));
        let ended = link::read(stream, &link, &queue, &hub.heard).await;
        gone.now(ended);
        // It says why, within a second, and cannot fail in any way that still matters.
        let _ = writer.await;
        link.ended().await
    }

    /// Tells who belongs to the fleet. Links to nodes that do not are closed, and refused from then on. Before it was told
    /// once nobody is refused, and there is no election.
    pub fn roster(&self, members: Vec<election::Member>) {
        self.0.queue.roster(members);
    }

    /// Tells which members are lapsed: away for so long that the floor does not wait for them any more. When they come
    /// back they are below it. A person has been told before.
    pub fn lapsed(&self, nodes: impl IntoIterator<Item = NodeId>) {
        self.0.queue.push(Order::Command(Command::Lapsed(nodes.into_iter().collect())));
    }

    /// Says of which streams this node keeps every log; of the others it keeps its own. All links begin anew, when that is
    /// another wish. Where a floor stands, more is kept only once a peer is there that can tell what was kept below it.
    /// What is here already stays.
    pub fn keep(&self, streams: &[Stream]) {
        self.0.queue.push(Order::Command(Command::Keep(streams.to_vec())));
    }

    /// Returns what there is to see, as of a tenth of a second ago at most. Cheap.
    pub fn look(&self) -> Arc<Standing> {
        self.0.looks.get()
    }

    /// Returns what the hub holds for its links, now.
    pub fn holds(&self) -> Holds {
        let (queued, free) = (self.0.queue.len(), self.0.heard.available_permits());
        Holds { links: self.0.places.load(Ordering::Relaxed), queued, heard_bytes: HEARD_BYTES_MAX - free }
    }

    /// Wakes when [`Hub::look`] differs in more than counts of bytes and times.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.looks.changed()
    }

    /// Hands the role of coordinator to another node. What becomes of it is told by the election.
    pub fn hand_over(&self, to: NodeId) {
        self.0.queue.push(Order::Command(Command::HandOver(to)));
    }

    /// Takes the role of coordinator for this node, whoever holds it: an owner's decision.
    pub fn force(&self) {
        self.0.queue.push(Order::Command(Command::Force));
    }

    /// Returns whether this node may do, now, what cannot be taken back.
    ///
    /// # Errors
    /// [`Why`] not.
    pub fn may(&self, act: Gated) -> Result<(), Why> {
        let now_ms = (self.0.moments)().mono;
        self.0.election.lock().unwrap_or_else(PoisonError::into_inner).may(now_ms, act)
    }

    /// The fence: whether an act that comes with a coordinator's token is to be obeyed. Give [`Hub::carried`] first.
    ///
    /// # Errors
    /// The greatest token seen: see [`Election::allows`].
    pub fn allows(&self, token: Token) -> Result<(), Token> {
        self.0.election.lock().unwrap_or_else(PoisonError::into_inner).allows(token)
    }

    /// Takes note of a token that came with something else than an election's message.
    pub fn carried(&self, from: NodeId, token: Token) {
        self.0.queue.push(Order::Command(Command::Carried { from, token }));
    }

    /// Closes the links to a node. Who dials may dial again.
    pub fn disconnect(&self, node: NodeId) {
        self.0.queue.push(Order::Command(Command::Disconnect(node)));
    }

    /// Ends all links and both threads.
    pub fn stop(&self) {
        self.0.queue.close();
    }
}

/// Tells the hub that a link is gone, also if the one who carried it was dropped.
struct Gone {
    link: Arc<Link>,
    queue: Arc<Queue>,
    place: Option<Place>,
}

impl Gone {
    fn now(&mut self, ended: Ended) {
        self.link.end(ended.clone());
        if let Some(place) = self.place.take() {
            if is_on(Mutant::GoneUntold) && matches!(ended, Ended::Lost(_)) {
                return std::mem::forget(place);
            }
            self.queue.push(Order::Gone { link: self.link.number, ended, _place: place });
        }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.now(Ended::Disconnected);
    }
}
