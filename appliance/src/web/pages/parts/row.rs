//! A recording as a line of a list.

use serde::{Deserialize, Serialize};

use super::words::{self, Clock};
use crate::domain::{ClockQuality, TakeState};
use crate::web::view::{RecordingView, gone};

/// Days that something stays in the bin.
pub const BIN_DAYS: i64 = 30;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its page.
    pub url: String,
    /// Its title.
    pub title: String,
    /// What it is doing or became.
    pub state: State,
    /// When it began.
    pub started_text: String,
    /// The same for programs.
    pub started_iso: String,
    /// How long it is.
    pub duration_text: String,
    /// The same in seconds.
    pub duration_seconds: u64,
    /// Which channels.
    pub channels_text: String,
    /// A small picture of it.
    pub waveform_url: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<Remark>,
    /// If it is in the bin.
    pub bin: Option<Binned>,
}

/// A state as key (shape and colour) and word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// recording, paused, ready, finishing, incomplete, failed, scheduled or deleted.
    pub key: String,
    /// The word.
    pub word: String,
    /// How far.
    pub detail: Option<String>,
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// node, tag, mark, gap or trouble.
    pub kind: String,
    /// Words.
    pub text: String,
}

/// In the bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binned {
    /// Since when, for how long.
    pub text: String,
    /// Why it cannot be restored.
    pub denied: Option<String>,
}

impl Row {
    /// Of a recording; `all` is how many channels the recorder has.
    pub fn of(view: &RecordingView, clock: &Clock, all: usize, restore_denied: Option<&String>) -> Self {
        let numbers: Vec<u16> = view.channels.iter().map(|channel| channel.number).collect();
        let has_picture = view.duration_seconds > 0.0 && !view.is_gone;
        Self {
            id: view.id.clone(),
            url: format!("/recordings/{}", view.id),
            title: title(view, clock),
            state: state(view),
            started_text: clock.day_and_time(view.started_at),
            started_iso: clock.iso(view.started_at),
            duration_text: duration(view),
            duration_seconds: view.duration_seconds as u64,
            channels_text: words::channels(&numbers, all),
            waveform_url: has_picture.then(|| format!("/recordings/{}/waveform.svg", view.id)),
            notes: notes(view),
            bin: view.deleted_at.map(|since| {
                let gone = clock.seconds_since(since) as i64 / 86_400;
                let left = words::count((BIN_DAYS - gone).max(0) as u64, "day", "days");
                let text = format!("Deleted {}. {left} left.", within(&clock.day_and_time(since)));
                Binned { text, denied: restore_denied.cloned() }
            }),
        }
    }
}

impl Row {
    /// Says on which node it is, where there is more than one.
    pub fn stands_at(&mut self, node: Option<String>) {
        let remark = node.map(|name| Remark { kind: "node".to_owned(), text: format!("On {name}") });
        self.notes.splice(0..0, remark);
    }
}

/// The title; one without is called by its time.
pub fn title(view: &RecordingView, clock: &Clock) -> String {
    let title = view.title.trim();
    if title.is_empty() {
        format!("Recording of {}", clock.form(view.started_at, "%-d %B, %H:%M"))
    } else {
        title.to_owned()
    }
}

/// Whether it still grows.
pub fn is_live(state: TakeState) -> bool {
    match state {
        TakeState::Recording | TakeState::Paused => true,
        TakeState::Scheduled | TakeState::Finishing | TakeState::Ready | TakeState::Incomplete | TakeState::Failed => {
            false
        }
    }
}

/// Of one that grows, whole minutes: a list is not a clock, and text that does not change is not sent.
fn duration(view: &RecordingView) -> String {
    match is_live(view.state) {
        true => words::minutes(view.duration_seconds as u64 / 60),
        false => words::clock(view.duration_seconds),
    }
}

fn state(view: &RecordingView) -> State {
    let (key, word) = match view.state {
        _ if view.deleted_at.is_some() => ("deleted", "Deleted"),
        TakeState::Scheduled => ("scheduled", "Ordered"),
        TakeState::Recording => ("recording", "Recording"),
        TakeState::Paused => ("paused", "Paused"),
        TakeState::Finishing => ("finishing", "Finishing"),
        TakeState::Ready => ("ready", "Ready"),
        TakeState::Incomplete => ("incomplete", "Gaps"),
        TakeState::Failed => ("failed", "Failed"),
    };
    State { key: key.to_owned(), word: word.to_owned(), detail: None }
}

fn notes(view: &RecordingView) -> Vec<Remark> {
    let remark = |kind: &str, text: String| Remark { kind: kind.to_owned(), text };
    let mut notes = Vec::new();
    if view.state == TakeState::Failed {
        notes.push(remark("trouble", "No audio was heard".to_owned()));
    }
    notes.extend(gone(view).map(|why| remark("trouble", why.to_owned())));
    if view.clock_quality == ClockQuality::Unset {
        notes.push(remark("trouble", "The clock was not set".to_owned()));
    }
    if view.gap_count > 0 {
        let gaps = words::count(u64::from(view.gap_count), "gap", "gaps");
        notes.push(remark("gap", format!("{gaps}, {}", words::length(view.gap_seconds))));
    }
    notes.extend(view.tags.iter().map(|tag| remark("tag", tag.clone())));
    if !view.mark_labels.is_empty() {
        notes.push(remark("mark", words::count(view.mark_labels.len() as u64, "mark", "marks")));
    }
    notes
}

/// A day within a sentence: `today`, `yesterday`, but `Thu 19 Nov`.
pub fn within(day: &str) -> String {
    day.replacen("Today", "today", 1).replacen("Yesterday", "yesterday", 1)
}
