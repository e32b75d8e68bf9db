//! Claiming, second step: which room the recorder is in, and which time that room keeps.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::claim_owner::{Step, steps};
use super::parts::chrome::{self, About, Chrome};
use super::parts::field::{Field, Sent};
use super::parts::visit::{Guest, Visit};
use super::{Answer, again, show_with};
use crate::domain::ClockQuality;
use crate::sys::clock;
use crate::web::api::node::{NameEdit, RoomEdit, put_name, put_room};
use crate::web::caller::Caller;
use crate::web::{App, Problem, blocking};

/// The page. It stands outside the frame of the other pages: nobody has anywhere to go yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// How far claiming is.
    pub steps: Vec<Step>,
    /// Names of time zones.
    pub zones: Vec<String>,
    /// What the recorder's clock says.
    pub clock_text: String,
    /// What was typed.
    pub form: Form,
}

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[allow(missing_docs)]
    pub room: Field,
    #[allow(missing_docs)]
    pub time_zone: Field,
    /// The recorder's name.
    pub name: Field,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { visit, .. }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &visit, None)).await?)
}

fn page(app: &App, visit: &Visit, failed: Option<(&Sent, &Wrong)>) -> Response {
    let room = app.store.room().ok().flatten();
    let now = chrome::room_clock(app);
    let quality = match clock::quality(now.now) {
        ClockQuality::Ntp => "from the network",
        ClockQuality::Guessed => "nothing keeps it in step",
        ClockQuality::Unset => "it was never set",
    };
    let form = match failed {
        Some((sent, Wrong { is_recorder, problem })) => {
            // The API calls both names `name`; here that is the recorder's.
            let named = |mine: bool| wrong(Some(problem).filter(|_| mine == *is_recorder), "name");
            Form {
                room: Field { error: named(false), ..sent.field("room", None) },
                time_zone: sent.field("time_zone", Some(problem)),
                name: Field { error: named(true), ..sent.field("name", None) },
            }
        }
        None => Form {
            room: Field::of(
                room.as_ref().map(|room| room.name.clone()).filter(|name| *name != app.name()).unwrap_or_default(),
            ),
            time_zone: Field::of(room.map(|room| room.time_zone).unwrap_or_default()),
            name: Field::of(app.name()),
        },
    };
    let view = View {
        chrome: chrome::chrome(app, None, visit, About { title: "Room", nav: "claim", live: "" }),
        steps: steps(1),
        zones: zones(),
        clock_text: format!("{} ({quality})", now.form(now.now, "%H:%M on %A %-d %B %Y")),
        form,
    };
    show_with(visit, again(failed.map(|(_, wrong)| &wrong.problem)), "pages/claim_room.html", &view)
}

/// What is wrong with a field by the API's name for it.
pub(super) fn wrong(problem: Option<&Problem>, field: &str) -> Option<String> {
    problem.filter(|problem| problem.field.as_deref() == Some(field)).map(|problem| problem.detail.clone())
}

/// All time zones that have a place in their name, and UTC.
pub(super) fn zones() -> Vec<String> {
    let known = jiff::tz::db().available().map(|name| name.to_string());
    let is_place = |name: &String| {
        const REGIONS: [&str; 10] = [
            "Africa",
            "America",
            "Antarctica",
            "Arctic",
            "Asia",
            "Atlantic",
            "Australia",
            "Europe",
            "Indian",
            "Pacific",
        ];
        name == "UTC" || name.split_once('/').is_some_and(|(region, _)| REGIONS.contains(&region))
    };
    let mut zones: Vec<String> = known.filter(is_place).collect();
    zones.sort();
    zones.dedup();
    zones
}

/// What could not be kept: the recorder's name, or the room.
struct Wrong {
    is_recorder: bool,
    problem: Problem,
}

/// Keeps what was sent.
fn keep(app: &App, caller: &Caller, sent: &Sent) -> Result<(), Wrong> {
    let (name, notes) = (sent.text("name").trim(), app.store.room().ok().flatten().map(|room| room.notes));
    // Without one the recorder keeps the name it has.
    if !name.is_empty() && name != app.name() {
        let edit = NameEdit { name: name.to_owned() };
        put_name(app, caller, &edit).map_err(|problem| Wrong { is_recorder: true, problem })?;
    }
    let edit = RoomEdit {
        name: sent.text("room").to_owned(),
        time_zone: sent.text("time_zone").trim().to_owned(),
        notes: notes.unwrap_or_default(),
    };
    put_room(app, caller, edit).map(|_| ()).map_err(|problem| Wrong { is_recorder: false, problem })
}

/// Keeps it.
pub async fn save(State(app): State<App>, Guest { caller, visit }: Guest, sent: Sent) -> Answer {
    Ok(blocking(move || match keep(&app, &caller, &sent) {
        Ok(()) => Redirect::to("/claim/channels").into_response(),
        Err(wrong) => page(&app, &visit, Some((&sent, &wrong))),
    })
    .await?)
}
