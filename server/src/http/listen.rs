//! The listener: accepts connections with or without TLS, limits what a client may do before its request is read, and stops in
//! time when the system asks.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Uri, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::database::health::Health;
use crate::error::Error;
use crate::http::connection::{Connection, Connections, End};
use crate::http::deadline::REQUEST_TIMEOUT;
use crate::http::watched::{HeadTimeout, RequestBody};
use crate::log;
use crate::metrics::{GaugeGuard, Metrics};
use crate::pages::error::refuse;

/// The longest wait for a TLS handshake, for the head of a request, and for a client to read its answer.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// File descriptors for everything but connections of clients: the database, STS, the cluster.
const RESERVED_DESCRIPTORS: u64 = 128;

/// The number of file descriptors to ask the system for; it may allow fewer.
const WANTED_DESCRIPTORS: u64 = 16 * 1024;

/// The connections that wait to be accepted; the system may allow fewer (Linux: net.core.somaxconn). Thousands of workers start within a
/// second, and one beyond tries again only after a second.
const BACKLOG: u32 = 4096;

/// The longest head of a request: its first line and its headers. A token of a cluster takes some KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The time for running requests to end when there is no drain.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The connections beyond their address's share that get an answer at the same time, and the time for it.
const MAX_REFUSALS: usize = 32;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest time in which a connection that gives its place sends the rest of an answer.
const GIVE_PLACE_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after a failed accept, for example when no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The client's end of the connection. Each request carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// How the server treats its connections.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether all connections come from a proxy.
    pub is_behind_proxy: bool,
    /// The longest wait for the next request of a connection.
    pub keep_alive: Duration,
    /// The time between the signal to stop and the end of the listener.
    pub drain: Duration,
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: Arc<Connections>,
    settings: Settings,
}

impl Listener {
    /// Binds the address and reads the certificate and its key, PEM files both.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::System`].
    pub async fn bind(
        address: SocketAddr,
        certificate_and_key: Option<(&Path, &Path)>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let tls = match certificate_and_key {
            Some((certificate, key)) => Some(make_acceptor(certificate, key)?),
            None => None,
        };
        let socket = listen(address).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => Error::AddressInUse(address),
            _ => Error::System { attempted: format!("listening on {address}"), source: error.into() },
        })?;
        let descriptors = rlimit::increase_nofile_limit(WANTED_DESCRIPTORS).map_err(|error| Error::System {
            attempted: "asking for file descriptors".to_owned(),
            source: error.into(),
        })?;
        let capacity = u32::try_from(descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(1)).unwrap_or(u32::MAX);
        // All connections of a proxy come from one address.
        let each = if settings.is_behind_proxy { capacity } else { (capacity / 2).max(1) };
        Ok(Self { socket, tls, connections: Connections::new(capacity, each), settings })
    }

    /// The most connections that may be open.
    pub fn capacity(&self) -> usize {
        usize::try_from(self.connections.capacity).expect("32 bits")
    }

    /// Prints the address on stdout and serves until SIGTERM or SIGINT. Then it is not ready, but serves for the time of `drain` or until
    /// the next signal, accepts nobody from then on, and gives running requests some time to end.
    ///
    /// # Errors
    /// [`Error::System`] when the system gives no signals or no address; never because of a client.
    pub async fn serve(self, router: Router, metrics: Arc<Metrics>, health: Health) -> Result<(), Error> {
        let refused =
            |source: std::io::Error| Error::System { attempted: "starting to serve".to_owned(), source: source.into() };
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut next_signal = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let address = self.socket.local_addr().map_err(refused)?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "listening on {scheme}://{address}").and_then(|()| stdout.flush()).map_err(refused)?;

        let (connections, drain) = (self.connections.clone(), self.settings.drain);
        let accepting = tokio::spawn(self.accept_all(router, metrics));
        next_signal().await;
        health.stop();
        let stop_timeout = if drain.is_zero() {
            STOP_TIMEOUT
        } else {
            log::line(&format_args!("draining for {} s", drain.as_secs()));
            let _ = tokio::time::timeout(drain, next_signal()).await;
            REQUEST_TIMEOUT
        };
        // The socket closes with the task.
        accepting.abort();
        let _ = accepting.await;
        log::line(&"stopping");
        let _ = tokio::time::timeout(stop_timeout, connections.end()).await;
        Ok(())
    }

    async fn accept_all(self, router: Router, metrics: Arc<Metrics>) {
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        let refusal = Router::new().fallback(async |uri: Uri| {
            let reason = Error::TooManyAtOnce("this address has as many connections as it may");
            ([(header::CONNECTION, "close")], refuse(uri.path(), reason))
        });
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    log::line(&format_args!("cannot accept a connection: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, keep_alive, metrics) = (self.tls.clone(), self.settings.keep_alive, metrics.clone());
            if let Some(opening) = self.connections.open(peer.ip()) {
                let router = router.clone();
                tokio::spawn(async move {
                    let _open = GaugeGuard::new(&metrics.connections);
                    if let Some((connection, _permit)) = opening.ready().await {
                        serve_connection(stream, peer, tls, router, connection, keep_alive).await;
                    }
                });
                continue;
            }
            metrics.count_refusal("connections");
            // Beyond that number there is no answer but the end of the connection.
            if let Ok(slot) = refusals.clone().try_acquire_owned() {
                let (connection, refusal) = (self.connections.beyond(peer.ip()), refusal.clone());
                tokio::spawn(async move {
                    let refusing = serve_connection(stream, peer, tls, refusal, connection, REFUSAL_TIMEOUT);
                    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refusing).await;
                    drop(slot);
                });
            }
        }
    }
}

/// Listens as `TcpListener::bind` does, with a longer queue.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves a connection, with or without TLS.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    connection: Arc<Connection>,
    keep_alive: Duration,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(CLIENT_TIMEOUT));
    let stream = Box::pin(stream);
    match tls {
        None => serve_http(stream, peer, router, connection, keep_alive).await,
        Some(tls) => {
            let stream = tokio::select! {
                shaken = tokio::time::timeout(CLIENT_TIMEOUT, tls.accept(stream)) => shaken,
                _ = connection.asked_to_end() => return,
            };
            if let Ok(Ok(stream)) = stream {
                serve_http(stream, peer, router, connection, keep_alive).await;
            }
        }
    }
}

/// Serves HTTP on a connection to its end. Errors of a connection are not ours.
async fn serve_http<S>(stream: S, peer: SocketAddr, router: Router, connection: Arc<Connection>, keep_alive: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let requests = connection.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut router, requests) = (router.clone(), requests.clone());
        let mut request: Request = request.map(|body| Body::new(RequestBody::new(body, requests.clone())));
        request.extensions_mut().insert(Peer(peer));
        async move {
            let response = router.call(request).await;
            requests.end_request();
            response
        }
    });
    let stream = HeadTimeout::new(stream, connection.clone());
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(keep_alive)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let end = tokio::select! {
        _ = &mut serving => return,
        end = connection.asked_to_end() => end,
    };
    if connection.is_unused() || end == End::GivesPlace && connection.has_part_of_request() {
        return;
    }
    serving.as_mut().graceful_shutdown();
    if end == End::GivesPlace {
        // The client may not read its last answer. A request that came at this moment is answered.
        let ended = tokio::time::timeout(GIVE_PLACE_TIMEOUT, &mut serving).await;
        if ended.is_ok() || !connection.is_busy() {
            return;
        }
    }
    let _ = serving.await;
}

fn make_acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let reading = |what: &str, path: &Path, source: pem::Error| Error::System {
        attempted: format!("reading the {what} from {}, a PEM file,", path.display()),
        source: source.into(),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .and_then(|chain: Vec<_>| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| reading("certificate", certificate, error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| reading("private key", key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring provides TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| Error::System {
            attempted: "using the certificate and its key".to_owned(),
            source: error.into(),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
