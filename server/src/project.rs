//! Projects.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde_json::json;
use sqlx::{AnyConnection, AnyExecutor, AssertSqlSafe};

use crate::audit::{self, Action, Actor};
use crate::database::damaged::{DamagedRow, Stored};
use crate::database::error::is_conflict;
use crate::database::rows::{placeholders, rows_per_statement};
use crate::database::{Database, next_id, row_lock};
use crate::error::Error;
use crate::like;

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

/// Selects projects for [`from_row`].
macro_rules! select {
    ($rest:literal) => {
        concat!("select id, name, (select count(*) from identity) from projects ", $rest)
    };
}

/// Finds the project with this id.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
pub async fn find_by_id(executor: impl AnyExecutor<'_>, id: i64) -> Result<Project, Error> {
    let row = sqlx::query_as(select!("where id = $1")).bind(id).fetch_optional(executor).await?;
    row.map(from_row).ok_or_else(|| Error::NoSuchProject(id.to_string()))
}

/// Finds the project that is shown under this name.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
async fn find_by_name(executor: impl AnyExecutor<'_>, name: &str) -> Result<Project, Error> {
    let placeholder_of: i64 = name.strip_prefix(PLACEHOLDER).and_then(|id| id.parse().ok()).unwrap_or(0);
    let rows = sqlx::query_as(select!("where name = $1 or id = $2"))
        .bind(name)
        .bind(placeholder_of)
        .fetch_all(executor)
        .await?;
    let shown = rows.into_iter().map(from_row).find(|project| project.name == name);
    shown.ok_or_else(|| Error::NoSuchProject(name.to_owned()))
}

/// What somebody calls a project: digits are always its id, everything else is its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectRef {
    /// The id.
    Id(i64),
    /// The name.
    Name(String),
}

impl FromStr for ProjectRef {
    type Err = Error;

    /// Reads an id or a name.
    ///
    /// # Errors
    /// [`Error::NoSuchProject`] for digits that are the id of no project, such as `0`, since they are not a name either, and for control
    /// characters.
    fn from_str(text: &str) -> Result<Self, Error> {
        let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match (is_id, text.parse()) {
            (true, Ok(id @ 1..)) => Ok(Self::Id(id)),
            // PostgreSQL cannot hold every control character, and no name has one.
            (false, _) if !text.chars().any(char::is_control) => Ok(Self::Name(text.to_owned())),
            (true, _) | (false, _) => Err(Error::NoSuchProject(text.to_owned())),
        }
    }
}

impl ProjectRef {
    /// Finds the project.
    ///
    /// # Errors
    /// [`Error::NoSuchProject`], [`Error::Database`].
    pub async fn find(&self, executor: impl AnyExecutor<'_>) -> Result<Project, Error> {
        match self {
            Self::Id(id) => find_by_id(executor, *id).await,
            Self::Name(name) => find_by_name(executor, name).await,
        }
    }
}

/// Locks the project with this id until the transaction ends: changes of its members and role mappings wait for each other.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::Database`].
pub async fn lock(connection: &mut AnyConnection, id: i64) -> Result<Project, Error> {
    lock_all(connection, &[id]).await?.pop().ok_or_else(|| Error::NoSuchProject(id.to_string()))
}

/// Locks the projects with these ids, which ascend, until the transaction ends; returns those that exist.
///
/// Every transaction locks in one order, so that no two wait for each other: first the counters from which it draws ids (`project`, then
/// `role mapping`), then projects in the order of their ids, then the rows that belong to them.
pub async fn lock_all(connection: &mut AnyConnection, ids: &[i64]) -> Result<Vec<Project>, sqlx::Error> {
    let lock = row_lock(connection);
    let mut locked = Vec::with_capacity(ids.len());
    for ids in ids.chunks(rows_per_statement(1)) {
        let list = placeholders(1, ids.len());
        let text = AssertSqlSafe(format!("{}{list} order by id{lock}", select!("where id in ")));
        let query = ids.iter().fold(sqlx::query_as(text), |query, id| query.bind(*id));
        locked.extend(query.persistent(false).fetch_all(&mut *connection).await?.into_iter().map(from_row));
    }
    Ok(locked)
}

/// Inserts projects, and gives the `renamed` ones, which had one of their names, a placeholder for a name.
pub async fn insert_all(
    connection: &mut AnyConnection,
    projects: &[Project],
    renamed: &[i64],
) -> Result<(), sqlx::Error> {
    for ids in renamed.chunks(rows_per_statement(1)) {
        let list = placeholders(1, ids.len());
        let text = format!("update projects set name = 'project-' || cast(id as text) where id in {list}");
        let query = ids.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, id| query.bind(*id));
        query.persistent(false).execute(&mut *connection).await?;
    }
    for projects in projects.chunks(rows_per_statement(2)) {
        let text = format!("insert into projects (id, name) values {}", placeholders(projects.len(), 2));
        let query = projects.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, project| {
            query.bind(project.id).bind(project.name.as_str())
        });
        query.persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Lists the ids and names of all projects as they are stored: two never have the same name.
pub async fn list_stored(executor: impl AnyExecutor<'_>) -> Result<Vec<(i64, Stored<String>)>, sqlx::Error> {
    sqlx::query_as("select id, name from projects").fetch_all(executor).await
}

/// Reads a project with the name under which it is shown.
fn from_row((id, name, clusters): (i64, Stored<String>, i64)) -> Project {
    Project::from_stored(id, name, clusters)
}

/// Reads the project with this id.
///
/// # Errors
/// [`DamagedRow`] when its name is one that no project can have: then it has no members.
pub fn read(id: i64, name: Stored<String>) -> Result<Project, DamagedRow> {
    let name = name.read("name", |text| text.parse::<ProjectName>());
    name.map(|ProjectName(name)| Project { id, name }).map_err(|damage| {
        let remedy = format!("correct it with: update projects set name = 'NAME' where id = {id}");
        DamagedRow::new(format!("project {id}"), "projects", damage, remedy)
    })
}

impl Project {
    /// Makes a project of the database from its stored name. `clusters` is the number of clusters that the database belongs to, one or
    /// none. The name of a cluster's project may come from a program that stored every name, so it counts as told. Another name that is
    /// damaged is shown all the same, unless nobody could read it in a line.
    pub fn from_stored(id: i64, name: Stored<String>, clusters: i64) -> Self {
        let name = name.value();
        if clusters > 0 {
            return Self::of_cluster(id, name.as_deref());
        }
        let shown = name.filter(|name| !name.is_empty() && !name.chars().any(char::is_control));
        Self { id, name: shown.unwrap_or_else(|| format!("(project {id})")) }
    }

    /// Makes a project of a cluster. `told` is the name that the cluster tells.
    ///
    /// The name is shown only if a project of this server could have it, and if it does not look like one of our placeholders. Else the
    /// project is shown under its placeholder, `project-<id>`: nobody takes a project that a user named `119` for project 119.
    pub fn of_cluster(id: i64, told: Option<&str>) -> Self {
        let is_placeholder = |name: &str| {
            let digits = name.get(..PLACEHOLDER.len()).filter(|begin| begin.eq_ignore_ascii_case(PLACEHOLDER));
            digits.is_some() && name[PLACEHOLDER.len()..].bytes().all(|byte| byte.is_ascii_digit())
        };
        let name = told.and_then(|told| told.parse().ok()).map(|ProjectName(name)| name);
        Self { id, name: name.filter(|name| !is_placeholder(name)).unwrap_or_else(|| format!("{PLACEHOLDER}{id}")) }
    }
}

/// The beginning of a placeholder, before the id.
const PLACEHOLDER: &str = "project-";

/// Remembers a project of a cluster by its id alone, so that roles can be mapped to it.
///
/// # Errors
/// [`Error::NoSuchProject`] for an id below 1, [`Error::Database`]; then nothing has changed.
pub async fn remember_id(database: &Database, id: i64) -> Result<(), Error> {
    match find_by_id(database.pool(), id).await {
        Err(Error::NoSuchProject(_)) if id >= 1 => remember(database, &Project::of_cluster(id, None)).await,
        other => other.map(drop),
    }
}

/// Remembers a project of a cluster with its present name.
///
/// # Errors
/// [`Error::Database`]; then nothing has changed.
pub async fn remember(database: &Database, project: &Project) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let lock = row_lock(&transaction);
    // In the order of `lock_all`, since two projects may swap their names.
    sqlx::query(AssertSqlSafe(format!("select id from projects where id = $1 or name = $2 order by id{lock}")))
        .bind(project.id)
        .bind(&project.name)
        .execute(&mut *transaction)
        .await?;
    // Another project that had this name has another one now, or is gone: a cluster gives each name once.
    sqlx::query("update projects set name = 'project-' || cast(id as text) where name = $1 and id <> $2")
        .bind(&project.name)
        .bind(project.id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into projects (id, name) values ($1, $2) on conflict (id) do update set name = excluded.name")
        .bind(project.id)
        .bind(&project.name)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// The most ids in one query.
const IDS_IN_QUERY: usize = 500;

/// Finds those of a cluster's projects that this database knows under another name.
///
/// # Errors
/// The database's error.
pub async fn find_renamed<'a>(
    database: &Database,
    projects: impl IntoIterator<Item = &'a Project>,
) -> Result<Vec<Project>, sqlx::Error> {
    let told: HashMap<i64, &Project> = projects.into_iter().map(|project| (project.id, project)).collect();
    let mut renamed = Vec::new();
    for ids in told.keys().collect::<Vec<_>>().chunks(IDS_IN_QUERY) {
        // The driver binds no lists, and a number holds nothing but digits.
        let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let query = format!("select id, name from projects where id in ({list})");
        let stored: Vec<(i64, Stored<String>)> =
            sqlx::query_as(AssertSqlSafe(query)).fetch_all(database.pool()).await?;
        renamed.extend(stored.into_iter().filter_map(|(id, name)| {
            let project = told[&id];
            (Some(&project.name) != name.value().as_ref()).then(|| project.clone())
        }));
    }
    Ok(renamed)
}

/// Counts the projects whose name contains `text`, in any case, or whose id it is.
pub async fn count(database: &Database, text: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from projects where lower(name) like $1 escape '!' or id = $2")
        .bind(like::contains(text))
        .bind(text.parse().unwrap_or(0_i64))
        .fetch_one(database.pool())
        .await
}

/// Lists these projects with the number of their members, in the order of their names: at most `limit`, after the first `offset`.
pub async fn search(
    database: &Database,
    text: &str,
    offset: i64,
    limit: i64,
) -> Result<Vec<(Project, i64)>, sqlx::Error> {
    let rows: Vec<(i64, Stored<String>, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "select id, name, (select count(*) from identity), (select count(*) from members where project_id = projects.id) \
         from projects where lower(name) like $1 escape '!' or id = $2 order by name collate {}, id limit $3 offset $4",
        database.binary()
    )))
    .bind(like::contains(text))
    .bind(text.parse().unwrap_or(0_i64))
    .bind(limit)
    .bind(offset)
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(|(id, name, clusters, members)| (from_row((id, name, clusters)), members)).collect())
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

    #[test]
    fn digits_are_always_an_id_and_everything_else_is_a_name() {
        let read = |text: &str| text.parse::<ProjectRef>().map_err(|error| error.to_string());
        assert_eq!(read("119"), Ok(ProjectRef::Id(119)));
        assert_eq!(read("0119"), Ok(ProjectRef::Id(119)));
        for name in ["churn", "119a", "+119", "-119", " 119", "1.0", "1e2", "0x1", "\u{661}", "project-119", ""] {
            assert_eq!(read(name), Ok(ProjectRef::Name(name.to_owned())));
        }
        for nothing in ["0", "000", "9223372036854775808", "\0", "a\nb"] {
            assert_eq!(read(nothing), Err(format!("there is no project {nothing:?}")));
        }
    }

    #[test]
    fn a_name_of_a_cluster_that_could_mislead_is_not_shown() {
        let shown = |told: &str| Project::of_cluster(500, Some(told)).name;
        for name in ["churn", "a", "119a", "project", "my-project-119", "project-x", "projects-1"] {
            assert_eq!(shown(name), name);
        }
        let odd =
            ["119", "", "project-119", "PROJECT-119", "project-", "a b", "a\u{202e}b", "\0", "１１９", "-", "<b>"];
        for name in odd.into_iter().filter(|name| *name != "-") {
            assert_eq!(shown(name), "project-500", "{name:?}");
        }
        assert_eq!(Project::of_cluster(500, None).name, "project-500");
    }
}
