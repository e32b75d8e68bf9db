//! One entry of a log: what it says, how it is written, what is refused.
//!
//! An entry is JSON, written once by its author and from then on kept, hashed and handed on byte for byte: fields that
//! an older version does not know survive a trip through it. Lives here: the fields, their limits, parsing, writing.
//! Does not: what an entry does to a record (`merge`) and whether it may join a log (`log`).

use crate::core::id::{BootId, Dot, Hash, Position, RecordId, Stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The version of the form this library writes.
pub const FORM: u32 = 1;
/// Longer entries are refused, ours when written and others' when received: what is larger belongs in a file.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Deeper nesting of arrays and objects is refused, so that no reader needs a deep stack.
pub const NESTING_MAX: usize = 32;
/// Versions one entry can replace. A record with more of them side by side needs a second edit to replace the rest.
pub const REPLACED_MAX: usize = 500;
/// Length of a kind's or a group's name in bytes.
pub const NAME_BYTES_MAX: usize = 32;
/// Length of `by` in bytes; longer is refused.
pub const BY_BYTES_MAX: usize = 128;
/// Length of `why` in bytes; longer is refused.
pub const WHY_BYTES_MAX: usize = 1024;
/// Sequence numbers and Lamport clocks end here (2^53), where JSON readers begin to round; beyond is refused.
pub const COUNT_MAX: u64 = 1 << 53;
/// The group of the acts that delete and restore a record; no kind may declare a group of this name.
pub const LIFE: &str = "life";

/// How much a node trusted its wall clock when it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Never set since power on.
    Unset,
    /// Continued from the last time known before power off.
    Guessed,
    /// From another node.
    Peer,
    /// From a battery-backed clock.
    Rtc,
    /// From a time server.
    Ntp,
}

/// When an entry was written, as its author saw it. Never used for order, except to choose what is shown first among
/// values that nobody has compared yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Lamport clock: greater than that of every entry its author had.
    pub lam: u64,
    /// As in [`Moment`].
    pub wall: i64,
    /// As in [`Moment`].
    pub q: Quality,
    /// As in [`Moment`].
    pub boot: BootId,
    /// As in [`Moment`].
    pub mono: u64,
}

impl Stamp {
    /// Returns the stamp of a moment; the log gives the Lamport clock.
    pub const fn new(lam: u64, moment: Moment) -> Self {
        Self { lam, wall: moment.wall, q: moment.q, boot: moment.boot, mono: moment.mono }
    }
}

/// A moment as one machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Unix time in milliseconds.
    pub wall: i64,
    /// How good `wall` is.
    pub q: Quality,
    /// Which run of the machine `mono` belongs to.
    pub boot: BootId,
    /// Milliseconds since that boot.
    pub mono: u64,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Op {
    /// Begins a log; always and only its first entry.
    Open,
    /// Sets a group to a value.
    Put,
    /// Deletes a record, as far as its kind's policy lets it. What it deletes is in `sup`; it stays live itself.
    Delete,
    /// Takes back the deletions it names, and no others.
    Restore,
    /// Raises a flag.
    Disable,
    /// Takes down the raised flags it names, and no others.
    Enable,
    /// An act of a later version: kept and handed on, without effect here.
    Unknown(String),
}

impl From<String> for Op {
    fn from(text: String) -> Self {
        match text.as_str() {
            "open" => Op::Open,
            "put" => Op::Put,
            "delete" => Op::Delete,
            "restore" => Op::Restore,
            "disable" => Op::Disable,
            "enable" => Op::Enable,
            _ => Op::Unknown(text),
        }
    }
}

impl From<Op> for String {
    fn from(op: Op) -> Self {
        match op {
            Op::Open => "open".to_string(),
            Op::Put => "put".to_string(),
            Op::Delete => "delete".to_string(),
            Op::Restore => "restore".to_string(),
            Op::Disable => "disable".to_string(),
            Op::Enable => "enable".to_string(),
            Op::Unknown(text) => text,
        }
    }
}

/// The fields of an entry. Field names are the stored form; they are only ever added to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fields {
    /// The version of the form.
    pub v: u32,
    /// The entry's own dot.
    pub d: Dot,
    /// Which of its author's logs it is in.
    pub s: Stream,
    /// When.
    pub t: Stamp,
    /// The record's kind.
    pub k: String,
    /// The record.
    pub id: RecordId,
    /// The field group, or [`LIFE`].
    pub g: String,
    /// What it does.
    pub op: Op,
    /// The group's whole new value: any JSON, kept byte for byte.
    pub val: Box<RawValue>,
    /// The versions it replaces (of a deletion: the versions it deletes). Explicit: nothing else is ever replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sup: Vec<Dot>,
    /// Who did it, in the words of the library's user.
    pub by: String,
    /// Why they did it, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The entries this one reports: a journal entry names the acts it was committed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<Position>,
    /// The hash of the log's previous entry; [`Hash::NOTHING`] in the first.
    pub ph: Hash,
}

/// The part of an entry that every version of the form must have: enough to keep it in its log and hand it on.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Envelope {
    v: u32,
    d: Dot,
    s: Stream,
    t: Lamport,
    ph: Hash,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Lamport {
    lam: u64,
}

/// A parsed entry with its bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the fleet.
    pub at: Position,
    /// Its Lamport clock.
    pub lam: u64,
    /// The hash it names as its predecessor's.
    pub previous: Hash,
    /// Its own hash.
    pub hash: Hash,
    /// The fields; nothing in an entry of a later form that this version cannot read.
    pub fields: Option<Arc<Fields>>,
    /// The bytes, as written by its author.
    pub raw: Arc<[u8]>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Entry {}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is longer than [`ENTRY_BYTES_MAX`].
    #[error("an entry of {bytes} bytes, {ENTRY_BYTES_MAX} is the limit")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is nested deeper than [`NESTING_MAX`].
    #[error("an entry nested deeper than {NESTING_MAX}")]
    TooDeep,
    /// It is not JSON, or a field is missing or of another type.
    #[error("not an entry: {0}")]
    NotAnEntry(String),
    /// A field is beyond its limit.
    #[error("`{0}` is beyond its limit")]
    OutOfBounds(&'static str),
}

/// The value of a log's first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The nonce of the incarnation.
    pub nonce: u32,
    /// The end of this node's previous log of the stream, if it remembers one: that log is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Sealed>,
}

/// Where a node's previous log ended, as far as the node remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The previous incarnation.
    pub inc: u32,
    /// Its last entry.
    pub seq: u64,
    /// That entry's hash.
    pub hash: Hash,
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`Malformed`] says which limit or field is at fault. Nothing larger than the input is allocated.
    pub fn parse(raw: &[u8]) -> Result<Self, Malformed> {
        if raw.len() > ENTRY_BYTES_MAX {
            return Err(Malformed::TooLong { bytes: raw.len() });
        }
        if is_nested_deeper(raw, NESTING_MAX) {
            return Err(Malformed::TooDeep);
        }
        let (envelope, fields) = match serde_json::from_slice::<Fields>(raw) {
            Ok(fields) => {
                let envelope =
                    Envelope { v: fields.v, d: fields.d, s: fields.s, t: Lamport { lam: fields.t.lam }, ph: fields.ph };
                (envelope, Some(fields))
            }
            Err(error) => {
                let not_an_entry = |error: serde_json::Error| Malformed::NotAnEntry(error.to_string());
                let envelope = serde_json::from_slice::<Envelope>(raw).map_err(not_an_entry)?;
                if envelope.v <= FORM {
                    return Err(not_an_entry(error));
                }
                (envelope, None)
            }
        };
        envelope.check()?;
        // A later form may have other limits: only its envelope binds us.
        let fields = fields.filter(|fields| fields.v <= FORM || fields.check().is_ok());
        if let Some(fields) = &fields {
            fields.check()?;
        }
        Ok(Self {
            at: Position { stream: envelope.s, dot: envelope.d },
            lam: envelope.t.lam,
            previous: envelope.ph,
            hash: Hash::of_entry(envelope.ph, raw),
            fields: fields.map(Arc::new),
            raw: raw.into(),
        })
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// [`Malformed`] if a field is beyond its limit: what is written can always be read.
    pub fn write(fields: &Fields) -> Result<Self, Malformed> {
        let raw = serde_json::to_vec(fields).map_err(|error| Malformed::NotAnEntry(error.to_string()))?;
        Self::parse(&raw)
    }

    /// Returns what a log's first entry says; nothing if this is none.
    pub fn opening(&self) -> Option<Opening> {
        let fields = self.fields.as_ref().filter(|fields| fields.op == Op::Open)?;
        serde_json::from_str(fields.val.get()).ok()
    }
}

impl Envelope {
    fn check(&self) -> Result<(), Malformed> {
        let rules = [
            ("v", self.v >= 1),
            ("d", self.d.inc >= 1 && (1..=COUNT_MAX).contains(&self.d.seq)),
            ("t.lam", self.t.lam <= COUNT_MAX),
        ];
        first_broken(&rules)
    }
}

impl Fields {
    fn check(&self) -> Result<(), Malformed> {
        let rules = [
            ("k", is_name(&self.k)),
            ("g", is_name(&self.g)),
            ("sup", self.sup.len() <= REPLACED_MAX),
            ("of", self.of.len() <= REPLACED_MAX),
            ("by", self.by.len() <= BY_BYTES_MAX),
            ("why", self.why.as_ref().is_none_or(|why| why.len() <= WHY_BYTES_MAX)),
        ];
        first_broken(&rules)
    }
}

fn first_broken(rules: &[(&'static str, bool)]) -> Result<(), Malformed> {
    rules.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(field, _)| Err(Malformed::OutOfBounds(field)))
}

/// Whether a text can name a kind, a group or an index: 1 to 32 of `a-z 0-9 _ .`.
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Counts brackets outside strings; wrong JSON may be counted wrongly, the parser finds it.
pub(crate) fn is_nested_deeper(json: &[u8], limit: usize) -> bool {
    // Nothing is deeper than it has brackets: to count them all takes a tenth of the time, and nearly all have few.
    if json.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= limit {
        return false;
    }
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
