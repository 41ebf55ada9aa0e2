//! Rows of role mappings as the database has them: how they are selected and read, and those that are damaged.

use hops_credentials_core::role::{ProjectRole, RoleArn};

use super::Mapping;
use super::terms::Terms;
use crate::database::damaged::{Damage, DamagedRow, Stored};
use crate::error::Error;
use crate::project::Project;

/// Writes the query of role mappings with this text behind it: a condition, an order.
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

pub(super) use select;

/// The query of all role mappings.
pub(super) const SELECT: &str = select!("");

/// The selected columns; the fourth is the number of clusters that the database belongs to.
pub(super) type Row = (
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
    fn is_in_the_way_of(&self, project_id: i64, terms: &Terms) -> bool {
        let is_of_role = self.role.as_deref() == Some(terms.role.as_str());
        let is_of_project_role = self.project_role.as_deref() == Some(terms.project_role.query_name());
        let is_default_too = terms.is_default && self.is_default && is_of_project_role;
        self.project_id == Some(project_id) && (is_of_role || is_default_too)
    }

    /// Whether it may be the default that was meant for members with this project role.
    pub fn may_be_default_of(&self, project_role: ProjectRole) -> bool {
        let stored_role = self.project_role.as_ref().and_then(|text| text.parse::<ProjectRole>().ok());
        self.is_default && stored_role.is_none_or(|role| role == project_role || role == ProjectRole::All)
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
pub(super) fn keep(rows: Vec<Row>) -> (Vec<Mapping>, Vec<DamagedMapping>) {
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

/// Reads a role mapping.
///
/// # Errors
/// [`DamagedMapping`] when a value is not one that a program wrote.
pub(super) fn read(row: Row) -> Result<Mapping, Box<DamagedMapping>> {
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
