//! Sessions and who comes by one.
//!
//! A session is 256 random bits that the browser has; here lies their SHA-256. It ends after 12 hours unused, after 30 days,
//! with a new password, when its person is disabled or removed, or when someone ends it. Each is checked on each request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::acts::{ChangePeople, EndOwnSession};
use super::tokens::TOKEN_PREFIX;
use super::{Access, Actor, Allowed, Ctx, Refused};
use crate::domain::ClockQuality;
use crate::store::sessions::{SESSIONS_MAX, Session};
use crate::store::{Id, Moment, StoreError};
use crate::sys::clock;

/// Unused for so long, a session ends.
const IDLE_MAX: SignedDuration = SignedDuration::from_hours(12);
/// A session ends at this age.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A session by the room's PIN ends at this age: a working day.
const PIN_AGE_MAX: SignedDuration = SignedDuration::from_hours(12);
/// How exactly it is known when a session was used.
const SEEN_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// Sessions that live in memory while the disk takes none; the oldest gives way.
const SPARE_MAX: usize = 100;
/// Ended sessions cleared away with one log-in.
const CLEARED_AT_ONCE: usize = 32;

/// What someone shows to be let in.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// The session's cookie.
    Cookie(&'a str),
    /// What follows `Bearer ` in the header: an API token, or a session's cookie.
    Bearer(&'a str),
}

impl Access {
    /// Who is asking.
    ///
    /// # Errors
    /// `Unknown` if what they show opens nothing.
    pub fn authenticate(&self, ctx: &Ctx, shown: Shown<'_>) -> Result<Actor, Refused> {
        match shown {
            Shown::Bearer(token) if token.starts_with(TOKEN_PREFIX) => self.by_token(ctx, token),
            Shown::Bearer(cookie) | Shown::Cookie(cookie) => self.by_cookie(ctx, cookie),
        }
    }

    fn by_cookie(&self, ctx: &Ctx, cookie: &str) -> Result<Actor, Refused> {
        let hash = hash_of(cookie);
        let Some(mut session) = self.session(&hash)? else { return Err(Refused::Unknown) };
        rebase(&mut session, ctx.now);
        let Some(actor) = self.actor_of(&session, ctx.now)? else {
            if let Err(error) = self.drop_session(&hash) {
                tracing::warn!(%error, "a session that is over cannot be cleared away");
            }
            return Err(Refused::Unknown);
        };
        if ctx.now.wall.duration_since(session.seen_at).abs() >= SEEN_EVERY {
            session.seen_at = ctx.now.wall;
            self.keep_session(&session);
        }
        Ok(actor)
    }

    /// A person whom another node of the fleet speaks for. Their rights are looked up here. `scopes` is what limits their
    /// token there; one that this node does not know limits it to nothing.
    ///
    /// # Errors
    /// There is no such person here, or they are disabled.
    pub fn speaks_for(&self, node: (Id, &str), user: Id, scopes: Option<&str>) -> Result<Actor, Refused> {
        let user = self.store.user(user)?.filter(|user| !user.is_disabled).ok_or(Refused::Unknown)?;
        let scopes = scopes.map(|names| names.split(',').filter_map(|name| name.parse().ok()).collect());
        Ok(Actor::from_afar(&user, &self.rules()?, node, scopes))
    }

    /// Whether someone who was let in still would be: neither logged out nor disabled nor over since.
    pub fn is_still(&self, actor: &Actor, now: Moment) -> bool {
        let by_session = |hash: &str| {
            let session = self.session(hash).ok().flatten();
            session.is_some_and(|mut session| {
                rebase(&mut session, now);
                matches!(self.actor_of(&session, now), Ok(Some(_)))
            })
        };
        let by_token = |user: Id| {
            let is_enabled = matches!(self.store.user(user), Ok(Some(user)) if !user.is_disabled);
            let tokens = self.store.tokens_of(user).unwrap_or_default();
            is_enabled && tokens.iter().any(|token| token.id.to_string() == actor.named.id)
        };
        let by_person = |user: Id| matches!(self.store.user(user), Ok(Some(user)) if !user.is_disabled);
        match (&actor.session, actor.user) {
            (None, Some(user)) if actor.through.is_some() => by_person(user),
            (Some(hash), _) => by_session(hash),
            (None, Some(user)) => by_token(user),
            (None, None) => true,
        }
    }

    /// The one a session stands for; none if it is over.
    fn actor_of(&self, session: &Session, now: Moment) -> Result<Option<Actor>, Refused> {
        if is_over(session, now) {
            return Ok(None);
        }
        let Some(user) = session.user else { return Ok(self.pin_actor(session)?) };
        let Some(user) = self.store.user(user)? else { return Ok(None) };
        if user.is_disabled || user.cred_gen != session.cred_gen {
            return Ok(None);
        }
        let mut actor = Actor::person(&user, &self.rules()?, Some(session.hash.clone()));
        actor.has_given_password = self.is_password_given(&user)?;
        Ok(Some(actor))
    }

    /// A person's sessions that are not over, the one used last first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn sessions_of(&self, user: Id, now: Moment) -> Result<Vec<Session>, Refused> {
        let mut mine: Vec<Session> = self.all_sessions()?.into_iter().filter(|s| s.user == Some(user)).collect();
        let mut live = Vec::new();
        for mut session in mine.drain(..) {
            rebase(&mut session, now);
            if self.actor_of(&session, now)?.is_some() {
                live.push(session);
            }
        }
        live.sort_by_key(|session| std::cmp::Reverse(session.seen_at));
        Ok(live)
    }

    /// Ends one of one's own sessions.
    ///
    /// # Errors
    /// There is none of theirs by this id, or it cannot be ended.
    pub fn end_session(&self, allowed: Allowed<EndOwnSession>, id: Id) -> Result<(), Refused> {
        let owner = allowed.user();
        let found = self.all_sessions()?.into_iter().find(|session| session.id == id && session.user == owner);
        self.end_found(allowed, found)
    }

    /// Ends anyone's session.
    ///
    /// # Errors
    /// There is none by this id, or it cannot be ended.
    pub fn end_session_of_anyone(&self, allowed: Allowed<ChangePeople>, id: Id) -> Result<(), Refused> {
        let found = self.all_sessions()?.into_iter().find(|session| session.id == id);
        self.end_found(allowed, found)
    }

    fn end_found<A: super::acts::Act>(&self, allowed: Allowed<A>, found: Option<Session>) -> Result<(), Refused> {
        let Some(session) = found else {
            allowed.fail("there is no such session");
            return Err(Refused::NotFound);
        };
        if let Err(error) = self.drop_session(&session.hash) {
            allowed.fail(&error.to_string());
            return Err(error.into());
        }
        let edits = allowed.edits();
        allowed.settle(edits);
        Ok(())
    }

    /// A new session and its cookie.
    pub(super) fn begin_session(
        &self,
        ctx: &Ctx,
        user: Option<Id>,
        cred_gen: u64,
    ) -> Result<(String, Session), StoreError> {
        self.clear_sessions(ctx.now)?;
        let cookie = URL_SAFE_NO_PAD.encode(ctx.chance());
        let session = Session {
            id: ctx.new_id(),
            hash: hash_of(&cookie),
            user,
            cred_gen,
            created_at: ctx.now.wall,
            seen_at: ctx.now.wall,
            address: ctx.address.chars().take(64).collect(),
            agent: ctx.agent.clone(),
        };
        self.keep_session(&session);
        Ok((cookie, session))
    }

    /// Clears away sessions that are over, and the one unused longest if there are too many.
    fn clear_sessions(&self, now: Moment) -> Result<(), StoreError> {
        let mut kept = self.store.sessions()?;
        kept.sort_by_key(|session| session.seen_at);
        let surplus = (kept.len() + 1).saturating_sub(SESSIONS_MAX as usize);
        let over = kept.iter().enumerate().filter(|(index, session)| *index < surplus || is_over(session, now));
        for (_, session) in over.take(CLEARED_AT_ONCE.max(surplus)) {
            // A disk that takes nothing away keeps nobody out.
            if let Err(error) = self.store.end_session(&session.hash) {
                tracing::warn!(%error, "sessions that are over cannot be cleared away");
                break;
            }
        }
        Ok(())
    }

    /// Keeps a session on disk, or while the disk takes nothing in memory: a full disk is when someone must get in.
    fn keep_session(&self, session: &Session) {
        let kept = self.store.put_session(session);
        let mut spare = self.desk.spare();
        match kept {
            Ok(()) => {
                spare.remove(&session.hash);
            }
            Err(error) => {
                tracing::warn!(%error, "a session lives in memory only");
                if spare.len() >= SPARE_MAX
                    && let Some(oldest) = spare.values().min_by_key(|s| s.seen_at).map(|s| s.hash.clone())
                {
                    spare.remove(&oldest);
                }
                spare.insert(session.hash.clone(), session.clone());
            }
        }
    }

    fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let spare = self.desk.spare().get(hash).cloned();
        match spare {
            Some(session) => Ok(Some(session)),
            None => self.store.session(hash),
        }
    }

    fn all_sessions(&self) -> Result<Vec<Session>, StoreError> {
        let mut all = self.desk.spare().clone();
        for session in self.store.sessions()? {
            all.entry(session.hash.clone()).or_insert(session);
        }
        Ok(all.into_values().collect())
    }

    pub(super) fn drop_session(&self, hash: &str) -> Result<(), StoreError> {
        self.desk.spare().remove(hash);
        self.store.end_session(hash)
    }
}

/// Whether its time is up. A clock that shows less than it did says nothing about it.
fn is_over(session: &Session, now: Moment) -> bool {
    let age_max = if session.user.is_some() { AGE_MAX } else { PIN_AGE_MAX };
    now.wall.duration_since(session.seen_at) >= IDLE_MAX || now.wall.duration_since(session.created_at) >= age_max
}

/// A session from before the clock was set begins when it was set: who just claimed a node is not thrown out by it.
fn rebase(session: &mut Session, now: Moment) {
    if now.quality != ClockQuality::Unset && clock::quality(session.created_at) == ClockQuality::Unset {
        session.created_at = now.wall;
        // Older than any minute, so that it is written down.
        session.seen_at = now.wall.checked_sub(SEEN_EVERY).unwrap_or(now.wall);
    }
}

/// What is kept of a cookie or a token.
pub(super) fn hash_of(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
