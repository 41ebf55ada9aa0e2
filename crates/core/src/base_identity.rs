//! The base identity: whose credentials call AssumeRole, and where they are found.
//!
//! The chain of the AWS SDKs looks for it, in this order: environment, profile, web identity, container, instance
//! metadata. The chain reads an [`Environment`], never the process's own variables. A provider that is configured but
//! unusable ends the search with an error: a profile that does not exist must not turn into the role of the machine.

mod environment;
mod error;
mod metadata;
mod places;
mod process;
mod profile;
pub(crate) mod provider;
pub(crate) mod region;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_sts::config::SharedHttpClient;
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

pub use self::environment::{
    ACCESS_KEY_ID, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL, CREDENTIAL_EXPIRATION, Environment, ISSUED,
    SECRET_ACCESS_KEY, SESSION_TOKEN,
};
pub(crate) use self::environment::{
    BOTO_CONFIG, CONTAINER_PATH, HANDED_ON, METADATA_DISABLED, NO_PROXY, PROFILE, REGION, SECURITY_TOKEN,
    WEB_IDENTITY_ROLE, WEB_IDENTITY_SESSION_NAME, WEB_IDENTITY_TOKEN_FILE,
};
pub(crate) use self::error::timed_out;
use self::metadata::Metadata;
pub(crate) use self::places::{Place, places};
pub use self::process::ITS_OWN_BASE;
pub(crate) use self::profile::{
    PROFILE_FILES, Profiles, boto_file_with_credentials, default_profile_with_credentials, home, profile_files,
};
pub use self::provider::BaseProvider;
use crate::credentials::can_sign;
use crate::error::Error;
use crate::network::{CONNECT_TIMEOUT, Network};
use crate::renewal::{self, Clocks};

/// The base identity as STS sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseIdentity {
    /// The provider that gave it.
    pub provider: BaseProvider,
    /// Whether it is itself a role; if so, AWS ends every session after one hour.
    pub is_role: bool,
    /// Its ARN as GetCallerIdentity answers: `arn:aws:sts::123456789012:assumed-role/hop/i-0abc`.
    pub arn: String,
    /// The twelve digits of its account.
    pub account: String,
}

/// The credentials of the base identity, and how to reach STS with them.
pub(crate) struct BaseCredentials {
    /// The provider that gave it.
    pub provider: BaseProvider,
    /// Whether it is known to be a role itself.
    pub is_role: bool,
    /// Its credentials.
    pub credentials: Credentials,
    /// When it was found.
    found: Clocks,
    /// Region, timeouts, tries and HTTP client of a client of STS.
    pub config: SdkConfig,
    /// The region in the signature and in the host name of STS.
    pub region: String,
    /// The URL of STS where it is not the region's own host, from `AWS_ENDPOINT_URL_STS` or the like.
    pub endpoint: Option<String>,
}

/// The time for a call unless [`Sts::with_timeout`](crate::sts::Sts::with_timeout) says otherwise, the search for the
/// base identity included.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The time after which credentials without an expiration are looked for again, as in the AWS SDKs.
const UNDATED_FRESH_FOR: Duration = Duration::from_secs(15 * 60);
/// The time before their expiration at which credentials are looked for again. The metadata services have new ones five
/// minutes before.
const EXPIRATION_LEAD: Duration = Duration::from_secs(60);

impl BaseCredentials {
    /// Looks for the base identity, and for the region of STS. Where a profile names authorities to trust, a client that
    /// `network` makes takes the place of `http`.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when there is no base identity or no region, or when a configured one is unusable, or the
    /// profile's authorities are;
    /// [`Error::Unavailable`], [`Error::Refused`] or [`Error::BadAnswer`] when the service that holds it fails.
    pub async fn find(
        environment: &Environment,
        network: &Network,
        http: &SharedHttpClient,
        direct: &SharedHttpClient,
    ) -> Result<Self, Error> {
        environment.check_complete()?;
        let profiles = Profiles::read(environment).await?;
        if environment.get(ACCESS_KEY_ID).is_none() {
            profiles.check_source()?;
        }
        let http = match profiles.ca_bundle(environment) {
            Some(bundle) => &network.aws_client(Some(bundle))?,
            None => http,
        };
        let metadata = Metadata::new(environment, &profiles, direct)?;
        let region = match environment.get_first(&REGION).or_else(|| profiles.get("region")) {
            Some(region) => Ok(region::parse(region)?.to_owned()),
            None => metadata.region().await,
        };
        if let Err(absence) = region.as_ref()
            && is_assumed(environment, &profiles)
        {
            return Err(error::no_region(absence));
        }
        let program = profiles.credential_process().filter(|_| environment.get(ACCESS_KEY_ID).is_none());
        let printed = match program {
            Some((name, command)) => Some((name, process::run(command, name, environment).await?)),
            None => None,
        };
        let files = profiles.files(printed.as_ref().map(|(name, keys)| (*name, keys)));
        let config = sdk_config(environment, &profiles, files, region.as_deref().ok(), http).await;
        let endpoint = endpoint(&config)?;
        let chain = config.credentials_provider().expect("the loader makes a chain");
        let (provider, credentials) = match chain.provide_credentials().await {
            // The keys in the file have no expiration, and those that the program printed may have one.
            Ok(found) => match printed {
                Some((_, printed)) if printed.access_key_id() == found.access_key_id() => {
                    (BaseProvider::Profile, printed)
                }
                Some(_) | None => (provider_from(&found), found),
            },
            Err(CredentialsError::CredentialsNotLoaded(_)) => match metadata.credentials().await {
                Ok(credentials) => (BaseProvider::InstanceProfile, credentials),
                Err(absence) => return Err(error::not_found(environment, &profiles.name, &absence)),
            },
            Err(error) => return Err(error::from_chain(environment, &profiles.name, error)),
        };
        if !can_sign(credentials.access_key_id(), credentials.secret_access_key(), credentials.session_token()) {
            return Err(error::illegible(provider.display_name()));
        }
        let region = region.map_err(|absence| error::no_region(&absence))?;
        let is_role = match provider {
            BaseProvider::Environment => false,
            BaseProvider::Profile => profiles.get("role_arn").is_some(),
            BaseProvider::WebIdentity | BaseProvider::Container | BaseProvider::InstanceProfile => true,
        };
        Ok(Self { provider, is_role, credentials, found: Clocks::now(), config, region, endpoint })
    }

    /// Whether it need not be looked for again.
    pub fn is_fresh(&self, now: Clocks) -> bool {
        let fresh_for = match self.valid_for() {
            Some(valid_for) => valid_for.saturating_sub(EXPIRATION_LEAD),
            None => UNDATED_FRESH_FOR,
        };
        !renewal::due(self.found, fresh_for, now).is_zero()
    }

    /// Whether its credentials have not expired. Credentials without an expiration never do.
    pub fn is_good(&self, now: Clocks) -> bool {
        let left = |expiration| renewal::left(self.found, self.valid_for().unwrap_or_default(), expiration, now);
        self.credentials.expiry().is_none_or(|expiration| !left(expiration).is_zero())
    }

    fn valid_for(&self) -> Option<Duration> {
        let expiration = self.credentials.expiry()?;
        Some(expiration.duration_since(self.found.wall).unwrap_or_default())
    }
}

/// Whether the base identity is a role that the chain assumes at STS, which takes a region.
fn is_assumed(environment: &Environment, profiles: &Profiles) -> bool {
    let has_keys = environment.get(ACCESS_KEY_ID).is_some();
    !has_keys && (profiles.get("role_arn").is_some() || environment.get(WEB_IDENTITY_TOKEN_FILE).is_some())
}

/// The configuration of the AWS SDK, whose chain asks every provider but the instance metadata service. [`Metadata`]
/// asks that one, because the SDK tries it up to four times.
async fn sdk_config(
    environment: &Environment,
    profiles: &Profiles,
    files: EnvConfigFiles,
    region: Option<&str>,
    http: &SharedHttpClient,
) -> SdkConfig {
    let mut overrides = vec![(PROFILE[0], profiles.name.as_str())];
    overrides.extend(region.map(|region| (REGION[0], region)));
    if !profiles.uses_metadata_service() {
        overrides.push((METADATA_DISABLED, "true"));
    }
    // The loader takes an explicit environment only with the feature `test-util`, which opens this one function.
    // Without it the chain reads the process's own variables, which we may have written.
    aws_config::defaults(BehaviorVersion::latest())
        .env(environment.to_sdk_env(&overrides))
        .profile_files(files)
        .http_client(http.clone())
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(500)))
        .timeout_config(timeout_config(CALL_TIMEOUT))
        .identity_cache(aws_sdk_sts::config::IdentityCache::no_cache())
        .load()
        .await
}

/// The timeouts of a connection, of one try, and of all tries with the waits between them (`total`).
pub(crate) fn timeout_config(total: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(Duration::from_secs(10).min(total / 2))
        .operation_timeout(total)
        .build()
}

/// The URL of STS where it is not the region's own host, from the first that is set: `AWS_ENDPOINT_URL_STS`,
/// `AWS_ENDPOINT_URL`, the profile's `services`, the profile's `endpoint_url`.
///
/// We check it, because an error of the AWS SDK about a bad one repeats the whole request, external id and policy
/// included.
fn endpoint(config: &SdkConfig) -> Result<Option<String>, Error> {
    let key = ServiceConfigKey::builder().service_id("sts").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let key = key.expect("all three are there");
    let Some(endpoint) = config.service_config().and_then(|configured| configured.load_config(key)) else {
        return Ok(None);
    };
    let has_plain_characters =
        endpoint.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte));
    let is_usable = |url: reqwest::Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
    if config.use_fips() == Some(true) || config.use_dual_stack() == Some(true) {
        let switch =
            if config.use_fips() == Some(true) { "AWS_USE_FIPS_ENDPOINT" } else { "AWS_USE_DUALSTACK_ENDPOINT" };
        Err(Error::NotConfigured {
            problem: format!("{switch} is true, and the endpoint of STS is set too, which exclude each other"),
            remedy: format!("remove {switch}, or AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL or the profile's endpoint_url"),
            source: None,
        })
    } else if has_plain_characters && reqwest::Url::parse(&endpoint).is_ok_and(is_usable) {
        Ok(Some(endpoint))
    } else {
        Err(Error::NotConfigured {
            problem: "the endpoint of STS is not a URL of the form https://host or http://host:port".to_owned(),
            remedy: "correct or remove AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL or the profile's endpoint_url".to_owned(),
            source: None,
        })
    }
}

/// The provider of the chain that answered. The AWS SDK notes it for its user agent.
fn provider_from(credentials: &Credentials) -> BaseProvider {
    let features = credentials.get_property::<Vec<AwsCredentialFeature>>();
    let has = |feature| features.is_some_and(|features| features.contains(&feature));
    if has(AwsCredentialFeature::CredentialsProfile) {
        BaseProvider::Profile
    } else if has(AwsCredentialFeature::CredentialsProfileStsWebIdToken) {
        BaseProvider::WebIdentity
    } else if has(AwsCredentialFeature::CredentialsHttp) {
        BaseProvider::Container
    } else if has(AwsCredentialFeature::CredentialsImds) {
        BaseProvider::InstanceProfile
    } else {
        BaseProvider::Environment
    }
}
