//! The database of users, projects, members, role mappings and the audit: SQLite or PostgreSQL, with the same SQL for both.
//!
//! [`Database::open`] creates what is missing and migrates the schema; several processes may call it at once. `migrations/`
//! defines the tables; the SQL of a noun stands in the file of the noun.

pub mod health;
mod migration;
pub mod rows;
mod turnstile;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The longest wait for the lock of the directory: as long as SQLite's own for a writer. On PostgreSQL for a connection, and for others to
/// release what a migration needs.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// WAL lets readers go on while another connection writes (<https://sqlite.org/wal.html>). FULL puts a commit on the disk before its
/// answer leaves, so the audit survives a power failure. A writer of another process is waited for, but not past the deadline of a
/// request.
const SQLITE_SETTINGS: &str = "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = full; \
                               pragma foreign_keys = on";

/// No statement outlives the request that waits for it.
const POSTGRES_SETTINGS: &str = "set statement_timeout = '8s'; set lock_timeout = '7s'; \
                                 set idle_in_transaction_session_timeout = '15s'";

/// The time after its last use for which a connection of PostgreSQL is used again without a question.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The longest wait for the answer to that question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

use crate::database::health::Health;
use crate::database::turnstile::{Held, Turnstile};

/// What a URL of a database looks like.
const SPELLING: &str = "write the database as sqlite:///absolute/path/roles.db or postgres://user@host/name";

/// The address of the database, as `--database` and `DATABASE_URL` give it.
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
            return check_transport(text).map(|()| Address::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite://") {
            Some(path) if path.starts_with('/') && !path.ends_with('/') && !path.contains(['?', '#', '%']) => {
                Ok(Address::Sqlite(PathBuf::from(path)))
            }
            Some(_) | None => Err(SPELLING),
        }
    }
}

/// Refuses a URL that would let somebody on the way to another host pose as the database: who can do that makes themselves a member
/// of any project. The driver's own reading of the URL counts, with its variables such as `PGHOST`.
fn check_transport(url: &str) -> Result<(), &'static str> {
    // The driver's message would quote the URL.
    let options = PgConnectOptions::from_str(url).map_err(|_| SPELLING)?;
    match options.get_ssl_mode() {
        PgSslMode::Allow | PgSslMode::Prefer if !is_local(&options) => Err(
            "the connection to PostgreSQL on another host must be protected: add ?sslmode=verify-full to its URL, and \
             &sslrootcert=FILE for an authority that the system does not trust; or add ?sslmode=disable if the network \
             protects it",
        ),
        _ => Ok(()),
    }
}

/// Whether the connection stays on this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    options.get_socket().is_some() || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Address {
    /// Whether the connection leaves this machine without any check of who answers.
    pub fn is_unprotected(&self) -> bool {
        let Address::Postgres(url) = self else { return false };
        PgConnectOptions::from_str(url)
            .is_ok_and(|options| matches!(options.get_ssl_mode(), PgSslMode::Disable) && !is_local(&options))
    }
}

impl fmt::Display for Address {
    /// Writes the path of a file, and for PostgreSQL just its name: the URL may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Sqlite(path) => write!(formatter, "{}", path.display()),
            Address::Postgres(_) => formatter.write_str("PostgreSQL"),
        }
    }
}

/// How the pool of connections is used.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The most connections; `None` for the number that was measured to be best.
    pub connections: Option<NonZeroU32>,
    /// The longest wait for one of them.
    pub timeout: Duration,
    /// Whether to wait, and say so in the log, for as long as others keep the schema from being migrated.
    pub waits_to_migrate: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connections: None, timeout: Duration::from_secs(5), waits_to_migrate: false }
    }
}

/// The reason why the database cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its directory cannot be used.
    #[error("cannot open the database {database}; its directory must exist and be readable and writable for this user")]
    File {
        /// The database.
        database: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Somebody holds the lock of the directory.
    #[error(
        "the directory of the database {0} stays locked; a command that migrates the schema may hold the lock, or a program such as \
         flock: \"lslocks\" shows which; wait until it ends, then try again"
    )]
    Locked(String),
    /// The database refuses the connection.
    #[error("cannot connect to the database {database}")]
    Connect {
        /// The database.
        database: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// Others keep the schema from being migrated.
    #[error("the schema of the database {database} has to be migrated, but {holder}; try again when it ends")]
    Held {
        /// The database.
        database: String,
        /// Who holds what.
        holder: &'static str,
    },
    /// The schema cannot be migrated, for example because a newer version of this program made it.
    #[error("cannot migrate the schema of the database {database}")]
    Migrate {
        /// The database.
        database: String,
        /// The cause.
        source: MigrateError,
    },
}

/// A pool of connections to a database whose schema is this version's.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    /// The turn to write, on SQLite, where one writes at a time. Whoever waits for it here wakes at once and holds no connection;
    /// SQLite itself polls, and its waiting writers would take the connections away from readers.
    turn: Option<Arc<Semaphore>>,
    /// The turn of this process, on SQLite.
    turnstile: Option<Arc<Turnstile>>,
    /// The name of the collation that orders byte by byte.
    binary: &'static str,
    /// The way to one more connection.
    options: AnyConnectOptions,
    /// Whether the database can be written.
    health: Health,
}

/// A transaction that writes. If it is dropped before its commit, it changes nothing.
pub struct WriteTransaction {
    transaction: Transaction<'static, Any>,
    // In this order: the turn of the process ends before the next writer in it asks for one.
    _held: Option<Held>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl WriteTransaction {
    /// Commits the transaction.
    ///
    /// # Errors
    /// The database's error; then nothing has changed.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl Deref for WriteTransaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl Database {
    /// Connects, creates the file (mode 0600) and the schema if they are missing, and migrates an older schema.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing has changed.
    pub async fn open(address: &Address, settings: Settings) -> Result<Self, OpenError> {
        // Every call in a process but the first fails, and need not succeed.
        let _ = sqlx::any::install_drivers(&[sqlx::sqlite::any::DRIVER, sqlx::postgres::any::DRIVER]);
        let name = address.to_string();
        match address {
            Address::Sqlite(path) => {
                let refused = |source| OpenError::File { database: name.clone(), source };
                // SQLite has no lock for migrations: neither the change to WAL nor the migrator waits for another process.
                let directory = Arc::new(open_directory(path).map_err(refused)?);
                let lock = turnstile::lock(&directory, Instant::now() + START_TIMEOUT).await;
                let lock = lock.ok_or_else(|| OpenError::Locked(name.clone()))?;
                OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(refused)?;
                let url = format!("sqlite://{}", path.display());
                let database = Self::connect(&name, &url, settings, Some(Arc::new(Semaphore::new(1)))).await?;
                drop(lock);
                // Without it, for example because its files are another user's, the database is right, but not fair.
                Ok(Self { turnstile: Turnstile::open(path).ok().map(Arc::new), ..database })
            }
            Address::Postgres(url) => Self::connect(&name, url, settings, None).await,
        }
    }

    async fn connect(
        name: &str,
        url: &str,
        settings: Settings,
        turn: Option<Arc<Semaphore>>,
    ) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Connect { database: name.to_owned(), source };
        let is_sqlite = turn.is_some();
        let options = url.parse::<AnyConnectOptions>().map_err(refused)?.disable_statement_logging();
        let binary = if is_sqlite { "binary" } else { "\"C\"" };
        let statements = if is_sqlite { SQLITE_SETTINGS } else { POSTGRES_SETTINGS };
        // Without the time-outs of the pool: a migration of a large database takes minutes.
        let statements_of_migration = if is_sqlite { SQLITE_SETTINGS } else { migration::POSTGRES_SETTINGS };
        migration::run(name, &options, statements_of_migration, binary, settings.waits_to_migrate).await?;

        // A connection of SQLite is a thread that computes, so more connections than cores only wait for each other: measured on
        // two cores, the p99 is 100 ms with eight and 7 ms with two. One more is for whoever writes. A connection of PostgreSQL waits
        // for the network.
        let measured = if is_sqlite {
            std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)) + 1
        } else {
            8
        };
        let measured = u32::try_from(measured).expect("nine at most");
        let health = Health::default();
        let (renewal, released) = (health.clone(), health.clone());
        let pool = AnyPoolOptions::new()
            .max_connections(settings.connections.map_or(measured, NonZeroU32::get))
            .acquire_timeout(settings.timeout)
            .test_before_acquire(false)
            .after_connect(move |connection, _| Box::pin(async move { connection.execute(statements).await.map(drop) }))
            // A connection of PostgreSQL may have died since its last use; a file does not. One that was just used is good.
            .before_acquire(move |connection, meta| {
                let renewal = renewal.clone();
                Box::pin(async move {
                    let is_trusted = is_sqlite || meta.idle_for < TRUSTED_FOR;
                    Ok(!renewal.is_outdated(meta.age) && (is_trusted || answers(connection, &renewal).await))
                })
            })
            // A request that ended at its deadline leaves a query behind. The pool itself would wait without limit for a peer that
            // has died, and the place of the connection would stay taken.
            .after_release(move |connection, _| {
                let renewal = released.clone();
                Box::pin(async move { Ok(is_sqlite || answers(connection, &renewal).await) })
            })
            .connect_with(options.clone())
            .await
            .map_err(refused)?;
        Ok(Self { pool, turn, turnstile: None, binary, options, health })
    }

    /// The pool, for reading outside a transaction.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// The name of the collation that orders texts byte by byte, for `order by … collate`: the order of a list is the same on every
    /// database, whatever its locale.
    pub fn binary(&self) -> &'static str {
        self.binary
    }

    /// Begins a transaction that writes. On SQLite it is the only writer from its beginning, so it never fails half-way because
    /// another writer was faster.
    pub async fn begin_write(&self) -> Result<WriteTransaction, sqlx::Error> {
        let (turn, begin) = match &self.turn {
            Some(turn) => (Some(turn.clone().acquire_owned().await.expect("it is never closed")), "begin immediate"),
            None => (None, "begin"),
        };
        let held = match &self.turnstile {
            Some(turnstile) => turnstile.pass().await,
            None => None,
        };
        Ok(WriteTransaction { transaction: self.pool.begin_with(begin).await?, _held: held, _turn: turn })
    }

    /// Whether the database can be written.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Waits for running transactions and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Takes the next id of a noun. Other writers of that noun wait until this transaction ends.
pub async fn next_id(connection: &mut AnyConnection, noun: &'static str) -> Result<i64, sqlx::Error> {
    next_ids(connection, noun, 1).await
}

/// Takes this number of ids of a noun at once; returns the first. Other writers of that noun wait until this transaction ends, even when
/// the number is 0.
pub async fn next_ids(connection: &mut AnyConnection, noun: &'static str, number: usize) -> Result<i64, sqlx::Error> {
    let number = i64::try_from(number).expect("ids of rows that are in memory");
    let last: i64 = sqlx::query_scalar("update counters set last = last + $2 where noun = $1 returning last")
        .bind(noun)
        .bind(number)
        .fetch_one(connection)
        .await?;
    Ok(last - number + 1)
}

/// The end of a `select` that locks its rows until the transaction ends, and leaves readers and foreign keys alone. On SQLite a
/// transaction that writes is alone anyway.
pub fn row_lock(connection: &AnyConnection) -> &'static str {
    if connection.backend_name() == "PostgreSQL" { " for no key update" } else { "" }
}

/// Converts an instant to what the database holds: milliseconds since 1970.
pub fn milliseconds(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a unique constraint or index refused the row.
pub fn is_conflict(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// What keeps the database from being used, if that may pass: a later request may succeed, and another server beside this one would
/// not fare better.
///
/// Sources: <https://sqlite.org/rescode.html>; PostgreSQL, appendix A, "PostgreSQL Error Codes".
pub fn trouble(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::PoolTimedOut => Some("does not answer in time"),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Some("cannot be reached")
        }
        sqlx::Error::Database(error) => {
            let code = error.code()?;
            match (code.as_ref(), code.parse::<u32>().map(|code| code & 0xff)) {
                ("25006", _) | ("57P01" | "57P02" | "57P03", _) => {
                    Some("cannot be written: it is read-only or shuts down")
                }
                ("53100", _) => Some("cannot be written: its disk is full"),
                ("53300", _) => Some("has no free connection"),
                ("55P03" | "40001" | "40P01", _) => Some("is busy with another change"),
                ("57014", _) => Some("does not answer in time"),
                (code, Ok(5 | 6)) if code.len() < 5 => Some("is busy with the change of another program"),
                (code, Ok(8)) if code.len() < 5 => Some("cannot be written: it is read-only"),
                (code, Ok(13)) if code.len() < 5 => Some("cannot be written: its disk is full"),
                (code, Ok(10 | 14)) if code.len() < 5 => Some("cannot be read or written"),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether PostgreSQL has ended a statement because of its time.
pub fn is_statement_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("57014"))
}

/// Whether the other end of the connection is alive. If it is not, the ends of the others are suspect too: they are closed at their next
/// use instead of being waited for one after the other.
async fn answers(connection: &mut AnyConnection, health: &Health) -> bool {
    let is_alive = matches!(tokio::time::timeout(ANSWER_TIMEOUT, connection.ping()).await, Ok(Ok(())));
    if !is_alive {
        health.renew_connections();
    }
    is_alive
}

fn open_directory(path: &Path) -> std::io::Result<File> {
    File::open(path.parent().expect("an absolute path of a file has a directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes until the process ends, and holds each transaction for as long as a slow disk takes.
    async fn write_without_pause(database: Database) {
        loop {
            let mut transaction = database.begin_write().await.expect("it begins");
            next_id(&mut transaction, "user").await.expect("an id");
            tokio::time::sleep(Duration::from_millis(3)).await;
            transaction.commit().await.expect("it commits");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_that_writes_now_and_then_gets_its_turn_beside_one_that_writes_without_pause() {
        let directory = std::env::temp_dir().join(format!("turnstile-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let address = Address::Sqlite(directory.join("roles.db"));
        let busy = Database::open(&address, Settings::default()).await.expect("a database");
        let other = Database::open(&address, Settings::default()).await.expect("the same");
        let writers: Vec<_> = (0..8).map(|_| tokio::spawn(write_without_pause(busy.clone()))).collect();
        for _ in 0..50 {
            let mut transaction = other.begin_write().await.expect("its turn comes");
            next_id(&mut transaction, "project").await.expect("an id");
            transaction.commit().await.expect("it commits");
        }
        assert!(writers.iter().all(|writer| !writer.is_finished()), "a writer failed");
        writers.iter().for_each(tokio::task::JoinHandle::abort);
        let select = "select last from counters where noun = 'user'";
        let written: i64 = sqlx::query_scalar(select).fetch_one(other.pool()).await.expect("a number");
        let _ = std::fs::remove_dir_all(&directory);
        assert!(written < 5 * 50, "{written} turns while the other process had 50");
    }

    #[test]
    fn an_address_is_an_absolute_path_or_a_postgres_url() {
        assert!("sqlite:///var/lib/roles.db".parse::<Address>() == Ok(Address::Sqlite("/var/lib/roles.db".into())));
        assert!("postgres://me:canary@localhost/roles".parse::<Address>().is_ok());
        for text in [
            "",
            "roles.db",
            "sqlite:roles.db",
            "sqlite://roles.db",
            "sqlite:///dir/",
            "sqlite::memory:",
            "mysql://h/d",
            "postgres://[/d",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn postgres_on_another_host_is_reached_by_a_checked_connection_only_unless_told() {
        for url in [
            "postgres://me@db.example.org/roles",
            "postgres://me@db.example.org/roles?sslmode=prefer",
            "postgres://me@db.example.org/roles?ssl-mode=allow",
            "postgres://me@localhost/roles?host=db.example.org",
            "postgres://me@localhost/roles?hostaddr=192.0.2.7",
            "postgres://me@localhost/roles?sslmode=disable&sslmode=prefer&host=db",
            "postgres://localhost,db.example.org/roles",
            "postgres://127.0.0.1.example.org/roles",
            "postgres://me@[2001:db8::1]/roles",
        ] {
            assert!(url.parse::<Address>().is_err_and(|problem| problem.contains("sslmode=verify-full")), "{url}");
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            let address: Address = format!("postgres://me@db/roles?sslmode={mode}").parse().expect("an address");
            assert!(!address.is_unprotected());
        }
        for local in
            ["localhost", "127.0.0.1", "127.8.9.10", "[::1]", "%2Frun%2Fpostgresql", "h/d?host=/run/postgresql#"]
        {
            let address: Address = format!("postgres://me@{local}/roles").parse().expect(local);
            assert!(!address.is_unprotected());
        }
        let told: Address = "postgres://me@db/roles?sslmode=disable".parse().expect("an address");
        assert!(told.is_unprotected());
    }

    #[test]
    fn the_display_of_an_address_shows_no_password() {
        let address: Address = "postgres://me:canary@host/roles?sslmode=require".parse().expect("an address");
        assert_eq!(address.to_string(), "PostgreSQL");
    }
}
