//! The search of the audit, which may have millions of rows: what a search reads is bounded, and an index finds it.
//!
//! A text is found where it is exactly the actor, project, role, access key id or id of a row, in all rows of the time range; and where it
//! is a part of one of these, of a session name or the like, in [`NEWEST`] rows at a time. A place in the audit is a [`Position`], so a
//! page far back costs as much as the first one.
//!
//! An index has the rows of a value or those of an outcome. Both together are found step by step among the rows of the value, within
//! [`STEPS_TIME`]; the page says how far that was. `sql` writes the queries.

mod sql;

use std::time::{Duration, Instant};

use sqlx::{AnyConnection, AssertSqlSafe};

use super::record::{Position, Record};
use crate::database::Database;
use crate::database::damaged::Stored;
use crate::like;

/// The rows in which a search looks for a part of a text, and those of a step.
pub const NEWEST: i64 = 20_000;

/// The time in which a search begins another step.
const STEPS_TIME: Duration = Duration::from_secs(1);

/// The longest text that is searched as a part of another one.
const LONGEST_PART: usize = 256;

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

/// A value of a placeholder.
#[derive(Debug, Clone)]
enum Bound {
    Text(String),
    Number(i64),
}

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
                    step.find_horizon(connection, sql::exact_horizon(column), first, Some(&value)).await?
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
        let before = Position { at: i64::MAX, id: String::new() };
        let mut search = Search {
            text: "etl@example.org".to_owned(),
            is_exact: true,
            outcome: Some("refused"),
            from: 0,
            before: before.clone(),
        };
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
        search.before = before;
        search.outcome = Some("granted");
        let found = search.run_until(&database, 25, now).await.expect("rows");
        assert_eq!((found.records.len(), found.has_more, found.exact_back_to), (25, true, None));
        database.close().await;
        let _ = std::fs::remove_file(&file);
    }
}
