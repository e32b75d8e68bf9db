//! A day of ordinary speech raises nothing. Levels, pauses, slams and breaks are drawn from a seeded generator.

use super::*;

/// Splitmix64: small, seeded, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// What goes on at one microphone.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Talking,
    /// Between words and sentences; somebody else's turn; a page is turned.
    Pausing,
    /// The break that the schedule knows of.
    Break,
}

struct Speaker {
    doing: Doing,
    until_us: u64,
}

impl Speaker {
    /// Phrases of 2 to 20 s, pauses mostly of half a second to three, one in thirty up to 55 s; a break every two hours.
    fn go_on(&mut self, now_us: u64, chance: &mut Chance) {
        if now_us < self.until_us {
            return;
        }
        let seconds;
        (self.doing, seconds) = match self.doing {
            Doing::Talking if chance.one_in(500) => (Doing::Break, chance.between(300.0, 1_800.0)),
            Doing::Talking if chance.one_in(30) => (Doing::Pausing, chance.between(10.0, 55.0)),
            Doing::Talking => (Doing::Pausing, chance.between(0.3, 3.0)),
            Doing::Pausing | Doing::Break => (Doing::Talking, chance.between(2.0, 20.0)),
        };
        self.until_us = now_us + (seconds * 1e6) as u64;
    }

    fn say(&self, channel: &mut ChannelFacts, step_s: f64, chance: &mut Chance) {
        channel.expects = if self.doing == Doing::Break { Expects::Signal } else { Expects::Speech };
        let Some(signal) = channel.signal.as_mut() else { return };
        signal.is_speech = self.doing == Doing::Talking;
        signal.noise_floor_dbfs = Some(-62.0);
        signal.dc_offset = Some(chance.between(-0.004, 0.004) as f32);
        signal.rms_dbfs = match self.doing {
            Doing::Talking => chance.between(-50.0, -12.0),
            // A chair, a door.
            Doing::Pausing | Doing::Break if chance.one_in(300) => chance.between(-40.0, -8.0),
            Doing::Pausing | Doing::Break => chance.between(-66.0, -57.5),
        } as f32;
        // A wireless receiver mutes for up to a second and a half when its transmitter is turned away.
        let is_muting = signal.digital_zero_s > 0.0 && signal.digital_zero_s < 1.5 && !chance.one_in(10);
        signal.digital_zero_s = match is_muting || chance.one_in(50_000) {
            true => signal.digital_zero_s + step_s,
            false => 0.0,
        };
    }
}

#[test]
fn a_day_of_ordinary_speech_with_pauses_raises_nothing() {
    let mut said_something = 0;
    for seed in [1, 2] {
        let mut chance = Chance(seed);
        let mut room = Room::new();
        room.step_us = 100_000;
        let mut speakers = [0, 0].map(|until_us| Speaker { doing: Doing::Talking, until_us });
        for step in 0..864_000_u64 {
            for (number, speaker) in (1..).zip(&mut speakers) {
                speaker.go_on(room.now_us, &mut chance);
                said_something += u64::from(speaker.doing == Doing::Talking);
                speaker.say(room.channel(number), 0.1, &mut chance);
            }
            // A computer that plays now and then, a spare with a cable left in it.
            room.signal(3).digital_zero_s = if step % 36_000 < 30_000 { 1.0 } else { 0.0 };
            room.signal(4).hum_hz = Some(50);
            // A drum or a loud laugh makes the pair look odd for a while, never for ten seconds.
            room.capture().pairs[0].inverted_s = if step % 9_000 < 90 { (step % 9_000) as f64 / 10.0 } else { 0.0 };
            // The estimate of the disk jumps for a second when a recording begins.
            let hours = if step % 36_000 < 10 { 3.0 } else { 120.0 - step as f64 / 36_000.0 };
            room.seen.disk = Some(DiskFacts { state: DiskState::Writing, hours_left: Some(hours) });
            let changes = room.look();
            assert_eq!(changes, [], "seed {seed}, second {}", step / 10);
        }
    }
    assert!(said_something > 864_000, "they hardly spoke: {said_something}");
}

#[test]
fn a_break_that_no_schedule_knows_of_is_told_once() {
    let mut chance = Chance(7);
    let mut room = Room::new();
    let speaker = Speaker { doing: Doing::Pausing, until_us: u64::MAX };
    let mut changes = Vec::new();
    for _ in 0..12_000 {
        speaker.say(room.channel(1), 0.05, &mut chance);
        let signal = room.signal(1);
        (signal.digital_zero_s, signal.rms_dbfs) = (0.0, signal.rms_dbfs.min(-57.5));
        changes.extend(room.look().into_iter().map(|change| (0.0, change)));
    }
    assert_eq!(said(&changes), ["+quiet_room Channel(1)"]);
    *room.signal(1) = speech();
    assert_eq!(room.told(2.0), ["-quiet_room Channel(1) Recovered"]);
}
