//! What programs and pages are shown of a recording, an incident, the node. One shape for both.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::take::Measured;
use crate::domain::{TakeInfo, TakeState};
use crate::store::audit::{Entry, Written};
use crate::store::incidents::Known;
use crate::store::recordings::Recording;
use crate::web::api::nodes::Nodes;

/// A channel of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChannelView {
    /// Number on the recorder, from 1.
    pub number: u16,
    /// Name for people, as it was when the recording began.
    pub label: String,
    /// The source port; empty if it is not known.
    pub port: String,
}

/// A recording in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RecordingView {
    /// Its id (UUID version 7).
    pub id: String,
    /// The node that has it.
    pub node_id: String,
    /// What that is called.
    pub node: String,
    /// Its room.
    pub room_id: Option<String>,
    /// Title for people.
    pub title: String,
    /// scheduled, recording, paused, finishing, ready, incomplete, failed.
    #[schema(value_type = String)]
    pub state: TakeState,
    /// Wall time of its first frame.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// unset, guessed or ntp.
    #[schema(value_type = String)]
    pub clock_quality: crate::domain::ClockQuality,
    /// Length of its time line, gaps and pauses included.
    pub duration_seconds: f64,
    /// Frames per second.
    pub sample_rate: u32,
    /// Channels in file order.
    pub channels: Vec<ChannelView>,
    /// How many gaps.
    pub gap_count: u32,
    /// Seconds missing in all.
    pub gap_seconds: f64,
    /// Labels of its marks.
    pub mark_labels: Vec<String>,
    /// Highest sample of any channel, dBFS; none if not measured.
    pub peak_dbfs: Option<f32>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Where it is filed.
    pub folder: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Free text.
    pub notes: String,
    /// It may not be deleted.
    pub is_held: bool,
    /// Its audio is not on this disk any more.
    pub is_gone: bool,
    /// It was on a box whose place another one took.
    pub was_replaced: bool,
    /// In the bin since.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// Who started it; none if it was found on disk.
    pub started_by: Option<String>,
    /// Which profile.
    pub profile: String,
    /// Names what was read: send it with an edit.
    pub version: String,
}

impl RecordingView {
    /// Of a recording as the records have it.
    pub fn of(recording: &Recording, nodes: &Nodes) -> Self {
        let (facts, said) = (&recording.facts, &recording.annotation);
        let channel = |(place, (number, label)): (usize, &(u16, String))| ChannelView {
            number: *number,
            label: label.clone(),
            port: facts.ports.get(place).cloned().unwrap_or_default(),
        };
        Self {
            id: recording.id.to_string(),
            node_id: recording.node.to_string(),
            node: nodes.name(recording.node),
            room_id: recording.plan.room.map(|room| room.to_string()),
            title: recording.title().to_owned(),
            state: facts.state,
            started_at: facts.started_at,
            clock_quality: facts.clock_quality,
            duration_seconds: facts.duration_seconds,
            sample_rate: facts.sample_rate,
            channels: facts.channels.iter().enumerate().map(channel).collect(),
            gap_count: facts.gaps.0,
            gap_seconds: facts.gaps.1,
            mark_labels: facts.marks.clone(),
            peak_dbfs: facts.peak_dbfs,
            bytes: facts.bytes,
            folder: said.folder.clone(),
            tags: said.tags.iter().cloned().collect(),
            notes: said.notes.clone(),
            is_held: said.is_held,
            is_gone: facts.is_gone,
            was_replaced: facts.was_replaced,
            deleted_at: said.deleted_at,
            started_by: recording.plan.started_by.clone(),
            profile: recording.plan.profile.clone(),
            version: said.version.clone(),
        }
    }
}

/// Why a recording cannot be heard any more; none if it is on a disk.
pub fn gone(recording: &RecordingView) -> Option<&'static str> {
    match (recording.is_gone, recording.was_replaced) {
        (false, _) => None,
        (true, false) => Some("Its audio is not on this disk any more"),
        (true, true) => Some("Its audio was on the box that was replaced"),
    }
}

/// A stretch or a place of the time line.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SpanView {
    /// Where it begins, seconds.
    pub at_seconds: f64,
    /// How long it is, seconds; 0 for a place.
    pub seconds: f64,
    /// What it is, for people.
    pub label: String,
    /// Channel numbers concerned; none is all.
    pub channels: Option<Vec<u16>>,
}

/// A file of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SegmentView {
    /// Its name.
    pub file: String,
    /// Where it begins, seconds.
    pub at_seconds: f64,
    /// How long it is, seconds.
    pub seconds: f64,
    /// SHA-256 of all its bytes; none while it is written.
    pub sha256: Option<String>,
}

/// Signal facts of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MeasuredView {
    /// Channel number.
    pub number: u16,
    /// Highest sample, dBFS.
    pub peak_dbfs: f32,
    /// Highest true peak, dBTP.
    pub true_peak_dbfs: f32,
    /// RMS over all frames, dBFS.
    pub rms_dbfs: f32,
    /// Clipped samples.
    pub clipped: u64,
    /// Seconds of digital zero.
    pub digital_zero_seconds: f32,
}

/// A recording with what its take says.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RecordingDetail {
    /// As in lists.
    #[serde(flatten)]
    pub recording: RecordingView,
    /// Planned length; none is "until stopped".
    pub planned_seconds: Option<f64>,
    /// Seconds kept from before the ordered start.
    pub pre_roll_seconds: f64,
    /// How much later than ordered it began.
    pub late_seconds: f64,
    /// What is missing.
    pub gaps: Vec<SpanView>,
    /// Labelled places.
    pub marks: Vec<SpanView>,
    /// What was not kept, on purpose.
    pub pauses: Vec<SpanView>,
    /// Files.
    pub segments: Vec<SegmentView>,
    /// Signal facts.
    pub measured: Vec<MeasuredView>,
}

impl RecordingDetail {
    /// Of a recording and its take; without a take the lists are empty.
    pub fn of(recording: &Recording, take: Option<&TakeInfo>, nodes: &Nodes) -> Self {
        let mut view = RecordingView::of(recording, nodes);
        let Some(take) = take else {
            return Self {
                recording: view,
                planned_seconds: None,
                pre_roll_seconds: 0.0,
                late_seconds: 0.0,
                gaps: Vec::new(),
                marks: Vec::new(),
                pauses: Vec::new(),
                segments: Vec::new(),
                measured: Vec::new(),
            };
        };
        let rate = f64::from(take.sample_rate.max(1));
        let s = |frames: u64| frames as f64 / rate;
        view.duration_seconds = take.duration_seconds;
        let span = |first, frames, label: &str, channels| SpanView {
            at_seconds: s(first),
            seconds: s(frames),
            label: label.to_owned(),
            channels,
        };
        Self {
            recording: view,
            planned_seconds: take.planned_seconds,
            pre_roll_seconds: s(take.pre_roll_frames),
            late_seconds: take.late_seconds,
            gaps: take
                .gaps
                .iter()
                .map(|gap| span(gap.first_frame, gap.frames, gap.cause.describe(), gap.channels.clone()))
                .collect(),
            marks: take.marks.iter().map(|mark| span(mark.frame, 0, &mark.label, None)).collect(),
            pauses: take.pauses.iter().map(|p| span(p.first_frame, p.frames, "Paused", None)).collect(),
            segments: take
                .segments
                .iter()
                .map(|segment| SegmentView {
                    file: segment.file.clone(),
                    at_seconds: s(segment.first_frame),
                    seconds: s(segment.frames),
                    sha256: segment.sha256.clone(),
                })
                .collect(),
            measured: take.measured.iter().map(measured).collect(),
        }
    }
}

fn measured(m: &Measured) -> MeasuredView {
    MeasuredView {
        number: m.number,
        peak_dbfs: m.peak_dbfs,
        true_peak_dbfs: m.true_peak_dbfs,
        rms_dbfs: m.rms_dbfs,
        clipped: m.clipped,
        digital_zero_seconds: m.digital_zero_seconds,
    }
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentView {
    /// Its id.
    pub id: String,
    /// The node it happened on.
    pub node_id: String,
    /// What that is called.
    pub node: String,
    /// `dead_path`, `clipping` …
    pub kind: String,
    /// info, warning, critical.
    #[schema(value_type = String)]
    pub severity: crate::domain::watch::Severity,
    /// What it is about, for people: `Channel 3 (Lectern)`.
    pub target: String,
    /// The channel, if it is about one.
    pub channel: Option<u16>,
    /// What happened.
    pub title: String,
    /// What it means for the recording.
    pub means: String,
    /// What to do.
    pub todo: String,
    /// How much, for people; empty if there is nothing to say.
    pub measure: String,
    /// How often.
    pub times: u64,
    /// When it was seen first.
    #[schema(value_type = String, format = DateTime)]
    pub began_at: Timestamp,
    /// When it became an incident.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// Who took notice.
    pub acknowledged_by: Option<String>,
    /// With which note.
    pub note: String,
    /// Not to be told until.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub suppressed_until: Option<Timestamp>,
}

impl IncidentView {
    /// Of an incident, with the names of channels.
    pub fn of(known: &Known, nodes: &Nodes, label: impl Fn(u16) -> String) -> Self {
        use crate::domain::watch::Target;
        let incident = &known.incident;
        let text = incident.kind.operator_text();
        let named = |number: u16| match label(number) {
            name if name.is_empty() => format!("Channel {number}"),
            name => format!("Channel {number} ({name})"),
        };
        let (target, channel) = match incident.target {
            Target::Node => ("This recorder".to_owned(), None),
            Target::Channel(number) => (named(number), Some(number)),
            Target::Pair(a, b) => (format!("{} and {}", named(a), named(b)), Some(a)),
            Target::Recording(id) => (format!("Recording {id}"), None),
        };
        let acknowledged = known.handling.acknowledged.as_ref();
        Self {
            id: known.id.to_string(),
            node_id: known.node.to_string(),
            node: nodes.name(known.node),
            kind: incident.kind.to_string(),
            severity: incident.severity,
            target,
            channel,
            title: text.title.to_owned(),
            means: text.means.to_owned(),
            todo: text.todo.to_owned(),
            measure: incident.measure.map(|measure| measure.to_string()).unwrap_or_default(),
            times: incident.times,
            began_at: incident.began_at,
            opened_at: incident.opened_at,
            closed_at: incident.closed.map(|closed| closed.at),
            acknowledged_by: acknowledged.map(|handled| handled.by.clone()),
            note: acknowledged.map(|handled| handled.note.clone()).unwrap_or_default(),
            suppressed_until: incident.suppressed_until,
        }
    }
}

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditView {
    /// The node it was done on.
    pub node_id: String,
    /// What that is called.
    pub node: String,
    /// What was done.
    #[serde(flatten)]
    pub entry: Entry,
}

impl AuditView {
    /// Of an entry.
    pub fn of(written: Written, nodes: &Nodes) -> Self {
        Self { node_id: written.node.to_string(), node: nodes.name(written.node), entry: written.entry }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct List<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Send it as `cursor` for what follows; none at the end.
    pub next: Option<String>,
}
