//! The printed recovery code: 20 characters that let the owner in when all else is forgotten.
//!
//! Of the code a SHA-256 is kept: 100 bits are not guessed, so the hash need not be slow. A code holds once: using it makes
//! a new one, empties the owner's password and ends all they held, and the one who used it must choose a password.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::acts::{ChangePeople, LogIn};
use super::login::{LoggedIn, give_password};
use super::people::may_manage;
use super::sessions::hash_of;
use super::{About, Access, AccessError, Actor, Allowed, Ctx, Refused};
use crate::domain::access::Role;
use crate::store::people::User;
use crate::store::{Edits, Id};

/// The setting with what is kept of the code.
const RECOVERY: &str = "recovery_code";
/// Crockford's letters: no I, L, O, U.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Length of a code: 100 bits.
const CODE_CHARS: usize = 20;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    hash: String,
    user: Id,
}

/// Someone came in by the recovery code.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Their session as an owner; they must choose a password.
    pub logged_in: LoggedIn,
    /// The code that holds from here on, to be printed. Shown once.
    pub recovery_code: String,
}

impl Access {
    /// Lets the owner in by the printed code: the one it was made for, else any that is enabled, else a new one.
    ///
    /// # Errors
    /// `Wrong`, or `Wait` for the throttle.
    pub fn log_in_recovery(&self, ctx: &Ctx, code: &str) -> Result<Recovered, Refused> {
        let tried = self.try_once(ctx, RECOVERY)?;
        let _alone = self.desk.people();
        let kept: Option<Kept> = self.store.setting(RECOVERY)?;
        let shown = hash_of(&plain(code));
        let Some(kept) = kept.filter(|kept| bool::from(kept.hash.as_bytes().ct_eq(shown.as_bytes()))) else {
            self.write_denial(ctx, "recovery", "", "wrong recovery code");
            return Err(Refused::Wrong);
        };
        self.was_right(ctx, tried, RECOVERY);
        let (mut user, is_new) = self.recovered_user(ctx, kept.user)?;
        let actor = Actor::nobody("recovery", "Recovery code");
        let allowed = Allowed::<LogIn>::new(self, ctx, &actor, About::thing("user", user.id, &user.name));
        let mut edits = allowed.edits();
        if is_new {
            edits.put_user(&user);
        }
        give_password(&mut edits, &user, "");
        let recovery_code = new_code(&mut edits, ctx, user.id);
        allowed.commit(edits)?;
        (user.cred_gen, user.password_hash) = (user.cred_gen + 1, String::new());
        let (cookie, session) = self.begin_session(ctx, Some(user.id), user.cred_gen)?;
        let logged_in = LoggedIn { cookie, user, session, must_change_password: true };
        Ok(Recovered { logged_in, recovery_code })
    }

    /// Makes a new code; the old one ends. Owners only.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn renew_recovery_code(&self, allowed: Allowed<ChangePeople>, ctx: &Ctx) -> Result<String, AccessError> {
        let Some(user) = allowed.user().filter(|_| allowed.is_by_owner()) else {
            allowed.fail("not an owner");
            return Err(AccessError::OwnersOnly);
        };
        let mut edits = allowed.edits();
        let code = new_code(&mut edits, ctx, user);
        allowed.commit(edits)?;
        Ok(code)
    }

    fn recovered_user(&self, ctx: &Ctx, made_for: Id) -> Result<(User, bool), Refused> {
        let rules = self.rules()?;
        let mut people = self.store.users()?;
        people.retain(|user| may_manage(user, &rules));
        people.sort_by_key(|user| user.id != made_for);
        if let Some(user) = people.into_iter().next() {
            return Ok((user, false));
        }
        let id = ctx.new_id();
        let user = User {
            id,
            name: "Recovered owner".into(),
            email: format!("owner-{}@recovered.invalid", &id.to_string()[..8]),
            roles: [Role::Owner].into(),
            groups: [].into(),
            is_disabled: false,
            cred_gen: 0,
            password_hash: String::new(),
        };
        Ok((user, true))
    }
}

/// A new code in groups of five; the old one ends with these edits.
pub(super) fn new_code(edits: &mut Edits, ctx: &Ctx, user: Id) -> String {
    let letters = ctx.chance();
    let plain: String =
        letters.iter().take(CODE_CHARS).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    edits.put_setting(RECOVERY, &Kept { hash: hash_of(&plain), user });
    let groups: Vec<&str> = [0, 5, 10, 15].iter().map(|start| &plain[*start..start + 5]).collect();
    groups.join("-")
}

/// What was meant: Crockford reads I and L as 1, O as 0.
fn plain(code: &str) -> String {
    let letters = code.chars().take(100).filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase());
    letters
        .map(|c| {
            if c == 'O' {
                '0'
            } else if matches!(c, 'I' | 'L') {
                '1'
            } else {
                c
            }
        })
        .collect()
}
