//! Coming into a fleet: what the newcomer does, and what the node that invited it does.
//!
//! The newcomer dials the node whose key the invitation pins, shows its own key and the secret, and is written into the
//! roster there. From then on it is a member: people, rooms and rights come to it as records do. Whoever holds an
//! invitation may bring one node in; the key that comes in is the one that the connection has proven, whatever is said.

use std::io;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt, Limited};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::call::send;
use super::replace::{self, Becomes, NotReplaceable};
use super::tls::{PeerKey, dial_any};
use super::{Fleet, links, topology};
use crate::access::acts::JoinFleet;
use crate::access::invitations::Token;
use crate::access::{About, Actor, Ctx, Refused};
use crate::domain::access::Target;
use crate::store::fleet::{Joined, Key, Member, Profile};
use crate::store::{Edits, Id, StoreError};
use crate::sys::files;

/// Where a newcomer knocks.
pub const ENROL: &str = "/peer/v1/enrol";
/// The longest answer to it.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long the first records may take to arrive: who may log in comes with them.
const FIRST_RECORDS_WAIT: Duration = Duration::from_secs(30);
/// In which file a newcomer keeps its fleet until the records of it have arrived.
const BOOTSTRAP: &str = "fleet.json";

/// What a newcomer says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Application {
    /// The invitation's secret: 32 bytes, base64url.
    pub secret: String,
    /// Its id.
    pub node_id: Id,
    /// Name for people.
    pub name: String,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// Its certificate, DER in base64: the one that the connection has shown.
    pub certificate: String,
    /// The member as whom it is to go on; none if it stays who it is.
    #[serde(default)]
    pub replaces: Option<Id>,
}

/// What it is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admission {
    /// Into which fleet it came.
    pub fleet_id: Id,
    /// What that is called.
    pub fleet_name: String,
    /// The node that let it in.
    pub node_id: Id,
    /// It is to keep everybody's records.
    #[serde(default)]
    pub is_keeper: bool,
    /// As whom it goes on; none if it stays who it is.
    #[serde(default)]
    pub becomes: Option<Becomes>,
}

impl Application {
    pub(super) fn secret(&self) -> Result<[u8; 32], Refused> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.secret).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(Refused::Wrong)
    }
}

/// Why a node did not come in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It has people and records of its own.
    #[error(
        "this node is claimed already: only a node without people can join a fleet. Set it up anew (its recordings stay on its disk) and join then"
    )]
    Claimed,
    /// The node that invited is not reached.
    #[error("the node that invited is not reached: {0}. Nothing was changed here")]
    Unreached(String),
    /// It said no.
    #[error("the node that invited said no: {0}")]
    Refused(String),
    /// It is another node, or another fleet.
    #[error("what came in says it is another node than its key: nothing was changed")]
    NotThem,
    /// A member has its name, with another key.
    #[error("a node of the fleet has this id and another key: who it was must be retired, and this one set up anew")]
    Taken,
    /// This node was retired from the fleet.
    #[error("this node was retired from the fleet and cannot come back under its old name: flash it anew")]
    Retired,
    /// The invitation is for somebody else's place, or for none.
    #[error("this invitation is for another place than was asked for: nothing was changed. Make another one")]
    OtherPlace,
    /// The member's place cannot be taken.
    #[error(transparent)]
    NotReplaceable(#[from] NotReplaceable),
    /// The records have not arrived.
    #[error("this node is in the fleet, and the first records have not arrived yet: its page will show when they have")]
    NoRecords,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Likewise, or it is not allowed.
    #[error(transparent)]
    Access(#[from] Refused),
    /// A file could not be kept.
    #[error("fleet.json cannot be kept: {0}")]
    File(#[from] std::io::Error),
}

/// The fleet of a newcomer, until its records say so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bootstrap {
    pub admission: Admission,
    pub addresses: Vec<String>,
    pub spki: String,
}

impl Bootstrap {
    pub fn put(&self, data: &Path) -> io::Result<()> {
        files::replace(&data.join(BOOTSTRAP), &serde_json::to_vec_pretty(self)?)
    }
}

/// Whether a node has come into a fleet of which the records may not be here yet.
pub fn has_joined(data: &Path) -> bool {
    data.join(BOOTSTRAP).exists()
}

impl Fleet {
    pub(super) fn bootstrap(&self) -> Option<Bootstrap> {
        let text = std::fs::read(self.0.data.join(BOOTSTRAP)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The newcomer's side. Returns when the first records are here: from then on the fleet's people can log in. Who comes in
    /// a member's place hears that it may, and its process begins anew as that member a moment later.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self, token: &Token) -> Result<Admission, JoinError> {
        let access = self.0.access.clone();
        let is_claimed = tokio::task::spawn_blocking(move || access.is_claimed()).await;
        let is_claimed = is_claimed.map_err(|error| JoinError::Unreached(error.to_string()))??;
        if is_claimed || self.bootstrap().is_some() || replace::is_becoming(&self.0.data) {
            return Err(JoinError::Claimed);
        }
        let us = self.0.access.us().ok_or_else(|| JoinError::Unreached("this node has not started yet".into()))?;
        let application = Application {
            secret: URL_SAFE_NO_PAD.encode(token.secret),
            node_id: self.0.store.node(),
            name: us.name,
            addresses: us.addresses,
            certificate: STANDARD.encode(us.certificate),
            replaces: token.replaces.as_ref().map(|replaced| replaced.node),
        };
        let key = PeerKey(token.spki);
        let (admission, address) = self.knock(token, key, &application).await?;
        let becomes = admission.becomes.as_ref().map(|becomes| becomes.node);
        if admission.fleet_id != token.fleet || becomes != application.replaces {
            return Err(JoinError::NotThem);
        }
        let mut addresses = vec![address];
        addresses
            .extend(token.addresses.iter().filter(|other| !addresses.contains(other)).cloned().collect::<Vec<_>>());
        let kept = Bootstrap { admission: admission.clone(), addresses, spki: crate::access::fleet::hex(&token.spki) };
        if let Some(becomes) = &admission.becomes {
            replace::intend(&self.0.data, &kept, becomes)?;
            self.begin_anew();
            return Ok(admission);
        }
        kept.put(&self.0.data)?;
        self.look_anew();
        self.first_records().await?;
        Ok(admission)
    }

    async fn knock(
        &self,
        token: &Token,
        key: PeerKey,
        application: &Application,
    ) -> Result<(Admission, String), JoinError> {
        fn unreached(error: impl std::fmt::Display) -> JoinError {
            JoinError::Unreached(error.to_string())
        }
        let (stream, address) = dial_any(&token.addresses, &self.0.identity, key).await.map_err(unreached)?;
        let body = serde_json::to_vec(application).map_err(std::io::Error::from)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(ENROL)
            .header(header::HOST, address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(unreached)?;
        let answer = send(stream, request).await.map_err(unreached)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(unreached)?.to_bytes();
        if !status.is_success() {
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let why = told["detail"].as_str().unwrap_or(status.as_str()).to_owned();
            return Err(JoinError::Refused(why));
        }
        let admission = serde_json::from_slice(&body).map_err(|error| JoinError::Refused(error.to_string()))?;
        Ok((admission, address.to_owned()))
    }

    async fn first_records(&self) -> Result<(), JoinError> {
        let here = async {
            let mut changed = self.0.live.changed();
            loop {
                changed.mark_unchanged();
                let (store, access) = (self.0.store.clone(), self.0.access.clone());
                let has_come = tokio::task::spawn_blocking(move || {
                    let is_member = store.member(store.node()).ok().flatten().is_some();
                    is_member && store.fleet().ok().flatten().is_some() && access.is_claimed().unwrap_or(false)
                });
                if has_come.await.unwrap_or(false) {
                    return;
                }
                // The store's ear tells of new records; the clock only guards against a missed word.
                let _ = tokio::time::timeout(links::LOOK_EVERY, changed.changed()).await;
            }
        };
        tokio::time::timeout(FIRST_RECORDS_WAIT, here).await.map_err(|_| JoinError::NoRecords)
    }

    /// The inviter's side: `key` is what the connection has proven.
    ///
    /// # Errors
    /// [`JoinError`]; a used-up invitation stays used up only if the newcomer came in.
    pub fn admit(&self, ctx: &Ctx, key: PeerKey, application: &Application) -> Result<Admission, JoinError> {
        let certificate = STANDARD.decode(&application.certificate).ok().map(CertificateDer::from);
        if certificate.as_ref().and_then(PeerKey::of) != Some(key) || application.node_id == self.0.store.node() {
            return Err(JoinError::NotThem);
        }
        if let Some(node) = application.replaces {
            return self.admit_in_place(ctx, key, application, node);
        }
        let before = self.0.store.member(application.node_id)?;
        if before.as_ref().is_some_and(|member| member.is_retired) {
            return Err(JoinError::Retired);
        }
        // Whoever may bring a node in may not put it in a member's place.
        let spki = crate::access::fleet::hex(&key.0);
        if before.and_then(|member| member.key).is_some_and(|known| known.spki != spki) {
            return Err(JoinError::Taken);
        }
        let fleet = self.0.store.fleet()?.ok_or(JoinError::Refused("this node is in no fleet".into()))?;
        let secret = application.secret()?;
        if self.0.access.look_at(ctx, &secret)?.replaces.is_some() {
            return Err(JoinError::OtherPlace);
        }
        let invitation = self.0.access.redeem(ctx, &secret)?;
        let node = self.0.store.node();
        let is_keeper = topology::keeps_all(&topology::believed(&self.0.store.kept_members()?), application.node_id);
        let member = Member {
            id: application.node_id,
            key: Some(Key { spki, certificate: application.certificate.clone() }),
            profile: Profile {
                name: application.name.clone(),
                addresses: application.addresses.clone(),
                priority: 0,
                is_keeper,
                is_candidate: true,
                weight: 1,
            },
            joined: Some(Joined { at: ctx.now.wall, by: invitation.by.clone(), through: node }),
            is_retired: false,
            version: String::new(),
        };
        let about = About::thing("node", application.node_id, &application.name);
        let allowed = self.0.access.allow::<JoinFleet>(ctx, &Actor::service("invitation"), &Target::Fleet, about)?;
        let mut edits: Edits = allowed.edits();
        edits.put_member(&member);
        allowed.commit(edits)?;
        self.look_anew();
        Ok(Admission { fleet_id: fleet.id, fleet_name: fleet.name, node_id: node, is_keeper, becomes: None })
    }
}
