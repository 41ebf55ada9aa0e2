//! Clients that try keys, dawdle, or stay idle: they do not harm others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::world::{API, Answer, Server, World};

const LIST: &str = "/admin/cloud/role-mappings/isAvailable";

fn sign_in(server: &Server, key: &str) -> Answer {
    let origin = format!("Origin: {}", server.url);
    let form = format!("key={key}");
    let length = format!("Content-Length: {}", form.len());
    server.try_send_with("POST", "/sign-in", &[&origin, &length], &form).expect("an answer")
}

#[test]
fn after_twenty_wrong_keys_an_address_waits_and_a_valid_key_never_does() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve();
    for number in 0..20 {
        let answer = match number % 2 {
            0 => server.get(LIST, "nobody.has.this"),
            _ => sign_in(&server, "nobody.has.this"),
        };
        assert_eq!(answer.status, if number % 2 == 0 { 401 } else { 403 });
    }
    let slowed = server.get(LIST, "nobody.has.this");
    let wait: u64 = slowed.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let text = format!("too many wrong API keys came from this address; try again in {wait} s");
    assert_eq!(slowed.error(), (429, 429, text.as_str()));
    assert_eq!(slowed.header("www-authenticate"), "");
    let page = sign_in(&server, "nobody.has.this");
    assert_eq!(page.status, 429);
    assert!(page.header("retry-after").parse::<u64>().is_ok_and(|wait| (1..=60).contains(&wait)), "{page:?}");
    assert!(page.text.contains("Too many wrong API keys came from this address; try again in "), "{}", page.text);

    assert_eq!(server.get(LIST, &key).status, 200);
    assert_eq!(sign_in(&server, &key).status, 303);
    // A request without a key is not a wrong key.
    assert_eq!(server.send("GET", &format!("{API}{LIST}"), &[]).status, 401);
    assert_eq!(server.metric("wrong_keys_total"), 22.0);
}

#[test]
fn behind_a_proxy_only_the_address_that_tried_keys_waits() {
    let world = World::sqlite();
    let server = world.serve_with(&["--behind-proxy"], &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let ask = |hops: &str| {
        let headers = ["Authorization: ApiKey nobody.has.this", &format!("X-Forwarded-For: {hops}")];
        server.send("GET", &format!("{API}{LIST}"), &headers).status
    };
    for number in 0..20 {
        assert_eq!(ask(&format!("10.0.0.{number}, 192.0.2.7")), 401);
    }
    assert_eq!(ask("10.9.9.9, 192.0.2.7"), 429);
    assert_eq!(ask("192.0.2.7, 192.0.2.8"), 401);
}

/// Reads until the server hangs up; returns what it sent, and after how long.
fn to_the_end(mut stream: &TcpStream, begin: Instant) -> (String, Duration) {
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    (String::from_utf8_lossy(&said).into_owned(), begin.elapsed())
}

#[test]
fn a_client_that_dawdles_or_does_not_read_is_cut_off_and_others_are_served() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve();
    let connect = |text: &str| {
        let mut stream = TcpStream::connect(server.address()).expect("the server listens");
        stream.write_all(text.as_bytes()).expect("the server reads");
        stream
    };
    let file = world.directory.join("many.json");
    let line = |number| {
        format!(
            "{{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/r{number}\"}}"
        )
    };
    std::fs::write(&file, format!("[{}]", (0..2000).map(line).collect::<Vec<_>>().join(","))).expect("a file");
    world.done(&["project", "add", "churn"]);
    world.done(&["mapping", "apply", file.to_str().expect("UTF-8")]);
    let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let begin = Instant::now();
    // Some megabytes of responses that nobody reads.
    let unread = connect(
        &format!("GET {API}/admin/cloud/role-mappings HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {admin}\r\n\r\n")
            .repeat(30),
    );
    let silent = connect("");
    let kept = connect("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let no_form = connect(&format!(
        "POST /sign-in HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nContent-Length: 100\r\n\r\nkey=",
        server.address()
    ));
    let byte_by_byte = connect("GET /healthz HTTP/1.1\r\nX: ");
    std::thread::scope(|scope| {
        // A byte a second, for as long as the server takes it.
        scope.spawn(|| {
            while (&byte_by_byte).write_all(b"x").is_ok() && begin.elapsed() < Duration::from_secs(60) {
                assert_eq!(server.get(LIST, &key).status, 200);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        for (stream, said) in [
            (&silent, ""),
            (&byte_by_byte, ""),
            (&kept, "HTTP/1.1 200 OK\r\n"),
            (&no_form, "HTTP/1.1 503 Service Unavailable\r\n"),
        ] {
            let (text, after) = to_the_end(stream, begin);
            assert!(text.starts_with(said) && text.is_empty() == said.is_empty(), "{text}");
            assert!(after < Duration::from_secs(35), "{after:?}: {text}");
        }
        server.wait_for_metric("connections", 1.0);
        drop(unread);
    });
}

#[test]
fn two_thousand_idle_connections_cost_little_memory_and_block_nobody() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve();
    assert_eq!(server.get(LIST, &key).status, 200);
    let before = server.resident_kib();
    let idle: Vec<TcpStream> =
        (0..2000).map(|_| TcpStream::connect(server.address()).expect("the server listens")).collect();
    server.wait_for_metric("connections", 2001.0);
    assert_eq!(server.get(LIST, &key).status, 200);
    let grown = server.resident_kib() - before;
    assert!(grown < 40 * 1024, "{grown} KiB");
    drop(idle);
    server.wait_for_metric("connections", 1.0);
}

#[test]
fn a_client_waits_while_all_connections_are_taken_and_no_file_descriptor_is_missing() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve_with_descriptors(136);
    let idle: Vec<TcpStream> =
        (0..130).map(|_| TcpStream::connect(server.address()).expect("the system queues")).collect();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get(LIST, &key).status);
        drop(idle);
        assert_eq!(waiting.join().expect("no panic"), 200);
    });
    let log = server.stop();
    assert!(!log.contains("cannot accept"), "{log}");
}

#[test]
fn a_body_that_is_too_large_is_refused_unread_with_or_without_a_length() {
    let world = World::sqlite();
    let server = world.serve();
    let origin = format!("Origin: {}", server.url);
    let with_length =
        server.try_send_with("POST", "/sign-in", &[&origin, "Content-Length: 100000000"], "").expect("an answer");
    assert_eq!(with_length.status, 413);
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let chunked = server.try_send_with("POST", "/sign-in", &[&origin, "Transfer-Encoding: chunked"], &chunk);
    assert_eq!(chunked.expect("an answer").status, 403);
}
