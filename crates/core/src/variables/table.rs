//! The one table of effects: what happens to each variable when readers shall find credentials, or an endpoint.
//!
//! A reader is any program or library that looks for AWS credentials. They do not look in the same order, so whatever one
//! of them prefers to what we write is taken out.

use crate::base_identity::{
    ACCESS_KEY_ID, BOTO_CONFIG, CONTAINER_PATH, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL,
    CREDENTIAL_EXPIRATION, HANDED_ON, ISSUED, NO_PROXY, PROFILE, REGION, SECRET_ACCESS_KEY, SECURITY_TOKEN,
    SESSION_TOKEN, WEB_IDENTITY_ROLE, WEB_IDENTITY_SESSION_NAME, WEB_IDENTITY_TOKEN_FILE,
};

use super::carried::OUTPUT;
use super::fsspec::FSSPEC;

use self::Effect::{Carried, HandedOn, Left, Removed, RemovedIfOurs, Set, WithoutCredentials};

/// The account of the keys in the environment.
///
/// Source: AWS SDKs and tools reference guide, "Account-based endpoints".
pub(super) const ACCOUNT: &str = "AWS_ACCOUNT_ID";

/// What happens to a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It stays as it is.
    Left,
    /// It gets a value of ours.
    Set,
    /// It gets what another variable held that leads to the base identity, for the processes that this one starts.
    HandedOn,
    /// It gets what a profile holds that is taken out, unless it has a value.
    Carried,
    /// It keeps what it holds beside credentials.
    WithoutCredentials,
    /// It is removed.
    Removed,
    /// It is removed where we, or the process that started this one, wrote it.
    RemovedIfOurs,
}

/// A variable, and what happens to it.
pub(super) struct Variable {
    pub name: &'static str,
    pub with_credentials: Effect,
    pub with_endpoint: Effect,
}

const fn variable(name: &'static str, with_credentials: Effect, with_endpoint: Effect) -> Variable {
    Variable { name, with_credentials, with_endpoint }
}

/// A variable that some reader prefers, or that would mix other credentials with ours.
const fn preferred(name: &'static str) -> Variable {
    variable(name, Removed, Removed)
}

/// A variable that may hold credentials beside other things.
const fn beside_credentials(name: &'static str) -> Variable {
    variable(name, WithoutCredentials, WithoutCredentials)
}

/// The variable that tells a child what stood in one of ours.
const fn handed_on(number: usize) -> Variable {
    variable(HANDED_ON[number].1, HandedOn, HandedOn)
}

/// A variable for what a profile holds beside credentials.
const fn carried(name: &'static str) -> Variable {
    variable(name, Carried, Carried)
}

/// Every variable that we write, in the order of writing: first what is set, then what is removed, the expiration last
/// of all.
///
/// After each single write a reader finds who it found before, or the role, or an error. So the mark precedes the keys
/// that it marks; everything that a reader falls back to is removed before the keys are, or after new ones are there.
///
/// Sources: the SDKs' own order of providers. JavaScript v3 and .NET put a profile, .NET and Java put a web identity,
/// before keys or an endpoint; botocore puts `AWS_SECURITY_TOKEN` before the session token, and the files of
/// `AWS_CREDENTIAL_FILE` and `BOTO_CONFIG` before an endpoint; Java 1 and Ruby know further names of the keys,
/// Java 1 one of a file of profiles, object_store one of the session token; the bearer token replaces a signature; s3fs puts the configuration of fsspec
/// before everything; delta-rs assumes one more role where a variable names it.
pub(super) const TABLE: [Variable; 99] = [
    handed_on(0),
    handed_on(1),
    handed_on(2),
    handed_on(3),
    handed_on(4),
    handed_on(5),
    handed_on(6),
    handed_on(7),
    handed_on(8),
    variable(ISSUED, Set, Set),
    variable(NO_PROXY[0], Left, Set),
    variable(NO_PROXY[1], Left, Set),
    variable(CONTAINER_URL, RemovedIfOurs, Set),
    variable(CONTAINER_TOKEN, RemovedIfOurs, Set),
    variable(CONTAINER_TOKEN_FILE, RemovedIfOurs, Set),
    carried(REGION[0]),
    carried(REGION[1]),
    carried("AWS_ENDPOINT_URL"),
    carried("AWS_ENDPOINT_URL_ATHENA"),
    carried("AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
    carried("AWS_ENDPOINT_URL_CLOUDWATCH"),
    carried("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"),
    carried("AWS_ENDPOINT_URL_DYNAMODB"),
    carried("AWS_ENDPOINT_URL_EC2"),
    carried("AWS_ENDPOINT_URL_ECR"),
    carried("AWS_ENDPOINT_URL_GLUE"),
    carried("AWS_ENDPOINT_URL_KINESIS"),
    carried("AWS_ENDPOINT_URL_KMS"),
    carried("AWS_ENDPOINT_URL_LAMBDA"),
    carried("AWS_ENDPOINT_URL_S3"),
    carried("AWS_ENDPOINT_URL_SAGEMAKER"),
    carried("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
    carried("AWS_ENDPOINT_URL_SNS"),
    carried("AWS_ENDPOINT_URL_SQS"),
    carried("AWS_ENDPOINT_URL_STS"),
    carried("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    carried("AWS_USE_DUALSTACK_ENDPOINT"),
    carried("AWS_USE_FIPS_ENDPOINT"),
    carried("AWS_CA_BUNDLE"),
    carried("AWS_ACCOUNT_ID_ENDPOINT_MODE"),
    carried("AWS_AUTH_SCHEME_PREFERENCE"),
    carried("AWS_DEFAULTS_MODE"),
    carried("AWS_DISABLE_REQUEST_COMPRESSION"),
    carried("AWS_MAX_ATTEMPTS"),
    carried("AWS_REQUEST_CHECKSUM_CALCULATION"),
    carried("AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES"),
    carried("AWS_RESPONSE_CHECKSUM_VALIDATION"),
    carried("AWS_RETRY_MODE"),
    carried("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"),
    carried("AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS"),
    carried("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"),
    carried("AWS_S3_USE_ARN_REGION"),
    carried("AWS_SIGV4A_SIGNING_REGION_SET"),
    carried("AWS_STS_REGIONAL_ENDPOINTS"),
    carried(OUTPUT),
    variable(ACCOUNT, Set, Left),
    preferred(PROFILE[0]),
    preferred(PROFILE[1]),
    preferred(WEB_IDENTITY_TOKEN_FILE),
    preferred(WEB_IDENTITY_ROLE),
    preferred(WEB_IDENTITY_SESSION_NAME),
    preferred(SECURITY_TOKEN),
    preferred("AWS_TOKEN"),
    preferred("AWS_BEARER_TOKEN_BEDROCK"),
    preferred("AWS_ACCESS_KEY"),
    preferred("AWS_SECRET_KEY"),
    preferred("AMAZON_ACCESS_KEY_ID"),
    preferred("AMAZON_SECRET_ACCESS_KEY"),
    preferred("AMAZON_SESSION_TOKEN"),
    preferred("AWS_IAM_ROLE_ARN"),
    preferred("AWS_IAM_ROLE_SESSION_NAME"),
    preferred("AWS_S3_ASSUME_ROLE_ARN"),
    preferred("AWS_S3_ROLE_SESSION_NAME"),
    preferred("AWS_CREDENTIAL_FILE"),
    preferred("AWS_CREDENTIAL_PROFILES_FILE"),
    beside_credentials(FSSPEC[0]),
    beside_credentials(FSSPEC[1]),
    preferred("FSSPEC_S3_KEY"),
    preferred("FSSPEC_S3_SECRET"),
    preferred("FSSPEC_S3_TOKEN"),
    preferred("FSSPEC_S3_USERNAME"),
    preferred("FSSPEC_S3_PASSWORD"),
    preferred("FSSPEC_S3_PROFILE"),
    preferred("FSSPEC_S3_ANON"),
    beside_credentials(FSSPEC[2]),
    beside_credentials(FSSPEC[3]),
    preferred("FSSPEC_S3A_KEY"),
    preferred("FSSPEC_S3A_SECRET"),
    preferred("FSSPEC_S3A_TOKEN"),
    preferred("FSSPEC_S3A_USERNAME"),
    preferred("FSSPEC_S3A_PASSWORD"),
    preferred("FSSPEC_S3A_PROFILE"),
    preferred("FSSPEC_S3A_ANON"),
    // Other programs read it too, and no reader prefers it to keys.
    variable(BOTO_CONFIG, Left, Removed),
    variable(CONTAINER_PATH, Left, Removed),
    variable(ACCESS_KEY_ID, Set, Removed),
    variable(SECRET_ACCESS_KEY, Set, Removed),
    variable(SESSION_TOKEN, Set, Removed),
    variable(CREDENTIAL_EXPIRATION, Set, Removed),
];
