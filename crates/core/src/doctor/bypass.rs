//! The check whether a job can do without role mappings, because it reaches a base identity that may assume their roles.
//!
//! A job chooses its own variables, so each place is looked at by itself, whatever they say. What could not be looked at
//! is said, and never counts as absent.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Finding, try_role};
use crate::base_identity::{BaseProvider, Environment, Place, places, region};
use crate::error::Error;
use crate::role::RoleMapping;
use crate::settings::Settings;
use crate::sts::Sts;

const CHECK: &str = "bypass";
/// The time for one answer about a place: those of the command line take less, and a job waits for all of them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// The time for all places.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Looks for a base identity in every place, and tries the roles with it.
pub(super) async fn examine(settings: &Settings, environment: &Environment, mappings: &[RoleMapping]) -> Finding {
    let partition = mappings.first().map_or("aws", |mapping| mapping.role.partition());
    // A job can set a region itself, so a missing one is not a protection.
    let environment = environment.with_region(region::of_partition(partition));
    let (places, mut unseen) = places(&environment).await;
    let mut harmless = Vec::new();
    let end = Instant::now() + TIMEOUT;
    for place in places {
        let looked = timeout_at(end, look(settings, &place, mappings)).await;
        let Ok(looked) = looked else {
            unseen.push(format!("{}, since other places took {} s", place.label, TIMEOUT.as_secs()));
            continue;
        };
        match looked {
            Ok(Found::MayAssume(problem)) => return Finding::problem(CHECK, problem),
            Ok(Found::MayAssumeNone(arn)) if harmless.contains(&arn) => {}
            Ok(Found::MayAssumeNone(arn)) => harmless.push(arn),
            Ok(Found::Nothing) => {}
            Err(error) => unseen.push(format!("{}, since {error}", place.label)),
        }
    }
    let mut text = match harmless.as_slice() {
        [] if unseen.is_empty() => "this job reaches no base identity of its own".to_owned(),
        [] => "this job reaches no base identity where it could be looked for".to_owned(),
        found => format!("this job reaches {}, which may assume none of the mapped roles", found.join(" and ")),
    };
    if !unseen.is_empty() {
        text.push_str(&format!("; not checked: {}", unseen.join("; ")));
    }
    Finding::good(CHECK, text)
}

enum Found {
    /// There is an identity, and it may assume a role: the whole finding.
    MayAssume(String),
    /// There is this identity, and it may not.
    MayAssumeNone(String),
    Nothing,
}

async fn look(settings: &Settings, place: &Place, mappings: &[RoleMapping]) -> Result<Found, Error> {
    let sts = Sts::new(settings, &place.environment)?.with_timeout(ANSWER_TIMEOUT);
    let identity = match sts.base_identity().await {
        Ok(identity) => identity,
        Err(Error::NotConfigured { .. }) if place.may_be_absent => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    for mapping in mappings {
        if try_role(&sts, mapping).await.is_ok() {
            return Ok(Found::MayAssume(format!(
                "this job can bypass its role mappings: it reaches {} ({}), which may itself assume {}; {}",
                identity.arn,
                place.label,
                mapping.role,
                protection(identity.provider)
            )));
        }
    }
    Ok(Found::MayAssumeNone(identity.arn))
}

/// The advice on how to keep a base identity from jobs.
fn protection(provider: BaseProvider) -> &'static str {
    match provider {
        BaseProvider::Environment => {
            "remove AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from the environment of jobs"
        }
        BaseProvider::Profile => "remove ~/.aws/credentials, ~/.aws/config and AWS_PROFILE from where jobs run",
        BaseProvider::WebIdentity => {
            "run jobs under a service account without a role: no AWS_WEB_IDENTITY_TOKEN_FILE in their environment"
        }
        BaseProvider::Container => {
            "take the role away from the container of the jobs: no AWS_CONTAINER_CREDENTIALS_* in their environment"
        }
        BaseProvider::InstanceProfile => {
            "keep the instance profile on the server's machine only, or set the metadata hop limit to 1 and block \
             169.254.169.254 for jobs"
        }
    }
}
