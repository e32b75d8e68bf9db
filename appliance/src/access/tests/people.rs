//! People, their passwords, the rules.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Desk, PASSWORD};
use crate::access::passwords::check;
use crate::access::people::may_manage;
use crate::access::{About, AccessError, Actor, NewUser, Refused};
use crate::domain::access::{AccessPolicy, Effect, Pattern, PolicyId, Role, Rules, Target, Who};
use crate::store::people::User;

fn add(desk: &Desk, by: &Actor, name: &str, roles: &[Role]) -> Result<(User, String), AccessError> {
    let roles: BTreeSet<Role> = roles.iter().copied().collect();
    let new = NewUser {
        name: name.into(),
        email: format!("{name}@example.org"),
        roles,
        groups: BTreeSet::new(),
        password: None,
    };
    let (user, given) = desk.access.add_user(desk.allow(by), &desk.ctx(), new)?;
    Ok((user, given.expect("a password was made")))
}

#[test]
fn a_password_that_was_given_is_good_for_choosing_another() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (user, given) = add(&desk, &owner, "ben", &[Role::Admin]).unwrap();
    let session = desk.access.log_in(&desk.ctx(), "ben@example.org", &given).unwrap();
    assert!(session.must_change_password);
    let ben = desk.actor(&session.cookie);
    let act =
        desk.access.allow::<crate::access::acts::ChangePeople>(&desk.ctx(), &ben, &Target::Fleet, About::default());
    assert!(matches!(act, Err(Refused::PasswordIsGiven)));
    let wrong = desk.access.set_own_password(desk.allow(&ben), &desk.ctx(), "x", PASSWORD);
    assert!(matches!(wrong, Err(AccessError::Bad { field: "old", .. })));
    let changed = desk.access.set_own_password(desk.allow(&ben), &desk.ctx(), &given, PASSWORD).unwrap();
    assert!(!desk.is_in(&session.cookie));
    let ben = desk.actor(&changed.cookie);
    assert!(!ben.has_given_password && ben.user == Some(user.id));
    assert!(desk.access.log_in(&desk.ctx(), "ben@example.org", &given).is_err());
}

#[test]
fn only_an_owner_touches_owners() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (admin, _) = add(&desk, &owner, "ben", &[Role::Admin]).unwrap();
    let admin = Actor::person(&admin, &desk.access.rules().unwrap(), Some("x".into()));
    let id = claimed.user.id;
    let own = |error| matches!(error, Err(AccessError::OwnersOnly));
    assert!(own(add(&desk, &admin, "eve", &[Role::Owner]).map(|_| ())));
    assert!(own(desk.access.reset_password(desk.allow(&admin), &desk.ctx(), id).map(|_| ())));
    assert!(own(desk.access.disable_user(desk.allow(&admin), id).map(|_| ())));
    assert!(own(desk
        .access
        .set_roles(desk.allow(&admin), admin.user.unwrap(), [Role::Owner].into(), [].into())
        .map(|_| ())));
    assert!(own(desk.access.remove_user(desk.allow(&admin), id)));
    assert!(own(desk.access.renew_recovery_code(desk.allow(&admin), &desk.ctx()).map(|_| ())));
}

#[test]
fn two_people_do_not_log_in_by_one_address() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (ben, _) = add(&desk, &owner, "ben", &[Role::Viewer]).unwrap();
    assert!(matches!(add(&desk, &owner, "BEN", &[]), Err(AccessError::Taken)));
    let taken = desk.access.change_user(desk.allow(&owner), ben.id, "Ben", "Anna@Example.org");
    assert!(matches!(taken, Err(AccessError::Taken)));
}

#[test]
fn rules_that_shut_everyone_out_are_refused() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let policy =
        AccessPolicy { id: PolicyId::new("p"), effect: Effect::Deny, who: Who::Everyone, target: Pattern::Everything };
    let rules = Rules { policies: vec![policy], ..Rules::default() };
    assert!(matches!(desk.access.set_rules(desk.allow(&owner), &rules), Err(AccessError::NobodyLeft)));
    assert!(desk.access.set_rules(desk.allow(&owner), &Rules::default()).is_ok());
}

#[test]
fn what_someone_held_stays_ended_when_they_are_enabled_again() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (ben, given) = add(&desk, &owner, "ben", &[Role::Viewer]).unwrap();
    let log_in = || desk.access.log_in(&desk.ctx(), "ben@example.org", &given).unwrap().cookie;
    let (shown_meanwhile, cookie) = (log_in(), log_in());
    desk.access.disable_user(desk.allow(&owner), ben.id).unwrap();
    assert!(!desk.is_in(&shown_meanwhile));
    // Once more is written down once more: the person, and the entry in the journal.
    let entries = || desk.access.store().logs().status().entries;
    let before = entries();
    desk.access.disable_user(desk.allow(&owner), ben.id).unwrap();
    assert_eq!(entries(), before + 2);
    assert!(matches!(desk.access.log_in(&desk.ctx(), "ben@example.org", &given), Err(Refused::Wrong)));
    desk.access.enable_user(desk.allow(&owner), ben.id).unwrap();
    assert!(!desk.is_in(&cookie));
    let again = desk.access.log_in(&desk.ctx(), "ben@example.org", &given).unwrap();
    assert!(again.must_change_password);
    desk.access.remove_user(desk.allow(&owner), ben.id).unwrap();
    assert!(!desk.is_in(&again.cookie));
}

#[test]
fn a_password_is_long_not_guessable_and_not_the_rooms_name() {
    assert_eq!(check(PASSWORD, &["Courtroom 4", "anna@example.org"]), Ok(()));
    assert!(check("fourteen chars", &[]).unwrap_err().contains("15"));
    assert!(check(&"aB3$xY9!".repeat(33), &[]).unwrap_err().contains("at most"));
    assert!(check("copper lantern COURTROOM noon", &["Courtroom 4"]).unwrap_err().contains("courtroom"));
    assert!(check("passwordpassword", &[]).unwrap_err().contains("easy"));
    assert!(check("aaaaaaaaaaaaaaaaaaaa", &[]).is_err());
    assert_eq!(check("кобальт шёпот лестница ветер", &[]), Ok(()));
}

#[test]
fn the_same_letters_from_two_keyboards_are_one_password() {
    let hasher = crate::access::passwords::Hasher::new(crate::access::passwords::Cost::CHEAP);
    let hash = hasher.hash("cafe\u{301} lantern drifts", &[1; 16]).unwrap();
    assert_eq!(hasher.verify("caf\u{e9} lantern drifts", &hash), Ok(true));
    assert_eq!(hasher.verify("cafe lantern drifts", &hash), Ok(false));
    assert_eq!(hasher.verify("", ""), Ok(false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_sequence_of_changes_leaves_nobody_to_manage_or_a_session_of_who_is_gone(
        steps in prop::collection::vec((0..6_u8, 0..3_usize, 0..5_usize), 1..14),
    ) {
        let (desk, claimed) = Desk::claimed();
        let machine = Actor::service("test");
        let (ben, _) = add(&desk, &machine, "ben", &[Role::Owner]).unwrap();
        let (eve, _) = add(&desk, &machine, "eve", &[Role::Viewer]).unwrap();
        let ids = [claimed.user.id, ben.id, eve.id];
        for (step, who, role) in steps {
            let id = ids[who];
            let before = desk.access.store().user(id).unwrap();
            let cookie = before.as_ref().filter(|user| !user.is_disabled).map(|user| {
                desk.access.begin(&desk.ctx(), user.clone()).unwrap().cookie
            });
            let roles = [Role::ALL[role]].into();
            let access = &desk.access;
            let is_done = match step {
                0 => access.disable_user(desk.allow(&machine), id).is_ok(),
                1 => access.enable_user(desk.allow(&machine), id).is_ok(),
                2 => access.remove_user(desk.allow(&machine), id).is_ok(),
                3 => access.reset_password(desk.allow(&machine), &desk.ctx(), id).is_ok(),
                4 => access.set_roles(desk.allow(&machine), id, roles, BTreeSet::new()).is_ok(),
                _ => access.change_user(desk.allow(&machine), id, "Renamed", &format!("r{who}@example.org")).is_ok(),
            };
            let rules = access.rules().unwrap();
            prop_assert!(access.store().users().unwrap().iter().any(|user| may_manage(user, &rules)));
            if let Some(cookie) = cookie {
                let ends = is_done && matches!(step, 0 | 2 | 3);
                prop_assert_eq!(desk.is_in(&cookie), !ends, "step {} of {}", step, who);
            }
        }
    }
}
