//! The power goes after any write; bytes rot; files vanish. What was promised is there, and the rest is said.
//!
//! A history is played once on a disk that remembers every write. Then the disk is cut at each moment of it, with the
//! unsynced writes lost, kept, half kept or torn, and opened again.

#[path = "house/disk.rs"]
mod disk;
mod house;

use disk::*;
use house::*;
use replicate::core::exchange::Vector;
use replicate::core::id::{Hash, Stream};
use replicate::core::index::Keys;
use replicate::core::memory::Memory;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::view::{Staged, View};
use replicate::core::{log, rebuild};
use replicate::disk::opening::Alarm;
use replicate::disk::store::{Scan, Store};

/// What a node has promised at a moment.
#[derive(Debug, Clone, PartialEq)]
struct Promise {
    at: usize,
    vectors: Vec<Vector>,
    state: Hash,
}

fn promise(disk: &Disk, store: &Store) -> Promise {
    let vectors = Stream::ALL.iter().map(|stream| store.vector(*stream).unwrap()).collect();
    Promise { at: disk.now(), vectors, state: store.state_hash().unwrap() }
}

/// A day: a node writes by itself, hears another, has conflicts, deletes and restores. Ends with a clean close.
fn day() -> (Disk, Vec<Promise>) {
    let disk = Disk::default();
    let (store, opened) = open(&disk);
    assert!(opened.is_new && opened.alarms.is_empty());
    let mut promises = vec![promise(&disk, &store)];
    let mut other = Node::new(2);
    let mut own = |drafts: &[_]| {
        store.write(batch(drafts)).wait().unwrap();
        promises.push(promise(&disk, &store));
    };
    own(&[put("plan", 1, "label", "1"), put("plan", 1, "timing", "2")]);
    own(&[put("user", 1, "profile", "1"), disable(1)]);
    own(&(0..60).map(|number| put("fact", number, "facts", &"7".repeat(700))).collect::<Vec<_>>());
    own(&[put("plan", 1, "label", "3"), enable(1)]);
    for round in 0..4 {
        let drafts: Vec<_> = (0..25).map(|number| put("plan", number, "label", &round.to_string())).collect();
        other.write(&drafts).unwrap();
        let mine = store.vector(Stream::Cfg).unwrap();
        let entries = replicate::core::exchange::export(&other.state, Stream::Cfg, &mine).unwrap().entries;
        assert_eq!(store.apply(entries, moment(0), true).wait().unwrap().refused, 0);
        promises.push(promise(&disk, &store));
        store.write(batch(&[put("plan", round, "timing", "9"), delete("plan", round + 5)])).wait().unwrap();
        promises.push(promise(&disk, &store));
    }
    store.write(batch(&[restore("plan", 5)])).wait().unwrap();
    promises.push(promise(&disk, &store));
    // Half of what the other wrote does not count, then all of it does again.
    for draft in [fence(2, 1, 50), welcome(2), fence(2, 1, 30)] {
        store.write(batch(&[draft])).wait().unwrap();
        promises.push(promise(&disk, &store));
    }
    let states: Vec<Hash> = promises.iter().rev().take(4).map(|promise| promise.state).collect();
    assert_eq!(states.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "each fence changes what is there");
    drop(store);
    (disk, promises)
}

/// Plays a store's logs into memory, in whatever order they are exported: the reference.
fn replayed(store: &Store) -> Memory {
    let (mut memory, schema) = (Memory::default(), schema());
    for stream in Stream::ALL {
        loop {
            let mine = replicate::core::exchange::vector(&memory, stream).unwrap();
            let export = store.export(stream, &mine).unwrap();
            for raw in &export.entries {
                let mut staged = Staged::new(&memory).unwrap();
                log::accept(&mut staged, &schema, None, raw).unwrap();
                let changes = staged.changes;
                memory.keep(changes);
            }
            if !export.has_more {
                break;
            }
        }
    }
    memory
}

#[test]
fn a_power_cut_at_any_write_keeps_what_was_promised() {
    let (disk, promises) = day();
    let mut opened_whole = 0;
    for cut in 0..=disk.now() {
        let kept = promises.iter().rposition(|promise| promise.at <= cut);
        for fate in FATES {
            let found = disk.cut(cut, fate);
            let (store, opened) = open(&found);
            let case = format!("cut at {cut} of {}, {fate:?}: {:?}", disk.now(), opened.alarms);
            store.verify().unwrap_or_else(|error| panic!("{case}: {error}"));
            let Some(kept) = kept else { continue };
            assert_eq!((opened.alarms.len(), opened.is_new, opened.is_rebuilt), (0, false, false), "{case}");
            let now = Promise { at: 0, ..promise(&found, &store) };
            let is = |promise: &Promise| Promise { at: 0, ..promise.clone() } == now;
            assert!(promises.iter().skip(kept).take(2).any(is), "{case}: neither the last promise nor the next");
            opened_whole += 1;
        }
    }
    assert!(opened_whole > 500, "{opened_whole} cases");
}

#[test]
fn after_a_cut_the_node_goes_on() {
    let (disk, promises) = day();
    let last = promises.last().unwrap();
    for fate in FATES {
        let (store, opened) = open(&disk.cut(last.at, fate));
        let written = store.write(batch(&[put("plan", 99, "label", "1")])).wait().unwrap();

        let end = last.vectors[1][&(opened.us.node, opened.us.inc)].seq;
        assert_eq!(written[0].dot.seq, end + 1);
        assert_eq!(store.status().us, opened.us);
        store.verify().unwrap();
    }
}

#[test]
fn what_is_kept_step_by_step_is_what_the_logs_say() {
    let (disk, _) = day();
    let (store, opened) = open(&disk);
    let memory = replayed(&store);

    assert_eq!(opened.alarms, []);
    assert_eq!(store.state_hash().unwrap(), rebuild::state_hash(&memory, &schema()).unwrap());
    assert!(memory.dooms_len().unwrap() == 0 && memory.index().len() > 20);
}

/// Opens a damaged file: either the damage is somewhere unused, or it is said, moved aside, and a new incarnation goes
/// on. Returns whether it was moved aside.
fn survives(damaged: &Disk, promises: &[Promise], case: &str) -> bool {
    let (store, opened) = open(damaged);
    store.verify().unwrap_or_else(|error| panic!("{case}: {error}"));
    let is_moved = matches!(opened.alarms.first(), Some(Alarm::Damaged { .. }));
    assert_eq!(damaged.aside(), usize::from(is_moved), "{case}");
    assert_eq!((opened.is_new, opened.us.inc), if opened.alarms.is_empty() { (false, 1) } else { (true, 2) }, "{case}");
    if opened.alarms.is_empty() {
        assert_eq!(store.state_hash().unwrap(), promises.last().unwrap().state, "{case}");
    } else if !is_moved {
        let state = store.state_hash().unwrap();
        assert!(promises.iter().any(|promise| promise.state == state), "{case}");
    }
    store.write(batch(&[put("plan", 99, "label", "1")])).wait().unwrap_or_else(|error| panic!("{case}: {error}"));
    is_moved
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let (disk, promises) = day();
    let file = disk.file();
    let places: Vec<usize> = (0..400).chain((400..file.len()).step_by(file.len() / 300)).collect();
    let mut moved = 0;
    for place in places {
        let mut damaged = file.clone();
        damaged[place] ^= 1 << (place % 8);
        moved += usize::from(survives(&disk.with_file(damaged), &promises, &format!("bit at {place}")));
    }
    assert!(moved > 20, "{moved} of them hit something");
}

#[test]
fn a_truncated_file_is_moved_aside_or_whole() {
    let (disk, promises) = day();
    let file = disk.file();
    let lengths: Vec<usize> = (1..40).chain((40..file.len()).step_by(file.len() / 60)).collect();
    let mut moved = 0;
    for length in lengths {
        let found = disk.with_file(file[..length].to_vec());
        moved += usize::from(survives(&found, &promises, &format!("cut to {length}")));
    }
    assert!(moved > 40, "{moved} of them moved aside");
}

#[test]
fn garbage_is_moved_aside() {
    let (disk, promises) = day();
    for file in [vec![0xff; 5000], b"not a database".to_vec(), vec![0; 9000]] {
        let case = format!("{:?} x {}", file[0], file.len());
        survives(&disk.with_file(file), &promises, &case);
    }
}

#[test]
fn a_file_of_a_later_version_is_moved_aside_whole() {
    let (disk, promises) = day();
    let later = disk.with_file(disk.file());
    let meta: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("meta-1");
    let db = redb::Database::builder().create_with_backend(later.clone()).unwrap();
    let tx = db.begin_write().unwrap();
    tx.open_table(meta).unwrap().insert("form", 2_u32.to_be_bytes().as_slice()).unwrap();
    tx.commit().unwrap();
    drop(db);

    assert!(survives(&later, &promises, "form 2"));
}

#[test]
fn a_missing_file_is_said_and_its_incarnation_never_used_again() {
    let (disk, _) = day();
    let empty = disk.with_file(Vec::new());
    let (store, opened) = open(&empty);

    assert_eq!((opened.alarms, opened.us.inc), (vec![Alarm::Missing], 2));
    drop(store);
    let (_, again) = open(&empty);
    assert_eq!((again.alarms, again.us), (vec![], opened.us));
}

#[test]
fn a_file_without_its_mark_gets_a_new_incarnation() {
    let (disk, _) = day();
    let (store, opened) = open(&disk.without_mark());

    assert_eq!((opened.alarms, opened.us.inc), (vec![Alarm::NotTheMarked], 2));
    let sealed = store.vector(Stream::Cfg).unwrap();
    assert_eq!(sealed.keys().filter(|(node, _)| *node == opened.us.node).count(), 2);
    assert!(store.read("plan", id(1)).unwrap().unwrap().exists(), "nothing is lost by it");
}

#[test]
fn a_failing_disk_is_told_to_those_who_wait_and_nothing_is_promised() {
    let (disk, promises) = day();
    let (store, _) = open(&disk);
    disk.fail();
    let first = store.write(batch(&[put("plan", 99, "label", "1")])).wait();
    let second = store.write(batch(&[put("plan", 98, "label", "1")])).wait();

    assert!(first.is_err() && second.is_err() && store.status().failed.is_some());
    drop(store);
    disk.mend();
    let (store, opened) = open(&disk);
    assert!(store.verify().is_ok() && promises.last().is_some());
    assert!(!opened.alarms.iter().any(|alarm| matches!(alarm, Alarm::Damaged { .. })), "{:?}", opened.alarms);
    store.write(batch(&[put("plan", 99, "label", "1")])).wait().unwrap();
}

#[test]
fn a_disk_that_is_well_again_is_written_to_without_opening_the_store() {
    let (disk, _) = day();
    let (store, opened) = open(&disk);
    disk.fail();
    store.write(batch(&[put("plan", 99, "label", "1")])).wait().unwrap_err();
    disk.mend();
    let written = store.write(batch(&[put("plan", 98, "label", "1")])).wait().unwrap();

    let status = store.status();
    assert_eq!((status.failed, status.us), (None, opened.us));
    assert!(status.healed > 0 && status.alarms.is_empty(), "{:?}", status.alarms);
    assert_eq!(store.read("plan", id(98)).unwrap().unwrap().live(), [written[0].dot]);
    store.verify().unwrap();
}

#[test]
fn a_full_disk_is_read_from_while_it_is_full_and_written_to_when_it_is_not() {
    let (disk, _) = day();
    let (store, _) = open(&disk);
    disk.fill();
    let wide = "7".repeat(60_000);
    let drafts: Vec<_> = (0..40).map(|number| put("fact", number, "facts", &wide)).collect();
    for _ in 0..3 {
        store.write(batch(&drafts)).wait().unwrap_err();
        assert!(store.read("plan", id(1)).unwrap().is_some(), "{:?}", store.status());
    }
    disk.mend();

    store.write(batch(&drafts)).wait().unwrap();
    assert_eq!((store.status().failed, store.status().us.inc), (None, 1));
    store.verify().unwrap();
}

/// The same kinds, the plan's changed.
fn with_plan(change: impl Fn(Kind) -> Kind) -> Schema {
    let kind = |name: &str| schema().kind(name).unwrap().as_ref().clone();
    Schema::new(vec![kind("user"), kind("fact"), kind("audit"), kind("member"), change(kind("plan"))]).unwrap()
}

/// With a group more: records are built anew, and are the same.
fn grown() -> Schema {
    with_plan(|plan| plan.group("more", Form::Register))
}

/// With an index of a later version: indexes are built anew, and are the same.
fn indexed_anew() -> Schema {
    with_plan(|mut plan| {
        plan.indexes[0].version += 1;
        plan
    })
}

#[test]
fn an_incarnation_cut_short_is_never_used_for_something_else() {
    let (disk, _) = day();
    let (store, opened) = open(&disk);
    let (began, state) = (disk.now(), store.state_hash().unwrap());
    let renewed = store.renew(moment(0)).wait().unwrap();
    let mut found = [0; 4];
    for cut in began..=disk.now() {
        for fate in FATES {
            let (store, again) = open(&disk.cut(cut, fate));
            let case = format!("cut at {cut}, {fate:?}: {again:?}");
            match again.us.inc {
                1 => assert_eq!((again.us, again.is_new), (opened.us, false), "{case}"),
                2 => assert_eq!((again.us, again.is_new), (renewed, false), "{case}"),
                // Marked and not kept: nobody knows whether something was written under it.
                _ => assert_eq!((again.us.inc, again.alarms), (3, vec![Alarm::NotTheMarked]), "{case}"),
            }
            found[again.us.inc as usize] += 1;
            assert_eq!(store.state_hash().unwrap(), state, "{case}");
            store.verify().unwrap();
        }
    }
    assert!(found[1..].iter().all(|count| *count > 0), "{found:?}");
}

fn labelled(store: &Store) -> Vec<Vec<u8>> {
    let (index, keys) = ("plan_by_label".to_string(), Keys::All);
    let scan = Scan { index, keys, is_backward: false, after: None, limit: 99 };
    store.scan(&scan).unwrap().into_iter().map(|hit| hit.record.id().0.to_vec()).collect()
}

fn cut_while_building_anew(later: fn() -> Schema) {
    let (disk, promises) = day();
    let last = promises.last().unwrap();
    let labels = labelled(&open(&disk).0);
    let began = disk.now();
    assert!(labels.len() > 20 && open_with(&disk, later()).unwrap().1.is_rebuilt);
    for cut in began..=disk.now() {
        for fate in FATES {
            // The new program again, or the old one put back.
            for schema in [later(), schema()] {
                let (store, opened) = open_with(&disk.cut(cut, fate), schema).unwrap();
                let case = format!("cut at {cut}, {fate:?}");
                assert_eq!((opened.alarms, opened.is_new), (vec![], false), "{case}");
                assert_eq!(store.state_hash().unwrap(), last.state, "{case}");
                assert_eq!(labelled(&store), labels, "{case}");
            }
        }
    }
}

#[test]
fn a_power_cut_while_records_are_built_anew_costs_nothing() {
    cut_while_building_anew(grown);
}

#[test]
fn a_power_cut_while_indexes_are_built_anew_costs_nothing() {
    cut_while_building_anew(indexed_anew);
}
