//! The audit: every session-token request, granted or refused, and every change by an administrator.
//!
//! A row is written in the transaction of the change it describes; the row of a granted session is committed before the
//! credentials leave. It holds no secret: no API key, and of the credentials the access key id only.

pub mod search;

use std::time::SystemTime;

use serde_json::Value;
use sqlx::AnyConnection;

use crate::database::milliseconds;

/// The actor of an audited action: a caller, or the command line.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The id of the row, and of the request in the log.
    pub request_id: String,
    /// The e-mail address of the caller, or `command line`.
    pub name: String,
    /// The client's address; `None` on the command line.
    pub address: Option<String>,
}

impl Actor {
    /// The actor of a command line of `role-mapping-server`.
    pub fn command_line() -> Self {
        Self { request_id: crate::random::hex::<8>(), name: "command line".to_owned(), address: None }
    }

    /// The same actor for another row: each row has an id of its own.
    pub fn for_another_row(&self) -> Self {
        Self { request_id: crate::random::hex::<8>(), ..self.clone() }
    }
}

/// A change an administrator makes; the names are those of the command line.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Adds a user.
    UserAdd,
    /// Replaces the API key of a user.
    UserKey,
    /// Adds a project.
    ProjectAdd,
    /// Makes a user a member, or changes their project role.
    MemberSet,
    /// Removes a member.
    MemberRemove,
    /// Adds a role mapping.
    MappingAdd,
    /// Changes a role mapping.
    MappingChange,
    /// Removes a role mapping.
    MappingRemove,
    /// Changes the default of a project role.
    MappingDefault,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::UserAdd => "user add",
            Action::UserKey => "user key",
            Action::ProjectAdd => "project add",
            Action::MemberSet => "member set",
            Action::MemberRemove => "member remove",
            Action::MappingAdd => "mapping add",
            Action::MappingChange => "mapping change",
            Action::MappingRemove => "mapping remove",
            Action::MappingDefault => "mapping default",
        }
    }
}

/// The reason why the server asks STS for credentials of a mapped role.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Gives the credentials to a member.
    SessionToken,
    /// Shows an administrator whether the role mapping works; the server drops the credentials.
    Try,
}

/// A request for credentials of a mapped role, with its outcome.
#[derive(Debug, Default)]
pub struct SessionRequest {
    /// The requested project, even when the caller is not a member of it.
    pub project_id: i64,
    /// The project's name, if the caller is a member.
    pub project_name: Option<String>,
    /// The role, once it is known.
    pub role: Option<String>,
    /// The session name, once it is known.
    pub session_name: Option<String>,
    /// The duration in seconds, once it is known: that of the credentials, else the requested one.
    pub duration_seconds: Option<i64>,
    /// The access key id of the credentials.
    pub access_key_id: Option<String>,
    /// The id that STS gave the request.
    pub sts_request_id: Option<String>,
    /// The reason of the refusal; `None` when the request was granted.
    pub refusal: Option<String>,
}

/// Records a request for credentials of a mapped role.
pub async fn record_session(
    connection: &mut AnyConnection,
    actor: &Actor,
    purpose: Purpose,
    request: &SessionRequest,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, role_arn, \
         session_name, duration_seconds, access_key_id, sts_request_id, reason) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(actor.request_id.as_str())
    .bind(milliseconds(SystemTime::now()))
    .bind(actor.name.as_str())
    .bind(actor.address.as_deref())
    .bind(match purpose {
        Purpose::SessionToken => "session-token",
        Purpose::Try => "mapping try",
    })
    .bind(match request.refusal {
        None => "granted",
        Some(_) => "refused",
    })
    .bind(request.project_id)
    .bind(request.project_name.as_deref())
    .bind(request.role.as_deref())
    .bind(request.session_name.as_deref())
    .bind(request.duration_seconds)
    .bind(request.access_key_id.as_deref())
    .bind(request.sts_request_id.as_deref())
    .bind(request.refusal.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}

/// Records a change with the state before and after it, and with the id and name of its project, if it has one.
pub async fn record_change(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    project: Option<(i64, &str)>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, state_before, \
         state_after) values ($1, $2, $3, $4, $5, 'changed', $6, $7, $8, $9)",
    )
    .bind(actor.request_id.as_str())
    .bind(milliseconds(SystemTime::now()))
    .bind(actor.name.as_str())
    .bind(actor.address.as_deref())
    .bind(action.name())
    .bind(project.map(|(id, _)| id))
    .bind(project.map(|(_, name)| name))
    .bind(before.map(|state| state.to_string()))
    .bind(after.map(|state| state.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}
