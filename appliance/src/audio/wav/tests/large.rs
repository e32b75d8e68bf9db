//! Past the 32 bits: the flip to RF64, with small limits and with sparse files that really are large.

use super::*;
use std::fs::File;

const LIMIT: u64 = 64 << 10;
const STEP: u64 = 30_000;

fn small_limit<W: Write + Seek>(sink: W, spec: WavSpec) -> WavWriter<W> {
    WavWriter::begin(sink, header::broadcast(spec, &info(spec.channels)).unwrap(), LIMIT, STEP).unwrap()
}

#[test]
fn crossing_the_limit_makes_the_file_rf64_at_every_moment_readable() {
    let mut writer = small_limit(Journal::default(), STEREO_24);
    let audio = tones(2, 30_000);
    for begin in (0..30_000).step_by(1000) {
        writer.write(&audio.iter().map(|c| &c[begin..begin + 1000]).collect::<Vec<_>>()).unwrap();
    }
    let journal = writer.into_inner();

    let mut claims = std::collections::BTreeSet::new();
    for count in 1..=journal.writes.len() {
        let file = journal.after(count);
        let extent = data_extent(&mut file.clone()).unwrap();
        let present = file.get_ref().len() as u64 - extent.data_offset;
        assert_eq!(extent.frames * 6, present, "after write {count}");
        assert!(extent.is_open);
        if file.get_ref().starts_with(b"RF64") {
            let claim = long_word(file.get_ref(), 28);
            assert!(claim > present && claim <= present + STEP + 6000, "{claim} for {present}");
            assert_eq!(long_word(file.get_ref(), 36), claim / 6);
            claims.insert(claim);
        }
    }
    // 115 kB past the limit in steps of 30 kB: the header is not touched at every write.
    assert!((3..=5).contains(&claims.len()), "{claims:?}");
    assert_eq!(read_all(journal.after(journal.writes.len())).1, audio);
}

#[test]
fn a_finished_rf64_file_is_exactly_true() {
    for spec in [spec(1, SampleFormat::Pcm24), spec(2, SampleFormat::Float32)] {
        let markers = [mark(1, "m"), gap(29_999, 2)];
        let mut writer = small_limit(Cursor::new(Vec::new()), spec);
        writer.write(&slices(&tones(spec.channels, 30_001))).unwrap();
        writer.finish(&markers, &Loudness::default()).unwrap();
        let data_len = 30_001 * spec.align();
        let data_at = writer.data_offset() as usize;
        let file = writer.into_inner().into_inner();

        assert_eq!((&file[..4], word(&file, 4), word(&file, data_at - 4)), (&b"RF64"[..], u32::MAX, u32::MAX));
        assert_eq!((&file[12..16], word(&file, 16)), (&b"ds64"[..], 28));
        assert_eq!(long_word(&file, 20), file.len() as u64 - 8);
        assert_eq!((long_word(&file, 28), long_word(&file, 36), word(&file, 44)), (data_len, 30_001, 0));
        let (about, audio) = read_all(Cursor::new(file));
        assert_eq!((about.is_rf64, about.is_open, about.markers), (true, false, markers.to_vec()));
        assert_eq!(audio, tones(spec.channels, 30_001));
    }
}

#[test]
fn a_plain_file_refuses_what_it_cannot_hold_and_keeps_what_it_has() {
    let opening = header::plain(STEREO_24).unwrap();
    let mut writer = WavWriter::begin(Cursor::new(Vec::new()), opening, LIMIT, STEP).unwrap();
    writer.write(&slices(&tones(2, 10_000))).unwrap();
    assert!(matches!(writer.write(&slices(&tones(2, 1000))), Err(AudioError::Unsupported(_))));
    writer.finish(&[], &Loudness::default()).unwrap();
    assert_eq!(read_all(writer.into_inner()).1, tones(2, 10_000));
}

/// A file in which long writes, all zeros here, become holes.
struct Holes(File);

impl Write for Holes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() < 1 << 20 {
            return self.0.write(bytes);
        }
        let end = self.0.seek(SeekFrom::Current(bytes.len() as i64))?;
        self.0.set_len(end)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Holes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_file_really_past_4_gib_is_read_to_its_last_frame() {
    let mut writer = WavWriter::open(Holes(tempfile::tempfile().unwrap()), STEREO_24, &info(2)).unwrap();
    let zeros = vec![0; 48 << 20];
    while writer.frames() * 6 < RIFF_LIMIT - (48 << 20) {
        writer.write_bytes(&zeros).unwrap();
    }
    let mut start = [0; 4];
    rewind_and_read(&writer.get_ref().0, &mut start);
    assert_eq!(&start, b"RIFF");
    writer.get_mut();
    while writer.frames() * 6 < 6 << 30 {
        writer.write_bytes(&zeros).unwrap();
    }
    let before = writer.frames();
    writer.write(&slices(&tones(2, 5))).unwrap();
    rewind_and_read(&writer.get_ref().0, &mut start);
    assert_eq!(&start, b"RF64");

    let mut open = WavReader::open(&writer.get_ref().0).unwrap();
    assert_eq!((open.about().frames, open.about().is_open), (before + 5, true));
    let mut planar = vec![Vec::new(); 2];
    open.seek(before);
    assert_eq!(open.read(10, &mut planar).unwrap(), 5);
    assert_eq!(planar, tones(2, 5));

    writer.finish(&[mark(before + 2, "late")], &Loudness::default()).unwrap();
    let closed = WavReader::open(writer.into_inner().0).unwrap();
    assert_eq!((closed.about().frames, closed.about().is_open), (before + 5, false));
    assert_eq!(closed.about().markers, [mark(before + 2, "late")]);
}

fn rewind_and_read(mut file: &File, bytes: &mut [u8]) {
    file.rewind().unwrap();
    file.read_exact(bytes).unwrap();
}

#[test]
fn markers_beyond_32_bits_of_frames_go_to_ixml_as_room_allows() {
    let spec = spec(1, SampleFormat::Pcm16);
    let mut file = tempfile::tempfile().unwrap();
    let data_at = WavWriter::open(&file, spec, &info(1)).unwrap().data_offset();
    let frames = (1 << 32) + 10_000;
    file.set_len(data_at + frames * 2).unwrap();
    let mut markers = vec![mark(9, "early"), gap(7, 1 << 32), mark((1 << 32) + 1, "<late>"), gap((1 << 32) + 2, 3)];
    markers.extend((0..100).map(|number| mark((1 << 32) + 5, &format!("{number}"))));

    repair(&mut file, frames, &markers, &Loudness::default()).unwrap();

    let about = WavReader::open(&file).unwrap().about().clone();
    assert!(about.is_rf64 && !about.is_open);
    assert_eq!((about.frames, about.data_offset), (frames, data_at));
    assert!(about.markers.len() > 6 && about.markers.len() < 50, "{}", about.markers.len());
    assert_eq!(about.markers, markers[..about.markers.len()]);
    assert!(about.ixml.unwrap().contains(&format!("<SYNC_POINT_COUNT>{}<", about.markers.len() - 1)));
}

#[test]
fn an_old_riff_header_past_4_gib_needs_room_for_64_bits() {
    let mut file = tempfile::tempfile().unwrap();
    let writer = WavWriter::open_plain(&file, spec(1, SampleFormat::Pcm16)).unwrap();
    assert_eq!(writer.data_offset(), 44);
    file.set_len(5 << 30).unwrap();
    let frames = data_extent(&mut file).unwrap().frames;
    assert_eq!(frames, ((5 << 30) - 44) / 2);

    let outcome = repair(&mut file, frames, &[], &Loudness::default());

    assert!(matches!(outcome, Err(AudioError::Unsupported(_))));
}
