//! Every URL on one screen.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use tower::Layer;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{
    audit, auth, backup, claim, conflicts, docs, fleet, health, incidents, node, people, recordings, secrets, settings,
};
use super::caller::IsTls;
use super::{App, Problem, assets, levels, live, media, meters, metrics, origin, pages, peer, whose};
use crate::fleet::PEER_PATH;
use crate::fleet::join::ENROL;
use crate::fleet::tunnel::TUNNEL_PATH;

/// The largest body of a call.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The API; its document is made from the same list.
#[rustfmt::skip]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(claim::post_claim))
        .routes(routes!(auth::post_login))
        .routes(routes!(auth::post_logout))
        .routes(routes!(auth::get_me))
        .routes(routes!(node::get_status))
        .routes(routes!(node::get_channels, node::put_all_channels))
        .routes(routes!(node::put_the_room))
        .routes(routes!(node::put_node))
        .routes(routes!(recordings::get_list, recordings::post_start))
        .routes(routes!(recordings::get_one, recordings::patch_one, recordings::delete_one))
        .routes(routes!(recordings::post_stop))
        .routes(routes!(recordings::post_extend))
        .routes(routes!(recordings::post_pause))
        .routes(routes!(recordings::post_resume))
        .routes(routes!(recordings::post_mark))
        .routes(routes!(recordings::post_restore))
        .routes(routes!(recordings::post_render))
        .routes(routes!(media::get_file))
        .routes(routes!(media::get_stream))
        .routes(routes!(media::get_waveform))
        .routes(routes!(media::get_listen))
        .routes(routes!(incidents::get_list))
        .routes(routes!(incidents::post_acknowledge))
        .routes(routes!(incidents::post_suppress))
        .routes(routes!(incidents::post_resolve))
        .routes(routes!(audit::get_list))
        .routes(routes!(audit::get_csv))
        .routes(routes!(audit::get_jsonl))
        .routes(routes!(people::get_users, people::post_user))
        .routes(routes!(people::patch_user, people::delete_user))
        .routes(routes!(people::put_own_password))
        .routes(routes!(people::get_tokens, people::post_token))
        .routes(routes!(people::delete_token))
        .routes(routes!(people::get_sessions))
        .routes(routes!(people::delete_session))
        .routes(routes!(settings::get_watch, settings::put_watch))
        .routes(routes!(settings::put_pin))
        .routes(routes!(fleet::get_fleet))
        .routes(routes!(fleet::get_nearby))
        .routes(routes!(fleet::get_state_hash))
        .routes(routes!(conflicts::get_conflicts, conflicts::post_conflict))
        .routes(routes!(secrets::get_secrets))
        .routes(routes!(secrets::put_secret, secrets::delete_secret))
        .routes(routes!(fleet::post_invitation))
        .routes(routes!(fleet::post_join))
        .routes(routes!(fleet::post_coordinate))
        .routes(routes!(fleet::post_renew))
        .routes(routes!(fleet::get_nodes))
        .routes(routes!(fleet::get_node, fleet::delete_node))
        .routes(routes!(backup::post_backup))
        .routes(routes!(live::get_live))
        .routes(routes!(meters::get_meters))
        .routes(routes!(levels::get_levels))
        .routes(routes!(levels::get_all_levels))
        .routes(routes!(docs::get_document))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::healthz))
}

/// The pages; forms of one answer with 303 and work without script.
#[rustfmt::skip]
fn pages() -> Router<App> {
    Router::new()
        .route("/", get(pages::now::show))
        .route("/live", get(live::get_page_live))
        .route("/assets/{*name}", get(assets::get_asset))
        .route("/login", get(pages::login::show).post(pages::login::log_in))
        .route("/login/pin", post(pages::login::log_in_pin))
        .route("/login/recovery", post(pages::login::log_in_recovery))
        .route("/logout", post(pages::login::log_out))
        .route("/claim", get(pages::claim_owner::begin))
        .route("/join", get(pages::join::show).post(pages::join::join))
        .route("/claim/owner", get(pages::claim_owner::show).post(pages::claim_owner::claim))
        .route("/claim/room", get(pages::claim_room::show).post(pages::claim_room::save))
        .route("/claim/channels", get(pages::claim_channels::show).post(pages::claim_channels::save))
        .route("/claim/test", get(pages::claim_test::show))
        .route("/claim/test/{act}", post(pages::claim_test::act))
        .route("/claim/finish", post(pages::claim_test::finish))
        .route("/recordings", get(pages::recordings::show))
        .route("/recordings/start", post(pages::recording::start))
        .route("/recordings/{id}", get(pages::recording::show))
        .route("/recordings/{id}/waveform.svg", get(media::get_waveform_svg))
        .route("/recordings/{id}/{act}", post(pages::recording::act))
        .route("/health", get(pages::health::show))
        .route("/incidents/{id}/{act}", post(pages::health::act))
        .route("/node", get(pages::node::show))
        .route("/node/{act}", post(pages::node::act))
        .route("/fleet", get(pages::fleet::show))
        .route("/fleet/{a}", post(pages::fleet::act))
        .route("/fleet/{a}/retire", post(pages::fleet::retire))
        .route("/wall", get(pages::wall::show))
        .route("/wall/{id}/{act}", post(pages::wall::act))
        .route("/audit", get(pages::audit::show))
        .route("/settings", get(pages::settings::show))
        .route("/settings/{section}", post(pages::settings::save))
        .route("/settings/people", get(pages::people::show))
        .route("/people", get(pages::people::show))
        .route("/people/{a}", post(pages::people::act_one))
        .route("/people/{a}/{b}", post(pages::people::act_two))
        .route("/tokens/{a}", post(pages::people::token_one))
        .route("/tokens/{a}/{b}", post(pages::people::token_two))
        .route("/sessions/{a}/{b}", post(pages::people::session))
        .route("/help", get(pages::help::show))
        .route("/api", get(pages::api::show))
        .method_not_allowed_fallback(back_to_page)
}

/// What other nodes use, and calls to them.
fn peers() -> Router<App> {
    Router::new()
        .route(PEER_PATH, get(peer::link))
        .route(TUNNEL_PATH, get(peer::tunnel))
        .route(ENROL, post(peer::enrol))
        .route("/api/v1/nodes/{id}/calls/{*rest}", any(fleet::call))
}

/// Everything, as one of the listeners serves it.
pub fn router(app: App, is_tls: bool) -> Router {
    // Sound and pictures are small already; events must not wait in a buffer.
    let worth = DefaultPredicate::new()
        .and(NotForContentType::const_new("audio/"))
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("text/event-stream"));
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth);
    let (api, _) = api().split_for_parts();
    let whole = api
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), whose::carry))
        .merge(pages())
        .merge(peers())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(compression)
        .layer(middleware::from_fn_with_state(app.clone(), origin::guard))
        .layer(Extension(IsTls(is_tls)))
        .with_state(app.clone());
    // Around all routes: what is changed here decides which of them is taken.
    Router::new().fallback_service(middleware::map_request_with_state(app, own_calls).layer(whole))
}

/// A call to this very node is a request to it: who goes through all nodes need not know by which of them they go.
async fn own_calls(State(app): State<App>, mut request: Request) -> Request {
    let ours = fleet::called(request.uri()).filter(|(node, _)| node.parse() == Ok(app.store.node()));
    if let Some(Ok(here)) = ours.map(|(_, here)| here.parse()) {
        *request.uri_mut() = here;
    }
    request
}

async fn not_found(request: Request) -> axum::response::Response {
    let is_page = !request.uri().path().starts_with("/api/");
    let problem = Problem::not_found("page");
    if is_page { pages::error(problem) } else { problem.into_response() }
}

/// A form's address that is asked for as a page (loaded again, or kept as a bookmark) leads to the page of that form.
async fn back_to_page(request: Request) -> axum::response::Response {
    match *request.method() == Method::GET {
        true => Redirect::to(&page_of(request.uri().path())).into_response(),
        false => wrong_method().await.into_response(),
    }
}

fn page_of(form: &str) -> String {
    let mut parts = form.trim_matches('/').split('/');
    match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        ("tokens" | "sessions", _) => "/people".to_owned(),
        ("incidents", _) => "/health".to_owned(),
        ("claim", "finish") | ("logout", _) | ("recordings", "start") => "/".to_owned(),
        (noun @ ("recordings" | "claim"), which) => format!("/{noun}/{which}"),
        (noun, _) => format!("/{noun}"),
    }
}

async fn wrong_method() -> Problem {
    let detail = "This address does not take this method. Nothing was done.";
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Not this method", detail)
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn the_address_of_a_form_leads_to_its_page() {
        let forms =
            ["/tokens/create", "/settings/watch", "/recordings/0199/edit", "/recordings/start", "/claim/test/start"];
        assert_eq!(forms.map(page_of), ["/people", "/settings", "/recordings/0199", "/", "/claim/test"]);
        assert_eq!(["/logout", "/node/pin", "/people/me/password"].map(page_of), ["/", "/node", "/people"]);
    }
}
