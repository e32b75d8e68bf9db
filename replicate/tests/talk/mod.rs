//! Two or more nodes in memory with sessions between them, and what must be true of every message they say.
//!
//! Messages travel as bytes through queues that keep their order and may be cut at any message. Keeping a batch is a
//! step of its own, so a test can hold it back.
#![allow(dead_code)] // Each test binary uses its own part of it.

use crate::house::Node;
use replicate::core::election::Token;
use replicate::core::entry::Quality;
use replicate::core::exchange::{Applied, vector};
use replicate::core::floor::fill::{self, Kept};
use replicate::core::flow::{SEC_RESERVE, WINDOW_INITIAL};
use replicate::core::id::{BootId, LogId, Stream};
use replicate::core::keeping;
use replicate::core::log::Refusal;
use replicate::core::message::{Batch, FleetId, Message};
use replicate::core::session::{Clock, Input, Limits, Me, Output, Reason, Session, Told};
use replicate::core::view::View;
use replicate::core::wire;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// One direction of a link: from whom, to whom.
pub type Way = (usize, usize);

/// A batch that waits to be kept.
pub struct Waiting {
    pub batch: u64,
    pub entries: Vec<Arc<[u8]>>,
    pub kept: Option<Kept>,
}

/// One end of a link.
pub struct End {
    pub session: Session,
    /// What was said to this end and not heard yet.
    pub heard: VecDeque<Vec<u8>>,
    pub waiting: VecDeque<Waiting>,
    /// Batches this end has kept.
    pub kept: BTreeSet<u64>,
    /// Bytes of this end's batches whose acknowledgement it has not heard.
    pub under_way: BTreeMap<u64, u64>,
    /// What the other end allows.
    pub window: u64,
    pub told: Vec<Told>,
    pub closed: Option<Reason>,
}

pub struct World {
    pub nodes: Vec<Node>,
    pub wants: Vec<Vec<Stream>>,
    pub ends: BTreeMap<Way, End>,
    pub now_ms: u64,
    /// Every batch that was sent: by whom to whom, of what, in order.
    pub batches: Vec<(Way, Batch)>,
    pub duplicates: usize,
    /// Logs that a node refuses, as if they would cost it too much.
    pub refused: BTreeMap<usize, LogId>,
    /// Whether a node that is offered to be filled begins at once.
    pub takes_offers: bool,
}

pub fn me(node: &Node, wants: &[Stream]) -> Me {
    Me {
        fleet: FleetId::from_u128(1),
        origin: node.us,
        boot: BootId([1; 16]),
        build: "test".to_string(),
        kinds: BTreeMap::new(),
        features: Vec::new(),
        wants: wants.to_vec(),
        seen: Token { epoch: 1, node: node.us.node, inc: 1 },
        clock: Clock { wall_at_zero_ms: 0, q: Quality::Ntp },
    }
}

impl World {
    pub fn new(count: usize) -> World {
        World::of((1..=count).map(|number| Node::new(number as u128)).collect())
    }

    pub fn of(nodes: Vec<Node>) -> World {
        let wants = vec![Stream::ALL.to_vec(); nodes.len()];
        let (ends, batches, refused) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        World { nodes, wants, ends, now_ms: 1000, batches, duplicates: 0, refused, takes_offers: true }
    }

    pub fn join(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let session = Session::new(me(&self.nodes[from], &self.wants[from]), Limits::default());
            let (heard, waiting) = (VecDeque::new(), VecDeque::new());
            let (kept, under_way, window) = (BTreeSet::new(), BTreeMap::new(), WINDOW_INITIAL);
            let end = End { session, heard, waiting, kept, under_way, window, told: Vec::new(), closed: None };
            self.ends.insert((from, to), end);
        }
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.nodes[to].us.node;
            self.input((from, to), Input::Opened { peer });
        }
    }

    /// What is on the way is lost. What is being kept is kept.
    pub fn cut(&mut self, a: usize, b: usize) {
        for way in [(a, b), (b, a)] {
            while self.keep(way) {}
            self.ends.remove(&way);
        }
    }

    pub fn end(&mut self, way: Way) -> &mut End {
        self.ends.get_mut(&way).unwrap()
    }

    pub fn input(&mut self, way: Way, input: Input) {
        let (now_ms, records) = (self.now_ms, &self.nodes[way.0].state);
        self.ends.get_mut(&way).unwrap().session.input(now_ms, input, records).unwrap();
        while let Some(output) = self.end(way).session.poll_output() {
            self.output(way, output);
        }
    }

    pub fn output(&mut self, way: Way, output: Output) {
        match output {
            Output::Send(message) => {
                self.watch(way, &message);
                let back = (way.1, way.0);
                if let Some(other) = self.ends.get_mut(&back) {
                    other.heard.push_back(wire::encode(&message));
                }
            }
            Output::Apply { batch, stream, entries, kept, is_urgent } => {
                assert_eq!(is_urgent, stream == Stream::Sec);
                self.end(way).waiting.push_back(Waiting { batch, entries, kept });
            }
            Output::Told(Told::Offered(floor)) => {
                let taken = self.nodes[way.0].stage(|staged, _| fill::begin(staged, &floor)).unwrap();
                self.end(way).told.push(Told::Offered(floor.clone()));
                if taken && self.takes_offers {
                    self.input(way, Input::Fill(floor.name));
                }
            }
            Output::Told(told) => self.end(way).told.push(told),
            Output::Close(reason) => self.end(way).closed = Some(reason),
        }
    }

    /// What must be true of every message that is said.
    pub fn watch(&mut self, way: Way, message: &Message) {
        match message {
            Message::Batch(batch) => {
                let bytes = batch.entries.iter().map(|raw| raw.len() as u64).sum();
                let end = self.end(way);
                end.under_way.insert(batch.number, bytes);
                let under_way: u64 = end.under_way.values().sum();
                assert!(under_way <= end.window + SEC_RESERVE, "{under_way} bytes under way");
                self.batches.push((way, batch.clone()));
            }
            Message::Ack(ack) => {
                assert!(self.end(way).kept.contains(&ack.number), "batch {} is not kept", ack.number);
                for dot in &ack.marks {
                    let log = LogId { stream: ack.stream, node: dot.node, inc: dot.inc };
                    assert_eq!(self.nodes[way.0].state.head(log).unwrap().map(|head| head.seq), Some(dot.seq));
                }
            }
            _ => {}
        }
    }

    /// One end hears the next message. Returns whether there was one.
    pub fn hear(&mut self, way: Way) -> bool {
        let Some(bytes) = self.ends.get_mut(&way).and_then(|end| end.heard.pop_front()) else { return false };
        let message = wire::decode(&bytes).unwrap();
        let end = self.end(way);
        match &message {
            Message::Ack(ack) => {
                end.under_way.remove(&ack.number);
                end.window = ack.window;
            }
            Message::Nak(nak) if nak.why.is_some() => drop(end.under_way.remove(&nak.number)),
            _ => {}
        }
        self.input(way, Input::Heard(message));
        true
    }

    /// One end keeps the next batch, and all links of its node hear of it. Returns whether there was one.
    pub fn keep(&mut self, way: Way) -> bool {
        let Some(Waiting { batch, entries, kept }) = self.ends.get_mut(&way).and_then(|end| end.waiting.pop_front())
        else {
            return false;
        };
        let applied = match kept {
            Some(kept) => {
                let node = &mut self.nodes[way.0];
                let us = node.us;
                let outcome = node.stage(|staged, schema| keeping::take_kept(staged, schema, us, &entries, &kept));
                outcome.unwrap().applied
            }
            None => self.apply(way.0, &entries),
        };
        self.duplicates += applied.duplicates;
        self.end(way).kept.insert(batch);
        self.input(way, Input::Applied { batch, applied: Ok(applied) });
        self.changed(way.0, Vec::new());
        true
    }

    pub fn apply(&mut self, node: usize, entries: &[Arc<[u8]>]) -> Applied {
        let Some(refused) = self.refused.get(&node).copied() else { return self.nodes[node].apply(entries) };
        let place = |raw: &Arc<[u8]>| replicate::core::entry::Entry::parse(raw).unwrap().at;
        let (bad, good): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|raw| place(raw).log() == refused);
        let mut applied = self.nodes[node].apply(&good);
        applied.refused += bad.len();
        applied.refusals.extend(bad.iter().map(|raw| (0, Refusal::TooManyDooms { at: place(raw) })));
        applied
    }

    pub fn changed(&mut self, node: usize, logs: Vec<LogId>) {
        let ways: Vec<Way> = self.ends.keys().filter(|way| way.0 == node).copied().collect();
        for way in ways {
            self.input(way, Input::Changed { logs: logs.clone() });
        }
    }

    pub fn write(&mut self, node: usize, drafts: &[replicate::core::write::Draft]) {
        let places = self.nodes[node].write(drafts).unwrap();
        self.changed(node, places.iter().map(|place| place.log()).collect());
    }

    pub fn step(&mut self, choice: usize) -> bool {
        let ways: Vec<Way> = self.ends.keys().copied().collect();
        (0..ways.len() * 2).any(|turn| {
            let at = (choice + turn) % (ways.len() * 2);
            if at.is_multiple_of(2) { self.hear(ways[at / 2]) } else { self.keep(ways[at / 2]) }
        })
    }

    pub fn run(&mut self) {
        let mut turn = 0;
        while !self.ends.is_empty() && self.step(turn) {
            turn += 1;
            assert!(turn < 200_000, "it never becomes quiet");
        }
    }

    pub fn pass(&mut self, for_ms: u64) {
        self.now_ms += for_ms;
        let ways: Vec<Way> = self.ends.keys().copied().collect();
        for way in ways {
            self.input(way, Input::Tick);
        }
    }

    pub fn has_converged(&self) {
        for stream in Stream::ALL {
            let first = vector(&self.nodes[0].state, stream).unwrap();
            assert!(self.nodes.iter().all(|node| vector(&node.state, stream).unwrap() == first), "{stream:?}");
        }
        let first = self.nodes[0].state_hash();
        assert!(self.nodes.iter().all(|node| node.state_hash() == first));
        for end in self.ends.values() {
            assert_eq!(end.closed, None);
            let state = end.session.state();
            assert!(state.lag.iter().all(|lag| lag.to_send == 0 && lag.to_receive == 0), "{:?}", state.lag);
            assert_eq!((state.under_way, state.applying), (0, 0));
        }
    }

    /// Entries of a stream that were sent on a way.
    pub fn sent(&self, way: Way, stream: Stream) -> usize {
        let of_it = |(sent, batch): &&(Way, Batch)| *sent == way && batch.stream == stream;
        self.batches.iter().filter(of_it).map(|(_, batch)| batch.entries.len()).sum()
    }

    pub fn told(&self, way: Way) -> &[Told] {
        &self.ends[&way].told
    }
}
