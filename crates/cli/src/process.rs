//! `process`: what a `credential_process` of `~/.aws/config` prints.

use std::fs::File;
use std::time::{Duration, SystemTime};

use hops_credentials_core::base_identity::{Environment, IN_CREDENTIAL_PROCESS};
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::network::loopback_client;
use hops_credentials_core::renewal;
use hops_credentials_core::retry::random;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::text::rfc3339;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credentials_endpoint::EndpointCredentials;
use crate::output::{Failure, print, say};
use crate::private_file;
use crate::role_option::RoleOption;
use crate::runtime_dir::RuntimeDir;
use crate::serve::ServedAt;

/// The time that a running `serve` has to answer.
const SERVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The JSON that an AWS SDK reads.
///
/// Source: AWS SDKs and tools reference guide, "Process credential provider".
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessOutput {
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

/// An output in a file, for programs that start later.
#[derive(Serialize, Deserialize)]
struct CachedOutput {
    #[serde(rename = "answer")]
    output: ProcessOutput,
    /// The instant from which to fetch again, in seconds since 1970.
    refresh_at: u64,
    /// The expiration in seconds since 1970.
    expires_at: u64,
}

impl CachedOutput {
    fn new(credentials: &Credentials) -> Self {
        let refresh_at = SystemTime::now() + renewal::refresh_after(credentials.valid_for(), random());
        Self {
            output: credentials.into(),
            refresh_at: seconds_since_1970(refresh_at),
            expires_at: seconds_since_1970(credentials.expiration()),
        }
    }
}

pub(crate) fn run(settings: &Settings, option: &RoleOption) -> Result<(), Failure> {
    if std::env::var_os(IN_CREDENTIAL_PROCESS).is_some() {
        return Err(Failure::Error(Error::NotConfigured {
            problem: "the profile of this credential_process would be its own base identity".to_owned(),
            remedy: "name another profile: credential_process = env AWS_PROFILE=<base> hops-credentials process"
                .to_owned(),
            source: None,
        }));
    }
    let Some(runtime_dir) = RuntimeDir::open(settings, option) else {
        return print_output(&ProcessOutput::from(&fetch(settings, option)?));
    };
    if let Some(output) = ask_running_serve(&runtime_dir) {
        return print_output(&output);
    }
    // Programs that start together wait here for the one that fetches.
    let lock = private_file::open_lock(&runtime_dir.lock());
    let _held: Option<File> = lock.ok().filter(|lock| lock.lock().is_ok());
    let cached = std::fs::read(runtime_dir.cache()).ok().map(Zeroizing::new);
    let cached: Option<CachedOutput> = cached.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let now = seconds_since_1970(SystemTime::now());
    if let Some(cached) = &cached
        && now < cached.refresh_at
    {
        return print_output(&cached.output);
    }
    match (fetch(settings, option), cached) {
        (Ok(credentials), _) => {
            let fetched = CachedOutput::new(&credentials);
            let text = Zeroizing::new(serde_json::to_string(&fetched).expect("texts and numbers are JSON"));
            // Without the file the next call fetches again.
            let _ = private_file::replace(&runtime_dir.cache(), text.as_bytes());
            print_output(&fetched.output)
        }
        // A failed fetch leaves valid credentials in use.
        (Err(error), Some(cached)) if error.is_retryable() && now + 1 < cached.expires_at => {
            print_output(&cached.output)
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn fetch(settings: &Settings, option: &RoleOption) -> Result<Credentials, Error> {
    Source::ask(settings, &Environment::now(&[]), say, async |source| {
        source.assume_role(&option.to_request(source).await?).await
    })
}

/// Asks a running `serve` for the same role; `None` when no `serve` runs or answers in time.
fn ask_running_serve(runtime_dir: &RuntimeDir) -> Option<ProcessOutput> {
    let served_at: ServedAt = serde_json::from_slice(&std::fs::read(runtime_dir.announcement()).ok()?).ok()?;
    let credentials = block_on(async {
        let request = loopback_client(SERVE_TIMEOUT)?.get(served_at.url);
        let request = request.header("authorization", served_at.token.as_str());
        let body = async { request.send().await?.error_for_status()?.json::<EndpointCredentials>().await };
        Ok(body.await.ok())
    });
    credentials.ok()?.map(Into::into)
}

fn print_output(output: &ProcessOutput) -> Result<(), Failure> {
    let text = Zeroizing::new(serde_json::to_string(output).expect("texts are JSON"));
    print(&text)
}

fn seconds_since_1970(instant: SystemTime) -> u64 {
    instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
