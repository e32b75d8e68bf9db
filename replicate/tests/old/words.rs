//! What the build of commit 5fc2886 understood, by its source (`core/message.rs`, `core/wire.rs`, `core/election/message.rs`):
//! the types of messages, and in each the fields without which it closed the link. Other fields it skipped.

use replicate::core::wire::{HEADER_BYTES, Header};
use serde_json::Value;

/// What a value has to be.
#[derive(Clone, Copy)]
enum Form {
    Number,
    Text,
    Truth,
    List,
    Map,
    /// A token: `[epoch, node, inc]`.
    Token,
    /// A clock's reading.
    Time,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A lease, or nothing.
    Lease,
}

use Form::{Lease, List, Map, Number, OneOf, Text, Time, Token, Truth};

type Fields = &'static [(&'static str, Form)];

const HELLO: Fields = &[
    ("proto", List),
    ("fleet", Text),
    ("node", Text),
    ("inc", Number),
    ("nonce", Number),
    ("boot", Text),
    ("build", Text),
    ("kinds", Map),
    ("features", List),
    ("wants", List),
    ("seen", Token),
    ("time", Time),
    ("floor", List),
];
const VECTOR: Fields = &[("last", Truth), ("marks", List)];
const BATCH: Fields = &[("n", Number), ("e", List)];
const ACK: Fields = &[("n", Number), ("window", Number), ("marks", List)];
const NAK: Fields = &[("n", Number), ("places", List)];
const PING: Fields = &[("number", Number), ("sent", Time)];
const PONG: Fields = &[("number", Number), ("asked", Time), ("heard", Time), ("sent", Time)];
/// Messages of the election, by what they say. What it says otherwise meant nothing to it.
const ELECTION: [(&str, Fields); 6] = [
    ("heartbeat", &[("token", Token), ("sent_ms", Number), ("reigned_ms", Number)]),
    ("followed", &[("token", Token), ("sent_ms", Number), ("is_caught_up", Truth)]),
    ("nak", &[("seen", Token)]),
    ("probe", &[("round", Number), ("seen", Token)]),
    ("probe_ok", &[("round", Number), ("seen", Token), ("held", Lease)]),
    ("yield", &[("token", Token), ("to", Text), ("is_chosen", Truth)]),
];
const QUALITIES: &[&str] = &["unset", "guessed", "peer", "rtc", "ntp"];
const STREAMS: [&str; 4] = ["sec", "cfg", "own", "jrn"];
/// Streams by their numbers, and none.
const STREAM_NUMBERS: [u16; 5] = [0, 1, 2, 3, 0xffff];

fn is(value: &Value, form: Form) -> bool {
    let has = |fields: Fields| has_all(value, fields).is_ok();
    match form {
        Number => value.is_number(),
        Text => value.is_string(),
        Truth => value.is_boolean(),
        List => value.is_array(),
        Map => value.is_object(),
        Token => {
            matches!(value.as_array().map(Vec::as_slice), Some([epoch, node, inc]) if epoch.is_u64() && node.is_string() && inc.is_u64())
        }
        Time => has(&[("wall", Number), ("q", OneOf(QUALITIES))]),
        OneOf(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
        Lease => value.is_null() || has(&[("token", Token), ("age_ms", Number), ("reigned_ms", Number)]),
    }
}

fn has_all(value: &Value, fields: Fields) -> Result<(), String> {
    for (name, form) in fields {
        if !value.get(name).is_some_and(|value| is(value, *form)) {
            return Err(format!("{name} in {value}"));
        }
    }
    Ok(())
}

/// Whether the older build read this message as what it is.
///
/// # Errors
/// What it would not have found, or taken for something else.
pub fn understood(raw: &[u8]) -> Result<(), String> {
    let header = Header::read(raw).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&raw[HEADER_BYTES..]).map_err(|error| error.to_string())?;
    if header.flags != 0 || !STREAM_NUMBERS.contains(&header.stream) {
        return Err(format!("{header:?}"));
    }
    match header.kind {
        1 => {
            has_all(&value, HELLO)?;
            let wants = value["wants"].as_array().into_iter().flatten();
            let unknown = wants.into_iter().find(|want| !STREAMS.contains(&want.as_str().unwrap_or_default()));
            unknown.map_or(Ok(()), |want| Err(format!("wants {want}")))
        }
        2 => has_all(&value, VECTOR),
        3 if value.get("kept").is_some_and(|kept| !kept.is_null()) => Err("a batch with gaps".to_string()),
        3 => has_all(&value, BATCH),
        4 => has_all(&value, ACK),
        5 => has_all(&value, NAK),
        6 => {
            let fields = ELECTION.iter().find(|(say, _)| value["say"] == **say);
            let (_, fields) = fields.ok_or_else(|| format!("says {}", value["say"]))?;
            has_all(&value, fields)
        }
        7 => has_all(&value, PING),
        8 => has_all(&value, PONG),
        kind => Err(format!("type {kind}")),
    }
}
