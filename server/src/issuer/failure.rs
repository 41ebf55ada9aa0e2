//! Why there are no credentials, for all who wait for them together.

use std::sync::Arc;

use hops_credentials_core::error::Error as CoreError;

use crate::error::Error;
use crate::sts_budget::Refusal;

/// The reason why there are no credentials, for all who wait for them.
#[derive(Debug, Clone)]
pub enum Failure {
    /// STS gave none.
    Sts(Arc<CoreError>),
    /// No call was left.
    Budget(Refusal),
    /// The row of the request that would have made the call could not be written.
    Database(Arc<sqlx::Error>),
    /// There were too many rows to be written.
    Overloaded,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sts(error) => Error::Assume(error),
            Failure::Budget(Refusal::Member(wait)) => Error::TooManyRequests { seconds: wait.as_secs() + 1 },
            Failure::Budget(Refusal::Account(wait)) => Error::StsBusy { seconds: wait.as_secs() + 1 },
            Failure::Database(error) => Error::Database(error),
            Failure::Overloaded => Error::Overloaded { seconds: 1 },
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Budget(refusal)
    }
}
