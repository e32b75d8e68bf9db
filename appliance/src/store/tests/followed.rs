//! What is followed is what a look into the records finds.

use std::sync::Arc;

use replicate::core::index::Keys;

use super::*;
use crate::domain::watch::{CloseReason, Closed};
use crate::store::followed::{OPEN_MAX, RUNNING_MAX};
use crate::store::incidents::{Handled, Known, PAGE_MAX};
use crate::store::recordings::Query;

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
    let facts = Facts { state, ..facts("Hearing", i64::from(number)) };
    commit(store, |edits| edits.put_facts(take(number), &facts)).unwrap();
}

#[test]
fn what_runs_is_what_a_search_finds_whatever_is_said_of_it_and_wherever() {
    let (_home, here, there) = two();
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
    commit(&here, |edits| edits.put_bin(take(2), Some(at(9)))).unwrap();
    same(1, "in the bin");
    commit(&here, |edits| {
        edits.put_bin(take(2), None);
        edits.put_title(take(1), "The other hearing");
    })
    .unwrap();
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
    commit(&store, |edits| edits.put_setting("policy", &1)).unwrap();
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
    assert!(!running.contains_key(&take(1).into()), "the newest are shown");
}

#[test]
fn what_is_open_is_what_its_index_lists_whatever_is_done_about_it_and_wherever() {
    let (_home, here, there) = two();
    let id = |number: u8| Id::new(at(i64::from(number)), [number; 10]);
    let same = |expected: &[Id], why: &str| {
        let listed: Vec<Known> = here.open_in("incident_open", Keys::All, OPEN_MAX).unwrap();
        assert_eq!(here.open_incidents(None).unwrap(), listed, "{why}");
        assert_eq!(listed.iter().map(|known| known.id).collect::<Vec<_>>(), expected, "{why}");
    };
    let says = |store: &Store, number: u8, is_over: bool| {
        let mut seen = incident(i64::from(number));
        if is_over {
            seen.closed = Some(Closed { at: at(100), reason: CloseReason::Recovered });
        }
        commit(store, |edits| edits.put_incident(id(number), &seen)).unwrap();
    };
    same(&[], "nothing yet");
    says(&here, 1, false);
    says(&there, 2, false);
    meet(&here, &there);
    same(&[id(2), id(1)], "here and there");
    let handled = Handled { by: "Ada".into(), at: at(9), until: None, note: String::new() };
    commit(&there, |edits| edits.put_acknowledged(id(1), &handled)).unwrap();
    meet(&here, &there);
    same(&[id(2), id(1)], "somebody took notice");
    assert!(here.open_incidents(None).unwrap()[1].handling.acknowledged.is_some());
    says(&there, 2, true);
    says(&here, 3, false);
    meet(&here, &there);
    same(&[id(3), id(1)], "one is over, one is new");
}

#[test]
fn no_open_incident_hides_behind_two_hundred_newer_ones() {
    let (_folder, store) = fresh();
    let count = PAGE_MAX + 50;
    commit(&store, |edits| {
        (0..count as i64).for_each(|second| edits.put_incident(Id::new(at(second), [3; 10]), &incident(second)));
    })
    .unwrap();
    let open = store.open_incidents(None).unwrap();
    assert_eq!((open.len(), open.last().map(|known| known.id)), (count, Some(Id::new(at(0), [3; 10]))));
    assert_eq!(store.open_incidents(Some(NODE)).unwrap().len(), PAGE_MAX);
}
