//! The realtime callback: copies the port buffers into the ring, with JACK's frame time.
//!
//! Nothing here allocates, locks, logs or makes a system call. Overruns are counted, never hidden.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jack::{AudioIn, Client, ClientStatus, Control, NotificationHandler, Port, PortId, ProcessHandler, ProcessScope};

use super::Shared;
use crate::capture::ring::{Feeder, Period};
use crate::sys::clock;

/// In freewheel the callback waits for room; after this long it gives up, so that a dead engine does not hang the server.
const FREEWHEEL_WAIT_US: u64 = 10_000_000;

/// JACK smooths its time of a period (JackFrameTimer.cpp, a delay-locked loop of 1/8 Hz). After a stall that makes it wrong
/// for seconds, one way and then the other, by as much as the server stood still.
const SMOOTHED_OFF_MAX_US: u64 = 10_000;

/// What JACK calls each period.
pub struct Callback {
    pub(super) feeder: Feeder,
    pub(super) ports: Vec<Port<AudioIn>>,
    pub(super) shared: Arc<Shared>,
}

impl ProcessHandler for Callback {
    /// Real-time safe, but in freewheel, where there is no real time: there it waits for room.
    fn process(&mut self, client: &Client, scope: &ProcessScope) -> Control {
        let began_ns = clock::mono_ns();
        let frames = scope.n_frames();
        let is_freewheel = self.shared.is_freewheel.load(Ordering::Relaxed);
        let since_us = u64::from(scope.frames_since_cycle_start()) * 1_000_000 / u64::from(client.sample_rate().max(1));
        let smoothed_us = scope.cycle_times().ok().map(|times| times.current_usecs);
        let usecs = time_of_cycle(smoothed_us, client.time().saturating_sub(since_us));
        if is_freewheel {
            self.wait_for_room(frames as usize);
        }
        let period = Period {
            frame_time: scope.last_frame_time(),
            usecs,
            frames,
            connected: self.shared.connected(),
            lost_frames: 0,
            is_freewheel,
        };
        let ports = &self.ports;
        self.feeder.push(period, |channel| ports[channel].as_slice(scope));
        self.shared.load.count(clock::mono_ns() - began_ns);
        Control::Continue
    }
}

impl Callback {
    fn wait_for_room(&self, frames: usize) {
        let give_up_us = clock::mono_us() + FREEWHEEL_WAIT_US;
        while !self.feeder.has_room(frames) && clock::mono_us() < give_up_us {
            std::thread::yield_now();
        }
    }
}

/// When a period was, on JACK's clock: as JACK smooths it while that is near the time at which the cycle began.
fn time_of_cycle(smoothed_us: Option<u64>, began_us: u64) -> u64 {
    smoothed_us.filter(|us| us.abs_diff(began_us) <= SMOOTHED_OFF_MAX_US).unwrap_or(began_us)
}

/// What JACK tells between periods, on a thread of its own.
pub struct Notices {
    pub(super) shared: Arc<Shared>,
}

impl NotificationHandler for Notices {
    // SAFETY: only an atomic is set, as a signal handler may.
    unsafe fn shutdown(&mut self, _: ClientStatus, _: &str) {
        self.shared.is_down.store(true, Ordering::SeqCst);
    }

    fn freewheel(&mut self, _: &Client, is_enabled: bool) {
        self.shared.is_freewheel.store(is_enabled, Ordering::SeqCst);
    }

    fn port_registration(&mut self, _: &Client, _: PortId, _: bool) {
        self.shared.has_changed.store(true, Ordering::SeqCst);
    }

    /// A source that goes is noted at once and not when the patch bay next looks; one that comes is the patch bay's news.
    fn ports_connected(&mut self, client: &Client, a: PortId, b: PortId, _: bool) {
        for port in [a, b].into_iter().filter_map(|id| client.port_by_id(id)) {
            if client.is_mine(&port) && port.connected_count() == Ok(0) {
                let number = port.short_name().ok().and_then(|name| name.strip_prefix("in_")?.parse::<usize>().ok());
                if let Some(index) = number.and_then(|number| number.checked_sub(1)) {
                    self.shared.set_connected(index, false);
                }
            }
        }
        self.shared.has_changed.store(true, Ordering::SeqCst);
    }

    fn xrun(&mut self, _: &Client) -> Control {
        self.shared.xruns.fetch_add(1, Ordering::Relaxed);
        Control::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smoothed_time_counts_while_it_is_near_the_true_one() {
        let began = 60_000_000;
        for smoothed in [began - 300, began + 10_000] {
            assert_eq!(time_of_cycle(Some(smoothed), began), smoothed);
        }
        for smoothed in [None, Some(began - 1_200_000), Some(began + 10_001)] {
            assert_eq!(time_of_cycle(smoothed, began), began);
        }
    }
}
