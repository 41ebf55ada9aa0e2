//! Bounds: whatever a database, a client or a lock does, others are served and every wait ends or says what it waits for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::Executor;

use crate::browser::Visit;
use crate::fairness::project_with_a_member;
use crate::postgres;
use crate::sts::Sts;
use crate::world::{API, World, block_on, connect, in_time};

const TOKEN: &str = "/project/1/cloud/aws/session-token";

#[test]
fn while_sqlite_is_locked_pages_that_read_go_on_also_after_a_minute() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let server = world.serve();
    let visit = Visit::sign_in(&server, &key);
    world.sql("update browser_sessions set used_at = used_at - 120000");
    block_on(async {
        let mut other = connect(&world.database).await;
        other.execute("begin immediate").await.expect("the lock is free");
        for _ in 0..3 {
            for path in ["/admin/audit", "/admin/role-mappings", "/"] {
                let begin = Instant::now();
                visit.page(path);
                assert!(begin.elapsed() < Duration::from_secs(4), "{path}: {:?}", begin.elapsed());
            }
        }
        other.execute("rollback").await.expect("it ends");
    });
    // Afterwards the use of the session is known again.
    let begin = Instant::now();
    while world.sql("select count(*) from browser_sessions where used_at > started_at - 60000") != [["1"]] {
        assert!(begin.elapsed() < Duration::from_secs(20), "the session is never used");
        visit.page("/");
    }
}

#[test]
fn on_a_read_only_postgres_pages_that_read_go_on_also_after_a_minute() {
    let world = World::postgres();
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let server = world.serve();
    let visit = Visit::sign_in(&server, &key);
    world.sql("update browser_sessions set used_at = used_at - 120000");
    postgres::set_read_only(&world.database, true);
    let begin = Instant::now();
    // The connections of the pool have ended; the first requests may find that out.
    while visit.get("/admin/role-mappings").status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(10), "no page");
    }
    for _ in 0..3 {
        for path in ["/admin/audit", "/admin/role-mappings", "/"] {
            visit.page(path);
        }
    }
}

#[test]
fn a_search_of_the_audit_that_takes_too_long_says_so_and_nothing_of_other_changes() {
    let world = World::postgres();
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let server = world.serve();
    let visit = Visit::sign_in(&server, &key);
    for statement in [
        "alter table audit rename to slow",
        "create view audit as select slow.* from slow, lateral (select pg_sleep(20 + slow.at * 0)) sleep",
    ] {
        world.sql(statement);
    }
    let sessions = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    let before = world.sql(sessions);
    let answer = visit.get("/admin/audit?q=admin@example.org&match=exact&outcome=granted");
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.text.contains("The search took too long"), "{}", answer.text);
    for _ in 0..20 {
        assert_eq!(server.get("/admin/cloud/role-mappings", &key).status, 200);
    }
    let after = world.sql(sessions);
    assert!(before.iter().all(|session| after.contains(session)), "the connections stay: {before:?}, {after:?}");
}

#[test]
fn the_server_ends_within_five_seconds_of_the_signal_whatever_hangs() {
    in_time(Duration::from_millis(5_500), || {
        let world = World::sqlite();
        let key = project_with_a_member(&world);
        let sts = Sts::start();
        // Nobody reads the log any more once the pipe is full.
        let mut command = world.program(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(sts.variables()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut line = [0; 64];
        let length = child.stdout.as_mut().expect("piped").read(&mut line).expect("a line");
        let line = std::str::from_utf8(&line[..length]).expect("UTF-8").trim_end();
        let address = line.strip_prefix("listening on http://").expect("an address").to_owned();
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(&address).expect("the server listens");
            let head =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("the server reads");
            stream
        };
        for _ in 0..1000 {
            ask(&format!("/{}", "x".repeat(200))).read_to_string(&mut String::new()).expect("an answer");
        }
        block_on(async {
            let mut other = connect(&world.database).await;
            other.execute("begin immediate").await.expect("the lock is free");
            let asking: Vec<_> =
                (0..10).map(|number| ask(&format!("{API}{TOKEN}?roleSessionName=name{number}"))).collect();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begin = Instant::now();
            let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(sent.expect("kill runs").success());
            assert!(child.wait().expect("it ends").success());
            drop(asking);
            begin.elapsed()
        })
    });
}

#[test]
fn a_writer_that_is_at_work_for_some_seconds_does_not_make_the_server_unready() {
    let world = World::sqlite();
    let server = world.serve();
    block_on(async {
        let mut other = connect(&world.database).await;
        other.execute("begin immediate").await.expect("the lock is free");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(7) {
            assert_eq!(server.send("GET", "/readyz", &[]).status, 200, "{:?}", begin.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        other.execute("rollback").await.expect("it ends");
    });
}
