//! A Hopsworks cluster that says who its users are, which projects they are in, and who is an administrator.
//!
//! Everybody is asked about with the login they brought, so the cluster tells nobody more than it would anyway. How long an
//! answer is good is the matter of `answers`.
//!
//! Facts about the cluster's interface: `GET project` is the one endpoint that takes API keys and the tokens of jobs as well
//! as those of people, and it answers the caller's own rows only.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use axum::http::header::{ACCEPT, AUTHORIZATION};
use hops_credentials_core::network::Network;
use hops_credentials_core::role::{ProjectRole, RoleArn};
use hops_credentials_core::settings::Settings;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api_key::prefix_of;
use crate::database::Database;
use crate::error::Error;
use crate::identity::answer_cache::{Answers, PATIENCE};
use crate::identity::login::Login;
use crate::project::{self, Project};
use crate::user::{Email, Membership, User};

/// An administrator has some thousand projects at most, of a few hundred bytes each.
const MAXIMUM_ANSWER: usize = 16 * 1024 * 1024;

/// Role mappings asked for at once.
const PAGE: usize = 500;

/// Why a cluster did not say who somebody is.
#[derive(Debug, Clone)]
enum Silence {
    /// Nobody has this login.
    Refused,
    /// Somebody has it, but it is not good for this.
    NotAccepted,
    /// The cluster, or the way to it.
    Failed(String),
}

impl From<Silence> for Error {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Refused => Error::Unauthenticated,
            Silence::NotAccepted => Error::LoginNotAccepted,
            Silence::Failed(problem) => Error::Cluster(problem),
        }
    }
}

/// A cluster. Clones share what is remembered.
#[derive(Debug, Clone)]
pub struct Cluster {
    url: Url,
    client: Client,
    users: Arc<Answers<User, Silence>>,
    administrators: Arc<Answers<bool, Silence>>,
    /// Of the projects, as the database has them.
    names: Arc<Mutex<HashMap<i64, String>>>,
}

impl fmt::Display for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(formatter)
    }
}

impl Cluster {
    /// Notes where the cluster is. Nothing is sent.
    ///
    /// The system's proxies and authorities count, and those of `DOMAIN_CA_TRUSTSTORE_PEM`.
    ///
    /// # Errors
    /// [`Error::Assume`] when a file of certificates or a proxy cannot be used; [`Error::InvalidArgument`] when a variable says
    /// that certificates are not to be checked: whoever stood in between could be anybody.
    pub fn new(url: &Url, settings: &Settings) -> Result<Self, Error> {
        let network = Network::from_settings(settings)?;
        if network.is_insecure() {
            return Err(Error::InvalidArgument(
                "the certificate of the cluster is always checked; unset REQUESTS_VERIFY, and name the cluster's \
                 authority by DOMAIN_CA_TRUSTSTORE_PEM if it is one of its own"
                    .to_owned(),
            ));
        }
        Ok(Self {
            url: url.clone(),
            client: network.reqwest_client()?,
            users: Arc::default(),
            administrators: Arc::default(),
            names: Arc::default(),
        })
    }

    /// Who brought this login, and which projects they are in. Whether they are an administrator is another question.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::LoginNotAccepted`], [`Error::Cluster`].
    pub async fn user(&self, login: &Login) -> Result<User, Error> {
        Ok(self.users.get(login, async || self.ask_user(login).await).await?)
    }

    /// Whether whoever brought this login may act as an administrator with it: a JWT of an administrator, not of their job, and
    /// of their API keys those with a scope of administrators.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::Cluster`].
    pub async fn is_admin(&self, login: &Login) -> Result<bool, Error> {
        Ok(self.administrators.get(login, async || self.ask_is_admin(login).await).await?)
    }

    /// All role mappings there, for an administrator.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::LoginNotAccepted`], [`Error::Cluster`], [`Error::InvalidArgument`] for a role that is
    /// none.
    pub async fn role_mappings(&self, login: &Login) -> Result<Vec<Told>, Error> {
        let mut told = BTreeMap::new();
        loop {
            let path = format!("admin/cloud/role-mappings?sort_by=id:asc&offset={}&limit={PAGE}", told.len());
            let page: MappingPage = self.ask(&path, login).await?;
            let known = told.len();
            for row in page.items {
                let mapping = Told {
                    project_id: row.project_id,
                    project_name: row.project_name,
                    project_role: row.project_role.parse()?,
                    role: row.cloud_role.parse()?,
                    is_default: row.default_role,
                };
                told.insert(row.id, mapping);
            }
            if told.len() >= page.count || told.len() == known {
                return Ok(told.into_values().collect());
            }
        }
    }

    /// Makes sure that there is such a project, which the cluster tells strangers too, and that roles can be mapped to it.
    ///
    /// # Errors
    /// [`Error::NoSuchProject`], [`Error::Unauthenticated`], [`Error::Cluster`], [`Error::Database`].
    pub async fn check_project(&self, database: &Database, login: &Login, id: i64) -> Result<(), Error> {
        let response = self.send(&format!("project/{id}"), login).await?;
        match response.status() {
            StatusCode::OK | StatusCode::FORBIDDEN => project::learn(database, id, None).await,
            StatusCode::NOT_FOUND => Err(Error::NoSuchProject(id.to_string())),
            other => Err(Error::Cluster(format!("it answered HTTP {}", other.as_u16()))),
        }
    }

    /// Notes what the project of a member is called, the first time.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn learn(&self, database: &Database, project: &Project) -> Result<(), Error> {
        let names = || self.names.lock().expect("nobody panics while holding it");
        if names().get(&project.id) == Some(&project.name) {
            return Ok(());
        }
        project::learn(database, project.id, Some(&project.name)).await?;
        names().insert(project.id, project.name.clone());
        Ok(())
    }

    async fn ask_user(&self, login: &Login) -> Result<User, Silence> {
        let rows: Vec<Row> = self.ask("project", login).await?;
        let mut emails: Vec<&str> = rows.iter().map(|row| row.key.team_member.as_str()).collect();
        emails.dedup();
        let email = match emails[..] {
            [] => self.name_of_projectless(login).await?,
            [email] => email.to_owned(),
            [_, _, ..] => return Err(Silence::Failed("its answer is about several users".to_owned())),
        };
        let projects = rows.iter().filter_map(|row| {
            let project_role = match row.team_role.as_str() {
                "Data owner" => ProjectRole::DataOwner,
                "Data scientist" => ProjectRole::DataScientist,
                // A member who is being removed is none.
                _ => return None,
            };
            let name = row.project.as_ref().and_then(|project| project.name.clone());
            let id = row.key.project_id;
            Some((Project { id, name: name.unwrap_or_else(|| format!("project-{id}")) }, project_role))
        });
        Ok(User { email: Email::told(&email), is_admin: false, membership: Membership::Told(projects.collect()) })
    }

    /// The rows of somebody who is in no project do not name them.
    async fn name_of_projectless(&self, login: &Login) -> Result<String, Silence> {
        match login.api_key() {
            Some(key) => Ok(format!("api key {}", prefix_of(key))),
            None => match self.ask::<Data<String>>("auth/jwt/session", login).await {
                Ok(session) => Ok(session.data),
                Err(Silence::NotAccepted) => Ok("a job without a project".to_owned()),
                Err(other) => Err(other),
            },
        }
    }

    async fn ask_is_admin(&self, login: &Login) -> Result<bool, Silence> {
        let answer = match login.api_key() {
            Some(_) => self.ask::<serde::de::IgnoredAny>("admin/users?offset=0&limit=1", login).await.map(|_| true),
            None => self.ask::<Data<bool>>("auth/isAdmin", login).await.map(|answer| answer.data),
        };
        match answer {
            Err(Silence::NotAccepted) => Ok(false),
            other => other,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, login: &Login) -> Result<T, Silence> {
        let mut response = self.send(path, login).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(Silence::NotAccepted),
            other => return Err(Silence::Failed(format!("it answered HTTP {}", other.as_u16()))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAXIMUM_ANSWER {
                return Err(Silence::Failed("its answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        // What is wrong with it is not told: the message would quote it.
        serde_json::from_slice(&body).map_err(|_| Silence::Failed("its answer is not what Hopsworks says".to_owned()))
    }

    async fn send(&self, path: &str, login: &Login) -> Result<Response, Silence> {
        let url = self.url.join(path).expect("the paths above are legal");
        let request = self.client.get(url).header(ACCEPT, "application/json").header(AUTHORIZATION, login.reveal());
        let response = request.timeout(PATIENCE).send().await.map_err(failed)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.users.refuse(login);
            self.administrators.refuse(login);
            return Err(Silence::Refused);
        }
        Ok(response)
    }
}

fn failed(error: reqwest::Error) -> Silence {
    Silence::Failed(with_sources(&error.without_url()))
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// A role mapping as another server tells it.
#[derive(Debug)]
pub struct Told {
    /// The project's id there.
    pub project_id: i64,
    /// Its name.
    pub project_name: String,
    /// Whose members may assume the role.
    pub project_role: ProjectRole,
    /// The role.
    pub role: RoleArn,
    /// Whether it is the one used when no role is named.
    pub is_default: bool,
}

#[derive(Deserialize)]
struct MappingPage {
    count: usize,
    #[serde(default)]
    items: Vec<MappingRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MappingRow {
    id: i64,
    project_id: i64,
    project_name: String,
    project_role: String,
    cloud_role: String,
    default_role: bool,
}

/// A row of `GET project`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(rename = "projectTeamPK")]
    key: RowKey,
    team_role: String,
    project: Option<RowProject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowKey {
    project_id: i64,
    team_member: String,
}

#[derive(Deserialize)]
struct RowProject {
    #[serde(alias = "projectName")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}
