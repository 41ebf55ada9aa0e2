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
    let name = url.rsplit('/').find_map(|part| part.split_once("?host=")).expect("a URL of ours").0;
    block_on(async {
        let mut connection = connect(&url.replace(name, "postgres")).await;
        connection.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await.expect("it is dropped");
    });
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
