//! Whatever lies where the records should be, the store opens and says what it found.

use super::*;

/// A folder with records in it, closed.
fn closed() -> tempfile::TempDir {
    let (folder, store) = fresh();
    for number in 1..=20 {
        commit(&store, |edits| {
            edits.put_facts(take(number), &facts("Lecture on audio", i64::from(number)));
            edits.put_notes(take(number), &"words and words ".repeat(20));
            edits.put_audit(&entry(u128::from(number), "Ada", "recording.start", 1));
        })
        .unwrap();
    }
    drop(store);
    folder
}

/// Opens, reads and writes; returns the alarms. Errors of reading are allowed, for a damaged page may be met late.
fn survives(folder: &Path) -> Vec<String> {
    let (store, opened) = open(folder);
    let query = super::super::recordings::Query { text: Some("lect".into()), limit: 50, ..Default::default() };
    let _ = store.recordings(&query);
    let _ = store.recording(take(3));
    let _ = store.audit(&audit::Query { limit: 50, ..Default::default() });
    let _ = store.facets();
    let _ = commit(&store, |edits| edits.put_setting("after", &1));
    opened.alarms
}

#[test]
fn a_file_that_is_cut_flipped_or_another_thing_is_opened_with_an_alarm() {
    let folder = closed();
    let path = folder.path().join("records.redb");
    let whole = std::fs::read(&path).unwrap();
    type Harm = fn(&Path, &[u8]);
    let harms: [(&str, Harm); 6] = [
        ("removed", |path, _| std::fs::remove_file(path).unwrap()),
        ("zero bytes", |path, _| std::fs::write(path, b"").unwrap()),
        ("zeros", |path, whole| std::fs::write(path, vec![0; whole.len()]).unwrap()),
        ("half", |path, whole| std::fs::write(path, &whole[..whole.len() / 2]).unwrap()),
        ("text", |path, _| std::fs::write(path, "hello").unwrap()),
        ("a folder", |path, _| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let mark = std::fs::read(folder.path().join("records.redb.mark")).unwrap();
        harm(&path, &whole);
        let alarms = survives(folder.path());
        assert_eq!(alarms.len(), 1, "{name}: {alarms:?}");
        let is_kept = alarms[0].contains(".damaged-1");
        assert_eq!(is_kept, !["removed", "zero bytes"].contains(&name), "{name}: {alarms:?}");
        std::fs::write(&path, &whole).unwrap();
        std::fs::write(folder.path().join("records.redb.mark"), mark).unwrap();
    }
    assert_eq!(survives(folder.path()), [""; 0]);
}

#[test]
fn a_flipped_bit_in_any_page_never_ends_the_process() {
    let folder = closed();
    let path = folder.path().join("records.redb");
    let mark = std::fs::read(folder.path().join("records.redb.mark")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut seen = 0;
    for page in 0..whole.len() / 4_096 {
        let mut bytes = whole.clone();
        bytes[page * 4_096 + page * 37 % 200] ^= 1 << (page % 8);
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(folder.path().join("records.redb.mark"), &mark).unwrap();
        seen += survives(folder.path()).len();
    }
    assert!(seen > 0, "no flip was noticed in {} pages", whole.len() / 4_096);
}

#[test]
fn a_damaged_list_of_sessions_costs_the_sessions_and_nothing_else() {
    let folder = closed();
    for (round, bytes) in [b"rubbish".to_vec(), vec![0; 100_000]].into_iter().enumerate() {
        std::fs::write(folder.path().join("local.redb"), bytes).unwrap();
        let (store, opened) = open(folder.path());
        assert!(opened.alarms.len() == 1 && opened.alarms[0].contains("log in again"), "{round}: {:?}", opened.alarms);
        assert!(store.sessions().unwrap().is_empty() && store.recording(take(3)).unwrap().is_some());
    }
}
