//! How fast a store is on this machine, beside plain redb in the same run: `cargo run --release -p replicate --example
//! bench [folder]`. Prints one JSON line a number: `{name, value, unit, goal, peer, peer_value, ratio}`; `ratio` above 1
//! means better than the peer. The peer keeps the same bytes in one table, no more: no chain, no records, no index, and a
//! one-phase commit, after which a crashed file must be walked. Numbers of a shared machine vary; run it three times.
#![allow(clippy::disallowed_methods)] // A stopwatch is all a bench is.

use redb::{Database, TableDefinition};
use replicate::core::entry::{Moment, Quality};
use replicate::core::exchange::{self, Vector};
use replicate::core::id::{BootId, NodeId, Origin, RecordId, Stream};
use replicate::core::index::Keys;
use replicate::core::memory::Memory;
use replicate::core::record::Record;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::view::Staged;
use replicate::core::write::{self, Act, Draft, Replaces};
use replicate::disk::opening::Settings;
use replicate::disk::store::{Applied, Batch, Scan, Store, Ticket};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const PLAIN: TableDefinition<&[u8], &[u8]> = TableDefinition::new("plain");
const FOREIGN: u128 = 60_000;
const BATCH: usize = 512;
const WRITERS: u128 = 8;
const ACTS: u128 = 250;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("replicate-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    local_acts(&folder);
    let fresh = foreign(FOREIGN, FOREIGN);
    let bytes: usize = fresh.iter().map(|raw| raw.len()).sum();
    line("entry_size", bytes as f64 / fresh.len() as f64, "bytes", None, None, true);
    foreign_records("foreign_new_records", &folder.join("new.redb"), &fresh, true);
    foreign_records("foreign_edits", &folder.join("edits.redb"), &foreign(FOREIGN / 3, 1000), false);
    reopening(&folder.join("new.redb"));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Small durable acts by many at once: from handing in to durable.
fn local_acts(folder: &Path) {
    for (writers, who) in [(1, "alone"), (WRITERS, "among_8")] {
        let folder = folder.join(who);
        std::fs::create_dir_all(&folder).unwrap();
        local_acts_of(writers, who, &folder);
    }
}

fn local_acts_of(writers: u128, who: &str, folder: &Path) {
    let plain = plain(&folder.join("plain-acts.redb"));
    let peer = latencies(writers, |number| {
        let tx = plain.begin_write().unwrap();
        tx.open_table(PLAIN).unwrap().insert(number.to_be_bytes().as_slice(), value(number).as_bytes()).unwrap();
        tx.commit().unwrap();
    });
    let store = store(&folder.join("acts.redb"), schema(1));
    let ours = latencies(writers, |number| {
        let batch =
            Batch { expected: Vec::new(), drafts: vec![fact(number, number)], moment: moment(), is_urgent: true };
        store.write(batch).wait().unwrap();
    });
    for (name, part, goal) in [("local_act_p50", 0.5, None), ("local_act_p99", 0.99, Some(10.0))] {
        let name = format!("{name}_{who}");
        line(&name, percentile(&ours, part), "ms", goal, Some(("redb insert", percentile(&peer, part))), false);
    }
    let per_commit = store.status().entries as f64 / store.status().commits as f64;
    line(&format!("local_acts_per_commit_{who}"), per_commit, "acts", None, None, true);
}

fn latencies(writers: u128, act: impl Fn(u128) + Sync) -> Vec<f64> {
    let act = &act;
    let one = |writer: u128| {
        let timed = |number| {
            let began = Instant::now();
            act(writer * ACTS + number);
            began.elapsed().as_secs_f64() * 1e3
        };
        (0..ACTS).map(timed).collect::<Vec<f64>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|writer| scope.spawn(move || one(writer))).collect();
        let mut all: Vec<f64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.sort_by(f64::total_cmp);
        all
    })
}

/// Another node's entries, applied in durable batches, eight batches under way at a time.
fn foreign_records(name: &str, path: &Path, entries: &[Arc<[u8]>], has_more: bool) {
    let plain = plain(&path.with_extension("plain"));
    let began = Instant::now();
    for (number, batch) in entries.chunks(BATCH).enumerate() {
        let tx = plain.begin_write().unwrap();
        {
            let mut table = tx.open_table(PLAIN).unwrap();
            for (place, raw) in batch.iter().enumerate() {
                table.insert(((number * BATCH + place) as u128).to_be_bytes().as_slice(), raw.as_ref()).unwrap();
            }
        }
        tx.commit().unwrap();
    }
    let peer = entries.len() as f64 / began.elapsed().as_secs_f64();
    drop(plain);

    let store = store(path, schema(1));
    let began = Instant::now();
    let mut waiting: VecDeque<Ticket<Applied>> = VecDeque::new();
    for batch in entries.chunks(BATCH) {
        if waiting.len() == 8 {
            assert_eq!(waiting.pop_front().unwrap().wait().unwrap().refused, 0);
        }
        waiting.push_back(store.apply(batch.to_vec(), moment(), false));
    }
    waiting.into_iter().for_each(|ticket| assert_eq!(ticket.wait().unwrap().refused, 0));
    let ours = entries.len() as f64 / began.elapsed().as_secs_f64();
    line(name, ours, "records/s", Some(20_000.0), Some(("redb inserts", peer)), true);
    if has_more {
        reading(&store, entries.len());
        drop(store);
        let size = |path: &Path| std::fs::metadata(path).unwrap().len() as f64 / entries.len() as f64;
        let peer = size(&path.with_extension("plain"));
        line("file_size", size(path), "bytes/record", Some(1100.0), Some(("redb inserts", peer)), false);
    }
}

fn reading(store: &Store, count: usize) {
    let began = Instant::now();
    let reads = 20_000;
    for number in 0..reads {
        assert!(store.read("fact", id(number as u128 * 7919 % count as u128)).unwrap().is_some());
    }
    line("read", reads as f64 / began.elapsed().as_secs_f64(), "records/s", None, None, true);
    let scan = Scan { index: "by_started".into(), keys: Keys::All, is_backward: true, after: None, limit: 100 };
    let began = Instant::now();
    for _ in 0..200 {
        assert_eq!(store.scan(&scan).unwrap().len(), 100);
    }
    line("scan_of_100", began.elapsed().as_secs_f64() * 1e3 / 200.0, "ms", None, None, false);
}

/// Opening a file that was closed well, checking it whole, and building its records anew.
fn reopening(path: &Path) {
    for (name, schema, is_verified) in
        [("open", schema(1), false), ("open_verified", schema(1), true), ("open_and_build_indexes", schema(2), false)]
    {
        let began = Instant::now();
        let (store, opened) = Store::open(path, schema, settings(is_verified)).unwrap();
        assert!(opened.alarms.is_empty(), "{:?}", opened.alarms);
        line(name, began.elapsed().as_secs_f64() * 1e3, "ms", None, None, false);
        drop(store);
    }
    let other = Schema::new(vec![kind(2).group("more", Form::Register)]).unwrap();
    let began = Instant::now();
    let (_, opened) = Store::open(path, other, settings(false)).unwrap();
    assert!(opened.is_rebuilt);
    line("build_records", FOREIGN as f64 / began.elapsed().as_secs_f64(), "entries/s", None, None, true);
}

fn line(name: &str, value: f64, unit: &str, goal: Option<f64>, peer: Option<(&str, f64)>, is_more_better: bool) {
    let ratio = peer.map(|(_, peer)| if is_more_better { value / peer } else { peer / value });
    let number = |number: Option<f64>| number.map_or("null".to_string(), |number| format!("{number:.3}"));
    let peer_name = peer.map_or("null".to_string(), |(peer, _)| format!("\"{peer}\""));
    println!(
        r#"{{"name":"{name}","value":{value:.3},"unit":"{unit}","goal":{},"peer":{peer_name},"peer_value":{},"ratio":{}}}"#,
        number(goal),
        number(peer.map(|peer| peer.1)),
        number(ratio),
    );
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

fn plain(path: &Path) -> Database {
    Database::builder().set_cache_size(64 << 20).create(path).unwrap()
}

fn store(path: &Path, schema: Schema) -> Store {
    Store::open(path, schema, settings(false)).unwrap().0
}

fn settings(is_verified: bool) -> Settings {
    let (node, nonces) = (NodeId::from_u128(1), Box::new(|| 7));
    Settings { node, inc_min: 1, nonces, moment: moment(), cache_bytes: 64 << 20, is_verified }
}

fn moment() -> Moment {
    Moment { wall: 1_787_000_000_000, q: Quality::Ntp, boot: BootId([7; 16]), mono: 1 }
}

fn kind(version: u32) -> Kind {
    Kind::new("fact", Stream::Own).group("facts", Form::Register).index("by_started", version, by_started)
}

fn schema(version: u32) -> Schema {
    Schema::new(vec![kind(version)]).unwrap()
}

/// The value begins with the start: good enough a key for a bench.
fn by_started(record: &Record) -> Vec<Vec<u8>> {
    record.value("facts").and_then(|value| value.get(11..24)).map(|key| key.as_bytes().to_vec()).into_iter().collect()
}

/// Ids in the order of time, as UUIDv7 gives them.
fn id(number: u128) -> RecordId {
    RecordId::from_u128(0x0199_1c2e_0000_7000_8000_0000_0000_0000 + (number << 64))
}

fn value(number: u128) -> String {
    format!(
        r#"{{"started":{},"room":"B{}","frames":{},"rate":48000,"channels":2,"bytes":{},"state":"sealed"}}"#,
        1_787_000_000_000 + number * 1000,
        number % 7,
        48_000 * (number % 7200),
        number * 977 % 90_000_000
    )
}

fn fact(record: u128, number: u128) -> Draft {
    let act = Act::Put { group: "facts".into(), value: value(number), replaces: Replaces::All };
    Draft { kind: "fact".into(), id: id(record), act, by: "u:01J9ZP".into(), why: None, reports: false }
}

/// A node that wrote so many entries over so many records, and what it would send.
fn foreign(entries: u128, records: u128) -> Vec<Arc<[u8]>> {
    let (us, schema) = (Origin { node: NodeId::from_u128(2), inc: 1, nonce: 2 }, schema(1));
    let mut state = Memory::default();
    let mut staged = Staged::new(&state).unwrap();
    write::open(&mut staged, &schema, us, moment()).unwrap();
    let changes = staged.changes;
    state.keep(changes);
    for number in 0..entries {
        let mut staged = Staged::new(&state).unwrap();
        write::write(&mut staged, &schema, us, moment(), &[fact(number % records, number)]).unwrap();
        let changes = staged.changes;
        state.keep(changes);
    }
    let (mut sent, mut vector) = (Vec::new(), Vector::new());
    loop {
        let export = exchange::export(&state, Stream::Own, &vector).unwrap();
        let has_more = export.has_more;
        sent.extend(export.entries);
        if !has_more {
            return sent;
        }
        let last = replicate::core::entry::Entry::parse(sent.last().unwrap()).unwrap();
        let mark = exchange::Mark { seq: last.at.dot.seq, hash: last.hash };
        vector.insert((us.node, us.inc), mark);
    }
}
