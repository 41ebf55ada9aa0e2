//! `explain`: whose credentials a program started here finds, by the order in which AWS SDKs look.

use super::{Failure, print_facts};
use crate::base::{Environment, default_profile_with_credentials};
use crate::block::block_on;
use crate::variables;

pub(super) fn explain(json: bool) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let profile = block_on(default_profile_with_credentials(&environment))?;
    let found = variables::found(|name| std::env::var(name).ok(), profile.as_deref());
    print_facts(&[("found", found)], json)
}
