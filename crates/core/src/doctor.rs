//! The checks that find what keeps roles from being assumed: settings, server, login, clock, base identity.
//!
//! These checks need no Spark; a binding adds findings that only its host can make. The doctor changes nothing, and
//! drops the credentials that STS issues to it.

mod bypass;

use std::fmt;

use crate::base_identity::Environment;
use crate::error::Error;
use crate::hopsworks::Hopsworks;
use crate::request::{Extras, SessionDuration, SessionName};
use crate::role::RoleMapping;
use crate::settings::{PROJECT_ID, Settings};
use crate::source::Source;
use crate::sts::Sts;

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check: `clock`, `endpoint`, …
    pub check: String,
    /// Whether everything is as it should be.
    pub is_good: bool,
    /// The result; for a problem its cause and, after a semicolon, what to do.
    pub text: String,
}

impl Finding {
    /// A finding that all is well.
    pub fn good(check: &str, text: impl Into<String>) -> Self {
        Self { check: check.to_owned(), is_good: true, text: text.into() }
    }

    /// A finding that somebody must act on; `text` says why and how.
    pub fn problem(check: &str, text: impl Into<String>) -> Self {
        Self { check: check.to_owned(), is_good: false, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_good { "ok" } else { "PROBLEM" };
        write!(formatter, "{state:<8}{}: {}", self.check, self.text)
    }
}

/// The findings for people: a line each, and one that counts the problems.
pub fn report(findings: &[Finding]) -> String {
    let mut lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    lines.push(match findings.iter().filter(|finding| !finding.is_good).count() {
        0 => "no problem found".to_owned(),
        1 => "1 problem found".to_owned(),
        count => format!("{count} problems found"),
    });
    lines.join("\n")
}

/// Runs the checks that do not depend on the host. Takes up to a minute when something does not answer.
pub async fn examine(settings: &Settings, environment: &Environment) -> Vec<Finding> {
    let source = match Source::from_settings(settings, environment) {
        Ok(source) => source,
        Err(error) => return vec![Finding::problem("settings", error.to_string())],
    };
    let mut findings = vec![Finding::good("settings", format!("roles come from {source}"))];
    match &source {
        Source::Hopsworks(hopsworks) => {
            let mappings = examine_server(hopsworks, &mut findings).await;
            findings.push(bypass::examine(settings, environment, &mappings).await);
        }
        Source::Sts(_) => examine_sts(settings, environment, &source, &mut findings).await,
    }
    findings.extend(source.take_warnings().into_iter().map(|warning| Finding::problem("network", warning)));
    findings
}

/// Asks the server for the role mappings. An answer shows that endpoint, login, project and feature are right.
async fn examine_server(hopsworks: &Hopsworks, findings: &mut Vec<Finding>) -> Vec<RoleMapping> {
    let (mappings, skew) = match hopsworks.list_with_skew().await {
        Ok(listed) => listed,
        Err(error) => {
            findings.push(Finding::problem(check_of_error(&error), error.to_string()));
            return Vec::new();
        }
    };
    findings.push(Finding::good("endpoint", "the server answers, and takes this login for this project"));
    findings.push(match mappings.len() {
        0 => Finding::problem(
            "feature",
            format!("no role is mapped to the project; ask the administrator to map one, or correct {PROJECT_ID}"),
        ),
        count => Finding::good("feature", format!("cloud roles are enabled, mapped to the project: {count}")),
    });
    findings.push(match skew {
        Some(skew) => Finding::problem("clock", skew),
        None => Finding::good("clock", "this machine and the server agree within 5 minutes"),
    });
    mappings
}

/// The check that an error of the server belongs to.
fn check_of_error(error: &Error) -> &'static str {
    match error.code() {
        380_000 => "feature",
        401 => "login",
        403 => "project",
        _ => match error {
            Error::NotConfigured { .. } | Error::InvalidArgument { .. } => "login",
            Error::Refused { .. } | Error::Unavailable { .. } | Error::BadAnswer { .. } => "endpoint",
        },
    }
}

async fn examine_sts(settings: &Settings, environment: &Environment, source: &Source, findings: &mut Vec<Finding>) {
    let sts = match Sts::new(settings, environment) {
        Ok(sts) => sts,
        Err(error) => return findings.push(Finding::problem("network", error.to_string())),
    };
    match sts.base_identity().await {
        Ok(identity) => {
            let text = format!("{} ({})", identity.arn, identity.provider);
            findings.push(Finding::good("base identity", text));
        }
        Err(error) => return findings.push(Finding::problem("base identity", error.to_string())),
    }
    let mappings = match source.role_mappings().await {
        Ok(mappings) => mappings,
        Err(error) => return findings.push(Finding::problem("roles", error.to_string())),
    };
    for mapping in &mappings {
        findings.push(match try_role(&sts, mapping).await {
            Ok(()) => Finding::good("roles", format!("{} can be assumed", mapping.role)),
            Err(error) => Finding::problem("roles", error.to_string()),
        });
    }
}

async fn try_role(sts: &Sts, mapping: &RoleMapping) -> Result<(), Error> {
    let (session_name, duration) = (SessionName::from_parts("hops", "doctor"), SessionDuration::default());
    sts.assume_role(&mapping.role, &session_name, duration, &Extras::default()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::block_on;

    #[test]
    fn a_report_has_a_line_for_each_finding_and_counts_the_problems() {
        let good = Finding::good("clock", "right");
        let bad = Finding::problem("endpoint", "nobody answers; start the server");
        assert_eq!(
            report(&[good.clone(), bad.clone()]),
            "ok      clock: right\nPROBLEM endpoint: nobody answers; start the server\n1 problem found"
        );
        assert_eq!(report(&[good]), "ok      clock: right\nno problem found");
        assert!(report(&[bad.clone(), bad]).ends_with("\n2 problems found"));
    }

    #[test]
    fn unusable_settings_are_the_only_finding() {
        let settings = Settings::new([], []).with_environment([("REST_ENDPOINT".to_owned(), "hops".to_owned())]);
        let found = block_on(async { Ok(examine(&settings, &Environment::from_pairs([])).await) }).expect("a runtime");
        let expected = "hopsworks.restendpoint / REST_ENDPOINT is set, but hopsworks.projectid / HOPSWORKS_PROJECT_ID \
                        is not; set hopsworks.projectid / HOPSWORKS_PROJECT_ID to the number of the project";
        assert_eq!(found, [Finding::problem("settings", expected)]);
    }
}
