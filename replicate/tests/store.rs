//! What the user of a store relies on: tickets, reading, scans, following, sessions, names that are never used twice.

#[path = "house/disk.rs"]
mod disk;
mod house;

use disk::*;
use house::*;
use replicate::core::id::{RecordId, Stream};
use replicate::core::index::Keys;
use replicate::core::log::Refusal;
use replicate::core::record::Record;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::view::View;
use replicate::core::write::{BadAct, Expected};
use replicate::disk::feed::FEED_MAX;
use replicate::disk::opening::{Alarm, OpenError};
use replicate::disk::store::{Applied, Batch, Scan, Store, WriteError};
use std::sync::Arc;
use std::time::Duration;

fn fresh() -> (Disk, Store) {
    let disk = Disk::default();
    let (store, _) = open(&disk);
    (disk, store)
}

fn hear(store: &Store, other: &Node, stream: Stream) -> Applied {
    let vector = store.vector(stream).unwrap();
    let entries = replicate::core::exchange::export(&other.state, stream, &vector).unwrap().entries;
    store.apply(entries, moment(0), false).wait().unwrap()
}

fn tell(store: &Store, other: &mut Node, stream: Stream) {
    let vector = replicate::core::exchange::vector(&other.state, stream).unwrap();
    for raw in store.export(stream, &vector).unwrap().entries {
        other.hear(&raw).unwrap();
    }
}

fn labels(
    store: &Store,
    keys: Keys,
    is_backward: bool,
    after: Option<(Vec<u8>, RecordId)>,
    limit: usize,
) -> Vec<String> {
    let scan = Scan { index: "plan_by_label".to_string(), keys, is_backward, after, limit };
    store.scan(&scan).unwrap().into_iter().map(|hit| String::from_utf8(hit.key).unwrap()).collect()
}

#[test]
fn what_a_ticket_says_is_there_to_read() {
    let (_, store) = fresh();
    let written = store.write(batch(&[put("plan", 1, "label", r#""Physics""#)])).wait().unwrap();
    let record = store.read("plan", id(1)).unwrap().unwrap();

    assert_eq!(record.value("label"), Some(r#""Physics""#));
    assert_eq!(record.live(), [written[0].dot]);
    assert!(store.read("plan", id(2)).unwrap().is_none() && store.read("room", id(1)).unwrap().is_none());
}

#[test]
fn a_log_is_read_with_what_was_replaced_since() {
    let (_, store) = fresh();
    let first = store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap()[0];
    let second = store.write(batch(&[put("plan", 1, "label", "2")])).wait().unwrap()[0];
    let entry = store.entry(first).unwrap().unwrap();
    let log = store.entries(first.log(), 2, 9).unwrap();

    assert_eq!(entry.fields.as_ref().unwrap().val.get(), "1");
    assert_eq!(log.iter().map(|entry| entry.at).collect::<Vec<_>>(), [first, second]);
    assert_eq!(store.entry(second.log().at(9)).unwrap(), None);
}

#[test]
fn a_batch_made_from_what_is_gone_changes_nothing() {
    let (_, store) = fresh();
    let groups = vec!["label".to_string()];
    let seen = |version| vec![Expected { kind: "plan".into(), id: id(1), groups: groups.clone(), version }];
    let write = |expected, value: &str| {
        let drafts = vec![put("plan", 1, "label", value), put("plan", 2, "label", value)];
        store.write(Batch { expected, ..batch(&drafts) }).wait()
    };
    let version = || store.read("plan", id(1)).unwrap().unwrap().version(&["label"]);
    let nothing = Record::empty(Kind::new("plan", Stream::Cfg).into(), id(1)).version(&[]);

    write(seen(nothing), "1").unwrap();
    let first = version();
    store.write(batch(&[put("plan", 1, "timing", "9")])).wait().unwrap();
    assert_eq!(version(), first, "another group is another matter");
    write(seen(first), "2").unwrap();

    assert_eq!(write(seen(first), "3"), Err(WriteError::BadAct(BadAct::Stale(id(1)))));
    assert_eq!(write(seen(nothing), "3"), Err(WriteError::BadAct(BadAct::Stale(id(1)))));
    assert_eq!(store.read("plan", id(2)).unwrap().unwrap().value("label"), Some("2"));
}

#[test]
fn a_bad_batch_leaves_nothing_and_harms_no_other() {
    let (_, store) = fresh();
    let mut patient = batch(&[put("plan", 1, "label", "1")]);
    patient.is_urgent = false;
    let mut bad = batch(&[put("plan", 2, "label", "2"), delete("fact", 1)]);
    bad.is_urgent = false;
    let (good, bad) = (store.write(patient), store.write(bad));

    assert!(matches!(bad.wait(), Err(WriteError::BadAct(BadAct::NoGroup { .. }))));
    assert_eq!(good.wait().unwrap().len(), 1);
    assert!(store.read("plan", id(2)).unwrap().is_none());
    assert_eq!(store.verify().unwrap(), 5);
}

#[test]
fn many_writers_share_commits_and_lose_nothing() {
    let (_, store) = fresh();
    std::thread::scope(|scope| {
        for writer in 0..8_u128 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..20 {
                    let mut one = batch(&[put("fact", writer * 100 + number, "facts", "1")]);
                    one.is_urgent = false;
                    store.write(one).wait().unwrap();
                }
            });
        }
    });

    assert_eq!(store.status().entries, 160);
    assert!(store.status().commits < 160, "{} commits", store.status().commits);
    assert_eq!(store.verify().unwrap(), 164);
}

#[test]
fn a_scan_pages_through_an_index_both_ways() {
    let (_, store) = fresh();
    let drafts: Vec<_> = (10..30).map(|number| put("plan", number, "label", &number.to_string())).collect();
    store.write(batch(&drafts)).wait().unwrap();
    store.write(batch(&[delete("plan", 12), put("plan", 13, "label", "99")])).wait().unwrap();

    assert_eq!(labels(&store, Keys::All, false, None, 3), ["10", "11", "14"]);
    assert_eq!(labels(&store, Keys::All, true, None, 2), ["99", "29"]);
    assert_eq!(labels(&store, Keys::All, false, Some((b"14".to_vec(), id(14))), 2), ["15", "16"]);
    assert_eq!(labels(&store, Keys::All, true, Some((b"14".to_vec(), id(14))), 9), ["11", "10"]);
    assert_eq!(labels(&store, Keys::Beginning(b"2".to_vec()), false, None, 99).len(), 10);
    assert_eq!(labels(&store, Keys::Between(b"15".to_vec(), b"17".to_vec()), false, None, 99), ["15", "16"]);
    assert_eq!(labels(&store, Keys::Between(b"17".to_vec(), b"15".to_vec()), false, None, 99), [""; 0]);
}

#[test]
fn a_follower_sees_our_acts_and_others() {
    let (_, store) = fresh();
    let mut other = Node::new(2);
    other.write(&[put("plan", 1, "label", "1")]).unwrap();
    store.write(batch(&[put("user", 7, "profile", "1")])).wait().unwrap();
    hear(&store, &other, Stream::Cfg);
    let news = store.changes(0, FEED_MAX, Duration::ZERO);
    let records: Vec<_> = news.changes.iter().filter_map(|change| change.record.clone()).map(|key| key.id).collect();

    assert_eq!((records, news.has_missed), (vec![id(7), id(1)], false));
    assert_eq!(store.changes(news.next, 10, Duration::ZERO).changes, []);
}

#[test]
fn a_fence_that_comes_late_is_told_to_followers_and_found_again() {
    let (disk, store) = fresh();
    let mut other = Node::new(2);
    other.write(&[put("plan", 1, "label", "1"), put("plan", 2, "label", "2"), put("plan", 2, "timing", "3")]).unwrap();
    hear(&store, &other, Stream::Cfg);
    let seen = store.changes(0, FEED_MAX, Duration::ZERO).next;
    let entries = store.status().entries;
    store.write(batch(&[fence(2, 0, 2)])).wait().unwrap();
    let news = store.changes(seen, FEED_MAX, Duration::ZERO).changes;
    let told: Vec<_> = news.iter().filter_map(|change| change.record.clone()).map(|key| (key.kind, key.id)).collect();

    assert_eq!(told, [("member".to_string(), id(2)), ("plan".to_string(), id(2))]);
    assert_eq!(
        (labels(&store, Keys::All, false, None, 9), store.status().entries),
        (vec!["1".to_string()], entries + 1)
    );
    let beyond = |store: &Store| store.fenced().unwrap().iter().map(|fenced| fenced.beyond).collect::<Vec<_>>();
    assert_eq!(beyond(&store), [0, 2]);
    tell(&store, &mut other, Stream::Sec);
    tell(&store, &mut other, Stream::Cfg);
    assert_eq!(store.state_hash().unwrap(), other.state_hash());
    drop(store);
    let (store, opened) = open(&disk);
    assert_eq!((beyond(&store), opened.is_rebuilt), (vec![0, 2], false));
    other.write(&[put("plan", 3, "label", "4")]).unwrap();
    hear(&store, &other, Stream::Cfg);
    assert!(store.read("plan", id(3)).unwrap().is_none());
}

#[test]
fn two_stores_and_a_memory_that_met_are_alike() {
    let (_, store) = fresh();
    let mut other = Node::new(2);
    other.write(&[put("plan", 1, "label", "1"), put("user", 1, "profile", "1"), disable(1)]).unwrap();
    store.write(batch(&[put("plan", 1, "label", "2"), put("user", 1, "cred_gen", "4")])).wait().unwrap();
    for stream in Stream::ALL {
        assert_eq!(hear(&store, &other, stream).refused, 0);
        tell(&store, &mut other, stream);
    }

    assert_eq!(store.state_hash().unwrap(), other.state_hash());
    let record = store.read("plan", id(1)).unwrap().unwrap();
    assert_eq!((record.versions("label").len(), record.conflicts().len()), (2, 1));
    assert_eq!(hear(&store, &other, Stream::Cfg), Applied::default());
}

#[test]
fn a_refused_entry_does_not_stop_other_logs() {
    let (_, store) = fresh();
    let (mut second, mut third) = (Node::new(2), Node::new(3));
    second.write(&[put("plan", 1, "label", "1")]).unwrap();
    third.write(&[put("plan", 2, "label", "2")]).unwrap();
    let empty = Default::default();
    let mut entries = replicate::core::exchange::export(&second.state, Stream::Cfg, &empty).unwrap().entries;
    entries.remove(0);
    entries.push(Arc::from(&b"garbage"[..]));
    entries.extend(replicate::core::exchange::export(&third.state, Stream::Cfg, &empty).unwrap().entries);
    let applied = store.apply(entries, moment(0), true).wait().unwrap();

    assert_eq!((applied.new, applied.refused), (2, 2));
    assert!(matches!(applied.refusals[0], (0, Refusal::Gap { .. })) && applied.refusals[1].0 == 1);
    assert!(store.read("plan", id(2)).unwrap().is_some());
}

#[test]
fn a_backup_put_back_goes_on_under_a_new_name_and_gets_its_past_back() {
    let (disk, store) = fresh();
    store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap();
    drop(store);
    let backup = disk.with_file(disk.file());
    let (store, _) = open(&disk);
    store.write(batch(&[put("plan", 2, "label", "2")])).wait().unwrap();
    let mut peer = Node::new(2);
    tell(&store, &mut peer, Stream::Cfg);

    let (restored, opened) = open(&backup);
    assert_eq!((opened.alarms.len(), opened.us.inc), (0, 1), "the mark was put back too: nothing tells yet");
    assert_eq!(hear(&restored, &peer, Stream::Cfg).refused, 0);
    assert_eq!(restored.status().us.inc, 2);
    assert!(restored.read("plan", id(2)).unwrap().is_some());
    restored.write(batch(&[put("plan", 3, "label", "3")])).wait().unwrap();
    tell(&restored, &mut peer, Stream::Cfg);
    assert_eq!(peer.values("plan", 3, "label"), ["3"]);
    restored.verify().unwrap();
    drop(restored);
    let (_, again) = open(&backup);
    assert_eq!((again.alarms.len(), again.us.inc), (0, 2));
}

#[test]
fn a_cloned_card_stops_both_until_an_operator_chooses() {
    let (disk, store) = fresh();
    drop(store);
    let clone = disk.with_file(disk.file());
    let ((store, _), (cloned, _)) = (open(&disk), open(&clone));
    store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap();
    cloned.write(batch(&[put("plan", 1, "label", "2")])).wait().unwrap();
    let applied = store.apply(cloned.export(Stream::Cfg, &Default::default()).unwrap().entries, moment(0), true);
    assert!(matches!(applied.wait().unwrap().refusals[..], [(1, Refusal::Fork { .. })]));

    let refused = store.write(batch(&[put("plan", 1, "label", "3")])).wait();
    assert!(matches!(refused, Err(WriteError::Quarantined(_))));
    drop(store);
    let (store, opened) = open(&disk);
    assert!(matches!(opened.alarms[..], [Alarm::Quarantined(_)]) && !opened.is_new, "it survives a restart");
    assert_eq!(store.status().forks, 1);
    assert_eq!(store.renew(moment(0)).wait().unwrap().inc, 2);
    store.write(batch(&[put("plan", 1, "label", "3")])).wait().unwrap();
    assert_eq!(store.status().quarantined, None);
}

#[test]
fn another_node_takes_the_file_over_under_its_own_name() {
    let (disk, store) = fresh();
    store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap();
    drop(store);
    let (store, opened) = Store::open_at(disk.clone(), schema(), settings(9)).unwrap();

    assert_eq!((opened.alarms, opened.us.node), (vec![Alarm::OfAnotherNode(origin(1).node)], origin(9).node));
    assert!(store.read("plan", id(1)).unwrap().is_some());
}

#[test]
fn a_node_written_anew_takes_the_incarnation_it_is_told() {
    let mut told = settings(1);
    told.inc_min = 7;
    let (store, opened) = Store::open_at(Disk::default(), schema(), told).unwrap();

    assert_eq!((opened.us.inc, opened.alarms.len()), (7, 0));
    store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap();
}

#[test]
fn a_new_schema_builds_records_and_indexes_anew() {
    let (disk, store) = fresh();
    let mut other = Node::new(2);
    other.schema = with_rooms(2);
    other.write(&[put("room", 1, "label", "5")]).unwrap();
    hear(&store, &other, Stream::Cfg);
    store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap();
    drop(store);

    let (store, opened) = open_with(&disk, with_rooms(1)).unwrap();
    assert!(opened.is_rebuilt);
    assert_eq!(store.read("room", id(1)).unwrap().unwrap().value("label"), Some("5"));
    let rooms = |store: &Store| {
        let (index, keys) = ("room_by_label".to_string(), Keys::All);
        store.scan(&Scan { index, keys, is_backward: false, after: None, limit: 9 }).unwrap().pop().unwrap().key
    };
    assert_eq!(rooms(&store), b"v1");
    drop(store);
    let (store, opened) = open_with(&disk, with_rooms(2)).unwrap();
    assert!(opened.is_rebuilt && opened.alarms.is_empty());
    assert_eq!(rooms(&store), b"v2");
    drop(store);
    assert!(!open_with(&disk, with_rooms(2)).unwrap().1.is_rebuilt);
}

fn with_rooms(version: u32) -> Schema {
    let keys = if version == 1 { |_: &_| vec![b"v1".to_vec()] } else { |_: &_| vec![b"v2".to_vec()] };
    let room = Kind::new("room", Stream::Cfg).group("label", Form::Register).index("room_by_label", version, keys);
    Schema::new(vec![room]).unwrap()
}

#[test]
fn a_store_in_a_file_has_one_process_and_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    let (store, opened) = Store::open(&path, schema(), settings(1)).unwrap();
    store.write(batch(&[put("plan", 1, "label", "1")])).wait().unwrap();
    assert!(matches!(Store::open(&path, schema(), settings(1)).map(|_| ()), Err(OpenError::Busy)));
    drop(store);

    let (store, again) = Store::open(&path, schema(), settings(1)).unwrap();
    assert_eq!((again.us, again.alarms), (opened.us, vec![]));
    assert!(store.read("plan", id(1)).unwrap().is_some());
    drop(store);
    std::fs::write(&path, b"rubbish").unwrap();
    let (_, third) = Store::open(&path, schema(), settings(1)).unwrap();
    assert!(matches!(third.alarms[..], [Alarm::Damaged { .. }]));
    assert_eq!(std::fs::read(folder.path().join("node.redb.damaged-1")).unwrap(), b"rubbish");
}

#[test]
fn a_full_queue_says_so_at_once() {
    let (_, store) = fresh();
    let many = vec![Arc::from(&b"x"[..]); 20_000];

    assert_eq!(store.apply(many, moment(0), false).wait(), Err(WriteError::Busy));
    assert_eq!(store.apply(vec![Arc::from(&b"x"[..])], moment(0), false).wait().unwrap().refused, 1);
}

#[test]
fn a_memory_and_a_disk_agree_on_every_entry() {
    let (_, store) = fresh();
    let mut other = Node::new(2);
    for round in 0..30_u128 {
        other.write(&[put("plan", round % 3, "label", &round.to_string())]).unwrap();
        hear(&store, &other, Stream::Cfg);
        store.write(batch(&[put("plan", round % 5, "timing", &round.to_string())])).wait().unwrap();
        tell(&store, &mut other, Stream::Cfg);
        assert_eq!(store.state_hash().unwrap(), other.state_hash(), "round {round}");
    }
    let known: Vec<_> = other.state.heads().unwrap().into_iter().filter(|(log, _)| log.stream == Stream::Cfg).collect();
    assert_eq!(known.len(), store.vector(Stream::Cfg).unwrap().len());
}
