//! Keys of declared indexes: bytes that sort by index, then by the user's key, then by record.
//!
//! Lives here: the one encoding and its reading. Does not: what a key says. The stored form is in `DESIGN.md`.

use crate::core::id::RecordId;

/// A longer key of the user's is cut here; two records that differ only behind it sort by id.
pub const KEY_BYTES_MAX: usize = 256;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        fn garbage_is_no_key(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some((key, id)) = decode(&bytes) {
                prop_assert!(key.len() <= bytes.len() && bytes.ends_with(&id.0));
            }
        }
    }

    #[test]
    fn a_long_key_is_cut() {
        let id = RecordId::from_u128(1);
        assert_eq!(encode("by", &[7; 300], id), encode("by", &[7; KEY_BYTES_MAX], id));
    }
}
