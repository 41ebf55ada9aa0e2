//! Health: whether the database can be written, as one task finds out once a second. Whoever asks gets the last result, so asking costs
//! nothing, however many ask.
//!
//! The task has a connection of its own: a pool that is busy is not a database in trouble. It writes for real only after a request failed
//! because of the database; before that it proves that it might.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use sqlx::{AnyConnection, ConnectOptions, Connection, Executor};
use tokio::sync::Notify;

use crate::database::Database;
use crate::error::with_sources;
use crate::log;

/// The pause between two checks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest time for a check.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The time for which another writer of SQLite may hold the lock: an `apply` is at work for seconds, and that is not trouble.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A change that changes nothing. On a disk that is full, or on a database that became read-only, it fails like any other.
const TRIAL: &str = "update schema_compatibility set one = 1 where one = 1";

/// Why the server is not ready. Its text is for everybody who reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Nothing is known yet.
    #[error("the server is starting")]
    Starting,
    /// No connection, no answer, or not in time.
    #[error("the database does not answer")]
    Silent,
    /// A standby, or a server that was made read-only.
    #[error("the database is read-only")]
    ReadOnly,
    /// It answers, but it does not take changes: a full disk, a lock that somebody holds, missing permissions.
    #[error("the database cannot be written")]
    NotWritable,
    /// The system has asked the server to stop.
    #[error("the server is stopping")]
    Stopping,
}

/// The last result, and what the next check has to know. Clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    last: Mutex<Last>,
    /// Whether a request failed because of the database since the last trial.
    is_suspect: AtomicBool,
    wake: Notify,
    /// 1 while the server is ready.
    gauge: Gauge,
}

#[derive(Debug)]
struct Last {
    result: Result<(), Unready>,
    /// Connections that were opened before may still be to a database that is read-only.
    writable_since: Instant,
}

impl Default for Health {
    fn default() -> Self {
        let last = Last { result: Err(Unready::Starting), writable_since: Instant::now() };
        Self(Arc::new(Shared {
            last: Mutex::new(last),
            is_suspect: AtomicBool::default(),
            wake: Notify::default(),
            gauge: Gauge::default(),
        }))
    }
}

impl Health {
    /// Whether the server is ready: the last result.
    ///
    /// # Errors
    /// Why it is not.
    pub fn last(&self) -> Result<(), Unready> {
        self.lock().result
    }

    /// The metric: 1 while the server is ready, else 0.
    pub fn gauge(&self) -> Gauge {
        self.0.gauge.clone()
    }

    /// Says for good that the server is stopping.
    pub fn stop(&self) {
        self.set(Err(Unready::Stopping));
    }

    /// Has the database checked now, with a write: a request failed because of it.
    pub fn suspect(&self) {
        self.0.is_suspect.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }

    /// Whether a connection of this age was opened before the database could be written again. Its session may be read-only for good.
    pub fn is_outdated(&self, age: Duration) -> bool {
        self.lock().writable_since.elapsed() < age
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.0.last.lock().expect("nobody panics while holding it")
    }

    fn set(&self, result: Result<(), Unready>) {
        let mut last = self.lock();
        if last.result != Err(Unready::Stopping) {
            last.result = result;
            self.0.gauge.set(result.is_ok().into());
        }
    }

    /// Renews all connections of the pool, each when it is used next.
    pub(super) fn renew_connections(&self) {
        self.lock().writable_since = Instant::now();
    }
}

/// Checks the database once, and from then on in a task of its own.
pub async fn watch(database: &Database) {
    let mut watcher = Watcher { database: database.clone(), connection: None, locked_since: None };
    watcher.check().await;
    tokio::spawn(async move {
        loop {
            let _ = tokio::time::timeout(INTERVAL, watcher.database.health.0.wake.notified()).await;
            watcher.check().await;
            // Failing requests ask for a check at once; the next one does not follow at once.
            tokio::time::sleep(INTERVAL / 2).await;
        }
    });
}

struct Watcher {
    database: Database,
    /// Kept open on PostgreSQL. A connection to SQLite is new each time: a file that was removed or may not be read any more is noticed.
    connection: Option<AnyConnection>,
    /// Since when another writer of SQLite holds the lock.
    locked_since: Option<Instant>,
}

impl Watcher {
    async fn check(&mut self) {
        let health = self.database.health.clone();
        let before = health.last();
        let is_suspect = health.0.is_suspect.swap(false, Ordering::Relaxed);
        let must_write = is_suspect || before == Err(Unready::NotWritable);
        if must_write || before.is_err() {
            // A session may be read-only for good; a new one shows what the database is now.
            self.connection = None;
        }
        let was_connected = self.connection.is_some();
        let mut tried = self.try_in_time(must_write).await;
        if tried.is_err() && was_connected {
            // The connection may have ended, and the database be well.
            self.connection = None;
            tried = self.try_in_time(must_write).await;
        }
        if self.is_locked(&tried) {
            let since = *self.locked_since.get_or_insert_with(Instant::now);
            if before.is_ok() && since.elapsed() < LOCK_PATIENCE {
                health.0.is_suspect.fetch_or(must_write, Ordering::Relaxed);
                return;
            }
        } else {
            self.locked_since = None;
        }
        let result = tried.as_ref().map(|_| ()).map_err(|(unready, _)| *unready);
        if result.is_err() {
            self.connection = None;
        } else if must_write || before.is_err() {
            health.renew_connections();
        }
        health.set(result);
        match (before, result) {
            (Err(Unready::Starting | Unready::Stopping), Ok(())) => {}
            (Err(_), Ok(())) => log::line(&"ready again"),
            (before, Err(unready)) if before != result => {
                let cause = tried.err().and_then(|(_, error)| error);
                let cause = cause.map_or_else(|| "not in time".to_owned(), |error| with_sources(&error));
                log::line(&format_args!("not ready: {unready}: {cause}"));
            }
            (Ok(()) | Err(_), Ok(()) | Err(_)) => {}
        }
    }

    /// Whether another writer of SQLite, of this process or of another one, is at work.
    fn is_locked(&self, tried: &Result<(), (Unready, Option<sqlx::Error>)>) -> bool {
        match tried {
            Err((Unready::NotWritable, None)) => self.database.turn.is_some(),
            Err((Unready::NotWritable, Some(error))) => self.database.turn.is_some() && is_lock_of_sqlite(error),
            _ => false,
        }
    }

    /// Tries to write; an error without a cause says that it took too long.
    async fn try_in_time(&mut self, must_write: bool) -> Result<(), (Unready, Option<sqlx::Error>)> {
        let slow = if self.database.turn.is_some() { Unready::NotWritable } else { Unready::Silent };
        match tokio::time::timeout(TIMEOUT, self.try_to_write(must_write)).await {
            Ok(tried) => tried.map_err(|(unready, error)| (unready, Some(error))),
            Err(_) => Err((slow, None)),
        }
    }

    async fn try_to_write(&mut self, must_write: bool) -> Result<(), (Unready, sqlx::Error)> {
        let silent = |error| (Unready::Silent, error);
        match self.database.turn.clone() {
            Some(turn) => {
                let mut connection = self.database.connect_once().await.map_err(silent)?;
                let _turn = turn.acquire_owned().await.expect("it is never closed");
                let trial = if must_write { format!("{TRIAL}; commit") } else { "rollback".to_owned() };
                let statement = format!("pragma busy_timeout = 2500; begin immediate; {trial}");
                let tried = connection.execute(sqlx::AssertSqlSafe(statement)).await.map(drop);
                let _ = connection.close().await;
                tried.map_err(|error| (Unready::NotWritable, error))
            }
            None => {
                let connection = match &mut self.connection {
                    Some(connection) => connection,
                    None => self.connection.insert(self.database.connect_once().await.map_err(silent)?),
                };
                let read_only = "select case when pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' \
                                 then 1 else 0 end";
                let read_only: i32 = sqlx::query_scalar(read_only).fetch_one(&mut *connection).await.map_err(silent)?;
                if read_only == 1 {
                    return Err((Unready::ReadOnly, sqlx::Error::Protocol("it takes no changes".to_owned())));
                }
                if must_write {
                    connection.execute(TRIAL).await.map_err(|error| (Unready::NotWritable, error))?;
                }
                Ok(())
            }
        }
    }
}

/// Whether SQLite says that it is locked (`SQLITE_BUSY` or one of its kinds).
fn is_lock_of_sqlite(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

impl Database {
    /// Opens one more connection, beside the pool.
    async fn connect_once(&self) -> Result<AnyConnection, sqlx::Error> {
        self.options.connect().await
    }
}
