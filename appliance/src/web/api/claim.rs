//! Claiming: a new node gets its owner and its room.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Ctx;
use crate::access::claim::{ClaimError, Claimed as Done, NewOwner};
use crate::web::api::auth::set_cookie;
use crate::web::caller::{Body, Circumstances, IsTls};
use crate::web::{App, Problem, blocking};

/// What a claim needs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The code that the node shows.
    pub code: String,
    /// The owner's name.
    pub name: String,
    /// The owner's e-mail.
    pub email: String,
    /// The owner's password, 15 characters or more.
    pub password: String,
    /// The room's name.
    pub room: String,
    /// The room's time zone: an IANA name such as Europe/Berlin.
    pub time_zone: String,
}

/// Claimed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Claimed {
    /// The owner's session, as after log-in.
    pub token: String,
    /// The owner's id.
    pub user_id: String,
    /// The room's id.
    pub room_id: String,
    /// The node's id.
    pub node_id: String,
    /// To be printed and locked away: it lets the owner in when the password is lost.
    pub recovery_code: String,
}

/// Claims.
pub fn claim(app: &App, ctx: &Ctx, claim: Claim) -> Result<Done, Problem> {
    let Claim { code, name, email, password, room, time_zone } = claim;
    let done = app.access.claim(ctx, NewOwner { code, name, email, password, room, time_zone }).map_err(problem)?;
    app.live.bump();
    Ok(done)
}

fn problem(error: ClaimError) -> Problem {
    let told = error.to_string();
    let refuse = |status, code, title| Problem::new(status, code, title, told.clone());
    match error {
        ClaimError::Claimed => refuse(StatusCode::CONFLICT, "already_claimed", "Already claimed"),
        ClaimError::Closed => refuse(StatusCode::FORBIDDEN, "claim_window_closed", "Not now"),
        ClaimError::WrongCode { .. } => refuse(StatusCode::FORBIDDEN, "wrong_claim_code", "Wrong code"),
        ClaimError::Wait { seconds } => {
            let problem = refuse(StatusCode::TOO_MANY_REQUESTS, "wait", "Too many tries");
            Problem { retry_after_seconds: Some(seconds), ..problem }
        }
        ClaimError::Bad { field, why } => Problem::unprocessable(field, why),
        ClaimError::Store(error) => error.into(),
    }
}

/// Claims the node: its first owner, its room.
#[utoipa::path(post, path = "/api/v1/claim", tag = "claim", request_body = Claim, security(()),
    responses((status = 201, body = Claimed), (status = "4XX", body = Problem)))]
pub async fn post_claim(
    State(app): State<App>,
    IsTls(is_tls): IsTls,
    Circumstances(ctx): Circumstances,
    Body(body): Body<Claim>,
) -> Result<Response, Problem> {
    let node_id = app.store.node().to_string();
    let done = blocking(move || claim(&app, &ctx, body)).await??;
    let cookie = set_cookie(&done.cookie, is_tls);
    let claimed = Claimed {
        token: done.cookie,
        user_id: done.user.id.to_string(),
        room_id: done.room.id.to_string(),
        node_id,
        recovery_code: done.recovery_code,
    };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(claimed)).into_response())
}
