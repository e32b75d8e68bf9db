//! A desk to try the engine at: a source whose every sample says which it is, clocks that move by hand, and what the tape
//! was told, sorted by take.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};

use jiff::{SignedDuration, Timestamp};

use crate::capture::block::Block;
use crate::capture::engine::{Engine, Outcome, Settings};
use crate::capture::ring::{Batch, Period};
use crate::capture::tape::{Op, Tape};
use crate::domain::order::StoredAs;
use crate::domain::take::{CloseReason, Opened, TakeChannel};
use crate::domain::{ChannelSet, Channels, ClockQuality, Fact, Gap, Order, OrderSet, TakeId};
use crate::sys::clock::Now;

/// A frame is a millisecond.
pub const RATE: u32 = 1_000;
/// Seconds of pre-roll the engine keeps.
pub const PRE_ROLL: u64 = 2;
/// Wall time when the machine was started.
pub const BOOT: i64 = 1_800_000_000;
pub const THIS_BOOT: &str = "this boot";

/// The sample of channel `index` at source frame `frame`: exact in 24 bits, up to 2^20 frames of four channels.
pub fn tag(index: usize, frame: u64) -> f32 {
    (frame * 4 + index as u64 + 1) as f32 / 8_388_608.0
}

pub struct Desk {
    pub engine: Engine,
    pub ops: Receiver<Op>,
    pub outcomes: Receiver<Outcome>,
    /// Monotonic clock.
    pub mono_us: u64,
    /// How far the wall clock was stepped.
    pub stepped: SignedDuration,
    /// The source's frame that comes next.
    pub source: u64,
    /// JACK's counter there.
    pub jack_frame: u32,
    pub lost_frames: u64,
    pub connected: ChannelSet,
    pub is_freewheel: bool,
    /// Sources sound although they are not said to be there.
    pub sounds_unsaid: bool,
    /// Sources are silent before this frame although they are said to be there.
    pub silent_until: u64,
    pub channels: usize,
    pub orders: OrderSet,
    pub told: BTreeMap<TakeId, Told>,
    ids: u8,
}

/// What the tape was told of one take.
#[derive(Debug, Default)]
pub struct Told {
    pub opened: Option<Opened>,
    pub is_adopted: bool,
    /// Runs of audio: the take's first frame, and the samples of each of its channels.
    pub audio: Vec<(u64, Vec<Vec<f32>>)>,
    pub gaps: Vec<Gap>,
    pub facts: Vec<Fact>,
    pub hops: usize,
    pub closed: Option<(u64, CloseReason)>,
}

impl Desk {
    /// A server with `channels` channels has just connected, an hour after the machine was started.
    pub fn new(channels: usize) -> Self {
        let (mut desk, connected) = (Self::silent(channels), channels);
        desk.connect(RATE, connected);
        desk
    }

    /// No server yet.
    pub fn silent(channels: usize) -> Self {
        Self::with(channels, false)
    }

    pub fn with(channels: usize, measures: bool) -> Self {
        let (tape, ops) = Tape::detached();
        let (tell, outcomes) = channel();
        let settings = Settings {
            pre_roll_seconds: PRE_ROLL as f64,
            segment_seconds: 3.0,
            measures,
            pairs: Vec::new(),
            time_zone: "UTC".into(),
            host: "desk".into(),
            boot_id: THIS_BOOT.into(),
        };
        Self {
            engine: Engine::new(settings, tape, tell),
            ops,
            outcomes,
            mono_us: 3_600_000_000,
            stepped: SignedDuration::ZERO,
            source: 0,
            jack_frame: u32::MAX - 700, // It wraps in the first second of every test.
            lost_frames: 0,
            connected: ChannelSet::first(channels),
            is_freewheel: false,
            sounds_unsaid: false,
            silent_until: 0,
            channels,
            orders: OrderSet::default(),
            told: BTreeMap::new(),
            ids: 0,
        }
    }

    pub fn now(&self) -> Now {
        let wall = Timestamp::from_second(BOOT).unwrap() + SignedDuration::from_micros(self.mono_us as i64);
        Now { wall: wall + self.stepped, mono_us: self.mono_us }
    }

    pub fn wall(&self) -> Timestamp {
        self.now().wall
    }

    pub fn connect(&mut self, rate: u32, channels: usize) {
        let channel = |number| TakeChannel { number, port: format!("mic:{number}"), label: format!("Mic {number}") };
        let all = (1..=channels as u16).map(channel).collect();
        self.channels = channels;
        self.engine.connected(rate, all, self.now(), ClockQuality::Ntp);
    }

    /// Time in which no frame comes.
    pub fn silence(&mut self, ms: u64) {
        self.mono_us += ms * 1_000;
        self.source += ms;
        self.engine.tick(self.now(), ClockQuality::Ntp);
    }

    /// The server counts frames that never come.
    pub fn lose(&mut self, ms: u32) {
        self.jack_frame = self.jack_frame.wrapping_add(ms);
        self.mono_us += u64::from(ms) * 1_000;
        self.source += u64::from(ms);
    }

    /// One block of `frames` frames, heard when its last frame has passed.
    pub fn block(&mut self, frames: u64) {
        // As JACK has it: a port without a source is silent.
        let sounds = |index| self.sounds_unsaid || self.connected.contains(index);
        let sample = |index, frame| if sounds(index) && frame >= self.silent_until { tag(index, frame) } else { 0.0 };
        let channel = |index| (self.source..self.source + frames).map(|frame| sample(index, frame)).collect();
        let planar: Vec<Vec<f32>> = (0..self.channels).map(channel).collect();
        let slices: Vec<&[f32]> = planar.iter().map(|channel| &channel[..]).collect();
        let head = Period {
            frame_time: self.jack_frame,
            usecs: self.mono_us,
            frames: frames as u32,
            connected: self.connected,
            lost_frames: self.lost_frames,
            is_freewheel: self.is_freewheel,
        };
        self.jack_frame = self.jack_frame.wrapping_add(frames as u32);
        self.source += frames;
        if !self.is_freewheel {
            self.mono_us += frames * 1_000;
        }
        let block = Block::of(0, self.connected, &slices);
        self.engine.batch(Batch { head, block }, 0, self.now());
        self.engine.tick(self.now(), ClockQuality::Ntp);
    }

    /// Blocks of 50 ms.
    pub fn play(&mut self, ms: u64) {
        for begun in (0..ms).step_by(50) {
            self.block(50.min(ms - begun));
        }
    }

    /// An order that begins now and ends when it is stopped, not yet in the set.
    pub fn order(&mut self) -> Order {
        self.ids += 1;
        Order {
            id: TakeId::new(Timestamp::from_second(BOOT).unwrap(), [self.ids; 10]),
            title: String::new(),
            channels: Channels::All,
            start: self.wall(),
            stop: None,
            length_seconds: None,
            pre_roll_seconds: 0.0,
            stored_as: StoredAs::Pcm24,
        }
    }

    /// Puts an order into the set, or a changed one in its place.
    pub fn say(&mut self, order: Order) -> TakeId {
        let id = order.id;
        self.orders.insert(order).unwrap();
        self.engine.set_orders(self.orders.clone(), self.now());
        id
    }

    /// Records from now on.
    pub fn start(&mut self) -> TakeId {
        let order = self.order();
        self.say(order)
    }

    /// Takes an order out of the set.
    pub fn forget(&mut self, id: TakeId) {
        self.orders.remove(id);
        self.engine.set_orders(self.orders.clone(), self.now());
    }

    /// Stops now.
    pub fn stop(&mut self, id: TakeId) -> bool {
        self.engine.stop(id, self.mono_us)
    }

    /// What the tape has been told of a take.
    pub fn told(&mut self, id: TakeId) -> &Told {
        self.listen();
        self.told.entry(id).or_default()
    }

    pub fn events(&self) -> String {
        self.engine.events.iter().map(|event| event.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn listen(&mut self) {
        for op in self.ops.try_iter() {
            match op {
                Op::Open { opened } => {
                    let id = opened.id;
                    self.told.entry(id).or_default().opened = Some(*opened);
                }
                Op::Adopt { id } => self.told.entry(id).or_default().is_adopted = true,
                Op::Audio { id, position, block, from, frames } => {
                    let told = self.told.entry(id).or_default();
                    let count = told.opened.as_ref().map_or(self.channels, |opened| opened.channels.len());
                    let numbers: Vec<usize> = match &told.opened {
                        Some(opened) => opened.channels.iter().map(|c| usize::from(c.number) - 1).collect(),
                        None => (0..count).collect(),
                    };
                    told.add(
                        position.frame,
                        &numbers.iter().map(|&c| &block.channel(c)[from..from + frames]).collect::<Vec<_>>(),
                    );
                }
                Op::Measured { id, .. } => self.told.entry(id).or_default().hops += 1,
                Op::Gap { id, gap } => self.told.entry(id).or_default().gaps.push(gap),
                Op::Note { id, fact } => self.told.entry(id).or_default().facts.push(fact),
                Op::Close { id, frames, reason } => {
                    let before = self.told.entry(id).or_default().closed.replace((frames, reason));
                    assert_eq!(before, None, "a take is closed once");
                }
                Op::Hashed { .. } | Op::Quit => {}
            }
        }
    }
}

impl Told {
    fn add(&mut self, frame: u64, channels: &[&[f32]]) {
        match self.audio.last_mut() {
            Some((first, run)) if *first + run[0].len() as u64 == frame => {
                run.iter_mut().zip(channels).for_each(|(run, new)| run.extend_from_slice(new));
            }
            _ => self.audio.push((frame, channels.iter().map(|channel| channel.to_vec()).collect())),
        }
    }

    /// Runs of audio as the take's frames, and the source frame that stands at the take's frame 0. Every sample of every
    /// run must be the one that belongs there.
    #[track_caller]
    pub fn runs(&self, indices: &[usize]) -> (Vec<(u64, u64)>, i64) {
        let source_at = |frame: u64, sample: f32| (sample * 8_388_608.0) as i64 / 4 - frame as i64;
        let zero = self.audio.first().map_or(0, |(first, run)| source_at(*first, run[0][0]));
        for (first, run) in &self.audio {
            for (position, &index) in indices.iter().enumerate() {
                for (at, &sample) in run[position].iter().enumerate() {
                    let source = (*first as i64 + at as i64 + zero) as u64;
                    let is_silent = self.is_a_source_gone() && sample == 0.0;
                    assert!(
                        is_silent || sample == tag(index, source),
                        "channel {index}, the take's frame {}",
                        first + at as u64
                    );
                }
            }
        }
        (self.audio.iter().map(|(first, run)| (*first, first + run[0].len() as u64)).collect(), zero)
    }

    fn is_a_source_gone(&self) -> bool {
        self.facts.iter().any(|fact| matches!(fact, Fact::Gap(_)))
    }

    /// Gaps as first frame, end and cause, those of all channels.
    pub fn gap_spans(&self) -> Vec<(u64, u64, crate::domain::GapCause)> {
        self.gaps.iter().map(|gap| (gap.first_frame, gap.first_frame + gap.frames, gap.cause)).collect()
    }

    /// What single channels miss.
    pub fn channel_gaps(&self) -> Vec<(u64, u64, crate::domain::GapCause)> {
        let gap = |fact: &Fact| if let Fact::Gap(gap) = fact { Some(gap.clone()) } else { None };
        let gaps = self.facts.iter().filter_map(gap);
        gaps.map(|gap| (gap.first_frame, gap.first_frame + gap.frames, gap.cause)).collect()
    }
}
