//! Who coordinates, in virtual time: what an operator relies on, then two thousand bad days.
//!
//! A failing seed prints the line that replays it.

mod voters;

use replicate::core::election::{
    Because, By, EPOCH_MAX, Election, Gated, Held, Input, Member, Message, Mode, Mutant, NoHandOver,
};
use replicate::core::election::{Output, Role, Settings, Token, Told, Why};
use replicate::core::id::NodeId;
use voters::{CALM, Fleet, Weather};

fn name(name: u128) -> NodeId {
    NodeId::from_u128(name)
}

fn settled(seed: u64, count: u128) -> Fleet {
    let mut fleet = Fleet::of(seed, count);
    fleet.run_until(4_000, |fleet| fleet.is_agreed(true)).expect("a fleet that is switched on elects");
    fleet
}

fn coordinator(fleet: &Fleet) -> (usize, Token) {
    let [one] = fleet.coordinators()[..] else { panic!("{:?} coordinate", fleet.coordinators()) };
    one
}

fn elected(fleet: &Fleet) -> usize {
    let told = fleet.nodes.iter().flat_map(|node| &node.told);
    told.filter(|told| matches!(told, Told::Elected { .. })).count()
}

fn told(fleet: &Fleet, at: usize) -> &[Told] {
    &fleet.nodes[at].told
}

#[test]
fn a_fleet_of_one_coordinates_itself_and_waits_for_nobody() {
    let mut fleet = Fleet::of(1, 1);
    fleet.run(100);

    assert!(matches!(fleet.role(0), Some(Role::Coordinator { mode: Mode::Alone, .. })), "{:?}", fleet.role(0));
    assert!(fleet.may(0));
}

#[test]
fn the_best_ranked_coordinates_and_stays() {
    let mut fleet = settled(2, 5);
    let before = coordinator(&fleet);
    fleet.run(120_000);

    assert_eq!((before.0, coordinator(&fleet), elected(&fleet)), (0, before, 1));
    assert!(matches!(fleet.role(0), Some(Role::Coordinator { mode: Mode::Majority, .. })));
}

#[test]
fn a_killed_coordinator_is_replaced_within_a_second() {
    let mut fleet = settled(3, 3);
    fleet.run(5_000);
    fleet.kill(0);
    let took_ms = fleet.run_until(1_000, |fleet| fleet.is_agreed(true));

    assert!(took_ms.is_some(), "{:?}", fleet.coordinators());
    assert_eq!(coordinator(&fleet).0, 1);
}

#[test]
fn an_unplugged_coordinator_is_replaced_within_four_seconds() {
    let mut fleet = settled(4, 3);
    fleet.run(5_000);
    fleet.unplug(0);

    assert!(fleet.run_until(4_000, |fleet| fleet.is_agreed(true)).is_some());
}

#[test]
fn a_restart_does_not_depose_who_coordinates() {
    let mut fleet = settled(5, 3);
    fleet.kill(0);
    fleet.run(5_000);
    let before = coordinator(&fleet);
    fleet.start(0);
    fleet.run(20_000);

    assert_eq!(coordinator(&fleet), before, "preferred, but not for a minute yet");
    assert!(fleet.is_agreed(true));
}

#[test]
fn a_preferred_node_gets_the_role_back_after_a_minute_if_it_has_caught_up() {
    let mut fleet = settled(6, 3);
    fleet.kill(0);
    fleet.run(5_000);
    fleet.start(0);
    fleet.run(90_000);
    assert_eq!(coordinator(&fleet).0, 1, "it has not caught up");
    fleet.say(0, Input::CaughtUp(true));
    fleet.run(2_000);

    assert_eq!(coordinator(&fleet).0, 0);
    assert!(matches!(told(&fleet, 0).last(), Some(Told::Elected { by: By::Preference, .. })));
    let lost = told(&fleet, 1).last();
    assert!(matches!(lost, Some(Told::Lost { because: Because::HandedOver(_), .. })), "{lost:?}");
}

#[test]
fn what_a_person_handed_over_stays_there() {
    let mut fleet = settled(7, 3);
    for at in 0..3 {
        fleet.say(at, Input::CaughtUp(true));
    }
    fleet.run(2_000);
    let before = coordinator(&fleet).1;
    fleet.say(0, Input::HandOver { to: name(3) });
    let took_ms = fleet.run_until(500, |fleet| fleet.is_agreed(true) && fleet.coordinators()[0].0 == 2);
    assert!(took_ms.is_some(), "{:?}", fleet.coordinators());
    assert_eq!(coordinator(&fleet).1.epoch, before.epoch + 1);
    fleet.run(180_000);

    assert_eq!(coordinator(&fleet).0, 2, "the others are preferred, but a person chose");
}

#[test]
fn while_handing_over_nothing_is_ordered_and_nobody_else_takes_it() {
    let mut fleet = settled(8, 3);
    fleet.run(2_000);
    let before = coordinator(&fleet).1;
    fleet.say(0, Input::HandOver { to: name(3) });
    assert!(!fleet.may(0));
    fleet.run(2_900);
    assert_eq!(coordinator(&fleet), (0, before), "the other has not caught up and says nothing");
    fleet.run(600);

    let (at, after) = coordinator(&fleet);
    assert_eq!((at, after.epoch), (0, before.epoch + 2), "it takes it back above what the other might still claim");
    assert!(told(&fleet, 0).iter().any(|told| matches!(told, Told::NotHandedOver { why: NoHandOver::NoClaim, .. })));
    assert!(fleet.run_until(100, |fleet| fleet.may(0)).is_some());
}

#[test]
fn a_successor_that_dies_costs_nothing() {
    let mut fleet = settled(9, 3);
    fleet.run(2_000);
    fleet.say(0, Input::HandOver { to: name(3) });
    fleet.kill(2);
    fleet.run(100);

    assert_eq!(coordinator(&fleet).0, 0);
    assert!(fleet.may(0));
}

#[test]
fn two_halves_each_have_a_coordinator_and_then_the_story_is_told() {
    let mut fleet = settled(10, 5);
    for (a, b) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
        fleet.part(a, b);
    }
    fleet.run(30_000);
    let modes: Vec<Option<Role>> = (0..5).map(|at| fleet.role(at)).collect();
    assert!(matches!(modes[0], Some(Role::Coordinator { mode: Mode::Minority, .. })), "{modes:?}");
    assert!(matches!(modes[2], Some(Role::Coordinator { mode: Mode::Majority, .. })), "{modes:?}");
    assert!(!fleet.may(0) && fleet.may(2));
    fleet.mend();
    let took_ms = fleet.run_until(4_000, |fleet| fleet.is_agreed(true));

    assert!(took_ms.is_some());
    let overlap = told(&fleet, 0).iter().find_map(|told| match told {
        Told::Healed { from_ms, to_ms, ours, theirs } => Some((to_ms - from_ms, ours.node, theirs.node)),
        _ => None,
    });
    let (lasted_ms, ours, theirs) = overlap.expect("who lost its reign tells of both");
    assert_eq!((ours, theirs), (name(1), name(3)));
    assert!((25_000..=30_000).contains(&lasted_ms), "{lasted_ms}");
}

/// Two reign, and the only node that both reach follows the greater. Returns whether they have agreed 20 s later.
fn agrees_over_a_bridge(mutant: Option<Mutant>) -> bool {
    let roster = (1..=3).map(|at| Member::new(name(at))).collect();
    let mut fleet = Fleet::new(21, roster, Settings { mutant, ..Settings::LOCAL });
    fleet.run(4_000);
    fleet.part(0, 1);
    fleet.part(0, 2);
    fleet.run(30_000);
    assert_eq!(fleet.coordinators().len(), 2);
    fleet.mend();
    fleet.part(0, 1);
    fleet.run(20_000);
    fleet.is_agreed(true)
}

#[test]
fn who_bears_a_low_token_is_told_even_over_a_bridge() {
    assert!(agrees_over_a_bridge(None));
    assert!(!agrees_over_a_bridge(Some(Mutant::NoNak)), "the test must be able to fail");
}

/// A chain that stays cut: who reigns at its one end and who reigns at the other are obeyed by two neighbours in the
/// middle, whose link was up before the later reign began. Returns whether they have agreed 30 s later.
fn agrees_along_a_chain(mutant: Option<Mutant>) -> bool {
    let roster = (1..=4).map(|at| Member::new(name(at))).collect();
    let mut fleet = Fleet::new(23, roster, Settings { mutant, ..Settings::LOCAL });
    fleet.run_until(10_000, |fleet| fleet.is_agreed(true)).expect("it elects");
    let first = coordinator(&fleet).0;
    let others: Vec<usize> = (0..4).filter(|at| *at != first).collect();
    let chain = [first, others[0], others[1], others[2]];
    for (a, b) in [(0, 2), (0, 3), (1, 3), (2, 3)] {
        fleet.part(chain[a], chain[b]);
    }
    fleet.run(30_000);
    assert_eq!(fleet.coordinators().len(), 2);
    fleet.join(chain[2], chain[3]);
    fleet.run(30_000);
    fleet.coordinators().len() == 1
}

#[test]
fn who_hears_of_a_greater_token_tells_its_neighbours() {
    assert!(agrees_along_a_chain(None));
    assert!(!agrees_along_a_chain(Some(Mutant::NoNak)), "the test must be able to fail");
}

/// Until then one before it may still count somebody, and say where the floor is.
#[test]
fn a_coordinator_is_settled_on_a_majority_that_has_followed_longer_than_any_other_counts_it() {
    let mut fleet = Fleet::of(31, 3);
    fleet.run_until(10_000, |fleet| fleet.is_agreed(true)).expect("it elects");
    let at = coordinator(&fleet).0;
    let others: Vec<usize> = (0..3).filter(|other| *other != at).collect();
    let is_settled = |fleet: &Fleet, on: &[usize]| {
        let nodes = on.iter().map(|at| fleet.nodes[*at].name).collect();
        fleet.nodes[at].election.as_ref().is_some_and(|election| election.is_settled_on(fleet.clock(at), &nodes))
    };
    assert!(!is_settled(&fleet, &others), "they have only begun to follow");
    fleet.run(5_000);
    assert!(is_settled(&fleet, &others) && is_settled(&fleet, &others[..1]));
    assert!(!is_settled(&fleet, &[]), "one of three is no majority");

    fleet.part(at, others[0]);
    fleet.run(10_000);
    assert!(!is_settled(&fleet, &others), "one does not follow any more");
    assert!(is_settled(&fleet, &others[1..]));
    fleet.mend();
    fleet.run_until(10_000, |fleet| fleet.is_agreed(true)).expect("it follows again");
    assert!(!is_settled(&fleet, &others), "and may have followed another meanwhile");
}

#[test]
fn who_cannot_reach_the_coordinator_hears_it_through_another() {
    let mut fleet = settled(11, 3);
    let before = coordinator(&fleet);
    fleet.part(0, 2);
    fleet.run(60_000);

    assert_eq!((coordinator(&fleet), elected(&fleet)), (before, 1), "nobody claims what a neighbour still has");
    assert_eq!(fleet.role(2), Some(Role::Follower { token: before.1, via: Some(name(2)) }));
}

/// A few that are spoken with as seldom as hundreds.
const SELDOM: Settings = Settings { others_step_ms: Settings::LOCAL.heartbeat_others_ms, ..Settings::LOCAL };

/// Candidates 1 and 3 met only through 2, which is none and hears a heartbeat every 5 s: they deposed each other 30 times
/// a minute.
#[test]
fn two_candidates_that_meet_through_a_node_that_is_none_do_not_depose_each_other() {
    for seed in 0..20 {
        let roster = (1..=3).map(|at| Member { is_candidate: at != 2, ..Member::new(name(at)) }).collect();
        let mut fleet = Fleet::new(seed, roster, SELDOM);
        fleet.run_until(10_000, |fleet| fleet.is_agreed(true)).expect("it elects");
        let (before, reigns) = (coordinator(&fleet), elected(&fleet));
        let other = 2 - before.0;
        fleet.part(0, 2);
        fleet.run(120_000);
        assert_eq!((coordinator(&fleet), elected(&fleet)), (before, reigns), "{seed}");
        assert_eq!(fleet.role(other), Some(Role::Follower { token: before.1, via: Some(name(2)) }));

        fleet.unplug(before.0);
        let took_ms = fleet.run_until(10_000, |fleet| fleet.coordinators().iter().any(|(at, _)| *at == other));
        assert!(took_ms.is_some_and(|took_ms| took_ms <= 4_000), "{took_ms:?}");
    }
}

#[test]
fn a_large_fleet_is_told_whom_its_coordinator_does_not_hear() {
    let roster: Vec<Member> = (1..=12).map(|at| Member { is_candidate: at <= 5, ..Member::new(name(at)) }).collect();
    let mut fleet = Fleet::new(4, roster, SELDOM);
    fleet.run(20_000);
    let hears = |fleet: &Fleet, at: usize, whom: u128| {
        let election = fleet.nodes[at].election.as_ref().unwrap();
        election.standing(fleet.clock(at)).away.map(|away| away.hears(name(whom)))
    };
    assert_eq!([hears(&fleet, 11, 7), hears(&fleet, 11, 1)], [Some(Some(true)), Some(Some(true))]);

    fleet.unplug(6);
    fleet.run(13_000);
    assert_eq!([hears(&fleet, 11, 7), hears(&fleet, 4, 7)], [Some(Some(false)), Some(Some(false))]);
    assert_eq!([hears(&fleet, 11, 8), hears(&fleet, 0, 8)], [Some(Some(true)), None], "the coordinator knows itself");
}

#[test]
fn a_link_cut_one_way_makes_no_second_coordinator() {
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        let mut fleet = settled(12, 3);
        let before = coordinator(&fleet);
        fleet.cut(from, to);
        fleet.run(60_000);

        assert_eq!((coordinator(&fleet), elected(&fleet)), (before, 1), "{from} to {to}");
        assert!(fleet.is_agreed(true), "{from} to {to}");
    }
}

#[test]
fn two_who_ask_each_other_do_not_keep_a_dead_coordinator() {
    let mut fleet = settled(13, 4);
    fleet.part(0, 2);
    fleet.part(0, 3);
    fleet.run(20_000);
    fleet.unplug(0);
    fleet.unplug(1);

    assert!(fleet.run_until(4_000, |fleet| fleet.is_agreed(true)).is_some());
}

#[test]
fn a_paused_coordinator_that_wakes_may_do_nothing() {
    let mut fleet = settled(14, 3);
    fleet.run(2_000);
    fleet.pause(0);
    fleet.run(10_000);
    assert_eq!(fleet.coordinators().len(), 2, "it does not know");
    fleet.weather = Weather { loss_percent: 100, delay_ms_max: 5 };
    fleet.resume(0);

    assert!(!fleet.may(0), "nobody answered it lately");
    fleet.weather = CALM;
    fleet.run(1_000);
    assert!(fleet.is_agreed(true));
}

#[test]
fn who_was_held_up_does_not_blame_the_coordinator() {
    let mut fleet = settled(15, 3);
    for _ in 0..10 {
        fleet.pause(1);
        fleet.pause(2);
        fleet.run(2_500);
        fleet.weather = Weather { loss_percent: 100, delay_ms_max: 5 };
        fleet.resume(1);
        fleet.resume(2);
        fleet.run(400);
        fleet.weather = CALM;
        fleet.run(3_000);
    }

    assert_eq!(elected(&fleet), 1);
}

#[test]
fn the_role_of_a_pinned_node_is_kept_for_it() {
    let roster = (1..=3).map(|at| Member { is_pinned: at == 3, ..Member::new(name(at)) }).collect();
    let mut fleet = Fleet::new(16, roster, Settings::LOCAL);
    fleet.run(4_000);
    assert_eq!(coordinator(&fleet).0, 2);
    fleet.kill(2);
    fleet.run(200_000);
    assert_eq!(fleet.coordinators(), []);
    fleet.start(2);
    assert!(fleet.run_until(4_000, |fleet| fleet.is_agreed(true)).is_some());
    fleet.kill(2);

    assert!(fleet.run_until(310_000, |fleet| fleet.is_agreed(true)).is_some(), "not for ever");
}

#[test]
fn an_owner_takes_the_role_and_may_act_for_ten_minutes() {
    let mut fleet = settled(17, 3);
    fleet.run(1_000);
    fleet.say(2, Input::Force);
    assert!(fleet.run_until(1_000, |fleet| fleet.is_agreed(true)).is_some());
    assert_eq!(coordinator(&fleet).0, 2);
    fleet.kill(0);
    fleet.kill(1);
    fleet.run(60_000);
    assert!(fleet.may(2));
    fleet.run(540_000);

    assert!(!fleet.may(2));
    assert!(told(&fleet, 2).iter().any(|told| matches!(told, Told::Forced { .. })));
}

#[test]
fn a_node_that_may_not_coordinate_never_does() {
    let roster = (1..=3).map(|at| Member { is_candidate: at == 1, ..Member::new(name(at)) }).collect();
    let mut fleet = Fleet::new(18, roster, Settings::LOCAL);
    fleet.run(20_000);
    assert!(fleet.is_agreed(true));
    fleet.kill(0);
    fleet.run(60_000);
    assert_eq!(fleet.coordinators(), []);
    assert_eq!(fleet.role(1), Some(Role::Bystander));
    fleet.start(0);

    assert!(fleet.run_until(4_000, |fleet| fleet.is_agreed(true)).is_some());
}

#[test]
fn a_retired_coordinator_stops_and_is_not_followed() {
    let mut fleet = settled(19, 3);
    let roster: Vec<Member> = fleet.roster.iter().copied().filter(|member| member.node != name(1)).collect();
    for at in 0..3 {
        fleet.say(at, Input::Roster(roster.clone()));
    }
    fleet.run(1_500);

    assert_eq!(coordinator(&fleet).0, 1);
    let lost = told(&fleet, 0).last();
    assert!(matches!(lost, Some(Told::Lost { because: Because::NotAMember, .. })), "{lost:?}");
}

#[test]
fn a_primary_of_two_goes_on_and_the_other_waits() {
    let roster = (1..=2).map(|at| Member { is_primary: at == 2, ..Member::new(name(at)) }).collect();
    let mut fleet = Fleet::new(20, roster, Settings::LOCAL);
    fleet.run(4_000);
    fleet.part(0, 1);
    fleet.run(10_000);

    assert_eq!(fleet.coordinators().len(), 2);
    assert!(!fleet.may(0) && fleet.may(1));
}

/// One node by itself, whose outputs are looked at one by one.
fn lone(seen: Token, others: u128) -> Election {
    let mut election = Election::new(name(1), 7, Settings::LOCAL, seen);
    election.input(0, Input::Roster((1..=others + 1).map(|at| Member::new(name(at))).collect()));
    for at in 2..=others + 1 {
        election.input(0, Input::Up(name(at)));
    }
    election
}

fn outputs(election: &mut Election) -> Vec<Output> {
    std::iter::from_fn(|| election.poll_output()).collect()
}

#[test]
fn nothing_is_said_of_a_token_before_it_is_durable() {
    let mut election = lone(Token::NONE, 1);
    outputs(&mut election);
    let token = Token { epoch: 4, node: name(2), inc: 1 };
    let message = Message::Heartbeat { token, sent_ms: 5, reigned_ms: 0, away: None };
    election.input(10, Input::Heard { from: name(2), message });

    let before = outputs(&mut election);
    assert!(before.contains(&Output::Store(token)), "{before:?}");
    assert!(!before.iter().any(|output| matches!(output, Output::Send { .. })), "{before:?}");
    assert_eq!(election.allows(token), Err(token), "an order may be obeyed when the fence will survive a crash");
    election.input(20, Input::Stored(token));
    let followed = Message::Followed { token, sent_ms: 5, is_caught_up: false };
    assert_eq!(outputs(&mut election), [Output::Send { to: name(2), message: followed }]);
    assert_eq!(election.allows(token), Ok(()));
}

#[test]
fn a_claim_is_durable_before_it_is_announced_and_above_all_answers() {
    let mut election = lone(Token { epoch: 3, node: name(9), inc: 1 }, 1);
    outputs(&mut election);
    let seen = Token { epoch: 8, node: name(5), inc: 2 };
    election.input(10, Input::Heard { from: name(2), message: Message::ProbeOk { round: 1, seen, held: None } });

    let claim = Token { epoch: 9, node: name(1), inc: 7 };
    let stores = [Output::Store(seen), Output::Store(claim)];
    assert_eq!(outputs(&mut election), stores);
    election.input(15, Input::Stored(seen));
    assert_eq!(outputs(&mut election), []);
    election.input(20, Input::Stored(claim));
    let announced = outputs(&mut election);
    assert!(
        announced.iter().any(|output| matches!(output, Output::Send { to, .. } if *to == name(2))),
        "{announced:?}"
    );
    let why = election.may(20, Gated::RetireNode);
    assert_eq!(why, Err(Why::Minority { act: Gated::RetireNode, followed: 1, of: 2 }), "nobody has answered yet");
}

/// Seed 16213: one answer spoke of a lease, the next of a greater token, and the node followed the lease. It had two
/// truths then: whom it followed, and whom it obeyed.
#[test]
fn a_lease_below_another_answer_is_not_followed() {
    let mut election = lone(Token::NONE, 2);
    let low = Token { epoch: 4, node: name(2), inc: 1 };
    let great = Token { epoch: 5, node: name(3), inc: 1 };
    let held = Some(Held { token: low, age_ms: 0, reigned_ms: 0 });
    for (from, seen, held) in [(2, low, held), (3, great, None)] {
        election.input(10, Input::Heard { from: name(from), message: Message::ProbeOk { round: 1, seen, held } });
    }

    assert!(!matches!(election.role(), Role::Follower { .. }), "{:?}", election.role());
}

#[test]
fn a_mistaken_or_forged_message_changes_nothing() {
    let mut election = lone(Token::NONE, 1);
    outputs(&mut election);
    let before = election.clone();
    let heartbeat = |epoch, node| {
        let token = Token { epoch, node: name(node), inc: 1 };
        Message::Heartbeat { token, sent_ms: 0, reigned_ms: 0, away: None }
    };
    for (from, message) in
        [(9, heartbeat(5, 9)), (1, heartbeat(5, 1)), (2, heartbeat(EPOCH_MAX + 1, 2)), (2, Message::Unknown)]
    {
        election.input(0, Input::Heard { from: name(from), message });
        assert_eq!(election, before);
    }
}

#[test]
fn messages_have_the_form_that_is_written_down() {
    let token = Token { epoch: 15, node: name(0xa), inc: 2 };
    let message = Message::Heartbeat { token, sent_ms: 7, reigned_ms: 9, away: None };
    let text = r#"{"say":"heartbeat","token":[15,"0000000000000000000000000000000a",2],"sent_ms":7,"reigned_ms":9}"#;

    assert_eq!(serde_json::to_string(&message).unwrap(), text);
    assert_eq!(serde_json::from_str::<Message>(text).unwrap(), message);
    assert_eq!(serde_json::from_str::<Message>(r#"{"say":"sing","song":1}"#).unwrap(), Message::Unknown);
}

mod bad_days {
    //! Two thousand runs: first everything goes wrong, then the fleet is healed and must agree.

    use super::*;

    /// Prints how to run a seed again when a run fails.
    struct Replay(u64);

    impl Drop for Replay {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("replay: ELECTION_SEED={} cargo test -p replicate --test election bad_days", self.0);
            }
        }
    }

    #[test]
    fn after_any_bad_day_one_coordinates_within_four_seconds() {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let seeds = match number("ELECTION_SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..number("ELECTION_SEEDS").unwrap_or(2_000),
        };
        // Found ones first: 16213 followed a lease below a token another answer spoke of.
        let mut took_ms: Vec<u64> = [16_213].into_iter().chain(seeds).map(bad_day).collect();
        took_ms.sort_unstable();
        println!("agreed after healing: p50 {} ms, max {} ms", took_ms[took_ms.len() / 2], took_ms[took_ms.len() - 1]);
    }

    /// Returns how long the healed fleet took to agree.
    fn bad_day(seed: u64) -> u64 {
        let _replay = Replay(seed);
        let mut fleet = Fleet::new(seed, roster(seed), Settings::LOCAL);
        fleet.weather = Weather {
            loss_percent: [0, 0, 1, 10, 30][fleet.chance.below(5) as usize],
            delay_ms_max: [5, 50, 200][fleet.chance.below(3) as usize],
        };
        let end_ms = fleet.chance.between(10_000, 40_000);
        while fleet.now_ms < end_ms {
            let pause_ms = [50, 500, 3_000][fleet.chance.below(3) as usize];
            let for_ms = fleet.chance.below(pause_ms);
            fleet.run(for_ms);
            trouble(&mut fleet);
        }
        heal(&mut fleet);
        fleet.weather = CALM;
        let took_ms = fleet.run_until(4_000, |fleet| fleet.is_agreed(false));
        let took_ms = took_ms.unwrap_or_else(|| panic!("seed {seed}: {:?}", roles(&fleet)));
        let all_ms = fleet.run_until(6_000, |fleet| fleet.is_agreed(true));
        assert!(all_ms.is_some(), "seed {seed}: {:?}", roles(&fleet));
        // A hand-over that was begun before may still fail and be taken back.
        fleet.run(4_000);
        let before = coordinator(&fleet);
        fleet.run(8_000);
        assert_eq!(coordinator(&fleet), before, "seed {seed}: a healthy fleet changed its coordinator");
        assert!(fleet.may(before.0), "seed {seed}: everybody is there");
        took_ms
    }

    fn roles(fleet: &Fleet) -> Vec<Option<Role>> {
        (0..fleet.nodes.len()).map(|at| fleet.role(at)).collect()
    }

    fn roster(seed: u64) -> Vec<Member> {
        let mut chance = voters::Chance(!seed);
        let count = chance.between(2, 7);
        let member = |at| Member {
            is_candidate: at <= 2 || chance.is(80),
            priority: chance.below(3) as i32,
            is_keeper: chance.is(50),
            weight: chance.between(1, 2) as u32,
            is_primary: at == 1,
            ..Member::new(name(at))
        };
        (1..=u128::from(count)).map(member).collect()
    }

    /// Something goes wrong.
    fn trouble(fleet: &mut Fleet) {
        let count = fleet.nodes.len() as u64;
        let at = fleet.chance.below(count) as usize;
        let other = ((at as u64 + fleet.chance.between(1, count - 1)) % count) as usize;
        match fleet.chance.below(12) {
            0 if fleet.is_up(at) => fleet.kill(at),
            1 if fleet.is_up(at) => fleet.unplug(at),
            0..=2 if !fleet.is_up(at) => fleet.start(at),
            3 if !fleet.is_up(at) => {
                fleet.flash(at);
                fleet.start(at);
            }
            4 => fleet.cut(at, other),
            5 => fleet.part(at, other),
            6 => {
                let side = fleet.chance.below(1 << count);
                let pairs = (0..count as usize).flat_map(|a| (0..a).map(move |b| (a, b)));
                let is_split = |(a, b): &(usize, usize)| (side >> a ^ side >> b) & 1 == 1;
                pairs.filter(is_split).for_each(|(a, b)| fleet.part(a, b));
            }
            7 => fleet.mend(),
            8 => fleet.pause(at),
            9 => fleet.resume(at),
            10 if fleet.chance.is(20) => fleet.say(at, Input::Force),
            10 => fleet.say(at, Input::HandOver { to: name(other as u128 + 1) }),
            _ => {
                let is_caught_up = fleet.chance.is(70);
                fleet.say(at, Input::CaughtUp(is_caught_up));
            }
        }
    }

    fn heal(fleet: &mut Fleet) {
        for at in 0..fleet.nodes.len() {
            fleet.resume(at);
            if !fleet.is_up(at) {
                fleet.start(at);
            }
        }
        fleet.mend();
    }
}

mod how_long {
    //! The time without a coordinator, over 200 deaths of each sort, in virtual time on a local network.

    use super::*;

    fn trial(seed: u64, die: impl Fn(&mut Fleet, usize)) -> u64 {
        let mut fleet = settled(seed, 2 + u128::from(seed % 6));
        let wait_ms = fleet.chance.between(3_000, 9_000);
        fleet.run(wait_ms);
        let (at, _) = coordinator(&fleet);
        die(&mut fleet, at);
        fleet.run_until(10_000, |fleet| fleet.is_agreed(true)).expect("somebody takes over")
    }

    fn of_200(die: impl Fn(&mut Fleet, usize)) -> Vec<u64> {
        let mut took_ms: Vec<u64> = (0..200).map(|seed| trial(seed, &die)).collect();
        took_ms.sort_unstable();
        took_ms
    }

    #[test]
    fn a_failover_takes_less_than_four_seconds_and_a_kill_less_than_one() {
        let (unplugged, killed) = (of_200(Fleet::unplug), of_200(Fleet::kill));
        println!("unplugged: p50 {} p99 {} max {} ms", unplugged[100], unplugged[197], unplugged[199]);
        println!("killed: p50 {} p99 {} max {} ms", killed[100], killed[197], killed[199]);

        assert!(unplugged[197] <= 3_800 && unplugged[199] <= 4_000, "{unplugged:?}");
        assert!(killed[199] <= 1_000, "{killed:?}");
    }
}
