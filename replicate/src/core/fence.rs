//! Fences: up to where what a node says about policy counts.
//!
//! Lives here: which fences hold, which entries stand because of them, and building anew the records that a fence
//! touches when it comes after what it fences, or goes. Does not: which entries carry fences (the schema's user says so)
//! and who may write one. It may assume that the entry in question has joined its log. What holds is decided by the set
//! of entries alone, never by the order they came in.

use crate::core::entry::Entry;
use crate::core::floor::Floor;
use crate::core::id::{Dot, LogId, NodeId, Origin, Position, Stream};
use crate::core::log::index_keys;
use crate::core::mutant::{Mutant, is_on};
use crate::core::record::RecordKey;
use crate::core::schema::Schema;
use crate::core::view::{Change, Doom, Staged, Unreadable, View, load};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Entries that carry fences or stand in a group that does, in all logs: a fleet has a handful. Each of them may make
/// all of them be weighed anew, so a log that would bring more waits.
pub const FENCINGS_MAX: usize = 10_000;
/// Entries read at once while records are built anew.
const PAGE: usize = 1000;
/// The streams of policy. What a node recorded and did is a fact: nobody fences that.
pub const FENCED: [Stream; 2] = [Stream::Sec, Stream::Cfg];

/// The last place of a stream that counts, in the order of incarnations. Zeros: none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Last {
    /// Its incarnation. All that is in logs of earlier ones counts.
    pub inc: u32,
    /// Its sequence number.
    pub seq: u64,
}

/// What an entry says about a node: beyond these places it does not count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The node.
    pub node: NodeId,
    /// In `sec`.
    pub sec: Last,
    /// In `cfg`.
    pub cfg: Last,
    /// From this incarnation on it counts again: another machine goes on under the node's name. None: never.
    pub until: Option<u32>,
}

impl Fence {
    /// Returns the last place that counts in a stream, as an entry at `by` says it. Nobody takes back that they said it:
    /// a node that fences itself does not fence what it says so with.
    pub fn last(&self, stream: Stream, by: Position) -> Option<Last> {
        let said = match stream {
            Stream::Sec => self.sec,
            Stream::Cfg => self.cfg,
            Stream::Own | Stream::Jrn => return None,
        };
        let is_by_itself = by.dot.node == self.node && by.stream == stream;
        Some(if is_by_itself { said.max(Last { inc: by.dot.inc, seq: by.dot.seq }) } else { said })
    }
}

/// What is kept of an entry that carries a fence, or may take one back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fencing {
    /// The fence, if it carries one.
    pub fence: Option<Fence>,
    /// Whether that holds.
    pub holds: bool,
}

/// All of them, by place.
pub type Fencings = BTreeMap<Position, Fencing>;

/// Where each fenced node's policy ends, by the incarnation with which it begins again: of several fences with the same
/// the lowest, but never below the floor. All that is below it has counted everywhere, and what it replaced may be gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    lasts: BTreeMap<(NodeId, Stream), BTreeMap<Option<u32>, Last>>,
    floor: Option<Arc<Floor>>,
}

impl Limits {
    /// Returns the limits of the fences that hold, at a node with this floor.
    pub fn of(fencings: &Fencings, floor: Option<Arc<Floor>>) -> Self {
        let holding = fencings.iter().filter(|(_, fencing)| fencing.holds);
        Self::all(holding.filter_map(|(at, fencing)| Some((*at, fencing.fence?))), floor)
    }

    fn all(fences: impl Iterator<Item = (Position, Fence)>, floor: Option<Arc<Floor>>) -> Self {
        let mut lasts: BTreeMap<_, BTreeMap<Option<u32>, Last>> = BTreeMap::new();
        for (by, fence) in fences {
            for stream in FENCED {
                let Some(last) = fence.last(stream, by) else { continue };
                let lowest = lasts.entry((fence.node, stream)).or_default().entry(fence.until).or_insert(last);
                *lowest = last.min(*lowest);
            }
        }
        Self { lasts, floor }
    }

    /// Returns the last place of a log that the fences let count; the greatest number if all of it does.
    fn fenced_at(&self, log: LogId) -> u64 {
        let lasts = self.lasts.get(&(log.node, log.stream)).into_iter().flatten();
        lasts.map(|(until, last)| end(log.inc, *last, *until)).min().unwrap_or(u64::MAX)
    }

    /// Whether another machine goes on under a node's name from a later incarnation on.
    pub fn is_replaced(&self, us: Origin) -> bool {
        let untils = self.lasts.get(&(us.node, Stream::Sec)).into_iter().flatten().filter_map(|(until, _)| *until);
        untils.max().is_some_and(|until| us.inc < until)
    }

    /// Whether a place lies beyond its author's fence.
    pub fn is_beyond(&self, at: Position) -> bool {
        at.dot.seq > self.counted(at.log(), u64::MAX)
    }

    /// Returns the last place of a log that counts, of those up to `end`.
    pub fn counted(&self, log: LogId, end: u64) -> u64 {
        self.at_floor(log, self.fenced_at(log)).min(end)
    }

    /// A fence stands at the floor at least.
    fn at_floor(&self, log: LogId, end: u64) -> u64 {
        end.max(self.floor.as_ref().map_or(0, |floor| floor.end(log)))
    }
}

/// The last place of an incarnation that counts, by one fence.
fn end(inc: u32, last: Last, until: Option<u32>) -> u64 {
    match inc.cmp(&last.inc) {
        _ if until.is_some_and(|until| until <= inc) => u64::MAX,
        Ordering::Less => u64::MAX,
        Ordering::Equal => last.seq,
        Ordering::Greater => 0,
    }
}

/// A fenced node, in one stream: for good, or until an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced {
    /// The node.
    pub node: NodeId,
    /// The stream.
    pub stream: Stream,
    /// The last place that counts.
    pub last: Last,
    /// From this incarnation on it counts again.
    pub until: Option<u32>,
    /// How many entries are here that lie beyond it. The first of a log, which says nothing, is not counted.
    pub beyond: u64,
}

/// Returns every fenced node, in each stream of policy, once for each incarnation with which it counts again.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn fenced(view: &impl View) -> Result<Vec<Fenced>, Unreadable> {
    let limits = Limits::of(&view.fencings()?, view.floor()?.map(|own| own.floor));
    if limits.lasts.is_empty() {
        return Ok(Vec::new());
    }
    let heads = view.heads()?;
    let of = |node, stream, last: Last, until| {
        let logs = heads.iter().filter(|(log, _)| (log.node, log.stream) == (node, stream));
        let beyond = logs.map(|(log, head)| {
            // An incarnation's first entry only opens it.
            let counted = limits.at_floor(*log, end(log.inc, last, until)).max(1);
            head.seq.saturating_sub(counted)
        });
        Fenced { node, stream, last, until, beyond: beyond.sum() }
    };
    let all = limits.lasts.iter().flat_map(|(&(node, stream), lasts)| {
        let of = &of;
        lasts.iter().map(move |(until, last)| of(node, stream, *last, *until))
    });
    Ok(all.collect())
}

/// Takes note of an entry that has just joined its log. Returns the records that have to be built anew, because entries
/// of them count from now on, or do not any more.
pub(crate) fn note<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    entry: &Entry,
) -> Result<BTreeSet<RecordKey>, Unreadable> {
    let Some(fencing) = schema.fencing(entry) else { return Ok(BTreeSet::new()) };
    let before = (staged.fencings()?, staged.limits().clone());
    staged.changes.fencings.insert(entry.at, fencing);
    weigh_anew(staged, schema, before)
}

/// Weighs the fences where something came or moved. `before` is what held, and where it ended. Returns the records that
/// have to be built anew.
pub(crate) fn weigh_anew<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    (before, limits_before): (Fencings, Limits),
) -> Result<BTreeSet<RecordKey>, Unreadable> {
    weigh(staged, schema)?;
    if is_on(Mutant::LateFenceIgnored) {
        return Ok(BTreeSet::new());
    }
    let mut touched = BTreeSet::new();
    for (at, fencing) in staged.fencings()? {
        if before.get(&at).is_some_and(|before| before.holds != fencing.holds) {
            touched.extend(parsed(staged, at)?.and_then(|entry| record_of(schema, &entry)));
        }
    }
    let limits = staged.limits().clone();
    for (log, head) in staged.heads()? {
        let (one, two) = (limits_before.counted(log, head.seq), limits.counted(log, head.seq));
        if one != two {
            let (from, to) = (one.min(two) + 1, one.max(two));
            each(staged, log.at(from), to, |_, entry| touched.extend(record_of(schema, entry)))?;
        }
    }
    Ok(touched)
}

/// Decides anew which fences hold.
///
/// An entry counts unless it lies beyond a fence that holds; a fence holds unless it is beyond one itself, or an entry
/// that counts names it. Two nodes that fence each other make that a circle, and so does one that would take back the
/// fence it lies beyond. So two estimates are made, one of what holds for certain and one of what may hold, each from the
/// other until neither changes (the well-founded model of Van Gelder, Ross and Schlipf, JACM 1991). What may hold, holds:
/// where it cannot be decided who was first, neither goes on, and none gets out of a fence by itself.
pub(crate) fn weigh<V: View>(staged: &mut Staged<'_, V>, schema: &Schema) -> Result<(), Unreadable> {
    let fencings = staged.fencings()?;
    let mut said = BTreeMap::new();
    for (at, fencing) in &fencings {
        if let Some(entry) = parsed(staged, *at)? {
            said.insert(*at, Said { fence: fencing.fence, entry, named_by: Vec::new() });
        }
    }
    name(&mut said, schema);
    let floor = staged.floor()?.map(|own| own.floor);
    let mut certain = Estimate::default();
    let possible = loop {
        let possible = certain.opposite(&said, floor.as_ref());
        let next = possible.opposite(&said, floor.as_ref());
        if next == certain {
            break possible;
        }
        certain = next;
    };
    for (at, fencing) in fencings {
        let holds = possible.holds.contains(&at);
        if fencing.holds != holds {
            staged.changes.fencings.insert(at, Fencing { holds, ..fencing });
        }
    }
    staged.fences_changed()
}

/// An entry that fences, and those that would take the fence back.
struct Said {
    fence: Option<Fence>,
    entry: Entry,
    named_by: Vec<Position>,
}

fn name(said: &mut BTreeMap<Position, Said>, schema: &Schema) {
    let place = |entry: &Entry| Some((record_of(schema, entry)?, entry.fields.as_ref()?.g.clone()));
    let mut names = Vec::new();
    for (by, naming) in said.iter() {
        for dot in naming.entry.fields.iter().flat_map(|fields| &fields.sup) {
            let at = Position { stream: by.stream, dot: *dot };
            let named = said.get(&at).filter(|named| at != *by && place(&named.entry) == place(&naming.entry));
            names.extend(named.map(|_| (at, *by)));
        }
    }
    for (at, by) in names {
        if let Some(named) = said.get_mut(&at) {
            named.named_by.push(by);
        }
    }
}

/// Which fences hold and which are taken back; too few of both, or too many of both.
#[derive(Default, PartialEq, Eq)]
struct Estimate {
    holds: BTreeSet<Position>,
    taken_back: BTreeSet<Position>,
}

impl Estimate {
    /// Of too few makes too many, and of too many too few: each is what does not contradict the other.
    fn opposite(&self, said: &BTreeMap<Position, Said>, floor: Option<&Arc<Floor>>) -> Self {
        let fences = || said.iter().filter_map(|(at, said)| Some((*at, said.fence?, said)));
        let holding = fences().filter(|(at, ..)| self.holds.contains(at)).map(|(at, fence, _)| (at, fence));
        let limits = Limits::all(holding, floor.cloned());
        let counts = |at: &Position| !limits.is_beyond(*at) || is_on(Mutant::LiftedFromBeyond);
        let holds = fences().map(|(at, ..)| at).filter(|at| !limits.is_beyond(*at) && !self.taken_back.contains(at));
        let taken_back = fences().filter(|(_, _, said)| said.named_by.iter().any(counts)).map(|(at, ..)| at);
        Self { holds: holds.collect(), taken_back: taken_back.collect() }
    }
}

/// What the logs say about one record.
#[derive(Default)]
struct Found {
    /// Versions whose entries stand, and their groups.
    standing: Vec<(Dot, String)>,
    /// What these replace.
    named: BTreeSet<(String, Dot)>,
    /// What entries that do not stand would replace.
    named_in_vain: BTreeSet<(String, Dot)>,
}

/// Builds records anew from all entries of their stream: live is what stands and nothing that stands names. Reads the
/// stream once. `at` is where they are told of.
pub(crate) fn build_anew<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    at: Position,
    touched: BTreeSet<RecordKey>,
) -> Result<(), Unreadable> {
    let mut found: BTreeMap<RecordKey, Found> = touched.into_iter().map(|key| (key, Found::default())).collect();
    let of = |key: &RecordKey| schema.kind(&key.kind).map(|kind| kind.stream);
    let streams: BTreeSet<Stream> = found.keys().filter_map(of).collect();
    for (log, head) in staged.heads()? {
        if streams.contains(&log.stream) {
            each(staged, log.at(1), head.seq, |staged, entry| {
                if let Some(found) = record_of(schema, entry).and_then(|key| found.get_mut(&key)) {
                    found.add(entry, staged.stands(entry.at));
                }
            })?;
        }
    }
    for (key, found) in found {
        let Some(kind) = schema.kind(&key.kind) else { continue };
        let keys_before = index_keys(&load(staged, kind, &key)?);
        let is_named = |(dot, group): &(Dot, String)| found.named.contains(&(group.clone(), *dot));
        let mut live: Vec<Dot> =
            found.standing.iter().filter(|version| !is_named(version)).map(|(dot, _)| *dot).collect();
        live.sort();
        staged.changes.live.insert(key.clone(), live);
        let keys_after = index_keys(&load(staged, kind, &key)?);
        staged.changes.index.extend(keys_before.difference(&keys_after).map(|key| (key.clone(), false)));
        staged.changes.index.extend(keys_after.difference(&keys_before).map(|key| (key.clone(), true)));
        for named in found.named.union(&found.named_in_vain) {
            let (group, at) = (named.0.clone(), Position { stream: kind.stream, dot: named.1 });
            if staged.head(at.log())?.is_none_or(|head| head.seq < at.dot.seq) {
                let doom = Doom { at, record: key.clone(), group };
                staged.changes.dooms.insert(doom, found.named.contains(named));
            }
        }
        staged.changes.feed.push(Change { at, record: Some(key), group: String::new() });
    }
    Ok(())
}

impl Found {
    fn add(&mut self, entry: &Entry, stands: bool) {
        let Some(fields) = &entry.fields else { return };
        // An entry that names itself means nothing by it.
        let others = fields.sup.iter().filter(|dot| **dot != entry.at.dot);
        let named = others.map(|dot| (fields.g.clone(), *dot));
        if stands {
            self.named.extend(named);
            self.standing.push((entry.at.dot, fields.g.clone()));
        } else {
            self.named_in_vain.extend(named);
        }
    }
}

fn record_of(schema: &Schema, entry: &Entry) -> Option<RecordKey> {
    let kind = schema.changed_by(entry)?;
    Some(RecordKey { kind: kind.name.clone(), id: entry.fields.as_ref()?.id })
}

fn parsed(view: &impl View, at: Position) -> Result<Option<Entry>, Unreadable> {
    let damaged = |error| Unreadable::Damaged(format!("{at}: {error}"));
    view.entry(at)?.map(|raw| Entry::parse(&raw).map_err(damaged)).transpose()
}

/// Calls for each entry of a log from a place to a sequence number, both included. Below the floor some have left.
fn each<V: View>(
    staged: &Staged<'_, V>,
    from: Position,
    to_seq: u64,
    mut with: impl FnMut(&Staged<'_, V>, &Entry),
) -> Result<(), Unreadable> {
    let (log, mut next) = (from.log(), from.dot.seq);
    while next <= to_seq {
        let limit = PAGE.min(usize::try_from(to_seq - next + 1).unwrap_or(PAGE));
        let page = staged.entries(log, next, limit)?;
        if page.is_empty() {
            let is_below = staged.floor()?.is_some_and(|own| own.floor.covers(log.at(to_seq)));
            return if is_below { Ok(()) } else { Err(Unreadable::not_in_log(log.at(next))) };
        }
        for raw in page {
            let entry =
                Entry::parse(&raw).map_err(|error| Unreadable::Damaged(format!("{}: {error}", log.at(next))))?;
            if entry.at.dot.seq > to_seq {
                return Ok(());
            }
            with(staged, &entry);
            next = entry.at.dot.seq + 1;
        }
    }
    Ok(())
}
