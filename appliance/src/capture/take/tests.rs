//! Takes on disk, damaged in every way: recovery makes whole what a crash left and harms nothing else, `verify` finds
//! each kind of damage, and no log, however hostile, does more than be refused.

mod fuzz;

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::export::{ExportError, Format, Request, export};
use super::folder::{DataDir, TakeFolder};
use super::log::LogWriter;
use super::recover::{close, recover, recover_all};
use super::verify::{verify, verify_take};
use super::wav_view::WavView;
use crate::audio::wav::WavReader;
use crate::capture::block::Block;
use crate::capture::tape::reel::Position;
use crate::capture::tape::{Op, Tape, TapeEvent};
use crate::domain::order::StoredAs;
use crate::domain::take::{CloseReason, Opened, SegmentOpened, TakeChannel};
use crate::domain::{ChannelSet, Channels, ClockQuality, Fact, GapCause, Mark, TakeId};

const RATE: u32 = 1_000;
const BOOT: &str = "this boot";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn opened() -> Opened {
    let channel = |number| TakeChannel { number, port: String::new(), label: format!("Mic {number}") };
    Opened {
        id: TakeId::new(now(), [7; 10]),
        title: "Hearing".into(),
        sample_rate: RATE,
        stored_as: StoredAs::Pcm24,
        channels: vec![channel(1), channel(2)],
        started_at: now(),
        time_zone: "UTC".into(),
        clock_quality: ClockQuality::Ntp,
        pre_roll_frames: 0,
        ordered_start: now(),
        late_seconds: 0.0,
        planned_frames: None,
        segment_frames: 1_000,
        host: "desk".into(),
        version: "0".into(),
    }
}

struct Shelf {
    home: tempfile::TempDir,
    data: DataDir,
    folder: TakeFolder,
    id: TakeId,
}

impl Shelf {
    fn empty() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (data, id) = (DataDir::new(home.path()), opened().id);
        fs::create_dir_all(data.takes()).unwrap();
        let folder = data.take(id);
        Self { home, data, folder, id }
    }

    /// A take of 2 500 frames in three segments and a mark, closed.
    fn closed() -> Self {
        let shelf = Self::empty();
        let (tell, told) = std::sync::mpsc::channel();
        let tape = shelf.recorded(tell);
        tape.send(Op::Close { id: shelf.id, frames: 2_500, reason: CloseReason::Stopped });
        assert_eq!(told.recv().unwrap(), TapeEvent::Finished(shelf.id));
        shelf
    }

    /// The same, left by a recorder that ended on purpose.
    fn resting() -> Self {
        let shelf = Self::empty();
        drop(shelf.recorded(std::sync::mpsc::channel().0));
        shelf
    }

    fn recorded(&self, tell: std::sync::mpsc::Sender<TapeEvent>) -> Tape {
        let tape = Tape::start(self.data.clone(), tell).unwrap();
        tape.send(Op::Open { opened: Box::new(opened()) });
        let samples: Vec<f32> = (1..=2_500).map(|n| n as f32 / 8_388_608.0).collect();
        let block = Block::of(0, ChannelSet::first(2), &[&samples, &samples]).into();
        tape.send_audio(self.id, Position { frame: 0, wall: now(), mono_us: 0, jack_frame: 0 }, block, 0, 2_500);
        tape.send(Op::Note { id: self.id, fact: Fact::Mark(Mark { frame: 2_100, label: "witness".into() }) });
        tape
    }

    /// The same as a crash leaves it: the last segment open, nothing hashed. Returns the bytes of its header.
    fn left_open(&self) -> u64 {
        let mut log = self.begun();
        for n in 0..3 {
            let file = TakeFolder::segment_name(n + 1);
            log.append(&segment(&file, u64::from(n) * 1_000)).unwrap();
        }
        log.append(&Fact::Mark(Mark { frame: 2_100, label: "witness".into() })).unwrap();
        let donor = Self::closed();
        let mut data_offset = 0;
        for name in ["0001.wav", "0002.wav", "0003.wav"] {
            let from = donor.folder.segment(name);
            let reader = WavReader::open(fs::File::open(&from).unwrap()).unwrap();
            let (offset, frames) = (reader.about().data_offset, reader.about().frames);
            let mut bytes = fs::read(from).unwrap();
            bytes.truncate((offset + frames * 6) as usize);
            bytes[4..8].fill(0xff);
            bytes[offset as usize - 4..offset as usize].fill(0xff);
            fs::write(self.folder.segment(name), bytes).unwrap();
            data_offset = offset;
        }
        data_offset
    }

    /// A log that has the opening and no more.
    fn begun(&self) -> LogWriter {
        fs::create_dir_all(self.folder.path()).unwrap();
        let mut log = LogWriter::create(&self.folder.log()).unwrap();
        log.append(&Fact::Opened(opened())).unwrap();
        log
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    #[track_caller]
    fn assert_proven(&self, frames: u64) {
        let report = verify_take(&self.folder);
        assert_eq!((report.exit_code(), report.frames_proven), (0, frames), "{report:?}");
    }
}

fn segment(file: &str, first_frame: u64) -> Fact {
    let (file, boot_id) = (file.to_owned(), BOOT.to_owned());
    Fact::SegmentOpened(SegmentOpened { file, first_frame, at: now(), mono_us: 0, jack_frame: 0, boot_id })
}

#[test]
fn a_recorder_that_ends_on_purpose_leaves_what_verify_proves_and_the_take_open() {
    let shelf = Shelf::resting();
    shelf.assert_proven(2_500);
    let loaded = shelf.folder.load().unwrap();
    assert!(!loaded.is_closed() && loaded.info(false).segments.iter().all(|s| !s.is_open && s.sha256.is_some()));
    assert!(!recover(&shelf.folder, BOOT, now()).unwrap().was_changed);
}

#[test]
fn recovery_keeps_every_whole_frame_wherever_the_last_file_ends() {
    let shelf = Shelf::empty();
    shelf.left_open();
    let (log, whole) = (shelf.read("take.jsonl"), shelf.read("0003.wav"));
    for cut in 0..=12 {
        shelf.write("take.jsonl", &log);
        shelf.write("0003.wav", &whole[..whole.len() - cut]);
        let recovered = recover(&shelf.folder, BOOT, now()).unwrap();
        let frames = 2_500 - cut.div_ceil(6) as u64;
        assert_eq!((recovered.info.frames, recovered.was_changed), (frames, true), "{cut} bytes cut");
        shelf.assert_proven(frames);
    }
}

/// A crash between a segment's making and its header's last byte kept the whole take from being made whole.
#[test]
fn a_header_that_is_not_whole_is_a_segment_without_frames() {
    let shelf = Shelf::empty();
    let header = shelf.left_open() as usize;
    let (log, whole) = (shelf.read("take.jsonl"), shelf.read("0003.wav"));
    let zeros = vec![0; header];
    let cuts = (0..header).step_by(131).chain([header - 1]).map(|length| &whole[..length]);
    for bytes in cuts.chain([&zeros[..]]) {
        shelf.write("take.jsonl", &log);
        shelf.write("0003.wav", bytes);
        recover(&shelf.folder, BOOT, now()).unwrap();
        shelf.assert_proven(2_000);
        assert_eq!(shelf.read("0003.wav"), bytes, "it is kept as it was found");
    }
}

#[test]
fn a_damaged_header_before_audio_is_left_for_people() {
    let shelf = Shelf::empty();
    shelf.left_open();
    let mut bytes = shelf.read("0003.wav");
    bytes[0] ^= 1;
    shelf.write("0003.wav", &bytes);
    assert!(recover(&shelf.folder, BOOT, now()).is_err());
    assert_eq!(shelf.read("0003.wav"), bytes);
}

#[test]
fn a_log_cut_anywhere_in_its_last_line_loses_that_line_alone() {
    let shelf = Shelf::closed();
    let whole = shelf.read("take.jsonl");
    let last = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    for length in last..whole.len() {
        shelf.write("take.jsonl", &whole[..length]);
        let recovered = recover(&shelf.folder, BOOT, now()).unwrap();
        assert_eq!(recovered.info.frames, 2_500, "{length}");
        shelf.assert_proven(2_500);
    }
}

/// A segment whose file never came to be has no hash to be had: each start took it for work and told of it again.
#[test]
fn a_second_recovery_changes_nothing() {
    let shelf = Shelf::empty();
    shelf.left_open();
    fs::remove_file(shelf.folder.segment("0003.wav")).unwrap();
    assert!(recover(&shelf.folder, BOOT, now()).unwrap().was_changed);
    let log = shelf.read("take.jsonl");
    assert!(!recover(&shelf.folder, BOOT, now()).unwrap().was_changed);
    assert_eq!(shelf.read("take.jsonl"), log);
    shelf.assert_proven(2_000);
}

#[test]
fn after_a_power_cut_a_tail_that_was_never_filled_is_cut_and_within_a_boot_it_is_silence() {
    for (boot, frames) in [(BOOT, 2_700), ("another boot", 2_500)] {
        let shelf = Shelf::empty();
        shelf.left_open();
        let mut bytes = shelf.read("0003.wav");
        bytes.extend([0; 200 * 6]);
        shelf.write("0003.wav", &bytes);
        assert_eq!(recover(&shelf.folder, boot, now()).unwrap().info.frames, frames, "{boot}");
        shelf.assert_proven(frames);
    }
}

/// Every file that was no WAV file of ours was taken for an empty segment and removed.
#[test]
fn recovery_removes_no_file_that_people_put_there() {
    let shelf = Shelf::empty();
    shelf.left_open();
    shelf.write("edit.wav", b"RIFF of a kind that we do not read");
    shelf.write("0004.wav", b"RIFF");
    shelf.write("0005.wav", &shelf.read("0001.wav"));
    recover(&shelf.folder, BOOT, now()).unwrap();
    let there = |name| shelf.folder.path().join(name).exists();
    assert_eq!(["edit.wav", "0004.wav", "0005.wav"].map(there), [true, false, true]);
}

/// A crash between the folder and its first fact: the order was dropped at the next start, and nothing was recorded.
#[test]
fn a_folder_without_a_fact_or_a_frame_makes_room_for_its_order() {
    let torn = |shelf: &Shelf| shelf.write("take.jsonl", b"{\"fact\":\"opened\",");
    let header = |shelf: &Shelf| shelf.write("0001.wav", b"RIFF");
    let cases: [&dyn Fn(&Shelf); 4] = [&|_| (), &torn, &header, &|shelf| {
        torn(shelf);
        header(shelf);
    }];
    for prepare in cases {
        let shelf = Shelf::empty();
        fs::create_dir_all(shelf.folder.path()).unwrap();
        prepare(&shelf);
        assert!(recover_all(&shelf.data, BOOT, now()).unwrap().is_empty());
        assert!(!shelf.folder.path().exists());
    }
}

#[test]
fn a_folder_with_audio_or_with_notes_of_people_is_never_removed() {
    for name in ["0001.wav", "notes.txt"] {
        let (shelf, donor) = (Shelf::empty(), Shelf::closed());
        fs::create_dir_all(shelf.folder.path()).unwrap();
        shelf.write(name, &donor.read("0001.wav"));
        assert!(recover_all(&shelf.data, BOOT, now()).unwrap()[0].1.is_err());
        assert!(shelf.folder.path().join(name).exists());
    }
}

#[test]
fn a_damaged_take_does_not_keep_the_others_from_being_made_whole() {
    let shelf = Shelf::empty();
    shelf.left_open();
    let bad = shelf.data.take(TakeId::new(now(), [9; 10]));
    fs::create_dir_all(bad.path()).unwrap();
    fs::write(bad.log(), "no log\n").unwrap();
    fs::write(shelf.data.takes().join(TakeId::new(now(), [1; 10]).to_string()), "a file").unwrap();
    let all = recover_all(&shelf.data, BOOT, now()).unwrap();
    assert_eq!(all.iter().filter(|(_, result)| result.is_ok()).count(), 1);
    shelf.assert_proven(2_500);
}

/// A take that was stopped while the recorder was down was told as missing up to its planned end, hours ahead.
#[test]
fn a_take_closed_as_found_misses_nothing_beyond_its_end_or_the_present() {
    let after = |ms| now() + SignedDuration::from_millis(ms);
    for (until, frames) in [(after(9_000), 5_000), (after(4_000), 4_000), (after(1_000), 2_500), (after(-9_000), 2_500)]
    {
        let shelf = Shelf::empty();
        shelf.left_open();
        recover(&shelf.folder, BOOT, now()).unwrap();
        let loaded = shelf.folder.load().unwrap();
        LogWriter::resume(&shelf.folder.log(), &loaded.log)
            .unwrap()
            .append(&Fact::Planned { frames: Some(5_000) })
            .unwrap();
        close(&shelf.folder, until, now()).unwrap();
        let info = shelf.folder.load().unwrap().info(false);
        assert_eq!((info.frames, info.closed), (frames, Some(CloseReason::EndedWhileDown)));
        assert!(info.gaps.iter().all(|gap| gap.cause == GapCause::CaptureDown && gap.first_frame == 2_500));
        shelf.assert_proven(2_500);
    }
}

#[test]
fn verify_finds_every_kind_of_damage() {
    type Damage = fn(&Shelf);
    fn flip(shelf: &Shelf, name: &str, at: usize) {
        let mut bytes = shelf.read(name);
        bytes[at] ^= 0x10;
        shelf.write(name, &bytes);
    }
    let cases: [(&str, Damage); 9] = [
        ("was altered", |shelf| flip(shelf, "0002.wav", shelf.read("0002.wav").len() - 100)),
        ("was altered", |shelf| flip(shelf, "0001.wav", 5)),
        ("was altered", |shelf| flip(shelf, "0003.wav", 40)),
        ("damaged at line", |shelf| flip(shelf, "take.jsonl", 300)),
        ("cannot be read", |shelf| fs::remove_file(shelf.folder.segment("0002.wav")).unwrap()),
        ("is not in the log", |shelf| shelf.write("0004.wav", &shelf.read("0001.wav"))),
        ("was altered", |shelf| {
            let (one, two) = (shelf.read("0001.wav"), shelf.read("0002.wav"));
            shelf.write("0001.wav", &two);
            shelf.write("0002.wav", &one);
        }),
        ("was altered", |shelf| shelf.write("0003.wav", &shelf.read("0003.wav")[..2_000])),
        ("torn line", |shelf| shelf.write("take.jsonl", &[&shelf.read("take.jsonl")[..], b"{"].concat())),
    ];
    for (sentence, damage) in cases {
        let shelf = Shelf::closed();
        shelf.assert_proven(2_500);
        damage(&shelf);
        let report = verify_take(&shelf.folder);
        assert_eq!(report.exit_code(), 1, "{sentence}: {report:?}");
        assert!(report.findings.iter().any(|finding| finding.contains(sentence)), "{sentence}: {report:?}");
    }
}

#[test]
fn what_cannot_be_read_is_no_proof() {
    let shelf = Shelf::closed();
    fs::remove_file(shelf.folder.log()).unwrap();
    assert_eq!(verify(shelf.folder.path())[0].exit_code(), 2);
    assert_eq!(verify(Path::new("/no/such/folder"))[0].exit_code(), 2);
}

/// `rakkr export -o takes/<id>/0001.wav` put the export in the segment's place.
#[test]
fn an_export_into_the_recordings_own_folder_is_refused() {
    let shelf = Shelf::closed();
    let request = |output| Request {
        format: Format::Wav,
        channels: Channels::All,
        from_seconds: None,
        to_seconds: None,
        is_float: false,
        output,
    };
    let error = export(&shelf.folder, &request(shelf.folder.segment("0001.wav"))).unwrap_err();
    assert!(matches!(error, ExportError::Impossible(_)), "{error}");
    shelf.assert_proven(2_500);
    assert_eq!(export(&shelf.folder, &request(shelf.home.path().join("out.wav"))).unwrap().frames, 2_500);
}

/// Bytes of a file that is not there, and of the same file exported.
fn viewed_and_exported(shelf: &Shelf, wanted: &Request) -> (Vec<u8>, WavView) {
    export(&shelf.folder, wanted).unwrap();
    (fs::read(&wanted.output).unwrap(), WavView::open(&shelf.folder, wanted).unwrap())
}

fn bytes_of(view: WavView, at: u64, end: u64) -> Vec<u8> {
    let mut pieces = view.read(at, end);
    std::iter::from_fn(|| pieces.next_piece().unwrap()).flatten().collect()
}

#[test]
fn a_download_that_is_written_while_it_is_sent_is_the_export() {
    let shelf = Shelf::closed();
    let wishes =
        [(Channels::All, None, None), ("2".parse().unwrap(), Some(0.3), Some(2.2)), (Channels::All, None, Some(1.001))];
    for (channels, from_seconds, to_seconds) in wishes {
        for is_float in [false, true] {
            let output = shelf.home.path().join("whole.wav");
            let format = Format::Wav;
            let wanted = Request { format, channels: channels.clone(), from_seconds, to_seconds, is_float, output };
            let (file, view) = viewed_and_exported(&shelf, &wanted);
            assert_eq!(view.bytes(), file.len() as u64);
            assert!(bytes_of(view, 0, u64::MAX) == file, "{wanted:?}");
        }
    }
}

#[test]
fn any_part_of_a_download_is_that_part_of_the_file() {
    let shelf = Shelf::closed();
    let output = shelf.home.path().join("whole.wav");
    let (from_seconds, to_seconds) = (None, None);
    let wanted =
        Request { format: Format::Wav, channels: Channels::All, from_seconds, to_seconds, is_float: false, output };
    let (file, _) = viewed_and_exported(&shelf, &wanted);
    let len = file.len() as u64;
    for step in [1, 7, 1_000, 4_999] {
        for at in (0..len).step_by(611) {
            let view = WavView::open(&shelf.folder, &wanted).unwrap();
            let end = (at + step).min(len);
            assert!(bytes_of(view, at, end) == file[at as usize..end as usize], "{at} to {end} of {len}");
        }
    }
    assert!(bytes_of(WavView::open(&shelf.folder, &wanted).unwrap(), len, len + 5).is_empty());
}
