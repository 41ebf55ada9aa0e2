//! The container-credentials endpoint as Python holds it. A thread of its own serves it, and never touches Python.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use hops_credentials_cli::credentials_endpoint::{self, CredentialsEndpoint};
use hops_credentials_cli::token_file::TokenFile;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables::{self, Change};
use pyo3::prelude::*;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{base, credentials, exception, plain};

/// The container-credentials endpoint. It serves until it is closed.
#[pyclass(frozen, module = "hops.credentials_provider._native")]
pub(super) struct Endpoint {
    endpoint: Arc<CredentialsEndpoint>,
    token_file: Mutex<Option<TokenFile>>,
    token_path: PathBuf,
    changes: Vec<Change>,
    listener: RawFd,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

#[pymethods]
impl Endpoint {
    #[new]
    fn new(
        py: Python<'_>,
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        expiration: f64,
        role: Option<String>,
    ) -> PyResult<Self> {
        let credentials = credentials(access_key_id, secret_access_key, session_token, expiration, role);
        let made = || {
            let (endpoint, socket) = CredentialsEndpoint::bind(credentials)?;
            let token_file = TokenFile::create(&endpoint)?;
            Ok((endpoint, socket, token_file))
        };
        Self::start(py, made().map_err(|error| exception(py, &error))?)
    }

    /// Serves in place of an endpoint whose process has ended.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "an address, a token with its file, and a set of credentials")]
    fn resume(
        py: Python<'_>,
        url: String,
        token: String,
        token_file: PathBuf,
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        expiration: f64,
        role: Option<String>,
    ) -> PyResult<Self> {
        let credentials = credentials(access_key_id, secret_access_key, session_token, expiration, role);
        let made = || {
            let (endpoint, socket) = CredentialsEndpoint::resume(&url, Zeroizing::new(token), credentials)?;
            let token_file = TokenFile::resume(&endpoint, token_file)?;
            Ok((endpoint, socket, token_file))
        };
        Self::start(py, made().map_err(|error| exception(py, &error))?)
    }

    /// Returns the variables that lead readers here: name and value; None removes it.
    fn changes(&self) -> Vec<(&'static str, Option<String>)> {
        plain(self.changes.clone())
    }

    /// Returns the first arguments of `resume`: the URL, the token, and the path of its file.
    fn resume_arguments(&self) -> (&str, &str, &Path) {
        (self.endpoint.url(), self.endpoint.token(), &self.token_path)
    }

    /// Hands out these credentials from now on.
    fn publish(
        &self,
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        expiration: f64,
        role: Option<String>,
    ) {
        self.endpoint.publish(credentials(access_key_id, secret_access_key, session_token, expiration, role));
    }

    /// Keeps the error of a failed refresh. Readers get it once the credentials in use have expired.
    fn note(&self, error: String) {
        self.endpoint.note(error);
    }

    /// Returns the listening socket. A forked child closes its copy.
    fn fileno(&self) -> RawFd {
        self.listener
    }

    /// Stops listening and removes the file of the token. Idempotent.
    fn close(&self) {
        drop(self.stop.lock().expect("no holder panics").take());
        drop(self.token_file.lock().expect("no holder panics").take());
    }
}

impl Endpoint {
    /// Serves the endpoint on a thread of its own.
    fn start(
        py: Python<'_>,
        (endpoint, socket, token_file): (Arc<CredentialsEndpoint>, TcpListener, TokenFile),
    ) -> PyResult<Self> {
        let environment = base();
        let changes = variables::for_endpoint(endpoint.url(), endpoint.token(), token_file.path(), &environment);
        let changes = block_on(changes).map_err(|error| exception(py, &error))?.changes;
        let listener = socket.as_raw_fd();
        let token_path = token_file.path().to_owned();
        let (stop, stopped) = oneshot::channel();
        let served = endpoint.clone();
        Builder::new().name("hops-credentials endpoint".to_owned()).spawn(move || serve(served, socket, stopped))?;
        Ok(Self {
            endpoint,
            token_file: Mutex::new(Some(token_file)),
            token_path,
            changes,
            listener,
            stop: Mutex::new(Some(stop)),
        })
    }
}

fn serve(endpoint: Arc<CredentialsEndpoint>, socket: TcpListener, stopped: oneshot::Receiver<()>) {
    let _ = block_on(async {
        tokio::select! {
            ended = credentials_endpoint::serve(endpoint, socket) => ended,
            _ = stopped => Ok(()),
        }
    });
}
