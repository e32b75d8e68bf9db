//! A node that begins with what others kept below a floor.
//!
//! It has nothing of what the floor is about, takes the marks of one floor and keeps them, and from then on takes what is
//! below only as it was kept there: from nodes at that very floor, in order, with gaps. A log's end jumps to the floor when
//! the last kept entry is here; when all have, the node is at the floor. Mixed with rows of another floor, or with a log
//! that is whole, what was replaced by an entry that has left would come back to life: so neither is taken.

use super::{Floor, FloorName, Stage, Standing};
use crate::core::entry::Entry;
use crate::core::fence::FENCINGS_MAX;
use crate::core::id::LogId;
use crate::core::log::{Accepted, Refusal, accept, append};
use crate::core::mutant::{Mutant, is_on};
use crate::core::schema::Schema;
use crate::core::view::{Head, Staged, Unreadable, View};
use crate::core::wish::Wish;
use std::sync::Arc;

/// What comes with a batch from a node that fills this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The floor it is at.
    pub floor: FloorName,
    /// What it brings of which log.
    pub parts: Vec<Part>,
}

/// What a batch brings of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The log.
    pub log: LogId,
    /// The place of the kept entry before; 0 if it brings the first. Without that one it is not taken: a gap tells nothing.
    pub after: u64,
    /// Whether nothing more was kept of the log below the floor.
    pub is_end: bool,
}

/// Begins to be filled, or goes on. Returns whether this node can be filled at this floor: it has nothing of what the
/// floor is about, or is being filled at the same one.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn begin<V: View>(staged: &mut Staged<'_, V>, floor: &Floor) -> Result<bool, Unreadable> {
    let own = staged.floor()?;
    if own.as_ref().is_some_and(|own| own.floor.name == floor.name && own.stage == Stage::Filling) {
        return Ok(true);
    }
    let mut has_a_part = own.is_some();
    for log in floor.marks.keys() {
        has_a_part |= staged.head(*log)?.is_some();
    }
    if has_a_part && !is_on(Mutant::FilledOverAPart) {
        return Ok(false);
    }
    staged.changes.floor = Some(Standing { floor: Arc::new(floor.clone()), stage: Stage::Filling });
    staged.fences_changed()?;
    Ok(true)
}

/// Begins to be filled with what others kept below this node's own floor of the logs that it did not keep so far. While rows
/// are leaving, and if nothing is missing, nothing is staged.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn widen<V: View>(staged: &mut Staged<'_, V>) -> Result<(), Unreadable> {
    let Some(own) = staged.floor()?.filter(|own| own.stage == Stage::At) else { return Ok(()) };
    if lacks(staged, &own.floor, Wish::ALL)? {
        staged.changes.floor = Some(Standing { stage: Stage::Filling, ..own });
        staged.fences_changed()?;
    }
    Ok(())
}

/// Lets an entry that was kept below the floor join its log, with or without those before it.
///
/// # Errors
/// [`Refusal`]; then nothing is staged.
pub fn take<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    floor: FloorName,
    raw: &[u8],
) -> Result<Accepted, Refusal> {
    let entry = Entry::parse(raw)?;
    let at = entry.at;
    let own = staged.floor()?.filter(|own| own.stage == Stage::Filling && own.floor.name == floor);
    let Some(own) = own.filter(|own| own.floor.covers(at)) else { return accept(staged, schema, None, raw) };
    let head = staged.head(at.log())?;
    let have = head.map_or(0, |head| head.seq);
    if at.dot.seq <= have {
        let is_other = staged.entry(at)?.is_some_and(|kept| kept != entry.raw);
        return if is_other { Err(Refusal::Fork { at }) } else { Ok(Accepted::Duplicate) };
    }
    let nonce = match head {
        Some(head) if at.dot.seq == have + 1 && head.hash != entry.previous => return Err(Refusal::Fork { at }),
        Some(head) => head.nonce,
        // Where two machines used one name, its logs here and there may have begun differently: at the floor all have these.
        None => entry.opening().ok_or(Refusal::BadOpening { at })?.nonce,
    };
    let mark = own.floor.marks.get(&at.log());
    if mark.is_some_and(|mark| mark.seq == at.dot.seq && mark.hash != entry.hash) {
        return Err(Refusal::Fork { at });
    }
    if schema.fencing(&entry).is_some() && staged.fencings()?.len() >= FENCINGS_MAX {
        return Err(Refusal::TooManyFences { at });
    }
    forget_dooms(staged, at.log(), have + 1, at.dot.seq - 1)?;
    append(staged, schema, &entry, nonce)?;
    Ok(Accepted::New)
}

/// Lets an entry join that comes out of a backup of a node with a floor: what was kept below it, log after log, and what
/// came after. Where a log goes on above the floor, it has ended below.
///
/// # Errors
/// [`Refusal`]; then nothing is staged.
pub fn put_back<V: View>(staged: &mut Staged<'_, V>, schema: &Schema, raw: &[u8]) -> Result<Accepted, Refusal> {
    let Some(own) = staged.floor()?.filter(|own| own.stage == Stage::Filling) else {
        return accept(staged, schema, None, raw);
    };
    let at = Entry::parse(raw)?.at;
    if !own.floor.covers(at) {
        end(staged, own.floor.name, at.log())?;
    }
    take(staged, schema, own.floor.name, raw)
}

/// Nothing more was kept of a log below the floor: its end is there. When all logs are that far, this node is at the floor.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn end<V: View>(staged: &mut Staged<'_, V>, floor: FloorName, log: LogId) -> Result<(), Unreadable> {
    let own = staged.floor()?.filter(|own| own.stage == Stage::Filling && own.floor.name == floor);
    let Some(own) = own else { return Ok(()) };
    let (Some(mark), Some(head)) = (own.floor.marks.get(&log), staged.head(log)?) else { return Ok(()) };
    if head.seq < mark.seq {
        forget_dooms(staged, log, head.seq + 1, mark.seq)?;
        staged.changes.heads.insert(log, Head { seq: mark.seq, hash: mark.hash, ..head });
    }
    finish(staged)
}

/// Nothing more is to come at all: what is not here was not kept by whoever it comes from.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn close<V: View>(staged: &mut Staged<'_, V>) -> Result<(), Unreadable> {
    if let Some(own) = staged.floor()?.filter(|own| own.stage == Stage::Filling) {
        staged.changes.floor = Some(Standing { stage: Stage::At, ..own });
    }
    Ok(())
}

/// Whether all that is kept here is there by now.
fn finish<V: View>(staged: &mut Staged<'_, V>) -> Result<(), Unreadable> {
    let Some(own) = staged.floor()?.filter(|own| own.stage == Stage::Filling) else { return Ok(()) };
    if !lacks(staged, &own.floor, staged.wish())? {
        staged.changes.floor = Some(Standing { stage: Stage::At, ..own });
    }
    Ok(())
}

/// What waited for places that will stay empty waits no more.
fn forget_dooms<V: View>(staged: &mut Staged<'_, V>, log: LogId, from: u64, to: u64) -> Result<(), Unreadable> {
    if from <= to {
        for doom in staged.dooms_between(log, from, to)? {
            staged.changes.dooms.insert(doom, false);
        }
    }
    Ok(())
}

/// Whether one of these logs has not ended at the floor: something that was kept below it may still come.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn lacks(view: &impl View, floor: &Floor, wish: Wish) -> Result<bool, Unreadable> {
    for (log, mark) in floor.marks.iter().filter(|(log, _)| wish.covers(**log)) {
        if view.head(*log)?.is_none_or(|head| head.seq < mark.seq) {
            return Ok(true);
        }
    }
    Ok(false)
}
