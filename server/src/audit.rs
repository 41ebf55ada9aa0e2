//! What is on record: every session-token request, granted or refused, and every change by an administrator.
//!
//! A row is written in the transaction of the change it tells of; the row of a granted session is committed before the
//! credentials leave. It holds no secret: neither API keys nor what STS hands out beside the access key id.

use std::time::SystemTime;

use serde_json::Value;
use sqlx::AnyConnection;

use crate::project::Project;

/// On whose behalf something happens.
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
    /// Whoever runs `role-mapping-server` on the machine of the database.
    pub fn command_line() -> Self {
        Self { request_id: crate::random::hex::<8>(), name: "command line".to_owned(), address: None }
    }
}

/// A change an administrator makes; the names are those of the command line.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    UserAdd,
    UserKey,
    ProjectAdd,
    MemberSet,
    MemberRemove,
    MappingAdd,
    MappingChange,
    MappingRemove,
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

/// A session-token request and what came of it.
#[derive(Debug, Default)]
pub struct SessionRequest {
    /// The project asked for, also when the caller is no member of it.
    pub project_id: i64,
    /// Its name, if the caller is a member.
    pub project_name: Option<String>,
    /// The role, once it is known which.
    pub role: Option<String>,
    /// The session name, once it is known.
    pub session_name: Option<String>,
    /// The duration in seconds, once it is known: that of the credentials, else that asked for.
    pub duration_seconds: Option<i64>,
    /// The access key id of the credentials.
    pub access_key_id: Option<String>,
    /// The id STS gave the request.
    pub sts_request_id: Option<String>,
    /// Why it was refused; `None` when credentials were handed out.
    pub refusal: Option<String>,
}

/// Records a session-token request.
pub async fn record_session(
    connection: &mut AnyConnection,
    actor: &Actor,
    request: &SessionRequest,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, role_arn, \
         session_name, duration_seconds, access_key_id, sts_request_id, reason) \
         values ($1, $2, $3, $4, 'session-token', $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(actor.request_id.as_str())
    .bind(now())
    .bind(actor.name.as_str())
    .bind(actor.address.as_deref())
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

/// Records a change with what stood there before and what stands there after it.
pub async fn record_change(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    project: Option<&Project>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, state_before, \
         state_after) values ($1, $2, $3, $4, $5, 'changed', $6, $7, $8, $9)",
    )
    .bind(actor.request_id.as_str())
    .bind(now())
    .bind(actor.name.as_str())
    .bind(actor.address.as_deref())
    .bind(action.name())
    .bind(project.map(|project| project.id))
    .bind(project.map(|project| project.name.as_str()))
    .bind(before.map(|state| state.to_string()))
    .bind(after.map(|state| state.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
