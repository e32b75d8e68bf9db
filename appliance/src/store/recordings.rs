//! Recordings: what the node saw of them, and what people say about them. Two records under one id.

use std::collections::BTreeSet;

use jiff::Timestamp;
use replicate::core::index::Keys;
use replicate::core::record::Record;
use replicate::disk::store::Scan;
use serde::{Deserialize, Serialize};

use super::{Edits, Id, Page, Store, StoreError, keys, value};
use crate::domain::{ClockQuality, TakeId, TakeState};

/// The most recordings on one page.
pub const PAGE_MAX: usize = 200;

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
    /// Channel numbers and names.
    pub channels: Vec<(u16, String)>,
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

/// A recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its id, the order's and the take's.
    pub id: TakeId,
    /// The node that has it.
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

/// What to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Words that all must be found in titles, notes, marks, tags; the last may be a beginning.
    pub text: Option<String>,
    /// States.
    pub states: BTreeSet<TakeState>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub to: Option<Timestamp>,
    /// Only these tags.
    pub tag: Option<String>,
    /// Only this folder.
    pub folder: Option<String>,
    /// What is in the bin instead of what is not.
    pub is_bin: bool,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

pub(super) fn by_start(record: &Record) -> Vec<Vec<u8>> {
    let facts: Option<Facts> = value(record, "facts");
    facts.map(|facts| keys::time(facts.started_at).to_vec()).into_iter().collect()
}

pub(super) fn words(_record: &Record) -> Vec<Vec<u8>> {
    Vec::new()
}

pub(super) fn annotation_words(_record: &Record) -> Vec<Vec<u8>> {
    Vec::new()
}

impl Edits {
    /// Writes down what was seen of a recording.
    pub fn put_facts(&mut self, id: TakeId, facts: &Facts) {
        self.put("recording", id.into(), "facts", facts);
    }

    /// Writes down why there is a recording.
    pub fn put_plan(&mut self, id: TakeId, plan: &Plan) {
        self.put("recording", id.into(), "plan", plan);
    }

    /// Gives it another title.
    pub fn put_title(&mut self, id: TakeId, title: &str) {
        self.put("annotation", id.into(), "label", &title);
    }

    /// Files it.
    pub fn put_filing(&mut self, id: TakeId, folder: &str, tags: &BTreeSet<String>) {
        self.put("annotation", id.into(), "filing", &(folder, tags));
    }

    /// Writes notes.
    pub fn put_notes(&mut self, id: TakeId, notes: &str) {
        self.put("annotation", id.into(), "notes", &notes);
    }

    /// Puts it into the bin, or takes it out.
    pub fn put_bin(&mut self, id: TakeId, since: Option<Timestamp>) {
        self.put("annotation", id.into(), "bin", &since);
    }
}

impl Store {
    /// A recording by id.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn recording(&self, id: TakeId) -> Result<Option<Recording>, StoreError> {
        match self.record("recording", id.into())? {
            Some(record) => self.whole(&record),
            None => Ok(None),
        }
    }

    /// A page of recordings, newest first.
    #[allow(clippy::missing_errors_doc)]
    pub fn recordings(&self, query: &Query) -> Result<Page<Recording>, StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let mut after = query.cursor.as_deref().and_then(keys::read_cursor);
        let mut items = Vec::new();
        loop {
            let index = "recording_by_start".into();
            let scan = Scan { index, keys: Keys::All, is_backward: true, after: after.clone(), limit: limit + 1 };
            let hits = self.scan(&scan)?;
            let is_end = hits.len() <= limit;
            for hit in hits {
                let Some(recording) = self.whole(&hit.record)? else { continue };
                after = Some((hit.key.clone(), hit.record.id()));
                if !is_wanted(&recording, query) {
                    continue;
                }
                if items.len() == limit {
                    let last: &Recording = &items[limit - 1];
                    let next = Some(keys::cursor(&keys::time(last.facts.started_at), Id::from(last.id).record()));
                    return Ok(Page { items, next });
                }
                items.push(recording);
            }
            if is_end {
                return Ok(Page { items, next: None });
            }
        }
    }

    fn whole(&self, record: &Record) -> Result<Option<Recording>, StoreError> {
        let id = Id::from_record(record.id());
        let (Some(facts), Ok(take)) = (value(record, "facts"), id.to_string().parse()) else { return Ok(None) };
        let plan = value(record, "plan").unwrap_or(Plan { room: None, started_by: None, profile: "voice".into() });
        let annotation = self.record("annotation", id)?.map(|record| annotation(&record)).unwrap_or_default();
        Ok(Some(Recording { id: take, node: self.node, facts, plan, annotation }))
    }
}

fn annotation(record: &Record) -> Annotation {
    let (folder, tags) = value(record, "filing").unwrap_or_default();
    let dots: Vec<u8> = record.live().iter().flat_map(replicate::core::id::Dot::bytes).collect();
    Annotation {
        title: value(record, "label"),
        folder,
        tags,
        notes: value(record, "notes").unwrap_or_default(),
        deleted_at: value::<Option<Timestamp>>(record, "bin").flatten(),
        is_held: record.is_disabled("hold"),
        version: Id::of_name(&format!("{dots:?}")).0.simple().to_string(),
    }
}

fn is_wanted(recording: &Recording, query: &Query) -> bool {
    let (facts, said) = (&recording.facts, &recording.annotation);
    let has_text = query.text.as_ref().is_none_or(|text| {
        let hay =
            format!("{} {} {} {}", recording.title(), said.notes, facts.marks.join(" "), said.folder).to_lowercase();
        text.to_lowercase().split_whitespace().all(|word| hay.contains(word))
    });
    has_text
        && query.is_bin == said.deleted_at.is_some()
        && (query.states.is_empty() || query.states.contains(&facts.state))
        && query.from.is_none_or(|from| facts.started_at >= from)
        && query.to.is_none_or(|to| facts.started_at < to)
        && query.tag.as_ref().is_none_or(|tag| said.tags.contains(tag))
        && query.folder.as_ref().is_none_or(|folder| said.folder == *folder)
}
