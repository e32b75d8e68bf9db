//! Services over real records, takes on disk and a capture that is made up, on a clock that moves when a test says so.

mod bin;
mod child;
mod control;
mod ear;
mod fake;
mod neighbours;
mod recorder;
mod supervisor;
pub mod takes;
mod watch;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::{Live, Worker};
use crate::access::acts::Act;
use crate::access::{About, Access, Actor, Allowed, Ctx};
use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame, MeterStatus};
use crate::capture::status::{ChannelStatus, ClockStatus, DiskStatus, JackStatus, LoadStatus, Running, Status};
use crate::capture::take::DataDir;
use crate::domain::access::{ResourceKind, Room, RoomId, Target};
use crate::domain::take::TakeChannel;
use crate::domain::{ClockQuality, TakeId};
use crate::store::{Id, Moment, Store};
use crate::sys::clock::Now;

/// What services stand on.
struct Node {
    data: DataDir,
    access: Access,
    live: Live,
    now: Now,
}

impl Node {
    fn over(folder: &Path) -> Self {
        let now = Now { wall: Timestamp::from_second(1_800_000_100).unwrap(), mono_us: 5_000_000 };
        let moment = Moment { wall: now.wall, quality: ClockQuality::Ntp, mono_us: now.mono_us };
        let (store, _) = Store::open(&folder.join("records"), Id::of_name("node"), "boot", moment, || 1).unwrap();
        Self { data: DataDir::new(folder), access: Access::new(store), live: Live::new(), now }
    }

    fn store(&self) -> Store {
        self.access.store().clone()
    }

    fn moment(&self) -> Moment {
        Moment { wall: self.now.wall, quality: ClockQuality::Ntp, mono_us: self.now.mono_us }
    }

    fn pass(&mut self, milliseconds: i64) {
        self.now.mono_us += milliseconds as u64 * 1_000;
        self.now.wall += SignedDuration::from_millis(milliseconds);
    }

    fn allow<A: Act>(&self) -> Allowed<A> {
        let ctx = Ctx::new(self.moment(), [(self.now.mono_us % 251) as u8; 32], "192.0.2.1", "test");
        let room = Room { id: RoomId::new("room"), site: None };
        let target = Target::in_room(ResourceKind::Recording, "any", room);
        self.access.allow(&ctx, &Actor::service("test"), &target, About::default()).unwrap()
    }

    /// A round; a second passes first.
    fn step(&mut self, worker: &mut dyn Worker) -> String {
        self.pass(1_000);
        worker.step(self.now).unwrap().detail
    }

    fn acts(&self) -> Vec<(String, crate::store::audit::Outcome)> {
        let query = crate::store::audit::Query { limit: 50, ..Default::default() };
        self.store().audit(&query).unwrap().items.into_iter().map(|w| (w.entry.action, w.entry.outcome)).collect()
    }
}

fn channel(number: u16) -> TakeChannel {
    TakeChannel { number, port: String::new(), label: format!("Mic {number}") }
}

/// Capture records these, and has two channels.
fn status(recording: &[TakeId]) -> Status {
    let running = |id: &TakeId| Running { id: *id, title: String::new(), frames: 0, is_paused: false, starved: None };
    Status {
        at: Timestamp::from_second(1_800_000_100).unwrap(),
        version: "0".into(),
        jack: JackStatus { is_connected: true, is_freewheel: false, sample_rate: 48_000 },
        channels: [1, 2].map(|n| ChannelStatus { channel: channel(n), is_connected: true }).into(),
        recording: recording.iter().map(running).collect(),
        disk: DiskStatus {
            free_bytes: 1 << 40,
            hours_left: Some(300.0),
            behind_seconds: 0.0,
            sync_ms: 1,
            last_error: "an old one".into(),
        },
        clock: ClockStatus { quality: ClockQuality::Ntp, card_ppm: None },
        load: LoadStatus {
            callback_p50_us: None,
            callback_p999_us: None,
            ring_fill_max: 0.0,
            pre_roll_bytes: 0,
            xruns: 0,
        },
        lost_frames: Default::default(),
        trouble: Vec::new(),
        events: Vec::new(),
    }
}

/// Two channels with speech on them.
fn frame(recording: usize) -> MeterFrame {
    MeterFrame { recording, ..meter_frame(2) }
}

/// Somebody speaks on so many channels.
pub fn meter_frame(channels: u16) -> MeterFrame {
    let meter = |number: u16| ChannelMeter {
        number,
        label: format!("Mic {number}"),
        status: ChannelState::Signal,
        is_connected: true,
        peak_dbfs: Some(-20.0),
        true_peak_dbfs: Some(-20.0),
        rms_dbfs: Some(-30.0),
        clipped: 0,
        clipped_total: 0,
        digital_zero_seconds: 0.0,
        quiet_seconds: 0.0,
        noise_floor_dbfs: Some(-65.0),
        dc_offset: None,
        hum_hz: None,
        is_clipped_upstream: false,
        speech_score: Some(1.0),
        is_speech: true,
        snr_db: None,
    };
    MeterFrame {
        at: Timestamp::from_second(1_800_000_100).unwrap(),
        status: MeterStatus::Live,
        recording: 0,
        channels: (1..=channels).map(meter).collect(),
        trouble: Vec::new(),
        pairs: Vec::new(),
    }
}
