//! Invitations into the fleet that are open here. Like sessions they never leave the machine: whoever was invited comes to
//! the node that invited. Of a secret only a hash is kept.

use jiff::Timestamp;
use redb::{ReadableTable, Table, TableDefinition};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Id, Store, StoreError};

/// Table: invitations. Key: SHA-256 of the secret, hexadecimal. Value: [`Invitation`] as JSON. Written and read by: this
/// file.
pub(super) const INVITATIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("invitations-1");

/// Invitations that may be open at a time; a further one is refused.
pub const OPEN_MAX: usize = 100;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its public name.
    pub id: Id,
    /// SHA-256 of its secret, hexadecimal.
    pub hash: String,
    /// Who invited, by name.
    pub by: String,
    /// When.
    pub made_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many nodes may still come by it.
    pub uses_left: u32,
    /// The member as whom the node that comes by it goes on; none if it stays who it is.
    #[serde(default)]
    pub replaces: Option<Id>,
}

impl Invitation {
    fn is_open(&self, now: Timestamp) -> bool {
        self.uses_left > 0 && now < self.expires_at
    }
}

impl Store {
    /// Keeps an invitation; those that are over go.
    ///
    /// # Errors
    /// [`OPEN_MAX`] are open, or the file cannot be written or read; likewise below.
    pub fn put_invitation(&self, invitation: &Invitation, now: Timestamp) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(invitation).map_err(|error| StoreError::Refused(error.to_string()))?;
        let is_kept = self.local.write(INVITATIONS, |table| {
            let (open, over): (Vec<_>, Vec<_>) = all(table)?.into_iter().partition(|known| known.is_open(now));
            for known in over {
                table.remove(known.hash.as_str())?;
            }
            if open.len() < OPEN_MAX {
                table.insert(invitation.hash.as_str(), bytes.as_slice())?;
            }
            Ok(open.len() < OPEN_MAX)
        })?;
        let why = || format!("{OPEN_MAX} are open already: end one, or wait until one is over");
        if is_kept { Ok(()) } else { Err(StoreError::Invalid { field: "invitations", why: why() }) }
    }

    /// Those that are open, the oldest first.
    #[allow(clippy::missing_errors_doc)]
    pub fn invitations(&self, now: Timestamp) -> Result<Vec<Invitation>, StoreError> {
        let mut open = self.local.all::<Invitation>(INVITATIONS)?;
        open.retain(|known| known.is_open(now));
        open.sort_by_key(|known| (known.made_at, known.id));
        Ok(open)
    }

    /// Uses an invitation once: looked up and counted in one durable step, so that two at a time do not both have the
    /// last use. None if there is none of this hash, or it is over. How long it takes does not tell how much of a hash
    /// was right.
    #[allow(clippy::missing_errors_doc)]
    pub fn use_invitation(&self, hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        self.local.write(INVITATIONS, |table| {
            let mut found = None;
            for known in all(table)? {
                if bool::from(known.hash.as_bytes().ct_eq(hash.as_bytes())) {
                    found = Some(known);
                }
            }
            let Some(mut known) = found.filter(|known| known.is_open(now)) else { return Ok(None) };
            known.uses_left -= 1;
            match serde_json::to_vec(&known) {
                Ok(bytes) if known.uses_left > 0 => table.insert(hash, bytes.as_slice())?,
                Ok(_) | Err(_) => table.remove(hash)?,
            };
            Ok(Some(known))
        })
    }

    /// An open invitation by its hash, not used by looking at it; as [`Store::use_invitation`].
    #[allow(clippy::missing_errors_doc)]
    pub fn invitation(&self, hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        let open = self.invitations(now)?;
        Ok(open.into_iter().fold(None, |found, known| {
            if bool::from(known.hash.as_bytes().ct_eq(hash.as_bytes())) { Some(known) } else { found }
        }))
    }

    /// Ends an invitation, if there is one.
    #[allow(clippy::missing_errors_doc)]
    pub fn end_invitation(&self, id: Id) -> Result<(), StoreError> {
        self.local.write(INVITATIONS, |table| {
            for known in all(table)?.iter().filter(|known| known.id == id) {
                table.remove(known.hash.as_str())?;
            }
            Ok(())
        })
    }
}

fn all(table: &Table<&str, &[u8]>) -> Result<Vec<Invitation>, redb::Error> {
    let mut all = Vec::new();
    for row in table.iter()? {
        all.extend(serde_json::from_slice::<Invitation>(row?.1.value()));
    }
    Ok(all)
}
