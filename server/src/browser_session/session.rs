//! Sessions in the database: how one starts, whose it is, how it ends.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use sqlx::{AnyConnection, AssertSqlSafe};
use tokio::sync::Semaphore;

use crate::api_key;
use crate::audit::{self, Action, Actor};
use crate::browser_session::sealed_login;
use crate::browser_session::session_id::SessionId;
use crate::database::damaged::{self, DamagedRow, Stored};
use crate::database::{Database, milliseconds};
use crate::error::{Error, with_sources};
use crate::identity::Identity;
use crate::identity::cluster::Cluster;
use crate::identity::cluster_client::Asker;
use crate::identity::login::Login;
use crate::log;
use crate::user::{self, Membership, User};

/// A session ends after this time without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A session ends after this time, however much it is used.
const MAX_AGE: Duration = Duration::from_secs(12 * 60 * 60);

/// The precision of the last use, so that not every page costs a write.
const LAST_USE_PRECISION: Duration = Duration::from_secs(60);

/// Starts a session for the user who has this login, an API key, and records that in the audit. Ends the session `before`, which the
/// browser had.
///
/// # Errors
/// [`Error::Database`]; then nothing has changed.
pub async fn start(
    database: &Database,
    actor: &Actor,
    user: &User,
    login: &Login,
    before: Option<&SessionId>,
) -> Result<SessionId, Error> {
    let prefix = api_key::read_prefix(login.api_key().unwrap_or_default());
    let id = SessionId::generate();
    let now = SystemTime::now();
    let mut transaction = database.begin_write().await?;
    if let Some(before) = before {
        delete(&mut transaction, before).await?;
    }
    match &user.membership {
        Membership::Stored(user_id) => {
            sqlx::query(
                "insert into browser_sessions (id_hash, user_id, key_prefix, started_at, used_at) \
                 values ($1, $2, $3, $4, $4)",
            )
            .bind(id.hash())
            .bind(user_id)
            .bind(prefix)
            .bind(milliseconds(now))
            .execute(&mut *transaction)
            .await?;
        }
        Membership::FromCluster(_) => {
            sqlx::query(
                "insert into cluster_sessions (id_hash, sealed_login, started_at, used_at) values ($1, $2, $3, $3)",
            )
            .bind(id.hash())
            .bind(sealed_login::seal(&id, login))
            .bind(milliseconds(now))
            .execute(&mut *transaction)
            .await?;
        }
    }
    audit::record_sign_in(&mut transaction, actor, Action::SignIn, Some(prefix)).await?;
    transaction.commit().await?;
    Ok(id)
}

/// A signed-in user, with their login.
pub struct SignedInUser {
    /// The user, with the rights they have at this moment.
    pub user: User,
    /// The login for the user's cluster; `None` for a user of this database.
    pub login: Option<Login>,
}

/// Finds whose session this is; `None` once it has ended. A session ends with the key that started it.
///
/// # Errors
/// An error of the cluster when it cannot tell who the user is, [`Error::Database`].
pub async fn find_user(
    database: &Database,
    identity: &Identity,
    id: &SessionId,
    address: IpAddr,
    now: SystemTime,
) -> Result<Option<SignedInUser>, Error> {
    match identity {
        Identity::Local => find_local_user(database, id, now).await,
        Identity::Hopsworks(cluster) => find_cluster_user(database, cluster, id, address, now).await,
    }
}

/// The user's id, address and right; the last use and the start of the session.
type LocalRow = (i64, Stored<String>, Stored<i64>, Stored<i64>, Stored<i64>);

async fn find_local_user(database: &Database, id: &SessionId, now: SystemTime) -> Result<Option<SignedInUser>, Error> {
    let row: Option<LocalRow> = sqlx::query_as(
        "select users.id, users.email, users.is_admin, browser_sessions.used_at, browser_sessions.started_at from browser_sessions \
         join users on users.id = browser_sessions.user_id and users.key_prefix = browser_sessions.key_prefix \
         where browser_sessions.id_hash = $1 and browser_sessions.used_at > $2 and browser_sessions.started_at > $3",
    )
    .bind(id.hash())
    .bind(milliseconds(now - IDLE_TIMEOUT))
    .bind(milliseconds(now - MAX_AGE))
    .fetch_optional(database.pool())
    .await?;
    let Some((user_id, email, is_admin, used_at, started_at)) = row else { return Ok(None) };
    let user = damaged::keep(user::read(user_id, email, is_admin));
    let used_at = read_last_use("browser_sessions", used_at, started_at, now);
    let (Some(user), Some(used_at)) = (user, used_at) else { return Ok(None) };
    if used_at < milliseconds(now - LAST_USE_PRECISION) {
        note_use(database, "update browser_sessions set used_at = $1 where id_hash = $2", id, now);
    }
    Ok(Some(SignedInUser { user, login: None }))
}

async fn find_cluster_user(
    database: &Database,
    cluster: &Cluster,
    id: &SessionId,
    address: IpAddr,
    now: SystemTime,
) -> Result<Option<SignedInUser>, Error> {
    let row: Option<(Stored<String>, Stored<i64>, Stored<i64>)> = sqlx::query_as(
        "select sealed_login, used_at, started_at from cluster_sessions where id_hash = $1 and used_at > $2 and started_at > $3",
    )
    .bind(id.hash())
    .bind(milliseconds(now - IDLE_TIMEOUT))
    .bind(milliseconds(now - MAX_AGE))
    .fetch_optional(database.pool())
    .await?;
    let Some((sealed, used_at, started_at)) = row else { return Ok(None) };
    let Some(used_at) = read_last_use("cluster_sessions", used_at, started_at, now) else { return Ok(None) };
    let Some(login) = sealed.value().and_then(|sealed| sealed_login::open(id, &sealed)) else { return Ok(None) };
    let asker = Asker { login: &login, address: Some(address) };
    let looking_up = async { Ok(User { is_admin: cluster.is_admin(asker).await?, ..cluster.user(asker).await? }) };
    let user = match looking_up.await {
        Ok(user) => user,
        Err(Error::NotOfCluster) => {
            if let Err(error) = end(database, id).await {
                log::line(&format_args!("cannot end a session whose login is refused: {}", with_sources(&error)));
            }
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if used_at < milliseconds(now - LAST_USE_PRECISION) {
        note_use(database, "update cluster_sessions set used_at = $1 where id_hash = $2", id, now);
    }
    Ok(Some(SignedInUser { user, login: Some(login) }))
}

/// Reads the last use of a session, in milliseconds since 1970. `None`, with a line in the log, when somebody edited its instants: SQLite
/// compares a text as if it were later than any instant, and a session from the future would not end.
fn read_last_use(table: &'static str, used_at: Stored<i64>, started_at: Stored<i64>, now: SystemTime) -> Option<i64> {
    // The clocks of two servers may differ.
    let latest = milliseconds(now + MAX_AGE);
    let is_past = |at: i64| if at <= latest { Ok(at) } else { Err("it is in the future") };
    let read = || {
        started_at.read("started_at", is_past)?;
        used_at.read("used_at", is_past)
    };
    damaged::keep(read().map_err(|damage| {
        let remedy = format!("end all sessions with: delete from {table}");
        DamagedRow::new("a session".to_owned(), table, damage, remedy)
    }))
}

/// The turn to note a use. One that fails or waits for the database leaves out others: their next page notes it.
static NOTING: Semaphore = Semaphore::const_new(1);

/// Notes the use of a session in a task: pages that only read go on while the database cannot be written.
fn note_use(database: &Database, update: &'static str, id: &SessionId, now: SystemTime) {
    let Ok(turn) = NOTING.try_acquire() else { return };
    let (database, hash) = (database.clone(), id.hash());
    tokio::spawn(async move {
        let noting = async {
            let mut transaction = database.begin_write().await?;
            sqlx::query(update).bind(milliseconds(now)).bind(hash).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        if let Err(error) = noting.await {
            database.health().suspect();
            log::line(&format_args!("cannot note the use of a session: {}", with_sources(&error)));
        }
        drop(turn);
    });
}

/// Deletes the sessions that have ended by themselves.
///
/// # Errors
/// The database's error; then they are still there, and have ended all the same.
pub async fn delete_ended(database: &Database) -> Result<(), sqlx::Error> {
    let now = SystemTime::now();
    for table in ["browser_sessions", "cluster_sessions"] {
        let ended = "where used_at < $1 or started_at < $2";
        let limits = [milliseconds(now - IDLE_TIMEOUT), milliseconds(now - MAX_AGE)];
        // The scan is outside of the turn to write, which it must not hold when there is nothing to do.
        let select = AssertSqlSafe(format!("select id_hash from {table} {ended} limit 1"));
        let select = sqlx::query_scalar::<_, String>(select).bind(limits[0]).bind(limits[1]);
        if select.fetch_optional(database.pool()).await?.is_some() {
            let mut transaction = database.begin_write().await?;
            let delete = AssertSqlSafe(format!("delete from {table} {ended}"));
            sqlx::query(delete).bind(limits[0]).bind(limits[1]).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Ends a session, and records that its user has signed out, unless it has ended already.
///
/// # Errors
/// [`Error::Database`]; then the session goes on.
pub async fn sign_out(database: &Database, actor: &Actor, id: &SessionId) -> Result<(), Error> {
    // Anybody may send a cookie that they have made up; it must not cost a turn to write.
    if !exists(database, id).await? {
        return Ok(());
    }
    let mut transaction = database.begin_write().await?;
    if delete(&mut transaction, id).await? {
        audit::record_sign_in(&mut transaction, actor, Action::SignOut, None).await?;
    }
    Ok(transaction.commit().await?)
}

async fn exists(database: &Database, id: &SessionId) -> Result<bool, sqlx::Error> {
    let select = "select id_hash from browser_sessions where id_hash = $1 \
                  union all select id_hash from cluster_sessions where id_hash = $1";
    let found: Option<String> = sqlx::query_scalar(select).bind(id.hash()).fetch_optional(database.pool()).await?;
    Ok(found.is_some())
}

async fn end(database: &Database, id: &SessionId) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin_write().await?;
    delete(&mut transaction, id).await?;
    transaction.commit().await
}

/// Deletes a session; returns whether there was one.
async fn delete(connection: &mut AnyConnection, id: &SessionId) -> Result<bool, sqlx::Error> {
    let mut deleted = 0;
    for delete in ["delete from browser_sessions where id_hash = $1", "delete from cluster_sessions where id_hash = $1"]
    {
        deleted += sqlx::query(delete).bind(id.hash()).execute(&mut *connection).await?.rows_affected();
    }
    Ok(deleted > 0)
}
