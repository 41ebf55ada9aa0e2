//! The errors of the server: one type for the REST interface, the pages and the command line.
//!
//! Each kind has its HTTP status and its number in the contract (`status`). Its text is one sentence for the person who reads it: what is
//! wrong and what to do (`text`). What only the operator may see (the source of a database error) goes to the log.

mod status;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;

use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::role::{ProjectRole, RoleArn};

pub use self::text::with_sources;
use crate::database::damaged::DamagedRow;
use crate::database::error::OpenError;
use crate::error::text::database_text;

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
    #[error("{}; try again in {} s", self.reason(), .0)]
    TooManyWrongKeys(u64),
    /// As [`Error::TooManyWrongKeys`], where a cluster knows the callers.
    #[error("{}; try again in {} s", self.reason(), .0)]
    TooManyWrongLogins(u64),
    /// A connection or a request beyond a limit.
    #[error("{}; try again in a second", self.reason())]
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
    /// A row that somebody edited cannot be read, and it is the one that was asked for, or has its place. Contract code 380003.
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
    /// Another error as a member reads it, see [`Error::for_member`].
    #[error("{text}")]
    ForMember {
        /// What the member can do.
        text: String,
        /// The cause, for the log and the audit.
        source: Arc<Error>,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed. If it cannot be used at the moment, the text says why.
    #[error("{}", database_text(.0))]
    Database(#[source] Arc<sqlx::Error>),
    /// STS throttles, or the server's own calls of it are used up.
    #[error("{}; try again in {seconds} s", self.reason())]
    StsBusy {
        /// The time to wait.
        seconds: u64,
    },
    /// One member asks too often.
    #[error("{}; try again in {seconds} s", self.reason())]
    TooManyRequests {
        /// The time to wait.
        seconds: u64,
    },
    /// The server has more to do than it can.
    #[error("{}; try again in {seconds} s", self.reason())]
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
