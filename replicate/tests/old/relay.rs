//! A relay between two hubs behind which one of them speaks and hears no more than the older build did.

use crate::fleet::{Fleet, Running};
use crate::words;
use futures_util::{SinkExt, StreamExt};
use replicate::core::message::{FLOOR, Message};
use replicate::net::{Ended, pack, unpack, websocket_config};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::Role as Side;

/// What goes on of a message: without what the older build did not know.
fn older(bytes: &[u8]) -> Option<Vec<u8>> {
    let (message, _) = unpack(bytes).unwrap();
    let message = match message {
        Message::Hello(mut hello) => {
            hello.features.retain(|feature| feature != FLOOR);
            hello.stands = None;
            Message::Hello(hello)
        }
        Message::Floor(_) => return None,
        Message::Batch(batch) => {
            assert_eq!(batch.kept, None, "an older build knows no batch with gaps");
            return Some(bytes.to_vec());
        }
        _ => return Some(bytes.to_vec()),
    };
    Some(pack(&message).0)
}

async fn forward(
    mut from: impl StreamExt<Item = Result<Frame, tokio_tungstenite::tungstenite::Error>> + Unpin,
    mut to: impl SinkExt<Frame, Error = tokio_tungstenite::tungstenite::Error> + Unpin,
    is_understood: Option<Arc<AtomicBool>>,
) {
    while let Some(Ok(frame)) = from.next().await {
        let is_last = frame.is_close();
        let frame = match frame {
            Frame::Binary(bytes) => match older(&bytes) {
                Some(bytes) => {
                    let raw = replicate::core::wire::encode(&unpack(&bytes).unwrap().0);
                    if let (Some(is_understood), Err(_)) = (&is_understood, words::understood(&raw)) {
                        is_understood.store(false, Ordering::Relaxed);
                    }
                    Frame::Binary(bytes.into())
                }
                None => continue,
            },
            other => other,
        };
        if to.send(frame).await.is_err() || is_last {
            return;
        }
    }
}

async fn ends(side: Side) -> (DuplexStream, WebSocketStream<DuplexStream>) {
    let (here, there) = duplex(64 * 1024);
    (here, WebSocketStream::from_raw_socket(there, side, Some(websocket_config())).await)
}

/// Dials from the older hub to another whenever there is no link, until one of them stops. Tells whether the older one
/// understood all that it heard.
pub fn keep_linked(fleet: &Fleet, old: &Running, new: &Running) -> Arc<AtomicBool> {
    let is_understood = Arc::new(AtomicBool::new(true));
    let (dials, hears, from, to) = (old.hub.clone(), new.hub.clone(), old.name, new.name);
    let heard = is_understood.clone();
    fleet.runtime.spawn(async move {
        loop {
            let ((old_end, from_old), (new_end, from_new)) = (ends(Side::Server).await, ends(Side::Client).await);
            let old_end = WebSocketStream::from_raw_socket(old_end, Side::Client, Some(websocket_config())).await;
            let new_end = WebSocketStream::from_raw_socket(new_end, Side::Server, Some(websocket_config())).await;
            let ((to_old, old_says), (to_new, new_says)) = (from_old.split(), from_new.split());
            let relays = [
                tokio::spawn(forward(old_says, to_new, None)),
                tokio::spawn(forward(new_says, to_old, Some(heard.clone()))),
            ];
            let links = [dials.run_link(old_end, to, true), hears.run_link(new_end, from, false)];
            let ended = futures_util::future::join_all(links).await;
            relays.iter().for_each(|relay| relay.abort());
            if ended.iter().any(|end| matches!(end, Ended::Stopped | Ended::PeerStopped)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    is_understood
}
