//! How far the next floor goes, and the entry that says so.
//!
//! Lives here: the least of what is acknowledged. Does not: who may (a coordinator that the majority follows) and when
//! (`net`). Members that are lapsed are not asked, and are below the floor when they come back.

use super::{KIND, Proposed, RECORD, STREAMS, Stage, Standing, WRITERS_MAX};
use crate::core::entry::{FORM, Fields, Moment, Op, Stamp};
use crate::core::fence::Limits;
use crate::core::id::{Hash, LogId, Origin, Position, Stream};
use crate::core::message::Stands;
use crate::core::mutant::{Mutant, is_on};
use crate::core::view::{Staged, Unreadable, View};
use crate::core::write::{BadAct, place};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

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
    let floor = own.map(|own: Standing| own.floor);
    // One after the other: two of one number would be two floors.
    if let Some(said) = view.proposed()? {
        let name = floor.as_ref().map_or((0, 0), |floor| (floor.name.number, floor.name.epoch));
        if (said.number, said.epoch) > name && Staged::new(view)?.stands(said.at) {
            return Ok(None);
        }
    }
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

/// Whether this node, under its present name, has said or taken no floor yet. It may have lost its memory, and what it would
/// say would be another fleet's: then everybody is to be asked, and has to be at the same.
pub fn is_first(own: Option<&Standing>, us: Origin) -> bool {
    own.is_none_or(|own| own.floor.end(us.log(Stream::Sec)) == 0)
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
    let said = Proposed { at, number: said.number, epoch, ends: said.ends.clone() };
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
