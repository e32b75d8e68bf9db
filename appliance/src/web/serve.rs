//! Listening: HTTPS with the node's own key, HTTP on loopback only, and the limits that keep a stranger from costing much.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::identity::Identity;

/// Connections at a time; the next waits in the kernel's queue until one goes.
pub const CONNECTIONS_MAX: usize = 1_500;
/// A client that does not finish its headers, or says nothing between two requests, for this long is let go.
const HEADER_WAIT: Duration = Duration::from_secs(15);
/// A TLS handshake takes a few milliseconds; a slow one is let go.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// Headers and what is buffered of a request.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// Serves HTTPS until told to end.
///
/// # Errors
/// The address cannot be had.
pub async fn https(at: SocketAddr, identity: &Identity, router: Router, handle: Handle<SocketAddr>) -> io::Result<()> {
    let (certificate, key) = (identity.certificate.to_vec(), identity.key.secret_der().to_vec());
    let config = RustlsConfig::from_der(vec![certificate], key).await?;
    let acceptor = RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE_WAIT);
    let server = axum_server::bind(at).acceptor(Bounded::new(acceptor)).handle(handle);
    limited(server).serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Serves HTTP until told to end.
///
/// # Errors
/// The address is not loopback, or cannot be had.
pub async fn http(at: SocketAddr, router: Router, handle: Handle<SocketAddr>) -> io::Result<()> {
    if !at.ip().is_loopback() {
        let told = format!("{at} is not loopback: plain HTTP would show passwords to the network; use --listen for HTTPS");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    let acceptor = Bounded::new(axum_server::accept::DefaultAcceptor::new());
    let server = axum_server::bind(at).acceptor(acceptor).handle(handle);
    limited(server).serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

fn limited<A>(mut server: Server<SocketAddr, A>) -> Server<SocketAddr, A> {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT).max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(HANDSHAKE_WAIT);
    server
}

/// Holds a place for each connection, from before its handshake to its end.
#[derive(Clone)]
struct Bounded<A> {
    inner: A,
    places: Arc<Semaphore>,
}

impl<A> Bounded<A> {
    fn new(inner: A) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl<A, S> Accept<TcpStream, S> for Bounded<A>
where
    A: Accept<TcpStream, S> + Clone + Send + 'static,
    A::Stream: Send,
    A::Service: Send,
    A::Future: Send,
    S: Send + 'static,
{
    type Stream = Placed<A::Stream>;
    type Service = A::Service;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (inner, places) = (self.inner.clone(), self.places.clone());
        Box::pin(async move {
            // A refused connection is told at once: one that waits would wait for idle ones to time out.
            let place = places.try_acquire_owned().map_err(|_| io::Error::other("too many connections"))?;
            let _ = stream.set_nodelay(true);
            let (stream, service) = inner.accept(stream, service).await?;
            Ok((Placed { stream, _place: place }, service))
        })
    }
}

/// A connection with its place.
struct Placed<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
}

impl<S: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Placed<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for Placed<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
