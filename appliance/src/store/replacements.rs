//! Members whose box was replaced: another machine goes on as the same node, with another key and above every incarnation.
//!
//! Lives here: the record of it, which fences what the old box still decides, and what follows from it for this node. Does
//! not live here: who may do it and how the new box comes in (`fleet`). A replacement is never taken back.

use jiff::Timestamp;
use replicate::core::fence::Fence;
use replicate::core::id::{LogId, NodeId, RecordId, Stream};
use replicate::disk::store::Hit;
use serde::{Deserialize, Serialize};

use super::fleet::{LastWords, NAME_BYTES_MAX};
use super::{Edits, Id, Store, StoreError, value};

/// So far above every incarnation that is known the new box begins. The old one may open a file that was repaired, or put a
/// backup back, and each takes the next incarnation: it does not come so far.
const STEP: u32 = 1_000;

/// A box that took a member's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// The member.
    pub node: Id,
    /// When.
    pub at: Timestamp,
    /// Who invited the new box, by name.
    pub by: String,
    /// The node that let it in.
    pub through: Id,
    /// The key that is believed no more, as in [`super::fleet::Key`]; empty if none was known.
    pub spki: String,
    /// The first incarnation of the new box.
    pub until: u32,
    /// Where what the old box decided ends.
    #[serde(flatten)]
    pub words: LastWords,
}

pub(super) fn fence(_: RecordId, value: &str) -> Option<Fence> {
    let done: Replacement = serde_json::from_str(value).ok()?;
    Some(done.words.fence(done.node.record(), Some(done.until)))
}

impl Edits {
    /// Gives a member's place to another box.
    pub fn put_replacement(&mut self, id: Id, done: &Replacement) {
        self.bound("by", &done.by, NAME_BYTES_MAX, false);
        self.put("replacement", id, "done", done);
    }
}

impl Store {
    /// All replacements, the oldest first.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn replacements(&self) -> Result<Vec<Replacement>, StoreError> {
        let done = |hit: &Hit| value::<Replacement>(&hit.record, "done");
        let mut all: Vec<Replacement> = self.every("replacement_all")?.iter().filter_map(done).collect();
        all.sort_by_key(|done| (done.until, done.at));
        Ok(all)
    }

    /// The incarnation under which another box may go on as a node: above all that is known here.
    #[allow(clippy::missing_errors_doc)]
    pub fn incarnation_above(&self, node: Id) -> Result<u32, StoreError> {
        let id = NodeId(node.record().0);
        let known = self.records.heads()?.into_iter().filter(|(log, _)| log.node == id).map(|(log, _)| log.inc);
        let promised = self.replacements()?.into_iter().filter(|done| done.node == node).map(|done| done.until);
        Ok(known.chain(promised).max().unwrap_or(0).saturating_add(STEP))
    }

    /// Whether a recording of this node was made by a box whose place this one took: its audio was there.
    #[allow(clippy::missing_errors_doc)]
    pub fn was_on_replaced_box(&self, recording: Id) -> Result<bool, StoreError> {
        let Some(record) = self.record("recording", recording)? else { return Ok(false) };
        let Some(facts) = record.versions("facts").first().map(|entry| entry.at.dot) else { return Ok(false) };
        let us = self.records.brief().us;
        let is_of_us = |done: &Replacement| done.node == self.node && done.until <= us.inc && facts.inc < done.until;
        Ok(facts.node == us.node && self.replacements()?.iter().any(is_of_us))
    }

    /// How many facts of this node's earlier incarnations are here. Who lost its memory, or took a node's place, gets them
    /// from the others.
    #[allow(clippy::missing_errors_doc)]
    pub fn earlier_facts(&self) -> Result<u64, StoreError> {
        let us = self.records.brief().us;
        let is_earlier = |log: &LogId| log.node == us.node && log.inc < us.inc && log.stream == Stream::Own;
        Ok(self.records.heads()?.iter().filter(|(log, _)| is_earlier(log)).map(|(_, head)| head.seq).sum())
    }
}
