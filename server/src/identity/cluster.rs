//! A client of a Hopsworks cluster, which knows who its users are, which projects they are in, and who is an administrator.
//!
//! Every request carries the login of the user it is about, so the cluster says no more than it would say to that user.
//! `answer_cache` decides how long an answer counts.
//!
//! Facts about the cluster's interface: `GET project` is the one endpoint that takes API keys, tokens of people and tokens of
//! jobs alike, and it returns only rows about the caller.

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

use crate::api_key::read_prefix;
use crate::error::{Error, with_sources};
use crate::identity::answer_cache::{AnswerCache, CLUSTER_TIMEOUT};
use crate::identity::login::Login;
use crate::project::Project;
use crate::user::{Email, Membership, User};

/// The longest answer: an administrator has some thousand projects at most, of a few hundred bytes each.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Role mappings in one request.
const PAGE_SIZE: usize = 500;

/// The reason why a cluster did not say who a user is.
#[derive(Debug, Clone)]
enum ClusterError {
    /// Nobody has this login.
    Refused,
    /// Somebody has this login, but it does not allow this request.
    NotAccepted,
    /// The cluster failed, or the network on the way to it.
    Failed(String),
}

impl From<ClusterError> for Error {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Refused => Error::Unauthenticated,
            ClusterError::NotAccepted => Error::LoginNotAccepted,
            ClusterError::Failed(problem) => Error::Cluster(problem),
        }
    }
}

/// A cluster. Clones share their caches.
#[derive(Debug, Clone)]
pub struct Cluster {
    url: Url,
    client: Client,
    users: Arc<AnswerCache<User, ClusterError>>,
    administrators: Arc<AnswerCache<bool, ClusterError>>,
    /// The names of projects that `cluster_import` has brought into the database.
    pub(super) imported_names: Arc<Mutex<HashMap<i64, String>>>,
}

impl fmt::Display for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(formatter)
    }
}

impl Cluster {
    /// Makes a client. Nothing is sent.
    ///
    /// It uses the system's proxies and certificate authorities, and those of `DOMAIN_CA_TRUSTSTORE_PEM`.
    ///
    /// # Errors
    /// [`Error::Assume`] when a file of certificates or a proxy cannot be used; [`Error::InvalidArgument`] when a variable
    /// turns off the check of certificates: anybody could then pose as the cluster.
    pub fn new(url: &Url, settings: &Settings) -> Result<Self, Error> {
        let network = Network::from_settings(settings)?;
        if network.is_insecure() {
            return Err(Error::InvalidArgument(
                "the certificate of the cluster is always checked; unset REQUESTS_VERIFY, and if the cluster has a \
                 certificate authority of its own, name its PEM file in DOMAIN_CA_TRUSTSTORE_PEM"
                    .to_owned(),
            ));
        }
        Ok(Self {
            url: url.clone(),
            client: network.reqwest_client()?,
            users: Arc::default(),
            administrators: Arc::default(),
            imported_names: Arc::default(),
        })
    }

    /// The user who brought this login, with their projects. Whether they are an administrator, [`Cluster::is_admin`] says.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::LoginNotAccepted`], [`Error::Cluster`].
    pub async fn user(&self, login: &Login) -> Result<User, Error> {
        Ok(self.users.get(login, async || self.fetch_user(login).await).await?)
    }

    /// Whether this login may act as an administrator. A JWT of an administrator may, the JWT of their job may not; an API key
    /// may if it has a scope of administrators.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::Cluster`].
    pub async fn is_admin(&self, login: &Login) -> Result<bool, Error> {
        Ok(self.administrators.get(login, async || self.fetch_is_admin(login).await).await?)
    }

    /// Fetches all role mappings of the cluster, for an administrator.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::LoginNotAccepted`], [`Error::Cluster`], [`Error::InvalidArgument`] for an
    /// illegal role.
    pub async fn role_mappings(&self, login: &Login) -> Result<Vec<RemoteMapping>, Error> {
        let mut mappings = BTreeMap::new();
        loop {
            let before = mappings.len();
            let path = format!("admin/cloud/role-mappings?sort_by=id:asc&offset={before}&limit={PAGE_SIZE}");
            let page: MappingPage = self.get_json(&path, login).await?;
            for row in page.items {
                let mapping = RemoteMapping {
                    project_id: row.project_id,
                    project_name: row.project_name,
                    project_role: row.project_role.parse()?,
                    role: row.cloud_role.parse()?,
                    is_default: row.default_role,
                };
                mappings.insert(row.id, mapping);
            }
            if mappings.len() >= page.count || mappings.len() == before {
                return Ok(mappings.into_values().collect());
            }
        }
    }

    /// Whether the cluster has a project with this id. It tells strangers too.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::Cluster`].
    pub async fn has_project(&self, login: &Login, id: i64) -> Result<bool, Error> {
        match self.get(&format!("project/{id}"), login).await?.status() {
            StatusCode::OK | StatusCode::FORBIDDEN => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            other => Err(Error::Cluster(format!("it answered HTTP {}", other.as_u16()))),
        }
    }

    async fn fetch_user(&self, login: &Login) -> Result<User, ClusterError> {
        let rows: Vec<Row> = self.get_json("project", login).await?;
        let mut emails: Vec<&str> = rows.iter().map(|row| row.key.team_member.as_str()).collect();
        emails.dedup();
        let email = match emails[..] {
            [] => self.fetch_name(login).await?,
            [email] => email.to_owned(),
            [_, _, ..] => return Err(ClusterError::Failed("its answer is about several users".to_owned())),
        };
        let projects = rows.iter().filter_map(|row| {
            // A row with any other role is that of a member who is being removed.
            let project_role = [ProjectRole::DataOwner, ProjectRole::DataScientist]
                .into_iter()
                .find(|role| role.display_name() == row.team_role)?;
            let name = row.project.as_ref().and_then(|project| project.name.clone());
            let id = row.key.project_id;
            Some((Project { id, name: name.unwrap_or_else(|| format!("project-{id}")) }, project_role))
        });
        Ok(User {
            email: Email::from_cluster(&email),
            is_admin: false,
            membership: Membership::FromCluster(projects.collect()),
        })
    }

    /// Fetches the name of a user without projects: no row tells it.
    async fn fetch_name(&self, login: &Login) -> Result<String, ClusterError> {
        match login.api_key() {
            Some(key) => Ok(format!("api key {}", read_prefix(key))),
            None => match self.get_json::<Data<String>>("auth/jwt/session", login).await {
                Ok(session) => Ok(session.data),
                Err(ClusterError::NotAccepted) => Ok("a job without a project".to_owned()),
                Err(other) => Err(other),
            },
        }
    }

    async fn fetch_is_admin(&self, login: &Login) -> Result<bool, ClusterError> {
        let answer = match login.api_key() {
            Some(_) => {
                self.get_json::<serde::de::IgnoredAny>("admin/users?offset=0&limit=1", login).await.map(|_| true)
            }
            None => self.get_json::<Data<bool>>("auth/isAdmin", login).await.map(|answer| answer.data),
        };
        match answer {
            Err(ClusterError::NotAccepted) => Ok(false),
            other => other,
        }
    }

    async fn get_json<T: DeserializeOwned>(&self, path: &str, login: &Login) -> Result<T, ClusterError> {
        let mut response = self.get(path, login).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(ClusterError::NotAccepted),
            other => return Err(ClusterError::Failed(format!("it answered HTTP {}", other.as_u16()))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(ClusterError::Failed("its answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        // The message of the parser would quote the answer.
        serde_json::from_slice(&body)
            .map_err(|_| ClusterError::Failed("its answer is not what Hopsworks says".to_owned()))
    }

    async fn get(&self, path: &str, login: &Login) -> Result<Response, ClusterError> {
        let url = self.url.join(path).expect("the paths above are legal");
        let request = self.client.get(url).header(ACCEPT, "application/json").header(AUTHORIZATION, login.reveal());
        let response = request.timeout(CLUSTER_TIMEOUT).send().await.map_err(failed)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.users.refuse(login);
            self.administrators.refuse(login);
            return Err(ClusterError::Refused);
        }
        Ok(response)
    }
}

fn failed(error: reqwest::Error) -> ClusterError {
    ClusterError::Failed(with_sources(&error.without_url()))
}

/// A role mapping of another server.
#[derive(Debug)]
pub struct RemoteMapping {
    /// The project's id there.
    pub project_id: i64,
    /// Its name.
    pub project_name: String,
    /// The project role whose members may assume the role.
    pub project_role: ProjectRole,
    /// The role.
    pub role: RoleArn,
    /// Whether it is the mapping used when no role is named.
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
