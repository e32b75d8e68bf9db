//! The banner: what the recorder does, and whether it hears anything. It never says "recording" because of an order alone.
//!
//! "Recording" takes three things: the recorder answered within two seconds, frames arrive, and the disk takes them. All
//! else is told as what it is. The sound verdict is of the last second or there is none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::channels::Named;
use super::words::{self, Clock};
use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame, MeterStatus};
use crate::capture::status::{Running, Status};
use crate::domain::TakeId;
use crate::domain::watch::Expects;

/// What capture said longer ago than this is not the present, seconds: it is asked once a second.
pub const ANSWER_S: f64 = 2.0;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// recording, trouble, paused, idle or offline.
    pub state: String,
    /// The state in words.
    pub word: String,
    /// Which recording.
    pub title: String,
    /// Since when.
    pub since: Option<String>,
    /// Length of its time line.
    pub elapsed_seconds: Option<u64>,
    /// The same in words.
    pub elapsed_text: Option<String>,
    /// The length grows.
    pub is_running: bool,
    /// What else must be known.
    pub detail: Option<String>,
    /// Whether anything is heard.
    pub sound: Sound,
}

/// The verdict on the sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// good, part, none or unknown.
    pub state: String,
    /// The verdict.
    pub word: String,
    /// Which channels, who speaks.
    pub text: String,
}

/// What is known of a take that runs, from the records.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its title.
    pub title: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// What is seen at one moment.
pub struct Seen<'a> {
    /// Capture's last word; none while it does not answer.
    pub status: Option<&'a Status>,
    /// How old that is, seconds.
    pub age_s: f64,
    /// Capture was asked at all.
    pub has_asked: bool,
    /// A meter frame that is fresh.
    pub frame: Option<&'a MeterFrame>,
    /// Whoever looks may know levels.
    pub may_hear: bool,
    /// Something critical is open.
    pub is_critical: bool,
    /// Takes that run, or ran when last heard of, as the records have them.
    pub told: &'a BTreeMap<TakeId, Told>,
    /// Channels by name.
    pub channels: &'a [Named],
    /// The present.
    pub clock: &'a Clock,
}

impl Banner {
    /// Says what is seen.
    pub fn of(seen: &Seen<'_>) -> Self {
        let sound = sound(seen);
        match seen.status.filter(|_| seen.age_s < ANSWER_S) {
            None => offline(seen, sound),
            Some(status) if status.recording.is_empty() => idle(seen, status, sound),
            Some(status) => running(seen, status, sound),
        }
    }
}

fn plain(state: &str, word: &str, title: String, detail: Option<String>, sound: Sound) -> Banner {
    Banner {
        state: state.to_owned(),
        word: word.to_owned(),
        title,
        since: None,
        elapsed_seconds: None,
        elapsed_text: None,
        is_running: false,
        detail,
        sound,
    }
}

fn offline(seen: &Seen<'_>, sound: Sound) -> Banner {
    if !seen.has_asked {
        return plain("offline", "Recorder not asked yet", "The node has just begun".to_owned(), None, sound);
    }
    let title = match seen.told.values().next() {
        Some(told) => format!("Last known: recording {}", named(&told.title)),
        None => "Last known: not recording".to_owned(),
    };
    let detail = "If it runs, what is recorded goes on by its last orders; what was recorded is safe on the disk.";
    plain("offline", "Recorder not reached", title, Some(detail.to_owned()), sound)
}

fn idle(seen: &Seen<'_>, status: &Status, sound: Sound) -> Banner {
    let title = if status.jack.is_connected { "Ready to start" } else { "No audio arrives" };
    match seen.is_critical || !status.jack.is_connected {
        true => plain("trouble", "Not recording, with trouble", title.to_owned(), None, sound),
        false => plain("idle", "Not recording", title.to_owned(), None, sound),
    }
}

fn running(seen: &Seen<'_>, status: &Status, sound: Sound) -> Banner {
    let kept: Vec<&Running> = status.recording.iter().filter(|take| !take.is_paused).collect();
    let starved = kept.iter().find_map(|take| take.starved.clone());
    let shown = kept.first().copied().or(status.recording.first());
    let is_paused = kept.is_empty();
    let (state, word, detail) = match &starved {
        Some(why) => ("trouble", "Not recording: the disk takes nothing", Some(why.clone())),
        None if !status.jack.is_connected => {
            let detail = "The recording stays open and goes on by itself; the missing time is marked as a gap.";
            ("trouble", "Not recording: no audio arrives", Some(detail.to_owned()))
        }
        None if is_paused && !seen.is_critical => ("paused", "Paused", None),
        None if is_paused => ("trouble", "Paused, with trouble", None),
        None if seen.is_critical => ("trouble", "Recording, with trouble", None),
        None => ("recording", "Recording", None),
    };
    let seconds = shown.map(|take| elapsed(status, take, seen.age_s));
    let more = status.recording.len() - 1;
    let title =
        shown.map(|take| seen.told.get(&take.id).map_or(&take.title, |told| &told.title)).map_or("", |title| title);
    let since =
        shown.and_then(|take| seen.told.get(&take.id)).map(|told| since(seen.clock, told.started_at, is_paused));
    Banner {
        state: state.to_owned(),
        word: word.to_owned(),
        title: if more > 0 { format!("{} and {more} more", named(title)) } else { named(title) },
        since,
        elapsed_seconds: seconds,
        elapsed_text: seconds.map(|seconds| words::clock(seconds as f64)),
        is_running: !is_paused && starved.is_none() && status.jack.is_connected,
        detail,
        sound,
    }
}

fn named(title: &str) -> String {
    if title.trim().is_empty() { "Without a title".to_owned() } else { title.to_owned() }
}

fn since(clock: &Clock, at: Timestamp, is_paused: bool) -> String {
    let is_today = clock.day_of(at) == clock.day_of(clock.now);
    let at = if is_today { clock.time(at) } else { clock.day_and_time(at) };
    if is_paused { format!("begun {at}, nothing is kept at present") } else { format!("since {at}") }
}

/// Seconds of its time line by now: what it had when capture answered, and what has passed since.
pub fn elapsed(status: &Status, take: &Running, age_s: f64) -> u64 {
    let grown = if take.is_paused || !status.jack.is_connected { 0.0 } else { age_s };
    (take.frames as f64 / f64::from(status.jack.sample_rate.max(1)) + grown) as u64
}

fn sound(seen: &Seen<'_>) -> Sound {
    let say = |state: &str, word: &str, text: String| Sound { state: state.to_owned(), word: word.to_owned(), text };
    if !seen.may_hear {
        return say("unknown", "Levels are not shown.", "They need the right node:read.".to_owned());
    }
    let Some(frame) = seen.frame else {
        let why = if seen.status.is_some() { "No fresh levels arrive." } else { "The recorder does not answer." };
        return say("unknown", "Levels are not known.", why.to_owned());
    };
    match frame.status {
        MeterStatus::NotMeasured => {
            return say("unknown", "Levels are not measured.", "Measuring is switched off.".to_owned());
        }
        MeterStatus::NoData => {
            return say("none", "No sound arrives.", "The audio server delivers nothing.".to_owned());
        }
        MeterStatus::Live => {}
    }
    let meter = |c: &Named| frame.channels.iter().find(|meter| meter.number == c.number);
    let due: Vec<&Named> = seen.channels.iter().filter(|c| c.expects != Expects::Nothing).collect();
    let silent: Vec<&str> = due.iter().filter(|c| !meter(c).is_some_and(is_alive)).map(|c| c.label.as_str()).collect();
    let alive = due.len() - silent.len();
    let speakers = seen.channels.iter().filter(|c| meter(c).is_some_and(|meter| meter.is_speech && is_alive(meter)));
    let speakers: Vec<&str> = speakers.map(|c| c.label.as_str()).collect();
    match (due.len(), alive) {
        (0, _) => say("unknown", "No channel is expected to carry sound.", String::new()),
        (_, 0) => say("none", "No sound on any channel.", "Check the microphones' switches and cables.".to_owned()),
        (all, alive) if alive < all => {
            say("part", &format!("Sound on {alive} of {all} channels."), format!("No sound on {}.", listed(&silent)))
        }
        (1, _) => say("good", "There is sound.", heard(&speakers)),
        (all, _) => say("good", &format!("Sound on all {all} channels."), heard(&speakers)),
    }
}

/// Something comes in, if only the noise of a room.
fn is_alive(meter: &ChannelMeter) -> bool {
    meter.is_connected && matches!(meter.status, ChannelState::Signal | ChannelState::Quiet)
}

fn heard(speakers: &[&str]) -> String {
    if speakers.is_empty() { "Nobody speaks.".to_owned() } else { format!("Somebody speaks on {}.", listed(speakers)) }
}

/// At most four names.
fn listed(names: &[&str]) -> String {
    match names {
        [..] if names.len() <= 4 => names.join(", "),
        names => format!("{} and {} more", names[..3].join(", "), names.len() - 3),
    }
}

#[cfg(test)]
mod tests;
