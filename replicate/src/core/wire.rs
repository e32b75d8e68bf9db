//! Messages as bytes: `u8 type | u8 flags | u16 stream | u32 raw body length`, big-endian, then a body of JSON.
//!
//! Entries come out of a batch byte for byte as their authors wrote them (`chain`: what need not be sent). Lives here: writing and reading whole messages,
//! and the limits of what is read: nothing larger than a small multiple of the bytes that are really there is ever
//! allocated, whatever a header claims. Does not: compressing, which is the transport's: it knows the flag from here,
//! and by the raw length how much there may come out.

mod chain;
mod floor;

use crate::core::election;
use crate::core::entry::{ENTRY_BYTES_MAX, NESTING_MAX, is_nested_deeper};
use crate::core::exchange::{EXPORT_ENTRIES_MAX, Mark};
use crate::core::id::{Dot, Hash, NodeId, Stream};
use crate::core::message::{
    Ack, Batch, FEATURES_MAX, Hello, KINDS_MAX, Message, NAK_PLACES_MAX, Nak, Ping, Pong, Refused, VECTOR_MARKS_MAX,
    VectorPart, WHY_BYTES_MAX, WORD_BYTES_MAX,
};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 8;
/// A message with a longer raw body is refused.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// A hello with a longer raw body is refused: it is read before the peer is known to be of the fleet.
pub const HELLO_BYTES_MAX: usize = 64 * 1024;
/// Flag: the body is compressed with zstd. Set and taken off by the transport.
pub const FLAG_ZSTD: u8 = 1;
/// The stream of messages that are of none.
const NO_STREAM: u16 = 0xffff;

const HELLO: u8 = 1;
const VECTOR: u8 = 2;
const BATCH: u8 = 3;
const ACK: u8 = 4;
const NAK: u8 = 5;
const ELECTION: u8 = 6;
const PING: u8 = 7;
const PONG: u8 = 8;
const FLOOR: u8 = 9;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Not even a header.
    #[error("a message of {bytes} bytes has no header")]
    TooShort {
        /// How long it is.
        bytes: usize,
    },
    /// The header claims more than is allowed.
    #[error("a message of {bytes} bytes, {limit} is the limit")]
    TooLong {
        /// What it claims.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The body is not as long as the header says.
    #[error("a body of {bytes} bytes where {claimed} were announced")]
    OtherLength {
        /// How long it is.
        bytes: usize,
        /// What the header claims.
        claimed: usize,
    },
    /// The body is compressed: the transport should have undone that.
    #[error("a compressed body, or a flag of a later version: {0:#04x}")]
    Flags(u8),
    /// It is nested too deep.
    #[error("a message nested too deep")]
    TooDeep,
    /// The body is not what its type says.
    #[error("not a message of type {kind}: {why}")]
    NotAMessage {
        /// The type.
        kind: u8,
        /// What is wrong.
        why: String,
    },
}

/// The first [`HEADER_BYTES`] of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type.
    pub kind: u8,
    /// [`FLAG_ZSTD`] and flags of later versions.
    pub flags: u8,
    /// A stream's number.
    pub stream: u16,
    /// Length of the body before compression.
    pub raw_bytes: usize,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`BadMessage::TooShort`], or [`BadMessage::TooLong`] if it claims more than its type may have: nothing needs to
    /// be allocated or decompressed to know.
    pub fn read(bytes: &[u8]) -> Result<Self, BadMessage> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(BadMessage::TooShort { bytes: bytes.len() });
        };
        let [kind, flags, s0, s1, b0, b1, b2, b3] = *header;
        let raw_bytes = u32::from_be_bytes([b0, b1, b2, b3]) as usize;
        let limit = if kind == HELLO { HELLO_BYTES_MAX } else { MESSAGE_BYTES_MAX };
        if raw_bytes > limit {
            return Err(BadMessage::TooLong { bytes: raw_bytes, limit });
        }
        Ok(Self { kind, flags, stream: u16::from_be_bytes([s0, s1]), raw_bytes })
    }

    /// Returns the header's bytes.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let ([s0, s1], [b0, b1, b2, b3]) = (self.stream.to_be_bytes(), (self.raw_bytes as u32).to_be_bytes());
        [self.kind, self.flags, s0, s1, b0, b1, b2, b3]
    }
}

/// Whether a transport may compress this message: never what tells of access, lest its length betray what it says.
pub const fn is_compressible(header: &Header) -> bool {
    matches!(header.kind, VECTOR | BATCH | ACK) && header.stream != Stream::Sec.number() as u16
}

/// Returns a message's bytes, uncompressed. [`Message::Unknown`] becomes an empty message of its type.
pub fn encode(message: &Message) -> Vec<u8> {
    let stream_of = |stream: Stream| u16::from(stream.number());
    match message {
        Message::Hello(hello) => framed(HELLO, NO_STREAM, json(hello)),
        Message::Vector(part) => {
            let marks = part.marks.iter().map(|((node, inc), mark)| (*node, *inc, mark.seq, mark.hash)).collect();
            let body = VectorBody { last: part.is_last, marks: Bounded(marks) };
            framed(VECTOR, stream_of(part.stream), json(&body))
        }
        Message::Batch(batch) => framed(BATCH, stream_of(batch.stream), batch_body(batch)),
        Message::Ack(ack) => {
            let body = AckBody { n: ack.number, window: ack.window, marks: Bounded(ack.marks.clone()) };
            framed(ACK, stream_of(ack.stream), json(&body))
        }
        Message::Nak(nak) => {
            let body = NakBody { n: nak.number, why: nak.why.clone(), places: Bounded(nak.places.clone()) };
            framed(NAK, stream_of(nak.stream), json(&body))
        }
        Message::Election(message) => framed(ELECTION, NO_STREAM, json(message)),
        Message::Ping(ping) => framed(PING, NO_STREAM, json(ping)),
        Message::Pong(pong) => framed(PONG, NO_STREAM, json(pong)),
        Message::Floor(word) => framed(FLOOR, NO_STREAM, json(&floor::body(word))),
        Message::Unknown { kind } => framed(*kind, NO_STREAM, b"{}".to_vec()),
    }
}

/// Reads a whole uncompressed message.
///
/// # Errors
/// [`BadMessage`] says what is wrong. A type or stream of a later version is not wrong: [`Message::Unknown`].
pub fn decode(bytes: &[u8]) -> Result<Message, BadMessage> {
    let header = Header::read(bytes)?;
    let body = &bytes[HEADER_BYTES..];
    if header.flags != 0 {
        return Err(BadMessage::Flags(header.flags));
    }
    if body.len() != header.raw_bytes {
        return Err(BadMessage::OtherLength { bytes: body.len(), claimed: header.raw_bytes });
    }
    // An entry stands two levels deep in a batch.
    if is_nested_deeper(body, NESTING_MAX + 2) {
        return Err(BadMessage::TooDeep);
    }
    let kind = header.kind;
    let stream = u8::try_from(header.stream).ok().and_then(Stream::from_number);
    match (kind, stream) {
        (HELLO, _) => hello(body),
        (ELECTION, _) => Ok(Message::Election(parsed::<election::Message>(kind, body)?)),
        (PING, _) => Ok(Message::Ping(parsed::<Ping>(kind, body)?)),
        (PONG, _) => Ok(Message::Pong(parsed::<Pong>(kind, body)?)),
        (FLOOR, _) => Ok(floor::word(parsed(kind, body)?).map_or(Message::Unknown { kind }, Message::Floor)),
        (VECTOR, Some(stream)) => {
            let VectorBody { last, marks } = parsed(kind, body)?;
            let mark = |(node, inc, seq, hash)| ((node, inc), Mark { seq, hash });
            let marks = marks.0.into_iter().map(mark).collect();
            Ok(Message::Vector(VectorPart { stream, is_last: last, marks }))
        }
        (BATCH, Some(stream)) => batch(stream, body),
        (ACK, Some(stream)) => {
            let AckBody { n: number, window, marks } = parsed(kind, body)?;
            Ok(Message::Ack(Ack { number, stream, marks: marks.0, window }))
        }
        (NAK, Some(stream)) => {
            let NakBody { n: number, why, places } = parsed(kind, body)?;
            let is_long = why.as_ref().is_some_and(|why| why.len() > WHY_BYTES_MAX);
            if is_long {
                return Err(BadMessage::NotAMessage { kind, why: "a reason that is too long".to_string() });
            }
            Ok(Message::Nak(Nak { number, stream, why, places: places.0 }))
        }
        _ => Ok(Message::Unknown { kind }),
    }
}

#[derive(Serialize, Deserialize)]
struct VectorBody {
    last: bool,
    marks: Bounded<(NodeId, u32, u64, Hash), VECTOR_MARKS_MAX>,
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    n: u64,
    #[serde(borrow)]
    e: Bounded<&'a RawValue, EXPORT_ENTRIES_MAX>,
    #[serde(default)]
    kept: Option<floor::KeptBody>,
}

#[derive(Serialize, Deserialize)]
struct AckBody {
    n: u64,
    window: u64,
    marks: Bounded<Dot, EXPORT_ENTRIES_MAX>,
}

#[derive(Serialize, Deserialize)]
struct NakBody {
    n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    places: Bounded<Refused, NAK_PLACES_MAX>,
}

fn batch_body(batch: &Batch) -> Vec<u8> {
    let bytes: usize = batch.entries.iter().map(|raw| raw.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + 40);
    body.extend(format!("{{\"n\":{},\"e\":[", batch.number).bytes());
    let mut before = None;
    for raw in &batch.entries {
        if before.is_some() {
            body.push(b',');
        }
        chain::shorten(&mut body, before, raw);
        before = Some(raw.as_ref());
    }
    body.push(b']');
    if let Some(kept) = &batch.kept {
        body.extend(b",\"kept\":");
        body.extend(json(&floor::kept_body(kept)));
    }
    body.push(b'}');
    body
}

fn batch(stream: Stream, body: &[u8]) -> Result<Message, BadMessage> {
    let bad = |why: String| BadMessage::NotAMessage { kind: BATCH, why };
    let BatchBody { n: number, e, kept } = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    if let Some(long) = e.0.iter().find(|raw| raw.get().len() > ENTRY_BYTES_MAX) {
        return Err(bad(format!("an entry of {} bytes, {ENTRY_BYTES_MAX} is the limit", long.get().len())));
    }
    let mut entries: Vec<Arc<[u8]>> = Vec::with_capacity(e.0.len());
    for raw in e.0 {
        let whole = chain::lengthen(entries.last().map(AsRef::as_ref), raw.get().as_bytes());
        entries.push(whole.ok_or_else(|| bad("an entry follows one that is not there".to_string()))?.into());
    }
    let kept = kept.map(|kept| floor::kept(kept, stream));
    Ok(Message::Batch(Batch { number, stream, entries, kept }))
}

fn hello(body: &[u8]) -> Result<Message, BadMessage> {
    let hello: Box<Hello> = parsed(HELLO, body)?;
    let is_word = |word: &String| word.len() <= WORD_BYTES_MAX;
    let is_within = hello.kinds.len() <= KINDS_MAX
        && hello.features.len() <= FEATURES_MAX
        && hello.wants.len() <= Stream::ALL.len()
        && is_word(&hello.build)
        && hello.kinds.keys().chain(&hello.features).all(is_word);
    match is_within {
        true => Ok(Message::Hello(hello)),
        false => Err(BadMessage::NotAMessage { kind: HELLO, why: "more words than a hello has".to_string() }),
    }
}

fn framed(kind: u8, stream: u16, body: Vec<u8>) -> Vec<u8> {
    let header = Header { kind, flags: 0, stream, raw_bytes: body.len() };
    [header.bytes().as_slice(), &body].concat()
}

fn json<T: Serialize>(body: &T) -> Vec<u8> {
    // Plain structs whose map keys are texts: there is nothing in them that JSON cannot say.
    serde_json::to_vec(body).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, BadMessage> {
    serde_json::from_slice(body).map_err(|error| BadMessage::NotAMessage { kind, why: error.to_string() })
}

/// A list that stops being read when it is longer than `MAX`.
#[derive(Debug)]
struct Bounded<T, const MAX: usize>(Vec<T>);

impl<T: Serialize, const MAX: usize> Serialize for Bounded<T, MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "a list of at most {MAX}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MAX {
                        return Err(A::Error::custom(format!("more than {MAX} in a list")));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Items::<T, MAX>(PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests;
