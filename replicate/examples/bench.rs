//! How fast a store is on this machine, beside plain redb in the same run: `cargo run --release -p replicate --example
//! bench [folder [link]]` (`link`: only two sessions and what is between them). Prints one JSON line a number: `{name, value, unit, goal, peer, peer_value, ratio}`; `ratio` above 1
//! means better than the peer. The peer keeps the same bytes in one table, no more: no chain, no records, no index, and a
//! one-phase commit, after which a crashed file must be walked. Numbers of a shared machine vary; run it three times.
#![allow(clippy::disallowed_methods)] // A stopwatch is all a bench is.

use redb::{Database, TableDefinition};
use replicate::core::election::Token;
use replicate::core::entry::{Moment, Quality};
use replicate::core::exchange::{self, Records, Vector};
use replicate::core::fence::{Fence, Last};
use replicate::core::id::{BootId, NodeId, Origin, RecordId, Stream};
use replicate::core::index::Keys;
use replicate::core::log;
use replicate::core::memory::Memory;
use replicate::core::message::FleetId;
use replicate::core::record::Record;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::session::{Clock, Input, Limits, Me, Output, Session};
use replicate::core::view::Staged;
use replicate::core::wire;
use replicate::core::write::{self, Act, Draft, Replaces};
use replicate::disk::opening::Settings;
use replicate::disk::store::{Applied, Batch, Scan, Store, Ticket};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const PLAIN: TableDefinition<&[u8], &[u8]> = TableDefinition::new("plain");
const FOREIGN: u128 = 60_000;
const BATCH: usize = 512;
/// Entries that cross a link in memory: many, so that what grows faster than they do is seen.
const LINKED: u128 = 200_000;
const WRITERS: u128 = 8;
const ACTS: u128 = 250;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("replicate-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    if std::env::args().nth(2).is_none_or(|only| only == "link") {
        link(&folder);
    }
    if std::env::args().nth(2).is_some() {
        return std::fs::remove_dir_all(&folder).unwrap();
    }
    local_acts(&folder);
    let fresh = foreign(FOREIGN, FOREIGN);
    let bytes: usize = fresh.iter().map(|raw| raw.len()).sum();
    line("entry_size", bytes as f64 / fresh.len() as f64, "bytes", None, None, true);
    foreign_records("foreign_new_records", &folder.join("new.redb"), &fresh, true);
    foreign_records("foreign_edits", &folder.join("edits.redb"), &foreign(FOREIGN / 3, 1000), false);
    reopening(&folder.join("new.redb"));
    late_fences(&folder);
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

/// A node is retired when all it decided is here: from the act to durable, with its last ten decisions, and with half of
/// them, without effect. The whole stream is read for either.
fn late_fences(folder: &Path) {
    let plans = Kind::new("fact", Stream::Cfg).group("facts", Form::Register).index("by_started", 1, by_started);
    let members = Kind::new("member", Stream::Sec).group("access", Form::Flag).fences("access", 1, fence_of);
    let schema = Schema::new(vec![plans, members]).unwrap();
    let author = Settings { node: NodeId::from_u128(2), ..settings(false) };
    let author = Store::open(&folder.join("author.redb"), schema.clone(), author).unwrap().0;
    let batch = |drafts| Batch { expected: Vec::new(), drafts, moment: moment(), is_urgent: true };
    for first in (0..FOREIGN).step_by(250) {
        let drafts = (first..first + 250).map(|number| fact(number / 2, number)).collect();
        author.write(batch(drafts)).wait().unwrap();
    }
    let store = store(&folder.join("fenced.redb"), schema);
    loop {
        let export = author.export(Stream::Cfg, &store.vector(Stream::Cfg).unwrap()).unwrap();
        assert_eq!(store.apply(export.entries, moment(), true).wait().unwrap().refused, 0);
        if !export.has_more {
            break;
        }
    }
    for (name, last) in [("late_fence_of_10", FOREIGN - 9), ("late_fence_of_30000", FOREIGN / 2 + 1)] {
        let act = Act::Disable { group: "access".into(), value: last.to_string() };
        let (kind, id, by) = ("member".into(), RecordId::from_u128(2), "u:01J9ZP".into());
        let began = Instant::now();
        store.write(batch(vec![Draft { kind, id, act, by, why: None, reports: false }])).wait().unwrap();
        line(name, began.elapsed().as_secs_f64() * 1000.0, "ms", None, None, false);
    }
}

fn fence_of(id: RecordId, value: &str) -> Option<Fence> {
    let last = |seq| Last { inc: 1, seq };
    Some(Fence { node: NodeId(id.0), sec: last(1), cfg: last(value.parse().ok()?), until: None })
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

/// One end of a link: where entries are read, and how they are kept. Keeping may take a while.
trait Place {
    type Records: Records;
    fn records(&self) -> &Self::Records;
    fn apply(&mut self, batch: u64, entries: Vec<Arc<[u8]>>, is_urgent: bool);
    fn applied(&mut self) -> Option<Input>;
}

struct InMemory {
    state: Memory,
    schema: Schema,
    applied: VecDeque<Input>,
}

impl Place for InMemory {
    type Records = Memory;

    fn records(&self) -> &Memory {
        &self.state
    }

    fn apply(&mut self, batch: u64, entries: Vec<Arc<[u8]>>, _is_urgent: bool) {
        let mut staged = Staged::new(&self.state).unwrap();
        for raw in &entries {
            log::accept(&mut staged, &self.schema, None, raw).unwrap();
        }
        let changes = staged.changes;
        self.state.keep(changes);
        let applied = Applied { new: entries.len(), ..Applied::default() };
        self.applied.push_back(Input::Applied { batch, applied: Ok(applied) });
    }

    fn applied(&mut self) -> Option<Input> {
        self.applied.pop_front()
    }
}

struct OnDisk {
    store: Store,
    tickets: VecDeque<(u64, Ticket<Applied>)>,
}

impl Place for OnDisk {
    type Records = Store;

    fn records(&self) -> &Store {
        &self.store
    }

    fn apply(&mut self, batch: u64, entries: Vec<Arc<[u8]>>, is_urgent: bool) {
        self.tickets.push_back((batch, self.store.apply(entries, moment(), is_urgent)));
    }

    fn applied(&mut self) -> Option<Input> {
        let outcome = self.tickets.front()?.1.look()?;
        let (batch, _) = self.tickets.pop_front()?;
        Some(Input::Applied { batch, applied: Ok(outcome.unwrap()) })
    }
}

/// Two nodes, one of which lacks what the other has: entries a second through both sessions and the wire form, and bytes
/// on the wire in both directions, before compression.
fn link(folder: &Path) {
    let state = foreign_state(LINKED, LINKED);
    let empty = || InMemory { state: Memory::default(), schema: schema(1), applied: VecDeque::new() };
    let (count, mut from, mut to) = (LINKED as u64 + 1, InMemory { state, ..empty() }, empty());
    let (seconds, bytes) = carry(&mut from, &mut to, count);
    line("link_in_memory", count as f64 / seconds, "records/s", None, None, true);
    line("link_bytes_raw", bytes as f64 / count as f64, "bytes/record", None, None, false);

    let entries = foreign(FOREIGN, FOREIGN);
    let end = |name: &str| OnDisk { store: store(&folder.join(name), schema(1)), tickets: VecDeque::new() };
    let (count, mut from, mut to) = (entries.len() as u64, end("from.redb"), end("to.redb"));
    for batch in entries.chunks(BATCH) {
        assert_eq!(from.store.apply(batch.to_vec(), moment(), false).wait().unwrap().refused, 0);
    }
    let (seconds, _) = carry(&mut from, &mut to, count);
    line("link_durable", count as f64 / seconds, "records/s", Some(20_000.0), None, true);
    line(
        "link_batches_per_commit",
        count as f64 / to.store.status().commits as f64,
        "records/commit",
        None,
        None,
        true,
    );
}

/// Carries until the second end has so many entries of the foreign node.
fn carry<P: Place>(from: &mut P, to: &mut P, count: u64) -> (f64, u64) {
    let (a, b) = (NodeId::from_u128(11), NodeId::from_u128(12));
    let mut sessions = [session(a), session(b)];
    let mut said: [VecDeque<Vec<u8>>; 2] = [VecDeque::new(), VecDeque::new()];
    let log = Origin { node: NodeId::from_u128(2), inc: 1, nonce: 2 }.log(Stream::Own);
    let (began, mut bytes) = (Instant::now(), 0);
    let now_ms = || began.elapsed().as_millis() as u64;
    sessions[0].input(0, Input::Opened { peer: b }, from.records()).unwrap();
    sessions[1].input(0, Input::Opened { peer: a }, to.records()).unwrap();
    while sessions[0].peer_has(log) < count {
        let mut is_idle = true;
        for (side, place) in [&mut *from, &mut *to].into_iter().enumerate() {
            let heard = said[side].pop_front().map(|bytes| Input::Heard(wire::decode(&bytes).unwrap()));
            for input in [heard, place.applied()].into_iter().flatten() {
                is_idle = false;
                sessions[side].input(now_ms(), input, place.records()).unwrap();
            }
            while let Some(output) = sessions[side].poll_output() {
                match output {
                    Output::Send(message) => {
                        let raw = wire::encode(&message);
                        bytes += raw.len() as u64;
                        said[1 - side].push_back(raw);
                    }
                    Output::Apply { batch, entries, is_urgent, .. } => place.apply(batch, entries, is_urgent),
                    Output::Told(_) => {}
                    Output::Close(reason) => panic!("{reason}"),
                }
            }
        }
        if is_idle {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
    }
    (began.elapsed().as_secs_f64(), bytes)
}

fn session(node: NodeId) -> Session {
    let me = Me {
        fleet: FleetId::from_u128(1),
        origin: Origin { node, inc: 1, nonce: 1 },
        boot: BootId([1; 16]),
        build: "bench".to_string(),
        kinds: BTreeMap::new(),
        features: Vec::new(),
        wants: Stream::ALL.to_vec(),
        seen: Token::NONE,
        clock: Clock { wall_at_zero_ms: 0, q: Quality::Ntp },
    };
    Session::new(me, Limits::default())
}

/// A node that wrote so many entries over so many records.
fn foreign_state(entries: u128, records: u128) -> Memory {
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
    state
}

/// What such a node would send.
fn foreign(entries: u128, records: u128) -> Vec<Arc<[u8]>> {
    let (state, us) = (foreign_state(entries, records), NodeId::from_u128(2));
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
        vector.insert((us, 1), mark);
    }
}
