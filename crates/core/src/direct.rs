//! Roles that a setting lists, assumed at AWS STS without a role-mapping server.

use std::sync::Mutex;

use crate::base_identity::Environment;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::network::Network;
use crate::request::{AssumeRole, SessionName};
use crate::role::{ProjectRole, RoleArn, RoleMapping};
use crate::settings::{APPLICATION_NAME, HADOOP_USER_NAME, PROJECT_NAME, REST_ENDPOINT, ROLES, Settings, USER_NAME};
use crate::sts::Sts;
use crate::text::quoted;

/// AWS STS without a role-mapping server: the roles are those of the setting [`ROLES`], in its order.
#[derive(Debug)]
pub struct Direct {
    sts: Sts,
    roles: Vec<RoleArn>,
    session_name: SessionName,
    warnings: Mutex<Vec<String>>,
}

impl Direct {
    pub(crate) fn from_settings(settings: &Settings, environment: &Environment) -> Result<Self, Error> {
        let roles = settings
            .get(&ROLES)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|written| !written.is_empty())
            .map(|written| written.parse().map_err(|error| illegal_role(written, error)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sts: Sts::new(settings, environment)?,
            roles,
            session_name: session_name(settings),
            warnings: Mutex::new(Network::from_settings(settings)?.warnings().to_vec()),
        })
    }

    pub(crate) fn role_mappings(&self) -> Result<Vec<RoleMapping>, Error> {
        if self.roles.is_empty() {
            Err(no_role())
        } else {
            Ok((1..).zip(&self.roles).map(|(id, role)| role_mapping(id, role)).collect())
        }
    }

    pub(crate) fn role_mapping(&self, id: Option<u32>) -> Result<RoleMapping, Error> {
        let mappings = self.role_mappings()?;
        let id = id.unwrap_or(1);
        let count = mappings.len();
        mappings.into_iter().find(|mapping| mapping.id == id).ok_or_else(|| Error::Refused {
            attempted: format!("reading role mapping {id} of {ROLES}"),
            code: 380_003,
            answer: format!("{count} listed there"),
            remedy: format!("take an id from 1 to {count}"),
            withdraws: true,
        })
    }

    pub(crate) async fn assume_role(&self, request: &AssumeRole) -> Result<Credentials, Error> {
        let role = request.role.as_ref().or(self.roles.first()).ok_or_else(no_role)?;
        let session_name = request.session_name.as_ref().unwrap_or(&self.session_name);
        let issued = self.sts.assume_role(role, session_name, request.duration, &request.extras).await?;
        self.warnings.lock().expect("no holder panics").extend(issued.warnings);
        Ok(issued.credentials)
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().expect("no holder panics"))
    }
}

fn role_mapping(id: u32, role: &RoleArn) -> RoleMapping {
    RoleMapping { id, role: role.clone(), project_role: ProjectRole::All, is_default: id == 1 }
}

/// Makes `<user>-<application or project>`, so that CloudTrail tells who the caller was.
fn session_name(settings: &Settings) -> SessionName {
    let user = settings.get(&HADOOP_USER_NAME).or(settings.get(&USER_NAME)).unwrap_or_default();
    let context = settings.get(&APPLICATION_NAME).or(settings.get(&PROJECT_NAME)).unwrap_or("hops");
    SessionName::from_parts(user.trim(), context.trim())
}

fn no_role() -> Error {
    Error::NotConfigured {
        problem: format!("no role is named, and neither {REST_ENDPOINT} nor {ROLES} is set"),
        remedy: format!("set {REST_ENDPOINT} for a role-mapping server, or {ROLES} to role ARNs, or name a role"),
        source: None,
    }
}

fn illegal_role(written: &str, error: Error) -> Error {
    Error::NotConfigured {
        problem: format!("{ROLES} lists {}, which is not a role ARN", quoted(written)),
        remedy: "list ARNs of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>, separated by \
                 commas"
            .to_owned(),
        source: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &[(&str, &str)]) -> Settings {
        let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::new([], []).with_environment(pairs)
    }

    #[test]
    fn a_session_name_tells_user_and_application_or_project() {
        for (environment, expected) in [
            (vec![("USER", "spark"), ("HADOOP_USER_NAME", "churn__meb10000")], "churn__meb10000-hops"),
            (vec![("LOGNAME", "meb"), ("HOPSWORKS_PROJECT_NAME", "churn")], "meb-churn"),
            (vec![], "hops-hops"),
        ] {
            assert_eq!(session_name(&settings(&environment)).as_str(), expected);
        }
        let spark = [("spark.app.name".to_owned(), "Nightly job".to_owned())];
        let from_spark = Settings::new(spark, [("user.name".to_owned(), "meb".to_owned())]);
        assert_eq!(session_name(&from_spark.with_environment([])).as_str(), "meb-Nightly-job");
    }
}
