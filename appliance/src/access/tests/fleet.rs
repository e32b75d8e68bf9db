//! A claimed node is a fleet of one, and lets in whom it invited.

use proptest::prelude::*;

use super::{Desk, owner};
use crate::access::acts::InviteNode;
use crate::access::fleet::Us;
use crate::access::invitations::{Replaced, Token};
use crate::access::{AccessError, Actor, Claimed, Refused};
use crate::store::Id;

fn us() -> Us {
    Us {
        name: "rakkr-4".into(),
        addresses: vec!["rakkr-4.local:8443".into(), "192.0.2.4:8443".into()],
        spki: [7; 32],
        certificate: vec![48, 130],
    }
}

/// A node that was introduced, then claimed.
fn founded() -> (Desk, Claimed) {
    let desk = Desk::new();
    desk.access.introduce(us());
    let code = desk.open_claiming();
    let claimed = desk.access.claim(&desk.ctx(), owner(&code)).unwrap();
    (desk, claimed)
}

#[test]
fn a_claim_makes_a_fleet_of_one_that_stands_in_the_room() {
    let (desk, claimed) = founded();
    let store = desk.access.store();
    let (fleet, members) = (store.fleet().unwrap().unwrap(), store.members().unwrap());
    assert_eq!((fleet.name.as_str(), members.len()), ("Courtroom 4", 1));
    let member = &members[0];
    assert_eq!((member.id, member.profile.name.as_str(), member.is_retired), (store.node(), "rakkr-4", false));
    assert_eq!(member.profile.addresses, us().addresses);
    assert_eq!(member.key.as_ref().unwrap().spki, "07".repeat(32));
    assert_eq!(member.joined.as_ref().map(|joined| joined.by.as_str()), Some("Anna Example"));
    assert_eq!(store.room().unwrap().map(|room| (room.id, room.node)), Some((claimed.room.id, Some(store.node()))));
    assert!(!desk.access.found(&desk.ctx()).unwrap(), "there is nothing more to write");
}

#[test]
fn a_node_that_was_claimed_before_there_were_fleets_founds_one_once() {
    let (desk, _) = Desk::claimed();
    assert_eq!(desk.access.store().fleet().unwrap(), None);
    assert!(!desk.access.found(&desk.ctx()).unwrap(), "it does not know how it is reached");
    desk.access.introduce(us());

    assert!(desk.access.found(&desk.ctx()).unwrap());
    let fleet = desk.access.store().fleet().unwrap();
    assert!(!desk.access.found(&desk.ctx()).unwrap());
    assert_eq!(desk.access.store().fleet().unwrap(), fleet);
    assert_eq!(desk.access.store().members().unwrap().len(), 1);
    assert_eq!(desk.journal("fleet.edit").len(), 1);
}

#[test]
fn a_new_key_is_told_but_not_by_a_node_that_was_retired() {
    let (desk, _) = founded();
    let spki = || desk.access.store().members().unwrap()[0].key.as_ref().unwrap().spki.clone();
    desk.access.introduce(Us { spki: [8; 32], ..us() });
    assert!(desk.access.found(&desk.ctx()).unwrap());
    assert_eq!(spki(), "08".repeat(32));

    let mut edits = crate::store::Edits::by("test");
    let store = desk.access.store();
    edits.retire(store.node(), &store.last_words(store.node()).unwrap());
    desk.access.store().commit(edits, desk.now()).unwrap();
    desk.access.introduce(Us { spki: [9; 32], ..us() });
    assert!(!desk.access.found(&desk.ctx()).unwrap());
    assert_eq!(spki(), "08".repeat(32));
}

#[test]
fn an_unclaimed_node_founds_nothing_and_invites_nobody() {
    let desk = Desk::new();
    desk.access.introduce(us());
    assert!(!desk.access.found(&desk.ctx()).unwrap());
    let allowed = desk.allow::<InviteNode>(&Actor::service("test"));
    let refused = desk.access.invite(allowed, &desk.ctx(), 3_600, 1);
    assert!(matches!(refused, Err(AccessError::Bad { field: "fleet", .. })));
}

#[test]
fn an_invitation_lets_in_as_often_and_as_long_as_it_says() {
    let (desk, claimed) = founded();
    let owner = desk.actor(&claimed.cookie);
    let invite = |seconds, uses| desk.access.invite(desk.allow::<InviteNode>(&owner), &desk.ctx(), seconds, uses);
    for (seconds, uses) in [(59, 1), (2_592_001, 1), (60, 0), (60, 101)] {
        assert!(matches!(invite(seconds, uses), Err(AccessError::Bad { .. })));
    }
    let invited = invite(3_600, 2).unwrap();
    let read: Token = invited.token.to_string().parse().unwrap();
    assert_eq!(read, invited.token);
    assert_eq!((read.spki, &read.addresses), ([7; 32], &us().addresses));
    assert_eq!(Some(read.fleet), desk.access.store().fleet().unwrap().map(|fleet| fleet.id));
    assert_eq!(read.phrase().split('-').count(), 4);

    let redeem = || desk.access.redeem(&desk.ctx_from("192.0.2.77"), &read.secret);
    assert_eq!(redeem().unwrap().by, "Anna Example");
    assert_eq!(redeem().unwrap().uses_left, 0);
    assert!(matches!(redeem(), Err(Refused::Wrong)));

    let short = invite(60, 1).unwrap();
    desk.wait(60);
    assert!(matches!(desk.access.redeem(&desk.ctx(), &short.token.secret), Err(Refused::Wrong)));
    assert_eq!(desk.journal("fleet.invite").iter().filter(|entry| entry.reason.is_empty()).count(), 2);
}

#[test]
fn wrong_secrets_are_slowed_at_their_address_and_nowhere_else() {
    let (desk, claimed) = founded();
    let owner = desk.actor(&claimed.cookie);
    let invited = desk.access.invite(desk.allow::<InviteNode>(&owner), &desk.ctx(), 3_600, 1).unwrap();
    let tries = (0..10).map(|_| desk.access.redeem(&desk.ctx_from("198.51.100.9"), &[0; 32]));
    assert!(tries.filter(|tried| matches!(tried, Err(Refused::Wait { .. }))).count() >= 6);
    desk.access.redeem(&desk.ctx_from("192.0.2.77"), &invited.token.secret).unwrap();
}

#[test]
fn the_words_are_of_the_fleet_and_of_the_key() {
    let (addresses, replaces) = (Vec::new(), None);
    let token = Token { fleet: Id::of_name("a"), addresses, spki: [1; 32], secret: [2; 32], replaces };
    assert_eq!(Token { secret: [3; 32], ..token.clone() }.phrase(), token.phrase());
    assert_ne!(Token { fleet: Id::of_name("b"), ..token.clone() }.phrase(), token.phrase());
    assert_ne!(Token { spki: [4; 32], ..token.clone() }.phrase(), token.phrase());
    let place = |name: &str| Some(Replaced { node: Id::of_name("hall"), name: name.into(), last_seen: None });
    let (here, there) = (Token { replaces: place("Hall B"), ..token.clone() }, place("Hall C"));
    assert_ne!(here.phrase(), token.phrase());
    assert_ne!(Token { replaces: there, ..token.clone() }.phrase(), here.phrase());
    assert!(!format!("{token:?}").contains(&token.to_string()));
}

#[test]
fn only_what_is_as_long_as_an_invitation_is_one_of_another_version() {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let said = |text: &str| text.parse::<Token>().unwrap_err();
    assert!(said("abc").starts_with("this is no invitation: copy the whole text"), "{}", said("abc"));
    let later = base64.encode([9; 81]);
    assert!(
        said(&later).ends_with("made by another version of the program: update this node first"),
        "{}",
        said(&later)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_token_survives_its_text_and_nothing_else_is_one(
        addresses in prop::collection::vec("[a-zé.]{1,40}:[0-9]{1,5}", 0..=16),
        place in prop::option::of(("[^\\p{Cc}]{1,60}", prop::option::of(1_i64..4_000_000_000_000))),
        secret: [u8; 32], spki: [u8; 32], cut in 0_usize..200, garbage: Vec<u8>, text in ".{0,300}",
    ) {
        use base64::Engine;
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let replaces = place.map(|(name, seen)| {
            let last_seen = seen.map(|millis| jiff::Timestamp::from_millisecond(millis).unwrap());
            Replaced { node: Id::of_name("hall"), name, last_seen }
        });
        let token = Token { fleet: Id::of_name("fleet"), addresses, spki, secret, replaces };
        let written = token.to_string();
        prop_assert_eq!(format!(" {written}\n").parse::<Token>(), Ok(token.clone()));

        let _ = text.parse::<Token>();
        let _ = [1, 2].map(|form| base64.encode([&[form], &garbage[..]].concat()).parse::<Token>());
        let _ = base64.encode([&[2][..], &[7; 80], &garbage].concat()).parse::<Token>();
        let bytes = base64.decode(&written).unwrap();
        let half = bytes[..cut.min(bytes.len() - 1)].to_vec();
        // A cut between two addresses is a token with fewer of them, and never one of another key.
        if let Ok(read) = base64.encode(&half).parse::<Token>() {
            prop_assert_eq!((read.fleet, read.spki, read.secret), (token.fleet, spki, secret));
            prop_assert_eq!(&read.replaces, &token.replaces);
            prop_assert!(token.addresses.starts_with(&read.addresses));
        }
    }
}
