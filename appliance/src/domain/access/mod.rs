//! Who may do what: permissions, roles, rights in rooms, policies, and the one decision that weighs them.
//!
//! Lives here: the rules as values and [`decide`], a pure function. Does not live here: who someone is (log-in, tokens),
//! where rules are kept, what a target stands in (the caller resolves a recording to its room) and the journal: the
//! decision only says what the journal shall say. A room is the unit of sight: who may not see it hears the same as of
//! a room that does not exist.

mod decide;
mod permission;
mod role;
mod rules;
mod target;
#[cfg(test)]
mod tests;

pub use decide::{Answer, Because, Decision, decide};
pub use permission::{Permission, Reach};
pub use role::Role;
pub use rules::{AccessPolicy, Capabilities, Capability, Effect, Grant, Person, RosterEntry, Rules, Subject, Who};
pub use target::{Pattern, Resource, ResourceKind, Room, Target, Thing};

/// Identities of people and rules. Each is a text that nobody looks into.
macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

text_id!(
    /// Names a person.
    UserId,
    /// Names a group of people.
    GroupId,
    /// Names an access policy.
    PolicyId,
    /// Names a room.
    RoomId,
    /// Names a site: many rooms.
    SiteId
);
