//! The room's PIN: six digits for whoever stands in the room. They may look, start, stop, extend and mark, no more.
//!
//! Where a PIN may be typed (the node's own page) is the web's affair. A new PIN ends the sessions of the old one.

use serde::{Deserialize, Serialize};

use super::acts::{ChangeNode, LogIn};
use super::passwords::Busy;
use super::{About, Access, AccessError, Actor, Allowed, Ctx, Refused};
use crate::store::StoreError;
use crate::store::sessions::Session;

/// The setting with what is kept of the PIN. The node's own: its room's PIN opens no other room.
const PIN: &str = "room_pin";
/// Digits of a PIN.
const DIGITS: usize = 6;
/// PINs that are tried first.
const GUESSED: [&str; 6] = ["123456", "654321", "123123", "121212", "112233", "123321"];

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// None while there is no PIN.
    hash: Option<String>,
    /// Counts up with each change.
    generation: u64,
}

impl Access {
    /// Sets the PIN, or with none takes it away.
    ///
    /// # Errors
    /// It is not six digits or the first that anyone tries, or it cannot be kept.
    pub fn set_pin(&self, allowed: Allowed<ChangeNode>, ctx: &Ctx, pin: Option<&str>) -> Result<(), AccessError> {
        let _alone = self.desk.people();
        let hash = match self.pin_hash(ctx, pin) {
            Ok(hash) => hash,
            Err(error) => {
                allowed.fail(&error.to_string());
                return Err(error);
            }
        };
        let before: Option<Kept> = self.store.node_setting(PIN)?;
        let mut edits = allowed.edits();
        edits.put_node_setting(
            self.store.node(),
            PIN,
            &Kept { hash, generation: before.map_or(0, |kept| kept.generation) + 1 },
        );
        Ok(allowed.commit(edits)?)
    }

    fn pin_hash(&self, ctx: &Ctx, pin: Option<&str>) -> Result<Option<String>, AccessError> {
        let Some(pin) = pin else { return Ok(None) };
        if pin.len() != DIGITS || !pin.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AccessError::bad("pin", format!("choose {DIGITS} digits")));
        }
        if GUESSED.contains(&pin) || pin.bytes().all(|byte| Some(byte) == pin.bytes().next()) {
            return Err(AccessError::bad("pin", "choose digits that are not the first anyone tries"));
        }
        let made = self.desk.hasher.hash(pin, &ctx.chance()[..16]);
        made.map(Some).map_err(|Busy| Refused::Wait { seconds: 1 }.into())
    }

    /// Whether a PIN is set.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn has_pin(&self) -> Result<bool, StoreError> {
        Ok(self.store.node_setting::<Kept>(PIN)?.is_some_and(|kept| kept.hash.is_some()))
    }

    /// Lets in by the PIN; the answer is a cookie.
    ///
    /// # Errors
    /// `Wrong`, or `Wait` for the throttle.
    pub fn log_in_pin(&self, ctx: &Ctx, pin: &str) -> Result<String, Refused> {
        let tried = self.try_once(ctx, PIN)?;
        let kept: Option<Kept> = self.store.node_setting(PIN)?;
        let (hash, generation) = kept.map(|kept| (kept.hash, kept.generation)).unwrap_or_default();
        let Ok(is_right) = self.desk.hasher.verify(pin, &hash.unwrap_or_default()) else {
            self.desk.throttle().undone(&tried);
            return Err(Refused::Wait { seconds: 1 });
        };
        let room = self.store.room()?;
        let Some(room) = room.filter(|_| is_right) else {
            self.write_denial(ctx, "pin", "", "wrong PIN");
            return Err(Refused::Wrong);
        };
        self.was_right(ctx, tried, PIN);
        let (cookie, session) = self.begin_session(ctx, None, generation)?;
        let actor = Actor::pin(room.id, Some(session.hash));
        let entry = Allowed::<LogIn>::new(self, ctx, &actor, About::thing("room", room.id, &room.name));
        let edits = entry.edits();
        entry.settle(edits);
        Ok(cookie)
    }

    /// Who a session without a person is; none if its PIN is no more.
    pub(super) fn pin_actor(&self, session: &Session) -> Result<Option<Actor>, StoreError> {
        let kept: Option<Kept> = self.store.node_setting(PIN)?;
        if !kept.is_some_and(|kept| kept.hash.is_some() && kept.generation == session.cred_gen) {
            return Ok(None);
        }
        let room = self.store.room()?;
        Ok(room.map(|room| Actor::pin(room.id, Some(session.hash.clone()))))
    }
}
