use std::io::Cursor;

use ::ogg::PacketReader;
use ::opus::MSDecoder;

use super::live::Line;
use super::*;
use crate::audio::wav::WavReader;
use crate::capture::take::export::Format;
use crate::domain::Channels;
use crate::service::tests::takes::{RATE, TestTake};

const SECOND: usize = RATE as usize;

fn request(from_seconds: f64, channels: &str, format: StreamFormat) -> StreamRequest {
    StreamRequest { from_seconds, channels: channels.parse().unwrap(), format }
}

/// What there is until the stream waits or ends, and how often it was asked.
fn pull_all(stream: &mut TakeStream) -> (Vec<u8>, Piece, usize) {
    let (mut bytes, mut asked) = (Vec::new(), 0);
    loop {
        asked += 1;
        match stream.pull(true).unwrap() {
            Piece::Bytes(more) => bytes.extend(more),
            end => return (bytes, end, asked),
        }
    }
}

/// Decodes an Ogg stream to interleaved samples at 48 kHz.
fn decode(bytes: &[u8]) -> (Vec<f32>, usize) {
    let mut reader = PacketReader::new(Cursor::new(bytes));
    let head = reader.read_packet().unwrap().unwrap().data;
    let channels = usize::from(head[9]);
    let mapping: Vec<u8> = (0..channels as u8).collect();
    let mut decoder = MSDecoder::new(48_000, 1, channels as u8 - 1, &mapping).unwrap();
    let (mut samples, mut buffer, mut end) = (Vec::new(), vec![0.0; 5760 * channels], usize::MAX);
    while let Ok(Some(packet)) = reader.read_packet() {
        if packet.data.starts_with(b"OpusTags") {
            continue;
        }
        let frames = decoder.decode_float(&packet.data, &mut buffer, false).unwrap();
        samples.extend_from_slice(&buffer[..frames * channels]);
        if packet.last_in_stream() {
            end = packet.absgp_page() as usize;
        }
    }
    samples.truncate(end.saturating_mul(channels));
    samples.drain(..usize::from(u16::from_le_bytes([head[10], head[11]])) * channels);
    (samples, channels)
}

/// Cycles a second of a tone, by its upward zero crossings.
fn hertz(samples: &[f32]) -> f64 {
    let up = samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    up as f64 * 48_000.0 / samples.len() as f64
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn a_stream_waits_at_the_end_of_a_running_take_and_goes_on() {
    let mut take = TestTake::begin(2);
    take.record(SECOND);
    let mut stream = TakeStream::open(&take.folder, &request(0.5, "2", StreamFormat::Ogg), true).unwrap();
    let (mut bytes, end, _) = pull_all(&mut stream);
    assert_eq!(end, Piece::Pending);
    assert!(!bytes.is_empty());
    assert_eq!(stream.pull(true).unwrap(), Piece::Pending);
    take.lose(SECOND / 2);
    take.record(SECOND);
    take.close();
    let (more, end, asked) = pull_all(&mut stream);
    assert_eq!(end, Piece::End);
    assert!(asked >= 4, "half a second at a time at most");
    bytes.extend(more);
    let (samples, channels) = decode(&bytes);
    assert_eq!((samples.len(), channels), (2 * 48_000, 1));
    assert!((hertz(&samples[4_800..20_000]) - 400.0).abs() < 4.0, "it is channel 2");
    assert!(rms(&samples[26_000..46_000]) < 0.01, "the gap is silence");
    assert!(rms(&samples[52_000..90_000]) > 0.15, "and then it goes on");
}

#[test]
fn a_stream_for_media_source_is_whole_fragments() {
    let mut take = TestTake::begin(3);
    take.record(SECOND);
    take.close();
    let mut stream = TakeStream::open(&take.folder, &request(0.0, "all", StreamFormat::Mp4), false).unwrap();
    let (bytes, end, _) = pull_all(&mut stream);
    assert_eq!((end, &bytes[4..8]), (Piece::End, &b"ftyp"[..]));
    assert_eq!(stream.pull(false).unwrap(), Piece::End);
}

#[test]
fn what_is_not_there_cannot_be_heard() {
    let mut take = TestTake::begin(1);
    take.record(SECOND);
    let open = |from, channels| TakeStream::open(&take.folder, &request(from, channels, StreamFormat::Ogg), true);
    assert!(open(0.0, "2").err().unwrap().to_string().contains("no channel 2"));
    assert!(open(5.0, "1").is_ok(), "it may come");
    take.close();
    let open = TakeStream::open(&take.folder, &request(5.0, "1", StreamFormat::Ogg), true);
    assert!(open.err().unwrap().to_string().contains("1.000 s"));
}

fn wanted(format: Format, channels: &str, to_seconds: Option<f64>) -> FileRequest {
    FileRequest { format, channels: channels.parse().unwrap(), from_seconds: None, to_seconds }
}

#[test]
fn a_file_is_made_once_and_again_when_the_take_has_grown() {
    let mut take = TestTake::begin(2);
    take.record(SECOND);
    let files = KeptFiles::open(take.home.path().join("kept"), 1 << 30).unwrap();
    let first = files.exported_file(&take.folder, &wanted(Format::Wav, "2", None)).unwrap();
    let again = files.exported_file(&take.folder, &wanted(Format::Wav, "2", None)).unwrap();
    assert_eq!(first.key, again.key);
    assert_eq!(WavReader::open(first.file).unwrap().about().frames, 16_000);
    take.record(100);
    let grown = files.exported_file(&take.folder, &wanted(Format::Wav, "2", None)).unwrap();
    assert_ne!(grown.key, first.key);
    assert_eq!(WavReader::open(grown.file).unwrap().about().frames, 16_100);
}

#[test]
fn many_who_ask_at_once_share_one_job() {
    let mut take = TestTake::begin(2);
    take.record(4 * SECOND);
    take.close();
    let files = KeptFiles::open(take.home.path().join("kept"), 1 << 30).unwrap();
    let ask = || files.exported_file(&take.folder, &wanted(Format::Flac, "all", None)).unwrap();
    let inodes: std::collections::BTreeSet<u64> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        let inode = |kept: Kept| std::os::unix::fs::MetadataExt::ino(&kept.file.metadata().unwrap());
        asked.into_iter().map(|asked| inode(asked.join().unwrap())).collect()
    });
    assert_eq!(inodes.len(), 1, "each making would be a file of its own");
}

#[test]
fn the_oldest_goes_when_there_is_no_room() {
    let mut take = TestTake::begin(2);
    take.record(20 * SECOND);
    take.close();
    let kept = take.home.path().join("kept");
    // Each is 2 MB and may have 3.
    let files = KeptFiles::open(kept.clone(), 6 << 20).unwrap();
    let make = |to: f64| files.exported_file(&take.folder, &wanted(Format::Wav, "all", Some(to))).unwrap();
    let (first, second, third) = (make(20.0), make(19.9), make(19.8));
    assert!(!first.path.exists() && second.path.exists() && third.path.exists());
    assert_eq!(WavReader::open(first.file).unwrap().about().frames, 320_000, "who has it open reads on");

    let small = KeptFiles::open(kept, 1 << 20).unwrap();
    let refused = small.exported_file(&take.folder, &wanted(Format::Wav, "1", None)).unwrap_err();
    assert!(refused.to_string().contains("shorter stretch"));
}

#[test]
fn a_file_that_one_file_cannot_be_is_refused() {
    let mut take = TestTake::begin(9);
    take.record(100);
    let files = KeptFiles::open(take.home.path().join("kept"), 1 << 30).unwrap();
    let refused = files.exported_file(&take.folder, &wanted(Format::Flac, "all", None)).unwrap_err();
    assert!(refused.to_string().contains("8 channels"));
    assert!(files.exported_file(&take.folder, &wanted(Format::Flac, "1-8", None)).is_ok());
}

/// A line, fed with blocks of 50 ms of a 440 Hz tone from the given stream frames on.
fn heard(format: StreamFormat, blocks: &[u64]) -> (Vec<usize>, Vec<u8>) {
    let mut line = Line::new(48_000, &[1], format, jiff::Timestamp::UNIX_EPOCH).unwrap();
    let mut bytes = line.head.take().unwrap();
    let sizes = blocks
        .iter()
        .map(|&first| {
            let sample = |n: u64| 0.25 * (std::f64::consts::TAU * 440.0 * n as f64 / 48_000.0).sin() as f32;
            line.audio = (first..first + 2_400).map(sample).collect();
            let more = line.hear(first).unwrap().unwrap();
            bytes.extend(&more);
            more.len()
        })
        .collect();
    (sizes, bytes)
}

#[test]
fn each_block_is_a_fragment_at_once() {
    let blocks: Vec<u64> = (0..40).map(|n| n * 2_400).collect();
    let (sizes, _) = heard(StreamFormat::Mp4, &blocks);
    assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    let (sizes, _) = heard(StreamFormat::Ogg, &blocks);
    assert!(sizes.windows(3).all(|three| three.iter().any(|size| *size > 0)), "a page every 100 ms: {sizes:?}");
}

#[test]
fn missing_blocks_are_silence_of_the_same_length() {
    let blocks: Vec<u64> = (0..10).chain(20..40).map(|n| n * 2_400).collect();
    let (_, bytes) = heard(StreamFormat::Ogg, &blocks);
    let (samples, _) = decode(&bytes);
    assert!(samples.len() > 37 * 2_400);
    assert!(rms(&samples[12 * 2_400..19 * 2_400]) < 0.01);
    assert!(rms(&samples[21 * 2_400..37 * 2_400]) > 0.15);
}

#[test]
fn a_long_absence_ends_the_stream_and_no_audio_is_no_bytes() {
    let mut line = Line::new(48_000, &[1, 2, 3], StreamFormat::Mp4, jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(line.hear(1 << 42).unwrap(), Some(Vec::new()));
    line.audio = vec![0.1; 300];
    assert!(line.hear(1 << 42).unwrap().is_some());
    line.audio = vec![0.1; 300];
    assert!(line.hear((1 << 42) + 6 * 48_000).unwrap().is_none());
}

#[test]
fn nobody_hears_a_recorder_that_does_not_run() {
    let home = tempfile::tempdir().unwrap();
    let data = crate::capture::take::DataDir::new(home.path());
    let opened = Live::open(&data, Channels::All, StreamFormat::Mp4, jiff::Timestamp::UNIX_EPOCH);
    assert!(opened.err().unwrap().to_string().contains("no recorder is running"));
}
