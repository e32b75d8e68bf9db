//! Choosing between two things that were said: the one that is chosen is said anew, in place of those that were seen.
//!
//! Lives here: what must still hold when it is chosen, as if a person had typed it. Who may choose is the act's permission.
//! A secret is never chosen, for nobody can see what it is: it is given anew.

use serde_json::{Value, json};

use super::acts::Act;
use super::people::owners_only;
use super::{Access, AccessError, Allowed, RULES};
use crate::domain::access::{Role, Rules};
use crate::store::held::{Held, HeldVersion};
use crate::store::{Id, StoreError};

/// What is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The record's kind, as [`Held`] has it.
    pub kind: String,
    #[allow(missing_docs)]
    pub id: Id,
    /// Which part of it.
    pub group: String,
    /// What shall count: as [`HeldVersion::version`].
    pub version: String,
    /// What the person had before them; all if none are named.
    pub seen: Vec<String>,
}

impl Access {
    /// Settles what was said in two ways.
    ///
    /// # Errors
    /// It is settled or changed already ([`StoreError::Stale`]), it is no value that can be said anew, or as a change of
    /// that thing by a person would be refused.
    pub fn choose<A: Act>(&self, allowed: Allowed<A>, choice: &Choice) -> Result<(), AccessError> {
        self.change(allowed, |allowed| {
            let held = self.store.held_of(&choice.kind, choice.id)?;
            let held = held.into_iter().find(|held| held.group == choice.group).ok_or(StoreError::Stale)?;
            let chosen = held.versions.iter().find(|version| version.version() == choice.version);
            let chosen = chosen.ok_or(StoreError::Stale)?;
            let Some(value) = &chosen.value else {
                let why =
                    "this one cannot be taken as it stands: change the thing itself, and what you say then counts";
                return Err(AccessError::bad("version", why));
            };
            self.check_choice(allowed, &held, value)?;
            let shown = held.versions.first().and_then(|version| version.value.clone());
            allowed.tells(json!({ &held.group: shown }), json!({ &held.group: value }));
            let is_seen = |version: &&HeldVersion| choice.seen.is_empty() || choice.seen.contains(&version.version());
            let seen: Vec<HeldVersion> = held.versions.iter().filter(is_seen).cloned().collect();
            let mut edits = allowed.edits();
            edits.choose(&held, chosen, &seen);
            Ok((edits, ()))
        })
    }

    /// What was said on another node may have been right there and not be any more.
    fn check_choice<A: Act>(&self, allowed: &Allowed<A>, held: &Held, value: &Value) -> Result<(), AccessError> {
        let unread = || AccessError::bad("version", "this version of Rakkr does not read what was said there");
        if held.kind == "user" {
            let before = self.store.user(held.id)?.ok_or(AccessError::NotFound)?;
            let after = before.with(&held.group, value).ok_or_else(unread)?;
            if held.group == "profile" {
                self.check_profile(&after)?;
            }
            owners_only(allowed, [&before, &after].iter().any(|user| user.roles.contains(&Role::Owner)))?;
            return self.someone_is_left(&self.rules()?, |others| {
                others.retain(|other| other.id != after.id);
                others.push(after);
            });
        }
        if held.kind == "setting" && held.id == Id::of_name(RULES) {
            let rules: Rules = serde_json::from_value(value.clone()).map_err(|_| unread())?;
            return self.someone_is_left(&rules, |_| ());
        }
        Ok(())
    }
}
