//! Where users, projects, members, role mappings and the audit lie: SQLite or PostgreSQL, one set of SQL texts for both.
//!
//! [`Database::open`] creates what is missing and migrates the schema; it may be called twice and by several processes at
//! once. Which tables there are stands in `migrations/`; the SQL of a noun stands with the noun.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Executor, SqlSafeStr, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where the database is, as `--database` and `DATABASE_URL` name it.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// `sqlite:///absolute/path/of/the/file.db`
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/name`. Secret: it may hold a password.
    Postgres(String),
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Address::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite://") {
            Some(path) if path.starts_with('/') && !path.ends_with('/') && !path.contains(['?', '#', '%']) => {
                Ok(Address::Sqlite(PathBuf::from(path)))
            }
            Some(_) | None => {
                Err("the database is named sqlite:///absolute/path/roles.db or postgres://user@host/name")
            }
        }
    }
}

impl fmt::Display for Address {
    /// Shows the path of a file, and of a PostgreSQL only that it is one.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Sqlite(path) => write!(formatter, "{}", path.display()),
            Address::Postgres(_) => formatter.write_str("PostgreSQL"),
        }
    }
}

/// Why the database cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its directory.
    #[error("cannot open the database {database}; its directory must exist and be readable and writable for this user")]
    File {
        /// Which database.
        database: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database itself.
    #[error("cannot connect to the database {database}")]
    Connect {
        /// Which database.
        database: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The schema, for example of a newer version of this program.
    #[error("cannot migrate the schema of the database {database}")]
    Migrate {
        /// Which database.
        database: String,
        /// What the database said.
        source: sqlx::migrate::MigrateError,
    },
}

/// A pool of connections to a database whose schema is this version's.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    /// On SQLite, where one writes at a time. Whoever waits for it here is woken at once and holds no connection; SQLite itself
    /// would look again every now and then, and readers would find all connections taken.
    turn: Option<Arc<Semaphore>>,
}

/// A transaction that will write. Dropped before its commit it changes nothing.
pub struct Write {
    transaction: Transaction<'static, Any>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Write {
    /// Makes it last.
    ///
    /// # Errors
    /// What the database says; nothing is changed then.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl Database {
    /// Connects, creates the file (0600) and the schema if they are missing, and migrates an older schema.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed then.
    pub async fn open(address: &Address) -> Result<Self, OpenError> {
        sqlx::any::install_drivers(&[sqlx::sqlite::any::DRIVER, sqlx::postgres::any::DRIVER])
            .expect("the database is opened once in a process");
        let name = address.to_string();
        match address {
            Address::Sqlite(path) => {
                let refused = |source| OpenError::File { database: name.clone(), source };
                // SQLite has no lock for "migrating": neither the change to WAL nor the migrator waits for another process.
                let lock =
                    directory_of(path).and_then(|directory| directory.lock().map(|()| directory)).map_err(refused)?;
                OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(refused)?;
                let url = format!("sqlite://{}", path.display());
                let database = Self::connect(&name, &url, Some(Arc::new(Semaphore::new(1)))).await?;
                drop(lock);
                Ok(database)
            }
            Address::Postgres(url) => Self::connect(&name, url, None).await,
        }
    }

    async fn connect(name: &str, url: &str, turn: Option<Arc<Semaphore>>) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Connect { database: name.to_owned(), source };
        let is_sqlite = turn.is_some();
        // A connection of SQLite is a thread that computes: more of them than cores only wait for each other, measured as a p99
        // of 100 ms with eight on two cores, and of 7 ms with two. One of PostgreSQL waits for the network.
        let connections =
            if is_sqlite { std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)) } else { 8 };
        let pool = AnyPoolOptions::new()
            .max_connections(u32::try_from(connections).expect("eight at most"))
            .acquire_timeout(Duration::from_secs(10))
            // A connection of PostgreSQL may have died since its last use; a file does not.
            .test_before_acquire(!is_sqlite)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        // https://sqlite.org/wal.html: readers go on while one writes; a writer waits for the other. Full: a
                        // commit is on the disk before its answer leaves, so the audit outlives a loss of power as well.
                        let settings = "pragma busy_timeout = 10000; pragma journal_mode = wal; \
                                        pragma synchronous = full; pragma foreign_keys = on";
                        connection.execute(settings).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(url.parse::<AnyConnectOptions>().map_err(refused)?.disable_statement_logging())
            .await
            .map_err(refused)?;
        migrations().run(&pool).await.map_err(|source| OpenError::Migrate { database: name.to_owned(), source })?;
        Ok(Self { pool, turn })
    }

    /// For reading outside a transaction.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A transaction that will write. On SQLite it is the only writer from its first moment on, so it never fails half
    /// way because another one was faster.
    pub async fn begin_write(&self) -> Result<Write, sqlx::Error> {
        let (turn, begin) = match &self.turn {
            Some(turn) => (Some(turn.clone().acquire_owned().await.expect("it is never closed")), "begin immediate"),
            None => (None, "begin"),
        };
        Ok(Write { transaction: self.pool.begin_with(begin).await?, _turn: turn })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("select 1").execute(&self.pool).await.map(drop)
    }

    /// Waits for running transactions and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The next id of a noun. Other writers of that noun wait until this transaction ends.
pub async fn next_id(connection: &mut AnyConnection, noun: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("update counters set last = last + 1 where noun = $1 returning last")
        .bind(noun)
        .fetch_one(connection)
        .await
}

/// An instant as the database holds it: milliseconds since 1970.
pub fn milliseconds(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a unique constraint or index refused the row.
pub fn is_conflict(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

fn directory_of(path: &Path) -> std::io::Result<File> {
    File::open(path.parent().expect("an absolute path of a file has a directory"))
}

fn migrations() -> Migrator {
    let migration = |version, description: &'static str, text: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "role mappings", include_str!("../migrations/0001_role_mappings.sql")),
        migration(2, "browser sessions", include_str!("../migrations/0002_browser_sessions.sql")),
        migration(3, "identity", include_str!("../migrations/0003_identity.sql")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_by_an_absolute_path_or_a_postgres_url() {
        assert!("sqlite:///var/lib/roles.db".parse::<Address>() == Ok(Address::Sqlite("/var/lib/roles.db".into())));
        assert!("postgres://me:canary@host/roles".parse::<Address>().is_ok());
        for text in
            ["", "roles.db", "sqlite:roles.db", "sqlite://roles.db", "sqlite:///dir/", "sqlite::memory:", "mysql://h/d"]
        {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_display_of_an_address_shows_no_password() {
        let address: Address = "postgres://me:canary@host/roles".parse().expect("an address");
        assert_eq!(address.to_string(), "PostgreSQL");
    }
}
