//! The JACK side: one client, its callback, its ports, and getting it back when the server goes.
//!
//! The only place that knows the `jack` crate. [`callback`] runs on JACK's realtime thread; [`patchbay`] is an ordinary
//! thread that connects, reconnects and keeps each channel on its port; [`player`] feeds a server for the demo and tests.

pub mod callback;
pub mod patchbay;
pub mod player;
pub mod ports;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::load::Load;
use crate::domain::{ChannelSet, MAX_CHANNELS};

const WORDS: usize = MAX_CHANNELS as usize / 64;

/// What JACK's threads and ours know of each other without waiting.
#[derive(Debug, Default)]
pub struct Shared {
    /// Channels with a source, a bit each.
    connected: [AtomicU64; WORDS],
    /// The server runs as fast as it can.
    pub is_freewheel: AtomicBool,
    /// The server has shut our client down.
    pub is_down: AtomicBool,
    /// Ports appeared, vanished or were connected since this was last looked at.
    pub has_changed: AtomicBool,
    /// Times the server reported lost frames.
    pub xruns: AtomicU64,
    /// How long the callback takes.
    pub load: Load,
    /// Grows while the engine lives: what the watchdog watches.
    pub engine_beats: AtomicU64,
}

impl Shared {
    /// Channels with a source now. Real-time safe.
    pub fn connected(&self) -> ChannelSet {
        ChannelSet::from_words(std::array::from_fn(|word| self.connected[word].load(Ordering::Relaxed)))
    }

    /// A new client has no source yet.
    fn clear_connected(&self) {
        self.connected.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    fn set_connected(&self, index: usize, is_connected: bool) {
        let Some(word) = self.connected.get(index / 64) else { return };
        match is_connected {
            true => word.fetch_or(1 << (index % 64), Ordering::Relaxed),
            false => word.fetch_and(!(1 << (index % 64)), Ordering::Relaxed),
        };
    }
}
