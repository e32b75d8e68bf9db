//! How two nodes know each other: TLS 1.3, each with its own key, pinned. No authority, no names, no clock.
//!
//! A node that dials says so in its hello (ALPN [`PEER`]); only then does the other ask for a certificate, so that no browser
//! ever asks its user for one. Proven here is that the other end holds the key of the certificate it shows; whether that key
//! is a member's is asked of the roster by whoever uses the connection ([`PeerKey`]). Dates and names in certificates are not
//! looked at: a board that starts in 1970 must reach the peers that can tell it the time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, ConnectionCommon, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use sha2::{Digest, Sha256};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::access::identity::Identity;
use crate::sys::line::Line;

/// What a node offers when it dials another node.
pub const PEER: &[u8] = b"rakkr-peer/1";
/// How long a connection may take from its first packet to the end of the handshake.
const CONNECT_WAIT: Duration = Duration::from_secs(8);

/// What the kernel holds of a connection between nodes that it cannot send yet: enough that the line is never idle, and
/// little, for what is small waits behind it.
const UNSENT_BYTES_MAX: u32 = 32 << 10;
/// The same of what is encrypted: a record of TLS.
const ENCRYPTED_BYTES_MAX: usize = 16 << 10;

/// The key that the other end of a connection has proven to hold: SHA-256 of its public key (SubjectPublicKeyInfo, DER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerKey(pub [u8; 32]);

impl PeerKey {
    /// The key of a certificate; none of one that cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let read = webpki::EndEntityCert::try_from(certificate).ok()?;
        Some(Self(Sha256::digest(read.subject_public_key_info()).into()))
    }

    /// The key as the roster has it: 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(key))
    }
}

/// What is said of a request of its connection; nothing of a browser's.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The key that the other end has proven to hold.
    pub key: Option<PeerKey>,
    /// What it goes over.
    pub line: Option<Line>,
}

/// Why another node was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection, or it ended before the other end had proven who it is.
    #[error("{address} is not reached: {error}")]
    Unreached { address: String, error: io::Error },
    /// Something answers, and it is not the node whose key is known.
    #[error("at {address} answers something that does not hold the key of the node: {error}")]
    NotThem { address: String, error: io::Error },
    /// Nobody said where it is.
    #[error("it has told no address")]
    NoAddress,
    /// Our own key cannot be used.
    #[error("this node's key cannot be used: {0}")]
    OurKey(String),
}

/// For those who dial as nodes: a certificate is asked for, any.
///
/// # Errors
/// Our key cannot be used.
pub fn server(identity: &Identity) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anyone(provider.clone()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.alpn_protocols = vec![PEER.to_vec()];
    // A resumed session would not show its certificate anew, and links are few and long.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For everybody else.
///
/// # Errors
/// Our key cannot be used.
pub fn browsers(identity: &Identity) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl From<DialError> for String {
    fn from(error: DialError) -> Self {
        error.to_string()
    }
}

/// Lets what is sent between nodes wait with us, who know what is urgent, and not in queues below.
pub fn queue_little<D>(stream: &TcpStream, tls: &mut ConnectionCommon<D>) {
    tls.set_buffer_limit(Some(ENCRYPTED_BYTES_MAX));
    // A kernel that has no such limit queues more; nothing else is different.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
}

/// Connects to the node that holds a key at the first of its addresses that leads to it; says at which.
///
/// # Errors
/// [`DialError`] of the last address.
pub async fn dial_any<'a>(
    addresses: &'a [String],
    identity: &Identity,
    key: PeerKey,
) -> Result<(TlsStream<TcpStream>, &'a str), DialError> {
    let mut last = DialError::NoAddress;
    for address in addresses {
        match dial(address, identity, key).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to the node that holds a key.
///
/// # Errors
/// [`DialError`]; nothing was said to anybody who does not hold it.
pub async fn dial(address: &str, identity: &Identity, key: PeerKey) -> Result<TlsStream<TcpStream>, DialError> {
    let config = client(identity, key).map_err(|error| DialError::OurKey(error.to_string()))?;
    let unreached = |error| DialError::Unreached { address: address.to_owned(), error };
    let connect = async {
        let stream = TcpStream::connect(address).await.map_err(unreached)?;
        stream.set_nodelay(true).map_err(unreached)?;
        // Not looked at by anybody: the key is.
        let name = ServerName::try_from("node.rakkr.invalid").map_err(|error| unreached(io::Error::other(error)))?;
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let mut shaken = shaken.map_err(|error| match is_refused(&error) {
            true => DialError::NotThem { address: address.to_owned(), error },
            false => unreached(error),
        })?;
        let (stream, tls) = shaken.get_mut();
        queue_little(stream, tls);
        Ok(shaken)
    };
    let timed = tokio::time::timeout(CONNECT_WAIT, connect).await;
    timed.unwrap_or_else(|_| Err(unreached(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))))
}

/// Whether it was what the other end said that ended a handshake. One that goes away meanwhile, as a node that is switched
/// off does, may well hold the key.
fn is_refused(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|why| why.is::<Error>())
}

fn client(identity: &Identity, key: PeerKey) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned { key, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.alpn_protocols = vec![PEER.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Accepts whoever holds the key of the certificate they show.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

/// Accepts the holder of one key.
#[derive(Debug)]
struct Pinned {
    key: PeerKey,
    provider: Arc<CryptoProvider>,
}

fn only_tls13() -> Error {
    Error::General("nodes speak TLS 1.3".into())
}

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let readable = PeerKey::of(end_entity).map(|_| ClientCertVerified::assertion());
        readable.ok_or(Error::InvalidCertificate(rustls::CertificateError::BadEncoding))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match PeerKey::of(end_entity) {
            Some(key) if key == self.key => Ok(ServerCertVerified::assertion()),
            _ => Err(Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
