//! The instance metadata service of EC2 (IMDSv2): the role of the machine, and its region.
//!
//! Most machines have none, so we try it once for one second and remember for a minute that it did not answer. No proxy
//! is used for it.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::imds::Client;
use aws_config::imds::client::error::{ImdsError, TokenError};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_sts::config::SharedHttpClient;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::SdkError;

use super::environment::{Environment, METADATA_DISABLED, METADATA_URL};
use super::profile::Profiles;
use crate::error::Error;
use crate::text::quoted;

/// The time that it has to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The time after a missing answer in which we do not ask again.
const SILENCE_INTERVAL: Duration = Duration::from_secs(60);

/// The endpoints that did not answer and when, process-wide: a binding makes everything else for each call.
static SILENT: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// The reason why the instance metadata service gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Absence {
    /// The user switched it off.
    Disabled,
    /// It did not answer in time, or nothing listens there.
    Silent(String),
    /// It is there, and the machine has no role.
    NoRole,
    /// It answered with this HTTP status.
    Answered(u16),
    /// It answered, and its answer breaks the contract.
    Damaged,
}

impl fmt::Display for Absence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absence::Disabled => {
                write!(formatter, "the instance metadata service is switched off ({METADATA_DISABLED})")
            }
            Absence::Silent(endpoint) => write!(
                formatter,
                "the instance metadata service at {endpoint} did not answer within {} s",
                ANSWER_TIMEOUT.as_secs()
            ),
            Absence::NoRole => formatter.write_str("the instance metadata service has no role for this machine"),
            Absence::Answered(status) => write!(formatter, "the instance metadata service answered HTTP {status}"),
            Absence::Damaged => {
                formatter.write_str("the answer of the instance metadata service is not what its contract says")
            }
        }
    }
}

/// The instance metadata service.
pub(super) struct Metadata {
    client: Client,
    endpoint: String,
    is_disabled: bool,
}

impl Metadata {
    /// Reads its endpoint. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when the endpoint is not a URL.
    pub fn new(environment: &Environment, profiles: &Profiles, direct: &SharedHttpClient) -> Result<Self, Error> {
        let endpoint = environment.get(METADATA_URL).or_else(|| profiles.get("ec2_metadata_service_endpoint"));
        let mode = environment
            .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
            .or_else(|| profiles.get("ec2_metadata_service_endpoint_mode"));
        let is_ipv6 = mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
        let default_endpoint = if is_ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
        let endpoint = endpoint.unwrap_or(default_endpoint).trim_end_matches('/').to_owned();
        let client = Client::builder()
            .configure(&ProviderConfig::without_region().with_http_client(direct.clone()))
            .max_attempts(1)
            .connect_timeout(ANSWER_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .operation_timeout(ANSWER_TIMEOUT)
            .endpoint(&endpoint)
            .map_err(|_| Error::NotConfigured {
                problem: format!("{METADATA_URL} {} is not a URL", quoted(&endpoint)),
                remedy: "set it to a URL such as http://169.254.169.254, or remove it".to_owned(),
                source: None,
            })?
            .build();
        let is_disabled = environment.get(METADATA_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Self { client, endpoint, is_disabled })
    }

    /// The region of the machine.
    pub async fn region(&self) -> Result<String, Absence> {
        self.get("/latest/meta-data/placement/region").await
    }

    /// The credentials of the machine's role.
    pub async fn credentials(&self) -> Result<Credentials, Absence> {
        let role = self.get("/latest/meta-data/iam/security-credentials/").await?;
        let role = role.lines().next().ok_or(Absence::NoRole)?.trim();
        let provider = ImdsCredentialsProvider::builder().imds_client(self.client.clone()).profile(role).build();
        match provider.provide_credentials().await {
            Ok(credentials) => Ok(credentials),
            Err(error) => {
                let source = error.source().and_then(|source| source.downcast_ref::<ImdsError>());
                Err(source.map_or(Absence::Damaged, |source| self.absence(source)))
            }
        }
    }

    async fn get(&self, path: &str) -> Result<String, Absence> {
        if self.is_disabled {
            return Err(Absence::Disabled);
        }
        let silent = || Absence::Silent(self.endpoint.clone());
        if is_silent(&SILENT.lock().unwrap_or_else(PoisonError::into_inner), &self.endpoint, Instant::now()) {
            return Err(silent());
        }
        // The token and the value are two requests, each with its own timeout; both together get one second.
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, self.client.get(path)).await {
            Ok(Ok(value)) => Ok(String::from(value)),
            Ok(Err(error)) => Err(self.absence(&error)),
            Err(_) => Err(silent()),
        };
        if let Err(Absence::Silent(endpoint)) = &answer {
            SILENT.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.clone(), Instant::now());
        }
        answer
    }

    // Display and Debug of an ImdsError print the raw answer, so we take only its kind and status.
    fn absence(&self, error: &ImdsError) -> Absence {
        let silent = || Absence::Silent(self.endpoint.clone());
        match error {
            ImdsError::ErrorResponse(answer) => match answer.response().status().as_u16() {
                404 => Absence::NoRole,
                status => Absence::Answered(status),
            },
            ImdsError::FailedToLoadToken(_) => {
                let answer =
                    error.source().and_then(|source| source.downcast_ref::<SdkError<TokenError, HttpResponse>>());
                match answer.and_then(SdkError::raw_response) {
                    Some(answer) => Absence::Answered(answer.status().as_u16()),
                    None => silent(),
                }
            }
            ImdsError::IoError(_) => silent(),
            _ => Absence::Damaged,
        }
    }
}

fn is_silent(silent: &BTreeMap<String, Instant>, endpoint: &str, now: Instant) -> bool {
    silent.get(endpoint).is_some_and(|since| now.saturating_duration_since(*since) < SILENCE_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_service_is_asked_again_after_a_minute() {
        let since = Instant::now();
        let silent = BTreeMap::from([("http://169.254.169.254".to_owned(), since)]);
        assert!(is_silent(&silent, "http://169.254.169.254", since + Duration::from_secs(59)));
        assert!(!is_silent(&silent, "http://169.254.169.254", since + Duration::from_secs(60)));
        assert!(!is_silent(&silent, "http://127.0.0.1:1", since));
    }
}
