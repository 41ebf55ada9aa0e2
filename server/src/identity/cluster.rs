//! A Hopsworks cluster as the identity: it knows who its users are, which projects they are in, and who is an administrator.
//!
//! `answer_cache` decides how long an answer counts, `known_logins` who is asked about at once; `cluster_client` asks.
//!
//! Facts about the cluster's interface: `GET project` is the one endpoint that takes API keys, tokens of people and tokens of
//! jobs alike, and it returns only rows about the caller. `admin/projects` takes the JWT of an administrator and, of the scopes of an API
//! key, `ADMIN` alone; `admin/users` takes `ADMINISTER_USERS` as well, which is for tools that add users.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hops_credentials_core::role::ProjectRole;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::api_key::read_prefix;
use crate::database::Database;
use crate::error::Error;
use crate::identity::answer_cache::AnswerCache;
use crate::identity::cluster_client::{Asker, ClusterClient, ClusterError, not_hopsworks, read_json, unexpected};
use crate::identity::known_logins::KnownLogins;
use crate::identity::login::Login;
use crate::project::Project;
use crate::user::{Email, Membership, User};
use crate::wrong_keys::WrongKeys;

/// The logins that may be asked about at once although the cluster has not accepted them yet. They leave room for those it has.
const MAX_UNKNOWN: usize = 32;

/// Asks for a project that does not exist: the answer says whether the caller may ask, and costs nothing.
const ADMIN_ONLY: &str = "admin/projects/0";

/// The `errorCode` of a cluster for a project that does not exist.
const NO_SUCH_PROJECT: u32 = 150_004;

/// A cluster. Clones share their caches.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(super) client: Arc<ClusterClient>,
    pub(super) database: Database,
    users: Arc<AnswerCache<User, ClusterError>>,
    administrators: Arc<AnswerCache<bool, ClusterError>>,
    known: Arc<KnownLogins>,
    unknown: Arc<Semaphore>,
    wrong_keys: WrongKeys,
    pub(super) names: Arc<super::project_names::Pause>,
}

impl fmt::Display for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(formatter)
    }
}

impl Cluster {
    /// Makes the identity. Nothing is sent.
    pub fn new(client: ClusterClient, database: Database, wrong_keys: WrongKeys) -> Self {
        Self {
            client: Arc::new(client),
            database,
            users: Arc::default(),
            administrators: Arc::default(),
            known: Arc::default(),
            unknown: Arc::new(Semaphore::new(MAX_UNKNOWN)),
            wrong_keys,
            names: Arc::default(),
        }
    }

    /// Finds who sends this login, from a client that may have sent many wrong ones.
    ///
    /// A login that the cluster has accepted before is always asked about, except that an address with too many wrong ones gets the same
    /// refusal again without a call. Any other login counts as wrong until the cluster has answered, so such an address makes no calls
    /// for others.
    ///
    /// # Errors
    /// [`Error::TooManyWrongLogins`], and those of [`Cluster::user`].
    pub async fn authenticate(&self, login: &Login, address: IpAddr) -> Result<User, Error> {
        let asker = Asker { login, address: Some(address) };
        if self.known.contains(login, Instant::now()) {
            let now = Instant::now();
            // The client of a token that has ended reads the new one after a 401, and would wait after a 429.
            let found = if self.wrong_keys.is_jammed(address, now) && self.users.was_refused(login, now) {
                Err(Error::NotOfCluster)
            } else {
                self.user(asker).await
            };
            if let Err(Error::NotOfCluster) = found {
                self.wrong_keys.count(address, now);
            }
            return found;
        }
        let attempt = match self.wrong_keys.try_one(address).await {
            Ok(attempt) => attempt,
            // While it waited, another request has shown that the login is good.
            Err(_) if self.known.contains(login, Instant::now()) => return self.user(asker).await,
            Err(wait) => return Err(Error::TooManyWrongLogins(wait.as_secs() + 1)),
        };
        let _permit = self.unknown.acquire().await.expect("it is never closed");
        let found = self.user(asker).await;
        if let Err(Error::NotOfCluster) = found {
            attempt.was_wrong();
        }
        found
    }

    /// The user who brought this login, with their projects. Whether they are an administrator, [`Cluster::is_admin`] says.
    ///
    /// # Errors
    /// [`Error::NotOfCluster`], [`Error::LoginNotAccepted`], [`Error::Cluster`].
    pub async fn user(&self, asker: Asker<'_>) -> Result<User, Error> {
        let found = self.users.get(asker.login, async || self.fetch_user(asker).await).await;
        self.note_refusal(asker, found)
    }

    /// Whether this login may act as an administrator. A JWT of an administrator may, the JWT of their job may not; an API key
    /// of an administrator may if it has the scope `ADMIN`.
    ///
    /// # Errors
    /// [`Error::NotOfCluster`], [`Error::Cluster`].
    pub async fn is_admin(&self, asker: Asker<'_>) -> Result<bool, Error> {
        let found = self.administrators.get(asker.login, async || self.fetch_is_admin(asker).await).await;
        self.note_refusal(asker, found)
    }

    /// Removes what the cluster told some time ago, which counts for nothing any more.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.users.sweep(now);
        self.administrators.sweep(now);
    }

    /// Whether the cluster has a project with this id. It tells strangers too.
    ///
    /// # Errors
    /// [`Error::NotOfCluster`], [`Error::Cluster`].
    pub async fn has_project(&self, asker: Asker<'_>, id: i64) -> Result<bool, Error> {
        if id < 1 {
            return Ok(false);
        }
        let found = match self.client.get(&format!("project/{id}"), asker).await {
            Ok((StatusCode::OK | StatusCode::FORBIDDEN, _)) => Ok(true),
            Ok((StatusCode::NOT_FOUND, _)) => Ok(false),
            Ok((other, _)) => Err(unexpected(other)),
            Err(error) => Err(error),
        };
        self.note_refusal(asker, found)
    }

    /// Removes the answers about a login that the cluster refuses, to whatever question.
    fn note_refusal<T>(&self, asker: Asker<'_>, found: Result<T, ClusterError>) -> Result<T, Error> {
        if let Err(ClusterError::Refused) = found {
            self.users.refuse(asker.login);
            self.administrators.refuse(asker.login);
        }
        Ok(found?)
    }

    async fn fetch_user(&self, asker: Asker<'_>) -> Result<User, ClusterError> {
        let rows: Vec<Row> = self.client.get_json("project", asker).await?;
        let mut emails: Vec<&str> = rows.iter().map(|row| row.key.team_member.as_str()).collect();
        emails.dedup();
        let email = match emails[..] {
            [] => self.fetch_name(asker).await?,
            [email] => email.to_owned(),
            [_, _, ..] => return Err(ClusterError::Failed("its answer is about several users".to_owned())),
        };
        if email.chars().any(char::is_control) {
            return Err(not_hopsworks());
        }
        let projects = rows.iter().filter_map(|row| {
            // A row with any other role is that of a member who is being removed.
            let project_role = [ProjectRole::DataOwner, ProjectRole::DataScientist]
                .into_iter()
                .find(|role| role.display_name() == row.team_role)?;
            let name = row.project.as_ref().and_then(|project| project.name.as_deref());
            let id = Some(row.key.project_id).filter(|id| *id >= 1)?;
            Some((Project::of_cluster(id, name), project_role))
        });
        let projects: Arc<[_]> = projects.collect();
        self.known.add(asker.login, Instant::now());
        self.learn_names(&projects).await;
        Ok(User { email: Email::from_cluster(&email), is_admin: false, membership: Membership::FromCluster(projects) })
    }

    /// Fetches the name of a user without projects: no row tells it.
    async fn fetch_name(&self, asker: Asker<'_>) -> Result<String, ClusterError> {
        match asker.login.api_key() {
            Some(key) => Ok(format!("api key {}", read_prefix(key))),
            None => match self.client.get_json::<Data<String>>("auth/jwt/session", asker).await {
                Ok(session) => Ok(session.data),
                Err(ClusterError::NotAccepted) => Ok("a job without a project".to_owned()),
                Err(other) => Err(other),
            },
        }
    }

    async fn fetch_is_admin(&self, asker: Asker<'_>) -> Result<bool, ClusterError> {
        if asker.login.api_key().is_none() {
            return match self.client.get_json::<Data<bool>>("auth/isAdmin", asker).await {
                Ok(answer) => Ok(answer.data),
                Err(ClusterError::NotAccepted) => Ok(false),
                Err(other) => Err(other),
            };
        }
        match self.client.get(ADMIN_ONLY, asker).await {
            Ok((StatusCode::OK, _)) => Ok(true),
            // Without its number it would be a cluster that does not have this endpoint, for anybody.
            Ok((StatusCode::NOT_FOUND, body)) => {
                Ok(read_json::<Refusal>(&body).is_ok_and(|refusal| refusal.error_code == NO_SUCH_PROJECT))
            }
            Ok((StatusCode::FORBIDDEN, _)) => Ok(false),
            Ok((other, _)) => Err(unexpected(other)),
            // An endpoint that takes no API keys at all refuses a valid one in the same way.
            Err(ClusterError::Refused) => match self.client.get("project", asker).await? {
                (StatusCode::OK | StatusCode::FORBIDDEN, _) => Ok(false),
                (other, _) => Err(unexpected(other)),
            },
            Err(error @ (ClusterError::NotAccepted | ClusterError::Failed(_))) => Err(error),
        }
    }
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

/// An error of the cluster.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    error_code: u32,
}
