//! One PostgreSQL for all tests of a run: it listens on a socket in a temporary directory, and it ends with the test process in
//! any case.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Executor};

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

/// Returns the number of transactions that the database has seen.
pub fn transactions(url: &str) -> i64 {
    let (name, postgres) = beside(url);
    block_on(async {
        let query = format!("select xact_commit + xact_rollback from pg_stat_database where datname = '{name}'");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connect(&postgres).await).await.expect("a row")
    })
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
