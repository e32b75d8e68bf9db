//! Writing: edits gathered, then kept in one durable step.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use replicate::core::entry::{Moment as Stamp, Quality};
use replicate::core::fence::{FENCED, Fenced};
use replicate::core::id::BootId;
use replicate::core::record::Version;
use replicate::core::write::{Act, Draft, Expected, Replaces};
use replicate::disk::store::Batch;
use serde::Serialize;

use super::{Id, Moment, Store, StoreError, recordings, schema};
use crate::domain::ClockQuality;

/// Changes that are kept together or not at all. Repositories add to it; [`Store::commit`] keeps it.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    drafts: Vec<Draft>,
    expected: Vec<Expected>,
    by: String,
    refused: Option<StoreError>,
    /// Recordings that people said something about.
    annotated: BTreeSet<Id>,
    /// Recordings whose facts change, and when they begin.
    starts: BTreeMap<Id, Timestamp>,
}

impl Edits {
    /// No changes yet, by this person or service (`user:<id>`, `service:recorder`).
    pub fn by(who: &str) -> Self {
        Self { by: who.to_owned(), ..Self::default() }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    pub(super) fn put(&mut self, kind: &str, id: Id, group: &str, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(value) => self.act(kind, id, Act::Put { group: group.into(), value, replaces: Replaces::All }),
            Err(error) => self.refuse(StoreError::Refused(error.to_string())),
        }
    }

    pub(super) fn act(&mut self, kind: &str, id: Id, act: Act) {
        let by = self.by.clone();
        self.drafts.push(Draft { kind: kind.into(), id: id.record(), act, by, why: None, reports: false });
    }

    /// Marks the last edit as the report of those before it: the journal names what it tells of.
    pub(super) fn report(&mut self) {
        if let Some(last) = self.drafts.last_mut() {
            last.reports = true;
        }
    }

    /// Nothing of these edits will be kept; the first reason is told.
    pub(super) fn refuse(&mut self, error: StoreError) {
        self.refused.get_or_insert(error);
    }

    /// The edits were made from this version of a record's groups.
    pub(super) fn expect_version(&mut self, kind: &str, id: Id, groups: &[&str], version: &str) {
        // What is no version was never the present one.
        let Ok(number) = u128::from_str_radix(version, 16) else { return self.refuse(StoreError::Stale) };
        let groups = groups.iter().map(ToString::to_string).collect();
        let version = Version(number.to_be_bytes());
        self.expected.push(Expected { kind: kind.into(), id: id.record(), groups, version });
    }

    /// Refuses a text that is too long, or that has characters which are no text.
    pub(super) fn bound(&mut self, field: &'static str, text: &str, bytes_max: usize, has_lines: bool) {
        if text.len() > bytes_max {
            let why = format!("it has {} bytes, and {bytes_max} are the most", text.len());
            self.refuse(StoreError::Invalid { field, why });
        }
        if text.chars().any(|c| c.is_control() && !(has_lines && matches!(c, '\n' | '\r' | '\t'))) {
            self.refuse(StoreError::Invalid { field, why: "it has a control character".into() });
        }
    }

    pub(super) fn note_annotated(&mut self, id: Id) {
        self.annotated.insert(id);
    }

    pub(super) fn note_start(&mut self, id: Id, at: Timestamp) {
        self.starts.insert(id, at);
    }
}

impl Store {
    /// Keeps changes; durable when it returns.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was kept, or with [`StoreError::Unusable`] and [`StoreError::Full`] it is not known.
    pub fn commit(&self, edits: Edits, now: Moment) -> Result<(), StoreError> {
        let mut edits = edits;
        if let Some(why) = edits.refused {
            return Err(why);
        }
        if edits.drafts.is_empty() {
            return Ok(());
        }
        self.refuse_if_retired(&edits)?;
        let mut dated = self.dated(&edits)?;
        dated.append(&mut edits.drafts);
        let (expected, moment) = (edits.expected, moment(now, self.boot));
        self.records.write(Batch { expected, drafts: dated, moment, is_urgent: true }).wait()?;
        Ok(())
    }

    /// On a node that was retired, or whose place another box took, a person is told that what they decide would not count.
    /// What the node records does, and what its services write is not worth a failure.
    fn refuse_if_retired(&self, edits: &Edits) -> Result<(), StoreError> {
        if !edits.by.starts_with("user:") {
            return Ok(());
        }
        let us = self.records.brief().us;
        let is_us = |fenced: &&Fenced| fenced.node == us.node && fenced.until.is_none_or(|until| us.inc < until);
        let fenced = self.records.fenced()?;
        let Some(fenced) = fenced.iter().find(is_us) else { return Ok(()) };
        let schema = schema::schema();
        let decides = |draft: &Draft| schema.kind(&draft.kind).is_some_and(|kind| FENCED.contains(&kind.stream));
        if !edits.drafts.iter().any(decides) {
            return Ok(());
        }
        let why = match fenced.until {
            None => {
                "this node was retired from its fleet: what is decided on it does not count any more. It goes on \
                 recording; set it up anew to decide on it again"
            }
            Some(_) => {
                "another box has taken this one's place: what is decided on it does not count any more. It goes on \
                 recording; set it up anew to decide on it again"
            }
        };
        Err(StoreError::Invalid { field: "node", why: why.into() })
    }

    /// What people say is found in the order of when its recording began, so the annotation carries that along.
    fn dated(&self, edits: &Edits) -> Result<Vec<Draft>, StoreError> {
        let mut dating = Edits::by(&edits.by);
        for id in edits.annotated.iter().chain(edits.starts.keys().filter(|id| !edits.annotated.contains(id))) {
            let annotation = self.record("annotation", *id)?;
            if annotation.is_none() && !edits.annotated.contains(id) {
                continue;
            }
            let start = match edits.starts.get(id) {
                Some(start) => Some(*start),
                None => self.record("recording", *id)?.and_then(|record| recordings::start(&record)),
            };
            let known = annotation.as_ref().and_then(recordings::start_of_annotated);
            if let Some(start) = start.map(Timestamp::as_millisecond).filter(|start| known != Some(*start)) {
                dating.put("annotation", *id, "of", &start);
            }
        }
        Ok(dating.drafts)
    }
}

pub(super) fn moment(now: Moment, boot: BootId) -> Stamp {
    let q = match now.quality {
        ClockQuality::Unset => Quality::Unset,
        ClockQuality::Guessed => Quality::Guessed,
        ClockQuality::Ntp => Quality::Ntp,
    };
    Stamp { wall: now.wall.as_millisecond(), q, boot, mono: now.mono_us / 1_000 }
}
