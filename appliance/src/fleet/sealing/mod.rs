//! The fleet's key and the secrets that are sealed with it.
//!
//! Lives here: the loop `sealing` ([`Keeper`]), which makes the first generation of the key, gives it to every member's box,
//! and, when a node that had it is retired or replaced, makes the next one and seals every secret anew; setting and opening a
//! secret; who could open what. `plan` decides, from the records alone, so a loop that was cut off is put right by its next
//! turn. Does not live here: sealing itself (`access::sealing`), who may. What is secret is in clear in [`Clear`] only.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use replicate::core::election::{Gated, Role};
use serde_json::json;

use self::plan::{Known, Seat, plan};
use super::{Fleet, id_of};
use crate::access::acts::{DeleteSecret, KeepFleetKey, SetSecret};
use crate::access::fleet::hex;
use crate::access::sealing::{Clear, FleetKey};
use crate::access::{About, Actor, Allowed, Ctx, Refused};
use crate::domain::access::Target;
use crate::service::{Next, Worker, moment};
use crate::store::fleet::called;
use crate::store::secrets::{Envelope, Generation, SECRET_BYTES_MAX, SECRETS_MAX, Sealed, Sealer, Secret, SecretPlace};
use crate::store::{Edits, Id, Store, StoreError};
use crate::sys::clock::Now;
use crate::sys::rng;

/// How often it is looked whether records changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often all is looked at anew, whatever changed.
const LOOK_ANEW: Duration = Duration::from_secs(60);
/// The same while something waits for the fleet, or does not open.
const LOOK_AT_WAITING: Duration = Duration::from_secs(5);
/// Between two batches of one piece of work.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// Envelopes in one batch, below [`replicate::core::write::BATCH_ACTS_MAX`].
const ENVELOPES_MAX: usize = 200;
/// Secrets sealed anew in one batch: half a megabyte at most.
const AGAIN_MAX: usize = 64;
/// Kinds of records that this is about.
const KINDS: [&str; 7] = ["member", "replacement", "fleet", "sealer", "fleet_key", "envelope", "secret"];

/// The loop.
pub struct Keeper {
    fleet: Fleet,
    since: u64,
    /// When all is looked at anew at the latest, microseconds of the monotonic clock.
    due_us: u64,
    detail: String,
}

/// What a turn came to.
struct Turn {
    /// After how long there may be more to do, if no record changes.
    next: Duration,
    detail: String,
}

/// Why a secret was not set, deleted or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The name or the value will not do.
    #[error("{why}")]
    Bad {
        /// Which.
        field: &'static str,
        /// A sentence.
        why: String,
    },
    /// There is none of this name.
    #[error("there is no secret of this name")]
    None,
    /// This node does not have the key.
    #[error("this node does not have the fleet's key yet: {0}. Nothing was changed")]
    NoKey(String),
    /// It is here and does not open.
    #[error("this secret does not open on this node: set it again")]
    Shut,
    /// Not allowed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The records cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A box that is out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone {
    /// Which node it was.
    pub node: Id,
    /// Another box is that node now.
    pub is_replaced: bool,
}

/// A secret and who can open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretState {
    /// As it is kept.
    pub secret: Secret,
    /// This node opened it just now.
    pub opens_here: bool,
    /// Members that have a key to it.
    pub opened_by: Vec<Id>,
    /// Boxes that are out and had a key to it while they were in: its value should be changed where it is from.
    pub known_to: Vec<Gone>,
    /// It is sealed with the present generation.
    pub is_present: bool,
}

/// How the fleet's secrets stand, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsState {
    /// The present generation; none before the first one.
    pub generation: Option<Generation>,
    /// Members, and whether each has the present generation.
    pub nodes: Vec<(Id, bool)>,
    /// All secrets, by name.
    pub secrets: Vec<SecretState>,
    /// What waits, and for what; none if nothing does.
    pub waits: Option<String>,
}

impl Worker for Keeper {
    fn name(&self) -> &'static str {
        "sealing"
    }

    fn step(&mut self, now: Now) -> Result<Next, String> {
        let (next, kinds) = self.fleet.0.store.changes(self.since, Duration::ZERO);
        self.since = next;
        let is_news = kinds.iter().any(|kind| KINDS.contains(&kind.as_str()));
        if !is_news && now.mono_us < self.due_us {
            return Ok(Next::after(LOOK, self.detail.clone()));
        }
        // A turn that fails comes again.
        self.due_us = 0;
        let seed = rng::bytes::<32>().map_err(|error| format!("no random numbers: {error}"))?;
        let turn = self.fleet.turn(&Ctx::new(moment(now), seed, "", "rakkr node"), &self.fleet.seat())?;
        self.due_us = now.mono_us.saturating_add(turn.next.as_micros() as u64);
        self.detail.clone_from(&turn.detail);
        Ok(Next::after(turn.next.min(LOOK), turn.detail))
    }
}

/// Keys of the fleet that this box can open, looked up once each.
struct Ring<'a> {
    fleet: &'a Fleet,
    keys: BTreeMap<Id, Option<FleetKey>>,
}

impl Ring<'_> {
    fn key(&mut self, generation: Id) -> Result<Option<&FleetKey>, StoreError> {
        let key = match self.keys.entry(generation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let sealing = &self.fleet.0.sealing;
                let envelopes = self.fleet.0.store.envelopes_for(generation, sealing.public())?;
                place.insert(envelopes.iter().find_map(|envelope| sealing.open(envelope)))
            }
        };
        Ok(key.as_ref())
    }

    fn open(&mut self, secret: &Secret) -> Result<Option<Clear>, StoreError> {
        for form in &secret.forms {
            if let Some(clear) = self.key(form.generation)?.and_then(|key| key.open(secret.id, form)) {
                return Ok(Some(clear));
            }
        }
        Ok(None)
    }
}

impl Fleet {
    /// The loop that keeps the key.
    pub fn sealing(&self) -> Keeper {
        Keeper { fleet: self.clone(), since: 0, due_us: 0, detail: String::new() }
    }

    fn ring(&self) -> Ring<'_> {
        Ring { fleet: self, keys: BTreeMap::new() }
    }

    /// How this node stands; before its links are there it decides nothing.
    fn seat(&self) -> Seat {
        let Some(hub) = self.hub() else {
            let may = Err("this node has no links yet".to_owned());
            return Seat { coordinator: None, near: BTreeSet::new(), may };
        };
        let look = hub.look();
        let coordinator = match look.election.role {
            Role::Coordinator { token, .. } | Role::Follower { token, .. } => Some(id_of(token.node)),
            Role::Candidate | Role::Bystander => None,
        };
        let may = self.may(Gated::RotateFleetKey).map_err(|why| why.to_string());
        Seat { coordinator, near: look.peers.keys().map(|node| id_of(*node)).collect(), may }
    }

    fn own_box(&self) -> Sealer {
        let (node, spki) = (self.0.store.node(), hex(&self.0.identity.spki));
        Sealer { node, spki, public: self.0.sealing.public().to_owned() }
    }

    /// What the records say; nothing while this box is no member of a fleet, or not any more.
    fn sealing_known(&self, secrets: &[Secret]) -> Result<Option<Known>, StoreError> {
        let (store, us) = (&self.0.store, self.own_box());
        let all = store.members()?;
        let key = |key: &crate::store::fleet::Key| key.spki.clone();
        let believed = all.iter().filter(|member| !member.is_retired);
        let members: BTreeMap<Id, String> =
            believed.filter_map(|member| Some((member.id, member.key.as_ref().map(key)?))).collect();
        if store.fleet()?.is_none() || members.get(&us.node) != Some(&us.spki) {
            return Ok(None);
        }
        let present = match store.generations()?.pop() {
            Some(present) => Some((present.clone(), boxes(store, present.id)?)),
            None => None,
        };
        let mut earlier = BTreeMap::new();
        let mut stale = BTreeMap::new();
        let is_present = |form: &Sealed| present.as_ref().is_some_and(|(present, _)| form.generation == present.id);
        for secret in secrets.iter().filter(|secret| !secret.forms.iter().any(is_present)) {
            for form in &secret.forms {
                if let Entry::Vacant(place) = earlier.entry(form.generation) {
                    place.insert(boxes(store, form.generation)?);
                }
            }
            stale.insert(secret.id, secret.forms.iter().map(|form| form.generation).collect());
        }
        Ok(Some(Known {
            us,
            members,
            retired: all.iter().filter(|member| member.is_retired).map(|member| member.id).collect(),
            replaced: store.replacements()?.into_iter().map(|done| done.spki).collect(),
            sealers: store.sealers()?.into_iter().collect(),
            present,
            stale,
            earlier,
            names: all.iter().map(|member| (member.id, called(member.id, Some(member)))).collect(),
        }))
    }

    /// One turn of the loop: at most one batch of each piece of work.
    fn turn(&self, ctx: &Ctx, seat: &Seat) -> Result<Turn, String> {
        let told = |error: StoreError| error.to_string();
        let secrets = self.0.store.secrets().map_err(told)?;
        let Some(known) = self.sealing_known(&secrets).map_err(told)? else {
            let detail = "this node is in no fleet".to_owned();
            return Ok(Turn { next: LOOK_ANEW, detail });
        };
        let work = plan(&known, seat);
        let mut is_changed = work.tell || work.mint.is_some();
        if work.tell {
            let mut edits = Edits::by("service:sealing");
            edits.put_sealer(&known.us);
            self.0.store.commit(edits, ctx.now).map_err(told)?;
        }
        if let Some(why) = &work.mint {
            self.mint(ctx, &known, why).map_err(|error| error.to_string())?;
        }
        let mut ring = self.ring();
        let mut shut = 0;
        if let Some((present, _)) = &known.present {
            let given = self.give(ctx, &mut ring, &known, present, &work.give).map_err(|error| error.to_string())?;
            let again = secrets.iter().filter(|secret| work.again.contains(&secret.id)).collect::<Vec<_>>();
            let done = self.seal_again(ctx, &mut ring, present, &again).map_err(|error| error.to_string())?;
            shut = again.len().min(AGAIN_MAX) - done;
            is_changed |= given + done > 0;
        }
        let detail = match (&work.waits, &known.present) {
            (Some(waits), _) => waits.clone(),
            (None, Some((present, given))) => {
                let of = known.members.len();
                let have = given.iter().filter(|sealer| known.can_open(sealer)).count();
                format!("key {}: {have} of {of} nodes have it; {} secrets", present.number, secrets.len())
            }
            (None, None) => "the fleet's first key is made".to_owned(),
        };
        let detail = if shut > 0 { format!("{detail}; {shut} do not open here") } else { detail };
        let next = match () {
            () if is_changed => BATCH_WAIT,
            () if work.waits.is_some() || shut > 0 => LOOK_AT_WAITING,
            () => LOOK_ANEW,
        };
        Ok(Turn { next, detail })
    }

    fn keeps(
        &self,
        ctx: &Ctx,
        generation: &Generation,
        after: serde_json::Value,
    ) -> Result<Allowed<KeepFleetKey>, Refused> {
        let about = About::thing("fleet_key", generation.id, &format!("key {}", generation.number)).after(after);
        self.0.access.allow::<KeepFleetKey>(ctx, &Actor::service("sealing"), &Target::Fleet, about)
    }

    /// Makes the next generation, and gives it to this box in the same step: a key that nobody has is never the present one.
    fn mint(&self, ctx: &Ctx, known: &Known, why: &str) -> Result<(), SecretError> {
        let number = known.present.as_ref().map_or(0, |(present, _)| present.number) + 1;
        let (by, at) = (known.us.node, ctx.now.wall);
        let generation = Generation { id: ctx.new_id(), number, at, by, why: why.to_owned() };
        let key = FleetKey::of_chance(ctx);
        let others = known.sealers.iter().filter(|sealer| known.is_believed(sealer) && **sealer != known.us);
        let boxes: Vec<&Sealer> = std::iter::once(&known.us).chain(others).take(ENVELOPES_MAX).collect();
        let names: Vec<String> = boxes.iter().map(|sealer| known.name(sealer.node)).collect();
        let allowed = self.keeps(ctx, &generation, json!({ "made": why, "given_to": names }))?;
        let mut edits = allowed.edits();
        edits.put_generation(&generation);
        for envelope in boxes.iter().filter_map(|to| key.seal_to(generation.id, to, ctx)) {
            edits.put_envelope(&envelope);
        }
        Ok(allowed.commit(edits)?)
    }

    /// Gives the present generation to boxes that do not have it; to how many.
    fn give(
        &self,
        ctx: &Ctx,
        ring: &mut Ring<'_>,
        known: &Known,
        present: &Generation,
        to: &[Sealer],
    ) -> Result<usize, SecretError> {
        let boxes = to.iter().take(ENVELOPES_MAX);
        let Some(key) = ring.key(present.id)? else { return Ok(0) };
        let envelopes: Vec<Envelope> = boxes.filter_map(|to| key.seal_to(present.id, to, ctx)).collect();
        if envelopes.is_empty() {
            return Ok(0);
        }
        let names: Vec<String> = envelopes.iter().map(|envelope| known.name(envelope.to.node)).collect();
        let allowed = self.keeps(ctx, present, json!({ "given_to": names }))?;
        let mut edits = allowed.edits();
        envelopes.iter().for_each(|envelope| edits.put_envelope(envelope));
        allowed.commit(edits)?;
        Ok(envelopes.len())
    }

    /// Seals secrets with the present generation; how many could be opened.
    fn seal_again(
        &self,
        ctx: &Ctx,
        ring: &mut Ring<'_>,
        present: &Generation,
        secrets: &[&Secret],
    ) -> Result<usize, SecretError> {
        let mut sealed = Vec::new();
        for secret in secrets.iter().take(AGAIN_MAX) {
            let Some(clear) = ring.open(secret)? else { continue };
            let key = ring.key(present.id)?;
            let again = key.and_then(|key| key.seal(secret.id, present.id, &clear, ctx).ok());
            sealed.extend(again.map(|again| (*secret, again)));
        }
        if sealed.is_empty() {
            return Ok(0);
        }
        let names: Vec<&str> = sealed.iter().map(|(secret, _)| secret.name.as_str()).collect();
        let allowed = self.keeps(ctx, present, json!({ "sealed_again": names }))?;
        let mut edits = allowed.edits();
        sealed.iter().for_each(|(secret, again)| edits.put_again(secret, again));
        allowed.commit(edits)?;
        Ok(sealed.len())
    }

    /// Opens a secret, for whoever in this program uses it. It goes into no log, no record and no answer.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn open_secret(&self, name: &str) -> Result<Clear, SecretError> {
        let secret = self.0.store.secret(name)?.ok_or(SecretError::None)?;
        self.ring().open(&secret)?.ok_or(SecretError::Shut)
    }

    /// Sets a secret, in place of what was there.
    ///
    /// # Errors
    /// [`SecretError`]; nothing was changed, and the journal says so.
    pub fn set_secret(
        &self,
        ctx: &Ctx,
        allowed: Allowed<SetSecret>,
        name: &str,
        clear: &Clear,
    ) -> Result<(), SecretError> {
        match self.sealed(ctx, name, clear) {
            Ok((sealed, place)) => {
                let mut edits = allowed.edits();
                edits.put_secret(name, &sealed, &place);
                Ok(allowed.commit(edits)?)
            }
            Err(error) => {
                allowed.fail(&error.to_string());
                Err(error)
            }
        }
    }

    fn sealed(&self, ctx: &Ctx, name: &str, clear: &Clear) -> Result<(Sealed, SecretPlace), SecretError> {
        let bad = |field, why: &str| SecretError::Bad { field, why: why.to_owned() };
        Secret::check_name(name).map_err(|why| bad("name", why))?;
        if clear.reveal().is_empty() || clear.reveal().len() > SECRET_BYTES_MAX {
            return Err(bad("value", &format!("A secret has 1 to {SECRET_BYTES_MAX} bytes.")));
        }
        let (store, id) = (&self.0.store, Secret::id_of(name));
        let place = store.secret_place(name)?;
        if !place.is_set && store.secrets()?.len() >= SECRETS_MAX {
            return Err(bad("name", &format!("There are {SECRETS_MAX} secrets, and that is the most: delete one.")));
        }
        let present = store.generations()?.pop();
        let present =
            present.ok_or_else(|| SecretError::NoKey("it is about to be made, try again in a moment".into()))?;
        let mut ring = self.ring();
        let Some(key) = ring.key(present.id)? else {
            let why = "another node gives it as soon as they reach each other; try again in a moment, or on that node";
            return Err(SecretError::NoKey(why.into()));
        };
        let sealed = key.seal(id, present.id, clear, ctx).map_err(|_| bad("value", "It cannot be sealed."))?;
        Ok((sealed, place))
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn delete_secret(&self, allowed: Allowed<DeleteSecret>, name: &str) -> Result<(), SecretError> {
        if !self.0.store.secret_place(name)?.is_set {
            let error = SecretError::None;
            allowed.fail(&error.to_string());
            return Err(error);
        }
        let mut edits = allowed.edits();
        edits.delete_secret(Secret::id_of(name));
        Ok(allowed.commit(edits)?)
    }

    /// How the secrets stand. Each is opened, and what was in it wiped. Blocks.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn secrets(&self) -> Result<SecretsState, StoreError> {
        let secrets = self.0.store.secrets()?;
        let Some(known) = self.sealing_known(&secrets)? else {
            let waits = Some("this node is in no fleet".to_owned());
            return Ok(SecretsState { generation: None, nodes: Vec::new(), secrets: Vec::new(), waits });
        };
        // Who of each generation can open, and who is out: the same for all secrets of it.
        let mut able: BTreeMap<Id, (BTreeSet<Id>, BTreeSet<Gone>)> = BTreeMap::new();
        for generation in secrets.iter().flat_map(|secret| &secret.generations) {
            if let Entry::Vacant(place) = able.entry(*generation) {
                let boxes = boxes(&self.0.store, *generation)?;
                let can = boxes.iter().filter(|sealer| known.can_open(sealer)).map(|sealer| sealer.node).collect();
                let gone = boxes
                    .iter()
                    .filter(|sealer| known.is_gone(sealer))
                    .map(|sealer| Gone { node: sealer.node, is_replaced: !known.retired.contains(&sealer.node) });
                place.insert((can, gone.collect()));
            }
        }
        let present = known.present.as_ref().map(|(present, _)| present.id);
        let (mut ring, mut states) = (self.ring(), Vec::new());
        for secret in secrets {
            let can = |form: &Sealed| able.get(&form.generation).into_iter().flat_map(|(can, _)| can);
            let opened_by: BTreeSet<Id> = secret.forms.iter().flat_map(can).copied().collect();
            let knew = secret.generations.iter().filter_map(|generation| able.get(generation));
            let known_to: BTreeSet<Gone> = knew.flat_map(|(_, gone)| gone.clone()).collect();
            let is_present = secret.forms.iter().any(|form| Some(form.generation) == present);
            let opens_here = ring.open(&secret)?.is_some();
            let (opened_by, known_to) = (opened_by.into_iter().collect(), known_to.into_iter().collect());
            states.push(SecretState { secret, opens_here, opened_by, known_to, is_present });
        }
        let given = known.present.iter().flat_map(|(_, given)| given).filter(|sealer| known.can_open(sealer));
        let have: BTreeSet<Id> = given.map(|sealer| sealer.node).collect();
        Ok(SecretsState {
            nodes: known.members.keys().map(|node| (*node, have.contains(node))).collect(),
            waits: plan(&known, &self.seat()).waits,
            generation: known.present.map(|(present, _)| present),
            secrets: states,
        })
    }
}

/// The boxes that a generation was given to.
fn boxes(store: &Store, generation: Id) -> Result<BTreeSet<Sealer>, StoreError> {
    Ok(store.envelopes(generation)?.into_iter().map(|envelope| envelope.to).collect())
}
