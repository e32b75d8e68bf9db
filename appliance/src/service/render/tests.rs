use std::io::BufReader;

use ::ogg::PacketReader;

use super::*;
use crate::audio::waveform::{DatReader, Peaks};
use crate::service::tests::takes::{RATE, TestTake};

const SECOND: usize = RATE as usize;
const ALL: u64 = u64::MAX / 2;

fn values(out: &Path, level: usize) -> Vec<i16> {
    let mut reader = DatReader::open(std::fs::File::open(out.join(waveform_name(level))).unwrap()).unwrap();
    reader.read(0, usize::MAX).unwrap()
}

/// The waveform of all that was recorded, the points that are complete or all.
fn expected(take: &TestTake, level: usize, is_whole: bool) -> Vec<i16> {
    let (mut peaks, mut values) = (Peaks::new(take.channels), Vec::new());
    let planar: Vec<&[f32]> = take.audio.iter().map(Vec::as_slice).collect();
    let mut to = |at: usize, point: &[crate::audio::waveform::Pair]| {
        if at == level {
            values.extend(point.iter().flat_map(|pair| [pair.min, pair.max]));
        }
        Ok(())
    };
    peaks.push(&planar, &mut to).unwrap();
    if is_whole {
        peaks.finish(&mut to).unwrap();
    }
    values
}

/// Frames of a whole Ogg Opus file at 48 kHz, and its channels.
fn copied(path: &Path) -> (u64, u8) {
    let mut reader = PacketReader::new(BufReader::new(std::fs::File::open(path).unwrap()));
    let head = reader.read_packet().unwrap().unwrap().data;
    let mut last = (0, false);
    while let Some(packet) = reader.read_packet().unwrap() {
        last = (packet.absgp_page(), packet.last_in_stream());
    }
    assert!(last.1, "the end is marked");
    (last.0 - u64::from(u16::from_le_bytes([head[10], head[11]])), head[9])
}

#[test]
fn copy_and_waveform_grow_with_the_take_and_are_whole_when_it_is_closed() {
    let mut take = TestTake::begin(2);
    let out = take.home.path().join("renders/a");
    let mut render = Render::new(take.folder.clone(), out.clone());
    take.record(3 * SECOND);
    let progress = render.step(true, ALL).unwrap();
    assert_eq!(progress, Progress { copied: 48_000, drawn: 48_000, of: 48_000, is_done: false });
    assert_eq!(values(&out, 0), expected(&take, 0, false));
    assert!(out.join(COPY_PART).is_file() && !out.join(COPY).exists());

    take.lose(SECOND);
    take.record(SECOND + 1);
    take.close();
    let progress = render.step(true, ALL).unwrap();
    assert!(progress.is_done && progress.of == 80_001, "{progress:?}");
    for level in 0..6 {
        assert_eq!(values(&out, level), expected(&take, level, true), "level {level}");
    }
    assert!(!out.join(COPY_PART).exists());
    assert_eq!(copied(&out.join(COPY)), (80_001 * 3, 2));
}

#[test]
fn a_step_does_no_more_than_it_may() {
    let mut take = TestTake::begin(1);
    take.record(2 * SECOND);
    take.close();
    let mut render = Render::new(take.folder.clone(), take.home.path().join("r"));
    let steps: Vec<u64> = (0..3).map(|_| render.step(false, 10_000).unwrap().copied).collect();
    assert_eq!(steps, [10_000, 20_000, 30_000]);
    assert!(render.step(false, 10_000).unwrap().is_done);
}

#[test]
fn after_a_restart_the_waveform_goes_on_and_all_is_as_if_nothing_had_been() {
    let mut take = TestTake::begin(3);
    let out = take.home.path().join("r");
    take.record(2 * SECOND);
    for _ in 0..50 {
        take.record(777);
        // A node that is killed each time: nothing is flushed but what a step flushed.
        let progress = Render::new(take.folder.clone(), out.clone()).step(true, 1_000).unwrap();
        assert!(!progress.is_done);
    }
    assert!(values(&out, 0).len() > 3 * 2 * 100, "it did not begin anew each time");
    take.close();
    let mut render = Render::new(take.folder.clone(), out.clone());
    assert!(render.step(false, ALL).unwrap().is_done);
    assert_eq!(values(&out, 0), expected(&take, 0, true));
    assert_eq!(values(&out, 1), expected(&take, 1, true));
    assert_eq!(copied(&out.join(COPY)), (take.frames() as u64 * 3, 1));
}

#[test]
fn a_finished_render_is_left_alone_until_the_take_changes() {
    let mut take = TestTake::begin(1);
    let out = take.home.path().join("r");
    take.record(SECOND);
    take.close();
    let mut render = Render::new(take.folder.clone(), out.clone());
    assert!(render.step(false, ALL).unwrap().is_done);
    std::fs::write(out.join(COPY), b"ours").unwrap();
    take.hash(1, "a");
    assert!(Render::new(take.folder.clone(), out.clone()).step(false, ALL).unwrap().is_done);
    assert_eq!(std::fs::read(out.join(COPY)).unwrap(), b"ours", "a hash that comes later changes nothing");

    let log = std::fs::read_to_string(take.folder.log()).unwrap();
    let mut other = TestTake::begin(1);
    other.record(SECOND / 2);
    other.close();
    std::fs::copy(other.folder.log(), take.folder.log()).unwrap();
    assert!(Render::new(take.folder.clone(), out.clone()).step(false, ALL).unwrap().is_done);
    assert_eq!(copied(&out.join(COPY)).0, 24_000, "another take is rendered again");

    std::fs::write(take.folder.log(), log).unwrap();
    let mut render = Render::new(take.folder.clone(), out.clone());
    render.remake().unwrap();
    assert!(!out.join(COPY).exists());
    assert!(render.step(false, ALL).unwrap().is_done);
    assert_eq!(copied(&out.join(COPY)).0, 48_000);
}

#[test]
fn a_missing_file_is_made_again() {
    let mut take = TestTake::begin(1);
    let out = take.home.path().join("r");
    take.record(SECOND);
    take.close();
    let step = || Render::new(take.folder.clone(), out.clone()).step(false, ALL).unwrap();
    assert!(step().is_done);
    std::fs::remove_file(out.join(waveform_name(3))).unwrap();
    assert!(step().is_done && out.join(waveform_name(3)).is_file());
}

#[test]
fn the_archive_is_flac_of_all_channels() {
    let mut take = TestTake::begin(2);
    take.record(SECOND);
    take.close();
    let path = take.home.path().join("archive.flac");
    let made = archive(&take.folder, &path).unwrap();
    assert_eq!((made.frames, made.files), (16_000, vec![path.clone()]));
    assert_eq!(std::fs::read(path).unwrap()[..4], *b"fLaC");
}
