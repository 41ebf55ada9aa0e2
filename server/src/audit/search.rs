//! The search of the audit, which may have millions of rows: what a search reads is bounded, and an index finds it.
//!
//! A text is found where it is exactly the actor, project, role, access key id or id of a row, in all rows of the time range; and where it
//! is a part of one of these, of a session name or the like, in [`NEWEST`] rows at a time. A place in the audit is a [`Position`], so a
//! page far back costs as much as the first one.
//!
//! An index has the rows of a value or those of an outcome. Both together are found step by step among the rows of the value, within
//! [`STEPS_TIME`]; the page says how far that was.

use std::time::{Duration, Instant};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::database::Database;
use crate::database::damaged::Stored;
use crate::like;

/// The rows in which a search looks for a part of a text, and those of a step.
pub const NEWEST: i64 = 20_000;

/// The time in which a search begins another step.
const STEPS_TIME: Duration = Duration::from_secs(1);

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
    /// The oldest row in which the search has looked for exact matches, when its time was over before the oldest of all.
    pub exact_back_to: Option<Position>,
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

/// A value of a placeholder.
#[derive(Debug, Clone)]
enum Bound {
    Text(String),
    Number(i64),
}

/// What is shown in place of a text that is of another type.
const DAMAGED: &str = "(damaged)";

const COLUMNS: &str = "at, id, actor, client_address, action, outcome, project_id, project_name, role_arn, session_name, \
     duration_seconds, access_key_id, sts_request_id, reason, state_before, state_after, key_prefix, project_role, mapping_id, \
     source_identity, times, last_at";

/// The range of a search. `$1` and `$2` are its first place, `$3` and `$4` the place behind it.
const RANGE: &str = "(at, id) >= ($1, $2) and (at, id) < ($3, $4)";

const NEWEST_FIRST: &str = "order by at desc, id desc";

/// The oldest of [`NEWEST`] rows.
const HORIZON: &str = "limit 1 offset $5";

impl Search {
    /// Finds at most `limit` rows, the newest first.
    pub async fn run(&self, database: &Database, limit: usize) -> Result<Found, sqlx::Error> {
        self.run_until(database, limit, Instant::now() + STEPS_TIME).await
    }

    async fn run_until(&self, database: &Database, limit: usize, until: Instant) -> Result<Found, sqlx::Error> {
        let mut connection = database.pool().acquire().await?;
        let first = Position { at: self.from, id: String::new() };
        let (mut records, mut searched_back_to, mut exact_back_to) = (Vec::new(), None, None);
        if self.text.is_empty() {
            records = self.find(&mut connection, self.list_sql(), &first, None, limit).await?;
        // PostgreSQL refuses NUL in a text, so no row has one.
        } else if !self.text.contains('\0') {
            let is_exact = self.is_exact || self.text.chars().count() > LONGEST_PART;
            if !is_exact {
                searched_back_to = self.find_horizon(&mut connection, self.horizon_sql(), &first, None).await?;
                let back_to = searched_back_to.as_ref().unwrap_or(&first);
                let pattern = Bound::Text(like::contains(&self.text));
                records = self.find(&mut connection, self.part_sql(), back_to, Some(&pattern), limit).await?;
            }
            if records.len() > limit {
                searched_back_to = None;
            } else if is_exact || searched_back_to.is_some() {
                let before = searched_back_to.clone().unwrap_or_else(|| self.before.clone());
                let older = Self { before, ..self.clone() };
                let exact;
                (exact, exact_back_to) = older.find_exact(&mut connection, &first, limit, until).await?;
                records.extend(exact);
            }
        }
        let has_more = records.len() > limit;
        records.truncate(limit);
        Ok(Found { records, has_more, searched_back_to, exact_back_to: exact_back_to.filter(|_| !has_more) })
    }

    /// The oldest of the [`NEWEST`] rows that an index has, if there are so many.
    async fn find_horizon(
        &self,
        connection: &mut AnyConnection,
        sql: String,
        first: &Position,
        value: Option<&Bound>,
    ) -> Result<Option<Position>, sqlx::Error> {
        let query = sqlx::query_as(AssertSqlSafe(sql)).bind(first.at).bind(&first.id);
        let query = query.bind(self.before.at).bind(&self.before.id).bind(NEWEST - 1);
        let query = match value {
            Some(Bound::Text(text)) => query.bind(text),
            Some(Bound::Number(number)) => query.bind(number),
            // A horizon among the rows of a value pays no attention to their outcome.
            None => match self.outcome {
                Some(outcome) => query.bind(outcome),
                None => query,
            },
        };
        let row: Option<(Stored<i64>, Stored<String>)> = query.fetch_optional(connection).await?;
        let position = |(at, id): (Stored<i64>, Stored<String>)| Some(Position { at: at.value()?, id: id.value()? });
        Ok(row.and_then(position))
    }

    /// Finds one row more than `limit`, which says whether there are more.
    async fn find(
        &self,
        connection: &mut AnyConnection,
        sql: String,
        first: &Position,
        value: Option<&Bound>,
        limit: usize,
    ) -> Result<Vec<Record>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(first.at).bind(&first.id);
        let query = query.bind(self.before.at).bind(&self.before.id).bind(rows(limit));
        let query = match value {
            Some(Bound::Text(text)) => query.bind(text),
            Some(Bound::Number(number)) => query.bind(number),
            None => query,
        };
        let query = if let Some(outcome) = self.outcome { query.bind(outcome) } else { query };
        query.fetch_all(connection).await?.iter().map(Record::from_row).collect()
    }

    /// Finds the exact matches, and the place back to which it has looked if that is not the first one.
    async fn find_exact(
        &self,
        connection: &mut AnyConnection,
        first: &Position,
        limit: usize,
        until: Instant,
    ) -> Result<(Vec<Record>, Option<Position>), sqlx::Error> {
        let (mut records, mut back_to) = (Vec::new(), None);
        for (column, value) in find_values(connection, &self.text).await? {
            let (mut number, mut step) = (0, self.clone());
            loop {
                let horizon = if self.outcome.is_some() {
                    step.find_horizon(connection, exact_horizon_sql(column), first, Some(&value)).await?
                } else {
                    None
                };
                let from = horizon.as_ref().unwrap_or(first);
                let found = step.find(connection, self.exact_sql(column), from, Some(&value), limit).await?;
                number += found.len();
                records.extend(found);
                let Some(horizon) = horizon.filter(|_| number <= limit) else { break };
                if Instant::now() >= until {
                    back_to = back_to.max(Some(horizon));
                    break;
                }
                step.before = horizon;
            }
        }
        if let Some(back_to) = &back_to {
            records.retain(|record| record.position() >= *back_to);
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.position()));
        records.dedup_by(|left, right| left.id == right.id);
        Ok((records, back_to))
    }

    fn list_sql(&self) -> String {
        let rows = self.rows_sql();
        format!("select {COLUMNS} from audit where {rows} limit $5")
    }

    fn horizon_sql(&self) -> String {
        let rows = self.rows_sql();
        format!("select at, id from audit where {rows} {HORIZON}")
    }

    /// The rows of the range, those of an outcome if one is wanted, and their order.
    fn rows_sql(&self) -> String {
        if self.outcome.is_some() { rows_of_index("outcome", "$6") } else { format!("{RANGE} {NEWEST_FIRST}") }
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
        match self.outcome {
            Some(_) => step_sql(&rows_of_index("outcome", "$7"), &contains),
            None => {
                format!("select {COLUMNS} from audit where {RANGE} and ({contains}) {NEWEST_FIRST} limit $5")
            }
        }
    }

    fn exact_sql(&self, column: &str) -> String {
        let rows = rows_of_index(column, "$6");
        match self.outcome {
            Some(_) => step_sql(&rows, "outcome = $7"),
            None => format!("select {COLUMNS} from audit where {rows} limit $5"),
        }
    }
}

/// The rows of the range whose column has a value, and their order: that of the index of the column.
///
/// With `column = value` PostgreSQL would leave the column out of the order and may take the index of the times, which then has the same
/// order: it would read all rows when the wanted ones are old.
fn rows_of_index(column: &str, value: &str) -> String {
    match column {
        "id" => format!("id = {value} and {RANGE} {NEWEST_FIRST}"),
        _ => format!(
            "{column} is not null and ({column}, at) >= ({value}, $1) and ({column}, at) <= ({value}, $3) and {RANGE} \
             order by {column} desc, at desc, id desc"
        ),
    }
}

/// Finds what passes the filter among the rows of a step. Their limit is no less than their number, and keeps the database from reading
/// others instead.
fn step_sql(rows: &str, filter: &str) -> String {
    format!(
        "select {COLUMNS} from (select {COLUMNS} from audit where {rows} limit {NEWEST}) as step where ({filter}) \
         {NEWEST_FIRST} limit $5"
    )
}

fn exact_horizon_sql(column: &str) -> String {
    let rows = rows_of_index(column, "$6");
    format!("select at, id from audit where {rows} {HORIZON}")
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit + 1).unwrap_or(i64::MAX)
}

/// Finds what the text may be exactly, with the column whose index finds it: cases differ in ways that do not matter, and a project has
/// a name.
async fn find_values(connection: &mut AnyConnection, text: &str) -> Result<Vec<(&'static str, Bound)>, sqlx::Error> {
    let mut values = vec![
        ("id", Bound::Text(text.to_lowercase())),
        ("access_key_id", Bound::Text(text.to_uppercase())),
        ("actor", Bound::Text(text.to_owned())),
        ("role_arn", Bound::Text(text.to_owned())),
    ];
    if text.to_lowercase() != text {
        values.push(("actor", Bound::Text(text.to_lowercase())));
    }
    values.extend(text.parse().ok().map(|id| ("project_id", Bound::Number(id))));
    let named: Option<i64> =
        sqlx::query_scalar("select id from projects where name = $1").bind(text).fetch_optional(connection).await?;
    values.extend(named.map(|id| ("project_id", Bound::Number(id))));
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
        let exact = [
            ("id", "sqlite_autoindex_audit_1 (id=?)"),
            ("access_key_id", "audit_by_access_key_id ((access_key_id,at)>(?,?) AND (access_key_id,at)<(?,?))"),
            ("actor", "audit_by_actor ((actor,at)>(?,?) AND (actor,at)<(?,?))"),
            ("role_arn", "audit_by_role ((role_arn,at)>(?,?) AND (role_arn,at)<(?,?))"),
            ("project_id", "audit_by_project ((project_id,at)>(?,?) AND (project_id,at)<(?,?))"),
        ];
        let exact = exact.iter().flat_map(|(column, index)| {
            let texts = [all.exact_sql(column), some.exact_sql(column), exact_horizon_sql(column)];
            texts.map(|sql| (sql, *index))
        });
        let lists = [
            (all.list_sql(), "audit_by_time ((at,id)"),
            (all.horizon_sql(), "audit_by_time ((at,id)"),
            (all.part_sql(), "audit_by_time ((at,id)"),
            (some.list_sql(), "audit_by_outcome ((outcome,at)>(?,?) AND (outcome,at)<(?,?))"),
            (some.horizon_sql(), "audit_by_outcome ((outcome,at)>(?,?) AND (outcome,at)<(?,?))"),
            (some.part_sql(), "audit_by_outcome ((outcome,at)>(?,?) AND (outcome,at)<(?,?))"),
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
                let search = steps.iter().find(|step| !step.starts_with("CO-ROUTINE")).expect("a step");
                assert!(search.starts_with("SEARCH audit USING") && search.contains(index), "{sql}: {steps:?}");
                // The rows that pass the filter of a step are put in order once more.
                let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
                assert!(!is_sorted || sql.contains(" as step "), "{sql}: {steps:?}");
            }
            database.close().await;
        });
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    }

    #[tokio::test]
    async fn a_value_with_an_outcome_is_found_step_by_step_and_each_step_says_how_far_it_came() {
        let file = std::env::temp_dir().join(format!("audit-steps-{}.db", std::process::id()));
        let database = Database::open(&Address::Sqlite(file.clone()), Settings::default()).await.expect("a database");
        sqlx::query(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000) \
             insert into audit (id, at, actor, action, outcome) select 'row' || (100000 + i), i, 'etl@example.org', \
             'session-token', case i when 1 then 'refused' else 'granted' end from n",
        )
        .execute(database.pool())
        .await
        .expect("rows");
        let mut search = Search { text: "etl@example.org".to_owned(), is_exact: true, ..search(Some("refused")) };
        let now = Instant::now();
        for (at, id) in [(30_001, "row130001"), (10_001, "row110001")] {
            let found = search.run_until(&database, 25, now).await.expect("rows");
            let back_to = Position { at, id: id.to_owned() };
            assert_eq!((found.records.len(), found.has_more), (0, false));
            assert_eq!(found.exact_back_to.as_ref(), Some(&back_to));
            search.before = back_to;
        }
        let found = search.run_until(&database, 25, now).await.expect("rows");
        assert_eq!(
            (found.records.iter().map(|record| record.at).collect::<Vec<_>>(), found.exact_back_to),
            (vec![1], None)
        );
        // A whole page needs no more steps.
        search.before = Position { at: i64::MAX, id: String::new() };
        search.outcome = Some("granted");
        let found = search.run_until(&database, 25, now).await.expect("rows");
        assert_eq!((found.records.len(), found.has_more, found.exact_back_to), (25, true, None));
        database.close().await;
        let _ = std::fs::remove_file(&file);
    }
}
