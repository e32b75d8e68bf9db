//! Renditions that could not be made: whoever makes them fills it, the watch and the pages read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::TakeId;

/// The most that are kept; the watch looks at fewer. The oldest recording gives way.
const FAILURES_MAX: usize = 1_000;

/// Cheap to clone; all clones are one list.
#[derive(Debug, Clone, Default)]
pub struct Failures(Arc<Mutex<BTreeMap<TakeId, String>>>);

impl Failures {
    /// A rendition of this recording could not be made, and why.
    pub fn failed(&self, id: TakeId, reason: &str) {
        let mut list = self.lock();
        list.insert(id, reason.to_owned());
        if list.len() > FAILURES_MAX {
            list.pop_first();
        }
    }

    /// It was made after all, or given up.
    pub fn mended(&self, id: TakeId) {
        self.lock().remove(&id);
    }

    /// Why this one failed.
    pub fn reason(&self, id: TakeId) -> Option<String> {
        self.lock().get(&id).cloned()
    }

    /// All of them.
    pub fn ids(&self) -> BTreeSet<TakeId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TakeId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
