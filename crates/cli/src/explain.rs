//! `explain`: whose credentials a program started here finds, in the order in which AWS SDKs look.

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables;

use crate::output::{Failure, print_facts};

pub(crate) fn run(json: bool) -> Result<(), Failure> {
    let found = block_on(variables::explain(&Environment::now(&[])))?;
    print_facts(&[("found", Some(found))], json)
}
