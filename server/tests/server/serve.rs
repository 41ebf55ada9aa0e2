//! `serve`: how it starts, what it refuses, how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use sqlx::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::sts::{Mood, Sts};
use crate::world::{API, Server, World, block_on, connect, in_time, on_both_stores};

#[test]
fn the_server_listens_without_a_base_identity_and_logs_that() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve();
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    assert_eq!(server.get("/admin/cloud/role-mappings/isAvailable", &key).text, "{\"enabled\":true}");
    server.wait_for_log(" no base identity, so no role can be assumed: ");
}

#[test]
fn sigterm_and_sigint_end_the_server_with_0_in_time_whatever_its_clients_do() {
    for signal in ["TERM", "INT"] {
        in_time(Duration::from_secs(5), || {
            let world = World::sqlite();
            let server = world.serve();
            let idle = TcpStream::connect(server.address()).expect("the server listens");
            let mut half = TcpStream::connect(server.address()).expect("the server listens");
            half.write_all(b"GET / HTTP/1.1\r\nHost:").expect("the server reads");
            assert_eq!(server.send("GET", "/nowhere", &[]).status, 404);
            let begin = Instant::now();
            server.signal(signal);
            let (code, log) = server.wait();
            assert_eq!(code, Some(0), "{log}");
            drop((idle, half));
            begin.elapsed()
        });
    }
}

/// Waits for the answer that `/readyz` gives while the server drains.
fn wait_for_drain(server: &Server) {
    server.wait_for_log(" draining for ");
    assert_eq!(server.send("GET", "/readyz", &[]).error(), (503, 0, "the server is stopping\n"));
}

/// Makes a project with a mapped role and a member; returns their key.
fn world_of_a_member(world: &World) -> String {
    let key = world.done(&["user", "add", "ada@example.org"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "ada@example.org", "data-scientist"]);
    world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/r", "--default"]);
    key
}

#[test]
fn an_idle_connection_stays_open_for_the_time_of_the_setting() {
    let world = World::sqlite();
    let server = world.serve_with(&["--keep-alive", "1"], &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let mut kept = TcpStream::connect(server.address()).expect("the server listens");
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server reads");
    let begin = Instant::now();
    kept.read_to_string(&mut String::new()).expect("the server closes");
    assert!((Duration::from_secs(1)..Duration::from_secs(20)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[test]
fn the_server_refuses_to_listen_beyond_loopback_without_tls() {
    let world = World::sqlite();
    let ran = world.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(
        ran.stderr.starts_with(
            "error: 0.0.0.0:0 is reachable from other machines, and credentials must not travel in the clear; give \
             --tls-cert and --tls-key, or --behind-proxy when a proxy in front speaks TLS"
        ),
        "{}",
        ran.stderr
    );
    assert!(world.serve_with(&["--behind-proxy"], &[]).url.starts_with("http://"));
}

#[test]
fn the_program_refuses_postgres_on_another_host_without_a_check_of_who_answers() {
    let world = World::sqlite();
    for (url, variables) in [
        ("postgres://me:canary@db.example.org/roles", vec![]),
        ("postgres:///roles", vec![("PGHOST", "db.example.org")]),
        ("postgres://me:canary@localhost/roles?sslmode=disable&host=db.example.org&sslmode=prefer", vec![]),
    ] {
        for command in [vec!["mapping", "list"], vec!["serve", "--listen", "127.0.0.1:0"]] {
            let ran = world.run_with(&command, &[&[("DATABASE_URL", url)], &variables[..]].concat());
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{url}: {}", ran.stderr);
            let text = "error: the connection to PostgreSQL on another host must be protected: add ?sslmode=verify-full to \
                        its URL, and &sslrootcert=FILE for an authority that the system does not trust; or add \
                        ?sslmode=disable if the network protects it\n";
            assert!(ran.stderr.starts_with(text), "{}", ran.stderr);
            assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_server_with_a_certificate_speaks_only_tls() {
    let world = World::sqlite();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (world.directory.join("cert.pem"), world.directory.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let path = |file: &std::path::Path| file.to_str().expect("UTF-8").to_owned();
    let server = world.serve_with(&["--tls-cert", &path(&certificate), "--tls-key", &path(&key)], &[]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    assert!(tls_reply(server.address(), made.cert.der().clone()).starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(server.try_send("GET", "/", &[]).is_none(), "an answer in the clear");

    let ran =
        world.run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", &path(&key), "--tls-key", &path(&certificate)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        ran.stderr,
        format!("reading the certificate from {}, a PEM file, failed: no items found\n", key.display())
    );
}

fn tls_reply(address: &str, certificate: CertificateDer<'static>) -> String {
    block_on(async {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring provides TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
        let name = "localhost".try_into().expect("a name");
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
        let request = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("the server reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("the server answers");
        reply
    })
}

#[test]
fn an_address_in_use_is_reported_in_one_sentence() {
    let world = World::sqlite();
    let server = world.serve();
    let ran = world.run(&["serve", "--listen", server.address()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    let text = "another process does; stop it, or choose another address with --listen";
    assert_eq!(ran.stderr, format!("cannot listen on {}: {text}\n", server.address()));
}

#[test]
fn every_error_is_json_and_no_response_may_be_cached() {
    let world = World::sqlite();
    let server = world.serve();
    let nowhere = server.send("GET", "/nowhere", &[]);
    assert_eq!(nowhere.error(), (404, 404, "there is nothing at this path"));
    let list = format!("{API}/admin/cloud/role-mappings");
    let wrong = server.send("DELETE", &list, &[]);
    assert_eq!(
        wrong.error(),
        (405, 405, "this path does not support this method; the header Allow lists those it does")
    );
    assert_eq!(wrong.header("allow"), "GET,HEAD,POST");
    let large = server.send("POST", &list, &["Content-Length: 65537"]);
    assert_eq!(large.error(), (413, 413, "the body of the request is larger than 65536 bytes"));
    let not_utf8 = server.send("GET", &format!("{API}/project/%ff/cloud/role-mappings"), &[]);
    assert_eq!(not_utf8.status, 401);
    for answer in [nowhere, wrong, large] {
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-request-id").len(), 16);
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let world = World::sqlite();
    let server = world.serve();
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let _ = stream.write_all(head.as_bytes());
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply);
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
}

on_both_stores! {
    fn a_change_that_is_under_way_when_the_server_ends_is_committed_and_answered(world: &World) {
        world_of_a_member(world);
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        let mut change = TcpStream::connect(server.address()).expect("the server listens");
        let answer = block_on(async {
            let mut other = connect(&world.database).await;
            let begin = if world.database.starts_with("sqlite") { "begin immediate" } else { "begin" };
            let mut writer = other.begin_with(begin).await.expect("a writer");
            sqlx::query("update projects set name = name").execute(&mut *writer).await.expect("all are locked");
            let query = "cloudRole=arn:aws:iam::123456789012:role/last&projectId=1&projectRole=ALL";
            // Once the first request is answered, the server has the second one.
            let probe = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
            let head = format!("POST {API}/admin/cloud/role-mappings?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\n\r\n");
            change.write_all(format!("{probe}{head}").as_bytes()).expect("the server reads");
            assert!(change.read(&mut [0; 4096]).expect("the server answers") > 0);
            server.signal("TERM");
            server.wait_for_log(" stopping");
            writer.rollback().await.expect("the end");
            let mut answer = String::new();
            change.read_to_string(&mut answer).expect("the server answers");
            answer
        });
        assert!(answer.contains("HTTP/1.1 201 Created\r\n"), "{answer}");
        assert_eq!(server.wait().0, Some(0));
        assert_eq!(world.sql("select count(*) from role_mappings where role_arn like '%/last'"), [["1"]]);
        assert_eq!(world.sql("select count(*) from audit where action = 'mapping add' and actor = 'admin@example.org'"), [["1"]]);
    }

    fn while_it_drains_the_server_is_not_ready_and_serves_old_and_new_connections_to_the_end(world: &World) {
        let sts = Sts::start();
        let key = world_of_a_member(world);
        let variables = sts.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = world.serve_with(&["--drain", "4"], &variables);
        let mut kept = TcpStream::connect(server.address()).expect("the server listens");
        let mut ask = || {
            kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server reads");
            let mut reply = [0; 12];
            kept.read_exact(&mut reply).expect("the server answers");
            // The rest of the answer is not larger than that.
            let _ = kept.read(&mut [0; 4096]).expect("the server answers");
            assert_eq!(&reply, b"HTTP/1.1 200");
        };
        ask();
        sts.is(Mood::Thinks);
        let begin = Instant::now();
        server.signal("TERM");
        wait_for_drain(&server);
        ask();
        assert_eq!(server.get("/admin/cloud/role-mappings/isAvailable", &key).status, 200);
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| server.get("/project/1/cloud/aws/session-token", &key));
            sts.wait();
            // It is answered after the listener has closed.
            server.wait_for_log(" stopping");
            assert!(begin.elapsed() >= Duration::from_secs(4));
            assert!(TcpStream::connect(server.address()).is_err(), "the listener is open");
            sts.is(Mood::Grants);
            assert_eq!(slow.join().expect("no panic").status, 200);
        });
        assert_eq!(server.wait().0, Some(0));
    }

    fn what_runs_when_the_drain_ends_has_its_whole_time(world: &World) {
        let sts = Sts::start();
        let key = world_of_a_member(world);
        sts.is(Mood::KeepsSilent);
        let variables = sts.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = world.serve_with(&["--drain", "3"], &variables);
        std::thread::scope(|scope| {
            let ask = |name: &str| {
                let (server, key, path) = (&server, &key, format!("/project/1/cloud/aws/session-token?roleSessionName={name}"));
                scope.spawn(move || server.get(&path, key))
            };
            let before = ask("before");
            sts.wait();
            server.signal("TERM");
            wait_for_drain(&server);
            let meanwhile = ask("meanwhile");
            server.wait_for_metric("waiting_for_sts", 2.0);
            // Both end when the server gives up on STS, seconds after the drain.
            for asked in [before, meanwhile] {
                let answer = asked.join().expect("no panic");
                assert_eq!((answer.status, answer.error().1), (502, 380_001), "{}", answer.text);
            }
        });
        assert_eq!(server.wait().0, Some(0));
    }

    fn a_second_signal_ends_the_drain_at_once(world: &World) {
        let server = world.serve_with(&["--drain", "3600"], &[("AWS_EC2_METADATA_DISABLED", "true")]);
        server.signal("TERM");
        wait_for_drain(&server);
        server.signal("TERM");
        let (code, log) = server.wait();
        assert_eq!(code, Some(0));
        assert!(log.ends_with(" stopping\n"), "{log}");
    }

    fn the_log_names_the_client_and_the_caller(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org"]);
        let server = world.serve_with(&["--behind-proxy"], &[("AWS_EC2_METADATA_DISABLED", "true")]);
        let ask = |key: &str| {
            let headers = [&*format!("Authorization: ApiKey {key}"), "X-Forwarded-For: 10.9.9.9, 192.0.2.7"];
            server.send("GET", &format!("{API}/project/9/cloud/role-mappings"), &headers)
        };
        let (known, unknown) = (ask(&key), ask("no.body"));
        assert_eq!((known.status, unknown.status), (403, 401));
        let log = server.stop();
        for (answer, actor) in [(known, " actor=\"ada@example.org\""), (unknown, "")] {
            let id = answer.header("x-request-id");
            assert!(log.contains(&format!(" request={id} client=192.0.2.7{actor} method=GET ")), "{log}");
        }
    }

    fn the_log_has_a_line_for_each_request_without_its_query(world: &World) {
        let server = world.serve();
        let id = server.send("GET", "/x%0Ay?canary=1", &[]).header("x-request-id").to_owned();
        let log = server.stop();
        let line = log.lines().find(|line| line.contains(&id)).expect("a line");
        assert!(
            line.contains(&format!(" request={id} client=127.0.0.1 method=GET path=\"/x%0Ay\" status=404 ms=")),
            "{line}"
        );
        assert!(!log.contains("canary"), "{log}");
    }
}
