//! The options that name a role and the duration of its session.

use clap::Args;
use hops_credentials_core::error::Error;
use hops_credentials_core::request::{AssumeRole, SessionDuration, SessionName};
use hops_credentials_core::source::Source;

/// The role, and the name and duration of its session.
#[derive(Debug, Args)]
pub(crate) struct RoleOption {
    /// The id of the role, as `roles` lists it, or its ARN; the default role without it
    #[arg(long, value_name = "ID|ARN")]
    role: Option<String>,
    /// The name under which CloudTrail shows the session; made of user and project without it
    #[arg(long, value_name = "NAME")]
    session_name: Option<SessionName>,
    /// The duration of the credentials: 900 to 43200 s, and at most 3600 s when AWS chains roles
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration, default_value = "3600")]
    duration: SessionDuration,
}

impl RoleOption {
    /// The request that the options describe, with the ARN of its role, which `source` looks up where the options hold
    /// an id or nothing.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a role that is neither an id nor an ARN; as [`Source::role_mapping`].
    pub(crate) async fn to_request(&self, source: &Source) -> Result<AssumeRole, Error> {
        let role = match self.role.as_deref() {
            None => None,
            // A variable of a script that is not set is not a wish for the default role.
            Some("") => {
                let reason = "it is empty; leave --role out for the default role".to_owned();
                return Err(Error::InvalidArgument { field: "role", reason });
            }
            Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                let id = id.parse().map_err(|_| Error::InvalidArgument {
                    field: "role",
                    reason: format!("{id} is larger than any id"),
                })?;
                Some(source.role_mapping(Some(id)).await?.role)
            }
            Some(arn) => Some(arn.parse()?),
        };
        let request = AssumeRole {
            role,
            session_name: self.session_name.clone(),
            duration: self.duration,
            ..AssumeRole::default()
        };
        source.with_default_role(request).await
    }
}

fn parse_duration(text: &str) -> Result<SessionDuration, String> {
    let seconds: i64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    SessionDuration::from_seconds(seconds).map_err(|error| error.to_string())
}
