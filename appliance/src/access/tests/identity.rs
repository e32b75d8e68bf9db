//! The node's id and certificate.

use super::Desk;
use crate::access::identity;

#[test]
fn the_certificate_is_made_once_and_its_key_is_ones_own() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let (made, alarm) =
        identity::tls(desk.folder.path(), "Rakkr_4f2a", &["10.0.0.7".parse().unwrap()], &desk.ctx()).unwrap();
    assert_eq!(alarm, None);
    let (loaded, _) = identity::tls(desk.folder.path(), "other", &[], &desk.ctx()).unwrap();
    assert_eq!(loaded.fingerprint(), made.fingerprint());
    assert_eq!(made.fingerprint().len(), 95);
    assert_eq!(made.words().split('-').count(), 4);
    let mode = std::fs::metadata(desk.folder.path().join("tls/key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for name in [&b"rakkr4f2a.local"[..], b"localhost", &[10, 0, 0, 7], &[127, 0, 0, 1]] {
        assert!(made.certificate.windows(name.len()).any(|part| part == name), "{name:?}");
    }
}

#[test]
fn a_damaged_key_or_one_of_another_certificate_is_put_aside_with_an_alarm() {
    let (desk, other) = (Desk::new(), Desk::new());
    let (made, _) = identity::tls(desk.folder.path(), "a", &[], &desk.ctx()).unwrap();
    identity::tls(other.folder.path(), "a", &[], &other.ctx()).unwrap();
    let file = |desk: &Desk, name: &str| desk.folder.path().join("tls").join(name);
    std::fs::copy(file(&other, "cert.pem"), file(&desk, "cert.pem")).unwrap();
    let (anew, alarm) = identity::tls(desk.folder.path(), "a", &[], &desk.ctx()).unwrap();
    assert!(alarm.unwrap().contains("other words"));
    assert_ne!(anew.fingerprint(), made.fingerprint());
    std::fs::write(file(&desk, "key.pem"), [0xff; 40]).unwrap();
    assert!(identity::tls(desk.folder.path(), "a", &[], &desk.ctx()).unwrap().1.is_some());
    std::fs::remove_file(file(&desk, "cert.pem")).unwrap();
    assert!(identity::tls(desk.folder.path(), "a", &[], &desk.ctx()).unwrap().1.is_some());
    assert!(identity::tls(desk.folder.path(), "a", &[], &desk.ctx()).unwrap().1.is_none());
}

#[test]
fn a_node_keeps_its_id_and_a_damaged_one_is_told() {
    let desk = Desk::new();
    let (made, alarm) = identity::node(desk.folder.path(), "court-4", &desk.ctx()).unwrap();
    assert_eq!(alarm, None);
    assert_eq!(identity::node(desk.folder.path(), "x", &desk.ctx()).unwrap(), (made.clone(), None));
    identity::rename(desk.folder.path(), "Court room 4").unwrap();
    let (renamed, _) = identity::node(desk.folder.path(), "x", &desk.ctx()).unwrap();
    assert_eq!((renamed.id, renamed.name.as_str()), (made.id, "Court room 4"));
    std::fs::write(desk.folder.path().join("node.json"), "{").unwrap();
    assert!(identity::rename(desk.folder.path(), "x").is_err(), "a damaged one is not made whole by a name");
    let (anew, alarm) = identity::node(desk.folder.path(), "court-4", &desk.ctx()).unwrap();
    assert!(anew.id != made.id && alarm.unwrap().contains("damaged"));
}
