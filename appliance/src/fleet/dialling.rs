//! Dialling other nodes: a task for each that is to be dialled, which does so whenever there is no link.
//!
//! Either side of a pair may dial; the hub keeps one of two links. Does not live here: whom to dial (`topology`), when that
//! is asked (`links`), what goes over a link (`replicate`).

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use replicate::core::election::{self, Role};
use replicate::core::id::Stream;
use replicate::net::{Ended, Hub, SUBPROTOCOL, websocket_config};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};

use super::tls::{DialError, PeerKey, dial};
use super::{Fleet, held, node_id};
use crate::access::fleet::hex;
use crate::store::Id;
use crate::sys::line::Line;
use crate::sys::{clock, rng};

/// Where nodes speak.
pub const PEER_PATH: &str = "/peer/v1";
/// How a refusal is called of whose place another box took.
pub const REPLACED: &str = "replaced";
/// Characters of it that are shown.
const REFUSAL_CHARS_MAX: usize = 500;
/// The first wait after a node was not reached; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Of two nodes the one with the greater id dials this much later, so that they do not both do it.
const COURTESY: Duration = Duration::from_millis(700);
/// A link that is not wanted any more is kept so long, milliseconds: who coordinates may change back in a moment.
const LINGER_MS: u64 = 60_000;

/// What the loop has done so far.
#[derive(Default)]
pub(super) struct Following {
    pub dialling: BTreeMap<Id, Dialling>,
    /// What the hub was told of the roster.
    told: Option<Vec<election::Member>>,
    /// And of what it is to keep.
    kept: Option<&'static [Stream]>,
}

/// A task that dials a node whenever there is no link.
pub(super) struct Dialling {
    pub task: JoinHandle<()>,
    /// Since when nobody wants the link, by the monotonic clock.
    pub unwanted_ms: Option<u64>,
}

impl Following {
    /// Tells the hub who the members are, if that is news.
    pub fn tell(&mut self, hub: &Hub, members: Vec<election::Member>) {
        if self.told.as_ref() != Some(&members) {
            hub.roster(members.clone());
            self.told = Some(members);
        }
    }

    /// Tells the hub of which streams it keeps everything, if that is news.
    pub fn keep(&mut self, hub: &Hub, streams: &'static [Stream]) {
        if self.kept.replace(streams) != Some(streams) {
            hub.keep(streams);
        }
    }

    /// Ends dialling whom nobody wants to dial any more, and with that the link that came of it: of members after a while.
    /// A coordinator keeps what it has.
    pub fn let_go(&mut self, hub: &Hub, is_wanted: impl Fn(&Id) -> bool, is_believed: impl Fn(&Id) -> bool) {
        let now_ms = clock::mono_us() / 1_000;
        let is_kept = matches!(hub.look().election.role, Role::Coordinator { .. });
        self.dialling.retain(|id, dialling| {
            if is_wanted(id) {
                dialling.unwanted_ms = None;
                return !dialling.task.is_finished();
            }
            let since_ms = *dialling.unwanted_ms.get_or_insert(now_ms);
            let stays = is_believed(id) && (is_kept || now_ms < since_ms + LINGER_MS);
            if !stays {
                dialling.task.abort();
            }
            stays
        });
    }
}

/// Whom to dial.
pub(super) struct Peer {
    pub id: Id,
    pub key: PeerKey,
}

/// Dials a node whenever there is no link to it.
pub(super) async fn keep_link(fleet: Fleet, hub: Hub, peer: Peer) {
    let node = node_id(peer.id);
    let mut wait = WAIT_MIN;
    let mut is_anew = false;
    let mut changed = hub.changed();
    loop {
        changed.mark_unchanged();
        if hub.look().peers.contains_key(&node) {
            fleet.was_seen(peer.id, clock::wall());
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        }
        if fleet.0.store.node() > peer.id {
            tokio::time::sleep(COURTESY).await;
            if hub.look().peers.contains_key(&node) {
                continue;
            }
        }
        match fleet.dial_link(&peer).await {
            Ok(socket) => {
                wait = WAIT_MIN;
                // Without it a pulled plug is told later.
                let line = Line::of(socket.get_ref().get_ref().0).ok();
                let _attended = line.map(|line| fleet.attend(peer.id, line));
                let ended = tokio::select! {
                    ended = hub.run_link(socket, node, true) => ended,
                    // The next task dials with the new key.
                    () = fleet.has_other_key(peer.id, peer.key) => return,
                };
                tracing::debug!(peer = %peer.id, %ended, "a link that we dialled ended");
                // Both ends wait for the next hello; but never twice in a row without a pause.
                is_anew = ended == Ended::Anew && !is_anew;
                if is_anew {
                    continue;
                }
            }
            Err(why) => fleet.was_not_reached(peer.id, clock::wall(), why),
        }
        let is_other = fleet.0.keys.borrow().get(&peer.id).is_some_and(|key| *key != peer.key);
        if is_other {
            return;
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Half to one and a half times as long: nodes that lost each other together do not come back together.
pub(super) fn jittered(wait: Duration) -> Duration {
    let chance = rng::bytes::<1>().map_or(128, |[byte]| byte);
    wait.mul_f64(0.5 + f64::from(chance) / 255.0)
}

type Dialled = WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

impl Fleet {
    async fn dial_link(&self, peer: &Peer) -> Result<Dialled, String> {
        let (store, id) = (self.0.store.clone(), peer.id);
        let member = tokio::task::spawn_blocking(move || store.member(id).ok().flatten()).await.ok().flatten();
        let mut addresses = match member {
            Some(member) if !member.profile.addresses.is_empty() => member.profile.addresses,
            _ => self.bootstrap().map(|kept| kept.addresses).unwrap_or_default(),
        };
        let seen = held(&self.0.nearby).addresses_of(peer.id, &hex(&peer.key.0));
        addresses.extend(seen.into_iter().filter(|seen| !addresses.contains(seen)).collect::<Vec<_>>());
        let mut last = DialError::NoAddress.to_string();
        for address in addresses {
            match self.dial_at(&address, peer.key).await {
                Ok(socket) => return Ok(socket),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    async fn dial_at(&self, address: &str, key: PeerKey) -> Result<Dialled, String> {
        let stream = dial(address, &self.0.identity, key).await?;
        let uri = format!("wss://{address}{PEER_PATH}");
        let mut request = uri.into_client_request().map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let shaken = tokio_tungstenite::client_async_with_config(request, stream, Some(websocket_config())).await;
        shaken.map(|(socket, _)| socket).map_err(|error| {
            if let tungstenite::Error::Http(answer) = &error {
                self.was_refused(answer.body().as_deref().unwrap_or_default());
            }
            format!("{address} does not speak with us: {error}")
        })
    }

    /// A member does not let us in: if it is because another box has our place, people are told in its words.
    fn was_refused(&self, body: &[u8]) {
        let told: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(words) = told["detail"].as_str().filter(|_| told["code"] == REPLACED) {
            let words: String = words.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect();
            if held(&self.0.replaced).replace(words).is_none() {
                self.0.live.bump();
            }
        }
    }
}
