//! What is fetched from another room over a line that is too narrow for it.

use crate::harness::*;
use serde_json::json;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A take of two channels for so long has 2.3 MB: more than half a minute of the narrow line.
const TAKE: u64 = 8_000;
/// What of a download must have come before anything else is tried.
const BEGUN: usize = 100_000;
/// What of a download comes before a small answer that is asked for meanwhile. Measured on this line: 115 kB, and 214 kB if
/// kernel and TLS queue as much as they are given (`queue_little`).
const WAITED_BYTES_MAX: usize = 185_000;

#[test]
fn a_download_that_crawls_holds_up_no_record() {
    let Some(cables) = Cables::lay(2) else { return };
    let room = Room::usual();
    let first = Member::at(&cables, 0).claimed();
    let court = first.lets_in(Member::beside(&room.server.name, &room.appliance.data, Some(cables.place(1))));
    wait_settled(&[&first, &court]);
    let body = json!({"title": "Hearing", "pre_roll_seconds": 0.0});
    let id = court.post("/api/v1/recordings", &body).is(201)["id"].as_str().expect("an id").to_owned();
    room.feed.play(ms(TAKE));
    court.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    court.wait_recording(&id, "the recording to be ready", |recording| recording["state"] == "ready");
    let file = format!("/api/v1/recordings/{id}/file?format=wav");
    let (status, whole) = court.bytes(&file, None);
    assert_eq!((status, whole.len() > 1_000_000), (200, true), "{} bytes", whole.len());
    let there = format!("/api/v1/nodes/{}/calls{}", court.id(), file.trim_start_matches("/api/v1"));
    let has_tunnel = || {
        // One for the calls of who dialled the link comes with the first.
        first.get(&format!("/api/v1/nodes/{}/calls/fleet", court.id())).is(200);
        first.says_of(&court.id()).filter(|node| node["called"] == "link")
    };
    wait("a tunnel", has_tunnel);
    wait_settled(&[&first, &court]);

    let narrow = Line { delay: Duration::from_millis(20), loss_percent: 0, bits_per_second: Some(500_000) };
    cables.shape(narrow);
    let download = Download::of(&first, &there);
    wait("the download to begin", || (download.read() > BEGUN).then_some(()));
    // Both ways, while it crawls.
    for (number, (here, there)) in [(&court, &first), (&first, &court)].into_iter().enumerate() {
        let email = format!("mo{number}@example.org");
        here.post("/api/v1/users", &json!({"name": "Mo", "email": email, "roles": ["viewer"]})).is(201);
        let is_known = || there.get("/api/v1/users").is(200).to_string().contains(&email).then_some(());
        wait("the person to be known at the other node", is_known);
    }
    // Another call through the same tunnel waits for little of it. The least of three: a busy machine is none of its doing.
    let waited = (0..3).map(|_| {
        let before = download.read();
        first.get(&format!("/api/v1/nodes/{}/calls/auth/me", court.id())).is(200);
        download.read() - before
    });
    let waited = waited.min().unwrap_or_default();
    eprintln!("{waited} bytes of the download came before a small answer");
    assert!(waited <= WAITED_BYTES_MAX, "{waited} bytes of the download came before a small answer");
    assert!(download.read() < whole.len() / 2, "records came while most of the download had not");
    cables.shape(Line::default());
    assert!(download.end().expect("the download ends") == whole, "what was called for is what is there");

    // A cable that is cut is silence: whoever downloads is told within the limit, not left waiting.
    cables.shape(narrow);
    let download = Download::of(&first, &there);
    wait("the download to begin", || (download.read() > BEGUN).then_some(()));
    cables.cut(1);
    wait("the download to end", || download.is_over().then_some(()));
    assert!(download.end().is_err(), "a part must not pass for the whole");
    cables.mend();
    cables.shape(Line::default());
    wait_settled(&[&first, &court]);
    wait("a tunnel again", has_tunnel);
    assert_eq!(first.bytes(&there, None), (200, whole));
}

/// A download that goes on beside the test.
struct Download {
    read: Arc<AtomicUsize>,
    task: JoinHandle<std::io::Result<Vec<u8>>>,
}

impl Download {
    fn of(node: &Member, path: &str) -> Download {
        let asked = node.http.get(node.at(path)).bearer_auth(&node.token);
        let read = Arc::new(AtomicUsize::new(0));
        let counted = read.clone();
        let task = std::thread::spawn(move || {
            let mut answer = asked.send().map_err(std::io::Error::other)?;
            let (mut bytes, mut part) = (Vec::new(), [0; 16 << 10]);
            loop {
                match answer.read(&mut part)? {
                    0 => return Ok(bytes),
                    length => bytes.extend_from_slice(&part[..length]),
                }
                counted.store(bytes.len(), Ordering::Relaxed);
            }
        });
        Download { read, task }
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    fn end(self) -> std::io::Result<Vec<u8>> {
        self.task.join().expect("the reader ends")
    }
}
