//! The instant by which a request has its answer. Every wait on the way (for the cluster, the database, STS) ends by then: a client that
//! has left would otherwise ask again, while its first request still holds a connection.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::time::Instant;

/// The longest time for a request. Clients of the contract wait 10 s, and get an answer before that.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(9);

/// The instant by which a request has its answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The deadline of a request that arrives now.
    pub fn from_now() -> Self {
        Self(Instant::now() + REQUEST_TIMEOUT)
    }

    /// The time that is left.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(*parts.extensions.get::<Self>().expect("the request log gives each request a deadline"))
    }
}
