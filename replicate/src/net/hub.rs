//! The one thread that owns every session and the election, and does what they say.
//!
//! It reads the store and hands it what came; it waits for nothing but its queue, except for a token to be kept, during
//! which this node has nothing to say in the election anyway. All decisions are `core`'s, but for which of two links
//! between the same nodes stays: the one that the node with the lesser name dialled. Parts: `electing` (the election), `care`
//! (what the store needs from whoever has it), `floor`.

mod care;
mod electing;
mod floor;
#[cfg(feature = "stepped")]
pub mod stepped;

pub use self::care::Errand;

use self::care::Care;
use self::floor::FloorCare;
use super::link::{Link, Traffic, out_bytes};
use super::look::{Looks, Peer, PeerState, Standing};
use super::queue::{Command, Grown, LinkNumber, Order, Queue, Taken};
use super::{Ended, Event, Moments, Settings, Tell};
use crate::core::election::{self, Election, Member, Role, Token};
use crate::core::entry::Moment;
use crate::core::exchange::Records;
use crate::core::floor::fill::Kept;
use crate::core::id::{LogId, NodeId, Stream};
use crate::core::message::Hello;
use crate::core::mutant::{Mutant, is_on};
use crate::core::session::{self, Clock, Input, Me, Output, Session, Told};
use crate::core::view::Unreadable;
use crate::core::wish::Wish;
use crate::disk::store::Store;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How long a link may take for its turn to say hello.
const TURN_MS: u64 = 3_000;
/// How old what is shown may be while things happen.
const LOOK_MS: u64 = 100;
/// What is shown is renewed this often when nothing happens: times run on.
const LOOK_IDLE_MS: u64 = 1_000;
/// A wall clock that moved more than this against the monotonic one was set: more than a second of the worst drift.
const CLOCK_SET_MS: u64 = 20;
/// How long the follower of the store sleeps before it looks whether the hub has stopped.
const FEED_WAIT: Duration = Duration::from_millis(250);
/// Changes taken at once.
const FEED_CHUNK: usize = 1024;

pub struct Parts {
    pub store: Arc<Store>,
    pub settings: Settings,
    pub queue: Arc<Queue>,
    pub election: Arc<Mutex<Election>>,
    pub looks: Arc<Looks>,
    pub moments: Moments,
    pub keep_token: Box<dyn FnMut(Token) -> io::Result<()> + Send>,
    pub tell: Tell,
}

/// Starts both threads.
pub fn start(parts: Parts) -> io::Result<()> {
    let (store, queue) = (parts.store.clone(), parts.queue.clone());
    let hub = Hub::new(parts);
    std::thread::Builder::new().name("replicate-hub".to_string()).spawn(move || hub.run())?;
    let feed = move || {
        let mut since = 0;
        while !queue.is_closed() {
            since = follow(&store, &queue, since, FEED_WAIT);
        }
    };
    std::thread::Builder::new().name("replicate-feed".to_string()).spawn(feed)?;
    Ok(())
}

/// Wakes the hub if logs have grown, or do within a time. Returns from where to go on.
fn follow(store: &Store, queue: &Queue, since: u64, wait: Duration) -> u64 {
    let news = store.changes(since, FEED_CHUNK, wait);
    if news.has_missed {
        queue.grown_somewhere();
    } else if !news.changes.is_empty() {
        queue.grown(news.changes.iter().map(|change| change.at.log()));
    }
    news.next
}

fn clock(moment: Moment) -> Clock {
    Clock { wall_at_zero_ms: moment.wall.saturating_sub_unsigned(moment.mono), q: moment.q }
}

/// A link as the hub has it.
struct Linked {
    link: Arc<Link>,
    peer: NodeId,
    is_dialled_by_us: bool,
    since_ms: u64,
    session: Session,
    is_talking: bool,
    /// Its writer has enough: the session's next word waits.
    is_slow: bool,
    /// Logs grew meanwhile.
    has_missed: bool,
    /// The peer was told that two nodes use its name.
    is_warned: bool,
    /// Its turn to say hello, until it is over.
    turn: Option<OwnedSemaphorePermit>,
}

impl Linked {
    fn input(&mut self, now_ms: u64, input: Input, records: &impl Records) -> Result<(), Unreadable> {
        let is_done = self.session.input(now_ms, input, records);
        if self.turn.is_some() {
            self.end_turn(now_ms);
        }
        is_done
    }

    /// Until when time brings it nothing.
    fn due_ms(&self) -> Option<u64> {
        let turn = self.turn.as_ref().map(|_| self.since_ms + TURN_MS);
        self.session.poll_timeout().map(|(at_ms, _)| at_ms).into_iter().chain(turn).min()
    }

    /// Lets the next link have its turn when this one's vectors were exchanged, or it took too long.
    fn end_turn(&mut self, now_ms: u64) {
        let state = self.session.state();
        let is_told = |hello: Arc<Hello>| {
            let mut lags = Stream::ALL.iter().zip(&state.lag);
            lags.all(|(stream, lag)| lag.is_known || !hello.wants.contains(stream))
        };
        if now_ms >= self.since_ms + TURN_MS || state.hello.is_some_and(is_told) {
            self.turn = None;
        }
    }
}

/// What one thing leads to.
enum Work {
    Pump(LinkNumber),
    Elect(election::Input),
}

struct Hub {
    parts: Parts,
    me: NodeId,
    now_ms: u64,
    clock: Clock,
    links: BTreeMap<LinkNumber, Linked>,
    /// None of them has anything due before this. Hundreds are not all asked each time that one was heard.
    links_due_ms: u64,
    /// The link to each node that has said hello.
    talking: BTreeMap<NodeId, LinkNumber>,
    members: Option<BTreeMap<NodeId, Member>>,
    /// Streams of which sessions want every log. Those that are to be wanted are in the settings.
    wants: Vec<Stream>,
    work: VecDeque<Work>,
    /// Batches given to the store.
    applying: usize,
    role: Role,
    is_caught_up: bool,
    /// The last token that is durable: others may hear of it.
    kept: Token,
    to_keep: Option<Token>,
    keep_at_ms: u64,
    /// When to show anew at the latest, and when it was done last.
    look_at_ms: u64,
    looked_ms: u64,
    /// What went over links that are gone.
    before: Traffic,
    care: Care,
    floor: FloorCare,
}

impl Hub {
    fn new(parts: Parts) -> Self {
        let moment = (parts.moments)();
        Hub {
            me: parts.store.brief().us.node,
            care: Care::new(parts.store.brief()),
            floor: FloorCare::default(),
            kept: parts.settings.seen,
            clock: clock(moment),
            now_ms: moment.mono,
            parts,
            links: BTreeMap::new(),
            links_due_ms: u64::MAX,
            talking: BTreeMap::new(),
            members: None,
            wants: Vec::new(),
            work: VecDeque::new(),
            applying: 0,
            role: Role::Bystander,
            is_caught_up: false,
            to_keep: None,
            keep_at_ms: 0,
            look_at_ms: 0,
            looked_ms: moment.mono,
            before: Traffic::default(),
        }
    }

    fn run(mut self) {
        self.begin_care();
        // A wake-up before its time would only look again.
        let wait = |hub: &Self| Duration::from_millis(hub.due_ms().saturating_sub(hub.now_ms).max(1));
        while let Some(taken) = self.parts.queue.take(wait(&self)) {
            self.turn(taken);
        }
    }

    /// Does all that follows from what has come and from the time.
    fn turn(&mut self, taken: Taken) {
        self.read_clock();
        self.watch_store();
        let is_idle = taken.orders.is_empty() && taken.grown.is_none();
        if let Some(members) = taken.roster {
            self.roster(members);
        }
        for order in taken.orders {
            self.order(order);
            self.settle();
        }
        if let Some(grown) = taken.grown {
            self.grown(grown);
        }
        self.tick();
        self.settle();
        if !is_idle {
            self.look_at_ms = self.look_at_ms.min(self.looked_ms + LOOK_MS);
        }
        if self.now_ms >= self.look_at_ms {
            self.show();
        }
    }

    /// Until when there is nothing to do.
    fn due_ms(&self) -> u64 {
        let election = self.election().poll_timeout().map(|(at_ms, _)| at_ms);
        let keep = self.to_keep.map(|_| self.keep_at_ms);
        let care = self.care.due_ms();
        let first = self.look_at_ms.min(self.links_due_ms);
        election.into_iter().chain(keep).chain(care).fold(first, u64::min)
    }

    fn election(&self) -> std::sync::MutexGuard<'_, Election> {
        self.parts.election.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_clock(&mut self) -> Moment {
        let moment = (self.parts.moments)();
        self.now_ms = self.now_ms.max(moment.mono);
        let now = clock(moment);
        let moved_ms = now.wall_at_zero_ms.abs_diff(self.clock.wall_at_zero_ms);
        if now.q != self.clock.q || moved_ms > CLOCK_SET_MS {
            self.clock = now;
            for number in self.numbers() {
                self.input(number, Input::Clock(now));
            }
        }
        moment
    }

    fn numbers(&self) -> Vec<LinkNumber> {
        self.links.keys().copied().collect()
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Opened { link, peer, is_dialled_by_us, turn } => self.opened(link, peer, is_dialled_by_us, turn),
            Order::Heard { link, message, _permits } => {
                self.read_clock();
                self.input(link, Input::Heard(message));
            }
            Order::Drained(number) => self.drained(number),
            Order::Gone { link, ended, _place } => self.end(link, ended),
            Order::Applied { link, batch, applied } => {
                self.applying = self.applying.saturating_sub(1);
                self.input(link, Input::Applied { batch, applied });
            }
            Order::Ran { errand, result } => self.ran(errand, result),
            Order::Command(Command::HandOver(to)) => self.elect(election::Input::HandOver { to }),
            Order::Command(Command::Force) => self.elect(election::Input::Force),
            Order::Command(Command::Carried { from, token }) => self.elect(election::Input::Carried { from, token }),
            Order::Command(Command::Lapsed(nodes)) => self.floor.lapsed = nodes,
            Order::Command(Command::Keep(streams)) => self.keep(streams),
            Order::Command(Command::Disconnect(node)) => {
                self.end_all_of(|_, peer| peer == node, &Ended::Disconnected);
            }
        }
    }

    fn opened(&mut self, link: Arc<Link>, peer: NodeId, is_dialled_by_us: bool, turn: OwnedSemaphorePermit) {
        if !self.is_member(peer) {
            return link.end(Ended::NoMember);
        }
        if self.links.len() >= self.parts.settings.links_max {
            return link.end(Ended::TooMany);
        }
        // Of one that has not said hello yet the newer is taken: the older may hang for ever.
        let is_greeting = |linked: &&Linked| linked.peer == peer && !linked.is_talking;
        if let Some(older) = self.links.values().find(is_greeting).map(|linked| linked.link.number)
            && self.links.values().filter(is_greeting).count() > 1
        {
            self.end(older, Ended::Second);
        }
        let settings = &self.parts.settings;
        let me = Me {
            fleet: settings.fleet,
            origin: self.care.store.us,
            boot: (self.parts.moments)().boot,
            build: settings.build.clone(),
            kinds: settings.kinds.clone(),
            features: settings.features.iter().cloned().chain(self.care.features()).collect(),
            wants: self.wants.clone(),
            seen: self.kept,
            clock: self.clock,
        };
        let number = link.number;
        let session = Session::new(me, settings.session.clone());
        let linked = Linked {
            link,
            peer,
            is_dialled_by_us,
            since_ms: self.now_ms,
            session,
            is_talking: false,
            is_slow: false,
            has_missed: false,
            is_warned: false,
            turn: Some(turn),
        };
        self.care.opened(number);
        self.links.insert(number, linked);
        self.input(number, Input::Opened { peer });
    }

    /// Gives a session what happened; what it says to that is done by [`Hub::settle`].
    fn input(&mut self, number: LinkNumber, input: Input) {
        let Some(linked) = self.links.get_mut(&number) else { return };
        match linked.input(self.now_ms, input, &*self.parts.store) {
            Ok(()) => self.work.push_back(Work::Pump(number)),
            Err(unreadable) => self.end(number, Ended::Unreadable(unreadable.to_string())),
        }
    }

    fn elect(&mut self, input: election::Input) {
        self.work.push_back(Work::Elect(input));
    }

    /// Does all that follows.
    fn settle(&mut self) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Pump(number) => self.pump(number),
                Work::Elect(input) => self.advance_election(input),
            }
        }
    }

    /// Does what a session says, and heeds by when it wants to be asked again.
    fn pump(&mut self, number: LinkNumber) {
        self.say(number);
        if let Some(at_ms) = self.links.get(&number).and_then(Linked::due_ms) {
            self.links_due_ms = self.links_due_ms.min(at_ms);
        }
    }

    /// Does what a session says, as long as its link takes it.
    fn say(&mut self, number: LinkNumber) {
        let out_bytes = out_bytes(self.links.len());
        while let Some(linked) = self.links.get_mut(&number) {
            linked.is_slow = !linked.link.has_room(out_bytes);
            if linked.is_slow {
                // What it said before it closed will not be taken any more.
                match linked.session.closed_for().cloned() {
                    Some(reason) => self.end(number, Ended::Closed(reason)),
                    None => return,
                }
                continue;
            }
            let peer = linked.peer;
            match linked.session.poll_output() {
                None => return,
                Some(Output::Send(message)) => linked.link.say(message),
                Some(Output::Apply { batch, entries, kept, is_urgent, .. }) => {
                    self.apply((number, batch), entries, kept, is_urgent);
                }
                Some(Output::Told(Told::Hello(hello))) => self.greeted(number, peer, hello),
                // Whoever stands still is not to be waited for: no answer, no candidate.
                Some(Output::Told(Told::Election(election::Message::Probe { .. })))
                    if self.care.store.is_quarantined => {}
                Some(Output::Told(Told::Election(message))) => {
                    self.elect(election::Input::Heard { from: peer, message });
                }
                Some(Output::Told(told)) => {
                    self.mind(peer, &told);
                    self.mind_floor(number, &told);
                    (self.parts.tell)(Event::Session(peer, told));
                }
                Some(Output::Close(session::Reason::Silent { .. })) if is_on(Mutant::HalfOpenKept) => return,
                Some(Output::Close(reason)) => self.end(number, Ended::Closed(reason)),
            }
        }
    }

    fn apply(
        &mut self,
        (link, batch): (LinkNumber, u64),
        entries: Vec<Arc<[u8]>>,
        kept: Option<Kept>,
        is_urgent: bool,
    ) {
        let queue = self.parts.queue.clone();
        // While the writer is busy, what comes gathers by itself; an idle one has nothing to wait for.
        let is_urgent = is_urgent || self.applying == 0;
        self.applying += 1;
        let done = move |result: Result<_, crate::disk::store::WriteError>| {
            queue.push(Order::Applied { link, batch, applied: result.map_err(|error| error.to_string()) });
        };
        let (store, moment) = (&self.parts.store, (self.parts.moments)());
        match kept {
            Some(kept) => store.apply_kept_then(entries, kept, moment, Box::new(done)),
            None => store.apply_then(entries, moment, is_urgent, Box::new(done)),
        }
    }

    /// A peer has said hello. Of two links to it the one that the lesser of both nodes dialled stays; of two that the
    /// same one dialled, the newer: it had its reason.
    fn greeted(&mut self, number: LinkNumber, peer: NodeId, hello: Box<Hello>) {
        let me = self.me;
        let is_preferred = |linked: &Linked| linked.is_dialled_by_us == (me < peer);
        let is_doubled = self.is_doubled(number, peer, &hello) && !hello.is_quarantined();
        let other = self.talking.get(&peer).filter(|other| **other != number && !is_doubled);
        let other = other.and_then(|other| self.links.get(other));
        // Of two that use one name the one that an operator chose is spoken with.
        let is_still = |linked: &Linked| linked.session.state().hello.is_some_and(|hello| hello.is_quarantined());
        let is_freed = |other: &Linked| is_still(other) && !hello.is_quarantined();
        let is_second = match (other, self.links.get(&number)) {
            (Some(other), _) if hello.is_quarantined() && !is_still(other) => true,
            (Some(other), Some(linked)) => !is_preferred(linked) && is_preferred(other) && !is_freed(other),
            (_, _) => false,
        };
        if is_second {
            return self.end(number, Ended::Second);
        }
        let other = self.talking.insert(peer, number);
        if let Some(linked) = self.links.get_mut(&number) {
            linked.is_talking = true;
        }
        if is_doubled {
            self.warn(number);
        }
        self.look_at_ms = self.now_ms;
        match other {
            // The node was in reach all the time.
            Some(other) if other == number => {}
            Some(other) => self.end(other, Ended::Second),
            None => {
                (self.parts.tell)(Event::Linked(peer));
                self.elect(election::Input::Up(peer));
            }
        }
        let seen = hello.seen;
        (self.parts.tell)(Event::Session(peer, Told::Hello(hello)));
        if seen > Token::NONE {
            self.elect(election::Input::Carried { from: peer, token: seen });
        }
    }

    /// Whether a node belongs to the fleet, as far as that was told.
    fn is_member(&self, node: NodeId) -> bool {
        self.members.as_ref().is_none_or(|members| members.contains_key(&node))
    }

    fn end_all_of(&mut self, is_meant: impl Fn(&Self, NodeId) -> bool, why: &Ended) {
        for number in self.numbers() {
            if self.links.get(&number).is_some_and(|linked| is_meant(self, linked.peer)) {
                self.end(number, why.clone());
            }
        }
    }

    fn end(&mut self, number: LinkNumber, why: Ended) {
        let Some(linked) = self.links.remove(&number) else { return };
        linked.link.end(why.clone());
        self.before.add(traffic(&linked, &linked.session.state()));
        self.look_at_ms = self.now_ms;
        let node = linked.peer;
        if self.talking.get(&node) == Some(&number) {
            self.talking.remove(&node);
            // The peer has heard our hello on the link that stays, and we not yet its own.
            let stays = self.links.values().find(|linked| linked.peer == node && why == Ended::Second);
            if let Some(stays) = stays {
                self.talking.insert(node, stays.link.number);
                return;
            }
            let was_reset = why.was_reset();
            (self.parts.tell)(Event::Unlinked { node, why });
            self.elect(election::Input::Down { node, was_reset });
        }
    }

    fn drained(&mut self, number: LinkNumber) {
        let Some(linked) = self.links.get_mut(&number) else { return };
        match std::mem::take(&mut linked.has_missed) && !is_on(Mutant::MissedForgotten) {
            true => self.input(number, Input::Changed { logs: Vec::new() }),
            false => self.work.push_back(Work::Pump(number)),
        }
    }

    fn grown(&mut self, grown: Grown) {
        let logs: Vec<LogId> = match grown {
            Grown::Logs(logs) => logs.into_iter().collect(),
            Grown::Some => Vec::new(),
        };
        let store = self.parts.store.clone();
        for (number, unreadable) in self.tell_all(&logs, &store) {
            self.end(number, Ended::Unreadable(unreadable.to_string()));
        }
        self.settle();
    }

    /// Tells sessions which logs have grown, all from one reading of the records, as long as their links take what they say.
    /// Returns those that could not read them.
    fn tell_all(&mut self, logs: &[LogId], store: &Store) -> Vec<(LinkNumber, Unreadable)> {
        let records = store.at_once();
        let mut broken = Vec::new();
        for (number, linked) in &mut self.links {
            if linked.is_slow {
                linked.has_missed = true;
                continue;
            }
            let changed = Input::Changed { logs: logs.to_vec() };
            let told = records.as_ref().map_err(Clone::clone);
            match told.and_then(|records| linked.input(self.now_ms, changed, records)) {
                Ok(()) => self.work.push_back(Work::Pump(*number)),
                Err(unreadable) => broken.push((*number, unreadable)),
            }
        }
        broken
    }

    fn roster(&mut self, members: Vec<election::Member>) {
        self.members = Some(members.into_iter().map(|member| (member.node, member)).collect());
        self.elect_among();
        self.settle();
        self.end_all_of(|hub, peer| !hub.is_member(peer), &Ended::NoMember);
        let members = &self.members;
        self.care.retain(|node| members.as_ref().is_none_or(|members| members.contains_key(&node)));
        self.settle();
        self.look_at_ms = self.now_ms;
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms;
        if self.links_due_ms <= now_ms {
            self.tick_links();
        }
        if self.to_keep.is_some() && self.keep_at_ms <= now_ms {
            self.keep_token();
        }
        self.take_care();
        let is_due = self.election().poll_timeout().is_some_and(|(at_ms, _)| at_ms <= now_ms);
        if is_due {
            self.elect(election::Input::Tick);
        }
    }

    /// Asks those whose time it is, and sees by when the next one is to be asked.
    fn tick_links(&mut self) {
        let now_ms = self.now_ms;
        let is_due = |linked: &Linked| linked.due_ms().is_some_and(|at_ms| at_ms <= now_ms);
        let due: Vec<_> = self.links.iter().filter(|(_, linked)| is_due(linked)).map(|(number, _)| *number).collect();
        for number in due {
            self.input(number, Input::Tick);
        }
        self.links_due_ms = self.links.values().filter_map(Linked::due_ms).min().unwrap_or(u64::MAX);
    }

    /// Puts out what there is to see, and tells the election whether this node has what its coordinator has.
    fn show(&mut self) {
        let at = self.read_clock();
        let mut traffic_of_all = self.before;
        let mut peers: BTreeMap<NodeId, Peer> = BTreeMap::new();
        for linked in self.links.values() {
            let peer = seen(linked);
            traffic_of_all.add(peer.traffic);
            if linked.is_talking || !peers.contains_key(&linked.peer) {
                peers.insert(linked.peer, peer);
            }
        }
        self.take_floor_care();
        self.settle();
        let floor = self.floor_look();
        let is_caught_up = self.is_caught_up_now();
        let election = self.election().standing(self.now_ms);
        self.parts.looks.set(Standing {
            me: self.me,
            at,
            election,
            peers,
            links: self.links.len(),
            traffic: traffic_of_all,
            floor,
            keeps_all: Wish::of(self.me, &self.wants).is_all(),
        });
        self.looked_ms = self.now_ms;
        self.look_at_ms = self.now_ms + LOOK_IDLE_MS;
        if is_caught_up != self.is_caught_up {
            self.is_caught_up = is_caught_up;
            self.elect(election::Input::CaughtUp(is_caught_up));
            self.settle();
        }
    }
}

fn seen(linked: &Linked) -> Peer {
    let state = linked.session.state();
    Peer {
        since_ms: linked.since_ms,
        is_dialled_by_us: linked.is_dialled_by_us,
        state: match (linked.is_talking, linked.is_slow) {
            (false, _) => PeerState::Greeting,
            (true, true) => PeerState::Slow,
            (true, false) => PeerState::Talking,
        },
        build: state.hello.as_ref().map(|hello| hello.build.clone()).unwrap_or_default(),
        origin: state.hello.as_ref().map(|hello| hello.origin()),
        lag: state.lag,
        behind_since_ms: None,
        left_alone: state.left_alone,
        heard_ms: state.heard_ms,
        offset: state.offset,
        traffic: traffic(linked, &state),
    }
}

fn traffic(linked: &Linked, state: &session::State) -> Traffic {
    Traffic { entries_out: state.sent, entries_in: state.received, ..linked.link.traffic() }
}

impl Drop for Hub {
    /// Also if the thread panicked: a link without its hub would hang.
    fn drop(&mut self) {
        self.parts.queue.close();
        for linked in self.links.values() {
            linked.link.end(Ended::Stopped);
        }
        for order in self.parts.queue.rest() {
            if let Order::Opened { link, .. } = order {
                link.end(Ended::Stopped);
            }
        }
    }
}
