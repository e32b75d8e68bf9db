//! The door for other nodes: links for records, tunnels for calls, and newcomers. Only connections that have proven a key
//! come this far.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use replicate::net::SUBPROTOCOL;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::caller::{Body, Circumstances, text};
use super::{App, Problem, blocking};
use crate::access::Refused;
use crate::fleet::REPLACED;
use crate::fleet::join::{Admission, Application, JoinError};
use crate::fleet::replace::{NotReplaceable, replaced_words};
use crate::fleet::tls::{PeerKey, Proven};
use crate::fleet::tunnel::{Other, Part};
use crate::store::fleet::Member;

/// Another node of this fleet, by the key its connection has proven.
pub struct Peer(pub Member);

/// The key that the connection has proven.
fn proven(extensions: &axum::http::Extensions) -> Option<PeerKey> {
    extensions.get::<Proven>().and_then(|proven| proven.key)
}

impl FromRequestParts<App> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &App) -> Result<Self, Problem> {
        let key = proven(&parts.extensions).ok_or_else(stranger)?;
        let fleet = app.fleet.clone();
        blocking(move || match fleet.member_of(key)? {
            Some(member) => Ok(Self(member)),
            None => Err(fleet.replaced_since(key)?.map_or_else(stranger, replaced)),
        })
        .await?
    }
}

fn stranger() -> Problem {
    let detail = "Only nodes of this fleet are spoken to here, and this connection has not proven to be one.";
    Problem::new(StatusCode::FORBIDDEN, "not_a_member", "Not a member of this fleet", detail)
}

fn replaced(since: jiff::Timestamp) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, REPLACED, "Another box has this place", replaced_words(since))
}

/// A link for records.
pub async fn link(State(app): State<App>, Peer(member): Peer, request: Request) -> Result<Response, Problem> {
    let key = proven(request.extensions()).ok_or_else(stranger)?;
    let line = request.extensions().get::<Proven>().and_then(|proven| proven.line.clone());
    let asked = Asked::of(request, &[SUBPROTOCOL])?;
    let answer = asked.answer();
    tokio::spawn(async move {
        if let Some(socket) = asked.socket().await {
            app.fleet.accept(socket, line, member.id, key).await;
        }
    });
    Ok(answer)
}

/// A tunnel for calls; the subprotocol says what the node that dials does in it.
pub async fn tunnel(State(app): State<App>, Peer(member): Peer, request: Request) -> Result<Response, Problem> {
    let at = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let (Some(key), Some(at)) = (proven(request.extensions()), at) else { return Err(stranger()) };
    let asked = Asked::of(request, &Part::ALL.map(Part::subprotocol))?;
    if !app.fleet.has_room_for_tunnel() {
        let detail = "As many nodes call through this one as may. Dial each call.";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many", "Too many tunnels", detail));
    }
    let theirs = Part::ALL.into_iter().find(|part| part.subprotocol() == asked.speaks).unwrap_or(Part::Calls);
    let answer = asked.answer();
    tokio::spawn(async move {
        if let Some(socket) = asked.socket().await {
            let other = Other { node: member.id, key, at, is_dialled_by_us: false };
            app.fleet.accept_tunnel(socket, other, theirs.other()).await;
        }
    });
    Ok(answer)
}

/// A WebSocket that a node asks for (RFC 6455, 4.2).
struct Asked {
    speaks: &'static str,
    accepted: String,
    upgrade: OnUpgrade,
}

impl Asked {
    /// A request for one that speaks one of these.
    fn of(mut request: Request, spoken: &[&'static str]) -> Result<Self, Problem> {
        let headers = request.headers();
        let offered = text(headers, header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
        let speaks = spoken.iter().copied().find(|name| offered.split(',').any(|offer| offer.trim() == *name));
        let is_socket = text(headers, header::UPGRADE).is_some_and(|name| name.eq_ignore_ascii_case("websocket"))
            && text(headers, header::SEC_WEBSOCKET_VERSION) == Some("13");
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
        let (Some(accepted), Some(speaks), true) = (key, speaks, is_socket) else {
            let detail = format!("Open this address as a WebSocket that speaks {}.", spoken.join(" or "));
            return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "not_a_link", "A link is needed", detail));
        };
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or_else(|| Problem::internal("a connection that cannot be upgraded"))?;
        Ok(Self { speaks, accepted, upgrade })
    }

    fn answer(&self) -> Response {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(self.speaks));
        if let Ok(accepted) = HeaderValue::from_str(&self.accepted) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
        }
        response
    }

    /// The socket, once the answer is sent.
    async fn socket(self) -> Option<TokioIo<Upgraded>> {
        let upgraded = self.upgrade.await.inspect_err(|error| tracing::debug!(%error, "a socket was not upgraded"));
        upgraded.ok().map(TokioIo::new)
    }
}

/// A newcomer with an invitation.
pub async fn enrol(
    State(app): State<App>,
    Circumstances(ctx): Circumstances,
    proven: Option<Extension<Proven>>,
    Body(application): Body<Application>,
) -> Result<Json<Admission>, Problem> {
    let key = proven.and_then(|Extension(proven)| proven.key).ok_or_else(stranger)?;
    let admitted = blocking(move || app.fleet.admit(&ctx, key, &application)).await?;
    Ok(Json(admitted?))
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        let told = error.to_string();
        match error {
            JoinError::Store(error) => error.into(),
            JoinError::Access(Refused::Wrong) => {
                let detail = "This invitation is not known here, used up or over: make another one.";
                Self::new(StatusCode::FORBIDDEN, "invitation_refused", "The invitation is refused", detail)
            }
            JoinError::Access(refused) => refused.into(),
            JoinError::File(_) => Self::internal(&told),
            JoinError::Claimed | JoinError::Retired | JoinError::NotThem | JoinError::Taken | JoinError::OtherPlace => {
                Self::conflict(told)
            }
            JoinError::NotReplaceable(error) => error.into(),
            JoinError::Unreached(_) | JoinError::Refused(_) | JoinError::NoRecords => {
                Self::new(StatusCode::BAD_GATEWAY, "not_joined", "Not in the fleet", told)
            }
        }
    }
}

impl From<NotReplaceable> for Problem {
    fn from(error: NotReplaceable) -> Self {
        let told = error.to_string();
        match error {
            NotReplaceable::NoMember => Self::not_found("node"),
            NotReplaceable::Itself | NotReplaceable::Retired(_) | NotReplaceable::Runs(_) => Self::conflict(told),
            NotReplaceable::Waits(_) => Self::new(StatusCode::CONFLICT, "needs_majority", "Waits for the fleet", told),
            NotReplaceable::Store(error) => error.into(),
        }
    }
}
