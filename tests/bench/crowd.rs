//! Hundreds of simulated nodes in one process, each a task: real TLS with a key of its own, real sessions of `replicate`,
//! state in memory. What they follow is one real node. Run by `many` as a process of its own, so that its costs are nobody
//! else's; told and telling what happens by JSON lines.
//!
//! What is not real: nothing is kept on a disk, and a node takes no part in elections but to answer heartbeats. All share
//! this machine's cores with the node they measure, so times here are worse than a fleet's.

use crate::voices;
use futures_util::{SinkExt, StreamExt};
use rakkr::fleet::tls::PEER;
use rakkr::store::Id;
use rakkr::store::fleet::Inventory;
use rcgen::{CertificateParams, KeyPair};
use replicate::core::election::{Message as Elect, Token};
use replicate::core::entry::{Moment, Quality};
use replicate::core::id::{BootId, LogId, NodeId, Origin, RecordId, Stream};
use replicate::core::keeping;
use replicate::core::memory::Memory;
use replicate::core::message::FleetId;
use replicate::core::schema::{Form, Kind, Schema};
use replicate::core::session::{Clock, Input, Limits, Me, Output, Session, Told};
use replicate::core::view::{Staged, Unreadable, View};
use replicate::core::wish::KEPT_BY_ALL;
use replicate::core::write::{self, Act, Draft, Replaces};
use replicate::net::{SUBPROTOCOL, frames, pack, unpack, websocket_config};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message as Frame, http::HeaderValue};

/// The word that makes this program a crowd.
pub const CROWD: &str = "crowd";
/// The word behind it that gives each a voice.
pub const WITH_VOICES: &str = "voices";
/// As the appliance has it.
const PING_MS: u64 = 7_000;
const HELLO_MS: u64 = 20_000;
const WAIT: Duration = Duration::from_millis(500);
/// Whose link was cut by itself stays away for so long.
const AWAY: Duration = Duration::from_secs(3);

/// What a simulated node shows to come in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Newcomer {
    pub id: Id,
    pub spki: String,
    pub certificate: Vec<u8>,
    /// Where it tells its levels, if it tells any.
    pub address: Option<String>,
}

/// Something that a simulated node writes down and hands to its link: a group of a record of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// Not 0: when it was handed over is told ([`Word::Handed`]).
    pub number: u64,
    /// Which of the crowd, in the order of the newcomers.
    pub peer: usize,
    pub kind: String,
    pub id: Id,
    pub group: String,
    pub value: String,
}

/// What one of them is told.
enum Bidding {
    Say(Said),
    /// Its link is cut, without a word; it dials again after a while. The number is as in [`Said`].
    Drop(u64),
}

/// The node that all follow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Followed {
    pub address: String,
    pub fleet: Id,
    pub node: Id,
}

/// What the crowd is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// All link to it.
    Follow(Followed),
    /// All links are cut.
    Cut,
    /// They may come back.
    Back,
    /// How many bytes went over all sockets.
    Count,
    /// They say something.
    Say(Vec<Said>),
    /// The link of this one is cut.
    Drop { number: u64, peer: usize },
}

/// What the crowd tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    /// Who comes.
    Newcomers(Vec<Newcomer>),
    /// All have what the node has, and it has what they have; seconds since they began to dial.
    InStep(f64),
    /// All have applied the node's entry of this number in `sec`; when the last one had, seconds since 1970.
    Applied(u64, f64),
    /// Bytes in, bytes out, of TLS.
    Counted(u64, u64),
    /// What has this number was handed to its link then, seconds since 1970.
    Handed(u64, f64),
}

/// Runs a crowd of so many until nobody listens. If they have voices each tells its levels at an address of its own.
pub fn run(count: usize, have_voices: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let crowd: Vec<Key> = (0..count).map(|_| Key::new()).collect();
    let newcomers: Vec<Newcomer> = crowd.iter().map(Key::newcomer).collect();
    let voiced = |(number, newcomer): (usize, Newcomer)| {
        let address = have_voices.then(|| runtime.block_on(voices::open(crowd[number].serving(), number)));
        Newcomer { address, ..newcomer }
    };
    tell(&Word::Newcomers(newcomers.into_iter().enumerate().map(voiced).collect()));
    let (inboxes, biddings): (Vec<_>, Vec<_>) = crowd.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let board = Arc::new(Board::new(count));
    let mut crowd = Some(crowd.into_iter().zip(biddings).collect());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match serde_json::from_str(&line).expect("a word of ours") {
            Ask::Follow(followed) => {
                let (crowd, board) = (crowd.take().unwrap_or_default(), board.clone());
                runtime.spawn(follow(crowd, followed, board));
            }
            Ask::Cut => {
                board.is_up.send_replace(false);
            }
            Ask::Back => {
                board.tell_ended();
                board.began();
                board.is_up.send_replace(true);
            }
            Ask::Say(said) => said.into_iter().for_each(|said| {
                inboxes[said.peer].send(Bidding::Say(said)).ok();
            }),
            Ask::Drop { number, peer } => {
                inboxes[peer].send(Bidding::Drop(number)).ok();
            }
            Ask::Count => {
                board.tell_ended();
                tell(&Word::Counted(board.came.load(Ordering::Relaxed), board.went.load(Ordering::Relaxed)));
            }
        }
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn tell(word: &Word) {
    println!("{}", serde_json::to_string(word).expect("plain data"));
}

/// What all have in common.
struct Board {
    count: usize,
    is_up: watch::Sender<bool>,
    began: Mutex<Instant>,
    in_step: AtomicUsize,
    has_told: AtomicUsize,
    /// How many have applied the node's entry of a number.
    applied: Mutex<BTreeMap<u64, usize>>,
    /// Why links ended or did not come about, and how often.
    ended: Mutex<BTreeMap<String, usize>>,
    came: AtomicU64,
    went: AtomicU64,
}

impl Board {
    fn new(count: usize) -> Self {
        Board {
            count,
            is_up: watch::Sender::new(true),
            began: Mutex::new(Instant::now()),
            in_step: AtomicUsize::new(0),
            has_told: AtomicUsize::new(0),
            applied: Mutex::default(),
            ended: Mutex::default(),
            came: AtomicU64::new(0),
            went: AtomicU64::new(0),
        }
    }

    fn began(&self) {
        *self.began.lock().expect("nobody panics") = Instant::now();
        self.has_told.store(0, Ordering::Relaxed);
    }

    /// One more, or one less, is in step.
    fn stepped(&self, is_in: bool) {
        if !is_in {
            self.in_step.fetch_sub(1, Ordering::Relaxed);
        } else if self.in_step.fetch_add(1, Ordering::Relaxed) + 1 == self.count
            && self.has_told.swap(1, Ordering::Relaxed) == 0
        {
            tell(&Word::InStep(self.began.lock().expect("nobody panics").elapsed().as_secs_f64()));
        }
    }

    /// For who reads along.
    fn tell_ended(&self) {
        for (why, count) in std::mem::take(&mut *self.ended.lock().expect("nobody panics")) {
            eprintln!("crowd: {count} links: {why}");
        }
    }

    fn ended(&self, why: String) {
        *self.ended.lock().expect("nobody panics").entry(why).or_default() += 1;
    }

    fn applied(&self, from: u64, to: u64) {
        let mut applied = self.applied.lock().expect("nobody panics");
        for seq in from + 1..=to {
            let count = applied.entry(seq).or_default();
            *count += 1;
            if *count == self.count {
                tell(&Word::Applied(seq, unix_seconds()));
                applied.remove(&seq);
            }
        }
    }
}

/// One simulated node's name and key.
struct Key {
    id: Id,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Key {
    fn new() -> Key {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["crowd.invalid".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let spki = rakkr::fleet::tls::PeerKey::of(certificate.der()).expect("readable").0;
        Key { id: Id::of_name(&rakkr::access::fleet::hex(&spki)), certificate: certificate.der().clone(), key }
    }

    fn newcomer(&self) -> Newcomer {
        let spki = rakkr::fleet::tls::PeerKey::of(&self.certificate).expect("readable").0;
        let certificate = self.certificate.to_vec();
        Newcomer { id: self.id, spki: rakkr::access::fleet::hex(&spki), certificate, address: None }
    }

    /// For who calls it.
    fn serving(&self) -> ServerConfig {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .expect("a key");
        config.alpn_protocols = vec![PEER.to_vec()];
        config
    }

    fn origin(&self) -> Origin {
        Origin { node: NodeId(self.id.0.into_bytes()), inc: 1, nonce: 1 }
    }

    fn config(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_client_auth_cert(vec![self.certificate.clone()], key)
            .expect("a key");
        config.alpn_protocols = vec![PEER.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        config
    }
}

/// The node is of this very bench.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("nodes speak TLS 1.3".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Kinds that the node knows (what each says of itself, what it records, what is amiss), and one of each other stream that it only carries.
fn schema() -> Schema {
    let other = |name: &str, stream| Kind::new(name, stream).group("said", Form::Register);
    let facts = |name: &str| Kind::new(name, Stream::Own).group("facts", Form::Register);
    let node = Kind::new("node", Stream::Own).group("inventory", Form::Register);
    let others = [("crowd_sec", Stream::Sec), ("crowd_cfg", Stream::Cfg), ("crowd_jrn", Stream::Jrn)];
    let others = others.map(|(name, stream)| other(name, stream));
    let kinds = [node, facts("recording"), facts("incident")].into_iter().chain(others).collect();
    Schema::new(kinds).expect("well formed")
}

fn moment() -> Moment {
    Moment { wall: 1_700_000_000_000, q: Quality::Ntp, boot: BootId([7; 16]), mono: 0 }
}

fn draft(kind: &str, id: Id, group: &str, value: String) -> Draft {
    let act = Act::Put { group: group.into(), value, replaces: Replaces::All };
    Draft { kind: kind.into(), id: RecordId(id.0.into_bytes()), act, by: "crowd".into(), why: None, reports: false }
}

/// All that each of them has written: four logs of two entries each.
fn written<'a>(crowd: impl Iterator<Item = &'a Key>, schema: &Schema) -> Memory {
    let mut memory = Memory::default();
    let inventory = Inventory {
        version: "0.1.0".into(),
        build: String::new(),
        started: jiff::Timestamp::UNIX_EPOCH,
        disk: (64 << 30, 128 << 30),
        jack: Some((48_000, 2)),
        room: None,
        state: "idle".into(),
    };
    let said = serde_json::to_string(&inventory).expect("plain data");
    for key in crowd {
        let drafts = [("node", "inventory", &said), ("crowd_sec", "said", &said), ("crowd_cfg", "said", &said)];
        let drafts: Vec<Draft> = drafts
            .into_iter()
            .chain([("crowd_jrn", "said", &said)])
            .map(|(kind, group, value)| draft(kind, key.id, group, value.clone()))
            .collect();
        let mut staged = Staged::new(&memory).expect("in memory");
        write::open(&mut staged, schema, key.origin(), moment()).expect("a new log");
        write::write(&mut staged, schema, key.origin(), moment(), &drafts).expect("an act");
        let changes = staged.changes;
        memory.keep(changes);
    }
    memory
}

/// The first brings what all have written to the node, and has what that has written; the others begin with the same.
async fn follow(crowd: Vec<(Key, Inbox)>, followed: Followed, board: Arc<Board>) {
    let schema = Arc::new(schema());
    let memory = written(crowd.iter().map(|(key, _)| key), &schema);
    let mut crowd = crowd.into_iter();
    let Some(first) = crowd.next() else { return };
    let mut first = Peer::new(first, memory, &followed, &schema, &board);
    while !first.is_in_step {
        first.link(true).await;
        tokio::time::sleep(WAIT).await;
    }
    first.is_in_step = false;
    board.began();
    let others: Vec<Peer> = crowd.map(|one| Peer::new(one, first.memory.clone(), &followed, &schema, &board)).collect();
    for peer in others.into_iter().chain([first]) {
        tokio::spawn(peer.live());
    }
}

type Inbox = mpsc::UnboundedReceiver<Bidding>;

struct Peer {
    us: Origin,
    inbox: Inbox,
    memory: Memory,
    followed: Followed,
    schema: Arc<Schema>,
    board: Arc<Board>,
    config: Arc<ClientConfig>,
    began: Instant,
    is_in_step: bool,
    /// Its own link was cut.
    is_away: bool,
    /// Up to where the node's `sec` was counted on the board.
    seq: u64,
    chance: u64,
}

impl Peer {
    fn new(one: (Key, Inbox), memory: Memory, followed: &Followed, schema: &Arc<Schema>, board: &Arc<Board>) -> Peer {
        let (key, inbox) = one;
        let us = key.origin();
        let chance = u64::from_be_bytes(us.node.0[8..].try_into().expect("eight bytes"));
        let (config, followed) = (Arc::new(key.config()), followed.clone());
        let (schema, board) = (schema.clone(), board.clone());
        let mut peer = Peer {
            us,
            inbox,
            memory,
            followed,
            schema,
            board,
            config,
            began: Instant::now(),
            is_in_step: false,
            is_away: false,
            seq: 0,
            chance,
        };
        peer.seq = peer.has();
        peer
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Up to where it has the node's `sec`.
    fn has(&self) -> u64 {
        let log = LogId { stream: Stream::Sec, node: NodeId(self.followed.node.0.into_bytes()), inc: 1 };
        self.memory.head(log).ok().flatten().map_or(0, |head| head.seq)
    }

    /// Between a half and one and a half times as long.
    fn jittered(&mut self, wait: Duration) -> Duration {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        wait.mul_f64(0.5 + (self.chance % 1_000) as f64 / 1_000.0)
    }

    /// Dials as a node does: again and again, with pauses that double.
    async fn live(mut self) {
        let mut wait = WAIT;
        loop {
            let mut is_up = self.board.is_up.subscribe();
            if is_up.wait_for(|is_up| *is_up).await.is_err() {
                return;
            }
            tokio::time::sleep(self.jittered(wait)).await;
            wait = match self.link(false).await {
                true if std::mem::take(&mut self.is_away) => AWAY,
                true => WAIT,
                false => (wait * 2).min(Duration::from_secs(15)),
            };
        }
    }

    /// One link, to its end. Whether there was one.
    async fn link(&mut self, is_first: bool) -> bool {
        let socket = match self.dial().await {
            Ok(socket) => socket,
            Err(why) => {
                self.board.ended(why);
                return false;
            }
        };
        let mut session = Session::new(self.me(), Limits { ping_ms: PING_MS, hello_ms: HELLO_MS, ..Limits::default() });
        let why = self.speak(&mut session, socket, is_first).await;
        if let Err(why) = why {
            self.board.ended(why);
        }
        if !is_first && std::mem::take(&mut self.is_in_step) {
            self.board.stepped(false);
        }
        true
    }

    fn me(&self) -> Me {
        Me {
            fleet: FleetId(NodeId(self.followed.fleet.0.into_bytes())),
            origin: self.us,
            boot: BootId(self.us.node.0),
            build: "crowd".into(),
            kinds: BTreeMap::new(),
            features: Vec::new(),
            // As everybody whom a large fleet has: no keeper.
            wants: KEPT_BY_ALL.to_vec(),
            seen: Token::NONE,
            clock: Clock { wall_at_zero_ms: 1_700_000_000_000, q: Quality::Ntp },
        }
    }

    async fn dial(&self) -> Result<Socket, String> {
        let address = &self.followed.address;
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from("node.rakkr.invalid").map_err(|error| error.to_string())?;
        let stream = Counting { stream, board: self.board.clone() };
        let stream = tokio_rustls::TlsConnector::from(self.config.clone()).connect(name, stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let mut request =
            format!("wss://{address}/peer/v1").into_client_request().map_err(|error| error.to_string())?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let shaken = tokio_tungstenite::client_async_with_config(request, stream, Some(websocket_config())).await;
        shaken.map(|(socket, _)| socket).map_err(|error| error.to_string())
    }

    /// Says and hears until the link ends; of the first until it is in step.
    async fn speak(&mut self, session: &mut Session, mut socket: Socket, is_first: bool) -> Result<(), String> {
        let node = NodeId(self.followed.node.0.into_bytes());
        let mut is_up = self.board.is_up.subscribe();
        self.input(session, Input::Opened { peer: node })?;
        loop {
            while let Some(output) = session.poll_output() {
                match output {
                    Output::Send(message) => {
                        for frame in frames(&pack(&message).0) {
                            socket.feed(frame).await.map_err(|error| error.to_string())?;
                        }
                    }
                    Output::Close(reason) => return Err(reason.to_string()),
                    other => self.act(session, other)?,
                }
            }
            socket.flush().await.map_err(|error| error.to_string())?;
            self.stand(session, is_first);
            if is_first && self.is_in_step {
                return Ok(());
            }
            let due_ms = session.poll_timeout().map_or(1_000, |(at_ms, _)| at_ms.saturating_sub(self.now_ms()));
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Binary(bytes))) => {
                        let (message, _) = unpack(&bytes).map_err(|error| error.to_string())?;
                        self.input(session, Input::Heard(message))?;
                    }
                    Some(Ok(Frame::Close(why))) => return Err(format!("closed: {why:?}")),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err("gone".into()),
                },
                () = tokio::time::sleep(Duration::from_millis(due_ms.max(1))) => self.input(session, Input::Tick)?,
                bidding = self.inbox.recv() => match bidding {
                    Some(Bidding::Say(said)) => self.say(session, said)?,
                    Some(Bidding::Drop(number)) => {
                        tell(&Word::Handed(number, unix_seconds()));
                        self.is_away = true;
                        return Ok(());
                    }
                    None => return Err("nobody listens any more".into()),
                },
                _ = is_up.wait_for(|is_up| !*is_up) => return Ok(()),
            }
        }
    }

    /// Writes something down and hands it to the link.
    fn say(&mut self, session: &mut Session, said: Said) -> Result<(), String> {
        let at = unix_seconds();
        let mut staged = Staged::new(&self.memory).map_err(|error| error.to_string())?;
        let drafts = [draft(&said.kind, said.id, &said.group, said.value)];
        write::write(&mut staged, &self.schema, self.us, moment(), &drafts).map_err(|error| error.to_string())?;
        let changes = staged.changes;
        let logs = changes.heads.keys().copied().collect();
        self.memory.keep(changes);
        if said.number > 0 {
            tell(&Word::Handed(said.number, at));
        }
        self.input(session, Input::Changed { logs })
    }

    fn input(&self, session: &mut Session, input: Input) -> Result<(), String> {
        session.input(self.now_ms(), input, &self.memory).map_err(|error| error.to_string())
    }

    fn act(&mut self, session: &mut Session, output: Output) -> Result<(), String> {
        match output {
            Output::Apply { batch, entries, .. } => {
                let mut staged = Staged::new(&self.memory).map_err(|error| error.to_string())?;
                let mint = |_: &mut Staged<'_, Memory>, _| Ok::<_, Unreadable>(None);
                let outcome = keeping::apply(&mut staged, &self.schema, self.us, &entries, mint);
                let outcome = outcome.map_err(|error| error.to_string())?;
                let changes = staged.changes;
                let logs = changes.heads.keys().copied().collect();
                self.memory.keep(changes);
                self.input(session, Input::Applied { batch, applied: Ok(outcome.applied) })?;
                self.input(session, Input::Changed { logs })?;
                let has = self.has();
                if has > self.seq {
                    self.board.applied(self.seq, has);
                    self.seq = has;
                }
            }
            Output::Told(Told::Election(Elect::Heartbeat { token, sent_ms, .. })) => {
                self.input(session, Input::Say(Elect::Followed { token, sent_ms, is_caught_up: true }))?;
            }
            Output::Told(Told::Hello(_) | Told::Election(_)) => {}
            Output::Told(told) => eprintln!("crowd: {told:?}"),
            Output::Send(_) | Output::Close(_) => {}
        }
        Ok(())
    }

    /// Whether both have all that the other has.
    fn stand(&mut self, session: &Session, is_first: bool) {
        let is_level = session.state().lag.iter().all(|lag| lag.is_known && lag.to_send == 0 && lag.to_receive == 0);
        if is_level != self.is_in_step {
            self.is_in_step = is_level;
            if !is_first {
                self.board.stepped(is_level);
            }
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<Counting>>;

/// A stream whose bytes are counted.
struct Counting {
    stream: TcpStream,
    board: Arc<Board>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.board.came.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            self.board.went.fetch_add(count as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
