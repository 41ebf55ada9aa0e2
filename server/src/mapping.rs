//! Role mappings: "members with this project role may assume this role". Decides who may assume what, and reads the mappings.
//!
//! `change` writes them.

pub mod apply;
pub mod change;
pub mod entry;
pub mod file;
pub mod list;
pub mod policies;
pub mod terms;

use hops_credentials_core::request::Extras;
use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyExecutor, AssertSqlSafe, Row as _, ValueRef as _};

use crate::api_key;
use crate::database::Database;
use crate::database::damaged::{self, Damage, DamagedRow, Stored};
use crate::database::rows::{placeholders, rows_per_statement};
use crate::error::Error;
use crate::mapping::terms::{ExternalId, Terms};
use crate::member::parse_stored_role;
use crate::project::{self, Project};
use crate::user::{self, Email, User};

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

/// Role mappings of a project.
#[derive(Debug)]
pub struct ProjectMappings {
    /// Those that can be read, in the order of their ids.
    pub all: Vec<Mapping>,
    /// The others.
    pub damaged: Vec<DamagedMapping>,
}

impl ProjectMappings {
    fn from_rows(rows: Vec<Row>) -> Self {
        let (all, damaged) = keep(rows);
        Self { all, damaged }
    }

    /// Finds the default for a member: that of the member's project role, else that of all members. A damaged default has no substitute:
    /// nobody gets another role than the one that was meant for them.
    ///
    /// # Errors
    /// [`Error::NoSuchMapping`] when neither exists, or when the one that counts is damaged.
    pub fn find_default(&self, project_role: ProjectRole) -> Result<&Mapping, Error> {
        let default_of = |wanted| self.all.iter().find(|mapping| mapping.is_default && mapping.project_role == wanted);
        let is_damaged = |damaged: &&DamagedMapping| {
            let stored_role = damaged.project_role.as_ref().and_then(|text| text.parse::<ProjectRole>().ok());
            damaged.is_default && stored_role.is_none_or(|role| role == project_role || role == ProjectRole::All)
        };
        let own_or_damaged = default_of(project_role).map(Ok).or_else(|| {
            self.damaged.iter().find(is_damaged).map(|damaged| {
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

/// Finds the mapping of this role, if the member may assume it.
///
/// # Errors
/// [`Error::NoSuchMapping`] when the role is not mapped to the project, [`Error::RoleNotForMember`] when it is mapped to
/// another project role.
pub fn find_for_role<'a>(
    mappings: &'a [Mapping],
    role: &RoleArn,
    project_role: ProjectRole,
) -> Result<&'a Mapping, Error> {
    let mapping = mappings.iter().find(|mapping| mapping.role == *role).ok_or_else(|| {
        Error::NoSuchMapping(format!("{role} is not mapped to this project; ask an administrator to map it"))
    })?;
    if mapping.is_for(project_role) {
        Ok(mapping)
    } else {
        Err(Error::RoleNotForMember { role: role.clone(), project_role })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select role_mappings.id, projects.id, projects.name, (select count(*) from identity), role_mappings.project_role, \
             role_mappings.role_arn, role_mappings.is_default, role_mappings.external_id, role_mappings.source_identity \
             from role_mappings join projects on projects.id = role_mappings.project_id ",
            $rest
        )
    };
}

const SELECT: &str = select!("");

/// The selected columns; the fourth is the number of clusters that the database belongs to.
type Row = (
    Stored<i64>,
    Stored<i64>,
    Stored<String>,
    i64,
    Stored<String>,
    Stored<String>,
    Stored<i64>,
    Stored<Option<String>>,
    Stored<i64>,
);

/// A role mapping that is damaged, and the places that it takes from others.
#[derive(Debug)]
pub struct DamagedMapping {
    /// The row.
    pub row: DamagedRow,
    /// Its project.
    pub project_id: Option<i64>,
    /// Its role, as stored: a project has one role mapping for a role.
    role: Option<String>,
    /// Its project role, as stored.
    project_role: Option<String>,
    is_default: bool,
}

impl DamagedMapping {
    /// Whether a role mapping with these terms cannot be in the database beside it.
    pub fn is_in_the_way_of(&self, project_id: i64, terms: &Terms) -> bool {
        let is_of_role = self.role.as_deref() == Some(terms.role.as_str());
        let is_of_project_role = self.project_role.as_deref() == Some(terms.project_role.query_name());
        let is_default_too = terms.is_default && self.is_default && is_of_project_role;
        self.project_id == Some(project_id) && (is_of_role || is_default_too)
    }
}

/// Refuses terms beside which a damaged role mapping cannot be.
///
/// # Errors
/// [`Error::Damaged`].
pub fn check_way(damaged: &[DamagedMapping], project_id: i64, terms: &Terms) -> Result<(), Error> {
    match damaged.iter().find(|damaged| damaged.is_in_the_way_of(project_id, terms)) {
        None => Ok(()),
        Some(damaged) => Err(Error::Damaged(Box::new(damaged.row.clone()))),
    }
}

/// Keeps the role mappings that are not damaged, and logs the others: those are for nobody.
fn keep(rows: Vec<Row>) -> (Vec<Mapping>, Vec<DamagedMapping>) {
    let (mut mappings, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match read(row) {
            Ok(mapping) => mappings.push(mapping),
            Err(problem) => {
                problem.row.log();
                damaged.push(*problem);
            }
        }
    }
    (mappings, damaged)
}

fn read(row: Row) -> Result<Mapping, Box<DamagedMapping>> {
    let (id, project_id, project_name, clusters, project_role, role_arn, is_default, external_id, source_identity) =
        row;
    let (known_id, known_project) = (id.clone().value(), project_id.clone().value());
    let (known_role, role) = (project_role.clone().value(), role_arn.clone().value());
    let known_default = is_default.clone().value() == Some(1);
    let read = || {
        let project_id = project_id.read("project_id", Ok::<_, String>)?;
        Ok::<_, Damage>(Mapping {
            id: id.read("id", Ok::<_, String>)?,
            project: Project::from_stored(project_id, project_name, clusters),
            project_role: project_role.read("project_role", |text| text.parse::<ProjectRole>())?,
            role: role_arn.read("role_arn", |text| text.parse::<RoleArn>())?,
            is_default: is_default.read_flag("is_default")?,
            external_id: external_id.read("external_id", |id| id.map(|id| id.parse()).transpose())?,
            source_identity: source_identity.read_flag("source_identity")?,
        })
    };
    read().map_err(|damage| {
        let shown = |id: Option<i64>| id.map_or("?".to_owned(), |id| id.to_string());
        let name = format!("role mapping {} of project {}", shown(known_id), shown(known_project));
        let remedy = format!("remove it with: role-mapping-server mapping remove {}", shown(known_id));
        let row = DamagedRow::new(name, "role_mappings", damage, remedy);
        Box::new(DamagedMapping {
            row,
            project_id: known_project,
            role,
            project_role: known_role,
            is_default: known_default,
        })
    })
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

/// Lists the wanted role mappings of a project.
pub async fn list_wanted(
    executor: impl AnyExecutor<'_>,
    project_id: i64,
    wanted: Wanted<'_>,
) -> Result<ProjectMappings, sqlx::Error> {
    let (condition, limit, value) = wanted.sql();
    let text = format!("{SELECT}where projects.id = $1 {condition} order by role_mappings.id {limit}");
    let query = sqlx::query_as(AssertSqlSafe(text.replace("$3", "$2"))).bind(project_id);
    let query = match value {
        WantedValue::Role(role) => query.bind(role),
        WantedValue::Limit(limit) => query.bind(limit),
    };
    Ok(ProjectMappings::from_rows(query.fetch_all(executor).await?))
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

/// A value of a placeholder.
enum WantedValue<'a> {
    Role(&'a str),
    Limit(i64),
}

impl<'a> Wanted<'a> {
    /// Writes the condition, and the limit behind the order, with the value of their placeholder `$3`.
    fn sql(self) -> (&'static str, &'static str, WantedValue<'a>) {
        match self {
            Wanted::Defaults => {
                // One for each project role, and some that are damaged.
                ("and role_mappings.is_default = 1", "limit $3", WantedValue::Limit(20))
            }
            Wanted::Role(role) => ("and role_mappings.role_arn = $3", "", WantedValue::Role(role.as_str())),
            Wanted::First => {
                let limit = i64::try_from(SHORT_LIST + 1).expect("a short list");
                ("", "limit $3", WantedValue::Limit(limit))
            }
        }
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

/// Loads in one query the owner of an API key, a project, and those of its role mappings that are wanted. `None` when nobody has the key,
/// or when its owner is not a member of the project.
pub async fn load_member_view(
    database: &Database,
    key: &str,
    project_id: i64,
    wanted: Wanted<'_>,
) -> Result<Option<MemberView>, sqlx::Error> {
    let (condition, limit, value) = wanted.sql();
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
    let query = match value {
        WantedValue::Role(role) => query.bind(role),
        WantedValue::Limit(limit) => query.bind(limit),
    };
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
    Ok(Some(MemberView { user, project, project_role, mappings: ProjectMappings::from_rows(mappings) }))
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
        *read(row).expect_err("it is damaged")
    }

    #[test]
    fn a_mapping_is_for_its_own_project_role_without_a_hierarchy() {
        use ProjectRole::{All, DataOwner, DataScientist};
        assert!(mapping(1, All, false).is_for(DataOwner) && mapping(1, All, false).is_for(DataScientist));
        assert!(mapping(1, DataOwner, false).is_for(DataOwner));
        assert!(!mapping(1, DataOwner, false).is_for(DataScientist));
        assert!(!mapping(1, DataScientist, false).is_for(DataOwner));
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
        let mappings = [mapping(1, ProjectRole::DataOwner, false)];
        let other = "arn:aws:iam::123456789012:role/other".parse().expect("a role ARN");
        assert_eq!(find_for_role(&mappings, &mappings[0].role, ProjectRole::DataOwner).expect("own").id, 1);
        let refused = find_for_role(&mappings, &mappings[0].role, ProjectRole::DataScientist).expect_err("others'");
        assert_eq!(refused.code(), 380_002);
        assert_eq!(
            refused.to_string(),
            "a Data scientist of this project may not assume arn:aws:iam::123456789012:role/r1; ask an administrator to \
             map it to your project role"
        );
        assert_eq!(find_for_role(&mappings, &other, ProjectRole::DataOwner).expect_err("not mapped").code(), 380_003);
    }
}
