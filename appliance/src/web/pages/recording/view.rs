//! What the page of a recording shows, made of what the API says of it.

use serde::{Deserialize, Serialize};

use crate::domain::TakeId;
use crate::domain::access::Permission;
use crate::store::audit::{Query as Asked, Written};
use crate::web::api::can_do;
use crate::web::api::nodes::Nodes;
use crate::web::caller::Caller;
use crate::web::pages::parts::acts;
use crate::web::pages::parts::channels::Pick;
use crate::web::pages::parts::chrome::{self, Chrome, denied};
use crate::web::pages::parts::field::{Choice, choices};
use crate::web::pages::parts::row::{self, Row};
use crate::web::pages::parts::words::{self, Clock};
use crate::web::view::{MeasuredView, RecordingDetail, SegmentView, SpanView, gone};
use crate::web::whose::Whose;
use crate::web::{App, pages};

/// Entries of the journal shown.
const CUSTODY_MAX: usize = 50;
/// Part of a channel's length that is digital zero when it was silent throughout.
const SILENT_PART: f64 = 0.99;

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// What it is.
    pub recording: Head,
    /// Somebody else changed it meanwhile.
    pub conflict: Option<Conflict>,
    /// What plays it.
    pub player: Player,
    /// Marks, gaps and pauses on the time line.
    pub marks: Vec<Mark>,
    /// Why no mark can be set.
    pub mark_denied: Option<String>,
    /// What stands in the empty field for a place.
    pub mark_at_placeholder: String,
    /// Signal facts.
    pub channels: Vec<Channel>,
    /// The masters in a sentence.
    pub segments_text: String,
    /// The masters.
    pub segments: Vec<Segment>,
    /// Who did what with it.
    pub custody: Vec<Custody>,
    /// What people say about it.
    pub edit: Edit,
    /// What can be taken away.
    pub download: Download,
    /// What was made of it.
    pub renditions: Vec<Rendition>,
    /// Why it cannot be deleted.
    pub delete_denied: Option<String>,
    /// Why it cannot be stopped.
    pub control_denied: Option<String>,
    /// The node that has its audio, if that is another one.
    pub elsewhere: Option<Elsewhere>,
}

/// The node that has the audio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// What it is called.
    pub name: String,
    /// This recording's page there, if the node has told an address.
    pub url: Option<String>,
}

/// A row with what only its own page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub row: Row,
    /// Bytes on disk.
    pub size_text: String,
    /// Nothing is kept at present.
    pub is_paused: bool,
    /// The node that made it, where there is more than one.
    pub node: Option<String>,
    /// Who made it, for paper.
    pub made_by: String,
    /// Why its end cannot be moved: it has none.
    pub extend_denied: Option<String>,
}

/// Both versions of what two people changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What happened.
    pub text: String,
    /// The version that is there.
    pub version: String,
    /// What was sent, to be sent again.
    pub mine: Vec<Value>,
    /// What differs.
    pub rows: Vec<Difference>,
}

/// A value of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub value: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    #[allow(missing_docs)]
    pub label: String,
    #[allow(missing_docs)]
    pub mine: String,
    #[allow(missing_docs)]
    pub theirs: String,
}

/// What plays it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Player {
    /// Why not.
    pub denied: Option<String>,
    /// Lowest and highest of each channel.
    pub waveform_url: String,
    /// The listening copy.
    pub media_url: String,
    /// From any place, mixed from the masters.
    pub stream_url: String,
    /// For a browser without script.
    pub fallback_url: String,
    /// Length of the time line.
    pub duration_seconds: f64,
    /// Where to begin.
    pub start_seconds: f64,
    /// It still grows.
    pub is_live: bool,
}

/// A place or stretch of the time line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// mark, gap or pause.
    pub kind: String,
    /// Where it begins.
    pub from_seconds: f64,
    /// Where it ends; none for a place.
    pub to_seconds: Option<f64>,
    /// Where it begins, in words.
    pub at_text: String,
    /// This page, there.
    pub url: String,
    /// What it is.
    pub label: String,
    /// Why.
    pub detail: String,
}

/// Signal facts of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    #[allow(missing_docs)]
    pub number: u16,
    #[allow(missing_docs)]
    pub label: String,
    /// Highest sample, dBFS.
    pub peak_text: String,
    /// Highest true peak, dBTP.
    pub true_peak_text: String,
    /// RMS, dBFS.
    pub rms_text: String,
    /// Clipped samples.
    pub clipped_text: String,
    /// What is amiss.
    pub remark: Option<String>,
}

/// A master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub from_text: String,
    #[allow(missing_docs)]
    pub length_text: String,
    #[allow(missing_docs)]
    pub size_text: String,
    /// Of all its bytes.
    pub sha256: String,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    #[allow(missing_docs)]
    pub at_iso: String,
    #[allow(missing_docs)]
    pub at_text: String,
    #[allow(missing_docs)]
    pub who: String,
    /// `stopped it.`
    pub what: String,
}

/// What people say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// What was read.
    pub version: String,
    #[allow(missing_docs)]
    pub title: String,
    #[allow(missing_docs)]
    pub folder: String,
    /// Folders to choose.
    pub folders: Vec<String>,
    /// Parted by commas.
    pub tags: String,
    #[allow(missing_docs)]
    pub notes: String,
    /// Why it cannot be changed.
    pub denied: Option<String>,
}

/// What can be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Why not.
    pub denied: Option<String>,
    /// Where to.
    pub url: String,
    /// wav, flac, opus.
    pub formats: Vec<Choice>,
    /// Channels to choose.
    pub channels: Vec<Pick>,
}

/// What was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    #[allow(missing_docs)]
    pub name: String,
    /// Format, size, how far.
    pub detail: String,
}

impl Head {
    /// Of a recording.
    pub fn of(app: &App, caller: &Caller, detail: &RecordingDetail, clock: &Clock) -> Self {
        let cannot = denied(app, caller, Permission::RecordingDelete);
        let all = pages::parts::channels::known(app).len();
        let (here, maker) = (chrome::node(app), detail.recording.node_id.parse().ok());
        let node = Nodes::of(app).ok().zip(maker).and_then(|(nodes, maker)| nodes.told(maker));
        let made_by = match maker == Some(app.store.node()) {
            true => format!("{} ({}) in {}", here.name, here.words, here.room),
            false => detail.recording.node.clone(),
        };
        Self {
            node,
            made_by,
            row: Row::of(&detail.recording, clock, all, cannot.as_ref()),
            size_text: words::bytes(detail.recording.bytes),
            is_paused: detail.recording.state == crate::domain::TakeState::Paused,
            extend_denied: detail.planned_seconds.is_none().then(|| pages::now::NO_END.to_owned()),
        }
    }
}

/// On which other node it is; none if it is here.
pub fn elsewhere(app: &App, detail: &RecordingDetail) -> Option<String> {
    Whose::of_view(&detail.recording).here_or(app).err().map(|problem| problem.detail)
}

/// The node that has the audio, if that is another one.
pub fn other_node(app: &App, detail: &RecordingDetail) -> Option<Elsewhere> {
    let problem = Whose::of_view(&detail.recording).here_or(app).err()?;
    let node = problem.on_node?;
    let url = node.addresses.first().map(|at| format!("https://{at}/recordings/{}", detail.recording.id));
    Some(Elsewhere { name: if node.name.is_empty() { "the other node".to_owned() } else { node.name }, url })
}

/// Where its audio is asked for: at this node, or through it at the one that has it. Else why it cannot be had from here.
fn audio_of(app: &App, caller: &Caller, detail: &RecordingDetail) -> Result<String, String> {
    let id = &detail.recording.id;
    if Whose::of_view(&detail.recording).elsewhere(app).is_none() {
        return Ok(format!("/api/v1/recordings/{id}"));
    }
    match Whose::of_view(&detail.recording).in_reach(app, caller) {
        Some(node) => Ok(format!("/api/v1/nodes/{node}/calls/recordings/{id}")),
        None => Err(elsewhere(app, detail).unwrap_or_default()),
    }
}

/// Why nothing can be done to it from here; none if it can.
pub fn out_of_reach(app: &App, caller: &Caller, detail: &RecordingDetail) -> Option<String> {
    audio_of(app, caller, detail).err()
}

/// What plays it, from a place.
pub fn player(app: &App, caller: &Caller, detail: &RecordingDetail, start_seconds: f64) -> Player {
    let is_live = row::is_live(detail.recording.state);
    let audio = audio_of(app, caller, detail);
    let api = audio.clone().unwrap_or_default();
    let lost = gone(&detail.recording).map(|why| format!("{why}."));
    let nothing = (detail.recording.duration_seconds <= 0.0).then(|| "There is nothing to hear yet.".to_owned());
    let seconds = detail.recording.duration_seconds;
    let start_seconds = start_seconds.clamp(0.0, seconds.max(0.0));
    Player {
        denied: denied(app, caller, Permission::RecordingPlayback).or_else(|| audio.err()).or(lost).or(nothing),
        waveform_url: format!("{api}/waveform"),
        media_url: format!("{api}/file?format=opus"),
        stream_url: format!("{api}/stream"),
        fallback_url: match is_live {
            true => format!("{api}/stream?from={start_seconds:.0}"),
            false => format!("{api}/file?format=opus#t={start_seconds:.0}"),
        },
        duration_seconds: seconds,
        start_seconds,
        is_live,
    }
}

/// Marks, gaps and pauses in the order of the time line.
pub fn marks(detail: &RecordingDetail) -> Vec<Mark> {
    let id = &detail.recording.id;
    let mark = |kind: &str, span: &SpanView, label: String, why: String| Mark {
        kind: kind.to_owned(),
        from_seconds: rounded(span.at_seconds),
        to_seconds: (kind != "mark").then(|| rounded(span.at_seconds + span.seconds)),
        at_text: words::clock(span.at_seconds),
        url: format!("/recordings/{id}?t={}", rounded(span.at_seconds)),
        label,
        detail: why,
    };
    let called = |span: &SpanView| if span.label.is_empty() { "Mark".to_owned() } else { span.label.clone() };
    let gap = |span: &SpanView| {
        let channels =
            span.channels.as_ref().map(|numbers| format!(" {}.", words::channels(numbers, 0))).unwrap_or_default();
        let why = format!("{}.{channels}", words::capital(&span.label));
        mark("gap", span, format!("Gap, {}", words::length(span.seconds)), why)
    };
    let pause =
        |span: &SpanView| mark("pause", span, format!("Paused for {}", words::length(span.seconds)), String::new());
    let marks = detail.marks.iter().map(|span| mark("mark", span, called(span), String::new()));
    let mut all: Vec<Mark> = marks.chain(detail.gaps.iter().map(gap)).chain(detail.pauses.iter().map(pause)).collect();
    all.sort_by(|a, b| a.from_seconds.total_cmp(&b.from_seconds));
    all
}

/// To the millisecond, as links carry it.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// Signal facts of each channel.
pub fn channels(detail: &RecordingDetail) -> Vec<Channel> {
    let channel = |channel: &crate::web::view::ChannelView| {
        let measured = detail.measured.iter().find(|measured| measured.number == channel.number);
        let level = |level: fn(&MeasuredView) -> f32| {
            measured.map_or_else(|| "not yet".to_owned(), |m| words::level(Some(level(m))))
        };
        Channel {
            number: channel.number,
            label: channel.label.clone(),
            peak_text: level(|m| m.peak_dbfs),
            true_peak_text: level(|m| m.true_peak_dbfs),
            rms_text: level(|m| m.rms_dbfs),
            clipped_text: measured.map_or_else(|| "not yet".to_owned(), |m| words::number(m.clipped)),
            remark: measured.and_then(|measured| remark(measured, detail.recording.duration_seconds)),
        }
    };
    detail.recording.channels.iter().map(channel).collect()
}

fn remark(measured: &MeasuredView, seconds: f64) -> Option<String> {
    let zero = f64::from(measured.digital_zero_seconds);
    match measured {
        _ if seconds > 0.0 && zero >= seconds * SILENT_PART => Some("Silent throughout".to_owned()),
        measured if measured.clipped > 0 => Some("Clipped".to_owned()),
        _ if zero >= 1.0 => Some(format!("Silent for {}", words::length(zero))),
        _ => None,
    }
}

/// The masters, with their size on disk.
pub fn segments(app: &App, id: TakeId, detail: &RecordingDetail) -> (String, Vec<Segment>) {
    let folder = app.data.take(id);
    let segment = |segment: &SegmentView| {
        let size = std::fs::metadata(folder.segment(&segment.file)).map(|file| words::bytes(file.len()));
        Segment {
            name: segment.file.clone(),
            from_text: words::clock(segment.at_seconds),
            length_text: words::clock(segment.seconds),
            size_text: size.unwrap_or_else(|_| "gone".to_owned()),
            sha256: segment.sha256.clone().unwrap_or_else(|| "not yet".to_owned()),
        }
    };
    let files = words::count(detail.segments.len() as u64, "file", "files");
    let khz = f64::from(detail.recording.sample_rate) / 1_000.0;
    let text = format!("{files}, 24 bit, {khz} kHz. Each is hashed when it is closed.");
    (text, detail.segments.iter().map(segment).collect())
}

/// Who did what with it, oldest first; for those who may read the journal.
pub fn custody(app: &App, caller: &Caller, detail: &RecordingDetail, clock: &Clock) -> Vec<Custody> {
    let line = |at, who: String, what: String| Custody { at_iso: clock.iso(at), at_text: clock.journal(at), who, what };
    if !can_do(app, caller, Permission::AuditRead) {
        let starter = detail.recording.started_by.clone();
        return starter
            .map(|who| line(detail.recording.started_at, who, "started it.".to_owned()))
            .into_iter()
            .collect();
    }
    let asked = Asked { target: Some(detail.recording.id.clone()), limit: CUSTODY_MAX, ..Asked::default() };
    let mut entries = app.store.audit(&asked).map(|page| page.items).unwrap_or_default();
    entries.reverse();
    let nodes = Nodes::of(app).ok();
    let told = |Written { node, entry }: &Written| {
        let more = entry.after.get("what").and_then(serde_json::Value::as_str).map(|what| format!(", {what}"));
        let on = nodes.as_ref().and_then(|nodes| nodes.told(*node)).map(|name| format!(" on {name}"));
        let (act, more, on) =
            (acts::told(&entry.action, entry.outcome), more.unwrap_or_default(), on.unwrap_or_default());
        let what = format!("{act} it{on}{more}.");
        line(entry.at, acts::who(&entry.actor), what)
    };
    entries.iter().map(told).collect()
}

/// What people say about it.
pub fn edit(app: &App, caller: &Caller, detail: &RecordingDetail) -> Edit {
    let recording = &detail.recording;
    Edit {
        version: recording.version.clone(),
        title: recording.title.clone(),
        folder: recording.folder.clone(),
        folders: pages::recordings::offered(app).0,
        tags: recording.tags.join(", "),
        notes: recording.notes.clone(),
        denied: denied(app, caller, Permission::RecordingEdit),
    }
}

/// What can be taken away.
pub fn download(app: &App, caller: &Caller, detail: &RecordingDetail) -> Download {
    let pick = |channel: &crate::web::view::ChannelView| Pick {
        number: channel.number,
        label: channel.label.clone(),
        is_chosen: true,
    };
    let lost = gone(&detail.recording).map(|why| format!("{why}."));
    let audio = audio_of(app, caller, detail);
    Download {
        url: audio.clone().map(|audio| format!("{audio}/file")).unwrap_or_default(),
        denied: denied(app, caller, Permission::RecordingDownload).or_else(|| audio.err()).or(lost),
        formats: choices(&[("flac", "FLAC, lossless"), ("wav", "WAV, as recorded"), ("opus", "Opus, small")], "flac"),
        channels: detail.recording.channels.iter().map(pick).collect(),
    }
}
