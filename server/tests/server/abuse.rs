//! Clients that try keys, dawdle, or stay idle: they do not harm others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sqlx::Executor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sts::{Mood, Sts};
use crate::world::{API, Answer, Server, World, block_on, connect, on_both_stores};

const LIST: &str = "/admin/cloud/role-mappings/isAvailable";

fn sign_in(server: &Server, key: &str) -> Answer {
    let origin = format!("Origin: {}", server.url);
    let form = format!("key={key}");
    let length = format!("Content-Length: {}", form.len());
    server.try_send_with("POST", "/sign-in", &[&origin, &length], &form).expect("an answer")
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
    // A second head that begins and does not end.
    let kept = connect("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    kept.peek(&mut [0]).expect("the server answers");
    (&kept).write_all(b"GET /").expect("the server reads");
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

/// Connects from another address of this machine.
pub async fn connect_from(address: &str, server: &Server) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a descriptor");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("it is free");
    socket.connect(server.address().parse().expect("an address")).await.expect("the server listens")
}

/// Sends a request and reads to the end.
pub async fn reply_of(mut stream: tokio::net::TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.expect("the server answers");
    String::from_utf8(reply).expect("UTF-8")
}

pub const ALIVE: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn an_address_has_half_of_the_connections_and_learns_that_it_has_as_many_as_it_may() {
    let world = World::sqlite();
    // Eight connections.
    let server = world.serve_with_descriptors(136);
    block_on(async {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(connect_from("127.0.0.7", &server).await);
        }
        server.wait_for_metric("connections", 5.0);
        for _ in 0..20 {
            let request = format!("GET {API}{LIST} HTTP/1.1\r\nHost: x\r\n\r\n");
            let reply = reply_of(connect_from("127.0.0.7", &server).await, &request).await;
            assert!(reply.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{reply}");
            assert!(reply.contains("\r\nretry-after: 1\r\n") && reply.contains("\r\nconnection: close\r\n"), "{reply}");
            assert!(
                reply.contains("{\"errorCode\":429,") && reply.contains("as many connections as it may"),
                "{reply}"
            );
        }
        for _ in 0..20 {
            assert!(reply_of(connect_from("127.0.0.8", &server).await, ALIVE).await.ends_with("alive\n"));
        }
        assert_eq!(server.metric("refused_by_limit_total{limit=\"connections\"}"), 20.0);
    });
}

#[test]
fn the_connection_that_is_idle_longest_ends_when_another_needs_its_place_and_no_descriptor_is_missing() {
    let world = World::sqlite();
    let server = world.serve_with_descriptors(136);
    block_on(async {
        let mut idle = Vec::new();
        for number in 0..8 {
            let mut stream = connect_from(&format!("127.0.0.{}", 10 + number), &server).await;
            // Some have made a request, others not one.
            if number % 2 == 0 {
                stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
                assert!(stream.read(&mut [0; 4096]).await.expect("the server answers") > 0);
            }
            idle.push(stream);
        }
        let newcomer = reply_of(connect_from("127.0.0.30", &server).await, ALIVE);
        // Before the time for a head is over, which ends half of them anyway.
        let reply = tokio::time::timeout(Duration::from_secs(15), newcomer).await.expect("a place is free in time");
        assert!(reply.ends_with("alive\n"), "{reply}");
        assert_eq!(idle[0].read(&mut [0; 1]).await.map_err(|error| error.kind()), Ok(0));
        idle[2].write_all(ALIVE.as_bytes()).await.expect("it is open");
        let mut reply = Vec::new();
        idle[2].read_to_end(&mut reply).await.expect("the server answers");
        assert!(String::from_utf8_lossy(&reply).ends_with("alive\n"));
        for number in 31..50 {
            let reply = reply_of(connect_from(&format!("127.0.0.{number}"), &server).await, ALIVE).await;
            assert!(reply.ends_with("alive\n"), "{number}: {reply}");
        }
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

#[test]
fn an_address_has_its_share_of_what_may_change_something_and_goes_on_reading() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve();
    let mut connection = block_on(connect(&world.database));
    block_on(connection.execute("begin immediate")).expect("the lock");
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..300).map(|_| scope.spawn(|| sign_in(&server, &key).status)).collect();
        server.wait_for_metric("refused_by_limit_total{limit=\"changes\"}", 44.0);
        assert_eq!(server.get(LIST, &key).status, 200);
        block_on(connection.execute("rollback")).expect("no lock");
        let statuses: Vec<u16> = asking.into_iter().map(|asked| asked.join().expect("no panic")).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 44, "{statuses:?}");
    });
    assert_eq!(sign_in(&server, &key).status, 303);
}

on_both_stores! {
    fn after_twenty_wrong_keys_an_address_waits_and_a_valid_key_never_does(world: &World) {
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

    fn behind_a_proxy_only_the_address_that_tried_keys_waits(world: &World) {
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

    fn behind_a_proxy_an_address_has_half_of_the_requests_under_way(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org"]);
        world.done(&["project", "add", "churn"]);
        world.done(&["member", "set", "churn", "ada@example.org", "data-scientist"]);
        world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/r", "--default"]);
        let sts = Sts::start();
        sts.is(Mood::Thinks);
        // Eight connections, so eight requests.
        let mut command = std::process::Command::new("sh");
        let program = env!("CARGO_BIN_EXE_role-mapping-server");
        command.args(["-c", &format!("ulimit -n 136 && exec {program} serve --listen 127.0.0.1:0 --behind-proxy")]);
        command.env_clear().env("DATABASE_URL", &world.database).envs(sts.variables());
        let server = Server::start(command);
        let ask = |path: &str, address: &str| {
            let headers = [format!("Authorization: ApiKey {key}"), format!("X-Forwarded-For: {address}")];
            server.send("GET", path, &[&headers[0], &headers[1]])
        };
        let token = format!("{API}/project/1/cloud/aws/session-token");
        std::thread::scope(|scope| {
            let slow: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(&token, "192.0.2.7").status)).collect();
            server.wait_for_metric("waiting_for_sts", 4.0);
            let refused = ask(&format!("{API}{LIST}"), "192.0.2.7");
            assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
            assert_eq!(refused.json["errorCode"], 429);
            for path in ["/healthz", "/readyz", "/metrics"] {
                assert_eq!(ask(path, "192.0.2.7").status, 200, "{path}");
            }
            assert_eq!(ask(&format!("{API}{LIST}"), "192.0.2.8").status, 200);
            assert_eq!(server.metric("refused_by_limit_total{limit=\"requests\"}"), 1.0);
            sts.is(Mood::Grants);
            assert_eq!(slow.into_iter().map(|ask| ask.join().expect("no panic")).collect::<Vec<_>>(), [200; 4]);
        });
        assert_eq!(ask(&format!("{API}{LIST}"), "192.0.2.7").status, 200);
    }

    fn four_thousand_workers_behind_one_address_are_served_at_once(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org"]);
        // A request waits its turn at the database for as long as a slow machine needs.
        let server = world.serve_with(&["--database-timeout", "60"], &[]);
        let head = format!("GET {API}{LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\nConnection: close\r\n");
        let workers: Vec<TcpStream> = (0..4000)
            .map(|_| {
                let mut worker = TcpStream::connect(server.address()).expect("the server listens");
                worker.write_all(head.as_bytes()).expect("the server reads");
                worker
            })
            .collect();
        server.wait_for_metric("connections", 4001.0);
        for mut worker in &workers {
            worker.write_all(b"\r\n").expect("the server reads");
        }
        for mut worker in &workers {
            let mut reply = String::new();
            worker.read_to_string(&mut reply).expect("the server answers");
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        }
    }

    fn who_signs_in_and_out_and_who_could_not_is_in_the_audit(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org"]);
        let server = world.serve();
        for _ in 0..25 {
            sign_in(&server, "canary.canary");
        }
        let signed_in = sign_in(&server, &key);
        assert_eq!(signed_in.status, 303);
        let cookie = format!("Cookie: {}", signed_in.header("set-cookie").split(';').next().expect("a cookie"));
        let page = server.send("GET", "/", &[&cookie]).text;
        let token = page.split_once("name=\"form_token\" value=\"").expect("a form").1.split('"').next().expect("a token");
        let form = format!("form_token={token}");
        let headers = [&*cookie, &format!("Origin: {}", server.url), &format!("Content-Length: {}", form.len())];
        assert_eq!(server.try_send_with("POST", "/sign-out", &headers, &form).expect("an answer").status, 303);
        // The end of the server writes the counts that are not written yet.
        let log = server.stop();

        let prefix = key.split_once('.').expect("a prefix").0;
        let text = "the request has no valid API key; send the header \"Authorization: ApiKey <key>\"";
        assert_eq!(
            world.sql(
                "select actor, action, outcome, key_prefix, reason, client_address, cast(sum(times) as bigint) from audit \
                 where action like 'sign-%' group by actor, action, outcome, key_prefix, reason, client_address \
                 order by outcome desc, action, reason"
            ),
            [
                ["nobody", "sign-in", "refused", "-", text, "127.0.0.1", "20"],
                ["nobody", "sign-in", "refused", "-", "too many wrong API keys came from this address", "127.0.0.1", "5"],
                ["ada@example.org", "sign-in", "granted", prefix, "-", "127.0.0.1", "1"],
                ["ada@example.org", "sign-out", "granted", "-", "-", "127.0.0.1", "1"],
            ]
        );
        assert_eq!(log.matches(" actor=\"ada@example.org\" method=POST path=\"/sign-").count(), 2, "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
}
