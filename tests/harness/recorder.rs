//! The smallest honest recorder: it proves feed and checker without the product. Keeps everything in memory, notices gaps
//! by JACK's frame time, fills them with silence and declares them.

use super::feed::open_client;
use super::server::JackServer;
use super::take::{Channel, Gap, Segment, Take};
use super::wav::write_wav;
use jack::{AsyncClient, AudioIn, Client, Control, Port, ProcessHandler, ProcessScope};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A recording client named `recorder`, connected to the feed.
pub struct Recorder {
    client: AsyncClient<(), Tape>,
    is_over: Arc<AtomicBool>,
    hangs_ms: Arc<AtomicU64>,
    rate: u32,
}

struct Tape {
    ports: Vec<Port<AudioIn>>,
    planar: Vec<Vec<f32>>,
    gaps: Vec<Gap>,
    expected: Option<u32>,
    limit: usize,
    is_over: Arc<AtomicBool>,
    hangs_ms: Arc<AtomicU64>,
}

impl Recorder {
    /// Records the feed's ports; memory for `limit` frames is set aside at once.
    pub fn start(server: &JackServer, channels: u32, limit: u64) -> Recorder {
        let client = open_client("recorder", &server.name);
        let port = |number| client.register_port(&format!("in_{number}"), AudioIn::default()).expect("a port");
        let ports: Vec<_> = (1..=channels).map(port).collect();
        let planar = ports.iter().map(|_| Vec::with_capacity(limit as usize)).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let hangs_ms = Arc::new(AtomicU64::new(0));
        let gaps = Vec::with_capacity(1024);
        let tape = Tape {
            ports,
            planar,
            gaps,
            expected: None,
            limit: limit as usize,
            is_over: is_over.clone(),
            hangs_ms: hangs_ms.clone(),
        };
        let client = client.activate_async((), tape).expect("the recorder starts");
        for number in 1..=channels {
            let (from, to) = (format!("feed:out_{number}"), format!("recorder:in_{number}"));
            client.as_client().connect_ports_by_name(&from, &to).expect("the feed is there");
        }
        Recorder { client, is_over, hangs_ms, rate: server.options.rate }
    }

    /// Makes the next callback late by so much: frames are lost for real.
    pub fn hang(&self, length: Duration) {
        self.hangs_ms.store(length.as_millis() as u64, Ordering::Release);
    }

    /// Ends the recording, writes `folder/0001.wav` and says what it holds. Ports were connected while it ran, so the
    /// leading silence is cut off.
    pub fn finish(self, folder: &Path) -> Take {
        // JACK takes the connections away before the last cycles: what those hear is no longer the feed.
        self.is_over.store(true, Ordering::Release);
        let (_client, (), mut tape) = self.client.deactivate().expect("the recorder ends");
        let lead = tape.planar.iter().filter_map(|channel| channel.iter().position(|s| *s != 0.0)).max().unwrap_or(0);
        tape.planar.iter_mut().for_each(|channel| drop(channel.drain(..lead)));
        tape.gaps.retain(|gap| gap.first_frame >= lead as u64);
        tape.gaps.iter_mut().for_each(|gap| gap.first_frame -= lead as u64);
        write_wav(&folder.join("0001.wav"), self.rate, &tape.planar).expect("room for a small file");
        let frames = tape.planar[0].len() as u64;
        let channels = (1..=tape.ports.len() as u32).map(|number| Channel { number }).collect();
        let segments = vec![Segment { file: "0001.wav".into(), frames, ..Segment::default() }];
        Take { frames, channels, segments, gaps: tape.gaps, sample_rate: self.rate, ..Take::default() }
    }
}

impl ProcessHandler for Tape {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let (now, at) = (scope.last_frame_time(), self.planar[0].len());
        // After an xrun JACK may name a period's time twice: nothing is missing then.
        let missing = self.expected.map_or(0, |expected| (now.wrapping_sub(expected) as i32).max(0)) as usize;
        if self.is_over.load(Ordering::Acquire) || at + missing + scope.n_frames() as usize > self.limit {
            return Control::Continue;
        }
        if missing > 0 {
            self.planar.iter_mut().for_each(|channel| channel.resize(at + missing, 0.0));
            let gap = Gap { first_frame: at as u64, frames: missing as u64, cause: "xrun".into(), channels: None };
            self.gaps.push(gap);
        }
        for (channel, port) in self.planar.iter_mut().zip(&self.ports) {
            channel.extend_from_slice(port.as_slice(scope));
        }
        // A late callback is the fault itself, not a way to wait.
        std::thread::sleep(Duration::from_millis(self.hangs_ms.swap(0, Ordering::AcqRel)));
        self.expected = Some(now.wrapping_add(scope.n_frames()));
        Control::Continue
    }
}
