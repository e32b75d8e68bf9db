//! A WebSocket as a stream of bytes: what is written goes out as binary messages, what comes is read in any pieces.
//!
//! Lives here: cutting and joining. Who writes faster than the other end takes waits, and nothing is kept but the message
//! that is being read and tungstenite's bounded buffers. Does not live here: what the bytes mean. A socket that ends without
//! saying so is an error, as a pipe that breaks; one that was closed is at its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The longest message, either way; a longer one that comes ends the socket.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// What waits for more to be sent with it, until it is flushed.
const GATHERED_BYTES: usize = 16 << 10;

/// The limits every such socket must be made with.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(GATHERED_BYTES)
        // One message beyond what is gathered, with its header: the next one waits.
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// See the module.
pub struct ByteStream<S> {
    socket: WebSocketStream<S>,
    heard: Bytes,
}

impl<S> ByteStream<S> {
    /// Over a socket that was made with [`config`].
    pub fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, heard: Bytes::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.heard.is_empty() && buf.remaining() > 0 {
            match ready!(self.socket.poll_next_unpin(cx)) {
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => self.heard = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "not a binary message")));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = self.heard.len().min(buf.remaining());
        buf.put_slice(&self.heard.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_ready_unpin(cx)).map_err(broken)?;
        let length = bytes.len().min(MESSAGE_BYTES_MAX);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..length]));
        self.socket.start_send_unpin(message).map_err(broken)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush_unpin(cx).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::Role;

    async fn pair(room: usize) -> (ByteStream<DuplexStream>, ByteStream<DuplexStream>) {
        let (ours, theirs) = duplex(room);
        (end(ours, Role::Client).await, end(theirs, Role::Server).await)
    }

    async fn end(pipe: DuplexStream, role: Role) -> ByteStream<DuplexStream> {
        ByteStream::new(WebSocketStream::from_raw_socket(pipe, role, Some(config())).await)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    /// Bytes that differ from their neighbours.
    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at ^ (at >> 8)) as u8).collect()
    }

    #[tokio::test]
    async fn a_write_longer_than_a_message_is_taken_in_part() {
        let (mut ours, mut theirs) = pair(1 << 20).await;
        let bytes = sample(MESSAGE_BYTES_MAX + 1);
        assert_eq!(ours.write(&bytes).await.unwrap(), MESSAGE_BYTES_MAX);
        ours.flush().await.unwrap();
        let mut heard = vec![0; MESSAGE_BYTES_MAX];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, bytes[..MESSAGE_BYTES_MAX]);
    }

    #[tokio::test]
    async fn who_is_not_read_waits_and_nothing_is_lost() {
        let (mut ours, mut theirs) = pair(4 << 10).await;
        let bytes = sample(1 << 20);
        let mut taken = 0;
        let mut writing = std::pin::pin!(async {
            for part in bytes.chunks(10_000) {
                ours.write_all(part).await.unwrap();
                taken += part.len();
            }
            ours.shutdown().await.unwrap();
        });
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(writing.as_mut().poll(&mut cx).is_pending());
        let mut heard = Vec::new();
        tokio::join!(writing, async {
            theirs.read_to_end(&mut heard).await.unwrap();
        });
        assert!(heard == bytes, "{} of {} bytes", heard.len(), bytes.len());
        assert_eq!(taken, bytes.len());
    }

    #[tokio::test]
    async fn a_writer_is_never_more_than_the_buffers_ahead() {
        let (mut ours, _theirs) = pair(4 << 10).await;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (part, mut taken) = (sample(10_000), 0);
        while let Poll::Ready(length) = Pin::new(&mut ours).poll_write(&mut cx, &part) {
            taken += length.unwrap();
            assert!(taken <= 2 * MESSAGE_BYTES_MAX, "{taken} bytes are kept for nobody");
        }
    }

    #[tokio::test]
    async fn a_socket_that_breaks_in_the_middle_is_an_error_and_a_closed_one_an_end() {
        let (mut ours, mut theirs) = pair(1 << 16).await;
        ours.write_all(b"half").await.unwrap();
        ours.flush().await.unwrap();
        drop(ours);
        let mut heard = Vec::new();
        assert!(theirs.read_to_end(&mut heard).await.is_err());
        assert_eq!(heard, b"half");

        let (mut ours, mut theirs) = pair(1 << 16).await;
        ours.write_all(b"whole").await.unwrap();
        ours.shutdown().await.unwrap();
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"whole");
    }

    #[tokio::test]
    async fn words_are_refused() {
        let (ours, mut theirs) = pair(1 << 16).await;
        let mut ours = ours.socket;
        ours.send(Message::text("GET / HTTP/1.1")).await.unwrap();
        let refused = theirs.read_u8().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_message_longer_than_may_be_ends_the_socket() {
        let (ours, theirs) = duplex(1 << 20);
        let wide = config().max_write_buffer_size(1 << 20);
        let mut ours = WebSocketStream::from_raw_socket(ours, Role::Client, Some(wide)).await;
        let mut theirs = end(theirs, Role::Server).await;
        ours.send(Message::binary(sample(MESSAGE_BYTES_MAX + 1))).await.unwrap();
        assert!(theirs.read_u8().await.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn bytes_arrive_however_they_are_cut(
            writes in proptest::collection::vec(1_usize..3_000, 1..12),
            reads in proptest::collection::vec(1_usize..3_000, 1..12),
            room in 16_usize..4_096,
        ) {
            let bytes = sample(writes.iter().sum());
            let heard = runtime().block_on(async {
                let (mut ours, mut theirs) = pair(room).await;
                let writing = async {
                    let mut rest = &bytes[..];
                    for length in &writes {
                        ours.write_all(&rest[..*length]).await.unwrap();
                        rest = &rest[*length..];
                    }
                    ours.shutdown().await.unwrap();
                };
                let reading = async {
                    let (mut heard, mut turn) = (Vec::new(), 0);
                    loop {
                        let mut part = vec![0; reads[turn % reads.len()]];
                        turn += 1;
                        match theirs.read(&mut part).await.unwrap() {
                            0 => return heard,
                            length => heard.extend_from_slice(&part[..length]),
                        }
                    }
                };
                tokio::join!(writing, reading).1
            });
            prop_assert_eq!(heard, bytes);
        }

        #[test]
        fn garbage_is_an_error_or_little(mut bytes in proptest::collection::vec(any::<u8>(), 0..2_000), turned in any::<(usize, u8)>()) {
            let read = |bytes: Vec<u8>| runtime().block_on(async {
                let (mut raw, theirs) = duplex(1 << 16);
                let mut theirs = end(theirs, Role::Server).await;
                raw.write_all(&bytes).await.unwrap();
                drop(raw);
                let mut heard = Vec::new();
                // Whether that is an error depends on the bytes; what is heard was sent.
                let _ = theirs.read_to_end(&mut heard).await;
                heard.len() <= bytes.len()
            });
            prop_assert!(read(bytes.clone()));
            // A good message with a byte turned: masked with zeros, final, binary (RFC 6455, 5.2).
            bytes.truncate(125);
            let mut message = vec![0x82, 0x80 | bytes.len() as u8, 0, 0, 0, 0];
            message.extend_from_slice(&bytes);
            let at = turned.0 % message.len();
            message[at] ^= turned.1;
            prop_assert!(read(message));
        }
    }
}
