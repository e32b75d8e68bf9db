//! Today's code and an older build's bytes: its file, its words, and a hub that knows no more than it did.
//!
//! The fixtures are what the build of commit 5fc2886 wrote (`README.md`). That build itself is not here: what it understood
//! is a list taken from its source (`words`), and a hub that speaks no more than it did is one of today's behind a relay that
//! takes out what it did not know (`relay`).

#[path = "../fleet/mod.rs"]
mod fleet;
#[path = "../house/mod.rs"]
mod house;
mod hubs;
mod relay;
mod words;

use house::*;
use replicate::core::election;
use replicate::core::entry::{Moment, Quality};
use replicate::core::id::{BootId, NodeId, Stream};
use replicate::core::message::Message;
use replicate::core::record::Record;
use replicate::core::session::{Clock, Input, Limits, Me, Output, Session, Told};
use replicate::core::wire;
use replicate::disk::opening::Settings;
use replicate::disk::store::{Batch, Store};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const STORE: &[u8] = include_bytes!("store.redb.zst");
const MARK: &[u8] = include_bytes!("store.mark");
const STORE_TOLD: &str = include_str!("store.json");
const LINK: &str = include_str!("link.json");

/// The kinds of the shared schema and their groups, as the older build told them.
const KINDS: [(&str, &[&str]); 5] = [
    ("user", &["profile", "access", "cred_gen"]),
    ("plan", &["timing", "label"]),
    ("fact", &["facts"]),
    ("audit", &["what"]),
    ("member", &["access"]),
];

const MOMENT: Moment = Moment { wall: 1_790_000_000_000, q: Quality::Ntp, boot: BootId([8; 16]), mono: 5 };

/// A record in words, as the older build told it.
fn told(kind: &str, groups: &[&str], number: u128, record: &Record) -> String {
    let values = groups.iter().map(|group| {
        let versions = record.versions(group);
        let texts = versions.iter().map(|version| version.fields.as_ref().unwrap().val.get().to_string());
        format!("{group}={}", texts.collect::<Vec<_>>().join("|"))
    });
    let values = values.collect::<Vec<_>>().join(" ");
    let conflicts: Vec<String> = record.conflicts().into_iter().map(|conflict| conflict.group).collect();
    format!("{kind} {number} deleted={} {values} conflicts={}", record.is_deleted(), conflicts.join(","))
}

/// What the older build told of its store, of this one.
fn told_of(store: &Store) -> Value {
    let mut records = Vec::new();
    for (kind, groups) in KINDS {
        for number in 0..=210 {
            let record = store.read(kind, id(number)).unwrap();
            records.extend(record.map(|record| told(kind, groups, number, &record)));
        }
    }
    let vector = |stream: &Stream| {
        let marks = store.vector(*stream).unwrap().into_iter();
        let marks = marks.map(|((node, inc), mark)| json!([node.to_string(), inc, mark.seq, mark.hash.to_string()]));
        (format!("{stream:?}").to_lowercase(), marks.collect::<Vec<_>>())
    };
    json!({
        "state_hash": store.state_hash().unwrap().to_string(),
        "entries": store.verify().unwrap(),
        "vectors": Stream::ALL.iter().map(vector).collect::<BTreeMap<_, _>>(),
        "records": records,
    })
}

fn open(path: &Path) -> Store {
    let (node, nonces) = (NodeId::from_u128(5), Box::new(|| 9_999));
    let settings = Settings { node, inc_min: 1, nonces, moment: MOMENT, cache_bytes: 4 << 20, is_verified: true };
    let (store, opened) = Store::open(path, schema(), settings).unwrap();
    assert_eq!((opened.alarms, opened.us.inc, opened.us.nonce), (Vec::new(), 1, 501));
    store
}

#[test]
fn an_older_builds_file_tells_the_same_and_is_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, zstd::decode_all(STORE).unwrap()).unwrap();
    std::fs::write(folder.path().join("store.redb.mark"), MARK).unwrap();
    let expected: Value = serde_json::from_str(STORE_TOLD).unwrap();
    let store = open(&path);
    assert_eq!(told_of(&store), expected);

    let drafts = vec![put("plan", 1, "label", "\"settled\""), put("user", 1, "profile", "\"Ada Lovelace\"")];
    store.write(Batch { expected: Vec::new(), drafts, moment: MOMENT, is_urgent: true }).wait().unwrap();
    let after = told_of(&store);
    drop(store);
    let store = open(&path);
    assert_eq!(told_of(&store), after);
    assert_eq!(after["entries"], expected["entries"].as_u64().unwrap() + 2);
    let plan = store.read("plan", id(1)).unwrap().unwrap();
    assert_eq!((plan.value("label"), plan.conflicts().len()), (Some("\"settled\""), 0));
}

/// What the two nodes of the transcript had written before, as `make.rs.txt` has it.
fn written(number: u128) -> Node {
    let mut node = Node::new(number);
    let mut write = |drafts: &[replicate::core::write::Draft]| drop(node.write(drafts).unwrap());
    if number == 1 {
        for number in 1..=30 {
            let fact = format!("{{\"n\":{number},\"text\":\"of room {}\"}}", number % 7);
            write(&[put("fact", number, "facts", &fact)]);
            write(&[put("audit", number, "what", &format!("\"act {number}\""))]);
        }
        write(&[put("user", 1, "profile", "\"Ada\""), put("user", 1, "cred_gen", "3"), disable(1)]);
        write(&[put("user", 2, "profile", "\"Bob\""), disable(2), enable(2), delete("user", 2)]);
        write(&[put("plan", 1, "label", "\"morning\""), put("plan", 1, "timing", "[8,12]")]);
        write(&[put("plan", 2, "label", "\"gone\""), delete("plan", 2)]);
        write(&[put("plan", 3, "label", "\"back\""), delete("plan", 3), restore("plan", 3)]);
        let (group, value) = ("access".to_string(), r#"{"sec":[1,0],"cfg":[1,0]}"#.to_string());
        let act = replicate::core::write::Act::Disable { group, value };
        write(&[replicate::core::write::Draft { act, kind: "member".to_string(), id: id(9), ..disable(9) }]);
    } else {
        write(&[put("plan", 1, "label", "\"matin\""), put("plan", 3, "label", "\"éèê \\u00e9\"")]);
        write(&[put("user", 1, "profile", "\"Ada L.\""), put("user", 3, "profile", "null")]);
        for number in 100..=110 {
            write(&[put("audit", number, "what", "1.50")]);
        }
    }
    node
}

fn written_late(number: u128) -> Vec<replicate::core::write::Draft> {
    match number {
        1 => vec![put("user", 4, "profile", "\"Cy\""), disable(4)],
        _ => vec![put("fact", 40, "facts", "40"), put("plan", 1, "timing", "[9]")],
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// One of today's sessions in the place of one of the two.
struct Player {
    node: Node,
    session: Session,
    /// What it said, as bytes.
    said: Vec<Vec<u8>>,
    told: Vec<Told>,
}

impl Player {
    fn new(node: Node) -> Self {
        let me = Me {
            fleet: replicate::core::message::FleetId::from_u128(1),
            origin: node.us,
            boot: BootId([1; 16]),
            build: "today".to_string(),
            kinds: BTreeMap::new(),
            features: Vec::new(),
            wants: Stream::ALL.to_vec(),
            seen: election::Token { epoch: 1, node: node.us.node, inc: 1 },
            clock: Clock { wall_at_zero_ms: 0, q: Quality::Ntp },
        };
        Self { node, session: Session::new(me, Limits::default()), said: Vec::new(), told: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        self.session.input(1_000, input, &self.node.state).unwrap();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(message) => self.said.push(wire::encode(&message)),
                Output::Apply { batch, entries, .. } => {
                    let applied = self.node.apply(&entries);
                    assert_eq!(applied.refused, 0, "{applied:?}");
                    self.input(Input::Applied { batch, applied: Ok(applied) });
                    self.input(Input::Changed { logs: Vec::new() });
                }
                Output::Told(told) => self.told.push(told),
                Output::Close(reason) => panic!("closed: {reason}"),
            }
        }
    }
}

/// Plays a transcript to today's session as one of the two who spoke.
fn play(link: &Value, us: u128, player: &mut Player) {
    player.input(Input::Opened { peer: NodeId::from_u128(3 - us) });
    let said = link["said"].as_array().unwrap().iter();
    let said: Vec<(bool, Vec<u8>)> =
        said.map(|said| (said[0] == json!(us), bytes(said[1].as_str().unwrap()))).collect();
    // Both wrote more when the election's words had been said, and had not heard of the other's.
    let last_election = said.iter().rposition(|(_, raw)| raw[0] == 6).unwrap();
    let late = (last_election..said.len()).find(|at| said[*at].1[0] == 3).unwrap();
    for (at, (is_ours, raw)) in said.iter().enumerate() {
        if at == late {
            player.node.write(&written_late(us)).unwrap();
            player.input(Input::Changed { logs: Vec::new() });
        }
        if !is_ours {
            let message = wire::decode(raw).unwrap();
            assert!(!matches!(message, Message::Unknown { .. }), "{message:?}");
            player.input(Input::Heard(message));
        }
    }
}

#[test]
fn an_older_builds_words_are_understood_and_answered_in_its_own() {
    let link: Value = serde_json::from_str(LINK).unwrap();
    for us in [1, 2] {
        let node = written(us);
        assert_eq!(
            link["before"][us as usize - 1],
            json!(node.state_hash().to_string()),
            "the same entries, byte for byte"
        );
        let mut player = Player::new(node);
        play(&link, us, &mut player);

        assert_eq!(link["state_hash"], json!(player.node.state_hash().to_string()), "as node {us}");
        let state = player.session.state();
        assert!(state.lag.iter().all(|lag| lag.to_send == 0 && lag.to_receive == 0), "as node {us}: {:?}", state.lag);
        assert_eq!((state.under_way, state.left_alone), (0, 0));
        let elections = player.told.iter().filter(|told| matches!(told, Told::Election(_))).count();
        assert_eq!((elections, player.told.len()), (7, 8), "a hello and the election's words: {:?}", player.told);
        let kinds: Vec<u8> = player.said.iter().map(|raw| raw[0]).collect();
        assert!([1, 2, 3, 4, 8].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
        for raw in &player.said {
            assert_eq!(words::understood(raw), Ok(()), "{}", String::from_utf8_lossy(raw));
        }
    }
}

#[test]
fn the_list_of_words_knows_what_was_said_and_misses_what_was_not() {
    let link: Value = serde_json::from_str(LINK).unwrap();
    for said in link["said"].as_array().unwrap() {
        assert_eq!(words::understood(&bytes(said[1].as_str().unwrap())), Ok(()));
    }
    let hello = bytes(link["said"][0][1].as_str().unwrap());
    let text = String::from_utf8(hello[wire::HEADER_BYTES..].to_vec()).unwrap();
    for (from, to) in [("\"nonce\":", "\"nonces\":"), ("\"ntp\"", "\"gps\""), ("\"sec\"", "\"secret\"")] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        let header = wire::Header { kind: 1, flags: 0, stream: 0xffff, raw_bytes: other.len() };
        assert!(words::understood(&[&header.bytes()[..], other.as_bytes()].concat()).is_err(), "{other}");
    }
    let floor = wire::Header { kind: 9, flags: 0, stream: 0xffff, raw_bytes: 2 };
    assert!(words::understood(&[&floor.bytes()[..], b"{}"].concat()).is_err());
}

/// What is said to an older peer by a node that has a floor, and by one that takes one while they speak.
#[test]
fn an_older_peer_hears_nothing_of_floors() {
    let link: Value = serde_json::from_str(LINK).unwrap();
    for is_floored_before in [true, false] {
        let mut node = written(1);
        let other = node.clone();
        let floored = |node: &mut Node| {
            node.advance(&[&other]);
            node.collect().expect("it takes its floor");
        };
        if is_floored_before {
            floored(&mut node);
        }
        let mut player = Player::new(node);
        play_hello(&link, &mut player);
        if !is_floored_before {
            floored(&mut player.node);
            player.input(Input::Changed { logs: Vec::new() });
        }
        for raw in &player.said {
            assert_eq!(words::understood(raw), Ok(()), "{}", String::from_utf8_lossy(raw));
        }
    }
}

/// The older node 2 says hello and how far it is: it has all of its own, and nothing of ours.
fn play_hello(link: &Value, player: &mut Player) {
    player.input(Input::Opened { peer: NodeId::from_u128(2) });
    let of_two = link["said"].as_array().unwrap().iter().filter(|said| said[0] == json!(2));
    let raws = of_two.map(|said| bytes(said[1].as_str().unwrap()));
    for raw in raws.filter(|raw| raw[0] == 1 || raw[0] == 2) {
        player.input(Input::Heard(wire::decode(&raw).unwrap()));
    }
}
