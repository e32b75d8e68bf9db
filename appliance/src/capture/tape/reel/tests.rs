//! One take on a real disk: where segments end, what the log says, and what a disk that refuses makes of it.

use std::path::Path;

use super::segment::{SEGMENT_BYTES_MAX, segment_frames_max};
use super::*;
use crate::audio::facts::{Analyser, Options};
use crate::audio::wav::WavReader;
use crate::capture::take::log::Log;
use crate::capture::take::timeline::Timeline;
use crate::capture::take::verify::{Report, verify_take};
use crate::capture::tape::hasher::sha256_of;
use crate::domain::order::StoredAs;
use crate::domain::take::TakeChannel;
use crate::domain::{ChannelSet, ClockQuality, Mark, TakeId, TakeInfo, TakeState};

const RATE: u32 = 1_000;

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn opened(channels: u16) -> Opened {
    let channel = |number| TakeChannel { number, port: String::new(), label: format!("Mic {number}") };
    Opened {
        id: TakeId::new(at(), [7; 10]),
        title: "Hearing".into(),
        sample_rate: RATE,
        stored_as: StoredAs::Pcm24,
        channels: (1..=channels).map(channel).collect(),
        started_at: at(),
        time_zone: "UTC".into(),
        clock_quality: ClockQuality::Ntp,
        pre_roll_frames: 0,
        ordered_start: at(),
        late_seconds: 0.0,
        planned_frames: None,
        segment_frames: 2_500,
        host: "desk".into(),
        version: "0".into(),
    }
}

struct Deck {
    _home: tempfile::TempDir,
    folder: TakeFolder,
    reel: Reel,
}

impl Deck {
    fn new() -> Self {
        Self::of(opened(1))
    }

    fn of(opened: Opened) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = TakeFolder::at(home.path().join("takes").join("take"));
        let reel = Reel::begin(folder.clone(), opened);
        Self { _home: home, folder, reel }
    }

    /// Frames that say which they are.
    fn audio(&mut self, frame: u64, frames: u64) {
        let samples: Vec<f32> = (frame..frame + frames).map(sample).collect();
        let block = Block::of(0, ChannelSet::first(1), &[&samples]);
        let position = Position { frame, wall: at(), mono_us: 0, jack_frame: 0 };
        self.reel.audio(position, &block, 0, frames as usize);
    }

    fn gap(&mut self, first_frame: u64, frames: u64) {
        self.reel.gap(Gap { first_frame, frames, cause: GapCause::Xrun, channels: None });
    }

    fn hash(&mut self) {
        for file in self.reel.take_finished() {
            let sha256 = sha256_of(&self.folder.segment(&file)).unwrap();
            self.reel.hashed(Some(Fact::SegmentHashed { file, sha256 }));
        }
    }

    fn close(&mut self, frames: u64) -> TakeInfo {
        self.reel.close(frames, CloseReason::Stopped, at());
        self.hash();
        self.folder.load().unwrap().info(false)
    }

    fn report(&self) -> Report {
        verify_take(&self.folder)
    }

    /// Frames whose sample is the one that belongs there, as spans.
    fn heard(&self) -> Vec<(u64, u64)> {
        let info = self.folder.load().unwrap().info(false);
        let mut planar = vec![Vec::new(); info.channels.len()];
        Timeline::new(&self.folder, &info, 0).read(info.frames as usize, &mut planar).unwrap();
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for (frame, &got) in (0..).zip(&planar[0]) {
            match spans.last_mut() {
                _ if got != sample(frame) => assert_eq!(got, 0.0, "frame {frame} is another frame's"),
                Some(last) if last.1 == frame => last.1 += 1,
                _ => spans.push((frame, frame + 1)),
            }
        }
        spans
    }
}

fn sample(frame: u64) -> f32 {
    (frame + 1) as f32 / 8_388_608.0
}

fn segments(info: &TakeInfo) -> Vec<(u64, u64)> {
    info.segments.iter().map(|s| (s.first_frame, s.frames)).collect()
}

fn is_proven(report: &Report) -> bool {
    report.exit_code() == 0
}

#[test]
fn segments_end_at_their_length_and_join() {
    let mut deck = Deck::new();
    (0..6).for_each(|n| deck.audio(n * 1_000, 1_000));
    let info = deck.close(6_000);
    assert_eq!(segments(&info), [(0, 2_500), (2_500, 2_500), (5_000, 1_000)]);
    assert_eq!((info.state, info.frames), (TakeState::Ready, 6_000));
    assert_eq!(deck.heard(), [(0, 6_000)]);
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
}

/// Floats were counted with three bytes, so that their segments grew past a gigabyte.
#[test]
fn no_segment_grows_past_a_gigabyte_in_any_format() {
    for (stored_as, bytes) in [(StoredAs::Pcm24, 3), (StoredAs::Float32, 4)] {
        let opened = Opened { stored_as, segment_frames: u64::MAX, ..opened(32) };
        let size = segment_frames_max(&opened) * 32 * bytes;
        assert!((SEGMENT_BYTES_MAX - (2 << 20)..=SEGMENT_BYTES_MAX).contains(&size), "{stored_as:?}: {size}");
    }
}

#[test]
fn a_short_gap_is_silence_in_the_segment_and_a_long_one_ends_it() {
    let mut deck = Deck::new();
    deck.audio(0, 300);
    deck.gap(300, 1_700);
    deck.audio(2_000, 100);
    deck.gap(2_100, 2_001);
    deck.audio(4_101, 100);
    let info = deck.close(4_201);
    assert_eq!(segments(&info), [(0, 2_100), (4_101, 100)]);
    assert_eq!(deck.heard(), [(0, 300), (2_000, 2_100), (4_101, 4_201)]);
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
}

#[test]
fn a_gap_that_does_not_fit_ends_the_segment() {
    let mut deck = Deck::new();
    deck.audio(0, 2_400);
    deck.gap(2_400, 101);
    deck.audio(2_501, 100);
    assert_eq!(segments(&deck.close(2_601)), [(0, 2_400), (2_501, 100)]);
}

#[test]
fn frames_that_jump_without_a_word_shift_nothing_and_verify_says_so() {
    let mut deck = Deck::new();
    deck.audio(0, 100);
    deck.audio(150, 100);
    deck.close(250);
    assert_eq!(deck.heard(), [(0, 100), (150, 250)]);
    assert_eq!(deck.report().findings, ["frames 100 to 149 are missing and no gap says so"]);
}

#[test]
fn a_pause_ends_the_segment_and_is_no_gap() {
    let mut deck = Deck::new();
    deck.audio(0, 100);
    deck.reel.note(Fact::Paused { frame: 100, at: at() });
    deck.reel.note(Fact::Resumed { frame: 900, at: at() });
    deck.audio(900, 100);
    let info = deck.close(1_000);
    assert_eq!((segments(&info), info.state), (vec![(0, 100), (900, 100)], TakeState::Ready));
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
}

#[test]
fn a_disk_without_room_cuts_at_a_whole_second_and_goes_on_with_room() {
    let mut deck = Deck::new();
    deck.audio(0, 1_700);
    deck.reel.starve(GapCause::DiskFull);
    deck.audio(1_700, 300);
    deck.reel.tick(false);
    deck.audio(2_000, 300);
    deck.reel.tick(true);
    deck.audio(2_300, 200);
    let info = deck.close(2_500);
    assert_eq!(segments(&info), [(0, 1_000), (2_300, 200)]);
    assert_eq!((info.gaps[0].first_frame, info.gaps[0].frames, info.gaps[0].cause), (1_000, 1_300, GapCause::DiskFull));
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
}

#[test]
fn a_take_that_ends_without_room_has_its_gap_to_the_end() {
    let mut deck = Deck::new();
    deck.audio(0, 1_700);
    deck.reel.starve(GapCause::DiskFull);
    deck.audio(1_700, 300);
    let info = deck.close(2_000);
    assert_eq!((info.frames, info.gaps[0].frames), (2_000, 1_000));
    assert!(deck.reel.is_settled() && is_proven(&deck.report()), "{:?}", deck.report());
}

/// The disk ran full in a pause and had room again before its end: the whole pause was told as missing.
#[test]
fn a_pause_is_not_missed_when_the_disk_is_full_meanwhile() {
    let mut deck = Deck::new();
    deck.audio(0, 1_000);
    deck.reel.note(Fact::Paused { frame: 1_000, at: at() });
    deck.reel.starve(GapCause::DiskFull);
    deck.reel.tick(true);
    deck.reel.note(Fact::Resumed { frame: 3_000, at: at() });
    deck.audio(3_000, 100);
    let info = deck.close(3_100);
    assert_eq!((info.gaps.len(), info.state), (0, TakeState::Ready), "{:?}", info.gaps);
}

#[test]
fn a_pause_splits_what_a_full_disk_did_not_take() {
    let mut deck = Deck::new();
    deck.audio(0, 1_000);
    deck.reel.starve(GapCause::DiskFull);
    deck.audio(1_000, 200);
    deck.reel.note(Fact::Paused { frame: 1_200, at: at() });
    deck.reel.note(Fact::Resumed { frame: 1_500, at: at() });
    deck.audio(1_500, 100);
    deck.reel.tick(true);
    deck.audio(1_600, 100);
    let spans: Vec<_> = deck.close(1_700).gaps.iter().map(|g| (g.first_frame, g.first_frame + g.frames)).collect();
    assert_eq!(spans, [(1_000, 1_200), (1_500, 1_600)]);
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
}

/// A take that could never be begun and was stopped meanwhile was never tried again, so its stop was never answered.
#[test]
fn a_take_that_could_not_be_begun_is_closed_when_the_disk_is_back() {
    let mut deck = blocked();
    deck.audio(0, 500);
    deck.reel.close(500, CloseReason::Stopped, at());
    assert!(!deck.reel.is_settled());
    unblock(&deck.folder);
    deck.reel.tick(true);
    assert!(deck.reel.is_settled());
    let info = deck.folder.load().unwrap().info(false);
    assert_eq!((info.state, info.frames, info.gaps.len()), (TakeState::Failed, 500, 1));
}

/// Facts beyond the limit were dropped from the end: the take lost its closing and was open for ever.
#[test]
fn a_log_that_takes_nothing_for_long_loses_marks_but_not_the_story() {
    let mut deck = blocked();
    for frame in 0..5_000 {
        deck.reel.note(Fact::Mark(Mark { frame, label: "m".into() }));
    }
    assert!(deck.reel.take_error().unwrap().contains("a mark or a channel's gap is lost"));
    deck.reel.close(9_000, CloseReason::Stopped, at());
    unblock(&deck.folder);
    deck.reel.tick(true);
    let info = deck.folder.load().unwrap().info(false);
    assert_eq!((info.marks.len(), info.closed), (PENDING_FACTS_MAX - 2, Some(CloseReason::Stopped)));
}

/// A take in whose place a file stands.
fn blocked() -> Deck {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("takes"), "").unwrap();
    let folder = TakeFolder::at(home.path().join("takes").join("take"));
    let reel = Reel::begin(folder.clone(), opened(1));
    Deck { _home: home, folder, reel }
}

fn unblock(folder: &TakeFolder) {
    std::fs::remove_file(folder.path().parent().unwrap()).unwrap();
}

#[test]
fn a_recorder_that_ends_on_purpose_leaves_segments_that_are_proven_and_a_take_that_goes_on() {
    let mut deck = Deck::new();
    deck.audio(0, 700);
    deck.reel.rest();
    deck.hash();
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
    assert!(!deck.folder.load().unwrap().is_closed());
    deck.reel = Reel::adopt(deck.folder.clone()).unwrap();
    deck.gap(700, 300);
    deck.audio(1_000, 200);
    let info = deck.close(1_200);
    assert_eq!((segments(&info), deck.heard()), (vec![(0, 700), (1_000, 200)], vec![(0, 700), (1_000, 1_200)]));
    assert!(is_proven(&deck.report()), "{:?}", deck.report());
}

#[test]
fn a_take_adopted_in_a_pause_ends_in_it_without_a_gap() {
    let mut deck = Deck::new();
    deck.audio(0, 1_000);
    deck.reel.note(Fact::Paused { frame: 1_000, at: at() });
    deck.hash();
    deck.reel = Reel::adopt(deck.folder.clone()).unwrap();
    deck.reel.starve(GapCause::DiskFull);
    assert_eq!(deck.close(2_000).gaps, []);
}

#[test]
fn the_log_alone_tells_what_the_take_is() {
    let mut deck = Deck::new();
    deck.audio(0, 2_000);
    deck.gap(2_000, 200);
    deck.reel.note(Fact::Mark(Mark { frame: 2_100, label: "witness".into() }));
    deck.audio(2_200, 1_000);
    let info = deck.close(3_200);
    let path = deck.folder.log();
    assert_eq!(Log::read(&path).unwrap().info(&path).unwrap(), info);
    let reader = WavReader::open(std::fs::File::open(deck.folder.segment("0001.wav")).unwrap()).unwrap();
    // The gap was marked twice.
    let markers: Vec<_> = reader.about().markers.iter().map(|m| (m.frame, m.frames)).collect();
    assert_eq!(markers, [(2_000, 200), (2_100, 0)]);
}

#[test]
fn a_channel_that_a_block_does_not_have_is_silent_and_the_others_are_kept() {
    let mut deck = Deck::of(opened(2));
    deck.audio(0, 100);
    let info = deck.close(100);
    assert_eq!((info.gaps.len(), deck.heard()), (0, vec![(0, 100)]));
}

#[test]
fn a_name_that_a_crash_used_is_left_alone() {
    let mut deck = Deck::new();
    std::fs::write(deck.folder.segment("0001.wav"), "evidence").unwrap();
    deck.audio(0, 100);
    assert_eq!(deck.close(100).segments[0].file, "0002.wav");
    assert_eq!(std::fs::read(deck.folder.segment("0001.wav")).unwrap(), b"evidence");
}

/// Loudness was taken over windows that reached across lost frames.
#[test]
fn no_window_of_loudness_reaches_over_a_gap() {
    let opened = Opened { sample_rate: 48_000, ..opened(1) };
    let hops = |count: usize| {
        let tone: Vec<f32> = (0..count * 2_400).map(|n| (n as f32 * 0.13).sin() * 0.5).collect();
        let mut hops = Vec::new();
        Analyser::new(48_000, 1, Options { true_peak: false, hum: false }).push(&[&tone], &mut hops);
        hops
    };
    let mut meter = SegmentMeter::new(&opened);
    hops(6).iter().for_each(|hop| meter.add(hop));
    meter.gap();
    hops(6).iter().for_each(|hop| meter.add(hop));
    assert_eq!(meter.loudness().momentary_lufs, None, "neither side has 400 ms");
    hops(2).iter().for_each(|hop| meter.add(hop));
    assert!(meter.loudness().momentary_lufs.is_some());
}

#[test]
fn a_folder_that_is_a_file_is_an_error_and_not_a_panic() {
    assert!(Reel::adopt(TakeFolder::at(Path::new("/dev/null"))).is_err());
}
