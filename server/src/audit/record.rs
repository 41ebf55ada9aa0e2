//! A row of the audit, and its place.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::damaged::Stored;

/// The columns of a [`Record`], in the order in which it reads them.
pub const COLUMNS: &str = "at, id, actor, client_address, action, outcome, project_id, project_name, role_arn, session_name, \
     duration_seconds, access_key_id, sts_request_id, reason, state_before, state_after, key_prefix, project_role, mapping_id, \
     source_identity, times, last_at";

/// What is shown in place of a text that is of another type.
const DAMAGED: &str = "(damaged)";

/// A place in the audit: that of a row. A later one is greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The instant of the row, in milliseconds since 1970.
    pub at: i64,
    /// The id of the row.
    pub id: String,
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
    /// `asked`, `granted`, `refused` or `changed`.
    pub outcome: String,
    /// The id of the project.
    pub project_id: Option<i64>,
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
    /// The prefix of the API key with which the caller asked.
    pub key_prefix: Option<String>,
    /// The project role of the caller.
    pub project_role: Option<String>,
    /// The id of the role mapping.
    pub mapping_id: Option<i64>,
    /// The source identity of the session.
    pub source_identity: Option<String>,
    /// The number of equal requests for which the row stands.
    pub times: i64,
    /// The instant of the last of them, in milliseconds since 1970.
    pub last_at: Option<i64>,
}

impl Record {
    /// The place of the row.
    pub fn position(&self) -> Position {
        Position { at: self.at, id: self.id.clone() }
    }

    /// Reads the [`COLUMNS`] of a row. A value that somebody edited into one of another type is shown as such; the row stays.
    pub fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let text = |index| {
            row.try_get(index).map(|stored: Stored<String>| stored.value().unwrap_or_else(|| DAMAGED.to_owned()))
        };
        let some_text = |index| {
            row.try_get(index)
                .map(|stored: Stored<Option<String>>| stored.value().unwrap_or_else(|| Some(DAMAGED.to_owned())))
        };
        let number = |index| row.try_get(index).map(|stored: Stored<Option<i64>>| stored.value().flatten());
        Ok(Record {
            at: number(0)?.unwrap_or_default(),
            id: text(1)?,
            actor: text(2)?,
            client_address: some_text(3)?,
            action: text(4)?,
            outcome: text(5)?,
            project_id: number(6)?,
            project_name: some_text(7)?,
            role: some_text(8)?,
            session_name: some_text(9)?,
            duration_seconds: number(10)?,
            access_key_id: some_text(11)?,
            sts_request_id: some_text(12)?,
            reason: some_text(13)?,
            state_before: some_text(14)?,
            state_after: some_text(15)?,
            key_prefix: some_text(16)?,
            project_role: some_text(17)?,
            mapping_id: number(18)?,
            source_identity: some_text(19)?,
            times: number(20)?.unwrap_or(1),
            last_at: number(21)?,
        })
    }
}
