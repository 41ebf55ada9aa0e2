//! `explain`: whose credentials a program started here finds, in the order in which AWS SDKs look.

use hops_credentials_core::base_identity::{Environment, default_profile_with_credentials};
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables;

use crate::output::{Failure, print_facts};

pub(crate) fn run(json: bool) -> Result<(), Failure> {
    let environment = Environment::from_process();
    let profile = block_on(default_profile_with_credentials(&environment))?;
    let found = variables::explain(|name| std::env::var(name).ok(), profile.as_deref());
    print_facts(&[("found", found)], json)
}
