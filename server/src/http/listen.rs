//! The socket: accepts connections, with or without TLS, bounds what a client may do before its request is read, and stops
//! in time when the system asks.

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

use crate::error::Error;
use crate::log;
use crate::metrics::{GaugeGuard, Metrics};

/// For the TLS handshake, for the head of a request, between two requests of one connection, and for a client that does not
/// read its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// File descriptors that no connection of a client takes: the database, STS, the cluster.
const RESERVED: u64 = 128;

/// So many file descriptors are asked of the system, within what it allows.
const DESCRIPTORS: u64 = 16 * 1024;

/// For the request line and the headers; a token of a cluster takes some KiB.
const MAXIMUM_HEAD: usize = 32 * 1024;

/// For running requests after the signal to stop; the system's patience is not endless either.
const GRACE: Duration = Duration::from_secs(3);

/// After an accept that failed, for example for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The address at the other end of the connection; [`Listener::serve`] puts it into the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    /// As many as there may be connections. Whoever comes on top of them waits in the queue of the system.
    permits: Arc<Semaphore>,
}

impl Listener {
    /// Binds the address and reads the certificate and its key, PEM files both.
    ///
    /// # Errors
    /// [`Error::System`].
    pub async fn bind(address: SocketAddr, certificate_and_key: Option<(&Path, &Path)>) -> Result<Self, Error> {
        let tls = match certificate_and_key {
            Some((certificate, key)) => Some(acceptor(certificate, key)?),
            None => None,
        };
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| Error::System { attempted: format!("listening on {address}"), source: error.into() })?;
        let descriptors = rlimit::increase_nofile_limit(DESCRIPTORS).map_err(|error| Error::System {
            attempted: "asking for file descriptors".to_owned(),
            source: error.into(),
        })?;
        let connections = usize::try_from(descriptors.saturating_sub(RESERVED).max(1)).unwrap_or(usize::MAX);
        Ok(Self { socket, tls, permits: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))) })
    }

    /// The next connection, once there may be one more.
    async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = self.permits.clone().acquire_owned().await.expect("it is never closed");
        let (stream, peer) = self.socket.accept().await?;
        Ok((stream, peer, permit))
    }

    /// Says on stdout where it listens, serves until SIGTERM or SIGINT, and then lets running requests end, for 3 s at most.
    ///
    /// # Errors
    /// [`Error::System`] when the system gives no signals or no address; not for what a client does.
    pub async fn serve(self, router: Router, metrics: Arc<Metrics>) -> Result<(), Error> {
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
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        drop(self.socket);
        log::line(&"stopping");
        let _ = tokio::time::timeout(GRACE, running.shutdown()).await;
        Ok(())
    }
}

/// A connection, with TLS or without.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(PATIENCE));
    let stream = Box::pin(stream);
    match tls {
        None => serve_http(stream, peer, router, watcher).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                serve_http(stream, peer, router, watcher).await;
            }
        }
    }
}

/// Serves one connection to its end. What breaks it is the client's affair.
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
        .header_read_timeout(PATIENCE)
        .max_header_size(MAXIMUM_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let _ = watcher.watch(connection).await;
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
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
