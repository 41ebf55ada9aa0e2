//! The world of a test: a database of its own, the built server on it, and clients of both.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AnyConnection, Connection, Row};

use crate::postgres;

/// The prefix of all paths of the interface.
pub const API: &str = "/hopsworks-api/api";

/// Makes two tests of each function: one on SQLite, one on PostgreSQL.
macro_rules! on_both_stores {
    ($($(#[$attribute:meta])* fn $name:ident($world:ident: &World) $body:block)*) => {
        $($(#[$attribute])* fn $name($world: &World) $body)*
        mod on_sqlite { $(#[test] fn $name() { super::$name(&crate::world::World::sqlite()) })* }
        mod on_postgres { $(#[test] fn $name() { super::$name(&crate::world::World::postgres()) })* }
    };
}
pub(crate) use on_both_stores;

/// A database that only one test uses, and a directory that is removed with it.
pub struct World {
    pub directory: PathBuf,
    pub database: String,
}

/// The output of a command, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn sqlite() -> Self {
        let directory = new_directory();
        let database = format!("sqlite://{}", directory.join("roles.db").display());
        Self { directory, database }
    }

    pub fn postgres() -> Self {
        Self { directory: new_directory(), database: postgres::new_database() }
    }

    /// Makes a command of the program on this database.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = bare_program(arguments);
        command.env("DATABASE_URL", &self.database);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs a command with these variables. A command that does not end by itself is killed, and its code is 124.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new("/usr/bin/timeout");
        command
            .args(["60", env!("CARGO_BIN_EXE_role-mapping-server")])
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null());
        command.env("DATABASE_URL", &self.database).envs(variables.iter().copied());
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs a command that must succeed; returns what it printed, without the end of the line.
    pub fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        ran.stdout.trim_end().to_owned()
    }

    /// Runs a command that must fail without changing anything; returns its sentence.
    pub fn failed(&self, arguments: &[&str]) -> String {
        self.done(&["mapping", "list"]);
        let before = self.everything();
        let ran = self.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{arguments:?}: {}", ran.stderr);
        assert_eq!(self.everything(), before, "{arguments:?} changed something");
        ran.stderr.strip_suffix('\n').expect("a line").to_owned()
    }

    /// Starts a server without AWS.
    pub fn serve(&self) -> Server {
        self.serve_with(&[], &[("AWS_EC2_METADATA_DISABLED", "true")])
    }

    pub fn serve_with(&self, options: &[&str], variables: &[(&str, &str)]) -> Server {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], options].concat();
        let mut command = self.program(&arguments);
        command.envs(variables.iter().copied());
        Server::start(command)
    }

    /// Starts a server without AWS that may open this number of files.
    pub fn serve_with_descriptors(&self, number: u32) -> Server {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_role-mapping-server");
        command.args(["-c", &format!("ulimit -n {number} && exec {program} serve --listen 127.0.0.1:0")]);
        command.env_clear().env("DATABASE_URL", &self.database).env("AWS_EC2_METADATA_DISABLED", "true");
        Server::start(command)
    }

    /// Runs a query; returns its rows, each value as text.
    pub fn sql(&self, query: &'static str) -> Vec<Vec<String>> {
        self.try_sql(query).expect("the query runs")
    }

    pub fn try_sql(&self, query: &'static str) -> Result<Vec<Vec<String>>, sqlx::Error> {
        block_on(async {
            let mut connection = connect(&self.database).await;
            let rows = sqlx::query(query).fetch_all(&mut connection).await?;
            let text = |row: &sqlx::any::AnyRow, index| {
                row.try_get::<Option<String>, _>(index)
                    .or_else(|_| {
                        row.try_get::<Option<i64>, _>(index).map(|number| number.map(|number| number.to_string()))
                    })
                    .expect("text or a number")
                    .unwrap_or_else(|| "-".to_owned())
            };
            Ok(rows.iter().map(|row| (0..row.len()).map(|index| text(row, index)).collect()).collect())
        })
    }

    fn everything(&self) -> Vec<Vec<Vec<String>>> {
        [
            self.sql("select * from counters order by noun"),
            self.sql("select * from users order by id"),
            self.sql("select * from projects order by id"),
            self.sql("select * from members order by project_id, user_id"),
            self.sql("select * from role_mappings order by id"),
            self.sql("select * from audit order by id"),
        ]
        .into()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Makes a command of the program with an empty environment.
pub fn bare_program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_role-mapping-server"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Makes sure that an attempt takes less than the limit. One of three attempts is enough: a busy machine delays some of them, and
/// code that is too slow is too slow each time.
pub fn in_time(limit: Duration, attempt: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    let is_in_time = std::iter::repeat_with(attempt).take(3).inspect(|time| took.push(*time)).any(|time| time < limit);
    assert!(is_in_time, "{took:?}, not within {limit:?}");
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

pub async fn connect(database: &str) -> AnyConnection {
    // Every call but the first fails, which does not matter.
    let _ = sqlx::any::install_drivers(&[sqlx::sqlite::any::DRIVER, sqlx::postgres::any::DRIVER]);
    AnyConnection::connect(database).await.expect("the database is there")
}

fn new_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// A running server. It is killed when it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
    log: Arc<(Mutex<String>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let (stderr, copy) = (child.stderr.take().expect("piped"), log.clone());
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                copy.0.lock().expect("no panic").push_str(&format!("{}\n", line.expect("UTF-8")));
                copy.1.notify_all();
            }
        });
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let url = line.trim_end().strip_prefix("listening on ").unwrap_or_default().to_owned();
        assert!(!url.is_empty(), "no address: {line:?}, {}", log.0.lock().expect("no panic"));
        Self { child, url, log, reader: Some(reader) }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory of the process.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Returns `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").expect("a URL").1
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Returns what the log holds so far.
    pub fn log(&self) -> String {
        self.log.0.lock().expect("no panic").clone()
    }

    /// Waits until the log holds this text.
    pub fn wait_for_log(&self, text: &str) {
        let log = self.log.0.lock().expect("no panic");
        let is_missing = |log: &mut String| !log.contains(text);
        let (log, waited) = self.log.1.wait_timeout_while(log, Duration::from_secs(30), is_missing).expect("no panic");
        assert!(!waited.timed_out(), "no {text:?} in: {log}");
    }

    /// Waits until the server ends; returns the exit code and the log.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("the server ends").code();
        self.reader.take().expect("once").join().expect("the log is readable");
        (code, self.log.0.lock().expect("no panic").clone())
    }

    /// Ends the server with SIGTERM; returns its log.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (code, log) = self.wait();
        assert_eq!(code, Some(0));
        log
    }

    /// Sends a request with an API key to a path under [`API`].
    pub fn ask(&self, method: &str, path: &str, key: &str) -> Answer {
        self.send(method, &format!("{API}{path}"), &[&format!("Authorization: ApiKey {key}")])
    }

    pub fn get(&self, path: &str, key: &str) -> Answer {
        self.ask("GET", path, key)
    }

    /// Reads a number of `/metrics`.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.send("GET", "/metrics", &[]).text;
        let line = text.lines().find_map(|line| line.strip_prefix("role_mapping_server_")?.strip_prefix(series));
        line.map_or(0.0, |number| number.trim().parse().expect("a number"))
    }

    /// Waits until a number of `/metrics` is this one.
    pub fn wait_for_metric(&self, series: &str, expected: f64) {
        let begin = Instant::now();
        while self.metric(series) != expected {
            assert!(begin.elapsed() < Duration::from_secs(30), "{series} is {}", self.metric(series));
        }
    }

    /// Sends a request exactly as given.
    pub fn send(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        self.try_send(method, target, headers).expect("the server answers")
    }

    /// Does the same as [`Server::send`]; `None` when no complete answer comes.
    pub fn try_send(&self, method: &str, target: &str, headers: &[&str]) -> Option<Answer> {
        self.try_send_with(method, target, headers, "")
    }

    /// Does the same as [`Server::try_send`] with a body, whose length is one of the headers.
    pub fn try_send_with(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address()).ok()?;
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address());
        headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let answer = Answer::parse(&reply)?;
        crate::openapi::check(method, target, &answer);
        Some(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Joins the chunks of a body (RFC 9112, section 7.1); `None` when the last one is missing.
fn join_chunks(mut body: &str) -> Option<String> {
    let mut text = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(text);
        }
        text.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// A response of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub text: String,
    pub json: Value,
}

impl Answer {
    fn parse(reply: &str) -> Option<Self> {
        let (head, text) = reply.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: HashMap<String, String> = headers.collect();
        let is_chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let text = if is_chunked { join_chunks(text)? } else { text.to_owned() };
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Self { status, headers, text, json })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns status, error code and message of an error.
    pub fn error(&self) -> (u16, u64, &str) {
        let text = self.json["usrMsg"].as_str().unwrap_or(&self.text);
        (self.status, self.json["errorCode"].as_u64().unwrap_or(0), text)
    }

    /// Returns the ids of a list.
    pub fn ids(&self) -> Vec<i64> {
        let items = self.json["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().map(|item| item["id"].as_i64().expect("an id")).collect()
    }
}
