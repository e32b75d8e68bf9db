//! The tag: a sample that says which channel and which frame it is. Every value sits on the 2^-23 grid, so 24-bit and
//! float files both carry it exactly, and for one channel it is a bijection of the frame mod 2^24 (5 min 49 s at 48 kHz):
//! one sample is enough to know its place, no search needed.

const STEP: u32 = 0x9E_3775;
const CHANNEL_STEP: u32 = 0x51_2B43;
/// Frames after which the tags of a channel repeat.
pub const CYCLE: u64 = 1 << 24;
const MASK: u32 = 0xFF_FFFF;
const STEP_INVERSE: u32 = inverse(STEP);

/// Newton's iteration for the inverse of an odd number mod 2^32 (each round doubles the right bits).
const fn inverse(odd: u32) -> u32 {
    let (mut x, mut round) = (odd, 0);
    while round < 5 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

/// The sample of `channel` (0-based) at `frame`.
#[inline]
pub fn tag(channel: u32, frame: u32) -> f32 {
    let value = frame.wrapping_mul(STEP).wrapping_add(channel.wrapping_mul(CHANNEL_STEP)) & MASK;
    (value as i32 - 0x80_0000) as f32 / 8_388_608.0
}

/// The frame (mod 2^24) whose tag this is; `None` for a value off the grid.
#[inline]
pub fn source_of(channel: u32, sample: f32) -> Option<u32> {
    let scaled = sample * 8_388_608.0;
    if !(-8_388_608.0..8_388_608.0).contains(&scaled) || scaled.fract() != 0.0 {
        return None;
    }
    let value = (scaled as i32 + 0x80_0000) as u32;
    Some(value.wrapping_sub(channel.wrapping_mul(CHANNEL_STEP)).wrapping_mul(STEP_INVERSE) & MASK)
}

/// How far `later` lies behind `earlier`, both mod 2^24; negative when it lies before.
pub fn distance(earlier: u64, later: u64) -> i64 {
    let ahead = later.wrapping_sub(earlier) % CYCLE;
    if ahead < CYCLE / 2 { ahead as i64 } else { ahead as i64 - CYCLE as i64 }
}
