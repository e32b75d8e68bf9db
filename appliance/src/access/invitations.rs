//! Invitations: a token that lets a node into the fleet, and four words that show on both ends.
//!
//! Lives here: making a token, reading one, and using up its secret at the node that made it. The token is handed over by
//! people (copied, or as a QR code): whoever has it may bring a node in, until it is used up or over. It pins the key of
//! the node that invited, so the newcomer knows whom it speaks to. One may be for a member's place: who comes by it goes on
//! as that member. Does not live here: the talk between the two.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::acts::{Act, InviteNode, ReplaceNode};
use super::sessions::hash_of;
use super::{Access, AccessError, Allowed, Ctx, Refused};
use crate::domain::words;
use crate::store::fleet::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, NAME_BYTES_MAX};
use crate::store::invitations::Invitation;
use crate::store::{Id, StoreError};

/// How long an invitation may hold, seconds: a minute to 30 days.
pub const SECONDS: std::ops::RangeInclusive<u32> = 60..=30 * 86_400;
/// How many nodes may come by one.
pub const USES: std::ops::RangeInclusive<u32> = 1..=100;
/// The form of a token that lets in.
const FORM: u8 = 1;
/// The form of one for a member's place. Others are refused.
const FORM_IN_PLACE: u8 = 2;
/// A longer text is no token: the most addresses of the greatest length, in base64.
const TEXT_BYTES_MAX: usize = (107 + NAME_BYTES_MAX + ADDRESSES_MAX * (2 + ADDRESS_BYTES_MAX)) / 3 * 4 + 64;

/// What a newcomer is handed.
///
/// Written as base64url without padding (RFC 4648, 5) of: form 1 byte, fleet id 16, SHA-256 of the inviter's public key 32,
/// secret 32, then each address as its length (2 bytes, big-endian) and UTF-8. In form 2 the member whose place it is for
/// stands before the addresses: id 16, when it was last heard in milliseconds since 1970 8 (0: never), name as an address.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Into which fleet.
    pub fleet: Id,
    /// Where the node that invited is reached: `host:port`.
    pub addresses: Vec<String>,
    /// SHA-256 of that node's public key.
    pub spki: [u8; 32],
    /// What lets in.
    pub secret: [u8; 32],
    /// Whose place it is for; none if the newcomer stays who it is.
    pub replaces: Option<Replaced>,
}

/// A member whose box another one is to replace, as the node that invites knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The node.
    pub node: Id,
    /// Its name.
    pub name: String,
    /// When it was last heard, to the millisecond; none if never.
    pub last_seen: Option<Timestamp>,
}

impl Token {
    /// The words that both ends show: of the fleet, of the key and of the member whose place it is for, so that a token of
    /// another fleet, of somebody in between, or for another place shows others.
    pub fn phrase(&self) -> String {
        let mut hash = Sha256::new().chain_update(self.fleet.0.as_bytes()).chain_update(self.spki);
        if let Some(replaced) = &self.replaces {
            hash = hash.chain_update(replaced.node.0.as_bytes()).chain_update(&replaced.name);
        }
        words::phrase::<4>(&hash.finalize().into()).join("-")
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {:?}, {})", self.fleet, self.addresses, self.phrase())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![if self.replaces.is_some() { FORM_IN_PLACE } else { FORM }];
        bytes.extend(self.fleet.0.as_bytes());
        bytes.extend(self.spki);
        bytes.extend(self.secret);
        if let Some(replaced) = &self.replaces {
            let last_seen = replaced.last_seen.map_or(0, Timestamp::as_millisecond);
            bytes.extend(replaced.node.0.as_bytes());
            bytes.extend(last_seen.to_be_bytes());
            put_text(&mut bytes, &replaced.name);
        }
        self.addresses.iter().for_each(|address| put_text(&mut bytes, address));
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_one = || "this is no invitation: copy the whole text, from its first letter to its last".to_owned();
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err(not_one());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| not_one())?;
        let (form, bytes) = bytes.split_first().ok_or_else(not_one)?;
        let (fleet, bytes) = bytes.split_first_chunk::<16>().ok_or_else(not_one)?;
        let (spki, bytes) = bytes.split_first_chunk::<32>().ok_or_else(not_one)?;
        let (secret, mut bytes) = bytes.split_first_chunk::<32>().ok_or_else(not_one)?;
        // Only of what is as long as an invitation: a few letters are none of any version.
        if ![FORM, FORM_IN_PLACE].contains(form) {
            return Err("this invitation was made by another version of the program: update this node first".into());
        }
        let mut replaces = None;
        if *form == FORM_IN_PLACE {
            let (read, rest) = replaced(bytes).ok_or_else(not_one)?;
            (replaces, bytes) = (Some(read), rest);
        }
        let mut addresses = Vec::new();
        while bytes.len() >= 2 {
            let (address, rest) = text_of(bytes).ok_or_else(not_one)?;
            if address.is_empty() || address.len() > ADDRESS_BYTES_MAX || addresses.len() == ADDRESSES_MAX {
                return Err(not_one());
            }
            addresses.push(address.to_owned());
            bytes = rest;
        }
        if !bytes.is_empty() {
            return Err(not_one());
        }
        Ok(Self { fleet: id(fleet), addresses, spki: *spki, secret: *secret, replaces })
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.bytes().take(usize::from(length)));
}

fn text_of(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

fn id(bytes: &[u8; 16]) -> Id {
    Id(uuid::Uuid::from_bytes(*bytes))
}

fn replaced(bytes: &[u8]) -> Option<(Replaced, &[u8])> {
    let (node, bytes) = bytes.split_first_chunk::<16>()?;
    let (last_seen, bytes) = bytes.split_first_chunk::<8>()?;
    let (name, bytes) = text_of(bytes)?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return None;
    }
    let last_seen = match i64::from_be_bytes(*last_seen) {
        0 => None,
        millis => Some(Timestamp::from_millisecond(millis).ok()?),
    };
    Some((Replaced { node: id(node), name: name.to_owned(), last_seen }, bytes))
}

/// An invitation that was made. Shown once.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Its public name, to end it by.
    pub id: Id,
    /// To be handed over.
    pub token: Token,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Access {
    /// Invites so many nodes for so many seconds.
    ///
    /// # Errors
    /// Too long, too many, or this node is in no fleet yet; [`crate::store::invitations::OPEN_MAX`] are open.
    pub fn invite(
        &self,
        allowed: Allowed<InviteNode>,
        ctx: &Ctx,
        seconds: u32,
        uses: u32,
    ) -> Result<Invited, AccessError> {
        let made = self.make(ctx, allowed.actor(), seconds, uses, None);
        self.keep_invitation(allowed, ctx, made)
    }

    /// Invites one box to go on as a member. Whether that may be is the caller's to know.
    ///
    /// # Errors
    /// As [`Access::invite`].
    pub fn invite_in_place(
        &self,
        allowed: Allowed<ReplaceNode>,
        ctx: &Ctx,
        seconds: u32,
        of: Replaced,
    ) -> Result<Invited, AccessError> {
        let made = self.make(ctx, allowed.actor(), seconds, 1, Some(of));
        self.keep_invitation(allowed, ctx, made)
    }

    fn keep_invitation<A: Act>(
        &self,
        allowed: Allowed<A>,
        ctx: &Ctx,
        made: Result<(Invited, Invitation), AccessError>,
    ) -> Result<Invited, AccessError> {
        let (invited, invitation) = match made {
            Ok(made) => made,
            Err(error) => {
                allowed.fail(&error.to_string());
                return Err(error);
            }
        };
        let edits = allowed.edits();
        if let Err(error) = self.store.put_invitation(&invitation, ctx.now.wall) {
            allowed.fail(&error.to_string());
            return Err(error.into());
        }
        if let Err(error) = allowed.commit(edits) {
            // What is in no journal does not hold.
            self.store.end_invitation(invited.id)?;
            return Err(error.into());
        }
        Ok(invited)
    }

    fn make(
        &self,
        ctx: &Ctx,
        by: &str,
        seconds: u32,
        uses: u32,
        replaces: Option<Replaced>,
    ) -> Result<(Invited, Invitation), AccessError> {
        if !SECONDS.contains(&seconds) {
            return Err(AccessError::bad("expires_seconds", "60 to 2592000, a minute to 30 days"));
        }
        if !USES.contains(&uses) {
            return Err(AccessError::bad("uses", "1 to 100"));
        }
        let fleet = self.store.fleet()?.zip(self.us());
        let Some((fleet, us)) = fleet else {
            return Err(AccessError::bad("fleet", "this node is in no fleet yet: claim it first"));
        };
        let node = replaces.as_ref().map(|replaced| replaced.node);
        let token = Token { fleet: fleet.id, addresses: us.addresses, spki: us.spki, secret: ctx.chance(), replaces };
        let expires_at = ctx.now.wall.saturating_add(SignedDuration::from_secs(i64::from(seconds)));
        let expires_at = expires_at.unwrap_or(Timestamp::MAX);
        let id = ctx.new_id();
        let (hash, by, made_at) = (hash_of_secret(&token.secret), by.to_owned(), ctx.now.wall);
        let invitation = Invitation { id, hash, by, made_at, expires_at, uses_left: uses, replaces: node };
        Ok((Invited { id, token, expires_at }, invitation))
    }

    /// Uses up a secret once. Slowed down by address after wrong ones, and for nobody else: a secret of 256 bits is not
    /// guessed, so what is to be kept off is only the work.
    ///
    /// # Errors
    /// `Wrong` if there is no such invitation or it is over; `Wait` for the throttle.
    pub fn redeem(&self, ctx: &Ctx, secret: &[u8; 32]) -> Result<Invitation, Refused> {
        self.invited_by(ctx, |hash| self.store.use_invitation(hash, ctx.now.wall), secret)
    }

    /// The invitation of a secret, not used up by it.
    ///
    /// # Errors
    /// As [`Access::redeem`].
    pub fn look_at(&self, ctx: &Ctx, secret: &[u8; 32]) -> Result<Invitation, Refused> {
        self.invited_by(ctx, |hash| self.store.invitation(hash, ctx.now.wall), secret)
    }

    fn invited_by(
        &self,
        ctx: &Ctx,
        find: impl FnOnce(&str) -> Result<Option<Invitation>, StoreError>,
        secret: &[u8; 32],
    ) -> Result<Invitation, Refused> {
        let account = format!("invitation {}", ctx.address);
        let tried = self.try_once(ctx, &account)?;
        match find(&hash_of_secret(secret))? {
            Some(invitation) => {
                self.was_right(ctx, tried, &account);
                Ok(invitation)
            }
            None => {
                self.write_denial(ctx, "invitation", "", "no such invitation, or it is over");
                Err(Refused::Wrong)
            }
        }
    }
}

fn hash_of_secret(secret: &[u8; 32]) -> String {
    hash_of(&URL_SAFE_NO_PAD.encode(secret))
}
