//! Listening: HTTPS with the node's own key, HTTP on loopback only, and the limits that keep a stranger from costing much.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::AddExtension;
use axum::{Extension, Router};
use axum_server::accept::Accept;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Layer;

use super::caller::AtConsole;
use crate::access::identity::Identity;
use crate::fleet::tls::{self, PEER, PeerKey, Proven};
use crate::sys::line::Line;

/// Connections at a time; the next is let go at once. A coordinator has links and tunnels of a thousand nodes, and people.
pub const CONNECTIONS_MAX: usize = 2_000;
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
    let acceptor = Tls {
        browsers: Arc::new(tls::browsers(identity).map_err(io::Error::other)?),
        peers: Arc::new(tls::server(identity).map_err(io::Error::other)?),
    };
    let server = axum_server::bind(at).acceptor(Bounded::new(acceptor)).handle(handle);
    limited(server).serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Serves HTTP until told to end.
///
/// # Errors
/// The address is not loopback, or cannot be had.
pub async fn http(at: SocketAddr, router: Router, handle: Handle<SocketAddr>) -> io::Result<()> {
    if !at.ip().is_loopback() {
        let told =
            format!("{at} is not loopback: plain HTTP would show passwords to the network; use --listen for HTTPS");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    let acceptor = Bounded::new(axum_server::accept::DefaultAcceptor::new());
    let server = axum_server::bind(at).acceptor(acceptor).handle(handle);
    limited(server).serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// The node's own socket in its data folder, for commands on this machine.
pub const CONSOLE_SOCKET: &str = "node.sock";

/// Serves whoever may open a file of the node's own: root and the node's user. They are the machine's console.
///
/// # Errors
/// The socket cannot be made.
pub async fn console(at: &Path, router: Router) -> io::Result<()> {
    match std::fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(at)?;
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o600))?;
    axum::serve(listener, router.layer(Extension(AtConsole))).await
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

/// Shakes hands with browsers one way and with nodes the other.
#[derive(Clone)]
struct Tls {
    browsers: Arc<ServerConfig>,
    peers: Arc<ServerConfig>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Tls {
    type Stream = TlsStream<TcpStream>;
    type Service = AddExtension<S, Proven>;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let configs = self.clone();
        Box::pin(async move {
            let shaken = tokio::time::timeout(HANDSHAKE_WAIT, configs.shake(stream)).await;
            let mut stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let mut proven = Proven { key: certificate.and_then(PeerKey::of), line: None };
            if proven.key.is_some() {
                let (stream, tls) = stream.get_mut();
                tls::queue_little(stream, tls);
                // Without it a pulled plug is told later.
                proven.line = Line::of(stream).ok();
            }
            Ok((stream, Extension(proven).layer(service)))
        })
    }
}

impl Tls {
    async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let is_node = begun.client_hello().alpn().is_some_and(|mut offered| offered.any(|name| name == PEER));
        begun.into_stream(if is_node { self.peers.clone() } else { self.browsers.clone() }).await
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Ctx;
    use crate::access::identity;
    use crate::store::Moment;
    use crate::web::caller::moment;
    use axum::routing::get;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn identity() -> (tempfile::TempDir, Identity) {
        let folder = tempfile::tempdir().unwrap();
        let now: Moment = moment();
        let ctx = Ctx::new(now, [7; 32], "", "");
        let (made, _) = identity::tls(folder.path(), "host", &[Ipv4Addr::LOCALHOST.into()], &ctx).unwrap();
        (folder, made)
    }

    fn key_of(identity: &Identity) -> PeerKey {
        PeerKey::of(&identity.certificate).unwrap()
    }

    /// Serves who was proven, and says where.
    async fn served(identity: Identity) -> SocketAddr {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let said = |Extension(proven): Extension<Proven>| async move { format!("{:?}", proven.key) };
        let (router, handle) = (Router::new().route("/", get(said)), Handle::new());
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let serving = handle.clone();
        tokio::spawn(async move { https(at, &identity, router, serving).await });
        handle.listening().await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_is_known_by_the_key_it_holds() {
        let ((_a, ours), (_b, theirs)) = (identity(), identity());
        let (ours_key, theirs_key) = (key_of(&ours), key_of(&theirs));
        let at = served(theirs).await.to_string();
        let mut stream = tls::dial(&at, &ours, theirs_key).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(&format!("{:?}", Some(ours_key))), "{answer}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_holds_another_key_than_the_pinned_is_told_nothing() {
        let ((_a, ours), (_b, theirs)) = (identity(), identity());
        let ours_key = key_of(&ours);
        let at = served(theirs).await.to_string();
        let dialled = tls::dial(&at, &ours, ours_key).await;
        assert!(matches!(dialled, Err(tls::DialError::NotThem { .. })), "{dialled:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_goes_away_during_the_handshake_is_not_taken_for_somebody_else() {
        let (_a, ours) = identity();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            // What was not read is answered with a reset, as when a process is killed.
            drop(stream);
        });
        let dialled = tls::dial(&at, &ours, key_of(&ours)).await;
        assert!(matches!(dialled, Err(tls::DialError::Unreached { .. })), "{dialled:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_browser_is_not_asked_for_a_certificate_and_proves_nothing() {
        let (_a, theirs) = identity();
        let at = served(theirs).await;
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        let answer = client.get(format!("https://{at}/")).send().await.unwrap().text().await.unwrap();
        assert_eq!(answer, "None");
    }
}
