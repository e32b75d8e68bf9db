//! Two and three nodes that talk: what must be true of a session, whatever is written, delayed or cut.
//!
//! The nodes, their queues and what is checked of every message are in `talk`.

mod house;
mod talk;

use house::{Node, disable, origin, put};
use proptest::prelude::*;
use replicate::core::election::{self, Token};
use replicate::core::entry::{ENTRY_BYTES_MAX, Quality};
use replicate::core::flow::{SEC_RESERVE, WINDOW_INITIAL, WINDOW_MAX};
use replicate::core::id::{LogId, NodeId, Stream};
use replicate::core::message::{Batch, Cause, FleetId, Hello, Message, PROTO_MAX};
use replicate::core::session::{Clock, Input, Limits, Output, Reason, Session, Told};
use replicate::core::view::View;
use replicate::core::wire;
use std::sync::Arc;
use talk::{Way, World, me};

fn journal(node: &mut Node, from: u128, count: u128) {
    let value = format!("\"{}\"", "x".repeat(300));
    for number in 0..count {
        node.write(&[put("audit", from + number, "what", &value)]).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write { node: usize, what: u8, record: u128 },
    Steps { choice: usize, count: usize },
    Cut(usize),
    Join(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 0..5_u8, 0..4_u128).prop_map(|(node, what, record)| Step::Write { node, what, record }),
        4 => (0..12_usize, 1..12_usize).prop_map(|(choice, count)| Step::Steps { choice, count }),
        1 => (0..3_usize).prop_map(Step::Cut),
        1 => (0..3_usize).prop_map(Step::Join),
    ];
    proptest::collection::vec(step, 0..60)
}

fn take(world: &mut World, step: &Step, links: &[Way]) {
    let count = world.nodes.len();
    match step {
        Step::Write { node, what, record } => {
            let node = node % count;
            // Facts and journals have one writer: each node its own records.
            let own = 100 * (node as u128 + 1) + record;
            let draft = match what {
                0 => put("user", *record, "profile", &own.to_string()),
                1 => disable(*record),
                2 => put("plan", *record, "label", &own.to_string()),
                3 => put("fact", own, "facts", "1"),
                _ => put("audit", own, "what", "2"),
            };
            world.write(node, &[draft]);
        }
        Step::Steps { choice, count } => (0..*count).for_each(|turn| {
            if !world.ends.is_empty() {
                world.step(choice + turn);
            }
        }),
        Step::Cut(link) => {
            let (a, b) = links[link % links.len()];
            world.cut(a, b);
        }
        Step::Join(link) => {
            let (a, b) = links[link % links.len()];
            world.cut(a, b);
            world.join(a, b);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nodes_that_have_met_are_equal(steps in steps(), shape in 0..3_usize) {
        // Two nodes; three in a row, where the middle one hands on; three in a ring.
        let links: &[Way] = [&[(0, 1)][..], &[(0, 1), (1, 2)], &[(0, 1), (1, 2), (0, 2)]][shape];
        let mut world = World::new(if shape == 0 { 2 } else { 3 });
        for step in &steps {
            take(&mut world, step, links);
        }
        for (a, b) in links {
            world.cut(*a, *b);
            world.join(*a, *b);
        }
        world.run();
        world.has_converged();
    }

    #[test]
    fn nothing_is_sent_twice_between_two_that_stay_together(steps in steps()) {
        let mut world = World::new(2);
        world.join(0, 1);
        for step in steps.iter().filter(|step| !matches!(step, Step::Cut(_) | Step::Join(_))) {
            take(&mut world, step, &[(0, 1)]);
        }
        world.run();
        world.has_converged();
        prop_assert_eq!(world.duplicates, 0);
        let entries: usize = world.batches.iter().map(|(_, batch)| batch.entries.len()).sum();
        let total: u64 = world.nodes[0].state.heads().unwrap().iter().map(|(_, head)| head.seq).sum();
        prop_assert_eq!(entries as u64, total, "each entry crossed once");
    }
}

#[test]
fn a_batch_is_acknowledged_after_it_is_kept() {
    let mut world = World::new(2);
    let log = world.nodes[0].us.log(Stream::Sec);
    world.join(0, 1);
    while world.hear((0, 1)) || world.hear((1, 0)) {}

    assert!(world.end((1, 0)).waiting.len() == 4 && world.end((0, 1)).waiting.len() == 4);
    assert_eq!(world.end((0, 1)).under_way.len(), 4, "nothing is acknowledged");
    assert_eq!(world.ends[&(0, 1)].session.peer_has(log), 0);
    world.run();
    assert_eq!(world.end((0, 1)).under_way.len(), 0);
    assert_eq!(world.ends[&(0, 1)].session.peer_has(log), 1);
}

#[test]
fn what_came_from_a_peer_is_not_sent_back_to_it() {
    let mut world = World::new(2);
    world.join(0, 1);
    world.run();
    world.batches.clear();
    world.write(0, &[put("plan", 1, "label", "1")]);
    world.run();

    assert_eq!((world.sent((0, 1), Stream::Cfg), world.sent((1, 0), Stream::Cfg)), (1, 0));
}

#[test]
fn what_came_from_one_peer_goes_on_to_another() {
    let mut world = World::new(3);
    world.join(0, 1);
    world.join(1, 2);
    world.run();
    world.batches.clear();
    world.write(0, &[put("plan", 1, "label", "1")]);
    world.run();

    world.has_converged();
    assert_eq!((world.sent((0, 1), Stream::Cfg), world.sent((1, 2), Stream::Cfg)), (1, 1));
}

#[test]
fn access_overtakes_a_long_journal() {
    let mut world = World::new(2);
    journal(&mut world.nodes[0], 1, 3000);
    world.join(0, 1);
    while world.hear((0, 1)) || world.hear((1, 0)) {}
    let before = world.batches.len();
    assert!(world.sent((0, 1), Stream::Jrn) > 0 && world.sent((0, 1), Stream::Jrn) < 3000);
    world.write(0, &[disable(1)]);

    assert_eq!(world.batches.len(), before + 1, "the journal waits for credit");
    assert_eq!(world.batches[before].1.stream, Stream::Sec);
    world.write(0, &[put("plan", 1, "label", "1")]);
    while world.batches.len() == before + 1 {
        world.step(0);
    }
    assert_eq!(world.batches[before + 1].1.stream, Stream::Cfg, "and plans go before it");
    world.run();
    world.has_converged();
}

#[test]
fn a_peer_that_keeps_nothing_gets_no_more_than_its_window() {
    let mut world = World::new(2);
    journal(&mut world.nodes[0], 1, 6000);
    world.join(0, 1);
    while world.hear((0, 1)) || world.hear((1, 0)) {}
    let state = world.end((0, 1)).session.state();

    assert!(state.under_way > 0 && state.under_way <= state.window.0 + SEC_RESERVE);
    assert!(state.lag[3].to_send > 6000);
    assert!(world.end((1, 0)).session.state().applying <= WINDOW_INITIAL + SEC_RESERVE);
    world.run();
    world.has_converged();
    let (window, pace) = world.end((0, 1)).session.state().window;
    assert!((WINDOW_INITIAL..=WINDOW_MAX).contains(&window) && pace > 64 * 1024, "{window} {pace}");
}

#[test]
fn a_peer_that_takes_more_than_its_credit_is_refused() {
    let mut world = World::new(2);
    world.join(0, 1);
    world.run();
    let node = world.nodes[0].us.node;
    let raw = format!(r#"{{"d":["{node}",1,9],"s":"own","x":"{}"}}"#, "x".repeat(ENTRY_BYTES_MAX - 200));
    let batch = |number| Batch { number, stream: Stream::Own, entries: vec![Arc::from(raw.as_bytes())], kept: None };
    for number in 100..120 {
        world.input((1, 0), Input::Heard(Message::Batch(batch(number))));
    }

    assert_eq!(world.end((1, 0)).closed, Some(Reason::BeyondCredit));
    let waiting: usize = world.end((1, 0)).waiting.iter().flat_map(|batch| &batch.entries).map(|raw| raw.len()).sum();
    assert!(waiting as u64 <= WINDOW_INITIAL + SEC_RESERVE);
}

/// Two nodes of one name whose logs part, each known to one of two others.
fn forked() -> World {
    let (mut one, mut other) = (Node::new(7), Node::new(7));
    one.write(&[put("plan", 1, "label", "1")]).unwrap();
    other.write(&[put("plan", 1, "label", "2")]).unwrap();
    let mut world = World::new(2);
    world.nodes[0].pull(&one);
    world.nodes[1].pull(&other);
    world
}

#[test]
fn a_fork_is_told_on_both_sides_and_other_logs_go_on() {
    let mut world = forked();
    let log = LogId { stream: Stream::Cfg, node: NodeId::from_u128(7), inc: 1 };
    world.join(0, 1);
    world.run();
    world.write(0, &[put("plan", 2, "label", "3")]);
    world.write(1, &[put("user", 2, "profile", "4")]);
    world.run();

    for way in [(0, 1), (1, 0)] {
        let forks: Vec<_> = world.told(way).iter().filter(|told| matches!(told, Told::Fork { .. })).collect();
        assert_eq!(forks, [&Told::Fork { at: log.at(2) }]);
        assert_eq!((world.ends[&way].closed.clone(), world.ends[&way].session.state().left_alone), (None, 1));
    }
    assert_eq!(world.nodes[1].values("plan", 2, "label"), ["3"]);
    assert_eq!(world.nodes[0].values("user", 2, "profile"), ["4"]);
    assert_eq!(world.nodes[0].values("plan", 1, "label"), ["1"]);
}

#[test]
fn a_fork_below_the_ends_is_found_by_the_one_who_has_more() {
    let mut world = forked();
    let (mut longer, log) = (Node::new(7), LogId { stream: Stream::Cfg, node: NodeId::from_u128(7), inc: 1 });
    longer.write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "5")]).unwrap();
    world.nodes[0].pull(&longer);
    world.join(0, 1);
    world.run();

    assert!(world.told((0, 1)).contains(&Told::Fork { at: log.at(2) }));
    assert!(world.told((1, 0)).contains(&Told::Fork { at: log.at(2) }));
}

#[test]
fn a_copied_node_is_told_of_and_its_logs_are_left_alone() {
    let mut copy = Node::new(1);
    copy.us.nonce = 99;
    let (mut world, real) = (World::of(vec![copy, Node::new(2)]), Node::new(1));
    world.nodes[1].pull(&real);
    world.join(0, 1);
    world.run();

    let told = Told::Clone { node: real.us.node, inc: 1 };
    assert!(world.told((0, 1)).contains(&told) && world.told((1, 0)).contains(&told));
    assert_eq!(world.nodes[0].state.head(world.nodes[1].us.log(Stream::Cfg)).unwrap().map(|head| head.seq), Some(1));
    assert_eq!(world.ends[&(1, 0)].closed, None);
}

#[test]
fn a_node_whose_memory_is_older_than_it_was_is_told_by_the_vector() {
    let (old, mut young) = (Node::new(1), Node::new(1));
    young.write(&[put("plan", 1, "label", "1")]).unwrap();
    let mut world = World::of(vec![old, Node::new(2)]);
    world.nodes[1].pull(&young);
    world.join(0, 1);
    world.run();
    let at = young.us.log(Stream::Cfg).at(2);

    assert!(world.told((0, 1)).contains(&Told::OurOwnFuture { at }));
    // In a memory nobody continues under the next incarnation: the log is left alone in time, and others go on.
    let left = Told::LeftAlone { log: at.log(), why: Cause::Unfit };
    assert!(world.told((1, 0)).contains(&left));
    assert_eq!(world.nodes[0].state.head(world.nodes[1].us.log(Stream::Cfg)).unwrap().map(|head| head.seq), Some(1));
}

#[test]
fn a_log_that_is_refused_again_and_again_is_left_alone_until_the_next_hello() {
    let mut world = World::new(2);
    world.join(0, 1);
    world.run();
    let bad = world.nodes[0].us.log(Stream::Cfg);
    world.refused.insert(1, bad);
    world.batches.clear();
    world.write(0, &[put("plan", 1, "label", "1")]);
    world.run();
    world.write(0, &[put("plan", 1, "label", "2"), put("user", 1, "profile", "3")]);
    world.run();

    assert_eq!(world.sent((0, 1), Stream::Cfg), Limits::default().refusals_max as usize);
    assert!(world.told((0, 1)).contains(&Told::LeftAlone { log: bad, why: Cause::Unfit }));
    assert_eq!(world.nodes[1].values("user", 1, "profile"), ["3"]);
    world.refused.clear();
    world.cut(0, 1);
    world.join(0, 1);
    world.run();
    world.has_converged();
}

#[test]
fn a_batch_that_was_not_kept_is_sent_again_after_a_wait() {
    let mut world = World::new(2);
    world.join(0, 1);
    world.run();
    world.write(0, &[put("plan", 1, "label", "1")]);
    world.hear((1, 0));
    let batch = world.end((1, 0)).waiting.pop_front().unwrap().batch;
    world.input((1, 0), Input::Applied { batch, applied: Err("the disk is full".to_string()) });
    world.write(0, &[put("plan", 1, "label", "2")]);
    world.run();

    let not_kept = |is_at_peer| Told::NotKept { stream: Stream::Cfg, is_at_peer, why: "the disk is full".to_string() };
    assert!(world.told((0, 1)).contains(&not_kept(true)) && world.told((1, 0)).contains(&not_kept(false)));
    let (at_ms, why) = world.end((0, 1)).session.poll_timeout().unwrap();
    assert_eq!((at_ms, why), (world.now_ms + Limits::default().retry_ms, "sending again what was not kept"));
    assert_eq!(world.nodes[1].values("plan", 1, "label"), Vec::<String>::new());
    world.pass(Limits::default().retry_ms);
    world.run();
    world.has_converged();
}

#[test]
fn a_stream_that_is_not_wanted_is_not_sent() {
    let mut world = World::new(2);
    world.wants[1] = vec![Stream::Sec, Stream::Cfg];
    world.join(0, 1);
    world.run();

    assert_eq!((world.sent((0, 1), Stream::Cfg), world.sent((0, 1), Stream::Own)), (1, 0));
    assert_eq!((world.sent((1, 0), Stream::Own), world.sent((1, 0), Stream::Jrn)), (1, 1));
    let raw: Arc<[u8]> = Arc::from(&b"{}"[..]);
    let batch = Batch { number: 50, stream: Stream::Own, entries: vec![raw], kept: None };
    world.input((1, 0), Input::Heard(Message::Batch(batch)));
    assert!(matches!(world.end((1, 0)).closed, Some(Reason::Breach(_))));
}

fn hello_of(world: &mut World) -> Box<Hello> {
    world.join(0, 1);
    let bytes = world.end((1, 0)).heard.pop_front().unwrap();
    let Ok(Message::Hello(hello)) = wire::decode(&bytes) else { panic!("no hello") };
    hello
}

#[test]
fn a_stranger_is_sent_away_with_a_reason() {
    let mut world = World::new(2);
    let hello = hello_of(&mut world);
    let own = world.nodes[1].us.node;
    let (fleet, third) = (FleetId::from_u128(2), NodeId::from_u128(3));
    let cases = [
        (Hello { fleet, ..*hello.clone() }, Reason::OtherFleet { theirs: fleet }),
        (Hello { node: third, ..*hello.clone() }, Reason::OtherNode { says: third }),
        (Hello { node: own, ..*hello.clone() }, Reason::OwnNode),
        (Hello { proto: (PROTO_MAX + 1, 9), ..*hello.clone() }, Reason::OtherProtocol { theirs: (PROTO_MAX + 1, 9) }),
        (Hello { proto: (1, 0), ..*hello.clone() }, Reason::OtherProtocol { theirs: (1, 0) }),
    ];
    for (hello, reason) in cases {
        let mut world = World::new(2);
        world.join(0, 1);
        world.input((1, 0), Input::Heard(Message::Hello(Box::new(hello))));
        assert!(reason.to_string().len() <= 123 && reason.to_string().contains(' '), "{reason}");
        assert_eq!(world.end((1, 0)).closed, Some(reason));
        assert!(world.told((1, 0)).is_empty());
    }
    let later = Hello { proto: (1, 7), ..*hello };
    world.input((1, 0), Input::Heard(Message::Hello(Box::new(later))));
    assert_eq!((world.end((1, 0)).closed.clone(), world.end((1, 0)).session.state().proto), (None, PROTO_MAX));
}

#[test]
fn a_node_that_dials_itself_is_sent_away() {
    let mut session = Session::new(me(&Node::new(1), &Stream::ALL), Limits::default());
    session.input(0, Input::Opened { peer: origin(1).node }, &Node::new(1).state).unwrap();
    assert_eq!(session.poll_output(), Some(Output::Close(Reason::OwnNode)));
}

#[test]
fn who_does_not_say_hello_is_sent_away() {
    let limits = Limits::default();
    let mut world = World::new(2);
    world.join(0, 1);
    let due = world.now_ms + limits.hello_ms;
    assert_eq!(world.end((0, 1)).session.poll_timeout(), Some((due, "the peer's hello")));
    world.pass(limits.hello_ms - 1);
    assert_eq!(world.end((0, 1)).closed, None);
    world.pass(1);
    assert_eq!(world.end((0, 1)).closed, Some(Reason::NoHello));

    let mut world = World::new(2);
    let raw = Message::Unknown { kind: 99 };
    world.join(0, 1);
    world.input((0, 1), Input::Heard(raw));
    assert_eq!(world.end((0, 1)).closed, Some(Reason::NoHello));
}

#[test]
fn a_silent_peer_is_asked_and_then_left() {
    let limits = Limits::default();
    let mut world = World::new(2);
    world.join(0, 1);
    world.run();
    for _ in 0..10 {
        world.pass(limits.ping_ms);
        world.run();
    }
    assert_eq!(world.end((0, 1)).closed, None, "a peer that answers is there");
    let due = world.now_ms + limits.ping_ms;
    assert_eq!(world.end((0, 1)).session.poll_timeout(), Some((due, "asking whether the peer is there")));

    world.pass(limits.ping_ms);
    world.pass(limits.silence_ms - limits.ping_ms - 1);
    assert_eq!(world.end((0, 1)).closed, None);
    world.pass(1);
    assert_eq!(world.end((0, 1)).closed, Some(Reason::Silent { for_ms: limits.silence_ms }));
    assert_eq!(world.end((0, 1)).session.poll_timeout(), None);
}

#[test]
fn the_peers_clock_is_known_by_four_readings() {
    let mut world = World::new(2);
    world.join(0, 1);
    world.input((1, 0), Input::Clock(Clock { wall_at_zero_ms: 90_000, q: Quality::Unset }));
    world.hear((0, 1));
    world.now_ms += 10;
    while world.hear((1, 0)) {}
    world.now_ms += 10;
    while world.hear((0, 1)) {}

    let offset = world.end((0, 1)).session.state().offset.unwrap();
    assert_eq!((offset.ms, offset.delay_ms, offset.q), (90_000, 20, Quality::Unset));
}

#[test]
fn words_of_the_election_go_through() {
    let mut world = World::new(2);
    let message = election::Message::Nak { seen: Token { epoch: 5, node: origin(1).node, inc: 1 } };
    world.join(0, 1);
    world.input((0, 1), Input::Say(message.clone()));
    world.run();
    assert!(!world.told((1, 0)).contains(&Told::Election(message.clone())), "before hellos nothing is said");
    world.input((0, 1), Input::Say(message.clone()));
    world.run();
    assert!(world.told((1, 0)).contains(&Told::Election(message)));
    assert!(matches!(&world.told((1, 0))[0], Told::Hello(hello) if hello.seen.epoch == 1));
}

#[test]
fn outputs_that_nobody_takes_close_the_link() {
    let (node, other) = (Node::new(1), Node::new(2));
    let mut session = Session::new(me(&node, &Stream::ALL), Limits::default());
    session.input(0, Input::Opened { peer: other.us.node }, &node.state).unwrap();
    let mut world = World::new(2);
    let hello = Hello { node: other.us.node, ..*hello_of(&mut world) };
    session.input(0, Input::Heard(Message::Hello(Box::new(hello))), &node.state).unwrap();
    let message = election::Message::Nak { seen: Token { epoch: 5, node: node.us.node, inc: 1 } };
    for _ in 0..5000 {
        session.input(0, Input::Say(message.clone()), &node.state).unwrap();
    }
    let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
    assert_eq!(outputs.last(), Some(&Output::Close(Reason::NotTaken)));
    assert_eq!(outputs.len(), replicate::core::session::OUTPUTS_MAX + 1);
}
