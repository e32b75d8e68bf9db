//! The frame around every page: who looks, at which node, what it does, and what was just done.
//!
//! It never fails: a node whose records cannot be read still says what its recorder does.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::banner::{Banner, Seen, Told};
use super::channels::{self, Named};
use super::flash::Note;
use super::honesty::InFleet;
use super::meters::FRESH_S;
use super::visit::Visit;
use super::words::{self, Clock};
use crate::capture::engine::meters::MeterFrame;
use crate::domain::TakeId;
use crate::domain::TakeState::{Paused, Recording};
use crate::domain::access::Permission;
use crate::domain::watch::Severity;
use crate::store::recordings::Query;
use crate::sys::clock;
use crate::web::App;
use crate::web::api::can_do;
use crate::web::caller::Caller;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chrome {
    /// Which page.
    pub page: Page,
    /// Who looks; none before log-in.
    pub me: Option<Me>,
    /// At which node.
    pub node: Node,
    /// What was just done.
    pub flash: Vec<Note>,
    /// What the recorder does; none before log-in.
    pub banner: Option<Banner>,
    /// What is open.
    pub counts: Counts,
    /// How the fleet stands.
    pub fleet: InFleet,
}

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Its place in the menu.
    pub nav: String,
    /// What it follows.
    pub live: Option<String>,
    /// auto, light or dark.
    pub theme: String,
    /// Without script: how often it comes anew.
    pub refresh_seconds: Option<u32>,
}

/// Who looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Name.
    pub name: String,
    /// What they log in with; empty for the room's PIN.
    pub email: String,
    /// Their roles.
    pub role: String,
    /// What they may on this node, by name of permission.
    pub permissions: BTreeMap<String, bool>,
}

/// The node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its room.
    pub room: String,
    /// The four words of its key.
    pub words: String,
    /// The program's version.
    pub version: String,
}

/// What is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Incidents that somebody should know of.
    pub incidents: usize,
    /// Those that are critical.
    pub critical: usize,
}

/// What a page is called, where it stands, what it follows.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its place in the menu.
    pub nav: &'a str,
    /// What it follows; empty is nothing.
    pub live: &'a str,
}

/// The frame of a page.
pub fn chrome(app: &App, caller: Option<&Caller>, visit: &Visit, about: About<'_>) -> Chrome {
    let page = Page {
        title: about.title.to_owned(),
        nav: about.nav.to_owned(),
        live: Some(about.live.to_owned()).filter(|live| !live.is_empty()),
        theme: visit.theme.clone(),
        refresh_seconds: ["now", "wall"].contains(&about.nav).then_some(5),
    };
    Chrome {
        page,
        me: caller.map(|caller| me(app, caller)),
        node: node(app),
        flash: visit.flash.as_ref().and_then(|flash| flash.note(app, caller)).into_iter().collect(),
        banner: caller.map(|caller| banner(app, caller)),
        counts: caller.map(|_| counts(app)).unwrap_or_default(),
        fleet: caller.map(|caller| fleet(app, caller)).unwrap_or_default(),
    }
}

/// The frame of a page of which no node is known: for answers before or without one.
pub fn bare(title: &str) -> Chrome {
    let page = Page {
        title: title.to_owned(),
        nav: "error".to_owned(),
        live: None,
        theme: "auto".to_owned(),
        refresh_seconds: None,
    };
    let node = Node {
        name: "Recorder".to_owned(),
        room: "Rakkr".to_owned(),
        words: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (counts, fleet) = (Counts::default(), InFleet::default());
    Chrome { page, me: None, node, flash: Vec::new(), banner: None, counts, fleet }
}

fn me(app: &App, caller: &Caller) -> Me {
    let user = caller.actor.user.and_then(|id| app.store.user(id).ok().flatten());
    let roles: Vec<String> = caller.actor.roles().iter().map(|role| format!("{role:?}")).collect();
    let permission = |permission: Permission| (permission.name().to_owned(), can_do(app, caller, permission));
    Me {
        name: caller.actor.named.name.clone(),
        email: user.map(|user| user.email).unwrap_or_default(),
        role: if roles.is_empty() { "Room".to_owned() } else { roles.join(", ") },
        permissions: Permission::ALL.into_iter().map(permission).collect(),
    }
}

/// The node's name and room.
pub fn node(app: &App) -> Node {
    let room = app.store.room().ok().flatten();
    Node {
        name: app.name(),
        room: room.map_or_else(|| "Not claimed".to_owned(), |room| room.name),
        words: app.identity.words(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The present where the room is.
pub fn room_clock(app: &App) -> Clock {
    let room = app.store.room().ok().flatten();
    let zone = room.and_then(|room| TimeZone::get(&room.time_zone).ok()).unwrap_or_else(clock::zone);
    Clock { now: clock::wall(), zone }
}

/// What is open and not to be kept quiet.
pub fn counts(app: &App) -> Counts {
    let open = app.live.incidents();
    let told = open.iter().filter(|known| known.incident.suppressed_until.is_none());
    told.fold(Counts::default(), |counts, known| Counts {
        incidents: counts.incidents + 1,
        critical: counts.critical + usize::from(known.incident.severity == Severity::Critical),
    })
}

/// How the fleet stands, for whoever may see it.
pub fn fleet(app: &App, caller: &Caller) -> InFleet {
    let view = can_do(app, caller, Permission::FleetRead)
        .then(|| app.fleet.view().ok())
        .flatten()
        .map(|view| view.settled(clock::wall()));
    view.as_ref().map(InFleet::of).unwrap_or_default()
}

/// The last meter frame, if it is of the present.
pub fn fresh_meters(app: &App) -> Option<std::sync::Arc<MeterFrame>> {
    let age = app.live.meters_age(clock::mono_us())?;
    app.live.meters().filter(|_| age <= FRESH_S)
}

/// What the recorder does, as far as somebody may know.
pub fn banner(app: &App, caller: &Caller) -> Banner {
    let status = app.live.status();
    let frame = fresh_meters(app);
    let clock = room_clock(app);
    let channels: Vec<Named> = channels::known(app);
    let running: Vec<TakeId> = status.iter().flat_map(|status| &status.recording).map(|take| take.id).collect();
    Banner::of(&Seen {
        status: status.as_deref(),
        age_s: app.live.status_age(clock::mono_us()).unwrap_or(0.0),
        has_asked: app.live.has_asked(),
        frame: frame.as_deref(),
        may_hear: can_do(app, caller, Permission::NodeRead),
        is_critical: counts(app).critical > 0,
        told: &told(app, &running, status.is_some()),
        channels: &channels,
        clock: &clock,
    })
}

/// What the records say of takes that run; while capture does not answer, of those that ran when it last did.
fn told(app: &App, running: &[TakeId], does_answer: bool) -> BTreeMap<TakeId, Told> {
    let told = |recording: &crate::store::recordings::Recording| Told {
        title: recording.title().to_owned(),
        started_at: recording.facts.started_at,
    };
    if does_answer {
        let found = running.iter().filter_map(|id| app.store.recording(*id).ok().flatten());
        return found.map(|recording| (recording.id, told(&recording))).collect();
    }
    let node = Some(app.store.node());
    let query = Query { node, states: [Recording, Paused].into(), limit: 1, ..Query::default() };
    let page = app.store.recordings(&query);
    page.map(|page| page.items.iter().map(|recording| (recording.id, told(recording))).collect()).unwrap_or_default()
}

/// Why somebody may not; none if they may.
pub fn denied(app: &App, caller: &Caller, permission: Permission) -> Option<String> {
    (!can_do(app, caller, permission)).then(|| words::denied(permission))
}
