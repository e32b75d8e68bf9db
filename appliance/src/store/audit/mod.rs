//! The journal: who did what, with what outcome. Written by `access` alone, in the same step as what it tells of.
//!
//! Lives here: entries, writing one, pages by filters. `export` has the journal as a chain that can be proven elsewhere.

pub mod export;

use jiff::Timestamp;
use replicate::core::record::Record;
use replicate::disk::join::{Join, Under};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Edits, Id, Page, Store, StoreError, keys, value, writer};
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

/// An entry, and the node that wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The node it was done on.
    pub node: Id,
    /// What was done.
    pub entry: Entry,
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Only what was done on this node.
    pub node: Option<Id>,
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

/// Bytes of an id or a name that its index key has room for; what is longer is found by its beginning and compared.
const WORD_BYTES_MAX: usize = 256;
/// Places looked at for one page; beyond, the page ends early and says where to go on.
const STEPS_MAX: usize = 10_000;

/// What an index key can hold of a text that anybody may have made up.
fn word(text: &str) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(WORD_BYTES_MAX)];
    let mut word: Vec<u8> = text.bytes().map(|byte| if byte < 2 { b' ' } else { byte }).collect();
    word.push(0);
    word
}

fn found(record: &Record, words: fn(&Entry) -> Vec<&str>) -> Vec<Vec<u8>> {
    let Some(entry) = value::<Entry>(record, "entry") else { return Vec::new() };
    let at = keys::time(entry.at);
    words(&entry)
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| [word(text).as_slice(), &at].concat())
        .collect()
}

pub(super) fn by_time(record: &Record) -> Vec<Vec<u8>> {
    let entry: Option<Entry> = value(record, "entry");
    entry.map(|entry| keys::time(entry.at).to_vec()).into_iter().collect()
}

pub(super) fn by_target(record: &Record) -> Vec<Vec<u8>> {
    found(record, |entry| vec![&entry.target.id])
}

pub(super) fn by_actor(record: &Record) -> Vec<Vec<u8>> {
    found(record, |entry| vec![&entry.actor.id, &entry.actor.name])
}

pub(super) fn by_action(record: &Record) -> Vec<Vec<u8>> {
    found(record, |entry| vec![&entry.action])
}

pub(super) fn by_outcome(record: &Record) -> Vec<Vec<u8>> {
    found(record, |entry| vec![outcome_word(entry.outcome)])
}

pub(super) fn by_node(record: &Record) -> Vec<Vec<u8>> {
    let keys = writer(record, "entry").zip(value::<Entry>(record, "entry"));
    keys.map(|(node, entry)| keys::of_node(node, entry.at)).into_iter().collect()
}

/// The words that are stored: never change one.
fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Partial => "partial",
        Outcome::Denied => "denied",
    }
}

impl Edits {
    /// Writes the entry that tells of the edits before it.
    pub fn put_audit(&mut self, entry: &Entry) {
        self.put("audit", entry.id, "entry", entry);
        self.report();
    }
}

impl Store {
    /// A page of the journal, newest first. It may have fewer than were asked for and still say where to go on: what is
    /// looked at for one page is bounded.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn audit(&self, query: &Query) -> Result<Page<Written>, StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let joined = self.join(&asked(query, limit))?;
        let ids: Vec<_> = joined.hits.iter().map(|(_, id)| *id).collect();
        let records = self.all("audit", &ids)?;
        let written =
            |record: &Record| Some(Written { node: writer(record, "entry")?, entry: value(record, "entry")? });
        let items = records.iter().flatten().filter_map(written).filter(|found| is_wanted(found, query)).collect();
        Ok(Page { items, next: joined.rest.map(|(at, id)| keys::cursor(&at, id)) })
    }
}

fn asked(query: &Query, limit: usize) -> Join {
    let list = |index: &str, word: Vec<u8>| Under::Word { index: index.into(), word };
    let mut all = Vec::new();
    all.extend(query.target.as_ref().map(|target| vec![list("audit_by_target", word(target))]));
    all.extend(query.actor.as_ref().map(|actor| vec![list("audit_by_actor", word(actor))]));
    all.extend(query.action.as_ref().filter(|action| !action.is_empty()).map(|action| {
        let mut stem = word(action);
        stem.pop();
        vec![Under::Beginning { index: "audit_by_action".into(), stem }]
    }));
    all.extend(query.outcome.map(|outcome| vec![list("audit_by_outcome", word(outcome_word(outcome)))]));
    all.extend(query.node.map(|node| vec![list("audit_by_node", node.0.as_bytes().to_vec())]));
    if all.is_empty() {
        all.push(vec![list("audit_by_time", Vec::new())]);
    }
    let after = query.cursor.as_deref().and_then(keys::read_place);
    let (from, to) = (query.from.map(keys::time), query.to.map(keys::time));
    Join { all, none: Vec::new(), from, to, after, limit, steps_max: STEPS_MAX }
}

fn is_wanted(Written { node, entry }: &Written, query: &Query) -> bool {
    query.node.is_none_or(|wanted| *node == wanted)
        && query.target.as_ref().is_none_or(|target| entry.target.id == *target)
        && query.actor.as_ref().is_none_or(|actor| entry.actor.id == *actor || entry.actor.name == *actor)
        && query.action.as_ref().is_none_or(|action| entry.action.starts_with(action.as_str()))
        && query.outcome.is_none_or(|outcome| entry.outcome == outcome)
        && query.from.is_none_or(|from| entry.at >= from)
        && query.to.is_none_or(|to| entry.at < to)
}
