//! Every sample of 32 channels, in real time, judged one by one by the harness's checker.

use crate::figure::{Figure, Sheet};
use crate::harness::{Options, Plan, Report, Room, Run, distance, ms};
use crate::record;
use crate::talk::Talk;

const CHANNELS: u32 = 32;

pub fn measure(sheet: &Sheet, seconds: u64) {
    let room = Room::new(Plan { channels: CHANNELS, server: Options::unwaiting(), ..Plan::default() });
    let Some(mut talk) = Talk::to(&room.appliance.data) else { return };
    let Some(id) = talk.start(None) else { return };
    room.feed.play(ms(seconds * 1000));
    let load = talk.status().map(|status| status["status"]["load"].clone()).unwrap_or_default();
    let pressed = room.feed.position();
    talk.stop(id);
    let take = room.appliance.info(&id.to_string());
    let report = room.appliance.check(&take);
    let bad: u64 = (1..=CHANNELS).map(|number| not_the_feeds(&report, number)).sum();
    let declared: u64 = take.gaps.iter().map(|gap| gap.frames).sum();
    let end = report.source_at(0) + take.frames;
    eprintln!(
        "exact: {} frames, {} xruns of the server, {declared} frames declared as gaps, the end lies {} frames behind the order; {:?}",
        take.frames,
        room.feed.xruns(),
        distance(pressed, end),
        &take.gaps[..take.gaps.len().min(8)],
    );
    let undeclared = bad.saturating_sub(declared * u64::from(CHANNELS));
    let what = format!("{CHANNELS} ch, {seconds} s in real time");
    sheet.print(Figure::cost(format!("samples_wrong_or_missing, {what}"), bad as f64, "samples").goal(0.0));
    let name = format!("samples_wrong_or_missing_unsaid, {what}");
    sheet.print(Figure::cost(name, undeclared as f64, "samples").goal(0.0));
    let number = |name: &str| load[name].as_f64().unwrap_or(f64::NAN);
    record::callback(sheet, &what, number("callback_p50_us"), number("callback_p999_us"));
}

/// Frames of a channel that are not the feed's at the place where they belong, counted from where the take began.
fn not_the_feeds(report: &Report, number: u32) -> u64 {
    let runs = report.runs(number);
    let anchor = runs.iter().find_map(|run| run.offset());
    let is_right = |run: &&Run| anchor.is_some() && run.offset() == anchor;
    let right: u64 = runs.iter().filter(is_right).map(|run| run.span().1 - run.span().0).sum();
    report.frames - right
}
