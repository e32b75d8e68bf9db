use super::*;
use crate::web::pages::parts::honesty::tests::{clock, node};

/// What a test says of a wall.
#[derive(Default)]
struct Told {
    rooms: BTreeMap<String, String>,
    running: BTreeMap<String, Vec<Running>>,
    incidents: BTreeMap<String, Vec<IncidentView>>,
}

impl Told {
    fn cards(&self, nodes: &[NodeView], may: bool) -> Vec<Card> {
        let seen = Seen { rooms: &self.rooms, running: &self.running, incidents: &self.incidents, clock: &clock() };
        let rights = Rights { can_start: may, can_stop: may, can_listen: may };
        all(nodes.iter().map(|node| (node, rights)), &seen)
    }

    fn runs(&mut self, node: &NodeView, title: &str, is_paused: bool) {
        let started_at = "2026-11-21T08:34:12Z".parse().unwrap();
        let running = Running { id: format!("take of {}", node.id), title: title.into(), started_at, is_paused };
        self.running.entry(node.id.clone()).or_default().push(running);
    }

    fn is_amiss(&mut self, node: &NodeView, severity: Severity, title: &str) {
        let at = "2026-11-21T09:00:00Z".parse().unwrap();
        self.incidents.entry(node.id.clone()).or_default().push(IncidentView {
            id: title.into(),
            node_id: node.id.clone(),
            node: node.name.clone(),
            kind: "dead_path".into(),
            severity,
            target: "Channel 3 (Witness)".into(),
            channel: Some(3),
            title: title.into(),
            means: String::new(),
            todo: String::new(),
            measure: String::new(),
            times: 1,
            began_at: at,
            opened_at: at,
            closed_at: None,
            acknowledged_by: None,
            note: String::new(),
            suppressed_until: None,
        });
    }
}

fn names(cards: &[Card]) -> Vec<&str> {
    cards.iter().map(|card| card.name.as_str()).collect()
}

#[test]
fn problems_come_first_then_what_records_then_the_rest() {
    let states = ["current", "current", "current", "current", "lost", "lost", "current", "lapsed"];
    let mut nodes: Vec<NodeView> =
        ["idle", "recording", "silent", "critical", "gone", "gone-recording", "paused", "long-gone"]
            .iter()
            .zip(states)
            .map(|(name, state)| node(name, state))
            .collect();
    nodes.push(NodeView { activity: "offline".into(), ..node("away", "current") });
    let mut told = Told::default();
    for at in [1, 2, 3, 5] {
        told.runs(&nodes[at], "Hearing", false);
    }
    told.runs(&nodes[6], "Hearing", true);
    told.is_amiss(&nodes[2], Severity::Warning, "No signal");
    told.is_amiss(&nodes[3], Severity::Critical, "Audio is lost");

    let cards = told.cards(&nodes, true);

    let order = ["gone-recording", "gone", "long-gone", "critical", "away", "silent", "recording", "paused", "idle"];
    assert_eq!(names(&cards), order);
    let of = |show: Show| cards.iter().filter(|card| show.has(card)).count();
    assert_eq!(Show::ALL.map(of), [9, 6, 5, 3]);
}

#[test]
fn of_a_room_whose_records_are_not_here_nothing_is_said_and_nothing_done() {
    let far = NodeView { activity: String::new(), ..node("far", "current") };
    let mut told = Told::default();

    let cards = told.cards(&[node("idle", "current"), far.clone()], true);

    assert_eq!(names(&cards), ["far", "idle"]);
    let words = |card: &Card| (card.word.clone(), card.act.is_some(), card.listen.is_some());
    assert_eq!(words(&cards[0]), ("Not known here".to_owned(), false, true));
    assert_eq!(words(&cards[1]), ("Not recording".to_owned(), true, true));

    told.runs(&far, "Hearing", false);
    assert_eq!(told.cards(&[far], true)[0].word, "Recording");
}

#[test]
fn a_lost_room_is_not_said_to_record_now_and_has_no_buttons() {
    let gone = node("gone", "lost");
    let mut told = Told::default();
    told.runs(&gone, "Hearing", false);

    let card = &told.cards(&[gone], true)[0];

    assert_eq!((card.word.as_str(), &card.elapsed, &card.act), ("Not reached, was recording", &None, &None));
    assert_eq!(card.said.as_deref(), Some("Last heard today, 09:02. It goes on recording by itself."));
}

#[test]
fn a_card_says_what_is_recorded_since_when_and_stops_that() {
    let hall = NodeView { disk_bytes: (50_000_000_000, 1_000_000_000_000), ..node("rakkr-1", "current") };
    let mut told = Told::default();
    told.rooms.insert(hall.id.clone(), "Court room 4".into());
    told.runs(&hall, "Hearing 24/113", false);

    let card = &told.cards(std::slice::from_ref(&hall), true)[0];

    assert_eq!((card.name.as_str(), card.node.as_deref()), ("Court room 4", Some("rakkr-1")));
    assert_eq!((card.title.as_str(), card.since.as_deref()), ("Hearing 24/113", Some("since today, 08:34")));
    assert_eq!(card.elapsed, Some(Elapsed { seconds: 3_600, text: "1:00:00".into() }));
    assert_eq!(card.disk.as_deref(), Some("50.0 GB free, low"));
    let act = card.act.as_ref().unwrap();
    assert_eq!((act.label.as_str(), &act.denied), ("Stop", &None));
    assert_eq!(act.recording, Some(format!("take of {}", hall.id)));
}

#[test]
fn the_gravest_incidents_are_shown_and_the_rest_counted() {
    let hall = node("hall", "current");
    let mut told = Told::default();
    for (severity, title) in
        [(Severity::Info, "a"), (Severity::Warning, "b"), (Severity::Warning, "c"), (Severity::Critical, "d")]
    {
        told.is_amiss(&hall, severity, title);
    }

    let card = &told.cards(&[hall], true)[0];

    assert_eq!(card.incidents[0].title, "Channel 3 (Witness): d");
    assert_eq!((card.incidents.len(), card.more.as_deref()), (3, Some("and 1 more")));
}

#[test]
fn a_room_is_heard_through_its_own_node_if_it_is_reached_and_they_may() {
    let (hall, gone) = (node("hall", "current"), node("gone", "lost"));
    let here = NodeView { is_here: true, ..node("here", "current") };
    let away = NodeView { activity: "offline".into(), ..node("away", "current") };
    let nodes = [hall.clone(), gone, here, away];
    let heard = |may: bool| -> BTreeMap<String, Option<String>> {
        Told::default().cards(&nodes, may).into_iter().map(|card| (card.name, card.listen)).collect()
    };

    let (all, none) = (heard(true), heard(false));

    assert_eq!(all["hall"], Some(format!("/api/v1/nodes/{}/calls/listen", hall.id)));
    assert_eq!(all["here"].as_deref(), Some("/api/v1/listen"));
    assert_eq!((&all["gone"], &all["away"]), (&None, &None));
    assert!(none.values().all(Option::is_none));
}

#[test]
fn who_may_not_start_is_told_why() {
    let card = &Told::default().cards(&[node("hall", "current")], false)[0];
    assert!(card.act.as_ref().unwrap().denied.as_ref().unwrap().contains("recording:create"));
}

/// Five hundred rooms, of which every seventh is not reached and every third records.
fn large() -> (Told, Vec<NodeView>) {
    let state = |index: usize| if index.is_multiple_of(7) { "lost" } else { "current" };
    let nodes: Vec<NodeView> = (0..500).map(|index| node(&format!("room-{index:03}"), state(index))).collect();
    let mut told = Told::default();
    for node in nodes.iter().step_by(3) {
        told.runs(node, "Hearing 24/113 \u{202e}<script>", false);
    }
    (told, nodes)
}

#[test]
fn five_hundred_rooms_are_all_there_in_order_and_small() {
    let (told, nodes) = large();

    let cards = told.cards(&nodes, true);
    let html =
        crate::web::pages::render("partials/wall_cards.html", &serde_json::json!({"cards": cards, "nothing": ""}));

    let html = html.unwrap();
    assert_eq!(html.matches("<article").count(), 500);
    assert!(cards.windows(2).all(|pair| pair[0].rank <= pair[1].rank));
    assert!(!html.contains("<script>"), "a title got in");
    assert!(html.len() < 500 * 1_200, "{} bytes", html.len());
}
