//! An HTTP server on loopback that keeps connections alive and records every request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on loopback. Its threads end with the process.
pub(crate) struct Server {
    pub endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Makes the bytes of an answer from the head of a request.
type Handler = dyn Fn(&str) -> Vec<u8> + Send + Sync;

impl Server {
    /// Answers with `handler`; an empty answer closes the connection.
    pub fn start(handler: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::over("http", handler, |stream| stream)
    }

    /// Answers the first requests with `answers`, and all that follow with the last of them.
    pub fn answering(answers: Vec<Vec<u8>>) -> Self {
        let next = Mutex::new(0);
        Self::start(move |_| {
            let mut next = next.lock().expect("no handler panics");
            let answer = answers[(*next).min(answers.len() - 1)].clone();
            *next += 1;
            answer
        })
    }

    /// Does the same as [`Server::start`], over what `wrap` makes of a connection.
    pub fn over<Stream: Read + Write>(
        scheme: &str,
        handler: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> Stream + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (noted, handler, wrap) = (Arc::clone(&requests), Arc::new(handler), Arc::new(wrap));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (noted, handler, wrap) = (Arc::clone(&noted), Arc::clone(&handler), Arc::clone(&wrap));
                thread::spawn(move || serve(wrap(stream), &noted, &*handler));
            }
        });
        Self { endpoint, requests }
    }

    /// Returns the heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no handler panics").clone()
    }

    /// Returns the request lines so far, without the protocol.
    pub fn lines(&self) -> Vec<String> {
        let first = |head: &String| head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        self.requests().iter().map(first).collect()
    }
}

fn serve(mut stream: impl Read + Write, noted: &Mutex<Vec<String>>, handler: &Handler) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        noted.lock().expect("no handler panics").push(request.clone());
        let answer = handler(&request);
        if answer.is_empty() || stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
            return;
        }
        let text = String::from_utf8_lossy(&answer);
        if !text.starts_with("HTTP/1.1") || text.to_ascii_lowercase().contains("connection: close") {
            return;
        }
    }
}

/// Returns the value of a header of a request.
pub(crate) fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|pair| pair.1)
}

/// Returns the bytes of an answer with these headers, each with its line end.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn json(status: &str, body: &str) -> Vec<u8> {
    answer(status, "Content-Type: application/json\r\n", body)
}

/// Returns a good answer to session-token.
pub(crate) fn session_token() -> Vec<u8> {
    json("200 OK", r#"{"accessKeyId":"ASIA1","secretAccessKey":"canary-secret","sessionToken":"canary-token"}"#)
}
