//! The errors that keep credentials from coming back.
//!
//! Each kind names who can act on it. A message is one sentence: what was attempted, what came back (a code and a
//! message, never a body), and what to do. It holds no secret and does not repeat the source of the error.

use std::error::Error as StdError;

/// An error of a library, kept as the source of ours.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The reason why no credentials came back. Each kind names who can act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller: no service would accept this argument. Nothing was sent.
    #[error("invalid {field}: {reason}")]
    InvalidArgument {
        /// The argument, in the caller's words: `role ARN`, `session name`, `duration`.
        field: &'static str,
        /// The fault, and what would be right.
        reason: String,
    },
    /// The operator: a setting is missing, contradicts another one or cannot be used. Nothing was sent, except to find
    /// a base identity.
    #[error("{problem}; {remedy}")]
    NotConfigured {
        /// The fault: what is missing or unusable.
        problem: String,
        /// The advice to the person who can act.
        remedy: String,
        /// The library error behind it, if any.
        source: Option<BoxError>,
    },
    /// The administrator: the service understood the request and refused it.
    #[error("{attempted} was refused: {answer}; {remedy}")]
    Refused {
        /// The request and its target: `assuming role arn:… at https://…`.
        attempted: String,
        /// The code of the role-mapping contract, 380000 to 380004, else the HTTP status.
        code: u32,
        /// Code and message as the service sent them.
        answer: String,
        /// The advice to the person who can act.
        remedy: String,
        /// Whether it said no to this role, see [`Error::withdraws`].
        withdraws: bool,
    },
    /// Nobody yet: the same request may succeed later.
    #[error("{attempted} failed: {problem}; {remedy}")]
    Unavailable {
        /// The request and its target.
        attempted: String,
        /// The HTTP status if there was an answer, else 0.
        code: u32,
        /// The fault: no connection, no answer in time, throttling, a temporary fault of the service.
        problem: String,
        /// The advice in case the fault lasts.
        remedy: String,
        /// The library error behind it, if any.
        source: Option<BoxError>,
    },
    /// The service's operator, or us: the answer is not what the contract says.
    #[error("{attempted} failed: {problem}; {remedy}")]
    BadAnswer {
        /// The request and its target.
        attempted: String,
        /// The HTTP status of the answer.
        code: u32,
        /// The fault of the answer, never the answer itself.
        problem: String,
        /// The advice to the person who can act.
        remedy: String,
        /// The library error behind it, if any and if its text cannot repeat the answer.
        source: Option<BoxError>,
    },
}

/// The errors below `error`, outermost first.
pub fn causes<'error>(
    error: &'error (dyn StdError + 'static),
) -> impl Iterator<Item = &'error (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

impl Error {
    /// The code of the role-mapping contract, 380000 to 380004, else the HTTP status of the answer, else 0.
    pub fn code(&self) -> u32 {
        match self {
            Error::InvalidArgument { .. } | Error::NotConfigured { .. } => 0,
            Error::Refused { code, .. } | Error::Unavailable { code, .. } | Error::BadAnswer { code, .. } => *code,
        }
    }

    /// The name of the kind, for hosts that have a class for each.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::InvalidArgument { .. } => "InvalidArgument",
            Error::NotConfigured { .. } => "NotConfigured",
            Error::Refused { .. } => "Refused",
            Error::Unavailable { .. } => "Unavailable",
            Error::BadAnswer { .. } => "BadAnswer",
        }
    }

    /// Whether the service refused because there were too many requests: a refusal that a later request may not get.
    pub fn is_throttling(&self) -> bool {
        matches!(self, Error::Unavailable { code: 400..=499, .. })
    }

    /// Whether what the same source gave for this role earlier must not be used any more, because it now says no to the
    /// role itself: STS denies it to this base identity, its mapping is gone, or the caller has left the project.
    ///
    /// After any other error, whoever can act on it, a host uses what it has to the end and asks again after
    /// [`renewal::retry_after`](crate::renewal::retry_after).
    pub fn withdraws(&self) -> bool {
        match self {
            Error::Refused { withdraws, .. } => *withdraws,
            Error::InvalidArgument { .. }
            | Error::NotConfigured { .. }
            | Error::Unavailable { .. }
            | Error::BadAnswer { .. } => false,
        }
    }

    /// Whether the same request may succeed later although nobody changes anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Unavailable { .. } => true,
            Error::InvalidArgument { .. }
            | Error::NotConfigured { .. }
            | Error::Refused { .. }
            | Error::BadAnswer { .. } => false,
        }
    }
}
