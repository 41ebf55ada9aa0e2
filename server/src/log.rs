//! The log: lines on stderr, each with its instant.
//!
//! The same lines go to whoever collects the logs, so no line holds a secret.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::time::SystemTime;

use hops_credentials_core::text::rfc3339;

/// Writes a line. Failing to write is not a reason to stop serving.
pub fn line(text: &dyn Display) {
    let now = rfc3339(SystemTime::now());
    // One write for the whole line: stderr has no buffer, and several servers may share a log.
    let _ = std::io::stderr().lock().write_all(format!("{now} {text}\n").as_bytes());
}

/// Writes a line that belongs to a request.
pub fn note(request_id: &str, text: &str) {
    line(&format_args!("request={request_id} note={text:?}"));
}

/// The number of damaged rows that are remembered. The server does not name further ones.
const MAX_DAMAGED_ROWS: usize = 1000;

/// Writes once for each row that the database holds a value which no program wrote, and what to do about it.
pub fn damaged_row(row: &dyn Display, problem: &dyn Display, remedy: &dyn Display) {
    static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let text = format!("damaged row: {row}: {problem}; it counts for nobody; {remedy}");
    let mut known = KNOWN.lock().expect("nobody panics while holding it");
    if known.len() < MAX_DAMAGED_ROWS && known.insert(text.clone()) {
        line(&text.replace(['\n', '\r'], " "));
    }
}
