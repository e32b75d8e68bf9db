//! Other people's files, broken files, and hostile ones.

use super::*;
use proptest::prelude::*;

const FMT_MONO_16: &[u8] = b"\x01\0\x01\0\x80\xBB\0\0\0\x77\x01\0\x02\0\x10\0";

fn chunk(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    sized(id, payload.len() as u32, payload)
}

fn sized(id: &[u8; 4], size: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = [&id[..], &size.to_le_bytes(), payload].concat();
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out
}

fn riff(id: &[u8; 4], size: Option<u32>, chunks: &[Vec<u8>]) -> Cursor<Vec<u8>> {
    let body = chunks.concat();
    let size = size.unwrap_or(body.len() as u32 + 4);
    Cursor::new([&id[..], &size.to_le_bytes(), b"WAVE", &body].concat())
}

fn ds64(riff: u64, data: u64, table: &[(&[u8; 4], u64)]) -> Vec<u8> {
    let mut payload = [riff.to_le_bytes(), data.to_le_bytes(), [0; 8]].concat();
    payload.extend_from_slice(&(table.len() as u32).to_le_bytes());
    for (id, size) in table {
        payload.extend_from_slice(&id[..]);
        payload.extend_from_slice(&size.to_le_bytes());
    }
    chunk(b"ds64", &payload)
}

/// Two frames: 0.5 and -1.
const AUDIO: &[u8] = &[0, 0x40, 0, 0x80];

fn assert_two_frames(file: Cursor<Vec<u8>>, is_open: bool) -> WavFile {
    let (about, audio) = read_all(file);
    assert_eq!(audio, [[0.5, -1.0]]);
    assert_eq!(about.is_open, is_open);
    about
}

#[test]
fn chunks_may_come_in_any_order_and_odd_ones_are_padded() {
    let cue = [&1u32.to_le_bytes()[..], &[7, 0, 0, 0], &[0; 16], &[1, 0, 0, 0]].concat();
    let labels = [&b"adtl"[..], &chunk(b"labl", b"\x07\0\0\0hi\0")].concat();
    let file = riff(
        b"RIFF",
        None,
        &[
            chunk(b"odd!", b"abc"),
            chunk(b"LIST", &labels),
            chunk(b"fmt ", FMT_MONO_16),
            chunk(b"data", AUDIO),
            chunk(b"last", b"x"),
            chunk(b"cue ", &cue),
        ],
    );
    assert_eq!(assert_two_frames(file, false).markers, [mark(1, "hi")]);
}

#[test]
fn data_before_fmt_is_read_too() {
    assert_two_frames(riff(b"RIFF", None, &[chunk(b"data", AUDIO), chunk(b"fmt ", FMT_MONO_16)]), false);
}

#[test]
fn sizes_that_claim_too_much_or_nothing_are_clamped_to_the_file() {
    let fmt = || chunk(b"fmt ", FMT_MONO_16);
    assert_two_frames(riff(b"RIFF", Some(u32::MAX), &[fmt(), sized(b"data", u32::MAX, AUDIO)]), true);
    assert_two_frames(riff(b"RIFF", None, &[fmt(), sized(b"data", 5, AUDIO)]), true);
    assert_two_frames(riff(b"RIFF", Some(0), &[fmt(), sized(b"data", 0, AUDIO)]), true);
    assert_two_frames(riff(b"RIFF", Some(36), &[fmt(), sized(b"data", 0, AUDIO)]), true);
    assert_two_frames(riff(b"RIFF", Some(u32::MAX), &[fmt(), sized(b"data", 0, AUDIO)]), true);
    // Half a frame more than two is two.
    let mut torn = riff(b"RIFF", Some(u32::MAX), &[fmt(), sized(b"data", 9, AUDIO)]);
    torn.get_mut().push(0x7F);
    assert_two_frames(torn, true);
}

#[test]
fn a_file_that_truly_has_no_audio_stays_empty() {
    let (about, _) =
        read_all(riff(b"RIFF", None, &[chunk(b"fmt ", FMT_MONO_16), chunk(b"data", b""), chunk(b"tail", b"xxxx")]));
    assert_eq!((about.frames, about.is_open), (0, false));
}

#[test]
fn bytes_behind_the_files_own_end_are_not_its_chunks() {
    let mut file = riff(b"RIFF", None, &[chunk(b"fmt ", FMT_MONO_16), chunk(b"data", AUDIO)]);
    file.get_mut().extend(chunk(b"iXML", b"<TRACK><NAME>ghost</NAME></TRACK>"));
    assert_eq!(assert_two_frames(file, false).ixml, None);
}

#[test]
fn a_chunk_cut_by_the_end_of_the_file_is_read_as_far_as_it_goes() {
    for size in [500, u32::MAX] {
        let text = b"<TRACK><NAME>Altar</NAME></TRACK>...";
        let chunks = [chunk(b"fmt ", FMT_MONO_16), chunk(b"data", AUDIO), sized(b"iXML", size, text)];
        let about = assert_two_frames(riff(b"RIFF", Some(u32::MAX), &chunks), true);
        assert_eq!(about.track_names, ["Altar"]);
    }
}

#[test]
fn rf64_and_bw64_sizes_come_from_ds64() {
    for id in [b"RF64", b"BW64"] {
        let chunks = [
            ds64(0, 4, &[(b"axml", 6)]),
            chunk(b"fmt ", FMT_MONO_16),
            sized(b"axml", u32::MAX, b"<big/>"),
            sized(b"data", u32::MAX, AUDIO),
            chunk(b"iXML", b"<TRACK><NAME>Altar</NAME></TRACK>"),
        ];
        let mut file = riff(id, Some(u32::MAX), &chunks);
        let riff_size = file.get_ref().len() as u64 - 8;
        file.get_mut()[20..28].copy_from_slice(&riff_size.to_le_bytes());
        let about = assert_two_frames(file, false);
        assert!(about.is_rf64);
        assert_eq!(about.track_names, ["Altar"]);
    }
}

#[test]
fn rf64_without_its_sizes_or_with_absurd_ones_is_open() {
    for sizes in [ds64(0, 0, &[]), ds64(u64::MAX, u64::MAX, &[]), ds64(1 << 62, 1 << 62, &[])] {
        let chunks = [sizes, chunk(b"fmt ", FMT_MONO_16), sized(b"data", u32::MAX, AUDIO)];
        assert_two_frames(riff(b"RF64", Some(u32::MAX), &chunks), true);
    }
}

#[test]
fn what_cannot_be_decoded_is_refused_by_name() {
    let with =
        |fmt: &[u8]| WavReader::open(riff(b"RIFF", None, &[chunk(b"fmt ", fmt), chunk(b"data", AUDIO)])).unwrap_err();
    let patched = |at: usize, byte: u8| {
        let mut fmt = FMT_MONO_16.to_vec();
        fmt[at] = byte;
        with(&fmt)
    };
    assert!(matches!(with(&FMT_MONO_16[..14]), AudioError::Format(_)));
    assert!(matches!(patched(2, 0), AudioError::Unsupported(_)));
    assert!(matches!(patched(12, 3), AudioError::Format(_)));
    assert!(matches!(patched(14, 8), AudioError::Unsupported(_)));
    assert!(matches!(patched(0, 0x55), AudioError::Unsupported(_)));
    let missing = |chunks: &[Vec<u8>]| WavReader::open(riff(b"RIFF", None, chunks)).unwrap_err().to_string();
    assert!(missing(&[chunk(b"data", AUDIO)]).contains("fmt"));
    assert!(missing(&[chunk(b"fmt ", FMT_MONO_16)]).contains("data"));
    let ogg = WavReader::open(riff(b"OggS", None, &[])).unwrap_err().to_string();
    assert!(ogg.contains("OggS"));
}

#[test]
fn reading_goes_on_from_any_frame_and_replaces_what_was_there() {
    let mut reader = WavReader::open(Cursor::new(finished_file(STEREO_24, 30_000, &[]))).unwrap();
    let audio = tones(2, 30_000);
    let mut planar = vec![vec![9.0; 7]; 2];

    reader.seek(29_990);
    assert_eq!(reader.read(20, &mut planar).unwrap(), 10);
    assert_eq!(planar[1], audio[1][29_990..]);
    assert_eq!(reader.read(20, &mut planar).unwrap(), 0);
    assert!(planar[0].is_empty());
    reader.seek(100);
    assert_eq!(reader.read(15_000, &mut planar).unwrap(), 15_000);
    assert_eq!(reader.read(5, &mut planar).unwrap(), 5);
    assert_eq!((reader.position(), &planar[0][..]), (15_105, &audio[0][15_100..15_105]));
    reader.seek(u64::MAX);
    assert_eq!(reader.read(1, &mut planar).unwrap(), 0);
    assert!(reader.read(1, &mut planar[..1]).is_err());
}

#[test]
fn a_growing_file_is_followed() {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = WavWriter::open(file.try_clone().unwrap(), STEREO_24, &info(2)).unwrap();
    let bytes = open_file(STEREO_24, 5).split_off(writer.data_offset() as usize);
    writer.write_bytes(&bytes[..12]).unwrap();
    let mut reader = WavReader::open(&mut file).unwrap();
    let mut planar = vec![Vec::new(); 2];
    assert_eq!(reader.read(10, &mut planar).unwrap(), 2);

    // The two share one file offset here, which `get_mut` makes the writer forget.
    writer.get_mut();
    writer.write_bytes(&bytes[12..]).unwrap();
    writer.finish(&[], &Loudness::default()).unwrap();

    assert_eq!(reader.read(10, &mut planar).unwrap(), 0);
    reader.refresh().unwrap();
    assert_eq!(reader.read(10, &mut planar).unwrap(), 3);
    assert!(!reader.about().is_open);
}

/// Opens, reads and repairs; whatever happens is no panic.
fn touch(bytes: Vec<u8>) {
    let mut file = Cursor::new(bytes);
    if let Ok(mut reader) = WavReader::open(&mut file) {
        assert!(reader.about().markers.len() <= MARKERS_LIMIT);
        let mut planar = vec![Vec::new(); usize::from(reader.about().spec.channels)];
        reader.seek(reader.about().frames.saturating_sub(3));
        reader.read(usize::MAX, &mut planar).unwrap();
    }
    if let Ok(extent) = data_extent(&mut file) {
        let frames = extent.frames - extent.zero_tail_frames;
        let late = Marker { frame: 1 << 40, ..mark(0, "x") };
        if repair(&mut file, frames, &[mark(0, "x"), late], &Loudness::default()).is_ok() {
            // A size behind the audio may have lied as well, but never about the audio.
            assert_eq!(data_extent(&mut file).unwrap().frames, frames);
        }
    }
}

fn a_format() -> impl Strategy<Value = SampleFormat> {
    prop_oneof![Just(SampleFormat::Pcm16), Just(SampleFormat::Pcm24), Just(SampleFormat::Float32)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_is_an_error_and_nothing_worse(bytes in proptest::collection::vec(any::<u8>(), 0..400), honest in any::<bool>()) {
        let mut bytes = bytes;
        if honest && bytes.len() > 20 {
            bytes[..4].copy_from_slice(b"RF64");
            bytes[8..16].copy_from_slice(b"WAVEds64");
        }
        touch(bytes);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(
        is_large in any::<bool>(),
        changes in proptest::collection::vec((0usize..6000, any::<u8>()), 1..12),
        ends in proptest::collection::vec((0usize..60, prop_oneof![Just(0u8), Just(255), any::<u8>()]), 0..4),
        cut in 0usize..200,
    ) {
        let limit = if is_large { 0 } else { RIFF_LIMIT };
        let opening = header::broadcast(STEREO_24, &info(2)).unwrap();
        let mut writer = WavWriter::begin(Cursor::new(Vec::new()), opening, limit, 60).unwrap();
        writer.write(&slices(&tones(2, 50))).unwrap();
        writer.finish(&[mark(1, "a"), gap(2, 5)], &Loudness::default()).unwrap();
        let mut bytes = writer.into_inner().into_inner();
        for (at, byte) in changes.into_iter().chain(ends) {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        touch(bytes);
    }

    #[test]
    fn what_is_written_in_any_blocks_comes_back(
        format in a_format(),
        channels in 1u16..6,
        blocks in proptest::collection::vec(0usize..300, 0..6),
        labels in proptest::collection::vec(("[^\\x00-\\x1f\\x7f-\\u{9f}\u{fffe}\u{ffff}]{0,20}", 0u64..1000, 0u64..9), 0..4),
    ) {
        let spec = spec(channels, format);
        let total = blocks.iter().sum::<usize>();
        let audio = tones(channels, total);
        let mut writer = open(spec);
        let mut at = 0;
        for block in blocks {
            writer.write(&audio.iter().map(|c| &c[at..at + block]).collect::<Vec<_>>()).unwrap();
            at += block;
        }
        let markers: Vec<Marker> = labels.into_iter()
            .filter(|(_, frame, frames)| frame + frames <= total as u64)
            .map(|(label, frame, frames)| Marker { label, ..gap(frame, frames) })
            .collect();
        writer.finish(&markers, &Loudness::default()).unwrap();
        let file = writer.into_inner().into_inner();
        chunk_list(&file);

        let (about, read) = read_all(Cursor::new(file));

        prop_assert_eq!((about.spec, about.frames, about.markers, read), (spec, total as u64, markers, audio));
    }
}
