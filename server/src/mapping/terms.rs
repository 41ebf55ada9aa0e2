//! The terms of a role mapping: what it says about its project, apart from which one that is.

use std::fmt;
use std::str::FromStr;

use hops_credentials_core::role::{ProjectRole, RoleArn};
use hops_credentials_core::text::is_name_character;

/// The terms of a role mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
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

/// An external id that STS takes: 2 to 1224 letters, digits and characters of `_+=,.@:/-`. It is not a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalId(String);

impl ExternalId {
    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ExternalId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_legal = (2..=1224).contains(&text.len())
            && text.chars().all(|character| is_name_character(character) || ":/".contains(character));
        if is_legal {
            Ok(Self(text.to_owned()))
        } else {
            Err("an external id has 2 to 1224 letters, digits and characters of _+=,.@:/-")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_is_what_sts_takes() {
        for legal in ["ab", "9f3c-42", "a_+=,.@:/-", &"x".repeat(1224)] {
            assert_eq!(legal.parse::<ExternalId>().expect("legal").as_str(), legal);
        }
        for illegal in ["", "a", "a b", "ab\n", "ab\0", "ä9", "a*b", &"x".repeat(1225)] {
            assert!(illegal.parse::<ExternalId>().is_err(), "{illegal:?}");
        }
    }
}
