//! Another box in a member's place: the hall's recorder burned, and a new one goes on as the same node.
//!
//! Lives here: when that may be, what the node that invited writes about it, and how the new box becomes the member: what it
//! will be is written down first, and done by its process when it begins anew, so that a cut leaves either box and never half
//! of both. Does not live here: the invitation (`access`), coming in (`join`), what follows for what the old box still
//! writes (`store::replacements`).

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use replicate::core::election::{Gated, Why};
use serde::{Deserialize, Serialize};

use super::Fleet;
use super::join::{Admission, Application, Bootstrap, JoinError};
use super::tls::PeerKey;
use crate::access::acts::ReplaceNode;
use crate::access::identity::{self, Node};
use crate::access::invitations::Replaced;
use crate::access::{About, Actor, Ctx, fleet::hex};
use crate::domain::access::Target;
use crate::store::fleet::{Key, Member, Profile, called};
use crate::store::replacements::Replacement;
use crate::store::{Id, StoreError, backup};
use crate::sys::files;

/// Where a newcomer keeps as whom it goes on, until it does.
const INTENT: &str = "becoming.json";
/// A larger one is none of ours.
const INTENT_BYTES_MAX: u64 = 64 << 10;
/// How long the answer to who had it join may take to reach them before the process begins anew.
const ANSWER_WAIT: Duration = Duration::from_millis(500);

/// As whom a box goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Becomes {
    /// The member.
    pub node: Id,
    /// Its name.
    pub name: String,
    /// The least incarnation it may write under.
    pub incarnation: u32,
}

/// Why another box cannot take a member's place.
#[derive(Debug, thiserror::Error)]
pub enum NotReplaceable {
    /// There is none.
    #[error("no node of this fleet has this id")]
    NoMember,
    /// It would be this node.
    #[error("this is the node itself: what takes its place is invited on another node")]
    Itself,
    /// Its place is given up for good.
    #[error("{0} was retired, and nobody takes its place: invite the new box as a node of its own")]
    Retired(String),
    /// Somebody would pull the rug from under it.
    #[error(
        "{0} is reached: it runs. Only the place of a node that is lost can be taken; switch the old box off first"
    )]
    Runs(String),
    /// Not decided here, or not now.
    #[error("taking a node's place waits for the fleet: {0}. Make the invitation on the node that coordinates")]
    Waits(Why),
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct Intent {
    becomes: Becomes,
    bootstrap: Bootstrap,
}

/// Whether this box is about to go on as somebody else.
pub(super) fn is_becoming(data: &Path) -> bool {
    data.join(INTENT).exists()
}

/// Writes down as whom this box goes on. From here on it does, at its next start at the latest.
pub(super) fn intend(data: &Path, bootstrap: &Bootstrap, becomes: &Becomes) -> io::Result<()> {
    let intent = Intent { becomes: becomes.clone(), bootstrap: bootstrap.clone() };
    files::replace(&data.join(INTENT), &serde_json::to_vec_pretty(&intent)?)
}

/// Before anything of a data folder is opened: does what was written down. Each step may be done again after a cut, and the
/// intention goes last. What the box remembered as nobody's is set aside; what it recorded stays where it is. With a sentence
/// for people if there was something to do.
///
/// # Errors
/// The folder does not give or take files.
pub fn settle(data: &Path, now: Timestamp) -> io::Result<Option<String>> {
    let path = data.join(INTENT);
    let text = match std::fs::File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(file) => {
            let mut text = Vec::new();
            file.take(INTENT_BYTES_MAX).read_to_end(&mut text)?;
            text
        }
    };
    let Ok(Intent { becomes, bootstrap }) = serde_json::from_slice(&text) else {
        std::fs::rename(&path, data.join("becoming.json.damaged"))?;
        let text = "This box was to go on as another node, and what was written down of that is damaged: it stays who it is. Join again with the same invitation.";
        return Ok(Some(text.into()));
    };
    backup::set_aside(data)?;
    bootstrap.put(data)?;
    let Becomes { node, name, incarnation } = becomes;
    identity::put(data, &Node { id: node, name: name.clone(), created_at: now, incarnation_min: incarnation })?;
    std::fs::remove_file(&path)?;
    files::sync_folder(data)?;
    Ok(Some(format!("This box goes on as {name}: people, settings and records come from the other nodes.")))
}

impl Fleet {
    /// The process is to begin anew, once who asked has the answer.
    pub(super) fn begin_anew(&self) {
        let fleet = self.clone();
        self.0.runtime.spawn(async move {
            tokio::time::sleep(ANSWER_WAIT).await;
            fleet.0.is_to_begin_anew.store(true, Ordering::Relaxed);
        });
    }

    /// Whether the process is to begin anew: it is another node from then on.
    pub fn is_to_begin_anew(&self) -> bool {
        self.0.is_to_begin_anew.load(Ordering::Relaxed)
    }

    /// The member whose place another box may take, as far as can be said now. Blocks.
    ///
    /// # Errors
    /// [`NotReplaceable`].
    pub fn replaceable(&self, node: Id) -> Result<(Member, Replaced), NotReplaceable> {
        let member = self.0.store.member(node)?.ok_or(NotReplaceable::NoMember)?;
        let name = called(node, Some(&member));
        let view = self.view()?;
        let seen = view.nodes.iter().find(|seen| seen.id == node.to_string());
        if node == self.0.store.node() {
            return Err(NotReplaceable::Itself);
        }
        if member.is_retired {
            return Err(NotReplaceable::Retired(name));
        }
        if seen.is_some_and(|seen| seen.is_reached()) {
            return Err(NotReplaceable::Runs(name));
        }
        // What the old box decides from now on counts no more: as with retiring, there is no way back.
        self.may(Gated::RetireNode).map_err(NotReplaceable::Waits)?;
        let last_seen = seen.and_then(|seen| seen.last_seen);
        // As the invitation has it: both ends show the same.
        let last_seen = last_seen.and_then(|at| Timestamp::from_millisecond(at.as_millisecond()).ok());
        Ok((member, Replaced { node, name, last_seen }))
    }

    /// The inviter's side: `key` is what the connection has proven, and the certificate is its.
    pub(super) fn admit_in_place(
        &self,
        ctx: &Ctx,
        key: PeerKey,
        application: &Application,
        node: Id,
    ) -> Result<Admission, JoinError> {
        let store = &self.0.store;
        let fleet = store.fleet()?.ok_or(JoinError::Refused("this node is in no fleet".into()))?;
        let admission = |member: &Member, incarnation| Admission {
            fleet_id: fleet.id,
            fleet_name: fleet.name.clone(),
            node_id: store.node(),
            is_keeper: member.profile.is_keeper,
            becomes: Some(Becomes { node, name: called(node, Some(member)), incarnation }),
        };
        let (spki, done) = (hex(&key.0), store.replacements()?);
        let has_key = |member: &Member| member.key.as_ref().is_some_and(|known| known.spki == spki);
        // It did not hear that it is in: its key says who it is, and nothing is written again.
        if let Some(last) = done.iter().rfind(|done| done.node == node)
            && let Some(member) = store.member(node)?.filter(|member| has_key(member) && !member.is_retired)
        {
            return Ok(admission(&member, last.until));
        }
        if store.members()?.iter().any(has_key) || done.iter().any(|done| done.spki == spki) {
            return Err(JoinError::Taken);
        }
        let secret = application.secret()?;
        if self.0.access.look_at(ctx, &secret)?.replaces != Some(node) {
            return Err(JoinError::OtherPlace);
        }
        let (member, replaced) = self.replaceable(node)?;
        let invitation = self.0.access.redeem(ctx, &secret)?;
        let about = About::thing("node", node, &replaced.name);
        let allowed = self.0.access.allow::<ReplaceNode>(ctx, &Actor::service("invitation"), &Target::Fleet, about)?;
        let done = Replacement {
            node,
            at: ctx.now.wall,
            by: invitation.by,
            through: store.node(),
            spki: member.key.as_ref().map(|key| key.spki.clone()).unwrap_or_default(),
            until: store.incarnation_above(node)?,
            words: store.last_words(node)?,
        };
        let mut edits = allowed.edits();
        edits.expect_member(node, &member.version);
        edits.put_member_key(node, &Key { spki, certificate: application.certificate.clone() });
        edits.put_member_profile(node, &Profile { addresses: application.addresses.clone(), ..member.profile.clone() });
        edits.put_replacement(ctx.new_id(), &done);
        allowed.commit(edits)?;
        let text = format!("Another box goes on as {}, invited by {}.", replaced.name, done.by);
        self.tell(ctx.now.wall, "replaced", text);
        self.look_anew();
        Ok(admission(&member, done.until))
    }

    /// Since when a key is believed no more because another box took its place.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn replaced_since(&self, key: PeerKey) -> Result<Option<Timestamp>, StoreError> {
        let spki = hex(&key.0);
        Ok(self.0.store.replacements()?.into_iter().find(|done| done.spki == spki).map(|done| done.at))
    }

    /// What a person reads on a box whose place another one took; none on any other. Blocks.
    pub(super) fn replaced_words(&self) -> Option<String> {
        let known = self.replaced_since(PeerKey(self.0.identity.spki)).ok().flatten();
        known.map(replaced_words).or_else(|| super::held(&self.0.replaced).clone())
    }
}

/// For whoever holds a key that is believed no more.
pub fn replaced_words(since: Timestamp) -> String {
    format!(
        "Another box has taken this one's place since {}: the fleet does not speak with this one any more. It goes on recording; its recordings are here and can be downloaded. To use it again, set it up anew.",
        since.strftime("%Y-%m-%d %H:%M UTC")
    )
}
