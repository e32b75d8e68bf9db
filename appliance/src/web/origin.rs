//! What every answer carries, and what no other site may make a browser do.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::{shows_token, text};
use super::{App, Problem};
use crate::access::origin::is_same_origin;

/// No inline script or style, no eval, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self' blob:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; manifest-src 'self'";

/// Refuses what another site makes a browser send, and puts the security headers on each answer.
pub async fn guard(State(_): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = text(headers, header::HOST).or(request.uri().host()).unwrap_or_default();
    let site = text(headers, HeaderName::from_static("sec-fetch-site"));
    let is_ours = is_same_origin(request.method().as_str(), site, text(headers, header::ORIGIN), host);
    // A WebSocket is a GET that a page of any site may open.
    let is_upgrade = headers.contains_key(header::UPGRADE) && request.method() == Method::GET;
    let is_ours = is_ours && (!is_upgrade || is_same_origin("POST", site, text(headers, header::ORIGIN), host));
    let mut response = if is_ours || shows_token(headers) {
        next.run(request).await
    } else {
        let detail = "This was sent by a page of another site. Nothing was done.";
        Problem::new(StatusCode::FORBIDDEN, "cross_origin", "From another site", detail).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
