//! The identity tells who the users are: those of this database with their API keys, or those of a Hopsworks cluster with
//! their API keys and JWTs.
//!
//! A database belongs to one or the other for good. Projects are known by their ids, and a cluster gives ids of its own: a role
//! mapped to one project must never reach the members of another.

mod answer_cache;
pub mod cluster;
pub mod cluster_client;
mod flights;
mod known_logins;
pub mod login;
mod project_names;
pub mod remote_mappings;

use std::net::IpAddr;

use crate::database::Database;
use crate::error::Error;
use crate::identity::cluster::Cluster;
use crate::identity::login::Login;
use crate::user::{self, User};

/// The identity: it tells who the users are.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The users of this database.
    Local,
    /// The users of a cluster.
    Hopsworks(Box<Cluster>),
}

impl Identity {
    /// Makes the error for a request without a login.
    pub fn no_login(&self) -> Error {
        match self {
            Identity::Local => Error::Unauthenticated,
            Identity::Hopsworks(_) => Error::NotOfCluster,
        }
    }

    /// Finds whose login this is, from its header alone. For a user of a cluster it leaves open whether they
    /// are an administrator.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::NotOfCluster`] when nobody has this key or token;
    /// [`Error::TooManyWrongLogins`]; why the database or the cluster cannot tell.
    pub async fn authenticate(&self, database: &Database, login: &Login, address: IpAddr) -> Result<User, Error> {
        match self {
            Identity::Local => match login.api_key() {
                Some(key) => user::find_by_key(database, key).await?.ok_or(Error::Unauthenticated),
                None => Err(self.no_login()),
            },
            Identity::Hopsworks(cluster) => cluster.authenticate(login, address).await,
        }
    }
}

/// Finds the URL of the cluster that the database belongs to; `None` when its users are its own.
pub async fn find_cluster(database: &Database) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("select hopsworks_url from identity").fetch_optional(database.pool()).await
}

/// Refuses a change of users, projects or members when those live in a cluster.
///
/// # Errors
/// [`Error::LivesInCluster`], [`Error::Database`].
pub async fn check_is_local(database: &Database) -> Result<(), Error> {
    match find_cluster(database).await? {
        None => Ok(()),
        Some(url) => Err(Error::LivesInCluster(url)),
    }
}

/// Makes the database belong to this cluster, unless it belongs to another identity already.
///
/// # Errors
/// [`Error::OtherIdentity`] when it has users or projects of its own, or belongs to another cluster; [`Error::Database`].
pub async fn claim_for_cluster(database: &Database, url: &str) -> Result<(), Error> {
    // A start that changes nothing writes nothing: others may hold the database, or have made it read-only.
    let own = "select (select count(*) from users) + (select count(*) from projects)";
    if find_cluster(database).await?.is_none()
        && sqlx::query_scalar::<_, i64>(own).fetch_one(database.pool()).await? == 0
    {
        let mut transaction = database.begin_write().await?;
        let insert = "insert into identity (one, hopsworks_url) select 1, $1 \
                      where not exists (select 1 from users) and not exists (select 1 from projects) on conflict do nothing";
        sqlx::query(insert).bind(url).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    // Another process may have been faster.
    match find_cluster(database).await? {
        Some(known) if known == url => Ok(()),
        Some(known) => Err(belongs_to_cluster(&known)),
        None => Err(Error::OtherIdentity("users and projects of its own".to_owned())),
    }
}

/// Makes the error for a database that belongs to this cluster.
pub fn belongs_to_cluster(url: &str) -> Error {
    Error::OtherIdentity(format!("the Hopsworks cluster {url}"))
}
