//! A room of four channels that is observed twenty times a second on a clock of its own, and what may happen in it.

mod detection;
mod garbage;
mod life;
mod ordinary;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::ClockQuality;

/// Between two observations: as the meters come.
const STEP_US: u64 = 50_000;

/// A watched room in which all is well until a test changes `seen`.
struct Room {
    watch: Watch,
    seen: Observation,
    now_us: u64,
    step_us: u64,
}

impl Room {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        let mut room = Self { watch: Watch::new(policy, []), seen: well(), now_us: 1_000_000_000, step_us: STEP_US };
        assert_eq!(room.run(1.0), []);
        room
    }

    fn moment(&self) -> Moment {
        Moment { mono_us: self.now_us, wall: wall(self.now_us) }
    }

    /// Observes once, a step later.
    fn look(&mut self) -> Vec<Change> {
        self.now_us += self.step_us;
        let step_s = self.step_us as f64 / 1e6;
        for signal in self.seen.capture.iter_mut().flat_map(|c| &mut c.channels).filter_map(|c| c.signal.as_mut()) {
            if signal.digital_zero_s > 0.0 {
                signal.digital_zero_s += step_s;
            }
        }
        self.watch.observe(self.moment(), &self.seen)
    }

    /// Observes for so long; every change with the seconds it took.
    fn run(&mut self, seconds: f64) -> Vec<(f64, Change)> {
        let start_us = self.now_us;
        let end_us = start_us + (seconds * 1e6) as u64;
        let mut changes = Vec::new();
        while self.now_us < end_us {
            let fresh = self.look();
            let at_s = (self.now_us - start_us) as f64 / 1e6;
            changes.extend(fresh.into_iter().map(|change| (at_s, change)));
        }
        changes
    }

    /// What opened and closed within so long; updates left out.
    fn told(&mut self, seconds: f64) -> Vec<String> {
        said(&self.run(seconds))
    }

    fn capture(&mut self) -> &mut CaptureFacts {
        self.seen.capture.as_mut().unwrap()
    }

    fn channel(&mut self, number: u16) -> &mut ChannelFacts {
        self.capture().channels.iter_mut().find(|channel| channel.number == number).unwrap()
    }

    fn signal(&mut self, number: u16) -> &mut Signal {
        self.channel(number).signal.as_mut().unwrap()
    }

    /// The channel goes digitally silent with the next observation.
    fn kill(&mut self, number: u16) {
        self.signal(number).digital_zero_s = 1e-9;
    }

    fn revive(&mut self, number: u16) {
        self.signal(number).digital_zero_s = 0.0;
    }
}

/// `+dead_path Channel(1)` when it opened, `-… Recovered` when it closed.
fn said(changes: &[(f64, Change)]) -> Vec<String> {
    let mut said = Vec::new();
    for (_, change) in changes {
        let Incident { kind, target, closed, .. } = change.incident();
        match change {
            Change::Opened(_) => said.push(format!("+{kind} {target:?}")),
            Change::Updated(_) => {}
            Change::Closed(_) => said.push(format!("-{kind} {target:?} {:?}", closed.unwrap().reason)),
        }
    }
    said
}

fn wall(now_us: u64) -> Timestamp {
    "2026-05-04T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_micros(now_us as i64)
}

fn speech() -> Signal {
    Signal {
        rms_dbfs: -28.0,
        noise_floor_dbfs: Some(-62.0),
        is_speech: true,
        digital_zero_s: 0.0,
        clipped_total: 0,
        is_clipped_upstream: false,
        dc_offset: Some(0.001),
        hum_hz: None,
    }
}

fn channel(number: u16, role: Role, expects: Expects) -> ChannelFacts {
    ChannelFacts { number, role, expects, is_connected: true, signal: Some(speech()) }
}

/// A lectern (1), a mix (2), a computer (3), a spare (4); 1 and 2 are compared.
fn well() -> Observation {
    Observation {
        capture: Some(CaptureFacts {
            is_jack_connected: true,
            frames: Frames::Arriving,
            lost_frames: BTreeMap::new(),
            xruns: 0,
            channels: vec![
                channel(1, Role::Mic, Expects::Speech),
                channel(2, Role::Mix, Expects::Speech),
                channel(3, Role::Feed, Expects::Speech),
                channel(4, Role::Spare, Expects::Speech),
            ],
            pairs: vec![PairFacts { channels: (1, 2), inverted_s: 0.0, duplicate_s: 0.0 }],
        }),
        disk: Some(DiskFacts { state: DiskState::Writing, hours_left: Some(300.0) }),
        clock: ClockFacts { quality: ClockQuality::Ntp, steps: 0, last_step_s: 0.0 },
        failed_renders: BTreeSet::new(),
    }
}
