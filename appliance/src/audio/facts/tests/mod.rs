//! What the analyser promises, on synthesised signals: exact levels, any block size, any channel count, damage, gaps.
//! The EBU vectors are in `ebu`, hum in `hum_signals`; the state machines have their tests beside them.

mod ebu;
mod hum_signals;

use super::*;
use std::f64::consts::TAU;

const ALL: Options = Options { true_peak: true, hum: true };

/// `seconds` of what `sample` gives at each frame.
fn synth(rate: u32, seconds: f64, mut sample: impl FnMut(f64) -> f64) -> Vec<f32> {
    let frames = (seconds * f64::from(rate)).round() as usize;
    (0..frames).map(|n| sample(n as f64 / f64::from(rate)) as f32).collect()
}

fn sine(rate: u32, seconds: f64, hz: f64, amplitude: f64) -> Vec<f32> {
    synth(rate, seconds, |t| amplitude * (TAU * hz * t).sin())
}

/// White noise in -1..1, the same for the same seed (SplitMix64).
fn white(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Noise with the spectrum (falling 6 dB per octave from 500 Hz) and the rhythm (4 Hz) of speech, RMS about `dbfs`.
fn speech(rate: u32, seconds: f64, dbfs: f64, seed: u64) -> Vec<f32> {
    let mut next = white(seed);
    let keep = (-TAU * 500.0 / f64::from(rate)).exp();
    let mut low = 0.0;
    let gain = 10f64.powf(dbfs / 20.0) * 3f64.sqrt() * ((1.0 + keep) / (1.0 - keep)).sqrt() / 0.612;
    synth(rate, seconds, |t| {
        low = keep * low + (1.0 - keep) * next();
        gain * low * (0.5 + 0.5 * (TAU * 4.0 * t).sin())
    })
}

/// All hops of `channels`, pushed in blocks of `block` frames.
fn hops_in_blocks(analyser: &mut Analyser, channels: &[Vec<f32>], block: usize) -> Vec<Hop> {
    let mut hops = Vec::new();
    let length = channels.first().map_or(0, Vec::len);
    let mut at = 0;
    while at < length {
        let end = (at + block).min(length);
        let planar: Vec<&[f32]> = channels.iter().map(|channel| &channel[at..end]).collect();
        analyser.push(&planar, &mut hops);
        at = end;
    }
    hops
}

fn analyse(rate: u32, channels: &[Vec<f32>], options: Options) -> (Vec<Hop>, Analyser) {
    let mut analyser = Analyser::new(rate, channels.len(), options);
    let hops = hops_in_blocks(&mut analyser, channels, 1024);
    (hops, analyser)
}

/// Three channels with everything in them: speech, a clipped tone, noise with a dropout.
fn mixed(rate: u32, seconds: f64) -> Vec<Vec<f32>> {
    let mut clipped = sine(rate, seconds, 220.0, 1.4);
    clipped.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
    let mut next = white(9);
    let broken = synth(rate, seconds, |t| if (0.3..0.5).contains(&t) { 0.0 } else { 0.1 * next() });
    vec![speech(rate, seconds, -25.0, 1), clipped, broken]
}

fn close(a: f32, b: f32, relative: f32) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1e-6)
}

#[test]
fn a_hop_says_what_plain_arithmetic_says() {
    let channels = mixed(44_100, 1.0);
    let (hops, _) = analyse(44_100, &channels, ALL);
    assert_eq!(hops.len(), 20);
    for (index, hop) in hops.iter().enumerate() {
        assert_eq!((hop.first_frame, hop.frames), (index as u64 * 2205, 2205));
        for (channel, measured) in channels.iter().zip(&hop.channels) {
            let samples = &channel[index * 2205..][..2205];
            let squares: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum();
            let sum: f64 = samples.iter().map(|x| f64::from(*x)).sum();
            assert_eq!(measured.min, samples.iter().copied().fold(f32::MAX, f32::min));
            assert_eq!(measured.max, samples.iter().copied().fold(f32::MIN, f32::max));
            assert_eq!(measured.peak, measured.max.max(-measured.min));
            assert!(close(measured.sum_squares, squares as f32, 1e-5));
            assert!((f64::from(measured.sum) - sum).abs() < 1e-3, "{} {sum}", measured.sum);
        }
    }
}

#[test]
fn a_full_scale_sine_has_rms_minus_3_01_and_peak_0() {
    let (hops, analyser) = analyse(48_000, &[sine(48_000, 1.0, 1000.0, 1.0)], ALL);
    let hop = &hops[10];
    assert!((hop.channels[0].rms_dbfs(hop.frames) + 3.01).abs() < 0.01);
    assert!(hop.channels[0].peak_dbfs().abs() < 0.01);
    assert!((analyser.channel(0).unwrap().since_start.rms_dbfs() + 3.01).abs() < 0.01);
    assert!(analyser.channel(1).is_none());
}

#[test]
fn the_size_of_the_blocks_changes_nothing() {
    let channels = mixed(48_000, 1.3);
    let mut reference = Analyser::new(48_000, 3, ALL);
    let expected = hops_in_blocks(&mut reference, &channels, channels[0].len());
    assert_eq!(expected.len(), 26);
    for block in [1, 7, 64, 1024, 4096] {
        let mut analyser = Analyser::new(48_000, 3, ALL);
        assert_eq!(hops_in_blocks(&mut analyser, &channels, block), expected, "blocks of {block}");
    }
}

#[test]
fn every_channel_is_measured_as_if_it_were_alone() {
    for count in [1, 2, 7, 8, 9, 32, 64] {
        let channels: Vec<Vec<f32>> = (0..count).map(|n| speech(48_000, 0.2, -20.0 - n as f64 / 2.0, n)).collect();
        let (together, _) = analyse(48_000, &channels, ALL);
        for n in [0, count as usize / 2, count as usize - 1] {
            let (alone, _) = analyse(48_000, &channels[n..=n], ALL);
            for (a, b) in together.iter().zip(&alone) {
                assert_eq!(a.channels.len(), count as usize);
                assert_eq!(a.channels[n], b.channels[0], "channel {n} of {count}");
            }
        }
    }
}

#[test]
fn the_plain_path_agrees_with_the_fast_one() {
    let channels = mixed(48_000, 2.2);
    let mut fast = Analyser::new(48_000, 3, ALL);
    let mut plain = Analyser::with_path(48_000, 3, ALL, Path::Plain);
    let pairs = hops_in_blocks(&mut fast, &channels, 4096).into_iter().zip(hops_in_blocks(&mut plain, &channels, 4096));
    for (a, b) in pairs.flat_map(|(a, b)| a.channels.into_iter().zip(b.channels)) {
        assert_eq!((a.peak, a.min, a.max, a.clipped, a.non_finite), (b.peak, b.min, b.max, b.clipped, b.non_finite));
        for (x, y) in [
            (a.true_peak, b.true_peak),
            (a.sum_squares, b.sum_squares),
            (a.k_sum_squares, b.k_sum_squares),
            (a.k_parts[4], b.k_parts[4]),
            (a.sum, b.sum),
        ] {
            assert!(close(x, y, 1e-4), "{x} {y}");
        }
    }
    let level =
        |analyser: &Analyser| analyser.channel(0).unwrap().hum.as_ref().unwrap().level(hum::Mains::Hz50).unwrap();
    assert!((level(&fast).level_dbfs - level(&plain).level_dbfs).abs() < 0.01);
}

#[test]
fn true_peak_is_never_invented() {
    let (hops, _) = analyse(48_000, &mixed(48_000, 0.1), Options { true_peak: false, hum: false });
    assert_eq!(hops[0].channels[0].true_peak_dbfs(), None);
    let (hops, _) = analyse(192_000, &mixed(192_000, 0.1), ALL);
    assert_eq!(hops[0].channels[0].true_peak, hops[0].channels[0].peak);
}

#[test]
fn clipping_counts_all_samples_of_a_run_even_across_hops() {
    let mut samples = vec![0.1f32; 4800];
    samples[100..102].fill(1.0);
    samples[200..203].fill(-1.0);
    samples[300..310].fill(32_767.0 / 32_768.0);
    samples[2398..2402].fill(1.0);
    let (hops, analyser) = analyse(48_000, &[samples], ALL);
    assert_eq!((hops[0].channels[0].clipped, hops[1].channels[0].clipped), (13, 4));
    assert_eq!(analyser.channel(0).unwrap().since_start.clipped(), 17);
}

#[test]
fn what_is_not_audio_is_counted_and_poisons_nothing() {
    let clean = speech(48_000, 0.5, -25.0, 3);
    let (expected, _) = analyse(48_000, std::slice::from_ref(&clean), ALL);
    for damage in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e30, 2e6] {
        // At the start of a hop, in its middle, in its odd tail.
        for at in [2400, 3500, 4799] {
            let mut broken = clean.clone();
            broken[at] = damage;
            let (hops, _) = analyse(48_000, &[broken], ALL);
            assert_eq!((hops[1].channels[0].non_finite, hops[1].channels[0].clipped), (1, 1), "{damage} at {at}");
            assert!(hops[1].channels[0].true_peak < 1.0);
            let (a, b) = (hops[9].channels[0], expected[9].channels[0]);
            assert!(close(a.k_sum_squares, b.k_sum_squares, 1e-4) && a.true_peak == b.true_peak);
        }
    }
}

#[test]
fn a_tone_clipped_before_a_digital_pad_has_a_flat_top() {
    let clipped = synth(48_000, 1.0, |t| 0.5 * (2.0 * (TAU * 300.0 * t).sin()).clamp(-1.0, 1.0));
    let (_, analyser) = analyse(48_000, &[clipped], ALL);
    let (magnitude, runs) = analyser.channel(0).unwrap().flat_top.flat_top().unwrap();
    assert_eq!(magnitude, 0.5);
    assert!((500..=600).contains(&runs), "{runs}");
    assert_eq!(analyser.channel(0).unwrap().since_start.clipped(), 0);
}

#[test]
fn the_crest_of_a_low_tone_in_16_bits_is_no_flat_top() {
    for (hz, amplitude) in [(50.0, 0.5), (50.0, 0.03), (997.0, 0.9)] {
        let quantised = synth(48_000, 1.0, |t| (amplitude * (TAU * hz * t).sin() * 32_768.0).round() / 32_768.0);
        let (_, analyser) = analyse(48_000, &[quantised], ALL);
        assert_eq!(analyser.channel(0).unwrap().flat_top.flat_top(), None, "{hz} Hz at {amplitude}");
    }
}

#[test]
fn a_stuck_value_is_digital_zero_and_faint_noise_is_not() {
    let mut next = white(5);
    let faint = synth(48_000, 2.0, |_| 3e-5 * next());
    let (_, analyser) = analyse(48_000, &[vec![0.25; 96_000], vec![0.0; 96_000], faint], ALL);
    let silence = |n| &analyser.channel(n).unwrap().silence;
    assert_eq!((silence(0).state(), silence(0).seconds()), (silence::Silence::DigitalZero, 2.0));
    assert_eq!(silence(1).state(), silence::Silence::DigitalZero);
    assert_eq!((silence(2).state(), silence(2).digital_zero_seconds()), (silence::Silence::Quiet, 0.0));
    let total = |n| analyser.channel(n).unwrap().since_start;
    assert_eq!((total(0).flat_frames(), total(0).zero_frames(), total(0).dc()), (96_000, 0, 0.25));
    assert_eq!((total(1).zero_frames(), total(2).flat_frames()), (96_000, 0));
    assert_eq!(analyser.channel(0).unwrap().noise.dc_offset(), Some(0.25));
}

#[test]
fn silence_after_sound_ends_in_exact_zero() {
    let mut samples = speech(48_000, 1.0, -10.0, 2);
    samples.resize(48_000 * 3, 0.0);
    let (hops, _) = analyse(48_000, &[samples], ALL);
    assert_eq!(hops.last().unwrap().channels[0], ChannelHop::default());
}

#[test]
fn after_a_gap_the_filters_are_new_and_the_count_of_frames_goes_on() {
    let (before, after) = (mixed(48_000, 0.13), mixed(48_000, 0.5));
    let mut analyser = Analyser::new(48_000, 3, ALL);
    let first = hops_in_blocks(&mut analyser, &before, 512);
    analyser.reset_after_gap();
    let second = hops_in_blocks(&mut analyser, &after, 512);
    let (fresh, _) = analyse(48_000, &after, ALL);
    assert_eq!((first.len(), second.len()), (2, 10));
    for (a, b) in second.iter().zip(&fresh) {
        assert_eq!(a.first_frame, b.first_frame + 6240);
        assert_eq!(a.channels, b.channels);
    }
    assert_eq!(analyser.channel(0).unwrap().since_start.frames(), 12 * 2400);
}

#[test]
fn no_sample_reaches_across_a_gap() {
    let loud = vec![1.0f32; 2400];
    let mut before = sine(48_000, 0.05, 1000.0, 0.1);
    before[2398..].fill(1.0);
    let mut after = sine(48_000, 0.05, 1000.0, 1e-3);
    after[0] = 1.0;
    let mut analyser = Analyser::new(48_000, 2, ALL);
    hops_in_blocks(&mut analyser, &[loud, before], 2400);
    analyser.reset_after_gap();
    let hops = hops_in_blocks(&mut analyser, &[sine(48_000, 0.05, 1000.0, 1e-3), after], 2400);
    assert!(hops[0].channels[0].true_peak < 1.1e-3, "{}", hops[0].channels[0].true_peak);
    assert_eq!(hops[0].channels[1].clipped, 0);
}

#[test]
fn missing_and_surplus_slices_do_no_harm() {
    let tone = sine(48_000, 0.05, 1000.0, 0.5);
    let mut analyser = Analyser::new(48_000, 2, ALL);
    let mut hops = Vec::new();
    analyser.push(&[], &mut hops);
    analyser.push(&[&tone], &mut hops);
    analyser.push(&[&tone, &tone, &tone[..7]], &mut hops);
    assert_eq!(hops.len(), 2);
    assert_eq!((hops[0].channels[1].peak, hops[1].channels[1].peak), (0.0, hops[1].channels[0].peak));
    Analyser::new(0, 0, ALL).push(&[&tone], &mut hops);
    assert_eq!(hops.len(), 2);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_bit_pattern_panics_or_leaves_a_number_that_is_none(
        bits in proptest::collection::vec(proptest::prelude::any::<u32>(), 1..64),
        rate in 1u32..50_000,
        block in 1usize..5000,
    ) {
        let garbage: Vec<f32> = (0..6000).map(|n| f32::from_bits(bits[n % bits.len()].rotate_left(n as u32 / 64))).collect();
        let mut analyser = Analyser::new(rate, 1, ALL);
        let mut programme = loudness::Programme::new(vec![1.0]);
        for hop in hops_in_blocks(&mut analyser, &[garbage], block) {
            let facts = hop.channels[0];
            let all = [facts.peak, facts.true_peak, facts.sum_squares, facts.k_sum_squares, facts.sum, facts.min, facts.max];
            proptest::prop_assert!(all.iter().all(|x| x.is_finite()), "{:?}", facts);
            programme.add_hop(&hop.channels, hop.frames);
        }
        proptest::prop_assert!(programme.loudness().momentary_lufs.is_none_or(f64::is_finite));
    }
}
