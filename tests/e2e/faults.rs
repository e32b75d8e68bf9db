//! Things that break in rooms: cables, disks, clocks, a busy machine. Nothing may vanish without being told.

use crate::harness::*;

#[test]
fn a_port_that_comes_back_keeps_its_channel() {
    let room = Room::new(Plan { channels: 3, ..Plan::default() });
    let id = room.record(&[], ms(600));
    room.feed.remove_port(2);
    room.feed.play(ms(700));
    room.feed.restore_port(2);
    room.feed.wait_connected();
    room.feed.play(ms(600));
    let take = room.appliance.stop(&id);
    let report = room.appliance.check(&take);
    // The gap's edges come by notification: they may be some periods off, on the silent side.
    report.assert_declared(&take, 0);
    assert!(take.gaps.iter().all(|gap| gap.channels == Some(vec![2])), "only channel 2 was gone: {:?}", take.gaps);
    assert!(matches!(report.runs(1), [Run::Matched { .. }]) && matches!(report.runs(3), [Run::Matched { .. }]));
    assert!(matches!(report.runs(2), [Run::Matched { .. }, Run::Silence { .. }, Run::Matched { .. }]));
}

#[test]
fn on_a_busy_machine_every_missing_frame_is_a_marked_gap() {
    let room = Room::new(Plan { channels: 8, ..Plan::default() });
    let id = room.record(&[], ms(300));
    let hogs = Hogs::start(6);
    room.feed.play(ms(2000));
    drop(hogs);
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_declared(&take, 0);
    room.exported(&take).assert_declared(&take, 0);
}

#[test]
fn a_capture_that_could_not_run_marks_what_it_missed() {
    let room = Room::new(Plan { server: Options::unwaiting(), ..Plan::default() });
    let (lag, late) = (room.feed.lag(), room.feed.late());
    let id = room.record(&[], ms(500));
    room.appliance.frozen(|| room.feed.play(ms(1000)));
    room.feed.play(ms(500));
    let take = room.appliance.stop(&id);
    assert!(!take.gaps.is_empty(), "a process that stood still for a second missed frames");
    let report = room.appliance.check(&take);
    assert_eq!(report.frames, take.frames);
    // On a machine that is held up the feed is late as well, and its ports repeat or tear a period: then nobody can say what
    // should have been heard. Else it may miss a cycle at most, as all wake up.
    let is_to_be_believed = room.feed.late() - late <= 1 && room.feed.stood_still(lag) <= ms(5);
    if is_to_be_believed {
        report.assert_declared(&take, room.server.options.period.into());
    } else {
        eprintln!("the feed was late for {} periods: not judged by frames", room.feed.late() - late);
    }
}

#[test]
fn a_disk_that_stalls_for_five_seconds_costs_nothing() {
    let disk = SmallDisk::ext4(64);
    let room = Room::new(Plan { data: Some(disk.path().join("data")), ..Plan::default() });
    let id = room.record(&[], ms(800));
    disk.frozen(|| room.feed.play(ms(5000)));
    room.feed.play(ms(500));
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_exact(take.frames);
    assert!(take.gaps.is_empty() && take.frames >= ms(6000));
}

#[test]
fn a_full_disk_is_told_and_the_take_goes_on_when_there_is_room() {
    let disk = SmallDisk::tmpfs(24);
    let room = Room::new(Plan { data: Some(disk.path().join("data")), ..Plan::default() });
    let id = room.record(&[], ms(500));
    // About three seconds of two channels.
    let filler = disk.fill(900_000);
    let told = room.appliance.wait_until(&id, "the full disk to be told", |take| !take.gaps.is_empty());
    let told_at = room.feed.position();
    assert!(told.gaps[0].cause.contains("disk"), "{:?}", told.gaps);
    assert_eq!(told.gaps[0].first_frame % u64::from(RATE), 0, "the take stops at a whole second");
    room.feed.play(ms(500));
    std::fs::remove_file(filler).unwrap();
    room.appliance.wait_until(&id, "the take to go on", |take| take.goes_on_for(ms(500)));
    let take = room.appliance.stop(&id);
    let report = room.appliance.check(&take);
    report.assert_declared(&take, 0);
    // At most a second is cut to end on a whole one, and at most a second passes until it is told.
    let late = distance(report.source_at(told.gaps[0].first_frame - 1), told_at);
    assert!(late <= ms(2500) as i64, "told {late} frames after the last one kept");
    assert_eq!(room.appliance.verify(&id).code, Some(0));
}

#[test]
fn a_jumping_clock_changes_neither_length_nor_order() {
    let clock = FakeClock::start();
    let room = Room::new(Plan { clock: Some(&clock), ..Plan::default() });
    let mut ids = vec![room.record(&[], ms(600))];
    clock.step(3600);
    room.feed.play(ms(600));
    ids.push(room.record(&[], ms(300)));
    clock.step_to_1970();
    room.feed.play(ms(600));
    ids.push(room.record(&[], ms(300)));
    for id in &ids {
        let take = room.appliance.stop(id);
        assert!(take.gaps.is_empty(), "{:?}", take.gaps);
        room.appliance.check(&take).assert_exact(take.frames);
    }
    let listed = room.appliance.list();
    let is_ordered = listed == ids || listed.iter().rev().eq(&ids);
    assert!(is_ordered, "takes are listed as they were made, not as a broken clock has it: {listed:?}, made {ids:?}");
}
