//! The floor: what nothing needs leaves the logs, and no record notices; who was away comes back without bringing old
//! state with it; who has nothing begins with what others kept.
//!
//! Scenes first; then random histories with floors at any time, held against an observer that keeps everything.

mod house;
mod talk;

use house::*;
use proptest::prelude::*;
use replicate::core::entry::Entry;
use replicate::core::exchange::vector;
use replicate::core::floor::{self, Due, Stage};
use replicate::core::id::{Dot, Position, Stream};
use replicate::core::log::{Accepted, Refusal};
use replicate::core::rebuild;
use replicate::core::session::Told;
use replicate::core::view::View;
use replicate::core::write::{BadAct, Draft};
use talk::{Way, World};

/// Nodes 1 to `count` that have heard each other.
fn fleet(count: u128) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=count).map(Node::new).collect();
    heal(&mut nodes);
    nodes
}

/// The first says where the floor is, all hear it and take it. Returns what left at the first.
fn lower(nodes: &mut [Node]) -> Vec<Position> {
    heal(nodes);
    let (first, others) = nodes.split_first_mut().unwrap();
    first.advance(&others.iter().collect::<Vec<_>>());
    heal(nodes);
    let left: Vec<Vec<Position>> = nodes.iter_mut().map(|node| node.collect().unwrap()).collect();
    assert!(left.iter().all(|rows| *rows == left[0]));
    left[0].clone()
}

fn is_sound(node: &Node) {
    rebuild::verify(&node.state).unwrap();
    for limit in [1, 7, 1000] {
        assert!(node.rebuilt(limit) == node.state, "records are not what the logs say");
    }
}

#[test]
fn what_was_replaced_leaves_and_no_record_notices() {
    let mut nodes = fleet(3);
    for round in 0..20 {
        nodes[round % 3].write(&[put("plan", 1, "label", &round.to_string()), put("fact", 1, "facts", "7")]).unwrap();
        heal(&mut nodes);
    }
    let state = nodes[0].state_hash();
    let left = lower(&mut nodes);

    assert_eq!(left.len(), 38, "all but the last of each");
    for node in &nodes {
        assert_eq!(node.state_hash(), state);
        assert_eq!(node.values("plan", 1, "label"), ["19"]);
        assert!(left.iter().all(|at| node.state.entry(*at).unwrap().is_none()));
        is_sound(node);
    }
    assert!(nodes.iter().all(|node| node.kept() == nodes[0].kept()));
}

#[test]
fn a_floor_goes_no_further_than_the_slowest_and_never_down() {
    let mut nodes = fleet(3);
    let ahead = |node: &mut Node| (0..5).for_each(|n| drop(node.write(&[put("plan", 1, "label", &n.to_string())])));
    ahead(&mut nodes[0]);
    let [first, second, third] = &mut nodes[..] else { panic!() };
    second.pull(first);
    first.advance(&[second, third]);
    let left = first.collect().unwrap();
    assert_eq!(left, [], "the third has none of it");
    second.pull(first);
    assert!(second.collect().is_some());
    assert_eq!(floor::due(&third.state).unwrap(), Due::Nothing, "nobody has told it");

    heal(&mut nodes);
    let third = nodes[2].collect().unwrap();
    assert_eq!(third, []);
    assert_eq!(lower(&mut nodes).len(), 4);
    let mut behind = Node::new(2);
    behind.pull(&Node::new(3));
    let before = nodes[0].state.floor().unwrap().unwrap();
    nodes[0].advance(&[&behind]);
    nodes[0].collect().unwrap();
    let after = nodes[0].state.floor().unwrap().unwrap();
    assert!(before.floor.marks.iter().all(|(log, mark)| after.floor.end(*log) >= mark.seq));
}

#[test]
fn a_floor_that_lies_about_what_is_here_waits() {
    let mut nodes = fleet(2);
    let mut stranger = Node::new(3);
    nodes[0].pull(&stranger);
    nodes[1].pull(&stranger);
    stranger.pull(&nodes[0]);
    stranger.write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    stranger.advance(&[]);
    // Its `sec` comes before its `cfg`.
    for raw in nodes[0].lacks(&stranger, Stream::Sec) {
        nodes[0].hear(&raw).unwrap();
    }
    assert!(nodes[0].collect().is_none());
    nodes[0].pull(&stranger);
    assert_eq!(nodes[0].collect().unwrap().len(), 1);
}

#[test]
fn what_a_deletion_and_a_flag_stand_on_stays() {
    let mut nodes = fleet(2);
    nodes[0].write(&[put("plan", 1, "label", "1"), put("user", 1, "profile", "1"), disable(1)]).unwrap();
    heal(&mut nodes);
    nodes[1].write(&[delete("plan", 1), enable(1), disable(1), delete("user", 1), restore("user", 1)]).unwrap();
    let left = lower(&mut nodes);

    // The first disabling, the enabling of it, and the deletion that was taken back.
    assert_eq!(left.len(), 3);
    for node in &nodes {
        assert!(node.record("plan", 1).is_deleted() && node.record("user", 1).is_disabled("access"));
        is_sound(node);
    }
    nodes[1].write(&[restore("plan", 1)]).unwrap();
    assert_eq!(nodes[1].values("plan", 1, "label"), ["1"]);
}

#[test]
fn who_replaced_what_is_still_to_come_stays_until_it_has_come() {
    let mut nodes = fleet(3);
    nodes[2].write(&[put("plan", 1, "label", "1")]).unwrap();
    let [a, b, c] = &mut nodes[..] else { panic!() };
    b.pull(c);
    b.write(&[put("plan", 1, "label", "2"), put("plan", 1, "label", "3")]).unwrap();
    // `a` hears what b wrote before what b replaced.
    for raw in a.lacks(b, Stream::Cfg) {
        if Entry::parse(&raw).unwrap().at.dot.node == b.us.node {
            a.hear(&raw).unwrap();
        }
    }
    assert_eq!(a.dooms(), 1);
    a.advance(&[]);
    let left = a.collect().unwrap();
    assert_eq!(left, [], "its second entry replaced the first, which has to meet what it replaced");
    a.pull(c);
    assert_eq!(a.values("plan", 1, "label"), ["3"]);
    is_sound(a);
}

#[test]
fn a_fence_that_comes_late_stands_at_the_floor() {
    let mut nodes = fleet(3);
    nodes[1].write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    // Written before its author knew, and heard when all others had taken the floor.
    let mut lapsed = nodes[2].clone();
    lapsed.write(&[fence(2, 1, 1)]).unwrap();
    assert_eq!(lower(&mut nodes).len(), 1);
    nodes[1].write(&[put("plan", 1, "label", "3")]).unwrap();
    let second = nodes[1].clone();
    nodes[0].pull(&second);
    assert_eq!(nodes[0].values("plan", 1, "label"), ["3"]);
    nodes[0].pull(&lapsed);

    assert_eq!(
        nodes[0].values("plan", 1, "label"),
        ["2"],
        "what is above the floor does not count, what is below does"
    );
    is_sound(&nodes[0]);
    // Who hears the fence first and takes the floor then has the same.
    let mut other = fleet(3).remove(0);
    other.pull(&lapsed);
    let mut whole = fleet(3);
    whole[1].write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    other.pull(&whole[1]);
    assert_eq!(other.values("plan", 1, "label"), [""; 0]);
    other.advance(&[]);
    let own = other.state.proposed().unwrap().unwrap();
    assert_eq!(own.ends[&whole[1].us.log(Stream::Cfg)], 1, "no floor goes beyond a fence");
}

#[test]
fn taking_a_floor_makes_a_fence_that_is_below_it_stand_there() {
    let mut nodes = fleet(3);
    nodes[1].write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    heal(&mut nodes);
    let [a, b, c] = &mut nodes[..] else { panic!() };
    a.advance(&[b, c]);
    b.pull(a);
    c.write(&[fence(2, 1, 1)]).unwrap();
    b.pull(c);
    assert_eq!(b.values("plan", 1, "label"), [""; 0], "it has not taken the floor yet");
    b.collect().unwrap();
    a.collect().unwrap();
    a.pull(c);

    for node in [&*a, &*b] {
        assert_eq!(node.values("plan", 1, "label"), ["2"]);
        is_sound(node);
    }
    assert_eq!(a.kept(), b.kept());
}

#[test]
fn a_floor_that_a_retired_node_says_is_none() {
    let mut nodes = fleet(3);
    let retirement = retire(2, &nodes[0]);
    nodes[0].write(&[retirement]).unwrap();
    nodes[1].write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    nodes[1].advance(&[]);
    let retired = nodes[1].clone();
    nodes[0].pull(&retired);
    assert!(nodes[0].collect().is_none());
    nodes[0].advance(&[]);
    nodes[0].collect().unwrap();
    assert_eq!(nodes[0].values("plan", 1, "label"), [""; 0]);
}

#[test]
fn what_has_left_is_known_when_it_is_heard_again_and_a_fork_at_the_floor_is_found() {
    let mut nodes = fleet(2);
    let old = nodes[1].clone();
    nodes[1].write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    let whole = nodes[1].clone();
    let left = lower(&mut nodes);
    let raw = whole.state.entry(left[0]).unwrap().unwrap();
    assert_eq!(nodes[0].hear(&raw), Ok(Accepted::Duplicate));

    let mut fork = old;
    fork.write(&[put("plan", 7, "label", "1"), put("plan", 7, "label", "2"), put("plan", 7, "label", "3")]).unwrap();
    let at = fork.us.log(Stream::Cfg).at(4);
    let raw = fork.state.entry(at).unwrap().unwrap();
    assert_eq!(nodes[0].hear(&raw), Err(Refusal::Fork { at }));
}

#[test]
fn a_node_that_has_nothing_is_filled_and_has_what_all_have() {
    for limit in [1, 2, 100] {
        let mut nodes = fleet(3);
        for round in 0..9_usize {
            let number = round as u128 % 2;
            nodes[round % 3].write(&[put("plan", number, "label", &round.to_string()), disable(number)]).unwrap();
            heal(&mut nodes);
            nodes[(round + 1) % 3].write(&[enable(number), put("fact", 100 + number, "facts", "1")]).unwrap();
            heal(&mut nodes);
        }
        nodes[0].write(&[delete("plan", 0)]).unwrap();
        assert!(lower(&mut nodes).len() > 20);
        let mut fresh = Node::new(9);
        assert!(fresh.fill_from(&nodes[1], limit));

        assert_eq!(fresh.state.floor().unwrap(), nodes[1].state.floor().unwrap());
        assert_eq!(fresh.kept(), nodes[1].kept());
        assert_eq!((fresh.state_hash(), fresh.dooms()), (nodes[1].state_hash(), 0));
        is_sound(&fresh);
        nodes[2].write(&[put("plan", 1, "label", "77")]).unwrap();
        fresh.pull(&nodes[2]);
        assert_eq!(fresh.values("plan", 1, "label"), ["77"]);
        // It takes part from then on.
        nodes.push(fresh);
        heal(&mut nodes);
        let state = nodes[0].state_hash();
        assert!(!lower(&mut nodes).is_empty());
        assert!(nodes.iter().all(|node| node.state_hash() == state));
    }
}

#[test]
fn while_it_is_filled_it_takes_what_is_below_from_nobody_else() {
    let mut nodes = fleet(2);
    nodes[0]
        .write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2"), put("plan", 1, "label", "3")])
        .unwrap();
    heal(&mut nodes);
    let whole = nodes[0].clone();
    lower(&mut nodes);
    let mut fresh = Node::new(9);
    let floor = nodes[0].state.floor().unwrap().unwrap().floor;
    assert!(fresh.stage(|staged, _| floor::fill::begin(staged, &floor)).unwrap());
    for raw in fresh.lacks(&whole, Stream::Cfg) {
        let at = Entry::parse(&raw).unwrap().at;
        let said = fresh.hear(&raw);
        assert!(matches!(said, Err(Refusal::BelowTheFloor { .. })), "{at}: {said:?}");
    }
    assert_eq!(fresh.state.floor().unwrap().unwrap().stage, Stage::Filling);
    let (us, clock) = (fresh.us, fresh.clock);
    let next = floor::advance::Next { number: 2, ends: Default::default(), moved: 0 };
    let refused = fresh.stage(|staged, schema| floor::advance::write(staged, schema, us, clock, (1, &next)));
    assert!(matches!(refused, Err(BadAct::BadValue(_))), "it says nothing of the floor itself");

    // Another floor is not taken either, nor one by a node that has something.
    nodes[0].write(&[put("plan", 1, "label", "4")]).unwrap();
    let mut later = nodes.clone();
    lower(&mut later);
    assert!(!fresh.fill_from(&later[0], 100));
    assert!(fresh.fill_from(&nodes[0], 100));
    assert!(!later[1].clone().fill_from(&nodes[0], 100));
    let mut half = Node::new(8);
    half.pull(&Node::new(2));
    assert!(!half.fill_from(&nodes[0], 100));
}

// Over links.

/// A fleet at a floor, and somebody who was away meanwhile: it wrote, and knows what was replaced and deleted since.
fn after_an_absence() -> (Vec<Node>, Node) {
    let mut nodes = fleet(4);
    nodes[0]
        .write(&[put("plan", 1, "label", "1"), put("plan", 2, "label", "1"), put("user", 1, "profile", "1")])
        .unwrap();
    nodes[0].write(&[put("plan", 2, "label", "2"), put("user", 1, "profile", "2")]).unwrap();
    heal(&mut nodes);
    let mut away = nodes.pop().unwrap();
    nodes[1]
        .write(&[disable(1), put("plan", 1, "label", "2"), put("plan", 1, "label", "3"), delete("plan", 2)])
        .unwrap();
    nodes[1].write(&[enable(1), disable(1)]).unwrap();
    away.write(&[put("plan", 3, "label", "7"), put("plan", 1, "timing", "8"), put("fact", 9, "facts", "9")]).unwrap();
    assert!(lower(&mut nodes).len() >= 5);
    (nodes, away)
}

fn is_told_below(world: &World, way: Way) -> bool {
    world.told(way).iter().any(|told| matches!(told, Told::BelowFloor { .. }))
}

#[test]
fn who_comes_back_from_below_loses_nothing_it_did_and_brings_nothing_back() {
    let (nodes, away) = after_an_absence();
    let mut world = World::of(vec![nodes[0].clone(), nodes[1].clone(), away]);
    world.join(0, 1);
    world.join(2, 0);
    world.run();
    assert!(is_told_below(&world, (2, 0)));
    assert_eq!(world.sent((0, 2), Stream::Sec) + world.sent((0, 2), Stream::Cfg), 0, "it is sent nothing");
    let records = &world.nodes[2].state;
    assert!(world.ends[&(2, 0)].session.handed_on(records).unwrap().is_all(records).unwrap());

    // It begins anew under another name.
    world.cut(0, 2);
    let mut anew = Node::new(4);
    (anew.us.inc, anew.us.nonce, anew.state) = (2, 44, Default::default());
    let (us, clock) = (anew.us, anew.clock);
    anew.stage(|staged, schema| replicate::core::write::open(staged, schema, us, clock)).unwrap();
    world.nodes[2] = anew;
    world.join(2, 0);
    world.join(2, 1);
    world.run();

    world.has_converged();
    for node in &world.nodes {
        assert_eq!(
            (node.values("plan", 3, "label"), node.values("plan", 1, "timing")),
            (vec!["7".into()], vec!["8".into()])
        );
        assert_eq!(
            (node.values("fact", 9, "facts"), node.values("plan", 1, "label")),
            (vec!["9".into()], vec!["3".into()])
        );
        assert!(!node.record("plan", 2).exists() && node.record("user", 1).is_disabled("access"));
        assert_eq!(node.kept(), world.nodes[0].kept());
        is_sound(node);
    }
}

#[test]
fn who_is_at_a_lower_floor_and_has_everything_is_not_below() {
    let mut nodes = fleet(3);
    nodes[0].write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    heal(&mut nodes);
    let [a, b, _] = &mut nodes[..] else { panic!() };
    a.advance(&[b]);
    b.pull(a);
    a.collect().unwrap();
    let mut world = World::of(nodes);
    world.join(0, 1);
    world.join(1, 2);
    world.write(0, &[put("plan", 1, "label", "3")]);
    world.run();
    assert!(world.nodes[1].collect().is_some(), "while they speak");
    world.changed(1, Vec::new());
    world.run();

    assert!(!world.ends.keys().any(|way| is_told_below(&world, *way)));
    world.has_converged();
}

#[test]
fn being_filled_goes_on_after_a_cut_at_any_message() {
    let (nodes, _) = after_an_absence();
    for cut_at in 0..60 {
        let mut world = World::of(vec![nodes[0].clone(), nodes[2].clone(), Node::new(8)]);
        world.join(2, 0);
        for turn in 0..cut_at {
            world.step(turn);
        }
        world.cut(2, 0);
        let mut restarted = world.nodes[2].clone();
        is_sound(&restarted);
        restarted.state = restarted.rebuilt(3);
        world.nodes[2] = restarted;
        // The other one has kept the same.
        world.join(1, 2);
        world.run();
        assert_eq!(world.nodes[2].state.floor().unwrap(), world.nodes[0].state.floor().unwrap(), "cut at {cut_at}");
        world.join(0, 1);
        world.run();
        world.has_converged();
        assert_eq!(world.nodes[2].kept(), world.nodes[0].kept());
        is_sound(&world.nodes[2]);
    }
}

#[test]
fn who_is_being_filled_takes_nothing_of_others_and_waits_for_one_at_its_floor() {
    let (nodes, away) = after_an_absence();
    let mut world = World::of(vec![nodes[0].clone(), away, Node::new(8)]);
    world.takes_offers = false;
    world.join(2, 0);
    world.run();
    let floor = nodes[0].state.floor().unwrap().unwrap().floor;
    assert_eq!(world.nodes[2].state.floor().unwrap().unwrap().stage, Stage::Filling);
    world.cut(2, 0);
    // Somebody who knows of no floor.
    world.join(2, 1);
    world.run();
    let here = world.nodes[2].state.heads().unwrap();
    assert!(here.iter().all(|(log, _)| floor.end(*log) == 0), "{here:?}");
    // A floor that came after the one at which it began.
    let mut later = nodes.clone();
    later[0].write(&[put("plan", 1, "label", "4")]).unwrap();
    lower(&mut later);
    world.nodes[0] = later[0].clone();
    world.join(2, 0);
    world.run();
    assert!(is_told_below(&world, (2, 0)), "there is nobody left to fill it: it begins anew");
}

#[test]
fn what_a_node_that_is_being_filled_writes_is_heard() {
    let (nodes, _) = after_an_absence();
    let mut world = World::of(vec![nodes[0].clone(), Node::new(8)]);
    world.takes_offers = false;
    world.join(1, 0);
    world.run();
    world.write(1, &[put("plan", 9, "label", "9"), put("audit", 9, "what", "9")]);
    world.run();
    assert_eq!(world.nodes[0].values("plan", 9, "label"), ["9"]);
}

/// One thing that happens in a random history.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, u8, u128, usize),
    Pull(usize, usize),
    Advance(usize),
    Collect(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write =
        (0..3_usize, 0..10_u8, 0..2_u128, 0..4_usize).prop_map(|(at, act, n, old)| Step::Write(at, act, n, old));
    let pull = (0..3_usize, 0..3_usize).prop_map(|(at, from)| Step::Pull(at, from));
    let floors = prop_oneof![(0..3_usize).prop_map(Step::Advance), (0..3_usize).prop_map(Step::Collect)];
    proptest::collection::vec(prop_oneof![4 => write, 4 => pull, 2 => floors], 1..80)
}

/// What a person does who has an older version before them, or the present one.
fn act(node: &Node, act: u8, number: u128, old: usize) -> Draft {
    let group = if act == 1 { "timing" } else { "label" };
    let seen: Vec<Dot> = node.record("plan", number).live().into_iter().skip(old).collect();
    match act {
        0..3 => put("plan", number, group, &old.to_string()),
        3 => put_over("plan", number, group, "9", &seen),
        4 => delete("plan", number),
        5 => restore("plan", number),
        6 => disable(number),
        7 => enable(number),
        8 => put("user", number, "cred_gen", &old.to_string()),
        _ => put("fact", u128::from_be_bytes(node.us.node.0), "facts", "1"),
    }
}

fn at_one_floor(nodes: &[Node]) -> bool {
    let first = nodes[0].state.floor().unwrap();
    nodes.iter().all(|node| node.state.floor().unwrap() == first)
}

/// Plays a history. The observer hears everything at once and never takes a floor.
fn play(steps: &[Step], fences: bool) -> (Vec<Node>, Node) {
    let (mut nodes, mut observer) = (fleet(3), Node::new(9));
    nodes.iter().for_each(|node| observer.pull(node));
    for step in steps {
        match *step {
            Step::Write(at, kind, number, old) => {
                let draft = match (fences, kind) {
                    (true, 0) => fence(2 + number, 1 + old as u64, 1 + old as u64 * 2),
                    (true, 1) => welcome(2 + number),
                    _ => act(&nodes[at], kind, number, old),
                };
                let _ = nodes[at].write(&[draft]);
                observer.pull(&nodes[at]);
            }
            Step::Pull(at, from) => {
                let from = nodes[from].clone();
                nodes[at].pull(&from);
            }
            Step::Advance(at) => {
                let is_pending = nodes.iter().any(|node| floor::due(&node.state).unwrap() != Due::Nothing);
                if at_one_floor(&nodes) && !is_pending {
                    let others = nodes.clone();
                    nodes[at].advance(&others.iter().collect::<Vec<_>>());
                    observer.pull(&nodes[at]);
                }
            }
            Step::Collect(at) => drop(nodes[at].collect()),
        }
        for node in &nodes {
            rebuild::verify(&node.state).unwrap();
        }
    }
    heal(&mut nodes);
    nodes.iter_mut().for_each(|node| drop(node.collect()));
    (nodes, observer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_floor_changes_a_record_and_all_keep_the_same(steps in steps()) {
        let (nodes, observer) = play(&steps, false);
        for node in &nodes {
            prop_assert_eq!(node.state_hash(), observer.state_hash());
            prop_assert_eq!(node.state.floor().unwrap(), nodes[0].state.floor().unwrap());
            for stream in Stream::ALL {
                prop_assert_eq!(vector(&node.state, stream).unwrap(), vector(&nodes[0].state, stream).unwrap());
            }
            is_sound(node);
        }
        if nodes[0].state.floor().unwrap().is_some() {
            prop_assert_eq!(nodes[0].leaving(), [], "nothing more leaves at the same floor");
            prop_assert!(nodes.iter().all(|node| node.kept() == nodes[0].kept()));
            // Whoever takes the last floor only keeps what those keep who took each.
            let mut late = observer.clone();
            late.collect().unwrap();
            prop_assert_eq!(late.kept(), nodes[0].kept());
            let mut fresh = Node::new(8);
            prop_assert!(fresh.fill_from(&nodes[1], 3));
            fresh.pull(&nodes[1]);
            prop_assert_eq!((fresh.state_hash(), fresh.kept()), (nodes[0].state_hash(), nodes[0].kept()));
            is_sound(&fresh);
        }
    }

    #[test]
    fn with_fences_that_come_and_go_all_have_the_same_records(steps in steps()) {
        let (nodes, _) = play(&steps, true);
        for node in nodes.iter().filter(|_| at_one_floor(&nodes)) {
            prop_assert_eq!(node.state_hash(), nodes[0].state_hash());
            is_sound(node);
        }
        let is_taken = at_one_floor(&nodes) && nodes[0].state.floor().unwrap().is_some();
        prop_assert!(!is_taken || nodes.iter().all(|node| node.kept() == nodes[0].kept()));
    }
}
