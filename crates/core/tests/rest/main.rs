//! The client of the role-mapping contract against servers on loopback whose answers the test chooses.

mod asking;
mod bad_answers;
mod login;
mod loopback;
mod machine;
mod matrix;
mod reaching;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::error::{Error, causes};
use hops_credentials_core::hopsworks::Hopsworks;
use hops_credentials_core::retry::Retry;
use hops_credentials_core::settings::Settings;

pub(crate) const READER: &str = "arn:aws:iam::123456789012:role/reader";
pub(crate) const KEY: &str = "canary.key";

/// Returns settings of project 119 with an API key, and `more`.
pub(crate) fn settings(endpoint: &str, more: &[(&str, &str)]) -> Settings {
    let usual = [("REST_ENDPOINT", endpoint), ("HOPSWORKS_PROJECT_ID", "119"), ("API_KEY", KEY)];
    let pairs = usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::new([], []).with_environment(pairs)
}

/// Returns an environment without a base identity.
pub(crate) fn no_base() -> Environment {
    Environment::from_pairs([])
}

/// Returns a client of project 119 that hardly waits between tries.
pub(crate) fn member(endpoint: &str, more: &[(&str, &str)]) -> Hopsworks {
    Hopsworks::from_settings(&settings(endpoint, more)).expect("settings").with_retry(quick())
}

pub(crate) fn quick() -> Retry {
    Retry { first_wait: Duration::from_millis(1), ..Retry::default() }
}

/// Makes an empty directory of its own for each test.
pub(crate) fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rest-{name}"));
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("an old directory of ours");
    }
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// Returns the message with the server's address as `<server>`. Asserts that nothing of the error shows a canary.
pub(crate) fn message(error: &Error, endpoint: &str) -> String {
    let mut shown = format!("{error} {error:?}");
    for cause in causes(error) {
        shown += &format!(" {cause} {cause:?}");
    }
    assert!(!shown.contains("canary"), "a secret is shown: {shown}");
    error.to_string().replace(endpoint, "<server>")
}
