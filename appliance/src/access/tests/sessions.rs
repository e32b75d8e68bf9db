//! Logging in, sessions, tokens.

use super::{Desk, PASSWORD};
use crate::access::{Refused, Shown};

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
