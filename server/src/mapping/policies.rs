//! The two IAM policies that a role mapping needs, filled in.
//!
//! AWS requires both: a policy of the base identity that allows `sts:AssumeRole` on the role, and a trust policy of the role
//! that names the base identity. When AWS refuses, it does not say which one is missing.

use hops_credentials_core::base_identity::BaseIdentity;
use hops_credentials_core::request::Extras;
use hops_credentials_core::role::RoleArn;
use serde::Serialize;

/// The two policies, and where each one belongs.
pub struct Policies {
    /// The principal behind the base identity, which gets the first policy.
    pub principal: String,
    /// The account of the base identity.
    pub base_account: String,
    /// The policy of the base identity.
    pub permission: String,
    /// The role, which gets the second policy.
    pub role: String,
    /// The account of the role.
    pub role_account: String,
    /// The trust policy of the role.
    pub trust: String,
    /// Whether the two accounts differ.
    pub is_cross_account: bool,
    /// Whether the principal is the role behind a session. The ARN of a session does not contain the path of its role.
    pub may_have_path: bool,
}

impl Policies {
    /// Writes the policies with which `identity` may assume `role` with these extras. Both policies have to allow a source identity;
    /// the trust policy may ask for the external id.
    ///
    /// Source: IAM user guide, "Monitor and control actions taken with assumed roles", permissions required.
    pub fn new(identity: &BaseIdentity, role: &RoleArn, extras: &Extras) -> Self {
        let principal = to_principal(&identity.arn);
        let action = match extras.source_identity {
            None => Action::One(ASSUME_ROLE),
            Some(_) => Action::Two([ASSUME_ROLE, "sts:SetSourceIdentity"]),
        };
        let allow = || Statement { effect: "Allow", principal: None, action, resource: None, condition: None };
        let permission = Statement { resource: Some(role.as_str()), ..allow() };
        let condition =
            extras.external_id.as_deref().map(|external_id| Condition { string_equals: StringEquals { external_id } });
        let trust = Statement { principal: Some(Principal { aws: &principal }), condition, ..allow() };
        let (permission, trust) = (to_json(permission), to_json(trust));
        Self {
            may_have_path: principal != identity.arn,
            principal,
            base_account: identity.account.clone(),
            permission,
            role: role.to_string(),
            role_account: role.account().to_owned(),
            trust,
            is_cross_account: identity.account != role.account(),
        }
    }
}

/// Returns the principal that a trust policy names. For a session of a role it is the role itself, because tomorrow's session
/// has another name.
///
/// Source: IAM user guide, "AWS JSON policy elements: Principal".
fn to_principal(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        [_, partition, "sts", _, account, resource] if resource.starts_with("assumed-role/") => {
            let name = resource.split('/').nth(1).unwrap_or_default();
            format!("arn:{partition}:iam::{account}:role/{name}")
        }
        _ => arn.to_owned(),
    }
}

/// A policy with its fields in the usual order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: &'static str,
    statement: [Statement<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Principal<'a>>,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition<'a>>,
}

const ASSUME_ROLE: &str = "sts:AssumeRole";

#[derive(Serialize, Clone, Copy)]
#[serde(untagged)]
enum Action {
    One(&'static str),
    Two([&'static str; 2]),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Condition<'a> {
    string_equals: StringEquals<'a>,
}

#[derive(Serialize)]
struct StringEquals<'a> {
    #[serde(rename = "sts:ExternalId")]
    external_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Principal<'a> {
    aws: &'a str,
}

fn to_json(statement: Statement) -> String {
    serde_json::to_string_pretty(&Document { version: "2012-10-17", statement: [statement] })
        .expect("serializing text cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hops_credentials_core::base_identity::BaseProvider;

    fn policies(arn: &str, account: &str) -> Policies {
        policies_with(arn, account, &Extras::default())
    }

    fn policies_with(arn: &str, account: &str, extras: &Extras) -> Policies {
        let identity = BaseIdentity {
            provider: BaseProvider::InstanceProfile,
            is_role: true,
            arn: arn.to_owned(),
            account: account.to_owned(),
        };
        Policies::new(&identity, &"arn:aws:iam::111111111111:role/data/reader".parse().expect("a role ARN"), extras)
    }

    #[test]
    fn both_policies_allow_a_source_identity_and_the_trust_policy_asks_for_the_external_id() {
        let extras = Extras {
            external_id: Some("tenant-7".to_owned()),
            source_identity: Some("ada@example.org".to_owned()),
            ..Extras::default()
        };
        let policies = policies_with("arn:aws:iam::111111111111:user/ci", "111111111111", &extras);
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        let actions = r#""Action":["sts:AssumeRole","sts:SetSourceIdentity"]"#;
        assert!(squeezed(&policies.permission).contains(actions), "{}", policies.permission);
        assert!(!policies.permission.contains("tenant-7"), "{}", policies.permission);
        let trust = squeezed(&policies.trust);
        let condition = r#""Condition":{"StringEquals":{"sts:ExternalId":"tenant-7"}}"#;
        assert!(trust.contains(actions) && trust.contains(condition), "{trust}");
    }

    #[test]
    fn the_trust_policy_names_the_role_behind_a_session() {
        let policies = policies("arn:aws:sts::222222222222:assumed-role/hop/i-0abc", "222222222222");
        assert_eq!(policies.principal, "arn:aws:iam::222222222222:role/hop");
        assert!(policies.may_have_path && policies.is_cross_account);
        assert_eq!(
            policies.trust.split_whitespace().collect::<String>(),
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:role/hop"},"Action":"sts:AssumeRole"}]}"#
        );
        assert_eq!(
            policies.permission.split_whitespace().collect::<String>(),
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111111111111:role/data/reader"}]}"#
        );
    }

    #[test]
    fn the_trust_policy_names_a_user_as_it_is_and_keeps_the_partition() {
        let user = policies("arn:aws:iam::111111111111:user/ops/ci", "111111111111");
        assert_eq!(user.principal, "arn:aws:iam::111111111111:user/ops/ci");
        assert!(!user.may_have_path && !user.is_cross_account);
        let china = policies("arn:aws-cn:sts::222222222222:assumed-role/hop/s", "222222222222");
        assert_eq!(china.principal, "arn:aws-cn:iam::222222222222:role/hop");
    }
}
