//! What is sealed, as it is kept: whose word counts, and what is not shown though it lies here.

use super::*;
use crate::store::secrets::{Envelope, Sealed, Sealer, Secret};

fn sealer(node: Id, public: &str) -> Sealer {
    Sealer { node, spki: "0a".repeat(32), public: public.repeat(32) }
}

fn sealed(text: &str) -> Sealed {
    Sealed { generation: Id::of_name("one"), sealed: text.into() }
}

#[test]
fn only_the_node_itself_says_by_which_key_it_is_sealed_to() {
    let (_folder, store) = fresh();
    let (_other_folder, other) = {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Id::of_name("other"), "boot", moment(), || 6).unwrap().0;
        (folder, store)
    };
    commit(&store, |edits| edits.put_sealer(&sealer(NODE, "01"))).unwrap();
    meet(&store, &other);
    // Another node says it, later and knowing of the first; and something that is no key.
    commit(&other, |edits| edits.put_sealer(&sealer(NODE, "02"))).unwrap();
    commit(&other, |edits| edits.put_sealer(&sealer(other.node(), "no"))).unwrap();
    meet(&store, &other);
    assert_eq!(other.sealers().unwrap(), []);

    commit(&store, |edits| edits.put_sealer(&sealer(NODE, "03"))).unwrap();
    meet(&store, &other);
    assert_eq!(other.sealers().unwrap(), [sealer(NODE, "03")]);
}

#[test]
fn an_envelope_is_found_by_its_generation_and_its_box() {
    let (_folder, store) = fresh();
    let (one, two) = (Id::of_name("one"), Id::of_name("two"));
    let to = sealer(NODE, "01");
    let envelope = |generation| Envelope { generation, to: to.clone(), sealed: "AAAA".into() };
    commit(&store, |edits| [one, two].iter().for_each(|generation| edits.put_envelope(&envelope(*generation))))
        .unwrap();
    assert_eq!(store.envelopes(one).unwrap(), [envelope(one)]);
    assert_eq!(store.envelopes_for(two, &to.public).unwrap(), [envelope(two)]);
    assert_eq!(store.envelopes_for(two, "02").unwrap(), []);
}

#[test]
fn more_boxes_than_one_page_are_all_found() {
    let (_folder, store) = fresh();
    let (one, many) = (Id::of_name("one"), 1_100_u64);
    let numbers: Vec<u64> = (0..many).collect();
    for some in numbers.chunks(200) {
        let envelope = |number: &u64| {
            let to = Sealer { node: NODE, spki: String::new(), public: format!("{number:064x}") };
            Envelope { generation: one, to, sealed: "AAAA".into() }
        };
        commit(&store, |edits| some.iter().for_each(|number| edits.put_envelope(&envelope(number)))).unwrap();
    }
    let found: BTreeSet<String> =
        store.envelopes(one).unwrap().into_iter().map(|envelope| envelope.to.public).collect();
    assert_eq!(found.len() as u64, many);
}

#[test]
fn a_secret_is_what_a_person_set_whatever_nodes_made_of_it() {
    let (_folder, store) = fresh();
    let set = |text: &str| {
        let place = store.secret_place("s3").unwrap();
        commit(&store, |edits| edits.put_secret("s3", &sealed(text), &place)).unwrap();
        store.secret("s3").unwrap().unwrap()
    };
    let first = set("AAAA");
    let again = Sealed { generation: Id::of_name("two"), sealed: "BBBB".into() };
    commit(&store, |edits| edits.put_again(&first, &again)).unwrap();
    let known = store.secret("s3").unwrap().unwrap();
    assert_eq!(known.forms, [sealed("AAAA"), again.clone()]);
    assert_eq!(known.generations, [Id::of_name("one"), Id::of_name("two")].into());

    // A third generation: which ones it had before is not forgotten.
    let third = Sealed { generation: Id::of_name("three"), sealed: "CCCC".into() };
    commit(&store, |edits| edits.put_again(&known, &third)).unwrap();
    let known = store.secret("s3").unwrap().unwrap();
    assert_eq!((known.forms, known.generations.len()), (vec![sealed("AAAA"), third], 3));

    let anew = set("DDDD");
    assert_eq!(
        (anew.forms, anew.generations.len()),
        (vec![sealed("DDDD")], 1),
        "what was made of the old one is not it"
    );
    assert_eq!(store.secrets().unwrap().len(), 1);
}

#[test]
fn a_name_that_is_none_and_a_value_that_is_too_long_are_not_kept() {
    let (_folder, store) = fresh();
    let place = store.secret_place("s3").unwrap();
    assert!(!place.is_set && store.secret("s3").unwrap().is_none());
    for (name, text) in [("S3", "AAAA"), ("s3", &*"A".repeat(6_000))] {
        assert!(commit(&store, |edits| edits.put_secret(name, &sealed(text), &place)).is_err(), "{name}");
    }
    assert!(Secret::check_name("archive.s3-key_2").is_ok());
    assert_eq!(store.secrets().unwrap(), []);
}
