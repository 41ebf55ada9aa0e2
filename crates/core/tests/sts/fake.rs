//! A service on loopback whose answers the test chooses: STS, the instance metadata service or a container's endpoint.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request: its first line, headers and body as received.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub head: String,
    pub body: String,
}

impl Request {
    /// Returns a field of the form, still percent-encoded.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Returns the access key id of the signature.
    pub fn signer(&self) -> &str {
        let (_, rest) = self.head.split_once("Credential=").unwrap_or_default();
        rest.split('/').next().unwrap_or_default()
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The reaction to a request.
#[derive(Clone)]
pub enum Reply {
    /// Sends these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Sends these bytes after a while and closes the connection.
    Late(Duration, Vec<u8>),
    /// Sends nothing and keeps the connection open.
    Silence,
}

impl Reply {
    pub fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        Reply::Bytes([head.as_bytes(), body].concat())
    }
}

/// A running service. It ends with the runtime.
pub struct Fake {
    pub port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, noted) = (Arc::new(answer), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), noted.clone()));
            }
        });
        Self { port, seen }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<impl Fn(&Request) -> Reply>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut bytes = Vec::new();
    let request = loop {
        if stream.read_buf(&mut bytes).await.expect("a readable socket") == 0 {
            return;
        }
        if let Some(request) = complete(&String::from_utf8_lossy(&bytes)) {
            break request;
        }
    };
    let reply = answer(&request);
    seen.lock().expect("no test panics while it holds this").push(request);
    match reply {
        // A client that has read enough closes first.
        Reply::Bytes(bytes) => drop(stream.write_all(&bytes).await),
        Reply::Late(wait, bytes) => {
            tokio::time::sleep(wait).await;
            drop(stream.write_all(&bytes).await);
        }
        Reply::Silence => std::future::pending().await,
    }
}

fn complete(text: &str) -> Option<Request> {
    // The first byte of a TLS handshake: a server that does not speak TLS answers at once that it does not understand.
    if text.starts_with('\u{16}') {
        return Some(Request { line: "TLS".to_owned(), head: String::new(), body: String::new() });
    }
    let (head, body) = text.split_once("\r\n\r\n")?;
    let request = Request { line: head.lines().next()?.to_owned(), head: head.to_owned(), body: body.to_owned() };
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    (body.len() >= length).then_some(request)
}
