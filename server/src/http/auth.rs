//! Callers, and what they may do. A permission is an extractor: only a data owner reaches a handler that takes a
//! [`DataOwner`]. Each request is authorised by itself, against the present state of the database, or by the cluster.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use hops_credentials_core::role::{ProjectRole, RoleArn};

use crate::api_key;
use crate::app::App;
use crate::audit::Actor;
use crate::error::Error;
use crate::http::listen::Peer;
use crate::http::parameters::{Parameters, ProjectId};
use crate::http::request_log::{Recognised, RequestId};
use crate::identity::Identity;
use crate::identity::cluster_client::Asker;
use crate::identity::login::Login;
use crate::mapping::wanted::{MemberView, ProjectMappings, Wanted};
use crate::member;
use crate::project::Project;
use crate::user::{Membership, User};

/// A caller with a valid API key or a token of the cluster.
pub struct Caller {
    /// The user.
    pub user: User,
    /// The caller as the audit names them.
    pub actor: Actor,
    /// The client's address.
    pub address: IpAddr,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let login = Login::from_headers(&parts.headers);
        if login.is_none() && !parts.headers.contains_key(AUTHORIZATION) {
            return Err(app.identity.no_login());
        }
        let (user, _) = authenticate(app, parts, login).await?;
        Ok(Self::new(app, parts, user))
    }
}

impl Caller {
    /// Whether this is a user of this database, and not of a cluster.
    pub fn is_local_user(&self) -> bool {
        match self.user.membership {
            Membership::Stored(_) => true,
            Membership::FromCluster(_) => false,
        }
    }

    /// Makes the user the caller of this request.
    pub fn new(app: &App, parts: &Parts, user: User) -> Self {
        let name = user.email.to_string();
        recognise(parts, &name);
        Self { user, actor: actor(app, parts, name), address: client_address(app, parts) }
    }
}

/// Names who makes this request, for the audit.
pub fn actor(app: &App, parts: &Parts, name: String) -> Actor {
    let request_id = parts.extensions.get::<RequestId>().expect("the request log gives each request an id");
    let address = Some(client_address(app, parts).to_string());
    Actor { request_id: request_id.0.clone(), name, address }
}

/// Tells the log who makes the request.
fn recognise(parts: &Parts, name: &str) {
    let recognised = parts.extensions.get::<Recognised>().expect("the request log gives each request one");
    let _ = recognised.0.set(name.to_owned());
}

/// The client's address.
pub fn client_address(app: &App, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<Peer>().expect("the listener notes the peer of each request");
    if app.is_behind_proxy { last_hop(&parts.headers).unwrap_or(peer.0.ip()) } else { peer.0.ip() }
}

/// Finds whose login this is, and returns both; `None` is a text that nobody has as a login. Counts a wrong one: an address that sends
/// many of them has to wait.
///
/// # Errors
/// Those of [`Identity::authenticate`], [`Error::TooManyWrongKeys`].
pub async fn authenticate(app: &App, parts: &Parts, login: Option<Login>) -> Result<(User, Login), Error> {
    let address = client_address(app, parts);
    let count_wrong = || match (app.wrong_keys.count(address, Instant::now()), &app.identity) {
        (None, identity) => identity.no_login(),
        (Some(wait), Identity::Local) => Error::TooManyWrongKeys(wait.as_secs() + 1),
        (Some(wait), Identity::Hopsworks(_)) => Error::TooManyWrongLogins(wait.as_secs() + 1),
    };
    let error = match login {
        None => count_wrong(),
        Some(login) => match app.identity.authenticate(&app.database, &login, address).await {
            Ok(user) => return Ok((user, login)),
            // What the cluster does not know, it has counted itself.
            Err(Error::Unauthenticated) => count_wrong(),
            Err(error) => error,
        },
    };
    if [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&error.status()) {
        app.metrics.wrong_keys.inc();
    }
    Err(error)
}

/// Reads the hop that our own proxy wrote: everything before it came from the client and proves nothing.
fn last_hop(headers: &HeaderMap) -> Option<IpAddr> {
    let value = headers.get_all("x-forwarded-for").iter().next_back()?;
    value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// An administrator.
pub struct Admin(pub Caller);

impl FromRequestParts<App> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let mut caller = Caller::from_request_parts(parts, app).await?;
        if let (Identity::Hopsworks(cluster), Some(login)) = (&app.identity, Login::from_headers(&parts.headers)) {
            let asker = Asker { login: &login, address: Some(caller.address) };
            caller.user.is_admin = cluster.is_admin(asker).await?;
        }
        Self::from_caller(caller)
    }
}

impl Admin {
    /// The caller as an administrator.
    ///
    /// # Errors
    /// [`Error::NotAdmin`].
    pub fn from_caller(caller: Caller) -> Result<Self, Error> {
        if caller.user.is_admin { Ok(Self(caller)) } else { Err(Error::NotAdmin) }
    }
}

/// A member of the project in the path. Being an administrator does not make one a member.
pub struct Member {
    /// The caller.
    pub caller: Caller,
    /// The project.
    pub project: Project,
    /// The member's role in it.
    pub project_role: ProjectRole,
}

impl Member {
    /// Finds the caller among the members of this project.
    ///
    /// # Errors
    /// [`Error::NotMember`], whether or not the project exists.
    pub async fn find(app: &App, caller: Caller, project_id: i64) -> Result<Self, Error> {
        match member::find(&app.database, project_id, &caller.user).await? {
            Some((project, project_role)) => Ok(Self { caller, project, project_role }),
            None => Err(Error::NotMember(project_id)),
        }
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let ProjectId(project_id) = ProjectId::from_request_parts(parts, app).await?;
        Self::find(app, caller, project_id).await
    }
}

/// A member of the project in the path with those of its role mappings that they ask for, loaded in one query: clients ask for them most.
pub struct MemberMappings {
    /// The member.
    pub member: Member,
    /// The role mappings.
    pub mappings: ProjectMappings,
}

/// A member with the defaults of the project.
pub struct MemberDefaults(pub MemberMappings);

impl FromRequestParts<App> for MemberDefaults {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        AskingCaller::find(parts, app, Wanted::Defaults).await?.member.map(Self)
    }
}

/// A member with the first role mappings of the project, see [`Wanted::First`].
pub struct MemberShortList(pub MemberMappings);

impl FromRequestParts<App> for MemberShortList {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        AskingCaller::find(parts, app, Wanted::First).await?.member.map(Self)
    }
}

/// A caller who asks for something of the project in the path, whether or not they are a member of it.
pub struct AskingCaller {
    /// The caller as the audit names them.
    pub actor: Actor,
    /// The part of the caller's API key that may be shown; `None` for a token.
    pub key_prefix: Option<String>,
    /// The requested project; `None` when the path holds no number.
    pub project_id: Option<i64>,
    /// The caller as a member, or why they are not one.
    pub member: Result<MemberMappings, Error>,
}

/// A caller with the mapping of the role that `roleARN` names, or with the defaults.
impl FromRequestParts<App> for AskingCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let parameters = Parameters::from_query(parts.uri.query().unwrap_or_default());
        // Who reads the parameter says what is wrong with it.
        let role: Option<RoleArn> = parameters.one("roleARN").unwrap_or_default();
        Self::find(parts, app, role.as_ref().map_or(Wanted::Defaults, Wanted::Role)).await
    }
}

impl AskingCaller {
    async fn find(parts: &mut Parts, app: &App, wanted: Wanted<'_>) -> Result<Self, Error> {
        let project_id = ProjectId::from_request_parts(parts, app).await;
        let login = Login::from_headers(&parts.headers);
        let key = login.as_ref().and_then(Login::api_key);
        let key_prefix = key.map(|key| api_key::read_prefix(key).to_owned());
        if let (Identity::Local, Some(key), Ok(ProjectId(project_id))) = (&app.identity, key, &project_id)
            && let Some(view) = MemberView::load(&app.database, key, *project_id, wanted).await?
        {
            let MemberView { user, project, project_role, mappings } = view;
            let member = Member { caller: Caller::new(app, parts, user), project, project_role };
            return Ok(Self {
                actor: member.caller.actor.clone(),
                key_prefix,
                project_id: Some(*project_id),
                member: Ok(MemberMappings { member, mappings }),
            });
        }
        // The usual rules say why a caller is refused.
        let caller = Caller::from_request_parts(parts, app).await?;
        let (actor, project) = (caller.actor.clone(), project_id.as_ref().ok().map(|ProjectId(id)| *id));
        let finding = async {
            let member = Member::find(app, caller, project_id?.0).await?;
            let mut mappings = ProjectMappings::load(app.database.pool(), member.project.id, wanted).await?;
            // The cluster has just told the name; that of the database may be older.
            mappings.all.iter_mut().for_each(|mapping| mapping.project = member.project.clone());
            Ok(MemberMappings { member, mappings })
        };
        Ok(Self { actor, key_prefix, project_id: project, member: finding.await })
    }
}

/// A data owner of the project in the path.
pub struct DataOwner(pub Member);

impl FromRequestParts<App> for DataOwner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        Self::from_member(Member::from_request_parts(parts, app).await?)
    }
}

impl DataOwner {
    /// The member as a data owner.
    ///
    /// # Errors
    /// [`Error::NotDataOwner`].
    pub fn from_member(member: Member) -> Result<Self, Error> {
        match member.project_role {
            ProjectRole::DataOwner => Ok(Self(member)),
            ProjectRole::DataScientist | ProjectRole::All => Err(Error::NotDataOwner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn behind_a_proxy_only_the_hop_that_it_wrote_counts() {
        let hop = |values: &[&str]| last_hop(&headers("x-forwarded-for", values)).map(|hop| hop.to_string());
        assert_eq!(hop(&["10.9.9.9, 192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(hop(&["10.9.9.9", "2001:db8::1"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(hop(&["10.9.9.9, forged"]), None);
        assert_eq!(hop(&[]), None);
    }
}
