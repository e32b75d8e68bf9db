use super::*;
use crate::core::election::Token;
use crate::core::entry::Quality;
use crate::core::floor::fill::{Kept, Part};
use crate::core::floor::{FloorName, Stage};
use crate::core::id::{BootId, LogId};
use crate::core::message::{Cause, FleetId, FloorWord, Stands, Time};
use proptest::prelude::*;
use std::sync::Arc;

const NODE: NodeId = NodeId::from_u128(0xaa);
const LOG: LogId = LogId { stream: Stream::Cfg, node: NODE, inc: 3 };
const AT: FloorName = FloorName { number: 7, epoch: 2, digest: Hash([9; 32]) };
const ENTRY: &str = r#"{"v":1,"later":"é","val":[1.50, 2]}"#;

fn batch_of(entries: &[&str]) -> Message {
    let entries = entries.iter().map(|raw| Arc::from(raw.as_bytes())).collect();
    Message::Batch(Batch { number: 7, stream: Stream::Jrn, entries, kept: None })
}

fn one_of_each() -> Vec<Message> {
    let time = Time { wall: -5, q: Quality::Peer };
    let mark = Mark { seq: 42, hash: Hash([7; 32]) };
    vec![
        Message::Hello(Box::new(Hello {
            proto: (1, 2),
            fleet: FleetId::from_u128(1),
            node: NODE,
            inc: 3,
            nonce: 4,
            boot: BootId([5; 16]),
            build: "rakkr 0.1".to_string(),
            kinds: [("room".to_string(), 2)].into(),
            features: vec!["zstd".to_string()],
            wants: vec![Stream::Sec, Stream::Cfg],
            seen: Token { epoch: 9, node: NODE, inc: 1 },
            time,
            floor: vec![LOG.at(1).dot],
            stands: Some(Stands { floor: AT, stage: Stage::Filling }),
        })),
        Message::Vector(VectorPart { stream: Stream::Sec, is_last: false, marks: vec![((NODE, 3), mark)] }),
        batch_of(&[ENTRY, "{}"]),
        Message::Ack(Ack { number: 7, stream: Stream::Own, marks: vec![LOG.at(42).dot], window: 1 << 20 }),
        Message::Nak(Nak {
            number: 7,
            stream: Stream::Cfg,
            why: Some("the disk is full".to_string()),
            places: vec![Refused { at: LOG.at(43), why: Cause::Gap, have: Some(mark) }],
        }),
        Message::Election(election::Message::Nak { seen: Token { epoch: 9, node: NODE, inc: 1 } }),
        Message::Ping(Ping { number: 1, sent: time }),
        Message::Batch(Batch {
            number: 8,
            stream: Stream::Cfg,
            entries: vec![Arc::from(ENTRY.as_bytes())],
            kept: Some(Kept { floor: AT, parts: vec![Part { log: LOG, after: 41, is_end: true }] }),
        }),
        Message::Floor(FloorWord::Stands(Stands { floor: AT, stage: Stage::Collecting })),
        Message::Floor(FloorWord::Asks(AT)),
        Message::Floor(FloorWord::Told(AT)),
        Message::Floor(FloorWord::Below(AT)),
        Message::Floor(FloorWord::Offer { floor: AT, is_last: true, marks: vec![(LOG, mark)] }),
        Message::Floor(FloorWord::Fill(AT)),
        Message::Pong(Pong { number: 1, asked: time, heard: time, sent: time }),
    ]
}

#[test]
fn what_is_written_is_read_again() {
    for message in one_of_each() {
        assert_eq!(decode(&encode(&message)), Ok(message));
    }
}

/// The form, byte for byte. If this fails, a released node is no longer understood: add, never change.
#[test]
fn messages_have_these_bytes() {
    let batch = encode(&batch_of(&[ENTRY, "{}"]));
    let body = format!(r#"{{"n":7,"e":[{ENTRY},{{}}]}}"#);
    assert_eq!(batch[..8], [3, 0, 0, 3, 0, 0, 0, body.len() as u8]);
    assert_eq!(std::str::from_utf8(&batch[8..]), Ok(body.as_str()));

    let ack = encode(&one_of_each()[3]);
    assert_eq!(ack[..4], [4, 0, 0, 2]);
    let body = r#"{"n":7,"window":1048576,"marks":[["000000000000000000000000000000aa",3,42]]}"#;
    assert_eq!(std::str::from_utf8(&ack[8..]), Ok(body));
}

#[test]
fn an_entry_travels_byte_for_byte() {
    let Ok(Message::Batch(batch)) = decode(&encode(&batch_of(&[ENTRY]))) else { panic!("no batch") };
    assert_eq!(batch.entries[0].as_ref(), ENTRY.as_bytes());
}

#[test]
fn a_claim_of_a_gibibyte_is_refused_by_its_header() {
    for kind in [HELLO, BATCH, 99] {
        let header = Header { kind, flags: FLAG_ZSTD, stream: 0, raw_bytes: 1 << 30 };
        assert!(matches!(Header::read(&header.bytes()), Err(BadMessage::TooLong { bytes: 0x4000_0000, .. })));
        assert!(matches!(decode(&header.bytes()), Err(BadMessage::TooLong { .. })));
    }
    let hello = Header { kind: HELLO, flags: 0, stream: 0, raw_bytes: HELLO_BYTES_MAX + 1 };
    assert!(Header::read(&hello.bytes()).is_err());
}

#[test]
fn types_streams_and_fields_of_a_later_version_are_skipped() {
    assert_eq!(decode(&framed(99, 0, b"\xff\xff".to_vec())), Ok(Message::Unknown { kind: 99 }));
    assert_eq!(decode(&framed(BATCH, 4, b"{}".to_vec())), Ok(Message::Unknown { kind: BATCH }));
    let body = br#"{"number":1,"sent":{"wall":2,"q":"ntp","leap":1},"more":[1]}"#.to_vec();
    let time = Time { wall: 2, q: Quality::Ntp };
    assert_eq!(decode(&framed(PING, NO_STREAM, body)), Ok(Message::Ping(Ping { number: 1, sent: time })));
    let body = br#"{"n":1,"places":[{"at":["cfg","000000000000000000000000000000aa",1,2],"why":"novel"}]}"#.to_vec();
    let Ok(Message::Nak(nak)) = decode(&framed(NAK, 1, body)) else { panic!("no nak") };
    assert_eq!(nak.places[0].why, Cause::Unknown);
}

#[test]
fn what_is_beyond_a_limit_is_refused() {
    let is_refused = |message: &Message| matches!(decode(&encode(message)), Err(BadMessage::NotAMessage { .. }));
    assert!(!is_refused(&batch_of(&vec!["{}"; EXPORT_ENTRIES_MAX])));
    assert!(is_refused(&batch_of(&vec!["{}"; EXPORT_ENTRIES_MAX + 1])));
    assert!(is_refused(&batch_of(&[&format!("\"{}\"", "x".repeat(ENTRY_BYTES_MAX))])));
    let long_why = Some("x".repeat(WHY_BYTES_MAX + 1));
    assert!(is_refused(&Message::Nak(Nak { number: 1, stream: Stream::Sec, why: long_why, places: Vec::new() })));
    let nested = format!("{}{}", "[".repeat(NESTING_MAX + 1), "]".repeat(NESTING_MAX + 1));
    assert_eq!(decode(&encode(&batch_of(&[&nested]))), Err(BadMessage::TooDeep));
    assert!(decode(&encode(&batch_of(&[&nested[1..nested.len() - 1]]))).is_ok());
    let Message::Hello(mut hello) = one_of_each().remove(0) else { panic!("no hello") };
    hello.features = vec!["x".to_string(); FEATURES_MAX + 1];
    assert!(is_refused(&Message::Hello(hello)));
}

#[test]
fn only_bulk_is_compressed_and_never_what_tells_of_access() {
    let header = |message: &Message| Header::read(&encode(message)).unwrap();
    assert!(is_compressible(&header(&batch_of(&[ENTRY]))));
    assert!(!is_compressible(&header(&one_of_each()[1])), "a vector of sec");
    assert!(!is_compressible(&header(&one_of_each()[0])));
    assert_eq!(decode(&[BATCH, FLAG_ZSTD, 0, 3, 0, 0, 0, 0]), Err(BadMessage::Flags(FLAG_ZSTD)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_is_an_error_and_never_a_panic(
        kind in 0..12_u8, stream in 0..6_u16, bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = decode(&bytes);
        let framed = framed(kind, stream, bytes);
        let read = decode(&framed);
        let is_unknown = matches!(read, Ok(Message::Unknown { .. }));
        prop_assert!(read.is_err() || is_unknown);
    }

    #[test]
    fn a_damaged_message_is_refused_or_is_another(
        which in 0..8_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let whole = encode(&one_of_each()[which]);
        prop_assert!(decode(&whole[..cut.index(whole.len())]).is_err());
        let mut bytes = whole.clone();
        bytes[at.index(whole.len())] = byte;
        if let Ok(message) = decode(&bytes) {
            // What was read can be said again, whatever it is.
            let again = encode(&message);
            let is_unknown = matches!(message, Message::Unknown { .. });
            prop_assert!(is_unknown || decode(&again).is_ok());
        }
    }

    #[test]
    fn batches_come_as_they_went(values in proptest::collection::vec("[ -~é]{0,80}", 0..20), number: u64) {
        let text = |value: &String| Arc::from(serde_json::to_vec(value).unwrap());
        let entries = values.iter().map(text).collect();
        let message = Message::Batch(Batch { number, stream: Stream::Own, entries, kept: None });
        prop_assert_eq!(decode(&encode(&message)), Ok(message));
    }
}
