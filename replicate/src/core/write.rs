//! Our own entries: from what someone wants done to an entry at the end of our log.
//!
//! Lives here: what an act may do, which versions it replaces, its place and stamp. Does not: permission (the caller's),
//! nor the clock (the moment is an argument). A batch is whole or not at all.

use crate::core::entry::{
    COUNT_MAX, Entry, FORM, Fields, LIFE, Malformed, Moment, Op, Opening, REPLACED_MAX, Sealed, Stamp,
};
use crate::core::fence::FENCINGS_MAX;
use crate::core::id::{Dot, Hash, LogId, Origin, Position, RecordId, Stream};
use crate::core::log::append;
use crate::core::mutant::{Mutant, is_on};
use crate::core::record::{Record, RecordKey, Version};
use crate::core::schema::{DeletePolicy, Form, Kind, Schema};
use crate::core::view::{Staged, Unreadable, View, load};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Acts in one batch; more are refused.
pub const BATCH_ACTS_MAX: usize = 256;

/// Which versions an act replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaces {
    /// All that this node has of the group at the moment of writing.
    All,
    /// These and no others: those the person who decided had before them. What arrived since then stays beside the new
    /// version, as a conflict to be shown.
    These(Vec<Dot>),
}

/// What to do to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Set a group to a value, given as JSON.
    Put {
        /// Which group.
        group: String,
        /// Its new value, whole.
        value: String,
        /// Instead of what.
        replaces: Replaces,
    },
    /// Raise a flag.
    Disable {
        /// Which group.
        group: String,
        /// Any JSON, for those who read it.
        value: String,
    },
    /// Take down the flags that were raised.
    Enable {
        /// Which group.
        group: String,
        /// Any JSON, for those who read it.
        value: String,
        /// Which raised flags.
        replaces: Replaces,
    },
    /// Delete the record as it is here.
    Delete,
    /// Take back the deletions known here.
    Restore,
}

/// One act of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The record's kind.
    pub kind: String,
    /// The record.
    pub id: RecordId,
    /// What to do.
    pub act: Act,
    /// Who does it.
    pub by: String,
    /// Why, if they said so.
    pub why: Option<String>,
    /// Whether this entry reports the batch's earlier ones: they are then named in it.
    pub reports: bool,
}

/// Why a batch was not written. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAct {
    /// The schema has no such kind.
    #[error("there is no kind `{0}`")]
    NoKind(String),
    /// The kind has no such group, or the group's form does not know the act, or the kind is never deleted.
    #[error("`{kind}` has no group `{group}` for this act")]
    NoGroup {
        /// The kind.
        kind: String,
        /// The group, or [`LIFE`].
        group: String,
    },
    /// The record is deleted: restore it first.
    #[error("{0} is deleted")]
    Deleted(RecordId),
    /// There is nothing to delete or to restore.
    #[error("there is no {0} here")]
    NoRecord(RecordId),
    /// The value is no JSON, or no whole number where one is needed.
    #[error("the value of `{0}` is not what its group holds")]
    BadValue(String),
    /// The entry would be beyond a limit.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The record is not any more what the batch expects.
    #[error("{0} was changed meanwhile")]
    Stale(RecordId),
    /// More than [`BATCH_ACTS_MAX`] acts in one batch.
    #[error("more than {BATCH_ACTS_MAX} acts in one batch")]
    TooMany,
    /// More than [`FENCINGS_MAX`] entries that fence.
    #[error("more than {FENCINGS_MAX} entries that fence")]
    TooManyFences,
    /// A counter is at its end.
    #[error("a counter is at its end")]
    CountedOut,
    /// The log was not opened.
    #[error("the log was not opened")]
    NotOpened,
    /// The state could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// What a batch was made from: if the record is another by now, nothing of the batch is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The record's kind.
    pub kind: String,
    /// Which record; it need not be there.
    pub id: RecordId,
    /// The groups that matter; none means all.
    pub groups: Vec<String>,
    /// What [`Record::version`] said of them.
    pub version: Version,
}

/// Looks whether records are what a batch was made from.
///
/// # Errors
/// [`BadAct::Stale`] names the first that is not.
pub fn check<V: View>(view: &V, schema: &Schema, expected: &[Expected]) -> Result<(), BadAct> {
    for expected in expected {
        let kind = schema.kind(&expected.kind).ok_or_else(|| BadAct::NoKind(expected.kind.clone()))?;
        let record = load(view, kind, &RecordKey { kind: expected.kind.clone(), id: expected.id })?;
        let groups: Vec<&str> = expected.groups.iter().map(String::as_str).collect();
        if record.version(&groups) != expected.version {
            return Err(BadAct::Stale(expected.id));
        }
    }
    Ok(())
}

/// Writes a batch at the end of our logs. Returns each entry's place.
///
/// # Errors
/// [`BadAct`]; what is staged is then to be dropped.
pub fn write<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    us: Origin,
    moment: Moment,
    drafts: &[Draft],
) -> Result<Vec<Position>, BadAct> {
    if drafts.len() > BATCH_ACTS_MAX {
        return Err(BadAct::TooMany);
    }
    let mut written = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let kind = schema.kind(&draft.kind).ok_or_else(|| BadAct::NoKind(draft.kind.clone()))?;
        let record = load(staged, kind, &RecordKey { kind: draft.kind.clone(), id: draft.id })?;
        let (op, group, value) = said(&draft.act);
        if !kind.allows(group, &op) {
            return Err(BadAct::NoGroup { kind: kind.name.clone(), group: group.to_string() });
        }
        let fields = Fields {
            v: FORM,
            d: us.log(kind.stream).at(0).dot,
            s: kind.stream,
            t: Stamp::new(0, moment),
            k: draft.kind.clone(),
            id: draft.id,
            g: group.to_string(),
            op,
            val: json(kind, group, value)?,
            sup: replaced(&record, draft)?,
            by: draft.by.clone(),
            why: draft.why.clone(),
            of: if draft.reports { written.clone() } else { Vec::new() },
            ph: Hash::NOTHING,
        };
        written.push(place(staged, schema, us, fields)?);
    }
    Ok(written)
}

/// Opens our four logs: what the first entries of an incarnation say. A log of ours that is known here is sealed by it.
///
/// # Errors
/// [`BadAct`]; what is staged is then to be dropped.
pub fn open<V: View>(staged: &mut Staged<'_, V>, schema: &Schema, us: Origin, moment: Moment) -> Result<(), BadAct> {
    let heads = staged.heads()?;
    for stream in Stream::ALL {
        let is_ours = |log: &LogId| log.stream == stream && log.node == us.node && log.inc < us.inc;
        let last = heads.iter().rfind(|(log, _)| is_ours(log));
        let prev = last.map(|(log, head)| Sealed { inc: log.inc, seq: head.seq, hash: head.hash });
        let opening = Opening { nonce: us.nonce, prev };
        let text = serde_json::to_string(&opening).map_err(|_| BadAct::BadValue("open".to_string()))?;
        let fields = Fields {
            v: FORM,
            d: us.log(stream).at(0).dot,
            s: stream,
            t: Stamp::new(0, moment),
            k: "log".to_string(),
            id: RecordId([0; 16]),
            g: "log".to_string(),
            op: Op::Open,
            val: RawValue::from_string(text).map_err(|_| BadAct::BadValue("open".to_string()))?,
            sup: Vec::new(),
            by: String::new(),
            why: None,
            of: Vec::new(),
            ph: Hash::NOTHING,
        };
        place(staged, schema, us, fields)?;
    }
    Ok(())
}

/// Gives an entry its place, its Lamport clock and its predecessor, and lets it join.
pub(crate) fn place<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    us: Origin,
    mut fields: Fields,
) -> Result<Position, BadAct> {
    let head = staged.head(us.log(fields.s))?;
    if head.is_none() && fields.op != Op::Open {
        return Err(BadAct::NotOpened);
    }
    let lamport = staged.lamport()?;
    fields.d.seq = head.map_or(0, |head| head.seq) + 1;
    // At its end the Lamport clock stands still: ties are then broken by the dot.
    fields.t.lam = (lamport + 1).min(COUNT_MAX);
    fields.ph = head.map_or(Hash::NOTHING, |head| head.hash);
    if fields.d.seq > COUNT_MAX {
        return Err(BadAct::CountedOut);
    }
    let entry = Entry::write(&fields)?;
    if schema.fencing(&entry).is_some() && staged.fencings()?.len() >= FENCINGS_MAX {
        return Err(BadAct::TooManyFences);
    }
    append(staged, schema, &entry, us.nonce)?;
    Ok(entry.at)
}

fn said(act: &Act) -> (Op, &str, &str) {
    match act {
        Act::Put { group, value, .. } => (Op::Put, group, value),
        Act::Disable { group, value } => (Op::Disable, group, value),
        Act::Enable { group, value, .. } => (Op::Enable, group, value),
        Act::Delete => (Op::Delete, LIFE, "null"),
        Act::Restore => (Op::Restore, LIFE, "null"),
    }
}

fn json(kind: &Arc<Kind>, group: &str, value: &str) -> Result<Box<RawValue>, BadAct> {
    let bad = || BadAct::BadValue(group.to_string());
    if kind.groups.get(group) == Some(&Form::Max) && value.parse::<u64>().is_err() {
        return Err(bad());
    }
    RawValue::from_string(value.to_string()).map_err(|_| bad())
}

/// The versions an act names. Of more than [`REPLACED_MAX`] the first, in the order of dots.
fn replaced(record: &Record, draft: &Draft) -> Result<Vec<Dot>, BadAct> {
    let of_group = |group: &str| -> Vec<Dot> {
        let mut dots: Vec<Dot> = record.versions(group).iter().map(|version| version.at.dot).collect();
        dots.sort();
        dots
    };
    let chosen = |group: &str, replaces: &Replaces| match replaces {
        Replaces::All => of_group(group),
        Replaces::These(_) if is_on(Mutant::ReplacesUnseen) => of_group(group),
        Replaces::These(dots) => dots.clone(),
    };
    let is_deleted = record.is_deleted() && record.kind().deletes != DeletePolicy::Never;
    let mut dots = match &draft.act {
        Act::Put { .. } | Act::Disable { .. } | Act::Enable { .. } if is_deleted => {
            return Err(BadAct::Deleted(draft.id));
        }
        Act::Put { group, replaces, .. } | Act::Enable { group, replaces, .. } => chosen(group, replaces),
        Act::Disable { group, .. } => of_group(group),
        Act::Delete if !record.exists() => return Err(BadAct::NoRecord(draft.id)),
        Act::Delete => record.live(),
        Act::Restore if of_group(LIFE).is_empty() => return Err(BadAct::NoRecord(draft.id)),
        Act::Restore => of_group(LIFE),
    };
    dots.truncate(REPLACED_MAX);
    Ok(dots)
}
