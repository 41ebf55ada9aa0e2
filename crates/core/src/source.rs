//! The source of role mappings and credentials: a role-mapping server, or AWS STS directly.
//!
//! A server when [`REST_ENDPOINT`] is set, STS otherwise; neither one replaces the other when that fails. A `Source`
//! belongs to one runtime: a host that blocks makes one for each question, with [`Source::ask`].

use std::fmt;

use zeroize::Zeroizing;

use crate::base_identity::{Environment, profile_files};
use crate::blocking::block_on;
use crate::credentials::Credentials;
use crate::direct::Direct;
use crate::error::Error;
use crate::hopsworks::{self, Hopsworks, check_supported};
use crate::request::{AssumeRole, SessionName};
use crate::role::RoleMapping;
use crate::settings::{
    APPLICATION_NAME, HADOOP_USER_NAME, PROJECT_ID, PROJECT_NAME, REST_ENDPOINT, ROLES, Settings, USER_NAME,
};

/// The source of role mappings and credentials.
#[derive(Debug)]
pub enum Source {
    /// Hopsworks or our role-mapping server.
    Hopsworks(Hopsworks),
    /// AWS STS, called with the base identity of this process.
    Sts(Direct),
}

impl Source {
    /// Reads the settings. Nothing is sent. `environment` is where STS's base identity is looked for.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when one is missing or cannot be used.
    pub fn from_settings(settings: &Settings, environment: &Environment) -> Result<Self, Error> {
        settings.check_switches()?;
        match settings.get(&REST_ENDPOINT) {
            Some(_) => Ok(Source::Hopsworks(Hopsworks::from_settings(settings)?)),
            None => Ok(Source::Sts(Direct::from_settings(settings, environment)?)),
        }
    }

    /// Blocks the caller's thread while it asks the source that the settings name, and hands every warning to `warn`
    /// whatever the answer is.
    ///
    /// # Errors
    /// As [`Source::from_settings`], [`block_on`] and `question`.
    pub fn ask<T>(
        settings: &Settings,
        environment: &Environment,
        warn: impl FnMut(String),
        question: impl AsyncFnOnce(&Source) -> Result<T, Error>,
    ) -> Result<T, Error> {
        block_on(async {
            let source = Self::from_settings(settings, environment)?;
            let answer = question(&source).await;
            source.take_warnings().into_iter().for_each(warn);
            answer
        })
    }

    /// Everything in settings, variables and files that decides who asks, whom, and in whose name: where two texts are equal
    /// on one machine, one caller may use what the other one got. It is different, too, where a login or a profile has been
    /// rewritten meanwhile. What a metadata service or a container answers is not in it. Secret.
    pub fn caller(settings: &Settings, environment: &Environment) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let deciding =
            [&REST_ENDPOINT, &PROJECT_ID, &PROJECT_NAME, &ROLES, &HADOOP_USER_NAME, &USER_NAME, &APPLICATION_NAME];
        for setting in deciding {
            text.push_str(&format!("{setting}={:?}\n", settings.get(setting)));
        }
        match settings.get(&REST_ENDPOINT) {
            Some(_) => text.push_str(&hopsworks::login(settings)),
            None => {
                for (name, value) in environment.saved() {
                    text.push_str(&Zeroizing::new(format!("{name}={:?}\n", value.as_str())));
                }
                text.push_str(&profile_files(environment));
            }
        }
        text
    }

    /// Lists all role mappings, in the order of their ids. The service decides which of them the caller may assume.
    ///
    /// # Errors
    /// As [`Hopsworks::role_mappings`]; from STS [`Error::NotConfigured`] when no role is listed.
    pub async fn role_mappings(&self) -> Result<Vec<RoleMapping>, Error> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.role_mappings().await,
            Source::Sts(direct) => direct.role_mappings(),
        }
    }

    /// Reads one role mapping; `None` is the caller's default.
    ///
    /// # Errors
    /// As [`Source::role_mappings`]; [`Error::Refused`] with code 380003 when there is no such id.
    pub async fn role_mapping(&self, id: Option<u32>) -> Result<RoleMapping, Error> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.role_mapping(id).await,
            Source::Sts(direct) => direct.role_mapping(id),
        }
    }

    /// Adds the caller's default role to a request that names none. A program that repeats the returned request keeps
    /// its role when the default changes.
    ///
    /// # Errors
    /// As [`Source::role_mapping`] for the default; [`Error::InvalidArgument`] when the source cannot carry the request
    /// (nothing is sent).
    pub async fn with_default_role(&self, request: AssumeRole) -> Result<AssumeRole, Error> {
        if let Source::Hopsworks(_) = self {
            check_supported(&request.extras)?;
        }
        match request.role {
            Some(_) => Ok(request),
            None => Ok(AssumeRole { role: Some(self.role_mapping(None).await?.role), ..request }),
        }
    }

    /// Keeps the name that the first session of a role got, where no name is given and the name would be made of settings:
    /// these may have changed since, as when a SparkContext was made. A server makes the same name of the caller each time.
    pub fn with_first_session_name(&self, request: AssumeRole, first: Option<SessionName>) -> AssumeRole {
        match self {
            Source::Hopsworks(_) => request,
            Source::Sts(_) => AssumeRole { session_name: request.session_name.or(first), ..request },
        }
    }

    /// Fetches credentials of a role.
    ///
    /// # Errors
    /// As [`Hopsworks::assume_role`] or [`Sts::assume_role`](crate::sts::Sts::assume_role); from STS
    /// [`Error::NotConfigured`] when neither the request nor the settings name a role.
    pub async fn assume_role(&self, request: &AssumeRole) -> Result<Credentials, Error> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.assume_role(request).await,
            Source::Sts(direct) => direct.assume_role(request).await,
        }
    }

    /// Takes the warnings since the last call, which the user should see although nothing failed; one sentence each,
    /// without secrets.
    pub fn take_warnings(&self) -> Vec<String> {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.take_warnings(),
            Source::Sts(direct) => direct.take_warnings(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Hopsworks(hopsworks) => hopsworks.fmt(formatter),
            Source::Sts(_) => formatter.write_str("AWS STS, asked directly"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::ProjectRole;

    const READER: &str = "arn:aws:iam::123456789012:role/reader";
    const WRITER: &str = "arn:aws-cn:iam::123456789012:role/teams/writer";

    fn settings(environment: &[(&str, &str)]) -> Settings {
        let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::new([], []).with_environment(pairs)
    }

    fn source(environment: &[(&str, &str)]) -> Result<Source, Error> {
        Source::from_settings(&settings(environment), &Environment::from_pairs([]))
    }

    fn message<T>(result: Result<T, Error>) -> String {
        result.err().expect("an error").to_string()
    }

    #[test]
    fn ids_of_listed_roles_begin_at_one_and_the_first_is_the_default() {
        let source = source(&[("HOPS_CLOUD_ROLES", &format!("{READER}, {WRITER},"))]).expect("settings");
        let reader = RoleMapping {
            id: 1,
            role: READER.parse().expect("an ARN"),
            project_role: ProjectRole::All,
            is_default: true,
        };
        let writer = RoleMapping {
            id: 2,
            role: WRITER.parse().expect("an ARN"),
            project_role: ProjectRole::All,
            is_default: false,
        };
        assert_eq!(block_on(source.role_mapping(None)).expect("the default"), reader);
        assert_eq!(block_on(source.role_mapping(Some(2))).expect("the second"), writer);
        assert_eq!(block_on(source.role_mappings()).expect("both"), [reader, writer]);
    }

    #[test]
    fn a_request_without_a_role_gets_the_default_and_another_stays_as_it_is() {
        let source = source(&[("HOPS_CLOUD_ROLES", &format!("{READER},{WRITER}"))]).expect("settings");
        let role = |text: &str| Some(text.parse().expect("an ARN"));
        let named = |role| {
            block_on(source.with_default_role(AssumeRole { role, ..AssumeRole::default() })).expect("a default").role
        };
        assert_eq!(named(None), role(READER));
        assert_eq!(named(role(WRITER)), role(WRITER));
    }

    #[test]
    fn an_id_beyond_the_list_is_code_380003() {
        let source = source(&[("HOPS_CLOUD_ROLES", READER)]).expect("settings");
        for id in [0, 2] {
            let error = block_on(source.role_mapping(Some(id))).expect_err("no such id");
            assert_eq!(error.code(), 380_003);
            assert_eq!(
                error.to_string(),
                format!(
                    "reading role mapping {id} of hops.cloud.roles / HOPS_CLOUD_ROLES was refused: 1 listed there; take \
                     an id from 1 to 1"
                )
            );
        }
    }

    #[test]
    fn without_any_setting_the_message_names_those_that_help() {
        let source = source(&[]).expect("a role may still be named");
        let expected = "no role is named, and neither hopsworks.restendpoint / REST_ENDPOINT nor hops.cloud.roles / \
                        HOPS_CLOUD_ROLES is set; set hopsworks.restendpoint / REST_ENDPOINT for a role-mapping server, \
                        or hops.cloud.roles / HOPS_CLOUD_ROLES to role ARNs, or name a role";
        assert_eq!(message(block_on(source.role_mappings())), expected);
        assert_eq!(message(block_on(source.role_mapping(None))), expected);
        assert_eq!(message(block_on(source.assume_role(&AssumeRole::default()))), expected);
    }

    #[test]
    fn the_message_names_a_listed_text_that_is_not_an_arn() {
        assert_eq!(
            message(source(&[("HOPS_CLOUD_ROLES", &format!("{READER},writer"))])),
            "hops.cloud.roles / HOPS_CLOUD_ROLES lists \"writer\", which is not a role ARN; list ARNs of the form \
             arn:<partition>:iam::<account of 12 digits>:role/<path and name>, separated by commas"
        );
    }

    #[test]
    fn an_endpoint_without_a_project_is_never_the_direct_mode() {
        assert_eq!(
            message(source(&[("REST_ENDPOINT", "https://hops"), ("HOPS_CLOUD_ROLES", READER)])),
            "hopsworks.restendpoint / REST_ENDPOINT is set, but hopsworks.projectid / HOPSWORKS_PROJECT_ID is not; set \
             hopsworks.projectid / HOPSWORKS_PROJECT_ID to the number of the project"
        );
        assert_eq!(
            message(source(&[("REST_ENDPOINT", "https://hops"), ("HOPSWORKS_PROJECT_ID", "churn")])),
            "hopsworks.projectid / HOPSWORKS_PROJECT_ID is \"churn\", which is not a number; set it to the number of the \
             project, not its name"
        );
    }

    #[test]
    fn the_futures_of_a_source_may_move_between_threads() {
        fn is_send<T: Send>(future: T) -> T {
            future
        }
        let source = source(&[("REST_ENDPOINT", "http://hops"), ("HOPSWORKS_PROJECT_ID", "1")]).expect("settings");
        drop(is_send(source.assume_role(&AssumeRole::default())));
        drop(is_send(source.role_mappings()));
        drop(is_send(source.role_mapping(None)));
    }
}
