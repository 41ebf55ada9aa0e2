//! Who looks at a page and what they may see: extractors, as those of the REST interface, but from the session behind the
//! cookie. The rules are the same functions.

use std::time::SystemTime;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;

use super::error::PageError;
use crate::app::App;
use crate::browser_session::session::{self, SignedIn};
use crate::error::Error;
use crate::http::auth::{Admin, Caller, DataOwner, Member};
use crate::http::parameters::ProjectId;
use crate::identity::Identity;
use crate::identity::login::Login;

/// Somebody who is signed in.
pub struct Visitor {
    /// Who.
    pub caller: Caller,
    /// What they signed in with, for their cluster.
    pub login: Option<Login>,
    /// The token for the forms of their pages.
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
        match session::find_user(&app.database, &app.identity, &id, SystemTime::now()).await? {
            Some(SignedIn { user, login }) => {
                Ok(Self { caller: Caller::new(app, parts, user), login, form_token: id.form_token() })
            }
            None => Err(PageError::SessionEnded { back_to }),
        }
    }
}

/// An administrator who is signed in.
pub struct Administrator(pub Visitor);

impl FromRequestParts<App> for Administrator {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let Visitor { caller, login, form_token } = Visitor::from_request_parts(parts, app).await?;
        let Admin(caller) = Admin::from_caller(caller)?;
        Ok(Self(Visitor { caller, login, form_token }))
    }
}

/// An administrator who is signed in where users, projects and members are those of this server.
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

/// A member of the project in the path who is signed in.
pub struct ProjectMember {
    /// Who, of which project, as what.
    pub member: Member,
    /// The token for the forms of their pages.
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

/// A data owner of the project in the path who is signed in.
pub struct ProjectOwner(pub Member);

impl FromRequestParts<App> for ProjectOwner {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let DataOwner(member) = DataOwner::from_member(ProjectMember::from_request_parts(parts, app).await?.member)?;
        Ok(Self(member))
    }
}
