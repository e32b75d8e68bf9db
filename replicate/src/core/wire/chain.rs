//! What a batch need not say: an entry that follows the one before it in the batch names that one's hash, which the reader
//! can compute. A hash does not shrink: left in, it was half of what a record costs on the wire.
//!
//! Such an entry goes with an empty hash, `"ph":""`, as its last field, and gets it back from the entry before it, byte for
//! byte. Everything else goes as it is: an entry of another log, one whose hash does not fit (its reader must see that), one
//! whose fields stand in another order.

use crate::core::id::Hash;

/// How an entry ends: its last field is the hash of the one before.
const BEFORE: &[u8] = b",\"ph\":\"";
const AFTER: &[u8] = b"\"}";
/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;

/// What stands before the hash, and the hash; nothing if the entry does not end so.
fn split(raw: &[u8]) -> Option<(&[u8], Hash)> {
    let (rest, digits) = raw.strip_suffix(AFTER)?.split_last_chunk::<DIGITS>()?;
    let head = rest.strip_suffix(BEFORE)?;
    let hash = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((head, hash))
}

/// The hash of an entry, as the one after it names it.
fn hash(raw: &[u8]) -> Option<Hash> {
    split(raw).map(|(_, previous)| Hash::of_entry(previous, raw))
}

/// Adds an entry to a body, shorter if it follows `before`.
pub(super) fn shorten(body: &mut Vec<u8>, before: Option<&[u8]>, raw: &[u8]) {
    match split(raw) {
        Some((head, named)) if before.and_then(hash) == Some(named) => {
            body.extend_from_slice(head);
            body.extend_from_slice(BEFORE);
            body.extend_from_slice(AFTER);
        }
        _ => body.extend_from_slice(raw),
    }
}

/// Gives an entry back as it was; nothing if it was shortened and there is none before it that it could follow.
pub(super) fn lengthen(before: Option<&[u8]>, raw: &[u8]) -> Option<Vec<u8>> {
    let Some(head) = raw.strip_suffix(AFTER).and_then(|raw| raw.strip_suffix(BEFORE)) else {
        return Some(raw.to_vec());
    };
    let named = before.and_then(hash)?;
    Some([head, BEFORE, named.to_string().as_bytes(), AFTER].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, previous: Hash) -> Vec<u8> {
        format!("{{\"val\":\"{text}\",\"ph\":\"{previous}\"}}").into_bytes()
    }

    #[test]
    fn a_chain_goes_without_its_hashes_and_comes_back_with_them() {
        let first = entry("a", Hash([7; 32]));
        let second = entry("b", hash(&first).unwrap());
        let mut body = Vec::new();
        shorten(&mut body, Some(&first), &second);
        assert_eq!(body, b"{\"val\":\"b\",\"ph\":\"\"}");
        assert_eq!(lengthen(Some(&first), &body), Some(second));
    }

    #[test]
    fn what_does_not_follow_goes_as_it_is() {
        let (first, forked) = (entry("a", Hash([7; 32])), entry("b", Hash([8; 32])));
        for before in [None, Some(first.as_slice())] {
            let mut body = Vec::new();
            shorten(&mut body, before, &forked);
            assert_eq!(body, forked);
            assert_eq!(lengthen(before, &body), Some(forked.clone()));
        }
    }

    #[test]
    fn a_shortened_entry_that_follows_nothing_is_none() {
        let short = b"{\"val\":\"b\",\"ph\":\"\"}";
        assert_eq!(lengthen(None, short), None);
        assert_eq!(lengthen(Some(b"{}"), short), None);
    }
}
