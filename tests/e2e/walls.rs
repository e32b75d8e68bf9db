//! Another room from here: its levels are seen, it is heard, started, stopped and played, all through its own node.

use crate::harness::*;
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// A second of levels has four messages; what is waited for longer than this does not come.
const MESSAGES_MAX: usize = 100;

/// A node without a recorder, and one with: the room.
struct House {
    here: Node,
    there: Node,
    there_id: String,
    room: Room,
    _data: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let (room, data) = (Room::usual(), tempfile::tempdir().expect("a folder"));
        let here = Node::claimed("none", data.path(), &[]);
        let mut there = Node::start(&room.server.name, &room.appliance.data, &[]);
        let invited = here.post("/api/v1/fleet/invitations", &json!({})).is(201);
        there.post("/api/v1/fleet/join", &json!({"token": invited["token"]})).is(200);
        there.log_in();
        let there_id = there.get("/api/v1/fleet").is(200)["node_id"].as_str().expect("an id").to_owned();
        let house = House { here, there, there_id, room, _data: data };
        house.wait_reached();
        house
    }

    fn wait_reached(&self) {
        wait("the other node to be reached", || {
            let fleet = self.here.get("/api/v1/fleet").is(200);
            let nodes = fleet["nodes"].as_array().cloned().unwrap_or_default();
            nodes.iter().any(|node| node["id"] == *self.there_id && node["state"] == "current").then_some(())
        });
    }

    fn call(&self, rest: &str) -> String {
        format!("/api/v1/nodes/{}/calls/{rest}", self.there_id)
    }

    /// As a form of the wall sends it.
    fn press(&self, act: &str, form: String) {
        let request = self.here.http.post(self.here.at(&format!("/wall/{}/{act}", self.there_id)));
        let request = request.bearer_auth(&self.here.token).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().expect("an answer");
        assert_eq!(answer.status(), 303, "{}", answer.text().unwrap_or_default());
    }

    fn recording(&self, state: &str) -> Value {
        wait(&format!("a recording that is {state}"), || {
            let list = self.here.get("/api/v1/recordings").is(200);
            list["items"].as_array()?.iter().find(|item| item["state"] == state).cloned()
        })
    }
}

/// The levels that a wall is told.
struct Wall {
    socket: WebSocket<TcpStream>,
    nodes: Vec<String>,
}

impl Wall {
    fn of(node: &Node) -> Wall {
        let address = node.url.strip_prefix("http://").expect("plain");
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        let mut request = format!("ws://{address}/api/v1/fleet/levels").into_client_request().expect("a request");
        let token = format!("Bearer {}", node.token).parse().expect("a header");
        request.headers_mut().insert("authorization", token);
        Wall { socket: client(request, stream).expect("a socket").0, nodes: Vec::new() }
    }

    /// What the next message says of a node: none if nothing is known, else three bytes a group.
    fn next(&mut self, node: &str) -> Option<Vec<u8>> {
        loop {
            let bytes = match self.socket.read().expect("a message") {
                Message::Text(text) => {
                    let head: Value = serde_json::from_str(&text).expect("JSON");
                    let nodes = head["nodes"].as_array().expect("nodes");
                    self.nodes = nodes.iter().map(|node| node.as_str().expect("an id").to_owned()).collect();
                    continue;
                }
                Message::Binary(bytes) => bytes,
                _ => continue,
            };
            let mut rest = &bytes[4..];
            for name in &self.nodes {
                let groups = usize::from(rest[0]);
                let (about, after) = if groups == 255 { (None, &rest[1..]) } else { split(&rest[1..], 3 * groups) };
                if name == node {
                    return about;
                }
                rest = after;
            }
            panic!("the node is not named: {:?}", self.nodes);
        }
    }

    fn until(&mut self, what: &str, node: &str, is_so: impl Fn(Option<&[u8]>) -> bool) {
        let told: Vec<_> =
            (0..MESSAGES_MAX).map_while(|_| Some(self.next(node)).filter(|it| !is_so(it.as_deref()))).collect();
        assert!(told.len() < MESSAGES_MAX, "{what}: {told:?}");
    }
}

fn split(bytes: &[u8], at: usize) -> (Option<Vec<u8>>, &[u8]) {
    let (about, after) = bytes.split_at(at);
    (Some(about.to_vec()), after)
}

/// Two channels, and the tags on them are louder than -1 dBFS.
fn is_loud(about: Option<&[u8]>) -> bool {
    about.is_some_and(|groups| groups.len() == 6 && groups[0] >= 253 && groups[3] >= 253)
}

#[test]
fn levels_of_another_room_are_seen_here_and_are_unknown_when_it_is_gone() {
    let mut house = House::new();
    let there = house.there_id.clone();
    let mut wall = Wall::of(&house.here);
    wall.until("the room is heard", &there, is_loud);
    house.there.kill9();
    wall.until("what is not told any more is not known", &there, |about| about.is_none());
    house.there.restart();
    house.wait_reached();
    wall.until("the room is heard again", &there, is_loud);
    let stranger = house.here.http.get(house.here.at("/api/v1/levels")).send().expect("an answer");
    assert_eq!(stranger.status(), 401);
}

#[test]
fn another_room_is_started_stopped_and_played_from_here() {
    let house = House::new();
    house.press("start", String::new());
    let id = house.recording("recording")["id"].as_str().expect("an id").to_owned();
    wait("something to be on disk", || {
        let (status, bytes) = house.here.bytes(&house.call(&format!("recordings/{id}/file?format=wav")), None);
        (status == 200 && bytes.len() > 100_000).then_some(())
    });
    house.press("stop", format!("recording={id}"));
    assert_eq!(house.recording("ready")["id"], *id);

    let file = house.call(&format!("recordings/{id}/file?format=wav"));
    let (status, whole) = house.here.bytes(&file, None);
    assert_eq!((status, &whole[..4]), (200, &b"RIFF"[..]));
    assert_eq!(house.here.bytes(&file, Some("bytes=100-199")), (206, whole[100..200].to_vec()));
    let get = || house.here.http.get(house.here.at(&file)).bearer_auth(&house.here.token);
    let tag = get().header("range", "bytes=0-9").send().expect("an answer").headers()["etag"].clone();
    assert_eq!(get().header("if-none-match", tag).send().expect("an answer").status(), 304);
    let (status, sound) = house.here.bytes(&house.call(&format!("recordings/{id}/stream?format=ogg")), None);
    assert_eq!((status, &sound[..4]), (200, &b"OggS"[..]));
    drop(house.room);
}

#[test]
fn another_room_is_heard_and_its_place_is_free_again_when_the_listener_goes() {
    let house = House::new();
    // More than may listen at a time: a place that is not given back would refuse the ninth.
    for _ in 0..12 {
        let mut heard = wait("a place for a listener", || {
            let url = house.here.at(&house.call("listen?channels=1,2"));
            let answer = house.here.http.get(url).bearer_auth(&house.here.token).send().expect("an answer");
            (answer.status() == 200).then_some(answer)
        });
        assert_eq!(heard.headers()["content-type"], "audio/ogg; codecs=opus");
        let mut bytes = vec![0; 8_000];
        heard.read_exact(&mut bytes).expect("sound");
        assert_eq!(&bytes[..4], b"OggS");
    }
}
