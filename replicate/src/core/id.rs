//! Names: of nodes, logs, places in a log, records and hashes, with their text and key forms.
//!
//! Lives here: newtypes, their order, their hexadecimal text (as in entries) and their big-endian bytes (as in keys).
//! Does not: minting. Every id is an argument, because minting one needs a clock or chance. The library never reads
//! meaning into an id: it compares, stores and prints it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of {digits} hexadecimal digits in lower case")]
pub struct BadId {
    /// How many digits the id has.
    pub digits: usize,
}

/// Makes a newtype over bytes whose text is lower-case hexadecimal and nothing else, so one id has one text.
macro_rules! hexadecimal {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "std::borrow::Cow<'_, str>")]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut bytes = [0; $bytes];
                read_hexadecimal(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                write_hexadecimal(&id.0)
            }
        }

        impl TryFrom<std::borrow::Cow<'_, str>> for $name {
            type Error = BadId;

            fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Self, BadId> {
                text.parse()
            }
        }
    };
}

hexadecimal! {
    /// A node, for as long as it is enrolled. 128 bits; a ULID or a UUID, the library does not mind.
    NodeId, 16
}
hexadecimal! {
    /// A record. 128 bits, big-endian. Time-ordered ids (UUIDv7, RFC 9562) keep new records together on disk, which was
    /// five times faster than random ones; they are never used for order or conflict.
    RecordId, 16
}
hexadecimal! {
    /// One run of a machine from power on to power off. Times within it can be compared when wall times cannot.
    BootId, 16
}
hexadecimal! {
    /// SHA-256. Of an entry: over the previous entry's hash and the entry's bytes, see [`Hash::of_entry`].
    Hash, 32
}

impl NodeId {
    /// Returns the id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

impl RecordId {
    /// Returns the id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

impl Hash {
    /// What the first entry of a log names as the one before it.
    pub const NOTHING: Self = Self([0; 32]);

    /// Returns the hash of an entry: SHA-256 over the previous entry's hash (32 bytes), then the entry as received.
    pub fn of_entry(previous: Hash, raw: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(previous.0);
        hasher.update(raw);
        Self(hasher.finalize().into())
    }
}

/// One of the four logs each node keeps. They have their own sequences, so that a node far behind with its journal
/// still learns of a disabled user in one round trip. Order is priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Who may do what. Sent first, never behind bulk.
    Sec,
    /// What people decide: settings, plans.
    Cfg,
    /// What one node saw: written by that node only.
    Own,
    /// What was done by whom: written by the node that did it, only.
    Jrn,
}

impl Stream {
    /// All of them, first priority first.
    pub const ALL: [Stream; 4] = [Stream::Sec, Stream::Cfg, Stream::Own, Stream::Jrn];

    /// Returns the number in stored keys.
    pub const fn number(self) -> u8 {
        match self {
            Stream::Sec => 0,
            Stream::Cfg => 1,
            Stream::Own => 2,
            Stream::Jrn => 3,
        }
    }

    /// Returns the stream with this number in stored keys.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Stream::Sec),
            1 => Some(Stream::Cfg),
            2 => Some(Stream::Own),
            3 => Some(Stream::Jrn),
            _ => None,
        }
    }
}

/// Who writes: a node, the incarnation of its memory, and a random number that two incarnations born of one mistake
/// (a cloned card, a card written anew without a word to anyone) do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The node.
    pub node: NodeId,
    /// Counts from 1. A node that lost its memory, or may have, takes the next one.
    pub inc: u32,
    /// Given by the caller's source of chance when the incarnation is minted.
    pub nonce: u32,
}

impl Origin {
    /// Returns the log this origin writes in one stream.
    pub const fn log(&self, stream: Stream) -> LogId {
        LogId { stream, node: self.node, inc: self.inc }
    }
}

/// One append-only log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    /// Which of the four.
    pub stream: Stream,
    /// Its only writer.
    pub node: NodeId,
    /// The writer's incarnation.
    pub inc: u32,
}

impl LogId {
    /// Returns the place with this sequence number.
    pub const fn at(&self, seq: u64) -> Position {
        Position { stream: self.stream, dot: Dot { node: self.node, inc: self.inc, seq } }
    }

    /// Returns the stored key: stream (1 byte), node (16), incarnation (4, big-endian).
    pub fn key(&self) -> [u8; 21] {
        let mut key = [0; 21];
        key.copy_from_slice(&self.at(0).key()[..21]);
        key
    }

    /// Reads a stored key.
    pub fn from_key(key: &[u8; 21]) -> Option<Self> {
        let mut whole = [0; 29];
        whole[..21].copy_from_slice(key);
        Some(Position::from_key(&whole)?.log())
    }
}

/// A version: the entry with sequence number `seq` (from 1) of a node's incarnation. Within one stream it is unique in
/// the whole fleet. Text form in entries: `["<node>",inc,seq]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "(NodeId, u32, u64)", from = "(NodeId, u32, u64)")]
pub struct Dot {
    /// Who wrote it.
    pub node: NodeId,
    /// In which incarnation.
    pub inc: u32,
    /// Counts from 1 within the log.
    pub seq: u64,
}

impl Dot {
    /// Returns the stored form: node (16), incarnation (4), sequence (8), big-endian.
    pub fn bytes(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(&self.node.0);
        bytes[16..20].copy_from_slice(&self.inc.to_be_bytes());
        bytes[20..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8; 28]) -> Self {
        let (mut node, mut inc, mut seq) = ([0; 16], [0; 4], [0; 8]);
        node.copy_from_slice(&bytes[..16]);
        inc.copy_from_slice(&bytes[16..20]);
        seq.copy_from_slice(&bytes[20..]);
        Self { node: NodeId(node), inc: u32::from_be_bytes(inc), seq: u64::from_be_bytes(seq) }
    }
}

impl From<Dot> for (NodeId, u32, u64) {
    fn from(dot: Dot) -> Self {
        (dot.node, dot.inc, dot.seq)
    }
}

impl From<(NodeId, u32, u64)> for Dot {
    fn from((node, inc, seq): (NodeId, u32, u64)) -> Self {
        Self { node, inc, seq }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.node, self.inc, self.seq)
    }
}

/// A dot with its stream: one entry in the whole fleet. Text form in entries: `["<stream>","<node>",inc,seq]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "(Stream, NodeId, u32, u64)", from = "(Stream, NodeId, u32, u64)")]
pub struct Position {
    /// Which of the four logs.
    pub stream: Stream,
    /// Where in it.
    pub dot: Dot,
}

impl Position {
    /// Returns the log it is in.
    pub const fn log(&self) -> LogId {
        LogId { stream: self.stream, node: self.dot.node, inc: self.dot.inc }
    }

    /// Returns the stored key: stream (1 byte), then the dot's 28. Keys sort by stream, node, incarnation, sequence.
    pub fn key(&self) -> [u8; 29] {
        let mut key = [0; 29];
        key[0] = self.stream.number();
        key[1..].copy_from_slice(&self.dot.bytes());
        key
    }

    /// Reads a stored key; nothing if its stream is unknown.
    pub fn from_key(key: &[u8; 29]) -> Option<Self> {
        let mut dot = [0; 28];
        dot.copy_from_slice(&key[1..]);
        Some(Self { stream: Stream::from_number(key[0])?, dot: Dot::from_bytes(&dot) })
    }
}

impl From<Position> for (Stream, NodeId, u32, u64) {
    fn from(at: Position) -> Self {
        (at.stream, at.dot.node, at.dot.inc, at.dot.seq)
    }
}

impl From<(Stream, NodeId, u32, u64)> for Position {
    fn from((stream, node, inc, seq): (Stream, NodeId, u32, u64)) -> Self {
        Self { stream, dot: Dot { node, inc, seq } }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}/{}", self.stream, self.dot)
    }
}

fn read_hexadecimal(text: &str, bytes: &mut [u8]) -> Result<(), BadId> {
    let bad = BadId { digits: bytes.len() * 2 };
    if text.len() != bytes.len() * 2 {
        return Err(bad);
    }
    let digit = |at: usize| match text.as_bytes()[at] {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (index, byte) in bytes.iter_mut().enumerate() {
        let (Some(high), Some(low)) = (digit(index * 2), digit(index * 2 + 1)) else { return Err(bad) };
        *byte = high << 4 | low;
    }
    Ok(())
}

fn write_hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        let text = "0123456789abcdef0123456789abcdef";
        let id: NodeId = text.parse().unwrap();

        assert_eq!(id.to_string(), text);
        assert_eq!(String::from(id), text);
        for other in [&text.to_uppercase(), &text[1..], "", "é123456789abcdef0123456789abcde"] {
            assert!(other.parse::<NodeId>().is_err(), "{other}");
        }
    }

    #[test]
    fn keys_sort_like_places() {
        let place = |stream, node, inc, seq| LogId { stream, node: NodeId::from_u128(node), inc }.at(seq);
        let sorted = [
            place(Stream::Sec, 7, 9, 300),
            place(Stream::Cfg, 1, 1, 1),
            place(Stream::Cfg, 1, 1, 256),
            place(Stream::Cfg, 1, 2, 1),
            place(Stream::Cfg, 256, 1, 1),
            place(Stream::Jrn, 0, 1, 1),
        ];
        assert!(sorted.windows(2).all(|pair| pair[0] < pair[1] && pair[0].key() < pair[1].key()));
        assert!(sorted.iter().all(|place| Position::from_key(&place.key()) == Some(*place)));
        assert!(sorted.iter().all(|place| LogId::from_key(&place.log().key()) == Some(place.log())));
    }

    #[test]
    fn a_stream_of_the_future_is_no_place() {
        assert_eq!(Position::from_key(&[4; 29]), None);
    }
}
