//! The client of the role-mapping contract, which Hopsworks and our role-mapping server speak.

use crate::credentials::Credentials;
use crate::error::Error;
use crate::request::AssumeRole;
use crate::role::RoleMapping;
use crate::settings::Settings;

/// One member of one project at one server.
pub struct Hopsworks {}

impl Hopsworks {
    /// Reads the settings.
    pub fn from_settings(_settings: &Settings) -> Result<Self, Error> {
        Err(unwritten())
    }

    /// The role mappings of the project, in the order of their ids.
    pub async fn role_mappings(&self) -> Result<Vec<RoleMapping>, Error> {
        Err(unwritten())
    }

    /// One role mapping; `None` is the caller's default.
    pub async fn role_mapping(&self, _id: Option<u32>) -> Result<RoleMapping, Error> {
        Err(unwritten())
    }

    /// Credentials of a role.
    pub async fn assume_role(&self, _request: &AssumeRole) -> Result<Credentials, Error> {
        Err(unwritten())
    }
}

fn unwritten() -> Error {
    Error::NotConfigured {
        problem: "this build has no client of the role-mapping contract".to_owned(),
        remedy: "use a later one".to_owned(),
        source: None,
    }
}
