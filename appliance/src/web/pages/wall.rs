//! The wall: every room as a card, problems first. Records, members, rooms and incidents are read once each, however many
//! rooms there are; what is started, stopped or heard in another room is asked of its own node, as the person who asks.
//!
//! Levels are not here: the page's script gets them by a socket of their own (`web::levels`), many times for each time that
//! a card changes.

pub mod cards;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::cards::{Card, Rights, Running, Seen, Show};
use super::parts::chrome::{self, About, Chrome};
use super::parts::field::Sent;
use super::parts::flash::{self, Flash, of_problem};
use super::parts::honesty::Honesty;
use super::parts::visit::{Guest, Two, Visit, query_value};
use super::parts::words;
use super::recordings::Chip;
use super::{Answer, Pieces, again, show_with};
use crate::domain::access::Permission;
use crate::domain::{TakeId, TakeState};
use crate::fleet::state::FleetView;
use crate::store::Id;
use crate::sys::clock;
use crate::web::api::nodes::{Nodes, sees};
use crate::web::api::recordings::{self, Start};
use crate::web::api::{fleet, incidents, may};
use crate::web::caller::Caller;
use crate::web::view::IncidentView;
use crate::web::{App, Problem, blocking};

/// Up to so many cards the wall is sent whole when something changes; beyond, each card by itself.
const WHOLE_MAX: usize = 60;

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// Large, and without a menu.
    pub is_kiosk: bool,
    /// The other way.
    pub kiosk_url: String,
    /// How the fleet stands.
    pub honesty: Honesty,
    /// Filters.
    pub chips: Vec<Chip>,
    /// Rooms, problems first.
    pub cards: Vec<Card>,
    /// What to say if there is none.
    pub nothing: String,
}

/// What is looked at: a filter, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    show: Show,
    is_kiosk: bool,
}

impl Asked {
    fn of(path: &str) -> Self {
        let show = Show::named(&query_value(path, "show").unwrap_or_default());
        Self { show, is_kiosk: query_value(path, "kiosk").as_deref() == Some("1") }
    }

    fn url(self) -> String {
        let show = (self.show != Show::All).then(|| format!("show={}", self.show.name()));
        let kiosk = self.is_kiosk.then(|| "kiosk=1".to_owned());
        let said: Vec<String> = show.into_iter().chain(kiosk).collect();
        if said.is_empty() { "/wall".to_owned() } else { format!("/wall?{}", said.join("&")) }
    }

    /// As a topic of the live stream says it.
    fn topic(self) -> String {
        format!("wall:{}{}", self.show.name(), if self.is_kiosk { ".kiosk" } else { "" })
    }

    fn of_topic(filter: &str) -> Self {
        let (show, kiosk) = filter.split_once('.').unwrap_or((filter, ""));
        Self { show: Show::named(show), is_kiosk: kiosk == "kiosk" }
    }
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit, Asked::of(&visit.path), None)).await??)
}

fn page(
    app: &App,
    caller: &Caller,
    visit: &Visit,
    asked: Asked,
    problem: Option<&Problem>,
) -> Result<Response, Problem> {
    let (fleet, cards) = look(app, caller)?;
    let live = asked.topic();
    let mut frame = chrome::chrome(app, Some(caller), visit, About { title: "Wall", nav: "wall", live: &live });
    frame.flash.extend(problem.map(of_problem));
    if asked.is_kiosk {
        frame.banner = None;
    }
    let view = View {
        chrome: frame,
        is_kiosk: asked.is_kiosk,
        kiosk_url: Asked { is_kiosk: !asked.is_kiosk, ..asked }.url(),
        honesty: Honesty::of(&fleet, &chrome::room_clock(app)),
        chips: chips(&cards, asked),
        nothing: asked.show.nothing().to_owned(),
        cards: cards.into_iter().filter(|card| asked.show.has(card)).collect(),
    };
    Ok(show_with(visit, again(problem), "pages/wall.html", &view))
}

/// All cards of rooms that whoever looks may see.
fn look(app: &App, caller: &Caller) -> Result<(FleetView, Vec<Card>), Problem> {
    let nodes = Nodes::of(app)?;
    may(app, caller, Permission::NodeRead, &nodes.everywhere())?;
    let mut fleet = app.fleet.view()?.settled(clock::wall());
    let (us, is_person) = (app.store.node().to_string(), caller.asker().is_some());
    let seen = Seen {
        rooms: &nodes.room_names(),
        running: &running(app)?,
        incidents: &open(app, caller)?,
        clock: &chrome::room_clock(app),
    };
    let shown = fleet.nodes.iter().filter(|node| node.state != "retired").filter_map(|node| {
        let target = nodes.of_node(node.id.parse().ok()?);
        let can = |permission| sees(app, caller, permission, &target);
        let rights = || Rights {
            can_start: can(Permission::RecordingCreate),
            can_stop: can(Permission::RecordingControl),
            can_listen: (node.id == us || is_person) && can(Permission::ListenMonitor),
        };
        can(Permission::NodeRead).then(|| (node, rights()))
    });
    let cards = cards::all(shown, &seen);
    // Counts of the honesty bar stay those of the whole fleet; names of rooms that are not theirs to see go nowhere.
    fleet.stories.clear();
    Ok((fleet, cards))
}

/// What runs, by node, the newest first.
fn running(app: &App) -> Result<BTreeMap<String, Vec<Running>>, Problem> {
    let mut found: BTreeMap<String, Vec<Running>> = BTreeMap::new();
    for recording in app.store.running()?.values() {
        found.entry(recording.node.to_string()).or_default().push(Running {
            id: recording.id.to_string(),
            title: recording.title().to_owned(),
            started_at: recording.facts.started_at,
            is_paused: recording.facts.state == TakeState::Paused,
        });
    }
    found.values_mut().for_each(|running| running.sort_by_key(|running| Reverse(running.started_at)));
    Ok(found)
}

/// What is open and not kept quiet, by node.
fn open(app: &App, caller: &Caller) -> Result<BTreeMap<String, Vec<IncidentView>>, Problem> {
    let filter = incidents::Filter { open: Some(true), ..incidents::Filter::default() };
    let mut found: BTreeMap<String, Vec<IncidentView>> = BTreeMap::new();
    let all = match incidents::list(app, caller, &filter) {
        Ok(list) => list.items,
        Err(problem) if problem.status == 403 || problem.status == 404 => Vec::new(),
        Err(problem) => return Err(problem),
    };
    for incident in all.into_iter().filter(|incident| incident.suppressed_until.is_none()) {
        found.entry(incident.node_id.clone()).or_default().push(incident);
    }
    Ok(found)
}

fn chips(cards: &[Card], asked: Asked) -> Vec<Chip> {
    // Where rooms are that nothing is known of, nobody can count what they do.
    let is_known = cards.iter().all(|card| card.state != "unknown");
    let is_counted = |show| is_known || [Show::All, Show::Lost].contains(&show);
    let count = |show: Show| words::number(cards.iter().filter(|card| show.has(card)).count() as u64);
    let chip = |show: Show| Chip {
        label: show.label().to_owned(),
        count_text: is_counted(show).then(|| count(show)),
        url: Asked { show, ..asked }.url(),
        is_current: show == asked.show,
    };
    Show::ALL.map(chip).into()
}

/// `<node>/start`, `<node>/stop`.
pub async fn act(
    State(app): State<App>,
    Guest { caller, visit }: Guest,
    Two(node, act): Two<Id>,
    sent: Sent,
) -> Answer {
    let asked = visit.came_from.as_deref().map_or(Asked::of(""), Asked::of);
    let recording = match act.as_str() {
        "start" => None,
        "stop" => Some(sent.text("recording").parse().map_err(|_| Problem::not_found("recording"))?),
        _ => return Err(Problem::not_found("act").into()),
    };
    let done = match node == app.store.node() {
        true => here(&app, &caller, recording).await,
        false => there(&app, &caller, node, recording).await,
    };
    match done {
        Ok(()) => {
            let flash = recording.map_or_else(|| Flash::new("started_there"), |id| Flash::about("stopped", id));
            Ok(flash::redirect(&asked.url(), flash, visit.is_tls))
        }
        Err(problem) => Ok(blocking(move || page(&app, &caller, &visit, asked, Some(&problem))).await??),
    }
}

/// Starts, or stops this one, at this node.
async fn here(app: &App, caller: &Caller, recording: Option<TakeId>) -> Result<(), Problem> {
    let (app, caller) = (app.clone(), caller.clone());
    blocking(move || match recording {
        None => recordings::start(&app, &caller, Start::default()).map(|_| ()),
        Some(id) => recordings::stop(&app, &caller, id).map(|_| ()),
    })
    .await?
}

/// The same at another node, by its own API.
async fn there(app: &App, caller: &Caller, node: Id, recording: Option<TakeId>) -> Result<(), Problem> {
    let path = match recording {
        None => "/api/v1/recordings".to_owned(),
        Some(id) => format!("/api/v1/recordings/{id}/stop"),
    };
    fleet::tell_there(app, caller, node, &path, &json!({})).await
}

/// What of the page is sent when it changes.
pub(super) fn pieces(app: &App, caller: &Caller, filter: &str, pieces: &mut Pieces) -> Result<(), Problem> {
    // Each of them takes only what it shows: a template is given a copy of all of it.
    #[derive(Serialize)]
    struct Head {
        honesty: Honesty,
        chips: Vec<Chip>,
    }
    #[derive(Serialize)]
    struct Whole<'a> {
        cards: &'a [&'a Card],
        nothing: &'static str,
    }
    #[derive(Serialize)]
    struct One<'a> {
        card: &'a Card,
    }
    let asked = Asked::of_topic(filter);
    let (fleet, cards) = look(app, caller)?;
    let head = Head { honesty: Honesty::of(&fleet, &chrome::room_clock(app)), chips: chips(&cards, asked) };
    pieces.add("honesty", "honesty", &head)?;
    pieces.add("wall-chips", "wall_chips", &head)?;
    let cards: Vec<&Card> = cards.iter().filter(|card| asked.show.has(card)).collect();
    // A filter's list comes and goes: it is sent whole. All rooms of a large fleet come a card at a time.
    if cards.len() <= WHOLE_MAX || asked.show != Show::All {
        return pieces.add("wall", "wall_cards", &Whole { cards: &cards, nothing: asked.show.nothing() });
    }
    cards.iter().try_for_each(|card| pieces.add_made_of(card, &format!("card-{}", card.id), "wall_card", &One { card }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::state::NodeView;
    use crate::web::pages::parts::honesty::tests::{clock, node};

    #[test]
    fn what_is_looked_at_stands_in_the_url_and_in_the_topic() {
        for path in ["/wall", "/wall?show=problems", "/wall?kiosk=1", "/wall?show=lost&kiosk=1"] {
            let asked = Asked::of(path);
            assert_eq!(asked.url(), path);
            assert_eq!(Asked::of_topic(asked.topic().strip_prefix("wall:").unwrap()), asked);
        }
        assert_eq!(Asked::of("/wall?show=%3Cscript%3E").url(), "/wall");
    }

    #[test]
    fn what_rooms_do_is_counted_only_where_it_is_known_of_all() {
        let seen =
            Seen { rooms: &BTreeMap::new(), running: &BTreeMap::new(), incidents: &BTreeMap::new(), clock: &clock() };
        let rights = Rights { can_start: true, can_stop: true, can_listen: true };
        let counts = |nodes: &[NodeView]| {
            let cards = cards::all(nodes.iter().map(|node| (node, rights)), &seen);
            chips(&cards, Asked::of("/wall")).into_iter().map(|chip| chip.count_text).collect::<Vec<_>>()
        };
        let text = |number: &str| Some(number.to_owned());
        let mut nodes = [node("near", "current"), node("gone", "lost"), node("far", "current")];
        assert_eq!(counts(&nodes), [text("3"), text("1"), text("0"), text("1")]);
        // Of this one nothing came here, as where nodes keep only their own.
        nodes[2].activity = String::new();
        assert_eq!(counts(&nodes), [text("3"), None, None, text("1")]);
    }
}
