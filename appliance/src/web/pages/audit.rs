//! The journal: who did what to which thing, with what outcome, and what changed.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::parts::acts::{self, Came, Change};
use super::parts::chrome::{self, About, Chrome};
use super::parts::field::{Choice, choices, choices_of};
use super::parts::visit::{Guest, Visit, encoded};
use super::parts::words::{self, Clock};
use super::{Answer, show as shown};
use crate::store::audit::Entry;
use crate::web::api::audit::{self, Filter};
use crate::web::api::nodes::Nodes;
use crate::web::caller::Caller;
use crate::web::view::AuditView;
use crate::web::{App, Problem, blocking};

/// Entries on one page.
const PAGE: usize = 50;
/// Entries read at a time, and how often, when words are looked for: a page is answered in bounded time, and goes on
/// where it stopped.
const READ: (usize, usize) = (200, 10);

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// How much was found.
    pub total_text: String,
    /// Whether the journal is whole.
    pub chain: Chain,
    /// What is looked for.
    pub filter: Shown,
    /// Acts to choose.
    pub acts: Vec<Choice>,
    /// Outcomes to choose.
    pub outcomes: Vec<Choice>,
    /// People to choose.
    pub actors: Vec<Choice>,
    /// All that was found, for spreadsheets.
    pub csv_url: String,
    /// The whole journal, for proof.
    pub jsonl_url: String,
    /// What was found.
    pub items: Vec<Line>,
    /// The first page.
    pub newest_url: Option<String>,
    /// The next page.
    pub older_url: Option<String>,
}

/// Whether the journal is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// good, bad or unknown.
    pub state: String,
    /// The same in words.
    pub word: String,
    /// Since when, or what to do.
    pub text: String,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Words.
    pub q: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// More than words is asked for.
    pub is_narrowed: bool,
    /// Without any of it.
    pub clear_url: Option<String>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    #[allow(missing_docs)]
    pub id: String,
    #[allow(missing_docs)]
    pub at_iso: String,
    /// In the room's time.
    pub at_text: String,
    #[allow(missing_docs)]
    pub at_utc_text: String,
    /// Who.
    pub actor: String,
    /// Did what.
    pub act_text: String,
    /// To which thing.
    pub target: Target,
    /// With what outcome.
    pub outcome: Came,
    /// Why, or why not.
    pub reason: Option<String>,
    /// From where.
    pub via_text: String,
    /// What is other now.
    pub changes: Vec<Change>,
}

/// A thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    #[allow(missing_docs)]
    pub name: String,
    /// Its page.
    pub url: Option<String>,
}

/// The filter as it stands in the URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    q: String,
    node: String,
    act: String,
    outcome: String,
    actor: String,
    from: String,
    to: String,
    cursor: String,
}

impl Asked {
    fn of(path: &str) -> Self {
        let mut asked = Self::default();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "q" => asked.q = value,
                "node_id" => asked.node = value,
                "act" => asked.act = value,
                "outcome" => asked.outcome = value,
                "actor" => asked.actor = value,
                "from" => asked.from = value,
                "to" => asked.to = value,
                "cursor" => asked.cursor = value,
                _ => {}
            }
        }
        asked
    }

    fn url(&self, cursor: &str) -> String {
        link(
            "/audit",
            &[
                ("q", &self.q),
                ("node_id", &self.node),
                ("act", &self.act),
                ("outcome", &self.outcome),
                ("actor", &self.actor),
                ("from", &self.from),
                ("to", &self.to),
                ("cursor", cursor),
            ],
        )
    }

    fn filter(&self, clock: &Clock, limit: usize) -> Filter {
        let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Filter {
            node_id: said(&self.node),
            target: None,
            actor: said(&self.actor),
            action: said(&self.act),
            outcome: said(&self.outcome),
            from: clock.beginning_of(&self.from, 0),
            to: clock.beginning_of(&self.to, 1),
            cursor: said(&self.cursor),
            limit: Some(limit),
        }
    }

    fn is_narrowed(&self) -> bool {
        [&self.node, &self.act, &self.outcome, &self.actor, &self.from, &self.to].iter().any(|value| !value.is_empty())
    }
}

fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    let said =
        pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", encoded(value)));
    let query = said.collect::<Vec<_>>().join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { caller, visit }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &caller, &visit)).await??)
}

fn page(app: &App, caller: &Caller, visit: &Visit) -> Result<Response, Problem> {
    let clock = chrome::room_clock(app);
    let asked = Asked::of(&visit.path);
    let (found, next) = find(app, caller, &asked, &clock)?;
    let nodes = Nodes::of(app)?;
    let newest = audit::list(app, caller, &Filter { limit: Some(READ.0), ..Filter::default() })?;
    let mut people: Vec<String> =
        newest.items.into_iter().map(|found| found.entry.actor.name).filter(|name| !name.is_empty()).collect();
    people.sort();
    people.dedup();
    let outcomes = [
        ("", "Any outcome"),
        ("succeeded", "Done"),
        ("failed", "Failed"),
        ("partial", "In part"),
        ("denied", "Denied"),
    ];
    let has_asked = asked.is_narrowed() || !asked.q.is_empty();
    let view = View {
        chrome: chrome::chrome(app, Some(caller), visit, About { title: "Audit", nav: "audit", live: "" }),
        total_text: total_text(found.len(), next.is_some()),
        chain: Chain { state: "unknown".to_owned(), word: "Not checked here.".to_owned(), text: how_to_prove(app) },
        acts: choices_of("Any act", acts::choices(), &asked.act),
        outcomes: choices(&outcomes, &asked.outcome),
        actors: choices_of("Anybody", people.into_iter().map(|name| (name.clone(), name)), &asked.actor),
        csv_url: csv_url(&asked, &clock),
        jsonl_url: "/api/v1/audit-events.jsonl".to_owned(),
        items: found.iter().map(|found| line(found, &nodes, &clock)).collect(),
        newest_url: (!asked.cursor.is_empty()).then(|| asked.url("")),
        older_url: next.map(|cursor| asked.url(&cursor)),
        filter: Shown {
            is_narrowed: asked.is_narrowed(),
            clear_url: has_asked.then(|| "/audit".to_owned()),
            q: asked.q,
            from: asked.from,
            to: asked.to,
        },
    };
    Ok(shown(visit, "pages/audit.html", &view))
}

/// A page of entries, and where to go on.
fn find(app: &App, caller: &Caller, asked: &Asked, clock: &Clock) -> Result<(Vec<AuditView>, Option<String>), Problem> {
    let words = asked.q.trim().to_lowercase();
    if words.is_empty() {
        let page = audit::list(app, caller, &asked.filter(clock, PAGE))?;
        return Ok((page.items, page.next));
    }
    let has = |AuditView { entry, .. }: &AuditView| {
        let said = [&entry.actor.name, &entry.target.name, &entry.target.id, &entry.reason, &entry.address];
        let said = said.map(|text| text.to_lowercase()).join("\n");
        words.split_whitespace().all(|word| said.contains(word))
    };
    let mut found = Vec::new();
    let mut filter = asked.filter(clock, READ.0);
    for _ in 0..READ.1 {
        let page = audit::list(app, caller, &filter)?;
        found.extend(page.items.into_iter().filter(has));
        filter.cursor = page.next;
        // All matches of what was read are shown: the cursor stands behind what was read.
        if filter.cursor.is_none() || found.len() >= PAGE {
            break;
        }
    }
    Ok((found, filter.cursor))
}

fn total_text(shown: usize, is_more: bool) -> String {
    let count = words::count(shown as u64, "entry", "entries");
    if is_more { format!("{count} of more") } else { count }
}

fn csv_url(asked: &Asked, clock: &Clock) -> String {
    let instant = |day: &str, later| clock.beginning_of(day, later).map(|at| at.to_string()).unwrap_or_default();
    link(
        "/api/v1/audit-events.csv",
        &[
            ("node_id", &asked.node),
            ("action", &asked.act),
            ("outcome", &asked.outcome),
            ("actor", &asked.actor),
            ("from", &instant(&asked.from, 0)),
            ("to", &instant(&asked.to, 1)),
        ],
    )
}

fn line(found: &AuditView, nodes: &Nodes, clock: &Clock) -> Line {
    let entry = &found.entry;
    let name =
        if entry.target.name.is_empty() { entry.target.kind.replace('_', " ") } else { entry.target.name.clone() };
    let utc = Clock { now: clock.now, zone: jiff::tz::TimeZone::UTC };
    Line {
        id: entry.id.to_string(),
        at_iso: clock.iso(entry.at),
        at_text: clock.journal(entry.at),
        at_utc_text: format!("{} UTC", utc.second(entry.at)),
        actor: acts::who(&entry.actor),
        act_text: acts::told(&entry.action, entry.outcome),
        target: Target { name, url: acts::target_url(entry) },
        outcome: acts::came(entry.outcome),
        reason: Some(words::capital(&entry.reason)).filter(|reason| !reason.is_empty()),
        via_text: via(entry, found.node_id.parse().ok().and_then(|node| nodes.told(node))),
        changes: acts::changes(&entry.before, &entry.after),
    }
}

/// With what, from where, and on which node where there is more than one.
fn via(entry: &Entry, node: Option<String>) -> String {
    let with = match entry.actor.kind.as_str() {
        "token" => "API token",
        "pin" => "room PIN",
        "service" => "the recorder itself",
        "cli" => "console",
        "recovery" => "recovery code",
        _ => "",
    };
    let node = node.map(|name| format!("on {name}")).unwrap_or_default();
    let all = [with, entry.address.as_str(), node.as_str()];
    all.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The head of the chain goes with it: a file that lost its end is whole in itself.
fn how_to_prove(app: &App) -> String {
    let head = app.store.audit_head().ok().flatten().map(|head| format!(" --head {head}")).unwrap_or_default();
    format!("Export JSON Lines and run rakkr verify FILE{head}: it proves every entry, without this recorder.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_own_link() {
        let asked = Asked::of("/audit?q=%3Cb%3E&act=recording.start&from=2026-11-21&cursor=eDE&x=y");
        assert_eq!((asked.q.as_str(), asked.act.as_str()), ("<b>", "recording.start"));
        assert_eq!(Asked::of(&asked.url(&asked.cursor)), asked);
    }
}
