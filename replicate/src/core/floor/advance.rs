//! How far the next floor goes, and the entry that says so.
//!
//! Lives here: the least of what is acknowledged, and what makes sure that it is not less than a floor said elsewhere.
//! Does not: who may (a coordinator that the majority follows) and when (`net`). Members that are lapsed are not asked,
//! and are below the floor when they come back.
//!
//! A floor must not go below one that another coordinator has said and of which this one has not heard: who took that
//! one could not hand on what it has. So who is asked is always a majority that obeys nobody before us any more: of any
//! earlier majority one is among them, and it had all below that floor. What they have then is the [`Barrier`]: when all
//! who are asked have it, the next floor is above any other. Memory lost is what this does not cover: see [`is_first`].

use super::{KIND, Proposed, RECORD, STREAMS, Stage, Standing, WRITERS_MAX, end_of, is_awaited};
use crate::core::election::Token;
use crate::core::entry::{FORM, Fields, Moment, Op, Stamp};
use crate::core::fence::Limits;
use crate::core::id::{Hash, LogId, NodeId, Origin, Position, Stream};
use crate::core::message::Stands;
use crate::core::mutant::{Mutant, is_on};
use crate::core::view::{Staged, Unreadable, View};
use crate::core::write::{BadAct, place};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Where the next floor would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Its number.
    pub number: u64,
    /// By log the last place below it.
    pub ends: BTreeMap<LogId, u64>,
    /// How many entries more are below it than below the present one.
    pub moved: u64,
}

/// Returns where the floor can go: in each log up to what we have and `acknowledged` says that every member that is asked
/// has durably, never beyond a fence, never down. `others` is the greatest number of a floor that a member is at. Nothing
/// while this node is not at a floor itself.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn next(view: &impl View, others: u64, acknowledged: impl Fn(LogId) -> u64) -> Result<Option<Next>, Unreadable> {
    let own = view.floor()?;
    if own.as_ref().is_some_and(|own| own.stage != Stage::At) {
        return Ok(None);
    }
    // One after the other: two of one number would be two floors.
    if is_awaited(view)? {
        return Ok(None);
    }
    let floor = own.map(|own: Standing| own.floor);
    let limits = Limits::of(&view.fencings()?, floor.clone());
    let before = |log: LogId| floor.as_ref().map_or(0, |floor| floor.end(log));
    let mut ends = BTreeMap::new();
    for (log, head) in view.heads()?.into_iter().filter(|(log, _)| STREAMS.contains(&log.stream)) {
        let known = if is_on(Mutant::FloorUnacknowledged) { head.seq } else { head.seq.min(acknowledged(log)) };
        let end = limits.counted(log, known).max(before(log));
        ends.extend((end > 0).then_some((log, end)));
    }
    if let Some(floor) = &floor {
        ends.extend(
            floor
                .marks
                .iter()
                .map(|(log, mark)| (*log, mark.seq.max(ends.get(log).copied().unwrap_or(0))))
                .collect::<Vec<_>>(),
        );
    }
    bound(&mut ends, before);
    let moved = ends.iter().map(|(log, end)| end - before(*log)).sum();
    let number = floor.map_or(0, |floor| floor.name.number).max(others) + 1;
    Ok(Some(Next { number, ends, moved }))
}

/// Whether this node, under its present name, has said or taken no floor yet, or another member has begun anew since. Memory
/// may be lost, of a floor too: then everybody is to be asked, and has to be at the same. `writers` are the incarnations of
/// members.
pub fn is_first(own: Option<&Standing>, us: Origin, writers: impl IntoIterator<Item = (NodeId, u32)>) -> bool {
    let is_below = |node, inc| own.is_some_and(|own| own.floor.end(LogId { stream: Stream::Sec, node, inc }) > 0);
    let mut lives: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
    writers.into_iter().for_each(|(node, inc)| lives.entry(node).or_default().push(inc));
    let is_anew = |(node, incs): (NodeId, Vec<u32>)| {
        let last = incs.iter().max().copied().unwrap_or(0);
        incs.len() > 1 && !is_below(node, last)
    };
    !is_below(us.node, us.inc) || lives.into_iter().any(is_anew)
}

/// What those who are asked had when they were looked at last.
#[derive(Debug, Clone)]
pub struct Barrier {
    reign: Token,
    asked: BTreeSet<NodeId>,
    ends: BTreeMap<LogId, u64>,
}

impl Default for Barrier {
    fn default() -> Self {
        Self { reign: Token::NONE, asked: BTreeSet::new(), ends: BTreeMap::new() }
    }
}

impl Barrier {
    /// Takes note of what is there now (`ends`: by log the most that anybody has who is asked, this node included), and
    /// returns whether by now everybody has (`has`) what was there when it was last looked, in the same reign, by those and
    /// maybe more.
    pub fn passed(
        &mut self,
        reign: Token,
        asked: BTreeSet<NodeId>,
        ends: BTreeMap<LogId, u64>,
        has: impl Fn(LogId) -> u64,
    ) -> bool {
        let before = std::mem::replace(self, Self { reign, asked, ends });
        let is_same = before.reign == reign && self.asked.is_subset(&before.asked);
        is_same && before.ends.iter().all(|(log, end)| has(*log) >= *end)
    }
}

/// Whether a member is far enough with its own floor for the next one to be said: it has taken ours, or is at one that we do
/// not know, and is done with it.
pub fn is_ready(own: Option<&Standing>, theirs: Option<Stands>, is_first: bool) -> bool {
    let is_done = theirs.is_none_or(|theirs| theirs.stage == Stage::At);
    let (ours, theirs) = (own.map(|own| own.floor.name), theirs.map(|theirs| theirs.floor));
    is_done && (theirs == ours || (theirs > ours && !is_first))
}

/// Leaves those writers out that would move it least, if there are too many. Those it has stay.
fn bound(ends: &mut BTreeMap<LogId, u64>, before: impl Fn(LogId) -> u64) {
    let mut writers: BTreeMap<_, (bool, u64)> = BTreeMap::new();
    for (log, end) in ends.iter() {
        let writer = writers.entry((log.node, log.inc)).or_default();
        writer.0 |= before(*log) > 0;
        writer.1 += end - before(*log);
    }
    if writers.len() > WRITERS_MAX {
        let mut sorted: Vec<_> = writers.into_iter().map(|(writer, worth)| (worth, writer)).collect();
        sorted.sort();
        let kept: Vec<_> = sorted.into_iter().rev().take(WRITERS_MAX).map(|(_, writer)| writer).collect();
        ends.retain(|log, _| kept.contains(&(log.node, log.inc)));
    }
}

/// Writes the entry that says where the floor is from now on. `said` is what [`next`] said; if it would not say so any
/// more, that is a bad value.
///
/// # Errors
/// [`BadAct`]; what is staged is then to be dropped.
pub fn write<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &crate::core::schema::Schema,
    us: Origin,
    moment: Moment,
    (epoch, said): (u64, &Next),
) -> Result<Position, BadAct> {
    let bad = || BadAct::BadValue(KIND.to_string());
    let acknowledged = |log| said.ends.get(&log).copied().unwrap_or(0);
    let now = next(&*staged, said.number - 1, acknowledged)?.ok_or_else(bad)?;
    if (now.number, &now.ends) != (said.number, &said.ends) {
        return Err(bad());
    }
    let before = staged.proposed()?;
    let at = us.log(Stream::Sec).at(0);
    let said =
        Proposed { at, number: said.number, epoch, ends: said.ends.clone(), hashes: hashes(staged, &said.ends)? };
    let fields = Fields {
        v: FORM,
        d: said.at.dot,
        s: Stream::Sec,
        t: Stamp::new(0, moment),
        k: KIND.to_string(),
        id: RECORD,
        g: KIND.to_string(),
        op: Op::Put,
        val: RawValue::from_string(said.value()).map_err(|_| bad())?,
        sup: before.iter().map(|before| before.at.dot).collect(),
        by: String::new(),
        why: None,
        of: Vec::new(),
        ph: Hash::NOTHING,
    };
    place(staged, schema, us, fields)
}

/// What those have to be told who do not keep a log.
fn hashes(view: &impl View, ends: &BTreeMap<LogId, u64>) -> Result<BTreeMap<LogId, Hash>, Unreadable> {
    let own = view.floor()?;
    let mut hashes = BTreeMap::new();
    for (log, seq) in ends.iter().filter(|(log, _)| log.stream == Stream::Own && !is_on(Mutant::EndsUntold)) {
        let hash = end_of(view, own.as_ref(), *log, *seq, &BTreeMap::new())?;
        hashes.insert(*log, hash.ok_or_else(|| Unreadable::not_in_log(log.at(*seq)))?);
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::exchange::Mark;
    use crate::core::floor::Floor;
    use std::sync::Arc;

    const ONE: NodeId = NodeId([1; 16]);
    const TWO: NodeId = NodeId([2; 16]);
    const US: Origin = Origin { node: ONE, inc: 1, nonce: 7 };

    fn log(node: NodeId, inc: u32) -> LogId {
        LogId { stream: Stream::Sec, node, inc }
    }

    fn reign(epoch: u64) -> Token {
        Token { epoch, node: ONE, inc: 1 }
    }

    #[test]
    fn the_barrier_is_what_was_there_at_the_last_look_of_the_same_reign_by_no_fewer() {
        let mut barrier = Barrier::default();
        let mut passes = |epoch, asked: &[NodeId], there: u64, has: u64| {
            let asked = asked.iter().copied().collect();
            barrier.passed(reign(epoch), asked, [(log(TWO, 1), there)].into(), |_| has)
        };
        assert!(!passes(1, &[ONE, TWO], 5, 9), "the first look");
        assert!(!passes(1, &[ONE, TWO], 6, 4), "somebody lacks what was there");
        assert!(passes(1, &[ONE, TWO], 9, 6), "what came meanwhile is not asked for");
        assert!(passes(1, &[ONE], 9, 9));
        assert!(!passes(1, &[ONE, TWO], 9, 9), "one is asked that was not looked at");
        assert!(!passes(2, &[ONE, TWO], 9, 9), "another reign");
    }

    #[test]
    fn everybody_is_asked_while_a_life_is_not_below_the_floor_that_another_one_came_before() {
        let mark = Mark { seq: 3, hash: Hash::NOTHING };
        let marks = [(log(ONE, 1), mark), (log(TWO, 1), mark)].into();
        let own = Standing { floor: Arc::new(Floor::new(1, 1, marks)), stage: Stage::At };
        let is_first = |writers: &[(NodeId, u32)]| is_first(Some(&own), US, writers.iter().copied());
        assert!(!is_first(&[(ONE, 1), (TWO, 1)]));
        assert!(!is_first(&[(ONE, 1), (TWO, 1), (NodeId([3; 16]), 1)]), "who joins has lost nothing");
        assert!(is_first(&[(ONE, 1), (TWO, 1), (TWO, 2)]), "it has begun anew");
        assert!(super::is_first(None, US, []), "no floor yet");
        assert!(super::is_first(Some(&own), Origin { inc: 2, ..US }, [(ONE, 1)]), "we have begun anew");
    }
}
