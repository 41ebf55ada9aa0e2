//! An error of STS as ours: its kind, and what to do about it.
//!
//! An error of the AWS SDK is never printed whole: its `Debug` holds the raw answer, credentials included. We take its
//! code and message, and of a connection's error only texts that cannot repeat an answer.

use std::error::Error as StdError;

use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ConnectorError, ProvideErrorMetadata, SdkError};

use crate::base_identity::provider::BaseProvider;
use crate::error::{Error, causes};
use crate::network::aws::BrokenAnswer;
use crate::network::{NO_AUTHORITY, is_proxy_login_wanted, proxy_login_wanted};
use crate::role::RoleArn;

/// A call of STS, for the remedy.
#[derive(Clone, Copy)]
pub(crate) enum StsCall<'a> {
    /// Assuming a role with the base identity of this provider.
    AssumeRole(&'a RoleArn, BaseProvider),
    /// Asking who the base identity is.
    GetCallerIdentity(BaseProvider),
    /// Assuming the role that is the base identity, with a profile or a web identity.
    AssumeBaseRole,
}

/// The problem when no answer came in time.
pub(crate) const NO_ANSWER: &str = "no answer in time";

/// The longest message of a service that we show.
const MAX_MESSAGE_CHARACTERS: usize = 400;

/// Turns the error of a call into ours.
///
/// `secrets` are cut out of the message of STS, which can repeat the request, the session token included.
pub(crate) fn from_sdk<E>(attempted: String, call: StsCall<'_>, secrets: &[&str], error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata,
{
    match error {
        SdkError::ServiceError(answer) => from_service(attempted, call, secrets, answer.err(), answer.raw()),
        SdkError::TimeoutError(_) => unreachable(attempted, NO_ANSWER.to_owned()),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => from_connector(attempted, error),
            None => unreachable(attempted, "the request was not sent".to_owned()),
        },
        _ => unreachable(attempted, "the request was not sent".to_owned()),
    }
}

/// The error code of an answer, if it has one.
pub(crate) fn service_code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<String> {
    match error {
        SdkError::ServiceError(answer) => answer
            .err()
            .code()
            .map(str::to_owned)
            .or_else(|| xml_text(answer.raw(), "Code"))
            .filter(|code| is_code(code)),
        _ => None,
    }
}

/// Whether an error code says that there were too many calls.
///
/// Source: the codes that the retry behaviour of the AWS SDKs treats as throttling.
pub(crate) fn is_throttling_code(code: &str) -> bool {
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
        "LimitExceededException",
    ]
    .contains(&code)
}

/// Whether an error code says that the same request may succeed later.
///
/// Source: AWS STS API reference, errors of AssumeRoleWithWebIdentity; AWS SDKs, codes of passing errors.
fn may_pass(code: &str) -> bool {
    is_throttling_code(code) || ["IDPCommunicationError", "RequestTimeout", "RequestTimeoutException"].contains(&code)
}

/// Whether an error code says that the service does not take the caller's keys, which somebody may have replaced.
///
/// Source: AWS STS API reference, common errors; the names that other S3 and STS services use for the same.
pub(crate) fn is_about_keys(code: &str) -> bool {
    [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    ]
    .contains(&code)
}

/// Whether STS refused the duration because the caller is itself a role.
pub(crate) fn is_role_chaining<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let is_validation = service_code(error).as_deref() == Some("ValidationError");
    is_validation && error.message().is_some_and(|message| message.contains("role chaining"))
}

const REMEDY_ELSEWHERE: &str = "check what answers there: AWS_ENDPOINT_URL_STS, HTTPS_PROXY, NO_PROXY";

fn from_service<E: ProvideErrorMetadata>(
    attempted: String,
    call: StsCall<'_>,
    secrets: &[&str],
    error: &E,
    raw: &HttpResponse,
) -> Error {
    let status = raw.status().as_u16();
    let code = error.code().map(str::to_owned).or_else(|| xml_text(raw, "Code")).filter(|code| is_code(code));
    let message = error.message().map(str::to_owned).or_else(|| xml_text(raw, "Message"));
    let answer = match (&code, message.map(|message| clean_message(&message, secrets)).filter(|text| !text.is_empty()))
    {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, _) => format!("HTTP {status} without an error code of STS"),
    };
    match (code.as_deref(), status) {
        (None, 407) => proxy_login_wanted(&attempted),
        (code, _) if matches!(status, 408 | 429 | 500..) || code.is_some_and(may_pass) => Error::Unavailable {
            attempted,
            code: status.into(),
            problem: answer,
            remedy: "try again later; if it lasts, see the AWS Health Dashboard".to_owned(),
            source: None,
        },
        (None, 200..=399) => Error::BadAnswer {
            attempted,
            code: status.into(),
            problem: match status {
                200..=299 => "the answer is not what the contract of STS says".to_owned(),
                _ => format!("HTTP {status}, a redirect, which is not followed"),
            },
            remedy: REMEDY_ELSEWHERE.to_owned(),
            source: None,
        },
        (code, _) => {
            let remedy = remedy(code, &answer, call);
            let is_denied = matches!(code, Some("AccessDenied" | "AccessDeniedException"));
            let withdraws = is_denied && matches!(call, StsCall::AssumeRole(..));
            Error::Refused { attempted, code: status.into(), answer, remedy, withdraws }
        }
    }
}

fn remedy(code: Option<&str>, answer: &str, call: StsCall<'_>) -> String {
    let base = match call {
        StsCall::AssumeRole(_, provider) | StsCall::GetCallerIdentity(provider) => {
            format!("the base identity ({provider})")
        }
        StsCall::AssumeBaseRole => "the identity that the base role is assumed with".to_owned(),
    };
    match code.unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" => match call {
            StsCall::AssumeRole(role, provider) => format!(
                "check both policies: the base identity ({provider}) must be allowed sts:AssumeRole on {role}, and the \
                 trust policy of that role must name the base identity and hold for this request (external id, tags, \
                 source identity)"
            ),
            StsCall::GetCallerIdentity(_) => format!("check the policies of {base}"),
            StsCall::AssumeBaseRole => "check the trust policy of the base role, and what it asks for".to_owned(),
        },
        "ExpiredToken" | "ExpiredTokenException" => format!("renew the credentials of {base}"),
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => {
            format!("correct the access key id of {base}, which STS does not know there")
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            format!("correct the secret access key of {base}; if it is right, set the clock of this machine")
        }
        "RequestExpired" | "RequestTimeTooSkewed" => "set the clock of this machine".to_owned(),
        "RegionDisabledException" | "RegionDisabled" => {
            "activate STS for this region in the account settings of IAM, or set AWS_REGION to an active one".to_owned()
        }
        "MalformedPolicyDocument" | "MalformedPolicyDocumentException" => "correct the session policy".to_owned(),
        "PackedPolicyTooLarge" | "PackedPolicyTooLargeException" => {
            "shorten the session policy, the policy ARNs or the tags: together they are too large".to_owned()
        }
        "ValidationError" if answer.contains("MaxSessionDuration") => {
            "ask for a shorter duration, or raise the maximum session duration of the role".to_owned()
        }
        "ValidationError" | "InvalidParameterValue" => "correct the request as the message says".to_owned(),
        "NoSuchEntity" => "check the role ARN: there is no such role".to_owned(),
        "InvalidIdentityToken" | "InvalidIdentityTokenException" | "IDPRejectedClaim" | "IDPRejectedClaimException" => {
            "check the web identity token and the OIDC provider in IAM".to_owned()
        }
        "" => REMEDY_ELSEWHERE.to_owned(),
        code => format!("see {code} in the AWS STS API reference, common errors"),
    }
}

fn from_connector(attempted: String, error: &ConnectorError) -> Error {
    let innermost: &dyn StdError = causes(error).last().unwrap_or(error);
    if let Some(broken) = error.source().and_then(|source| source.downcast_ref::<BrokenAnswer>()) {
        return Error::BadAnswer {
            attempted,
            code: broken.status.into(),
            problem: broken.to_string(),
            remedy: REMEDY_ELSEWHERE.to_owned(),
            source: None,
        };
    }
    // The connection's errors tell what the connection did. Any other can print the request, its form included.
    if !(error.is_io() || error.is_timeout() || error.as_other().is_some()) {
        return unreachable(attempted, "the request was not sent".to_owned());
    }
    let problem = if error.is_timeout() {
        "no connection within 3 s".to_owned()
    } else {
        format!("no connection: {}", clean_message(&innermost.to_string(), &[]))
    };
    if problem.contains(NO_AUTHORITY) {
        Error::NotConfigured {
            problem: format!("{attempted} failed: {problem}"),
            remedy: "install them (ca-certificates), or name a PEM file in AWS_CA_BUNDLE".to_owned(),
            source: None,
        }
    } else if is_proxy_login_wanted(&problem) {
        proxy_login_wanted(&attempted)
    } else if problem.contains("certificate") {
        Error::NotConfigured {
            problem: format!("{attempted} failed: {problem}"),
            remedy: "name the authority that signed the certificate in AWS_CA_BUNDLE (a PEM file), or correct \
                 AWS_ENDPOINT_URL_STS"
                .to_owned(),
            source: None,
        }
    } else {
        unreachable(attempted, problem)
    }
}

fn unreachable(attempted: String, problem: String) -> Error {
    Error::Unavailable {
        attempted,
        code: 0,
        problem,
        remedy: "check the network, AWS_ENDPOINT_URL_STS, HTTPS_PROXY and NO_PROXY".to_owned(),
        source: None,
    }
}

/// Cleans a message of a service: its first line, cut, without control characters and without `secrets`.
fn clean_message(text: &str, secrets: &[&str]) -> String {
    // SignatureDoesNotMatch continues with the canonical request, which holds the session token.
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mut line = line.split("The Canonical String").next().unwrap_or_default().trim_end().to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        line = line.replace(secret, "***");
    }
    line.chars().filter(|character| !character.is_control()).take(MAX_MESSAGE_CHARACTERS).collect()
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// The text of an element in an error document that the AWS SDK does not recognise, such as Ceph's `<Error>`.
fn xml_text(raw: &HttpResponse, name: &str) -> Option<String> {
    let body = std::str::from_utf8(raw.body().bytes()?).ok()?;
    let start = body.find("<Error>")?;
    let (_, rest) = body[start..].split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains('<')).then(|| text.trim().to_owned())
}
