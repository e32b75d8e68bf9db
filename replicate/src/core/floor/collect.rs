//! What leaves the logs below a floor, and taking it out.
//!
//! An entry leaves when it was replaced by an entry below the floor and has itself nothing left to hold down: everything
//! it replaced has left before. So no record, built anew from what is kept, is other than it was, and what is kept can be
//! told from the floor and the entries below it alone, in whatever order and however often floors were taken. The rule
//! reads fields and no schema: nodes of two versions keep the same rows. All below a floor counts, whatever a fence says
//! that comes later: it stands at the floor at least ([`Limits`](crate::core::fence::Limits)).

use super::{Floor, Proposed, Stage, Standing, end_of};
use crate::core::entry::{LIFE, Op};
use crate::core::exchange::Mark;
use crate::core::fence;
use crate::core::id::{Dot, Hash, LogId, Position, RecordId, Stream};
use crate::core::mutant::{Mutant, is_on};
use crate::core::schema::Schema;
use crate::core::view::{Staged, Unreadable, View};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows that leave in one durable step: writing is never held up for longer.
pub const STEP: usize = 2_000;
/// Entries read at once.
const PAGE: usize = 1_000;
/// The form of entries that this rule understands; others stay.
const FORM: u32 = 1;

/// Takes a floor that is [`due`](super::due): from now on all below it counts, and rows may leave. `at` of a fence that
/// this moves is the entry that says the floor.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn begin<V: View>(staged: &mut Staged<'_, V>, schema: &Schema, next: &Proposed) -> Result<(), Unreadable> {
    let own = staged.floor()?;
    let mut marks = BTreeMap::new();
    for (log, seq) in &next.ends {
        let hash = end_of(staged, own.as_ref(), *log, *seq, &next.hashes)?;
        let hash = hash.ok_or_else(|| Unreadable::not_in_log(log.at(*seq)))?;
        marks.insert(*log, Mark { seq: *seq, hash });
    }
    let floor = Arc::new(Floor::new(next.number, next.epoch, marks));
    let before = (staged.fencings()?, staged.limits().clone());
    staged.changes.floor = Some(Standing { floor, stage: Stage::Collecting });
    staged.fences_changed()?;
    let touched = fence::weigh_anew(staged, schema, before)?;
    if !touched.is_empty() {
        fence::build_anew(staged, schema, next.at, touched)?;
    }
    Ok(())
}

/// The part of an entry that says what it replaces.
#[derive(Deserialize)]
struct Link {
    v: u32,
    d: Dot,
    k: String,
    id: RecordId,
    g: String,
    op: Op,
    #[serde(default)]
    sup: Vec<Dot>,
}

/// What two entries have in common if one can replace the other, whichever schema reads them.
type Sort = [u8; 16];

impl Link {
    fn read(raw: &[u8]) -> Option<Self> {
        serde_json::from_slice(raw).ok().filter(|link: &Self| link.v == FORM)
    }

    fn sort(&self) -> Option<Sort> {
        let class = match (&self.op, self.g == LIFE) {
            (Op::Put, false) => 0,
            (Op::Disable | Op::Enable, false) => 1,
            (Op::Delete | Op::Restore, true) => 2,
            (_, _) => return None,
        };
        let words = [self.k.as_bytes(), &[0], &self.id.0, self.g.as_bytes(), &[0, class]].concat();
        let mut sort = Sort::default();
        sort.copy_from_slice(&Hash::of_entry(Hash::NOTHING, &words).0[..16]);
        Some(sort)
    }
}

/// An entry that was replaced below the floor.
struct Replaced {
    sort: Sort,
    names: Vec<Dot>,
}

/// Returns every row that leaves at this floor and is still here, in order. `entries` reads a log, as [`View::entries`] does;
/// others may write meanwhile: what is below the floor does not change.
///
/// # Errors
/// What `entries` says, or [`Unreadable::Damaged`].
pub fn leaving(
    floor: &Floor,
    entries: impl Fn(LogId, u64, usize) -> Result<Vec<Arc<[u8]>>, Unreadable>,
) -> Result<Vec<Position>, Unreadable> {
    let mut leaving = Vec::new();
    for stream in super::STREAMS {
        let dots = of_stream(&entries, floor, stream)?;
        leaving.extend(dots.into_iter().map(|dot| Position { stream, dot }));
    }
    leaving.sort();
    Ok(leaving)
}

fn of_stream(
    entries: &impl Fn(LogId, u64, usize) -> Result<Vec<Arc<[u8]>>, Unreadable>,
    floor: &Floor,
    stream: Stream,
) -> Result<Vec<Dot>, Unreadable> {
    let logs = || floor.marks.iter().filter(move |(log, _)| log.stream == stream).map(|(log, mark)| (*log, mark.seq));
    let mut named: BTreeMap<Dot, Vec<Sort>> = BTreeMap::new();
    for (log, last) in logs() {
        let last = if is_on(Mutant::CollectedTooEarly) { u64::MAX } else { last };
        each(entries, log, last, |link| {
            let Some(sort) = link.sort() else { return };
            for dot in link.sup.iter().filter(|dot| **dot != link.d) {
                named.entry(*dot).or_default().push(sort);
            }
        })?;
    }
    let mut replaced: BTreeMap<Dot, Replaced> = BTreeMap::new();
    for (log, last) in logs() {
        each(entries, log, last, |link| {
            let sort = link.sort().filter(|sort| named.get(&link.d).is_some_and(|sorts| sorts.contains(sort)));
            if let Some(sort) = sort {
                let names = link.sup.iter().filter(|dot| **dot != link.d).copied().collect();
                replaced.insert(link.d, Replaced { sort, names });
            }
        })?;
    }
    Ok(freed(&replaced, |dot| floor.covers(Position { stream, dot })))
}

/// Those of the replaced that hold nothing down: what they replaced is free itself, or has left before. One that names
/// what is not below the floor stays: it has to be here when that comes.
fn freed(replaced: &BTreeMap<Dot, Replaced>, is_below: impl Fn(Dot) -> bool) -> Vec<Dot> {
    let mut waits: BTreeMap<Dot, usize> = BTreeMap::new();
    let mut holds_up: BTreeMap<Dot, Vec<Dot>> = BTreeMap::new();
    let mut free = Vec::new();
    for (dot, entry) in replaced {
        if !entry.names.iter().all(|named| is_below(*named)) && !is_on(Mutant::CollectedTooEarly) {
            continue;
        }
        let is_held_down = |named: &&Dot| replaced.get(named).is_some_and(|other| other.sort == entry.sort);
        let held: Vec<Dot> = entry.names.iter().filter(is_held_down).copied().collect();
        if held.is_empty() {
            free.push(*dot);
        }
        waits.insert(*dot, held.len());
        held.into_iter().for_each(|named| holds_up.entry(named).or_default().push(*dot));
    }
    let mut next = 0;
    while let Some(dot) = free.get(next).copied() {
        next += 1;
        for above in holds_up.remove(&dot).unwrap_or_default() {
            if let Some(left) = waits.get_mut(&above) {
                *left -= 1;
                if *left == 0 {
                    free.push(above);
                }
            }
        }
    }
    free
}

fn each(
    entries: &impl Fn(LogId, u64, usize) -> Result<Vec<Arc<[u8]>>, Unreadable>,
    log: LogId,
    last: u64,
    mut with: impl FnMut(&Link),
) -> Result<(), Unreadable> {
    let mut next = 1;
    loop {
        let page = entries(log, next, PAGE)?;
        for raw in &page {
            let seq = super::seq_of(raw).ok_or_else(|| Unreadable::Damaged(format!("in {log:?} after {next}")))?;
            if seq > last {
                return Ok(());
            }
            next = seq + 1;
            if let Some(link) = Link::read(raw) {
                with(&link);
            }
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// Takes rows out. They change nothing: no record, no digest.
pub fn leave<V: View>(staged: &mut Staged<'_, V>, rows: &[Position]) {
    staged.changes.gone.extend(rows);
}

/// All that leaves at the floor has left.
///
/// # Errors
/// [`Unreadable`] from the view.
pub fn done<V: View>(staged: &mut Staged<'_, V>) -> Result<(), Unreadable> {
    if let Some(own) = staged.floor()?.filter(|own| own.stage == Stage::Collecting) {
        staged.changes.floor = Some(Standing { stage: Stage::At, ..own });
    }
    Ok(())
}
