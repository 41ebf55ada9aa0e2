//! How we reach out, to a role-mapping server as well as to AWS: proxies and trusted authorities.

use crate::error::Error;
use crate::settings::Settings;

/// How we reach out.
pub struct Network {}

impl Network {
    /// Reads the settings.
    pub fn from_settings(_settings: &Settings) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// The proxy for https, if there is one. It may hold a password.
    pub fn https_proxy(&self) -> Option<&str> {
        None
    }

    /// The proxy for http, if there is one. It may hold a password.
    pub fn http_proxy(&self) -> Option<&str> {
        None
    }

    /// Hosts reached without a proxy, separated by commas, loopback and link-local ones included.
    pub fn no_proxy(&self) -> &str {
        ""
    }

    /// Authorities to trust for AWS besides the system's, as PEM that holds certificates for sure.
    pub fn aws_pem(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
