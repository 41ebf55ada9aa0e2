//! A fake Hopsworks cluster on loopback: it knows some logins, and refuses as the real cluster does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockWriteGuard};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// The facts that the cluster knows about a login.
#[derive(Debug, Clone)]
pub struct Known {
    pub email: &'static str,
    pub is_admin: bool,
    /// The audiences of a JWT, or the scopes of an API key.
    pub good_for: &'static [&'static str],
    /// The id and the name of each project, and the member's role as displayed.
    pub rows: Vec<(i64, &'static str, &'static str)>,
}

/// The cluster's way of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    Tells,
    HangsUp,
    /// Redirects to this URL.
    Redirects(String),
    Says(&'static str, String),
}

#[derive(Clone)]
pub struct Cluster {
    address: String,
    scheme: &'static str,
    logins: Arc<Mutex<HashMap<String, Known>>>,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<String>>>,
    forwarded_for: Arc<Mutex<Vec<String>>>,
    /// The cluster answers nobody while a test holds this.
    gate: Arc<RwLock<()>>,
    under_way: Arc<AtomicUsize>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::listen(None)
    }

    /// Starts a cluster that speaks TLS; returns its self-signed certificate as PEM.
    pub fn start_with_tls() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring provides TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate and its key");
        (Self::listen(Some(Arc::new(config))), made.cert.pem())
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let cluster = Self {
            address: format!("localhost:{port}"),
            scheme: if tls.is_some() { "https" } else { "http" },
            logins: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Tells)),
            asked: Arc::default(),
            forwarded_for: Arc::default(),
            gate: Arc::default(),
            under_way: Arc::default(),
        };
        let serving = cluster.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, tls) = (serving.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serving.converse(stream),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("a configuration");
                        serving.converse(StreamOwned::new(connection, stream));
                    }
                });
            }
        });
        cluster
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Adds a login that the cluster knows from now on.
    pub fn knows(&self, login: &str, known: Known) {
        self.logins.lock().expect("no panic").insert(login.to_owned(), known);
    }

    /// Removes a login.
    pub fn forgets(&self, login: &str) {
        self.logins.lock().expect("no panic").remove(login);
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.lock().expect("no panic") = mood;
    }

    /// Takes the paths that were requested since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }

    /// Takes the client's addresses that came with the requests since the last call.
    pub fn forwarded_for(&self) -> Vec<String> {
        std::mem::take(&mut *self.forwarded_for.lock().expect("no panic"))
    }

    /// Makes the cluster answer nobody until the returned guard is dropped.
    pub fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().expect("no panic")
    }

    /// Returns how many requests wait for their answer.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    fn converse<S: Read + Write>(&self, stream: S) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).is_ok_and(|read| read > 0) {
                    continue;
                }
                return;
            }
            let path =
                head.split(' ').nth(1).unwrap_or_default().strip_prefix("/hopsworks-api/api/").unwrap_or_default();
            let login = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
            self.asked.lock().expect("no panic").push(path.to_owned());
            let hop = head.lines().find_map(|line| line.strip_prefix("x-forwarded-for: ")).unwrap_or_default();
            self.forwarded_for.lock().expect("no panic").push(hop.to_owned());
            self.under_way.fetch_add(1, Ordering::SeqCst);
            drop(self.gate.read().expect("no panic"));
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            let mood = self.mood.lock().expect("no panic").clone();
            let (status, more, body) = match mood {
                Mood::HangsUp => return,
                Mood::Redirects(url) => ("302 Found", format!("Location: {url}\r\n"), String::new()),
                Mood::Says(status, body) => (status, String::new(), body),
                Mood::Tells => {
                    let (status, body) = self.answer(path, login);
                    let more = match status {
                        "401 Unauthorized" => "WWW-Authenticate: Bearer realm=\"Cauth Realm\"\r\n".to_owned(),
                        _ => String::new(),
                    };
                    (status, more, body.to_string())
                }
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, login: &str) -> (&'static str, Value) {
        let unknown = ("401 Unauthorized", json!({"errorCode": 200_003, "errorMsg": "Invalid or expired"}));
        let Some(known) = self.logins.lock().expect("no panic").get(login).cloned() else { return unknown };
        let is_jwt = login.starts_with("Bearer ");
        let is_good = |words: &[&str]| words.iter().any(|word| known.good_for.contains(word));
        let refused =
            ("403 Forbidden", json!({"errorCode": 200_014, "errorMsg": "Token not issued for this recipient."}));
        let takes = match (path.split('?').next().unwrap_or_default(), is_jwt) {
            ("project", true) => is_good(&["api", "job"]),
            ("project", false) => is_good(&["PROJECT"]),
            ("auth/isAdmin" | "auth/jwt/session", true) => is_good(&["api"]),
            ("auth/isAdmin" | "auth/jwt/session", false) => return unknown,
            ("admin/users", true) => is_good(&["api"]) && known.is_admin,
            ("admin/users", false) => is_good(&["ADMIN", "ADMINISTER_USERS"]) && known.is_admin,
            // A cluster's endpoints for administrators take the scope ADMIN alone, but for those about users.
            ("admin/projects/0", true) => is_good(&["api"]) && known.is_admin,
            ("admin/projects/0", false) => is_good(&["ADMIN"]) && known.is_admin,
            (path, true) if path.starts_with("project/") => is_good(&["api"]),
            (path, false) if path.starts_with("project/") => is_good(&["PROJECT"]),
            _ => return ("404 Not Found", json!({"errorCode": 120_000})),
        };
        if !takes {
            return refused;
        }
        let rows = known.rows.iter().map(|(id, name, role)| {
            json!({
                "projectTeamPK": {"projectId": id, "teamMember": known.email},
                "teamRole": role,
                "timestamp": 1_700_000_000_000_i64,
                "project": {"id": id, "name": name},
                // A trap: this is what the owner is, not what the token may do.
                "user": {"email": known.email, "bbcGroupCollection": [{"groupName": "HOPS_ADMIN"}]},
            })
        });
        match path.split('?').next().unwrap_or_default() {
            "project" => ("200 OK", Value::Array(rows.collect())),
            "auth/isAdmin" => ("200 OK", json!({"data": known.is_admin})),
            "auth/jwt/session" => ("200 OK", json!({"data": known.email})),
            "admin/projects/0" => ("404 Not Found", json!({"errorCode": 150_004, "errorMsg": "Project not found"})),
            "admin/users" => ("200 OK", json!({"count": 1, "items": []})),
            path => {
                let id: i64 = path.trim_start_matches("project/").parse().unwrap_or(0);
                match (known.rows.iter().any(|(row, _, _)| *row == id), (100..200).contains(&id)) {
                    (true, _) => ("200 OK", json!({"projectId": id})),
                    (false, true) => ("403 Forbidden", json!({"errorCode": 160_000})),
                    (false, false) => ("404 Not Found", json!({"errorCode": 150_004})),
                }
            }
        }
    }
}

/// Returns a URL where nobody listens.
pub fn deserted() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// Returns a URL, and the list of the requests that arrive there.
pub fn trap() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let copy = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream as &TcpStream).read_line(&mut line);
            copy.lock().expect("no panic").push(line);
        }
    });
    (url, seen)
}
