//! An endpoint whose credentials are renewed in time for as long as a program runs.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hops_credentials_core::error::Error;
use hops_credentials_core::renewal::{self, Clocks};
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::retry::random;
use hops_credentials_core::source::Source;
use tokio::time::sleep;

use crate::ask::aloud;
use crate::clocks;
use crate::credentials_endpoint::{self, CredentialsEndpoint};
use crate::output::say;
use crate::token_file::TokenFile;

/// The shortest time between two lines about the same failure.
const REMINDER_INTERVAL: Duration = Duration::from_secs(300);

/// An endpoint that hands out the credentials of a role and renews them, and the file of its token.
pub(crate) struct RenewingEndpoint {
    source: Source,
    request: AssumeRole,
    endpoint: Arc<CredentialsEndpoint>,
    token_file: TokenFile,
    socket: TcpListener,
    answered: Clocks,
    valid_for: Duration,
}

impl RenewingEndpoint {
    /// Fetches the first credentials and listens. `write_token` writes the file of the token.
    pub(crate) async fn start(
        source: Source,
        request: AssumeRole,
        address: SocketAddr,
        write_token: impl FnOnce(&CredentialsEndpoint) -> Result<TokenFile, Error>,
    ) -> Result<Self, Error> {
        let request = AssumeRole { renews: true, ..request };
        let credentials = aloud(source.assume_role(&request)).await?;
        source.take_warnings().into_iter().for_each(say);
        let (answered, valid_for) = (clocks::read(), credentials.valid_for());
        let (endpoint, socket) = CredentialsEndpoint::bind_to(address, credentials)?;
        let token_file = write_token(&endpoint)?;
        Ok(Self { source, request, endpoint, token_file, socket, answered, valid_for })
    }

    /// The endpoint that readers ask.
    pub(crate) fn endpoint(&self) -> Arc<CredentialsEndpoint> {
        self.endpoint.clone()
    }

    /// The path of the file in which readers find its token.
    pub(crate) fn token_path(&self) -> PathBuf {
        self.token_file.path().to_owned()
    }

    /// Answers and renews until the future is dropped.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let renewing =
            renew(&self.source, &self.request, &self.endpoint, &self.token_file, self.answered, self.valid_for);
        tokio::select! {
            ended = credentials_endpoint::serve(self.endpoint.clone(), self.socket) => ended,
            () = renewing => Ok(()),
        }
    }
}

async fn renew(
    source: &Source,
    request: &AssumeRole,
    endpoint: &CredentialsEndpoint,
    token_file: &TokenFile,
    answered: Clocks,
    mut valid_for: Duration,
) {
    let mut failures: u32 = 0;
    let mut last_try = answered;
    let mut pause = renewal::refresh_after(valid_for, random());
    let mut last_report: Option<Clocks> = None;
    loop {
        wait_until_due(last_try, pause, valid_for, endpoint, token_file).await;
        let fetched = source.assume_role(request).await;
        source.take_warnings();
        match fetched {
            Ok(credentials) => {
                last_try = clocks::read();
                valid_for = credentials.valid_for();
                pause = renewal::refresh_after(valid_for, random());
                if failures > 0 {
                    say(format_args!("renewed again, access key {}", credentials.access_key_id()));
                }
                failures = 0;
                last_report = None;
                endpoint.publish(credentials);
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                last_try = clocks::read();
                if last_report.is_none_or(|report| renewal::due(report, REMINDER_INTERVAL, last_try).is_zero()) {
                    say(format_args!(
                        "renewing fails, the credentials end in {} s: {error}",
                        endpoint.left().as_secs()
                    ));
                    last_report = Some(last_try);
                }
                if error.withdraws() {
                    endpoint.withdraw(error.to_string());
                } else {
                    endpoint.note(error.to_string());
                }
                pause = renewal::retry_after(failures, endpoint.left(), valid_for, random());
            }
        }
    }
}

/// Waits for the end of a pause, by the clock that says so first. A reader that finds the credentials ended makes it as
/// short as after a first failure. Looks after the file of the token meanwhile.
async fn wait_until_due(
    since: Clocks,
    mut pause: Duration,
    valid_for: Duration,
    endpoint: &CredentialsEndpoint,
    token_file: &TokenFile,
) {
    loop {
        token_file.restore(endpoint);
        let wait = renewal::wait(since, pause, clocks::read());
        if wait.is_zero() {
            return;
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = endpoint.asked_after_end() => {
                pause = pause.min(renewal::retry_after(1, Duration::ZERO, valid_for, random()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::SystemTime;

    use hops_credentials_core::blocking::block_on;
    use hops_credentials_core::credentials::Credentials;
    use tokio::time::timeout;

    use super::*;

    fn ended() -> Credentials {
        let [id, secret, token] = ["ASIAEXAMPLE", "canary-secret", "canary-token"].map(str::to_owned);
        Credentials::new(id, secret, token, SystemTime::UNIX_EPOCH, Duration::ZERO, None)
    }

    fn ask(endpoint: &CredentialsEndpoint) -> String {
        let address = endpoint.url().trim_start_matches("http://").trim_end_matches("/credentials");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let token = endpoint.token();
        write!(stream, "GET /credentials HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n").expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn the_first_reader_that_finds_the_credentials_ended_wakes_the_renewal() {
        let hour = Duration::from_secs(3600);
        let woken = block_on(async {
            let (endpoint, socket) = CredentialsEndpoint::bind(ended())?;
            let token_file = TokenFile::create(&endpoint)?;
            let serving = tokio::spawn(credentials_endpoint::serve(endpoint.clone(), socket));
            let asked = endpoint.clone();
            let asking = tokio::task::spawn_blocking(move || ask(&asked));
            let due = wait_until_due(clocks::read(), hour, hour, &endpoint, &token_file);
            let woken = timeout(Duration::from_secs(30), due).await.is_ok();
            assert!(asking.await.expect("no panic").starts_with("HTTP/1.1 503 "));
            // Asking again wakes nobody, nor does asking for a role that was taken away.
            for is_withdrawn in [false, true] {
                if is_withdrawn {
                    endpoint.publish(ended());
                    endpoint.withdraw("no".to_owned());
                }
                let asked = endpoint.clone();
                let asking = tokio::task::spawn_blocking(move || ask(&asked));
                assert!(asking.await.expect("no panic").starts_with("HTTP/1.1 503 "));
                assert!(timeout(Duration::ZERO, endpoint.asked_after_end()).await.is_err(), "{is_withdrawn}");
            }
            serving.abort();
            Ok(woken)
        });
        assert!(woken.expect("loopback has a port"));
    }

    #[test]
    fn a_machine_that_slept_renews_at_once() {
        let slept = Duration::from_secs(7200);
        let is_due = block_on(async {
            let (endpoint, _socket) = CredentialsEndpoint::bind(ended())?;
            let token_file = TokenFile::create(&endpoint)?;
            let now = clocks::read();
            let before = Clocks { monotonic: now.monotonic, wall: now.wall - slept };
            let due = wait_until_due(before, slept / 2, slept, &endpoint, &token_file);
            Ok(timeout(Duration::from_secs(20), due).await.is_ok())
        });
        assert!(is_due.expect("loopback has a port"));
    }
}
