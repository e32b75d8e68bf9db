//! The room's PIN.

use super::{Access, Actor};
use crate::store::StoreError;
use crate::store::sessions::Session;
use serde::{Deserialize, Serialize};

pub(super) const PIN: &str = "room_pin";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub hash: String,
    pub generation: u64,
}

impl Access {
    pub(super) fn pin_actor(&self, session: &Session) -> Result<Option<Actor>, StoreError> {
        let kept: Option<Kept> = self.store.setting(PIN)?;
        if kept.is_none_or(|kept| kept.generation != session.cred_gen) {
            return Ok(None);
        }
        let room = self.store.rooms()?.into_iter().next();
        Ok(room.map(|room| Actor::pin(room.id, Some(session.hash.clone()))))
    }
}
