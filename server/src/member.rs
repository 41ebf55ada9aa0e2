//! Members: which users are in which project, and with which project role.

use hops_credentials_core::role::ProjectRole;
use serde_json::json;
use sqlx::AnyConnection;

use crate::audit::{self, Action, Actor};
use crate::database::Database;
use crate::error::Error;
use crate::project::{self, Project, parse_stored_role};
use crate::user::{self, Email, Membership, User};

/// Finds the project and the user's role in it; `None` when the project does not exist or the user is not a member of it.
pub async fn find(
    database: &Database,
    project_id: i64,
    user: &User,
) -> Result<Option<(Project, ProjectRole)>, sqlx::Error> {
    let user_id = match &user.membership {
        Membership::Stored(id) => id,
        Membership::FromCluster(projects) => {
            return Ok(projects.iter().find(|(project, _)| project.id == project_id).cloned());
        }
    };
    let row: Option<(i64, String, String)> = sqlx::query_as(
        "select projects.id, projects.name, members.project_role from members \
         join projects on projects.id = members.project_id where members.project_id = $1 and members.user_id = $2",
    )
    .bind(project_id)
    .bind(user_id)
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|(id, name, role)| (Project { id, name }, parse_stored_role(&role))))
}

/// Lists the projects of a user with the user's role in each, in the order of their names.
pub async fn list_projects(database: &Database, user: &User) -> Result<Vec<(Project, ProjectRole)>, sqlx::Error> {
    let user_id = match &user.membership {
        Membership::Stored(id) => id,
        Membership::FromCluster(projects) => {
            let mut projects = projects.to_vec();
            projects.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
            return Ok(projects);
        }
    };
    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "select projects.id, projects.name, members.project_role from members \
         join projects on projects.id = members.project_id where members.user_id = $1 order by projects.name",
    )
    .bind(user_id)
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(|(id, name, role)| (Project { id, name }, parse_stored_role(&role))).collect())
}

/// Lists the members of a project with their roles in it, in the order of their names.
pub async fn list(database: &Database, project_id: i64) -> Result<Vec<(String, ProjectRole)>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select users.email, members.project_role from members join users on users.id = members.user_id \
         where members.project_id = $1 order by users.email",
    )
    .bind(project_id)
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(|(email, role)| (email, parse_stored_role(&role))).collect())
}

/// Makes the user a member of the project with that project role, or changes the role they have.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::NoSuchUser`], [`Error::Database`]; then nothing has changed.
pub async fn set(
    database: &Database,
    actor: &Actor,
    project: &str,
    email: &Email,
    role: ProjectRole,
) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let project = project::find_by_id_or_name(&mut *transaction, project).await?;
    let project = project::lock(&mut transaction, project.id).await?;
    let user_id = user::find_id(&mut *transaction, email).await?;
    let before = find_role(&mut transaction, project.id, user_id).await?;
    sqlx::query(
        "insert into members (project_id, user_id, project_role) values ($1, $2, $3) \
         on conflict (project_id, user_id) do update set project_role = excluded.project_role",
    )
    .bind(project.id)
    .bind(user_id)
    .bind(role.query_name())
    .execute(&mut *transaction)
    .await?;
    let state = |role: ProjectRole| json!({"email": email.as_str(), "projectRole": role.display_name()});
    let (before, after) = (before.map(state), Some(state(role)));
    audit::record_change(&mut transaction, actor, Action::MemberSet, Some((project.id, &project.name)), before, after)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends a membership.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::NoSuchUser`], [`Error::NoSuchMember`], [`Error::Database`]; then nothing has changed.
pub async fn remove(database: &Database, actor: &Actor, project: &str, email: &Email) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let project = project::find_by_id_or_name(&mut *transaction, project).await?;
    let project = project::lock(&mut transaction, project.id).await?;
    let user_id = user::find_id(&mut *transaction, email).await?;
    let Some(role) = find_role(&mut transaction, project.id, user_id).await? else {
        return Err(Error::NoSuchMember { email: email.to_string(), project: project.name });
    };
    sqlx::query("delete from members where project_id = $1 and user_id = $2")
        .bind(project.id)
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
    let before = Some(json!({"email": email.as_str(), "projectRole": role.display_name()}));
    audit::record_change(
        &mut transaction,
        actor,
        Action::MemberRemove,
        Some((project.id, &project.name)),
        before,
        None,
    )
    .await?;
    transaction.commit().await?;
    Ok(())
}

async fn find_role(
    connection: &mut AnyConnection,
    project_id: i64,
    user_id: i64,
) -> Result<Option<ProjectRole>, sqlx::Error> {
    let role: Option<String> =
        sqlx::query_scalar("select project_role from members where project_id = $1 and user_id = $2")
            .bind(project_id)
            .bind(user_id)
            .fetch_optional(connection)
            .await?;
    Ok(role.map(|role| parse_stored_role(&role)))
}
