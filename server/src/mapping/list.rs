//! Lists of role mappings for the REST interface and the pages: the database filters, sorts and pages.
//!
//! A list is found as ids, and the mappings behind them are loaded in parts, so that a list of all mappings needs little memory.
//! Texts are ordered byte by byte on every database, whatever its locale.

use std::fmt::Write;
use std::mem::discriminant;

use hops_credentials_core::role::ProjectRole;
use sqlx::{AnyExecutor, AssertSqlSafe};

use super::Mapping;
use super::row::{Row, SELECT, keep};
use crate::database::Database;
use crate::database::damaged::Stored;
use crate::like;

/// A condition that the mappings of a list meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The id of the project.
    ProjectId(i64),
    /// The project role.
    ProjectRole(ProjectRole),
    /// A member with this project role may assume the role.
    ForMember(ProjectRole),
    /// The ARN of the role.
    Role(String),
    /// A part of the project's name or of the ARN, in any case, or the id of the mapping.
    Text(String),
}

/// The conditions that the mappings of a list meet, all of them.
#[derive(Debug, Default)]
pub struct Filter(Vec<Condition>);

impl Filter {
    /// Adds a condition. Two different values of a kind exclude each other, so a third adds nothing.
    pub fn add(&mut self, condition: Condition) {
        let same_kind = self.0.iter().filter(|other| discriminant(*other) == discriminant(&condition)).count();
        if same_kind < 2 && !self.0.contains(&condition) {
            self.0.push(condition);
        }
    }

    /// Whether every mapping passes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the condition in SQL, and collects the values of its placeholders. A text is compared with the collation of its index.
    fn sql(&self, binary: &str) -> (String, Vec<Value>) {
        let (mut sql, mut values) = (String::new(), Vec::new());
        for condition in &self.0 {
            let number = values.len() + 1;
            let written = match condition {
                Condition::ProjectId(id) => {
                    values.push(Value::Number(*id));
                    write!(sql, " and role_mappings.project_id = ${number}")
                }
                Condition::ProjectRole(project_role) => {
                    values.push(Value::Text(project_role.query_name().to_owned()));
                    write!(sql, " and role_mappings.project_role collate {binary} = ${number}")
                }
                Condition::ForMember(project_role) => {
                    values.push(Value::Text(project_role.query_name().to_owned()));
                    values.push(Value::Text(ProjectRole::All.query_name().to_owned()));
                    write!(sql, " and role_mappings.project_role in (${number}, ${})", number + 1)
                }
                // PostgreSQL refuses the byte in a text.
                Condition::Role(role) if role.contains('\0') => write!(sql, " and 1 = 0"),
                Condition::Role(role) => {
                    values.push(Value::Text(role.clone()));
                    write!(sql, " and role_mappings.role_arn collate {binary} = ${number}")
                }
                Condition::Text(text) => {
                    values.push(Value::Text(like::contains(text)));
                    values.push(Value::Number(text.parse().unwrap_or(0)));
                    write!(
                        sql,
                        " and (lower(projects.name) like ${number} escape '!' \
                         or lower(role_mappings.role_arn) like ${number} escape '!' or role_mappings.id = ${})",
                        number + 1
                    )
                }
            };
            written.expect("a text takes all that is written");
        }
        (sql, values)
    }

    fn needs_projects(&self) -> bool {
        self.0.iter().any(|condition| matches!(condition, Condition::Text(_)))
    }
}

/// A value to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The id of the mapping.
    Id,
    /// The id of the project.
    ProjectId,
    /// The name of the project.
    ProjectName,
    /// The name of the project role.
    ProjectRole,
    /// The ARN of the role.
    Role,
}

/// A direction to sort in.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    /// The smallest value first.
    Ascending,
    /// The largest value first.
    Descending,
}

/// The order of a list: by each key in turn, and by ids where all keys are equal.
#[derive(Debug, Default)]
pub struct Order(Vec<(Key, Direction)>);

impl Order {
    /// Adds a key. It decides nothing, and is left out, when it is there already or when the ids have decided.
    pub fn add(&mut self, key: Key, direction: Direction) {
        if !self.0.iter().any(|(known, _)| *known == key || *known == Key::Id) {
            self.0.push((key, direction));
        }
    }

    /// Whether the list is in the order of its ids because nobody asked for another one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn sql(&self, binary: &str) -> String {
        let mut keys = self.0.clone();
        if !keys.iter().any(|(key, _)| *key == Key::Id) {
            keys.push((Key::Id, Direction::Ascending));
        }
        let keys = keys.into_iter().map(|(key, direction)| {
            let column = match key {
                Key::Id => "role_mappings.id".to_owned(),
                Key::ProjectId => "role_mappings.project_id".to_owned(),
                Key::ProjectName => format!("projects.name collate {binary}"),
                Key::ProjectRole => format!("role_mappings.project_role collate {binary}"),
                Key::Role => format!("role_mappings.role_arn collate {binary}"),
            };
            match direction {
                Direction::Ascending => column,
                Direction::Descending => column + " desc",
            }
        });
        keys.collect::<Vec<_>>().join(", ")
    }

    /// Writes the tables in the order in which SQLite walks through them: an index of the first one gives the order.
    fn tables(&self, filter: &Filter) -> &'static str {
        let by_name = |(key, _): &(Key, Direction)| *key == Key::ProjectName;
        if self.0.first().is_some_and(by_name) {
            "projects cross join role_mappings where projects.id = role_mappings.project_id"
        } else if filter.needs_projects() || self.0.iter().any(by_name) {
            "role_mappings cross join projects where projects.id = role_mappings.project_id"
        } else {
            "role_mappings where 1 = 1"
        }
    }
}

/// A value of a placeholder.
enum Value {
    Number(i64),
    Text(String),
}

/// Counts the mappings that pass.
pub async fn count(database: &Database, filter: &Filter) -> Result<i64, sqlx::Error> {
    let (conditions, values) = filter.sql(database.binary());
    let sql = format!("select count(*) from {}{conditions}", Order::default().tables(filter));
    let query = sqlx::query_scalar(AssertSqlSafe(sql));
    let query = values.into_iter().fold(query, |query, value| match value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
    });
    query.fetch_one(database.pool()).await
}

/// Finds the ids of at most `limit` mappings that pass, in order, after the first `offset` of them.
pub async fn find_ids(
    database: &Database,
    filter: &Filter,
    order: &Order,
    offset: i64,
    limit: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    let (conditions, values) = filter.sql(database.binary());
    let sql = format!(
        "select role_mappings.id from {}{conditions} order by {} limit ${} offset ${}",
        order.tables(filter),
        order.sql(database.binary()),
        values.len() + 1,
        values.len() + 2
    );
    let query = sqlx::query_scalar(AssertSqlSafe(sql));
    let query = values.into_iter().fold(query, |query, value| match value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
    });
    let ids: Vec<Stored<i64>> = query.bind(limit).bind(offset).fetch_all(database.pool()).await?;
    Ok(ids.into_iter().filter_map(Stored::value).collect())
}

/// Loads the mappings with these ids, in their order. Those that have been removed since are missing. For some hundreds of ids at once.
pub async fn load(executor: impl AnyExecutor<'_>, ids: &[i64]) -> Result<Vec<Mapping>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let listed = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!("{SELECT}where role_mappings.id in ({listed})")))
        .persistent(false)
        .fetch_all(executor)
        .await?;
    let places: std::collections::HashMap<i64, usize> =
        ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let (mut mappings, _) = keep(rows);
    mappings.sort_by_key(|mapping| places.get(&mapping.id).copied());
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_decides_nothing_is_left_out_and_ids_decide_at_last() {
        let mut order = Order::default();
        for _ in 0..10_000 {
            order.add(Key::Role, Direction::Descending);
            order.add(Key::ProjectId, Direction::Ascending);
        }
        let expected = "role_mappings.role_arn collate binary desc, role_mappings.project_id, role_mappings.id";
        assert_eq!(order.sql("binary"), expected);
        order.add(Key::Id, Direction::Descending);
        order.add(Key::ProjectName, Direction::Ascending);
        assert_eq!(order.sql("binary"), format!("{expected} desc"));
    }

    #[test]
    fn conditions_that_are_repeated_cost_nothing_and_those_that_exclude_each_other_stay() {
        let mut filter = Filter::default();
        for id in 0..10_000 {
            filter.add(Condition::ProjectId(7));
            filter.add(Condition::Role(format!("r{id}")));
        }
        let (sql, values) = filter.sql("binary");
        assert_eq!(
            sql,
            " and role_mappings.project_id = $1 and role_mappings.role_arn collate binary = $2 \
             and role_mappings.role_arn collate binary = $3"
        );
        assert_eq!(values.len(), 3);
    }
}
