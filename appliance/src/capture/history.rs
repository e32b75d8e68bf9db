//! The last seconds of all channels: what a take that begins late finds of its beginning.

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::Block;

/// Blocks of the recent past, oldest first. There may be gaps between them.
#[derive(Debug, Default)]
pub struct History {
    blocks: VecDeque<Arc<Block>>,
    keep_frames: u64,
}

impl History {
    /// Keeps at least `keep_frames` before the newest frame.
    pub fn new(keep_frames: u64) -> Self {
        Self { blocks: VecDeque::new(), keep_frames }
    }

    /// Adds the newest block and lets go of those no pre-roll can reach.
    pub fn push(&mut self, block: Arc<Block>) {
        let oldest = block.end().saturating_sub(self.keep_frames);
        self.blocks.push_back(block);
        // The newest block stays even when nothing is to be kept: an order that came during it starts inside it.
        while self.blocks.len() > 1 && self.blocks.front().is_some_and(|block| block.end() <= oldest) {
            self.blocks.pop_front();
        }
    }

    /// Forgets everything, when the channels themselves change.
    pub fn clear(&mut self) {
        self.blocks.clear();
    }

    /// Oldest stream frame held; none when empty.
    pub fn oldest(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.first)
    }

    /// Blocks that reach beyond `frame`, oldest first.
    pub fn since(&self, frame: u64) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter().filter(move |block| block.end() > frame)
    }

    /// Bytes of samples held.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ChannelSet;

    fn block(first: u64) -> Arc<Block> {
        Arc::new(Block::of(first, ChannelSet::first(1), &[&[0.0; 10]]))
    }

    #[test]
    fn it_keeps_what_the_pre_roll_reaches_and_no_more() {
        let mut history = History::new(25);
        (0..10).for_each(|n| history.push(block(n * 10)));
        assert_eq!(history.oldest(), Some(70));
        assert_eq!(history.since(85).map(|b| b.first).collect::<Vec<_>>(), [80, 90]);
    }

    #[test]
    fn without_pre_roll_the_newest_block_is_still_there() {
        let mut history = History::new(0);
        (0..3).for_each(|n| history.push(block(n * 10)));
        assert_eq!(history.oldest(), Some(20));
    }
}
