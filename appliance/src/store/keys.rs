//! Bytes of index keys: they sort as what they stand for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use replicate::core::id::RecordId;

use super::Id;

/// Milliseconds since 1970, so that earlier sorts first.
pub fn time(at: Timestamp) -> [u8; 8] {
    // The sign bit turned, so that times before 1970 sort before those after.
    (at.as_millisecond() as u64 ^ (1 << 63)).to_be_bytes()
}

/// What a node wrote, by time.
pub fn of_node(node: Id, at: Timestamp) -> Vec<u8> {
    [node.0.as_bytes().as_slice(), &time(at)].concat()
}

/// A place in an index as an opaque text.
pub fn cursor(key: &[u8], id: RecordId) -> String {
    URL_SAFE_NO_PAD.encode([key, &id.0].concat())
}

/// Reads what [`cursor`] wrote; nothing if it is none.
pub fn read_cursor(text: &str) -> Option<(Vec<u8>, RecordId)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (key, id) = bytes.split_last_chunk::<16>()?;
    Some((key.to_vec(), RecordId(*id)))
}

/// Reads a cursor that is a place in time.
pub fn read_place(text: &str) -> Option<([u8; 8], RecordId)> {
    let (key, id) = read_cursor(text)?;
    Some((key.try_into().ok()?, id))
}
