//! The machine's clocks. The only file that asks for the time; everyone else is told.

use jiff::{Timestamp, tz::TimeZone};
use rustix::time::{ClockId, clock_gettime};

use crate::domain::ClockQuality;

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall time: for people, may step.
    pub wall: Timestamp,
    /// Microseconds since boot on the clock JACK uses: for lengths, never steps.
    pub mono_us: u64,
}

/// Reads both clocks.
pub fn now() -> Now {
    let before = mono_us();
    let wall = wall();
    // The mean of two readings around the wall clock's: what a preemption between them costs is halved.
    Now { wall, mono_us: before + (mono_us() - before) / 2 }
}

/// Reads the wall clock.
#[allow(clippy::disallowed_methods)] // This is the one place.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// Reads the monotonic clock, microseconds since boot.
pub fn mono_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The kernel's monotonic clock is never negative and its seconds fit: 584 000 years.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Reads the monotonic clock in nanoseconds. Real-time safe: the kernel answers without being called.
pub fn mono_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The machine's time zone.
pub fn zone() -> TimeZone {
    TimeZone::system()
}

/// Names this boot, so that monotonic times of another one are not compared with ours; empty if the kernel does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// This program was written in 2026: a clock that shows less has not been set.
const WRITTEN: i64 = 1_767_225_600; // 2026-01-01T00:00:00Z

/// How far the wall clock can be believed when it shows `wall`.
pub fn quality(wall: Timestamp) -> ClockQuality {
    if wall.as_second() < WRITTEN {
        ClockQuality::Unset
    } else if is_disciplined() {
        ClockQuality::Ntp
    } else {
        ClockQuality::Guessed
    }
}

/// Whether a time service steers the kernel clock. systemd-timesyncd keeps a file; chrony, ntpd and PTP daemons clear the
/// kernel's "unsynchronised" flag. A unit with `ProtectClock=` may not ask the kernel; then only the file speaks.
fn is_disciplined() -> bool {
    std::path::Path::new("/run/systemd/timesync/synchronized").exists() || kernel_is_synchronised()
}

fn kernel_is_synchronised() -> bool {
    // SAFETY: `timex` is plain integers, for which all zeroes is a value; zero modes means "change nothing, only read".
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, exclusively borrowed `timex`, which the call fills.
    let state = unsafe { libc::adjtimex(&mut timex) };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_from_1970_was_never_set() {
        assert_eq!(quality(Timestamp::from_second(86_400).unwrap()), ClockQuality::Unset);
        assert_ne!(quality(Timestamp::from_second(WRITTEN).unwrap()), ClockQuality::Unset);
    }

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = now();
        assert!(now().mono_us >= first.mono_us);
    }
}
