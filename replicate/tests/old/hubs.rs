//! A hub of today's beside one that knows no more than the older build, until that one is updated.

use crate::fleet::*;
use crate::house::{disable, fence, put};
use crate::relay;
use replicate::core::floor::Stage;
use replicate::core::id::Stream;
use replicate::core::schema::{DeletePolicy, Form, Kind, Schema};
use replicate::disk::store::Store;
use replicate::net::{Patience, Standing};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const FLOOR_EVERY_MS: u64 = 50;

/// The shared schema before it had facts and members.
fn older_schema() -> Schema {
    let kinds = vec![
        Kind::new("user", Stream::Sec)
            .group("profile", Form::Register)
            .group("access", Form::Flag)
            .group("cred_gen", Form::Max)
            .deletes(DeletePolicy::DeleteWins),
        Kind::new("plan", Stream::Cfg)
            .group("timing", Form::Register)
            .group("label", Form::Register)
            .deletes(DeletePolicy::EditWins),
        Kind::new("audit", Stream::Jrn).group("what", Form::Register),
    ];
    Schema::new(kinds).unwrap()
}

fn wish() -> Wish {
    let patience =
        Patience { floor_every_ms: Some(FLOOR_EVERY_MS), floor_entries_min: 5, again_ms: 50, ..Patience::default() };
    Wish { patience, ..Wish::default() }
}

fn follows_the_first(standing: &Standing) -> bool {
    standing.election.seen.node == name(1) && standing.election.vacant_since_ms.is_none()
}

fn is_at_a_floor(standing: &Standing) -> bool {
    standing.floor.number >= 1 && standing.floor.stage == Some(Stage::At)
}

fn has_the_logs_of(node: &Running, other: &Running) {
    let is_like = |stream: &Stream| node.store.vector(*stream).unwrap() == other.store.vector(*stream).unwrap();
    node.until("the same logs", |_| Stream::ALL.iter().all(is_like));
}

#[test]
fn an_older_hub_takes_part_hands_on_what_it_does_not_know_and_is_waited_for_by_the_floor() {
    let fleet = Fleet::new();
    let [one, three] = [1, 3].map(|number| fleet.node_with(number, wish()));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let settings = opening(2, &Wish::default());
    let store = Store::open(&folder.path().join(FILE), older_schema(), settings).unwrap().0;
    let two = fleet.run(2, Wish::default(), store, folder);
    for node in [&one, &two, &three] {
        node.hub.roster(roster(1..=3));
    }
    // All that the first and the third hear of each other goes through the older one.
    let understood = [relay::keep_linked(&fleet, &two, &one), relay::keep_linked(&fleet, &two, &three)];
    one.write(&[put("fact", 1, "facts", "{\"later\": 1.50}"), fence(9, 0, 0), put("user", 1, "profile", "\"Ada\"")]);
    two.write(&[disable(1)]);
    three.label(1, "by the third");
    three.until("what the second does not know", |_| three.value("fact", 1, "facts").is_some());
    three.until_like(&one);
    has_the_logs_of(&two, &one);
    assert_eq!(three.value("fact", 1, "facts").as_deref(), Some("{\"later\": 1.50}"));
    assert_eq!(two.value("fact", 1, "facts"), None);
    assert_eq!(two.value("plan", 1, "label").as_deref(), Some("\"by the third\""));
    fleet.until(&one, "the first coordinates", follows_the_first);
    fleet.until(&two, "the older one follows", follows_the_first);
    fleet.until(&three, "so does the third, through it", follows_the_first);

    // Also when everybody speaks with everybody: as long as twenty floors take.
    fleet.keep_linked(&one, &three);
    fleet.until(&one, "the third directly", talks_to(3));
    let end_ms = now().mono + 20 * FLOOR_EVERY_MS;
    for round in 0.. {
        one.label(2, &round.to_string());
        three.until("each change", |_| three.value("plan", 2, "label") == Some(format!("\"{round}\"")));
        if now().mono > end_ms && round > 20 {
            break;
        }
    }
    let stands = [&one, &two, &three].map(|node| node.hub.look().floor.number);
    assert_eq!(stands, [0, 0, 0], "no floor while one member knows of none");
    assert!(
        understood.iter().all(|is_understood| is_understood.load(Ordering::Relaxed)),
        "it was told what it cannot read"
    );

    // Updated, it knows what it has carried, and the floor goes on.
    let folder = two.close(2, &wish());
    let two = fleet.node_at(2, wish(), folder);
    two.hub.roster(roster(1..=3));
    assert_eq!(two.value("fact", 1, "facts").as_deref(), Some("{\"later\": 1.50}"));
    fleet.keep_linked(&two, &one);
    fleet.keep_linked(&two, &three);
    for node in [&one, &two, &three] {
        fleet.until(node, "a floor is taken", is_at_a_floor);
    }
    two.until_like(&one);
    three.until_like(&one);
}
