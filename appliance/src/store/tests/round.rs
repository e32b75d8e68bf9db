//! What is written is read; what was made from something older is refused; what is too long is named; backups.

use super::*;
use crate::store::backup::{self, BackupError};
use crate::store::recordings::{FOLDER_BYTES_MAX, NOTES_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TITLE_BYTES_MAX};
use crate::store::rooms::Room;
use crate::store::{StoreError, people::User, sessions::Session};
use std::sync::Arc;

#[test]
fn what_is_said_of_a_recording_is_read_again_after_opening() {
    let (folder, store) = fresh();
    commit(&store, |edits| {
        edits.put_facts(take(1), &facts("Order", 5));
        edits.put_plan(take(1), &plan());
        edits.put_title(take(1), "Title");
        edits.put_filing(take(1), "Hall", &tags(&["a", "b"]));
        edits.put_notes(take(1), "two\nlines");
        edits.put_bin(take(1), Some(at(9)));
        edits.hold(take(1));
    })
    .unwrap();
    let before = store.recording(take(1)).unwrap().unwrap();
    drop(store);
    let read = open(folder.path()).0.recording(take(1)).unwrap().unwrap();

    assert_eq!((&read.facts, &read.plan, read.title()), (&facts("Order", 5), &plan(), "Title"));
    let said = &read.annotation;
    assert_eq!((said.folder.as_str(), &said.tags, said.notes.as_str()), ("Hall", &tags(&["a", "b"]), "two\nlines"));
    assert_eq!((said.deleted_at, said.is_held), (Some(at(9)), true));
    assert_eq!(read, before);
}

#[test]
fn people_and_sessions_are_read_as_written() {
    let (folder, store) = fresh();
    let user = User {
        id: Id(uuid::Uuid::from_u128(1)),
        name: "Ada".into(),
        email: "Ada@Example.org".into(),
        roles: BTreeSet::new(),
        groups: BTreeSet::new(),
        is_disabled: false,
        cred_gen: 0,
        password_hash: String::new(),
    };
    commit(&store, |edits| {
        edits.put_user(&user);
        edits.put_password(&user, "$argon2id$x");
        edits.disable_user(user.id);
    })
    .unwrap();
    let session = Session {
        id: user.id,
        hash: "ab".into(),
        user: Some(user.id),
        cred_gen: 1,
        created_at: at(0),
        seen_at: at(1),
        address: "::1".into(),
        agent: "x".into(),
    };
    store.put_session(&session).unwrap();
    drop(store);
    let store = open(folder.path()).0;

    let wanted = User { is_disabled: true, cred_gen: 1, password_hash: "$argon2id$x".into(), ..user };
    assert_eq!(store.user_by_login(" ada@example.ORG").unwrap(), Some(wanted));
    assert_eq!(store.session("ab").unwrap(), Some(session));
    store.end_session("ab").unwrap();
    assert_eq!(store.sessions().unwrap(), []);
}

#[test]
fn an_edit_of_what_was_changed_meanwhile_is_stale() {
    let (_folder, store) = fresh();
    commit(&store, |edits| edits.put_facts(take(1), &facts("Order", 5))).unwrap();
    let version = || store.recording(take(1)).unwrap().unwrap().annotation.version;
    let edit = |version: &str, title: &str| {
        commit(&store, |edits| {
            edits.expect_annotation(take(1), version);
            edits.put_title(take(1), title);
        })
    };
    let nothing = version();
    edit(&nothing, "first").unwrap();
    let first = version();
    // What the node sees goes on while somebody types.
    commit(&store, |edits| edits.put_facts(take(1), &facts("Order", 6))).unwrap();
    assert_eq!(version(), first);
    edit(&first, "second").unwrap();

    for old in [nothing.as_str(), &first, "", "no version", "+1"] {
        assert!(matches!(edit(old, "third"), Err(StoreError::Stale)), "{old}");
    }
    assert_eq!(store.recording(take(1)).unwrap().unwrap().title(), "second");
}

#[test]
fn rooms_channels_and_settings_have_versions_too() {
    let (_folder, store) = fresh();
    let room = Room {
        id: NODE,
        name: "Hall".into(),
        time_zone: "Europe/Berlin".into(),
        notes: String::new(),
        node: None,
        version: String::new(),
    };
    commit(&store, |edits| {
        edits.put_room(&room);
        edits.put_channels(NODE, &[]);
        edits.put_setting("policy", &1);
    })
    .unwrap();
    let read = store.rooms().unwrap().remove(0);
    let (channels, setting) =
        (store.channels_with_version().unwrap().1, store.setting_with_version::<u8>("policy").unwrap().1);
    let change = |value: u8| {
        commit(&store, |edits| {
            edits.expect_room(NODE, &read.version);
            edits.expect_channels(NODE, &channels);
            edits.expect_setting("policy", &setting);
            edits.put_setting("policy", &value);
        })
    };
    change(2).unwrap();

    assert!(matches!(change(3), Err(StoreError::Stale)));
    assert_eq!(store.setting::<u8>("policy").unwrap(), Some(2));
    assert_eq!(Room { version: String::new(), ..read }, room);
}

#[test]
fn what_is_too_long_is_refused_by_name_and_the_longest_is_kept() {
    let (_folder, store) = fresh();
    let many = |count: usize| (0..count).map(|number| format!("tag{number}")).collect::<BTreeSet<_>>();
    let refused = |edit: &dyn Fn(&mut Edits)| match commit(&store, edit) {
        Err(StoreError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let x = |count: usize| "x".repeat(count);
    assert_eq!(refused(&|edits| edits.put_title(take(1), &x(TITLE_BYTES_MAX + 1))), "title");
    assert_eq!(refused(&|edits| edits.put_title(take(1), "two\nlines")), "title");
    assert_eq!(refused(&|edits| edits.put_notes(take(1), &x(NOTES_BYTES_MAX + 1))), "notes");
    assert_eq!(refused(&|edits| edits.put_filing(take(1), &x(FOLDER_BYTES_MAX + 1), &tags(&[]))), "folder");
    assert_eq!(refused(&|edits| edits.put_filing(take(1), "", &many(TAGS_MAX + 1))), "tags");
    assert_eq!(refused(&|edits| edits.put_filing(take(1), "", &tags(&[&x(TAG_BYTES_MAX + 1)]))), "tags");
    assert_eq!(refused(&|edits| edits.put_filing(take(1), "", &tags(&["a\0"]))), "tags");
    commit(&store, |edits| {
        edits.put_facts(take(1), &facts("Order", 5));
        edits.put_title(take(1), &x(TITLE_BYTES_MAX));
        edits.put_notes(take(1), &x(NOTES_BYTES_MAX));
        edits.put_filing(take(1), &x(FOLDER_BYTES_MAX), &many(TAGS_MAX));
    })
    .unwrap();
    assert_eq!(store.recording(take(1)).unwrap().unwrap().annotation.tags.len(), TAGS_MAX);
}

#[test]
fn what_lies_in_the_bin_for_a_month_is_due_unless_it_is_held() {
    let (_folder, store) = fresh();
    for number in 1..=3 {
        commit(&store, |edits| {
            edits.put_facts(take(number), &facts("Order", 5));
            edits.put_bin(take(number), Some(at(i64::from(number))));
        })
        .unwrap();
    }
    commit(&store, |edits| edits.hold(take(1))).unwrap();

    assert_eq!(store.purge_due(at(2) + days(30)).unwrap(), []);
    assert_eq!(store.purge_due(at(3) + days(30)).unwrap(), [take(2)]);
    commit(&store, |edits| edits.release(take(1))).unwrap();
    assert_eq!(store.purge_due(at(9) + days(30)).unwrap(), [take(1), take(2), take(3)]);
}

/// A data folder with records and files, and its backup beside it.
fn backed_up() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data.join(backup::RECORDS)).0;
    commit(&store, |edits| {
        edits.put_facts(take(1), &facts("Order", 5));
        edits.put_title(take(1), "Prüfung");
    })
    .unwrap();
    std::fs::create_dir(data.join("tls")).unwrap();
    std::fs::write(data.join("tls/key.pem"), "key").unwrap();
    let file = folder.path().join("backup");
    let told = backup::write_file(&store, &data, at(0), &file).unwrap();
    assert_eq!(told.files, ["tls/key.pem"]);
    (folder, file)
}

#[test]
fn a_backup_put_back_has_everything_and_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, file) = backed_up();
    let data = folder.path().join("other");
    let told = backup::restore(&data, &file, false).unwrap();
    let (store, opened) = open(&data.join(backup::RECORDS));

    assert_eq!((told.node, store.recording(take(1)).unwrap().unwrap().title()), (NODE, "Prüfung"));
    assert!(opened.alarms[0].contains("a backup was put back"), "{:?}", opened.alarms);
    assert!(!opened.is_new && store.audit_head().unwrap().unwrap().inc == 2);
    assert_eq!(std::fs::read(data.join("tls/key.pem")).unwrap(), b"key");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&data.join("tls/key.pem"))), (0o600, 0o600));
}

#[test]
fn records_are_not_overwritten_unless_asked_and_then_set_aside() {
    let (folder, file) = backed_up();
    let data = folder.path().join("data");
    assert!(matches!(backup::restore(&data, &file, false), Err(BackupError::NotEmpty(_))));
    backup::restore(&data, &file, true).unwrap();

    assert!(data.join("records.before-1/records.redb").exists() && data.join("tls/key.pem.before-1").exists());
    assert!(open(&data.join(backup::RECORDS)).0.recording(take(1)).unwrap().is_some());
}

#[test]
fn a_backup_that_was_cut_or_altered_puts_nothing_back() {
    let (folder, file) = backed_up();
    let bytes = std::fs::read(&file).unwrap();
    let data = folder.path().join("other");
    let cuts = (0..bytes.len()).step_by(97).map(|len| bytes[..len].to_vec());
    let flips = (0..bytes.len()).step_by(89).map(|place| {
        let mut bytes = bytes.clone();
        bytes[place] ^= 4;
        bytes
    });
    for (number, bad) in cuts.chain(flips).enumerate() {
        std::fs::write(&file, bad).unwrap();
        let refused = backup::restore(&data, &file, false);
        assert!(matches!(refused, Err(BackupError::NotWhole(_))), "{number}: {refused:?}");
        assert!(!data.join(backup::RECORDS).exists());
    }
}

#[test]
fn rooms_that_are_kept_in_memory_are_never_behind_the_records() {
    let (_folder, store) = fresh();
    let named = |name: &str| Room {
        id: NODE,
        name: name.into(),
        time_zone: "Europe/Berlin".into(),
        notes: String::new(),
        node: None,
        version: String::new(),
    };
    assert!(store.kept_rooms().unwrap().is_empty());
    for name in ["Hall", "Great hall"] {
        commit(&store, |edits| edits.put_room(&named(name))).unwrap();
        assert_eq!(store.kept_rooms().unwrap()[0].name, name);
        assert_eq!(store.room().unwrap().unwrap().name, name);
    }

    let before = store.kept_rooms().unwrap();
    commit(&store, |edits| edits.put_setting("policy", &1)).unwrap();

    assert!(Arc::ptr_eq(&before, &store.kept_rooms().unwrap()), "they were read again for nothing");
    assert_eq!(*before, store.rooms().unwrap());
}
