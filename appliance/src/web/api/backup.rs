//! A backup while the node runs: one file, taken away by an owner.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::allow;
use crate::access::About;
use crate::access::acts::BackUp;
use crate::domain::access::Target;
use crate::store::Edits;
use crate::web::caller::Caller;
use crate::web::{App, Problem, blocking};

/// Everything but the audio, in one file. It holds password hashes and the node's key: keep it as you keep keys.
#[utoipa::path(post, path = "/api/v1/backup", tag = "node",
    responses((status = 200, description = "The backup", content_type = "application/octet-stream"), (status = "4XX", body = Problem)))]
pub async fn post_backup(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let bytes = blocking(move || {
        let about = About::thing("node", app.store.node(), &app.name());
        let allowed = allow::<BackUp>(&app, &caller, &Target::Fleet, about)?;
        let mut bytes = Vec::new();
        match app.store.backup(app.data.path(), caller.ctx.now.wall, &mut bytes) {
            Ok(_) => allowed.settle(Edits::default()),
            Err(error) => {
                allowed.fail(&error.to_string());
                return Err(Problem::internal(&error.to_string()));
            }
        }
        Ok::<_, Problem>(bytes)
    })
    .await??;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"rakkr.backup\""),
    ];
    Ok((headers, bytes).into_response())
}
