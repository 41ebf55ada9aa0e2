//! Where role mappings and credentials come from: a role-mapping server, or AWS STS directly.

use crate::credentials::Credentials;
use crate::error::Error;
use crate::hopsworks::Hopsworks;
use crate::request::AssumeRole;
use crate::role::RoleMapping;
use crate::settings::{REST_ENDPOINT, Settings};

/// Where role mappings and credentials come from.
pub enum Source {
    /// Hopsworks or our role-mapping server.
    Hopsworks(Hopsworks),
}

impl Source {
    /// A role-mapping server when [`REST_ENDPOINT`] is set, else AWS STS.
    pub fn from_settings(settings: &Settings) -> Result<Self, Error> {
        match settings.get(&REST_ENDPOINT) {
            Some(_) => Ok(Source::Hopsworks(Hopsworks::from_settings(settings)?)),
            None => Err(Error::NotConfigured {
                problem: "this build does not reach AWS STS directly".to_owned(),
                remedy: format!("set {REST_ENDPOINT}"),
                source: None,
            }),
        }
    }

    /// The role mappings, in the order of their ids.
    pub async fn role_mappings(&self) -> Result<Vec<RoleMapping>, Error> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.role_mappings().await,
        }
    }

    /// One role mapping; `None` is the caller's default.
    pub async fn role_mapping(&self, id: Option<u32>) -> Result<RoleMapping, Error> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.role_mapping(id).await,
        }
    }

    /// Credentials of a role.
    pub async fn assume_role(&self, request: &AssumeRole) -> Result<Credentials, Error> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.assume_role(request).await,
        }
    }

    /// What the user should know though nothing failed, since the last time somebody asked. A binding prints each text
    /// once per process.
    pub fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
