//! Logging in, sessions, tokens.

use super::{Desk, PASSWORD};
use crate::access::acts::ChangeOwnTokens;
use crate::access::{About, Refused, Shown};
use crate::domain::access::{Permission, Room, RoomId, Target};

#[test]
fn the_right_password_lets_in_and_a_wrong_one_does_not() {
    let (desk, claimed) = Desk::claimed();
    let session = desk.access.log_in(&desk.ctx(), " ANNA@example.org", PASSWORD).unwrap();
    assert_eq!(session.user.id, claimed.user.id);
    let actor = desk.access.authenticate(&desk.ctx(), Shown::Cookie(&session.cookie)).unwrap();
    assert_eq!(actor.user, Some(claimed.user.id));
    let wrong = desk.access.log_in(&desk.ctx(), "anna@example.org", "copper lantern drifts past moon");
    assert!(matches!(wrong, Err(Refused::Wrong)));
}

#[test]
fn a_session_ends_unused_after_twelve_hours_and_used_after_thirty_days() {
    let (desk, claimed) = Desk::claimed();
    desk.wait(12 * 3600 - 1);
    assert!(desk.is_in(&claimed.cookie));
    desk.wait(12 * 3600);
    assert!(!desk.is_in(&claimed.cookie));
    let cookie = desk.access.log_in(&desk.ctx(), "anna@example.org", PASSWORD).unwrap().cookie;
    for _ in 0..60 {
        desk.wait(12 * 3600 - 1);
        assert!(desk.is_in(&cookie));
    }
    // Sixty times a second is what is missing to thirty days.
    desk.wait(60);
    assert!(!desk.is_in(&cookie));
}

#[test]
fn a_session_from_before_the_clock_was_set_begins_when_it_was_set() {
    let (desk, claimed) = Desk::claimed();
    let set = desk.now();
    let mut session = desk.access.store().sessions().unwrap().remove(0);
    session.created_at = jiff::Timestamp::from_second(100).unwrap();
    session.seen_at = session.created_at;
    desk.access.store().put_session(&session).unwrap();
    assert!(desk.is_in(&claimed.cookie));
    let kept = desk.access.store().session(&session.hash).unwrap().unwrap();
    assert_eq!(kept.created_at, set.wall);
    desk.wait(13 * 3600);
    assert!(!desk.is_in(&claimed.cookie), "once");
}

#[test]
fn the_same_answer_for_unknown_names_and_wrong_passwords_and_the_journal_knows_the_difference() {
    let (desk, _) = Desk::claimed();
    for email in ["anna@example.org", "nobody@example.org", "my secret passphrase"] {
        assert!(matches!(desk.access.log_in(&desk.ctx_from(email), email, "x"), Err(Refused::Wrong)));
    }
    let told: Vec<_> = desk.journal("auth.login").into_iter().map(|entry| (entry.target.name, entry.reason)).collect();
    assert!(told.contains(&("anna@example.org".into(), "wrong password".into())), "{told:?}");
    assert!(told.contains(&("nobody@example.org".into(), "nobody logs in by this name".into())));
    assert!(told.iter().any(|(name, _)| name == "(not an e-mail address)"), "a password in the wrong field");
}

#[test]
fn guessing_is_slowed_and_the_right_password_waits_no_longer_than_told() {
    let (desk, _) = Desk::claimed();
    for _ in 0..3 {
        assert!(matches!(desk.access.log_in(&desk.ctx(), "anna@example.org", "x"), Err(Refused::Wrong)));
    }
    let wait = desk.access.log_in(&desk.ctx(), "anna@example.org", PASSWORD);
    assert!(matches!(wait, Err(Refused::Wait { seconds: 1 })));
    desk.wait(1);
    assert!(desk.access.log_in(&desk.ctx(), "anna@example.org", PASSWORD).is_ok());
}

#[test]
fn a_flood_of_guesses_does_not_fill_the_journal() {
    let (desk, _) = Desk::claimed();
    for index in 0..60 {
        let address = format!("198.51.100.{index}");
        let _ = desk.access.log_in(&desk.ctx_from(&address), &format!("a{index}@example.org"), "x");
    }
    assert_eq!(desk.journal("auth.login").len(), 30);
    desk.wait(60);
    let _ = desk.access.log_in(&desk.ctx(), "b@example.org", "x");
    assert!(desk.journal("auth.login")[0].reason.contains("30 more"));
}

#[test]
fn logging_out_ends_the_session_and_no_other() {
    let (desk, claimed) = Desk::claimed();
    let other = desk.access.log_in(&desk.ctx(), "anna@example.org", PASSWORD).unwrap().cookie;
    desk.access.log_out(&desk.ctx(), &desk.actor(&other)).unwrap();
    assert!(!desk.is_in(&other) && desk.is_in(&claimed.cookie));
    assert_eq!(desk.journal("auth.logout").len(), 1);
}

#[test]
fn a_token_may_what_its_scopes_name_until_its_end_and_makes_no_tokens() {
    let (desk, claimed) = Desk::claimed();
    let actor = desk.actor(&claimed.cookie);
    let scopes = Some([Permission::MetricsRead].into());
    let end = desk.now().wall + jiff::SignedDuration::from_hours(1);
    let made = desk.access.new_token(desk.allow(&actor), &desk.ctx(), &claimed.user, "Grafana", scopes, Some(end));
    let (_, secret) = made.unwrap();
    assert!(secret.starts_with("rk_") && secret.len() == 46);
    let token = desk.access.authenticate(&desk.ctx(), Shown::Bearer(&secret)).unwrap();
    assert!(desk.access.may(&token, Permission::MetricsRead, &Target::Fleet).is_ok());
    assert!(desk.access.may(&token, Permission::AuthManage, &Target::Fleet).is_err());
    let more = desk.access.allow::<ChangeOwnTokens>(&desk.ctx(), &token, &Target::Fleet, About::default());
    assert!(matches!(more, Err(Refused::NotThemself)));
    desk.wait(3600);
    assert!(matches!(desk.access.authenticate(&desk.ctx(), Shown::Bearer(&secret)), Err(Refused::Unknown)));
}

#[test]
fn a_token_that_would_last_for_ever_or_may_nothing_is_refused() {
    let (desk, claimed) = Desk::claimed();
    let actor = desk.actor(&claimed.cookie);
    let make = |scopes, hours: i64| {
        let end = desk.now().wall + jiff::SignedDuration::from_hours(hours);
        desk.access.new_token(desk.allow(&actor), &desk.ctx(), &claimed.user, "x", scopes, Some(end)).map(|_| ())
    };
    assert!(make(None, 2 * 365 * 24).is_ok());
    assert!(make(None, 2 * 365 * 24 + 1).is_err());
    assert!(make(None, 0).is_err());
    assert!(make(Some([].into()), 1).is_err());
}

#[test]
fn the_pin_looks_and_records_and_does_nothing_else_and_a_new_one_ends_it() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    for bad in ["12345", "123456", "777777", "12345a"] {
        assert!(desk.access.set_pin(desk.allow(&owner), &desk.ctx(), Some(bad)).is_err(), "{bad}");
    }
    assert!(matches!(desk.access.log_in_pin(&desk.ctx(), "480271"), Err(Refused::Wrong)), "none is set");
    desk.access.set_pin(desk.allow(&owner), &desk.ctx(), Some("480271")).unwrap();
    let cookie = desk.access.log_in_pin(&desk.ctx(), "480271").unwrap();
    let pin = desk.actor(&cookie);
    let room = desk.access.store().rooms().unwrap().remove(0);
    let here = Target::room(Room { id: RoomId::new(room.id.to_string()), site: None });
    for permission in Permission::ALL {
        let expected = ["node:read", "health:read", "recording:read", "recording:create", "recording:control"];
        let may = desk.access.may(&pin, permission, &here).is_ok();
        assert_eq!(may, expected.contains(&permission.name()), "{permission}");
    }
    desk.access.set_pin(desk.allow(&owner), &desk.ctx(), Some("480272")).unwrap();
    assert!(!desk.is_in(&cookie));
}

#[test]
fn garbage_opens_nothing() {
    let (desk, _) = Desk::claimed();
    for shown in ["", "rk_", "rk_x", "\0", &"x".repeat(100_000)] {
        assert!(matches!(desk.access.authenticate(&desk.ctx(), Shown::Cookie(shown)), Err(Refused::Unknown)));
        assert!(matches!(desk.access.authenticate(&desk.ctx(), Shown::Bearer(shown)), Err(Refused::Unknown)));
    }
}
