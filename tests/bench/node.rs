//! What a node costs and how promptly it answers: memory when nothing happens, an act over HTTP, an event on the wire to a
//! page, a stop until the recording can be taken away, twenty people watching 64 meters, a start over many recordings.
//!
//! The node is the real program beside a real recorder. Events are timed to the byte on the socket, not to the pixel: what
//! a browser adds is measured by `tests/browser/run --measure`. The peer of an act is a write with fsync on the same disk.

use crate::figure::{Figure, Sheet, median};
use crate::harness::{Node, Plan, Room, wait};
use crate::process::cpu_seconds;
use crate::store::{fill, percentile};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ACTS: usize = 300;
const EVENTS: usize = 100;
const VIEWERS: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

pub fn measure(sheet: &Sheet, is_quick: bool) {
    prompt(sheet, if is_quick { 20 } else { 300 });
    watched(sheet, if is_quick { 5 } else { 15 });
    many(sheet, 1_000, "1k");
    many(sheet, if is_quick { 10_000 } else { 100_000 }, "many");
}

fn elapsed_ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// Acts, events, and a stop.
fn prompt(sheet: &Sheet, seconds: u64) {
    let room = Room::new(Plan { channels: 2, ..Plan::default() });
    let node = Node::claimed(&room.server.name, &room.appliance.data, &[]);
    let started = node.post("/api/v1/recordings", &json!({"title": "bench"})).is(201);
    let id = started["id"].as_str().unwrap_or_default().to_owned();
    room.feed.play(seconds * 48_000);

    let mut acts = Vec::new();
    for number in 0..ACTS {
        let body = json!({"title": format!("title {number}")});
        let began = Instant::now();
        node.ask(reqwest::Method::PATCH, &format!("/api/v1/recordings/{id}"), &body).is(200);
        acts.push(elapsed_ms(began));
    }
    let fsync = fsync_ms(&room.appliance.data);
    sheet.print(Figure::cost("node.act_p50", median(&acts).unwrap_or(f64::NAN), "ms"));
    let figure = Figure::cost("node.act_p99", percentile(&mut acts, 99), "ms").goal(20.0);
    sheet.print(figure.peer("write and fsync, p99", Some(fsync)));

    let mut events = events(&node, &id);
    sheet.print(Figure::cost("node.event_to_socket_p50", median(&events).unwrap_or(f64::NAN), "ms"));
    sheet.print(Figure::cost("node.event_to_socket_p95", percentile(&mut events, 95), "ms").goal(100.0));

    let began = Instant::now();
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let path = format!("/api/v1/recordings/{id}/stream");
    let (status, _) = first_bytes(&node, &path);
    let name = format!("node.stop_to_playable, {seconds} s of 2 ch");
    sheet.print(Figure::cost(name, if status == 200 { elapsed_ms(began) / 1e3 } else { f64::NAN }, "s").goal(2.0));
    let (status, _) = first_bytes(&node, &format!("/api/v1/recordings/{id}/file?format=wav"));
    let name = format!("node.stop_to_download_begins, {seconds} s of 2 ch, WAV");
    sheet.print(Figure::cost(name, if status == 200 { elapsed_ms(began) / 1e3 } else { f64::NAN }, "s").goal(2.0));
}

fn first_bytes(node: &Node, path: &str) -> (u16, usize) {
    let answer = node.http.get(node.at(path)).bearer_auth(&node.token).send();
    let Ok(mut answer) = answer else { return (0, 0) };
    let mut bytes = [0; 4_096];
    let got = answer.read(&mut bytes).unwrap_or(0);
    (answer.status().as_u16(), got)
}

fn fsync_ms(folder: &std::path::Path) -> f64 {
    let path = folder.join("peer");
    let mut times = Vec::new();
    if let Ok(mut file) = std::fs::File::create(&path) {
        for _ in 0..ACTS {
            let began = Instant::now();
            let kept = file.write_all(&[7; 1_000]).and_then(|()| file.sync_data());
            times.push(if kept.is_ok() { elapsed_ms(began) } else { f64::NAN });
        }
    }
    let _ = std::fs::remove_file(path);
    percentile(&mut times, 99)
}

/// From asking for a new title to its bytes on the socket of a page, which did not ask.
fn events(node: &Node, id: &str) -> Vec<f64> {
    let mut stream = raw_get(node, "/api/v1/live", "");
    let _ = stream.set_read_timeout(Some(LIMIT));
    let mut bytes = vec![0; 1 << 20];
    let mut heard = String::new();
    let mut times = Vec::new();
    for number in 0..EVENTS {
        let title = format!("event-{number}-of-the-bench");
        let began = Instant::now();
        node.ask(reqwest::Method::PATCH, &format!("/api/v1/recordings/{id}"), &json!({"title": title})).is(200);
        while !heard.contains(&title) {
            let got = stream.read(&mut bytes).expect("an event");
            heard.push_str(&String::from_utf8_lossy(&bytes[..got]));
        }
        times.push(elapsed_ms(began));
        heard.clear();
    }
    times
}

/// A plain connection that asked for something endless.
fn raw_get(node: &Node, path: &str, headers: &str) -> TcpStream {
    let address = node.url.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).expect("the node listens");
    let token = &node.token;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n")
        .expect("a request");
    stream
}

/// What twenty pages with 64 moving meters cost.
fn watched(sheet: &Sheet, seconds: u64) {
    let room = Room::new(Plan { channels: 64, ..Plan::default() });
    let node = Node::claimed(&room.server.name, &room.appliance.data, &[]);
    let id = node.post("/api/v1/recordings", &json!({})).is(201)["id"].as_str().unwrap_or_default().to_owned();
    let cost = |node: &Node| {
        let began = cpu_seconds(node.pid()).unwrap_or(f64::NAN);
        room.feed.play(seconds * 48_000);
        (cpu_seconds(node.pid()).unwrap_or(f64::NAN) - began) / seconds as f64 * 100.0
    };
    let alone = cost(&node);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let viewers: Vec<TcpStream> = (0..VIEWERS).map(|_| raw_get(&node, "/api/v1/meters", upgrade)).collect();
    let ends = AtomicBool::new(false);
    let bytes = AtomicU64::new(0);
    let (ends, bytes) = (&ends, &bytes);
    let with = std::thread::scope(|scope| {
        for mut viewer in viewers {
            scope.spawn(move || {
                let mut part = vec![0; 65_536];
                let _ = viewer.set_read_timeout(Some(Duration::from_millis(200)));
                while !ends.load(Ordering::Acquire) {
                    bytes.fetch_add(viewer.read(&mut part).unwrap_or(0) as u64, Ordering::Relaxed);
                }
            });
        }
        let with = cost(&node);
        ends.store(true, Ordering::Release);
        with
    });
    let kb_each = bytes.load(Ordering::Relaxed) as f64 / 1e3 / seconds as f64 / VIEWERS as f64;
    sheet.print(Figure::cost("node.cpu_recording_64_ch", alone, "% of a core"));
    sheet.print(Figure::cost("node.cpu_of_20_viewers_64_ch", with - alone, "% of a core").goal(3.0));
    sheet.print(Figure::cost("node.meters_64_ch_per_viewer", kb_each, "kB/s"));
    sheet.print(Figure::cost("node.memory_20_viewers", node.memory_kb() as f64 * 1.024e-3, "MB").goal(150.0));
    node.post(&format!("/api/v1/recordings/{id}/stop"), &json!({})).is(200);
    let take = room.appliance.info(&id);
    let lost = take.gaps.len() as f64;
    sheet.print(Figure::cost("node.gaps_while_20_watch", lost, "gaps").goal(0.0));
}

/// A start over many recordings, and what a node that does nothing needs.
fn many(sheet: &Sheet, count: usize, name: &str) {
    let room = Room::new(Plan { channels: 2, ..Plan::default() });
    let mut node = Node::claimed(&room.server.name, &room.appliance.data, &[]);
    node.stop();
    let named: serde_json::Value =
        serde_json::from_slice(&std::fs::read(room.appliance.data.join("node.json")).expect("a node")).expect("JSON");
    let id = named["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    fill(&room.appliance.data.join("records"), id, count, true);
    let began = Instant::now();
    node.restart();
    wait("the node to be ready", || (node.get_anonymously("/readyz").status == 200).then_some(()));
    sheet.print(Figure::cost(format!("node.cold_start_{name}"), began.elapsed().as_secs_f64(), "s").goal(2.0));
    let mut pages: Vec<f64> = (0..100)
        .map(|_| {
            let began = Instant::now();
            node.get("/api/v1/recordings?limit=50").is(200);
            elapsed_ms(began)
        })
        .collect();
    sheet.print(Figure::cost(format!("node.page_of_50_p95_{name}"), percentile(&mut pages, 95), "ms").goal(20.0));
    let (began, cpu) = (Instant::now(), cpu_seconds(node.pid()).unwrap_or(f64::NAN));
    room.feed.play(10 * 48_000);
    let load = (cpu_seconds(node.pid()).unwrap_or(f64::NAN) - cpu) / began.elapsed().as_secs_f64() * 100.0;
    let goal = if count <= 1_000 { 60.0 } else { 150.0 };
    sheet.print(Figure::cost(format!("node.cpu_idle_{name}"), load, "% of a core"));
    let megabytes = node.memory_kb() as f64 * 1.024e-3;
    sheet.print(Figure::cost(format!("node.memory_idle_{name}"), megabytes, "MB").goal(goal));
}
