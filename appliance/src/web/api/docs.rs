//! The OpenAPI document, made from the handlers. `web-assets/help/openapi.json` is the copy in the repository; a test
//! fails when the two differ.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::web::App;
use crate::web::router;

/// The document of this version.
pub fn document() -> OpenApi {
    let mut document = router::api().split_for_parts().1;
    document.info.title = "Rakkr".into();
    document.info.version = "1".into();
    document.info.description = Some(
        "One recorder node. Times are RFC 3339, lengths are seconds, levels dBFS; lists are {items, next} with an opaque \
         cursor; errors are RFC 9457 problems with a stable `code`."
            .into(),
    );
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::web::caller::COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    document.security = Some(vec![
        utoipa::openapi::SecurityRequirement::new("token", [""; 0]),
        utoipa::openapi::SecurityRequirement::new("session", [""; 0]),
    ]);
    document
}

/// The API as an OpenAPI 3.1 document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "docs", responses((status = 200, body = Object)))]
pub async fn get_document(State(_): State<App>) -> Json<OpenApi> {
    Json(document())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written anew by `RAKKR_WRITE_OPENAPI=1 cargo nextest run -p rakkr --lib docs`.
    #[test]
    fn the_document_in_the_repository_is_the_one_the_handlers_make() {
        let made = document().to_pretty_json().unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../web-assets/help/openapi.json");
        if std::env::var_os("RAKKR_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(kept == made, "the API has changed: look at it, then write {path} anew (see above)");
    }

    #[test]
    fn every_call_but_health_claim_and_login_says_what_an_error_looks_like() {
        let document = document();
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().flatten() {
                let is_health = ["/livez", "/readyz", "/healthz", "/api/v1/openapi.json"].contains(&path.as_str());
                assert!(is_health || operation.responses.responses.contains_key("4XX"), "{path}");
            }
        }
    }
}
