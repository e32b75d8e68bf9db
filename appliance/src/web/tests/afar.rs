//! Two nodes, of which one is served on loopback: what the other brings from there.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::Handle;
use base64::Engine;
use futures_util::{StreamExt, stream};

use super::*;
use crate::access::fleet::hex;
use crate::fleet::call::Asker;
use crate::service::levels::OLD_US;
use crate::service::tests::meter_frame;
use crate::store::fleet::Key;
use crate::sys::clock;

/// How often a condition is looked at, and how many times: 20 s.
const LOOK: (Duration, usize) = (Duration::from_millis(50), 400);
pub const CHUNK: &[u8] = &[7; 64 << 10];

/// Two nodes that have not met.
pub struct Apart {
    pub near: App,
    pub far: App,
    homes: (tempfile::TempDir, tempfile::TempDir),
}

/// Two that have: the near one has an owner, who asks.
pub struct Met {
    pub near: App,
    pub far: App,
    pub cookie: String,
    pub asker: Asker,
    _homes: (tempfile::TempDir, tempfile::TempDir),
}

impl Apart {
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let homes = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |home: &tempfile::TempDir, name: &str| {
            let store = Store::open(&home.path().join("records"), Id::of_name(name), name, moment(), || 1);
            Access::with_cost(store.unwrap().0, Cost::CHEAP)
        };
        let (near, far) = (app(homes.0.path(), open(&homes.0, "near")), app(homes.1.path(), open(&homes.1, "far")));
        Self { near, far, homes }
    }

    /// The near one is claimed, and each knows the other: the near one at `addresses`, the far one at `far_at`.
    pub fn meet(self, addresses: Vec<String>, far_at: SocketAddr) -> Met {
        let Self { near, far, homes } = self;
        let certificate = near.identity.certificate.to_vec();
        near.access.introduce(Us { name: "Near".into(), addresses, spki: near.identity.spki, certificate });
        near.access.open_claiming(homes.0.path(), 30, &ctx(2)).unwrap();
        let code = std::fs::read_to_string(homes.0.path().join("claim-code")).unwrap();
        let cookie = near.access.claim(&ctx(3), owner(&code)).unwrap().cookie;
        meet(&near.store, &far.store);
        introduce(&far, far_at);
        meet(&near.store, &far.store);
        let actor = near.access.authenticate(&ctx(5), Shown::Cookie(&cookie)).unwrap();
        let asker = Caller { actor, ctx: Arc::new(ctx(4)) }.asker().unwrap();
        Met { near, far, cookie, asker, _homes: homes }
    }
}

/// Serves a node on loopback, by these routes; returns where.
pub async fn serve(app: &App, router: Router) -> (Handle<SocketAddr>, SocketAddr) {
    let (served, identity) = (Handle::new(), app.identity.clone());
    let (at, handle) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), served.clone());
    tokio::spawn(async move { serve::https(at, &identity, router, handle).await });
    let at = served.listening().await.unwrap();
    (served, at)
}

struct Pair {
    met: Met,
    served: Handle<SocketAddr>,
}

impl std::ops::Deref for Pair {
    type Target = Met;

    fn deref(&self) -> &Met {
        &self.met
    }
}

impl Pair {
    /// The far node is served by these routes, or by its own.
    async fn with(routes: Option<Router>) -> Self {
        let apart = Apart::new();
        let routes = routes.unwrap_or_else(|| router::router(apart.far.clone(), true));
        let (served, at) = serve(&apart.far, routes).await;
        Self { met: apart.meet(Vec::new(), at), served }
    }

    /// Through the near node's own pages.
    async fn call(&self, method: &str, rest: &str, headers: &[(&str, &str)], body: Body) -> Response {
        let path = format!("/api/v1/nodes/{}/calls/{rest}", self.far.store.node());
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        request = request.header("authorization", format!("Bearer {}", self.cookie)).header("cookie", "rakkr=x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router::router(self.near.clone(), false).oneshot(request.body(body).unwrap()).await.unwrap()
    }

    /// Streams that the far node gives to anybody.
    fn streams(&self) -> usize {
        STREAMS_MAX - self.far.limits.streams.available_permits()
    }
}

/// The node says where it is and by which key it is known.
pub fn introduce(far: &App, at: SocketAddr) {
    let certificate = base64::engine::general_purpose::STANDARD.encode(&far.identity.certificate);
    let key = Some(Key { spki: hex(&far.identity.spki), certificate });
    let (name, addresses) = ("Far".into(), vec![at.to_string()]);
    let profile = Profile { name, addresses, priority: 0, is_keeper: true, is_candidate: true, weight: 1 };
    let (id, version) = (far.store.node(), String::new());
    let mut edits = Edits::by("far");
    edits.put_member(&Member { id, key, profile, joined: None, is_retired: false, version });
    far.store.commit(edits, moment()).unwrap();
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOK.1 {
        if is_so() {
            return;
        }
        tokio::time::sleep(LOOK.0).await;
    }
    panic!("no {what}");
}

pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LOOK.0 * LOOK.1 as u32, what).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_come_by_one_call_however_many_look_and_by_none_when_nobody_does() {
    let pair = Pair::with(None).await;
    let far = pair.far.store.node();
    let watch = || pair.near.fleet.watch_levels(pair.asker.clone());
    let (one, two) = (watch(), watch());
    let is_heard = |watch: &crate::fleet::levels::Watch| {
        pair.far.live.set_meters(Some(meter_frame(2)), clock::mono_us());
        let newest = watch.newest(clock::mono_us());
        newest.get(&far).is_some_and(|levels| levels.peak_dbfs == [Some(-20.0), Some(-20.0)])
    };
    one.want([far].into());
    until("levels", || is_heard(&one)).await;
    assert!(two.newest(clock::mono_us()).is_empty(), "who did not ask for a node is not told of it");
    two.want([far].into());
    until("levels of the other", || is_heard(&two)).await;
    assert_eq!((pair.near.fleet.level_calls(), pair.streams()), (1, 1));
    assert!(one.newest(clock::mono_us() + OLD_US).is_empty(), "what is two seconds old is not known");

    // The call was made as the one who goes.
    drop(one);
    until("levels for who stays", || is_heard(&two)).await;
    until("one call", || (pair.near.fleet.level_calls(), pair.streams()) == (1, 1)).await;
    drop(two);
    assert_eq!(pair.near.fleet.level_calls(), 0);
    until("end of the stream", || pair.streams() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_went_away_has_no_levels_and_one_that_measures_nothing_says_so() {
    let pair = Pair::with(None).await;
    let far = pair.far.store.node();
    let watch = pair.near.fleet.watch_levels(pair.asker.clone());
    watch.want([far].into());
    let newest = || watch.newest(clock::mono_us()).get(&far).map(|levels| levels.channels);
    until("word of a node without a recorder", || newest() == Some(0)).await;
    pair.served.shutdown();
    until("end of its levels", || newest().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_end_with_the_right_to_see_them() {
    let pair = Pair::with(None).await;
    let watch = pair.near.fleet.watch_levels(pair.asker.clone());
    watch.want([pair.far.store.node()].into());
    until("stream", || pair.streams() == 1).await;
    let mut edits = Edits::by("far");
    edits.disable_user(pair.asker.person);
    pair.far.store.commit(edits, moment()).unwrap();
    pair.far.live.bump();
    until("end of the stream", || pair.streams() == 0 && watch.newest(clock::mono_us()).is_empty()).await;
    let refused = pair.call("GET", "levels", &[], Body::empty()).await;
    assert!([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&refused.status()), "{refused:?}");
}

/// Says when it is dropped.
pub struct Told(pub Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_sent_as_fast_as_it_is_read_and_ends_with_its_reader() {
    let (made, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, told) = (made.clone(), is_over.clone());
    let endless = move || {
        let (counted, told) = (counted.clone(), Told(told.clone()));
        let chunks = stream::repeat_with(move || {
            let _held = &told;
            counted.fetch_add(CHUNK.len() as u64, Ordering::SeqCst);
            Ok::<_, Infallible>(Bytes::from_static(CHUNK))
        });
        std::future::ready(Body::from_stream(chunks))
    };
    let pair = Pair::with(Some(Router::new().route("/api/v1/endless", get(endless)))).await;

    let answer = in_time(pair.call("GET", "endless", &[], Body::empty())).await;

    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body().into_data_stream();
    let mut read = 0;
    while read < 4 << 20 {
        read += in_time(body.next()).await.unwrap().unwrap().len();
    }
    // Nobody reads on: what the sockets hold is made, and then nothing.
    let (mut before, mut looks) = (0, 0);
    until("end of what is made ahead", || {
        let now = made.load(Ordering::SeqCst);
        looks = if now == before { looks + 1 } else { 0 };
        before = now;
        looks >= 10
    })
    .await;
    assert!(before < 64 << 20, "{before} bytes were made for a reader of {read}");
    assert!(!is_over.load(Ordering::SeqCst));
    drop(body);
    until("end at the far node", || is_over.load(Ordering::SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_there_may_be_large_and_what_is_said_of_it_arrives() {
    async fn taken(headers: HeaderMap, body: Body) -> Response {
        let mut chunks = body.into_data_stream();
        let mut bytes = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            bytes += chunk.len();
        }
        let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let told =
            format!("{bytes}|{}|{}|{}{}", said("range"), said("if-range"), said("authorization"), said("cookie"));
        let answer = [
            (header::ETAG, "\"a\""),
            (header::CONTENT_RANGE, "bytes 2-4/9"),
            (header::CONTENT_TYPE, "audio/ogg"),
            (header::SET_COOKIE, "rakkr=theirs"),
        ];
        (StatusCode::PARTIAL_CONTENT, answer, told).into_response()
    }
    let pair = Pair::with(Some(Router::new().route("/api/v1/taken", post(taken)))).await;
    let body = Body::from_stream(stream::iter((0..128).map(|_| Ok::<_, Infallible>(Bytes::from_static(CHUNK)))));

    let headers = [("range", "bytes=2-4"), ("if-range", "\"a\"")];
    let answer = in_time(pair.call("POST", "taken", &headers, body)).await;

    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    let said = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let wanted = ["\"a\"", "bytes 2-4/9", "audio/ogg"].map(|value| Some(value.to_owned()));
    assert_eq!([header::ETAG, header::CONTENT_RANGE, header::CONTENT_TYPE].map(said), wanted);
    assert_eq!(said(header::SET_COOKIE), None, "a session there is none here");
    let told = axum::body::to_bytes(answer.into_body(), 1 << 10).await.unwrap();
    assert_eq!(told, "8388608|bytes=2-4|\"a\"|", "neither token nor cookie leaves this node");
}
