//! Capture as a child, played by a shell script.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Node;
use super::fake::Fake;
use crate::capture::take::DataDir;
use crate::service::Worker;
use crate::service::child::{Child, Keeper, Plan};

fn plan(home: &Path, script: &str) -> Plan {
    let program = home.join("rakkr");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Plan {
        program,
        data: DataDir::new(home.join("data")),
        jack_server: "none".into(),
        arguments: vec!["--connect-all".into()],
    }
}

/// Rounds until one says this; each waits for nothing but the process itself.
fn until(keeper: &mut Keeper, node: &Node, is_so: impl Fn(&Result<String, String>) -> bool) {
    for _ in 0..100_000 {
        let said = keeper.step(node.now).map(|next| next.detail);
        if is_so(&said) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it was never said");
}

#[test]
fn it_is_started_with_its_arguments_in_a_group_of_its_own_and_ends_when_told() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let child = Child::new();
    let script = "echo \"$*\" > \"$3/said.new\"; mv \"$3/said.new\" \"$3/said\"; exec sleep 600";
    let plan = plan(home.path(), script);
    let data = plan.data.clone();
    let mut keeper = Keeper::new(plan, child.clone());

    keeper.step(node.now).unwrap();
    let pid = child.pid().unwrap();
    until(&mut keeper, &node, |_| data.path().join("said").exists());

    let said = std::fs::read_to_string(data.path().join("said")).unwrap();
    assert!(said.starts_with("capture --data-dir") && said.contains("--jack-server none"), "{said}");
    assert!(said.trim_end().ends_with("--connect-all"), "{said}");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap();
    assert_eq!(group, pid.to_string());
    child.stop().unwrap();
    assert_eq!(child.pid(), None);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn why_it_ended_is_said_and_it_is_started_again() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let child = Child::new();
    let mut keeper = Keeper::new(plan(home.path(), "echo 'the disk is read-only' >&2; exit 2"), child);
    keeper.step(node.now).unwrap();
    until(&mut keeper, &node, |said| said.as_ref().is_err_and(|error| error.contains("the disk is read-only")));
    assert!(keeper.step(node.now).unwrap().detail.contains("was started"));
}

#[test]
fn one_that_runs_already_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let plan = plan(home.path(), "exit 1");
    std::fs::create_dir_all(plan.data.path()).unwrap();
    let _fake = Fake::start(&plan.data, |_| None);
    let child = Child::new();
    let detail = Keeper::new(plan, child.clone()).step(node.now).unwrap().detail;
    assert!(detail.contains("another process"), "{detail}");
    assert_eq!(child.pid(), None);
}

#[test]
fn a_long_log_is_put_aside() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::over(home.path());
    let child = Child::new();
    let plan = plan(home.path(), "exec sleep 600");
    let log = plan.data.path().join("capture.log");
    std::fs::create_dir_all(plan.data.path()).unwrap();
    std::fs::File::create(&log).unwrap().set_len((8 << 20) + 1).unwrap();
    Keeper::new(plan, child.clone()).step(node.now).unwrap();
    child.stop().unwrap();
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
    assert_eq!(std::fs::metadata(log.with_extension("log.1")).unwrap().len(), (8 << 20) + 1);
}
