//! The bench: what Rakkr costs and how promptly it acts, beside its peers in the same run. Called by `tests/bench/run`.
//!
//! Lives here: groups of figures and their order. Figures go to stdout, one JSON line each, and nothing else does; progress,
//! failures and the machine's load go to stderr. A bench target, so that cargo builds it and the program optimised and
//! tells it where the program is. May assume what the harness does: Linux, root, the packages of `.ci/install.sh`.

// A bench measures how long real processes take, so it asks the machine's clocks.
#![allow(clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;

mod crowd;
mod exact;
mod figure;
mod files;
mod fleet;
mod many;
mod missed;
mod node;
mod peers;
mod pixels;
mod process;
mod prompt;
mod record;
mod signal;
mod store;
mod takes;
mod talk;
mod voices;
mod wall;

use figure::Sheet;
use std::process::ExitCode;

/// Groups in their order: the long one last.
const GROUPS: [&str; 12] =
    ["store", "node", "fleet", "missed", "many", "wall", "called", "record", "prompt", "files", "recover", "exact"];

fn main() -> ExitCode {
    // Cargo adds `--bench` to whatever it was given.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [word, folder] = words.as_slice()
        && word == store::LOOK
    {
        store::look(std::path::Path::new(folder));
        return ExitCode::SUCCESS;
    }
    if let [word, count, rest @ ..] = words.as_slice()
        && word == crowd::CROWD
    {
        crowd::run(count.parse().unwrap_or(0), rest.iter().any(|word| word == crowd::WITH_VOICES));
        return ExitCode::SUCCESS;
    }
    let is_quick = words.iter().any(|word| word == "--quick");
    let named: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--quick").collect();
    if let Some(unknown) = named.iter().find(|name| !GROUPS.contains(name)) {
        eprintln!("There is no group {unknown}: there are {}", GROUPS.join(", "));
        return ExitCode::from(2);
    }
    let sheet = Sheet::default();
    let mut broken = Vec::new();
    for group in GROUPS.iter().filter(|group| named.is_empty() || named.contains(group)) {
        eprintln!("== {group}, load {}", load_average());
        // A group that breaks takes its figures with it, not those of the others.
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(group, &sheet, is_quick)));
        broken.extend(ran.err().map(|_| *group));
    }
    let missed = sheet.missed();
    eprintln!("== load average at the end: {}", load_average());
    missed.iter().for_each(|line| eprintln!("goal missed: {line}"));
    broken.iter().for_each(|group| eprintln!("FAILED group {group}"));
    // A goal that is missed is a result; only what could not be measured is a failure.
    ExitCode::from(u8::from(!broken.is_empty()))
}

fn run(group: &str, sheet: &Sheet, is_quick: bool) {
    match group {
        "store" => store::measure(sheet, if is_quick { 10_000 } else { 100_000 }),
        "node" => node::measure(sheet, is_quick),
        "fleet" if is_quick => fleet::measure(sheet, fleet::Effort { killed: 5, cut_off: 6, acts: 3, still: 4 }),
        "fleet" => fleet::measure(sheet, fleet::Effort { killed: 100, cut_off: 200, acts: 10, still: 10 }),
        "missed" => missed::measure(sheet, if is_quick { 2 } else { 20 }),
        "many" if is_quick => many::measure(sheet, many::Effort { peers: 100, trials: 5, still: 10, cuts: 1 }),
        "many" => many::measure(sheet, many::Effort { peers: 499, trials: 25, still: 30, cuts: 3 }),
        "wall" if is_quick => wall::many_rooms(sheet, wall::Effort { peers: 60, seconds: 20 }),
        "wall" => wall::many_rooms(sheet, wall::Effort { peers: 499, seconds: 330 }),
        "called" => wall::called(sheet, if is_quick { 12 } else { 90 }),
        "record" if is_quick => record::measure(sheet, record::Effort { seconds: 4, rounds: 3 }),
        "record" => record::measure(sheet, record::Effort { seconds: 15, rounds: 3 }),
        "prompt" => prompt::measure(sheet, is_quick),
        "files" => files::measure(sheet, is_quick),
        "recover" => files::recover(sheet, is_quick),
        _ => exact::measure(sheet, if is_quick { 30 } else { 600 }),
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
