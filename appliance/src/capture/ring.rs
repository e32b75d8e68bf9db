//! The way out of the callback: two preallocated single-producer rings, one for samples, one for what they are.
//!
//! A period goes in whole or not at all. Its header is pushed after its samples, so whoever sees the header finds the
//! samples. A period that does not fit is counted; the jump in JACK's frame time tells the reader where.

use rtrb::{Consumer, Producer, RingBuffer};

use super::block::{Block, BlockPool};
use crate::domain::ChannelSet;

/// Seconds of audio the ring holds: how long the engine may be kept from running. Two seconds of 32 channels are 12 MB.
pub const RING_SECONDS: f64 = 2.0;
/// The smallest period the header ring is sized for; smaller ones shorten the time it lasts, nothing else.
const SHORTEST_PERIOD: usize = 64;
/// The longest block made of periods that follow each other: two wake-ups of the engine at 96 kHz.
pub const BLOCK_FRAMES_MAX: usize = 9_600;

/// What the callback knows of one period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// JACK's frame counter at the first frame; wraps.
    pub frame_time: u32,
    /// Microseconds of JACK's clock at the first frame.
    pub usecs: u64,
    /// Frames in the period.
    pub frames: u32,
    /// Channels with a source.
    pub connected: ChannelSet,
    /// Frames lost so far because the ring was full.
    pub lost_frames: u64,
    /// The server runs as fast as it can; times mean nothing.
    pub is_freewheel: bool,
}

/// The callback's end.
pub struct Feeder {
    periods: Producer<Period>,
    samples: Producer<f32>,
    channels: usize,
    lost_frames: u64,
}

/// The engine's end.
pub struct Drain {
    periods: Consumer<Period>,
    samples: Consumer<f32>,
    channels: usize,
    batch: Vec<Period>,
}

/// Makes the ring for `channels` channels at `rate` frames per second.
pub fn ring(channels: usize, rate: u32) -> (Feeder, Drain) {
    let frames = (f64::from(rate) * RING_SECONDS) as usize;
    let (period_in, period_out) = RingBuffer::new(frames / SHORTEST_PERIOD);
    let (sample_in, sample_out) = RingBuffer::new(frames * channels);
    let batch = Vec::with_capacity(BLOCK_FRAMES_MAX / SHORTEST_PERIOD + 1);
    (
        Feeder { periods: period_in, samples: sample_in, channels, lost_frames: 0 },
        Drain { periods: period_out, samples: sample_out, channels, batch },
    )
}

impl Feeder {
    /// Whether a period of `frames` fits now. Real-time safe.
    pub fn has_room(&self, frames: usize) -> bool {
        self.periods.slots() > 0 && self.samples.slots() >= frames * self.channels
    }

    /// Puts one period in, or counts it as lost. `port` gives the samples of a channel. Real-time safe.
    pub fn push<'a>(&mut self, mut period: Period, port: impl Fn(usize) -> &'a [f32]) {
        if !self.has_room(period.frames as usize) {
            self.lost_frames += u64::from(period.frames);
            return;
        }
        period.lost_frames = self.lost_frames;
        for channel in 0..self.channels {
            // There is room: it was looked at above, and only this end takes it.
            let _ = self.samples.push_entire_slice(port(channel));
        }
        let _ = self.periods.push(period);
    }
}

/// A run of periods that follow each other without a break, as samples.
pub struct Batch {
    /// The first period's header; `frames` is the first period's, not the block's.
    pub head: Period,
    /// All samples of the run. Its stream frame is not set yet.
    pub block: Block,
}

impl Drain {
    /// Takes the next run of periods, at most [`BLOCK_FRAMES_MAX`] frames; none when the ring is empty.
    pub fn next(&mut self, pool: &mut BlockPool) -> Option<Batch> {
        let head = self.periods.pop().ok()?;
        self.batch.clear();
        self.batch.push(head);
        let mut total = head.frames as usize;
        while let Ok(next) = self.periods.peek() {
            let follows = next.frame_time == head.frame_time.wrapping_add(total as u32);
            let alike = next.connected == head.connected && next.is_freewheel == head.is_freewheel;
            if !(follows && alike && total + next.frames as usize <= BLOCK_FRAMES_MAX) {
                break;
            }
            total += next.frames as usize;
            self.batch.push(*next);
            let _ = self.periods.pop();
        }
        let mut block = pool.take(self.channels, total);
        let mut offset = 0;
        for period in &self.batch {
            let frames = period.frames as usize;
            for channel in 0..self.channels {
                // The header was pushed after its samples, so they are all there.
                let _ = self.samples.pop_entire_slice(&mut block.channel_mut(channel)[offset..offset + frames]);
            }
            offset += frames;
        }
        Some(Batch { head, block })
    }

    /// Part of the ring that is in use, 0 to 1.
    pub fn fill(&self) -> f32 {
        self.samples.slots() as f32 / self.samples.buffer().capacity().max(1) as f32
    }

    /// Whether the callback's end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.samples.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(frame_time: u32, frames: u32) -> Period {
        let connected = ChannelSet::first(2);
        Period { frame_time, usecs: 0, frames, connected, lost_frames: 0, is_freewheel: false }
    }

    fn push(feeder: &mut Feeder, period: Period) {
        let samples: Vec<Vec<f32>> = (0..2)
            .map(|c| (0..period.frames).map(|k| (period.frame_time.wrapping_add(k)) as f32 + c as f32 * 0.5).collect())
            .collect();
        feeder.push(period, |channel| &samples[channel]);
    }

    #[test]
    fn periods_that_follow_become_one_block() {
        let (mut feeder, mut drain) = ring(2, 1_000);
        push(&mut feeder, period(10, 3));
        push(&mut feeder, period(13, 2));
        let batch = drain.next(&mut BlockPool::default()).unwrap();
        assert_eq!(batch.block.channel(0), [10.0, 11.0, 12.0, 13.0, 14.0]);
        assert_eq!(batch.block.channel(1), [10.5, 11.5, 12.5, 13.5, 14.5]);
        assert!(drain.next(&mut BlockPool::default()).is_none());
    }

    #[test]
    fn a_jump_in_frame_time_begins_a_block() {
        let (mut feeder, mut drain) = ring(2, 1_000);
        push(&mut feeder, period(10, 3));
        push(&mut feeder, period(14, 2));
        let mut pool = BlockPool::default();
        assert_eq!(drain.next(&mut pool).unwrap().block.frames(), 3);
        assert_eq!(drain.next(&mut pool).unwrap().head.frame_time, 14);
    }

    #[test]
    fn frame_time_may_wrap_inside_a_block() {
        let (mut feeder, mut drain) = ring(2, 1_000);
        push(&mut feeder, period(u32::MAX - 1, 2));
        push(&mut feeder, period(0, 2));
        assert_eq!(drain.next(&mut BlockPool::default()).unwrap().block.frames(), 4);
    }

    #[test]
    fn a_full_ring_loses_whole_periods_and_counts_them() {
        let (mut feeder, mut drain) = ring(2, 1_000);
        for n in 0..25 {
            push(&mut feeder, period(n * 100, 100));
        }
        let mut pool = BlockPool::default();
        let mut frames = 0;
        while let Some(batch) = drain.next(&mut pool) {
            frames += batch.block.frames();
        }
        assert_eq!(frames, 2_000);
        push(&mut feeder, period(2_500, 100));
        assert_eq!(drain.next(&mut pool).unwrap().head.lost_frames, 500);
    }
}
