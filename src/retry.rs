//! Trying again what may be tried again, and nothing else.

use std::time::Duration;

use crate::error::Error;

/// How often and for how long something is tried.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Tries, the first one included.
    pub tries: u32,
    /// For all tries and the waits between them.
    pub budget: Duration,
    /// For the answer to one try.
    pub answer: Duration,
    /// Before the second try, less jitter; it doubles with each further one.
    pub first_wait: Duration,
    /// Where the jitter comes from: at least 0, less than 1.
    pub random: fn() -> f64,
}

/// One try that brought nothing.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// The wait that the service asked for.
    pub retry_after: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}
