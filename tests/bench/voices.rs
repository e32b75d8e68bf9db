//! What a simulated node answers when it is asked for its levels: the stream of `GET /api/v1/levels`, over TLS with its key.
//! Anything else that is asked gets no answer. Whoever asks is believed.

use rakkr::service::levels::{GROUPS_MAX, Levels, RATE_HZ};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The most of a request that is read.
const REQUEST_BYTES_MAX: usize = 8 << 10;
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Listens for one of them, at the address that is returned.
pub async fn open(config: ServerConfig, number: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // Who asks goes away whenever they like.
            tokio::spawn(async move { tell(acceptor, stream, number).await.ok() });
        }
    });
    address
}

async fn tell(acceptor: TlsAcceptor, stream: TcpStream, number: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    if !request.starts_with(b"GET /api/v1/levels ") {
        return Ok(());
    }
    stream.write_all(ANSWER.as_bytes()).await?;
    let began = Instant::now();
    // Each in a time of its own.
    tokio::time::sleep(Duration::from_millis(number as u64 * 37 % 250)).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / u64::from(RATE_HZ)));
    for tick in 0_u64.. {
        ticks.tick().await;
        let event = format!("data: {}\n\n", serde_json::json!(levels(number as u64, tick, began)));
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// As many groups as there may be, all moving.
fn levels(number: u64, tick: u64, began: Instant) -> Levels {
    let dbfs = |group: usize| -6.0 - ((number + tick * 7 + group as u64 * 11) % 400) as f32 / 10.0;
    let groups = 0..GROUPS_MAX;
    Levels {
        ms: began.elapsed().as_millis() as u64,
        channels: GROUPS_MAX as u16,
        peak_dbfs: groups.clone().map(|group| Some(dbfs(group))).collect(),
        rms_dbfs: groups.clone().map(|group| Some(dbfs(group) - 9.0)).collect(),
        flags: groups.map(|_| 8).collect(),
    }
}
