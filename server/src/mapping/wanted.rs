//! What a member wants of the role mappings of a project, which may be very many: only that is loaded, with the member in one query where
//! the database knows the members. Decides which of them the member may assume.

use hops_credentials_core::role::{ProjectRole, RoleArn};
use sqlx::any::AnyRow;
use sqlx::{AnyExecutor, AssertSqlSafe, Row as _, ValueRef as _};

use super::Mapping;
use super::row::{DamagedMapping, Row, SELECT, keep};
use crate::api_key;
use crate::database::Database;
use crate::database::damaged::{self, Stored};
use crate::error::Error;
use crate::member::parse_stored_role;
use crate::project::{self, Project};
use crate::user::{self, User};

/// The longest list of a project's mappings that is loaded together with the member who asks for it.
pub const SHORT_LIST: usize = 200;

/// What a member asks for among the role mappings of a project, which may be very many.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The defaults.
    Defaults,
    /// The mapping of this role.
    Role(&'a RoleArn),
    /// The first ones, one more than [`SHORT_LIST`].
    First,
}

impl<'a> Wanted<'a> {
    /// Writes the condition and the limit; returns the role too, which takes this placeholder if there is one.
    fn sql(self, placeholder: &str) -> (String, String, Option<&'a str>) {
        match self {
            // One for each project role. Where somebody edited the database there may be more: a limit could cut off a good one.
            Wanted::Defaults => ("and role_mappings.is_default = 1".to_owned(), String::new(), None),
            Wanted::Role(role) => {
                (format!("and role_mappings.role_arn = {placeholder}"), String::new(), Some(role.as_str()))
            }
            Wanted::First => (String::new(), format!("limit {}", SHORT_LIST + 1), None),
        }
    }
}

/// Role mappings of a project.
#[derive(Debug)]
pub struct ProjectMappings {
    /// Those that can be read, in the order of their ids.
    pub all: Vec<Mapping>,
    /// The others.
    pub damaged: Vec<DamagedMapping>,
}

impl ProjectMappings {
    /// Loads the wanted role mappings of a project.
    pub async fn load(
        executor: impl AnyExecutor<'_>,
        project_id: i64,
        wanted: Wanted<'_>,
    ) -> Result<Self, sqlx::Error> {
        let (condition, limit, role) = wanted.sql("$2");
        let text = format!("{SELECT}where projects.id = $1 {condition} order by role_mappings.id {limit}");
        let query = sqlx::query_as(AssertSqlSafe(text)).bind(project_id);
        let query = if let Some(role) = role { query.bind(role) } else { query };
        Ok(Self::from_rows(query.fetch_all(executor).await?))
    }

    fn from_rows(rows: Vec<Row>) -> Self {
        let (all, damaged) = keep(rows);
        Self { all, damaged }
    }

    /// Finds the mapping of this role, if the member may assume it.
    ///
    /// # Errors
    /// [`Error::NoSuchMapping`] when the role is not mapped to the project, [`Error::RoleNotForMember`] when it is mapped to
    /// another project role.
    pub fn find_for_role(&self, role: &RoleArn, project_role: ProjectRole) -> Result<&Mapping, Error> {
        let mapping = self.all.iter().find(|mapping| mapping.role == *role).ok_or_else(|| {
            Error::NoSuchMapping(format!("{role} is not mapped to this project; ask an administrator to map it"))
        })?;
        if mapping.is_for(project_role) {
            Ok(mapping)
        } else {
            Err(Error::RoleNotForMember { role: role.clone(), project_role })
        }
    }

    /// Finds the default for a member: that of the member's project role, else that of all members. A damaged default has no substitute:
    /// nobody gets another role than the one that was meant for them.
    ///
    /// # Errors
    /// [`Error::NoSuchMapping`] when neither exists, or when the one that counts is damaged.
    pub fn find_default(&self, project_role: ProjectRole) -> Result<&Mapping, Error> {
        let default_of = |wanted| self.all.iter().find(|mapping| mapping.is_default && mapping.project_role == wanted);
        let own_or_damaged = default_of(project_role).map(Ok).or_else(|| {
            self.damaged.iter().find(|damaged| damaged.may_be_default_of(project_role)).map(|damaged| {
                Err(Error::NoSuchMapping(format!(
                    "the row of a default role in the database of the server, {}, is damaged; name a role, or ask an administrator \
                     of the server to mend it",
                    damaged.row.name()
                )))
            })
        });
        own_or_damaged.or_else(|| default_of(ProjectRole::All).map(Ok)).unwrap_or_else(|| {
            Err(Error::NoSuchMapping(format!(
                "this project has no default role for a {project_role}; name a role, or ask a data owner to set a default"
            )))
        })
    }
}

/// A project as one of its members sees it.
pub struct MemberView {
    /// The member.
    pub user: User,
    /// The project.
    pub project: Project,
    /// The member's role in it.
    pub project_role: ProjectRole,
    /// The wanted role mappings of the project.
    pub mappings: ProjectMappings,
}

impl MemberView {
    /// Loads in one query the owner of an API key, a project, and those of its role mappings that are wanted. `None` when nobody has the
    /// key, or when its owner is not a member of the project.
    pub async fn load(
        database: &Database,
        key: &str,
        project_id: i64,
        wanted: Wanted<'_>,
    ) -> Result<Option<Self>, sqlx::Error> {
        let (condition, limit, role) = wanted.sql("$3");
        let query = sqlx::query(AssertSqlSafe(format!(
            "select users.id, users.email, users.is_admin, users.key_hash, projects.name, members.project_role, \
             role_mappings.id, role_mappings.project_role, role_mappings.role_arn, role_mappings.is_default, \
             role_mappings.external_id, role_mappings.source_identity, projects.id from users \
             join members on members.user_id = users.id and members.project_id = $2 \
             join projects on projects.id = members.project_id \
             left join role_mappings on role_mappings.project_id = projects.id {condition} \
             where users.key_prefix = $1 order by role_mappings.id {limit}"
        )));
        let query = query.bind(api_key::read_prefix(key)).bind(project_id);
        let query = if let Some(role) = role { query.bind(role) } else { query };
        let rows: Vec<AnyRow> = query.fetch_all(database.pool()).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        if !first.try_get::<Stored<String>, _>(3)?.value().is_some_and(|hash| api_key::has_hash(key, &hash)) {
            return Ok(None);
        }
        let user = damaged::keep(user::read(first.try_get(0)?, first.try_get(1)?, first.try_get(2)?));
        let project = damaged::keep(project::read(project_id, first.try_get(4)?));
        let (Some(user), Some(project)) = (user, project) else { return Ok(None) };
        let Some(project_role) = parse_stored_role(first.try_get(5)?, project_id, user.email.as_str()) else {
            return Ok(None);
        };
        let mut mappings = Vec::with_capacity(rows.len());
        for row in &rows {
            // A project without role mappings gives one row without a mapping.
            if !row.try_get_raw(6)?.is_null() {
                let (id, of_project, name) = (row.try_get(6)?, row.try_get(12)?, row.try_get(4)?);
                let (role, arn, is_default) = (row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
                let (external_id, source_identity) = (row.try_get(10)?, row.try_get(11)?);
                // Members are stored in a database that belongs to no cluster.
                mappings.push((id, of_project, name, 0, role, arn, is_default, external_id, source_identity));
            }
        }
        Ok(Some(Self { user, project, project_role, mappings: ProjectMappings::from_rows(mappings) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::row;

    fn mapping(id: i64, project_role: ProjectRole, is_default: bool) -> Mapping {
        let role = format!("arn:aws:iam::123456789012:role/r{id}").parse().expect("a role ARN");
        let project = Project { id: 119, name: "churn".to_owned() };
        Mapping { id, project, project_role, role, is_default, external_id: None, source_identity: false }
    }

    /// Role mapping 3, with an external id that is damaged, and with this project role, or with one that is damaged too.
    fn damaged(project_role: Option<ProjectRole>, is_default: bool) -> DamagedMapping {
        let stored = |text: &str| Stored::from(text.to_owned());
        let project_role = project_role.map_or("BOSS", |role| role.query_name());
        let (id, project_id, name, flag) = (3.into(), 119.into(), stored("churn"), i64::from(is_default).into());
        let role = stored("arn:aws:iam::123456789012:role/r3");
        let row = (id, project_id, name, 0, stored(project_role), role, flag, Some("a b".to_owned()).into(), 0.into());
        *row::read(row).expect_err("it is damaged")
    }

    #[test]
    fn the_default_of_a_members_own_project_role_goes_before_that_of_all_members() {
        use ProjectRole::{All, DataOwner, DataScientist};
        let all = vec![mapping(1, All, true), mapping(2, DataOwner, true), mapping(3, DataScientist, false)];
        let mut mappings = ProjectMappings { all, damaged: Vec::new() };
        assert_eq!(mappings.find_default(DataOwner).expect("own").id, 2);
        assert_eq!(mappings.find_default(DataScientist).expect("that of all").id, 1);
        mappings.all.remove(0);
        assert_eq!(mappings.find_default(DataScientist).expect_err("none").code(), 380_003);
    }

    #[test]
    fn a_damaged_default_has_no_substitute_and_concerns_nobody_else() {
        use ProjectRole::{All, DataOwner, DataScientist};
        let with = |project_role: Option<ProjectRole>, is_default| ProjectMappings {
            all: vec![mapping(1, All, true), mapping(2, DataOwner, true)],
            damaged: vec![damaged(project_role, is_default)],
        };
        let id = |mappings: &ProjectMappings| mappings.find_default(DataScientist).map(|mapping| mapping.id).ok();
        assert_eq!(id(&with(Some(DataScientist), true)), None);
        assert_eq!(id(&with(None, true)), None, "it may be that of data scientists");
        assert_eq!(id(&with(Some(DataOwner), true)), Some(1));
        assert_eq!(id(&with(Some(DataScientist), false)), Some(1));
        assert_eq!(with(None, true).find_default(DataOwner).expect("own").id, 2);
        let text = with(Some(DataScientist), true).find_default(DataScientist).expect_err("damaged").to_string();
        assert!(text.contains("role mapping 3 of project 119, is damaged"), "{text}");
    }

    #[test]
    fn a_role_mapped_to_another_project_role_is_forbidden_and_an_unmapped_role_is_not_found() {
        let mappings = ProjectMappings { all: vec![mapping(1, ProjectRole::DataOwner, false)], damaged: Vec::new() };
        let other = "arn:aws:iam::123456789012:role/other".parse().expect("a role ARN");
        assert_eq!(mappings.find_for_role(&mappings.all[0].role, ProjectRole::DataOwner).expect("own").id, 1);
        let refused = mappings.find_for_role(&mappings.all[0].role, ProjectRole::DataScientist).expect_err("others'");
        assert_eq!(refused.code(), 380_002);
        assert_eq!(
            refused.to_string(),
            "a Data scientist of this project may not assume arn:aws:iam::123456789012:role/r1; ask an administrator to \
             map it to your project role"
        );
        assert_eq!(mappings.find_for_role(&other, ProjectRole::DataOwner).expect_err("not mapped").code(), 380_003);
    }
}
