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
use crate::web::api::node::{RoomEdit, put_room};
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
    Ok(blocking(move || page(&app, &visit, None, None)).await?)
}

fn page(app: &App, visit: &Visit, sent: Option<&Sent>, problem: Option<&Problem>) -> Response {
    let room = app.store.room().ok().flatten();
    let now = chrome::room_clock(app);
    let quality = match clock::quality(now.now) {
        ClockQuality::Ntp => "from the network",
        ClockQuality::Guessed => "nothing keeps it in step",
        ClockQuality::Unset => "it was never set",
    };
    let form = match sent {
        Some(sent) => Form {
            // The API names the room's field `name`; here that is the recorder's.
            room: Field { error: wrong(problem, "name"), ..sent.field("room", None) },
            time_zone: sent.field("time_zone", problem),
            name: Field::of(&*app.name),
        },
        None => Form {
            room: Field::of(
                room.as_ref().map(|room| room.name.clone()).filter(|name| *name != app.name).unwrap_or_default(),
            ),
            time_zone: Field::of(room.map(|room| room.time_zone).unwrap_or_default()),
            name: Field::of(&*app.name),
        },
    };
    let view = View {
        chrome: chrome::chrome(app, None, visit, About { title: "Room", nav: "claim", live: "" }),
        steps: steps(1),
        zones: zones(),
        clock_text: format!("{} ({quality})", now.form(now.now, "%H:%M on %A %-d %B %Y")),
        form,
    };
    show_with(visit, again(problem), "pages/claim_room.html", &view)
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

/// Keeps it.
pub async fn save(State(app): State<App>, Guest { caller, visit }: Guest, sent: Sent) -> Answer {
    Ok(blocking(move || {
        let notes = app.store.room().ok().flatten().map(|room| room.notes);
        let edit = RoomEdit {
            name: sent.text("room").to_owned(),
            time_zone: sent.text("time_zone").trim().to_owned(),
            notes: notes.unwrap_or_default(),
        };
        match put_room(&app, &caller, edit) {
            Ok(_) => Redirect::to("/claim/channels").into_response(),
            Err(problem) => page(&app, &visit, Some(&sent), Some(&problem)),
        }
    })
    .await?)
}
