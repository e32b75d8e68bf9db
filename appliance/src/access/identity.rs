//! Who this node is: its id and name in `node.json`, its TLS key and certificate in `tls/`.
//!
//! Made at the first start, loaded after. What is damaged is put aside and made anew, with a sentence for people: a node
//! without an identity could not say that it is in trouble. The key's chance comes from `ring`, inside `rcgen`.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Ctx, private};
use crate::domain::words;
use crate::store::Id;
use crate::sys::files;

/// Larger files are none of ours.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What names a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id, for good.
    pub id: Id,
    /// What people call it; the machine's name when it was made.
    pub name: String,
    /// When it was made, as the clock said.
    pub created_at: Timestamp,
    /// The least incarnation its records are written under: of a box that took a node's place, above all of the old one's.
    #[serde(default = "first_incarnation")]
    pub incarnation_min: u32,
}

fn first_incarnation() -> u32 {
    1
}

/// A key and the certificate that goes with it.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key (PKCS #8).
    pub key: PrivateKeyDer<'static>,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER): what other nodes pin.
    pub spki: [u8; 32],
}

impl Identity {
    /// SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        let pairs: Vec<String> = Sha256::digest(&self.certificate).iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// The first 44 bits of it as four words, to be read aloud.
    pub fn words(&self) -> String {
        words::phrase::<4>(&Sha256::digest(&self.certificate).into()).join("-")
    }
}

/// Loads the node's id from `node.json`, or makes one. With a sentence if one was there and was of no use.
///
/// # Errors
/// The folder does not give or take the file.
pub fn node(folder: &Path, name: &str, ctx: &Ctx) -> io::Result<(Node, Option<String>)> {
    let path = folder.join("node.json");
    let mut alarm = None;
    match std::fs::read(&path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(node) => return Ok((node, None)),
            Err(error) => {
                let aside = put_aside(&path, ctx)?;
                alarm = Some(format!(
                    "The node's id was damaged ({error}) and lies in {aside}: it has a new one. Takes are untouched; a fleet must take this node in again."
                ));
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let created_at = ctx.now.wall;
    let node = Node { id: ctx.new_id(), name: name.to_owned(), created_at, incarnation_min: first_incarnation() };
    put(folder, &node)?;
    Ok((node, alarm))
}

/// Writes who this node is from its next start on.
///
/// # Errors
/// The folder does not take the file.
pub fn put(folder: &Path, node: &Node) -> io::Result<()> {
    files::replace(&folder.join("node.json"), &serde_json::to_vec_pretty(node)?)
}

/// Writes another name into `node.json`; the id stays.
///
/// # Errors
/// The file is not there, is damaged, or cannot be written.
pub fn rename(folder: &Path, name: &str) -> io::Result<()> {
    let path = folder.join("node.json");
    let node: Node = serde_json::from_slice(&std::fs::read(&path)?)?;
    put(folder, &Node { name: name.to_owned(), ..node })
}

/// Loads the TLS key and certificate from `tls/`, or makes them for a host name and addresses. With a sentence if they
/// were there and of no use.
///
/// # Errors
/// The folder does not give or take the files.
pub fn tls(folder: &Path, host: &str, addresses: &[IpAddr], ctx: &Ctx) -> io::Result<(Identity, Option<String>)> {
    let folder = folder.join("tls");
    std::fs::create_dir_all(&folder)?;
    let (key_file, certificate_file) = (folder.join("key.pem"), folder.join("cert.pem"));
    let mut alarm = None;
    if key_file.exists() || certificate_file.exists() {
        match load(&key_file, &certificate_file) {
            Ok(identity) => return Ok((identity, None)),
            Err(why) => {
                for file in [&key_file, &certificate_file].into_iter().filter(|file| file.exists()) {
                    put_aside(file, ctx)?;
                }
                alarm = Some(format!(
                    "The node's key was of no use ({why}): it has a new one and shows other words. Compare them with what the browser shows."
                ));
            }
        }
    }
    let (key, certificate) = make(host, addresses).map_err(io::Error::other)?;
    private::replace(&key_file, key.as_bytes())?;
    files::replace(&certificate_file, certificate.as_bytes())?;
    load(&key_file, &certificate_file).map(|identity| (identity, alarm)).map_err(io::Error::other)
}

/// The key and certificate that lie in `tls/`, if there are any; nothing is changed.
pub fn look(folder: &Path) -> Option<Result<Identity, String>> {
    let (key, certificate) = (folder.join("tls/key.pem"), folder.join("tls/cert.pem"));
    (key.exists() || certificate.exists()).then(|| load(&key, &certificate))
}

fn load(key: &Path, certificate: &Path) -> Result<Identity, String> {
    let key = private::read(key, FILE_BYTES_MAX).ok_or("the key is missing, no text or open to others")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| format!("the key: {error}"))?;
    let pem = std::fs::metadata(certificate).ok().filter(|meta| meta.len() <= FILE_BYTES_MAX);
    let pem = pem.and_then(|_| std::fs::read(certificate).ok()).ok_or("the certificate is missing")?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|error| format!("the certificate: {error}"))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(vec![certificate.clone()], key.clone_key(), &provider);
    let certified = certified.map_err(|error| error.to_string())?;
    let public = certified.key.public_key().ok_or("the key has no public part")?;
    Ok(Identity { spki: Sha256::digest(&public).into(), certificate, key })
}

/// Key and certificate as PEM: ECDSA P-256, no authority, for this host only.
///
/// Valid from 2019-01-01 to 2049-12-31, whatever this clock says: a node's clock may show 1970 when it is made, and the
/// one who judges is the browser. Apple refuses certificates of more than 825 days that begin after 2019-07-01
/// (support.apple.com HT210176), so it begins before; 2049 is the last year of X.509's short form (RFC 5280, 4.1.2.5).
fn make(host: &str, addresses: &[IpAddr]) -> Result<(String, String), rcgen::Error> {
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(63).collect();
    let host = if host.is_empty() { "rakkr".to_owned() } else { host.to_lowercase() };
    let mut names = vec![host.clone(), format!("{host}.local"), "localhost".into(), "127.0.0.1".into(), "::1".into()];
    names.extend(addresses.iter().map(ToString::to_string));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok((key.serialize_pem(), certificate.pem()))
}

/// Renames a file so that nothing is lost; its new name.
pub(super) fn put_aside(path: &Path, ctx: &Ctx) -> io::Result<String> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{}", ctx.new_id()));
    std::fs::rename(path, Path::new(&aside))?;
    Ok(aside.to_string_lossy().into_owned())
}
