//! Scripts, style and pictures: built by esbuild into `web-assets/dist` with names that carry their content's hash, and
//! embedded. Without a build the plain files of `web-assets/static` are served and pages work without script.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../web-assets/dist"]
#[allow_missing = true]
struct Built;

#[derive(RustEmbed)]
#[folder = "../web-assets/static"]
#[allow_missing = true]
struct Plain;

/// From plain name to built name.
static MANIFEST: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    Built::get("manifest.json").and_then(|file| serde_json::from_slice(&file.data).ok()).unwrap_or_default()
});

/// The URL of an asset.
pub fn url(name: &str) -> String {
    match MANIFEST.get(name) {
        Some(built) => format!("/assets/{built}"),
        None if Plain::get(name).is_some() => format!("/assets/{name}"),
        // A script that was not built is left away: pages work without.
        None => String::new(),
    }
}

/// Serves an asset; one whose name carries its hash never changes.
pub async fn get_asset(Path(name): Path<String>) -> Response {
    let (file, is_hashed): (Option<EmbeddedFile>, bool) = match Built::get(&name).filter(|_| name != "manifest.json") {
        Some(file) => (Some(file), MANIFEST.values().any(|built| *built == name)),
        None => (Plain::get(&name), false),
    };
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    let cache = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, kind(&name)), (header::CACHE_CONTROL, cache)], file.data).into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
