//! A role-mapping server on loopback, whose answers the test chooses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The head of a request to an answer: status line and headers but for the length, and the body.
type Handler = dyn Fn(&str) -> (String, String) + Send + Sync;

/// A server on loopback. Its threads end with the process.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Issues credentials for `lifetime`, each set with a secret of its own.
    pub(crate) fn issuing(lifetime: Duration) -> Self {
        let issued = Mutex::new(0);
        Self::start(move |_| {
            let mut issued = issued.lock().expect("no handler panics");
            *issued += 1;
            credentials(*issued, lifetime)
        })
    }

    /// Answers with `handler`, each request on a thread of its own.
    pub(crate) fn start(handler: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (noted, handler) = (Arc::clone(&heads), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (noted, handler) = (Arc::clone(&noted), Arc::clone(&handler));
                thread::spawn(move || answer(stream, &noted, &*handler));
            }
        });
        Self { endpoint, heads }
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.heads.lock().expect("no handler panics").clone()
    }
}

/// A good answer with the `number`-th set of credentials.
pub(crate) fn credentials(number: u32, lifetime: Duration) -> (String, String) {
    let expiration = rfc3339(std::time::SystemTime::now() + lifetime);
    let body = format!(
        "{{\"accessKeyId\":\"ASIA{number}\",\"secretAccessKey\":\"canary-secret-{number}\",\"sessionToken\":\
         \"canary-token-{number}\",\"expiration\":\"{expiration}\"}}"
    );
    ("200 OK".to_owned(), body)
}

/// An instant as the server writes it.
pub(crate) fn rfc3339(instant: std::time::SystemTime) -> String {
    hops_credentials_core::text::rfc3339(instant)
}

fn answer(mut stream: TcpStream, noted: &Mutex<Vec<String>>, handler: &Handler) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    noted.lock().expect("no handler panics").push(head.clone());
    let (status, body) = handler(&head);
    let length = body.len();
    let headers = "Content-Type: application/json\r\nConnection: close";
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{body}");
}
