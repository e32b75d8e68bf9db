use std::io::{self, Cursor};

use ::ogg::PacketReader;
use ::opus::MSDecoder;
use proptest::prelude::*;

use super::packets::length_at_48k;
use super::*;

fn info(rate: u32, channels: usize) -> FileInfo {
    FileInfo {
        title: "Room ä".to_owned(),
        take_id: "0199e0a0-0000-7000-8000-000000000001".to_owned(),
        originator: "node-1".to_owned(),
        started: "2026-11-21T09:00:00+01:00[Europe/Warsaw]".parse().unwrap(),
        rate,
        channels: (1..=channels).map(|number| format!("Mic {number}")).collect(),
        part: None,
    }
}

/// A sine of -20 dBFS peak, another frequency in each channel.
fn tones(rate: u32, channels: usize, frames: usize) -> Vec<Vec<f32>> {
    let tone = |hz: f64| {
        (0..frames).map(|i| (0.1 * (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin()) as f32).collect()
    };
    (0..channels).map(|channel| tone(440.0 + 110.0 * channel as f64)).collect()
}

fn write(writer: &mut impl Encoder, audio: &[Vec<f32>], step: usize) {
    let frames = audio.first().map_or(0, Vec::len);
    for from in (0..frames).step_by(step) {
        let to = frames.min(from + step);
        let planar: Vec<&[f32]> = audio.iter().map(|channel| &channel[from..to]).collect();
        writer.write(&planar).unwrap();
    }
}

fn encode(rate: u32, audio: &[Vec<f32>], step: usize) -> Vec<u8> {
    let mut writer = OpusWriter::open(Vec::new(), OpusSpec::default(), &info(rate, audio.len())).unwrap();
    write(&mut writer, audio, step);
    writer.finish(&[], &Loudness::default()).unwrap();
    writer.into_inner()
}

/// What a player makes of a file.
#[derive(Default)]
struct Decoded {
    /// Interleaved, pre-skip and end trimming applied.
    samples: Vec<f32>,
    has_end: bool,
    /// Granule positions of the audio pages.
    granules: Vec<u64>,
    tags: String,
    family: u8,
}

fn decode(bytes: &[u8]) -> Decoded {
    let mut reader = PacketReader::new(Cursor::new(bytes));
    let head = reader.read_packet().unwrap().unwrap();
    assert!(head.first_in_stream());
    assert_eq!(&head.data[..9], b"OpusHead\x01");
    let channels = usize::from(head.data[9]);
    let pre_skip = usize::from(u16::from_le_bytes([head.data[10], head.data[11]]));
    let family = head.data[18];
    let (streams, coupled, mapping) = match family {
        0 => (1, channels as u8 - 1, (0..channels as u8).collect()),
        _ => (head.data[19], head.data[20], head.data[21..].to_vec()),
    };
    let tags = reader.read_packet().unwrap().unwrap();
    assert_eq!(&tags.data[..8], b"OpusTags");
    let tags = String::from_utf8_lossy(&tags.data).into_owned();
    let mut decoder = MSDecoder::new(48_000, streams, coupled, &mapping).unwrap();
    let mut decoded = Decoded { tags, family, ..Decoded::default() };
    let mut buffer = vec![0.0; 5760 * channels];
    while let Ok(Some(packet)) = reader.read_packet() {
        let frames = decoder.decode_float(&packet.data, &mut buffer, false).unwrap();
        decoded.samples.extend_from_slice(&buffer[..frames * channels]);
        if packet.last_in_page() {
            decoded.granules.push(packet.absgp_page());
        }
        decoded.has_end |= packet.last_in_stream();
    }
    if decoded.has_end {
        decoded.samples.truncate(*decoded.granules.last().unwrap() as usize * channels);
    }
    decoded.samples.drain(..(pre_skip * channels).min(decoded.samples.len()));
    decoded
}

fn level_db(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum();
    10.0 * (sum / samples.len() as f64).log10()
}

#[test]
fn the_length_is_exact_to_the_sample() {
    for rate in [8_000, 12_000, 16_000, 24_000, 44_100, 48_000, 88_200, 96_000, 192_000, 11_025, 32_000] {
        for frames in [1, 647, 648, 649, 960, rate as usize / 50, rate as usize + 1] {
            let decoded = decode(&encode(rate, &tones(rate, 1, frames), 1000));
            let wanted = (frames as f64 * 48_000.0 / f64::from(rate)).round() as usize;
            assert_eq!(decoded.samples.len(), wanted, "{frames} at {rate}");
            assert!(decoded.has_end);
        }
    }
}

#[test]
fn a_tone_keeps_its_level_and_its_channel() {
    for (rate, channels) in [(48_000, 1), (48_000, 2), (48_000, 5), (16_000, 2), (44_100, 3), (192_000, 1)] {
        let decoded = decode(&encode(rate, &tones(rate, channels, rate as usize), 4000));
        for channel in 0..channels {
            let own: Vec<f32> = decoded.samples.iter().copied().skip(channel).step_by(channels).collect();
            let middle = &own[4800..43_200];
            let level = level_db(middle);
            assert!((level + 23.01).abs() < 0.5, "channel {channel} of {channels} at {rate} Hz: {level} dB");
            let wanted = (0.8 * (440.0 + 110.0 * channel as f64)) as usize;
            let found = crossings(middle);
            assert!(found.abs_diff(wanted) <= 1, "channel {channel} of {channels} at {rate} Hz: {found}, not {wanted}");
        }
    }
}

/// Counts upward zero crossings, with a hysteresis against coding noise.
fn crossings(samples: &[f32]) -> usize {
    let mut below = false;
    let mut count = 0;
    for sample in samples {
        if *sample < -0.03 {
            below = true;
        } else if *sample > 0.03 && below {
            below = false;
            count += 1;
        }
    }
    count
}

#[test]
fn an_impulse_stays_where_it_was() {
    for rate in [16_000u32, 44_100, 48_000, 96_000] {
        let mut audio = vec![0.0; rate as usize];
        let burst = rate as usize / 1000;
        audio[rate as usize / 2..rate as usize / 2 + burst].fill(0.5);

        let decoded = decode(&encode(rate, &[audio], 5000)).samples;

        let energy: f64 = decoded.iter().map(|x| f64::from(*x).powi(2)).sum();
        let weighted: f64 = decoded.iter().enumerate().map(|(at, x)| at as f64 * f64::from(*x).powi(2)).sum();
        let centre = weighted / energy;
        assert!((centre - 24_024.0).abs() < 15.0, "{centre} at {rate} Hz");
    }
}

#[test]
fn a_page_ends_at_least_each_second() {
    let decoded = decode(&encode(48_000, &tones(48_000, 2, 48_000 * 4), 48_000));

    assert!(decoded.granules.first().is_some_and(|first| *first <= 48_000));
    assert!(decoded.granules.windows(2).all(|pair| pair[1] - pair[0] <= 48_000), "{:?}", decoded.granules);
}

#[test]
fn what_is_written_reaches_the_file_within_a_second() {
    let mut writer = OpusWriter::open(Vec::new(), OpusSpec::default(), &info(48_000, 1)).unwrap();
    write(&mut writer, &tones(48_000, 1, 48_000 * 3), 480);

    let decoded = decode(&writer.into_inner());

    assert!(decoded.samples.len() > 48_000 * 2, "{}", decoded.samples.len());
    assert!(!decoded.has_end);
}

#[test]
fn a_file_cut_anywhere_plays_its_whole_pages() {
    let file = encode(48_000, &tones(48_000, 2, 48_000 * 3), 48_000);
    let whole = decode(&file).samples;
    for cut in [file.len() - 1, file.len() * 2 / 3, file.len() / 2] {
        let decoded = decode(&file[..cut]);
        assert!(!decoded.has_end);
        assert!(decoded.samples.len() >= 2 * 40_000, "{}", decoded.samples.len());
        assert_eq!(decoded.samples, whole[..decoded.samples.len()]);
    }
}

#[test]
fn the_steps_of_writing_do_not_change_the_file() {
    for rate in [48_000, 44_100] {
        let audio = tones(rate, 3, 30_000);
        assert!(encode(rate, &audio, 1) == encode(rate, &audio, 30_000), "{rate}");
    }
}

#[test]
fn more_than_two_channels_are_discrete() {
    assert_eq!(decode(&encode(48_000, &tones(48_000, 2, 960), 960)).family, 0);
    assert_eq!(decode(&encode(48_000, &tones(48_000, 3, 960), 960)).family, 255);
    assert_eq!(decode(&encode(48_000, &tones(48_000, 40, 960), 960)).samples.len(), 40 * 960);
}

#[test]
fn tags_name_the_take_and_the_channels() {
    let decoded = decode(&encode(48_000, &tones(48_000, 3, 960), 960));

    for tag in ["TITLE=Room ä", "RAKKR_TAKE_ID=0199e0a0-", "CHANNEL3_NAME=Mic 3"] {
        assert!(decoded.tags.contains(tag), "{tag}");
    }
}

#[test]
fn one_broken_sample_does_not_spoil_the_rest() {
    for rate in [48_000, 44_100] {
        let mut audio = tones(rate, 1, rate as usize);
        for (at, value) in [(10, f32::NAN), (20, f32::INFINITY), (30, f32::NEG_INFINITY), (40, 1e30)] {
            audio[0][at] = value;
        }

        let decoded = decode(&encode(rate, &audio, 4096)).samples;

        assert!(decoded.iter().all(|x| x.is_finite()));
        assert!((level_db(&decoded[12_000..]) + 23.01).abs() < 0.5);
    }
}

#[test]
fn what_opus_cannot_hold_is_refused_with_advice() {
    let open = |info: &FileInfo| OpusWriter::open(Vec::new(), OpusSpec::default(), info).err().unwrap().to_string();

    assert!(open(&info(48_000, 256)).contains("split"));
    assert!(open(&info(48_000, 0)).contains("1 to 255"));
    assert!(open(&info(4_000, 1)).contains("8 to 384"));
}

#[test]
fn a_higher_bitrate_makes_a_larger_file() {
    let audio = tones(48_000, 2, 48_000 * 2);
    let size = |bitrate_bps| {
        let spec = OpusSpec { bitrate_bps, ..OpusSpec::default() };
        let mut writer = OpusWriter::open(Vec::new(), spec, &info(48_000, 2)).unwrap();
        write(&mut writer, &audio, 4800);
        writer.finish(&[], &Loudness::default()).unwrap();
        writer.into_inner().len()
    };

    assert!(size(Some(16_000)) < size(None));
    assert!(size(None) < size(Some(192_000)));
}

#[test]
fn nothing_can_follow_the_end() {
    let mut writer = OpusWriter::open(Vec::new(), OpusSpec::default(), &info(48_000, 2)).unwrap();
    assert!(writer.write(&[&[0.0; 4]]).is_err());
    writer.finish(&[], &Loudness::default()).unwrap();

    assert!(writer.write(&[&[0.0; 4], &[0.0; 4]]).is_err());
    assert!(writer.finish(&[], &Loudness::default()).is_err());
    let decoded = decode(&writer.into_inner());
    assert!(decoded.samples.is_empty() && decoded.has_end);
}

#[test]
fn after_a_full_disk_nothing_follows_even_when_room_comes_back() {
    let disk = FullOnce { room: 1_000, was_full: false };
    let mut writer = OpusWriter::open(disk, OpusSpec::default(), &info(48_000, 1)).unwrap();
    let audio = &tones(48_000, 1, 48_000 * 3)[0];

    assert!(matches!(writer.write(&[audio]), Err(AudioError::Io(_))));
    assert!(matches!(writer.write(&[audio]), Err(AudioError::Format(_))));
    assert!(matches!(writer.finish(&[], &Loudness::default()), Err(AudioError::Format(_))));
}

#[test]
fn a_writer_may_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}

    is_send(&OpusWriter::open(Vec::new(), OpusSpec::default(), &info(44_100, 3)).unwrap());
    is_send(
        &crate::audio::flac::FlacWriter::open(Cursor::new(Vec::new()), Default::default(), &info(44_100, 3)).unwrap(),
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_audio_at_any_rate_has_its_length(
        rate in 8_000u32..=100_000, channels in 1usize..=3, frames in 0usize..6000, step in 1usize..5000, bits in any::<u32>(),
    ) {
        // Bit patterns of any float, wild ones among them.
        let channel = |seed: usize| (0..frames)
            .map(|i| f32::from_bits(bits.wrapping_mul((i * 31 + seed) as u32 | 1).rotate_left(i as u32 % 31)))
            .collect::<Vec<f32>>();
        let audio: Vec<Vec<f32>> = (0..channels).map(channel).collect();

        let decoded = decode(&encode(rate, &audio, step));

        prop_assert_eq!(decoded.samples.len() as u64, length_at_48k(frames as u64, rate) * channels as u64);
        prop_assert!(decoded.samples.iter().all(|x| x.is_finite()));
    }
}

/// A disk that refuses once, when `room` bytes are written; then someone makes room.
struct FullOnce {
    room: usize,
    was_full: bool,
}

impl Write for FullOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.was_full {
            return Ok(bytes.len());
        }
        if self.room == 0 {
            self.was_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.room);
        self.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
