use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::audio::pcm::{SampleFormat, encode_interleaved};

type Memory = Cursor<Vec<u8>>;

const SPEC: WaveSpec = WaveSpec { rate: 48_000, channels: 2, bits: Bits::Sixteen };

fn empty() -> [Memory; LEVELS] {
    std::array::from_fn(|_| Memory::default())
}

/// Noise whose loudness changes, different in each channel.
fn noise(channels: usize, frames: usize) -> Vec<Vec<f32>> {
    let sample = |channel: usize, frame: usize| {
        let hash = ((frame * 31 + channel * 7 + 1) as u32).wrapping_mul(2_654_435_761);
        (hash as f32 / u32::MAX as f32 - 0.5) * (1.0 + (frame / 1000 % 13) as f32) / 6.0
    };
    (0..channels).map(|channel| (0..frames).map(|frame| sample(channel, frame)).collect()).collect()
}

fn push(pyramid: &mut Pyramid<Memory>, audio: &[Vec<f32>], from: usize, to: usize, step: usize) {
    for at in (from..to).step_by(step) {
        let planar: Vec<&[f32]> = audio.iter().map(|channel| &channel[at..to.min(at + step)]).collect();
        pyramid.push(&planar).unwrap();
    }
}

fn whole(spec: WaveSpec, audio: &[Vec<f32>], step: usize) -> [Memory; LEVELS] {
    let mut pyramid = Pyramid::create(empty(), spec).unwrap();
    push(&mut pyramid, audio, 0, audio[0].len(), step);
    pyramid.finish().unwrap();
    pyramid.into_files()
}

fn values(file: &Memory) -> Vec<i16> {
    let mut reader = DatReader::open(file.clone()).unwrap();
    let points = reader.about().points as usize;
    reader.read(0, points).unwrap()
}

/// The naive way: 16-bit PCM, and the extremes of each stretch of it.
fn naive(audio: &[Vec<f32>], frames: usize) -> Vec<i16> {
    let pcm: Vec<Vec<i16>> = audio
        .iter()
        .map(|channel| {
            let mut bytes = Vec::new();
            encode_interleaved(&[channel], SampleFormat::Pcm16, &mut bytes);
            bytes.as_chunks::<2>().0.iter().map(|value| i16::from_le_bytes(*value)).collect()
        })
        .collect();
    let mut values = Vec::new();
    for from in (0..pcm[0].len()).step_by(frames) {
        for channel in &pcm {
            let stretch = &channel[from..channel.len().min(from + frames)];
            values.extend([*stretch.iter().min().unwrap(), *stretch.iter().max().unwrap()]);
        }
    }
    values
}

#[test]
fn every_level_equals_the_extremes_of_the_pcm() {
    let audio = noise(2, 200_001);
    let files = whole(SPEC, &audio, 1000);
    for (level, file) in files.iter().enumerate() {
        assert!(values(file) == naive(&audio, frames_per_point(level) as usize), "level {level}");
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let spec = WaveSpec { channels: 1, ..SPEC };
    let [base, ..] = whole(spec, &[vec![0.5, -0.25, 2.0, f32::NAN]], 4);
    let expected =
        [2, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xBB, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0x00, 0xE0, 0xFF, 0x7F];
    assert_eq!(base.into_inner(), expected);
    let spec = WaveSpec { bits: Bits::Eight, ..spec };
    let [base, ..] = whole(spec, &[vec![0.5, -0.251]], 4);
    assert_eq!(base.into_inner()[4..], [1, 0, 0, 0, 0x80, 0xBB, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0xE0, 0x40]);
}

#[test]
fn the_header_counts_what_is_there_while_it_grows() {
    let mut pyramid = Pyramid::create(empty(), SPEC).unwrap();
    let audio = noise(2, 10_000);
    push(&mut pyramid, &audio, 0, 10_000, 480);
    pyramid.flush().unwrap();
    let files = pyramid.into_files();
    let points: Vec<u64> = files.iter().map(|file| DatReader::open(file.clone()).unwrap().about().points).collect();
    assert_eq!(points, [39, 4, 0, 0, 0, 0]);
    assert_eq!(files.map(|file| file.into_inner().len()), [24 + 39 * 8, 24 + 4 * 8, 24, 24, 24, 24]);
}

#[test]
fn what_a_crash_left_goes_on_and_equals_the_whole() {
    let audio = noise(2, 60_000);
    let expected = whole(SPEC, &audio, 60_000).map(Memory::into_inner);
    // Each number of bytes says how much of a level's end was lost.
    for lost in [[0; LEVELS], [5, 0, 0, 0, 0, 0], [0, 9, 0, 0, 0, 0], [0, 0, 100, 0, 0, 0], [800, 80, 8, 0, 0, 0]] {
        let mut pyramid = Pyramid::create(empty(), SPEC).unwrap();
        push(&mut pyramid, &audio, 0, 50_100, 700);
        pyramid.flush().unwrap();
        let mut files = pyramid.into_files().map(Memory::into_inner);
        for (file, lost) in files.iter_mut().zip(lost) {
            file.truncate(file.len().saturating_sub(lost).max(HEADER_BYTES as usize));
        }
        let mut pyramid = Pyramid::resume(files.map(Memory::new), SPEC).unwrap();
        let from = pyramid.frames() as usize;
        assert!(from <= 50_100 && from.is_multiple_of(256), "{from}");
        push(&mut pyramid, &audio, from, 60_000, 480);
        pyramid.finish().unwrap();
        assert!(pyramid.into_files().map(Memory::into_inner) == expected, "{lost:?}");
    }
}

#[test]
fn other_files_are_not_gone_on_with() {
    let files = whole(SPEC, &noise(2, 1000), 100);
    assert!(Pyramid::resume(files.clone(), WaveSpec { channels: 1, ..SPEC }).is_err());
    let mut swapped = files;
    swapped.swap(0, 1);
    assert!(Pyramid::resume(swapped, SPEC).is_err());
    assert!(Pyramid::resume(empty(), SPEC).is_err());
}

#[test]
fn a_stretch_is_a_file_of_its_own() {
    let [base, ..] = whole(SPEC, &noise(2, 10_000), 100);
    let mut reader = DatReader::open(base).unwrap();
    let all = reader.read(0, usize::MAX).unwrap();
    let stretch = reader.extract(30, 100).unwrap();
    let mut own = DatReader::open(Cursor::new(stretch)).unwrap();
    assert_eq!(own.about().points, 10);
    assert_eq!(own.read(0, 100).unwrap(), all[30 * 4..]);
    assert_eq!(reader.read(40, 1).unwrap(), [0; 0]);
    assert_eq!(reader.read(u64::MAX, 1).unwrap(), [0; 0]);
}

#[test]
fn a_zoom_of_any_length_finds_its_level() {
    assert_eq!([1, 512_000, 512_001].map(|frames| level_for(frames, 2000)), [0, 0, 1]);
    let day = 24 * 3600 * 48_000;
    assert!(day / frames_per_point(level_for(day, 2000)) <= 2000);
    assert_eq!(level_for(u64::MAX, 2000), LEVELS - 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_is_refused_or_read_within_its_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(mut reader) = DatReader::open(Cursor::new(bytes.clone())) {
            prop_assert!(reader.read(0, usize::MAX).unwrap().len() <= bytes.len());
        }
    }

    #[test]
    fn a_changed_header_claims_no_more_than_there_is(
        at in 0usize..24, value in any::<u8>(), from in any::<u64>(), points in any::<usize>(),
    ) {
        let [base, ..] = whole(SPEC, &noise(2, 3000), 1000);
        let mut bytes = base.into_inner();
        bytes[at] = value;
        if let Ok(mut reader) = DatReader::open(Cursor::new(bytes.clone())) {
            prop_assert!(reader.read(from, points).unwrap().len() <= bytes.len());
            prop_assert!(reader.extract(from % 20, points).unwrap().len() <= bytes.len());
        }
    }

    #[test]
    fn the_steps_of_pushing_do_not_matter(frames in 1usize..5000, step in 1usize..3000) {
        let audio = noise(2, frames);
        prop_assert!(whole(SPEC, &audio, step) == whole(SPEC, &audio, frames));
    }
}
