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
    assert_eq!(journal.items[0].entry.action, "node.claim");
}

#[test]
fn a_node_is_claimed_once() {
    let (desk, _) = Desk::claimed();
    assert!(matches!(desk.access.claim(&desk.ctx(), owner("23456789")), Err(ClaimError::Claimed)));
}

#[test]
fn five_wrong_codes_make_a_pause_that_is_shown_and_ends() {
    let desk = Desk::new();
    let code = desk.open_claiming();
    let mut left = Vec::new();
    for _ in 0..5 {
        let Err(ClaimError::WrongCode { tries_left }) = desk.access.claim(&desk.ctx(), owner("AAAA2222")) else {
            panic!("not a wrong code")
        };
        left.push(tries_left);
    }
    assert_eq!(left, [4, 3, 2, 1, 0]);
    assert!(matches!(desk.access.claim(&desk.ctx(), owner(&code)), Err(ClaimError::Wait { seconds: 60 })));
    desk.wait(59);
    let ClaimState::Open { wait_seconds, .. } = desk.access.claim_state(desk.now()).unwrap() else { panic!("closed") };
    assert_eq!(wait_seconds, 1);
    desk.wait(1);
    assert!(desk.access.claim(&desk.ctx(), owner(&code)).is_ok());
}

#[test]
fn the_window_closes_and_a_restart_opens_it_with_the_same_code() {
    let desk = Desk::new();
    let code = desk.open_claiming();
    desk.wait(30 * 60);
    assert_eq!(desk.access.claim_state(desk.now()).unwrap(), ClaimState::Closed);
    assert!(matches!(desk.access.claim(&desk.ctx(), owner(&code)), Err(ClaimError::Closed)));
    assert_eq!(desk.open_claiming(), code);
    assert!(desk.access.claim(&desk.ctx(), owner(&code)).is_ok());
}

#[test]
fn a_code_is_eight_plain_letters_in_a_file_of_ones_own() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let code = desk.open_claiming();
    assert!(code.len() == 8 && !code.contains(['0', 'O', '1', 'I']), "{code}");
    let file = desk.folder.path().join("claim-code");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_ne!(desk.open_claiming(), code, "a code that others could read is used again");
}

#[test]
fn case_spaces_and_dashes_of_a_code_do_not_matter() {
    let desk = Desk::new();
    let code = desk.open_claiming().to_lowercase();
    assert!(desk.access.claim(&desk.ctx(), owner(&format!(" {}-{} ", &code[..4], &code[4..]))).is_ok());
}

#[test]
fn a_field_that_will_not_do_is_named_and_nothing_is_kept() {
    let desk = Desk::new();
    let code = desk.open_claiming();
    let good = || owner(&code);
    for (field, claim) in [
        ("name", crate::access::NewOwner { name: " ".into(), ..good() }),
        ("email", crate::access::NewOwner { email: "anna".into(), ..good() }),
        ("room", crate::access::NewOwner { room: "a\nb".into(), ..good() }),
        ("time_zone", crate::access::NewOwner { time_zone: "Moon/Base".into(), ..good() }),
        ("password", crate::access::NewOwner { password: "short".into(), ..good() }),
    ] {
        let Err(ClaimError::Bad { field: named, .. }) = desk.access.claim(&desk.ctx(), claim) else {
            panic!("{field}")
        };
        assert_eq!(named, field);
    }
    assert_eq!(desk.access.store().users().unwrap(), []);
    assert!(desk.access.store().rooms().unwrap().is_empty());
    assert!(desk.access.claim(&desk.ctx(), good()).is_ok());
}

#[test]
fn the_recovery_code_holds_once_and_leads_to_a_new_password() {
    let (desk, claimed) = Desk::claimed();
    let code = claimed.recovery_code.to_lowercase().replace('-', " ");
    let recovered = desk.access.log_in_recovery(&desk.ctx(), &code).unwrap();
    assert!(!desk.is_in(&claimed.cookie), "what the owner held ended");
    let actor = desk.actor(&recovered.logged_in.cookie);
    assert!(actor.has_given_password);
    let allowed = desk.allow(&actor);
    let new = "quartz ferry under seven bridges";
    desk.access.set_own_password(allowed, &desk.ctx(), "", new).unwrap();
    assert!(desk.access.log_in(&desk.ctx(), "anna@example.org", new).is_ok());
    assert!(matches!(desk.access.log_in_recovery(&desk.ctx(), &code), Err(crate::access::Refused::Wrong)));
    assert!(desk.access.log_in_recovery(&desk.ctx(), &recovered.recovery_code).is_ok());
}
