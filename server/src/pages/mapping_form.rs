//! The form of a role mapping, for adding and for changing one: what was typed, and what it means.

use hops_credentials_core::role::{ProjectRole, RoleArn};

use super::error::sentence;
use super::forms::Fields;
use crate::error::Error;
use crate::http::parameters::illegal;
use crate::mapping::Mapping;

/// What stands in the fields.
#[derive(Default)]
pub struct MappingForm {
    /// The name of the project.
    pub project: String,
    /// The ARN of the role.
    pub role: String,
    /// The name of the project role in queries.
    pub project_role: String,
    /// Whether the box is ticked.
    pub is_default: bool,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// What the fields mean.
pub struct ParsedForm {
    /// The role.
    pub role: RoleArn,
    /// Whose members may assume it.
    pub project_role: ProjectRole,
}

/// A choice of a list.
pub struct Choice {
    /// What is sent.
    pub value: &'static str,
    /// What is shown.
    pub text: &'static str,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

impl MappingForm {
    /// What was typed.
    pub fn from_fields(fields: &Fields) -> Self {
        Self {
            project: fields.text("project"),
            role: fields.text("role"),
            project_role: fields.text("project_role"),
            is_default: fields.is_ticked("default"),
            problem: None,
        }
    }

    /// A role mapping as it stands.
    pub fn from_mapping(mapping: &Mapping) -> Self {
        Self {
            project: mapping.project.name.clone(),
            role: mapping.role.to_string(),
            project_role: mapping.project_role.query_name().to_owned(),
            is_default: mapping.is_default,
            problem: None,
        }
    }

    /// What it means.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field.
    pub fn parse(&self) -> Result<ParsedForm, Error> {
        Ok(ParsedForm { role: self.role.parse()?, project_role: self.project_role.parse()? })
    }

    /// With what is wrong with it.
    pub fn with_problem(self, error: &Error) -> Self {
        let problem = match error {
            // On a page, not on the command line, is where it is added.
            Error::NoSuchProject(name) if name.is_empty() => illegal("Project", &"choose one").to_string(),
            Error::NoSuchProject(name) => format!("there is no project {name:?}; add it under Projects first"),
            other => other.to_string(),
        };
        Self { problem: Some(sentence(&problem)), ..self }
    }

    /// The project roles to choose from.
    pub fn choices(&self) -> Vec<Choice> {
        project_role_choices(
            &[ProjectRole::All, ProjectRole::DataOwner, ProjectRole::DataScientist],
            &self.project_role,
        )
    }
}

/// Project roles as a list to choose from; `chosen` is the name in queries.
pub fn project_role_choices(roles: &[ProjectRole], chosen: &str) -> Vec<Choice> {
    let choice = |role: &ProjectRole| Choice {
        value: role.query_name(),
        text: label(*role),
        is_chosen: role.query_name() == chosen,
    };
    roles.iter().map(choice).collect()
}

/// A project role as pages show it.
pub fn label(project_role: ProjectRole) -> &'static str {
    match project_role {
        ProjectRole::All => "All members",
        ProjectRole::DataOwner | ProjectRole::DataScientist => project_role.display_name(),
    }
}
