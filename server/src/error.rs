//! The errors of the server: one type for the REST interface, the pages and the command line.
//!
//! Each kind has its HTTP status and its number in the contract. Its text is one sentence for the person who reads it: what is
//! wrong and what to do. What only the operator may see (the source of a database error) goes to the log.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use hops_credentials_core::error::{Error as CoreError, causes};
use hops_credentials_core::role::{ProjectRole, RoleArn};

use crate::database::damaged::DamagedRow;
use crate::database::error::{OpenError, is_statement_timeout, trouble};

/// The reason why the server refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `Authorization`, one of another scheme, or an unknown key.
    #[error("the request has no valid API key; send the header \"Authorization: ApiKey <key>\"")]
    Unauthenticated,
    /// As [`Error::Unauthenticated`], where a cluster knows the callers.
    #[error(
        "the request has no login that the cluster knows; send the header \"Authorization: Bearer <JWT>\" or \
         \"Authorization: ApiKey <key>\""
    )]
    NotOfCluster,
    /// An unknown key, from an address that has sent many of them.
    #[error("too many wrong API keys came from this address; try again in {0} s")]
    TooManyWrongKeys(u64),
    /// As [`Error::TooManyWrongKeys`], where a cluster knows the callers.
    #[error("too many wrong tokens and API keys came from this address; try again in {0} s")]
    TooManyWrongLogins(u64),
    /// A connection or a request beyond a limit.
    #[error("{0}; try again in a second")]
    TooManyAtOnce(&'static str),
    /// Another program, or another server, listens there.
    #[error("cannot listen on {0}: another process does; stop it, or choose another address with --listen")]
    AddressInUse(SocketAddr),
    /// A token of the cluster that does not tell who its owner is.
    #[error(
        "the cluster does not accept this token: a JWT needs the audience api or job, an API key the scope PROJECT"
    )]
    LoginNotAccepted,
    /// The cluster failed, or the network on the way to it.
    #[error("asking the Hopsworks cluster failed: {0}; try again")]
    Cluster(String),
    /// A change of users, projects or members, which the cluster keeps.
    #[error("members live in the cluster {0}, as do users, projects and API keys; change them there")]
    LivesInCluster(String),
    /// The database belongs to another identity.
    #[error(
        "this database serves {0}; projects are known by their ids, so another identity needs a database of its own"
    )]
    OtherIdentity(String),
    /// The project does not exist or the caller is not a member of it: a stranger cannot tell which.
    #[error("you are not a member of project {0}; ask an administrator of the project to add you")]
    NotMember(i64),
    /// The member is not a data owner.
    #[error("only data owners of the project may change its default role mapping")]
    NotDataOwner,
    /// The caller is not an administrator.
    #[error("only administrators may manage role mappings")]
    NotAdmin,
    /// An illegal parameter or path segment.
    #[error("{name}: {problem}")]
    IllegalParameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with it, perhaps with the value.
        problem: String,
    },
    /// Another illegal value.
    #[error("{0}")]
    InvalidArgument(String),
    /// A body that is larger than any request needs.
    #[error("the body of the request is larger than {0} bytes")]
    TooLarge(usize),
    /// An unknown path.
    #[error("there is nothing at this path")]
    NoSuchPath,
    /// A known path, requested with another method.
    #[error("this path does not support this method; the header Allow lists those it does")]
    MethodNotAllowed,
    /// The handler took too long.
    #[error("the request took too long; try again")]
    TimedOut,
    /// Searches of the audit that others began earlier took all the time.
    #[error("other searches of the audit are running; try again in a moment")]
    AuditBusy,
    /// The audit has too many rows in the range of a search, or the database is slow.
    #[error("the search took too long; choose a shorter range of time, or try again")]
    AuditSlow,
    /// Contract code 380002.
    #[error(
        "a {project_role} of this project may not assume {role}; ask an administrator to map it to your project role"
    )]
    RoleNotForMember {
        /// The requested role.
        role: RoleArn,
        /// The caller's role in the project.
        project_role: ProjectRole,
    },
    /// Contract code 380003.
    #[error("{0}")]
    NoSuchMapping(String),
    /// A row that somebody edited stands in for what was asked for, or is in its way. Contract code 380003.
    #[error("{0}; it has to be removed or corrected first")]
    Damaged(Box<DamagedRow>),
    /// Contract code 380004.
    #[error("project {project} already has a role mapping for {role}; change or remove it")]
    MappingExists {
        /// The project's name.
        project: String,
        /// The role.
        role: RoleArn,
    },
    /// The administrator named a project that does not exist.
    #[error("there is no project {0:?}")]
    NoSuchProject(String),
    /// As [`Error::NoSuchProject`], on the command line of a database that belongs to a cluster: it knows those alone to which a role was
    /// mapped.
    #[error(
        "this database knows no project {text:?} of the cluster {url}; give the id of a project to which a role is mapped here"
    )]
    NotOfDatabase {
        /// The project as the administrator named it.
        text: String,
        /// The cluster.
        url: String,
    },
    /// The administrator named a user who does not exist.
    #[error("there is no user {0}")]
    NoSuchUser(String),
    /// `user add` of a user who exists.
    #[error("user {0} already exists")]
    UserExists(String),
    /// `project add` of a project that exists.
    #[error("project {0} already exists")]
    ProjectExists(String),
    /// `member remove` of a user who is not a member.
    #[error("{email} is not a member of project {project}")]
    NoSuchMember {
        /// The user.
        email: String,
        /// The project's name.
        project: String,
    },
    /// Contract code 380001: STS gave no credentials. The text is the core's.
    #[error(transparent)]
    Assume(Arc<CoreError>),
    /// As [`Error::Assume`], for a member: what a member can do. The source has the cause, and the advice to the operator.
    #[error("{}", member_text(.source, .request_id))]
    NotAssumed {
        /// The id of the request, by which the log and the audit tell the cause.
        request_id: String,
        /// The error of the core.
        source: Arc<CoreError>,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed. If it cannot be used at the moment, the text says why.
    #[error("{}", database_text(.0))]
    Database(#[source] Arc<sqlx::Error>),
    /// STS throttles, or the server's own calls of it are used up.
    #[error("STS takes no more calls from this server at the moment; try again in {seconds} s")]
    StsBusy {
        /// The time to wait.
        seconds: u64,
    },
    /// One member asks too often.
    #[error("too many requests for credentials; try again in {seconds} s")]
    TooManyRequests {
        /// The time to wait.
        seconds: u64,
    },
    /// The server has more to do than it can.
    #[error("the server has too much to do; try again in {seconds} s")]
    Overloaded {
        /// The time to wait.
        seconds: u64,
    },
    /// A fault of this program. The log has its place in a line before.
    #[error("the handler of the request panicked")]
    Panicked,
    /// A command made its change, and could not print what it prints about it.
    #[error("the change was made, so do not repeat it, but writing to stdout failed")]
    NotPrinted(#[source] std::io::Error),
    /// The system: the socket, the files and the signals of `serve`, or stdout.
    #[error("{attempted} failed")]
    System {
        /// The action that failed.
        attempted: String,
        /// The error of the system.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Says for a member what came of asking STS, and what to do: what is wrong with the server itself is not theirs to mend.
fn member_text(error: &CoreError, request_id: &str) -> String {
    let ask = format!("ask an administrator of the server, who finds the cause under the request id {request_id}");
    match error {
        CoreError::InvalidArgument { .. } => error.to_string(),
        // Only the caller can choose another duration.
        CoreError::Refused { attempted, answer, .. } if answer.contains("MaxSessionDuration") => {
            format!("{attempted} was refused: {answer}; ask for a shorter duration, or {ask}")
        }
        CoreError::Refused { attempted, answer, .. } if attempted.starts_with("assuming role ") => {
            format!("{attempted} was refused: {answer}; {ask}")
        }
        CoreError::Refused { .. } | CoreError::NotConfigured { .. } => {
            format!("the server has no base identity with which it could assume roles; {ask}")
        }
        CoreError::Unavailable { .. } | CoreError::BadAnswer { .. } => {
            format!("the server gets no credentials from STS at the moment; try again, and if it lasts {ask}")
        }
    }
}

/// Says what is wrong with the database, if that may pass.
fn database_text(error: &sqlx::Error) -> String {
    match trouble(error) {
        Some(trouble) => format!("the database of the server {trouble}; try again"),
        None => "the database failed".to_owned(),
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Error::Database(Arc::new(error))
    }
}

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        Error::Assume(Arc::new(error))
    }
}

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
            Error::Assume(error) | Error::NotAssumed { source: error, .. } => match **error {
                CoreError::InvalidArgument { .. } | CoreError::NotConfigured { .. } | CoreError::Refused { .. } => {
                    StatusCode::BAD_REQUEST
                }
                CoreError::Unavailable { .. } | CoreError::BadAnswer { .. } => StatusCode::BAD_GATEWAY,
            },
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

    /// The text without the time to wait, which differs from one request to the next: equal refusals are one row of the audit.
    pub fn without_wait(&self) -> String {
        let text = self.to_string();
        text.rsplit_once("; try again in ").map(|(reason, _)| reason.to_owned()).unwrap_or(text)
    }

    /// The same error for a member who asked for credentials.
    pub fn for_member(self, request_id: &str) -> Self {
        match self {
            Error::Assume(source) => Error::NotAssumed { request_id: request_id.to_owned(), source },
            other => other,
        }
    }

    /// The error for the log: with its sources, and without a word of the query or the form, which may hold a secret of the caller. What is
    /// wrong with a parameter, the caller reads in the answer.
    pub fn for_log(&self) -> String {
        let of_caller = match self {
            Error::IllegalParameter { name, .. } => (*name).to_owned(),
            Error::InvalidArgument(_) => "a value".to_owned(),
            Error::Assume(error) | Error::NotAssumed { source: error, .. }
                if let CoreError::InvalidArgument { field, .. } = **error =>
            {
                field.to_owned()
            }
            Error::NoSuchMapping(_)
            | Error::RoleNotForMember { .. }
            | Error::MappingExists { .. }
            | Error::NoSuchProject(_)
            | Error::NoSuchUser(_)
            | Error::UserExists(_)
            | Error::ProjectExists(_)
            | Error::NoSuchMember { .. } => return format!("{} ({})", self.name(), self.code()),
            _ => return with_sources(self),
        };
        format!("{} ({}): {of_caller}", self.name(), self.code())
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
            Error::Assume(error) | Error::NotAssumed { source: error, .. } => match **error {
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

/// The error and its sources in one line, for the operator: the log and the command line.
pub fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in causes(error) {
        let source = source.to_string();
        if !text.ends_with(&source) {
            text.push_str(": ");
            text.push_str(&source);
        }
    }
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_member_reads_nothing_that_only_an_operator_can_do() {
        let (attempted, remedy) =
            ("assuming role arn:aws:iam::1:role/r at https://sts".to_owned(), "set AWS_REGION".to_owned());
        let refused = |attempted: &str, answer: &str| CoreError::Refused {
            attempted: attempted.to_owned(),
            code: 403,
            answer: answer.to_owned(),
            remedy: remedy.clone(),
        };
        let problem = "the profile \"default\" has no credentials".to_owned();
        for (error, beginning) in [
            (
                refused(&attempted, "AccessDenied: no"),
                "assuming role arn:aws:iam::1:role/r at https://sts was refused: AccessDenied: no; ask an",
            ),
            (refused(&attempted, "ValidationError: exceeds the MaxSessionDuration"), "assuming role "),
            (
                refused("loading the base identity with the web identity token /run/token", "ExpiredToken"),
                "the server has no base identity",
            ),
            (
                CoreError::NotConfigured { problem: problem.clone(), remedy: remedy.clone(), source: None },
                "the server has no base identity",
            ),
            (
                CoreError::Unavailable {
                    attempted: attempted.clone(),
                    code: 0,
                    problem: problem.clone(),
                    remedy: remedy.clone(),
                    source: None,
                },
                "the server gets no credentials from STS at the moment; try again",
            ),
            (
                CoreError::BadAnswer {
                    attempted: attempted.clone(),
                    code: 200,
                    problem,
                    remedy: remedy.clone(),
                    source: None,
                },
                "the server gets no credentials from STS at the moment; try again",
            ),
        ] {
            let whole = error.to_string();
            let for_member = Error::from(error).for_member("id0");
            let text = for_member.to_string();
            assert!(text.starts_with(beginning) && text.ends_with("under the request id id0"), "{text}");
            for word in ["AWS_", "profile", "/run/token"] {
                assert!(!text.contains(word), "{text}");
            }
            assert!(for_member.for_log().contains(&whole), "{}", for_member.for_log());
        }
    }

    #[test]
    fn an_error_is_written_with_its_sources_in_one_line() {
        let link = |text, source: Option<Link>| Link { text, source: source.map(Box::new) };
        let last = link("line 1\nline 2", None);
        let repeated = link("refused", Some(last));
        assert_eq!(
            with_sources(&link("cannot connect: refused", Some(repeated))),
            "cannot connect: refused: line 1 line 2"
        );
    }
}
