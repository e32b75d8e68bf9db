//! What the microphones hear while costs are measured: a voice over a room, another one on each channel.
//!
//! Not zeros, which some programs take a short way through, and not the harness's tags, which are full-scale noise.

use crate::harness::RATE;

/// Planar samples of so many seconds.
pub fn speech(channels: u32, seconds: u32) -> Vec<Vec<f32>> {
    let frames = seconds * RATE;
    (0..channels).map(|channel| (0..frames).map(|frame| sample(channel, frame)).collect()).collect()
}

/// Syllables four times a second, pulses of a voice near 120 Hz that ring at 600 Hz, and noise at -55 dBFS.
pub fn sample(channel: u32, frame: u32) -> f32 {
    let t = frame as f32 / RATE as f32 + channel as f32 * 0.037;
    let syllable = (std::f32::consts::TAU * 4.0 * t).sin().max(0.0);
    let pitch = 110.0 + (channel % 8) as f32 * 3.0;
    let since_pulse = (t * pitch).fract() / pitch;
    let ring = (-since_pulse * 400.0).exp() * (std::f32::consts::TAU * 600.0 * since_pulse).sin();
    0.4 * syllable * ring + 0.003 * noise(channel, frame)
}

/// Between -1 and 1.
fn noise(channel: u32, frame: u32) -> f32 {
    let mut x = (u64::from(frame) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ u64::from(channel).wrapping_mul(0xd134_2543_de82_ef95);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 40) as f32 / 8_388_608.0 - 1.0
}
