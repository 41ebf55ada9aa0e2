//! `/healthz`, `/readyz`, `/metrics`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::Executor;

use crate::postgres;
use crate::world::{Server, World, block_on, connect, on_both_stores};

#[test]
fn a_server_without_its_database_is_alive_and_not_ready() {
    let world = World::postgres();
    let server = world.serve();
    assert_eq!(server.send("GET", "/readyz", &[]).status, 200);
    postgres::drop_database(&world.database);
    wait_until_ready_says(&server, "the database does not answer");
    assert_eq!(server.send("GET", "/healthz", &[]).status, 200);
    server.wait_for_log("does not exist");
}

/// Waits until `/readyz` says this, with the status that belongs to it.
fn wait_until_ready_says(server: &Server, text: &str) {
    let begin = Instant::now();
    loop {
        let answer = server.send("GET", "/readyz", &[]);
        if answer.text.trim_end() == text {
            assert_eq!(answer.status, if text == "ready" { 200 } else { 503 });
            assert_eq!(server.metric("ready"), if text == "ready" { 1.0 } else { 0.0 });
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{answer:?}, not {text:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Adds a role mapping; returns the status.
fn add_mapping(server: &Server, key: &str, role: &str) -> u16 {
    let role = format!("arn:aws:iam::123456789012:role/{role}");
    let path = format!("/admin/cloud/role-mappings?projectId=1&projectRole=ALL&cloudRole={role}");
    server.ask("POST", &path, key).status
}

fn world_of_an_administrator(world: &World) -> String {
    world.done(&["project", "add", "churn"]);
    world.done(&["user", "add", "ada@example.org", "--admin"])
}

#[test]
fn while_another_process_holds_the_lock_of_sqlite_the_server_is_not_ready() {
    let world = World::sqlite();
    let server = world.serve();
    block_on(async {
        let mut other = connect(&world.database).await;
        other.execute("begin immediate").await.expect("the lock is free");
        wait_until_ready_says(&server, "the database cannot be written");
        other.execute("rollback").await.expect("it ends");
    });
    wait_until_ready_says(&server, "ready");
}

#[test]
fn when_the_file_of_the_database_is_gone_the_server_is_not_ready() {
    let world = World::sqlite();
    let server = world.serve();
    std::fs::rename(world.directory.join("roles.db"), world.directory.join("away.db")).expect("a file");
    wait_until_ready_says(&server, "the database does not answer");
    std::fs::rename(world.directory.join("away.db"), world.directory.join("roles.db")).expect("a file");
    wait_until_ready_says(&server, "ready");
}

#[test]
fn a_disk_that_is_full_is_noticed_by_the_first_change_and_so_is_its_end() {
    let world = World::sqlite();
    let key = world_of_an_administrator(&world);
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_role-mapping-server");
    // Without the trap a write beyond the limit kills the process.
    command.args(["-c", &format!("trap '' XFSZ && exec {program} serve --listen 127.0.0.1:0")]);
    command.env_clear().env("DATABASE_URL", &world.database).env("AWS_EC2_METADATA_DISABLED", "true");
    let server = Server::start(command);
    let let_files_grow_to = |bytes: &str| {
        let process = server.process().to_string();
        let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(limited.expect("prlimit runs").success());
    };
    // The write-ahead log is longer than that, and the index beside it is shorter.
    for number in 0..20 {
        assert_eq!(add_mapping(&server, &key, &format!("before-{number}")), 201);
    }
    let_files_grow_to("40000");
    assert_eq!(add_mapping(&server, &key, "one"), 503);
    wait_until_ready_says(&server, "the database cannot be written");
    let_files_grow_to("unlimited");
    wait_until_ready_says(&server, "ready");
    assert_eq!(add_mapping(&server, &key, "one"), 201);
}

#[test]
fn a_read_only_postgres_is_noticed_and_the_server_recovers_by_itself() {
    let world = World::postgres();
    let key = world_of_an_administrator(&world);
    let server = world.serve();
    assert_eq!(add_mapping(&server, &key, "one"), 201);
    postgres::set_read_only(&world.database, true);
    wait_until_ready_says(&server, "the database is read-only");
    // Sessions that begin now are read-only to their end.
    for _ in 0..3 {
        assert_eq!(add_mapping(&server, &key, "two"), 503);
    }
    postgres::set_read_only(&world.database, false);
    wait_until_ready_says(&server, "ready");
    for role in ["two", "three", "four"] {
        assert_eq!(add_mapping(&server, &key, role), 201);
    }
}

#[test]
fn thousands_of_probes_cost_no_query() {
    let world = World::postgres();
    let server = world.serve();
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let probes = format!(
        "{}GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2999)
    );
    let mut replies = String::new();
    std::thread::scope(|scope| {
        let mut writer = stream.try_clone().expect("a descriptor");
        scope.spawn(move || writer.write_all(probes.as_bytes()).expect("the server reads"));
        stream.read_to_string(&mut replies).expect("the server answers");
    });
    assert_eq!(replies.matches("ready\n").count(), 3000);
    // The end of a session writes its statistics.
    server.stop();
    let transactions = postgres::transactions(&world.database);
    assert!(transactions < 1000, "{transactions}");
}

on_both_stores! {
    fn everybody_may_ask_whether_the_server_is_alive_and_ready(world: &World) {
        let server = world.serve();
        for (path, text) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
            let answer = server.send("GET", path, &[]);
            assert_eq!((answer.status, answer.text.as_str()), (200, text));
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }

    fn the_metrics_hold_no_text_that_a_client_chose(world: &World) {
        let server = world.serve();
        server.send("CANARY", "/canary?canary=1", &["Authorization: ApiKey canary.canary", "X-Canary: canary"]);
        server.send("GET", "/nowhere", &[]);
        let answer = server.send("GET", "/metrics", &[]);
        assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert!(!answer.text.to_lowercase().contains("canary"), "{}", answer.text);
        assert!(answer.text.contains("# TYPE role_mapping_server_answer_duration_seconds histogram\n"), "{}", answer.text);
        assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
        assert_eq!(server.metric("answers_total{status=\"403\"}"), 1.0, "a form of nobody's");
        assert_eq!(server.metric("answers_total{status=\"404\"}"), 1.0);
        assert_eq!(server.metric("answer_duration_seconds_count"), 5.0);
        server.wait_for_metric("connections", 1.0);
    }
}
