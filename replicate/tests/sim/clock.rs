//! Chance, and what each machine believes the time to be. All of it follows from the seed.

use replicate::core::entry::{Moment, Quality};
use replicate::core::id::BootId;
use replicate::core::session;

/// SplitMix64: small, and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    pub fn is(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What a clock on the wall is like.
pub const TEMPERS: [&str; 6] = ["clock right", "clock +1 h", "clock -1 h", "clock 1970", "clock 2099", "clock drifts"];

const HOUR_MS: i64 = 3_600_000;
const NOW_MS: i64 = 1_790_000_000_000;
const IN_2099_MS: i64 = 4_073_000_000_000;

/// A machine's clocks: one that counts from power on, a little fast or slow, and one on the wall.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub boot: u32,
    pub booted_ms: u64,
    /// Per mille that it is fast.
    drift: i64,
    wall_zero_ms: i64,
    q: Quality,
}

impl Clock {
    pub fn new(temper: &str, chance: &mut Chance) -> Self {
        let mut clock = Self { boot: 0, booted_ms: 0, drift: 0, wall_zero_ms: NOW_MS, q: Quality::Ntp };
        match temper {
            "clock +1 h" => clock.wall_zero_ms += HOUR_MS,
            "clock -1 h" => clock.wall_zero_ms -= HOUR_MS,
            "clock 1970" => (clock.wall_zero_ms, clock.q) = (0, Quality::Unset),
            "clock 2099" => (clock.wall_zero_ms, clock.q) = (IN_2099_MS, Quality::Rtc),
            "clock drifts" => clock.drift = chance.between(0, 4) as i64 - 2,
            _ => (),
        }
        clock
    }

    /// Somebody sets it, or days went by while it was off.
    pub fn jump(&mut self, by_ms: i64) {
        self.wall_zero_ms += by_ms;
    }

    /// Milliseconds of a clock that never goes back.
    pub fn mono(&self, now_ms: u64) -> u64 {
        let up_ms = (now_ms - self.booted_ms) as i64;
        (1_000 + up_ms + up_ms * self.drift / 1000) as u64
    }

    pub fn boot_id(&self) -> BootId {
        let mut boot = [0; 16];
        boot[..4].copy_from_slice(&self.boot.to_be_bytes());
        BootId(boot)
    }

    pub fn moment(&self, now_ms: u64) -> Moment {
        let wall = self.wall_zero_ms + now_ms as i64 + now_ms as i64 * self.drift / 1000;
        Moment { wall, q: self.q, boot: self.boot_id(), mono: self.mono(now_ms) }
    }

    pub fn for_sessions(&self, now_ms: u64) -> session::Clock {
        let (wall, mono) = (self.moment(now_ms).wall, self.mono(now_ms));
        session::Clock { wall_at_zero_ms: wall - mono as i64, q: self.q }
    }
}
