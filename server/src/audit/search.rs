//! The search of the audit.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::Database;

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
