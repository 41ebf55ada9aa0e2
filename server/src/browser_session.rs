//! Who is signed in to the pages: sessions behind a cookie, in the database, so that every server on it knows them.
//!
//! A session begins with an API key and ends with signing out, with that key, after half an hour without a request, and after
//! twelve hours in any case. It never authenticates the REST interface, which takes nothing but the `Authorization` header.

mod sealed_login;

use std::fmt;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderValue, header};
use hops_credentials_core::text::hex;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::api_key;
use crate::audit;
use crate::database::Database;
use crate::error::Error;
use crate::identity::Identity;
use crate::identity::cluster::Cluster;
use crate::identity::login::Login;
use crate::random;
use crate::user::{self, Membership, User};

/// After so long without a request a session has ended.
pub const IDLE: Duration = Duration::from_secs(30 * 60);

/// After so long a session has ended, however much it is used.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// How exact the last use is kept: a page is not worth a write each time.
const GRAIN: Duration = Duration::from_secs(60);

/// The opaque id of a session, 32 random bytes. Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// One that nobody can guess.
    pub fn generate() -> Self {
        Self(random::hex::<32>())
    }

    /// The id itself. Secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What every form of this session carries. It follows from the id and does not lead back to it, so no other session,
    /// and nobody without the cookie, can know it.
    pub fn form_token(&self) -> String {
        hash_of("form token of ", &self.0)
    }

    /// Whether a form carried the token of this session.
    pub fn has_form_token(&self, token: &str) -> bool {
        self.form_token().as_bytes().ct_eq(token.as_bytes()).into()
    }

    fn hash(&self) -> String {
        hash_of("", &self.0)
    }
}

fn hash_of(prefix: &str, text: &str) -> String {
    hex(digest(&SHA256, format!("{prefix}{text}").as_bytes()).as_ref())
}

/// The cookie that carries the id.
#[derive(Debug, Clone, Copy)]
pub enum Cookie {
    /// The browser speaks TLS with this server or the proxy in front of it.
    Secure,
    /// The browser is on this machine.
    Loopback,
}

impl Cookie {
    /// The id that came with a request.
    pub fn read(self, headers: &HeaderMap) -> Option<SessionId> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(self.name())?.strip_prefix('='))
            .map(|id| SessionId(id.to_owned()))
    }

    /// Hands the id to the browser. The cookie has no end of its own: it goes with the browser, the session in time.
    pub fn set(self, id: &SessionId) -> HeaderValue {
        self.header(&id.0, "")
    }

    /// Takes the id away from the browser.
    pub fn clear(self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    fn name(self) -> &'static str {
        match self {
            // A browser takes a cookie of that prefix only with Secure, with Path=/ and without Domain (RFC 6265bis, 4.1.3).
            Cookie::Secure => "__Host-role-mapping-session",
            Cookie::Loopback => "role-mapping-session",
        }
    }

    fn header(self, value: &str, more: &str) -> HeaderValue {
        let secure = match self {
            Cookie::Secure => "; Secure",
            Cookie::Loopback => "",
        };
        HeaderValue::try_from(format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", self.name()))
            .expect("an id has hexadecimal digits only")
    }
}

/// Starts a session for the owner of an API key.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody has that key, what a cluster says instead, [`Error::Database`]; there is no session
/// then.
pub async fn start(database: &Database, identity: &Identity, key: &str) -> Result<SessionId, Error> {
    let login = Login::with_api_key(key);
    let user = match identity {
        Identity::Local => user::by_key(database, key).await?.ok_or(Error::Unauthenticated)?,
        Identity::Hopsworks(cluster) => cluster.user(&login).await?,
    };
    let id = SessionId::generate();
    let now = audit::milliseconds(SystemTime::now());
    let mut transaction = database.begin_write().await?;
    for old in [
        "delete from browser_sessions where used_at < $1 or started_at < $2",
        "delete from cluster_sessions where used_at < $1 or started_at < $2",
    ] {
        sqlx::query(old)
            .bind(now - audit::as_milliseconds(IDLE))
            .bind(now - audit::as_milliseconds(LONGEST))
            .execute(&mut *transaction)
            .await?;
    }
    match user.membership {
        Membership::Stored(user_id) => {
            sqlx::query(
                "insert into browser_sessions (id_hash, user_id, key_prefix, started_at, used_at) \
                 values ($1, $2, $3, $4, $4)",
            )
            .bind(id.hash())
            .bind(user_id)
            .bind(api_key::prefix_of(key))
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
        Membership::Told(_) => {
            sqlx::query(
                "insert into cluster_sessions (id_hash, sealed_login, started_at, used_at) values ($1, $2, $3, $3)",
            )
            .bind(id.hash())
            .bind(sealed_login::seal(&id, &login))
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
    }
    transaction.commit().await?;
    Ok(id)
}

/// Who is signed in.
pub struct SignedIn {
    /// The user, with their rights of this moment.
    pub user: User,
    /// What they signed in with, for their cluster.
    pub login: Option<Login>,
}

/// Whose session this is, if it has not ended: it ends with the key that made it.
///
/// # Errors
/// What hinders a cluster from saying so, [`Error::Database`].
pub async fn user_of(
    database: &Database,
    identity: &Identity,
    id: &SessionId,
    now: SystemTime,
) -> Result<Option<SignedIn>, Error> {
    match identity {
        Identity::Local => of_own_user(database, id, now).await,
        Identity::Hopsworks(cluster) => of_user_of_cluster(database, cluster, id, now).await,
    }
}

async fn of_own_user(database: &Database, id: &SessionId, now: SystemTime) -> Result<Option<SignedIn>, Error> {
    let row: Option<(i64, String, i64, i64)> = sqlx::query_as(
        "select users.id, users.email, users.is_admin, browser_sessions.used_at from browser_sessions \
         join users on users.id = browser_sessions.user_id and users.key_prefix = browser_sessions.key_prefix \
         where browser_sessions.id_hash = $1 and browser_sessions.used_at > $2 and browser_sessions.started_at > $3",
    )
    .bind(id.hash())
    .bind(audit::milliseconds(now - IDLE))
    .bind(audit::milliseconds(now - LONGEST))
    .fetch_optional(database.pool())
    .await?;
    let Some((user_id, email, is_admin, used_at)) = row else { return Ok(None) };
    if used_at < audit::milliseconds(now - GRAIN) {
        used(database, "update browser_sessions set used_at = $1 where id_hash = $2", id, now).await?;
    }
    Ok(Some(SignedIn { user: user::stored(user_id, email, is_admin), login: None }))
}

async fn of_user_of_cluster(
    database: &Database,
    cluster: &Cluster,
    id: &SessionId,
    now: SystemTime,
) -> Result<Option<SignedIn>, Error> {
    let row: Option<(String, i64)> = sqlx::query_as(
        "select sealed_login, used_at from cluster_sessions where id_hash = $1 and used_at > $2 and started_at > $3",
    )
    .bind(id.hash())
    .bind(audit::milliseconds(now - IDLE))
    .bind(audit::milliseconds(now - LONGEST))
    .fetch_optional(database.pool())
    .await?;
    let Some((sealed, used_at)) = row else { return Ok(None) };
    let Some(login) = sealed_login::open(id, &sealed) else { return Ok(None) };
    let known = async { Ok(User { is_admin: cluster.is_admin(&login).await?, ..cluster.user(&login).await? }) };
    let user = match known.await {
        Ok(user) => user,
        Err(Error::Unauthenticated) => {
            end(database, id).await?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if used_at < audit::milliseconds(now - GRAIN) {
        used(database, "update cluster_sessions set used_at = $1 where id_hash = $2", id, now).await?;
    }
    Ok(Some(SignedIn { user, login: Some(login) }))
}

async fn used(database: &Database, update: &'static str, id: &SessionId, now: SystemTime) -> Result<(), sqlx::Error> {
    sqlx::query(update).bind(audit::milliseconds(now)).bind(id.hash()).execute(database.pool()).await?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// [`Error::Database`]; the session goes on then.
pub async fn end(database: &Database, id: &SessionId) -> Result<(), Error> {
    for delete in ["delete from browser_sessions where id_hash = $1", "delete from cluster_sessions where id_hash = $1"]
    {
        sqlx::query(delete).bind(id.hash()).execute(database.pool()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_cookie_of_a_secure_server_is_bound_to_its_host() {
        let id = SessionId("ab12".to_owned());
        assert_eq!(
            Cookie::Secure.set(&id),
            "__Host-role-mapping-session=ab12; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(Cookie::Loopback.set(&id), "role-mapping-session=ab12; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(Cookie::Loopback.clear(), "role-mapping-session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }

    #[test]
    fn only_the_cookie_of_that_whole_name_is_read() {
        let both = cookies("other=1; role-mapping-session=cd34;__Host-role-mapping-session=ab12");
        assert_eq!(Cookie::Secure.read(&both), Some(SessionId("ab12".to_owned())));
        assert_eq!(Cookie::Loopback.read(&both), Some(SessionId("cd34".to_owned())));
        assert_eq!(Cookie::Secure.read(&cookies("role-mapping-session=cd34")), None);
        assert_eq!(Cookie::Loopback.read(&cookies("role-mapping-session-2=cd34")), None);
        assert_eq!(Cookie::Loopback.read(&HeaderMap::new()), None);
    }

    #[test]
    fn a_form_token_belongs_to_one_session_and_is_not_its_id() {
        let (one, other) = (SessionId("ab12".to_owned()), SessionId("cd34".to_owned()));
        assert!(one.has_form_token(&one.form_token()));
        assert!(!one.has_form_token(&other.form_token()) && !one.has_form_token("") && !one.has_form_token("ab12"));
        assert_ne!(one.form_token(), one.hash());
        assert_eq!(format!("{one:?}"), "SessionId(…)");
    }
}
