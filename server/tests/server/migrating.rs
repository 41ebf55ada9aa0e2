//! A start that finds a silent PostgreSQL, or has to migrate the schema while others use it: every wait ends, and says what it waits for.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor};

use crate::postgres;
use crate::world::{World, block_on, connect};

/// The lock that sqlx takes while it migrates this database.
fn lock_of_migrations(world: &World) -> i64 {
    let name = world.database.rsplit('/').find_map(|part| part.split_once("?host=")).expect("a URL of ours").0;
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = name.bytes().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step));
    0x3d32_ad9e * i64::from(!crc)
}

/// Starts a server, and does not wait until it listens.
fn start_to_serve(world: &World) -> Child {
    let mut command = world.program(&["serve", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn listens_in_the_end_and_said_once_that_it_waited(mut serving: Child) {
    let mut line = [0; 13];
    serving.stdout.take().expect("piped").read_exact(&mut line).expect("the server starts");
    assert_eq!(&line, b"listening on ");
    serving.kill().expect("it runs");
    let mut log = String::new();
    serving.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
    assert_eq!(log.matches(" waiting to migrate the schema: ").count(), 1, "{log}");
    serving.wait().expect("it ends");
}

#[test]
fn a_command_on_a_postgres_that_is_silent_ends_and_says_so() {
    let world = World::sqlite();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    std::thread::spawn(move || silent.incoming().flatten().collect::<Vec<_>>());
    let url = format!("postgres://me:canary@{address}/roles");
    for command in [vec!["mapping", "list"], vec!["serve", "--listen", "127.0.0.1:0"]] {
        let begin = Instant::now();
        let ran = world.run_with(&command, &[("DATABASE_URL", &url)]);
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
        assert_eq!(
            ran.stderr,
            "cannot connect to the database PostgreSQL: error communicating with database: no answer within 10 s\n"
        );
    }
}

#[test]
fn whoever_holds_the_lock_of_migrations_stops_nobody_whose_schema_is_there() {
    let world = World::postgres();
    world.done(&["project", "add", "churn"]);
    block_on(async {
        let mut other = connect(&world.database).await;
        let lock = format!("select pg_advisory_lock({})", lock_of_migrations(&world));
        other.execute(AssertSqlSafe(lock)).await.expect("the lock is free");
        assert_eq!(world.done(&["project", "add", "fraud"]), "2");
        assert_eq!(world.serve().send("GET", "/readyz", &[]).status, 200);
    });
}

#[test]
fn who_has_to_migrate_waits_some_seconds_for_the_lock_and_a_server_for_longer_and_says_so() {
    let world = World::postgres();
    block_on(async {
        let mut other = connect(&world.database).await;
        let lock = lock_of_migrations(&world);
        other.execute(AssertSqlSafe(format!("select pg_advisory_lock({lock})"))).await.expect("the lock is free");
        let serving = start_to_serve(&world);
        let begin = Instant::now();
        let ran = world.run(&["mapping", "list"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
        assert!((Duration::from_secs(9)..Duration::from_secs(30)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        assert!(
            ran.stderr.contains("the schema of the database PostgreSQL has to be migrated, but "),
            "{}",
            ran.stderr
        );
        other.execute(AssertSqlSafe(format!("select pg_advisory_unlock({lock})"))).await.expect("it ends");
        listens_in_the_end_and_said_once_that_it_waited(serving);
    });
}

#[test]
fn a_migration_that_waits_for_a_dump_holds_up_no_query_and_goes_on_after_it() {
    let world = World::postgres();
    block_on(async {
        let mut dump = connect(&world.database).await;
        postgres::older_schema().run(&mut dump).await.expect("an older schema");
        for statement in ["begin", "lock table role_mappings in access share mode"] {
            dump.execute(statement).await.expect("it runs");
        }
        let serving = start_to_serve(&world);
        let mut reader = connect(&world.database).await;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(12) {
            let asked = Instant::now();
            reader.execute("select count(*) from role_mappings").await.expect("it runs");
            assert!(asked.elapsed() < Duration::from_secs(4), "a query waits for the migration: {:?}", asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        dump.execute("rollback").await.expect("it ends");
        listens_in_the_end_and_said_once_that_it_waited(serving);
    });
    assert_eq!(world.sql("select oldest_migration from schema_compatibility"), [["4"]]);
}
