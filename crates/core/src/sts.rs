//! AssumeRole: credentials of a role from STS itself, called with the base identity.
//!
//! [`crate::base_identity`] decides on endpoint, region and base identity, [`crate::network`] on proxy and authorities.
//! A call is tried at most three times, within 30 s unless [`Sts::with_timeout`] says less, and only when STS
//! throttles, has a temporary fault or cannot be reached. Nothing is cached here but the base identity, which is looked for
//! once more within the same call when STS does not know its keys any more.

mod answer;
mod extras;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sts::Client;
use aws_sdk_sts::config::interceptors::InterceptorContext;
use aws_sdk_sts::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_sts::config::{Builder, SharedHttpClient};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::answer::DateInterceptor;
use crate::aws_error::{self, StsCall};
use crate::base_identity::{self, BaseCredentials, BaseIdentity, CALL_TIMEOUT, Environment, region, timeout_config};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::network::{Network, is_loopback};
use crate::renewal::Clocks;
use crate::request::{Extras, SessionDuration, SessionName};
use crate::role::RoleArn;
use crate::settings::Settings;

/// STS, called with the base identity of this process.
///
/// Its connections live as long as the runtime on which they were made: use one for the calls of one runtime.
#[derive(Clone)]
pub struct Sts {
    environment: Environment,
    network: Network,
    http: SharedHttpClient,
    /// The client for the instance metadata service, which no proxy reaches.
    direct: SharedHttpClient,
    base: Arc<Mutex<Option<Arc<BaseCredentials>>>>,
    timeout: Duration,
    throttling: Throttling,
}

/// The outcome of a successful AssumeRole.
#[derive(Debug, Clone)]
pub struct IssuedCredentials {
    /// The credentials of the role.
    pub credentials: Credentials,
    /// The id by which AWS finds the request, if the answer has one.
    pub request_id: Option<String>,
    /// The warnings for the operator, although the call succeeded; one sentence each.
    pub warnings: Vec<String>,
}

impl Sts {
    /// Reads the settings. Nothing is sent. `environment` is where the base identity is looked for.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a proxy or a file of certificates cannot be used.
    pub fn new(settings: &Settings, environment: &Environment) -> Result<Self, Error> {
        let network = Network::from_settings(settings)?;
        Ok(Self {
            environment: environment.clone(),
            http: network.aws_client(None)?,
            network,
            direct: Network::metadata_client()?,
            base: Arc::default(),
            timeout: CALL_TIMEOUT,
            throttling: Throttling::Retried,
        })
    }

    /// Sets how long a call may take, its tries and the search for the base identity included, for a caller that has to
    /// answer in time itself. A try takes at most half of the time left, so that a dead connection leaves time for a
    /// second try.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Leaves a call that STS throttles to the caller, which shares a budget of calls: [`Error::is_throttling`] tells it.
    pub fn with_throttling_returned(self) -> Self {
        Self { throttling: Throttling::Returned, ..self }
    }

    /// Asks STS for credentials of a role. The role may be in any account that trusts the base identity.
    ///
    /// A base identity that is itself a role gets at most one hour: a longer duration is shortened, with a warning.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when STS would refuse the request as it stands (nothing is sent),
    /// [`Error::NotConfigured`] without a base identity or a region, [`Error::Refused`] when STS refuses,
    /// [`Error::Unavailable`] when a later call may succeed, [`Error::BadAnswer`] when the answer is damaged.
    pub async fn assume_role(
        &self,
        role: &RoleArn,
        session_name: &SessionName,
        duration: SessionDuration,
        extras: &Extras,
    ) -> Result<IssuedCredentials, Error> {
        extras::check(extras)?;
        let deadline = Instant::now() + self.timeout;
        let request = Request { role, session_name, duration, extras };
        let (base, stale) = self.base_credentials(deadline).await?;
        let first = self.send(&base, &request, deadline).await?;
        let (base, sent) = match &first.answer {
            Err(error) => match self.find_other_base(&base, error, deadline).await {
                Some(other) => {
                    let second = self.send(&other, &request, deadline).await?;
                    (other, second)
                }
                None => (base, first),
            },
            Ok(_) => (base, first),
        };
        let Sent { answer, mut warnings, date_interceptor } = sent;
        warnings.extend(stale);
        let attempted = format!("assuming role {role} at {}", endpoint_label(&base));
        let answer = answer.map_err(|error| {
            let call = StsCall::AssumeRole(role, base.provider);
            aws_error::from_sdk(attempted.clone(), call, &secrets(&base, extras), &error)
        })?;
        let answered_at = date_interceptor.answered_at().unwrap_or_else(SystemTime::now);
        let credentials =
            answer::credentials(&answer, answered_at, role).map_err(|problem| answer::damaged(attempted, problem))?;
        let credentials = credentials.with_session_name(Some(session_name.clone()));
        Ok(IssuedCredentials { credentials, request_id: answer.request_id().map(str::to_owned), warnings })
    }

    /// Finds the base identity and asks STS who it is.
    ///
    /// # Errors
    /// As [`Sts::assume_role`], without `InvalidArgument`.
    pub async fn base_identity(&self) -> Result<BaseIdentity, Error> {
        let deadline = Instant::now() + self.timeout;
        let (base, _) = self.base_credentials(deadline).await?;
        let ask = async |base: &BaseCredentials| {
            self.client(base, &DateInterceptor::default(), deadline).get_caller_identity().send().await
        };
        let first = ask(&base).await;
        let (base, answer) = match &first {
            Err(error) => match self.find_other_base(&base, error, deadline).await {
                Some(other) => {
                    let second = ask(&other).await;
                    (other, second)
                }
                None => (base, first),
            },
            Ok(_) => (base, first),
        };
        let attempted = format!("asking who the base identity ({}) is at {}", base.provider, endpoint_label(&base));
        let answer = answer.map_err(|error| {
            let call = StsCall::GetCallerIdentity(base.provider);
            aws_error::from_sdk(attempted.clone(), call, &secrets(&base, &Extras::default()), &error)
        })?;
        match (answer.arn(), answer.account()) {
            (Some(arn), Some(account)) if arn.starts_with("arn:") => Ok(BaseIdentity {
                provider: base.provider,
                is_role: base.is_role || arn.contains(":assumed-role/"),
                arn: arn.to_owned(),
                account: account.to_owned(),
            }),
            (Some(_) | None, _) => Err(answer::damaged(attempted, "the answer names no identity".to_owned())),
        }
    }

    /// Finds the base identity. What was found earlier is used to its end, with a warning, whatever keeps a newer one from
    /// being found.
    async fn base_credentials(&self, deadline: Instant) -> Result<(Arc<BaseCredentials>, Option<String>), Error> {
        let mut cached = self.base.lock().await;
        let now = Clocks::now();
        if let Some(base) = cached.as_ref().filter(|base| base.is_fresh(now)) {
            return Ok((base.clone(), None));
        }
        let search = BaseCredentials::find(&self.environment, &self.network, &self.http, &self.direct);
        let found = match tokio::time::timeout_at(deadline, search).await {
            Ok(found) => found.map(Arc::new),
            Err(_) => Err(base_identity::timed_out(&self.environment)),
        };
        match (found, cached.as_ref()) {
            (Ok(found), _) => {
                *cached = Some(found.clone());
                Ok((found, None))
            }
            (Err(error), Some(base)) if base.is_good(Clocks::now()) => {
                Ok((base.clone(), Some(format!("the base identity found earlier is used on, since {error}"))))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Looks for the base identity once more when STS does not know its credentials any more: somebody has rotated the
    /// keys. Returns credentials that differ from the refused ones; others would be refused again.
    async fn find_other_base<E: ProvideErrorMetadata>(
        &self,
        refused: &Arc<BaseCredentials>,
        error: &SdkError<E>,
        deadline: Instant,
    ) -> Option<Arc<BaseCredentials>> {
        if !aws_error::service_code(error).is_some_and(|code| aws_error::is_about_keys(&code)) {
            return None;
        }
        {
            let mut cached = self.base.lock().await;
            // Another call may have found the new ones already.
            if cached.as_ref().is_some_and(|cached| Arc::ptr_eq(cached, refused)) {
                *cached = None;
            }
        }
        let (found, _) = self.base_credentials(deadline).await.ok()?;
        let (old, new) = (&refused.credentials, &found.credentials);
        let is_other = old.access_key_id() != new.access_key_id()
            || old.secret_access_key() != new.secret_access_key()
            || old.session_token() != new.session_token();
        is_other.then_some(found)
    }

    /// Sends a request with these base credentials; once more with a shorter duration if a chained role may not have it.
    async fn send(&self, base: &BaseCredentials, request: &Request<'_>, deadline: Instant) -> Result<Sent, Error> {
        check_partition(request.role, base)?;
        let mut warnings = Vec::from_iter(plaintext_warning(base));
        let shortened = || {
            format!(
                "{} s were requested, but AWS gives {} s, because the base identity ({}) is itself a role",
                request.duration.seconds(),
                SessionDuration::CHAINED_MAXIMUM.seconds(),
                base.provider
            )
        };
        let mut duration = request.duration;
        if base.is_role && duration > SessionDuration::CHAINED_MAXIMUM {
            warnings.push(shortened());
            duration = SessionDuration::CHAINED_MAXIMUM;
        }
        let date_interceptor = DateInterceptor::default();
        let client = || self.client(base, &date_interceptor, deadline);
        let mut answer = send(&client(), request, duration).await;
        if duration > SessionDuration::CHAINED_MAXIMUM && answer.as_ref().is_err_and(aws_error::is_role_chaining) {
            warnings.push(shortened());
            answer = send(&client(), request, SessionDuration::CHAINED_MAXIMUM).await;
        }
        Ok(Sent { answer, warnings, date_interceptor })
    }

    fn client(&self, base: &BaseCredentials, date_interceptor: &DateInterceptor, deadline: Instant) -> Client {
        let config = Builder::from(&base.config)
            .timeout_config(timeout_config(deadline.saturating_duration_since(Instant::now())))
            .credentials_provider(base.credentials.clone())
            .interceptor(date_interceptor.clone());
        let config = match self.throttling {
            Throttling::Retried => config,
            Throttling::Returned => config.retry_classifier(ThrottlingIsFinal),
        };
        let config = match &base.endpoint {
            Some(endpoint) => config.endpoint_url(endpoint),
            None => config,
        };
        Client::from_conf(config.build())
    }
}

/// A request for a role.
struct Request<'a> {
    role: &'a RoleArn,
    session_name: &'a SessionName,
    duration: SessionDuration,
    extras: &'a Extras,
}

/// A request that was sent, with what came of it.
struct Sent {
    answer: Result<AssumeRoleOutput, SdkError<AssumeRoleError>>,
    warnings: Vec<String>,
    date_interceptor: DateInterceptor,
}

/// What happens when STS throttles a call.
#[derive(Debug, Clone, Copy)]
enum Throttling {
    /// The call is tried again, as after any temporary fault.
    Retried,
    /// The caller gets the error, because it knows who else waits.
    Returned,
}

/// Keeps the AWS SDK from trying a throttled call again.
#[derive(Debug)]
struct ThrottlingIsFinal;

impl ClassifyRetry for ThrottlingIsFinal {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let error = error.and_then(|error| error.as_operation_error()?.downcast_ref::<AssumeRoleError>());
        match error.and_then(ProvideErrorMetadata::code) {
            Some(code) if aws_error::is_throttling_code(code) => RetryAction::RetryForbidden,
            Some(_) | None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "ThrottlingIsFinal"
    }
}

impl fmt::Debug for Sts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sts").field("environment", &self.environment).finish_non_exhaustive()
    }
}

async fn send(
    client: &Client,
    request: &Request<'_>,
    duration: SessionDuration,
) -> Result<AssumeRoleOutput, SdkError<AssumeRoleError>> {
    let Request { role, session_name, extras, .. } = request;
    let arns = extras.policy_arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build());
    let tags = extras
        .tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build().expect("key and value are what a tag needs"));
    let seconds = i32::try_from(duration.seconds()).expect("a session duration is 43 200 s at most");
    client
        .assume_role()
        .role_arn(role.as_str())
        .role_session_name(session_name.as_str())
        .duration_seconds(seconds)
        .set_external_id(extras.external_id.clone())
        .set_policy(extras.policy.clone())
        .set_policy_arns(non_empty(arns.collect()))
        .set_tags(non_empty(tags.collect()))
        .set_source_identity(extras.source_identity.clone())
        .send()
        .await
}

fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn endpoint_label(base: &BaseCredentials) -> String {
    base.endpoint.clone().unwrap_or_else(|| format!("STS in {}", base.region))
}

/// Refuses a role of another partition than the region's: China and GovCloud have an STS of their own.
fn check_partition(role: &RoleArn, base: &BaseCredentials) -> Result<(), Error> {
    let partition = region::partition(&base.region);
    if base.endpoint.is_some() || role.partition() == partition {
        Ok(())
    } else {
        Err(Error::NotConfigured {
            problem: format!(
                "role {role} belongs to partition {}, and the region {} belongs to partition {partition}",
                role.partition(),
                base.region
            ),
            remedy: "set AWS_REGION to a region of the role's partition".to_owned(),
            source: None,
        })
    }
}

fn plaintext_warning(base: &BaseCredentials) -> Option<String> {
    let url = reqwest::Url::parse(base.endpoint.as_ref()?).ok()?;
    (url.scheme() == "http" && !is_loopback(&url))
        .then(|| format!("credentials travel unencrypted: the endpoint of STS is {}", endpoint_label(base)))
}

fn secrets<'a>(base: &'a BaseCredentials, extras: &'a Extras) -> Vec<&'a str> {
    let mut secrets = vec![base.credentials.secret_access_key()];
    secrets.extend(base.credentials.session_token());
    secrets.extend(extras.external_id.as_deref());
    secrets
}
