//! The providers of the AWS chain, one of which gives the base identity.

use std::fmt;

/// A provider of the base identity, in the order in which the chain asks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BaseProvider {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile of `~/.aws/config` or `~/.aws/credentials`.
    Profile,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`: a service account of EKS.
    WebIdentity,
    /// `AWS_CONTAINER_CREDENTIALS_*`: an ECS task or EKS Pod Identity.
    Container,
    /// The instance metadata service of EC2.
    InstanceProfile,
}

impl BaseProvider {
    /// The name for people.
    pub fn display_name(self) -> &'static str {
        match self {
            BaseProvider::Environment => "environment",
            BaseProvider::Profile => "profile",
            BaseProvider::WebIdentity => "web identity",
            BaseProvider::Container => "container",
            BaseProvider::InstanceProfile => "instance profile",
        }
    }
}

impl fmt::Display for BaseProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.display_name())
    }
}
