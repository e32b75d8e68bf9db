//! People: adding, changing, disabling, removing them, their passwords, and the rules about them.
//!
//! One change at a time, so that what was checked still holds when it is written. Two things are always refused: what
//! would leave nobody who may manage this node, and that anyone but an owner touches an owner. A password that is given to
//! someone is good for one thing: choosing another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::acts::{Act, ChangeOwnPassword, ChangePeople, ChangeRules};
use super::claim::{check_email, check_name};
use super::login::{self, LoggedIn, give_password};
use super::passwords::{self, Busy};
use super::{Access, AccessError, Allowed, Ctx, RULES, Refused};
use crate::domain::access::{Answer, GroupId, Permission, Person, Role, Rules, Target, UserId, decide};
use crate::domain::words;
use crate::store::people::{PEOPLE_MAX, User, login_key};
use crate::store::{Edits, Id, StoreError};

/// Words of a password that is given to someone: 66 bits.
const GIVEN_WORDS: usize = 6;
/// Most rules of each kind.
const RULES_MAX: usize = 10_000;

/// Someone to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their name.
    pub name: String,
    /// What they will log in with.
    pub email: String,
    /// Their roles.
    pub roles: BTreeSet<Role>,
    /// Groups they are in.
    pub groups: BTreeSet<GroupId>,
    /// Their password, if the one who adds them chose it with them; else one is made that they must change.
    pub password: Option<String>,
}

impl Access {
    /// Adds a person: who they are, and the password to hand to them if one was made, shown once.
    ///
    /// # Errors
    /// See [`AccessError`]; likewise below.
    pub fn add_user(
        &self,
        allowed: Allowed<ChangePeople>,
        ctx: &Ctx,
        new: NewUser,
    ) -> Result<(User, Option<String>), AccessError> {
        let given = new.password.is_none().then(|| words::phrase::<GIVEN_WORDS>(&ctx.chance()).join("-"));
        let password = new.password.or(given.clone()).unwrap_or_default();
        let user = User {
            id: ctx.new_id(),
            name: new.name.trim().to_owned(),
            email: new.email.trim().to_owned(),
            roles: new.roles,
            groups: new.groups,
            is_disabled: false,
            cred_gen: 0,
            password_hash: String::new(),
        };
        let user = self.change(allowed, |allowed| {
            if self.store.users()?.len() >= PEOPLE_MAX {
                return Err(AccessError::bad("name", format!("{PEOPLE_MAX} people are the most there can be")));
            }
            self.check_profile(&user)?;
            owners_only(allowed, user.roles.contains(&Role::Owner))?;
            if given.is_none() {
                passwords::check(&password, &[&user.name, &user.email])
                    .map_err(|why| AccessError::bad("password", why))?;
            }
            let hash = self.hash(ctx, &password)?;
            allowed.is_about(user.id, &user.name);
            allowed.tells(Value::Null, told(&user));
            let mut edits = allowed.edits();
            edits.put_user(&user);
            match given {
                Some(_) => give_password(&mut edits, &user, &hash),
                None => edits.put_password(&user, &hash),
            }
            Ok((edits, user))
        })?;
        Ok((User { cred_gen: 1, ..user }, given))
    }

    /// Changes a person's name and log-in.
    #[allow(clippy::missing_errors_doc)]
    pub fn change_user(
        &self,
        allowed: Allowed<ChangePeople>,
        id: Id,
        name: &str,
        email: &str,
    ) -> Result<User, AccessError> {
        let (name, email) = (name.trim().to_owned(), email.trim().to_owned());
        self.change_one(allowed, id, |user| User { name, email, ..user })
    }

    /// Gives a person other roles and groups.
    #[allow(clippy::missing_errors_doc)]
    pub fn set_roles(
        &self,
        allowed: Allowed<ChangePeople>,
        id: Id,
        roles: BTreeSet<Role>,
        groups: BTreeSet<GroupId>,
    ) -> Result<User, AccessError> {
        self.change_one(allowed, id, |user| User { roles, groups, ..user })
    }

    /// Disables a person: all they hold ends.
    #[allow(clippy::missing_errors_doc)]
    pub fn disable_user(&self, allowed: Allowed<ChangePeople>, id: Id) -> Result<User, AccessError> {
        self.change_one(allowed, id, |user| User { is_disabled: true, ..user })
    }

    /// Enables a person again. Their sessions and tokens from before stay ended.
    #[allow(clippy::missing_errors_doc)]
    pub fn enable_user(&self, allowed: Allowed<ChangePeople>, id: Id) -> Result<User, AccessError> {
        self.change_one(allowed, id, |user| User { is_disabled: false, ..user })
    }

    /// Removes a person for good.
    #[allow(clippy::missing_errors_doc)]
    pub fn remove_user(&self, allowed: Allowed<ChangePeople>, id: Id) -> Result<(), AccessError> {
        self.change(allowed, |allowed| {
            let user = self.store.user(id)?.ok_or(AccessError::NotFound)?;
            owners_only(allowed, user.roles.contains(&Role::Owner))?;
            self.someone_is_left(&self.rules()?, |others| others.retain(|other| other.id != id))?;
            allowed.is_about(id, &user.name);
            allowed.tells(told(&user), Value::Null);
            let mut edits = allowed.edits();
            edits.delete_user(id);
            for token in self.store.tokens_of(id)? {
                edits.delete_token(token.id);
            }
            Ok((edits, ()))
        })
    }

    /// Gives a person a new password, to hand to them; all they hold ends.
    #[allow(clippy::missing_errors_doc)]
    pub fn reset_password(&self, allowed: Allowed<ChangePeople>, ctx: &Ctx, id: Id) -> Result<String, AccessError> {
        let password = words::phrase::<GIVEN_WORDS>(&ctx.chance()).join("-");
        self.change(allowed, |allowed| {
            let user = self.store.user(id)?.ok_or(AccessError::NotFound)?;
            owners_only(allowed, user.roles.contains(&Role::Owner))?;
            allowed.is_about(id, &user.name);
            allowed.tells(Value::Null, json!({"password": "given"}));
            let hash = self.hash(ctx, &password)?;
            let mut edits = allowed.edits();
            give_password(&mut edits, &user, &hash);
            Ok((edits, ()))
        })?;
        Ok(password)
    }

    /// Chooses one's own password. All sessions and tokens of the old one end; the answer is a new session. Who came in
    /// by a recovery code has no old password.
    #[allow(clippy::missing_errors_doc)]
    pub fn set_own_password(
        &self,
        allowed: Allowed<ChangeOwnPassword>,
        ctx: &Ctx,
        old: &str,
        new: &str,
    ) -> Result<LoggedIn, AccessError> {
        let user = self.change(allowed, |allowed| {
            let user = allowed.user().map(|id| self.store.user(id)).transpose()?.flatten();
            let user = user.ok_or(AccessError::NotFound)?;
            if !user.password_hash.is_empty() {
                self.check_old(ctx, &user, old)?;
            }
            if old == new {
                return Err(AccessError::bad("new", "choose one that is not the old one"));
            }
            let rooms = self.store.rooms()?;
            let about = [user.name.as_str(), user.email.as_str()];
            let about: Vec<&str> = about.into_iter().chain(rooms.iter().map(|room| room.name.as_str())).collect();
            passwords::check(new, &about).map_err(|why| AccessError::bad("new", why))?;
            let hash = self.hash(ctx, new)?;
            allowed.is_about(user.id, &user.name);
            let mut edits = allowed.edits();
            edits.put_password(&user, &hash);
            Ok((edits, user))
        })?;
        let user = User { cred_gen: user.cred_gen + 1, ..user };
        let (cookie, session) = self.begin_session(ctx, Some(user.id), user.cred_gen)?;
        Ok(LoggedIn { cookie, user, session, must_change_password: false })
    }

    /// Lays down other rules.
    #[allow(clippy::missing_errors_doc)]
    pub fn set_rules(&self, allowed: Allowed<ChangeRules>, rules: &Rules) -> Result<(), AccessError> {
        self.change(allowed, |allowed| {
            if [rules.policies.len(), rules.grants.len(), rules.roster.len()].iter().any(|len| *len > RULES_MAX) {
                return Err(AccessError::bad(
                    "rules",
                    format!("{RULES_MAX} rules of a kind are the most there can be"),
                ));
            }
            self.someone_is_left(rules, |_| ())?;
            allowed.tells(json!(self.rules()?), json!(rules));
            let mut edits = allowed.edits();
            edits.put_setting(RULES, rules);
            Ok((edits, ()))
        })
    }

    /// Checks and keeps a change, alone; what was refused is in the journal.
    pub(super) fn change<A: Act, T>(
        &self,
        mut allowed: Allowed<A>,
        work: impl FnOnce(&mut Allowed<A>) -> Result<(Edits, T), AccessError>,
    ) -> Result<T, AccessError> {
        let _alone = self.desk.people();
        match work(&mut allowed) {
            Ok((edits, done)) => {
                allowed.commit(edits)?;
                Ok(done)
            }
            Err(error) => {
                allowed.fail(&error.to_string());
                Err(error)
            }
        }
    }

    fn change_one(
        &self,
        allowed: Allowed<ChangePeople>,
        id: Id,
        change: impl FnOnce(User) -> User,
    ) -> Result<User, AccessError> {
        self.change(allowed, |allowed| {
            let before = self.store.user(id)?.ok_or(AccessError::NotFound)?;
            let after = change(before.clone());
            allowed.is_about(id, &after.name);
            allowed.tells(told(&before), told(&after));
            if (&before.name, &before.email) != (&after.name, &after.email) {
                self.check_profile(&after)?;
            }
            owners_only(allowed, before.roles.contains(&Role::Owner) || after.roles.contains(&Role::Owner))?;
            self.someone_is_left(&self.rules()?, |others| {
                others.retain(|other| other.id != id);
                others.push(after.clone());
            })?;
            let mut edits = allowed.edits();
            // Of two that were said elsewhere the one that counts may be said anew: that ends it.
            let is_held = || Ok::<_, StoreError>(!self.store.held_of("user", id)?.is_empty());
            if told(&User { is_disabled: before.is_disabled, ..after.clone() }) != told(&before) || is_held()? {
                edits.put_user(&after);
            }
            match (before.is_disabled, after.is_disabled) {
                (false, true) => {
                    // With another generation of credentials, nothing from before opens again when they are enabled.
                    if self.is_password_given(&before)? {
                        give_password(&mut edits, &before, &before.password_hash);
                    } else {
                        edits.put_password(&before, &before.password_hash);
                    }
                    edits.disable_user(id);
                }
                (true, false) => edits.enable_user(id),
                // Said again, for somebody elsewhere may be enabling them: of two that do not know of each other, the
                // disabling wins, but only one that is written down.
                (true, true) if told(&before) == told(&after) => edits.disable_user(id),
                (false, false) | (true, true) => {}
            }
            Ok((edits, after))
        })
    }

    pub(super) fn check_profile(&self, user: &User) -> Result<(), AccessError> {
        check_name(&user.name).map_err(|why| AccessError::bad("name", why))?;
        check_email(&user.email).map_err(|why| AccessError::bad("email", why))?;
        let key = login_key(&user.email);
        // Every user is looked at, not the first of the index: two may have it after two nodes met.
        let taken = self.store.users()?.iter().any(|other| other.id != user.id && login_key(&other.email) == key);
        if taken { Err(AccessError::Taken) } else { Ok(()) }
    }

    /// Whether someone who is enabled may manage people and the whole node, after a change.
    pub(super) fn someone_is_left(
        &self,
        rules: &Rules,
        change: impl FnOnce(&mut Vec<User>),
    ) -> Result<(), AccessError> {
        let mut people = self.store.users()?;
        change(&mut people);
        if people.iter().any(|user| may_manage(user, rules)) { Ok(()) } else { Err(AccessError::NobodyLeft) }
    }

    fn check_old(&self, ctx: &Ctx, user: &User, old: &str) -> Result<(), AccessError> {
        let account = login::account(&user.email);
        let tried = self.try_once(ctx, &account)?;
        match self.desk.hasher.verify(old, &user.password_hash) {
            Ok(true) => {
                self.was_right(ctx, tried, &account);
                Ok(())
            }
            Ok(false) => Err(AccessError::bad("old", "that is not your password")),
            Err(Busy) => {
                self.desk.throttle().undone(&tried);
                Err(Refused::Wait { seconds: 1 }.into())
            }
        }
    }

    fn hash(&self, ctx: &Ctx, password: &str) -> Result<String, AccessError> {
        let made = self.desk.hasher.hash(password, &ctx.chance()[..16]);
        made.map_err(|Busy| Refused::Wait { seconds: 1 }.into())
    }
}

/// Whether someone may manage people and everything else of this node.
pub(super) fn may_manage(user: &User, rules: &Rules) -> bool {
    let subject = rules.subject(Person {
        id: UserId::new(user.id.to_string()),
        groups: user.groups.clone(),
        roles: user.roles.clone(),
        is_disabled: user.is_disabled,
    });
    let may = |permission| decide(&subject, permission, &Target::Fleet).answer() == Answer::Go;
    may(Permission::AuthManage) && may(Permission::SystemAdmin)
}

pub(super) fn owners_only<A: Act>(allowed: &Allowed<A>, is_about_owner: bool) -> Result<(), AccessError> {
    if is_about_owner && !allowed.is_by_owner() { Err(AccessError::OwnersOnly) } else { Ok(()) }
}

/// A person as the journal tells of them.
fn told(user: &User) -> Value {
    json!({"name": user.name, "email": user.email, "roles": user.roles, "groups": user.groups, "is_disabled": user.is_disabled})
}
