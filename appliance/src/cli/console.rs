//! Asking the node that runs over a data folder, by its own socket: whoever may open that is the machine's console.

use std::path::Path;

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::web::serve::CONSOLE_SOCKET;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Asks, and returns the answer's JSON; a refusal is an error with the node's own sentence.
///
/// # Errors
/// No node runs there, or it says no.
pub fn ask(data: &Path, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(exchange(data, method, path, body))
}

async fn exchange(data: &Path, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let socket = data.join(CONSOLE_SOCKET);
    let stream = UnixStream::connect(&socket).await;
    let stream =
        stream.with_context(|| format!("no node answers at {}: start `rakkr node` first", socket.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let going = tokio::spawn(connection);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)?;
    let answer = sender.send_request(request).await.context("the node did not answer")?;
    let status = answer.status();
    let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|error| anyhow::anyhow!("the node's answer broke off: {error}"))?.to_bytes();
    drop(sender);
    going.abort();
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if !status.is_success() {
        let why = told["detail"].as_str().map_or_else(|| status.to_string(), ToOwned::to_owned);
        bail!("{why}");
    }
    Ok(told)
}
