//! The endpoint of a role whose renewal fails: good credentials are handed out to their end, and come back by themselves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::server::{Server, credentials};
use super::{PATIENCE, READER, Running, directory, program};

/// Long enough for a slow machine to see good credentials while their renewal fails.
const LIFETIME: Duration = Duration::from_secs(8);

/// Asks an endpoint. Returns the status and the body of its answer.
fn ask(url: &str, token: &str) -> (String, String) {
    let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/credentials")).expect("a URL");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!("GET /credentials HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].to_owned(), body.to_owned())
}

/// Asks until an answer is as wanted.
fn await_answer(url: &str, token: &str, is_wanted: impl Fn(&str, &str) -> bool) -> String {
    let begin = Instant::now();
    loop {
        let (status, body) = ask(url, token);
        if is_wanted(&status, &body) {
            return body;
        }
        assert!(begin.elapsed() < PATIENCE, "{status} {body}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Runs an endpoint whose server answers the first request well, and all others so until they are `back`.
fn endure(name: &str, failure: (String, String), withdraws: bool) {
    const FAILS: u32 = 1;
    let state = Arc::new(AtomicU32::new(0));
    let is_failing = Arc::clone(&state);
    let answer = failure.clone();
    let server = Server::start(move |_| match is_failing.load(Ordering::SeqCst) {
        FAILS => answer.clone(),
        number => credentials(number, LIFETIME),
    });
    let directory = directory(&format!("outage-{name}"));
    let script =
        "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI; echo $AWS_CONTAINER_AUTHORIZATION_TOKEN; exec /bin/sleep 60";
    let arguments = ["exec", "--refresh", "--role", READER, "--", "/bin/sh", "-c", script];
    let issued = Instant::now();
    let running = Running::start(program(&server, &directory, &arguments));
    let (url, token) = (running.line(), running.line());
    state.store(FAILS, Ordering::SeqCst);
    let first = ask(&url, &token);
    assert!(first.0 == "200" && first.1.contains("ASIA0"), "{name}: {first:?}");
    // Once the renewal has failed, the answer is the same, unless the role is taken away.
    let begin = Instant::now();
    while server.requests().len() < 2 {
        assert!(begin.elapsed() < PATIENCE, "{name}: no renewal");
        thread::sleep(Duration::from_millis(20));
    }
    if withdraws {
        let refused = await_answer(&url, &token, |status, _| status == "503");
        assert!(issued.elapsed() < LIFETIME && refused.contains("not yours"), "{name}: {refused}");
    } else {
        assert_eq!(ask(&url, &token).0, "200", "{name}");
        let ended = await_answer(&url, &token, |status, _| status == "503");
        assert!(ended.contains("have expired: "), "{name}: {ended}");
    }
    state.store(2, Ordering::SeqCst);
    await_answer(&url, &token, |status, body| status == "200" && body.contains("ASIA2"));
}

#[test]
fn good_credentials_are_handed_out_to_their_end_whatever_a_renewal_fails_with() {
    let no = |status: &str, code: u32, message: &str| {
        (status.to_owned(), json!({ "errorCode": code, "errorMsg": message }).to_string())
    };
    let failures = [
        ("unauthorized", no("401 Unauthorized", 160_003, "log in"), false),
        ("proxy", ("200 OK".to_owned(), "<html>sign in</html>".to_owned()), false),
        ("elsewhere", ("404 Not Found".to_owned(), String::new()), false),
        ("down", ("503 Service Unavailable".to_owned(), String::new()), false),
        ("taken-away", no("403 Forbidden", 380_002, "not yours"), true),
    ];
    thread::scope(|scope| {
        for (name, failure, withdraws) in failures {
            scope.spawn(move || endure(name, failure, withdraws));
        }
    });
}
