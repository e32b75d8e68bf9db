//! The bytes of a finished file, against the standards.

use super::*;
use crate::audio::wav::bext::{loudness_fields, time_reference};

fn chunk<'a>(file: &'a [u8], id: &str) -> &'a [u8] {
    let (_, at, size) = chunk_list(file).into_iter().find(|(name, ..)| name == id).unwrap();
    &file[at + 8..at + 8 + size]
}

#[test]
fn chunks_come_in_the_order_readers_expect_and_all_are_even() {
    let file = finished_file(spec(3, SampleFormat::Float32), 7, &[mark(1, "a"), gap(2, 3)]);

    let chunks = chunk_list(&file);

    let names: Vec<&str> = chunks.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(names, ["JUNK", "fmt ", "bext", "iXML", "fact", "PAD ", "data", "cue ", "LIST"]);
    assert!(chunks.iter().all(|(_, _, size)| size % 2 == 0), "{chunks:?}");
    assert_eq!(&file[..4], b"RIFF");
    assert_eq!(word(&file, 4) as usize, file.len() - 8);
    assert_eq!(word(chunk(&file, "fact"), 0), 7);
    assert_eq!(word(chunk(&finished_file(STEREO_24, 9, &[]), "fact"), 0), 9);
}

#[test]
fn the_audio_begins_at_a_multiple_of_4096() {
    for length in (0..5000).step_by(97) {
        let mut info = info(2);
        info.title = "t".repeat(length);
        let writer = WavWriter::open(Cursor::new(Vec::new()), STEREO_24, &info).unwrap();
        assert_eq!(writer.data_offset() % 4096, 0);
        assert_eq!(writer.data_offset(), writer.get_ref().get_ref().len() as u64);
    }
}

#[test]
fn an_odd_chunk_is_padded() {
    let file = finished_file(spec(1, SampleFormat::Pcm24), 1, &[]);

    let (id, at, size) = chunk_list(&file).pop().unwrap();

    assert_eq!((id.as_str(), size, file.len()), ("data", 3, at + 8 + 4));
    assert_eq!(file[at + 11], 0);
    assert_eq!(word(&file, 4) as usize, file.len() - 8);
}

#[test]
fn integers_of_more_than_16_bits_or_two_channels_are_extensible() {
    let file = finished_file(STEREO_24, 1, &[]);
    let fmt = chunk(&file, "fmt ");
    let golden = [
        &[0xFE, 0xFF, 2, 0, 0x80, 0xBB, 0, 0, 0, 0x65, 4, 0, 6, 0, 24, 0][..],
        &[22, 0, 24, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71],
    ];
    assert_eq!(fmt, golden.concat());

    let file = finished_file(spec(3, SampleFormat::Float32), 1, &[]);
    let golden = [3, 0, 3, 0, 0x80, 0xBB, 0, 0, 0, 0xCA, 8, 0, 12, 0, 32, 0, 0, 0];
    assert_eq!(chunk(&file, "fmt "), golden);
    let file = finished_file(spec(2, SampleFormat::Pcm16), 1, &[]);
    assert_eq!(chunk(&file, "fmt ").len(), 16);
    let file = finished_file(spec(3, SampleFormat::Pcm16), 1, &[]);
    assert_eq!(chunk(&file, "fmt ").len(), 40);
}

#[test]
fn bext_fields_stand_where_ebu_3285_puts_them() {
    let loudness = Loudness {
        integrated_lufs: Some(-23.04),
        range_lu: Some(7.5),
        true_peak_dbtp: Some(-1.0),
        momentary_lufs: None,
        short_term_lufs: Some(f64::NEG_INFINITY),
    };
    let mut writer = open(STEREO_24);
    writer.write(&slices(&tones(2, 4))).unwrap();
    writer.finish(&[], &loudness).unwrap();
    let file = writer.into_inner().into_inner();
    let bext = chunk(&file, "bext");

    assert_eq!(&bext[..20], b"Council <1> & \"two\" ");
    assert_eq!(&bext[20..24], b"?\0\0\0");
    assert_eq!(&bext[256..263], b"room-b\0");
    assert_eq!(&bext[288..311], b"ZZRKR1234567890AB100000");
    assert!(bext[311..320].iter().all(u8::is_ascii_digit));
    assert_eq!(&bext[320..338], b"2026-03-2910:00:00");
    assert_eq!(long_word(bext, 338), 36_000 * 48_000 + 24_000);
    assert_eq!(bext[346..348], [2, 0]);
    assert_eq!(bext[348..412], [0; 64]);
    assert_eq!(bext[412..422], [0, 0xF7, 0xEE, 2, 0x9C, 0xFF, 0xFF, 0x7F, 0xFF, 0x7F]);
    assert_eq!(bext[422..602], [0; 180]);
    assert_eq!(&bext[602..], b"A=PCM,F=48000,W=24,M=stereo,T=rakkr;room-b\r\n");
}

#[test]
fn loudness_beyond_two_digits_is_unset() {
    let of = |lufs| loudness_fields(&Loudness { integrated_lufs: Some(lufs), ..Loudness::default() });
    assert_eq!(of(-99.99)[..2], (-9999i16).to_le_bytes());
    assert_eq!(of(-100.0)[..2], [0xFF, 0x7F]);
    assert_eq!(of(f64::NAN)[..2], [0xFF, 0x7F]);
}

#[test]
fn the_time_reference_counts_frames_of_the_wall_clock_since_midnight() {
    let at = |text: &str, rate| time_reference(&text.parse().unwrap(), rate);
    assert_eq!(at("2026-06-01T00:00:00[Europe/Berlin]", 48_000), 0);
    // Seven wall hours on the day summer time begins, although only six have passed.
    assert_eq!(at("2026-03-29T07:00:00[Europe/Berlin]", 44_100), 7 * 3600 * 44_100);
    assert_eq!(at("2026-10-25T02:30:00+01:00[Europe/Berlin]", 48_000), 9000 * 48_000);
    // One frame is 20 833.3 ns: the nearest is meant.
    assert_eq!(at("2026-06-01T00:00:00.000020833[UTC]", 48_000), 1);
    assert_eq!(at("2026-06-01T23:59:59.999999999[UTC]", 48_000), 86_400 * 48_000 - 1);
}

#[test]
fn ixml_carries_the_take_the_time_and_the_tracks() {
    let file = finished_file(STEREO_24, 4, &[]);

    let (about, _) = read_all(Cursor::new(file));

    let text = about.ixml.unwrap();
    for expected in [
        "<IXML_VERSION>1.61</IXML_VERSION>",
        "<PROJECT>Council &lt;1&gt; &amp; &quot;two&quot; \u{1F399}</PROJECT>",
        "<FAMILY_UID>0190c5a6-7b1e-7c3d-9f42-1234567890ab</FAMILY_UID>",
        "<FILE_SET_INDEX>3</FILE_SET_INDEX>",
        "<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>1728024000</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>",
        "<RAKKR_FIRST_FRAME>57600000</RAKKR_FIRST_FRAME>",
        "<SYNC_POINT_COUNT>0</SYNC_POINT_COUNT>",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(about.track_names, ["Mic 1 – Zoë", "Mic 2 – Zoë"]);
}

#[test]
fn hostile_text_stays_inside_its_field() {
    let mut info = info(2);
    info.title = "\u{1F399}]]></PROJECT>\0\u{1}\r\n\u{FFFF}&".repeat(1000);
    info.originator = "a,b\r\nT=evil,🎙".repeat(50);
    info.take_id = "</FILE_UID>".repeat(1000);
    info.channels = vec!["<NAME>x</NAME>".into(), "\u{7}".repeat(10_000)];
    let mut writer = WavWriter::open(Cursor::new(Vec::new()), STEREO_24, &info).unwrap();
    writer.write(&slices(&tones(2, 3))).unwrap();
    writer.finish(&[mark(0, &"<\0>".repeat(5000))], &Loudness::default()).unwrap();
    let file = writer.into_inner().into_inner();

    let (about, audio) = read_all(Cursor::new(&file));

    assert!(chunk(&file, "bext")[..320].iter().all(|c| c.is_ascii_graphic() || *c == b' '));
    assert_eq!(chunk(&file, "bext")[602..].iter().filter(|c| **c == b'\n').count(), 1);
    assert_eq!(about.track_names[0], "<NAME>x</NAME>");
    let text = about.ixml.unwrap();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert_eq!(text.matches("</PROJECT>").count(), 1);
    assert_eq!(audio, tones(2, 3));
    assert!(about.markers[0].label.starts_with("< >< >"));
    assert!(about.markers[0].label.len() <= 512);
}

#[test]
fn markers_of_every_kind_come_back() {
    let mut pause = gap(40, 60);
    pause.kind = MarkerKind::Pause;
    pause.label = "off the record – é".into();
    let markers = [mark(5, "odd"), mark(6, "even"), mark(100, ""), gap(10, 20), pause, gap(99, 0)];

    let (about, _) = read_all(Cursor::new(finished_file(STEREO_24, 100, &markers)));

    assert_eq!(about.markers, markers);
}

#[test]
fn markers_behind_the_audio_are_left_out_and_spans_clipped() {
    let (about, _) = read_all(Cursor::new(finished_file(STEREO_24, 100, &[mark(101, "late"), gap(90, 60)])));
    assert_eq!(about.markers, [gap(90, 10)]);
}

#[test]
fn a_plain_file_is_44_bytes_and_audio() {
    let mut writer = WavWriter::open_plain(Cursor::new(Vec::new()), spec(2, SampleFormat::Pcm16)).unwrap();
    writer.write(&[&[0.5, -1.0], &[1.0, -0.5]]).unwrap();
    writer.finish(&[mark(0, "no room for this")], &Loudness::default()).unwrap();

    let golden = [
        &b"RIFF\x2C\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x80\xBB\0\0\0\xEE\x02\0\x04\0\x10\0data\x08\0\0\0"[..],
        &[0, 0x40, 0xFF, 0x7F, 0, 0x80, 0, 0xC0],
    ];
    assert_eq!(writer.into_inner().into_inner(), golden.concat());
}

#[test]
fn what_no_file_holds_is_refused() {
    let sink = || Cursor::new(Vec::new());
    let plain = |channels, format| WavWriter::open_plain(sink(), spec(channels, format));
    assert!(matches!(plain(3, SampleFormat::Pcm16), Err(AudioError::Unsupported(_))));
    assert!(matches!(plain(1, SampleFormat::Float32), Err(AudioError::Unsupported(_))));
    assert!(matches!(WavWriter::open(sink(), spec(0, SampleFormat::Pcm16), &info(0)), Err(AudioError::Unsupported(_))));
    assert!(matches!(WavWriter::open(sink(), STEREO_24, &info(3)), Err(AudioError::Unsupported(_))));

    let mut writer = open(STEREO_24);
    assert!(matches!(writer.write(&[&[0.0]]), Err(AudioError::Format(_))));
    assert!(matches!(writer.write(&[&[0.0], &[0.0, 0.0]]), Err(AudioError::Format(_))));
    assert!(matches!(writer.write_bytes(&[0; 7]), Err(AudioError::Format(_))));
    writer.finish(&[], &Loudness::default()).unwrap();
    assert!(matches!(writer.write_bytes(&[0; 6]), Err(AudioError::Format(_))));
}
