//! How fast two nodes of this machine keep in step over loopback TCP, without TLS: `cargo run --release -p replicate
//! --features net --example link [folder] [records]`. Prints one JSON line a number: `{name, value, unit, goal}`. Both
//! nodes share the disk and the cores, so each number stands for twice the work of one node. Run it three times.
#![allow(clippy::disallowed_methods)] // A stopwatch is all a bench is.

use replicate::core::election::{self, Token};
use replicate::core::entry::{Moment, Quality};
use replicate::core::id::{BootId, NodeId, RecordId, Stream};
use replicate::core::message::FleetId;
use replicate::core::record::Record;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::session::Limits;
use replicate::core::write::{Act, Draft, Replaces};
use replicate::disk::opening;
use replicate::disk::store::{Batch, Store};
use replicate::net::{Hub, Patience, Settings, websocket_config};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tikv_jemallocator::Jemalloc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// That of the program that is shipped, though not tuned as there.
#[global_allocator]
static HEAP: Jemalloc = Jemalloc;

const ACTS: u128 = 300;
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let records = std::env::args().nth(2).map_or(200_000, |count| count.parse().unwrap());
    let folder = folder.join(format!("replicate-link-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    latency(&runtime, &folder.join("live"));
    catching_up(&runtime, &folder.join("late"), records);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// An act by a person: from handing in to durable and visible on the other node.
fn latency(runtime: &Runtime, folder: &Path) {
    let (one, two) = (node(runtime, folder, 1), node(runtime, folder, 2));
    link(runtime, &one, &two);
    let before = traffic(&one);
    let mut since = 0;
    let mut times: Vec<f64> = (0..ACTS)
        .map(|number| {
            let began = Instant::now();
            one.0.write(batch(number..number + 1, true)).wait().unwrap();
            while two.0.read("fact", id(number)).unwrap().is_none() {
                since = two.0.changes(since, 1000, Duration::from_secs(1)).next;
            }
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    line("act_visible_on_the_other_p50", at(0.5), "ms", Some(8.0));
    line("act_visible_on_the_other_p99", at(0.99), "ms", Some(40.0));
    let sent = traffic(&one) - before;
    line("wire_bytes_of_one_live_act_all_messages", sent as f64 / ACTS as f64, "bytes", Some(300.0));
}

/// A node that comes late: all that the other has, durable, as fast as it goes.
fn catching_up(runtime: &Runtime, folder: &Path, records: u128) {
    let (one, two) = (node(runtime, folder, 1), node(runtime, folder, 2));
    let tickets: Vec<_> = (0..records / 250)
        .map(|number| {
            let ticket = one.0.write(batch(number * 250..(number + 1) * 250, false));
            // Few enough that none finds the queue full.
            if number % 32 == 31 {
                one.0.write(batch(records + number..records + number + 1, true)).wait().unwrap();
            }
            ticket
        })
        .collect();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    let all = one.0.vector(Stream::Own).unwrap();
    let count = all.values().map(|mark| mark.seq).sum::<u64>() as f64;
    let began = Instant::now();
    link(runtime, &one, &two);
    let end = *all.values().next().unwrap();
    while !two.0.vector(Stream::Own).unwrap().values().any(|mark| *mark == end) {
        // The feed counts from the store's opening: this wakes when nearly all has come.
        two.0.changes(count as u64 - 2, 1, Duration::from_millis(20));
    }
    let took = began.elapsed().as_secs_f64();
    line("caught_up_records", count, "records", None);
    line("durable_records_over_a_link", count / took, "records/s", Some(20_000.0));
    line("catching_up", took, "s", None);
    line("catching_up_a_million_at_this_rate", took * 1e6 / count, "s", Some(20.0));
    // What was sent is told a moment after it has arrived.
    let mut changed = one.1.changed();
    let sent = async {
        while (one.1.look().traffic.entries_out as f64) < count {
            changed.changed().await.unwrap();
        }
        one.1.look().traffic
    };
    let sent = runtime.block_on(sent);
    line("wire_bytes_a_record_in_batches", sent.wire_out as f64 / count, "bytes", Some(45.0));
    line("raw_bytes_a_record_in_batches", sent.raw_out as f64 / count, "bytes", None);
}

fn traffic(node: &(Arc<Store>, Hub)) -> u64 {
    node.1.look().traffic.wire_out
}

fn node(runtime: &Runtime, folder: &Path, number: u128) -> (Arc<Store>, Hub) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("{number}.redb"));
    let (node, nonces) = (NodeId::from_u128(number), Box::new(move || number as u32));
    let opening =
        opening::Settings { node, inc_min: 1, nonces, moment: now(), cache_bytes: 64 << 20, is_verified: false };
    let kind = Kind::new("fact", Stream::Own).group("facts", Form::Register).index("by_started", 1, by_started);
    let store = Arc::new(Store::open(&path, Schema::new(vec![kind]).unwrap(), opening).unwrap().0);
    let settings = Settings {
        fleet: FleetId::from_u128(1),
        build: "bench".to_string(),
        kinds: BTreeMap::new(),
        features: Vec::new(),
        wants: Stream::ALL.to_vec(),
        session: Limits::default(),
        election: election::Settings::LOCAL,
        seen: Token::NONE,
        links_max: 4,
        patience: Patience::default(),
    };
    let hub = Hub::start(store.clone(), settings, runtime.handle().clone(), now, |_| Ok(()), |_| ()).unwrap();
    (store, hub)
}

fn link(runtime: &Runtime, one: &(Arc<Store>, Hub), two: &(Arc<Store>, Hub)) {
    let (here, there) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialling = TcpStream::connect(listener.local_addr().unwrap());
        let (here, there) = futures_util::future::join(dialling, listener.accept()).await;
        (here.unwrap(), there.unwrap().0)
    });
    for (hub, peer, stream, role) in [(&one.1, 2, here, Role::Client), (&two.1, 1, there, Role::Server)] {
        stream.set_nodelay(true).unwrap();
        let hub = hub.clone();
        runtime.spawn(async move {
            let socket = WebSocketStream::from_raw_socket(stream, role, Some(websocket_config())).await;
            hub.run_link(socket, NodeId::from_u128(peer), role == Role::Client).await
        });
    }
}

fn line(name: &str, value: f64, unit: &str, goal: Option<f64>) {
    let goal = goal.map_or("null".to_string(), |goal| format!("{goal:.3}"));
    println!(r#"{{"name":"{name}","value":{value:.3},"unit":"{unit}","goal":{goal}}}"#);
}

fn now() -> Moment {
    let mono = BEGAN.elapsed().as_millis() as u64 + 1;
    Moment { wall: 1_787_000_000_000 + mono as i64, q: Quality::Ntp, boot: BootId([7; 16]), mono }
}

fn by_started(record: &Record) -> Vec<Vec<u8>> {
    record.value("facts").and_then(|value| value.get(11..24)).map(|key| key.as_bytes().to_vec()).into_iter().collect()
}

/// Ids in the order of time, as UUIDv7 gives them.
fn id(number: u128) -> RecordId {
    RecordId::from_u128(0x0199_1c2e_0000_7000_8000_0000_0000_0000 + (number << 64))
}

fn batch(numbers: std::ops::Range<u128>, is_urgent: bool) -> Batch {
    let fact = |number: u128| {
        let value = format!(
            r#"{{"started":{},"room":"B{}","frames":{},"rate":48000,"channels":2,"bytes":{},"state":"sealed"}}"#,
            1_787_000_000_000 + number * 1000,
            number % 7,
            48_000 * (number % 7200),
            number * 977 % 90_000_000
        );
        let act = Act::Put { group: "facts".into(), value, replaces: Replaces::All };
        Draft { kind: "fact".into(), id: id(number), act, by: "u:01J9ZP".into(), why: None, reports: false }
    };
    Batch { expected: Vec::new(), drafts: numbers.map(fact).collect(), moment: now(), is_urgent }
}
