//! The node process beside a recorder: started, claimed, asked over HTTP, killed, started again.

use super::cables::Place;
use super::server::command;
use super::wait::{LIMIT, until};
use reqwest::blocking::{Client, RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// The owner of every node that a test claims.
pub const EMAIL: &str = "owner@example.org";
/// Long and not in any list.
pub const PASSWORD: &str = "quiet lantern beside nine rivers";

/// A node over a data folder; dropping it ends it.
pub struct Node {
    pub data: PathBuf,
    pub url: String,
    pub tls_url: String,
    /// The owner's token, once claimed.
    pub token: String,
    server: String,
    args: Vec<String>,
    place: Option<Place>,
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub http: Client,
}

/// An answer as far as tests look at it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
}

impl Answer {
    fn of(response: Response) -> Answer {
        let status = response.status().as_u16();
        let text = response.text().unwrap_or_default();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// It must have this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }
}

impl Node {
    /// A node over `data`, whose capture runs already (`args` may say otherwise).
    pub fn start(server: &str, data: &Path, args: &[&str]) -> Node {
        Node::start_at(None, server, data, args)
    }

    /// The same at the end of a cable.
    pub fn start_at(place: Option<Place>, server: &str, data: &Path, args: &[&str]) -> Node {
        let folder = tempfile::tempdir().expect("a temp folder");
        let args = args.iter().map(ToString::to_string).collect();
        let (url, tls_url, token) = (String::new(), String::new(), String::new());
        let (data, server, http) = (data.to_owned(), server.into(), client());
        let mut node = Node { data, url, tls_url, token, server, args, place, folder, child: None, http };
        node.restart();
        node
    }

    /// The same, claimed by its owner.
    pub fn claimed(server: &str, data: &Path, args: &[&str]) -> Node {
        let mut node = Node::start(server, data, args);
        node.claim();
        node
    }

    /// Ends the node between two instructions.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Ends it as a person would, and waits.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        kill_process(Pid::from_child(&child), Signal::TERM).ok();
        child.wait().ok().and_then(|status| status.code())
    }

    /// Starts it (again) over the data that is there.
    pub fn restart(&mut self) {
        self.kill9();
        // Connections to the process that was would be used again, and found broken.
        self.http = client();
        let log = self.log_path();
        let told = fs::metadata(&log).map_or(0, |meta| meta.len());
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        // Each of these becomes the next, so the child is the node.
        let mut node = command(if self.place.is_some() { "ip" } else { "setpriv" }, &self.server);
        if let Some(place) = &self.place {
            node.args(["netns", "exec", &place.space, "setpriv"]);
        }
        node.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_rakkr"), "node", "--jack-server", &self.server]);
        let listen = self.place.as_ref().map_or("127.0.0.1:0".to_owned(), |place| format!("{}:8443", place.address));
        node.args(["--listen", &listen, "--http", "127.0.0.1:0", "--data-dir"]).arg(&self.data).args(&self.args);
        // What one test announces another would hear.
        if !self.args.iter().any(|arg| arg == "--mdns-interface") {
            node.arg("--no-mdns");
        }
        if !self.args.iter().any(|arg| arg == "--connect" || arg == "--with-capture") {
            node.arg("--no-capture");
        }
        let child = self
            .child
            .insert(node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().expect("rakkr is built"));
        let (tls_url, url) = until("the node to say where its page is", LIMIT, || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let said = said.get(told as usize..).unwrap_or_default();
            let after = |what: &str| {
                said.split(what).nth(1)?.split_whitespace().next().map(|url| url.trim_end_matches('/').to_owned())
            };
            let ended = child.try_wait().ok().flatten();
            assert!(ended.is_none(), "the node ended at once ({ended:?}):\n{said}");
            Some((after("the page is ")?, after("on this machine also ")?))
        });
        // Its own loopback is in its namespace: it is asked at its address.
        let url = if self.place.is_some() { tls_url.clone() } else { url };
        (self.tls_url, self.url) = (tls_url, url);
    }

    /// Stops the process from running, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().map(Pid::from_child).expect("the node runs");
        kill_process(pid, signal).expect("a signal");
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Claims with the code in the data folder.
    pub fn claim(&mut self) -> Value {
        let code = fs::read_to_string(self.data.join("claim-code")).expect("a claim code");
        let body = json!({"code": code.trim(), "name": "Ana Owner", "email": EMAIL, "password": PASSWORD,
            "room": "Court room 4", "time_zone": "Europe/Berlin"});
        let claimed = self.send(self.http.post(self.at("/api/v1/claim")).json(&body)).is(201);
        self.token = claimed["token"].as_str().expect("a token").into();
        claimed
    }

    /// The address of a path.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().unwrap_or_else(|error| panic!("no answer: {error:?}\n{}", self.log())))
    }

    /// Asks as the owner.
    pub fn get(&self, path: &str) -> Answer {
        self.get_as(&self.token, path)
    }

    /// Asks as someone.
    pub fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(self.http.get(self.at(path)).bearer_auth(token))
    }

    /// Asks as nobody.
    pub fn get_anonymously(&self, path: &str) -> Answer {
        self.send(self.http.get(self.at(path)))
    }

    /// Sends JSON as the owner.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(&self.token, path, body)
    }

    /// Sends JSON as someone.
    pub fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(self.http.post(self.at(path)).bearer_auth(token).json(body))
    }

    /// Sends whatever.
    pub fn ask(&self, method: reqwest::Method, path: &str, body: &Value) -> Answer {
        self.send(self.http.request(method, self.at(path)).bearer_auth(&self.token).json(body))
    }

    /// Logs in as the owner, by password.
    pub fn log_in(&mut self) {
        let login = json!({"email": EMAIL, "password": PASSWORD});
        let answer = self.send(self.http.post(self.at("/api/v1/auth/login")).json(&login)).is(200);
        self.token = answer["token"].as_str().expect("a token").into();
    }

    /// The same, if it can be by now: it may be about to begin anew.
    pub fn try_log_in(&mut self) -> bool {
        let login = json!({"email": EMAIL, "password": PASSWORD});
        let sent = client().post(self.at("/api/v1/auth/login")).json(&login).send();
        let Some(answer) = sent.ok().map(Answer::of).filter(|answer| answer.status == 200) else { return false };
        self.http = client();
        self.token = answer.body["token"].as_str().expect("a token").into();
        true
    }

    /// Its process id; 0 if it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Private memory of the process, kilobytes.
    pub fn memory_kb(&self) -> u64 {
        let pid = self.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the node runs");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux says it");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
    }

    /// A backup, with its status.
    pub fn backup(&self) -> (u16, Vec<u8>) {
        let answer = self.http.post(self.at("/api/v1/backup")).bearer_auth(&self.token).send().expect("an answer");
        (answer.status().as_u16(), answer.bytes().expect("a body").to_vec())
    }

    /// Bytes of a file, with its status.
    pub fn bytes(&self, path: &str, range: Option<&str>) -> (u16, Vec<u8>) {
        let mut request = self.http.get(self.at(path)).bearer_auth(&self.token);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        let response = request.send().expect("an answer");
        (response.status().as_u16(), response.bytes().expect("a body").to_vec())
    }

    /// Asks for a recording until it is as wished.
    pub fn wait_recording(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(what, LIMIT, || {
            let answer = self.get(&format!("/api/v1/recordings/{id}"));
            Some(answer.body).filter(|body| is_so(body))
        })
    }

    /// Adds a person and logs them in.
    pub fn person(&self, role: &str) -> String {
        let email = format!("{role}@example.org");
        let body = json!({"name": role, "email": email, "password": PASSWORD, "roles": [role]});
        self.post("/api/v1/users", &body).is(201);
        let login = json!({"email": email, "password": PASSWORD});
        self.send(self.http.post(self.at("/api/v1/auth/login")).json(&login)).is(200)["token"]
            .as_str()
            .expect("a token")
            .into()
    }
}

fn client() -> Client {
    // Fails only if it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(80))
        .build()
        .expect("a client")
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("what the node said:\n{}", self.log());
        }
    }
}
