//! What can be told without another node. Two of them are tried end to end, in `tests/e2e/fleet.rs`.

use super::tls::PeerKey;

#[test]
fn a_key_is_read_as_the_roster_writes_it() {
    let key = PeerKey([0xa7; 32]);
    assert_eq!(PeerKey::from_hex(&crate::access::fleet::hex(&key.0)), Some(key));
    for odd in ["", "a7", &"a7".repeat(33), &"g7".repeat(32), &"é".repeat(32)] {
        assert_eq!(PeerKey::from_hex(odd), None, "{odd}");
    }
}
