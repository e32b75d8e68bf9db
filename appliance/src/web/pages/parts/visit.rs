//! Who comes to a page, and from where: a person, or somebody at the door.
//!
//! A page that needs a person sends others where they can become one: an unclaimed node to claiming, the rest to log-in,
//! from which they come back here. Cookies other than the session's carry nothing secret: a look, and a word that is
//! said once.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::flash::{self, Flash};
use crate::access::Ctx;
use crate::web::caller::{Caller, Circumstances, IsTls, Perhaps, text};
use crate::web::{App, NoPage, Problem, blocking};

/// The cookie that keeps light or dark.
pub const THEME_COOKIE: &str = "rakkr-theme";

/// What a request says beside who makes it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// What is to be said once.
    pub flash: Option<Flash>,
    /// auto, light or dark.
    pub theme: String,
    /// Over HTTPS.
    pub is_tls: bool,
    /// This page, with its query.
    pub path: String,
    /// The page of ours from which it came.
    pub came_from: Option<String>,
}

impl Visit {
    fn of(parts: &Parts, is_tls: bool) -> Self {
        let theme = cookie(&parts.headers, THEME_COOKIE).filter(|theme| ["light", "dark"].contains(&theme.as_str()));
        Self {
            flash: cookie(&parts.headers, flash::COOKIE).and_then(|text| Flash::read(&text)),
            theme: theme.unwrap_or_else(|| "auto".to_owned()),
            is_tls,
            path: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            came_from: came_from(&parts.headers),
        }
    }

    /// Where to send someone back to.
    pub fn back_or(&self, otherwise: &str) -> String {
        self.came_from.clone().unwrap_or_else(|| otherwise.to_owned())
    }
}

/// A value of a path's query; of two of one name the first.
pub fn query_value(path: &str, name: &str) -> Option<String> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// A person who may look around.
pub struct Guest {
    /// Who.
    pub caller: Caller,
    /// How they came.
    pub visit: Visit,
}

impl FromRequestParts<App> for Guest {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let door = Door::from_request_parts(parts, app).await?;
        let Some(caller) = door.caller else {
            let asked = app.clone();
            let is_claimed = blocking(move || asked.access.is_claimed()).await.map_err(no_page)?;
            let to = match is_claimed.map_err(no_page)? {
                true => format!("/login?next={}", encoded(&next_of(parts, &door.visit))),
                false => "/claim".to_owned(),
            };
            return Err(Redirect::to(&to).into_response());
        };
        let must_change = caller.actor.has_given_password
            && !["/people", "/claim/test"].iter().any(|open| parts.uri.path().starts_with(open));
        if must_change && parts.method == Method::GET {
            return Err(flash::redirect("/people", Flash::new("choose_password"), door.visit.is_tls));
        }
        Ok(Self { caller, visit: door.visit })
    }
}

/// Where to go after log-in: this page, or the one a form was sent from.
fn next_of(parts: &Parts, visit: &Visit) -> String {
    if parts.method == Method::GET { visit.path.clone() } else { visit.back_or("/") }
}

fn no_page(error: impl Into<NoPage>) -> Response {
    error.into().into_response()
}

/// Somebody at the door: perhaps nobody we know.
pub struct Door {
    /// Who, if they are known.
    pub caller: Option<Caller>,
    /// When and from where.
    pub ctx: Arc<Ctx>,
    /// How they came.
    pub visit: Visit,
}

impl FromRequestParts<App> for Door {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let IsTls(is_tls) = match IsTls::from_request_parts(parts, app).await {
            Ok(is_tls) => is_tls,
            Err(never) => match never {},
        };
        let Circumstances(ctx) = Circumstances::from_request_parts(parts, app).await.map_err(no_page)?;
        let Perhaps(caller) = Perhaps::from_request_parts(parts, app).await.map_err(no_page)?;
        Ok(Self { caller, ctx, visit: Visit::of(parts, is_tls) })
    }
}

/// What an act is on, and the act: the two values of a path.
pub struct Two<T>(pub T, pub String);

impl<T: std::str::FromStr + Send> FromRequestParts<App> for Two<T> {
    type Rejection = NoPage;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoPage> {
        let both = axum::extract::Path::<(String, String)>::from_request_parts(parts, app).await;
        let read = both.ok().and_then(|axum::extract::Path((what, act))| Some(Self(what.parse().ok()?, act)));
        read.ok_or_else(|| NoPage(Problem::not_found("page")))
    }
}

/// A path of ours and nothing else: no other host, no scheme, nothing a browser would take for one.
pub fn is_ours(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t'])
}

/// Characters of a query value that stand for themselves, the rest in percent form.
pub fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn came_from(headers: &HeaderMap) -> Option<String> {
    let from: Uri = text(headers, header::REFERER)?.parse().ok()?;
    let is_same = from.authority()?.as_str() == text(headers, header::HOST)?;
    let path = from.path_and_query()?.as_str();
    (is_same && is_ours(path)).then(|| path.to_owned())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_which_node_is_to_be_retired() {
        assert_eq!(query_value("/fleet?retire=0199-a", "retire").as_deref(), Some("0199-a"));
        assert_eq!(query_value("/fleet", "retire"), None);
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for path in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "recordings", "/a\r\nSet-Cookie: x"]
        {
            assert!(!is_ours(path), "{path:?}");
        }
        assert!(is_ours("/recordings?q=%2F%2F"));
    }

    #[test]
    fn only_a_page_of_this_host_is_gone_back_to() {
        let from = |referer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "rakkr.local:8443".parse().unwrap());
            headers.insert(header::REFERER, referer.parse().unwrap());
            came_from(&headers)
        };
        assert_eq!(from("https://rakkr.local:8443/recordings?q=a"), Some("/recordings?q=a".to_owned()));
        assert_eq!(from("https://evil.example/recordings"), None);
        assert_eq!(from("nonsense"), None);
    }
}
