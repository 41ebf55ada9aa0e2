//! Credentials behind an endpoint, fetched anew in time for as long as a program runs.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::credentials_endpoint::{self, CredentialsEndpoint};
use crate::say;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::renewal;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::retry::random;
use hops_credentials_core::source::Source;

/// Not more than one line about the same trouble in this time.
const REMIND: Duration = Duration::from_secs(300);

/// A role whose credentials are handed out and renewed.
pub(crate) struct RenewingEndpoint {
    source: Source,
    request: AssumeRole,
    endpoint: Arc<CredentialsEndpoint>,
    socket: TcpListener,
    life: Duration,
}

impl RenewingEndpoint {
    /// Fetches the first credentials and listens.
    pub(crate) async fn start(source: Source, request: AssumeRole, address: SocketAddr) -> Result<Self, Error> {
        let credentials = source.assume_role(&request).await?;
        source.take_warnings().into_iter().for_each(say);
        let life = credentials.valid_for();
        let (endpoint, socket) = CredentialsEndpoint::bind_to(address, credentials)?;
        Ok(Self { source, request, endpoint, socket, life })
    }

    /// Where readers are led.
    pub(crate) fn endpoint(&self) -> Arc<CredentialsEndpoint> {
        self.endpoint.clone()
    }

    /// Answers and renews until the future is dropped.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let renewing = renew(self.source, self.request, self.endpoint.clone(), self.life);
        tokio::select! {
            ended = credentials_endpoint::serve(self.endpoint, self.socket) => ended,
            () = renewing => Ok(()),
        }
    }
}

async fn renew(source: Source, request: AssumeRole, endpoint: Arc<CredentialsEndpoint>, mut life: Duration) {
    let mut end = Instant::now() + life;
    let mut due = Instant::now() + renewal::refresh_after(life, random());
    let (mut failures, mut said): (u32, Option<Instant>) = (0, None);
    loop {
        sleep_until(due).await;
        let answer: Result<Credentials, Error> = source.assume_role(&request).await;
        source.take_warnings();
        match answer {
            Ok(credentials) => {
                life = credentials.valid_for();
                end = Instant::now() + life;
                due = Instant::now() + renewal::refresh_after(life, random());
                if failures > 0 {
                    say(format_args!("renewed again, access key {}", credentials.access_key_id()));
                }
                failures = 0;
                said = None;
                endpoint.publish(credentials);
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let left = end.saturating_duration_since(Instant::now());
                if said.is_none_or(|said| said.elapsed() > REMIND) {
                    say(format_args!("renewing fails, the credentials end in {} s: {error}", left.as_secs()));
                    said = Some(Instant::now());
                }
                endpoint.note(error.to_string());
                due = Instant::now() + renewal::retry_after(failures, left, life, random());
            }
        }
    }
}
