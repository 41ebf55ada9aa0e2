//! One PostgreSQL for all tests of a run: it listens on a socket in a temporary directory, and it ends with the test process in
//! any case.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::world::{block_on, connect};

/// Prints the directory of the socket, and stops PostgreSQL when its stdin closes. PostgreSQL does not run as root.
const CLUSTER: &str = r#"
set -eu
cd /
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
[ "$(id -u)" != 0 ] || chown postgres "$dir"
as "$bin/initdb" -D "$dir/data" -U postgres -A trust -N -E UTF8 --locale=C.UTF-8 > /dev/null
as "$bin/pg_ctl" -D "$dir/data" -w -t 30 -l "$dir/log" \
    -o "-c listen_addresses='' -k $dir -c fsync=off -c max_connections=500" start > /dev/null
echo "$dir"
cat > /dev/null
as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop > /dev/null
rm -rf "$dir"
"#;

struct Cluster {
    directory: String,
    _keeper: Child,
}

fn cluster() -> &'static Cluster {
    static CELL: OnceLock<Cluster> = OnceLock::new();
    CELL.get_or_init(|| {
        let mut keeper = Command::new("sh")
            .args(["-c", CLUSTER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut line).expect("stdout is readable");
        assert!(!line.is_empty(), "PostgreSQL does not start; it is installed by: apt-get install postgresql");
        Cluster { directory: line.trim_end().to_owned(), _keeper: keeper }
    })
}

/// Drops a database together with its connections.
pub fn drop_database(url: &str) {
    run_beside(url, |name| format!("drop database {name} with (force)"));
}

/// Makes a database read-only, or writable again, for the sessions that begin from now on; when it becomes read-only, the present ones end.
pub fn set_read_only(url: &str, is_read_only: bool) {
    run_beside(url, |name| format!("alter database {name} set default_transaction_read_only = {is_read_only}"));
    if is_read_only {
        run_beside(url, |name| {
            format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        });
    }
}

/// Makes PostgreSQL look every second, instead of every minute, for tables to be vacuumed.
pub fn vacuum_often(url: &str, is_often: bool) {
    let nap = if is_often { "'1s'" } else { "default" };
    run_beside(url, |_| format!("alter system set autovacuum_naptime = {nap}"));
    run_beside(url, |_| "select pg_reload_conf()".to_owned());
}

/// The schema of the newest version that a program of this one has to migrate.
pub fn older_schema() -> Migrator {
    let migration = |version, text: &'static str| {
        let text = AssertSqlSafe(text.replace("{binary}", "\"C\"")).into_sql_str();
        Migration::new(version, Cow::Borrowed("older"), MigrationType::Simple, text, false)
    };
    Migrator::with_migrations(vec![
        migration(1, include_str!("../../migrations/0001_role_mappings.sql")),
        migration(2, include_str!("../../migrations/0002_browser_sessions.sql")),
        migration(3, include_str!("../../migrations/0003_identity.sql")),
    ])
}

/// Returns the number of transactions that the database has seen.
pub fn transactions(url: &str) -> i64 {
    let (name, postgres) = beside(url);
    block_on(async {
        let query = format!("select xact_commit + xact_rollback from pg_stat_database where datname = '{name}'");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connect(&postgres).await).await.expect("a row")
    })
}

/// Returns the statements, with their plans, that new sessions of the database run while `act` runs. All of these sessions must have ended
/// by then. `mode` is PostgreSQL's `plan_cache_mode`.
pub fn record_plans(url: &str, mode: &str, act: impl FnOnce()) -> Vec<(String, String)> {
    let directory = url.split_once("?host=").expect("a URL of ours").1;
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        &format!("plan_cache_mode = {mode}"),
    ] {
        run_beside(url, |name| format!("alter database {name} set {setting}"));
    }
    let log = || std::fs::read_to_string(format!("{directory}/log")).expect("a log");
    let begin = log().len();
    act();
    // A statement that is explained once more says that everything before it is there.
    run_beside(url, |name| format!("alter database {name} reset all"));
    let log = log();
    let entries = log[begin..].split("  plan:\n\tQuery Text: ").skip(1);
    entries
        .map(|entry| {
            let mut lines = entry.split('\n');
            let statement = lines.next().unwrap_or_default().to_owned();
            (statement, lines.take_while(|line| line.starts_with('\t')).collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn run_beside(url: &str, statement: impl FnOnce(&str) -> String) {
    let (name, postgres) = beside(url);
    block_on(async {
        connect(&postgres).await.execute(AssertSqlSafe(statement(name))).await.expect("it runs");
    });
}

/// Returns the name of a database, and the URL of another one in the same cluster.
fn beside(url: &str) -> (&str, String) {
    let name = url.rsplit('/').find_map(|part| part.split_once("?host=")).expect("a URL of ours").0;
    (name, url.replace(name, "postgres"))
}

/// Creates a database for one test; returns its URL.
pub fn new_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("roles_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = |database: &str| format!("postgres://postgres@localhost/{database}?host={}", cluster().directory);
    block_on(async {
        let mut connection = connect(&url("postgres")).await;
        connection.execute(AssertSqlSafe(format!("create database {name}"))).await.expect("a database");
    });
    url(&name)
}

/// A network between a server and PostgreSQL that can lose its connections without telling anybody, as when a host dies.
pub struct Network {
    /// The URL of the database through this network.
    pub url: String,
    lost: Arc<AtomicU32>,
}

impl Network {
    pub fn to(database: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (url, directory) = database.split_once("?host=").expect("a URL of ours");
        let socket = format!("{directory}/.s.PGSQL.5432");
        let lost = Arc::<AtomicU32>::default();
        let network = Self { url: url.replace("localhost", &address.to_string()), lost: lost.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = UnixStream::connect(&socket).expect("PostgreSQL listens");
                let epoch = lost.load(Ordering::SeqCst);
                let (to_server, to_client) =
                    (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
                for (from, to) in [
                    (Box::new(client) as Box<dyn Read + Send>, Box::new(to_server) as Box<dyn Write + Send>),
                    (Box::new(server), Box::new(to_client)),
                ] {
                    let lost = lost.clone();
                    std::thread::spawn(move || carry(from, to, || lost.load(Ordering::SeqCst) == epoch));
                }
            }
        });
        network
    }

    /// Loses all connections. New ones work.
    pub fn lose_connections(&self) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }
}

/// Carries bytes until either end closes; swallows them once the connection is lost, and then closes nothing.
fn carry(mut from: impl Read, mut to: impl Write, is_there: impl Fn() -> bool) {
    let mut bytes = [0; 8192];
    while let Ok(number @ 1..) = from.read(&mut bytes) {
        if is_there() && to.write_all(&bytes[..number]).is_err() {
            return;
        }
    }
    if !is_there() {
        std::thread::park();
    }
}
