//! An entry: a role mapping that somebody wants, in a line of a file or from another server. It has no id.

use std::fmt;

use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::mapping::Mapping;
use crate::mapping::terms::Terms;
use crate::project::{Project, ProjectName};

/// A role mapping that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name or the id of the project.
    pub project: String,
    /// What it says.
    pub terms: Terms,
}

/// An entry as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    project: String,
    project_role: String,
    role: String,
    #[serde(default)]
    default: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    source_identity: bool,
}

impl TryFrom<Line> for Entry {
    type Error = Error;

    fn try_from(line: Line) -> Result<Self, Error> {
        let terms = Terms {
            project_role: ProjectRole::from_command_line_name(&line.project_role)?,
            role: line.role.parse::<RoleArn>()?,
            is_default: line.default,
            external_id: match line.external_id {
                Some(text) => Some(text.parse().map_err(|problem: &str| Error::InvalidArgument(problem.to_owned()))?),
                None => None,
            },
            source_identity: line.source_identity,
        };
        Ok(Self { project: line.project, terms })
    }
}

impl From<&Mapping> for Entry {
    fn from(mapping: &Mapping) -> Self {
        let Project { id, name } = &mapping.project;
        // A file must lead to the same project later: digits, for instance, are always an id.
        let project = if name.parse::<ProjectName>().is_ok() { name.clone() } else { id.to_string() };
        Self { project, terms: mapping.terms() }
    }
}

impl fmt::Display for Entry {
    /// Writes the line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Line {
            project: self.project.clone(),
            project_role: self.terms.project_role.command_line_name().to_owned(),
            role: self.terms.role.to_string(),
            default: self.terms.is_default,
            external_id: self.terms.external_id.as_ref().map(ToString::to_string),
            source_identity: self.terms.source_identity,
        };
        formatter.write_str(&serde_json::to_string(&line).expect("texts and truth values are JSON"))
    }
}
