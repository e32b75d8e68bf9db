//! Recordings: what the node saw of them, and what people say about them. Two records under one id.
//!
//! Lives here: the values, their limits, reading and writing one. Lists and searches are in `search`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use replicate::core::id::RecordId;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::core::write::{Act, Replaces};
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Store, StoreError, keys, value};
use crate::domain::{ClockQuality, TakeId, TakeState};

/// The most recordings on one page.
pub const PAGE_MAX: usize = 200;

/// The most bytes of a title.
pub const TITLE_BYTES_MAX: usize = 1_024;
/// The most bytes of notes.
pub const NOTES_BYTES_MAX: usize = 16 * 1_024;
/// The most bytes of a folder's name.
pub const FOLDER_BYTES_MAX: usize = 256;
/// The most tags of one recording.
pub const TAGS_MAX: usize = 64;
/// The most bytes of a tag.
pub const TAG_BYTES_MAX: usize = 64;
/// How long a recording lies in the bin before it may be removed for good.
pub const BIN_DAYS: i64 = 30;

/// What people say, without what the store notes beside it.
const SAID: [&str; 5] = ["label", "filing", "notes", "bin", "hold"];

/// What the node saw. Never edited by people; small, whatever the take: the take on disk has the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is doing or became.
    pub state: TakeState,
    /// The order's title.
    pub title: String,
    /// Wall time of frame 0; of a scheduled one, the ordered start.
    pub started_at: Timestamp,
    /// How far that can be believed.
    pub clock_quality: ClockQuality,
    /// Frames per second.
    pub sample_rate: u32,
    /// Length of the timeline.
    pub duration_seconds: f64,
    /// Channel numbers and names, as people called them when it began.
    pub channels: Vec<(u16, String)>,
    /// The source port of each channel; none in records made before ports were kept.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Gaps, and seconds missing in all.
    pub gaps: (u32, f64),
    /// Labels of marks, at most 200.
    pub marks: Vec<String>,
    /// Highest sample of any channel, dBFS; none if not measured.
    pub peak_dbfs: Option<f32>,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The take's folder is not on this disk any more.
    #[serde(default)]
    pub is_gone: bool,
    /// It was on the box whose place this one took, and is gone with that.
    #[serde(default)]
    pub was_replaced: bool,
}

/// Why it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In which room.
    pub room: Option<Id>,
    /// Who started it; none if it was found on disk.
    pub started_by: Option<String>,
    /// Which profile.
    pub profile: String,
}

/// What people say about it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Annotation {
    /// Another title.
    pub title: Option<String>,
    /// Where it is filed.
    pub folder: String,
    /// Words to find it by.
    pub tags: BTreeSet<String>,
    /// Free text.
    pub notes: String,
    /// In the bin since.
    pub deleted_at: Option<Timestamp>,
    /// It may not be deleted.
    pub is_held: bool,
    /// Names what was read, for an edit to say what it was made from.
    pub version: String,
}

pub use super::search::Query;

/// A recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its id, the order's and the take's.
    pub id: TakeId,
    /// The node that has it: the one that wrote its facts.
    pub node: Id,
    /// What the node saw.
    pub facts: Facts,
    /// Why.
    pub plan: Plan,
    /// What people say.
    pub annotation: Annotation,
}

impl Recording {
    /// The title to show.
    pub fn title(&self) -> &str {
        self.annotation.title.as_deref().unwrap_or(&self.facts.title)
    }
}

/// When a recording began.
pub(super) fn start(record: &Record) -> Option<Timestamp> {
    value::<Facts>(record, "facts").map(|facts| facts.started_at)
}

/// When the recording of an annotation began, milliseconds since 1970.
pub(super) fn start_of_annotated(record: &Record) -> Option<i64> {
    value(record, "of")
}

impl Edits {
    /// Writes down what was seen of a recording.
    pub fn put_facts(&mut self, id: TakeId, facts: &Facts) {
        self.note_start(id.into(), facts.started_at);
        self.put("recording", id.into(), "facts", facts);
    }

    /// Writes down why there is a recording.
    pub fn put_plan(&mut self, id: TakeId, plan: &Plan) {
        self.put("recording", id.into(), "plan", plan);
    }

    /// The edits were made from this [`Annotation::version`]; if it is another by now, nothing is kept and the commit says
    /// [`StoreError::Stale`].
    pub fn expect_annotation(&mut self, id: TakeId, version: &str) {
        self.expect_version("annotation", id.into(), &SAID, version);
    }

    /// Gives it another title.
    pub fn put_title(&mut self, id: TakeId, title: &str) {
        self.bound("title", title, TITLE_BYTES_MAX, false);
        self.annotate(id, "label", &title);
    }

    /// Files it.
    pub fn put_filing(&mut self, id: TakeId, folder: &str, tags: &BTreeSet<String>) {
        self.bound("folder", folder, FOLDER_BYTES_MAX, false);
        if tags.len() > TAGS_MAX {
            let why = format!("there are {} of them, and {TAGS_MAX} are the most", tags.len());
            self.refuse(StoreError::Invalid { field: "tags", why });
        }
        if tags.contains("") {
            self.refuse(StoreError::Invalid { field: "tags", why: "one is empty".into() });
        }
        tags.iter().for_each(|tag| self.bound("tags", tag, TAG_BYTES_MAX, false));
        self.annotate(id, "filing", &(folder, tags));
    }

    /// Writes notes.
    pub fn put_notes(&mut self, id: TakeId, notes: &str) {
        self.bound("notes", notes, NOTES_BYTES_MAX, true);
        self.annotate(id, "notes", &notes);
    }

    /// Puts it into the bin, or takes it out.
    pub fn put_bin(&mut self, id: TakeId, since: Option<Timestamp>) {
        self.annotate(id, "bin", &since);
    }

    /// Says that it may not be deleted.
    pub fn hold(&mut self, id: TakeId) {
        self.note_annotated(id.into());
        self.act("annotation", id.into(), Act::Disable { group: "hold".into(), value: "null".into() });
    }

    /// Says that it may be deleted again.
    pub fn release(&mut self, id: TakeId) {
        let act = Act::Enable { group: "hold".into(), value: "null".into(), replaces: Replaces::All };
        self.note_annotated(id.into());
        self.act("annotation", id.into(), act);
    }

    fn annotate(&mut self, id: TakeId, group: &str, value: &impl Serialize) {
        self.note_annotated(id.into());
        self.put("annotation", id.into(), group, value);
    }
}

impl Store {
    /// A recording by id.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn recording(&self, id: TakeId) -> Result<Option<Recording>, StoreError> {
        let id = Id::from(id);
        let said = self.record("annotation", id)?;
        Ok(self.record("recording", id)?.and_then(|record| Self::whole(&record, said.as_ref())))
    }

    /// Which recordings of this node have been in the bin for [`BIN_DAYS`] and are not held, those longest there first; at most 1,000.
    /// Removing what they recorded is the caller's.
    #[allow(clippy::missing_errors_doc)]
    pub fn purge_due(&self, now: Timestamp) -> Result<Vec<TakeId>, StoreError> {
        let Ok(before) = now.checked_sub(SignedDuration::from_hours(24 * BIN_DAYS)) else { return Ok(Vec::new()) };
        let keys = Keys::Between(Vec::new(), keys::time(before).to_vec());
        let index = "annotation_bin_since".into();
        let hits = self.scan(&Scan { index, keys, is_backward: false, after: None, limit: 1_000 })?;
        let due: Vec<RecordId> =
            hits.iter().filter(|hit| !hit.record.is_disabled("hold")).map(|hit| hit.record.id()).collect();
        let recordings = self.all("recording", &due)?;
        let ours = recordings.iter().flatten().filter(|record| super::writer(record, "facts") == Some(self.node));
        Ok(ours.filter_map(|record| Id::from_record(record.id()).to_string().parse().ok()).collect())
    }

    /// A recording out of its two records.
    pub(super) fn whole(record: &Record, said: Option<&Record>) -> Option<Recording> {
        let id: TakeId = Id::from_record(record.id()).to_string().parse().ok()?;
        let (facts, node) = (value(record, "facts")?, super::writer(record, "facts")?);
        let plan = value(record, "plan").unwrap_or(Plan { room: None, started_by: None, profile: "voice".into() });
        let annotation = match said {
            Some(said) => annotation(said),
            None => Annotation { version: super::version_of_nothing(), ..Annotation::default() },
        };
        Some(Recording { id, node, facts, plan, annotation })
    }
}

fn annotation(record: &Record) -> Annotation {
    let (folder, tags) = value(record, "filing").unwrap_or_default();
    Annotation {
        title: value(record, "label"),
        folder,
        tags,
        notes: value(record, "notes").unwrap_or_default(),
        deleted_at: value::<Option<Timestamp>>(record, "bin").flatten(),
        is_held: record.is_disabled("hold"),
        version: super::version(record, &SAID),
    }
}
