//! Takes for tests of services: written by hand as capture writes them, so that they grow exactly when a test says so.

use std::fs::File;

use jiff::Timestamp;

use crate::audio::pcm::SampleFormat;
use crate::audio::wav::{WavSpec, WavWriter};
use crate::audio::{Encoder, FileInfo, Loudness};
use crate::capture::take::log::LogWriter;
use crate::capture::take::{DataDir, TakeFolder};
use crate::domain::order::StoredAs;
use crate::domain::take::{CloseReason, Opened, SegmentClosed, SegmentOpened, TakeChannel};
use crate::domain::{ClockQuality, Fact, Gap, GapCause, Mark, TakeId};

pub const RATE: u32 = 16_000;

/// A take under way.
pub struct TestTake {
    pub home: tempfile::TempDir,
    pub folder: TakeFolder,
    pub channels: usize,
    /// All that was recorded, gaps as silence.
    pub audio: Vec<Vec<f32>>,
    log: LogWriter,
    segment: Option<(String, WavWriter<File>)>,
    segments: u32,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A tone of its own for each channel.
pub fn tone(channel: usize, from: usize, frames: usize) -> Vec<f32> {
    let hz = 300.0 + 100.0 * channel as f64;
    let sample = |n: usize| (0.25 * (std::f64::consts::TAU * hz * n as f64 / f64::from(RATE)).sin()) as f32;
    (from..from + frames).map(sample).collect()
}

impl TestTake {
    pub fn begin(channels: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let id = TakeId::new(now(), [7; 10]);
        let folder = DataDir::new(home.path()).take(id);
        std::fs::create_dir_all(folder.path()).unwrap();
        let channel = |number| TakeChannel { number, port: String::new(), label: format!("Mic {number}") };
        let opened = Opened {
            id,
            title: "Hearing".into(),
            sample_rate: RATE,
            stored_as: StoredAs::Pcm24,
            channels: (1..=channels as u16).map(channel).collect(),
            started_at: now(),
            time_zone: "UTC".into(),
            clock_quality: ClockQuality::Ntp,
            pre_roll_frames: 0,
            ordered_start: now(),
            late_seconds: 0.0,
            planned_frames: None,
            segment_frames: 1 << 30,
            host: "desk".into(),
            version: "0".into(),
        };
        let mut log = LogWriter::create(&folder.log()).unwrap();
        log.append(&Fact::Opened(opened)).unwrap();
        let audio = vec![Vec::new(); channels];
        Self { home, folder, channels, audio, log, segment: None, segments: 0 }
    }

    pub fn frames(&self) -> usize {
        self.audio[0].len()
    }

    /// So many frames more are on disk.
    pub fn record(&mut self, frames: usize) {
        if self.segment.is_none() {
            self.open_segment();
        }
        let from = self.frames();
        let new: Vec<Vec<f32>> = (0..self.channels).map(|channel| tone(channel, from, frames)).collect();
        let planar: Vec<&[f32]> = new.iter().map(Vec::as_slice).collect();
        self.segment.as_mut().unwrap().1.write(&planar).unwrap();
        self.audio.iter_mut().zip(&new).for_each(|(all, new)| all.extend(new));
    }

    /// Frames are missing; the next recording is a new segment.
    pub fn lose(&mut self, frames: usize) {
        self.close_segment();
        let (first_frame, frames_lost) = (self.frames() as u64, frames as u64);
        let gap = Gap { first_frame, frames: frames_lost, cause: GapCause::JackGone, channels: None };
        self.log.append(&Fact::Gap(gap)).unwrap();
        self.audio.iter_mut().for_each(|channel| channel.extend(vec![0.0; frames]));
    }

    /// Something is worth finding again.
    pub fn mark(&mut self, label: &str) {
        let frame = self.frames() as u64;
        self.log.append(&Fact::Mark(Mark { frame, label: label.into() })).unwrap();
    }

    pub fn close(&mut self) {
        self.close_segment();
        let frames = self.frames() as u64;
        self.log.append(&Fact::Closed { frames, at: now(), reason: CloseReason::Stopped }).unwrap();
    }

    /// The hasher is done with a segment.
    pub fn hash(&mut self, number: u32, sha256: &str) {
        let file = TakeFolder::segment_name(number);
        self.log.append(&Fact::SegmentHashed { file, sha256: sha256.repeat(64) }).unwrap();
    }

    fn open_segment(&mut self) {
        self.segments += 1;
        let file = TakeFolder::segment_name(self.segments);
        let first_frame = self.frames() as u64;
        let opened = SegmentOpened {
            file: file.clone(),
            first_frame,
            at: now(),
            mono_us: 0,
            jack_frame: 0,
            boot_id: "this boot".into(),
        };
        self.log.append(&Fact::SegmentOpened(opened)).unwrap();
        let info = FileInfo {
            title: String::new(),
            take_id: String::new(),
            originator: String::new(),
            started: now().to_zoned(jiff::tz::TimeZone::UTC),
            rate: RATE,
            channels: (0..self.channels).map(|n| n.to_string()).collect(),
            part: None,
        };
        let spec = WavSpec { rate: RATE, channels: self.channels as u16, format: SampleFormat::Pcm24 };
        let writer = WavWriter::open(File::create(self.folder.segment(&file)).unwrap(), spec, &info).unwrap();
        self.segment = Some((file, writer));
    }

    fn close_segment(&mut self) {
        let Some((file, mut writer)) = self.segment.take() else { return };
        writer.finish(&[], &Loudness::default()).unwrap();
        let (frames, path) = (writer.frames(), self.folder.segment(&file));
        let bytes = std::fs::metadata(path).unwrap().len();
        self.log.append(&Fact::SegmentClosed(SegmentClosed { file, frames, bytes })).unwrap();
    }
}
