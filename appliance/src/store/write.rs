//! Writing: edits gathered, then kept in one durable step.

use replicate::core::entry::{Moment as Stamp, Quality};
use replicate::core::id::BootId;
use replicate::core::write::{Act, Draft, Replaces};
use replicate::disk::store::Batch;
use serde::Serialize;

use super::{Id, Moment, Store, StoreError};
use crate::domain::ClockQuality;

/// Changes that are kept together or not at all. Repositories add to it; [`Store::commit`] keeps it.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    drafts: Vec<Draft>,
    by: String,
    refused: Option<String>,
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
            Err(error) => self.refused = Some(error.to_string()),
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
}

impl Store {
    /// Keeps changes; durable when it returns.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was kept, or with [`StoreError::Unusable`] it is not known.
    pub fn commit(&self, edits: Edits, now: Moment) -> Result<(), StoreError> {
        if let Some(why) = edits.refused {
            return Err(StoreError::Refused(why));
        }
        if edits.drafts.is_empty() {
            return Ok(());
        }
        let batch = Batch { expected: Vec::new(), drafts: edits.drafts, moment: moment(now, self.boot), is_urgent: true };
        self.records.write(batch).wait()?;
        Ok(())
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
