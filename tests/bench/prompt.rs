//! How promptly things happen: a start, a scheduled start, a stop.
//!
//! "On disk" is in the file as any other process reads it (the page cache), not behind a sync. True times of frames come
//! from the feed, whose tags are JACK's frame times, and from watching when it plays them; never from the product.

use crate::figure::{Figure, Sheet, median, worst};
use crate::harness::{Feed, Options, Plan, RATE, Room, Wav, distance, ms};
use crate::process::catch;
use crate::talk::Talk;
use jiff::Timestamp;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const STARTS: usize = 30;
const SCHEDULED: usize = 10;
const LIMIT: Duration = Duration::from_secs(20);

pub fn measure(sheet: &Sheet, is_quick: bool) {
    for channels in [2, 32] {
        starts(sheet, channels);
    }
    scheduled(sheet);
    // A take of 32 channels has one gigabyte after 233 s, the most that one segment holds: no take has more to finish.
    let (two, many) = if is_quick { (60, 20) } else { (590, 225) };
    for (channels, seconds) in [(2, two), (32, many)] {
        stop(sheet, channels, seconds);
    }
}

fn room(channels: u32) -> Room {
    Room::new(Plan { channels, server: Options::unwaiting(), ..Plan::default() })
}

fn starts(sheet: &Sheet, channels: u32) {
    let room = room(channels);
    let Some(mut talk) = Talk::to(&room.appliance.data) else { return };
    let (mut until_audio, mut until_answer) = (Vec::new(), Vec::new());
    for nth in 0..STARTS as u64 {
        let began = Instant::now();
        let Some(id) = talk.start(None) else { continue };
        until_answer.push(began.elapsed().as_secs_f64() * 1e3);
        let file = room.appliance.folder_of(&id.to_string()).join("0001.wav");
        let audio = catch(LIMIT, || holds_audio(&file).then_some(()));
        until_audio.extend(audio.map(|((), at)| at.duration_since(began).as_secs_f64() * 1e3));
        // Not always in the same place of a second or a period.
        room.feed.play(ms(100) + nth * 613);
        talk.stop(id);
    }
    for (what, values) in [("first sample on disk", &until_audio), ("answer", &until_answer)] {
        let is_goal = what == "first sample on disk";
        if values.len() < STARTS {
            eprintln!("FAILED {} of {STARTS} starts, {channels} ch", STARTS - values.len());
        }
        for (name, value) in [("median", median(values)), ("p99", worst(values))] {
            let name = format!("start_to_{}, {channels} ch, {name} of {}", what.replace(' ', "_"), values.len());
            let figure = Figure::cost(name, value.unwrap_or(f64::NAN), "ms");
            sheet.print(if is_goal { figure.goal(100.0) } else { figure });
        }
    }
}

/// Whether a reader finds a sample that is none of silence. The header claims more than there is; the reader looks.
fn holds_audio(file: &Path) -> bool {
    let mut is_heard = false;
    let read = Wav::open(file).and_then(|wav| wav.for_each_block(|block| is_heard |= block.iter().any(|s| *s != 0.0)));
    read.is_ok() && is_heard
}

fn scheduled(sheet: &Sheet) {
    let room = room(2);
    let Some(mut talk) = Talk::to(&room.appliance.data) else { return };
    let (mut off, mut untrue) = (Vec::new(), Vec::new());
    for nth in 0..SCHEDULED as u64 {
        let due = Timestamp::now() + Duration::from_millis(1500);
        let Some(id) = talk.start(Some(due)) else { continue };
        let clock = FrameClock::watch(&room.feed, &room.server.options);
        let id = id.to_string();
        let take = room
            .appliance
            .wait_until(&id, "the take to end", |take| ["ready", "incomplete"].contains(&take.state.as_str()));
        let began = clock.wall_us_of(room.appliance.check(&take).source_at(0));
        off.push((began - due.as_microsecond() as f64).abs() / 1e3);
        let said = room.appliance.run(&["take", "info", &id, "--json"]).ok().stdout;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        let started: Option<Timestamp> = said["started_at"].as_str().and_then(|text| text.parse().ok());
        untrue.extend(started.map(|at| (at.as_microsecond() as f64 - began).abs() / 1e3));
        room.feed.play(ms(50) + nth * 613);
    }
    let value = |values: &[f64]| worst(values).filter(|_| values.len() == SCHEDULED).unwrap_or(f64::NAN);
    let name = format!("scheduled_start_error, worst of {SCHEDULED}");
    sheet.print(Figure::cost(name, value(&off), "ms").goal(50.0));
    sheet.print(Figure::cost(format!("started_at_error, worst of {SCHEDULED}"), value(&untrue), "ms"));
}

/// When frames were played, by watching the feed: a period begins when its position moves.
struct FrameClock {
    position: u64,
    wall_us: f64,
}

impl FrameClock {
    /// Watches twenty periods. A look comes late and never early, so the earliest one is the truest.
    fn watch(feed: &Feed, options: &Options) -> FrameClock {
        let us = |frames: i64| frames as f64 * 1e6 / f64::from(RATE);
        let base = feed.position();
        let (mut last, mut offset_us) = (base, f64::INFINITY);
        for _ in 0..20 {
            let moved = || {
                let (now, wall) = (feed.position(), Timestamp::now().as_microsecond() as f64);
                (now != last).then_some((now, wall))
            };
            let Some(((now, wall), _)) = catch(LIMIT, moved) else { continue };
            let first_of_period = distance(base, now) - i64::from(options.period);
            offset_us = offset_us.min(wall - us(first_of_period));
            last = now;
        }
        FrameClock { position: base, wall_us: offset_us }
    }

    fn wall_us_of(&self, frame: u64) -> f64 {
        self.wall_us + distance(self.position, frame) as f64 * 1e6 / f64::from(RATE)
    }
}

/// From the request to stop until the last ten seconds are a finished file that an independent reader accepts.
fn stop(sheet: &Sheet, channels: u32, seconds: u64) {
    let room = room(channels);
    let Some(mut talk) = Talk::to(&room.appliance.data) else { return };
    let Some(id) = talk.start(None) else { return };
    // The long take is made faster than time; its last seconds are real ones.
    room.feed.freewheel(true);
    room.feed.play(ms(seconds * 1000));
    room.feed.freewheel(false);
    room.feed.play(ms(3000));
    let began = Instant::now();
    let stopped = talk.stop(id).map(|()| began.elapsed().as_secs_f64());
    let take = room.appliance.info(&id.to_string());
    let from = (take.duration_seconds - 10.0).max(0.0).to_string();
    let file = room.appliance.export(&take.id, &["--format", "wav", "--from", &from], "last.wav");
    let probe = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
    let probed = Command::new("ffprobe").args(probe).arg(&file).output();
    let took = began.elapsed().as_secs_f64();
    let length: Option<f64> = probed.ok().and_then(|said| String::from_utf8_lossy(&said.stdout).trim().parse().ok());
    let is_good = stopped.is_some() && length.is_some_and(|length| (9.9..10.1).contains(&length));
    if !is_good || !take.gaps.is_empty() {
        eprintln!("stop, {channels} ch: ffprobe says {length:?} s; gaps {:?}", take.gaps);
    }
    let what = format!("{channels} ch, take of {:.0} s", take.duration_seconds);
    let honest = |value: f64| if is_good { value } else { f64::NAN };
    sheet.print(Figure::cost(format!("stop_to_exported, {what}"), honest(took), "s").goal(2.0));
    sheet.print(Figure::cost(format!("stop_to_answer, {what}"), honest(stopped.unwrap_or(f64::NAN)), "s"));
}
