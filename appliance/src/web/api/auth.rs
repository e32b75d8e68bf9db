//! Log-in, log-out, who am I.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Ctx;
use crate::domain::access::Permission;
use crate::web::caller::{Body, COOKIE, COOKIE_PLAIN, Caller, Circumstances, IsTls};
use crate::web::{App, Problem, blocking};

/// How long a browser keeps the cookie; the node ends a session earlier if it is idle.
const COOKIE_SECONDS: u32 = 30 * 86_400;

/// What one logs in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// E-mail.
    pub email: String,
    /// Password.
    pub password: String,
}

/// Logged in.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedIn {
    /// The same as the cookie, for programs: `Authorization: Bearer …`.
    pub token: String,
    /// Who.
    pub me: Me,
}

/// Who I am and what I may.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    /// `user`, `token`, `pin`.
    pub kind: String,
    /// My id.
    pub id: String,
    /// My name.
    pub name: String,
    /// My roles.
    pub roles: Vec<String>,
    /// What I may do on this node.
    pub permissions: Vec<&'static str>,
}

/// Who it is.
pub fn me(app: &App, caller: &Caller) -> Me {
    let named = &caller.actor.named;
    let roles = caller.actor.roles().iter().map(|role| format!("{role:?}").to_lowercase()).collect();
    let may = |permission: &Permission| super::can_do(app, caller, *permission);
    let permissions = Permission::ALL.into_iter().filter(may).map(Permission::name).collect();
    Me { kind: named.kind.clone(), id: named.id.clone(), name: named.name.clone(), roles, permissions }
}

/// The cookie that a browser keeps. On plain HTTP, which is loopback only, it has another name and no `Secure`.
pub fn set_cookie(value: &str, is_tls: bool) -> HeaderValue {
    let text = match is_tls {
        true => format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={COOKIE_SECONDS}"),
        false => format!("{COOKIE_PLAIN}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={COOKIE_SECONDS}"),
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Takes the cookie away.
pub fn clear_cookie(is_tls: bool) -> HeaderValue {
    HeaderValue::from_static(match is_tls {
        true => "__Host-rakkr=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
        false => "rakkr=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
    })
}

/// Logs in; returns the cookie's value.
pub fn log_in(app: &App, ctx: &Ctx, email: &str, password: &str) -> Result<String, Problem> {
    Ok(app.access.log_in(ctx, email, password)?.cookie)
}

/// Logs in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LogIn,
    responses((status = 200, body = LoggedIn), (status = "4XX", body = Problem)))]
pub async fn post_login(
    State(app): State<App>,
    IsTls(is_tls): IsTls,
    Circumstances(ctx): Circumstances,
    Body(body): Body<LogIn>,
) -> Result<Response, Problem> {
    let (token, me) = blocking(move || {
        let token = log_in(&app, &ctx, &body.email, &body.password)?;
        let actor = app.access.authenticate(&ctx, crate::access::Shown::Cookie(&token))?;
        let me = me(&app, &Caller { actor, ctx });
        Ok::<_, Problem>((token, me))
    })
    .await??;
    let cookie = set_cookie(&token, is_tls);
    Ok(([(header::SET_COOKIE, cookie)], Json(LoggedIn { token, me })).into_response())
}

/// Ends the session.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn post_logout(State(app): State<App>, IsTls(is_tls): IsTls, caller: Caller) -> Result<Response, Problem> {
    blocking(move || app.access.log_out(&caller.ctx, &caller.actor)).await??;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, clear_cookie(is_tls))]).into_response())
}

/// Who I am and what I may.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", responses((status = 200, body = Me), (status = "4XX", body = Problem)))]
pub async fn get_me(State(app): State<App>, caller: Caller) -> Result<Json<Me>, Problem> {
    blocking(move || me(&app, &caller)).await.map(Json)
}
