//! The state that every handler may use.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::audit::recorder::Recorder;
use crate::browser_session::cookie::Cookie;
use crate::database::Database;
use crate::http::address_limit::AddressLimit;
use crate::identity::Identity;
use crate::issuer::Issuer;
use crate::metrics::Metrics;
use crate::pages::base_identity::PanelCache;
use crate::wrong_keys::WrongKeys;

/// The state that every handler may use. Clones share it.
#[derive(Debug, Clone)]
pub struct App {
    /// The database: users, projects, members, role mappings, audit.
    pub database: Database,
    /// The issuer of credentials, who alone calls STS.
    pub issuer: Arc<Issuer>,
    /// The recorder of requests for credentials.
    pub recorder: Recorder,
    /// The identity, which tells who the users are.
    pub identity: Identity,
    /// The wrong keys of each address.
    pub wrong_keys: WrongKeys,
    /// The answer of STS that views of the base identity share.
    pub base_identity_panel: PanelCache,
    /// The turn to search the audit. One searches at a time, so that searches never take the connections away from others.
    pub audit_turn: Arc<Semaphore>,
    /// The requests under way.
    pub requests: AddressLimit,
    /// Those of them that may change something.
    pub changes: AddressLimit,
    /// The counters of the server.
    pub metrics: Arc<Metrics>,
    /// Whether the last hop of `X-Forwarded-For` is the client's address.
    pub is_behind_proxy: bool,
    /// Whether STS gets the member's e-mail address as source identity with every role mapping.
    pub source_identity: bool,
    /// The cookie of the pages.
    pub cookie: Cookie,
}
