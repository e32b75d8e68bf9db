//! A browser that is looked into: what its pages show, and when. The script that drives it is that of the pages' tests
//! (`tests/browser`); here is its other end.

use crate::harness::Node;
use crate::harness::node::{EMAIL, PASSWORD};
use crate::many::unix_seconds;
use crate::process::wait_for;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/browser/pixels.mjs");
/// Readings of the page's clock, of which the quickest counts.
const READINGS: usize = 30;

/// The browser with its pages.
pub struct Pixels {
    child: Child,
    asks: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
}

/// What a page showed since it was asked last.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub seen: Vec<Note>,
    /// Milliseconds of each task that held the page for more than 50.
    pub tasks: Vec<f64>,
    pub bytes: Bytes,
    /// Bytes that its scripts use, once what nobody needs is gone.
    pub heap: f64,
    /// Of how many rooms the last message had levels.
    pub levels: usize,
}

/// That came over the wire, before TLS.
#[derive(Debug, Deserialize)]
pub struct Bytes {
    pub events: f64,
    pub levels: f64,
}

/// Something that became other words; times in milliseconds since 1970 by the page's clock.
#[derive(Debug, Clone, Deserialize)]
pub struct Note {
    pub card: String,
    pub text: String,
    pub heard: f64,
    pub dom: f64,
    pub frame: f64,
}

#[derive(Deserialize)]
struct Clock {
    clock: f64,
}

#[derive(Deserialize)]
struct Pages {
    pages: Vec<Page>,
}

#[derive(Deserialize)]
struct Ready {
    #[allow(dead_code)]
    ready: bool,
}

impl Pixels {
    /// Opens these pages of a node as its owner: `wall`, or the path of a stream of events.
    pub fn open(node: &Node, pages: &[&str]) -> Pixels {
        let mut command = Command::new("node");
        command.args([SCRIPT, &node.url, EMAIL, PASSWORD]).args(pages);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("there is a node that runs scripts");
        let (asks, told) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("a pipe")));
        let mut pixels = Pixels { child, asks, told };
        let Ready { .. } = pixels.line();
        pixels
    }

    fn line<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.told.read_line(&mut line).expect("the browser's script is there");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the browser's script says {line:?}: {error}"))
    }

    fn ask<T: DeserializeOwned>(&mut self, word: &str) -> T {
        let asks = self.asks.as_mut().expect("it is open");
        writeln!(asks, "{word}").and_then(|()| asks.flush()).expect("the browser's script listens");
        self.line()
    }

    /// What each page showed.
    pub fn seen(&mut self) -> Vec<Page> {
        self.ask::<Pages>("seen").pages
    }

    /// By how much the first page's clock is ahead of this machine's, milliseconds, and how wrong that may be.
    pub fn clock_ahead(&mut self) -> (f64, f64) {
        let mut reading = || {
            let before = unix_seconds() * 1e3;
            let Clock { clock } = self.ask("clock");
            let after = unix_seconds() * 1e3;
            (clock - (before + after) / 2.0, (after - before) / 2.0)
        };
        let readings = (0..READINGS).map(|_| reading());
        readings.min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((f64::NAN, f64::NAN))
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        self.asks = None;
        if wait_for(Duration::from_secs(10), || self.child.try_wait().ok().flatten()).is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
