//! Live listening hears what the microphones say, to the bit on the socket, and costs the recording nothing.

use crate::harness::*;
use rakkr::capture::socket::client::Listener;
use rakkr::capture::take::DataDir;
use rakkr::service::listen::{Live, StreamFormat};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

fn listener(room: &Room, channels: &str) -> Listener {
    Listener::open(&DataDir::new(&room.appliance.data), channels.parse().unwrap(), PATIENCE).unwrap()
}

#[test]
fn a_listener_hears_every_sample_while_a_take_is_recorded() {
    let room = Room::new(Plan { channels: 2, ..Plan::default() });
    let id = room.appliance.take_start(&[]);
    let mut heard = listener(&room, "2");
    assert_eq!((heard.rate(), heard.channels()), (RATE, &[2][..]));
    let (mut audio, mut next, mut source, mut delays) = (Vec::new(), None, None, Vec::new());
    for _ in 0..40 {
        let first = heard.next(&mut audio).unwrap().unwrap();
        let at = room.feed.position();
        assert!(next.is_none_or(|next| next == first), "frames are missing");
        next = Some(first + audio.len() as u64);
        for sample in &audio {
            let tag = source_of(1, *sample).expect("a tag of channel 2");
            assert!(source.is_none_or(|before| (before + 1) & 0xFF_FFFF == tag), "{source:?} then {tag}");
            source = Some(tag);
        }
        delays.push(distance(source.unwrap().into(), at) as f64 / f64::from(RATE) * 1e3);
    }
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_exact(take.frames);
    delays.sort_by(f64::total_cmp);
    eprintln!("newest sample on the socket: median {:.0} ms old, at most {:.0} ms", delays[20], delays[39]);
}

#[test]
fn a_listener_hears_nothing_of_what_is_off_the_record() {
    let room = Room::new(Plan { channels: 2, ..Plan::default() });
    let id = room.record(&["--channels", "2"], ms(300));
    let mut heard = listener(&room, "1,2");
    let mut audio = Vec::new();
    let mut loud = |blocks: usize| {
        let mut sums = [0.0_f32; 2];
        for _ in 0..blocks {
            heard.next(&mut audio).unwrap().unwrap();
            audio.iter().enumerate().for_each(|(place, sample)| sums[place % 2] += sample.abs());
        }
        sums.map(|sum| sum > 0.0)
    };
    assert_eq!(loud(5), [true, true]);
    room.appliance.run(&["take", "pause", &id]).ok();
    // What was on its way when the pause was ordered.
    loud(45);
    assert_eq!(loud(10), [true, false]);
    room.appliance.run(&["take", "resume", &id]).ok();
    loud(45);
    assert_eq!(loud(10), [true, true]);
}

#[test]
fn eight_listeners_of_which_none_reads_cost_no_frame_and_the_ninth_is_told() {
    let room = Room::new(Plan { channels: 8, ..Plan::default() });
    let eight: Vec<Listener> = (0..8).map(|_| listener(&room, "all")).collect();
    let ninth = Listener::open(&DataDir::new(&room.appliance.data), "1".parse().unwrap(), PATIENCE);
    assert!(ninth.err().unwrap().to_string().contains("listening already"));
    let id = room.record(&[], u64::from(RATE) * 4);
    let take = room.appliance.stop(&id);
    room.appliance.check(&take).assert_exact(take.frames);
    drop(eight);
}

/// Fragments of a stream in a third of a second, more or less.
const FRAGMENTS: usize = 6;

#[test]
fn a_browser_hears_a_port_go_silent_soon_after() {
    let room = Room::new(Plan { channels: 1, ..Plan::default() });
    let now = jiff::Timestamp::UNIX_EPOCH;
    let data = DataDir::new(&room.appliance.data);
    let mut live = Live::open(&data, "1".parse().unwrap(), StreamFormat::Mp4, now).unwrap();
    assert_eq!(live.next_bytes().unwrap().unwrap()[4..8], *b"ftyp");
    // The tags are noise: they need many bytes, and silence few. How many frames come at once is chance, so six are looked at.
    let mut sizes = VecDeque::from([0; FRAGMENTS]);
    let mut hear_until = |what: &str, is_so: fn(usize) -> bool| {
        let mut fragments = 0;
        while !is_so(sizes.iter().sum()) {
            sizes.push_back(live.next_bytes().unwrap().unwrap().len());
            sizes.pop_front();
            fragments += 1;
            assert!(fragments < 60, "three seconds later it is not {what}: {sizes:?}");
        }
    };
    hear_until("loud", |bytes| bytes > 250 * FRAGMENTS);
    let removed = Instant::now();
    room.feed.remove_port(1);
    hear_until("silent", |bytes| bytes < 150 * FRAGMENTS);
    eprintln!("a silent port is coded silence after {} ms", removed.elapsed().as_millis());
}
