//! Asking another node: HTTP over a connection that is pinned at both ends.
//!
//! A call is answered by the other node's own router, as the person who asked: that node looks their rights up itself and
//! writes its own journal. It goes through a tunnel beside the link (`tunnel`), or, if there is none with a place left, over
//! a connection of its own to an address of the node. Records have a socket of their own, so a download never holds them up;
//! what is not read is not sent.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::Fleet;
use super::tls::{PeerKey, dial_any};
use crate::store::{Id, StoreError};

/// Says for whom a node asks: the person's id.
pub const AS: &str = "rakkr-as";
/// Says to what their token limits them: names of permissions, with commas; absent is no limit.
pub const SCOPES: &str = "rakkr-scopes";

/// Who asks another node: a person of the fleet, never a node for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The person.
    pub person: Id,
    /// To what their token limits them: names of permissions, with commas; none is no limit.
    pub scopes: Option<String>,
}

/// Why another node did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no such member, or it was retired.
    #[error("no node of this fleet has this id")]
    NoMember,
    /// It is not reached.
    #[error(
        "{name} cannot be asked now: {why}. While it runs it goes on recording by itself. Ask again, or do it at the node"
    )]
    Unreached { name: String, why: String },
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How calls to a node go, and why they do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// It is this node.
    Here,
    /// Through a tunnel beside the link.
    Link,
    /// It is dialled.
    Direct,
    /// Not now.
    Not(String),
}

/// What dialling a node takes.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    /// None before it has arrived here.
    pub(super) key: Option<PeerKey>,
}

impl Fleet {
    /// A member as the roster has it.
    pub(super) async fn known_peer(&self, node: Id) -> Result<Known, CallError> {
        let store = self.0.store.clone();
        let member = tokio::task::spawn_blocking(move || store.member(node)).await;
        let member = member.map_err(|error| StoreError::Unusable(error.to_string()))??;
        let member = member.filter(|member| !member.is_retired).ok_or(CallError::NoMember)?;
        let key = member.key.as_ref().and_then(|key| PeerKey::from_hex(&key.spki));
        Ok(Known { name: member.profile.name, addresses: member.profile.addresses, key })
    }

    /// Asks a member for a person. The request's path is the other node's; its Host is set here. The answer's body comes as
    /// it is read, and dropping it ends the call.
    ///
    /// # Errors
    /// [`CallError`]; whatever the other node answers is an answer.
    pub async fn call(&self, node: Id, asker: &Asker, mut request: Request<Body>) -> Result<Response<Body>, CallError> {
        let known = self.known_peer(node).await?;
        let unreached = |why: String| CallError::Unreached { name: known.name.clone(), why };
        let key = known.key.ok_or_else(|| unreached("its key has not arrived here yet".into()))?;
        for (name, value) in [(AS, Some(asker.person.to_string())), (SCOPES, asker.scopes.clone())] {
            let Some(value) = value else { continue };
            let value = HeaderValue::from_str(&value).map_err(|error| unreached(error.to_string()))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        if let Some(place) = self.0.tunnels.place(node, key) {
            let broken = |error| unreached(format!("the connection broke: {error}"));
            return place.send(request).await.map_err(broken);
        }
        let dialled = dial_any(&known.addresses, &self.0.identity, key).await.map_err(|error| error.to_string());
        self.0.tunnels.was_dialled(node, dialled.as_ref().err());
        let (stream, address) = dialled.map_err(unreached)?;
        if self.dialled(node) == Some(true) {
            self.0.tunnels.want(node);
        }
        if let Ok(host) = HeaderValue::from_str(address) {
            request.headers_mut().insert(header::HOST, host);
        }
        let answer = send(stream, request).await.map_err(|error| unreached(error.to_string()))?;
        Ok(answer.map(Body::new))
    }

    /// How a call to a member would go now; `lost` says why it is not reached, if it is not.
    pub(super) fn way_to(&self, node: Id, lost: Option<&str>) -> Way {
        let tunnels = &self.0.tunnels;
        match self.dialled(node) {
            _ if node == self.0.store.node() => Way::Here,
            _ if tunnels.leads_to(node) => Way::Link,
            Some(true) => Way::Direct,
            _ => {
                let why = tunnels.not_dialled(node).or(lost.map(ToOwned::to_owned));
                why.map_or(Way::Direct, Way::Not)
            }
        }
    }
}

/// Sends one request over a connection and returns the answer, whose body comes as it is read.
///
/// # Errors
/// The connection broke.
pub(super) async fn send<S>(stream: S, request: Request<Body>) -> hyper::Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a call's connection broke");
        }
    });
    sender.send_request(request).await
}
