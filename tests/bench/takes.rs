//! Takes made without a server: the library's own reel writes what a recording would have left, as fast as the disk takes it.

use crate::harness::RATE;
use crate::signal;
use jiff::Timestamp;
use rakkr::capture::block::Block;
use rakkr::capture::take::DataDir;
use rakkr::capture::tape::reel::{Position, Reel};
use rakkr::domain::order::StoredAs;
use rakkr::domain::take::{Opened, TakeChannel};
use rakkr::domain::{ChannelSet, ClockQuality, TakeId};

const CHANNELS: u16 = 2;
/// A bench that names its takes by chance could not be repeated.
const CHANCE: u8 = 0x5A;

/// Writes a stereo take of speech that nobody closed, as a crash leaves it. `nth` makes its id.
pub fn left_open(data: &DataDir, nth: u8, seconds: u32) -> TakeId {
    let now = Timestamp::now();
    let mut chance = [CHANCE; 10];
    chance[0] = nth;
    let id = TakeId::new(now, chance);
    let mut reel = Reel::begin(data.take(id), opened(id, now));
    // A minute repeats, so that an hour costs no hour of making it up.
    let minute = signal::speech(u32::from(CHANNELS), seconds.min(60));
    for second in 0..seconds {
        let at = (second % 60 * RATE) as usize;
        let planar: Vec<&[f32]> = minute.iter().map(|channel| &channel[at..at + RATE as usize]).collect();
        let block = Block::of(u64::from(second * RATE), ChannelSet::default(), &planar);
        let position =
            Position { frame: u64::from(second * RATE), wall: now, mono_us: 0, jack_frame: second.wrapping_mul(RATE) };
        reel.audio(position, &block, 0, block.frames());
    }
    reel.tick(true);
    if let Some(error) = reel.take_error() {
        eprintln!("FAILED writing a take: {error}");
    }
    id
}

fn opened(id: TakeId, now: Timestamp) -> Opened {
    let channel = |number| TakeChannel { number, port: String::new(), label: format!("Channel {number}") };
    Opened {
        id,
        title: "Bench".into(),
        sample_rate: RATE,
        stored_as: StoredAs::Pcm24,
        channels: (1..=CHANNELS).map(channel).collect(),
        started_at: now,
        time_zone: "UTC".into(),
        clock_quality: ClockQuality::Guessed,
        pre_roll_frames: 0,
        ordered_start: now,
        late_seconds: 0.0,
        planned_frames: None,
        segment_frames: u64::from(RATE) * 600,
        host: String::new(),
        version: String::new(),
    }
}
