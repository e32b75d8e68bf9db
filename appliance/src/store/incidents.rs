//! Incidents as the watch saw them, and what people did about them. Two records under one id.

use std::cmp::Reverse;

use jiff::Timestamp;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Page, Store, StoreError, keys, value, writer};
use crate::domain::watch::Incident;

/// The most on one page.
pub const PAGE_MAX: usize = 200;

/// What people did about an incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Handling {
    /// By whom, when, with which note.
    pub acknowledged: Option<Handled>,
    /// Not to be told again until then.
    pub suppressed: Option<Handled>,
    /// Someone said that it is over.
    pub resolved: Option<Handled>,
}

/// Something that someone did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Who, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when, where that matters.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Why.
    #[serde(default)]
    pub note: String,
}

/// An incident with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Its id.
    pub id: Id,
    /// The node it happened on: the one that wrote it.
    pub node: Id,
    /// What was seen.
    pub incident: Incident,
    /// What was done.
    pub handling: Handling,
}

pub(super) fn by_time(record: &Record) -> Vec<Vec<u8>> {
    let facts: Option<Incident> = value(record, "facts");
    facts.map(|facts| keys::time(facts.opened_at).to_vec()).into_iter().collect()
}

pub(super) fn by_node(record: &Record) -> Vec<Vec<u8>> {
    let facts: Option<Incident> = value(record, "facts");
    let keys = writer(record, "facts").zip(facts);
    keys.map(|(node, facts)| keys::of_node(node, facts.opened_at)).into_iter().collect()
}

pub(super) fn open_by_node(record: &Record) -> Vec<Vec<u8>> {
    let is_open = value::<Incident>(record, "facts").is_some_and(|facts| facts.closed.is_none());
    if is_open { by_node(record) } else { Vec::new() }
}

pub(super) fn open(record: &Record) -> Vec<Vec<u8>> {
    let facts: Option<Incident> = value(record, "facts").filter(|facts: &Incident| facts.closed.is_none());
    facts.map(|facts| keys::time(facts.opened_at).to_vec()).into_iter().collect()
}

impl Edits {
    /// Writes down what was seen.
    pub fn put_incident(&mut self, id: Id, incident: &Incident) {
        self.put("incident", id, "facts", incident);
    }

    /// Someone took notice.
    pub fn put_acknowledged(&mut self, id: Id, handled: &Handled) {
        self.put("handling", id, "acknowledged", handled);
    }

    /// Someone does not want to be told.
    pub fn put_suppressed(&mut self, id: Id, handled: &Handled) {
        self.put("handling", id, "suppressed", handled);
    }

    /// Someone said that it is over.
    pub fn put_resolved(&mut self, id: Id, handled: &Handled) {
        self.put("handling", id, "resolved", handled);
    }
}

impl Store {
    /// All that are open, newest first: of one node at most [`PAGE_MAX`], of all together at most
    /// [`OPEN_MAX`](super::followed::OPEN_MAX).
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn open_incidents(&self, node: Option<Id>) -> Result<Vec<Known>, StoreError> {
        match node {
            Some(node) => self.open_in("incident_open_by_node", of_node(node), PAGE_MAX),
            None => {
                let mut all: Vec<Known> = self.open_everywhere()?.values().cloned().collect();
                all.sort_by_key(|known| Reverse(known.incident.opened_at));
                Ok(all)
            }
        }
    }

    /// Those of an index, newest first.
    pub(super) fn open_in(&self, index: &str, keys: Keys, limit: usize) -> Result<Vec<Known>, StoreError> {
        let scan = Scan { index: index.to_owned(), keys, is_backward: true, after: None, limit };
        self.scan(&scan)?.iter().filter_map(|hit| self.known(&hit.record).transpose()).collect()
    }

    /// A page, of one node or of all, newest first.
    #[allow(clippy::missing_errors_doc)]
    pub fn incidents(&self, node: Option<Id>, cursor: Option<&str>, limit: usize) -> Result<Page<Known>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let after = cursor.and_then(keys::read_cursor);
        let (index, keys) = list(node, "incident_by_time", "incident_by_node");
        let scan = Scan { index, keys, is_backward: true, after, limit: limit + 1 };
        let mut hits = self.scan(&scan)?;
        let is_more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits.last().filter(|_| is_more).map(|hit| keys::cursor(&hit.key, hit.record.id()));
        let items = hits.iter().filter_map(|hit| self.known(&hit.record).transpose()).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    /// One by id.
    #[allow(clippy::missing_errors_doc)]
    pub fn incident(&self, id: Id) -> Result<Option<Known>, StoreError> {
        match self.record("incident", id)? {
            Some(record) => self.known(&record),
            None => Ok(None),
        }
    }

    fn known(&self, record: &Record) -> Result<Option<Known>, StoreError> {
        let id = Id::from_record(record.id());
        let facts = value(record, "facts").zip(writer(record, "facts"));
        let Some((incident, node)) = facts else { return Ok(None) };
        let handling = match self.record("handling", id)? {
            Some(said) => Handling {
                acknowledged: value(&said, "acknowledged"),
                suppressed: value(&said, "suppressed"),
                resolved: value(&said, "resolved"),
            },
            None => Handling::default(),
        };
        Ok(Some(Known { id, node, incident, handling }))
    }
}

/// The index that lists all, or the one that lists one node's.
fn list(node: Option<Id>, all: &str, by_node: &str) -> (String, Keys) {
    match node {
        None => (all.to_owned(), Keys::All),
        Some(node) => (by_node.to_owned(), of_node(node)),
    }
}

fn of_node(node: Id) -> Keys {
    Keys::Beginning(node.0.as_bytes().to_vec())
}
