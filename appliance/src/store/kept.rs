//! Lists that were read from the records and are read again only after something was said of what is in them: in a large
//! fleet reading all rooms or all members is work, and a page asks many times.
//!
//! Never behind the records: the change feed is asked each time, and a commit has published before it returns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use replicate::core::record::RecordKey;

use super::{Store, StoreError};

/// Changes read at a time.
const CHANGES: usize = 1_024;

/// What was read last, and up to which change that was so.
#[derive(Debug)]
pub(super) struct Kept<T> {
    since: u64,
    list: Option<Arc<Vec<T>>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { since: 0, list: None }
    }
}

/// All that is kept.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub rooms: Mutex<Kept<super::rooms::Room>>,
    pub members: Mutex<Kept<super::fleet::Member>>,
}

impl Store {
    /// The list, read if a record of these kinds changed. Whose word counts is said by `member` and `replacement`: those
    /// belong to the kinds of every list.
    pub(super) fn kept<T>(
        &self,
        kept: &Mutex<Kept<T>>,
        kinds: &[&str],
        read: impl FnOnce() -> Result<Vec<T>, StoreError>,
    ) -> Result<Arc<Vec<T>>, StoreError> {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_changed(kinds, &mut kept.since) {
            kept.list = None;
        }
        if let Some(list) = &kept.list {
            return Ok(list.clone());
        }
        let list = Arc::new(read()?);
        kept.list = Some(list.clone());
        Ok(list)
    }

    /// Whether a record of these kinds changed since a place in the change feed, which moves on.
    pub(super) fn has_changed(&self, kinds: &[&str], since: &mut u64) -> bool {
        let mut is_changed = false;
        let has_missed = self.each_changed(since, |record| is_changed |= kinds.contains(&&*record.kind));
        is_changed || has_missed
    }

    /// Hands over each record that changed since a place in the change feed, which moves on. Returns whether there are
    /// some that nobody can name any more.
    pub(super) fn each_changed(&self, since: &mut u64, mut see: impl FnMut(&RecordKey)) -> bool {
        let mut has_missed = false;
        loop {
            let news = self.records.changes(*since, CHANGES, Duration::ZERO);
            news.changes.iter().filter_map(|change| change.record.as_ref()).for_each(&mut see);
            has_missed |= news.has_missed;
            *since = news.next;
            if news.changes.is_empty() {
                return has_missed;
            }
        }
    }
}
