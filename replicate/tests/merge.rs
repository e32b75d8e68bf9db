//! The merge laws: what becomes of records is decided by the set of entries, never by the order they came in.
//!
//! Scenes first, each a sentence about two or three people; then random histories held against a reference that looks
//! at all entries at once.

mod house;

use house::*;
use proptest::prelude::*;
use replicate::core::entry::{Entry, Fields, Moment, Op, Quality};
use replicate::core::exchange;
use replicate::core::id::{Dot, Hash, LogId, Position, RecordId, Stream};
use replicate::core::log::{Accepted, Refusal};
use replicate::core::memory::Memory;
use replicate::core::rebuild;
use replicate::core::view::{Staged, View};
use replicate::core::write::{self, BadAct};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn two() -> (Node, Node) {
    (Node::new(1), Node::new(2))
}

fn meet(a: &mut Node, b: &mut Node) {
    a.pull(b);
    b.pull(a);
}

#[test]
fn concurrent_edits_are_both_kept_and_shown_alike() {
    let (mut a, mut b) = two();
    a.write(&[put("plan", 1, "label", r#""Physics""#)]).unwrap();
    b.clock = moment(5);
    b.write(&[put("plan", 1, "label", r#""Chemistry""#)]).unwrap();
    meet(&mut a, &mut b);

    for node in [&a, &b] {
        assert_eq!(node.values("plan", 1, "label"), [r#""Chemistry""#, r#""Physics""#]);
        assert_eq!(node.conflicts("plan", 1), ["label"]);
    }
    a.write(&[put("plan", 1, "label", r#""Both""#)]).unwrap();
    meet(&mut a, &mut b);
    assert_eq!((b.values("plan", 1, "label"), b.conflicts("plan", 1)), (vec![r#""Both""#.to_string()], vec![]));
}

#[test]
fn edits_of_two_groups_do_not_collide() {
    let (mut a, mut b) = two();
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
    b.write(&[put("plan", 1, "timing", "2")]).unwrap();
    meet(&mut a, &mut b);

    assert_eq!(a.conflicts("plan", 1), [""; 0]);
    assert_eq!((a.values("plan", 1, "label"), a.values("plan", 1, "timing")), (vec!["1".into()], vec!["2".into()]));
}

#[test]
fn a_later_wall_clock_does_not_undo_a_seen_edit() {
    let (mut a, mut b) = two();
    a.clock = moment(4_000_000_000_000);
    a.write(&[put("plan", 1, "label", r#""from the future""#)]).unwrap();
    b.pull(&a);
    b.clock = moment(-1);
    b.write(&[put("plan", 1, "label", r#""corrected""#)]).unwrap();
    a.pull(&b);

    assert_eq!(a.values("plan", 1, "label"), [r#""corrected""#]);
}

#[test]
fn an_untrusted_clock_does_not_win_by_its_time() {
    let (mut a, mut b) = two();
    (a.clock.wall, a.clock.q) = (i64::MAX, Quality::Guessed);
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
    b.write(&[put("plan", 1, "label", "2")]).unwrap();
    a.pull(&b);

    assert_eq!(a.values("plan", 1, "label"), ["2", "1"], "one clock is trusted");
    let (mut a, mut b) = two();
    (a.clock, b.clock) = (Moment { q: Quality::Guessed, ..moment(9) }, Moment { q: Quality::Unset, ..moment(5) });
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
    b.write(&[put("plan", 2, "label", "0"), put("plan", 1, "label", "2")]).unwrap();
    a.pull(&b);
    assert_eq!(a.values("plan", 1, "label"), ["2", "1"], "neither is: the longer history is shown");
}

#[test]
fn an_edit_replaces_only_what_its_author_had_before_them() {
    let (mut a, mut b) = two();
    let seen = a.write(&[put("plan", 1, "label", "1")]).unwrap()[0].dot;
    b.pull(&a);
    b.write(&[put("plan", 1, "label", "2")]).unwrap();
    a.pull(&b);
    a.write(&[put_over("plan", 1, "label", "3", &[seen])]).unwrap();

    assert_eq!(a.conflicts("plan", 1), ["label"]);
    assert_eq!(a.values("plan", 1, "label").len(), 2);
}

#[test]
fn disabling_wins_over_an_enabling_that_had_not_seen_it() {
    let (mut a, mut b) = two();
    a.write(&[put("user", 1, "profile", "1"), disable(1)]).unwrap();
    b.pull(&a);
    b.clock = moment(4_000_000_000_000);
    b.write(&[enable(1)]).unwrap();
    a.write(&[disable(1)]).unwrap();
    meet(&mut a, &mut b);

    for node in [&a, &b] {
        assert!(node.record("user", 1).is_disabled("access"));
        assert_eq!(node.conflicts("user", 1), ["access"]);
    }
    b.write(&[enable(1)]).unwrap();
    a.pull(&b);
    assert!(!a.record("user", 1).is_disabled("access"));
}

#[test]
fn a_generation_never_goes_back() {
    let (mut a, mut b) = two();
    b.clock = moment(9);
    a.write(&[put("user", 1, "cred_gen", "12")]).unwrap();
    b.write(&[put("user", 1, "cred_gen", "9")]).unwrap();
    meet(&mut a, &mut b);

    assert_eq!(b.record("user", 1).value("cred_gen"), Some("12"));
    assert_eq!(b.conflicts("user", 1), [""; 0]);
    assert!(matches!(a.write(&[put("user", 1, "cred_gen", "-1")]), Err(BadAct::BadValue(_))));
}

#[test]
fn a_plan_edited_while_being_deleted_stays_and_says_so() {
    let (mut a, mut b) = two();
    a.write(&[put("plan", 1, "timing", "1"), put("plan", 1, "label", "1")]).unwrap();
    b.pull(&a);
    a.write(&[delete("plan", 1)]).unwrap();
    assert!(!a.record("plan", 1).exists() && a.state.index().is_empty());
    b.write(&[put("plan", 1, "label", "2")]).unwrap();
    meet(&mut a, &mut b);

    for node in [&a, &b] {
        assert!(node.record("plan", 1).exists());
        assert_eq!(node.values("plan", 1, "timing"), ["1"]);
        assert_eq!((node.conflicts("plan", 1), node.state.index().len()), (vec!["life".to_string()], 1));
    }
    a.write(&[restore("plan", 1)]).unwrap();
    assert_eq!(a.conflicts("plan", 1), [""; 0]);
}

#[test]
fn a_user_edited_while_being_deleted_is_gone() {
    let (mut a, mut b) = two();
    a.write(&[put("user", 1, "profile", "1")]).unwrap();
    b.pull(&a);
    a.write(&[delete("user", 1)]).unwrap();
    b.write(&[put("user", 1, "profile", "2")]).unwrap();
    meet(&mut a, &mut b);

    for node in [&a, &b] {
        assert!(!node.record("user", 1).exists() && node.state.index().is_empty());
        assert_eq!(
            (node.values("user", 1, "profile"), node.conflicts("user", 1)),
            (vec!["2".into()], vec!["life".into()])
        );
    }
}

#[test]
fn a_restoring_takes_back_only_the_deletions_it_had_seen() {
    let (mut a, mut b) = two();
    a.write(&[put("user", 1, "profile", "1")]).unwrap();
    b.pull(&a);
    a.write(&[delete("user", 1)]).unwrap();
    b.write(&[delete("user", 1)]).unwrap();
    a.write(&[restore("user", 1)]).unwrap();
    assert!(a.record("user", 1).exists());
    a.pull(&b);

    assert!(!a.record("user", 1).exists());
}

#[test]
fn an_entry_has_no_say_over_other_records_and_groups() {
    let (mut a, mut b) = two();
    let seen = a.write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap()[1].dot;
    b.write(&[put_over("plan", 2, "label", "3", &[seen]), put_over("plan", 1, "timing", "4", &[seen])]).unwrap();
    let (mut before, mut after) = (Node::new(3), Node::new(4));
    before.pull(&b);
    assert_eq!(before.dooms(), 2);
    before.pull(&a);
    after.pull(&a);
    after.pull(&b);

    for node in [&before, &after] {
        assert_eq!((node.values("plan", 1, "label"), node.dooms()), (vec!["2".to_string()], 0));
    }
}

#[test]
fn what_a_schema_does_not_allow_is_refused_here_and_only_kept_from_others() {
    let (mut a, mut b) = two();
    assert!(matches!(a.write(&[put("room", 1, "label", "1")]), Err(BadAct::NoKind(_))));
    assert!(matches!(a.write(&[put("user", 1, "access", "1")]), Err(BadAct::NoGroup { .. })));
    assert!(matches!(a.write(&[delete("fact", 1)]), Err(BadAct::NoGroup { .. })));
    assert!(matches!(a.write(&[put("plan", 1, "label", "{")]), Err(BadAct::BadValue(_))));
    assert!(matches!(a.write(&[delete("plan", 1)]), Err(BadAct::NoRecord(_))));

    a.schema = Schemas::with_rooms();
    a.write(&[put("room", 1, "label", "1")]).unwrap();
    b.pull(&a);
    assert_eq!(b.state_hash(), Hash::NOTHING);

    b.schema = Schemas::with_rooms();
    assert_eq!(b.rebuilt(10).live(&a.record("room", 1).key()).unwrap(), a.record("room", 1).live());
}

struct Schemas;

impl Schemas {
    fn with_rooms() -> replicate::core::schema::Schema {
        use replicate::core::schema::{Form, Kind, Schema};
        Schema::new(vec![Kind::new("room", Stream::Cfg).group("label", Form::Register)]).unwrap()
    }
}

#[test]
fn a_journal_entry_names_the_acts_it_was_committed_with() {
    let mut a = Node::new(1);
    let mut journal = put("audit", 9, "what", r#""renamed""#);
    journal.reports = true;
    let written = a.write(&[put("plan", 1, "label", "1"), journal]).unwrap();
    let entry = Entry::parse(&a.state.entry(written[1]).unwrap().unwrap()).unwrap();

    assert_eq!(entry.fields.unwrap().of, [written[0]]);
}

#[test]
fn a_batch_with_one_bad_act_leaves_nothing() {
    let mut a = Node::new(1);
    let before = a.state.clone();

    assert!(a.write(&[put("plan", 1, "label", "1"), delete("fact", 1)]).is_err());
    assert_eq!(a.state, before);
}

#[test]
fn a_log_takes_its_next_entry_only() {
    let (mut a, mut b) = two();
    a.write(&[put("plan", 1, "label", "1"), put("plan", 1, "label", "2")]).unwrap();
    let entries = b.lacks(&a, Stream::Cfg);

    assert!(matches!(b.hear(&entries[1]), Err(Refusal::Gap { have: 0, .. })));
    assert_eq!(b.hear(&entries[0]), Ok(Accepted::New));
    assert!(matches!(b.hear(&entries[2]), Err(Refusal::Gap { have: 1, .. })));
    assert_eq!(b.hear(&entries[0]), Ok(Accepted::Duplicate));
}

#[test]
fn two_writers_under_one_name_are_found_out() {
    let (mut a, mut b) = two();
    let mut clone = a.clone();
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
    clone.write(&[put("plan", 1, "label", "2"), put("plan", 1, "label", "3")]).unwrap();
    b.pull(&a);
    let cloned = Node::new(3).lacks(&clone, Stream::Cfg);

    assert!(matches!(b.hear(&cloned[1]), Err(Refusal::Fork { .. })), "another entry at a known place");
    assert!(matches!(b.hear(&cloned[2]), Err(Refusal::Fork { .. })), "a next entry of another past");
    assert!(matches!(a.hear(&cloned[1]), Err(Refusal::Fork { .. })), "the victim learns of it");
    a.write(&[put("plan", 1, "label", "4")]).unwrap();
    let vector = exchange::vector(&clone.state, Stream::Cfg).unwrap();
    let export = exchange::export(&a.state, Stream::Cfg, &vector).unwrap();
    assert_eq!((export.entries.len(), export.forks), (0, vec![a.us.log(Stream::Cfg).at(3)]), "the sender learns of it");
}

#[test]
fn another_nonce_under_one_incarnation_is_refused() {
    let (mut a, mut b) = two();
    b.pull(&a);
    let mut again = Node::new(1);
    again.us.nonce = 77;
    a.state = Memory::default();
    let mut staged = Staged::new(&a.state).unwrap();
    write::open(&mut staged, &a.schema, again.us, moment(0)).unwrap();
    let opening = staged.changes.entries.values().next().unwrap().clone();

    assert!(matches!(b.hear(&opening), Err(Refusal::Fork { .. })));
    let mut c = Node::new(3);
    c.hear(&Node::new(3).lacks(&Node::new(1), Stream::Cfg)[0]).unwrap();
    assert!(matches!(c.hear(&opening), Err(Refusal::BadOpening { .. })), "another stream's log has another nonce");
}

#[test]
fn a_memory_older_than_it_was_is_told_so_and_takes_its_past_back() {
    let (mut a, mut b) = two();
    let backup = a.clone();
    a.write(&[put("plan", 1, "label", "1")]).unwrap();
    b.pull(&a);
    let mut restored = backup;
    let lost = restored.lacks(&b, Stream::Cfg)[0].clone();
    assert!(matches!(restored.hear(&lost), Err(Refusal::OurOwnFuture { .. })));

    restored.us.inc = 2;
    let mut staged = Staged::new(&restored.state).unwrap();
    write::open(&mut staged, &restored.schema, restored.us, moment(0)).unwrap();
    let changes = staged.changes;
    restored.state.keep(changes);
    restored.write(&[put("plan", 2, "label", "2")]).unwrap();
    meet(&mut restored, &mut b);

    assert_eq!(restored.values("plan", 1, "label"), ["1"]);
    assert_eq!((restored.state_hash(), b.values("plan", 2, "label")), (b.state_hash(), vec!["2".to_string()]));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Act { node: usize, what: u8, record: u128, wall: i64 },
    Hear { node: usize, from: usize, stream: usize, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let act = (0..4_usize, 0..11_u8, 0..2_u128, -3..3_i64);
    let hear = (0..4_usize, 0..4_usize, 0..2_usize, 1..6_usize);
    prop_oneof![
        act.prop_map(|(node, what, record, wall)| Step::Act { node, what, record, wall }),
        hear.prop_map(|(node, from, stream, limit)| Step::Hear { node, from, stream, limit }),
    ]
}

fn act(node: &mut Node, what: u8, record: u128, value: usize) {
    let value = value.to_string();
    let draft = match what {
        0 => disable(record),
        1 => enable(record),
        2 => delete("user", record),
        3 => restore("user", record),
        4 => put("user", record, "profile", &value),
        5 => put("user", record, "cred_gen", &value),
        6 => delete("plan", record),
        7 => restore("plan", record),
        8 | 9 => put("plan", record, "label", &value),
        _ => put("plan", record, "timing", &value),
    };
    // Refused where there is nothing to delete or to restore: also a history.
    let _ = node.write(&[draft]);
}

fn lived(steps: &[Step]) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=4).map(Node::new).collect();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Act { node, what, record, wall } => {
                nodes[*node].clock = moment(*wall);
                act(&mut nodes[*node], *what, *record, number);
            }
            Step::Hear { node, from, stream, limit } => {
                let from = nodes[*from].clone();
                let entries = nodes[*node].lacks(&from, Stream::ALL[*stream]);
                for raw in entries.iter().take(*limit) {
                    nodes[*node].hear(raw).unwrap();
                }
            }
        }
    }
    nodes
}

fn all_entries(node: &Node) -> Vec<Entry> {
    let logs: Vec<LogId> = node.state.heads().unwrap().into_iter().map(|(log, _)| log).collect();
    let raws = logs.iter().flat_map(|log| node.state.entries(*log, 1, usize::MAX).unwrap());
    raws.map(|raw| Entry::parse(&raw).unwrap()).collect()
}

/// The reference: live is what no entry of the same record and group names. It looks at the whole set at once.
fn live_by_reference(node: &Node) -> BTreeSet<Position> {
    let entries: Vec<Entry> =
        all_entries(node).into_iter().filter(|entry| node.schema.changed_by(entry).is_some()).collect();
    let group = |entry: &Entry| {
        let fields = entry.fields.clone().unwrap();
        (fields.k.clone(), fields.id, fields.g.clone())
    };
    let mut named: BTreeSet<(String, RecordId, String, Dot)> = BTreeSet::new();
    for entry in &entries {
        let (kind, id, g) = group(entry);
        // An entry that names itself means nothing by it.
        let others = entry.fields.as_ref().unwrap().sup.iter().filter(|dot| **dot != entry.at.dot);
        named.extend(others.map(|dot| (kind.clone(), id, g.clone(), *dot)));
    }
    let is_named = |entry: &&Entry| {
        let (kind, id, g) = group(entry);
        named.contains(&(kind, id, g, entry.at.dot))
    };
    entries.iter().filter(|entry| !is_named(entry)).map(|entry| entry.at).collect()
}

fn live(node: &Node) -> BTreeSet<Position> {
    let keys = node.state.records(None, usize::MAX).unwrap();
    let mut live = BTreeSet::new();
    for key in keys {
        let stream = node.schema.kind(&key.kind).unwrap().stream;
        live.extend(node.state.live(&key).unwrap().into_iter().map(|dot| Position { stream, dot }));
    }
    live
}

/// Whether a user is disabled, by the reference: some disabling that no enabling or later disabling names.
fn disabled_by_reference(node: &Node, record: u128) -> bool {
    let live = live_by_reference(node);
    let is_disabling = |entry: &Entry| {
        let fields = entry.fields.as_ref().unwrap();
        fields.op == Op::Disable && fields.id == id(record)
    };
    all_entries(node).iter().any(|entry| is_disabling(entry) && live.contains(&entry.at))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nodes_that_heard_the_same_have_the_same(steps in proptest::collection::vec(step(), 1..80)) {
        let mut nodes = lived(&steps);
        for node in &nodes {
            prop_assert_eq!(live(node), live_by_reference(node), "also before all is heard");
        }
        heal(&mut nodes);
        for node in &nodes {
            prop_assert_eq!(&node.state, &nodes[0].state);
            prop_assert_eq!(node.state_hash(), nodes[0].state_hash());
            prop_assert_eq!(node.dooms(), 0);
            prop_assert_eq!(live(node), live_by_reference(node));
            for record in 0..2 {
                prop_assert_eq!(node.record("user", record).is_disabled("access"), disabled_by_reference(node, record));
            }
        }
        prop_assert!(rebuild::verify(&nodes[0].state).is_ok());
    }

    #[test]
    fn any_order_that_keeps_each_log_in_order_gives_the_same(
        steps in proptest::collection::vec(step(), 1..60), picks in proptest::collection::vec(any::<u16>(), 300),
    ) {
        let mut nodes = lived(&steps);
        heal(&mut nodes);
        let (mut forward, mut mixed) = (Node::new(9), Node::new(9));
        forward.pull(&nodes[0]);
        let mut logs: BTreeMap<LogId, Vec<Arc<[u8]>>> = BTreeMap::new();
        for entry in all_entries(&nodes[0]).into_iter().rev() {
            logs.entry(entry.at.log()).or_default().push(entry.raw);
        }
        let mut picks = picks.into_iter().cycle();
        while !logs.is_empty() {
            let pick = usize::from(picks.next().unwrap());
            let log = *logs.keys().nth(pick % logs.len()).unwrap();
            let raw = logs.get_mut(&log).unwrap().pop().unwrap();
            prop_assert_eq!(mixed.hear(&raw), Ok(Accepted::New));
            prop_assert_eq!(mixed.hear(&raw), Ok(Accepted::Duplicate), "idempotent");
            logs.retain(|_, left| !left.is_empty());
        }
        prop_assert_eq!(mixed.state, forward.state);
    }

    /// Authors who name any dot they like: of other records, of the future, of nobody, their own.
    #[test]
    fn liars_cannot_make_nodes_differ(
        acts in proptest::collection::vec((0..3_usize, 0..2_u128, 0..2_u8, proptest::collection::vec((0..4_u128, 1..9_u64), 0..3)), 1..20),
        picks in proptest::collection::vec(any::<u16>(), 60),
    ) {
        let mut logs: Vec<Vec<Arc<[u8]>>> = Vec::new();
        for author in 0..3 {
            let node = Node::new(author as u128 + 1);
            let mut last = Entry::parse(&node.state.entry(node.us.log(Stream::Cfg).at(1)).unwrap().unwrap()).unwrap();
            let mut log = vec![last.raw.clone()];
            for (_, record, group, named) in acts.iter().filter(|act| act.0 == author) {
                let mut fields = Fields::clone(last.fields.as_ref().unwrap());
                fields.d.seq += 1;
                (fields.k, fields.id, fields.op) = ("plan".to_string(), id(*record), Op::Put);
                fields.g = ["label", "timing"][usize::from(*group)].to_string();
                fields.sup = named.iter().map(|(node, seq)| Dot { node: origin(*node).node, inc: 1, seq: *seq }).collect();
                fields.ph = last.hash;
                last = Entry::write(&fields).unwrap();
                log.push(last.raw.clone());
            }
            log.reverse();
            logs.push(log);
        }
        let (mut forward, mut mixed) = (Node::new(9), Node::new(9));
        for raw in logs.iter().flat_map(|log| log.iter().rev()) {
            prop_assert_eq!(forward.hear(raw), Ok(Accepted::New));
        }
        for pick in picks.into_iter().cycle().map(usize::from) {
            logs.retain(|log| !log.is_empty());
            let count = logs.len();
            let Some(log) = logs.get_mut(pick.checked_rem(count).unwrap_or(0)) else { break };
            prop_assert_eq!(mixed.hear(&log.pop().unwrap()), Ok(Accepted::New));
        }
        prop_assert_eq!(&mixed.state, &forward.state);
        prop_assert_eq!(&mixed.rebuilt(3), &forward.state);
        prop_assert_eq!(live(&mixed), live_by_reference(&mixed));
    }

    #[test]
    fn records_built_anew_are_the_same(steps in proptest::collection::vec(step(), 1..60), limit in 1..7_usize) {
        for node in lived(&steps) {
            prop_assert_eq!(node.rebuilt(limit), node.state);
        }
    }
}
