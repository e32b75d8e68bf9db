//! Paused audio is never stored: not in the take, not in another file, not in any coding.

use crate::harness::*;
use std::collections::HashSet;
use std::path::Path;

#[test]
fn what_was_said_in_a_pause_is_nowhere_on_disk() {
    let room = Room::usual();
    let lag = room.feed.lag();
    let id = room.record(&[], ms(600));
    room.appliance.run(&["take", "pause", &id]).ok();
    let (from, to) = (room.feed.position(), room.feed.play(ms(600)));
    assert_eq!(room.appliance.info(&id).state, "paused");
    room.appliance.run(&["take", "resume", &id]).ok();
    room.feed.play(ms(600));
    let take = room.appliance.stop(&id);
    assert_eq!(take.pauses.len(), 1);
    // A command is heard in its period: the two at the edges may stand on either side. And it is placed by the clock, which
    // a server that stood still is behind.
    let edge = 2 * u64::from(Options::default().period) + room.feed.stood_still(lag);
    assert!(take.pauses[0].frames + edge >= ms(600) && take.gaps.is_empty(), "{take:?}");
    room.appliance.check(&take).assert_declared(&take, 0);
    room.exported(&take).assert_declared(&take, 0);
    let found = traces(&room.appliance.data, from + edge, to - edge.min(to));
    assert!(found.is_empty(), "{found:?}");
    let heard = room.appliance.check(&take).source_at(0);
    assert!(!traces(&room.appliance.data, heard, heard + 1000).is_empty(), "the search finds what is there");
}

/// Files under `folder` that hold audio of the feed's frames, with the place of the first trace.
fn traces(folder: &Path, from: u64, to: u64) -> Vec<String> {
    let wanted = patterns(from as u32, to as u32);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(traces(&path, from, to));
        } else if let Ok(bytes) = std::fs::read(&path) {
            let trace = bytes.windows(8).position(|window| wanted.contains(window));
            found.extend(trace.map(|at| format!("{} at byte {at}", path.display())));
        }
    }
    found
}

/// Every eight bytes that a frame of two channels begins with: 24-bit and float, interleaved and one channel alone.
fn patterns(from: u32, to: u32) -> HashSet<[u8; 8]> {
    let s24 = |channel, frame| (tag(channel, frame) * 8_388_608.0) as i32;
    let mut set = HashSet::new();
    for frame in from..to {
        let orders = [
            [(0, frame), (1, frame), (0, frame + 1)],
            [(0, frame), (0, frame + 1), (0, frame + 2)],
            [(1, frame), (1, frame + 1), (1, frame + 2)],
        ];
        for order in orders {
            let pcm: Vec<u8> = order.iter().flat_map(|&(c, f)| s24(c, f).to_le_bytes()[..3].to_vec()).collect();
            let float: Vec<u8> = order.iter().flat_map(|&(c, f)| tag(c, f).to_le_bytes()).collect();
            set.extend([pcm, float].map(|bytes| <[u8; 8]>::try_from(&bytes[..8]).unwrap()));
        }
    }
    set
}
