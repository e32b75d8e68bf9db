//! Help: the first five minutes, what the banner and the meters say, and every incident with what to do. Bundled, so that
//! it is there without a network; open to whoever stands at the door.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::parts::chrome::{self, About, Chrome};
use super::parts::visit::Door;
use super::{Answer, show as shown};
use crate::domain::watch::IncidentKind;
use crate::web::{App, blocking};

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub chrome: Chrome,
    /// What can go wrong.
    pub kinds: Vec<Kind>,
}

/// A kind of incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// As in links: `dead_path`.
    pub id: String,
    #[allow(missing_docs)]
    pub title: String,
    #[allow(missing_docs)]
    pub means: String,
    #[allow(missing_docs)]
    pub todo: String,
}

/// Shows the page.
pub async fn show(State(app): State<App>, door: Door) -> Answer {
    Ok(blocking(move || {
        let about = About { title: "Help", nav: "help", live: "" };
        let view = View { chrome: chrome::chrome(&app, door.caller.as_ref(), &door.visit, about), kinds: kinds() };
        shown(&door.visit, "pages/help.html", &view)
    })
    .await?)
}

fn kinds() -> Vec<Kind> {
    let kind = |kind: IncidentKind| {
        let text = kind.operator_text();
        Kind { id: kind.to_string(), title: text.title.into(), means: text.means.into(), todo: text.todo.into() }
    };
    IncidentKind::ALL.into_iter().map(kind).collect()
}
