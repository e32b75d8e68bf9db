//! Sessions: who is logged in here. They never leave the machine, so they lie in a file of their own, with `invitations`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::invitations::INVITATIONS;
use super::{Id, Opened, Store, StoreError};

/// Table: sessions. Key: SHA-256 of the cookie, hexadecimal. Value: [`Session`] as JSON. Written and read by: this file.
const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions-1");

/// A table of this file: JSON by a text.
type Rows = TableDefinition<'static, &'static str, &'static [u8]>;

/// The most sessions kept; the one unused longest gives way.
pub const SESSIONS_MAX: u64 = 10_000;

/// Someone who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its public name.
    pub id: Id,
    /// SHA-256 of the cookie, hexadecimal.
    pub hash: String,
    /// Who; none for the room PIN.
    pub user: Option<Id>,
    /// The user's `cred_gen` at log-in.
    pub cred_gen: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub seen_at: Timestamp,
    /// From where.
    pub address: String,
    /// With what.
    pub agent: String,
}

/// The file. After a failed write it is opened again: redb gives nothing more out of a file that failed.
pub struct Local {
    path: PathBuf,
    db: RwLock<Option<Database>>,
}

fn fault(error: impl Into<redb::Error>) -> StoreError {
    let why = error.into().to_string();
    if super::is_full(&why) { StoreError::Full(why) } else { StoreError::Unusable(why) }
}

/// Opens the file, or makes it. redb may panic on bytes that it did not write: that is damage too.
fn open(path: &Path) -> Result<Database, StoreError> {
    let open = || -> Result<Database, redb::Error> {
        let db = Database::builder().set_cache_size(1 << 20).create(path)?;
        for table in [SESSIONS, INVITATIONS] {
            if db.begin_read()?.open_table(table).is_err() {
                let tx = db.begin_write()?;
                tx.open_table(table)?;
                tx.commit()?;
            }
        }
        Ok(db)
    };
    let opened = catch_unwind(AssertUnwindSafe(open));
    opened.unwrap_or_else(|_| Err(redb::Error::Corrupted("the database gave up on its bytes".into()))).map_err(fault)
}

impl Local {
    /// Opens the file; a damaged one is put aside: people log in again.
    pub(super) fn open(path: &Path, told: &mut Opened) -> Result<Self, StoreError> {
        let db = match open(path) {
            Ok(db) => db,
            Err(full @ StoreError::Full(_)) => return Err(full),
            Err(_) => {
                let aside = path.with_extension("redb.damaged");
                let moved = remove(&aside).and_then(|()| std::fs::rename(path, aside));
                moved.map_err(|error| StoreError::Unusable(error.to_string()))?;
                told.alarms.push("The list of sessions was damaged: everyone has to log in again.".into());
                open(path)?
            }
        };
        Ok(Self { path: path.to_owned(), db: RwLock::new(Some(db)) })
    }

    fn read<T>(&self, reading: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let shut = || StoreError::Unusable("the list of sessions could not be opened again".into());
        let db = db.as_ref().ok_or_else(shut)?;
        let read = catch_unwind(AssertUnwindSafe(|| reading(db)));
        read.unwrap_or_else(|_| Err(StoreError::Unusable("the list of sessions is damaged".into())))
    }

    /// All rows of a table that this version reads.
    pub(super) fn all<T: DeserializeOwned>(&self, table: Rows) -> Result<Vec<T>, StoreError> {
        self.read(|db| {
            let tx = db.begin_read().map_err(fault)?;
            let table = tx.open_table(table).map_err(fault)?;
            let mut all = Vec::new();
            for row in table.iter().map_err(fault)? {
                all.extend(serde_json::from_slice::<T>(row.map_err(fault)?.1.value()));
            }
            Ok(all)
        })
    }

    /// Changes a table in one durable step.
    pub(super) fn write<T>(
        &self,
        table: Rows,
        work: impl FnOnce(&mut redb::Table<&str, &[u8]>) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let is_shut = self.db.read().unwrap_or_else(PoisonError::into_inner).is_none();
        if is_shut {
            self.heal();
        }
        let kept = self.read(|db| {
            let tx = db.begin_write().map_err(fault)?;
            let done = work(&mut tx.open_table(table).map_err(fault)?).map_err(fault)?;
            tx.commit().map_err(fault)?;
            Ok(done)
        });
        if kept.is_err() {
            self.heal();
        }
        kept
    }

    fn heal(&self) {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // The old one holds the lock on the file.
        drop(catch_unwind(AssertUnwindSafe(|| drop(db.take()))));
        *db = open(&self.path).ok();
    }
}

/// Removes a file or a folder, if there is one.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

impl Store {
    /// Keeps a session, new or changed.
    ///
    /// # Errors
    /// The file cannot be written or read; likewise below.
    pub fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(session).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.local.write(SESSIONS, |table| {
            if table.len()? >= SESSIONS_MAX && table.get(session.hash.as_str())?.is_none() {
                let mut oldest: Option<(Timestamp, String)> = None;
                for row in table.iter()? {
                    let (hash, kept) = row?;
                    let seen =
                        serde_json::from_slice::<Session>(kept.value()).map_or(Timestamp::MIN, |kept| kept.seen_at);
                    if oldest.as_ref().is_none_or(|(at, _)| seen < *at) {
                        oldest = Some((seen, hash.value().to_owned()));
                    }
                }
                if let Some((_, hash)) = oldest {
                    table.remove(hash.as_str())?;
                }
            }
            table.insert(session.hash.as_str(), bytes.as_slice())?;
            Ok(())
        })
    }

    /// The session of a cookie.
    #[allow(clippy::missing_errors_doc)]
    pub fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        self.local.read(|db| {
            let tx = db.begin_read().map_err(fault)?;
            let table = tx.open_table(SESSIONS).map_err(fault)?;
            let row = table.get(hash).map_err(fault)?;
            Ok(row.and_then(|row| serde_json::from_slice(row.value()).ok()))
        })
    }

    /// All sessions.
    #[allow(clippy::missing_errors_doc)]
    pub fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        self.local.all(SESSIONS)
    }

    /// Ends a session.
    #[allow(clippy::missing_errors_doc)]
    pub fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        self.local.write(SESSIONS, |table| {
            table.remove(hash)?;
            Ok(())
        })
    }
}
