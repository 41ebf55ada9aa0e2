//! The HTTP client of a Hopsworks cluster. Every request carries the login of the user it is about, so the cluster says no more than it
//! would say to that user.
//!
//! It bounds the calls under way: a cluster that is slow must not cost this server its connections, nor the other way round.

use std::fmt;
use std::net::IpAddr;

use axum::http::header::{ACCEPT, AUTHORIZATION};
use hops_credentials_core::network::Network;
use hops_credentials_core::settings::Settings;
use reqwest::{Client, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, with_sources};
use crate::identity::answer_cache::CLUSTER_TIMEOUT;
use crate::identity::login::Login;

/// The longest answer: an administrator has some thousand projects at most, of a few hundred bytes each.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The calls under way at once. Further ones wait.
const MAX_CALLS: usize = 64;

/// The reason why a cluster did not answer a question.
#[derive(Debug, Clone)]
pub enum ClusterError {
    /// Nobody has this login.
    Refused,
    /// Somebody has this login, but it does not allow this request.
    NotAccepted,
    /// The cluster failed, or the network on the way to it.
    Failed(String),
}

impl From<ClusterError> for Error {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Refused => Error::NotOfCluster,
            ClusterError::NotAccepted => Error::LoginNotAccepted,
            ClusterError::Failed(problem) => Error::Cluster(problem),
        }
    }
}

/// A login, with the address of the client that sent it. The cluster learns the address, so that it can tell who sends wrong tokens.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The login.
    pub login: &'a Login,
    /// The client's address; `None` for the command line.
    pub address: Option<IpAddr>,
}

/// A client of a cluster.
#[derive(Debug)]
pub struct ClusterClient {
    url: Url,
    client: Client,
    calls: Semaphore,
}

impl fmt::Display for ClusterClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(formatter)
    }
}

impl ClusterClient {
    /// Makes a client. Nothing is sent.
    ///
    /// It uses the system's proxies and certificate authorities, and those of `DOMAIN_CA_TRUSTSTORE_PEM`.
    ///
    /// # Errors
    /// [`Error::Assume`] when a file of certificates or a proxy cannot be used; [`Error::InvalidArgument`] when a variable
    /// turns off the check of certificates: anybody could then pose as the cluster.
    pub fn new(url: &Url, settings: &Settings) -> Result<Self, Error> {
        let network = Network::from_settings(settings)?;
        if network.is_insecure() {
            return Err(Error::InvalidArgument(
                "the certificate of the cluster is always checked; unset REQUESTS_VERIFY, and if the cluster has a \
                 certificate authority of its own, name its PEM file in DOMAIN_CA_TRUSTSTORE_PEM"
                    .to_owned(),
            ));
        }
        Ok(Self { url: url.clone(), client: network.reqwest_client()?, calls: Semaphore::new(MAX_CALLS) })
    }

    /// Gets a path and reads its JSON.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str, asker: Asker<'_>) -> Result<T, ClusterError> {
        match self.get(path, asker).await? {
            (StatusCode::OK, body) => read_json(&body),
            (StatusCode::FORBIDDEN, _) => Err(ClusterError::NotAccepted),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Gets a path; returns status and body.
    ///
    /// # Errors
    /// [`ClusterError::Refused`], [`ClusterError::Failed`].
    pub async fn get(&self, path: &str, asker: Asker<'_>) -> Result<(StatusCode, Vec<u8>), ClusterError> {
        let end = Instant::now() + CLUSTER_TIMEOUT;
        let Ok(permit) = timeout_at(end, self.calls.acquire()).await else {
            return Err(ClusterError::Failed("too many questions wait for its answer".to_owned()));
        };
        let _permit = permit.expect("it is never closed");
        let url = self.url.join(path).expect("the paths above are legal");
        let mut request =
            self.client.get(url).header(ACCEPT, "application/json").header(AUTHORIZATION, asker.login.reveal());
        if let Some(address) = asker.address {
            request = request.header("x-forwarded-for", address.to_string());
        }
        let left = end.saturating_duration_since(Instant::now());
        let response = request.timeout(left).send().await.map_err(failed)?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(ClusterError::Refused),
            status => Ok((status, read_body(response).await?)),
        }
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, ClusterError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClusterError::Failed("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads a body as JSON.
///
/// # Errors
/// [`ClusterError::Failed`], without a word of the body.
pub fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClusterError> {
    // The message of the parser would quote the answer.
    serde_json::from_slice(body).map_err(|_| not_hopsworks())
}

/// Makes the error for an answer that no cluster gives.
pub fn not_hopsworks() -> ClusterError {
    ClusterError::Failed("its answer is not what Hopsworks says".to_owned())
}

/// Makes the error for a status that no cluster gives here.
pub fn unexpected(status: StatusCode) -> ClusterError {
    ClusterError::Failed(format!("it answered HTTP {}", status.as_u16()))
}

fn failed(error: reqwest::Error) -> ClusterError {
    ClusterError::Failed(with_sources(&error.without_url()))
}
