//! Lists of recordings: filters, words, the bin, and what there is to filter by.
//!
//! Every index here ends its keys with when the recording began, so any filters together are lists in one order that are
//! walked side by side, newest first: no page costs more than what is on it, and a cursor is a place in that order, which
//! recordings that come later do not move. What is looked at for one page is bounded.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use jiff::Timestamp;
use replicate::core::record::Record;
use replicate::disk::join::{Join, Place, Under};
use serde::Serialize;

use super::recordings::{Facts, PAGE_MAX, Recording, start_of_annotated};
use super::{Id, Page, Store, StoreError, keys, value, words as text, writer};
use crate::domain::{TakeId, TakeState};

/// Places looked at for one page: some 50 ms on a small machine. Beyond, the page ends early and says where to go on.
const STEPS_MAX: usize = 10_000;
/// Bytes of a folder's name that its index key has room for.
const FOLDER_KEY_BYTES: usize = 256;
/// Tags, and folders, that are listed.
pub const FACETS_MAX: usize = 1_000;

/// What to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Only what this node recorded.
    pub node: Option<Id>,
    /// Words that all must be found in titles, notes, marks, tags, folder; the last may be a beginning.
    pub text: Option<String>,
    /// States.
    pub states: BTreeSet<TakeState>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub to: Option<Timestamp>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only in this folder; the empty one is "in none".
    pub folder: Option<String>,
    /// What is in the bin instead of what is not.
    pub is_bin: bool,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// What there is to filter by, with how many recordings each has outside the bin. At most [`FACETS_MAX`] of each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Facets {
    /// Tags.
    pub tags: Vec<(String, u64)>,
    /// Folders.
    pub folders: Vec<(String, u64)>,
}

/// What was counted, and up to which change.
#[derive(Debug, Default)]
pub(super) struct Counted {
    since: u64,
    facets: Option<Facets>,
}

/// A key: a word, its end, and when the recording began.
fn key(word: &str, at: &[u8]) -> Vec<u8> {
    [word.as_bytes(), &[0], at].concat()
}

pub(super) fn by_start(record: &Record) -> Vec<Vec<u8>> {
    let facts: Option<Facts> = value(record, "facts");
    facts.map(|facts| keys::time(facts.started_at).to_vec()).into_iter().collect()
}

pub(super) fn by_state(record: &Record) -> Vec<Vec<u8>> {
    let facts: Option<Facts> = value(record, "facts");
    facts.map(|facts| key(state_word(facts.state), &keys::time(facts.started_at))).into_iter().collect()
}

pub(super) fn by_node(record: &Record) -> Vec<Vec<u8>> {
    let keys = writer(record, "facts").zip(value::<Facts>(record, "facts"));
    keys.map(|(node, facts)| keys::of_node(node, facts.started_at)).into_iter().collect()
}

/// The words that are stored: never change one.
fn state_word(state: TakeState) -> &'static str {
    match state {
        TakeState::Scheduled => "scheduled",
        TakeState::Recording => "recording",
        TakeState::Paused => "paused",
        TakeState::Finishing => "finishing",
        TakeState::Ready => "ready",
        TakeState::Incomplete => "incomplete",
        TakeState::Failed => "failed",
    }
}

pub(super) fn words(record: &Record) -> Vec<Vec<u8>> {
    let Some(facts) = value::<Facts>(record, "facts") else { return Vec::new() };
    let at = keys::time(facts.started_at);
    let texts = std::iter::once(facts.title.as_str()).chain(facts.marks.iter().map(String::as_str));
    text::all(texts).iter().map(|word| key(word, &at)).collect()
}

/// When the recording of an annotation began, as the end of a key; none before it is known.
fn annotated_at(record: &Record) -> Option<[u8; 8]> {
    Some(keys::time(Timestamp::from_millisecond(start_of_annotated(record)?).ok()?))
}

fn is_in_bin(record: &Record) -> bool {
    value::<Option<Timestamp>>(record, "bin").flatten().is_some()
}

fn filing(record: &Record) -> (String, BTreeSet<String>) {
    value(record, "filing").unwrap_or_default()
}

pub(super) fn annotation_words(record: &Record) -> Vec<Vec<u8>> {
    let Some(at) = annotated_at(record) else { return Vec::new() };
    let (folder, tags) = filing(record);
    let title: String = value(record, "label").unwrap_or_default();
    let notes: String = value(record, "notes").unwrap_or_default();
    let texts = [title.as_str(), folder.as_str()].into_iter().chain(tags.iter().map(String::as_str)).chain([&*notes]);
    text::all(texts).iter().map(|word| key(word, &at)).collect()
}

pub(super) fn by_tag(record: &Record) -> Vec<Vec<u8>> {
    let Some(at) = annotated_at(record).filter(|_| !is_in_bin(record)) else { return Vec::new() };
    filing(record).1.iter().map(|tag| key(tag, &at)).collect()
}

pub(super) fn by_folder(record: &Record) -> Vec<Vec<u8>> {
    let Some(at) = annotated_at(record).filter(|_| !is_in_bin(record)) else { return Vec::new() };
    let folder = filing(record).0;
    if folder.is_empty() { Vec::new() } else { vec![key(folder_word(&folder), &at)] }
}

fn folder_word(folder: &str) -> &str {
    &folder[..folder.floor_char_boundary(FOLDER_KEY_BYTES)]
}

pub(super) fn in_bin(record: &Record) -> Vec<Vec<u8>> {
    annotated_at(record).filter(|_| is_in_bin(record)).map(|at| at.to_vec()).into_iter().collect()
}

pub(super) fn in_bin_since(record: &Record) -> Vec<Vec<u8>> {
    let since = value::<Option<Timestamp>>(record, "bin").flatten();
    since.map(|since| keys::time(since).to_vec()).into_iter().collect()
}

impl Store {
    /// A page of recordings, newest first. It may have fewer than were asked for and still say where to go on: what is
    /// looked at for one page is bounded.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn recordings(&self, query: &Query) -> Result<Page<Recording>, StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let Some(mut join) = asked(query) else { return Ok(Page { items: Vec::new(), next: None }) };
        let mut items = Vec::new();
        loop {
            join.limit = limit - items.len();
            let joined = self.join(&join)?;
            for recording in self.wholes(&joined.hits)? {
                items.extend(recording.filter(|recording| is_wanted(recording, query)));
            }
            join.after = joined.rest;
            join.steps_max = join.steps_max.saturating_sub(joined.hits.len().max(1) * 10);
            let Some((at, id)) = joined.rest else { return Ok(Page { items, next: None }) };
            // Only a filter without an index makes a second round, and only so many.
            if items.len() >= limit || join.steps_max == 0 || joined.hits.is_empty() {
                return Ok(Page { items, next: Some(keys::cursor(&at, id)) });
            }
        }
    }

    fn wholes(&self, hits: &[Place]) -> Result<Vec<Option<Recording>>, StoreError> {
        let ids: Vec<_> = hits.iter().map(|(_, id)| *id).collect();
        let (records, said) = (self.all("recording", &ids)?, self.all("annotation", &ids)?);
        let whole = |(record, said): (&Option<Record>, &Option<Record>)| Self::whole(record.as_ref()?, said.as_ref());
        Ok(records.iter().zip(&said).map(whole).collect())
    }

    /// Which recordings the store knows, newest first, without reading them; at most `limit`.
    #[allow(clippy::missing_errors_doc)]
    pub fn recording_ids(&self, limit: usize) -> Result<Vec<TakeId>, StoreError> {
        let all = vec![vec![list("recording_by_start", Vec::new())]];
        let joined = self.join(&Join { all, limit, steps_max: limit + 1, ..Join::default() })?;
        let id = |(_, id): &Place| super::Id::from_record(*id).to_string().parse().ok();
        Ok(joined.hits.iter().filter_map(id).collect())
    }

    /// What there is to filter by. Counted anew after someone, here or elsewhere, said something about a recording.
    #[allow(clippy::missing_errors_doc)]
    pub fn facets(&self) -> Result<Facets, StoreError> {
        let mut kept = self.facets.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_changed(&["annotation"], &mut kept.since) {
            kept.facets = None;
        }
        if let Some(facets) = &kept.facets {
            return Ok(facets.clone());
        }
        let counted = |index| -> Result<Vec<(String, u64)>, StoreError> {
            let words = self.records.words(index, FACETS_MAX)?;
            Ok(words.into_iter().filter_map(|(word, count)| Some((String::from_utf8(word).ok()?, count))).collect())
        };
        let facets = Facets { tags: counted("annotation_tag")?, folders: counted("annotation_folder")? };
        kept.facets = Some(facets.clone());
        Ok(facets)
    }
}

fn list(index: &str, word: Vec<u8>) -> Under {
    Under::Word { index: index.into(), word }
}

/// What to walk; nothing if the question has no word in it.
fn asked(query: &Query) -> Option<Join> {
    let mut all = Vec::new();
    if let Some(asked) = query.text.as_ref().filter(|asked| !asked.trim().is_empty()) {
        for asked in text::asked(asked) {
            let under = |index: &str| match asked.is_beginning {
                true => Under::Beginning { index: index.into(), stem: asked.word.clone().into_bytes() },
                false => list(index, key(&asked.word, &[])),
            };
            all.push(vec![under("recording_word"), under("annotation_word")]);
        }
        if all.is_empty() {
            return None;
        }
    }
    let mut none = Vec::new();
    if query.is_bin {
        all.push(vec![list("annotation_bin", Vec::new())]);
    } else {
        none.push(list("annotation_bin", Vec::new()));
        all.extend(query.tag.as_ref().map(|tag| vec![list("annotation_tag", key(tag, &[]))]));
        let folder = query.folder.as_ref().filter(|folder| !folder.is_empty());
        all.extend(folder.map(|folder| vec![list("annotation_folder", key(folder_word(folder), &[]))]));
    }
    if !query.states.is_empty() {
        all.push(query.states.iter().map(|state| list("recording_state", key(state_word(*state), &[]))).collect());
    }
    all.extend(query.node.map(|node| vec![list("recording_node", node.0.as_bytes().to_vec())]));
    if all.is_empty() {
        all.push(vec![list("recording_by_start", Vec::new())]);
    }
    let after = query.cursor.as_deref().and_then(keys::read_place);
    let (from, to) = (query.from.map(keys::time), query.to.map(keys::time));
    Some(Join { all, none, from, to, after, limit: 0, steps_max: STEPS_MAX })
}

/// What the walk leaves open: unfiled ones, filters within the bin, the thousandths of a millisecond.
fn is_wanted(recording: &Recording, query: &Query) -> bool {
    let (facts, said) = (&recording.facts, &recording.annotation);
    query.is_bin == said.deleted_at.is_some()
        && query.node.is_none_or(|node| recording.node == node)
        && query.from.is_none_or(|from| facts.started_at >= from)
        && query.to.is_none_or(|to| facts.started_at < to)
        && query.tag.as_ref().is_none_or(|tag| said.tags.contains(tag))
        && query.folder.as_ref().is_none_or(|folder| said.folder == *folder)
}
