//! The journal: pages by filters, and a chain that shows whatever was done to it.

use proptest::prelude::*;

use super::*;
use crate::store::audit::export::{Head, is_export, prove};
use crate::store::audit::{Outcome, Query};

fn written(count: u128) -> (tempfile::TempDir, Store) {
    let (folder, store) = fresh();
    for number in 0..count {
        let (actor, action) =
            [("Ada", "recording.start"), ("Bob", "recording.stop"), ("Ada", "user.add")][number as usize % 3];
        commit(&store, |edits| edits.put_audit(&entry(number, actor, action, number as i64))).unwrap();
    }
    (folder, store)
}

fn lines(store: &Store) -> (Vec<String>, Head) {
    let mut bytes = Vec::new();
    let head = store.write_audit((1, 1), &mut bytes).unwrap().unwrap();
    (String::from_utf8(bytes).unwrap().lines().map(ToString::to_string).collect(), head)
}

fn findings(lines: &[String], head: Option<Head>) -> Vec<String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    prove(&mut text.as_bytes(), head).unwrap().findings
}

#[test]
fn pages_of_the_journal_are_what_the_filters_say() {
    let (_folder, store) = written(30);
    let count = |query: Query| {
        let (mut query, mut count) = (Query { limit: 4, ..query }, 0);
        loop {
            let page = store.audit(&query).unwrap();
            assert!(page.items.is_sorted_by(|left, right| left.entry.at > right.entry.at));
            count += page.items.len();
            query.cursor = page.next;
            if query.cursor.is_none() {
                return count;
            }
        }
    };
    let of = |text: &str| Some(text.to_string());
    assert_eq!(count(Query::default()), 30);
    assert_eq!(count(Query { actor: of("Ada"), ..Query::default() }), 20);
    assert_eq!(count(Query { actor: of("id-Bob"), ..Query::default() }), 10);
    assert_eq!(count(Query { action: of("recording."), ..Query::default() }), 20);
    assert_eq!(count(Query { action: of("user.add"), actor: of("Bob"), ..Query::default() }), 0);
    assert_eq!(count(Query { outcome: Some(Outcome::Denied), actor: of("Ada"), ..Query::default() }), 4);
    assert_eq!(count(Query { target: of("target-0"), from: Some(at(3)), to: Some(at(9)), ..Query::default() }), 2);
}

#[test]
fn an_untouched_journal_is_proven_across_incarnations() {
    let (folder, store) = written(5);
    drop(store);
    std::fs::remove_file(folder.path().join("records.redb.mark")).unwrap();
    let (store, opened) = open(folder.path());
    commit(&store, |edits| edits.put_audit(&entry(9, "Ada", "node.restore", 9))).unwrap();
    let (lines, head) = lines(&store);

    assert_eq!((opened.alarms.len(), lines.len(), head.inc), (1, 8, 2));
    assert!(is_export(&lines[0]) && head == store.audit_head().unwrap().unwrap());
    assert_eq!(head.to_string().parse(), Ok(head));
    assert_eq!(findings(&lines, Some(head)), [""; 0]);
    assert_eq!(findings(&lines[3..], Some(head)), [""; 0], "a part is proven from its first line on");
}

#[test]
fn a_line_that_is_gone_or_in_another_place_is_found() {
    let (_folder, store) = written(6);
    let (lines, head) = lines(&store);
    for gone in 1..lines.len() - 1 {
        let mut lines = lines.clone();
        lines.remove(gone);
        assert!(findings(&lines, None)[0].starts_with(&format!("line {} does not follow", gone + 1)));
    }
    for place in 0..lines.len() - 1 {
        let mut lines = lines.clone();
        lines.swap(place, place + 1);
        assert!(!findings(&lines, None).is_empty(), "{place}");
    }
    let cut = &lines[..lines.len() - 1];
    assert_eq!(findings(cut, None), [""; 0], "without the head nobody can tell");
    assert!(findings(cut, Some(head))[0].contains("is not among the lines"));
}

#[test]
fn any_byte_that_was_changed_is_found() {
    let (_folder, store) = written(3);
    let (lines, head) = lines(&store);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    for place in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        let proof = prove(&mut bytes.as_slice(), Some(head)).unwrap();
        assert!(!proof.findings.is_empty(), "byte {place} of {}", text.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_proves_nothing_and_breaks_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let proof = prove(&mut bytes.as_slice(), None).unwrap();
        prop_assert_eq!(proof.findings.len() as u64, proof.lines);
    }
}
