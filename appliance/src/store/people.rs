//! People, their credentials and their API tokens.

use std::collections::BTreeSet;

use jiff::Timestamp;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::core::write::{Act, Replaces};
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Store, StoreError, value};
use crate::domain::access::{GroupId, Permission, Role};

/// The most people one node lists.
pub const PEOPLE_MAX: usize = 1_000;

/// Someone who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their id.
    pub id: Id,
    /// Name for people.
    pub name: String,
    /// What they log in with, as typed.
    pub email: String,
    /// Their roles; a union.
    pub roles: BTreeSet<Role>,
    /// Groups they are in.
    pub groups: BTreeSet<GroupId>,
    /// They may do nothing.
    pub is_disabled: bool,
    /// Counts up with each new password: sessions and tokens of an older one are void.
    pub cred_gen: u64,
    /// What stands for their password (PHC string); never shown.
    #[serde(skip)]
    pub password_hash: String,
}

#[derive(Serialize, Deserialize)]
struct Profile {
    name: String,
    email: String,
}

#[derive(Serialize, Deserialize)]
struct Roles {
    roles: BTreeSet<Role>,
    #[serde(default)]
    groups: BTreeSet<GroupId>,
}

#[derive(Serialize, Deserialize)]
struct Cred {
    hash: String,
}

/// A personal API token; the token itself is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id.
    pub id: Id,
    /// Whose it is.
    pub user: Id,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the token, hexadecimal.
    pub hash: String,
    /// What it may at most; none is all that its user may.
    pub scopes: Option<BTreeSet<Permission>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The user's `cred_gen` when it was made.
    pub cred_gen: u64,
}

/// How a log-in name is compared: Unicode NFKC, lower case, trimmed.
pub fn login_key(email: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    email.trim().nfkc().collect::<String>().to_lowercase()
}

pub(super) fn by_login(record: &Record) -> Vec<Vec<u8>> {
    let profile: Option<Profile> = value(record, "profile").filter(|_| record.exists());
    profile.map(|profile| login_key(&profile.email).into_bytes()).into_iter().collect()
}

pub(super) fn by_name(record: &Record) -> Vec<Vec<u8>> {
    let profile: Option<Profile> = value(record, "profile").filter(|_| record.exists());
    profile.map(|profile| profile.name.to_lowercase().into_bytes()).into_iter().collect()
}

pub(super) fn token_by_hash(record: &Record) -> Vec<Vec<u8>> {
    token(record).map(|token| token.hash.into_bytes()).into_iter().collect()
}

pub(super) fn token_by_user(record: &Record) -> Vec<Vec<u8>> {
    token(record).map(|token| token.user.0.into_bytes().to_vec()).into_iter().collect()
}

fn token(record: &Record) -> Option<ApiToken> {
    value(record, "facts").filter(|_| record.exists())
}

fn user(record: &Record) -> Option<User> {
    if !record.exists() {
        return None;
    }
    let profile: Profile = value(record, "profile")?;
    let roles: Roles = value(record, "roles").unwrap_or(Roles { roles: BTreeSet::new(), groups: BTreeSet::new() });
    let cred: Option<Cred> = value(record, "cred");
    Some(User {
        id: Id::from_record(record.id()),
        name: profile.name,
        email: profile.email,
        roles: roles.roles,
        groups: roles.groups,
        is_disabled: record.is_disabled("access"),
        cred_gen: value(record, "cred_gen").unwrap_or(0),
        password_hash: cred.map(|cred| cred.hash).unwrap_or_default(),
    })
}

impl User {
    /// They, if a group of their record had this value; none if it is not what this version reads.
    pub fn with(&self, group: &str, value: &serde_json::Value) -> Option<Self> {
        let mut user = self.clone();
        match group {
            "profile" => {
                let profile: Profile = serde_json::from_value(value.clone()).ok()?;
                (user.name, user.email) = (profile.name, profile.email);
            }
            "roles" => {
                let roles: Roles = serde_json::from_value(value.clone()).ok()?;
                (user.roles, user.groups) = (roles.roles, roles.groups);
            }
            _ => return None,
        }
        Some(user)
    }
}

impl Edits {
    /// Adds a person, or changes name, log-in, roles and groups of one.
    pub fn put_user(&mut self, user: &User) {
        self.put("user", user.id, "profile", &Profile { name: user.name.clone(), email: user.email.clone() });
        self.put("user", user.id, "roles", &Roles { roles: user.roles.clone(), groups: user.groups.clone() });
    }

    /// Gives a person another password; sessions and tokens of the old one end.
    pub fn put_password(&mut self, user: &User, hash: &str) {
        self.put("user", user.id, "cred", &Cred { hash: hash.to_owned() });
        self.put("user", user.id, "cred_gen", &(user.cred_gen + 1));
    }

    /// Disables a person.
    pub fn disable_user(&mut self, id: Id) {
        self.act("user", id, Act::Disable { group: "access".into(), value: "null".into() });
    }

    /// Enables a person, as far as this node knows of disablings.
    pub fn enable_user(&mut self, id: Id) {
        self.act("user", id, Act::Enable { group: "access".into(), value: "null".into(), replaces: Replaces::All });
    }

    /// Removes a person.
    pub fn delete_user(&mut self, id: Id) {
        self.act("user", id, Act::Delete);
    }

    /// Adds a token.
    pub fn put_token(&mut self, token: &ApiToken) {
        self.put("token", token.id, "facts", token);
    }

    /// Ends a token.
    pub fn delete_token(&mut self, id: Id) {
        self.act("token", id, Act::Delete);
    }
}

impl Store {
    /// A person by id.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn user(&self, id: Id) -> Result<Option<User>, StoreError> {
        Ok(self.record("user", id)?.as_ref().and_then(user))
    }

    /// The person who logs in under a name. If two nodes gave it to two people, the first id has it.
    #[allow(clippy::missing_errors_doc)]
    pub fn user_by_login(&self, email: &str) -> Result<Option<User>, StoreError> {
        let key = login_key(email);
        let keys = Keys::Beginning(key.clone().into_bytes());
        let scan = Scan { index: "user_by_login".into(), keys, is_backward: false, after: None, limit: 8 };
        let hits = self.scan(&scan)?;
        Ok(hits.iter().find(|hit| hit.key == key.as_bytes()).and_then(|hit| user(&hit.record)))
    }

    /// All people, by name; at most [`PEOPLE_MAX`].
    #[allow(clippy::missing_errors_doc)]
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        let scan =
            Scan { index: "user_by_name".into(), keys: Keys::All, is_backward: false, after: None, limit: PEOPLE_MAX };
        Ok(self.scan(&scan)?.iter().filter_map(|hit| user(&hit.record)).collect())
    }

    /// The token with this hash.
    #[allow(clippy::missing_errors_doc)]
    pub fn token_by_hash(&self, hash: &str) -> Result<Option<ApiToken>, StoreError> {
        let keys = Keys::Beginning(hash.as_bytes().to_vec());
        let scan = Scan { index: "token_by_hash".into(), keys, is_backward: false, after: None, limit: 1 };
        Ok(self.scan(&scan)?.iter().find_map(|hit| token(&hit.record)).filter(|token| token.hash == hash))
    }

    /// The tokens of a person.
    #[allow(clippy::missing_errors_doc)]
    pub fn tokens_of(&self, user: Id) -> Result<Vec<ApiToken>, StoreError> {
        let keys = Keys::Beginning(user.0.into_bytes().to_vec());
        let scan = Scan { index: "token_by_user".into(), keys, is_backward: false, after: None, limit: PEOPLE_MAX };
        Ok(self.scan(&scan)?.iter().filter_map(|hit| token(&hit.record)).collect())
    }
}
