//! Floors in files: the power goes while rows leave and while a node is filled; a file is set aside; a backup has gaps.

#[path = "house/disk.rs"]
mod disk;
mod house;

use disk::*;
use house::*;
use replicate::core::exchange::Records;
use replicate::core::floor::fill::{Kept, Part};
use replicate::core::floor::{Due, HandedOn, Stage};
use replicate::core::id::{Hash, LogId, Stream};
use replicate::core::view::View;
use replicate::disk::opening::Alarm;
use replicate::disk::putting_back::put_back;
use replicate::disk::store::Store;
use std::sync::{Arc, mpsc};

/// Two nodes of which the first is in a file and both have everything; the floor has been said and not been taken.
fn said() -> (Disk, Store, Node) {
    let disk = Disk::default();
    let (store, opened) = open(&disk);
    let mut other = Node::new(2);
    for round in 0..12 {
        let drafts: Vec<_> = (0..6).map(|number| put("plan", number, "label", &round.to_string())).collect();
        store.write(batch(&drafts)).wait().unwrap();
        hear(&mut other, &store);
        other
            .write(&[put("plan", 1, "timing", &round.to_string()), disable(1), enable(1), put("fact", 1, "facts", "1")])
            .unwrap();
        tell(&other, &store);
    }
    store.write(batch(&[delete("plan", 5)])).wait().unwrap();
    hear(&mut other, &store);
    let known = |log: LogId| other.state.head(log).unwrap().map_or(0, |head| head.seq);
    let next = store.next_floor(0, known).unwrap().unwrap();
    let (tx, rx) = mpsc::channel();
    store.advance_floor_then(1, next, moment(0), Box::new(move |result| drop(tx.send(result))));
    assert_eq!((rx.recv().unwrap(), opened.us.inc), (Ok(true), 1));
    (disk, store, other)
}

fn hear(node: &mut Node, store: &Store) {
    for stream in Stream::ALL {
        let theirs = replicate::core::exchange::vector(&node.state, stream).unwrap();
        assert_eq!(node.apply(&store.export(stream, &theirs).unwrap().entries).refused, 0);
    }
}

fn tell(node: &Node, store: &Store) {
    for stream in Stream::ALL {
        let export = replicate::core::exchange::export(&node.state, stream, &store.vector(stream).unwrap()).unwrap();
        assert_eq!(store.apply(export.entries, moment(0), true).wait().unwrap().refused, 0);
    }
}

fn stage(store: &Store) -> Option<Stage> {
    store.standing().unwrap().map(|own| own.stage)
}

/// Every row below the floor, as a digest.
fn kept(store: &Store) -> Hash {
    let own = store.standing().unwrap().unwrap();
    let mut digest = Hash::NOTHING;
    for (log, mark) in &own.floor.marks {
        for entry in store.entries(*log, 1, 1000).unwrap().iter().filter(|entry| entry.at.dot.seq <= mark.seq) {
            digest = Hash::of_entry(digest, &entry.raw);
        }
    }
    digest
}

#[test]
fn a_power_cut_while_rows_leave_costs_nothing_and_it_goes_on() {
    let (disk, store, _) = said();
    let (began, state) = (disk.now(), store.state_hash().unwrap());
    let before = store.verify().unwrap();
    assert!(matches!(store.floor_due().unwrap(), Some(Due::Take(_))));
    assert_eq!(store.collect(moment(0)).wait(), Ok(true));
    let after = store.verify().unwrap();
    assert!(after + 80 < before, "{before} entries, then {after}");
    assert_eq!((store.state_hash().unwrap(), stage(&store)), (state, Some(Stage::At)));
    let rows = kept(&store);
    let mut begun = 0;
    for cut in (began..=disk.now()).step_by(3) {
        for fate in FATES {
            let (store, opened) = open(&disk.cut(cut, fate));
            assert_eq!((opened.alarms.len(), opened.is_new), (0, false), "cut at {cut}, {fate:?}");
            store.verify().unwrap();
            assert_eq!(store.state_hash().unwrap(), state);
            begun += usize::from(stage(&store) == Some(Stage::Collecting));
            store.collect(moment(0)).wait().unwrap();
            assert_eq!((stage(&store), kept(&store)), (Some(Stage::At), rows), "cut at {cut}, {fate:?}");
            assert_eq!(store.state_hash().unwrap(), state);
        }
    }
    assert!(begun > 3, "{begun}");
}

#[test]
fn records_are_built_anew_over_gaps() {
    let (disk, store, _) = said();
    store.collect(moment(0)).wait().unwrap();
    let state = store.state_hash().unwrap();
    drop(store);
    let kinds = ["user", "plan", "fact", "audit", "member"].map(|name| schema().kind(name).unwrap().as_ref().clone());
    let later = kinds.map(|kind| kind.group("more", replicate::core::schema::Form::Register)).to_vec();
    let (store, opened) = open_with(&disk, replicate::core::schema::Schema::new(later).unwrap()).unwrap();
    assert!(opened.is_rebuilt && opened.alarms.is_empty());
    assert_eq!(store.state_hash().unwrap(), state);
    assert!(!store.write(batch(&[put("plan", 1, "label", "77")])).wait().unwrap().is_empty());
}

/// Fills a store as a link does, up to `limit` batches.
fn fill(store: &Store, from: &Store, limit: usize) {
    let floor = from.standing().unwrap().unwrap().floor;
    let (tx, rx) = mpsc::channel();
    store.fill_then(floor.clone(), moment(0), Box::new(move |result| drop(tx.send(result))));
    assert_eq!(rx.recv().unwrap(), Ok(true));
    let mut batches = 0;
    for (log, mark) in &floor.marks {
        loop {
            let after = store.end(*log).unwrap().map_or(0, |head| head.seq);
            if after >= mark.seq || batches == limit {
                break;
            }
            let mut raws = from.tail(*log, after + 1, 7, usize::MAX).unwrap();
            let had = raws.len();
            raws.retain(|raw| replicate::core::entry::Entry::parse(raw).unwrap().at.dot.seq <= mark.seq);
            let is_end = raws.len() < had || had < 7;
            let kept = Kept { floor: floor.name, parts: vec![Part { log: *log, after, is_end }] };
            let (tx, rx) = mpsc::channel();
            store.apply_kept_then(raws, kept, moment(0), Box::new(move |result| drop(tx.send(result))));
            assert_eq!(rx.recv().unwrap().unwrap().refused, 0);
            batches += 1;
        }
    }
}

#[test]
fn a_power_cut_while_it_is_filled_costs_nothing_and_it_goes_on() {
    let (_, full, _) = said();
    full.collect(moment(0)).wait().unwrap();
    let disk = Disk::default();
    let (store, _) = Store::open_at(disk.clone(), schema(), settings(9)).unwrap();
    let began = disk.now();
    fill(&store, &full, usize::MAX);
    assert_eq!((stage(&store), kept(&store)), (Some(Stage::At), kept(&full)));
    assert_eq!(store.state_hash().unwrap(), full.state_hash().unwrap());
    let mut between = 0;
    for cut in (began..=disk.now()).step_by(11) {
        for fate in FATES {
            let (store, opened) = Store::open_at(disk.cut(cut, fate), schema(), settings(9)).unwrap();
            assert!(opened.alarms.is_empty(), "cut at {cut}, {fate:?}");
            store.verify().unwrap();
            between += usize::from(stage(&store) == Some(Stage::Filling));
            if stage(&store) != Some(Stage::At) {
                fill(&store, &full, usize::MAX);
            }
            assert_eq!((stage(&store), kept(&store)), (Some(Stage::At), kept(&full)), "cut at {cut}, {fate:?}");
            assert_eq!(store.state_hash().unwrap(), full.state_hash().unwrap());
            store.verify().unwrap();
        }
    }
    assert!(between > 10, "{between}");
}

#[test]
fn a_file_is_set_aside_only_if_others_have_all_that_is_in_it() {
    let (_, store, _) = said();
    let ask = |handed_on: HandedOn| {
        let (tx, rx) = mpsc::channel();
        store.set_aside_then(handed_on, moment(0), Box::new(move |result| drop(tx.send(result))));
        rx.recv().unwrap()
    };
    let ends = store.heads().unwrap().into_iter().map(|(log, head)| (log, head.seq)).collect();
    let all = HandedOn { ends, ..HandedOn::default() };
    store.write(batch(&[put("fact", 7, "facts", "7")])).wait().unwrap();
    assert_eq!(ask(all), Ok(false), "somebody wrote meanwhile");
    let ends = store.heads().unwrap().into_iter().map(|(log, head)| (log, head.seq)).collect();
    let us = store.status().us;
    assert_eq!(ask(HandedOn { ends, ..HandedOn::default() }), Ok(true));

    let status = store.status();
    assert!(status.us.inc > us.inc && matches!(status.alarms[..], [Alarm::BelowFloor { .. }]), "{status:?}");
    assert!(store.read("fact", id(7)).unwrap().is_none() && stage(&store).is_none());
    store.write(batch(&[put("fact", 8, "facts", "8")])).wait().unwrap();
}

#[test]
fn a_backup_over_gaps_is_put_back_as_it_was() {
    let (_, store, _) = said();
    store.collect(moment(0)).wait().unwrap();
    store.write(batch(&[put("plan", 1, "label", "77")])).wait().unwrap();
    let mut lines: Vec<Arc<[u8]>> = vec![store.backup_begins_with().unwrap().unwrap().into()];
    for (log, _) in store.heads().unwrap() {
        lines.extend(store.entries(log, 1, 1000).unwrap().into_iter().map(|entry| entry.raw));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    let node = origin(1).node;
    put_back(&path, &schema(), node, 4 << 20, lines.iter().cloned().map(Ok)).unwrap();
    let (back, opened) = Store::open(&path, schema(), settings(1)).unwrap();

    assert_eq!((opened.us.inc, stage(&back)), (2, Some(Stage::At)));
    assert_eq!((back.state_hash().unwrap(), kept(&back)), (store.state_hash().unwrap(), kept(&store)));
    back.verify().unwrap();
    let other = folder.path().join("other.redb");
    assert!(put_back(&other, &schema(), node, 4 << 20, lines.into_iter().skip(1).map(Ok)).is_err());
}
