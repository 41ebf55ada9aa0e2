//! Roles and who may assume them: role ARN, project role, role mapping.
//!
//! Text is parsed once, at the edge: every [`RoleArn`] is a legal one.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::text::{is_name_character, quoted};

/// The ARN of an IAM role, in any partition, with or without a path:
/// `arn:aws-cn:iam::123456789012:role/teams/data/reader`.
///
/// Source: IAM user guide, "IAM identifiers" and "IAM and AWS STS quotas" (name 64, path 512 characters); AWS STS API
/// reference, `AssumeRole`, `RoleArn` (20 to 2048 characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleArn(String);

impl RoleArn {
    /// The ARN as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// The twelve digits of the account that owns the role.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// The role's name, without its path.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().expect("a role ARN has a slash")
    }

    fn part(&self, index: usize) -> &str {
        self.0.split(':').nth(index).expect("a role ARN has six parts")
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for RoleArn {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] when no partition of AWS could hold such a role.
    fn from_str(text: &str) -> Result<Self, Error> {
        if is_role_arn(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::InvalidArgument {
                field: "role ARN",
                reason: format!(
                    "{} is not of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>",
                    quoted(text)
                ),
            })
        }
    }
}

fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let &[arn, partition, service, region, account, resource] = parts.as_slice() else { return false };
    let Some(path_and_name) = resource.strip_prefix("role/") else { return false };
    let (path, name) = match path_and_name.rsplit_once('/') {
        Some((path, name)) => (path, name),
        None => ("", path_and_name),
    };
    text.len() <= 2048
        && arn == "arn"
        && is_partition(partition)
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && path.len() <= 510
        && path.bytes().all(|byte| byte.is_ascii_graphic())
        && (1..=64).contains(&name.len())
        && name.chars().all(is_name_character)
}

fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The role of a member in a project, and the members whom a role mapping is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProjectRole {
    /// May also change the default mapping.
    DataOwner,
    /// Works with the data.
    DataScientist,
    /// Every member, whatever their role. Mappings have it, members never do.
    All,
}

impl ProjectRole {
    /// The spelling for people, and of answers in the role-mapping contract.
    pub fn display_name(self) -> &'static str {
        match self {
            ProjectRole::DataOwner => "Data owner",
            ProjectRole::DataScientist => "Data scientist",
            ProjectRole::All => "ALL",
        }
    }

    /// The spelling of queries in the role-mapping contract.
    pub fn query_name(self) -> &'static str {
        match self {
            ProjectRole::DataOwner => "DATA_OWNER",
            ProjectRole::DataScientist => "DATA_SCIENTIST",
            ProjectRole::All => "ALL",
        }
    }

    /// The spelling of command lines and files of role mappings.
    pub fn command_line_name(self) -> &'static str {
        match self {
            ProjectRole::DataOwner => "data-owner",
            ProjectRole::DataScientist => "data-scientist",
            ProjectRole::All => "all",
        }
    }

    /// Reads a [`ProjectRole::command_line_name`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other text.
    pub fn from_command_line_name(text: &str) -> Result<Self, Error> {
        [ProjectRole::DataOwner, ProjectRole::DataScientist, ProjectRole::All]
            .into_iter()
            .find(|role| text == role.command_line_name())
            .ok_or_else(|| Error::InvalidArgument {
                field: "project role",
                reason: format!("{} is not data-owner, data-scientist or all", quoted(text)),
            })
    }
}

impl fmt::Display for ProjectRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.display_name())
    }
}

impl FromStr for ProjectRole {
    type Err = Error;

    /// Takes both spellings of the contract: `Data owner` and `DATA_OWNER`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other text.
    fn from_str(text: &str) -> Result<Self, Error> {
        [ProjectRole::DataOwner, ProjectRole::DataScientist, ProjectRole::All]
            .into_iter()
            .find(|role| text == role.display_name() || text == role.query_name())
            .ok_or_else(|| Error::InvalidArgument {
                field: "project role",
                reason: format!("{} is not DATA_OWNER, DATA_SCIENTIST or ALL", quoted(text)),
            })
    }
}

/// A rule: members with this project role may assume this role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleMapping {
    /// The id by which members ask for it; ids begin at 1.
    pub id: u32,
    /// The role.
    pub role: RoleArn,
    /// The members who may assume it.
    pub project_role: ProjectRole,
    /// Whether it applies when a request names no role.
    pub is_default: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(text: &str) -> bool {
        text.parse::<RoleArn>().is_ok()
    }

    #[test]
    fn a_role_arn_may_be_of_any_partition_and_have_a_path() {
        let role: RoleArn =
            "arn:aws-us-gov:iam::123456789012:role/teams/data/reader+a=b,c.d@e-f_g".parse().expect("legal");
        assert_eq!(role.partition(), "aws-us-gov");
        assert_eq!(role.account(), "123456789012");
        assert_eq!(role.name(), "reader+a=b,c.d@e-f_g");
        for partition in ["aws", "aws-cn", "aws-iso", "aws-iso-b", "aws-eusc"] {
            assert!(is_accepted(&format!("arn:{partition}:iam::123456789012:role/r")), "{partition}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_role_arn_is_refused() {
        for text in [
            "",
            "reader",
            "1",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/path/",
            "arn:aws:iam::123456789012:user/reader",
            "arn:aws:iam::12345678901:role/reader",
            "arn:aws:iam::1234567890123:role/reader",
            "arn:aws:iam:::role/reader",
            "arn:aws:iam:eu-north-1:123456789012:role/reader",
            "arn:aws:sts::123456789012:assumed-role/reader/me",
            "arn:google:iam::123456789012:role/reader",
            "arn:aws:iam::123456789012:role/rea der",
            "arn:aws:iam::123456789012:role/reader\n",
            " arn:aws:iam::123456789012:role/reader",
        ] {
            assert!(!is_accepted(text), "{text:?}");
        }
    }

    #[test]
    fn a_role_name_has_64_characters_at_most() {
        assert!(is_accepted(&format!("arn:aws:iam::123456789012:role/{}", "r".repeat(64))));
        assert!(!is_accepted(&format!("arn:aws:iam::123456789012:role/{}", "r".repeat(65))));
    }

    #[test]
    fn the_message_of_a_refused_arn_says_what_a_role_arn_looks_like() {
        let error = "reader".parse::<RoleArn>().expect_err("not an ARN");
        assert_eq!(
            error.to_string(),
            "invalid role ARN: \"reader\" is not of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>"
        );
    }

    #[test]
    fn a_project_role_is_read_in_both_spellings() {
        for role in [ProjectRole::DataOwner, ProjectRole::DataScientist, ProjectRole::All] {
            assert_eq!(role.display_name().parse::<ProjectRole>().expect("display name"), role);
            assert_eq!(role.query_name().parse::<ProjectRole>().expect("query name"), role);
        }
        assert!("data owner".parse::<ProjectRole>().is_err());
    }

    #[test]
    fn the_command_line_has_a_spelling_of_its_own() {
        for role in [ProjectRole::DataOwner, ProjectRole::DataScientist, ProjectRole::All] {
            assert_eq!(ProjectRole::from_command_line_name(role.command_line_name()).expect("its name"), role);
        }
        let error = ProjectRole::from_command_line_name("DATA_OWNER").expect_err("a spelling of the contract");
        assert_eq!(error.to_string(), "invalid project role: \"DATA_OWNER\" is not data-owner, data-scientist or all");
    }
}
