//! The state that every handler may use.

use std::sync::Arc;

use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::sts::{IssuedCredentials, Sts};

use crate::browser_session::cookie::Cookie;
use crate::database::Database;
use crate::flights::{CredentialsKey, Flights};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::wrong_keys::WrongKeys;

/// The state that every handler may use. Clones share it.
#[derive(Debug, Clone)]
pub struct App {
    /// The database: users, projects, members, role mappings, audit.
    pub database: Database,
    /// STS with the base identity of this machine, shared by all requests.
    pub sts: Arc<Sts>,
    /// The calls to STS that several requests may share.
    pub flights: Arc<Flights<CredentialsKey, Result<IssuedCredentials, Arc<CoreError>>>>,
    /// The identity, which tells who the users are.
    pub identity: Identity,
    /// The wrong keys of each address.
    pub wrong_keys: WrongKeys,
    /// The counters of the server.
    pub metrics: Arc<Metrics>,
    /// Whether the last hop of `X-Forwarded-For` is the client's address.
    pub is_behind_proxy: bool,
    /// The cookie of the pages.
    pub cookie: Cookie,
}
