//! Fences: from the moment a retirement is known, what the retired node writes changes nothing, whoever brings it and
//! whichever comes first.
//!
//! Scenes first; then random histories, with fences anywhere, against a reference that looks at all entries at once.

mod house;

use house::*;
use proptest::prelude::*;
use replicate::core::entry::{Entry, Op};
use replicate::core::fence::{self, FENCINGS_MAX, Fenced, Fencing, Last};
use replicate::core::id::{Dot, LogId, NodeId, Position, RecordId, Stream};
use replicate::core::log::{Accepted, Refusal};
use replicate::core::memory::Memory;
use replicate::core::rebuild;
use replicate::core::view::{Changes, View};
use replicate::core::write;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nodes 1 to 4 that have heard each other.
fn four() -> [Node; 4] {
    let mut nodes = [1, 2, 3, 4].map(Node::new);
    heal(&mut nodes);
    nodes
}

fn is_disabled(node: &Node, kind: &str, number: u128) -> bool {
    node.record(kind, number).is_disabled("access")
}

/// What a scene says, at one who hears `first` before `then`, and at one who hears them the other way round. Both must
/// have the same, and what is built anew from the logs is that too.
fn in_both_orders(first: &Node, then: &Node, look: impl Fn(&Node)) {
    for (first, then) in [(first, then), (then, first)] {
        let mut listener = Node::new(9);
        listener.pull(first);
        listener.pull(then);
        look(&listener);
        for limit in [1, 1000] {
            assert_eq!(listener.rebuilt(limit), listener.state);
        }
        assert!(listener.lacks(first, Stream::Sec).is_empty() && listener.lacks(then, Stream::Sec).is_empty());
    }
}

#[test]
fn an_enabling_by_a_retired_node_does_not_count_whichever_comes_first() {
    let [mut a, mut b, ..] = four();
    a.write(&[put("user", 1, "profile", "1"), disable(1)]).unwrap();
    b.pull(&a);
    a.write(&[retire(2, &a)]).unwrap();
    b.write(&[enable(1)]).unwrap();
    assert!(!is_disabled(&b, "user", 1), "it does not know yet");

    in_both_orders(&a, &b, |node| assert!(is_disabled(node, "user", 1) && is_disabled(node, "member", 2)));
    b.pull(&a);
    assert!(is_disabled(&b, "user", 1), "also at its author");
    b.write(&[enable(1)]).unwrap();
    assert!(is_disabled(&b, "user", 1), "and what it writes afterwards");
}

#[test]
fn what_a_retired_node_replaced_comes_back_and_is_found() {
    let [mut a, mut b, mut c, _] = four();
    a.write(&[put("plan", 1, "label", "1"), put("plan", 2, "label", "2")]).unwrap();
    heal(&mut [a.clone(), b.clone()]);
    b.pull(&a);
    b.write(&[put("plan", 1, "label", "7"), delete("plan", 2), put("plan", 3, "label", "8")]).unwrap();
    c.pull(&b);
    assert_eq!((c.values("plan", 1, "label"), c.record("plan", 2).exists()), (vec!["7".to_string()], false));
    a.write(&[fence(2, 1, 1)]).unwrap();
    c.pull(&a);

    assert_eq!((c.values("plan", 1, "label"), c.values("plan", 2, "label")), (vec!["1".into()], vec!["2".into()]));
    assert!(c.record("plan", 2).exists() && !c.record("plan", 3).exists());
    let mut plain = Node::new(3);
    [1, 2, 4].into_iter().for_each(|other| plain.pull(&Node::new(other)));
    plain.pull(&a);
    assert_eq!(c.state.index(), plain.state.index());
    in_both_orders(&a, &b, |node| assert_eq!(node.values("plan", 1, "label"), ["1"]));
}

#[test]
fn what_a_retired_node_recorded_and_did_stays_a_fact() {
    let [mut a, mut b, ..] = four();
    a.write(&[fence(2, 0, 0)]).unwrap();
    b.write(&[put("fact", 1, "facts", "1"), put("audit", 1, "what", "2"), put("plan", 1, "label", "3")]).unwrap();

    in_both_orders(&a, &b, |node| {
        assert_eq!(
            (node.values("fact", 1, "facts"), node.values("audit", 1, "what")),
            (vec!["1".into()], vec!["2".into()])
        );
        assert_eq!(node.values("plan", 1, "label"), [""; 0]);
    });
}

#[test]
fn a_retired_node_cannot_take_its_retirement_back() {
    let [mut a, mut b, ..] = four();
    a.write(&[retire(2, &a)]).unwrap();
    b.pull(&a);
    b.write(&[welcome(2), put("plan", 1, "label", "1")]).unwrap();

    in_both_orders(&a, &b, |node| {
        assert!(is_disabled(node, "member", 2));
        assert_eq!(node.values("plan", 1, "label"), [""; 0]);
    });
}

#[test]
fn another_node_can_and_then_all_counts_again() {
    let [mut a, mut b, mut c, _] = four();
    a.write(&[put("user", 1, "profile", "1"), disable(1), retire(2, &a)]).unwrap();
    c.pull(&a);
    b.pull(&a);
    b.write(&[enable(1), put("plan", 1, "label", "1")]).unwrap();
    // It did not see the disabling as live: its own enabling did not count with it.
    assert!(is_disabled(&b, "user", 1));
    c.pull(&b);
    assert_eq!(c.values("plan", 1, "label"), [""; 0]);
    c.write(&[welcome(2)]).unwrap();
    assert_eq!(c.values("plan", 1, "label"), ["1"]);

    in_both_orders(&c, &b, |node| {
        assert!(!is_disabled(node, "member", 2) && !is_disabled(node, "user", 1));
        assert_eq!(node.values("plan", 1, "label"), ["1"]);
    });
}

#[test]
fn of_several_fences_the_lowest_holds() {
    let [mut a, mut b, mut c, _] = four();
    b.write(&[put("plan", 1, "label", "1"), put("plan", 1, "timing", "2")]).unwrap();
    a.write(&[fence(2, 1, 2)]).unwrap();
    c.write(&[fence(2, 1, 3)]).unwrap();
    a.pull(&b);

    in_both_orders(&a, &c, |node| {
        assert_eq!((node.values("plan", 1, "label"), node.values("plan", 1, "timing")), (vec!["1".into()], vec![]));
    });
    a.pull(&c);
    a.write(&[fence(2, 1, 3)]).unwrap();
    assert_eq!(a.values("plan", 1, "timing"), ["2"], "who names the others and may, raises it");
}

#[test]
fn two_that_fence_each_other_are_both_fenced_until_a_third_says_which() {
    let [mut a, mut b, mut c, _] = four();
    a.write(&[retire(2, &a), put("plan", 1, "label", "1")]).unwrap();
    b.write(&[retire(1, &b), put("plan", 2, "label", "2")]).unwrap();
    in_both_orders(&a, &b, |node| {
        assert!(is_disabled(node, "member", 1) && is_disabled(node, "member", 2));
        assert_eq!((node.values("plan", 1, "label"), node.values("plan", 2, "label")), (vec![], vec![]));
    });

    c.pull(&a);
    c.pull(&b);
    c.write(&[retire(2, &Node::new(9))]).unwrap();
    let mut all = a.clone();
    all.pull(&b);
    in_both_orders(&all, &c, |node| {
        assert!(!is_disabled(node, "member", 1) && is_disabled(node, "member", 2));
        assert_eq!((node.values("plan", 1, "label"), node.values("plan", 2, "label")), (vec!["1".into()], vec![]));
    });
}

#[test]
fn a_retired_node_retires_nobody() {
    let [mut a, mut b, ..] = four();
    a.write(&[retire(2, &a)]).unwrap();
    b.write(&[retire(3, &b)]).unwrap();
    in_both_orders(&a, &b, |node| assert!(!is_disabled(node, "member", 3)));
}

#[test]
fn a_node_that_retires_itself_has_said_so_and_nothing_more() {
    let [mut a, mut b, ..] = four();
    b.write(&[put("plan", 1, "label", "1"), fence(2, 0, 2), welcome(2), put("plan", 1, "label", "2")]).unwrap();
    a.write(&[put("plan", 9, "label", "9")]).unwrap();

    in_both_orders(&a, &b, |node| {
        assert!(is_disabled(node, "member", 2));
        assert_eq!(node.values("plan", 1, "label"), ["1"]);
    });
}

#[test]
fn a_new_incarnation_of_a_retired_node_counts_no_more_than_the_old_one() {
    let [mut a, mut b, ..] = four();
    a.write(&[retire(2, &a)]).unwrap();
    b.renew(2);
    b.write(&[put("plan", 1, "label", "1")]).unwrap();

    in_both_orders(&a, &b, |node| {
        assert_eq!(node.values("plan", 1, "label"), [""; 0]);
        let last = Last { inc: 1, seq: 1 };
        let in_stream = |stream, beyond| Fenced { node: b.us.node, stream, last, until: None, beyond };
        assert_eq!(fence::fenced(&node.state).unwrap(), [in_stream(Stream::Sec, 0), in_stream(Stream::Cfg, 1)]);
    });
}

/// Another machine in the place of node 2, as it comes up: with nothing.
fn new_box(inc: u32) -> Node {
    let mut node = Node::new(9);
    node.us.node = NodeId::from_u128(2);
    node.state = Memory::default();
    node.renew(inc);
    node
}

#[test]
fn who_takes_a_nodes_place_counts_and_what_the_old_one_still_writes_does_not() {
    let [mut a, mut old, ..] = four();
    old.write(&[put("plan", 1, "label", "1")]).unwrap();
    a.pull(&old);
    a.write(&[fence_until(2, 1, 2, Some(50))]).unwrap();
    // The old one goes on, and also under the next name, as after a repaired file.
    old.write(&[put("plan", 1, "label", "2"), put("plan", 2, "label", "3")]).unwrap();
    old.renew(2);
    old.write(&[put("plan", 3, "label", "4"), put("fact", 1, "facts", "5")]).unwrap();
    let mut new = new_box(50);
    new.pull(&a);
    new.write(&[put("plan", 4, "label", "6")]).unwrap();

    in_both_orders(&new, &old, |node| {
        let labels = [1, 2, 3, 4].map(|plan| node.values("plan", plan, "label"));
        assert_eq!(labels, [vec!["1".to_string()], vec![], vec![], vec!["6".to_string()]]);
        assert_eq!(node.values("fact", 1, "facts"), ["5"], "what it recorded is a fact");
        let of = |stream, seq, beyond| Fenced {
            node: NodeId::from_u128(2),
            stream,
            last: Last { inc: 1, seq },
            until: Some(50),
            beyond,
        };
        assert_eq!(fence::fenced(&node.state).unwrap(), [of(Stream::Sec, 1, 0), of(Stream::Cfg, 2, 3)]);
    });
}

#[test]
fn who_took_a_nodes_place_can_be_retired_as_anybody() {
    let [mut a, old, ..] = four();
    a.pull(&old);
    a.write(&[fence_until(2, 1, 1, Some(50))]).unwrap();
    let mut new = new_box(50);
    new.pull(&a);
    new.write(&[put("plan", 1, "label", "1")]).unwrap();
    a.pull(&new);
    let value = r#"{"sec":[50,1],"cfg":[50,2]}"#.to_string();
    let act = write::Act::Disable { group: "access".into(), value };
    a.write(&[write::Draft { act, ..fence(2, 0, 0) }]).unwrap();
    new.write(&[put("plan", 1, "label", "2")]).unwrap();

    in_both_orders(&a, &new, |node| assert_eq!(node.values("plan", 1, "label"), ["1"]));
}

#[test]
fn a_version_that_comes_after_its_doom_and_its_doomers_fence_is_live() {
    let [mut a, mut b, mut c, _] = four();
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
    b.pull(&a);
    b.write(&[put("plan", 1, "label", "2")]).unwrap();
    c.write(&[fence(2, 1, 1)]).unwrap();
    for order in [[&b, &c, &a], [&c, &b, &a]] {
        let mut listener = Node::new(9);
        for speaker in order {
            let entries: Vec<Arc<[u8]>> = all_entries(speaker)
                .into_iter()
                .filter(|entry| entry.at.dot.node == speaker.us.node)
                .map(|e| e.raw)
                .collect();
            assert!(entries.iter().all(|raw| listener.hear(raw) == Ok(Accepted::New)));
        }
        assert_eq!((listener.values("plan", 1, "label"), listener.dooms()), (vec!["1".to_string()], 0));
    }
}

#[test]
fn an_older_version_without_fences_is_built_anew_with_them() {
    let [mut a, mut b, ..] = four();
    b.write(&[put("plan", 1, "label", "1")]).unwrap();
    a.write(&[fence(2, 0, 0)]).unwrap();
    let mut old = Node::new(9);
    old.schema = without_fences();
    old.pull(&a);
    old.pull(&b);
    assert_eq!((old.values("plan", 1, "label"), old.state.fencings().unwrap().len()), (vec!["1".to_string()], 0));

    assert_ne!(old.schema.records_digest(), schema().records_digest());
    old.schema = schema();
    old.state = old.rebuilt(2);
    assert_eq!(old.values("plan", 1, "label"), [""; 0]);
}

fn without_fences() -> replicate::core::schema::Schema {
    use replicate::core::schema::{Form, Kind, Schema};
    let plan = Kind::new("plan", Stream::Cfg).group("label", Form::Register);
    Schema::new(vec![plan, Kind::new("member", Stream::Sec).group("access", Form::Flag)]).unwrap()
}

#[test]
fn more_fences_than_the_limit_are_refused_ours_and_others() {
    let [mut a, b, ..] = four();
    let mut changes = Changes::default();
    let row = |seq: usize| (LogId { stream: Stream::Sec, node: NodeId::from_u128(5), inc: 1 }.at(seq as u64), FREE);
    const FREE: Fencing = Fencing { fence: None, holds: false };
    changes.fencings.extend((0..FENCINGS_MAX).map(row));
    a.state.keep(changes);
    let mut author = b.clone();
    author.write(&[fence(3, 0, 0)]).unwrap();

    assert_eq!(a.write(&[fence(3, 0, 0)]), Err(write::BadAct::TooManyFences));
    let raw = a.lacks(&author, Stream::Sec).pop().unwrap();
    assert!(matches!(a.hear(&raw), Err(Refusal::TooManyFences { .. })));
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Act { node: usize, what: u8, record: u128 },
    Fence { node: usize, whom: u128, at: Option<(u64, u64)>, until: Option<u32> },
    Renew { node: usize },
    Welcome { node: usize, whom: u128 },
    Hear { node: usize, from: usize, stream: usize, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let act = (0..4_usize, 0..7_u8, 0..2_u128).prop_map(|(node, what, record)| Step::Act { node, what, record });
    let at = proptest::option::of((0..8_u64, 0..8_u64));
    let until = prop_oneof![2 => Just(None), 1 => Just(Some(2)), 1 => Just(Some(3))];
    let fence = (0..4_usize, 1..5_u128, at, until);
    let fence = fence.prop_map(|(node, whom, at, until)| Step::Fence { node, whom, at, until });
    let renew = (0..4_usize).prop_map(|node| Step::Renew { node });
    let welcome = (0..4_usize, 1..5_u128).prop_map(|(node, whom)| Step::Welcome { node, whom });
    let hear = (0..4_usize, 0..4_usize, 0..2_usize, 1..6_usize);
    let hear = hear.prop_map(|(node, from, stream, limit)| Step::Hear { node, from, stream, limit });
    prop_oneof![8 => act, 4 => fence, 2 => welcome, 1 => renew, 8 => hear]
}

fn lived(steps: &[Step]) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=4).map(Node::new).collect();
    for (number, step) in steps.iter().enumerate() {
        let value = number.to_string();
        match step {
            Step::Act { node, what, record } => {
                let draft = match what {
                    0 => disable(*record),
                    1 => enable(*record),
                    2 => put("user", *record, "profile", &value),
                    3 => delete("plan", *record),
                    4 => restore("plan", *record),
                    _ => put("plan", *record, "label", &value),
                };
                // Refused where there is nothing to delete or to restore: also a history.
                let _ = nodes[*node].write(&[draft]);
            }
            Step::Renew { node } => {
                let next = nodes[*node].us.inc + 1;
                nodes[*node].renew(next);
            }
            Step::Fence { node, whom, at, until } => {
                let here = || retire(*whom, &nodes[*node]);
                let draft = at.map_or_else(here, |(sec, cfg)| fence_until(*whom, sec, cfg, *until));
                nodes[*node].write(&[draft]).unwrap();
            }
            Step::Welcome { node, whom } => drop(nodes[*node].write(&[welcome(*whom)]).unwrap()),
            Step::Hear { node, from, stream, limit } => {
                let from = nodes[*from].clone();
                for raw in nodes[*node].lacks(&from, Stream::ALL[*stream]).iter().take(*limit) {
                    nodes[*node].hear(raw).unwrap();
                }
            }
        }
    }
    nodes
}

fn all_entries(node: &Node) -> Vec<Entry> {
    let logs = node.state.heads().unwrap().into_iter().map(|(log, _)| log);
    let raws = logs.flat_map(|log| node.state.entries(log, 1, usize::MAX).unwrap());
    raws.map(|raw| Entry::parse(&raw).unwrap()).collect()
}

type Place = (String, RecordId, String);

fn place(entry: &Entry) -> Place {
    let fields = entry.fields.clone().unwrap();
    (fields.k.clone(), fields.id, fields.g.clone())
}

/// An entry that names itself means nothing by it.
fn names(by: &Entry, named: &Entry) -> bool {
    let sup = &by.fields.as_ref().unwrap().sup;
    by.at != named.at && by.at.stream == named.at.stream && place(by) == place(named) && sup.contains(&named.at.dot)
}

fn claim(entry: &Entry, all: &[Entry]) -> Claim {
    let fields = entry.fields.as_ref().unwrap();
    let is_fence = (fields.k.as_str(), &fields.op) == ("member", &Op::Disable);
    let fence = if is_fence { fence_of(fields.id, fields.val.get()) } else { None };
    Claim { at: entry.at, fence, names: all.iter().filter(|named| names(entry, named)).map(|named| named.at).collect() }
}

/// Live is what stands and nothing that stands names.
fn live_by_reference(node: &Node) -> BTreeSet<Position> {
    let entries: Vec<Entry> =
        all_entries(node).into_iter().filter(|entry| node.schema.changed_by(entry).is_some()).collect();
    let claims: Vec<Claim> = entries.iter().map(|entry| claim(entry, &entries)).collect();
    let holding = holding(&claims, |_| false);
    let standing: Vec<&Entry> = entries.iter().filter(|entry| stands(entry.at, &holding)).collect();
    let is_named = |entry: &&&Entry| standing.iter().any(|by| names(by, entry));
    standing.iter().filter(|entry| !is_named(entry)).map(|entry| entry.at).collect()
}

fn live(node: &Node) -> BTreeSet<Position> {
    let mut live = BTreeSet::new();
    for key in node.state.records(None, usize::MAX).unwrap() {
        let stream = node.schema.kind(&key.kind).unwrap().stream;
        live.extend(node.state.live(&key).unwrap().into_iter().map(|dot: Dot| Position { stream, dot }));
    }
    live
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whoever_heard_the_same_has_the_same_and_it_is_what_the_entries_say(
        steps in proptest::collection::vec(step(), 1..70), limit in 1..9_usize,
    ) {
        let mut nodes = lived(&steps);
        for node in &nodes {
            prop_assert_eq!(live(node), live_by_reference(node), "also before all is heard");
            prop_assert_eq!(&node.rebuilt(limit), &node.state);
        }
        heal(&mut nodes);
        for node in &nodes {
            prop_assert_eq!(&node.state, &nodes[0].state);
            prop_assert_eq!((node.state_hash(), node.dooms()), (nodes[0].state_hash(), 0));
        }
        prop_assert_eq!(live(&nodes[0]), live_by_reference(&nodes[0]));
        prop_assert!(rebuild::verify(&nodes[0].state).is_ok());
    }

    #[test]
    fn any_order_that_keeps_each_log_in_order_and_any_batches_give_the_same(
        steps in proptest::collection::vec(step(), 1..50), picks in proptest::collection::vec(any::<u16>(), 200),
    ) {
        let mut nodes = lived(&steps);
        heal(&mut nodes);
        let (mut forward, mut mixed, mut batched) = (Node::new(9), Node::new(9), Node::new(9));
        forward.pull(&nodes[0]);
        let mut logs: BTreeMap<LogId, Vec<Arc<[u8]>>> = BTreeMap::new();
        for entry in all_entries(&nodes[0]).into_iter().rev() {
            logs.entry(entry.at.log()).or_default().push(entry.raw);
        }
        let (mut picks, mut order) = (picks.into_iter().cycle().map(usize::from), Vec::new());
        while !logs.is_empty() {
            let log = *logs.keys().nth(picks.next().unwrap() % logs.len()).unwrap();
            order.push(logs.get_mut(&log).unwrap().pop().unwrap());
            logs.retain(|_, left| !left.is_empty());
        }
        for raw in &order {
            prop_assert_eq!(mixed.hear(raw), Ok(Accepted::New));
        }
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (batch, left) = rest.split_at((1 + picks.next().unwrap() % 9).min(rest.len()));
            prop_assert_eq!(batched.apply(batch).new, batch.len());
            rest = left;
        }
        prop_assert_eq!(&mixed.state, &forward.state);
        prop_assert_eq!(&batched.state, &forward.state);
    }
}
