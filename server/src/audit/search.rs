//! The search of the audit, which may have millions of rows: what a search reads is bounded, and an index finds it.
//!
//! A text is found where it is exactly the actor, project, role, access key id or id of a row, in all rows of the time range; and where it
//! is a part of one of these, of a session name or the like, in [`NEWEST`] rows at a time. A place in the audit is a [`Position`], so a
//! page far back costs as much as the first one.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::database::Database;
use crate::database::damaged::Stored;
use crate::like;

/// The rows in which a search looks for a part of a text.
pub const NEWEST: i64 = 20_000;

/// The longest text that is searched as a part of another one.
const LONGEST_PART: usize = 256;

/// A place in the audit: that of a row. A later one is greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The instant of the row, in milliseconds since 1970.
    pub at: i64,
    /// The id of the row.
    pub id: String,
}

/// A search of the audit.
#[derive(Debug, Clone)]
pub struct Search {
    /// The text; empty when every row is wanted.
    pub text: String,
    /// Whether rows that merely contain the text are left out.
    pub is_exact: bool,
    /// The wanted outcome.
    pub outcome: Option<&'static str>,
    /// The first wanted instant, in milliseconds since 1970.
    pub from: i64,
    /// The place before which all wanted rows are.
    pub before: Position,
}

/// The rows that a search found.
#[derive(Debug)]
pub struct Found {
    /// The rows, the newest first.
    pub records: Vec<Record>,
    /// Whether there are more rows behind the last one.
    pub has_more: bool,
    /// The oldest row in which the search has looked for a part of the text, when there are older ones. Rows behind it are exact matches.
    pub searched_back_to: Option<Position>,
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

    /// Reads a row. A value that somebody edited into one of another type is shown as such; the row stays.
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
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

/// A value that identifies rows, and whose index finds them.
#[derive(Debug, Clone)]
enum Exactly {
    Id(String),
    AccessKeyId(String),
    Actor(String),
    Role(String),
    Project(i64),
}

/// What is shown in place of a text that is of another type.
const DAMAGED: &str = "(damaged)";

const COLUMNS: &str = "at, id, actor, client_address, action, outcome, project_id, project_name, role_arn, session_name, \
     duration_seconds, access_key_id, sts_request_id, reason, state_before, state_after, key_prefix, project_role, mapping_id, \
     source_identity, times, last_at";

/// The range of a search. `$1` and `$2` are its first place, `$3` and `$4` the place behind it.
const RANGE: &str = "(at, id) >= ($1, $2) and (at, id) < ($3, $4)";

const NEWEST_FIRST: &str = "order by at desc, id desc";

impl Search {
    /// Finds at most `limit` rows, the newest first.
    pub async fn run(&self, database: &Database, limit: usize) -> Result<Found, sqlx::Error> {
        let mut connection = database.pool().acquire().await?;
        let first = Position { at: self.from, id: String::new() };
        let (mut records, mut searched_back_to) = (Vec::new(), None);
        if self.text.is_empty() {
            records = self.find(&mut connection, &self.list_sql(), &first, None, limit).await?;
        // PostgreSQL refuses NUL in a text, so no row has one.
        } else if !self.text.contains('\0') {
            let is_exact = self.is_exact || self.text.chars().count() > LONGEST_PART;
            if !is_exact {
                searched_back_to = self.find_horizon(&mut connection, &first).await?;
                let back_to = searched_back_to.as_ref().unwrap_or(&first);
                let pattern = like::contains(&self.text);
                records = self.find(&mut connection, &self.part_sql(), back_to, Some(&pattern), limit).await?;
            }
            if records.len() > limit {
                searched_back_to = None;
            } else if is_exact || searched_back_to.is_some() {
                let before = searched_back_to.clone().unwrap_or_else(|| self.before.clone());
                let older = Self { before, ..self.clone() };
                records.extend(older.find_exact(&mut connection, &first, limit).await?);
            }
        }
        let has_more = records.len() > limit;
        records.truncate(limit);
        Ok(Found { records, has_more, searched_back_to })
    }

    /// The oldest of the [`NEWEST`] rows in which a part of the text is searched, if there are so many.
    async fn find_horizon(
        &self,
        connection: &mut AnyConnection,
        first: &Position,
    ) -> Result<Option<Position>, sqlx::Error> {
        let sql = self.horizon_sql();
        let query = sqlx::query_as(AssertSqlSafe(sql)).bind(first.at).bind(&first.id);
        let query = query.bind(self.before.at).bind(&self.before.id).bind(NEWEST - 1);
        let query = if let Some(outcome) = self.outcome { query.bind(outcome) } else { query };
        let row: Option<(Stored<i64>, Stored<String>)> = query.fetch_optional(connection).await?;
        let position = |(at, id): (Stored<i64>, Stored<String>)| Some(Position { at: at.value()?, id: id.value()? });
        Ok(row.and_then(position))
    }

    /// Finds one row more than `limit`, which says whether there are more.
    async fn find(
        &self,
        connection: &mut AnyConnection,
        sql: &str,
        first: &Position,
        pattern: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(first.at).bind(&first.id);
        let query = query.bind(self.before.at).bind(&self.before.id).bind(rows(limit));
        let query = if let Some(pattern) = pattern { query.bind(pattern) } else { query };
        let query = if let Some(outcome) = self.outcome { query.bind(outcome) } else { query };
        query.fetch_all(connection).await?.iter().map(Record::from_row).collect()
    }

    async fn find_exact(
        &self,
        connection: &mut AnyConnection,
        first: &Position,
        limit: usize,
    ) -> Result<Vec<Record>, sqlx::Error> {
        let mut records = Vec::new();
        for value in find_values(connection, &self.text).await? {
            let query = sqlx::query(AssertSqlSafe(self.exact_sql(&value))).bind(first.at).bind(&first.id);
            let query = query.bind(self.before.at).bind(&self.before.id).bind(rows(limit));
            let query = match value {
                Exactly::Id(text) | Exactly::AccessKeyId(text) | Exactly::Actor(text) | Exactly::Role(text) => {
                    query.bind(text)
                }
                Exactly::Project(id) => query.bind(id),
            };
            let query = if let Some(outcome) = self.outcome { query.bind(outcome) } else { query };
            for row in query.fetch_all(&mut *connection).await? {
                records.push(Record::from_row(&row)?);
            }
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.position()));
        records.dedup_by(|left, right| left.id == right.id);
        Ok(records)
    }

    fn list_sql(&self) -> String {
        let outcome = if self.outcome.is_some() { "and outcome = $6" } else { "" };
        format!("select {COLUMNS} from audit where {RANGE} {outcome} {NEWEST_FIRST} limit $5")
    }

    fn horizon_sql(&self) -> String {
        let outcome = if self.outcome.is_some() { "and outcome = $6" } else { "" };
        format!("select at, id from audit where {RANGE} {outcome} {NEWEST_FIRST} limit 1 offset $5")
    }

    fn part_sql(&self) -> String {
        let contains = [
            "lower(actor)",
            "lower(project_name)",
            "lower(role_arn)",
            "lower(session_name)",
            "lower(access_key_id)",
            "lower(sts_request_id)",
            "id",
            "lower(key_prefix)",
            "lower(source_identity)",
            "client_address",
        ];
        let contains = contains.map(|column| format!("{column} like $6 escape '!'")).join(" or ");
        let outcome = if self.outcome.is_some() { "and outcome = $7" } else { "" };
        format!("select {COLUMNS} from audit where {RANGE} {outcome} and ({contains}) {NEWEST_FIRST} limit $5")
    }

    fn exact_sql(&self, value: &Exactly) -> String {
        let column = match value {
            Exactly::Id(_) => "id",
            Exactly::AccessKeyId(_) => "access_key_id",
            Exactly::Actor(_) => "actor",
            Exactly::Role(_) => "role_arn",
            Exactly::Project(_) => "project_id",
        };
        // An expression, so that no database takes the index of the outcomes, which have far more rows than the value.
        let outcome = if self.outcome.is_some() { "and outcome || '' = $7" } else { "" };
        format!("select {COLUMNS} from audit where {column} = $6 and {RANGE} {outcome} {NEWEST_FIRST} limit $5")
    }
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit + 1).unwrap_or(i64::MAX)
}

/// Finds what the text may be exactly: cases differ in ways that do not matter, and a project has a name.
async fn find_values(connection: &mut AnyConnection, text: &str) -> Result<Vec<Exactly>, sqlx::Error> {
    let mut values = vec![
        Exactly::Id(text.to_lowercase()),
        Exactly::AccessKeyId(text.to_uppercase()),
        Exactly::Actor(text.to_owned()),
        Exactly::Role(text.to_owned()),
    ];
    if text.to_lowercase() != text {
        values.push(Exactly::Actor(text.to_lowercase()));
    }
    values.extend(text.parse().ok().map(Exactly::Project));
    let named: Option<i64> =
        sqlx::query_scalar("select id from projects where name = $1").bind(text).fetch_optional(connection).await?;
    values.extend(named.map(Exactly::Project));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Settings;
    use crate::database::address::Address;

    fn search(outcome: Option<&'static str>) -> Search {
        let before = Position { at: i64::MAX, id: String::new() };
        Search { text: String::new(), is_exact: false, outcome, from: 0, before }
    }

    /// Each kind of query, with a part of its plan on SQLite.
    fn queries() -> Vec<(String, &'static str)> {
        let (all, some) = (search(None), search(Some("refused")));
        let text = String::new;
        let exact = [
            (Exactly::Id(text()), "sqlite_autoindex_audit_1 (id=?)"),
            (Exactly::AccessKeyId(text()), "audit_by_access_key_id (access_key_id=? AND at"),
            (Exactly::Actor(text()), "audit_by_actor (actor=? AND at"),
            (Exactly::Role(text()), "audit_by_role (role_arn=? AND at"),
            (Exactly::Project(1), "audit_by_project (project_id=? AND at"),
        ];
        let exact =
            exact.iter().flat_map(|(value, index)| [&all, &some].map(|search| (search.exact_sql(value), *index)));
        let lists = [
            (all.list_sql(), "audit_by_time ((at,id)"),
            (all.horizon_sql(), "audit_by_time ((at,id)"),
            (all.part_sql(), "audit_by_time ((at,id)"),
            (some.list_sql(), "audit_by_outcome (outcome=? AND at"),
            (some.horizon_sql(), "audit_by_outcome (outcome=? AND at"),
            (some.part_sql(), "audit_by_outcome (outcome=? AND at"),
        ];
        exact.chain(lists).collect()
    }

    #[test]
    fn an_index_finds_what_a_search_reads() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let file = std::env::temp_dir().join(format!("audit-search-{}.db", std::process::id()));
        runtime.block_on(async {
            let database =
                Database::open(&Address::Sqlite(file.clone()), Settings::default()).await.expect("a database");
            for (sql, index) in queries() {
                let plan: Vec<(i64, i64, i64, String)> =
                    sqlx::query_as(AssertSqlSafe(format!("explain query plan {sql}")))
                        .fetch_all(database.pool())
                        .await
                        .expect("a plan");
                let steps: Vec<&str> = plan.iter().map(|(_, _, _, step)| step.as_str()).collect();
                assert!(steps[0].starts_with("SEARCH audit USING") && steps[0].contains(index), "{sql}: {steps:?}");
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY")), "{sql}: {steps:?}");
            }
            database.close().await;
        });
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    }
}
