//! How Python workers on a Spark executor are led to an endpoint: the table of effects in words, for a host without the core.

use std::fmt::{self, Display, Formatter};

use super::table::{Effect, TABLE};
use crate::base_identity::{
    BOTO_CONFIG, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL, HANDED_ON, ISSUED, PROFILE_FILES,
};

/// Tells our own Python package that the endpoint is that of a Spark executor, which has every role of the application.
pub(super) const EXECUTOR: &str = "HOPS_CREDENTIALS_EXECUTOR";

/// What happens to a variable where a host leads programs to an endpoint and has the core elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointChange {
    /// It gets the URL of the endpoint.
    Url,
    /// It gets the token.
    Token,
    /// It gets the path of the file that holds the token.
    TokenFile,
    /// It gets the address of the endpoint beside what it holds.
    NoProxy,
    /// It names a file that holds nothing.
    EmptyFile,
    /// It gets what another variable held before, if it held anything.
    ValueOf(&'static str),
    /// It is removed.
    Removed,
}

impl Display for EndpointChange {
    /// Writes the word that the host understands.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => formatter.write_str("url"),
            Self::Token => formatter.write_str("token"),
            Self::TokenFile => formatter.write_str("token-file"),
            Self::NoProxy => formatter.write_str("no-proxy"),
            Self::EmptyFile => formatter.write_str("empty-file"),
            Self::ValueOf(name) => write!(formatter, "value-of:{name}"),
            Self::Removed => formatter.write_str("removed"),
        }
    }
}

/// The changes by which Python workers on a Spark executor find an endpoint, in order. They hold whatever the environment holds, since
/// an executor has no native library to decide; so files that some readers prefer to an endpoint do not count for them.
pub fn changes_for_workers() -> impl Iterator<Item = (&'static str, EndpointChange)> {
    let files = PROFILE_FILES.into_iter().chain([BOTO_CONFIG]).map(|name| (name, EndpointChange::EmptyFile));
    let variables = TABLE.iter().filter(|variable| variable.name != BOTO_CONFIG).filter_map(|variable| {
        let change = match variable.with_endpoint {
            Effect::Set => match variable.name {
                ISSUED | CONTAINER_URL => EndpointChange::Url,
                CONTAINER_TOKEN => EndpointChange::Token,
                CONTAINER_TOKEN_FILE => EndpointChange::TokenFile,
                _ => EndpointChange::NoProxy,
            },
            Effect::Removed | Effect::WithoutCredentials => EndpointChange::Removed,
            Effect::HandedOn => EndpointChange::ValueOf(HANDED_ON.iter().find(|(_, on)| *on == variable.name)?.0),
            Effect::Left | Effect::Carried | Effect::RemovedIfOurs => return None,
        };
        Some((variable.name, change))
    });
    [(EXECUTOR, EndpointChange::Url)].into_iter().chain(files).chain(variables)
}
