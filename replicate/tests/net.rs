//! Real hubs over pipes and loopback TCP: what is written on one is on all, strangers cost little, and links end well.

mod fleet;
mod house;

use fleet::*;
use futures_util::{SinkExt, StreamExt};
use house::put;
use replicate::core::election::{Gated, Role, Token};
use replicate::core::entry::Quality;
use replicate::core::id::{BootId, Stream};
use replicate::core::message::{FleetId, Hello, Message, Ping, Time};
use replicate::core::session::{Limits, Reason};
use replicate::core::wire::{self, FLAG_ZSTD, Header, MESSAGE_BYTES_MAX};
use replicate::disk::store::Store;
use replicate::net::{Ended, Event};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

#[test]
fn what_one_writes_is_on_the_other() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.node(1), fleet.node(2));
    one.label(1, "before the link");
    let _links = fleet.pipe(&one, &two);
    two.until("what was there", |_| two.value("plan", 1, "label").is_some());
    two.label(2, "while it is up");
    one.until_like(&two);

    assert_eq!(one.value("plan", 2, "label").as_deref(), Some("\"while it is up\""));
    fleet.until(&one, "both have sent, and nothing is under way", |standing| {
        let traffic = standing.traffic;
        let is_in_step = standing.peers.values().all(|peer| peer.is_in_step());
        is_in_step && traffic.entries_out > 0 && traffic.entries_in > 0 && traffic.wire_out > 0
    });
}

#[test]
fn a_third_learns_through_a_second() {
    let fleet = Fleet::new();
    let nodes = [1, 2, 3].map(|number| fleet.node(number));
    let [one, two, three] = &nodes;
    let _links = [fleet.pipe(one, two), fleet.tcp(two, three)];
    one.label(1, "from far away");
    three.write(&[put("user", 2, "profile", "\"Ada\"")]);
    three.until_like(one);
    one.until_like(three);

    assert_eq!(three.value("plan", 1, "label").as_deref(), Some("\"from far away\""));
    assert_eq!(one.value("user", 2, "profile").as_deref(), Some("\"Ada\""));
}

#[test]
fn five_nodes_become_the_same() {
    let fleet = Fleet::new();
    let nodes: Vec<Running> = (1..=5).map(|number| fleet.node(number)).collect();
    let mut links = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        links.extend(nodes[index + 1..].iter().map(|other| fleet.tcp(node, other)));
    }
    for round in 0..40 {
        for (index, node) in nodes.iter().enumerate() {
            node.label(round % 7, &format!("{round} by {index}"));
            node.write(&[put("audit", round * 10 + index as u128, "what", "1"), put("user", round, "cred_gen", "1")]);
        }
    }
    for node in &nodes {
        // Each wrote 40 of these and opened its log.
        let has_all =
            |store: &Store| store.vector(Stream::Jrn).unwrap().values().map(|mark| mark.seq).sum::<u64>() == 205;
        node.until("every entry of the journal", has_all);
        nodes[0].until_like(node);
    }
    assert_eq!(nodes[0].value("user", 39, "cred_gen").as_deref(), Some("1"));
}

#[test]
fn of_two_links_the_one_of_the_lesser_node_stays() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.node(1), fleet.node(2));
    let [two_dialled, one_was_dialled] = fleet.pipe(&two, &one);
    fleet.until(&one, "the first link", talks_to(2));
    fleet.until(&two, "the first link", talks_to(1));
    let stays = fleet.pipe(&one, &two);

    assert_eq!(fleet.end(two_dialled), Ended::Second);
    assert_eq!(fleet.end(one_was_dialled), Ended::Second);
    fleet.until(&one, "our own dial", |standing| standing.peers.values().all(|peer| peer.is_dialled_by_us));
    let again = fleet.pipe(&two, &one);
    for link in again {
        assert_eq!(fleet.end(link), Ended::Second);
    }
    assert!(stays.iter().all(|link| !link.is_finished()));
    let unlinked = one.events.try_iter().filter(|event| matches!(event, Event::Unlinked { .. }));
    assert_eq!(unlinked.count(), 0, "the node was in reach all the time");
}

#[test]
fn a_retired_nodes_link_is_closed_and_it_gets_no_other() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.node(1), fleet.node(2));
    let [_, at_two] = fleet.pipe(&one, &two);
    fleet.until(&one, "the link", talks_to(2));
    one.hub.roster(roster([1, 3]));

    assert!(matches!(fleet.end(at_two), Ended::ByPeer(why) if why.contains("not a member")));
    let [at_one, _] = fleet.pipe(&one, &two);
    assert_eq!(fleet.end(at_one), Ended::NoMember);
}

#[test]
fn a_link_is_ended_on_demand_and_with_the_hub() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.node(1), fleet.node(2));
    let [at_one, _] = fleet.pipe(&one, &two);
    fleet.until(&one, "the link", talks_to(2));
    one.hub.disconnect(two.name);
    assert_eq!(fleet.end(at_one), Ended::Disconnected);

    let [at_one, at_two] = fleet.pipe(&one, &two);
    fleet.until(&one, "the link", talks_to(2));
    one.hub.stop();
    assert_eq!(fleet.end(at_one), Ended::Stopped);
    assert_eq!(fleet.end(at_two), Ended::PeerStopped);
    let [after, at_two] = fleet.pipe(&one, &two);
    assert_eq!(fleet.end(after), Ended::Stopped);
    assert_eq!(fleet.end(at_two), Ended::PeerStopped);
}

#[test]
fn no_more_links_than_wanted() {
    let fleet = Fleet::new();
    let one = fleet.node_with(1, Wish { links_max: 1, ..Wish::default() });
    let (two, three) = (fleet.node(2), fleet.node(3));
    let _first = fleet.pipe(&one, &two);
    fleet.until(&one, "the first link", talks_to(2));
    let [at_one, _] = fleet.pipe(&one, &three);

    assert_eq!(fleet.end(at_one), Ended::TooMany);
}

#[test]
fn another_fleets_node_is_told_so() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let two = fleet.node_with(2, Wish { fleet: 2, ..Wish::default() });
    let ends = fleet.pipe(&one, &two).map(|link| fleet.end(link));

    assert!(ends.iter().any(|end| matches!(end, Ended::Closed(Reason::OtherFleet { .. }))), "{ends:?}");
}

#[test]
fn a_coordinator_is_found_and_when_it_dies_another() {
    let fleet = Fleet::new();
    let mut nodes: Vec<Running> = (1..=3).map(|number| fleet.node(number)).collect();
    let mut links = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        links.extend(nodes[index + 1..].iter().map(|other| fleet.tcp(node, other)));
    }
    nodes.iter().for_each(|node| node.hub.roster(roster(1..=3)));
    fleet.until(&nodes[0], "the first coordinates", |standing| standing.election.followed == Some(3));
    for node in &nodes[1..] {
        let follows = |standing: &replicate::net::Standing| matches!(standing.election.role, Role::Follower { token, .. } if token.node == name(1));
        fleet.until(node, "the others follow", follows);
    }
    let first = nodes[0].hub.look().election.seen;
    assert_eq!(nodes[0].hub.may(Gated::PurgeRecordings), Ok(()));
    assert_eq!(nodes[1].hub.allows(first), Ok(()));
    assert_eq!(nodes[0].kept.lock().unwrap().last(), Some(&first));

    let dead = nodes.remove(0);
    dead.hub.stop();
    drop(dead);
    fleet.until(&nodes[0], "the second takes over", |standing| standing.election.followed == Some(2));
    assert!(nodes[0].is_coordinator() && nodes[0].hub.look().election.seen > first);
    assert_eq!(nodes[0].hub.allows(first), Err(nodes[0].hub.look().election.seen));
    nodes[0].hub.hand_over(name(3));
    fleet.until(&nodes[1], "the third was given it", |standing| standing.election.followed == Some(2));
}

/// What a stranger does to a node that has a good link beside.
fn with_a_stranger(limits: Limits, does: impl AsyncFnOnce(&mut DuplexStream)) -> Ended {
    let fleet = Fleet::new();
    let one = fleet.node_with(1, Wish { limits, ..Wish::default() });
    let (mut stranger, link) = fleet.stranger(&one, 9);
    fleet.runtime.block_on(does(&mut stranger));
    let ended = fleet.end(link);
    let two = fleet.node(2);
    let _links = fleet.pipe(&one, &two);
    one.label(1, "still here");
    two.until_like(&one);
    ended
}

#[test]
fn garbage_closes_the_link() {
    let ended = with_a_stranger(Limits::default(), async |stranger| {
        stranger.write_all(&[0x5a; 4096]).await.unwrap();
    });

    assert!(matches!(ended, Ended::Broken(_)), "{ended:?}");
}

#[test]
fn a_frame_that_claims_to_be_giant_closes_the_link() {
    let ended = with_a_stranger(Limits::default(), async |stranger| {
        let header = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[1, 2, 3, 4]].concat();
        stranger.write_all(&header).await.unwrap();
    });

    assert!(matches!(&ended, Ended::Broken(why) if why.contains("too long")), "{ended:?}");
}

#[test]
fn who_does_not_finish_its_hello_is_not_waited_for() {
    let limits = Limits { hello_ms: 300, ..Limits::default() };
    let ended = with_a_stranger(limits, async |stranger| {
        // The first of two frames, of which half comes.
        stranger.write_all(&[0x02, 0xff, 0, 0, 0, 0, 0, 0, 0x10, 0, 1, 2, 3, 4, 5, 6, 7]).await.unwrap();
    });

    assert_eq!(ended, Ended::Closed(Reason::NoHello));
}

#[test]
fn who_hangs_up_is_gone() {
    let ended = with_a_stranger(Limits::default(), async |stranger| stranger.shutdown().await.unwrap());

    assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
}

/// How a link ends over which these frames come.
fn with_frames(frames: Vec<Frame>) -> Ended {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let (mut speaker, link) = fleet.speaker(&one, 9);
    fleet.runtime.block_on(async {
        for frame in frames {
            let _ = speaker.send(frame).await;
        }
    });
    fleet.end(link)
}

fn message(kind: u8, flags: u8, stream: u16, raw_bytes: usize, body: &[u8]) -> Frame {
    Frame::Binary([&Header { kind, flags, stream, raw_bytes }.bytes()[..], body].concat().into())
}

#[test]
fn what_is_no_message_closes_the_link() {
    let bomb = zstd::bulk::compress(&vec![b' '; 64 * MESSAGE_BYTES_MAX], 3).unwrap();
    for (what, frame) in [
        ("a text", Frame::Text("hello".into())),
        ("no header", Frame::Binary(vec![1, 2].into())),
        ("a long claim", message(3, 0, 1, MESSAGE_BYTES_MAX + 1, b"{}")),
        ("another length", message(3, 0, 1, 7, b"{}")),
        ("a long message", Frame::Binary(vec![0; 2 * MESSAGE_BYTES_MAX].into())),
        ("a bomb", message(3, FLAG_ZSTD, 1, 100, &bomb)),
        ("a bomb that tells its size", message(3, FLAG_ZSTD, 1, 64 * MESSAGE_BYTES_MAX, &bomb)),
        ("no zstd", message(3, FLAG_ZSTD, 1, 100, b"not what zstd makes")),
        ("a zipped hello", message(1, FLAG_ZSTD, 0xffff, 2, &zstd::bulk::compress(b"{}", 3).unwrap())),
        ("zipped secrets", message(3, FLAG_ZSTD, 0, 2, &zstd::bulk::compress(b"{}", 3).unwrap())),
    ] {
        let ended = with_frames(vec![frame]);
        assert!(matches!(ended, Ended::Broken(_)), "{what}: {ended:?}");
    }
    let early = Message::Ping(Ping { number: 1, sent: Time { wall: 0, q: Quality::Unset } });
    assert_eq!(with_frames(vec![Frame::Binary(wire::encode(&early).into())]), Ended::Closed(Reason::NoHello));
}

fn hello(node: u128) -> Frame {
    let hello = Hello {
        proto: (1, 1),
        fleet: FleetId::from_u128(1),
        node: name(node),
        inc: 1,
        nonce: 9,
        boot: BootId([0; 16]),
        build: "a stranger".to_string(),
        kinds: BTreeMap::new(),
        features: Vec::new(),
        wants: Vec::new(),
        seen: Token::NONE,
        time: Time { wall: 0, q: Quality::Unset },
        floor: Vec::new(),
        stands: None,
    };
    Frame::Binary(wire::encode(&Message::Hello(Box::new(hello))).into())
}

#[test]
fn who_asks_and_never_listens_is_let_go() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let (mut speaker, link) = fleet.speaker(&one, 9);
    let ping = wire::encode(&Message::Ping(Ping { number: 1, sent: Time { wall: 0, q: Quality::Unset } }));
    // Its answers fill the pipe, then the link's row, then the session's; what it asks is still read.
    let asking = async |speaker: &mut WebSocketStream<DuplexStream>| {
        speaker.send(hello(9)).await?;
        for _ in 0..100_000 {
            speaker.feed(Frame::Binary(ping.clone().into())).await?;
        }
        Ok(())
    };
    // It ends when the link does, or with the last of the hundred thousand: a link that closes still reads for a second.
    let _: Result<(), tokio_tungstenite::tungstenite::Error> = fleet.runtime.block_on(asking(&mut speaker));

    assert_eq!(fleet.end(link), Ended::Closed(Reason::NotTaken));
    let sent = one.hub.look().traffic;
    assert!(sent.raw_out < 1024 * 1024, "{sent:?}");
}

#[test]
fn a_peer_that_closes_hears_why_we_do() {
    let fleet = Fleet::new();
    let one = fleet.node(1);
    let (mut speaker, link) = fleet.speaker(&one, 9);
    let reason = fleet.runtime.block_on(async {
        speaker.send(hello(8)).await.unwrap();
        while let Some(Ok(frame)) = speaker.next().await {
            if let Frame::Close(frame) = frame {
                return frame.unwrap().reason.to_string();
            }
        }
        String::new()
    });

    assert!(reason.contains("its key is another node's"), "{reason:?}");
    assert_eq!(fleet.end(link), Ended::Closed(Reason::OtherNode { says: name(8) }));
    let (mut silent, link) = fleet.stranger(&one, 9);
    fleet.runtime.block_on(async {
        let mut first = [0; 1];
        silent.read_exact(&mut first).await.unwrap();
    });
    drop(silent);
    assert!(matches!(fleet.end(link), Ended::Lost(_)));
}
