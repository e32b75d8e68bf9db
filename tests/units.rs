//! The systemd units say what systemd understands, and leave little open.
//!
//! Asked of `systemd-analyze` itself, offline: neither a running systemd nor the installed programs are needed, so the
//! commands of the units are replaced by `/bin/true` in a copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tenths of systemd's exposure level (0 closed, 10 open). Measured with systemd 252: jackd 0.9, capture 1.1; the node,
/// which alone has a network, 1.9.
fn exposure_max(unit: &Path) -> u32 {
    if is_node(unit) { 19 } else { 12 }
}

fn is_node(unit: &Path) -> bool {
    unit.file_name().is_some_and(|name| name == "rakkr.service")
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let copies = tempfile::tempdir().unwrap();
    let units = copy_units(copies.path(), |text| text);

    let complaints = verify(&units);

    assert_eq!(complaints, "");
}

#[test]
fn a_misspelt_line_would_be_noticed() {
    let copies = tempfile::tempdir().unwrap();
    let units = copy_units(copies.path(), |text| text.replace("WatchdogSec=", "WatchDog="));

    let complaints = verify(&units);

    assert!(complaints.contains("Unknown key name 'WatchDog'") || complaints.contains("Unknown key 'WatchDog'"));
}

#[test]
fn the_units_leave_little_open() {
    for unit in units() {
        let output = security(&unit);

        let (table, complaints) = texts(&output);
        assert!(
            output.status.success(),
            "{unit:?} is more exposed than {}/10 tenths:\n{table}{complaints}",
            exposure_max(&unit)
        );
    }
}

#[test]
fn a_unit_that_opened_up_would_be_noticed() {
    let copies = tempfile::tempdir().unwrap();
    let closed = |line: &&str| !line.starts_with("RestrictAddressFamilies=") && !line.starts_with("SystemCallFilter=");
    let units = copy_units(copies.path(), |text| text.lines().filter(closed).collect::<Vec<_>>().join("\n"));

    assert!(units.iter().all(|unit| !security(unit).status.success()));
}

#[test]
fn what_would_silence_the_tape_is_not_restricted() {
    for unit in units().into_iter().filter(|unit| !is_node(unit)) {
        let text = fs::read_to_string(&unit).unwrap();
        for line in ["RestrictRealtime=yes", "PrivateIPC=yes", "RemoveIPC=yes", "StartLimitBurst="] {
            assert!(!text.contains(line), "{unit:?} has {line}");
        }
        for line in ["LimitRTPRIO=95", "LimitMEMLOCK=infinity", "Restart=always", "StartLimitIntervalSec=0"] {
            assert!(text.contains(line), "{unit:?} lacks {line}");
        }
    }
}

fn units() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let mut units: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    units.retain(|path| path.extension().is_some_and(|ending| ending == "service"));
    units.sort();
    assert!(units.len() >= 3, "no units in {folder:?}");
    units
}

/// Copies the units with commands that exist everywhere, changed by `edit`.
fn copy_units(to: &Path, edit: impl Fn(String) -> String) -> Vec<PathBuf> {
    let mut copies = Vec::new();
    for unit in units() {
        let copy = to.join(unit.file_name().unwrap());
        let with_true = |line: &str| match line.strip_prefix("ExecStart=").and_then(|command| command.split_once(' ')) {
            Some((_, arguments)) => format!("ExecStart=/bin/true {arguments}\n"),
            None => format!("{line}\n"),
        };
        let text = fs::read_to_string(&unit).unwrap().lines().map(with_true).collect();
        fs::write(&copy, edit(text)).unwrap();
        copies.push(copy);
    }
    copies
}

/// What `systemd-analyze verify` has against the units; it says so in text even where it exits with success.
fn verify(units: &[PathBuf]) -> String {
    let output = systemd_analyze(&["verify", "--man=no"], units);
    let complaints = texts(&output).1;
    if complaints.is_empty() && !output.status.success() { format!("{}", output.status) } else { complaints }
}

fn security(unit: &Path) -> Output {
    let threshold = format!("--threshold={}", exposure_max(unit));
    systemd_analyze(&["security", "--offline=true", "--no-pager", &threshold], &[unit.to_path_buf()])
}

fn systemd_analyze(arguments: &[&str], units: &[PathBuf]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).args(units).env("LC_ALL", "C.UTF-8");
    command
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze: {error}; `tests/run` installs it (package systemd)"))
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}
