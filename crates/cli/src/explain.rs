//! `explain`: whose credentials a program started here finds, in the order in which AWS SDKs look.

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables;
use serde_json::json;

use crate::output::{Failure, print};

pub(crate) fn run(json: bool) -> Result<(), Failure> {
    let found = block_on(variables::explain(&Environment::now(&[])))?;
    if json {
        return print(&json!({ "found": found.kind, "name": found.name, "isOurs": found.is_ours() }).to_string());
    }
    print(&format!("found\t{found}"))
}
