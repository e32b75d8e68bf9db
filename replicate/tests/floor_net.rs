//! Floors with hubs and files: the coordinator moves it, all take it, and who was away for long begins anew.

mod fleet;
mod house;

use fleet::*;
use replicate::core::floor::Stage;
use replicate::core::session::Told;
use replicate::net::{Event, Patience, Standing};

fn wish() -> Wish {
    let patience = Patience { floor_every_ms: Some(50), floor_entries_min: 5, again_ms: 50, ..Patience::default() };
    Wish { patience, ..Wish::default() }
}

fn is_at(number: u64) -> impl Fn(&Standing) -> bool {
    move |standing| standing.floor.number >= number && standing.floor.stage == Some(Stage::At)
}

#[test]
fn a_fleet_forgets_what_nothing_needs_and_who_was_away_takes_it_anew() {
    let fleet = Fleet::new();
    let [one, two, three] = [1, 2, 3].map(|number| fleet.node_with(number, wish()));
    for node in [&one, &two, &three] {
        node.hub.roster(roster(1..=3));
    }
    fleet.keep_linked(&one, &two);
    fleet.keep_linked(&one, &three);
    fleet.keep_linked(&two, &three);
    for round in 0..20 {
        one.label(1, &round.to_string());
    }
    for node in [&one, &two, &three] {
        fleet.until(node, "a floor is taken", is_at(1));
    }
    one.until_like(&three);
    assert!(one.store.verify().unwrap() < 30);

    // Away: it writes, and all it knew is replaced meanwhile.
    let folder = three.close(3, &wish());
    let three = fleet.node_at(3, wish(), folder);
    three.hub.roster(roster(1..=3));
    three.label(3, "mine");
    for node in [&one, &two] {
        node.hub.lapsed([name(3)]);
    }
    let before = one.hub.look().floor.number;
    for round in 20..40 {
        two.label(1, &round.to_string());
    }
    fleet.until(&one, "the floor goes on without it", is_at(before + 1));
    fleet.until(&two, "the floor goes on without it", is_at(before + 1));
    fleet.keep_linked(&one, &three);
    three.told("it is below the floor", |event| match event {
        Event::Session(_, Told::BelowFloor { .. }) => Some(()),
        _ => None,
    });
    three.told("it begins anew", |event| match event {
        Event::Renamed { .. } => Some(()),
        _ => None,
    });
    fleet.until(&three, "it is filled", is_at(before + 1));
    three.until_like(&one);
    for node in [&one, &two, &three] {
        node.until("its own work is everywhere", |_| node.value("plan", 3, "label").as_deref() == Some("\"mine\""));
        assert_eq!(node.value("plan", 1, "label").as_deref(), Some("\"39\""));
    }
    assert!(std::fs::exists(three.folder.path().join(format!("{FILE}.below-floor-1"))).unwrap());
}
