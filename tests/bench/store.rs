//! What the records cost: lists, searches, opening and memory with 100 000 recordings, and one durable act.
//!
//! The store is made once and looked at by a process of its own, so that memory and opening are that process's alone. Its
//! pages are put out of the page cache before. The peer of a search is a plain look at the same records, one by one.

use crate::figure::{Figure, Sheet, median};
use jiff::Timestamp;
use rakkr::domain::{ClockQuality, TakeId, TakeState};
use rakkr::store::audit::{Actor, Entry, Object, Outcome};
use rakkr::store::recordings::{Facts, Plan, Query};
use rakkr::store::{Edits, Id, Moment, Store};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The word that makes this program look at a store and print what it saw.
pub const LOOK: &str = "store-look";
const BEGIN: i64 = 1_700_000_000;
const COMMON: [&str; 12] = [
    "lecture",
    "hearing",
    "service",
    "rehearsal",
    "organ",
    "physics",
    "history",
    "sermon",
    "council",
    "session",
    "morning",
    "evening",
];

fn moment() -> Moment {
    Moment { wall: Timestamp::from_second(BEGIN).unwrap(), quality: ClockQuality::Ntp, mono_us: 1 }
}

fn open(folder: &Path) -> Store {
    open_as(folder, Id::of_name("bench"))
}

fn open_as(folder: &Path, node: Id) -> Store {
    Store::open(folder, node, "boot", moment(), || 1).unwrap().0
}

/// Numbers that look like chance and are the same in every run (xorshift, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Half of the words are common ones, the others are of 20 000 rare ones.
    fn words(&mut self, count: usize) -> String {
        let word = |_| match self.below(2) {
            0 => COMMON[self.below(COMMON.len())].to_owned(),
            _ => rare(self.below(20_000)),
        };
        (0..count).map(word).collect::<Vec<_>>().join(" ")
    }
}

fn rare(number: usize) -> String {
    let letters = b"bdfgklmnprstvz".map(char::from);
    let syllable = |at: usize| format!("{}{}", letters[at % 14], ["a", "e", "i", "o", "u"][at / 14 % 5]);
    format!("{}{}{}", syllable(number), syllable(number / 70), syllable(number / 4_900 + 3))
}

/// Writes so many recordings of a node; `is_gone` says that their audio is not there any more, so that nobody looks for it.
pub fn fill(folder: &Path, node: Id, count: usize, is_gone: bool) {
    let (store, mut chance) = (open_as(folder, node), Chance(88_172_645_463_325_252));
    let mut edits = Edits::by("bench");
    for number in 0..count {
        let at = Timestamp::from_second(BEGIN + number as i64 * 600).unwrap();
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let id = TakeId::new(at, bytes);
        edits.put_facts(id, &Facts { is_gone, ..facts(chance.words(4), at, chance.words(6)) });
        edits.put_plan(id, &Plan { room: None, started_by: Some("Ada".into()), profile: "voice".into() });
        // Half are said something about, as in a house where somebody cares.
        if number.is_multiple_of(2) {
            edits.put_title(id, &chance.words(5));
            edits.put_notes(id, &chance.words(12));
            let tags = [COMMON[chance.below(12)], "term"].map(String::from).into();
            edits.put_filing(id, &format!("folder {}", chance.below(40)), &tags);
        }
        if number.is_multiple_of(500) {
            edits.put_bin(id, Some(at));
        }
        if number % 25 == 24 || number + 1 == count {
            store.commit(std::mem::replace(&mut edits, Edits::by("bench")), moment()).unwrap();
        }
    }
}

fn facts(title: String, started_at: Timestamp, marks: String) -> Facts {
    Facts {
        state: TakeState::Ready,
        title,
        started_at,
        clock_quality: ClockQuality::Ntp,
        sample_rate: 48_000,
        duration_seconds: 3_600.0,
        channels: (1..=8).map(|number| (number, format!("Channel {number}"))).collect(),
        ports: (1..=8).map(|number| format!("system:capture_{number}")).collect(),
        gaps: (0, 0.0),
        marks: vec![marks],
        peak_dbfs: Some(-9.5),
        bytes: 4_000_000_000,
        is_gone: false,
        was_replaced: false,
    }
}

fn ms(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1_000.0
}

/// The value below which so many hundredths of the values are.
pub fn percentile(values: &mut [f64], hundredths: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * hundredths / 100).min(values.len() - 1)]
}

pub fn measure(sheet: &Sheet, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let built = ms(|| fill(folder.path(), Id::of_name("bench"), count, false));
    let file = folder.path().join("records.redb");
    let megabytes = std::fs::metadata(&file).unwrap().len() as f64 / 1e6;
    eprintln!("{count} recordings in {:.0} s, {megabytes:.0} MB", built / 1_000.0);
    forget_pages(&file);
    let output = Command::new(std::env::current_exe().unwrap()).arg(LOOK).arg(folder.path()).output().unwrap();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let value = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    let name = |name: &str| format!("store.{name}");
    sheet.print(Figure::cost(name("open_cold"), value("open_cold") / 1_000.0, "s").goal(2.0));
    sheet.print(Figure::cost(name("page_p95"), value("page_p95"), "ms").goal(20.0));
    for search in ["common", "rare", "two", "beginning", "filters"] {
        let figure = Figure::cost(name(&format!("search_{search}_p95")), value(&format!("{search}_p95")), "ms");
        sheet.print(figure.goal(50.0).peer("plain scan", Some(value(&format!("{search}_scan")))));
    }
    sheet.print(Figure::cost(name("search_worst"), value("worst"), "ms"));
    sheet.print(Figure::cost(name("facets_first"), value("facets"), "ms"));
    sheet.print(Figure::cost(name("memory_anonymous"), value("anonymous_mb"), "MB").goal(150.0));
    sheet.print(Figure::cost(name("act_p50"), value("act_p50"), "ms"));
    sheet.print(
        Figure::cost(name("act_p99"), value("act_p99"), "ms")
            .goal(20.0)
            .peer("write and fsync", Some(value("fsync_p99"))),
    );
    sheet.print(Figure::speed(name("acts_of_16_writers"), value("acts_16"), "1/s"));
    sheet.print(Figure::cost(name("bytes_per_recording"), megabytes * 1e6 / count as f64, "bytes"));
}

fn forget_pages(file: &Path) {
    let file = std::fs::File::open(file).unwrap();
    let all = std::num::NonZeroU64::new(file.metadata().unwrap().len());
    if let Err(error) = rustix::fs::fadvise(&file, 0, all, rustix::fs::Advice::DontNeed) {
        eprintln!("the file's pages stay in memory: {error}");
    }
}

/// Looks at a store and prints one object of numbers.
pub fn look(folder: &Path) {
    let mut seen = serde_json::Map::new();
    let mut store = None;
    let mut note = |name: &str, value: f64| drop(seen.insert(name.to_owned(), value.into()));
    note("open_cold", ms(|| store = Some(open(folder))));
    let store = store.unwrap();
    let mut query = Query { limit: 50, ..Query::default() };
    let mut pages = Vec::new();
    for _ in 0..200 {
        let mut page = None;
        pages.push(ms(|| page = Some(store.recordings(&query).unwrap())));
        query.cursor = page.and_then(|page| page.next);
    }
    note("page_p95", percentile(&mut pages, 95));
    let text = |text: String| Query { text: Some(text), limit: 50, ..Query::default() };
    let common = |number: usize| COMMON[number % 12].to_owned();
    let kinds: [(&str, &dyn Fn(usize) -> Query); 5] = [
        ("common", &|number| text(format!("{} ", common(number)))),
        ("rare", &|number| text(format!("{} ", rare(number * 97 % 20_000)))),
        ("two", &|number| text(format!("{} {} ", common(number), rare(number * 97 % 20_000)))),
        ("beginning", &|number| text(format!("{} {}", common(number), &rare(number * 97 % 20_000)[..2 + number % 4]))),
        ("filters", &|number| Query {
            tag: Some(common(number)),
            folder: Some(format!("folder {}", number % 40)),
            ..text(common(number + 1))
        }),
    ];
    let mut worst: f64 = 0.0;
    for (name, ask) in kinds {
        let mut times: Vec<f64> = (0..200).map(|number| ms(|| drop(store.recordings(&ask(number)).unwrap()))).collect();
        note(&format!("{name}_p95"), percentile(&mut times, 95));
        worst = worst.max(percentile(&mut times, 100));
        note(&format!("{name}_scan"), ms(|| scan(&store, &ask(7))));
    }
    note("worst", worst);
    note("facets", ms(|| drop(store.facets().unwrap())));
    note("anonymous_mb", anonymous_mb());
    acts(&store, folder, &mut note);
    println!("{}", serde_json::Value::Object(seen));
}

/// The peer: looks at one recording after the other, newest first, until a page is full or there are no more.
fn scan(store: &Store, query: &Query) {
    let wanted = query.text.clone().unwrap_or_default();
    let (mut page, mut found) = (Query { limit: 200, ..Query::default() }, 0);
    loop {
        let got = store.recordings(&page).unwrap();
        for item in &got.items {
            let said = &item.annotation;
            let text = format!("{} {} {} {}", item.facts.title, item.title(), item.facts.marks.join(" "), said.notes);
            found += usize::from(wanted.split_whitespace().all(|word| text.to_lowercase().contains(word)));
        }
        page.cursor = got.next;
        if found >= query.limit || page.cursor.is_none() {
            return;
        }
    }
}

fn act(store: &Store, number: usize) {
    let at = Timestamp::from_second(BEGIN).unwrap();
    let id = TakeId::new(at, [0; 10]);
    let mut edits = Edits::by("user:1");
    edits.put_title(id, &format!("Title {number}"));
    edits.put_audit(&Entry {
        id: Id::of_name(&format!("audit {number}")),
        at,
        clock_quality: ClockQuality::Ntp,
        actor: Actor { kind: "user".into(), id: "1".into(), name: "Ada".into() },
        address: "192.0.2.7".into(),
        action: "recording.edit".into(),
        permission: "recording:edit".into(),
        target: Object { kind: "recording".into(), id: id.to_string(), name: String::new() },
        outcome: Outcome::Succeeded,
        reason: String::new(),
        before: serde_json::Value::Null,
        after: serde_json::Value::Null,
        correlation_id: String::new(),
    });
    store.commit(edits, moment()).unwrap();
}

fn acts(store: &Store, folder: &Path, note: &mut impl FnMut(&str, f64)) {
    use std::io::Write;
    let mut times: Vec<f64> = (0..500).map(|number| ms(|| act(store, number))).collect();
    note("act_p50", median(&times).unwrap_or(f64::NAN));
    note("act_p99", percentile(&mut times, 99));
    let mut file = std::fs::File::create(folder.join("peer")).unwrap();
    let mut plain: Vec<f64> = (0..500)
        .map(|_| {
            ms(|| {
                file.write_all(&[7; 1_000]).unwrap();
                file.sync_data().unwrap();
            })
        })
        .collect();
    note("fsync_p99", percentile(&mut plain, 99));
    let took = ms(|| {
        std::thread::scope(|scope| {
            for writer in 0..16 {
                scope.spawn(move || (0..50).for_each(|number| act(store, 1_000 + writer * 50 + number)));
            }
        });
    });
    note("acts_16", 800.0 / took * 1_000.0);
}

fn anonymous_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().map_or(f64::NAN, |kb| kb / 1_000.0)
}
