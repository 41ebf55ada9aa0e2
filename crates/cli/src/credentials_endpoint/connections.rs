//! The connections to a credentials endpoint: one request each, a bounded number at a time.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hops_credentials_core::error::Error;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::CredentialsEndpoint;
use crate::clocks;

/// The time for a connection, which carries one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The most connections at a time: each is a file descriptor of the process, which is a user's job.
const MAX_CONNECTIONS: usize = 64;
/// The time that the oldest connection has left when the most are open and another one comes. A reader sends its request
/// at once, so only one that sends nothing is cut off.
const CROWDED_TIMEOUT: Duration = Duration::from_millis(10);
/// The wait after an accept that failed, for example because file descriptors ran out.
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(100);

/// Answers on a socket of [`CredentialsEndpoint::bind`] until the future is dropped.
///
/// # Errors
/// [`Error::Unavailable`] when the runtime refuses the socket.
pub async fn serve(endpoint: Arc<CredentialsEndpoint>, listener: TcpListener) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| Error::Unavailable {
        attempted: format!("serving {}", endpoint.url),
        code: 0,
        problem: source.to_string(),
        remedy: "raise the limit of open files of this process".to_owned(),
        source: Some(Box::new(source)),
    })?;
    let mut open = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        while open.try_join_next().is_some() {}
        while open.len() >= MAX_CONNECTIONS {
            if timeout(CROWDED_TIMEOUT, open.join_next()).await.is_err()
                && let Some(oldest) = by_age.pop_front()
            {
                oldest.abort();
            }
        }
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_RETRY_WAIT).await;
            continue;
        };
        by_age.push_back(open.spawn(answer(endpoint.clone(), stream)));
        by_age.retain(|connection| !connection.is_finished());
    }
}

/// Answers one request.
async fn answer(endpoint: Arc<CredentialsEndpoint>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = endpoint.respond(&request, clocks::read());
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    let _ = timeout(CONNECTION_TIMEOUT, served).await;
}
