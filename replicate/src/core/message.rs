//! What two nodes say to each other over one link.
//!
//! Lives here: the messages as plain data, and which limits they have. Does not: their bytes (`wire`) and when they are
//! said (`session`). Fields are only ever added: a reader skips fields and message types it does not know.

use crate::core::election::{self, Token};
use crate::core::entry::Quality;
use crate::core::exchange::Mark;
use crate::core::floor::fill::Kept;
use crate::core::floor::{FloorName, Stage};
use crate::core::id::{BootId, Dot, LogId, NodeId, Origin, Position, Stream};
use crate::core::wish::Wish;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The oldest protocol this library speaks.
pub const PROTO_MIN: u32 = 1;
/// The newest protocol this library speaks.
pub const PROTO_MAX: u32 = 1;
/// Marks in one part of a vector: about 270 KiB of text.
pub const VECTOR_MARKS_MAX: usize = 2048;
/// Refused places one message names; more are counted.
pub const NAK_PLACES_MAX: usize = 64;
/// Kinds a hello names; more than a schema can declare.
pub const KINDS_MAX: usize = 512;
/// Features a hello names.
pub const FEATURES_MAX: usize = 64;
/// Length of `build` and of each kind and feature in bytes.
pub const WORD_BYTES_MAX: usize = 128;
/// A hello's feature: the speaker writes nothing of its own, because two nodes use its name.
pub const QUARANTINED: &str = "quarantined";
/// A hello's feature: of the nodes that use its name a person chose the speaker.
pub const CHOSEN: &str = "chosen";
/// A hello's feature: the speaker knows what a floor is.
pub const FLOOR: &str = "floor";
/// A hello's feature: the speaker knows that who tells a vector of a stream that it does not want, wants its own node's logs
/// of it.
pub const PAST: &str = "past";
/// A hello's feature: the speaker takes it from what says a floor where logs end that it does not keep.
pub const ENDS: &str = "ends";
/// Length of a reason given to a peer in bytes.
pub const WHY_BYTES_MAX: usize = 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Who speaks: the first message of each side.
    Hello(Box<Hello>),
    /// How far the speaker has come in a stream it wants, in one or more parts.
    Vector(VectorPart),
    /// Entries the speaker has and the listener lacks.
    Batch(Batch),
    /// A batch is durable.
    Ack(Ack),
    /// Something cannot join: a batch or parts of it, or a log that the vectors show to be two.
    Nak(Nak),
    /// The coordinator's election; this library's session only carries it.
    Election(election::Message),
    /// Are you there, and what time is it?
    Ping(Ping),
    /// The answer.
    Pong(Pong),
    /// Where the floor is.
    Floor(FloorWord),
    /// A message of a later version, or in a stream of one: skipped.
    Unknown {
        /// Its type.
        kind: u8,
    },
}

/// A fleet: 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FleetId(pub NodeId);

impl FleetId {
    /// Returns the id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(NodeId::from_u128(bits))
    }
}

impl fmt::Display for FleetId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for FleetId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FleetId({})", self.0)
    }
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest and newest protocol it speaks.
    pub proto: (u32, u32),
    /// Its fleet.
    pub fleet: FleetId,
    /// Its name.
    pub node: NodeId,
    /// Its incarnation.
    pub inc: u32,
    /// The incarnation's nonce.
    pub nonce: u32,
    /// Its run since power on.
    pub boot: BootId,
    /// Which program it is, for people.
    pub build: String,
    /// Kinds of records its schema declares, with their versions.
    #[serde(default)]
    pub kinds: BTreeMap<String, u32>,
    /// What it can do beyond the protocol.
    #[serde(default)]
    pub features: Vec<String>,
    /// Streams it wants: it sends a vector of each. Of the others it wants its own node's logs, and tells of those to who
    /// knows [`PAST`].
    #[serde(default)]
    pub wants: Vec<Stream>,
    /// The greatest token of a coordinator it has seen.
    pub seen: Token,
    /// What its clock says, and whether to believe it.
    pub time: Time,
    /// Not used any more: always empty. See `stands`.
    #[serde(default)]
    pub floor: Vec<Dot>,
    /// The speaker's floor, and how far it is with it; nothing if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands: Option<Stands>,
}

/// A node's floor as it says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stands {
    /// Which.
    pub floor: FloorName,
    /// How far it is with it.
    pub stage: Stage,
}

/// What is said about the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorWord {
    /// The speaker's floor, or how far it is with it, is another now.
    Stands(Stands),
    /// The speaker cannot tell how the listener stands to the speaker's floor: it shall say how far it has come.
    Asks(FloorName),
    /// The speaker has said how far it has come in each stream it wants since it heard of the listener's floor.
    Told(FloorName),
    /// The listener is below the speaker's floor: it is sent nothing. What nobody else has it may hand on; then it has to
    /// begin anew.
    Below(FloorName),
    /// The listener has nothing of what this floor is about and can begin with what the speaker has kept. Its marks, in one
    /// or more parts.
    Offer {
        /// The floor.
        floor: FloorName,
        /// Whether this is the last part.
        is_last: bool,
        /// Where it is; at most [`VECTOR_MARKS_MAX`].
        marks: Vec<(LogId, Mark)>,
    },
    /// The speaker takes the offer.
    Fill(FloorName),
}

impl Hello {
    /// Returns which logs it keeps.
    pub fn wish(&self) -> Wish {
        Wish::of(self.node, &self.wants)
    }

    /// Whether the speaker said a feature: one of [`FLOOR`], [`PAST`], [`ENDS`], [`QUARANTINED`], [`CHOSEN`].
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }

    /// Whether the speaker knows that two nodes use its name, and stands still.
    pub fn is_quarantined(&self) -> bool {
        self.has(QUARANTINED)
    }

    /// Whether a person chose the speaker, of the nodes that use its name.
    pub fn is_chosen(&self) -> bool {
        self.has(CHOSEN)
    }

    /// Under what name the speaker writes.
    pub const fn origin(&self) -> Origin {
        Origin { node: self.node, inc: self.inc, nonce: self.nonce }
    }
}

/// A reading of a wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Unix time in milliseconds.
    pub wall: i64,
    /// How good it is.
    pub q: Quality,
}

/// A part of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorPart {
    /// Of which stream.
    pub stream: Stream,
    /// Whether the vector is whole with this part.
    pub is_last: bool,
    /// Where logs end; at most [`VECTOR_MARKS_MAX`].
    pub marks: Vec<((NodeId, u32), Mark)>,
}

/// Entries of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number, counted from 1 by the speaker.
    pub number: u64,
    /// All entries are of this stream.
    pub stream: Stream,
    /// The entries' bytes as their authors wrote them, each log's in order; at most
    /// [`crate::core::exchange::EXPORT_ENTRIES_MAX`].
    pub entries: Vec<Arc<[u8]>>,
    /// If these are what the speaker kept below its floor, for a listener that is being filled.
    pub kept: Option<Kept>,
}

/// A batch is durable, but for what a nak before it named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Which batch.
    pub number: u64,
    /// Its stream.
    pub stream: Stream,
    /// Where the logs of its entries end now.
    pub marks: Vec<Dot>,
    /// How many bytes of entries may be under way from now on.
    pub window: u64,
}

/// Something cannot join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nak {
    /// Which batch; 0 if the vectors tell.
    pub number: u64,
    /// Its stream.
    pub stream: Stream,
    /// Why nothing of the batch was kept, for people: it is to be sent again later. Nothing if it is about places.
    pub why: Option<String>,
    /// Places that cannot join; at most [`NAK_PLACES_MAX`].
    pub places: Vec<Refused>,
}

/// One place that cannot join its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The place.
    pub at: Position,
    /// Why.
    pub why: Cause,
    /// Where that log ends here; nothing if it is not known here.
    #[serde(default)]
    pub have: Option<Mark>,
}

/// Why an entry cannot join its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Entries before it are missing.
    Gap,
    /// The place has other content: two writers under one name.
    Fork,
    /// Two nodes of one name and incarnation have spoken here: a copied disk.
    Clone,
    /// It is the listener's own, and lost there.
    OwnFuture,
    /// It does not begin its log.
    BadOpening,
    /// It is no entry for this listener, or would cost it too much.
    Unfit,
    /// A reason of a later version.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Cause::Gap => "entries before it are missing",
            Cause::Fork => "two writers use one name",
            Cause::Clone => "two nodes use one name: one is a copy of the other",
            Cause::OwnFuture => "the node lost what it wrote",
            Cause::BadOpening => "its log does not begin as it must",
            Cause::Unfit => "it is not an entry that can be kept",
            Cause::Unknown => "the peer gave a reason that this version does not know",
        })
    }
}

/// Are you there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Counts.
    pub number: u64,
    /// When it was sent, by the sender's clock.
    pub sent: Time,
}

/// The answer to a ping. With the moment it arrives it has the four times that tell two clocks apart (RFC 5905).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's number.
    pub number: u64,
    /// When the ping was sent, by its sender's clock.
    pub asked: Time,
    /// When it was heard, by the answerer's clock.
    pub heard: Time,
    /// When this was sent, by the answerer's clock.
    pub sent: Time,
}
