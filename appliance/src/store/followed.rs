//! What pages ask for at every change: recordings that run, incidents that are open, what nodes say of themselves. Read once,
//! and then again only those of which something was said: a wall of five hundred rooms asks at every change, and each
//! change is of one.
//!
//! Never behind the records, like the lists in `store::kept`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use replicate::core::index::Keys;
use replicate::disk::store::Hit;

use super::fleet::{Inventory, MEMBERS_MAX};
use super::incidents::Known;
use super::recordings::{PAGE_MAX, Query, Recording};
use super::{Id, Store, StoreError, value};
use crate::domain::TakeState::{Paused, Recording as Running};

/// Recordings that run and are told of: a thousand rooms that all record.
pub const RUNNING_MAX: usize = 1_000;
/// Incidents that are open and told of.
pub const OPEN_MAX: usize = 1_000;

/// A sort of thing that is followed.
pub(super) trait Followed: Clone {
    /// Kinds of records that tell of the one with their id.
    const KINDS: &'static [&'static str];
    /// How many are told of, the newest by their ids. With more none is kept, and all are read each time.
    const MAX: usize;

    /// Reads all, at most a page more than [`Self::MAX`].
    fn all(store: &Store) -> Result<BTreeMap<Id, Self>, StoreError>;

    /// Reads one; nothing if it is none of them, or not any more.
    fn one(store: &Store, id: Id) -> Result<Option<Self>, StoreError>;
}

/// All of a sort, up to which change that was so.
#[derive(Debug)]
pub(super) struct Kept<T> {
    since: u64,
    all: Option<Arc<BTreeMap<Id, T>>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { since: 0, all: None }
    }
}

/// All that is followed.
#[derive(Debug, Default)]
pub(super) struct Sorts {
    running: Mutex<Kept<Recording>>,
    open: Mutex<Kept<Known>>,
    inventories: Mutex<Kept<Inventory>>,
}

/// What changed.
enum News {
    /// Too much, or whose word counts.
    All,
    /// These.
    Of(BTreeSet<Id>),
}

impl Store {
    /// Recordings that run or pause, of all nodes, by their ids; not those in the bin. At most [`RUNNING_MAX`].
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn running(&self) -> Result<Arc<BTreeMap<Id, Recording>>, StoreError> {
        self.followed(&self.followed.running)
    }

    /// Incidents that are open, of all nodes, by their ids. At most [`OPEN_MAX`].
    pub(super) fn open_everywhere(&self) -> Result<Arc<BTreeMap<Id, Known>>, StoreError> {
        self.followed(&self.followed.open)
    }

    /// What all nodes said of themselves last. At most [`MEMBERS_MAX`].
    #[allow(clippy::missing_errors_doc)]
    pub fn inventories(&self) -> Result<Arc<BTreeMap<Id, Inventory>>, StoreError> {
        self.followed(&self.followed.inventories)
    }

    fn followed<T: Followed>(&self, kept: &Mutex<Kept<T>>) -> Result<Arc<BTreeMap<Id, T>>, StoreError> {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.news(T::KINDS, &mut kept.since);
        // Whatever fails below: what is not known to be so is not kept.
        let mut all = match (kept.all.take(), news) {
            (Some(mut all), News::Of(changed)) => {
                for id in changed {
                    match T::one(self, id)? {
                        Some(one) => Arc::make_mut(&mut all).insert(id, one),
                        None => Arc::make_mut(&mut all).remove(&id),
                    };
                }
                all
            }
            (_, _) => Arc::new(T::all(self)?),
        };
        if all.len() < T::MAX {
            kept.all = Some(all.clone());
        } else if all.len() > T::MAX {
            all = Arc::new(all.iter().rev().take(T::MAX).map(|(id, one)| (*id, one.clone())).collect());
        }
        Ok(all)
    }

    fn news(&self, kinds: &[&str], since: &mut u64) -> News {
        let (mut changed, mut is_all) = (BTreeSet::new(), false);
        let has_missed = self.each_changed(since, |record| match &*record.kind {
            kind if kinds.contains(&kind) => drop(changed.insert(Id::from_record(record.id))),
            "member" | "replacement" => is_all = true,
            _ => {}
        });
        if is_all || has_missed { News::All } else { News::Of(changed) }
    }
}

impl Followed for Recording {
    const KINDS: &'static [&'static str] = &["recording", "annotation"];
    const MAX: usize = RUNNING_MAX;

    fn all(store: &Store) -> Result<BTreeMap<Id, Self>, StoreError> {
        let mut found = BTreeMap::new();
        let mut query = Query { states: [Running, Paused].into(), limit: PAGE_MAX, ..Query::default() };
        while found.len() <= Self::MAX {
            let page = store.recordings(&query)?;
            found.extend(page.items.into_iter().map(|recording| (recording.id.into(), recording)));
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn one(store: &Store, id: Id) -> Result<Option<Self>, StoreError> {
        let Ok(id) = id.to_string().parse() else { return Ok(None) };
        let runs = |recording: &Self| {
            [Running, Paused].contains(&recording.facts.state) && recording.annotation.deleted_at.is_none()
        };
        Ok(store.recording(id)?.filter(runs))
    }
}

impl Followed for Known {
    const KINDS: &'static [&'static str] = &["incident", "handling"];
    const MAX: usize = OPEN_MAX;

    fn all(store: &Store) -> Result<BTreeMap<Id, Self>, StoreError> {
        let found = store.open_in("incident_open", Keys::All, Self::MAX)?;
        Ok(found.into_iter().map(|known| (known.id, known)).collect())
    }

    fn one(store: &Store, id: Id) -> Result<Option<Self>, StoreError> {
        Ok(store.incident(id)?.filter(|known| known.incident.closed.is_none()))
    }
}

impl Followed for Inventory {
    const KINDS: &'static [&'static str] = &["node"];
    const MAX: usize = MEMBERS_MAX;

    fn all(store: &Store) -> Result<BTreeMap<Id, Self>, StoreError> {
        let said = |hit: &Hit| Some((Id::from_record(hit.record.id()), value(&hit.record, "inventory")?));
        Ok(store.every("node_all")?.iter().filter_map(said).collect())
    }

    fn one(store: &Store, id: Id) -> Result<Option<Self>, StoreError> {
        store.inventory(id)
    }
}
