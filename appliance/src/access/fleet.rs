//! Becoming a fleet: a node that is claimed is a fleet of one, with itself as its first member.
//!
//! Lives here: how this node shows itself ([`Us`]), and the records of that written once, at the claim or at the start of a
//! node that was claimed before there were fleets. Does not live here: other nodes, links, who coordinates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::acts::EditFleet;
use super::{About, Access, Actor, Ctx, Refused};
use crate::domain::access::Target;
use crate::store::fleet::{Fleet, Joined, Key, Member, Profile};
use crate::store::{Edits, StoreError};

/// How this node shows itself to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Us {
    /// Name for people.
    pub name: String,
    /// Where it is reached: `host:port`, the best first.
    pub addresses: Vec<String>,
    /// SHA-256 of its public key.
    pub spki: [u8; 32],
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

impl Us {
    fn key(&self) -> Key {
        Key { spki: hex(&self.spki), certificate: STANDARD.encode(&self.certificate) }
    }
}

impl Access {
    /// Says how this node shows itself. Before that nobody can be invited, and a claim makes no fleet.
    pub fn introduce(&self, us: Us) {
        *self.desk.us() = Some(us);
    }

    /// How this node shows itself; none before [`Access::introduce`].
    pub fn us(&self) -> Option<Us> {
        self.desk.us().clone()
    }

    /// At the start: what a claimed node has not yet said of itself is written, once. That is all of it on a node that was
    /// claimed before there were fleets, and the key when it had to be made anew. Whether there was anything to write.
    ///
    /// # Errors
    /// The records cannot be read or written.
    pub fn found(&self, ctx: &Ctx) -> Result<bool, Refused> {
        let _alone = self.desk.people();
        let Some(us) = self.us() else { return Ok(false) };
        if !self.is_claimed()? {
            return Ok(false);
        }
        let node = self.store.node();
        let mut edits = Edits::by("service:fleet");
        let spki = hex(&us.spki);
        if self.store.replacements()?.iter().any(|done| done.node == node && done.spki == spki) {
            // Another box is this node: its key is the one that counts.
            return Ok(false);
        }
        match self.store.member(node)? {
            Some(member) if member.is_retired || member.key == Some(us.key()) => {}
            Some(_) => edits.put_member_key(node, &us.key()),
            None => {
                let room = self.store.room()?;
                let name = room.as_ref().map_or(us.name.as_str(), |room| room.name.as_str());
                self.put_first_member(&mut edits, ctx, name, "rakkr")?;
                // There was no other node whose room it could be.
                if let Some(room) = room.filter(|room| room.node.is_none()) {
                    edits.put_place(room.id, node);
                }
            }
        }
        if edits.is_empty() {
            return Ok(false);
        }
        let about = About::thing("node", node, &us.name);
        let allowed = self.allow::<EditFleet>(ctx, &Actor::service("fleet"), &Target::Fleet, about)?;
        allowed.commit(edits)?;
        Ok(true)
    }

    /// The fleet, if there is none yet, and this node as a member of it, if it is none yet.
    pub(super) fn put_first_member(
        &self,
        edits: &mut Edits,
        ctx: &Ctx,
        fleet: &str,
        by: &str,
    ) -> Result<(), StoreError> {
        let node = self.store.node();
        let Some(us) = self.us() else { return Ok(()) };
        if self.store.fleet()?.is_none() {
            edits.put_fleet(&Fleet { id: ctx.new_id(), name: fleet.to_owned() });
        }
        if self.store.member(node)?.is_some() {
            return Ok(());
        }
        edits.put_member(&Member {
            id: node,
            key: Some(us.key()),
            profile: Profile {
                name: us.name.clone(),
                addresses: us.addresses.clone(),
                priority: 0,
                is_keeper: true,
                is_candidate: true,
                weight: 1,
            },
            joined: Some(Joined { at: ctx.now.wall, by: by.to_owned(), through: node }),
            is_retired: false,
            version: String::new(),
        });
        Ok(())
    }
}

/// Bytes as the roster has them: hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
