//! How a log grows by others' entries, and what then becomes of records.
//!
//! Lives here: which entry may join ([`accept`]), how it changes its record and the record's index keys. Does not: our
//! own entries (`write`), what is told to a peer (`exchange`). It may assume that the changes of one [`Staged`] are kept
//! together or not at all.

use crate::core::entry::{Entry, Malformed};
use crate::core::fence::{self, FENCINGS_MAX};
use crate::core::floor::{self, Stage};
use crate::core::id::{Hash, LogId, Origin, Position, Stream};
use crate::core::index;
use crate::core::mutant::{Mutant, is_on};
use crate::core::record::{Record, RecordKey};
use crate::core::schema::Schema;
use crate::core::view::{Change, Doom, Head, Staged, Unreadable, View, load};
use std::collections::BTreeSet;

/// Dooms kept at once. Entries come in the order of their logs, so honest peers cause a handful; a log that would cause
/// more is not taken further until others have caught up.
pub const DOOMS_MAX: u64 = 100_000;
/// What became of an entry that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It joined its log.
    New,
    /// It was there already, byte for byte.
    Duplicate,
}

/// Why an entry did not join its log. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no entry.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Entries before it are missing: the sender did not know our vector.
    #[error("{at} does not follow: the log ends at {have}")]
    Gap {
        /// The entry.
        at: Position,
        /// Where the log ends here.
        have: u64,
    },
    /// The same place has other content here, or its predecessor has: two writers under one name.
    #[error("{at} is not what this log has here: two writers use one name")]
    Fork {
        /// The entry.
        at: Position,
    },
    /// The log begins without saying so, or with another nonce than this incarnation's other logs.
    #[error("{at} does not begin a log of this incarnation")]
    BadOpening {
        /// The entry.
        at: Position,
    },
    /// It is ours and we do not have it: this node's memory is older than what it told others. It must continue under
    /// the next incarnation; then this entry can join the log it belongs to.
    #[error("{at} is our own and lost here: this memory is older than it was")]
    OurOwnFuture {
        /// The entry.
        at: Position,
    },
    /// It would cause more than [`DOOMS_MAX`] dooms.
    #[error("{at} replaces too many versions that nobody has sent")]
    TooManyDooms {
        /// The entry.
        at: Position,
    },
    /// It would be one more than [`FENCINGS_MAX`] entries that fence.
    #[error("{at} fences, and {FENCINGS_MAX} entries do already")]
    TooManyFences {
        /// The entry.
        at: Position,
    },
    /// This node is being filled, and takes what is below the floor only from nodes that are at it.
    #[error("{at} is below the floor: it is taken as it was kept there, or not at all")]
    BelowTheFloor {
        /// The entry.
        at: Position,
    },
    /// The state could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Lets an entry join its log and change its record, if it is the log's next. `us` is under what name this node writes.
///
/// # Errors
/// [`Refusal`]; then nothing is staged.
pub fn accept<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    us: Option<Origin>,
    raw: &[u8],
) -> Result<Accepted, Refusal> {
    let entry = Entry::parse(raw)?;
    let at = entry.at;
    let head = staged.head(at.log())?;
    let have = head.map_or(0, |head| head.seq);
    if at.dot.seq <= have {
        let is_same = match staged.entry(at)? {
            Some(kept) => kept == entry.raw,
            // What it was compared with has left, and nobody can compare it any more.
            None => staged.has_left(at)?,
        } || is_on(Mutant::ForkIsDuplicate);
        return if is_same { Ok(Accepted::Duplicate) } else { Err(Refusal::Fork { at }) };
    }
    let is_ours = us.is_some_and(|us| us.node == at.dot.node && us.inc <= at.dot.inc);
    if is_ours && !is_on(Mutant::OwnFutureTaken) {
        return Err(Refusal::OurOwnFuture { at });
    }
    let own = staged.floor()?.filter(|own| own.stage == Stage::Filling && own.floor.covers(at));
    if own.is_some() && !is_on(Mutant::FilledByAnybody) {
        return Err(Refusal::BelowTheFloor { at });
    }
    if at.dot.seq > have + 1 && !is_on(Mutant::GapAccepted) {
        return Err(Refusal::Gap { at, have });
    }
    let is_unchecked = is_on(Mutant::NoPreviousHash) || is_on(Mutant::GapAccepted);
    let nonce = match head {
        Some(head) if head.hash == entry.previous || is_unchecked => head.nonce,
        Some(_) => return Err(Refusal::Fork { at }),
        None => opening_nonce(staged, &entry)?,
    };
    if staged.dooms_len()? + named_by(&entry) > DOOMS_MAX {
        return Err(Refusal::TooManyDooms { at });
    }
    if schema.fencing(&entry).is_some() && staged.fencings()?.len() >= FENCINGS_MAX {
        return Err(Refusal::TooManyFences { at });
    }
    if is_on(Mutant::Rewritten)
        && let Some(Ok(again)) = entry.fields.as_deref().map(Entry::write)
    {
        append(staged, schema, &again, nonce)?;
        return Ok(Accepted::New);
    }
    append(staged, schema, &entry, nonce)?;
    Ok(Accepted::New)
}

/// Lets an entry that is known to follow join its log, and changes its record.
pub(crate) fn append<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    entry: &Entry,
    nonce: u32,
) -> Result<(), Unreadable> {
    let head = Head { seq: entry.at.dot.seq, hash: entry.hash, nonce };
    staged.changes.entries.insert(entry.at, entry.raw.clone());
    staged.changes.heads.insert(entry.at.log(), head);
    if !is_on(Mutant::LamportNotAdvanced) {
        staged.saw_lamport(entry.lam)?;
    }
    let touched = fence::note(staged, schema, entry)?;
    floor::note(staged, entry)?;
    let record = materialise(staged, schema, entry)?;
    let group = entry.fields.as_ref().map(|fields| fields.g.clone()).unwrap_or_default();
    staged.changes.feed.push(Change { at: entry.at, record, group });
    if !touched.is_empty() {
        fence::build_anew(staged, schema, entry.at, touched)?;
    }
    Ok(())
}

/// The nonce that a log's first entry gives, if it is one.
fn opening_nonce(view: &impl View, entry: &Entry) -> Result<u32, Refusal> {
    let bad = Refusal::BadOpening { at: entry.at };
    let Some(opening) = entry.opening().filter(|_| entry.previous == Hash::NOTHING) else { return Err(bad) };
    for stream in Stream::ALL {
        let sister = view.head(LogId { stream, ..entry.at.log() })?;
        if sister.is_some_and(|sister| sister.nonce != opening.nonce) && !is_on(Mutant::NonceIgnored) {
            return Err(bad);
        }
    }
    Ok(opening.nonce)
}

fn named_by(entry: &Entry) -> u64 {
    entry.fields.as_ref().map_or(0, |fields| fields.sup.len() as u64)
}

/// Changes the record of an entry that has just joined its log, and the record's index keys. Returns which record;
/// nothing if the schema has no place for the entry or it lies beyond a fence: it is then only kept.
pub(crate) fn materialise<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    entry: &Entry,
) -> Result<Option<RecordKey>, Unreadable> {
    let dooms = staged.dooms(entry.at)?;
    for doom in &dooms {
        staged.changes.dooms.insert(doom.clone(), false);
    }
    let (Some(kind), Some(fields)) = (schema.changed_by(entry), entry.fields.as_ref()) else { return Ok(None) };
    if !staged.stands(entry.at) {
        return Ok(None);
    }
    let key = RecordKey { kind: kind.name.clone(), id: fields.id };
    let mut record = load(staged, kind, &key)?;
    let keys_before = index_keys(&record);

    let is_replaced = dooms.iter().any(|doom| doom.record == key && doom.group == fields.g);
    for absent in record.join(entry, is_replaced) {
        let at = Position { stream: entry.at.stream, dot: absent };
        let is_beyond = staged.head(at.log())?.is_none_or(|head| head.seq < absent.seq);
        let is_still_to_come = is_beyond && !staged.has_left(at)?;
        if is_still_to_come && !is_on(Mutant::DoomsForgotten) {
            staged.changes.dooms.insert(Doom { at, record: key.clone(), group: fields.g.clone() }, true);
        }
    }

    let keys_after = index_keys(&record);
    for gone in keys_before.difference(&keys_after) {
        staged.changes.index.insert(gone.clone(), false);
    }
    for come in keys_after.difference(&keys_before) {
        staged.changes.index.insert(come.clone(), true);
    }
    staged.changes.live.insert(key.clone(), record.live());
    Ok(Some(key))
}

/// Returns the stored index keys of a record; none of one that does not exist.
pub fn index_keys(record: &Record) -> BTreeSet<Vec<u8>> {
    if record.kind().indexes.is_empty() || !record.exists() {
        return BTreeSet::new();
    }
    let of_index = |index: &crate::core::schema::Index| -> Vec<Vec<u8>> {
        (index.keys)(record).iter().map(|key| index::encode(&index.name, key, record.id())).collect()
    };
    record.kind().indexes.iter().flat_map(of_index).collect()
}
