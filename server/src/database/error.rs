//! The errors of the database: why it cannot be opened, and what keeps it from being used.

use sqlx::migrate::MigrateError;

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
