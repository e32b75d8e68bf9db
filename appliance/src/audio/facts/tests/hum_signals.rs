//! Hum is found where it is, under speech, at its threshold; bass, tones, speech and folded tones are not hum.

use super::super::hum::Mains;
use super::*;

const RATE: u32 = 48_000;

/// Mains with harmonics 1, 2, 3 and 5 of equal level, `dbfs` RMS together.
fn mains(rate: u32, seconds: f64, base: f64, dbfs: f64) -> Vec<f32> {
    let amplitude = (2.0f64 / 4.0).sqrt() * 10f64.powf(dbfs / 20.0);
    synth(rate, seconds, |t| [1.0, 2.0, 3.0, 5.0].iter().map(|h| amplitude * (TAU * base * h * t + h).sin()).sum())
}

fn mix(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn hum_of(rate: u32, samples: Vec<f32>) -> hum::Hum {
    let (_, mut analyser) = analyse(rate, &[samples], Options { true_peak: false, hum: true });
    analyser.states.remove(0).hum.unwrap()
}

#[test]
fn hum_at_50_and_60_is_found_at_every_common_rate() {
    for rate in [8000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
        for (base, expected) in [(50.0, Mains::Hz50), (60.0, Mains::Hz60)] {
            let hum = hum_of(rate, mains(rate, 10.5, base, -40.0));
            assert_eq!(hum.is_hum(), Some(expected), "{base} Hz at {rate}");
            let level = hum.level(expected).unwrap();
            assert_eq!(level.harmonics, 4);
            assert!((level.level_dbfs + 40.0).abs() < 0.2, "{level:?} at {rate}");
            assert!(level.margin_db > 40.0);
        }
    }
}

#[test]
fn under_speech_hum_is_found_just_over_the_threshold_and_not_just_under_it() {
    let talk = speech(RATE, 11.0, -50.0, 4);
    let over = hum_of(RATE, mix(&talk, &mains(RATE, 11.0, 50.0, -54.0)));
    assert_eq!(over.is_hum(), Some(Mains::Hz50), "{:?}", over.level(Mains::Hz50));
    let under = hum_of(RATE, mix(&talk, &mains(RATE, 11.0, 50.0, -56.0)));
    assert_eq!(under.is_hum(), None, "{:?}", under.level(Mains::Hz50));
}

#[test]
fn mains_a_little_off_their_frequency_are_found() {
    // The European grid is alarmed at 49.8 and 50.2 Hz; the fifth harmonic is then 1 Hz off.
    for (base, expected) in [(49.8, Mains::Hz50), (50.1, Mains::Hz50), (60.15, Mains::Hz60)] {
        let hum = hum_of(RATE, mains(RATE, 10.5, base, -45.0));
        assert_eq!(hum.is_hum(), Some(expected), "{base}");
        assert!((hum.level(expected).unwrap().level_dbfs + 45.0).abs() < 2.0);
    }
}

#[test]
fn a_voice_whose_pitch_wanders_over_the_lines_is_not_hum() {
    // Thirty harmonics of a pitch between 94 and 126 Hz, one sweep in 2.5 s.
    let mut phase = 0.0;
    let voice = synth(RATE, 15.0, |t| {
        phase += (110.0 + 16.0 * (TAU * 0.4 * t).sin()) / f64::from(RATE);
        (1..=30).map(|h| 0.1 / f64::from(h) * (TAU * phase * f64::from(h)).sin()).sum()
    });
    let (_, analyser) = analyse(RATE, &[voice], ALL);
    assert_eq!(analyser.channel(0).unwrap().hum.as_ref().unwrap().is_hum(), None);
}

#[test]
fn hum_must_hold_for_ten_seconds() {
    assert_eq!(hum_of(RATE, mains(RATE, 9.5, 60.0, -40.0)).is_hum(), None);
    let mut stopped = mains(RATE, 12.0, 60.0, -40.0);
    stopped.resize(14 * RATE as usize, 0.0);
    assert_eq!(hum_of(RATE, stopped).is_hum(), None);
}

#[test]
fn loud_speech_covers_hum_without_ending_it() {
    let mut samples = mains(RATE, 10.0, 50.0, -50.0);
    samples.extend(speech(RATE, 3.0, -15.0, 6));
    let hum = hum_of(RATE, samples);
    assert!(hum.level(Mains::Hz50).unwrap().is_masked);
    assert_eq!(hum.is_hum(), Some(Mains::Hz50));
}

#[test]
fn bass_tones_and_speech_are_not_hum() {
    let signals = [
        ("50 Hz bass", sine(RATE, 11.0, 50.0, 0.3)),
        ("100 Hz tone", sine(RATE, 11.0, 100.0, 0.3)),
        ("1 kHz tone", sine(RATE, 11.0, 1000.0, 0.9)),
        ("speech", speech(RATE, 11.0, -20.0, 8)),
        (
            "E major chord",
            synth(RATE, 11.0, |t| [82.4, 123.5, 164.8, 207.7].iter().map(|f| 0.1 * (TAU * f * t).sin()).sum()),
        ),
    ];
    for (name, samples) in signals {
        assert_eq!(hum_of(RATE, samples).is_hum(), None, "{name}");
    }
}

#[test]
fn tones_that_would_fold_onto_the_lines_are_stopped() {
    // 2 kHz after decimation: 1950, 1900, 1850 and 2050 Hz would land on 50, 100, 150 and 50.
    let folded =
        synth(RATE, 11.0, |t| [1950.0, 1900.0, 1850.0, 2050.0].iter().map(|f| 0.25 * (TAU * f * t).sin()).sum());
    let hum = hum_of(RATE, folded);
    assert!(hum.level(Mains::Hz50).unwrap().level_dbfs < -75.0, "{:?}", hum.level(Mains::Hz50));
    assert_eq!(hum.is_hum(), None);
}

#[test]
fn a_rate_without_a_fitting_divisor_has_no_hum_and_says_so() {
    let analyser = Analyser::new(11_025, 1, ALL);
    assert!(analyser.channel(0).unwrap().hum.is_none());
}

#[test]
fn a_gap_discards_the_second_and_keeps_the_verdict() {
    let tone = mains(RATE, 10.5, 50.0, -40.0);
    let (_, mut analyser) = analyse(RATE, &[tone], ALL);
    let verdict = |analyser: &Analyser| analyser.channel(0).unwrap().hum.as_ref().unwrap().is_hum();
    analyser.reset_after_gap();
    hops_in_blocks(&mut analyser, &[vec![0.0; 45_600]], 1024);
    assert_eq!(verdict(&analyser), Some(Mains::Hz50));
    hops_in_blocks(&mut analyser, &[vec![0.0; 2400]], 1024);
    assert_eq!(verdict(&analyser), None);
    let level = analyser.channel(0).unwrap().hum.as_ref().unwrap().level(Mains::Hz50).unwrap();
    assert_eq!((level.level_dbfs, level.harmonics), (FLOOR_DBFS, 0));
}
