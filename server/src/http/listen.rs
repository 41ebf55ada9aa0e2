//! The listener: accepts connections with or without TLS, limits what a client may do before its request is read, and stops in
//! time when the system asks.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::database::health::Health;
use crate::error::Error;
use crate::log;
use crate::metrics::{GaugeGuard, Metrics};

/// The longest wait for a TLS handshake, for the head of a request, for the next request of a connection, and for a client to
/// read its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// File descriptors for everything but connections of clients: the database, STS, the cluster.
const RESERVED_DESCRIPTORS: u64 = 128;

/// The number of file descriptors to ask the system for; it may allow fewer.
const WANTED_DESCRIPTORS: u64 = 16 * 1024;

/// The longest head of a request: its first line and its headers. A token of a cluster takes some KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The time for running requests to end after the signal to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause after a failed accept, for example when no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The client's end of the connection. Each request carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    /// One permit for each possible connection. A client without a permit waits in the queue of the system.
    permits: Arc<Semaphore>,
}

impl Listener {
    /// Binds the address and reads the certificate and its key, PEM files both.
    ///
    /// # Errors
    /// [`Error::System`].
    pub async fn bind(address: SocketAddr, certificate_and_key: Option<(&Path, &Path)>) -> Result<Self, Error> {
        let tls = match certificate_and_key {
            Some((certificate, key)) => Some(make_acceptor(certificate, key)?),
            None => None,
        };
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| Error::System { attempted: format!("listening on {address}"), source: error.into() })?;
        let descriptors = rlimit::increase_nofile_limit(WANTED_DESCRIPTORS).map_err(|error| Error::System {
            attempted: "asking for file descriptors".to_owned(),
            source: error.into(),
        })?;
        let connections =
            usize::try_from(descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(1)).unwrap_or(usize::MAX);
        Ok(Self { socket, tls, permits: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))) })
    }

    /// Accepts the next connection once a permit is free.
    async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = self.permits.clone().acquire_owned().await.expect("it is never closed");
        let (stream, peer) = self.socket.accept().await?;
        Ok((stream, peer, permit))
    }

    /// Prints the address on stdout, serves until SIGTERM or SIGINT, and then waits at most 3 s for running requests.
    ///
    /// # Errors
    /// [`Error::System`] when the system gives no signals or no address; never because of a client.
    pub async fn serve(self, router: Router, metrics: Arc<Metrics>, health: Health) -> Result<(), Error> {
        let refused =
            |source: std::io::Error| Error::System { attempted: "starting to serve".to_owned(), source: source.into() };
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let address = self.socket.local_addr().map_err(refused)?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "listening on {scheme}://{address}").and_then(|()| stdout.flush()).map_err(refused)?;

        let running = GracefulShutdown::new();
        loop {
            tokio::select! {
                accepted = self.accept() => match accepted {
                    Ok((stream, peer, permit)) => {
                        let (tls, router, metrics) = (self.tls.clone(), router.clone(), metrics.clone());
                        let watcher = running.watcher();
                        tokio::spawn(async move {
                            let _open = GaugeGuard::new(&metrics.connections);
                            serve_connection(stream, peer, tls, router, watcher).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        log::line(&format_args!("cannot accept a connection: {error}"));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        health.stop();
        drop(self.socket);
        log::line(&"stopping");
        let _ = tokio::time::timeout(STOP_TIMEOUT, running.shutdown()).await;
        Ok(())
    }
}

/// Serves a connection, with or without TLS.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(CLIENT_TIMEOUT));
    let stream = Box::pin(stream);
    match tls {
        None => serve_http(stream, peer, router, watcher).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(CLIENT_TIMEOUT, tls.accept(stream)).await {
                serve_http(stream, peer, router, watcher).await;
            }
        }
    }
}

/// Serves HTTP on a connection to its end. Errors of a connection are not ours.
async fn serve_http<S>(stream: S, peer: SocketAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CLIENT_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let _ = watcher.watch(connection).await;
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
