//! What a store needs from whoever has it: jobs after it failed, a new name, standing still, and links that begin anew.
//!
//! Lives here: when each of that is done, again after pauses that double, and never more than [`RENAMES_MAX`] names for
//! what peers remember of us: two machines under one name would outdo each other. Does not: how it is done, which is the
//! store's, on its own thread. The hub never waits for it.

use super::Hub;
use crate::core::floor::advance::Next;
use crate::core::floor::{Floor, HandedOn};
use crate::core::id::{NodeId, Origin, Position};
use crate::core::message::{CHOSEN, Cause, Hello, QUARANTINED};
use crate::core::session::{Input, Told};
use crate::disk::opening::Alarm;
use crate::disk::store::{Brief, WriteError};
use crate::net::names::Names;
use crate::net::queue::{LinkNumber, Order};
use crate::net::{Ended, Event, Patience};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names taken since the hub was started, or a person chose this node, after which the next lost memory is taken for
/// another machine under our name. A backup that was put back needs one, or one for each peer that remembers more.
const RENAMES_MAX: u32 = 3;

const OUTDONE: &str = "time and again another node goes on under our name";

/// Something the store is to do, tried until it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Open the file again.
    Poke,
    /// Go on under the next incarnation, if it is not above this one already.
    Renew(u32),
    /// Write nothing of our own under this incarnation, and why.
    StandStill(u32, String),
    /// Take the floor that is due.
    Collect,
    /// Begin with what others kept below this floor.
    Fill(Arc<Floor>),
    /// Set the file aside, if others have this, and begin anew.
    SetAside(HandedOn),
    /// Take what others kept below our floor of logs that were not kept here so far.
    Widen,
    /// Say where the floor is, under this epoch.
    Advance(u64, Next),
}

#[derive(Debug)]
struct Waiting {
    errand: Errand,
    at_ms: u64,
    /// The last pause.
    wait_ms: u64,
    is_running: bool,
}

/// When the links to a peer begin anew, because a log was left alone.
#[derive(Debug, Default)]
struct Anew {
    at_ms: Option<u64>,
    wait_ms: u64,
    last_ms: u64,
}

#[derive(Debug)]
pub struct Care {
    /// The store as the hub has last seen it: links and election are under this name.
    pub store: Brief,
    errands: Vec<Waiting>,
    anew: BTreeMap<NodeId, Anew>,
    names: Names,
    newest: LinkNumber,
    renames: u32,
    /// A person chose this node, in this run.
    is_chosen: bool,
}

impl Care {
    pub fn new(store: Brief) -> Self {
        let (errands, anew) = (Vec::new(), BTreeMap::new());
        Self { store, errands, anew, names: Names::default(), newest: 0, renames: 0, is_chosen: false }
    }

    /// A link is up.
    pub fn opened(&mut self, link: LinkNumber) {
        self.newest = self.newest.max(link);
    }

    /// What this node says of itself in a hello beside the rest.
    pub fn features(&self) -> impl Iterator<Item = String> {
        let still = self.store.is_quarantined.then(|| QUARANTINED.to_string());
        let chosen = self.is_chosen.then(|| CHOSEN.to_string());
        still.into_iter().chain(chosen)
    }

    /// When something is due.
    pub fn due_ms(&self) -> Option<u64> {
        let errands = self.errands.iter().filter(|waiting| !waiting.is_running).map(|waiting| waiting.at_ms);
        errands.chain(self.anew.values().filter_map(|anew| anew.at_ms)).min()
    }

    /// How many answers of the store are awaited.
    #[cfg(feature = "stepped")]
    pub fn running(&self) -> usize {
        self.errands.iter().filter(|waiting| waiting.is_running).count()
    }

    /// Forgets whoever is no member.
    pub fn retain(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.names.retain(&is_member);
        self.anew.retain(|node, _| is_member(*node));
    }

    pub(super) fn add(&mut self, errand: Errand, at_ms: u64) {
        if matches!(errand, Errand::StandStill(..)) {
            self.errands.retain(|waiting| waiting.is_running || !matches!(waiting.errand, Errand::Renew(_)));
        }
        let kind = std::mem::discriminant(&errand);
        if self.errands.iter().all(|waiting| std::mem::discriminant(&waiting.errand) != kind) {
            self.errands.push(Waiting { errand, at_ms, wait_ms: 0, is_running: false });
        }
    }
}

impl Hub {
    /// Tells how the store was found.
    pub(super) fn begin_care(&mut self) {
        if let Some(why) = self.parts.store.status().quarantined {
            (self.parts.tell)(Event::Quarantined(why));
        }
        self.begin_to_keep();
    }

    /// Looks at the store: under another name everything begins anew.
    pub(super) fn watch_store(&mut self) {
        let brief = self.parts.store.brief();
        if brief == self.care.store {
            return;
        }
        let status = self.parts.store.status();
        let before = std::mem::replace(&mut self.care.store, brief);
        for alarm in status.alarms.iter().skip(before.alarms) {
            (self.parts.tell)(Event::Alarm(alarm.clone()));
        }
        match (before.is_failed, brief.is_failed) {
            (false, true) => {
                (self.parts.tell)(Event::StoreFailed(status.failed.unwrap_or_default()));
                self.care.add(Errand::Poke, self.now_ms + self.patience().again_ms);
            }
            (true, false) => (self.parts.tell)(Event::StoreHealed),
            (true, true) | (false, false) => {}
        }
        if brief.us != before.us {
            let came = status.alarms.iter().skip(before.alarms);
            let is_set_aside = came.into_iter().any(|alarm| matches!(alarm, Alarm::BelowFloor { .. }));
            self.renamed(before.us, before.is_quarantined && !brief.is_quarantined, is_set_aside);
        }
        if brief.is_quarantined && !before.is_quarantined {
            (self.parts.tell)(Event::Quarantined(status.quarantined.unwrap_or_default()));
        }
        if brief.us != before.us || brief.is_quarantined != before.is_quarantined {
            self.elect_anew();
        }
        self.look_at_ms = self.now_ms;
    }

    pub(super) fn patience(&self) -> &Patience {
        &self.parts.settings.patience
    }

    /// Every link says hello anew: peers must hear the new name before its entries.
    fn renamed(&mut self, from: Origin, was_chosen: bool, is_set_aside: bool) {
        self.care.renames = if was_chosen { 0 } else { self.care.renames + u32::from(!is_set_aside) };
        self.care.is_chosen |= was_chosen;
        (self.parts.tell)(Event::Renamed { from, to: self.care.store.us });
        self.end_all_of(|_, _| true, &Ended::Anew);
        self.settle();
        // The store answers what peers send of our future by itself.
        if self.care.renames > RENAMES_MAX {
            self.stand_still(OUTDONE.to_string());
        }
    }

    /// Does what has come due.
    pub(super) fn take_care(&mut self) {
        let now_ms = self.now_ms;
        let is_due = |waiting: &&mut Waiting| !waiting.is_running && waiting.at_ms <= now_ms;
        let mut due = Vec::new();
        for waiting in self.care.errands.iter_mut().filter(is_due) {
            waiting.is_running = true;
            due.push(waiting.errand.clone());
        }
        due.into_iter().for_each(|errand| self.run_errand(errand));
        let is_due = |anew: &Anew| anew.at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let due: Vec<NodeId> = self.care.anew.iter().filter(|(_, anew)| is_due(anew)).map(|(node, _)| *node).collect();
        for node in due {
            if let Some(anew) = self.care.anew.get_mut(&node) {
                (anew.at_ms, anew.last_ms) = (None, now_ms);
            }
            self.end_all_of(|_, peer| peer == node, &Ended::Anew);
        }
    }

    fn run_errand(&self, errand: Errand) {
        let (queue, ran, moment) = (self.parts.queue.clone(), errand.clone(), (self.parts.moments)());
        let done = move |result: Result<(), WriteError>| {
            queue.push(Order::Ran { errand: ran, result: result.map_err(|error| error.to_string()) });
        };
        let store = &self.parts.store;
        match errand {
            Errand::Poke => {
                store.apply_then(Vec::new(), moment, true, Box::new(move |result| done(result.map(drop))));
            }
            Errand::Renew(of) => store.renew_then(of, moment, Box::new(move |result| done(result.map(drop)))),
            Errand::StandStill(of, why) => store.quarantine_then(of, why, moment, Box::new(done)),
            Errand::Collect => store.collect_then(moment, Box::new(move |result| done(result.map(drop)))),
            Errand::Fill(floor) => store.fill_then(floor, moment, Box::new(move |result| done(result.map(drop)))),
            Errand::Widen => store.widen_then(moment, Box::new(move |result| done(result.map(drop)))),
            Errand::SetAside(to) => store.set_aside_then(to, moment, Box::new(move |result| done(result.map(drop)))),
            Errand::Advance(epoch, next) => {
                // What is refused was overtaken: it is looked at anew.
                let done = move |result: Result<bool, WriteError>| match result {
                    Ok(_) | Err(WriteError::BadAct(_)) => done(Ok(())),
                    Err(error) => done(Err(error)),
                };
                store.advance_floor_then(epoch, next, moment, Box::new(done));
            }
        }
    }

    /// What became of an errand.
    pub(super) fn ran(&mut self, errand: Errand, result: Result<(), String>) {
        let Patience { again_ms, again_max_ms, .. } = *self.patience();
        let now_ms = self.now_ms;
        match result {
            Ok(()) => {
                self.care.errands.retain(|waiting| waiting.errand != errand);
                match errand {
                    Errand::Fill(floor) => self.may_be_filled(&floor),
                    Errand::Widen => self.widened(),
                    _ => {}
                }
            }
            Err(_) => {
                for waiting in self.care.errands.iter_mut().filter(|waiting| waiting.errand == errand) {
                    waiting.wait_ms = (waiting.wait_ms * 2).clamp(again_ms, again_max_ms);
                    (waiting.at_ms, waiting.is_running) = (now_ms + waiting.wait_ms, false);
                }
            }
        }
    }

    /// Does what follows for this node from what a session tells.
    pub(super) fn mind(&mut self, peer: NodeId, told: &Told) {
        match told {
            Told::OurOwnFuture { at } => self.lost_memory(*at),
            // Of others' names only what their own machines show is believed: anybody can tell anything of a third.
            Told::Fork { at } if at.dot.node == peer => self.doubled(at.dot.node, at.dot.inc),
            Told::Fork { at } if at.dot.node != self.me => {}
            // In an older incarnation it was answered by the next one.
            Told::Fork { at } if at.dot.inc == self.parts.store.brief().us.inc => {
                self.stand_still(format!("another node writes under our name: it has its own entry at {at}"));
            }
            Told::Clone { node, inc } if *node == peer => self.doubled(*node, *inc),
            Told::Clone { node, .. } if *node != self.me => {}
            Told::Clone { .. } => {
                self.stand_still("another node speaks under our name: one is a copy of the other".to_string());
            }
            Told::LeftAlone { why: Cause::Fork | Cause::Clone, .. } => {}
            Told::LeftAlone { .. } => self.begin_anew(peer),
            Told::Fork { .. } | Told::Hello(_) | Told::Election(_) | Told::NotKept { .. } => {}
            // That is `floor`'s.
            Told::BelowFloor { .. } | Told::PeerBelowFloor | Told::Offered(_) => {}
        }
    }

    /// A peer remembers more of us than we do. Not answered at once: a peer that knows of a second machine says so right
    /// after, and then it is no lost memory.
    fn lost_memory(&mut self, at: Position) {
        let Brief { us, is_quarantined, .. } = self.parts.store.brief();
        if at.dot.node != self.me || at.dot.inc < us.inc {
            return;
        }
        self.parts.store.heard_of_us(at.dot.inc);
        if is_quarantined {
            return;
        }
        if self.care.renames >= RENAMES_MAX {
            return self.stand_still(OUTDONE.to_string());
        }
        self.care.add(Errand::Renew(at.dot.inc), self.now_ms + self.patience().renew_ms);
    }

    fn stand_still(&mut self, why: String) {
        if !self.parts.store.brief().is_quarantined {
            let of = self.parts.store.brief().us.inc;
            self.care.add(Errand::StandStill(of, why), self.now_ms);
        }
    }

    /// A log was left alone, though nobody wrote twice: after a pause the two say hello anew and try it again.
    fn begin_anew(&mut self, peer: NodeId) {
        let Patience { anew_ms, anew_max_ms, .. } = *self.patience();
        let now_ms = self.now_ms;
        let anew = self.care.anew.entry(peer).or_default();
        if anew.at_ms.is_some() {
            return;
        }
        if now_ms.saturating_sub(anew.last_ms) > 2 * anew_max_ms {
            anew.wait_ms = 0;
        }
        anew.wait_ms = (anew.wait_ms * 2).clamp(anew_ms, anew_max_ms);
        anew.at_ms = Some(now_ms + anew.wait_ms);
    }

    /// Returns whether two machines use the name that this hello gives.
    pub(super) fn is_doubled(&mut self, number: LinkNumber, peer: NodeId, hello: &Hello) -> bool {
        let newest = self.care.newest;
        if self.care.names.heard(hello, number, newest) {
            (self.parts.tell)(Event::Doubled(peer));
        }
        self.care.names.is_doubled(hello)
    }

    /// A machine has shown that it is one of two.
    fn doubled(&mut self, node: NodeId, inc: u32) {
        if !self.care.names.told(node, inc) {
            return;
        }
        let names = &self.care.names;
        let is_meant = |linked: &super::Linked| {
            let hello = linked.session.state().hello;
            linked.peer == node && hello.is_some_and(|hello| names.is_doubled(&hello))
        };
        let meant: Vec<_> =
            self.links.iter().filter(|(_, linked)| is_meant(linked)).map(|(number, _)| *number).collect();
        meant.into_iter().for_each(|number| self.warn(number));
    }

    /// Tells a peer, once on each link, that two machines use its name. The other one hears it when it says hello.
    pub(super) fn warn(&mut self, number: LinkNumber) {
        let Some(linked) = self.links.get_mut(&number) else { return };
        if !std::mem::replace(&mut linked.is_warned, true) {
            self.input(number, Input::Doubled);
        }
    }
}
