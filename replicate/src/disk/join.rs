//! Records found under several index keys at once, the last first: what a search is made of.
//!
//! Lives here: walking sorted lists side by side. It may assume that the keys end in a tail of [`TAIL_BYTES`] bytes that
//! is the same for one record in every index (a time), so that all lists have one order: by tail, then by record. What
//! the words and tails mean is the user's business. Everything is bounded: words, steps, hits.

use super::{IndexRange, Snapshot, wrong};
use crate::core::id::RecordId;
use crate::core::index::{Span, decode, encode, end, from};
use crate::core::view::Unreadable;
use std::collections::BinaryHeap;
use std::ops::Bound;

/// Bytes at the end of a key by which lists are ordered.
pub const TAIL_BYTES: usize = 8;
/// Words that a beginning stands for; later ones, in the order of bytes, are not looked for, and the answer says so.
pub const WORDS_MAX: usize = 4_096;
/// Steps along a list before a seek is the cheaper way.
const STEPS_BEFORE_SEEK: usize = 8;

/// A tail and a record: one place in the common order.
pub type Place = ([u8; TAIL_BYTES], RecordId);

/// A list of records in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Under {
    /// Keys that are these bytes and a tail.
    Word {
        /// The index.
        index: String,
        /// All of the key but its tail.
        word: Vec<u8>,
    },
    /// Keys that are a word, `00` and a tail, where the word begins so and has no byte below 2.
    Beginning {
        /// The index.
        index: String,
        /// What the word begins with.
        stem: Vec<u8>,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Found under any of each of these. None finds nothing.
    pub all: Vec<Vec<Under>>,
    /// And under none of these words.
    pub none: Vec<Under>,
    /// With this tail or a greater one.
    pub from: Option<[u8; TAIL_BYTES]>,
    /// With a lesser tail than this.
    pub to: Option<[u8; TAIL_BYTES]>,
    /// Only what comes after this place, that is, before it in order.
    pub after: Option<Place>,
    /// Hits at most.
    pub limit: usize,
    /// Places looked at, at most: words that are common and never meet must not hold up the machine.
    pub steps_max: usize,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// In order, the last first.
    pub hits: Vec<Place>,
    /// Where to go on, as [`Join::after`]; none if all was looked at. There may be one although no hit came.
    pub rest: Option<Place>,
    /// A beginning stood for more than [`WORDS_MAX`] words.
    pub is_cut: bool,
}

pub(super) fn run(snapshot: &Snapshot, join: &Join) -> Result<Joined, Unreadable> {
    let mut joined = Joined::default();
    let Some(mut target) = first_target(join) else { return Ok(joined) };
    let low = join.from.unwrap_or_default();
    let mut lists = Vec::new();
    for any in &join.all {
        lists.push(Union::open(snapshot, any, low, target, &mut joined.is_cut)?);
    }
    if lists.is_empty() {
        return Ok(joined);
    }
    for _ in 0..join.steps_max {
        let Some(met) = meet(&mut lists, target)? else { return Ok(joined) };
        if met.1 && !is_under(snapshot, &join.none, met.0)? {
            if joined.hits.len() == join.limit {
                joined.rest = joined.hits.last().copied();
                return Ok(joined);
            }
            joined.hits.push(met.0);
        }
        match if met.1 { before(met.0) } else { Some(met.0) } {
            Some(next) => target = next,
            None => return Ok(joined),
        }
    }
    joined.rest = Some(behind(target));
    Ok(joined)
}

/// Moves all lists to the target or below it. Returns the lowest place, and whether all are there; nothing at the end.
fn meet(lists: &mut [Union<'_>], target: Place) -> Result<Option<(Place, bool)>, Unreadable> {
    let mut at = target;
    for (number, list) in lists.iter_mut().enumerate() {
        let Some(place) = list.seek(at)? else { return Ok(None) };
        if place < at && number > 0 {
            return Ok(Some((place, false)));
        }
        at = place;
    }
    Ok(Some((at, true)))
}

fn first_target(join: &Join) -> Option<Place> {
    let last = ([0xff; TAIL_BYTES], RecordId([0xff; 16]));
    let to = join.to.map_or(Some(last), |to| before((to, RecordId([0; 16]))))?;
    let after = join.after.map_or(Some(last), before)?;
    Some(to.min(after))
}

/// The place just below in order.
fn before((tail, id): Place) -> Option<Place> {
    let (high, low) = (u64::from_be_bytes(tail), u128::from_be_bytes(id.0));
    let (low, borrows) = low.overflowing_sub(1);
    let high = high.checked_sub(u64::from(borrows))?;
    Some((high.to_be_bytes(), RecordId(low.to_be_bytes())))
}

/// The place just above in order; the last is its own.
fn behind((tail, id): Place) -> Place {
    let (high, low) = (u64::from_be_bytes(tail), u128::from_be_bytes(id.0));
    let (low, carries) = low.overflowing_add(1);
    match high.checked_add(u64::from(carries)) {
        Some(high) => (high.to_be_bytes(), RecordId(low.to_be_bytes())),
        None => (tail, id),
    }
}

fn is_under(snapshot: &Snapshot, none: &[Under], (tail, id): Place) -> Result<bool, Unreadable> {
    for under in none {
        let Under::Word { index, word } = under else { continue };
        if snapshot.has_index_key(&encode(index, &[word.as_slice(), &tail].concat(), id))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Several lists as one.
struct Union<'s> {
    lists: Vec<List<'s>>,
    heads: BinaryHeap<(Place, usize)>,
}

impl<'s> Union<'s> {
    fn open(
        snapshot: &'s Snapshot,
        any: &[Under],
        low: [u8; TAIL_BYTES],
        target: Place,
        is_cut: &mut bool,
    ) -> Result<Self, Unreadable> {
        let mut union = Self { lists: Vec::new(), heads: BinaryHeap::new() };
        for under in any {
            let (index, words) = match under {
                Under::Word { index, word } => (index, vec![word.clone()]),
                Under::Beginning { index, stem } => {
                    let words = beginning(snapshot, index, stem, WORDS_MAX + 1)?;
                    *is_cut |= words.len() > WORDS_MAX;
                    (index, words)
                }
            };
            for word in words.into_iter().take(WORDS_MAX) {
                let mut list = List { snapshot, index: index.clone(), word, low, range: None };
                if let Some(place) = list.seek(target)? {
                    union.heads.push((place, union.lists.len()));
                    union.lists.push(list);
                }
            }
        }
        Ok(union)
    }

    /// Returns the greatest place that is not above the target.
    fn seek(&mut self, target: Place) -> Result<Option<Place>, Unreadable> {
        while let Some((place, number)) = self.heads.peek().copied() {
            if place <= target {
                return Ok(Some(place));
            }
            self.heads.pop();
            if let Some(place) = self.lists[number].seek(target)? {
                self.heads.push((place, number));
            }
        }
        Ok(None)
    }
}

/// The places of one word, from the last.
struct List<'s> {
    snapshot: &'s Snapshot,
    index: String,
    word: Vec<u8>,
    low: [u8; TAIL_BYTES],
    range: Option<IndexRange>,
}

impl List<'_> {
    fn seek(&mut self, target: Place) -> Result<Option<Place>, Unreadable> {
        if let Some(range) = &mut self.range {
            for _ in 0..STEPS_BEFORE_SEEK {
                match range.last()?.map(|key| place(&key)).transpose()? {
                    Some(place) if place > target => {}
                    found => return Ok(found),
                }
            }
        }
        let low = from(&self.index, &[self.word.as_slice(), &self.low].concat());
        let high = encode(&self.index, &[self.word.as_slice(), &target.0].concat(), target.1);
        let span = Span { low: Bound::Included(low), high: Bound::Included(high) };
        if span.is_empty() {
            return Ok(None);
        }
        let mut range = self.snapshot.index_range(&span)?;
        let found = range.last()?.map(|key| place(&key)).transpose()?;
        self.range = Some(range);
        Ok(found)
    }
}

fn place(stored: &[u8]) -> Result<Place, Unreadable> {
    let (key, id) = decode(stored).ok_or_else(|| wrong("index-1"))?;
    let tail = key.last_chunk::<TAIL_BYTES>().ok_or_else(|| wrong("index-1"))?;
    Ok((*tail, id))
}

/// The words of an index that begin with a stem, each with its `00`: a seek a word, whatever lies under it.
fn beginning(snapshot: &Snapshot, index: &str, stem: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Unreadable> {
    let mut words = Vec::new();
    let mut low = from(index, stem);
    while words.len() < limit {
        let span = Span { low: Bound::Included(low), high: Bound::Excluded(end(index)) };
        let Some(stored) = snapshot.index_range(&span)?.first()? else { break };
        let (mut key, _) = decode(&stored).ok_or_else(|| wrong("index-1"))?;
        if !key.starts_with(stem) {
            break;
        }
        let word = key.iter().position(|byte| *byte == 0).ok_or_else(|| wrong("index-1"))?;
        key.truncate(word + 1);
        low = from(index, &[&key[..word], &[1]].concat());
        words.push(key);
    }
    Ok(words)
}

pub(super) fn words(snapshot: &Snapshot, index: &str, limit: usize) -> Result<Vec<(Vec<u8>, u64)>, Unreadable> {
    let mut counted = Vec::new();
    for mut word in beginning(snapshot, index, &[], limit)? {
        word.pop();
        let high = from(index, &[word.as_slice(), &[1]].concat());
        let low = from(index, &[word.as_slice(), &[0]].concat());
        let mut range = snapshot.index_range(&Span { low: Bound::Included(low), high: Bound::Excluded(high) })?;
        let mut count = 0;
        while range.first()?.is_some() {
            count += 1;
        }
        counted.push((word, count));
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_below_and_the_place_above_are_neighbours() {
        for (tail, id) in [(5_u64, 7_u128), (5, 0), (0, 1), (u64::MAX, u128::MAX - 1)] {
            let place = (tail.to_be_bytes(), RecordId(id.to_be_bytes()));
            assert_eq!(before(place).map(behind), Some(place));
        }
        assert_eq!(before(([0; 8], RecordId([0; 16]))), None);
        let last = ([0xff; 8], RecordId([0xff; 16]));
        assert_eq!(behind(last), last);
    }
}
