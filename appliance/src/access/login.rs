//! Logging in with e-mail and password, and out again.
//!
//! Whether someone is known shows neither in the answer nor in the time it takes. Each answer is in the journal; refused
//! ones at a bounded rate, so that a flood of guesses does not fill it.

use super::acts::{LogIn, LogOut};
use super::throttle::Try;
use super::{About, Access, Actor, Allowed, Ctx, Refused};
use crate::store::audit::Outcome;
use crate::store::people::{User, login_key};
use crate::store::sessions::Session;
use crate::store::{Edits, Moment};

/// Longest e-mail address (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const EMAIL_CHARS_MAX: usize = 254;
/// Refused log-ins written down in a minute; the rest are counted and told with the next.
const DENIALS_A_MINUTE: u32 = 30;

/// Someone is in.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// What proves it from here on, as cookie or bearer token: 256 bits, base64url. Kept nowhere.
    pub cookie: String,
    /// Who.
    pub user: User,
    /// What is kept of it.
    pub session: Session,
    /// The password was given to them: until they choose one they may do nothing else.
    pub must_change_password: bool,
}

/// Refused log-ins of the running minute.
#[derive(Debug, Default)]
pub(super) struct Denials {
    minute: u64,
    written: u32,
    left_out: u64,
}

impl Access {
    /// Logs someone in. Takes tens of milliseconds of a processor: not for an async thread.
    ///
    /// # Errors
    /// `Wrong`, or `Wait` for the throttle or while too many log in.
    pub fn log_in(&self, ctx: &Ctx, email: &str, password: &str) -> Result<LoggedIn, Refused> {
        let email: String = email.trim().chars().take(EMAIL_CHARS_MAX).collect();
        let account = account(&email);
        let tried = self.try_once(ctx, &account)?;
        let user = self.store.user_by_login(&email)?;
        let hash = user.as_ref().map(|user| user.password_hash.as_str()).unwrap_or_default();
        let Ok(is_right) = self.desk.hasher.verify(password, hash) else {
            self.desk.throttle().undone(&tried);
            return Err(Refused::Wait { seconds: 1 });
        };
        let why = match &user {
            None => "nobody logs in by this name",
            Some(_) if !is_right => "wrong password",
            Some(user) if user.is_disabled => "disabled",
            Some(_) => "",
        };
        let Some(user) = user.filter(|_| why.is_empty()) else {
            self.write_denial(ctx, "anonymous", &tried_name(&email), why);
            return Err(Refused::Wrong);
        };
        self.was_right(ctx, tried, &account);
        self.begin(ctx, user)
    }

    /// A person's session, with the journal's entry.
    pub(super) fn begin(&self, ctx: &Ctx, user: User) -> Result<LoggedIn, Refused> {
        let (cookie, session) = self.begin_session(ctx, Some(user.id), user.cred_gen)?;
        let actor = Actor::person(&user, &self.rules()?, Some(session.hash.clone()));
        let entry = Allowed::<LogIn>::new(self, ctx, &actor, About::thing("user", user.id, &user.name));
        let edits = entry.edits();
        entry.settle(edits);
        let must_change_password = self.is_password_given(&user)?;
        Ok(LoggedIn { cookie, user, session, must_change_password })
    }

    /// Ends the session by which someone came. A token stays.
    ///
    /// # Errors
    /// The session cannot be ended.
    pub fn log_out(&self, ctx: &Ctx, actor: &Actor) -> Result<(), Refused> {
        let Some(hash) = &actor.session else { return Ok(()) };
        let allowed = Allowed::<LogOut>::new(self, ctx, actor, About::thing("session", "", &actor.named.name));
        match self.drop_session(hash) {
            Ok(()) => {
                let edits = allowed.edits();
                allowed.settle(edits);
                Ok(())
            }
            Err(error) => {
                allowed.fail(&error.to_string());
                Err(error.into())
            }
        }
    }

    /// Counts a try at an account or says how long to wait.
    pub(super) fn try_once(&self, ctx: &Ctx, account: &str) -> Result<Try, Refused> {
        let begun = self.desk.throttle().begin(account, &ctx.address, ctx.now.mono_us);
        begun.map_err(|seconds| Refused::Wait { seconds })
    }

    pub(super) fn was_right(&self, ctx: &Ctx, tried: Try, account: &str) {
        self.desk.throttle().succeeded(tried, account, &ctx.address, ctx.now.mono_us);
    }

    /// Writes down that someone did not get in.
    pub(super) fn write_denial(&self, ctx: &Ctx, kind: &str, name: &str, why: &str) {
        let Some(left_out) = self.desk.denials().may_write(ctx.now) else { return };
        let reason = match left_out {
            0 => why.to_owned(),
            more => format!("{why}; {more} more before it are not listed"),
        };
        let entry = Allowed::<LogIn>::new(self, ctx, &Actor::nobody(kind, name), About::thing("user", "", name));
        entry.end(Outcome::Denied, &reason);
    }

    /// Whether a person's password was given to them by someone else.
    pub(super) fn is_password_given(&self, user: &User) -> Result<bool, Refused> {
        let given: Option<u64> = self.store.setting(&given_password(user))?;
        Ok(given == Some(user.cred_gen))
    }
}

impl Denials {
    /// How many were left out before this one; none if this one is left out, too.
    fn may_write(&mut self, now: Moment) -> Option<u64> {
        let minute = now.mono_us / 60_000_000;
        if self.minute != minute {
            (self.minute, self.written) = (minute, 0);
        }
        if self.written >= DENIALS_A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Marks the next password of a person as given to them.
pub(super) fn give_password(edits: &mut Edits, user: &User, hash: &str) {
    edits.put_password(user, hash);
    edits.put_setting(&given_password(user), &(user.cred_gen + 1));
}

/// An account by e-mail, as the throttle knows it: not to be taken for the PIN's or the recovery code's.
pub(super) fn account(email: &str) -> String {
    format!("mail {}", login_key(email))
}

fn given_password(user: &User) -> String {
    format!("given_password/{}", user.id)
}

/// What was typed as a name, for the journal. Without an @ it may be a password typed into the wrong field.
fn tried_name(email: &str) -> String {
    if email.contains('@') { email.to_owned() } else { "(not an e-mail address)".to_owned() }
}
