//! `doctor`: what is wrong, and what to do about it.

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::doctor::{examine, report};
use hops_credentials_core::settings::Settings;
use serde_json::{Value, json};

use crate::output::{Failure, print};

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let findings = block_on(async { Ok(examine(settings, &Environment::now(&[])).await) })?;
    if json {
        let rows = findings
            .iter()
            .map(|finding| json!({ "check": finding.check, "good": finding.is_good, "text": finding.text }));
        print(&Value::from_iter(rows).to_string())?;
    } else {
        print(&report(&findings))?
    }
    if findings.iter().all(|finding| finding.is_good) { Ok(()) } else { Err(Failure::Code(1)) }
}
