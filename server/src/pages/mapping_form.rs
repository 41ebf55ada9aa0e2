//! The form that adds or changes a role mapping: its fields as text, and what they parse to.

use hops_credentials_core::role::{ProjectRole, RoleArn};

use super::forms::Fields;
use super::remedy::problem;
use crate::error::Error;
use crate::mapping::Mapping;
use crate::mapping::terms::Terms;

/// The fields of the form, as typed.
#[derive(Default)]
pub struct MappingForm {
    /// The name of the project.
    pub project: String,
    /// The ARN of the role.
    pub role: String,
    /// The query name of the project role.
    pub project_role: String,
    /// Whether the checkbox *Default* is ticked.
    pub is_default: bool,
    /// The external id; empty for none.
    pub external_id: String,
    /// Whether the checkbox *Source identity* is ticked.
    pub source_identity: bool,
    /// The problem to show above the form.
    pub problem: Option<String>,
}

/// An option of a drop-down list.
pub struct Choice {
    /// The value that the form sends.
    pub value: &'static str,
    /// The text that the page shows.
    pub text: &'static str,
    /// Whether it is selected.
    pub is_chosen: bool,
}

impl MappingForm {
    /// Reads the fields of a form that was sent.
    pub fn from_fields(fields: &Fields) -> Self {
        Self {
            project: fields.text("project"),
            role: fields.text("role"),
            project_role: fields.text("project_role"),
            is_default: fields.is_ticked("default"),
            external_id: fields.text("external_id"),
            source_identity: fields.is_ticked("source_identity"),
            problem: None,
        }
    }

    /// Fills the fields from an existing role mapping.
    pub fn from_mapping(mapping: &Mapping) -> Self {
        Self {
            project: mapping.project.name.clone(),
            role: mapping.role.to_string(),
            project_role: mapping.project_role.query_name().to_owned(),
            is_default: mapping.is_default,
            external_id: mapping.external_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            source_identity: mapping.source_identity,
            problem: None,
        }
    }

    /// Parses the fields.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the field.
    pub fn parse(&self) -> Result<Terms, Error> {
        Ok(Terms {
            role: self.role.parse::<RoleArn>()?,
            project_role: self.project_role.parse()?,
            is_default: self.is_default,
            external_id: match self.external_id.as_str() {
                "" => None,
                text => Some(text.parse().map_err(|problem: &str| Error::InvalidArgument(problem.to_owned()))?),
            },
            source_identity: self.source_identity,
        })
    }

    /// Adds the problem that `error` describes.
    pub fn with_problem(self, error: &Error) -> Self {
        Self { problem: Some(problem(error)), ..self }
    }

    /// Lists the project roles to choose from.
    pub fn choices(&self) -> Vec<Choice> {
        project_role_choices(
            &[ProjectRole::All, ProjectRole::DataOwner, ProjectRole::DataScientist],
            &self.project_role,
        )
    }
}

/// Lists project roles as options; `chosen` is the query name of the selected one.
pub fn project_role_choices(roles: &[ProjectRole], chosen: &str) -> Vec<Choice> {
    let choice = |role: &ProjectRole| Choice {
        value: role.query_name(),
        text: label(*role),
        is_chosen: role.query_name() == chosen,
    };
    roles.iter().map(choice).collect()
}

/// Returns the label of a project role on pages.
pub fn label(project_role: ProjectRole) -> &'static str {
    match project_role {
        ProjectRole::All => "All members",
        ProjectRole::DataOwner | ProjectRole::DataScientist => project_role.display_name(),
    }
}
