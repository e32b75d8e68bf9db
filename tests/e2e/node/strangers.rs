//! Whoever means no good, or nothing at all: other sites, silent connections, endless headers.

use super::room_with_node;
use crate::harness::*;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;

/// Connections that say nothing.
const SILENT: usize = 1_000;
/// What they may cost a node, with everything else it holds.
const MEMORY_MAX_KB: u64 = 150 << 10;

#[test]
fn a_thousand_silent_connections_cost_no_frame_and_little_memory() {
    let (room, node) = room_with_node();
    // 1024 files are what a shell gives; this test has more.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("as many files as root may");
    let id = node.post("/api/v1/recordings", &json!({})).is(201)["id"].as_str().unwrap().to_owned();
    let address = node.url.trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for number in 0..SILENT {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        if number % 2 == 0 {
            // The beginning of a request whose end never comes.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("a few bytes");
        }
        silent.push(stream);
    }
    room.feed.play(ms(500));
    node.get("/api/v1/status").is(200);
    let kb = node.memory_kb();
    assert!(kb < MEMORY_MAX_KB, "{kb} kB with {SILENT} silent connections");
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let take = room.appliance.info(&id);
    room.appliance.check(&take).assert_exact(take.frames);
}

#[test]
fn another_site_cannot_make_a_browser_act_here() {
    let (_room, node) = room_with_node();
    let send = |origin: &str| {
        let request = node.http.post(node.at("/api/v1/recordings")).header("Cookie", format!("rakkr={}", node.token));
        request.header("Origin", origin).json(&json!({})).send().expect("an answer").status().as_u16()
    };
    assert_eq!(send("https://evil.example"), 403);
    assert_eq!(send("null"), 403);
    assert_eq!(node.get("/api/v1/recordings").is(200)["items"], json!([]));
    assert_eq!(send(&node.url), 201);
}

#[test]
fn endless_headers_and_wrong_methods_are_refused() {
    let (_room, node) = room_with_node();
    let long = "x".repeat(100 << 10);
    let status = node.http.get(node.at("/livez")).header("X-Long", long).send().map(|answer| answer.status().as_u16());
    assert!(matches!(status, Ok(431 | 400) | Err(_)), "{status:?}");
    node.ask(reqwest::Method::DELETE, "/api/v1/status", &json!({})).is(405);
    node.get("/livez").is(200);
}

#[test]
fn metrics_take_a_token_that_may_read_them() {
    let (_room, node) = room_with_node();
    node.get_anonymously("/metrics").is(401);
    let metrics = node.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("rakkr_capture_up 1") && metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
}

#[test]
fn a_backup_brings_people_and_journal_to_a_new_machine() {
    let (room, node) = room_with_node();
    let (status, backup) = node.backup();
    assert_eq!(status, 200);
    let fresh = tempfile::tempdir().unwrap();
    let file = fresh.path().join("rakkr.backup");
    std::fs::write(&file, backup).unwrap();
    let data = fresh.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let mut restore = std::process::Command::new(env!("CARGO_BIN_EXE_rakkr"));
    run(restore.args(["restore", "--data-dir"]).arg(&data).arg(&file)).ok();

    let mut restored = Node::start(&room.server.name, &data, &[]);
    restored.log_in();
    let journal = restored.get("/api/v1/audit-events?action=node.claim").is(200);
    assert_eq!(journal["items"].as_array().unwrap().len(), 1);
    let exported = fresh.path().join("audit.jsonl");
    std::fs::write(&exported, restored.bytes("/api/v1/audit-events.jsonl", None).1).unwrap();
    run(std::process::Command::new(env!("CARGO_BIN_EXE_rakkr")).arg("verify").arg(&exported)).ok();
    let text = std::fs::read_to_string(&exported).unwrap();
    std::fs::write(&exported, text.replacen("Ana Owner", "Eve Owner", 1)).unwrap();
    let forged = run(std::process::Command::new(env!("CARGO_BIN_EXE_rakkr")).arg("verify").arg(&exported));
    assert_ne!(forged.code, Some(0), "{forged:?}");
}
