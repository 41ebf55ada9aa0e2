//! AssumeRole with the base identity, against services on loopback whose answers the test chooses.

mod answers;
mod base;
mod bypass;
mod chain;
mod fake;
mod issued;
mod matrix;
mod metadata;
mod outages;
mod places;
mod requests;
mod tls;

use std::time::{Duration, SystemTime};

use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::error::{Error, causes};
use hops_credentials_core::request::{Extras, SessionDuration};
use hops_credentials_core::settings::Settings;
use hops_credentials_core::sts::{IssuedCredentials, Sts};

use self::fake::{Fake, Reply, Request};

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// Returns a success of AssumeRole with the `Date` of this machine's clock and credentials that are valid for an hour.
fn success() -> Reply {
    let now = SystemTime::now();
    Reply::http("200 OK", &date(now), credentials_xml("ASIAREADER", &instant(now + Duration::from_secs(3600))))
}

fn credentials_xml(access_key_id: &str, expiration: &str) -> String {
    result_xml(&format!(
        "<Credentials><AccessKeyId>{access_key_id}</AccessKeyId><SecretAccessKey>canary-issued-secret</SecretAccessKey>\
         <SessionToken>canary-issued-token</SessionToken><Expiration>{expiration}</Expiration></Credentials>"
    ))
}

fn result_xml(result: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>{result}\
         </AssumeRoleResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></AssumeRoleResponse>"
    )
}

fn error_xml(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}\
         </Code><Message>{message}</Message></Error><RequestId>request-1</RequestId></ErrorResponse>"
    )
}

fn date(instant: SystemTime) -> String {
    let date = DateTime::from(instant).fmt(DateTimeFormat::HttpDate).expect("a date of this century");
    format!("Date: {date}\r\nx-amzn-RequestId: request-1\r\n")
}

fn instant(instant: SystemTime) -> String {
    DateTime::from_secs(DateTime::from(instant).secs()).fmt(DateTimeFormat::DateTime).expect("a date of this century")
}

/// Returns an environment with these variables of AWS only. The metadata service of the machine that runs the tests is
/// switched off: a test that wants one starts its own.
fn environment(variables: &[(&str, &str)]) -> Environment {
    let nothing = [
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let pairs = nothing.iter().chain(variables);
    Environment::from_pairs(pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// Returns the variables of a machine with this instance metadata service.
fn machine(metadata_url: &str) -> [(&str, &str); 2] {
    [("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_url), ("AWS_EC2_METADATA_DISABLED", "false")]
}

/// Returns an environment with base keys and this STS.
fn keys_for(sts: &Fake) -> Environment {
    environment(&[
        ("AWS_ACCESS_KEY_ID", "AKIABASE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-base-secret"),
        ("AWS_SESSION_TOKEN", "canary-base-token"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ])
}

fn sts_client(environment: &Environment) -> Sts {
    let settings = Settings::from_environment().with_environment([]);
    Sts::new(&settings, environment).expect("nothing is set that could be wrong")
}

async fn assume(sts: &Sts, role: &str, seconds: i64, extras: &Extras) -> Result<IssuedCredentials, Error> {
    let role = role.parse().expect("a role ARN");
    let session_name = "meb10000-churn".parse().expect("a session name");
    let duration = SessionDuration::from_seconds(seconds).expect("a duration");
    sts.assume_role(&role, &session_name, duration, extras).await
}

/// Assumes [`ROLE`] for an hour.
async fn assume_reader(environment: &Environment) -> Result<IssuedCredentials, Error> {
    assume(&sts_client(environment), ROLE, 3600, &Extras::default()).await
}

/// Returns the message of an error. Asserts that neither the error nor its sources show a canary.
fn message(error: &Error) -> String {
    let shown = format!("{error:?}{}", causes(error).map(|cause| format!("{cause}{cause:?}")).collect::<String>());
    assert!(!shown.contains("canary") && !error.to_string().contains("canary"), "{shown}");
    error.to_string()
}

/// Writes a file of one test and returns its path.
fn file(name: &str, contents: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, contents).expect("cargo's temporary directory can be written");
    path
}

fn token_file(name: &str) -> String {
    file(name, "canary-jwt")
}
