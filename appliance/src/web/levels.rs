//! Levels at a glance: of this node for whoever asks, other nodes above all; of all nodes for a wall.
//!
//! Lives here: a stream of events with this node's levels, and a WebSocket with everybody's. Both are told four times a
//! second what is known then: who does not keep up misses messages, and nothing waits for them. Does not live here: how
//! levels are made (`service::levels`) and how those of other nodes come here (`fleet::levels`).
//!
//! The WebSocket: `{"nodes":["<id>"],"rate_hz":4}` first, and again when those change. Then binary, little-endian: u32
//! milliseconds since the socket was opened; for each node of that list a byte that says how many groups follow (255: its
//! levels are not known, 0: it measures nothing), and of each group peak and RMS (0 is "no data", else half decibels: 255
//! is 0 dBFS, 1 is -127) and the flags of `GET /api/v1/levels`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;

use super::api::nodes::{Nodes, sees};
use super::api::{may, the_node};
use super::caller::Caller;
use super::meters::{INCOMING_MAX, not_a_websocket, too_many};
use super::{App, Problem, blocking, live};
use crate::domain::access::Permission;
use crate::service::levels::{Levels, OLD_US, RATE_HZ, Reducer};
use crate::store::Id;
use crate::sys::clock;

/// Nodes that one wall is told of; the rest is not.
const NODES_MAX: usize = 1_000;
/// Who may see what is looked up so often at most, in ticks: records change with every level of a recording.
const LOOK_TICKS: u32 = RATE_HZ;
/// A browser that takes nothing for so long is let go.
const SEND_WAIT: Duration = Duration::from_secs(10);
/// Instead of a number of groups: nothing is known of this node.
const UNKNOWN: u8 = 255;

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / u64::from(RATE_HZ)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Levels of this node's channels, four times a second, as server-sent events; each is the JSON of `Levels`. For whoever
/// shows many nodes; `/api/v1/meters` is finer.
#[utoipa::path(get, path = "/api/v1/levels", tag = "live",
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = Levels), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn get_levels(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let (checked, who) = (app.clone(), caller.clone());
    blocking(move || may(&checked, &who, Permission::NodeRead, &the_node(&checked)?)).await??;
    let place = app.limits.streams.clone().try_acquire_owned().map_err(|_| too_many())?;
    // One waits at most: the next is made when that was taken, of all that was heard meanwhile.
    let (tx, rx) = mpsc::channel(1);
    tokio::spawn(async move {
        tell(&app, &caller, &tx).await;
        drop(place);
    });
    Ok(live::sse(ReceiverStream::new(rx)))
}

async fn tell(app: &App, caller: &Caller, tx: &mpsc::Sender<Result<Event, Infallible>>) {
    let began_us = clock::mono_us();
    let (mut frames, mut ticks, mut changed) = (app.live.watch_meters(), ticks(), app.live.changed());
    let (mut reducer, mut since_look) = (Reducer::default(), 0);
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Ok(frame) => reducer.hear(&frame, clock::mono_us()),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => {
                since_look += 1;
                if since_look >= LOOK_TICKS && changed.has_changed().unwrap_or(true) {
                    (since_look, _) = (0, changed.borrow_and_update());
                    let (at, who) = (app.clone(), caller.clone());
                    let is_allowed = move || {
                        who.still_is(&at).and_then(|()| may(&at, &who, Permission::NodeRead, &the_node(&at)?))
                    };
                    let Ok(Ok(())) = blocking(is_allowed).await else { return };
                }
                let now_us = clock::mono_us();
                let Some(levels) = (tx.capacity() > 0).then(|| reducer.take(now_us)).flatten() else { continue };
                let levels = Levels { ms: now_us.saturating_sub(began_us) / 1_000, ..levels };
                let Ok(event) = Event::default().json_data(&levels) else { return };
                if tx.try_send(Ok(event)).is_err() {
                    return;
                }
            },
            () = tx.closed() => return,
        }
    }
}

/// Levels of all nodes that the caller may see, four times a second, over a WebSocket: JSON that names the nodes, then binary
/// frames. What is older than two seconds is told as unknown.
#[utoipa::path(get, path = "/api/v1/fleet/levels", tag = "live",
    responses((status = 101, description = "A WebSocket: a JSON message of nodes, then binary frames"), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn get_all_levels(
    State(app): State<App>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let (checked, who) = (app.clone(), caller.clone());
    blocking(move || may(&checked, &who, Permission::NodeRead, &Nodes::of(&checked)?.everywhere())).await??;
    let upgrade = upgrade.map_err(|_| not_a_websocket())?;
    let place = app.limits.walls.clone().try_acquire_owned().map_err(|_| too_many())?;
    let upgrade = upgrade.max_message_size(INCOMING_MAX).max_frame_size(INCOMING_MAX);
    let upgraded = upgrade.on_upgrade(move |socket| async move {
        show(socket, &app, &caller).await;
        drop(place);
    });
    Ok(upgraded.into_response())
}

/// What one wall knows.
struct Wall {
    began_us: u64,
    us: Id,
    /// In the order in which they were named.
    nodes: Vec<Id>,
    reducer: Reducer,
    /// This node's, and when they were taken.
    ours: Option<(Levels, u64)>,
}

async fn show(mut socket: WebSocket, app: &App, caller: &Caller) {
    let watch = caller.asker().map(|asker| app.fleet.watch_levels(asker));
    let (mut frames, mut ticks, mut changed) = (app.live.watch_meters(), ticks(), app.live.changed());
    let mut wall = Wall::of(app.store.node(), clock::mono_us());
    let mut since_look = LOOK_TICKS;
    changed.mark_changed();
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Ok(frame) => wall.reducer.hear(&frame, clock::mono_us()),
                // A browser that does not keep up: levels of the past are of no use.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            said = socket.recv() => match said {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            _ = ticks.tick() => {
                since_look += 1;
                if since_look > LOOK_TICKS && changed.has_changed().unwrap_or(true) {
                    (since_look, _) = (0, changed.borrow_and_update());
                    let (at, who) = (app.clone(), caller.clone());
                    let Ok(Ok(seen)) = blocking(move || look(&at, &who)).await else { return };
                    if let Some(watch) = &watch {
                        watch.want(seen.iter().filter(|node| node.is_reached).map(|node| node.id).collect());
                    }
                    let nodes: Vec<Id> = seen.iter().map(|node| node.id).collect();
                    if nodes != wall.nodes && !sent(&mut socket, wall.name(nodes)).await {
                        return;
                    }
                }
                let now_us = clock::mono_us();
                let theirs = watch.as_ref().map(|watch| watch.newest(now_us)).unwrap_or_default();
                if !sent(&mut socket, Message::Binary(wall.frame(&theirs, now_us))).await {
                    return;
                }
            },
        }
    }
}

async fn sent(socket: &mut WebSocket, message: Message) -> bool {
    tokio::time::timeout(SEND_WAIT, socket.send(message)).await.is_ok_and(|sent| sent.is_ok())
}

/// A node that the caller may see.
struct Node {
    id: Id,
    /// It is another one, and there is a link to it.
    is_reached: bool,
}

fn look(app: &App, caller: &Caller) -> Result<Vec<Node>, Problem> {
    caller.still_is(app)?;
    let (nodes, us) = (Nodes::of(app)?, app.store.node());
    let mut seen: Vec<Node> = Vec::new();
    for node in app.fleet.view()?.nodes {
        let Ok(id) = node.id.parse::<Id>() else { continue };
        if node.state != "retired" && sees(app, caller, Permission::NodeRead, &nodes.of_node(id)) {
            seen.push(Node { id, is_reached: id != us && node.is_reached() });
        }
    }
    seen.truncate(NODES_MAX);
    Ok(seen)
}

impl Wall {
    fn of(us: Id, now_us: u64) -> Self {
        Self { began_us: now_us, us, nodes: Vec::new(), reducer: Reducer::default(), ours: None }
    }

    /// Frames are about these nodes from now on.
    fn name(&mut self, nodes: Vec<Id>) -> Message {
        self.nodes = nodes;
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        Message::Text(json!({"nodes": nodes, "rate_hz": RATE_HZ}).to_string().into())
    }

    fn frame(&mut self, theirs: &BTreeMap<Id, Arc<Levels>>, now_us: u64) -> Bytes {
        if let Some(levels) = self.reducer.take(now_us) {
            self.ours = Some((levels, now_us));
        }
        let ours = self.ours.as_ref().filter(|(_, at_us)| now_us.saturating_sub(*at_us) < OLD_US);
        let mut bytes = Vec::with_capacity(4 + 14 * self.nodes.len());
        bytes.extend((now_us.saturating_sub(self.began_us) / 1_000).to_le_bytes().into_iter().take(4));
        for node in &self.nodes {
            let levels = if *node == self.us { ours.map(|(levels, _)| levels) } else { theirs.get(node).map(|l| &**l) };
            match levels {
                None => bytes.push(UNKNOWN),
                Some(levels) => encode(levels, &mut bytes),
            }
        }
        bytes.into()
    }
}

fn encode(levels: &Levels, bytes: &mut Vec<u8>) {
    bytes.push(levels.flags.len() as u8);
    let groups = levels.peak_dbfs.iter().zip(&levels.rms_dbfs).zip(&levels.flags);
    for ((peak, rms), flags) in groups {
        bytes.extend([level(*peak), level(*rms), *flags as u8]);
    }
}

/// 0 is no data, else half decibels below 255, which is full scale.
fn level(dbfs: Option<f32>) -> u8 {
    dbfs.map_or(0, |dbfs| (255.0 + 2.0 * dbfs).round().clamp(1.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::meter_frame;

    #[test]
    fn no_level_is_not_a_low_level() {
        assert_eq!(
            [None, Some(-200.0), Some(-127.0), Some(-6.0), Some(0.0), Some(3.0)].map(level),
            [0, 1, 1, 243, 255, 255]
        );
    }

    #[test]
    fn a_message_says_of_each_node_what_is_known_and_nothing_that_is_old() {
        let ids = ["ours", "theirs", "silent", "lost"].map(Id::of_name);
        let mut wall = Wall::of(ids[0], 1_000);
        wall.name(ids.to_vec());
        wall.reducer.hear(&meter_frame(1), 2_000);
        let levels = Levels {
            ms: 0,
            channels: 2,
            peak_dbfs: vec![Some(-6.0), None],
            rms_dbfs: vec![Some(-12.0), None],
            flags: vec![1, 4],
        };
        let theirs = BTreeMap::from([(ids[1], Arc::new(levels)), (ids[2], Arc::new(Levels::default()))]);

        let bytes = wall.frame(&theirs, 3_000);

        let peak_and_rms_of_ours = [level(Some(-20.0)), level(Some(-30.0))];
        let mut wanted = vec![2, 0, 0, 0, 1];
        wanted.extend(peak_and_rms_of_ours);
        wanted.extend([8, 2, 243, 231, 1, 0, 0, 4, 0, UNKNOWN]);
        assert_eq!(bytes, wanted);
        let later = wall.frame(&BTreeMap::new(), 3_000 + OLD_US);
        assert_eq!(later[4..], [0, UNKNOWN, UNKNOWN, UNKNOWN], "this node says that it measures nothing");
    }
}
