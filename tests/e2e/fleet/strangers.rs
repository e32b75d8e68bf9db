//! Whoever does not belong: unknown keys, no key, the key of a node that was retired, invitations that are forged or used up.
//!
//! They speak TLS and HTTP by themselves, as a program that somebody wrote for the purpose would.

use crate::harness::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LINK: &str = "GET /peer/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: repl.1\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

const TUNNEL: &str = "GET /peer/calls/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: answers.1\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

#[test]
fn a_stranger_gets_nothing() {
    let first = Member::first();
    let second = first.another();
    wait_settled(&[&first, &second]);
    let owner = owner_of(&first);
    let people = people_as(&owner);

    // What follows could be refused for being badly asked: a member who asks the same is let in.
    let member = Key::of(&second.data);
    assert_eq!(status(&first, Some(&member), &people), Some(200));
    assert_eq!(status(&first, Some(&member), LINK), Some(101));
    assert_eq!(status(&first, Some(&member), TUNNEL), Some(101));

    let stranger = Key::made();
    assert_eq!(status(&first, Some(&stranger), &people), Some(403));
    assert_eq!(status(&first, Some(&stranger), LINK), Some(403));
    assert_eq!(status(&first, Some(&stranger), TUNNEL), Some(403));
    assert_eq!(status(&first, None, &people), None, "who calls itself a node and shows no key is not even greeted");
    for path in ["/peer/v1", "/peer/calls/v1", "/api/v1/users"] {
        let asked = first.http.get(format!("{}{path}", first.tls_url)).header("rakkr-as", &owner).send();
        assert_eq!(asked.expect("an answer").status(), 403, "{path} for a browser");
    }
}

#[test]
fn a_retired_nodes_key_opens_nothing() {
    let first = Member::first();
    let second = first.another();
    let coordinator = wait_settled(&[&first, &second]);
    let (boss, other) = if coordinator == first.id() { (&first, &second) } else { (&second, &first) };
    let (key, people) = (Key::of(&other.data), people_as(&owner_of(boss)));
    assert_eq!(status(boss, Some(&key), &people), Some(200));

    boss.ask(reqwest::Method::DELETE, &format!("/api/v1/nodes/{}", other.id()), &json!({})).is(204);

    // The answer said that it is so: there is nothing to wait for, and the node itself goes on running.
    assert_eq!(status(boss, Some(&key), &people), Some(403));
    assert_eq!(status(boss, Some(&key), LINK), Some(403));
    assert_eq!(status(boss, Some(&key), TUNNEL), Some(403));
    let comes_back = application(&boss.invites(), &other.id(), &key);
    assert_eq!(status(boss, Some(&key), &comes_back), Some(409), "also with an invitation");
    assert_eq!(boss.sees(&other.id()), "retired");
}

#[test]
fn an_invitation_that_is_forged_used_up_or_replayed_lets_nobody_in() {
    let first = Member::first();
    let used = first.invites();
    let mut second = Member::new();
    second.post("/api/v1/fleet/join", &json!({ "token": used })).is(200);
    second.node.log_in();
    wait_settled(&[&first, &second]);
    let (key, id) = (Key::made(), "0199aaaa-0000-7000-8000-000000000001");
    let member = Key::of(&second.data);

    // With invitations that are good, but in a member's name.
    let usurping = application(&first.invites(), &second.id(), &key);
    assert_eq!(status(&first, Some(&key), &usurping), Some(409), "another key under a member's name");
    let borrowed = application(&first.invites(), &second.id(), &member);
    assert_eq!(status(&first, Some(&key), &borrowed), Some(409), "a member's certificate without its key");
    assert_eq!(status(&first, Some(&key), &application(&used, id, &key)), Some(403), "used up");
    let forged = forged(&first.invites());
    assert_eq!(status(&first, Some(&key), &application(&forged, id, &key)), Some(403), "forged");
    let replayed = application(&used, &second.id(), &member);
    assert_eq!(status(&first, Some(&member), &replayed), Some(403), "sent again as the member sent it");

    let roster = first.fleet();
    assert_eq!(roster["nodes"].as_array().map(Vec::len), Some(2), "{roster}");
    assert_eq!(status(&first, Some(&member), &people_as(&owner_of(&first))), Some(200), "the member is still one");
}

fn owner_of(node: &Member) -> String {
    let me = node.get("/api/v1/users").is(200);
    me["items"][0]["id"].as_str().expect("an id").to_owned()
}

/// Who is there, asked in the name of a person, as nodes ask.
fn people_as(person: &str) -> String {
    format!("GET /api/v1/users HTTP/1.1\r\nHost: x\r\nrakkr-as: {person}\r\n\r\n")
}

/// The form of a token: one byte, the fleet's id, SHA-256 of a key, then the secret.
const SECRET: std::ops::Range<usize> = 49..81;

fn forged(token: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("a token");
    bytes[SECRET].iter_mut().for_each(|byte| *byte ^= 0x55);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a newcomer says, with the certificate of `key`.
fn application(token: &str, id: &str, key: &Key) -> String {
    let secret = URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(token).expect("a token")[SECRET]);
    let body = json!({"secret": secret, "node_id": id, "name": "Eve", "addresses": ["127.0.0.1:9"],
        "certificate": STANDARD.encode(&key.certificate)});
    let (body, kind) = (body.to_string(), "Content-Type: application/json");
    format!("POST /peer/v1/enrol HTTP/1.1\r\n{kind}\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A private key and its certificate.
struct Key {
    certificate: CertificateDer<'static>,
    private: PrivateKeyDer<'static>,
}

impl Key {
    fn made() -> Key {
        let made = rcgen::generate_simple_self_signed(["stranger".to_owned()]).expect("a key");
        let private = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        Key { certificate: made.cert.der().clone(), private }
    }

    /// A node's own, as whoever has its card can read it.
    fn of(data: &Path) -> Key {
        let certificate = CertificateDer::from_pem_file(data.join("tls/cert.pem")).expect("a certificate");
        let private = PrivateKeyDer::from_pem_file(data.join("tls/key.pem")).expect("a key");
        Key { certificate, private }
    }
}

/// Sends a request as a node would, with a key or none; the status of the answer, none if the connection is refused.
fn status(node: &Member, key: Option<&Key>, request: &str) -> Option<u16> {
    let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13]);
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = match key {
        None => builder.with_no_client_auth(),
        Some(key) => {
            let chain = vec![key.certificate.clone()];
            builder.with_client_auth_cert(chain, key.private.clone_key()).expect("the key fits the certificate")
        }
    };
    config.alpn_protocols = vec![b"rakkr-peer/1".to_vec()];
    let name = ServerName::try_from("node.rakkr.invalid").expect("a name");
    let address = node.tls_url.trim_start_matches("https://").to_owned();
    let stream = TcpStream::connect(&address).expect("the node listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a connection"), stream);
    tls.write_all(request.as_bytes()).ok()?;
    let mut answer = [0; 12];
    tls.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Believes every server: it is the server that is tried.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
