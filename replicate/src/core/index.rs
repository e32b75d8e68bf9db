//! Keys of declared indexes: bytes that sort by index, then by the user's key, then by record.
//!
//! Lives here: the one encoding and its reading. Does not: what a key says. The stored form is in `DESIGN.md`.

use crate::core::id::RecordId;
use std::ops::Bound;

/// A longer key of the user's is cut here; two records that differ only behind it sort by id.
pub const KEY_BYTES_MAX: usize = 512;

/// Returns the stored key: the index's name, its end `00`, the user's key with `00` written `00 ff`, its end `00 01`,
/// the record's 16 bytes.
pub fn encode(index: &str, key: &[u8], id: RecordId) -> Vec<u8> {
    let mut encoded = from(index, key);
    encoded.extend([0, 1]);
    encoded.extend(id.0);
    encoded
}

/// Returns what all stored keys of this index that begin with this user's key begin with.
pub fn from(index: &str, key: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(index.len() + key.len() + 19);
    encoded.extend(index.as_bytes());
    encoded.push(0);
    for byte in &key[..key.len().min(KEY_BYTES_MAX)] {
        encoded.push(*byte);
        if *byte == 0 {
            encoded.push(0xff);
        }
    }
    encoded
}

/// Returns what sorts after each stored key of this index and before the next index's.
pub fn end(index: &str) -> Vec<u8> {
    let mut encoded = index.as_bytes().to_vec();
    encoded.push(1);
    encoded
}

/// Reads the user's key and the record out of a stored key; nothing if it is none.
pub fn decode(encoded: &[u8]) -> Option<(Vec<u8>, RecordId)> {
    let (front, id) = encoded.split_last_chunk::<16>()?;
    let name_end = front.iter().position(|byte| *byte == 0)?;
    let mut escaped = front[name_end + 1..].strip_suffix(&[0, 1])?.iter();
    let mut key = Vec::new();
    while let Some(byte) = escaped.next() {
        key.push(*byte);
        if *byte == 0 && escaped.next() != Some(&0xff) {
            return None;
        }
    }
    Some((key, RecordId(*id)))
}

/// A part of one index, as bounds on stored keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub low: Bound<Vec<u8>>,
    /// Where it ends.
    pub high: Bound<Vec<u8>>,
}

/// Which of the user's keys are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// All.
    All,
    /// Those that begin with this.
    Beginning(Vec<u8>),
    /// From the first, included, to the second, excluded.
    Between(Vec<u8>, Vec<u8>),
}

impl Span {
    /// Returns the span of these keys in an index.
    pub fn of(index: &str, keys: &Keys) -> Self {
        let (low, high) = match keys {
            Keys::All => (from(index, &[]), end(index)),
            Keys::Beginning(key) => (from(index, key), after_all_beginning(from(index, key))),
            Keys::Between(low, high) => (whole(index, low), whole(index, high)),
        };
        Self { low: Bound::Included(low), high: Bound::Excluded(high) }
    }

    /// Leaves only what comes after this hit, in the direction of reading.
    pub fn after(mut self, index: &str, hit: Option<(&[u8], RecordId)>, is_backward: bool) -> Self {
        let Some((key, id)) = hit else { return self };
        let edge = Bound::Excluded(encode(index, key, id));
        if is_backward {
            self.high = edge;
        } else {
            self.low = edge;
        }
        self
    }

    /// Whether nothing can be in it. (An ordered table panics when its bounds are the wrong way round.)
    pub fn is_empty(&self) -> bool {
        let (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) =
            (&self.low, &self.high)
        else {
            return false;
        };
        low >= high
    }
}

fn whole(index: &str, key: &[u8]) -> Vec<u8> {
    let mut encoded = from(index, key);
    encoded.extend([0, 1]);
    encoded
}

fn after_all_beginning(mut prefix: Vec<u8>) -> Vec<u8> {
    while prefix.pop_if(|last| *last == 0xff).is_some() {}
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::RangeBounds;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn stored_keys_sort_like_the_users(
            a in proptest::collection::vec(0_u8..4, 0..6), b in proptest::collection::vec(0_u8..4, 0..6), x: u128, y: u128,
        ) {
            let (x, y) = (RecordId::from_u128(x), RecordId::from_u128(y));
            let (left, right) = (encode("by", &a, x), encode("by", &b, y));

            prop_assert_eq!((&a, x).cmp(&(&b, y)), left.cmp(&right));
            prop_assert_eq!(decode(&left), Some((a.clone(), x)));
            prop_assert!(from("by", &a) < left && left < end("by") && end("by") < encode("by2", &[], x));
        }

        #[test]
        fn a_span_holds_what_was_asked_for(
            key in proptest::collection::vec(prop_oneof![0_u8..3, 254..=255_u8], 0..5),
            low in proptest::collection::vec(prop_oneof![0_u8..3, 254..=255_u8], 0..5),
            high in proptest::collection::vec(prop_oneof![0_u8..3, 254..=255_u8], 0..5),
            id: u128,
        ) {
            let stored = encode("by", &key, RecordId::from_u128(id));
            let holds = |keys| {
                let span = Span::of("by", &keys);
                !span.is_empty() && (span.low, span.high).contains(&stored)
            };
            prop_assert!(holds(Keys::All));
            prop_assert_eq!(holds(Keys::Beginning(low.clone())), key.starts_with(&low));
            prop_assert_eq!(holds(Keys::Between(low.clone(), high.clone())), low <= key && key < high);
        }

        #[test]
        fn garbage_is_no_key(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some((key, id)) = decode(&bytes) {
                prop_assert!(key.len() <= bytes.len() && bytes.ends_with(&id.0));
            }
        }
    }

    #[test]
    fn a_long_key_is_cut() {
        let id = RecordId::from_u128(1);
        assert_eq!(encode("by", &[7; 600], id), encode("by", &[7; KEY_BYTES_MAX], id));
    }
}
