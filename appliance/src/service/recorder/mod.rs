//! The recorder: whatever is on disk or ordered is a record, whatever happened while the node was down.
//!
//! At the start it goes through all takes, newest first, a few hundred a round; from then on it follows those that are
//! not settled: rung when a recording begins, pauses, is marked or ends, and once a second. The take on disk is the truth
//! and the record what was last said of it, so each round compares the two and nothing that was missed stays missed. It
//! never touches a take.
//!
//! What other nodes recorded is theirs to tell of: a record without a take here says nothing as long as it is another's.
//! Only what lies on this disk and was recorded by a node that the fleet does not know, or retired, is taken over: a box
//! that got a new id keeps its recordings.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::disk::{Listing, Said, Seen};
use super::{
    Bell, Live, Next, Worker, differ_only_in_length, facts_of_missed, facts_of_order, facts_of_replaced, moment,
    name_channels,
};
use crate::capture::orders;
use crate::capture::take::DataDir;
use crate::domain::{Order, TakeId, TakeState};
use crate::store::recordings::{Facts, Query};
use crate::store::{Edits, Store};
use crate::sys::clock::Now;

/// How often it looks without being rung.
const LOOK: Duration = Duration::from_secs(1);
/// After a command that changes what a take says of itself: doubled with each look, until that is [`LOOK`].
const LOOK_SOON: Duration = Duration::from_millis(10);
/// Takes gone through in a round at the start: some ten milliseconds of reading.
const SWEEP: usize = 200;
/// Between two rounds at the start: pages that are being read go first.
const SWEEP_WAIT: Duration = Duration::from_millis(5);
/// The most changes that are kept in one step.
const EDITS_MAX: usize = 200;
/// How often length and bytes of a running recording are written down.
const GROWTH_US: u64 = 10_000_000;
/// A capture that does not answer for this long does not record: before that it may be starting again.
const SILENCE_US: u64 = 5_000_000;

/// See the module.
pub struct Recorder {
    data: DataDir,
    store: Store,
    live: Live,
    listing: Listing,
    orders: BTreeMap<TakeId, Order>,
    orders_read: Option<std::time::SystemTime>,
    is_orders_confirmed: bool,
    /// Takes on disk that the start has not come to yet.
    unseen: Vec<TakeId>,
    /// Where the search for records without a take goes on; none when it is over.
    search: Option<Option<String>>,
    /// What this node wrote under earlier names and is here: it may come back from the others at any time.
    earlier: u64,
    /// On disk and recorded as they are; their folders are not read again.
    settled: BTreeSet<TakeId>,
    /// Not settled: ordered, running, or just ended.
    active: BTreeMap<TakeId, Active>,
    /// Since when capture does not answer.
    silent_since_us: Option<u64>,
    /// Commands so far that change what a take says of itself, and when it is looked at again after the last one.
    told: u64,
    soon: Duration,
}

/// What the records say of a recording.
enum Known {
    /// It is this node's to tell of; what was said last, if anything was.
    Ours(Option<Facts>),
    /// Another node tells of it.
    Theirs,
}

/// A recording that is followed.
#[derive(Default)]
struct Active {
    seen: Seen,
    /// What its record said when it was asked last, and when that was.
    known: Option<Facts>,
    asked_us: Option<u64>,
}

impl Recorder {
    /// Over a data folder and the records; `live` says what runs.
    pub fn new(data: DataDir, store: Store, live: Live) -> Self {
        Self {
            data,
            store,
            live,
            listing: Listing::default(),
            orders: BTreeMap::new(),
            orders_read: None,
            is_orders_confirmed: false,
            unseen: Vec::new(),
            search: Some(None),
            earlier: 0,
            settled: BTreeSet::new(),
            active: BTreeMap::new(),
            silent_since_us: None,
            told: 0,
            soon: LOOK,
        }
    }

    /// Learns what is on disk, ordered and running: new ids are followed, and so are those that are gone.
    fn look(&mut self) -> Result<(), String> {
        let is_first = self.listing.is_new();
        let news = self.listing.read(&self.data).map_err(|error| {
            format!("{}: {error}. Recordings go on; new ones are not listed", self.data.takes().display())
        })?;
        if let Some(news) = news {
            match is_first {
                true => self.unseen = news.fresh,
                false => news.fresh.into_iter().for_each(|id| self.heed(id)),
            }
            news.gone.into_iter().for_each(|id| self.heed(id));
        }
        self.read_orders()?;
        let earlier = self.store.earlier_facts().map_err(|error| error.to_string())?;
        if earlier > std::mem::replace(&mut self.earlier, earlier) {
            self.search = Some(None);
        }
        if let Some(status) = self.live.status() {
            status.recording.iter().for_each(|take| self.heed(take.id));
        }
        Ok(())
    }

    /// Follows a recording from now on.
    fn heed(&mut self, id: TakeId) {
        self.settled.remove(&id);
        self.active.entry(id).or_default();
    }

    fn read_orders(&mut self) -> Result<(), String> {
        let path = self.data.orders();
        let changed = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        if changed == self.orders_read && self.is_orders_confirmed {
            return Ok(());
        }
        let set = orders::load(&path).map_err(|error| error.to_string())?;
        self.orders = set.iter().map(|order| (order.id, order.clone())).collect();
        for id in set.iter().map(|order| order.id) {
            self.heed(id);
        }
        // The file's time is coarse: what came within the same tick is found by reading it once more.
        self.is_orders_confirmed = changed == self.orders_read;
        self.orders_read = changed;
        Ok(())
    }

    /// Goes through some of what was there at the start. Whether there is more.
    fn sweep(&mut self, edits: &mut Batch) -> Result<bool, String> {
        for _ in 0..SWEEP {
            if edits.is_full() {
                return Ok(true);
            }
            let Some(id) = self.unseen.last().copied() else { return self.search() };
            let known = self.known(id)?;
            self.unseen.pop();
            let Known::Ours(known) = known else {
                self.settled.insert(id);
                continue;
            };
            if known.as_ref().is_some_and(is_final) && !self.active.contains_key(&id) {
                self.settled.insert(id);
                continue;
            }
            match self.said(id, &mut Seen::default(), known.as_ref()) {
                // Closed, now or long ago: its log is all there will be.
                Some(said) if said.has_ended && !self.active.contains_key(&id) => {
                    edits.put(id, said.facts, known.as_ref());
                    edits.settled.push(id);
                }
                _ => self.heed(id),
            }
        }
        Ok(true)
    }

    /// Looks through a page of records for those whose take is not there. Whether there is more.
    fn search(&mut self) -> Result<bool, String> {
        let Some(cursor) = self.search.clone() else { return Ok(false) };
        let query = Query { node: Some(self.store.node()), cursor, limit: EDITS_MAX, ..Query::default() };
        let page = self.store.recordings(&query).map_err(|error| error.to_string())?;
        for recording in page.items.iter().filter(|recording| !recording.facts.is_gone) {
            if !self.listing.has(recording.id) {
                self.heed(recording.id);
            }
        }
        self.search = page.next.map(Some);
        Ok(self.search.is_some())
    }

    /// Compares what is followed with its records, newest first.
    fn follow(&mut self, now: Now, edits: &mut Batch) -> Result<(), String> {
        let ids: Vec<TakeId> = self.active.keys().rev().copied().collect();
        for id in ids {
            if edits.is_full() {
                break;
            }
            let Some(mut active) = self.active.remove(&id) else { continue };
            let followed = self.follow_one(id, &mut active, now, edits);
            self.active.insert(id, active);
            followed?;
        }
        Ok(())
    }

    fn follow_one(&self, id: TakeId, active: &mut Active, now: Now, edits: &mut Batch) -> Result<(), String> {
        let is_stale = active.asked_us.is_none_or(|at| now.mono_us.saturating_sub(at) >= GROWTH_US);
        if is_stale {
            let Known::Ours(known) = self.known(id)? else {
                edits.settled.push(id);
                return Ok(());
            };
            active.known = known;
            active.asked_us = Some(now.mono_us);
        }
        let Some((facts, is_settled)) = self.state_of(id, &mut active.seen, active.known.as_ref(), now) else {
            return Ok(());
        };
        let is_growth = active.known.as_ref().is_some_and(|known| differ_only_in_length(known, &facts));
        if !is_growth || is_stale {
            edits.put(id, facts, active.known.as_ref());
            // Whether it is kept is seen by asking again.
            active.asked_us = active.asked_us.filter(|_| is_growth);
        }
        if is_settled {
            edits.settled.push(id);
        }
        Ok(())
    }

    /// What is to be said of a recording, and whether that is the last word. None while nothing can be said.
    fn state_of(&self, id: TakeId, seen: &mut Seen, known: Option<&Facts>, now: Now) -> Option<(Facts, bool)> {
        let order = self.orders.get(&id);
        if self.data.take(id).path().exists() {
            let mut said = self.said(id, seen, known)?;
            let is_open = !said.has_ended && said.facts.state == TakeState::Incomplete;
            let may_run = self.silent_since_us.is_some_and(|since| now.mono_us.saturating_sub(since) < SILENCE_US);
            if is_open && (may_run || !self.live.has_asked()) {
                // Capture is starting again, or was not asked yet: as it was said last.
                said.facts.state = known.map_or(TakeState::Recording, |known| known.state);
            }
            return Some((said.facts, said.is_whole && order.is_none()));
        }
        if let Some(order) = order {
            return Some((facts_of_order(order), false));
        }
        let known = known?;
        // While that cannot be read nothing is said.
        let was_replaced = known.was_replaced || self.store.was_on_replaced_box(id.into()).ok()?;
        let facts = match known.state {
            TakeState::Scheduled => facts_of_missed(known.clone()),
            _ if was_replaced => facts_of_replaced(known.clone()),
            TakeState::Recording
            | TakeState::Paused
            | TakeState::Finishing
            | TakeState::Ready
            | TakeState::Incomplete
            | TakeState::Failed => Facts { is_gone: true, ..known.clone() },
        };
        Some((facts, true))
    }

    fn said(&self, id: TakeId, seen: &mut Seen, known: Option<&Facts>) -> Option<Said> {
        let status = self.live.status();
        let is_live = status.is_some_and(|status| status.recording.iter().any(|take| take.id == id));
        let mut said = seen.read(&self.data.take(id), id, is_live, known)?;
        let has_names = known.is_some_and(|known| known.state != TakeState::Scheduled);
        let labels = if has_names { Vec::new() } else { self.store.channels().unwrap_or_default() };
        name_channels(&mut said.facts, known, &labels);
        Some(said)
    }

    fn known(&self, id: TakeId) -> Result<Known, String> {
        let told = |error: crate::store::StoreError| error.to_string();
        let Some(recording) = self.store.recording(id).map_err(told)? else { return Ok(Known::Ours(None)) };
        if recording.node == self.store.node() {
            return Ok(Known::Ours(Some(recording.facts)));
        }
        let member = self.store.member(recording.node).map_err(told)?;
        let is_neighbours = member.is_some_and(|member| !member.is_retired);
        let is_here = self.listing.has(id);
        Ok(if is_here && !is_neighbours { Known::Ours(None) } else { Known::Theirs })
    }

    fn listen(&mut self, now: Now) {
        self.silent_since_us = match self.live.status() {
            Some(_) => None,
            None => Some(self.silent_since_us.unwrap_or(now.mono_us)),
        };
    }

    /// When to look again.
    fn pause(&mut self) -> Duration {
        let told = self.live.told();
        if told != std::mem::replace(&mut self.told, told) {
            self.soon = LOOK_SOON;
        }
        let pause = self.soon;
        self.soon = (pause * 2).min(LOOK);
        pause
    }

    fn keep(&mut self, edits: Batch, now: Now) -> Result<usize, String> {
        let count = edits.count;
        self.store.commit(edits.edits, moment(now)).map_err(|error| error.to_string())?;
        for id in edits.settled {
            self.active.remove(&id);
            if self.listing.has(id) {
                self.settled.insert(id);
            }
        }
        Ok(count)
    }
}

impl Worker for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn bell(&self) -> Option<Bell> {
        Some(self.live.recordings_bell())
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        self.listen(now);
        let mut edits = Batch::default();
        self.look()?;
        self.follow(now, &mut edits)?;
        let is_sweeping = self.sweep(&mut edits)?;
        let is_full = edits.is_full();
        let written = self.keep(edits, now)?;
        let detail = format!("{} settled, {} followed, {written} written", self.settled.len(), self.active.len());
        let pause = self.pause();
        Ok(Next::after(if is_sweeping || is_full { SWEEP_WAIT } else { pause }, detail))
    }
}

/// Changes of one round.
struct Batch {
    edits: Edits,
    count: usize,
    /// Of which nothing more is to be said once these are kept.
    settled: Vec<TakeId>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { edits: Edits::by("service:recorder"), count: 0, settled: Vec::new() }
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.count >= EDITS_MAX
    }

    fn put(&mut self, id: TakeId, facts: Facts, known: Option<&Facts>) {
        if known != Some(&facts) {
            self.edits.put_facts(id, &facts);
            self.count += 1;
        }
    }
}

/// Whether nothing more is to come. Of an incomplete one only the take knows.
fn is_final(facts: &Facts) -> bool {
    matches!(facts.state, TakeState::Ready | TakeState::Failed) && !facts.is_gone
}
