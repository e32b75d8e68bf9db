//! Two nodes that have met: whose everything is, and that nothing of one is taken for the other's.

use super::*;
use crate::store::StoreError;
use crate::store::fleet::{Fleet, Inventory, Key, Member, Profile};
use crate::store::people::User;
use crate::store::recordings::Query;
use crate::store::replacements::Replacement;
use crate::store::rooms::{ChannelLabel, Room};

fn found(store: &Store, query: Query) -> Vec<(TakeId, Id)> {
    let page = store.recordings(&Query { limit: 50, ..query }).unwrap();
    page.items.iter().map(|recording| (recording.id, recording.node)).collect()
}

fn of(node: Id) -> Query {
    Query { node: Some(node), ..Query::default() }
}

#[test]
fn a_recording_is_of_the_node_that_saw_it_whoever_speaks_of_it() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| edits.put_facts(take(1), &facts("ours", 1))).unwrap();
    commit(&theirs, |edits| edits.put_facts(take(2), &facts("theirs", 2))).unwrap();
    meet(&ours, &theirs);
    commit(&ours, |edits| edits.put_title(take(2), "said here")).unwrap();
    meet(&ours, &theirs);

    for store in [&ours, &theirs] {
        assert_eq!(found(store, Query::default()), [(take(2), THEM), (take(1), NODE)]);
        assert_eq!(found(store, of(THEM)), [(take(2), THEM)]);
        let text = Some("said".to_owned());
        assert_eq!(found(store, Query { text: text.clone(), ..of(THEM) }), [(take(2), THEM)]);
        assert_eq!(found(store, Query { text, ..of(NODE) }), []);
    }
    assert_eq!(theirs.recording(take(2)).unwrap().unwrap().title(), "said here");
}

#[test]
fn a_page_of_one_node_goes_on_where_it_stopped() {
    let (_folder, ours, theirs) = two();
    for number in 1..=6 {
        let store = if number % 2 == 0 { &ours } else { &theirs };
        commit(store, |edits| edits.put_facts(take(number), &facts("x", number.into()))).unwrap();
    }
    meet(&ours, &theirs);

    let first = theirs.recordings(&Query { limit: 2, ..of(NODE) }).unwrap();
    let rest = theirs.recordings(&Query { limit: 2, cursor: first.next.clone(), ..of(NODE) }).unwrap();
    let ids: Vec<TakeId> = first.items.iter().chain(&rest.items).map(|recording| recording.id).collect();
    assert_eq!((ids, rest.next), (vec![take(6), take(4), take(2)], None));
}

#[test]
fn incidents_are_of_the_node_that_watched_open_or_over() {
    let (_folder, ours, theirs) = two();
    let id = |number| Id(uuid::Uuid::from_u128(number));
    commit(&ours, |edits| edits.put_incident(id(1), &incident(1))).unwrap();
    commit(&theirs, |edits| edits.put_incident(id(2), &incident(2))).unwrap();
    meet(&ours, &theirs);
    let names =
        |known: Vec<crate::store::incidents::Known>| -> Vec<_> { known.iter().map(|k| (k.id, k.node)).collect() };

    assert_eq!(names(ours.open_incidents(None).unwrap()), [(id(2), THEM), (id(1), NODE)]);
    assert_eq!(names(ours.open_incidents(Some(NODE)).unwrap()), [(id(1), NODE)]);
    assert_eq!(names(ours.incidents(Some(THEM), None, 9).unwrap().items), [(id(2), THEM)]);
    assert_eq!(ours.incident(id(2)).unwrap().unwrap().node, THEM);
    // What is done about it here is known there.
    let handled = crate::store::incidents::Handled { by: "Ada".into(), at: at(3), until: None, note: String::new() };
    commit(&ours, |edits| edits.put_acknowledged(id(2), &handled)).unwrap();
    meet(&ours, &theirs);
    assert_eq!(theirs.incident(id(2)).unwrap().unwrap().handling.acknowledged, Some(handled));
}

#[test]
fn the_journal_tells_on_which_node_and_exports_its_own_chain_only() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| edits.put_audit(&entry(1, "Ada", "recording.start", 1))).unwrap();
    commit(&theirs, |edits| edits.put_audit(&entry(2, "Bob", "recording.stop", 2))).unwrap();
    meet(&ours, &theirs);
    let told = |node| -> Vec<_> {
        let page = ours.audit(&audit::Query { node, limit: 9, ..Default::default() }).unwrap();
        page.items.into_iter().map(|written| (written.entry.action, written.node)).collect()
    };

    assert_eq!(told(None), [("recording.stop".to_owned(), THEM), ("recording.start".to_owned(), NODE)]);
    assert_eq!(told(Some(THEM)), [("recording.stop".to_owned(), THEM)]);
    let mut lines = Vec::new();
    ours.write_audit((0, 0), &mut lines).unwrap();
    assert!(!String::from_utf8(lines).unwrap().contains("recording.stop"));
}

#[test]
fn what_others_have_in_the_bin_is_not_ours_to_remove() {
    let (_folder, ours, theirs) = two();
    for (store, number) in [(&ours, 1), (&theirs, 2)] {
        commit(store, |edits| {
            edits.put_facts(take(number), &facts("x", 1));
            edits.put_bin(take(number), Some(at(1)));
        })
        .unwrap();
    }
    meet(&ours, &theirs);
    assert_eq!(ours.purge_due(at(2) + days(30)).unwrap(), [take(1)]);
    assert_eq!(theirs.purge_due(at(2) + days(30)).unwrap(), [take(2)]);
}

#[test]
fn a_room_is_of_the_node_that_stands_in_it() {
    let (_folder, ours, theirs) = two();
    let room = |number, name: &str, node| Room {
        id: Id(uuid::Uuid::from_u128(number)),
        name: name.into(),
        time_zone: "Europe/Berlin".into(),
        notes: String::new(),
        node,
        version: String::new(),
    };
    // As it was written before there were fleets.
    commit(&ours, |edits| edits.put_room(&room(2, "Hall", None))).unwrap();
    assert_eq!(ours.room().unwrap().unwrap().name, "Hall");
    commit(&ours, |edits| edits.put_place(room(2, "", None).id, NODE)).unwrap();
    commit(&theirs, |edits| {
        edits.put_room(&room(1, "Chapel", Some(THEM)));
        let role = crate::domain::watch::Role::Mic;
        let expects = crate::domain::watch::Expects::Signal;
        edits.put_channels(THEM, &[ChannelLabel { number: 1, label: "Pulpit".into(), role, expects }]);
    })
    .unwrap();
    meet(&ours, &theirs);

    let named = |store: &Store| store.room().unwrap().map(|room| room.name);
    assert_eq!(
        (ours.rooms().unwrap().len(), named(&ours), named(&theirs)),
        (2, Some("Hall".into()), Some("Chapel".into()))
    );
    assert_eq!((ours.channels().unwrap().len(), ours.channels_of(THEM).unwrap().len()), (0, 1));
    // Somebody renames the room from the other node: it stays where it is.
    commit(&theirs, |edits| edits.put_room(&room(2, "Great hall", None))).unwrap();
    meet(&ours, &theirs);
    assert_eq!((named(&ours), named(&theirs)), (Some("Great hall".into()), Some("Chapel".into())));
}

#[test]
fn a_nodes_own_setting_holds_there_only_also_one_from_before_fleets() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| {
        edits.put_setting("room_pin", &"old");
        edits.put_setting("access_rules", &"all");
    })
    .unwrap();
    meet(&ours, &theirs);
    let pin = |store: &Store| store.node_setting::<String>("room_pin").unwrap();
    assert_eq!((pin(&ours), pin(&theirs)), (Some("old".into()), None));
    assert_eq!(theirs.setting::<String>("access_rules").unwrap(), Some("all".into()));

    commit(&ours, |edits| edits.put_node_setting(NODE, "room_pin", &"new")).unwrap();
    commit(&theirs, |edits| edits.put_node_setting(THEM, "room_pin", &"other")).unwrap();
    meet(&ours, &theirs);
    assert_eq!((pin(&ours), pin(&theirs)), (Some("new".into()), Some("other".into())));
}

#[test]
fn folders_and_tags_that_come_from_elsewhere_are_counted() {
    let (_folder, ours, theirs) = two();
    commit(&theirs, |edits| edits.put_facts(take(1), &facts("x", 1))).unwrap();
    assert!(ours.facets().unwrap().tags.is_empty());
    commit(&theirs, |edits| edits.put_filing(take(1), "", &tags(&["choir"]))).unwrap();
    meet(&ours, &theirs);
    assert_eq!(ours.facets().unwrap().tags, [("choir".to_owned(), 1)]);
}

fn member(id: Id, name: &str) -> Member {
    Member {
        id,
        key: Some(Key { spki: "0a".repeat(32), certificate: "MII=".into() }),
        profile: Profile {
            name: name.into(),
            addresses: vec!["b-hall.local:8443".into()],
            priority: 5,
            is_keeper: true,
            is_candidate: false,
            weight: 1,
        },
        joined: None,
        is_retired: false,
        version: String::new(),
    }
}

#[test]
fn the_roster_is_the_same_everywhere_and_nothing_takes_back_a_retirement() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| {
        edits.put_fleet(&Fleet { id: NODE, name: "Court".into() });
        edits.put_member(&member(NODE, "A-Hall"));
        edits.put_member(&member(THEM, "B-Hall"));
    })
    .unwrap();
    meet(&ours, &theirs);
    assert_eq!(theirs.fleet().unwrap(), Some(Fleet { id: NODE, name: "Court".into() }));
    let read = theirs.member(THEM).unwrap().unwrap();
    assert_eq!(Member { version: String::new(), ..read }, member(THEM, "B-Hall"));

    // Retired here, while there, and later here, it is given another name and key.
    retire(&ours, THEM);
    commit(&theirs, |edits| edits.put_member(&member(THEM, "C-Hall"))).unwrap();
    meet(&ours, &theirs);
    commit(&ours, |edits| edits.put_member(&member(THEM, "D-Hall"))).unwrap();
    meet(&ours, &theirs);
    for store in [&ours, &theirs] {
        let members = store.members().unwrap();
        let told: Vec<_> = members.iter().map(|m| (m.profile.name.as_str(), m.is_retired)).collect();
        assert_eq!(told, [("A-Hall", false), ("D-Hall", true)]);
    }
}

fn retire(store: &Store, id: Id) {
    let words = store.last_words(id).unwrap();
    commit(store, |edits| edits.retire(id, &words)).unwrap();
}

/// Two more, who have met nobody.
fn others(folder: &tempfile::TempDir) -> [Store; 2] {
    [9, 10].map(|number: u128| {
        let path = folder.path().join(number.to_string());
        Store::open(&path, Id(uuid::Uuid::from_u128(number)), "other", moment(), || 5).unwrap().0
    })
}

const PERSON: Id = Id(uuid::Uuid::from_u128(1));

fn person() -> User {
    User {
        id: PERSON,
        name: "Ada".into(),
        email: "ada@example.org".into(),
        roles: BTreeSet::new(),
        groups: BTreeSet::new(),
        is_disabled: false,
        cred_gen: 0,
        password_hash: String::new(),
    }
}

#[test]
fn a_retired_node_enables_nobody_whichever_is_heard_first() {
    let (folder, ours, theirs) = two();
    let [third, fourth] = others(&folder);
    commit(&ours, |edits| {
        edits.put_member(&member(THEM, "B-Hall"));
        edits.put_user(&person());
        edits.disable_user(PERSON);
    })
    .unwrap();
    meet(&ours, &theirs);
    retire(&ours, THEM);
    commit(&theirs, |edits| {
        edits.put_facts(take(2), &facts("theirs", 2));
        edits.enable_user(PERSON);
    })
    .unwrap();
    let is_disabled = |store: &Store| store.user(PERSON).unwrap().unwrap().is_disabled;
    meet(&third, &theirs);
    assert!(!is_disabled(&third), "neither knows yet");

    meet(&fourth, &ours);
    for other in [&theirs, &third, &ours, &theirs, &third] {
        meet(&fourth, other);
    }
    for store in [&ours, &theirs, &third, &fourth] {
        assert!(is_disabled(store) && store.member(THEM).unwrap().unwrap().is_retired);
        assert_eq!(store.void_changes().unwrap(), [(THEM, 1)].into());
        assert_eq!(store.recording(take(2)).unwrap().unwrap().facts.title, "theirs", "what it recorded is a fact");
        assert_eq!(store.logs().state_hash().unwrap(), ours.logs().state_hash().unwrap());
    }
}

#[test]
fn on_a_retired_node_a_person_is_told_and_what_it_records_is_kept() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| edits.put_member(&member(THEM, "B-Hall"))).unwrap();
    meet(&ours, &theirs);
    retire(&ours, THEM);
    meet(&ours, &theirs);

    let told = commit(&theirs, |edits| edits.put_user(&person()));
    assert!(matches!(told, Err(StoreError::Invalid { field: "node", .. })), "{told:?}");
    commit(&theirs, |edits| edits.put_facts(take(1), &facts("theirs", 1))).unwrap();
    let mut edits = Edits::by("service:recorder");
    edits.put_title(take(1), "without effect");
    theirs.commit(edits, moment()).unwrap();
    let recording = theirs.recording(take(1)).unwrap().unwrap();
    assert_eq!((recording.title(), theirs.void_changes().unwrap()), ("theirs", [(THEM, 2)].into()));
}

#[test]
fn of_two_that_retired_each_other_a_third_says_which_is_retired() {
    let (folder, ours, theirs) = two();
    let [third, _] = others(&folder);
    commit(&ours, |edits| {
        edits.put_member(&member(NODE, "A-Hall"));
        edits.put_member(&member(THEM, "B-Hall"));
    })
    .unwrap();
    meet(&ours, &theirs);
    retire(&ours, THEM);
    commit(&ours, |edits| edits.put_user(&person())).unwrap();
    retire(&theirs, NODE);
    for other in [&ours, &theirs] {
        meet(&third, other);
    }
    let retired = || [NODE, THEM].map(|id| third.member(id).unwrap().unwrap().is_retired);
    assert_eq!((retired(), third.user(PERSON).unwrap()), ([true, true], None));
    assert!(third.is_disputed(NODE).unwrap() && third.is_disputed(THEM).unwrap());

    retire(&third, THEM);
    assert_eq!((retired(), third.is_disputed(THEM).unwrap()), ([false, true], false));
    assert!(third.user(PERSON).unwrap().is_some());
}

/// Another box in the place of THEM, as the fleet has it.
fn replaced(store: &Store, folder: &Path) -> (Replacement, Store) {
    let until = store.incarnation_above(THEM).unwrap();
    let words = store.last_words(THEM).unwrap();
    let (by, spki) = ("Ada".into(), "0a".repeat(32));
    let done = Replacement { node: THEM, at: at(9), by, through: NODE, spki, until, words };
    commit(store, |edits| {
        edits.put_replacement(Id::of_name(&until.to_string()), &done);
        edits.put_member_key(THEM, &Key { spki: "0b".repeat(32), certificate: "MII=".into() });
    })
    .unwrap();
    let new = Store::open_above(&folder.join(until.to_string()), (THEM, until), "new", moment(), || 6).unwrap().0;
    (done, new)
}

#[test]
fn what_a_replaced_box_still_decides_counts_nowhere_and_the_new_one_is_the_member() {
    let (folder, ours, theirs) = two();
    let [third, _] = others(&folder);
    commit(&ours, |edits| edits.put_member(&member(THEM, "B-Hall"))).unwrap();
    meet(&ours, &theirs);
    commit(&theirs, |edits| edits.put_facts(take(1), &facts("old", 1))).unwrap();
    meet(&ours, &theirs);
    let (done, new) = replaced(&ours, folder.path());
    assert!(new.logs().brief().us.inc == done.until && done.until > 1_000);
    commit(&theirs, |edits| edits.put_user(&person())).unwrap();
    meet(&third, &theirs);
    assert!(third.user(PERSON).unwrap().is_some(), "it does not know yet");

    meet(&new, &ours);
    commit(&new, |edits| edits.put_node_setting(THEM, "room_pin", &"new")).unwrap();
    for other in [&ours, &third, &new, &ours] {
        meet(&new, other);
        meet(&third, other);
    }
    for store in [&ours, &third, &new] {
        assert_eq!((store.user(PERSON).unwrap(), store.void_changes().unwrap()), (None, [(THEM, 2)].into()));
        let key = store.member(THEM).unwrap().unwrap().key.unwrap();
        assert_eq!((key.spki, store.replacements().unwrap()), ("0b".repeat(32), vec![done.clone()]));
        assert_eq!(store.node_setting::<String>("room_pin").unwrap().is_some(), store.node() == THEM);
        assert_eq!(store.logs().state_hash().unwrap(), ours.logs().state_hash().unwrap());
    }
    assert!(new.was_on_replaced_box(take(1).into()).unwrap() && !ours.was_on_replaced_box(take(1).into()).unwrap());
    assert_eq!((new.earlier_facts().unwrap() > 0, ours.earlier_facts().unwrap()), (true, 0));
}

/// One way of [`meet`]: what was refused.
fn hear(listener: &Store, speaker: &Store) -> usize {
    let hear = |stream: &Stream| {
        let export = speaker.logs().export(*stream, &listener.logs().vector(*stream).unwrap()).unwrap();
        listener.logs().apply(export.entries, listener.stamp(moment()), true).wait().unwrap().refused
    };
    Stream::ALL.iter().map(hear).sum()
}

#[test]
fn a_box_that_knows_it_was_replaced_takes_no_name_above_the_new_ones() {
    let (folder, ours, theirs) = two();
    commit(&ours, |edits| edits.put_member(&member(THEM, "B-Hall"))).unwrap();
    meet(&ours, &theirs);
    let (_, new) = replaced(&ours, folder.path());
    assert_eq!(hear(&theirs, &ours), 0);
    let (before, told) = (theirs.logs().brief().us, commit_by_person(&theirs));
    assert!(matches!(told, Err(StoreError::Invalid { field: "node", .. })), "{told:?}");

    commit(&new, |edits| edits.put_setting("said_by_the_new_one", &1)).unwrap();
    assert!(hear(&theirs, &new) > 0, "its own name's entries, which it did not write");
    assert_eq!(theirs.logs().brief().us, before);
}

fn commit_by_person(store: &Store) -> Result<(), StoreError> {
    let mut edits = Edits::by("user:7");
    edits.put_setting("said_now", &2);
    store.commit(edits, moment())
}

#[test]
fn a_second_replacement_does_not_let_the_first_box_count_again() {
    let (folder, ours, theirs) = two();
    commit(&ours, |edits| edits.put_member(&member(THEM, "B-Hall"))).unwrap();
    meet(&ours, &theirs);
    let (first, new) = replaced(&ours, folder.path());
    meet(&new, &ours);
    commit(&new, |edits| edits.put_setting("said_by_the_second", &1)).unwrap();
    meet(&new, &ours);
    let (second, third_box) = replaced(&ours, folder.path());
    assert!(second.until > first.until);
    commit(&theirs, |edits| edits.put_setting("said_by_the_first", &1)).unwrap();
    commit(&new, |edits| edits.put_setting("said_too_late", &1)).unwrap();
    // Both old boxes are refused by whoever knows; somebody who did not know yet hands on what they said.
    for old in [&theirs, &new] {
        hear(&ours, old);
    }
    meet(&third_box, &ours);

    let said = |name: &str| third_box.setting::<u32>(name).unwrap();
    let names = ["said_by_the_first", "said_by_the_second", "said_too_late"];
    assert_eq!(names.map(said), [None, Some(1), None]);
    let last_words = third_box.last_words(THEM).unwrap();
    commit(&ours, |edits| edits.retire(THEM, &last_words)).unwrap();
    meet(&third_box, &ours);
    assert_eq!(names.map(said), [None, Some(1), None]);
}

#[test]
fn a_member_is_changed_from_what_was_read_and_within_bounds() {
    let (_folder, ours, _theirs) = two();
    commit(&ours, |edits| edits.put_member(&member(THEM, "B-Hall"))).unwrap();
    let read = ours.member(THEM).unwrap().unwrap();
    retire(&ours, THEM);
    let stale = commit(&ours, |edits| {
        edits.expect_member(THEM, &read.version);
        edits.put_member_profile(THEM, &read.profile);
    });
    assert!(matches!(stale, Err(StoreError::Stale)));
    let too_many = Profile { addresses: vec!["a:1".into(); 17], ..read.profile };
    assert!(commit(&ours, |edits| edits.put_member_profile(THEM, &too_many)).is_err());
    let no_hash = Key { spki: "zz".repeat(32), certificate: String::new() };
    assert!(commit(&ours, |edits| edits.put_member_key(THEM, &no_hash)).is_err());
}

#[test]
fn each_node_tells_of_itself() {
    let (_folder, ours, theirs) = two();
    let said = |state: &str| Inventory {
        version: "0.5.0".into(),
        build: String::new(),
        started: at(0),
        disk: (1 << 30, 1 << 40),
        jack: Some((48_000, 2)),
        room: None,
        state: state.into(),
    };
    commit(&ours, |edits| edits.put_inventory(NODE, &said("idle"))).unwrap();
    commit(&theirs, |edits| edits.put_inventory(THEM, &said("recording"))).unwrap();
    meet(&ours, &theirs);
    assert_eq!(ours.inventory(THEM).unwrap(), Some(said("recording")));
    assert_eq!(*theirs.inventories().unwrap(), [(NODE, said("idle")), (THEM, said("recording"))].into());
    commit(&ours, |edits| edits.put_inventory(NODE, &said("offline"))).unwrap();
    meet(&ours, &theirs);
    assert_eq!(*theirs.inventories().unwrap(), [(NODE, said("offline")), (THEM, said("recording"))].into());
}

#[test]
fn an_invitation_is_used_up_ends_by_itself_and_stays_on_this_machine() {
    use crate::store::invitations::{Invitation, OPEN_MAX};
    let (_folder, ours, theirs) = two();
    let invitation = |number: u128, ends: i64, uses_left| Invitation {
        id: Id(uuid::Uuid::from_u128(number)),
        hash: format!("{number:064x}"),
        by: "Ada".into(),
        made_at: at(0),
        expires_at: at(ends),
        uses_left,
        replaces: None,
    };
    let (twice, short) = (invitation(1, 100, 2), invitation(2, 10, 1));
    ours.put_invitation(&twice, at(0)).unwrap();
    ours.put_invitation(&short, at(0)).unwrap();
    meet(&ours, &theirs);
    assert_eq!((ours.invitations(at(9)).unwrap().len(), theirs.invitations(at(9)).unwrap().len()), (2, 0));
    assert_eq!(ours.invitations(at(10)).unwrap(), std::slice::from_ref(&twice));

    let uses =
        |invitation: &Invitation, now| ours.use_invitation(&invitation.hash, at(now)).unwrap().map(|i| i.uses_left);
    assert_eq!(
        [uses(&short, 10), uses(&twice, 99), uses(&twice, 99), uses(&twice, 99)],
        [None, Some(1), Some(0), None]
    );
    assert_eq!(ours.use_invitation(&twice.hash[1..], at(0)).unwrap(), None);

    for number in 0..OPEN_MAX as u128 {
        ours.put_invitation(&invitation(number + 10, 50, 1), at(11)).unwrap();
    }
    assert!(ours.put_invitation(&invitation(999, 50, 1), at(11)).is_err());
    ours.end_invitation(Id(uuid::Uuid::from_u128(10))).unwrap();
    ours.put_invitation(&invitation(999, 90, 1), at(11)).unwrap();
    // All but the last are over: there is room again.
    ours.put_invitation(&invitation(1_000, 90, 1), at(51)).unwrap();
    assert_eq!(ours.invitations(at(51)).unwrap().len(), 2);
}

#[test]
fn what_is_changed_in_two_ways_is_held_until_it_is_said_anew() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| edits.put_user(&person())).unwrap();
    meet(&ours, &theirs);
    commit(&ours, |edits| edits.put_user(&User { name: "Ada B.".into(), ..person() })).unwrap();
    commit(&theirs, |edits| {
        edits.put_user(&User { name: "Ada C.".into(), ..person() });
        edits.put_password(&person(), "secret");
    })
    .unwrap();
    commit(&ours, |edits| edits.put_password(&person(), "secret too")).unwrap();
    meet(&ours, &theirs);

    let held = ours.held().unwrap();
    assert_eq!(held, theirs.held().unwrap(), "everybody sees the same first");
    let of =
        |group: &str| held.iter().find(|held| (held.kind.as_str(), held.group.as_str()) == ("user", group)).unwrap();
    let said = |group: &str| -> Vec<Option<String>> {
        of(group).versions.iter().map(|version| Some(version.value.as_ref()?["name"].as_str()?.to_owned())).collect()
    };
    let shown = ours.user(PERSON).unwrap().unwrap().name;
    assert_eq!(said("profile").first(), Some(&Some(shown)));
    assert_eq!(said("profile").iter().flatten().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(said("cred"), [None, None], "nobody sees what stands for a password");
    assert_eq!(of("profile").versions.iter().map(|version| version.node).collect::<BTreeSet<_>>(), [NODE, THEM].into());

    commit(&theirs, |edits| {
        edits.put_user(&User { name: "Ada D.".into(), ..person() });
        edits.put_password(&person(), "one");
    })
    .unwrap();
    meet(&ours, &theirs);
    assert_eq!((ours.held().unwrap(), theirs.held().unwrap()), (Vec::new(), Vec::new()));
}

#[test]
fn a_disabling_that_is_said_again_outlives_an_enabling_elsewhere() {
    let (_folder, ours, theirs) = two();
    commit(&ours, |edits| {
        edits.put_user(&person());
        edits.disable_user(PERSON);
    })
    .unwrap();
    meet(&ours, &theirs);
    commit(&theirs, |edits| edits.enable_user(PERSON)).unwrap();
    commit(&ours, |edits| edits.disable_user(PERSON)).unwrap();
    meet(&ours, &theirs);

    for store in [&ours, &theirs] {
        assert!(store.user(PERSON).unwrap().unwrap().is_disabled);
        assert_eq!(store.held().unwrap().len(), 1, "and it is told that somebody enabled them");
    }
}
