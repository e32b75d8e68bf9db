//! Claims about WAV files, by what someone would want to know: the bytes, the crash, the size, the reading.

mod bytes;
mod crash;
mod large;
mod reading;

use super::super::{Encoder, FileInfo, Loudness, Marker, MarkerKind, Part};
use super::*;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

pub(super) const STEREO_24: WavSpec = spec(2, SampleFormat::Pcm24);

pub(super) const fn spec(channels: u16, format: SampleFormat) -> WavSpec {
    WavSpec { rate: 48_000, channels, format }
}

pub(super) fn info(channels: u16) -> FileInfo {
    FileInfo {
        title: "Council <1> & \"two\" \u{1F399}".into(),
        take_id: "0190c5a6-7b1e-7c3d-9f42-1234567890ab".into(),
        originator: "room-b".into(),
        started: "2026-03-29T10:00:00.5+02:00[Europe/Berlin]".parse().unwrap(),
        rate: 48_000,
        channels: (1..=channels).map(|number| format!("Mic {number} – Zoë")).collect(),
        part: Some(Part { number: 3, first_frame: 57_600_000 }),
    }
}

pub(super) fn mark(frame: u64, label: &str) -> Marker {
    Marker { frame, frames: 0, label: label.into(), kind: MarkerKind::Mark }
}

pub(super) fn gap(frame: u64, frames: u64) -> Marker {
    Marker { frame, frames, label: "xrun".into(), kind: MarkerKind::Gap }
}

/// Samples that every format holds exactly, other ones in every channel, none of them zero.
pub(super) fn tones(channels: u16, frames: usize) -> Vec<Vec<f32>> {
    let sample = |channel: usize, frame: usize| ((frame * 7 + channel * 1013) % 30_000 + 1) as f32 / 32_768.0;
    (0..usize::from(channels)).map(|channel| (0..frames).map(|frame| sample(channel, frame)).collect()).collect()
}

pub(super) fn slices(planar: &[Vec<f32>]) -> Vec<&[f32]> {
    planar.iter().map(Vec::as_slice).collect()
}

pub(super) fn open(spec: WavSpec) -> WavWriter<Cursor<Vec<u8>>> {
    WavWriter::open(Cursor::new(Vec::new()), spec, &info(spec.channels)).unwrap()
}

/// A file as a crash leaves it.
pub(super) fn open_file(spec: WavSpec, frames: usize) -> Vec<u8> {
    let mut writer = open(spec);
    writer.write(&slices(&tones(spec.channels, frames))).unwrap();
    writer.into_inner().into_inner()
}

pub(super) fn finished_file(spec: WavSpec, frames: usize, markers: &[Marker]) -> Vec<u8> {
    let mut writer = open(spec);
    writer.write(&slices(&tones(spec.channels, frames))).unwrap();
    writer.finish(markers, &Loudness::default()).unwrap();
    writer.into_inner().into_inner()
}

pub(super) fn read_all<R: Read + Seek>(source: R) -> (WavFile, Vec<Vec<f32>>) {
    let mut reader = WavReader::open(source).unwrap();
    let mut planar = vec![Vec::new(); usize::from(reader.about().spec.channels)];
    let frames = reader.read(usize::MAX, &mut planar).unwrap();
    assert_eq!(frames as u64, reader.about().frames);
    (reader.about().clone(), planar)
}

/// Id, offset and size of each chunk, found by nothing but the rule of RIFF.
pub(super) fn chunk_list(file: &[u8]) -> Vec<(String, usize, usize)> {
    let mut chunks = Vec::new();
    let mut at = 12;
    while at < file.len() {
        let size = word(file, at + 4) as usize;
        chunks.push((file[at..at + 4].escape_ascii().to_string(), at, size));
        at += 8 + size + size % 2;
    }
    assert_eq!(at, file.len(), "the last chunk ends with the file: {chunks:?}");
    chunks
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(super) fn long_word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// A sink that remembers every write, so that a test can stop the world between two of them.
#[derive(Default)]
pub(super) struct Journal {
    pub writes: Vec<(u64, Vec<u8>)>,
    file: Cursor<Vec<u8>>,
}

impl Journal {
    /// The file after the first `count` writes.
    pub fn after(&self, count: usize) -> Cursor<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        for (at, bytes) in &self.writes[..count] {
            file.set_position(*at);
            file.write_all(bytes).unwrap();
        }
        file
    }
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.push((self.file.position(), bytes.to_vec()));
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Journal {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A disk with `room` bytes that takes what fits and then refuses.
pub(super) struct Full {
    pub room: u64,
    pub file: Cursor<Vec<u8>>,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.room.saturating_sub(self.file.position()) as usize;
        match bytes.len().min(left) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            count => self.file.write(&bytes[..count]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
