//! How much may be under way: the listener's credit, and a pace that keeps the line's queue short.
//!
//! Credit is the listener's word: so many bytes of entries may be sent and not yet acknowledged; `sec` has a reserve of
//! its own, so that it never waits for bulk. The pace is the speaker's own restraint: if acknowledgements come much
//! later than the fastest one did, bytes wait in a queue somewhere, and a disabled user would wait behind them
//! (the idea of delay-based congestion control: TCP Vegas, LEDBAT, RFC 6817). Nothing here counts in entries or logs.

use crate::core::entry::ENTRY_BYTES_MAX;
use crate::core::exchange::EXPORT_BYTES_MAX;
use crate::core::id::Stream;
use crate::core::mutant::{Mutant, is_on};

/// Bytes that may be under way before the first acknowledgement says otherwise: both sides know this number.
pub const WINDOW_INITIAL: u64 = 1024 * 1024;
/// More is never granted.
pub const WINDOW_MAX: u64 = 4 * 1024 * 1024;
/// Less is never granted: the longest entry must find room.
pub const WINDOW_MIN: u64 = ENTRY_BYTES_MAX as u64;
/// What `sec` may have under way beside the window.
pub const SEC_RESERVE: u64 = 64 * 1024;
/// The pace a session begins with.
const PACE_INITIAL: u64 = 64 * 1024;
/// The slowest pace.
const PACE_MIN: u64 = 16 * 1024;
/// The smallest batch that is waited for while others are under way.
const CHUNK_MIN: u64 = 4 * 1024;
/// A batch that took longer than this to become durable gives no reason for a greater window.
const PROMPT_MS: u64 = 250;

/// Which account a batch is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The reserve of `sec`.
    Reserve,
    /// The window.
    Window,
}

/// The speaker's side.
#[derive(Debug, Clone)]
pub struct Outflow {
    window: u64,
    in_window: u64,
    in_reserve: u64,
    pace: u64,
    chunk_ms: u64,
    delay_min_ms: u64,
    /// Delays of batches sent before this say nothing new.
    slowed_at_ms: Option<u64>,
}

impl Outflow {
    /// Begins. `chunk_ms` is how long one batch may hold the line.
    pub const fn new(chunk_ms: u64) -> Self {
        let (window, pace) = (WINDOW_INITIAL, PACE_INITIAL);
        Self { window, in_window: 0, in_reserve: 0, pace, chunk_ms, delay_min_ms: u64::MAX, slowed_at_ms: None }
    }

    /// Returns on which account the next batch of a stream goes and how many bytes it may have; nothing if it has to
    /// wait. A first entry longer than that may go if nothing is under way on the account.
    pub fn room(&self, stream: Stream) -> Option<(Class, u64)> {
        if is_on(Mutant::CreditIgnored) {
            return Some((Class::Window, EXPORT_BYTES_MAX as u64));
        }
        let reserve = room_in(SEC_RESERVE, self.in_reserve).map(|room| (Class::Reserve, room));
        let window = room_in(self.window.min(self.pace), self.in_window).map(|room| (Class::Window, room));
        match stream {
            Stream::Sec => reserve.or(window),
            Stream::Cfg | Stream::Own | Stream::Jrn => window,
        }
    }

    /// Whether so many bytes may go on an account, whatever the pace: that is only our own wish.
    pub const fn fits(&self, class: Class, bytes: u64) -> bool {
        match class {
            Class::Reserve => self.in_reserve + bytes <= SEC_RESERVE,
            Class::Window => self.in_window == 0 || self.in_window + bytes <= self.window,
        }
    }

    /// Notes a batch.
    pub const fn sent(&mut self, class: Class, bytes: u64) {
        match class {
            Class::Reserve => self.in_reserve += bytes,
            Class::Window => self.in_window += bytes,
        }
    }

    /// Notes that a batch is not under way any more.
    pub fn ended(&mut self, class: Class, bytes: u64) {
        let account = match class {
            Class::Reserve => &mut self.in_reserve,
            Class::Window => &mut self.in_window,
        };
        *account = account.saturating_sub(bytes);
    }

    /// Notes the listener's word about the window.
    pub fn granted(&mut self, window: u64) {
        self.window = window.clamp(WINDOW_MIN, WINDOW_MAX);
    }

    /// Notes how long a batch in the window took from sending to its acknowledgement; to be called before `ended`.
    pub fn took(&mut self, sent_ms: u64, now_ms: u64, bytes: u64) {
        let delay_ms = now_ms.saturating_sub(sent_ms);
        self.delay_min_ms = self.delay_min_ms.min(delay_ms);
        let is_late = delay_ms > self.delay_min_ms + 4 * self.chunk_ms;
        if is_late && self.slowed_at_ms.is_none_or(|slowed_ms| sent_ms >= slowed_ms) {
            self.pace = (self.pace * 3 / 4).max(PACE_MIN);
            self.slowed_at_ms = Some(now_ms);
        } else if !is_late && self.in_window * 2 > self.pace {
            self.pace = (self.pace + bytes).min(WINDOW_MAX);
        }
    }

    /// Returns bytes under way.
    pub const fn under_way(&self) -> u64 {
        self.in_window + self.in_reserve
    }

    /// Returns what may be under way in the window, as the listener says and as we wish.
    pub const fn limits(&self) -> (u64, u64) {
        (self.window, self.pace)
    }
}

/// A quarter of an account at a time, so that what comes meanwhile finds the next place.
fn room_in(limit: u64, used: u64) -> Option<u64> {
    let chunk = (limit / 4).clamp(CHUNK_MIN, EXPORT_BYTES_MAX as u64);
    let room = limit.saturating_sub(used);
    (used == 0 || room >= chunk).then_some(chunk)
}

/// The listener's side.
#[derive(Debug, Clone)]
pub struct Inflow {
    window: u64,
    /// The greatest window ever told: batches sent under it may still arrive.
    told_max: u64,
    waiting: u64,
}

impl Default for Inflow {
    fn default() -> Self {
        Self { window: WINDOW_INITIAL, told_max: WINDOW_INITIAL, waiting: 0 }
    }
}

impl Inflow {
    /// Notes a batch. Returns whether the speaker was allowed to send it.
    pub const fn came(&mut self, bytes: u64) -> bool {
        self.waiting += bytes;
        self.waiting <= self.told_max + SEC_RESERVE
    }

    /// Notes that a batch is durable, or failed. Returns the window to tell.
    pub fn done(&mut self, bytes: u64, took_ms: u64, is_kept: bool) -> u64 {
        let was_used = self.waiting * 2 > self.window;
        self.waiting = self.waiting.saturating_sub(bytes);
        if !is_kept {
            self.window = (self.window / 2).max(WINDOW_MIN);
        } else if was_used && took_ms <= PROMPT_MS {
            self.window = (self.window + bytes).min(WINDOW_MAX);
        }
        self.told_max = self.told_max.max(self.window);
        self.window
    }

    /// Returns bytes of entries that came and are not durable yet.
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_has_room_when_bulk_has_none() {
        let mut flow = Outflow::new(50);
        while let Some((class, bytes)) = flow.room(Stream::Jrn) {
            flow.sent(class, bytes);
        }

        assert_eq!(flow.room(Stream::Cfg), None);
        assert_eq!(flow.room(Stream::Sec), Some((Class::Reserve, SEC_RESERVE / 4)));
    }

    #[test]
    fn late_acknowledgements_slow_the_pace_and_prompt_ones_quicken_it() {
        let mut flow = Outflow::new(50);
        let send_and_hear = |flow: &mut Outflow, at_ms: u64, took_ms: u64| {
            flow.sent(Class::Window, PACE_INITIAL);
            flow.took(at_ms, at_ms + took_ms, PACE_INITIAL);
            flow.ended(Class::Window, PACE_INITIAL);
            flow.limits().1
        };

        assert_eq!(send_and_hear(&mut flow, 0, 20), PACE_INITIAL * 2);
        assert_eq!(send_and_hear(&mut flow, 100, 500), PACE_INITIAL * 2 * 3 / 4);
        assert_eq!(send_and_hear(&mut flow, 200, 500), PACE_INITIAL * 2 * 3 / 4, "it was sent before we slowed");
        assert_eq!((0..50).map(|n| send_and_hear(&mut flow, 1000 * n + 700, 500)).last(), Some(PACE_MIN));
        assert!(flow.fits(Class::Window, ENTRY_BYTES_MAX as u64), "credit is not pace");
    }

    #[test]
    fn a_window_shrinks_for_failures_and_never_below_one_entry() {
        let mut flow = Inflow::default();
        for _ in 0..20 {
            assert!(flow.came(1000));
            flow.done(1000, 0, false);
        }

        assert_eq!(flow.done(0, 0, false), WINDOW_MIN);
        assert!(flow.came(WINDOW_INITIAL), "it was sent before the window shrank");
        assert!(!flow.came(SEC_RESERVE + 1));
    }
}
