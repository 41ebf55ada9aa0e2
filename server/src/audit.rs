//! The audit: every session-token request, granted or refused, and every change by an administrator.
//!
//! A row is written in the transaction of the change it describes; the row of a granted session is committed before the
//! credentials leave. It holds no secret: no API key, and of the credentials the access key id only.

use std::time::SystemTime;

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::database::{Database, milliseconds};

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

/// A row of the audit.
#[derive(Debug)]
pub struct Record {
    /// The instant, in milliseconds since 1970.
    pub at: i64,
    /// The id of the row, and of the request in the log.
    pub id: String,
    /// The actor: a user, or the command line.
    pub actor: String,
    /// The client's address.
    pub client_address: Option<String>,
    /// The action: a change, or a request for credentials.
    pub action: String,
    /// `granted`, `refused` or `changed`.
    pub outcome: String,
    /// The project.
    pub project_name: Option<String>,
    /// The role.
    pub role: Option<String>,
    /// The session name.
    pub session_name: Option<String>,
    /// The duration in seconds.
    pub duration_seconds: Option<i64>,
    /// The access key id of the credentials.
    pub access_key_id: Option<String>,
    /// The id that STS gave the request.
    pub sts_request_id: Option<String>,
    /// The reason of a refusal.
    pub reason: Option<String>,
    /// The state before the change, as JSON.
    pub state_before: Option<String>,
    /// The state after the change, as JSON.
    pub state_after: Option<String>,
}

/// Searches the audit, newest rows first: rows whose actor, project, role, session name, access key id, STS request id or own
/// id contains `text` in any case, and whose outcome is `outcome`. An empty text matches every row.
pub async fn search(
    database: &Database,
    text: &str,
    outcome: &str,
    offset: i64,
    limit: i64,
) -> Result<Vec<Record>, sqlx::Error> {
    let rows: Vec<AnyRow> = sqlx::query(
        "select at, id, actor, client_address, action, outcome, project_name, role_arn, session_name, duration_seconds, \
         access_key_id, sts_request_id, reason, state_before, state_after from audit \
         where (lower(actor) like $1 escape '!' or lower(project_name) like $1 escape '!' \
         or lower(role_arn) like $1 escape '!' or lower(session_name) like $1 escape '!' \
         or lower(access_key_id) like $1 escape '!' or lower(sts_request_id) like $1 escape '!' or id like $1 escape '!') \
         and ($2 = '' or outcome = $2) order by at desc, id limit $3 offset $4",
    )
    .bind(like_pattern(text))
    .bind(outcome)
    .bind(limit)
    .bind(offset)
    .fetch_all(database.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Record {
                at: row.try_get(0)?,
                id: row.try_get(1)?,
                actor: row.try_get(2)?,
                client_address: row.try_get(3)?,
                action: row.try_get(4)?,
                outcome: row.try_get(5)?,
                project_name: row.try_get(6)?,
                role: row.try_get(7)?,
                session_name: row.try_get(8)?,
                duration_seconds: row.try_get(9)?,
                access_key_id: row.try_get(10)?,
                sts_request_id: row.try_get(11)?,
                reason: row.try_get(12)?,
                state_before: row.try_get(13)?,
                state_after: row.try_get(14)?,
            })
        })
        .collect()
}

/// Makes a `like` pattern that matches texts containing this one literally.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.to_lowercase().chars() {
        if "!%_".contains(character) {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_searched_literally() {
        assert_eq!(like_pattern(""), "%%");
        assert_eq!(like_pattern("ASIA_1%!"), "%asia!_1!%!!%");
    }
}
