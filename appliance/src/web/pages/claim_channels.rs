//! Claiming, third step: what the channels are called and what each should carry, with levels that move beside them.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::claim_owner::{Step, steps};
use super::parts::channels::{self, Naming, expects_of, namings};
use super::parts::chrome::{self, About, Chrome};
use super::parts::field::Sent;
use super::parts::meters::Meters;
use super::parts::visit::{Guest, Visit};
use super::{Answer, again, show_with};
use crate::domain::watch::IncidentKind;
use crate::web::api::node::{ChannelEdit, put_channels};
use crate::web::caller::Caller;
use crate::web::{App, Problem, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// How far claiming is.
    pub steps: Vec<Step>,
    /// Levels.
    pub meters: Meters,
    /// Channels to name.
    pub channels: Vec<Naming>,
    /// Why there are none.
    pub trouble: Option<String>,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Guest { visit, .. }: Guest) -> Answer {
    Ok(blocking(move || page(&app, &visit, None, None)).await?)
}

fn page(app: &App, visit: &Visit, sent: Option<&Sent>, problem: Option<&Problem>) -> Response {
    let known = channels::known(app);
    let trouble = known.is_empty().then(|| {
        let kind = if app.live.status().is_some() { IncidentKind::JackGone } else { IncidentKind::CaptureDown };
        let text = kind.operator_text();
        format!("{}. {}", text.title, text.todo)
    });
    let view = View {
        chrome: chrome::chrome(app, None, visit, About { title: "Channels", nav: "claim", live: "" }),
        steps: steps(2),
        meters: Meters::of(&known, chrome::fresh_meters(app).as_deref()),
        channels: shown(app, sent, problem),
        trouble,
    };
    show_with(visit, again(problem), "pages/claim_channels.html", &view)
}

/// The channels to name, with what was typed and what is wrong with it.
pub(super) fn shown(app: &App, sent: Option<&Sent>, problem: Option<&Problem>) -> Vec<Naming> {
    let mut shown = namings(&channels::known(app));
    let Some(sent) = sent else { return shown };
    for channel in &mut shown {
        let (label, expects) = (format!("label_{}", channel.number), format!("expects_{}", channel.number));
        if sent.has(&label) {
            channel.label = sent.text(&label).to_owned();
        }
        for choice in &mut channel.expects {
            choice.is_chosen = choice.value == sent.text(&expects);
        }
        let is_its = |problem: &&Problem| problem.detail.contains(&format!("channel {} ", channel.number));
        channel.error = problem.filter(is_its).map(|problem| problem.detail.clone());
    }
    shown
}

/// Keeps what a form says of channels; what it does not name stays as it is.
pub(super) fn keep(app: &App, caller: &Caller, sent: &Sent) -> Result<(), Problem> {
    let edits = channels::known(app).into_iter().map(|channel| {
        let label = format!("label_{}", channel.number);
        let expects = expects_of(sent.text(&format!("expects_{}", channel.number)));
        ChannelEdit {
            number: channel.number,
            label: if sent.has(&label) { sent.text(&label).to_owned() } else { channel.label },
            role: channel.role,
            expects: expects.unwrap_or(channel.expects),
        }
    });
    put_channels(app, caller, edits.collect()).map(|_| ())
}

/// Keeps it.
pub async fn save(State(app): State<App>, Guest { caller, visit }: Guest, sent: Sent) -> Answer {
    Ok(blocking(move || match keep(&app, &caller, &sent) {
        Ok(()) => Redirect::to("/claim/test").into_response(),
        Err(problem) => page(&app, &visit, Some(&sent), Some(&problem)),
    })
    .await?)
}
