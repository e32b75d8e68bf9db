//! Who is asking, what they may, and the journal's entry about it: one call for the last two.
//!
//! Lives here: authenticating (sessions, tokens, the room PIN), claiming, inviting, passwords, and [`Allowed`], which only
//! [`Access::allow`] gives and which every mutating command takes: whoever holds one was allowed, and the journal is
//! written when it is used up. Does not live here: the rules (`domain::access`), HTTP, the clock: a request brings its
//! [`Ctx`].

mod actor;
pub mod acts;
mod allowed;
pub mod choose;
pub mod claim;
mod ctx;
mod desk;
pub mod fleet;
pub mod identity;
pub mod invitations;
pub mod login;
pub mod origin;
pub mod passwords;
pub mod people;
pub mod pin;
mod private;
pub mod qr;
pub mod recovery;
pub mod sealing;
pub mod sessions;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod tokens;

pub use actor::Actor;
pub use allowed::{About, Allowed, Backlog};
pub use claim::{ClaimError, ClaimState, Claimed, NewOwner};
pub use ctx::Ctx;
pub use login::LoggedIn;
pub use people::NewUser;
pub use recovery::Recovered;
pub use sessions::Shown;

use std::sync::Arc;

use desk::Desk;
use passwords::Cost;

use crate::domain::access::{Answer, Decision, Grant, Pattern, Permission, Rules, Target, Who, decide};
use crate::store::{Store, StoreError, audit::Outcome};

use acts::Act;

/// The setting that holds the rules.
const RULES: &str = "access_rules";

/// Why someone may not.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody knows who is asking.
    #[error("log in first")]
    Unknown,
    /// E-mail, password, PIN or code are wrong; which of them is not told.
    #[error("that is not right: check the e-mail address and the password")]
    Wrong,
    /// It concerns the person themself: a token or the room's PIN does not do.
    #[error("this takes a person who is logged in; a token or the room's PIN does not do")]
    NotThemself,
    /// Their password was given to them.
    #[error("choose a password of your own first")]
    PasswordIsGiven,
    /// Known, and not allowed.
    #[error("this needs {0}, which you do not have")]
    Forbidden(Permission),
    /// It is not there, or not for them to see.
    #[error("there is no such thing here")]
    NotFound,
    /// Too many tries, or too many at once.
    #[error("too many tries: wait {seconds} s and try again")]
    Wait {
        /// How long.
        seconds: u64,
    },
    /// The records cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something about people, tokens or rules was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A field will not do.
    #[error("{why}")]
    Bad {
        /// Which.
        field: &'static str,
        /// A sentence for who filled it in.
        why: String,
    },
    /// There is none, or it is not theirs.
    #[error("there is no such thing here")]
    NotFound,
    /// Someone else logs in by this address.
    #[error("somebody else logs in by this e-mail address")]
    Taken,
    /// Nobody would be left who may manage people.
    #[error("after this nobody could manage this recorder: make somebody else an owner first")]
    NobodyLeft,
    /// It concerns an owner.
    #[error("only an owner may make, change or remove an owner")]
    OwnersOnly,
    /// See there.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Not kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccessError {
    fn bad(field: &'static str, why: impl Into<String>) -> Self {
        Self::Bad { field, why: why.into() }
    }
}

/// Decides, and keeps the journal. Cheap to clone; any thread may hold it.
#[derive(Clone)]
pub struct Access {
    store: Store,
    backlog: Backlog,
    desk: Arc<Desk>,
}

impl Access {
    /// Over the records of this node.
    pub fn new(store: Store) -> Self {
        Self::with_cost(store, Cost::default())
    }

    /// With another cost of passwords, for tests.
    pub fn with_cost(store: Store, cost: Cost) -> Self {
        Self { store, backlog: Backlog::default(), desk: Arc::new(Desk::new(cost)) }
    }

    /// The records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What could not be written to the journal yet.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// The rules as they are set.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn rules(&self) -> Result<Rules, StoreError> {
        Ok(self.store.setting(RULES)?.unwrap_or_else(default_rules))
    }

    /// Whether someone may look at something. Nothing is written down: reading a page is no act.
    ///
    /// # Errors
    /// They may not.
    pub fn may(&self, actor: &Actor, permission: Permission, target: &Target) -> Result<(), Refused> {
        if actor.has_given_password {
            return Err(Refused::PasswordIsGiven);
        }
        match self.decide(actor, permission, target).answer() {
            Answer::Go => Ok(()),
            Answer::Forbidden(missing) => Err(Refused::Forbidden(missing)),
            Answer::NotFound => Err(Refused::NotFound),
        }
    }

    /// Allows an act, or refuses it and writes that down.
    ///
    /// # Errors
    /// They may not.
    pub fn allow<A: Act>(
        &self,
        ctx: &Ctx,
        actor: &Actor,
        target: &Target,
        about: About,
    ) -> Result<Allowed<A>, Refused> {
        let decision = match A::PERMISSION {
            Some(permission) => self.decide(actor, permission, target),
            None => Decision::Allowed(crate::domain::access::Because::NotThere),
        };
        let allowed = Allowed::new(self, ctx, actor, about);
        if A::IS_OWN && !actor.is_themself() {
            allowed.end(Outcome::Denied, "not a person's session");
            return Err(Refused::NotThemself);
        }
        if actor.has_given_password && A::NAME != acts::ChangeOwnPassword::NAME {
            allowed.end(Outcome::Denied, "the password was given to them");
            return Err(Refused::PasswordIsGiven);
        }
        match decision.answer() {
            Answer::Go => Ok(allowed),
            Answer::Forbidden(missing) => {
                allowed.end(Outcome::Denied, &decision.because().to_string());
                Err(Refused::Forbidden(missing))
            }
            Answer::NotFound => {
                allowed.end(Outcome::Denied, &decision.because().to_string());
                Err(Refused::NotFound)
            }
        }
    }

    fn decide(&self, actor: &Actor, permission: Permission, target: &Target) -> Decision {
        if !actor.has_in_scope(permission) {
            let because = crate::domain::access::Because::NoPermission;
            return Decision::Denied { missing: permission, because };
        }
        decide(actor.subject(), permission, target)
    }
}

/// While nobody has laid down rules: each role holds in every room.
pub fn default_rules() -> Rules {
    Rules { grants: vec![Grant { who: Who::Everyone, target: Pattern::Everything }], ..Rules::default() }
}
