//! What a node shows of another node's records once the two have met.

mod afar;
mod tunnel;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::api::{audit, incidents, recordings};
use super::caller::{Caller, moment};
use super::*;
use crate::access::fleet::Us;
use crate::access::passwords::Cost;
use crate::access::{Actor, Ctx, NewOwner, Shown, identity, sealing};
use crate::domain::TakeId;
use crate::service::supervisor::Supervisor;
use crate::store::fleet::{Member, Profile};
use crate::store::recordings::Plan;
use crate::store::rooms::Room;
use crate::store::tests::{facts, incident, meet};
use crate::store::{Edits, Id};

/// A claimed node, and one beside it that recorded, watched and did something.
struct Two {
    app: App,
    owner: Caller,
    /// Whoever stands in this node's room.
    guest: Caller,
    cookie: String,
    theirs: Store,
    ours_id: TakeId,
    theirs_id: TakeId,
    _home: tempfile::TempDir,
}

fn ctx(seed: u8) -> Ctx {
    Ctx::new(moment(), [seed; 32], "192.0.2.1", "test")
}

/// For links, and calls.
static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
    std::sync::LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());

fn app(home: &std::path::Path, access: Access) -> App {
    let (key, _) = identity::tls(home, "rakkr", &[], &ctx(1)).unwrap();
    let (live, identity) = (Live::new(), Arc::new(key));
    let fleet = Fleet::idle(crate::fleet::Parts {
        forgetting: Default::default(),
        data: home.to_owned(),
        access: access.clone(),
        live: live.clone(),
        identity: identity.clone(),
        sealing: Arc::new(sealing::box_key(home, &ctx(1)).unwrap().0),
        runtime: RUNTIME.handle().clone(),
        links: RUNTIME.handle().clone(),
    });
    App::new(Wiring {
        data: DataDir::new(home),
        access,
        live,
        workers: Supervisor::new().handle(),
        name: "A-Hall".into(),
        identity,
        fleet,
        alarms: Vec::new(),
        has_open_metrics: false,
        started_us: 0,
        files: KeptFiles::open(home.join("exports"), 1 << 20).unwrap(),
    })
}

impl Two {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let open =
            |name: &str| Store::open(&home.path().join(name), Id::of_name(name), name, moment(), || 1).unwrap().0;
        let (ours, theirs) = (open("records"), open("theirs"));
        let access = Access::with_cost(ours.clone(), Cost::CHEAP);
        let (name, addresses) = ("A-Hall".into(), vec!["a.local:443".into()]);
        access.introduce(Us { name, addresses, spki: [1; 32], certificate: vec![1] });
        access.open_claiming(home.path(), 30, &ctx(2)).unwrap();
        let code = std::fs::read_to_string(home.path().join("claim-code")).unwrap();
        let claimed = access.claim(&ctx(3), owner(&code)).unwrap();
        let (ours_id, theirs_id) = (TakeId::new(moment().wall, [1; 10]), TakeId::new(moment().wall, [2; 10]));
        let mut edits = Edits::by("test");
        edits.put_facts(ours_id, &facts("Ours", 1));
        ours.commit(edits, moment()).unwrap();
        meet(&ours, &theirs);
        tell(&theirs, theirs_id);
        meet(&ours, &theirs);
        let caller = |actor| Caller { actor, ctx: Arc::new(ctx(4)) };
        let person = access.authenticate(&ctx(5), Shown::Cookie(&claimed.cookie)).unwrap();
        let (owner, guest) = (caller(person), caller(Actor::pin(claimed.room.id, None)));
        let app = app(home.path(), access);
        Self { app, owner, guest, cookie: claimed.cookie, theirs, ours_id, theirs_id, _home: home }
    }

    async fn ask(&self, method: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {}", self.cookie));
        let request = request.header("content-type", "application/json").body(Body::from("{}")).unwrap();
        let answer = router::router(self.app.clone(), false).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn their_id(&self) -> String {
        self.theirs.node().to_string()
    }
}

fn owner(code: &str) -> NewOwner {
    NewOwner {
        code: code.to_owned(),
        name: "Anna Example".into(),
        email: "anna@example.org".into(),
        password: "copper lantern drifts past noon".into(),
        room: "Courtroom 4".into(),
        time_zone: "Europe/Berlin".into(),
    }
}

/// The other node is a member in a room of its own, recorded something there, and a channel of it is dead.
fn tell(theirs: &Store, take: TakeId) {
    let (node, room) = (theirs.node(), Id::of_name("their room"));
    let mut edits = Edits::by("neighbour");
    let profile = Profile {
        name: "B-Hall".into(),
        addresses: vec!["b.local:8443".into()],
        priority: 0,
        is_keeper: true,
        is_candidate: true,
        weight: 1,
    };
    let (key, joined, version) = (None, None, String::new());
    edits.put_member(&Member { id: node, key, profile, joined, is_retired: false, version: version.clone() });
    let (name, time_zone, notes) = ("Courtroom 5".into(), "Europe/Berlin".into(), String::new());
    edits.put_room(&Room { id: room, name, time_zone, notes, node: Some(node), version });
    edits.put_facts(take, &facts("Theirs", 2));
    edits.put_plan(take, &Plan { room: Some(room), started_by: None, profile: "voice".into() });
    edits.put_incident(Id::of_name("dead"), &incident(2));
    theirs.commit(edits, moment()).unwrap();
}

#[test]
fn lists_name_the_node_and_are_filtered_by_it() {
    let two = Two::new();
    let (ours, theirs) = (two.app.store.node().to_string(), two.their_id());
    let listed = |node: Option<&str>| {
        let node_id = node.map(ToOwned::to_owned);
        let filter = recordings::Filter { node_id, ..Default::default() };
        let items = recordings::list(&two.app, &two.owner, &filter).unwrap().items;
        items.into_iter().map(|view| (view.title, view.node)).collect::<Vec<_>>()
    };
    let (a, b) = (("Ours".to_owned(), "A-Hall".to_owned()), ("Theirs".to_owned(), "B-Hall".to_owned()));
    assert_eq!(listed(None), [b.clone(), a.clone()]);
    assert_eq!((listed(Some(&ours)), listed(Some(&theirs))), (vec![a], vec![b]));
    let nonsense = recordings::Filter { node_id: Some("x".into()), ..Default::default() };
    assert_eq!(recordings::list(&two.app, &two.owner, &nonsense).unwrap_err().field.as_deref(), Some("node_id"));

    for (open, node) in [(Some(true), None), (Some(true), Some(theirs.clone())), (None, Some(theirs.clone()))] {
        let filter = incidents::Filter { open, node_id: node, ..Default::default() };
        let items = incidents::list(&two.app, &two.owner, &filter).unwrap().items;
        assert_eq!(items.iter().map(|view| (&*view.node_id, &*view.node)).collect::<Vec<_>>(), [(&*theirs, "B-Hall")]);
    }
    let filter = incidents::Filter { open: Some(true), node_id: Some(ours.clone()), ..Default::default() };
    assert_eq!(incidents::list(&two.app, &two.owner, &filter).unwrap().items, []);
    assert_eq!(incidents::open(&two.app, &two.owner).unwrap(), [], "this node is well");

    let journal = audit::list(&two.app, &two.owner, &audit::Filter::default()).unwrap().items;
    assert!(!journal.is_empty() && journal.iter().all(|entry| (&*entry.node_id, &*entry.node) == (&*ours, "A-Hall")));
    let filter = audit::Filter { node_id: Some(theirs), ..Default::default() };
    assert_eq!(audit::list(&two.app, &two.owner, &filter).unwrap().items, []);
}

#[test]
fn who_has_a_place_in_one_room_sees_nothing_of_another() {
    let two = Two::new();
    let items = recordings::list(&two.app, &two.guest, &recordings::Filter::default()).unwrap().items;
    assert_eq!(items.iter().map(|view| view.title.as_str()).collect::<Vec<_>>(), ["Ours"]);
    assert!(recordings::find(&two.app, &two.guest, two.ours_id).is_ok());
    assert_eq!(recordings::find(&two.app, &two.guest, two.theirs_id).unwrap_err().status, 404);
    assert!(recordings::find(&two.app, &two.owner, two.theirs_id).is_ok());
    for open in [Some(true), None] {
        let filter = incidents::Filter { open, ..Default::default() };
        assert_eq!(incidents::list(&two.app, &two.guest, &filter).unwrap().items, []);
    }
    let dead = Id::of_name("dead").to_string();
    assert!(incidents::acknowledge(&two.app, &two.guest, &dead, "").is_err());
    assert_eq!(incidents::acknowledge(&two.app, &two.owner, &dead, "").unwrap().node, "B-Hall");
}

#[tokio::test]
async fn a_call_to_the_very_node_is_a_request_to_it() {
    let two = Two::new();
    let call = |rest: &str| format!("/api/v1/nodes/{}/calls/{rest}", two.app.store.node());
    let (status, said) = two.ask("GET", &call("recordings?limit=1")).await;
    assert_eq!((status, said["items"].as_array().unwrap().len()), (StatusCode::OK, 1), "{said}");
    assert_eq!(two.ask("DELETE", &call("recordings")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(two.ask("GET", &call("nothing")).await.0, StatusCode::NOT_FOUND);
    let (status, said) = two.ask("GET", &format!("/api/v1/nodes/{}/calls/recordings", two.their_id())).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{said}");
}

#[tokio::test]
async fn audio_of_another_node_is_told_to_be_there() {
    let two = Two::new();
    let (theirs, node) = (two.theirs_id, two.their_id());
    let at = format!("/api/v1/recordings/{theirs}");
    let asked = [
        ("GET", format!("{at}/file?format=flac")),
        ("GET", format!("{at}/stream")),
        ("GET", format!("{at}/waveform")),
        ("GET", format!("/api/v1/listen?node_id={node}")),
        ("POST", format!("{at}/stop")),
        ("POST", format!("{at}/render")),
    ];
    for (method, path) in asked {
        let (status, problem) = two.ask(method, &path).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("on_another_node")), "{path}");
        assert_eq!(problem["on_node"]["id"].as_str(), Some(&*node));
        assert_eq!(problem["on_node"]["name"].as_str(), Some("B-Hall"));
        assert_eq!(problem["on_node"]["addresses"][0].as_str(), Some("b.local:8443"));
    }
    // What is said about it is everybody's, and ours is not elsewhere.
    assert_eq!(two.ask("DELETE", &at).await.0, StatusCode::NO_CONTENT);
    let ours = format!("/api/v1/recordings/{}/file?format=flac", two.ours_id);
    assert_eq!(two.ask("GET", &ours).await.0, StatusCode::GONE);
}

#[test]
fn pages_say_where_it_is_and_now_is_of_this_node() {
    let two = Two::new();
    let all = |topic: &str| {
        let mut pieces = pieces::Pieces::default();
        pages::partials(&two.app, &two.owner, topic, &mut pieces).unwrap();
        pieces.news().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
    };
    let rows = all("recordings");
    assert!(rows.contains("On B-Hall") && rows.contains("On A-Hall"), "{rows}");
    let now = all("now,health");
    assert!(now.contains("Ours") && !now.contains("Theirs") && !now.contains("B-Hall"), "{now}");
}
