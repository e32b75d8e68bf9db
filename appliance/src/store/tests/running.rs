//! Recordings that run are kept, and always those that a search finds.

use std::sync::Arc;

use super::*;
use crate::store::recordings::Query;
use crate::store::running::RUNNING_MAX;

/// What a search says, whoever wrote it last.
fn found(store: &Store) -> BTreeSet<(TakeId, String, bool)> {
    let mut query = Query { states: [TakeState::Recording, TakeState::Paused].into(), limit: 200, ..Query::default() };
    let mut found = BTreeSet::new();
    loop {
        let page = store.recordings(&query).unwrap();
        found.extend(
            page.items.iter().map(|one| (one.id, one.title().to_owned(), one.facts.state == TakeState::Paused)),
        );
        query.cursor = page.next;
        if query.cursor.is_none() {
            return found;
        }
    }
}

fn kept(store: &Store) -> BTreeSet<(TakeId, String, bool)> {
    let running = store.running().unwrap();
    running.values().map(|one| (one.id, one.title().to_owned(), one.facts.state == TakeState::Paused)).collect()
}

fn says(store: &Store, number: u8, state: TakeState) {
    let mut edits = Edits::by("test");
    edits.put_facts(take(number), &Facts { state, ..facts("Hearing", i64::from(number)) });
    store.commit(edits, moment()).unwrap();
}

#[test]
fn what_runs_is_what_a_search_finds_whatever_is_said_of_it_and_wherever() {
    let home = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"]
        .map(|name| Store::open(&home.path().join(name), Id::of_name(name), name, moment(), || 5).unwrap().0);
    let same = |expected: usize, why: &str| {
        assert_eq!(kept(&here), found(&here), "{why}");
        assert_eq!(kept(&here).len(), expected, "{why}");
    };
    same(0, "nothing yet");
    says(&here, 1, TakeState::Recording);
    same(1, "begun here");
    says(&there, 2, TakeState::Recording);
    says(&there, 3, TakeState::Scheduled);
    meet(&here, &there);
    same(2, "begun there");
    says(&here, 1, TakeState::Paused);
    same(2, "pauses");
    let mut edits = Edits::by("test");
    edits.put_bin(take(2), Some(at(9)));
    here.commit(edits, moment()).unwrap();
    same(1, "in the bin");
    let mut edits = Edits::by("test");
    edits.put_bin(take(2), None);
    edits.put_title(take(1), "The other hearing");
    here.commit(edits, moment()).unwrap();
    same(2, "out of it, and another title");
    says(&here, 1, TakeState::Ready);
    says(&there, 3, TakeState::Recording);
    meet(&here, &there);
    same(2, "over here, begun there");
}

#[test]
fn nothing_is_read_again_if_nothing_was_said_and_too_many_are_cut_short() {
    let (_folder, store) = fresh();
    says(&store, 1, TakeState::Recording);
    let before = store.running().unwrap();
    let mut edits = Edits::by("test");
    edits.put_setting("policy", &1);
    store.commit(edits, moment()).unwrap();
    assert!(Arc::ptr_eq(&before, &store.running().unwrap()), "read again for nothing");

    for some in 0..=RUNNING_MAX as u64 / 100 {
        let mut edits = Edits::by("test");
        for number in some * 100..some * 100 + 100 {
            let id = TakeId::new(at(number as i64 + 10), [9; 10]);
            edits.put_facts(id, &Facts { state: TakeState::Recording, ..facts("Many", number as i64) });
        }
        store.commit(edits, moment()).unwrap();
    }
    let running = store.running().unwrap();
    assert_eq!(running.len(), RUNNING_MAX);
    assert!(!running.contains_key(&take(1)), "the newest are shown");
}
