//! What the detector promises, on synthetic rooms and on voices from Debian's packages.

use super::signals::{Kind, babbler, linear, make, scale_to};
use super::voices;
use super::{SpeechDetector, SpeechFacts};
use proptest::prelude::*;
use std::path::Path;

const RATE: u32 = 16_000;
/// The English voice; no part of the training.
const ENGLISH: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";

fn seconds(n: f32) -> usize {
    (n * RATE as f32) as usize
}

fn at_level(mut samples: Vec<f32>, dbfs: f32) -> Vec<f32> {
    scale_to(&mut samples, linear(dbfs));
    samples
}

fn noise(kind: Kind, length: f32, dbfs: f32, seed: u64) -> Vec<f32> {
    at_level(make(kind, RATE, seconds(length), seed), dbfs)
}

/// The facts at the end and the highest score on the way.
fn run(samples: &[f32]) -> (SpeechFacts, f32) {
    let mut detector = SpeechDetector::new(RATE, 1);
    let mut best = 0.0f32;
    for block in samples.chunks(RATE as usize / 50) {
        detector.push(&[block]);
        best = best.max(detector.channel(0).score);
    }
    (detector.channel(0), best)
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Recordings of the English voice one after another with pauses of half a second, `length` seconds of it.
fn english(length: f32) -> Vec<f32> {
    let recordings = voices::load(Path::new(ENGLISH)).unwrap_or_else(|missing| panic!("{missing}"));
    let mut out = Vec::new();
    for voice in recordings.iter().step_by(9) {
        out.extend(voice.at_rate(RATE));
        out.extend(vec![0.0; seconds(0.5)]);
        if out.len() >= seconds(length) {
            break;
        }
    }
    out.truncate(seconds(length));
    out
}

#[test]
fn rooms_without_people_are_not_speech() {
    for kind in Kind::ROOM {
        for dbfs in [-60.0, -35.0, -10.0] {
            let (facts, best) = run(&noise(kind, 6.0, dbfs, 5));
            assert_eq!(facts.speech_seconds, 0.0, "{kind:?} at {dbfs} dBFS: {best}");
        }
    }
}

#[test]
fn tones_and_clicks_are_not_speech() {
    for kind in [Kind::Tone, Kind::Beeps, Kind::Dial, Kind::Clicks, Kind::Flutter, Kind::Switching] {
        let (facts, best) = run(&noise(kind, 8.0, -20.0, 6));
        assert_eq!(facts.speech_seconds, 0.0, "{kind:?}: {best}");
    }
}

#[test]
fn digital_silence_is_not_speech_and_has_no_snr() {
    let (facts, best) = run(&vec![0.0; seconds(5.0)]);
    assert_eq!((facts.speech_seconds, best, facts.snr_db), (0.0, 0.0, None));
    assert_eq!(facts.last_speech_frames_ago, None);
}

#[test]
fn a_voice_is_found_at_any_level() {
    let voice = english(6.0);
    let reference = run(&at_level(voice.clone(), -30.0)).0.speech_seconds;
    assert!(reference > 3.0, "{reference}");
    for dbfs in [-60.0, -45.0, -10.0, -6.0] {
        let found = run(&at_level(voice.clone(), dbfs)).0.speech_seconds;
        assert!((found - reference).abs() < 0.5, "{dbfs} dBFS: {found} s, at -30 {reference} s");
    }
}

#[test]
fn a_voice_ten_db_above_a_room_is_found_and_the_room_alone_is_not() {
    let voice = at_level(english(8.0), -30.0);
    for kind in Kind::ROOM {
        let room = noise(kind, 10.0, -40.0, 7);
        assert_eq!(run(&room[..seconds(2.0)]).0.speech_seconds, 0.0, "{kind:?}");
        let spoken = sum(&[vec![0.0; seconds(2.0)], voice.clone()].concat(), &room);
        let facts = run(&spoken).0;
        assert!(facts.speech_seconds > 4.0, "{kind:?}: {facts:?}");
    }
}

#[test]
fn speech_begins_soon_and_ends_soon() {
    let voice = at_level(english(4.0), -25.0);
    let room = noise(Kind::Pink, 9.0, -50.0, 8);
    let spoken = sum(&[vec![0.0; seconds(2.0)], voice, vec![0.0; seconds(3.0)]].concat(), &room);
    assert!(run(&spoken[..seconds(2.6)]).0.is_speech);
    let after = run(&spoken).0;
    assert!(!after.is_speech && after.last_speech_frames_ago > Some(u64::from(RATE)), "{after:?}");
}

#[test]
fn snr_is_the_distance_from_voice_to_room() {
    // The detector's band is 2.65 of the noise's 8 kHz: -4.8 dB.
    let voice = [vec![0.0; seconds(2.0)], at_level(english(20.0), -30.0), vec![0.0; seconds(2.0)]].concat();
    let measured: Vec<f32> = [-70.0, -60.0, -50.0]
        .into_iter()
        .map(|dbfs| {
            let facts = run(&sum(&voice, &noise(Kind::White, 24.0, dbfs, 9))).0;
            let floor = facts.noise_dbfs.unwrap();
            assert!((floor - (dbfs - 4.8)).abs() < 2.5, "noise at {dbfs} dBFS measured {floor}");
            facts.snr_db.unwrap()
        })
        .collect();
    assert!((measured[0] - measured[1] - 10.0).abs() < 2.5, "{measured:?}");
    assert!((measured[1] - measured[2] - 10.0).abs() < 2.5, "{measured:?}");
}

#[test]
fn block_sizes_and_neighbours_do_not_matter() {
    let voice = at_level(babbler(48_000, 48_000, 3), -20.0);
    let quiet = vec![0.0; voice.len()];
    let run = |size: usize, channels: usize| {
        let mut detector = SpeechDetector::new(48_000, channels);
        for (voice, quiet) in voice.chunks(size).zip(quiet.chunks(size)) {
            let planar: Vec<&[f32]> = (0..channels).map(|n| if n + 1 == channels { voice } else { quiet }).collect();
            detector.push(&planar);
        }
        (detector.channel(channels - 1), detector.channel(0))
    };
    let whole = run(48_000, 1).0;
    assert!(whole.score > 0.0);
    for size in [1, 64, 1000, 4096] {
        assert_eq!(run(size, 1).0.score, whole.score);
    }
    let (voice, neighbour) = run(1024, 9);
    assert_eq!((voice.score, neighbour.score), (whole.score, 0.0));
}

#[test]
fn a_gap_ends_what_spans_it_and_keeps_what_was_counted() {
    let voice = at_level(english(4.0), -20.0);
    let mut detector = SpeechDetector::new(RATE, 1);
    detector.push(&[&voice]);
    let before = detector.channel(0);
    assert!(before.speech_seconds > 1.0);
    detector.reset_after_gap();
    // Just after the warm-up, where what was heard before the gap would still count.
    detector.push(&[&noise(Kind::Pink, 0.6, -60.0, 2)]);
    let after = detector.channel(0);
    assert_eq!((after.speech_seconds, after.is_speech), (before.speech_seconds, false), "{after:?}");
    assert!(after.score < 0.1, "{after:?}");
}

#[test]
fn a_channel_that_is_not_there_has_no_facts() {
    let facts = SpeechDetector::new(RATE, 1).channel(7);
    assert_eq!((facts.score, facts.snr_db, facts.last_speech_frames_ago), (0.0, None, None));
}

#[test]
fn a_broken_driver_does_not_deafen_the_channel() {
    let mut detector = SpeechDetector::new(RATE, 1);
    detector.push(&[&[[f32::NAN; 400], [f32::INFINITY; 400], [-1e38; 400]].concat()]);
    detector.push(&[&vec![0.0; seconds(1.0)]]);
    detector.push(&[&at_level(english(8.0), -20.0)]);
    let facts = detector.channel(0);
    assert!(facts.score.is_finite() && facts.speech_seconds > 2.0, "{facts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_numbers_give_finite_facts(bits in proptest::collection::vec(any::<u32>(), 0..4000), rate in 8_000u32..200_000) {
        let mut detector = SpeechDetector::new(rate, 2);
        let samples: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        detector.push(&[&samples, &samples]);
        let facts = detector.channel(1);
        prop_assert!((0.0..=1.0).contains(&facts.score));
        prop_assert!(facts.snr_db.is_none_or(f32::is_finite) && facts.noise_dbfs.is_none_or(f32::is_finite));
    }
}
