//! Extractors that say who visits a page and what they may see.
//!
//! They read the session behind the cookie; the extractors of the REST interface read the header `Authorization`. Both call the
//! same rules.

use std::time::SystemTime;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;

use super::error::PageError;
use crate::app::App;
use crate::browser_session::session::{self, SignedInUser};
use crate::error::Error;
use crate::http::auth::{Admin, Caller, DataOwner, Member, client_address};
use crate::http::parameters::ProjectId;
use crate::identity::Identity;
use crate::identity::login::Login;

/// A part of the request that the REST interface reads in the same way; one that is refused is refused with a page.
pub struct OnPage<T>(pub T);

impl<T: FromRequestParts<App, Rejection = Error>> FromRequestParts<App> for OnPage<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        Ok(Self(T::from_request_parts(parts, app).await?))
    }
}

/// A signed-in user.
pub struct Visitor {
    /// The user and where the request comes from.
    pub caller: Caller,
    /// The login for the cluster, where users are those of a cluster.
    pub login: Option<Login>,
    /// The token for the forms of this session.
    pub form_token: String,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let back_to = match parts.method {
            Method::GET => parts.uri.path_and_query().map(|path| path.as_str().to_owned()),
            _ => None,
        };
        let Some(id) = app.cookie.read(&parts.headers) else { return Err(PageError::NotSignedIn { back_to }) };
        let address = client_address(app, parts);
        match session::find_user(&app.database, &app.identity, &id, address, SystemTime::now()).await? {
            Some(SignedInUser { user, login }) => {
                Ok(Self { caller: Caller::new(app, parts, user), login, form_token: id.form_token() })
            }
            None => Err(PageError::SessionEnded { back_to }),
        }
    }
}

/// A signed-in administrator.
pub struct Administrator(pub Visitor);

impl FromRequestParts<App> for Administrator {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let Visitor { caller, login, form_token } = Visitor::from_request_parts(parts, app).await?;
        let Admin(caller) = Admin::from_caller(caller)?;
        Ok(Self(Visitor { caller, login, form_token }))
    }
}

/// A signed-in administrator of a server that keeps users, projects and members itself.
pub struct LocalAdministrator(pub Visitor);

impl FromRequestParts<App> for LocalAdministrator {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let Administrator(visitor) = Administrator::from_request_parts(parts, app).await?;
        match &app.identity {
            Identity::Local => Ok(Self(visitor)),
            Identity::Hopsworks(cluster) => Err(Error::LivesInCluster(cluster.to_string()).into()),
        }
    }
}

/// A signed-in member of the project in the path.
pub struct ProjectMember {
    /// The member: who, in which project, with which project role.
    pub member: Member,
    /// The token for the forms of this session.
    pub form_token: String,
}

impl FromRequestParts<App> for ProjectMember {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let Visitor { caller, form_token, .. } = Visitor::from_request_parts(parts, app).await?;
        let ProjectId(project_id) = ProjectId::from_request_parts(parts, app).await?;
        Ok(Self { member: Member::find(app, caller, project_id).await?, form_token })
    }
}

/// A signed-in data owner of the project in the path.
pub struct ProjectOwner(pub Member);

impl FromRequestParts<App> for ProjectOwner {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let DataOwner(member) = DataOwner::from_member(ProjectMember::from_request_parts(parts, app).await?.member)?;
        Ok(Self(member))
    }
}
