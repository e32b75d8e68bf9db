//! Those who hear the audio as it arrives: the node's live listening.
//!
//! Lives here: who they are, and handing them blocks, each with the channels that are off the record in it: those leave
//! capture as silence. A block is shared, never copied, and nobody waits: a listener whose queue is full misses blocks and
//! sees the frame number jump. Does not live here: what goes over the socket.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};

use crate::capture::block::Block;
use crate::domain::take::TakeChannel;
use crate::domain::{ChannelSet, Channels};

/// The most listeners at a time. The node encodes once for all who hear the same channels.
pub const LISTENERS_MAX: usize = 8;
/// Blocks a listener may be behind before it misses some: two seconds. They are the pre-roll's blocks as a rule, so they
/// cost no memory of their own.
const QUEUE_BLOCKS: usize = 40;

/// A block as listeners get it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The audio of all channels.
    pub block: Arc<Block>,
    /// Channels that a paused recording has: nobody hears them.
    pub private: ChannelSet,
}

/// What a listener gets.
#[derive(Debug)]
pub struct Listening {
    /// Frames per second; when it changes, the blocks end.
    pub rate: u32,
    /// Channel numbers, in the order asked for.
    pub channels: Vec<u16>,
    /// The same as indices into a block.
    pub indices: Vec<usize>,
    /// What arrives from now on.
    pub blocks: Receiver<Heard>,
    /// While it lives, the listener is counted.
    _seat: Arc<()>,
}

/// All listeners of the engine.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Rate and number of channels of what they hear.
    source: (u32, usize),
    all: Vec<(SyncSender<Heard>, Weak<()>)>,
}

impl Listeners {
    /// Lets one more listen to a source.
    ///
    /// # Errors
    /// A sentence: there are too many, or there is no such channel.
    pub fn add(&mut self, rate: u32, channels: &[TakeChannel], wanted: &Channels) -> Result<Listening, String> {
        self.follow((rate, channels.len()));
        self.all.retain(|(_, seat)| seat.strong_count() > 0);
        let indices = wanted.resolve(u16::try_from(channels.len()).unwrap_or(u16::MAX))?;
        if indices.is_empty() {
            return Err("there is no channel to listen to".into());
        }
        if self.all.len() >= LISTENERS_MAX {
            return Err(format!("{LISTENERS_MAX} are listening already: close one and try again"));
        }
        let (sender, blocks) = sync_channel(QUEUE_BLOCKS);
        let seat = Arc::new(());
        self.all.push((sender, Arc::downgrade(&seat)));
        let channels = indices.iter().filter_map(|&index| channels.get(index)).map(|channel| channel.number).collect();
        Ok(Listening { rate, channels, indices, blocks, _seat: seat })
    }

    /// Gives a block of a source of this rate and this many channels to all who listen.
    pub fn give(&mut self, source: (u32, usize), heard: &Heard) {
        self.follow(source);
        self.all
            .retain(|(listener, _)| !matches!(listener.try_send(heard.clone()), Err(TrySendError::Disconnected(_))));
    }

    /// Those who hear another source are sent away: what they were told of it is no longer true.
    fn follow(&mut self, source: (u32, usize)) {
        if self.source != source {
            self.all.clear();
            self.source = source;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(count: u16) -> Vec<TakeChannel> {
        (1..=count).map(|number| TakeChannel { number, port: String::new(), label: String::new() }).collect()
    }

    fn block(first: u64) -> Heard {
        let block = Arc::new(Block::of(first, ChannelSet::first(2), &[&[0.5; 10], &[0.25; 10]]));
        Heard { block, private: ChannelSet::default() }
    }

    #[test]
    fn a_slow_listener_misses_blocks_and_holds_nobody_up() {
        let mut listeners = Listeners::default();
        let slow = listeners.add(48_000, &channels(2), &Channels::All).unwrap();
        let quick = listeners.add(48_000, &channels(2), &Channels::Numbers(vec![2])).unwrap();
        let heard: Vec<u64> = (0..100)
            .map(|n| {
                listeners.give((48_000, 2), &block(n * 10));
                quick.blocks.try_recv().unwrap().block.first
            })
            .collect();
        assert_eq!(heard, (0..100).map(|n| n * 10).collect::<Vec<_>>());
        assert_eq!((quick.channels, quick.indices), (vec![2], vec![1]));
        assert_eq!(slow.blocks.try_iter().count(), QUEUE_BLOCKS);
        listeners.give((48_000, 2), &block(5000));
        assert_eq!(slow.blocks.try_recv().unwrap().block.first, 5000, "after the jump it goes on");
    }

    #[test]
    fn the_ninth_is_told_so_until_one_leaves() {
        let mut listeners = Listeners::default();
        let mut add = || listeners.add(48_000, &channels(1), &Channels::All);
        let mut eight: Vec<Listening> = (0..LISTENERS_MAX).map(|_| add().unwrap()).collect();
        assert!(add().unwrap_err().contains("listening already"));
        eight.pop();
        assert!(add().is_ok());
    }

    #[test]
    fn a_source_that_changed_ends_the_blocks() {
        let mut listeners = Listeners::default();
        let old = listeners.add(48_000, &channels(2), &Channels::All).unwrap();
        listeners.give((44_100, 2), &block(0));
        assert!(old.blocks.recv().is_err());
        assert!(listeners.add(44_100, &channels(2), &Channels::Numbers(vec![3])).unwrap_err().contains("channel 3"));
    }
}
