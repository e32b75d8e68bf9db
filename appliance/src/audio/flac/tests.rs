use std::io::Cursor;

use proptest::prelude::*;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::default::codecs::FlacDecoder;
use symphonia::default::formats::FlacReader;

use super::*;
use crate::audio::{MarkerKind, Part};

const BLOCK: usize = BLOCK_SAMPLES as usize;

fn info(rate: u32, channels: usize) -> FileInfo {
    FileInfo {
        title: "Sala 3, rozprawa żółta".to_owned(),
        take_id: "0199e0a0-0000-7000-8000-000000000001".to_owned(),
        originator: "node-1".to_owned(),
        started: "2026-11-21T09:00:00+01:00[Europe/Warsaw]".parse().unwrap(),
        rate,
        channels: (1..=channels).map(|number| format!("Mic {number}")).collect(),
        part: Some(Part { number: 2, first_frame: 96_000 }),
    }
}

fn spec(bits: u8) -> FlacSpec {
    FlacSpec { bits, expected_frames: Some(0), ..FlacSpec::default() }
}

/// A small generator with a seed (xorshift), full scale in every bit.
fn noise(seed: u64, frames: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..frames)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn write(writer: &mut impl Encoder, audio: &[Vec<f32>], step: usize) {
    let frames = audio.first().map_or(0, Vec::len);
    for from in (0..frames).step_by(step.max(1)) {
        let to = frames.min(from + step);
        let planar: Vec<&[f32]> = audio.iter().map(|channel| &channel[from..to]).collect();
        writer.write(&planar).unwrap();
    }
}

fn encode(spec: FlacSpec, info: &FileInfo, audio: &[Vec<f32>], markers: &[Marker]) -> Vec<u8> {
    let mut writer = FlacWriter::open(Cursor::new(Vec::new()), spec, info).unwrap();
    write(&mut writer, audio, 1000);
    writer.finish(markers, &Loudness::default()).unwrap();
    writer.into_inner().into_inner()
}

/// What an independent decoder makes of a file. It checks the CRC of every frame and drops frames that fail.
struct Decoded {
    /// Interleaved.
    samples: Vec<i32>,
    total: Option<u64>,
    md5_is_right: Option<bool>,
}

fn decode(bytes: &[u8], bits: u8) -> Decoded {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes.to_vec())), Default::default());
    let mut reader = FlacReader::try_new(stream, FormatOptions::default()).unwrap();
    let track = reader.default_track(TrackType::Audio).unwrap().clone();
    let params = track.codec_params.as_ref().unwrap().audio().unwrap().clone();
    let mut decoder = FlacDecoder::try_new(&params, &AudioDecoderOptions::default().verify(true)).unwrap();
    let mut samples = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        let mut block: Vec<i32> = Vec::new();
        decoder.decode(&packet).unwrap().copy_to_vec_interleaved(&mut block);
        samples.extend(block.iter().map(|sample| sample >> (32 - bits)));
    }
    Decoded { samples, total: track.num_frames, md5_is_right: decoder.finalize().verify_ok }
}

/// The conversion as the brief of the format states it, interleaved.
fn expected(audio: &[Vec<f32>], bits: u8) -> Vec<i32> {
    let full_scale = (1i64 << (bits - 1)) as f32;
    let frames = audio[0].len();
    let each = (0..frames).flat_map(|frame| audio.iter().map(move |channel| channel[frame]));
    each.map(|x| if x.is_nan() { 0 } else { (x * full_scale).round().clamp(-full_scale, full_scale - 1.0) as i32 })
        .collect()
}

fn assert_lossless(bits: u8, rate: u32, audio: &[Vec<f32>]) {
    let file = encode(spec(bits), &info(rate, audio.len()), audio, &[]);
    let decoded = decode(&file, bits);
    assert!(decoded.samples == expected(audio, bits), "{bits} bits, {} channels differ", audio.len());
    assert_eq!(decoded.total, Some(audio[0].len() as u64));
    assert_eq!(decoded.md5_is_right, Some(true));
}

#[test]
fn every_sample_comes_back_for_each_channel_count_and_depth() {
    for channels in [1, 2, 8] {
        for bits in [16, 24] {
            let audio: Vec<_> = (0..channels as u64).map(|channel| noise(channel + 1, BLOCK * 2 + 77)).collect();
            assert_lossless(bits, 48_000, &audio);
        }
    }
}

#[test]
fn every_length_of_the_last_block_comes_back() {
    for rest in (1..70).chain([191, 192, 255, 256, 257, 575, 576, 1152, 4095]) {
        assert_lossless(24, 48_000, &[noise(rest as u64, rest), noise(99, rest)]);
        assert_lossless(16, 48_000, &[noise(rest as u64, BLOCK + rest)]);
    }
}

#[test]
fn silence_full_scale_and_square_waves_come_back() {
    let square =
        |half: usize| (0..BLOCK * 2 + 5).map(|i| if (i / half).is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
    let silence_then_noise = [vec![0.0; BLOCK / 2], noise(3, BLOCK / 2)].concat();
    for audio in [vec![0.0; BLOCK + 3], vec![1.0; BLOCK], vec![-1.0; BLOCK], square(1), square(37), silence_then_noise]
    {
        let inverted: Vec<f32> = audio.iter().map(|x| -x).collect();
        assert_lossless(24, 48_000, &[audio.clone(), inverted]);
        assert_lossless(16, 48_000, &[audio]);
    }
}

#[test]
fn what_a_sound_card_should_never_deliver_is_made_harmless() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 7.5, -7.5, f32::MIN_POSITIVE, 0.499_999_97 / 32_768.0];

    let decoded = decode(&encode(spec(16), &info(48_000, 1), &[odd.to_vec()], &[]), 16);

    assert_eq!(decoded.samples, [0, 32_767, -32_768, 32_767, -32_768, 0, 0]);
}

#[test]
fn odd_rates_stay_in_the_streamable_subset() {
    for rate in [8000, 11_025, 44_100, 65_534, 88_200, 96_000, 176_400, 192_000, 255_000, 655_340] {
        let audio = [noise(5, BLOCK + 9)];
        let file = encode(spec(24), &info(rate, 1), &audio, &[]);
        // Low four bits of the third byte of a frame: 0 would mean "see STREAMINFO".
        assert_ne!(file[first_frame(&file) + 2] & 0x0F, 0, "{rate}");
        assert_eq!(decode(&file, 24).samples, expected(&audio, 24), "{rate}");
    }
}

#[test]
fn the_md5_is_that_of_the_interleaved_little_endian_samples() {
    for bits in [16u8, 24] {
        let audio = [noise(1, BLOCK + 1), noise(2, BLOCK + 1)];
        let bytes: Vec<u8> = expected(&audio, bits)
            .iter()
            .flat_map(|sample| sample.to_le_bytes().into_iter().take(usize::from(bits) / 8))
            .collect();

        let file = encode(spec(bits), &info(48_000, 2), &audio, &[]);

        assert_eq!(file[26..42], md5::compute(bytes).0);
    }
}

#[test]
fn an_open_file_claims_nothing_and_a_cut_one_plays_its_whole_frames() {
    let audio = [noise(1, BLOCK * 5)];
    let mut writer = FlacWriter::open(Cursor::new(Vec::new()), spec(24), &info(48_000, 1)).unwrap();
    write(&mut writer, &audio, 777);
    let mut open = writer.into_inner().into_inner();
    assert_eq!(open[21] & 0x0F, 0);
    assert_eq!(open[22..42], [0; 20]);

    open.truncate(open.len() - 100);
    let decoded = decode(&open, 24);

    assert_eq!(decoded.total, None);
    assert_eq!(decoded.samples, expected(&audio, 24)[..BLOCK * 4]);
}

#[test]
fn a_flipped_bit_is_seen() {
    let audio = [noise(1, BLOCK * 3)];
    let mut file = encode(spec(24), &info(48_000, 1), &audio, &[]);
    let middle = file.len() - 100;
    file[middle] ^= 1;

    let decoded = decode(&file, 24);

    assert_ne!(decoded.samples, expected(&audio, 24));
}

#[test]
fn seek_points_stand_on_frames() {
    let rate = 8000;
    let spec = FlacSpec { expected_frames: Some(35 * 8000), ..spec(16) };
    let audio = [noise(1, 35 * 8000)];
    let file = encode(spec, &info(rate, 1), &audio, &[]);
    let (blocks, frames) = blocks(&file);
    let points: Vec<&[u8]> = blocks[1].1.chunks(18).collect();

    assert_eq!(points.len(), 4);
    for (index, point) in points.iter().enumerate() {
        let sample = u64::from_be_bytes(point[..8].try_into().unwrap());
        let offset = u64::from_be_bytes(point[8..16].try_into().unwrap());
        let frame = &file[frames + offset as usize..];
        assert_eq!(frame[..2], [0xFF, 0xF8], "sync code");
        assert_eq!(u64::from(frame[4]), sample / 4096, "frame number");
        assert!((sample..sample + 4096).contains(&(index as u64 * 80_000)));
        assert_eq!(point[16..], 4096u16.to_be_bytes());
    }
}

#[test]
fn markers_become_chapters_and_the_frames_stay_where_they_were() {
    let marks = [marker(24_000, "Świadek"), marker(12_000, "Strona")];
    let mut writer = FlacWriter::open(Cursor::new(Vec::new()), spec(24), &info(48_000, 1)).unwrap();
    write(&mut writer, &[noise(1, 48_000)], 48_000);
    let loudness = Loudness { integrated_lufs: Some(-23.04), ..Loudness::default() };
    writer.finish(&marks, &loudness).unwrap();
    let file = writer.into_inner().into_inner();
    let tags = tags(&file);

    for tag in [
        "TITLE=Sala 3, rozprawa żółta",
        "DATE=2026-11-21T09:00:00+01:00",
        "CHANNEL1_NAME=Mic 1",
        "RAKKR_FIRST_FRAME=96000",
        "LOUDNESS_INTEGRATED_LUFS=-23.04",
        "CHAPTER001=00:00:00.250",
        "CHAPTER001NAME=Strona",
        "CHAPTER002=00:00:00.500",
        "CHAPTER002NAME=Świadek",
    ] {
        assert!(tags.iter().any(|found| found == tag), "{tag} is not in {tags:?}");
    }
    assert_eq!(decode(&file, 24).md5_is_right, Some(true));
}

#[test]
fn chapters_that_do_not_fit_are_left_out_and_counted() {
    let marks: Vec<Marker> = (0..900).map(|index| marker(index, &"x".repeat(500))).collect();
    let file = encode(spec(24), &info(48_000, 1), &[noise(1, 1000)], &marks);
    let tags = tags(&file);

    let kept = tags.iter().filter(|tag| tag.starts_with("CHAPTER") && tag.contains("NAME=")).count();
    assert!((100..200).contains(&kept), "{kept}");
    assert!(tags.contains(&format!("CHAPTERS_LEFT_OUT={}", 900 - kept)));
    assert_eq!(decode(&file, 24).samples.len(), 1000);
}

#[test]
fn what_flac_cannot_hold_is_refused_with_advice() {
    let open = |spec, info: &FileInfo| FlacWriter::open(Cursor::new(Vec::new()), spec, info).err().unwrap().to_string();

    assert!(open(spec(24), &info(48_000, 9)).contains("WAV"));
    assert!(open(spec(24), &info(48_000, 0)).contains("1 to 8"));
    assert!(open(spec(20), &info(48_000, 1)).contains("16 or 24"));
    for rate in [0, 65_535, 655_350, 768_000] {
        assert!(open(spec(24), &info(rate, 1)).contains(&format!("{rate} Hz")));
    }
}

#[test]
fn uneven_channels_are_an_error_and_leave_the_file_sound() {
    let mut writer = FlacWriter::open(Cursor::new(Vec::new()), spec(24), &info(48_000, 2)).unwrap();

    assert!(writer.write(&[&[0.0; 4], &[0.0; 3]]).is_err());
    assert!(writer.write(&[&[0.0; 4]]).is_err());
    writer.write(&[&[0.5; 4], &[0.25; 4]]).unwrap();
    writer.finish(&[], &Loudness::default()).unwrap();
    assert!(writer.finish(&[], &Loudness::default()).is_err());
    assert!(writer.write(&[&[0.5; 4], &[0.25; 4]]).is_err());
    assert_eq!(decode(&writer.into_inner().into_inner(), 24).samples.len(), 8);
}

#[test]
fn after_a_full_disk_nothing_is_claimed_even_when_room_comes_back() {
    let disk = FullOnce { file: Cursor::new(Vec::new()), full_at: 150_000, was_full: false };
    let mut writer = FlacWriter::open(disk, spec(24), &info(48_000, 1)).unwrap();
    let audio = noise(1, BLOCK * 20);

    assert!(matches!(writer.write(&[&audio]), Err(AudioError::Io(_))));
    assert!(matches!(writer.write(&[&audio]), Err(AudioError::Format(_))));
    assert!(matches!(writer.finish(&[], &Loudness::default()), Err(AudioError::Format(_))));
    let file = writer.into_inner().file.into_inner();
    assert_eq!(decode(&file, 24).total, None);
    assert_eq!(decode(&file, 24).samples, expected(&[audio], 24)[..BLOCK * 6]);
}

#[test]
fn a_long_recording_needs_no_more_memory_than_a_short_one() {
    let mut writer = FlacWriter::open(Counter::default(), spec(24), &info(48_000, 2)).unwrap();
    let block = noise(1, 48_000);
    writer.write(&[&block, &block]).unwrap();
    let after_one = held(&writer);
    for _ in 0..59 {
        writer.write(&[&block, &block]).unwrap();
    }

    assert_eq!(held(&writer), after_one);
    assert!(after_one < 200_000, "{after_one}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_audio_in_any_steps_comes_back(
        seed in any::<u64>(), channels in 1usize..=3, frames in 1usize..9000, step in 1usize..5000,
        gain_db in -120i32..=20, deep in any::<bool>(), fast in any::<bool>(),
    ) {
        let gain = 10f32.powf(gain_db as f32 / 20.0);
        let channel = |index: usize| noise(seed ^ index as u64, frames).iter().map(|x| x * gain).collect::<Vec<f32>>();
        let audio: Vec<Vec<f32>> = (0..channels).map(channel).collect();
        let bits = if deep { 24 } else { 16 };
        let compression = if fast { Compression::Fast } else { Compression::Normal };
        let spec = FlacSpec { bits, compression, expected_frames: None };
        let mut writer = FlacWriter::open(Cursor::new(Vec::new()), spec, &info(48_000, channels)).unwrap();
        write(&mut writer, &audio, step);
        writer.finish(&[], &Loudness::default()).unwrap();

        let decoded = decode(&writer.into_inner().into_inner(), bits);

        prop_assert!(decoded.samples == expected(&audio, bits));
        prop_assert_eq!(decoded.md5_is_right, Some(true));
    }
}

fn marker(frame: u64, label: &str) -> Marker {
    Marker { frame, frames: 0, label: label.to_owned(), kind: MarkerKind::Mark }
}

/// Returns the metadata blocks and where the frames begin.
fn blocks(file: &[u8]) -> (Vec<(u8, &[u8])>, usize) {
    let mut blocks = Vec::new();
    let mut at = 4;
    loop {
        let len = usize::from(file[at + 1]) << 16 | usize::from(file[at + 2]) << 8 | usize::from(file[at + 3]);
        blocks.push((file[at] & 0x7F, &file[at + 4..at + 4 + len]));
        let last = file[at] & 0x80 != 0;
        at += 4 + len;
        if last {
            return (blocks, at);
        }
    }
}

fn first_frame(file: &[u8]) -> usize {
    blocks(file).1
}

fn tags(file: &[u8]) -> Vec<String> {
    let block = blocks(file).0[2].1;
    let text = |at: usize| {
        let len = u32::from_le_bytes(block[at..at + 4].try_into().unwrap()) as usize;
        (String::from_utf8(block[at + 4..at + 4 + len].to_vec()).unwrap(), at + 4 + len)
    };
    let (_vendor, mut at) = text(0);
    let count = u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
    at += 4;
    let mut tags = Vec::new();
    for _ in 0..count {
        let (tag, next) = text(at);
        tags.push(tag);
        at = next;
    }
    assert_eq!(at, block.len(), "the block ends with its last tag");
    tags
}

fn held<W: Write + Seek>(writer: &FlacWriter<W>) -> usize {
    let buffers = writer.block.capacity() * 4 + writer.block_bytes.capacity() + writer.sink.bytes().capacity();
    buffers + writer.seek.to_bytes().len()
}

/// A disk that refuses once, when `full_at` bytes are on it; then someone makes room.
struct FullOnce {
    file: Cursor<Vec<u8>>,
    full_at: u64,
    was_full: bool,
}

impl Write for FullOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.full_at.saturating_sub(self.file.position()) as usize;
        if self.was_full || room >= bytes.len() {
            return self.file.write(bytes);
        }
        if room > 0 {
            return self.file.write(&bytes[..room]);
        }
        self.was_full = true;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FullOnce {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Counts bytes and keeps none.
#[derive(Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Counter {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(self.0)
    }
}
