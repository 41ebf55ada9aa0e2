//! The temporary credentials that STS issues for a role.

use std::fmt;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::request::SessionName;
use crate::role::RoleArn;

/// The shortest validity of credentials worth handing out: shorter ones expire before a reader has used them.
pub const MIN_VALID_FOR: Duration = Duration::from_secs(2);

/// Whether a header and an environment variable, where a key or a token ends up, can hold it.
pub(crate) fn is_legible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether requests can be signed with these keys. The secret stands in no header, and stores such as Ceph take any text.
pub(crate) fn can_sign(access_key_id: &str, secret_access_key: &str, session_token: Option<&str>) -> bool {
    let is_plain = !secret_access_key.contains(char::is_control);
    is_plain && is_legible(access_key_id) && session_token.is_none_or(is_legible)
}

/// Temporary credentials of one role. They never change; a refresh makes new ones.
///
/// `Debug` shows the role, the access key id and the expiration. Secret access key and session token are zeroed on
/// drop.
#[derive(Clone)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Zeroizing<String>,
    expiration: SystemTime,
    valid_for: Duration,
    role: Option<RoleArn>,
    session_name: Option<SessionName>,
}

impl Credentials {
    /// Takes what a source answered. The source has checked that no text is empty and that `valid_for` is at least
    /// [`MIN_VALID_FOR`].
    ///
    /// `valid_for` counts from the answer to the expiration by the clock of the service (its `Date`), so that a wrong
    /// clock on this machine does not shift the refresh. `role` is `None` when the source chose its default and did not
    /// say which.
    pub fn new(
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        expiration: SystemTime,
        valid_for: Duration,
        role: Option<RoleArn>,
    ) -> Self {
        Self {
            access_key_id,
            secret_access_key: Zeroizing::new(secret_access_key),
            session_token: Zeroizing::new(session_token),
            expiration,
            valid_for,
            role,
            session_name: None,
        }
    }

    /// Adds the session name, where it is known.
    pub fn with_session_name(self, session_name: Option<SessionName>) -> Self {
        Self { session_name, ..self }
    }

    /// The access key id. Not secret: CloudTrail shows it.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret access key. Secret.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The session token. Secret.
    pub fn session_token(&self) -> &str {
        &self.session_token
    }

    /// The instant from which AWS refuses the credentials.
    pub fn expiration(&self) -> SystemTime {
        self.expiration
    }

    /// The time from the answer of the source to the expiration.
    pub fn valid_for(&self) -> Duration {
        self.valid_for
    }

    /// The role, if known.
    pub fn role(&self) -> Option<&RoleArn> {
        self.role.as_ref()
    }

    /// The session name, under which CloudTrail shows every use of the credentials; if known.
    pub fn session_name(&self) -> Option<&SessionName> {
        self.session_name.as_ref()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &format_args!("***"))
            .field("session_token", &format_args!("***"))
            .field("expiration", &self.expiration)
            .field("role", &self.role.as_ref().map(RoleArn::as_str))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_secret_access_key_nor_session_token() {
        let credentials = Credentials::new(
            "ASIAEXAMPLE".into(),
            "canary-secret".into(),
            "canary-token".into(),
            SystemTime::UNIX_EPOCH,
            Duration::from_secs(3600),
            Some("arn:aws:iam::123456789012:role/reader".parse().expect("a role ARN")),
        );
        assert_eq!(
            format!("{credentials:?}"),
            "Credentials { access_key_id: \"ASIAEXAMPLE\", secret_access_key: ***, session_token: ***, expiration: \
             SystemTime { tv_sec: 0, tv_nsec: 0 }, role: Some(\"arn:aws:iam::123456789012:role/reader\") }"
        );
    }
}
