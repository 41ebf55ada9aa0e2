//! Changes of role mappings. Within a project they happen one after the other; each is all or nothing, and in the audit with the
//! state before and after it.
//!
//! A project has one mapping per role, and at most one default per project role. Constraints of the database keep both rules,
//! however many servers and commands change it at once.

use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::audit::{self, Action, Actor};
use crate::database::{Database, is_conflict, next_id};
use crate::error::Error;
use crate::mapping::entry::Entry;
use crate::mapping::{self, Mapping, list_in_project, no_such_id};
use crate::project::{self, Project};

/// The changes that a `PUT` asks for; `None` leaves a value as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// The role.
    pub role: Option<RoleArn>,
    /// The project role whose members may assume it.
    pub project_role: Option<ProjectRole>,
    /// Whether it is the default.
    pub is_default: Option<bool>,
}

/// Maps a role. A new default replaces the current default of the same project role.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::MappingExists`], [`Error::Database`]; then nothing has changed.
pub async fn add(
    database: &Database,
    actor: &Actor,
    project_id: i64,
    project_role: ProjectRole,
    role: &RoleArn,
    is_default: bool,
) -> Result<Mapping, Error> {
    let mut transaction = database.begin_write().await?;
    let project = project::lock(&mut transaction, project_id).await?;
    let before = list_in_project(&mut *transaction, project_id).await?;
    if is_default {
        clear_default(&mut transaction, project_id, project_role).await?;
    }
    let id = next_id(&mut transaction, "role mapping").await?;
    insert(&mut transaction, id, project_id, project_role, role, is_default)
        .await
        .map_err(|error| to_mapping_exists(error, &project, role))?;
    record(&mut transaction, actor, Action::MappingAdd, &project, before).await?;
    let mapping = mapping::find(&mut *transaction, id).await?;
    transaction.commit().await?;
    Ok(mapping)
}

/// Changes a role mapping. If it is a default afterwards, it replaces the current default of its project role.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::MappingExists`], [`Error::Database`]; then nothing has changed.
pub async fn change(database: &Database, actor: &Actor, id: i64, changes: &Changes) -> Result<Mapping, Error> {
    let mut transaction = database.begin_write().await?;
    // A mapping never moves to another project, so the project that is read before the lock is still right under the lock.
    let project_id = mapping::find_project_id(&mut *transaction, id).await?;
    let project = project::lock(&mut transaction, project_id).await?;
    let before = list_in_project(&mut *transaction, project.id).await?;
    let current = mapping::find(&mut *transaction, id).await?;
    let project_role = changes.project_role.unwrap_or(current.project_role);
    let role = changes.role.as_ref().unwrap_or(&current.role);
    let is_default = changes.is_default.unwrap_or(current.is_default);
    if is_default {
        clear_default(&mut transaction, project.id, project_role).await?;
    }
    sqlx::query("update role_mappings set project_role = $1, role_arn = $2, is_default = $3 where id = $4")
        .bind(project_role.query_name())
        .bind(role.as_str())
        .bind(i64::from(is_default))
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(|error| to_mapping_exists(error, &project, role))?;
    let action = match (&changes.role, changes.project_role) {
        (None, None) => Action::MappingDefault,
        (Some(_), _) | (None, Some(_)) => Action::MappingChange,
    };
    record(&mut transaction, actor, action, &project, before).await?;
    let mapping = mapping::find(&mut *transaction, id).await?;
    transaction.commit().await?;
    Ok(mapping)
}

/// Removes a role mapping.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Database`]; then nothing has changed.
pub async fn remove(database: &Database, actor: &Actor, id: i64) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let project_id = mapping::find_project_id(&mut *transaction, id).await?;
    let project = project::lock(&mut transaction, project_id).await?;
    let before = list_in_project(&mut *transaction, project.id).await?;
    let removed = sqlx::query("delete from role_mappings where id = $1").bind(id).execute(&mut *transaction).await?;
    if removed.rows_affected() == 0 {
        return Err(no_such_id(id));
    }
    record(&mut transaction, actor, Action::MappingRemove, &project, before).await?;
    transaction.commit().await?;
    Ok(())
}

/// The fate of the role mappings of a project that are not among the wanted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Remove them.
    Remove,
    /// Keep them.
    Keep,
}

/// Replaces the mappings of a locked project with `wanted`; returns the mappings before and after.
///
/// # Errors
/// [`Error::Database`].
pub async fn replace_all(
    connection: &mut AnyConnection,
    actor: &Actor,
    project: &Project,
    wanted: &[&Entry],
    others: Others,
) -> Result<(Vec<Mapping>, Vec<Mapping>), Error> {
    let before = list_in_project(&mut *connection, project.id).await?;
    for mapping in &before {
        match (wanted.iter().find(|entry| entry.role == mapping.role), others) {
            (None, Others::Remove) => {
                sqlx::query("delete from role_mappings where id = $1")
                    .bind(mapping.id)
                    .execute(&mut *connection)
                    .await?;
            }
            // Another mapping may become the default, and two defaults must not exist in between.
            (Some(entry), _)
                if entry.project_role != mapping.project_role || entry.is_default != mapping.is_default =>
            {
                sqlx::query("update role_mappings set project_role = $1, is_default = 0 where id = $2")
                    .bind(entry.project_role.query_name())
                    .bind(mapping.id)
                    .execute(&mut *connection)
                    .await?;
            }
            (None, Others::Keep) | (Some(_), _) => {}
        }
    }
    for entry in wanted {
        if !before.iter().any(|mapping| mapping.role == entry.role) {
            let id = next_id(connection, "role mapping").await?;
            insert(connection, id, project.id, entry.project_role, &entry.role, false).await?;
        }
    }
    for entry in wanted.iter().filter(|entry| entry.is_default) {
        clear_default(connection, project.id, entry.project_role).await?;
        sqlx::query("update role_mappings set is_default = 1 where project_id = $1 and role_arn = $2")
            .bind(project.id)
            .bind(entry.role.as_str())
            .execute(&mut *connection)
            .await?;
    }
    let after = list_in_project(&mut *connection, project.id).await?;
    if before != after {
        record(connection, actor, Action::MappingChange, project, before.clone()).await?;
    }
    Ok((before, after))
}

async fn insert(
    connection: &mut AnyConnection,
    id: i64,
    project_id: i64,
    project_role: ProjectRole,
    role: &RoleArn,
    is_default: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into role_mappings (id, project_id, project_role, role_arn, is_default) values ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(project_id)
    .bind(project_role.query_name())
    .bind(role.as_str())
    .bind(i64::from(is_default))
    .execute(connection)
    .await?;
    Ok(())
}

async fn clear_default(
    connection: &mut AnyConnection,
    project_id: i64,
    project_role: ProjectRole,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update role_mappings set is_default = 0 where project_id = $1 and project_role = $2 and is_default = 1",
    )
    .bind(project_id)
    .bind(project_role.query_name())
    .execute(connection)
    .await?;
    Ok(())
}

fn to_mapping_exists(error: sqlx::Error, project: &Project, role: &RoleArn) -> Error {
    if is_conflict(&error) {
        Error::MappingExists { project: project.name.clone(), role: role.clone() }
    } else {
        error.into()
    }
}

/// Records the mappings of the project that differ from `before`: a new default changes two of them.
async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    project: &Project,
    before: Vec<Mapping>,
) -> Result<(), sqlx::Error> {
    let after = list_in_project(&mut *connection, project.id).await?;
    let only_in = |some: &[Mapping], other: &[Mapping]| {
        let states: Vec<Value> = some.iter().filter(|mapping| !other.contains(mapping)).map(Mapping::state).collect();
        Some(Value::Array(states)).filter(|states| *states != json!([]))
    };
    let (state_before, state_after) = (only_in(&before, &after), only_in(&after, &before));
    audit::record_change(connection, actor, action, Some((project.id, &project.name)), state_before, state_after).await
}
