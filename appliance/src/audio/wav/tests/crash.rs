//! What is left of a file when the power, the process or the disk's room ends.

use super::*;

#[test]
fn an_open_header_claims_too_much() {
    let file = open_file(STEREO_24, 10);
    let data_at = 4096 * (file.len() / 4096);

    assert_eq!(word(&file, 4), u32::MAX);
    assert_eq!(&file[data_at - 8..data_at - 4], b"data");
    assert_eq!(word(&file, data_at - 4), u32::MAX);
    let fact = file.windows(4).position(|id| id == b"fact").unwrap();
    assert_eq!(word(&file, fact + 8), 0);
}

#[test]
fn an_open_file_reads_whole_as_found() {
    for spec in [STEREO_24, spec(1, SampleFormat::Pcm16), spec(32, SampleFormat::Pcm24), spec(5, SampleFormat::Float32)]
    {
        let (about, audio) = read_all(Cursor::new(open_file(spec, 1000)));
        assert!(about.is_open);
        assert_eq!((about.spec, audio), (spec, tones(spec.channels, 1000)));
        assert_eq!(about.track_names.len(), usize::from(spec.channels));
    }
}

#[test]
fn a_cut_at_any_byte_of_the_last_frame_is_repaired_to_the_frame() {
    for spec in [STEREO_24, spec(1, SampleFormat::Pcm24), spec(3, SampleFormat::Float32)] {
        let whole = open_file(spec, 50);
        for torn in 0..spec.align() as usize {
            let mut file = Cursor::new(whole[..whole.len() - spec.align() as usize + torn].to_vec());
            let extent = data_extent(&mut file).unwrap();
            assert_eq!((extent.frames, extent.zero_tail_frames, extent.is_open), (49, 0, true));
            file.get_mut().truncate((extent.data_offset + extent.frames * spec.align()) as usize);

            let length =
                repair(&mut file, extent.frames, &[mark(7, "seen"), gap(48, 9)], &Loudness::default()).unwrap();

            let (about, audio) = read_all(Cursor::new(file.get_ref()));
            assert_eq!(length, file.get_ref().len() as u64);
            assert_eq!((about.is_open, about.markers), (false, vec![mark(7, "seen"), gap(48, 1)]));
            assert_eq!(audio, tones(spec.channels, 49));
            assert_eq!(word(file.get_ref(), 4) as u64, length - 8);
            chunk_list(file.get_ref());
        }
    }
}

#[test]
fn a_repaired_file_is_the_file_that_would_have_been_finished() {
    let markers = [mark(3, "a"), gap(5, 2)];
    let mut file = Cursor::new(open_file(spec(3, SampleFormat::Float32), 20));

    repair(&mut file, 20, &markers, &Loudness::default()).unwrap();

    assert_eq!(file.into_inner(), finished_file(spec(3, SampleFormat::Float32), 20, &markers));
}

#[test]
fn what_the_caller_did_not_cut_becomes_a_chunk_of_its_own() {
    for cut in 0..20 {
        let mut file = Cursor::new(open_file(STEREO_24, 20));

        repair(&mut file, 20 - cut, &[], &Loudness::default()).unwrap();

        let (about, audio) = read_all(Cursor::new(file.get_ref()));
        assert_eq!((about.is_open, audio), (false, tones(2, 20 - cut as usize)));
        chunk_list(file.get_ref());
    }
}

#[test]
fn more_frames_than_there_are_is_no_repair() {
    let mut file = Cursor::new(open_file(STEREO_24, 20));
    assert!(matches!(repair(&mut file, 21, &[], &Loudness::default()), Err(AudioError::Format(_))));
}

#[test]
fn zeros_at_the_end_are_counted_in_frames() {
    let mut file = open_file(STEREO_24, 20);
    let frames_of = |file: &[u8]| data_extent(&mut Cursor::new(file)).map(|e| (e.frames, e.zero_tail_frames)).unwrap();
    assert_eq!(frames_of(&file), (20, 0));
    // 100 kB cross a block of the search; the last byte of the last frame is zero as well and is not counted.
    file.resize(file.len() + 100_002 + 5, 0);
    assert_eq!(frames_of(&file), (20 + 16_667, 16_667));

    let empty = open(STEREO_24).into_inner().into_inner();
    assert_eq!(frames_of(&empty), (0, 0));
}

#[test]
fn every_step_of_finishing_leaves_a_file_that_reads_whole() {
    let markers = [mark(3, "a"), gap(5, 2)];
    for riff_limit in [RIFF_LIMIT, 0] {
        let opening = header::broadcast(STEREO_24, &info(2)).unwrap();
        let mut writer = WavWriter::begin(Journal::default(), opening, riff_limit, 6000).unwrap();
        writer.write(&slices(&tones(2, 100))).unwrap();
        let before = writer.get_ref().writes.len();
        writer.finish(&markers, &Loudness::default()).unwrap();
        let journal = writer.into_inner();

        for count in before..=journal.writes.len() {
            let (about, audio) = read_all(journal.after(count));
            assert_eq!(audio, tones(2, 100), "after write {count} of {}", journal.writes.len());
            assert_eq!(about.is_open, count < journal.writes.len(), "after write {count}");
        }
        assert_eq!(read_all(journal.after(journal.writes.len())).0.markers, markers);
    }
}

#[test]
fn a_full_disk_costs_only_what_it_did_not_take() {
    for room in 0..40 {
        let data_at = open(STEREO_24).data_offset();
        let sink = Full { room: data_at + room, file: Cursor::new(Vec::new()) };
        let mut writer = WavWriter::open(sink, STEREO_24, &info(2)).unwrap();
        let audio = tones(2, 10);
        let outcome = writer.write(&slices(&audio));
        assert_eq!(outcome.is_err(), room < 60);
        assert_eq!(writer.frames(), room / 6);
        let kept = writer.frames() as usize;
        assert!(writer.finish(&[mark(0, "x")], &Loudness::default()).is_err());

        writer.get_mut().room = u64::MAX;
        writer.finish(&[], &Loudness::default()).unwrap();

        let file = writer.into_inner().file.into_inner();
        chunk_list(&file);
        assert_eq!(word(&file, 4) as usize, file.len() - 8);
        let (about, read) = read_all(Cursor::new(&file));
        assert!(!about.is_open);
        assert_eq!(read, tones(2, 10).iter().map(|c| c[..kept].to_vec()).collect::<Vec<_>>());
    }
}

#[test]
fn writing_goes_on_behind_the_last_whole_frame() {
    let data_at = open(STEREO_24).data_offset();
    let sink = Full { room: data_at + 6 * 4 + 1, file: Cursor::new(Vec::new()) };
    let mut writer = WavWriter::open(sink, STEREO_24, &info(2)).unwrap();
    let audio = tones(2, 10);
    assert!(writer.write(&slices(&audio)).is_err());

    writer.get_mut().room = u64::MAX;
    let rest: Vec<&[f32]> = audio.iter().map(|c| &c[writer.frames() as usize..]).collect();
    writer.write(&rest).unwrap();

    assert_eq!(read_all(writer.into_inner().file).1, audio);
}

#[test]
fn a_file_can_end_before_what_was_written() {
    let mut writer = open(STEREO_24);
    writer.write(&slices(&tones(2, 10))).unwrap();

    let length = writer.truncate_to(4);
    writer.get_mut().get_mut().truncate(length as usize);
    writer.finish(&[], &Loudness::default()).unwrap();

    assert_eq!(writer.into_inner().into_inner(), {
        let mut shorter = open(STEREO_24);
        shorter.write(&tones(2, 10).iter().map(|c| &c[..4]).collect::<Vec<_>>()).unwrap();
        shorter.finish(&[], &Loudness::default()).unwrap();
        shorter.into_inner().into_inner()
    });
}
