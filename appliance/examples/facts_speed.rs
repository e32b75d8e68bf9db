//! What signal facts cost: CPU seconds per hour of one channel, beside the `ebur128` crate in the same run.
//!
//! `cargo run --release --example facts_speed`. Prints one JSON line per measurement: name, value, unit, goal, peer,
//! peer_value, ratio (peer over ours). Ours measures everything (levels, clipping, silence, noise, hum, loudness, with
//! or without true peak); the peer loudness and its range, sample peak, with or without true peak. CPU time of this
//! process, so other people on the machine disturb little; the runs take turns and the median counts.

use rakkr::audio::facts::{Analyser, Options, loudness::Programme};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

const RATE: u32 = 48_000;
const PERIOD: usize = 1024;
const SECONDS: usize = 20;
const ROUNDS: usize = 5;

struct Case {
    name: &'static str,
    channels: usize,
    true_peak: bool,
    signal: fn(usize, usize) -> f32,
    goal: f64,
}

fn main() -> anyhow::Result<()> {
    let case = |name, channels, true_peak, signal, goal| Case { name, channels, true_peak, signal, goal };
    let cases = [
        case("facts, 32 channels of speech, true peak", 32, true, speech as fn(usize, usize) -> f32, 0.8),
        case("facts, 32 channels of noise, true peak", 32, true, noise, 0.8),
        case("facts, 32 channels of speech, no true peak", 32, false, speech, 0.8),
        case("facts, 8 channels of speech, true peak", 8, true, speech, 0.8),
        case("facts, 2 channels of speech, true peak", 2, true, speech, 3.0),
        case("facts, 2 channels of noise, true peak", 2, true, noise, 3.0),
        case("facts, 32 channels of silence, true peak", 32, true, |_, _| 0.0, 0.8),
    ];
    for case in cases {
        let planar: Vec<Vec<f32>> =
            (0..case.channels).map(|c| (0..10 * RATE as usize).map(|n| (case.signal)(c, n)).collect()).collect();
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(measure_ours(&planar, case.true_peak));
            peers.push(measure_peer(&planar, case.true_peak)?);
        }
        let per_channel_hour = |cpu: f64| cpu / SECONDS as f64 * 3600.0 / case.channels as f64;
        let (value, peer_value) = (per_channel_hour(median(ours)), per_channel_hour(median(peers)));
        let line = serde_json::json!({
            "name": case.name, "value": round(value), "unit": "CPU s per channel-hour", "goal": case.goal,
            "peer": "ebur128 crate", "peer_value": round(peer_value), "ratio": round(peer_value / value),
        });
        println!("{line}");
    }
    Ok(())
}

fn measure_ours(planar: &[Vec<f32>], true_peak: bool) -> f64 {
    let mut analyser = Analyser::new(RATE, planar.len(), Options { true_peak, hum: true });
    let mut programme = Programme::new(vec![1.0; planar.len()]);
    let mut hops = Vec::new();
    let start = cpu_seconds();
    for_each_period(planar, |block| {
        analyser.push(block, &mut hops);
        for hop in hops.drain(..) {
            programme.add_hop(&hop.channels, hop.frames);
        }
    });
    black_box(programme.loudness());
    cpu_seconds() - start
}

fn measure_peer(planar: &[Vec<f32>], true_peak: bool) -> anyhow::Result<f64> {
    use ebur128::{EbuR128, Mode};
    let peak = if true_peak { Mode::TRUE_PEAK } else { Mode::SAMPLE_PEAK };
    let mode = Mode::I | Mode::LRA | Mode::HISTOGRAM | peak;
    // The peer takes 64 channels at most and weighs those past the fifth as unused: pairs measure all of them.
    let mut meters =
        planar.chunks(2).map(|pair| EbuR128::new(pair.len() as u32, RATE, mode)).collect::<Result<Vec<_>, _>>()?;
    let start = cpu_seconds();
    let mut result = Ok(());
    for_each_period(planar, |block| {
        for (meter, pair) in meters.iter_mut().zip(block.chunks(2)) {
            if let Err(error) = meter.add_frames_planar_f32(pair) {
                result = Err(error);
            }
        }
    });
    for meter in &meters {
        black_box((meter.loudness_global()?, meter.loudness_range()?));
    }
    result?;
    Ok(cpu_seconds() - start)
}

fn for_each_period(planar: &[Vec<f32>], mut push: impl FnMut(&[&[f32]])) {
    let length = planar.first().map_or(0, Vec::len);
    for period in 0..SECONDS * RATE as usize / PERIOD {
        let at = (period * PERIOD) % (length - PERIOD);
        let block: Vec<&[f32]> = planar.iter().map(|channel| &channel[at..at + PERIOD]).collect();
        push(black_box(&block));
    }
}

/// White noise at -20 dBFS, another one per channel.
fn noise(channel: usize, frame: usize) -> f32 {
    let mut x =
        (frame as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (channel as u64).wrapping_mul(0xd134_2543_de82_ef95);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x >> 40) as f32 / 8_388_608.0 - 1.0) * 0.17
}

/// Syllables four times a second: pulses of a 120 Hz voice ringing at 600 Hz, over a room's noise at -60 dBFS.
fn speech(channel: usize, frame: usize) -> f32 {
    let t = frame as f32 / RATE as f32 + channel as f32 * 0.037;
    let syllable = (std::f32::consts::TAU * 4.0 * t).sin().max(0.0);
    let since_pulse = (t * 120.0).fract() / 120.0;
    let ring = (-since_pulse * 400.0).exp() * (std::f32::consts::TAU * 600.0 * since_pulse).sin();
    0.4 * syllable * ring + 0.01 * noise(channel, frame)
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
