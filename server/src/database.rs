//! The database of users, projects, members, role mappings and the audit: SQLite or PostgreSQL, with the same SQL for both.
//!
//! [`Database::open`] creates what is missing and migrates the schema; several processes may call it at once. `migrations/`
//! defines the tables; the SQL of a noun stands in the file of the noun.

pub mod address;
pub mod damaged;
pub mod error;
pub mod health;
mod migration;
pub mod rows;
mod turnstile;

use std::fs::{File, OpenOptions};
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::database::address::Address;
use crate::database::error::OpenError;
use crate::database::health::Health;
use crate::database::turnstile::{Held, Turnstile};

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

/// The changes that wait for the turn to write at once; further ones wait until one of these has written. So a row of the audit, for
/// which a job waits, has at most as many before it.
const MAX_CHANGES: usize = 4;

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

/// A pool of connections to a database whose schema is this version's.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    /// The turn to write, on SQLite, where one writes at a time. Whoever waits for it here wakes at once and holds no connection;
    /// SQLite itself polls, and its waiting writers would take the connections away from readers.
    turn: Option<Arc<Semaphore>>,
    /// The place in the line of writers, for changes.
    places: Arc<Semaphore>,
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
    _place: Option<OwnedSemaphorePermit>,
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
        let places = Arc::new(Semaphore::new(MAX_CHANGES));
        Ok(Self { pool, turn, places, turnstile: None, binary, options, health })
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
        let place = self.places.clone().acquire_owned().await.expect("it is never closed");
        Ok(WriteTransaction { _place: Some(place), ..self.begin_audit().await? })
    }

    /// Begins a transaction that writes the audit: as [`Database::begin_write`], but however many changes wait, few go first.
    pub async fn begin_audit(&self) -> Result<WriteTransaction, sqlx::Error> {
        let (turn, begin) = match &self.turn {
            Some(turn) => (Some(turn.clone().acquire_owned().await.expect("it is never closed")), "begin immediate"),
            None => (None, "begin"),
        };
        let held = match &self.turnstile {
            Some(turnstile) => turnstile.pass().await,
            None => None,
        };
        Ok(WriteTransaction { transaction: self.pool.begin_with(begin).await?, _held: held, _turn: turn, _place: None })
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
    use futures_util::FutureExt;

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

    #[tokio::test]
    async fn the_audit_is_written_before_most_changes_that_wait() {
        let directory = std::env::temp_dir().join(format!("changes-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let address = Address::Sqlite(directory.join("roles.db"));
        let database = Database::open(&address, Settings::default()).await.expect("a database");
        let first = database.begin_write().await.expect("it begins");
        let changes: Vec<_> = (0..100)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move {
                    let mut transaction = database.begin_write().await.expect("its turn comes");
                    let id = next_id(&mut transaction, "user").await.expect("an id");
                    transaction.commit().await.expect("it commits");
                    id
                })
            })
            .collect();
        // They all wait now: with one thread, each has run to its first wait.
        tokio::task::yield_now().await;
        let audit = database.begin_audit();
        tokio::pin!(audit);
        assert!(audit.as_mut().now_or_never().is_none(), "a change is under way");
        first.commit().await.expect("it commits");
        let mut transaction = audit.await.expect("its turn comes");
        let id = next_id(&mut transaction, "user").await.expect("an id");
        assert!(id <= MAX_CHANGES as i64, "{id}");
        transaction.commit().await.expect("it commits");
        for change in changes {
            change.await.expect("no panic");
        }
        std::fs::remove_dir_all(&directory).expect("the directory is there");
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
}
