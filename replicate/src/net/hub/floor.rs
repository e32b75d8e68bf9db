//! The hub's part in the floor: it moves it when it coordinates, takes it when it is due, hands on what nobody else has and
//! begins anew when it is below it, and is filled by one peer at a time when it has nothing.
//!
//! Looked at as often as there is something to show. What has to be done is an errand of the store like any other.

use super::care::Errand;
use super::{Hub, Linked};
use crate::core::election::{Gated, Mode, Role, Token};
use crate::core::exchange::Records;
use crate::core::floor::advance::{self, Barrier, Next};
use crate::core::floor::{Due, Floor, Stage, Standing};
use crate::core::id::{NodeId, Stream};
use crate::core::session::asked::Asked;
use crate::core::session::{Input, Session, Told};
use crate::core::wish::{KEPT_BY_ALL, Wish};
use crate::net::Ended;
use crate::net::look::{FloorLook, FloorWait};
use crate::net::queue::LinkNumber;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// After a look at which somebody was missing, the next is no sooner than this.
const LOOK_SOON_MS: u64 = 5_000;
/// After a look that found little to gain, the next is no sooner than this.
const LOOK_AGAIN_MS: u64 = 60_000;

#[derive(Debug, Default)]
pub struct FloorCare {
    /// Members that are not waited for.
    pub lapsed: BTreeSet<NodeId>,
    /// Links to peers below whose floor we are.
    below: BTreeSet<LinkNumber>,
    /// What peers offered to fill us with.
    offers: BTreeMap<LinkNumber, Arc<Floor>>,
    /// Who does.
    filled_by: Option<LinkNumber>,
    /// Our floor when we last looked.
    seen: Option<Standing>,
    /// When to look next whether the floor can be moved.
    advance_at_ms: u64,
    /// What all who are asked have to have before.
    barrier: Barrier,
    /// Why it was not moved when we last looked.
    waits: Option<FloorWait>,
}

impl Hub {
    /// Takes note of what a session tells of the floor.
    pub(super) fn mind_floor(&mut self, number: LinkNumber, told: &Told) {
        match told {
            Told::BelowFloor { .. } => {}
            Told::Offered(floor) => drop(self.floor.offers.insert(number, floor.clone())),
            _ => return,
        }
        self.look_at_ms = self.now_ms;
    }

    /// At the start: keeps what it is to keep, unless something of that is missing below the floor.
    pub(super) fn begin_to_keep(&mut self) {
        let wants = self.parts.settings.wants.clone();
        let lacks = Wish::of(self.me, &wants).is_all() && self.parts.store.lacks_below_floor().unwrap_or(false);
        self.wants = if lacks { KEPT_BY_ALL.to_vec() } else { wants };
        self.parts.store.keep(Wish::of(self.me, &self.wants));
    }

    /// Takes note of what is to be kept from now on.
    pub(super) fn keep(&mut self, streams: Vec<Stream>) {
        self.parts.settings.wants = streams;
        self.widen();
    }

    /// Keeps what it is to keep, if that is not so yet. What is missing below the floor can only come from a node at that floor
    /// that has all: before one is there, nothing changes, or this node would wait in vain and take nothing meanwhile.
    fn widen(&mut self) {
        // A floor that was said when this node did not keep those logs is taken as such a one takes it.
        let store = &self.parts.store;
        if self.wants == self.parts.settings.wants || store.is_floor_awaited().unwrap_or(true) {
            return;
        }
        let own = self.parts.store.standing().ok().flatten().map(|own| own.floor.name);
        let has_all = |session: &Session| {
            let is_whole = session.state().hello.is_some_and(|hello| hello.wish().is_all());
            let stands = session.peer_stands().filter(|theirs| theirs.stage == Stage::At);
            is_whole && stands.map(|theirs| theirs.floor) == own
        };
        match self.parts.store.lacks_below_floor() {
            Ok(false) => self.widened(),
            Ok(true) if self.links.values().any(|linked| has_all(&linked.session)) => {
                self.care.add(Errand::Widen, self.now_ms);
            }
            Ok(true) | Err(_) => {}
        }
    }

    /// Nothing is in the way of keeping more, if what is missing below the floor is awaited by now.
    pub(super) fn widened(&mut self) {
        if !self.parts.store.lacks_below_floor().is_ok_and(|lacks| !lacks) {
            return;
        }
        self.wants.clone_from(&self.parts.settings.wants);
        self.parts.store.keep(Wish::of(self.me, &self.wants));
        self.end_all_of(|_, _| true, &Ended::Anew);
    }

    /// Does what there is to do.
    pub(super) fn take_floor_care(&mut self) {
        if self.care.store.is_failed {
            return;
        }
        let links = &self.links;
        let is_below = |linked: &Linked| linked.session.is_below();
        self.floor.below = links.iter().filter(|(_, linked)| is_below(linked)).map(|(number, _)| *number).collect();
        self.floor.offers.retain(|number, _| links.contains_key(number));
        self.floor.filled_by = self.floor.filled_by.filter(|number| links.contains_key(number));
        // What cannot be read is read again with the next look.
        let Ok(own) = self.parts.store.standing() else { return };
        if self.floor.seen != own {
            // Whoever speaks with us hears of it.
            self.floor.seen = own.clone();
            self.numbers().into_iter().for_each(|number| self.input(number, Input::Tick));
        }
        match self.parts.store.floor_due() {
            Ok(None | Some(Due::Take(_))) => self.care.add(Errand::Collect, self.now_ms),
            Ok(Some(Due::Astray)) => self.stray(own.as_ref()),
            Ok(Some(Due::Nothing)) | Err(_) => {}
        }
        self.begin_anew_if_handed_on();
        self.begin_to_be_filled(own.as_ref());
        self.widen();
        self.advance_floor(own.as_ref());
    }

    /// Our floor is one that the fleet went past: whoever is at a later one takes what nobody else has.
    fn stray(&mut self, own: Option<&Standing>) {
        let is_later =
            |session: &Session| session.peer_stands().map(|theirs| theirs.floor) > own.map(|own| own.floor.name);
        let later = self.links.iter().filter(|(_, linked)| is_later(&linked.session));
        self.floor.below.extend(later.map(|(number, _)| *number));
    }

    fn begin_anew_if_handed_on(&mut self) {
        let store = &self.parts.store;
        let sessions =
            self.floor.below.iter().filter_map(|number| self.links.get(number)).map(|linked| &linked.session);
        let mut handed_on = sessions.filter_map(|session| session.handed_on(&**store).ok());
        let all = handed_on.find(|handed_on| store.is_handed_on(handed_on).unwrap_or(false));
        if let Some(all) = all.filter(|_| !self.care.store.is_quarantined) {
            self.care.add(Errand::SetAside(all), self.now_ms);
        }
    }

    fn begin_to_be_filled(&mut self, own: Option<&Standing>) {
        if self.floor.filled_by.is_some() || own.is_some_and(|own| own.stage != Stage::Filling) {
            return;
        }
        let is_ours = |floor: &Floor| own.is_none_or(|own| own.floor.name == floor.name);
        let offer = self.floor.offers.iter().find(|(_, floor)| is_ours(floor));
        if let Some((number, floor)) = offer.map(|(number, floor)| (*number, floor.clone())) {
            self.floor.offers.remove(&number);
            self.floor.filled_by = Some(number);
            self.care.add(Errand::Fill(floor), self.now_ms);
        }
    }

    /// The store has been asked to begin with a floor.
    pub(super) fn may_be_filled(&mut self, floor: &Floor) {
        let own = self.parts.store.standing().ok().flatten();
        let has_begun = own.is_some_and(|own| own.floor.name == floor.name && own.stage == Stage::Filling);
        match self.floor.filled_by {
            Some(number) if has_begun => self.input(number, Input::Fill(floor.name)),
            // Something of it came from elsewhere meanwhile: the peer has to look anew.
            Some(number) => {
                self.floor.filled_by = None;
                self.end(number, Ended::Anew);
            }
            None => {}
        }
    }

    /// Says where the floor is from now on, if that is this node's to say, everybody who is asked is here, at the present
    /// one, and has enough more.
    fn advance_floor(&mut self, own: Option<&Standing>) {
        let Some(every_ms) = self.patience().floor_every_ms else { return };
        let Role::Coordinator { token, mode, .. } = self.role else {
            self.floor.waits = None;
            return;
        };
        if self.now_ms < self.floor.advance_at_ms {
            return;
        }
        let mut barrier = std::mem::take(&mut self.floor.barrier);
        let next = self.next_floor((token, mode), own, &mut barrier);
        self.floor.barrier = barrier;
        self.floor.waits = next.as_ref().err().copied();
        let pause_ms = match next {
            Ok(next) => {
                self.care.add(Errand::Advance(token.epoch, next), self.now_ms);
                every_ms
            }
            Err(FloorWait::Entries { .. }) => every_ms.min(LOOK_AGAIN_MS),
            Err(_) => every_ms.min(LOOK_SOON_MS),
        };
        self.floor.advance_at_ms = self.now_ms + pause_ms;
    }

    /// Returns where the next floor would be, if nobody who is asked has anything against it and it is worth it.
    fn next_floor(
        &self,
        (token, mode): (Token, Mode),
        own: Option<&Standing>,
        barrier: &mut Barrier,
    ) -> Result<Next, FloorWait> {
        let may = self.election().may(self.now_ms, Gated::AdvanceFloor).is_ok() && mode != Mode::Minority;
        if !may || own.is_some_and(|own| own.stage != Stage::At) {
            return Err(FloorWait::Majority);
        }
        let store = &self.parts.store;
        let members = self.members.as_ref().ok_or(FloorWait::Majority)?;
        let writers = store.vector(Stream::Sec).map_err(|_| FloorWait::Records)?.into_keys();
        let writers = writers.filter(|(node, _)| members.contains_key(node));
        let is_first = advance::is_first(own, self.care.store.us, writers);
        let asked = self.asked(is_first)?;
        let is_settled = self.election().is_settled_on(self.now_ms, &asked.nodes());
        if !(is_settled && asked.are_ready(own, is_first)) {
            return Err(FloorWait::Members);
        }
        if !asked.pass(barrier, token, &**store).map_err(|_| FloorWait::Records)? {
            return Err(FloorWait::Barrier);
        }
        let to_keep = |node| members.get(&node).is_some_and(|member| member.is_keeper);
        let next = store.next_floor(asked.floor_number(), |log| asked.know(log, to_keep));
        let next = next.ok().flatten().ok_or(FloorWait::Records)?;
        let of = self.patience().floor_entries_min;
        if next.moved < of { Err(FloorWait::Entries { gained: next.moved, of }) } else { Ok(next) }
    }

    /// The sessions with all members that are not lapsed, or with all.
    fn asked(&self, is_first: bool) -> Result<Asked<'_>, FloorWait> {
        let members = self.members.iter().flat_map(|members| members.keys());
        let is_asked = |node: &&NodeId| **node != self.me && (is_first || !self.floor.lapsed.contains(*node));
        let session = |node: &NodeId| {
            let linked = self.talking.get(node).and_then(|number| self.links.get(number));
            linked.map(|linked| (*node, &linked.session)).ok_or(FloorWait::Member(*node))
        };
        members.filter(is_asked).map(session).collect()
    }

    /// What is shown of the floor.
    pub(super) fn floor_look(&self) -> FloorLook {
        let own = self.parts.store.standing().ok().flatten();
        let (number, stage) = own.map_or((0, None), |own| (own.floor.name.number, Some(own.stage)));
        FloorLook { number, stage, is_below: !self.floor.below.is_empty(), waits: self.floor.waits }
    }
}
