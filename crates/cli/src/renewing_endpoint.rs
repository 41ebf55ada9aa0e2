//! An endpoint whose credentials are renewed in time for as long as a program runs.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hops_credentials_core::error::Error;
use hops_credentials_core::renewal;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::retry::random;
use hops_credentials_core::source::Source;
use tokio::time::{Instant, sleep_until};

use crate::credentials_endpoint::{self, CredentialsEndpoint};
use crate::output::say;

/// The shortest time between two lines about the same failure.
const REMINDER_INTERVAL: Duration = Duration::from_secs(300);

/// An endpoint that hands out the credentials of a role and renews them.
pub(crate) struct RenewingEndpoint {
    source: Source,
    request: AssumeRole,
    endpoint: Arc<CredentialsEndpoint>,
    socket: TcpListener,
    valid_for: Duration,
}

impl RenewingEndpoint {
    /// Fetches the first credentials and listens.
    pub(crate) async fn start(source: Source, request: AssumeRole, address: SocketAddr) -> Result<Self, Error> {
        let request = AssumeRole { renews: true, ..request };
        let credentials = source.assume_role(&request).await?;
        source.take_warnings().into_iter().for_each(say);
        let valid_for = credentials.valid_for();
        let (endpoint, socket) = CredentialsEndpoint::bind_to(address, credentials)?;
        Ok(Self { source, request, endpoint, socket, valid_for })
    }

    /// The endpoint that readers ask.
    pub(crate) fn endpoint(&self) -> Arc<CredentialsEndpoint> {
        self.endpoint.clone()
    }

    /// Answers and renews until the future is dropped.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let renewing = renew(self.source, self.request, self.endpoint.clone(), self.valid_for);
        tokio::select! {
            ended = credentials_endpoint::serve(self.endpoint, self.socket) => ended,
            () = renewing => Ok(()),
        }
    }
}

async fn renew(source: Source, request: AssumeRole, endpoint: Arc<CredentialsEndpoint>, mut valid_for: Duration) {
    let mut end = Instant::now() + valid_for;
    let mut due = Instant::now() + renewal::refresh_after(valid_for, random());
    let mut failures: u32 = 0;
    let mut last_report: Option<Instant> = None;
    loop {
        sleep_until(due).await;
        let fetched = source.assume_role(&request).await;
        source.take_warnings();
        match fetched {
            Ok(credentials) => {
                valid_for = credentials.valid_for();
                end = Instant::now() + valid_for;
                due = Instant::now() + renewal::refresh_after(valid_for, random());
                if failures > 0 {
                    say(format_args!("renewed again, access key {}", credentials.access_key_id()));
                }
                failures = 0;
                last_report = None;
                endpoint.publish(credentials);
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let left = end.saturating_duration_since(Instant::now());
                if last_report.is_none_or(|last_report| last_report.elapsed() > REMINDER_INTERVAL) {
                    say(format_args!("renewing fails, the credentials end in {} s: {error}", left.as_secs()));
                    last_report = Some(Instant::now());
                }
                endpoint.note(error.to_string());
                due = Instant::now() + renewal::retry_after(failures, left, valid_for, random());
            }
        }
    }
}
