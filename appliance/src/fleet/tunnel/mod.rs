//! Calls to a node that cannot be dialled: two sockets beside the link of a pair, HTTP/2 inside, one for calls each way.
//!
//! Lives here: who keeps such sockets (whoever dialled the link dials them too, so also a node behind a router is called),
//! carrying one from either end, which are open now. The one in which the dialler answers stands as long as the link; the
//! other comes with the first call and goes when there are no more. `stream` is the socket as bytes. Does not live here: the
//! dialling of links, what a call says (`call`), the pages that answer (they are given, [`Fleet::answer_with`]). Records have
//! a socket of their own: whatever waits here holds up none of them.

mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use axum::{Extension, Router};
use http_body_util::BodyExt;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::Layer;

use self::stream::ByteStream;
use super::dialling::jittered;
use super::tls::{PeerKey, Proven, dial_any};
use super::{Fleet, held, id_of, node_id};
use crate::store::Id;

/// Where a tunnel is dialled.
pub const TUNNEL_PATH: &str = "/peer/calls/v1";
/// Calls through a tunnel at a time; the next is dialled.
pub const CALLS_MAX: usize = 64;
/// Tunnels that other nodes dialled to this one, at a time. Who gets none is dialled.
pub const TUNNELS_MAX: usize = 64;
/// What of an answer may be on its way or wait to be read: a call whose reader is slow has no more of the line.
const CALL_BYTES_MAX: u32 = 256 << 10;
/// The same of all calls together. It is their sum: were it less, a few that nobody reads would stop all others.
const ALL_BYTES_MAX: u32 = CALL_BYTES_MAX * CALLS_MAX as u32;
/// What an answering node makes of an answer before the line takes it.
const AHEAD_BYTES_MAX: usize = 64 << 10;
/// Headers of a call.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// While somebody waits for an answer the other end is asked so often whether it is there, and may take so long to say so:
/// a call over a dead line ends after five seconds.
const ASKED: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));
/// The same of a tunnel that nobody uses: often enough for a router not to forget it.
const ASKED_IDLE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(5));
/// A tunnel for our own calls that nobody has used for so long, and at most twice as long, is closed.
const UNUSED: Duration = Duration::from_secs(60);
/// How long the other node may take to let a tunnel in, once it is connected.
const UPGRADE_WAIT: Duration = Duration::from_secs(8);
/// Whether tunnels stand with members only is looked at so often, and whenever a link comes or goes, as a retired node's does.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The first wait before a tunnel is dialled anew; it doubles, up to the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// The same where the other node lets no more in: hundreds that knock all day would be its work.
const WAIT_REFUSED: Duration = Duration::from_secs(600);

/// What an end of a tunnel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// It calls.
    Calls,
    /// Its pages answer.
    Answers,
}

impl Part {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Calls, Self::Answers];

    /// The subprotocol of a socket whose dialler has this part.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Calls => "calls.1",
            Self::Answers => "answers.1",
        }
    }

    /// What the other end does.
    pub const fn other(self) -> Self {
        match self {
            Self::Calls => Self::Answers,
            Self::Answers => Self::Calls,
        }
    }
}

/// The member at the other end, as the connection has proven.
#[derive(Debug, Clone, Copy)]
pub struct Other {
    /// Who.
    pub node: Id,
    /// By which key.
    pub key: PeerKey,
    /// From where.
    pub at: SocketAddr,
    /// Whether it was we who dialled.
    pub is_dialled_by_us: bool,
}

/// The tunnels that are open: of each part one to each node, the newest. Cutting one is taking it out.
#[derive(Default)]
pub(super) struct Tunnels {
    open: Mutex<BTreeMap<(Id, Part), Open>>,
    opened: AtomicU64,
    pages: Mutex<Option<Router>>,
    /// Nodes whose addresses led to nobody when they were last dialled for a call, and why.
    not_dialled: Mutex<BTreeMap<Id, String>>,
    /// Nodes that were called of late.
    wanted: Mutex<BTreeSet<Id>>,
    /// There is another one.
    want: Notify,
}

struct Open {
    number: u64,
    key: PeerKey,
    is_dialled_by_us: bool,
    /// Where we are the end that calls.
    through: Option<Through>,
    /// Whatever belongs to the tunnel runs until this is gone.
    _alive: watch::Sender<()>,
}

/// A way to call a node.
struct Through {
    sender: SendRequest<Body>,
    places: Arc<Semaphore>,
    was_used: AtomicBool,
}

/// The place of one call in a tunnel.
pub(super) struct Place {
    sender: SendRequest<Body>,
    held: OwnedSemaphorePermit,
}

impl Place {
    /// Sends one request and returns the answer, whose body comes as it is read and keeps the place to its end.
    ///
    /// # Errors
    /// The tunnel broke.
    pub(super) async fn send(mut self, mut request: Request<Body>) -> hyper::Result<Response<Body>> {
        let path = std::mem::take(request.uri_mut()).into_parts().path_and_query;
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        // A request of HTTP/2 names a host (RFC 9113, 8.3.1); whose it is the connection says.
        let target = Uri::builder().scheme("https").authority("node.rakkr.invalid").path_and_query(path).build();
        *request.uri_mut() = target.unwrap_or_default();
        *request.version_mut() = Version::HTTP_2;
        let answer = self.sender.send_request(request).await?;
        let held = self.held;
        let mut answer = answer.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _ = &held;
                frame
            }))
        });
        // It goes on to whoever asked, over a connection of its own.
        *answer.version_mut() = Version::HTTP_11;
        Ok(answer)
    }
}

impl Tunnels {
    /// A place for a call to the node that holds this key, if there is a tunnel to it with one left.
    pub(super) fn place(&self, node: Id, key: PeerKey) -> Option<Place> {
        let open = held(&self.open);
        let open = open.get(&(node, Part::Calls)).filter(|open| open.key == key)?;
        let through = open.through.as_ref().filter(|through| !through.sender.is_closed())?;
        let held = through.places.clone().try_acquire_owned().ok()?;
        through.was_used.store(true, Ordering::Relaxed);
        Some(Place { sender: through.sender.clone(), held })
    }

    /// Whether calls to this node go through a tunnel.
    pub(super) fn leads_to(&self, node: Id) -> bool {
        let open = held(&self.open);
        let through = open.get(&(node, Part::Calls)).and_then(|open| open.through.as_ref());
        through.is_some_and(|through| !through.sender.is_closed())
    }

    /// A node was dialled for a call, in vain or not.
    pub(super) fn was_dialled(&self, node: Id, failed: Option<&String>) {
        let mut not_dialled = held(&self.not_dialled);
        match failed {
            Some(why) => not_dialled.insert(node, why.clone()),
            None => not_dialled.remove(&node),
        };
    }

    /// Why a node cannot be dialled, if that was tried last.
    pub(super) fn not_dialled(&self, node: Id) -> Option<String> {
        held(&self.not_dialled).get(&node).cloned()
    }

    /// A node was called that we can dial: the next calls go through a tunnel.
    pub(super) fn want(&self, node: Id) {
        if held(&self.wanted).insert(node) {
            self.want.notify_one();
        }
    }

    fn is_wanted(&self, node: Id, part: Part) -> bool {
        part == Part::Answers || held(&self.wanted).contains(&node)
    }

    /// Takes out the tunnel for calls to a node if nobody calls, and nobody did since this was asked last.
    fn let_go_unused(&self, node: Id) -> bool {
        let mut open = held(&self.open);
        let through = open.get(&(node, Part::Calls)).and_then(|open| open.through.as_ref());
        let is_used = through.is_some_and(|through| {
            let is_called = through.places.available_permits() < CALLS_MAX;
            through.was_used.swap(false, Ordering::Relaxed) || is_called
        });
        if !is_used {
            held(&self.wanted).remove(&node);
            open.remove(&(node, Part::Calls));
        }
        !is_used
    }

    /// Cuts all that these do not belong to.
    fn keep_only(&self, is_theirs: impl Fn(Id, PeerKey) -> bool) {
        held(&self.open).retain(|(node, _), open| is_theirs(*node, open.key));
    }

    /// Cuts all, and answers nobody any more.
    pub(super) fn stop(&self) {
        self.keep_only(|_, _| false);
        *held(&self.pages) = None;
    }
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
enum NoTunnel {
    #[error("{0}")]
    NotDialled(String),
    #[error("{address} lets no calls in: {status}")]
    Refused { address: String, status: StatusCode },
}

/// Takes a tunnel out of the list when whoever carries it is gone.
struct Listed<'a> {
    tunnels: &'a Tunnels,
    place: (Id, Part),
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut open = held(&self.tunnels.open);
        if open.get(&self.place).is_some_and(|open| open.number == self.number) {
            open.remove(&self.place);
        }
    }
}

impl Fleet {
    /// These pages answer what other nodes ask through tunnels.
    pub fn answer_with(&self, pages: Router) {
        *held(&self.0.tunnels.pages) = Some(pages);
    }

    /// Whether another node may dial a tunnel to this one.
    pub fn has_room_for_tunnel(&self) -> bool {
        let open = held(&self.0.tunnels.open);
        open.values().filter(|open| !open.is_dialled_by_us).count() < TUNNELS_MAX
    }

    /// Carries a tunnel that another node dialled, in which we have this part, to its end.
    pub async fn accept_tunnel<S>(&self, socket: S, other: Other, part: Part)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(stream::config())).await;
        self.carry(socket, other, part).await;
    }

    /// All tunnels break.
    #[cfg(test)]
    pub(crate) fn break_tunnels(&self) {
        self.0.tunnels.keep_only(|_, _| false);
    }

    /// As if a minute had passed.
    #[cfg(test)]
    pub(crate) fn let_go_unused(&self, node: Id) -> bool {
        self.0.tunnels.let_go_unused(node)
    }

    async fn carry<S>(&self, socket: WebSocketStream<S>, other: Other, part: Part)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let bytes = TokioIo::new(ByteStream::new(socket));
        let ended = match part {
            Part::Calls => self.call_over(bytes, other).await,
            Part::Answers => self.answer_over(bytes, other).await,
        };
        tracing::debug!(peer = %other.node, ?part, ?ended, "a tunnel ended");
        self.0.live.bump();
    }

    async fn call_over<S>(&self, bytes: TokioIo<ByteStream<S>>, other: Other) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sending, mut alive) = watch::channel(());
        let handshake = hyper::client::conn::http2::Builder::new(Within(alive.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(CALL_BYTES_MAX)
            .initial_connection_window_size(ALL_BYTES_MAX)
            .initial_max_send_streams(CALLS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_send_buf_size(AHEAD_BYTES_MAX)
            .keep_alive_interval(ASKED.0)
            .keep_alive_timeout(ASKED.1)
            .keep_alive_while_idle(false)
            .handshake(bytes);
        let (sender, connection) = handshake.await?;
        let places = Arc::new(Semaphore::new(CALLS_MAX));
        let through = Through { sender, places, was_used: AtomicBool::new(true) };
        let _listed = self.list(other, Part::Calls, Some(through), sending);
        let is_unused = async {
            loop {
                tokio::time::sleep(UNUSED).await;
                if self.0.tunnels.let_go_unused(other.node) {
                    return;
                }
            }
        };
        tokio::select! {
            ended = connection => ended,
            _ = alive.changed() => Ok(()),
            () = is_unused, if other.is_dialled_by_us => Ok(()),
        }
    }

    async fn answer_over<S>(&self, bytes: TokioIo<ByteStream<S>>, other: Other) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(pages) = held(&self.0.tunnels.pages).clone() else { return Ok(()) };
        let (sending, mut alive) = watch::channel(());
        let _listed = self.list(other, Part::Answers, None, sending);
        // What a connection of its own would bring: who it is and from where.
        let pages =
            Extension(ConnectInfo(other.at)).layer(Extension(Proven { key: Some(other.key), line: None }).layer(pages));
        let connection = hyper::server::conn::http2::Builder::new(Within(alive.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(CALL_BYTES_MAX)
            .initial_connection_window_size(ALL_BYTES_MAX)
            .max_concurrent_streams(CALLS_MAX as u32)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_send_buf_size(AHEAD_BYTES_MAX)
            .keep_alive_interval(ASKED_IDLE.0)
            .keep_alive_timeout(ASKED_IDLE.1)
            .serve_connection(bytes, TowerToHyperService::new(pages));
        tokio::select! {
            ended = connection => ended,
            _ = alive.changed() => Ok(()),
        }
    }

    /// The tunnel is open; one of the same part to the same node is cut, for its dialler has lost it.
    fn list(&self, other: Other, part: Part, through: Option<Through>, alive: watch::Sender<()>) -> Listed<'_> {
        let (tunnels, place) = (&self.0.tunnels, (other.node, part));
        let number = tunnels.opened.fetch_add(1, Ordering::Relaxed);
        let Other { key, is_dialled_by_us, .. } = other;
        held(&tunnels.open).insert(place, Open { number, key, is_dialled_by_us, through, _alive: alive });
        self.0.live.bump();
        Listed { tunnels, place, number }
    }

    async fn dial_tunnel(
        &self,
        node: Id,
        part: Part,
    ) -> Result<(WebSocketStream<TlsStream<TcpStream>>, Other), NoTunnel> {
        let not_dialled = |error: &dyn std::fmt::Display| NoTunnel::NotDialled(error.to_string());
        let known = self.known_peer(node).await.map_err(|error| not_dialled(&error))?;
        let key = known.key.ok_or_else(|| not_dialled(&"its key has not arrived here yet"))?;
        let dialled = dial_any(&known.addresses, &self.0.identity, key).await;
        let (stream, address) = dialled.map_err(|error| not_dialled(&error))?;
        let at = stream.get_ref().0.peer_addr().map_err(|error| not_dialled(&error))?;
        let asked = format!("wss://{address}{TUNNEL_PATH}").into_client_request();
        let mut asked = asked.map_err(|error| not_dialled(&error))?;
        asked.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(part.subprotocol()));
        let upgrade = tokio_tungstenite::client_async_with_config(asked, stream, Some(stream::config()));
        let upgraded = tokio::time::timeout(UPGRADE_WAIT, upgrade).await;
        let upgraded = upgraded.map_err(|_| not_dialled(&"no answer in time"))?;
        let (socket, _) = upgraded.map_err(|error| match error {
            Error::Http(answer) => NoTunnel::Refused { address: address.to_owned(), status: answer.status() },
            error => not_dialled(&error),
        })?;
        Ok((socket, Other { node, key, at, is_dialled_by_us: true }))
    }

    /// Cuts the tunnels of nodes that are no members any more, or have another key; all, if it is this node that was retired.
    async fn cut_strangers(&self) {
        if held(&self.0.tunnels.open).is_empty() {
            return;
        }
        let store = self.0.store.clone();
        let Ok(Ok(members)) = tokio::task::spawn_blocking(move || store.members()).await else { return };
        let is_in = |node: Id| members.iter().find(|member| member.id == node && !member.is_retired);
        if is_in(self.0.store.node()).is_none() {
            return self.0.tunnels.keep_only(|_, _| false);
        }
        let key_of = |node| is_in(node)?.key.as_ref().and_then(|key| PeerKey::from_hex(&key.spki));
        self.0.tunnels.keep_only(|node, key| key_of(node) == Some(key));
    }
}

/// Keeps tunnels to all nodes that were dialled for a link, until links end.
pub(super) async fn keep(fleet: Fleet, mut changed: watch::Receiver<u64>) {
    let mut kept: BTreeMap<(Id, Part), JoinHandle<()>> = BTreeMap::new();
    while let Some(linked) = fleet.linked() {
        kept.retain(|_, task| !task.is_finished());
        for node in linked.iter().filter(|(_, is_dialled_by_us)| **is_dialled_by_us).map(|(node, _)| *node) {
            for part in Part::ALL.into_iter().filter(|part| fleet.0.tunnels.is_wanted(node, *part)) {
                let keep = || tokio::spawn(keep_one(fleet.clone(), node, part));
                kept.entry((node, part)).or_insert_with(keep);
            }
        }
        fleet.cut_strangers().await;
        let other_links = async {
            while fleet.linked().as_ref() == Some(&linked) {
                changed.changed().await?;
            }
            Ok::<_, watch::error::RecvError>(())
        };
        tokio::select! {
            news = other_links => if news.is_err() { break },
            () = fleet.0.tunnels.want.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    kept.values().for_each(JoinHandle::abort);
}

/// Dials a tunnel again and again, for as long as it is wanted and the link to the node is one that we dialled.
async fn keep_one(fleet: Fleet, node: Id, part: Part) {
    let mut wait = WAIT.0;
    while fleet.dialled(node) == Some(true) && fleet.0.tunnels.is_wanted(node, part) {
        match fleet.dial_tunnel(node, part).await {
            Ok((socket, other)) => {
                wait = WAIT.0;
                fleet.carry(socket, other, part).await;
            }
            Err(error) => {
                tracing::debug!(peer = %node, ?part, %error, "no tunnel");
                if matches!(error, NoTunnel::Refused { .. }) {
                    tokio::time::sleep(jittered(WAIT_REFUSED)).await;
                }
            }
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(WAIT.1);
    }
}

impl Fleet {
    /// The nodes that there is a link to, and whether it was we who dialled; none when links have ended.
    fn linked(&self) -> Option<BTreeMap<Id, bool>> {
        let peers = self.hub()?.look();
        Some(peers.peers.iter().map(|(node, peer)| (id_of(*node), peer.is_dialled_by_us)).collect())
    }

    /// Whether it was we who dialled the link to a node; none without a link.
    pub(super) fn dialled(&self, node: Id) -> Option<bool> {
        self.hub()?.look().peers.get(&node_id(node)).map(|peer| peer.is_dialled_by_us)
    }
}

/// Runs what belongs to a tunnel, and ends it with the tunnel: hyper's tasks would go on until each call is over.
#[derive(Clone)]
struct Within(watch::Receiver<()>);

impl<F> hyper::rt::Executor<F> for Within
where
    F: Future + Send + 'static,
{
    fn execute(&self, work: F) {
        let mut alive = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = work => {}
                _ = alive.changed() => {}
            }
        });
    }
}
