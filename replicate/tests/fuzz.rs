//! The wire's parser under mutated messages: real ones of every type, flipped, cut, spliced, nested, and lied about.
//!
//! One seed, many cases; `RAKKR_FUZZ_CASES` asks for more, `RAKKR_FUZZ_SEED` for others. Nothing panics; what is read can be
//! said again and means the same; and no case makes the parser take more memory than a small multiple of its own bytes.

mod house;

use house::{Node, put};
use replicate::core::election::{self, Token};
use replicate::core::entry::{NESTING_MAX, Quality};
use replicate::core::exchange::{self, Mark, Vector};
use replicate::core::floor::fill::{Kept, Part};
use replicate::core::floor::{FloorName, Stage};
use replicate::core::id::{BootId, Hash, NodeId, Stream};
use replicate::core::message::{
    Ack, Batch, Cause, FleetId, FloorWord, Hello, Message, Nak, Ping, Pong, Refused, Stands, Time, VectorPart,
};
use replicate::core::wire::{self, HEADER_BYTES, Header, MESSAGE_BYTES_MAX};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Bytes taken for each byte read, at most. The worst is a hello full of empty texts: 24 bytes for each three that came, and
/// a list is taken anew twice as long as it grows. A hello is 64 KiB at most. Of what nodes really say it is 2.
const BYTES_PER_BYTE: usize = 32;
/// And this much for any: texts of errors.
const BYTES_FOR_ANY: usize = 16 * 1024;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread takes, also what it gives back later.
struct Counting;

// SAFETY: all work is the system allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: who calls keeps the trait's promises, and they are passed on.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: who calls keeps the trait's promises, and they are passed on.
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs something and returns how many bytes it took.
fn taken<T>(does: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.with(Cell::get);
    let result = does();
    (result, TAKEN.with(Cell::get) - before)
}

/// Marsaglia's xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn elections() -> Vec<Message> {
    let token = Token { epoch: 9, node: NodeId::from_u128(7), inc: 1 };
    let held = Some(election::Held { token, age_ms: 5, reigned_ms: 9 });
    [
        election::Message::Heartbeat { token, sent_ms: 5, reigned_ms: 6, away: None },
        election::Message::Followed { token, sent_ms: 5, is_caught_up: true },
        election::Message::Probe { round: 3, seen: token },
        election::Message::ProbeOk { round: 3, seen: token, held },
        election::Message::Yield { token, to: NodeId::from_u128(8), is_chosen: true },
        election::Message::Nak { seen: token },
    ]
    .map(Message::Election)
    .to_vec()
}

/// Messages as nodes say them, of every type.
fn real() -> Vec<Vec<u8>> {
    let time = Time { wall: 1_787_000_000_000, q: Quality::Ntp };
    let mut node = Node::new(7);
    for number in 0..20 {
        let value = format!("{{\"name\":\"room {number} é\",\"list\":[1,[2,[3.50,null]]]}}");
        node.write(&[put("plan", number, "label", &value), put("user", number, "cred_gen", "4")]).unwrap();
    }
    let mark = Mark { seq: 42, hash: Hash([7; 32]) };
    let at = node.us.log(Stream::Cfg).at(3);
    let floor = FloorName { number: 7, epoch: 2, digest: Hash([9; 32]) };
    let mut messages = vec![
        Message::Hello(Box::new(Hello {
            proto: (1, 1),
            fleet: FleetId::from_u128(1),
            node: node.us.node,
            inc: 1,
            nonce: 4,
            boot: BootId([5; 16]),
            build: "rakkr 0.1".to_string(),
            kinds: [("room".to_string(), 2), ("user".to_string(), 1)].into(),
            features: vec!["quarantined".to_string()],
            wants: Stream::ALL.to_vec(),
            seen: Token::NONE,
            time,
            floor: vec![at.dot],
            stands: Some(Stands { floor, stage: Stage::Filling }),
        })),
        Message::Ack(Ack { number: 7, stream: Stream::Own, marks: vec![at.dot; 9], window: 1 << 20 }),
        Message::Nak(Nak {
            number: 7,
            stream: Stream::Cfg,
            why: Some("the disk is full".to_string()),
            places: vec![Refused { at, why: Cause::Fork, have: Some(mark) }],
        }),
        Message::Ping(Ping { number: 1, sent: time }),
        Message::Pong(Pong { number: 1, asked: time, heard: time, sent: time }),
        Message::Unknown { kind: 77 },
        Message::Floor(FloorWord::Offer { floor, is_last: true, marks: vec![(at.log(), mark); 9] }),
        Message::Floor(FloorWord::Fill(floor)),
    ];
    for stream in Stream::ALL {
        let marks = exchange::vector(&node.state, stream).unwrap().into_iter().collect();
        messages.push(Message::Vector(VectorPart { stream, is_last: true, marks }));
        let entries = exchange::export(&node.state, stream, &Vector::new()).unwrap().entries;
        let part = Part { log: node.us.log(stream), after: 3, is_end: true };
        let kept = (stream == Stream::Cfg).then_some(Kept { floor, parts: vec![part; 3] });
        messages.push(Message::Batch(Batch { number: 1, stream, entries, kept }));
    }
    messages.extend(elections());
    messages.iter().map(wire::encode).collect()
}

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 16] = [
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\\u",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\"ph\":\"\"}",
    b",",
    b"\0",
    b"\xff\xfe",
    b"\"e\":[",
];

/// One change. `all` are the messages that pieces may come from.
fn change(bytes: &mut Vec<u8>, all: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len());
    match chance.below(9) {
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at] = chance.next() as u8,
        2 => bytes.truncate(at.max(1)),
        3 => {
            let end = (at + chance.below(64)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let piece = PIECES[chance.below(PIECES.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        5 => {
            let other = &all[chance.below(all.len())];
            let from = chance.below(other.len());
            let end = (from + chance.below(400)).min(other.len());
            bytes.splice(at..at, other[from..end].iter().copied());
        }
        6 => {
            let depth = 1 + chance.below(NESTING_MAX * 4);
            let open = if chance.below(2) == 0 { b"[".repeat(depth) } else { b"{\"a\":".repeat(depth) };
            bytes.splice(at..at, open);
        }
        7 => {
            let end = (at + chance.below(200)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let times = 1 + chance.below(30);
            bytes.splice(at..at, piece.repeat(times));
        }
        _ => {
            // Another number: of a place, a length, a time.
            if let Some(digit) = bytes.iter().skip(at).position(u8::is_ascii_digit) {
                bytes.splice(at + digit..at + digit, *b"99999999999");
            }
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

/// Mostly the length that is there: a lie is found by the first check, and then nothing else is tried.
fn tell_length(bytes: &mut [u8], chance: &mut Chance) {
    let Some(length) = bytes.len().checked_sub(HEADER_BYTES) else { return };
    let told = match chance.below(20) {
        0 => chance.next() as u32,
        1 => MESSAGE_BYTES_MAX as u32,
        2 => length as u32 + 1,
        _ => length as u32,
    };
    bytes[4..HEADER_BYTES].copy_from_slice(&told.to_be_bytes());
}

fn wanted(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn mutated_messages_are_refused_or_read_and_cost_what_they_weigh() {
    let (seed, cases) = (wanted("RAKKR_FUZZ_SEED", 1), wanted("RAKKR_FUZZ_CASES", 100_000));
    let (mut chance, all) = (Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), real());
    let (mut read, mut refused) = (0_u64, 0_u64);
    for case in 0..cases {
        let mut bytes = all[chance.below(all.len())].clone();
        for _ in 0..chance.below(4) + 1 {
            change(&mut bytes, &all, &mut chance);
        }
        tell_length(&mut bytes, &mut chance);
        let line = || format!("RAKKR_FUZZ_SEED={seed}, case {case}: {:?}", String::from_utf8_lossy(&bytes));
        let (result, cost) = taken(|| wire::decode(&bytes));
        assert!(cost <= bytes.len() * BYTES_PER_BYTE + BYTES_FOR_ANY, "{cost} bytes taken, {}", line());
        let Ok(message) = result else {
            refused += 1;
            continue;
        };
        read += 1;
        if !matches!(message, Message::Unknown { .. }) {
            assert_eq!(wire::decode(&wire::encode(&message)).as_ref(), Ok(&message), "{}", line());
        }
        // What is read is short of every limit.
        assert!(Header::read(&bytes).is_ok_and(|header| header.raw_bytes == bytes.len() - HEADER_BYTES), "{}", line());
    }
    assert!(read * 20 > cases && refused * 4 > cases, "{read} read, {refused} refused: the mutations are dull");
}

#[test]
fn what_nodes_say_is_read_as_it_was_said() {
    for bytes in real() {
        let message = wire::decode(&bytes).unwrap();
        assert_eq!(wire::encode(&message), bytes);
    }
}

#[test]
fn the_most_things_in_the_fewest_bytes_cost_what_they_weigh() {
    let framed = |kind: u8, stream: u16, body: String| {
        [Header { kind, flags: 0, stream, raw_bytes: body.len() }.bytes().as_slice(), body.as_bytes()].concat()
    };
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let kinds: Vec<String> = (0..7_000).map(|number| format!("\"{number:x}\":1")).collect();
    let hello = String::from_utf8(real()[0][HEADER_BYTES..].to_vec()).unwrap();
    let many = hello.replace("\"kinds\":{", &format!("\"kinds\":{{{},", kinds.join(",")));
    let dot = "[\"00000000000000000000000000000007\",1,1]";
    let cases = [
        framed(1, 0xffff, many),
        framed(1, 0xffff, hello.replace("\"features\":[", &format!("\"features\":[{},", list("\"\"", 20_000)))),
        framed(1, 0xffff, hello.replace("\"floor\":[", &format!("\"floor\":[{},", list(dot, 1_300)))),
        framed(2, 1, format!("{{\"last\":true,\"marks\":[{}]}}", list("[]", 300_000))),
        framed(3, 1, format!("{{\"n\":1,\"e\":[{}]}}", list("0", 500_000))),
        framed(3, 1, format!("{{\"n\":1,\"e\":[{}]}}", list("0", 512))),
        framed(4, 1, format!("{{\"n\":1,\"window\":1,\"marks\":[{}]}}", list(dot, 20_000))),
        framed(5, 1, format!("{{\"n\":1,\"places\":[{}]}}", list("{}", 300_000))),
        framed(3, 1, format!("{{\"n\":1,\"e\":[\"{}\"]}}", "\\n".repeat(400_000))),
        framed(5, 1, format!("{{\"n\":1,\"why\":\"{}\",\"places\":[]}}", "\\n".repeat(400_000))),
    ];
    for (number, bytes) in cases.iter().enumerate() {
        let (result, cost) = taken(|| wire::decode(bytes));
        assert!(cost <= bytes.len() * BYTES_PER_BYTE + BYTES_FOR_ANY, "{number}: {cost} for {}", bytes.len());
        assert_eq!(result.is_ok(), [2, 5].contains(&number), "{number}: {:?}", result.map(drop));
    }
}
