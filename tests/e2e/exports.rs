//! One file out of a take, in the format, the channels and the span one asks for; judged by independent programs.

use crate::harness::*;
use std::path::Path;

#[test]
fn export_while_recording_is_exact_and_hurts_nothing() {
    let room = Room::new(Plan { capture: &["--segment-seconds", "1"], ..Plan::default() });
    let id = room.record(&[], ms(2500));
    let known = room.appliance.info(&id);
    let so_far = room.exported(&known);
    assert!(so_far.frames >= ms(1000), "an export of {} frames", so_far.frames);
    so_far.assert_exact(so_far.frames);
    room.feed.play(ms(500));
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_exact(take.frames);
}

#[test]
fn a_span_and_a_channel_are_cut_to_the_frame() {
    let room = Room::new(Plan { channels: 3, ..Plan::default() });
    let id = room.record(&[], ms(2500));
    let take = room.appliance.stop(&id);
    let begins = room.appliance.check(&take).assert_exact(take.frames);
    let span = ["--format", "wav", "--channels", "3,1", "--from", "0.5", "--to", "2"];
    let file = room.appliance.export(&id, &span, "span.wav");
    let cut = Report::of_file(&file, &[3, 1]).assert_exact(ms(1500));
    assert_eq!(distance(begins, cut), ms(500) as i64);
    let float = room.appliance.export(&id, &["--format", "wav", "--float"], "float.wav");
    assert_eq!(Report::of_file(&float, &[1, 2, 3]).assert_exact(take.frames), begins);
    assert_eq!(judge("ffprobe", &CODEC, &float).trim(), "pcm_f32le");
}

#[test]
fn flac_is_lossless_and_opus_is_as_long_as_the_take() {
    let room = Room::usual();
    let id = room.record(&[], ms(3000));
    let take = room.appliance.stop(&id);
    let flac = room.appliance.export(&id, &["--format", "flac"], "take.flac");
    judge("flac", &["-t", "-s", "-w"], &flac);
    let back = flac.with_extension("back.wav");
    judge("flac", &["-d", "-s", "-f", "-o", back.to_str().unwrap()], &flac);
    Report::of_file(&back, &[1, 2]).assert_exact(take.frames);
    let opus = room.appliance.export(&id, &["--format", "opus"], "take.opus");
    let words = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
    let seconds: f64 = judge("ffprobe", &words, &opus).trim().parse().unwrap();
    assert!((seconds - take.duration_seconds).abs() < 0.02, "{seconds} s of {}", take.duration_seconds);
}

/// 32 channels of 24 bit are 96 bytes a frame: this many frames are 4 GiB and a little.
const PAST_4_GIB: u64 = (1 << 32) / 96 + 96_000;

#[test]
fn a_take_past_4_gib_is_one_rf64_that_everyone_reads() {
    let room = Room::new(Plan { channels: 32, capture: &["--no-facts"], ..Plan::default() });
    let id = room.record(&[], ms(500));
    room.feed.freewheel(true);
    room.feed.play(PAST_4_GIB);
    room.feed.freewheel(false);
    let take = room.appliance.stop(&id);
    assert!(take.frames > PAST_4_GIB);
    let file = room.appliance.export(&id, &["--format", "wav"], "long.wav");
    let wav = Wav::open(&file).unwrap();
    assert_eq!((wav.id.as_str(), wav.rate), ("RF64", RATE));
    assert_eq!(judge("soxi", &["-s"], &file).trim(), take.frames.to_string());
    let words = ["-v", "error", "-show_entries", "stream=duration_ts", "-of", "csv=p=0"];
    assert_eq!(judge("ffprobe", &words, &file).trim(), take.frames.to_string());
    assert!(decodes_with_sox(&file), "sox reads it to the end");
    Report::of_file(&file, &take.numbers()).assert_declared(&take, 0);
    std::fs::remove_file(&file).unwrap();
    let flac = room.appliance.export(&id, &["--format", "flac", "--channels", "1,2"], "long.flac");
    judge("flac", &["-t", "-s", "-w"], &flac);
    assert_eq!(judge("metaflac", &["--show-total-samples"], &flac).trim(), take.frames.to_string());
}

const CODEC: [&str; 6] = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"];

/// The last second, reached by skipping all the rest.
fn decodes_with_sox(file: &Path) -> bool {
    let words = ["-n", "trim", "-1", "stat"];
    run(std::process::Command::new("sox").arg(file).args(words)).code == Some(0)
}
