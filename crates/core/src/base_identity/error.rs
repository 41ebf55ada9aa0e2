//! The errors of the search for a base identity, and what to do about them.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ConnectorError, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use super::environment::{Environment, METADATA_URL, WEB_IDENTITY_TOKEN_FILE};
use super::metadata::Absence;
use super::profile;
use crate::aws_error::{self, NO_ANSWER, StsCall};
use crate::error::{Error, causes};
use crate::text::quoted;

/// The advice for a process that was started by one that assumed a role.
pub(super) const REMEDY_WITHOUT_BASE: &str = "call assumeRole in the process that has the base identity, or give this \
     one its own (AWS_PROFILE, a service account, a container or an instance profile)";
pub(super) const ATTEMPTED: &str = "loading the base identity";

/// The longest description of causes in a message.
const MAX_DESCRIPTION_CHARACTERS: usize = 400;

/// The error when no provider of the chain has a base identity.
pub(super) fn not_found(environment: &Environment, profile: &str, absence: &Absence) -> Error {
    let remedy_elsewhere = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a service \
                            account, a container or an instance profile gives an identity";
    if let Absence::Damaged = absence {
        return Error::BadAnswer {
            attempted: ATTEMPTED.to_owned(),
            code: 200,
            problem: absence.to_string(),
            remedy: format!("check what answers at {METADATA_URL}"),
            source: None,
        };
    }
    if let Some(error) = busy(absence, "") {
        return error;
    }
    if let Some(issued) = environment.inherited_mark() {
        return Error::NotConfigured {
            problem: format!(
                "this process has no base identity of its own: its environment holds only credentials that were issued \
                 for a role ({issued}), and {absence}"
            ),
            remedy: REMEDY_WITHOUT_BASE.to_owned(),
            source: None,
        };
    }
    let hop_limit = match absence {
        Absence::Silent(..) if environment.is_container() => {
            "; in a container on EC2 the answer needs a second hop: aws ec2 modify-instance-metadata-options \
             --instance-id <id> --http-put-response-hop-limit 2"
        }
        Absence::Silent(..)
        | Absence::Slow(..)
        | Absence::Disabled
        | Absence::NoRole
        | Absence::Answered(_)
        | Absence::Damaged => "",
    };
    Error::NotConfigured {
        problem: format!(
            "no base identity to call STS with: AWS_ACCESS_KEY_ID is not set, the profile {} has no credentials, there \
             is no web identity and no container identity, and {absence}",
            quoted(profile)
        ),
        remedy: format!("{remedy_elsewhere}{hop_limit}"),
        source: None,
    }
}

/// The error when the instance metadata service is there and cannot answer at the moment. `or` is what else helps.
fn busy(absence: &Absence, or: &str) -> Option<Error> {
    let status = absence.passing_status()?;
    let remedy = match absence {
        Absence::Slow(..) => "give it more time by AWS_METADATA_SERVICE_TIMEOUT, in seconds",
        _ => "check the instance metadata service if it lasts",
    };
    Some(Error::Unavailable {
        attempted: ATTEMPTED.to_owned(),
        code: status.into(),
        problem: absence.to_string(),
        remedy: format!("{remedy}{or}"),
        source: None,
    })
}

/// The error when there is a base identity but no region to call STS in, of which the machine says this.
pub(super) fn no_region(of_machine: &Absence) -> Error {
    const SET: &str = "set AWS_REGION, for example AWS_REGION=eu-north-1";
    busy(of_machine, &format!(", or {SET}")).unwrap_or_else(|| Error::NotConfigured {
        problem: "no AWS region to call STS in".to_owned(),
        remedy: SET.to_owned(),
        source: None,
    })
}

/// The error for credentials that no header can hold. The AWS SDK panics when it signs with some of them.
pub(super) fn illegible(place: &str) -> Error {
    Error::NotConfigured {
        problem: format!(
            "the base identity ({place}) has a key or a token with a blank, a line end or another character that AWS uses in \
             none"
        ),
        remedy: "correct it, for example the line end after a key in a secret or in a file of variables".to_owned(),
        source: None,
    }
}

/// The error of a provider that is configured and failed.
pub(super) fn from_chain(environment: &Environment, profile: &str, error: CredentialsError) -> Error {
    let causes: Vec<&(dyn StdError + 'static)> = causes(&error).collect();
    for cause in &causes {
        if let Some(error) = cause.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError>>() {
            let token_file = environment.get(WEB_IDENTITY_TOKEN_FILE).unwrap_or("of the profile");
            return aws_error::from_sdk(
                format!("{ATTEMPTED} with the web identity token {token_file}"),
                StsCall::AssumeBaseRole,
                &[],
                error,
            );
        }
        if let Some(error) = cause.downcast_ref::<SdkError<AssumeRoleError>>() {
            return aws_error::from_sdk(
                format!("{ATTEMPTED} with the role of the profile {}", quoted(profile)),
                StsCall::AssumeBaseRole,
                &[],
                error,
            );
        }
    }
    let text = describe(&causes);
    if text.contains("enabled: sso") || text.contains("enabled: credentials-login") {
        return Error::NotConfigured {
            problem: format!(
                "the profile {} signs in through IAM Identity Center (sso) or a console login, which is not built in",
                quoted(profile)
            ),
            remedy: format!(
                "add a profile with `credential_process = aws configure export-credentials --profile {profile}` and \
                 name that one in AWS_PROFILE"
            ),
            source: None,
        };
    }
    match error {
        CredentialsError::InvalidConfiguration(_) | CredentialsError::CredentialsNotLoaded(_) => Error::NotConfigured {
            problem: format!("the base identity is configured and cannot be used: {text}"),
            remedy: format!(
                "correct the profile {} in ~/.aws/config and ~/.aws/credentials, or the AWS_* variables",
                quoted(profile)
            ),
            source: None,
        },
        _ => {
            let is_timeout =
                |cause: &&(dyn StdError + 'static)| cause.downcast_ref().is_some_and(ConnectorError::is_timeout);
            let problem = if causes.iter().any(is_timeout) { NO_ANSWER.to_owned() } else { text };
            unavailable(profile, problem)
        }
    }
}

/// The error when the search took too long, whichever provider it was waiting for.
pub(crate) fn timed_out(environment: &Environment) -> Error {
    unavailable(profile::profile_name(environment), NO_ANSWER.to_owned())
}

fn unavailable(profile: &str, problem: String) -> Error {
    Error::Unavailable {
        attempted: ATTEMPTED.to_owned(),
        code: 0,
        problem,
        remedy: format!(
            "check the network and what gives this process its identity: the profile {}, the web identity token or the \
             container's credentials endpoint",
            quoted(profile)
        ),
        source: None,
    }
}

/// Joins the texts of the causes, outermost first.
fn describe(causes: &[&(dyn StdError + 'static)]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        // The Display of an ImdsError prints the raw answer.
        let text = match cause.downcast_ref::<aws_config::imds::client::error::ImdsError>() {
            Some(_) => "the instance metadata service did not give the credentials of the machine".to_owned(),
            None => cause.to_string(),
        };
        let text = text.trim_end_matches('.').to_owned();
        let is_repeated = texts.iter().any(|earlier| earlier.contains(&text)) || text == "service error";
        if !is_repeated && !text.starts_with("an error occurred while loading credentials") {
            texts.push(text);
        }
    }
    let text = texts.join(": ");
    match text.char_indices().nth(MAX_DESCRIPTION_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
