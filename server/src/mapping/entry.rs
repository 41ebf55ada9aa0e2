//! An entry: a role mapping that somebody wants, in a line of a file or from another server. It has no id.

use std::fmt;

use hops_credentials_core::error::Error;
use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde::{Deserialize, Serialize};

use crate::mapping::Mapping;

/// A role mapping that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name or the id of the project.
    pub project: String,
    /// The project role whose members may assume the role.
    pub project_role: ProjectRole,
    /// The role.
    pub role: RoleArn,
    /// Whether it is the mapping used when no role is named.
    pub is_default: bool,
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
}

impl TryFrom<Line> for Entry {
    type Error = Error;

    fn try_from(line: Line) -> Result<Self, Error> {
        Ok(Self {
            project_role: ProjectRole::from_command_line_name(&line.project_role)?,
            role: line.role.parse()?,
            project: line.project,
            is_default: line.default,
        })
    }
}

impl From<&Mapping> for Entry {
    fn from(mapping: &Mapping) -> Self {
        Self {
            project: mapping.project.name.clone(),
            project_role: mapping.project_role,
            role: mapping.role.clone(),
            is_default: mapping.is_default,
        }
    }
}

impl fmt::Display for Entry {
    /// Writes the line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Line {
            project: self.project.clone(),
            project_role: self.project_role.command_line_name().to_owned(),
            role: self.role.to_string(),
            default: self.is_default,
        };
        formatter.write_str(&serde_json::to_string(&line).expect("texts and truth values are JSON"))
    }
}
