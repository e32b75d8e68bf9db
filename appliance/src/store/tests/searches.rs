//! Searching and filtering finds what looking at every recording finds; cursors stand still while recordings come.

use proptest::prelude::*;

use super::*;
use crate::store::recordings::Query;

/// The numbers of the recordings a query finds, page by page.
fn found(store: &Store, query: &Query) -> Vec<u8> {
    let mut query = query.clone();
    let mut found = Vec::new();
    for _ in 0..100 {
        let page = store.recordings(&query).unwrap();
        found.extend(page.items.iter().map(|item| (1..=250).find(|number| take(*number) == item.id).unwrap()));
        query.cursor = page.next;
        if query.cursor.is_none() {
            return found;
        }
    }
    panic!("it goes on for ever");
}

fn text(text: &str) -> Query {
    Query { text: Some(text.into()), limit: 10, ..Query::default() }
}

#[test]
fn words_are_found_wherever_they_were_written() {
    let (_folder, store) = fresh();
    let mut marked = facts("Anhörung Müller", 3);
    marked.marks = vec!["Zeuge betritt".into()];
    commit(&store, |edits| {
        edits.put_facts(take(1), &marked);
        edits.put_facts(take(2), &facts("Test", 2));
        edits.put_title(take(2), "Mündliche Prüfung");
        edits.put_notes(take(2), "with Zeuge Müllerson");
        edits.put_filing(take(2), "Senate/2026", &tags(&["東京大学"]));
    })
    .unwrap();

    for (asked, wanted) in [
        ("prufung", vec![2]),
        ("muller", vec![1, 2]),
        ("muller ", vec![1]),
        ("zeuge", vec![1, 2]),
        ("zeuge mundliche", vec![2]),
        ("anhorung mundliche", vec![]),
        ("test", vec![2]),
        ("senate 2026", vec![2]),
        ("大学", vec![2]),
        ("学", vec![2]),
        ("!!", vec![]),
        ("  ", vec![1, 2]),
        ("m", vec![]),
    ] {
        assert_eq!(found(&store, &text(asked)), wanted, "{asked:?}");
    }
    commit(&store, |edits| edits.put_title(take(2), "Another")).unwrap();
    assert_eq!(found(&store, &text("prufung")), [0; 0]);
}

#[test]
fn a_recording_that_begins_later_than_planned_moves_with_what_was_said_of_it() {
    let (_folder, store) = fresh();
    commit(&store, |edits| edits.put_title(take(1), "Lecture")).unwrap();
    assert_eq!(found(&store, &text("lecture")), [0; 0], "there is no recording yet");
    commit(&store, |edits| edits.put_facts(take(1), &facts("Order", 10))).unwrap();
    commit(&store, |edits| edits.put_facts(take(2), &facts("Lecture", 20))).unwrap();
    assert_eq!(found(&store, &text("lecture")), [2, 1]);

    commit(&store, |edits| edits.put_facts(take(1), &facts("Order", 30))).unwrap();
    assert_eq!(found(&store, &text("lecture")), [1, 2]);
    assert_eq!(found(&store, &text("order lecture")), [1], "one word in each record");
}

#[test]
fn a_cursor_stands_still_while_recordings_come() {
    let (_folder, store) = fresh();
    for number in 1..=6 {
        commit(&store, |edits| edits.put_facts(take(number), &facts("Lecture", i64::from(number)))).unwrap();
    }
    for query in [text("lect"), Query { limit: 2, ..Query::default() }] {
        let first = store.recordings(&Query { limit: 2, ..query.clone() }).unwrap();
        let number = 100 + query.limit as u8;
        commit(&store, |edits| edits.put_facts(take(number), &facts("Lecture", i64::from(number)))).unwrap();
        let rest = Query { cursor: first.next, ..query };
        assert!(first.items.len() == 2 && !found(&store, &rest).contains(&number));
        let last = first.items[1].facts.started_at;
        let next = store.recordings(&rest).unwrap().items.remove(0).facts.started_at;
        assert_eq!(last.duration_since(next).as_secs().signum(), 1);
    }
    assert!(!store.recordings(&Query { cursor: Some("rubbish".into()), ..text("x") }).unwrap().items.len() > 0);
}

#[test]
fn facets_count_what_is_not_in_the_bin() {
    let (_folder, store) = fresh();
    for number in 1..=3 {
        commit(&store, |edits| {
            edits.put_facts(take(number), &facts("Order", 5));
            edits.put_filing(take(number), "Hall", &tags(&["Law", "öffentlich"]));
        })
        .unwrap();
    }
    let before = store.facets().unwrap();
    commit(&store, |edits| edits.put_bin(take(1), Some(at(0)))).unwrap();
    let after = store.facets().unwrap();

    assert_eq!(before.tags, [("Law".to_string(), 3), ("öffentlich".to_string(), 3)]);
    assert_eq!((after.tags[0].1, after.folders), (2, vec![("Hall".to_string(), 2)]));
}

#[derive(Debug, Clone)]
struct Made {
    words: Vec<String>,
    notes: Vec<String>,
    tag: Option<String>,
    folder: String,
    is_failed: bool,
    is_bin: bool,
    starts: i64,
}

fn made() -> impl Strategy<Value = Made> {
    let words = || proptest::collection::vec("[ab]{2,3}", 0..3);
    let tag = proptest::option::of("[xy]");
    (words(), words(), tag, "(h|)", any::<bool>(), any::<bool>(), 0_i64..8).prop_map(
        |(words, notes, tag, folder, is_failed, is_bin, starts)| Made {
            words,
            notes,
            tag,
            folder,
            is_failed,
            is_bin,
            starts,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn filters_combine_and_find_what_looking_at_each_finds(
        all in proptest::collection::vec(made(), 0..20),
        asked in proptest::option::of("[ab]{2,3}( [ab]{2})?"), tag in proptest::option::of("[xy]"),
        folder in proptest::option::of("(h|)"), failed in proptest::option::of(any::<bool>()), is_bin: bool,
        from in proptest::option::of(0_i64..8), to in proptest::option::of(0_i64..8), limit in 1_usize..4,
    ) {
        let (_folder, store) = fresh();
        let state = |is_failed| if is_failed { TakeState::Failed } else { TakeState::Ready };
        let mut edits = Edits::by("x");
        for (number, made) in all.iter().enumerate() {
            let id = take(number as u8 + 1);
            edits.put_facts(id, &Facts { state: state(made.is_failed), ..facts(&made.words.join(" "), made.starts) });
            edits.put_filing(id, &made.folder, &made.tag.iter().cloned().collect());
            edits.put_notes(id, &made.notes.join("-"));
            edits.put_bin(id, made.is_bin.then(|| at(0)));
        }
        store.commit(edits, moment()).unwrap();
        let query = Query {
            text: asked.clone(), tag: tag.clone(), folder: folder.clone(), is_bin, limit,
            states: failed.map(state).into_iter().collect(), from: from.map(at), to: to.map(at), cursor: None, node: None,
        };

        let is_wanted = |made: &Made| {
            let in_text = asked.as_ref().is_none_or(|asked| {
                let words: Vec<&String> = made.words.iter().chain(&made.notes).chain([&made.folder]).chain(&made.tag).collect();
                let (first, last) = asked.split_once(' ').unwrap_or(("", asked));
                (first.is_empty() || words.iter().any(|word| *word == first)) && words.iter().any(|word| word.starts_with(last))
            });
            in_text && tag.as_ref().is_none_or(|tag| made.tag.as_ref() == Some(tag))
                && folder.as_ref().is_none_or(|folder| made.folder == *folder)
                && failed.is_none_or(|failed| made.is_failed == failed) && made.is_bin == is_bin
                && from.is_none_or(|from| made.starts >= from) && to.is_none_or(|to| made.starts < to)
        };
        let mut wanted: Vec<(i64, TakeId, u8)> = all.iter().enumerate().filter(|(_, made)| is_wanted(made))
            .map(|(number, made)| (made.starts, take(number as u8 + 1), number as u8 + 1)).collect();
        wanted.sort();
        wanted.reverse();
        prop_assert_eq!(found(&store, &query), wanted.into_iter().map(|(_, _, number)| number).collect::<Vec<_>>());
    }
}
