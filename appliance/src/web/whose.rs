//! On which node something is, and what to answer when it is on another: the one place where that is decided.
//!
//! Records are the whole fleet's; audio is where it was recorded. What needs the audio, or the recorder that makes it, asks
//! here first. Where the other node is reached, it is asked as the same person ([`carry`]), and whoever asks need not know
//! where anything is; where it is not, they are told where it is.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::fleet;
use super::caller::Caller;
use super::problem::OnNode;
use super::view::RecordingView;
use super::{App, Problem, blocking};
use crate::domain::TakeId;
use crate::fleet::state::NodeView;
use crate::store::Id;
use crate::store::recordings::Recording;

/// What is done to a recording, or asked of it, where it is; all else is in the records.
const THERE: [&str; 9] = ["stop", "extend", "pause", "resume", "marks", "render", "file", "stream", "waveform"];

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

    /// The other node that it is on, if that can be asked now, for this caller.
    pub fn in_reach(self, app: &App, caller: &Caller) -> Option<Id> {
        let node = self.elsewhere(app).filter(|_| caller.asker().is_some())?;
        let id = node.to_string();
        let is_there = |other: &NodeView| other.id == id && other.is_reached();
        app.fleet.view().is_ok_and(|fleet| fleet.nodes.iter().any(is_there)).then_some(node)
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
        let detail = format!(
            "The audio is on {called}{at}, not on this recorder, and that one cannot be asked from here now. \
             It is untouched: open it there."
        );
        let problem = Problem::new(StatusCode::CONFLICT, "on_another_node", "On another node", detail);
        let on_node = OnNode { id: node.to_string(), name: name.unwrap_or_default(), addresses };
        Err(Problem { on_node: Some(Box::new(on_node)), ..problem })
    }
}

/// What a request is about, if it is for the node that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Take(TakeId),
    Room(Id),
}

impl Asked {
    fn of(uri: &Uri) -> Option<Self> {
        if uri.path() == "/api/v1/listen" {
            let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            return pairs.find(|(name, _)| name == "node_id")?.1.parse().ok().map(Self::Room);
        }
        let (id, what) = uri.path().strip_prefix("/api/v1/recordings/")?.split_once('/')?;
        THERE.contains(&what).then(|| id.parse().ok().map(Self::Take)).flatten()
    }

    fn whose(self, app: &App) -> Option<Whose> {
        match self {
            Self::Take(id) => app.store.recording(id).ok().flatten().map(|recording| Whose::of(&recording)),
            Self::Room(node) => Some(Whose::of_node(Some(node))),
        }
    }
}

/// Sends what is for another node there, and its answer back. That node looks the person's rights up and writes its journal.
pub async fn carry(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(asked) = Asked::of(request.uri()) else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &app).await.ok();
    let request = Request::from_parts(parts, body);
    // Who asks through a node has asked the right one, or nobody knows better: nothing goes round in circles.
    let Some(caller) = caller.filter(|caller| caller.actor.through.is_none()) else { return next.run(request).await };
    let (at, who) = (app.clone(), caller.clone());
    let there = blocking(move || asked.whose(&at).and_then(|whose| whose.in_reach(&at, &who))).await;
    let Ok(Some(node)) = there else { return next.run(request).await };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(target) = path.parse() else { return next.run(request).await };
    fleet::forward(&app, &caller, node, target, request).await.unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_the_audio_or_its_recorder_is_carried_there() {
        let id = "01a1ffd9-c1e6-7f88-990a-5c9710e0575d";
        let asked = |path: &str| Asked::of(&path.replace("ID", id).parse().unwrap());
        let take = Some(Asked::Take(id.parse().unwrap()));
        for what in ["stop", "marks", "file?format=flac&channels=1", "waveform"] {
            assert_eq!(asked(&format!("/api/v1/recordings/ID/{what}")), take, "{what}");
        }
        for path in [
            "/api/v1/recordings/ID",
            "/api/v1/recordings/ID/restore",
            "/api/v1/recordings/x/stop",
            "/recordings/ID/stop",
        ] {
            assert_eq!(asked(path), None, "{path}");
        }
        assert_eq!(asked("/api/v1/listen?channels=1&node_id=ID"), Some(Asked::Room(id.parse().unwrap())));
        assert_eq!(asked("/api/v1/listen"), None);
    }
}
