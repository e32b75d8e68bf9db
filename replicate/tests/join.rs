//! Searching by several words finds what looking at every record finds, in the same order, page by page; and a backup's
//! entries become a file again.

#[path = "house/disk.rs"]
mod disk;
mod house;

use disk::*;
use house::*;
use proptest::prelude::*;
use replicate::core::exchange::Vector;
use replicate::core::id::Stream;
use replicate::core::record::Record;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::disk::join::{Join, Under};
use replicate::disk::opening::Alarm;
use replicate::disk::putting_back::{NotPutBack, put_back};
use replicate::disk::store::Store;
use std::sync::Arc;

/// What a note says: words, and a time.
type Note = (Vec<String>, u64);

fn words(record: &Record) -> Vec<Vec<u8>> {
    let (words, at): Note = serde_json::from_str(record.value("label").unwrap()).unwrap();
    words.iter().map(|word| [word.as_bytes(), &[0], &at.to_be_bytes()].concat()).collect()
}

fn schema() -> Schema {
    let note = Kind::new("note", Stream::Cfg).group("label", Form::Register).index("note_word", 1, words);
    Schema::new(vec![note]).unwrap()
}

fn filled(notes: &[Note]) -> Store {
    let store = open_with(&Disk::default(), schema()).unwrap().0;
    let text = |note: &Note| serde_json::to_string(note).unwrap();
    let drafts: Vec<_> =
        notes.iter().enumerate().map(|(number, note)| put("note", number as u128, "label", &text(note))).collect();
    store.write(batch(&drafts)).wait().unwrap();
    store
}

fn under(word: &str, is_beginning: bool) -> Under {
    let index = "note_word".to_string();
    match is_beginning {
        true => Under::Beginning { index, stem: word.as_bytes().to_vec() },
        false => Under::Word { index, word: [word.as_bytes(), &[0]].concat() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_join_finds_what_looking_at_each_record_finds(
        notes in proptest::collection::vec((proptest::collection::vec("[abc]{1,2}", 0..4), 0_u64..6), 0..40),
        first in "[abc]{1,2}", last in "[abc]{1}", not in "[abc]{1,2}", from in 0_u64..3, to in 2_u64..7,
        limit in 1_usize..5, steps_max in 1_usize..30,
    ) {
        let store = filled(&notes);
        let mut join = Join {
            all: vec![vec![under(&first, false)], vec![under(&last, true)]],
            none: vec![under(&not, false)],
            from: Some(from.to_be_bytes()), to: Some(to.to_be_bytes()), after: None, limit, steps_max,
        };
        let mut found = Vec::new();
        for _ in 0..200 {
            let joined = store.join(&join).unwrap();
            prop_assert!(joined.hits.len() <= limit && !joined.is_cut);
            found.extend(joined.hits);
            join.after = joined.rest;
            if join.after.is_none() {
                break;
            }
        }
        prop_assert!(join.after.is_none(), "it goes on for ever");

        let is_wanted = |(words, at): &Note| {
            words.contains(&first) && words.iter().any(|word| word.starts_with(&last)) && !words.contains(&not)
                && (from..to).contains(at)
        };
        let mut wanted: Vec<_> = notes.iter().enumerate().filter(|(_, note)| is_wanted(note))
            .map(|(number, note)| (note.1.to_be_bytes(), id(number as u128))).collect();
        wanted.sort();
        wanted.reverse();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn words_are_counted() {
    let note = |words: &[&str]| (words.iter().map(ToString::to_string).collect(), 1);
    let store = filled(&[note(&["b", "a"]), note(&["b"]), note(&["ba"])]);

    let counted = store.words("note_word", 10).unwrap();
    assert_eq!(counted, [(b"a".to_vec(), 1), (b"b".to_vec(), 2), (b"ba".to_vec(), 1)]);
    assert_eq!(store.words("note_word", 1).unwrap().len(), 1);
}

/// All entries of a store, stream by stream.
fn entries(store: &Store) -> Vec<Arc<[u8]>> {
    Stream::ALL.iter().flat_map(|stream| store.export(*stream, &Vector::new()).unwrap().entries).collect()
}

#[test]
fn what_is_put_back_goes_on_under_the_next_incarnation() {
    let store = filled(&[(vec!["a".into()], 1), (vec!["b".into()], 2)]);
    let (us, state) = (store.status().us, store.state_hash().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    let raws = entries(&store);
    let count = put_back(&path, &schema(), us.node, 1 << 20, raws.iter().cloned().map(Ok)).unwrap();
    let again = put_back(&path, &schema(), us.node, 1 << 20, raws.iter().cloned().map(Ok));
    let (back, opened) = Store::open(&path, schema(), settings(1)).unwrap();

    assert_eq!(count, raws.len() as u64);
    assert!(matches!(again, Err(NotPutBack::Exists)));
    assert_eq!((opened.us.inc, opened.is_rebuilt, opened.alarms), (us.inc + 1, false, vec![Alarm::NotTheMarked]));
    assert_eq!(back.state_hash().unwrap(), state);
    let sealing = back.entries(opened.us.log(Stream::Cfg), 1, 1).unwrap()[0].opening().unwrap().prev.unwrap();
    assert_eq!((sealing.inc, sealing.seq), (us.inc, 3));
    back.verify().unwrap();
}

#[test]
fn a_backup_with_a_hole_is_refused_at_the_hole() {
    let store = filled(&[(vec!["a".into()], 1), (vec!["b".into()], 2)]);
    let mut raws = entries(&store);
    raws.remove(2);
    let folder = tempfile::tempdir().unwrap();
    let refused =
        put_back(&folder.path().join("x"), &schema(), store.status().us.node, 1 << 20, raws.into_iter().map(Ok));

    assert!(matches!(refused, Err(NotPutBack::Refused { number: 3, .. })), "{refused:?}");
}
