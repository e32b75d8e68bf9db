//! Blocks: a stretch of all channels, shared between the pre-roll and every take that wants it, never copied again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{ChannelSet, GapCause};

/// The most buffers kept for reuse; beyond them memory goes back to the system. Two seconds of wake-ups.
const POOL_BUFFERS_MAX: usize = 40;

/// Planar samples of all channels, from one stream frame on.
#[derive(Debug, Default)]
pub struct Block {
    /// Stream frame of the first sample.
    pub first: u64,
    /// Channels with a source during this block.
    pub connected: ChannelSet,
    /// JACK's own counter at the first sample.
    pub jack_frame: u32,
    /// Why frames are missing before this block, if any are.
    pub gap_before: Option<GapCause>,
    samples: Vec<f32>,
    frames: usize,
    home: Option<Arc<Mutex<Vec<Vec<f32>>>>>,
}

impl Block {
    /// A block that owns `planar` samples, for tests and for fills.
    pub fn of(first: u64, connected: ChannelSet, planar: &[&[f32]]) -> Self {
        let frames = planar.first().map_or(0, |channel| channel.len());
        let samples = planar.concat();
        Self { first, connected, jack_frame: 0, gap_before: None, samples, frames, home: None }
    }

    /// Frames in the block.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Stream frame after the last sample.
    pub fn end(&self) -> u64 {
        self.first + self.frames as u64
    }

    /// Samples of a channel; empty if there is no such channel.
    pub fn channel(&self, index: usize) -> &[f32] {
        self.samples.get(index * self.frames..(index + 1) * self.frames).unwrap_or(&[])
    }

    /// Samples of a channel, to fill.
    pub fn channel_mut(&mut self, index: usize) -> &mut [f32] {
        self.samples.get_mut(index * self.frames..(index + 1) * self.frames).unwrap_or(&mut [])
    }

    /// All channels.
    pub fn planar(&self) -> impl Iterator<Item = &[f32]> {
        self.samples.chunks_exact(self.frames.max(1))
    }

    /// Bytes of samples held.
    pub fn bytes(&self) -> u64 {
        (self.samples.len() * size_of::<f32>()) as u64
    }
}

impl Drop for Block {
    /// Gives the buffer back to the pool it came from. Never runs in the callback: blocks are made behind the ring.
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut buffers = home.lock().unwrap_or_else(PoisonError::into_inner);
            if buffers.len() < POOL_BUFFERS_MAX {
                buffers.push(std::mem::take(&mut self.samples));
            }
        }
    }
}

/// Buffers for blocks, reused so that the engine's memory stays where it is.
#[derive(Debug, Default)]
pub struct BlockPool {
    buffers: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl BlockPool {
    /// A block of `channels` by `frames`, holding whatever was in the buffer before.
    pub fn take(&mut self, channels: usize, frames: usize) -> Block {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        // Wake-ups bring two or three periods: a buffer that fits is taken, so that none has to grow into fresh pages.
        let wanted = channels * frames;
        let fitting = buffers.iter().rposition(|buffer| (wanted..=2 * wanted).contains(&buffer.capacity()));
        let mut samples = fitting.map_or_else(|| Vec::with_capacity(wanted), |at| buffers.swap_remove(at));
        drop(buffers);
        samples.resize(wanted, 0.0);
        let (connected, home) = (ChannelSet::default(), Some(self.buffers.clone()));
        Block { first: 0, connected, jack_frame: 0, gap_before: None, samples, frames, home }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_one_after_the_other() {
        let block = Block::of(5, ChannelSet::first(2), &[&[1.0, 2.0], &[3.0, 4.0]]);
        assert_eq!((block.channel(1), block.channel(2)), (&[3.0, 4.0][..], &[][..]));
        assert_eq!((block.end(), block.planar().count()), (7, 2));
    }

    #[test]
    fn a_dropped_block_gives_its_buffer_back() {
        let mut pool = BlockPool::default();
        let (small, large) = (pool.take(2, 100), pool.take(2, 300));
        let addresses = (small.channel(0).as_ptr(), large.channel(0).as_ptr());
        drop((small, large));
        assert_eq!(pool.take(2, 300).channel(0).as_ptr(), addresses.1);
        assert_eq!(pool.take(1, 200).channel(0).as_ptr(), addresses.0);
    }
}
