//! Who is asking, what they may, and the journal's entry about it: one call for the last two.
//!
//! Lives here: authenticating (sessions, tokens, the room PIN), claiming, passwords, and [`Allowed`], which only
//! [`Access::allow`] gives and which every mutating command takes: whoever holds one was allowed, and the journal is
//! written when it is used up. Does not live here: the rules (`domain::access`), HTTP, the clock: a request brings its
//! [`Ctx`].

mod actor;
pub mod acts;
mod allowed;
mod ctx;

pub use actor::Actor;
pub use allowed::{About, Allowed, Backlog};
pub use ctx::Ctx;

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
    /// Known, and not allowed.
    #[error("this needs {0}, which you do not have")]
    Forbidden(Permission),
    /// It is not there, or not for them to see.
    #[error("there is no such thing here")]
    NotFound,
    /// Too many wrong answers.
    #[error("too many wrong tries: wait {seconds} s and try again")]
    Wait {
        /// How long.
        seconds: u64,
    },
    /// The records cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Decides, and keeps the journal.
#[derive(Clone)]
pub struct Access {
    store: Store,
    backlog: Backlog,
}

impl Access {
    /// Over the records of this node.
    pub fn new(store: Store) -> Self {
        Self { store, backlog: Backlog::default() }
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
