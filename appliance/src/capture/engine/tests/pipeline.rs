//! Engine and reels together on a real disk, against a model that knows only which frames were heard: whatever the source
//! and the operators do, each take is the heard frames of its time, the rest is told, and `verify` proves it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::desk::{Desk, PRE_ROLL, RATE, tag};
use crate::capture::engine::taking::Edge;
use crate::capture::take::DataDir;
use crate::capture::take::timeline::Timeline;
use crate::capture::take::verify::verify_take;
use crate::capture::tape::Op;
use crate::capture::tape::hasher::sha256_of;
use crate::capture::tape::reel::Reel;
use crate::domain::{ChannelSet, Channels, Fact, Order, TakeId};

#[derive(Debug, Clone)]
enum Step {
    Block(u64),
    Lose(u32),
    ServerGone(u64),
    Source(usize, bool),
    Start { pre_roll_ms: u64, channels: Vec<u16> },
    Pause(usize),
    Resume(usize),
    Mark(usize),
    Stop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0usize..4;
    prop_oneof![
        8 => (1u64..700).prop_map(Step::Block),
        2 => (1u32..2_500).prop_map(Step::Lose),
        1 => (1u64..3_000).prop_map(Step::ServerGone),
        1 => (0usize..2, any::<bool>()).prop_map(|(channel, is_there)| Step::Source(channel, is_there)),
        2 => (0u64..2_500, 0usize..4).prop_map(|(pre_roll_ms, which)| Step::Start {
            pre_roll_ms,
            channels: [vec![1], vec![2], vec![1, 2], vec![2, 1]][which].clone(),
        }),
        2 => which.clone().prop_map(Step::Pause),
        2 => which.clone().prop_map(Step::Resume),
        1 => which.clone().prop_map(Step::Mark),
        1 => which.prop_map(Step::Stop),
    ]
}

/// A take as the model has it, in source frames.
struct Expected {
    id: TakeId,
    channels: Vec<usize>,
    start: u64,
    pre_roll: u64,
    zero: Option<u64>,
    end: Option<u64>,
    pauses: Vec<(u64, Option<u64>)>,
}

#[derive(Default)]
struct Model {
    blocks: Vec<(u64, u64, ChannelSet)>,
    takes: Vec<Expected>,
}

impl Model {
    fn next(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.1)
    }

    /// Up to where a take forbids a pre-roll to reach, with all frames before `next` heard.
    fn private_until(take: &Expected, next: u64) -> u64 {
        let passed = take.pauses.iter().rev().find(|(from, _)| *from < next && take.end.is_none_or(|end| *from < end));
        let lasting = take.end.filter(|&end| end <= next).unwrap_or(next);
        passed.map_or(0, |(_, to)| to.filter(|&to| to <= lasting).unwrap_or(lasting))
    }

    /// What is due begins with what the past still holds.
    fn begin_due(&mut self) {
        let next = self.next();
        let kept = next.saturating_sub(PRE_ROLL * u64::from(RATE));
        let oldest = self.blocks.iter().find(|block| block.1 > kept).map_or(next, |block| block.0);
        for index in 0..self.takes.len() {
            let (take, others) = (&self.takes[index], &self.takes);
            if take.zero.is_some() || take.start > next {
                continue;
            }
            let shares =
                |other: &&Expected| other.zero.is_some() && other.channels.iter().any(|c| take.channels.contains(c));
            let private = others.iter().filter(shares).map(|other| Self::private_until(other, next)).max().unwrap_or(0);
            let zero = take.start.saturating_sub(take.pre_roll).max(oldest).max(private).min(next);
            self.takes[index].zero = Some(zero);
        }
    }

    fn running(&mut self, which: usize) -> Option<&mut Expected> {
        self.takes.iter_mut().filter(|take| take.zero.is_some() && take.end.is_none()).nth(which)
    }
}

/// The tape's thread without its thread.
struct Reels {
    data: DataDir,
    reels: BTreeMap<TakeId, Reel>,
}

impl Reels {
    fn take_in(&mut self, desk: &Desk) {
        for op in desk.ops.try_iter() {
            match op {
                Op::Open { opened } => {
                    drop(self.reels.insert(opened.id, Reel::begin(self.data.take(opened.id), *opened)))
                }
                Op::Audio { id, position, block, from, frames } => self.of(id).audio(position, &block, from, frames),
                Op::Gap { id, gap } => self.of(id).gap(gap),
                Op::Note { id, fact } => self.of(id).note(fact),
                Op::Close { id, frames, reason } => self.of(id).close(frames, reason, desk.wall()),
                Op::Measured { .. } | Op::Adopt { .. } | Op::Hashed { .. } | Op::Quit => {}
            }
        }
        for (id, reel) in &mut self.reels {
            for file in reel.take_finished() {
                let sha256 = sha256_of(&self.data.take(*id).segment(&file)).unwrap();
                reel.hashed(Some(Fact::SegmentHashed { file, sha256 }));
            }
        }
    }

    fn of(&mut self, id: TakeId) -> &mut Reel {
        self.reels.get_mut(&id).unwrap()
    }
}

fn act(step: Step, desk: &mut Desk, model: &mut Model) {
    let (now, mono_us) = (desk.source, desk.mono_us);
    match step {
        Step::Block(frames) => {
            desk.block(frames);
            model.blocks.push((now, now + frames, desk.connected));
        }
        Step::Lose(frames) => desk.lose(frames),
        Step::ServerGone(ms) => {
            desk.engine.disconnected(desk.now());
            desk.silence(ms);
            desk.jack_frame = 77;
            desk.connect(RATE, 2);
        }
        Step::Source(channel, true) => desk.connected.insert(channel),
        Step::Source(channel, false) => desk.connected.remove(channel),
        Step::Start { pre_roll_ms, channels } if model.takes.len() < 12 => {
            let zero_based = channels.iter().map(|&number| usize::from(number) - 1).collect();
            let pre_roll_seconds = pre_roll_ms as f64 / 1_000.0;
            let order = Order { channels: Channels::Numbers(channels), pre_roll_seconds, ..desk.order() };
            let id = desk.say(order);
            let (zero, end, pauses) = (None, None, Vec::new());
            model.takes.push(Expected {
                id,
                channels: zero_based,
                start: now,
                pre_roll: pre_roll_ms,
                zero,
                end,
                pauses,
            });
        }
        Step::Start { .. } => {}
        Step::Pause(which) | Step::Resume(which) | Step::Mark(which) => {
            let Some(take) = model.running(which) else { return };
            let is_paused = take.pauses.last().is_some_and(|pause| pause.1.is_none());
            match (&step, is_paused) {
                (Step::Pause(_), false) => {
                    desk.engine.edge(take.id, mono_us, Edge::Pause).unwrap();
                    take.pauses.push((now, None));
                }
                (Step::Resume(_), true) => {
                    desk.engine.edge(take.id, mono_us, Edge::Resume).unwrap();
                    take.pauses.last_mut().unwrap().1 = Some(now);
                }
                (Step::Mark(_), _) => drop(desk.engine.edge(take.id, mono_us, Edge::Mark("m".into())).unwrap()),
                _ => {}
            }
        }
        Step::Stop(which) => {
            if let Some(take) = model.running(which) {
                assert!(desk.engine.stop(take.id, mono_us));
                take.end = Some(now.max(take.zero.unwrap() + 1));
            }
        }
    }
    model.begin_due();
}

fn judge(take: &Expected, model: &Model, data: &DataDir) {
    let (zero, end) = (take.zero.unwrap(), take.end.unwrap());
    let folder = data.take(take.id);
    let info = folder.load().unwrap().info(false);
    assert_eq!((info.frames, info.closed.is_some()), (end - zero, true), "{info:?}");
    let mut planar = vec![Vec::new(); take.channels.len()];
    Timeline::new(&folder, &info, 0).read(info.frames as usize, &mut planar).unwrap();
    let frames = |&(from, to, connected): &(u64, u64, ChannelSet)| (from..to).map(move |frame| (frame, connected));
    let heard: BTreeMap<u64, ChannelSet> = model.blocks.iter().flat_map(frames).collect();
    let is_paused = |f: u64| take.pauses.iter().any(|&(from, to)| from <= f && to.is_none_or(|to| f < to));
    let gaps: Vec<_> = info.gaps.iter().filter(|gap| gap.channels.is_none()).collect();
    for frame in zero..end {
        let kept = heard.get(&frame).filter(|_| !is_paused(frame));
        for (channel, &index) in planar.iter().zip(&take.channels) {
            let is_there = kept.is_some_and(|connected| connected.contains(index));
            let expected = if is_there { tag(index, frame) } else { 0.0 };
            assert_eq!(
                channel[(frame - zero) as usize],
                expected,
                "channel {index}, source frame {frame}, zero {zero}"
            );
        }
        let in_gap = gaps.iter().any(|g| (g.first_frame..g.first_frame + g.frames).contains(&(frame - zero)));
        assert_eq!(
            in_gap,
            !heard.contains_key(&frame) && !is_paused(frame),
            "source frame {frame}, zero {zero}: {gaps:?}"
        );
    }
    let report = verify_take(&folder);
    assert_eq!(report.exit_code(), 0, "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_take_is_what_was_heard_in_its_time(steps in prop::collection::vec(step(), 1..50)) {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut reels = Reels { data: DataDir::new(home.path()), reels: BTreeMap::new() };
        let (mut desk, mut model) = (Desk::new(2), Model::default());
        let stops = std::iter::repeat_n(Step::Stop(0), 12);
        let all = std::iter::once(Step::Block(50)).chain(steps).chain([Step::Block(50)]).chain(stops);
        for step in all.chain([Step::Block(50)]) {
            act(step, &mut desk, &mut model);
            reels.take_in(&desk);
        }
        for take in &model.takes {
            judge(take, &model, &reels.data);
        }
    }
}
