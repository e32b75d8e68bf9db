//! Claiming.

use super::{Desk, owner};
use crate::access::{ClaimError, ClaimState, Shown};
use crate::domain::access::Role;

#[test]
fn whoever_has_the_code_becomes_the_owner_and_is_logged_in() {
    let (desk, claimed) = Desk::claimed();
    let actor = desk.access.authenticate(&desk.ctx(), Shown::Cookie(&claimed.cookie)).unwrap();
    assert_eq!(actor.user, Some(claimed.user.id));
    assert!(actor.roles().contains(&Role::Owner));
    assert_eq!(desk.access.store().rooms().unwrap()[0].name, "Courtroom 4");
    assert!(!desk.folder.path().join("claim-code").exists());
    assert_eq!(desk.access.claim_state(desk.now()).unwrap(), ClaimState::Claimed);
    let journal = desk.access.store().audit(&crate::store::audit::Query { limit: 9, ..Default::default() }).unwrap();
    assert_eq!(journal.items[0].action, "node.claim");
}

#[test]
fn a_node_is_claimed_once() {
    let (desk, _) = Desk::claimed();
    assert!(matches!(desk.access.claim(&desk.ctx(), owner("23456789")), Err(ClaimError::Claimed)));
}
