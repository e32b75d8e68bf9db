//! One machine: a store on a disk in memory, a hub that goes on step by step, a listener, and a dialler for each other one.
//!
//! The hub's thread and the feed's are not there (`Stepper`), the store's writer is: a step waits for it. All else that moves
//! a byte is what the appliance runs: `run_link`'s tasks, tungstenite, zstd, and tokio under turmoil's clock.

use crate::disk::Disk;
use crate::house::{id, schema};
use crate::slow::{Rate, Slow};
use replicate::core::election::{self, Member, Token};
use replicate::core::entry::{Moment, Quality};
use replicate::core::id::{BootId, NodeId, Stream};
use replicate::core::message::FleetId;
use replicate::core::session;
use replicate::core::write::Draft;
use replicate::disk::opening;
use replicate::disk::store::{Batch, Store, WriteError};
use replicate::net::{Ended, Event, Hub, Patience, Settings, Stepper, websocket_config};
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role as Side;
use turmoil::net::{TcpListener, TcpStream};

const PORT: u16 = 7000;
/// Few, so that a place that is not given back is missed.
pub const LINKS_MAX: usize = 8;
const WALL_MS: i64 = 1_790_000_000_000;
/// How long a dialler waits before it dials again; each a little longer than the one before it.
const AGAIN_MS: u64 = 40;
/// How long it waits for an answer.
const DIAL: Duration = Duration::from_secs(2);

/// The sessions' patience, a fifth of the appliance's: a day is short.
pub fn limits() -> session::Limits {
    session::Limits { hello_ms: 1_000, ping_ms: 1_000, silence_ms: 3_000, ..session::Limits::default() }
}

pub fn name(number: usize) -> NodeId {
    NodeId::from_u128(number as u128)
}

pub fn host(number: usize) -> String {
    format!("node-{number}")
}

/// Who dials whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dials {
    Lesser,
    Greater,
    Both,
}

/// What a machine runs, from power on to power off.
pub struct Running {
    pub store: Arc<Store>,
    pub hub: Hub,
    /// Nothing after it was stopped.
    pub stepper: Option<Stepper>,
    pub runtime: Handle,
}

pub struct Machine {
    pub number: usize,
    pub count: usize,
    pub dials: Dials,
    pub disk: RefCell<Disk>,
    pub running: RefCell<Option<Running>>,
    boots: Cell<u8>,
    is_stalled: Cell<bool>,
    now_ms: Arc<AtomicU64>,
    /// Every token that it has kept, across crashes.
    pub kept: Arc<Mutex<Vec<Token>>>,
    /// How its links have ended.
    pub ends: RefCell<Vec<Ended>>,
    pub events: Arc<Mutex<Vec<Event>>>,
    /// How fast it reads.
    pub rate: Rate,
}

impl Machine {
    pub fn new(number: usize, count: usize, dials: Dials, now_ms: Arc<AtomicU64>) -> Rc<Self> {
        Rc::new(Self {
            number,
            count,
            dials,
            disk: RefCell::default(),
            running: RefCell::default(),
            boots: Cell::new(0),
            is_stalled: Cell::new(false),
            now_ms,
            kept: Arc::default(),
            ends: RefCell::default(),
            events: Arc::default(),
            rate: Rate::default(),
        })
    }

    pub fn moment(&self) -> Moment {
        let mono = self.now_ms.load(Ordering::Relaxed);
        Moment { wall: WALL_MS + mono as i64, q: Quality::Ntp, boot: BootId([self.boots.get(); 16]), mono }
    }

    /// What its program does until the power goes.
    pub async fn run(self: Rc<Self>) -> turmoil::Result {
        let hub = self.start();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        for peer in 1..=self.count {
            let dials = match self.dials {
                Dials::Lesser => self.number < peer,
                Dials::Greater => self.number > peer,
                Dials::Both => self.number != peer,
            };
            if dials {
                tokio::task::spawn_local(self.clone().dial(hub.clone(), peer));
            }
        }
        loop {
            let (socket, from) = listener.accept().await?;
            let is_theirs = |peer: &usize| turmoil::lookup(host(*peer)) == from.ip();
            let peer = (1..=self.count).find(is_theirs).ok_or("a stranger")?;
            let (machine, hub) = (self.clone(), hub.clone());
            tokio::task::spawn_local(async move { machine.carry(&hub, socket, peer, false).await });
        }
    }

    /// Opens the store and starts the hub.
    fn start(&self) -> Hub {
        self.boots.set(self.boots.get() + 1);
        let mut nonce = self.number as u32 * 1000 + u32::from(self.boots.get()) * 10;
        let nonces = Box::new(move || {
            nonce += 1;
            nonce
        });
        let settings = opening::Settings {
            node: name(self.number),
            inc_min: 1,
            nonces,
            moment: self.moment(),
            cache_bytes: 4 << 20,
            is_verified: false,
        };
        let (store, opened) = Store::open_at(self.disk.borrow().clone(), schema(), settings).unwrap();
        assert_eq!(opened.alarms, [], "a disk that was only cut off is sound");
        let settings = Settings {
            fleet: FleetId::from_u128(1),
            build: "shell".to_string(),
            kinds: Default::default(),
            features: Vec::new(),
            wants: Stream::ALL.to_vec(),
            session: limits(),
            election: election::Settings::LOCAL,
            seen: self.kept.lock().unwrap().last().copied().unwrap_or(Token::NONE),
            links_max: LINKS_MAX,
            patience: Patience::default(),
        };
        let (kept, events, now_ms, boot) = (self.kept.clone(), self.events.clone(), self.now_ms.clone(), self.moment());
        let moments = move || {
            let mono = now_ms.load(Ordering::Relaxed);
            Moment { wall: WALL_MS + mono as i64, mono, ..boot }
        };
        let keep = move |token| {
            kept.lock().unwrap().push(token);
            Ok(())
        };
        let tell = move |event| events.lock().unwrap().push(event);
        let (store, runtime) = (Arc::new(store), Handle::current());
        let (hub, stepper) = Hub::start_stepped(store.clone(), settings, runtime.clone(), moments, keep, tell);
        hub.roster((1..=self.count).map(|number| Member::new(name(number))).collect());
        *self.running.borrow_mut() = Some(Running { store, hub: hub.clone(), stepper: Some(stepper), runtime });
        hub
    }

    async fn dial(self: Rc<Self>, hub: Hub, peer: usize) {
        let mut wait_ms = AGAIN_MS;
        loop {
            while hub.look().peers.contains_key(&name(peer)) {
                tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            }
            let dialled = tokio::time::timeout(DIAL, TcpStream::connect((host(peer), PORT))).await;
            if let Ok(Ok(socket)) = dialled {
                let ended = self.carry(&hub, socket, peer, true).await;
                if ended == Ended::Stopped {
                    return;
                }
                wait_ms = AGAIN_MS;
            }
            tokio::time::sleep(Duration::from_millis(wait_ms + self.number as u64)).await;
            wait_ms = (wait_ms * 2).min(500);
        }
    }

    async fn carry(&self, hub: &Hub, socket: TcpStream, peer: usize, is_dialled_by_us: bool) -> Ended {
        let side = if is_dialled_by_us { Side::Client } else { Side::Server };
        let socket = Slow::new(socket, self.rate.clone());
        let socket = WebSocketStream::from_raw_socket(socket, side, Some(websocket_config())).await;
        let ended = hub.run_link(socket, name(peer), is_dialled_by_us).await;
        self.ends.borrow_mut().push(ended.clone());
        ended
    }

    /// Lets the hub go on.
    pub fn step(&self) {
        let mut running = self.running.borrow_mut();
        if let Some(stepper) = running.as_mut().and_then(|running| running.stepper.as_mut()) {
            assert!(stepper.step(), "the hub of {} has stopped, or its store does not answer", self.number);
        }
    }

    /// Stops its disk, or lets it go on.
    pub fn stall(&self, is_stalled: bool) {
        let mut running = self.running.borrow_mut();
        if let Some(stepper) = running.as_mut().and_then(|running| running.stepper.as_mut()) {
            assert!(stepper.hold_disk(is_stalled), "the store of {} does not answer", self.number);
        }
        self.is_stalled.set(is_stalled && running.is_some());
    }

    /// Whether something can be written there now.
    pub fn takes(&self) -> bool {
        self.is_on() && !self.is_stalled.get()
    }

    /// Switches it off, after its tasks are gone: what was not synced is lost.
    pub fn cut(&self) {
        let found = self.disk.borrow().cut();
        *self.running.borrow_mut() = None;
        self.is_stalled.set(false);
        *self.disk.borrow_mut() = found;
    }

    pub fn is_on(&self) -> bool {
        self.running.borrow().is_some()
    }

    pub fn store(&self) -> Arc<Store> {
        self.running.borrow().as_ref().unwrap().store.clone()
    }

    pub fn hub(&self) -> Hub {
        self.running.borrow().as_ref().unwrap().hub.clone()
    }

    /// Writes what can be done of these, each by itself, and returns when it is durable: how many there were.
    pub fn write(&self, drafts: Vec<Draft>) -> usize {
        let done = drafts.into_iter().filter(|draft| {
            let drafts = vec![draft.clone()];
            let batch = Batch { expected: Vec::new(), drafts, moment: self.moment(), is_urgent: true };
            match self.store().write(batch).wait() {
                Ok(_) => true,
                Err(WriteError::BadAct(_)) => false,
                Err(error) => panic!("node {}: {error}", self.number),
            }
        });
        done.count()
    }

    pub fn value(&self, kind: &str, number: u128, group: &str) -> Option<String> {
        self.store().read(kind, id(number)).unwrap()?.value(group).map(str::to_string)
    }
}
