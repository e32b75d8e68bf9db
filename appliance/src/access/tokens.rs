//! Personal API tokens: `rk_` and 256 random bits. Here lies their SHA-256.
//!
//! A token may at most what its person may and what its scopes name. It ends by its date, with a new password, when its
//! person is disabled or removed, or when they end it. A token makes no tokens: that takes a session.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

use super::acts::ChangeOwnTokens;
use super::sessions::hash_of;
use super::{Access, AccessError, Actor, Allowed, Ctx, Refused};
use crate::domain::access::Permission;
use crate::store::Id;
use crate::store::people::{ApiToken, User};

/// How a token begins, so that it is known when it lies somewhere.
pub const TOKEN_PREFIX: &str = "rk_";
/// The longest a token lasts.
const LASTS_MAX: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// Tokens one person may have.
const TOKENS_MAX: usize = 50;
/// Longest name.
const NAME_CHARS_MAX: usize = 100;

impl Access {
    /// Makes a token for the one who asks: what is kept, and the token, which is shown once. Without an end it lasts two
    /// years, without scopes it may all that its person may.
    ///
    /// # Errors
    /// A field will not do, it is for someone else, or it cannot be kept.
    pub fn new_token(
        &self,
        allowed: Allowed<ChangeOwnTokens>,
        ctx: &Ctx,
        user: &User,
        name: &str,
        scopes: Option<BTreeSet<Permission>>,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiToken, String), AccessError> {
        let mut allowed = allowed;
        if let Err(error) = self.check_token(&allowed, ctx, user, name, scopes.as_ref(), expires_at) {
            allowed.fail(&error.to_string());
            return Err(error);
        }
        let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(ctx.chance()));
        let token = ApiToken {
            id: ctx.new_id(),
            user: user.id,
            name: name.trim().to_owned(),
            hash: hash_of(&secret),
            scopes,
            created_at: ctx.now.wall,
            expires_at: expires_at.or_else(|| ctx.now.wall.checked_add(LASTS_MAX).ok()),
            cred_gen: user.cred_gen,
        };
        allowed.is_about(token.id, &token.name);
        let mut edits = allowed.edits();
        edits.put_token(&token);
        allowed.commit(edits)?;
        Ok((token, secret))
    }

    fn check_token(
        &self,
        allowed: &Allowed<ChangeOwnTokens>,
        ctx: &Ctx,
        user: &User,
        name: &str,
        scopes: Option<&BTreeSet<Permission>>,
        expires_at: Option<Timestamp>,
    ) -> Result<(), AccessError> {
        if allowed.user() != Some(user.id) {
            return Err(AccessError::NotFound);
        }
        if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(AccessError::bad("name", format!("say in 1 to {NAME_CHARS_MAX} characters what it is for")));
        }
        if scopes.is_some_and(BTreeSet::is_empty) {
            return Err(AccessError::bad("scopes", "choose at least one thing the token may do"));
        }
        let lasts = expires_at.map_or(LASTS_MAX, |end| end.duration_since(ctx.now.wall));
        if lasts <= SignedDuration::ZERO || lasts > LASTS_MAX {
            return Err(AccessError::bad("expires_at", "choose a day between tomorrow and two years from now"));
        }
        if self.store.tokens_of(user.id)?.len() >= TOKENS_MAX {
            return Err(AccessError::bad("name", format!("{TOKENS_MAX} tokens are enough: end one first")));
        }
        Ok(())
    }

    /// Ends one of one's own tokens.
    ///
    /// # Errors
    /// There is none of theirs by this id, or it cannot be ended.
    pub fn end_token(&self, allowed: Allowed<ChangeOwnTokens>, id: Id) -> Result<(), AccessError> {
        let mut allowed = allowed;
        let tokens = allowed.user().map(|user| self.store.tokens_of(user)).transpose()?.unwrap_or_default();
        let Some(token) = tokens.into_iter().find(|token| token.id == id) else {
            allowed.fail("there is no such token");
            return Err(AccessError::NotFound);
        };
        allowed.is_about(token.id, &token.name);
        let mut edits = allowed.edits();
        edits.delete_token(id);
        Ok(allowed.commit(edits)?)
    }

    pub(super) fn by_token(&self, ctx: &Ctx, secret: &str) -> Result<Actor, Refused> {
        let Some(token) = self.store.token_by_hash(&hash_of(secret))? else { return Err(Refused::Unknown) };
        if token.expires_at.is_some_and(|end| end <= ctx.now.wall) {
            return Err(Refused::Unknown);
        }
        let Some(user) = self.store.user(token.user)? else { return Err(Refused::Unknown) };
        if user.is_disabled || user.cred_gen != token.cred_gen {
            return Err(Refused::Unknown);
        }
        Ok(Actor::token(&user, &token, &self.rules()?))
    }
}
