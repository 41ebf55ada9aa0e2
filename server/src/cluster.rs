//! A Hopsworks cluster that says who its users are, which projects they are in, and who is an administrator.
//!
//! Everybody is asked about with the login they brought, so the cluster tells nobody more than it would anyway. An answer is
//! good for some seconds under the SHA-256 of the whole login. A refusal ends it at once and is not kept itself, and an answer
//! that was asked for before a refusal came is not kept at all.
//!
//! Facts about the cluster's interface: `GET project` is the one endpoint that takes API keys and the tokens of jobs as well
//! as those of people, and it answers the caller's own rows only.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, AUTHORIZATION};
use hops_credentials::network::Network;
use hops_credentials::role::{ProjectRole, RoleArn};
use hops_credentials::settings::Settings;
use reqwest::{Client, Response, StatusCode, Url};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::database::Database;
use crate::error::Error;
use crate::flights::Flights;
use crate::project::{self, Project};
use crate::user::{Email, Membership, User, prefix_of};

/// For one answer of the cluster. What is left of a client's 10 s is for STS.
const PATIENCE: Duration = Duration::from_secs(5);

/// For so long an answer is good.
const FRESH: Duration = Duration::from_secs(10);

/// So many logins are remembered. While there are more, new ones are asked about each time.
const MAXIMUM: usize = 10_000;

/// An administrator has some thousand projects at most, of a few hundred bytes each.
const MAXIMUM_ANSWER: usize = 16 * 1024 * 1024;

/// Role mappings asked for at once.
const PAGE: usize = 500;

/// What somebody brought in the one header `Authorization`: `ApiKey <key>` or `Bearer <JWT>`. Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Login(String);

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(…)")
    }
}

impl Login {
    /// The login that came with a request, in the one spelling that a cluster takes.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    /// The value of such a header.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, token) = value.split_once(' ')?;
        let scheme = ["ApiKey", "Bearer"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
        let token = token.trim();
        (!token.is_empty() && !token.contains(' ')).then(|| Self(format!("{scheme} {token}")))
    }

    /// An API key as a login.
    pub fn with_api_key(key: &str) -> Self {
        Self(format!("ApiKey {key}"))
    }

    /// The API key, if it is one. Secret.
    pub fn api_key(&self) -> Option<&str> {
        self.0.strip_prefix("ApiKey ")
    }

    /// The header's value. Secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> Hash {
        digest(&SHA256, self.0.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

type Hash = [u8; 32];

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
    users: Arc<Answers<User>>,
    administrators: Arc<Answers<bool>>,
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

/// What a cluster has told, by login.
#[derive(Debug)]
struct Answers<T> {
    known: Mutex<HashMap<Hash, Known<T>>>,
    flights: Flights<Hash, Result<T, Silence>>,
}

#[derive(Debug)]
enum Known<T> {
    Told { answer: T, until: Instant },
    Refused { at: Instant },
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), flights: Flights::default() }
    }
}

impl<T: Clone> Answers<T> {
    async fn get(&self, login: &Login, ask: impl AsyncFnOnce() -> Result<T, Silence>) -> Result<T, Silence> {
        let hash = login.hash();
        if let Some(answer) = self.fresh(&hash, Instant::now()) {
            return Ok(answer);
        }
        self.flights
            .join(hash, async || {
                let asked = Instant::now();
                let answer = ask().await?;
                self.keep(hash, asked, answer.clone());
                Ok(answer)
            })
            .await
    }

    fn fresh(&self, hash: &Hash, now: Instant) -> Option<T> {
        match self.known.lock().expect("nobody panics while holding it").get(hash)? {
            Known::Told { answer, until } if now < *until => Some(answer.clone()),
            Known::Told { .. } | Known::Refused { .. } => None,
        }
    }

    /// Keeps an answer, counted from when it was asked for, unless the login was refused since.
    fn keep(&self, hash: Hash, asked: Instant, answer: T) {
        let mut known = self.with_room();
        let was_refused = matches!(known.get(&hash), Some(Known::Refused { at }) if *at >= asked);
        if !was_refused && known.len() < MAXIMUM {
            known.insert(hash, Known::Told { answer, until: asked + FRESH });
        }
    }

    fn refuse(&self, login: &Login) {
        let mut known = self.with_room();
        if known.len() >= MAXIMUM {
            // Everybody is asked about anew then, which is safe.
            known.clear();
        }
        known.insert(login.hash(), Known::Refused { at: Instant::now() });
    }

    fn with_room(&self) -> MutexGuard<'_, HashMap<Hash, Known<T>>> {
        let mut known = self.known.lock().expect("nobody panics while holding it");
        if known.len() >= MAXIMUM {
            let now = Instant::now();
            known.retain(|_, entry| match entry {
                Known::Told { until, .. } => now < *until,
                // No answer that was asked for before it is still on its way.
                Known::Refused { at } => now < *at + PATIENCE,
            });
        }
        known
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

#[cfg(test)]
mod tests {
    use super::*;

    fn login(value: &str) -> Option<Login> {
        Login::of(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().expect("a value"))]))
    }

    #[test]
    fn a_login_is_one_header_of_a_known_scheme_and_shows_nothing_of_itself() {
        assert_eq!(login("apikey a.b").expect("a key").reveal(), "ApiKey a.b");
        assert_eq!(login("ApiKey a.b").expect("a key").api_key(), Some("a.b"));
        assert_eq!(login("Bearer a.b.c").expect("a token").reveal(), "Bearer a.b.c");
        assert_eq!(login("Bearer a.b.c").expect("a token").api_key(), None);
        for none in ["Basic a", "a.b", "ApiKey", "ApiKey ", "Bearer a b"] {
            assert_eq!(login(none), None, "{none:?}");
        }
        let value: axum::http::HeaderValue = "ApiKey a.b".parse().expect("a value");
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, value.clone());
        twice.append(AUTHORIZATION, value);
        assert_eq!(Login::of(&twice), None);
        assert_eq!(format!("{:?}", login("ApiKey canary.canary")), "Some(Login(…))");
    }

    #[test]
    fn an_answer_is_good_for_seconds_and_under_the_whole_login_only() {
        let (answers, now) = (Answers::default(), Instant::now());
        answers.keep(Login::with_api_key("a.b").hash(), now, 1);
        let fresh =
            |key: &str, seconds| answers.fresh(&Login::with_api_key(key).hash(), now + Duration::from_secs(seconds));
        assert_eq!((fresh("a.b", 0), fresh("a.b", 9), fresh("a.b", 10)), (Some(1), Some(1), None));
        assert_eq!(fresh("a.c", 0), None);
        assert_eq!(answers.fresh(&login("Bearer a.b").expect("a token").hash(), now), None);
    }

    #[test]
    fn a_refusal_ends_an_answer_at_once_and_one_that_was_asked_for_before_it_is_not_kept() {
        let answers = Answers::default();
        let (key, asked) = (Login::with_api_key("a.b"), Instant::now());
        answers.keep(key.hash(), asked, 1);
        answers.refuse(&key);
        assert_eq!(answers.fresh(&key.hash(), asked), None);
        answers.keep(key.hash(), asked, 1);
        assert_eq!(answers.fresh(&key.hash(), asked), None);
        answers.keep(key.hash(), Instant::now() + Duration::from_millis(1), 2);
        assert_eq!(answers.fresh(&key.hash(), asked), Some(2));
    }
}
