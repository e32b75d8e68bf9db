//! Lists that were read from the records and are read again only after something was said of what is in them: in a large
//! fleet reading all rooms or all members is work, and a page asks many times.
//!
//! Never behind the records: the change feed is asked each time, and a commit has published before it returns.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Store, StoreError};

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
    pub inventories: Mutex<Kept<(super::Id, super::fleet::Inventory)>>,
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
}
