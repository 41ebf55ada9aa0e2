//! The address of the database: a file of SQLite or the URL of PostgreSQL.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

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

#[cfg(test)]
mod tests {
    use super::*;

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
