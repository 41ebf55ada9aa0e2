//! Role mappings: "members with this project role may assume this role". Finds and lists them.
//!
//! `row` reads them as the database has them, `wanted` those that a member wants, and decides which the member may assume; `list` filters,
//! sorts and pages. `change` writes one, `apply` those of a `file` or of another server, each an `entry` there. `terms` is what a mapping
//! says about its project, `policies` what it needs in AWS.

pub mod apply;
pub mod change;
pub mod entry;
pub mod file;
pub mod list;
pub mod policies;
mod row;
pub mod terms;
pub mod wanted;

use hops_credentials_core::request::Extras;
use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AnyExecutor, AssertSqlSafe};

use crate::database::Database;
use crate::database::rows::{placeholders, rows_per_statement};
use crate::error::Error;
use crate::mapping::row::{DamagedMapping, Row, keep, read, select};
use crate::mapping::terms::{ExternalId, Terms};
use crate::project::Project;
use crate::user::Email;

/// A role mapping of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The id. No id is given twice.
    pub id: i64,
    /// The project.
    pub project: Project,
    /// The project role whose members may assume the role.
    pub project_role: ProjectRole,
    /// The role.
    pub role: RoleArn,
    /// Whether it is the mapping used when no role is named.
    pub is_default: bool,
    /// The external id that STS gets, for a role whose trust policy asks for one.
    pub external_id: Option<ExternalId>,
    /// Whether STS gets the member's e-mail address as source identity.
    pub source_identity: bool,
}

impl Mapping {
    /// Makes the mapping of a project with these terms.
    pub fn new(id: i64, project: Project, terms: Terms) -> Self {
        let Terms { project_role, role, is_default, external_id, source_identity } = terms;
        Self { id, project, project_role, role, is_default, external_id, source_identity }
    }

    /// Returns what it says about its project.
    pub fn terms(&self) -> Terms {
        Terms {
            project_role: self.project_role,
            role: self.role.clone(),
            is_default: self.is_default,
            external_id: self.external_id.clone(),
            source_identity: self.source_identity,
        }
    }

    /// What STS gets for this member besides the role: the external id, and the member's address as source identity if the mapping, or
    /// the server for all mappings, says so.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when STS would refuse the address: nobody is shown in CloudTrail under half of a name.
    pub fn extras(&self, email: &Email, is_source_identity_on: bool) -> Result<Extras, Error> {
        let source_identity = if self.source_identity || is_source_identity_on {
            let refused = |problem| {
                Error::InvalidArgument(format!(
                    "{problem}; an administrator of the server can give the user another address, or switch the source identity off"
                ))
            };
            Some(email.source_identity().map_err(refused)?.to_owned())
        } else {
            None
        };
        let external_id = self.external_id.as_ref().map(|id| id.as_str().to_owned());
        Ok(Extras { external_id, source_identity, ..Extras::default() })
    }

    /// Whether a member with this project role may assume the role. Project roles have no hierarchy: a data owner may not
    /// assume a role that is mapped to data scientists.
    pub fn is_for(&self, project_role: ProjectRole) -> bool {
        self.project_role == ProjectRole::All || self.project_role == project_role
    }

    /// The mapping as the audit shows it.
    pub fn state(&self) -> Value {
        let mut state = json!({
            "id": self.id,
            "projectRole": self.project_role.display_name(),
            "cloudRole": self.role.as_str(),
            "defaultRole": self.is_default,
        });
        if let Some(external_id) = &self.external_id {
            state["externalId"] = external_id.as_str().into();
        }
        if self.source_identity {
            state["sourceIdentity"] = true.into();
        }
        state
    }
}

/// Lists all role mappings, in the order of their ids, and those that are damaged.
pub async fn list(database: &Database) -> Result<(Vec<Mapping>, Vec<DamagedMapping>), sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(select!("order by role_mappings.id")).fetch_all(database.pool()).await?;
    Ok(keep(rows))
}

/// Lists the role mappings of a project, in the order of their ids, and those that are damaged.
pub async fn list_in_project(
    executor: impl AnyExecutor<'_>,
    project_id: i64,
) -> Result<(Vec<Mapping>, Vec<DamagedMapping>), sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(select!("where projects.id = $1 order by role_mappings.id"))
        .bind(project_id)
        .fetch_all(executor)
        .await?;
    Ok(keep(rows))
}

/// Lists the role mappings of these projects, within a project in the order of their ids, and those that are damaged.
pub async fn list_in_projects(
    connection: &mut AnyConnection,
    ids: &[i64],
) -> Result<(Vec<Mapping>, Vec<DamagedMapping>), sqlx::Error> {
    let mut rows: Vec<Row> = Vec::new();
    for ids in ids.chunks(rows_per_statement(1)) {
        let list = placeholders(1, ids.len());
        let text = format!("{}{list} order by role_mappings.id", select!("where projects.id in "));
        let query = ids.iter().fold(sqlx::query_as(AssertSqlSafe(text)), |query, id| query.bind(*id));
        rows.extend(query.persistent(false).fetch_all(&mut *connection).await?);
    }
    Ok(keep(rows))
}

/// Finds the role mapping with this id, in any project.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Damaged`], [`Error::Database`].
pub async fn find(executor: impl AnyExecutor<'_>, id: i64) -> Result<Mapping, Error> {
    let row: Option<Row> =
        sqlx::query_as(select!("where role_mappings.id = $1")).bind(id).fetch_optional(executor).await?;
    match row.map(read) {
        Some(Ok(mapping)) => Ok(mapping),
        Some(Err(damaged)) => Err(Error::Damaged(Box::new(damaged.row))),
        None => Err(no_such_id(id)),
    }
}

/// Finds the id of the project that has this role mapping, damaged or not.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Database`].
pub async fn find_project_id(executor: impl AnyExecutor<'_>, id: i64) -> Result<i64, Error> {
    let project_id = sqlx::query_scalar("select project_id from role_mappings where id = $1")
        .bind(id)
        .fetch_optional(executor)
        .await?;
    project_id.ok_or_else(|| no_such_id(id))
}

/// Finds the role mapping with this id in this project. A mapping of another project is as unknown as one that does not exist.
///
/// # Errors
/// [`Error::NoSuchMapping`], [`Error::Damaged`], [`Error::Database`].
///
/// Projects are compared by their ids: another server may have learned a new name a moment ago. The mapping has the project as the
/// caller knows it.
pub async fn find_in_project(database: &Database, project: &Project, id: i64) -> Result<Mapping, Error> {
    if find_project_id(database.pool(), id).await? != project.id {
        return Err(no_such_id(id));
    }
    let mapping = find(database.pool(), id).await?;
    Ok(Mapping { project: project.clone(), ..mapping })
}

/// The error for an id that does not exist, or that the caller may not know of.
pub fn no_such_id(id: i64) -> Error {
    Error::NoSuchMapping(format!("there is no role mapping with id {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_for_its_own_project_role_without_a_hierarchy() {
        use ProjectRole::{All, DataOwner, DataScientist};
        let mapping = |project_role| Mapping {
            id: 1,
            project: Project { id: 119, name: "churn".to_owned() },
            project_role,
            role: "arn:aws:iam::123456789012:role/r1".parse().expect("a role ARN"),
            is_default: false,
            external_id: None,
            source_identity: false,
        };
        assert!(mapping(All).is_for(DataOwner) && mapping(All).is_for(DataScientist));
        assert!(mapping(DataOwner).is_for(DataOwner));
        assert!(!mapping(DataOwner).is_for(DataScientist));
        assert!(!mapping(DataScientist).is_for(DataOwner));
    }
}
