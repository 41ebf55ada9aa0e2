//! The instance metadata service of EC2 (IMDSv2): the role of the machine, and its region.
//!
//! Most machines have none, so we ask for one second whether it is there, and remember for a minute that it did not answer.
//! Where it is there, it gets more time for the credentials, since kube2iam and the like ask STS for them. No proxy is
//! used for it.

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
use crate::error::{Error, causes};
use crate::text::quoted;

/// The time that it has to show that it is there, unless [`TIMEOUT`] says otherwise.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for an answer where it is known to be there, unless [`TIMEOUT`] says more.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The time after a missing answer in which we do not ask again.
const SILENCE_INTERVAL: Duration = Duration::from_secs(60);
/// The longest time, and the largest number of tries, that somebody may ask for: a call ends after 30 s.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TRIES: u32 = 10;
/// The number of tries where it answers that it cannot at the moment, and the wait after the first one, which doubles up
/// to the longest: ten tries for the region and ten for the role end before a call does.
const TRIES_WHILE_BUSY: u32 = 3;
const BUSY_WAIT: Duration = Duration::from_millis(250);
const MAX_BUSY_WAIT: Duration = Duration::from_secs(1);

/// The seconds that the service has to answer.
///
/// Source: AWS SDKs and tools reference guide, "Settings reference".
pub(super) const TIMEOUT: (&str, &str) = ("AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout");
/// The number of tries.
const TRIES: (&str, &str) = ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts");

/// The endpoints that were asked, with the time that they had, process-wide: when they did not answer, or `None` when
/// they have. A binding makes everything else for each call.
static ASKED: Mutex<BTreeMap<(String, Duration), Option<Instant>>> = Mutex::new(BTreeMap::new());

/// The reason why the instance metadata service gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Absence {
    /// The user switched it off.
    Disabled,
    /// It did not answer in this time, or nothing listens there.
    Silent(String, Duration),
    /// It is there, and did not give the credentials in this time.
    Slow(String, Duration),
    /// It is there, and the machine has no role.
    NoRole,
    /// It answered with this HTTP status.
    Answered(u16),
    /// It answered, and its answer breaks the contract.
    Damaged,
}

impl Absence {
    /// The HTTP status, 0 without one, where the service is there and may answer the same request later.
    pub fn passing_status(&self) -> Option<u16> {
        match self {
            Absence::Answered(status @ (408 | 429 | 500..)) => Some(*status),
            Absence::Slow(..) => Some(0),
            Absence::Answered(_) | Absence::Disabled | Absence::Silent(..) | Absence::NoRole | Absence::Damaged => None,
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absence::Disabled => {
                write!(formatter, "the instance metadata service is switched off ({METADATA_DISABLED})")
            }
            Absence::Silent(endpoint, time) => write!(
                formatter,
                "the instance metadata service at {endpoint} did not answer within {} s",
                time.as_secs_f64()
            ),
            Absence::Slow(endpoint, time) => write!(
                formatter,
                "the instance metadata service at {endpoint} is there and gave no credentials within {} s",
                time.as_secs_f64()
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
    probe_timeout: Duration,
    fetch_timeout: Duration,
    tries: u32,
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
        let (probe_timeout, tries) = patience(environment, profiles);
        let fetch_timeout = probe_timeout.max(FETCH_TIMEOUT);
        let client = Client::builder()
            .configure(&ProviderConfig::without_region().with_http_client(direct.clone()))
            .max_attempts(1)
            .connect_timeout(probe_timeout)
            // We end a request ourselves, since the SDK's error does not tell a late answer from a damaged one.
            .read_timeout(MAX_TIMEOUT)
            .operation_attempt_timeout(MAX_TIMEOUT)
            .operation_timeout(MAX_TIMEOUT)
            .endpoint(&endpoint)
            .map_err(|_| Error::NotConfigured {
                problem: format!("{METADATA_URL} {} is not a URL", quoted(&endpoint)),
                remedy: "set it to a URL such as http://169.254.169.254, or remove it".to_owned(),
                source: None,
            })?
            .build();
        let is_disabled = environment.get(METADATA_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Self { client, endpoint, is_disabled, probe_timeout, fetch_timeout, tries })
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
        let mut tried = 0;
        loop {
            tried += 1;
            let absence = match tokio::time::timeout(self.fetch_timeout, provider.provide_credentials()).await {
                Ok(Ok(credentials)) => return Ok(credentials),
                Ok(Err(error)) => {
                    let source = error.source().and_then(|source| source.downcast_ref::<ImdsError>());
                    source.map_or(Absence::Damaged, |source| self.absence(source))
                }
                Err(_) => Absence::Silent(self.endpoint.clone(), self.fetch_timeout),
            };
            match absence {
                again if self.is_tried_again(&again, tried).await => {}
                Absence::Silent(endpoint, _) => return Err(Absence::Slow(endpoint, self.fetch_timeout)),
                other => return Err(other),
            }
        }
    }

    /// Asks for what it answers at once, if it is there.
    async fn get(&self, path: &str) -> Result<String, Absence> {
        if self.is_disabled {
            return Err(Absence::Disabled);
        }
        let key = (self.endpoint.clone(), self.probe_timeout);
        let known = ASKED.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        // One that has answered is given the time to answer again.
        let time = if let Some(None) = known { self.fetch_timeout } else { self.probe_timeout };
        let silent = || Absence::Silent(self.endpoint.clone(), time);
        if is_silent(known, Instant::now()) {
            return Err(silent());
        }
        let mut tried = 0;
        let answer = loop {
            tried += 1;
            // The token and the value are two requests, each with its own timeout; both together get the time.
            let answer = match tokio::time::timeout(time, self.client.get(path)).await {
                Ok(Ok(value)) => Ok(String::from(value)),
                Ok(Err(error)) => Err(self.absence(&error)),
                Err(_) => Err(silent()),
            };
            match &answer {
                Err(absence) if self.is_tried_again(absence, tried).await => {}
                Ok(_) | Err(_) => break answer,
            }
        };
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Ok(_) => asked.insert(key, None),
            Err(Absence::Silent(..)) if known != Some(None) => asked.insert(key, Some(Instant::now())),
            Err(_) => None,
        };
        answer
    }

    /// Whether to ask again after so many tries. Waits before that where the service was busy.
    async fn is_tried_again(&self, absence: &Absence, tried: u32) -> bool {
        if matches!(absence, Absence::Silent(..)) {
            return tried < self.tries;
        }
        let is_again = absence.passing_status().is_some() && tried < self.tries.max(TRIES_WHILE_BUSY);
        if is_again {
            tokio::time::sleep((BUSY_WAIT * 2_u32.pow(tried - 1)).min(MAX_BUSY_WAIT)).await;
        }
        is_again
    }

    // Display and Debug of an ImdsError print the raw answer, so we take only its kind and status.
    fn absence(&self, error: &ImdsError) -> Absence {
        let silent = || Absence::Silent(self.endpoint.clone(), self.probe_timeout);
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
            _ if causes(error).any(|cause| cause.is::<reqwest::Error>()) => silent(),
            _ => Absence::Damaged,
        }
    }
}

fn is_silent(known: Option<Option<Instant>>, now: Instant) -> bool {
    known.flatten().is_some_and(|since| now.saturating_duration_since(since) < SILENCE_INTERVAL)
}

/// The time of a probe and the number of tries, as the environment or the profile asks for. What is not a number, or is
/// zero, does not count.
fn patience(environment: &Environment, profiles: &Profiles) -> (Duration, u32) {
    let get = |(variable, property)| environment.get(variable).or_else(|| profiles.get(property)).map(str::trim);
    let seconds = get(TIMEOUT).and_then(|text| text.parse().ok()).filter(|seconds: &f64| *seconds > 0.0);
    let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let tries = get(TRIES).and_then(|text| text.parse().ok()).filter(|tries: &u32| *tries > 0);
    (timeout.unwrap_or(PROBE_TIMEOUT).min(MAX_TIMEOUT), tries.unwrap_or(1).min(MAX_TRIES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_service_is_asked_again_after_a_minute() {
        let since = Instant::now();
        assert!(is_silent(Some(Some(since)), since + Duration::from_secs(59)));
        assert!(!is_silent(Some(Some(since)), since + Duration::from_secs(60)));
        assert!(!is_silent(Some(None), since));
        assert!(!is_silent(None, since));
    }
}
