//! Sessions: who is logged in here. They never leave the machine, so they lie in a file of their own.

use std::path::Path;

use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{Id, Opened, Store, StoreError};

/// Table: sessions. Key: SHA-256 of the cookie, hexadecimal. Value: [`Session`] as JSON. Written and read by: this file.
const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions-1");

/// The most sessions kept; the one unused longest gives way.
pub const SESSIONS_MAX: usize = 10_000;

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

/// The file.
pub struct Local {
    db: Database,
}

fn fault(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unusable(error.into().to_string())
}

impl Local {
    /// Opens the file; a damaged one is put aside: people log in again.
    pub(super) fn open(path: &Path, told: &mut Opened) -> Result<Self, StoreError> {
        let open = || -> Result<Database, redb::Error> {
            let db = Database::builder().set_cache_size(1 << 20).create(path)?;
            let tx = db.begin_write()?;
            tx.open_table(SESSIONS)?;
            tx.commit()?;
            Ok(db)
        };
        let db = open().or_else(|_| {
            let aside = path.with_extension("redb.damaged");
            std::fs::rename(path, aside).map_err(|error| StoreError::Unusable(error.to_string()))?;
            told.alarms.push("The list of sessions was damaged: everyone has to log in again.".into());
            open().map_err(fault)
        })?;
        Ok(Self { db })
    }

    fn write(
        &self,
        work: impl FnOnce(&mut redb::Table<&str, &[u8]>) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let tx = self.db.begin_write().map_err(fault)?;
        {
            let mut table = tx.open_table(SESSIONS).map_err(fault)?;
            work(&mut table).map_err(fault)?;
        }
        tx.commit().map_err(fault)
    }
}

impl Store {
    /// Keeps a session, new or changed.
    ///
    /// # Errors
    /// The file cannot be written or read; likewise below.
    pub fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(session).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.local.write(|table| {
            table.insert(session.hash.as_str(), bytes.as_slice())?;
            Ok(())
        })
    }

    /// The session of a cookie.
    #[allow(clippy::missing_errors_doc)]
    pub fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let tx = self.local.db.begin_read().map_err(fault)?;
        let table = tx.open_table(SESSIONS).map_err(fault)?;
        let row = table.get(hash).map_err(fault)?;
        Ok(row.and_then(|row| serde_json::from_slice(row.value()).ok()))
    }

    /// All sessions.
    #[allow(clippy::missing_errors_doc)]
    pub fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        let tx = self.local.db.begin_read().map_err(fault)?;
        let table = tx.open_table(SESSIONS).map_err(fault)?;
        let rows = table.iter().map_err(fault)?;
        let mut sessions = Vec::new();
        for row in rows {
            sessions.extend(serde_json::from_slice::<Session>(row.map_err(fault)?.1.value()));
        }
        Ok(sessions)
    }

    /// Ends a session.
    #[allow(clippy::missing_errors_doc)]
    pub fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        self.local.write(|table| {
            table.remove(hash)?;
            Ok(())
        })
    }
}
