//! `process`: what a `credential_process` of `~/.aws/config` prints.

use std::time::Duration;

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::network::loopback_client;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::text::rfc3339;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ask::assume_role;
use crate::clocks;
use crate::credentials_endpoint::EndpointCredentials;
use crate::kept::{self, FailedFetch, Kept};
use crate::output::{Failure, Report, print, say};
use crate::private_file;
use crate::role_option::RoleOption;
use crate::runtime_dir::RuntimeDir;

/// The time that a running `serve` has to answer.
const SERVE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time to wait for another program that fetches: longer than a fetch may take.
const TURN_TIMEOUT: Duration = Duration::from_secs(35);

/// The JSON that an AWS SDK reads.
///
/// Source: AWS SDKs and tools reference guide, "Process credential provider".
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProcessOutput {
    version: u8,
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Zeroizing<String>,
    expiration: String,
}

impl From<&Credentials> for ProcessOutput {
    fn from(credentials: &Credentials) -> Self {
        Self {
            version: 1,
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: Zeroizing::new(credentials.secret_access_key().to_owned()),
            session_token: Zeroizing::new(credentials.session_token().to_owned()),
            expiration: rfc3339(credentials.expiration()),
        }
    }
}

impl From<EndpointCredentials> for ProcessOutput {
    fn from(credentials: EndpointCredentials) -> Self {
        Self {
            version: 1,
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.token,
            expiration: credentials.expiration,
        }
    }
}

pub(crate) fn run(settings: &Settings, option: &RoleOption) -> Result<(), Failure> {
    match RuntimeDir::open(settings, option) {
        None => print_output(&ProcessOutput::from(&assume_role(settings, option)?)),
        Some(runtime_dir) => match ask_running_serve(&runtime_dir) {
            Some(output) => print_output(&output),
            None => print_output(&kept_or_fetched(settings, option, &runtime_dir)?),
        },
    }
}

/// Programs that start together wait for the one that fetches, and nobody waits while what is kept is good.
fn kept_or_fetched(
    settings: &Settings,
    option: &RoleOption,
    runtime_dir: &RuntimeDir,
) -> Result<ProcessOutput, Failure> {
    let begin = clocks::read();
    let kept = Kept::read(&runtime_dir.cache(), begin);
    if let Some(kept) = kept.as_ref().filter(|kept| !kept.is_due(begin)) {
        return Ok(kept.output.clone());
    }
    let limit = if kept.is_some() { Duration::ZERO } else { TURN_TIMEOUT };
    let _turn = match private_file::lock_within(&runtime_dir.lock(), limit) {
        Some(turn) => turn,
        None => return kept.map(|kept| kept.output).ok_or_else(no_turn),
    };
    let now = clocks::read();
    let kept = Kept::read(&runtime_dir.cache(), now);
    if let Some(kept) = kept.as_ref().filter(|kept| !kept.is_due(now)) {
        return Ok(kept.output.clone());
    }
    if let (None, Some(report)) = (&kept, FailedFetch::read(&runtime_dir.failure(), begin, now)) {
        return Err(Failure::Report(report));
    }
    fetched(settings, option, runtime_dir, kept)
}

/// Fetches and keeps. What was kept is used to its end when that fails, unless the source said no to the role.
fn fetched(
    settings: &Settings,
    option: &RoleOption,
    runtime_dir: &RuntimeDir,
    kept: Option<Kept>,
) -> Result<ProcessOutput, Failure> {
    let error = match assume_role(settings, option) {
        Ok(credentials) => {
            let kept = Kept::new(&credentials, clocks::read());
            kept::write(&runtime_dir.cache(), &kept);
            let _ = std::fs::remove_file(runtime_dir.failure());
            return Ok(kept.output);
        }
        Err(error) => error,
    };
    let now = clocks::read();
    if error.withdraws() {
        let _ = std::fs::remove_file(runtime_dir.cache());
    } else if let Some(mut kept) = kept.filter(|kept| !kept.left(now).is_zero()) {
        say(format_args!("renewing fails, the credentials end in {} s: {error}", kept.left(now).as_secs()));
        kept.note_failure(now);
        kept::write(&runtime_dir.cache(), &kept);
        return Ok(kept.output);
    }
    kept::write(&runtime_dir.failure(), &FailedFetch::new(Report::from(&error), now));
    Err(error.into())
}

fn no_turn() -> Failure {
    Failure::from(Error::Unavailable {
        attempted: "waiting for another hops-credentials process that fetches the same credentials".to_owned(),
        code: 0,
        problem: format!("it has not ended within {} s", TURN_TIMEOUT.as_secs()),
        remedy: "try again".to_owned(),
        source: None,
    })
}

/// Asks a running `serve` for the same role; `None` when no `serve` runs or answers in time.
fn ask_running_serve(runtime_dir: &RuntimeDir) -> Option<ProcessOutput> {
    runtime_dir.running().into_iter().find_map(|served_at| {
        let credentials = block_on(async {
            let request = loopback_client(SERVE_TIMEOUT)?.get(served_at.url);
            let request = request.header("authorization", served_at.token.as_str());
            let body = async { request.send().await?.error_for_status()?.json::<EndpointCredentials>().await };
            Ok(body.await.ok())
        });
        credentials.ok()?.map(Into::into)
    })
}

fn print_output(output: &ProcessOutput) -> Result<(), Failure> {
    let text = Zeroizing::new(serde_json::to_string(output).expect("texts are JSON"));
    print(&text)
}
