//! Projects.

use std::fmt;
use std::str::FromStr;

use hops_credentials_core::role::ProjectRole;
use serde_json::json;
use sqlx::{AnyConnection, AnyExecutor};

use crate::audit::{self, Action, Actor};
use crate::database::{Database, is_conflict, next_id};
use crate::error::Error;

/// A legal project name: 1 to 64 letters, digits and characters of `_.-`, and not digits only, since the command line takes
/// an id or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName(String);

impl fmt::Display for ProjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_legal = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && !text.bytes().all(|byte| byte.is_ascii_digit());
        if is_legal {
            Ok(Self(text.to_owned()))
        } else {
            Err("a project name has 1 to 64 letters, digits and characters of _.- and is not digits only")
        }
    }
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The id.
    pub id: i64,
    /// The name.
    pub name: String,
}

/// Adds a project.
///
/// # Errors
/// [`Error::ProjectExists`], [`Error::Database`]; then nothing has changed.
pub async fn add(database: &Database, actor: &Actor, name: &ProjectName) -> Result<Project, Error> {
    let mut transaction = database.begin_write().await?;
    let project = Project { id: next_id(&mut transaction, "project").await?, name: name.to_string() };
    sqlx::query("insert into projects (id, name) values ($1, $2)")
        .bind(project.id)
        .bind(project.name.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(|error| if is_conflict(&error) { Error::ProjectExists(name.to_string()) } else { error.into() })?;
    let after = json!({"id": project.id, "name": project.name});
    audit::record_change(
        &mut transaction,
        actor,
        Action::ProjectAdd,
        Some((project.id, &project.name)),
        None,
        Some(after),
    )
    .await?;
    transaction.commit().await?;
    Ok(project)
}

/// Finds the project with this id.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
pub async fn find_by_id(executor: impl AnyExecutor<'_>, id: i64) -> Result<Project, Error> {
    let row = sqlx::query_as("select id, name from projects where id = $1").bind(id).fetch_optional(executor).await?;
    row.map(from_row).ok_or_else(|| Error::NoSuchProject(id.to_string()))
}

/// Finds the project with this name.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
pub async fn find_by_name(executor: impl AnyExecutor<'_>, name: &str) -> Result<Project, Error> {
    let row =
        sqlx::query_as("select id, name from projects where name = $1").bind(name).fetch_optional(executor).await?;
    row.map(from_row).ok_or_else(|| Error::NoSuchProject(name.to_owned()))
}

/// Finds the project that the caller calls by its id or by its name, as the command line allows.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
pub async fn find_by_id_or_name(executor: impl AnyExecutor<'_>, id_or_name: &str) -> Result<Project, Error> {
    let row = sqlx::query_as("select id, name from projects where id = $1 or name = $2")
        .bind(id_or_name.parse::<i64>().unwrap_or(0))
        .bind(id_or_name)
        .fetch_optional(executor)
        .await?;
    row.map(from_row).ok_or_else(|| Error::NoSuchProject(id_or_name.to_owned()))
}

/// Locks the project with this id until the transaction ends: changes of its members and role mappings wait for each other.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
pub async fn lock(connection: &mut AnyConnection, id: i64) -> Result<Project, Error> {
    // SQLite does not know `select for update`; both databases take a lock for an update that changes nothing.
    let row = sqlx::query_as("update projects set name = name where id = $1 returning id, name")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.map(from_row).ok_or_else(|| Error::NoSuchProject(id.to_string()))
}

fn from_row((id, name): (i64, String)) -> Project {
    Project { id, name }
}

/// Remembers a project of a cluster under its name, or under a placeholder that no project of Hopsworks can have as a name. A
/// name that is already known stays when there is no new one.
///
/// # Errors
/// [`Error::Database`]; then nothing has changed.
pub async fn remember_name(database: &Database, id: i64, name: Option<&str>) -> Result<(), Error> {
    let placeholder = |id: i64| format!("project-{id}");
    let mut transaction = database.begin_write().await?;
    if let Some(name) = name {
        // Another project that had this name is gone: a cluster gives each name once.
        sqlx::query("update projects set name = 'project-' || cast(id as text) where name = $1 and id <> $2")
            .bind(name)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(
        "insert into projects (id, name) values ($1, $2) on conflict (id) do update set name = \
         case when $3 = 1 then excluded.name else projects.name end",
    )
    .bind(id)
    .bind(name.map_or_else(|| placeholder(id), str::to_owned))
    .bind(i64::from(name.is_some()))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Lists all projects with the number of their members, in the order of their names.
pub async fn list(database: &Database) -> Result<Vec<(Project, i64)>, sqlx::Error> {
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(
        "select id, name, (select count(*) from members where project_id = projects.id) from projects order by name",
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(|(id, name, members)| (Project { id, name }, members)).collect())
}

/// Parses a project role as the database holds it.
pub fn parse_stored_role(text: &str) -> ProjectRole {
    text.parse().expect("a check constraint holds project roles to the names of the contract")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_name_is_never_mistaken_for_an_id() {
        for legal in ["churn", "2024_q1", "a", "A.b-c", &"p".repeat(64)] {
            assert_eq!(legal.parse::<ProjectName>().expect("legal").to_string(), legal);
        }
        for illegal in ["", "119", "a b", "a\tb", "a/b", "ü", &"p".repeat(65)] {
            assert!(illegal.parse::<ProjectName>().is_err(), "{illegal:?}");
        }
    }
}
