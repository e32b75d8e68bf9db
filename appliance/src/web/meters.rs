//! Levels for whoever watches: one binary message a frame, twenty a second, and nothing for those who do not keep up.
//!
//! The first message is JSON: `{"channels":[{"number":1,"label":"Lectern"}],"rate_hz":20}`; it comes again when channels
//! change. Then binary: sequence (u32), Unix milliseconds of the end of what was measured (f64), for each channel peak and
//! RMS in hundredths of dBFS (i16, -32768 is "no data"), then a byte of flags for each channel; little-endian.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::api::{may, the_node};
use super::caller::Caller;
use super::{App, Problem, blocking};
use crate::capture::engine::meters::{ChannelMeter, ChannelState, MeterFrame};
use crate::domain::access::Permission;

/// Frames a second, as capture sends them.
const RATE_HZ: u32 = 20;
/// No level is known.
const NO_DATA: i16 = i16::MIN;
/// What a client sends is not wanted; a few bytes of control are borne.
pub const INCOMING_MAX: usize = 4 << 10;

const CLIPPED: u8 = 1;
const DIGITAL_ZERO: u8 = 2;
const NO_SOURCE: u8 = 4;
const SPEECH: u8 = 8;
const QUIET: u8 = 16;

/// Levels, twenty times a second, over a WebSocket.
#[utoipa::path(get, path = "/api/v1/meters", tag = "live",
    responses((status = 101, description = "A WebSocket: a JSON message of channels, then binary frames"), (status = "4XX", body = Problem)))]
pub async fn get_meters(
    State(app): State<App>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let checked = app.clone();
    blocking(move || may(&checked, &caller, Permission::NodeRead, &the_node(&checked)?)).await??;
    let upgrade = upgrade.map_err(|_| not_a_websocket())?;
    let place = app.limits.streams.clone().try_acquire_owned().map_err(|_| too_many())?;
    Ok(upgrade.max_message_size(INCOMING_MAX).max_frame_size(INCOMING_MAX).on_upgrade(move |socket| async move {
        send(socket, app).await;
        drop(place);
    }))
}

/// It was asked for as a page.
pub fn not_a_websocket() -> Problem {
    let (code, title) = ("not_a_websocket", "A WebSocket is needed");
    Problem::new(axum::http::StatusCode::UPGRADE_REQUIRED, code, title, "Open this address as a WebSocket.")
}

/// Too many are watching.
pub fn too_many() -> Problem {
    let detail = "Too many streams are open on this recorder: close a page and try again. Recording is not touched.";
    Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", "Too many viewers", detail)
}

async fn send(mut socket: WebSocket, app: App) {
    let mut frames = app.live.watch_meters();
    let mut told: Vec<(u16, String)> = Vec::new();
    let mut sequence = 0_u32;
    let mut changed = app.live.changed();
    let mut names = names(&app).await;
    loop {
        let frame = tokio::select! {
            frame = frames.recv() => frame,
            // Someone may have named a channel.
            news = changed.changed() => {
                if news.is_err() {
                    return;
                }
                names = self::names(&app).await;
                continue;
            }
            said = socket.recv() => match said {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        let frame = match frame {
            Ok(frame) => frame,
            // Who does not keep up misses frames; levels of the past are of no use.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        // Looked at in place: copied names of 64 channels, twenty times a second for each viewer, were most of the cost.
        let labels = frame.channels.iter().map(|c| (c.number, names.get(&c.number).unwrap_or(&c.label)));
        if !labels.clone().eq(told.iter().map(|(number, label)| (*number, label))) {
            let labels: Vec<(u16, String)> = labels.map(|(number, label)| (number, label.clone())).collect();
            let channels: Vec<_> =
                labels.iter().map(|(number, label)| json!({"number": number, "label": label})).collect();
            let text = json!({"channels": channels, "rate_hz": RATE_HZ}).to_string();
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
            told = labels;
        }
        sequence = sequence.wrapping_add(1);
        if socket.send(Message::Binary(encode(&frame, sequence))).await.is_err() {
            return;
        }
    }
}

/// The names that people gave to channels.
async fn names(app: &App) -> BTreeMap<u16, String> {
    let app = app.clone();
    let known = blocking(move || app.store.channels().unwrap_or_default()).await.unwrap_or_default();
    known
        .into_iter()
        .filter(|channel| !channel.label.is_empty())
        .map(|channel| (channel.number, channel.label))
        .collect()
}

/// A frame as bytes.
fn encode(frame: &Arc<MeterFrame>, sequence: u32) -> Bytes {
    let mut bytes = Vec::with_capacity(12 + 5 * frame.channels.len());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend((frame.at.as_microsecond() as f64 / 1e3).to_le_bytes());
    for channel in &frame.channels {
        bytes.extend(level(channel.peak_dbfs).to_le_bytes());
        bytes.extend(level(channel.rms_dbfs).to_le_bytes());
    }
    bytes.extend(frame.channels.iter().map(flags));
    bytes.into()
}

fn level(dbfs: Option<f32>) -> i16 {
    dbfs.map_or(NO_DATA, |level| (level * 100.0).round().clamp(-30_000.0, 10_000.0) as i16)
}

fn flags(channel: &ChannelMeter) -> u8 {
    let mut flags = 0;
    for (is_set, flag) in [
        (channel.clipped > 0, CLIPPED),
        (channel.status == ChannelState::DigitalZero, DIGITAL_ZERO),
        (!channel.is_connected, NO_SOURCE),
        (channel.is_speech, SPEECH),
        (channel.status == ChannelState::Quiet, QUIET),
    ] {
        if is_set {
            flags |= flag;
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_level_is_not_a_low_level() {
        assert_eq!(level(None), i16::MIN);
        assert_eq!(level(Some(-200.0)), -20_000);
        assert_eq!(level(Some(-0.125)), -13);
    }
}
