//! Claiming: whoever stands at a new node and reads its code becomes its owner.
//!
//! The code is 8 characters (40 bits) in `claim-code`, made when a node without an owner starts. It holds for a while after
//! the start; after five wrong ones there is a pause. A restart, which takes someone at the machine, opens the window
//! again. Claiming is one step in the records: owner, password, room, rules, recovery code and the journal's entry.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use subtle::ConstantTimeEq;

use super::acts::Claim;
use super::login::EMAIL_CHARS_MAX;
use super::passwords::{self, Busy};
use super::{About, Access, Actor, Allowed, Ctx, RULES, default_rules, private, recovery};
use crate::domain::access::Role;
use crate::store::people::User;
use crate::store::rooms::Room;
use crate::store::{Moment, StoreError};

/// How long after its start a node can be claimed, unless told otherwise.
pub const WINDOW_MINUTES: u32 = 30;
/// Name of the code's file in the data folder.
pub const CODE_FILE: &str = "claim-code";
/// Wrong codes before a pause.
const WRONG_MAX: u32 = 5;
/// The pause.
const PAUSE_US: u64 = 60_000_000;
/// Length of a code; with 32 letters 40 bits.
const CODE_CHARS: usize = 8;
/// Letters and digits that are not taken for one another: no 0, O, 1, I.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Longest name of a person or a room.
pub(super) const NAME_CHARS_MAX: usize = 200;

/// Whether the node can be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    /// It has an owner.
    Claimed,
    /// It can.
    Open {
        /// The code, for console and log only.
        code: String,
        /// How long it can still be claimed.
        seconds_left: u64,
        /// How long to wait after wrong codes; 0 if not.
        wait_seconds: u64,
    },
    /// Too late; after a restart it can be claimed again.
    Closed,
}

/// Who wants to own it, and what it is.
#[derive(Clone)]
pub struct NewOwner {
    /// The code from console or log; spaces, dashes and case do not matter.
    pub code: String,
    /// Their name.
    pub name: String,
    /// What they will log in with.
    pub email: String,
    /// Their password.
    pub password: String,
    /// The room it stands in.
    pub room: String,
    /// IANA name of its time zone.
    pub time_zone: String,
}

/// The node has an owner.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The owner.
    pub user: User,
    /// The room.
    pub room: Room,
    /// Their session.
    pub cookie: String,
    /// To be printed and kept: it lets the owner in when all else is forgotten. Shown once.
    pub recovery_code: String,
}

/// Why it was not claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It has an owner.
    #[error("this recorder has an owner already: log in")]
    Claimed,
    /// The window is over.
    #[error("the time for claiming is over: restart the recorder and use the code it shows")]
    Closed,
    /// Not the code.
    #[error("that is not the code on the recorder's screen")]
    WrongCode {
        /// How many more before a pause.
        tries_left: u32,
    },
    /// After wrong codes, or while too much is asked.
    #[error("wait {seconds} s and try again")]
    Wait {
        /// How long.
        seconds: u64,
    },
    /// A field will not do.
    #[error("{why}")]
    Bad {
        /// Which.
        field: &'static str,
        /// A sentence for who filled it in.
        why: String,
    },
    /// Not kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A window that may be open.
#[derive(Debug, Default)]
pub(super) struct Claiming {
    file: PathBuf,
    code: String,
    closes_at_us: u64,
    wrong: u32,
    waits_until_us: u64,
}

impl Access {
    /// Opens the window at the node's start, if it has no owner: makes the code's file, or takes the code that lies there.
    /// With an owner it removes a file that was left behind.
    ///
    /// # Errors
    /// The folder does not take the file, or the records cannot be read.
    pub fn open_claiming(&self, folder: &Path, window_minutes: u32, ctx: &Ctx) -> Result<ClaimState, StoreError> {
        let file = folder.join(CODE_FILE);
        let fault = |error: std::io::Error| StoreError::Unusable(format!("{}: {error}", file.display()));
        if self.is_claimed()? {
            private::remove(&file).map_err(fault)?;
            return Ok(ClaimState::Claimed);
        }
        let lying = private::read(&file, 64).map(|text| plain(&text)).filter(|code| is_code(code));
        let code = lying.unwrap_or_else(|| new_code(ctx.chance()));
        private::replace(&file, format!("{code}\n").as_bytes()).map_err(fault)?;
        let closes_at_us = ctx.now.mono_us + u64::from(window_minutes) * 60_000_000;
        *self.desk.claiming() = Claiming { file: file.clone(), code, closes_at_us, ..Claiming::default() };
        self.claim_state(ctx.now)
    }

    /// Whether the node can be claimed.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn claim_state(&self, now: Moment) -> Result<ClaimState, StoreError> {
        if self.is_claimed()? {
            return Ok(ClaimState::Claimed);
        }
        let claiming = self.desk.claiming();
        let left_us = claiming.closes_at_us.saturating_sub(now.mono_us);
        if left_us == 0 {
            return Ok(ClaimState::Closed);
        }
        Ok(ClaimState::Open {
            code: claiming.code.clone(),
            seconds_left: left_us.div_ceil(1_000_000),
            wait_seconds: claiming.waits_until_us.saturating_sub(now.mono_us).div_ceil(1_000_000),
        })
    }

    /// Whether someone owns this node.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn is_claimed(&self) -> Result<bool, StoreError> {
        if self.desk.is_claimed.load(Ordering::Acquire) {
            return Ok(true);
        }
        let is_claimed = self.store.users()?.iter().any(|user| user.roles.contains(&Role::Owner));
        if is_claimed {
            self.desk.is_claimed.store(true, Ordering::Release);
        }
        Ok(is_claimed)
    }

    /// Makes someone the owner.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn claim(&self, ctx: &Ctx, claim: NewOwner) -> Result<Claimed, ClaimError> {
        // One at a time: of two with the code the second finds an owner.
        let _alone = self.desk.people();
        if self.is_claimed()? {
            return Err(ClaimError::Claimed);
        }
        self.check_code(ctx, &claim.code)?;
        check(&claim)?;
        let hash = self.desk.hasher.hash(&claim.password, &ctx.chance()[..16]);
        let hash = hash.map_err(|Busy| ClaimError::Wait { seconds: 1 })?;
        let mut user = User {
            id: ctx.new_id(),
            name: claim.name.trim().to_owned(),
            email: claim.email.trim().to_owned(),
            roles: [Role::Owner].into(),
            groups: [].into(),
            is_disabled: false,
            cred_gen: 0,
            password_hash: hash,
        };
        let room = self.room(ctx, &claim)?;
        let recovery_code = self.keep_claim(ctx, &user, &room)?;
        user.cred_gen += 1;
        self.desk.is_claimed.store(true, Ordering::Release);
        let claiming = std::mem::take(&mut *self.desk.claiming());
        if let Err(error) = private::remove(&claiming.file) {
            tracing::warn!(%error, "the claim code's file stays; the code opens nothing");
        }
        let (cookie, _) = self.begin_session(ctx, Some(user.id), user.cred_gen)?;
        Ok(Claimed { user, room, cookie, recovery_code })
    }

    /// The one step in the records.
    fn keep_claim(&self, ctx: &Ctx, user: &User, room: &Room) -> Result<String, StoreError> {
        let actor = Actor::person(user, &default_rules(), None);
        let about = About::thing("node", self.store.node(), &room.name)
            .after(serde_json::json!({"owner": user.name, "email": user.email, "room": room.name, "time_zone": room.time_zone}));
        let allowed = Allowed::<Claim>::new(self, ctx, &actor, about);
        let mut edits = allowed.edits();
        edits.put_user(user);
        edits.put_password(user, &user.password_hash);
        edits.put_room(room);
        self.put_first_member(&mut edits, ctx, &room.name, &user.name)?;
        if self.store.setting::<serde_json::Value>(RULES)?.is_none() {
            edits.put_setting(RULES, &default_rules());
        }
        let recovery_code = recovery::new_code(&mut edits, ctx, user.id);
        allowed.commit(edits)?;
        Ok(recovery_code)
    }

    /// The room that is there already, by another name, or a new one.
    fn room(&self, ctx: &Ctx, claim: &NewOwner) -> Result<Room, StoreError> {
        let there = self.store.room()?;
        let (id, notes) = there.map_or_else(|| (ctx.new_id(), String::new()), |room| (room.id, room.notes));
        let (name, time_zone) = (claim.room.trim().to_owned(), claim.time_zone.trim().to_owned());
        Ok(Room { id, name, time_zone, notes, node: Some(self.store.node()), version: String::new() })
    }

    fn check_code(&self, ctx: &Ctx, code: &str) -> Result<(), ClaimError> {
        let mut claiming = self.desk.claiming();
        let now_us = ctx.now.mono_us;
        if claiming.closes_at_us <= now_us {
            return Err(ClaimError::Closed);
        }
        let wait_us = claiming.waits_until_us.saturating_sub(now_us);
        if wait_us > 0 {
            return Err(ClaimError::Wait { seconds: wait_us.div_ceil(1_000_000) });
        }
        if bool::from(plain(code).as_bytes().ct_eq(claiming.code.as_bytes())) {
            claiming.wrong = 0;
            return Ok(());
        }
        claiming.wrong += 1;
        let tries_left = WRONG_MAX - claiming.wrong;
        if tries_left == 0 {
            claiming.wrong = 0;
            claiming.waits_until_us = now_us + PAUSE_US;
        }
        drop(claiming);
        self.write_denial(ctx, "anonymous", "", "wrong claim code");
        Err(ClaimError::WrongCode { tries_left })
    }
}

fn check(claim: &NewOwner) -> Result<(), ClaimError> {
    let bad = |field, why: &str| Err(ClaimError::Bad { field, why: why.to_owned() });
    if let Err(why) = check_name(&claim.name) {
        return bad("name", &why);
    }
    if let Err(why) = check_email(&claim.email) {
        return bad("email", &why);
    }
    if let Err(why) = check_name(&claim.room) {
        return bad("room", &why);
    }
    if jiff::tz::TimeZone::get(claim.time_zone.trim()).is_err() {
        return bad("time_zone", "choose a time zone from the list, such as Europe/Berlin");
    }
    match passwords::check(&claim.password, &[&claim.name, &claim.email, &claim.room]) {
        Ok(()) => Ok(()),
        Err(why) => bad("password", &why),
    }
}

/// Whether it will do as the name of a person or a room.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(format!("give a name of 1 to {NAME_CHARS_MAX} characters"));
    }
    Ok(())
}

/// Whether it looks like an e-mail address. Nothing is sent there, so it is not asked for more.
pub(super) fn check_email(email: &str) -> Result<(), String> {
    let email = email.trim();
    let is_one = email.split_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty() && !at.contains('@'));
    if !is_one || email.chars().count() > EMAIL_CHARS_MAX || email.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return Err("give an e-mail address, such as anna@example.org".into());
    }
    Ok(())
}

fn new_code(chance: [u8; 32]) -> String {
    chance.iter().take(CODE_CHARS).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

fn is_code(text: &str) -> bool {
    text.len() == CODE_CHARS && text.bytes().all(|byte| LETTERS.contains(&byte))
}

fn plain(code: &str) -> String {
    let meant = code.chars().take(64).filter(|c| !c.is_whitespace() && *c != '-');
    meant.collect::<String>().to_uppercase()
}
