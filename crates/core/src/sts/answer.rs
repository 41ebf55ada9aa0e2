//! What STS answered, checked: the AWS SDK takes a damaged success for a success.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::error::BoxError;
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};

use crate::credentials::Credentials;
use crate::error::Error;
use crate::role::RoleArn;

/// Credentials that end sooner are of no use to anybody.
const LIFE_MINIMUM: Duration = Duration::from_secs(2);

/// Keeps the `Date` of an answer, which the AWS SDK does not hand out.
#[derive(Debug, Clone, Default)]
pub(super) struct DateInterceptor {
    date: Arc<Mutex<Option<SystemTime>>>,
}

impl DateInterceptor {
    /// The instant of the last answer by the clock of the service, if it said one.
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
        let date = context
            .response()
            .headers()
            .get("date")
            .and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) =
            date.and_then(|date| SystemTime::try_from(date).ok());
        Ok(())
    }
}

/// The credentials in a success of AssumeRole.
///
/// `answered_at` is the `Date` of the answer, else the clock of this machine.
///
/// # Errors
/// The text says in which way the answer is wrong; it repeats none of its values but the expiration.
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
        // They end up in headers and environment variables.
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("the {name} in the answer is not legible"));
        }
    }
    // The AWS SDK says 1970 when the field is missing.
    let expiration = SystemTime::try_from(*found.expiration()).ok().filter(|instant| *instant > SystemTime::UNIX_EPOCH);
    let Some(expiration) = expiration else { return Err("the answer holds no expiration".to_owned()) };
    let life = expiration.duration_since(answered_at).unwrap_or_default();
    if life < LIFE_MINIMUM {
        return Err(format!(
            "the credentials in the answer end at {}, and it was made at {}",
            shown(expiration),
            shown(answered_at)
        ));
    }
    Ok(Credentials::new(
        found.access_key_id().to_owned(),
        found.secret_access_key().to_owned(),
        found.session_token().to_owned(),
        expiration,
        life,
        Some(role.clone()),
    ))
}

/// The failure of an answer that is not what the contract says.
pub(super) fn damaged(attempted: String, problem: String) -> Error {
    Error::BadAnswer {
        attempted,
        code: 200,
        problem,
        remedy: "check what answers there: AWS_ENDPOINT_URL_STS, a proxy, and the clocks of both machines".to_owned(),
        source: None,
    }
}

fn shown(instant: SystemTime) -> String {
    DateTime::from(instant).fmt(DateTimeFormat::DateTime).unwrap_or_else(|_| "an instant out of range".to_owned())
}
