//! Who the users are: those of this database with their API keys, or those of a Hopsworks cluster with theirs and its tokens.
//!
//! A database belongs to one or the other for good. Projects are known by their ids, and those of a cluster are not ours: a
//! role mapped to one project must never be met by the members of another.

mod answer_cache;
pub mod cluster;
mod cluster_import;
pub mod login;

use axum::http::HeaderMap;

use crate::database::Database;
use crate::error::Error;
use crate::identity::cluster::Cluster;
use crate::identity::login::Login;
use crate::user::{self, User};

/// Who the users are.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Those of this database.
    Local,
    /// Those of a cluster.
    Hopsworks(Cluster),
}

impl Identity {
    /// Who makes a request, from nothing but its `Authorization`. Of a cluster's user it is not known here whether they are
    /// an administrator.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody has that key or token, and what hinders asking.
    pub async fn authenticate(&self, database: &Database, headers: &HeaderMap) -> Result<User, Error> {
        let login = Login::of(headers).ok_or(Error::Unauthenticated)?;
        match self {
            Identity::Local => match login.api_key() {
                Some(key) => user::find_by_key(database, key).await?.ok_or(Error::Unauthenticated),
                None => Err(Error::Unauthenticated),
            },
            Identity::Hopsworks(cluster) => cluster.user(&login).await,
        }
    }
}

/// The cluster a database belongs to; `None` when its users are its own.
pub async fn cluster_of(database: &Database) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("select hopsworks_url from identity").fetch_optional(database.pool()).await
}

/// Refuses what is about users, projects and members when those live in a cluster.
///
/// # Errors
/// [`Error::LivesInCluster`], [`Error::Database`].
pub async fn check_is_local(database: &Database) -> Result<(), Error> {
    match cluster_of(database).await? {
        None => Ok(()),
        Some(url) => Err(Error::LivesInCluster(url)),
    }
}

/// Makes the database that of this cluster, if it is nobody's yet.
///
/// # Errors
/// [`Error::OtherIdentity`] when it has users or projects of its own, or is that of another cluster; [`Error::Database`].
pub async fn belong_to(database: &Database, url: &str) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let known: Option<String> =
        sqlx::query_scalar("select hopsworks_url from identity").fetch_optional(&mut *transaction).await?;
    match known {
        Some(known) if known == url => return Ok(()),
        Some(known) => return Err(Error::OtherIdentity(format!("the Hopsworks cluster {known}"))),
        None => {}
    }
    let own: i64 = sqlx::query_scalar("select (select count(*) from users) + (select count(*) from projects)")
        .fetch_one(&mut *transaction)
        .await?;
    if own > 0 {
        return Err(Error::OtherIdentity("users and projects of its own".to_owned()));
    }
    let insert = "insert into identity (one, hopsworks_url) values (1, $1)";
    let inserted = sqlx::query(insert).bind(url).execute(&mut *transaction).await;
    match inserted {
        Ok(_) => Ok(transaction.commit().await?),
        // Another server of the same cluster was faster.
        Err(error) if crate::database::is_conflict(&error) => {
            drop(transaction);
            match cluster_of(database).await? {
                Some(known) if known == url => Ok(()),
                Some(known) => Err(Error::OtherIdentity(format!("the Hopsworks cluster {known}"))),
                None => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
