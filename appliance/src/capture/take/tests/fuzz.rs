//! Hostile logs and requests: facts with any numbers in a chain that holds, and lines that are almost requests.

use std::fs;

use proptest::prelude::*;

use super::{BOOT, Shelf, now, opened};
use crate::capture::jack::ports::{PortMap, Source, Wanted};
use crate::capture::socket::Request as Asked;
use crate::capture::take::export::{Format, Request, export};
use crate::capture::take::folder::TakeFolder;
use crate::capture::take::log::LogWriter;
use crate::capture::take::recover::{close, recover};
use crate::capture::take::verify::verify_take;
use crate::domain::take::{CloseReason, Measured, Opened, SegmentClosed, SegmentOpened, TakeChannel};
use crate::domain::{Channels, ClockQuality, Fact, Gap, GapCause, Mark};

/// Numbers that are ordinary, at an edge, or anything.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4_000, Just(1 << 48), Just(u64::MAX), Just(i64::MAX as u64), any::<u64>()]
}

/// A name of a segment that may be there, or leads elsewhere.
fn file() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["0001.wav", "0002.wav", "take.jsonl", "..", "", "/etc/passwd"]).prop_map(String::from)
}

fn first() -> impl Strategy<Value = Opened> {
    let rate = prop_oneof![Just(1_000u32), Just(0), Just(u32::MAX), any::<u32>()];
    let channels = prop_oneof![Just(vec![1u16, 2]), Just(vec![]), Just(vec![0]), Just(vec![300]), Just(vec![1; 5_000])];
    (rate, channels, number(), number(), prop::option::of(number()), any::<f64>()).prop_map(
        |(sample_rate, numbers, segment_frames, pre_roll_frames, planned_frames, late)| {
            let channel = |number| TakeChannel { number, port: String::new(), label: "\u{1b}\n".into() };
            let channels = numbers.into_iter().map(channel).collect();
            let late_seconds = if late.is_finite() { late } else { 0.0 };
            let time_zone = "Nowhere/At\0all".into();
            let with = opened();
            Opened {
                sample_rate,
                channels,
                segment_frames,
                pre_roll_frames,
                planned_frames,
                late_seconds,
                time_zone,
                ..with
            }
        },
    )
}

fn fact() -> impl Strategy<Value = Fact> {
    let measured = |number: u64| Measured {
        number: number as u16,
        peak_dbfs: 1e38,
        true_peak_dbfs: -1e38,
        rms_dbfs: 1e38,
        clipped: u64::MAX,
        dc: -1e38,
        digital_zero_seconds: 1e38,
    };
    let cause = prop::sample::select(GapCause::ALL.to_vec());
    let channels = prop::option::of(prop::collection::vec(any::<u16>(), 0..4));
    let opened_segment = |(file, first_frame, mono_us, jack_frame): (String, u64, u64, u32)| {
        Fact::SegmentOpened(SegmentOpened { file, first_frame, at: now(), mono_us, jack_frame, boot_id: BOOT.into() })
    };
    let gap = |(first_frame, frames, cause, channels)| Fact::Gap(Gap { first_frame, frames, cause, channels });
    let quality = ClockQuality::Unset;
    prop_oneof![
        4 => (file(), number(), number(), any::<u32>()).prop_map(opened_segment),
        4 => (file(), number(), number()).prop_map(|(file, frames, bytes)| Fact::SegmentClosed(SegmentClosed { file, frames, bytes })),
        2 => file().prop_map(|file| Fact::SegmentHashed { file, sha256: "0".repeat(64) }),
        2 => (file(), number()).prop_map(move |(file, n)| Fact::SegmentMeasured { file, channels: vec![measured(n); 2] }),
        2 => (number(), number(), cause, channels).prop_map(gap),
        1 => number().prop_map(|frame| Fact::Mark(Mark { frame, label: String::new() })),
        1 => number().prop_map(|frame| Fact::Paused { frame, at: now() }),
        1 => number().prop_map(|frame| Fact::Resumed { frame, at: now() }),
        1 => prop::option::of(number()).prop_map(|frames| Fact::Planned { frames }),
        1 => number().prop_map(move |frame| Fact::ClockStepped { frame, seconds: -1e300, quality }),
        1 => number().prop_map(|frames| Fact::Recovered { at: now(), frames, note: String::new() }),
        1 => number().prop_map(|frames| Fact::Closed { frames, at: now(), reason: CloseReason::Stopped }),
    ]
}

/// Facts beyond the first that the log keeps: a hostile one ends the reading, so most logs are short.
fn facts() -> impl Strategy<Value = Vec<Fact>> {
    prop::collection::vec(fact(), 0..8)
}

/// Everything that is ever done with a take.
fn use_it(folder: &TakeFolder, output: std::path::PathBuf) {
    if let Ok(loaded) = folder.load() {
        for is_live in [true, false] {
            serde_json::to_string(&loaded.info(is_live)).unwrap();
        }
    }
    let _ = verify_take(folder);
    let request = Request {
        format: Format::Wav,
        channels: Channels::All,
        from_seconds: Some(0.5),
        to_seconds: Some(1.5),
        is_float: false,
        output,
    };
    let _ = export(folder, &request);
    let _ = recover(folder, BOOT, now());
    let _ = recover(folder, "another boot", now());
    let _ = close(folder, now(), now());
    let _ = verify_take(folder);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_log_with_any_facts_is_used_or_refused(first in prop_oneof![Just(opened()), first()], facts in facts()) {
        let shelf = Shelf::empty();
        fs::create_dir_all(shelf.folder.path()).unwrap();
        let mut log = LogWriter::create(&shelf.folder.log()).unwrap();
        log.append(&Fact::Opened(first)).unwrap();
        facts.iter().for_each(|fact| log.append(fact).unwrap());
        shelf.write("0001.wav", b"RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff");
        use_it(&shelf.folder, shelf.home.path().join("out.wav"));
    }

    #[test]
    fn a_remembered_port_map_of_any_bytes_is_used_or_forgotten(
        text in prop_oneof!["\\PC{0,80}", r#"\{"channels":\[(\{"port":"[a:]{0,3}"(,"aliases":\["x"\])?\},?){0,9}\]\}"#],
        channels in prop::option::of(1u16..=256),
    ) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ports.json");
        fs::write(&path, text).unwrap();
        let mut map = PortMap::load(&path);
        let source = Source { name: "a".into(), aliases: vec!["x".into()], is_physical: true };
        map.assign(&Wanted::All, channels, &[source]);
        prop_assert!(map.describe().len() <= 256);
    }

    #[test]
    fn a_line_of_any_bytes_is_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = serde_json::from_slice::<Asked>(&bytes);
    }

    #[test]
    fn a_mutated_request_is_a_request_or_an_error(which in 0usize..4, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let lines = [
            r#"{"op":"start","title":"x","channels":"1-4","for_seconds":3.5,"pre_roll_seconds":1}"#,
            r#"{"op":"mark","id":"0192f7c0-0000-7000-8000-000000000000","label":"here"}"#,
            r#"{"op":"set_orders","orders":{"version":1,"orders":[{"id":"0192f7c0-0000-7000-8000-000000000000","start":"2026-11-21T10:00:00Z"}]}}"#,
            r#"{"op":"status"}"#,
        ];
        let mut bytes = lines[which].as_bytes().to_vec();
        prop_assert!(serde_json::from_slice::<Asked>(&bytes).is_ok());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = serde_json::from_slice::<Asked>(&bytes);
    }
}

/// A stack that overflows ends the whole recorder: what a client's thread has must hold the deepest line it reads.
#[test]
fn the_deepest_request_fits_the_stack_of_a_client() {
    for open in ["[", "{\"a\":"] {
        for field in ["op", "channels", "orders"] {
            let line = format!("{{\"{field}\":{}", open.repeat(200_000));
            let talk = move || serde_json::from_str::<Asked>(&line).is_err();
            let stack = crate::capture::socket::server::CLIENT_STACK_BYTES;
            assert!(std::thread::Builder::new().stack_size(stack).spawn(talk).unwrap().join().unwrap());
        }
    }
}
