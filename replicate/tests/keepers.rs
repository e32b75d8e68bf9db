//! Nodes that keep only their own of what nodes saw, with hubs and files: they get no more, they lose nothing, and they
//! become keepers.

mod fleet;
mod house;

use fleet::*;
use house::put;
use replicate::core::floor::Stage;
use replicate::core::id::{NodeId, Stream};
use replicate::core::wish::KEPT_BY_ALL;
use replicate::net::Patience;
use std::collections::BTreeSet;

fn own_only() -> Wish {
    Wish { keeps: KEPT_BY_ALL.to_vec(), ..Wish::default() }
}

impl Running {
    fn saw(&self, number: u128) {
        self.write(&[put("fact", number, "facts", "1"), put("audit", number, "what", "1")]);
    }

    fn knows(&self, number: u128) -> bool {
        self.value("fact", number, "facts").is_some() && self.value("audit", number, "what").is_some()
    }

    /// Whose logs are here of what nodes saw.
    fn seen_by(&self) -> BTreeSet<NodeId> {
        let of = |stream| self.store.vector(stream).unwrap().into_keys().map(|(node, _)| node);
        of(Stream::Own).chain(of(Stream::Jrn)).collect()
    }

    /// Waits until another node has all that this one is to have of it, and it of this one, by what the link knows.
    fn in_step_with(&self, fleet: &Fleet, peer: u128) {
        fleet.until(self, "in step", |standing| {
            standing
                .peers
                .get(&name(peer))
                .is_some_and(|peer| peer.is_in_step() && peer.lag.iter().all(|lag| lag.is_known))
        });
    }
}

#[test]
fn a_node_that_keeps_only_its_own_gets_no_more_and_its_past_back_after_it_lost_its_disk() {
    let fleet = Fleet::new();
    let (one, two, three) = (fleet.node(1), fleet.node(2), fleet.node_with(3, own_only()));
    for node in [&one, &two, &three] {
        node.hub.roster(roster(1..=3));
    }
    one.saw(1);
    two.saw(2);
    one.label(1, "everybody's");
    fleet.keep_linked(&one, &two);
    fleet.keep_linked(&one, &three);
    fleet.keep_linked(&two, &three);
    three.saw(3);
    for keeper in [&one, &two] {
        keeper.until("what three saw is with the keepers", |_| keeper.knows(3));
    }
    three.until("what people decide is everywhere", |_| three.value("plan", 1, "label").is_some());
    three.in_step_with(&fleet, 1);
    three.in_step_with(&fleet, 2);
    one.in_step_with(&fleet, 3);
    assert_eq!(three.seen_by(), BTreeSet::from([name(3)]));

    let folder = three.close(3, &own_only());
    std::fs::remove_file(folder.path().join(FILE)).unwrap();
    let three = fleet.node_at(3, own_only(), folder);
    three.hub.roster(roster(1..=3));
    assert!(!three.knows(3));
    fleet.keep_linked(&one, &three);
    three.until("its past is back", |_| three.knows(3));
    three.saw(4);
    one.until("it goes on", |_| one.knows(4));
    three.in_step_with(&fleet, 1);
    assert_eq!(three.seen_by(), BTreeSet::from([name(3)]));

    three.hub.keep(&Stream::ALL);
    three.until_like(&one);
    assert_eq!(three.seen_by(), BTreeSet::from([1, 2, 3].map(name)));
}

#[test]
fn what_left_the_logs_before_a_node_became_a_keeper_is_not_missed() {
    let patience = Patience { floor_every_ms: Some(50), floor_entries_min: 5, again_ms: 50, ..Patience::default() };
    let wish = |keeps: &[Stream]| Wish { patience: patience.clone(), keeps: keeps.to_vec(), ..Wish::default() };
    let fleet = Fleet::new();
    let [one, two] = [1, 2].map(|number| fleet.node_with(number, wish(&Stream::ALL)));
    for node in [&one, &two] {
        node.hub.roster(roster(1..=2));
    }
    fleet.keep_linked(&one, &two);
    for round in 0..20 {
        one.write(&[put("fact", 1, "facts", &round.to_string())]);
        two.label(2, &round.to_string());
    }
    fleet.until(&one, "a floor is taken", |standing| {
        standing.floor.number >= 1 && standing.floor.stage == Some(Stage::At)
    });
    one.until_like(&two);
    let rows = one.store.verify().unwrap();
    assert!(rows < 40, "{rows} rows are left");

    let three = fleet.node_with(3, wish(&KEPT_BY_ALL));
    for node in [&one, &two, &three] {
        node.hub.roster(roster(1..=3));
    }
    fleet.keep_linked(&one, &three);
    fleet.until(&three, "it is filled", |standing| standing.floor.stage == Some(Stage::At));
    three.until("it has what people decided", |_| three.value("plan", 2, "label").as_deref() == Some("\"19\""));
    assert_eq!(three.seen_by(), BTreeSet::from([name(3)]));

    // Floors go on with it.
    let before = one.hub.look().floor.number;
    for round in 20..40 {
        one.write(&[put("fact", 1, "facts", &round.to_string())]);
        two.label(2, &round.to_string());
    }
    for node in [&one, &two, &three] {
        fleet.until(node, "the floor goes on", |standing| {
            standing.floor.number > before && standing.floor.stage == Some(Stage::At)
        });
    }
    // Also of what it does not keep.
    for round in 40..80 {
        one.write(&[put("fact", 1, "facts", &round.to_string())]);
    }
    for keeper in [&one, &two] {
        keeper.until("what one saw is forgotten", |_| keeper.store.verify().is_ok_and(|rows| rows < 40));
    }
    assert!(three.store.lacks_below_floor().unwrap());
    three.hub.keep(&Stream::ALL);
    three.until("it has what one saw", |_| three.value("fact", 1, "facts").as_deref() == Some("79"));
    three.until_like(&one);
    fleet.until(&three, "it is at the floor", |standing| standing.keeps_all && standing.floor.stage == Some(Stage::At));
    three.store.verify().unwrap();
}
