//! Role mappings: "members with this project role may assume this role". The rules and the SQL.
//!
//! One mapping per project and role; at most one default per project and project role. The database holds both by itself,
//! whatever number of servers and commands change it at once.

use hops_credentials::role::{ProjectRole, RoleArn};
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::audit::{self, Action, Actor};
use crate::database::{Database, is_conflict, next_id};
use crate::error::Error;
use crate::mapping_file::{Entry, Others};
use crate::project::{self, Project, stored_role};
use crate::user::{self, User};

/// A role mapping of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The id, never given twice.
    pub id: i64,
    /// The project.
    pub project: Project,
    /// Whose members may assume the role.
    pub project_role: ProjectRole,
    /// The role.
    pub role: RoleArn,
    /// Whether it is the one used when no role is named.
    pub is_default: bool,
}

impl Mapping {
    /// Whether a member with this project role may assume the role. There is no hierarchy: a data owner may not assume what
    /// is mapped to data scientists.
    pub fn is_for(&self, project_role: ProjectRole) -> bool {
        self.project_role == ProjectRole::All || self.project_role == project_role
    }

    fn state(&self) -> Value {
        json!({
            "id": self.id,
            "projectRole": self.project_role.display_name(),
            "cloudRole": self.role.as_str(),
            "defaultRole": self.is_default,
        })
    }
}

/// The default for a member: the default of the own project role, else that of all members.
///
/// # Errors
/// [`Error::NoSuchMapping`] when there is neither.
pub fn default_for(mappings: &[Mapping], project_role: ProjectRole) -> Result<&Mapping, Error> {
    [project_role, ProjectRole::All]
        .iter()
        .find_map(|wanted| mappings.iter().find(|mapping| mapping.is_default && mapping.project_role == *wanted))
        .ok_or_else(|| {
            Error::NoSuchMapping(format!(
                "this project has no default role for a {project_role}; name a role, or ask a data owner to set a default"
            ))
        })
}

/// The mapping of that role, if the member may assume it.
///
/// # Errors
/// [`Error::NoSuchMapping`] when the role is not mapped to the project, [`Error::RoleNotForMember`] when it is mapped to
/// another project role.
pub fn of_role<'a>(mappings: &'a [Mapping], role: &RoleArn, project_role: ProjectRole) -> Result<&'a Mapping, Error> {
    let mapping = mappings.iter().find(|mapping| mapping.role == *role).ok_or_else(|| {
        Error::NoSuchMapping(format!("{role} is not mapped to this project; ask an administrator to map it"))
    })?;
    match mapping.is_for(project_role) {
        true => Ok(mapping),
        false => Err(Error::RoleNotForMember { role: role.clone(), project_role }),
    }
}

/// What a `PUT` may change; `None` leaves it.
#[derive(Debug, Default)]
pub struct Changes {
    /// The role.
    pub role: Option<RoleArn>,
    /// Whose members may assume it.
    pub project_role: Option<ProjectRole>,
    /// Whether it is the default.
    pub is_default: Option<bool>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select role_mappings.id, projects.id, projects.name, role_mappings.project_role, role_mappings.role_arn, \
             role_mappings.is_default from role_mappings join projects on projects.id = role_mappings.project_id ",
            $rest
        )
    };
}

type Row = (i64, i64, String, String, String, i64);

fn from_row((id, project_id, project_name, project_role, role_arn, is_default): Row) -> Mapping {
    Mapping {
        id,
        project: Project { id: project_id, name: project_name },
        project_role: stored_role(&project_role),
        role: role_arn.parse().expect("only legal role ARNs are written"),
        is_default: is_default == 1,
    }
}

/// All role mappings, in the order of their ids.
pub async fn all(database: &Database) -> Result<Vec<Mapping>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(select!("order by role_mappings.id")).fetch_all(database.pool()).await?;
    Ok(rows.into_iter().map(from_row).collect())
}

/// The role mappings of a project, in the order of their ids.
pub async fn of_project(database: &Database, project_id: i64) -> Result<Vec<Mapping>, sqlx::Error> {
    in_project(&mut *database.pool().acquire().await?, project_id).await
}

async fn in_project(connection: &mut AnyConnection, project_id: i64) -> Result<Vec<Mapping>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(select!("where projects.id = $1 order by role_mappings.id"))
        .bind(project_id)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(from_row).collect())
}

/// In one query: whose key this is, the project as its member sees it, and the role mappings of the project in the order of
/// their ids. `None` when nobody has the key, or its owner is no member; who wants to know which asks step by step.
pub async fn of_members_project(
    database: &Database,
    key: &str,
    project_id: i64,
) -> Result<Option<(User, Project, ProjectRole, Vec<Mapping>)>, sqlx::Error> {
    let rows: Vec<AnyRow> = sqlx::query(
        "select users.id, users.email, users.is_admin, users.key_hash, projects.name, members.project_role, \
         role_mappings.id, role_mappings.project_role, role_mappings.role_arn, role_mappings.is_default from users \
         join members on members.user_id = users.id and members.project_id = $2 \
         join projects on projects.id = members.project_id \
         left join role_mappings on role_mappings.project_id = projects.id \
         where users.key_prefix = $1 order by role_mappings.id",
    )
    .bind(user::prefix_of(key))
    .bind(project_id)
    .fetch_all(database.pool())
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    if !user::has_hash(key, first.try_get(3)?) {
        return Ok(None);
    }
    let user = user::stored(first.try_get(0)?, first.try_get(1)?, first.try_get(2)?);
    let project = Project { id: project_id, name: first.try_get(4)? };
    let project_role = stored_role(first.try_get(5)?);
    let mut mappings = Vec::with_capacity(rows.len());
    for row in &rows {
        // A project without role mappings is a row without one.
        if let Some(id) = row.try_get::<Option<i64>, _>(6)? {
            let (role, arn, is_default) = (row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
            mappings.push(from_row((id, project_id, project.name.clone(), role, arn, is_default)));
        }
    }
    Ok(Some((user, project, project_role, mappings)))
}

/// The role mapping with that id, of whatever project.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Database`].
pub async fn by_id(database: &Database, id: i64) -> Result<Mapping, Error> {
    with_id(&mut *database.pool().acquire().await?, id).await
}

async fn with_id(connection: &mut AnyConnection, id: i64) -> Result<Mapping, Error> {
    let row: Option<Row> =
        sqlx::query_as(select!("where role_mappings.id = $1")).bind(id).fetch_optional(connection).await?;
    row.map(from_row).ok_or_else(|| no_such_id(id))
}

/// The role mapping with that id, if it is one of this project; those of other projects are as unknown as none.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Database`].
pub async fn in_project_of(database: &Database, project: &Project, id: i64) -> Result<Mapping, Error> {
    let mapping = by_id(database, id).await?;
    match mapping.project == *project {
        true => Ok(mapping),
        false => Err(no_such_id(id)),
    }
}

fn no_such_id(id: i64) -> Error {
    Error::NoSuchMapping(format!("there is no role mapping with id {id}"))
}

/// Maps a role. As the default it takes the place of the default there is for the same project role.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::MappingExists`], [`Error::Database`]; nothing is changed then.
pub async fn add(
    database: &Database,
    actor: &Actor,
    project_id: i64,
    project_role: ProjectRole,
    role: &RoleArn,
    is_default: bool,
) -> Result<Mapping, Error> {
    let mut transaction = database.begin_write().await?;
    let project = project::hold(&mut transaction, project_id).await?;
    let before = in_project(&mut transaction, project_id).await?;
    if is_default {
        clear_default_of(&mut transaction, project_id, project_role).await?;
    }
    let id = next_id(&mut transaction, "role mapping").await?;
    insert(&mut transaction, id, project_id, project_role, role, is_default)
        .await
        .map_err(|error| exists_already(error, &project, role))?;
    record(&mut transaction, actor, Action::MappingAdd, &project, before).await?;
    let mapping = with_id(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(mapping)
}

/// Changes a role mapping. If it is the default after that, it takes the place of the default there is for its project role.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::MappingExists`], [`Error::Database`]; nothing is changed then.
pub async fn change(database: &Database, actor: &Actor, id: i64, changes: &Changes) -> Result<Mapping, Error> {
    let mut transaction = database.begin_write().await?;
    // A mapping never moves to another project: that of the row read before the lock is that of the row read under it.
    let project_id = with_id(&mut transaction, id).await?.project.id;
    let project = project::hold(&mut transaction, project_id).await?;
    let before = in_project(&mut transaction, project.id).await?;
    let current = with_id(&mut transaction, id).await?;
    let project_role = changes.project_role.unwrap_or(current.project_role);
    let role = changes.role.as_ref().unwrap_or(&current.role);
    let is_default = changes.is_default.unwrap_or(current.is_default);
    if is_default {
        clear_default_of(&mut transaction, project.id, project_role).await?;
    }
    sqlx::query("update role_mappings set project_role = $1, role_arn = $2, is_default = $3 where id = $4")
        .bind(project_role.query_name())
        .bind(role.as_str())
        .bind(i64::from(is_default))
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(|error| exists_already(error, &project, role))?;
    let action = match (&changes.role, changes.project_role) {
        (None, None) => Action::MappingDefault,
        (Some(_), _) | (None, Some(_)) => Action::MappingChange,
    };
    record(&mut transaction, actor, action, &project, before).await?;
    let mapping = with_id(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(mapping)
}

/// Removes a role mapping.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Database`]; nothing is changed then.
pub async fn remove(database: &Database, actor: &Actor, id: i64) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let project_id = with_id(&mut transaction, id).await?.project.id;
    let project = project::hold(&mut transaction, project_id).await?;
    let before = in_project(&mut transaction, project.id).await?;
    let removed = sqlx::query("delete from role_mappings where id = $1").bind(id).execute(&mut *transaction).await?;
    if removed.rows_affected() == 0 {
        return Err(no_such_id(id));
    }
    record(&mut transaction, actor, Action::MappingRemove, &project, before).await?;
    transaction.commit().await?;
    Ok(())
}

/// The ids of the projects that have role mappings.
pub async fn projects(connection: &mut AnyConnection) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("select distinct project_id from role_mappings").fetch_all(connection).await
}

/// Makes the role mappings of a project that is held those that are wanted; gives those before and those after it.
///
/// # Errors
/// [`Error::Database`].
pub async fn set(
    connection: &mut AnyConnection,
    actor: &Actor,
    project: &Project,
    wanted: &[&Entry],
    others: Others,
) -> Result<(Vec<Mapping>, Vec<Mapping>), Error> {
    let before = in_project(connection, project.id).await?;
    for mapping in &before {
        match (wanted.iter().find(|entry| entry.role == mapping.role), others) {
            (None, Others::Go) => {
                sqlx::query("delete from role_mappings where id = $1")
                    .bind(mapping.id)
                    .execute(&mut *connection)
                    .await?;
            }
            // The default may go to another mapping, and no two may have it in between.
            (Some(entry), _)
                if entry.project_role != mapping.project_role || entry.is_default != mapping.is_default =>
            {
                sqlx::query("update role_mappings set project_role = $1, is_default = 0 where id = $2")
                    .bind(entry.project_role.query_name())
                    .bind(mapping.id)
                    .execute(&mut *connection)
                    .await?;
            }
            (None, Others::Stay) | (Some(_), _) => {}
        }
    }
    for entry in wanted {
        if !before.iter().any(|mapping| mapping.role == entry.role) {
            let id = next_id(connection, "role mapping").await?;
            insert(connection, id, project.id, entry.project_role, &entry.role, false).await?;
        }
    }
    for entry in wanted.iter().filter(|entry| entry.is_default) {
        clear_default_of(connection, project.id, entry.project_role).await?;
        sqlx::query("update role_mappings set is_default = 1 where project_id = $1 and role_arn = $2")
            .bind(project.id)
            .bind(entry.role.as_str())
            .execute(&mut *connection)
            .await?;
    }
    let after = in_project(connection, project.id).await?;
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

async fn clear_default_of(
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

fn exists_already(error: sqlx::Error, project: &Project, role: &RoleArn) -> Error {
    match is_conflict(&error) {
        true => Error::MappingExists { project: project.name.clone(), role: role.clone() },
        false => Error::Database(error),
    }
}

/// Records the mappings of the project that differ from `before`: a default that moves changes two of them.
async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    project: &Project,
    before: Vec<Mapping>,
) -> Result<(), sqlx::Error> {
    let after = in_project(connection, project.id).await?;
    let only_in = |some: &[Mapping], other: &[Mapping]| {
        let states: Vec<Value> = some.iter().filter(|mapping| !other.contains(mapping)).map(Mapping::state).collect();
        Some(Value::Array(states)).filter(|states| *states != json!([]))
    };
    let (state_before, state_after) = (only_in(&before, &after), only_in(&after, &before));
    audit::record_change(connection, actor, action, Some(project), state_before, state_after).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(id: i64, project_role: ProjectRole, is_default: bool) -> Mapping {
        let role = format!("arn:aws:iam::123456789012:role/r{id}").parse().expect("a role ARN");
        Mapping { id, project: Project { id: 119, name: "churn".to_owned() }, project_role, role, is_default }
    }

    #[test]
    fn a_role_is_for_its_own_project_role_and_there_is_no_hierarchy() {
        use ProjectRole::{All, DataOwner, DataScientist};
        assert!(mapping(1, All, false).is_for(DataOwner) && mapping(1, All, false).is_for(DataScientist));
        assert!(mapping(1, DataOwner, false).is_for(DataOwner));
        assert!(!mapping(1, DataOwner, false).is_for(DataScientist));
        assert!(!mapping(1, DataScientist, false).is_for(DataOwner));
    }

    #[test]
    fn the_default_of_the_own_project_role_goes_before_that_of_all() {
        use ProjectRole::{All, DataOwner, DataScientist};
        let mappings = [mapping(1, All, true), mapping(2, DataOwner, true), mapping(3, DataScientist, false)];
        assert_eq!(default_for(&mappings, DataOwner).expect("own").id, 2);
        assert_eq!(default_for(&mappings, DataScientist).expect("that of all").id, 1);
        assert_eq!(default_for(&mappings[1..], DataScientist).expect_err("none").code(), 380_003);
    }

    #[test]
    fn a_role_that_is_mapped_to_others_is_forbidden_and_one_that_is_not_mapped_is_not_found() {
        let mappings = [mapping(1, ProjectRole::DataOwner, false)];
        let other = "arn:aws:iam::123456789012:role/other".parse().expect("a role ARN");
        assert_eq!(of_role(&mappings, &mappings[0].role, ProjectRole::DataOwner).expect("own").id, 1);
        let refused = of_role(&mappings, &mappings[0].role, ProjectRole::DataScientist).expect_err("others'");
        assert_eq!(refused.code(), 380_002);
        assert_eq!(
            refused.to_string(),
            "a Data scientist of this project may not assume arn:aws:iam::123456789012:role/r1; ask an administrator to \
             map it to your project role"
        );
        assert_eq!(of_role(&mappings, &other, ProjectRole::DataOwner).expect_err("not mapped").code(), 380_003);
    }
}
