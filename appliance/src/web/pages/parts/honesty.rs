//! The honesty bar: who coordinates since when, how many nodes are current, and what waits. Words only; nothing is decided.
//!
//! Every page of the fleet has it whole. The others have one line of it, and only when something is amiss.

use serde::{Deserialize, Serialize};

use super::row::within;
use super::words::{self, Clock};
use crate::fleet::state::{CoordinatorView, FleetView, NodeView};

/// How the fleet stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Honesty {
    /// good, warning or bad.
    pub tone: String,
    /// The same in a few words.
    pub word: String,
    /// Who coordinates since when, and how many are current.
    pub text: String,
    /// What waits, and for what.
    pub waits: Option<String>,
}

/// The fleet as every page knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFleet {
    /// Nodes that are not retired; 0 for whoever may not see the fleet.
    pub nodes: usize,
    /// What is amiss.
    pub strip: Option<Strip>,
    /// Whose recordings, incidents and journal are not on this node, and where they are; nothing if all are here.
    pub keeps: Option<Keeps>,
}

/// That others' records are not on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeps {
    /// Where they are.
    pub text: String,
    /// The pages of that node, if it told an address.
    pub url: Option<String>,
}

/// What is amiss, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    #[allow(missing_docs)]
    pub word: String,
    #[allow(missing_docs)]
    pub text: String,
}

impl Honesty {
    /// Of a fleet as this node sees it.
    pub fn of(view: &FleetView, clock: &Clock) -> Self {
        let (tone, word) = standing(view);
        let who = match &view.coordinator {
            _ if view.of <= 1 => "This node is on its own: what it decides counts at once.".to_owned(),
            Some(coordinator) => leads(coordinator, clock),
            None => "No node coordinates at this moment; an election takes some seconds. Recording goes on.".to_owned(),
        };
        Self {
            tone: tone.to_owned(),
            word: word.to_owned(),
            text: if view.of <= 1 { who } else { format!("{who} {}", current(view)) },
            waits: view.trouble.first().cloned().or_else(|| waits(view)).or_else(|| Some(keeps(view)?.text)),
        }
    }
}

impl InFleet {
    /// Of a fleet as this node sees it.
    pub fn of(view: &FleetView) -> Self {
        let strip = is_amiss(view).then(|| Strip {
            word: standing(view).1.to_owned(),
            text: view
                .trouble
                .first()
                .cloned()
                .or_else(|| waits(view))
                .unwrap_or_else(|| words::capital(&current(view))),
        });
        Self { nodes: view.of, strip, keeps: keeps(view) }
    }
}

/// What this node does not know, and who does.
fn keeps(view: &FleetView) -> Option<Keeps> {
    if view.keeps_all || view.of <= 1 {
        return None;
    }
    let own = "This node keeps its own recordings, incidents and journal only";
    let is_there = |node: &&NodeView| node.is_keeper && !node.is_here && node.is_reached();
    let coordinator = view.coordinator.as_ref().filter(|coordinator| !coordinator.is_here);
    let (text, address) = match (coordinator, view.nodes.iter().find(is_there)) {
        (Some(leader), _) => {
            (format!("{own}. Those of all nodes are on {}, which coordinates.", leader.name), leader.address.as_ref())
        }
        (None, Some(keeper)) => {
            (format!("{own}. Those of all nodes are on {}.", keeper.name), keeper.addresses.first())
        }
        (None, None) => (format!("{own}. No node that keeps everybody's is reached now."), None),
    };
    Some(Keeps { text, url: address.map(|address| format!("https://{address}/")) })
}

fn standing(view: &FleetView) -> (&'static str, &'static str) {
    match &view.coordinator {
        _ if view.is_replaced => ("bad", "Another box has its place"),
        _ if !view.trouble.is_empty() => ("bad", "Records are in trouble"),
        _ if view.of <= 1 => ("good", "A fleet of one"),
        None => ("bad", "Nobody coordinates"),
        Some(coordinator) if coordinator.mode == "minority" => ("bad", "Minority"),
        Some(_) if view.current < view.of => ("warning", "Not all are current"),
        Some(_) => ("good", "All are current"),
    }
}

fn leads(coordinator: &CoordinatorView, clock: &Clock) -> String {
    let here = if coordinator.is_here { " (this node)" } else { "" };
    let since = within(&clock.day_and_time(coordinator.since));
    format!("{}{here} coordinates since {since}, term {}.", coordinator.name, coordinator.epoch)
}

/// `3 of 4 nodes are current, 1 is lost.`
fn current(view: &FleetView) -> String {
    let others = ["behind", "lost", "lapsed"].map(|state| {
        let count = view.nodes.iter().filter(|node| node.state == state).count();
        let (is, said) = (if count == 1 { "is" } else { "are" }, if state == "lapsed" { "long gone" } else { state });
        (count > 0).then(|| format!(", {count} {is} {said}"))
    });
    let others: String = others.into_iter().flatten().collect();
    format!("{} of {} nodes are current{others}.", view.current, view.of)
}

fn waits(view: &FleetView) -> Option<String> {
    let acts = "Retiring a node and removing recordings for good";
    let text = match &view.coordinator {
        _ if view.of <= 1 => return None,
        None => format!("{acts} wait until a node coordinates. Everything else works."),
        Some(coordinator) if coordinator.mode == "minority" => {
            format!("Most of the fleet is not reached from here: {} wait for it. Everything else works.", lower(acts))
        }
        Some(_) => return None,
    };
    Some(text)
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Nodes that were not heard for a month are a thing of the fleet's page, not of every page.
fn is_amiss(view: &FleetView) -> bool {
    let is_missed = view.nodes.iter().any(|node| ["lost", "behind"].contains(&node.state));
    let is_apart = view.coordinator.as_ref().is_none_or(|coordinator| coordinator.mode == "minority") || is_missed;
    !view.trouble.is_empty() || (view.of > 1 && is_apart)
}

#[cfg(test)]
pub(in crate::web::pages) mod tests {
    use jiff::tz::TimeZone;
    use replicate::net::BEHIND_AFTER_MS;

    use super::*;

    pub fn clock() -> Clock {
        Clock { now: "2026-11-21T09:34:12Z".parse().unwrap(), zone: TimeZone::UTC }
    }

    pub fn node(name: &str, state: &'static str) -> NodeView {
        NodeView {
            id: crate::store::Id::of_name(name).to_string(),
            name: name.to_owned(),
            state,
            last_seen: Some("2026-11-21T09:02:00Z".parse().unwrap()),
            version: "0.5.0".into(),
            lag_entries: 0,
            behind_since: None,
            is_keeper: true,
            is_candidate: true,
            is_here: false,
            addresses: vec![format!("{name}.local:8443")],
            why: (state == "lost").then(|| "connection refused".to_owned()),
            called: "link",
            not_called: None,
            joined_by: None,
            joined_at: None,
            room_id: None,
            activity: "idle".into(),
            disk_bytes: (0, 0),
            is_disputed: false,
            void_changes: 0,
            clock_offset_ms: None,
        }
    }

    pub fn fleet(mode: Option<&'static str>, states: &[&'static str]) -> FleetView {
        let nodes: Vec<NodeView> =
            states.iter().enumerate().map(|(index, state)| node(&format!("room-{index}"), state)).collect();
        let coordinator = mode.map(|mode| CoordinatorView {
            node_id: nodes[0].id.clone(),
            name: "room-0".into(),
            epoch: 3,
            since: "2026-11-21T08:12:00Z".parse().unwrap(),
            mode,
            is_here: false,
            address: None,
        });
        FleetView {
            fleet_id: String::new(),
            name: "Court".into(),
            node_id: nodes[0].id.clone(),
            coordinator,
            current: states.iter().filter(|state| **state == "current").count(),
            of: states.iter().filter(|state| **state != "retired").count(),
            nodes,
            trouble: Vec::new(),
            is_replaced: false,
            keeps_all: true,
            floor: 0,
            floor_waits: None,
            stories: Vec::new(),
        }
    }

    #[test]
    fn records_that_are_not_written_are_said_first_and_on_every_page() {
        for states in [&["current"][..], &["current", "current"]] {
            let view = FleetView { trouble: vec!["Its card was copied.".into()], ..fleet(Some("majority"), states) };
            let honesty = Honesty::of(&view, &clock());
            assert_eq!((honesty.tone.as_str(), honesty.waits.as_deref()), ("bad", Some("Its card was copied.")));
            assert_eq!(InFleet::of(&view).strip.map(|strip| strip.text).as_deref(), Some("Its card was copied."));
        }
    }

    #[test]
    fn a_box_whose_place_another_took_says_so_on_every_page() {
        let trouble = vec!["Another box has taken this one's place.".into()];
        let view = FleetView { is_replaced: true, trouble, ..fleet(None, &["current", "lost"]) };
        let strip = InFleet::of(&view).strip.unwrap();
        assert_eq!(strip.word, "Another box has its place");
        assert_eq!(strip.text, "Another box has taken this one's place.");
    }

    #[test]
    fn a_node_that_keeps_only_its_own_says_where_the_rest_is() {
        let mut view = FleetView { keeps_all: false, ..fleet(Some("majority"), &["current", "current", "current"]) };
        (view.nodes[2].is_here, view.nodes[2].is_keeper) = (true, false);
        let keeps = |view: &FleetView| InFleet::of(view).keeps.unwrap().text;
        assert!(keeps(&view).ends_with("are on room-0, which coordinates."), "{}", keeps(&view));
        assert_eq!(Honesty::of(&view, &clock()).waits, Some(keeps(&view)));
        view.coordinator = None;
        view.nodes[0].state = "lost";
        assert!(keeps(&view).ends_with("are on room-1."), "{}", keeps(&view));
        assert_eq!(InFleet::of(&view).keeps.unwrap().url.as_deref(), Some("https://room-1.local:8443/"));
        view.nodes[1].state = "lost";
        assert!(keeps(&view).ends_with("is reached now."), "{}", keeps(&view));

        assert_eq!(InFleet::of(&FleetView { keeps_all: true, ..view }).keeps, None);
    }

    #[test]
    fn a_node_alone_has_nobody_to_coordinate() {
        let honesty = Honesty::of(&fleet(Some("alone"), &["current"]), &clock());
        assert_eq!((honesty.tone.as_str(), honesty.word.as_str(), honesty.waits), ("good", "A fleet of one", None));
    }

    #[test]
    fn it_says_who_coordinates_and_how_many_are_current() {
        let honesty = Honesty::of(&fleet(Some("majority"), &["current", "current", "lost", "retired"]), &clock());
        let text = "room-0 coordinates since today, 08:12, term 3. 2 of 3 nodes are current, 1 is lost.";
        assert_eq!((honesty.text.as_str(), honesty.tone.as_str()), (text, "warning"));
    }

    #[test]
    fn a_minority_says_which_acts_wait() {
        let view = fleet(Some("minority"), &["current", "lost", "lost"]);
        let waits = Honesty::of(&view, &clock()).waits.unwrap();
        assert!(waits.contains("retiring a node") && waits.contains("removing recordings"), "{waits}");
        assert_eq!(InFleet::of(&view).strip.unwrap().word, "Minority");
    }

    #[test]
    fn other_pages_speak_of_the_fleet_only_when_something_is_amiss() {
        let strip = |mode, states: &[&'static str]| InFleet::of(&fleet(mode, states)).strip.map(|strip| strip.word);
        assert_eq!(strip(Some("alone"), &["current"]), None);
        assert_eq!(strip(None, &["current"]), None);
        assert_eq!(strip(Some("majority"), &["current", "current", "retired"]), None);
        assert_eq!(strip(Some("majority"), &["current", "current", "lapsed"]), None);
        assert_eq!(strip(Some("majority"), &["current", "lost"]).as_deref(), Some("Not all are current"));
        assert_eq!(strip(None, &["current", "current"]).as_deref(), Some("Nobody coordinates"));
    }

    #[test]
    fn what_is_nearly_there_is_no_alarm() {
        let mut view = fleet(Some("majority"), &["current", "behind"]);
        let now = clock().now;
        let after = |ms: u64| now - jiff::SignedDuration::from_millis(ms as i64);
        view.nodes[1].behind_since = Some(after(BEHIND_AFTER_MS - 1));
        let settled = view.clone().settled(now);
        assert_eq!((settled.current, InFleet::of(&settled).strip), (2, None));
        view.nodes[1].behind_since = Some(after(BEHIND_AFTER_MS));
        assert!(InFleet::of(&view.settled(now)).strip.is_some());
    }
}
