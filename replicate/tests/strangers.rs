//! What strangers do to a hub: thousands of hellos, claims of giant frames, bombs, replayed and edited batches, every wrong
//! order. Each is closed with a reason, nothing of it stays, and who is in order notices nothing.

mod fleet;
mod house;

use fleet::*;
use futures_util::{SinkExt, StreamExt};
use house::{Node, put};
use replicate::core::election::{self, Token};
use replicate::core::entry::Quality;
use replicate::core::exchange::{self, Vector};
use replicate::core::id::{BootId, Stream};
use replicate::core::message::{
    Ack, Batch, Cause, FleetId, Hello, Message, Nak, Ping, Pong, Refused, Time, VectorPart,
};
use replicate::core::session::{Limits, Reason, Told};
use replicate::core::wire::{self, FLAG_ZSTD, Header, MESSAGE_BYTES_MAX};
use replicate::net::{Ended, Event, HEARD_BYTES_MAX, Holds, LEAVING_MAX};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

const TIME: Time = Time { wall: 0, q: Quality::Unset };
const NOTHING: Holds = Holds { links: 0, queued: 0, heard_bytes: 0 };

fn frame(message: &Message) -> Frame {
    Frame::Binary(wire::encode(message).into())
}

fn hello(node: u128, fleet: u128) -> Message {
    Message::Hello(Box::new(Hello {
        proto: (1, 1),
        fleet: FleetId::from_u128(fleet),
        node: name(node),
        inc: 1,
        nonce: node as u32,
        boot: BootId([9; 16]),
        build: "a stranger".to_string(),
        kinds: BTreeMap::new(),
        features: Vec::new(),
        wants: Stream::ALL.to_vec(),
        seen: Token::NONE,
        time: TIME,
        floor: Vec::new(),
        stands: None,
    }))
}

/// Waits until a hub that keeps so many good links holds nothing else.
fn settles(fleet: &Fleet, one: &Running, good: usize) {
    fleet.until(one, "the strangers are gone", |standing| standing.links == good);
    fleet.until_holds(one, &Holds { links: good, ..NOTHING });
}

/// Not more than there is place for, however many come.
fn is_bounded(one: &Running) {
    let holds = one.hub.holds();
    let links_max = 64 + LEAVING_MAX;
    let is_bounded =
        holds.links <= links_max && holds.queued <= 8 * links_max && holds.heard_bytes <= HEARD_BYTES_MAX / 64;
    assert!(is_bounded, "{holds:?}");
}

/// Nothing of the strangers is left, and who is in order still learns what is new.
fn goes_on_after(fleet: &Fleet, one: &Running, text: &str) {
    settles(fleet, one, 0);
    let two = fleet.node(2);
    let _links = fleet.pipe(one, &two);
    goes_on(one, &two, text);
}

/// Who is in order still learns what is new.
fn goes_on(one: &Running, two: &Running, text: &str) {
    one.label(1, text);
    two.until_like(one);
}

/// One stranger's link, and its end of the wire if it hangs on.
type Met = (JoinHandle<Ended>, Option<WebSocketStream<DuplexStream>>);

/// Comes in one of four ways: says nothing, is of another fleet, gives another's name, says a good hello.
fn stranger(fleet: &Fleet, one: &Running, number: u128, hangs_on: bool) -> Met {
    let peer = 1_000 + number;
    let (mut speaker, link) = fleet.speaker(one, peer);
    fleet.runtime.block_on(async {
        let _ = match number % 4 {
            0 => Ok(()),
            1 => speaker.send(frame(&hello(peer, 2))).await,
            2 => speaker.send(frame(&hello(peer + 1, 1))).await,
            _ => speaker.send(frame(&hello(peer, 1))).await,
        };
    });
    // Who is told something waits for it.
    (link, (hangs_on || [1, 2].contains(&(number % 4))).then_some(speaker))
}

#[test]
fn ten_thousand_hellos_leave_nothing_behind() {
    let fleet = Fleet::new();
    let limits = Limits { hello_ms: 300, silence_ms: 600, ping_ms: 300, ..Limits::default() };
    let one = fleet.node_with(1, Wish { limits, ..Wish::default() });
    let mut ends: BTreeMap<&'static str, u32> = BTreeMap::new();
    for wave in 0..200_u128 {
        let links: Vec<Met> = (0..50).map(|number| stranger(&fleet, &one, wave * 50 + number, wave == 100)).collect();
        for (link, mut speaker) in links {
            let ended = match &mut speaker {
                // It hears why, and goes.
                Some(speaker) => fleet.runtime.block_on(async {
                    while let Some(Ok(_)) = speaker.next().await {}
                    link.await.unwrap()
                }),
                None => fleet.end(link),
            };
            let what = match ended {
                Ended::Lost(_) => "gone",
                Ended::TooMany => "too many",
                Ended::Closed(Reason::OtherFleet { .. }) => "another fleet",
                Ended::Closed(Reason::OtherNode { .. }) => "another node",
                Ended::Closed(Reason::NoHello) => "no hello",
                Ended::Closed(Reason::Silent { .. }) => "silent",
                other => panic!("{other:?}"),
            };
            *ends.entry(what).or_default() += 1;
        }
        is_bounded(&one);
        // The next ones find places.
        fleet.until_holds(&one, &NOTHING);
    }

    assert_eq!(ends.values().sum::<u32>(), 10_000, "{ends:?}");
    let expected =
        [("another fleet", 2_500), ("another node", 2_500), ("no hello", 10), ("silent", 10), ("gone", 4_000)];
    for (what, at_least) in expected {
        assert!(ends.get(what).is_some_and(|count| *count >= at_least), "{what}: {ends:?}");
    }
    goes_on_after(&fleet, &one, "after ten thousand");
}

#[test]
fn a_flood_finds_no_more_places_than_there_are() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let mut links = Vec::new();
    for number in 0..3_000 {
        links.push(stranger(&fleet, &one, number * 4, false).0);
        is_bounded(&one);
    }
    let ends: Vec<Ended> = links.into_iter().map(|link| fleet.end(link)).collect();

    assert!(ends.iter().all(|end| matches!(end, Ended::Lost(_) | Ended::TooMany)), "{ends:?}");
    goes_on_after(&fleet, &one, "after the flood");
}

#[test]
fn who_is_not_of_the_fleet_is_refused_ten_thousand_times() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.node(1), fleet.node(2));
    one.hub.roster(roster([1, 2]));
    two.hub.roster(roster([1, 2]));
    let _links = fleet.pipe(&one, &two);
    fleet.until(&one, "the good link", talks_to(2));
    for wave in 0..100 {
        let links: Vec<_> = (0..100).map(|number| fleet.stranger(&one, 3 + number)).collect();
        for (stranger, link) in links {
            // Those of one wave wait for an answer, the others hang up.
            let _waits = (wave == 0).then_some(stranger);
            let ended = fleet.end(link);
            let is_refused = matches!(ended, Ended::NoMember | Ended::TooMany);
            assert!(is_refused || (wave > 0 && matches!(ended, Ended::Lost(_))), "{ended:?}");
        }
        is_bounded(&one);
    }

    settles(&fleet, &one, 1);
    goes_on(&one, &two, "after ten thousand");
}

#[test]
fn giant_claims_and_bombs_cost_what_they_weigh() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let bomb = zstd::bulk::compress(&vec![b' '; 64 * MESSAGE_BYTES_MAX], 3).unwrap();
    let told = Header { kind: 3, flags: FLAG_ZSTD, stream: 1, raw_bytes: 1 << 30 }.bytes();
    let untold = Header { kind: 3, flags: FLAG_ZSTD, stream: 1, raw_bytes: MESSAGE_BYTES_MAX }.bytes();
    for round in 0..50 {
        let mut links = Vec::new();
        for header in [&told, &untold] {
            let (mut speaker, link) = fleet.speaker(&one, 9 + round);
            let frame = Frame::Binary([header.as_slice(), &bomb].concat().into());
            fleet.runtime.block_on(async { speaker.send(frame).await }).unwrap();
            links.push((link, None, Some(speaker)));
        }
        for is_masked in [0xff_u8, 0x7f] {
            let (mut stranger, link) = fleet.stranger(&one, 9 + round);
            let claim = [&[0x82, is_masked][..], &(1_u64 << 30).to_be_bytes(), &[1, 2, 3, 4], &[0; 30_000]].concat();
            fleet.runtime.block_on(async { stranger.write_all(&claim).await }).unwrap();
            links.push((link, Some(stranger), None));
        }
        for (link, stranger, speaker) in links {
            let ended = fleet.end(link);
            assert!(matches!(ended, Ended::Broken(_) | Ended::Second), "{ended:?}");
            drop((stranger, speaker));
        }
    }

    settles(&fleet, &one, 0);
    let traffic = one.hub.look().traffic;
    assert!(traffic.raw_in < 10_000, "nothing of it was taken for a message: {traffic:?}");
}

/// Says these, then asks whether the other end is still there. Returns how it answered: with the reason of its closing, or
/// the pong; and what it said before.
async fn says(speaker: &mut WebSocketStream<DuplexStream>, messages: &[Message]) -> (Option<String>, Vec<Message>) {
    const LAST: u64 = 1 << 40;
    for message in messages {
        // Closed meanwhile: why is still to be read.
        let _ = speaker.send(frame(message)).await;
    }
    let _ = speaker.send(frame(&Message::Ping(Ping { number: LAST, sent: TIME }))).await;
    let mut heard = Vec::new();
    loop {
        match speaker.next().await {
            Some(Ok(Frame::Binary(bytes))) => match wire::decode(&bytes) {
                Ok(Message::Pong(pong)) if pong.number == LAST => return (None, heard),
                Ok(message) => heard.push(message),
                // Compressed: not looked at.
                Err(_) => {}
            },
            Some(Ok(Frame::Close(Some(why)))) => return (Some(why.reason.to_string()), heard),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (Some("gone".to_string()), heard),
        }
    }
}

/// What a node's log in `sec` holds.
fn log_of(node: &Node) -> Vec<Arc<[u8]>> {
    exchange::export(&node.state, Stream::Sec, &Vector::new()).unwrap().entries
}

fn batch(number: u64, entries: Vec<Arc<[u8]>>) -> Message {
    Message::Batch(Batch { number, stream: Stream::Sec, entries, kept: None })
}

fn written(number: u128) -> Node {
    let mut node = Node::new(number);
    for round in 0..5 {
        node.write(&[put("user", round, "profile", &format!("\"{number}\""))]).unwrap();
    }
    node
}

#[test]
fn a_batch_that_is_replayed_changes_nothing() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let entries = log_of(&written(9));
    let (mut speaker, _link) = fleet.speaker(&one, 9);
    let (answer, _) = fleet.runtime.block_on(says(&mut speaker, &[hello(9, 1), batch(1, entries.clone())]));
    assert_eq!(answer, None);
    one.until("the batch", |store| store.status().entries >= entries.len() as u64);
    let (state, has) = (one.store.state_hash().unwrap(), one.store.status().entries);

    let again: Vec<Message> = (2..40).map(|number| batch(number, entries.clone())).collect();
    let (answer, heard) = fleet.runtime.block_on(says(&mut speaker, &again));
    assert_eq!(answer, None, "what is here already is acknowledged: {heard:?}");
    let (answer, _) = fleet.runtime.block_on(says(&mut speaker, &[batch(1, entries)]));
    assert!(answer.as_deref().is_some_and(|why| why.contains("a batch came twice")), "{answer:?}");
    settles(&fleet, &one, 0);
    assert_eq!((one.store.state_hash().unwrap(), one.store.status().entries), (state, has));
}

#[test]
fn edited_bytes_of_anothers_log_are_refused_and_kept_as_evidence() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let entries = log_of(&written(3));
    one.store.apply(entries.clone(), now(), true).wait().unwrap();
    let (state, has) = (one.store.state_hash().unwrap(), one.store.status().entries);
    let edited: Vec<Arc<[u8]>> = entries[1..]
        .iter()
        .map(|raw| String::from_utf8_lossy(raw).replace("\"3\"", "\"me\"").into_bytes().into())
        .collect();

    // Each comes alone; after the first the log is left alone on that link, so each has its own.
    for (number, raw) in (0..).zip(&edited) {
        let (mut speaker, link) = fleet.speaker(&one, 9 + number);
        let said = [hello(9 + number, 1), batch(1, vec![raw.clone()])];
        assert_eq!(fleet.runtime.block_on(says(&mut speaker, &said)).0, None);
        let fork = |event| match event {
            Event::Session(peer, Told::Fork { at }) if peer == name(9 + number) => Some(at),
            _ => None,
        };
        assert_eq!(one.told("the fork", fork).dot.node, name(3));
        drop(speaker);
        assert!(matches!(fleet.end(link), Ended::Lost(_)));
    }
    settles(&fleet, &one, 0);
    assert_eq!((one.store.state_hash().unwrap(), one.store.status().entries), (state, has));
    assert_eq!(one.store.status().forks, edited.len() as u64);

    // What others tell of a third makes nobody stand still: the real one speaks as ever.
    let (mut real, _link) = fleet.speaker(&one, 3);
    let (answer, heard) = fleet.runtime.block_on(says(&mut real, &[hello(3, 1)]));
    assert!(answer.is_none() && !heard.iter().any(|message| matches!(message, Message::Nak(_))), "{heard:?}");
}

/// One message of each type, and whether it may be said after a hello.
fn words() -> Vec<(Message, bool)> {
    let at = house::origin(9).log(Stream::Cfg).at(1);
    let places = vec![Refused { at, why: Cause::Gap, have: None }];
    vec![
        (hello(9, 1), false),
        (Message::Vector(VectorPart { stream: Stream::Sec, is_last: true, marks: Vec::new() }), true),
        (batch(1, log_of(&written(9))), true),
        (Message::Ack(Ack { number: 77, stream: Stream::Cfg, marks: Vec::new(), window: 1 << 20 }), false),
        (
            Message::Nak(Nak { number: 77, stream: Stream::Cfg, why: Some("full".to_string()), places: Vec::new() }),
            false,
        ),
        (Message::Nak(Nak { number: 0, stream: Stream::Cfg, why: None, places }), true),
        (Message::Election(election::Message::Nak { seen: Token::NONE }), true),
        (Message::Pong(Pong { number: 77, asked: TIME, heard: TIME, sent: TIME }), true),
        (Message::Unknown { kind: 99 }, true),
    ]
}

#[test]
fn valid_words_in_any_wrong_order_are_answered_with_a_reason() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let words = words();
    let (mut open, mut closed) = (0, 0);
    for first in &words {
        for second in &words {
            for third in &words {
                let said = [&first.0, &second.0, &third.0].map(Clone::clone);
                let is_hello = |word: &Message| matches!(word, Message::Hello(_));
                let is_batch = |word: &Message| matches!(word, Message::Batch(_));
                let is_lawful = is_hello(&said[0])
                    && second.1
                    && third.1
                    && said[1..].iter().filter(|word| is_batch(word)).count() < 2;
                let (mut speaker, link) = fleet.speaker(&one, 9);
                let (answer, _) = fleet.runtime.block_on(says(&mut speaker, &said));
                drop(speaker);
                let ended = fleet.end(link);
                assert_eq!(answer.is_none(), is_lawful, "{said:?}: {answer:?}, {ended:?}");
                match answer {
                    None => open += 1,
                    Some(why) => {
                        let is_reason = matches!(ended, Ended::Closed(Reason::NoHello | Reason::Breach(_)));
                        assert!(is_reason && !why.is_empty(), "{said:?}: {why}, {ended:?}");
                        closed += 1;
                    }
                }
            }
        }
    }

    assert_eq!((open, closed), (35, 9 * 9 * 9 - 35));
    goes_on_after(&fleet, &one, "after all of them");
}
