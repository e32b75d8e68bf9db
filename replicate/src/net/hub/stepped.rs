//! A hub without threads of its own: it goes on when it is told to, on the thread that tells it.
//!
//! For tests over a simulated network (`tests/shell`): there the time stands still between two steps, so what a hub and its
//! store do must not depend on how fast they are. Built with the feature `stepped` only. All it does is what the two
//! threads do, once.

use super::{Hub, Parts, follow};
use crate::net::link::out_bytes;
use std::time::Duration;

/// A hub that waits for its next step. Dropped, the hub has stopped.
pub struct Stepper {
    hub: Hub,
    since: u64,
    is_disk_held: bool,
}

impl Stepper {
    pub(in crate::net) fn new(parts: Parts) -> Self {
        let mut hub = Hub::new(parts);
        hub.begin_care();
        Self { hub, since: 0, is_disk_held: false }
    }

    /// Takes in what has come and what has grown, and does what is due by the moments that the hub was given. What it asks
    /// of the store is done when this returns, and taken in by the next step: a disk that takes one step for anything.
    /// Returns whether the hub goes on: not after it has stopped, nor if the store does not answer.
    pub fn step(&mut self) -> bool {
        let queue = self.hub.parts.queue.clone();
        loop {
            let next = follow(&self.hub.parts.store, &queue, self.since, Duration::ZERO);
            if std::mem::replace(&mut self.since, next) == next {
                break;
            }
        }
        if queue.is_quiet() && !queue.is_closed() && (self.hub.parts.moments)().mono < self.hub.due_ms() {
            return true;
        }
        let Some(taken) = queue.take(Duration::ZERO) else { return false };
        let store = self.hub.parts.store.clone();
        store.hold(true);
        self.hub.turn(taken);
        self.is_disk_held || self.is_answered()
    }

    /// Stops the disk: what is asked of the store waits from now on, also what others than the hub ask. Or lets it go on.
    /// Returns as [`Stepper::step`].
    pub fn hold_disk(&mut self, is_held: bool) -> bool {
        self.is_disk_held = is_held;
        self.hub.parts.store.hold(is_held);
        is_held || self.is_answered()
    }

    fn is_answered(&self) -> bool {
        self.hub.parts.store.hold(false);
        self.hub.parts.queue.is_answered(self.hub.applying + self.hub.care.running())
    }

    /// Bytes that wait for the wire of the link that has most of them, and how many may before the hub says no more to it.
    pub fn out_bytes(&self) -> (usize, usize) {
        let links = self.hub.links.values();
        (links.map(|linked| linked.link.out_bytes()).max().unwrap_or(0), out_bytes(self.hub.links.len()))
    }

    /// Links whose sessions wait until their writers have caught up.
    pub fn slow(&self) -> usize {
        self.hub.links.values().filter(|linked| linked.is_slow).count()
    }
}
