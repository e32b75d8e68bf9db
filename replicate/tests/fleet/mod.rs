//! Nodes with real files and real hubs, and the wires between them.
//!
//! A test says who is linked to whom and who writes what, and waits for what shall become of it, with a limit. Nothing
//! sleeps: a wait ends with the store's next change or the hub's.
#![allow(dead_code)] // Each test binary uses its own part of it.
#![allow(clippy::disallowed_methods)] // Real threads and sockets take real time.

use crate::house::{id, put, schema};
use replicate::core::election::{self, Member, Role, Token};
use replicate::core::entry::{Moment, Quality};
use replicate::core::id::{BootId, NodeId, Stream};
use replicate::core::message::FleetId;
use replicate::core::session;
use replicate::core::write::Draft;
use replicate::disk::opening::{self, OpenError};
use replicate::disk::store::{Batch, Store};
use replicate::net::{Ended, Event, Holds, Hub, Patience, PeerState, Settings, Standing, websocket_config};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role as Side;

/// How long anything may take on a machine that has much else to do.
pub const LIMIT: Duration = Duration::from_secs(30);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

pub fn now() -> Moment {
    let mono = BEGAN.elapsed().as_millis() as u64 + 1;
    Moment { wall: 1_787_000_000_000 + mono as i64, q: Quality::Ntp, boot: BootId([1; 16]), mono }
}

pub fn name(number: u128) -> NodeId {
    NodeId::from_u128(number)
}

/// A node that runs.
pub struct Running {
    pub name: NodeId,
    pub store: Arc<Store>,
    pub hub: Hub,
    pub events: mpsc::Receiver<Event>,
    pub kept: Arc<Mutex<Vec<Token>>>,
    pub folder: Arc<TempDir>,
}

/// What a test may want otherwise.
#[derive(Clone)]
pub struct Wish {
    pub fleet: u128,
    pub limits: session::Limits,
    pub links_max: usize,
    pub patience: Patience,
    /// Of which streams it keeps everything.
    pub keeps: Vec<Stream>,
    /// The run of its machine.
    pub boot: u8,
}

impl Default for Wish {
    fn default() -> Self {
        let (limits, patience, keeps) = (session::Limits::default(), Patience::default(), Stream::ALL.to_vec());
        Self { fleet: 1, limits, links_max: 64, patience, keeps, boot: 1 }
    }
}

/// What a node's file is called in its folder.
pub const FILE: &str = "fleet.redb";

pub fn opening(number: u128, wish: &Wish) -> opening::Settings {
    // Each opening and each incarnation has its own.
    static NONCE: AtomicU32 = AtomicU32::new(1);
    opening::Settings {
        node: name(number),
        inc_min: 1,
        nonces: Box::new(|| NONCE.fetch_add(1, Ordering::Relaxed)),
        moment: Moment { boot: BootId([wish.boot; 16]), ..now() },
        cache_bytes: 8 << 20,
        is_verified: false,
    }
}

/// Opens a file as soon as whoever has it open lets go of it.
fn open(number: u128, wish: &Wish, folder: &TempDir) -> Store {
    let began = Instant::now();
    loop {
        match Store::open(&folder.path().join(FILE), schema(), opening(number, wish)) {
            Ok((store, _)) => return store,
            Err(OpenError::Busy) => assert!(began.elapsed() < LIMIT, "the file is not let go of"),
            Err(error) => panic!("{error}"),
        }
        std::thread::yield_now();
    }
}

pub struct Fleet {
    pub runtime: Runtime,
}

impl Fleet {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { runtime }
    }

    pub fn node(&self, number: u128) -> Running {
        self.node_with(number, Wish::default())
    }

    pub fn node_with(&self, number: u128, wish: Wish) -> Running {
        self.node_at(number, wish, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// A node with what is in a folder, as soon as whoever had the file open has let go of it.
    pub fn node_at(&self, number: u128, wish: Wish, folder: Arc<TempDir>) -> Running {
        let store = open(number, &wish, &folder);
        self.run(number, wish, store, folder)
    }

    /// A node with this store.
    pub fn run(&self, number: u128, wish: Wish, store: Store, folder: Arc<TempDir>) -> Running {
        let store = Arc::new(store);
        let settings = Settings {
            fleet: FleetId::from_u128(wish.fleet),
            build: format!("test {number}"),
            kinds: BTreeMap::new(),
            features: Vec::new(),
            wants: wish.keeps,
            session: wish.limits,
            election: election::Settings::LOCAL,
            seen: Token::NONE,
            links_max: wish.links_max,
            patience: wish.patience,
        };
        let (tx, events) = mpsc::channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = kept.clone();
        let keep_token = move |token| {
            keep.lock().unwrap().push(token);
            Ok(())
        };
        let tell = move |event| drop(tx.send(event));
        let runtime = self.runtime.handle().clone();
        let moments = move || Moment { boot: BootId([wish.boot; 16]), ..now() };
        let hub = Hub::start(store.clone(), settings, runtime, moments, keep_token, tell).unwrap();
        Running { name: name(number), store, hub, events, kept, folder }
    }

    /// Dials whenever there is no link between two, as those who run a hub do, until one of them stops.
    pub fn keep_linked(&self, from: &Running, to: &Running) {
        let (dials, hears, from, to) = (from.hub.clone(), to.hub.clone(), from.name, to.name);
        self.runtime.spawn(async move {
            loop {
                let (here, there) = duplex(64 * 1024);
                let here = WebSocketStream::from_raw_socket(here, Side::Client, Some(websocket_config())).await;
                let there = WebSocketStream::from_raw_socket(there, Side::Server, Some(websocket_config())).await;
                let ends = [dials.run_link(here, to, true), hears.run_link(there, from, false)];
                let ends = futures_util::future::join_all(ends).await;
                if ends.iter().any(|end| matches!(end, Ended::Stopped | Ended::PeerStopped)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// Links two nodes over a pipe; the first dials.
    pub fn pipe(&self, from: &Running, to: &Running) -> [JoinHandle<Ended>; 2] {
        let (here, there) = duplex(64 * 1024);
        [self.carry(from, here, to.name, true), self.carry(to, there, from.name, false)]
    }

    /// Links two nodes over TCP; the first dials.
    pub fn tcp(&self, from: &Running, to: &Running) -> [JoinHandle<Ended>; 2] {
        let (here, there) = self.runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (here, there) =
                futures_util::future::join(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
            (here.unwrap(), there.unwrap().0)
        });
        here.set_nodelay(true).unwrap();
        there.set_nodelay(true).unwrap();
        [self.carry(from, here, to.name, true), self.carry(to, there, from.name, false)]
    }

    pub fn carry<S>(&self, node: &Running, stream: S, peer: NodeId, is_dialled_by_us: bool) -> JoinHandle<Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let side = if is_dialled_by_us { Side::Client } else { Side::Server };
        let hub = node.hub.clone();
        self.runtime.spawn(async move {
            let socket = WebSocketStream::from_raw_socket(stream, side, Some(websocket_config())).await;
            hub.run_link(socket, peer, is_dialled_by_us).await
        })
    }

    /// A node's link to a peer that the test plays itself: the raw other end.
    pub fn stranger(&self, node: &Running, peer: u128) -> (DuplexStream, JoinHandle<Ended>) {
        let (here, there) = duplex(64 * 1024);
        (here, self.carry(node, there, name(peer), false))
    }

    /// As [`Fleet::stranger`], behind a WebSocket.
    pub fn speaker(&self, node: &Running, peer: u128) -> (WebSocketStream<DuplexStream>, JoinHandle<Ended>) {
        let (here, link) = self.stranger(node, peer);
        let socket = WebSocketStream::from_raw_socket(here, Side::Client, None);
        (self.runtime.block_on(socket), link)
    }

    /// How a link ended.
    pub fn end(&self, link: JoinHandle<Ended>) -> Ended {
        self.runtime.block_on(async { tokio::time::timeout(LIMIT, link).await }).expect("the link goes on").unwrap()
    }

    /// Waits until what a hub shows is so.
    pub fn until(&self, node: &Running, what: &str, is_so: impl Fn(&Standing) -> bool) {
        let mut changed = node.hub.changed();
        let waiting = async {
            while !is_so(&node.hub.look()) {
                changed.changed().await.unwrap();
            }
        };
        let is_met = self.runtime.block_on(async { tokio::time::timeout(LIMIT, waiting).await }).is_ok();
        assert!(is_met, "{what}: still {:#?}", node.hub.look());
    }
}

impl Fleet {
    /// Waits until a hub holds no more than this. What links have is given back after they have ended.
    pub fn until_holds(&self, node: &Running, wanted: &Holds) {
        let waiting = async {
            while node.hub.holds() != *wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let is_met = self.runtime.block_on(async { tokio::time::timeout(LIMIT, waiting).await }).is_ok();
        assert!(is_met, "{:?}", node.hub.holds());
    }
}

impl Running {
    pub fn write(&self, drafts: &[Draft]) {
        let (expected, drafts) = (Vec::new(), drafts.to_vec());
        self.store.write(Batch { expected, drafts, moment: now(), is_urgent: true }).wait().unwrap();
    }

    pub fn label(&self, number: u128, text: &str) {
        self.write(&[put("plan", number, "label", &format!("\"{text}\""))]);
    }

    pub fn value(&self, kind: &str, number: u128, group: &str) -> Option<String> {
        self.store.read(kind, id(number)).unwrap()?.value(group).map(str::to_string)
    }

    /// Waits until the store is so.
    pub fn until(&self, what: &str, is_so: impl Fn(&Store) -> bool) {
        let (began, mut since) = (Instant::now(), 0);
        while !is_so(&self.store) {
            assert!(began.elapsed() < LIMIT, "{what}: {:#?}", self.hub.look());
            since = self.store.changes(since, 1000, Duration::from_secs(1)).next;
        }
    }

    /// Waits until both stores tell the same of everything: both may still be learning from others.
    pub fn until_like(&self, other: &Running) {
        let is_like = |stream: &Stream| self.store.vector(*stream).unwrap() == other.store.vector(*stream).unwrap();
        self.until("logs and records are the same", |store| {
            Stream::ALL.iter().all(is_like) && store.state_hash().unwrap() == other.store.state_hash().unwrap()
        });
    }

    /// Waits until an event was told that is so.
    pub fn told<T>(&self, what: &str, is_meant: impl Fn(Event) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let left = LIMIT.checked_sub(began.elapsed()).unwrap_or_else(|| panic!("{what}: {:#?}", self.hub.look()));
            if let Some(meant) = self.events.recv_timeout(left).ok().and_then(&is_meant) {
                return meant;
            }
        }
    }

    /// Stops. Returns its folder when its file is closed.
    pub fn close(self, number: u128, wish: &Wish) -> Arc<TempDir> {
        let folder = self.folder.clone();
        self.hub.stop();
        drop(self);
        drop(open(number, wish, &folder));
        folder
    }

    pub fn is_coordinator(&self) -> bool {
        matches!(self.hub.look().election.role, Role::Coordinator { .. })
    }
}

pub fn talks_to(peer: u128) -> impl Fn(&Standing) -> bool {
    move |standing| standing.peers.get(&name(peer)).is_some_and(|peer| peer.state != PeerState::Greeting)
}

pub fn roster(numbers: impl IntoIterator<Item = u128>) -> Vec<Member> {
    numbers.into_iter().map(|number| Member::new(name(number))).collect()
}
