//! Who calls, and what they send: extractors that answer with a problem document when something is amiss.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::peer::Peer;
use super::{App, Problem, blocking};
use crate::access::{Actor, Ctx, Refused, Shown};
use crate::fleet::call::{AS, Asker, SCOPES};
use crate::store::Moment;
use crate::sys::{clock, rng};

/// The cookie of a session. `__Host-`: only over HTTPS, only this host, the whole site (RFC 6265bis).
pub const COOKIE: &str = "__Host-rakkr";
/// The same where there is no HTTPS: on loopback.
pub const COOKIE_PLAIN: &str = "rakkr";

/// The circumstances of this request.
#[derive(Clone)]
pub struct Circumstances(pub Arc<Ctx>);

/// Whether the connection is HTTPS; the listener says so.
#[derive(Debug, Clone, Copy)]
pub struct IsTls(pub bool);

impl<S: Sync> FromRequestParts<S> for IsTls {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(true)))
    }
}

/// Someone who was authenticated, with the circumstances.
#[derive(Clone)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// When, from where.
    pub ctx: Arc<Ctx>,
}

/// The present.
pub fn moment() -> Moment {
    let now = clock::now();
    Moment { wall: now.wall, quality: clock::quality(now.wall), mono_us: now.mono_us }
}

impl FromRequestParts<App> for Circumstances {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let address =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(String::new(), |info| info.0.ip().to_string());
        let agent = text(&parts.headers, header::USER_AGENT).unwrap_or_default().to_owned();
        let seed = rng::bytes::<32>().map_err(|error| Problem::internal(&error.to_string()))?;
        let made = Self(Arc::new(Ctx::new(moment(), seed, &address, &agent)));
        parts.extensions.insert(made.clone());
        Ok(made)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Circumstances(ctx) = Circumstances::from_request_parts(parts, app).await?;
        if parts.extensions.get::<AtConsole>().is_some() {
            return Ok(Self { actor: Actor::service("console"), ctx });
        }
        if parts.headers.contains_key(AS) {
            let actor = from_afar(parts, app).await?;
            return Ok(Self { actor, ctx });
        }
        let shown = Own::of(&parts.headers).ok_or_else(Problem::unauthenticated)?;
        let (access, of) = (app.access.clone(), ctx.clone());
        let actor = blocking(move || {
            let shown = match &shown {
                Own::Cookie(cookie) => Shown::Cookie(cookie),
                Own::Bearer(token) => Shown::Bearer(token),
            };
            access.authenticate(&of, shown)
        })
        .await?;
        Ok(Self { actor: actor?, ctx })
    }
}

/// The connection came over the node's own socket in its data folder, which only root and the node's user may open.
#[derive(Debug, Clone, Copy)]
pub struct AtConsole;

/// A person for whom another node of the fleet speaks; that it is one the connection has proven.
async fn from_afar(parts: &mut Parts, app: &App) -> Result<Actor, Problem> {
    let Peer(member) = Peer::from_request_parts(parts, app).await?;
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let user = header(AS).and_then(|id| id.parse().ok()).ok_or_else(Problem::unauthenticated)?;
    let scopes = header(SCOPES).map(str::to_owned);
    let access = app.access.clone();
    let spoken = blocking(move || access.speaks_for((member.id, &member.profile.name), user, scopes.as_deref()));
    Ok(spoken.await??)
}

/// Someone, or nobody yet.
pub struct Perhaps(pub Option<Caller>);

impl FromRequestParts<App> for Perhaps {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, app).await {
            Ok(caller) => Ok(Self(Some(caller))),
            Err(problem) if problem.status == 401 => Ok(Self(None)),
            Err(problem) => Err(problem),
        }
    }
}

enum Own {
    Cookie(String),
    Bearer(String),
}

impl Own {
    fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(token) = text(headers, header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")) {
            return Some(Self::Bearer(token.trim().to_owned()));
        }
        cookie(headers).map(Self::Cookie)
    }
}

/// Whether a request shows a token instead of a cookie: no browser sends one by itself.
pub fn shows_token(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

/// The session cookie.
pub fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE || *name == COOKIE_PLAIN).map(|(_, value)| value.to_owned())
}

/// A header as text.
pub fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A JSON body. What is amiss is said by field.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json =
            text(request.headers(), header::CONTENT_TYPE).is_none_or(|kind| kind.starts_with("application/json"));
        if !is_json {
            let (code, title) = ("not_json", "Not JSON");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, title, "Send application/json."));
        }
        let bytes = Bytes::from_request(request, app).await.map_err(too_large)?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let why = error.into_inner();
            if why.is_syntax() || why.is_eof() {
                return Problem::new(
                    StatusCode::BAD_REQUEST,
                    "bad_json",
                    "Not JSON",
                    format!("The body is not JSON: {why}."),
                );
            }
            Problem::unprocessable(&field(&path, &why.to_string()), why.to_string())
        })?;
        reader.end().map_err(|why| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_json", "Not JSON", format!("The body is not JSON: {why}."))
        })?;
        Ok(Self(value))
    }
}

/// The field a message is about: its path, or the name that the message begins with ("missing field `code`").
fn field(path: &str, why: &str) -> String {
    let named = why.split('`').nth(1).filter(|_| why.starts_with("missing field") || why.starts_with("unknown field"));
    match (path, named) {
        ("." | "", Some(named)) => named.to_owned(),
        (path, Some(named)) if why.starts_with("missing") => format!("{path}.{named}"),
        (path, _) => path.to_owned(),
    }
}

fn too_large(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let (code, title) = ("too_large", "Too large");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code, title, "The body is larger than this call takes.")
        }
        status => Problem::new(status, "bad_body", "The body did not arrive", rejection.body_text()),
    }
}

/// Values of the query. Unknown ones are refused, so that a misspelt filter does not show everything.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let query = joined(parts.uri.query().unwrap_or_default().as_bytes());
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let why = error.into_inner().to_string();
            Problem::unprocessable(&field(&path, &why), why)
        })
    }
}

/// The pairs of a form: fields left empty are absent, and a field that stands several times is one list: `1,2`.
fn joined(query: &[u8]) -> String {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query).filter(|(_, value)| !value.is_empty()) {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => fields.push((name.into_owned(), value.into_owned())),
        }
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A path value; what is none is not found.
pub struct Path<T>(pub T);

impl<T: std::str::FromStr + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let raw = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        let value = raw.ok().and_then(|axum::extract::Path(text)| text.parse().ok());
        value.map(Self).ok_or_else(|| Problem::not_found("thing"))
    }
}

/// The plain form of a page: like [`Query`], from the body.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, app).await.map_err(too_large)?;
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(&bytes));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let why = error.into_inner().to_string();
            Problem::unprocessable(&field(&path, &why), why)
        })
    }
}

impl From<Refused> for super::NoPage {
    fn from(refused: Refused) -> Self {
        Self(refused.into())
    }
}

impl Caller {
    /// As whom another node is asked for them; none if they are no person, whose rights it could look up.
    pub fn asker(&self) -> Option<Asker> {
        self.actor.abroad().map(|(person, scopes)| Asker { person, scopes })
    }

    /// Whether a caller of a long stream is still who they were: logged out, disabled or expired ends the stream.
    ///
    /// # Errors
    /// They are not, or the node through which they ask was retired.
    pub fn still_is(&self, app: &App) -> Result<(), Problem> {
        if let Some(node) = self.actor.through {
            app.store.member(node)?.filter(|member| !member.is_retired).ok_or_else(Problem::unauthenticated)?;
        }
        app.access.is_still(&self.actor, moment()).then_some(()).ok_or_else(Problem::unauthenticated)
    }
}
