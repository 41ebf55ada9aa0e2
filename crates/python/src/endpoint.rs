//! The container-credentials endpoint as Python holds it. A thread of its own serves it, and never touches Python.

use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use hops_credentials_cli::credentials_endpoint::{self, CredentialsEndpoint};
use hops_credentials_cli::token_file::TokenFile;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables;
use pyo3::prelude::*;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::environment::{self, Plan};
use super::{Values, exception, new_credentials};

/// The container-credentials endpoint. It serves until it is closed.
#[pyclass(frozen, module = "hops.credentials_provider._native")]
pub(super) struct Endpoint {
    endpoint: Arc<CredentialsEndpoint>,
    token_file: Mutex<Option<TokenFile>>,
    token_path: PathBuf,
    listener: RawFd,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    alarm: Arc<Alarm>,
    process: u32,
}

/// Wakes the Python thread that renews. Both ends stay open as long as one of them may be used.
struct Alarm {
    bell: UnixStream,
    ear: UnixStream,
}

impl Alarm {
    fn new() -> io::Result<Arc<Self>> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Arc::new(Self { bell, ear }))
    }

    fn ring(&self) {
        // It rings already where there is no room.
        let _ = (&self.bell).write(&[1]);
    }
}

#[pymethods]
impl Endpoint {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let made = || {
            // These have expired, so nobody gets them.
            let none = new_credentials((String::new(), String::new(), String::new(), 0.0, 0.0, None));
            let (endpoint, socket) = CredentialsEndpoint::bind(none)?;
            let token_file = TokenFile::create_for_command(&endpoint)?;
            Ok((endpoint, socket, token_file))
        };
        Self::start(made().map_err(|error| exception(py, &error))?)
    }

    /// Serves in place of an endpoint whose process has ended.
    #[staticmethod]
    fn resume(py: Python<'_>, url: String, token: String, token_file: PathBuf, credentials: Values) -> PyResult<Self> {
        let credentials = new_credentials(credentials);
        let made = || {
            let (endpoint, socket) = CredentialsEndpoint::resume(&url, Zeroizing::new(token), credentials)?;
            let token_file = TokenFile::resume(&endpoint, token_file)?;
            Ok((endpoint, socket, token_file))
        };
        Self::start(made().map_err(|error| exception(py, &error))?)
    }

    /// Plans that readers find this endpoint.
    fn plan(&self, py: Python<'_>) -> PyResult<Plan> {
        let base = environment::base();
        let effects = variables::for_endpoint(self.endpoint.url(), self.endpoint.token(), &self.token_path, &base);
        Ok(Plan::of(block_on(effects).map_err(|error| exception(py, &error))?))
    }

    /// Returns the first arguments of `resume`: the URL, the token, and the path of its file.
    fn resume_arguments(&self) -> (&str, &str, &Path) {
        (self.endpoint.url(), self.endpoint.token(), &self.token_path)
    }

    /// Hands out these credentials from now on.
    fn publish(&self, credentials: Values) {
        if self.serves() {
            self.endpoint.publish(new_credentials(credentials));
        }
    }

    /// Keeps the error of a failed refresh. Readers get it once the credentials in use have expired.
    fn note(&self, error: String) {
        if self.serves() {
            self.endpoint.note(error);
        }
    }

    /// Hands out no credentials from now on, because the source said no to their role.
    fn withdraw(&self, error: String) {
        if self.serves() {
            self.endpoint.withdraw(error);
        }
    }

    /// Writes the file of the token again where somebody has removed it.
    fn restore_token_file(&self) {
        if let Some(file) = self.token_file.lock().expect("no holder panics").as_ref()
            && self.serves()
        {
            file.restore(&self.endpoint);
        }
    }

    /// Returns the descriptor that becomes readable when a reader has asked after the end of the credentials, and by `ring`.
    fn alarm(&self) -> RawFd {
        self.alarm.ear.as_raw_fd()
    }

    /// Wakes who waits for the alarm.
    fn ring(&self) {
        if self.serves() {
            self.alarm.ring();
        }
    }

    /// Returns the listening socket. A forked child closes its copy.
    fn fileno(&self) -> RawFd {
        self.listener
    }

    /// Stops listening and removes the file of the token. Idempotent.
    fn close(&self) {
        // First: once nobody serves, a child may take over, with a file of this name.
        drop(self.token_file.lock().expect("no holder panics").take());
        let stop = self.stop.lock().expect("no holder panics").take();
        if self.serves() {
            drop(stop);
            self.alarm.ring();
        } else {
            std::mem::forget(stop);
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close();
    }
}

impl Endpoint {
    /// Whether this process serves. A forked child has a copy of the endpoint, and of locks that the thread which serves may
    /// have held at the fork; these are left alone.
    fn serves(&self) -> bool {
        self.process == std::process::id()
    }

    /// Serves the endpoint on a thread of its own.
    fn start((endpoint, socket, token_file): (Arc<CredentialsEndpoint>, TcpListener, TokenFile)) -> PyResult<Self> {
        let listener = socket.as_raw_fd();
        let token_path = token_file.path().to_owned();
        let (stop, stopped) = oneshot::channel();
        let alarm = Alarm::new()?;
        let (served, rung) = (endpoint.clone(), alarm.clone());
        Builder::new()
            .name("hops-credentials endpoint".to_owned())
            .spawn(move || serve(served, socket, stopped, &rung))?;
        Ok(Self {
            endpoint,
            token_file: Mutex::new(Some(token_file)),
            token_path,
            listener,
            stop: Mutex::new(Some(stop)),
            alarm,
            process: std::process::id(),
        })
    }
}

fn serve(endpoint: Arc<CredentialsEndpoint>, socket: TcpListener, stopped: oneshot::Receiver<()>, alarm: &Alarm) {
    let asked = endpoint.clone();
    let _ = block_on(async {
        let ringing = async {
            loop {
                asked.asked_after_end().await;
                alarm.ring();
            }
        };
        tokio::select! {
            ended = credentials_endpoint::serve(endpoint, socket) => ended,
            _ = stopped => Ok(()),
            () = ringing => Ok(()),
        }
    });
}
