//! Sealing: what is secret lies in the records sealed with a key of the fleet, and that key sealed to each node's box.
//!
//! Lives here: this box's own key in `sealing.key`, and sealing and opening with either. Does not live here: which generation
//! of the fleet's key counts, who gets it, when it changes (`fleet::sealing`), the records (`store::secrets`). Nothing of the
//! cryptography is ours: an envelope is HPKE (RFC 9180, base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305), a secret is
//! XChaCha20-Poly1305 with a nonce by chance. What it is of is bound to each: an envelope or a secret that was copied to
//! another place does not open. What is in clear has no `Debug`, no `Display` and no JSON, and is wiped when it is dropped.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::fleet::hex;
use super::{Ctx, private};
use crate::store::Id;
use crate::store::secrets::{Envelope, Sealed, Sealer};

type Private = <X25519HkdfSha256 as Kem>::PrivateKey;
type Public = <X25519HkdfSha256 as Kem>::PublicKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Where a box keeps its own half. Not in a backup: what is sealed in a backup stays sealed.
pub const KEY_FILE: &str = "sealing.key";
/// A larger file is none of ours.
const KEY_FILE_BYTES_MAX: u64 = 256;
/// What an envelope is for (HPKE's `info`). Part of the stored form.
const ENVELOPE_INFO: &[u8] = b"rakkr fleet key 1";
/// What a sealed secret begins its associated data with. Part of the stored form.
const SECRET_INFO: &[u8] = b"rakkr secret 1";
/// Bytes of the key that HPKE puts before what it seals (RFC 9180, 7.1: Nenc of X25519).
const ENCAPPED_BYTES: usize = 32;
/// Bytes of XChaCha20's nonce.
const NONCE_BYTES: usize = 24;

/// Something secret in clear: for whoever uses it, for as long as they do.
#[derive(Clone)]
pub struct Clear(Zeroizing<Vec<u8>>);

impl Clear {
    /// Takes it over; where it came from is not wiped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. They must not be logged, told or kept.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Clear {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Whatever else it is, no message tells of it.
        let text = String::deserialize(from).map_err(|_| D::Error::custom("a text is needed"))?;
        Ok(Self::new(text.into_bytes()))
    }
}

/// A generation of the fleet's key, in memory.
pub struct FleetKey(Zeroizing<[u8; 32]>);

/// This box's own key.
pub struct BoxKey {
    private: Private,
    public: String,
}

/// Chance for HPKE: of the request, as everything else.
struct Chance<'a>(&'a Ctx);

impl TryRng for Chance<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut four = [0; 4];
        self.try_fill_bytes(&mut four)?;
        Ok(u32::from_le_bytes(four))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut eight = [0; 8];
        self.try_fill_bytes(&mut eight)?;
        Ok(u64::from_le_bytes(eight))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for part in to.chunks_mut(32) {
            let drawn = Zeroizing::new(self.0.chance());
            part.copy_from_slice(&drawn[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Chance<'_> {}

/// Loads this box's key from `sealing.key`, or makes one. With a sentence if one was there and was of no use: what was sealed
/// to it is then for nobody, and another node that has the fleet's key gives it to the new one.
///
/// # Errors
/// The folder does not give or take the file.
pub fn box_key(folder: &Path, ctx: &Ctx) -> io::Result<(BoxKey, Option<String>)> {
    let path = folder.join(KEY_FILE);
    let mut alarm = None;
    if path.exists() {
        if let Some(key) = read_key(&path) {
            return Ok((key, None));
        }
        let aside = super::identity::put_aside(&path, ctx)?;
        alarm = Some(format!(
            "The key to the fleet's secrets was damaged or open to others and lies in {aside}: this node has a new one. Another node gives it the secrets; if there is none, they must be set again."
        ));
    }
    let chance = Zeroizing::new(ctx.chance());
    let (private, public) = X25519HkdfSha256::derive_keypair(chance.as_slice());
    let mut bytes = Zeroizing::new([0; 32]);
    private.write_exact(bytes.as_mut_slice());
    let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
    private::replace(&path, text.as_bytes())?;
    Ok((BoxKey { private, public: hex(&public.to_bytes()) }, alarm))
}

fn read_key(path: &Path) -> Option<BoxKey> {
    let text = Zeroizing::new(private::read(path, KEY_FILE_BYTES_MAX)?);
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    let private = Private::from_bytes(&bytes).ok()?;
    let public = hex(&X25519HkdfSha256::sk_to_pk(&private).to_bytes());
    Some(BoxKey { private, public })
}

impl BoxKey {
    /// Its public half, hexadecimal.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Opens an envelope; nothing if it is not for this box, or was altered or copied.
    pub fn open(&self, envelope: &Envelope) -> Option<FleetKey> {
        let bytes = STANDARD.decode(&envelope.sealed).ok()?;
        let (encapped, sealed) = bytes.split_at_checked(ENCAPPED_BYTES)?;
        let encapped = Encapped::from_bytes(encapped).ok()?;
        let place = envelope_place(envelope.generation, &envelope.to);
        let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapped,
            ENVELOPE_INFO,
            sealed,
            &place,
        );
        let opened = Zeroizing::new(opened.ok()?);
        let key: [u8; 32] = opened.as_slice().try_into().ok()?;
        Some(FleetKey(Zeroizing::new(key)))
    }
}

/// Of which generation, to which node's which box.
fn envelope_place(generation: Id, to: &Sealer) -> Vec<u8> {
    let ids = [generation.0.as_bytes().as_slice(), to.node.0.as_bytes()].concat();
    [&ids, to.spki.as_bytes(), to.public.as_bytes()].concat()
}

/// What of what is sealed with which key: the kind, the record, the generation.
fn secret_place(id: Id, generation: Id) -> Vec<u8> {
    [SECRET_INFO, id.0.as_bytes(), generation.0.as_bytes()].concat()
}

impl FleetKey {
    /// Of 32 bytes that nobody can guess.
    pub fn of_chance(ctx: &Ctx) -> Self {
        Self(Zeroizing::new(ctx.chance()))
    }

    /// Seals this key, which is of a generation, to a box. Nothing if what that says of itself is no key.
    pub fn seal_to(&self, generation: Id, to: &Sealer, ctx: &Ctx) -> Option<Envelope> {
        let public = Public::from_bytes(&unhex(&to.public)?).ok()?;
        let sealed = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &public,
            ENVELOPE_INFO,
            self.0.as_slice(),
            &envelope_place(generation, to),
            &mut Chance(ctx),
        );
        let (encapped, text) = sealed.ok()?;
        let sealed = STANDARD.encode([encapped.to_bytes().as_slice(), &text].concat());
        Some(Envelope { generation, to: to.clone(), sealed })
    }

    /// Seals a secret with this key, which is of a generation.
    ///
    /// # Errors
    /// It is longer than the cipher takes, 256 GiB.
    pub fn seal(&self, id: Id, generation: Id, clear: &Clear, ctx: &Ctx) -> Result<Sealed, chacha20poly1305::Error> {
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&ctx.chance()[..NONCE_BYTES]);
        let place = secret_place(id, generation);
        let payload = Payload { msg: clear.reveal(), aad: &place };
        let text = XChaCha20Poly1305::new(&(*self.0).into()).encrypt(&XNonce::from(nonce), payload)?;
        Ok(Sealed { generation, sealed: STANDARD.encode([nonce.as_slice(), &text].concat()) })
    }

    /// Opens a secret; nothing if it was sealed with another key, or was altered or copied.
    pub fn open(&self, id: Id, sealed: &Sealed) -> Option<Clear> {
        let bytes = STANDARD.decode(&sealed.sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let place = secret_place(id, sealed.generation);
        let payload = Payload { msg: text, aad: &place };
        XChaCha20Poly1305::new(&(*self.0).into()).decrypt(&XNonce::from(*nonce), payload).ok().map(Clear::new)
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::ClockQuality;
    use crate::store::Moment;

    fn ctx(seed: u8) -> Ctx {
        let now = Moment { wall: jiff::Timestamp::UNIX_EPOCH, quality: ClockQuality::Ntp, mono_us: 0 };
        Ctx::new(now, [seed; 32], "", "")
    }

    fn a_box(seed: u8) -> (BoxKey, Sealer) {
        let folder = tempfile::tempdir().unwrap();
        let key = box_key(folder.path(), &ctx(seed)).unwrap().0;
        let to = Sealer { node: Id::of_name("hall"), spki: "0a".repeat(32), public: key.public().to_owned() };
        (key, to)
    }

    fn id(name: &str) -> Id {
        Id::of_name(name)
    }

    #[test]
    fn a_box_has_one_key_that_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (first, alarm) = box_key(folder.path(), &ctx(1)).unwrap();
        assert_eq!(alarm, None);
        let path = folder.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let (again, alarm) = box_key(folder.path(), &ctx(2)).unwrap();
        assert_eq!((again.public(), alarm), (first.public(), None));

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let (other, alarm) = box_key(folder.path(), &ctx(3)).unwrap();
        assert_ne!(other.public(), first.public(), "who else may have read it is not known");
        assert!(alarm.unwrap().contains("sealing.key.damaged-"));
        std::fs::write(&path, "no key").unwrap();
        assert!(box_key(folder.path(), &ctx(4)).unwrap().1.is_some());
        assert_eq!(box_key(folder.path(), &ctx(5)).unwrap().1, None);
    }

    #[test]
    fn an_envelope_opens_for_its_box_alone() {
        let ((hall, to), (stranger, _)) = (a_box(1), a_box(2));
        let key = FleetKey::of_chance(&ctx(3));
        let envelope = key.seal_to(id("one"), &to, &ctx(4)).unwrap();

        assert_eq!(hall.open(&envelope).unwrap().0, key.0);
        assert!(stranger.open(&envelope).is_none());
        assert_ne!(envelope.sealed, key.seal_to(id("one"), &to, &ctx(5)).unwrap().sealed, "each is made anew");
        let elsewhere = [
            Envelope { generation: id("two"), ..envelope.clone() },
            Envelope { to: Sealer { node: id("office"), ..to.clone() }, ..envelope.clone() },
            Envelope { to: Sealer { spki: "0b".repeat(32), ..to.clone() }, ..envelope.clone() },
        ];
        assert!(elsewhere.iter().all(|envelope| hall.open(envelope).is_none()), "copied to another place");
        let odd = ["", "?", "AAAA", &STANDARD.encode([0; 80])];
        assert!(
            odd.iter().all(|sealed| hall.open(&Envelope { sealed: (*sealed).into(), ..envelope.clone() }).is_none())
        );
        let (long, letters) = ("00".repeat(40), "é".repeat(32));
        for public in ["", "0g", &long, &letters] {
            assert!(key.seal_to(id("one"), &Sealer { public: public.into(), ..to.clone() }, &ctx(6)).is_none());
        }
    }

    #[test]
    fn a_secret_opens_with_its_key_in_its_place_and_unaltered() {
        let (key, other) = (FleetKey::of_chance(&ctx(1)), FleetKey::of_chance(&ctx(2)));
        let clear = Clear::new(b"copper lantern".to_vec());
        let sealed = key.seal(id("s3"), id("one"), &clear, &ctx(3)).unwrap();

        assert_eq!(key.open(id("s3"), &sealed).unwrap().reveal(), b"copper lantern");
        assert!(other.open(id("s3"), &sealed).is_none(), "another key");
        assert!(key.open(id("smb"), &sealed).is_none(), "pasted to another secret");
        assert!(
            key.open(id("s3"), &Sealed { generation: id("two"), ..sealed.clone() }).is_none(),
            "another generation"
        );
        assert_ne!(sealed, key.seal(id("s3"), id("one"), &clear, &ctx(4)).unwrap(), "each has a nonce of its own");
        let bytes = STANDARD.decode(&sealed.sealed).unwrap();
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            let sealed = Sealed { sealed: STANDARD.encode(&bytes), ..sealed.clone() };
            assert!(key.open(id("s3"), &sealed).is_none(), "bit {place} was flipped");
        }
        for length in 0..bytes.len() {
            let sealed = Sealed { sealed: STANDARD.encode(&bytes[..length]), ..sealed.clone() };
            assert!(key.open(id("s3"), &sealed).is_none(), "cut at {length}");
        }
    }
}
