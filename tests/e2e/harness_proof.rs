//! The harness proves itself without the product: what the feed plays a minimal recorder gets bit by bit, and the checker
//! sees every way in which a recording can be wrong. A judge that cannot say no is worth nothing.

use crate::harness::*;
use proptest::prelude::*;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

#[test]
fn a_minimal_recorder_gets_every_frame_of_the_feed() {
    let (take, folder, xruns) = recorded(4, ms(1000));
    let report = Report::of_take(folder.path(), &take);
    assert!(take.gaps.is_empty(), "{xruns} xruns, the machine was too busy: {:?}", take.gaps);
    assert!(take.frames >= ms(900));
    report.assert_exact(take.frames);
}

#[test]
fn freewheel_is_exact_and_faster_than_time() {
    let server = JackServer::start(Options { period: 1024, ..Options::default() });
    let feed = Feed::tags(&server, 2);
    feed.freewheel(true);
    feed.play(ms(100));
    let recorder = Recorder::start(&server, 2, ms(120_000));
    feed.play(ms(60_000));
    let folder = tempdir().unwrap();
    let take = recorder.finish(folder.path());
    assert!(take.frames > ms(50_000));
    Report::of_take(folder.path(), &take).assert_exact(take.frames);
}

#[test]
fn a_file_plays_whole_from_the_first_sample() {
    let server = JackServer::start(Options::default());
    let song: Vec<f32> = (0..20_000).map(|frame| tag(0, 5000 + frame)).collect();
    let feed = Feed::samples(&server, vec![song]);
    let recorder = Recorder::start(&server, 1, ms(2000));
    feed.wait_connected();
    feed.play(ms(600));
    let folder = tempdir().unwrap();
    let take = recorder.finish(folder.path());
    let report = Report::of_take(folder.path(), &take);
    assert_eq!(report.audible(), [(0, 20_000)]);
    assert_eq!(report.source_at(0), 5000);
}

#[test]
fn a_port_that_goes_and_comes_leaves_silence_on_its_channel_only() {
    let server = JackServer::start(Options::default());
    let feed = Feed::tags(&server, 2);
    let recorder = Recorder::start(&server, 2, ms(5000));
    feed.play(ms(200));
    feed.remove_port(2);
    feed.play(ms(200));
    let folder = tempdir().unwrap();
    let take = recorder.finish(folder.path());
    let report = Report::of_take(folder.path(), &take);
    assert_eq!(report.runs(1).len(), 1, "{:?}; {:?}; {} xruns", report.runs(1), take.gaps, feed.xruns());
    assert!(matches!(report.runs(2), [Run::Matched { .. }, Run::Silence { .. }]), "{:?}", report.runs(2));
    feed.restore_port(2);
}

#[test]
fn a_server_comes_back_under_its_name_and_the_feed_plays_on() {
    for how in [JackServer::kill_hard, JackServer::kill] {
        let mut server = JackServer::start(Options::default());
        let mut feed = Feed::tags(&server, 1);
        feed.play(ms(100));
        how(&mut server);
        server.restart();
        feed.reopen(&server);
        feed.play(ms(100));
    }
}

#[test]
fn hogs_leave_the_feed_exact_or_the_gap_is_seen() {
    let hogs = Hogs::start(6);
    let (take, folder, _) = recorded(8, ms(2000));
    drop(hogs);
    Report::of_take(folder.path(), &take).assert_declared(&take, 0);
}

#[test]
fn a_client_that_hangs_loses_frames_and_must_say_so() {
    let server = JackServer::start(Options { patience_ms: Some(200), ..Options::default() });
    let feed = Feed::tags(&server, 2);
    let recorder = Recorder::start(&server, 2, ms(10_000));
    feed.play(ms(200));
    recorder.hang(Duration::from_millis(700));
    feed.play(ms(1000));
    let folder = tempdir().unwrap();
    let take = recorder.finish(folder.path());
    assert!(!take.gaps.is_empty());
    let report = Report::of_take(folder.path(), &take);
    // A server that is late itself names a period's time twice, or to who is called late that of the next one.
    let late = u64::from(feed.xruns()) * u64::from(server.options.period);
    report.assert_declared(&take, late);
    assert_fails("not declared", || report.assert_declared(&Take { gaps: vec![], ..take.clone() }, 0));
}

#[test]
fn a_lost_frame_is_found_and_must_be_declared() {
    let (from, to) = (10_000, 10_300);
    let report = doctored(|channel| channel[from..to].fill(0.0));
    let gap = |first_frame, frames| Take {
        gaps: vec![Gap { first_frame, frames, cause: "xrun".into(), channels: None }],
        ..Take::default()
    };
    assert_fails("not declared", || report.assert_declared(&Take::default(), 0));
    assert_fails("not declared", || report.assert_declared(&gap(10_000, 299), 0));
    assert_fails("inside a declared gap", || report.assert_declared(&gap(9_000, 3_000), 0));
    assert_fails("not one unbroken run", || _ = report.assert_exact(30_000));
    report.assert_declared(&gap(10_000, 300), 0);
}

#[test]
fn a_shortened_timeline_is_found() {
    let report = doctored(|channel| drop(channel.drain(10_000..10_300)));
    assert_fails("the timeline shifts by 300 frames", || report.assert_declared(&Take::default(), 0));
    report.assert_declared(&Take::default(), 300);
}

#[test]
fn a_repeated_block_a_wrong_channel_and_foreign_samples_are_found() {
    let repeated = doctored(|channel| channel.copy_within(5000..5256, 5256));
    assert_fails("the timeline shifts by -256", || repeated.assert_declared(&Take::default(), 0));
    let foreign = doctored(|channel| channel[7000..7100].fill(0.123_456_79));
    assert_fails("foreign samples", || foreign.assert_declared(&Take::default(), u64::MAX));
    let one_bit = doctored(|channel| channel[7000] += 1.0 / 8_388_608.0);
    assert_fails("foreign samples", || one_bit.assert_declared(&Take::default(), u64::MAX));
    let swapped = judged(&[tags_of(1, 0..30_000), tags_of(0, 0..30_000)]);
    assert_fails("is shifted against the first", || _ = swapped.assert_exact(30_000));
    let shifted = judged(&[tags_of(0, 0..30_000), tags_of(1, 1..30_001)]);
    assert_fails("channel 2 is shifted against the first", || _ = shifted.assert_exact(30_000));
    assert_fails("channel 2 is shifted against the first at frame 0", || {
        shifted.assert_declared(&Take::default(), u64::MAX)
    });
}

#[test]
fn a_hole_between_segments_must_be_declared() {
    let folder = tempdir().unwrap();
    let part = |name: &str, range| write_wav(&folder.path().join(name), RATE, &[tags_of(0, range)]).unwrap();
    part("0001.wav", 0..10_000);
    part("0002.wav", 15_000..20_000);
    let segment = |file: &str, first_frame, frames| Segment { file: file.into(), first_frame, frames, sha256: None };
    let segments = vec![segment("0001.wav", 0, 10_000), segment("0002.wav", 15_000, 5_000)];
    let gap = Gap { first_frame: 10_000, frames: 5_000, cause: "disk_full".into(), channels: None };
    let mut take: Take = serde_json::from_str(CONTRACT).unwrap();
    (take.frames, take.segments, take.gaps, take.pauses) = (20_000, segments, vec![], vec![]);
    let report = Report::of_take(folder.path(), &take);
    assert_fails("silence 10000..15000 not declared", || report.assert_declared(&take, 0));
    take.gaps.push(gap);
    report.assert_declared(&take, 0);
    assert_eq!((report.frames, report.audible().len()), (20_000, 2));
}

#[test]
fn a_frozen_disk_thaws_a_full_one_is_full_and_a_read_only_one_refuses() {
    let disk = SmallDisk::ext4(16);
    disk.frozen(|| assert!(std::fs::read_dir(disk.path()).is_ok()));
    std::fs::write(disk.path().join("a"), "thawed").unwrap();
    disk.make_read_only();
    assert!(std::fs::write(disk.path().join("b"), "no").is_err());
    let full = SmallDisk::tmpfs(4);
    let filler = full.fill(8192);
    assert!(std::fs::write(full.path().join("c"), vec![0; 1 << 20]).is_err());
    std::fs::remove_file(filler).unwrap();
    std::fs::write(full.path().join("c"), vec![0; 1 << 20]).unwrap();
}

#[test]
fn the_fake_clock_steps_for_its_process_only() {
    let clock = FakeClock::start();
    let year = || {
        let outcome = run(std::process::Command::new("date").args(["-u", "+%Y"]).envs(clock.environment()));
        outcome.ok().stdout.trim().parse::<u32>().unwrap()
    };
    assert!(year() > 2000);
    clock.step_to_1970();
    assert_eq!(year(), 1970);
    let true_year = run(std::process::Command::new("date").args(["-u", "+%Y"])).ok().stdout;
    assert_ne!(true_year.trim(), "1970");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_tag_names_its_frame(channel in 0u32..64, frame in any::<u32>()) {
        prop_assert_eq!(source_of(channel, tag(channel, frame)), Some(frame & 0xFF_FFFF));
        prop_assert_eq!(distance(u64::from(frame), u64::from(frame) + 7), 7);
    }

    #[test]
    fn the_reader_survives_a_damaged_file(at in 0usize..60, byte in any::<u8>(), keep in 0usize..200) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("x.wav");
        write_wav(&path, RATE, &[tags_of(0, 0..50)]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(b) = bytes.get_mut(at) { *b = byte }
        bytes.truncate(keep);
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(wav) = Wav::open(&path) {
            let mut samples = 0;
            let (frames, channels) = (wav.frames, wav.channels);
            wav.for_each_block(|block| samples += block.len() as u64).unwrap();
            prop_assert_eq!(samples, frames * channels as u64);
            prop_assert!(samples <= 50 * 3);
        }
    }
}

#[test]
fn cables_carry_and_are_cut_lose_and_delay() {
    let Some(cables) = Cables::lay(2) else { return };
    let [here, there] = [0, 1].map(|node| {
        let place = cables.place(node);
        inside(&place.space, || UdpSocket::bind((place.address, 9)).unwrap())
    });
    let to = there.local_addr().unwrap();
    let arrives_within = |limit: Duration| {
        there.set_read_timeout(Some(limit)).unwrap();
        here.send_to(&[7; 1_222], to).ok();
        there.recv(&mut [0; 2_000]).is_ok()
    };
    let (long, short) = (Duration::from_secs(20), Duration::from_millis(200));
    assert!(arrives_within(long), "a cable carries");
    cables.cut(0);
    assert!(!arrives_within(short), "one that is cut does not");
    cables.mend();
    assert!(arrives_within(long), "one that was mended does again");
    cables.shape(Line { loss_percent: 100, ..Line::default() });
    assert!(!arrives_within(short), "one that loses everything carries nothing");
    let delay = Duration::from_millis(50);
    cables.shape(Line { delay, loss_percent: 0, bits_per_second: Some(1_000_000) });
    let began = Instant::now();
    assert!(arrives_within(long));
    // 1 250 bytes with their headers are 10 ms at this rate, to the switch and again from it.
    assert!(began.elapsed() >= delay + Duration::from_millis(20), "{:?}", began.elapsed());
}

/// What `run` makes in a network namespace.
fn inside<T: Send>(space: &str, run: impl FnOnce() -> T + Send) -> T {
    let entered = move || {
        let file = std::fs::File::open(Path::new("/run/netns").join(space)).unwrap();
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind)).unwrap();
        run()
    };
    std::thread::scope(|scope| scope.spawn(entered).join().unwrap())
}

/// A take as the contract writes it, so the struct and the contract cannot part unseen.
const CONTRACT: &str = r#"{"id":"x","title":"t","state":"ready","started_at":"2026-11-21T07:00:00Z","clock_quality":"ntp",
    "sample_rate":48000,"frames":0,"duration_seconds":0.0,"channels":[{"number":1,"port":"feed:out_1","label":"1"}],
    "segments":[{"file":"0001.wav","first_frame":0,"frames":0,"sha256":"00"}],
    "gaps":[{"first_frame":1,"frames":2,"cause":"port_disconnected","channels":[1]}],"marks":[{"frame":1,"label":"m"}],
    "pauses":[{"first_frame":1,"frames":2}]}"#;

fn recorded(channels: u32, frames: u64) -> (Take, TempDir, u32) {
    let server = JackServer::start(Options::default());
    let feed = Feed::tags(&server, channels);
    let recorder = Recorder::start(&server, channels, frames * 4 + ms(5000));
    feed.play(frames);
    let folder = tempdir().unwrap();
    (recorder.finish(folder.path()), folder, feed.xruns())
}

fn tags_of(channel: u32, frames: std::ops::Range<u32>) -> Vec<f32> {
    frames.map(|frame| tag(channel, frame)).collect()
}

/// Two channels of good tags, after the same operation on both.
fn doctored(spoil: impl Fn(&mut Vec<f32>)) -> Report {
    let mut planar = [tags_of(0, 0..30_000), tags_of(1, 0..30_000)];
    planar.iter_mut().for_each(spoil);
    judged(&planar)
}

fn judged(planar: &[Vec<f32>]) -> Report {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    write_wav(&path, RATE, planar).unwrap();
    let exact = judge("soxi", &["-s"], Path::new(&path));
    assert_eq!(exact.trim(), planar[0].len().to_string(), "an independent reader of our own writer");
    Report::of_file(&path, &(1..=planar.len() as u32).collect::<Vec<_>>())
}

/// The check must fail, and for this reason.
fn assert_fails(reason: &str, check: impl Fn()) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    let said = outcome.expect_err("the checker let it pass");
    let said = said.downcast_ref::<String>().expect("a message");
    assert!(said.contains(reason), "it failed, but not because of {reason}: {said}");
}
