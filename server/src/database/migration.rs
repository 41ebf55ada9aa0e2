//! The migration of the schema, at every start.
//!
//! A schema that is there needs no lock: whoever migrates another version, or hangs while doing so, stops nobody. On PostgreSQL a
//! migration waits a moment only for what others hold, and tries again: all queries of a table wait behind a change of that table which
//! itself waits, for example for a dump.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Executor, SqlSafeStr};
use tokio::time::{Instant, sleep, timeout};

use super::START_TIMEOUT;
use super::error::OpenError;
use crate::log;

/// A wait for a lock is longer than `deadlock_timeout`, which is a second: only then PostgreSQL ends a vacuum of its own that is in the way. No
/// limit for a statement, whatever the role has: a migration of a large database takes minutes.
pub const POSTGRES_SETTINGS: &str = "set lock_timeout = '2s'; set statement_timeout = 0";

/// The pause before another try, in which the queries that waited go on.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest migration of this version.
const LAST_MIGRATION: i64 = 4;

/// Brings the schema to this version, or leaves one that has what this version needs.
///
/// # Errors
/// [`OpenError`]; then nothing has changed. Whoever is not `patient` gets [`OpenError::Held`] after ten seconds.
pub async fn run(
    name: &str,
    options: &AnyConnectOptions,
    settings: &'static str,
    binary: &str,
    is_patient: bool,
) -> Result<(), OpenError> {
    let refused = |source| OpenError::Connect { database: name.to_owned(), source };
    let not_migrated = |source| OpenError::Migrate { database: name.to_owned(), source };
    let migrator = migrations(binary);
    let end = Instant::now() + START_TIMEOUT;
    let mut is_told = false;
    loop {
        let connecting = async {
            let mut connection = options.connect().await?;
            connection.execute(settings).await?;
            let is_there = has_all(&mut connection, &migrator).await?;
            Ok::<_, sqlx::Error>((connection, is_there))
        };
        let (mut connection, is_there) =
            timeout(START_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(silent())).map_err(refused)?;
        let migrated = if is_there { Ok(()) } else { migrator.run(&mut connection).await };
        let holder = migrated.as_ref().err().and_then(holder);
        if let Some(holder) = holder {
            if !is_patient && Instant::now() >= end {
                return Err(OpenError::Held { database: name.to_owned(), holder });
            }
            if is_patient && !std::mem::replace(&mut is_told, true) {
                log::line(&format_args!("waiting to migrate the schema: {holder}"));
            }
            // The lock of migrations ends with the connection.
            let _ = timeout(PAUSE, connection.close()).await;
            sleep(PAUSE).await;
            continue;
        }
        migrated.map_err(not_migrated)?;
        let checking = async {
            check_compatibility(&mut connection).await?;
            Ok::<_, MigrateError>(connection.close().await?)
        };
        let checked = timeout(START_TIMEOUT, checking).await;
        return checked.unwrap_or_else(|_| Err(silent().into())).map_err(not_migrated);
    }
}

fn silent() -> sqlx::Error {
    let text = format!("no answer within {} s", START_TIMEOUT.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

/// Whether the database has all migrations of this version, as they are here.
async fn has_all(connection: &mut AnyConnection, migrator: &Migrator) -> Result<bool, sqlx::Error> {
    let select = "select version, checksum from _sqlx_migrations where success";
    let applied: Vec<(i64, Vec<u8>)> = match sqlx::query_as(select).fetch_all(connection).await {
        Ok(applied) => applied,
        // A new database has no such table. The migrator says what else may be wrong.
        Err(sqlx::Error::Database(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_applied = |migration: &Migration| {
        applied.iter().any(|(version, checksum)| *version == migration.version && *checksum == *migration.checksum)
    };
    Ok(migrator.iter().all(is_applied))
}

/// Who keeps the migration from going on, if they may soon be gone.
fn holder(error: &MigrateError) -> Option<&'static str> {
    let (error, holder) = match error {
        MigrateError::Execute(error) => (error, "another program migrates it"),
        MigrateError::ExecuteMigration(error, _) => (
            error,
            "others use what changes: a dump, a long query or an open transaction, which pg_stat_activity shows",
        ),
        _ => return None,
    };
    let is_held = error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03"));
    is_held.then_some(holder)
}

/// Refuses a schema that a newer version has taken something away from. One that a newer version only added to is fine: during a
/// rolling upgrade both run.
async fn check_compatibility(connection: &mut AnyConnection) -> Result<(), MigrateError> {
    let oldest: i64 =
        sqlx::query_scalar("select oldest_migration from schema_compatibility").fetch_one(connection).await?;
    if oldest <= LAST_MIGRATION { Ok(()) } else { Err(MigrateError::VersionMissing(oldest)) }
}

/// The migrations, with this name for the collation that orders byte by byte.
fn migrations(binary: &str) -> Migrator {
    let migration = |version, description: &'static str, text: &'static str| {
        let text = AssertSqlSafe(text.replace("{binary}", binary));
        Migration::new(version, description.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        migration(1, "role mappings", include_str!("../../migrations/0001_role_mappings.sql")),
        migration(2, "browser sessions", include_str!("../../migrations/0002_browser_sessions.sql")),
        migration(3, "identity", include_str!("../../migrations/0003_identity.sql")),
        migration(LAST_MIGRATION, "holds at size", include_str!("../../migrations/0004_holds_at_size.sql")),
    ]);
    // `check_compatibility` says whether the migrations of a newer version are in the way.
    migrator.set_ignore_missing(true);
    migrator
}
