//! A socket that its machine reads slowly, or not at all: the other end feels it by TCP's window.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How often a slow machine reads.
const TURN: Duration = Duration::from_millis(10);

/// Bytes that each socket of a machine reads in one [`TURN`]; 0: as many as there are.
pub type Rate = Arc<AtomicUsize>;

pub struct Slow<S> {
    inner: S,
    rate: Rate,
    /// How many bytes it still reads in this turn.
    left: usize,
    turn: Pin<Box<Sleep>>,
}

impl<S> Slow<S> {
    pub fn new(inner: S, rate: Rate) -> Self {
        Self { inner, rate, left: 0, turn: Box::pin(sleep(TURN)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Slow<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return Pin::new(&mut self.inner).poll_read(cx, out);
        }
        if self.left == 0 {
            ready!(self.turn.as_mut().poll(cx));
            self.left = rate;
            self.turn.as_mut().reset(Instant::now() + TURN);
        }
        let mut bytes = [0; 4096];
        let most = self.left.min(bytes.len()).min(out.remaining());
        let mut part = ReadBuf::new(&mut bytes[..most]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        self.left -= part.filled().len();
        out.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Slow<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
