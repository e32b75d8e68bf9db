//! Choosing between what was said in two ways.

use std::collections::BTreeSet;

use super::{Desk, moment};
use crate::access::acts::{ChangePeople, ChangeRules};
use crate::access::choose::Choice;
use crate::access::{AccessError, Actor, RULES};
use crate::domain::access::{AccessPolicy, Effect, Pattern, PolicyId, Role, Rules, Who};
use crate::store::held::Held;
use crate::store::people::User;
use crate::store::tests::meet;
use crate::store::{Edits, Id, Store, StoreError};

/// Another node of the fleet, that has met this one.
fn other(desk: &Desk) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let node = Id::new(moment(0).wall, [9; 10]);
    let (store, _) = Store::open(folder.path(), node, "boot", moment(0), || 2).unwrap();
    meet(&desk.access.store, &store);
    (folder, store)
}

/// Somebody says it there, and somebody here, neither knowing of the other.
fn say(desk: &Desk, store: &Store, there: impl FnOnce(&mut Edits), here: impl FnOnce(&mut Edits)) {
    for (store, say) in [(store, Box::new(there) as Box<dyn FnOnce(&mut Edits)>), (&desk.access.store, Box::new(here))]
    {
        let mut edits = Edits::by("user:1");
        say(&mut edits);
        store.commit(edits, moment(1)).unwrap();
    }
    meet(&desk.access.store, store);
}

fn choice(held: &Held, which: impl Fn(&serde_json::Value) -> bool) -> Choice {
    let version = held.versions.iter().find(|version| version.value.as_ref().is_some_and(&which)).unwrap();
    let seen = held.versions.iter().map(|version| version.version()).collect();
    Choice { kind: held.kind.clone(), id: held.id, group: held.group.clone(), version: version.version(), seen }
}

fn held(desk: &Desk, group: &str) -> Held {
    desk.access.store.held().unwrap().into_iter().find(|held| held.group == group).unwrap()
}

/// An owner, and a person whose name was set in two ways.
fn two_names() -> (Desk, Actor, User, tempfile::TempDir, Store) {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (folder, store) = other(&desk);
    let user = claimed.user;
    let named = |name: &str| User { name: name.into(), ..user.clone() };
    say(&desk, &store, |edits| edits.put_user(&named("South")), |edits| edits.put_user(&named("North")));
    (desk, owner, user, folder, store)
}

#[test]
fn what_is_chosen_counts_on_all_nodes_whichever_it_was() {
    for name in ["South", "North"] {
        let (desk, owner, user, _folder, store) = two_names();
        for group in ["profile", "roles"] {
            let choice = choice(&held(&desk, group), |value| group == "roles" || value["name"] == name);
            desk.access.choose(desk.allow::<ChangePeople>(&owner), &choice).unwrap();
        }
        meet(&desk.access.store, &store);
        for store in [&desk.access.store, &store] {
            assert_eq!(store.user(user.id).unwrap().unwrap().name, name);
            assert_eq!(store.held().unwrap(), []);
        }
    }
}

#[test]
fn what_came_after_somebody_looked_stays_beside_what_they_chose() {
    let (desk, owner, user, _folder, store) = two_names();
    let chosen = choice(&held(&desk, "profile"), |value| value["name"] == "South");
    let (_folder, third) = other(&desk);
    let west = |edits: &mut Edits| edits.put_user(&User { name: "West".into(), ..user.clone() });
    // The third has not seen what was said there last: it replaces only what it has.
    let mut edits = Edits::by("user:2");
    edits.put_user(&User { name: "South again".into(), ..user.clone() });
    let mut wests = Edits::by("user:3");
    west(&mut wests);
    third.commit(wests, moment(2)).unwrap();
    store.commit(edits, moment(2)).unwrap();
    meet(&desk.access.store, &third);
    meet(&desk.access.store, &store);

    let stale = desk.access.choose(desk.allow::<ChangePeople>(&owner), &chosen);
    assert!(matches!(stale, Err(AccessError::Store(StoreError::Stale))), "it was said anew meanwhile");
    let mut chosen = choice(&held(&desk, "profile"), |value| value["name"] == "West");
    chosen.seen = vec![chosen.version.clone()];
    desk.access.choose(desk.allow::<ChangePeople>(&owner), &chosen).unwrap();
    let names: BTreeSet<_> = held(&desk, "profile")
        .versions
        .iter()
        .map(|version| version.value.clone().unwrap()["name"].to_string())
        .collect();
    assert_eq!(names, ["\"South again\"".to_owned(), "\"West\"".to_owned()].into());
}

#[test]
fn no_choice_makes_an_owner_but_an_owners_and_none_leaves_nobody() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (_folder, store) = other(&desk);
    let with = |roles: BTreeSet<Role>| User { roles, ..claimed.user.clone() };
    let viewer = with([Role::Viewer].into());
    say(
        &desk,
        &store,
        |edits| edits.put_user(&viewer),
        |edits| edits.put_user(&with([Role::Owner, Role::Viewer].into())),
    );
    let roles = held(&desk, "roles");
    let keep = |is_owner: bool| choice(&roles, |value| value["roles"].to_string().contains("owner") == is_owner);

    let admin = User { id: Id::of_name("admin"), roles: [Role::Admin].into(), email: "b@example.org".into(), ..viewer };
    let by_admin = Actor::person(&admin, &desk.access.rules().unwrap(), Some("x".into()));
    let refused = desk.access.choose(desk.allow::<ChangePeople>(&by_admin), &keep(true));
    assert!(matches!(refused, Err(AccessError::OwnersOnly)), "{refused:?}");
    let refused = desk.access.choose(desk.allow::<ChangePeople>(&owner), &keep(false));
    assert!(matches!(refused, Err(AccessError::NobodyLeft)), "{refused:?}");
    desk.access.choose(desk.allow::<ChangePeople>(&owner), &keep(true)).unwrap();
}

#[test]
fn a_password_is_not_chosen_and_rules_that_leave_somebody_are() {
    let (desk, claimed) = Desk::claimed();
    let owner = desk.actor(&claimed.cookie);
    let (_folder, store) = other(&desk);
    let rules = desk.access.rules().unwrap();
    let said = |hash: &'static str, rules: Rules| {
        let user = claimed.user.clone();
        move |edits: &mut Edits| {
            edits.put_password(&user, hash);
            edits.put_setting(RULES, &rules);
        }
    };
    let deny =
        AccessPolicy { id: PolicyId::new("p"), effect: Effect::Deny, who: Who::Everyone, target: Pattern::Everything };
    let nobody = Rules { policies: vec![deny], ..rules.clone() };
    say(&desk, &store, said("one", nobody), said("two", rules.clone()));

    let cred = held(&desk, "cred");
    let version = cred.versions[0].version();
    let choice = Choice { kind: "user".into(), id: cred.id, group: "cred".into(), version, seen: Vec::new() };
    let refused = desk.access.choose(desk.allow::<ChangePeople>(&owner), &choice);
    assert!(matches!(refused, Err(AccessError::Bad { field: "version", .. })), "{refused:?}");

    let settings = held(&desk, "value");
    assert_eq!(settings.name, "who may do what");
    let keep = |is_all: bool| self::choice(&settings, |value| (*value == serde_json::json!(rules)) == is_all);
    let refused = desk.access.choose(desk.allow::<ChangeRules>(&owner), &keep(false));
    assert!(matches!(refused, Err(AccessError::NobodyLeft)), "{refused:?}");
    desk.access.choose(desk.allow::<ChangeRules>(&owner), &keep(true)).unwrap();
    assert_eq!(desk.access.rules().unwrap(), rules);
}
