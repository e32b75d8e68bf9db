//! On which node something is, and what to answer when it is on another: the one place where that is decided.
//!
//! Records are the whole fleet's; audio is where it was recorded. What needs the audio, or the recorder that makes it, asks
//! here first. An answer that goes to the other node and brings the sound takes the place of the refusal here.

use axum::http::StatusCode;

use super::problem::OnNode;
use super::view::RecordingView;
use super::{App, Problem};
use crate::domain::TakeId;
use crate::store::Id;
use crate::store::recordings::Recording;

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    node: Option<Id>,
    /// Its take: one that lies on this disk is here, whoever recorded it.
    take: Option<TakeId>,
}

impl Whose {
    /// A recording. One whose audio is gone is not elsewhere.
    pub fn of(recording: &Recording) -> Self {
        Self { node: Some(recording.node).filter(|_| !recording.facts.is_gone), take: Some(recording.id) }
    }

    /// A recording as it is shown.
    pub fn of_view(view: &RecordingView) -> Self {
        let node = view.node_id.parse().ok();
        Self { node: node.filter(|_| !view.is_gone), take: view.id.parse().ok() }
    }

    /// What a node hears now; of none it is this one's.
    pub fn of_node(node: Option<Id>) -> Self {
        Self { node, take: None }
    }

    /// The other node that it is on; none if it is here.
    pub fn elsewhere(self, app: &App) -> Option<Id> {
        let node = self.node.filter(|node| *node != app.store.node())?;
        (!self.take.is_some_and(|take| app.data.take(take).path().exists())).then_some(node)
    }

    /// Nothing if it is here.
    ///
    /// # Errors
    /// `on_another_node`, with that node's id, name and addresses as far as they are known.
    pub fn here_or(self, app: &App) -> Result<(), Problem> {
        let Some(node) = self.elsewhere(app) else { return Ok(()) };
        let member = app.store.member(node)?;
        let profile = member.map(|member| member.profile);
        let name = profile.as_ref().map(|profile| profile.name.clone()).filter(|name| !name.is_empty());
        let addresses = profile.map(|profile| profile.addresses).unwrap_or_default();
        let called = name.clone().unwrap_or_else(|| format!("another node ({node})"));
        let at = addresses.first().map(|address| format!(", https://{address}")).unwrap_or_default();
        let detail = format!("The audio is on {called}{at}, not on this recorder. It is untouched: open it there.");
        let problem = Problem::new(StatusCode::CONFLICT, "on_another_node", "On another node", detail);
        let on_node = OnNode { id: node.to_string(), name: name.unwrap_or_default(), addresses };
        Err(Problem { on_node: Some(Box::new(on_node)), ..problem })
    }
}
