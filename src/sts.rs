//! AssumeRole: credentials of a role from STS itself, called with the base identity.

use crate::base::{BaseIdentity, Environment};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::request::{Extras, SessionDuration, SessionName};
use crate::role::RoleArn;
use crate::settings::Settings;

/// STS, called with the base identity of this process.
#[derive(Debug, Clone)]
pub struct Sts {}

/// What STS handed out.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The credentials of the role.
    pub credentials: Credentials,
    /// The id under which AWS finds the request, if STS named one.
    pub request_id: Option<String>,
    /// What the operator should know although it went well; one sentence each.
    pub warnings: Vec<String>,
}

impl Sts {
    /// Reads the settings. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a setting cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::with_environment(settings, Environment::at_first_use())
    }

    /// As [`Sts::new`], with the base identity of an explicit environment instead of the process's own.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when a setting cannot be used.
    pub fn with_environment(_settings: &Settings, _environment: &Environment) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Asks STS for credentials of a role. The role may be in any account that trusts the base identity.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when STS would refuse the request as it stands (nothing is sent),
    /// [`Error::NotConfigured`] without a base identity or a region, [`Error::Refused`] when STS says no,
    /// [`Error::Unavailable`] when it may work later, [`Error::BadAnswer`] when the answer is damaged.
    pub async fn assume_role(
        &self,
        _role: &RoleArn,
        _session_name: &SessionName,
        _duration: SessionDuration,
        _extras: &Extras,
    ) -> Result<Issued, Error> {
        Err(not_yet())
    }

    /// Finds the base identity and asks STS who it is.
    ///
    /// # Errors
    /// As [`Sts::assume_role`], without `InvalidArgument`.
    pub async fn base_identity(&self) -> Result<BaseIdentity, Error> {
        Err(not_yet())
    }
}

fn not_yet() -> Error {
    Error::NotConfigured {
        problem: "STS cannot be called from this build".to_owned(),
        remedy: "set hopsworks.restendpoint or REST_ENDPOINT and use a role-mapping server".to_owned(),
        source: None,
    }
}
