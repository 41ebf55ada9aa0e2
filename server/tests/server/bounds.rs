//! Bounds: whatever a database, a client or a lock does, others are served and every wait ends or says what it waits for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::browser::Visit;
use crate::fairness::project_with_a_member;
use crate::postgres;
use crate::sts::Sts;
use crate::world::{API, Server, World, block_on, connect, in_time, on_both_stores};

const TOKEN: &str = "/project/1/cloud/aws/session-token";

/// Sends a request from another address of this machine; returns the answer, or what came within five seconds.
async fn reply(server: &Server, address: &str, request: &str) -> String {
    let mut stream = connect_from(server, address).await;
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut reply = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await;
    String::from_utf8(reply).expect("UTF-8")
}

async fn connect_from(server: &Server, address: &str) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().expect("a descriptor");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("it is free");
    socket.connect(server.address().parse().expect("an address")).await.expect("the server listens")
}

const ALIVE: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn addresses_that_hold_all_connections_with_half_a_head_keep_nobody_out() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    // Eight connections.
    let server = world.serve_with_descriptors(136);
    let list = format!(
        "GET {API}/admin/cloud/role-mappings/isAvailable HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: ApiKey {key}\r\n\r\n"
    );
    block_on(async {
        let mut held = Vec::new();
        for number in 0..8 {
            let mut stream = connect_from(&server, if number < 4 { "127.0.0.7" } else { "127.0.0.8" }).await;
            stream.write_all(b"G").await.expect("the server reads");
            held.push(stream);
        }
        for _ in 0..5 {
            let alive = reply(&server, "127.0.0.9", ALIVE).await;
            assert!(alive.ends_with("alive\n"), "{alive:?}");
            let listed = reply(&server, "127.0.0.10", &list).await;
            assert!(listed.starts_with("HTTP/1.1 200 OK\r\n"), "{listed:?}");
            // Who lost a place comes back, and takes it from its own address or from another one that dawdles.
            for address in ["127.0.0.7", "127.0.0.8"] {
                let mut stream = connect_from(&server, address).await;
                stream.write_all(b"G").await.expect("the server reads");
                held.push(stream);
            }
        }
    });
}

#[test]
fn addresses_that_hold_all_connections_with_half_a_body_keep_nobody_out() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve_with_descriptors(136);
    let list = format!(
        "GET {API}/admin/cloud/role-mappings/isAvailable HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: ApiKey {key}\r\n\r\n"
    );
    block_on(async {
        let mut held = Vec::new();
        for number in 0..8 {
            let mut stream = connect_from(&server, if number < 4 { "127.0.0.7" } else { "127.0.0.8" }).await;
            let head = "POST /sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 100\r\n\r\nkey=";
            stream.write_all(head.as_bytes()).await.expect("the server reads");
            held.push(stream);
        }
        for _ in 0..5 {
            let alive = reply(&server, "127.0.0.9", ALIVE).await;
            assert!(alive.ends_with("alive\n"), "{alive:?}");
            let listed = reply(&server, "127.0.0.10", &list).await;
            assert!(listed.starts_with("HTTP/1.1 200 OK\r\n"), "{listed:?}");
        }
    });
}

#[test]
fn requests_whose_body_does_not_come_take_no_place_from_others() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    // 40 connections.
    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_role-mapping-server");
    command.args(["-c", &format!("ulimit -n 168 && exec {program} serve --listen 127.0.0.1:0 --behind-proxy")]);
    command.env_clear().env("DATABASE_URL", &world.database).env("AWS_EC2_METADATA_DISABLED", "true");
    let server = Server::start(command);
    let held: Vec<TcpStream> = (0..38)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address()).expect("the server listens");
            let head = format!(
                "POST /sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 100\r\n\
                 X-Forwarded-For: 192.0.2.{}\r\n\r\nkey=",
                number / 20
            );
            stream.write_all(head.as_bytes()).expect("the server reads");
            stream
        })
        .collect();
    server.wait_for_metric("connections", 39.0);
    for address in ["192.0.2.0", "192.0.2.1", "192.0.2.9"] {
        let headers = [format!("Authorization: ApiKey {key}"), format!("X-Forwarded-For: {address}")];
        let path = format!("{API}/admin/cloud/role-mappings/isAvailable");
        assert_eq!(server.send("GET", &path, &[&headers[0], &headers[1]]).status, 200, "{address}");
    }
    drop(held);
}

/// The lock that sqlx takes while it migrates this database.
fn lock_of_migrations(world: &World) -> i64 {
    let name = world.database.rsplit('/').find_map(|part| part.split_once("?host=")).expect("a URL of ours").0;
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = name.bytes().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step));
    0x3d32_ad9e * i64::from(!crc)
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
        let mut serving = world.program(&["serve", "--listen", "127.0.0.1:0"]);
        let mut serving = serving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
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
        let mut line = [0; 13];
        serving.stdout.take().expect("piped").read_exact(&mut line).expect("the server starts");
        assert_eq!(&line, b"listening on ");
        serving.kill().expect("it runs");
        let mut log = String::new();
        serving.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
        assert_eq!(log.matches(" waiting to migrate the schema: ").count(), 1, "{log}");
        serving.wait().expect("it ends");
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
        let mut serving = world.program(&["serve", "--listen", "127.0.0.1:0"]);
        let mut serving = serving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut reader = connect(&world.database).await;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(12) {
            let asked = Instant::now();
            reader.execute("select count(*) from role_mappings").await.expect("it runs");
            assert!(asked.elapsed() < Duration::from_secs(4), "a query waits for the migration: {:?}", asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        dump.execute("rollback").await.expect("it ends");
        let mut line = [0; 13];
        serving.stdout.take().expect("piped").read_exact(&mut line).expect("the server starts");
        assert_eq!(&line, b"listening on ");
        serving.kill().expect("it runs");
        let mut log = String::new();
        serving.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
        assert_eq!(log.matches(" waiting to migrate the schema: ").count(), 1, "{log}");
        serving.wait().expect("it ends");
    });
    assert_eq!(world.sql("select oldest_migration from schema_compatibility"), [["4"]]);
}

/// Returns the most memory that a process has had.
fn peak_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Maps 50 000 roles to the project of [`project_with_a_member`], whose default is the mapping 1.
fn map_many_roles(world: &World) {
    world.sql(
        "with recursive n(i) as (select 1001 union all select i + 1 from n where i < 51000) \
         insert into role_mappings (id, project_id, project_role, role_arn, is_default) \
         select i, 1, case i % 3 when 0 then 'ALL' when 1 then 'DATA_OWNER' else 'DATA_SCIENTIST' end, \
         'arn:aws:iam::123456789012:role/with-a-long-path/and-a-name-that-is-as-long-as-such-names-often-are-' || i, 0 from n",
    );
    world.sql("update counters set last = 51000 where noun = 'role mapping'");
}

on_both_stores! {
    fn what_a_member_asks_for_is_found_among_any_number_of_mappings(world: &World) {
        let key = project_with_a_member(world);
        let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
        map_many_roles(world);
        let sts = Sts::start();
        let server = sts.serve(world);
        let list = "/project/1/cloud/role-mappings";
        let arn = |id: i64| format!(
            "arn:aws:iam::123456789012:role/with-a-long-path/and-a-name-that-is-as-long-as-such-names-often-are-{id}"
        );
        let visit = Visit::sign_in(&server, &key);
        let requests = |number: i64| {
            assert_eq!(server.get(TOKEN, &key).status, 200);
            assert_eq!(server.get(&format!("{TOKEN}?roleARN={}", arn(1200 + 3 * number)), &key).status, 200);
            let other = server.get(&format!("{TOKEN}?roleARN={}", arn(1202)), &key);
            assert_eq!(other.error().1, 380_002, "{}", other.text);
            assert_eq!(server.get(&format!("{list}/default"), &key).json["id"], 1);
            let page = server.get(&format!("{list}?limit=2&offset=1"), &key);
            assert_eq!((page.json["count"].as_u64(), page.ids()), (Some(50_001), vec![1001, 1002]));
            let changed = server.ask("PUT", &format!("{list}/{}?defaultRole=true", 1210 + 3 * number), &key);
            assert_eq!(changed.status, 200, "{}", changed.text);
            let path = format!("/admin/cloud/role-mappings?projectId=1&projectRole=ALL&cloudRole={}", arn(100 - number));
            let added = server.ask("POST", &path, &admin);
            assert_eq!(added.status, 201, "{}", added.text);
            let path = format!("/admin/cloud/role-mappings/{}", added.json["id"]);
            assert_eq!(server.ask("PUT", &format!("{path}?projectRole=DATA_SCIENTIST"), &admin).status, 200);
            assert_eq!(server.ask("DELETE", &path, &admin).status, 204);
            assert_eq!(server.ask("PUT", &format!("{list}/1?defaultRole=true"), &key).status, 200);
            let unset = server.ask("PUT", &format!("{list}/{}?defaultRole=false", 1210 + 3 * number), &key);
            assert_eq!(unset.status, 200, "{}", unset.text);
            let page = visit.page("/projects/1");
            assert!(page.contains("1 to 25 of 33334") && page.contains("1 to 25 of 16667"), "{page}");
            assert!(page.len() < 60_000 && page.contains("Use your default role"), "{page}");
        };
        requests(0);
        let before = peak_kib(&server);
        (1..4).for_each(requests);
        let grown = peak_kib(&server) - before;
        // SQLite keeps up to 2 MB for each connection. All mappings take some tens of MB.
        assert!(grown < 8 * 1024, "{grown} KiB");
        let peak = peak_kib(&server);
        assert!(peak < 100 * 1024, "{peak} KiB");
    }

    fn a_page_of_a_project_pages_and_shows_code_for_a_role_on_any_page(world: &World) {
        let key = project_with_a_member(world);
        map_many_roles(world);
        let server = world.serve();
        let visit = Visit::sign_in(&server, &key);
        let page = visit.page("/projects/1?page=2&others=3");
        assert!(page.contains("26 to 50 of 33334") && page.contains("51 to 75 of 16667"), "{page}");
        assert!(page.contains("/projects/1?page=3&#38;others=3") || page.contains("/projects/1?page=3&amp;others=3"), "{page}");
        let page = visit.page("/projects/1?role=50001");
        assert!(page.contains("Use role 50001, "), "{page}");
        // A role of others, or one that does not exist, is as if none was asked for.
        for role in ["1202", "7"] {
            assert!(visit.page(&format!("/projects/1?role={role}")).contains("Use your default role"));
        }
        assert_eq!(visit.send_form("/projects/1/default", &[("id", "50001")]), "/projects/1?done=default-moved");
        assert!(visit.page("/projects/1").contains("Use your default role, and-a-name"), "the new default");
    }
}

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
