//! Killed while it writes, a node has everything that it confirmed; and many writers share one durable step.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// The test that is the other process, if this names a folder.
const FOLDER: &str = "RAKKR_TEST_CRASH_FOLDER";

#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (store, _) = open(Path::new(&folder));
    let first = store.audit_head().unwrap().map_or(0, |head| head.seq);
    for number in u128::from(first).. {
        commit(&store, |edits| {
            edits.put_notes(take(1), &format!("{number} {}", "x".repeat(number as usize % 5_000)));
            edits.put_audit(&entry(number, "Ada", "recording.edit", 1));
        })
        .unwrap();
        println!("kept {number}");
    }
}

#[test]
fn nothing_that_was_confirmed_is_lost_by_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut confirmed = BTreeSet::new();
    for round in 0..8 {
        let name = "store::tests::crash::the_process_that_is_killed";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(FOLDER, folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let numbers = lines.by_ref().filter_map(|line| Some(line.split_once("kept ")?.1.parse::<u128>().unwrap()));
        confirmed.extend(numbers.take(3 + round * 5));
        child.kill().unwrap();
        child.wait().unwrap();
        confirmed.extend(lines.filter_map(|line| line.split_once("kept ")?.1.parse::<u128>().ok()));
    }
    let (store, opened) = open(folder.path());

    assert!(confirmed.len() > 100 && opened.alarms.is_empty(), "{} {:?}", confirmed.len(), opened.alarms);
    for number in confirmed {
        assert!(store.record("audit", Id(uuid::Uuid::from_u128(number))).unwrap().is_some(), "{number}");
    }
    store.records.verify().unwrap();
}

#[test]
fn sixteen_writers_share_their_durable_steps() {
    let (_folder, store) = fresh();
    let before = store.records.status().commits;
    std::thread::scope(|scope| {
        for writer in 0..16_u128 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..10 {
                    let entry = entry(writer * 100 + number, "Ada", "recording.edit", 1);
                    commit(&store, |edits| edits.put_audit(&entry)).unwrap();
                }
            });
        }
    });
    let commits = store.records.status().commits - before;
    assert_eq!(store.audit_head().unwrap().unwrap().seq, 161);
    assert!(commits < 120, "160 writes in {commits} steps");
}
