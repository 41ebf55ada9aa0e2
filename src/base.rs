//! The base identity: whose credentials call AssumeRole.
//!
//! It is what the process had *before we wrote anything*. The bindings write the credentials of a role into the
//! environment; if the AWS chain read them back, a role would have to assume itself. So the AWS_* variables are kept as
//! they were at first use, and a triple whose access key id stands in [`ISSUED`] is ours and never the base.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use zeroize::Zeroizing;

/// The variable in which the bindings write, beside `AWS_*`, the access key id of the credentials they put there.
pub const ISSUED: &str = "HOPS_CREDENTIALS_ISSUED";

/// Where the base identity was found, in the order in which it is looked for.
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
    /// How people read it.
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

/// Whose credentials call AssumeRole, as STS sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseIdentity {
    /// Where it was found.
    pub provider: BaseProvider,
    /// Whether it is itself a role; then AWS ends every session after one hour.
    pub is_role: bool,
    /// `arn:aws:sts::123456789012:assumed-role/hop/i-0abc`, as GetCallerIdentity answers.
    pub arn: String,
    /// The twelve digits of its account.
    pub account: String,
}

/// The variables that decide the base identity, as they were before we wrote anything. `Debug` shows names only.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, Zeroizing<String>>,
}

static AT_FIRST_USE: OnceLock<Environment> = OnceLock::new();

impl Environment {
    /// What this process had when the core was first used. Every later call answers the same.
    pub fn at_first_use() -> &'static Environment {
        AT_FIRST_USE.get_or_init(|| {
            Environment::of(
                std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
            )
        })
    }

    /// Takes what another copy of the library in this process kept ([`Environment::saved`]), because that copy may have
    /// written already. Without effect once this copy has looked itself.
    pub fn adopt(saved: Vec<(String, String)>) {
        AT_FIRST_USE.get_or_init(|| Environment::of(saved));
    }

    /// Keeps, of these variables, those that decide the base identity.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
        Self { variables }
    }

    /// Everything kept, to hand over to another copy of the library in this process. Holds secrets.
    pub fn saved(&self) -> Vec<(String, Zeroizing<String>)> {
        self.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}
