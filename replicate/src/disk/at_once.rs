//! The records as they are at one moment, for several readings in a row. Each by itself would open all tables anew; a hub asks
//! three times a link after each change, and may have five hundred links.

use super::{Snapshot, Tables};
use crate::core::exchange::{Records, Vector};
use crate::core::floor::Standing;
use crate::core::id::{Hash, LogId, Position, Stream};
use crate::core::view::{Head, Unreadable};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, RwLockReadGuard};

/// To be dropped soon, and before anything else is asked of the store: it holds the file's old pages, and a file that failed
/// is not opened again meanwhile.
pub struct AtOnce<'a> {
    snapshot: Snapshot,
    _tables: RwLockReadGuard<'a, Option<Tables>>,
}

impl<'a> AtOnce<'a> {
    pub(super) fn of(tables: RwLockReadGuard<'a, Option<Tables>>) -> Result<Self, Unreadable> {
        let snapshot = sound(|| tables.as_ref().ok_or_else(not_open)?.snapshot())?;
        Ok(Self { snapshot, _tables: tables })
    }

    pub(super) fn read<T>(&self, reading: impl FnOnce(&Snapshot) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
        sound(|| reading(&self.snapshot))
    }
}

/// Why there is nothing to read.
pub(super) fn not_open() -> Unreadable {
    Unreadable::Io("the file could not be opened again after a failure".to_string())
}

/// redb on damaged bytes may panic; to the reader that is damage.
fn sound<T>(reading: impl FnOnce() -> Result<T, Unreadable>) -> Result<T, Unreadable> {
    let gave_up = |_| Err(Unreadable::Damaged("the database gave up on its bytes".to_string()));
    catch_unwind(AssertUnwindSafe(reading)).unwrap_or_else(gave_up)
}

impl Records for AtOnce<'_> {
    fn vector(&self, stream: Stream) -> Result<Vector, Unreadable> {
        self.read(|snapshot| snapshot.vector(stream))
    }

    fn end(&self, log: LogId) -> Result<Option<Head>, Unreadable> {
        self.read(|snapshot| snapshot.end(log))
    }

    fn hash(&self, at: Position) -> Result<Option<Hash>, Unreadable> {
        self.read(|snapshot| snapshot.hash(at))
    }

    fn standing(&self) -> Result<Option<Standing>, Unreadable> {
        self.read(|snapshot| snapshot.standing())
    }

    fn tail(
        &self,
        log: LogId,
        from_seq: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<[u8]>>, Unreadable> {
        self.read(|snapshot| snapshot.tail(log, from_seq, entries_max, bytes_max))
    }
}
