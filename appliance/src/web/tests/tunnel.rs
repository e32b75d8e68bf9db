//! A node that can only dial out, and the one that it dials: what each brings from the other through tunnels beside their
//! link. The link is a real one, over loopback.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::response::Response;
use axum::routing::get;
use axum_server::Handle;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::afar::{Apart, CHUNK, Met, in_time, serve, until};
use super::*;
use crate::fleet::call::{Asker, CallError};
use crate::fleet::tls::{self, PeerKey};
use crate::fleet::tunnel::CALLS_MAX;
use crate::service::tests::meter_frame;
use crate::sys::clock;

/// Nobody listens here.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
/// More than one for each window of a call that a window of all calls might be thought to have room for.
const SLOW: usize = 16;
/// What may be made of an answer before it is read: what is on its way, what the answering end keeps, a piece that is cut.
const AHEAD_BYTES_MAX: u64 = (256 + 64 + 2 * 64) << 10;

/// The far node is in no place that the near one could dial.
struct Dialled {
    met: Met,
    at: SocketAddr,
    served: Handle<SocketAddr>,
}

impl std::ops::Deref for Dialled {
    type Target = Met;

    fn deref(&self) -> &Met {
        &self.met
    }
}

impl Dialled {
    /// These pages answer at the far node, or its own. Neither dials yet.
    async fn apart(pages: Option<Router>) -> Self {
        let apart = Apart::new();
        let (near, far) = (&apart.near, &apart.far);
        let router = router::router(near.clone(), true);
        near.fleet.answer_with(router.clone());
        far.fleet.answer_with(pages.unwrap_or_else(|| router::router(far.clone(), true)));
        let (served, at) = serve(near, router).await;
        Self { met: apart.meet(vec![at.to_string()], NOWHERE), at, served }
    }

    /// They have found each other.
    async fn with(pages: Option<Router>) -> Self {
        let pair = Self::apart(pages).await;
        pair.near.fleet.begin();
        pair.far.fleet.begin();
        pair.until_linked().await;
        pair
    }

    async fn until_linked(&self) {
        until("a tunnel", || called((&self.near, &self.far)) == "link").await;
    }

    /// Through the near node's own pages.
    async fn call(&self, rest: &str) -> Response {
        let path = format!("/api/v1/nodes/{}/calls/{rest}", self.far.store.node());
        let request = Request::builder().uri(path).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {}", self.cookie)).body(Body::empty());
        router::router(self.near.clone(), false).oneshot(request.unwrap()).await.unwrap()
    }

    /// The far node asks the near one, by itself.
    async fn back(&self, asker: &Asker) -> axum::http::Response<Body> {
        let request = Request::get("/api/v1/fleet").body(Body::empty()).unwrap();
        in_time(self.far.fleet.call(self.near.store.node(), asker, request)).await.unwrap()
    }

    /// Whoever has this key asks the near node for a tunnel, and then whether it is let in.
    async fn knocks(&self, identity: &crate::access::identity::Identity, part: &str) -> String {
        let near = PeerKey::of(&self.near.identity.certificate).unwrap();
        let mut stream = tls::dial(&self.at.to_string(), identity, near).await.unwrap();
        let asked = format!(
            "GET /peer/calls/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {part}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        in_time(stream.read_exact(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer[9..]).into_owned()
    }
}

/// How one says that it calls another.
fn called((from, to): (&App, &App)) -> &'static str {
    let id = to.store.node().to_string();
    let nodes = from.fleet.view().unwrap().nodes;
    nodes.iter().find(|node| node.id == id).map_or("unknown", |node| node.called)
}

async fn json(answer: Response) -> (StatusCode, Value) {
    let status = answer.status();
    let bytes = in_time(axum::body::to_bytes(answer.into_body(), 1 << 20)).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// An answer without an end; counts what is made of it, and the readers that have gone.
#[derive(Clone, Default)]
struct Endless {
    made: Arc<AtomicU64>,
    over: Arc<AtomicUsize>,
}

struct Over(Arc<AtomicUsize>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Endless {
    fn body(&self) -> Body {
        let (made, over) = (self.made.clone(), Over(self.over.clone()));
        Body::from_stream(stream::repeat_with(move || {
            let _held = &over;
            made.fetch_add(CHUNK.len() as u64, Ordering::SeqCst);
            Ok::<_, Infallible>(Bytes::from_static(CHUNK))
        }))
    }

    fn pages(&self) -> Router {
        let endless = self.clone();
        Router::new().route("/api/v1/endless", get(move || std::future::ready(endless.body())))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nobody_can_dial_is_called_and_calls() {
    let pair = Dialled::with(None).await;
    let (near, far) = (pair.near.store.node(), pair.far.store.node());

    let (status, told) = json(in_time(pair.call("fleet")).await).await;
    assert_eq!((status, told["node_id"].as_str()), (StatusCode::OK, Some(&*far.to_string())));
    // Rights are looked up there, and whatever is wrong is said from there.
    let (status, told) = json(in_time(pair.call("nonsense")).await).await;
    assert_eq!((status, told["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));

    // The other way the first call is dialled, and brings a tunnel for the next.
    assert_eq!(called((&pair.far, &pair.near)), "direct");
    let (status, told) = json(pair.back(&pair.asker).await).await;
    assert_eq!((status, told["node_id"].as_str()), (StatusCode::OK, Some(&*near.to_string())));
    until("a tunnel back", || called((&pair.far, &pair.near)) == "link").await;
    // Nobody is let in any more: what gets through goes through what is there.
    pair.served.shutdown();
    until("the end of listening", || std::net::TcpStream::connect(pair.at).is_err()).await;
    assert_eq!(pair.back(&pair.asker).await.status(), StatusCode::OK);
    // Who is no person of the fleet gets no further there than by any other connection.
    let nobody = Asker { person: Id::of_name("nobody"), scopes: None };
    let refused = pair.back(&nobody).await.status();
    assert!([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&refused), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_for_own_calls_goes_when_nobody_calls() {
    let endless = Endless::default();
    let pair = Dialled::with(None).await;
    pair.near.fleet.answer_with(endless.pages());
    let near = pair.near.store.node();
    drop(pair.back(&pair.asker).await);
    until("a tunnel back", || called((&pair.far, &pair.near)) == "link").await;
    assert!(!pair.far.fleet.let_go_unused(near), "it is new");
    let request = Request::get("/api/v1/endless").body(Body::empty()).unwrap();
    let body = in_time(pair.far.fleet.call(near, &pair.asker, request)).await.unwrap().into_body();
    assert!(!pair.far.fleet.let_go_unused(near), "it was used");
    assert!(!pair.far.fleet.let_go_unused(near), "the call goes on");
    drop(body);
    assert!(pair.far.fleet.let_go_unused(near));
    assert_eq!(called((&pair.far, &pair.near)), "direct");
    until("the end at the other node", || endless.over.load(Ordering::SeqCst) == 1).await;
    assert_eq!(called((&pair.near, &pair.far)), "link", "the one that stands for others' calls stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_too_many_for_a_tunnel_is_dialled() {
    let endless = Endless::default();
    let pair = Dialled::with(Some(endless.pages())).await;
    let mut calls = Vec::new();
    for _ in 0..CALLS_MAX {
        calls.push(in_time(pair.call("endless")).await);
    }
    assert!(calls.iter().all(|answer| answer.status() == StatusCode::OK));
    let (status, told) = json(in_time(pair.call("endless")).await).await;
    assert_eq!((status, told["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("node_unreached")));
    calls.pop();
    assert_eq!(in_time(pair.call("endless")).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_flow_through_a_tunnel_and_end_with_who_looks() {
    let pair = Dialled::with(None).await;
    let far = pair.far.store.node();
    let streams = || STREAMS_MAX - pair.far.limits.streams.available_permits();
    let watch = pair.near.fleet.watch_levels(pair.asker.clone());
    watch.want([far].into());
    until("levels", || {
        pair.far.live.set_meters(Some(meter_frame(2)), clock::mono_us());
        watch.newest(clock::mono_us()).get(&far).is_some_and(|levels| levels.channels == 2)
    })
    .await;
    assert_eq!(streams(), 1);
    drop(watch);
    until("end of the stream", || streams() == 0).await;
    assert_eq!(called((&pair.near, &pair.far)), "link", "the tunnel stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_arrives_whole_beside_many_that_nobody_reads() {
    /// A length that is no multiple of anything.
    const BYTES: usize = 20_000_003;
    fn large() -> Bytes {
        (0..BYTES).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
    }
    let (endless, sent) = (Endless::default(), Arc::new(AtomicU64::new(0)));
    let counted = sent.clone();
    let download = move || {
        let (whole, counted) = (large(), counted.clone());
        let pieces = (0..BYTES).step_by(CHUNK.len()).map(move |at| {
            let piece = whole.slice(at..BYTES.min(at + CHUNK.len()));
            counted.fetch_add(piece.len() as u64, Ordering::SeqCst);
            Ok::<_, Infallible>(piece)
        });
        std::future::ready(Body::from_stream(stream::iter(pieces)))
    };
    let pair = Dialled::with(Some(endless.pages().route("/api/v1/large", get(download)))).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let answer = in_time(pair.call("endless")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        slow.push(answer);
    }

    let mut body = in_time(pair.call("large")).await.into_body().into_data_stream();
    let mut read = Vec::new();
    while let Some(piece) = in_time(body.next()).await {
        read.extend_from_slice(&piece.unwrap());
        let ahead = sent.load(Ordering::SeqCst) - read.len() as u64;
        assert!(ahead <= AHEAD_BYTES_MAX, "{ahead} bytes were made before they were asked for");
    }

    assert!(large() == read, "{} bytes", read.len());
    let made = endless.made.load(Ordering::SeqCst);
    assert!(made <= SLOW as u64 * AHEAD_BYTES_MAX, "{made} bytes were made for nobody");
    assert_eq!(endless.over.load(Ordering::SeqCst), 0);
    drop(slow);
    until("the end at the far node", || endless.over.load(Ordering::SeqCst) == SLOW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_breaks_ends_its_calls_and_is_dialled_anew() {
    let endless = Endless::default();
    let pair = Dialled::with(Some(endless.pages())).await;
    for (over, broken) in [&pair.far, &pair.near].into_iter().enumerate() {
        let answer = in_time(async {
            loop {
                // Until the new one is there a call is dialled, in vain, or comes upon what is left of the old.
                let answer = pair.call("endless").await;
                if answer.status() == StatusCode::OK {
                    return answer;
                }
            }
        });
        let mut body = answer.await.into_body().into_data_stream();
        assert!(in_time(body.next()).await.unwrap().is_ok());

        broken.fleet.break_tunnels();

        let ended = async {
            loop {
                match body.next().await {
                    Some(Ok(_)) => {}
                    ended => return ended,
                }
            }
        };
        assert!(in_time(ended).await.is_some_and(|end| end.is_err()), "a part must not pass for the whole");
        until("the end at the far node", || endless.over.load(Ordering::SeqCst) > over).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tunnel_the_call_is_dialled_and_says_why_it_fails() {
    let pair = Dialled::apart(None).await;
    let (status, told) = json(in_time(pair.call("fleet")).await).await;
    assert_eq!((status, told["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("node_unreached")));
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.starts_with("Far cannot be asked now: 127.0.0.1:1 is not reached"), "{detail}");
    assert_eq!(called((&pair.near, &pair.far)), "not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_tunnel_and_a_retired_node_loses_its_own() {
    let endless = Endless::default();
    let pair = Dialled::with(Some(endless.pages())).await;
    let home = tempfile::tempdir().unwrap();
    let (stranger, _) = identity::tls(home.path(), "stranger", &[], &ctx(9)).unwrap();
    for part in ["calls.1", "answers.1"] {
        assert_eq!(pair.knocks(&stranger, part).await, "403");
    }
    assert_eq!(pair.knocks(&pair.far.identity, "telnet").await, "426", "a member who asks for something else");

    let mut body = in_time(pair.call("endless")).await.into_body().into_data_stream();
    assert!(in_time(body.next()).await.unwrap().is_ok());
    let mut edits = Edits::by("near");
    edits.retire(pair.far.store.node(), &pair.near.store.last_words(pair.far.store.node()).unwrap());
    pair.near.store.commit(edits, moment()).unwrap();
    pair.near.fleet.look_anew();
    let ended = async { while let Some(Ok(_)) = body.next().await {} };
    in_time(ended).await;
    let request = Request::get("/api/v1/fleet").body(Body::empty()).unwrap();
    let refused = pair.near.fleet.call(pair.far.store.node(), &pair.asker, request).await;
    assert!(matches!(refused, Err(CallError::NoMember)));
    for part in ["calls.1", "answers.1"] {
        assert_eq!(pair.knocks(&pair.far.identity, part).await, "403");
    }
}
