//! Changes of role mappings. Within a project they happen one after the other; each is all or nothing, and in the audit with the
//! state before and after it.
//!
//! A project has one mapping per role, and at most one default per project role. Constraints of the database keep both rules,
//! however many servers and commands change it at once.

use std::collections::HashMap;

use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::audit::{self, Action, Actor};
use crate::database::error::is_conflict;
use crate::database::rows::placeholders;
use crate::database::{Database, next_id};
use crate::error::Error;
use crate::mapping::terms::{ExternalId, Terms};
use crate::mapping::wanted::{ProjectMappings, Wanted};
use crate::mapping::{self, Mapping, list, no_such_id, row};
use crate::member;
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
    /// The external id; `Some(None)` takes it away.
    pub external_id: Option<Option<ExternalId>>,
    /// Whether STS gets the member's e-mail address as source identity.
    pub source_identity: Option<bool>,
}

/// Maps a role. A new default replaces the current default of the same project role.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::MappingExists`], [`Error::InvalidArgument`] when a member's address cannot be a source identity,
/// [`Error::Damaged`] when a damaged row is in the way, [`Error::Database`]; then nothing has changed.
pub async fn add(database: &Database, actor: &Actor, project_id: i64, terms: Terms) -> Result<Mapping, Error> {
    let mut transaction = database.begin_write().await?;
    // The order of locks of `project::lock_all`.
    let id = next_id(&mut transaction, "role mapping").await?;
    let project = project::lock(&mut transaction, project_id).await?;
    check_way(&mut transaction, project_id, &terms).await?;
    let before = load_touched(&mut transaction, project_id, id).await?;
    if terms.is_default {
        clear_default(&mut transaction, project_id, terms.project_role).await?;
    }
    if terms.source_identity {
        member::check_source_identities(&mut transaction, &[project_id]).await?;
    }
    let mapping = Mapping::new(id, project.clone(), terms);
    insert_all(&mut transaction, &[&mapping])
        .await
        .map_err(|error| to_mapping_exists(error, &project, &mapping.role))?;
    record(&mut transaction, actor, Action::MappingAdd, &project, id, before).await?;
    transaction.commit().await?;
    Ok(mapping)
}

/// Changes a role mapping; without a difference it writes nothing. If it is a default afterwards, it replaces the current default of its
/// project role.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::MappingExists`], [`Error::InvalidArgument`] when a member's address cannot be a source identity,
/// [`Error::Damaged`] when a damaged row is in the way, [`Error::Database`]; then nothing has changed.
pub async fn change(database: &Database, actor: &Actor, id: i64, changes: &Changes) -> Result<Mapping, Error> {
    let mut transaction = database.begin_write().await?;
    // A mapping never moves to another project, so the project that is read before the lock is still right under the lock.
    let project_id = mapping::find_project_id(&mut *transaction, id).await?;
    let project = project::lock(&mut transaction, project_id).await?;
    let before = load_touched(&mut transaction, project.id, id).await?;
    let current = mapping::find(&mut *transaction, id).await?;
    let project_role = changes.project_role.unwrap_or(current.project_role);
    let role = changes.role.as_ref().unwrap_or(&current.role);
    let is_default = changes.is_default.unwrap_or(current.is_default);
    let external_id = changes.external_id.as_ref().unwrap_or(&current.external_id);
    let source_identity = changes.source_identity.unwrap_or(current.source_identity);
    let terms = Terms { project_role, role: role.clone(), is_default, ..current.terms() };
    check_way(&mut transaction, project.id, &terms).await?;
    let is_same = (project_role, role, is_default) == (current.project_role, &current.role, current.is_default)
        && (external_id, source_identity) == (&current.external_id, current.source_identity);
    if is_same {
        return Ok(current);
    }
    if source_identity && !current.source_identity {
        member::check_source_identities(&mut transaction, &[project.id]).await?;
    }
    if is_default {
        clear_default(&mut transaction, project.id, project_role).await?;
    }
    let update = "update role_mappings set project_role = $1, role_arn = $2, is_default = $3, external_id = $4, \
                  source_identity = $5 where id = $6";
    sqlx::query(update)
        .bind(project_role.query_name())
        .bind(role.as_str())
        .bind(i64::from(is_default))
        .bind(external_id.as_ref().map(ExternalId::as_str))
        .bind(i64::from(source_identity))
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(|error| to_mapping_exists(error, &project, role))?;
    let action = match changes {
        Changes { role: None, project_role: None, is_default: Some(_), external_id: None, source_identity: None } => {
            Action::MappingDefault
        }
        _ => Action::MappingChange,
    };
    record(&mut transaction, actor, action, &project, id, before).await?;
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
    let before = load_touched(&mut transaction, project.id, id).await?;
    let removed = sqlx::query("delete from role_mappings where id = $1").bind(id).execute(&mut *transaction).await?;
    if removed.rows_affected() == 0 {
        return Err(no_such_id(id));
    }
    record(&mut transaction, actor, Action::MappingRemove, &project, id, before).await?;
    transaction.commit().await?;
    Ok(())
}

/// Inserts role mappings, as many as one statement takes.
pub async fn insert_all(connection: &mut AnyConnection, mappings: &[&Mapping]) -> Result<(), sqlx::Error> {
    let text = format!(
        "insert into role_mappings (id, project_id, project_role, role_arn, is_default, external_id, source_identity) \
         values {}",
        placeholders(mappings.len(), 7)
    );
    let query = mappings.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, mapping| {
        let query = query.bind(mapping.id).bind(mapping.project.id).bind(mapping.project_role.query_name());
        let query = query.bind(mapping.role.as_str()).bind(i64::from(mapping.is_default));
        let external_id = mapping.external_id.as_ref().map(ExternalId::as_str);
        query.bind(external_id).bind(i64::from(mapping.source_identity))
    });
    query.persistent(false).execute(connection).await.map(drop)
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

/// Refuses terms beside which a damaged role mapping cannot be.
async fn check_way(connection: &mut AnyConnection, project_id: i64, terms: &Terms) -> Result<(), Error> {
    for wanted in [Wanted::Defaults, Wanted::Role(&terms.role)] {
        let mappings = ProjectMappings::load(&mut *connection, project_id, wanted).await?;
        row::check_way(&mappings.damaged, project_id, terms)?;
    }
    Ok(())
}

/// Loads what a change of this mapping may change, in the order of the ids: the mapping, if it exists, and the defaults of its project.
async fn load_touched(connection: &mut AnyConnection, project_id: i64, id: i64) -> Result<Vec<Mapping>, sqlx::Error> {
    let mut mappings = ProjectMappings::load(&mut *connection, project_id, Wanted::Defaults).await?.all;
    if !mappings.iter().any(|mapping| mapping.id == id) {
        mappings.extend(list::load(connection, &[id]).await?);
        mappings.sort_by_key(|mapping| mapping.id);
    }
    Ok(mappings)
}

/// Records how the mapping and those of `before` differ from `before`: a new default changes two of them.
async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    project: &Project,
    id: i64,
    before: Vec<Mapping>,
) -> Result<(), sqlx::Error> {
    let mut ids: Vec<i64> = before.iter().map(|mapping| mapping.id).chain([id]).collect();
    ids.sort_unstable();
    ids.dedup();
    let after = list::load(&mut *connection, &ids).await?;
    let only_in = |some: &[Mapping], other: &[Mapping]| {
        let other: HashMap<i64, &Mapping> = other.iter().map(|mapping| (mapping.id, mapping)).collect();
        let is_same = |mapping: &Mapping| other.get(&mapping.id).is_some_and(|other| *other == mapping);
        let states: Vec<Value> = some.iter().filter(|mapping| !is_same(mapping)).map(Mapping::state).collect();
        Some(Value::Array(states)).filter(|states| *states != json!([]))
    };
    let (state_before, state_after) = (only_in(&before, &after), only_in(&after, &before));
    audit::record_change(connection, actor, action, Some((project.id, &project.name)), state_before, state_after).await
}
