//! Secrets, sealed with a key of the fleet; the key's generations; and for each box of a member an envelope with each of them.
//!
//! Nothing here is in clear: what seals and opens is `access::sealing`, who does it when is `fleet::sealing`. A person sets a
//! secret (group `value`); that a node sealed the same anew with a later generation stands beside it (group `again`), so that
//! it never takes part in who said what. Two nodes that do so at once, or that make the same envelope, write two versions that
//! mean the same: no index has them as something that waits for a person, and whoever opens tries each.

use std::collections::BTreeSet;

use jiff::Timestamp;
use replicate::core::entry::Entry;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::core::write::Act;
use replicate::disk::store::{Hit, SCAN_MAX, Scan};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fleet::MEMBERS_MAX;
use super::{Edits, Id, Store, StoreError};

/// The most secrets of a fleet.
pub const SECRETS_MAX: usize = 500;
/// The most bytes of a secret's name.
pub const SECRET_NAME_BYTES_MAX: usize = 64;
/// The most bytes of a secret in clear.
pub const SECRET_BYTES_MAX: usize = 4 << 10;
/// Boxes and generations that are looked at: members, and boxes that were before them in their places.
const LISTED_MAX: usize = 2 * MEMBERS_MAX;
/// The most characters of what is sealed, base64: the secret, and what sealing adds.
const SEALED_CHARS_MAX: usize = (SECRET_BYTES_MAX + 64) / 3 * 4 + 4;
/// Characters of an X25519 public key, hexadecimal.
const PUBLIC_CHARS: usize = 64;
/// A greater number than a fleet ever counts to: numbers from elsewhere end here.
const NUMBER_MAX: u64 = 1 << 52;

/// The public half of what a box opens envelopes with. Written by the node itself; a record for each key that it is known by,
/// so that a box in another's place never stands beside it in one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sealer {
    /// The node.
    pub node: Id,
    /// The key of its box, as in [`super::fleet::Key`].
    pub spki: String,
    /// X25519, hexadecimal.
    pub public: String,
}

/// A key of the fleet; the key itself is in the envelopes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its record.
    pub id: Id,
    /// Counts up; of two with one number, made while their nodes did not meet, the greater id is the later.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// By which node.
    pub by: Id,
    /// Why.
    pub why: String,
}

/// A generation of the fleet's key, sealed to one box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which generation.
    pub generation: Id,
    /// For which box.
    #[serde(flatten)]
    pub to: Sealer,
    /// Base64.
    pub sealed: String,
}

/// A value as it is kept: sealed with a generation of the fleet's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// With which generation.
    pub generation: Id,
    /// Nonce and text, base64.
    pub sealed: String,
}

/// Who set a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBy {
    /// By the journal's name for them.
    pub by: String,
    /// When, by the clock of the node.
    pub at: Timestamp,
    /// On which node.
    pub node: Id,
}

/// A secret of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its record.
    pub id: Id,
    /// What people and programs call it.
    pub name: String,
    /// Who set it: what counts first, then what was set elsewhere without knowledge of it.
    pub set: Vec<SetBy>,
    /// What counts, in every form that lies here: the first as it was set.
    pub forms: Vec<Sealed>,
    /// Every generation that what counts was ever sealed with.
    pub generations: BTreeSet<Id>,
    /// Which version counts.
    of: String,
}

#[derive(Serialize, Deserialize)]
struct Made {
    number: u64,
    at: Timestamp,
    by: Id,
    why: String,
}

#[derive(Serialize, Deserialize)]
struct Value {
    name: String,
    #[serde(flatten)]
    sealed: Sealed,
}

#[derive(Serialize, Deserialize)]
struct Again {
    /// The version of `value` that this is.
    of: String,
    #[serde(flatten)]
    sealed: Sealed,
    /// Generations that it was sealed with before.
    earlier: BTreeSet<Id>,
}

impl Secret {
    /// The id of the secret of this name: set on two nodes that did not meet it is one secret, not two.
    pub fn id_of(name: &str) -> Id {
        Id::of_name(&format!("secret/{name}"))
    }

    /// Says what is wrong with a name, if something is.
    pub fn check_name(name: &str) -> Result<(), &'static str> {
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let is_begun = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        match is_begun && name.bytes().all(is_plain) && name.len() <= SECRET_NAME_BYTES_MAX {
            true => Ok(()),
            false => Err("A name has 1 to 64 of a-z 0-9 . _ - and begins with a letter or a number."),
        }
    }

    fn of(record: &Record) -> Option<Self> {
        let versions = record.versions("value");
        let shown: Value = said(versions.first()?)?;
        // The name is what the id is made of.
        if Self::id_of(&shown.name).record() != record.id() || Self::check_name(&shown.name).is_err() {
            return None;
        }
        let of = versions.first()?.at.dot.to_string();
        let again = record.versions("again").into_iter().filter_map(said::<Again>);
        let again: Vec<Again> = again.filter(|again| again.of == of).collect();
        let mut generations: BTreeSet<Id> = again.iter().flat_map(|again| again.earlier.clone()).collect();
        let forms: Vec<Sealed> =
            std::iter::once(shown.sealed).chain(again.into_iter().map(|again| again.sealed)).collect();
        generations.extend(forms.iter().map(|form| form.generation));
        let set = versions.iter().filter_map(|entry| SetBy::of(entry)).collect();
        Some(Self { id: Id::from_record(record.id()), name: shown.name, set, forms, generations, of })
    }
}

impl SetBy {
    fn of(entry: &Entry) -> Option<Self> {
        let fields = entry.fields.as_ref()?;
        let at = Timestamp::from_millisecond(fields.t.wall).unwrap_or(Timestamp::UNIX_EPOCH);
        Some(Self { by: fields.by.clone(), at, node: Id(Uuid::from_bytes(entry.at.dot.node.0)) })
    }
}

fn said<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    serde_json::from_str(entry.fields.as_ref()?.val.get()).ok()
}

fn sealer_id(node: Id, spki: &str) -> Id {
    Id::of_name(&format!("sealer/{node}/{spki}"))
}

fn envelope_id(generation: Id, public: &str) -> Id {
    Id::of_name(&format!("envelope/{generation}/{public}"))
}

/// What of a node's own the node itself said last. It alone writes it, so its places say what is later, whatever its clock
/// does.
fn sealer(record: &Record) -> Option<Sealer> {
    let versions = record.versions("key").into_iter().filter_map(|entry| Some((entry.at.dot, said::<Sealer>(entry)?)));
    let own = versions.filter(|(dot, sealer)| {
        dot.node.0 == sealer.node.record().0
            && sealer_id(sealer.node, &sealer.spki).record() == record.id()
            && is_public(&sealer.public)
    });
    own.max_by_key(|(dot, _)| (dot.inc, dot.seq)).map(|(_, sealer)| sealer)
}

fn is_public(text: &str) -> bool {
    text.len() == PUBLIC_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn envelopes(record: &Record) -> impl Iterator<Item = Envelope> {
    let envelopes = record.versions("sealed").into_iter().filter_map(said::<Envelope>);
    let is_its = |envelope: &Envelope| envelope_id(envelope.generation, &envelope.to.public).record() == record.id();
    envelopes.filter(is_its).collect::<Vec<_>>().into_iter()
}

pub(super) fn envelope_generation(record: &Record) -> Vec<Vec<u8>> {
    envelopes(record).take(1).map(|envelope| envelope.generation.record().0.to_vec()).collect()
}

impl Edits {
    /// Says by which key envelopes for this node are sealed.
    pub fn put_sealer(&mut self, sealer: &Sealer) {
        self.put("sealer", sealer_id(sealer.node, &sealer.spki), "key", sealer);
    }

    /// Begins a generation of the fleet's key.
    pub fn put_generation(&mut self, generation: &Generation) {
        let Generation { id, number, at, by, why } = generation.clone();
        self.put("fleet_key", id, "made", &Made { number, at, by, why });
    }

    /// Gives a generation to a box.
    pub fn put_envelope(&mut self, envelope: &Envelope) {
        self.put("envelope", envelope_id(envelope.generation, &envelope.to.public), "sealed", envelope);
    }

    /// Sets a secret, in place of all that was said of it.
    pub fn put_secret(&mut self, name: &str, sealed: &Sealed, place: &SecretPlace) {
        if let Err(why) = Secret::check_name(name) {
            self.refuse(StoreError::Invalid { field: "name", why: why.into() });
        }
        self.bound("value", &sealed.sealed, SEALED_CHARS_MAX, false);
        let id = Secret::id_of(name);
        if place.is_deleted {
            self.act("secret", id, Act::Restore);
        }
        self.put("secret", id, "value", &Value { name: name.to_owned(), sealed: sealed.clone() });
    }

    /// Notes what counts of a secret sealed anew, by a node.
    pub fn put_again(&mut self, secret: &Secret, sealed: &Sealed) {
        self.bound("value", &sealed.sealed, SEALED_CHARS_MAX, false);
        let again = Again { of: secret.of.clone(), sealed: sealed.clone(), earlier: secret.generations.clone() };
        self.put("secret", secret.id, "again", &again);
    }

    /// Forgets a secret. What lies in logs and backups stays there, sealed.
    pub fn delete_secret(&mut self, id: Id) {
        self.act("secret", id, Act::Delete);
    }
}

/// What there is under a secret's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPlace {
    /// There is one.
    pub is_set: bool,
    /// There was one.
    is_deleted: bool,
}

impl Store {
    /// What boxes say they open envelopes with, in no order that means anything; also of boxes that are believed no more.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn sealers(&self) -> Result<Vec<Sealer>, StoreError> {
        Ok(self.listed("sealer_all", Keys::All)?.iter().filter_map(|hit| sealer(&hit.record)).collect())
    }

    /// The generations of the fleet's key, the present one last.
    #[allow(clippy::missing_errors_doc)]
    pub fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        let generation = |hit: &Hit| {
            let Made { number, at, by, why } = super::value(&hit.record, "made")?;
            Some(Generation { id: Id::from_record(hit.record.id()), number: number.min(NUMBER_MAX), at, by, why })
        };
        let mut all: Vec<Generation> = self.listed("fleet_key_all", Keys::All)?.iter().filter_map(generation).collect();
        all.sort_by_key(|generation| (generation.number, generation.id));
        Ok(all)
    }

    /// The envelopes of a generation; where two nodes made the same, both.
    #[allow(clippy::missing_errors_doc)]
    pub fn envelopes(&self, generation: Id) -> Result<Vec<Envelope>, StoreError> {
        let hits = self.listed("envelope_by_generation", Keys::Beginning(generation.record().0.to_vec()))?;
        Ok(hits.iter().flat_map(|hit| envelopes(&hit.record)).collect())
    }

    /// What lies in the envelopes of a generation for a box, by its public half.
    #[allow(clippy::missing_errors_doc)]
    pub fn envelopes_for(&self, generation: Id, public: &str) -> Result<Vec<Envelope>, StoreError> {
        let record = self.record("envelope", envelope_id(generation, public))?;
        Ok(record.as_ref().map(|record| envelopes(record).collect()).unwrap_or_default())
    }

    /// All secrets, by name. Two nodes that did not meet may have set more than [`SECRETS_MAX`]; twice as many are told.
    #[allow(clippy::missing_errors_doc)]
    pub fn secrets(&self) -> Result<Vec<Secret>, StoreError> {
        Ok(self.listed("secret_by_name", Keys::All)?.iter().filter_map(|hit| Secret::of(&hit.record)).collect())
    }

    /// A secret by its name.
    #[allow(clippy::missing_errors_doc)]
    pub fn secret(&self, name: &str) -> Result<Option<Secret>, StoreError> {
        let record = self.record("secret", Secret::id_of(name))?.filter(Record::exists);
        Ok(record.as_ref().and_then(Secret::of))
    }

    /// What there is under a secret's name.
    #[allow(clippy::missing_errors_doc)]
    pub fn secret_place(&self, name: &str) -> Result<SecretPlace, StoreError> {
        let record = self.record("secret", Secret::id_of(name))?;
        let is_set = record.as_ref().is_some_and(Record::exists);
        Ok(SecretPlace { is_set, is_deleted: record.as_ref().is_some_and(Record::is_deleted) })
    }

    fn listed(&self, index: &str, keys: Keys) -> Result<Vec<Hit>, StoreError> {
        let mut scan = Scan { index: index.into(), keys, is_backward: false, after: None, limit: SCAN_MAX };
        let mut found = Vec::new();
        loop {
            let page = self.scan(&scan)?;
            let is_last = page.len() < SCAN_MAX;
            found.extend(page);
            if is_last || found.len() >= LISTED_MAX {
                return Ok(found);
            }
            scan.after = found.last().map(|hit: &Hit| (hit.key.clone(), hit.record.id()));
        }
    }
}

pub(super) fn secret_name(record: &Record) -> Vec<Vec<u8>> {
    Secret::of(record).map(|secret| secret.name.into_bytes()).into_iter().collect()
}
