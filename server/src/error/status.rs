//! What programs read of an error: the HTTP status, the number and the name of the contract, when to come back, the exit code.

use axum::http::StatusCode;
use hops_credentials_core::error::Error as CoreError;

use super::Error;
use crate::database::error::{is_statement_timeout, trouble};

impl Error {
    /// The HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Unauthenticated | Error::NotOfCluster => StatusCode::UNAUTHORIZED,
            Error::TooManyWrongKeys(_)
            | Error::TooManyWrongLogins(_)
            | Error::TooManyAtOnce(_)
            | Error::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::StsBusy { .. } | Error::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Database(error) if trouble(error).is_some() => StatusCode::SERVICE_UNAVAILABLE,
            Error::NotMember(_)
            | Error::LoginNotAccepted
            | Error::NotDataOwner
            | Error::NotAdmin
            | Error::RoleNotForMember { .. } => StatusCode::FORBIDDEN,
            Error::Cluster(_) => StatusCode::BAD_GATEWAY,
            Error::IllegalParameter { .. }
            | Error::InvalidArgument(_)
            | Error::NoSuchMapping(_)
            | Error::Damaged(_)
            | Error::MappingExists { .. } => StatusCode::BAD_REQUEST,
            Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Error::NoSuchPath
            | Error::NoSuchProject(_)
            | Error::NotOfDatabase { .. }
            | Error::NoSuchUser(_)
            | Error::NoSuchMember { .. } => StatusCode::NOT_FOUND,
            Error::UserExists(_) | Error::ProjectExists(_) | Error::LivesInCluster(_) | Error::OtherIdentity(_) => {
                StatusCode::CONFLICT
            }
            Error::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Error::TimedOut | Error::AuditBusy | Error::AuditSlow => StatusCode::SERVICE_UNAVAILABLE,
            Error::Assume(error) => match **error {
                CoreError::InvalidArgument { .. } | CoreError::NotConfigured { .. } | CoreError::Refused { .. } => {
                    StatusCode::BAD_REQUEST
                }
                CoreError::Unavailable { .. } | CoreError::BadAnswer { .. } => StatusCode::BAD_GATEWAY,
            },
            Error::ForMember { source, .. } => source.status(),
            Error::AddressInUse(_)
            | Error::Open(_)
            | Error::Database(_)
            | Error::Panicked
            | Error::NotPrinted(_)
            | Error::System { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The seconds after which the same request may succeed, for the header `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Error::TooManyWrongKeys(seconds)
            | Error::TooManyWrongLogins(seconds)
            | Error::TooManyRequests { seconds }
            | Error::StsBusy { seconds }
            | Error::Overloaded { seconds } => Some(*seconds),
            Error::TooManyAtOnce(_) => Some(1),
            _ => (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    /// The exit code of a command: 1 when nothing has changed, 3 when the change was made.
    pub fn exit_code(&self) -> u8 {
        if let Error::NotPrinted(_) = self { 3 } else { 1 }
    }

    /// Whether the database is the reason. A statement that takes too long is not: the connection is good, and a new one would not help.
    pub fn is_of_database(&self) -> bool {
        matches!(self, Error::Database(error) if !is_statement_timeout(error))
    }

    /// The `errorCode` of the response: a number of the role-mapping contract, a number that Hopsworks uses for the same
    /// problem, or else the HTTP status.
    pub fn code(&self) -> u32 {
        match self {
            Error::ForMember { source, .. } => source.code(),
            Error::Assume(error) => match **error {
                CoreError::InvalidArgument { .. } => 120_001,
                CoreError::NotConfigured { .. }
                | CoreError::Refused { .. }
                | CoreError::Unavailable { .. }
                | CoreError::BadAnswer { .. } => 380_001,
            },
            Error::StsBusy { .. } => 380_001,
            Error::IllegalParameter { .. } | Error::InvalidArgument(_) => 120_001,
            Error::NoSuchProject(_) | Error::NotOfDatabase { .. } => 150_004,
            Error::NotDataOwner => 150_068,
            Error::NotMember(_) => 160_000,
            Error::Unauthenticated | Error::NotOfCluster => 320_013,
            Error::NotAdmin => 320_003,
            Error::LoginNotAccepted => 320_004,
            Error::RoleNotForMember { .. } => 380_002,
            Error::NoSuchMapping(_) | Error::Damaged(_) => 380_003,
            Error::MappingExists { .. } => 380_004,
            Error::TooManyWrongKeys(_)
            | Error::TooManyRequests { .. }
            | Error::Overloaded { .. }
            | Error::TooManyWrongLogins(_)
            | Error::TooManyAtOnce(_)
            | Error::AddressInUse(_)
            | Error::Cluster(_)
            | Error::LivesInCluster(_)
            | Error::OtherIdentity(_)
            | Error::TooLarge(_)
            | Error::NoSuchPath
            | Error::NoSuchUser(_)
            | Error::NoSuchMember { .. }
            | Error::UserExists(_)
            | Error::ProjectExists(_)
            | Error::MethodNotAllowed
            | Error::TimedOut
            | Error::AuditBusy
            | Error::AuditSlow
            | Error::Open(_)
            | Error::Database(_)
            | Error::Panicked
            | Error::NotPrinted(_)
            | Error::System { .. } => self.status().as_u16().into(),
        }
    }

    /// The `errorMsg` of the response: the name of the code, the same for every request.
    pub fn name(&self) -> &'static str {
        match self.code() {
            120_001 => "Illegal argument",
            150_004 => "No such project",
            150_068 => "Project role not allowed",
            160_000 => "No role in this project",
            320_003 => "Administrators only",
            320_004 => "Token not accepted",
            320_013 => "Not authenticated",
            380_001 => "Failed to assume role",
            380_002 => "Not allowed to assume this role",
            380_003 => "Role mapping not found",
            380_004 => "Role mapping already exists",
            _ => self.status().canonical_reason().unwrap_or("Error"),
        }
    }
}
