//! The engine's thread: empties the ring, asks the clock, answers. All decisions are [`Engine`]'s.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use super::Engine;
use super::listeners::{Heard, Listeners};
use super::messages::Message;
use super::meters::{MeterFrame, MeterStatus, PlacedHop};
use crate::capture::block::BlockPool;
use crate::capture::jack::Shared as JackShared;
use crate::capture::ring::Drain;
use crate::capture::status::{ChannelStatus, ClockStatus, DiskStatus, JackStatus, LoadStatus, Running, Status};
use crate::domain::ClockQuality;
use crate::sys::clock::{self, Now};

/// How often the ring is emptied: twenty meter frames a second, and a fortieth of what the ring holds.
const WAKE: Duration = Duration::from_millis(50);
/// While the server runs free the ring fills in no time.
const WAKE_FREEWHEEL: Duration = Duration::from_micros(200);
/// The most meter subscribers.
const SUBSCRIBERS_MAX: usize = 64;
/// How often clock quality and disk are looked at.
const SLOW_US: u64 = 1_000_000;
/// Meters say "no data" when nothing was measured for this long.
const NO_DATA_US: u64 = 200_000;

/// The thread's state around the engine.
pub struct EngineThread {
    engine: Engine,
    jack: Arc<JackShared>,
    drain: Option<(Drain, i64)>,
    pool: BlockPool,
    subscribers: Vec<SyncSender<Arc<str>>>,
    listeners: Listeners,
    shown: u64,
    shown_us: u64,
    ring_fill_max: f32,
    /// When what changes slowly is looked at again.
    slow_us: u64,
    quality: ClockQuality,
}

impl EngineThread {
    /// Around an engine.
    pub fn new(engine: Engine, jack: Arc<JackShared>) -> Self {
        Self {
            engine,
            jack,
            drain: None,
            pool: BlockPool::default(),
            subscribers: Vec::new(),
            listeners: Listeners::default(),
            shown: 0,
            shown_us: 0,
            ring_fill_max: 0.0,
            slow_us: 0,
            quality: ClockQuality::Unset,
        }
    }

    /// Runs until told to quit.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let mut next_wake_us = clock::mono_us();
        loop {
            if clock::mono_us() >= next_wake_us {
                // Before any message: clients that ask without end must not keep the ring from being emptied.
                self.wake();
                let wake = if self.engine.is_freewheel() { WAKE_FREEWHEEL } else { WAKE };
                next_wake_us = clock::mono_us().max(next_wake_us) + wake.as_micros() as u64;
                self.jack.engine_beats.fetch_add(1, Ordering::Relaxed);
            }
            match messages.recv_timeout(Duration::from_micros(next_wake_us.saturating_sub(clock::mono_us()))) {
                Ok(Message::Quit) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.wake();
    }

    fn wake(&mut self) {
        self.empty_ring(true);
        let now = clock::now();
        if now.mono_us >= self.slow_us {
            self.slow_us = now.mono_us + SLOW_US;
            self.quality = clock::quality(now.wall);
            self.engine.watch_disk(now);
        }
        self.engine.tick(now, self.quality);
        self.show_meters(now);
    }

    /// Takes out what is in the ring. In freewheel the callback waits while the ring is full, and the server with it: so
    /// the engine may wait for the disk there, unless what is in the ring was asked for before now.
    fn empty_ring(&mut self, may_wait: bool) {
        let Some((drain, offset)) = &mut self.drain else { return };
        self.ring_fill_max = self.ring_fill_max.max(drain.fill());
        loop {
            if may_wait && self.engine.is_freewheel() && self.engine.is_behind() {
                return;
            }
            let Some(batch) = drain.next(&mut self.pool) else { return };
            let block = self.engine.batch(batch, *offset, clock::now());
            if let Some((block, (rate, channels))) = block.zip(self.engine.source()) {
                let source = (rate, channels.len());
                let private = self.engine.off_record(block.first);
                self.listeners.give(source, &Heard { block, private });
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Connected { rate, channels, drain, jack_minus_mono_us } => {
                let now = clock::now();
                self.drain = Some((drain, jack_minus_mono_us));
                self.engine.connected(rate, channels, now, clock::quality(now.wall));
            }
            Message::Disconnected => {
                self.empty_ring(false);
                self.drain = None;
                self.engine.disconnected(clock::now());
            }
            Message::Ports(channels) => self.engine.ports(channels),
            Message::Orders(orders) => {
                self.empty_ring(false);
                self.engine.set_orders(orders, clock::now());
            }
            Message::Adopt(unfinished) => self.engine.adopt(unfinished),
            Message::Stop { id, mono_us, answer } => {
                self.empty_ring(false);
                let _ = answer.send(self.engine.stop(id, mono_us));
            }
            Message::Edge { id, mono_us, edge, answer } => {
                self.empty_ring(false);
                let _ = answer.send(self.engine.edge(id, mono_us, edge));
            }
            Message::Status(answer) => drop(answer.send(self.status())),
            Message::Meters(subscriber) => {
                if self.subscribers.len() < SUBSCRIBERS_MAX {
                    self.subscribers.push(subscriber);
                }
            }
            Message::Listen { channels, answer } => {
                let listening = match self.engine.source() {
                    Some((rate, all)) => self.listeners.add(rate, all, &channels),
                    None => Err("there is no audio yet: the audio server has not been there".into()),
                };
                let _ = answer.send(listening);
            }
            Message::Quit => {}
        }
    }

    /// Sends the meter frames of what was measured since the last time; after a while of nothing, says that there is none.
    fn show_meters(&mut self, now: Now) {
        if self.subscribers.is_empty() {
            self.shown = self.engine.meters.newest().map_or(0, |hop| hop.first + 1);
            return;
        }
        let fresh: Vec<PlacedHop> = self.engine.meters.since(self.shown).cloned().collect();
        for hop in &fresh {
            self.shown = hop.first + 1;
            self.shown_us = now.mono_us;
            let frame = self.engine.meter_frame(Some(hop), now, &self.jack);
            self.send(&frame);
        }
        if fresh.is_empty() && now.mono_us > self.shown_us + NO_DATA_US {
            let frame = self.engine.meter_frame(None, now, &self.jack);
            self.send(&frame);
        }
    }

    fn send(&mut self, frame: &MeterFrame) {
        let Ok(json) = serde_json::to_string(frame) else { return };
        let line: Arc<str> = format!("{json}\n").into();
        self.subscribers.retain(|subscriber| match subscriber.try_send(line.clone()) {
            Ok(()) | Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Disconnected(_)) => false,
        });
    }

    fn status(&self) -> Status {
        let mut status = self.engine.status(clock::now(), &self.jack);
        status.load.ring_fill_max = self.ring_fill_max;
        status
    }
}

impl Engine {
    fn meter_frame(&self, hop: Option<&PlacedHop>, now: Now, jack: &JackShared) -> MeterFrame {
        let channels = self.stream.as_ref().map_or(&[][..], |stream| &stream.channels);
        let connected = jack.connected();
        let end = hop.map(|hop| hop.first + u64::from(hop.hop.frames));
        MeterFrame {
            at: end.zip(self.stream.as_ref()).map_or(now.wall, |(end, stream)| stream.placement.wall_at(end)),
            status: match hop {
                // A server without any source delivers zeros; nobody may take them for a quiet room.
                Some(_) if (0..channels.len()).any(|index| connected.contains(index)) => MeterStatus::Live,
                Some(_) => MeterStatus::NoData,
                None if self.meters.is_measuring() || self.stream.is_none() => MeterStatus::NoData,
                None => MeterStatus::NotMeasured,
            },
            recording: self.takes.len(),
            channels: self.meters.channels(channels, hop.map(|hop| &*hop.hop), |index| connected.contains(index)),
            pairs: self.meters.pairs(hop.is_some()),
            trouble: self.trouble(),
        }
    }

    fn status(&self, now: Now, jack: &JackShared) -> Status {
        let tape = self.tape.shared.status();
        let stream = self.stream.as_ref();
        let connected = jack.connected();
        let channels = stream.map_or(&[][..], |stream| &stream.channels).iter().enumerate();
        let rate = stream.map_or(0, |stream| stream.rate);
        Status {
            at: now.wall,
            version: env!("CARGO_PKG_VERSION").into(),
            jack: JackStatus {
                is_connected: stream.is_some_and(|stream| stream.is_connected),
                is_freewheel: self.is_freewheel(),
                sample_rate: rate,
            },
            channels: channels
                .map(|(index, c)| ChannelStatus { channel: c.clone(), is_connected: connected.contains(index) })
                .collect(),
            recording: self.takes.values().map(|take| running(take, &tape.starved)).collect(),
            disk: DiskStatus {
                free_bytes: tape.free_bytes,
                hours_left: self.hours_left(),
                behind_seconds: stream.map_or(0.0, |s| self.tape.frames_behind(s.next) as f64 / f64::from(s.rate)),
                sync_ms: tape.sync_ms,
                last_error: tape.last_error,
            },
            clock: ClockStatus {
                quality: clock::quality(now.wall),
                card_ppm: stream.and_then(|stream| stream.placement.card_ppm()),
            },
            load: LoadStatus {
                callback_p50_us: jack.load.percentile_us(0.5),
                callback_p999_us: jack.load.percentile_us(0.999),
                ring_fill_max: 0.0,
                pre_roll_bytes: self.history.bytes(),
                xruns: jack.xruns.load(Ordering::Relaxed),
            },
            lost_frames: self.lost.iter().map(|(cause, &frames)| (cause.describe().to_owned(), frames)).collect(),
            trouble: self.trouble(),
            events: self.events.iter().cloned().collect(),
        }
    }
}

fn running(
    take: &super::RunningTake,
    starved: &std::collections::BTreeMap<crate::domain::TakeId, crate::domain::GapCause>,
) -> Running {
    Running {
        id: take.id(),
        title: take.order.title.clone(),
        frames: take.frames(),
        is_paused: take.is_paused(),
        starved: starved.get(&take.id()).map(|cause| cause.describe().to_owned()),
    }
}
