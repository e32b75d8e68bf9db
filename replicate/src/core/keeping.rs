//! What a node does with a batch of others' entries: each joins or not, lost memory makes a new incarnation, a second
//! writer under our name is noticed.
//!
//! Lives here: the decisions. Does not: commits, marks, threads (`disk`). So a node in memory decides as one on disk.

use crate::core::entry::Entry;
use crate::core::exchange::{Applied, REFUSALS_MAX};
use crate::core::floor::fill::{self, Kept};
use crate::core::id::{Hash, Origin, Position};
use crate::core::log::{Accepted, Refusal, accept};
use crate::core::schema::Schema;
use crate::core::view::{Staged, Unreadable, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What came of a batch beside what joined.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// For the peer.
    pub applied: Applied,
    /// Under what name we write from now on, if it changed.
    pub us: Option<Origin>,
    /// Refused entries that prove two writers under one name.
    pub forks: Vec<(Position, Hash, Arc<[u8]>)>,
    /// Why nothing more may be written under our name.
    pub quarantine: Option<String>,
}

/// Lets others' entries join their logs. Each joins or not by itself: it comes after those it follows, and a log that
/// has a refused one is refused from there on by its own order. `mint` opens the logs of an incarnation of ours, or says
/// with `None` that this node may not go on under another name by itself: then its lost past is refused as well.
///
/// # Errors
/// What `mint` says, or [`Unreadable`]: then nothing of the batch counts.
pub fn apply<V: View, E: From<Unreadable>>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    us: Origin,
    entries: &[Arc<[u8]>],
    mut mint: impl FnMut(&mut Staged<'_, V>, u32) -> Result<Option<Origin>, E>,
) -> Result<Outcome, E> {
    let mut outcome = Outcome::default();
    for (number, raw) in entries.iter().enumerate() {
        let mut us = outcome.us.unwrap_or(us);
        let mut result = accept(staged, schema, Some(us), raw);
        if let Err(Refusal::OurOwnFuture { at }) = result
            && let Some(inc) = at.dot.inc.checked_add(1)
            && let Some(minted) = mint(staged, inc)?
        {
            // A peer remembers more of us than we do. Under the next incarnation our lost past can come back.
            us = minted;
            outcome.us = Some(us);
            outcome.quarantine = None;
            result = accept(staged, schema, Some(us), raw);
        }
        let applied = &mut outcome.applied;
        match result {
            Ok(Accepted::New) => applied.new += 1,
            Ok(Accepted::Duplicate) => applied.duplicates += 1,
            Err(Refusal::Unreadable(unreadable)) => return Err(unreadable.into()),
            Err(refusal) => {
                applied.refused += 1;
                if applied.refusals.len() < REFUSALS_MAX {
                    applied.refusals.push((number, refusal.clone()));
                }
                if let Refusal::Fork { at } = refusal {
                    note_fork(at, us, raw, &mut outcome);
                }
            }
        }
    }
    Ok(outcome)
}

/// Lets what a node at our floor kept below it join, as [`apply`] does with all else, and notes which logs are whole.
///
/// # Errors
/// [`Unreadable`]: then nothing of the batch counts.
pub fn take_kept<V: View>(
    staged: &mut Staged<'_, V>,
    schema: &Schema,
    us: Origin,
    entries: &[Arc<[u8]>],
    kept: &Kept,
) -> Result<Outcome, Unreadable> {
    let mut outcome = Outcome::default();
    let mut parts = BTreeMap::new();
    for part in &kept.parts {
        let have = staged.head(part.log)?.map_or(0, |head| head.seq);
        parts.insert(part.log, if have == part.after { None } else { Some(have) });
    }
    for (number, raw) in entries.iter().enumerate() {
        let at = Entry::parse(raw).map(|entry| entry.at);
        let gap = at.as_ref().ok().and_then(|at| parts.get(&at.log()).copied().flatten().map(|have| (*at, have)));
        let result = match gap {
            Some((at, have)) => Err(Refusal::Gap { at, have }),
            None => fill::take(staged, schema, kept.floor, raw),
        };
        match result {
            Ok(Accepted::New) => outcome.applied.new += 1,
            Ok(Accepted::Duplicate) => outcome.applied.duplicates += 1,
            Err(Refusal::Unreadable(unreadable)) => return Err(unreadable),
            Err(refusal) => {
                if let Ok(at) = at {
                    parts.insert(at.log(), Some(0));
                }
                outcome.applied.refused += 1;
                if outcome.applied.refusals.len() < REFUSALS_MAX {
                    outcome.applied.refusals.push((number, refusal.clone()));
                }
                if let Refusal::Fork { at } = refusal {
                    note_fork(at, us, raw, &mut outcome);
                }
            }
        }
    }
    for part in kept.parts.iter().filter(|part| part.is_end && parts.get(&part.log) == Some(&None)) {
        fill::end(staged, kept.floor, part.log)?;
    }
    Ok(outcome)
}

/// Keeps the evidence, and if it is our present name that is used twice, stops writing under it.
fn note_fork(at: Position, us: Origin, raw: &Arc<[u8]>, outcome: &mut Outcome) {
    let hash = Entry::parse(raw).map_or(Hash::NOTHING, |entry| entry.hash);
    outcome.forks.push((at, hash, raw.clone()));
    if at.dot.node == us.node && at.dot.inc == us.inc {
        outcome.quarantine = Some(format!("another node writes under our name: it has its own entry at {at}"));
    }
}
