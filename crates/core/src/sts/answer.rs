//! The checked answer of STS. The AWS SDK accepts a damaged success as a success.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::error::BoxError;
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;

use crate::credentials::{Credentials, MIN_VALID_FOR, is_legible};
use crate::error::Error;
use crate::role::RoleArn;
use crate::text::{parse_http_date, rfc3339};

/// Keeps the `Date` of an answer, which the AWS SDK does not return.
#[derive(Debug, Clone, Default)]
pub(super) struct DateInterceptor {
    date: Arc<Mutex<Option<SystemTime>>>,
}

impl DateInterceptor {
    /// The `Date` of the last answer, if it had one.
    pub fn answered_at(&self) -> Option<SystemTime> {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for DateInterceptor {
    fn name(&self) -> &'static str {
        "DateInterceptor"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) =
            context.response().headers().get("date").and_then(parse_http_date);
        Ok(())
    }
}

/// Reads the credentials in a success of AssumeRole.
///
/// `answered_at` is the `Date` of the answer, else the clock of this machine.
///
/// # Errors
/// A text that says what is wrong with the answer; it repeats none of its values but the expiration.
pub(super) fn credentials(
    answer: &AssumeRoleOutput,
    answered_at: SystemTime,
    role: &RoleArn,
) -> Result<Credentials, String> {
    let Some(found) = answer.credentials() else { return Err("the answer holds no credentials".to_owned()) };
    for (name, value) in [
        ("access key id", found.access_key_id()),
        ("secret access key", found.secret_access_key()),
        ("session token", found.session_token()),
    ] {
        if value.is_empty() {
            return Err(format!("the answer holds no {name}"));
        }
        if !is_legible(value) {
            return Err(format!("the {name} in the answer is not readable"));
        }
    }
    // The AWS SDK returns 1970 when the field is missing.
    let expiration = SystemTime::try_from(*found.expiration()).ok().filter(|instant| *instant > SystemTime::UNIX_EPOCH);
    let Some(expiration) = expiration else { return Err("the answer holds no expiration".to_owned()) };
    let valid_for = expiration.duration_since(answered_at).unwrap_or_default();
    if valid_for < MIN_VALID_FOR {
        return Err(format!(
            "the credentials in the answer end at {}, and it was made at {}",
            rfc3339(expiration),
            rfc3339(answered_at)
        ));
    }
    Ok(Credentials::new(
        found.access_key_id().to_owned(),
        found.secret_access_key().to_owned(),
        found.session_token().to_owned(),
        expiration,
        valid_for,
        Some(role.clone()),
    ))
}

/// The error for an answer that breaks the contract.
pub(super) fn damaged(attempted: String, problem: String) -> Error {
    Error::BadAnswer {
        attempted,
        code: 200,
        problem,
        remedy: "check what answers there: AWS_ENDPOINT_URL_STS, a proxy, and the clocks of both machines".to_owned(),
        source: None,
    }
}
