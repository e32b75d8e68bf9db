//! The journal: who did what, with what outcome. Written by `access` alone, in the same step as what it tells of.

use jiff::Timestamp;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Edits, Id, Page, Store, StoreError, keys, value};
use crate::domain::ClockQuality;

/// The most entries on one page.
pub const PAGE_MAX: usize = 500;

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Succeeded,
    /// Tried, and not done.
    Failed,
    /// Done in part.
    Partial,
    /// Not allowed.
    Denied,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `user`, `token`, `pin`, `recovery`, `anonymous`, `service` or `cli`.
    pub kind: String,
    /// Their id, if they have one.
    #[serde(default)]
    pub id: String,
    /// Their name.
    #[serde(default)]
    pub name: String,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Object {
    /// `recording`, `incident`, `user`, `setting`, `node`, `room` …
    pub kind: String,
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// Its name at that time.
    #[serde(default)]
    pub name: String,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: Id,
    /// When.
    pub at: Timestamp,
    /// How far that can be believed.
    pub clock_quality: ClockQuality,
    /// Who.
    pub actor: Actor,
    /// From where, as far as known.
    #[serde(default)]
    pub address: String,
    /// What: `recording.start`.
    pub action: String,
    /// What it takes: `recording:create`; empty if nothing.
    #[serde(default)]
    pub permission: String,
    /// To what.
    pub target: Object,
    /// With what outcome.
    pub outcome: Outcome,
    /// Why, or why not.
    #[serde(default)]
    pub reason: String,
    /// What was before.
    #[serde(default)]
    pub before: Value,
    /// What is after.
    #[serde(default)]
    pub after: Value,
    /// Binds what belongs to one request.
    #[serde(default)]
    pub correlation_id: String,
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Only about this id.
    pub target: Option<String>,
    /// Only by this actor (id or name).
    pub actor: Option<String>,
    /// Only this action, or those that begin with it.
    pub action: Option<String>,
    /// Only this outcome.
    pub outcome: Option<Outcome>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

pub(super) fn by_time(record: &Record) -> Vec<Vec<u8>> {
    let entry: Option<Entry> = value(record, "entry");
    entry.map(|entry| keys::time(entry.at).to_vec()).into_iter().collect()
}

pub(super) fn by_target(record: &Record) -> Vec<Vec<u8>> {
    let entry: Option<Entry> = value(record, "entry").filter(|entry: &Entry| !entry.target.id.is_empty());
    entry.map(|entry| [entry.target.id.as_bytes(), &[0], &keys::time(entry.at)].concat()).into_iter().collect()
}

impl Edits {
    /// Writes the entry that tells of the edits before it.
    pub fn put_audit(&mut self, entry: &Entry) {
        self.put("audit", entry.id, "entry", entry);
        self.report();
    }
}

impl Store {
    /// A page of the journal, newest first.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn audit(&self, query: &Query) -> Result<Page<Entry>, StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let mut after = query.cursor.as_deref().and_then(keys::read_cursor);
        let (index, keys) = match &query.target {
            Some(target) => ("audit_by_target", Keys::Beginning([target.as_bytes(), &[0]].concat())),
            None => ("audit_by_time", Keys::All),
        };
        let mut items: Vec<Entry> = Vec::new();
        let mut last = None;
        loop {
            let scan = Scan { index: index.into(), keys: keys.clone(), is_backward: true, after, limit: limit + 1 };
            let hits = self.scan(&scan)?;
            let is_end = hits.len() <= limit;
            after = None;
            for hit in hits {
                after = Some((hit.key.clone(), hit.record.id()));
                let Some(entry) = value::<Entry>(&hit.record, "entry").filter(|entry| is_wanted(entry, query)) else {
                    continue;
                };
                if items.len() == limit {
                    return Ok(Page { items, next: last });
                }
                last = Some(keys::cursor(&hit.key, hit.record.id()));
                items.push(entry);
            }
            if is_end {
                return Ok(Page { items, next: None });
            }
        }
    }
}

fn is_wanted(entry: &Entry, query: &Query) -> bool {
    query.actor.as_ref().is_none_or(|actor| entry.actor.id == *actor || entry.actor.name == *actor)
        && query.action.as_ref().is_none_or(|action| entry.action.starts_with(action.as_str()))
        && query.outcome.is_none_or(|outcome| entry.outcome == outcome)
        && query.from.is_none_or(|from| entry.at >= from)
        && query.to.is_none_or(|to| entry.at < to)
}
