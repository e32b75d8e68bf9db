//! The floor: up to where the whole fleet has each log, so that what nothing needs any more may leave it.
//!
//! Lives here: what a floor is, how one is named and written into `sec`, which one a node should take next. The parts:
//! `collect` (what leaves the logs), `fill` (a node that begins with what others kept), `advance` (how far the next one
//! goes). Does not: when (`net`), and who is below one (`session`). A node's floor only rises. What is kept below it is
//! a function of the floor and of the entries below it, so all nodes that have taken one floor have the same rows there.

pub mod advance;
pub mod collect;
pub mod fill;

use crate::core::entry::{Entry, Op};
use crate::core::exchange::{Mark, hash_at};
use crate::core::id::{Dot, Hash, LogId, NodeId, Position, RecordId, Stream};
use crate::core::view::{Staged, Unreadable, View};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The reserved kind and group of the entries that say where the floor is.
pub const KIND: &str = "floor";
/// The record of those entries.
pub const RECORD: RecordId = RecordId([0; 16]);
/// Incarnations of nodes one floor speaks of: so many fit into an entry. Logs of others stay whole.
pub const WRITERS_MAX: usize = 560;
/// Which rule says what leaves the logs: part of what a floor says, so that two versions never keep different rows.
const RULE: u32 = 1;
/// The streams that have a floor. The journal is kept by policy.
pub const STREAMS: [Stream; 3] = [Stream::Sec, Stream::Cfg, Stream::Own];

/// Names a floor: two nodes at floors of one name have the same rows below it. The greater is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FloorName {
    /// Counts from 1.
    pub number: u64,
    /// The epoch of the coordinator that moved it.
    pub epoch: u64,
    /// Digest of its marks.
    pub digest: Hash,
}

/// Where each log's floor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// Its name.
    pub name: FloorName,
    /// By log the last place below it, and that entry's hash: there the chain begins.
    pub marks: BTreeMap<LogId, Mark>,
}

impl Floor {
    /// Returns the floor with these marks.
    pub fn new(number: u64, epoch: u64, marks: BTreeMap<LogId, Mark>) -> Self {
        let mark = |digest, (log, mark): (&LogId, &Mark)| {
            Hash::of_entry(digest, &[log.at(mark.seq).key().as_slice(), &mark.hash.0].concat())
        };
        let digest = marks.iter().fold(Hash::NOTHING, mark);
        Self { name: FloorName { number, epoch, digest }, marks }
    }

    /// Returns the last place of a log below the floor; 0 if it has none.
    pub fn end(&self, log: LogId) -> u64 {
        self.marks.get(&log).map_or(0, |mark| mark.seq)
    }

    /// Whether a place is below the floor.
    pub fn covers(&self, at: Position) -> bool {
        at.dot.seq <= self.end(at.log())
    }
}

/// How far a node is with its floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Rows are leaving.
    Collecting,
    /// What is below is what every node at this floor has.
    At,
    /// What others kept below it is still coming.
    Filling,
}

/// A node's floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub floor: Arc<Floor>,
    /// How far it is with it.
    pub stage: Stage,
}

/// What others are known to have of what is here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedOn {
    /// By log up to where.
    pub ends: BTreeMap<LogId, u64>,
    /// Logs that cannot be handed on, because somebody has something else there: they stay as evidence.
    pub left_alone: BTreeSet<LogId>,
}

impl HandedOn {
    /// Whether that is all of this.
    ///
    /// # Errors
    /// [`Unreadable`] from the view.
    pub fn is_all(&self, view: &impl View) -> Result<bool, Unreadable> {
        let is_known =
            |log: &LogId, seq| self.left_alone.contains(log) || self.ends.get(log).is_some_and(|end| *end >= seq);
        Ok(view.heads()?.iter().all(|(log, head)| is_known(log, head.seq)))
    }
}

/// What an entry says the next floor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The entry.
    pub at: Position,
    /// As in [`FloorName`].
    pub number: u64,
    /// As in [`FloorName`].
    pub epoch: u64,
    /// By log the last place below it.
    pub ends: BTreeMap<LogId, u64>,
    /// Of logs that not every node keeps, the hash of the entry there. Nothing if an older build said it.
    pub hashes: BTreeMap<LogId, Hash>,
}

impl Proposed {
    /// Whether it comes after the one that a node is at.
    pub fn is_after(&self, own: Option<&Standing>) -> bool {
        (self.number, self.epoch) > own.map_or((0, 0), |own| (own.floor.name.number, own.floor.name.epoch))
    }
}

/// The value of such an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    rule: u32,
    number: u64,
    epoch: u64,
    /// Node, incarnation, and the last place in each of [`STREAMS`].
    logs: Vec<(NodeId, u32, u64, u64, u64)>,
    /// Of each of these places in `own`, one after the other, the entry's hash: 32 bytes each, together base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    own: String,
}

impl Proposed {
    /// Reads what an entry says of the floor; nothing if it says nothing, or by a rule that is not known here.
    pub fn of(entry: &Entry) -> Option<Self> {
        let fields = entry.fields.as_ref()?;
        let is_floor =
            (fields.s, fields.k.as_str(), fields.g.as_str(), &fields.op) == (Stream::Sec, KIND, KIND, &Op::Put);
        if !is_floor {
            return None;
        }
        Self::read(entry.at, fields.val.get())
    }

    fn read(at: Position, value: &str) -> Option<Self> {
        let said: Said = serde_json::from_str(value).ok()?;
        if said.rule != RULE || said.logs.len() > WRITERS_MAX {
            return None;
        }
        let mut ends = BTreeMap::new();
        for (node, inc, sec, cfg, own) in said.logs {
            let logs = STREAMS.iter().zip([sec, cfg, own]).filter(|(_, seq)| *seq > 0);
            ends.extend(logs.map(|(stream, seq)| (LogId { stream: *stream, node, inc }, seq)));
        }
        let hashes = STANDARD.decode(&said.own).unwrap_or_default();
        let (hashes, rest) = hashes.as_chunks();
        let told = ends.keys().filter(|log| log.stream == Stream::Own).copied();
        let hashes = match rest {
            [] if told.clone().count() == hashes.len() => told.zip(hashes.iter().map(|hash| Hash(*hash))).collect(),
            _ => BTreeMap::new(),
        };
        Some(Self { at, number: said.number, epoch: said.epoch, ends, hashes })
    }

    /// Returns the value of the entry that says this.
    fn value(&self) -> String {
        let mut logs: BTreeMap<(NodeId, u32), [u64; 3]> = BTreeMap::new();
        for (log, seq) in &self.ends {
            if let Some(place) = STREAMS.iter().position(|stream| *stream == log.stream) {
                logs.entry((log.node, log.inc)).or_default()[place] = *seq;
            }
        }
        let logs = logs.into_iter().map(|((node, inc), [sec, cfg, own])| (node, inc, sec, cfg, own)).collect();
        let own: Vec<u8> = self.hashes.values().flat_map(|hash| hash.0).collect();
        let said = Said { rule: RULE, number: self.number, epoch: self.epoch, logs, own: STANDARD.encode(own) };
        // A plain struct without maps: there is nothing in it that JSON cannot say.
        serde_json::to_string(&said).unwrap_or_default()
    }
}

/// Takes note of an entry that has just joined its log: it may say where the next floor is. Of several the last one that
/// stands counts.
pub(crate) fn note<V: View>(staged: &mut Staged<'_, V>, entry: &Entry) -> Result<(), Unreadable> {
    let Some(next) = Proposed::of(entry).filter(|next| staged.stands(next.at)) else { return Ok(()) };
    let before = staged.proposed()?.filter(|before| staged.stands(before.at));
    if before.is_none_or(|before| (before.number, before.epoch, before.at) < (next.number, next.epoch, next.at)) {
        staged.changes.proposed = Some(Arc::new(next));
    }
    Ok(())
}

/// What there is to do about the floor that was said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing, or not yet.
    Nothing,
    /// This node has all below it and should take it.
    Take(Arc<Proposed>),
    /// It is not above this node's own, which is thus one that the fleet went past: said by one that did not know of the
    /// other. What is here cannot be supplied to anybody at the fleet's floor, so this node has to begin anew. Or an older build
    /// said it, and not what this node would have to know of logs that it does not keep.
    Astray,
}

/// Whether a floor was said that this node has not taken, and stands.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn is_awaited(view: &impl View) -> Result<bool, Unreadable> {
    let Some(next) = view.proposed()? else { return Ok(false) };
    Ok(next.is_after(view.floor()?.as_ref()) && Staged::new(view)?.stands(next.at))
}

/// Returns what there is to do: see [`Due`]. Logs that this node does not keep it need not have.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn due(view: &impl View) -> Result<Due, Unreadable> {
    let Some(next) = view.proposed()? else { return Ok(Due::Nothing) };
    let own = view.floor()?;
    let is_done = own.as_ref().is_none_or(|own| own.stage == Stage::At);
    if !is_done || !next.is_after(own.as_ref()) || !Staged::new(view)?.stands(next.at) {
        return Ok(Due::Nothing);
    }
    // A floor never goes down, whatever one says.
    let is_above =
        own.iter().all(|own| own.floor.marks.iter().all(|(log, mark)| next.ends.get(log) >= Some(&mark.seq)));
    if !is_above {
        return Ok(Due::Astray);
    }
    let (wish, mut is_known) = (view.wish(), true);
    for (log, seq) in &next.ends {
        if !wish.covers(*log) {
            is_known &= end_of(view, own.as_ref(), *log, *seq, &next.hashes)?.is_some();
        } else if view.head(*log)?.is_none_or(|head| head.seq < *seq) {
            return Ok(Due::Nothing);
        }
    }
    Ok(if is_known { Due::Take(next) } else { Due::Astray })
}

/// The end of a log at a floor that has moved from this node's own: the hash of the entry there, out of the floor so far, out of
/// the log, or, of a log that is not kept here, as it was told.
fn end_of(
    view: &impl View,
    own: Option<&Standing>,
    log: LogId,
    seq: u64,
    told: &BTreeMap<LogId, Hash>,
) -> Result<Option<Hash>, Unreadable> {
    match own.and_then(|own| own.floor.marks.get(&log)).filter(|mark| mark.seq == seq) {
        Some(mark) => Ok(Some(mark.hash)),
        None if view.wish().covers(log) => hash_at(view, log.at(seq)),
        None => Ok(told.get(&log).copied()),
    }
}

/// The sequence number that an entry's bytes give.
pub(crate) fn seq_of(raw: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Place {
        d: Dot,
    }
    serde_json::from_slice::<Place>(raw).ok().map(|place| place.d.seq)
}

/// Whether a place is empty because what was there has left the log.
///
/// # Errors
/// [`Unreadable`] from the view.
pub(crate) fn has_left(view: &impl View, at: Position) -> Result<bool, Unreadable> {
    let Some(own) = view.floor()? else { return Ok(false) };
    let is_behind = own.floor.covers(at) && view.head(at.log())?.is_some_and(|head| at.dot.seq <= head.seq);
    Ok(is_behind && view.entry(at)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::entry::ENTRY_BYTES_MAX;

    /// As many writers as a floor speaks of, each with nearly a billion entries in each stream.
    fn full() -> Proposed {
        let at = LogId { stream: Stream::Sec, node: NodeId([0xff; 16]), inc: 9 }.at(1);
        let logs = (0..WRITERS_MAX as u128).flat_map(|number| {
            let node = NodeId::from_u128(u128::MAX - number);
            STREAMS.map(|stream| (LogId { stream, node, inc: 9 }, 999_999_999))
        });
        let ends: BTreeMap<LogId, u64> = logs.collect();
        let own = ends.keys().filter(|log| log.stream == Stream::Own);
        let hashes = own.enumerate().map(|(number, log)| (*log, Hash([number as u8; 32]))).collect();
        Proposed { at, number: 999_999, epoch: 999_999, ends, hashes }
    }

    #[test]
    fn what_says_a_floor_is_read_as_it_was_said_and_fits_an_entry() {
        let said = full();
        let value = said.value();
        assert!(value.len() + 1024 < ENTRY_BYTES_MAX, "{} bytes", value.len());
        assert_eq!(Proposed::read(said.at, &value), Some(said));
    }

    #[test]
    fn hashes_that_are_not_those_of_the_ends_are_none() {
        let said = full();
        let told = |own: &str| {
            let mut value: serde_json::Value = serde_json::from_str(&said.value()).unwrap();
            value["own"] = own.into();
            Proposed::read(said.at, &value.to_string()).unwrap()
        };
        for own in ["", "AAAA", "no base64", &STANDARD.encode([7; 32 * (WRITERS_MAX + 1)])] {
            let read = told(own);
            assert_eq!((&read.ends, read.hashes.len()), (&said.ends, 0));
        }
    }
}
