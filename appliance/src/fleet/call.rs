//! Asking another node: HTTP over a connection that is pinned at both ends.
//!
//! A call is answered by the other node's own router, as the person who asked: that node looks their rights up itself and
//! writes its own journal. Each call has a connection of its own, so a download never holds up records; what is not read is
//! not sent. The other node must be reachable at an address of its own.

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
    #[error("{name} is not reached: {why}. It goes on recording by itself")]
    Unreached { name: String, why: String },
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fleet {
    /// Asks a member for a person. The request's path is the other node's; its Host is set here. The answer's body comes as
    /// it is read, and dropping it ends the call.
    ///
    /// # Errors
    /// [`CallError`]; whatever the other node answers is an answer.
    pub async fn call(
        &self,
        node: Id,
        asker: &Asker,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, CallError> {
        let store = self.0.store.clone();
        let member = tokio::task::spawn_blocking(move || store.member(node)).await;
        let member = member.map_err(|error| StoreError::Unusable(error.to_string()))??;
        let member = member.filter(|member| !member.is_retired).ok_or(CallError::NoMember)?;
        let name = member.profile.name.clone();
        let unreached = |why: String| CallError::Unreached { name: name.clone(), why };
        let key = member.key.as_ref().and_then(|key| PeerKey::from_hex(&key.spki));
        let key = key.ok_or_else(|| unreached("its key has not arrived here yet".into()))?;
        for (name, value) in [(AS, Some(asker.person.to_string())), (SCOPES, asker.scopes.clone())] {
            let Some(value) = value else { continue };
            let value = HeaderValue::from_str(&value).map_err(|error| unreached(error.to_string()))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let dialled = dial_any(&member.profile.addresses, &self.0.identity, key).await;
        let (stream, address) = dialled.map_err(|error| unreached(error.to_string()))?;
        if let Ok(host) = HeaderValue::from_str(address) {
            request.headers_mut().insert(header::HOST, host);
        }
        send(stream, request).await.map_err(|error| unreached(error.to_string()))
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
