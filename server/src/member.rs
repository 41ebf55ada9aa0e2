//! Members: which users are in which project, and with which project role.

use hops_credentials_core::role::ProjectRole;
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::audit::{self, Action, Actor};
use crate::database::Database;
use crate::database::damaged::{self, DamagedRow, Stored};
use crate::database::rows::{placeholders, rows_per_statement};
use crate::error::Error;
use crate::like;
use crate::project::{self, Project, ProjectRef};
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
    let row: Option<(i64, Stored<String>, Stored<String>)> = sqlx::query_as(
        "select projects.id, projects.name, members.project_role from members \
         join projects on projects.id = members.project_id where members.project_id = $1 and members.user_id = $2",
    )
    .bind(project_id)
    .bind(user_id)
    .fetch_optional(database.pool())
    .await?;
    Ok(row.and_then(|row| read_membership(row, user)))
}

/// Reads a project and the user's role in it. `None`, with a line in the log, when somebody edited one of them.
fn read_membership(
    (id, name, role): (i64, Stored<String>, Stored<String>),
    user: &User,
) -> Option<(Project, ProjectRole)> {
    Some((damaged::keep(project::read(id, name))?, parse_stored_role(role, id, user.email.as_str())?))
}

/// The projects of a user that a search finds: how many, and some of them with the user's role in each.
pub struct FoundProjects {
    /// The number of projects.
    pub count: i64,
    /// A part of them, in the order of their names.
    pub projects: Vec<(Project, ProjectRole)>,
}

/// Searches the projects of a user whose names contain `text`, in any case: at most `limit`, after the first `offset`.
pub async fn search_projects(
    database: &Database,
    user: &User,
    text: &str,
    offset: i64,
    limit: i64,
) -> Result<FoundProjects, sqlx::Error> {
    let user_id = match &user.membership {
        Membership::Stored(id) => id,
        Membership::FromCluster(projects) => {
            let text = text.to_lowercase();
            let is_found = |(project, _): &&(Project, _)| project.name.to_lowercase().contains(&text);
            let mut found: Vec<_> = projects.iter().filter(is_found).collect();
            found.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
            let part = |number: i64| usize::try_from(number).unwrap_or(0);
            return Ok(FoundProjects {
                count: i64::try_from(found.len()).unwrap_or(i64::MAX),
                projects: found.into_iter().skip(part(offset)).take(part(limit)).cloned().collect(),
            });
        }
    };
    let count = sqlx::query_scalar(
        "select count(*) from members join projects on projects.id = members.project_id \
         where members.user_id = $1 and lower(projects.name) like $2 escape '!'",
    );
    let count = count.bind(user_id).bind(like::contains(text)).fetch_one(database.pool()).await?;
    let rows: Vec<(i64, Stored<String>, Stored<String>)> = sqlx::query_as(AssertSqlSafe(format!(
        "select projects.id, projects.name, members.project_role from members \
         join projects on projects.id = members.project_id \
         where members.user_id = $1 and lower(projects.name) like $2 escape '!' \
         order by projects.name collate {} limit $3 offset $4",
        database.binary()
    )))
    .bind(user_id)
    .bind(like::contains(text))
    .bind(limit)
    .bind(offset)
    .fetch_all(database.pool())
    .await?;
    Ok(FoundProjects { count, projects: rows.into_iter().filter_map(|row| read_membership(row, user)).collect() })
}

/// Counts the members of a project whose addresses contain `text`, in any case.
pub async fn count(database: &Database, project_id: i64, text: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from members join users on users.id = members.user_id \
         where members.project_id = $1 and lower(users.email) like $2 escape '!'",
    )
    .bind(project_id)
    .bind(like::contains(text))
    .fetch_one(database.pool())
    .await
}

/// Lists these members with their roles, in the order of their names: at most `limit`, after the first `offset`.
pub async fn search(
    database: &Database,
    project_id: i64,
    text: &str,
    offset: i64,
    limit: i64,
) -> Result<Vec<(String, ProjectRole)>, sqlx::Error> {
    let rows: Vec<(Stored<String>, Stored<String>)> = sqlx::query_as(AssertSqlSafe(format!(
        "select users.email, members.project_role from members join users on users.id = members.user_id \
         where members.project_id = $1 and lower(users.email) like $2 escape '!' \
         order by users.email collate {} limit $3 offset $4",
        database.binary()
    )))
    .bind(project_id)
    .bind(like::contains(text))
    .bind(limit)
    .bind(offset)
    .fetch_all(database.pool())
    .await?;
    let to_member = |(email, role): (Stored<String>, Stored<String>)| {
        let email = email.value()?;
        let role = parse_stored_role(role, project_id, &email)?;
        Some((email, role))
    };
    Ok(rows.into_iter().filter_map(to_member).collect())
}

/// Makes the user a member of the project with that project role, or changes the role they have.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::NoSuchUser`], [`Error::InvalidArgument`] when a role mapping of the project names its members to STS
/// and STS does not take the address, [`Error::Database`]; then nothing has changed.
pub async fn set(
    database: &Database,
    actor: &Actor,
    project: &ProjectRef,
    email: &Email,
    role: ProjectRole,
) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let project = project.find(&mut *transaction).await?;
    let project = project::lock(&mut transaction, project.id).await?;
    let user_id = user::find_id(&mut *transaction, email).await?;
    let before = find_role(&mut transaction, project.id, user_id).await?;
    let switched_on = "select count(*) from role_mappings where project_id = $1 and source_identity = 1";
    let switched_on: i64 = sqlx::query_scalar(switched_on).bind(project.id).fetch_one(&mut *transaction).await?;
    if switched_on > 0 {
        email.source_identity().map_err(|problem| {
            Error::InvalidArgument(format!(
                "a role mapping of project {} names its members to STS: {problem}",
                project.name
            ))
        })?;
    }
    sqlx::query(
        "insert into members (project_id, user_id, project_role) values ($1, $2, $3) \
         on conflict (project_id, user_id) do update set project_role = excluded.project_role",
    )
    .bind(project.id)
    .bind(user_id)
    .bind(role.query_name())
    .execute(&mut *transaction)
    .await?;
    let state = |role: &str| json!({"email": email.as_str(), "projectRole": role});
    let (before, after) = (before.as_deref().map(state), Some(state(role.display_name())));
    audit::record_change(&mut transaction, actor, Action::MemberSet, Some((project.id, &project.name)), before, after)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Refuses to name the members of these projects to STS when it would refuse the address of one of them.
///
/// # Errors
/// [`Error::InvalidArgument`] that names the addresses, [`Error::Database`].
pub async fn check_source_identities(connection: &mut AnyConnection, project_ids: &[i64]) -> Result<(), Error> {
    for ids in project_ids.chunks(rows_per_statement(1)) {
        let list = placeholders(1, ids.len());
        let text = format!(
            "select distinct users.email from members join users on users.id = members.user_id \
             where members.project_id in {list} order by users.email"
        );
        let query = ids.iter().fold(sqlx::query_scalar(AssertSqlSafe(text)), |query, id| query.bind(*id));
        refuse_source_identities(query.persistent(false).fetch_all(&mut *connection).await?)?;
    }
    Ok(())
}

/// Refuses to name all members of all projects to STS when it would refuse the address of one of them.
///
/// # Errors
/// [`Error::InvalidArgument`] that names the addresses, [`Error::Database`].
pub async fn check_all_source_identities(database: &Database) -> Result<(), Error> {
    let select =
        "select distinct users.email from members join users on users.id = members.user_id order by users.email";
    refuse_source_identities(sqlx::query_scalar(select).fetch_all(database.pool()).await?)
}

/// The most addresses that a message names.
const MAX_NAMED: usize = 10;

fn refuse_source_identities(addresses: Vec<Stored<String>>) -> Result<(), Error> {
    // A user whose address is not even a text cannot call.
    let emails = addresses.into_iter().filter_map(Stored::value).map(|address| Email::from_cluster(&address));
    let problems: Vec<String> = emails.filter_map(|email| email.source_identity().err()).collect();
    match problems.len() {
        0 => Ok(()),
        count => {
            let more = if count > MAX_NAMED { format!("; and {} more", count - MAX_NAMED) } else { String::new() };
            let named = problems[..count.min(MAX_NAMED)].join("; ");
            Err(Error::InvalidArgument(format!("members have addresses that STS does not take: {named}{more}")))
        }
    }
}

/// Ends a membership.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::NoSuchUser`], [`Error::NoSuchMember`], [`Error::Database`]; then nothing has changed.
pub async fn remove(database: &Database, actor: &Actor, project: &ProjectRef, email: &Email) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let project = project.find(&mut *transaction).await?;
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
    let before = Some(json!({"email": email.as_str(), "projectRole": role}));
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

/// Finds the project role of a member as the audit shows it; that of a damaged row as it is stored.
async fn find_role(
    connection: &mut AnyConnection,
    project_id: i64,
    user_id: i64,
) -> Result<Option<String>, sqlx::Error> {
    let role: Option<Stored<String>> =
        sqlx::query_scalar("select project_role from members where project_id = $1 and user_id = $2")
            .bind(project_id)
            .bind(user_id)
            .fetch_optional(connection)
            .await?;
    let role = role.map(|role| role.value().unwrap_or_default());
    Ok(role.map(|role| role.parse().map_or(role, |role: ProjectRole| role.display_name().to_owned())))
}

/// Reads a project role as the database holds it. `None`, with a line in the log, when somebody edited the row: it then makes nobody a
/// member.
pub fn parse_stored_role(role: Stored<String>, project_id: i64, email: &str) -> Option<ProjectRole> {
    let read = |text: String| match text.parse::<ProjectRole>() {
        Ok(ProjectRole::All) => Err("no member has the role ALL".to_owned()),
        other => other.map_err(|error| error.to_string()),
    };
    damaged::keep(role.read("project_role", read).map_err(|damage| {
        let remedy = format!("set it with: role-mapping-server member set {project_id} {email} PROJECT_ROLE");
        DamagedRow::new(format!("member {email} of project {project_id}"), "members", damage, remedy)
    }))
}
