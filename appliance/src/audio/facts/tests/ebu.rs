//! EBU Tech 3341 and 3342 test vectors (numbers in the names), synthesised, and agreement with the `ebur128` crate.
//! Vectors 7, 8 and 20 to 23 exist only as EBU's own files.

use super::super::loudness::Programme;
use super::*;
use ebur128::{EbuR128, Mode};

const LOUDNESS: Options = Options { true_peak: false, hum: false };
const RATE: u32 = 48_000;

/// A 1 kHz sine in steps of (dBFS peak, seconds), phase running through.
fn steps(levels: &[(f64, f64)]) -> Vec<f32> {
    let mut samples = Vec::new();
    for (dbfs, seconds) in levels {
        let amplitude = 10f64.powf(dbfs / 20.0);
        let start = samples.len();
        let frames = (seconds * f64::from(RATE)).round() as usize;
        samples.extend((start..start + frames).map(|n| (amplitude * (TAU * n as f64 / 48.0).sin()) as f32));
    }
    samples
}

const SILENCE: f64 = -300.0;

/// Measures `channels` and calls `watch` after every hop.
fn measure(rate: u32, channels: &[Vec<f32>], weights: &[f32], mut watch: impl FnMut(f64, &Programme)) -> Programme {
    let mut programme = Programme::new(weights.to_vec());
    let (hops, _) = analyse(rate, channels, LOUDNESS);
    for (index, hop) in hops.iter().enumerate() {
        programme.add_hop(&hop.channels, hop.frames);
        watch((index + 1) as f64 * 0.05, &programme);
    }
    programme
}

fn stereo(levels: &[(f64, f64)]) -> Programme {
    let tone = steps(levels);
    measure(RATE, &[tone.clone(), tone], &[1.0, 1.0], |_, _| ())
}

fn assert_near(measured: Option<f64>, expected: f64, tolerance: f64) {
    let measured = measured.expect("measured");
    assert!((measured - expected).abs() <= tolerance, "{measured} is not {expected} +- {tolerance}");
}

#[test]
fn vectors_1_and_2_steady_tones() {
    for level in [-23.0, -33.0] {
        let programme = stereo(&[(level, 20.0)]);
        assert_near(programme.momentary(), level, 0.1);
        assert_near(programme.short_term(), level, 0.1);
        assert_near(programme.integrated(), level, 0.1);
    }
}

#[test]
fn vectors_3_to_5_gates() {
    let programmes: [&[(f64, f64)]; 3] = [
        &[(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)],
        &[(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)],
        &[(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)],
    ];
    for levels in programmes {
        assert_near(stereo(levels).integrated(), -23.0, 0.1);
    }
}

#[test]
fn vector_6_surround_weights() {
    let channels: Vec<Vec<f32>> = [-28.0, -28.0, -24.0, -30.0, -30.0].map(|level| steps(&[(level, 20.0)])).into();
    let programme = measure(RATE, &channels, &[1.0, 1.0, 1.0, 1.41, 1.41], |_, _| ());
    assert_near(programme.integrated(), -23.0, 0.1);
}

#[test]
fn vector_9_short_term_stays_constant() {
    let tone = steps(&[(-20.0, 1.34), (-30.0, 1.66)].repeat(5));
    measure(RATE, &[tone.clone(), tone], &[1.0, 1.0], |at, programme| {
        if at > 3.0 {
            assert_near(programme.short_term(), -23.0, 0.1);
        }
    });
}

#[test]
fn vector_10_short_term_maximum_wherever_the_burst_begins() {
    for shift in 0..20 {
        let programme = stereo(&[(SILENCE, f64::from(shift) * 0.15), (-23.0, 3.0), (SILENCE, 1.0)]);
        assert_near(programme.loudness().short_term_lufs, -23.0, 0.1);
    }
}

#[test]
fn vector_13_momentary_maximum_wherever_the_burst_begins() {
    for shift in 0..20 {
        let programme = stereo(&[(SILENCE, f64::from(shift) * 0.02), (-23.0, 0.4), (SILENCE, 1.0)]);
        assert_near(programme.loudness().momentary_lufs, -23.0, 0.1);
    }
}

/// Bursts from -38 to -19 dBFS, each `length` long and `shift` later in its slot of `slot` seconds than the one before.
fn rising_bursts(length: f64, shift: f64, slot: f64, maximum: fn(&Programme) -> Option<f64>) {
    let burst = |n: i32| {
        let wait = f64::from(n) * shift;
        [(SILENCE, wait), (f64::from(n - 38), length), (SILENCE, slot - length - wait)]
    };
    let tone = steps(&(0..20).flat_map(burst).collect::<Vec<_>>());
    let mut maxima = Vec::new();
    measure(RATE, &[tone.clone(), tone], &[1.0, 1.0], |at, programme| {
        if (at / slot - (at / slot).round()).abs() < 1e-6 {
            maxima.push(maximum(programme));
        }
    });
    assert_eq!(maxima.len(), 20);
    for (n, max) in maxima.into_iter().enumerate() {
        assert_near(max, n as f64 - 38.0, 0.1);
    }
}

#[test]
fn vector_11_short_term_maximum_of_rising_bursts() {
    rising_bursts(3.0, 0.15, 6.0, |programme| programme.loudness().short_term_lufs);
}

#[test]
fn vector_14_momentary_maximum_of_rising_bursts() {
    rising_bursts(0.4, 0.02, 0.8, |programme| programme.loudness().momentary_lufs);
}

#[test]
fn vector_12_momentary_stays_constant() {
    let tone = steps(&[(-20.0, 0.18), (-30.0, 0.22)].repeat(25));
    measure(RATE, &[tone.clone(), tone], &[1.0, 1.0], |at, programme| {
        if at > 1.0 {
            assert_near(programme.momentary(), -23.0, 0.1);
        }
    });
}

/// True peak in dBTP of a tone at `rate / divisor`, faded in over 100 ms: a hard start has true peaks of its own.
fn tone_true_peak(rate: u32, divisor: f64, degrees: f64, amplitude: f64) -> f64 {
    let tone = synth(rate, 0.5, |t| {
        let fade = (t / 0.1).min(1.0);
        amplitude * fade * (TAU * (t * f64::from(rate) / divisor + degrees / 360.0)).sin()
    });
    let (_, analyser) = analyse(rate, &[tone], Options { true_peak: true, hum: false });
    f64::from(analyser.channel(0).unwrap().since_start.true_peak_dbfs().unwrap())
}

#[test]
fn vectors_15_to_19_true_peak() {
    for rate in [44_100, 48_000] {
        let cases = [
            (4.0, 0.0, 0.5, -6.0),
            (4.0, 45.0, 0.5, -6.0),
            (6.0, 60.0, 0.5, -6.0),
            (8.0, 67.5, 0.5, -6.0),
            (4.0, 45.0, 1.41, 3.0),
        ];
        for (divisor, degrees, amplitude, expected) in cases {
            let measured = tone_true_peak(rate, divisor, degrees, amplitude);
            assert!((expected - 0.4..=expected + 0.2).contains(&measured), "fs/{divisor} {degrees}: {measured}");
        }
    }
}

#[test]
fn true_peak_holds_up_to_16_khz_and_at_96_khz() {
    for degrees in [0.0, 11.0, 22.5, 30.0, 45.0, 77.0] {
        for (rate, divisor) in [(48_000, 48.1), (48_000, 5.03), (48_000, 3.01), (96_000, 8.0), (96_000, 6.02)] {
            let measured = tone_true_peak(rate, divisor, degrees, 0.5);
            assert!((-6.42..=-5.82).contains(&measured), "{rate} / {divisor} at {degrees}: {measured}");
        }
    }
}

#[test]
fn vectors_3342_1_to_4_range() {
    let programmes: [(&[(f64, f64)], f64); 4] = [
        (&[(-20.0, 20.0), (-30.0, 20.0)], 10.0),
        (&[(-20.0, 20.0), (-15.0, 20.0)], 5.0),
        (&[(-40.0, 20.0), (-20.0, 20.0)], 20.0),
        (&[(-50.0, 20.0), (-35.0, 20.0), (-20.0, 20.0), (-35.0, 20.0), (-50.0, 20.0)], 15.0),
    ];
    for (levels, expected) in programmes {
        assert_near(stereo(levels).range(), expected, 0.5);
    }
}

#[test]
fn full_scale_997_hz_in_one_channel_is_minus_3_01() {
    // The constant of BS.1770 is made for its filters at 48 kHz; the shelf differs by hundredths elsewhere.
    for (rate, tolerance) in [(44_100, 0.02), (48_000, 0.01), (96_000, 0.03)] {
        let channels = [sine(rate, 2.0, 997.0, 1.0), vec![0.0; 2 * rate as usize]];
        assert_near(measure(rate, &channels, &[1.0, 1.0], |_, _| ()).integrated(), -3.01, tolerance);
    }
}

/// The crate's integrated (minus infinity if nothing passes the gate), short-term and momentary loudness and range of a
/// stereo programme.
fn reference(rate: u32, channels: &[Vec<f32>]) -> [f64; 4] {
    let mut meter = EbuR128::new(2, rate, Mode::I | Mode::S | Mode::M | Mode::LRA).unwrap();
    meter.add_frames_planar_f32(&[&channels[0], &channels[1]]).unwrap();
    [
        meter.loudness_global().unwrap(),
        meter.loudness_shortterm().unwrap(),
        meter.loudness_momentary().unwrap(),
        meter.loudness_range().unwrap(),
    ]
}

#[test]
fn the_ebur128_crate_agrees_within_0_02_lu_from_0_to_minus_70() {
    for (rate, level) in
        [(48_000, 0.0), (44_100, -20.0), (96_000, -40.0), (32_000, -50.0), (48_000, -66.0), (48_000, -70.0)]
    {
        let gain = 10f64.powf(level / 20.0);
        let mut next = white(7);
        let noise = synth(rate, 6.0, |_| gain * next());
        let talk = speech(rate, 6.0, level, 11);
        // Under the high-pass, where its poles decide and f32 would fail.
        let rumble = sine(rate, 6.0, 31.0, gain);
        for pair in [[noise.clone(), talk.clone()], [talk.clone(), talk], [rumble.clone(), rumble]] {
            let [integrated, short_term, momentary, range] = reference(rate, &pair);
            let ours = measure(rate, &pair, &[1.0, 1.0], |_, _| ());
            assert_near(ours.short_term(), short_term, 0.02);
            assert_near(ours.momentary(), momentary, 0.02);
            if integrated.is_finite() {
                assert_near(ours.integrated(), integrated, 0.02);
                assert_near(ours.range(), range, 0.5);
            } else {
                assert_eq!((ours.integrated(), ours.range()), (None, None));
            }
        }
    }
}

/// Tech 3342 without a histogram: sort all gated values.
fn exact_range(short_terms: &[f64]) -> f64 {
    let power = |lufs: f64| 10f64.powf(lufs / 10.0);
    let mut kept: Vec<f64> = short_terms.iter().copied().filter(|s| *s > -70.0).collect();
    let mean = 10.0 * (kept.iter().map(|s| power(*s)).sum::<f64>() / kept.len() as f64).log10();
    kept.retain(|s| *s >= mean - 20.0);
    kept.sort_by(f64::total_cmp);
    let at = |p: f64| kept[((kept.len() - 1) as f64 * p).round() as usize];
    at(0.95) - at(0.10)
}

#[test]
fn a_minute_of_changing_speech_agrees_with_the_crate_and_with_sorting() {
    let levels = [-22.0, -31.0, -18.0, -45.0, -27.0, -80.0, -24.0, -35.0, -20.0, -29.0, -60.0, -26.0];
    let talk: Vec<f32> = (0..).zip(levels).flat_map(|(seed, level)| speech(RATE, 5.0, level, seed)).collect();
    let pair = [talk.clone(), talk];
    let [integrated, ..] = reference(RATE, &pair);
    let mut short_terms = Vec::new();
    let ours = measure(RATE, &pair, &[1.0, 1.0], |at, programme| {
        if (at * 10.0 - (at * 10.0).round()).abs() < 1e-6 {
            short_terms.extend(programme.short_term());
        }
    });
    assert_near(ours.integrated(), integrated, 0.02);
    assert_near(ours.range(), exact_range(&short_terms), 0.1);
}

#[test]
fn true_peak_skips_nothing_that_counts() {
    // A burst whose samples straddle the crest, so that the highest point lies 3 dB over every sample of it, next to
    // one sample that is higher than its samples and lower than its crest.
    let mut samples = vec![0.0f32; 2400];
    for (n, x) in samples.iter_mut().enumerate().skip(1500).take(200) {
        let bell = 0.5 - 0.5 * (TAU * (n as f64 - 1500.0) / 200.0).cos();
        *x = (0.5 * bell * (TAU * (n as f64 / 4.0 + 0.125)).sin()) as f32;
    }
    samples[100] = 0.4;
    let (hops, _) = analyse(RATE, &[samples], Options { true_peak: true, hum: false });
    let facts = hops[0].channels[0];
    assert_eq!(facts.peak, 0.4);
    assert!((facts.true_peak - 0.5).abs() < 0.01, "{}", facts.true_peak);
}

#[test]
fn true_peak_of_speech_agrees_with_the_crate() {
    let talk = speech(RATE, 3.0, -12.0, 21);
    let mut meter = EbuR128::new(1, RATE, Mode::TRUE_PEAK).unwrap();
    meter.add_frames_planar_f32(&[&talk]).unwrap();
    let expected = 20.0 * meter.true_peak(0).unwrap().log10();
    let (_, analyser) = analyse(RATE, &[talk], Options { true_peak: true, hum: false });
    let measured = analyser.channel(0).unwrap().since_start.true_peak_dbfs().map(f64::from);
    assert_near(measured, expected, 0.1);
}
