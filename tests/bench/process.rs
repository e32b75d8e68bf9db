//! What a process costs, as the kernel counts it, and how to run and end one.
//!
//! CPU of a running process is the run time of all its threads (`/proc/PID/task/*/schedstat`, nanoseconds): exact, where
//! ticks would miss threads that run for microseconds. CPU of a finished one is what the kernel adds to its parent
//! (`cutime + cstime` of `/proc/self/stat`, ticks of 10 ms, scaled by the kernel to the true run time). What the server and
//! the kernel's own threads (write-back) do for a process is counted for nobody.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all living threads.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let mut ns = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread that has just ended is none of a steady state.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        ns += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(ns as f64 * 1e-9)
}

/// CPU seconds of the whole process, threads that have ended included: to 10 ms (`utime + stime` of `/proc/PID/stat`).
pub fn cpu_seconds_of_all(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold blanks: field 3 and on; utime and stime are 14 and 15 (proc(5)).
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// CPU seconds by thread name, largest first: where the time goes.
pub fn cpu_by_thread(pid: u32) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let ns: f64 = read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
        all.push((read("comm").trim().to_string(), ns * 1e-9));
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

/// Anonymous resident memory, MB of 10^6 bytes: the process's own, without libraries and JACK's shared memory.
pub fn rss_anon_mb(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0 / 1e6)
}

/// How long a command took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub cpu: f64,
    pub wall: f64,
}

/// Runs a command to its end. `None`, and a word on stderr, if it cannot be run or says no.
pub fn cost_of(command: &mut Command) -> Option<Cost> {
    let (cpu, began) = (children_cpu_seconds()?, Instant::now());
    let output = command.stdin(Stdio::null()).output();
    let wall = began.elapsed().as_secs_f64();
    let cost = Cost { cpu: children_cpu_seconds()? - cpu, wall };
    let why = match output {
        Ok(output) if output.status.success() => return Some(cost),
        Ok(output) => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => error.to_string(),
    };
    eprintln!("FAILED {:?}: {why}", command.get_program());
    None
}

fn children_cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold blanks: field 3 and on; cutime and cstime are 16 and 17 (proc(5)).
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Some((ticks(13)? + ticks(14)?) / TICKS_PER_SECOND)
}

/// Ends a process as a person would, and waits for it.
pub fn interrupt(child: &mut Child) {
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        kill_process(pid, Signal::INT).ok();
    }
    let ended = wait_for(Duration::from_secs(10), || child.try_wait().ok().flatten());
    if ended.is_none() {
        child.kill().ok();
        child.wait().ok();
    }
}

/// Asks until there is an answer, or the limit is reached.
pub fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    poll(limit, Duration::from_millis(10), &mut probe)
}

/// The same without a pause worth naming, for what is measured in milliseconds. The answer comes with its instant.
pub fn catch<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<(T, Instant)> {
    poll(limit, Duration::from_micros(200), &mut || probe().map(|answer| (answer, Instant::now())))
}

fn poll<T>(limit: Duration, pause: Duration, probe: &mut dyn FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        let answer = probe();
        if answer.is_some() || began.elapsed() > limit {
            return answer;
        }
        std::thread::park_timeout(pause);
    }
}

/// Bytes of all files below a folder.
pub fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { bytes_below(&entry.path()) } else { length(&entry.path()) }).sum()
}

pub fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}
