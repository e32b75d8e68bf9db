//! Recordings that run, wherever: read once, and then again only those of which something was said. A wall of five hundred
//! rooms asks at every change, and each change is of one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use super::recordings::{PAGE_MAX, Query, Recording};
use super::{Id, Store, StoreError};
use crate::domain::TakeId;
use crate::domain::TakeState::{Paused, Recording as Running};

/// How many are told of: a thousand rooms that all record. With more none is kept, and all are read each time.
pub const RUNNING_MAX: usize = 1_000;

/// What runs, up to which change that was so.
#[derive(Debug, Default)]
pub(super) struct Kept {
    since: u64,
    all: Option<Arc<BTreeMap<TakeId, Recording>>>,
}

/// What changed of recordings.
enum News {
    /// Too much, or whose word counts.
    All,
    /// These.
    Of(BTreeSet<Id>),
}

impl Store {
    /// Recordings that run or pause, of all nodes, by their ids; not those in the bin.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn running(&self) -> Result<Arc<BTreeMap<TakeId, Recording>>, StoreError> {
        let mut kept = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.news_of_recordings(&mut kept.since);
        // Whatever fails below: what is not known to be so is not kept.
        let known = kept.all.take();
        let mut all = match (known, news) {
            (Some(mut all), News::Of(changed)) => {
                for id in changed {
                    self.look_again(id, Arc::make_mut(&mut all))?;
                }
                all
            }
            (_, _) => Arc::new(self.read_running()?),
        };
        if all.len() < RUNNING_MAX {
            kept.all = Some(all.clone());
        } else if all.len() > RUNNING_MAX {
            let newest = all.iter().rev().take(RUNNING_MAX);
            all = Arc::new(newest.map(|(id, recording)| (*id, recording.clone())).collect());
        }
        Ok(all)
    }

    fn look_again(&self, id: Id, all: &mut BTreeMap<TakeId, Recording>) -> Result<(), StoreError> {
        let Ok(id) = id.to_string().parse::<TakeId>() else { return Ok(()) };
        match self.recording(id)?.filter(runs) {
            Some(recording) => all.insert(id, recording),
            None => all.remove(&id),
        };
        Ok(())
    }

    fn read_running(&self) -> Result<BTreeMap<TakeId, Recording>, StoreError> {
        let mut found = BTreeMap::new();
        let mut query = Query { states: [Running, Paused].into(), limit: PAGE_MAX, ..Query::default() };
        while found.len() < RUNNING_MAX {
            let page = self.recordings(&query)?;
            found.extend(page.items.into_iter().map(|recording| (recording.id, recording)));
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn news_of_recordings(&self, since: &mut u64) -> News {
        let (mut changed, mut is_all) = (BTreeSet::new(), false);
        let has_missed = self.each_changed(since, |record| match &*record.kind {
            "recording" | "annotation" => drop(changed.insert(Id::from_record(record.id))),
            "member" | "replacement" => is_all = true,
            _ => {}
        });
        if is_all || has_missed { News::All } else { News::Of(changed) }
    }
}

fn runs(recording: &Recording) -> bool {
    [Running, Paused].contains(&recording.facts.state) && recording.annotation.deleted_at.is_none()
}
